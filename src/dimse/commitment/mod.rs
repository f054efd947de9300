//! Storage Commitment Push Model (PS3.4 Annex J) on the wire, in both roles: what its requests and
//! event reports say ([`information`]), and the event reports that we owe ([`reporter`]). What is
//! committed, the archive decides.

pub(super) mod information;
pub(super) mod reporter;

use dicom_core::Tag;

/// Storage Commitment Push Model SOP Class (PS3.4 §J.5).
pub(crate) const SOP_CLASS: &str = "1.2.840.10008.1.20.1";
/// Its well-known SOP Instance.
pub(crate) const SOP_INSTANCE: &str = "1.2.840.10008.1.20.1.1";

/// Action Type ID: request storage commitment (PS3.4 Table J.3-1).
pub(crate) const REQUEST: u16 = 1;
/// Event Type ID: successful, all of it (PS3.4 Table J.3-2).
pub(crate) const SUCCESSFUL: u16 = 1;
/// Event Type ID: complete, failures exist.
pub(crate) const FAILURES_EXIST: u16 = 2;

const RETRIEVE_AE_TITLE: Tag = Tag(0x0008, 0x0054);
const REFERENCED_SOP_CLASS_UID: Tag = Tag(0x0008, 0x1150);
const REFERENCED_SOP_INSTANCE_UID: Tag = Tag(0x0008, 0x1155);
const TRANSACTION_UID: Tag = Tag(0x0008, 0x1195);
const FAILURE_REASON: Tag = Tag(0x0008, 0x1197);
const FAILED_SOP_SEQUENCE: Tag = Tag(0x0008, 0x1198);
const REFERENCED_SOP_SEQUENCE: Tag = Tag(0x0008, 0x1199);
