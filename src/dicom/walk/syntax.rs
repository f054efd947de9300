//! The header of one data element: tag, value representation, length (PS3.5 §7.1). Decides, where
//! a writer broke its word, whether an element was written with or without its VR.

use dicom_core::{Tag, VR};

use super::dictionary::{self, Meaning};
use super::{ByteOrder, Encoding};

/// The length that says "until a delimiter" (PS3.5 §7.1.1).
pub(super) const UNDEFINED: u32 = u32::MAX;

/// How an element says its VR.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Spelling {
    /// Not at all.
    Implicit,
    /// With a length of two bytes (PS3.5 Table 7.1-2).
    Short(VR),
    /// With two reserved bytes and a length of four (PS3.5 Table 7.1-1).
    Long(VR),
}

impl Spelling {
    /// Whether the VR is given, and given as unknown.
    pub(super) fn is_unknown(self) -> bool {
        matches!(self, Self::Short(VR::UN) | Self::Long(VR::UN))
    }

    /// The bytes of the header.
    pub(super) fn header_bytes(self) -> usize {
        match self {
            Self::Implicit | Self::Short(_) => 8,
            Self::Long(_) => 12,
        }
    }
}

/// The tag in the first four bytes.
pub(super) fn tag(bytes: [u8; 8], order: ByteOrder) -> Tag {
    Tag(
        order.u16([bytes[0], bytes[1]]),
        order.u16([bytes[2], bytes[3]]),
    )
}

/// The length in the last four of eight bytes.
pub(super) fn length(bytes: [u8; 8], order: ByteOrder) -> u32 {
    order.u32([bytes[4], bytes[5], bytes[6], bytes[7]])
}

/// How the element that begins with `bytes` is written, when its neighbours are written as
/// `encoding` says. Some writers change their mind for an element or from a sequence onward.
pub(super) fn spelling(tag: Tag, bytes: [u8; 8], encoding: Encoding) -> Spelling {
    let letters = [bytes[4], bytes[5]];
    let known = VR::from_binary(letters);
    if encoding.explicit {
        return match known {
            Some(vr) if is_long(vr) => Spelling::Long(vr),
            Some(vr) => Spelling::Short(vr),
            // A VR invented after us has the long form (PS3.5 §6.2 note); a misprint of an old one
            // shows by a length where the reserved zeros would be.
            None if letters.iter().all(u8::is_ascii_uppercase) => {
                if bytes[6] == 0 && bytes[7] == 0 {
                    Spelling::Long(VR::UN)
                } else {
                    Spelling::Short(VR::UN)
                }
            }
            None => Spelling::Implicit,
        };
    }
    // Letters among implicit elements may as well be a length. It is taken for a VR when that
    // length would be odd, or when the attribute has just this VR and never such a length.
    match known {
        Some(vr)
            if length(bytes, encoding.order) % 2 == 1
                || is_plausible(tag, vr, [bytes[6], bytes[7]]) =>
        {
            if is_long(vr) {
                Spelling::Long(vr)
            } else {
                Spelling::Short(vr)
            }
        }
        _ => Spelling::Implicit,
    }
}

/// Whether the letters are the attribute's own VR and a value of the length that they spell is out
/// of the question: too long for a short text, no whole number of FD or FL. For DS and LT it is
/// in question only when the explicit reading would be an empty value.
fn is_plausible(tag: Tag, vr: VR, explicit_length: [u8; 2]) -> bool {
    let is_no_length = match vr {
        VR::DA | VR::DT | VR::TM | VR::PN | VR::LO | VR::FD | VR::FL => true,
        VR::DS | VR::LT => explicit_length != [0, 0],
        _ => false,
    };
    is_no_length && dictionary::look_up(tag) == Some(Meaning::Vr(vr))
}

/// Whether a VR has two reserved bytes and a length of four (PS3.5 Table 7.1-1).
pub(crate) fn is_long(vr: VR) -> bool {
    use VR::{OB, OD, OF, OL, OV, OW, SQ, SV, UC, UN, UR, UT, UV};
    matches!(
        vr,
        OB | OD | OF | OL | OV | OW | SQ | SV | UC | UN | UR | UT | UV
    )
}

/// A header read outside a walk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) tag: Tag,
    /// Whether it names a VR.
    pub(crate) is_explicit: bool,
    /// Its own length in bytes.
    pub(crate) bytes: usize,
    /// The length of the value; all ones is undefined.
    pub(crate) length: u32,
}

/// The header at the start of `bytes`, `None` when it is not whole.
pub(crate) fn read_header(bytes: &[u8], encoding: Encoding) -> Option<Header> {
    let first = *bytes.first_chunk::<8>()?;
    let order = encoding.order;
    let tag = tag(first, order);
    let spelling = spelling(tag, first, encoding);
    let length = match spelling {
        Spelling::Implicit => length(first, order),
        Spelling::Short(_) => u32::from(order.u16([first[6], first[7]])),
        Spelling::Long(_) => order.u32(*bytes.get(8..)?.first_chunk::<4>()?),
    };
    let is_explicit = spelling != Spelling::Implicit;
    Some(Header {
        tag,
        is_explicit,
        bytes: spelling.header_bytes(),
        length,
    })
}

/// The elements that [`plausible_elements`] looks at.
const PLAUSIBLE_COUNT: usize = 3;

/// Whether a data set that begins with `bytes` may be encoded so: its first elements are known
/// ones of the first groups, in order, of sensible lengths.
pub(crate) fn plausible_elements(bytes: &[u8], encoding: Encoding) -> bool {
    let (mut rest, mut last) = (bytes, None);
    for _ in 0..PLAUSIBLE_COUNT {
        let Some(header) = read_header(rest, encoding) else {
            break;
        };
        let is_first_group = (0x0004..=0x0028).contains(&header.tag.0) || header.tag.0 == 0;
        let is_known = header.tag.0 & 1 == 1 || dictionary::look_up(header.tag).is_some();
        let is_in_order = last.is_none_or(|last| header.tag > last);
        let is_encoded_so = header.is_explicit == encoding.explicit;
        if !(is_known && is_in_order && is_encoded_so) || (last.is_none() && !is_first_group) {
            return false;
        }
        last = Some(header.tag);
        if header.length == UNDEFINED {
            break;
        }
        if header.length > 1 << 20 {
            return false;
        }
        let next = rest
            .get(header.bytes..)
            .and_then(|rest| rest.get(header.length as usize..));
        let Some(next) = next else { break };
        rest = next;
    }
    last.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spelling_is_found_out_where_writers_break_their_word() {
        const EXPLICIT: Encoding = Encoding {
            explicit: true,
            order: ByteOrder::Little,
        };
        const IMPLICIT: Encoding = Encoding {
            explicit: false,
            order: ByteOrder::Little,
        };
        let cases: &[([u8; 8], Encoding, Spelling)] = &[
            (
                *b"\x08\x00\x18\x00UI\x04\x00",
                EXPLICIT,
                Spelling::Short(VR::UI),
            ),
            (
                *b"\x08\x00\x18\x00\x04\x00\x00\x00",
                EXPLICIT,
                Spelling::Implicit,
            ),
            (
                *b"\x08\x00\x18\x00OB\x00\x00",
                EXPLICIT,
                Spelling::Long(VR::OB),
            ),
            (
                *b"\x08\x00\x18\x00ZZ\x00\x00",
                EXPLICIT,
                Spelling::Long(VR::UN),
            ),
            (
                *b"\x08\x00\x18\x00ZZ\x04\x00",
                EXPLICIT,
                Spelling::Short(VR::UN),
            ),
            (
                *b"\x08\x00\x18\x00\x04\x00\x00\x00",
                IMPLICIT,
                Spelling::Implicit,
            ),
            (
                *b"\x08\x00\x18\x00UI\x04\x00",
                IMPLICIT,
                Spelling::Short(VR::UI),
            ),
            // 0x5344 bytes of decimal strings, no DS.
            (*b"\x3A\x30\x50\x00DS\x00\x00", IMPLICIT, Spelling::Implicit),
            (
                *b"\x08\x00\x20\x00DA\x08\x00",
                IMPLICIT,
                Spelling::Short(VR::DA),
            ),
            (*b"\x09\x00\x01\x10DA\x08\x00", IMPLICIT, Spelling::Implicit),
        ];
        for (bytes, encoding, expected) in cases {
            let found = spelling(tag(*bytes, encoding.order), *bytes, *encoding);
            assert_eq!(found, *expected, "{bytes:?}");
        }
    }
}
