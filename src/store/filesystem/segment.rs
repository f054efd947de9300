//! The segment that blobs are appended to, by all senders at once: a range is reserved under a
//! lock, written outside of it. Small blobs have one, large ones another ([`Manner`]).

use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use super::direct::{self, Buffers};
use super::disk::{allocate, create_file, failure, punch, sync_folder, write_all_at, zero};
use super::layout::{self, BLOCK, Kind, RECORD_HEADER};
use super::manifest::Manifest;
use super::open_files::{OpenFile, OpenFiles, lock};
use crate::archive::{Error, Locator};

/// A segment that has grown so far gets no more blobs. Large enough that an archive of 100 million
/// CT slices has some 50,000 files, small enough that deleting all of a study often frees one.
pub(super) const SEGMENT_BYTES: u64 = 1 << 30;

/// A blob with its note from this size on is large.
pub(super) const LARGE_BYTES: u64 = 64 << 10;

/// Nothing is made ready on a disk with less room than so many times that: what is free there belongs
/// to what arrives.
const ROOMY: u64 = 64;

/// How the records of a segment are written. What a synced append costs (a shared two-core machine, ext4,
/// appends a second; 516 KB: 300 to 700 through the page cache, 1,500 to 1,760 past it into allocated
/// blocks; 8 KB: 2,400 to 2,550, and 3,700 to 4,260 over zeros) is, for small ones, the block of the inode that
/// says the file has grown, for large ones, the page cache.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Manner {
    /// One after the other, over zeros that were written a little ahead.
    Small,
    /// Each from the beginning of a block, past the page cache, into blocks allocated ahead.
    Large,
}

impl Manner {
    /// So far ahead.
    fn ahead_bytes(self) -> u64 {
        match self {
            Self::Small => 256 << 10,
            Self::Large => 16 << 20,
        }
    }

    /// Records begin at multiples of this.
    fn align(self) -> u64 {
        match self {
            Self::Small => layout::ALIGN,
            Self::Large => BLOCK,
        }
    }
}

/// Where new blobs go.
pub(super) struct Appender {
    manner: Manner,
    segment_bytes: u64,
    active: Mutex<Option<Active>>,
    buffers: Buffers,
}

#[derive(Clone)]
struct Active {
    file: Arc<OpenFile>,
    /// Where the next record begins.
    tail: u64,
    /// To here the file is made ready.
    ready: u64,
    /// For whole blocks past the page cache.
    direct: Option<Arc<File>>,
    /// Held shared while writing, whole to retire the segment: a retired segment is never written to.
    gate: Arc<RwLock<()>>,
}

impl Appender {
    /// Begins a new segment whenever the last one would outgrow `segment_bytes`.
    pub(super) fn new(manner: Manner, segment_bytes: u64) -> Self {
        Self {
            manner,
            segment_bytes,
            active: Mutex::default(),
            buffers: Buffers::default(),
        }
    }

    /// Appends one blob.
    pub(super) fn put(
        &self,
        root: &Path,
        manifest: &Mutex<Manifest>,
        files: &OpenFiles,
        parts: [&[u8]; 2],
        note: &[u8],
    ) -> Result<Locator, Error> {
        let length = (parts[0].len() as u64).saturating_add(parts[1].len() as u64);
        let too_long = || Error::broken("put of a blob", "its length is beyond all files");
        let room = layout::record_end(RECORD_HEADER, length)
            .and_then(|end| end.checked_next_multiple_of(self.manner.align()))
            .ok_or_else(too_long)?;
        let too_long = || Error::broken("put of a blob", "its note is too long");
        let (mut header, mut sum) = layout::begin_record(note).ok_or_else(too_long)?;
        parts.iter().for_each(|part| sum.update(part));

        let mut active = lock(&self.active);
        let reserved = self.reserve(&mut active, room, root, manifest, files)?;
        let writing = reserved.gate.read().unwrap_or_else(PoisonError::into_inner);
        drop(active);

        layout::end_record(&mut header, reserved.file.number, length, &sum);
        let (start, end) = (reserved.tail, reserved.tail + room);
        let written = self.write(&reserved, &[&header, parts[0], parts[1]], room);
        drop(writing);
        if let Err(e) = written {
            self.give_back(&reserved.file, start, end);
            return Err(failure("writing a blob")(e));
        }
        Ok(Locator {
            file: reserved.file.number,
            offset: start + RECORD_HEADER,
            length,
        })
    }

    /// Writes a record and the zeros that fill its room.
    fn write(&self, reserved: &Active, parts: &[&[u8]], room: u64) -> io::Result<()> {
        if let Some(direct) = &reserved.direct {
            match self.buffers.write(direct, parts, reserved.tail) {
                Err(e) if direct::is_refused(&e) => {}
                done => return done,
            }
        }
        let length: usize = parts.iter().map(|part| part.len()).sum();
        let zeros = [0; BLOCK as usize];
        let padding = usize::try_from(room).unwrap_or(length) - length;
        let all = [parts, &[&zeros[..padding]]].concat();
        write_all_at(&reserved.file.file, &all, reserved.tail)
    }

    /// Whether blobs may still be added to this segment.
    pub(super) fn is_active(&self, number: u64) -> bool {
        lock(&self.active)
            .as_ref()
            .is_some_and(|active| active.file.number == number)
    }

    /// The active segment and where its next record begins.
    #[cfg(test)]
    pub(super) fn tail(&self) -> Option<(u64, u64)> {
        lock(&self.active)
            .as_ref()
            .map(|active| (active.file.number, active.tail))
    }

    /// Lets no more blobs into this segment and waits for those on their way.
    pub(super) fn retire(&self, number: Option<u64>) {
        let mut active = lock(&self.active);
        if number.is_none_or(|number| {
            active
                .as_ref()
                .is_some_and(|active| active.file.number == number)
        }) {
            Self::close(&mut active);
        }
    }

    #[cfg(test)]
    pub(super) fn swap_active_file(&self, file: Arc<OpenFile>) {
        if let Some(active) = lock(&self.active).as_mut() {
            active.file = file;
            active.direct = None;
            active.ready = u64::MAX;
        }
    }

    fn close(active: &mut Option<Active>) {
        if let Some(last) = active.take() {
            let _whole = last.gate.write().unwrap_or_else(PoisonError::into_inner);
            if last.ready > last.tail {
                // What was made ready and not used. Should it stay, the next start cuts it off.
                last.file.file.set_len(last.tail).ok();
            }
        }
    }

    /// Takes `room` bytes of the active segment, or of a new one.
    fn reserve(
        &self,
        active: &mut Option<Active>,
        room: u64,
        root: &Path,
        manifest: &Mutex<Manifest>,
        files: &OpenFiles,
    ) -> Result<Active, Error> {
        if active.as_ref().is_some_and(|now| {
            now.tail > BLOCK && now.tail.saturating_add(room) > self.segment_bytes
        }) {
            Self::close(active);
        }
        let now = match active {
            Some(now) => now,
            none => none.insert(begin(self.manner, root, manifest, files)?),
        };
        let end = now
            .tail
            .checked_add(room)
            .ok_or_else(|| Error::broken("put of a blob", "its length is beyond all files"))?;
        if end > now.ready {
            self.make_ready(now, end);
        }
        let reserved = now.clone();
        now.tail = end;
        Ok(reserved)
    }

    /// Makes the file ready for a record that ends at `end`, and for some more. Where this fails, writing
    /// does the same later, or says why not.
    fn make_ready(&self, now: &mut Active, end: u64) {
        let is_roomy = rustix::fs::fstatvfs(&now.file.file).is_ok_and(|disk| {
            disk.f_bavail.saturating_mul(disk.f_frsize) / ROOMY > self.manner.ahead_bytes()
        });
        if !is_roomy {
            return;
        }
        let from = now.ready.max(now.tail);
        let ahead = end.saturating_add(self.manner.ahead_bytes());
        let to = ahead.min(self.segment_bytes).max(end);
        let made = match self.manner {
            Manner::Small => zero(&now.file.file, from, to),
            Manner::Large => allocate(&now.file.file, from, to),
        };
        if made.is_ok() {
            now.ready = to;
        }
    }

    /// Undoes a reservation whose write failed. Should this fail too, what remains is an orphan
    /// that the next start removes.
    fn give_back(&self, file: &OpenFile, start: u64, end: u64) {
        let mut active = lock(&self.active);
        match active.as_mut() {
            Some(now) if now.file.number == file.number && now.tail == end => {
                (now.tail, now.ready) = (start, start);
                file.file.set_len(start).ok();
            }
            _ => {
                punch(&file.file, start, end).ok();
            }
        }
    }
}

impl Drop for Appender {
    fn drop(&mut self) {
        self.retire(None);
    }
}

/// A new segment. Its directory entry is durable before anything is written to it, so that later
/// syncs need to think of the file alone.
fn begin(
    manner: Manner,
    root: &Path,
    manifest: &Mutex<Manifest>,
    files: &OpenFiles,
) -> Result<Active, Error> {
    let number = lock(manifest)
        .allocate(Kind::Segment)
        .map_err(failure("taking a file number"))?;
    let path = layout::path(root, number);
    let create = || {
        let file = create_file(
            &path,
            OpenOptions::new().read(true).write(true).create_new(true),
        )?;
        write_all_at(&file, &[&layout::file_header(number, BLOCK)], 0)?;
        file.set_len(BLOCK)?;
        file.sync_all()?;
        sync_folder(&layout::folder(root, number))?;
        Ok(file)
    };
    let file = create().map_err(|e| {
        std::fs::remove_file(&path).ok();
        failure("beginning a segment")(e)
    })?;
    let direct = match manner {
        Manner::Small => None,
        Manner::Large => direct::open(&path).map(Arc::new),
    };
    Ok(Active {
        file: files.add(OpenFile::new(number, file)),
        tail: BLOCK,
        ready: BLOCK,
        direct,
        gate: Arc::default(),
    })
}
