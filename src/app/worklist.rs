//! The worklist of a running server: its door, the word to subscribers when it starts and stops, and a thread that looks
//! whether what workitems wait for has come.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::access::Scope;
use crate::app::every::Every;
use crate::archive::{Archive, Target};
use crate::dicom::AeTitle;
use crate::dicomweb::{Channels, Ups};
use crate::worklist::event::ScpStatus;
use crate::worklist::{Named, WorkitemLedger, Worklist};

/// How often the archive is asked for the input of workitems that are INCOMPLETE.
const READINESS_INTERVAL: Duration = Duration::from_secs(2);

/// The worklist of a running server.
pub(super) struct Service {
    ups: Ups,
    _look: Every,
}

/// Opens the worklist, and tells its subscribers that the server runs again.
///
/// # Errors
/// When the system has no thread left.
pub(super) fn start(
    ledger: Arc<dyn WorkitemLedger>,
    archive: &Archive,
    our_ae: &AeTitle,
) -> io::Result<Service> {
    let channels = Arc::new(Channels::default());
    let worklist = Worklist::new(ledger, channels.clone());
    tell(&worklist, ScpStatus::Restarted);
    let (archive, our_ae, watched) = (archive.clone(), our_ae.clone(), worklist.clone());
    let look = move || look(&watched, &archive, &our_ae);
    let look = Every::start("worklist", READINESS_INTERVAL, look)?;
    Ok(Service {
        ups: Ups::new(worklist, channels),
        _look: look,
    })
}

impl Service {
    /// The door.
    pub(super) fn ups(&self) -> Ups {
        self.ups.clone()
    }

    /// Tells subscribers that the server is about to stop, and lets their channels end.
    pub(super) fn go_down(&self) {
        tell(self.ups.worklist(), ScpStatus::GoingDown);
        self.ups.channels().close();
    }
}

/// What cannot be told is only told later by the state of things: no reason not to start or stop.
fn tell(worklist: &Worklist, status: ScpStatus) {
    if let Err(error) = worklist.tell_status(status) {
        tracing::warn!(%error, ?status, "subscribers were not told");
    }
}

fn look(worklist: &Worklist, archive: &Archive, our_ae: &AeTitle) {
    let is_here = |named: &Named| {
        let (study, series, instance) = named.clone();
        let target = Target::Instance(study, series, instance);
        archive
            .locate(&target, &Scope::All, None, 1)
            .is_ok_and(|found| !found.is_empty())
    };
    if let Err(error) = worklist.set_ready(our_ae, &is_here) {
        tracing::warn!(%error, "workitems that wait for their input were not looked at");
    }
}
