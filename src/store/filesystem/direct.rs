//! Writing past the page cache. Fresh pages of the cache cost a large blob more than its way to the
//! disk: each is found, zeroed, filled, and looked for again by the sync.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Mutex;

use rustix::fs::OFlags;
use rustix::io::Errno;

use super::disk::write_all_at;
use super::layout::BLOCK;
use super::open_files::lock;

/// What goes out with one call. Bytes, a multiple of [`BLOCK`].
const PIECE_BYTES: usize = 1 << 20;

/// So many buffers are kept for the next senders.
const KEPT_MAX: usize = 4;

const BLOCK_BYTES: usize = BLOCK as usize;

/// A second door to a file for whole blocks, where the file system has one.
pub(super) fn open(path: &Path) -> Option<File> {
    let direct = i32::try_from(OFlags::DIRECT.bits()).ok()?;
    let opened = OpenOptions::new()
        .write(true)
        .custom_flags(direct)
        .open(path);
    opened.ok()
}

/// Whether a file system does not want what was asked: then it goes through the page cache.
pub(super) fn is_refused(error: &io::Error) -> bool {
    error.raw_os_error() == Some(Errno::INVAL.raw_os_error())
}

/// Buffers that begin where a block may.
#[derive(Default)]
pub(super) struct Buffers {
    free: Mutex<Vec<Vec<u8>>>,
}

impl Buffers {
    /// Writes all of `parts`, one after the other, and zeros up to a whole block. `offset` begins a block.
    pub(super) fn write(&self, file: &File, parts: &[&[u8]], mut offset: u64) -> io::Result<()> {
        let kept = lock(&self.free).pop();
        let mut buffer = kept.unwrap_or_else(|| vec![0; PIECE_BYTES + BLOCK_BYTES]);
        let begin = buffer.as_ptr().align_offset(BLOCK_BYTES).min(BLOCK_BYTES);
        let piece = &mut buffer[begin..begin + PIECE_BYTES];
        let mut filled = 0;
        let mut written = Ok(());
        for part in parts {
            let mut part = *part;
            while !part.is_empty() && written.is_ok() {
                let count = part.len().min(PIECE_BYTES - filled);
                piece[filled..filled + count].copy_from_slice(&part[..count]);
                (filled, part) = (filled + count, &part[count..]);
                if filled == PIECE_BYTES {
                    written = write_all_at(file, &[&piece[..]], offset);
                    (filled, offset) = (0, offset + PIECE_BYTES as u64);
                }
            }
        }
        if filled > 0 && written.is_ok() {
            let end = filled.next_multiple_of(BLOCK_BYTES);
            piece[filled..end].fill(0);
            written = write_all_at(file, &[&piece[..end]], offset);
        }
        let mut free = lock(&self.free);
        if free.len() < KEPT_MAX {
            free.push(buffer);
        }
        written
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_past_the_cache_is_read_through_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        std::fs::write(&path, [7; 3 * BLOCK_BYTES]).unwrap();
        // Where there is no such door, an ordinary one has to do the same.
        let file = open(&path).unwrap_or_else(|| File::options().write(true).open(&path).unwrap());
        let buffers = Buffers::default();
        for length in [1, BLOCK_BYTES, PIECE_BYTES - 3, 2 * PIECE_BYTES + 5] {
            let body: Vec<u8> = (0..length).map(|i| (i % 251) as u8).collect();
            buffers
                .write(&file, &[b"head", &body, b"tail"], BLOCK)
                .unwrap();
            let read = std::fs::read(&path).unwrap();
            let end = BLOCK_BYTES + 4 + length;
            assert_eq!(read[..BLOCK_BYTES], [7; BLOCK_BYTES]);
            assert_eq!(&read[BLOCK_BYTES..BLOCK_BYTES + 4], b"head");
            assert!(read[BLOCK_BYTES + 4..end] == body);
            assert_eq!(&read[end..end + 4], b"tail");
            let padded = (end + 4).next_multiple_of(BLOCK_BYTES);
            assert!(read[end + 4..padded].iter().all(|byte| *byte == 0));
        }
    }
}
