//! What can go wrong with a request about cases. The variants say the caller's next move; no text holds what somebody
//! wrote, or who a patient is.

use std::borrow::Cow;

use super::state::{Act, Refusal};
use crate::access::LedgerError;
use crate::{archive, worklist};

/// Why a request was not done. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No such case, or study, that the caller may see.
    #[error("not found")]
    NotFound,
    /// The caller sees the case and has another part in it.
    #[error("not among the rights of this account in this case: {}", .0.word())]
    Forbidden(Act),
    /// The state of the case or of the task does not allow it.
    #[error("{0}")]
    Refused(Refusal),
    /// What was sent is wrong.
    #[error("{0}")]
    Invalid(Fault),
    /// The caller has decided on another revision of the case than there is now.
    #[error("the case was changed meanwhile; look at it again")]
    Changed,
    /// The caller has read another draft than there is now.
    #[error("the draft was saved meanwhile; read it again")]
    DraftChanged,
    /// The archive failed.
    #[error(transparent)]
    Archive(#[from] archive::Error),
    /// The worklist did not do its part.
    #[error("the worklist: {0}")]
    Worklist(worklist::Error),
    /// No room or no time in the ledger, or a failure of ours.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        Self::Invalid(fault)
    }
}

impl From<worklist::Error> for Error {
    fn from(error: worklist::Error) -> Self {
        match error {
            worklist::Error::Ledger(error) => Self::Ledger(error),
            other => Self::Worklist(other),
        }
    }
}

/// What is wrong with a field, in words. Never repeats its value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field} {why}")]
pub struct Fault {
    /// The field, as it is called in JSON.
    pub field: &'static str,
    /// What is wrong with it.
    pub why: Cow<'static, str>,
}

impl Fault {
    /// A field and what is wrong with it.
    pub fn new(field: &'static str, why: impl Into<Cow<'static, str>>) -> Self {
        Self {
            field,
            why: why.into(),
        }
    }
}
