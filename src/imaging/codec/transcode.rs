//! A frame from one codec to native bytes, and from native bytes to another: which family of
//! codestreams a transfer syntax holds, and how samples stand in the cells of native pixel data
//! (PS3.5 §8.1, §8.2).

use std::io::Cursor;

use super::super::codestream;
use super::super::color::rgb_of_ybr;
use super::super::shape::{Photometric, Shape};
use super::{Color, Fault, Raster, deflate, jpeg, jpeg_ls, jpeg_xl, jpeg2000, rle, sample_bytes};

/// A family of codestreams.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Codec {
    /// JPEG with a cosine transform (PS3.5 §A.4.1): processes 1, 2 and 4.
    JpegDct,
    /// JPEG without loss: process 14.
    JpegLossless,
    /// JPEG-LS (§A.4.3).
    JpegLs,
    /// JPEG 2000 and High-Throughput JPEG 2000 (§A.4.4, §A.4.9).
    Jpeg2000,
    /// JPEG XL (§A.4.12).
    JpegXl,
    /// RLE Lossless (§A.4.2).
    Rle,
    /// Deflated Image Frame Compression (§A.4.13).
    Deflate,
}

impl Codec {
    /// The codec of a transfer syntax; `None` for native, video and unknown ones.
    #[must_use]
    pub fn of_syntax(uid: &str) -> Option<Self> {
        match uid.strip_prefix("1.2.840.10008.1.2.")? {
            "4.50" | "4.51" => Some(Self::JpegDct),
            "4.57" | "4.70" => Some(Self::JpegLossless),
            "4.80" | "4.81" => Some(Self::JpegLs),
            "4.90" | "4.91" | "4.201" | "4.202" | "4.203" => Some(Self::Jpeg2000),
            "4.110" | "4.111" | "4.112" => Some(Self::JpegXl),
            "5" => Some(Self::Rle),
            "8.1" => Some(Self::Deflate),
            _ => None,
        }
    }

    /// The codecs that we encode, without loss, in the order in which they are offered.
    pub const ENCODED: &[Self] = &[Self::JpegLs, Self::Jpeg2000, Self::Rle];

    /// The transfer syntax of what we encode with it.
    #[must_use]
    pub fn lossless_syntax(self) -> Option<&'static str> {
        match self {
            Self::Rle => Some("1.2.840.10008.1.2.5"),
            Self::JpegLs => Some("1.2.840.10008.1.2.4.80"),
            Self::Jpeg2000 => Some("1.2.840.10008.1.2.4.90"),
            Self::JpegDct | Self::JpegLossless | Self::JpegXl | Self::Deflate => None,
        }
    }
}

/// Whether the headers of a codestream agree with the data set; `head` is its beginning, `is_whole`
/// when it is all. What lies beyond is believed.
///
/// # Errors
/// What they say otherwise.
pub fn look(codec: Codec, head: &[u8], is_whole: bool, shape: &Shape) -> Result<(), Fault> {
    let media_type = match codec {
        Codec::JpegDct | Codec::JpegLossless => "image/jpeg",
        Codec::JpegLs => "image/jls",
        Codec::Jpeg2000 => "image/jp2",
        Codec::JpegXl => "image/jxl",
        // Nothing in them tells.
        Codec::Rle | Codec::Deflate => return Ok(()),
    };
    match codestream::read(media_type, &mut Cursor::new(head)) {
        Ok(Some(found)) => {
            shape
                .bounds()
                .agree(found.rows, found.columns, found.samples, found.bits)
        }
        Ok(None) => Ok(()),
        Err(Fault::CutOff) if !is_whole => Ok(()),
        Err(fault) => Err(fault),
    }
}

/// A compressed frame as native bytes: cells of (0028,0100), by pixel, little endian, of the shape
/// that [`Shape::decoded`] tells.
///
/// # Errors
/// When the codestream is not what `shape` says, is broken, or not of a kind that we decode.
pub fn decode(codec: Codec, codestream: &[u8], shape: &Shape) -> Result<Vec<u8>, Fault> {
    let bounds = shape.bounds();
    let after = shape.decoded(codec)?;
    let raster = match codec {
        Codec::Deflate => return deflate::decode(codestream, &bounds).map(|raster| raster.bytes),
        Codec::Rle => {
            // All bits of each cell, or single bits as they stand.
            return rle::decode(codestream, &bounds).map(|raster| raster.bytes);
        }
        Codec::JpegLs => jpeg_ls::decode(codestream, &bounds)?,
        Codec::JpegDct | Codec::JpegLossless => jpeg::decode(codestream, &bounds)?,
        Codec::Jpeg2000 => jpeg2000::decode(codestream, &bounds)?,
        Codec::JpegXl => jpeg_xl::decode(codestream, &bounds)?,
    };
    let is_ybr = match raster.color {
        Color::Ybr => true,
        Color::Rgb => false,
        Color::Unsaid => shape.photometric != Photometric::Rgb,
    };
    let converts = codec == Codec::JpegDct && is_ybr && after.photometric == Photometric::Rgb;
    let bits = raster.bits;
    let mut cells = in_cells(raster, shape);
    if converts {
        if bits != 8 || shape.cell_bytes() != 1 {
            return Err(Fault::Unsupported("luminance of this depth"));
        }
        for pixel in cells.chunks_exact_mut(3) {
            pixel.copy_from_slice(&rgb_of_ybr([pixel[0], pixel[1], pixel[2]]));
        }
    }
    Ok(cells)
}

/// Samples in cells of the data set, with its sign: what a codestream has no sign for, or another.
fn in_cells(raster: Raster, shape: &Shape) -> Vec<u8> {
    let (from, to) = (sample_bytes(raster.bits), shape.cell_bytes());
    let is_whole = usize::from(raster.bits) == from * 8;
    if from == to && (is_whole || !shape.is_signed && !raster.is_signed) {
        return raster.bytes;
    }
    let unused = 32 - u32::from(raster.bits.clamp(1, 32));
    let mut cells = Vec::with_capacity(raster.bytes.len() / from * to);
    for sample in raster.bytes.chunks_exact(from) {
        let mut wide = [0; 4];
        wide[..from].copy_from_slice(sample);
        let raw = u32::from_le_bytes(wide) << unused;
        let cell = if shape.is_signed {
            (raw.cast_signed() >> unused).cast_unsigned()
        } else {
            raw >> unused
        };
        cells.extend_from_slice(&cell.to_le_bytes()[..to]);
    }
    cells
}

/// A native frame (cells of (0028,0100), little endian) as a codestream that gives back the same bytes.
///
/// # Errors
/// As [`Shape::encoded`]; [`Fault::CutOff`] when the frame is too short.
pub fn encode(codec: Codec, native: &[u8], shape: &Shape) -> Result<Vec<u8>, Fault> {
    shape.encoded(codec)?;
    let length = usize::try_from(shape.frame_bytes()).map_err(|_| Fault::CutOff)?;
    let native = native.get(..length).ok_or(Fault::CutOff)?;
    let cell = shape.cell_bytes();
    let mut raster = Raster {
        rows: shape.rows,
        columns: shape.columns,
        samples: shape.samples,
        bits: shape.bits_allocated,
        is_signed: shape.is_signed,
        color: if shape.photometric == Photometric::Rgb {
            Color::Rgb
        } else {
            Color::Unsaid
        },
        bytes: if shape.is_planar && shape.samples > 1 {
            by_pixel(native, cell, shape.samples.into())
        } else {
            native.to_vec()
        },
    };
    match codec {
        Codec::Rle => rle::encode(&raster),
        Codec::JpegLs => {
            // Of single bytes DCMTK decodes eight bits only, and signs come back from whole cells
            // only: JPEG-LS knows none.
            raster.bits = if shape.is_signed || cell == 1 {
                shape.bits_allocated
            } else {
                depth(&raster.bytes, shape)
            };
            jpeg_ls::encode(&raster)
        }
        Codec::Jpeg2000 => {
            raster.bits = depth(&raster.bytes, shape);
            jpeg2000::encode(&raster)
        }
        _ => Err(Fault::Unsupported("encoding with this codec")),
    }
}

/// Planes put together.
fn by_pixel(planes: &[u8], cell: usize, samples: usize) -> Vec<u8> {
    let plane = planes.len() / samples;
    let mut pixels = Vec::with_capacity(planes.len());
    for at in (0..plane).step_by(cell) {
        for sample in 0..samples {
            pixels.extend_from_slice(&planes[sample * plane + at..][..cell]);
        }
    }
    pixels
}

/// Bits Stored, when every cell is told by so many of its bits; else all of them. Some writers keep
/// overlays above the samples, and those must not be lost. Cells of two bytes need nine at least:
/// fewer are decoded to single bytes, by us and by everybody.
fn depth(cells: &[u8], shape: &Shape) -> u16 {
    let allocated = shape.bits_allocated;
    let stored = match shape.cell_bytes() {
        1 => shape.bits_stored,
        _ => shape.bits_stored.max(9),
    };
    if stored == allocated {
        return allocated;
    }
    let unused = 32 - u32::from(stored);
    let allocated_unused = 32 - u32::from(allocated);
    let is_told = |raw: u32| {
        if shape.is_signed {
            let value = (raw << allocated_unused).cast_signed() >> allocated_unused;
            (value << unused) >> unused == value
        } else {
            (raw << unused) >> unused == raw
        }
    };
    let all_told = match shape.cell_bytes() {
        1 => cells.iter().all(|byte| is_told((*byte).into())),
        _ => cells
            .chunks_exact(2)
            .all(|cell| is_told(u16::from_le_bytes([cell[0], cell[1]]).into())),
    };
    if all_told { stored } else { allocated }
}

#[cfg(test)]
mod tests {
    use super::super::super::shape::Sample;
    use super::*;

    fn shape(photometric: Photometric, allocated: u16, stored: u16, is_signed: bool) -> Shape {
        Shape {
            rows: 2,
            columns: 2,
            samples: if photometric.is_color() { 3 } else { 1 },
            photometric,
            is_planar: false,
            bits_allocated: allocated,
            bits_stored: stored,
            is_signed,
            sample: Sample::Whole,
            frames: 1,
            is_word_stream: false,
        }
    }

    fn there_and_back(codec: Codec, native: &[u8], shape: &Shape) {
        let codestream = encode(codec, native, shape).unwrap();
        let decoded = decode(codec, &codestream, &shape.encoded(codec).unwrap());
        assert_eq!(decoded.unwrap(), native, "{codec:?} {shape:?}");
    }

    #[test]
    fn cells_come_back_whatever_stands_in_them() {
        use Photometric::{Monochrome2, Rgb};
        // 12 bits stored: plain, negative, and with something above the samples.
        let plain = [1, 0, 0xFF, 0x0F, 0, 8, 0, 0];
        let negative = [0xFF, 0xFF, 0, 0xF8, 0xFF, 7, 0, 0];
        let overlaid = [1, 0x10, 0, 0x80, 0xFF, 0xFF, 0, 0];
        for codec in Codec::ENCODED.iter().copied() {
            there_and_back(codec, &plain, &shape(Monochrome2, 16, 12, false));
            there_and_back(codec, &negative, &shape(Monochrome2, 16, 12, true));
            there_and_back(codec, &overlaid, &shape(Monochrome2, 16, 12, false));
            there_and_back(codec, &overlaid, &shape(Monochrome2, 16, 12, true));
            there_and_back(codec, &plain[..4], &shape(Monochrome2, 8, 8, true));
            there_and_back(codec, &[0, 1, 1, 0], &shape(Monochrome2, 8, 1, false));
            // Eight bits and fewer in cells of two bytes.
            there_and_back(
                codec,
                &[3, 0, 7, 0, 0, 0, 4, 0],
                &shape(Monochrome2, 16, 3, false),
            );
            there_and_back(
                codec,
                &[0xFC, 0xFF, 3, 0, 0, 0, 0x80, 0xFF],
                &shape(Monochrome2, 16, 8, true),
            );
            there_and_back(
                codec,
                &[3, 0, 0xFF, 0, 0, 0, 4, 0],
                &shape(Monochrome2, 16, 8, false),
            );
            let colors: Vec<u8> = (0..12).collect();
            there_and_back(codec, &colors, &shape(Rgb, 8, 8, false));
        }
        assert_eq!(depth(&plain, &shape(Monochrome2, 16, 12, false)), 12);
        assert_eq!(depth(&negative, &shape(Monochrome2, 16, 12, true)), 12);
        assert_eq!(depth(&overlaid, &shape(Monochrome2, 16, 12, true)), 16);
        assert_eq!(depth(&[3, 0], &shape(Monochrome2, 16, 3, false)), 9);
        assert_eq!(depth(&[3, 0], &shape(Monochrome2, 8, 3, false)), 3);
    }

    #[test]
    fn planes_are_put_together() {
        let mut planar = shape(Photometric::Rgb, 8, 8, false);
        planar.is_planar = true;
        let planes = [1, 2, 3, 4, 11, 12, 13, 14, 21, 22, 23, 24];
        let codestream = encode(Codec::JpegLs, &planes, &planar).unwrap();
        let decoded = decode(Codec::JpegLs, &codestream, &planar).unwrap();
        assert_eq!(decoded, [1, 11, 21, 2, 12, 22, 3, 13, 23, 4, 14, 24]);
        assert_eq!(
            encode(Codec::Rle, &planes[..11], &planar),
            Err(Fault::CutOff)
        );
    }
}
