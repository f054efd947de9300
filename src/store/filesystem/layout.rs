//! The format on disk: names of files, the block that begins each, the header before each blob.
//! Pure functions; the story of the format is told in the parent module.

use std::path::{Path, PathBuf};

use flate2::Crc;

use crate::archive::blob::{NOTE_BYTES_MAX, STAGED_HEAD_MAX};

/// The version of everything described here.
pub(super) const VERSION: u32 = 2;
/// Blobs begin after this much of a file; also the block in which file systems give space back.
pub(super) const BLOCK: u64 = 4096;
/// The header before each blob, its note included.
pub(super) const RECORD_HEADER: u64 = 256;
/// Where in the header the note begins.
const NOTE: usize = 32;
/// Records of a segment begin at multiples of this.
pub(super) const ALIGN: u64 = 8;

const FILE_MAGIC: &[u8; 16] = b"OVERREAD BLOBS\r\n";
const FILE_HEADER: usize = 40;
const RECORD_MAGIC: &[u8; 4] = b"OVRB";

// The file header, a record header and the longest head share the first block of a whole file.
const _: () = assert!(FILE_HEADER as u64 + RECORD_HEADER + STAGED_HEAD_MAX as u64 <= BLOCK);
const _: () = assert!(NOTE + NOTE_BYTES_MAX == RECORD_HEADER as usize);

/// The header before a blob.
pub(super) type RecordHeader = [u8; RECORD_HEADER as usize];

/// What a file holds; told by the lowest bit of its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Many blobs, appended.
    Segment,
    /// One large blob.
    Whole,
}

/// The number of the `sequence`-th file.
pub(super) fn number(sequence: u64, kind: Kind) -> u64 {
    sequence << 1 | u64::from(kind == Kind::Whole)
}

pub(super) fn kind(number: u64) -> Kind {
    if number & 1 == 0 {
        Kind::Segment
    } else {
        Kind::Whole
    }
}

pub(super) fn sequence(number: u64) -> u64 {
    number >> 1
}

/// Where a file lies: two levels of folders, neither with more than 4096 entries until 2^35 files.
pub(super) fn path(root: &Path, number: u64) -> PathBuf {
    let mut path = folder(root, number);
    let suffix = if kind(number) == Kind::Segment {
        "seg"
    } else {
        "one"
    };
    path.push(format!("{number:016x}.{suffix}"));
    path
}

/// The folder of a file.
pub(super) fn folder(root: &Path, number: u64) -> PathBuf {
    root.join("files")
        .join(format!("{:05x}", number >> 24))
        .join(format!("{:03x}", number >> 12 & 0xfff))
}

/// The file with this name, when it is a name of ours.
pub(super) fn parse_name(name: &str) -> Option<u64> {
    let (digits, suffix) = name.split_once('.')?;
    let number = u64::from_str_radix(digits, 16).ok()?;
    let expected = if kind(number) == Kind::Segment {
        "seg"
    } else {
        "one"
    };
    (digits.len() == 16 && !digits.starts_with('+') && suffix == expected).then_some(number)
}

/// Where a file header says where the first record begins.
pub(super) const FIRST_RECORD_AT: u64 = 28;

/// The first block of a file, whose first (or only) record begins at `first_record`.
pub(super) fn file_header(number: u64, first_record: u64) -> [u8; FILE_HEADER] {
    let mut header = [0; FILE_HEADER];
    header[..16].copy_from_slice(FILE_MAGIC);
    header[16..20].copy_from_slice(&VERSION.to_le_bytes());
    header[20..28].copy_from_slice(&number.to_le_bytes());
    header[28..36].copy_from_slice(&first_record.to_le_bytes());
    let sum = crc(&[&header[..36]]);
    header[36..].copy_from_slice(&sum.sum().to_le_bytes());
    header
}

/// A header that lacks what only the whole record tells: its note is there, the sum of which goes on over the blob.
pub(super) fn begin_record(note: &[u8]) -> Option<(RecordHeader, Crc)> {
    let mut header = [0; RECORD_HEADER as usize];
    header[NOTE..].get_mut(..note.len())?.copy_from_slice(note);
    header[24..26].copy_from_slice(&u16::try_from(note.len()).ok()?.to_le_bytes());
    let sum = crc(&[&header[NOTE..]]);
    Some((header, sum))
}

/// Completes a header; `sum` is that of the note and the blob.
pub(super) fn end_record(header: &mut RecordHeader, number: u64, length: u64, sum: &Crc) {
    header[..4].copy_from_slice(RECORD_MAGIC);
    header[4..8].copy_from_slice(&sum.sum().to_le_bytes());
    header[8..16].copy_from_slice(&length.to_le_bytes());
    header[16..24].copy_from_slice(&number.to_le_bytes());
    let sum = crc(&[&header[..28]]);
    header[28..NOTE].copy_from_slice(&sum.sum().to_le_bytes());
}

/// The length of the blob after this header, if it is one of this file.
pub(super) fn blob_length(header: &RecordHeader, number: u64) -> Option<u64> {
    let is_header = header[..4] == *RECORD_MAGIC
        && header[16..24] == number.to_le_bytes()
        && header[28..NOTE] == crc(&[&header[..28]]).sum().to_le_bytes();
    let mut length = [0; 8];
    length.copy_from_slice(&header[8..16]);
    is_header.then_some(u64::from_le_bytes(length))
}

/// The note in a header, the sum of it to go on with over the blob, and what the sum must come to.
pub(super) fn note(header: &RecordHeader) -> Option<(&[u8], Crc, u32)> {
    let length = u16::from_le_bytes([header[24], header[25]]);
    let note = header[NOTE..].get(..usize::from(length))?;
    let sum = u32::from_le_bytes([header[4], header[5], header[6], header[7]]);
    Some((note, crc(&[&header[NOTE..]]), sum))
}

/// The CRC-32 of these parts joined.
pub(super) fn crc(parts: &[&[u8]]) -> Crc {
    let mut crc = Crc::new();
    for part in parts {
        crc.update(part);
    }
    crc
}

/// Where the record of the blob at `offset` begins.
pub(super) fn record_start(offset: u64) -> u64 {
    offset.saturating_sub(RECORD_HEADER)
}

/// Where the record of a blob ends, padding included; `None` beyond the numbers.
pub(super) fn record_end(offset: u64, length: u64) -> Option<u64> {
    offset.checked_add(length)?.checked_next_multiple_of(ALIGN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_numbers() {
        let root = Path::new("b");
        assert_eq!(
            path(root, number(1, Kind::Segment)),
            Path::new("b/files/00000/000/0000000000000002.seg")
        );
        assert_eq!(
            path(root, number(0x1_2345_6789, Kind::Whole)),
            Path::new("b/files/00246/8ac/00000002468acf13.one")
        );
        for number in [0, 1, 2, 3, u64::MAX] {
            let path = path(root, number);
            assert_eq!(
                parse_name(path.file_name().unwrap().to_str().unwrap()),
                Some(number)
            );
        }
        for foreign in [
            "",
            ".",
            "2.seg",
            "0000000000000002.one",
            "+000000000000002.seg",
            "0000000000000002.seg.x",
            "zzzzzzzzzzzzzzzz.seg",
        ] {
            assert_eq!(parse_name(foreign), None, "{foreign}");
        }
    }

    #[test]
    fn headers_are_as_documented() {
        // CRC-32 of "123456789" is the check value of the polynomial (ISO 3309).
        assert_eq!(crc(&[b"1234", b"56789"]).sum(), 0xCBF4_3926);
        let (mut header, mut sum) = begin_record(b"").unwrap();
        assert_eq!(header, [0; 256]);
        sum.update(b"blob");
        let (mut noted, _) = begin_record(b"note").unwrap();
        for header in [&mut header, &mut noted] {
            end_record(header, 2, 9, &sum);
        }
        // zlib.crc32(bytes(224) + b"blob") in Python.
        assert_eq!(header[..8], *b"OVRB\x82\x65\xf2\x2d");
        assert_eq!(
            header[8..28],
            *b"\x09\0\0\0\0\0\0\0\x02\0\0\0\0\0\0\0\0\0\0\0"
        );
        assert_eq!(noted[24..28], *b"\x04\0\0\0");
        assert_eq!(noted[32..40], *b"note\0\0\0\0");
        assert_eq!(note(&noted).unwrap().0, b"note");
        assert_eq!(blob_length(&header, 2), Some(9));
        assert_eq!(blob_length(&header, 4), None);
        assert_eq!(blob_length(&[0; 256], 0), None);
        assert!(begin_record(&[0; 225]).is_none());
    }
}
