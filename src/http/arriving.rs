//! Bytes from the socket to the thread that stores: in order, bounded, no slower than they may be.

use std::time::{Duration, Instant};

use actix_web::web;
use bytes::Bytes;
use tokio::sync::mpsc;

use super::{Progress, Settings, next_chunk};

/// How much of a refused body is read, so that the client gets to see the refusal. Bytes.
const DRAINED_BYTES: usize = 1024 * 1024;
/// The least that a body must bring, averaged over the idle timeout: one that dribbles would hold a
/// place among the uploads for ever. Bytes per second.
const RATE_MIN: f64 = 1024.0;

/// What moves from the socket to the blocking thread. A queue that closes without `End` was cut off.
pub enum Arriving {
    /// Some of it.
    Bytes(Bytes),
    /// It was whole.
    End,
}

/// How the moving ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sent {
    /// All of it was moved.
    Whole,
    /// The peer went away.
    Cut,
    /// The peer stopped sending.
    Stalled,
    /// The receiver wants no more.
    Unwanted,
}

/// Reads away some of a body that is not wanted, for no longer than a body may be silent.
pub async fn drain(settings: &Settings, payload: &mut web::Payload) {
    let idle = settings.body_idle_timeout;
    let reading = async {
        let mut left = DRAINED_BYTES;
        while let Progress::Bytes(bytes) = next_chunk(payload, idle).await {
            left = left.saturating_sub(bytes.len());
            if left == 0 {
                return;
            }
        }
    };
    // Whether it came to its end makes no difference.
    let _ = tokio::time::timeout(idle, reading).await;
}

/// Moves the body into the queue.
pub async fn forward(
    settings: &Settings,
    payload: &mut web::Payload,
    queue: mpsc::Sender<Arriving>,
) -> Sent {
    let idle = settings.body_idle_timeout;
    let mut rate = Rate::new(idle);
    loop {
        let asked = Instant::now();
        let (message, is_end) = match next_chunk(payload, idle).await {
            Progress::Bytes(bytes) => {
                if rate.is_too_slow(asked.elapsed(), bytes.len()) {
                    return Sent::Stalled;
                }
                (Arriving::Bytes(bytes), false)
            }
            Progress::End => (Arriving::End, true),
            Progress::Idle => return Sent::Stalled,
            Progress::Cut => return Sent::Cut,
        };
        if queue.send(message).await.is_err() {
            return Sent::Unwanted;
        }
        if is_end {
            return Sent::Whole;
        }
    }
}

/// How fast a body comes, told from the time spent waiting for it: what our own disk takes is not
/// the sender's fault.
struct Rate {
    /// Over how much waiting it is averaged.
    span: Duration,
    waited: Duration,
    bytes: u64,
}

impl Rate {
    fn new(span: Duration) -> Self {
        Self {
            span,
            waited: Duration::ZERO,
            bytes: 0,
        }
    }

    /// Notes what came after so much waiting: whether the last span brought fewer than
    /// [`RATE_MIN`].
    fn is_too_slow(&mut self, waited: Duration, bytes: usize) -> bool {
        self.waited += waited;
        self.bytes = self.bytes.saturating_add(bytes as u64);
        if self.waited < self.span {
            return false;
        }
        let is_too_slow = (self.bytes as f64) < self.waited.as_secs_f64() * RATE_MIN;
        (self.waited, self.bytes) = (Duration::ZERO, 0);
        is_too_slow
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_judged_once_a_span() {
        const SECOND: Duration = Duration::from_secs(1);
        let mut rate = Rate::new(10 * SECOND);
        for _ in 0..9 {
            assert!(!rate.is_too_slow(SECOND, 1));
        }
        assert!(rate.is_too_slow(SECOND, 1));
        // A long pause is made up for by what came before or with its end.
        assert!(!rate.is_too_slow(SECOND, 6 * 1024));
        assert!(!rate.is_too_slow(9 * SECOND, 4 * 1024));
        // What was fast once is no credit for ever.
        assert!(!rate.is_too_slow(Duration::ZERO, 1 << 30));
        assert!(!rate.is_too_slow(10 * SECOND, 1));
        assert!(rate.is_too_slow(10 * SECOND, 10 * 1024 - 1));
    }
}
