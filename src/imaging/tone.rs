//! Grey values on their way to the screen: to those of the modality (PS3.3 §C.11.1), then to what is
//! shown (§C.11.2), each by a formula or by a table.

use super::Error;
use super::color::{Palette, Rgb};

/// From stored values to those of the modality.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Modality {
    /// (0028,1053) and (0028,1052).
    Rescale { slope: f64, intercept: f64 },
    /// (0028,3000)
    Lut(Lut),
}

/// From those to what is shown.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Voi {
    /// (0028,1050) and (0028,1051).
    Window(Window),
    /// (0028,3010)
    Lut(Lut),
}

/// From those to P-Values, or to colors (PS3.3 §C.11.6, §C.7.9; PS3.4 §N.2).
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Finish {
    Identity,
    /// Also what MONOCHROME1 asks for.
    Inverse,
    /// (2050,0010)
    Lut(Lut),
    /// Of a pseudo-color presentation state.
    Palette(Palette),
}

/// A table of values (PS3.3 §C.11.1.1, §C.11.2.1.1).
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Lut {
    /// What the first entry is for.
    first: f64,
    /// Never empty.
    entries: Vec<u16>,
    /// The largest entry that its bits allow.
    max: u16,
}

/// (0028,1056)
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VoiFunction {
    /// PS3.3 §C.11.2.1.2.1.
    Linear,
    /// PS3.3 §C.11.2.1.3.2.
    LinearExact,
    /// PS3.3 §C.11.2.1.3.1.
    Sigmoid,
}

/// A window that its function allows, in values of the modality.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Window {
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
    /// The lowest and the highest value that stored values from `low` to `high` can become.
    pub(super) fn range(&self, low: f64, high: f64) -> (f64, f64) {
        match self {
            Self::Rescale { .. } => {
                let (one, other) = (self.apply(low), self.apply(high));
                (one.min(other), one.max(other))
            }
            Self::Lut(lut) => (0.0, f64::from(lut.max)),
        }
    }

    pub(super) fn apply(&self, stored: f64) -> f64 {
        match self {
            Self::Rescale { slope, intercept } => stored.mul_add(*slope, *intercept),
            Self::Lut(lut) => f64::from(lut.entry(stored)),
        }
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

impl Lut {
    /// By the three values of the descriptor (0028,3002) and the bytes of the table, little endian.
    pub(super) fn new(entries: f64, first: f64, bits: f64, table: &[u8]) -> Result<Self, Error> {
        let malformed = Error::Malformed("a lookup table");
        // 65,536 entries do not fit the descriptor's 16 bits: they are written as 0.
        let count = if entries == 0.0 {
            1 << 16
        } else {
            entries as usize
        };
        if !(1..=1 << 16).contains(&count) || !(8.0..=16.0).contains(&bits) {
            return Err(malformed);
        }
        // Entries of 8 bits are found packed, and also one to a word.
        let entries: Vec<u16> = if table.len() >= count * 2 {
            let words = table.chunks_exact(2).take(count);
            words
                .map(|word| u16::from_le_bytes([word[0], word[1]]))
                .collect()
        } else if bits == 8.0 && table.len() >= count {
            table[..count].iter().map(|byte| u16::from(*byte)).collect()
        } else {
            return Err(malformed);
        };
        let max = u16::MAX >> (16 - bits as u32);
        Ok(Self {
            first,
            entries,
            max,
        })
    }

    /// The entry of a value; values beyond the table get its first or last entry.
    fn entry(&self, value: f64) -> u16 {
        // A saturating cast: below the first entry is 0.
        let place = (value - self.first).round() as usize;
        self.entries[place.min(self.entries.len() - 1)]
    }
}

impl Voi {
    /// 0 to 1, or beyond.
    fn share(&self, x: f64) -> f64 {
        match self {
            Self::Window(window) => window.share(x),
            Self::Lut(lut) => f64::from(lut.entry(x)) / f64::from(lut.max),
        }
    }

    /// 0 to 255.
    pub(super) fn shade(&self, x: f64) -> u8 {
        byte(self.share(x))
    }
}

impl Finish {
    /// The grey of a value of the modality; of a palette, its red.
    pub(super) fn shade(&self, voi: &Voi, x: f64) -> u8 {
        match self {
            Self::Identity => voi.shade(x),
            Self::Inverse => !voi.shade(x),
            Self::Lut(lut) => {
                // A cast saturates, and NaN becomes 0: the share lies between 0 and 1 then.
                let place =
                    lut.first + voi.share(x).clamp(0.0, 1.0) * (lut.entries.len() - 1) as f64;
                byte(f64::from(lut.entry(place)) / f64::from(lut.max))
            }
            Self::Palette(palette) => palette.at_share(voi.share(x))[0],
        }
    }

    /// The color of a value of the modality.
    pub(super) fn color(&self, voi: &Voi, x: f64) -> Rgb {
        match self {
            Self::Palette(palette) => palette.at_share(voi.share(x)),
            _ => [self.shade(voi, x); 3],
        }
    }
}

/// A share as a byte. A saturating cast: out of range and NaN become a bound.
fn byte(share: f64) -> u8 {
    (share * 255.0).round() as u8
}

impl Window {
    /// `None` when the width is none: LINEAR wants at least 1, the others more than 0.
    #[must_use]
    pub fn new(center: f64, width: f64, function: VoiFunction) -> Option<Self> {
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

    /// 0 to 1, or beyond.
    fn share(self, x: f64) -> f64 {
        let (c, w) = (self.center, self.width);
        match self.function {
            VoiFunction::Linear if x <= c - 0.5 - (w - 1.0) / 2.0 => 0.0,
            VoiFunction::Linear if x > c - 0.5 + (w - 1.0) / 2.0 => 1.0,
            VoiFunction::Linear => (x - (c - 0.5)) / (w - 1.0) + 0.5,
            VoiFunction::LinearExact => (x - c) / w + 0.5,
            VoiFunction::Sigmoid => 1.0 / (1.0 + (-4.0 * (x - c) / w).exp()),
        }
    }

    /// 0 to 255.
    #[cfg(test)]
    fn shade(self, x: f64) -> u8 {
        byte(self.share(x))
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
                Window::new(center, width, function).unwrap().shade(value),
                shade,
                "{center} {width} {function:?} {value}"
            );
        }
        assert_eq!(Window::new(0.0, 0.5, VoiFunction::Linear), None);
        assert_eq!(Window::new(0.0, 0.0, VoiFunction::Sigmoid), None);
        assert_eq!(Window::new(0.0, f64::NAN, VoiFunction::LinearExact), None);
    }

    #[test]
    fn tables_map_and_clamp() {
        let table: Vec<u8> = [10_u16, 20, 4095]
            .iter()
            .flat_map(|v| v.to_le_bytes())
            .collect();
        let lut = Lut::new(3.0, -1.0, 12.0, &table).unwrap();
        assert_eq!(
            [-9.0, -1.0, 0.0, 1.0, 1e300].map(|v| lut.entry(v)),
            [10, 10, 20, 4095, 4095]
        );
        assert_eq!(Voi::Lut(lut).shade(1.0), 255);
        let packed = Lut::new(2.0, 0.0, 8.0, &[7, 9]).unwrap();
        assert_eq!((packed.entry(0.0), packed.entry(1.0)), (7, 9));
        assert!(Lut::new(0.0, 0.0, 16.0, &vec![0; 1 << 17]).is_ok());
        for (entries, bits) in [
            (4.0, 16.0),
            (0.0, 16.0),
            (-1.0, 16.0),
            (3.0, 7.0),
            (3.0, 17.0),
            (f64::NAN, 8.0),
        ] {
            assert!(
                Lut::new(entries, 0.0, bits, &table).is_err(),
                "{entries} {bits}"
            );
        }
    }

    #[test]
    fn a_span_reaches_from_black_to_white() {
        let voi = Window::spanning(-5.0, 10.0);
        assert_eq!((voi.shade(-5.0), voi.shade(10.0)), (0, 255));
        assert_eq!(Window::spanning(7.0, 7.0).shade(7.0), 0);
    }
}
