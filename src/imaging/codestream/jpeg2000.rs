//! JPEG 2000 (ISO/IEC 15444-1 Annex A) and High-Throughput JPEG 2000 (15444-15): image size, coding
//! style and capabilities of the main header. The stream is a bare codestream or inside a JP2, JPX
//! or JPH file, see [`codestream_span`].

use std::io::{Read, Seek, SeekFrom};

use dicom_dictionary_std::uids;

use super::boxes::codestream_span;
use super::{Codestream, Fault, MONOCHROME, STEPS_MAX, byte, long, skip, word};

/// Image and tile size (§A.5.1).
struct Size {
    rows: u32,
    columns: u32,
    samples: u16,
    bits: u16,
    is_signed: bool,
}

/// Coding style (§A.6.1).
struct Style {
    is_rpcl: bool,
    has_color_transform: bool,
    is_reversible: bool,
}

const COLORS: &[&str] = &["RGB", "YBR_FULL"];
/// (0028,2114) (PS3.3 §C.7.6.1.1.5.1).
const METHOD: &str = "ISO_15444_1";
const METHOD_HT: &str = "ISO_15444_15";

pub(super) fn read(stream: &mut (impl Read + Seek)) -> Result<Codestream, Fault> {
    let (start, _) = codestream_span(stream)?;
    stream.seek(SeekFrom::Start(start))?;
    if (word(stream)?, word(stream)?) != (0xFF4F, 0xFF51) {
        return Err(Fault::Malformed("the beginning of a JPEG 2000 codestream"));
    }
    let length = word(stream)?;
    let (size, is_part_2) = size(stream, length)?;
    let (mut style, mut is_high_throughput) = (None, false);
    for _ in 0..STEPS_MAX {
        let marker = word(stream)?;
        if marker == 0xFF90 || marker == 0xFF93 {
            let style = style.ok_or(Fault::Malformed("a JPEG 2000 header without coding style"))?;
            return Ok(describe(size, style, is_part_2, is_high_throughput));
        }
        let length = word(stream)?
            .checked_sub(2)
            .ok_or(Fault::Malformed("the length of a JPEG 2000 segment"))?;
        let rest = match marker {
            // CAP: bit 15 from the top is Part 15 (15444-15 §A.3).
            0xFF50 if length >= 4 => {
                is_high_throughput |= long(stream)? & 1 << 17 != 0;
                length - 4
            }
            0xFF52 if length >= 10 => {
                style = Some(coding_style(stream)?);
                length - 10
            }
            0xFF52 => return Err(Fault::Malformed("the coding style of a JPEG 2000 stream")),
            _ => length,
        };
        skip(stream, rest.into())?;
    }
    Err(Fault::Malformed("a JPEG 2000 header without end"))
}

/// Also whether capabilities of Part 2 are needed.
fn size(stream: &mut impl Read, length: u16) -> Result<(Size, bool), Fault> {
    let capabilities = word(stream)?;
    let (right, bottom) = (long(stream)?, long(stream)?);
    let (left, top) = (long(stream)?, long(stream)?);
    for _tile in 0..4 {
        long(stream)?;
    }
    let samples = word(stream)?;
    if u32::from(length) != 38 + 3 * u32::from(samples) {
        return Err(Fault::Malformed("the image size of a JPEG 2000 stream"));
    }
    if samples != 1 && samples != 3 {
        return Err(Fault::Unsupported(
            "JPEG 2000 of other than 1 or 3 components",
        ));
    }
    let mut depth = None;
    for _ in 0..samples {
        let (component, horizontal, vertical) = (byte(stream)?, byte(stream)?, byte(stream)?);
        if (horizontal, vertical) != (1, 1) || *depth.get_or_insert(component) != component {
            return Err(Fault::Unsupported("JPEG 2000 with components that differ"));
        }
    }
    let depth = depth.ok_or(Fault::Malformed("a JPEG 2000 stream without components"))?;
    let bits = u16::from(depth & 0x7F) + 1;
    if bits > 32 {
        return Err(Fault::Unsupported("JPEG 2000 of more than 32 bits"));
    }
    let extent = |from: u32, to: u32| {
        to.checked_sub(from)
            .ok_or(Fault::Malformed("the image size of a JPEG 2000 stream"))
    };
    let size = Size {
        rows: extent(top, bottom)?,
        columns: extent(left, right)?,
        samples,
        bits,
        is_signed: depth & 0x80 != 0,
    };
    Ok((size, capabilities & 0x8000 != 0))
}

fn coding_style(stream: &mut impl Read) -> Result<Style, Fault> {
    let (_style, progression) = (byte(stream)?, byte(stream)?);
    let (_layers, transform) = (word(stream)?, byte(stream)?);
    let (_levels, _width, _height, _block) =
        (byte(stream)?, byte(stream)?, byte(stream)?, byte(stream)?);
    Ok(Style {
        is_rpcl: progression == 2,
        has_color_transform: transform & 1 != 0,
        is_reversible: byte(stream)? == 1,
    })
}

/// A reversible stream may still be cut short; whether it was only its maker knows, so the lossy
/// syntaxes may hold it too.
fn describe(size: Size, style: Style, is_part_2: bool, is_high_throughput: bool) -> Codestream {
    let is_lossy = !style.is_reversible;
    let transfer_syntaxes: &[&str] = match (is_high_throughput, is_part_2, is_lossy) {
        (true, _, true) => &[uids::HTJ2K],
        (true, _, false) if style.is_rpcl => {
            &[uids::HTJ2K_LOSSLESS, uids::HTJ2K_LOSSLESS_RPCL, uids::HTJ2K]
        }
        (true, _, false) => &[uids::HTJ2K_LOSSLESS, uids::HTJ2K],
        (false, true, true) => &[uids::JPEG2000MC],
        (false, true, false) => &[uids::JPEG2000MC_LOSSLESS, uids::JPEG2000MC],
        (false, false, true) => &[uids::JPEG2000, uids::JPEG2000MC],
        (false, false, false) => &[
            uids::JPEG2000_LOSSLESS,
            uids::JPEG2000,
            uids::JPEG2000MC_LOSSLESS,
            uids::JPEG2000MC,
        ],
    };
    Codestream {
        rows: size.rows,
        columns: size.columns,
        samples: size.samples,
        bits: size.bits,
        is_signed: Some(size.is_signed),
        photometric: match (size.samples, style.has_color_transform, is_lossy) {
            (1, ..) => MONOCHROME,
            (_, false, _) => COLORS,
            (_, true, false) => &["YBR_RCT"],
            (_, true, true) => &["YBR_ICT"],
        },
        is_lossy,
        method: if is_high_throughput {
            METHOD_HT
        } else {
            METHOD
        },
        transfer_syntaxes,
        frames: None,
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    /// A main header of 3 rows, 5 columns.
    fn header(
        samples: u16,
        depth: u8,
        transform: u8,
        wavelet: u8,
        is_ht: bool,
        order: u8,
    ) -> Vec<u8> {
        let mut bytes = vec![0xFF, 0x4F, 0xFF, 0x51];
        bytes.extend((38 + 3 * samples).to_be_bytes());
        bytes.extend([0, 0]);
        for number in [7_u32, 5, 2, 2, 7, 5, 0, 0] {
            bytes.extend(number.to_be_bytes());
        }
        bytes.extend(samples.to_be_bytes());
        for _ in 0..samples {
            bytes.extend([depth, 1, 1]);
        }
        if is_ht {
            bytes.extend([0xFF, 0x50, 0, 8, 0, 2, 0, 0, 0, 0]);
        }
        bytes.extend([0xFF, 0x64, 0, 6, 0, 1, b'h', b'i']);
        bytes.extend([
            0xFF, 0x52, 0, 12, 0, order, 0, 1, transform, 5, 4, 4, 0, wavelet,
        ]);
        bytes.extend([0xFF, 0x90]);
        bytes
    }

    #[test]
    fn main_headers_say_size_depth_color_and_loss() {
        for (bytes, samples, bits, is_signed, photometric, syntax, is_lossy) in [
            (
                header(1, 11, 0, 1, false, 0),
                1,
                12,
                false,
                "MONOCHROME2",
                uids::JPEG2000_LOSSLESS,
                false,
            ),
            (
                header(1, 0x8F, 0, 0, false, 0),
                1,
                16,
                true,
                "MONOCHROME2",
                uids::JPEG2000,
                true,
            ),
            (
                header(3, 7, 1, 1, false, 0),
                3,
                8,
                false,
                "YBR_RCT",
                uids::JPEG2000_LOSSLESS,
                false,
            ),
            (
                header(3, 7, 1, 0, false, 0),
                3,
                8,
                false,
                "YBR_ICT",
                uids::JPEG2000,
                true,
            ),
            (
                header(3, 7, 0, 1, false, 0),
                3,
                8,
                false,
                "RGB",
                uids::JPEG2000_LOSSLESS,
                false,
            ),
            (
                header(1, 11, 0, 1, true, 2),
                1,
                12,
                false,
                "MONOCHROME2",
                uids::HTJ2K_LOSSLESS,
                false,
            ),
            (
                header(1, 11, 0, 0, true, 0),
                1,
                12,
                false,
                "MONOCHROME2",
                uids::HTJ2K,
                true,
            ),
        ] {
            let found = read(&mut Cursor::new(&bytes)).unwrap();
            assert_eq!((found.rows, found.columns, found.samples), (3, 5, samples));
            assert_eq!((found.bits, found.is_signed), (bits, Some(is_signed)));
            assert_eq!(found.photometric[0], photometric);
            assert_eq!(
                (found.transfer_syntaxes[0], found.is_lossy),
                (syntax, is_lossy)
            );
            for cut in 0..bytes.len() {
                assert!(read(&mut Cursor::new(&bytes[..cut])).is_err(), "{cut}");
            }
        }
        let four = header(4, 7, 0, 1, false, 0);
        assert!(matches!(
            read(&mut Cursor::new(&four)),
            Err(Fault::Unsupported(_))
        ));
    }
}
