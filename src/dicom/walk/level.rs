//! What encloses the next byte of a walk: where it ends, how it is encoded, and what of it the VR
//! of later elements depends on.

use dicom_core::{Tag, VR};

use super::dictionary::{self, Meaning};
use super::syntax::Spelling;
use super::{ByteOrder, Encoding};

const PIXEL_REPRESENTATION: Tag = Tag(0x0028, 0x0103);
const LUT_DESCRIPTOR: Tag = Tag(0x0028, 0x3002);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The data set itself.
    Root,
    /// A sequence: items are next.
    Sequence,
    /// A sequence under VR UN, whose items may turn out to be something else.
    UnknownSequence,
    /// An item: elements are next.
    Item,
    /// Encapsulated pixel data: fragments are next. Whether the offset table has been seen.
    Fragments { has_table: bool },
}

/// What encloses the next byte.
#[derive(Debug, Clone)]
pub(super) struct Level {
    pub(super) kind: Kind,
    /// The tag of the sequence or pixel data; of no meaning elsewhere.
    pub(super) tag: Tag,
    /// The pixel data's VR; of no meaning elsewhere.
    pub(super) vr: VR,
    pub(super) encoding: Encoding,
    /// Whether no element has told yet how this level is encoded.
    pub(super) is_fresh: bool,
    /// Where it ends, when it says so itself.
    pub(super) end: Option<u64>,
    /// Nothing inside reaches beyond this: the end of the innermost sequence that has one.
    pub(super) wall: u64,
    /// (0028,0103) of this data set or the nearest around it.
    pub(super) is_signed: bool,
    /// The first value of (0028,3002) of this data set.
    pub(super) lut_entries: Option<u16>,
}

impl Level {
    /// The data set itself.
    pub(super) fn root(encoding: Encoding) -> Self {
        Self {
            kind: Kind::Root,
            tag: Tag(0, 0),
            vr: VR::UN,
            encoding,
            is_fresh: true,
            end: None,
            wall: u64::MAX,
            is_signed: false,
            lut_entries: None,
        }
    }

    /// The VR of an element: as written, or by the dictionary when it is not or is UN.
    pub(super) fn vr_of(&self, tag: Tag, spelling: Spelling, length: u32) -> VR {
        let vr = match spelling {
            Spelling::Implicit => VR::UN,
            Spelling::Short(vr) | Spelling::Long(vr) => vr,
        };
        // A UN of 64 KiB or more may be so because its own VR has no room for the length.
        if vr != VR::UN || (spelling != Spelling::Implicit && length >= 0xFFFF) {
            return vr;
        }
        match dictionary::look_up(tag) {
            None => VR::UN,
            Some(Meaning::Vr(vr)) => vr,
            Some(Meaning::Signedness) if self.is_signed => VR::SS,
            Some(Meaning::Signedness) => VR::US,
            Some(Meaning::LutData) if self.lut_entries == Some(1) => VR::US,
            Some(Meaning::LutData) => VR::OW,
        }
    }

    /// Keeps what later elements' VR depends on.
    pub(super) fn remember(&mut self, tag: Tag, value: &[u8], order: ByteOrder) {
        let Some(first) = value.first_chunk::<2>() else {
            return;
        };
        let first = order.u16(*first);
        match tag {
            PIXEL_REPRESENTATION => self.is_signed = first != 0,
            LUT_DESCRIPTOR => self.lut_entries = Some(first),
            _ => {}
        }
    }
}
