//! The grades read back out of a report's prepared metadata: what our own reports, and other people's by the same codes,
//! say in answer to what was asked.

use dicom_core::Tag;

use super::Code;
use crate::dicom::json::prepared::{items, members, text};
use crate::dicom::json::top_level_member;

/// The deepest section looked into; ours stand under the root.
const DEPTH_MAX: usize = 8;

/// Every coded answer below a heading: its concept and its value, in document order. The standard's word for agreement
/// stands under "Conclusion" (PS3.16 CID 3217), our own grades under [`codes::AGREEMENT`](super::codes::AGREEMENT)
/// and its like.
#[must_use]
pub fn graded(metadata: &[u8]) -> Vec<(Code, Code)> {
    let mut found = Vec::new();
    let Some(root) = top_level_member(metadata, Tag(0x0040, 0xA730)) else {
        return found;
    };
    let mut open = vec![children(root)];
    while let Some(level) = open.last_mut() {
        let Some(item) = level.next() else {
            open.pop();
            continue;
        };
        let depth = open.len();
        let (mut relationship, mut concept, mut value, mut below) = (None, None, None, None);
        for (tag, member) in members(item) {
            match tag {
                b"0040A010" => relationship = text(member),
                b"0040A043" => concept = code(member),
                b"0040A168" => value = code(member),
                b"0040A730" => below = Some(children(member)),
                _ => {}
            }
        }
        if let (Some("CONTAINS"), Some(concept), Some(value)) =
            (relationship.as_deref(), concept, value)
        {
            found.push((concept, value));
        }
        if let (Some(below), true) = (below, depth < DEPTH_MAX) {
            open.push(below);
        }
    }
    found
}

fn children(member: &[u8]) -> std::vec::IntoIter<&[u8]> {
    let all: Vec<_> = items(member).into_iter().flatten().collect();
    all.into_iter()
}

/// The first coded entry of an attribute.
fn code(member: &[u8]) -> Option<Code> {
    coded(items(member)?.next()?)
}

/// An item as a coded entry.
pub(super) fn coded(item: &[u8]) -> Option<Code> {
    let (mut value, mut scheme, mut meaning) = (None, None, None);
    for (tag, member) in members(item) {
        match tag {
            b"00080100" | b"00080119" => value = text(member),
            b"00080102" => scheme = text(member),
            b"00080104" => meaning = text(member),
            _ => {}
        }
    }
    Some(Code {
        value: value?.into(),
        scheme: scheme?.into(),
        meaning: meaning.unwrap_or_default().into(),
    })
}
