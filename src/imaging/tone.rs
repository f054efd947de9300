//! Grey values on their way to the screen: modality rescale (PS3.3 §C.11.1), then the window
//! (§C.11.2.1.2), as a table where the stored bits are few enough.

/// (0028,1053) and (0028,1052).
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Modality {
    pub(super) slope: f64,
    pub(super) intercept: f64,
}

/// (0028,1056)
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum VoiFunction {
    Linear,
    LinearExact,
    Sigmoid,
}

/// A window that its function allows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Voi {
    center: f64,
    width: f64,
    function: VoiFunction,
}

/// Stored values that mean "no pixel here", bounds included.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Padding {
    low: f64,
    high: f64,
}

impl Modality {
    pub(super) fn apply(self, stored: f64) -> f64 {
        stored.mul_add(self.slope, self.intercept)
    }
}

impl Padding {
    pub(super) fn between(one: f64, other: f64) -> Self {
        Self {
            low: one.min(other),
            high: one.max(other),
        }
    }

    pub(super) fn contains(self, stored: f64) -> bool {
        (self.low..=self.high).contains(&stored)
    }
}

impl Voi {
    /// `None` when the width is none: LINEAR wants at least 1, the others more than 0.
    pub(super) fn new(center: f64, width: f64, function: VoiFunction) -> Option<Self> {
        let is_allowed = if function == VoiFunction::Linear {
            width >= 1.0
        } else {
            width > 0.0
        };
        is_allowed.then_some(Self {
            center,
            width,
            function,
        })
    }

    /// The window from the lowest to the highest value.
    pub(super) fn spanning(low: f64, high: f64) -> Self {
        // A flat image has no contrast to show: any positive width will do.
        let width = if high > low { high - low } else { 1.0 };
        Self {
            center: low + width / 2.0,
            width,
            function: VoiFunction::LinearExact,
        }
    }

    /// 0 to 255.
    pub(super) fn shade(self, x: f64) -> u8 {
        let (c, w) = (self.center, self.width);
        let share = match self.function {
            VoiFunction::Linear if x <= c - 0.5 - (w - 1.0) / 2.0 => 0.0,
            VoiFunction::Linear if x > c - 0.5 + (w - 1.0) / 2.0 => 1.0,
            VoiFunction::Linear => (x - (c - 0.5)) / (w - 1.0) + 0.5,
            VoiFunction::LinearExact => (x - c) / w + 0.5,
            VoiFunction::Sigmoid => 1.0 / (1.0 + (-4.0 * (x - c) / w).exp()),
        };
        // A saturating cast: out of range and NaN become a bound.
        (share * 255.0).round() as u8
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_follow_the_formulas() {
        // (center, width, function, value, shade): values of pydicom 3.0.2 apply_windowing, scaled to 0..255.
        let cases = [
            (2048.0, 4096.0, VoiFunction::Linear, 0.0, 0),
            (2048.0, 4096.0, VoiFunction::Linear, 4095.0, 255),
            (40.0, 400.0, VoiFunction::Linear, -160.0, 0),
            (40.0, 400.0, VoiFunction::Linear, 239.0, 255),
            (40.0, 400.0, VoiFunction::Linear, 40.0, 128),
            (40.0, 400.0, VoiFunction::Linear, 100.0, 166),
            (40.0, 1.0, VoiFunction::Linear, 39.0, 0),
            (40.0, 1.0, VoiFunction::Linear, 40.0, 255),
            (40.0, 400.0, VoiFunction::LinearExact, 40.0, 128),
            (40.0, 400.0, VoiFunction::LinearExact, 240.0, 255),
            (40.0, 400.0, VoiFunction::LinearExact, -60.0, 64),
            (40.0, 400.0, VoiFunction::Sigmoid, 40.0, 128),
            (40.0, 400.0, VoiFunction::Sigmoid, 140.0, 186),
            (40.0, 400.0, VoiFunction::Sigmoid, -1e300, 0),
        ];
        for (center, width, function, value, shade) in cases {
            assert_eq!(
                Voi::new(center, width, function).unwrap().shade(value),
                shade,
                "{center} {width} {function:?} {value}"
            );
        }
        assert_eq!(Voi::new(0.0, 0.5, VoiFunction::Linear), None);
        assert_eq!(Voi::new(0.0, 0.0, VoiFunction::Sigmoid), None);
        assert_eq!(Voi::new(0.0, f64::NAN, VoiFunction::LinearExact), None);
    }

    #[test]
    fn a_span_reaches_from_black_to_white() {
        let voi = Voi::spanning(-5.0, 10.0);
        assert_eq!((voi.shade(-5.0), voi.shade(10.0)), (0, 255));
        assert_eq!(Voi::spanning(7.0, 7.0).shade(7.0), 0);
    }
}
