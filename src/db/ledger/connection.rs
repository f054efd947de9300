//! Connections of the ledger, and failures of SQLite in its words.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags};

use crate::access::ledger::LedgerError;
use crate::db::ledger::schema;
use crate::db::pool::Pool;

/// How long one writer waits for another, in this process or beside it.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// Statements kept ready on each connection.
const STATEMENTS: usize = 64;

const COMMON: &str = "PRAGMA foreign_keys = ON; PRAGMA temp_store = MEMORY;";
const WRITER: &str =
    "PRAGMA synchronous = FULL; PRAGMA cache_size = -4096; PRAGMA journal_size_limit = 16777216;";
const READER: &str = "PRAGMA query_only = ON; PRAGMA cache_size = -1024;";

/// The write connection, of a ledger that is made or brought up to date first.
pub(super) fn create(path: &Path) -> Result<Connection, LedgerError> {
    // SQLite gives its log and its index of the log the mode of the file.
    let made = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path);
    made.map_err(|cause| LedgerError::broken("opening the ledger", cause))?;
    let writer = writer(path)?;
    schema::prepare(&writer)?;
    sync_folder(path)?;
    Ok(writer)
}

/// The write connection of a ledger that is there.
pub(super) fn writer(path: &Path) -> Result<Connection, LedgerError> {
    let writer = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    setting(&writer, WRITER)?;
    Ok(writer)
}

pub(super) fn readers(path: &Path, count: usize) -> Result<Pool, LedgerError> {
    let readers = (0..count.max(1)).map(|_| {
        let reader = connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        setting(&reader, READER)?;
        Ok(reader)
    });
    readers.collect::<Result<_, _>>().map(Pool::new)
}

fn connect(path: &Path, access: OpenFlags) -> Result<Connection, LedgerError> {
    // A connection is never used by two threads at once: SQLite need not lock it.
    let connection = Connection::open_with_flags(path, access | OpenFlags::SQLITE_OPEN_NO_MUTEX)
        .map_err(error)?;
    connection.busy_timeout(BUSY_TIMEOUT).map_err(error)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    setting(&connection, COMMON)?;
    Ok(connection)
}

fn setting(connection: &Connection, pragmas: &str) -> Result<(), LedgerError> {
    connection.execute_batch(pragmas).map_err(error)
}

/// The file's own directory entry: SQLite syncs what it writes, not where it began.
fn sync_folder(path: &Path) -> Result<(), LedgerError> {
    let folder = path
        .parent()
        .filter(|p| !p.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let folder = std::fs::File::open(folder).and_then(|f| f.sync_all());
    folder.map_err(|cause| LedgerError::broken("syncing the folder of the ledger", cause))
}

/// A failure of SQLite in our words. Its texts name tables and columns, never values.
pub(in crate::db) fn error(cause: rusqlite::Error) -> LedgerError {
    match cause.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => LedgerError::Full,
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            LedgerError::Busy("the ledger is in use")
        }
        _ => LedgerError::broken("ledger", cause),
    }
}
