//! C-STORE as its user (PS3.7 §9.1.1, PS3.4 Annex B): instances streamed from the archive onto one
//! association, as many unanswered at once as both sides have agreed on (PS3.7 §D.3.3.3).

use super::association::Association;
use super::command::{self, Originator, Response};
use super::failure::Failure;
use super::report::Reason;
use crate::access::Scope;
use crate::archive::{Archive, Error, Given, Located, Syntax};
use crate::dimse::message::C_STORE_RQ;
use crate::dimse::pdu::{self, HEADER_BYTES, ITEM_BYTES, P_DATA_TF};

/// Header of a PDU and of the one PDV in it.
const HEAD_BYTES: usize = HEADER_BYTES + ITEM_BYTES as usize;

/// Why an instance was not sent whole.
pub(super) enum Unsent {
    /// Nothing of it was sent; the association goes on.
    Ungiven(Reason),
    /// It broke off in the middle: the association must be aborted.
    BrokenOff(Reason),
    /// The association is over.
    Failed(Failure),
}

impl From<Failure> for Unsent {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

fn unreadable(error: &Error) -> Reason {
    Reason::Unreadable(error.to_string())
}

/// What is sent, and how.
pub(super) struct Sending<'a> {
    pub(super) archive: &'a Archive,
    pub(super) scope: &'a Scope,
    pub(super) located: &'a Located,
    pub(super) context_id: u8,
    pub(super) syntax: Syntax,
    pub(super) message_id: u16,
    pub(super) originator: Option<&'a Originator>,
}

impl Sending<'_> {
    /// Sends the request and the data set. The first PDU of the data set goes with the request, in
    /// one write, and is made before it: what the archive has lost meanwhile costs no association.
    pub(super) fn send(
        &self,
        association: &mut Association,
        is_cancelled: &dyn Fn() -> bool,
    ) -> Result<(), Unsent> {
        let pdu_bytes_max = association.accepted.sent_pdu_bytes_max;
        // Fragments have an even length (PS3.8 §E.1).
        let room = (pdu_bytes_max.max(ITEM_BYTES + 2) - ITEM_BYTES) as usize & !1;
        let mut feed = Feed::new(self).map_err(|error| Unsent::Ungiven(unreadable(&error)))?;
        let request = command::store_request(
            self.message_id,
            &self.located.sop_class_uid,
            &self.located.sop_instance_uid,
            self.originator,
        );
        let mut pdus = pdu::encode_command(self.context_id, &request, pdu_bytes_max);
        let mut is_last = feed
            .pdu(self.context_id, room, &mut pdus)
            .map_err(|error| Unsent::Ungiven(unreadable(&error)))?;
        association.send_unless(&pdus, is_cancelled)?;
        while !is_last {
            if is_cancelled() {
                return Err(Failure::Cancelled.into());
            }
            pdus.clear();
            is_last = feed
                .pdu(self.context_id, room, &mut pdus)
                .map_err(|error| Unsent::BrokenOff(unreadable(&error)))?;
            association.send_unless(&pdus, is_cancelled)?;
        }
        Ok(())
    }
}

/// A data set cut into PDUs.
struct Feed {
    given: Given,
    /// What was read, and how much of that has been sent.
    bytes: Vec<u8>,
    sent: usize,
    is_more: bool,
}

impl Feed {
    fn new(sending: &Sending<'_>) -> Result<Self, Error> {
        let mut given = sending
            .archive
            .given(sending.located, sending.syntax, sending.scope)?;
        given.skip_head(sending.located);
        Ok(Self {
            given,
            bytes: Vec::new(),
            sent: 0,
            is_more: true,
        })
    }

    /// Appends the next P-DATA-TF PDU with a fragment of at most `room` bytes. Whether it is the last.
    fn pdu(&mut self, context_id: u8, room: usize, out: &mut Vec<u8>) -> Result<bool, Error> {
        // One byte more is looked for, to know whether this fragment is the last.
        while self.is_more && self.bytes.len() - self.sent <= room {
            self.bytes.drain(..self.sent);
            self.sent = 0;
            self.is_more = self.given.append(&mut self.bytes, room + 1)?;
        }
        let length = room.min(self.bytes.len() - self.sent);
        let fragment = &self.bytes[self.sent..self.sent + length];
        self.sent += length;
        let is_last = !self.is_more && self.sent == self.bytes.len();
        let length = u32::try_from(length).expect("a PDU has at most 128 KiB");
        out.reserve(HEAD_BYTES + fragment.len());
        out.extend([P_DATA_TF, 0]);
        out.extend((length + ITEM_BYTES).to_be_bytes());
        out.extend((length + 2).to_be_bytes());
        out.extend([context_id, if is_last { 2 } else { 0 }]);
        out.extend_from_slice(fragment);
        Ok(is_last)
    }
}

/// Takes the operation that a response belongs to out of those that are under way.
pub(super) fn answered<T>(
    response: &Response,
    under_way: &mut Vec<(u16, T)>,
) -> Result<T, Failure> {
    let place = under_way
        .iter()
        .position(|(message_id, _)| *message_id == response.message_id)
        .filter(|_| response.command == C_STORE_RQ);
    match place {
        Some(place) => Ok(under_way.remove(place).1),
        None => Err(Failure::Violated("it answers what was not asked")),
    }
}
