//! Lists of studies, series and instances (PS3.18 §10.6.3), with what the study list and browser of OHIF
//! and the loader of Weasis read of them.

use serde_json::Value;

use super::{Found, Place, datasets};
use crate::doctor::address;
use crate::doctor::client::Answer;
use crate::doctor::datasets::{is_hollow, number, text, uid};
use crate::doctor::faults;
use crate::doctor::replay::Expect;
use crate::doctor::subjects::{Series, Study};

/// The most items of one list that are kept.
const KEPT_MAX: usize = 2_000;
/// The page that OHIF asks for; when it is full, what is missing may be on the next one.
const PAGE: usize = 101;

/// Numbers of items with something wrong.
#[derive(Debug, Default)]
struct Tally {
    hollow_modalities: usize,
    no_modalities: usize,
    no_count: usize,
    no_uid: usize,
    bad_uid: usize,
    foreign: usize,
    elsewhere: Option<String>,
}

impl Tally {
    fn look_at_uid(&mut self, item: &Value, tag: &str) {
        match text(item, tag) {
            None => self.no_uid += 1,
            Some(_) if uid(item, tag).is_none() => self.bad_uid += 1,
            Some(_) => {}
        }
    }

    fn look_at_retrieve_url(&mut self, item: &Value, origin: &str) {
        let Some(url) = text(item, "00081190") else {
            return;
        };
        match address::origin(url) {
            Ok(other) if other != origin => self.elsewhere = Some(other),
            _ => {}
        }
    }

    fn tell(self, found: &mut Found, count: usize, what: &str) {
        let of = |number: usize| format!("in {number} of {count} {what}");
        let mut say = |number: usize, fault, came: String| {
            if number > 0 {
                found.push((fault, format!("{came} {}", of(number))));
            }
        };
        let uids = match what {
            "studies" => "(0020,000D)",
            "series" => "(0020,000D) or (0020,000E)",
            _ => "(0020,000E) or (0008,0018)",
        };
        say(
            self.hollow_modalities,
            &faults::MODALITIES_EMPTY,
            "(0008,0061) ModalitiesInStudy is an empty element".into(),
        );
        say(
            self.no_modalities,
            &faults::MODALITIES_MISSING,
            "no (0008,0061) ModalitiesInStudy".into(),
        );
        let counted = if what == "studies" {
            "no (0020,1208) NumberOfStudyRelatedInstances"
        } else {
            "no (0020,1209) NumberOfSeriesRelatedInstances"
        };
        say(self.no_count, &faults::COUNT_MISSING, counted.into());
        say(self.no_uid, &faults::UID_MISSING, format!("no {uids}"));
        say(
            self.bad_uid,
            &faults::UID_MALFORMED,
            format!("{uids} is no UID"),
        );
        say(
            self.foreign,
            &faults::FOREIGN_SERIES,
            "another Study Instance UID".into(),
        );
        if let Some(origin) = self.elsewhere {
            found.push((
                &faults::RETRIEVE_URL,
                format!("(0008,1190) RetrieveURL leads to {origin}"),
            ));
        }
    }
}

/// Studies, all of them sound enough to ask about.
pub(in crate::doctor) fn studies(
    answer: &Answer,
    expect: Expect,
    place: Place<'_>,
    found: &mut Found,
) -> Option<Vec<Study>> {
    let (mut tally, mut studies) = (Tally::default(), Vec::new());
    let (mut is_there, mut others) = (false, 0);
    let asked = place.study;
    let modality = asked.and_then(|study| study.modalities.first());
    let count = datasets(answer, found, &mut |item| {
        tally.look_at_uid(item, "0020000D");
        match item.get("00080061") {
            None => tally.no_modalities += 1,
            Some(_) if is_hollow(item, "00080061") => tally.hollow_modalities += 1,
            Some(_) => {}
        }
        tally.no_count += usize::from(number(item, "00201208").is_none());
        let Some(study) = Study::of(item) else { return };
        is_there |= asked.is_some_and(|asked| asked.uid == study.uid);
        let has_modality = modality.is_none_or(|m| study.modalities.contains(m));
        others += usize::from(!study.modalities.is_empty() && !has_modality);
        if studies.len() < KEPT_MAX {
            studies.push(study);
        }
    })?;
    tally.tell(found, count, "studies");
    if expect == Expect::StudiesOfModality && others > 0 {
        found.push((
            &faults::FILTER_IGNORED,
            format!("{others} of {count} studies are not of the modality asked for"),
        ));
    }
    if expect != Expect::Studies && !is_there && count < PAGE {
        found.push((
            &faults::FILTER_FINDS_NOTHING,
            format!("{count} studies, the one asked for not among them"),
        ));
    }
    Some(studies)
}

/// Series of the study.
pub(in crate::doctor) fn series(
    answer: &Answer,
    place: Place<'_>,
    found: &mut Found,
) -> Option<Vec<Series>> {
    let (mut tally, mut all) = (Tally::default(), Vec::new());
    let count = datasets(answer, found, &mut |item| {
        match text(item, "0020000D") {
            None => tally.no_uid += 1,
            Some(study) if place.study.is_some_and(|asked| asked.uid.as_str() != study) => {
                tally.foreign += 1;
            }
            Some(_) => tally.look_at_uid(item, "0020000E"),
        }
        tally.no_count += usize::from(number(item, "00201209").is_none());
        tally.look_at_retrieve_url(item, place.origin);
        if all.len() < KEPT_MAX {
            all.extend(Series::of(item));
        }
    })?;
    tally.tell(found, count, "series");
    Some(all)
}

/// Instances of the series.
pub(in crate::doctor) fn instances(answer: &Answer, place: Place<'_>, found: &mut Found) {
    let mut tally = Tally::default();
    let count = datasets(answer, found, &mut |item| {
        tally.look_at_uid(item, "00080018");
        tally.look_at_retrieve_url(item, place.origin);
    });
    let Some(count) = count else { return };
    tally.tell(found, count, "instances");
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::tests::{answer, codes};
    use super::*;

    const JSON: &str = "application/dicom+json";
    const ORIGIN: &str = "http://a";

    fn study_item(uid: &str) -> Value {
        json!({
            "0020000D": {"vr": "UI", "Value": [uid]},
            "00080061": {"vr": "CS", "Value": ["CT"]},
            "00201208": {"vr": "IS", "Value": [3]},
        })
    }

    fn found_in(item: &Value, expect: Expect, asked: Option<&Study>) -> Vec<&'static str> {
        let mut found = Found::new();
        let place = Place {
            study: asked,
            origin: ORIGIN,
            ..Place::default()
        };
        let body = json!([item]).to_string();
        studies(&answer(JSON, body.as_bytes()), expect, place, &mut found);
        codes(&found)
    }

    #[test]
    fn study_items_have_what_the_study_list_reads() {
        let sound = study_item("1.2.3");
        assert_eq!(found_in(&sound, Expect::Studies, None), Vec::<&str>::new());
        let with = |tag: &str, attribute: Value| {
            let mut item = sound.clone();
            item[tag] = attribute;
            found_in(&item, Expect::Studies, None)
        };
        let without = |tag: &str| {
            let mut item = sound.clone();
            item.as_object_mut().unwrap().remove(tag);
            found_in(&item, Expect::Studies, None)
        };
        assert_eq!(with("00080061", json!({"vr": "CS"})), ["modalities-empty"]);
        assert_eq!(
            with("00080061", json!({"vr": "CS", "Value": [""]})),
            ["modalities-empty"]
        );
        assert_eq!(without("00080061"), ["modalities-missing"]);
        assert_eq!(without("00201208"), ["instance-count-missing"]);
        assert_eq!(without("0020000D"), ["uid-missing"]);
        assert_eq!(
            with("0020000D", json!({"vr": "UI", "Value": ["1.02"]})),
            ["uid-malformed"]
        );
    }

    #[test]
    fn a_filter_that_misses_or_does_not_filter_is_found() {
        let asked = Study::of(&study_item("1.2.3")).unwrap();
        let same = study_item("1.2.3");
        let found = |item: &Value, expect| found_in(item, expect, Some(&asked));
        assert_eq!(found(&same, Expect::StudiesWithThis), Vec::<&str>::new());
        assert_eq!(
            found(&study_item("1.9"), Expect::StudiesWithThis),
            ["filter-misses"]
        );
        let mut other = same.clone();
        other["00080061"] = json!({"vr": "CS", "Value": ["MR"]});
        assert_eq!(found(&other, Expect::StudiesOfModality), ["filter-ignored"]);
    }

    #[test]
    fn series_items_name_their_study_and_stay_at_home() {
        let study = Study::of(&study_item("1.2.3")).unwrap();
        let item = json!({
            "0020000D": {"vr": "UI", "Value": ["1.2.3"]},
            "0020000E": {"vr": "UI", "Value": ["1.2.3.4"]},
            "00201209": {"vr": "IS", "Value": [3]},
            "00081190": {"vr": "UR", "Value": ["http://a/x"]},
        });
        let found = |item: &Value| {
            let mut found = Found::new();
            let place = Place {
                study: Some(&study),
                origin: ORIGIN,
                ..Place::default()
            };
            let body = json!([item]).to_string();
            series(&answer(JSON, body.as_bytes()), place, &mut found);
            codes(&found)
        };
        assert_eq!(found(&item), Vec::<&str>::new());
        for (tag, attribute, code) in [
            ("0020000D", json!({"vr": "UI"}), "uid-missing"),
            (
                "0020000D",
                json!({"vr": "UI", "Value": ["1.9"]}),
                "wrong-study",
            ),
            ("00201209", json!({"vr": "IS"}), "instance-count-missing"),
            (
                "00081190",
                json!({"vr": "UR", "Value": ["http://b/x"]}),
                "retrieve-url-elsewhere",
            ),
        ] {
            let mut wrong = item.clone();
            wrong[tag] = attribute;
            assert_eq!(found(&wrong), [code]);
        }
    }
}
