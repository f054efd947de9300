//! The generator of `benches/growth` puts studies straight into an index: the front door makes the
//! same index of the same objects, table by table.

#![expect(clippy::unwrap_used, reason = "a test ends with its first failure")]

#[path = "../benches/growth/mix.rs"]
mod mix;
#[path = "../benches/growth/straight.rs"]
mod straight;

use std::path::Path;
use std::sync::Arc;

use overread::archive::index::Index;
use overread::archive::{
    Archive, Coercion, Declared, Door, DuplicatePolicy, IngestSettings, Origin,
    PatientConflictPolicy,
};
use overread::db::Sqlite;
use overread::dicom::{Uid, part10};
use overread::store::Memory;

const STUDIES: u64 = 2_000;

/// What differs by nature: when it came, and where its bytes lie.
const OWN: &[&str] = &["received_at_ms", "locator_file", "locator_offset"];

#[test]
fn the_front_door_makes_the_index_that_the_generator_makes() {
    let folder = tempfile::tempdir().unwrap();
    let straight = folder.path().join("straight.sqlite");
    straight::fill(&Sqlite::open(&straight, 1).unwrap(), STUDIES, |_| ()).unwrap();
    let stored = folder.path().join("stored.sqlite");
    store(Arc::new(Sqlite::open(&stored, 2).unwrap()));
    let (straight, stored) = (open(&straight), open(&stored));
    let tables = names(&straight);
    assert_eq!(tables, names(&stored));
    for table in tables.iter().filter(|table| *table != "lineage") {
        let made = contents(&straight, table);
        assert!(made == contents(&stored, table), "{table} differs");
    }
    let objects: usize = (0..STUDIES).map(|n| mix::study(n).len()).sum();
    assert_eq!(contents(&straight, "instance").len(), objects);
    // Grams lie in the index of FTS5 as it pleases; what they find is the same.
    for token in ["nsmi", "nson", "dtho", "p001"] {
        assert_eq!(found(&straight, token), found(&stored, token), "{token}");
        assert_ne!(found(&straight, token), 0, "{token}");
    }
}

/// Stores the studies as Part 10 files, one after the other, as an import does.
fn store(index: Arc<dyn Index>) {
    let settings = IngestSettings {
        duplicate: DuplicatePolicy::Quarantine,
        patient_conflict: PatientConflictPolicy::Quarantine,
        buffer_bytes_max: 64 << 10,
        free_bytes_min: 0,
        limits: straight::LIMITS,
        coercion: Coercion::default(),
        forwarding: Arc::default(),
        made_bytes_max: 0,
    };
    let (archive, _) = Archive::open(index, Arc::new(Memory::default()), settings).unwrap();
    let origin = Origin {
        door: Door::Import,
        sender: "GROWTH".into(),
        peer: "".into(),
    };
    let mut handed = Vec::new();
    for dataset in (0..STUDIES).flat_map(mix::study) {
        let header = straight::instance(&dataset, 0).unwrap().header;
        let syntax = Uid::parse("1.2.840.10008.1.2.1").unwrap();
        let mut file = part10::head(&header.sop_class_uid, &header.sop_instance_uid, &syntax);
        file.extend(dataset);
        let mut incoming = archive
            .receive_part10(origin.clone(), Declared::default())
            .unwrap();
        incoming.write(&file).unwrap();
        handed.push(incoming.hand_over().unwrap());
    }
    for one in handed {
        one.wait().unwrap();
    }
}

fn open(path: &Path) -> rusqlite::Connection {
    rusqlite::Connection::open(path).unwrap()
}

/// The tables, but for those inside FTS5.
fn names(index: &rusqlite::Connection) -> Vec<String> {
    let sql = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE '%\\_gram%' ESCAPE '\\' \
         AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name";
    let mut statement = index.prepare(sql).unwrap();
    let names = statement.query_map([], |row| row.get(0)).unwrap();
    names.collect::<Result<_, _>>().unwrap()
}

/// The rows of a table as text, without what differs by nature.
fn contents(index: &rusqlite::Connection, table: &str) -> Vec<String> {
    let sql = format!("SELECT * FROM \"{table}\" ORDER BY 1, 2");
    let mut statement = index.prepare(&sql).unwrap();
    let columns: Vec<String> = statement.column_names().map(Into::into).collect();
    let mut rows = statement.query([]).unwrap();
    let mut all = Vec::new();
    while let Some(row) = rows.next().unwrap() {
        let mut text = String::new();
        for (at, column) in columns.iter().enumerate() {
            if !OWN.contains(&column.as_str()) {
                text += &format!("{column}={:?} ", row.get_ref(at).unwrap());
            }
        }
        all.push(text);
    }
    all.sort_unstable();
    all
}

/// How many studies have a gram.
fn found(index: &rusqlite::Connection, token: &str) -> i64 {
    let sql = "SELECT count(*) FROM study_gram WHERE study_gram MATCH ?1";
    index.query_row(sql, [token], |row| row.get(0)).unwrap()
}
