//! The moment of truth. Finished objects of any senders ([`super::committer`]) are made durable
//! together, what becomes of each is decided inside one index transaction, that is committed or, when
//! all is new, kept for the next ones to share, and only then the senders may answer.
//!
//! Killed at any time: what lies whole in a blob and has no row gets it at the next start
//! ([`super::adopt`]), so everything that was acknowledged is there, and so may be what was not yet.
//!
//! What is stored is queued for where it goes on to in the same transaction ([`crate::archive::queue`]).

use std::sync::Arc;

use crate::archive::blob::{BlobStore, Locator};
use crate::archive::check::{damage, glance};
use crate::archive::committer::Reply;
use crate::archive::index::{
    AcceptedConflict, Difference, Held, Index, NewInstance, QuarantineReason, Transaction,
};
use crate::archive::removal::now_ms;
use crate::archive::settings::{DuplicatePolicy, IngestSettings, PatientConflictPolicy};
use crate::archive::{Error, Forwarding, Outcome, patient};
use crate::dicom::difference;

/// A held instance up to this size is read again when the same bytes come again; of a larger one
/// the beginning and the end, so that nobody else waits long for a commit. Bytes.
const REREAD_BYTES_MAX: u64 = 64 << 20;

/// An instance that waits for its commit, and its sender.
pub(super) struct Storing {
    pub(super) new: NewInstance,
    pub(super) reply: Reply<Outcome>,
}

/// What decides over what comes: the policies for conflicts, and where it goes on to.
#[derive(Debug, Clone)]
pub(super) struct Policy {
    pub(super) duplicate: DuplicatePolicy,
    pub(super) patient_conflict: PatientConflictPolicy,
    pub(super) forwarding: Arc<Forwarding>,
}

impl Policy {
    pub(super) fn of(settings: &IngestSettings) -> Self {
        Self {
            duplicate: settings.duplicate,
            patient_conflict: settings.patient_conflict,
            forwarding: settings.forwarding.clone(),
        }
    }
}

/// Makes the blobs of a batch durable. Senders whose blobs cannot be are answered, and leave the batch.
pub(super) fn sync(batch: &mut Vec<Storing>, blobs: &dyn BlobStore) {
    let locators: Vec<Locator> = batch.iter().map(|job| job.new.locator).collect();
    if batch.is_empty() || blobs.sync(&locators).is_ok() {
        return;
    }
    for job in std::mem::take(batch) {
        let locator = job.new.locator;
        match blobs.sync(&[locator]) {
            Ok(()) => batch.push(job),
            Err(error) => {
                discard(blobs, &[locator]);
                job.reply.send(Err(error));
            }
        }
    }
}

/// Commits a batch whose blobs are durable, and answers every sender. When a batch fails before its
/// commit, each instance gets its own transaction, so that one bad row costs nobody else.
pub(super) fn settle(
    batch: &mut Vec<Storing>,
    index: &dyn Index,
    blobs: &dyn BlobStore,
    policy: &Policy,
) {
    if batch.is_empty() {
        return;
    }
    let (news, replies): (Vec<NewInstance>, Vec<Reply<Outcome>>) =
        batch.drain(..).map(|job| (job.new, job.reply)).unzip();
    match commit_together(news, index, blobs, policy) {
        Ok((outcomes, spoils)) => {
            for (reply, outcome) in replies.into_iter().zip(outcomes) {
                reply.send(Ok(outcome));
            }
            discard(blobs, &spoils.unused);
            discard(blobs, &spoils.displaced);
        }
        Err(Failure::InCommit(error)) => {
            for reply in replies {
                reply.send(Err(error.again()));
            }
        }
        Err(Failure::BeforeCommit(error, news)) if news.len() == 1 => {
            for (new, reply) in news.iter().zip(replies) {
                discard(blobs, &[new.locator]);
                reply.send(Err(error.again()));
            }
        }
        Err(Failure::BeforeCommit(_, news)) => {
            for (new, reply) in news.into_iter().zip(replies) {
                settle(&mut vec![Storing { new, reply }], index, blobs, policy);
            }
        }
    }
}

/// Where a transaction failed.
enum Failure {
    /// Nothing has changed; what was to be committed.
    BeforeCommit(Error, Vec<NewInstance>),
    /// Nobody can say whether it will be there after a restart. The blobs stay: either a row names
    /// them then, or the next start takes them in.
    InCommit(Error),
}

/// One line for what an administrator must be able to find again.
fn tell(new: &NewInstance, outcome: Outcome) {
    let (header, sender, peer) = (&new.header, &*new.origin.sender, &*new.origin.peer);
    let (sop_instance_uid, study_instance_uid) =
        (&header.sop_instance_uid, &header.study_instance_uid);
    match outcome {
        Outcome::Stored | Outcome::AlreadyStored => {
            tracing::debug!(%sop_instance_uid, %study_instance_uid, sender, peer, ?outcome, "received");
        }
        Outcome::Replaced
        | Outcome::KeptFirst
        | Outcome::StoredInConflict
        | Outcome::Quarantined { .. } => {
            tracing::warn!(%sop_instance_uid, %study_instance_uid, sender, peer, ?outcome, "received in conflict");
        }
    }
}

/// Commits one instance whose blob is durable already, for [`super::adopt`].
pub(super) fn commit_one(
    new: NewInstance,
    index: &dyn Index,
    blobs: &dyn BlobStore,
    policy: &Policy,
) -> Result<(), Error> {
    match commit_together(vec![new], index, blobs, policy) {
        Ok((_, spoils)) => {
            discard(blobs, &spoils.unused);
            discard(blobs, &spoils.displaced);
            Ok(())
        }
        Err(Failure::BeforeCommit(error, _) | Failure::InCommit(error)) => Err(error),
    }
}

/// The blobs are durable before the index learns of them; the index itself is not where a start after
/// power loss can make the same of them again ([`super::adopt`]): new instances, in whatever order. Where
/// the order counts, or something goes away, the index is durable before anybody is told. What is
/// new and nothing else is not even committed at once ([`Transaction::keep`]).
fn commit_together(
    news: Vec<NewInstance>,
    index: &dyn Index,
    blobs: &dyn BlobStore,
    policy: &Policy,
) -> Result<(Vec<Outcome>, Spoils), Failure> {
    let (transaction, outcomes, spoils) = match decide_all(&news, index, blobs, policy) {
        Ok(decided) => decided,
        Err(error) => return Err(Failure::BeforeCommit(error, news)),
    };
    let is_new = |outcome: &Outcome| *outcome == Outcome::Stored;
    let is_plain = spoils.is_empty() && outcomes.iter().all(is_new);
    if is_plain {
        news.iter().for_each(|new| tell(new, Outcome::Stored));
        transaction.keep(news).map_err(Failure::InCommit)?;
        return Ok((outcomes, spoils));
    }
    transaction.commit().map_err(Failure::InCommit)?;
    for (new, outcome) in news.iter().zip(&outcomes) {
        tell(new, *outcome);
    }
    let can_be_made_again =
        |outcome: &Outcome| matches!(outcome, Outcome::Stored | Outcome::AlreadyStored);
    if !spoils.displaced.is_empty() || !outcomes.iter().all(can_be_made_again) {
        index.harden().map_err(Failure::InCommit)?;
    }
    Ok((outcomes, spoils))
}

type Decided<'a> = (Box<dyn Transaction + 'a>, Vec<Outcome>, Spoils);

fn decide_all<'a>(
    news: &[NewInstance],
    index: &'a dyn Index,
    blobs: &dyn BlobStore,
    policy: &Policy,
) -> Result<Decided<'a>, Error> {
    let mut transaction = index.begin_soft()?;
    let mut outcomes = Vec::with_capacity(news.len());
    let mut spoils = Spoils::default();
    for new in news {
        outcomes.push(decide(&mut *transaction, blobs, new, policy, &mut spoils)?);
    }
    // Newcomers that are not kept as well: power loss may bring them back, when what they came second
    // to has been removed long since.
    if !spoils.unused.is_empty() || !spoils.displaced.is_empty() {
        blobs.condemn(&[&spoils.unused[..], &spoils.displaced].concat())?;
    }
    Ok((transaction, outcomes, spoils))
}

/// What a transaction does beside inserting.
#[derive(Default)]
struct Spoils {
    /// Newcomers that were not kept: no row has ever named them.
    unused: Vec<Locator>,
    /// Blobs whose rows go away.
    displaced: Vec<Locator>,
    /// Something goes on to elsewhere.
    has_queued: bool,
}

impl Spoils {
    fn is_empty(&self) -> bool {
        self.unused.is_empty() && self.displaced.is_empty() && !self.has_queued
    }
}

/// What becomes of one instance.
fn decide(
    transaction: &mut dyn Transaction,
    blobs: &dyn BlobStore,
    new: &NewInstance,
    policy: &Policy,
    spoils: &mut Spoils,
) -> Result<Outcome, Error> {
    let sop_instance_uid = &new.header.sop_instance_uid;
    let held = transaction.held(sop_instance_uid)?;
    if let Some(held) = &held {
        if is_same(held, new) {
            return again(transaction, blobs, held, new, spoils);
        }
        match policy.duplicate {
            DuplicatePolicy::Replace => {}
            DuplicatePolicy::KeepFirst => {
                spoils.unused.push(new.locator);
                return Ok(Outcome::KeptFirst);
            }
            DuplicatePolicy::Quarantine => {
                let metadata = transaction.held_metadata(sop_instance_uid)?;
                let differences = differences(&metadata.unwrap_or_default(), new);
                let reason = QuarantineReason::Duplicate;
                return hold_back(transaction, new, reason, &differences, spoils);
            }
        }
    }
    // What is to be replaced goes first: it may be all that its study says of the patient.
    let displaced = match held {
        Some(_) => transaction.remove(sop_instance_uid)?,
        None => None,
    };
    let conflict = conflict(transaction, new)?;
    if !conflict.is_empty() && policy.patient_conflict == PatientConflictPolicy::Quarantine {
        if let Some(old) = &displaced {
            insert(transaction, old)?;
        }
        let reason = QuarantineReason::PatientConflict;
        return hold_back(transaction, new, reason, &conflict, spoils);
    }
    insert(transaction, new)?;
    let is_replaced = displaced.is_some();
    spoils.has_queued |= send_on(transaction, new, &policy.forwarding, is_replaced)?;
    spoils.displaced.extend(displaced.map(|old| old.locator));
    Ok(match (conflict.is_empty(), is_replaced) {
        (false, _) => Outcome::StoredInConflict,
        (true, true) => Outcome::Replaced,
        (true, false) => Outcome::Stored,
    })
}

/// Whether what came is what is held: the object as it arrived then, or what it was made into.
fn is_same(held: &Held, new: &NewInstance) -> bool {
    let is_same = [held.digest, held.received_digest].contains(&new.received_digest);
    is_same && held.transfer_syntax_uid == new.transfer_syntax_uid
}

/// In what an instance contradicts the patient of its study; empty when it does not.
fn conflict(
    transaction: &mut dyn Transaction,
    new: &NewInstance,
) -> Result<Vec<Difference>, Error> {
    let held = transaction.study_patient(&new.header.study_instance_uid)?;
    Ok(held.map_or_else(Vec::new, |patient| {
        patient::conflict(&patient, &new.header.attributes)
    }))
}

/// Adds an instance, and notes the conflict when it contradicts its study's patient.
pub(super) fn insert(transaction: &mut dyn Transaction, new: &NewInstance) -> Result<(), Error> {
    let differences = conflict(transaction, new)?;
    transaction.insert(new)?;
    if differences.is_empty() {
        return Ok(());
    }
    transaction.note_conflict(&AcceptedConflict {
        study_instance_uid: new.header.study_instance_uid.clone(),
        sop_instance_uid: new.header.sop_instance_uid.clone(),
        differences,
        received_at_ms: new.received_at_ms,
    })
}

/// Queues what was stored for where it goes on to; whether it does.
pub(super) fn send_on(
    transaction: &mut dyn Transaction,
    new: &NewInstance,
    forwarding: &Forwarding,
    is_replacement: bool,
) -> Result<bool, Error> {
    let bound = forwarding.bound(new);
    if bound.is_empty() && !is_replacement {
        return Ok(false);
    }
    let now_ms = now_ms();
    let stable_at_ms = now_ms.saturating_add(forwarding.stable_ms);
    transaction.queue(new, &bound, now_ms, stable_at_ms, is_replacement)?;
    Ok(true)
}

/// In what a newcomer differs from what is held.
pub(super) fn differences(held_metadata: &[u8], new: &NewInstance) -> Vec<Difference> {
    difference::between(held_metadata, &new.header.metadata)
        .into_iter()
        .map(|(path, held, newcomer)| Difference {
            path,
            held,
            newcomer,
        })
        .collect()
}

/// The same bytes again. "Already stored" is a promise as well: should the bytes that are held be
/// missing or damaged, those that came take their place.
fn again(
    transaction: &mut dyn Transaction,
    blobs: &dyn BlobStore,
    held: &Held,
    new: &NewInstance,
    spoils: &mut Spoils,
) -> Result<Outcome, Error> {
    if held.locator == new.locator {
        return Ok(Outcome::AlreadyStored);
    }
    let mut problem = glance(blobs, &held.locator);
    if problem.is_none() && held.locator.length <= REREAD_BYTES_MAX {
        // The same UIDs and syntax have the same head: the data set begins where it does in ours.
        problem = damage(blobs, &held.locator, new.dataset_offset, &held.digest);
    }
    let Some(problem) = problem else {
        spoils.unused.push(new.locator);
        return Ok(Outcome::AlreadyStored);
    };
    let sop_instance_uid = &new.header.sop_instance_uid;
    tracing::error!(%sop_instance_uid, ?problem, "a stored instance was unreadable: the same bytes came again and take its place");
    let old = transaction.remove(sop_instance_uid)?;
    insert(transaction, new)?;
    spoils.displaced.extend(old.map(|old| old.locator));
    Ok(Outcome::Stored)
}

fn hold_back(
    transaction: &mut dyn Transaction,
    new: &NewInstance,
    reason: QuarantineReason,
    differences: &[Difference],
    spoils: &mut Spoils,
) -> Result<Outcome, Error> {
    let (id, is_new) = transaction.quarantine(new, reason, differences)?;
    if !is_new {
        spoils.unused.push(new.locator);
    }
    Ok(Outcome::Quarantined { id, reason })
}

/// Gives back blobs that no row names. A failure leaves an orphan for the next start, no more.
pub(super) fn discard(blobs: &dyn BlobStore, unused: &[Locator]) {
    if unused.is_empty() {
        return;
    }
    if let Err(error) = blobs.delete(unused) {
        tracing::warn!(%error, blobs = unused.len(), "unused blobs remain until the next start");
    }
}
