//! What became of an instance that was sent: the classes of statuses of C-STORE (PS3.7 Annex C,
//! PS3.4 Table B.2-1), and the reasons of our own.

use std::fmt;

use super::command::Response;
use crate::archive::Located;

/// What a peer said to an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// (0000,0900)
    pub status: u16,
    /// (0000,0902), printable ASCII. It may be about a patient: not for the log.
    pub comment: Option<Box<str>>,
}

/// What became of an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// The peer has it.
    Stored,
    /// The peer has it, and something to say about it.
    Warned(Said),
    /// The peer has not got it, as far as we know.
    Failed(Reason),
}

/// Why the peer has not got an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// It says so.
    Refused(Said),
    /// It takes no such objects; its words for it.
    NoContext(&'static str),
    /// It takes such objects, but not in the transfer syntax of this name, and in none that can be
    /// made of it.
    Unsuitable(&'static str),
    /// Our own archive does not give it.
    Unreadable(String),
    /// Each time this one was sent, something went wrong with the association: what at last.
    Lost(String),
    /// It was not sent, since the peer could not be reached any more.
    Unreachable(String),
}

impl Said {
    /// The name of its status (PS3.7 Annex C, PS3.4 Table B.2-1).
    #[must_use]
    pub fn words(&self) -> &'static str {
        words(self.status)
    }
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04X}H {}", self.status, self.words())?;
        match &self.comment {
            Some(comment) => write!(f, ": {comment}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(said) => write!(f, "{said}"),
            Self::NoContext(why) => write!(f, "the peer takes no such objects ({why})"),
            Self::Unsuitable(stored) => write!(
                f,
                "the peer does not take {stored}, and what it takes cannot be made of it"
            ),
            Self::Unreadable(cause) => write!(f, "cannot be given: {cause}"),
            Self::Lost(failure) => write!(f, "lost on the way: {failure}"),
            Self::Unreachable(failure) => write!(f, "not sent: {failure}"),
        }
    }
}

/// What is to be done about a response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// That is the end of it.
    Final(Fate),
    /// A7xx, out of resources: it may be otherwise later.
    Later(Said),
    /// A status that no C-STORE-RSP has.
    Nonsense,
}

impl Verdict {
    pub(super) fn of(response: Response) -> Self {
        let said = Said {
            status: response.status,
            comment: response.comment,
        };
        match said.status {
            0x0000 => Self::Final(Fate::Stored),
            // PS3.7 §C.1.3: the warnings of all services, and Bxxx.
            0x0001 | 0x0107 | 0x0116 | 0xB000..=0xBFFF => Self::Final(Fate::Warned(said)),
            0xA700..=0xA7FF => Self::Later(said),
            0xFF00 | 0xFF01 => Self::Nonsense,
            _ => Self::Final(Fate::Failed(Reason::Refused(said))),
        }
    }
}

fn words(status: u16) -> &'static str {
    match status {
        0x0105 => "no such attribute",
        0x0106 => "invalid attribute value",
        0x0107 => "attribute list error",
        0x0110 => "processing failure",
        0x0111 => "duplicate SOP instance",
        0x0112 => "no such SOP instance",
        0x0115 => "invalid argument value",
        0x0116 => "attribute value out of range",
        0x0117 => "invalid SOP instance",
        0x0118 => "no such SOP class",
        0x0119 => "class-instance conflict",
        0x0120 => "missing attribute",
        0x0122 => "SOP class not supported",
        0x0124 => "not authorized",
        0x0210 => "duplicate invocation",
        0x0211 => "unrecognized operation",
        0x0212 => "mistyped argument",
        0x0213 => "resource limitation",
        0xA700..=0xA7FF => "out of resources",
        0xA900..=0xA9FF => "data set does not match SOP class",
        0xB000 => "coercion of data elements",
        0xB006 => "elements discarded",
        0xB007 => "data set does not match SOP class",
        0xB001..=0xBFFF => "warning",
        0xC000..=0xCFFF => "cannot understand",
        0xFE00 => "cancelled",
        _ => "failure",
    }
}

/// How a transfer went.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Report {
    /// How many were to be sent.
    pub total: u64,
    /// The peer has them.
    pub stored: u64,
    /// The peer has them, with a warning for each.
    pub warned: u64,
    /// The peer has not got them.
    pub failed: u64,
}

impl Report {
    pub(super) fn add(&mut self, fate: &Fate) {
        match fate {
            Fate::Stored => self.stored += 1,
            Fate::Warned(_) => self.warned += 1,
            Fate::Failed(_) => self.failed += 1,
        }
    }

    /// How many are not decided: after an interruption, not sent.
    #[must_use]
    pub fn left(&self) -> u64 {
        let ended = self.stored + self.warned + self.failed;
        self.total.saturating_sub(ended)
    }
}

/// Who watches a transfer. Called on the thread that called [`send`](super::send()), between the
/// instances: a C-MOVE writes its pending responses here.
pub trait Observer {
    /// What is going to be sent is known.
    fn planned(&mut self, _total: u64) {}
    /// The fate of one instance is decided. Once for each.
    fn ended(&mut self, instance: &Located, fate: &Fate);
    /// Asked several times a second: `true` ends the transfer. What has begun is finished when that
    /// takes no longer than a few seconds, nothing more is sent.
    fn is_cancelled(&mut self) -> bool;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_has_its_class() {
        let verdict = |status| {
            Verdict::of(Response {
                command: 1,
                message_id: 1,
                status,
                comment: None,
                has_data: false,
                counted: [None; 4],
            })
        };
        assert_eq!(verdict(0), Verdict::Final(Fate::Stored));
        // PS3.7 Table C-1 and PS3.4 Table B.2-1, by hand.
        for status in [0x0001, 0x0107, 0x0116, 0xB000, 0xB006, 0xB007, 0xBFFF] {
            assert!(matches!(
                verdict(status),
                Verdict::Final(Fate::Warned(said)) if said.status == status
            ));
        }
        for status in [0xA700, 0xA7FF] {
            assert!(matches!(verdict(status), Verdict::Later(_)));
        }
        for status in [
            0x0110, 0x0122, 0x0211, 0xA800, 0xA900, 0xC000, 0xCFFF, 0xFE00, 0xD000,
        ] {
            assert!(matches!(verdict(status), Verdict::Final(Fate::Failed(_))));
        }
        assert_eq!(verdict(0xFF00), Verdict::Nonsense);
    }
}
