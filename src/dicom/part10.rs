//! The head of a DICOM file (PS3.10 §7.1): reads whatever head arrives, and makes the one head
//! that the archive gives every object it keeps, so that the same object leaves the same file
//! whatever door it came through.
//!
//! Lenient in: a missing preamble, prefix, group length, mandatory element or whole File Meta
//! Information is made up for by looking at the data set; values are taken only where they help.

use dicom_core::{Tag, VR};

use crate::dicom::Uid;
use crate::dicom::transfer_syntax::{
    EXPLICIT_VR_BIG_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN,
};
use crate::dicom::walk::{ByteOrder, Encoding, Fault, plausible_elements, read_header};

/// The longest head that is read, in bytes.
pub const HEAD_BYTES_MAX: usize = 64 * 1024;

/// Ours, under the UUID arc (PS3.5 §B.2).
pub const IMPLEMENTATION_CLASS_UID: &str = "2.25.71248809173734228806955892139889531341";

/// At most 16 characters (SH).
pub const IMPLEMENTATION_VERSION_NAME: &str = "OVERREAD_0.1";

const PREAMBLE_BYTES: usize = 128;
const PREFIX: &[u8; 4] = b"DICM";

/// File Meta Information is always this (PS3.10 §7.1).
const META: Encoding = Encoding {
    explicit: true,
    order: ByteOrder::Little,
};

/// What a head said, or had to be found out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Meta {
    /// (0002,0002), when there and well-formed.
    pub media_storage_sop_class_uid: Option<Uid>,
    /// (0002,0003), when there and well-formed.
    pub media_storage_sop_instance_uid: Option<Uid>,
    /// (0002,0010), or what the data set looks like.
    pub transfer_syntax_uid: Uid,
    /// Where the data set begins, in bytes from the first one fed.
    pub dataset_offset: usize,
}

/// Why there is no telling where the data set begins.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MetaError {
    /// Not DICOM at all.
    #[error("not a DICOM object")]
    NotDicom,
    /// DICOM, but broken.
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// Reads the head of a file that arrives in pieces.
#[derive(Debug, Default)]
pub struct MetaReader {
    bytes: Vec<u8>,
    /// How far the group is read; `None` until it is known where it begins.
    elements: Option<Elements>,
}

impl MetaReader {
    /// Begins at the first byte of a file.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next bytes. `None` as long as more are needed; afterwards [`MetaReader::rest`]
    /// has what belongs to the data set already, and what follows is no longer fed here.
    ///
    /// # Errors
    /// When this is not DICOM, or its head is longer than [`HEAD_BYTES_MAX`].
    pub fn feed(&mut self, bytes: &[u8]) -> Result<Option<Meta>, MetaError> {
        self.bytes.extend_from_slice(bytes);
        self.read(false)
    }

    /// Decides on what there is: the file has ended.
    ///
    /// # Errors
    /// As [`MetaReader::feed`], and [`Fault::Truncated`] when the head is cut off.
    pub fn finish(&mut self) -> Result<Meta, MetaError> {
        self.read(true)?.ok_or(MetaError::Fault(Fault::Truncated {
            at: self.bytes.len() as u64,
        }))
    }

    /// The bytes fed that lie behind the head.
    #[must_use]
    pub fn rest(&self, meta: &Meta) -> &[u8] {
        self.bytes.get(meta.dataset_offset..).unwrap_or_default()
    }

    /// Goes on where the last piece ended: a group can have thousands of elements, and come in
    /// pieces of one byte.
    fn read(&mut self, is_all: bool) -> Result<Option<Meta>, MetaError> {
        let bytes = &self.bytes[..];
        if !is_all && bytes.len() < PREAMBLE_BYTES + PREFIX.len() {
            return Ok(None);
        }
        let elements = self.elements.get_or_insert_with(|| Elements::begin(bytes));
        if !elements.read(bytes, is_all)? {
            if !is_all {
                return Ok(None);
            }
            return Err(Fault::Truncated {
                at: bytes.len() as u64,
            }
            .into());
        }
        let dataset_offset = elements.at;
        let dataset = &bytes[dataset_offset..];
        let stated = &elements.stated;
        if !is_all && dataset.len() < SNIFF_BYTES && stated.transfer_syntax_uid.is_none() {
            return Ok(None);
        }
        let is_announced = elements.has_prefix || dataset_offset > 0;
        let transfer_syntax = match &stated.transfer_syntax_uid {
            Some(uid) => uid.clone(),
            None => {
                // The same answer however much has arrived.
                let begin = &dataset[..dataset.len().min(SNIFF_BYTES)];
                sniff(begin, is_announced).ok_or(MetaError::NotDicom)?
            }
        };
        Ok(Some(Meta {
            media_storage_sop_class_uid: stated.sop_class_uid.clone(),
            media_storage_sop_instance_uid: stated.sop_instance_uid.clone(),
            transfer_syntax_uid: transfer_syntax,
            dataset_offset,
        }))
    }
}

/// What of the File Meta Information is of use.
#[derive(Debug, Default)]
struct Stated {
    sop_class_uid: Option<Uid>,
    sop_instance_uid: Option<Uid>,
    transfer_syntax_uid: Option<Uid>,
}

impl Stated {
    fn note(&mut self, tag: Tag, value: &[u8]) {
        let place = match tag.1 {
            0x0002 => &mut self.sop_class_uid,
            0x0003 => &mut self.sop_instance_uid,
            0x0010 => &mut self.transfer_syntax_uid,
            _ => return,
        };
        *place = Uid::from_value(value).ok();
    }
}

/// The elements of group 0002. Its end is where the group ends, not where the group length says:
/// that one is often wrong or missing.
#[derive(Debug)]
struct Elements {
    /// Behind the last whole element.
    at: usize,
    /// Whether `DICM` stood before.
    has_prefix: bool,
    last: Option<Tag>,
    /// Whether the elements so far named their VR.
    is_explicit: bool,
    stated: Stated,
}

impl Elements {
    fn begin(bytes: &[u8]) -> Self {
        let has_prefix = |at: usize| bytes.get(at..at + PREFIX.len()) == Some(PREFIX);
        let begin = [PREAMBLE_BYTES, 0].into_iter().find(|at| has_prefix(*at));
        Self {
            at: begin.map_or(0, |at| at + PREFIX.len()),
            has_prefix: begin.is_some(),
            last: None,
            is_explicit: true,
            stated: Stated::default(),
        }
    }

    /// Reads on in `bytes`, which begin as they did before. Whether the end of the group was found.
    fn read(&mut self, bytes: &[u8], is_all: bool) -> Result<bool, MetaError> {
        loop {
            let rest = &bytes[self.at..];
            let Some(group) = rest.first_chunk::<2>() else {
                return Ok(is_all);
            };
            if *group != [0x02, 0x00] {
                return Ok(true);
            }
            let Some(header) = read_header(rest, META) else {
                return Ok(false);
            };
            // A deflated data set, or anything without a prefix, may begin with what looks like the group.
            let is_likely = match self.last {
                None => self.has_prefix || header.is_explicit,
                Some(last) => header.tag > last && header.is_explicit == self.is_explicit,
            };
            if !is_likely {
                return Ok(true);
            }
            let begin = self.at + header.bytes;
            let end = begin.saturating_add(header.length as usize);
            if end > HEAD_BYTES_MAX {
                return Err(Fault::TooLarge {
                    limit: "head_bytes",
                    max: HEAD_BYTES_MAX as u64,
                }
                .into());
            }
            let Some(value) = bytes.get(begin..end) else {
                return Ok(false);
            };
            self.stated.note(header.tag, value);
            (self.at, self.last, self.is_explicit) = (end, Some(header.tag), header.is_explicit);
        }
    }
}

/// How much of a data set is looked at to find out how it is encoded.
const SNIFF_BYTES: usize = 512;

/// How a data set without a stated transfer syntax is encoded. When a head announced DICOM, what
/// looks like nothing is Implicit VR Little Endian, the default; else it is no DICOM.
fn sniff(dataset: &[u8], is_announced: bool) -> Option<Uid> {
    let looks_like = |explicit, order| plausible_elements(dataset, Encoding { explicit, order });
    let uid = [
        (
            EXPLICIT_VR_LITTLE_ENDIAN,
            looks_like(true, ByteOrder::Little),
        ),
        (
            IMPLICIT_VR_LITTLE_ENDIAN,
            looks_like(false, ByteOrder::Little),
        ),
        (EXPLICIT_VR_BIG_ENDIAN, looks_like(true, ByteOrder::Big)),
    ]
    .into_iter()
    .find_map(|(uid, is_likely)| is_likely.then_some(uid))
    .or(is_announced.then_some(IMPLICIT_VR_LITTLE_ENDIAN))?;
    Uid::parse(uid).ok()
}

/// The head that a kept object gets: preamble of zeros, prefix and File Meta Information
/// (PS3.10 §7.1), the same bytes for the same arguments. Shorter than 512 bytes.
#[must_use]
pub fn head(sop_class_uid: &Uid, sop_instance_uid: &Uid, transfer_syntax_uid: &Uid) -> Vec<u8> {
    let mut group = Vec::with_capacity(352);
    // File Meta Information Version 1.
    group.extend_from_slice(b"\x02\x00\x01\x00OB\x00\x00\x02\x00\x00\x00\x00\x01");
    push(&mut group, 0x0002, VR::UI, sop_class_uid.as_str());
    push(&mut group, 0x0003, VR::UI, sop_instance_uid.as_str());
    push(&mut group, 0x0010, VR::UI, transfer_syntax_uid.as_str());
    push(&mut group, 0x0012, VR::UI, IMPLEMENTATION_CLASS_UID);
    push(&mut group, 0x0013, VR::SH, IMPLEMENTATION_VERSION_NAME);
    let group_bytes = u32::try_from(group.len()).expect("four UIDs of 64 bytes at most");

    let mut head = Vec::with_capacity(PREAMBLE_BYTES + 16 + group.len());
    head.resize(PREAMBLE_BYTES, 0);
    head.extend_from_slice(PREFIX);
    head.extend_from_slice(b"\x02\x00\x00\x00UL\x04\x00");
    head.extend_from_slice(&group_bytes.to_le_bytes());
    head.extend_from_slice(&group);
    head
}

/// Appends an element of group 0002 with a text of at most 64 bytes.
fn push(group: &mut Vec<u8>, element: u16, vr: VR, text: &str) {
    let padded = u16::try_from(text.len().next_multiple_of(2)).expect("64 bytes at most");
    group.extend_from_slice(&[0x02, 0x00]);
    group.extend_from_slice(&element.to_le_bytes());
    group.extend_from_slice(&vr.to_bytes());
    group.extend_from_slice(&padded.to_le_bytes());
    group.extend_from_slice(text.as_bytes());
    if text.len() % 2 == 1 {
        group.push(if vr == VR::UI { 0 } else { b' ' });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As pydicom 3.0.2 `write_file_meta_info` has it for the same values.
    const GROUP: &[u8] = b"\x02\x00\x00\x00UL\x04\x00\xa4\x00\x00\x00\
        \x02\x00\x01\x00OB\x00\x00\x02\x00\x00\x00\x00\x01\
        \x02\x00\x02\x00UI\x1a\x001.2.840.10008.5.1.4.1.1.2\x00\
        \x02\x00\x03\x00UI\x08\x001.2.3.4\x00\
        \x02\x00\x10\x00UI\x14\x001.2.840.10008.1.2.1\x00\
        \x02\x00\x12\x00UI,\x002.25.71248809173734228806955892139889531341\x00\
        \x02\x00\x13\x00SH\x0c\x00OVERREAD_0.1";
    /// (0008,0016) and (0008,0018), explicit.
    const DATASET: &[u8] =
        b"\x08\x00\x16\x00UI\x1a\x001.2.840.10008.5.1.4.1.1.2\x00\x08\x00\x18\x00UI\x08\x001.2.3.4\x00";

    fn uid(text: &str) -> Uid {
        Uid::parse(text).unwrap()
    }

    fn read(bytes: &[u8], piece: usize) -> Result<(Meta, Vec<u8>), MetaError> {
        let mut reader = MetaReader::new();
        for piece in bytes.chunks(piece) {
            if let Some(meta) = reader.feed(piece)? {
                let rest = reader.rest(&meta).to_vec();
                return Ok((meta, rest));
            }
        }
        let meta = reader.finish()?;
        let rest = reader.rest(&meta).to_vec();
        Ok((meta, rest))
    }

    #[track_caller]
    fn check(bytes: &[u8], dataset_offset: usize, transfer_syntax: &str) {
        for piece in [1, 100, bytes.len()] {
            let (meta, rest) = read(bytes, piece).unwrap();
            assert_eq!(meta.dataset_offset, dataset_offset);
            assert_eq!(meta.transfer_syntax_uid.as_str(), transfer_syntax);
            assert!(bytes[dataset_offset..].starts_with(&rest));
        }
    }

    #[test]
    fn our_head_is_the_standard_one() {
        let ours = head(
            &uid("1.2.840.10008.5.1.4.1.1.2"),
            &uid("1.2.3.4"),
            &uid(EXPLICIT_VR_LITTLE_ENDIAN),
        );
        assert_eq!(ours, [&[0; 128], &b"DICM"[..], GROUP].concat());
        let longest = uid(&"1".repeat(64));
        assert!(head(&longest, &longest, &longest).len() < 512);
        assert!(
            IMPLEMENTATION_VERSION_NAME.len() <= 16 && Uid::parse(IMPLEMENTATION_CLASS_UID).is_ok()
        );
    }

    #[test]
    fn heads_as_they_come() {
        let preamble = [0x55; 128];
        let whole = [&preamble, &b"DICM"[..], GROUP, DATASET].concat();
        check(&whole, 132 + GROUP.len(), EXPLICIT_VR_LITTLE_ENDIAN);
        let (meta, rest) = read(&whole, whole.len()).unwrap();
        assert_eq!(
            meta.media_storage_sop_class_uid,
            Some(uid("1.2.840.10008.5.1.4.1.1.2"))
        );
        assert_eq!(meta.media_storage_sop_instance_uid, Some(uid("1.2.3.4")));
        assert_eq!(rest, DATASET);
        // Without preamble, without prefix, without group length.
        check(
            &[&b"DICM"[..], GROUP, DATASET].concat(),
            4 + GROUP.len(),
            EXPLICIT_VR_LITTLE_ENDIAN,
        );
        check(
            &[GROUP, DATASET].concat(),
            GROUP.len(),
            EXPLICIT_VR_LITTLE_ENDIAN,
        );
        check(
            &[&GROUP[12..], DATASET].concat(),
            GROUP.len() - 12,
            EXPLICIT_VR_LITTLE_ENDIAN,
        );
        // A group length that lies.
        let mut lying = whole.clone();
        lying[140] = 7;
        check(&lying, 132 + GROUP.len(), EXPLICIT_VR_LITTLE_ENDIAN);
        // A calling AE title of 20 characters, which AE does not allow.
        let title = b"\x02\x00\x16\x00AE\x14\x00TWENTY_CHARACTERS_AE";
        let titled = [&preamble, &b"DICM"[..], GROUP, title, DATASET].concat();
        check(
            &titled,
            132 + GROUP.len() + title.len(),
            EXPLICIT_VR_LITTLE_ENDIAN,
        );
        // Implicit file meta.
        let implicit = b"\x02\x00\x10\x00\x12\x00\x00\x001.2.840.10008.1.2\x00";
        check(
            &[&preamble, &b"DICM"[..], implicit, DATASET].concat(),
            132 + implicit.len(),
            IMPLICIT_VR_LITTLE_ENDIAN,
        );
        // Nothing after the head.
        check(
            &whole[..132 + GROUP.len()],
            132 + GROUP.len(),
            EXPLICIT_VR_LITTLE_ENDIAN,
        );
        // A deflated data set that begins like file meta.
        let stated = b"\x02\x00\x10\x00UI\x16\x001.2.840.10008.1.2.1.99";
        let deflated = [
            &preamble,
            &b"DICM"[..],
            stated,
            b"\x02\x00\x99\x00\x01\x02\x03\x04\x05",
        ]
        .concat();
        check(&deflated, 132 + stated.len(), "1.2.840.10008.1.2.1.99");
    }

    #[test]
    fn data_sets_without_a_head() {
        check(DATASET, 0, EXPLICIT_VR_LITTLE_ENDIAN);
        let implicit = b"\x08\x00\x05\x00\x0a\x00\x00\x00ISO_IR 100\x08\x00\x18\x00\x08\x00\x00\x001.2.3.4\x00";
        check(implicit, 0, IMPLICIT_VR_LITTLE_ENDIAN);
        let big = b"\x00\x08\x00\x05CS\x00\x0aISO_IR 100\x00\x08\x00\x18UI\x00\x081.2.3.4\x00";
        check(big, 0, EXPLICIT_VR_BIG_ENDIAN);
        // A prefix and then a data set.
        let bare = [&[0; 128], &b"DICM"[..], implicit].concat();
        check(&bare, 132, IMPLICIT_VR_LITTLE_ENDIAN);
    }

    #[test]
    fn a_head_that_arrives_byte_by_byte_is_read_once() {
        let mut whole = [&[0; 128], &b"DICM"[..]].concat();
        let mut reader = MetaReader::new();
        for byte in &whole {
            assert_eq!(reader.feed(&[*byte]), Ok(None));
        }
        // Empty elements of eight bytes, as many as there is room for.
        for element in 0x0100..0x2000_u16 {
            let [low, high] = element.to_le_bytes();
            let bytes = [2, 0, low, high, b'U', b'I', 0, 0];
            for byte in bytes {
                assert_eq!(reader.feed(&[byte]), Ok(None));
            }
            whole.extend_from_slice(&bytes);
            // What is behind is not looked at again.
            assert_eq!(reader.elements.as_ref().unwrap().at, whole.len());
        }
        whole.extend_from_slice(DATASET);
        assert_eq!(reader.feed(DATASET), Ok(None));
        let meta = reader.finish().unwrap();
        assert_eq!(Ok((meta, DATASET.to_vec())), read(&whole, whole.len()));
    }

    #[test]
    fn what_is_not_dicom() {
        let long_text = "a text that is longer than a preamble and a prefix ".repeat(4);
        let cases: [&[u8]; 6] = [
            b"",
            b"hello",
            long_text.as_bytes(),
            b"\xFF\xD8\xFF\xE0\x00\x10JFIF\x00\x01",
            b"PK\x03\x04\x14\x00\x00\x00\x08\x00",
            b"\x02\x00\x00\x00\xFF\xFF\xFF\xFF",
        ];
        for bytes in cases {
            assert_eq!(
                read(bytes, 50).unwrap_err(),
                MetaError::NotDicom,
                "{bytes:?}"
            );
        }
    }

    #[test]
    fn broken_heads() {
        let whole = [&[0; 128], &b"DICM"[..], GROUP].concat();
        let cut = read(&whole[..200], 200).unwrap_err();
        assert_eq!(cut, MetaError::Fault(Fault::Truncated { at: 200 }));
        let endless = [
            &[0; 128],
            &b"DICM\x02\x00\x02\x01OB\x00\x00\xF0\xFF\xFF\xFF"[..],
        ]
        .concat();
        let too_large = Fault::TooLarge {
            limit: "head_bytes",
            max: HEAD_BYTES_MAX as u64,
        };
        assert_eq!(read(&endless, 32).unwrap_err(), MetaError::Fault(too_large));
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_get_an_answer(
            bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..300),
            has_prefix in proptest::prelude::any::<bool>(),
        ) {
            let prefix = if has_prefix { [&[0; 128], &b"DICM"[..]].concat() } else { Vec::new() };
            let _ = read(&[prefix, bytes].concat(), 64);
        }
    }
}
