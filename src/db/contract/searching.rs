//! Finding: matching, order, paging, scope, what an answer holds. Which values match which keys is
//! the business of `dicom::query`; here it is that the index finds them.

use crate::access::Scope;
use crate::archive::index::{NewInstance, Remaining};
use crate::archive::{Index, Page};
use crate::db::contract::on_every_index;
use crate::db::contract::sample::{
    CT_IMAGE, SR, find, insert, item_key, key, names, query, remove, sample, uid,
};
use crate::dicom::query::{Key, Matching};
use crate::dicom::{AttributeId, Level};

/// Twelve studies, one instance each, that differ in one attribute.
fn studies_with(keyword: &str, values: &[&str]) -> Vec<NewInstance> {
    (1..)
        .zip(values)
        .map(|(n, value)| sample(n, 1, 1).with(keyword, value))
        .collect()
}

/// The numbers of the studies that a key finds, ascending.
fn found(index: &dyn Index, key: Key) -> Vec<u32> {
    let page = find(index, Level::Study, vec![key]);
    let mut numbers: Vec<u32> = names(Level::Study, &page)
        .iter()
        .map(|uid| uid[2..].parse().unwrap())
        .collect();
    numbers.sort_unstable();
    assert_eq!(page.remaining, Remaining::Exactly(0));
    numbers
}

#[test]
fn keys_find_the_studies_whose_value_matches() {
    type Case = (
        &'static str,
        &'static [&'static str],
        &'static [(&'static str, &'static [u32])],
    );
    let cases: &[Case] = &[
        (
            "PatientName",
            &[
                "Müller^Jürgen",
                "MULLER^Juergen",
                "Yamada^Tarou=山田^太郎=やまだ^たろう",
                "Li^Bo=李^波",
                "Hong^Gildong=洪^吉洞=홍^길동",
                "",
                "O'Brien^P%t",
                "Smith^John\\Doe^Jane",
                "Smi_th^A*",
                "=山田^花子",
            ],
            &[
                ("muller^jurgen", &[1]),
                ("MULLER*", &[1, 2]),
                ("*JUERGEN", &[2]),
                ("*ü*", &[1, 2, 3]),
                ("*山田*", &[3, 10]),
                ("山田*", &[3, 10]),
                ("*田^太*", &[3]),
                ("*太*", &[3]),
                ("*李*", &[4]),
                ("*li*", &[4]),
                ("홍^길동", &[5]),
                ("*길*", &[5]),
                ("Yamada^Tarou=山田*", &[3]),
                ("doe^jane", &[8]),
                ("d*", &[8]),
                ("*%*", &[7]),
                ("*i_t*", &[9]),
                ("*'b*", &[7]),
                ("Li^Bo^*", &[4]),
                ("?i^*", &[4]),
                ("\"\"", &[6]),
                ("nobody*", &[]),
                ("*nobody*", &[]),
            ],
        ),
        (
            "PatientID",
            &[
                "AB-1", "ab-1", "A%1", "A_1", "AB-12", "", "X\\AB-1", " AB-1", "AB\"1", "A'B",
            ],
            &[
                ("AB-1", &[1, 7, 8]),
                ("AB-1*", &[1, 5, 7]),
                ("A?-1", &[1, 7]),
                ("*B-1*", &[1, 5, 7, 8]),
                ("*%*", &[3]),
                ("A%1", &[3]),
                ("A_1", &[4]),
                ("AB\"1", &[9]),
                ("*B\"1", &[9]),
                ("A'B", &[10]),
                ("AB-1\\A_1", &[1, 4, 7, 8]),
                ("\"\"", &[6]),
            ],
        ),
        (
            "StudyDate",
            &[
                "20240101",
                "20240131",
                "2024.01.15",
                "20240230",
                "",
                "20231231",
                "20240201\\20240110",
            ],
            &[
                ("20240101", &[1]),
                ("20240115", &[3]),
                ("20240101-20240131", &[1, 2, 3, 7]),
                ("20240131-", &[2, 7]),
                ("-20231231", &[6]),
                ("20240110", &[7]),
                ("\"\"", &[5]),
            ],
        ),
        (
            "StudyTime",
            &[
                "10",
                "1030",
                "10:30:15",
                "103015.5",
                "",
                "2359",
                "garbage",
                "103015.500000",
            ],
            &[
                ("10", &[1, 2, 3, 4, 8]),
                ("1030", &[2, 3, 4, 8]),
                ("103015.5", &[4, 8]),
                ("1030-1031", &[2, 3, 4, 8]),
                ("-1029", &[1]),
                ("11-", &[6]),
                ("\"\"", &[5]),
            ],
        ),
        (
            "PatientBirthDate",
            &["19700101", "1970.01.01", "19701231", "", "unknown"],
            &[
                ("19700101", &[1, 2]),
                ("19700101-19701231", &[1, 2, 3]),
                ("19700102-", &[3]),
                ("\"\"", &[4]),
            ],
        ),
        (
            "AccessionNumber",
            &["A1", "A10", "a1", "", "B\\A1"],
            &[
                ("A1", &[1, 5]),
                ("A1*", &[1, 2, 5]),
                ("*1*", &[1, 2, 3, 5]),
                ("\"\"", &[4]),
            ],
        ),
        (
            "StudyDescription",
            &["CT Head", "CT 头部 平扫", "ct head", "Head CT", ""],
            &[
                ("CT Head", &[1]),
                ("*Head*", &[1, 4]),
                ("*头*", &[2]),
                ("CT*", &[1, 2]),
                ("*H?ad", &[1]),
            ],
        ),
        (
            "PatientSex",
            &["M", "F", "", "M"],
            &[("M", &[1, 4]), ("?", &[1, 2, 4]), ("\"\"", &[3])],
        ),
        (
            "ReferringPhysicianName",
            &["House^G", "Cuddy", "house^g^^^"],
            &[("HOUSE^G", &[1, 3]), ("*udd*", &[2])],
        ),
        ("StudyID", &["1", "01", "S1"], &[("1", &[1]), ("S*", &[3])]),
        (
            "Modality",
            &["CT", "MR", "", "CT\\PT"],
            &[("CT", &[1, 4]), ("MR,PT", &[2, 4]), ("\"\"", &[3])],
        ),
        (
            "SeriesNumber",
            &["1", "001", "+1", "2", "x", ""],
            &[("1", &[1, 2, 3]), ("2", &[4]), ("\"\"", &[6])],
        ),
        (
            "InstanceNumber",
            &["7", "007", "8"],
            &[("7", &[1, 2]), ("8", &[3])],
        ),
        (
            "BodyPartExamined",
            &["HEAD", "CHEST"],
            &[("HEAD", &[1]), ("*EST", &[2])],
        ),
        ("Rows", &["512", "1024"], &[("512", &[1])]),
        (
            "AcquisitionDateTime",
            &["20240101103000", "20240102"],
            &[("20240101", &[1]), ("202401", &[1, 2])],
        ),
    ];
    on_every_index(|index| {
        for (keyword, values, keys) in cases {
            let mut transaction = index.begin().unwrap();
            let instances = studies_with(keyword, values);
            instances
                .iter()
                .for_each(|new| transaction.insert(new).unwrap());
            transaction.commit().unwrap();
            for (text, expected) in *keys {
                assert_eq!(
                    found(index, key(keyword, text)),
                    *expected,
                    "{keyword} = {text}"
                );
            }
            for new in instances {
                remove(index, new.header.sop_instance_uid.as_str()).unwrap();
            }
        }
    });
}

#[test]
fn an_absent_attribute_is_empty_and_not_told_as_present() {
    on_every_index(|index| {
        insert(
            index,
            &[sample(1, 1, 1), sample(2, 1, 1).with("PatientName", "")],
        );
        assert_eq!(found(index, key("PatientName", "\"\"")), [1, 2]);
        assert_eq!(found(index, key("AccessionNumber", "\"\"")), [1, 2]);
        let page = find(index, Level::Study, vec![]);
        let told: Vec<_> = page
            .rows
            .iter()
            .map(|r| r.attributes.by_keyword("PatientName"))
            .collect();
        assert_eq!(told, [Some(""), None]);
    });
}

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
fn modalities_and_sop_classes_in_study_follow_what_is_there() {
    on_every_index(|index| {
        insert(
            index,
            &[
                sample(1, 1, 1).with("Modality", "CT"),
                sample(1, 2, 1).with("Modality", "PT"),
                sample(1, 3, 1).with("Modality", "SR").of_class(SR),
                sample(1, 4, 1).with("Modality", "CT"),
                sample(2, 1, 1).with("Modality", "MR"),
                sample(3, 1, 1).with("Modality", ""),
            ],
        );
        let modalities = |text| {
            let matching =
                Matching::parse(dicom_core::VR::CS, text, crate::dicom::query::Syntax::WEB)
                    .unwrap();
            found(index, Key::ModalitiesInStudy(matching))
        };
        for (text, expected) in [
            ("CT", &[1][..]),
            ("CT,MR", &[1, 2]),
            ("?R", &[1, 2]),
            ("*", &[1, 2, 3]),
            ("P*", &[1]),
            ("US", &[]),
        ] {
            assert_eq!(modalities(text), expected, "{text}");
        }
        assert_eq!(found(index, Key::ModalitiesInStudy(Matching::Empty)), [3]);
        assert_eq!(found(index, Key::SopClassesInStudy(vec![uid(SR)])), [1]);
        assert_eq!(
            found(index, Key::SopClassesInStudy(vec![uid(SR), uid(CT_IMAGE)])),
            [1, 2, 3]
        );

        let row = |study: &str| {
            find(index, Level::Study, vec![key("StudyInstanceUID", study)])
                .rows
                .remove(0)
        };
        assert_eq!(
            row("1.1").modalities_in_study,
            ["CT", "PT", "SR"].map(Into::into)
        );
        assert_eq!(
            row("1.1").sop_classes_in_study,
            [CT_IMAGE, SR].map(Into::into)
        );
        assert!(row("1.3").modalities_in_study.is_empty());
        remove(index, "1.1.1.1").unwrap();
        assert_eq!(
            row("1.1").modalities_in_study,
            ["CT", "PT", "SR"].map(Into::into)
        );
        remove(index, "1.1.3.1").unwrap();
        remove(index, "1.1.4.1").unwrap();
        assert_eq!(row("1.1").modalities_in_study, ["PT"].map(Into::into));
        assert_eq!(row("1.1").sop_classes_in_study, [CT_IMAGE].map(Into::into));
        assert!(modalities("CT").is_empty());
    });
}

#[test]
fn sequence_keys_must_hold_in_one_item() {
    on_every_index(|index| {
        const REQUEST: &str = "RequestAttributesSequence";
        insert(
            index,
            &[
                sample(1, 1, 1)
                    .with_item(
                        REQUEST,
                        &[
                            ("ScheduledProcedureStepID", "S1"),
                            ("RequestedProcedureID", "R1"),
                        ],
                    )
                    .with_item(
                        REQUEST,
                        &[
                            ("ScheduledProcedureStepID", "S2"),
                            ("RequestedProcedureID", "R2"),
                        ],
                    ),
                sample(2, 1, 1).with_item(REQUEST, &[("ScheduledProcedureStepID", "S2")]),
                sample(3, 1, 1).with_item("ProcedureCodeSequence", &[("CodeValue", "S2")]),
            ],
        );
        for (keys, expected) in [
            (&[("ScheduledProcedureStepID", "S2")][..], &[1, 2][..]),
            (
                &[
                    ("ScheduledProcedureStepID", "S2"),
                    ("RequestedProcedureID", "R2"),
                ],
                &[1],
            ),
            (
                &[
                    ("ScheduledProcedureStepID", "S1"),
                    ("RequestedProcedureID", "R2"),
                ],
                &[],
            ),
            (
                &[
                    ("ScheduledProcedureStepID", "S*"),
                    ("RequestedProcedureID", "?1"),
                ],
                &[1],
            ),
            (
                &[
                    ("RequestedProcedureID", "\"\""),
                    ("ScheduledProcedureStepID", "S2"),
                ],
                &[2],
            ),
        ] {
            assert_eq!(found(index, item_key(REQUEST, keys)), expected, "{keys:?}");
        }
        assert_eq!(
            found(
                index,
                item_key("ProcedureCodeSequence", &[("CodeValue", "S2")])
            ),
            [3]
        );
        let rows = find(index, Level::Series, vec![key("StudyInstanceUID", "1.1")]).rows;
        assert_eq!(rows[0].sequence_json, [(0, "[{\"items\":2}]".into())]);
    });
}

#[test]
fn a_range_of_date_and_time_is_one_interval() {
    on_every_index(|index| {
        let moments = [
            "20240101 2300",
            "20240102 0100",
            "20240102 2300",
            "20240103 0100",
            "20240103 ",
            " 0100",
        ];
        let instances: Vec<_> = (1..)
            .zip(moments)
            .map(|(n, moment)| {
                let (date, time) = moment.split_once(' ').unwrap();
                sample(n, 1, 1)
                    .with("StudyDate", date)
                    .with("StudyTime", time)
            })
            .collect();
        insert(index, &instances);
        let id = |keyword| AttributeId::of_keyword(keyword).unwrap();
        let range = |first: Option<&str>, last: Option<&str>| {
            Key::DateTimeRange(
                id("StudyDate"),
                id("StudyTime"),
                first.map(Into::into),
                last.map(Into::into),
            )
        };
        for (first, last, expected) in [
            (
                Some("20240101230000.000000"),
                Some("20240103005959.999999"),
                &[1, 2, 3, 5][..],
            ),
            (Some("20240102000000.000000"), None, &[2, 3, 4, 5]),
            (None, Some("20240102010000.000000"), &[1, 2]),
        ] {
            assert_eq!(
                found(index, range(first, last)),
                expected,
                "{first:?} {last:?}"
            );
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
        let two = Scope::Studies([uid("1.1"), uid("1.3"), uid("1.9")].into());
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
                index
                    .find(&query(level, vec![]), &Scope::Studies([].into()))
                    .unwrap(),
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
