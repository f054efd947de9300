//! The DICOM network door: PS3.8 on the wire (associations), PS3.7 above it (`exchange` of
//! messages), one service class provider per file in `scp`; [`scu`] calls others.
//!
//! Every association has a thread of its own with blocking reads and writes: the archive's calls
//! block too, and a store is one straight line from the socket to `archive::Incoming`. All
//! counts, lengths and waits are bounded by [`Settings`].

mod association;
mod commitment;
mod der;
mod exchange;
pub mod identity;
mod inbox;
mod listener;
mod message;
mod modalities;
mod negotiation;
mod pdu;
mod scp;
pub mod scu;
mod status;
mod stream;
#[cfg(test)]
mod tests;
pub mod tls;
mod trail;
mod visitor;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::dicom::{AeTitle, AeTitles};

use modalities::Verdict;

pub use listener::{Listener, Reload, Running};
pub use modalities::{Modalities, Right, Rights};

/// The `[dicom]` section, checked.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Our own title, which we always answer to.
    pub ae_title: AeTitle,
    /// Called titles we answer to besides our own.
    pub called_ae_titles: AeTitles,
    /// Calling titles we talk to, with every right, when there is no table or no row for them.
    pub calling_ae_titles: AeTitles,
    /// The table of whom we know.
    pub modalities: Modalities,
    /// The port for DICOM over TLS, if there is one.
    pub tls: Option<tls::Settings>,
    /// How user identities are verified; if not at all, they are read past.
    pub identity: Option<identity::Settings>,
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

impl Settings {
    /// Whether a called title is one that we answer to.
    #[must_use]
    pub fn is_ours(&self, title: &AeTitle) -> bool {
        *title == self.ae_title || self.called_ae_titles.hold(title)
    }

    /// What somebody who calls may do. As soon as there is a table, nobody is let in by `"*"`.
    fn judge(&self, calling: &AeTitle, called: &AeTitle, host: IpAddr) -> Verdict {
        let is_named = match &self.calling_ae_titles {
            AeTitles::Any => self.modalities.is_empty(),
            these @ AeTitles::These(_) => these.hold(calling),
        };
        match self.modalities.judge(calling, called, host) {
            Verdict::Unknown if is_named => Verdict::Admitted(Rights::ALL),
            Verdict::Unknown => self.modalities.judge_stranger(called, host),
            verdict => verdict,
        }
    }
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
    /// No TLS as the settings say.
    #[error("no DICOM over TLS: {0}")]
    Tls(#[from] tls::Error),
    /// The users of the settings cannot be read.
    #[error("no DICOM users: {0}")]
    Identity(#[from] tls::FileError),
    /// The system has no thread left.
    #[error("cannot start the DICOM listener: {0}")]
    Thread(io::Error),
}
