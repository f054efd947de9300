//! Buffers that stored bytes are sent from. They are used again and again: fresh memory costs a page
//! fault each 4 KiB, which is more than reading into it.

use std::sync::{Mutex, PoisonError};

use bytes::Bytes;

/// The length of a buffer. A piece of a body is read, copied and written before the next one, so it
/// should fit into the second level cache together with its copy. Bytes.
pub(super) const BUFFER_BYTES: usize = 128 * 1024;
/// Buffers kept while nobody uses them.
const SPARE_MAX: usize = 16;
/// Less than this is not worth a buffer of its own. Bytes.
const SMALL_BYTES: usize = 16 * 1024;

static SPARE: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());

/// A buffer that goes back when it is dropped.
pub(super) struct Buffer {
    bytes: Vec<u8>,
    /// How many of them mean something.
    length: usize,
}

impl Buffer {
    /// One for `length` bytes, at most [`BUFFER_BYTES`].
    pub(super) fn of(length: usize) -> Self {
        let length = length.min(BUFFER_BYTES);
        let spare = || SPARE.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let bytes = if length < SMALL_BYTES {
            vec![0; length]
        } else {
            spare().unwrap_or_else(|| vec![0; BUFFER_BYTES])
        };
        Self { bytes, length }
    }

    /// The bytes to be filled.
    pub(super) fn space(&mut self) -> &mut [u8] {
        &mut self.bytes[..self.length]
    }

    /// The first `count` bytes, filled.
    pub(super) fn filled(mut self, count: usize) -> Bytes {
        self.length = count.min(self.length);
        Bytes::from_owner(self)
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if self.bytes.len() < BUFFER_BYTES {
            return;
        }
        let mut spare = SPARE.lock().unwrap_or_else(PoisonError::into_inner);
        if spare.len() < SPARE_MAX {
            spare.push(std::mem::take(&mut self.bytes));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_shows_what_was_filled_and_no_more() {
        for length in [0, 1, SMALL_BYTES, BUFFER_BYTES, BUFFER_BYTES + 1] {
            let mut buffer = Buffer::of(length);
            buffer.space().fill(7);
            let expected = length.min(BUFFER_BYTES);
            assert_eq!(buffer.space().len(), expected);
            assert_eq!(buffer.filled(length / 2), vec![7; length / 2]);
        }
    }
}
