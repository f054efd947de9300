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

    /// Tries from the start each time: a head is small, and mostly whole in the first piece.
    fn read(&self, is_all: bool) -> Result<Option<Meta>, MetaError> {
        let bytes = &self.bytes[..];
        if !is_all && bytes.len() < PREAMBLE_BYTES + PREFIX.len() {
            return Ok(None);
        }
        let has_prefix = |at: usize| bytes.get(at..at + PREFIX.len()) == Some(PREFIX);
        let begin = match () {
            () if has_prefix(PREAMBLE_BYTES) => Some(PREAMBLE_BYTES + PREFIX.len()),
            () if has_prefix(0) => Some(PREFIX.len()),
            () => None,
        };
        let mut elements = Elements {
            bytes,
            at: begin.unwrap_or(0),
            is_all,
            has_prefix: begin.is_some(),
            last: None,
            is_explicit: true,
        };
        let mut meta = Stated::default();
        loop {
            match elements.next()? {
                Next::Element(tag, value) => meta.note(tag, value),
                Next::End => break,
                Next::CutOff if !is_all => return Ok(None),
                Next::CutOff => {
                    return Err(Fault::Truncated {
                        at: bytes.len() as u64,
                    }
                    .into());
                }
            }
        }
        let dataset_offset = elements.at;
        let dataset = &bytes[dataset_offset..];
        if !is_all && dataset.len() < SNIFF_BYTES && meta.transfer_syntax_uid.is_none() {
            return Ok(None);
        }
        let is_announced = begin.is_some() || dataset_offset > 0;
        let transfer_syntax = match meta.transfer_syntax_uid {
            Some(uid) => uid,
            None => sniff(dataset, is_announced).ok_or(MetaError::NotDicom)?,
        };
        Ok(Some(Meta {
            media_storage_sop_class_uid: meta.sop_class_uid,
            media_storage_sop_instance_uid: meta.sop_instance_uid,
            transfer_syntax_uid: transfer_syntax,
            dataset_offset,
        }))
    }
}

/// What of the File Meta Information is of use.
#[derive(Default)]
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
struct Elements<'a> {
    bytes: &'a [u8],
    at: usize,
    /// Whether nothing follows `bytes`.
    is_all: bool,
    /// Whether `DICM` stood before.
    has_prefix: bool,
    last: Option<Tag>,
    /// Whether the elements so far named their VR.
    is_explicit: bool,
}

enum Next<'a> {
    Element(Tag, &'a [u8]),
    End,
    CutOff,
}

impl<'a> Elements<'a> {
    fn next(&mut self) -> Result<Next<'a>, MetaError> {
        let rest = &self.bytes[self.at..];
        let Some(group) = rest.first_chunk::<2>() else {
            return Ok(if self.is_all { Next::End } else { Next::CutOff });
        };
        if *group != [0x02, 0x00] {
            return Ok(Next::End);
        }
        let Some(header) = read_header(rest, META) else {
            return Ok(Next::CutOff);
        };
        // A deflated data set, or anything without a prefix, may begin with what looks like the group.
        let is_likely = match self.last {
            None => self.has_prefix || header.is_explicit,
            Some(last) => header.tag > last && header.is_explicit == self.is_explicit,
        };
        if !is_likely {
            return Ok(Next::End);
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
        let Some(value) = self.bytes.get(begin..end) else {
            return Ok(Next::CutOff);
        };
        (self.at, self.last, self.is_explicit) = (end, Some(header.tag), header.is_explicit);
        Ok(Next::Element(header.tag, value))
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
