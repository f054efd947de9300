//! One after the other, and few who wait: for what is dear on purpose, such as the hash of a passcode. Whoever waits holds a
//! thread, so that one more than [`WAITING_MAX`] is turned away instead.

use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// So many may be here at once, the one whose turn it is among them.
const WAITING_MAX: usize = 16;

/// Something that one at a time has.
#[derive(Debug, Default)]
pub(super) struct Turns<T> {
    waiting: AtomicUsize,
    one: Mutex<T>,
}

impl<T> Turns<T> {
    pub(super) const fn new(one: T) -> Self {
        Self {
            waiting: AtomicUsize::new(0),
            one: Mutex::new(one),
        }
    }

    /// Waits for a turn; `None` when too many do.
    pub(super) fn wait(&self) -> Option<Turn<'_, T>> {
        let place = Place(&self.waiting);
        if self.waiting.fetch_add(1, Ordering::AcqRel) >= WAITING_MAX {
            return None;
        }
        let one = self.one.lock().unwrap_or_else(PoisonError::into_inner);
        Some(Turn { one, _place: place })
    }
}

/// A turn; it ends when this is dropped.
pub(super) struct Turn<'a, T> {
    one: MutexGuard<'a, T>,
    _place: Place<'a>,
}

impl<T> Deref for Turn<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.one
    }
}

impl<T> DerefMut for Turn<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.one
    }
}

/// A place among those that wait; given back when dropped.
struct Place<'a>(&'a AtomicUsize);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_more_than_may_wait_is_turned_away() {
        let turns = Turns::new(0_usize);
        std::thread::scope(|threads| {
            let turn = turns.wait().unwrap();
            let waiting = [(); WAITING_MAX - 1].map(|()| {
                threads.spawn(|| {
                    *turns.wait().unwrap() += 1;
                })
            });
            while turns.waiting.load(Ordering::Acquire) < WAITING_MAX {
                std::thread::yield_now();
            }
            assert!(turns.wait().is_none());
            assert!(turns.wait().is_none(), "nobody's place was taken");
            drop(turn);
            for one in waiting {
                one.join().unwrap();
            }
        });
        assert_eq!(*turns.wait().unwrap(), WAITING_MAX - 1);
    }
}
