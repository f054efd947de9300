//! The versions of the schema. A file says what it is (`application_id`) and which version
//! (`user_version`); each migration takes it one version up, in one transaction. What a newer
//! program made is refused before anything is written.

use rusqlite::Connection;

use crate::archive::Error;
use crate::db::sqlite::connection::error;

/// "OvRd".
const APPLICATION_ID: i64 = 0x4f76_5264;

/// The migrations: number n takes version n-1 to n.
const MIGRATIONS: &[&str] = &[include_str!("../migrations/sqlite/0001_index.sql")];

/// Brings a database to the newest version and makes it a write-ahead-log one.
pub(super) fn prepare(connection: &Connection) -> Result<(), Error> {
    let version = version(connection)?;
    if version == 0 {
        connection
            .execute_batch("PRAGMA page_size = 8192; PRAGMA journal_mode = WAL;")
            .map_err(error)?;
    }
    for (number, migration) in (1..).zip(MIGRATIONS) {
        if number > version {
            let step = format!(
                "BEGIN IMMEDIATE; {migration}; PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {number}; COMMIT;"
            );
            if let Err(cause) = connection.execute_batch(&step) {
                // The transaction may or may not have begun; either way it must not stay open.
                connection.execute_batch("ROLLBACK").ok();
                return Err(error(cause));
            }
        }
    }
    Ok(())
}

/// Whether this program can read the database as it is.
pub(super) fn check_readable(connection: &Connection) -> Result<(), Error> {
    if version(connection)? == MIGRATIONS.len() {
        Ok(())
    } else {
        Err(Error::broken(
            "opening the index",
            "made by an older overread; start the server once to bring it up to date",
        ))
    }
}

/// The version of the database, 0 when it is empty.
fn version(connection: &Connection) -> Result<usize, Error> {
    let pragma = |name: &str| {
        connection
            .pragma_query_value(None, name, |row| row.get::<_, i64>(0))
            .map_err(error)
    };
    let (application, version) = (pragma("application_id")?, pragma("user_version")?);
    // A process killed in its first moments leaves a file with a header and nothing in it.
    let is_empty = || {
        let tables = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| {
            row.get::<_, i64>(0)
        });
        Ok::<_, Error>(application == 0 && version == 0 && tables.map_err(error)? == 0)
    };
    if application != APPLICATION_ID && !is_empty()? {
        return Err(Error::broken(
            "opening the index",
            "the file is not an index of overread",
        ));
    }
    match usize::try_from(version) {
        Ok(version) if version <= MIGRATIONS.len() => Ok(version),
        _ => Err(Error::broken(
            "opening the index",
            "made by a newer overread",
        )),
    }
}
