//! The worker of one destination: what is due, one after the other, until there is nothing left; then it looks again every
//! second.
//!
//! | what happens | what becomes of it |
//! |---|---|
//! | the receiver has it | delivered, durably, before anything else of its case goes there |
//! | the receiver does not take this one | it waits, longer each time, and what came later of its case behind it; failed after `give_up_after` |
//! | the receiver takes none of several in a row | as if it could not be reached |
//! | there is no such recipient | it has failed |
//! | the receiver cannot be reached, or takes nothing at present | all that goes there waits, longer each time; failed after `give_up_after` |
//! | the receiver wants nothing any more (410 Gone) | all that goes there has failed, and nothing is queued until somebody asks for a retry |
//! | told to stop | what has no answer stays in the queue |

use std::sync::Arc;
use std::time::Duration;

use tracing::{error, info, warn};

use crate::access::LedgerError;
use crate::cases::CaseLedger;
use crate::cases::notices::{Delivery, NoticePause, Refused};
use crate::forward::Signal;
use crate::forward::pace::{asked_for_ms, milliseconds, next_attempt_ms, now_ms};

/// How often a worker with nothing to do looks again.
const TICK: Duration = Duration::from_secs(1);
/// How long it waits when the ledger fails.
const BROKEN_WAIT: Duration = Duration::from_secs(30);
/// Deliveries made before it looks again what is due.
const BATCH: usize = 50;
/// Nothing is given up before so many attempts, however long we were off ourselves.
const ATTEMPTS_MIN: u32 = 3;

/// After so many in a row that a receiver does not take it is left alone: it is not they that are to blame.
const REFUSALS_MAX: u32 = 10;

/// Brings notices to one destination.
pub(super) trait Carrier: Send + Sync {
    /// Delivers one, within a time.
    fn carry(&self, delivery: &Delivery) -> Outcome;
}

/// What became of an attempt.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The receiver has it.
    Delivered,
    /// The receiver does not take this one, or not now.
    Refused(String),
    /// There is nobody to take it.
    Nobody(String),
    /// Nothing can be delivered at present; and what wait the receiver has asked for.
    Unreachable(String, Option<Duration>),
    /// The receiver wants nothing any more.
    Gone(String),
}

/// The worker of one destination.
pub(super) struct Worker {
    pub(super) destination: Box<str>,
    pub(super) carrier: Box<dyn Carrier>,
    pub(super) ledger: Arc<dyn CaseLedger>,
    pub(super) signal: Arc<Signal>,
    pub(super) retry_wait: Duration,
    pub(super) give_up_after: Duration,
}

impl Worker {
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
                    error!(destination, %cause, "the queue of notices cannot be kept: nothing is delivered for a while");
                    self.signal.wait(BROKEN_WAIT);
                }
            }
            if self.signal.is_given() {
                return;
            }
            result = self.round();
        }
    }

    /// Who wants nothing any more is asked again by `overread notices retry` only.
    fn clear_pause(&self) -> Result<(), LedgerError> {
        match self.ledger.notice_pause(&self.destination)? {
            Some(pause) if !pause.is_gone => self
                .ledger
                .set_notice_pause(&self.destination, None, 0, now_ms())
                .map(|_| ()),
            Some(_) | None => Ok(()),
        }
    }

    /// Makes the deliveries that are due. `false` when there was nothing, or nothing can be delivered.
    fn round(&self) -> Result<bool, LedgerError> {
        let destination = &*self.destination;
        let pause = self.ledger.notice_pause(destination)?;
        if pause
            .as_ref()
            .is_some_and(|p| p.is_gone || p.until_ms > now_ms())
        {
            return Ok(false);
        }
        let mut failures = pause.map_or(0, |pause| pause.failures);
        let due = self.ledger.due_deliveries(destination, now_ms(), BATCH)?;
        let is_something = !due.is_empty();
        let mut refusals = 0;
        for delivery in due {
            if self.signal.is_given() {
                return Ok(false);
            }
            // Those before it took their time, and somebody may have forgotten it meanwhile.
            if !self.ledger.is_waiting(delivery.id)? {
                continue;
            }
            let (case, event) = (delivery.notice.case, delivery.notice.event.word());
            let outcome = self.carrier.carry(&delivery);
            match outcome {
                Outcome::Delivered => {
                    self.ledger.note_delivered(delivery.id, now_ms())?;
                    info!(destination, case, event, "notice delivered");
                    if failures > 0 {
                        info!(destination, "the receiver can be reached again");
                    }
                    (failures, refusals) = (0, 0);
                }
                Outcome::Refused(reason) => {
                    self.refused(&delivery, &reason, false)?;
                    refusals += 1;
                    if refusals == REFUSALS_MAX {
                        self.leave_alone(&reason, None, failures)?;
                        return Ok(false);
                    }
                }
                Outcome::Nobody(reason) => self.refused(&delivery, &reason, true)?,
                Outcome::Unreachable(reason, wait) => {
                    let tried = Refused {
                        reason: reason.as_str().into(),
                        not_before_ms: 0,
                        is_given_up: false,
                    };
                    self.ledger.note_refused(delivery.id, &tried, now_ms())?;
                    self.leave_alone(&reason, wait, failures)?;
                    return Ok(false);
                }
                Outcome::Gone(reason) => {
                    self.gone(reason)?;
                    return Ok(false);
                }
            }
        }
        Ok(is_something)
    }

    fn refused(
        &self,
        delivery: &Delivery,
        reason: &str,
        is_final: bool,
    ) -> Result<(), LedgerError> {
        let attempts = delivery.attempts.saturating_add(1);
        let is_given_up =
            is_final || (attempts >= ATTEMPTS_MIN && delivery.queued_ms <= self.long_ago());
        let refused = Refused {
            reason: reason.into(),
            not_before_ms: next_attempt_ms(self.retry_wait, attempts),
            is_given_up,
        };
        self.ledger.note_refused(delivery.id, &refused, now_ms())?;
        let destination = &*self.destination;
        let (case, event) = (delivery.notice.case, delivery.notice.event.word());
        warn!(
            destination,
            case, event, reason, attempts, "the notice was not taken"
        );
        if is_given_up {
            error!(
                destination,
                case, event, "given up: see overread notices list"
            );
        }
        Ok(())
    }

    fn leave_alone(
        &self,
        reason: &str,
        wait: Option<Duration>,
        before: u32,
    ) -> Result<(), LedgerError> {
        let destination = &*self.destination;
        let failures = before.saturating_add(1);
        let until_ms = match wait {
            Some(wait) => asked_for_ms(wait),
            None => next_attempt_ms(self.retry_wait, failures),
        };
        let pause = NoticePause {
            reason: reason.into(),
            failures,
            until_ms,
            is_gone: false,
        };
        let long_ago = match failures >= ATTEMPTS_MIN {
            true => self.long_ago(),
            false => i64::MIN,
        };
        let failed = self
            .ledger
            .set_notice_pause(destination, Some(&pause), long_ago, now_ms())?;
        let wait_s = until_ms.saturating_sub(now_ms()) / 1000;
        warn!(
            destination,
            reason, failures, wait_s, "the receiver cannot be reached"
        );
        if failed > 0 {
            error!(
                destination,
                notices = failed,
                "given up: see overread notices list"
            );
        }
        Ok(())
    }

    fn gone(&self, reason: String) -> Result<(), LedgerError> {
        let destination = &*self.destination;
        let pause = NoticePause {
            reason: reason.as_str().into(),
            failures: 1,
            until_ms: 0,
            is_gone: true,
        };
        let failed = self
            .ledger
            .set_notice_pause(destination, Some(&pause), i64::MAX, now_ms())?;
        error!(
            destination,
            reason,
            notices = failed,
            "the receiver wants nothing any more, until overread notices retry --to"
        );
        Ok(())
    }

    /// What was queued before that has waited long enough.
    fn long_ago(&self) -> i64 {
        now_ms().saturating_sub(milliseconds(self.give_up_after))
    }
}

#[cfg(test)]
mod tests;
