//! Which studies each kind of key finds. What matches is the business of `dicom::query`; here it is
//! that the index finds them all, by whatever drives it.

use crate::archive::Index;
use crate::archive::index::{NewInstance, Remaining};
use crate::db::contract::on_every_index;
use crate::db::contract::sample::{
    CT_IMAGE, SR, SYNTAX, find, insert, item_key, key, names, remove, sample, uid,
};
use crate::dicom::query::{Key, Matching};
use crate::dicom::{AttributeId, Level};

const REQUEST: &str = "RequestAttributesSequence";

/// Studies of one instance each that differ in one attribute.
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
            let matching = Matching::parse(dicom_core::VR::CS, text, SYNTAX).unwrap();
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
fn a_sequence_with_links_into_bulk_data_is_kept_as_it_is() {
    const CODE: &str = "ProcedureCodeSequence";
    on_every_index(|index| {
        let mut new = sample(1, 1, 1)
            .with_item(CODE, &[("CodeValue", "C1")])
            .with_item(REQUEST, &[("RequestedProcedureID", "R1")]);
        // The mark of the base is a control character, which no JSON string may have.
        let linked =
            "[{\"00091001\":{\"vr\":\"OB\",\"BulkDataURI\":\"\u{1}/studies/1.1/bulkdata\"}}]";
        for (_, json) in &mut new.header.sequence_json {
            *json = linked.into();
        }
        new.header.sequence_json.sort_unstable();
        insert(index, std::slice::from_ref(&new));
        let rows = find(index, Level::Series, vec![]).rows;
        assert_eq!(rows[0].sequence_json, new.header.sequence_json);
        assert_eq!(remove(index, "1.1.1.1"), Some(new));
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
