//! The promise that the index makes to the archive. `db::sqlite` keeps it, `db::memory` in tests;
//! PostgreSQL can keep it too. All calls block; callers run them off the async threads, but for those
//! that read one row by UIDs, or a few: [`Index::locate_one`] and [`Index::current`] with a bound,
//! [`Index::version`], [`Index::find_at_hand`]. These wait for nothing but a page of a local file, never for a search nor
//! for whoever writes: so they do not see what is kept ([`Index::has_kept`]), and who must see all that was stored asks
//! for its commit first. All other calls do that themselves.

mod records;

use std::ops::ControlFlow;

use crate::access::Scope;
use crate::archive::Error;
use crate::archive::blob::Locator;
use crate::archive::forwarding::Bound;
use crate::archive::queue::{DestinationState, Ended, Part, Pause, Queued, StudyForward};
use crate::dicom::header::BulkValue;
use crate::dicom::{Query, Uid};

pub use records::*;

/// What we hold and where.
pub trait Index: Send + Sync {
    /// Does what costs time and needs no transaction for an instance that will be inserted, so that
    /// whoever commits for all need not. [`Transaction::insert`] takes instances without it too.
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

    /// No change has one of the next `count` numbers: power loss may have taken changes, and a number that
    /// somebody has seen must not come again for other content ([`Index::version`]).
    fn skip_changes(&self, count: u64) -> Result<(), Error>;

    /// Whether instances are kept without a commit ([`Transaction::keep`]). Waits for nothing.
    fn has_kept(&self) -> bool {
        false
    }

    /// Commits what is kept.
    ///
    /// # Errors
    /// When that fails. It is tried again with the next call.
    fn commit_kept(&self) -> Result<(), Error> {
        Ok(())
    }

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

    /// The same page when a key names a few rows and little more has to be looked at; `None` when
    /// that is not so, or not known.
    ///
    /// # Errors
    /// When the index fails.
    fn find_at_hand(&self, _query: &Query, _scope: &Scope) -> Result<Option<Page>, Error> {
        Ok(None)
    }

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

    /// Gives a target's instances in order, with how they came, to `each` until it has enough, one at a time.
    fn each_received(
        &self,
        target: &Target,
        scope: &Scope,
        each: &mut EachReceived<'_>,
    ) -> Result<(), Error>;

    /// The same without what they say, which is far cheaper: which instances there are, and how they came.
    fn each_arrived(
        &self,
        target: &Target,
        scope: &Scope,
        each: &mut EachArrived<'_>,
    ) -> Result<(), Error>;

    /// As [`Index::each_metadata`] for at most `limit` instances, all held in memory.
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

    /// As [`Transaction::commit`], for one of [`Index::begin_soft`] that has inserted these instances and
    /// changed nothing else: it is as visible as if it were committed, but the end of the process may take
    /// it too, as long as nobody has read the index since. On an error they come back all the same
    /// with the next call that can write.
    ///
    /// # Errors
    /// When it was to be committed at once, and that failed.
    fn keep(self: Box<Self>, inserted: Vec<NewInstance>) -> Result<(), Error>;

    /// Makes it all visible, and durable as far as its beginning promised.
    fn commit(self: Box<Self>) -> Result<(), Error>;
}
