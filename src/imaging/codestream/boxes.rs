//! Boxes of the ISO base media file format (ISO/IEC 14496-12 §4.2), which JP2, JPX, JPH, JPEG XL
//! and MP4 files share.

use std::io::{Read, Seek, SeekFrom};

use super::{Fault, STEPS_MAX, array, long};

/// One box: its type, where its content begins, and how long that is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Box {
    pub(super) kind: [u8; 4],
    pub(super) start: u64,
    pub(super) length: u64,
}

/// The first bytes of a JP2, JPX, JPH or JPEG XL file: the signature box.
const SIGNATURE: [u8; 12] = *b"\0\0\0\x0CjP  \r\n\x87\n";

/// Reads the head of the box at `at`, which ends at `end` at the latest; `None` when nothing is left.
pub(super) fn next(
    stream: &mut (impl Read + Seek),
    at: u64,
    end: u64,
) -> Result<Option<Box>, Fault> {
    if end.saturating_sub(at) < 8 {
        return Ok(None);
    }
    stream.seek(SeekFrom::Start(at))?;
    let (short, kind) = (long(stream)?, array(stream)?);
    let (head, whole) = match short {
        0 => (8, end - at),
        1 => (16, u64::from_be_bytes(array(stream)?)),
        short => (8, short.into()),
    };
    let length = whole
        .checked_sub(head)
        .filter(|length| *length <= end - at - head.min(end - at))
        .ok_or(Fault::Malformed("the length of a box"))?;
    Ok(Some(Box {
        kind,
        start: at + head,
        length,
    }))
}

/// The first box of a kind between two places.
pub(super) fn find(
    stream: &mut (impl Read + Seek),
    kind: &[u8; 4],
    from: u64,
    end: u64,
) -> Result<Option<Box>, Fault> {
    let mut at = from;
    for _ in 0..STEPS_MAX {
        match next(stream, at, end)? {
            None => return Ok(None),
            Some(found) if found.kind == *kind => return Ok(Some(found)),
            Some(other) => at = other.start + other.length,
        }
    }
    Err(Fault::Malformed("a file of too many boxes"))
}

/// Finds a box inside boxes.
pub(super) fn find_path(
    stream: &mut (impl Read + Seek),
    path: &[&[u8; 4]],
    mut from: u64,
    mut end: u64,
) -> Result<Option<Box>, Fault> {
    let mut found = None;
    for kind in path {
        let Some(next) = find(stream, kind, from, end)? else {
            return Ok(None);
        };
        (from, end) = (next.start, next.start + next.length);
        found = Some(next);
    }
    Ok(found)
}

/// The length of the whole stream.
pub(super) fn length(stream: &mut impl Seek) -> Result<u64, Fault> {
    Ok(stream.seek(SeekFrom::End(0))?)
}

/// Where the codestream lies in what was sent as JPEG 2000: DICOM carries it without the file that
/// may be around it (PS3.5 §A.4.4). Offset and length; the whole when there is no such file.
///
/// # Errors
/// When there is a file without a codestream.
pub fn codestream_span(stream: &mut (impl Read + Seek)) -> Result<(u64, u64), Fault> {
    let end = length(stream)?;
    stream.seek(SeekFrom::Start(0))?;
    let is_file = end >= 12 && array::<12>(stream)? == SIGNATURE;
    if !is_file {
        return Ok((0, end));
    }
    find(stream, b"jp2c", 0, end)?
        .map(|found| (found.start, found.length))
        .ok_or(Fault::Malformed("a JPEG 2000 file without a codestream"))
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    #[test]
    fn the_codestream_is_found_in_a_file_and_alone() {
        let file = [&SIGNATURE[..], b"\0\0\0\x0Bftypxyz", b"\0\0\0\0jp2cCODE"].concat();
        assert_eq!(codestream_span(&mut Cursor::new(&file)), Ok((31, 4)));
        let long = [&SIGNATURE[..], b"\0\0\0\x01jp2c\0\0\0\0\0\0\0\x14CODE!"].concat();
        assert_eq!(codestream_span(&mut Cursor::new(&long)), Ok((28, 4)));
        assert_eq!(
            codestream_span(&mut Cursor::new(b"\xFF\x4F\xFF\x51")),
            Ok((0, 4))
        );
        for bad in [
            &b"\0\0\0\x07jp2cCODE"[..],
            b"\0\0\0\xFFjp2cCODE",
            b"\0\0\0\x0Cjp2aCODE",
        ] {
            let file = [&SIGNATURE[..], bad].concat();
            assert!(codestream_span(&mut Cursor::new(&file)).is_err());
        }
    }
}
