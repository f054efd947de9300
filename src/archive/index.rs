//! The promise that the index makes to the archive. `db::sqlite` keeps it, `db::memory` in tests;
//! PostgreSQL can keep it too. All calls block; callers run them off the async threads, but for those
//! that read one row by UIDs: [`Index::locate_one`] and [`Index::current`] with a bound,
//! [`Index::version`]. These wait for nothing but a page of a local file, and never for a search.

use std::ops::ControlFlow;

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use crate::access::Scope;
use crate::archive::Error;
use crate::archive::blob::Locator;
use crate::archive::forwarding::Bound;
use crate::archive::queue::{DestinationState, Ended, Part, Pause, Queued, StudyForward};
use crate::dicom::attributes::AttributeValues;
use crate::dicom::header::BulkValue;
use crate::dicom::{FrameMap, Header, Level, Query, Uid};

/// Where an instance came from. Kept with it, shown to administrators, logged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// Which door.
    pub door: Door,
    /// Calling AE title, or who sent the HTTP request, or who ran the command. Never patient data.
    pub sender: Box<str>,
    /// Network address of the peer, empty when local.
    pub peer: Box<str>,
}

/// The doors an instance can come through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// C-STORE.
    Dimse,
    /// STOW-RS.
    Stow,
    /// `overread import` and `overread demo`.
    Import,
}

/// An instance whose blob is durable and which the index may now learn of.
#[derive(Debug, Clone, PartialEq)]
pub struct NewInstance {
    /// All that was read from it.
    pub header: Header,
    /// How its data set is encoded.
    pub transfer_syntax_uid: Uid,
    /// Its blob: a whole Part 10 file.
    pub locator: Locator,
    /// Where in the blob the data set begins.
    pub dataset_offset: u32,
    /// BLAKE3 of the data set as it is kept.
    pub digest: [u8; 32],
    /// BLAKE3 of the data set as it arrived; another one when attributes were coerced.
    pub received_digest: [u8; 32],
    /// Where it came from.
    pub origin: Origin,
    /// When it was received, milliseconds since 1970 UTC.
    pub received_at_ms: i64,
    /// What [`Index::prepare`] made of it.
    pub made: Made,
}

/// What an index made of an instance ahead of its transaction, for itself. It says nothing that the
/// instance does not, so any two are equal, and it may be lacking.
#[derive(Clone, Default)]
pub struct Made(Option<Arc<dyn Any + Send + Sync>>);

impl Made {
    /// Keeps what was made.
    pub fn new(made: impl Any + Send + Sync) -> Self {
        Self(Some(Arc::new(made)))
    }

    /// What was made, when it is one of these.
    #[must_use]
    pub fn get<T: Any>(&self) -> Option<&T> {
        self.0.as_ref()?.downcast_ref()
    }
}

impl PartialEq for Made {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl fmt::Debug for Made {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Made")
    }
}

/// What the index already holds under a SOP Instance UID.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// Its study.
    pub study_instance_uid: Uid,
    /// Its series.
    pub series_instance_uid: Uid,
    /// BLAKE3 of its data set.
    pub digest: [u8; 32],
    /// BLAKE3 of its data set as it arrived.
    pub received_digest: [u8; 32],
    /// How it is encoded.
    pub transfer_syntax_uid: Uid,
    /// Its blob.
    pub locator: Locator,
}

/// The patient a study belongs to, as its first instance said.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StudyPatient {
    /// (0010,0020), padding removed; empty when absent.
    pub patient_id: Box<str>,
    /// (0010,0021); empty when absent.
    pub issuer_of_patient_id: Box<str>,
    /// (0010,0010); empty when absent.
    pub patient_name: Box<str>,
    /// (0010,0030); empty when absent.
    pub patient_birth_date: Box<str>,
}

/// A study, series or instance by its UIDs.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Target {
    /// All of a study.
    Study(Uid),
    /// One series of it.
    Series(Uid, Uid),
    /// One instance of that.
    Instance(Uid, Uid, Uid),
}

/// An instance ready to be read: no parse lies between this and its bytes.
#[derive(Debug, Clone, PartialEq)]
pub struct Located {
    /// (0020,000D)
    pub study_instance_uid: Uid,
    /// (0020,000E)
    pub series_instance_uid: Uid,
    /// (0008,0018)
    pub sop_instance_uid: Uid,
    /// (0008,0016)
    pub sop_class_uid: Uid,
    /// How the data set is encoded.
    pub transfer_syntax_uid: Uid,
    /// The blob.
    pub locator: Locator,
    /// Where in the blob the data set begins.
    pub dataset_offset: u32,
    /// Where each frame lies in the data set.
    pub frames: FrameMap,
    /// BLAKE3 of the data set.
    pub digest: [u8; 32],
    /// Where to go on after this one.
    pub cursor: Cursor,
}

/// The prepared metadata of an instance.
#[derive(Debug, Clone, PartialEq)]
pub struct Prepared {
    /// One DICOM JSON object, with `header::BASE_MARK` in its bulk data URIs.
    pub metadata: Vec<u8>,
    /// Where to go on after this one.
    pub cursor: Cursor,
}

/// What is said of one instance at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Current {
    /// See [`Index::version`].
    pub version: u64,
    /// As in [`Prepared`]; `None` when they are long.
    pub metadata: Option<Vec<u8>>,
}

/// Takes the prepared metadata of an instance (as in [`Prepared`]), and says whether it has enough.
pub type EachMetadata<'a> = dyn FnMut(&[u8], Cursor) -> Result<ControlFlow<()>, Error> + 'a;

/// A place in the order of a target's instances: series, instance number, arrival. Opaque.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Cursor(pub i64, pub i64, pub i64);

/// One answer of a search. Attributes of the levels above are filled in too; the door returns what its table allows.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Row {
    /// The values of the indexed attributes of the row's level and all levels above.
    pub attributes: AttributeValues,
    /// Indexed sequences (position in `SEQUENCES`): their `Value` array as JSON text.
    pub sequence_json: Vec<(u8, Box<str>)>,
    /// (0008,0061), sorted; study level and below.
    pub modalities_in_study: Vec<Box<str>>,
    /// (0008,0062), sorted; study level and below.
    pub sop_classes_in_study: Vec<Box<str>>,
    /// (0020,1200) Number of Patient Related Studies.
    pub studies_of_patient: u64,
    /// (0020,1206) Number of Study Related Series.
    pub series_of_study: u64,
    /// (0020,1208) Number of Study Related Instances.
    pub instances_of_study: u64,
    /// (0020,1209) Number of Series Related Instances.
    pub instances_of_series: u64,
    /// (0008,3002) at instance level.
    pub transfer_syntax_uid: Option<Uid>,
    /// When the newest instance under the row was received, milliseconds since 1970 UTC. Does not go
    /// back when that instance is removed.
    pub received_at_ms: i64,
}

impl Row {
    /// The study, series or instance that a row of a level is; of a patient a row names no study.
    ///
    /// # Errors
    /// When the row lacks its UIDs.
    pub fn target(&self, level: Level) -> Result<Target, Error> {
        let uid = |keyword: &str| {
            let text = self.attributes.by_keyword(keyword).unwrap_or_default();
            Uid::parse(text)
                .map_err(|error| Error::broken("a row of the index", format!("{keyword}: {error}")))
        };
        let study = uid("StudyInstanceUID")?;
        Ok(match level {
            Level::Patient | Level::Study => Target::Study(study),
            Level::Series => Target::Series(study, uid("SeriesInstanceUID")?),
            Level::Instance => {
                Target::Instance(study, uid("SeriesInstanceUID")?, uid("SOPInstanceUID")?)
            }
        })
    }
}

/// The answers of a search, in a total order that repeats.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Page {
    /// The answers.
    pub rows: Vec<Row>,
    /// How many more would follow.
    pub remaining: Remaining,
}

/// How many matches follow a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remaining {
    /// So many.
    Exactly(u64),
    /// More than it pays to count.
    AtLeast(u64),
}

impl Default for Remaining {
    fn default() -> Self {
        Self::Exactly(0)
    }
}

/// A blob that a row names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedBlob {
    /// (0008,0018)
    pub sop_instance_uid: Uid,
    /// The blob.
    pub locator: Locator,
    /// Where in the blob the data set begins.
    pub dataset_offset: u32,
    /// BLAKE3 of the data set.
    pub digest: [u8; 32],
}

/// Which index it is, and how far it has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lineage {
    /// Made at random with the index.
    pub id: String,
    /// Grows with every change of what is stored.
    pub change: u64,
}

/// How much the archive holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals {
    /// Patients.
    pub patients: u64,
    /// Studies.
    pub studies: u64,
    /// Series.
    pub series: u64,
    /// Instances.
    pub instances: u64,
    /// Bytes of their blobs.
    pub blob_bytes: u64,
    /// Instances in quarantine.
    pub quarantined: u64,
}

/// Why an instance is held back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QuarantineReason {
    /// Its SOP Instance UID is taken by an instance with other bytes.
    Duplicate,
    /// Its study belongs to another patient.
    PatientConflict,
    /// It was the stored one until a quarantined duplicate was accepted in its place.
    Displaced,
}

/// An attribute in which a quarantined instance differs from what is held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Tag path as in DICOM JSON, items by number: `00100010`, `00400275/0/00400009`.
    pub path: Box<str>,
    /// DICOM JSON of what is held, `None` when absent there.
    pub held: Option<Box<str>>,
    /// DICOM JSON of the newcomer, `None` when absent there.
    pub newcomer: Option<Box<str>>,
}

/// A quarantined instance.
#[derive(Debug, Clone, PartialEq)]
pub struct Quarantined {
    /// Its number, for the shell.
    pub id: i64,
    /// Why.
    pub reason: QuarantineReason,
    /// What differs; may be empty when only pixels do.
    pub differences: Vec<Difference>,
    /// The instance itself.
    pub instance: NewInstance,
}

/// A conflict that `[ingest] patient_conflict = "accept"` let through.
#[derive(Debug, Clone, PartialEq)]
pub struct AcceptedConflict {
    /// The study.
    pub study_instance_uid: Uid,
    /// The instance that disagrees with it.
    pub sop_instance_uid: Uid,
    /// In what.
    pub differences: Vec<Difference>,
    /// When, milliseconds since 1970 UTC.
    pub received_at_ms: i64,
}

/// What a request for storage commitment was told (PS3.18 §13).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answered {
    /// When, milliseconds since 1970 UTC.
    pub at_ms: i64,
    /// The answer as the archive wrote it; `None` once it has expired.
    pub answer: Option<Box<str>>,
}

/// An event report that somebody who asked for storage commitment has not had yet (PS3.4 §J.3.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwedReport {
    /// Whose answer it is.
    pub transaction_uid: Uid,
    /// The AE title of who asked.
    pub requester: Box<str>,
    /// The AE title under which we were asked.
    pub called: Box<str>,
    /// How often it was tried to tell it.
    pub attempts: u32,
    /// When it is tried next, milliseconds since 1970 UTC.
    pub due_at_ms: i64,
}

/// What another archive told of a transaction that was begun in our name (PS3.4 §J.3.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToldReport {
    /// The transaction.
    pub transaction_uid: Uid,
    /// The AE title of who told it.
    pub told_by: Box<str>,
    /// What was told, as the archive wrote it down.
    pub report: Box<str>,
}

/// What we hold and where.
pub trait Index: Send + Sync {
    /// Does what costs time and needs no transaction for an instance that will be inserted, so that
    /// the one thread that commits need not. [`Transaction::insert`] takes instances without it too.
    ///
    /// # Errors
    /// When the index cannot be read, or the instance not be written down.
    fn prepare(&self, _new: &mut NewInstance) -> Result<(), Error> {
        Ok(())
    }

    /// Begins the one write transaction that can be open at a time; another caller waits.
    fn begin(&self) -> Result<Box<dyn Transaction + '_>, Error>;

    /// As [`Index::begin`], but power loss may take what it commits until [`Index::harden`] or the
    /// next commit of a transaction of [`Index::begin`]: the last of such transactions first. The
    /// end of the process does not.
    fn begin_soft(&self) -> Result<Box<dyn Transaction + '_>, Error>;

    /// Makes all that was committed so far durable.
    fn harden(&self) -> Result<(), Error>;

    /// Searches. Total order, at every level: studies newest first, those without a date last; series
    /// of a study by number, then arrival; instances of a series likewise. Patients come in the order
    /// of arrival, newest first. A key of a level below the query's holds when one path below the row
    /// satisfies all such keys. Names match as `dicom::query` says.
    ///
    /// # Errors
    /// [`Error::TooBroad`] when no key can drive an index and the walk exceeds its budget, or keys
    /// outside the index would have too much metadata looked at.
    fn find(&self, query: &Query, scope: &Scope) -> Result<Page, Error>;

    /// The instances of a target in order, after a cursor, at most `limit`. Empty when the target
    /// is unknown or outside the scope.
    fn locate(
        &self,
        target: &Target,
        scope: &Scope,
        after: Option<Cursor>,
        limit: usize,
    ) -> Result<Vec<Located>, Error>;

    /// Gives the prepared metadata of a target's instances in order, after a cursor, to `each` until it
    /// has enough, one at a time: those of one instance may take up megabytes.
    fn each_metadata(
        &self,
        target: &Target,
        scope: &Scope,
        after: Option<Cursor>,
        each: &mut EachMetadata<'_>,
    ) -> Result<(), Error>;

    /// The same for at most `limit` instances, all held in memory.
    fn metadata(
        &self,
        target: &Target,
        scope: &Scope,
        after: Option<Cursor>,
        limit: usize,
    ) -> Result<Vec<Prepared>, Error> {
        let mut found = Vec::new();
        if limit == 0 {
            return Ok(found);
        }
        self.each_metadata(target, scope, after, &mut |metadata, cursor| {
            let metadata = metadata.to_vec();
            found.push(Prepared { metadata, cursor });
            Ok(if found.len() < limit {
                ControlFlow::Continue(())
            } else {
                ControlFlow::Break(())
            })
        })?;
        Ok(found)
    }

    /// The bulk values of one instance: its place, and what lies where. `None` when unknown or outside the scope.
    fn bulk(
        &self,
        target: &Target,
        scope: &Scope,
    ) -> Result<Option<(Located, Vec<BulkValue>)>, Error>;

    /// A number that grows with every change under a target; `None` when unknown or outside the scope.
    fn version(&self, target: &Target, scope: &Scope) -> Result<Option<u64>, Error>;

    /// One instance (study, series, SOP Instance UID); the second `None` when its frame map is packed in
    /// more than `bytes_max` bytes, so that unpacking it takes a while.
    fn locate_one(
        &self,
        uids: (&Uid, &Uid, &Uid),
        scope: &Scope,
        bytes_max: usize,
    ) -> Result<Option<Option<Located>>, Error>;

    /// The version and the prepared metadata of one instance (study, series, SOP Instance UID) at one
    /// moment; the metadata only when reading them takes no more than about `bytes_max` bytes. `None`
    /// when unknown or outside the scope.
    fn current(
        &self,
        uids: (&Uid, &Uid, &Uid),
        scope: &Scope,
        bytes_max: usize,
    ) -> Result<Option<Current>, Error>;

    /// When a target was removed, milliseconds since 1970 UTC; `None` when it never was, or came
    /// again, or is outside the scope.
    fn removed_at(&self, target: &Target, scope: &Scope) -> Result<Option<i64>, Error>;

    /// What a request for storage commitment was told; `None` when there was none of that UID.
    fn answered(&self, transaction_uid: &Uid) -> Result<Option<Answered>, Error>;

    /// The event reports that are owed to somebody, who is due first.
    fn owed_reports(&self) -> Result<Vec<OwedReport>, Error>;

    /// What another archive told of a transaction.
    fn told_report(&self, transaction_uid: &Uid) -> Result<Option<ToldReport>, Error>;

    /// Which index this is: whoever removes blobs that no row names asks first.
    fn lineage(&self) -> Result<Lineage, Error>;

    /// How much is held.
    fn totals(&self) -> Result<Totals, Error>;

    /// The locators of one blob file that rows name (stored and quarantined), sorted by offset.
    fn live_blobs(&self, file: u64) -> Result<Vec<Locator>, Error>;

    /// Every blob, stored or quarantined, with its digest and data set offset, in locator order after
    /// `after`, for `overread check`.
    fn blobs(&self, after: Option<Locator>, limit: usize) -> Result<Vec<NamedBlob>, Error>;

    /// Quarantined instances by number after `after`, at most `limit`.
    fn quarantined(&self, after: i64, limit: usize) -> Result<Vec<Quarantined>, Error>;

    /// One quarantined instance.
    fn quarantined_one(&self, id: i64) -> Result<Option<Quarantined>, Error>;

    /// Conflicts let through, newest first, at most `limit`.
    fn accepted_conflicts(&self, limit: usize) -> Result<Vec<AcceptedConflict>, Error>;

    /// Studies that are to be looked at for a destination now, those that are due longest first, at
    /// most `limit`. One stays due until [`Transaction::settle`].
    fn due_studies(&self, destination: &str, now_ms: i64, limit: usize) -> Result<Vec<Uid>, Error>;

    /// Queued instances of a study by UID, at most `limit`: those that may go at `ready_at_ms`, or all.
    fn queued(
        &self,
        destination: &str,
        study_instance_uid: &Uid,
        ready_at_ms: Option<i64>,
        limit: usize,
    ) -> Result<Vec<Queued>, Error>;

    /// Studies that go somewhere, by destination and UID, after `after`, at most `limit`: those of
    /// which something is queued, or all.
    fn study_forwards(
        &self,
        after: Option<(&str, &Uid)>,
        is_all: bool,
        limit: usize,
    ) -> Result<Vec<StudyForward>, Error>;

    /// Every destination that something was ever queued for, by name.
    fn destinations(&self, now_ms: i64) -> Result<Vec<DestinationState>, Error>;

    /// Why a destination is left alone; `None` when it is not.
    fn pause(&self, destination: &str) -> Result<Option<Pause>, Error>;
}

/// One write transaction. Dropped without [`Transaction::commit`], it changes nothing.
pub trait Transaction {
    /// What is held under this SOP Instance UID, in any study.
    fn held(&mut self, sop_instance_uid: &Uid) -> Result<Option<Held>, Error>;

    /// The prepared metadata of a held instance, for telling differences.
    fn held_metadata(&mut self, sop_instance_uid: &Uid) -> Result<Option<Vec<u8>>, Error>;

    /// The patient of a study that is held.
    fn study_patient(&mut self, study_instance_uid: &Uid) -> Result<Option<StudyPatient>, Error>;

    /// Adds an instance; its series, study and patient when they are new. The study keeps the
    /// patient and study attributes that came first, a series likewise. Counts, modalities and
    /// versions are kept up. Whatever of these was removed before is so no longer.
    fn insert(&mut self, new: &NewInstance) -> Result<(), Error>;

    /// Takes an instance out, and its series, study and patient when it was their last; notes of
    /// conflicts about it too. Gives it back whole. For something to take its place: what is queued
    /// under its UID stays.
    fn remove(&mut self, sop_instance_uid: &Uid) -> Result<Option<NewInstance>, Error>;

    /// Takes out every instance of a target, and whatever they were the last of, and notes of each
    /// that it was removed. None of it is queued any more. Gives their blobs: 24 bytes of memory an instance, however many.
    fn remove_all(&mut self, target: &Target, removed_at_ms: i64) -> Result<Vec<Locator>, Error>;

    /// Keeps what a request for storage commitment was told. `false` when its UID is known already:
    /// nothing has changed then.
    fn answer(&mut self, transaction_uid: &Uid, answered: &Answered) -> Result<bool, Error>;

    /// Drops the answers given before `expired_ms`, and all memory of requests before `forgotten_ms`.
    fn expire_answers(&mut self, expired_ms: i64, forgotten_ms: i64) -> Result<(), Error>;

    /// Puts another answer in the place of the one that a request was given, if it is known.
    fn revise_answer(&mut self, transaction_uid: &Uid, answer: &str) -> Result<(), Error>;

    /// Notes an event report that is owed, in the place of an earlier note of the same transaction.
    fn owe_report(&mut self, owed: &OwedReport) -> Result<(), Error>;

    /// Nothing is owed any more.
    fn settle_report(&mut self, transaction_uid: &Uid) -> Result<(), Error>;

    /// Keeps what another archive told, in the place of what it told before, and of the oldest
    /// beyond `keep_max`.
    fn keep_told(&mut self, told: &ToldReport, keep_max: usize) -> Result<(), Error>;

    /// Holds an instance back. Gives its number. The same bytes under the same UID, transfer syntax and reason
    /// already held back: gives that number and `false`, keeps nothing new.
    fn quarantine(
        &mut self,
        new: &NewInstance,
        reason: QuarantineReason,
        differences: &[Difference],
    ) -> Result<(i64, bool), Error>;

    /// Takes an instance out of quarantine.
    fn release(&mut self, id: i64) -> Result<Option<Quarantined>, Error>;

    /// Queues an instance that was inserted in this transaction for the destinations that it is bound
    /// for, its study as a whole when a rule sends it there for the first time; nothing of it goes
    /// before `stable_at_ms` then. What was queued of the instance that it replaces is not any more.
    fn queue(
        &mut self,
        new: &NewInstance,
        bound: &[Bound<'_>],
        now_ms: i64,
        stable_at_ms: i64,
        is_replacement: bool,
    ) -> Result<(), Error>;

    /// Notes that an instance is about to be sent: it is doubtful until the attempt has ended.
    fn begin_attempt(&mut self, destination: &str, queued: &Queued) -> Result<(), Error>;

    /// Notes how an attempt to send ended. An instance that has been queued anew meanwhile stays so.
    fn end_attempt(&mut self, destination: &str, ended: &Ended, now_ms: i64) -> Result<(), Error>;

    /// Notes that a study was looked at: what of it still waits is due in its time.
    fn settle(&mut self, destination: &str, study_instance_uid: &Uid) -> Result<(), Error>;

    /// Leaves a destination alone, or no longer.
    fn set_pause(&mut self, destination: &str, pause: Option<&Pause>) -> Result<(), Error>;

    /// What was queued for a destination before a moment has failed. Gives how many.
    fn give_up(
        &mut self,
        destination: &str,
        queued_before_ms: i64,
        reason: &str,
    ) -> Result<u64, Error>;

    /// What has failed, or waits for another attempt, is due again, as if it were queued now; no
    /// destination of the part is left alone. Gives how many instances.
    fn retry(&mut self, part: Part<'_>, now_ms: i64) -> Result<u64, Error>;

    /// Takes instances out of the queue. Gives how many.
    fn unqueue(&mut self, part: Part<'_>) -> Result<u64, Error>;

    /// Notes a conflict that was let through.
    fn note_conflict(&mut self, conflict: &AcceptedConflict) -> Result<(), Error>;

    /// Makes it all visible, and durable as far as its beginning promised.
    fn commit(self: Box<Self>) -> Result<(), Error>;
}
