//! The life of an instance: the only code that joins a blob and an index row.
//!
//! [`Archive`] is what doors hold. Its calls block: doors run them off the async threads.
//! One ingest ([`Incoming`]), one search, one retrieve, whatever the door.

mod adopt;
pub mod blob;
mod cache;
pub mod check;
mod coercion;
mod commit;
pub mod commitment;
mod committer;
mod derived;
pub mod error;
pub mod forwarding;
mod fragments;
mod frames;
mod given;
pub mod index;
mod ingest;
mod made;
mod medium;
mod patient;
mod picture;
mod presented;
mod quarantine;
pub mod queue;
mod removal;
pub mod reports;
mod retrieve;
mod scratch;
mod settings;
mod share;
mod whose;

use std::sync::Arc;

pub use blob::{BlobStore, Locator};
pub use cache::{Gathering, MadeKey};
pub use coercion::{Coercion, Rule};
pub use derived::{drawable, is_drawn_whole, pictures};
pub use error::{Error, Refusal};
pub use forwarding::{Destination, ForwardRule, Forwarding};
pub use frames::{FrameError, Frames, decodable, is_decodable};
pub use given::{Given, Syntax};
pub use index::{
    Door, Index, Located, NewInstance, Origin, OwedReport, Page, Prepared, QuarantineReason,
    Remaining, Row, Target, Totals,
};
pub use ingest::{Handed, Incoming};
pub use made::Pixels;
pub use medium::Medium;
pub use patient::is_same_patient;
pub use picture::{Drawing, PictureError};
pub use presented::{Presented, State};
pub use quarantine::{Beside, Stored};
pub use removal::{Removal, Removed};
pub use retrieve::{DatasetReader, FRAME_BYTES_MAX, Run};
pub use scratch::{Scratch, ScratchReader};
pub use settings::{DuplicatePolicy, IngestSettings, PatientConflictPolicy};

use crate::access::{Scope, Stay};
use crate::dicom::header::BulkValue;
use crate::dicom::walk::Limits;
use crate::dicom::{Query, Uid};
use blob::Swept;
use cache::Cache;
use commit::Policy;
use committer::Committer;
use index::{Current, Cursor, EachArrived, EachMetadata, EachReceived, Lineage};

/// What a sender said of an object before it came; what is `None` was not said.
#[derive(Debug, Clone, Default)]
pub struct Declared {
    /// Affected SOP Class UID.
    pub sop_class_uid: Option<Uid>,
    /// Affected SOP Instance UID.
    pub sop_instance_uid: Option<Uid>,
    /// The study in the STOW-RS URL.
    pub study_instance_uid: Option<Uid>,
    /// Whoever has to agree.
    pub gate: Option<Gate>,
}

/// An object that has come whole, of which nothing is kept yet.
#[derive(Debug)]
pub struct Arriving<'a> {
    /// The study that it belongs to.
    pub study: &'a Uid,
    /// Whether anything of that study is held.
    pub is_study_held: bool,
    /// The study in which its SOP Instance UID is held already.
    pub instance_in: Option<Uid>,
}

/// Says whether an object may come in, and how much, where not everything may.
pub trait Admission: Send + Sync {
    /// Whether it may.
    ///
    /// # Errors
    /// When that cannot be found out: then it may not.
    fn admit(&self, arriving: &Arriving<'_>) -> Result<bool, Error>;

    /// Takes so many bytes of what its sender may bring; they are settled later.
    ///
    /// # Errors
    /// [`Refusal::InboxFull`] when there are not so many left, or when that cannot be found out.
    fn take(&self, stay: Stay, bytes: u64) -> Result<(), Error>;

    /// Bytes that were taken are here for good, or are given back.
    fn settle(&self, stay: Stay, bytes: u64, is_kept: bool);

    /// Something was refused because there are not so many left, and is not tried again.
    fn tell_full(&self);
}

/// One who says so. Cheap to clone.
#[derive(Clone)]
pub struct Gate(pub Arc<dyn Admission>);

impl std::fmt::Debug for Gate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a gate")
    }
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

impl Outcome {
    /// Whether the bytes that came are kept, wherever.
    #[must_use]
    pub fn is_kept(self) -> bool {
        match self {
            Self::Stored | Self::Replaced | Self::StoredInConflict | Self::Quarantined { .. } => {
                true
            }
            Self::AlreadyStored | Self::KeptFirst => false,
        }
    }
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
    /// Whether `[coercion]` changes attributes of it.
    pub is_coerced: bool,
}

/// The archive. Cheap to clone; the last clone dropped finishes what is being committed.
#[derive(Clone)]
pub struct Archive {
    inner: Arc<Inner>,
}

struct Inner {
    index: Arc<dyn Index>,
    blobs: Arc<dyn BlobStore>,
    committer: Committer,
    settings: IngestSettings,
    made: Cache,
    spare: ingest::Spare,
}

impl Inner {
    /// [`Error::Full`] when less than the configured reserve is free.
    fn check_room(&self) -> Result<(), Error> {
        match self.blobs.free_bytes()? {
            Some(free) if free < self.settings.free_bytes_min => Err(Error::Full),
            Some(_) | None => Ok(()),
        }
    }
}

impl Archive {
    /// Opens the archive: first removes what a killed process left (told by [`Swept`]), then takes instances.
    ///
    /// # Errors
    /// When the index or the shelf cannot be read.
    pub fn open(
        index: Arc<dyn Index>,
        blobs: Arc<dyn BlobStore>,
        settings: IngestSettings,
    ) -> Result<(Self, Swept), Error> {
        let policy = Policy::of(&settings);
        let adopted = adopt::adopt(&*index, &*blobs, &settings, &policy)?;
        let swept = blobs.recover(&mut |file| index.live_blobs(file))?;
        let archive = Self::over(index, blobs, settings)?;
        Ok((archive, Swept { adopted, ..swept }))
    }

    /// Opens the archive beside the process that owns it: nothing is swept; callers only read.
    ///
    /// # Errors
    /// When the commit thread cannot be started.
    pub fn over(
        index: Arc<dyn Index>,
        blobs: Arc<dyn BlobStore>,
        settings: IngestSettings,
    ) -> Result<Self, Error> {
        let policy = Policy::of(&settings);
        let committer = Committer::start(index.clone(), blobs.clone(), policy)?;
        Ok(Self {
            inner: Arc::new(Inner {
                index,
                blobs,
                committer,
                made: Cache::new(settings.made_bytes_max),
                spare: ingest::Spare::default(),
                settings,
            }),
        })
    }

    /// Takes a bare data set in `transfer_syntax_uid`, as C-STORE brings it.
    ///
    /// # Errors
    /// [`Error::Full`], or a transfer syntax that is not supported.
    pub fn receive_dataset(
        &self,
        origin: Origin,
        transfer_syntax_uid: &Uid,
        declared: Declared,
    ) -> Result<Incoming, Error> {
        Incoming::of_dataset(self.inner.clone(), origin, transfer_syntax_uid, declared)
    }

    /// Takes a Part 10 file, as STOW-RS and `import` bring it. A missing preamble, a missing File
    /// Meta group or a bare data set is tolerated.
    ///
    /// # Errors
    /// [`Error::Full`].
    pub fn receive_part10(&self, origin: Origin, declared: Declared) -> Result<Incoming, Error> {
        Incoming::of_part10(self.inner.clone(), origin, declared)
    }

    /// Opens a place for bytes of which an object is going to be made, of as many as the gate gives.
    ///
    /// # Errors
    /// [`Error::Full`].
    pub fn scratch(&self, gate: Option<Gate>) -> Result<Scratch, Error> {
        Scratch::begin(self.inner.clone(), gate)
    }

    /// What ingest believes of an object before it is whole.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.inner.settings.limits
    }

    /// Whether so many bytes more could be stored now.
    ///
    /// # Errors
    /// As [`Archive::check_room`].
    pub fn check_room_for(&self, bytes: u64) -> Result<(), Error> {
        self.check_room()?;
        let least = self.inner.settings.free_bytes_min.saturating_add(bytes);
        match self.inner.blobs.free_bytes()? {
            Some(free) if free < least => Err(Error::Full),
            Some(_) | None => Ok(()),
        }
    }

    /// How much room is left; `None` where that is not known.
    ///
    /// # Errors
    /// When the shelf cannot be asked.
    pub fn free_bytes(&self) -> Result<Option<u64>, Error> {
        self.inner.blobs.free_bytes()
    }

    /// Whether an instance could be stored now.
    ///
    /// # Errors
    /// [`Error::Full`] when there is no room, [`Error::Busy`] when nothing is committed any more.
    pub fn check_room(&self) -> Result<(), Error> {
        if !self.inner.committer.is_alive() {
            return Err(Error::Busy("nothing can be committed until a restart"));
        }
        self.inner.check_room()
    }

    /// Searches (see [`Index::find`]).
    ///
    /// # Errors
    /// [`Error::TooBroad`], or when the index fails.
    pub fn find(&self, query: &Query, scope: &Scope) -> Result<Page, Error> {
        self.inner.index.find(query, scope)
    }

    /// See [`Index::has_kept`].
    #[must_use]
    pub fn has_kept(&self) -> bool {
        self.inner.index.has_kept()
    }

    /// See [`Index::commit_kept`]. Blocks.
    ///
    /// # Errors
    /// When the index fails.
    pub fn commit_kept(&self) -> Result<(), Error> {
        self.inner.index.commit_kept()
    }

    /// See [`Index::find_at_hand`].
    ///
    /// # Errors
    /// When the index fails.
    pub fn find_at_hand(&self, query: &Query, scope: &Scope) -> Result<Option<Page>, Error> {
        self.inner.index.find_at_hand(query, scope)
    }

    /// See [`Index::locate`].
    ///
    /// # Errors
    /// When the index fails.
    pub fn locate(
        &self,
        target: &Target,
        scope: &Scope,
        after: Option<Cursor>,
        limit: usize,
    ) -> Result<Vec<Located>, Error> {
        self.inner.index.locate(target, scope, after, limit)
    }

    /// See [`Index::metadata`].
    ///
    /// # Errors
    /// When the index fails.
    pub fn metadata(
        &self,
        target: &Target,
        scope: &Scope,
        after: Option<Cursor>,
        limit: usize,
    ) -> Result<Vec<Prepared>, Error> {
        self.inner.index.metadata(target, scope, after, limit)
    }

    /// See [`Index::each_metadata`].
    ///
    /// # Errors
    /// When the index fails, and those of `each`.
    pub fn each_metadata(
        &self,
        target: &Target,
        scope: &Scope,
        after: Option<Cursor>,
        each: &mut EachMetadata<'_>,
    ) -> Result<(), Error> {
        self.inner.index.each_metadata(target, scope, after, each)
    }

    /// See [`Index::each_received`].
    ///
    /// # Errors
    /// When the index fails, and those of `each`.
    pub fn each_received(
        &self,
        target: &Target,
        scope: &Scope,
        each: &mut EachReceived<'_>,
    ) -> Result<(), Error> {
        self.inner.index.each_received(target, scope, each)
    }

    /// See [`Index::each_arrived`].
    ///
    /// # Errors
    /// When the index fails, and those of `each`.
    pub fn each_arrived(
        &self,
        target: &Target,
        scope: &Scope,
        each: &mut EachArrived<'_>,
    ) -> Result<(), Error> {
        self.inner.index.each_arrived(target, scope, each)
    }

    /// See [`Index::bulk`].
    ///
    /// # Errors
    /// When the index fails.
    pub fn bulk(
        &self,
        target: &Target,
        scope: &Scope,
    ) -> Result<Option<(Located, Vec<BulkValue>)>, Error> {
        self.inner.index.bulk(target, scope)
    }

    /// See [`Index::locate_one`].
    ///
    /// # Errors
    /// When the index fails.
    pub fn locate_at_hand(
        &self,
        uids: (&Uid, &Uid, &Uid),
        scope: &Scope,
        bytes_max: usize,
    ) -> Result<Option<Option<Located>>, Error> {
        self.inner.index.locate_one(uids, scope, bytes_max)
    }

    /// See [`Index::current`].
    ///
    /// # Errors
    /// When the index fails.
    pub fn current(
        &self,
        uids: (&Uid, &Uid, &Uid),
        scope: &Scope,
        bytes_max: usize,
    ) -> Result<Option<Current>, Error> {
        self.inner.index.current(uids, scope, bytes_max)
    }

    /// See [`Index::version`].
    ///
    /// # Errors
    /// When the index fails.
    pub fn version_at_hand(&self, target: &Target, scope: &Scope) -> Result<Option<u64>, Error> {
        self.inner.index.version(target, scope)
    }

    /// The same of all that was stored. Blocks.
    ///
    /// # Errors
    /// When the index fails.
    pub fn version(&self, target: &Target, scope: &Scope) -> Result<Option<u64>, Error> {
        self.commit_kept()?;
        self.version_at_hand(target, scope)
    }

    /// See [`Index::lineage`]; all of it is durable.
    ///
    /// # Errors
    /// When the index fails.
    pub fn lineage(&self) -> Result<Lineage, Error> {
        self.inner.index.harden()?;
        self.inner.index.lineage()
    }

    /// A number that grows with every change of what is stored. Blocks.
    ///
    /// # Errors
    /// When the index fails.
    pub fn change(&self) -> Result<u64, Error> {
        Ok(self.inner.index.lineage()?.change)
    }

    /// See [`Index::totals`].
    ///
    /// # Errors
    /// When the index fails.
    pub fn totals(&self) -> Result<Totals, Error> {
        self.inner.index.totals()
    }
}
