//! What a server tells of each instance that was stored there (PS3.18 §10.5.3): Referenced SOP
//! Sequence and Failed SOP Sequence, in DICOM JSON.
//!
//! A server may tell it in another form, or not at all. 200 says that all are stored; any other
//! status says nothing of an instance that is in neither list.

use std::collections::HashMap;
use std::time::Duration;

use serde_json::Value;

use crate::dicom::Uid;

const REFERENCED_SOP_SEQUENCE: &str = "00081199";
const FAILED_SOP_SEQUENCE: &str = "00081198";
const REFERENCED_SOP_INSTANCE_UID: &str = "00081155";
const FAILURE_REASON: &str = "00081197";

/// Processing failure: for a failure without a reason.
const PROCESSING: u16 = 0x0110;

/// A server's answer.
#[derive(Debug, Default)]
pub(super) struct Told {
    pub(super) status: u16,
    pub(super) retry_after: Option<Duration>,
    /// `None` when it has none that can be read.
    pub(super) lists: Option<Lists>,
    /// Whether it came to its end.
    pub(super) is_whole: bool,
}

/// Instances by UID: `None` when it is stored, or the failure reason.
pub(super) type Lists = HashMap<Box<str>, Option<u16>>;

/// What was said of an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Word {
    /// It is stored.
    Stored,
    /// It is not, for this reason.
    Refused(u16),
    /// Neither.
    Nothing,
}

impl Told {
    pub(super) fn word(&self, sop_instance_uid: &Uid) -> Word {
        let listed = self
            .lists
            .as_ref()
            .and_then(|lists| lists.get(sop_instance_uid.as_str()));
        match listed {
            Some(None) => Word::Stored,
            Some(Some(reason)) => Word::Refused(*reason),
            // Nothing was lost of an answer that says so by its status.
            None if self.status == 200 && self.is_whole => Word::Stored,
            None => Word::Nothing,
        }
    }
}

/// Whether a body of this type can be the answer to a store: a page for people, such as that of a portal
/// that wants a login, is none.
pub(super) fn is_of_a_store(media_type: &str) -> bool {
    let essence = media_type.split(';').next().unwrap_or_default().trim();
    [
        "application/dicom+json",
        "application/json",
        "application/dicom+xml",
        "application/xml",
        "text/xml",
    ]
    .iter()
    .any(|known| essence.eq_ignore_ascii_case(known))
}

/// Reads both lists. What is in both has failed.
pub(super) fn lists(media_type: &str, text: &[u8]) -> Option<Lists> {
    let essence = media_type.split(';').next().unwrap_or_default().trim();
    if !essence.eq_ignore_ascii_case("application/dicom+json")
        && !essence.eq_ignore_ascii_case("application/json")
    {
        return None;
    }
    let answer: Value = serde_json::from_slice(text).ok()?;
    // Some servers put the data set into an array.
    let dataset = match &answer {
        Value::Array(datasets) => datasets.first()?,
        other => other,
    };
    let mut lists = Lists::new();
    for item in items(dataset, REFERENCED_SOP_SEQUENCE) {
        if let Some(uid) = first(item, REFERENCED_SOP_INSTANCE_UID).and_then(Value::as_str) {
            lists.insert(trimmed(uid), None);
        }
    }
    for item in items(dataset, FAILED_SOP_SEQUENCE) {
        if let Some(uid) = first(item, REFERENCED_SOP_INSTANCE_UID).and_then(Value::as_str) {
            let reason = first(item, FAILURE_REASON).and_then(number);
            lists.insert(trimmed(uid), Some(reason.unwrap_or(PROCESSING)));
        }
    }
    Some(lists)
}

fn items<'v>(dataset: &'v Value, tag: &str) -> impl Iterator<Item = &'v Value> {
    let values = dataset.get(tag).and_then(|sequence| sequence.get("Value"));
    values.and_then(Value::as_array).into_iter().flatten()
}

fn first<'v>(item: &'v Value, tag: &str) -> Option<&'v Value> {
    item.get(tag)?.get("Value")?.get(0)
}

/// US, which some servers write as a string.
fn number(value: &Value) -> Option<u16> {
    let number = value.as_u64().or_else(|| value.as_str()?.parse().ok())?;
    u16::try_from(number).ok()
}

fn trimmed(uid: &str) -> Box<str> {
    uid.trim_matches([' ', '\0']).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const JSON: &str = "application/dicom+json; charset=utf-8";

    fn told(status: u16, media_type: &str, text: &str) -> Told {
        Told {
            status,
            retry_after: None,
            lists: lists(media_type, text.as_bytes()),
            is_whole: true,
        }
    }

    #[test]
    fn both_lists_are_read() {
        // PS3.18 §10.5.3.2, by hand.
        let text = r#"{
          "00081190": {"vr":"UR","Value":["https://a.example/studies/1"]},
          "00081198": {"vr":"SQ","Value":[
            {"00081150":{"vr":"UI","Value":["1.2.840.10008.5.1.4.1.1.2"]},"00081155":{"vr":"UI","Value":["1.2"]},"00081197":{"vr":"US","Value":[43264]}},
            {"00081155":{"vr":"UI","Value":["1.3"]},"00081197":{"vr":"US","Value":["273"]}},
            {"00081155":{"vr":"UI","Value":["1.4"]}},
            {"00081155":{"vr":"UI"}}, 7]},
          "00081199": {"vr":"SQ","Value":[{"00081155":{"vr":"UI","Value":["1.1"]}},{"00081155":{"vr":"UI","Value":["1.4"]}}]}}"#;
        for text in [text.to_owned(), format!("[{text}]")] {
            let told = told(202, JSON, &text);
            let word = |uid| told.word(&Uid::parse(uid).unwrap());
            assert_eq!(word("1.1"), Word::Stored);
            assert_eq!(word("1.2"), Word::Refused(0xA900));
            assert_eq!(word("1.3"), Word::Refused(0x0111));
            assert_eq!(word("1.4"), Word::Refused(PROCESSING));
            assert_eq!(word("1.5"), Word::Nothing);
        }
    }

    #[test]
    fn only_200_speaks_for_what_is_not_listed() {
        let uid = Uid::parse("1.2").unwrap();
        for text in ["", "{}", "[]", "null", "[[[", "{\"00081199\":[]}"] {
            for media_type in [JSON, "application/dicom+xml", ""] {
                assert_eq!(
                    told(200, media_type, text).word(&uid),
                    Word::Stored,
                    "{text}"
                );
                assert_eq!(told(202, media_type, text).word(&uid), Word::Nothing);
                assert_eq!(told(409, media_type, text).word(&uid), Word::Nothing);
            }
        }
        let cut_off = Told {
            status: 200,
            ..Told::default()
        };
        assert_eq!(cut_off.word(&uid), Word::Nothing);
    }
}
