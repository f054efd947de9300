//! Colors: palettes (PS3.3 §C.7.9) and YCbCr (§C.7.6.3.1.2).

use super::Error;

/// One color, red first.
pub(super) type Rgb = [u8; 3];

/// The three tables of (0028,1201) and on, as 8-bit colors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Palette {
    /// The stored value that the first entry is for.
    first: i64,
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
        Ok(Self {
            first: first as i64,
            colors,
        })
    }

    /// The color of a stored value; values beyond the tables get their first or last entry.
    pub(super) fn color(&self, stored: i64) -> Rgb {
        let last = self.colors.len() - 1;
        let entry = usize::try_from(stored.saturating_sub(self.first)).unwrap_or(0);
        self.colors[entry.min(last)]
    }
}

/// YBR_FULL to RGB.
pub(super) fn rgb_of_ybr([y, cb, cr]: [u8; 3]) -> Rgb {
    let (y, cb, cr) = (f32::from(y), f32::from(cb) - 128.0, f32::from(cr) - 128.0);
    // Casts saturate at 0 and 255.
    [
        (y + 1.402 * cr).round() as u8,
        (y - 0.344_136 * cb - 0.714_136 * cr).round() as u8,
        (y + 1.772 * cb).round() as u8,
    ]
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
    fn palettes_map_and_clamp() {
        let table = |bytes: &[u8]| [bytes.to_vec(), bytes.to_vec(), bytes.to_vec()];
        let words = Palette::new(2.0, -1.0, 16.0, table(&[1, 10, 2, 20])).unwrap();
        assert_eq!([-5, -1, 0, 9].map(|v| words.color(v)[0]), [10, 10, 20, 20]);
        let packed = Palette::new(2.0, 0.0, 8.0, table(&[10, 20])).unwrap();
        assert_eq!(packed.color(1), [20; 3]);
        let spread = Palette::new(2.0, 0.0, 8.0, table(&[10, 0, 20, 0])).unwrap();
        assert_eq!(spread.color(1), [20; 3]);
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
