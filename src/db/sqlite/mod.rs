//! The index in one SQLite file: one write connection, a few readers, write-ahead log.
//! A commit is synced before it returns (`synchronous=FULL`): it is the moment of truth.
//!
//! *Made for* 1,000,000 studies, 4 million series, 100 million instances. Measured sizes a row, all
//! indexes included: patient 0.2 KB, study 1.0 KB (of which grams 0.1), series 0.3 KB, instance
//! 0.4 KB; so 1 GB for the studies, which every search begins with, 1.2 GB for the series and 40 GB
//! for the instances, which only their own series reaches. Prepared metadata lies apart, at a third
//! of its JSON (2.6 KB: 0.9 KB).
//!
//! *Found by* (plans are checked by the tests of `plan`; milliseconds for 100 answers and what
//! remains, 1,000,000 studies, warm, two busy cores):
//!
//! | search | driven by | ms |
//! |---|---|---|
//! | a UID, Accession Number, Patient ID | the column's index | 0.02 |
//! | newest studies; from the 900,000th on | `study_by_study_date`, backwards | 0.3; 7 |
//! | a day, a month, a year | a range of it | 0.3 to 0.9 |
//! | Study ID or Study Description of a third of all | `(column, sort_date, sort_time)`, backwards | 0.8 |
//! | one of Modalities in Study: 1 of 1000, 4 of 10 | `study_modality`, in order | 1; 14 |
//! | a name exactly; a name `SMITH*` of 600 studies | `search_value`: `=`; a range | 0.01; 1.5 |
//! | a name `SC*` of a fifth of all | too long a list: the walk by date, tested | 21 |
//! | `*mid*` of a name: none; 30; a third of all | grams; the walk by date | 0.03; 9; 18 |
//! | what has no index and hardly matches | the walk, given up as too broad | 500 |
//! | 1000 of the 10,000 instances of a study | `series_by_study`, `instance_by_series` | 2.4 |
//! | locating one instance; 10,000 in pages of 500 | UID indexes; `instance_by_series` | 0.015; 9 |
//! | the metadata (26 MB) of 10,000 instances | the same, then `metadata` by key | 48 |
//!
//! *Written at* 15,000 instances a second into one study and 1,000 new studies a second, in
//! transactions of 256; a transaction of one takes 0.4 ms.

mod candidates;
mod commitment;
mod connection;
pub(in crate::db) mod find;
mod forward;
mod insert;
mod keys;
mod plan;
mod quarantine;
mod read;
mod remove;
mod report;
mod rows;
mod schema;
mod study_lists;
mod terms;
mod tombstone;
mod write;

use std::path::Path;

use crate::access::Scope;
use crate::archive::index::{
    AcceptedConflict, Answered, Current, Cursor, EachMetadata, Index, Lineage, Located, NamedBlob,
    OwedReport, Page, Quarantined, Target, ToldReport, Totals, Transaction,
};
use crate::archive::queue::{DestinationState, Pause, Queued, StudyForward};
use crate::archive::{Error, Locator};
use crate::dicom::header::BulkValue;
use crate::dicom::{Query, Uid};
use connection::Connections;
use find::Bounds;

/// The index in SQLite.
pub struct Sqlite {
    connections: Connections,
    bounds: Bounds,
}

impl Sqlite {
    /// Opens the index at `path` for reading and writing with so many reading connections; makes it
    /// when it is not there, and brings an older one up to date.
    ///
    /// # Errors
    /// When the file cannot be used, or a newer program made it: then it is not touched.
    pub fn open(path: &Path, readers: usize) -> Result<Self, Error> {
        Ok(Self {
            connections: Connections::open(path, readers)?,
            bounds: Bounds::DEFAULT,
        })
    }

    /// Opens an index that is there for reading only, beside a running server.
    ///
    /// # Errors
    /// When it is not there, or an older or newer program made it.
    pub fn open_read_only(path: &Path) -> Result<Self, Error> {
        Ok(Self {
            connections: Connections::open_read_only(path)?,
            bounds: Bounds::DEFAULT,
        })
    }

    /// Opens an index that is there for small changes beside a running server: its transactions and
    /// ours wait for each other.
    ///
    /// # Errors
    /// As [`Sqlite::open_read_only`].
    pub fn open_beside(path: &Path) -> Result<Self, Error> {
        Ok(Self {
            connections: Connections::open_beside(path)?,
            bounds: Bounds::DEFAULT,
        })
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
            "metadata",
            "study_modality",
            "study_sop_class",
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
    fn begin(&self) -> Result<Box<dyn Transaction + '_>, Error> {
        Ok(Box::new(write::Write::begin(self.connections.writer()?)?))
    }

    fn find(&self, query: &Query, scope: &Scope) -> Result<Page, Error> {
        self.connections
            .read(|reader| find::find(reader, &self.bounds, query, scope))
    }

    fn locate(
        &self,
        target: &Target,
        scope: &Scope,
        after: Option<Cursor>,
        limit: usize,
    ) -> Result<Vec<Located>, Error> {
        if let (Target::Instance(study, series, instance), None, 1..) = (target, after, limit) {
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

    fn bulk(
        &self,
        target: &Target,
        scope: &Scope,
    ) -> Result<Option<(Located, Vec<BulkValue>)>, Error> {
        self.connections
            .read(|reader| read::bulk(reader, target, scope))
    }

    fn version(&self, target: &Target, scope: &Scope) -> Result<Option<u64>, Error> {
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
