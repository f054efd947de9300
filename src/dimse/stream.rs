//! The connection below an association (PS3.8 §9.1), plain or TLS: bytes in order, with an end to
//! every wait. Who reads and writes an association knows no more of it.
//!
//! TLS is rustls over the same blocking socket. A read that times out in the middle of a record
//! loses nothing: what has arrived waits in [`Session`]. A connection that ends without
//! close_notify has simply ended: DICOM has words of its own for parting (A-RELEASE), so nothing
//! can be cut off unnoticed.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, Connection, ServerConfig, ServerConnection};

/// One read from a socket below TLS: four records. Memory is touched only as far as the peer
/// fills it.
const READ_BYTES: usize = 64 * 1024;
/// How much of what is written waits, encrypted, for the socket: a PDU and its overhead, so that a
/// PDU stays one write.
const WRITE_BYTES_MAX: usize = 288 * 1024;
/// The most bytes that a peer may send before a handshake is done: certificates of 64 KiB, which
/// rustls allows, and the rest. Real ones take 2 to 8 KiB.
const HANDSHAKE_BYTES_MAX: usize = 128 * 1024;

/// A connection. One thread reads and writes; any thread may shut it down meanwhile.
pub(crate) struct Stream {
    tcp: TcpStream,
    /// Held only by the one thread that reads and writes.
    tls: Option<Mutex<Session>>,
}

impl Stream {
    /// A connection as TCP gives it.
    pub(crate) fn plain(tcp: TcpStream) -> Self {
        Self { tcp, tls: None }
    }

    /// One that a peer has opened to our TLS port.
    pub(crate) fn accepting(
        tcp: TcpStream,
        config: Arc<ServerConfig>,
    ) -> Result<Self, rustls::Error> {
        Ok(Self::secured(tcp, ServerConnection::new(config)?.into()))
    }

    /// One that we have opened to a peer whose certificate has to name it `name`.
    pub(crate) fn calling(
        tcp: TcpStream,
        config: Arc<ClientConfig>,
        name: ServerName<'static>,
    ) -> Result<Self, rustls::Error> {
        let connection = ClientConnection::new(config, name)?;
        Ok(Self::secured(tcp, connection.into()))
    }

    fn secured(tcp: TcpStream, mut connection: Connection) -> Self {
        connection.set_buffer_limit(Some(WRITE_BYTES_MAX));
        let session = Session {
            connection,
            buffer: vec![0; READ_BYTES],
            begin: 0,
            end: 0,
        };
        Self {
            tcp,
            tls: Some(Mutex::new(session)),
        }
    }

    /// Nobody waits for the lock: one thread reads and writes.
    fn session(&self) -> Option<MutexGuard<'_, Session>> {
        let tls = self.tls.as_ref()?;
        Some(tls.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Agrees on keys and certificates before `deadline`; nothing to do on a plain connection.
    pub(crate) fn shake_hands(&self, deadline: Instant) -> io::Result<()> {
        let Some(mut session) = self.session() else {
            return Ok(());
        };
        let mut heard = 0;
        loop {
            self.set_write_timeout(Some(left(deadline)?))?;
            session.flush(&self.tcp, Some(&mut || left(deadline).map(drop)))?;
            if !session.connection.is_handshaking() {
                return Ok(());
            }
            if session.begin == session.end {
                self.set_read_timeout(Some(left(deadline)?))?;
                heard += match session.hear(&self.tcp) {
                    Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                    Ok(read) => read,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                    Err(error) => return Err(error),
                };
                if heard > HANDSHAKE_BYTES_MAX {
                    return Err(io::Error::new(
                        io::ErrorKind::InvalidData,
                        "a TLS handshake without end",
                    ));
                }
            }
            session.digest(&self.tcp)?;
        }
    }

    /// Version and cipher suite that were agreed on.
    pub(crate) fn security(&self) -> Option<String> {
        let session = self.session()?;
        let version = session.connection.protocol_version()?;
        let suite = session.connection.negotiated_cipher_suite()?.suite();
        Some(format!("{version:?} {suite:?}"))
    }

    /// How long one read may wait.
    pub(crate) fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.tcp.set_read_timeout(timeout)
    }

    /// How long the peer may take no byte of what is written.
    pub(crate) fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.tcp.set_write_timeout(timeout)
    }

    /// Whether reads wait at all.
    pub(crate) fn set_nonblocking(&self, is_nonblocking: bool) -> io::Result<()> {
        self.tcp.set_nonblocking(is_nonblocking)
    }

    /// One read that ends before `deadline`, however slowly a TLS record dribbles in.
    pub(crate) fn read_before(&self, buffer: &mut [u8], deadline: Instant) -> io::Result<usize> {
        loop {
            self.set_read_timeout(Some(left(deadline)?))?;
            self.acknowledge();
            match (&mut &*self).read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => return read,
            }
        }
    }

    /// Acknowledges at once what was read. DCMTK writes a PDU in two pieces and its system keeps back
    /// the second until the first is acknowledged, which ours would do 40 ms later. Linux forgets it
    /// soon: it is said before each read.
    pub(crate) fn acknowledge(&self) {
        #[cfg(target_os = "linux")]
        {
            use std::os::linux::net::TcpStreamExt;
            // Without it everything takes its time, and works.
            let _ = self.tcp.set_quickack(true);
        }
    }

    /// Fills `buffer` before `deadline`.
    pub(crate) fn fill(&self, mut buffer: &mut [u8], deadline: Instant) -> io::Result<()> {
        while !buffer.is_empty() {
            match self.read_before(buffer, deadline) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(read) => buffer = &mut buffer[read..],
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Writes all of `bytes`. As long as the peer has not taken them, `patience` is asked, each time it
    /// takes some, or none for as long as a write may wait: its error is the end.
    pub(crate) fn write_with(&self, mut bytes: &[u8], patience: Patience<'_>) -> io::Result<()> {
        if let Some(mut session) = self.session() {
            return session.write(&self.tcp, bytes, Some(patience));
        }
        while !bytes.is_empty() {
            match (&self.tcp).write(bytes) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(written) => bytes = &bytes[written..],
                Err(error) if is_for_now(&error) => {}
                Err(error) => return Err(error),
            }
            if !bytes.is_empty() {
                patience()?;
            }
        }
        Ok(())
    }

    /// Says that nothing more will be written.
    pub(crate) fn finish(&self) -> io::Result<()> {
        if let Some(mut session) = self.session() {
            session.connection.send_close_notify();
            session.flush(&self.tcp, None)?;
        }
        self.tcp.shutdown(Shutdown::Write)
    }

    /// Ends the connection from outside: reads and writes that wait return.
    pub(crate) fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.tcp.shutdown(how)
    }
}

impl Read for &Stream {
    /// One read from the socket. With TLS it may bring no whole record: that is told as
    /// [`io::ErrorKind::Interrupted`].
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.session() {
            None => (&self.tcp).read(buffer),
            Some(mut session) => session.read(&self.tcp, buffer),
        }
    }
}

impl Write for &Stream {
    /// With TLS all of `bytes`, or an error after which the connection is of no more use.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some(mut session) = self.session() else {
            return (&self.tcp).write(bytes);
        };
        session.write(&self.tcp, bytes, None)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Stream {
    /// Many peers call it an error when a connection ends without close_notify. It is said if the
    /// socket takes it at once.
    fn drop(&mut self) {
        let Self { tcp, tls } = self;
        let Some(tls) = tls else { return };
        let session = tls.get_mut().unwrap_or_else(PoisonError::into_inner);
        if !session.connection.is_handshaking() && tcp.set_nonblocking(true).is_ok() {
            session.connection.send_close_notify();
            // Whoever has gone does not miss it.
            let _ = session.connection.write_tls(tcp);
        }
    }
}

/// Asked while a peer takes nothing: an error ends the wait.
pub(crate) type Patience<'a> = &'a mut dyn FnMut() -> io::Result<()>;

/// TLS over a socket.
struct Session {
    connection: Connection,
    /// What the socket gave: the bytes from `begin` to `end` are not looked at yet.
    buffer: Vec<u8>,
    begin: usize,
    end: usize,
}

impl Session {
    fn read(&mut self, tcp: &TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
        let mut has_heard = false;
        loop {
            match self.connection.reader().read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(0),
                read => return read,
            }
            if self.begin == self.end {
                if std::mem::replace(&mut has_heard, true) {
                    return Err(io::ErrorKind::Interrupted.into());
                }
                if self.hear(tcp)? == 0 {
                    return Ok(0);
                }
            }
            self.digest(tcp)?;
        }
    }

    /// One read from the socket, once all that was read before is digested.
    fn hear(&mut self, mut tcp: &TcpStream) -> io::Result<usize> {
        (self.begin, self.end) = (0, 0);
        self.end = tcp.read(&mut self.buffer)?;
        Ok(self.end)
    }

    /// Gives rustls a piece of what was read; it takes a few KiB at a time.
    fn digest(&mut self, tcp: &TcpStream) -> io::Result<()> {
        let mut rest = &self.buffer[self.begin..self.end];
        if rest.is_empty() {
            return Ok(());
        }
        let taken = self.connection.read_tls(&mut rest)?;
        if taken == 0 {
            // After close_notify nothing counts any more.
            (self.begin, self.end) = (0, 0);
            return Ok(());
        }
        self.begin += taken;
        let processed = self.connection.process_new_packets();
        if self.connection.wants_write() {
            // An alert, or the answer to a change of keys. What does not go now goes with what is
            // written next.
            match self.connection.write_tls(&mut &*tcp) {
                Ok(_) => {}
                Err(error) if is_for_now(&error) => {}
                Err(error) if processed.is_ok() => return Err(error),
                Err(_) => {}
            }
        }
        match processed {
            Ok(_) => Ok(()),
            Err(error) => Err(io::Error::new(io::ErrorKind::InvalidData, error)),
        }
    }

    /// Encrypts `bytes` and brings them to the socket, in as few writes as it takes.
    fn write(
        &mut self,
        tcp: &TcpStream,
        mut bytes: &[u8],
        mut patience: Option<Patience<'_>>,
    ) -> io::Result<()> {
        loop {
            let taken = self.connection.writer().write(bytes)?;
            if taken == 0 && !bytes.is_empty() {
                return Err(io::ErrorKind::WriteZero.into());
            }
            bytes = &bytes[taken..];
            match &mut patience {
                Some(patience) => self.flush(tcp, Some(&mut **patience))?,
                None => self.flush(tcp, None)?,
            }
            if bytes.is_empty() {
                return Ok(());
            }
        }
    }

    fn flush(&mut self, mut tcp: &TcpStream, mut patience: Option<Patience<'_>>) -> io::Result<()> {
        while self.connection.wants_write() {
            match self.connection.write_tls(&mut tcp) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if patience.is_some() && is_for_now(&error) => {}
                Err(error) => return Err(error),
            }
            if let Some(patience) = &mut patience
                && self.connection.wants_write()
            {
                patience()?;
            }
        }
        Ok(())
    }
}

fn is_for_now(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted
    )
}

/// The time until `deadline`, which is not over.
fn left(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Err(io::ErrorKind::TimedOut.into());
    }
    Ok(left)
}
