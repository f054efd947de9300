//! A data set in memory: what arrives as DICOM JSON or Native XML (PS3.18 Annex F) before it is
//! encoded, and nothing else. Objects that arrive encoded are never held so: see
//! [`walk`](crate::dicom::walk).

use dicom_core::{Tag, VR};

#[cfg(test)]
mod round_trip;
mod stated;
mod values;

pub use stated::ParseError;
pub(crate) use stated::{Content, DEPTH_MAX, Place, Stated, place, problem, tag_of, vr_of};
pub(crate) use values::{Kind, Values};

/// A data set or an item: elements in ascending order of their tags, each tag once, no group 0002.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Dataset {
    elements: Vec<Element>,
}

/// An attribute with its value.
#[derive(Debug, Clone, PartialEq)]
pub struct Element {
    /// Its tag.
    pub tag: Tag,
    /// Its value representation; never `UN` for a sequence.
    pub vr: VR,
    /// Its value.
    pub value: Value,
}

/// The value of an element.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// As Explicit VR Little Endian encodes it, text in UTF-8, padded to an even length (PS3.5 §6.2).
    Bytes(Vec<u8>),
    /// The items of a sequence.
    Items(Vec<Dataset>),
    /// It lies elsewhere: the `BulkDataURI` (or `BulkData@uri`) as its sender wrote it.
    Bulk(Box<str>),
}

impl Dataset {
    /// A data set of these elements, in whatever order they come.
    ///
    /// # Errors
    /// A tag that comes twice.
    pub fn from_elements(mut elements: Vec<Element>) -> Result<Self, Tag> {
        elements.sort_by_key(|element| element.tag);
        let twice = elements.windows(2).find(|two| two[0].tag == two[1].tag);
        if let Some(two) = twice {
            return Err(two[0].tag);
        }
        elements.shrink_to_fit();
        Ok(Self { elements })
    }

    /// The element of a tag.
    #[must_use]
    pub fn get(&self, tag: Tag) -> Option<&Element> {
        self.place(tag).ok().map(|at| &self.elements[at])
    }

    /// Sets an element, in the place of one of the same tag.
    pub fn set(&mut self, element: Element) {
        match self.place(element.tag) {
            Ok(at) => self.elements[at] = element,
            Err(at) => self.elements.insert(at, element),
        }
    }

    /// Takes an element out.
    pub fn remove(&mut self, tag: Tag) -> Option<Element> {
        let at = self.place(tag).ok()?;
        Some(self.elements.remove(at))
    }

    /// The elements in order.
    pub fn iter(&self) -> impl Iterator<Item = &Element> {
        self.elements.iter()
    }

    /// The elements in order, to be changed; not their tags.
    pub fn values_mut(&mut self) -> impl Iterator<Item = (Tag, VR, &mut Value)> {
        self.elements
            .iter_mut()
            .map(|element| (element.tag, element.vr, &mut element.value))
    }

    /// The text of an element without the padding at its end; `None` when it is absent or not UTF-8.
    #[must_use]
    pub fn text(&self, tag: Tag) -> Option<&str> {
        let Value::Bytes(bytes) = &self.get(tag)?.value else {
            return None;
        };
        let text = std::str::from_utf8(bytes).ok()?;
        Some(text.trim_end_matches([' ', '\0']))
    }

    fn place(&self, tag: Tag) -> Result<usize, usize> {
        self.elements
            .binary_search_by_key(&tag, |element| element.tag)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn element(tag: Tag, value: &[u8]) -> Element {
        let value = Value::Bytes(value.to_vec());
        Element {
            tag,
            vr: VR::LO,
            value,
        }
    }

    #[test]
    fn elements_are_in_order_and_stand_once() {
        let mut dataset = Dataset::default();
        let (id, name) = (Tag(0x0010, 0x0020), Tag(0x0008, 0x0080));
        dataset.set(element(id, b"one "));
        dataset.set(element(name, b"HERE"));
        dataset.set(element(id, b"two\0"));
        let tags: Vec<_> = dataset.iter().map(|element| element.tag).collect();
        assert_eq!(tags, [name, id]);
        assert_eq!(dataset.text(id), Some("two"));
        assert!(dataset.remove(name).is_some());
        assert_eq!(dataset.get(name), None);
    }
}
