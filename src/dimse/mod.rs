//! The DICOM network door: PS3.8 on the wire (associations), PS3.7 above it (`exchange` of
//! messages), one service class provider per file in `scp`; [`scu`] calls others.
//!
//! Every association has a thread of its own with blocking reads and writes: the archive's calls
//! block too, and a store is one straight line from the socket to `archive::Incoming`. All
//! counts, lengths and waits are bounded by [`Settings`].

mod association;
mod commitment;
mod exchange;
mod inbox;
mod listener;
mod message;
mod negotiation;
mod pdu;
mod scp;
pub mod scu;
mod status;
mod stream;
#[cfg(test)]
mod tests;

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use crate::dicom::{AeTitle, AeTitles};

pub use listener::{Listener, Running};

/// The `[dicom]` section, checked.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Our own title, which we always answer to.
    pub ae_title: AeTitle,
    /// Called titles we answer to besides our own.
    pub called_ae_titles: AeTitles,
    /// Calling titles we talk to.
    pub calling_ae_titles: AeTitles,
    /// The largest P-DATA-TF PDU we announce and take, in bytes (its variable field, PS3.8 §D.1).
    pub max_pdu_bytes: u32,
    /// Associations at once.
    pub associations_max: usize,
    /// C-MOVE requests answered at once.
    pub moves_max: usize,
    /// The ARTIM timer (PS3.8 §9.1.5).
    pub artim_timeout: Duration,
    /// How long an association may stay silent, also in the middle of an object.
    pub idle_timeout: Duration,
    /// `[ingest] object_bytes_max`: so much of a refused object is read away before the
    /// association is aborted. Bytes.
    pub object_bytes_max: u64,
    /// How long the answer to a request for storage commitment is kept, and told again to who asked.
    pub commitment_keep: Duration,
    /// How we call others.
    pub outgoing: scu::Settings,
}

/// The Query/Retrieve SOP classes that we are SCP of: UID and name.
pub fn query_retrieve_classes() -> impl Iterator<Item = (&'static str, &'static str)> {
    negotiation::CLASSES
        .iter()
        .map(|(uid, name, ..)| (*uid, *name))
}

/// Why there is no listener.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address is taken, or not ours.
    #[error("cannot listen for DICOM on {address}: {source}")]
    Bind {
        /// The address of the settings.
        address: SocketAddr,
        /// The system's word for it.
        source: io::Error,
    },
    /// The system has no thread left.
    #[error("cannot start the DICOM listener: {0}")]
    Thread(io::Error),
}
