//! What both indexes must agree on beyond `dicom::query`, which judges one value: whose a study is,
//! what it sorts by, the modalities of a series, and items of sequences.

use crate::dicom::attributes::SequenceAttribute;
use crate::dicom::query::{Matching, findable, matches, normal_date, normal_time};
use crate::dicom::{AttributeId, AttributeValues, Header, Uid, person_name};

/// The Study Date that a study sorts by, as `YYYYMMDD`; empty when absent or unreadable.
pub(super) fn sort_date(value: Option<&str>) -> String {
    value
        .unwrap_or_default()
        .split('\\')
        .find_map(normal_date)
        .unwrap_or_default()
}

/// The Study Time that a study sorts by, as `HHMMSS.FFFFFF`; empty when absent or unreadable.
pub(super) fn sort_time(value: Option<&str>) -> String {
    value
        .unwrap_or_default()
        .split('\\')
        .find_map(normal_time)
        .unwrap_or_default()
}

/// The most characters of a name that it sorts by: what differs only beyond has the same place.
const SORT_NAME_CHARS_MAX: usize = 128;

/// The Patient's Name that a study sorts by: the first group that says something, folded as names are matched.
/// Texts of it compare as names do, component by component: Doe^Jane comes before Doe Smith^Ann. Empty when
/// there is no name.
pub(super) fn sort_name(value: Option<&str>) -> String {
    let mut values = value.unwrap_or_default().split('\\');
    let folded = values.find_map(|name| person_name::folded(name).into_iter().next());
    let chars = folded.iter().flat_map(|folded| folded.chars());
    // Lower than whatever stands in a component.
    let between = |c| if c == '^' { '\u{1}' } else { c };
    chars.take(SORT_NAME_CHARS_MAX).map(between).collect()
}

/// Who a study belongs to: issuer and ID. Without an ID nobody knows that two studies are one
/// patient's, so each has its own.
pub(super) fn patient_identity(values: &AttributeValues, study_instance_uid: &Uid) -> String {
    match values.by_keyword("PatientID").unwrap_or_default() {
        "" => format!("study\u{1f}{study_instance_uid}"),
        id => format!(
            "id\u{1f}{}\u{1f}{id}",
            values.by_keyword("IssuerOfPatientID").unwrap_or_default()
        ),
    }
}

/// The values of a header with its four checked UIDs among them.
pub(super) fn with_uids(header: &Header) -> AttributeValues {
    let mut values = header.attributes.clone();
    let uids = [
        ("SOPClassUID", &header.sop_class_uid),
        ("SOPInstanceUID", &header.sop_instance_uid),
        ("StudyInstanceUID", &header.study_instance_uid),
        ("SeriesInstanceUID", &header.series_instance_uid),
    ];
    for (keyword, uid) in uids {
        let id = AttributeId::of_keyword(keyword).expect("the table has every identifying UID");
        values.set(id, uid.as_str());
    }
    values
}

/// What a series adds to Modalities in Study: nothing when it says none.
pub(super) fn modalities(value: Option<&str>) -> impl Iterator<Item = &str> {
    findable(value.unwrap_or_default())
        .split('\\')
        .map(str::trim)
        .filter(|modality| !modality.is_empty())
}

/// The version of what is left of a study or series without its reports, by those of the instances that are
/// left, in order; `None` when none is. It changes with them only, and is no version that the index counts.
pub(super) fn seen_version(versions: &[u64]) -> Option<u64> {
    let mut hasher = blake3::Hasher::new();
    for version in versions {
        hasher.update(&version.to_le_bytes());
    }
    let hash = hasher.finalize();
    let [a, b, c, d, e, f, g, h, ..] = *hash.as_bytes();
    let number = u64::from_le_bytes([a, b, c, d, e, f, g, h]);
    (!versions.is_empty()).then_some(number | 1 << 63)
}

/// Whether one item of a sequence satisfies all keys. `values` are those of one entity's sequence in
/// the order of its items, as (item, position in the sequence's `items`, value). An absent sequence
/// counts as one item in which everything is absent.
pub(super) fn items_match(
    sequence: &SequenceAttribute,
    keys: &[(u8, Matching)],
    values: &[(u32, u8, Box<str>)],
) -> bool {
    let item_matches = |item: Option<u32>| {
        keys.iter().all(|(at, matching)| {
            let value = values
                .iter()
                .find(|(i, a, _)| Some(*i) == item && a == at)
                .map(|(_, _, v)| &**v);
            sequence
                .items
                .get(usize::from(*at))
                .is_some_and(|(_, _, vr)| matches(matching, *vr, value))
        })
    };
    let mut items: Vec<u32> = values.iter().map(|(item, _, _)| *item).collect();
    items.dedup();
    if items.is_empty() {
        item_matches(None)
    } else {
        items.into_iter().any(|item| item_matches(Some(item)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_sort_by_their_components_without_case_and_accents() {
        let names = [
            "=",
            "^Ann",
            "doe",
            "DOE^Jane",
            "Döe^Jürgen",
            "Doe Smith^Ann",
            "O\u{2019}Brien",
            "=山田^太郎",
        ];
        let sorted = names.map(|name| sort_name(Some(name)));
        assert!(sorted.is_sorted(), "{sorted:?}");
        assert_eq!(sort_name(Some("  \\Müller^J=山田")), "muller\u{1}j");
        assert_eq!((sort_name(None), sort_name(Some("^^"))), Default::default());
        let long = "é".repeat(1000);
        assert_eq!(sort_name(Some(&long)), "e".repeat(SORT_NAME_CHARS_MAX));
    }
}
