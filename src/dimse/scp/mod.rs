//! Service class providers: which one a command goes to, and what becomes of its data set. They
//! give answers and never write to the wire: `exchange` does.

mod commitment;
mod destination;
mod echo;
mod find;
mod found;
mod question;
mod retrieve;
mod store;

use crate::access::Action;
use crate::archive::{Door, Origin};
use crate::dicom::Uid;
use crate::dimse::association::Peer;
use crate::dimse::message::{
    C_CANCEL_RQ, C_ECHO_RQ, C_FIND_RQ, C_GET_RQ, C_MOVE_RQ, C_STORE_RQ, N_ACTION_RQ,
    N_EVENT_REPORT_RQ, RESPONSE, Request,
};
use crate::dimse::negotiation::{Context, Deed, Service};
use crate::dimse::scu;
use crate::dimse::status::{Reply, Status};

use commitment::Notice;
pub(in crate::dimse) use commitment::{told, transaction};
pub(crate) use find::Search;
use question::Question;
pub(in crate::dimse) use question::{QUERY_RETRIEVE_LEVEL, name_of};
pub(crate) use retrieve::{Retrieval, Sent};
pub(in crate::dimse) use store::Store;
pub(crate) use store::Stored;

/// A command on its way to its answer.
pub(crate) enum Task {
    /// Its data set is an instance for the archive.
    Store(Box<Store>),
    /// Its data set is an identifier.
    Ask(Box<Question>),
    /// Its data set is about storage commitment.
    Notice(Box<Notice>),
    /// The answer is known; a data set, if any, is read away.
    Answer(Reply),
    /// There is no answer: a C-CANCEL of what is already done, or a response to nothing.
    Ignore,
}

/// What a message is answered with.
pub(crate) enum Answer {
    /// Nothing.
    None,
    /// One response.
    One(Reply),
    /// A response for every match.
    Search(Box<Search>),
    /// One response; a request for storage commitment has been taken on.
    Commitment(Reply, Uid),
    /// Sub-operations on the same association.
    Retrieval(Box<Retrieval>),
    /// Sub-operations on an association with somebody else.
    Move(Box<Retrieval>, scu::Peer),
}

impl Task {
    /// Starts what `request` asks for on `context` (PS3.7 §9.3, §10.3).
    pub(crate) fn begin(peer: &Peer<'_>, context: &Context, request: &Request) -> Self {
        match (request.command, context.service) {
            (C_ECHO_RQ, Service::Verification) => Self::Answer(echo::answer()),
            (C_STORE_RQ, Service::Storage) if !context.gives_instances => {
                Self::Answer(Reply::plain(Status::NOT_AUTHORIZED))
            }
            (C_STORE_RQ, Service::Storage) => {
                let origin = Origin {
                    door: Door::Dimse,
                    sender: peer.calling.as_str().into(),
                    peer: peer.address.into(),
                };
                if let Err(reply) = peer.admit(Action::Store) {
                    return Self::Answer(reply);
                }
                let syntax = &context.transfer_syntax_uid;
                match Store::begin(peer.archive, origin, syntax, request) {
                    Ok(store) => Self::Store(Box::new(store)),
                    Err(reply) => Self::Answer(reply),
                }
            }
            (C_FIND_RQ, Service::QueryRetrieve(model, Deed::Find, options))
            | (C_GET_RQ, Service::QueryRetrieve(model, Deed::Get, options)) => {
                Self::Ask(Box::new(Question::begin(context, model, options)))
            }
            (C_MOVE_RQ, Service::QueryRetrieve(model, Deed::Move, options)) => {
                match destination::allowed(peer, request.move_destination.as_ref()) {
                    Ok(destination) => {
                        let question = Question::begin(context, model, options);
                        Self::Ask(Box::new(question.with(destination.clone())))
                    }
                    Err(reply) => Self::Answer(reply),
                }
            }
            (N_ACTION_RQ | N_EVENT_REPORT_RQ, Service::Commitment) => {
                let noticed = peer.admit(Action::Store);
                match noticed.and_then(|_| Notice::begin(context, request)) {
                    Ok(notice) => Self::Notice(Box::new(notice)),
                    Err(reply) => Self::Answer(reply),
                }
            }
            (C_ECHO_RQ | C_STORE_RQ, _) => Self::Answer(Reply::plain(Status::CLASS_NOT_SUPPORTED)),
            (C_CANCEL_RQ, _) => Self::Ignore,
            (command, _) if command & RESPONSE != 0 => Self::Ignore,
            _ => Self::Answer(Reply::plain(Status::UNRECOGNIZED_OPERATION)),
        }
    }

    /// Takes the next bytes of the data set; how many of them were thrown away.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> usize {
        let written = match self {
            Self::Store(store) => store.write(bytes),
            Self::Ask(question) => question.write(bytes),
            Self::Notice(notice) => notice.write(bytes),
            Self::Answer(_) | Self::Ignore => return bytes.len(),
        };
        match written {
            Ok(()) => 0,
            Err(reply) => {
                *self = Self::Answer(reply);
                bytes.len()
            }
        }
    }

    /// The message is complete.
    pub(crate) fn finish(self, peer: &Peer<'_>) -> Answer {
        match self {
            Self::Store(store) => Answer::One(store.finish()),
            Self::Ask(question) => question.finish(peer).unwrap_or_else(Answer::One),
            Self::Notice(notice) => notice.finish(peer),
            Self::Answer(reply) => Answer::One(reply),
            Self::Ignore => Answer::None,
        }
    }
}
