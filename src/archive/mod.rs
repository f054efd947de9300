//! The life of an instance: the only code that joins a blob and an index row.
//!
//! [`Archive`] is what doors hold. Its calls block: doors run them off the async threads.
//! One ingest ([`Incoming`]), one search, one retrieve, whatever the door.

pub mod blob;
pub mod error;
pub mod index;

use std::sync::Arc;

pub use blob::{BlobStore, Locator};
pub use error::{Error, Refusal};
pub use index::{
    Door, Index, Located, Origin, Page, Prepared, QuarantineReason, Remaining, Row, Target, Totals,
};

use crate::access::Scope;
use crate::dicom::header::BulkValue;
use crate::dicom::walk::Limits;
use crate::dicom::{Query, Uid};
use index::Cursor;

/// `[ingest] duplicate`: what becomes of a known SOP Instance UID with other bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DuplicatePolicy {
    /// The newcomer is held back for an administrator.
    Quarantine,
    /// The newcomer is refused, the first stays.
    KeepFirst,
    /// The newcomer takes the place of the first.
    Replace,
}

/// `[ingest] patient_conflict`: what becomes of an instance whose study belongs to another patient.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PatientConflictPolicy {
    /// It is held back for an administrator.
    Quarantine,
    /// It is stored as sent; the study keeps its patient; the conflict is listed.
    Accept,
}

/// The `[ingest]` section, checked.
#[derive(Debug, Clone)]
pub struct IngestSettings {
    /// See [`DuplicatePolicy`].
    pub duplicate: DuplicatePolicy,
    /// See [`PatientConflictPolicy`].
    pub patient_conflict: PatientConflictPolicy,
    /// Objects up to this size wait in memory, larger ones in a staging file. Bytes.
    pub buffer_bytes_max: usize,
    /// The largest object taken. Bytes.
    pub object_bytes_max: u64,
    /// Nothing is taken when less than this would stay free. Bytes.
    pub free_bytes_min: u64,
    /// Limits of the header walk.
    pub limits: Limits,
}

/// What a sender said of an object before it came; what is `None` was not said.
#[derive(Debug, Clone, Default)]
pub struct Declared {
    /// Affected SOP Class UID.
    pub sop_class_uid: Option<Uid>,
    /// Affected SOP Instance UID.
    pub sop_instance_uid: Option<Uid>,
    /// The study in the STOW-RS URL.
    pub study_instance_uid: Option<Uid>,
}

/// What became of an instance that was received whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// New, durable, findable.
    Stored,
    /// The same bytes were here already.
    AlreadyStored,
    /// It took the place of other bytes, as `duplicate = "replace"` says.
    Replaced,
    /// Other bytes were first and stay, as `duplicate = "keep-first"` says: this one was not kept.
    KeptFirst,
    /// Stored although its study belongs to another patient; listed.
    StoredInConflict,
    /// Durable, but held back from viewers.
    Quarantined {
        /// Its number in quarantine.
        id: i64,
        /// Why.
        reason: QuarantineReason,
    },
}

/// The end of a successful ingest. When this exists, what it says is durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// (0008,0016)
    pub sop_class_uid: Uid,
    /// (0008,0018)
    pub sop_instance_uid: Uid,
    /// (0020,000D)
    pub study_instance_uid: Uid,
    /// (0020,000E)
    pub series_instance_uid: Uid,
    /// What became of it.
    pub outcome: Outcome,
}

/// The archive. Cheap to clone.
#[derive(Clone)]
pub struct Archive {
    index: Arc<dyn Index>,
    blobs: Arc<dyn BlobStore>,
}

/// One object on its way in. Dropped before [`Incoming::finish`], it leaves nothing.
pub struct Incoming {}

impl Archive {
    /// Takes a bare data set in `transfer_syntax_uid`, as C-STORE brings it.
    pub fn receive_dataset(
        &self,
        origin: Origin,
        transfer_syntax_uid: &Uid,
        declared: Declared,
    ) -> Result<Incoming, Error> {
        unimplemented!("{origin:?} {transfer_syntax_uid} {declared:?}")
    }

    /// Takes a Part 10 file, as STOW-RS and `import` bring it. A missing preamble, a missing File
    /// Meta group or a bare data set is tolerated.
    pub fn receive_part10(&self, origin: Origin, declared: Declared) -> Result<Incoming, Error> {
        unimplemented!("{origin:?} {declared:?}")
    }

    /// Whether there is room for more; [`Error::Full`] otherwise.
    pub fn check_room(&self) -> Result<(), Error> {
        unimplemented!()
    }

    /// Searches (see [`Index::find`]).
    pub fn find(&self, query: &Query, scope: &Scope) -> Result<Page, Error> {
        self.index.find(query, scope)
    }

    /// See [`Index::locate`].
    pub fn locate(
        &self,
        target: &Target,
        scope: &Scope,
        after: Option<Cursor>,
        limit: usize,
    ) -> Result<Vec<Located>, Error> {
        self.index.locate(target, scope, after, limit)
    }

    /// See [`Index::metadata`].
    pub fn metadata(
        &self,
        target: &Target,
        scope: &Scope,
        after: Option<Cursor>,
        limit: usize,
    ) -> Result<Vec<Prepared>, Error> {
        self.index.metadata(target, scope, after, limit)
    }

    /// See [`Index::bulk`].
    pub fn bulk(
        &self,
        target: &Target,
        scope: &Scope,
    ) -> Result<Option<(Located, Vec<BulkValue>)>, Error> {
        self.index.bulk(target, scope)
    }

    /// See [`Index::version`].
    pub fn version(&self, target: &Target, scope: &Scope) -> Result<Option<u64>, Error> {
        self.index.version(target, scope)
    }

    /// See [`Index::totals`].
    pub fn totals(&self) -> Result<Totals, Error> {
        self.index.totals()
    }

    /// Fills `buffer` from `offset` of the instance's Part 10 file (`located.locator.length` bytes long).
    pub fn read_at(&self, located: &Located, offset: u64, buffer: &mut [u8]) -> Result<(), Error> {
        self.blobs.read_at(&located.locator, offset, buffer)
    }

    /// Frame `number` (from 1) as stored: fragments joined, item headers left out, one-bit frames
    /// shifted to a byte; values of big endian and deflated objects as they are encoded (inflated).
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no such frame.
    pub fn frame(&self, located: &Located, number: u32) -> Result<Vec<u8>, Error> {
        unimplemented!("{located:?} {number}")
    }

    /// Fills `buffer` from `offset` of the (inflated) data set. For deflated objects this reads from
    /// the start: slow, but bounded in memory.
    pub fn read_dataset_at(
        &self,
        located: &Located,
        offset: u64,
        buffer: &mut [u8],
    ) -> Result<(), Error> {
        unimplemented!("{located:?} {offset} {}", buffer.len())
    }
}

impl Incoming {
    /// Takes the next bytes.
    ///
    /// # Errors
    /// The first error is final: drop the object (and, on a socket, read the rest away).
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        unimplemented!("{}", bytes.len())
    }

    /// What is known of the object's identity so far, declared or read: SOP class, SOP instance.
    #[must_use]
    pub fn identity(&self) -> (Option<Uid>, Option<Uid>) {
        unimplemented!()
    }

    /// The last byte was written: checks identity, makes the object durable, commits it to the
    /// index, and only then returns.
    pub fn finish(self) -> Result<Receipt, Error> {
        unimplemented!()
    }
}
