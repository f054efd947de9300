//! The values of one attribute as text, and their encoding by value representation (PS3.18 §F.2.3,
//! PS3.5 §6.2). Kept in two flat lists: a contour has a hundred thousand of them.

use std::borrow::Cow;

use dicom_core::VR;

use super::Dataset;
use super::stated::tag_of;
use crate::dicom::charset;
use crate::dicom::json::write::{is_binary_number, is_text, number_size};

/// The longest value of DS and IS in bytes (PS3.5 §6.2).
const DS_MAX: usize = 16;
const IS_MAX: usize = 12;

/// The largest magnitude up to which a double holds every integer.
const EXACT_MAX: f64 = 9_007_199_254_740_992.0;

/// What a value was in its notation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `null`, or a number left out in XML.
    Absent,
    /// An object without members: an empty item, or a name without groups.
    EmptyObject,
    /// A JSON string.
    String,
    /// A JSON number.
    Number,
    /// Text of XML, which says no more.
    Text,
    /// A person name: its groups joined by equals signs.
    Name,
    /// An item, which is held elsewhere.
    Item,
}

/// The values of one attribute in order.
#[derive(Debug, Default)]
pub(crate) struct Values {
    text: String,
    /// Where each ends in `text`.
    parts: Vec<(u32, Kind)>,
}

impl Values {
    /// Adds a value; `false` when there is no room for 4 GiB.
    pub(crate) fn push(&mut self, kind: Kind, text: &str) -> bool {
        self.text.push_str(text);
        let end = u32::try_from(self.text.len());
        end.map(|end| self.parts.push((end, kind))).is_ok()
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.parts.len()
    }

    fn iter(&self) -> impl Iterator<Item = (Kind, &str)> {
        let mut start = 0;
        self.parts.iter().map(move |(end, kind)| {
            let end = *end as usize;
            let text = &self.text[start..end];
            start = end;
            (*kind, text)
        })
    }

    /// Whether a number is below zero.
    pub(crate) fn has_negative(&self) -> bool {
        self.iter().any(|(_, text)| text.starts_with('-'))
    }

    /// The items of a sequence; `items` are those of [`Kind::Item`].
    ///
    /// # Errors
    /// What is wrong, a predicate.
    pub(super) fn into_items(self, items: Vec<Dataset>) -> Result<Vec<Dataset>, &'static str> {
        if items.len() == self.parts.len() {
            return Ok(items);
        }
        let mut items = items.into_iter();
        let of = |(_, kind): &(u32, Kind)| match kind {
            Kind::Item => items.next(),
            Kind::Absent | Kind::EmptyObject => Some(Dataset::default()),
            _ => None,
        };
        let all: Option<Vec<_>> = self.parts.iter().map(of).collect();
        all.ok_or("is a sequence and has a value that is no item")
    }

    /// The value field in Explicit VR Little Endian, padded.
    ///
    /// # Errors
    /// What is wrong, a predicate.
    pub(super) fn encode(&self, vr: VR) -> Result<Vec<u8>, &'static str> {
        if self.iter().any(|(kind, _)| kind == Kind::Item) {
            return Err("has an item and is no sequence");
        }
        let is_empty = |(kind, text): (Kind, &str)| {
            matches!(kind, Kind::Absent | Kind::EmptyObject) || text.is_empty()
        };
        if is_text(vr) {
            self.encode_text(vr)
        } else if self.iter().all(is_empty) {
            Ok(Vec::new())
        } else if is_binary_number(vr) {
            self.encode_numbers(vr)
        } else {
            Err("is binary and has values instead of inline binary or bulk data")
        }
    }

    fn encode_text(&self, vr: VR) -> Result<Vec<u8>, &'static str> {
        if charset::is_single_valued(vr) && self.parts.len() > 1 {
            return Err("has several values and may have one only");
        }
        let mut bytes = Vec::with_capacity(self.text.len() + self.parts.len() + 1);
        for (i, (kind, text)) in self.iter().enumerate() {
            if i > 0 {
                bytes.push(b'\\');
            }
            bytes.extend_from_slice(one_text(vr, kind, text)?.as_bytes());
        }
        if bytes.len() % 2 == 1 {
            bytes.push(if vr == VR::UI { 0 } else { b' ' });
        }
        Ok(bytes)
    }

    fn encode_numbers(&self, vr: VR) -> Result<Vec<u8>, &'static str> {
        let mut bytes = Vec::with_capacity(self.parts.len() * number_size(vr).unwrap_or(1));
        for (kind, text) in self.iter() {
            let text = if kind == Kind::Text {
                text.trim()
            } else {
                text
            };
            let is_fit = match kind {
                Kind::Text => true,
                Kind::Number => vr != VR::AT,
                Kind::String => matches!(vr, VR::AT | VR::SV | VR::UV) || is_no_number(vr, text),
                Kind::Absent | Kind::EmptyObject | Kind::Name | Kind::Item => false,
            };
            if !is_fit {
                return Err("has a value of the wrong type");
            }
            push_number(&mut bytes, vr, text).ok_or("has a number that does not fit")?;
        }
        Ok(bytes)
    }
}

/// One value of a text VR, as it is encoded.
fn one_text<'a>(vr: VR, kind: Kind, text: &'a str) -> Result<Cow<'a, str>, &'static str> {
    match kind {
        Kind::Absent | Kind::EmptyObject => return Ok(Cow::Borrowed("")),
        Kind::Number if vr == VR::DS => return decimal(text),
        Kind::Number if vr == VR::IS => return integer(text),
        Kind::Name if vr == VR::PN => {}
        Kind::String | Kind::Text => {}
        Kind::Number | Kind::Name | Kind::Item => return Err("has a value of the wrong type"),
    }
    if !charset::is_single_valued(vr) && memchr::memchr(b'\\', text.as_bytes()).is_some() {
        return Err("has a backslash in a value");
    }
    if !charset::is_affected(vr) && !text.is_ascii() {
        return Err("has a character beyond ASCII");
    }
    // White space of XML that means nothing (PS3.5 §6.2).
    let is_trimmed = kind == Kind::Text && !charset::is_affected(vr);
    Ok(Cow::Borrowed(if is_trimmed { text.trim() } else { text }))
}

/// A JSON number as DS: as it was written, or as near as sixteen characters come.
fn decimal(text: &str) -> Result<Cow<'_, str>, &'static str> {
    if text.len() <= DS_MAX {
        return Ok(Cow::Borrowed(text));
    }
    let number: f64 = text.parse().map_err(|_| "has a number that does not fit")?;
    if !number.is_finite() {
        return Err("has a number that does not fit");
    }
    let candidates = [format!("{number}"), format!("{number:e}")];
    let rounded = (0..DS_MAX)
        .rev()
        .flat_map(|digits| [format!("{number:.digits$}"), format!("{number:.digits$e}")]);
    let off = |text: &String| {
        text.parse()
            .map_or(f64::INFINITY, |near: f64| (near - number).abs())
    };
    candidates
        .into_iter()
        .chain(rounded)
        .filter(|text| text.len() <= DS_MAX)
        .min_by(|a, b| off(a).total_cmp(&off(b)).then(a.len().cmp(&b.len())))
        .map(Cow::Owned)
        .ok_or("has a number that does not fit")
}

/// A JSON number as IS.
fn integer(text: &str) -> Result<Cow<'_, str>, &'static str> {
    let is_plain = text.bytes().all(|b| b.is_ascii_digit() || b == b'-');
    if is_plain && text.len() <= IS_MAX {
        return Ok(Cow::Borrowed(text));
    }
    let whole = signed(text).map(|number| number.to_string());
    whole
        .filter(|text| text.len() <= IS_MAX)
        .map(Cow::Owned)
        .ok_or("has a number that does not fit")
}

fn is_no_number(vr: VR, text: &str) -> bool {
    matches!(vr, VR::FL | VR::FD) && matches!(text, "NaN" | "Infinity" | "-Infinity")
}

/// Whether it says NaN or infinity, rather than being a number too large.
fn is_word(text: &str) -> bool {
    !text.bytes().any(|b| b.is_ascii_digit())
}

fn push_number(bytes: &mut Vec<u8>, vr: VR, text: &str) -> Option<()> {
    match vr {
        VR::US => bytes.extend(u16::try_from(unsigned(text)?).ok()?.to_le_bytes()),
        VR::UL => bytes.extend(u32::try_from(unsigned(text)?).ok()?.to_le_bytes()),
        VR::UV => bytes.extend(unsigned(text)?.to_le_bytes()),
        VR::SS => bytes.extend(i16::try_from(signed(text)?).ok()?.to_le_bytes()),
        VR::SL => bytes.extend(i32::try_from(signed(text)?).ok()?.to_le_bytes()),
        VR::SV => bytes.extend(signed(text)?.to_le_bytes()),
        VR::FL => {
            let number: f32 = text.parse().ok()?;
            let is_fit = number.is_finite() || is_word(text);
            bytes.extend(is_fit.then_some(number)?.to_le_bytes());
        }
        VR::FD => {
            let number: f64 = text.parse().ok()?;
            let is_fit = number.is_finite() || is_word(text);
            bytes.extend(is_fit.then_some(number)?.to_le_bytes());
        }
        _ => {
            let tag = tag_of(text)?;
            bytes.extend(tag.group().to_le_bytes());
            bytes.extend(tag.element().to_le_bytes());
        }
    }
    Some(())
}

/// A whole number, also when it is written with a fraction of zero or an exponent.
fn unsigned(text: &str) -> Option<u64> {
    if let Ok(number) = text.parse() {
        return Some(number);
    }
    whole(text).and_then(|number| u64::try_from(number).ok())
}

fn signed(text: &str) -> Option<i64> {
    text.parse().ok().or_else(|| whole(text))
}

fn whole(text: &str) -> Option<i64> {
    let number: f64 = text.parse().ok()?;
    #[expect(
        clippy::cast_possible_truncation,
        reason = "it is whole and small enough"
    )]
    (number.fract() == 0.0 && number.abs() <= EXACT_MAX).then_some(number as i64)
}
