//! A PNG of one native frame: stored values cut out (PS3.5 §8.1, §8.2), made grey or colored, and
//! averaged down to the wanted size row by row, so that memory does not grow with the frame.

use super::color::{Rgb, rgb_of_ybr};
use super::description::Photometric;
use super::tone::Voi;
use super::{Error, PixelDescription};
use crate::dicom::walk::ByteOrder;

/// The most pixels of a frame that is drawn.
const PIXELS_MAX: u64 = 256 << 20;
/// The longest side of a picture.
const SIDE_MAX: u32 = 8192;

/// Draws a frame as an 8-bit PNG, grey or RGB, that fits into `max_side` squared. Pixels that are
/// not square come out square. A frame smaller than that keeps its size.
///
/// # Errors
/// [`Error::CutOff`] when `frame` is shorter than rows, columns and bits ask for,
/// [`Error::TooLarge`] beyond 256 million pixels; both before anything is allocated.
pub fn picture(
    frame: &[u8],
    description: &PixelDescription,
    max_side: u32,
) -> Result<Vec<u8>, Error> {
    let source = Source::new(frame, description)?;
    let size = target_size(description, max_side);
    let (pixels, color) = match description.photometric {
        Photometric::Monochrome1 | Photometric::Monochrome2 => {
            let shade = Shades::new(&source);
            let draw =
                |row, out: &mut Vec<[u8; 1]>| source.each(row, |_, raw| out.push([shade.of(raw)]));
            (scaled(description, size, draw), png::ColorType::Grayscale)
        }
        _ => (
            scaled(description, size, |row, out: &mut Vec<Rgb>| {
                source.colors(row, out)
            }),
            png::ColorType::Rgb,
        ),
    };
    encode(&pixels, size, color)
}

/// A frame that is long enough for what its description says.
struct Source<'a> {
    frame: &'a [u8],
    description: &'a PixelDescription,
    columns: usize,
    mask: u32,
    is_swapped: bool,
}

impl<'a> Source<'a> {
    fn new(frame: &'a [u8], description: &'a PixelDescription) -> Result<Self, Error> {
        let pixels = u64::from(description.rows) * u64::from(description.columns);
        if pixels > PIXELS_MAX {
            return Err(Error::TooLarge(PIXELS_MAX));
        }
        let samples_by_two = match description.photometric {
            Photometric::YbrFull422 => 4,
            Photometric::Rgb | Photometric::YbrFull => 6,
            _ => 2,
        };
        let is_color = samples_by_two > 2;
        if is_color && !matches!(description.bits_allocated, 8 | 16) {
            return Err(Error::Unsupported("color of this number of bits"));
        }
        if description.photometric == Photometric::YbrFull422
            && (!description.columns.is_multiple_of(2) || description.bits_allocated != 8)
        {
            return Err(Error::Unsupported("YBR_FULL_422 of this shape"));
        }
        // At most 2^28 pixels of 3 samples of 32 bits: no overflow.
        let bits = pixels * samples_by_two / 2 * u64::from(description.bits_allocated);
        if (frame.len() as u64) < bits.div_ceil(8) {
            return Err(Error::CutOff);
        }
        let columns =
            usize::try_from(description.columns).map_err(|_| Error::TooLarge(PIXELS_MAX))?;
        let is_swapped = description.is_word_stream && description.byte_order == ByteOrder::Big;
        Ok(Self {
            frame,
            description,
            columns,
            mask: u32::MAX >> (32 - description.bits_stored),
            is_swapped,
        })
    }

    /// The stored bits of a sample, right-aligned, without sign.
    fn raw(&self, sample: usize) -> u32 {
        let cell = match self.description.bits_allocated {
            1 => u32::from(self.frame[sample / 8] >> (sample % 8) & 1),
            8 if self.is_swapped => u32::from(*self.frame.get(sample ^ 1).unwrap_or(&0)),
            8 => u32::from(self.frame[sample]),
            16 => {
                let bytes = [self.frame[sample * 2], self.frame[sample * 2 + 1]];
                u32::from(match self.description.byte_order {
                    ByteOrder::Little => u16::from_le_bytes(bytes),
                    ByteOrder::Big => u16::from_be_bytes(bytes),
                })
            }
            _ => {
                let at = sample * 4;
                let bytes = [
                    self.frame[at],
                    self.frame[at + 1],
                    self.frame[at + 2],
                    self.frame[at + 3],
                ];
                match self.description.byte_order {
                    ByteOrder::Little => u32::from_le_bytes(bytes),
                    ByteOrder::Big => u32::from_be_bytes(bytes),
                }
            }
        };
        cell >> self.description.low_bit & self.mask
    }

    /// What the stored bits mean.
    fn value(&self, raw: u32) -> i64 {
        let sign = 1 << (self.description.bits_stored - 1);
        let value = i64::from(raw);
        if self.description.is_signed && raw & sign != 0 {
            value - (i64::from(self.mask) + 1)
        } else {
            value
        }
    }

    /// Calls with the column and the stored bits of each pixel of a row of single samples.
    fn each(&self, row: usize, mut pixel: impl FnMut(usize, u32)) {
        let first = row * self.columns;
        (0..self.columns).for_each(|column| pixel(column, self.raw(first + column)));
    }

    fn colors(&self, row: usize, out: &mut Vec<Rgb>) {
        let first = row * self.columns;
        match (self.description.photometric, &self.description.palette) {
            (Photometric::PaletteColor, Some(palette)) => {
                self.each(row, |_, raw| out.push(palette.color(self.value(raw))));
            }
            (Photometric::YbrFull422, _) => {
                for pair in (0..self.columns / 2).map(|pair| (first / 2 + pair) * 4) {
                    let [y1, y2, cb, cr] = [0, 1, 2, 3].map(|sample| self.top_bits(pair + sample));
                    out.extend([rgb_of_ybr([y1, cb, cr]), rgb_of_ybr([y2, cb, cr])]);
                }
            }
            (photometric, _) => {
                let plane = usize::try_from(self.description.rows).unwrap_or(0) * self.columns;
                let (step, stride) = if self.description.is_planar {
                    (plane, 1)
                } else {
                    (1, 3)
                };
                let pixel = |column| {
                    [0, 1, 2]
                        .map(|channel| self.top_bits((first + column) * stride + channel * step))
                };
                let pixels = (0..self.columns).map(pixel);
                if photometric == Photometric::Rgb {
                    out.extend(pixels)
                } else {
                    out.extend(pixels.map(rgb_of_ybr))
                }
            }
        }
    }

    /// A sample of a color as 8 bits.
    fn top_bits(&self, sample: usize) -> u8 {
        let (raw, bits) = (self.raw(sample), self.description.bits_stored);
        let byte = if bits > 8 {
            raw >> (bits - 8)
        } else {
            raw * 255 / self.mask
        };
        u8::try_from(byte).unwrap_or(u8::MAX)
    }
}

/// What each stored value looks like.
struct Shades<'a> {
    source: &'a Source<'a>,
    voi: Voi,
    /// By stored bits, when there are at most 16.
    table: Vec<u8>,
}

impl<'a> Shades<'a> {
    fn new(source: &'a Source<'a>) -> Self {
        let description = source.description;
        let voi = match description.voi {
            _ if description.bits_stored == 1 => Voi::spanning(0.0, 1.0),
            Some(voi) => voi,
            None => Self::spanning(source),
        };
        let mut shades = Self {
            source,
            voi,
            table: Vec::new(),
        };
        if description.bits_stored <= 16 {
            shades.table = (0..=source.mask).map(|raw| shades.work_out(raw)).collect();
        }
        shades
    }

    /// The window from the frame's lowest to its highest value, padding left out.
    fn spanning(source: &Source<'_>) -> Voi {
        let description = source.description;
        let (mut low, mut high) = (i64::MAX, i64::MIN);
        for row in 0..usize::try_from(description.rows).unwrap_or(0) {
            source.each(row, |_, raw| {
                let value = source.value(raw);
                if !description
                    .padding
                    .is_some_and(|padding| padding.contains(value as f64))
                {
                    low = low.min(value);
                    high = high.max(value);
                }
            });
        }
        if low > high {
            (low, high) = (0, 0);
        }
        let [a, b] = [low, high].map(|value| description.modality.apply(value as f64));
        Voi::spanning(a.min(b), a.max(b))
    }

    fn work_out(&self, raw: u32) -> u8 {
        let description = self.source.description;
        let shade = match description.bits_stored {
            1 => self.voi.shade(f64::from(raw)),
            _ => self
                .voi
                .shade(description.modality.apply(self.source.value(raw) as f64)),
        };
        if description.photometric == Photometric::Monochrome1 {
            !shade
        } else {
            shade
        }
    }

    fn of(&self, raw: u32) -> u8 {
        let known = usize::try_from(raw)
            .ok()
            .and_then(|raw| self.table.get(raw));
        known.copied().unwrap_or_else(|| self.work_out(raw))
    }
}

/// Width and height of the picture: square pixels, not larger than the frame needs.
fn target_size(description: &PixelDescription, max_side: u32) -> (u32, u32) {
    let (columns, rows) = (f64::from(description.columns), f64::from(description.rows));
    let aspect = description.pixel_aspect;
    let (width, height) = if aspect >= 1.0 {
        (columns, rows * aspect)
    } else {
        (columns / aspect, rows)
    };
    let scale = (f64::from(max_side.clamp(1, SIDE_MAX)) / width.max(height)).min(1.0);
    let side = |length: f64| ((length * scale).round() as u32).clamp(1, SIDE_MAX);
    (side(width), side(height))
}

/// Averages rows and columns into boxes; where the picture is larger than the frame, pixels repeat.
fn scaled<const N: usize>(
    description: &PixelDescription,
    (width, height): (u32, u32),
    draw: impl Fn(usize, &mut Vec<[u8; N]>),
) -> Vec<u8> {
    let columns: Vec<(usize, usize)> = boxes(description.columns, width).collect();
    let mut pixels = Vec::with_capacity(columns.len() * usize::try_from(height).unwrap_or(0) * N);
    let mut row = Vec::new();
    let mut sums = vec![[0_u64; N]; columns.len()];
    for (top, bottom) in boxes(description.rows, height) {
        sums.fill([0; N]);
        for y in top..bottom {
            row.clear();
            draw(y, &mut row);
            for (sum, (left, right)) in sums.iter_mut().zip(&columns) {
                for pixel in &row[*left..*right] {
                    (0..N).for_each(|channel| sum[channel] += u64::from(pixel[channel]));
                }
            }
        }
        for (sum, (left, right)) in sums.iter().zip(&columns) {
            let count = ((bottom - top) * (right - left)) as u64;
            pixels
                .extend(sum.map(|sum| u8::try_from((sum + count / 2) / count).unwrap_or(u8::MAX)));
        }
    }
    pixels
}

/// For each of `parts`, which of `length` pixels it shows: never none.
fn boxes(length: u32, parts: u32) -> impl Iterator<Item = (usize, usize)> {
    let edge = move |part: u32| u64::from(part) * u64::from(length) / u64::from(parts);
    (0..parts).map(move |part| {
        let (start, end) = (edge(part), edge(part + 1));
        (start as usize, end.max(start + 1) as usize)
    })
}

fn encode(
    pixels: &[u8],
    (width, height): (u32, u32),
    color: png::ColorType,
) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width, height);
    encoder.set_color(color);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_compression(png::Compression::Fast);
    let written = encoder.write_header().and_then(|mut writer| {
        writer.write_image_data(pixels)?;
        writer.finish()
    });
    written.map_err(|_| Error::Unsupported("a picture of this size"))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A description of one row, from DICOM JSON.
    fn describe(
        photometric: &str,
        samples: u32,
        columns: u32,
        bits: [u32; 3],
        more: &str,
    ) -> PixelDescription {
        let [allocated, stored, high] = bits;
        let json = format!(
            r#"{{"00280002":{{"Value":[{samples}]}},"00280004":{{"Value":["{photometric}"]}},"00280010":{{"Value":[1]}},
            "00280011":{{"Value":[{columns}]}},"00280100":{{"Value":[{allocated}]}},"00280101":{{"Value":[{stored}]}},
            "00280102":{{"Value":[{high}]}}{more}}}"#
        );
        PixelDescription::from_metadata(json.as_bytes(), 1).unwrap()
    }

    fn pixels(png: &[u8]) -> ((u32, u32), Vec<u8>) {
        let mut reader = png::Decoder::new(std::io::Cursor::new(png))
            .read_info()
            .unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut pixels).unwrap();
        pixels.truncate(info.buffer_size());
        ((info.width, info.height), pixels)
    }

    fn draw(frame: &[u8], description: &PixelDescription) -> Vec<u8> {
        pixels(&picture(frame, description, 4_000).unwrap()).1
    }

    /// Photometric interpretation, bits, further JSON, frame, grey.
    type GreyCase = (
        &'static str,
        [u32; 3],
        &'static str,
        &'static [u8],
        &'static [u8],
    );

    #[test]
    fn stored_bits_become_grey() {
        const WINDOW: &str = r#","00281050":{"Value":[128]},"00281051":{"Value":[256]}"#;
        const SIGNED: &str = r#","00280103":{"Value":[1]}"#;
        let cases: [GreyCase; 9] = [
            (
                "MONOCHROME2",
                [8, 8, 7],
                WINDOW,
                &[0, 100, 255],
                &[0, 100, 255],
            ),
            (
                "MONOCHROME1",
                [8, 8, 7],
                WINDOW,
                &[0, 100, 255],
                &[255, 155, 0],
            ),
            ("MONOCHROME2", [8, 8, 7], "", &[10, 20, 30], &[0, 128, 255]),
            (
                "MONOCHROME2",
                [8, 8, 7],
                SIGNED,
                &[0x80, 0, 0x7f],
                &[0, 128, 255],
            ),
            // 12 bits stored at the top of 16: the lowest 4 are not part of the value.
            (
                "MONOCHROME2",
                [16, 12, 15],
                "",
                &[0x0f, 0, 0xf0, 0x7f, 0xff, 0xff],
                &[0, 127, 255],
            ),
            // 12 bits stored, signed: bits above the sign may be anything.
            (
                "MONOCHROME2",
                [16, 12, 11],
                SIGNED,
                &[0, 0xf8, 0, 0x30, 0xff, 0x07],
                &[0, 128, 255],
            ),
            (
                "MONOCHROME2",
                [32, 32, 31],
                "",
                &[0, 0, 0, 0, 0, 0, 0, 0x80, 0xff, 0xff, 0xff, 0xff],
                &[0, 128, 255],
            ),
            ("MONOCHROME2", [1, 1, 0], "", &[0b110], &[0, 255, 255]),
            (
                "MONOCHROME2",
                [8, 8, 7],
                r#","00280120":{"Value":[255]}"#,
                &[10, 20, 255],
                &[0, 255, 255],
            ),
        ];
        for (photometric, bits, more, frame, grey) in cases {
            assert_eq!(
                draw(frame, &describe(photometric, 1, 3, bits, more)),
                grey,
                "{photometric} {bits:?} {more}"
            );
        }
    }

    #[test]
    fn rescale_goes_before_the_window() {
        let more = r#","00281050":{"Value":["40"]},"00281051":{"Value":["400"]},"00281052":{"Value":["-1024"]},"00281053":{"Value":["1"]}"#;
        let description = describe("MONOCHROME2", 1, 3, [16, 12, 11], more);
        // -160, 100 and 240 HU.
        assert_eq!(
            draw(&[0x60, 0x03, 0x64, 0x04, 0xf0, 0x04], &description),
            [0, 166, 255]
        );
        let mut big = description;
        big.byte_order = ByteOrder::Big;
        assert_eq!(
            draw(&[0x03, 0x60, 0x04, 0x64, 0x04, 0xf0], &big),
            [0, 166, 255]
        );
    }

    #[test]
    fn colors_are_put_together() {
        let eight = [8, 8, 7];
        let planar = r#","00280006":{"Value":[1]}"#;
        assert_eq!(
            draw(&[1, 2, 3, 4, 5, 6], &describe("RGB", 3, 2, eight, "")),
            [1, 2, 3, 4, 5, 6]
        );
        assert_eq!(
            draw(&[1, 4, 2, 5, 3, 6], &describe("RGB", 3, 2, eight, planar)),
            [1, 2, 3, 4, 5, 6]
        );
        assert_eq!(
            draw(
                &[0, 1, 0, 2, 0, 3],
                &describe("RGB", 3, 1, [16, 16, 15], "")
            ),
            [1, 2, 3]
        );
        assert_eq!(
            draw(
                &[76, 85, 255, 29, 255, 107],
                &describe("YBR_FULL", 3, 2, eight, "")
            ),
            [254, 0, 0, 0, 0, 254]
        );
        assert_eq!(
            draw(
                &[76, 0, 85, 255],
                &describe("YBR_FULL_422", 3, 2, eight, "")
            ),
            [254, 0, 0, 178, 0, 0]
        );
        let words = r#","7FE00010":{"vr":"OW"}"#;
        let mut swapped = describe("RGB", 3, 2, eight, words);
        swapped.byte_order = ByteOrder::Big;
        assert_eq!(draw(&[2, 1, 4, 3, 6, 5], &swapped), [1, 2, 3, 4, 5, 6]);
        // 2 entries of 16 bits: 0x1100, 0x2200 (red), 0x3300, 0x4400 (green), 0x5500, 0x6600 (blue).
        let palette = r#","00281101":{"Value":[2,0,16]},"00281201":{"InlineBinary":"ABEAIg=="},"00281202":{"InlineBinary":"ADMARA=="},"00281203":{"InlineBinary":"AFUAZg=="}"#;
        assert_eq!(
            draw(&[0, 1], &describe("PALETTE COLOR", 1, 2, eight, palette)),
            [0x11, 0x33, 0x55, 0x22, 0x44, 0x66]
        );
    }

    #[test]
    fn pictures_shrink_by_averages_and_come_out_square() {
        let window = r#","00281050":{"Value":[128]},"00281051":{"Value":[256]}"#;
        let row = describe("MONOCHROME2", 1, 4, [8, 8, 7], window);
        assert_eq!(
            pixels(&picture(&[10, 20, 100, 201], &row, 2).unwrap()),
            ((2, 1), vec![15, 151])
        );
        assert_eq!(
            pixels(&picture(&[10, 20, 100, 201], &row, 0).unwrap()),
            ((1, 1), vec![83])
        );
        let tall = describe(
            "MONOCHROME2",
            1,
            2,
            [8, 8, 7],
            &format!(r#"{window},"00280034":{{"Value":["2","1"]}}"#),
        );
        assert_eq!(
            pixels(&picture(&[10, 20], &tall, 9).unwrap()),
            ((2, 2), vec![10, 20, 10, 20])
        );
    }

    #[test]
    fn sizes_are_checked_before_they_are_believed() {
        let huge = describe("MONOCHROME2", 1, 4_000_000_000, [16, 16, 15], "");
        assert_eq!(
            picture(&[0; 64], &huge, 100),
            Err(Error::TooLarge(PIXELS_MAX))
        );
        let large = describe("RGB", 3, 1 << 28, [16, 16, 15], "");
        assert_eq!(picture(&[0; 64], &large, 100), Err(Error::CutOff));
        for (columns, bits, enough) in [
            (9, [1, 1, 0], 2),
            (3, [8, 8, 7], 3),
            (3, [16, 16, 15], 6),
            (3, [32, 32, 31], 12),
        ] {
            let description = describe("MONOCHROME2", 1, columns, bits, "");
            assert!(picture(&vec![0; enough], &description, 100).is_ok());
            assert_eq!(
                picture(&vec![0; enough - 1], &description, 100),
                Err(Error::CutOff)
            );
        }
        let odd = describe("YBR_FULL_422", 3, 3, [8, 8, 7], "");
        assert_eq!(
            picture(&[0; 64], &odd, 100),
            Err(Error::Unsupported("YBR_FULL_422 of this shape"))
        );
    }
}
