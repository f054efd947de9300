//! One conversation with a mail server (RFC 5321): greeted, TLS begun, signed in, one mail handed in. Replies are read to a
//! limit, before TLS too, where anybody on the way may write them; and all of it has a time.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};

/// The longest times that a server may take.
const TIMES: Times = Times {
    reply: Duration::from_secs(20),
    all: Duration::from_secs(60),
    taken: Duration::from_secs(600),
};
/// The longest line of a reply; the standard has 512 (§4.5.3.1.5). Bytes.
const LINE_BYTES_MAX: usize = 2048;
/// The most lines of a reply.
const LINES_MAX: usize = 100;
/// So many addresses of a name are tried.
const ADDRESSES_MAX: usize = 4;

/// How long a server may take.
#[derive(Debug, Clone, Copy)]
struct Times {
    /// For the connection, for each line of a reply, and to take what is written.
    reply: Duration,
    /// For everything until the mail is written.
    all: Duration,
    /// To say that it has taken the mail, which it may look through before (§4.5.3.2.6).
    taken: Duration,
}

/// Why a mail was not handed in.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The server says so at this step, by this code.
    Said(Step, u16),
    /// It says nothing in time.
    Late,
    /// The same when it has the whole mail: nobody knows whether it keeps it.
    Undecided,
    /// It does not offer what is needed.
    Lacks(&'static str),
    /// What came is no SMTP.
    Nonsense,
    /// The connection, or TLS in it.
    Lost(io::Error),
}

/// What the server was asked when it said no.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// To hear us at all, before it knows whom a mail is for.
    Us,
    /// To take a mail for this recipient (RCPT TO).
    Recipient,
    /// To take this mail (DATA, and its end).
    Mail,
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            ErrorKind::TimedOut | ErrorKind::WouldBlock => Self::Late,
            _ => Self::Lost(error),
        }
    }
}

/// A socket of which nobody waits longer than until a moment. TLS above it reads and writes as often as it likes for one
/// read of ours, each of which a peer could draw out for as long as one may take.
struct Timed {
    socket: TcpStream,
    until: Instant,
}

impl Read for Timed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.socket.set_read_timeout(Some(left(self.until)?))?;
        self.socket.read(buffer)
    }
}

impl Write for Timed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.socket.set_write_timeout(Some(left(self.until)?))?;
        self.socket.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.socket.flush()
    }
}

enum Stream {
    Plain(Timed),
    Tls(Box<StreamOwned<ClientConnection, Timed>>),
    /// While one becomes the other.
    Neither,
}

impl Stream {
    fn timed(&mut self) -> io::Result<&mut Timed> {
        match self {
            Self::Plain(timed) => Ok(timed),
            Self::Tls(stream) => Ok(&mut stream.sock),
            Self::Neither => Err(ErrorKind::NotConnected.into()),
        }
    }
}

/// What an EHLO has told that matters.
#[derive(Debug, Default)]
struct Offered {
    starttls: bool,
    plain: bool,
    login: bool,
}

/// A conversation that has begun.
pub(super) struct Conversation {
    stream: Stream,
    /// What was read and not looked at.
    read: Vec<u8>,
    times: Times,
    until: Instant,
    step: Step,
    offered: Offered,
}

impl Conversation {
    /// Connects; with `tls` from the start, before anything is said.
    pub(super) fn begin(
        host: &str,
        port: u16,
        tls: Option<&Arc<ClientConfig>>,
    ) -> Result<Self, Trouble> {
        Self::begin_within(&TIMES, host, port, tls)
    }

    fn begin_within(
        times: &Times,
        host: &str,
        port: u16,
        tls: Option<&Arc<ClientConfig>>,
    ) -> Result<Self, Trouble> {
        let until = Instant::now() + times.all;
        let socket = connect(host, port, times, until)?;
        let mut conversation = Self {
            stream: Stream::Plain(Timed { socket, until }),
            read: Vec::new(),
            times: *times,
            until,
            step: Step::Us,
            offered: Offered::default(),
        };
        if let Some(config) = tls {
            conversation.encrypt(host, config)?;
        }
        conversation.expect(220)?;
        conversation.hello()?;
        Ok(conversation)
    }

    /// Begins TLS. What was said before it counts no more.
    pub(super) fn start_tls(
        &mut self,
        host: &str,
        config: &Arc<ClientConfig>,
    ) -> Result<(), Trouble> {
        if !self.offered.starttls {
            return Err(Trouble::Lacks("STARTTLS"));
        }
        self.command("STARTTLS", 220)?;
        // Whoever is on the way could have written on, to be heard as if it had come by TLS.
        if !self.read.is_empty() {
            return Err(Trouble::Nonsense);
        }
        self.encrypt(host, config)?;
        self.hello()
    }

    /// Signs in (RFC 4954): PLAIN, else LOGIN.
    pub(super) fn sign_in(&mut self, user: &str, passcode: &str) -> Result<(), Trouble> {
        if self.offered.plain {
            let said = STANDARD.encode(format!("\0{user}\0{passcode}"));
            return self.command(&format!("AUTH PLAIN {said}"), 235);
        }
        if !self.offered.login {
            return Err(Trouble::Lacks("a way to sign in (PLAIN or LOGIN)"));
        }
        self.command("AUTH LOGIN", 334)?;
        self.command(&STANDARD.encode(user), 334)?;
        self.command(&STANDARD.encode(passcode), 235)
    }

    /// Hands in a mail. On return the server has taken it upon itself.
    pub(super) fn hand_in(&mut self, from: &str, to: &str, mail: &[u8]) -> Result<(), Trouble> {
        self.command(&format!("MAIL FROM:<{from}>"), 250)?;
        self.step = Step::Recipient;
        self.command(&format!("RCPT TO:<{to}>"), 250)?;
        self.step = Step::Mail;
        self.command("DATA", 354)?;
        self.write(&stuffed(mail))?;
        self.times.reply = self.times.taken;
        self.until = Instant::now() + self.times.taken;
        self.expect(250).map_err(|trouble| match trouble {
            Trouble::Late => Trouble::Undecided,
            other => other,
        })?;
        // Whether it hears that we go is nothing to wait for.
        let _ = self.write(b"QUIT\r\n");
        Ok(())
    }

    fn encrypt(&mut self, host: &str, config: &Arc<ClientConfig>) -> Result<(), Trouble> {
        let name = ServerName::try_from(host.to_owned()).map_err(|_| Trouble::Lacks("a name"))?;
        let connection = ClientConnection::new(config.clone(), name).map_err(io::Error::other)?;
        let Stream::Plain(socket) = std::mem::replace(&mut self.stream, Stream::Neither) else {
            return Err(Trouble::Nonsense);
        };
        self.stream = Stream::Tls(Box::new(StreamOwned::new(connection, socket)));
        Ok(())
    }

    fn hello(&mut self) -> Result<(), Trouble> {
        // An address is a name that everybody has (§4.1.3).
        let name = match self
            .stream
            .timed()?
            .socket
            .local_addr()?
            .ip()
            .to_canonical()
        {
            std::net::IpAddr::V4(ip) => format!("[{ip}]"),
            std::net::IpAddr::V6(ip) => format!("[IPv6:{ip}]"),
        };
        self.write(format!("EHLO {name}\r\n").as_bytes())?;
        let lines = self.expect(250)?;
        self.offered = Offered::default();
        for line in lines.iter().skip(1) {
            let line = line.to_ascii_uppercase();
            let mut words = line.split([' ', '=']);
            match words.next() {
                Some("STARTTLS") => self.offered.starttls = true,
                Some("AUTH") => {
                    let ways: Vec<_> = words.collect();
                    self.offered.plain |= ways.contains(&"PLAIN");
                    self.offered.login |= ways.contains(&"LOGIN");
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn command(&mut self, command: &str, code: u16) -> Result<(), Trouble> {
        self.write(format!("{command}\r\n").as_bytes())?;
        self.expect(code).map(|_| ())
    }

    /// The lines of a reply that has this code, or another one of success where that is wanted.
    fn expect(&mut self, wanted: u16) -> Result<Vec<String>, Trouble> {
        let mut lines = Vec::new();
        loop {
            let line = self.line()?;
            let code = line.get(..3).and_then(|code| code.parse::<u16>().ok());
            let code = code.filter(|code| (200..600).contains(code));
            let code = code.ok_or(Trouble::Nonsense)?;
            let is_last = match line.as_bytes().get(3) {
                None | Some(b' ') => true,
                Some(b'-') => false,
                Some(_) => return Err(Trouble::Nonsense),
            };
            lines.push(line.get(4..).unwrap_or_default().to_owned());
            if is_last {
                return match code / 100 == wanted / 100 {
                    true => Ok(lines),
                    false => Err(Trouble::Said(self.step, code)),
                };
            }
            if lines.len() == LINES_MAX {
                return Err(Trouble::Nonsense);
            }
        }
    }

    fn line(&mut self) -> Result<String, Trouble> {
        self.stream.timed()?.until = self.soon();
        loop {
            if let Some(end) = memchr::memchr(b'\n', &self.read) {
                let line: Vec<u8> = self.read.drain(..=end).collect();
                let line = String::from_utf8_lossy(&line);
                return Ok(line.trim_end_matches(['\r', '\n']).to_owned());
            }
            if self.read.len() > LINE_BYTES_MAX {
                return Err(Trouble::Nonsense);
            }
            let mut piece = [0; 512];
            let count = match &mut self.stream {
                Stream::Plain(timed) => timed.read(&mut piece)?,
                Stream::Tls(stream) => stream.read(&mut piece)?,
                Stream::Neither => 0,
            };
            if count == 0 {
                return Err(Trouble::Lost(ErrorKind::UnexpectedEof.into()));
            }
            self.read.extend_from_slice(&piece[..count]);
        }
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Trouble> {
        // TLS reads too before it writes for the first time.
        self.stream.timed()?.until = self.soon();
        match &mut self.stream {
            Stream::Plain(timed) => timed.write_all(bytes)?,
            Stream::Tls(stream) => stream.write_all(bytes).and_then(|()| stream.flush())?,
            Stream::Neither => return Err(Trouble::Nonsense),
        }
        Ok(())
    }

    /// When the server is late with what it does next.
    fn soon(&self) -> Instant {
        self.until.min(Instant::now() + self.times.reply)
    }
}

/// What is left of a time; too late is an error.
fn left(until: Instant) -> io::Result<Duration> {
    let left = until.saturating_duration_since(Instant::now());
    match left.is_zero() {
        true => Err(ErrorKind::TimedOut.into()),
        false => Ok(left),
    }
}

fn connect(host: &str, port: u16, times: &Times, until: Instant) -> Result<TcpStream, Trouble> {
    let addresses: Vec<SocketAddr> = (host, port)
        .to_socket_addrs()?
        .take(ADDRESSES_MAX)
        .collect();
    let mut last = Trouble::Lost(ErrorKind::NotFound.into());
    for address in addresses {
        match TcpStream::connect_timeout(&address, left(until)?.min(times.reply)) {
            Ok(socket) => return Ok(socket),
            Err(error) => last = error.into(),
        }
    }
    Err(last)
}

/// A mail as DATA wants it (§4.5.2): a further full stop where a line begins with one, and one alone at the end.
fn stuffed(mail: &[u8]) -> Vec<u8> {
    let mut stuffed = Vec::with_capacity(mail.len() + 64);
    for line in mail.split_inclusive(|b| *b == b'\n') {
        if line.starts_with(b".") {
            stuffed.push(b'.');
        }
        stuffed.extend_from_slice(line);
    }
    if !stuffed.ends_with(b"\r\n") {
        stuffed.extend_from_slice(b"\r\n");
    }
    stuffed.extend_from_slice(b".\r\n");
    stuffed
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    /// What comes of a conversation with a server that says this, whatever it hears, and then reads on.
    fn met(said: &'static [u8]) -> (Result<(), Trouble>, Vec<u8>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = thread::spawn(move || {
            let (mut socket, _) = listener.accept().unwrap();
            // Who does not want to hear more closes.
            let _ = socket.write_all(said);
            let _ = socket.shutdown(std::net::Shutdown::Write);
            let mut heard = Vec::new();
            let _ = socket.read_to_end(&mut heard);
            heard
        });
        let meet = || {
            let mut conversation = Conversation::begin("127.0.0.1", port, None)?;
            conversation.sign_in("me", "pw")?;
            conversation.hand_in("a@example.org", "b@example.org", b"x\r\n.y\r\n")
        };
        let done = meet();
        (done, server.join().unwrap())
    }

    #[test]
    fn a_mail_is_handed_in() {
        let said = b"220 here\r\n250-hello\r\n250-SIZE 1\r\n250 AUTH LOGIN PLAIN\r\n235 in\r\n250 ok\r\n250 ok\r\n354 go\r\n250 taken\r\n";
        let (done, heard) = met(said);
        assert!(done.is_ok(), "{done:?}");
        let expected = "EHLO [127.0.0.1]\r\nAUTH PLAIN AG1lAHB3\r\nMAIL FROM:<a@example.org>\r\nRCPT TO:<b@example.org>\r\n\
                        DATA\r\nx\r\n..y\r\n.\r\nQUIT\r\n";
        assert_eq!(String::from_utf8(heard).unwrap(), expected);
        let (done, heard) = met(
            b"220 a\n250-b\n250 AUTH=LOGIN\n334 u\n334 p\n235 in\n250 c\n250 d\n354 e\n250 f\n",
        );
        assert!(done.is_ok(), "{done:?}");
        assert!(
            String::from_utf8(heard)
                .unwrap()
                .contains("\r\nAUTH LOGIN\r\nbWU=\r\ncHc=\r\n")
        );
    }

    #[test]
    fn what_is_refused_has_its_code() {
        let begun = "220 a\r\n250-b\r\n250 AUTH PLAIN\r\n";
        for (said, step, code) in [
            ("554 no\r\n", Step::Us, 554),
            ("220 a\r\n421 b\r\n", Step::Us, 421),
            ("220 a\r\n550 b\r\n", Step::Us, 550),
            ("220 a\r\n250 AUTH PLAIN\r\n", Step::Us, 0),
            ("{begun}535 no\r\n", Step::Us, 535),
            ("{begun}235 in\r\n553 c\r\n", Step::Us, 553),
            (
                "{begun}235 in\r\n250 c\r\n550-d\r\n550 e\r\n",
                Step::Recipient,
                550,
            ),
            (
                "{begun}235 in\r\n250 c\r\n250 d\r\n550 e\r\n",
                Step::Mail,
                550,
            ),
            (
                "{begun}235 in\r\n250 c\r\n250 d\r\n354 e\r\n550 f\r\n",
                Step::Mail,
                550,
            ),
        ] {
            let said = said.replace("{begun}", begun).into_bytes().leak();
            match met(said).0 {
                Err(Trouble::Said(at, said)) => assert_eq!((at, said), (step, code)),
                // The first line of an EHLO is a greeting and offers nothing.
                Err(Trouble::Lacks(_)) => assert_eq!(code, 0),
                other => panic!("{code}: {other:?}"),
            }
        }
    }

    /// Far more than a server may take, far less than it would take here.
    const LATE: Duration = Duration::from_secs(5);
    const SHORT: Times = Times {
        reply: Duration::from_millis(500),
        all: Duration::from_millis(800),
        taken: Duration::from_millis(1600),
    };

    /// What a server does for [`LATE`] twice over, unless the other side goes before.
    fn serving(work: impl Fn(&mut TcpStream) -> io::Result<()> + Send + 'static) -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        thread::spawn(move || {
            let (mut socket, _) = listener.accept().unwrap();
            let end = Instant::now() + 2 * LATE;
            while Instant::now() < end && work(&mut socket).is_ok() {
                thread::sleep(Duration::from_millis(50));
            }
        });
        port
    }

    #[test]
    fn who_dribbles_is_late_whatever_lies_in_between() {
        let tls = super::super::tls(None).unwrap();
        // The head of a TLS record of 16 KiB, a handshake, or lines without end.
        let cases = [
            (Some(&tls), &[0x16, 3, 3, 0x40, 0][..], 0_u8),
            (None, b"220-a", b'a'),
            (None, b"220-a\r\n220-b\r\n220-c\r\n", b'\n'),
        ];
        for (tls, first, then) in cases {
            let first = std::sync::Mutex::new(first.iter());
            let port = serving(move |socket| {
                let next = first.lock().unwrap().next().copied();
                socket.write_all(&[next.unwrap_or(then)])
            });
            let begun = Instant::now();
            let done = Conversation::begin_within(&SHORT, "127.0.0.1", port, tls).map(|_| ());
            assert!(matches!(done, Err(Trouble::Late)), "{done:?}");
            assert!(begun.elapsed() < LATE, "{:?}", begun.elapsed());
        }
    }

    /// A server that has the whole mail looks through it for as long as it likes.
    #[test]
    fn who_has_the_mail_may_take_longer_and_then_nobody_knows() {
        for (wait, is_taken) in [(Duration::from_millis(1000), true), (LATE, false)] {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let port = listener.local_addr().unwrap().port();
            let server = thread::spawn(move || {
                let (mut socket, _) = listener.accept().unwrap();
                socket.write_all(b"220 a\r\n").unwrap();
                let mut heard = Vec::new();
                let mut replies =
                    [&b"250 b\r\n"[..], b"250 c\r\n", b"250 d\r\n", b"354 e\r\n"].into_iter();
                let mut buffer = [0; 1024];
                while !heard.ends_with(b"\r\n.\r\n") {
                    let length = socket.read(&mut buffer).unwrap();
                    heard.extend(&buffer[..length]);
                    if let Some(reply) = replies.next() {
                        socket.write_all(reply).unwrap();
                    }
                }
                // Until the other side has gone, or it is time.
                socket.set_read_timeout(Some(wait)).unwrap();
                let _ = socket.read(&mut buffer);
                let _ = socket.write_all(b"250 taken\r\n");
            });
            let mut conversation =
                Conversation::begin_within(&SHORT, "127.0.0.1", port, None).unwrap();
            let done =
                conversation.hand_in("a@b.example", "c@d.example", b"Subject: x\r\n\r\ny\r\n");
            match is_taken {
                true => assert!(done.is_ok(), "{done:?}"),
                false => assert!(matches!(done, Err(Trouble::Undecided)), "{done:?}"),
            }
            drop(conversation);
            server.join().unwrap();
        }
    }

    #[test]
    fn who_takes_little_at_a_time_is_late_too() {
        let port = serving(|socket| socket.read(&mut [0; 64 << 10]).map(|_| ()));
        let begun = Instant::now();
        let until = begun + SHORT.all;
        let socket = connect("127.0.0.1", port, &SHORT, until).unwrap();
        // More than systems keep for a socket, and than is taken in that time.
        let written = Timed { socket, until }.write_all(&vec![b'x'; 64 << 20]);
        let trouble = Trouble::from(written.unwrap_err());
        assert!(matches!(trouble, Trouble::Late), "{trouble:?}");
        assert!(begun.elapsed() < LATE, "{:?}", begun.elapsed());
    }

    #[test]
    fn what_has_no_end_is_not_read_on() {
        let endless: &'static [u8] = vec![b'2'; 8 << 20].leak();
        let lines: &'static [u8] = b"220-a\r\n".repeat(100_000).leak();
        for said in [
            endless,
            lines,
            b"hello\r\n",
            b"999 a\r\n",
            b"220_a\r\n",
            b"\xff\xff\xff\xff\n",
            b"22\n",
        ] {
            let (done, _) = met(said);
            assert!(matches!(done, Err(Trouble::Nonsense)), "{done:?}");
        }
        for said in [&b""[..], b"220 a", b"220 a\r\n250-b\r\n"] {
            let (done, _) = met(said);
            assert!(matches!(done, Err(Trouble::Lost(_))), "{done:?}");
        }
    }

    #[test]
    fn nothing_is_heard_before_tls_as_if_it_came_by_it() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = thread::spawn(move || {
            let (mut socket, _) = listener.accept().unwrap();
            let said = b"220 a\r\n250-b\r\n250 STARTTLS\r\n220 go\r\n250-b\r\n250 AUTH PLAIN\r\n";
            socket.write_all(said).unwrap();
            let mut heard = Vec::new();
            let _ = socket.read_to_end(&mut heard);
            heard
        });
        let config = super::super::tls(None).unwrap();
        let mut conversation = Conversation::begin("127.0.0.1", port, None).unwrap();
        let begun = conversation.start_tls("127.0.0.1", &config);
        assert!(matches!(begun, Err(Trouble::Nonsense)), "{begun:?}");
        drop(conversation);
        assert_eq!(server.join().unwrap(), b"EHLO [127.0.0.1]\r\nSTARTTLS\r\n");
    }
}
