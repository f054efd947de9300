//! Messages on an established association (PS3.7 §6.3, §9.3): commands and data sets put together,
//! handed to their service class provider, and answered. Nobody else writes to the wire.
//!
//! An operation with many responses (C-FIND, C-MOVE, C-GET) runs to its end before the next message is
//! taken, unless asynchronous operations were agreed on ([`window`]). Meanwhile the peer may say
//! C-CANCEL, which is looked for before every response, and answer sub-operations.

mod moves;
mod reports;
mod suboperations;
mod window;

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io::Write;
use std::sync::atomic::Ordering;

use crate::dimse::association::{End, Peer};
use crate::dimse::inbox::Inbox;
use crate::dimse::listener::{Connection, House};
use crate::dimse::message::{C_CANCEL_RQ, C_STORE_RQ, COMMAND_BYTES_MAX, RESPONSE, Request};
use crate::dimse::negotiation::{Agreement, Context};
use crate::dimse::pdu::{self, Part, Piece, Violation};
use crate::dimse::scp::{Answer, Search, Task};
use crate::dimse::status::{Reply, Status};
use crate::dimse::trail::Trail;

use reports::Reports;
use window::{Deferred, Unanswered};

/// Where in a message we are (PS3.7 §6.3).
#[derive(Default)]
enum Stage {
    /// Between messages.
    #[default]
    Between,
    /// In a command set.
    Command { context_id: u8 },
    /// In a data set.
    Data(Message),
}

/// A message whose command set has arrived.
struct Message {
    context_id: u8,
    request: Request,
    task: Task,
}

/// An established association.
pub(super) struct Association<'a> {
    house: &'a House,
    connection: &'a Connection,
    peer: Peer<'a>,
    agreement: &'a Agreement,
    stage: Stage,
    /// The command set on its way; at most [`COMMAND_BYTES_MAX`].
    command: Vec<u8>,
    /// Bytes thrown away of the data set on its way.
    discarded: u64,
    /// The message that is being answered was cancelled.
    is_cancelled: bool,
    /// Message ID of the last sub-operation, or other operation of ours.
    suboperation: u16,
    /// What waits for its commit, where several operations may be unanswered.
    unanswered: VecDeque<Unanswered>,
    /// What waits for another operation to end, likewise.
    deferred: VecDeque<Deferred>,
    /// What we owe the peer.
    reports: Reports,
    /// What the audit trail will be told.
    trail: Trail,
    /// Messages answered with success.
    succeeded: u64,
    /// Messages answered otherwise.
    failed: u64,
}

impl<'a> Association<'a> {
    pub(super) fn new(
        house: &'a House,
        connection: &'a Connection,
        peer: Peer<'a>,
        agreement: &'a Agreement,
        trail: Trail,
    ) -> Self {
        Self {
            house,
            connection,
            peer,
            agreement,
            stage: Stage::Between,
            command: Vec::new(),
            discarded: 0,
            is_cancelled: false,
            suboperation: 0,
            unanswered: VecDeque::new(),
            deferred: VecDeque::new(),
            reports: Reports::default(),
            trail,
            succeeded: 0,
            failed: 0,
        }
    }

    /// How many messages were answered with success, and otherwise.
    pub(super) fn told(&self) -> (u64, u64) {
        (self.succeeded, self.failed)
    }

    /// What the audit trail is to be told.
    pub(super) fn into_trail(self) -> Trail {
        self.trail
    }

    /// Takes what comes until something ends the association.
    pub(super) fn exchange(&mut self) -> Result<Infallible, End> {
        let mut inbox = Inbox::new(self.house, self.connection);
        loop {
            self.wait(&mut inbox)?;
            while let Some(piece) = inbox.piece()? {
                let whole = match piece {
                    Piece::Fragment {
                        context_id,
                        is_command: true,
                        is_last,
                        bytes,
                    } => self.take_command(context_id, bytes, is_last)?,
                    Piece::Fragment {
                        context_id,
                        is_command: false,
                        is_last,
                        bytes,
                    } => self.take_data(context_id, bytes, is_last)?,
                    Piece::ReleaseRequest => {
                        self.flush()?;
                        return Err(End::Released);
                    }
                    Piece::ReleaseResponse => return Err(Violation::UnexpectedPdu.into()),
                    Piece::Abort(source, reason) => return Err(End::Aborted(source, reason)),
                };
                if let Some(message) = whole {
                    self.answer(&mut inbox, message, false)?;
                    while let Some(late) = self.deferred.pop_front() {
                        self.answer(&mut inbox, late.message, late.is_cancelled)?;
                    }
                }
            }
        }
    }

    /// A piece of a command set; when it is the last one, the deed begins. A message without data
    /// set is whole then.
    fn take_command(
        &mut self,
        context_id: u8,
        bytes: &[u8],
        is_last: bool,
    ) -> Result<Option<Message>, End> {
        let context = self
            .agreement
            .context(context_id)
            .ok_or(Violation::InvalidParameter)?;
        let Some(request) = self.collect(context_id, bytes, is_last)? else {
            return Ok(None);
        };
        Ok(self.begin(context, context_id, request))
    }

    /// Begins the deed of a command set; a message without data set is whole then.
    fn begin(&mut self, context: &Context, context_id: u8, request: Request) -> Option<Message> {
        self.hear_report_answer(&request);
        let task = Task::begin(&self.peer, context, &request);
        let message = Message {
            context_id,
            request,
            task,
        };
        if !message.request.has_data {
            return Some(message);
        }
        self.discarded = 0;
        self.stage = Stage::Data(message);
        None
    }

    /// Joins the pieces of a command set.
    fn collect(
        &mut self,
        context_id: u8,
        bytes: &[u8],
        is_last: bool,
    ) -> Result<Option<Request>, Violation> {
        match self.stage {
            Stage::Between => {
                self.connection.is_busy.store(true, Ordering::SeqCst);
                self.command.clear();
                self.stage = Stage::Command { context_id };
            }
            Stage::Command { context_id: begun } if begun == context_id => {}
            Stage::Command { .. } => return Err(Violation::InvalidParameter),
            Stage::Data(_) => return Err(Violation::UnexpectedParameter),
        }
        if self.command.len() + bytes.len() > COMMAND_BYTES_MAX {
            return Err(Violation::InvalidParameter);
        }
        self.command.extend_from_slice(bytes);
        if !is_last {
            return Ok(None);
        }
        self.stage = Stage::Between;
        let request = Request::parse(&self.command).map_err(|_| Violation::InvalidParameter)?;
        Ok(Some(request))
    }

    /// A piece of a data set; when it is the last one, the message is whole.
    fn take_data(
        &mut self,
        context_id: u8,
        bytes: &[u8],
        is_last: bool,
    ) -> Result<Option<Message>, End> {
        let Stage::Data(message) = &mut self.stage else {
            return Err(Violation::UnexpectedParameter.into());
        };
        if message.context_id != context_id {
            return Err(Violation::InvalidParameter.into());
        }
        let discarded = message.task.write(bytes) as u64;
        self.discarded = self.discarded.saturating_add(discarded);
        if self.discarded > self.house.settings.object_bytes_max {
            return Err(End::Overran);
        }
        if is_last && let Stage::Data(message) = std::mem::take(&mut self.stage) {
            return Ok(Some(message));
        }
        Ok(None)
    }

    /// Finishes a message.
    fn answer(
        &mut self,
        inbox: &mut Inbox<'_>,
        message: Message,
        is_cancelled: bool,
    ) -> Result<(), End> {
        let Some(Message {
            context_id,
            request,
            task,
        }) = self.hand_over(message)?
        else {
            return self.rest();
        };
        self.is_cancelled = is_cancelled;
        match task.finish(&self.peer) {
            Answer::None => {}
            Answer::One(reply) => self.reply(context_id, &request, &reply)?,
            Answer::Commitment(reply, transaction_uid) => {
                self.take_on(context_id, &request, &reply, transaction_uid)?;
            }
            Answer::Search(search) => self.search(inbox, context_id, &request, *search)?,
            Answer::Retrieval(retrieval) => {
                self.retrieve(inbox, context_id, &request, *retrieval)?;
            }
            Answer::Move(retrieval, destination) => {
                self.move_to(inbox, context_id, &request, *retrieval, &destination)?;
            }
        }
        self.rest()
    }

    /// One response, one write.
    fn reply(&mut self, context_id: u8, request: &Request, reply: &Reply) -> Result<(), End> {
        match reply.status {
            status if status.is_pending() => {}
            Status::SUCCESS => self.succeeded += 1,
            _ => self.failed += 1,
        }
        if let Some(study) = &reply.stored {
            self.trail.stored(study);
        }
        let max = self.agreement.sent_pdu_bytes_max;
        let mut pdus = pdu::encode_command(context_id, &request.response(reply), max);
        if let Some(data_set) = &reply.data_set {
            pdu::put_fragments(&mut pdus, context_id, Part::LastData, data_set, max);
        }
        (&self.connection.stream).write_all(&pdus)?;
        Ok(())
    }

    /// C-FIND: a response for every match, then the last one.
    fn search(
        &mut self,
        inbox: &mut Inbox<'_>,
        context_id: u8,
        request: &Request,
        mut search: Search,
    ) -> Result<(), End> {
        let last = self.found(inbox, context_id, request, &mut search);
        // Also when it ended before its time.
        self.trail.searched(search.found());
        self.reply(context_id, request, &last?)
    }

    /// The responses of a search but the last, which it gives.
    fn found(
        &mut self,
        inbox: &mut Inbox<'_>,
        context_id: u8,
        request: &Request,
        search: &mut Search,
    ) -> Result<Reply, End> {
        let last = loop {
            self.look(inbox, request)?;
            if self.is_cancelled {
                break Reply::plain(Status::CANCELLED);
            }
            match search.next() {
                Some(reply) if reply.status.is_pending() => {
                    self.reply(context_id, request, &reply)?;
                }
                Some(failure) => break failure,
                None => break Reply::plain(Status::SUCCESS),
            }
        };
        Ok(last)
    }

    /// Hears in passing what the peer says while `request` is answered: nothing is waited for.
    fn look(&mut self, inbox: &mut Inbox<'_>, request: &Request) -> Result<(), End> {
        if self.house.is_stopping() {
            return Err(End::Stopping);
        }
        // What came with the request itself is looked at first.
        let mut stray = self.heed(inbox, request)?;
        if stray.is_none() {
            inbox.look()?;
            stray = self.heed(inbox, request)?;
        }
        match stray {
            Some(_) => Err(Violation::UnexpectedParameter.into()),
            None => Ok(()),
        }
    }

    /// Takes all pieces that have been read, up to the response of a sub-operation. A C-CANCEL of
    /// `request` is noted; one of another message came too late.
    fn heed(&mut self, inbox: &mut Inbox<'_>, request: &Request) -> Result<Option<Request>, End> {
        const STORE_RESPONSE: u16 = C_STORE_RQ | RESPONSE;
        while let Some(piece) = inbox.piece()? {
            let (context_id, is_last, bytes) = match piece {
                Piece::Fragment {
                    context_id,
                    is_command: true,
                    is_last,
                    bytes,
                } => (context_id, is_last, bytes),
                Piece::Fragment {
                    context_id,
                    is_last,
                    bytes,
                    ..
                } => {
                    if let Some(message) = self.take_data(context_id, bytes, is_last)? {
                        self.aside(message)?;
                    }
                    continue;
                }
                Piece::ReleaseRequest => return Err(End::Released),
                Piece::ReleaseResponse => return Err(Violation::UnexpectedPdu.into()),
                Piece::Abort(source, reason) => return Err(End::Aborted(source, reason)),
            };
            let agreement = self.agreement;
            let context = agreement.context(context_id);
            let context = context.ok_or(Violation::InvalidParameter)?;
            match self.collect(context_id, bytes, is_last)? {
                None => {}
                Some(heard) if heard.command == C_CANCEL_RQ && !heard.has_data => {
                    self.is_cancelled |= heard.responded_to == request.message_id;
                    self.cancel_deferred(heard.responded_to);
                }
                Some(heard) if heard.command == STORE_RESPONSE && !heard.has_data => {
                    return Ok(Some(heard));
                }
                Some(heard) if self.may_come_between(&heard) => {
                    if let Some(message) = self.begin(context, context_id, heard) {
                        self.aside(message)?;
                    }
                }
                Some(_) => return Err(Violation::UnexpectedParameter.into()),
            }
        }
        Ok(None)
    }
}
