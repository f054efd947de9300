//! The values of a report's attributes in words.

use serde_json::Value;

use crate::dicom::json::prepared::{items, members};
use crate::dicom::{sop_class, text_form};

/// What stands above the content: tag, label, and how it is said.
const FACTS: &[(&[u8; 8], &str, Form)] = &[
    (b"00100010", "Patient", Form::Person),
    (b"00100020", "Patient ID", Form::Text),
    (b"00100030", "Born", Form::Date),
    (b"00100040", "Sex", Form::Text),
    (b"00080020", "Study date", Form::Date),
    (b"00081030", "Study", Form::Text),
    (b"00080050", "Accession number", Form::Text),
    (b"00080090", "Referred by", Form::Person),
    (b"00080080", "Institution", Form::Text),
    (b"00080023", "Date", Form::Date),
    (b"00080033", "Time", Form::Time),
    (b"0040A491", "Completion", Form::Text),
    (b"0040A493", "Verification", Form::Text),
    (b"0040A073", "Verified by", Form::Observers(b"0040A075")),
    (b"0040A078", "Author", Form::Observers(b"0040A123")),
];

#[derive(Clone, Copy)]
enum Form {
    Text,
    Person,
    Date,
    Time,
    /// The names in the items of a sequence.
    Observers(&'static [u8; 8]),
}

/// Label and value of what is there, in a fixed order.
pub(super) fn facts(metadata: &[u8]) -> Vec<(&'static str, String)> {
    let mut found = vec![String::new(); FACTS.len()];
    for (tag, member) in members(metadata) {
        if let Some(at) = FACTS.iter().position(|(wanted, ..)| *wanted == tag) {
            found[at] = match FACTS[at].2 {
                Form::Text => first_text(member),
                Form::Person => person(member),
                Form::Date => text_form::date(&first_text(member)),
                Form::Time => text_form::time(&first_text(member)),
                Form::Observers(name) => observers(member, name),
            };
        }
    }
    let labels = FACTS.iter().map(|(_, label, _)| *label);
    labels
        .zip(found)
        .filter(|(_, value)| !value.is_empty())
        .collect()
}

fn observers(member: &[u8], name: &[u8; 8]) -> String {
    let names = items(member)
        .into_iter()
        .flatten()
        .map(|item| person(member_of(item, name)));
    let names: Vec<_> = names.filter(|name| !name.is_empty()).collect();
    names.join("; ")
}

/// A member of an item, empty when absent.
fn member_of<'a>(item: &'a [u8], wanted: &[u8]) -> &'a [u8] {
    members(item)
        .find(|(tag, _)| *tag == wanted)
        .map_or(b"", |(_, member)| member)
}

/// The values of an attribute that is no sequence.
pub(super) fn values(member: &[u8]) -> Vec<Value> {
    let Ok(Value::Object(mut member)) = serde_json::from_slice(member) else {
        return Vec::new();
    };
    match member.remove("Value") {
        Some(Value::Array(values)) => values,
        _ => Vec::new(),
    }
}

/// The first value as text.
pub(super) fn first_text(member: &[u8]) -> String {
    match values(member).into_iter().next() {
        Some(Value::String(text)) => text,
        Some(Value::Number(number)) => number.to_string(),
        _ => String::new(),
    }
}

/// A text of several lines; one too long to stand in the metadata says so.
pub(super) fn plain_text(member: &[u8]) -> String {
    if memchr::memmem::find(member, b"\"BulkDataURI\"").is_some() && values(member).is_empty() {
        return "(a text too long to be shown here; it is bulk data of the object)".to_owned();
    }
    first_text(member).replace("\r\n", "\n").replace('\r', "\n")
}

/// A person's name: its first group that says something.
pub(super) fn person(member: &[u8]) -> String {
    let values = values(member);
    let Some(Value::Object(groups)) = values.first() else {
        return String::new();
    };
    ["Alphabetic", "Ideographic", "Phonetic"]
        .iter()
        .filter_map(|group| groups.get(*group)?.as_str())
        .map(text_form::person)
        .find(|name| !name.is_empty())
        .unwrap_or_default()
}

/// The meaning of a code, or its value.
pub(super) fn code(member: &[u8]) -> String {
    let Some(item) = items(member).and_then(|mut items| items.next()) else {
        return String::new();
    };
    let [mut value, mut meaning] = [String::new(), String::new()];
    for (tag, member) in members(item) {
        match tag {
            b"00080100" | b"00080119" | b"00080120" => value = first_text(member),
            b"00080104" => meaning = first_text(member),
            _ => {}
        }
    }
    if meaning.is_empty() { value } else { meaning }
}

/// A number with its unit (PS3.3 Table C.18.1-1): `12.5 mm`.
pub(super) fn measured(member: &[u8]) -> String {
    let Some(item) = items(member).and_then(|mut items| items.next()) else {
        return String::new();
    };
    let number = first_text(member_of(item, b"0040A30A"));
    let unit = items(member_of(item, b"004008EA")).and_then(|mut items| items.next());
    let unit = unit.map_or_else(String::new, |unit| first_text(member_of(unit, b"00080100")));
    // UCUM: "1" is no unit, braces are remarks.
    let unit = unit.trim_start_matches('{').trim_end_matches('}');
    if number.is_empty() || unit.is_empty() || unit == "1" {
        number
    } else {
        format!("{number} {unit}")
    }
}

/// What objects an item points at, by class and UID, with frames.
pub(super) fn referenced(member: &[u8]) -> String {
    let one = |item| {
        let class = first_text(member_of(item, b"00081150"));
        let instance = first_text(member_of(item, b"00081155"));
        let name = sop_class::storage(&class).map_or(class.as_str(), |class| class.name);
        let frames: Vec<_> = values(member_of(item, b"00081160"))
            .iter()
            .map(|frame| {
                frame
                    .as_str()
                    .map_or_else(|| frame.to_string(), str::to_owned)
            })
            .collect();
        if frames.is_empty() {
            format!("{name} {instance}")
        } else {
            format!("{name} {instance}, frame {}", frames.join(", "))
        }
    };
    let all: Vec<_> = items(member).into_iter().flatten().map(one).collect();
    all.join("; ")
}
