//! The names of attributes in a query (PS3.18 §8.3.4.1): keywords and tags, dotted into sequences.

use dicom_core::Tag;
use dicom_core::dictionary::{DataDictionary, DataDictionaryEntry};
use dicom_dictionary_std::StandardDataDictionary;

use crate::dicom::{ATTRIBUTES, AttributeId, Level, SEQUENCES};

/// What a parameter name or an `includefield` means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
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
    /// Any other attribute of a data set.
    Other(Tag),
}

const MODALITIES_IN_STUDY: Tag = Tag(0x0008, 0x0061);
const SOP_CLASSES_IN_STUDY: Tag = Tag(0x0008, 0x0062);
impl Field {
    /// Reads an attribute by keyword or tag, dotted for one inside a sequence (PS3.18 §8.3.4.1);
    /// `None` when it is no attribute.
    pub(super) fn read(name: &str) -> Option<Self> {
        let (first, inner) = name
            .split_once('.')
            .map_or((name, None), |(first, inner)| (first, Some(inner)));
        let tag = tag_of(first)?;
        let sequence = SEQUENCES
            .iter()
            .position(|s| s.tag == tag)
            .and_then(|place| u8::try_from(place).ok());
        if let (Some(inner), Some(sequence)) = (inner, sequence) {
            let inner = tag_of(inner);
            let item = SEQUENCES[usize::from(sequence)]
                .items
                .iter()
                .position(|(tag, ..)| Some(*tag) == inner);
            let item = item.and_then(|place| u8::try_from(place).ok());
            return Some(item.map_or(Self::Other(tag), |item| Self::SequenceItem(sequence, item)));
        }
        Some(match (sequence, AttributeId::of_tag(tag)) {
            _ if inner.is_some() => Self::Other(tag),
            (Some(sequence), _) => Self::Sequence(sequence),
            (None, Some(id)) => Self::Attribute(id),
            (None, None) if tag == MODALITIES_IN_STUDY => Self::ModalitiesInStudy,
            (None, None) if tag == SOP_CLASSES_IN_STUDY => Self::SopClassesInStudy,
            (None, None) => Self::Other(tag),
        })
    }

    /// The level it belongs to, `None` when we do not know.
    pub(super) fn level(self) -> Option<Level> {
        match self {
            Self::Attribute(id) => Some(id.attribute().level),
            Self::ModalitiesInStudy | Self::SopClassesInStudy => Some(Level::Study),
            Self::Sequence(place) | Self::SequenceItem(place, _) => {
                Some(SEQUENCES[usize::from(place)].level)
            }
            Self::Other(_) => None,
        }
    }

    /// Its name, for a text of ours.
    pub(super) fn keyword(self) -> String {
        match self {
            Self::Attribute(id) => id.attribute().keyword.to_owned(),
            Self::ModalitiesInStudy => "ModalitiesInStudy".to_owned(),
            Self::SopClassesInStudy => "SOPClassesInStudy".to_owned(),
            Self::Sequence(place) => SEQUENCES[usize::from(place)].keyword.to_owned(),
            Self::SequenceItem(place, item) => {
                let row = &SEQUENCES[usize::from(place)];
                format!("{}.{}", row.keyword, row.items[usize::from(item)].1)
            }
            Self::Other(Tag(group, element)) => format!("{group:04X}{element:04X}"),
        }
    }
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
