//! The one way out (PS3.18 §10.4): from a [`Located`] row to bytes, with no parse in between.

use std::io::{self, Read};

use flate2::read::DeflateDecoder;

use crate::archive::{Archive, Error, Located, Locator};
use crate::dicom::frame_map::{Frame, Span, shifted};
use crate::dicom::transfer_syntax::{Form, TransferSyntax};

/// A frame longer than this is not assembled in memory; read it in parts with [`DatasetReader`].
/// Bytes.
pub const FRAME_BYTES_MAX: u64 = 64 << 20;

/// How much of a stored data set is read at a time where it is a stream. Bytes.
pub(super) const STORED_CHUNK_BYTES: usize = 256 << 10;

impl Archive {
    /// Fills `buffer` from `offset` of the instance's Part 10 file (`located.locator.length` bytes long).
    ///
    /// # Errors
    /// [`Error::NotFound`] when the instance was removed meanwhile.
    pub fn read_at(&self, located: &Located, offset: u64, buffer: &mut [u8]) -> Result<(), Error> {
        self.inner.blobs.read_at(&located.locator, offset, buffer)
    }

    /// Fills `buffer` from the beginning of a run, which is at least as long.
    ///
    /// # Errors
    /// As [`Archive::read_at`].
    pub fn read_run(&self, run: &Run, buffer: &mut [u8]) -> Result<(), Error> {
        self.inner.blobs.read_at(&run.locator, run.at, buffer)
    }

    /// The same as far as it takes no waiting; gives the number of bytes. May be called on an async
    /// thread.
    #[must_use]
    pub fn read_run_at_hand(&self, run: &Run, buffer: &mut [u8]) -> usize {
        self.inner.blobs.read_at_hand(&run.locator, run.at, buffer)
    }

    /// The instance's (inflated) data set, to be read in parts.
    #[must_use]
    pub fn dataset(&self, located: &Located) -> DatasetReader {
        let syntax = TransferSyntax::of_uid(located.transfer_syntax_uid.as_str());
        DatasetReader {
            stored: Stored::new(self, located.locator, located.dataset_offset.into()),
            is_deflated: syntax.is_some_and(|syntax| syntax.form == Form::Deflated),
            inflated: None,
        }
    }

    /// Frame `number` (from 1) as stored: fragments joined, item headers left out, one-bit frames
    /// shifted to a byte; values of big endian and deflated objects as they are encoded (inflated).
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no such frame, [`Error::TooLarge`] beyond [`FRAME_BYTES_MAX`].
    pub fn frame(&self, located: &Located, number: u32) -> Result<Vec<u8>, Error> {
        let frame = located.frames.frame(number).ok_or(Error::NotFound)?;
        if frame.length() > FRAME_BYTES_MAX {
            return Err(Error::TooLarge {
                limit: "bytes of a frame that is read whole",
                max: FRAME_BYTES_MAX,
            });
        }
        let mut whole = Vec::new();
        // At most FRAME_BYTES_MAX, so it fits.
        self.dataset(located)
            .append_frame(frame, 0, frame.length() as usize, &mut whole)?;
        Ok(whole)
    }
}

/// Bytes of a stored Part 10 file that leave as they lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    locator: Locator,
    at: u64,
    length: u64,
}

impl Run {
    /// Bytes of the instance's file; none beyond its end.
    #[must_use]
    pub fn of_file(located: &Located, at: u64, length: u64) -> Self {
        let left = located.locator.length.saturating_sub(at);
        Self {
            locator: located.locator,
            at,
            length: length.min(left),
        }
    }

    /// Bytes of the instance's data set, which is not deflated.
    #[must_use]
    pub fn of_dataset(located: &Located, span: Span) -> Self {
        let at = span.offset.saturating_add(located.dataset_offset.into());
        Self {
            locator: located.locator,
            at,
            length: span.length,
        }
    }

    /// The first of them, so many at most.
    #[must_use]
    pub fn limited_to(self, length: u64) -> Self {
        Self {
            length: self.length.min(length),
            ..self
        }
    }

    /// How many bytes they are.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Where in the file they end.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.at.saturating_add(self.length)
    }

    /// The first of them have been read.
    pub fn advance(&mut self, count: usize) {
        let count = (count as u64).min(self.length);
        self.at += count;
        self.length -= count;
    }
}

/// The (inflated) data set of one instance. A deflated one is inflated once by who reads it in
/// ascending order; each step back begins at the start again: slow, but bounded in memory.
pub struct DatasetReader {
    /// The stored data set, at its beginning.
    stored: Stored,
    is_deflated: bool,
    /// How far a deflated data set is inflated.
    inflated: Option<(u64, Box<DeflateDecoder<Stored>>)>,
}

impl DatasetReader {
    /// Fills `buffer` from `offset` of the data set.
    ///
    /// # Errors
    /// As [`Archive::read_at`].
    pub fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> Result<(), Error> {
        if !self.is_deflated {
            let start = self.stored.at.saturating_add(offset);
            let blobs = &self.stored.archive.inner.blobs;
            return blobs.read_at(&self.stored.locator, start, buffer);
        }
        let inflate_error = |cause| Error::broken("inflating a stored object", cause);
        // Taken out, so that what an error leaves behind is not read on.
        let (at, mut inflated) = match self.inflated.take() {
            Some(open) if open.0 <= offset => open,
            _ => (0, Box::new(DeflateDecoder::new(self.stored.clone()))),
        };
        let skip = offset - at;
        let skipped =
            io::copy(&mut inflated.by_ref().take(skip), &mut io::sink()).map_err(inflate_error)?;
        if skipped != skip {
            return Err(Error::broken(
                "inflating a stored object",
                "it ends too early",
            ));
        }
        inflated.read_exact(buffer).map_err(inflate_error)?;
        self.inflated = Some((offset.saturating_add(buffer.len() as u64), inflated));
        Ok(())
    }

    /// Appends `length` bytes of a frame, as [`Archive::frame`] gives it, from its byte `at`, to
    /// `out`; fewer when the frame ends there.
    ///
    /// # Errors
    /// As [`Archive::read_at`].
    pub fn append_frame(
        &mut self,
        frame: Frame<'_>,
        at: u64,
        length: usize,
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        match frame {
            Frame::Encapsulated(fragments) => self.append(fragments, at, length, out),
            Frame::Native {
                span,
                first_bit: 0,
                bits,
            } if bits % 8 == 0 => self.append(&[span], at, length, out),
            Frame::Native {
                span,
                first_bit,
                bits,
            } => {
                let left = bits.saturating_sub(at.saturating_mul(8));
                let wanted = left.min((length as u64).saturating_mul(8));
                let mut packed = Vec::new();
                // The last bits of the part may stand in one byte more.
                self.append(&[span], at, length.saturating_add(1), &mut packed)?;
                out.append(&mut shifted(&packed, first_bit, wanted));
                Ok(())
            }
        }
    }

    /// Appends `length` bytes, from byte `at` of the spans' bytes one after the other.
    fn append(
        &mut self,
        spans: &[Span],
        mut at: u64,
        mut length: usize,
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        for span in spans {
            if length == 0 {
                break;
            }
            if at >= span.length {
                at -= span.length;
                continue;
            }
            let part = usize::try_from(span.length - at).map_or(length, |left| left.min(length));
            let begin = out.len();
            out.resize(begin + part, 0);
            self.read_at(span.offset.saturating_add(at), &mut out[begin..])?;
            length -= part;
            at = 0;
        }
        Ok(())
    }
}

/// A blob as a stream, from its byte `at`.
#[derive(Clone)]
pub(super) struct Stored {
    archive: Archive,
    locator: Locator,
    pub(super) at: u64,
}

impl Stored {
    pub(super) fn new(archive: &Archive, locator: Locator, at: u64) -> Self {
        Self {
            archive: archive.clone(),
            locator,
            at,
        }
    }
}

impl Stored {
    /// What is left of it.
    pub(super) fn rest(&self) -> Run {
        Run {
            locator: self.locator,
            at: self.at,
            length: self.locator.length.saturating_sub(self.at),
        }
    }
}

impl Read for Stored {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.locator.length.saturating_sub(self.at);
        let length = buffer
            .len()
            .min(STORED_CHUNK_BYTES)
            .min(usize::try_from(left).unwrap_or(usize::MAX));
        self.archive
            .inner
            .blobs
            .read_at(&self.locator, self.at, &mut buffer[..length])
            .map_err(io::Error::other)?;
        self.at += length as u64;
        Ok(length)
    }
}
