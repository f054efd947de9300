//! What encoder and decoder of JPEG-LS share: parameters, contexts and their adaptation, prediction
//! (ISO/IEC 14495-1 Annex A; the names of variables are the standard's).

use super::bits::Limits;
use super::header::Preset;

/// Orders of the run lengths (§A.7.1.1, table `J`).
const RUN_ORDERS: [u32; 32] = [
    0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 9, 10, 11, 12, 13,
    14, 15,
];

/// The most that a mapped error can be without the running sums overflowing: errors are of 16 bits.
pub(super) const MAPPED_MAX: u64 = 2 * 65_535;

/// How far along the run lengths a component is (`RUNindex`, §A.7.1).
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct RunIndex(usize);

impl RunIndex {
    /// `J[RUNindex]`
    #[inline(always)]
    pub(super) fn order(self) -> u32 {
        RUN_ORDERS[self.0 & 31]
    }

    #[inline(always)]
    pub(super) fn grow(&mut self) {
        self.0 = (self.0 + 1).min(31);
    }

    #[inline(always)]
    pub(super) fn shrink(&mut self) {
        self.0 = self.0.saturating_sub(1);
    }
}

/// What has been seen in a context of regular mode (§A.2.1).
#[derive(Debug, Clone, Copy)]
#[repr(align(16))]
pub(super) struct Context {
    /// Sum of the sizes of errors.
    a: u32,
    /// Sum of errors, for the bias.
    b: i32,
    /// Correction of the prediction.
    pub(super) c: i32,
    /// How often it was met.
    n: i32,
}

impl Context {
    /// The order of the Golomb code (§A.5.1): the least `k` with `N << k >= A`.
    #[inline(always)]
    pub(super) fn order(&self) -> u32 {
        golomb_order(self.a, self.n)
    }

    /// All ones where errors are mapped the other way round (§A.5.2), for `k` 0 and no loss.
    #[inline(always)]
    pub(super) fn mapping(&self, k: u32) -> i32 {
        if k == 0 && 2 * self.b <= -self.n {
            -1
        } else {
            0
        }
    }

    /// Adapts to an error (§A.6), which `step` has quantized.
    #[inline(always)]
    pub(super) fn update(&mut self, error: i32, step: i32, reset: i32) {
        let mut a = self.a.wrapping_add(error.unsigned_abs());
        let mut b = self.b + error * step;
        let mut n = self.n;
        if n == reset {
            a >>= 1;
            b >>= 1;
            n >>= 1;
        }
        n += 1;
        self.a = a;
        self.n = n;
        // Both sides are worked out: which one it is cannot be guessed, and a wrong guess costs more.
        let (is_low, is_high) = (b <= -n, b > 0);
        let low = (b + n).max(1 - n);
        let high = (b - n).min(0);
        let c = self.c + i32::from(is_high) - i32::from(is_low);
        self.c = c.clamp(-128, 127);
        b = if is_high { high } else { b };
        self.b = if is_low { low } else { b };
    }
}

/// What has been seen where runs were interrupted (§A.7.2).
#[derive(Debug, Clone, Copy)]
pub(super) struct RunContext {
    a: u32,
    n: i32,
    negatives: i32,
    /// `RItype`: 1 when the samples beside and above are alike.
    kind: u32,
}

impl RunContext {
    #[inline(always)]
    pub(super) fn order(&self) -> u32 {
        let half = if self.kind == 1 { self.n as u32 / 2 } else { 0 };
        golomb_order(self.a.wrapping_add(half), self.n)
    }

    /// Whether a negative error is mapped to the odd number (code segment A.21).
    #[inline(always)]
    fn odd_is_negative(&self, k: u32) -> bool {
        k != 0 || 2 * self.negatives >= self.n
    }

    /// `EMErrval` of an error.
    #[inline(always)]
    pub(super) fn map(&self, error: i32, k: u32) -> u32 {
        let is_odd = error != 0 && (error < 0) == self.odd_is_negative(k);
        2 * error.unsigned_abs() - self.kind - u32::from(is_odd)
    }

    /// The error of an `EMErrval`.
    #[inline(always)]
    pub(super) fn unmap(&self, mapped: u32, k: u32) -> i32 {
        let doubled = mapped + self.kind;
        let size = doubled.div_ceil(2) as i32;
        if (doubled & 1 == 1) == self.odd_is_negative(k) {
            -size
        } else {
            size
        }
    }

    /// Code segment A.23.
    #[inline(always)]
    pub(super) fn update(&mut self, error: i32, mapped: u32, reset: i32) {
        self.negatives += i32::from(error < 0);
        self.a = self.a.wrapping_add((mapped + 1 - self.kind) >> 1);
        if self.n == reset {
            self.a >>= 1;
            self.n >>= 1;
            self.negatives >>= 1;
        }
        self.n += 1;
    }
}

#[inline(always)]
fn golomb_order(a: u32, n: i32) -> u32 {
    let n = n as u32;
    let k = n.leading_zeros().saturating_sub(a.leading_zeros());
    k + u32::from(n << k < a)
}

/// Parameters of a scan (§A.2.1, §C.2.4.1.1) that do not change within it.
#[derive(Debug)]
pub(super) struct Parameters {
    pub(super) maxval: i32,
    pub(super) near: i32,
    /// `2 * NEAR + 1`
    pub(super) step: i32,
    /// `RANGE`
    pub(super) range: i32,
    pub(super) reset: i32,
    /// `LIMIT`
    limit: u32,
    pub(super) limits: Limits,
    /// Gradients beyond it are all alike (`T3`).
    steepest: i32,
    /// Regions of the gradients (§A.3.3), from `-T3` to `T3`.
    regions: Vec<i8>,
}

impl Parameters {
    /// `preset` has been checked.
    pub(super) fn new(preset: &Preset, near: i32) -> Self {
        let step = 2 * near + 1;
        let maxval = preset.maxval;
        let range = (maxval + 2 * near) / step + 1;
        let bits = bit_length(maxval).max(2);
        let limit = 2 * (bits + bits.max(8));
        let plain = bit_length(range - 1);
        let region = |gradient: i32| {
            let size = gradient.abs();
            let region = if size <= near {
                0
            } else {
                1 + i8::from(size >= preset.t1)
                    + i8::from(size >= preset.t2)
                    + i8::from(size >= preset.t3)
            };
            if gradient < 0 { -region } else { region }
        };
        Self {
            maxval,
            near,
            step,
            range,
            reset: preset.reset,
            limit,
            limits: Limits {
                zeros: limit - plain - 1,
                plain,
            },
            steepest: preset.t3,
            regions: (-preset.t3..=preset.t3).map(region).collect(),
        }
    }

    /// `glimit` of an interrupted run (§A.7.2).
    #[inline(always)]
    pub(super) fn run_limits(&self, run: RunIndex) -> Limits {
        Limits {
            zeros: self.limit - run.order() - self.limits.plain - 2,
            plain: self.limits.plain,
        }
    }

    #[inline(always)]
    fn region(&self, gradient: i32) -> i32 {
        let place = gradient.max(-self.steepest).min(self.steepest) + self.steepest;
        self.regions[place as usize].into()
    }

    /// The context of a place (§A.3), negative when its sign is to be turned; 0 is that of runs.
    #[inline(always)]
    pub(super) fn context(&self, a: i32, b: i32, c: i32, d: i32) -> i32 {
        81 * self.region(d - b) + 9 * self.region(b - c) + self.region(c - a)
    }
}

fn bit_length(value: i32) -> u32 {
    32 - value.leading_zeros()
}

/// All contexts of a scan.
#[derive(Debug)]
pub(super) struct Contexts {
    pub(super) regular: [Context; 365],
    /// By `RItype`.
    pub(super) runs: [RunContext; 2],
}

impl Contexts {
    pub(super) fn new(parameters: &Parameters) -> Self {
        let a = ((parameters.range + 32) / 64).max(2) as u32;
        let run = |kind| RunContext {
            a,
            n: 1,
            negatives: 0,
            kind,
        };
        Self {
            regular: [Context {
                a,
                b: 0,
                c: 0,
                n: 1,
            }; 365],
            runs: [run(0), run(1)],
        }
    }
}

/// The median of what the neighbours let expect (§A.4.1).
#[inline(always)]
pub(super) fn predict(a: i32, b: i32, c: i32) -> i32 {
    (a + b - c).max(a.min(b)).min(a.max(b))
}

/// `value`, or `-value` when all bits of `sign` are set.
#[inline(always)]
pub(super) fn with_sign(value: i32, sign: i32) -> i32 {
    (value ^ sign) - sign
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_are_as_the_loop_of_the_standard_counts_them() {
        for n in [1, 2, 3, 17, 63, 64, 65_535] {
            for a in (0..300).chain([4095, 4096, 4097, 1 << 20, u32::MAX / 2]) {
                let mut k = 0;
                while (n as u64) << k < a.into() {
                    k += 1;
                }
                assert_eq!(golomb_order(a, n), k, "{a} {n}");
            }
        }
    }

    #[test]
    fn run_errors_are_mapped_and_back() {
        for kind in [0, 1] {
            for (n, negatives) in [(4, 0), (4, 2), (4, 4)] {
                let context = RunContext {
                    a: 9,
                    n,
                    negatives,
                    kind,
                };
                for k in [0, 2] {
                    let mut seen = Vec::new();
                    for error in (-9..=9).filter(|error| kind == 0 || *error != 0) {
                        let mapped = context.map(error, k);
                        assert_eq!(context.unmap(mapped, k), error);
                        seen.push(mapped);
                    }
                    seen.sort_unstable();
                    seen.dedup();
                    assert_eq!(seen.len(), 19 - kind as usize);
                }
            }
        }
    }
}
