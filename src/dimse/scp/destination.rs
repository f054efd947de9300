//! Where a C-MOVE may go (PS3.4 §C.4.2.1.4): the one place that answers whether a caller may have
//! instances sent to a destination.

use std::net::IpAddr;

use crate::access::Action;
use crate::dicom::AeTitle;
use crate::dimse::association::Peer;
use crate::dimse::scu;
use crate::dimse::status::{Reply, Status};

/// The application entity that `peer` may have instances moved to under this title: whoever may
/// retrieve may name any entity of `dicom.peers`, and nobody else, ourselves and the caller included. Who has an account
/// needs the right to send, as on the web, unless it goes to the caller itself, by its title and its address; without it nothing is told of destinations.
pub(super) fn allowed<'p>(
    peer: &Peer<'p>,
    destination: Option<&AeTitle>,
) -> Result<&'p scu::Peer, Reply> {
    let unknown = |why| Reply::because(Status::UNKNOWN_DESTINATION, why);
    let title = destination.ok_or_else(|| unknown("Move Destination is missing or no AE title"))?;
    peer.admit(Action::Retrieve)?;
    let destination = peer.outgoing.peers.destination(title);
    // A title alone is what anybody may say of themselves.
    let is_caller =
        |there: &&scu::Peer| title == peer.calling && is_same_host(&there.host, peer.host);
    if destination.filter(is_caller).is_none() {
        peer.admit(Action::Send)?;
    }
    destination.ok_or_else(|| unknown("Move Destination is not in dicom.peers"))
}

/// Whether a configured host is the address that somebody calls from; one that is configured by its name is not known by it.
fn is_same_host(configured: &str, calling: &str) -> bool {
    let address = |text: &str| text.parse::<IpAddr>().ok().map(|ip| ip.to_canonical());
    match (address(configured), address(calling)) {
        (Some(configured), Some(calling)) => configured == calling,
        _ => configured == "localhost" && address(calling).is_some_and(|ip| ip.is_loopback()),
    }
}
