//! A place for bytes of which an object is going to be made, when they come before it can be written
//! in order (bulk data of STOW-RS, decoded pictures): in memory up to `ingest.buffer_bytes_max`,
//! beyond it in a staging file, which goes when this is dropped, or at the next start.

use std::io::{self, Read, Seek, SeekFrom};
use std::sync::Arc;

use crate::access::Stay;
use crate::archive::blob::Staged;
use crate::archive::ingest::ROOM_CHECK_BYTES;
use crate::archive::share::Share;
use crate::archive::{Error, Gate, Inner};

/// See the module. What is written is appended, and can be read again at once.
pub struct Scratch {
    archive: Arc<Inner>,
    held: Held,
    bytes: u64,
    next_room_check: u64,
    share: Share,
}

enum Held {
    Memory(Vec<u8>),
    Staged(Box<dyn Staged>),
}

impl Scratch {
    pub(super) fn begin(archive: Arc<Inner>, gate: Option<Gate>) -> Result<Self, Error> {
        archive.check_room()?;
        Ok(Self {
            archive,
            held: Held::Memory(Vec::new()),
            bytes: 0,
            next_room_check: ROOM_CHECK_BYTES,
            share: Share::new(gate, Stay::Passing),
        })
    }

    /// How many bytes have been written: where the next one goes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Appends.
    ///
    /// # Errors
    /// [`Error::Full`], what the gate says, or when the shelf fails.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.share.add(bytes.len())?;
        let end = self.bytes.saturating_add(bytes.len() as u64);
        if end > self.next_room_check {
            self.archive.check_room()?;
            self.next_room_check = end.saturating_add(ROOM_CHECK_BYTES);
        }
        match &mut self.held {
            Held::Memory(held) if end <= self.archive.settings.buffer_bytes_max as u64 => {
                held.extend_from_slice(bytes);
            }
            Held::Memory(held) => {
                let mut staged = self.archive.blobs.stage()?;
                staged.write(held)?;
                staged.write(bytes)?;
                self.held = Held::Staged(staged);
            }
            Held::Staged(staged) => staged.write(bytes)?,
        }
        self.bytes = end;
        Ok(())
    }

    /// Fills `buffer` from `offset`.
    ///
    /// # Errors
    /// When that is outside of what was written.
    pub fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), Error> {
        match &self.held {
            Held::Staged(staged) => staged.read_at(offset, buffer),
            Held::Memory(held) => {
                let held = usize::try_from(offset)
                    .ok()
                    .and_then(|start| held.get(start..)?.get(..buffer.len()))
                    .ok_or_else(|| Error::broken("reading scratch", "outside of it"))?;
                buffer.copy_from_slice(held);
                Ok(())
            }
        }
    }

    /// Forgets everything and gives the space back.
    pub fn clear(&mut self) {
        self.held = Held::Memory(Vec::new());
        (self.bytes, self.next_room_check) = (0, ROOM_CHECK_BYTES);
        self.share.clear();
    }

    /// A stretch of it as a stream.
    #[must_use]
    pub fn reader(&self, offset: u64, length: u64) -> ScratchReader<'_> {
        ScratchReader {
            scratch: self,
            offset,
            length,
            at: 0,
        }
    }
}

/// Reads a stretch of a [`Scratch`].
pub struct ScratchReader<'a> {
    scratch: &'a Scratch,
    offset: u64,
    length: u64,
    at: u64,
}

impl Read for ScratchReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.length.saturating_sub(self.at);
        let count = buffer
            .len()
            .min(usize::try_from(left).unwrap_or(usize::MAX));
        let from = self.offset.saturating_add(self.at);
        self.scratch
            .read_at(from, &mut buffer[..count])
            .map_err(io::Error::other)?;
        self.at += count as u64;
        Ok(count)
    }
}

impl Seek for ScratchReader<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
            SeekFrom::End(by) => self.length.checked_add_signed(by),
        };
        self.at = at.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        Ok(self.at)
    }
}
