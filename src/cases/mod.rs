//! The second opinion: cases, the tasks of their readers, opinions that are only ever added to, and what can be learned
//! from them.
//!
//! [`state`] has the table of what may be done to a case, by whom and when; [`case`](mod@case), [`task`] and [`opinion`]
//! have what is kept, [`manifest`] what a reader could see. [`Cases`] is what doors hold. Its calls block.
//!
//! A task is a workitem of the worklist ([`workitem`] has the mapping), and who claimed it is what the workitem says: our
//! pages and any workstation claim by the same change of state, so of two claims at once one wins. What the workitem was
//! claimed with is noted before it is tried, so that a crash between loses nobody's claim. [`settling`](settle) brings
//! both sides together again whenever a case is looked at, and every few seconds: it makes workitems that are missing, takes
//! over what workstations did, completes and cancels workitems whose task is done or over. Of what people say the ledger is
//! first; the workitem follows.

mod adjudication;
mod caller;
pub mod case;
mod deciding;
mod draft;
pub mod error;
pub mod evidence;
pub mod grade;
pub mod growth;
pub mod ledger;
mod looking;
pub mod manifest;
pub mod notices;
mod opening;
pub mod opinion;
mod reading;
mod recording;
mod settle;
mod sharing;
mod signing;
pub mod state;
pub mod statistics;
pub mod task;
mod text;
mod verdicts;
mod verifying;
mod words;
mod workitem;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use crate::access::LedgerError;
use crate::access::audit::{ActionCode, Actor, AuditRecord, Event};
use crate::archive::Archive;
use crate::dicom::{AeTitle, Uid};
use crate::worklist::Worklist;

pub use caller::Caller;
pub use case::{Case, Completed, Reference, Request, Urgency};
pub use draft::{Basis, DRAFT_BYTES_MAX, Draft, DraftSaved, DraftTag};
pub use error::{Error, Fault};
pub use growth::{Growth, Mark};
pub use ledger::{
    Alongside, Attempt, CaseLedger, KeptOpinion, NewCommitment, NewOpinion, Order, Question, Sight,
};
pub use looking::{Listed, Look, Told};
pub use manifest::{Manifest, Seen, Since};
pub use opening::NewReference;
pub use opinion::{Commitment, Comparison, Impression, KeyImage, ManifestHead, Opinion, Said};
pub use recording::Recorder;
pub use signing::Correction;
pub use state::{Act, Part, Refusal, State};
pub use task::{Asked, Pool, Task, TaskState};
pub use verdicts::Signed;
pub use verifying::Verified;

/// A change is decided again when somebody else was faster, so often.
const TRIES: usize = 8;

/// The cases. Cheap to clone.
#[derive(Clone)]
pub struct Cases {
    ledger: Arc<dyn CaseLedger>,
    archive: Archive,
    /// `None` beside a running server: its worklist follows then.
    worklist: Option<Worklist>,
    /// Who makes workitems, and where their input can be had.
    our_ae: AeTitle,
    compared: Compared,
    grown: Arc<growth::Found>,
    evidence: Arc<evidence::known::Known>,
    learned: Arc<verdicts::Learned>,
    /// The fewest verdicts that statistics tell of.
    group_size_min: u64,
}

/// What opinions were found to be when their studies had certain versions, so that a list compares nothing twice.
type Compared = Arc<Mutex<HashMap<u64, (Vec<(Uid, u64)>, bool)>>>;

/// So many are kept in mind; then all are forgotten, which costs time and nothing else.
const COMPARED_MAX: usize = 10_000;

impl Cases {
    /// The cases of a ledger, about studies of an archive, whose tasks are in a worklist.
    #[must_use]
    pub fn new(
        ledger: Arc<dyn CaseLedger>,
        archive: Archive,
        worklist: Worklist,
        our_ae: AeTitle,
    ) -> Self {
        Self {
            ledger,
            archive,
            worklist: Some(worklist),
            our_ae,
            compared: Compared::default(),
            grown: Arc::default(),
            evidence: Arc::default(),
            learned: Arc::default(),
            group_size_min: statistics::GROUP_MIN,
        }
    }

    /// The same beside a running server, or before one starts: what is opened or ended here, that server takes to the
    /// worklist.
    #[must_use]
    pub fn beside(ledger: Arc<dyn CaseLedger>, archive: Archive, our_ae: AeTitle) -> Self {
        Self {
            ledger,
            archive,
            worklist: None,
            our_ae,
            compared: Compared::default(),
            grown: Arc::default(),
            evidence: Arc::default(),
            learned: Arc::default(),
            group_size_min: statistics::GROUP_MIN,
        }
    }

    /// The same, whose statistics tell of no group that is smaller.
    #[must_use]
    pub fn telling_of(mut self, group_size_min: u64) -> Self {
        self.group_size_min = group_size_min;
        self
    }

    /// Where they are kept.
    #[must_use]
    pub fn ledger(&self) -> &Arc<dyn CaseLedger> {
        &self.ledger
    }

    /// Ourselves, as the audit trail names us.
    fn ourselves(&self) -> Actor {
        Actor {
            name: self.our_ae.to_string(),
            means: "server".to_owned(),
            address: String::new(),
        }
    }
}

/// The record of something done to a case (PS3.15 §A.5.3.10, Order Record).
fn record(case: &Case, action: ActionCode, who: Actor, at_ms: i64) -> AuditRecord {
    let record = AuditRecord::new(Event::OrderRecord, action, who, at_ms)
        .on(format!("case {}", case.number))
        .of_patient(&*case.patient_id);
    case.request.studies().fold(record, AuditRecord::about)
}

/// Somebody else was faster again and again.
fn crowded() -> Error {
    LedgerError::Busy("the case is being changed by others").into()
}

#[cfg(test)]
mod tests;
