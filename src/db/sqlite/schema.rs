//! The versions of the index's schema.

use rusqlite::Connection;
use rusqlite::functions::FunctionFlags;

use crate::archive::Error;
use crate::db::rules::sort_name;
use crate::db::sqlite::connection::error;
use crate::db::versions::{Flaw, Versions};

const VERSIONS: Versions = Versions {
    what: "an index",
    // "OvRd".
    application_id: 0x4f76_5264,
    first: 6,
    migrations: &[
        include_str!("../migrations/sqlite/0006_index.sql"),
        include_str!("../migrations/sqlite/0007_walk.sql"),
        include_str!("../migrations/sqlite/0008_study_name.sql"),
    ],
    // A commit writes every page that it touches: small ones, for UIDs lie anywhere.
    pragmas: "PRAGMA page_size = 4096; PRAGMA journal_mode = WAL;",
};

/// Brings a database to the newest version and makes it a write-ahead-log one.
pub(super) fn prepare(connection: &Connection) -> Result<(), Error> {
    // What migrations call; no table, index or trigger does.
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC;
    let function = connection.create_scalar_function("sort_name", 1, flags, |given| {
        Ok(sort_name(given.get::<Option<String>>(0)?.as_deref()))
    });
    function.map_err(error)?;
    VERSIONS.prepare(connection).map_err(unusable)
}

/// Whether this program can read the database as it is.
pub(super) fn check_readable(connection: &Connection) -> Result<(), Error> {
    VERSIONS.check_current(connection).map_err(unusable)
}

fn unusable(flaw: Flaw) -> Error {
    match flaw {
        Flaw::Sql(cause) => error(cause),
        Flaw::Unusable(why) => Error::broken("opening the index", why),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use rusqlite::Connection;

    use super::*;
    use crate::archive::Index;
    use crate::archive::index::Totals;
    use crate::db::Sqlite;
    use crate::db::sqlite::rows::table;
    use crate::dicom::Level;

    fn columns(connection: &Connection, table: &str) -> Vec<String> {
        let mut statement = connection
            .prepare("SELECT name FROM pragma_table_info(?1)")
            .unwrap();
        let names = statement.query_map([table], |row| row.get(0)).unwrap();
        names.collect::<Result<_, _>>().unwrap()
    }

    fn open(path: &Path) -> Result<Sqlite, String> {
        Sqlite::open(path, 1).map_err(|error| error.to_string())
    }

    #[test]
    fn every_attribute_has_its_column_and_every_indexed_one_its_index() {
        let connection = Connection::open_in_memory().unwrap();
        prepare(&connection).unwrap();
        for level in [Level::Patient, Level::Study, Level::Series, Level::Instance] {
            let table = table(level);
            let columns = columns(&connection, table.name);
            for attribute in table.attributes.iter().map(|id| id.attribute()) {
                assert!(
                    columns.iter().any(|c| c == attribute.column),
                    "{}.{}",
                    table.name,
                    attribute.column
                );
            }
        }
    }

    #[test]
    fn an_index_is_there_again_when_opened_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("index.sqlite");
        open(&path).unwrap();
        let again = open(&path).unwrap();
        assert_eq!(again.totals().unwrap(), Totals::default());
        // Beside the one that writes.
        let reader = Sqlite::open_read_only(&path).unwrap();
        assert_eq!(reader.totals().unwrap(), Totals::default());
        assert!(reader.begin().is_err());
    }

    #[test]
    fn an_older_index_is_brought_up_to_date() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("index.sqlite");
        let connection = Connection::open(&path).unwrap();
        let first = Versions {
            migrations: &VERSIONS.migrations[..1],
            ..VERSIONS
        };
        first.prepare(&connection).unwrap();
        let studies = "INSERT INTO patient (id, identity, received_at_ms) VALUES (1, 'p', 0);
            INSERT INTO study (id, patient, sort_date, sort_time, received_at_ms, version, patient_name, study_instance_uid)
            VALUES (1, 1, '20240101', '', 0, 1, 'M\u{fc}ller^J', '1.1'), (2, 1, '', '', 0, 2, NULL, '1.2')";
        connection.execute_batch(studies).unwrap();
        drop(connection);
        let refusal = Sqlite::open_read_only(&path).err().expect("refused");
        assert!(refusal.to_string().contains("made by an older overread"));
        let index = open(&path).unwrap();
        assert_eq!(index.totals().unwrap(), Totals::default());
        drop(index);
        let connection = Connection::open(&path).unwrap();
        assert_eq!(VERSIONS.of(&connection).unwrap(), VERSIONS.newest());
        let mut walk = connection
            .prepare("SELECT name FROM pragma_index_info('study_by_study_date')")
            .unwrap();
        let columns = walk.query_map([], |row| row.get::<_, String>(0)).unwrap();
        let columns: Vec<_> = columns.collect::<Result<_, _>>().unwrap();
        assert_eq!(columns, ["sort_date", "sort_time", "id", "patient_name"]);
        let mut names = connection
            .prepare("SELECT sort_name, sort_date, study FROM study_name")
            .unwrap();
        let names = names.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)));
        let names: Vec<(String, String, i64)> = names.unwrap().map(Result::unwrap).collect();
        let named = |name: &str, date: &str, study| (name.to_owned(), date.to_owned(), study);
        assert_eq!(
            names,
            [named("", "", 2), named("muller\u{1}j", "20240101", 1)]
        );
    }

    #[test]
    fn what_is_not_ours_or_newer_is_refused_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        for (name, sql, text) in [
            (
                "newer",
                "PRAGMA user_version = 1000",
                "made by a newer overread",
            ),
            (
                "older",
                "PRAGMA user_version = 5",
                "from before the first release",
            ),
            (
                "other",
                "PRAGMA application_id = 7",
                "not an index of overread",
            ),
        ] {
            let path = folder.path().join(name);
            drop(open(&path).unwrap());
            Connection::open(&path).unwrap().execute_batch(sql).unwrap();
            let before = std::fs::read(&path).unwrap();
            let refusal = open(&path).err().expect("refused");
            assert!(refusal.contains(text), "{refusal}");
            let refusal = Sqlite::open_read_only(&path)
                .err()
                .expect("refused")
                .to_string();
            assert!(refusal.contains(text), "{refusal}");
            assert_eq!(std::fs::read(&path).unwrap(), before);
        }
        let path = folder.path().join("text");
        std::fs::write(&path, "no database at all, but long enough to be looked at").unwrap();
        assert!(open(&path).is_err());
        assert!(Sqlite::open_read_only(&folder.path().join("absent")).is_err());
        // A process killed before its first migration.
        let path = folder.path().join("young");
        Connection::open(&path)
            .unwrap()
            .execute_batch("PRAGMA page_size = 8192; PRAGMA journal_mode = WAL")
            .unwrap();
        assert!(open(&path).is_ok());
    }
}
