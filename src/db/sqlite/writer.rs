//! The write connection, and what its open transaction holds that nobody sees yet.
//!
//! A transaction that only inserts need not be committed at once: it stays open and takes in what
//! comes next ([`Writer::keep`]), so that many instances share the pages that their commits would
//! write again and again. It is committed as soon as somebody reads, another kind of change begins, it
//! holds [`KEPT_MAX`] instances, or a moment has gone by (`fold`). So nobody can tell: another process that
//! opens the file waits for that moment first (`connection`).
//!
//! What the end of the process takes of it comes back as what power loss takes does (`archive::adopt`).
//! Whatever else undoes the transaction (a full disk, a failed insert) undoes what was kept as well:
//! that is inserted again before anything else is done.

use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, MutexGuard};

use rusqlite::Connection;

use crate::archive::Error;
use crate::archive::index::NewInstance;
use crate::db::sqlite::connection::error;
use crate::db::sqlite::packing::Packing;
use crate::db::sqlite::write::{Counters, Sync, Write};

/// So many instances are kept at most before they are committed.
const KEPT_MAX: usize = 64;

/// Their metadata take no more memory than about this. Bytes.
const KEPT_BYTES_MAX: usize = 4 << 20;

/// Who must know that something is kept.
pub(super) type Told = Box<dyn Fn() + Send>;

/// The write connection.
pub(super) struct Writer {
    connection: Connection,
    /// What was inserted and not committed, in this order. All of it is in the open transaction; when
    /// none is open, none of it is in the index.
    kept: Vec<NewInstance>,
    kept_bytes: usize,
    /// Those of the open transaction.
    counters: Counters,
    /// Whether anything is kept: for readers, who do not hold the lock.
    has_kept: Arc<AtomicBool>,
    told: Told,
    packing: Arc<Packing>,
}

/// The write connection in somebody's hands.
pub(super) enum Held<'a> {
    Locked(MutexGuard<'a, Writer>),
    Borrowed(&'a mut Writer),
}

impl Deref for Held<'_> {
    type Target = Writer;

    fn deref(&self) -> &Writer {
        match self {
            Self::Locked(writer) => writer,
            Self::Borrowed(writer) => writer,
        }
    }
}

impl DerefMut for Held<'_> {
    fn deref_mut(&mut self) -> &mut Writer {
        match self {
            Self::Locked(writer) => writer,
            Self::Borrowed(writer) => writer,
        }
    }
}

impl Deref for Writer {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.connection
    }
}

impl Writer {
    pub(super) fn new(
        connection: Connection,
        packing: Arc<Packing>,
        has_kept: Arc<AtomicBool>,
        told: Told,
    ) -> Self {
        Self {
            connection,
            kept: Vec::new(),
            kept_bytes: 0,
            counters: Counters::default(),
            has_kept,
            told,
            packing,
        }
    }

    pub(super) fn packing(&self) -> &Packing {
        &self.packing
    }

    pub(super) fn has_kept(&self) -> bool {
        !self.kept.is_empty()
    }

    /// The counters of the transaction that holds what was kept, when it is still open.
    pub(super) fn open_counters(&self) -> Option<Counters> {
        (self.has_kept() && !self.connection.is_autocommit()).then_some(self.counters)
    }

    /// Lends what was kept, to be inserted again.
    pub(super) fn take_kept(&mut self) -> Vec<NewInstance> {
        std::mem::take(&mut self.kept)
    }

    /// Takes it back.
    pub(super) fn give_kept(&mut self, kept: Vec<NewInstance>) {
        self.kept = kept;
    }

    /// Leaves the transaction open, in which these were inserted and nothing else was done since the last
    /// that was kept.
    pub(super) fn keep(&mut self, inserted: Vec<NewInstance>, counters: Counters) {
        self.counters = counters;
        let bytes = |new: &NewInstance| new.header.metadata.len();
        self.kept_bytes += inserted.iter().map(bytes).sum::<usize>();
        self.kept.extend(inserted);
        if self.has_kept() && !self.has_kept.swap(true, Ordering::AcqRel) {
            (self.told)();
        }
    }

    /// Whether so much is kept that it should be committed.
    pub(super) fn is_full(&self) -> bool {
        self.kept.len() >= KEPT_MAX || self.kept_bytes >= KEPT_BYTES_MAX
    }

    /// Commits the open transaction, and with it all that was kept.
    pub(super) fn commit(&mut self) -> Result<(), Error> {
        let commit = |sql| self.connection.prepare_cached(sql)?.execute([]);
        let committed = commit("COMMIT").map_err(error);
        if committed.is_ok() {
            self.kept.clear();
            self.kept_bytes = 0;
            self.has_kept.store(false, Ordering::Release);
        } else {
            self.roll_back();
        }
        committed.map(|_| ())
    }

    /// Undoes the open transaction. What was kept in it is to be inserted again.
    pub(super) fn roll_back(&self) {
        if !self.connection.is_autocommit() {
            // A rollback that fails leaves the transaction open; the next begin() tries again and reports.
            self.connection.execute_batch("ROLLBACK").ok();
        }
    }

    /// Commits what was kept, if anything was.
    pub(super) fn settle(&mut self) -> Result<(), Error> {
        if !self.has_kept() {
            return Ok(());
        }
        Write::begin(Held::Borrowed(self), Sync::Later)?.finish()
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::access::Scope;
    use crate::archive::Index as _;
    use crate::archive::index::{NewInstance, Target};
    use crate::db::Sqlite;
    use crate::db::contract::sample::{key, query, sample, uid};
    use crate::dicom::Level;

    fn keep(index: &Sqlite, new: &NewInstance) {
        let mut transaction = index.begin_soft().unwrap();
        transaction.insert(new).unwrap();
        transaction.keep(vec![new.clone()]).unwrap();
    }

    /// What another process sees.
    fn committed(path: &Path) -> i64 {
        let other = rusqlite::Connection::open(path).unwrap();
        let sql = "SELECT count(*) FROM instance";
        other.query_row(sql, [], |row| row.get(0)).unwrap()
    }

    #[test]
    fn what_is_kept_is_committed_when_it_is_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("index.sqlite");
        let index = Sqlite::open(&path, 1).unwrap();
        for instance in 1..=3 {
            keep(&index, &sample(1, 1, instance));
            assert_eq!(index.totals().unwrap().instances, u64::from(instance));
            assert_eq!(committed(&path), i64::from(instance));
        }
        // Nobody asks, but there are many of them.
        for instance in 1..=super::KEPT_MAX {
            keep(&index, &sample(2, 1, u32::try_from(instance).unwrap()));
        }
        assert!(committed(&path) >= i64::try_from(super::KEPT_MAX).unwrap());
        keep(&index, &sample(3, 1, 1));
        drop(index);
        assert_eq!(
            committed(&path),
            i64::try_from(super::KEPT_MAX + 4).unwrap()
        );
    }

    /// They would never return here if they waited for the writer.
    #[test]
    fn who_reads_at_hand_waits_for_nobody() {
        let folder = tempfile::tempdir().unwrap();
        let index = Sqlite::open(&folder.path().join("index.sqlite"), 1).unwrap();
        assert!(!index.has_kept());
        // Until we were faster than the thread that commits.
        let (number, open) = (1..)
            .find_map(|number| {
                keep(&index, &sample(number, 1, 1));
                let open = index.begin_soft().unwrap();
                index.has_kept().then_some((number, open))
            })
            .unwrap();
        let ids = [1, 2, 3].map(|depth| uid(format!("1.{number}") + &".1".repeat(depth - 1)));
        let [study, series, instance] = &ids;
        let uids = (study, series, instance);
        let asked = query(Level::Study, vec![key("StudyInstanceUID", study.as_str())]);
        let study = Target::Study(study.clone());
        let seen = || {
            [
                index.version(&study, &Scope::All).unwrap().is_some(),
                index
                    .locate_one(uids, &Scope::All, 1 << 20)
                    .unwrap()
                    .is_some(),
                index.current(uids, &Scope::All, 1 << 20).unwrap().is_some(),
                index
                    .find_at_hand(&asked, &Scope::All)
                    .unwrap()
                    .is_some_and(|page| page.rows.len() == 1),
            ]
        };
        assert_eq!(seen(), [false; 4]);
        drop(open);
        index.commit_kept().unwrap();
        assert!(!index.has_kept());
        assert_eq!(seen(), [true; 4]);
    }

    #[test]
    fn what_is_kept_is_committed_by_itself() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("index.sqlite");
        let index = Sqlite::open(&path, 1).unwrap();
        keep(&index, &sample(1, 1, 1));
        let begin = std::time::Instant::now();
        while committed(&path) == 0 {
            assert!(begin.elapsed().as_secs() < 60, "it is kept for ever");
            std::thread::yield_now();
        }
    }

    #[test]
    fn whatever_undoes_the_transaction_loses_nothing_that_was_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("index.sqlite");
        let index = Sqlite::open(&path, 1).unwrap();
        keep(&index, &sample(1, 1, 1));
        // Dropped without a word, after an insert of its own.
        let mut broken = index.begin_soft().unwrap();
        broken.insert(&sample(1, 1, 2)).unwrap();
        drop(broken);
        // Inserting fails, and so does inserting again what that undid: until we were faster than the thread that commits.
        let other = rusqlite::Connection::open(&path).unwrap();
        let last = (3..)
            .find(|instance| {
                keep(&index, &sample(1, 1, *instance));
                let mut broken = index.begin_soft().unwrap();
                assert!(broken.insert(&sample(1, 1, *instance)).is_err());
                drop(broken);
                other
                    .execute_batch(
                        "CREATE TRIGGER full BEFORE INSERT ON instance BEGIN SELECT RAISE(ABORT, 'full'); END",
                    )
                    .unwrap();
                index.has_kept() || {
                    other.execute_batch("DROP TRIGGER full").unwrap();
                    false
                }
            })
            .unwrap();
        assert!(index.totals().is_err());
        assert!(index.begin_soft().is_err());
        assert!(index.begin().is_err());
        other.execute_batch("DROP TRIGGER full").unwrap();
        assert_eq!(index.totals().unwrap().instances, u64::from(last) - 1);
        let mut transaction = index.begin().unwrap();
        let is_held = |id| transaction.held(&uid(id)).unwrap().is_some();
        assert_eq!(
            ["1.1.1.1".into(), "1.1.1.2".into(), format!("1.1.1.{last}")].map(is_held),
            [true, false, true]
        );
    }
}
