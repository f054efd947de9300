//! What the index keeps of an instance, gathered from the elements that go by: its identity, the
//! rows of [`ATTRIBUTES`] and what can be matched inside [`SEQUENCES`].

use dicom_core::{Tag, VR};

use crate::dicom::attributes::{
    ATTRIBUTES, AttributeId, AttributeValues, FINDABLE_ITEMS_MAX, SEQUENCES, SequenceValue,
};
use crate::dicom::charset::{self, Charset};
use crate::dicom::json::write;
use crate::dicom::uid::{Uid, UidError};
use crate::dicom::walk::{ByteOrder, Fault};

/// The attributes that identify an instance, in the order of [`Built`](super::Built).
const IDENTITY: [(Tag, &str); 4] = [
    (Tag(0x0008, 0x0016), "SOPClassUID"),
    (Tag(0x0008, 0x0018), "SOPInstanceUID"),
    (Tag(0x0020, 0x000D), "StudyInstanceUID"),
    (Tag(0x0020, 0x000E), "SeriesInstanceUID"),
];

/// The tags of [`ATTRIBUTES`] side by side: every root element is looked up among them.
const INDEXED: [Tag; ATTRIBUTES.len()] = {
    let mut tags = [Tag(0, 0); ATTRIBUTES.len()];
    let mut i = 0;
    while i < tags.len() {
        tags[i] = ATTRIBUTES[i].tag;
        i += 1;
    }
    tags
};

/// An element whose value is in memory.
pub(super) struct Element<'a> {
    pub(super) tag: Tag,
    pub(super) vr: VR,
    pub(super) bytes: &'a [u8],
    pub(super) order: ByteOrder,
    pub(super) charset: Charset,
}

/// What has gone by so far.
#[derive(Default)]
pub(super) struct Kept {
    identity: [Option<Result<Uid, UidError>>; 4],
    pub(super) attributes: AttributeValues,
    pub(super) sequence_values: Vec<SequenceValue>,
}

impl Kept {
    /// Keeps what is wanted of an element of the data set itself.
    pub(super) fn root(&mut self, element: &Element<'_>) {
        // No row is private, but most elements of many modalities are.
        if element.tag.group() % 2 == 1 {
            return;
        }
        if let Some(i) = IDENTITY.iter().position(|(tag, _)| *tag == element.tag) {
            self.identity[i] = Some(Uid::from_value(element.bytes));
        }
        if let Some(id) = attribute_of(element.tag) {
            self.attributes
                .set(id, index_text(id.attribute().vr, element));
        }
    }

    /// Keeps what is wanted of an element in `item` of the sequence at this place of [`SEQUENCES`]:
    /// nothing from item [`FINDABLE_ITEMS_MAX`] on.
    pub(super) fn inside(&mut self, sequence: u8, item: u32, element: &Element<'_>) {
        if item >= FINDABLE_ITEMS_MAX {
            return;
        }
        let rows = (0u8..).zip(SEQUENCES[usize::from(sequence)].items);
        for (attribute, (tag, _, vr)) in rows {
            if *tag == element.tag {
                let value = index_text(*vr, element).into();
                self.sequence_values.push(SequenceValue {
                    sequence,
                    item,
                    attribute,
                    value,
                });
            }
        }
    }

    /// SOP class, SOP instance, study, series; what is malformed is `None`.
    pub(super) fn identity(&self) -> [Option<&Uid>; 4] {
        std::array::from_fn(|i| self.identity[i].as_ref().and_then(|uid| uid.as_ref().ok()))
    }

    /// The four UIDs, which every instance must have.
    pub(super) fn take_identity(&mut self) -> Result<[Uid; 4], Fault> {
        let mut uids = Vec::with_capacity(4);
        for (found, (_, keyword)) in std::mem::take(&mut self.identity).into_iter().zip(IDENTITY) {
            let problem = match found {
                Some(Ok(uid)) => {
                    uids.push(uid);
                    continue;
                }
                None | Some(Err(UidError::Empty)) => "missing",
                Some(Err(UidError::TooLong)) => "longer than 64 characters",
                Some(Err(UidError::Malformed)) => "malformed",
            };
            return Err(Fault::Identity { keyword, problem });
        }
        Ok(uids
            .try_into()
            .expect("one UID was kept for each of four rows"))
    }
}

/// The row of a tag.
fn attribute_of(tag: Tag) -> Option<AttributeId> {
    let place = INDEXED.iter().position(|indexed| *indexed == tag)?;
    u8::try_from(place).ok().map(AttributeId)
}

/// A value as the index keeps it: see [`AttributeValues`].
fn index_text(wanted: VR, element: &Element<'_>) -> String {
    let Element {
        vr: found,
        bytes,
        order,
        charset,
        ..
    } = *element;
    let is_known = write::is_text(found) || write::is_binary_number(found);
    let vr = if is_known { found } else { wanted };
    if write::is_binary_number(vr) {
        return write::numbers_as_text(vr, bytes, order);
    }
    let text = charset.decode(vr, bytes);
    if charset::is_single_valued(vr) {
        return write::trim(vr, &text).to_owned();
    }
    let mut out = String::with_capacity(text.len());
    for (i, value) in text.split('\\').enumerate() {
        if i > 0 {
            out.push('\\');
        }
        out.push_str(value.trim_matches([' ', '\0']));
    }
    out
}
