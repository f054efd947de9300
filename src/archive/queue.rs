//! The queue of what goes on to other archives: what an instance is in it, and the deeds on it. The
//! index keeps it, so that it lasts as the instances do.
//!
//! | state | in the index |
//! |---|---|
//! | not stable yet | queued, its study due later |
//! | due, or being sent | queued, its study due; a crash leaves it so |
//! | sent | not queued any more; counted |
//! | refused, to be tried again | queued with a reason, not before a moment |
//! | failed | queued with a reason, out of turn until somebody asks for a retry |

use crate::archive::removal::now_ms;
use crate::archive::{Archive, Error};
use crate::dicom::Uid;

/// An instance that is to go to a destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Queued {
    /// (0020,000D)
    pub study_instance_uid: Uid,
    /// (0020,000E)
    pub series_instance_uid: Uid,
    /// (0008,0018)
    pub sop_instance_uid: Uid,
    /// Tells it from what takes its place when the instance is replaced meanwhile.
    pub change: u64,
    /// It took the place of other bytes.
    pub is_replacement: bool,
    /// It may have been sent without an answer: the power went, or the connection.
    pub is_doubtful: bool,
    /// How often the destination has not taken it.
    pub attempts: u32,
    /// When it was queued, milliseconds since 1970 UTC.
    pub queued_at_ms: i64,
    /// When it is to be tried again, likewise; 0 when it was not tried yet.
    pub not_before_ms: i64,
    /// It is not tried again by itself.
    pub is_failed: bool,
    /// Why the destination has not taken it. For administrators: may tell what the destination wrote.
    pub reason: Option<Box<str>>,
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// Which instance it was about.
    pub queued: Queued,
    /// How.
    pub ending: Ending,
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// The destination has it.
    Sent,
    /// It was not sent after all: it is as it was.
    Unsent,
    /// The destination has not taken it.
    Refused {
        /// Why.
        reason: Box<str>,
        /// When to try again, milliseconds since 1970 UTC.
        not_before_ms: i64,
        /// Not by itself.
        is_given_up: bool,
        /// It has not said so: it may have it.
        is_doubtful: bool,
    },
}

/// A study and a destination, as an administrator sees them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StudyForward {
    /// Where to.
    pub destination: Box<str>,
    /// (0020,000D)
    pub study_instance_uid: Uid,
    /// Instances that are queued and have not failed.
    pub waiting: u64,
    /// Instances that have failed.
    pub failed: u64,
    /// How many were sent.
    pub sent: u64,
    /// When the last was sent, milliseconds since 1970 UTC.
    pub sent_at_ms: Option<i64>,
    /// When the study is or was stable, likewise.
    pub stable_at_ms: i64,
    /// When it is looked at next, likewise; `None` when nothing waits.
    pub due_at_ms: Option<i64>,
    /// Why one of its instances was not taken.
    pub reason: Option<Box<str>>,
}

/// A destination, as an administrator sees it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DestinationState {
    /// Its name.
    pub destination: Box<str>,
    /// Instances of studies that are not stable yet.
    pub unstable: u64,
    /// Instances that are due, or tried again later.
    pub due: u64,
    /// Instances that have failed.
    pub failed: u64,
    /// How many were sent, ever.
    pub sent: u64,
    /// Why nothing is sent at present.
    pub pause: Option<Pause>,
}

/// A destination that could not be reached is left alone for a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pause {
    /// Why. For administrators.
    pub reason: Box<str>,
    /// How often in a row.
    pub failures: u32,
    /// Until when, milliseconds since 1970 UTC.
    pub until_ms: i64,
}

/// Which part of the queue a command is about; `None` for all.
#[derive(Debug, Clone, Copy, Default)]
pub struct Part<'a> {
    /// To one destination.
    pub destination: Option<&'a str>,
    /// Of one study.
    pub study_instance_uid: Option<&'a Uid>,
}

impl Archive {
    /// See [`Index::due_studies`](crate::archive::Index::due_studies).
    ///
    /// # Errors
    /// When the index fails.
    pub fn due_studies(&self, destination: &str, limit: usize) -> Result<Vec<Uid>, Error> {
        self.inner.index.due_studies(destination, now_ms(), limit)
    }

    /// Instances of a study that are to go now, at most `limit`.
    ///
    /// # Errors
    /// When the index fails.
    pub fn ready(
        &self,
        destination: &str,
        study_instance_uid: &Uid,
        limit: usize,
    ) -> Result<Vec<Queued>, Error> {
        let index = &self.inner.index;
        index.queued(destination, study_instance_uid, Some(now_ms()), limit)
    }

    /// All instances of a study that are queued, failed ones too, at most `limit`.
    ///
    /// # Errors
    /// When the index fails.
    pub fn queued(
        &self,
        destination: &str,
        study_instance_uid: &Uid,
        limit: usize,
    ) -> Result<Vec<Queued>, Error> {
        let index = &self.inner.index;
        index.queued(destination, study_instance_uid, None, limit)
    }

    /// See [`Index::study_forwards`](crate::archive::Index::study_forwards).
    ///
    /// # Errors
    /// When the index fails.
    pub fn study_forwards(
        &self,
        after: Option<(&str, &Uid)>,
        is_all: bool,
        limit: usize,
    ) -> Result<Vec<StudyForward>, Error> {
        self.inner.index.study_forwards(after, is_all, limit)
    }

    /// Every destination that something was ever queued for.
    ///
    /// # Errors
    /// When the index fails.
    pub fn destinations(&self) -> Result<Vec<DestinationState>, Error> {
        self.inner.index.destinations(now_ms())
    }

    /// Why nothing is to be sent to a destination now, and until when; `None` when it can be.
    ///
    /// # Errors
    /// When the index fails.
    pub fn pause(&self, destination: &str) -> Result<Option<Pause>, Error> {
        self.inner.index.pause(destination)
    }

    /// Notes that instances are about to be sent: until [`Archive::note_ended`], nobody knows whether
    /// the destination has them.
    ///
    /// # Errors
    /// When the index fails.
    pub fn note_begun(&self, destination: &str, queued: &[Queued]) -> Result<(), Error> {
        let mut transaction = self.inner.index.begin()?;
        for one in queued.iter().filter(|one| !one.is_doubtful) {
            transaction.begin_attempt(destination, one)?;
        }
        transaction.commit()
    }

    /// Notes how attempts ended, durable when this returns. What was replaced meanwhile goes again.
    ///
    /// # Errors
    /// When the index fails: then they will be made again.
    pub fn note_ended(&self, destination: &str, ended: &[Ended]) -> Result<(), Error> {
        let mut transaction = self.inner.index.begin()?;
        for one in ended {
            transaction.end_attempt(destination, one, now_ms())?;
        }
        transaction.commit()
    }

    /// Notes that studies were looked at: what of them still waits is due in its time.
    ///
    /// # Errors
    /// When the index fails.
    pub fn settle(&self, destination: &str, studies: &[Uid]) -> Result<(), Error> {
        let mut transaction = self.inner.index.begin()?;
        for study in studies {
            transaction.settle(destination, study)?;
        }
        transaction.commit()
    }

    /// Leaves a destination alone, or no longer. What was queued before `queued_before_ms` has
    /// failed then. Gives how many have.
    ///
    /// # Errors
    /// When the index fails.
    pub fn set_pause(
        &self,
        destination: &str,
        pause: Option<&Pause>,
        queued_before_ms: i64,
    ) -> Result<u64, Error> {
        let mut transaction = self.inner.index.begin()?;
        transaction.set_pause(destination, pause)?;
        let failed = match pause {
            Some(pause) => transaction.give_up(destination, queued_before_ms, &pause.reason)?,
            None => 0,
        };
        transaction.commit()?;
        Ok(failed)
    }

    /// Tries again at once what has failed or waits for another attempt. Gives how many instances.
    ///
    /// # Errors
    /// When the index fails.
    pub fn retry(&self, part: Part<'_>) -> Result<u64, Error> {
        let mut transaction = self.inner.index.begin()?;
        let count = transaction.retry(part, now_ms())?;
        transaction.commit()?;
        Ok(count)
    }

    /// Takes out of the queue. What comes for the study later is queued again when a rule says so.
    /// Gives how many instances.
    ///
    /// # Errors
    /// When the index fails.
    pub fn unqueue(&self, part: Part<'_>) -> Result<u64, Error> {
        let mut transaction = self.inner.index.begin()?;
        let count = transaction.unqueue(part)?;
        transaction.commit()?;
        Ok(count)
    }
}
