//! DICOM JSON as the Native DICOM Model, in one pass and without a tree. What JSON can say and XML
//! cannot (control characters) becomes U+FFFD.

use std::collections::HashMap;

use dicom_core::Tag;
use dicom_core::dictionary::{DataDictionary as _, DataDictionaryEntry as _};
use dicom_dictionary_std::StandardDataDictionary;

use super::{COMPONENTS, GROUPS};
use crate::dicom::dataset::{DEPTH_MAX, ParseError, tag_of};
use crate::dicom::json::reader::Reader;
use crate::dicom::json::write::tag_digits;

const OPEN: &[u8] = br#"<?xml version="1.0" encoding="UTF-8"?>
<NativeDicomModel xmlns="http://dicom.nema.org/PS3.19/models/NativeDICOM" xml:space="preserve">
"#;
const CLOSE: &[u8] = b"</NativeDicomModel>\n";

/// Appends the document of one data set. `json` is one object as [`json`](crate::dicom::json)
/// writes it, the base URL set in: `vr` comes first, tags ascend.
///
/// # Errors
/// It is no such object; what was appended so far stays.
pub fn write(json: &[u8], out: &mut Vec<u8>) -> Result<(), ParseError> {
    let mut reader = Reader::new(json);
    out.extend_from_slice(OPEN);
    dataset(&mut reader, out, 0)?;
    reader.end()?;
    out.extend_from_slice(CLOSE);
    Ok(())
}

/// The private blocks of one data set or item.
#[derive(Default)]
struct Creators(HashMap<(u16, u8), String>);

impl Creators {
    /// Keeps what a private creator reserves. A second block of one name is not kept: in XML only
    /// its number would tell it from the first.
    fn learn(&mut self, tag: Tag, name: &str) {
        let block = u8::try_from(tag.element())
            .ok()
            .filter(|block| *block >= 0x10);
        if let (1, Some(block)) = (tag.group() % 2, block) {
            let is_known = self
                .0
                .iter()
                .any(|((group, _), known)| *group == tag.group() && known == name);
            if !is_known && !name.is_empty() {
                self.0.insert((tag.group(), block), name.to_owned());
            }
        }
    }

    fn of(&self, tag: Tag) -> Option<&str> {
        let [block, _] = tag.element().to_be_bytes();
        let name = self.0.get(&(tag.group(), block))?;
        Some(name)
    }
}

fn dataset(reader: &mut Reader<'_>, out: &mut Vec<u8>, depth: u32) -> Result<(), ParseError> {
    reader.expect(b'{', "an object was expected")?;
    let mut creators = Creators::default();
    let mut is_first = true;
    while reader.more(b'}', &mut is_first)? {
        let name = reader.name()?;
        let Some(tag) = tag_of(&name) else {
            return reader.malformed("a name is no tag of eight hexadecimal digits");
        };
        attribute(reader, out, tag, &mut creators, depth)?;
    }
    Ok(())
}

fn attribute(
    reader: &mut Reader<'_>,
    out: &mut Vec<u8>,
    tag: Tag,
    creators: &mut Creators,
    depth: u32,
) -> Result<(), ParseError> {
    reader.expect(b'{', "an attribute is an object")?;
    let mut is_first = true;
    if !reader.more(b'}', &mut is_first)? || reader.name()? != "vr" {
        return reader.malformed("vr was expected");
    }
    let vr = reader.string()?;
    attribute_start(out, tag, &vr, creators);
    while reader.more(b'}', &mut is_first)? {
        let name = reader.name()?;
        match &*name {
            "Value" => values(reader, out, tag, creators, depth)?,
            "InlineBinary" => {
                out.extend_from_slice(b"<InlineBinary>");
                text(out, &reader.string()?);
                out.extend_from_slice(b"</InlineBinary>\n");
            }
            "BulkDataURI" => {
                out.extend_from_slice(b"<BulkData uri=\"");
                text(out, &reader.string()?);
                out.extend_from_slice(b"\"/>\n");
            }
            _ => return reader.malformed("a value was expected"),
        }
    }
    out.extend_from_slice(b"</DicomAttribute>\n");
    Ok(())
}

fn attribute_start(out: &mut Vec<u8>, tag: Tag, vr: &str, creators: &Creators) {
    let is_private = tag.group() % 2 == 1;
    let creator = creators.of(tag).filter(|_| is_private);
    let shown = match creator {
        Some(_) => Tag(tag.group(), tag.element() & 0xFF),
        None => tag,
    };
    out.extend_from_slice(b"<DicomAttribute tag=\"");
    out.extend_from_slice(&tag_digits(shown));
    out.extend_from_slice(b"\" vr=\"");
    text(out, vr);
    if let Some(creator) = creator {
        out.extend_from_slice(b"\" privateCreator=\"");
        text(out, creator);
    } else if let Some(entry) = StandardDataDictionary.by_tag(tag).filter(|_| !is_private) {
        out.extend_from_slice(b"\" keyword=\"");
        text(out, entry.alias());
    }
    out.extend_from_slice(b"\">\n");
}

/// The values of a `Value` array, each with its number.
fn values(
    reader: &mut Reader<'_>,
    out: &mut Vec<u8>,
    tag: Tag,
    creators: &mut Creators,
    depth: u32,
) -> Result<(), ParseError> {
    reader.expect(b'[', "Value is an array")?;
    let mut is_first = true;
    let mut number = 0_u64;
    while reader.more(b']', &mut is_first)? {
        number += 1;
        match reader.peek() {
            Some(b'"') => {
                let value = reader.string()?;
                creators.learn(tag, &value);
                one_value(out, number, &value);
            }
            Some(b'{') => object(reader, out, number, depth)?,
            Some(b'n') if reader.take_null() => one_value(out, number, ""),
            _ => one_value(out, number, reader.number()?),
        }
    }
    Ok(())
}

fn one_value(out: &mut Vec<u8>, number: u64, value: &str) {
    open_numbered(out, "Value", number);
    text(out, value);
    out.extend_from_slice(b"</Value>\n");
}

/// An item, unless its first member shows a person name.
fn object(
    reader: &mut Reader<'_>,
    out: &mut Vec<u8>,
    number: u64,
    depth: u32,
) -> Result<(), ParseError> {
    if reader.is_name_of(&GROUPS) {
        return person_name(reader, out, number);
    }
    if depth == DEPTH_MAX {
        return Err(ParseError::TooDeep);
    }
    open_numbered(out, "Item", number);
    out.push(b'\n');
    dataset(reader, out, depth + 1)?;
    out.extend_from_slice(b"</Item>\n");
    Ok(())
}

fn person_name(reader: &mut Reader<'_>, out: &mut Vec<u8>, number: u64) -> Result<(), ParseError> {
    reader.expect(b'{', "an object was expected")?;
    open_numbered(out, "PersonName", number);
    out.push(b'\n');
    let mut is_first = true;
    while reader.more(b'}', &mut is_first)? {
        let key = reader.name()?;
        let group = reader.string()?;
        let Some(name) = GROUPS.iter().find(|name| **name == key) else {
            return reader.malformed("a group of a person name was expected");
        };
        let components = COMPONENTS.iter().zip(group.splitn(COMPONENTS.len(), '^'));
        open(out, name);
        for (component, value) in components.filter(|(_, value)| !value.is_empty()) {
            open(out, component);
            text(out, value);
            close(out, component);
        }
        close(out, name);
        out.push(b'\n');
    }
    out.extend_from_slice(b"</PersonName>\n");
    Ok(())
}

fn open(out: &mut Vec<u8>, name: &str) {
    out.push(b'<');
    out.extend_from_slice(name.as_bytes());
    out.push(b'>');
}

fn close(out: &mut Vec<u8>, name: &str) {
    out.extend_from_slice(b"</");
    out.extend_from_slice(name.as_bytes());
    out.push(b'>');
}

fn open_numbered(out: &mut Vec<u8>, name: &str, number: u64) {
    out.push(b'<');
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b" number=\"");
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
    out.extend_from_slice(b"\">");
}

/// Text as it may stand in an element or a quoted attribute (XML 1.0 §2.2, §2.4). White space that a
/// reader would change is written by number.
fn text(out: &mut Vec<u8>, text: &str) {
    let bytes = text.as_bytes();
    let mut done = 0;
    for (at, c) in text.char_indices() {
        let instead: &[u8] = match c {
            '&' => b"&amp;",
            '<' => b"&lt;",
            '>' => b"&gt;",
            '"' => b"&quot;",
            '\r' => b"&#13;",
            '\t' => b"&#9;",
            '\n' => b"&#10;",
            '\0'..'\x20' | '\u{FFFE}' | '\u{FFFF}' => "\u{FFFD}".as_bytes(),
            _ => continue,
        };
        out.extend_from_slice(&bytes[done..at]);
        out.extend_from_slice(instead);
        done = at + c.len_utf8();
    }
    out.extend_from_slice(&bytes[done..]);
}
