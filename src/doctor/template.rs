//! Paths of the table with their placeholders filled in, twice: as they are sent, and as they are shown, which
//! is with UIDs but with no value of a patient.

use super::checks::Place;

/// A filled path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Filled {
    pub(super) sent: String,
    pub(super) shown: String,
}

/// The most characters of a name or description that somebody would type.
const TYPED_MAX: usize = 8;

/// Fills a template; `None` where the place has no value for it.
pub(super) fn fill(template: &str, place: Place<'_>) -> Option<Filled> {
    let (mut sent, mut shown) = (String::new(), String::new());
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        let (name, next) = after.split_once('}')?;
        let value = value(name, place)?;
        sent.push_str(before);
        sent.push_str(&encoded(&value));
        shown.push_str(before);
        if name.starts_with(char::is_uppercase) {
            shown.push_str(&format!("{{{name}}}"));
        } else {
            shown.push_str(&value);
        }
        rest = next;
    }
    sent.push_str(rest);
    shown.push_str(rest);
    Some(Filled { sent, shown })
}

fn value(name: &str, place: Place<'_>) -> Option<String> {
    let study = place.study?;
    match name {
        "study" => Some(study.uid.to_string()),
        "series" => Some(place.series?.uid.to_string()),
        "instance" => Some(place.instance?.uid.to_string()),
        "frame" => Some(place.instance?.frames.to_string()),
        "PatientName" => typed(study.patient_name.as_deref()?, '^'),
        "PatientID" => study.patient_id.clone(),
        "StudyDescription" => typed(study.description.as_deref()?, ' '),
        "AccessionNumber" => study.accession_number.clone(),
        "ModalitiesInStudy" => study.modalities.first().cloned(),
        "StudyDate" => study
            .date
            .clone()
            .filter(|date| date.len() == 8 && date.bytes().all(|b| b.is_ascii_digit())),
        _ => None,
    }
}

/// The beginning of a value, as somebody would type it into a filter.
fn typed(value: &str, end: char) -> Option<String> {
    let word: String = value
        .split(end)
        .find(|word| !word.is_empty())?
        .chars()
        .take(TYPED_MAX)
        .collect();
    Some(word)
}

/// As `encodeURIComponent` does it in a browser.
fn encoded(value: &str) -> String {
    let mut out = String::new();
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.!~*'()".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::doctor::subjects::Study;

    #[test]
    fn values_of_patients_are_sent_and_never_shown() {
        let study = Study::of(&json!({
            "0020000D": {"vr": "UI", "Value": ["1.2.3"]},
            "00100010": {"vr": "PN", "Value": [{"Alphabetic": "Müller-Lüdenscheidt^Zoë"}]},
            "00100020": {"vr": "LO", "Value": ["A/7&b"]},
        }))
        .unwrap();
        let place = Place {
            study: Some(&study),
            ..Place::default()
        };
        let filled = fill(
            "/studies/{study}?PatientName=*{PatientName}*&00100020={PatientID}",
            place,
        )
        .unwrap();
        assert_eq!(
            filled.sent,
            "/studies/1.2.3?PatientName=*M%C3%BCller-L*&00100020=A%2F7%26b"
        );
        assert_eq!(
            filled.shown,
            "/studies/1.2.3?PatientName=*{PatientName}*&00100020={PatientID}"
        );
        assert_eq!(fill("/studies?StudyDate={StudyDate}", place), None);
        assert_eq!(fill("/series/{series}", place), None);
        assert!(fill("/studies", Place::default()).is_some());
    }
}
