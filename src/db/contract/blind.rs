//! Who sees a study without its reports sees what it would be if they had never come.

use std::collections::BTreeMap;

use crate::access::{Scope, View};
use crate::archive::Index;
use crate::archive::index::{Page, Target};
use crate::db::contract::on_every_index;
use crate::db::contract::sample::{SR, insert, key, names, query, remove, sample, uid};
use crate::dicom::Level;
use crate::dicom::query::{Key, Matching};

const SECONDARY_CAPTURE: &str = "1.2.840.10008.5.1.4.1.1.7";

fn blind(studies: &[&str]) -> Scope {
    let views = studies
        .iter()
        .map(|study| (uid(study), View::WithoutReports));
    Scope::Studies(views.collect::<BTreeMap<_, _>>())
}

/// A report came first, then an image in its own series, then a series of reports only.
fn fill(index: &dyn Index) {
    let said = |new: crate::archive::index::NewInstance, word: &str| {
        new.with("StudyDescription", word)
            .with("SeriesDescription", word)
            .with("PatientName", word)
    };
    let report = |series, instance| {
        said(sample(1, series, instance), "report")
            .of_class(SR)
            .with("Modality", "SR")
            .with_item("ProcedureCodeSequence", &[("CodeValue", "R")])
    };
    let image = |study, series, instance| {
        said(sample(study, series, instance), "image")
            .with_item("ProcedureCodeSequence", &[("CodeValue", "I")])
    };
    insert(
        index,
        &[
            report(1, 1),
            image(1, 1, 2),
            image(1, 2, 1)
                .of_class(SECONDARY_CAPTURE)
                .with("Modality", "OT"),
            image(1, 1, 3),
            report(3, 1),
            image(2, 1, 1),
            said(sample(3, 1, 1), "report").of_class(SR),
        ],
    );
}

fn rows(index: &dyn Index, level: Level, keys: Vec<Key>, scope: &Scope) -> Page {
    index.find(&query(level, keys), scope).unwrap()
}

#[test]
fn a_study_is_counted_and_described_without_its_reports() {
    on_every_index(|index| {
        fill(index);
        let scope = blind(&["1.1", "1.3"]);
        let page = rows(index, Level::Study, vec![], &scope);
        assert_eq!(names(Level::Study, &page), ["1.1"]);
        let row = &page.rows[0];
        assert_eq!((row.series_of_study, row.instances_of_study), (2, 3));
        let list = |list: &[Box<str>]| list.join(" ");
        assert_eq!(list(&row.modalities_in_study), "CT OT");
        assert_eq!(
            list(&row.sop_classes_in_study),
            format!("1.2.840.10008.5.1.4.1.1.2 {SECONDARY_CAPTURE}")
        );
        assert_eq!(row.attributes.by_keyword("StudyDescription"), Some("image"));
        assert_eq!(row.attributes.by_keyword("PatientName"), Some("image"));
        assert_eq!(row.received_at_ms, sample(1, 2, 1).received_at_ms);

        let page = rows(index, Level::Series, vec![], &scope);
        assert_eq!(names(Level::Series, &page), ["1.1.1", "1.1.2"]);
        let described = page.rows.iter().map(|row| {
            let says = row.attributes.by_keyword("SeriesDescription").unwrap();
            (says, row.instances_of_series)
        });
        assert_eq!(described.collect::<Vec<_>>(), [("image", 2), ("image", 1)]);

        let page = rows(index, Level::Instance, vec![], &scope);
        assert_eq!(
            names(Level::Instance, &page),
            ["1.1.1.2", "1.1.1.3", "1.1.2.1"]
        );
        let page = rows(index, Level::Patient, vec![], &scope);
        assert_eq!(page.rows.len(), 1);
        assert_eq!(
            page.rows[0].attributes.by_keyword("PatientName"),
            Some("image")
        );
        // Who sees all of it sees what came first.
        let page = rows(index, Level::Study, vec![], &Scope::of([uid("1.1")]));
        assert_eq!(page.rows[0].instances_of_study, 5);
        assert_eq!(
            page.rows[0].attributes.by_keyword("StudyDescription"),
            Some("report")
        );
    });
}

#[test]
fn nothing_is_found_by_what_a_report_says() {
    on_every_index(|index| {
        fill(index);
        let scope = blind(&["1.1"]);
        let modality = |text: &str| Key::ModalitiesInStudy(Matching::Single(text.into()));
        let hidden = [
            modality("SR"),
            Key::SopClassesInStudy(vec![uid(SR)]),
            key("StudyDescription", "report"),
            key("StudyDescription", "rep*"),
            key("PatientName", "report"),
            key("SeriesDescription", "report"),
            key("Modality", "SR"),
            key("SOPClassUID", SR),
            key("SeriesInstanceUID", "1.1.3"),
            key("SOPInstanceUID", "1.1.1.1"),
            super::sample::item_key("ProcedureCodeSequence", &[("CodeValue", "R")]),
        ];
        let seen = [
            modality("CT"),
            Key::SopClassesInStudy(vec![uid(SECONDARY_CAPTURE)]),
            key("StudyDescription", "image"),
            key("PatientName", "ima*"),
            key("SeriesDescription", "image"),
            super::sample::item_key("ProcedureCodeSequence", &[("CodeValue", "I")]),
        ];
        for level in [Level::Study, Level::Series, Level::Instance] {
            for key in &hidden {
                let page = rows(index, level, vec![key.clone()], &scope);
                assert_eq!(page, Page::default(), "{level:?} {key:?}");
            }
            for key in &seen {
                let page = rows(index, level, vec![key.clone()], &scope);
                assert!(!page.rows.is_empty(), "{level:?} {key:?}");
            }
        }
    });
}

#[test]
fn a_version_tells_nothing_of_reports() {
    on_every_index(|index| {
        fill(index);
        let scope = &blind(&["1.1", "1.2", "1.3"]);
        let study = Target::Study(uid("1.1"));
        let series = Target::Series(uid("1.1"), uid("1.1.1"));
        let version = |target: &Target, scope: &Scope| index.version(target, scope).unwrap();
        let before = [version(&study, scope), version(&series, scope)];
        assert!(before.iter().all(Option::is_some));
        assert_ne!(before[0], version(&study, &Scope::All));
        for hidden in [
            Target::Study(uid("1.3")),
            Target::Series(uid("1.1"), uid("1.1.3")),
            Target::Instance(uid("1.1"), uid("1.1.1"), uid("1.1.1.1")),
        ] {
            assert_eq!(version(&hidden, scope), None, "{hidden:?}");
            assert_eq!(index.locate(&hidden, scope, None, 9).unwrap(), []);
        }
        // Another report comes, and one goes.
        insert(index, &[sample(1, 1, 9).of_class(SR)]);
        remove(index, "1.1.1.1").unwrap();
        assert_eq!(before, [version(&study, scope), version(&series, scope)]);
        remove(index, "1.1.1.2").unwrap();
        let after = [version(&study, scope), version(&series, scope)];
        assert!(before[0] != after[0] && before[1] != after[1]);
        // Nor does it tell whether there is any: the first comes, and goes.
        let plain = Target::Study(uid("1.2"));
        let before = version(&plain, scope);
        assert!(before.is_some());
        insert(index, &[sample(2, 1, 9).of_class(SR)]);
        assert_eq!(version(&plain, scope), before);
        remove(index, "1.2.1.9").unwrap();
        assert_eq!(version(&plain, scope), before);
    });
}

#[test]
fn what_was_removed_may_have_been_a_report() {
    on_every_index(|index| {
        fill(index);
        let mut transaction = index.begin().unwrap();
        let target = Target::Series(uid("1.1"), uid("1.1.3"));
        transaction.remove_all(&target, 7).unwrap();
        transaction.commit().unwrap();
        let removed = |scope: &Scope| index.removed_at(&target, scope).unwrap();
        assert_eq!(removed(&Scope::of([uid("1.1")])), Some(7));
        assert_eq!(removed(&blind(&["1.1"])), None);
    });
}
