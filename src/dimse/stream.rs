//! The connection below an association (PS3.8 §9.1): bytes in order, with an end to every wait. Who
//! reads and writes an association knows no more of it.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

/// A connection. One thread reads and writes; any thread may shut it down meanwhile.
pub(crate) struct Stream {
    tcp: TcpStream,
}

impl Stream {
    /// A connection as TCP gives it.
    pub(crate) fn plain(tcp: TcpStream) -> Self {
        Self { tcp }
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

    /// One read that ends before `deadline`.
    pub(crate) fn read_before(&self, buffer: &mut [u8], deadline: Instant) -> io::Result<usize> {
        self.set_read_timeout(Some(left(deadline)?))?;
        self.acknowledge();
        (&mut &*self).read(buffer)
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
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Writes all of `bytes`; gives up when the peer takes none for as long as a write may wait, or
    /// has not taken all by `deadline`.
    pub(crate) fn write_before(&self, mut bytes: &[u8], deadline: Instant) -> io::Result<()> {
        while !bytes.is_empty() {
            match (&mut &*self).write(bytes) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(written) => bytes = &bytes[written..],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
            if !bytes.is_empty() {
                left(deadline)?;
            }
        }
        Ok(())
    }

    /// Says that nothing more will be written.
    pub(crate) fn finish(&self) -> io::Result<()> {
        self.tcp.shutdown(Shutdown::Write)
    }

    /// Ends the connection from outside: reads and writes that wait return.
    pub(crate) fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.tcp.shutdown(how)
    }
}

impl Read for &Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        (&self.tcp).read(buffer)
    }
}

impl Write for &Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        (&self.tcp).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The time until `deadline`, which is not over.
fn left(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Err(io::ErrorKind::TimedOut.into());
    }
    Ok(left)
}
