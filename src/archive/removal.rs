//! Taking instances out for good. It stands in the queue of what is committed, so that a removal has its place in
//! the order of stores: what was stored before it goes, what comes after it stays.
//!
//! One transaction for all of a target, however large: a search, a page of a retrieve and a start
//! after a crash see all of it or nothing. Stores wait as long (0.1 ms an instance: a second for 10,000). Blobs
//! are condemned before the commit and freed after it, so a crash leaves orphans that the next
//! start removes, never a row without bytes. What is in quarantine stays there.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::access::{Scope, View};
use crate::archive::blob::BlobStore;
use crate::archive::commit::discard;
use crate::archive::index::Index;
use crate::archive::{Archive, Error, Target};

/// What is to be removed, and who wants it so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Removal {
    /// Study, series or instance.
    pub target: Target,
    /// Why or by which command. Logged; never patient data.
    pub reason: &'static str,
    /// Who asked. Logged.
    pub sender: Box<str>,
    /// Network address of who asked, empty when local. Logged.
    pub peer: Box<str>,
}

/// What a removal took out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Removed {
    /// Instances.
    pub instances: u64,
    /// Bytes of their blobs.
    pub bytes: u64,
}

impl Archive {
    /// Removes a study, series or instance for good. When this returns, it is durable; later the
    /// same may be stored again.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is nothing of it in the scope.
    pub fn remove(&self, removal: Removal, scope: &Scope) -> Result<Removed, Error> {
        let (Target::Study(study) | Target::Series(study, _) | Target::Instance(study, _, _)) =
            &removal.target;
        // Who does not see all of it does not know what they remove.
        if scope.view(study) != Some(View::Whole) {
            return Err(Error::NotFound);
        }
        self.inner.committer.remove(removal)
    }

    /// See [`Index::removed_at`].
    ///
    /// # Errors
    /// When the index fails.
    pub fn removed_at(&self, target: &Target, scope: &Scope) -> Result<Option<i64>, Error> {
        self.inner.index.removed_at(target, scope)
    }
}

/// Removes; called by whoever commits.
pub(super) fn carry_out(
    removal: &Removal,
    index: &dyn Index,
    blobs: &dyn BlobStore,
) -> Result<Removed, Error> {
    let mut transaction = index.begin()?;
    let gone = transaction.remove_all(&removal.target, now_ms())?;
    if gone.is_empty() {
        return Err(Error::NotFound);
    }
    blobs.condemn(&gone)?;
    // When this fails, nobody can say whether the rows are there after a restart: the blobs stay
    // until then, and what no row names is swept.
    transaction.commit()?;
    discard(blobs, &gone);
    let removed = Removed {
        instances: gone.len() as u64,
        bytes: gone.iter().map(|locator| locator.length).sum(),
    };
    tell(removal, removed);
    Ok(removed)
}

/// The trace that a removal leaves in the log.
fn tell(removal: &Removal, removed: Removed) {
    let Removed { instances, bytes } = removed;
    let (reason, sender, peer) = (removal.reason, &*removal.sender, &*removal.peer);
    match &removal.target {
        Target::Study(study_instance_uid) => {
            tracing::info!(%study_instance_uid, instances, bytes, reason, sender, peer, "study removed");
        }
        Target::Series(study_instance_uid, series_instance_uid) => {
            tracing::info!(%study_instance_uid, %series_instance_uid, instances, bytes, reason, sender, peer, "series removed");
        }
        Target::Instance(study_instance_uid, series_instance_uid, sop_instance_uid) => {
            tracing::info!(%study_instance_uid, %series_instance_uid, %sop_instance_uid, bytes, reason, sender, peer, "instance removed");
        }
    }
}

/// Milliseconds since 1970 UTC.
pub(super) fn now_ms() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |now| i64::try_from(now.as_millis()).unwrap_or(i64::MAX))
}
