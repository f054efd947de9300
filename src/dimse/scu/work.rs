//! One worker of a transfer: an association after the other, as long as there is something to send
//! and the peer can be had.
//!
//! | what happens | what becomes of it |
//! |---|---|
//! | 0000, a warning, a failure | the instance is done with, and never sent again |
//! | A7xx, out of resources | sent again later, after a wait, `retries` times |
//! | the association is lost | what it has not answered is sent again, each `retries` times |
//! | no association, or one lost, more than `retries` times with no answer in between | this worker gives the peer up |
//! | rejected for good | it gives up at once |
//! | rejected for now, while others are let in | it waits for its turn |
//! | an instance that the archive does not give whole | done with; a data set that has begun costs the association |

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::time::Duration;

use tracing::{debug, info, warn};

use super::Settings;
use super::association::Association;
use super::failure::Failure;
use super::plan::Group;
use super::proposal;
use super::report::{Fate, Reason, Verdict};
use super::send::{Job, News, Request, Source, Teller};
use super::signal::Signal;
use super::store::{Sending, Unsent, answered};
use crate::archive::Archive;
use crate::dimse::status::Status;

/// The longest wait before something is tried again.
const BACK_OFF_MAX: Duration = Duration::from_secs(30);

/// What all workers of one group share.
#[derive(Clone, Copy)]
pub(super) struct Work<'a> {
    pub(super) archive: &'a Archive,
    pub(super) request: &'a Request<'a>,
    pub(super) settings: &'a Settings,
    pub(super) group: &'a Group,
    pub(super) source: &'a Source<'a>,
    pub(super) signal: &'a Signal,
}

/// One worker.
pub(super) struct Worker<'a> {
    work: Work<'a>,
    teller: Teller,
    /// Associations that failed since the last answer.
    failures: u32,
    /// A7xx since the last other answer.
    refusals: u32,
    /// How often it was turned away while others were let in.
    turned_away: u32,
    message_id: u16,
}

/// Operations that wait for their answers, by Message ID.
type UnderWay = Vec<(u16, Job)>;

/// Why an association ends before the work does.
enum Break {
    Failed(Failure),
    /// Ours to blame: the next association can follow at once.
    Ours,
}

impl From<Failure> for Break {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl<'a> Worker<'a> {
    pub(super) fn new(work: Work<'a>, teller: Teller) -> Self {
        Self {
            work,
            teller,
            failures: 0,
            refusals: 0,
            turned_away: 0,
            message_id: 0,
        }
    }

    pub(super) fn run(mut self) {
        let Work {
            request,
            settings,
            source,
            signal,
            ..
        } = self.work;
        while !signal.is_given() {
            let job = match source.take() {
                Ok(Some(job)) => job,
                Ok(None) => return,
                Err(error) => return source.fail(error),
            };
            let Err(failure) = self.associate(job) else {
                continue;
            };
            if signal.is_given() {
                return;
            }
            let peer = request.peer;
            if failure.is_for_now() && source.is_someone_in() {
                debug!(%peer, %failure, "one association less");
                self.turned_away = self.turned_away.saturating_add(1);
                self.back_off(self.turned_away);
                continue;
            }
            warn!(%peer, %failure, "association failed");
            self.failures += 1;
            if failure.is_for_good() || self.failures > settings.retries {
                return source.give_up(failure.to_string());
            }
            self.back_off(self.failures);
        }
    }

    /// One association, from its first instance on.
    fn associate(&mut self, first: Job) -> Result<(), Failure> {
        let Work {
            request,
            settings,
            group,
            source,
            ..
        } = self.work;
        let opened = Association::open(
            request.peer,
            settings,
            &group.proposed,
            settings.window,
            &mut || self.work.signal.is_given(),
        );
        let mut association = match opened {
            Ok(association) => association,
            Err(failure) => {
                source.put_back(first);
                return Err(failure);
            }
        };
        debug!(peer = %request.peer, window = association.accepted.window, "association established");
        source.enter();
        let mut under_way = UnderWay::new();
        let ended = self.exchange(&mut association, first, &mut under_way);
        source.leave();
        let Err(end) = ended else {
            info!(peer = %request.peer, "association released");
            association.release();
            return Ok(());
        };
        let failure = match end {
            Break::Ours => {
                association.abort();
                under_way
                    .drain(..)
                    .for_each(|(_, job)| source.put_back(job));
                return Ok(());
            }
            Break::Failed(failure) => failure,
        };
        association.close(&failure);
        for (_, job) in under_way.drain(..) {
            self.lost(job, &failure);
        }
        Err(failure)
    }

    /// Sends and hears answers until there is nothing left to send.
    fn exchange(
        &mut self,
        association: &mut Association,
        first: Job,
        under_way: &mut UnderWay,
    ) -> Result<(), Break> {
        let Work { source, signal, .. } = self.work;
        let window = usize::from(association.accepted.window);
        let is_cancelled = || signal.is_given();
        let mut next = Some(first);
        loop {
            while under_way.len() < window {
                let job = match next.take() {
                    Some(job) => job,
                    None if signal.is_given() => break,
                    None => match source.take() {
                        Ok(Some(job)) => job,
                        Ok(None) => break,
                        Err(error) => {
                            source.fail(error);
                            break;
                        }
                    },
                };
                self.start(association, job, under_way)?;
            }
            if under_way.is_empty() {
                return Ok(());
            }
            let response = association.receive(&is_cancelled)?;
            let job = answered(&response, under_way)?;
            match Verdict::of(response) {
                // It has come before, and the word of it was lost.
                Verdict::Final(Fate::Failed(Reason::Refused(said)))
                    if said.status == Status::DUPLICATE_INSTANCE.0 && job.is_unanswered =>
                {
                    (self.failures, self.refusals) = (0, 0);
                    self.tell(job, Fate::Warned(said));
                }
                Verdict::Final(fate) => {
                    (self.failures, self.refusals) = (0, 0);
                    self.tell(job, fate);
                }
                Verdict::Later(said) => {
                    self.refusals = self.refusals.saturating_add(1);
                    let retries = self.work.settings.retries;
                    if job.attempts >= retries || self.refusals > retries {
                        self.tell(job, Fate::Failed(Reason::Refused(said)));
                    } else {
                        self.put_last(job);
                        self.back_off(self.refusals);
                    }
                }
                Verdict::Nonsense => {
                    under_way.push((0, job));
                    return Err(Failure::Violated("a status that no C-STORE has").into());
                }
            }
        }
    }

    /// Sends one instance; its answer is for later.
    fn start(
        &mut self,
        association: &mut Association,
        job: Job,
        under_way: &mut UnderWay,
    ) -> Result<(), Break> {
        let Work {
            archive,
            request,
            group,
            signal,
            ..
        } = self.work;
        let chosen = group.choose(&association.accepted, archive, &job.located, request.scope);
        let (place, syntax) = match chosen {
            Ok(chosen) => chosen,
            Err(reason) => {
                self.tell(job, Fate::Failed(reason));
                return Ok(());
            }
        };
        self.message_id = self.message_id.checked_add(1).unwrap_or(1);
        let message_id = self.message_id;
        let sending = Sending {
            archive,
            scope: request.scope,
            located: &job.located,
            context_id: proposal::id(place),
            syntax,
            message_id,
            originator: request.originator.as_ref(),
        };
        match sending.send(association, &|| signal.is_given()) {
            Ok(()) => {
                under_way.push((message_id, job));
                Ok(())
            }
            Err(Unsent::Ungiven(reason)) => {
                self.tell(job, Fate::Failed(reason));
                Ok(())
            }
            Err(Unsent::BrokenOff(reason)) => {
                self.tell(job, Fate::Failed(reason));
                Err(Break::Ours)
            }
            Err(Unsent::Failed(failure)) => {
                under_way.push((message_id, job));
                Err(failure.into())
            }
        }
    }

    /// Whether the peer has got it, nobody knows.
    fn lost(&mut self, job: Job, failure: &Failure) {
        if self.work.signal.is_given() {
            return;
        }
        if job.attempts >= self.work.settings.retries {
            self.tell(job, Fate::Failed(Reason::Lost(failure.to_string())));
        } else {
            self.put_last(Job {
                is_unanswered: true,
                ..job
            });
        }
    }

    fn put_last(&self, job: Job) {
        self.work.source.put_last(Job {
            attempts: job.attempts + 1,
            ..job
        });
    }

    fn tell(&self, job: Job, fate: Fate) {
        let sop_instance_uid = &job.located.sop_instance_uid;
        match &fate {
            Fate::Stored => debug!(%sop_instance_uid, "sent"),
            Fate::Warned(said) => {
                let status = format_args!("{:04X}H", said.status);
                warn!(%sop_instance_uid, %status, "sent, with a warning");
            }
            // The peer's comment is not for the log.
            Fate::Failed(Reason::Refused(said)) => {
                let status = format_args!("{:04X}H", said.status);
                warn!(%sop_instance_uid, %status, "refused by the peer");
            }
            Fate::Failed(reason) => warn!(%sop_instance_uid, %reason, "not sent"),
        }
        let news: News = (job.located, fate);
        // The observer listens until all workers have gone.
        let _ = self.teller.send(news);
    }

    /// Waits before something is tried for the `count`th time again: twice as long each time, and a
    /// random part of that, so that many who wait do not come back together.
    fn back_off(&self, count: u32) {
        let factor = 1_u32
            .checked_shl(count.saturating_sub(1))
            .unwrap_or(u32::MAX);
        let whole = self
            .work
            .settings
            .back_off
            .saturating_mul(factor)
            .min(BACK_OFF_MAX);
        // Hash keys are random, which is all that is wanted here.
        let random = RandomState::new().build_hasher().finish() % 512;
        let wait = whole.mul_f64((512 + random) as f64 / 1024.0);
        self.work.signal.wait(wait);
    }
}
