//! The one way out (PS3.18 §10.4): from a [`Located`] row to bytes, with no parse in between.

use std::io::{self, Read};

use flate2::read::DeflateDecoder;

use crate::archive::{Archive, Error, Located};
use crate::dicom::frame_map::{Frame, Span};
use crate::dicom::transfer_syntax::{Form, TransferSyntax};

/// A frame longer than this is not assembled in memory; read it with [`Archive::read_dataset_at`]. Bytes.
pub const FRAME_BYTES_MAX: u64 = 1 << 30;

/// How much of a deflated data set is read at a time. Bytes.
const DEFLATED_CHUNK_BYTES: usize = 256 << 10;

impl Archive {
    /// Fills `buffer` from `offset` of the instance's Part 10 file (`located.locator.length` bytes long).
    ///
    /// # Errors
    /// [`Error::NotFound`] when the instance was removed meanwhile.
    pub fn read_at(&self, located: &Located, offset: u64, buffer: &mut [u8]) -> Result<(), Error> {
        self.inner.blobs.read_at(&located.locator, offset, buffer)
    }

    /// Fills `buffer` from `offset` of the (inflated) data set. For deflated objects this reads from
    /// the start: slow, but bounded in memory.
    ///
    /// # Errors
    /// As [`Archive::read_at`].
    pub fn read_dataset_at(
        &self,
        located: &Located,
        offset: u64,
        buffer: &mut [u8],
    ) -> Result<(), Error> {
        let syntax = TransferSyntax::of_uid(located.transfer_syntax_uid.as_str());
        if !syntax.is_some_and(|syntax| syntax.form == Form::Deflated) {
            let start = u64::from(located.dataset_offset).saturating_add(offset);
            return self.read_at(located, start, buffer);
        }
        let mut inflated = DeflateDecoder::new(DatasetReader {
            archive: self,
            located,
            at: 0,
        });
        let inflate_error = |cause| Error::broken("inflating a stored object", cause);
        let skipped =
            io::copy(&mut (&mut inflated).take(offset), &mut io::sink()).map_err(inflate_error)?;
        if skipped != offset {
            return Err(Error::broken(
                "inflating a stored object",
                "it ends too early",
            ));
        }
        inflated.read_exact(buffer).map_err(inflate_error)
    }

    /// Frame `number` (from 1) as stored: fragments joined, item headers left out, one-bit frames
    /// shifted to a byte; values of big endian and deflated objects as they are encoded (inflated).
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no such frame, [`Error::TooLarge`] beyond [`FRAME_BYTES_MAX`].
    pub fn frame(&self, located: &Located, number: u32) -> Result<Vec<u8>, Error> {
        match located.frames.frame(number).ok_or(Error::NotFound)? {
            Frame::Encapsulated(fragments) => self.join(located, fragments),
            Frame::Native {
                span,
                first_bit: 0,
                bits,
            } if bits % 8 == 0 => self.join(located, &[span]),
            Frame::Native {
                span,
                first_bit,
                bits,
            } => Ok(shifted(&self.join(located, &[span])?, first_bit, bits)),
        }
    }

    /// Reads spans of the data set one after the other into one buffer.
    fn join(&self, located: &Located, spans: &[Span]) -> Result<Vec<u8>, Error> {
        let length = spans
            .iter()
            .fold(0u64, |sum, span| sum.saturating_add(span.length));
        if length > FRAME_BYTES_MAX {
            return Err(Error::TooLarge {
                limit: "frame bytes",
                max: FRAME_BYTES_MAX,
            });
        }
        // Every length is at most FRAME_BYTES_MAX, so it fits.
        let mut joined = vec![0; length as usize];
        let mut rest = joined.as_mut_slice();
        for span in spans {
            let (part, after) = rest.split_at_mut(span.length as usize);
            self.read_dataset_at(located, span.offset, part)?;
            rest = after;
        }
        Ok(joined)
    }
}

/// A frame of one-bit pixels moved to the first bit of a byte; bits beyond its last pixel are 0
/// (PS3.5 §8.1.1: the first pixel is the least significant bit).
fn shifted(bytes: &[u8], first_bit: u8, bits: u64) -> Vec<u8> {
    let length = bits.div_ceil(8);
    let mut frame: Vec<u8> = (0..bytes.len())
        .take(usize::try_from(length).unwrap_or(usize::MAX))
        .map(|at| {
            let high = bytes.get(at + 1).copied().unwrap_or(0);
            (u16::from_le_bytes([bytes[at], high]) >> first_bit).to_le_bytes()[0]
        })
        .collect();
    if let (Some(last), used @ 1..) = (frame.last_mut(), bits % 8) {
        *last &= (1u8 << used) - 1;
    }
    frame
}

/// The stored data set as a stream.
struct DatasetReader<'a> {
    archive: &'a Archive,
    located: &'a Located,
    at: u64,
}

impl Read for DatasetReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let start = u64::from(self.located.dataset_offset);
        let left = self.located.locator.length.saturating_sub(start + self.at);
        let length = buffer
            .len()
            .min(DEFLATED_CHUNK_BYTES)
            .min(usize::try_from(left).unwrap_or(usize::MAX));
        let part = &mut buffer[..length];
        self.archive
            .read_at(self.located, start + self.at, part)
            .map_err(io::Error::other)?;
        self.at += length as u64;
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use super::shifted;

    #[test]
    fn one_bit_frames_begin_at_a_byte() {
        // Two frames of 12 pixels, the first all 1, the second 101010101010 from its first pixel on.
        let packed = [0xFF, 0x5F, 0x55];
        assert_eq!(shifted(&packed[..2], 0, 12), [0xFF, 0x0F]);
        assert_eq!(shifted(&packed[1..], 4, 12), [0x55, 0x05]);
        assert_eq!(shifted(&[0b1000_0000], 7, 1), [1]);
        assert_eq!(shifted(&[], 3, 0), [0u8; 0]);
    }
}
