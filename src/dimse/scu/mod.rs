//! Service class users: we call other application entities. [`echo()`] asks whether one is there
//! (PS3.4 Annex A), [`send()`] brings instances of the archive to one (PS3.4 Annex B), for whoever
//! asks: the shell, a C-MOVE, a rule; [`commit()`] asks whether it keeps them (PS3.4 Annex J). [`find()`]
//! asks what one has, [`move_to`] has it send that to somebody, [`get`] fetches it (PS3.4 Annex C).
//!
//! The bytes are those of [`Archive::given`](crate::archive::Archive::given), streamed. What the peer
//! has acknowledged is never sent again; what it has not is, a bounded number of times.

mod association;
pub(in crate::dimse) mod command;
mod commitment;
mod echo;
mod failure;
mod find;
mod peer;
mod plan;
mod proposal;
mod question;
mod report;
mod resolve;
mod retrieve;
mod send;
mod signal;
mod store;
mod work;

use std::time::Duration;

use crate::dicom::AeTitle;
use crate::dimse::tls;

pub use command::Originator;
pub(in crate::dimse) use commitment::Reporting;
pub use commitment::{CommitRequest, Uncommitted, commit};
pub use echo::{Echo, echo};
pub use failure::{Failure, Rejection};
pub use find::{Found, find};
pub use peer::{Peer, PeerError, Peers};
pub use question::Question;
pub use report::{Fate, Observer, Reason, Report, Said};
pub use retrieve::{Counted, Outcome, RetrieveSaid, Retrieved, Watcher, get, move_to};
pub use send::{Request, send};
pub use signal::Signal;

/// How we call others: the outgoing half of the `[dicom]` section, checked.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Our AE title.
    pub calling: AeTitle,
    /// Whom we know by name.
    pub peers: Peers,
    /// Whom we trust over TLS, and who we are there.
    pub tls: tls::Files,
    /// The largest P-DATA-TF PDU we announce and take, in bytes.
    pub pdu_bytes_max: u32,
    /// How long a connection may take.
    pub connect_timeout: Duration,
    /// How long the peer may take for an answer, and for taking a PDU.
    pub answer_timeout: Duration,
    /// Associations with one peer at once, at the most.
    pub associations: usize,
    /// How often something is tried again: an instance whose association was lost or that the peer
    /// had no resources for, a connection that failed.
    pub retries: u32,
    /// The wait before the first retry; it doubles each time, up to 30 seconds.
    pub back_off: Duration,
    /// So much of a fetched object that is refused is read away.
    pub object_bytes_max: u64,
    /// Operations that may wait for their answers on one association, when the peer agrees.
    pub window: u16,
}

impl Settings {
    /// What suits most peers.
    #[must_use]
    pub fn of(calling: AeTitle) -> Self {
        Self {
            calling,
            peers: Peers::default(),
            tls: tls::Files::default(),
            pdu_bytes_max: 128 * 1024,
            connect_timeout: Duration::from_secs(10),
            answer_timeout: Duration::from_secs(120),
            associations: 2,
            retries: 3,
            back_off: Duration::from_secs(1),
            object_bytes_max: 64 << 30,
            window: 8,
        }
    }
}
