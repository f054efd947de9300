//! What is right and wrong about an answer that came with success: one file a kind of answer. Each
//! check adds what it found and where; what it says holds tags, UIDs, hosts and numbers only.

pub(super) mod lists;
pub(super) mod media;
pub(super) mod metadata;
pub(super) mod pixels;

use serde_json::Value;

use super::client::{Answer, header};
use super::datasets::{self, Unreadable, null_valued};
use super::faults::{self, Fault};
use super::multipart::media_type;
use super::subjects::{Instance, Series, Study};

/// What a request was about.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Place<'a> {
    pub(super) study: Option<&'a Study>,
    pub(super) series: Option<&'a Series>,
    pub(super) instance: Option<&'a Instance>,
    /// The origin that was asked.
    pub(super) origin: &'a str,
}

/// What was found: the fault, and what came.
pub(super) type Found = Vec<(&'static Fault, String)>;

/// Shows each data set of a JSON answer to `look`, and gives their number when all could be read.
fn datasets(answer: &Answer, found: &mut Found, look: &mut dyn FnMut(&Value)) -> Option<usize> {
    if answer.status == 204 {
        return Some(0);
    }
    let content_type = content_type(answer);
    let is_json = matches!(
        media_type(content_type).as_str(),
        "application/dicom+json" | "application/json"
    );
    let (mut nulls, mut complaints) = (None, None);
    let read = datasets::each(&answer.body, &mut |dataset, complaint| {
        nulls = nulls.take().or_else(|| null_valued(dataset));
        complaints = complaints.take().or(complaint);
        look(dataset);
    });
    if let Some(tag) = nulls {
        found.push((&faults::NULL_VALUE, format!("{tag} has \"Value\": [null]")));
    } else if let Some(complaint) = complaints {
        found.push((&faults::NOT_DICOM_JSON, complaint));
    }
    match read {
        Ok(count) => {
            if !is_json {
                found.push((&faults::CONTENT_TYPE, came(answer)));
            }
            Some(count)
        }
        Err(unreadable) => {
            found.push(match unreadable {
                Unreadable::NotJson { .. } if answer.body.is_empty() => (
                    &faults::NOT_JSON,
                    format!("{}, an empty body", came(answer)),
                ),
                Unreadable::NotJson { at, is_cut: true } => (
                    &faults::NOT_JSON,
                    format!("{}, JSON that is cut short after {at} bytes", came(answer)),
                ),
                Unreadable::NotJson { at, is_cut: false } => (
                    &faults::NOT_JSON,
                    format!("{}, no JSON (byte {at})", came(answer)),
                ),
                Unreadable::NotAnArray => (
                    &faults::NOT_AN_ARRAY,
                    format!("{}, JSON that is no array of objects", came(answer)),
                ),
                Unreadable::TooLarge => (
                    &faults::TOO_LONG,
                    "a data set too large or too deep to look into".into(),
                ),
            });
            None
        }
    }
}

/// The Content-Type of an answer, or nothing.
pub(super) fn content_type(answer: &Answer) -> &str {
    header(&answer.headers, "content-type").unwrap_or_default()
}

/// Status and type, in a few words that hold nothing of a body.
pub(super) fn came(answer: &Answer) -> String {
    let content_type = content_type(answer);
    if answer.body.is_empty() && content_type.is_empty() {
        return answer.status.to_string();
    }
    let shown: String = match content_type {
        "" => "without a Content-Type".into(),
        text => text.chars().take(120).collect(),
    };
    format!("{} {shown}", answer.status)
}

#[cfg(test)]
pub(super) mod tests {
    use ureq::http::HeaderMap;
    use ureq::http::header::{HeaderName, HeaderValue};

    use super::*;

    /// An answer as a server would give it.
    pub(in crate::doctor) fn answer(content_type: &str, body: &[u8]) -> Answer {
        let mut headers = HeaderMap::new();
        if !content_type.is_empty() {
            headers.insert(
                HeaderName::from_static("content-type"),
                HeaderValue::from_str(content_type).unwrap(),
            );
        }
        Answer {
            status: 200,
            headers,
            body: body.to_vec(),
            ..Answer::default()
        }
    }

    pub(in crate::doctor) fn codes(found: &Found) -> Vec<&'static str> {
        found.iter().map(|(fault, _)| fault.code).collect()
    }

    #[test]
    fn what_is_no_json_is_told_from_what_is_cut() {
        for (kind, body, code, said) in [
            ("text/html", "<html>login</html>", "not-json", "no JSON"),
            (
                "application/dicom+json",
                "[{\"0020",
                "not-json",
                "cut short",
            ),
            ("application/dicom+json", "", "not-json", "an empty body"),
            (
                "application/json",
                "{\"error\":1}",
                "not-an-array",
                "no array",
            ),
            ("text/plain", "[]", "content-type", "text/plain"),
            (
                "application/dicom+json",
                r#"[{"00080050":{"vr":"SH","Value":[null]}}]"#,
                "null-value",
                "(0008,0050)",
            ),
            (
                "application/dicom+json",
                r#"[{"00080050":{"vr":"SH","Values":["a"]}}]"#,
                "not-dicom-json",
                "(0008,0050)",
            ),
        ] {
            let mut found = Found::new();
            datasets(&answer(kind, body.as_bytes()), &mut found, &mut |_| {});
            assert_eq!(codes(&found), [code], "{body}");
            assert!(found[0].1.contains(said), "{found:?}");
            assert!(!found[0].1.contains("login"), "bodies are not repeated");
        }
    }
}
