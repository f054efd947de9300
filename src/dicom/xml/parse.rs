//! The Native DICOM Model as a data set. `quick-xml` tells elements and text apart; what they mean
//! is decided here. No document type is read and no entity but the five of XML, so nothing grows
//! beyond the text, whose length the caller bounds; nesting is bounded here.
//!
//! Lenient where nothing is lost by it: any namespace, a missing `vr` (the dictionary's), missing
//! numbers. An attribute with a private creator gets the block of that creator, a new one when none
//! of that name stands among the attributes.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dicom_core::{Tag, VR};
use quick_xml::events::{BytesStart, Event};
use quick_xml::{Reader, XmlVersion};

use super::{COMPONENTS, GROUPS};
use crate::dicom::dataset::{
    Content, DEPTH_MAX, Dataset, Element, Kind, ParseError, Place, Stated, Value, Values, place,
    problem, tag_of, vr_of,
};

/// So many empty values may be left out between two that are numbered.
const GAP_MAX: usize = 64;

/// The data set of one document. Text is UTF-8, and (0008,0005) says so where it stands and where
/// text goes beyond ASCII.
///
/// # Errors
/// [`ParseError`].
pub fn parse(text: &[u8]) -> Result<Dataset, ParseError> {
    let text = std::str::from_utf8(text).map_err(|error| ParseError::Malformed {
        at: error.valid_up_to(),
        what: "it is not in UTF-8",
    })?;
    let mut parser = Parser {
        reader: Reader::from_str(text.strip_prefix('\u{FEFF}').unwrap_or(text)),
    };
    parser.reader.config_mut().expand_empty_elements = true;
    match parser.next()? {
        Node::Open(start) if start.local_name().into_inner() == "NativeDicomModel" => {}
        _ => return parser.malformed("NativeDicomModel was expected"),
    }
    let mut dataset = parser.dataset(0)?;
    match parser.next()? {
        Node::End => {}
        _ => return parser.malformed("nothing may follow"),
    }
    dataset.say_character_set();
    Ok(dataset)
}

/// What comes next in a document.
enum Node<'a> {
    Open(BytesStart<'a>),
    Close,
    /// Text that is not white space only.
    Text,
    End,
}

struct Parser<'a> {
    reader: Reader<&'a [u8]>,
}

impl<'a> Parser<'a> {
    fn malformed<T>(&self, what: &'static str) -> Result<T, ParseError> {
        let at = usize::try_from(
            self.reader
                .error_position()
                .max(self.reader.buffer_position()),
        );
        Err(ParseError::Malformed {
            at: at.unwrap_or(usize::MAX),
            what,
        })
    }

    fn event(&mut self) -> Result<Event<'a>, ParseError> {
        match self.reader.read_event() {
            Ok(Event::DocType(_)) => self.malformed("a document type is not accepted"),
            Ok(Event::Decl(said)) => match said.encoding() {
                None => Ok(Event::Decl(said)),
                Some(Ok(name)) if name.eq_ignore_ascii_case("utf-8") => Ok(Event::Decl(said)),
                Some(_) => self.malformed("it is not in UTF-8"),
            },
            Ok(event) => Ok(event),
            Err(_) => self.malformed("it is not well formed"),
        }
    }

    /// The next element or its end, where text means nothing.
    fn next(&mut self) -> Result<Node<'a>, ParseError> {
        loop {
            match self.event()? {
                Event::Start(start) | Event::Empty(start) => return Ok(Node::Open(start)),
                Event::End(_) => return Ok(Node::Close),
                Event::Eof => return Ok(Node::End),
                Event::Text(text) if !text.trim_ascii().is_empty() => return Ok(Node::Text),
                Event::CData(_) | Event::GeneralRef(_) => return Ok(Node::Text),
                _ => {}
            }
        }
    }

    /// The element that comes next, `None` at the end of the one around it.
    fn child(&mut self) -> Result<Option<BytesStart<'a>>, ParseError> {
        match self.next()? {
            Node::Open(start) => Ok(Some(start)),
            Node::Close => Ok(None),
            Node::Text => self.malformed("text stands where an element was expected"),
            Node::End => self.malformed("it ends too early"),
        }
    }

    /// The text up to the end of the element it stands in.
    fn text(&mut self) -> Result<String, ParseError> {
        let mut text = String::new();
        loop {
            match self.event()? {
                Event::End(_) => break,
                Event::Text(more) => text.push_str(&more.xml10_content()),
                Event::CData(more) => text.push_str(&more.xml10_content()),
                Event::GeneralRef(name) => {
                    let c = match &*name {
                        "lt" => Some('<'),
                        "gt" => Some('>'),
                        "amp" => Some('&'),
                        "apos" => Some('\''),
                        "quot" => Some('"'),
                        _ => name.resolve_char_ref().ok().flatten(),
                    };
                    match c {
                        Some(c) => text.push(c),
                        None => return self.malformed("an entity is not accepted"),
                    }
                }
                Event::Start(_) | Event::Empty(_) => {
                    return self.malformed("an element stands where text was expected");
                }
                Event::Eof => return self.malformed("it ends too early"),
                _ => {}
            }
        }
        let is_legal = |b: u8| b >= 0x20 || matches!(b, b'\t' | b'\n' | b'\r');
        if text.bytes().all(is_legal) {
            return Ok(text);
        }
        self.malformed("a control character is not accepted")
    }

    /// Reads over an element that must be empty.
    fn nothing(&mut self) -> Result<(), ParseError> {
        match self.child()? {
            None => Ok(()),
            Some(_) => self.malformed("an element stands where none was expected"),
        }
    }

    /// The attribute of an element, `None` when it is absent.
    fn attribute(&self, start: &BytesStart<'a>, name: &str) -> Result<Option<String>, ParseError> {
        let mut found = None;
        for attribute in start.attributes().with_checks(false) {
            let Ok(attribute) = attribute else {
                return self.malformed("it is not well formed");
            };
            if attribute.key.local_name().into_inner() != name {
                continue;
            }
            let value = attribute.normalized_value(XmlVersion::default());
            match value {
                Ok(value) if found.is_none() => found = Some(value.into_owned()),
                Ok(_) => return self.malformed("an attribute stands twice"),
                Err(_) => return self.malformed("it is not well formed"),
            }
        }
        Ok(found)
    }

    /// The attributes of the model or of an item, up to its end.
    fn dataset(&mut self, depth: u32) -> Result<Dataset, ParseError> {
        let mut elements = Vec::new();
        let mut private = Vec::new();
        while let Some(start) = self.child()? {
            if start.local_name().into_inner() != "DicomAttribute" {
                return self.malformed("DicomAttribute was expected");
            }
            let creator = self.attribute(&start, "privateCreator")?;
            if let Some(element) = self.dicom_attribute(&start, creator.is_some(), depth)? {
                match creator {
                    Some(creator) => private.push((element, creator)),
                    None => elements.push(element),
                }
            }
        }
        if !private.is_empty() {
            give_blocks(&mut elements, private)?;
        }
        Dataset::from_stated(elements)
    }

    fn dicom_attribute(
        &mut self,
        start: &BytesStart<'a>,
        has_creator: bool,
        depth: u32,
    ) -> Result<Option<Element>, ParseError> {
        let tag = self.attribute(start, "tag")?;
        let Some(tag) = tag.as_deref().and_then(tag_of) else {
            return self.malformed("a tag of eight hexadecimal digits was expected");
        };
        // A private tag lacks its block, without which it looks like a group length or a creator.
        let tag = if has_creator {
            Tag(tag.group(), 0x1000 | tag.element() & 0xFF)
        } else {
            tag
        };
        let place = place(tag)?;
        let vr = self.attribute(start, "vr")?;
        let vr = vr.map(|letters| vr_of(tag, &letters)).transpose()?;
        let content = self.content(tag, depth)?;
        if place == Place::LeftOut {
            return Ok(None);
        }
        Stated { tag, vr, content }.into_element().map(Some)
    }

    /// What stands in a `DicomAttribute`, up to its end.
    fn content(&mut self, tag: Tag, depth: u32) -> Result<Content, ParseError> {
        let (mut values, mut items) = (Values::default(), Vec::new());
        let mut other = None;
        while let Some(start) = self.child()? {
            let name = start.local_name().into_inner();
            if other.is_some() || matches!(name, "InlineBinary" | "BulkData") && values.len() > 0 {
                return problem(tag, "has more than one value");
            }
            match name {
                "InlineBinary" => other = Some(Content::Inline(self.inline(tag)?)),
                "BulkData" => other = Some(Content::Bulk(self.bulk(&start, tag)?)),
                "Value" | "PersonName" | "Item" => {
                    self.skip_to(&start, tag, &mut values)?;
                    let has_room = match name {
                        "Value" => values.push(Kind::Text, &self.text()?),
                        "PersonName" => values.push(Kind::Name, &self.person_name(tag)?),
                        _ if depth == DEPTH_MAX => return Err(ParseError::TooDeep),
                        _ => {
                            items.push(self.dataset(depth + 1)?);
                            values.push(Kind::Item, "")
                        }
                    };
                    if !has_room {
                        return problem(tag, "is longer than 4294967294 bytes");
                    }
                }
                _ => return problem(tag, "has an element that is no value"),
            }
        }
        Ok(match other {
            Some(content) => content,
            None if values.len() == 0 => Content::Empty,
            None => Content::Values(values, items),
        })
    }

    /// Adds the empty values that stand between the last one and the number of this one.
    fn skip_to(
        &self,
        start: &BytesStart<'a>,
        tag: Tag,
        values: &mut Values,
    ) -> Result<(), ParseError> {
        let Some(number) = self.attribute(start, "number")? else {
            return Ok(());
        };
        let gap = number.trim().parse::<usize>().ok();
        let gap = gap.and_then(|number| number.checked_sub(values.len() + 1));
        match gap {
            Some(gap) if gap <= GAP_MAX => {
                (0..gap).for_each(|_| {
                    values.push(Kind::Absent, "");
                });
                Ok(())
            }
            _ => problem(tag, "has a value of a number that does not follow"),
        }
    }

    fn inline(&mut self, tag: Tag) -> Result<Vec<u8>, ParseError> {
        let mut text = self.text()?;
        text.retain(|c| !c.is_ascii_whitespace());
        let bytes = STANDARD.decode(text.as_bytes());
        bytes.or_else(|_| problem(tag, "has inline binary that is no base64"))
    }

    fn bulk(&mut self, start: &BytesStart<'a>, tag: Tag) -> Result<Box<str>, ParseError> {
        let uri = self.attribute(start, "uri")?;
        self.nothing()?;
        match uri {
            Some(uri) => Ok(uri.into()),
            None => problem(tag, "has bulk data without a uri"),
        }
    }

    /// A name, its groups joined by equals signs and their components by carets.
    fn person_name(&mut self, tag: Tag) -> Result<String, ParseError> {
        let mut groups: [Option<String>; 3] = [const { None }; 3];
        while let Some(start) = self.child()? {
            let name = start.local_name().into_inner();
            let Some(at) = GROUPS.iter().position(|group| *group == name) else {
                return problem(tag, "has an element that is no group of a person name");
            };
            let group = self.name_group(tag)?;
            if groups[at].replace(group).is_some() {
                return problem(tag, "has a group of a name twice");
            }
        }
        let name = groups.map(Option::unwrap_or_default).join("=");
        Ok(name.trim_end_matches('=').to_owned())
    }

    fn name_group(&mut self, tag: Tag) -> Result<String, ParseError> {
        let mut components: [Option<String>; 5] = [const { None }; 5];
        while let Some(start) = self.child()? {
            let name = start.local_name().into_inner();
            let Some(at) = COMPONENTS.iter().position(|component| *component == name) else {
                return problem(tag, "has an element that is no component of a name");
            };
            let text = self.text()?;
            if text.contains('=') {
                return problem(tag, "has an equals sign in a group of a name");
            }
            if components[at].replace(text).is_some() {
                return problem(tag, "has a component of a name twice");
            }
        }
        let group = components.map(Option::unwrap_or_default).join("^");
        Ok(group.trim_end_matches('^').to_owned())
    }
}

/// Puts private attributes into the blocks of their creators (PS3.5 §7.8.1).
fn give_blocks(
    elements: &mut Vec<Element>,
    private: Vec<(Element, String)>,
) -> Result<(), ParseError> {
    let mut blocks: BTreeMap<(u16, Cow<'_, str>), u16> = BTreeMap::new();
    let mut taken: BTreeSet<(u16, u16)> = BTreeSet::new();
    let reserving: Vec<_> = elements.iter().filter_map(reserved).collect();
    for (group, block, name) in &reserving {
        taken.insert((*group, *block));
        blocks
            .entry((*group, Cow::Borrowed(name)))
            .or_insert(*block);
    }
    let mut added = Vec::new();
    for (mut element, creator) in private {
        let tag = element.tag;
        if tag.group() % 2 == 0 {
            return problem(tag, "has a private creator and is not private");
        }
        let creator = creator.trim().to_owned();
        let key = (tag.group(), Cow::Owned(creator));
        let block = match blocks.get(&key) {
            Some(block) => *block,
            None => {
                let free = (0x10..=0xFF).find(|block| !taken.contains(&(tag.group(), *block)));
                let Some(block) = free else {
                    return problem(tag, "has no private block left");
                };
                taken.insert((tag.group(), block));
                added.push(creator_element(tag.group(), block, &key.1)?);
                blocks.insert(key, block);
                block
            }
        };
        element.tag = Tag(tag.group(), block << 8 | tag.element() & 0xFF);
        added.push(element);
    }
    elements.append(&mut added);
    Ok(())
}

/// The group and the block that an element reserves, and for whom.
fn reserved(element: &Element) -> Option<(u16, u16, String)> {
    let (group, block) = (element.tag.group(), element.tag.element());
    let Value::Bytes(name) = &element.value else {
        return None;
    };
    let name = String::from_utf8_lossy(name);
    let is_creator = group % 2 == 1 && (0x10..=0xFF).contains(&block);
    is_creator.then(|| (group, block, name.trim_matches([' ', '\0']).to_owned()))
}

fn creator_element(group: u16, block: u16, name: &str) -> Result<Element, ParseError> {
    let tag = Tag(group, block);
    let mut values = Values::default();
    values.push(Kind::Text, name);
    let content = Content::Values(values, Vec::new());
    let stated = Stated {
        tag,
        vr: Some(VR::LO),
        content,
    };
    stated.into_element()
}
