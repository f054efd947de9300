//! Plans of searches, and that rows come in order.

use dicom_core::VR;

use super::*;
use crate::db::order::Standing;
use crate::db::sqlite::keys::{Keys, LEVELS};
use crate::db::sqlite::schema;
use crate::db::sqlite::walk::OF_STUDY;
use crate::dicom::query::{Order, OrderBy};
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
        "study_name",
        "m",
        "n",
    ];
    step.strip_prefix("SCAN ")
        .is_some_and(|rest| tables.contains(&rest.split(' ').next().unwrap_or_default()))
}

fn empty() -> Connection {
    let connection = Connection::open_in_memory().unwrap();
    schema::prepare(&connection).unwrap();
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
                    order: Order::NEWEST,
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
        let mut source = Source::new(from, OF_STUDY.newest_first, vec![]);
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

/// The sources of a walk that needs no list, with the keys that each satisfies.
fn sure(
    connection: &Connection,
    query: &Query,
    after: Option<Standing>,
) -> Vec<(Source, Vec<usize>)> {
    let order = &query.order;
    let line = Line { order, after };
    let near = near(connection, &Bounds::DEFAULT, query, &Scope::All, &line).unwrap();
    let Near::Sure(Way {
        mut course,
        satisfied,
    }) = near
    else {
        panic!("the walk is sure");
    };
    std::iter::from_fn(|| course.next(connection).unwrap())
        .map(|source| (source, satisfied.clone()))
        .collect()
}

#[test]
fn every_order_is_walked_by_an_index() {
    let connection = empty();
    let studies = "INSERT INTO patient (id, identity, received_at_ms) VALUES (1, 'p', 0);
        INSERT INTO study (id, patient, sort_date, sort_time, received_at_ms, version, patient_id, study_instance_uid)
        VALUES (1, 1, '20240101', '', 0, 1, 'P1', '1.1'), (2, 1, '20240102', '', 0, 2, 'P2', '1.2');
        INSERT INTO study_name VALUES ('doe', '20240101', '', 1), ('lee', '20240102', '', 2)";
    connection.execute_batch(studies).unwrap();
    let after = || Standing {
        sort_name: "doe".into(),
        patient_id: Some("P1".into()),
        sort_date: "20240101".into(),
        sort_time: String::new(),
        id: 1,
    };
    let by_name = "SEARCH n USING PRIMARY KEY (sort_name=?)";
    let by_name_after = "SEARCH n USING PRIMARY KEY (sort_name=? AND (sort_date,sort_time";
    let by_id = "USING COVERING INDEX study_by_patient_id (patient_id=?)";
    let by_id_after =
        "USING COVERING INDEX study_by_patient_id (patient_id=? AND (sort_date,sort_time";
    for (by, is_descending, is_after, wanted) in [
        (
            OrderBy::StudyDate,
            true,
            true,
            &["study_by_study_date ((sort_date,sort_time"][..],
        ),
        (
            OrderBy::StudyDate,
            false,
            false,
            &[
                "study_by_study_date (sort_date>?)",
                "study_by_study_date (sort_date=?)",
            ],
        ),
        (
            OrderBy::StudyDate,
            false,
            true,
            &[
                "study_by_study_date ((sort_date,sort_time",
                "study_by_study_date (sort_date=?)",
            ],
        ),
        (OrderBy::PatientName, false, false, &[by_name; 3]),
        (OrderBy::PatientName, true, false, &[by_name; 3]),
        (
            OrderBy::PatientName,
            false,
            true,
            &[by_name_after, by_name, by_name],
        ),
        (OrderBy::PatientName, true, true, &[by_name_after, by_name]),
        (OrderBy::PatientId, false, false, &[by_id; 4]),
        (OrderBy::PatientId, true, true, &[by_id_after, by_id, by_id]),
        // The rows of the table lie as they came.
        (OrderBy::Arrival, true, false, &["SCAN study"]),
        (
            OrderBy::Arrival,
            false,
            true,
            &["USING INTEGER PRIMARY KEY (rowid>?)"],
        ),
    ] {
        let order = Order {
            by,
            is_descending,
            after: None,
        };
        let query = Query {
            level: Level::Study,
            keys: Vec::new(),
            limit: 50,
            offset: 0,
            order,
        };
        let sources = sure(&connection, &query, is_after.then(after));
        let found: Vec<_> = sources
            .iter()
            .flat_map(|(source, _)| steps(&connection, &source.sql(Level::Study, "", "")))
            .collect();
        assert_eq!(found.len(), wanted.len(), "{:?}: {found:?}", query.order);
        for (step, wanted) in found.iter().zip(wanted) {
            assert!(step.contains(wanted), "{:?}: {found:?}", query.order);
        }
    }
    // The next group is found by going down the index once.
    for (values, column, index) in [
        ("study_name n", "n.sort_name", "PRIMARY KEY (sort_name"),
        (
            "study INDEXED BY study_by_patient_id",
            "study.patient_id",
            "study_by_patient_id (patient_id",
        ),
    ] {
        for (behind, way, range) in [
            (format!("{column} > ?"), "", ">?)"),
            (format!("{column} >= ?"), "", ">?)"),
            (format!("{column} >= ? AND {column} < ?"), "DESC", ">? AND "),
        ] {
            let sql = format!(
                "SELECT {column} FROM {values} WHERE {behind} ORDER BY {column} {way} LIMIT 1"
            );
            let steps = steps(&connection, &sql);
            assert!(
                steps[0].contains(index) && steps[0].contains(range),
                "{steps:?}"
            );
            assert_eq!(steps.len(), 1, "{steps:?}");
        }
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
            order: Order::NEWEST,
        };
        let (source, satisfied) = sure(&connection, &query, None).swap_remove(0);
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
            order: Order::NEWEST,
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
