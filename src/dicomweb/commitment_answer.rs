//! The Storage Commitment Response Module (PS3.18 §J.2) as DICOM JSON: instances in flat lists, or
//! as a tree of studies when studies were asked about. Every text in it is a checked UID.

use std::collections::BTreeMap;

use crate::archive::commitment::{Commitment, Failure, Verdict};

/// (0008,1197) by PS3.3 §C.14.1.1.
fn reason(failure: Failure) -> u16 {
    match failure {
        Failure::Unreadable => 0x0110,
        Failure::NoSuchInstance => 0x0112,
        Failure::ClassConflict => 0x0119,
    }
}

/// The answer as one object.
pub(super) fn json(commitment: &Commitment) -> String {
    let (failed, committed): (Vec<&Verdict>, Vec<&Verdict>) = commitment
        .verdicts
        .iter()
        .partition(|verdict| verdict.failure.is_some());
    // Names in ascending order of their tags.
    let members = if commitment.is_by_study {
        [
            sequence("00081110", studies(&committed)),
            sequence("0008119B", studies(&failed)),
        ]
    } else {
        [
            sequence("00081198", failed.iter().filter_map(|one| flat(one))),
            sequence("00081199", committed.iter().filter_map(|one| flat(one))),
        ]
    };
    object(members)
}

/// SOP Instance Reference Macro (PS3.3 Table 10-11), with the reason where there is one.
fn flat(verdict: &Verdict) -> Option<String> {
    let (class, instance) = verdict.instance.as_ref()?;
    Some(object([
        uid("00081150", class),
        uid("00081155", instance),
        failure(verdict),
    ]))
}

fn studies(verdicts: &[&Verdict]) -> Vec<String> {
    let of_study = |group: &[&Verdict]| {
        let study = group[0].study_instance_uid.as_deref().unwrap_or_default();
        let series = sequence("00081115", all_series(group));
        let is_whole = series.is_empty();
        object([
            series,
            if is_whole {
                failure(group[0])
            } else {
                String::new()
            },
            uid("0020000D", study),
        ])
    };
    verdicts
        .chunk_by(|a, b| a.study_instance_uid == b.study_instance_uid)
        .map(of_study)
        .collect()
}

fn all_series(verdicts: &[&Verdict]) -> Vec<String> {
    let of_series = |group: &[&Verdict]| {
        let series = group[0].series_instance_uid.as_deref()?;
        let classes = sequence("00081112", classes(group));
        let is_whole = classes.is_empty();
        Some(object([
            classes,
            if is_whole {
                failure(group[0])
            } else {
                String::new()
            },
            uid("0020000E", series),
        ]))
    };
    verdicts
        .chunk_by(|a, b| a.series_instance_uid == b.series_instance_uid)
        .filter_map(of_series)
        .collect()
}

fn classes(verdicts: &[&Verdict]) -> Vec<String> {
    let mut by_class: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for verdict in verdicts {
        if let Some((class, instance)) = &verdict.instance {
            let item = object([uid("00081155", instance), failure(verdict)]);
            by_class.entry(class).or_default().push(item);
        }
    }
    let of_class =
        |(class, instances)| object([sequence("0008114A", instances), uid("00081150", class)]);
    by_class.into_iter().map(of_class).collect()
}

fn failure(verdict: &Verdict) -> String {
    verdict.failure.map_or_else(String::new, |failure| {
        format!(r#""00081197":{{"vr":"US","Value":[{}]}}"#, reason(failure))
    })
}

fn uid(tag: &str, uid: &str) -> String {
    format!(r#""{tag}":{{"vr":"UI","Value":["{uid}"]}}"#)
}

/// A sequence; nothing when it has no items.
fn sequence(tag: &str, items: impl IntoIterator<Item = String>) -> String {
    let items: Vec<String> = items.into_iter().collect();
    if items.is_empty() {
        return String::new();
    }
    format!(r#""{tag}":{{"vr":"SQ","Value":[{}]}}"#, items.join(","))
}

/// An object of the members that are something.
fn object<const N: usize>(members: [String; N]) -> String {
    let members: Vec<String> = members.into_iter().filter(|m| !m.is_empty()).collect();
    format!("{{{}}}", members.join(","))
}
