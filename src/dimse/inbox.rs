//! What a peer has sent on an established association, piece by piece: read when there is nothing
//! better to do, or looked at in passing while an answer of many parts goes out.

use std::io::{self, Read};
use std::time::Duration;

use crate::dimse::association::End;
use crate::dimse::listener::{Connection, House};
use crate::dimse::pdu::{Framer, Piece, Violation};

/// One read from the socket. Memory is touched only as far as the peer fills it.
const READ_BYTES: usize = 256 * 1024;

/// The receiving half of an association.
pub(crate) struct Inbox<'c> {
    house: &'c House,
    connection: &'c Connection,
    framer: Framer,
    buffer: Vec<u8>,
    /// What of the buffer has been read and not yet given.
    begin: usize,
    end: usize,
}

impl<'c> Inbox<'c> {
    pub(crate) fn new(house: &'c House, connection: &'c Connection) -> Self {
        Self {
            house,
            connection,
            framer: Framer::new(house.settings.max_pdu_bytes),
            buffer: vec![0; READ_BYTES],
            begin: 0,
            end: 0,
        }
    }

    /// The next piece of what has been read; `None` when all has been given.
    pub(crate) fn piece(&mut self) -> Result<Option<Piece<'_>>, Violation> {
        let mut bytes = &self.buffer[self.begin..self.end];
        let piece = self.framer.next(&mut bytes)?;
        self.begin = self.end - bytes.len();
        Ok(piece)
    }

    /// Waits for more, once all pieces have been taken.
    pub(crate) fn wait(&mut self) -> Result<(), End> {
        loop {
            match self.read() {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
                Ok(0) => return Err(self.closed()),
                Ok(_) => return Ok(()),
            }
        }
    }

    /// The same for a while; whether anything came.
    pub(crate) fn wait_for(&mut self, patience: Duration) -> Result<bool, End> {
        let stream = &self.connection.stream;
        stream.set_read_timeout(Some(patience))?;
        let read = self.read();
        let idle_timeout = self.house.settings.idle_timeout;
        self.connection
            .stream
            .set_read_timeout(Some(idle_timeout))?;
        self.has_come(read)
    }

    /// Takes in what has arrived, once all pieces have been taken; whether anything has.
    pub(crate) fn look(&mut self) -> Result<bool, End> {
        self.connection.stream.set_nonblocking(true)?;
        let read = self.read();
        self.connection.stream.set_nonblocking(false)?;
        self.has_come(read)
    }

    fn has_come(&self, read: io::Result<usize>) -> Result<bool, End> {
        match read {
            Ok(0) => Err(self.closed()),
            Ok(_) => Ok(true),
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock
                | io::ErrorKind::TimedOut
                | io::ErrorKind::Interrupted => Ok(false),
                _ => Err(error.into()),
            },
        }
    }

    fn read(&mut self) -> io::Result<usize> {
        (self.begin, self.end) = (0, 0);
        self.connection.stream.acknowledge();
        self.end = (&self.connection.stream).read(&mut self.buffer)?;
        Ok(self.end)
    }

    fn closed(&self) -> End {
        // The listener closes our reading side when the server stops.
        if self.house.is_stopping() {
            End::Stopping
        } else {
            End::Closed
        }
    }
}
