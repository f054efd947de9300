//! The identifier of a C-FIND, C-MOVE or C-GET request (PS3.4 §C.4): an encoded data set of keys,
//! read into texts in UTF-8 whatever its character set.
//!
//! Hostile until read: it is bounded in bytes by the caller, here in depth and in elements. A sequence
//! has one item at most (PS3.4 §C.2.2.2.6); an attribute stands once.

use dicom_core::{Tag, VR};

use super::data::KEY_DEPTH_MAX;
use crate::dicom::charset::Charset;
use crate::dicom::json::write::is_text;
use crate::dicom::walk::{
    ByteOrder, ElementHead, Encoding, Fault, Limits, Value, Visitor, Walker, look_up,
};

/// The most elements, those in items counted too.
const ELEMENTS_MAX: usize = 1000;
const SPECIFIC_CHARACTER_SET: Tag = Tag(0x0008, 0x0005);
/// Data Set Trailing Padding (PS3.10 §7.2).
const PADDING: Tag = Tag(0xFFFC, 0xFFFC);

/// What was asked, or said, of one attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyElement {
    /// Its tag.
    pub tag: Tag,
    /// Its value as text, padding and all; several values as they are joined by backslashes, binary
    /// numbers in decimal. Empty of a sequence.
    pub text: String,
    /// Of a sequence: the keys in its item. None of them asks for the whole.
    pub item: Vec<KeyElement>,
}

/// An identifier, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identifier {
    /// The keys in the order of their tags, without (0008,0005) and group lengths.
    pub elements: Vec<KeyElement>,
    /// (0008,0005) of the identifier.
    pub character_set: String,
}

impl Identifier {
    /// Reads a whole identifier.
    ///
    /// # Errors
    /// When it is no data set, or beyond a bound.
    pub fn read(bytes: &[u8], encoding: Encoding) -> Result<Self, Fault> {
        Self::read_as(bytes, encoding, false)
    }

    /// Reads the identifier of a response: of a sequence the first item counts, of an attribute that
    /// stands twice the first.
    ///
    /// # Errors
    /// When it is no data set, or beyond a bound.
    pub fn read_answer(bytes: &[u8], encoding: Encoding) -> Result<Self, Fault> {
        Self::read_as(bytes, encoding, true)
    }

    fn read_as(bytes: &[u8], encoding: Encoding, is_answer: bool) -> Result<Self, Fault> {
        let limits = Limits {
            value_bytes_max: u32::try_from(bytes.len()).unwrap_or(u32::MAX),
            depth_max: KEY_DEPTH_MAX as u32,
            metadata_bytes_max: 0,
            fragments_max: 0,
            object_bytes_max: bytes.len() as u64,
            inline_bytes_max: 0,
        };
        let reader = Reader {
            open: vec![Open::default()],
            charsets: vec![Charset::default()],
            character_set: String::new(),
            count: 0,
            is_answer,
        };
        let mut walker = Walker::new(encoding, &limits, reader);
        walker.feed(bytes)?;
        let mut reader = walker.finish()?;
        Ok(Self {
            elements: reader.open.pop().unwrap_or_default().elements,
            character_set: reader.character_set,
        })
    }

    /// The text of an attribute of the identifier itself, without padding; `None` when it is absent.
    #[must_use]
    pub fn text(&self, tag: Tag) -> Option<&str> {
        let element = self.elements.iter().find(|element| element.tag == tag)?;
        Some(element.text.trim_matches([' ', '\0']))
    }
}

/// A data set or item that has not ended.
#[derive(Default)]
struct Open {
    elements: Vec<KeyElement>,
    /// Items that the sequence which was opened last has had.
    items: u32,
}

struct Reader {
    /// The root and each item around the next byte; never empty.
    open: Vec<Open>,
    /// Of the same.
    charsets: Vec<Charset>,
    character_set: String,
    count: usize,
    /// Of a response, which is read leniently.
    is_answer: bool,
}

fn unreadable(at: u64, what: &'static str) -> Fault {
    Fault::Unreadable { at, what }
}

impl Reader {
    fn push(&mut self, at: u64, element: KeyElement) -> Result<(), Fault> {
        self.count += 1;
        if self.count > ELEMENTS_MAX {
            return Err(Fault::TooLarge {
                limit: "keys of an identifier",
                max: ELEMENTS_MAX as u64,
            });
        }
        let open = self.open.last_mut().expect("the root's stays");
        if !self.is_answer && open.elements.iter().any(|known| known.tag == element.tag) {
            return Err(unreadable(at, "an attribute stands twice"));
        }
        open.elements.push(element);
        Ok(())
    }
}

impl Visitor for Reader {
    fn element(
        &mut self,
        head: &ElementHead,
        value: Value<'_>,
        order: ByteOrder,
    ) -> Result<(), Fault> {
        let Value::Bytes(bytes) = value else {
            return Err(unreadable(head.offset, "a value of pixel data"));
        };
        if head.tag == SPECIFIC_CHARACTER_SET {
            *self.charsets.last_mut().expect("the root's stays") = Charset::from_value(bytes);
            if self.open.len() == 1 {
                self.character_set = String::from_utf8_lossy(bytes)
                    .trim_matches([' ', '\0'])
                    .to_owned();
            }
            return Ok(());
        }
        if head.tag.element() == 0 || head.tag == PADDING {
            return Ok(());
        }
        let charset = *self.charsets.last().expect("the root's stays");
        let element = KeyElement {
            tag: head.tag,
            text: text(head, bytes, order, charset),
            item: Vec::new(),
        };
        self.push(head.offset, element)
    }

    fn sequence_start(&mut self, tag: Tag) -> Result<(), Fault> {
        self.open.last_mut().expect("the root's stays").items = 0;
        let element = KeyElement {
            tag,
            text: String::new(),
            item: Vec::new(),
        };
        self.push(0, element)
    }

    fn item_start(&mut self) -> Result<(), Fault> {
        let open = self.open.last_mut().expect("the root's stays");
        open.items += 1;
        if open.items > 1 && !self.is_answer {
            return Err(unreadable(0, "a sequence of keys has several items"));
        }
        self.open.push(Open::default());
        self.charsets
            .push(*self.charsets.last().expect("the root's stays"));
        Ok(())
    }

    fn item_end(&mut self) -> Result<(), Fault> {
        self.charsets.pop();
        let item = self.open.pop().map(|open| open.elements);
        let around = self.open.last_mut();
        if let (Some(item), Some(sequence)) =
            (item, around.and_then(|open| open.elements.last_mut()))
            && sequence.item.is_empty()
        {
            sequence.item = item;
        }
        Ok(())
    }

    fn sequence_end(&mut self) -> Result<(), Fault> {
        Ok(())
    }

    fn fragments_start(&mut self, _: Tag, _: VR, _: &[u8]) -> Result<(), Fault> {
        Err(unreadable(0, "pixel data among keys"))
    }

    fn fragment(&mut self, offset: u64, _: u64, _: &[u8]) -> Result<(), Fault> {
        Err(unreadable(offset, "pixel data among keys"))
    }

    fn fragments_end(&mut self) -> Result<(), Fault> {
        Ok(())
    }
}

/// A value as text. What the dictionary knows as text is text, whatever VR its sender wrote.
fn text(head: &ElementHead, bytes: &[u8], order: ByteOrder, charset: Charset) -> String {
    let known = match look_up(head.tag) {
        Some(crate::dicom::walk::Meaning::Vr(vr)) => vr,
        _ => head.vr,
    };
    let numbers: Option<Vec<String>> = match head.vr {
        VR::US => words(bytes, |b| order.u16(b).to_string()),
        VR::SS => words(bytes, |b| order.u16(b).cast_signed().to_string()),
        VR::UL => words(bytes, |b| order.u32(b).to_string()),
        VR::SL => words(bytes, |b| order.u32(b).cast_signed().to_string()),
        VR::UV => words(bytes, |b| order.u64(b).to_string()),
        VR::SV => words(bytes, |b| order.u64(b).cast_signed().to_string()),
        VR::FL => words(bytes, |b| f32::from_bits(order.u32(b)).to_string()),
        VR::FD => words(bytes, |b| f64::from_bits(order.u64(b)).to_string()),
        VR::AT => words(bytes, |[a, b, c, d]| {
            format!("{:04X}{:04X}", order.u16([a, b]), order.u16([c, d]))
        }),
        _ => None,
    };
    match numbers {
        Some(numbers) => numbers.join("\\"),
        None if is_text(known) => charset.decode(known, bytes).into_owned(),
        None => charset.decode(VR::LO, bytes).into_owned(),
    }
}

/// The words of a value; `None` when it does not consist of such.
fn words<const N: usize>(bytes: &[u8], told: impl Fn([u8; N]) -> String) -> Option<Vec<String>> {
    let (words, []) = bytes.as_chunks::<N>() else {
        return None;
    };
    Some(words.iter().map(|word| told(*word)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXPLICIT: Encoding = Encoding {
        explicit: true,
        order: ByteOrder::Little,
    };

    fn element(tag: Tag, vr: &[u8; 2], value: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.extend(tag.group().to_le_bytes());
        bytes.extend(tag.element().to_le_bytes());
        bytes.extend(vr);
        if vr == b"SQ" {
            bytes.extend([0, 0]);
            bytes.extend(u32::try_from(value.len()).unwrap().to_le_bytes());
        } else {
            bytes.extend(u16::try_from(value.len()).unwrap().to_le_bytes());
        }
        bytes.extend(value);
        bytes
    }

    fn item(content: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0xFE, 0xFF, 0x00, 0xE0];
        bytes.extend(u32::try_from(content.len()).unwrap().to_le_bytes());
        bytes.extend(content);
        bytes
    }

    const NAME: Tag = Tag(0x0010, 0x0010);
    const REQUEST: Tag = Tag(0x0040, 0x0275);

    #[test]
    fn texts_are_read_in_their_character_set() {
        let mut bytes = element(SPECIFIC_CHARACTER_SET, b"CS", b"ISO_IR 100");
        bytes.extend(element(NAME, b"PN", b"M\xFCller*"));
        bytes.extend(element(Tag(0x0028, 0x0010), b"US", &[0, 2]));
        bytes.extend(element(
            REQUEST,
            b"SQ",
            &item(&element(NAME, b"PN", b"\xE4 ")),
        ));
        let read = Identifier::read(&bytes, EXPLICIT).unwrap();
        assert_eq!(read.character_set, "ISO_IR 100");
        assert_eq!(read.text(NAME), Some("Müller*"));
        assert_eq!(read.text(Tag(0x0028, 0x0010)), Some("512"));
        assert_eq!(read.elements[2].item[0].text, "ä ");
    }

    #[test]
    fn what_is_hostile_is_refused() {
        let twice = [element(NAME, b"PN", b""), element(NAME, b"PN", b"")].concat();
        let two_items = element(REQUEST, b"SQ", &[item(b""), item(b"")].concat());
        let mut deep = element(NAME, b"PN", b"");
        for _ in 0..100 {
            deep = element(REQUEST, b"SQ", &item(&deep));
        }
        let many: Vec<u8> = (0..2000)
            .flat_map(|n| element(Tag(0x0011, 0x1000 + n), b"LO", b""))
            .collect();
        for bytes in [&twice, &two_items, &deep, &many] {
            assert!(Identifier::read(bytes, EXPLICIT).is_err());
        }
        for (bytes, is_read) in [
            (twice, true),
            (two_items, true),
            (deep, false),
            (many, false),
        ] {
            assert_eq!(Identifier::read_answer(&bytes, EXPLICIT).is_ok(), is_read);
        }
        let whole = element(REQUEST, b"SQ", &item(&element(NAME, b"PN", b"ab")));
        for end in 1..whole.len() {
            assert!(Identifier::read(&whole[..end], EXPLICIT).is_err(), "{end}");
        }
    }
}
