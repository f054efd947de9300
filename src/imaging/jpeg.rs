//! Pictures as baseline JPEG (ISO/IEC 10918-1, ITU-T T.81; JFIF 1.02): Huffman-coded with the tables of
//! Annex K, which every reader takes. The transform is the one of Arai, Agui and Nakajima in single
//! precision: its last multiplications are a part of the division by the quantization steps.
//!
//! Written for the compiler to use vectors: eight columns at once, zeros found eight at a time.

mod tables;
#[cfg(test)]
mod tests;

use super::codec::jpeg::ZIGZAG;
use tables::{AC_LENGTHS, AC_SYMBOLS, DC_LENGTHS, DC_SYMBOLS, Kind, Tables};

/// From this quality on colors are as fine as brightness.
const FINE_QUALITY: u8 = 90;

/// The most bytes of a color profile in one segment (ICC.1 §B.4).
const PROFILE_PART_BYTES: usize = 65_519;

/// Encodes samples, grey or RGB, row by row: as many as `width` and `height` say; neither is 0.
pub(super) fn encode(
    samples: &[u8],
    (width, height): (u16, u16),
    is_color: bool,
    quality: u8,
    profile: Option<&[u8]>,
) -> Vec<u8> {
    let tables = [Kind::Luminance, Kind::Chrominance].map(|kind| Tables::new(kind, quality));
    let mut out = Vec::with_capacity(samples.len() / 8 + 4096);
    let factor = if is_color && quality < FINE_QUALITY {
        2
    } else {
        1
    };
    head(
        &mut out,
        (width, height),
        is_color,
        factor,
        &tables,
        profile,
    );
    let (width, height) = (usize::from(width), usize::from(height));
    let mut scan = Scan {
        bits: BitWriter::new(out),
        tables: &tables,
        before: [0; 3],
    };
    let side = 8 * factor;
    let stride = width.next_multiple_of(side);
    let count = if is_color { 3 } else { 1 };
    let mut planes = vec![vec![0_u8; stride * side]; count];
    let mut halves = vec![vec![0_u8; stride / 2 * 8]; 2];
    for top in (0..height).step_by(side) {
        for line in 0..side {
            let row = (top + line).min(height - 1);
            let row = &samples[row * width * count..][..width * count];
            let at = line * stride;
            match &mut planes[..] {
                [y, cb, cr] => {
                    let room = at..at + stride;
                    let lines = [&mut y[room.clone()], &mut cb[room.clone()], &mut cr[room]];
                    apart(row, width, lines);
                }
                [grey, ..] => {
                    grey[at..at + width].copy_from_slice(row);
                    let last = row[width - 1];
                    grey[at + width..at + stride].fill(last);
                }
                [] => {}
            }
        }
        if factor == 2 {
            for (whole, half) in planes[1..].iter().zip(&mut halves) {
                halve(whole, stride, half);
            }
        }
        for left in (0..stride).step_by(side) {
            for (y, x) in (0..factor).flat_map(|y| (0..factor).map(move |x| (y, x))) {
                let at = (y * stride + x) * 8 + left;
                scan.block(0, &planes[0][at..], stride);
            }
            for component in 1..count {
                if factor == 2 {
                    scan.block(component, &halves[component - 1][left / 2..], stride / 2);
                } else {
                    scan.block(component, &planes[component][left..], stride);
                }
            }
        }
    }
    let mut out = scan.bits.finish();
    out.extend([0xFF, 0xD9]);
    out
}

/// A row of RGB as luminance and two colors (JFIF 1.02); the last pixel stands for what is missing.
fn apart(row: &[u8], width: usize, lines: [&mut [u8]; 3]) {
    let [ys, cbs, crs] = lines;
    let (pixels, _) = row.as_chunks::<3>();
    let outs = ys.iter_mut().zip(cbs.iter_mut()).zip(crs.iter_mut());
    for (&[r, g, b], ((y, cb), cr)) in pixels.iter().zip(outs) {
        let (r, g, b) = (i32::from(r), i32::from(g), i32::from(b));
        // 65536ths.
        *y = ((19_595 * r + 38_470 * g + 7_471 * b + 32_768) >> 16) as u8;
        *cb = ((-11_059 * r - 21_709 * g + 32_768 * b + (128 << 16) + 32_767) >> 16) as u8;
        *cr = ((32_768 * r - 27_439 * g - 5_329 * b + (128 << 16) + 32_767) >> 16) as u8;
    }
    for line in [ys, cbs, crs] {
        let last = line[width - 1];
        line[width..].fill(last);
    }
}

/// Sixteen rows as eight of half the length: the mean of four, rounded down and up in turn as libjpeg does.
fn halve(whole: &[u8], stride: usize, half: &mut [u8]) {
    let pairs = whole.chunks_exact(2 * stride);
    for (pair, out) in pairs.zip(half.chunks_exact_mut(stride / 2)) {
        let (one, other) = pair.split_at(stride);
        let fours = one.chunks_exact(2).zip(other.chunks_exact(2));
        for (column, ((one, other), out)) in fours.zip(out).enumerate() {
            let sum = [one[0], one[1], other[0], other[1]].map(u16::from);
            *out = ((sum.iter().sum::<u16>() + 1 + (column as u16 & 1)) >> 2) as u8;
        }
    }
}

/// All that stands before the scan's bits.
fn head(
    out: &mut Vec<u8>,
    (width, height): (u16, u16),
    is_color: bool,
    factor: usize,
    tables: &[Tables; 2],
    profile: Option<&[u8]>,
) {
    out.extend([0xFF, 0xD8]);
    let mut segment = |marker: u8, parts: &[&[u8]]| {
        // The parts of a profile are the longest: 65,533 bytes.
        let length = 2 + parts.iter().map(|part| part.len()).sum::<usize>();
        out.extend([0xFF, marker]);
        out.extend((length as u16).to_be_bytes());
        parts.iter().for_each(|part| out.extend_from_slice(part));
    };
    segment(0xE0, &[b"JFIF\0", &[1, 2, 0, 0, 1, 0, 1, 0, 0]]);
    if let Some(profile) = profile {
        let count = profile.len().div_ceil(PROFILE_PART_BYTES) as u8;
        for (number, part) in (1..=count).zip(profile.chunks(PROFILE_PART_BYTES)) {
            segment(0xE2, &[b"ICC_PROFILE\0", &[number, count], part]);
        }
    }
    let ([h1, h2], [w1, w2]) = (height.to_be_bytes(), width.to_be_bytes());
    let sampling = (factor * 0x11) as u8;
    let kinds = if is_color { 2 } else { 1 };
    if is_color {
        let frame = [8, h1, h2, w1, w2, 3, 1, sampling, 0, 2, 0x11, 1, 3, 0x11, 1];
        segment(0xC0, &[&frame]);
    } else {
        segment(0xC0, &[&[8, h1, h2, w1, w2, 1, 1, 0x11, 0]]);
    }
    for (place, tables) in (0..kinds).zip(tables) {
        let (number, at) = (&[place as u8], &[0x10 | place as u8]);
        segment(0xDB, &[number, &tables.steps]);
        segment(0xC4, &[number, &DC_LENGTHS[place], &DC_SYMBOLS]);
        segment(0xC4, &[at, &AC_LENGTHS[place], &AC_SYMBOLS[place]]);
    }
    if is_color {
        segment(0xDA, &[&[3, 1, 0, 2, 0x11, 3, 0x11, 0, 63, 0]]);
    } else {
        segment(0xDA, &[&[1, 1, 0, 0, 63, 0]]);
    }
}

struct Scan<'a> {
    bits: BitWriter,
    tables: &'a [Tables; 2],
    /// The DC coefficient of the block before, of each component.
    before: [i32; 3],
}

impl Scan<'_> {
    /// Encodes a block, whose first sample is the first; `stride` samples to a row.
    fn block(&mut self, component: usize, samples: &[u8], stride: usize) {
        let tables = &self.tables[component.min(1)];
        let quantized = coefficients(samples, stride, &tables.factors);
        let dc = i32::from(quantized[0]);
        let difference = dc - std::mem::replace(&mut self.before[component], dc);
        let (size, value) = category(difference);
        let (code, length) = tables.dc[size as usize & 15];
        self.bits.put(code << size | value, length + size);
        let mut there = nonzero(&quantized) & !1;
        let mut left = 0_u64;
        while there != 0 {
            left |= 1 << (TURNED_PLACES[there.trailing_zeros() as usize & 63] & 63);
            there &= there - 1;
        }
        let mut next = 1;
        while left != 0 {
            let at = left.trailing_zeros();
            left &= left - 1;
            let mut run = at - next;
            while run > 15 {
                let (code, length) = tables.ac[0xF0];
                self.bits.put(code, length);
                run -= 16;
            }
            let (size, value) =
                category(quantized[usize::from(TURNED_ZIGZAG[at as usize & 63] & 63)].into());
            let (code, length) = tables.ac[(run << 4 | size) as usize & 255];
            self.bits.put(code << size | value, length + size);
            next = at + 1;
        }
        if next < 64 {
            let (code, length) = tables.ac[0];
            self.bits.put(code, length);
        }
    }
}

/// [`ZIGZAG`] where rows and columns have changed places.
const TURNED_ZIGZAG: [u8; 64] = {
    let mut turned = [0; 64];
    let mut at = 0;
    while at < 64 {
        turned[at] = ZIGZAG[at] % 8 * 8 + ZIGZAG[at] / 8;
        at += 1;
    }
    turned
};

/// Where in the zigzag they stand.
const TURNED_PLACES: [u8; 64] = {
    let mut places = [0; 64];
    let mut at = 0;
    while at < 64 {
        places[TURNED_ZIGZAG[at] as usize] = at as u8;
        at += 1;
    }
    places
};

/// The category of a number and the bits that tell it within that (§F.1.2.1).
#[inline(always)]
fn category(number: i32) -> (u32, u32) {
    let category = 32 - number.unsigned_abs().leading_zeros();
    let value = number + (number >> 31);
    (category, value as u32 & ((1 << category) - 1))
}

/// A bit for each number that is not 0.
#[inline(always)]
fn nonzero(numbers: &[i16; 64]) -> u64 {
    let flags = numbers.map(|number| u8::from(number != 0));
    let (eights, _) = flags.as_chunks::<8>();
    let bits = eights.iter().map(|eight| {
        // Moves the lowest bit of each byte to the top byte.
        u64::from_le_bytes(*eight).wrapping_mul(0x0102_0408_1020_4080) >> 56
    });
    bits.zip(0..)
        .fold(0, |mask, (bits, place)| mask | bits << (8 * place))
}

type Line = [f32; 8];

/// The quantized coefficients of a block, column by column.
#[inline(always)]
fn coefficients(samples: &[u8], stride: usize, factors: &[Line; 8]) -> [i16; 64] {
    let mut lines = [[0.0; 8]; 8];
    for (row, line) in lines.iter_mut().enumerate() {
        if let Some(samples) = samples[row * stride..].first_chunk::<8>() {
            *line = samples.map(|sample| f32::from(sample) - 128.0);
        }
    }
    transform(&mut lines);
    let mut turned = [[0.0; 8]; 8];
    for (at, line) in lines.iter().enumerate() {
        for (turned, value) in turned.iter_mut().zip(line) {
            turned[at] = *value;
        }
    }
    transform(&mut turned);
    let mut quantized = [0; 64];
    let values = turned.as_flattened().iter().zip(factors.as_flattened());
    for (out, (value, factor)) in quantized.iter_mut().zip(values) {
        // Added to this number, a small one stands rounded in the lowest bits.
        *out = (value * factor + 12_582_912.0).to_bits() as i16;
    }
    quantized
}

/// Eight transforms of eight at once, each from line to line.
#[inline(never)]
#[expect(
    clippy::needless_range_loop,
    reason = "a loop over columns of all lines, which becomes vectors"
)]
fn transform(lines: &mut [Line; 8]) {
    const C4: f32 = std::f32::consts::FRAC_1_SQRT_2;
    const C6: f32 = 0.382_683_43;
    const C2_MINUS_C6: f32 = 0.541_196_1;
    const C2_PLUS_C6: f32 = 1.306_563;
    for at in 0..8 {
        let x = |line: usize| lines[line][at];
        let (s0, d0) = (x(0) + x(7), x(0) - x(7));
        let (s1, d1) = (x(1) + x(6), x(1) - x(6));
        let (s2, d2) = (x(2) + x(5), x(2) - x(5));
        let (s3, d3) = (x(3) + x(4), x(3) - x(4));

        let (even0, even3) = (s0 + s3, s0 - s3);
        let (even1, even2) = (s1 + s2, s1 - s2);
        let turned = (even2 + even3) * C4;

        let (odd0, odd1, odd2) = (d3 + d2, d2 + d1, d1 + d0);
        let shared = (odd0 - odd2) * C6;
        let low = odd0 * C2_MINUS_C6 + shared;
        let high = odd2 * C2_PLUS_C6 + shared;
        let middle = odd1 * C4;
        let (sum, difference) = (d0 + middle, d0 - middle);
        lines[0][at] = even0 + even1;
        lines[1][at] = sum + high;
        lines[2][at] = even3 + turned;
        lines[3][at] = difference - low;
        lines[4][at] = even0 - even1;
        lines[5][at] = difference + low;
        lines[6][at] = even3 - turned;
        lines[7][at] = sum - high;
    }
}

/// Bits on their way, bytes of ones stuffed (§F.1.2.3).
struct BitWriter {
    out: Vec<u8>,
    held: u64,
    /// How many are held; fewer than 32 between two calls.
    count: u32,
}

impl BitWriter {
    fn new(out: Vec<u8>) -> Self {
        Self {
            out,
            held: 0,
            count: 0,
        }
    }

    /// At most 32 bits.
    #[inline(always)]
    fn put(&mut self, bits: u32, count: u32) {
        self.held = self.held << count | u64::from(bits);
        self.count += count;
        if self.count >= 32 {
            self.count -= 32;
            self.write((self.held >> self.count) as u32);
        }
    }

    #[inline(always)]
    fn write(&mut self, word: u32) {
        // Whether a byte is 0xFF: adding one to it carries.
        let has_ones = (word & 0x8080_8080 & !word.wrapping_add(0x0101_0101)) != 0;
        if has_ones {
            for byte in word.to_be_bytes() {
                self.out.push(byte);
                if byte == 0xFF {
                    self.out.push(0);
                }
            }
        } else {
            self.out.extend_from_slice(&word.to_be_bytes());
        }
    }

    /// Fills the last byte with ones.
    fn finish(mut self) -> Vec<u8> {
        let fill = self.count.wrapping_neg() & 7;
        self.put((1 << fill) - 1, fill);
        while self.count >= 8 {
            self.count -= 8;
            let byte = (self.held >> self.count) as u8;
            self.out.push(byte);
            if byte == 0xFF {
                self.out.push(0);
            }
        }
        self.out
    }
}
