//! The worker of one destination: what is due, in batches, until there is nothing left; then it
//! looks again every second.
//!
//! | what happens | what becomes of it |
//! |---|---|
//! | acknowledged, with a warning too | out of the queue at once, durably |
//! | refused as a duplicate (0111H), and it may have been sent before without an answer | the destination has it: likewise |
//! | refused otherwise, or lost on the way each time | that instance waits, longer each time; failed after `attempts_max` |
//! | the destination cannot be reached, or has no room | all that goes there waits, longer each time; failed after `give_up_after` |
//! | told to stop | what has no answer stays in the queue |

use std::sync::Arc;
use std::time::Duration;

use tracing::{error, info, warn};

use super::pace::{asked_for_ms, milliseconds, next_attempt_ms, now_ms};
use super::{Route, Settings, To};
use crate::archive::queue::{Ended, Ending, Pause, Queued};
use crate::archive::{Archive, Error};
use crate::dicom::Uid;
use crate::dimse::scu::{self, Signal};

/// How often a worker with nothing to do looks again.
const TICK: Duration = Duration::from_secs(1);
/// How long it waits when the index fails.
const BROKEN_WAIT: Duration = Duration::from_secs(30);
/// Instances sent before it looks again what is due.
const BATCH_MAX: usize = 500;
/// Studies looked at for one batch.
const STUDIES_MAX: usize = 100;

/// Duplicate SOP Instance (PS3.7 §C.5.2; Failure Reason of PS3.18 Table I.2-2).
pub(super) const DUPLICATE: u16 = 0x0111;

/// The worker of one destination.
pub(super) struct Worker {
    pub(super) destination: Box<str>,
    to: To,
    pub(super) archive: Archive,
    pub(super) signal: Arc<Signal>,
    pub(super) outgoing: scu::Settings,
    retry_wait: Duration,
    attempts_max: u32,
    give_up_after: Duration,
}

/// How a batch ended.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) sent: u64,
    pub(super) refused: u64,
    /// Why the rest was not sent.
    pub(super) unreachable: Option<Unreachable>,
}

/// Why nothing can be sent at present.
#[derive(Debug)]
pub(super) struct Unreachable {
    pub(super) reason: String,
    /// What the destination has asked for.
    pub(super) wait: Option<Duration>,
}

impl Worker {
    pub(super) fn new(
        route: &Route,
        settings: &Settings,
        archive: Archive,
        signal: Arc<Signal>,
    ) -> Self {
        Self {
            destination: route.name.clone(),
            to: route.to.clone(),
            archive,
            signal,
            outgoing: settings.outgoing.clone(),
            retry_wait: settings.retry_wait,
            attempts_max: settings.attempts_max,
            give_up_after: settings.give_up_after,
        }
    }

    /// Until it is told to stop.
    pub(super) fn run(&self) {
        let destination = &*self.destination;
        // Whoever starts us may have mended something.
        let mut result = self.clear_pause().map(|()| true);
        while !self.signal.is_given() {
            match result {
                Ok(true) => {}
                Ok(false) => self.signal.wait(TICK),
                Err(cause) => {
                    error!(destination, %cause, "the queue cannot be kept: nothing is forwarded for a while");
                    self.signal.wait(BROKEN_WAIT);
                }
            }
            if self.signal.is_given() {
                return;
            }
            result = self.round();
        }
    }

    fn clear_pause(&self) -> Result<(), Error> {
        match self.archive.pause(&self.destination)? {
            Some(_) => self
                .archive
                .set_pause(&self.destination, None, 0)
                .map(|_| ()),
            None => Ok(()),
        }
    }

    /// Sends one batch of what is due. `false` when there was nothing to send.
    fn round(&self) -> Result<bool, Error> {
        let destination = &*self.destination;
        let pause = self.archive.pause(destination)?;
        if pause.as_ref().is_some_and(|p| p.until_ms > now_ms()) {
            return Ok(false);
        }
        let (studies, queued) = self.due()?;
        if studies.is_empty() {
            return Ok(false);
        }
        let count = queued.len();
        let batch = match (&self.to, count) {
            (_, 0) => Batch::default(),
            (To::Dicom(peer), _) => {
                self.archive.note_begun(destination, &queued)?;
                self.send_by_dicom(peer, queued)?
            }
            (To::Web(address), _) => self.send_by_web(address, queued)?,
        };
        self.archive.settle(destination, &studies)?;
        let Batch { sent, refused, .. } = batch;
        match batch.unreachable {
            Some(unreachable) => self.leave_alone(&unreachable, pause.as_ref(), sent)?,
            None if pause.is_some() && sent + refused > 0 => {
                self.clear_pause()?;
                info!(destination, "the destination can be reached again");
            }
            None => {}
        }
        if sent + refused > 0 {
            info!(
                destination,
                studies = studies.len(),
                sent,
                refused,
                "forwarded"
            );
        }
        Ok(sent + refused > 0)
    }

    /// Studies that are due, and of their instances as many as go at once.
    fn due(&self) -> Result<(Vec<Uid>, Vec<Queued>), Error> {
        let (mut studies, mut queued) = (Vec::new(), Vec::new());
        for study in self.archive.due_studies(&self.destination, STUDIES_MAX)? {
            let room = BATCH_MAX - queued.len();
            if room == 0 {
                break;
            }
            queued.extend(self.archive.ready(&self.destination, &study, room)?);
            studies.push(study);
        }
        Ok((studies, queued))
    }

    fn leave_alone(
        &self,
        unreachable: &Unreachable,
        before: Option<&Pause>,
        sent: u64,
    ) -> Result<(), Error> {
        let failures = match before {
            Some(pause) if sent == 0 => pause.failures.saturating_add(1),
            Some(_) | None => 1,
        };
        let until_ms = match unreachable.wait {
            Some(wait) => asked_for_ms(wait),
            None => next_attempt_ms(self.retry_wait, failures),
        };
        let pause = Pause {
            reason: unreachable.reason.as_str().into(),
            failures,
            until_ms,
        };
        // Not at the first failure after a start, however long we were off ourselves.
        let long_ago = match failures >= self.attempts_max {
            true => now_ms().saturating_sub(milliseconds(self.give_up_after)),
            false => i64::MIN,
        };
        let destination = &*self.destination;
        let failed = self
            .archive
            .set_pause(destination, Some(&pause), long_ago)?;
        let (reason, wait_s) = (&*pause.reason, until_ms.saturating_sub(now_ms()) / 1000);
        warn!(
            destination,
            reason, failures, wait_s, "the destination cannot be reached"
        );
        if failed > 0 {
            error!(
                destination,
                instances = failed,
                "given up: see overread forward list"
            );
        }
        Ok(())
    }

    /// What becomes of an instance that the destination has refused as a duplicate. One that it may
    /// have from us is there; one that it has from elsewhere may be another, and somebody must look.
    pub(super) fn duplicate(&self, queued: &Queued, reason: String) -> Ending {
        if !queued.is_doubtful || queued.is_replacement {
            return self.refused(queued, reason);
        }
        let (destination, sop_instance_uid) = (&*self.destination, &queued.sop_instance_uid);
        info!(destination, %sop_instance_uid, "the destination has it already: it was sent before");
        Ending::Sent
    }

    /// What becomes of an instance whose answer was lost on the way, or the instance itself.
    pub(super) fn lost(&self, queued: &Queued, reason: String) -> Ending {
        match self.refused(queued, reason) {
            Ending::Refused {
                reason,
                not_before_ms,
                is_given_up,
                ..
            } => Ending::Refused {
                reason,
                not_before_ms,
                is_given_up,
                is_doubtful: true,
            },
            other => other,
        }
    }

    /// What becomes of an instance that the destination has not taken.
    pub(super) fn refused(&self, queued: &Queued, reason: String) -> Ending {
        let attempts = queued.attempts.saturating_add(1);
        let is_given_up = attempts >= self.attempts_max;
        if is_given_up {
            let sop_instance_uid = &queued.sop_instance_uid;
            let destination = &*self.destination;
            error!(destination, %sop_instance_uid, attempts, "given up: see overread forward list");
        }
        Ending::Refused {
            reason: reason.into(),
            not_before_ms: next_attempt_ms(self.retry_wait, attempts),
            is_given_up,
            is_doubtful: false,
        }
    }

    /// Notes what was acknowledged.
    pub(super) fn note(&self, ended: &[Ended], batch: &mut Batch) -> Result<(), Error> {
        if ended.is_empty() {
            return Ok(());
        }
        self.archive.note_ended(&self.destination, ended)?;
        for one in ended {
            match one.ending {
                Ending::Sent => batch.sent += 1,
                Ending::Refused { .. } => batch.refused += 1,
                Ending::Unsent => {}
            }
        }
        Ok(())
    }
}
