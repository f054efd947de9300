//! The segment that blobs are appended to, by all senders at once: a range is reserved under a
//! lock, written outside of it.

use std::fs::OpenOptions;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use super::disk::{create_file, failure, punch, sync_folder, write_all_at};
use super::layout::{self, BLOCK, Kind, RECORD_HEADER};
use super::manifest::Manifest;
use super::open_files::{OpenFile, OpenFiles, lock};
use crate::archive::{Error, Locator};

/// A segment that has grown so far gets no more blobs. Large enough that an archive of 100 million
/// CT slices has some 50,000 files, small enough that deleting all of a study often frees one.
pub(super) const SEGMENT_BYTES: u64 = 1 << 30;

/// Where new blobs go.
pub(super) struct Appender {
    segment_bytes: u64,
    active: Mutex<Option<Active>>,
}

#[derive(Clone)]
struct Active {
    file: Arc<OpenFile>,
    /// Where the next record begins.
    tail: u64,
    /// Held shared while writing, whole to retire the segment: a retired segment is never written to.
    gate: Arc<RwLock<()>>,
}

impl Appender {
    /// Begins a new segment whenever the last one would outgrow `segment_bytes`.
    pub(super) fn new(segment_bytes: u64) -> Self {
        Self {
            segment_bytes,
            active: Mutex::default(),
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
        let room = layout::record_end(RECORD_HEADER, length).ok_or_else(too_long)?;
        let too_long = || Error::broken("put of a blob", "its note is too long");
        let (mut header, mut sum) = layout::begin_record(note).ok_or_else(too_long)?;
        parts.iter().for_each(|part| sum.update(part));

        let mut active = lock(&self.active);
        let reserved = self.reserve(&mut active, room, root, manifest, files)?;
        let writing = reserved.gate.read().unwrap_or_else(PoisonError::into_inner);
        drop(active);

        layout::end_record(&mut header, reserved.file.number, length, &sum);
        let (start, end) = (reserved.tail, reserved.tail + room);
        let padding = &[0; 8][..usize::try_from(room - RECORD_HEADER - length).unwrap_or(0)];
        let written = write_all_at(
            &reserved.file.file,
            &[&header, parts[0], parts[1], padding],
            start,
        );
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
        }
    }

    fn close(active: &mut Option<Active>) {
        if let Some(last) = active.take() {
            drop(last.gate.write().unwrap_or_else(PoisonError::into_inner));
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
            none => none.insert(begin(root, manifest, files)?),
        };
        let end = now
            .tail
            .checked_add(room)
            .ok_or_else(|| Error::broken("put of a blob", "its length is beyond all files"))?;
        let reserved = now.clone();
        now.tail = end;
        Ok(reserved)
    }

    /// Undoes a reservation whose write failed. Should this fail too, what remains is an orphan
    /// that the next start removes.
    fn give_back(&self, file: &OpenFile, start: u64, end: u64) {
        let mut active = lock(&self.active);
        match active.as_mut() {
            Some(now) if now.file.number == file.number && now.tail == end => {
                now.tail = start;
                file.file.set_len(start).ok();
            }
            _ => {
                punch(&file.file, start, end).ok();
            }
        }
    }
}

/// A new segment. Its directory entry is durable before anything is written to it, so that later
/// syncs need to think of the file alone.
fn begin(root: &Path, manifest: &Mutex<Manifest>, files: &OpenFiles) -> Result<Active, Error> {
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
    Ok(Active {
        file: files.add(OpenFile::new(number, file)),
        tail: BLOCK,
        gate: Arc::default(),
    })
}
