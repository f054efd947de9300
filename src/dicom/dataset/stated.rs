//! An attribute as DICOM JSON or Native XML states it, made an [`Element`]: what the two notations
//! share. They tell a value representation, or leave it to the dictionary, and values as text.

use dicom_core::{Tag, VR};
use dicom_dictionary_std::tags;

use super::values::Values;
use super::{Dataset, Element, Value};
use crate::dicom::json::write::is_text;
use crate::dicom::walk::{Meaning, look_up};

/// The deepest nesting of sequences that is read.
pub(crate) const DEPTH_MAX: u32 = 64;

const SPECIFIC_CHARACTER_SET: Tag = Tag(0x0008, 0x0005);

/// Why a text is no data set. Its words hold tags and places, never values.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseError {
    /// It is not even JSON or XML, or not of the shape of Annex F.
    #[error("the text is malformed at byte {at}: {what}")]
    Malformed {
        /// Where, in bytes from the start.
        at: usize,
        /// What, in words.
        what: &'static str,
    },
    /// An attribute is wrong.
    #[error("the attribute {tag} {problem}")]
    Attribute {
        /// Which.
        tag: Tag,
        /// What is wrong with it, a predicate.
        problem: &'static str,
    },
    /// Sequences are nested deeper than 64 levels.
    #[error("sequences are nested deeper than {DEPTH_MAX} levels")]
    TooDeep,
}

/// What was said of one attribute.
#[derive(Debug)]
pub(crate) struct Stated {
    pub(crate) tag: Tag,
    /// `None`: as the dictionary says.
    pub(crate) vr: Option<VR>,
    pub(crate) content: Content,
}

/// Its value.
#[derive(Debug, Default)]
pub(crate) enum Content {
    #[default]
    Empty,
    /// The items belong to the values of [`Kind::Item`](super::Kind::Item), in order.
    Values(Values, Vec<Dataset>),
    Inline(Vec<u8>),
    Bulk(Box<str>),
}

/// What is to become of an attribute, by its tag alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// It belongs in the data set.
    Kept,
    /// It is read and left out: group length (retired), the groups 0000 and 0002, which belong to
    /// messages and files, and Available Transfer Syntax UID, which belongs to answers (our metadata
    /// of a video has it, and may come back).
    LeftOut,
}

/// Where an attribute of this tag belongs.
///
/// # Errors
/// It is none of a data set (PS3.5 §7.1, §7.8).
pub(crate) fn place(tag: Tag) -> Result<Place, ParseError> {
    match tag.group() {
        0x0000 | 0x0002 => Ok(Place::LeftOut),
        0x0001..=0x0007 | 0xFFFE..=0xFFFF => problem(tag, "is of a group that no data set has"),
        _ if tag.element() == 0 || tag == tags::AVAILABLE_TRANSFER_SYNTAX_UID => Ok(Place::LeftOut),
        _ => Ok(Place::Kept),
    }
}

/// The tag in eight hexadecimal digits.
pub(crate) fn tag_of(digits: &str) -> Option<Tag> {
    if digits.len() != 8 || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    let group = u16::from_str_radix(&digits[..4], 16).ok()?;
    let element = u16::from_str_radix(&digits[4..], 16).ok()?;
    Some(Tag(group, element))
}

/// The value representation of two letters.
///
/// # Errors
/// There is none of that name.
pub(crate) fn vr_of(tag: Tag, letters: &str) -> Result<VR, ParseError> {
    letters
        .parse()
        .or_else(|_| problem(tag, "has an unknown value representation"))
}

/// An error about one attribute.
pub(crate) fn problem<T>(tag: Tag, problem: &'static str) -> Result<T, ParseError> {
    Err(ParseError::Attribute { tag, problem })
}

impl Stated {
    /// The element, its text in UTF-8.
    ///
    /// # Errors
    /// What was said does not fit the value representation, or none is known.
    pub(crate) fn into_element(self) -> Result<Element, ParseError> {
        let tag = self.tag;
        let vr = match self.vr {
            Some(vr) => vr,
            None => self.known_vr()?,
        };
        let value = match self.content {
            _ if tag == SPECIFIC_CHARACTER_SET => Value::Bytes(b"ISO_IR 192".to_vec()),
            Content::Empty if vr == VR::SQ => Value::Items(Vec::new()),
            Content::Empty => Value::Bytes(Vec::new()),
            Content::Values(values, items) if vr == VR::SQ => {
                Value::Items(values.into_items(items).or_else(|p| problem(tag, p))?)
            }
            Content::Values(values, _) => {
                Value::Bytes(values.encode(vr).or_else(|p| problem(tag, p))?)
            }
            Content::Inline(_) | Content::Bulk(_) if vr == VR::SQ => {
                return problem(tag, "is a sequence, which has items only");
            }
            Content::Inline(_) if is_text(vr) => {
                return problem(tag, "is text, which cannot be inline binary");
            }
            Content::Inline(mut bytes) => {
                if bytes.len() % 2 == 1 {
                    bytes.push(0);
                }
                Value::Bytes(bytes)
            }
            Content::Bulk(uri) => Value::Bulk(uri),
        };
        Ok(Element { tag, vr, value })
    }

    /// The value representation that was not said.
    fn known_vr(&self) -> Result<VR, ParseError> {
        let values = match &self.content {
            Content::Values(values, _) => Some(values),
            _ => None,
        };
        match look_up(self.tag) {
            Some(Meaning::Vr(vr)) => Ok(vr),
            Some(Meaning::Signedness) if values.is_some_and(Values::has_negative) => Ok(VR::SS),
            Some(Meaning::Signedness) => Ok(VR::US),
            Some(Meaning::LutData) if values.is_some() => Ok(VR::US),
            Some(Meaning::LutData) => Ok(VR::OW),
            None => problem(
                self.tag,
                "says no value representation and the dictionary knows none",
            ),
        }
    }
}

impl Dataset {
    /// A data set or item as a notation states it.
    ///
    /// # Errors
    /// A tag comes twice.
    pub(crate) fn from_stated(elements: Vec<Element>) -> Result<Self, ParseError> {
        Self::from_elements(elements).or_else(|tag| problem(tag, "comes twice"))
    }

    /// Says UTF-8 when there is text beyond ASCII in it or below.
    pub(crate) fn say_character_set(&mut self) {
        if self.get(SPECIFIC_CHARACTER_SET).is_none() && !is_ascii(self) {
            self.set(Element {
                tag: SPECIFIC_CHARACTER_SET,
                vr: VR::CS,
                value: Value::Bytes(b"ISO_IR 192".to_vec()),
            });
        }
    }
}

/// As deep as the data set is nested, at most [`DEPTH_MAX`].
fn is_ascii(dataset: &Dataset) -> bool {
    dataset.iter().all(|element| match &element.value {
        Value::Bytes(bytes) => !is_text(element.vr) || bytes.is_ascii(),
        Value::Items(items) => items.iter().all(is_ascii),
        Value::Bulk(_) => !is_text(element.vr),
    })
}
