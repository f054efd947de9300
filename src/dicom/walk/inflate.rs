//! Takes the deflate coding off a data set piece by piece (PS3.5 §A.5, RFC 1951), in bounded
//! memory. Offsets behind it count inflated bytes.

use flate2::{Decompress, FlushDecompress, Status};

use super::Fault;

/// A streaming inflater for Deflated Explicit VR Little Endian.
pub struct Inflater {
    state: Decompress,
    piece: Box<[u8]>,
    bytes_max: u64,
    is_done: bool,
}

/// The bytes that are inflated at a time.
const PIECE_BYTES: usize = 16 * 1024;

impl Inflater {
    /// Begins a stream that may inflate to `bytes_max` bytes at most (`object_bytes_max`).
    #[must_use]
    pub fn new(bytes_max: u64) -> Self {
        Self {
            state: Decompress::new(false),
            piece: vec![0; PIECE_BYTES].into_boxed_slice(),
            bytes_max,
            is_done: false,
        }
    }

    /// Inflates what has arrived and hands it on in pieces. Bytes after the end of the deflate
    /// stream are padding (PS3.5 §A.5) and are passed over.
    ///
    /// # Errors
    /// When the stream is broken or too large, and whatever `sink` says.
    pub fn feed(
        &mut self,
        mut bytes: &[u8],
        mut sink: impl FnMut(&[u8]) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        while !self.is_done {
            let (taken, given) = (self.state.total_in(), self.state.total_out());
            let broken = Fault::Unreadable {
                at: taken,
                what: "the deflate stream is damaged",
            };
            let status = self
                .state
                .decompress(bytes, &mut self.piece, FlushDecompress::None)
                .map_err(|_| broken.clone())?;
            // Both are at most the lengths of the slices passed in.
            let taken = (self.state.total_in() - taken) as usize;
            let given = (self.state.total_out() - given) as usize;
            bytes = &bytes[taken..];
            if self.state.total_out() > self.bytes_max {
                return Err(Fault::TooLarge {
                    limit: "ingest.object_bytes_max",
                    max: self.bytes_max,
                });
            }
            sink(&self.piece[..given])?;
            match status {
                Status::StreamEnd => self.is_done = true,
                // A full piece may leave more behind even when all input is taken.
                _ if given == self.piece.len() => {}
                _ if bytes.is_empty() => break,
                _ if taken == 0 && given == 0 => return Err(broken),
                _ => {}
            }
        }
        Ok(())
    }

    /// Ends the stream.
    ///
    /// # Errors
    /// [`Fault::Truncated`] when its end has not arrived.
    pub fn finish(&self) -> Result<(), Fault> {
        if self.is_done {
            Ok(())
        } else {
            Err(Fault::Truncated {
                at: self.state.total_in(),
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn deflate(bytes: &[u8]) -> Vec<u8> {
        let mut encoder =
            flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn inflate(deflated: &[u8], piece: usize, bytes_max: u64) -> Result<Vec<u8>, Fault> {
        let mut inflater = Inflater::new(bytes_max);
        let mut out = Vec::new();
        for piece in deflated.chunks(piece) {
            inflater.feed(piece, |bytes| {
                out.extend_from_slice(bytes);
                Ok(())
            })?;
        }
        inflater.finish()?;
        Ok(out)
    }

    #[test]
    fn gives_back_what_was_deflated_in_pieces_of_any_size() {
        let plain: Vec<u8> = (0..200_000_u32)
            .flat_map(|i| (i / 7).to_le_bytes())
            .collect();
        let mut deflated = deflate(&plain);
        deflated.push(0);
        for piece in [1, 7, 4096, deflated.len()] {
            assert_eq!(inflate(&deflated, piece, 1 << 20).unwrap(), plain);
        }
    }

    #[test]
    fn a_bomb_a_cut_and_damage_are_told() {
        let bomb = deflate(&vec![0; 1 << 20]);
        let too_large = Fault::TooLarge {
            limit: "ingest.object_bytes_max",
            max: 1 << 16,
        };
        assert_eq!(inflate(&bomb, 64, 1 << 16), Err(too_large));
        assert!(matches!(
            inflate(&bomb[..50], 8, 1 << 30),
            Err(Fault::Truncated { .. })
        ));
        assert!(matches!(
            inflate(&[0xFF; 64], 8, 1 << 30),
            Err(Fault::Unreadable { .. })
        ));
    }
}
