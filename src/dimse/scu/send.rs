//! Instances brought to a peer: planned, shared among a few associations, each accounted for once.
//!
//! The caller's thread watches and tells; each association has a thread of its own ([`work`](super::work)).
//! What is under way is bounded everywhere: a page of rows, a window for each association, a queue of
//! what is tried again, a queue of news for the observer.

use std::collections::VecDeque;
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use super::plan::{Group, Plan, Rows};
use super::report::{Fate, Observer, Reason, Report};
use super::signal::Signal;
use super::work::{Work, Worker};
use super::{Originator, Peer, Settings};
use crate::access::Scope;
use crate::archive::{Archive, Error, Located, Target};

/// Instances for which one more association is worth its while.
const INSTANCES_AN_ASSOCIATION: u64 = 8;
/// How often the observer is asked whether to go on.
const TICK: Duration = Duration::from_millis(100);
/// News that the observer has not heard yet.
const NEWS_MAX: usize = 64;
/// Instances to be tried again, before new ones wait for them.
const AGAIN_MAX: usize = 64;

/// What is to be sent, and for whom.
#[derive(Debug, Clone)]
pub struct Request<'a> {
    /// Studies, series, instances; none of them inside another.
    pub targets: &'a [Target],
    /// What may be seen of them.
    pub scope: &'a Scope,
    /// Where to.
    pub peer: &'a Peer,
    /// Who asked for it by a C-MOVE.
    pub originator: Option<Originator>,
}

/// Sends. Returns when all is decided, or what was under way at an interruption has ended.
///
/// Gives the account, and the targets of which there was nothing to send.
///
/// # Errors
/// When the index cannot be read.
pub fn send(
    archive: &Archive,
    request: &Request<'_>,
    settings: &Settings,
    observer: &mut dyn Observer,
) -> Result<(Report, Vec<Target>), Error> {
    let plan = Plan::of(archive, request, observer)?;
    let mut report = Report {
        total: plan.total,
        ..Report::default()
    };
    observer.planned(plan.total);
    let signal = Signal::default();
    let mut unreachable = None;
    for group in &plan.groups {
        let source = Source::new(archive, request, group);
        let (sender, news) = sync_channel(NEWS_MAX);
        let work = Work {
            archive,
            request,
            settings,
            group,
            source: &source,
            signal: &signal,
        };
        // Who was cancelled while it waited for its turn calls nobody.
        if !signal.is_given() && observer.is_cancelled() {
            signal.give();
        }
        // A peer that was lost for good is not called again for what is left.
        let wanted = plan.total.div_ceil(INSTANCES_AN_ASSOCIATION);
        let workers = match unreachable {
            Some(_) => 0,
            None => settings
                .associations
                .min(usize::try_from(wanted).unwrap_or(usize::MAX)),
        };
        thread::scope(|scope| {
            for number in 0..workers {
                let worker = Worker::new(work, sender.clone());
                // The others wait for the first: a peer that lets in only one lets in that.
                let working = move || {
                    if number > 0 {
                        work.source.wait_for_the_first();
                    }
                    let _after = Begin(work.source);
                    worker.run();
                };
                let named = thread::Builder::new().name("dimse-send".into());
                match named.spawn_scoped(scope, working) {
                    Ok(_) => {}
                    // Those that there are do it.
                    Err(cause) => {
                        if number == 0 {
                            source.give_up(format!("no thread: {cause}"));
                        }
                        break;
                    }
                }
            }
            drop(sender);
            loop {
                match news.recv_timeout(TICK) {
                    Ok((located, fate)) => {
                        report.add(&fate);
                        observer.ended(&located, &fate);
                    }
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => break,
                }
                if !signal.is_given() && observer.is_cancelled() {
                    signal.give();
                }
            }
        });
        source.failed()?;
        let why = unreachable.take().or(source.unreachable());
        // Nobody works on what is left now. When nothing is, somebody got through after all.
        while let Some(why) = &why
            && !signal.is_given()
            && let Some(job) = source.take()?
        {
            let fate = Fate::Failed(match job.is_unanswered {
                true => Reason::Lost(why.clone()),
                false => Reason::Unreachable(why.clone()),
            });
            report.add(&fate);
            observer.ended(&job.located, &fate);
            unreachable = Some(why.clone());
            if observer.is_cancelled() {
                signal.give();
            }
        }
    }
    Ok((report, plan.missing))
}

/// An instance whose fate is decided.
pub(super) type News = (Located, Fate);
pub(super) type Teller = SyncSender<News>;

/// An instance to be sent.
pub(super) struct Job {
    pub(super) located: Located,
    /// How often it was sent in vain.
    pub(super) attempts: u32,
    /// It was sent, and no answer came: the peer may have it.
    pub(super) is_unanswered: bool,
}

/// Where workers take instances from. Each is in one hand at a time.
pub(super) struct Source<'a> {
    archive: &'a Archive,
    scope: &'a Scope,
    group: &'a Group,
    state: Mutex<State<'a>>,
    /// Told when others may begin.
    begun: Condvar,
}

struct State<'a> {
    rows: Rows<'a>,
    /// Taken, and not sent after all.
    returned: Vec<Job>,
    /// Sent in vain.
    again: VecDeque<Job>,
    error: Option<Error>,
    unreachable: Option<String>,
    /// Associations that the peer has let in.
    established: usize,
    /// The first association was let in, or will not be.
    has_begun: bool,
}

impl<'a> Source<'a> {
    fn new(archive: &'a Archive, request: &'a Request<'_>, group: &'a Group) -> Self {
        Self {
            archive,
            scope: request.scope,
            group,
            state: Mutex::new(State {
                rows: Rows::new(request.targets),
                returned: Vec::new(),
                again: VecDeque::new(),
                error: None,
                unreachable: None,
                established: 0,
                has_begun: false,
            }),
            begun: Condvar::new(),
        }
    }

    /// The next instance; those that were sent in vain come last.
    pub(super) fn take(&self) -> Result<Option<Job>, Error> {
        let mut state = self.state();
        if let Some(job) = state.returned.pop() {
            return Ok(Some(job));
        }
        while state.again.len() < AGAIN_MAX && state.error.is_none() {
            let Some(located) = state.rows.next(self.archive, self.scope)? else {
                break;
            };
            if self.group.is_for(&located.sop_class_uid) {
                return Ok(Some(Job {
                    located,
                    attempts: 0,
                    is_unanswered: false,
                }));
            }
        }
        Ok(state.again.pop_front())
    }

    /// Gives back what was not sent.
    pub(super) fn put_back(&self, job: Job) {
        self.state().returned.push(job);
    }

    /// Gives back what was sent in vain.
    pub(super) fn put_last(&self, job: Job) {
        self.state().again.push_back(job);
    }

    fn wait_for_the_first(&self) {
        let mut state = self.state();
        while !state.has_begun {
            state = self
                .begun
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn let_others_begin(&self) {
        self.state().has_begun = true;
        self.begun.notify_all();
    }

    /// The peer has let in one more.
    pub(super) fn enter(&self) {
        self.state().established += 1;
        self.let_others_begin();
    }

    /// An association has ended.
    pub(super) fn leave(&self) {
        let mut state = self.state();
        state.established = state.established.saturating_sub(1);
    }

    /// Whether the peer has let in anybody.
    pub(super) fn is_someone_in(&self) -> bool {
        self.state().established > 0
    }

    /// The index has failed: everybody ends.
    pub(super) fn fail(&self, error: Error) {
        self.state().error.get_or_insert(error);
    }

    /// One worker has given the peer up.
    pub(super) fn give_up(&self, why: String) {
        self.state().unreachable = Some(why);
    }

    fn failed(&self) -> Result<(), Error> {
        match self.state().error.take() {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    fn unreachable(&self) -> Option<String> {
        self.state().unreachable.take()
    }

    /// Nothing that holds the lock can panic half-way.
    fn state(&self) -> MutexGuard<'_, State<'a>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Lets the others begin when the first has ended, on a panic too.
struct Begin<'a>(&'a Source<'a>);

impl Drop for Begin<'_> {
    fn drop(&mut self) {
        self.0.let_others_begin();
    }
}
