//! What can go wrong with an instance, named after the caller's next move. No text holds patient
//! data or a path.

use crate::dicom::walk::Fault;

/// The one error of the archive. Each door translates it by the tables of the standard.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not held, or outside the caller's scope: the two cannot be told apart.
    #[error("not found")]
    NotFound,
    /// The object cannot be kept as it is; sending it again will not help.
    #[error("{0}")]
    Refused(#[from] Refusal),
    /// Larger than a named limit.
    #[error("larger than {limit} = {max}")]
    TooLarge {
        /// The key of the limit in the configuration.
        limit: &'static str,
        /// Its value.
        max: u64,
    },
    /// No room: nothing more is taken until somebody frees space. Reads go on.
    #[error("out of storage space")]
    Full,
    /// Too much at once, or stopping: try again later.
    #[error("busy: {0}")]
    Busy(&'static str),
    /// The search would read too much; ask for less.
    #[error("the search is too broad: {0}")]
    TooBroad(&'static str),
    /// It is held, but cannot be given in this form; as stored it can.
    #[error("{0}")]
    Unmakable(String),
    /// Something of ours failed; the log has the cause.
    #[error("internal failure: {0}")]
    Broken(String),
}

/// Why an object is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Not DICOM at all.
    #[error("not a DICOM object")]
    NotDicom,
    /// DICOM, but unreadable, cut off, beyond a limit, or without identity.
    #[error("{0}")]
    Fault(#[from] Fault),
    /// A transfer syntax that this archive does not take.
    #[error("transfer syntax {0} is not supported")]
    TransferSyntax(crate::dicom::Uid),
    /// Who sends it may not bring it.
    #[error("whoever sends this may not add it to this study")]
    NotAdmitted,
    /// Its sender has brought as much as may come by their inbox.
    #[error("the inbox is full: ask whoever sent you the link for another one")]
    InboxFull,
    /// The object is not what the sender said it would be.
    #[error("{keyword} of the data set differs from what was declared")]
    Mismatch {
        /// The attribute that differs.
        keyword: &'static str,
    },
}

impl Error {
    /// The same for one more sender.
    pub(super) fn again(&self) -> Self {
        match self {
            Self::Full => Self::Full,
            other => Self::Broken(other.to_string()),
        }
    }

    /// Wraps a failure of a shelf: `what` we did, and its cause.
    pub fn broken(what: &str, cause: impl std::fmt::Display) -> Self {
        Self::Broken(format!("{what}: {cause}"))
    }
}
