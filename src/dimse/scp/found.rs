//! The identifiers of C-FIND responses (PS3.4 §C.4.1.1.3.2): a row of the index as a data set that
//! has what was asked for, the unique keys, the level and where to retrieve it, and nothing else.
//!
//! Text is ASCII, or ISO_IR 100 where the request was in it and the values fit, or ISO_IR 192. A
//! sequence of which single attributes were asked for has items with just these.

use dicom_core::{Tag, VR};

use super::question::{Asked, QUERY_RETRIEVE_LEVEL, name_of, unique_keys};
use crate::access::Scope;
use crate::archive::{Archive, Error, Row};
use crate::dicom::charset::is_affected;
use crate::dicom::dataset::{Element, Value};
use crate::dicom::json::write::{is_binary_number, is_text};
use crate::dicom::json::{self, write_attribute};
use crate::dicom::query::{FACTS, Fact, Field, Key, KeyElement, Matching, Order, Query, data};
use crate::dicom::rewrite::encode;
use crate::dicom::walk::{Encoding, Meaning, look_up};
use crate::dicom::{Attribute, AttributeId, Dataset, Level, SEQUENCES};

/// (0008,0054)
pub(super) const RETRIEVE_AE_TITLE: Tag = Tag(0x0008, 0x0054);
const SPECIFIC_CHARACTER_SET: Tag = Tag(0x0008, 0x0005);
const LATIN_1: &str = "ISO_IR 100";

/// Where the value of an attribute comes from.
enum Source {
    /// The index.
    Attribute(AttributeId),
    /// The index; position in `SEQUENCES`.
    Sequence(u8),
    /// What the archive knows.
    Fact(Fact),
    /// The metadata of an instance, by the private creator if it has one.
    Metadata(Option<Box<str>>),
    /// The identifier itself: a private creator.
    Creator,
}

/// What stands in each response of one search.
pub(super) struct Plan {
    level: Level,
    encoding: Encoding,
    /// The level, the title, and what was asked for, where it can be told.
    level_and_title: [Element; 2],
    unique_keys: Vec<AttributeId>,
    wanted: Vec<(KeyElement, Source)>,
    /// The request was in ISO_IR 100.
    is_latin_1: bool,
    lacks_something: bool,
}

impl Plan {
    /// For what was asked, by a title, with the creators of the private attributes.
    pub(super) fn new(asked: Asked, ae_title: &str, creators: Vec<(Tag, Box<str>)>) -> Self {
        let level = asked.level;
        let mut plan = Self {
            level,
            encoding: asked.encoding,
            level_and_title: [
                text_element(QUERY_RETRIEVE_LEVEL, VR::CS, name_of(level)),
                text_element(RETRIEVE_AE_TITLE, VR::AE, ae_title),
            ],
            unique_keys: unique_keys(asked.model, level)
                .filter_map(AttributeId::of_tag)
                .collect(),
            wanted: Vec::new(),
            is_latin_1: asked.identifier.character_set == LATIN_1,
            lacks_something: false,
        };
        for element in asked.identifier.elements {
            if [QUERY_RETRIEVE_LEVEL, RETRIEVE_AE_TITLE].contains(&element.tag) {
                continue;
            }
            let creator = creators.iter().find(|(tag, _)| *tag == element.tag);
            match source(element.tag, level, creator.map(|(_, name)| &**name)) {
                Some(source) => plan.wanted.push((element, source)),
                None => plan.lacks_something = true,
            }
        }
        plan
    }

    /// Whether something was asked for that cannot be told.
    pub(super) fn lacks_something(&self) -> bool {
        self.lacks_something
    }

    /// The identifier of a row, encoded.
    pub(super) fn identifier(
        &self,
        archive: &Archive,
        scope: &Scope,
        row: &Row,
    ) -> Result<Vec<u8>, Error> {
        let mut dataset = Dataset::default();
        self.level_and_title
            .iter()
            .for_each(|element| dataset.set(element.clone()));
        for id in &self.unique_keys {
            dataset.set(indexed(id.attribute(), row.attributes.get(*id)));
        }
        let mut metadata = None;
        for (asked, source) in &self.wanted {
            let found = match source {
                Source::Attribute(id) => Some(indexed(id.attribute(), row.attributes.get(*id))),
                Source::Sequence(place) => sequence(*place, row),
                Source::Fact(fact) => Some(told(*fact, asked.tag, row)),
                Source::Creator => Some(text_element(asked.tag, VR::LO, asked.text.trim())),
                Source::Metadata(creator) => {
                    if metadata.is_none() {
                        metadata = Some(self.metadata(archive, scope, row)?);
                    }
                    let metadata = metadata.as_deref().unwrap_or_default();
                    let found = data::member(metadata, asked.tag, creator.as_deref());
                    found.and_then(|member| parsed(asked.tag, member))
                }
            };
            dataset.set(match found {
                Some(found) => narrowed(found, asked),
                None => nothing(asked),
            });
        }
        self.say_character_set(&mut dataset);
        let mut out = Vec::with_capacity(1024);
        for element in dataset.iter() {
            encode::element(&mut out, self.encoding, element);
        }
        Ok(out)
    }

    /// The metadata of the first instance under a row.
    fn metadata(&self, archive: &Archive, scope: &Scope, row: &Row) -> Result<Vec<u8>, Error> {
        let target = if self.level == Level::Patient {
            let Some(study) = first_study(archive, scope, row)? else {
                return Ok(Vec::new());
            };
            study.target(Level::Study)?
        } else {
            row.target(self.level)?
        };
        let first = archive.metadata(&target, scope, None, 1)?.pop();
        Ok(first.map(|prepared| prepared.metadata).unwrap_or_default())
    }

    fn say_character_set(&self, dataset: &mut Dataset) {
        if self.is_latin_1 && !is_all(dataset, &|c| c.is_ascii()) && is_all(dataset, &is_latin_1) {
            make_latin_1(dataset);
            dataset.set(text_element(SPECIFIC_CHARACTER_SET, VR::CS, LATIN_1));
        } else {
            dataset.say_character_set();
        }
    }
}

/// Where an attribute of the identifier comes from; `None` when it cannot be told at this level.
fn source(tag: Tag, level: Level, creator: Option<&str>) -> Option<Source> {
    let fact = FACTS.iter().find(|(known, ..)| *known == tag);
    if let Some((_, fact, _, from)) = fact {
        let is_told = *fact != Fact::RetrieveUrl && *from <= level;
        return is_told.then_some(Source::Fact(*fact));
    }
    let field = Field::of_path(vec![tag])?;
    if field.is_creator() {
        return Some(Source::Creator);
    }
    if field.level() > level {
        return None;
    }
    match field {
        Field::Attribute(id) => Some(Source::Attribute(id)),
        Field::Sequence(place) => Some(Source::Sequence(place)),
        Field::Other(_) if tag.group() < 0x0008 => None,
        // A private attribute means nothing without its creator.
        Field::Other(_) if tag.group() % 2 == 1 && creator.is_none() => None,
        _ => Some(Source::Metadata(creator.map(Into::into))),
    }
}

/// The newest study of a patient.
fn first_study(archive: &Archive, scope: &Scope, row: &Row) -> Result<Option<Row>, Error> {
    let key = |keyword: &str| {
        let id = AttributeId::of_keyword(keyword)?;
        let matching = match row.attributes.get(id).unwrap_or_default() {
            "" => Matching::Empty,
            value => Matching::Single(value.into()),
        };
        Some(Key::Attribute(id, matching))
    };
    let query = Query {
        level: Level::Study,
        keys: ["PatientID", "IssuerOfPatientID"]
            .into_iter()
            .filter_map(key)
            .collect(),
        limit: 1,
        offset: 0,
        order: Order::NEWEST,
    };
    Ok(archive.find(&query, scope)?.rows.pop())
}

fn text_element(tag: Tag, vr: VR, text: &str) -> Element {
    let value = Value::Bytes(text.as_bytes().to_vec());
    Element { tag, vr, value }
}

/// A value of the index.
fn indexed(attribute: &Attribute, text: Option<&str>) -> Element {
    let text = text.unwrap_or_default();
    if is_binary_number(attribute.vr) {
        let mut member = Vec::new();
        write_attribute(&mut member, attribute, text);
        if let Some(element) = parsed(attribute.tag, &member) {
            return element;
        }
    }
    text_element(attribute.tag, attribute.vr, text)
}

fn sequence(place: u8, row: &Row) -> Option<Element> {
    let (_, items) = row
        .sequence_json
        .iter()
        .find(|(known, _)| *known == place)?;
    let member = format!(r#"{{"vr":"SQ","Value":{items}}}"#);
    parsed(SEQUENCES[usize::from(place)].tag, member.as_bytes())
}

/// An attribute of prepared metadata; `None` when its value lies elsewhere or does not fit its VR.
fn parsed(tag: Tag, member: &[u8]) -> Option<Element> {
    let mut text = format!("{{\"{:04X}{:04X}\":", tag.group(), tag.element()).into_bytes();
    text.extend_from_slice(member);
    text.push(b'}');
    let element = json::parse(&text).ok()?.pop()?.remove(tag)?;
    (!matches!(element.value, Value::Bulk(_))).then_some(element)
}

/// What the archive knows of a row.
fn told(fact: Fact, tag: Tag, row: &Row) -> Element {
    let list = |vr, values: &[Box<str>]| text_element(tag, vr, &values.join("\\"));
    let number = |value: u64| text_element(tag, VR::IS, &value.to_string());
    match fact {
        Fact::InstanceAvailability => text_element(tag, VR::CS, "ONLINE"),
        Fact::ModalitiesInStudy => list(VR::CS, &row.modalities_in_study),
        Fact::SopClassesInStudy => list(VR::UI, &row.sop_classes_in_study),
        Fact::RetrieveUrl => text_element(tag, VR::UR, ""),
        Fact::AvailableTransferSyntax => {
            let uid = row.transfer_syntax_uid.as_ref();
            text_element(tag, VR::UI, uid.map_or("", |uid| uid.as_str()))
        }
        Fact::StudiesOfPatient => number(row.studies_of_patient),
        Fact::SeriesOfStudy => number(row.series_of_study),
        Fact::InstancesOfStudy => number(row.instances_of_study),
        Fact::InstancesOfSeries => number(row.instances_of_series),
    }
}

/// An attribute without a value.
fn nothing(asked: &KeyElement) -> Element {
    let vr = match look_up(asked.tag) {
        Some(Meaning::Vr(vr)) => vr,
        Some(Meaning::Signedness) => VR::US,
        Some(Meaning::LutData) => VR::OW,
        None if asked.item.is_empty() => VR::UN,
        None => VR::SQ,
    };
    let value = if vr == VR::SQ {
        Value::Items(Vec::new())
    } else {
        Value::Bytes(Vec::new())
    };
    Element {
        tag: asked.tag,
        vr,
        value,
    }
}

/// An attribute with just those attributes in its items that were asked for; all of them when none
/// was named. As deep as the identifier, whose reader bounded it.
fn narrowed(element: Element, asked: &KeyElement) -> Element {
    let value = match element.value {
        Value::Items(items) if !asked.item.is_empty() => {
            let narrow = |mut item: Dataset| {
                let mut kept = Dataset::default();
                for inner in &asked.item {
                    kept.set(match item.remove(inner.tag) {
                        Some(found) => narrowed(found, inner),
                        None => nothing(inner),
                    });
                }
                kept
            };
            Value::Items(items.into_iter().map(narrow).collect())
        }
        value => value,
    };
    Element { value, ..element }
}

fn is_latin_1(c: char) -> bool {
    // What ISO-IR 100 has: control characters of the upper half are no text.
    matches!(u32::from(c), 0..=0x7F | 0xA0..=0xFF)
}

/// Whether all text is of such characters. As deep as metadata are nested, which their parser bounds.
fn is_all(dataset: &Dataset, fits: &impl Fn(char) -> bool) -> bool {
    dataset.iter().all(|element| match &element.value {
        Value::Bytes(bytes) if is_text(element.vr) => {
            std::str::from_utf8(bytes).is_ok_and(|text| text.chars().all(fits))
        }
        Value::Bytes(_) | Value::Bulk(_) => true,
        Value::Items(items) => items.iter().all(|item| is_all(item, fits)),
    })
}

/// Text of Latin-1 characters as one byte each.
fn make_latin_1(dataset: &mut Dataset) {
    for (_, vr, value) in dataset.values_mut() {
        match value {
            Value::Bytes(bytes) if is_affected(vr) => {
                let text = String::from_utf8_lossy(bytes);
                let trimmed = text.trim_end_matches(' ').chars();
                *bytes = trimmed
                    .map(|c| u8::try_from(u32::from(c)).unwrap_or(b'?'))
                    .collect();
            }
            Value::Items(items) => items.iter_mut().for_each(make_latin_1),
            Value::Bytes(_) | Value::Bulk(_) => {}
        }
    }
}
