//! A [`Dataset`] as Explicit VR Little Endian (PS3.5 §7.1, §A.2): what a payload of JSON or XML
//! becomes before it is stored.
//!
//! Choices where the standard leaves one:
//! - Sequences and items have undefined lengths, so that a value whose bytes follow from elsewhere
//!   may stand anywhere in them; a sequence without items has the length 0.
//! - A value longer than its VR can say is written as `UN` (PS3.5 §6.2.2).
//! - A value of odd length is padded: UI, binary VRs and `UN` by a NUL, other text by a space.

use dicom_core::{Tag, VR};

use super::dataset::{Dataset, Element, Value};
use super::json::write::is_text;
use super::walk::is_long;

const ITEM: Tag = Tag(0xFFFE, 0xE000);
const ITEM_END: Tag = Tag(0xFFFE, 0xE00D);
const SEQUENCE_END: Tag = Tag(0xFFFE, 0xE0DD);
const PIXEL_DATA: Tag = Tag(0x7FE0, 0x0010);
const UNDEFINED: u32 = u32::MAX;

/// Why a data set cannot be encoded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// The value of an element lies elsewhere and has not been brought.
    #[error("the bulk data of {tag} is missing")]
    BulkMissing {
        /// The element.
        tag: Tag,
    },
    /// 32 bits cannot say its length (PS3.5 §7.1.1).
    #[error("the value of {tag} is longer than 4294967294 bytes")]
    TooLong {
        /// The element.
        tag: Tag,
    },
}

/// A stretch of an encoded data set.
#[derive(Debug, Clone, PartialEq)]
pub enum Piece<'a> {
    /// Encoded elements.
    Bytes(Vec<u8>),
    /// The place of a whole element, head and all, whose value lies elsewhere: [`element_head`] and
    /// its bytes, or [`fragments_start`] and so on, belong here.
    Bulk {
        /// Its tag.
        tag: Tag,
        /// Its value representation.
        vr: VR,
        /// The `BulkDataURI` as its sender wrote it.
        uri: &'a str,
    },
}

/// The encoded data set.
///
/// # Errors
/// [`EncodeError`]; also for a value that lies elsewhere.
pub fn encode(dataset: &Dataset) -> Result<Vec<u8>, EncodeError> {
    let mut bytes = Vec::new();
    for piece in pieces(dataset)? {
        match piece {
            Piece::Bytes(more) if bytes.is_empty() => bytes = more,
            Piece::Bytes(more) => bytes.extend_from_slice(&more),
            Piece::Bulk { tag, .. } => return Err(EncodeError::BulkMissing { tag }),
        }
    }
    Ok(bytes)
}

/// The encoded data set in order, with a place for every value that lies elsewhere.
///
/// # Errors
/// [`EncodeError::TooLong`].
pub fn pieces(dataset: &Dataset) -> Result<Vec<Piece<'_>>, EncodeError> {
    let mut out = Pieces {
        done: Vec::new(),
        bytes: Vec::new(),
    };
    out.dataset(dataset)?;
    out.cut();
    Ok(out.done)
}

struct Pieces<'a> {
    done: Vec<Piece<'a>>,
    bytes: Vec<u8>,
}

impl<'a> Pieces<'a> {
    /// As deep as the data set is nested, which its parser bounded.
    fn dataset(&mut self, dataset: &'a Dataset) -> Result<(), EncodeError> {
        dataset.iter().try_for_each(|element| self.element(element))
    }

    fn element(&mut self, element: &'a Element) -> Result<(), EncodeError> {
        let Element { tag, vr, value } = element;
        match value {
            Value::Bytes(value) => {
                element_head(&mut self.bytes, *tag, *vr, value.len() as u64)?;
                self.bytes.extend_from_slice(value);
                if value.len() % 2 == 1 {
                    self.bytes.push(padding(*vr));
                }
            }
            Value::Items(items) if items.is_empty() => {
                element_head(&mut self.bytes, *tag, VR::SQ, 0)?
            }
            Value::Items(items) => {
                long_head(&mut self.bytes, *tag, VR::SQ, UNDEFINED);
                for item in items {
                    mark(&mut self.bytes, ITEM, UNDEFINED);
                    self.dataset(item)?;
                    mark(&mut self.bytes, ITEM_END, 0);
                }
                mark(&mut self.bytes, SEQUENCE_END, 0);
            }
            Value::Bulk(uri) => {
                self.cut();
                self.done.push(Piece::Bulk {
                    tag: *tag,
                    vr: *vr,
                    uri,
                });
            }
        }
        Ok(())
    }

    fn cut(&mut self) {
        if !self.bytes.is_empty() {
            self.done
                .push(Piece::Bytes(std::mem::take(&mut self.bytes)));
        }
    }
}

/// Appends the head of an element whose value of `length` bytes follows; the caller pads it to an
/// even length by [`padding`], which is counted here already.
///
/// # Errors
/// [`EncodeError::TooLong`].
pub fn element_head(out: &mut Vec<u8>, tag: Tag, vr: VR, length: u64) -> Result<(), EncodeError> {
    let even = length.saturating_add(length % 2);
    let Some(even) = u32::try_from(even).ok().filter(|even| *even != UNDEFINED) else {
        return Err(EncodeError::TooLong { tag });
    };
    match u16::try_from(even) {
        _ if is_long(vr) => long_head(out, tag, vr, even),
        Ok(short) => {
            push_tag(out, tag);
            out.extend_from_slice(&vr.to_bytes());
            out.extend_from_slice(&short.to_le_bytes());
        }
        Err(_) => long_head(out, tag, VR::UN, even),
    }
    Ok(())
}

/// The byte that makes a value of odd length even (PS3.5 §6.2).
#[must_use]
pub fn padding(vr: VR) -> u8 {
    if is_text(vr) && vr != VR::UI { b' ' } else { 0 }
}

/// Where each frame of encapsulated pixel data begins (PS3.5 §A.4), one fragment a frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Offsets {
    /// The Basic Offset Table.
    Basic(Vec<u32>),
    /// Past 4 GiB: the Extended Offset Table (7FE0,0001) and its lengths (7FE0,0002), as the
    /// elements' values. The Basic Offset Table is empty then.
    Extended {
        /// Where each frame's item begins, counted from the first one.
        offsets: Vec<u8>,
        /// The length of each frame, padding left out.
        lengths: Vec<u8>,
    },
}

impl Offsets {
    /// The table for frames of these lengths in bytes.
    #[must_use]
    pub fn of_frames(lengths: &[u64]) -> Self {
        let mut next = 0_u64;
        let starts: Vec<u64> = lengths
            .iter()
            .map(|length| {
                let start = next;
                next = next
                    .saturating_add(8)
                    .saturating_add(*length)
                    .saturating_add(*length % 2);
                start
            })
            .collect();
        let basic: Result<Vec<u32>, _> = starts.iter().map(|start| u32::try_from(*start)).collect();
        let bytes = |numbers: &[u64]| numbers.iter().flat_map(|n| n.to_le_bytes()).collect();
        basic.map_or_else(
            |_| Self::Extended {
                offsets: bytes(&starts),
                lengths: bytes(lengths),
            },
            Self::Basic,
        )
    }
}

/// Appends what stands before the fragments of encapsulated Pixel Data: the elements of an Extended
/// Offset Table, the head, and the Basic Offset Table.
///
/// # Errors
/// [`EncodeError::TooLong`].
pub fn fragments_start(out: &mut Vec<u8>, table: &Offsets) -> Result<(), EncodeError> {
    let basic: &[u32] = match table {
        Offsets::Basic(offsets) => offsets,
        Offsets::Extended { offsets, lengths } => {
            for (tag, value) in [
                (Tag(0x7FE0, 0x0001), offsets),
                (Tag(0x7FE0, 0x0002), lengths),
            ] {
                element_head(out, tag, VR::OV, value.len() as u64)?;
                out.extend_from_slice(value);
            }
            &[]
        }
    };
    long_head(out, PIXEL_DATA, VR::OB, UNDEFINED);
    fragment_head(out, basic.len() as u64 * 4)?;
    out.extend(basic.iter().flat_map(|offset| offset.to_le_bytes()));
    Ok(())
}

/// Appends the head of a fragment of `length` bytes, which follow; the caller pads them to an even
/// length by a NUL, which is counted here already.
///
/// # Errors
/// [`EncodeError::TooLong`].
pub fn fragment_head(out: &mut Vec<u8>, length: u64) -> Result<(), EncodeError> {
    match u32::try_from(length.saturating_add(length % 2)) {
        Ok(even) if even != UNDEFINED => mark(out, ITEM, even),
        _ => return Err(EncodeError::TooLong { tag: PIXEL_DATA }),
    }
    Ok(())
}

/// Appends what stands after the last fragment.
pub fn fragments_end(out: &mut Vec<u8>) {
    mark(out, SEQUENCE_END, 0);
}

fn long_head(out: &mut Vec<u8>, tag: Tag, vr: VR, length: u32) {
    push_tag(out, tag);
    out.extend_from_slice(&vr.to_bytes());
    out.extend_from_slice(&[0, 0]);
    out.extend_from_slice(&length.to_le_bytes());
}

/// An item or a delimiter, which have no VR (PS3.5 §7.5).
fn mark(out: &mut Vec<u8>, tag: Tag, length: u32) {
    push_tag(out, tag);
    out.extend_from_slice(&length.to_le_bytes());
}

fn push_tag(out: &mut Vec<u8>, tag: Tag) {
    out.extend_from_slice(&tag.group().to_le_bytes());
    out.extend_from_slice(&tag.element().to_le_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn element(tag: Tag, vr: VR, value: Value) -> Element {
        Element { tag, vr, value }
    }

    fn dataset(elements: impl IntoIterator<Item = Element>) -> Dataset {
        Dataset::from_elements(elements.into_iter().collect()).unwrap()
    }

    #[test]
    fn elements_are_written_as_the_tables_of_ps3_5_show() {
        let bytes = |text: &[u8]| Value::Bytes(text.to_vec());
        let item = dataset([element(Tag(0x0008, 0x1150), VR::UI, bytes(b"1.2"))]);
        let set = dataset([
            element(Tag(0x0008, 0x0060), VR::CS, bytes(b"CT")),
            element(
                Tag(0x0008, 0x1140),
                VR::SQ,
                Value::Items(vec![item, Dataset::default()]),
            ),
            element(Tag(0x0010, 0x0010), VR::PN, bytes(b"Doe")),
            element(Tag(0x0040, 0x0275), VR::SQ, Value::Items(Vec::new())),
            element(Tag(0x0042, 0x0011), VR::OB, bytes(b"%PDF-")),
        ]);
        // Tables 7.1-1, 7.1-2 and 7.5-1 by hand.
        let expected = [
            &b"\x08\0\x60\0CS\x02\0CT"[..],
            b"\x08\0\x40\x11SQ\0\0\xFF\xFF\xFF\xFF",
            b"\xFE\xFF\0\xE0\xFF\xFF\xFF\xFF\x08\0\x50\x11UI\x04\x001.2\0\xFE\xFF\x0D\xE0\0\0\0\0",
            b"\xFE\xFF\0\xE0\xFF\xFF\xFF\xFF\xFE\xFF\x0D\xE0\0\0\0\0",
            b"\xFE\xFF\xDD\xE0\0\0\0\0",
            b"\x10\0\x10\0PN\x04\0Doe ",
            b"\x40\0\x75\x02SQ\0\0\0\0\0\0",
            b"\x42\0\x11\0OB\0\0\x06\0\0\0%PDF-\0",
        ]
        .concat();
        assert_eq!(encode(&set), Ok(expected));
    }

    #[test]
    fn a_value_too_long_for_its_vr_is_written_as_unknown() {
        for (length, head) in [
            (65534, &b"\x06\x30\x50\0DS\xFE\xFF"[..]),
            (65535, b"\x06\x30\x50\0UN\0\0\0\0\x01\0"),
            (65536, b"\x06\x30\x50\0UN\0\0\0\0\x01\0"),
        ] {
            let mut out = Vec::new();
            element_head(&mut out, Tag(0x3006, 0x0050), VR::DS, length).unwrap();
            assert_eq!(out, head, "{length}");
        }
        let tag = Tag(0x7FE0, 0x0010);
        for length in [u64::from(u32::MAX) - 1, u64::from(u32::MAX), u64::MAX] {
            let result = element_head(&mut Vec::new(), tag, VR::OW, length);
            let is_long = length >= u64::from(u32::MAX);
            assert_eq!(
                result,
                if is_long {
                    Err(EncodeError::TooLong { tag })
                } else {
                    Ok(())
                }
            );
        }
    }

    #[test]
    fn bulk_data_leaves_its_place_and_must_be_brought() {
        let tag = Tag(0x7FE0, 0x0010);
        let set = dataset([
            element(Tag(0x0008, 0x0060), VR::CS, Value::Bytes(b"CT".to_vec())),
            element(tag, VR::OW, Value::Bulk("x".into())),
        ]);
        let expected = [
            Piece::Bytes(b"\x08\0\x60\0CS\x02\0CT".to_vec()),
            Piece::Bulk {
                tag,
                vr: VR::OW,
                uri: "x",
            },
        ];
        assert_eq!(pieces(&set).unwrap(), expected);
        assert_eq!(encode(&set), Err(EncodeError::BulkMissing { tag }));
    }

    #[test]
    fn frames_are_found_by_their_table() {
        let table = Offsets::of_frames(&[3, 2]);
        assert_eq!(table, Offsets::Basic(vec![0, 12]));
        let mut out = Vec::new();
        fragments_start(&mut out, &table).unwrap();
        fragment_head(&mut out, 3).unwrap();
        out.extend_from_slice(b"abc\0");
        fragment_head(&mut out, 2).unwrap();
        out.extend_from_slice(b"de");
        fragments_end(&mut out);
        // PS3.5 Table A.4-2.
        let expected = [
            &b"\xE0\x7F\x10\0OB\0\0\xFF\xFF\xFF\xFF\xFE\xFF\0\xE0\x08\0\0\0\0\0\0\0\x0C\0\0\0"[..],
            b"\xFE\xFF\0\xE0\x04\0\0\0abc\0\xFE\xFF\0\xE0\x02\0\0\0de\xFE\xFF\xDD\xE0\0\0\0\0",
        ]
        .concat();
        assert_eq!(out, expected);

        let large = Offsets::of_frames(&[1 << 31, (1 << 31) + 1, 5]);
        let numbers = |list: [u64; 3]| list.iter().flat_map(|n| n.to_le_bytes()).collect();
        let offsets = numbers([0, (1 << 31) + 8, (1 << 32) + 2 + 16]);
        let lengths = numbers([1 << 31, (1 << 31) + 1, 5]);
        assert_eq!(large, Offsets::Extended { offsets, lengths });
    }
}
