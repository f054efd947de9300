//! JPEG XL (ISO/IEC 18181-1 §D): size and image metadata, of a bare codestream or in its container.

use std::io::{Read, Seek, SeekFrom};

use dicom_dictionary_std::uids;

use super::bits::Lsb;
use super::{Codestream, Fault, MONOCHROME, array, boxes, head};

/// Size and metadata fit in far less, without an ICC profile, which comes after them.
const HEAD_BYTES: usize = 256;
const METHOD: &str = "ISO_18181_1";
/// The first box of the container (ISO/IEC 18181-2 §9.1).
const SIGNATURE: [u8; 12] = *b"\0\0\0\x0CJXL \r\n\x87\n";

pub(super) fn read(stream: &mut (impl Read + Seek)) -> Result<Codestream, Fault> {
    let end = boxes::length(stream)?;
    stream.seek(SeekFrom::Start(0))?;
    let mut is_recompressed = false;
    if end >= 12 && array::<12>(stream)? == SIGNATURE {
        is_recompressed = boxes::find(stream, b"jbrd", 0, end)?.is_some();
        let start = match boxes::find(stream, b"jxlc", 0, end)? {
            Some(whole) => whole.start,
            // A part begins with its number.
            None => boxes::find(stream, b"jxlp", 0, end)?
                .map(|part| part.start.saturating_add(4))
                .ok_or(Fault::Malformed("a JPEG XL file without a codestream"))?,
        };
        stream.seek(SeekFrom::Start(start))?;
    } else {
        stream.seek(SeekFrom::Start(0))?;
    }
    if array(stream)? != [0xFF, 0x0A] {
        return Err(Fault::Malformed("the beginning of a JPEG XL codestream"));
    }
    describe(&mut Lsb::new(&head(stream, HEAD_BYTES)?), is_recompressed)
}

fn describe(bits: &mut Lsb<'_>, is_recompressed: bool) -> Result<Codestream, Fault> {
    let (rows, columns) = size(bits)?;
    let metadata = metadata(bits)?;
    let (photometric, transfer_syntaxes): (&'static [&'static str], &'static [&'static str]) =
        match (is_recompressed, metadata.is_gray, metadata.is_xyb) {
            (true, true, _) => (MONOCHROME, &[uids::JPEGXLJPEG_RECOMPRESSION, uids::JPEGXL]),
            // The frames know which YCbCr it was; the headers do not.
            (true, false, _) => (&[], &[uids::JPEGXLJPEG_RECOMPRESSION, uids::JPEGXL]),
            (false, true, false) => (MONOCHROME, &[uids::JPEGXL_LOSSLESS, uids::JPEGXL]),
            (false, true, true) => (MONOCHROME, &[uids::JPEGXL]),
            (false, false, false) => (&["RGB", "YBR_FULL"], &[uids::JPEGXL_LOSSLESS, uids::JPEGXL]),
            (false, false, true) => (&["XYB", "RGB"], &[uids::JPEGXL]),
        };
    Ok(Codestream {
        rows,
        columns,
        samples: if metadata.is_gray { 1 } else { 3 },
        bits: metadata.bits,
        is_signed: None,
        photometric,
        is_lossy: metadata.is_xyb || is_recompressed,
        method: METHOD,
        transfer_syntaxes,
        frames: None,
    })
}

/// Rows and columns (§D.2).
fn size(bits: &mut Lsb<'_>) -> Result<(u32, u32), Fault> {
    const LENGTHS: [(u32, u32); 4] = [(1, 9), (1, 13), (1, 18), (1, 30)];
    let is_small = bits.is_set()?;
    let side = |bits: &mut Lsb<'_>| {
        if is_small {
            Ok((bits.bits(5)? + 1) * 8)
        } else {
            bits.number(LENGTHS)
        }
    };
    let rows = side(bits)?;
    let by = |over: u64, under: u64| u32::try_from(u64::from(rows) * over / under);
    let columns = match bits.bits(3)? {
        0 => return Ok((rows, side(bits)?)),
        1 => by(1, 1),
        2 => by(12, 10),
        3 => by(4, 3),
        4 => by(3, 2),
        5 => by(16, 9),
        6 => by(5, 4),
        _ => by(2, 1),
    };
    Ok((
        rows,
        columns.map_err(|_| Fault::Malformed("the size of a JPEG XL image"))?,
    ))
}

struct Metadata {
    bits: u16,
    is_xyb: bool,
    is_gray: bool,
}

/// §D.3.
fn metadata(bits: &mut Lsb<'_>) -> Result<Metadata, Fault> {
    if bits.is_set()? {
        return Ok(Metadata {
            bits: 8,
            is_xyb: true,
            is_gray: false,
        });
    }
    if bits.is_set()? {
        if bits.bits(3)? != 0 {
            return Err(Fault::Unsupported("a JPEG XL image that is to be turned"));
        }
        if bits.is_set()? {
            size(bits)?;
        }
        if bits.is_set()? || bits.is_set()? {
            return Err(Fault::Unsupported("a JPEG XL preview or animation"));
        }
    }
    if bits.is_set()? {
        return Err(Fault::Unsupported("JPEG XL of floating point"));
    }
    let depth = bits.number([(8, 0), (10, 0), (12, 0), (1, 6)])?;
    let depth = u16::try_from(depth)
        .ok()
        .filter(|depth| (1..=32).contains(depth))
        .ok_or(Fault::Malformed("the depth of a JPEG XL image"))?;
    let _small_buffers = bits.is_set()?;
    if bits.number([(0, 0), (1, 0), (2, 4), (1, 12)])? != 0 {
        return Err(Fault::Unsupported(
            "JPEG XL with alpha or other extra channels",
        ));
    }
    let is_xyb = bits.is_set()?;
    let is_gray = !bits.is_set()? && {
        let _has_profile = bits.is_set()?;
        bits.number([(0, 0), (1, 0), (2, 4), (18, 6)])? == 1
    };
    Ok(Metadata {
        bits: depth,
        is_xyb,
        is_gray,
    })
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    /// Bits, first ones first, behind the signature.
    fn stream(fields: &[(u32, u32)]) -> Vec<u8> {
        let mut bytes = vec![0xFF, 0x0A];
        let (mut byte, mut used) = (0_u8, 0);
        for (value, count) in fields {
            for place in 0..*count {
                byte |= ((value >> place & 1) as u8) << used;
                used += 1;
                if used == 8 {
                    bytes.push(std::mem::take(&mut byte));
                    used = 0;
                }
            }
        }
        bytes.push(byte);
        bytes
    }

    #[test]
    fn size_and_metadata_are_read_bare_and_boxed() {
        // 16 rows by the ratio 2:1, all default.
        let small = stream(&[(1, 1), (1, 5), (7, 3), (1, 1)]);
        let found = read(&mut Cursor::new(&small)).unwrap();
        assert_eq!(
            (found.rows, found.columns, found.samples, found.bits),
            (16, 32, 3, 8)
        );
        assert_eq!(
            (found.photometric[0], found.transfer_syntaxes[0]),
            ("XYB", uids::JPEGXL)
        );

        // 100 rows, 7 columns, 12 bits, gray, not XYB.
        let fields = [
            (0, 1),
            (0, 2),
            (99, 9),
            (0, 3),
            (0, 2),
            (6, 9),
            (0, 1),
            (0, 1),
            (0, 1),
        ];
        let rest = [(2, 2), (1, 1), (0, 2), (0, 1), (0, 1), (0, 1), (1, 2)];
        let gray = stream(&[&fields[..], &rest].concat());
        let found = read(&mut Cursor::new(&gray)).unwrap();
        assert_eq!(
            (found.rows, found.columns, found.samples, found.bits),
            (100, 7, 1, 12)
        );
        assert_eq!(
            (found.photometric[0], found.transfer_syntaxes[0]),
            ("MONOCHROME2", uids::JPEGXL_LOSSLESS)
        );

        let boxed = [
            &SIGNATURE[..],
            b"\0\0\0\x08jbrd",
            b"\0\0\0\0jxlp\0\0\0\0",
            &gray,
        ]
        .concat();
        let found = read(&mut Cursor::new(&boxed)).unwrap();
        assert_eq!(found.transfer_syntaxes[0], uids::JPEGXLJPEG_RECOMPRESSION);
        for cut in 0..gray.len() {
            assert!(read(&mut Cursor::new(&gray[..cut])).is_err());
        }
    }
}
