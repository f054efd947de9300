//! Service class providers: which one a command goes to, and what becomes of its data set.

mod echo;
mod store;

use crate::dimse::association::Peer;
use crate::dimse::message::{C_CANCEL_RQ, C_ECHO_RQ, C_STORE_RQ, RESPONSE, Request};
use crate::dimse::negotiation::{Context, Service};
use crate::dimse::status::{Reply, Status};

use store::Store;

/// A command on its way to its answer.
pub(crate) enum Task {
    /// Its data set is an instance for the archive.
    Store(Box<Store>),
    /// The answer is known; a data set, if any, is read away.
    Answer(Reply),
    /// There is no answer: a C-CANCEL, which asks to stop what is already done, or a response to
    /// nothing.
    Ignore,
}

impl Task {
    /// Starts what `request` asks for on `context` (PS3.7 §9.3, §10.3).
    pub(crate) fn begin(peer: &Peer<'_>, context: &Context, request: &Request) -> Self {
        match (request.command, context.service) {
            (C_ECHO_RQ, Service::Verification) => Self::Answer(echo::answer()),
            (C_STORE_RQ, Service::Storage) => match Store::begin(peer, context, request) {
                Ok(store) => Self::Store(Box::new(store)),
                Err(reply) => Self::Answer(reply),
            },
            (C_ECHO_RQ, Service::Storage) | (C_STORE_RQ, Service::Verification) => {
                Self::Answer(Reply::plain(Status::CLASS_NOT_SUPPORTED))
            }
            (C_CANCEL_RQ, _) => Self::Ignore,
            (command, _) if command & RESPONSE != 0 => Self::Ignore,
            _ => Self::Answer(Reply::plain(Status::UNRECOGNIZED_OPERATION)),
        }
    }

    /// Takes the next bytes of the data set; how many of them were thrown away.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> usize {
        let Self::Store(store) = self else {
            return bytes.len();
        };
        match store.write(bytes) {
            Ok(()) => 0,
            Err(reply) => {
                *self = Self::Answer(reply);
                bytes.len()
            }
        }
    }

    /// The message is complete; the answer, if there is one.
    pub(crate) fn finish(self) -> Option<Reply> {
        match self {
            Self::Store(store) => Some(store.finish()),
            Self::Answer(reply) => Some(reply),
            Self::Ignore => None,
        }
    }
}
