//! Connections: one that writes, behind a lock, and a few that read, handed out in turn. Readers see
//! the last commit and wait for the writer only to commit what it kept (write-ahead log; [`super::writer`]).

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use crate::archive::Error;
use crate::db::pool::Pool;
use crate::db::sqlite::fold::{Folder, KEPT_FOR};
use crate::db::sqlite::packing::Packing;
use crate::db::sqlite::schema;
use crate::db::sqlite::writer::Writer;

/// Statements kept ready on each connection.
const STATEMENTS: usize = 128;

/// What every connection needs. Temporary sorts stay in memory: they are small (see `plan`).
const COMMON: &str = "PRAGMA foreign_keys = ON; PRAGMA temp_store = MEMORY;";

/// The writer. Whether the log is synced at a commit is said when a transaction begins ([`super::write`]).
const WRITER: &str =
    "PRAGMA synchronous = FULL; PRAGMA cache_size = -65536; PRAGMA wal_autocheckpoint = 4000;
    PRAGMA journal_size_limit = 134217728; PRAGMA mmap_size = 8589934592;";

/// A reader. It keeps the upper pages of every index it goes down by, and asks the system for the
/// others: mapped into memory, a large index would soon be resident as a whole (2 GB after some
/// thousand searches among 1,000,000 studies), for a tenth of the time of a search.
const READER: &str = "PRAGMA query_only = ON; PRAGMA cache_size = -8192;";

/// Readers for what takes one row by its UIDs, or a few: such a call waits for others like it, never
/// for a search at large, so that it may be made where nothing slow may be.
const LOOKUPS: usize = 4;
const LOOKUP: &str = "PRAGMA query_only = ON; PRAGMA cache_size = -4096;";

/// Fields drop in this order: the writer closes last, because only it can end the log.
pub(super) struct Connections {
    readers: Pool,
    lookups: Pool,
    /// There with the writer of the owner.
    folder: Option<Folder>,
    /// Whether the writer keeps what it has not committed.
    has_kept: Arc<AtomicBool>,
    /// `None` when opened for reading only.
    writer: Option<Arc<Mutex<Writer>>>,
}

impl Connections {
    pub(super) fn open(path: &Path, readers: usize, packing: Arc<Packing>) -> Result<Self, Error> {
        let mut writer = connect(
            path,
            OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE,
        )?;
        schema::prepare(&writer)?;
        sync_folder(path)?;
        setting(&writer, WRITER)?;
        let signal = Folder::watch(&mut writer)?;
        let has_kept = Arc::<AtomicBool>::default();
        let told = signal.clone();
        let told = Box::new(move || told.kept());
        let writer = Writer::new(writer, packing, has_kept.clone(), told);
        let writer = Arc::new(Mutex::new(writer));
        Ok(Self {
            folder: Some(Folder::start(path, signal, writer.clone())?),
            writer: Some(writer),
            has_kept,
            readers: readers_of(path, readers, READER)?,
            lookups: readers_of(path, LOOKUPS, LOOKUP)?,
        })
    }

    pub(super) fn open_read_only(path: &Path) -> Result<Self, Error> {
        schema::check_readable(&reader(path, LOOKUP)?)?;
        await_kept(path);
        Ok(Self {
            writer: None,
            has_kept: Arc::default(),
            readers: readers_of(path, 1, READER)?,
            lookups: readers_of(path, 1, LOOKUP)?,
            folder: None,
        })
    }

    pub(super) fn open_beside(path: &Path, packing: Arc<Packing>) -> Result<Self, Error> {
        let mut beside = Self::open_read_only(path)?;
        let writer = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        schema::check_readable(&writer)?;
        setting(&writer, WRITER)?;
        let writer = Writer::new(writer, packing, beside.has_kept.clone(), Box::new(|| ()));
        beside.writer = Some(Arc::new(Mutex::new(writer)));
        Ok(beside)
    }

    /// The write connection; waits until it is free.
    pub(super) fn writer(&self) -> Result<MutexGuard<'_, Writer>, Error> {
        let writer = self
            .writer
            .as_ref()
            .ok_or_else(|| Error::broken("writing", "the index is open for reading only"))?;
        // A panic while it was held left an open transaction at most, and begin() undoes that.
        Ok(writer.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn has_kept(&self) -> bool {
        self.has_kept.load(Ordering::Acquire)
    }

    /// Commits what the writer kept, so that a reader sees it.
    pub(super) fn settle(&self) -> Result<(), Error> {
        if self.has_kept() {
            self.writer()?.settle()?;
        }
        Ok(())
    }

    /// Runs `work` on a reader, all of it on one state of the database; waits until one is free.
    pub(super) fn read<T>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.settle()?;
        self.read_committed(work)
    }

    /// The same, without what the writer has kept and not committed.
    pub(super) fn read_committed<T>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.readers.lend(|connection| {
            let snapshot = Snapshot::begin(connection)?;
            work(snapshot.0)
        })
    }

    /// Runs `work`, which reads a few rows, all of it on one state of the database, without what the
    /// writer has kept; waits for others like it, and for those that read a row by its UIDs.
    pub(super) fn glance<T>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.lookups.lend(|connection| {
            let snapshot = Snapshot::begin(connection)?;
            work(snapshot.0)
        })
    }

    /// Runs `work`, one statement that reads a row by its UIDs, likewise.
    pub(super) fn look_up<T>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.lookups.lend(work)
    }
}

impl Drop for Connections {
    fn drop(&mut self) {
        // Ends before the writer, and lets go of it.
        self.folder = None;
        if let Err(failure) = self.settle() {
            tracing::warn!(error = %failure, "the last instances get their rows at the next start");
        }
    }
}

/// A read transaction. Its statements are kept ready, which those of `Connection::transaction` are not.
struct Snapshot<'a>(&'a Connection);

impl<'a> Snapshot<'a> {
    fn begin(connection: &'a Connection) -> Result<Self, Error> {
        let begin = |sql| connection.prepare_cached(sql)?.execute([]);
        begin("BEGIN").map_err(error)?;
        Ok(Self(connection))
    }
}

impl Drop for Snapshot<'_> {
    fn drop(&mut self) {
        let end = |sql| self.0.prepare_cached(sql)?.execute([]);
        // Nothing was written. Should it fail, the next BEGIN says so.
        let _ = end("ROLLBACK");
    }
}

fn readers_of(path: &Path, count: usize, settings: &str) -> Result<Pool, Error> {
    let readers = (0..count.max(1)).map(|_| reader(path, settings));
    readers.collect::<Result<_, _>>().map(Pool::new)
}

fn reader(path: &Path, settings: &str) -> Result<Connection, Error> {
    let reader = connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    setting(&reader, settings)?;
    Ok(reader)
}

/// Waits until another process has committed what it keeps ([`super::writer`]), so that what it has told as
/// stored is seen here. Nothing is kept longer than so; that the writer is free, or cannot be asked, is
/// known sooner.
fn await_kept(path: &Path) {
    let asked = || {
        let writer = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        // Who only looks changes nothing, not even where the log lies.
        writer.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        writer.busy_timeout(2 * KEPT_FOR)?;
        writer.execute_batch("BEGIN IMMEDIATE; ROLLBACK")
    };
    // Where nothing can be written, nothing is kept; a writer that is busy is so with what came later.
    let _: rusqlite::Result<()> = asked();
}

/// A connection that only folds the log in.
pub(super) fn folding(path: &Path) -> Result<Connection, Error> {
    let folding = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    setting(
        &folding,
        "PRAGMA synchronous = NORMAL; PRAGMA cache_size = -1024;",
    )?;
    Ok(folding)
}

fn connect(path: &Path, access: OpenFlags) -> Result<Connection, Error> {
    // A connection is never used by two threads at once: SQLite need not lock it.
    let connection = Connection::open_with_flags(path, access | OpenFlags::SQLITE_OPEN_NO_MUTEX)
        .map_err(error)?;
    connection
        .busy_timeout(std::time::Duration::from_secs(10))
        .map_err(error)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    // Plans do not depend on values (INDEXED BY says them): without this a statement is prepared
    // anew whenever a LIMIT or another bound value is not that of the last time.
    connection
        .set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)
        .map_err(error)?;
    setting(&connection, COMMON)?;
    Ok(connection)
}

fn setting(connection: &Connection, pragmas: &str) -> Result<(), Error> {
    connection.execute_batch(pragmas).map_err(error)
}

/// The database file's own directory entry: SQLite syncs what it writes, not where it began.
fn sync_folder(path: &Path) -> Result<(), Error> {
    let folder = path
        .parent()
        .filter(|p| !p.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let folder = std::fs::File::open(folder).and_then(|f| f.sync_all());
    folder.map_err(|e| Error::broken("syncing the folder of the index", e))
}

/// A failure of SQLite in our words. Its texts name tables and columns; those of FTS5 may quote what
/// was searched for, and are left out.
pub(super) fn error(cause: rusqlite::Error) -> Error {
    match cause.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => Error::Full,
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            Error::Busy("the index is in use")
        }
        _ => match cause {
            rusqlite::Error::SqliteFailure(code, Some(text)) if text.starts_with("fts5") => {
                Error::broken("index", code)
            }
            cause => Error::broken("index", cause),
        },
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;
    use crate::access::Scope;
    use crate::archive::Index;
    use crate::archive::index::Target;
    use crate::db::Sqlite;
    use crate::db::contract::sample::{find, insert, remove, sample, uid};
    use crate::dicom::Level;

    #[test]
    fn a_commit_is_synced_and_readers_cannot_write() {
        let folder = tempfile::tempdir().unwrap();
        let connections =
            Connections::open(&folder.path().join("index.sqlite"), 1, Arc::default()).unwrap();
        let number = |connection: &Connection, name: &str| {
            connection
                .pragma_query_value(None, name, |row| row.get::<_, i64>(0))
                .unwrap()
        };
        let writer = connections.writer().unwrap();
        let mode: String = writer
            .pragma_query_value(None, "journal_mode", |row| row.get(0))
            .unwrap();
        assert_eq!(
            (
                mode.as_str(),
                number(&writer, "synchronous"),
                number(&writer, "page_size")
            ),
            ("wal", 2, 4096)
        );
        assert_eq!(number(&writer, "foreign_keys"), 1);
        drop(writer);
        connections
            .read(|reader| {
                assert!(reader.execute_batch("DELETE FROM counters").is_err());
                Ok(())
            })
            .unwrap();
    }

    #[test]
    fn readers_see_whole_transactions_while_one_writes() {
        let folder = tempfile::tempdir().unwrap();
        let index = Sqlite::open(&folder.path().join("index.sqlite"), 2).unwrap();
        let is_done = AtomicBool::new(false);
        std::thread::scope(|threads| {
            for _ in 0..2 {
                threads.spawn(|| {
                    while !is_done.load(Ordering::Relaxed) {
                        // Each transaction adds or removes a study of three instances in two series.
                        for row in find(&index, Level::Study, vec![]).rows {
                            assert_eq!((row.series_of_study, row.instances_of_study), (2, 3));
                            assert_eq!(row.modalities_in_study.len(), 2);
                        }
                        let found = index
                            .locate(&Target::Study(uid("1.1")), &Scope::All, None, 10)
                            .unwrap();
                        assert!(found.is_empty() || found.len() == 3);
                        let totals = index.totals().unwrap();
                        assert_eq!(totals.instances, totals.studies * 3);
                    }
                });
            }
            for _ in 0..40 {
                let study = [
                    sample(1, 1, 1),
                    sample(1, 1, 2),
                    sample(1, 2, 1).with("Modality", "MR"),
                ];
                insert(&index, &study);
                let mut transaction = index.begin().unwrap();
                for new in &study {
                    transaction.remove(&new.header.sop_instance_uid).unwrap();
                }
                transaction.commit().unwrap();
            }
            is_done.store(true, Ordering::Relaxed);
        });
        assert!(remove(&index, "1.1.1.1").is_none());
    }

    #[test]
    fn a_panic_in_a_transaction_does_not_stop_the_next() {
        let folder = tempfile::tempdir().unwrap();
        let index = Sqlite::open(&folder.path().join("index.sqlite"), 1).unwrap();
        let panicked = std::thread::scope(|threads| {
            let broken = threads.spawn(|| {
                let mut transaction = index.begin().unwrap();
                transaction.insert(&sample(1, 1, 1)).unwrap();
                panic!("on purpose");
            });
            broken.join().is_err()
        });
        assert!(panicked);
        insert(&index, &[sample(1, 1, 2)]);
        assert_eq!(index.totals().unwrap().instances, 1);
    }
}
