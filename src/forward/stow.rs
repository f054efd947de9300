//! One Store request (PS3.18 §10.5): Part 10 files as a multipart body that is read from the archive
//! while it is sent, in pieces, however large they are.
//!
//! Redirections are not followed: what they lead to was not named by whoever configured us. An
//! answer is read to a limit and within a time.

use std::cell::Cell;
use std::fmt::Write as _;
use std::io::{self, Read};
use std::time::Duration;

use ureq::SendBody;
use ureq::http::Request;
use ureq::tls::{RootCerts, TlsConfig};

use super::pace::random;
use super::stow_answer::{self, Told};
use super::web::{WebAddress, retry_after};
use crate::access::Scope;
use crate::archive::queue::Queued;
use crate::archive::{Archive, Error, Given, Located, Syntax, Target};
use crate::dicom::FrameMap;
use crate::dicom::frame_map::Encapsulated;
use crate::dimse::scu::Signal;

/// The longest time to find and reach the server.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(10);
/// How long the answer may take to come in, once it begins.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(60);
/// The longest head of an answer, in bytes.
const HEAD_BYTES_MAX: usize = 64 << 10;
/// The longest answer that is read, in bytes: two lists of fifty instances and room to spare.
const ANSWER_BYTES_MAX: u64 = 4 << 20;
/// Larger bodies, and those of unknown size, are announced first. Bytes.
const ASK_FIRST_BYTES: u64 = 1 << 20;
/// How much is read from the archive at a time. Bytes.
const PIECE_BYTES: usize = 256 << 10;

/// An instance of a request.
#[derive(Clone)]
pub(super) struct Part {
    pub(super) queued: Queued,
    /// Without its frame map, which can be long.
    located: Located,
    pub(super) syntax: Syntax,
}

impl Part {
    pub(super) fn new(queued: Queued, located: Located, syntax: Syntax) -> Self {
        let frames = FrameMap::Encapsulated(Encapsulated::default());
        Self {
            queued,
            located: Located { frames, ..located },
            syntax,
        }
    }

    fn given(&self, archive: &Archive) -> Result<Given, Error> {
        if self.syntax == Syntax::Stored {
            return archive.given(&self.located, self.syntax, &Scope::All);
        }
        let found = archive.locate(&target(&self.queued), &Scope::All, None, 1)?;
        let located = found.first().ok_or(Error::NotFound)?;
        archive.given(located, self.syntax, &Scope::All)
    }
}

/// What is queued, as the archive names it.
pub(super) fn target(queued: &Queued) -> Target {
    Target::Instance(
        queued.study_instance_uid.clone(),
        queued.series_instance_uid.clone(),
        queued.sop_instance_uid.clone(),
    )
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Trouble {
    /// Somebody asked us to stop.
    Stopped,
    /// Nothing was sent, or the server does not speak with us.
    Unreachable(String),
    /// It broke off on the way.
    Lost(String),
    /// The part at this place cannot be given.
    Ours(usize, String),
}

/// Where requests go.
pub(super) struct Store {
    agent: ureq::Agent,
    url: Box<str>,
    authorization: Option<String>,
    /// Whether the server is asked before a large body is sent.
    expects: Cell<bool>,
}

impl Store {
    pub(super) fn new(address: &WebAddress, patience: Duration) -> Result<Self, String> {
        let tls = TlsConfig::builder()
            .root_certs(RootCerts::PlatformVerifier)
            .build();
        let mut config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .max_response_header_size(HEAD_BYTES_MAX)
            .timeout_resolve(Some(CONNECT_TIME_MAX))
            .timeout_connect(Some(CONNECT_TIME_MAX))
            .timeout_per_read(Some(patience))
            .timeout_per_write(Some(patience))
            .timeout_recv_response(Some(patience.saturating_mul(2)))
            .timeout_recv_body(Some(ANSWER_TIME_MAX))
            .user_agent(concat!("overread/", env!("CARGO_PKG_VERSION")))
            .accept("application/dicom+json")
            .accept_encoding("")
            .tls_config(tls);
        // A proxy of the environment cannot reach our own machine's loopback.
        if address.is_loopback() {
            config = config.proxy(None);
        }
        Ok(Self {
            agent: config.build().new_agent(),
            url: address.url.clone(),
            authorization: address.authorization()?,
            expects: Cell::new(true),
        })
    }

    /// Sends large bodies unasked from now on. `false` when it did already.
    pub(super) fn expects_less(&self) -> bool {
        self.expects.replace(false)
    }

    /// Sends parts and hears what became of them.
    pub(super) fn send(
        &self,
        archive: &Archive,
        parts: &[Part],
        signal: &Signal,
    ) -> Result<Told, Trouble> {
        let boundary = format!("{:016x}{:016x}", random(), random());
        let mut body = Body::new(archive, parts, &boundary, signal);
        let media_type =
            format!("multipart/related; type=\"application/dicom\"; boundary={boundary}");
        let mut request = Request::post(&*self.url).header("content-type", media_type);
        let length = body.length();
        if let Some(length) = length {
            request = request.header("content-length", length);
        }
        // A server that refuses a large body can say so before it comes; afterwards the connection
        // may be gone, and its answer with it.
        if self.expects.get() && length.is_none_or(|length| length > ASK_FIRST_BYTES) {
            request = request.header("expect", "100-continue");
        }
        if let Some(authorization) = &self.authorization {
            request = request.header("authorization", authorization);
        }
        let request = request
            .body(SendBody::from_reader(&mut body))
            .map_err(|error| Trouble::Unreachable(error.to_string()))?;
        let answered = self.agent.run(request);
        if signal.is_given() && answered.is_err() {
            return Err(Trouble::Stopped);
        }
        if let Some((at, reason)) = body.broken.take() {
            return Err(Trouble::Ours(at, reason));
        }
        let has_begun = body.has_begun;
        let response = answered.map_err(|error| trouble(error, has_begun))?;
        let (head, body) = response.into_parts();
        let header = |name| head.headers.get(name).and_then(|value| value.to_str().ok());
        let media_type = header("content-type").unwrap_or_default().to_owned();
        let mut text = Vec::new();
        // An answer that breaks off tells nothing of what it does not hold.
        let read = body
            .into_reader()
            .take(ANSWER_BYTES_MAX)
            .read_to_end(&mut text);
        let is_whole = read.is_ok_and(|count| (count as u64) < ANSWER_BYTES_MAX);
        let is_of_a_store = text.is_empty() || stow_answer::is_of_a_store(&media_type);
        Ok(Told {
            status: head.status.as_u16(),
            retry_after: retry_after(header("retry-after")),
            lists: match is_whole {
                true => stow_answer::lists(&media_type, &text),
                false => None,
            },
            is_whole: is_whole && is_of_a_store,
        })
    }
}

fn trouble(error: ureq::Error, has_begun: bool) -> Trouble {
    let reason = told(&error);
    match has_begun {
        true => Trouble::Lost(reason),
        false => Trouble::Unreachable(reason),
    }
}

/// Why there is no answer, in our words.
pub(crate) fn told(error: &ureq::Error) -> String {
    match error {
        ureq::Error::HostNotFound => "the host name is unknown".into(),
        ureq::Error::Timeout(_) => "no answer in time".into(),
        ureq::Error::Tls(text) => format!("TLS failed: {text}"),
        ureq::Error::Rustls(error) => format!("TLS failed: {error}"),
        ureq::Error::Io(error) => match error.kind() {
            io::ErrorKind::TimedOut => "no answer in time".into(),
            // Certificates that are not trusted come wrapped, in words of rustls.
            io::ErrorKind::InvalidData => format!("TLS failed: {error}"),
            kind => format!("no connection: {kind}"),
        },
        ureq::Error::ConnectionFailed => "no connection".into(),
        _ => "what came is no HTTP".to_owned(),
    }
}

/// The body of a request, read once.
struct Body<'a> {
    archive: &'a Archive,
    parts: &'a [Part],
    boundary: &'a str,
    signal: &'a Signal,
    /// The part that is being read, or begins next.
    at: usize,
    given: Option<Given>,
    /// What was read, and how much of that has been taken.
    buffer: Vec<u8>,
    taken: usize,
    is_closed: bool,
    has_begun: bool,
    /// The part that could not be read, and why.
    broken: Option<(usize, String)>,
}

impl<'a> Body<'a> {
    fn new(archive: &'a Archive, parts: &'a [Part], boundary: &'a str, signal: &'a Signal) -> Self {
        Self {
            archive,
            parts,
            boundary,
            signal,
            at: 0,
            given: None,
            buffer: Vec::new(),
            taken: 0,
            is_closed: false,
            has_begun: false,
            broken: None,
        }
    }

    /// The length in bytes, when all parts go as they are stored.
    fn length(&self) -> Option<u64> {
        let mut total = self.close().len() as u64;
        for (at, part) in self.parts.iter().enumerate() {
            let stored = part.located.transfer_syntax_uid.as_str();
            if part.syntax.uid(stored) != stored {
                return None;
            }
            total += self.head(at).len() as u64 + part.located.locator.length;
        }
        Some(total)
    }

    fn head(&self, at: usize) -> String {
        let mut head = String::from(if at == 0 { "" } else { "\r\n" });
        // Writing to a String cannot fail.
        let _ = write!(
            head,
            "--{}\r\nContent-Type: application/dicom\r\n\r\n",
            self.boundary
        );
        head
    }

    fn close(&self) -> String {
        format!("\r\n--{}--\r\n", self.boundary)
    }

    /// Puts something into the empty buffer, or nothing at the end.
    fn refill(&mut self) -> Result<(), Error> {
        while self.buffer.is_empty() && !self.is_closed {
            match (&mut self.given, self.parts.get(self.at)) {
                (Some(given), _) => {
                    if !given.append(&mut self.buffer, PIECE_BYTES)? {
                        self.given = None;
                        self.at += 1;
                    }
                }
                (None, Some(part)) => {
                    let head = self.head(self.at);
                    let given = part.given(self.archive)?;
                    self.given = Some(given);
                    self.buffer.extend_from_slice(head.as_bytes());
                }
                (None, None) => {
                    let close = self.close();
                    self.buffer.extend_from_slice(close.as_bytes());
                    self.is_closed = true;
                }
            }
        }
        Ok(())
    }
}

impl Read for Body<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.has_begun = true;
        if self.signal.is_given() {
            return Err(io::Error::other("stopping"));
        }
        if self.taken == self.buffer.len() {
            self.buffer.clear();
            self.taken = 0;
            if let Err(error) = self.refill() {
                self.broken = Some((self.at, format!("cannot be given: {error}")));
                return Err(io::Error::other("an instance cannot be read"));
            }
        }
        let length = out.len().min(self.buffer.len() - self.taken);
        out[..length].copy_from_slice(&self.buffer[self.taken..self.taken + length]);
        self.taken += length;
        Ok(length)
    }
}
