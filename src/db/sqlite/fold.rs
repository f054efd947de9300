//! The write-ahead log is folded into the database by a thread of its own, so that no sender waits
//! for it; the same thread commits what the writer kept for too long ([`super::writer`]). While it works, commits go on behind it; so the log only begins anew when the writer itself
//! folds in the rest, which it does when the log has grown long ([`LOG_PAGES_MAX`]).

use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use rusqlite::hooks::Wal;

use crate::archive::Error;
use crate::db::sqlite::connection::{error, folding};
use crate::db::sqlite::writer::Writer;

/// Pages added to the log before they are folded in.
const FOLD_PAGES: i32 = 4000;

/// Pages in the log at which the writer waits until all are folded in: 64 MB, as long as commits
/// never pause.
const LOG_PAGES_MAX: i32 = 16_000;

/// What the writer keeps is committed after this time.
pub(super) const KEPT_FOR: Duration = Duration::from_millis(25);

/// What the writer and the thread tell each other.
#[derive(Default)]
pub(super) struct Signal {
    state: Mutex<State>,
    told: Condvar,
}

#[derive(Default)]
struct State {
    is_due: bool,
    /// When to commit what is kept.
    settle_at: Option<Instant>,
    is_ending: bool,
}

/// The thread that folds. Dropped, it ends.
pub(super) struct Folder {
    signal: Arc<Signal>,
    thread: Option<JoinHandle<()>>,
}

impl Folder {
    /// Begins to watch the log of a writer.
    pub(super) fn watch(writer: &mut Connection) -> Result<Arc<Signal>, Error> {
        let signal = Arc::<Signal>::default();
        let told = signal.clone();
        let mut next = FOLD_PAGES;
        let mut before = 0;
        let hook = move |log: &mut Wal, pages: i32| {
            if pages < before {
                next = FOLD_PAGES;
            }
            before = pages;
            if pages >= next {
                next = pages + FOLD_PAGES;
                told.tell(|state| state.is_due = true);
            }
            // Fails when the thread is at it: the next commit asks again. Of anything else the thread
            // has told.
            if pages >= LOG_PAGES_MAX && log.checkpoint().is_err() {
                tracing::debug!(
                    pages,
                    "the log of the index could not be folded in by its writer"
                );
            }
            Ok(())
        };
        writer.wal_hook(Some(hook)).map_err(error)?;
        Ok(signal)
    }

    /// Begins to fold what the watched writer commits to the index at `path`.
    pub(super) fn start(
        path: &Path,
        signal: Arc<Signal>,
        writer: Arc<Mutex<Writer>>,
    ) -> Result<Self, Error> {
        let connection = folding(path)?;
        let worker = signal.clone();
        let thread = std::thread::Builder::new()
            .name("fold".into())
            .spawn(move || worker.run(&connection, &writer))
            .map_err(|cause| Error::broken("starting the thread of the index", cause))?;
        Ok(Self {
            signal,
            thread: Some(thread),
        })
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        self.signal.tell(|state| state.is_ending = true);
        if let Some(thread) = self.thread.take() {
            // A panic in there has been reported by its hook already.
            let _ = thread.join();
        }
    }
}

impl Signal {
    /// The writer has begun to keep something.
    pub(super) fn kept(&self) {
        let at = Instant::now() + KEPT_FOR;
        self.tell(|state| {
            state.settle_at.get_or_insert(at);
        });
    }

    fn tell(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner));
        self.told.notify_one();
    }

    fn run(&self, connection: &Connection, writer: &Mutex<Writer>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        while !state.is_ending {
            let now = Instant::now();
            if state.is_due {
                state.is_due = false;
                drop(state);
                fold(connection);
                state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            } else if state.settle_at.is_some_and(|at| at <= now) {
                state.settle_at = None;
                drop(state);
                self.settle(writer);
                state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            } else {
                // Nothing is due for an hour at most, which does no harm.
                let left = state
                    .settle_at
                    .map_or(Duration::from_secs(3600), |at| at - now);
                let waited = self.told.wait_timeout(state, left);
                state = waited.unwrap_or_else(PoisonError::into_inner).0;
            }
        }
    }

    fn settle(&self, writer: &Mutex<Writer>) {
        let settled = writer
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .settle();
        if let Err(failure) = settled {
            tracing::warn!(error = %failure, "instances that are stored wait for their rows in the index: tried again");
            self.kept();
        }
    }
}

fn fold(connection: &Connection) {
    if let Err(failure) = connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(())) {
        let failure = error(failure);
        tracing::warn!(error = %failure, "the log of the index was not folded in: it grows until that works");
    }
}

#[cfg(test)]
mod tests {
    use crate::archive::Index as _;
    use crate::db::Sqlite;
    use crate::db::contract::sample::{insert, sample};

    #[test]
    fn the_log_begins_anew_although_commits_never_pause() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("index.sqlite");
        let index = Sqlite::open(&path, 1).unwrap();
        let mut longest: u64 = 0;
        for study in 0..2_500 {
            insert(&index, &[sample(study, 1, 1)]);
            let log = std::fs::metadata(folder.path().join("index.sqlite-wal"));
            longest = longest.max(log.unwrap().len());
        }
        let frame = 4096 + 24;
        let limit = u64::try_from(super::LOG_PAGES_MAX + super::FOLD_PAGES).unwrap() * frame;
        assert!(longest > 4_000 * frame && longest < limit, "{longest}");
        assert!(
            std::fs::metadata(&path).unwrap().len() > 1 << 20,
            "nothing was folded in"
        );
        assert_eq!(index.totals().unwrap().instances, 2_500);
        drop(index);
        assert!(!folder.path().join("index.sqlite-wal").exists());
    }
}
