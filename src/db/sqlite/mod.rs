//! The index in one SQLite file: one write connection, a few readers, write-ahead log.
//! A commit is synced before it returns (`synchronous=FULL`), but for what the blobs can tell again
//! (`begin_soft`, `synchronous=NORMAL`: power loss may take the last of them, never tear the file).
//!
//! *Made for* 1,000,000 studies, 4 million series, 100 million instances. Measured in an index of
//! `cargo bench --bench growth -- fill DIR 20000` (`dbstat`; bytes a row, all its indexes included): a
//! patient 120; a study 760, its search values 220, its grams 100; a series 410, its pattern (`packing`)
//! 1,400; an instance 440, its body among them. The 600 CT of the harness, 12 KB of metadata and record
//! each, take 660 bytes each; 4,900 when each was compressed alone.
//!
//! *Found by* (plans are checked by the tests of `plan`). A page of 50 over HTTP, milliseconds of the
//! server's CPU, on a machine busy with other work (doubt less than 2 to 1); `overread serve --data-dir DIR` and wrk:
//!
//! | search | driven by | 20,000 studies | 1,000,000 |
//! |---|---|---|---|
//! | a UID, Accession Number, Patient ID | the column's index | 0.3 | 0.3 |
//! | newest studies | `study_by_study_date`, backwards | 0.9 | 0.9 |
//! | from nine tenths on | the same, from its month on (`study_month`) | 0.9 | 0.9 |
//! | three months | a range of it | 1.1 | 1.3 |
//! | a name `SMITH*` of 4 in 100 | the walk by date, hopefully; a list; the walk for good | 1.8 | 1.6 |
//! | `*SON*` of 17 in 100 | the same; grams for a list | 2.0 | 1.6 |
//! | `SMITH*` within three months | the same, within the dates | 2.6 | 2.6 |
//! | what nobody is called | `search_value`, grams | 0.3 | 0.1 to 0.2 |
//!
//! A walk by date tests names in its index; what else is tested is, cold, a page of the file for each
//! row: then the disk is what is measured.

mod candidates;
mod commitment;
mod connection;
pub(in crate::db) mod find;
mod fold;
mod forward;
mod groups;
mod insert;
mod keys;
mod line;
mod packing;
mod plan;
mod quarantine;
mod read;
mod remove;
mod report;
mod rows;
mod schema;
mod seen;
mod source;
mod study_lists;
mod terms;
mod tombstone;
mod walk;
mod write;
mod writer;

use std::path::Path;
use std::sync::Arc;

use crate::access::Scope;
use crate::archive::index::{
    AcceptedConflict, Answered, Current, Cursor, EachArrived, EachMetadata, EachReceived, Index,
    Lineage, Located, Made, NamedBlob, NewInstance, OwedReport, Page, Quarantined, Target,
    ToldReport, Totals, Transaction,
};
use crate::archive::queue::{DestinationState, Pause, Queued, StudyForward};
use crate::archive::{Error, Locator};
use crate::dicom::header::BulkValue;
use crate::dicom::{Query, Uid};
use connection::Connections;
use find::Bounds;
use packing::Packing;

/// The index in SQLite.
pub struct Sqlite {
    connections: Connections,
    bounds: Bounds,
    packing: Arc<Packing>,
}

impl Sqlite {
    /// Opens the index at `path` for reading and writing with so many reading connections; makes it
    /// when it is not there, and brings an older one up to date.
    ///
    /// # Errors
    /// When the file cannot be used, or a newer program made it: then it is not touched.
    pub fn open(path: &Path, readers: usize) -> Result<Self, Error> {
        Self::with(|packing| Connections::open(path, readers, packing))
    }

    /// Opens an index that is there for reading only, beside a running server.
    ///
    /// # Errors
    /// When it is not there, or an older or newer program made it.
    pub fn open_read_only(path: &Path) -> Result<Self, Error> {
        Self::with(|_| Connections::open_read_only(path))
    }

    /// Opens an index that is there for small changes beside a running server: its transactions and
    /// ours wait for each other.
    ///
    /// # Errors
    /// As [`Sqlite::open_read_only`].
    pub fn open_beside(path: &Path) -> Result<Self, Error> {
        Self::with(|packing| Connections::open_beside(path, packing))
    }

    fn with(open: impl FnOnce(Arc<Packing>) -> Result<Connections, Error>) -> Result<Self, Error> {
        let packing = Arc::<Packing>::default();
        Ok(Self {
            connections: open(packing.clone())?,
            bounds: Bounds::DEFAULT,
            packing,
        })
    }

    fn write(&self, sync: write::Sync) -> Result<write::Write<'_>, Error> {
        write::Write::begin(writer::Held::Locked(self.connections.writer()?), sync)
    }
}

#[cfg(test)]
impl Sqlite {
    /// Searches go only so far: for tests of what happens then.
    pub(in crate::db) fn bounded(mut self, bounds: Bounds) -> Self {
        self.bounds = bounds;
        self
    }

    /// Whether every table that follows what is stored is empty.
    pub(in crate::db) fn is_bare(&self) -> bool {
        let tables = [
            "patient",
            "study",
            "series",
            "instance",
            "pattern",
            "study_modality",
            "study_sop_class",
            "study_month",
            "study_name",
            "search_value",
            "sequence_value",
            "accepted_conflict",
            "forward_study",
            "forward",
        ];
        let rows = |connection: &rusqlite::Connection, table: &str| {
            let sql = format!("SELECT count(*) FROM {table}");
            connection
                .query_row(&sql, [], |row| row.get::<_, i64>(0))
                .unwrap()
        };
        self.connections
            .read(|connection| Ok(tables.iter().all(|table| rows(connection, table) == 0)))
            .unwrap()
    }
}

impl Index for Sqlite {
    fn prepare(&self, new: &mut NewInstance) -> Result<(), Error> {
        let packed = self.packing.pack(new, |series| {
            // What is kept uncommitted has its pattern at hand.
            self.connections
                .read_committed(|reader| packing::latest(reader, series))
        })?;
        new.made = Made::new(packed);
        Ok(())
    }

    fn begin(&self) -> Result<Box<dyn Transaction + '_>, Error> {
        Ok(Box::new(self.write(write::Sync::AtCommit)?))
    }

    fn begin_soft(&self) -> Result<Box<dyn Transaction + '_>, Error> {
        Ok(Box::new(self.write(write::Sync::Later)?))
    }

    fn skip_changes(&self, count: u64) -> Result<(), Error> {
        let mut write = self.write(write::Sync::AtCommit)?;
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        write.counters.change = write.counters.change.saturating_add(count);
        write.write_counters()?;
        write.finish()
    }

    fn has_kept(&self) -> bool {
        self.connections.has_kept()
    }

    fn commit_kept(&self) -> Result<(), Error> {
        self.connections.settle()
    }

    fn harden(&self) -> Result<(), Error> {
        // The log is synced whole, so any change will do.
        self.skip_changes(0)
    }

    fn find(&self, query: &Query, scope: &Scope) -> Result<Page, Error> {
        self.connections
            .read(|reader| find::find(reader, &self.bounds, query, scope))
    }

    fn find_at_hand(&self, query: &Query, scope: &Scope) -> Result<Option<Page>, Error> {
        if !find::may_be_at_hand(query, scope) {
            return Ok(None);
        }
        self.connections
            .glance(|reader| find::find_at_hand(reader, query, scope))
    }

    fn locate(
        &self,
        target: &Target,
        scope: &Scope,
        after: Option<Cursor>,
        limit: usize,
    ) -> Result<Vec<Located>, Error> {
        if let (Target::Instance(study, series, instance), None, 1..) = (target, after, limit) {
            self.connections.settle()?;
            let found = self.locate_one((study, series, instance), scope, usize::MAX)?;
            return Ok(found.flatten().into_iter().collect());
        }
        self.connections
            .read(|reader| read::locate(reader, target, scope, after, limit))
    }

    fn each_metadata(
        &self,
        target: &Target,
        scope: &Scope,
        after: Option<Cursor>,
        each: &mut EachMetadata<'_>,
    ) -> Result<(), Error> {
        self.connections
            .read(|reader| read::each_metadata(reader, target, scope, after, each))
    }

    fn each_received(
        &self,
        target: &Target,
        scope: &Scope,
        each: &mut EachReceived<'_>,
    ) -> Result<(), Error> {
        self.connections
            .read(|reader| read::each_received(reader, target, scope, each))
    }

    fn each_arrived(
        &self,
        target: &Target,
        scope: &Scope,
        each: &mut EachArrived<'_>,
    ) -> Result<(), Error> {
        self.connections
            .read(|reader| read::each_arrived(reader, target, scope, each))
    }

    fn bulk(
        &self,
        target: &Target,
        scope: &Scope,
    ) -> Result<Option<(Located, Vec<BulkValue>)>, Error> {
        self.connections
            .read(|reader| read::bulk(reader, target, scope))
    }

    fn version(&self, target: &Target, scope: &Scope) -> Result<Option<u64>, Error> {
        if scope.is_blind() {
            return self
                .connections
                .read(|reader| read::version(reader, target, scope));
        }
        self.connections
            .look_up(|reader| read::version(reader, target, scope))
    }

    fn locate_one(
        &self,
        uids: (&Uid, &Uid, &Uid),
        scope: &Scope,
        bytes_max: usize,
    ) -> Result<Option<Option<Located>>, Error> {
        self.connections
            .look_up(|reader| read::locate_one(reader, uids, scope, bytes_max))
    }

    fn current(
        &self,
        uids: (&Uid, &Uid, &Uid),
        scope: &Scope,
        bytes_max: usize,
    ) -> Result<Option<Current>, Error> {
        self.connections
            .look_up(|reader| read::current(reader, uids, scope, bytes_max))
    }

    fn removed_at(&self, target: &Target, scope: &Scope) -> Result<Option<i64>, Error> {
        self.connections
            .read(|reader| tombstone::removed_at(reader, target, scope))
    }

    fn answered(&self, transaction_uid: &Uid) -> Result<Option<Answered>, Error> {
        self.connections
            .read(|reader| commitment::answered(reader, transaction_uid))
    }

    fn owed_reports(&self) -> Result<Vec<OwedReport>, Error> {
        self.connections.read(report::owed)
    }

    fn told_report(&self, transaction_uid: &Uid) -> Result<Option<ToldReport>, Error> {
        self.connections
            .read(|reader| report::told(reader, transaction_uid))
    }

    fn lineage(&self) -> Result<Lineage, Error> {
        self.connections.read(read::lineage)
    }

    fn totals(&self) -> Result<Totals, Error> {
        self.connections.read(read::totals)
    }

    fn live_blobs(&self, file: u64) -> Result<Vec<Locator>, Error> {
        self.connections
            .read(|reader| read::live_blobs(reader, file))
    }

    fn blobs(&self, after: Option<Locator>, limit: usize) -> Result<Vec<NamedBlob>, Error> {
        self.connections
            .read(|reader| read::blobs(reader, after, limit))
    }

    fn quarantined(&self, after: i64, limit: usize) -> Result<Vec<Quarantined>, Error> {
        self.connections
            .read(|reader| quarantine::list(reader, after, limit))
    }

    fn quarantined_one(&self, id: i64) -> Result<Option<Quarantined>, Error> {
        self.connections.read(|reader| quarantine::one(reader, id))
    }

    fn accepted_conflicts(&self, limit: usize) -> Result<Vec<AcceptedConflict>, Error> {
        self.connections
            .read(|reader| quarantine::conflicts(reader, limit))
    }

    fn due_studies(&self, destination: &str, now_ms: i64, limit: usize) -> Result<Vec<Uid>, Error> {
        self.connections
            .read(|reader| forward::due_studies(reader, destination, now_ms, limit))
    }

    fn queued(
        &self,
        destination: &str,
        study_instance_uid: &Uid,
        ready_at_ms: Option<i64>,
        limit: usize,
    ) -> Result<Vec<Queued>, Error> {
        self.connections.read(|reader| {
            forward::queued(reader, destination, study_instance_uid, ready_at_ms, limit)
        })
    }

    fn study_forwards(
        &self,
        after: Option<(&str, &Uid)>,
        is_all: bool,
        limit: usize,
    ) -> Result<Vec<StudyForward>, Error> {
        self.connections
            .read(|reader| forward::study_forwards(reader, after, is_all, limit))
    }

    fn destinations(&self, now_ms: i64) -> Result<Vec<DestinationState>, Error> {
        self.connections
            .read(|reader| forward::destinations(reader, now_ms))
    }

    fn pause(&self, destination: &str) -> Result<Option<Pause>, Error> {
        self.connections
            .read(|reader| forward::pause(reader, destination))
    }
}
