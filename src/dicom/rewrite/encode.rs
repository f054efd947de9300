//! Elements written in any of the three encodings (PS3.5 §7.1): headers, items, and whole data sets
//! that are in memory.

use dicom_core::{Tag, VR};

use super::Swap;
use crate::dicom::dataset::{Dataset, Element, Value};
use crate::dicom::walk::{ByteOrder, Encoding, is_long};

/// The length that says "until a delimiter" (PS3.5 §7.1.1).
pub(crate) const UNDEFINED: u32 = u32::MAX;

pub(crate) const ITEM: Tag = Tag(0xFFFE, 0xE000);
pub(crate) const ITEM_DELIMITER: Tag = Tag(0xFFFE, 0xE00D);
pub(crate) const SEQUENCE_DELIMITER: Tag = Tag(0xFFFE, 0xE0DD);

/// The longest value under a VR with a length of two bytes; a longer one is written as UN
/// (PS3.5 §6.2.2 note 8).
const SHORT_LENGTH_MAX: u32 = 65_534;

/// Appends the header of an element. What the VR has no room for is written as UN.
pub fn head(out: &mut Vec<u8>, encoding: Encoding, tag: Tag, vr: VR, length: u32) {
    if !encoding.explicit {
        return delimiter(out, encoding.order, tag, length);
    }
    push_tag(out, encoding.order, tag);
    if is_long(vr) {
        out.extend_from_slice(&vr.to_bytes());
        out.extend_from_slice(&[0, 0]);
        push_u32(out, encoding.order, length);
    } else if let Some(length) = u16::try_from(length)
        .ok()
        .filter(|_| length <= SHORT_LENGTH_MAX)
    {
        out.extend_from_slice(&vr.to_bytes());
        push_u16(out, encoding.order, length);
    } else {
        out.extend_from_slice(b"UN\0\0");
        push_u32(out, encoding.order, length);
    }
}

/// Appends the header of an item, or a delimiter.
pub fn delimiter(out: &mut Vec<u8>, order: ByteOrder, tag: Tag, length: u32) {
    push_tag(out, order, tag);
    push_u32(out, order, length);
}

/// Appends an element that is in memory; sequences and items of undefined length. Values that lie
/// elsewhere ([`Value::Bulk`]) are left empty.
pub fn element(out: &mut Vec<u8>, encoding: Encoding, element: &Element) {
    let Element { tag, vr, value } = element;
    match value {
        Value::Bytes(bytes) => {
            // Longer than the format can say is out of reach of what is held in memory.
            let length = u32::try_from(bytes.len().next_multiple_of(2)).unwrap_or(UNDEFINED - 1);
            head(out, encoding, *tag, *vr, length);
            let begin = out.len();
            out.extend_from_slice(bytes);
            if bytes.len() % 2 == 1 {
                out.push(padding(*vr));
            }
            if encoding.order == ByteOrder::Big {
                Swap::of_vr(*vr).apply(&mut out[begin..]);
            }
        }
        Value::Bulk(_) => head(out, encoding, *tag, *vr, 0),
        Value::Items(items) => {
            head(out, encoding, *tag, VR::SQ, UNDEFINED);
            for dataset in items {
                item(out, encoding, dataset);
            }
            delimiter(out, encoding.order, SEQUENCE_DELIMITER, 0);
        }
    }
}

/// Appends an item of a sequence.
pub fn item(out: &mut Vec<u8>, encoding: Encoding, dataset: &Dataset) {
    delimiter(out, encoding.order, ITEM, UNDEFINED);
    // As deep as the program builds them, or as the parser of metadata lets them be.
    for each in dataset.iter() {
        element(out, encoding, each);
    }
    delimiter(out, encoding.order, ITEM_DELIMITER, 0);
}

/// What makes a value of this VR even (PS3.5 §6.2).
fn padding(vr: VR) -> u8 {
    match vr {
        VR::UI | VR::OB | VR::UN => 0,
        _ => b' ',
    }
}

fn push_tag(out: &mut Vec<u8>, order: ByteOrder, tag: Tag) {
    push_u16(out, order, tag.0);
    push_u16(out, order, tag.1);
}

fn push_u16(out: &mut Vec<u8>, order: ByteOrder, number: u16) {
    match order {
        ByteOrder::Little => out.extend_from_slice(&number.to_le_bytes()),
        ByteOrder::Big => out.extend_from_slice(&number.to_be_bytes()),
    }
}

fn push_u32(out: &mut Vec<u8>, order: ByteOrder, number: u32) {
    match order {
        ByteOrder::Little => out.extend_from_slice(&number.to_le_bytes()),
        ByteOrder::Big => out.extend_from_slice(&number.to_be_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXPLICIT: Encoding = Encoding {
        explicit: true,
        order: ByteOrder::Little,
    };

    #[test]
    fn headers_of_each_encoding() {
        let big = Encoding {
            explicit: true,
            order: ByteOrder::Big,
        };
        let implicit = Encoding {
            explicit: false,
            order: ByteOrder::Little,
        };
        let cases: &[(Encoding, VR, u32, &[u8])] = &[
            (EXPLICIT, VR::LO, 4, b"\x10\x00\x20\x00LO\x04\x00"),
            (EXPLICIT, VR::LO, 65_534, b"\x10\x00\x20\x00LO\xFE\xFF"),
            (
                EXPLICIT,
                VR::LO,
                65_536,
                b"\x10\x00\x20\x00UN\0\0\x00\x00\x01\x00",
            ),
            (
                EXPLICIT,
                VR::OW,
                4,
                b"\x10\x00\x20\x00OW\0\0\x04\x00\x00\x00",
            ),
            (big, VR::LO, 4, b"\x00\x10\x00\x20LO\x00\x04"),
            (big, VR::OW, 4, b"\x00\x10\x00\x20OW\0\0\x00\x00\x00\x04"),
            (implicit, VR::OW, 4, b"\x10\x00\x20\x00\x04\x00\x00\x00"),
        ];
        for (encoding, vr, length, expected) in cases {
            let mut out = Vec::new();
            head(&mut out, *encoding, Tag(0x0010, 0x0020), *vr, *length);
            assert_eq!(out, *expected, "{vr} {length}");
        }
    }

    #[test]
    fn items_hold_elements_padded_by_their_vr() {
        let mut dataset = Dataset::default();
        for (number, vr, value) in [(0x20, VR::LO, "ABC"), (0x18, VR::UI, "1.2")] {
            dataset.set(Element {
                tag: Tag(0x0010, number),
                vr,
                value: Value::Bytes(value.into()),
            });
        }
        let mut out = Vec::new();
        let sequence = Element {
            tag: Tag(0x0040, 0x0275),
            vr: VR::SQ,
            value: Value::Items(vec![dataset]),
        };
        element(&mut out, EXPLICIT, &sequence);
        let expected = b"\x40\x00\x75\x02SQ\0\0\xFF\xFF\xFF\xFF\xFE\xFF\x00\xE0\xFF\xFF\xFF\xFF\
            \x10\x00\x18\x00UI\x04\x001.2\0\x10\x00\x20\x00LO\x04\x00ABC \
            \xFE\xFF\x0D\xE0\0\0\0\0\xFE\xFF\xDD\xE0\0\0\0\0";
        assert_eq!(out, expected);
    }
}
