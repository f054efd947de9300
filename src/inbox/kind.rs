//! What a file is, by its first bytes; names are believed for nothing but a DICOMDIR.

use memchr::memmem;

/// So many bytes tell what a file is.
pub(super) const HEAD_BYTES: usize = 4096;

/// (0002,0002) Media Storage Directory Storage, as it stands in the File Meta of a DICOMDIR.
const DICOMDIR_CLASS: &[u8] = b"\x02\x00\x02\x00UI\x14\x001.2.840.10008.1.3.10";

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A DICOM object.
    Object,
    /// The directory of a medium, which holds no images.
    Directory,
    /// A ZIP archive.
    Zip,
    /// A document.
    Pdf,
    /// A photograph or a scan.
    Picture,
    /// Nothing for us: a viewer, its settings, its help.
    Other,
}

impl Kind {
    /// By its first [`HEAD_BYTES`], or all that it has.
    #[must_use]
    pub fn of(head: &[u8]) -> Self {
        let is_part10 = head.get(128..132) == Some(b"DICM");
        let is_directory = || memmem::find(head, DICOMDIR_CLASS).is_some();
        match head {
            // A preamble may look like anything (PS3.10 §7.1).
            _ if is_part10 && is_directory() => Self::Directory,
            _ if is_part10 => Self::Object,
            [b'P', b'K', 3, 4, ..] | [b'P', b'K', 5, 6, ..] => Self::Zip,
            [b'%', b'P', b'D', b'F', b'-', ..] => Self::Pdf,
            [0xFF, 0xD8, 0xFF, ..] | [0x89, b'P', b'N', b'G', ..] => Self::Picture,
            // Without a preamble: File Meta, or the data set begins at once.
            [0x02, 0, 0, 0, b'U', b'L', 4, 0, ..] if is_directory() => Self::Directory,
            [0x02, 0, 0, 0, b'U', b'L', 4, 0, ..] | [0x08, 0, 0..=0x18, 0, ..] => Self::Object,
            _ => Self::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_told_by_their_first_bytes() {
        let part10 = |start: &[u8]| [start, &vec![0; 128 - start.len()], b"DICM"].concat();
        for (head, kind) in [
            (part10(b""), Kind::Object),
            (part10(b"PK\x03\x04"), Kind::Object),
            (
                [part10(b""), DICOMDIR_CLASS.to_vec()].concat(),
                Kind::Directory,
            ),
            (b"PK\x03\x04".to_vec(), Kind::Zip),
            ([b"PK\x03\x04", DICOMDIR_CLASS].concat(), Kind::Zip),
            (b"%PDF-1.7".to_vec(), Kind::Pdf),
            (b"%PDx".to_vec(), Kind::Other),
            (b"\xFF\xD8\xFF\xE0".to_vec(), Kind::Picture),
            (b"\x89PNG\r\n".to_vec(), Kind::Picture),
            (b"\x08\0\x05\0CS".to_vec(), Kind::Object),
            (b"\x02\0\0\0UL\x04\0".to_vec(), Kind::Object),
            (b"MZ\x90\0".to_vec(), Kind::Other),
            (b"[autorun]".to_vec(), Kind::Other),
            (Vec::new(), Kind::Other),
        ] {
            assert_eq!(Kind::of(&head), kind, "{head:?}");
        }
    }
}
