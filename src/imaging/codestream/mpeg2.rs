//! MPEG-2 video (ISO/IEC 13818-2 §6.2.2): the first sequence header and its extension, wherever
//! they stand in a program or transport stream around them.

use std::io::{Read, Seek};

use dicom_dictionary_std::uids;

use super::bits::{Msb, units};
use super::{Codestream, Fault, head};

/// A stream begins with a sequence header; containers put little before it.
pub(super) const HEAD_BYTES: usize = 1024 * 1024;

pub(super) fn read(stream: &mut (impl Read + Seek)) -> Result<Codestream, Fault> {
    let bytes = head(stream, HEAD_BYTES)?;
    let mut sequence = None;
    for unit in units(&bytes) {
        match (unit.split_first(), sequence) {
            (Some((0xB3, header)), None) => sequence = Some(size(header)?),
            (Some((0xB5, extension)), Some(size)) => return describe(size, extension),
            // A picture before any extension.
            (Some((0, _)), Some(_)) => {
                return Err(Fault::Unsupported("MPEG-1"));
            }
            _ => {}
        }
    }
    Err(Fault::Malformed(
        "an MPEG-2 stream without a sequence header",
    ))
}

/// Rows and columns, their low 12 bits (§6.2.2.1).
fn size(header: &[u8]) -> Result<(u32, u32), Fault> {
    let mut bits = Msb::new(header);
    let columns = bits.bits(12)?;
    Ok((bits.bits(12)?, columns))
}

/// §6.2.2.3.
fn describe((rows, columns): (u32, u32), extension: &[u8]) -> Result<Codestream, Fault> {
    let mut bits = Msb::new(extension);
    if bits.bits(4)? != 1 {
        return Err(Fault::Malformed(
            "the sequence extension of an MPEG-2 stream",
        ));
    }
    let (_escape, profile, level) = (bits.bit()?, bits.bits(3)?, bits.bits(4)?);
    let (_is_progressive, chroma) = (bits.bit()?, bits.bits(2)?);
    let (wide, high) = (bits.bits(2)?, bits.bits(2)?);
    if chroma != 1 {
        return Err(Fault::Unsupported("MPEG-2 of other than 4:2:0 chroma"));
    }
    let transfer_syntaxes: &[&str] = match (profile, level) {
        (4 | 5, 8 | 10) => &[
            uids::MPEG2MPML,
            uids::MPEG2MPMLF,
            uids::MPEG2MPHL,
            uids::MPEG2MPHLF,
        ],
        (4 | 5, 4 | 6) => &[uids::MPEG2MPHL, uids::MPEG2MPHLF],
        _ => return Err(Fault::Unsupported("this profile of MPEG-2")),
    };
    Ok(Codestream {
        rows: rows | high << 12,
        columns: columns | wide << 12,
        samples: 3,
        bits: 8,
        is_signed: Some(false),
        photometric: &["YBR_PARTIAL_420"],
        is_lossy: true,
        method: "ISO_13818_2",
        transfer_syntaxes,
        frames: None,
    })
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    #[test]
    fn the_sequence_header_is_found_behind_a_pack_header() {
        // 720 × 576, Main Profile at Main Level: as ffmpeg writes it.
        let stream =
            b"\0\0\x01\xBA\x44\0\x04\0\x04\x01\0\0\x01\xB3\x2D\x02\x40\x33\xFF\xFF\xE0\x18\
            \0\0\x01\xB5\x14\x82\0\x01\0\0\0\0\x01\xB8";
        let found = read(&mut Cursor::new(stream)).unwrap();
        assert_eq!((found.rows, found.columns), (576, 720));
        assert_eq!(found.transfer_syntaxes[0], uids::MPEG2MPML);
        // The 19 bits that are read of the extension end in byte 29.
        for cut in 0..29 {
            assert!(read(&mut Cursor::new(&stream[..cut])).is_err());
        }
    }
}
