//! The ledger: accounts, sessions, tokens, the audit trail, and what people say of studies, in one SQLite
//! file of its own beside the index. The index can be made again from the blobs, and its last commits may be
//! soft; this is the only copy, so every commit is synced (`synchronous=FULL`).
//!
//! [`Ledger::write`] is the only way to change it: the change and its [`AuditRecord`] are one transaction, which
//! takes the write lock of the file at its beginning. So the server and a command beside it wait for each other,
//! and the audit chain has one order whoever writes. Each deed's tables and statements have a file of their own here.

mod access;
mod audit;
mod audit_search;
mod cases;
mod connection;
mod grant;
mod inbox;
mod notices;
mod schema;
mod worklist;

use std::ops::Deref;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rusqlite::Connection;

use crate::access::audit::AuditRecord;
use crate::access::ledger::LedgerError;
use crate::db::pool::Pool;
use connection::error;

/// Connections that know who comes in.
const ENTRIES: usize = 2;

/// The ledger in SQLite.
pub struct Ledger {
    readers: Pool,
    /// For who comes in: each request asks who it is of, and must not wait until somebody's search has ended.
    entries: Pool,
    /// What they may see of cases.
    views: cases::Views,
    /// Cases that were read last.
    at_hand: cases::AtHand,
    /// `None` when opened for reading only. Last, because only it can end the log.
    writer: Option<Mutex<Connection>>,
}

/// A transaction that writes; undone unless [`Ledger::write`] commits it. Statements are prepared on the
/// connection that it stands for.
pub(in crate::db) struct Write<'a>(MutexGuard<'a, Connection>);

impl Deref for Write<'_> {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.0
    }
}

impl Ledger {
    /// Opens the ledger at `path` to read and write; makes it when it is not there, for its owner's eyes only,
    /// and brings an older one up to date.
    ///
    /// # Errors
    /// When the file cannot be used, or a newer program made it: then it is not touched.
    pub fn open(path: &Path, readers: usize) -> Result<Self, LedgerError> {
        let writer = connection::create(path)?;
        Ok(Self {
            readers: connection::readers(path, readers)?,
            entries: connection::readers(path, ENTRIES)?,
            views: cases::Views::default(),
            at_hand: cases::AtHand::default(),
            writer: Some(Mutex::new(writer)),
        })
    }

    /// Opens a ledger that is there for reading only, beside a running server.
    ///
    /// # Errors
    /// When it is not there, or an older or newer program made it.
    pub fn open_read_only(path: &Path) -> Result<Self, LedgerError> {
        let readers = connection::readers(path, 1)?;
        readers.lend(schema::check_current)?;
        Ok(Self {
            readers,
            entries: connection::readers(path, 1)?,
            views: cases::Views::default(),
            at_hand: cases::AtHand::default(),
            writer: None,
        })
    }

    /// Opens a ledger that is there to read and write beside a running server.
    ///
    /// # Errors
    /// As [`Ledger::open_read_only`].
    pub fn open_beside(path: &Path) -> Result<Self, LedgerError> {
        let mut beside = Self::open_read_only(path)?;
        beside.writer = Some(Mutex::new(connection::writer(path)?));
        Ok(beside)
    }

    /// Does `work`, appends `audit`, commits both: on return they are durable. When anything of it fails, nothing
    /// of it has happened, and the failure is the caller's to record.
    pub(in crate::db) fn write<T, E: From<LedgerError>>(
        &self,
        audit: &AuditRecord,
        work: impl FnOnce(&Write<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        self.transact(|write| {
            let done = work(write)?;
            audit::append(write, audit)?;
            Ok(done)
        })
    }

    /// The same, for what needs no row of its own in the trail: rows of the trail themselves, and bookkeeping that
    /// changes nobody's rights.
    fn transact<T, E: From<LedgerError>>(
        &self,
        work: impl FnOnce(&Write<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        let writer = self
            .writer
            .as_ref()
            .ok_or_else(|| LedgerError::broken("writing", "the ledger is open for reading only"))?;
        let writer = Write(writer.lock().unwrap_or_else(PoisonError::into_inner));
        let run = |sql| writer.prepare_cached(sql)?.execute([]);
        // A panic, or a rollback that failed, may have left a transaction open.
        roll_back(&writer);
        run("BEGIN IMMEDIATE").map_err(error)?;
        let done = work(&writer);
        if done.is_err() {
            roll_back(&writer);
            return done;
        }
        if let Err(cause) = run("COMMIT") {
            roll_back(&writer);
            return Err(error(cause).into());
        }
        done
    }

    /// Runs `work` on a reader, all of it on one state of the ledger; waits until one is free.
    pub(in crate::db) fn read<T, E: From<LedgerError>>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, E>,
    ) -> Result<T, E> {
        on_one_state(&self.readers, work)
    }

    /// The same for what has to be known before anybody comes in: few rows by a key, and nothing else.
    pub(in crate::db) fn read_entry<T, E: From<LedgerError>>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, E>,
    ) -> Result<T, E> {
        on_one_state(&self.entries, work)
    }
}

fn on_one_state<T, E: From<LedgerError>>(
    pool: &Pool,
    work: impl FnOnce(&Connection) -> Result<T, E>,
) -> Result<T, E> {
    pool.lend(|connection| {
        let run = |sql| connection.prepare_cached(sql)?.execute([]);
        roll_back(connection);
        run("BEGIN").map_err(error)?;
        let read = work(connection);
        // Nothing was written. Should it fail, the next reading undoes it.
        let _ = run("ROLLBACK");
        read
    })
}

fn roll_back(connection: &Connection) {
    if !connection.is_autocommit() {
        // Should it fail, the next BEGIN says so.
        let _ = connection.execute_batch("ROLLBACK");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::audit::{ActionCode, Actor, Event};
    use crate::access::ledger::AuditLedger;

    fn record() -> AuditRecord {
        AuditRecord::new(
            Event::SecurityAlert,
            ActionCode::Execute,
            Actor::default(),
            7,
        )
    }

    #[test]
    fn a_change_and_its_row_are_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger.sqlite");
        let ledger = Ledger::open(&path, 2).unwrap();
        let insert = |write: &Write<'_>| {
            write
                .execute_batch(
                    "INSERT INTO account (name, roles, passcode, is_enabled, created_ms) VALUES ('a', '', '', 1, 0)",
                )
                .map_err(error)
        };
        let count = |ledger: &Ledger| {
            ledger
                .read(|reader| {
                    let sql = "SELECT count(*) FROM account";
                    reader
                        .query_row(sql, [], |row| row.get::<_, i64>(0))
                        .map_err(error)
                })
                .unwrap()
        };
        let failed: Result<(), LedgerError> = ledger.write(&record(), |write| {
            insert(write)?;
            Err(LedgerError::Full)
        });
        assert!(failed.is_err());
        assert_eq!((count(&ledger), ledger.audit_head().unwrap().id), (0, 0));
        ledger.write(&record(), insert).unwrap();
        assert_eq!((count(&ledger), ledger.audit_head().unwrap().id), (1, 1));
        // The second of that name fails, and leaves no row.
        assert!(ledger.write(&record(), insert).is_err());
        assert_eq!(ledger.audit_head().unwrap().id, 1);

        let beside = Ledger::open_beside(&path).unwrap();
        beside.record(&record()).unwrap();
        ledger.record(&record()).unwrap();
        assert_eq!(beside.audit_head().unwrap(), ledger.audit_head().unwrap());
        let looking = Ledger::open_read_only(&path).unwrap();
        assert_eq!(looking.audit_head().unwrap().id, 3);
        assert!(looking.record(&record()).is_err());
    }

    #[test]
    fn who_comes_in_waits_for_no_reader() {
        use crate::access::GrantLedger as _;
        use crate::access::ledger::AccessLedger as _;
        use crate::access::secret::Secret;

        let folder = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(&folder.path().join("ledger.sqlite"), 1).unwrap();
        let digest = Secret::new().unwrap().digest();
        let (done, is_done) = std::sync::mpsc::channel();
        std::thread::scope(|threads| {
            // The only reader is lent for as long as this takes.
            let held: Result<bool, LedgerError> = ledger.read(|_| {
                threads.spawn(|| {
                    assert!(!ledger.has_accounts().unwrap());
                    assert!(ledger.session(&digest).unwrap().is_none());
                    assert!(ledger.token(&digest).unwrap().is_none());
                    assert!(ledger.grant_session(&digest).unwrap().is_none());
                    assert!(ledger.grants_of_account("a", 1).unwrap().is_empty());
                    assert!(ledger.grant(1).unwrap().is_none());
                    assert!(ledger.case_views("a").unwrap().is_empty());
                    done.send(()).unwrap();
                });
                let waited = is_done.recv_timeout(std::time::Duration::from_secs(20));
                Ok(waited.is_ok())
            });
            assert!(held.unwrap());
        });
    }

    #[test]
    fn a_panic_in_a_transaction_undoes_it() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(&folder.path().join("ledger.sqlite"), 1).unwrap();
        let panicked = std::thread::scope(|threads| {
            let broken = threads.spawn(|| {
                ledger.write(&record(), |_| -> Result<(), LedgerError> {
                    panic!("on purpose")
                })
            });
            broken.join().is_err()
        });
        assert!(panicked);
        ledger.record(&record()).unwrap();
        assert_eq!(ledger.audit_head().unwrap().id, 1);
    }
}
