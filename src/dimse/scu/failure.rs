//! Why there is no association, or no longer, in words: A-ASSOCIATE-RJ (PS3.8 Table 9-21), A-ABORT
//! (Table 9-26), and what the network does.

use std::fmt;
use std::io;

use crate::dimse::pdu::Violation;
use crate::dimse::tls;

/// How an association ended before its time, or did not begin.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// The name of the host leads nowhere.
    #[error("the host is not found: {0}")]
    Resolve(io::Error),
    /// Nobody listens there, or nobody answers.
    #[error("cannot connect: {0}")]
    Connect(io::Error),
    /// No TLS with this peer: its certificate, or ours, or a file.
    #[error("no TLS: {0}")]
    Tls(String),
    /// A-ASSOCIATE-RJ.
    #[error("the association is rejected: {0}")]
    Rejected(Rejection),
    /// A-ABORT with its source and reason.
    #[error("the peer aborts: {}", abort_words(*.0, *.1))]
    Aborted(u8, u8),
    /// The connection ended without a word.
    #[error("the peer closes the connection")]
    Closed,
    /// The peer wants release in the middle of our work.
    #[error("the peer ends the association")]
    Released,
    /// Nothing came, or nothing was taken, for too long.
    #[error("no answer in time")]
    Silent,
    /// The peer breaks PS3.8.
    #[error("the peer breaks the protocol: {0}")]
    Violated(&'static str),
    /// No presentation context for what we want.
    #[error("the peer takes none of what is proposed: {0}")]
    NoContext(&'static str),
    /// The connection.
    #[error("connection lost: {0}")]
    Network(io::Error),
    /// Somebody asked us to stop.
    #[error("interrupted")]
    Cancelled,
}

impl Failure {
    /// Whether the peer has said that it may be otherwise later.
    pub(super) fn is_for_now(&self) -> bool {
        matches!(self, Self::Rejected(rejection) if rejection.result == TRANSIENT)
    }

    /// Whether trying again cannot help until somebody changes something.
    #[must_use]
    pub fn is_for_good(&self) -> bool {
        match self {
            Self::Rejected(rejection) => rejection.result != TRANSIENT,
            Self::NoContext(_) | Self::Cancelled | Self::Tls(_) => true,
            Self::Resolve(_)
            | Self::Connect(_)
            | Self::Aborted(..)
            | Self::Closed
            | Self::Released
            | Self::Silent
            | Self::Violated(_)
            | Self::Network(_) => false,
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Self::Silent,
            io::ErrorKind::UnexpectedEof => Self::Closed,
            io::ErrorKind::InvalidData if tls::is_no_tls(&error) => {
                Self::Tls("the peer answers without it".into())
            }
            // A peer tells only after the handshake that our certificate is no good (RFC 8446).
            io::ErrorKind::InvalidData => Self::Tls(error.to_string()),
            _ => Self::Network(error),
        }
    }
}

impl From<Violation> for Failure {
    fn from(violation: Violation) -> Self {
        Self::Violated(match violation {
            Violation::UnrecognizedPdu => "unrecognized PDU",
            Violation::UnexpectedPdu => "unexpected PDU",
            Violation::UnrecognizedParameter => "unrecognized PDU parameter",
            Violation::UnexpectedParameter => "unexpected PDU parameter",
            Violation::InvalidParameter => "invalid PDU parameter value",
        })
    }
}

/// Result 2 of A-ASSOCIATE-RJ.
const TRANSIENT: u8 = 2;

/// A-ASSOCIATE-RJ (PS3.8 §9.3.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rejection {
    /// 1 permanent, 2 transient.
    pub result: u8,
    /// 1 service user, 2 service provider (ACSE), 3 service provider (presentation).
    pub source: u8,
    /// By the source.
    pub reason: u8,
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            result,
            source,
            reason,
        } = *self;
        let why = match (source, reason) {
            (1 | 2, 1) => "no reason given",
            (1, 2) => "application context name not supported",
            (1, 3) => "it does not know our AE title (calling AE title not recognized)",
            (1, 7) => "it has another AE title (called AE title not recognized)",
            (2, 2) => "protocol version not supported",
            (3, 1) => "temporary congestion",
            (3, 2) => "local limit exceeded",
            _ => "a reason that the standard does not know",
        };
        let how_long = match result {
            1 => "for good",
            TRANSIENT => "for now",
            _ => "for how long is not said",
        };
        write!(f, "{why}, {how_long} ({result}/{source}/{reason})")
    }
}

fn abort_words(source: u8, reason: u8) -> String {
    let who = match source {
        0 => return "no reason given".into(),
        2 => "its protocol machine",
        _ => "nobody knows who",
    };
    let why = match reason {
        0 => "reason not specified",
        1 => "unrecognized PDU",
        2 => "unexpected PDU",
        4 => "unrecognized PDU parameter",
        5 => "unexpected PDU parameter",
        6 => "invalid PDU parameter value",
        _ => "a reason that the standard does not know",
    };
    format!("{why} ({who})")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_of_the_standard_has_words() {
        // PS3.8 Table 9-21, by hand.
        for (source, reason) in [
            (1, 1),
            (1, 2),
            (1, 3),
            (1, 7),
            (2, 1),
            (2, 2),
            (3, 1),
            (3, 2),
        ] {
            for (result, is_for_good) in [(1, true), (2, false)] {
                let rejection = Rejection {
                    result,
                    source,
                    reason,
                };
                assert!(!rejection.to_string().contains("does not know:"));
                assert!(!rejection.to_string().contains("the standard"));
                assert_eq!(Failure::Rejected(rejection).is_for_good(), is_for_good);
            }
        }
        let odd = Rejection {
            result: 9,
            source: 0,
            reason: 0,
        };
        assert!(odd.to_string().ends_with("(9/0/0)"));
        for reason in [0, 1, 2, 4, 5, 6] {
            assert!(!abort_words(2, reason).contains("the standard"));
        }
    }
}
