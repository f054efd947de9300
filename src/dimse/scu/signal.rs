//! The word to stop, which cuts waits short.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Somebody wants us to stop.
#[derive(Default)]
pub struct Signal {
    is_given: Mutex<bool>,
    given: Condvar,
}

impl Signal {
    /// Gives it, for good.
    pub fn give(&self) {
        *self.lock() = true;
        self.given.notify_all();
    }

    /// Whether it was given.
    #[must_use]
    pub fn is_given(&self) -> bool {
        *self.lock()
    }

    /// Waits, unless it is given meanwhile.
    pub fn wait(&self, patience: Duration) {
        let deadline = Instant::now() + patience;
        let mut is_given = self.lock();
        while !*is_given {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            let waited = self.given.wait_timeout(is_given, left);
            is_given = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn lock(&self) -> MutexGuard<'_, bool> {
        self.is_given.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
