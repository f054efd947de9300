//! Statuses of DIMSE responses (PS3.7 Annex C, PS3.4 §B.2.3) and what archive outcomes become.
//!
//! The standard leaves the last digits of A7xx, A9xx and Cxxx to us: each cause has its own, so
//! that a sender's log tells them apart. Error Comments are at most 64 characters (VR LO) and
//! hold no patient data.

use dicom_core::Tag;
use dicom_core::dictionary::{DataDictionary, DataDictionaryEntry};
use dicom_dictionary_std::StandardDataDictionary;

use crate::archive::{Error, Outcome, QuarantineReason, Refusal};
use crate::dicom::Uid;
use crate::dicom::walk::Fault;

/// A value of Status (0000,0900).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Status(pub(crate) u16);

/// PS3.7 Annex C, common to all services.
impl Status {
    /// §C.1.1
    pub(crate) const SUCCESS: Self = Self(0x0000);
    /// §C.5.13 Processing failure: something of ours failed, the log has the cause.
    pub(crate) const PROCESSING_FAILURE: Self = Self(0x0110);
    /// §C.5.6 Duplicate SOP Instance: other bytes are here under the same UID.
    pub(crate) const DUPLICATE_INSTANCE: Self = Self(0x0111);
    /// §C.5.11 Invalid SOP Instance: the UID is not a UID.
    pub(crate) const INVALID_INSTANCE: Self = Self(0x0117);
    /// §C.5.17 Refused: SOP Class not supported (on this presentation context).
    pub(crate) const CLASS_NOT_SUPPORTED: Self = Self(0x0122);
    /// Refused: not authorized. The right to it is missing.
    pub(crate) const NOT_AUTHORIZED: Self = Self(0x0124);
    /// §C.5.23 Unrecognized operation.
    pub(crate) const UNRECOGNIZED_OPERATION: Self = Self(0x0211);
}

/// PS3.7 Annex C, as N-ACTION and N-EVENT-REPORT have them (§10.1.1.1.8, §10.1.4.1.10).
impl Status {
    /// §C.5.12 No such SOP Instance.
    pub(crate) const NO_SUCH_INSTANCE: Self = Self(0x0112);
    /// §C.5.9 No such event type.
    pub(crate) const NO_SUCH_EVENT: Self = Self(0x0113);
    /// §C.5.6 Invalid argument value: something that must be there is not, or means nothing.
    pub(crate) const INVALID_ARGUMENT: Self = Self(0x0115);
    /// §C.5.14 No such SOP Class.
    pub(crate) const NO_SUCH_CLASS: Self = Self(0x0118);
    /// §C.5.8 No such action.
    pub(crate) const NO_SUCH_ACTION: Self = Self(0x0123);
    /// §C.5.15 Mistyped argument: no data set.
    pub(crate) const MISTYPED_ARGUMENT: Self = Self(0x0212);
    /// §C.5.16 Resource limitation.
    pub(crate) const RESOURCE_LIMITATION: Self = Self(0x0213);
}

/// PS3.4 §B.2.3, Table B.2-1: C-STORE.
impl Status {
    /// B000 Coercion of data elements: stored, with attributes changed as `[coercion]` says.
    pub(crate) const COERCED: Self = Self(0xB000);
    /// A7xx Refused, out of resources: no room on the disk.
    pub(crate) const FULL: Self = Self(0xA700);
    /// A7xx: too much at once, or stopping; the same object is welcome later.
    pub(crate) const BUSY: Self = Self(0xA710);
    /// A7xx: larger than a limit of the configuration.
    pub(crate) const TOO_LARGE: Self = Self(0xA720);
    /// A9xx Data Set does not match SOP Class: identity differs from what the command says.
    pub(crate) const MISMATCH: Self = Self(0xA900);
    /// A9xx: its study belongs to another patient.
    pub(crate) const PATIENT_CONFLICT: Self = Self(0xA910);
    /// Cxxx Cannot understand: no DICOM data set.
    pub(crate) const NOT_DICOM: Self = Self(0xC000);
    /// Cxxx: the data set ends too soon.
    pub(crate) const TRUNCATED: Self = Self(0xC001);
    /// Cxxx: the data set is unreadable.
    pub(crate) const UNREADABLE: Self = Self(0xC002);
    /// Cxxx: the data set is beyond a limit (depth, fragments, metadata).
    pub(crate) const BEYOND_LIMIT: Self = Self(0xC003);
    /// Cxxx: an identifying UID is missing or malformed.
    pub(crate) const NO_IDENTITY: Self = Self(0xC004);
    /// Cxxx: a transfer syntax that is not taken.
    pub(crate) const TRANSFER_SYNTAX: Self = Self(0xC005);
}

/// PS3.4 §C.4.1.1.4 (C-FIND), §C.4.2.1.5 (C-MOVE) and §C.4.3.1.4 (C-GET).
impl Status {
    /// FF00 Pending: a match, or sub-operations go on.
    pub(crate) const PENDING: Self = Self(0xFF00);
    /// FF01 Pending: a match; some optional key was not supported.
    pub(crate) const PENDING_IN_PART: Self = Self(0xFF01);
    /// FE00 Cancel.
    pub(crate) const CANCELLED: Self = Self(0xFE00);
    /// A700 Refused, out of resources: the search is too broad, or the identifier too large.
    pub(crate) const TOO_BROAD: Self = Self(0xA700);
    /// A701 Refused, out of resources: unable to calculate the number of matches.
    pub(crate) const UNCOUNTABLE: Self = Self(0xA701);
    /// A702 Refused, out of resources: unable to perform sub-operations.
    pub(crate) const NOTHING_SENT: Self = Self(0xA702);
    /// A801 Refused: Move Destination unknown.
    pub(crate) const UNKNOWN_DESTINATION: Self = Self(0xA801);
    /// A900 Identifier does not match SOP Class.
    pub(crate) const WRONG_IDENTIFIER: Self = Self(0xA900);
    /// B000 Sub-operations complete, one or more failures or warnings.
    pub(crate) const SENT_IN_PART: Self = Self(0xB000);
    /// Cxxx Unable to process: the identifier is no data set.
    pub(crate) const UNREADABLE_IDENTIFIER: Self = Self(0xC000);
    /// Cxxx: a key has a value that its VR does not allow.
    pub(crate) const BAD_KEY: Self = Self(0xC001);
    /// Cxxx: something of ours failed, the log has the cause.
    pub(crate) const UNABLE: Self = Self(0xC002);

    /// Whether a response of the same request follows.
    pub(crate) fn is_pending(self) -> bool {
        matches!(self, Self::PENDING | Self::PENDING_IN_PART)
    }
}

impl std::fmt::Display for Status {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:04X}H", self.0)
    }
}

/// What a response says besides echoing the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reply {
    /// (0000,0900)
    pub(crate) status: Status,
    /// (0000,0902); printable ASCII, at most 64 characters, no backslash.
    pub(crate) comment: Option<Box<str>>,
    /// (0000,0901): the element that is wrong.
    pub(crate) offending: Option<Tag>,
    /// Of C-MOVE and C-GET.
    pub(crate) counters: Option<Counters>,
    /// The identifier that follows, in the transfer syntax of the context.
    pub(crate) data_set: Option<Vec<u8>>,
    /// The study of which an instance was stored; it is not on the wire.
    pub(crate) stored: Option<Uid>,
}

/// The sub-operations of a retrieval (PS3.7 §9.1.3.1, §9.1.4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Counters {
    /// (0000,1020); not said at the end, unless it was cancelled.
    pub(crate) remaining: Option<u16>,
    /// (0000,1021)
    pub(crate) completed: u16,
    /// (0000,1022)
    pub(crate) failed: u16,
    /// (0000,1023)
    pub(crate) warning: u16,
}

impl Reply {
    /// A status that says it all.
    pub(crate) fn plain(status: Status) -> Self {
        Self {
            status,
            comment: None,
            offending: None,
            counters: None,
            data_set: None,
            stored: None,
        }
    }

    /// A status and why; what is no fit for VR LO becomes `?`, what is too long is cut.
    pub(crate) fn because(status: Status, why: &str) -> Self {
        let fit = |c: char| {
            if (' '..='~').contains(&c) && c != '\\' {
                c
            } else {
                '?'
            }
        };
        Self {
            comment: Some(why.chars().take(64).map(fit).collect()),
            ..Self::plain(status)
        }
    }

    /// The same, naming the element that is wrong.
    pub(crate) fn about(self, offending: Tag) -> Self {
        Self {
            offending: Some(offending),
            ..self
        }
    }

    /// The same, naming the attribute that is wrong.
    fn naming(self, keyword: &str) -> Self {
        let offending = StandardDataDictionary
            .by_name(keyword)
            .map(DataDictionaryEntry::tag);
        Self { offending, ..self }
    }
}

/// The answer to an instance that was received whole.
///
/// A conflict that the configuration accepts is a plain success: the object is kept and shown
/// exactly as sent, so none of the warnings (B000 coercion, B006 elements discarded, B007 no match
/// with the SOP Class) would be true. What is held in quarantine is durable, but no viewer sees
/// it: the sender must not believe it delivered.
impl From<Outcome> for Reply {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Stored
            | Outcome::AlreadyStored
            | Outcome::Replaced
            | Outcome::StoredInConflict => Self::plain(Status::SUCCESS),
            Outcome::KeptFirst => Self::because(
                Status::DUPLICATE_INSTANCE,
                "not kept: other bytes are stored under this UID",
            ),
            Outcome::Quarantined { id: _, reason } => match reason {
                QuarantineReason::Duplicate | QuarantineReason::Displaced => Self::because(
                    Status::DUPLICATE_INSTANCE,
                    "held in quarantine: other bytes are stored under this UID",
                ),
                QuarantineReason::PatientConflict => Self::because(
                    Status::PATIENT_CONFLICT,
                    "held in quarantine: the study belongs to another patient",
                ),
            },
        }
    }
}

/// The answer to an instance that was not received, or not kept.
impl From<&Error> for Reply {
    fn from(error: &Error) -> Self {
        match error {
            Error::Refused(refusal) => Self::from(refusal),
            Error::TooLarge { .. } => Self::because(Status::TOO_LARGE, &error.to_string()),
            Error::Full => Self::because(Status::FULL, &error.to_string()),
            Error::Busy(_) => Self::because(Status::BUSY, &error.to_string()),
            // The cause is for the log; the first two belong to searches and retrievals.
            Error::NotFound | Error::TooBroad(_) | Error::Unmakable(_) | Error::Broken(_) => {
                Self::because(Status::PROCESSING_FAILURE, "internal failure")
            }
        }
    }
}

impl From<&Refusal> for Reply {
    fn from(refusal: &Refusal) -> Self {
        let why = refusal.to_string();
        match refusal {
            Refusal::NotDicom => Self::because(Status::NOT_DICOM, &why),
            Refusal::TransferSyntax(_) => {
                Self::because(Status::TRANSFER_SYNTAX, "transfer syntax not supported")
            }
            Refusal::NotAdmitted => Self::because(Status::NOT_AUTHORIZED, &why),
            Refusal::InboxFull => Self::because(Status::FULL, &why),
            Refusal::Mismatch { keyword } => Self::because(Status::MISMATCH, &why).naming(keyword),
            Refusal::Fault(fault) => match fault {
                Fault::Truncated { .. } => Self::because(Status::TRUNCATED, &why),
                Fault::Unreadable { .. } => Self::because(Status::UNREADABLE, &why),
                Fault::TooLarge { .. } => Self::because(Status::BEYOND_LIMIT, &why),
                Fault::Identity { keyword, .. } => {
                    Self::because(Status::NO_IDENTITY, &why).naming(keyword)
                }
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The classes of Table B.2-1 and PS3.7 Annex C, by hand.
    #[test]
    fn every_outcome_has_its_status() {
        let quarantined = |reason| Outcome::Quarantined { id: 7, reason };
        for (outcome, status) in [
            (Outcome::Stored, 0x0000),
            (Outcome::AlreadyStored, 0x0000),
            (Outcome::Replaced, 0x0000),
            (Outcome::StoredInConflict, 0x0000),
            (Outcome::KeptFirst, 0x0111),
            (quarantined(QuarantineReason::Duplicate), 0x0111),
            (quarantined(QuarantineReason::PatientConflict), 0xA910),
        ] {
            assert_eq!(Reply::from(outcome).status.0, status, "{outcome:?}");
        }
    }

    #[test]
    fn every_error_has_its_status() {
        let uid = || crate::dicom::Uid::parse("1.2.3").unwrap();
        let refused = |refusal: Refusal| Error::Refused(refusal);
        for (error, class, offending) in [
            (Error::Full, 0xA700, None),
            (Error::Busy("stopping"), 0xA700, None),
            (
                Error::TooLarge {
                    limit: "ingest.object_bytes_max",
                    max: 1,
                },
                0xA700,
                None,
            ),
            (
                refused(Refusal::Mismatch {
                    keyword: "SOPInstanceUID",
                }),
                0xA900,
                Some(Tag(0x0008, 0x0018)),
            ),
            (refused(Refusal::NotDicom), 0xC000, None),
            (refused(Refusal::TransferSyntax(uid())), 0xC000, None),
            (refused(Fault::Truncated { at: 9 }.into()), 0xC000, None),
            (
                refused(
                    Fault::Unreadable {
                        at: 9,
                        what: "no tag",
                    }
                    .into(),
                ),
                0xC000,
                None,
            ),
            (
                refused(
                    Fault::TooLarge {
                        limit: "ingest.depth_max",
                        max: 64,
                    }
                    .into(),
                ),
                0xC000,
                None,
            ),
            (
                refused(
                    Fault::Identity {
                        keyword: "StudyInstanceUID",
                        problem: "missing",
                    }
                    .into(),
                ),
                0xC000,
                Some(Tag(0x0020, 0x000D)),
            ),
            (Error::Broken("the disk caught fire".into()), 0x0100, None),
            (Error::NotFound, 0x0100, None),
            (Error::TooBroad("no key"), 0x0100, None),
        ] {
            let reply = Reply::from(&error);
            assert_eq!(reply.status.0 & 0xFF00, class, "{error:?}");
            assert_eq!(reply.offending, offending, "{error:?}");
            assert!(!reply.comment.unwrap_or_default().contains("fire"));
        }
    }

    #[test]
    fn a_comment_fits_its_representation() {
        let reply = Reply::because(Status::UNREADABLE, &format!("a\\b\nü{}", "x".repeat(99)));
        assert_eq!(
            reply.comment.unwrap().as_ref(),
            format!("a?b??{}", "x".repeat(59))
        );
    }
}
