//! The inverse discrete cosine transform (ISO/IEC 10918-1 §A.3.3) in integers: the factorization of
//! Loeffler, Ligtenberg and Moschytz (1989) with constants of 13 bits and the intermediate precision
//! of libjpeg's accurate method, so that samples equal those of most readers to the bit.

/// Bits after the point of the constants.
const CONSTANT_BITS: u32 = 13;

/// What the transform knows of the depth of samples.
#[derive(Debug, Clone, Copy)]
pub(super) struct Idct {
    /// Bits after the point that are kept between the two passes.
    between: u32,
    /// The level shift (§A.3.1).
    center: i64,
    max: i64,
}

impl Idct {
    /// For samples of 8 or 12 bits.
    pub(super) fn new(bits: u8) -> Self {
        Self {
            between: if bits > 8 { 1 } else { 2 },
            center: 1 << (bits - 1),
            max: (1 << bits) - 1,
        }
    }

    /// Samples of a block from its dequantized coefficients by rows. `samples` begins at the first of
    /// the block and has `stride` to a row.
    ///
    /// Coefficients are products of 16 bits by 16: no sum comes near 64 bits.
    pub(super) fn block(self, coefficients: &[i32; 64], samples: &mut [u16], stride: usize) {
        let mut columns = [0; 64];
        let shift = CONSTANT_BITS - self.between;
        for column in 0..8 {
            let at = |row: usize| i64::from(coefficients[8 * row + column]);
            if (1..8).all(|row| coefficients[8 * row + column] == 0) {
                let flat = at(0) << self.between;
                (0..8).for_each(|row| columns[8 * row + column] = flat);
                continue;
            }
            let line = line([at(0), at(1), at(2), at(3), at(4), at(5), at(6), at(7)]);
            for (row, value) in line.into_iter().enumerate() {
                columns[8 * row + column] = round(value, shift);
            }
        }
        let shift = CONSTANT_BITS + self.between + 3;
        for (row, samples) in columns.chunks_exact(8).zip(samples.chunks_mut(stride)) {
            let row = row.first_chunk().copied().unwrap_or_default();
            for (value, sample) in line(row).into_iter().zip(samples) {
                *sample = self.sample(round(value, shift));
            }
        }
    }

    /// The same for a block whose only coefficient is the first.
    pub(super) fn flat(self, first: i32, samples: &mut [u16], stride: usize) {
        let sample = self.sample(round(i64::from(first), 3));
        for row in samples.chunks_mut(stride).take(8) {
            row[..8].fill(sample);
        }
    }

    fn sample(self, value: i64) -> u16 {
        (value + self.center).clamp(0, self.max) as u16
    }
}

fn round(value: i64, shift: u32) -> i64 {
    (value + (1 << (shift - 1))) >> shift
}

/// A constant with [`CONSTANT_BITS`] after the point.
const fn constant(value: f64) -> i64 {
    (value * (1 << CONSTANT_BITS) as f64 + 0.5) as i64
}

/// One line of eight, [`CONSTANT_BITS`] larger and the square root of eight larger.
#[inline(always)]
fn line(input: [i64; 8]) -> [i64; 8] {
    const C0_298: i64 = constant(0.298_631_336);
    const C0_390: i64 = constant(0.390_180_644);
    const C0_541: i64 = constant(0.541_196_100);
    const C0_765: i64 = constant(0.765_366_865);
    const C0_899: i64 = constant(0.899_976_223);
    const C1_175: i64 = constant(1.175_875_602);
    const C1_501: i64 = constant(1.501_321_110);
    const C1_847: i64 = constant(1.847_759_065);
    const C1_961: i64 = constant(1.961_570_560);
    const C2_053: i64 = constant(2.053_119_869);
    const C2_562: i64 = constant(2.562_915_447);
    const C3_072: i64 = constant(3.072_711_026);

    // The even part: a butterfly of 0 and 4, a rotation of 2 and 6.
    let [x0, x1, x2, x3, x4, x5, x6, x7] = input;
    let turned = (x2 + x6) * C0_541;
    let (low, high) = (turned - x6 * C1_847, turned + x2 * C0_765);
    let (sum, difference) = ((x0 + x4) << CONSTANT_BITS, (x0 - x4) << CONSTANT_BITS);
    let even = [sum + high, difference + low, difference - low, sum - high];

    // The odd part.
    let both = (x1 + x3 + x5 + x7) * C1_175;
    let (outer, inner) = ((x1 + x7) * -C0_899, (x3 + x5) * -C2_562);
    let one = both - (x1 + x5) * C0_390;
    let three = both - (x3 + x7) * C1_961;
    let odd = [
        x1 * C1_501 + outer + one,
        x3 * C3_072 + inner + three,
        x5 * C2_053 + inner + one,
        x7 * C0_298 + outer + three,
    ];
    [
        even[0] + odd[0],
        even[1] + odd[1],
        even[2] + odd[2],
        even[3] + odd[3],
        even[3] - odd[3],
        even[2] - odd[2],
        even[1] - odd[1],
        even[0] - odd[0],
    ]
}

#[cfg(test)]
mod tests {
    use std::f64::consts::PI;

    use super::*;

    /// The formula of §A.3.3.
    fn formula(coefficients: &[i32; 64], bits: u8) -> [u16; 64] {
        std::array::from_fn(|place| {
            let (y, x) = ((place / 8) as f64, (place % 8) as f64);
            let mut sum = 0.0;
            for (at, coefficient) in coefficients.iter().enumerate() {
                let (v, u) = ((at / 8) as f64, (at % 8) as f64);
                let scale = |at: f64| if at == 0.0 { 0.5_f64.sqrt() } else { 1.0 };
                sum += scale(u)
                    * scale(v)
                    * f64::from(*coefficient)
                    * ((2.0 * x + 1.0) * u * PI / 16.0).cos()
                    * ((2.0 * y + 1.0) * v * PI / 16.0).cos();
            }
            let center = f64::from(1 << (bits - 1));
            (sum / 4.0 + center).round().clamp(0.0, 2.0 * center - 1.0) as u16
        })
    }

    proptest::proptest! {
        #[test]
        fn blocks_are_within_one_of_the_formula(
            coefficients in proptest::collection::vec(-300_i32..300, 64),
            kept in 1_usize..64,
            is_deep: bool,
        ) {
            let bits = if is_deep { 12 } else { 8 };
            let mut block = [0; 64];
            block[..kept].copy_from_slice(&coefficients[..kept]);
            let mut samples = [0; 64];
            Idct::new(bits).block(&block, &mut samples, 8);
            for (ours, exact) in samples.iter().zip(formula(&block, bits)) {
                proptest::prop_assert!(ours.abs_diff(exact) <= 1, "{samples:?}");
            }
        }

        #[test]
        fn a_flat_block_is_the_same_by_either_way(first: i32, is_deep: bool) {
            let idct = Idct::new(if is_deep { 12 } else { 8 });
            let mut block = [0; 64];
            block[0] = first;
            let (mut one, mut other) = ([0; 64], [0; 64]);
            idct.block(&block, &mut one, 8);
            idct.flat(first, &mut other, 8);
            proptest::prop_assert_eq!(one, other);
        }
    }

    #[test]
    fn the_largest_coefficients_do_not_overflow() {
        for value in [i32::MIN, i32::MAX] {
            for bits in [8, 12] {
                Idct::new(bits).block(&[value; 64], &mut [0; 64], 8);
            }
        }
    }
}
