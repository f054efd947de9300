//! What goes on to other archives by rule: one worker for each destination takes what is due from
//! the queue that the index keeps ([`crate::archive::queue`]), sends it by C-STORE (PS3.4 Annex B) or
//! STOW-RS (PS3.18 §10.5), and notes what was acknowledged.
//!
//! A destination that is slow or gone holds up nobody else. What was begun and not noted when the
//! power went is sent again: its SOP Instance UID tells the destination that it has it. Nobody is
//! asked first: not every destination can be asked, and one that says it has an instance has not
//! said that it has these bytes of it.

mod dicom;
pub(crate) mod pace;
mod stow;
mod stow_answer;
mod web;
mod worker;

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use crate::archive::Archive;
use crate::dimse::scu;
use worker::Worker;

pub(crate) use crate::dimse::scu::Signal;

pub(crate) use stow::told;
pub(crate) use web::retry_after;
pub use web::{WebAddress, WebAddressError};

/// The `[forward]` section, checked; what storing needs of it is in
/// [`crate::archive::forwarding::Forwarding`].
#[derive(Debug, Clone)]
pub struct Settings {
    /// Each with a name of its own.
    pub routes: Vec<Route>,
    /// How DICOM destinations are called.
    pub outgoing: scu::Settings,
    /// The wait before the second attempt; it doubles each time, up to an hour.
    pub retry_wait: Duration,
    /// How often an instance is tried that the destination does not take.
    pub attempts_max: u32,
    /// What could not be sent for so long has failed.
    pub give_up_after: Duration,
}

/// A destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// As the queue knows it.
    pub name: Box<str>,
    /// How to get there.
    pub to: To,
}

/// How to get to a destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum To {
    /// By C-STORE.
    Dicom(scu::Peer),
    /// By STOW-RS.
    Web(WebAddress),
}

/// How long a worker that panicked waits before it goes on.
const PANIC_WAIT: Duration = Duration::from_secs(60);

/// Workers that run. Dropped, they go on.
pub struct Running {
    signal: Arc<Signal>,
    /// Ends when the last worker has.
    ended: Receiver<()>,
}

/// Starts a worker for each destination.
///
/// # Errors
/// When the system has no thread left.
pub fn start(settings: &Settings, archive: &Archive) -> io::Result<Running> {
    let signal = Arc::new(Signal::default());
    let (tell, ended) = mpsc::channel::<()>();
    for route in &settings.routes {
        if let To::Dicom(peer) = &route.to
            && peer.ae_title == settings.outgoing.calling
        {
            let destination = &*route.name;
            tracing::warn!(
                destination,
                "the destination has our own AE title: nothing that comes from anybody of this title is sent there"
            );
        }
        let worker = Worker::new(route, settings, archive.clone(), signal.clone());
        let tell = tell.clone();
        thread::Builder::new()
            .name("forward".into())
            .spawn(move || {
                // A panic has been reported by its hook; what is queued must not wait for a restart.
                while catch_unwind(AssertUnwindSafe(|| worker.run())).is_err() {
                    worker.signal.wait(PANIC_WAIT);
                }
                drop(tell);
            })?;
    }
    Ok(Running { signal, ended })
}

impl Running {
    /// Asks the workers to stop; they begin nothing new from now on.
    pub fn ask_to_stop(&self) {
        self.signal.give();
    }

    /// Stops. `false` when a worker did not end in time: it may still wait for a network; whatever
    /// becomes of what it has sent, the queue is as it was, and the next start goes on with it.
    #[must_use]
    pub fn stop(self, patience: Duration) -> bool {
        self.ask_to_stop();
        self.ended.recv_timeout(patience) != Err(mpsc::RecvTimeoutError::Timeout)
    }
}
