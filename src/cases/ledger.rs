//! The port to where cases are kept. Every change of a case and its audit record are one durable transaction; a change is
//! made to the revision that it was decided on, or not at all. Opinions, their manifests and commitments are only ever
//! added: there is no way to change one.

use std::collections::BTreeSet;

use super::case::Case;
use super::draft::{Draft, DraftSaved, DraftTag};
use super::growth::Mark;
use super::notices::NoticeLedger;
use super::opinion::{Commitment, Impression, Opinion, Said};
use super::state::State;
use super::task::{Pool, TaskState};
use super::verdicts::Signed;
use crate::access::audit::AuditRecord;
use crate::access::ledger::LedgerError;
use crate::dicom::Uid;

/// What is kept together with a change of a case.
#[derive(Debug)]
pub enum Alongside<'a> {
    /// Nothing.
    Nothing,
    /// The impression of a task, which has none yet.
    Commitment(NewCommitment<'a>),
    /// A version of an opinion, with what was seen.
    Opinion(NewOpinion<'a>),
    /// What the studies hold now, in the place of what they held before.
    Marks(&'a [Mark]),
}

impl Alongside<'_> {
    /// The task and the draft of it that the change was decided on, where that is said.
    #[must_use]
    pub fn read(&self) -> Option<(u64, &DraftTag)> {
        let (task, read) = match self {
            Self::Nothing | Self::Marks(_) => return None,
            Self::Commitment(new) => (new.task, new.read),
            Self::Opinion(new) => (new.opinion.task, new.read),
        };
        read.map(|read| (task, read))
    }
}

/// An impression to be kept.
#[derive(Debug)]
pub struct NewCommitment<'a> {
    /// Its task.
    pub task: u64,
    /// What it says.
    pub impression: &'a Impression,
    /// The only draft that it is of, where that is said.
    pub read: Option<&'a DraftTag>,
}

/// A version of an opinion to be kept, with the manifest of what was seen.
#[derive(Debug)]
pub struct NewOpinion<'a> {
    /// The opinion; its number is given when it is kept.
    pub opinion: &'a Opinion,
    /// What it says, as bytes.
    pub body: &'a str,
    /// The rows of its manifest.
    pub rows: &'a str,
    /// The only draft that it is of, where that is said.
    pub read: Option<&'a DraftTag>,
}

/// Which cases somebody may see, whatever else they ask for.
#[derive(Debug, Clone, Default)]
pub struct Sight {
    /// Their name.
    pub name: Box<str>,
    /// Every case.
    pub all: bool,
    /// Those that they opened.
    pub requested: bool,
    /// Those in which they were asked by name or hold a task, and those that wait for one of their pools, once they have
    /// gone out.
    pub reads: bool,
    /// Their pools; `None` for every pool there is.
    pub pools: Option<Vec<Pool>>,
    /// The only studies they may know of; `None` for all.
    pub studies: Option<BTreeSet<Uid>>,
}

/// In which order cases are listed, and where the page before has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// The newest first; those with a smaller number than this.
    Newest(Option<u64>),
    /// What is due first, the rest after it; those after this moment, of the same moment those with a greater number. What is
    /// never due has [`Order::NEVER`].
    Due(Option<(i64, u64)>),
}

impl Order {
    /// The moment of what is never due.
    pub const NEVER: i64 = i64::MAX;
}

impl Default for Order {
    fn default() -> Self {
        Self::Newest(None)
    }
}

/// A search for cases.
#[derive(Debug, Clone, Default)]
pub struct Question {
    /// Who asks.
    pub sight: Sight,
    /// In one of these states; none for any.
    pub states: Vec<State>,
    /// Only those that the caller opened, was asked for by name, or holds a task of.
    pub mine: bool,
    /// Only those that wait for a pool of the caller.
    pub pool: bool,
    /// Only those whose answer is missing and due before this moment.
    pub due_before_ms: Option<i64>,
    /// Of this study, which may be a prior.
    pub study: Option<Uid>,
    /// In which order, and from where.
    pub order: Order,
    /// The most cases.
    pub limit: usize,
}

/// An attempt to claim a task: what its workitem would be claimed with, and by whom.
#[derive(Clone, PartialEq, Eq)]
pub struct Attempt {
    /// Nobody is ever told.
    pub transaction_uid: Uid,
    /// Who tries.
    pub reader: Box<str>,
}

/// Keeps cases. With each change goes what it has to tell ([`news`](super::notices::news)), in the same transaction.
pub trait CaseLedger: NoticeLedger {
    /// The number of the next case, when nobody is faster.
    ///
    /// # Errors
    /// When it cannot be read.
    fn next_case(&self) -> Result<u64, LedgerError>;

    /// Keeps a new case, with what its studies hold if it goes out at once. `false`, and nothing is changed, when there is one
    /// of its number.
    ///
    /// # Errors
    /// When it could not be kept.
    fn insert_case(
        &self,
        case: &Case,
        marks: &[Mark],
        audit: &AuditRecord,
    ) -> Result<bool, LedgerError>;

    /// The case of a number.
    ///
    /// # Errors
    /// When it cannot be read.
    fn case(&self, number: u64) -> Result<Option<Case>, LedgerError>;

    /// The cases that answer a question, in its order.
    ///
    /// # Errors
    /// When they cannot be read.
    fn cases(&self, question: &Question) -> Result<Vec<Case>, LedgerError>;

    /// How many answer it, counted as far as its limit.
    ///
    /// # Errors
    /// When they cannot be read.
    fn count_cases(&self, question: &Question) -> Result<usize, LedgerError>;

    /// Puts a case in the place of its revision before, adds the tasks that have no number yet, and keeps what goes
    /// with it. `false`, and nothing is changed, when the case has another revision by now, or there is another draft than
    /// it was decided on.
    ///
    /// # Errors
    /// When it could not be kept; also when the task has a commitment already, or the opinion such a version.
    fn change_case(
        &self,
        case: &Case,
        alongside: &Alongside<'_>,
        audit: &AuditRecord,
    ) -> Result<bool, LedgerError>;

    /// What the studies of a case held when it was last said to be complete; empty before that.
    ///
    /// # Errors
    /// When they cannot be read, or one is malformed.
    fn marks(&self, case: u64) -> Result<Vec<Mark>, LedgerError>;

    /// The same, only which version the index had of each study.
    ///
    /// # Errors
    /// When they cannot be read.
    fn marked(&self, case: u64) -> Result<Vec<(Uid, u64)>, LedgerError>;

    /// Notes that a reader is about to claim a task: whatever happens then, it is known by whom it was claimed.
    ///
    /// # Errors
    /// When it could not be kept.
    fn note_attempt(
        &self,
        task: u64,
        attempt: &Attempt,
        audit: &AuditRecord,
    ) -> Result<(), LedgerError>;

    /// The attempts to claim a task.
    ///
    /// # Errors
    /// When they cannot be read.
    fn attempts(&self, task: u64) -> Result<Vec<Attempt>, LedgerError>;

    /// Puts a draft in the place of the one that was read, or of whichever there is, while its reader holds the task and that
    /// has this state, claimed or committed. It changes nobody's rights and nothing that counts: it has no row in the trail.
    ///
    /// # Errors
    /// When it could not be kept.
    fn save_draft(
        &self,
        task: u64,
        reader: &str,
        draft: &Draft,
        state: TaskState,
        read: Option<&DraftTag>,
    ) -> Result<DraftSaved, LedgerError>;

    /// The draft of a task.
    ///
    /// # Errors
    /// When it cannot be read.
    fn draft(&self, task: u64) -> Result<Option<Draft>, LedgerError>;

    /// What was committed of a task.
    ///
    /// # Errors
    /// When it cannot be read.
    fn commitment(&self, task: u64) -> Result<Option<Commitment>, LedgerError>;

    /// All versions of all opinions of a case, by number.
    ///
    /// # Errors
    /// When they cannot be read, or one is not as it was written.
    fn opinions(&self, case: u64) -> Result<Vec<Opinion>, LedgerError>;

    /// An opinion as it was kept: its body with the digest that was kept of it, and the rows of its manifest.
    ///
    /// # Errors
    /// When it cannot be read.
    fn kept_opinion(&self, id: u64) -> Result<Option<KeptOpinion>, LedgerError>;

    /// The cases whose tasks and workitems do not say the same, or lack a workitem, by number; at most `limit`.
    ///
    /// # Errors
    /// When they cannot be read.
    fn unsettled(&self, after: u64, limit: usize) -> Result<Vec<u64>, LedgerError>;

    /// The cases that nobody waits for any more at `now_ms`, by number; at most `limit`.
    ///
    /// # Errors
    /// When they cannot be read.
    fn expiring(&self, now_ms: i64, limit: usize) -> Result<Vec<u64>, LedgerError>;

    /// The pools of an account, in order.
    ///
    /// # Errors
    /// When they cannot be read.
    fn pools_of(&self, account: &str) -> Result<Vec<Pool>, LedgerError>;

    /// Sets the pools of an account.
    ///
    /// # Errors
    /// When they could not be kept.
    fn set_pools(
        &self,
        account: &str,
        pools: &[Pool],
        audit: &AuditRecord,
    ) -> Result<(), LedgerError>;

    /// Notes instances that were made of an opinion and stored with the study: no news to any manifest.
    ///
    /// # Errors
    /// When it could not be kept.
    fn note_record(
        &self,
        opinion: u64,
        instances: &[Uid],
        audit: &AuditRecord,
    ) -> Result<(), LedgerError>;

    /// Gives every signed opinion that no later version has replaced and that judges between no others, with what was asked,
    /// in any order, until `each` fails.
    ///
    /// # Errors
    /// When they cannot be read; those of `each`.
    fn each_signed(
        &self,
        each: &mut dyn FnMut(Signed) -> Result<(), LedgerError>,
    ) -> Result<(), LedgerError>;

    /// The number of the newest opinion; 0 when there is none.
    ///
    /// # Errors
    /// When it cannot be read.
    fn newest_opinion(&self) -> Result<u64, LedgerError>;

    /// Signed opinions of which no instances were made yet, by number: each with its case; at most `limit` after the
    /// opinion `after`.
    ///
    /// # Errors
    /// When they cannot be read.
    fn unrecorded(&self, after: u64, limit: usize) -> Result<Vec<(u64, u64)>, LedgerError>;

    /// The instances that were made of the opinions of a case.
    ///
    /// # Errors
    /// When they cannot be read.
    fn recorded(&self, case: u64) -> Result<BTreeSet<Uid>, LedgerError>;
}

/// An opinion as it lies there, to be verified.
#[derive(Debug)]
pub struct KeptOpinion {
    /// What it says.
    pub body: String,
    /// The digest of that, as it was kept.
    pub body_digest: [u8; 32],
    /// The rows of its manifest.
    pub rows: String,
    /// The digest of those, as it was kept.
    pub rows_digest: [u8; 32],
}

impl KeptOpinion {
    /// What it says.
    ///
    /// # Errors
    /// When it is none.
    pub fn said(&self) -> Result<Said, LedgerError> {
        serde_json::from_str(&self.body)
            .map_err(|cause| LedgerError::broken("reading an opinion", cause))
    }
}
