//! How much drawing goes on at once: pictures are work for the processor and hold a whole frame in
//! memory, so few are drawn together, some wait, and beyond that the answer is 503.

use std::sync::Arc;
use std::thread;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Problem;

/// Pictures drawn at once: as many as there are cores, within these bounds.
const DRAWN_MIN: usize = 2;
const DRAWN_MAX: usize = 8;
/// Pictures that wait: a viewer asks for those of a whole page, or of some, at once.
const WAITING_MAX: usize = 512;

/// The places where pictures are drawn, and the queue before them.
pub(super) struct Drawings {
    places: Arc<Semaphore>,
    queue: Semaphore,
}

impl Drawings {
    pub(super) fn new() -> Self {
        let cores = thread::available_parallelism().map_or(DRAWN_MIN, usize::from);
        Self::of(cores.clamp(DRAWN_MIN, DRAWN_MAX), WAITING_MAX)
    }

    fn of(drawn: usize, waiting: usize) -> Self {
        Self {
            places: Arc::new(Semaphore::new(drawn)),
            queue: Semaphore::new(waiting),
        }
    }

    /// Waits for a place. A client that leaves takes its place in the queue along.
    pub(super) async fn begin(&self) -> Result<OwnedSemaphorePermit, Problem> {
        if let Ok(place) = Arc::clone(&self.places).try_acquire_owned() {
            return Ok(place);
        }
        let busy = || Problem::busy("too many pictures at once");
        let _waiting = self.queue.try_acquire().map_err(|_| busy())?;
        self.go_on().await.ok_or_else(busy)
    }

    /// Waits for a place, however many others wait. Never `None`: the places are never closed.
    pub(super) async fn go_on(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.places).acquire_owned().await.ok()
    }
}

#[cfg(test)]
mod tests {
    use actix_web::ResponseError;
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn some_draw_some_wait_and_the_rest_is_told() {
        let drawings = Drawings::of(1, 1);
        let first = drawings.begin().now_or_never().unwrap().unwrap();
        let mut waits = Box::pin(drawings.begin());
        assert!((&mut waits).now_or_never().is_none());
        let refused = drawings.begin().now_or_never().unwrap().unwrap_err();
        assert_eq!(refused.status_code(), 503);
        drop(first);
        assert!(waits.now_or_never().unwrap().is_ok());
    }
}
