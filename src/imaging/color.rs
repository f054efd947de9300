//! Colors: palettes (PS3.3 §C.7.9) and YCbCr (§C.7.6.3.1.2).

use super::Error;

/// One color, red first.
pub(super) type Rgb = [u8; 3];

/// The three tables of (0028,1201) and on, as 8-bit colors.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Palette {
    /// The stored value that the first entry is for.
    first: f64,
    /// Never empty.
    colors: Vec<Rgb>,
}

impl Palette {
    /// By the three values of the descriptor (0028,1101) and the bytes of the tables, little endian.
    pub(super) fn new(
        entries: f64,
        first: f64,
        bits: f64,
        tables: [Vec<u8>; 3],
    ) -> Result<Self, Error> {
        let malformed = Error::Malformed("the palette");
        // 65,536 entries do not fit the descriptor's 16 bits: they are written as 0.
        let entries = if entries == 0.0 {
            1 << 16
        } else {
            entries as usize
        };
        if !(1..=1 << 16).contains(&entries) || (bits != 8.0 && bits != 16.0) {
            return Err(malformed);
        }
        let mut colors = vec![Rgb::default(); entries];
        for (channel, table) in tables.iter().enumerate() {
            // 8-bit entries are found packed, and also one to a word.
            let is_words = table.len() >= entries * 2;
            if table.len() < entries || (bits == 16.0 && !is_words) {
                return Err(malformed);
            }
            for (entry, color) in colors.iter_mut().enumerate() {
                color[channel] = match (is_words, bits == 16.0) {
                    (true, true) => table[entry * 2 + 1],
                    (true, false) => table[entry * 2],
                    (false, _) => table[entry],
                };
            }
        }
        Ok(Self { first, colors })
    }

    /// A color for each stored value from 0 on; there is at least one.
    pub(super) fn of_colors(colors: Vec<Rgb>) -> Option<Self> {
        (!colors.is_empty()).then_some(Self { first: 0.0, colors })
    }

    /// The color of a stored value; values beyond the tables get their first or last entry.
    pub(super) fn color(&self, stored: f64) -> Rgb {
        let last = self.colors.len() - 1;
        // A saturating cast: below the first entry is 0.
        self.colors[((stored - self.first) as usize).min(last)]
    }
}

impl Palette {
    /// The color at a part of the way from the first to the last entry.
    pub(super) fn at_share(&self, share: f64) -> Rgb {
        let last = self.colors.len() - 1;
        let place = (share * last as f64).round() as usize;
        self.colors[place.min(last)]
    }
}

/// The most segments of one table.
const SEGMENTS_MAX: usize = 1 << 17;
/// The most entries of one table.
const ENTRIES_MAX: usize = 1 << 16;

/// A segmented table of 16-bit words (PS3.3 §C.7.9.2), in full: discrete values, straight lines from
/// the value before, and segments told again from another place.
pub(super) fn unsegmented(segments: &[u8]) -> Result<Vec<u8>, Error> {
    let malformed = || Error::Malformed("a segmented palette");
    let words: Vec<u16> = segments
        .chunks_exact(2)
        .map(|word| u16::from_le_bytes([word[0], word[1]]))
        .collect();
    let word = |at: usize| words.get(at).copied().ok_or_else(malformed);
    let mut table: Vec<u16> = Vec::new();
    let (mut at, mut steps) = (0, 0);
    // Where to go on, once so many segments have been told again. These do not nest.
    let mut again: Option<(usize, u16)> = None;
    while at < words.len() || again.is_some() {
        if let Some((back, 0)) = again {
            (at, again) = (back, None);
            continue;
        }
        if let Some((_, left)) = &mut again {
            *left -= 1;
        }
        steps += 1;
        let count = usize::from(word(at + 1)?);
        match word(at)? {
            0 => {
                let values = words.get(at + 2..at + 2 + count).ok_or_else(malformed)?;
                table.extend_from_slice(values);
                at += 2 + count;
            }
            1 => {
                let (from, to) = (table.last().copied().ok_or_else(malformed)?, word(at + 2)?);
                let rise = (f64::from(to) - f64::from(from)) / count as f64;
                let value = |step: usize| (f64::from(from) + rise * step as f64).round() as u16;
                table.extend((1..=count).map(value));
                at += 3;
            }
            2 if again.is_none() => {
                let offset = u32::from(word(at + 2)?) | u32::from(word(at + 3)?) << 16;
                again = Some((at + 4, count as u16));
                at = offset as usize / 2;
            }
            _ => return Err(malformed()),
        }
        if steps > SEGMENTS_MAX || table.len() > ENTRIES_MAX {
            return Err(malformed());
        }
    }
    Ok(table.into_iter().flat_map(u16::to_le_bytes).collect())
}

/// YBR_FULL to RGB, rounded as libjpeg does it, so that everybody's decoders agree to the last bit.
pub(super) fn rgb_of_ybr([y, cb, cr]: [u8; 3]) -> Rgb {
    // 65536ths of the factors of JFIF 1.02: 1.402, 0.34414, 0.71414, 1.772.
    let (cb, cr) = (i32::from(cb) - 128, i32::from(cr) - 128);
    [91_881 * cr, -22_554 * cb - 46_802 * cr, 116_130 * cb]
        .map(|part| (i32::from(y) + ((part + 32_768) >> 16)).clamp(0, 255) as u8)
}

/// PCS-Values, CIELab under D50 (PS3.3 §C.10.7.1.1), as sRGB.
pub(super) fn rgb_of_lab(values: [f64; 3]) -> Rgb {
    let [l, a, b] = values.map(|value| value / 65_535.0);
    let (l, a, b) = (l * 100.0, a * 255.0 - 128.0, b * 255.0 - 128.0);
    let middle = (l + 16.0) / 116.0;
    let linear = |t: f64| {
        if t > 6.0 / 29.0 {
            t.powi(3)
        } else {
            (t - 4.0 / 29.0) * 108.0 / 841.0
        }
    };
    let (x, y, z) = (
        0.964_22 * linear(middle + a / 500.0),
        linear(middle),
        0.825_21 * linear(middle - b / 200.0),
    );
    // From D50 to the primaries of sRGB, adapted after Bradford.
    let rows = [
        [3.133_856_1, -1.616_866_7, -0.490_614_6],
        [-0.978_768_4, 1.916_141_5, 0.033_454_0],
        [0.071_945_3, -0.228_991_4, 1.405_242_7],
    ];
    rows.map(|[by_x, by_y, by_z]| {
        let light = by_x * x + by_y * y + by_z * z;
        let curved = if light <= 0.003_130_8 {
            12.92 * light
        } else {
            1.055 * light.powf(1.0 / 2.4) - 0.055
        };
        // Casts saturate at 0 and 255.
        (curved * 255.0).round() as u8
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ybr_is_as_pydicom_converts_it() {
        // pydicom 3.0.2: convert_color_space(…, "YBR_FULL", "RGB").
        let cases = [
            ([76, 85, 255], [254, 0, 0]),
            ([150, 44, 21], [0, 255, 1]),
            ([29, 255, 107], [0, 0, 254]),
            ([255, 128, 128], [255, 255, 255]),
            ([0, 128, 128], [0, 0, 0]),
            ([100, 90, 160], [145, 90, 33]),
        ];
        for (ybr, rgb) in cases {
            assert_eq!(rgb_of_ybr(ybr), rgb, "{ybr:?}");
        }
    }

    #[test]
    fn ybr_is_rounded_as_libjpeg_rounds_it() {
        // A factor of 0.344136 would give a green of 134 and 165.
        assert_eq!(rgb_of_ybr([100, 7, 138]), [114, 135, 0]);
        assert_eq!(rgb_of_ybr([100, 2, 97])[1], 166);
    }

    #[test]
    fn lab_is_as_littlecms_converts_it() {
        // Pillow ImageCms: from LAB under D50 to sRGB, relative colorimetric.
        let cases = [
            ([65535.0, 32896.0, 32896.0], [254, 255, 254]),
            ([0.0, 32896.0, 32896.0], [1, 0, 1]),
            ([35980.0, 46260.0, 41120.0], [218, 87, 80]),
            ([46260.0, 23130.0, 38550.0], [101, 191, 130]),
            ([28270.0, 35980.0, 23130.0], [91, 97, 165]),
            ([51400.0, 33410.0, 48830.0], [222, 191, 71]),
            ([32896.0, 32896.0, 32896.0], [119, 119, 119]),
            ([41634.0, 41120.0, 40863.0], [217, 130, 100]),
            ([32639.0, 24929.0, 44975.0], [80, 132, 25]),
            ([20046.0, 40092.0, 20046.0], [75, 57, 152]),
        ];
        for (lab, rgb) in cases {
            let made = rgb_of_lab(lab);
            let worst = made.iter().zip(rgb).map(|(a, b)| a.abs_diff(b)).max();
            assert!(worst <= Some(2), "{lab:?}: {made:?}");
        }
    }

    #[test]
    fn segments_are_told_in_full() {
        let told = |words: &[u16]| {
            let bytes: Vec<u8> = words.iter().flat_map(|w| w.to_le_bytes()).collect();
            let table = unsegmented(&bytes)?;
            Ok::<Vec<u16>, Error>(
                table
                    .chunks(2)
                    .map(|w| u16::from_le_bytes([w[0], w[1]]))
                    .collect(),
            )
        };
        // PS3.3 §C.7.9.2: two values, a line of four steps up to 100, then both again.
        let words = [0, 2, 10, 20, 1, 4, 100, 2, 2, 0, 0];
        assert_eq!(
            told(&words).unwrap(),
            [10, 20, 40, 60, 80, 100, 10, 20, 40, 60, 80, 100]
        );
        let bad: &[&[u16]] = &[
            &[0, 5, 1],
            &[1, 2, 5],
            &[2, 1, 0, 0],
            &[3, 1, 1],
            &[0],
            &[0, 1, 7, 2, 9, 999, 0],
        ];
        for words in bad {
            assert!(told(words).is_err(), "{words:?}");
        }
        assert!(
            told(
                &[0, 1, 7]
                    .into_iter()
                    .chain((0..20_000).flat_map(|_| [1, 60_000, 9]))
                    .collect::<Vec<_>>()
            )
            .is_err()
        );
    }

    #[test]
    fn palettes_map_and_clamp() {
        let table = |bytes: &[u8]| [bytes.to_vec(), bytes.to_vec(), bytes.to_vec()];
        let words = Palette::new(2.0, -1.0, 16.0, table(&[1, 10, 2, 20])).unwrap();
        assert_eq!(
            [-5.0, -1.0, 0.0, 9.0].map(|v| words.color(v)[0]),
            [10, 10, 20, 20]
        );
        let packed = Palette::new(2.0, 0.0, 8.0, table(&[10, 20])).unwrap();
        assert_eq!(packed.color(1.0), [20; 3]);
        let spread = Palette::new(2.0, 0.0, 8.0, table(&[10, 0, 20, 0])).unwrap();
        assert_eq!(spread.color(1.0), [20; 3]);
        for (entries, bits) in [
            (3.0, 16.0),
            (9.0, 8.0),
            (-1.0, 8.0),
            (2.0, 12.0),
            (0.0, 8.0),
            (f64::NAN, 8.0),
        ] {
            assert!(
                Palette::new(entries, 0.0, bits, table(&[1, 2, 3, 4])).is_err(),
                "{entries} {bits}"
            );
        }
    }
}
