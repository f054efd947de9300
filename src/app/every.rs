//! A thread that does something again and again until it is dropped, and has ended then: what it holds of the archive is
//! let go before the data directory is given up.

use std::io;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// The thread. Dropped, it ends with what it is at.
pub(super) struct Every {
    stop: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Every {
    /// Does `work` now, and again whenever `interval` has passed since it was done.
    ///
    /// # Errors
    /// When the system has no thread left.
    pub(super) fn start(
        name: &str,
        interval: Duration,
        mut work: impl FnMut() + Send + 'static,
    ) -> io::Result<Self> {
        let (stop, stopped) = mpsc::channel();
        let thread = thread::Builder::new().name(name.into()).spawn(move || {
            loop {
                work();
                if stopped.recv_timeout(interval) != Err(RecvTimeoutError::Timeout) {
                    return;
                }
            }
        })?;
        Ok(Self {
            stop: Some(stop),
            thread: Some(thread),
        })
    }
}

impl Drop for Every {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            // A panic in there has been reported by its hook already.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn what_it_holds_is_let_go_when_it_is_dropped() {
        let held = Arc::new(());
        let (tell, told) = mpsc::channel();
        let inside = held.clone();
        let every = Every::start("every", Duration::from_micros(1), move || {
            // Whoever listens is gone when the test is at its end.
            let _ = tell.send(Arc::strong_count(&inside));
        });
        let every = every.unwrap();
        for _ in 0..3 {
            assert_eq!(told.recv().unwrap(), 2);
        }
        drop(every);
        assert_eq!(Arc::strong_count(&held), 1);
    }
}
