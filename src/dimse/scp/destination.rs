//! Where a C-MOVE may go (PS3.4 §C.4.2.1.4): the one place that answers whether a caller may have
//! instances sent to a destination.

use crate::dicom::AeTitle;
use crate::dimse::association::Peer;
use crate::dimse::scu;
use crate::dimse::status::{Reply, Status};

/// The application entity that `peer` may have instances moved to under this title: whoever may
/// retrieve may name any entity of `dicom.peers`, and nobody else, ourselves and the caller included.
pub(super) fn allowed<'p>(
    peer: &Peer<'p>,
    destination: Option<&AeTitle>,
) -> Result<&'p scu::Peer, Reply> {
    let unknown = |why| Reply::because(Status::UNKNOWN_DESTINATION, why);
    let title = destination.ok_or_else(|| unknown("Move Destination is missing or no AE title"))?;
    peer.outgoing
        .peers
        .destination(title)
        .ok_or_else(|| unknown("Move Destination is not in dicom.peers"))
}
