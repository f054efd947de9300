//! Searching: levels, order, paging, scope, what an answer holds.

use crate::access::Scope;
use crate::archive::Page;
use crate::archive::index::Remaining;
use crate::db::contract::on_every_index;
use crate::db::contract::sample::{find, insert, key, names, query, sample, uid};
use crate::dicom::Level;
use crate::dicom::query::Key;

#[test]
fn uids_find_one_and_lists_find_several() {
    on_every_index(|index| {
        insert(
            index,
            &[
                sample(1, 1, 1),
                sample(1, 1, 2),
                sample(1, 2, 1),
                sample(2, 1, 1),
            ],
        );
        for (level, keyword, text, expected) in [
            (Level::Study, "StudyInstanceUID", "1.2", vec!["1.2"]),
            (
                Level::Study,
                "StudyInstanceUID",
                "1.1,1.2,1.3",
                vec!["1.2", "1.1"],
            ),
            (Level::Study, "StudyInstanceUID", "1.3", vec![]),
            (
                Level::Series,
                "StudyInstanceUID",
                "1.1",
                vec!["1.1.1", "1.1.2"],
            ),
            (Level::Series, "SeriesInstanceUID", "1.1.2", vec!["1.1.2"]),
            (
                Level::Instance,
                "SeriesInstanceUID",
                "1.1.1,1.2.1",
                vec!["1.2.1.1", "1.1.1.1", "1.1.1.2"],
            ),
            (
                Level::Instance,
                "SOPInstanceUID",
                "1.1.1.2",
                vec!["1.1.1.2"],
            ),
            (
                Level::Instance,
                "SOPInstanceUID",
                "1.1.1.2\\1.2.1.1",
                vec!["1.2.1.1", "1.1.1.2"],
            ),
            (Level::Series, "SOPInstanceUID", "1.1.2.1", vec!["1.1.2"]),
            (Level::Study, "SOPInstanceUID", "1.1.2.1", vec!["1.1"]),
            (Level::Patient, "SOPInstanceUID", "1.1.2.1", vec!["P1"]),
            (Level::Patient, "PatientID", "P2", vec!["P2"]),
            (Level::Instance, "PatientID", "P2", vec!["1.2.1.1"]),
        ] {
            assert_eq!(
                names(level, &find(index, level, vec![key(keyword, text)])),
                expected,
                "{level:?} {text}"
            );
        }
    });
}

#[test]
fn keys_of_lower_levels_must_hold_on_one_path() {
    on_every_index(|index| {
        insert(
            index,
            &[
                sample(1, 1, 1)
                    .with("Modality", "CT")
                    .with("BodyPartExamined", "HEAD"),
                sample(1, 2, 1)
                    .with("Modality", "MR")
                    .with("BodyPartExamined", "CHEST"),
                sample(2, 1, 1)
                    .with("Modality", "CT")
                    .with("BodyPartExamined", "CHEST"),
            ],
        );
        for level in [Level::Patient, Level::Study] {
            let keys = || vec![key("Modality", "CT"), key("BodyPartExamined", "CHEST")];
            assert_eq!(find(index, level, keys()).rows.len(), 1, "{level:?}");
        }
    });
}

#[test]
fn studies_come_newest_first_those_without_a_date_last() {
    on_every_index(|index| {
        insert(
            index,
            &[
                sample(1, 1, 1)
                    .with("StudyDate", "20230101")
                    .with("StudyTime", "1200"),
                sample(2, 1, 1),
                sample(3, 1, 1).with("StudyDate", "20240101"),
                sample(4, 1, 1)
                    .with("StudyDate", "20230101")
                    .with("StudyTime", "120000.5"),
                sample(5, 1, 1)
                    .with("StudyDate", "20230101")
                    .with("StudyTime", "1200"),
                sample(6, 1, 1).with("StudyDate", "nonsense"),
                sample(7, 1, 1).with("StudyDate", "20230101"),
            ],
        );
        let expected = ["1.3", "1.4", "1.5", "1.1", "1.7", "1.6", "1.2"];
        assert_eq!(
            names(Level::Study, &find(index, Level::Study, vec![])),
            expected
        );
        assert_eq!(
            names(
                Level::Study,
                &find(index, Level::Study, vec![key("Modality", "CT")])
            ),
            expected
        );
        let series = find(index, Level::Series, vec![]);
        assert_eq!(
            names(Level::Series, &series),
            expected.map(|study| format!("{study}.1"))
        );
        assert_eq!(
            names(Level::Patient, &find(index, Level::Patient, vec![])),
            ["P7", "P6", "P5", "P4", "P3", "P2", "P1"]
        );
    });
}

#[test]
fn pages_join_to_the_whole_and_tell_what_remains() {
    on_every_index(|index| {
        let mut instances = Vec::new();
        for study in 1..=5 {
            for series in 1..=2 {
                for instance in 1..=3 {
                    instances.push(
                        sample(study, series, instance)
                            .with("StudyDate", &format!("2024010{}", study % 3 + 1)),
                    );
                }
            }
        }
        insert(index, &instances);
        for level in [Level::Patient, Level::Study, Level::Series, Level::Instance] {
            for keys in [
                vec![],
                vec![key("PatientID", "P*")],
                vec![key("StudyDate", "20240102-")],
                vec![key("InstanceNumber", "2")],
            ] {
                let whole = find(index, level, keys.clone());
                for limit in [1, 2, 4] {
                    let mut joined = Vec::new();
                    loop {
                        let page = index
                            .find(&at(level, &keys, limit, joined.len()), &Scope::All)
                            .unwrap();
                        let left = whole.rows.len() - joined.len() - page.rows.len();
                        assert_eq!(
                            page.remaining,
                            Remaining::Exactly(left as u64),
                            "{level:?} {keys:?}"
                        );
                        if page.rows.is_empty() {
                            break;
                        }
                        joined.extend(page.rows);
                    }
                    assert_eq!(joined, whole.rows);
                }
                let beyond = index
                    .find(&at(level, &keys, 10, 1000), &Scope::All)
                    .unwrap();
                assert_eq!(beyond, Page::default());
                let none = index.find(&at(level, &keys, 0, 0), &Scope::All).unwrap();
                assert_eq!(
                    none,
                    Page {
                        rows: vec![],
                        remaining: Remaining::Exactly(whole.rows.len() as u64)
                    }
                );
            }
        }
    });
}

fn at(level: Level, keys: &[Key], limit: u32, offset: usize) -> crate::dicom::Query {
    let mut query = query(level, keys.to_vec());
    (query.limit, query.offset) = (limit, offset as u64);
    query
}

#[test]
fn a_scope_hides_rows_and_their_number() {
    on_every_index(|index| {
        let of_one_patient = |study, received_at_ms| {
            let mut new = sample(study, 1, 1).with("PatientID", "P");
            new.received_at_ms = received_at_ms;
            new
        };
        insert(
            index,
            &[
                of_one_patient(1, 10),
                of_one_patient(2, 30),
                of_one_patient(3, 20),
            ],
        );
        let two = Scope::of([uid("1.1"), uid("1.3"), uid("1.9")]);
        for level in [Level::Study, Level::Series, Level::Instance] {
            for keys in [
                vec![],
                vec![key("PatientID", "P")],
                vec![key("Modality", "CT")],
            ] {
                let page = index.find(&query(level, keys), &two).unwrap();
                assert_eq!(
                    (page.rows.len(), page.remaining),
                    (2, Remaining::Exactly(0))
                );
                assert!(page.rows.iter().all(|row| row.studies_of_patient == 2));
            }
            let hidden = query(level, vec![key("StudyInstanceUID", "1.2")]);
            assert_eq!(index.find(&hidden, &two).unwrap(), Page::default());
            assert_eq!(
                index.find(&query(level, vec![]), &Scope::Nothing).unwrap(),
                Page::default()
            );
            assert_eq!(
                index.find(&query(level, vec![]), &Scope::of([])).unwrap(),
                Page::default()
            );
        }
        let patients = index.find(&query(Level::Patient, vec![]), &two).unwrap();
        assert_eq!(
            (
                patients.rows[0].studies_of_patient,
                patients.rows[0].received_at_ms
            ),
            (2, 20)
        );
        let all = find(index, Level::Patient, vec![]);
        assert_eq!(
            (all.rows[0].studies_of_patient, all.rows[0].received_at_ms),
            (3, 30)
        );
    });
}

#[test]
fn an_answer_holds_its_level_and_all_above_as_they_came_first() {
    on_every_index(|index| {
        insert(
            index,
            &[
                sample(1, 1, 1)
                    .with("StudyDescription", "first")
                    .with("SeriesDescription", "one")
                    .with("Rows", "512"),
                sample(1, 1, 2)
                    .with("StudyDescription", "second")
                    .with("SeriesDescription", "two")
                    .with("Rows", "256"),
                sample(1, 2, 1).with("StudyDescription", "third"),
            ],
        );
        let rows = find(
            index,
            Level::Instance,
            vec![key("SeriesInstanceUID", "1.1.1")],
        )
        .rows;
        assert_eq!(rows.len(), 2);
        for (row, columns) in rows.iter().zip(["512", "256"]) {
            let value = |keyword| row.attributes.by_keyword(keyword);
            assert_eq!(
                (value("StudyDescription"), value("SeriesDescription")),
                (Some("first"), Some("one"))
            );
            assert_eq!(
                (value("Rows"), value("StudyInstanceUID")),
                (Some(columns), Some("1.1"))
            );
            assert_eq!(
                (
                    row.series_of_study,
                    row.instances_of_study,
                    row.instances_of_series
                ),
                (2, 3, 2)
            );
            assert_eq!(row.transfer_syntax_uid, Some(uid("1.2.840.10008.1.2.1")));
        }
        let series = find(index, Level::Series, vec![]).rows;
        assert_eq!(
            series
                .iter()
                .map(|r| r.instances_of_series)
                .collect::<Vec<_>>(),
            [2, 1]
        );
        assert_eq!(series[0].attributes.by_keyword("Rows"), None);
        assert_eq!(series[0].received_at_ms, sample(1, 1, 2).received_at_ms);
        assert_eq!(
            find(index, Level::Study, vec![]).rows[0].received_at_ms,
            sample(1, 2, 1).received_at_ms
        );
    });
}

#[test]
fn studies_without_a_patient_id_are_nobodys_but_their_own() {
    on_every_index(|index| {
        let nameless = |study: u32| {
            sample(study, 1, 1)
                .with("PatientID", "")
                .with("PatientName", "Doe")
        };
        let issued = |study: u32, issuer: &str| {
            sample(study, 1, 1)
                .with("PatientID", "1")
                .with("IssuerOfPatientID", issuer)
        };
        insert(
            index,
            &[
                nameless(1),
                nameless(2),
                issued(3, "A"),
                issued(4, "A"),
                issued(5, "B"),
            ],
        );
        assert_eq!(index.totals().unwrap().patients, 4);
        let page = find(index, Level::Study, vec![]);
        assert_eq!(
            page.rows
                .iter()
                .map(|r| r.studies_of_patient)
                .collect::<Vec<_>>(),
            [1, 2, 2, 1, 1]
        );
    });
}
