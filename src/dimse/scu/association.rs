//! One association that we ask for (PS3.8 §9.2): the requestor's half of the state table as
//! straight-line code on the caller's thread.
//!
//! | state | here |
//! |---|---|
//! | Sta4 awaiting the connection, and TLS | [`connect`] |
//! | Sta5 awaiting A-ASSOCIATE-AC or -RJ | [`Association::open`] |
//! | Sta6 established | [`Association::send`], [`Association::receive`] |
//! | Sta7, Sta9, Sta11 release asked for | [`Association::release`] |
//! | Sta13 awaiting close | [`Association::abort`] |
//!
//! Every wait has an end: a PDU must be taken, and an answer must be whole, within the time for
//! answers, however many bytes dribble in meanwhile. Memory is one read buffer, one PDU and one
//! command set, whatever the peer claims. Data sets are heard only where one was announced.

use std::io;
use std::net::TcpStream;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dicom_ul::pdu::{AbortRQServiceProviderReason, AbortRQSource, Pdu};
use rustls::pki_types::ServerName;
use tracing::debug;

use super::command::Response;
use super::failure::{Failure, Rejection};
use super::proposal::{self, Accepted, Proposed};
use super::resolve::resolve;
use super::{Peer, Settings};
use crate::dicom::Uid;
use crate::dimse::association::ASSOCIATE_BYTES_MAX;
use crate::dimse::message::{COMMAND_BYTES_MAX, Request};
use crate::dimse::pdu::{
    self, ABORT, ASSOCIATE_AC, ASSOCIATE_RJ, Framer, HEADER_BYTES, Piece, Violation,
};
use crate::dimse::stream::Stream;

mod messages;

pub(super) use messages::{Hearing, Message};

/// One read from the socket.
const READ_BYTES: usize = 64 * 1024;
/// How often a wait looks whether somebody wants us to stop.
pub(super) const SLICE: Duration = Duration::from_millis(200);
/// How long an answer is still awaited after that.
pub(super) const STOP_PATIENCE: Duration = Duration::from_secs(5);
/// How long the answer to a release may take: all that matters has been said.
const RELEASE_PATIENCE: Duration = Duration::from_secs(10);
/// How long a peer that was aborted, or has aborted, is listened to.
const LINGER: Duration = Duration::from_secs(1);

/// The first two bytes of an alert (RFC 8446 §5.1), which a TLS port answers plain DICOM with.
const TLS_ALERT: u8 = 0x15;
const TLS_VERSION: u8 = 0x03;

/// An association.
pub(super) struct Association {
    stream: Stream,
    framer: Framer,
    /// What was read: the bytes from `begin` to `end` are not looked at yet.
    buffer: Vec<u8>,
    begin: usize,
    end: usize,
    /// The command set on its way, and its context.
    command: Vec<u8>,
    context_id: Option<u8>,
    /// The context of the data set that is to come.
    data_due: Option<u8>,
    pub(super) answer_timeout: Duration,
    pub(super) accepted: Accepted,
}

impl Association {
    /// Connects and proposes. `is_cancelled` ends the wait for the answer.
    pub(super) fn open(
        peer: &Peer,
        settings: &Settings,
        proposed: &[Proposed],
        window: u16,
        is_cancelled: &mut dyn FnMut() -> bool,
    ) -> Result<Self, Failure> {
        Self::open_with_roles(peer, settings, proposed, window, &[], is_cancelled)
    }

    /// The same, offering to be SCP of these classes (PS3.7 §D.3.3.4).
    pub(super) fn open_with_roles(
        peer: &Peer,
        settings: &Settings,
        proposed: &[Proposed],
        window: u16,
        roles: &[Uid],
        is_cancelled: &mut dyn FnMut() -> bool,
    ) -> Result<Self, Failure> {
        let request = proposal::request(
            &settings.calling,
            &peer.ae_title,
            proposed,
            settings.pdu_bytes_max,
            window,
            roles,
        )
        .map_err(|_| Failure::Violated("a title or UID does not fit the association request"))?;
        let stream = connect(peer, settings)?;
        stream.set_write_timeout(Some(SLICE))?;
        let mut association = Self {
            stream,
            framer: Framer::of_requestor(settings.pdu_bytes_max),
            buffer: vec![0; READ_BYTES],
            begin: 0,
            end: 0,
            command: Vec::new(),
            context_id: None,
            data_due: None,
            answer_timeout: settings.answer_timeout,
            // Until it is known.
            accepted: Accepted::nothing(proposed),
        };
        match association.negotiate(&request, proposed, window, is_cancelled) {
            Ok(()) => Ok(association),
            Err(failure) => {
                association.close(&failure);
                Err(failure)
            }
        }
    }

    fn negotiate(
        &mut self,
        request: &[u8],
        proposed: &[Proposed],
        window: u16,
        is_cancelled: &mut dyn FnMut() -> bool,
    ) -> Result<(), Failure> {
        self.write(request, self.answer_timeout, &|| false)?;
        let deadline = Instant::now() + self.answer_timeout;
        let mut header = [0; HEADER_BYTES];
        self.fill(&mut header, deadline, is_cancelled)?;
        let [kind, _, length @ ..] = header;
        let length = u32::from_be_bytes(length);
        match kind {
            ASSOCIATE_AC if length <= ASSOCIATE_BYTES_MAX => {
                let mut body = Vec::new();
                // Memory grows with what has arrived, not with the length that is claimed.
                while body.len() < length as usize {
                    let begin = body.len();
                    body.resize((length as usize).min(begin + READ_BYTES), 0);
                    self.fill(&mut body[begin..], deadline, is_cancelled)?;
                }
                self.accepted = Accepted::read(&body, proposed, window)?;
                Ok(())
            }
            ASSOCIATE_RJ | ABORT if length == 4 => {
                let mut body = [0; 4];
                self.fill(&mut body, deadline, is_cancelled)?;
                let [_, result, source, reason] = body;
                Err(match kind {
                    ASSOCIATE_RJ => Failure::Rejected(Rejection {
                        result,
                        source,
                        reason,
                    }),
                    _ => Failure::Aborted(source, reason),
                })
            }
            ASSOCIATE_AC | ASSOCIATE_RJ | ABORT => Err(Violation::InvalidParameter.into()),
            TLS_ALERT if header[1] == TLS_VERSION => Err(Failure::Tls(
                "the peer wants it (\" tls\" after its address)".into(),
            )),
            other => Err(Violation::of_type(other).into()),
        }
    }

    /// Fills `buffer` before `deadline`, unless it is not wanted any more: nothing is under way yet.
    fn fill(
        &mut self,
        mut buffer: &mut [u8],
        deadline: Instant,
        is_cancelled: &mut dyn FnMut() -> bool,
    ) -> Result<(), Failure> {
        while !buffer.is_empty() {
            if is_cancelled() {
                return Err(Failure::Cancelled);
            }
            let slice = deadline.min(Instant::now() + SLICE);
            match self
                .stream
                .read_before(buffer, slice)
                .map_err(Failure::from)
            {
                Ok(0) => return Err(Failure::Closed),
                Ok(read) => buffer = &mut buffer[read..],
                Err(Failure::Silent) if Instant::now() < deadline => {}
                Err(failure) => return Err(failure),
            }
        }
        Ok(())
    }

    /// Sends bytes that are whole PDUs, in one write.
    pub(super) fn send(&mut self, pdus: &[u8]) -> Result<(), Failure> {
        self.send_unless(pdus, &|| false)
    }

    /// The same. `is_cancelled` shortens the wait for a peer that does not take them.
    pub(super) fn send_unless(
        &mut self,
        pdus: &[u8],
        is_cancelled: &dyn Fn() -> bool,
    ) -> Result<(), Failure> {
        let written = self.write(pdus, self.answer_timeout, is_cancelled);
        written.map_err(|failure| match failure {
            // Who aborts in the middle of an object has said so before the connection broke.
            Failure::Network(_) | Failure::Closed => self.last_words().unwrap_or(failure),
            other => other,
        })
    }

    /// A write gives up when the peer has not taken all in the time it has.
    fn write(
        &self,
        bytes: &[u8],
        time: Duration,
        is_cancelled: &dyn Fn() -> bool,
    ) -> Result<(), Failure> {
        let mut deadline = Instant::now() + time;
        let mut is_shortened = false;
        let written = self.stream.write_with(bytes, &mut || {
            if !is_shortened && is_cancelled() {
                is_shortened = true;
                deadline = deadline.min(Instant::now() + STOP_PATIENCE);
            }
            match Instant::now() < deadline {
                true => Ok(()),
                false => Err(io::ErrorKind::TimedOut.into()),
            }
        });
        written.map_err(|error| match Failure::from(error) {
            Failure::Silent if is_shortened => Failure::Cancelled,
            failure => failure,
        })
    }

    /// An A-ABORT that lies in the receive buffer.
    fn last_words(&mut self) -> Option<Failure> {
        let deadline = Instant::now() + LINGER;
        loop {
            match self.next(deadline) {
                Ok(Heard::Command(_) | Heard::Data(..)) => {}
                Err(abort @ Failure::Aborted(..)) => return Some(abort),
                Ok(Heard::Released) | Err(_) => return None,
            }
        }
    }

    /// The next response. `is_cancelled` shortens the wait.
    pub(super) fn receive(&mut self, is_cancelled: &dyn Fn() -> bool) -> Result<Response, Failure> {
        let mut deadline = Instant::now() + self.answer_timeout;
        let mut is_shortened = false;
        loop {
            if !is_shortened && is_cancelled() {
                is_shortened = true;
                deadline = deadline.min(Instant::now() + STOP_PATIENCE);
            }
            match self.next(deadline.min(Instant::now() + SLICE)) {
                Ok(Heard::Command(_)) => {
                    let response = self.response()?;
                    // Answers to what is asked so have none.
                    if response.has_data {
                        return Err(Violation::InvalidParameter.into());
                    }
                    return Ok(response);
                }
                Ok(Heard::Data(..) | Heard::Released) => {
                    return Err(Violation::UnexpectedPdu.into());
                }
                Err(Failure::Silent) if Instant::now() < deadline => {}
                Err(Failure::Silent) if is_shortened => return Err(Failure::Cancelled),
                Err(failure) => return Err(failure),
            }
        }
    }

    /// The command set that has been heard, as a response.
    pub(super) fn response(&self) -> Result<Response, Failure> {
        Response::parse(&self.command).map_err(|_| Violation::InvalidParameter.into())
    }

    /// The command set that has been heard, as a request.
    pub(super) fn request(&self) -> Result<Request, Failure> {
        Request::parse(&self.command).map_err(|_| Violation::InvalidParameter.into())
    }

    /// A data set follows on this context: without this, one is a violation.
    pub(super) fn expect_data(&mut self, context_id: u8) {
        self.data_due = Some(context_id);
    }

    /// Bytes that have been heard.
    pub(super) fn bytes(&self, place: Range<usize>) -> &[u8] {
        &self.buffer[place]
    }

    /// What comes before `deadline`.
    pub(super) fn next(&mut self, deadline: Instant) -> Result<Heard, Failure> {
        loop {
            let mut bytes = &self.buffer[self.begin..self.end];
            while let Some(piece) = self.framer.next(&mut bytes)? {
                self.begin = self.end - bytes.len();
                match piece {
                    Piece::Fragment {
                        context_id,
                        is_command: true,
                        is_last,
                        bytes: fragment,
                    } => {
                        if self.data_due.is_some() {
                            return Err(Violation::UnexpectedParameter.into());
                        }
                        if self.context_id.is_none() {
                            self.command.clear();
                        }
                        // A message stays on its context (PS3.8 §E.2).
                        if *self.context_id.get_or_insert(context_id) != context_id
                            || self.command.len() + fragment.len() > COMMAND_BYTES_MAX
                        {
                            return Err(Violation::InvalidParameter.into());
                        }
                        self.command.extend_from_slice(fragment);
                        if is_last {
                            self.context_id = None;
                            return Ok(Heard::Command(context_id));
                        }
                    }
                    Piece::Fragment {
                        context_id,
                        is_command: false,
                        is_last,
                        bytes: fragment,
                    } => {
                        if self.data_due != Some(context_id) {
                            return Err(Violation::UnexpectedParameter.into());
                        }
                        if is_last {
                            self.data_due = None;
                        }
                        // It lies right before what is left.
                        let place = self.begin - fragment.len()..self.begin;
                        return Ok(Heard::Data(place, is_last));
                    }
                    Piece::ReleaseRequest => return Err(Failure::Released),
                    Piece::ReleaseResponse => return Ok(Heard::Released),
                    Piece::Abort(source, reason) => return Err(Failure::Aborted(source, reason)),
                }
            }
            (self.begin, self.end) = (0, 0);
            match self.stream.read_before(&mut self.buffer, deadline) {
                Ok(0) => return Err(Failure::Closed),
                Ok(read) => self.end = read,
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Ends in peace: A-RELEASE-RQ, and what was asked before the answer to it is heard out.
    pub(super) fn release(mut self) {
        if let Err(failure) = self.say(&Pdu::ReleaseRQ, RELEASE_PATIENCE) {
            debug!(%failure, "the release was not heard");
            return;
        }
        let deadline = Instant::now() + self.answer_timeout.min(RELEASE_PATIENCE);
        let mut has_collided = false;
        loop {
            let failure = match self.next(deadline) {
                Ok(Heard::Command(_) | Heard::Data(..)) if !has_collided => continue,
                Ok(Heard::Released) => return,
                // Both at once (Sta9): the answer to ours is still to come (Sta11), and nothing else.
                Err(Failure::Released) if !has_collided => {
                    if self.say(&Pdu::ReleaseRP, LINGER).is_err() {
                        return;
                    }
                    has_collided = true;
                    continue;
                }
                Ok(Heard::Command(_) | Heard::Data(..)) | Err(Failure::Released) => {
                    Violation::UnexpectedPdu.into()
                }
                Err(failure) => failure,
            };
            debug!(%failure, "the release was not answered");
            return self.close(&failure);
        }
    }

    /// Ends after a failure, with the word that PS3.8 wants.
    pub(super) fn close(mut self, failure: &Failure) {
        let last = match failure {
            Failure::Released => Pdu::ReleaseRP,
            Failure::Violated(_) => {
                let reason = AbortRQServiceProviderReason::ReasonNotSpecified;
                let source = AbortRQSource::ServiceProvider(reason);
                Pdu::AbortRQ { source }
            }
            Failure::Silent | Failure::Cancelled | Failure::NoContext(_) => Pdu::AbortRQ {
                source: AbortRQSource::ServiceUser,
            },
            Failure::Rejected(_)
            | Failure::Aborted(..)
            | Failure::Closed
            | Failure::Resolve(_)
            | Failure::Connect(_)
            | Failure::Tls(_)
            | Failure::Network(_) => return,
        };
        self.part(&last);
    }

    /// Ends in the middle of a data set that cannot be finished.
    pub(super) fn abort(mut self) {
        self.part(&Pdu::AbortRQ {
            source: AbortRQSource::ServiceUser,
        });
    }

    fn part(&mut self, last: &Pdu) {
        // A peer that takes nothing does not take this either.
        if let Err(failure) = self.say(last, LINGER) {
            debug!(%failure, "the last word did not arrive");
            return;
        }
        // Closing with bytes unread would reset the connection, and our last word with it.
        let _ = self.stream.finish();
        let deadline = Instant::now() + LINGER;
        while self
            .stream
            .read_before(&mut self.buffer, deadline)
            .is_ok_and(|read| read > 0)
        {}
    }

    fn say(&mut self, pdu: &Pdu, time: Duration) -> Result<(), Failure> {
        let bytes = pdu::encode(pdu).map_err(|error| Failure::Network(io::Error::other(error)))?;
        self.write(&bytes, time, &|| false)
    }
}

/// What an association hears.
pub(super) enum Heard {
    /// A whole command set on this context; see [`Association::response`], [`Association::request`].
    Command(u8),
    /// A piece of the data set that is due, where [`Association::bytes`] has it until the next call;
    /// whether it is the last.
    Data(Range<usize>, bool),
    /// A-RELEASE-RP.
    Released,
}

/// Connects and, with a peer that is called over TLS, agrees on it; all in one time.
fn connect(peer: &Peer, settings: &Settings) -> Result<Stream, Failure> {
    let deadline = Instant::now() + settings.connect_timeout;
    let no_tls = |error: &dyn std::fmt::Display| Failure::Tls(error.to_string());
    // Before the connection: what is wrong with our own files is nothing of the peer's.
    let tls = match &peer.tls {
        None => None,
        Some(name) => {
            let config = settings.tls.client().map_err(|error| no_tls(&error))?;
            let name = ServerName::try_from(&**name).map_err(|error| no_tls(&error))?;
            Some((config, name.to_owned()))
        }
    };
    let tcp = reach(peer, deadline)?;
    // Without it the last part of a message waits for the peer's delayed acknowledgement.
    tcp.set_nodelay(true)?;
    let stream = match tls {
        None => Stream::plain(tcp),
        Some((config, name)) => {
            Stream::calling(tcp, Arc::new(config), name).map_err(|error| no_tls(&error))?
        }
    };
    stream.shake_hands(deadline)?;
    Ok(stream)
}

/// Tries the addresses of the peer one after the other.
fn reach(peer: &Peer, deadline: Instant) -> Result<TcpStream, Failure> {
    let left = deadline.saturating_duration_since(Instant::now());
    let addresses = resolve(&peer.host, peer.port, left)?;
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    for address in addresses {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            break;
        }
        match TcpStream::connect_timeout(&address, left) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(Failure::Connect(last))
}
