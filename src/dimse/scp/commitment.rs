//! Storage commitment as service class provider (PS3.4 §J.3; PS3.7 §10.1.4): an N-ACTION that asks
//! for it, its data set on its way in. Also, as its user, an N-EVENT-REPORT that tells what became of
//! a transaction that was begun in our name (PS3.7 §10.1.1).
//!
//! A request is durable before it is accepted. Who is named twice is answered for once.

use std::collections::HashSet;

use tracing::{error, info, warn};

use super::Answer;
use crate::archive;
use crate::archive::reports::{Requester, Taken, Told};
use crate::dicom::walk::Fault;
use crate::dicom::{TransferSyntax, Uid};
use crate::dimse::association::Peer;
use crate::dimse::commitment::information::{Information, Reading};
use crate::dimse::commitment::{FAILURES_EXIST, REQUEST, SOP_CLASS, SOP_INSTANCE, SUCCESSFUL};
use crate::dimse::message::{N_ACTION_RQ, Request};
use crate::dimse::negotiation::Context;
use crate::dimse::status::{Reply, Status};

/// A request or an event report on its way in.
pub(crate) struct Notice {
    is_request: bool,
    reading: Reading,
}

impl Notice {
    /// Looks at the command (PS3.7 Tables 10.1-1 and 10.1-4, §10.1.1.1.8, §10.1.4.1.10).
    pub(super) fn begin(context: &Context, request: &Request) -> Result<Self, Reply> {
        let is_request = request.command == N_ACTION_RQ;
        let is = |uid: &Option<Result<Uid, _>>, expected| matches!(uid, Some(Ok(uid)) if uid.as_str() == expected);
        if !is(&request.sop_class_uid, SOP_CLASS) {
            return Err(Reply::plain(Status::NO_SUCH_CLASS));
        }
        if !is(&request.sop_instance_uid, SOP_INSTANCE) {
            return Err(Reply::plain(Status::NO_SUCH_INSTANCE));
        }
        let is_known = match (is_request, request.type_id) {
            (true, Some(REQUEST)) => true,
            (false, Some(SUCCESSFUL | FAILURES_EXIST)) => true,
            (_, _) => false,
        };
        if !is_known {
            return Err(Reply::plain(match is_request {
                true => Status::NO_SUCH_ACTION,
                false => Status::NO_SUCH_EVENT,
            }));
        }
        if !request.has_data {
            let why = "there is no data set";
            return Err(Reply::because(Status::INVALID_ARGUMENT, why));
        }
        let syntax = TransferSyntax::of_uid(context.transfer_syntax_uid.as_str());
        let encoding = syntax.expect("negotiated from the table").encoding;
        Ok(Self {
            is_request,
            reading: Reading::new(encoding),
        })
    }

    /// Takes the next bytes. After an error there is nothing more to write.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), Reply> {
        self.reading.take(bytes).map_err(|fault| refused(&fault))
    }

    /// The data set is complete.
    pub(super) fn finish(self, peer: &Peer<'_>) -> Answer {
        let is_request = self.is_request;
        let information = self.reading.finish().map_err(|fault| refused(&fault));
        let answer = information.and_then(|information| match is_request {
            true => accept(peer, information),
            false => hear(peer, information).map(Answer::One),
        });
        answer.unwrap_or_else(|reply| {
            let status = reply.status;
            warn!(%status, is_request, "a storage commitment was refused");
            Answer::One(reply)
        })
    }
}

/// Takes a request on.
fn accept(peer: &Peer<'_>, information: Information) -> Result<Answer, Reply> {
    let transaction_uid = transaction(&information)?;
    let mut seen = HashSet::new();
    let mut references = Vec::new();
    for reference in information.referenced {
        let pair = reference.pair().ok_or_else(|| {
            let why = "an item without a class and an instance that are UIDs";
            Reply::because(Status::INVALID_ARGUMENT, why)
        })?;
        if seen.insert(pair.clone()) {
            references.push(pair);
        }
    }
    if references.is_empty() {
        let why = "Referenced SOP Sequence is missing or empty";
        return Err(Reply::because(Status::INVALID_ARGUMENT, why));
    }
    let requester = Requester {
        ae_title: peer.calling.as_str(),
        called: peer.called.as_str(),
    };
    let taken = peer.archive.take_commitment_request(
        &transaction_uid,
        &references,
        requester,
        peer.commitment_keep,
    );
    match taken.map_err(|cause| ours(&cause))? {
        Taken::Kept => {
            let instances = references.len();
            info!(%transaction_uid, instances, "storage commitment asked for");
            Ok(Answer::Commitment(
                Reply::plain(Status::SUCCESS),
                transaction_uid,
            ))
        }
        Taken::Known => Err(Reply::because(
            Status::INVALID_ARGUMENT,
            "duplicate Transaction UID (0131H)",
        )),
        Taken::TooMany => Err(Reply::because(
            Status::RESOURCE_LIMITATION,
            "too many requests wait for their reports to be taken",
        )),
    }
}

/// Keeps what another archive tells.
fn hear(peer: &Peer<'_>, information: Information) -> Result<Reply, Reply> {
    let transaction_uid = transaction(&information)?;
    let told = told(information)?;
    let (committed, failed) = (told.committed.len(), told.failed.len());
    peer.archive
        .keep_told(&transaction_uid, peer.calling.as_str(), &told)
        .map_err(|cause| ours(&cause))?;
    info!(%transaction_uid, committed, failed, "a storage commitment was reported");
    Ok(Reply::plain(Status::SUCCESS))
}

/// An event report as the archive keeps it.
pub(in crate::dimse) fn told(information: Information) -> Result<Told, Reply> {
    let malformed = || Reply::because(Status::INVALID_ARGUMENT, "an item without its UIDs");
    let mut told = Told::default();
    for reference in information.referenced {
        let (class, instance) = reference.pair().ok_or_else(malformed)?;
        let pair = (class.as_str().into(), instance.as_str().into());
        told.committed.push(pair);
    }
    for reference in information.failed {
        // The standard wants a reason; without one it has failed all the same.
        let reason = reference.reason().unwrap_or(Status::PROCESSING_FAILURE.0);
        let (class, instance) = reference.pair().ok_or_else(malformed)?;
        let triple = (class.as_str().into(), instance.as_str().into(), reason);
        told.failed.push(triple);
    }
    Ok(told)
}

/// The Transaction UID of a data set.
pub(in crate::dimse) fn transaction(information: &Information) -> Result<Uid, Reply> {
    let value = information.transaction_uid.as_deref().unwrap_or_default();
    Uid::from_value(value).map_err(|_| {
        Reply::because(
            Status::INVALID_ARGUMENT,
            "Transaction UID is missing or no UID",
        )
    })
}

fn refused(fault: &Fault) -> Reply {
    match fault {
        Fault::TooLarge { .. } => Reply::because(Status::RESOURCE_LIMITATION, &fault.to_string()),
        fault => Reply::because(Status::MISTYPED_ARGUMENT, &fault.to_string()),
    }
}

fn ours(cause: &archive::Error) -> Reply {
    error!(%cause, "a storage commitment was not kept");
    match cause {
        archive::Error::Full => Reply::because(Status::RESOURCE_LIMITATION, &cause.to_string()),
        _ => Reply::because(Status::PROCESSING_FAILURE, "internal failure"),
    }
}
