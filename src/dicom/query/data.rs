//! Keys for any attribute of a data set, private ones and those inside sequences too, judged on
//! prepared metadata. What has an index is a [`Key`](super::Key) of its own; this is for the rest.
//!
//! A private attribute goes by its creator, whichever block its data set gave that creator
//! (PS3.5 §7.8.1). Its VR is what the metadata say; UN counts as text. Values that are bulk data are
//! present, but match nothing.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dicom_core::{Tag, VR};

use crate::dicom::json::prepared;
use crate::dicom::query::{Matching, Syntax, matches};

/// How deep keys may lie in sequences.
pub const KEY_DEPTH_MAX: usize = 8;

/// What an attribute of a data set or item has to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataKey {
    /// Its tag; of a private attribute the last two digits count.
    pub tag: Tag,
    /// Its private creator; `None` of an attribute of the standard.
    pub creator: Option<Box<str>>,
    /// What is asked of it.
    pub wanted: Wanted,
}

/// What is asked of an attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// Of this VR. Of a sequence [`Matching::Empty`] only has a meaning: that it has no items.
    Value(VR, Matching),
    /// Of the VR that the data set gives it: the text of the key, read for each.
    Text(Box<str>, Syntax),
    /// One item satisfies all of these (PS3.4 §C.2.2.2.6). A sequence that is absent or empty counts
    /// as one empty item.
    Item(Vec<DataKey>),
}

impl DataKey {
    /// Whether the prepared metadata of an instance, or an item of it, satisfy the key. Calls itself
    /// for items of its own keys, at most [`KEY_DEPTH_MAX`] deep: that is how deep keys are made.
    #[must_use]
    pub fn holds(&self, metadata: &[u8]) -> bool {
        let member = member(metadata, self.tag, self.creator.as_deref());
        match &self.wanted {
            Wanted::Item(keys) => {
                let holds = |item: &[u8]| keys.iter().all(|key| key.holds(item));
                match member.and_then(prepared::items) {
                    Some(mut items) => items.any(holds),
                    None => holds(b"{}"),
                }
            }
            Wanted::Value(VR::SQ, Matching::Empty) => member.and_then(prepared::items).is_none(),
            Wanted::Value(vr, matching) => value_matches(matching, *vr, member),
            Wanted::Text(text, syntax) => {
                let vr = member.and_then(vr_of).unwrap_or(VR::LO);
                let vr = if vr == VR::UN { VR::LO } else { vr };
                Matching::parse(vr, text, *syntax)
                    .is_ok_and(|matching| value_matches(&matching, vr, member))
            }
        }
    }
}

/// The attribute of a data set or item; a private one in the block of its creator.
#[must_use]
pub fn member<'m>(metadata: &'m [u8], tag: Tag, creator: Option<&str>) -> Option<&'m [u8]> {
    match creator {
        None => prepared::top_level_member(metadata, tag),
        Some(creator) => block_of(metadata, tag, creator)
            .and_then(|block| prepared::top_level_member(metadata, in_block(tag, block))),
    }
}

/// The block that a data set gave a private creator in the group of `tag`.
#[must_use]
pub fn block_of(metadata: &[u8], tag: Tag, creator: &str) -> Option<u8> {
    prepared::tagged_members(metadata).find_map(|(Tag(group, element), member)| {
        let block = u8::try_from(element).ok().filter(|block| *block >= 0x10)?;
        let is_meant = group == tag.group() && text(member)?.trim_matches(' ') == creator;
        is_meant.then_some(block)
    })
}

/// A private tag in this block.
#[must_use]
pub fn in_block(tag: Tag, block: u8) -> Tag {
    Tag(tag.group(), u16::from(block) << 8 | tag.element() & 0xFF)
}

fn vr_of(member: &[u8]) -> Option<VR> {
    let code = member.strip_prefix(br#"{"vr":""#)?.get(..2)?;
    std::str::from_utf8(code).ok()?.parse().ok()
}

fn value_matches(matching: &Matching, vr: VR, member: Option<&[u8]>) -> bool {
    let Some(member) = member else {
        return matches(matching, vr, None);
    };
    match text(member) {
        Some(text) => matches(matching, vr, Some(&text)),
        None => *matching == Matching::Universal,
    }
}

/// The value of an attribute as the index would keep it; `None` when it lies elsewhere or is not text.
fn text(member: &[u8]) -> Option<String> {
    const INLINE: &[u8] = br#","InlineBinary":""#;
    let value = member.get(r#"{"vr":"XX""#.len()..)?;
    if let Some(inline) = value.strip_prefix(INLINE) {
        let base64 = inline.strip_suffix(br#""}"#)?;
        let text = String::from_utf8(STANDARD.decode(base64).ok()?).ok()?;
        return Some(text.trim_matches([' ', '\0']).to_owned());
    }
    if value == b"}" {
        return Some(String::new());
    }
    prepared::text(member)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dicom::query::Lists;

    const METADATA: &[u8] = br#"{"00080008":{"vr":"CS","Value":["ORIGINAL","PRIMARY"]},"00101001":{"vr":"PN","Value":[{"Alphabetic":"M\u00fcller^J"},{"Ideographic":"\u5c71"}]},"00101002":{"vr":"SQ","Value":[{"00100020":{"vr":"LO","Value":["A"]},"00100021":{"vr":"LO","Value":["X"]}},{"00100020":{"vr":"LO","Value":["B"]}}]},"00104000":{"vr":"LT"},"00180050":{"vr":"DS","Value":[1.25]},"00230011":{"vr":"LO","Value":["Acme"]},"00231101":{"vr":"LO","Value":["x y"]},"00231102":{"vr":"UN","InlineBinary":"YWJjIA=="},"00231103":{"vr":"DA","Value":["20240105"]},"00400275":{"vr":"SQ"},"7FE00010":{"vr":"OW","BulkDataURI":"\u0001/x"}}"#;

    fn value(tag: Tag, vr: VR, text: &str) -> DataKey {
        let syntax = Syntax {
            has_empty_values: true,
            lists: Lists::All,
            ..Syntax::WEB
        };
        DataKey {
            tag,
            creator: None,
            wanted: Wanted::Value(vr, Matching::parse(vr, text, syntax).expect("a good key")),
        }
    }

    fn private(creator: &str, element: u16, text: &str) -> DataKey {
        DataKey {
            tag: Tag(0x0023, element),
            creator: Some(creator.into()),
            wanted: Wanted::Text(text.into(), Syntax::WEB),
        }
    }

    #[test]
    fn values_are_judged_as_those_of_the_index() {
        for (tag, vr, text, expected) in [
            (Tag(0x0008, 0x0008), VR::CS, "PRIMARY", true),
            (Tag(0x0008, 0x0008), VR::CS, "PRIMARY,ORIGINAL", true),
            (Tag(0x0008, 0x0008), VR::CS, "PRIMARY,AXIAL", false),
            (Tag(0x0010, 0x1001), VR::PN, "muller^j", true),
            (Tag(0x0010, 0x1001), VR::PN, "=\u{5c71}", true),
            (Tag(0x0010, 0x4000), VR::LT, "\"\"", true),
            (Tag(0x0010, 0x4000), VR::LT, "*x*", false),
            (Tag(0x0010, 0x4001), VR::LT, "\"\"", true),
            (Tag(0x0018, 0x0050), VR::DS, "1.250", true),
            (Tag(0x0018, 0x0050), VR::DS, "1.3", false),
            (Tag(0x7FE0, 0x0010), VR::OW, "", true),
            (Tag(0x7FE0, 0x0010), VR::OW, "\"\"", false),
        ] {
            assert_eq!(
                value(tag, vr, text).holds(METADATA),
                expected,
                "{tag} {text}"
            );
        }
    }

    #[test]
    fn private_attributes_go_by_their_creator() {
        for (creator, element, text, expected) in [
            ("Acme", 0x1001, "x*", true),
            ("Acme", 0x4201, "x y", true),
            ("Other", 0x1101, "x y", false),
            ("Acme", 0x1002, "abc", true),
            ("Acme", 0x1003, "20240101-20240131", true),
            ("Acme", 0x1003, "202401", false),
            ("Acme", 0x1009, "x", false),
            ("Acme", 0x1009, "*", true),
        ] {
            let key = private(creator, element, text);
            assert_eq!(
                key.holds(METADATA),
                expected,
                "{creator} {element:04X} {text}"
            );
        }
    }

    #[test]
    fn one_item_satisfies_all_keys_of_a_sequence() {
        let other_ids = |keys: Vec<DataKey>| DataKey {
            tag: Tag(0x0010, 0x1002),
            creator: None,
            wanted: Wanted::Item(keys),
        };
        let id = |text| value(Tag(0x0010, 0x0020), VR::LO, text);
        let issuer = |text| value(Tag(0x0010, 0x0021), VR::LO, text);
        for (keys, expected) in [
            (vec![id("B")], true),
            (vec![id("A"), issuer("X")], true),
            (vec![id("B"), issuer("X")], false),
            (vec![id("B"), issuer("\"\"")], true),
        ] {
            assert_eq!(
                other_ids(keys.clone()).holds(METADATA),
                expected,
                "{keys:?}"
            );
        }
        let none = |tag, wanted| DataKey {
            tag,
            creator: None,
            wanted,
        };
        let empty = || Wanted::Value(VR::SQ, Matching::Empty);
        assert!(none(Tag(0x0040, 0x0275), empty()).holds(METADATA));
        assert!(none(Tag(0x0040, 0x0555), empty()).holds(METADATA));
        assert!(!none(Tag(0x0010, 0x1002), empty()).holds(METADATA));
        assert!(none(Tag(0x0040, 0x0275), Wanted::Item(vec![id("\"\"")])).holds(METADATA));
        assert!(!none(Tag(0x0040, 0x0275), Wanted::Item(vec![id("A")])).holds(METADATA));
    }
}
