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
    zero_contexts: [u8; 256],
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
    let mut zero_contexts = [0; 256];
    for (neighbors, context) in zero_contexts.iter_mut().enumerate() {
        *context = zero_context(neighbors as u16, band);
    }
    let stride = columns + 2;
    let mut coder = Coder {
        columns,
        rows,
        stride,
        flags: vec![0; stride * (rows + 2)],
        magnitudes: &magnitudes,
        negatives: &negatives,
        zero_contexts,
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

/// Table D.1.
fn zero_context(flags: u16, band: Band) -> u8 {
    let count = |mask: u16| (flags & mask).count_ones();
    let (mut across, mut down) = (
        count(flag::EAST | flag::WEST),
        count(flag::NORTH | flag::SOUTH),
    );
    let diagonal = count(flag::NEIGHBORS) - across - down;
    if band == Band::HighHigh {
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
    if band == Band::HighLow {
        (across, down) = (down, across);
    }
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

/// Tables D.2 and D.3: the context of a sign, and whether it is coded the other way round.
fn sign_context(flags: u16) -> (usize, bool) {
    let one = |side: u16| match (
        flags & side != 0,
        flags & (side << flag::NEGATIVE_SHIFT) != 0,
    ) {
        (false, _) => 0,
        (true, false) => 1,
        (true, true) => -1,
    };
    let across: i32 = (one(flag::EAST) + one(flag::WEST)).clamp(-1, 1);
    let down: i32 = (one(flag::NORTH) + one(flag::SOUTH)).clamp(-1, 1);
    match (across, down) {
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

    fn bit(&self, row: usize, column: usize) -> bool {
        self.magnitudes[row * self.columns + column] >> self.plane & 1 != 0
    }

    /// Rows of each stripe with each of its columns, in the order of Figure D.1.
    fn columns_of_stripes(&self) -> impl Iterator<Item = (usize, usize, usize)> + use<> {
        let (rows, columns) = (self.rows, self.columns);
        (0..rows).step_by(STRIPE).flat_map(move |top| {
            (0..columns).map(move |column| (top, (top + STRIPE).min(rows), column))
        })
    }

    fn code_zero(&mut self, place: usize, bit: bool) {
        let neighbors = usize::from(self.flags[place] & flag::NEIGHBORS);
        let context = self.zero_contexts[neighbors].into();
        self.encoder.encode(context, bit);
    }

    /// Codes the sign and tells the neighbors (§D.3.2).
    fn code_sign(&mut self, row: usize, column: usize) {
        let place = self.place(row, column);
        let is_negative = self.negatives[row * self.columns + column];
        let (context, is_flipped) = sign_context(self.flags[place]);
        self.encoder.encode(context, is_negative ^ is_flipped);
        let with_sign = |side: u16| side | (u16::from(is_negative) * side) << flag::NEGATIVE_SHIFT;
        self.flags[place] |= flag::SIGNIFICANT;
        self.flags[place - 1] |= with_sign(flag::EAST);
        self.flags[place + 1] |= with_sign(flag::WEST);
        let (above, below) = (place - self.stride, place + self.stride);
        self.flags[above] |= with_sign(flag::SOUTH);
        self.flags[above - 1] |= flag::SOUTH_EAST;
        self.flags[above + 1] |= flag::SOUTH_WEST;
        self.flags[below] |= with_sign(flag::NORTH);
        self.flags[below - 1] |= flag::NORTH_EAST;
        self.flags[below + 1] |= flag::NORTH_WEST;
    }

    /// The significance propagation pass (§D.3.1).
    fn propagate(&mut self) {
        for (top, bottom, column) in self.columns_of_stripes() {
            for row in top..bottom {
                let place = self.place(row, column);
                let flags = self.flags[place];
                if flags & flag::SIGNIFICANT != 0 || flags & flag::NEIGHBORS == 0 {
                    continue;
                }
                let bit = self.bit(row, column);
                self.code_zero(place, bit);
                self.flags[place] |= flag::VISITED;
                if bit {
                    self.code_sign(row, column);
                }
            }
        }
    }

    /// The magnitude refinement pass (§D.3.3).
    fn refine(&mut self) {
        for (top, bottom, column) in self.columns_of_stripes() {
            for row in top..bottom {
                let place = self.place(row, column);
                let flags = self.flags[place];
                if flags & (flag::SIGNIFICANT | flag::VISITED) != flag::SIGNIFICANT {
                    continue;
                }
                let bit = self.bit(row, column);
                self.encoder.encode(refinement_context(flags), bit);
                self.flags[place] |= flag::REFINED;
            }
        }
    }

    /// The cleanup pass (§D.3.4); forgets what this bit-plane has visited.
    fn clean_up(&mut self) {
        const BUSY: u16 = flag::SIGNIFICANT | flag::VISITED | flag::NEIGHBORS;
        for (top, bottom, column) in self.columns_of_stripes() {
            let is_quiet = bottom - top == STRIPE
                && (top..bottom).all(|row| self.flags[self.place(row, column)] & BUSY == 0);
            let mut row = top;
            if is_quiet {
                let first = (top..bottom).find(|row| self.bit(*row, column));
                self.encoder.encode(RUN, first.is_some());
                let Some(first) = first else { continue };
                let zeros = first - top;
                self.encoder.encode(UNIFORM, zeros & 2 != 0);
                self.encoder.encode(UNIFORM, zeros & 1 != 0);
                self.code_sign(first, column);
                row = first + 1;
            }
            for row in row..bottom {
                let place = self.place(row, column);
                if self.flags[place] & (flag::SIGNIFICANT | flag::VISITED) == 0 {
                    let bit = self.bit(row, column);
                    self.code_zero(place, bit);
                    if bit {
                        self.code_sign(row, column);
                    }
                }
                self.flags[place] &= !flag::VISITED;
            }
        }
    }
}
