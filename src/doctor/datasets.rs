//! DICOM JSON of a stranger (PS3.18 Annex F), data set by data set: each is bounded before it becomes a
//! tree, looked at, and dropped, so that an answer of any shape costs little memory.
//!
//! Annex F itself is checked by the reader that the archive has for what it is sent.

use std::fmt;

use memchr::memchr3_iter;
use serde::de::{Deserializer as _, IgnoredAny, SeqAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::dicom::{Uid, json};

/// The longest data set that is looked into, in bytes.
const DATASET_BYTES_MAX: usize = 16 << 20;
/// The most values of one data set; each takes some hundred bytes as a tree.
const VALUES_MAX: usize = 2_000_000;

/// Why an answer is no list of data sets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Unreadable {
    /// Not JSON, from this byte on.
    NotJson {
        /// Where, in bytes from the start.
        at: usize,
        /// Whether it just ends there.
        is_cut: bool,
    },
    /// JSON, but no array of objects.
    NotAnArray,
    /// A data set beyond our limits.
    TooLarge,
}

/// Shows each data set of an array to `look`, and gives their number. `look` is told what Annex F has
/// against the data set, if anything.
pub(super) fn each(
    body: &[u8],
    look: &mut dyn FnMut(&Value, Option<String>),
) -> Result<usize, Unreadable> {
    let mut fault = None;
    let mut reader = serde_json::Deserializer::from_slice(body);
    let visited = reader.deserialize_seq(Looker {
        look,
        fault: &mut fault,
    });
    let ended = visited.and_then(|count| reader.end().map(|()| count));
    match (fault, ended) {
        (Some(fault), _) => Err(fault),
        (None, Ok(count)) => Ok(count),
        (None, Err(error)) if error.is_data() => Err(Unreadable::NotAnArray),
        (None, Err(error)) => Err(Unreadable::NotJson {
            at: place(body, error.line(), error.column()),
            is_cut: error.is_eof(),
        }),
    }
}

struct Looker<'a> {
    look: &'a mut dyn FnMut(&Value, Option<String>),
    fault: &'a mut Option<Unreadable>,
}

impl<'de> Visitor<'de> for Looker<'_> {
    type Value = usize;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of data sets")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<usize, A::Error> {
        let mut count = 0;
        while let Some(raw) = sequence.next_element::<&RawValue>()? {
            if let Err(fault) = look_at(raw.get(), self.look) {
                *self.fault = Some(fault);
                while sequence.next_element::<IgnoredAny>()?.is_some() {}
                return Ok(count);
            }
            count += 1;
        }
        Ok(count)
    }
}

fn look_at(text: &str, look: &mut dyn FnMut(&Value, Option<String>)) -> Result<(), Unreadable> {
    let values = memchr3_iter(b',', b'[', b'{', text.as_bytes()).count();
    if text.len() > DATASET_BYTES_MAX || values > VALUES_MAX {
        return Err(Unreadable::TooLarge);
    }
    match serde_json::from_str(text) {
        Ok(value @ Value::Object(_)) => {
            let complaint = json::parse(text.as_bytes()).err();
            look(&value, complaint.map(|error| error.to_string()));
            Ok(())
        }
        // Nested deeper than a reader of JSON goes.
        Err(_) => Err(Unreadable::TooLarge),
        Ok(_) => Err(Unreadable::NotAnArray),
    }
}

fn place(body: &[u8], line: usize, column: usize) -> usize {
    let before: usize = body
        .split_inclusive(|b| *b == b'\n')
        .take(line.saturating_sub(1))
        .map(<[u8]>::len)
        .sum();
    before + column
}

/// The values of an attribute, named by eight hexadecimal digits.
pub(super) fn values<'a>(dataset: &'a Value, tag: &str) -> &'a [Value] {
    dataset
        .get(tag)
        .and_then(|attribute| attribute.get("Value"))
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

/// The first value of a text; of a name its alphabetic representation.
pub(super) fn text<'a>(dataset: &'a Value, tag: &str) -> Option<&'a str> {
    let first = values(dataset, tag).first()?;
    let text = first
        .as_str()
        .or_else(|| first.get("Alphabetic").and_then(Value::as_str))?;
    Some(text.trim()).filter(|text| !text.is_empty())
}

/// The first value of a number, which IS may give as text (PS3.18 F.2.3).
pub(super) fn number(dataset: &Value, tag: &str) -> Option<u64> {
    let first = values(dataset, tag).first()?;
    first
        .as_u64()
        .or_else(|| first.as_f64().filter(|n| *n >= 0.0).map(|n| n as u64))
        .or_else(|| first.as_str()?.trim().parse().ok())
}

/// A UID, when it is one.
pub(super) fn uid(dataset: &Value, tag: &str) -> Option<Uid> {
    Uid::parse(text(dataset, tag)?).ok()
}

/// Whether an attribute is there with nothing in it but nulls or empty texts.
pub(super) fn is_hollow(dataset: &Value, tag: &str) -> bool {
    let Some(attribute) = dataset.get(tag) else {
        return false;
    };
    let is_nothing = |value: &Value| value.is_null() || value.as_str().is_some_and(str::is_empty);
    match attribute.get("Value") {
        None => attribute.get("InlineBinary").is_none() && attribute.get("BulkDataURI").is_none(),
        Some(Value::Array(values)) => values.iter().all(is_nothing),
        Some(_) => true,
    }
}

/// The first attribute, at any depth, whose values are nulls and nothing else (PS3.18 F.2.5).
pub(super) fn null_valued(dataset: &Value) -> Option<String> {
    let mut waiting = vec![dataset];
    while let Some(item) = waiting.pop() {
        for (tag, attribute) in item.as_object()? {
            let Some(values) = attribute.get("Value").and_then(Value::as_array) else {
                continue;
            };
            let is_item_list = attribute.get("vr").and_then(Value::as_str) == Some("SQ");
            if !values.is_empty() && values.iter().all(Value::is_null) && !is_item_list {
                return Some(tag_name(tag));
            }
            waiting.extend(values.iter().filter(|value| is_item(value)));
        }
    }
    None
}

/// Each `BulkDataURI`, at any depth, with its tag, up to `most`.
pub(super) fn bulk_uris(dataset: &Value, most: usize) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut waiting = vec![dataset];
    while let Some(item) = waiting.pop() {
        let Some(attributes) = item.as_object() else {
            continue;
        };
        for (tag, attribute) in attributes {
            if let Some(uri) = attribute.get("BulkDataURI").and_then(Value::as_str) {
                found.push((tag.clone(), uri.to_owned()));
                if found.len() >= most {
                    return found;
                }
            }
            let values = attribute.get("Value").and_then(Value::as_array);
            waiting.extend(values.into_iter().flatten().filter(|value| is_item(value)));
        }
    }
    found
}

/// Whether a value is an item of a sequence, and no person's name.
fn is_item(value: &Value) -> bool {
    value
        .as_object()
        .is_some_and(|members| members.keys().any(|name| is_tag(name)))
}

fn is_tag(name: &str) -> bool {
    name.len() == 8 && name.bytes().all(|b| b.is_ascii_hexdigit())
}

/// `00080061` as `(0008,0061)`; what is no tag is not repeated.
pub(super) fn tag_name(tag: &str) -> String {
    if is_tag(tag) {
        format!("({},{})", &tag[..4], &tag[4..])
    } else {
        "a name that is no tag".into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str) -> Result<usize, Unreadable> {
        each(body.as_bytes(), &mut |_, _| {})
    }

    #[test]
    fn what_is_no_list_of_data_sets_is_told_apart() {
        assert_eq!(read("[]"), Ok(0));
        assert_eq!(read(r#"[{}, {"00100020":{"vr":"LO"}}]"#), Ok(2));
        assert_eq!(read("{}"), Err(Unreadable::NotAnArray));
        assert_eq!(read("[1]"), Err(Unreadable::NotAnArray));
        let html = read("<!DOCTYPE html>").unwrap_err();
        assert_eq!(
            html,
            Unreadable::NotJson {
                at: 1,
                is_cut: false
            }
        );
        let cut = read("[{},\n{\"0010").unwrap_err();
        assert!(
            matches!(cut, Unreadable::NotJson { is_cut: true, .. }),
            "{cut:?}"
        );
        let twice = read("[{}][{}]").unwrap_err();
        assert!(matches!(twice, Unreadable::NotJson { .. }), "{twice:?}");
    }

    #[test]
    fn what_is_nested_or_numerous_beyond_reason_costs_nothing() {
        let deep = format!(
            "[{}{}]",
            "{\"a\":".repeat(100_000),
            "0".to_owned() + &"}".repeat(100_000)
        );
        assert_eq!(read(&deep), Err(Unreadable::TooLarge));
        let many = format!(
            "[{{\"00080061\":{{\"vr\":\"CS\",\"Value\":[{}0]}}}}]",
            "0,".repeat(VALUES_MAX)
        );
        assert_eq!(read(&many), Err(Unreadable::TooLarge));
    }

    #[test]
    fn annex_f_is_checked_on_the_way() {
        let mut said = Vec::new();
        each(
            br#"[{"00100020":{"vr":"LO","Value":["1"]}}, {"00100020":{"vr":"LO","Worth":["1"]}}]"#,
            &mut |_, complaint| said.push(complaint.is_some()),
        )
        .unwrap();
        assert_eq!(said, [false, true]);
    }

    #[test]
    fn attributes_are_read_as_annex_f_writes_them() {
        let dataset: Value = serde_json::from_str(
            r#"{"00100010":{"vr":"PN","Value":[{"Alphabetic":"A^B"}]},
                "00201208":{"vr":"IS","Value":["12"]}, "00280010":{"vr":"US","Value":[512]},
                "00080061":{"vr":"CS"}, "00080060":{"vr":"CS","Value":[null]},
                "00081030":{"vr":"LO","Value":[""]},
                "7FE00010":{"vr":"OW","BulkDataURI":"../b"},
                "00081115":{"vr":"SQ","Value":[{"00081199":{"vr":"SQ","Value":[
                   {"00420011":{"vr":"OB","BulkDataURI":"x"},"00080050":{"vr":"SH","Value":[null]}}]}}]}}"#,
        )
        .unwrap();
        assert_eq!(text(&dataset, "00100010"), Some("A^B"));
        assert_eq!(number(&dataset, "00201208"), Some(12));
        assert_eq!(number(&dataset, "00280010"), Some(512));
        for tag in ["00080061", "00080060", "00081030"] {
            assert!(is_hollow(&dataset, tag), "{tag}");
        }
        for tag in ["00100010", "7FE00010", "00000000"] {
            assert!(!is_hollow(&dataset, tag), "{tag}");
        }
        assert!(null_valued(&dataset).is_some());
        let mut uris: Vec<_> = bulk_uris(&dataset, 9).into_iter().map(|b| b.1).collect();
        uris.sort();
        assert_eq!(uris, ["../b", "x"]);
        assert_eq!(bulk_uris(&dataset, 1).len(), 1);
    }
}
