//! What can go wrong with a request about workitems. The variants say the caller's next move; the texts hold
//! names of attributes, never values, and never a Transaction UID.

use super::attributes::Fault;
use super::state::Refusal;
use crate::access::LedgerError;

/// Why a request was not done. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No such workitem or subscription that the caller may see.
    #[error("not found")]
    NotFound,
    /// Not among the rights of the caller: what it may see or change is limited, and so is whose events it may have.
    #[error(
        "who may only look has the events of its own AE title; who may see some studies only, of single workitems"
    )]
    Forbidden,
    /// The state of the workitem does not allow it.
    #[error("{0}")]
    Refused(Refusal),
    /// The workitem lacks what its final state needs, by keyword.
    #[error("{} Missing: {}", Refusal::Unfinished, .0.join(", "))]
    Unfinished(Vec<&'static str>),
    /// The data set of the request is wrong.
    #[error("{0}")]
    Invalid(Fault),
    /// The workitem would be larger than it may be.
    #[error(
        "a workitem has at most {} bytes of DICOM JSON",
        super::WORKITEM_BYTES_MAX
    )]
    TooLarge,
    /// The search would look through too much.
    #[error(
        "the search looks through too many workitems; say more (ProcedureStepState, PatientID)"
    )]
    TooBroad,
    /// No room or no time in the ledger, or a failure of ours.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        Self::Invalid(fault)
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Unknown => Self::NotFound,
            other => Self::Refused(other),
        }
    }
}

/// What a request that was done has to be told about it (PS3.18 §11, the texts of its Warning headers).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Warning {
    /// B300H
    #[error("The Workitem was created with modifications.")]
    Created,
    /// B300H
    #[error("The Workitem was updated with modifications.")]
    Updated,
    /// B304H
    #[error("The UPS is already in the requested state of CANCELED.")]
    AlreadyCanceled,
    /// B306H
    #[error("The UPS is already in the requested state of COMPLETED.")]
    AlreadyCompleted,
    /// Initial reports of a subscription that no queue would hold.
    #[error("More workitems match than initial reports are sent for; a search lists them all.")]
    ReportsLeftOut,
}
