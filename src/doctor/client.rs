//! HTTP as a viewer would speak it, but on guard: every answer has a limit of bytes and of time, the
//! whole examination has a limit of requests, bytes and time; redirects are followed within the
//! origin only; nothing is sent to an origin that was not named by whoever runs us.
//!
//! Bodies are taken as they come, gzip is undone here, so that a coding that was not asked for is seen.

use std::io::Read;
use std::time::{Duration, Instant};

use flate2::read::MultiGzDecoder;
use ureq::http::header::{HeaderName, HeaderValue};
use ureq::http::{HeaderMap, Request};
use ureq::tls::{RootCerts, TlsConfig};

use super::address;

/// The most bytes of one answer that are read, before and after its coding is undone.
pub(super) const ANSWER_BYTES_MAX: u64 = 64 << 20;
/// The most bytes read of an answer whose beginning tells enough (files, videos).
pub(super) const BEGINNING_BYTES_MAX: u64 = 1 << 20;
/// The most requests of one examination.
pub(super) const REQUESTS_MAX: u32 = 1_000;
/// The most bytes of one examination.
const TOTAL_BYTES_MAX: u64 = 4 << 30;
/// The longest examination.
const TOTAL_TIME_MAX: Duration = Duration::from_secs(15 * 60);
/// The longest time to find and reach the server.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(10);
/// The longest head of an answer, in bytes.
const HEAD_BYTES_MAX: usize = 64 * 1024;
const REDIRECTS_MAX: u32 = 3;
/// A server that lets so many requests in a row run out of time is not asked any more.
const LATE_MAX: u32 = 3;
const PIECE: usize = 64 * 1024;

/// One request.
#[derive(Debug, Clone)]
pub(super) struct Ask<'a> {
    pub(super) method: &'static str,
    pub(super) url: &'a str,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Option<&'a [u8]>,
    /// Whether it goes without the secrets, as a browser's preflight does.
    pub(super) is_anonymous: bool,
    /// How much of the answer is read.
    pub(super) bytes_max: u64,
}

/// What came.
#[derive(Debug, Clone, Default)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    /// Decoded, as far as it was read.
    pub(super) body: Vec<u8>,
    /// How the body ended.
    pub(super) ending: Ending,
    /// Until the head was there.
    pub(super) first_byte: Duration,
    /// Until the end.
    pub(super) total: Duration,
    /// Whether the server closes the connection after each answer.
    pub(super) closes: bool,
}

/// How a body ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Ending {
    /// Whole.
    #[default]
    Whole,
    /// We stopped reading: there was more than the limit.
    Enough,
    /// The time was over.
    Late,
    /// The connection broke, or the gzip stream did.
    Broken,
    /// A coding that was not asked for.
    Coded,
}

/// Why nothing came. No variant holds text of the server.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Trouble {
    #[error("the host name is unknown")]
    UnknownHost,
    #[error("no connection: {0}")]
    Unreachable(String),
    #[error("TLS failed: {0}")]
    Tls(String),
    #[error("no answer within {} s", .0.as_secs_f64())]
    Late(Duration),
    #[error("what came is no HTTP")]
    NotHttp,
    #[error("redirected to {0}, which was not followed")]
    Redirected(String),
    #[error("redirected in a circle")]
    Circle,
    #[error("not asked: it leads to another host")]
    Elsewhere,
    #[error("not asked: the limit of requests, bytes or time of one examination is reached")]
    Spent,
}

/// A client for one server.
pub(super) struct Client {
    agent: ureq::Agent,
    /// Origins that may be asked.
    origins: Vec<String>,
    /// Sent with every request, never shown.
    secrets: Vec<(HeaderName, HeaderValue)>,
    timeout: Duration,
    ends: Instant,
    requests: u32,
    bytes: u64,
    /// Requests in a row that were not answered in time.
    late: u32,
}

impl Client {
    /// One that asks these origins only.
    pub(super) fn new(
        origins: Vec<String>,
        secrets: Vec<(HeaderName, HeaderValue)>,
        timeout: Duration,
    ) -> Self {
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
            .user_agent(concat!("overread-doctor/", env!("CARGO_PKG_VERSION")))
            .accept("")
            .accept_encoding("")
            .tls_config(tls);
        // A proxy of the environment cannot reach our own machine's loopback.
        if origins.iter().any(|origin| is_loopback(origin)) {
            config = config.proxy(None);
        }
        Self {
            agent: config.build().new_agent(),
            origins,
            secrets,
            timeout,
            ends: Instant::now() + TOTAL_TIME_MAX,
            requests: 0,
            bytes: 0,
            late: 0,
        }
    }

    /// How many requests have been made.
    pub(super) fn requests(&self) -> u32 {
        self.requests
    }

    /// Whether every further request would be in vain.
    pub(super) fn is_given_up(&self) -> bool {
        self.late >= LATE_MAX
    }

    /// Asks, and follows redirects within the origin.
    pub(super) fn ask(&mut self, ask: &Ask<'_>) -> Result<Answer, Trouble> {
        let asked = self.ask_and_follow(ask);
        let is_late = match &asked {
            Ok(answer) => answer.ending == Ending::Late,
            Err(trouble) => matches!(trouble, Trouble::Late(_)),
        };
        self.late = if is_late { self.late + 1 } else { 0 };
        asked
    }

    fn ask_and_follow(&mut self, ask: &Ask<'_>) -> Result<Answer, Trouble> {
        let mut url = ask.url.to_owned();
        for _ in 0..=REDIRECTS_MAX {
            let answer = self.ask_once(ask, &url)?;
            if !matches!(answer.status, 301 | 302 | 303 | 307 | 308) || ask.body.is_some() {
                return Ok(answer);
            }
            let Some(target) = header(&answer.headers, "location")
                .and_then(|location| address::join(&url, location))
            else {
                return Ok(answer);
            };
            let to = address::origin(&target).map_err(|_| Trouble::NotHttp)?;
            if address::origin(&url).as_ref() != Ok(&to) {
                return Err(Trouble::Redirected(to));
            }
            url = target;
        }
        Err(Trouble::Circle)
    }

    fn ask_once(&mut self, ask: &Ask<'_>, url: &str) -> Result<Answer, Trouble> {
        if !address::origin(url).is_ok_and(|origin| self.origins.contains(&origin)) {
            return Err(Trouble::Elsewhere);
        }
        let remaining = self.ends.saturating_duration_since(Instant::now());
        let allowance = self.timeout.min(remaining);
        if self.requests >= REQUESTS_MAX || self.bytes >= TOTAL_BYTES_MAX || remaining.is_zero() {
            return Err(Trouble::Spent);
        }
        self.requests += 1;
        let mut request = Request::builder().method(ask.method).uri(url);
        for (name, value) in &ask.headers {
            request = request.header(*name, value);
        }
        for (name, value) in self.secrets.iter().filter(|_| !ask.is_anonymous) {
            request = request.header(name, value);
        }
        let begun = Instant::now();
        let sent = match ask.body {
            Some(body) => {
                let request = request.body(body).map_err(|_| Trouble::NotHttp)?;
                let request = self.agent.configure_request(request);
                self.agent
                    .run(request.timeout_global(Some(allowance)).build())
            }
            None => {
                let request = request.body(()).map_err(|_| Trouble::NotHttp)?;
                let request = self.agent.configure_request(request);
                self.agent
                    .run(request.timeout_global(Some(allowance)).build())
            }
        };
        let response = sent.map_err(|error| trouble(error, allowance))?;
        let first_byte = begun.elapsed();
        let (head, body) = response.into_parts();
        let is_last = header(&head.headers, "connection")
            .is_some_and(|value| value.to_ascii_lowercase().contains("close"));
        let mut answer = Answer {
            status: head.status.as_u16(),
            closes: is_last || head.version == ureq::http::Version::HTTP_10,
            headers: head.headers,
            first_byte,
            ..Answer::default()
        };
        let coding = header(&answer.headers, "content-encoding").unwrap_or("identity");
        let is_gzip = coding.eq_ignore_ascii_case("gzip");
        let is_known = is_gzip || coding.eq_ignore_ascii_case("identity");
        let mut reader = body.into_reader();
        let (bytes, ending) = read(&mut reader, ask.bytes_max);
        self.bytes += bytes.len() as u64;
        (answer.body, answer.ending) = match ending {
            _ if !is_known => (bytes, Ending::Coded),
            ending if is_gzip && !bytes.is_empty() => inflate(&bytes, ask.bytes_max, ending),
            ending => (bytes, ending),
        };
        answer.total = begun.elapsed();
        Ok(answer)
    }
}

/// The value of a header, when it is text.
pub(super) fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn read(reader: &mut dyn Read, bytes_max: u64) -> (Vec<u8>, Ending) {
    let mut body = Vec::new();
    let mut piece = vec![0; PIECE];
    loop {
        match reader.read(&mut piece) {
            Ok(0) => return (body, Ending::Whole),
            Ok(count) => {
                body.extend_from_slice(&piece[..count]);
                if body.len() as u64 > bytes_max {
                    return (body, Ending::Enough);
                }
            }
            Err(error) if is_timeout(&error) => return (body, Ending::Late),
            Err(_) => return (body, Ending::Broken),
        }
    }
}

/// What was compressed, as far as it goes.
fn inflate(bytes: &[u8], bytes_max: u64, ending: Ending) -> (Vec<u8>, Ending) {
    let (body, inflated) = read(&mut MultiGzDecoder::new(bytes), bytes_max);
    match (ending, inflated) {
        // A body that was not read to its end does not inflate to its end.
        (Ending::Whole, inflated) => (body, inflated),
        (ending, _) => (body, ending),
    }
}

fn is_timeout(error: &std::io::Error) -> bool {
    let inner = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<ureq::Error>());
    error.kind() == std::io::ErrorKind::TimedOut || matches!(inner, Some(ureq::Error::Timeout(_)))
}

fn trouble(error: ureq::Error, allowance: Duration) -> Trouble {
    match error {
        ureq::Error::HostNotFound => Trouble::UnknownHost,
        ureq::Error::Timeout(_) => Trouble::Late(allowance),
        ureq::Error::Tls(text) => Trouble::Tls(text.into()),
        ureq::Error::Rustls(error) => Trouble::Tls(error.to_string()),
        ureq::Error::Io(error) if is_timeout(&error) => Trouble::Late(allowance),
        // Certificates that are not trusted come wrapped, in words of rustls.
        ureq::Error::Io(error) if error.kind() == std::io::ErrorKind::InvalidData => {
            Trouble::Tls(error.to_string())
        }
        ureq::Error::Io(error) => Trouble::Unreachable(error.kind().to_string()),
        ureq::Error::ConnectionFailed => Trouble::Unreachable("connection failed".into()),
        ureq::Error::InvalidProxyUrl | ureq::Error::ConnectProxyFailed(_) => {
            Trouble::Unreachable("the proxy of the environment does not serve".into())
        }
        _ => Trouble::NotHttp,
    }
}

fn is_loopback(origin: &str) -> bool {
    let host = origin.split("://").nth(1).unwrap_or_default();
    host.starts_with("127.") || host.starts_with("localhost") || host.starts_with("[::1]")
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn a_body_is_read_to_its_limit_and_not_beyond() {
        let endless = &mut std::io::repeat(7);
        let (body, ending) = read(endless, 100_000);
        assert_eq!(ending, Ending::Enough);
        assert!(body.len() <= 100_000 + PIECE);
        assert_eq!(read(&mut &b"abc"[..], 3), (b"abc".to_vec(), Ending::Whole));
    }

    #[test]
    fn a_bomb_is_inflated_to_the_limit_and_a_torn_stream_is_seen() {
        let bomb = gzip(&vec![0; 10 << 20]);
        assert!(bomb.len() < 20_000);
        let (body, ending) = inflate(&bomb, 1 << 20, Ending::Whole);
        assert_eq!(ending, Ending::Enough);
        assert!(body.len() <= (1 << 20) + PIECE);
        let whole = gzip(b"metadata");
        assert_eq!(
            inflate(&whole, 100, Ending::Whole),
            (b"metadata".to_vec(), Ending::Whole)
        );
        let torn = &whole[..whole.len() - 6];
        assert_eq!(inflate(torn, 100, Ending::Whole).1, Ending::Broken);
    }

    #[test]
    fn only_the_origins_that_were_named_are_asked() {
        let mut client = Client::new(
            vec!["http://127.0.0.1:9".into()],
            Vec::new(),
            Duration::from_secs(1),
        );
        let ask = Ask {
            method: "GET",
            url: "http://127.0.0.1:10/x",
            headers: Vec::new(),
            body: None,
            is_anonymous: false,
            bytes_max: 1,
        };
        assert_eq!(client.ask(&ask).unwrap_err(), Trouble::Elsewhere);
        assert_eq!(client.requests(), 0);
    }
}
