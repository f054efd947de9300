//! Storage commitment on associations that we ask for (PS3.4 Annex J). As service class provider:
//! [`Reporting`] tells peers what became of their requests. As user: [`commit`] asks a peer whether it
//! keeps what it was sent, and waits for its word, on the same association or on one that it asks for,
//! whichever comes first.

use std::time::{Duration, Instant};

use tracing::debug;

use super::association::{Association, Hearing, Message};
use super::proposal::{Answer, Proposed};
use super::{Failure, Peer, Settings};
use crate::archive::commitment::Commitment;
use crate::archive::reports::Told;
use crate::dicom::Uid;
use crate::dicom::transfer_syntax::{EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN};
use crate::dicom::walk::Encoding;
use crate::dimse::commitment::{
    FAILURES_EXIST, REQUEST, SOP_CLASS, SOP_INSTANCE, SUCCESSFUL, information,
};
use crate::dimse::message::{
    N_ACTION_RQ, N_EVENT_REPORT_RQ, RESPONSE, Request, action_request, event_report_request,
};
use crate::dimse::pdu::{self, Part};
use crate::dimse::scp;
use crate::dimse::status::{Reply, Status};

/// The only context that is proposed.
const CONTEXT: u8 = 1;
/// Message ID of the request.
const ASKED: u16 = 1;
/// How often it is looked for a report that came on another association.
const SLICE: Duration = Duration::from_millis(200);
/// So long a report is awaited on the association of the request: some peers report only when that has
/// been released.
const HOLD: Duration = Duration::from_secs(30);

fn open(
    peer: &Peer,
    settings: &Settings,
    is_scp: bool,
    is_cancelled: &dyn Fn() -> bool,
) -> Result<(Association, Encoding), Failure> {
    let uid = |text| Uid::parse(text).expect("a UID of the standard");
    let proposed = [Proposed {
        abstract_syntax: uid(SOP_CLASS),
        transfer_syntaxes: vec![
            uid(EXPLICIT_VR_LITTLE_ENDIAN),
            uid(IMPLICIT_VR_LITTLE_ENDIAN),
        ],
    }];
    let roles: Vec<Uid> = is_scp.then(|| uid(SOP_CLASS)).into_iter().collect();
    let association =
        Association::open_with_roles(peer, settings, &proposed, 1, &roles, &mut || is_cancelled())?;
    match association.accepted.answers[0] {
        Answer::Accepted(syntax) => Ok((association, syntax.encoding)),
        refused => {
            association.release();
            Err(Failure::NoContext(refused.words()))
        }
    }
}

/// An association on which we report.
pub(in crate::dimse) struct Reporting {
    association: Association,
    encoding: Encoding,
    message_id: u16,
}

impl Reporting {
    pub(in crate::dimse) fn open(
        peer: &Peer,
        settings: &Settings,
        is_cancelled: &dyn Fn() -> bool,
    ) -> Result<Self, Failure> {
        let (association, encoding) = open(peer, settings, true, is_cancelled)?;
        Ok(Self {
            association,
            encoding,
            message_id: 0,
        })
    }

    /// Tells one answer, as the AE that was asked; the status of the peer.
    pub(in crate::dimse) fn tell(
        &mut self,
        transaction_uid: &Uid,
        commitment: &Commitment,
        settings: &Settings,
        is_cancelled: &dyn Fn() -> bool,
    ) -> Result<u16, Failure> {
        self.message_id = self.message_id.wrapping_add(1);
        let (is_whole, data_set) = information::event(
            transaction_uid,
            commitment,
            &settings.calling,
            self.encoding,
        );
        let event_type = if is_whole { SUCCESSFUL } else { FAILURES_EXIST };
        let command = event_report_request(self.message_id, SOP_CLASS, SOP_INSTANCE, event_type);
        put(&mut self.association, &command, &data_set, is_cancelled)?;
        let response = self.association.receive(is_cancelled)?;
        if (response.command, response.message_id) != (N_EVENT_REPORT_RQ, self.message_id) {
            return Err(Failure::Violated("it answers what was not asked"));
        }
        Ok(response.status)
    }

    pub(in crate::dimse) fn release(self) {
        self.association.release();
    }

    pub(in crate::dimse) fn close(self, failure: &Failure) {
        self.association.close(failure);
    }
}

fn put(
    association: &mut Association,
    command: &[u8],
    data_set: &[u8],
    is_cancelled: &dyn Fn() -> bool,
) -> Result<(), Failure> {
    let max = association.accepted.sent_pdu_bytes_max;
    let mut pdus = pdu::encode_command(CONTEXT, command, max);
    pdu::put_fragments(&mut pdus, CONTEXT, Part::LastData, data_set, max);
    association.send_unless(&pdus, is_cancelled)
}

/// What a peer is asked to commit.
#[derive(Debug, Clone, Copy)]
pub struct CommitRequest<'a> {
    /// Who is asked.
    pub peer: &'a Peer,
    /// A new one for each request.
    pub transaction_uid: &'a Uid,
    /// Class and instance of each.
    pub references: &'a [(Uid, Uid)],
    /// How long its word is awaited.
    pub patience: Duration,
}

/// Why there is no word on what is committed.
#[derive(Debug, thiserror::Error)]
pub enum Uncommitted {
    /// It could not be asked.
    #[error("{0}")]
    Unasked(#[from] Failure),
    /// The peer refuses.
    #[error("the peer refuses the request: {0:04X}H")]
    Refused(u16),
    /// The request was accepted; no report has come.
    #[error("the peer has accepted the request and not reported in time")]
    Unreported,
    /// Somebody asked us to stop.
    #[error("interrupted")]
    Cancelled,
}

/// Asks, and waits for the report. `elsewhere` looks for one that came on another association.
///
/// # Errors
/// Why there is no report.
pub fn commit(
    request: &CommitRequest<'_>,
    settings: &Settings,
    elsewhere: &mut dyn FnMut() -> Option<Told>,
    is_cancelled: &dyn Fn() -> bool,
) -> Result<Told, Uncommitted> {
    if is_cancelled() {
        return Err(Uncommitted::Cancelled);
    }
    let (association, encoding) =
        open(request.peer, settings, false, is_cancelled).map_err(|failure| match failure {
            Failure::Cancelled => Uncommitted::Cancelled,
            failure => failure.into(),
        })?;
    let begun = Instant::now();
    let deadline = begun + request.patience;
    let mut asking = Asking {
        request,
        hearing: Hearing::new(encoding),
        is_accepted: false,
        answer_by: begun + settings.answer_timeout,
        hold_until: begun + HOLD.min(request.patience / 2),
    };
    match asking.on(association, encoding, elsewhere, is_cancelled) {
        Ok(told) => return Ok(told),
        Err(Uncommitted::Unreported) => {}
        Err(other) => return Err(other),
    }
    // The association is gone; the report comes on another one.
    loop {
        if let Some(told) = elsewhere() {
            return Ok(told);
        }
        if is_cancelled() {
            return Err(Uncommitted::Cancelled);
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(Uncommitted::Unreported);
        }
        std::thread::sleep(left.min(SLICE));
    }
}

struct Asking<'a> {
    request: &'a CommitRequest<'a>,
    hearing: Hearing,
    is_accepted: bool,
    /// The response must have come.
    answer_by: Instant,
    /// So long a report is awaited here, once the request is accepted.
    hold_until: Instant,
}

impl Asking<'_> {
    /// The association of the request, to its end. [`Uncommitted::Unreported`] when it was accepted,
    /// and the report may come elsewhere.
    fn on(
        &mut self,
        mut association: Association,
        encoding: Encoding,
        elsewhere: &mut dyn FnMut() -> Option<Told>,
        is_cancelled: &dyn Fn() -> bool,
    ) -> Result<Told, Uncommitted> {
        let CommitRequest {
            transaction_uid,
            references,
            ..
        } = self.request;
        let command = action_request(ASKED, SOP_CLASS, SOP_INSTANCE, REQUEST);
        let data_set = information::action(transaction_uid, references, encoding);
        let mut ended = put(&mut association, &command, &data_set, is_cancelled).map(|()| None);
        while let Ok(None) = ended {
            if is_cancelled() {
                association.release();
                return Err(Uncommitted::Cancelled);
            }
            let now = Instant::now();
            if self.is_accepted && now >= self.hold_until {
                association.release();
                return Err(Uncommitted::Unreported);
            }
            if !self.is_accepted && now >= self.answer_by {
                ended = Err(Failure::Silent);
                break;
            }
            if let Some(told) = elsewhere() {
                association.release();
                return Ok(told);
            }
            let heard = association.hear(&mut self.hearing, now + SLICE);
            ended = match heard {
                Ok(None) => Ok(None),
                Ok(Some(message)) => self.take(&mut association, message),
                Err(failure) => Err(failure),
            };
        }
        match ended {
            Ok(Some(Word::Told(told))) => {
                association.release();
                Ok(told)
            }
            Ok(Some(Word::Refused(status))) => {
                association.release();
                Err(Uncommitted::Refused(status))
            }
            Ok(None) => Err(Uncommitted::Unreported),
            Err(failure) => {
                association.close(&failure);
                debug!(%failure, is_accepted = self.is_accepted, "the association of a request for commitment has ended");
                match self.is_accepted {
                    true => Err(Uncommitted::Unreported),
                    false => Err(failure.into()),
                }
            }
        }
    }

    /// What a message means.
    fn take(
        &mut self,
        association: &mut Association,
        message: Message,
    ) -> Result<Option<Word>, Failure> {
        const ANSWER: u16 = N_ACTION_RQ | RESPONSE;
        let Message {
            context_id,
            command,
            information,
        } = message;
        if context_id != CONTEXT {
            return Err(Failure::Violated("a message in a context that is none"));
        }
        match command.command {
            ANSWER if command.responded_to == ASKED && !self.is_accepted => {
                if command.status != Status::SUCCESS.0 {
                    return Ok(Some(Word::Refused(command.status)));
                }
                self.is_accepted = true;
                Ok(None)
            }
            N_EVENT_REPORT_RQ => {
                let report = information
                    .ok_or_else(|| Reply::plain(Status::INVALID_ARGUMENT))
                    .and_then(|read| read.map_err(|_| Reply::plain(Status::MISTYPED_ARGUMENT)))
                    .and_then(|information| {
                        let transaction_uid = scp::transaction(&information)?;
                        Ok((transaction_uid, scp::told(information)?))
                    });
                let (reply, told) = match report {
                    Ok((uid, told)) if uid == *self.request.transaction_uid => {
                        (Reply::plain(Status::SUCCESS), Some(Word::Told(told)))
                    }
                    // Of somebody else's transaction: not ours to hear.
                    Ok(_) => (Reply::plain(Status::NO_SUCH_INSTANCE), None),
                    Err(reply) => (reply, None),
                };
                respond(association, &command, &reply)?;
                // A report says that the request was accepted, whatever has become of the response.
                self.is_accepted |= told.is_some();
                Ok(told)
            }
            _ => Err(Failure::Violated("it says what was not asked")),
        }
    }
}

enum Word {
    Told(Told),
    Refused(u16),
}

fn respond(association: &mut Association, request: &Request, reply: &Reply) -> Result<(), Failure> {
    let max = association.accepted.sent_pdu_bytes_max;
    association.send(&pdu::encode_command(CONTEXT, &request.response(reply), max))
}
