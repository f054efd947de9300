//! One code-block into its coding passes (ISO/IEC 15444-1 Annex D): bit-planes from the highest on,
//! each in three passes, all in one codeword segment.

use super::arithmetic::{Encoder, RUN, UNIFORM};

/// Rows of a stripe (§D.1).
const STRIPE: usize = 4;

/// What a coefficient knows of itself and its neighbors.
mod flag {
    pub(super) const NORTH: u16 = 1;
    pub(super) const EAST: u16 = 1 << 1;
    pub(super) const SOUTH: u16 = 1 << 2;
    pub(super) const WEST: u16 = 1 << 3;
    pub(super) const NORTH_EAST: u16 = 1 << 4;
    pub(super) const SOUTH_EAST: u16 = 1 << 5;
    pub(super) const SOUTH_WEST: u16 = 1 << 6;
    pub(super) const NORTH_WEST: u16 = 1 << 7;
    pub(super) const NEIGHBORS: u16 = 0xFF;
    /// The sign of a neighbor, so many bits above its own flag.
    pub(super) const NEGATIVE_SHIFT: u16 = 8;
    pub(super) const SIGNIFICANT: u16 = 1 << 12;
    pub(super) const REFINED: u16 = 1 << 13;
    pub(super) const VISITED: u16 = 1 << 14;
}

/// Which way a band is high-pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Band {
    LowLow,
    HighLow,
    LowHigh,
    HighHigh,
}

/// A code-block, coded.
pub(super) struct Block {
    /// Bit-planes that are not all zero.
    pub(super) planes: u32,
    /// Coding passes.
    pub(super) passes: u32,
    pub(super) bytes: Vec<u8>,
}

struct Coder<'a> {
    columns: usize,
    rows: usize,
    /// Of a row of flags, which has one more at either end.
    stride: usize,
    flags: Vec<u16>,
    magnitudes: &'a [u32],
    negatives: &'a [bool],
    zero_contexts: &'static [u8; 256],
    plane: u32,
    encoder: Encoder,
}

/// Codes the coefficients of a code-block, row by row.
pub(super) fn encode(coefficients: &[i32], columns: usize, band: Band) -> Block {
    let magnitudes: Vec<u32> = coefficients.iter().map(|c| c.unsigned_abs()).collect();
    let negatives: Vec<bool> = coefficients.iter().map(|c| *c < 0).collect();
    let planes = u32::BITS
        - magnitudes
            .iter()
            .fold(0, |all, one| all | one)
            .leading_zeros();
    if planes == 0 {
        return Block {
            planes,
            passes: 0,
            bytes: Vec::new(),
        };
    }
    let rows = coefficients.len() / columns;
    let stride = columns + 2;
    let mut coder = Coder {
        columns,
        rows,
        stride,
        flags: vec![0; stride * (rows + 2)],
        magnitudes: &magnitudes,
        negatives: &negatives,
        zero_contexts: &ZERO_CONTEXTS[band as usize],
        plane: planes - 1,
        encoder: Encoder::new(),
    };
    coder.clean_up();
    for plane in (0..planes - 1).rev() {
        coder.plane = plane;
        coder.propagate();
        coder.refine();
        coder.clean_up();
    }
    Block {
        planes,
        passes: 3 * planes - 2,
        bytes: coder.encoder.finish(),
    }
}

/// Table D.1 for each [`Band`] and the eight neighbors.
static ZERO_CONTEXTS: [[u8; 256]; 4] = {
    let bands = [Band::LowLow, Band::HighLow, Band::LowHigh, Band::HighHigh];
    let mut contexts = [[0; 256]; 4];
    let mut neighbors = 0;
    while neighbors < 256 {
        let mut band = 0;
        while band < bands.len() {
            contexts[bands[band] as usize][neighbors] = zero_context(neighbors as u16, bands[band]);
            band += 1;
        }
        neighbors += 1;
    }
    contexts
};

const fn zero_context(flags: u16, band: Band) -> u8 {
    let across = (flags & (flag::EAST | flag::WEST)).count_ones();
    let down = (flags & (flag::NORTH | flag::SOUTH)).count_ones();
    let diagonal = (flags & flag::NEIGHBORS).count_ones() - across - down;
    let (across, down) = match band {
        Band::HighHigh => {
            return match (diagonal, across + down) {
                (3.., _) => 8,
                (2, 1..) => 7,
                (2, 0) => 6,
                (1, 2..) => 5,
                (1, 1) => 4,
                (1, 0) => 3,
                (0, 2..) => 2,
                (0, 1) => 1,
                (0, 0) => 0,
            };
        }
        Band::HighLow => (down, across),
        Band::LowLow | Band::LowHigh => (across, down),
    };
    match (across, down, diagonal) {
        (2.., ..) => 8,
        (1, 1.., _) => 7,
        (1, 0, 1..) => 6,
        (1, 0, 0) => 5,
        (0, 2.., _) => 4,
        (0, 1, _) => 3,
        (0, 0, 2..) => 2,
        (0, 0, 1) => 1,
        (0, 0, 0) => 0,
    }
}

/// Tables D.2 and D.3 for the four sides and, above them, their signs: the context of a sign, and
/// whether it is coded the other way round.
static SIGN_CONTEXTS: [(u8, bool); 256] = {
    let mut contexts = [(0, false); 256];
    let mut sides = 0;
    while sides < 256 {
        contexts[sides] = sign_context(sides as u16);
        sides += 1;
    }
    contexts
};

/// Where [`SIGN_CONTEXTS`] has the context of a coefficient.
const fn sides(flags: u16) -> usize {
    (flags & 0xF | flags >> flag::NEGATIVE_SHIFT << 4 & 0xF0) as usize
}

const fn sign_context(sides: u16) -> (u8, bool) {
    const fn both(sides: u16, one: u16, other: u16) -> i32 {
        const fn sign(sides: u16, side: u16) -> i32 {
            match (sides & side != 0, sides & side << 4 != 0) {
                (false, _) => 0,
                (true, false) => 1,
                (true, true) => -1,
            }
        }
        (sign(sides, one) + sign(sides, other)).signum()
    }
    match (
        both(sides, flag::EAST, flag::WEST),
        both(sides, flag::NORTH, flag::SOUTH),
    ) {
        (1, 1) => (13, false),
        (1, 0) => (12, false),
        (1, _) => (11, false),
        (0, 1) => (10, false),
        (0, 0) => (9, false),
        (0, _) => (10, true),
        (_, 1) => (11, true),
        (_, 0) => (12, true),
        (_, _) => (13, true),
    }
}

/// Table D.4.
fn refinement_context(flags: u16) -> usize {
    if flags & flag::REFINED != 0 {
        16
    } else if flags & flag::NEIGHBORS != 0 {
        15
    } else {
        14
    }
}

impl Coder<'_> {
    fn place(&self, row: usize, column: usize) -> usize {
        (row + 1) * self.stride + column + 1
    }

    #[inline(always)]
    fn bit(&self, at: usize) -> bool {
        self.magnitudes[at] >> self.plane & 1 != 0
    }

    /// Calls for each column of each stripe, in the order of Figure D.1, with its first row, the
    /// row behind it, and the column.
    #[inline(always)]
    fn scan(&mut self, mut code: impl FnMut(&mut Self, usize, usize, usize)) {
        for top in (0..self.rows).step_by(STRIPE) {
            let bottom = (top + STRIPE).min(self.rows);
            for column in 0..self.columns {
                code(self, top, bottom, column);
            }
        }
    }

    #[inline(always)]
    fn code_zero(&mut self, place: usize, bit: bool) {
        let neighbors = usize::from(self.flags[place] & flag::NEIGHBORS);
        let context = self.zero_contexts[neighbors].into();
        self.encoder.encode(context, bit);
    }

    /// Codes the sign of the coefficient `at` and tells the neighbors (§D.3.2).
    #[inline(always)]
    fn code_sign(&mut self, place: usize, at: usize) {
        let is_negative = self.negatives[at];
        let (context, is_flipped) = SIGN_CONTEXTS[sides(self.flags[place])];
        self.encoder
            .encode(context.into(), is_negative ^ is_flipped);
        let with_sign = |side: u16| side | (u16::from(is_negative) * side) << flag::NEGATIVE_SHIFT;
        let (above, below) = (place - self.stride, place + self.stride);
        let [west, here, east] = around(&mut self.flags, place);
        *west |= with_sign(flag::EAST);
        *here |= flag::SIGNIFICANT;
        *east |= with_sign(flag::WEST);
        let [north_west, north, north_east] = around(&mut self.flags, above);
        *north_west |= flag::SOUTH_EAST;
        *north |= with_sign(flag::SOUTH);
        *north_east |= flag::SOUTH_WEST;
        let [south_west, south, south_east] = around(&mut self.flags, below);
        *south_west |= flag::NORTH_EAST;
        *south |= with_sign(flag::NORTH);
        *south_east |= flag::NORTH_WEST;
    }

    /// The significance propagation pass (§D.3.1).
    fn propagate(&mut self) {
        self.scan(|coder, top, bottom, column| {
            for row in top..bottom {
                let place = coder.place(row, column);
                let flags = coder.flags[place];
                if flags & flag::SIGNIFICANT != 0 || flags & flag::NEIGHBORS == 0 {
                    continue;
                }
                let at = row * coder.columns + column;
                let bit = coder.bit(at);
                coder.code_zero(place, bit);
                coder.flags[place] |= flag::VISITED;
                if bit {
                    coder.code_sign(place, at);
                }
            }
        });
    }

    /// The magnitude refinement pass (§D.3.3).
    fn refine(&mut self) {
        self.scan(|coder, top, bottom, column| {
            for row in top..bottom {
                let place = coder.place(row, column);
                let flags = coder.flags[place];
                if flags & (flag::SIGNIFICANT | flag::VISITED) != flag::SIGNIFICANT {
                    continue;
                }
                let bit = coder.bit(row * coder.columns + column);
                coder.encoder.encode(refinement_context(flags), bit);
                coder.flags[place] |= flag::REFINED;
            }
        });
    }

    /// The cleanup pass (§D.3.4); forgets what this bit-plane has visited.
    fn clean_up(&mut self) {
        const BUSY: u16 = flag::SIGNIFICANT | flag::VISITED | flag::NEIGHBORS;
        self.scan(|coder, top, bottom, column| {
            let columns = coder.columns;
            let is_quiet = bottom - top == STRIPE
                && (top..bottom).all(|row| coder.flags[coder.place(row, column)] & BUSY == 0);
            let mut row = top;
            if is_quiet {
                let first = (top..bottom).find(|row| coder.bit(row * columns + column));
                coder.encoder.encode(RUN, first.is_some());
                let Some(first) = first else { return };
                let zeros = first - top;
                coder.encoder.encode(UNIFORM, zeros & 2 != 0);
                coder.encoder.encode(UNIFORM, zeros & 1 != 0);
                coder.code_sign(coder.place(first, column), first * columns + column);
                row = first + 1;
            }
            for row in row..bottom {
                let place = coder.place(row, column);
                if coder.flags[place] & (flag::SIGNIFICANT | flag::VISITED) == 0 {
                    let at = row * columns + column;
                    let bit = coder.bit(at);
                    coder.code_zero(place, bit);
                    if bit {
                        coder.code_sign(place, at);
                    }
                }
                coder.flags[place] &= !flag::VISITED;
            }
        });
    }
}

/// A place and those beside it.
#[inline(always)]
fn around(flags: &mut [u16], place: usize) -> &mut [u16; 3] {
    let three = &mut flags[place - 1..place + 2];
    three.try_into().expect("three")
}
