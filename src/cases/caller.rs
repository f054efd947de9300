//! Who asks about cases, and in which parts they meet one.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::case::Case;
use super::error::Error;
use super::ledger::{CaseLedger, Sight};
use super::state::{Act, Part, may};
use super::task::{Asked, Pool, Task, TaskState};
use crate::access::audit::Actor;
use crate::access::{Action, LedgerError, Principal, policy};
use crate::dicom::Uid;

/// Who asks, and when.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The name of the account.
    pub name: Box<str>,
    /// Whether it opens cases.
    pub requests: bool,
    /// Whether it reads.
    pub works: bool,
    /// Whether it sees to all cases.
    pub administers: bool,
    /// Whether it sees every study with its reports, as it asks now: its account may see more ([`super::Cases`]).
    pub sees_reports: bool,
    /// Whether anybody may be behind the name: then it is of every pool.
    pub is_anyone: bool,
    /// The only studies that it may know of; `None` for all that its parts reach.
    pub studies: Option<Arc<BTreeSet<Uid>>>,
    /// Who it is, for the audit trail.
    pub actor: Actor,
    /// When it asks, milliseconds since 1970 UTC.
    pub at_ms: i64,
}

impl Caller {
    /// Somebody as cases know them.
    #[must_use]
    pub fn of(principal: &Principal, actor: Actor, at_ms: i64) -> Self {
        let may = |action| policy(principal, action).is_ok();
        Self {
            name: principal.name.clone(),
            requests: may(Action::Request),
            works: may(Action::Work),
            administers: may(Action::Administer),
            sees_reports: principal.is_known() && principal.roles.see_everything(),
            is_anyone: !principal.is_known(),
            studies: principal.studies.clone(),
            actor,
            at_ms,
        }
    }

    /// Whether it may know of a study.
    pub(super) fn may_know(&self, study: &Uid) -> bool {
        let studies = self.studies.as_ref();
        studies.is_none_or(|studies| studies.contains(study))
    }

    /// The pools that it is of; `None` for all.
    pub(super) fn pools(&self, ledger: &dyn CaseLedger) -> Result<Option<Vec<Pool>>, LedgerError> {
        if self.is_anyone {
            return Ok(None);
        }
        ledger.pools_of(&self.name).map(Some)
    }

    /// What it may see of all cases.
    pub(super) fn sight(&self, ledger: &dyn CaseLedger) -> Result<Sight, LedgerError> {
        Ok(Sight {
            name: self.name.clone(),
            all: self.administers,
            requested: self.requests,
            reads: self.works,
            pools: self.pools(ledger)?,
            studies: self.studies.as_deref().cloned(),
        })
    }
}

/// A caller before a case.
#[derive(Debug)]
pub(super) struct Meeting {
    /// As what it may act; never empty.
    parts: Vec<Part>,
    pools: Option<Vec<Pool>>,
}

impl Meeting {
    /// The parts of a caller in a case.
    ///
    /// # Errors
    /// [`Error::NotFound`] when it has none, or may not know of one of the studies.
    pub(super) fn of(case: &Case, caller: &Caller, ledger: &dyn CaseLedger) -> Result<Self, Error> {
        let mut meeting = Self {
            parts: Vec::new(),
            pools: caller.pools(ledger)?,
        };
        if !case.request.studies().all(|study| caller.may_know(study)) {
            return Err(Error::NotFound);
        }
        if caller.requests && case.requester == caller.name {
            meeting.parts.push(Part::Requester);
        }
        if caller.administers {
            meeting.parts.push(Part::Administrator);
        }
        let is_theirs = |task: &Task| {
            task.is_held_by(&caller.name)
                || task.is_asked(&caller.name)
                || (task.state == TaskState::Waiting && meeting.is_of_pool(task))
        };
        if caller.works && case.has_gone_out() && case.tasks.iter().any(is_theirs) {
            meeting.parts.push(Part::Reader);
        }
        if meeting.parts.is_empty() {
            return Err(Error::NotFound);
        }
        Ok(meeting)
    }

    /// Whether a task is for a pool that the caller is of.
    pub(super) fn is_of_pool(&self, task: &Task) -> bool {
        match &task.asked {
            Asked::Pool(pool) => self.pools.as_ref().is_none_or(|pools| pools.contains(pool)),
            Asked::Reader(_) => false,
        }
    }

    /// Whether the caller is no more than a reader.
    pub(super) fn is_reader_only(&self) -> bool {
        self.parts == [Part::Reader]
    }

    /// Whether any part of the caller may do this.
    pub(super) fn may(&self, act: Act) -> bool {
        self.parts.iter().any(|part| may(act, *part))
    }
}
