//! The write-ahead log is folded into the database by a thread of its own, so that no sender waits
//! for it. While it works, commits go on behind it; so the log only begins anew when the writer itself
//! folds in the rest, which it does when the log has grown long ([`LOG_PAGES_MAX`]).

use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;

use rusqlite::Connection;
use rusqlite::hooks::Wal;

use crate::archive::Error;
use crate::db::sqlite::connection::{error, folding};

/// Pages added to the log before they are folded in.
const FOLD_PAGES: i32 = 4000;

/// Pages in the log at which the writer waits until all are folded in: 64 MB, as long as commits
/// never pause.
const LOG_PAGES_MAX: i32 = 16_000;

/// What the writer and the thread tell each other.
#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    told: Condvar,
}

#[derive(Default)]
struct State {
    is_due: bool,
    is_ending: bool,
}

/// The thread that folds. Dropped, it ends.
pub(super) struct Folder {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Folder {
    /// Begins to fold what `writer` commits to the index at `path`.
    pub(super) fn start(path: &Path, writer: &mut Connection) -> Result<Self, Error> {
        let connection = folding(path)?;
        let shared = Arc::new(Shared::default());
        let worker = shared.clone();
        let thread = std::thread::Builder::new()
            .name("fold".into())
            .spawn(move || worker.run(&connection))
            .map_err(|cause| Error::broken("starting the thread of the index", cause))?;
        let told = shared.clone();
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
        Ok(Self {
            shared,
            thread: Some(thread),
        })
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        self.shared.tell(|state| state.is_ending = true);
        if let Some(thread) = self.thread.take() {
            // A panic in there has been reported by its hook already.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn tell(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner));
        self.told.notify_one();
    }

    fn run(&self, connection: &Connection) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        while !state.is_ending {
            if !state.is_due {
                state = self
                    .told
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            state.is_due = false;
            drop(state);
            if let Err(failure) =
                connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))
            {
                let failure = error(failure);
                tracing::warn!(error = %failure, "the log of the index was not folded in: it grows until that works");
            }
            state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        }
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
