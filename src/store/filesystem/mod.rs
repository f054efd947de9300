//! Blobs on a local disk: a documented format, version 2.
//!
//! # What lies where
//! ```text
//! MANIFEST, DOUBTED                       see `manifest`
//! staging/0000000000000003                a large blob on its way
//! files/00000/000/0000000000000002.seg    a segment: many blobs, appended by all senders; the active one
//!                                         for small blobs, or that for large ones (see `segment`)
//! files/00000/000/0000000000000003.one    one large blob
//! ```
//! A file's number is its sequence number times two, plus one for `.one`. A locator is that number,
//! the offset of the blob in the file, and its length. All integers are little endian.
//!
//! | file header | bytes | | record header | bytes |
//! |---|---|---|---|---|
//! | `OVERREAD BLOBS\r\n` | 0–15 | | `OVRB` | 0–3 |
//! | version, 2 | 16–19 | | CRC-32 of bytes 32–255 and the blob | 4–7 |
//! | file number | 20–27 | | length of the blob; file number | 8–15; 16–23 |
//! | offset of the first record | 28–35 | | length of the note; zero | 24–25; 26–27 |
//! | CRC-32 of bytes 0–35 | 36–39 | | CRC-32 of bytes 0–27; the note | 28–31; 32–255 |
//!
//! A record is its header, the blob, and zeros up to a multiple of 8. Those of a segment begin at
//! 4096 and follow each other, large ones at the next multiple of 4096; where one was deleted, or the file was made
//! ready for more, there are zeros (a hole, or not), so that a segment
//! whose index is lost is read by skipping zeros and checking each header. The one record of a
//! `.one` begins where the file header says and ends its head at 4096: the body is written while
//! it arrives, the head is known last. Files are 0600, folders 0700.
//!
//! # Why this layout
//! `benches/blob_layout.rs` on a shared two-core machine, as ratios to a raw synced append of the
//! same size; a group is what one commit makes durable together:
//!
//! | size | senders | group | file per instance | file per series | shared segment |
//! |---|---|---|---|---|---|
//! | 5 KB | 1 | 1 | 0.43 | 0.85 | 0.77 |
//! | 5 KB | 1 | 32 | 0.89 | 25.6 | 21.2 |
//! | 5 KB | 4 | 32 | 0.73 | 6.1 | 16.7 |
//! | 512 KB | 1 | 1 | 0.64 | 1.06 | 0.72 |
//! | 512 KB | 1 | 32 | 0.86 | 3.2 | 4.6 |
//! | 512 KB | 4 | 32 | 0.89 | 2.6 | 5.3 |
//!
//! A file per instance pays a sync for each file, whatever the group. A file per series is as good
//! as a segment for one sender, but a group costs a sync for each series in it, and 100 million
//! instances are millions of files. Senders that each sync alone are the one case that series win
//! (5 KB, 4 senders: 33 to 3.7); the archive commits in groups. Absolute rates swing tenfold
//! with what else the disk does; in five runs the file per instance never came near in groups.
//!
//! # When the process or the machine dies
//! A blob may be named by the index only after [`BlobStore::sync`], and `sync` returns only when
//! the data and every folder entry on the way are on the disk: segments and folders sync theirs
//! when they are made, `.one` files when they are synced. What can remain is therefore too much,
//! never too little:
//!
//! - *Killed between put and commit, or the commit lost with the power*: a blob without a row, in a file
//!   begun since the last start, or torn at its end. `MANIFEST` says which files an earlier start has
//!   checked (`verified`); all later ones are held against the index: what is whole is told with its note
//!   ([`BlobStore::orphans`]) and gets a row; then what no row names is punched, a tail is cut off, a file
//!   without a row is removed. A start never continues an old segment, so that a checked one stays checked.
//! - *Killed between the index's delete and ours*: an orphan in a file of any age. So
//!   [`BlobStore::condemn`] comes before the index's commit and notes the blob in `DOUBTED`: its file is
//!   checked again at the next start, and it is not told. The same covers a punch that a power failure undid.
//! - *Killed while checking*: `verified` moves only after everything removed is durably so.
//! - *A failed write* gives its range back; *a failed sync* ends the segment and no later sync of
//!   that file succeeds, because the system may have dropped pages that it could not write.
//! - *Numbers* are reserved in `MANIFEST` before use, 64 at a time, and a start goes on after the
//!   reserved ones: the number of a deleted file does not come back, so that a reader with an old
//!   locator gets "not found" and never another blob.
//!
//! The start looks at the files begun since the last one, not at 100 million rows: one query of the
//! index a file, some 2000 rows each for CT slices.
//!
//! # Deleting
//! A whole `.one` is removed. A record is punched out; space comes back in blocks of 4096, a block
//! that two deleted neighbours share goes with the second one unless the segment was still active.
//! A segment that is no longer active and holds nothing but zeros is removed.

mod direct;
mod disk;
mod layout;
mod look;
mod manifest;
mod open_files;
mod recover;
mod segment;
mod staged;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fmt;
use std::fs;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use crate::archive::blob::{FoundOrphan, LiveBlobs, Staged, Swept};
use crate::archive::{BlobStore, Error, Locator};
use disk::{create_folder, failure, first_data, punch, read_cached, sync_folder, widen};
use layout::{BLOCK, Kind, RECORD_HEADER};
use manifest::Manifest;
use open_files::{OpenFile, OpenFiles, lock};
use segment::{Appender, LARGE_BYTES, Manner, SEGMENT_BYTES};
use staged::Scratch;

pub use look::FilesystemReader;

/// Blobs on a local disk; see the module. One process at a time may have a directory open, which
/// whoever opens the archive sees to.
pub struct Filesystem {
    root: PathBuf,
    manifest: Mutex<Manifest>,
    small: Appender,
    large: Appender,
    files: Arc<OpenFiles>,
    /// Files from which blobs went since this process began: reads of them look at the record
    /// header too, because a reader may still hold the locator of a blob that is now zeros.
    punched: RwLock<HashSet<u64>>,
}

impl Filesystem {
    /// Opens the directory, made if it is not there.
    ///
    /// # Errors
    /// When it cannot be made or written to, or when a newer program wrote it.
    pub fn open(dir: &Path) -> Result<Self, Error> {
        Self::open_with(dir, SEGMENT_BYTES)
    }

    fn open_with(dir: &Path, segment_bytes: u64) -> Result<Self, Error> {
        let open = || {
            create_folder(dir)?;
            create_folder(&dir.join("files"))?;
            create_folder(&dir.join("staging"))?;
            Manifest::open(dir)
        };
        let manifest = Mutex::new(open().map_err(failure("opening the blob directory"))?);
        Ok(Self {
            root: dir.to_owned(),
            manifest,
            small: Appender::new(Manner::Small, segment_bytes),
            large: Appender::new(Manner::Large, segment_bytes),
            files: Arc::default(),
            punched: RwLock::default(),
        })
    }

    fn appenders(&self) -> impl Iterator<Item = &Appender> {
        [&self.small, &self.large].into_iter()
    }

    fn retire(&self, number: Option<u64>) {
        self.appenders().for_each(|of| of.retire(number));
    }

    /// No file counts as checked: the index may be another one than the one that was held against them.
    pub fn distrust(&self) {
        lock(&self.manifest).distrust();
    }

    /// Whether the record of this blob is still there.
    fn is_there(file: &OpenFile, locator: &Locator) -> Result<bool, Error> {
        let start = locator
            .offset
            .checked_sub(RECORD_HEADER)
            .filter(|start| i64::try_from(*start).is_ok());
        let Some(start) = start else { return Ok(false) };
        let mut header = [0; RECORD_HEADER as usize];
        match file.file.read_exact_at(&mut header, start) {
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
            read => read
                .map(|()| layout::blob_length(&header, locator.file) == Some(locator.length))
                .map_err(failure("reading a record header")),
        }
    }

    /// The same, as far as it can be told without waiting.
    fn is_there_at_hand(file: &OpenFile, locator: &Locator) -> bool {
        let Some(start) = locator.offset.checked_sub(RECORD_HEADER) else {
            return false;
        };
        let mut header = [0; RECORD_HEADER as usize];
        layout::kind(locator.file) == Kind::Segment
            && read_cached(&file.file, start, &mut header) == header.len()
            && layout::blob_length(&header, locator.file) == Some(locator.length)
    }

    fn mark_punched(&self, number: u64) {
        self.punched
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(number);
    }

    fn delete_whole(&self, locator: &Locator) -> Result<(), Error> {
        self.mark_punched(locator.file);
        match fs::remove_file(layout::path(&self.root, locator.file)) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => {
                return Err(failure("removing a blob file")(e));
            }
            _ => {}
        }
        self.files.forget(locator.file);
        Ok(())
    }

    /// Punches blobs of one segment, sorted by offset; neighbours go in one piece.
    fn delete_from_segment(&self, number: u64, locators: &[Locator]) -> Result<(), Error> {
        let file = match self.files.get(&self.root, number) {
            Err(Error::NotFound) => return Ok(()),
            opened => opened?,
        };
        let mut ranges: Vec<(u64, u64)> = Vec::new();
        for locator in locators {
            // Only what is a record is ever punched: a wrong locator harms nobody.
            if Self::is_there(&file, locator)?
                && let Some(end) = layout::record_end(locator.offset, locator.length)
            {
                let start = layout::record_start(locator.offset);
                match ranges.last_mut() {
                    Some(last) if last.1 >= start => last.1 = last.1.max(end),
                    _ => ranges.push((start, end)),
                }
            }
        }
        self.mark_punched(number);
        self.punch_ranges(&file, &ranges)
            .map_err(failure("punching a segment"))
    }

    fn punch_ranges(&self, file: &OpenFile, ranges: &[(u64, u64)]) -> io::Result<()> {
        // Once a segment is not active, nobody writes to it any more, and it never is again.
        let is_active = self.appenders().any(|of| of.is_active(file.number));
        for (start, end) in ranges {
            punch(&file.file, *start, *end)?;
            if !is_active {
                let (start, end) = widen(&file.file, *start, *end)?;
                punch(&file.file, start, end)?;
            }
        }
        if !is_active
            && !ranges.is_empty()
            && first_data(&file.file, BLOCK, u64::MAX >> 1)?.is_none()
        {
            fs::remove_file(layout::path(&self.root, file.number))?;
            self.files.forget(file.number);
        }
        Ok(())
    }
}

impl fmt::Display for Filesystem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.root.display())
    }
}

impl BlobStore for Filesystem {
    fn put(&self, head: &[u8], body: &[u8], note: &[u8]) -> Result<Locator, Error> {
        let length = head.len() as u64 + body.len() as u64;
        let appender = if length < LARGE_BYTES {
            &self.small
        } else {
            &self.large
        };
        appender.put(&self.root, &self.manifest, &self.files, [head, body], note)
    }

    fn stage(&self) -> Result<Box<dyn Staged>, Error> {
        let number = lock(&self.manifest)
            .allocate(Kind::Whole)
            .map_err(failure("taking a file number"))?;
        Ok(Box::new(Scratch::begin(&self.root, &self.files, number)?))
    }

    fn sync(&self, locators: &[Locator]) -> Result<(), Error> {
        let numbers: BTreeSet<u64> = locators.iter().map(|locator| locator.file).collect();
        let mut folders = BTreeSet::new();
        for number in numbers {
            let file = self.files.get(&self.root, number)?;
            if let Err(e) = self.files.sync(&file) {
                self.retire(Some(number));
                return Err(e);
            }
            if layout::kind(number) == Kind::Whole {
                folders.insert(layout::folder(&self.root, number));
            }
        }
        folders
            .iter()
            .try_for_each(|folder| sync_folder(folder))
            .map_err(failure("syncing a folder"))
    }

    fn read_at(&self, locator: &Locator, offset: u64, buffer: &mut [u8]) -> Result<(), Error> {
        let end = offset
            .checked_add(buffer.len() as u64)
            .filter(|end| *end <= locator.length);
        let start = locator.offset.checked_add(offset);
        let (Some(_), Some(start)) = (end, start) else {
            return Err(Error::broken("read of a blob", "outside of it"));
        };
        let file = self.files.get(&self.root, locator.file)?;
        let read = file.file.read_exact_at(buffer, start);
        // Marked before it is punched, read before this look: what is still there now was whole then.
        if self
            .punched
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .contains(&locator.file)
            && (layout::kind(locator.file) == Kind::Whole || !Self::is_there(&file, locator)?)
        {
            return Err(Error::NotFound);
        }
        read.map_err(failure("reading a blob"))
    }

    fn read_at_hand(&self, locator: &Locator, offset: u64, buffer: &mut [u8]) -> usize {
        let end = offset.checked_add(buffer.len() as u64);
        let start = locator.offset.checked_add(offset);
        let (Some(_), Some(start)) = (end.filter(|end| *end <= locator.length), start) else {
            return 0;
        };
        let Some(file) = self.files.open_already(locator.file) else {
            return 0;
        };
        let count = read_cached(&file.file, start, buffer);
        // As in `read_at`: the look comes after the read.
        let is_punched = self
            .punched
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .contains(&locator.file);
        if is_punched && !Self::is_there_at_hand(&file, locator) {
            return 0;
        }
        count
    }

    fn condemn(&self, locators: &[Locator]) -> Result<(), Error> {
        lock(&self.manifest)
            .doubt(
                locators
                    .iter()
                    .map(|locator| (locator.file, locator.offset)),
            )
            .map_err(failure("noting blobs to delete"))
    }

    fn delete(&self, locators: &[Locator]) -> Result<(), Error> {
        let mut segments: BTreeMap<u64, Vec<Locator>> = BTreeMap::new();
        let mut outcome = Ok(());
        for locator in locators {
            match layout::kind(locator.file) {
                Kind::Whole => outcome = outcome.and(self.delete_whole(locator)),
                Kind::Segment => segments.entry(locator.file).or_default().push(*locator),
            }
        }
        for (number, mut locators) in segments {
            locators.sort_unstable();
            outcome = outcome.and(self.delete_from_segment(number, &locators));
        }
        outcome
    }

    fn orphans(&self, live: &mut LiveBlobs<'_>, found: &mut FoundOrphan<'_>) -> Result<(), Error> {
        // Who hears of a blob may condemn others, so the manifest is not held meanwhile.
        let verified = lock(&self.manifest).verified();
        let files = recover::suspects(&self.root, verified, std::iter::empty())
            .map_err(failure("listing blob files"))?;
        for (number, length) in files {
            let named = live(number)?.into_iter();
            let named = named.filter(|locator| locator.file == number).collect();
            let is_doubted = |offset| lock(&self.manifest).is_doubted(number, offset);
            recover::find_orphans(&self.root, number, length, named, &is_doubted, found)?;
        }
        Ok(())
    }

    fn recover(&self, live: &mut LiveBlobs<'_>) -> Result<Swept, Error> {
        self.retire(None);
        let mut manifest = lock(&self.manifest);
        let staged_files =
            recover::empty_staging(&self.root).map_err(failure("emptying the staging folder"))?;
        let suspects = recover::suspects(&self.root, manifest.verified(), manifest.doubted())
            .map_err(failure("listing blob files"))?;
        let swept = recover::sweep(&self.root, suspects, live, &mut |number| {
            self.mark_punched(number);
            self.files.forget(number);
        })?;
        manifest
            .verify_all()
            .map_err(failure("writing the manifest"))?;
        Ok(Swept {
            staged_files,
            ..swept
        })
    }

    fn files(&self) -> Result<Vec<(u64, u64)>, Error> {
        recover::held_files(&self.root, &self.files)
    }

    fn free_bytes(&self) -> Result<Option<u64>, Error> {
        let free = rustix::fs::statvfs(&self.root)
            .map_err(|e| failure("asking for free space")(e.into()))?;
        Ok(Some(free.f_bavail.saturating_mul(free.f_frsize)))
    }
}
