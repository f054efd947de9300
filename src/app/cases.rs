//! The cases of a running server, and a thread that looks whether some are to expire, and whether cases and worklist say the
//! same, whether signed opinions are in the record: what a killed server or a command beside it left half done is done at the start.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::app::every::Every;
use crate::archive::Archive;
use crate::cases::{CaseLedger, Cases, Recorder};
use crate::config::StatisticsSettings;
use crate::dicom::AeTitle;
use crate::http::now_ms;
use crate::worklist::Worklist;

/// Below it, whoever runs the archive is warned that statistics tell of few.
const GROUP_SIZE_MIN_OF_MANY: u64 = 5;
/// How often it is looked.
const INTERVAL: Duration = Duration::from_secs(2);

/// The cases of a running server.
pub(super) struct Service {
    cases: Cases,
    _look: Every,
}

impl Service {
    /// The cases.
    pub(super) fn cases(&self) -> &Cases {
        &self.cases
    }
}

/// Opens the cases.
///
/// # Errors
/// When the system has no thread left.
pub(super) fn start(
    ledger: Arc<dyn CaseLedger>,
    archive: &Archive,
    worklist: &Worklist,
    our_ae: &AeTitle,
    statistics: StatisticsSettings,
) -> io::Result<Service> {
    let group_size_min = statistics.group_size_min;
    if group_size_min < GROUP_SIZE_MIN_OF_MANY {
        tracing::warn!(
            group_size_min,
            "statistics tell of groups so small that readers may be known by them (statistics.group_size_min)"
        );
    }
    let cases = Cases::new(ledger, archive.clone(), worklist.clone(), our_ae.clone());
    let cases = cases.telling_of(group_size_min);
    let watched = cases.clone();
    let mut recorder = Recorder::default();
    let look = Every::start("cases", INTERVAL, move || look(&watched, &mut recorder))?;
    Ok(Service { cases, _look: look })
}

fn look(cases: &Cases, recorder: &mut Recorder) {
    if let Err(error) = cases.expire(now_ms()) {
        tracing::warn!(%error, "cases that are to expire were not looked at");
    }
    if let Err(error) = cases.settle_all(now_ms()) {
        tracing::warn!(%error, "cases and the worklist were not compared");
    }
    if let Err(error) = recorder.catch_up(cases, now_ms()) {
        tracing::warn!(%error, "opinions that are to go into the record were not looked at");
    }
}
