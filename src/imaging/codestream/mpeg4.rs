//! H.264 (ISO/IEC 14496-10 §7.3.2.1) in an MP4 file (14496-12, 14496-15) or as a bare byte stream:
//! the sequence parameter set, and the number of frames where the file counts them.

use std::io::{Read, Seek, SeekFrom};

use dicom_dictionary_std::uids;

use super::bits::{Msb, units, without_emulation};
use super::mpeg2::HEAD_BYTES;
use super::{Codestream, Fault, STEPS_MAX, array, boxes, head, hevc, long, skip, word};

pub(super) fn read(stream: &mut (impl Read + Seek)) -> Result<Codestream, Fault> {
    match movie(stream)? {
        Some(found) => Ok(found),
        None => {
            stream.seek(SeekFrom::Start(0))?;
            let bytes = head(stream, HEAD_BYTES)?;
            let unit = units(&bytes)
                .find(|unit| unit.first().is_some_and(|head| head & 31 == 7))
                .ok_or(Fault::Malformed("an H.264 stream without parameters"))?;
            parameters(unit).map(|(found, _)| found)
        }
    }
}

/// Reads an MP4 file; `None` when it is none.
pub(super) fn movie(stream: &mut (impl Read + Seek)) -> Result<Option<Codestream>, Fault> {
    let end = boxes::length(stream)?;
    let first = boxes::next(stream, 0, end);
    if !matches!(first, Ok(Some(found)) if found.kind == *b"ftyp") {
        return Ok(None);
    }
    let movie = boxes::find(stream, b"moov", 0, end)?
        .ok_or(Fault::Malformed("an MP4 file without a movie"))?;
    let (mut at, end) = (movie.start, movie.start + movie.length);
    for _ in 0..STEPS_MAX {
        let Some(track) = boxes::find(stream, b"trak", at, end)? else {
            break;
        };
        at = track.start + track.length;
        let found = boxes::find_path(stream, &[b"mdia", b"minf", b"stbl"], track.start, at)?;
        if let Some(table) = found
            && let Some(found) = samples(stream, table)?
        {
            return Ok(Some(found));
        }
    }
    Err(Fault::Unsupported(
        "an MP4 file without an H.264 or H.265 track",
    ))
}

/// The sample table of a track; `None` when it is no video.
fn samples(
    stream: &mut (impl Read + Seek),
    table: boxes::Box,
) -> Result<Option<Codestream>, Fault> {
    /// Before the boxes of a visual sample entry (14496-12 §12.1.3).
    const ENTRY_BYTES: u64 = 78;
    let end = table.start + table.length;
    let Some(description) = boxes::find(stream, b"stsd", table.start, end)? else {
        return Ok(None);
    };
    let Some(entry) = boxes::next(
        stream,
        description.start.saturating_add(8),
        description.start + description.length,
    )?
    else {
        return Ok(None);
    };
    let (from, to) = (
        entry.start.saturating_add(ENTRY_BYTES),
        entry.start + entry.length,
    );
    let (mut found, is_countable) = match &entry.kind {
        b"avc1" | b"avc3" => {
            let Some(config) = boxes::find(stream, b"avcC", from, to)? else {
                return Ok(None);
            };
            stream.seek(SeekFrom::Start(config.start.saturating_add(5)))?;
            let [sets] = array(stream)?;
            if sets & 31 == 0 {
                return Err(Fault::Malformed("an H.264 track without parameters"));
            }
            let length = word(stream)?;
            parameters(&head(stream, length.into())?)?
        }
        b"hvc1" | b"hev1" => {
            let Some(config) = boxes::find(stream, b"hvcC", from, to)? else {
                return Ok(None);
            };
            stream.seek(SeekFrom::Start(config.start))?;
            let length = usize::try_from(config.length).unwrap_or(usize::MAX);
            let config = head(stream, length.min(HEAD_BYTES))?;
            (hevc::configuration(&config)?, true)
        }
        _ => return Ok(None),
    };
    if is_countable && let Some(sizes) = boxes::find(stream, b"stsz", table.start, end)? {
        stream.seek(SeekFrom::Start(sizes.start))?;
        skip(stream, 8)?;
        found.frames = Some(long(stream)?).filter(|frames| *frames > 0);
    }
    Ok(Some(found))
}

/// A sequence parameter set with its header byte; also whether each sample is a whole frame.
fn parameters(unit: &[u8]) -> Result<(Codestream, bool), Fault> {
    let plain = without_emulation(unit.get(1..).ok_or(Fault::CutOff)?);
    let mut bits = Msb::new(&plain);
    let (profile, _constraints, level) = (bits.bits(8)?, bits.bits(8)?, bits.bits(8)?);
    let _id = bits.golomb()?;
    if matches!(
        profile,
        100 | 110 | 122 | 244 | 44 | 83 | 86 | 118 | 128 | 138 | 139 | 134 | 135
    ) {
        formats(&mut bits)?;
    }
    let _frame_numbers = bits.golomb()?;
    match bits.golomb()? {
        0 => bits.skip_golomb()?,
        1 => {
            bits.bit()?;
            bits.skip_golomb()?;
            bits.skip_golomb()?;
            for _ in 0..bits.golomb()?.min(256) {
                bits.skip_golomb()?;
            }
        }
        _ => {}
    }
    let (_references, _gaps) = (bits.golomb()?, bits.bit()?);
    let (wide, high) = (bits.golomb()?, bits.golomb()?);
    let is_frames_only = bits.bit()?;
    if !is_frames_only {
        bits.bit()?;
    }
    bits.bit()?;
    let mut crop = [0; 4];
    if bits.bit()? {
        for side in &mut crop {
            *side = bits.golomb()?;
        }
    }
    let [left, right, top, bottom] = crop.map(u64::from);
    let fields = if is_frames_only { 1 } else { 2 };
    let columns = ((u64::from(wide) + 1) * 16).checked_sub((left + right) * 2);
    let rows = ((u64::from(high) + 1) * 16 * fields).checked_sub((top + bottom) * 2 * fields);
    let side = |side: Option<u64>| {
        side.and_then(|side| u32::try_from(side).ok())
            .ok_or(Fault::Malformed("the size of an H.264 video"))
    };
    let found = Codestream {
        rows: side(rows)?,
        columns: side(columns)?,
        samples: 3,
        bits: 8,
        is_signed: Some(false),
        photometric: &["YBR_PARTIAL_420"],
        is_lossy: true,
        method: "ISO_14496_10",
        transfer_syntaxes: transfer_syntaxes(profile, level)?,
        frames: None,
    };
    Ok((found, is_frames_only))
}

/// What the high profiles say of chroma and depth (§7.3.2.1.1): DICOM takes 4:2:0 of 8 bits.
fn formats(bits: &mut Msb<'_>) -> Result<(), Fault> {
    let chroma = bits.golomb()?;
    if chroma != 1 {
        return Err(Fault::Unsupported("H.264 of other than 4:2:0 chroma"));
    }
    if (bits.golomb()?, bits.golomb()?) != (0, 0) {
        return Err(Fault::Unsupported("H.264 of more than 8 bits"));
    }
    bits.bit()?;
    if bits.bit()? {
        for list in 0..8 {
            if bits.bit()? {
                scaling_list(bits, if list < 6 { 16 } else { 64 })?;
            }
        }
    }
    Ok(())
}

/// §7.3.2.1.1.1: how many deltas there are depends on their sum.
fn scaling_list(bits: &mut Msb<'_>, length: usize) -> Result<(), Fault> {
    let (mut last, mut next) = (8_i64, 8_i64);
    for _ in 0..length {
        if next != 0 {
            let code = i64::from(bits.golomb()?);
            let delta = if code % 2 == 0 {
                -code / 2
            } else {
                (code + 1) / 2
            };
            next = (last + delta).rem_euclid(256);
        }
        if next != 0 {
            last = next;
        }
    }
    Ok(())
}

/// PS3.5 §8.2.7 to §8.2.9. Baseline is not among them, Main is decoded by every High decoder.
fn transfer_syntaxes(profile: u32, level: u32) -> Result<&'static [&'static str], Fault> {
    match (profile, level) {
        (77 | 100, ..=41) => Ok(&[
            uids::MPEG4HP41,
            uids::MPEG4HP41F,
            uids::MPEG4HP41BD,
            uids::MPEG4HP41BDF,
            uids::MPEG4HP422D,
            uids::MPEG4HP422DF,
            uids::MPEG4HP423D,
            uids::MPEG4HP423DF,
        ]),
        (77 | 100, 42) => Ok(&[
            uids::MPEG4HP422D,
            uids::MPEG4HP422DF,
            uids::MPEG4HP423D,
            uids::MPEG4HP423DF,
        ]),
        (128, ..=42) => Ok(&[uids::MPEG4HP42STEREO, uids::MPEG4HP42STEREOF]),
        _ => Err(Fault::Unsupported("this profile or level of H.264")),
    }
}
