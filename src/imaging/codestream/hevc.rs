//! H.265 (ISO/IEC 23008-2 §7.3.2.2): the sequence parameter set, of a bare byte stream or an MP4 file.

use std::io::{Read, Seek, SeekFrom};

use dicom_dictionary_std::uids;

use super::bits::{Msb, units, without_emulation};
use super::mpeg2::HEAD_BYTES;
use super::{Codestream, Fault, head, mpeg4};

/// The type of a sequence parameter set (Table 7-1).
const PARAMETERS: u8 = 33;

pub(super) fn read(stream: &mut (impl Read + Seek)) -> Result<Codestream, Fault> {
    if let Some(found) = mpeg4::movie(stream)? {
        return Ok(found);
    }
    stream.seek(SeekFrom::Start(0))?;
    let bytes = head(stream, HEAD_BYTES)?;
    let unit = units(&bytes)
        .find(|unit| {
            unit.first()
                .is_some_and(|head| head >> 1 & 63 == PARAMETERS)
        })
        .ok_or(Fault::Malformed("an H.265 stream without parameters"))?;
    parameters(unit)
}

/// The configuration record of an MP4 file (ISO/IEC 14496-15 §8.3.3.1).
pub(super) fn configuration(record: &[u8]) -> Result<Codestream, Fault> {
    const WITHOUT: Fault = Fault::Malformed("an H.265 track without parameters");
    let (arrays, mut rest) = record
        .get(22..)
        .and_then(<[u8]>::split_first)
        .ok_or(WITHOUT)?;
    for _ in 0..*arrays {
        let [kind, high, low, after @ ..] = rest else {
            return Err(WITHOUT);
        };
        rest = after;
        for _ in 0..u16::from_be_bytes([*high, *low]) {
            let [high, low, after @ ..] = rest else {
                return Err(WITHOUT);
            };
            let length = usize::from(u16::from_be_bytes([*high, *low]));
            let (unit, after) = after.split_at_checked(length).ok_or(WITHOUT)?;
            if kind & 63 == PARAMETERS {
                return parameters(unit);
            }
            rest = after;
        }
    }
    Err(WITHOUT)
}

/// A sequence parameter set with its two header bytes.
fn parameters(unit: &[u8]) -> Result<Codestream, Fault> {
    let plain = without_emulation(unit.get(2..).ok_or(Fault::CutOff)?);
    let mut bits = Msb::new(&plain);
    let (_id, layers, _nesting) = (bits.bits(4)?, bits.bits(3)?, bits.bit()?);
    let (_space_and_tier, profile) = (bits.bits(3)?, bits.bits(5)?);
    bits.skip(32 + 48)?;
    let level = bits.bits(8)?;
    sub_layers(&mut bits, layers)?;
    let (_id, chroma) = (bits.golomb()?, bits.golomb()?);
    if chroma != 1 {
        return Err(Fault::Unsupported("H.265 of other than 4:2:0 chroma"));
    }
    let (wide, high) = (bits.golomb()?, bits.golomb()?);
    let mut crop = [0; 4];
    if bits.bit()? {
        for side in &mut crop {
            *side = bits.golomb()?;
        }
    }
    let (luma, color) = (bits.golomb()?, bits.golomb()?);
    let [left, right, top, bottom] = crop.map(u64::from);
    let side = |side: u32, cropped: u64| {
        u64::from(side)
            .checked_sub(cropped * 2)
            .and_then(|side| u32::try_from(side).ok())
            .ok_or(Fault::Malformed("the size of an H.265 video"))
    };
    let transfer_syntaxes: &[&str] = match (profile, level, luma, color) {
        (1, ..=153, 0, 0) => &[uids::HEVCMP51, uids::HEVCM10P51],
        (2, ..=153, 0 | 2, 0 | 2) if luma == color => &[uids::HEVCM10P51],
        _ => return Err(Fault::Unsupported("this profile, level or depth of H.265")),
    };
    Ok(Codestream {
        rows: side(high, top + bottom)?,
        columns: side(wide, left + right)?,
        samples: 3,
        bits: if luma == 2 { 10 } else { 8 },
        is_signed: Some(false),
        photometric: &["YBR_PARTIAL_420"],
        is_lossy: true,
        method: "ISO_23008_2",
        transfer_syntaxes,
        frames: None,
    })
}

/// What is said of temporal layers beyond the first (§7.3.3), read past.
fn sub_layers(bits: &mut Msb<'_>, layers: u32) -> Result<(), Fault> {
    let mut present = Vec::new();
    for _ in 0..layers {
        present.push((bits.bit()?, bits.bit()?));
    }
    if layers > 0 {
        bits.skip(2 * (8 - layers as usize))?;
    }
    for (has_profile, has_level) in present {
        bits.skip(if has_profile { 88 } else { 0 })?;
        bits.skip(if has_level { 8 } else { 0 })?;
    }
    Ok(())
}
