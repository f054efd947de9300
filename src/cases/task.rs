//! The task of a reader in a case: one workitem of the worklist each (PS3.4 Annex CC).

use std::fmt;

use crate::access::account::AccountName;
use crate::dicom::Uid;

use super::error::Fault;

/// The longest name of a pool: what [`worklist label`](super::workitem) still holds. Bytes.
pub const POOL_BYTES_MAX: usize = 48;

/// A subspecialty, and so a pool of readers: small letters, digits and `-`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pool(Box<str>);

impl Pool {
    /// Reads one. Capital letters count as small ones.
    ///
    /// # Errors
    /// When it is none.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        let word = text.to_ascii_lowercase();
        let is_good = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        let is_word = !word.is_empty() && word.len() <= POOL_BYTES_MAX && word.bytes().all(is_good);
        let fault = Fault::new("subspecialty", "is not 1 to 48 of a-z, 0-9 and '-'");
        is_word.then(|| Self(word.into())).ok_or(fault)
    }

    /// The word.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Who is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// This account and nobody else.
    Reader(AccountName),
    /// Whoever of a pool is first.
    Pool(Pool),
}

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reader(name) => write!(f, "{name}"),
            Self::Pool(pool) => write!(f, "pool {pool}"),
        }
    }
}

/// Where a task stands. Claims, and what workstations do, are told by its workitem; the rest is ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TaskState {
    /// Nobody has claimed it.
    Waiting,
    /// Somebody reads.
    Claimed,
    /// What was seen is committed, and the first report is open to its reader.
    Committed,
    /// The opinion is signed.
    Signed,
    /// A workstation has completed the workitem: the answer is in the study.
    Elsewhere,
    /// The reader will not answer.
    GivenBack,
    /// Nobody waits for it any more: the requester says so, or the case was withdrawn or expired before an answer.
    Ended,
}

impl TaskState {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Waiting,
        Self::Claimed,
        Self::Committed,
        Self::Signed,
        Self::Elsewhere,
        Self::GivenBack,
        Self::Ended,
    ];

    /// The word that is kept and sent.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Claimed => "claimed",
            Self::Committed => "committed",
            Self::Signed => "signed",
            Self::Elsewhere => "elsewhere",
            Self::GivenBack => "given-back",
            Self::Ended => "ended",
        }
    }

    /// The state of a word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.word() == word)
    }

    /// Whether there is an answer.
    #[must_use]
    pub const fn is_answered(self) -> bool {
        matches!(self, Self::Signed | Self::Elsewhere)
    }

    /// Whether there will be none.
    #[must_use]
    pub const fn is_over_unanswered(self) -> bool {
        matches!(self, Self::GivenBack | Self::Ended)
    }

    /// Whether somebody may still answer.
    #[must_use]
    pub const fn is_pending(self) -> bool {
        matches!(self, Self::Waiting | Self::Claimed | Self::Committed)
    }
}

/// The task of a reader.
#[derive(Clone, PartialEq, Eq)]
pub struct Task {
    /// Its number among all tasks; 0 before it is kept.
    pub id: u64,
    /// Its number in its case, from 1.
    pub place: u32,
    /// Who is asked.
    pub asked: Asked,
    /// Its workitem. Allocated with the task, made when the case goes out.
    pub workitem: Uid,
    /// Where it stands.
    pub state: TaskState,
    /// Who claimed it here; `None` when nobody did, or a workstation.
    pub held_by: Option<Box<str>>,
    /// What the workitem was claimed with. Nobody is ever told.
    pub transaction_uid: Option<Uid>,
    /// When it was claimed, as far as we know.
    pub claimed_ms: Option<i64>,
    /// When the impression was committed.
    pub committed_ms: Option<i64>,
    /// When the first version of the opinion was signed.
    pub signed_ms: Option<i64>,
    /// In which revision of the case nobody waited for it any longer.
    pub ended_in: Option<u64>,
    /// The opinions that it judges between; none of most.
    pub adjudicates: Vec<u64>,
}

/// Says nothing of what it was claimed with.
impl fmt::Debug for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Task")
            .field("id", &self.id)
            .field("asked", &self.asked)
            .field("state", &self.state)
            .field("held_by", &self.held_by)
            .finish_non_exhaustive()
    }
}

impl Task {
    /// A task that nobody has claimed, with a workitem of its own.
    #[must_use]
    pub fn new(place: u32, asked: Asked) -> Self {
        Self {
            id: 0,
            place,
            asked,
            workitem: Uid::fresh(),
            state: TaskState::Waiting,
            held_by: None,
            transaction_uid: None,
            claimed_ms: None,
            committed_ms: None,
            signed_ms: None,
            ended_in: None,
            adjudicates: Vec::new(),
        }
    }

    /// Waits for it no longer, from this revision of its case on.
    pub(super) fn end(&mut self, revision: u64) {
        self.state = TaskState::Ended;
        self.ended_in = Some(revision);
    }

    /// Whether `name` holds it.
    #[must_use]
    pub fn is_held_by(&self, name: &str) -> bool {
        self.held_by.as_deref() == Some(name)
    }

    /// Whether `name` was asked by name.
    #[must_use]
    pub fn is_asked(&self, name: &str) -> bool {
        matches!(&self.asked, Asked::Reader(reader) if reader.as_str() == name)
    }

    /// Whether it was claimed, and not here.
    #[must_use]
    pub fn is_at_workstation(&self) -> bool {
        self.state == TaskState::Elsewhere
            || (self.state == TaskState::Claimed && self.held_by.is_none())
    }

    /// One in a state, for tests.
    #[cfg(test)]
    pub(crate) fn example(state: TaskState) -> Self {
        let pool = Pool::parse("neuro").unwrap();
        Self {
            state,
            ..Self::new(1, Asked::Pool(pool))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_pools() {
        for state in TaskState::ALL {
            assert_eq!(TaskState::parse(state.word()), Some(state));
        }
        assert_eq!(Pool::parse("Neuro-3").unwrap().as_str(), "neuro-3");
        for text in ["", "a b", "a\\b", "ä", &"a".repeat(49)] {
            assert!(Pool::parse(text).is_err(), "{text}");
        }
    }
}
