//! Who commits, and when. Finished objects wait in one queue; whoever finds nobody at work takes what
//! waits and commits it ([`super::commit`]), its own object among it: a sender that waits for its
//! answer anyway needs no other thread to wake up for it. Those that come meanwhile wait, and as soon
//! as the blobs of the first are synced, the first of them takes over with all the others: their blobs
//! are synced together, while the first decides. What nobody waits for yet ([`Committer::submit`]) is the work
//! of a thread.
//!
//! One syncs and one decides at a time, in the same order, so that two senders that race with the same
//! instance are one after the other, and a removal has its place in the order of stores.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use crate::archive::blob::BlobStore;
use crate::archive::commit::{Policy, Storing, settle, sync};
use crate::archive::index::{Index, NewInstance};
use crate::archive::removal::{Removal, Removed, carry_out};
use crate::archive::{Error, Outcome};

/// The most instances that share one sync and one transaction.
const BATCH_MAX: usize = 256;

/// Finished objects that may wait; a sender beyond that waits before it is one of them.
const QUEUE_MAX: usize = 1024;

/// What who waits for an answer hears.
enum Word<T> {
    /// Nobody takes from the queue now, and it is the first there.
    Lead,
    Done(Result<T, Error>),
}

/// How an answer gets to who waits for it.
pub(super) struct Reply<T>(SyncSender<Word<T>>);

impl<T> Reply<T> {
    pub(super) fn send(&self, result: Result<T, Error>) {
        // Whoever asked may have gone; it is done all the same.
        let _ = self.0.send(Word::Done(result));
    }
}

enum Job {
    Store(Box<Storing>),
    Remove(Removal, Reply<Removed>),
}

/// What one who leads does at a time.
enum Deed {
    Store(Vec<Storing>),
    Remove(Removal, Reply<Removed>),
}

struct Entry {
    job: Job,
    /// Whether its sender waits, so that it can lead.
    is_awaited: bool,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Entry>,
    /// Somebody has taken from the queue and syncs, or has been told to.
    is_led: bool,
    is_stopping: bool,
    /// Whoever committed panicked: nobody knows what the index holds, so nothing more is taken.
    is_broken: bool,
}

struct Shared {
    state: Mutex<State>,
    /// Held by whoever decides. Taken before the lead is passed on, so that all decide in the order of the queue.
    turn: Mutex<()>,
    /// There may be work for the thread, or it shall end.
    work: Condvar,
    /// There is room in the queue.
    room: Condvar,
    index: Arc<dyn Index>,
    blobs: Arc<dyn BlobStore>,
    policy: Policy,
}

/// The queue of what waits for its commit. Dropped, it finishes what was handed to it.
pub(super) struct Committer {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Committer {
    pub(super) fn start(
        index: Arc<dyn Index>,
        blobs: Arc<dyn BlobStore>,
        policy: Policy,
    ) -> Result<Self, Error> {
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            turn: Mutex::default(),
            work: Condvar::new(),
            room: Condvar::new(),
            index,
            blobs,
            policy,
        });
        let worker = shared.clone();
        let thread = std::thread::Builder::new()
            .name("commit".into())
            .spawn(move || worker.run())
            .map_err(|cause| Error::broken("starting the commit thread", cause))?;
        Ok(Self {
            shared,
            thread: Some(thread),
        })
    }

    /// Whether anything can be committed.
    pub(super) fn is_alive(&self) -> bool {
        let is_running = |thread: &JoinHandle<()>| !thread.is_finished();
        !self.shared.state().is_broken && self.thread.as_ref().is_some_and(is_running)
    }

    /// Hands an instance over; blocks only while the queue is full.
    pub(super) fn submit(&self, new: NewInstance) -> Result<Decision, Error> {
        let (reply, answer) = sync_channel(2);
        let job = Job::Store(Box::new(Storing {
            new,
            reply: Reply(reply),
        }));
        let state = self.shared.push(job, false)?;
        if !state.is_led {
            self.shared.work.notify_one();
        }
        Ok(Decision(answer))
    }

    /// Commits an instance; blocks until it is done.
    ///
    /// # Errors
    /// When it was not taken, after `refused`; else those of the commit, which sees to the blob.
    pub(super) fn commit(
        &self,
        new: NewInstance,
        refused: impl FnOnce(),
    ) -> Result<Outcome, Error> {
        self.do_now(
            |reply| Job::Store(Box::new(Storing { new, reply })),
            refused,
        )
    }

    /// Removes, after everything that was handed over before; blocks until it is done.
    pub(super) fn remove(&self, removal: Removal) -> Result<Removed, Error> {
        self.do_now(|reply| Job::Remove(removal, reply), || ())
    }

    fn do_now<T>(
        &self,
        job: impl FnOnce(Reply<T>) -> Job,
        refused: impl FnOnce(),
    ) -> Result<T, Error> {
        let (reply, answer) = sync_channel(2);
        let pushed = self.shared.push(job(Reply(reply)), true);
        let mut state = pushed.inspect_err(|_| refused())?;
        if state.is_led {
            drop(state);
        } else {
            state.is_led = true;
            self.shared.lead(state);
        }
        loop {
            match answer.recv().map_err(|_| stopping())? {
                Word::Done(result) => return result,
                Word::Lead => self.shared.lead(self.shared.state()),
            }
        }
    }
}

impl Drop for Committer {
    fn drop(&mut self) {
        self.shared.state().is_stopping = true;
        self.shared.work.notify_all();
        if let Some(thread) = self.thread.take() {
            // A panic in there has been reported by its hook already.
            let _ = thread.join();
        }
    }
}

/// What will be said of one instance.
pub(super) struct Decision(Receiver<Word<Outcome>>);

impl Decision {
    /// Blocks until the instance is committed (or held back, or found to be here already), or failed.
    pub(super) fn wait(self) -> Result<Outcome, Error> {
        match self.0.recv() {
            Ok(Word::Done(result)) => result,
            Ok(Word::Lead) | Err(_) => Err(stopping()),
        }
    }
}

fn stopping() -> Error {
    Error::Busy("the archive is stopping")
}

/// Whoever leads. Should it panic, nobody else waits for ever.
struct Leader<'a>(&'a Shared);

impl Drop for Leader<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let mut state = self.0.state();
            state.is_broken = true;
            // Whoever waits hears that nobody will answer.
            state.queue.clear();
            drop(state);
            self.0.work.notify_all();
            self.0.room.notify_all();
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, job: Job, is_awaited: bool) -> Result<MutexGuard<'_, State>, Error> {
        let mut state = self.state();
        while state.queue.len() >= QUEUE_MAX && !state.is_broken {
            state = self
                .room
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        if state.is_broken {
            return Err(stopping());
        }
        state.queue.push_back(Entry { job, is_awaited });
        Ok(state)
    }

    /// Commits what waits now, once, and passes the lead on.
    fn lead(&self, mut state: MutexGuard<'_, State>) {
        let leader = Leader(self);
        let was_full = state.queue.len() >= QUEUE_MAX;
        let take = state.queue.len().min(BATCH_MAX);
        let jobs: Vec<Entry> = state.queue.drain(..take).collect();
        drop(state);
        if was_full {
            self.room.notify_all();
        }
        let jobs = self.sync(jobs);
        let turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        self.pass_on();
        for deed in jobs {
            match deed {
                Deed::Store(mut batch) => {
                    settle(&mut batch, &*self.index, &*self.blobs, &self.policy)
                }
                Deed::Remove(removal, reply) => {
                    reply.send(carry_out(&removal, &*self.index, &*self.blobs));
                }
            }
        }
        drop(turn);
        drop(leader);
    }

    /// What to do, in its order: the stores between two removals at once. Their blobs are durable.
    fn sync(&self, jobs: Vec<Entry>) -> Vec<Deed> {
        let mut deeds = Vec::with_capacity(1);
        for entry in jobs {
            match (entry.job, deeds.last_mut()) {
                (Job::Store(storing), Some(Deed::Store(batch))) => batch.push(*storing),
                (Job::Store(storing), _) => deeds.push(Deed::Store(vec![*storing])),
                (Job::Remove(removal, reply), _) => deeds.push(Deed::Remove(removal, reply)),
            }
        }
        for deed in &mut deeds {
            if let Deed::Store(batch) = deed {
                sync(batch, &*self.blobs);
            }
        }
        deeds
    }

    fn pass_on(&self) {
        let mut state = self.state();
        state.is_led = false;
        let Some(first) = state.queue.front() else {
            return;
        };
        let is_told = first.is_awaited
            && match &first.job {
                Job::Store(storing) => storing.reply.0.try_send(Word::Lead).is_ok(),
                Job::Remove(_, reply) => reply.0.try_send(Word::Lead).is_ok(),
            };
        state.is_led = is_told;
        if !is_told {
            self.work.notify_one();
        }
    }

    /// The thread: leads when there is work and nobody does.
    fn run(&self) {
        let mut state = self.state();
        loop {
            if state.is_broken {
                return;
            }
            if !state.is_led && !state.queue.is_empty() {
                state.is_led = true;
                self.lead(state);
                state = self.state();
            } else if state.is_stopping && !state.is_led {
                return;
            } else {
                state = self
                    .work
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner);
            }
        }
    }
}
