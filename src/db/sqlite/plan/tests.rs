//! Plans of searches, and that rows come in order.

use super::*;
use crate::db::sqlite::keys::LEVELS;
use crate::dicom::{ATTRIBUTES, AttributeId};

/// The steps of a statement's plan.
fn steps(connection: &Connection, sql: &str) -> Vec<String> {
    let mut statement = connection
        .prepare(&format!("EXPLAIN QUERY PLAN {sql}"))
        .unwrap();
    let nulls = vec![Value::Null; statement.parameter_count()];
    let rows = statement
        .query_map(params_from_iter(nulls), |row| row.get(3))
        .unwrap();
    rows.collect::<Result<_, _>>().unwrap()
}

fn reads_through(step: &str) -> bool {
    let tables = [
        "patient",
        "study",
        "series",
        "instance",
        "search_value",
        "sequence_value",
        "study_modality",
        "study_sop_class",
        "m",
    ];
    step.strip_prefix("SCAN ")
        .is_some_and(|rest| tables.contains(&rest.split(' ').next().unwrap_or_default()))
}

fn empty() -> Connection {
    let connection = Connection::open_in_memory().unwrap();
    connection
        .execute_batch(include_str!("../../migrations/sqlite/0006_index.sql"))
        .unwrap();
    connection
        .execute_batch(include_str!("../../migrations/sqlite/0007_walk.sql"))
        .unwrap();
    connection
}

#[test]
fn every_indexed_attribute_drives_a_search_by_an_index() {
    let connection = empty();
    for id in (0..ATTRIBUTES.len())
        .filter_map(|i| u8::try_from(i).ok())
        .map(AttributeId)
    {
        let attribute = id.attribute();
        let mut matchings = vec![Matching::Single("1".into()), Matching::Empty];
        match attribute.vr {
            VR::DA | VR::TM => matchings.push(Matching::Range(Some("1".into()), None)),
            VR::UI => {
                matchings = vec![
                    Matching::Single("1".into()),
                    Matching::List(vec!["1".into(), "2".into()]),
                ]
            }
            VR::PN => matchings.extend([
                Matching::Wildcard("a*".into()),
                Matching::Sounds(vec!["MR".into(), "AN".into()]),
            ]),
            _ => matchings.extend([
                Matching::Wildcard("a*".into()),
                Matching::All(vec!["a".into(), "b".into()]),
            ]),
        }
        for level in LEVELS.into_iter().filter(|level| *level >= attribute.level) {
            for matching in &matchings {
                let keys = vec![Key::Attribute(id, matching.clone())];
                let query = Query {
                    level,
                    keys,
                    limit: 1,
                    offset: 0,
                };
                let found = candidates(&Bounds::DEFAULT, &query, &Scope::All);
                assert_eq!(
                    found.is_empty(),
                    !attribute.is_indexed,
                    "{} {matching:?}",
                    attribute.keyword
                );
                for candidate in found {
                    let steps = steps(&connection, &candidate.sql);
                    assert!(
                        !steps.iter().any(|s| reads_through(s)),
                        "{}: {steps:?}",
                        attribute.keyword
                    );
                }
            }
        }
    }
}

#[test]
fn a_deep_page_begins_in_its_month() {
    let connection = empty();
    let months = "INSERT INTO study_month VALUES ('', 3), ('202401', 10), ('202402', 10)";
    connection.execute_batch(months).unwrap();
    let from = "FROM study INDEXED BY study_by_study_date WHERE true";
    for (offset, left, last) in [
        (0, 0, "20240299"),
        (9, 9, "20240299"),
        (10, 0, "20240199"),
        (22, 2, ""),
    ] {
        let mut source = Source::new(from, STUDY_ORDER, vec![]);
        assert_eq!(source.begin_at(&connection, offset).unwrap(), left);
        assert_eq!(source.values, [Value::Text(last.into())]);
        let steps = steps(&connection, &source.sql(Level::Study, "", ""));
        assert!(
            steps[0].contains("COVERING INDEX study_by_study_date (sort_date<?)"),
            "{steps:?}"
        );
        assert_eq!(steps.len(), 1, "{steps:?}");
    }
}

#[test]
fn rows_come_in_order_without_a_sort() {
    let connection = empty();
    let key = |keyword: &str, matching| {
        Key::Attribute(AttributeId::of_keyword(keyword).unwrap(), matching)
    };
    let single = || Matching::Single("20240101".into());
    let days = || Matching::Range(Some("20240101".into()), Some("20240131".into()));
    for (keys, index) in [
        (vec![], "study_by_study_date"),
        (
            vec![key("StudyDate", single())],
            "study_by_study_date (sort_date=?)",
        ),
        (
            vec![key("StudyDate", days())],
            "study_by_study_date (sort_date>? AND sort_date<?)",
        ),
        (
            vec![key("PatientID", single())],
            "study_by_patient_id (patient_id=?)",
        ),
        (
            vec![key("AccessionNumber", single()), key("StudyDate", days())],
            "study_by_accession_number (accession_number=? AND sort_date>? AND sort_date<?)",
        ),
        (
            vec![Key::ModalitiesInStudy(single())],
            "SEARCH m USING PRIMARY KEY (modality=?)",
        ),
        (
            vec![Key::ModalitiesInStudy(single()), key("StudyDate", days())],
            "SEARCH m USING PRIMARY KEY (modality=? AND sort_date>? AND sort_date<?)",
        ),
    ] {
        let query = Query {
            level: Level::Study,
            keys,
            limit: 1,
            offset: 0,
        };
        let near = near(&connection, &Bounds::DEFAULT, &query, &Scope::All).unwrap();
        let Near::Sure(Way { source, satisfied }) = near else {
            panic!("the walk is sure");
        };
        assert_eq!(satisfied.len(), query.keys.len());
        let keys = Keys::new(&query, &Scope::All, &satisfied);
        let steps = steps(
            &connection,
            &source.sql(Level::Study, "", &keys.columns(Level::Study)),
        );
        assert!(steps[0].contains(index), "{steps:?}");
        assert!(!steps.iter().any(|s| s.contains("B-TREE")), "{steps:?}");
    }
    for (level, uid) in [
        (Level::Study, ""),
        (Level::Series, ""),
        (Level::Instance, ""),
        (Level::Series, "SeriesInstanceUID"),
        (Level::Instance, "SOPInstanceUID"),
    ] {
        let keys = if uid.is_empty() {
            vec![]
        } else {
            vec![key(uid, single())]
        };
        let query = Query {
            level,
            keys,
            limit: 1,
            offset: 0,
        };
        let keys = Keys::new(&query, &Scope::All, &[]);
        let source = Source::below(level, 1, &keys);
        let steps = steps(&connection, &source.sql(level, "", &keys.columns(level)));
        assert!(!steps.iter().any(|s| reads_through(s)), "{steps:?}");
        // A list of UIDs brings a handful of rows in its own order.
        assert!(
            !uid.is_empty() || !steps.iter().any(|s| s.contains("B-TREE")),
            "{steps:?}"
        );
    }
}
