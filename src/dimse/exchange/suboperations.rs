//! C-GET on the wire (PS3.7 §9.1.3, §9.3.3): each instance as a C-STORE on the same association, and
//! a pending response after it.

use std::io::Write;

use tracing::{debug, warn};

use super::Association;
use crate::access::Scope;
use crate::access::audit::AuditOutcome;
use crate::archive::{Given, Located, Syntax};
use crate::dicom::transfer_syntax::{
    EXPLICIT_VR_LITTLE_ENDIAN, Form, IMPLICIT_VR_LITTLE_ENDIAN, TransferSyntax,
};
use crate::dimse::association::End;
use crate::dimse::inbox::Inbox;
use crate::dimse::message::Request;
use crate::dimse::negotiation::Context;
use crate::dimse::pdu::{self, Part, Violation};
use crate::dimse::scp::{Retrieval, Sent};
use crate::dimse::scu::command::store_request;

/// So much of an instance is read at a time.
const PIECE_BYTES: usize = 256 * 1024;

impl Association<'_> {
    /// Sends what is asked for, one instance after the other.
    pub(super) fn retrieve(
        &mut self,
        inbox: &mut Inbox<'_>,
        context_id: u8,
        request: &Request,
        mut retrieval: Retrieval,
    ) -> Result<(), End> {
        let last = loop {
            self.look(inbox, request)?;
            if self.is_cancelled {
                break retrieval.cancelled();
            }
            match retrieval.next() {
                Ok(Some(located)) => {
                    let sent = self.send(inbox, request, &located, retrieval.scope());
                    // A peer that takes the data set and says nothing any more has it.
                    let outcome = match sent {
                        Ok(Sent::Completed | Sent::Warning) => AuditOutcome::Success,
                        Ok(Sent::Failed) | Err(_) => AuditOutcome::MinorFailure,
                    };
                    self.trail.sent("", &located.study_instance_uid, outcome);
                    retrieval.count(&located, sent?);
                }
                Ok(None) => break retrieval.finished(),
                Err(failure) => break failure,
            }
            self.reply(context_id, request, &retrieval.pending())?;
        };
        self.reply(context_id, request, &last)
    }

    /// One sub-operation.
    fn send(
        &mut self,
        inbox: &mut Inbox<'_>,
        request: &Request,
        located: &Located,
        scope: &Scope,
    ) -> Result<Sent, End> {
        let sop_instance_uid = &located.sop_instance_uid;
        let Some((context_id, mut given)) = self.giving(located, scope) else {
            debug!(%sop_instance_uid, "no accepted context to send it in");
            return Ok(Sent::Failed);
        };
        // What cannot even begin has not begun on the wire either.
        let mut bytes = Vec::new();
        let is_more = match given.append(&mut bytes, PIECE_BYTES) {
            Ok(is_more) => is_more,
            Err(cause) => {
                warn!(%sop_instance_uid, %cause, "not sent");
                return Ok(Sent::Failed);
            }
        };
        self.suboperation = self.suboperation.wrapping_add(1);
        let command = store_request(
            self.suboperation,
            &located.sop_class_uid,
            sop_instance_uid,
            None,
        );
        self.put(context_id, &command, &mut given, bytes, is_more)?;
        let response = loop {
            if let Some(response) = self.heed(inbox, request)? {
                break response;
            }
            inbox.wait()?;
        };
        if response.responded_to != self.suboperation {
            return Err(Violation::UnexpectedParameter.into());
        }
        let sent = Sent::of_status(response.status);
        debug!(%sop_instance_uid, status = response.status, ?sent, "sent");
        Ok(sent)
    }

    /// Writes the command and the data set, as it is read.
    fn put(
        &self,
        context_id: u8,
        command: &[u8],
        given: &mut Given,
        mut bytes: Vec<u8>,
        mut is_more: bool,
    ) -> Result<(), End> {
        let max = self.agreement.sent_pdu_bytes_max;
        let room = pdu::room(max);
        let mut pdus = pdu::encode_command(context_id, command, max);
        loop {
            // The last fragment says so: it is kept back until it is known to be the last.
            let whole = if is_more {
                bytes.len().saturating_sub(1) / room * room
            } else {
                bytes.len()
            };
            let part = if is_more { Part::Data } else { Part::LastData };
            pdu::put_fragments(&mut pdus, context_id, part, &bytes[..whole], max);
            (&self.connection.stream).write_all(&pdus)?;
            if !is_more {
                return Ok(());
            }
            pdus.clear();
            bytes.drain(..whole);
            let wanted = bytes.len() + PIECE_BYTES;
            is_more = given.append(&mut bytes, wanted).map_err(End::Broken)?;
        }
    }

    /// The context to send an instance on, and the instance in its transfer syntax: as it is stored
    /// if that was accepted, else decoded, else encoded without loss.
    fn giving(&self, located: &Located, scope: &Scope) -> Option<(u8, Given)> {
        let stored = located.transfer_syntax_uid.as_str();
        let mut ways: Vec<(u8, Syntax, u8)> = self
            .agreement
            .contexts()
            .filter(|(_, context)| {
                context.takes_instances && context.abstract_syntax == located.sop_class_uid
            })
            .filter_map(|(id, context)| {
                let (syntax, order) = way(context, stored, located)?;
                Some((order, syntax, id))
            })
            .collect();
        ways.sort_by_key(|(order, ..)| *order);
        let archive = self.peer.archive;
        ways.into_iter().find_map(|(_, syntax, id)| {
            let given = archive.can_give(located, syntax, scope).and_then(|can| {
                can.then(|| archive.given(located, syntax, scope))
                    .transpose()
            });
            match given {
                Ok(given) => {
                    let mut given = given?;
                    given.skip_head(located);
                    Some((id, given))
                }
                Err(cause) => {
                    warn!(sop_instance_uid = %located.sop_instance_uid, %cause, "cannot be given");
                    None
                }
            }
        })
    }
}

/// How to give an instance on a context, and how gladly: the lower, the better.
fn way(context: &Context, stored: &str, located: &Located) -> Option<(Syntax, u8)> {
    match context.transfer_syntax_uid.as_str() {
        uid if uid == stored => Some((Syntax::Stored, 0)),
        EXPLICIT_VR_LITTLE_ENDIAN => Some((Syntax::ExplicitLittle, 1)),
        IMPLICIT_VR_LITTLE_ENDIAN => Some((Syntax::ImplicitLittle, 2)),
        // Without pixel data an encapsulated syntax is Explicit VR Little Endian (PS3.5 §A.4).
        uid if located.frames.is_empty() => {
            let is_encapsulated = TransferSyntax::of_uid(uid)?.form == Form::Encapsulated;
            is_encapsulated.then_some((Syntax::ExplicitLittle, 3))
        }
        uid => Some((Syntax::lossless(uid)?, 4)),
    }
}
