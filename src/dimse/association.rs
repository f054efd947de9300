//! One association from the first byte to the last (PS3.8 §9.2): the acceptor's half of the state
//! table as straight-line code on one thread.
//!
//! | state | here |
//! |---|---|
//! | Sta2 awaiting A-ASSOCIATE-RQ, under ARTIM | [`receive_proposal`] |
//! | Sta3 deciding | [`establish`] |
//! | Sta6 established | [`Association::exchange`] |
//! | Sta8 release asked for, Sta13 awaiting close under ARTIM | [`part`] |
//!
//! Sta1 is the listener's; the others belong to requestors and to acceptors that ask for release.
//! In Sta2 the table names the service user as source of our A-ABORT (AA-1); we name the service
//! provider there too, because only then the reason is significant and tells the peer what to mend.

use std::convert::Infallible;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use dicom_ul::pdu::{
    AbortRQSource, AssociationRJ, AssociationRJResult,
    AssociationRJServiceProviderPresentationReason as PresentationReason, AssociationRJSource, Pdu,
};
use tracing::{Span, debug, field, info, info_span, warn};

use crate::archive::Archive;
use crate::dicom::AeTitle;
use crate::dimse::listener::{Connection, House, Permit};
use crate::dimse::message::{COMMAND_BYTES_MAX, Request};
use crate::dimse::negotiation::{Agreement, Proposal, Refusal};
use crate::dimse::pdu::{self, ABORT, ASSOCIATE_RQ, Framer, HEADER_BYTES, Piece, Violation};
use crate::dimse::scp::Task;
use crate::dimse::status::Status;

/// The largest A-ASSOCIATE-RQ taken: 128 contexts with 40 transfer syntaxes each are 170 KiB.
pub(super) const ASSOCIATE_BYTES_MAX: u32 = 1024 * 1024;
/// An A-ASSOCIATE-RQ without any item (PS3.8 Table 9-11).
const ASSOCIATE_BYTES_MIN: u32 = 68;
/// One read from the socket. Memory is touched only as far as the peer fills it.
const READ_BYTES: usize = 256 * 1024;
/// How long a peer may take to go when the server stops.
const STOP_LINGER: Duration = Duration::from_secs(1);

/// What service class providers know of the other side.
pub(crate) struct Peer<'a> {
    pub(crate) archive: &'a Archive,
    pub(crate) calling: &'a AeTitle,
    /// IP address and port.
    pub(crate) address: &'a str,
}

/// How an association, or the attempt at one, ended.
#[derive(Debug, thiserror::Error)]
enum End {
    #[error("released")]
    Released,
    /// The source and the reason of the peer's A-ABORT.
    #[error("aborted by the peer (source {0}, reason {1})")]
    Aborted(u8, u8),
    #[error("connection closed by the peer")]
    Closed,
    #[error("no association request in time")]
    Expired,
    #[error("silent for longer than dicom.idle_timeout_s")]
    Silent,
    #[error("rejected: {0:?}")]
    Rejected(AssociationRJ),
    #[error("protocol violation: {0}")]
    Violated(#[from] Violation),
    #[error("a refused object went on for longer than ingest.object_bytes_max")]
    Overran,
    #[error("the server stops")]
    Stopping,
    #[error("connection failed: {0}")]
    Failed(io::Error),
}

impl From<io::Error> for End {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Self::Silent,
            io::ErrorKind::UnexpectedEof => Self::Closed,
            _ => Self::Failed(error),
        }
    }
}

impl From<Refusal> for End {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Reject(rejection) => Self::Rejected(rejection),
            Refusal::Abort(violation) => Self::Violated(violation),
        }
    }
}

/// Serves a connection until it may be closed.
pub(crate) fn serve(house: &House, connection: &Connection) {
    let address = connection.address.to_string();
    let span = info_span!(
        "association",
        peer = address,
        calling = field::Empty,
        called = field::Empty
    );
    let _entered = span.enter();
    let end = match establish(house, connection) {
        Ok(established) => converse(house, connection, &address, &established),
        Err(end) => {
            match end {
                // Port scanners and health checks come and go so.
                End::Closed | End::Expired | End::Failed(_) => debug!(%end, "no association"),
                _ => warn!(%end, "no association"),
            }
            end
        }
    };
    part(house, connection, end);
}

/// An association that both sides agreed on.
struct Established {
    proposal: Proposal,
    agreement: Agreement,
    /// Counts against `associations_max` while it lives.
    _permit: Permit,
}

/// Sta2 and Sta3: hears the proposal and answers it.
fn establish(house: &House, connection: &Connection) -> Result<Established, End> {
    let mut stream = &connection.stream;
    let settings = &house.settings;
    let proposal = Proposal::parse(&receive_proposal(stream, settings.artim_timeout)?)?;
    for (name, title) in [("calling", &proposal.calling), ("called", &proposal.called)] {
        Span::current().record(name, title.as_ref().map_or("not a title", AeTitle::as_str));
    }
    let Some(permit) = house.permit() else {
        let reason = PresentationReason::LocalLimitExceeded;
        return Err(End::Rejected(AssociationRJ {
            result: AssociationRJResult::Transient,
            source: AssociationRJSource::ServiceProviderPresentation(reason),
        }));
    };
    let agreement = proposal.negotiate(settings)?;
    connection.is_associated.store(true, Ordering::SeqCst);
    stream.set_read_timeout(Some(settings.idle_timeout))?;
    stream.set_write_timeout(Some(settings.idle_timeout))?;
    stream.write_all(&agreement.answer)?;
    debug!("association accepted");
    Ok(Established {
        proposal,
        agreement,
        _permit: permit,
    })
}

/// Reads one A-ASSOCIATE-RQ and not a byte more. Memory grows with what has arrived, not with the
/// length that the header claims.
fn receive_proposal(stream: &TcpStream, artim_timeout: Duration) -> Result<Vec<u8>, End> {
    let expired = |end| {
        if matches!(end, End::Silent) {
            End::Expired
        } else {
            end
        }
    };
    let deadline = Instant::now() + artim_timeout;
    let mut bytes = vec![0; HEADER_BYTES];
    fill(stream, &mut bytes, deadline)
        .map_err(End::from)
        .map_err(expired)?;
    let length = match bytes[..] {
        [ASSOCIATE_RQ, _, a, b, c, d] => u32::from_be_bytes([a, b, c, d]),
        [ABORT, ..] => {
            // What is left unread would reset the connection when we close it.
            fill(stream, &mut [0; 4], deadline)
                .map_err(End::from)
                .map_err(expired)?;
            return Err(End::Closed);
        }
        [other, ..] => return Err(Violation::of_type(other).into()),
        [] => return Err(End::Closed),
    };
    if !(ASSOCIATE_BYTES_MIN..=ASSOCIATE_BYTES_MAX).contains(&length) {
        return Err(Violation::InvalidParameter.into());
    }
    let end = HEADER_BYTES + length as usize;
    while bytes.len() < end {
        let begin = bytes.len();
        bytes.resize(end.min(begin + 16 * 1024), 0);
        fill(stream, &mut bytes[begin..], deadline)
            .map_err(End::from)
            .map_err(expired)?;
    }
    Ok(bytes)
}

/// Fills `buffer` before `deadline`.
pub(super) fn fill(stream: &TcpStream, mut buffer: &mut [u8], deadline: Instant) -> io::Result<()> {
    while !buffer.is_empty() {
        match read_before(stream, buffer, deadline) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => buffer = &mut buffer[read..],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// One read that ends before `deadline`.
pub(super) fn read_before(
    mut stream: &TcpStream,
    buffer: &mut [u8],
    deadline: Instant,
) -> io::Result<usize> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Err(io::ErrorKind::TimedOut.into());
    }
    stream.set_read_timeout(Some(left))?;
    stream.read(buffer)
}

/// Sta6, with its line in the log.
fn converse(
    house: &House,
    connection: &Connection,
    address: &str,
    established: &Established,
) -> End {
    let Some(calling) = &established.proposal.calling else {
        return End::Closed;
    };
    let mut association = Association {
        house,
        connection,
        peer: Peer {
            archive: &house.archive,
            calling,
            address,
        },
        agreement: &established.agreement,
        stage: Stage::Between,
        command: Vec::new(),
        discarded: 0,
        succeeded: 0,
        failed: 0,
    };
    let Err(end) = association.exchange();
    let Association {
        succeeded, failed, ..
    } = association;
    match end {
        End::Released | End::Stopping => info!(%end, succeeded, failed, "association ended"),
        _ => warn!(%end, succeeded, failed, "association ended"),
    }
    end
}

/// Where in a message we are (PS3.7 §6.3).
#[derive(Default)]
enum Stage {
    /// Between messages.
    #[default]
    Between,
    /// In a command set.
    Command { context_id: u8 },
    /// In a data set.
    Data {
        context_id: u8,
        request: Request,
        task: Task,
    },
}

/// An established association.
struct Association<'a> {
    house: &'a House,
    connection: &'a Connection,
    peer: Peer<'a>,
    agreement: &'a Agreement,
    stage: Stage,
    /// The command set on its way; at most [`COMMAND_BYTES_MAX`].
    command: Vec<u8>,
    /// Bytes thrown away of the data set on its way.
    discarded: u64,
    /// Messages answered with success.
    succeeded: u64,
    /// Messages answered otherwise.
    failed: u64,
}

impl Association<'_> {
    /// Takes what comes until something ends the association.
    fn exchange(&mut self) -> Result<Infallible, End> {
        let mut stream = &self.connection.stream;
        let mut framer = Framer::new(self.house.settings.max_pdu_bytes);
        let mut buffer = vec![0; READ_BYTES];
        loop {
            let read = match stream.read(&mut buffer) {
                // The listener closes our reading side when the server stops.
                Ok(0) if self.house.is_stopping() => return Err(End::Stopping),
                Ok(0) => return Err(End::Closed),
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error.into()),
            };
            let mut bytes = &buffer[..read];
            while let Some(piece) = framer.next(&mut bytes)? {
                match piece {
                    Piece::Fragment {
                        context_id,
                        is_command: true,
                        is_last,
                        bytes,
                    } => {
                        self.take_command(context_id, bytes, is_last)?;
                    }
                    Piece::Fragment {
                        context_id,
                        is_command: false,
                        is_last,
                        bytes,
                    } => {
                        self.take_data(context_id, bytes, is_last)?;
                    }
                    Piece::ReleaseRequest => return Err(End::Released),
                    Piece::ReleaseResponse => return Err(Violation::UnexpectedPdu.into()),
                    Piece::Abort(source, reason) => return Err(End::Aborted(source, reason)),
                }
            }
        }
    }

    /// A piece of a command set; when it is the last one, the deed begins.
    fn take_command(&mut self, context_id: u8, bytes: &[u8], is_last: bool) -> Result<(), End> {
        let context = self
            .agreement
            .context(context_id)
            .ok_or(Violation::InvalidParameter)?;
        match self.stage {
            Stage::Between => {
                self.connection.is_busy.store(true, Ordering::SeqCst);
                self.command.clear();
                self.stage = Stage::Command { context_id };
            }
            Stage::Command { context_id: begun } if begun == context_id => {}
            Stage::Command { .. } => return Err(Violation::InvalidParameter.into()),
            Stage::Data { .. } => return Err(Violation::UnexpectedParameter.into()),
        }
        if self.command.len() + bytes.len() > COMMAND_BYTES_MAX {
            return Err(Violation::InvalidParameter.into());
        }
        self.command.extend_from_slice(bytes);
        if !is_last {
            return Ok(());
        }
        let request = Request::parse(&self.command).map_err(|_| Violation::InvalidParameter)?;
        let task = Task::begin(&self.peer, context, &request);
        if request.has_data {
            self.discarded = 0;
            self.stage = Stage::Data {
                context_id,
                request,
                task,
            };
            Ok(())
        } else {
            self.stage = Stage::Between;
            self.answer(context_id, &request, task)
        }
    }

    /// A piece of a data set; when it is the last one, the deed is finished and answered.
    fn take_data(&mut self, context_id: u8, bytes: &[u8], is_last: bool) -> Result<(), End> {
        let Stage::Data {
            context_id: begun,
            task,
            ..
        } = &mut self.stage
        else {
            return Err(Violation::UnexpectedParameter.into());
        };
        if *begun != context_id {
            return Err(Violation::InvalidParameter.into());
        }
        self.discarded = self.discarded.saturating_add(task.write(bytes) as u64);
        if self.discarded > self.house.settings.object_bytes_max {
            return Err(End::Overran);
        }
        if is_last
            && let Stage::Data {
                context_id,
                request,
                task,
            } = std::mem::take(&mut self.stage)
        {
            self.answer(context_id, &request, task)?;
        }
        Ok(())
    }

    /// Finishes a message: one response, one write.
    fn answer(&mut self, context_id: u8, request: &Request, task: Task) -> Result<(), End> {
        if let Some(reply) = task.finish() {
            match reply.status {
                Status::SUCCESS => self.succeeded += 1,
                _ => self.failed += 1,
            }
            let response = request.response(&reply);
            let pdus =
                pdu::encode_command(context_id, &response, self.agreement.sent_pdu_bytes_max);
            (&self.connection.stream).write_all(&pdus)?;
        }
        self.connection.is_busy.store(false, Ordering::SeqCst);
        if self.house.is_stopping() {
            Err(End::Stopping)
        } else {
            Ok(())
        }
    }
}

/// Sta8 and Sta13: says the last word, then lets the peer close first. Closing with bytes unread
/// would reset the connection, and the peer might never see our last word.
fn part(house: &House, connection: &Connection, end: End) {
    // Whoever is on the way out must not hold up newcomers, nor a stop.
    connection.is_associated.store(false, Ordering::SeqCst);
    let last = match end {
        End::Released => Pdu::ReleaseRP,
        End::Rejected(rejection) => Pdu::AssociationRJ(rejection),
        End::Violated(violation) => Pdu::AbortRQ {
            source: AbortRQSource::ServiceProvider(violation.reason()),
        },
        End::Silent | End::Overran | End::Stopping => Pdu::AbortRQ {
            source: AbortRQSource::ServiceUser,
        },
        End::Aborted(..) | End::Closed | End::Expired | End::Failed(_) => return,
    };
    let artim = house.settings.artim_timeout;
    let artim = if house.is_stopping() {
        artim.min(STOP_LINGER)
    } else {
        artim
    };
    if let Err(cause) = say(&connection.stream, &last, artim) {
        debug!(%cause, "the last word did not arrive");
    }
}

/// Sends `last` and reads away whatever comes until the peer closes or ARTIM expires.
fn say(mut stream: &TcpStream, last: &Pdu, artim: Duration) -> io::Result<()> {
    let deadline = Instant::now() + artim;
    stream.set_write_timeout(Some(artim))?;
    stream.write_all(&pdu::encode(last).map_err(io::Error::other)?)?;
    stream.shutdown(Shutdown::Write)?;
    let mut ignored = [0; 16 * 1024];
    while read_before(stream, &mut ignored, deadline)? > 0 {}
    Ok(())
}
