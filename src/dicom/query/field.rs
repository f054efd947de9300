//! The attributes of a search: by keyword or tag, dotted into sequences, as PS3.18 §8.3.4.1 writes
//! them, or by their tags as a C-FIND identifier has them.

use dicom_core::Tag;
use dicom_core::dictionary::{DataDictionary, DataDictionaryEntry};
use dicom_dictionary_std::StandardDataDictionary;

use crate::dicom::modules::level_of;
use crate::dicom::query::data::KEY_DEPTH_MAX;
use crate::dicom::{ATTRIBUTES, AttributeId, Level, SEQUENCES};

/// What a parameter name or an `includefield` means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Field {
    /// An indexed attribute.
    Attribute(AttributeId),
    /// (0008,0061) Modalities in Study.
    ModalitiesInStudy,
    /// (0008,0062) SOP Classes in Study.
    SopClassesInStudy,
    /// An indexed sequence (position in `SEQUENCES`).
    Sequence(u8),
    /// An attribute in its items (position in its row).
    SequenceItem(u8, u8),
    /// Any other attribute: tags from the root of the data set down, at least one.
    Other(Vec<Tag>),
}

const MODALITIES_IN_STUDY: Tag = Tag(0x0008, 0x0061);
const SOP_CLASSES_IN_STUDY: Tag = Tag(0x0008, 0x0062);

impl Field {
    /// Reads an attribute by keyword or tag, dotted for one inside sequences (PS3.18 §8.3.4.1);
    /// `None` when it is no attribute, or lies too deep.
    #[must_use]
    pub fn read(name: &str) -> Option<Self> {
        let names = name.split('.').take(KEY_DEPTH_MAX + 1);
        Self::of_path(names.map(tag_of).collect::<Option<_>>()?)
    }

    /// The attribute at these tags, from the root of the data set down; `None` when there are none,
    /// or it lies too deep.
    #[must_use]
    pub fn of_path(path: Vec<Tag>) -> Option<Self> {
        let sequence = path.first().and_then(|tag| sequence_of(*tag));
        Some(match (path.as_slice(), sequence) {
            ([_], Some(place)) => Self::Sequence(place),
            ([_, inner], Some(place)) => match item_of(place, *inner) {
                Some(item) => Self::SequenceItem(place, item),
                None => Self::Other(path),
            },
            ([tag], None) => match AttributeId::of_tag(*tag) {
                Some(id) => Self::Attribute(id),
                None if *tag == MODALITIES_IN_STUDY => Self::ModalitiesInStudy,
                None if *tag == SOP_CLASSES_IN_STUDY => Self::SopClassesInStudy,
                None => Self::Other(path),
            },
            _ if path.is_empty() || path.len() > KEY_DEPTH_MAX => return None,
            _ => Self::Other(path),
        })
    }

    /// Its tags, from the root of the data set down.
    #[must_use]
    pub fn path(&self) -> Vec<Tag> {
        match self {
            Self::Attribute(id) => vec![id.attribute().tag],
            Self::ModalitiesInStudy => vec![MODALITIES_IN_STUDY],
            Self::SopClassesInStudy => vec![SOP_CLASSES_IN_STUDY],
            Self::Sequence(place) => vec![SEQUENCES[usize::from(*place)].tag],
            Self::SequenceItem(place, item) => {
                let row = &SEQUENCES[usize::from(*place)];
                vec![row.tag, row.items[usize::from(*item)].0]
            }
            Self::Other(path) => path.clone(),
        }
    }

    /// Whether it only says whose attributes others are.
    #[must_use]
    pub fn is_creator(&self) -> bool {
        matches!(self, Self::Other(path) if path.last().is_some_and(|tag| is_private_creator(*tag)))
    }

    /// The level it belongs to.
    #[must_use]
    pub fn level(&self) -> Level {
        match self {
            Self::Attribute(id) => id.attribute().level,
            Self::ModalitiesInStudy | Self::SopClassesInStudy => Level::Study,
            Self::Sequence(place) | Self::SequenceItem(place, _) => {
                SEQUENCES[usize::from(*place)].level
            }
            Self::Other(path) => path.first().map_or(Level::Instance, |tag| level_of(*tag)),
        }
    }

    /// Its name, for a text of ours.
    #[must_use]
    pub fn keyword(&self) -> String {
        match self {
            Self::Attribute(id) => id.attribute().keyword.to_owned(),
            Self::ModalitiesInStudy => "ModalitiesInStudy".to_owned(),
            Self::SopClassesInStudy => "SOPClassesInStudy".to_owned(),
            Self::Sequence(place) => SEQUENCES[usize::from(*place)].keyword.to_owned(),
            Self::SequenceItem(place, item) => {
                let row = &SEQUENCES[usize::from(*place)];
                format!("{}.{}", row.keyword, row.items[usize::from(*item)].1)
            }
            Self::Other(path) => {
                let digits = |Tag(group, element): &Tag| format!("{group:04X}{element:04X}");
                path.iter().map(digits).collect::<Vec<_>>().join(".")
            }
        }
    }
}

/// Whether a tag is one of those that reserve a private block (PS3.5 §7.8.1).
#[must_use]
pub(super) fn is_private_creator(Tag(group, element): Tag) -> bool {
    group % 2 == 1 && (0x10..=0xFF).contains(&element)
}

/// The tag that reserves the block of a private attribute; `None` of any other.
#[must_use]
pub(super) fn creator_of(Tag(group, element): Tag) -> Option<Tag> {
    (group % 2 == 1 && element >= 0x1000).then_some(Tag(group, element >> 8))
}

fn sequence_of(tag: Tag) -> Option<u8> {
    let place = SEQUENCES.iter().position(|s| s.tag == tag)?;
    u8::try_from(place).ok()
}

fn item_of(sequence: u8, inner: Tag) -> Option<u8> {
    let items = SEQUENCES[usize::from(sequence)].items;
    let place = items.iter().position(|(tag, ..)| *tag == inner)?;
    u8::try_from(place).ok()
}

/// Eight hexadecimal digits of either case, or a keyword of PS3.6.
fn tag_of(name: &str) -> Option<Tag> {
    if name.len() == 8 && name.bytes().all(|b| b.is_ascii_hexdigit()) {
        let group = u16::from_str_radix(&name[..4], 16).ok()?;
        let element = u16::from_str_radix(&name[4..], 16).ok()?;
        return Some(Tag(group, element));
    }
    if let Some(row) = ATTRIBUTES.iter().find(|row| row.keyword == name) {
        return Some(row.tag);
    }
    let entry = StandardDataDictionary.by_name(name)?;
    Some(entry.tag())
}
