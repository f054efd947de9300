//! When does a study arrive under another patient? (No section of the standard says; this is what
//! `[ingest] patient_conflict` acts on.)
//!
//! Two Patient IDs that differ are two patients, and so is one Patient ID from two issuers. A name
//! spelled or padded differently under the same Patient ID is the same patient. Where one side has
//! no Patient ID, names decide, compared without case, accents and padding; a side that says
//! nothing contradicts nobody.
//!
//! And which studies are of one patient? Those under one Patient ID of one issuer ([`is_same_patient`]).

use crate::archive::index::{Difference, Row, StudyPatient};
use crate::dicom::{AttributeId, AttributeValues, json, person_name};

/// The identity in which a newcomer contradicts its study; empty when it does not.
pub(super) fn conflict(held: &StudyPatient, newcomer: &AttributeValues) -> Vec<Difference> {
    let new = |keyword| newcomer.by_keyword(keyword).unwrap_or_default().trim();
    let differ = |a: &str, b: &str| !a.is_empty() && !b.is_empty() && a != b;
    let is_conflict = if !held.patient_id.is_empty() && !new("PatientID").is_empty() {
        differ(&held.patient_id, new("PatientID"))
            || differ(&held.issuer_of_patient_id, new("IssuerOfPatientID"))
    } else {
        differ(
            &person_name::folded_groups(&held.patient_name),
            &person_name::folded_groups(new("PatientName")),
        )
    };
    if !is_conflict {
        return Vec::new();
    }
    [
        ("PatientID", &held.patient_id),
        ("IssuerOfPatientID", &held.issuer_of_patient_id),
        ("PatientName", &held.patient_name),
        ("PatientBirthDate", &held.patient_birth_date),
    ]
    .into_iter()
    .filter(|(keyword, held)| held.trim() != new(keyword))
    .map(|(keyword, held)| difference(keyword, held, new(keyword)))
    .collect()
}

/// Whether two rows tell of one patient, as the index sees it: without an ID nobody knows.
#[must_use]
pub fn is_same_patient(one: &Row, other: &Row) -> bool {
    let value = |row: &'_ Row, keyword| {
        let value = row.attributes.by_keyword(keyword).unwrap_or_default();
        value.to_owned()
    };
    !value(one, "PatientID").is_empty()
        && ["PatientID", "IssuerOfPatientID"]
            .iter()
            .all(|keyword| value(one, keyword) == value(other, keyword))
}

fn difference(keyword: &str, held: &str, newcomer: &str) -> Difference {
    let attribute = AttributeId::of_keyword(keyword)
        .expect("a row of the table")
        .attribute();
    let text = |value: &str| {
        let mut out = Vec::new();
        json::write_attribute(&mut out, attribute, value);
        (!value.is_empty()).then(|| String::from_utf8_lossy(&out).into())
    };
    let path = format!("{:04X}{:04X}", attribute.tag.0, attribute.tag.1).into();
    Difference {
        path,
        held: text(held),
        newcomer: text(newcomer),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(held: [&str; 3], new: [&str; 3], expected: &[&str]) {
        let held_patient = StudyPatient {
            patient_id: held[0].into(),
            issuer_of_patient_id: held[1].into(),
            patient_name: held[2].into(),
            patient_birth_date: "".into(),
        };
        let mut values = AttributeValues::default();
        for (keyword, value) in ["PatientID", "IssuerOfPatientID", "PatientName"]
            .into_iter()
            .zip(new)
        {
            values.set(AttributeId::of_keyword(keyword).unwrap(), value);
        }
        let paths: Vec<_> = conflict(&held_patient, &values)
            .into_iter()
            .map(|d| d.path)
            .collect();
        assert_eq!(
            paths.iter().map(AsRef::as_ref).collect::<Vec<_>>(),
            expected,
            "{held:?} {new:?}"
        );
    }

    #[test]
    fn another_patient_id_is_another_patient() {
        check(["1", "", "Doe^Jane"], ["2", "", "Doe^Jane"], &["00100020"]);
        check(
            ["1", "", "Doe^Jane"],
            ["2", "", "Roe^Ann"],
            &["00100020", "00100010"],
        );
        check(
            ["1", "A", "Doe^Jane"],
            ["1", "B", "Doe^Jane"],
            &["00100021"],
        );
    }

    #[test]
    fn one_patient_has_one_id_of_one_issuer() {
        let row = |id, issuer| {
            let mut row = Row::default();
            for (keyword, value) in [("PatientID", id), ("IssuerOfPatientID", issuer)] {
                row.attributes
                    .set(AttributeId::of_keyword(keyword).unwrap(), value);
            }
            row
        };
        for (one, other, is_same) in [
            (row("1", ""), row("1", ""), true),
            (row("1", "A"), row("1", "A"), true),
            (row("1", "A"), row("1", "B"), false),
            (row("1", "A"), row("1", ""), false),
            (row("1", "A"), row("2", "A"), false),
            (row("", ""), row("", ""), false),
            (row("", "A"), row("", "A"), false),
            (Row::default(), Row::default(), false),
        ] {
            assert_eq!(is_same_patient(&one, &other), is_same);
            assert_eq!(is_same_patient(&other, &one), is_same);
        }
    }

    #[test]
    fn spelling_and_silence_are_no_conflict() {
        check(["1", "", "Doe^Jane"], ["1", "", "DOE^JANE^"], &[]);
        check(["1", "", "Müller^A"], ["1", "", "Mueller^Anna"], &[]);
        check(["1", "A", "Doe"], ["1", "", "Doe"], &[]);
        check(["1", "", "Doe^Jane"], ["", "", ""], &[]);
        check(["", "", "Doe^Jane "], ["7", "", "doe^jane"], &[]);
    }

    #[test]
    fn names_decide_where_an_id_is_missing() {
        check(["", "", "Doe^Jane"], ["", "", "Roe^Ann"], &["00100010"]);
        check(
            ["1", "", "Doe^Jane"],
            ["", "", "Roe^Ann"],
            &["00100020", "00100010"],
        );
    }
}
