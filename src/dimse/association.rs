//! One association from the first byte to the last (PS3.8 §9.2): the acceptor's half of the state
//! table as straight-line code on one thread.
//!
//! | state | here |
//! |---|---|
//! | before Sta2: the TLS handshake, as long as ARTIM | [`establish`] |
//! | Sta2 awaiting A-ASSOCIATE-RQ, under ARTIM | [`receive_proposal`] |
//! | Sta3 deciding | [`establish`] |
//! | Sta6 established | [`Association::exchange`] |
//! | Sta8 release asked for, Sta13 awaiting close under ARTIM | [`part`] |
//!
//! Sta1 is the listener's; the others belong to requestors and to acceptors that ask for release.
//! In Sta2 the table names the service user as source of our A-ABORT (AA-1); we name the service
//! provider there too, because only then the reason is significant and tells the peer what to mend.

use std::io::{self, Write};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use dicom_ul::pdu::{
    AbortRQSource, AssociationRJ, AssociationRJResult,
    AssociationRJServiceProviderPresentationReason as PresentationReason,
    AssociationRJServiceUserReason as UserReason, AssociationRJSource, Pdu,
};
use tracing::{Span, debug, field, info, info_span, warn};

use crate::access::audit::{Actor, EventType};
use crate::access::{Action, Scope};
use crate::archive::{self, Archive};
use crate::dicom::AeTitle;
use crate::dimse::exchange::Association;
use crate::dimse::identity::{Refused, User};
use crate::dimse::listener::{Connection, House, Permit};
use crate::dimse::negotiation::{Admitted, Agreement, Proposal, Refusal};
use crate::dimse::pdu::{self, ABORT, ASSOCIATE_RQ, HEADER_BYTES, Violation};
use crate::dimse::scu;
use crate::dimse::status::Reply;
use crate::dimse::stream::Stream;
use crate::dimse::tls;
use crate::dimse::trail::{self, Trail};
use crate::dimse::visitor::Visitor;

/// The largest A-ASSOCIATE-RQ taken: 128 contexts with 40 transfer syntaxes each are 170 KiB.
pub(super) const ASSOCIATE_BYTES_MAX: u32 = 1024 * 1024;
/// An A-ASSOCIATE-RQ without any item (PS3.8 Table 9-11).
const ASSOCIATE_BYTES_MIN: u32 = 68;
/// The first bytes of a TLS handshake (RFC 8446 §5.1): content type and major version.
const TLS_HELLO: [u8; 2] = [0x16, 0x03];
/// How long a peer may take to go when the server stops.
const STOP_LINGER: Duration = Duration::from_secs(1);

/// What service class providers know of the other side.
pub(crate) struct Peer<'a> {
    pub(crate) archive: &'a Archive,
    /// Who has shown who they are with an API token.
    pub(crate) visitor: Option<&'a Visitor>,
    /// Our own title.
    pub(crate) ae_title: &'a AeTitle,
    pub(crate) calling: &'a AeTitle,
    /// How we call others, and whom.
    pub(crate) outgoing: &'a scu::Settings,
    /// The title of ours that it has called.
    pub(crate) called: &'a AeTitle,
    /// How long an answer to a request for storage commitment is kept.
    pub(crate) commitment_keep: Duration,
    /// IP address and port.
    pub(crate) address: &'a str,
    /// IP address.
    pub(crate) host: &'a str,
}

impl Peer<'_> {
    /// The studies that the peer may do something to now, and how much of each it sees.
    ///
    /// # Errors
    /// As [`Visitor::admit`].
    pub(crate) fn admit(&self, action: Action) -> Result<Scope, Reply> {
        match self.visitor {
            None => Ok(Scope::All),
            Some(visitor) => visitor.admit(action, self.calling, self.host),
        }
    }
}

/// How an association, or the attempt at one, ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum End {
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
    #[error("rejected: {}", words(.0))]
    Rejected(AssociationRJ),
    #[error("rejected: {0}")]
    Unidentified(#[from] Refused),
    #[error("no TLS: {0}")]
    Insecure(io::Error),
    #[error("TLS, on the port without TLS (dicom.tls_listen is the one with it)")]
    Misplaced,
    #[error("no TLS, on the port for TLS (dicom.listen is the one without it)")]
    Unencrypted,
    #[error("protocol violation: {0}")]
    Violated(#[from] Violation),
    #[error("a refused object went on for longer than ingest.object_bytes_max")]
    Overran,
    /// An instance that was being sent cannot be read to its end.
    #[error("an instance broke off: {0}")]
    Broken(archive::Error),
    #[error("the server stops")]
    Stopping,
    #[error("connection failed: {0}")]
    Failed(io::Error),
}

/// Why we reject, and where that is set.
fn words(rejection: &AssociationRJ) -> &'static str {
    match rejection.source {
        AssociationRJSource::ServiceUser(UserReason::CallingAETitleNotRecognized) => {
            "calling AE title not known, or not from this host (dicom.modalities, dicom.calling_ae_titles)"
        }
        AssociationRJSource::ServiceUser(UserReason::CalledAETitleNotRecognized) => {
            "called AE title is none of ours, or not for this caller (dicom.called_ae_titles, dicom.modalities)"
        }
        AssociationRJSource::ServiceUser(_) => "application context name not supported",
        AssociationRJSource::ServiceProviderASCE(_) => "protocol version not supported",
        AssociationRJSource::ServiceProviderPresentation(_) => {
            "as many associations as dicom.associations_max"
        }
    }
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
        called = field::Empty,
        user = field::Empty
    );
    let _entered = span.enter();
    let mut trail = None;
    let mut calling = None;
    let end = match establish(house, connection, &mut calling) {
        Ok(established) => {
            let (end, done) = converse(house, connection, &address, &established);
            trail = done;
            end
        }
        Err(end) => {
            match end {
                // Port scanners and health checks come and go so.
                End::Closed | End::Expired | End::Failed(_) => debug!(%end, "no association"),
                _ => warn!(%end, "no association"),
            }
            end
        }
    };
    let refused = match &end {
        End::Rejected(_) | End::Unidentified(_) | End::Insecure(_) => Some(end.to_string()),
        _ => None,
    };
    part(house, connection, end);
    // The peer has gone, and has not waited for this.
    drop(trail);
    if let (Some(desk), Some(why)) = (&house.desk, refused) {
        let host = connection.address.ip().to_canonical().to_string();
        let who = Actor {
            name: calling.as_ref().map_or("unknown", AeTitle::as_str).into(),
            means: String::new(),
            address: host,
        };
        trail::tell_refused(desk, who, EventType::NodeAuthentication, &why);
    }
}

/// An association that both sides agreed on.
struct Established {
    proposal: Proposal,
    agreement: Agreement,
    /// Who the peer has shown to be, besides its AE title.
    user: User,
    /// Counts against `associations_max` while it lives.
    _permit: Permit,
}

/// Sta2 and Sta3: hears the proposal and answers it. `calling` is who it says to be of, as soon as that is heard.
fn establish(
    house: &House,
    connection: &Connection,
    calling: &mut Option<AeTitle>,
) -> Result<Established, End> {
    let mut stream = &connection.stream;
    let settings = &house.settings;
    stream
        .shake_hands(Instant::now() + settings.artim_timeout)
        .map_err(|error| match error.kind() {
            io::ErrorKind::InvalidData if tls::is_no_tls(&error) => End::Unencrypted,
            io::ErrorKind::InvalidData => End::Insecure(error),
            _ => expired(error.into()),
        })?;
    let proposal = Proposal::parse(&receive_proposal(stream, settings.artim_timeout)?)?;
    for (name, title) in [("calling", &proposal.calling), ("called", &proposal.called)] {
        Span::current().record(name, title.as_ref().map_or("not a title", AeTitle::as_str));
    }
    calling.clone_from(&proposal.calling);
    let Some(permit) = house.permit() else {
        let reason = PresentationReason::LocalLimitExceeded;
        return Err(End::Rejected(AssociationRJ {
            result: AssociationRJResult::Transient,
            source: AssociationRJSource::ServiceProviderPresentation(reason),
        }));
    };
    let host = connection.address.ip();
    let rights = proposal.admit(settings, host)?;
    let user = match &house.identities {
        None => User::ANYBODY,
        Some(identities) => {
            let deadline = Instant::now() + settings.artim_timeout;
            let desk = house.desk.as_ref();
            identities.verify(&proposal.identities(), host, deadline, desk)?
        }
    };
    if let Some(name) = &user.name {
        Span::current().record("user", &**name);
    }
    let admitted = Admitted {
        rights: rights.and(user.rights),
        wants_identity_answer: user.wants_answer,
    };
    let agreement = proposal.negotiate(settings, admitted)?;
    connection.is_associated.store(true, Ordering::SeqCst);
    stream.set_read_timeout(Some(settings.idle_timeout))?;
    stream.set_write_timeout(Some(settings.idle_timeout))?;
    stream.write_all(&agreement.answer)?;
    if agreement.without_right > 0 {
        let contexts = agreement.without_right;
        info!(
            contexts,
            "presentation contexts rejected: no right to them (dicom.modalities, or the user's)"
        );
    }
    debug!(tls = stream.security(), "association accepted");
    Ok(Established {
        proposal,
        agreement,
        user,
        _permit: permit,
    })
}

/// Silence before an association.
fn expired(end: End) -> End {
    match end {
        End::Silent => End::Expired,
        end => end,
    }
}

/// Reads one A-ASSOCIATE-RQ and not a byte more. Memory grows with what has arrived, not with the
/// length that the header claims.
fn receive_proposal(stream: &Stream, artim_timeout: Duration) -> Result<Vec<u8>, End> {
    let deadline = Instant::now() + artim_timeout;
    let mut bytes = vec![0; HEADER_BYTES];
    stream
        .fill(&mut bytes, deadline)
        .map_err(End::from)
        .map_err(expired)?;
    let length = match bytes[..] {
        [ASSOCIATE_RQ, _, a, b, c, d] => u32::from_be_bytes([a, b, c, d]),
        [ABORT, ..] => {
            // What is left unread would reset the connection when we close it.
            stream
                .fill(&mut [0; 4], deadline)
                .map_err(End::from)
                .map_err(expired)?;
            return Err(End::Closed);
        }
        [kind, version, ..] if [kind, version] == TLS_HELLO => return Err(End::Misplaced),
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
        stream
            .fill(&mut bytes[begin..], deadline)
            .map_err(End::from)
            .map_err(expired)?;
    }
    Ok(bytes)
}

/// Sta6, with its line in the log.
fn converse(
    house: &House,
    connection: &Connection,
    address: &str,
    established: &Established,
) -> (End, Option<Trail>) {
    let Proposal {
        calling, called, ..
    } = &established.proposal;
    let (Some(calling), Some(called)) = (calling, called) else {
        return (End::Closed, None);
    };
    let host = connection.address.ip().to_canonical().to_string();
    let visitor = established.user.visitor.as_ref();
    let peer = Peer {
        archive: &house.archive,
        visitor,
        ae_title: &house.settings.ae_title,
        calling,
        outgoing: &house.settings.outgoing,
        called,
        commitment_keep: house.settings.commitment_keep,
        address,
        host: &host,
    };
    let known = visitor.and_then(|visitor| visitor.actor(calling, &host));
    let who = known.unwrap_or_else(|| Actor {
        name: calling.as_str().into(),
        means: match &established.user.name {
            Some(user) => format!("association of user {user}"),
            None => "association".into(),
        },
        address: host.clone(),
    });
    let trail = Trail::new(house.desk.clone(), who);
    let mut association = Association::new(house, connection, peer, &established.agreement, trail);
    let Err(end) = association.exchange();
    let (succeeded, failed) = association.told();
    match end {
        End::Released | End::Stopping => info!(%end, succeeded, failed, "association ended"),
        _ => warn!(%end, succeeded, failed, "association ended"),
    }
    (end, Some(association.into_trail()))
}

/// Sta8 and Sta13: says the last word, then lets the peer close first. Closing with bytes unread
/// would reset the connection, and the peer might never see our last word.
fn part(house: &House, connection: &Connection, end: End) {
    // Whoever is on the way out must not hold up newcomers, nor a stop.
    connection.is_associated.store(false, Ordering::SeqCst);
    let last = match end {
        End::Released => Pdu::ReleaseRP,
        End::Rejected(rejection) => Pdu::AssociationRJ(rejection),
        End::Unidentified(refused) => Pdu::AssociationRJ(refused.rejection()),
        End::Misplaced => Pdu::AbortRQ {
            source: AbortRQSource::ServiceProvider(Violation::UnrecognizedPdu.reason()),
        },
        End::Violated(violation) => Pdu::AbortRQ {
            source: AbortRQSource::ServiceProvider(violation.reason()),
        },
        End::Silent | End::Overran | End::Broken(_) | End::Stopping => Pdu::AbortRQ {
            source: AbortRQSource::ServiceUser,
        },
        End::Aborted(..)
        | End::Closed
        | End::Expired
        | End::Unencrypted
        | End::Insecure(_)
        | End::Failed(_) => return,
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
fn say(mut stream: &Stream, last: &Pdu, artim: Duration) -> io::Result<()> {
    let deadline = Instant::now() + artim;
    stream.set_write_timeout(Some(artim))?;
    stream.write_all(&pdu::encode(last).map_err(io::Error::other)?)?;
    stream.finish()?;
    let mut ignored = [0; 16 * 1024];
    while stream.read_before(&mut ignored, deadline)? > 0 {}
    Ok(())
}
