//! What people bring who have no DICOM programs: the folder of a CD, a ZIP archive, single files, reports and photographs.
//!
//! [`Bringing`] is one request; [`Taking`] takes its files as they come, each told by its first bytes ([`Kind`]): objects go through the
//! ordinary ingest, ZIP archives are opened one level deep ([`unzip`]), papers become documents of a study ([`Papers`]),
//! what else lies on a CD is passed over and named in the [`Report`].
//!
//! Whoever holds an inbox link brings new studies and more of those ([`Gatekeeper`]), and is told what came of them
//! themselves ([`arrived()`]): of a study that others add to they see their own instances only.

mod arrived;
mod belonging;
mod bringing;
mod discs;
mod gate;
mod kind;
mod papers;
mod report;
mod taking;
#[cfg(test)]
mod tests;
pub mod unzip;

pub use arrived::{Arrived, ArrivedSeries, Came, arrived};
pub use bringing::{Bringer, Bringing};
pub use gate::{Gatekeeper, check_left};
pub use kind::Kind;
pub use papers::{Papers, Person, Shown};
pub use report::{Fate, Named, Report};
pub use taking::{Taking, Unplaced};

use crate::access::{AccessLedger, Inbox, LedgerError};
use crate::cases::Caller;

/// Whether somebody may know of an inbox: who made it, and who sees to everything.
#[must_use]
pub fn may_know(inbox: &Inbox, caller: &Caller) -> bool {
    let is_theirs = caller.requests && caller.name == inbox.maker;
    let may_know = |study| {
        let studies = caller.studies.as_ref();
        studies.is_none_or(|studies| studies.contains(study))
    };
    (is_theirs || caller.administers) && inbox.grant.studies.keys().all(may_know)
}

/// The inbox of a number; `None` also when the caller may not know of it. Blocks.
///
/// # Errors
/// When the ledger cannot be read.
pub fn one(
    ledger: &dyn AccessLedger,
    id: i64,
    caller: &Caller,
) -> Result<Option<Inbox>, LedgerError> {
    let found = ledger.inbox(id)?;
    Ok(found.filter(|inbox| may_know(inbox, caller)))
}

/// The inboxes that the caller may know of, the newest first: at most `limit` before the number `before`. Blocks.
///
/// # Errors
/// When the ledger cannot be read.
pub fn list(
    ledger: &dyn AccessLedger,
    caller: &Caller,
    before: Option<i64>,
    limit: usize,
) -> Result<Vec<Inbox>, LedgerError> {
    let maker = (!caller.administers).then_some(&*caller.name);
    let (mut kept, mut before) = (Vec::new(), before);
    while kept.len() < limit {
        let read = ledger.inboxes(maker, before, limit)?;
        let Some(last) = read.last() else { break };
        before = Some(last.grant.id);
        kept.extend(read.into_iter().filter(|inbox| may_know(inbox, caller)));
    }
    kept.truncate(limit);
    Ok(kept)
}
