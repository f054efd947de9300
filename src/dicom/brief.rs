//! Attributes told in a line, for people who compare two of them: the name of a tag, the values that DICOM JSON
//! (PS3.18 §F.2) has of it.

use dicom_core::Tag;
use dicom_core::dictionary::{DataDictionary, DataDictionaryEntry};
use dicom_dictionary_std::StandardDataDictionary;
use serde_json::Value;

/// So much is told of a value.
const CHARACTERS_MAX: usize = 60;

/// The value of an attribute in DICOM JSON, as short as it can be told.
#[must_use]
pub fn value(json: &str) -> String {
    let value = match serde_json::from_str::<Value>(json) {
        Ok(value) => values(&value),
        Err(_) => json.to_owned(),
    };
    match value.char_indices().nth(CHARACTERS_MAX) {
        Some((end, _)) => format!("{}…", &value[..end]),
        None => value,
    }
}

fn values(attribute: &Value) -> String {
    let Some(values) = attribute.get("Value").and_then(Value::as_array) else {
        return attribute
            .get("BulkDataURI")
            .map_or_else(|| "empty".into(), |_| "bulk data".into());
    };
    let texts = values.iter().map(|value| match value {
        Value::String(text) => text.clone(),
        Value::Object(name) if name.values().all(Value::is_string) => name
            .values()
            .filter_map(Value::as_str)
            .collect::<Vec<_>>()
            .join("="),
        other => other.to_string(),
    });
    texts.collect::<Vec<_>>().join("\\")
}

/// The keyword of the last tag in a path of tags and item numbers (`00400275/0/00400009`); `private` when it is in no
/// dictionary.
#[must_use]
pub fn keyword(path: &str) -> String {
    let last = path
        .rsplit('/')
        .find(|part| part.len() == 8)
        .unwrap_or(path);
    let tag = u32::from_str_radix(last, 16).ok();
    // The two halves of a tag.
    let tag = tag.map(|number| Tag((number >> 16) as u16, number as u16));
    let entry = tag.and_then(|tag| StandardDataDictionary.by_tag(tag));
    entry.map_or_else(|| "private".into(), |entry| entry.alias().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_told_briefly() {
        for (json, text) in [
            (r#"{"vr":"LO","Value":["A","B"]}"#, "A\\B"),
            (
                r#"{"vr":"PN","Value":[{"Alphabetic":"Doe^John"}]}"#,
                "Doe^John",
            ),
            (r#"{"vr":"US","Value":[512]}"#, "512"),
            (r#"{"vr":"OW","BulkDataURI":"x"}"#, "bulk data"),
            (r#"{"vr":"LO"}"#, "empty"),
            ("not json", "not json"),
        ] {
            assert_eq!(value(json), text);
        }
        assert_eq!(
            value(&format!(r#"{{"Value":["{}"]}}"#, "é".repeat(80)))
                .chars()
                .count(),
            61
        );
    }

    #[test]
    fn tags_are_named() {
        assert_eq!(keyword("00100010"), "PatientName");
        assert_eq!(keyword("00400275/0/00400009"), "ScheduledProcedureStepID");
        assert_eq!(keyword("00091001"), "private");
    }
}
