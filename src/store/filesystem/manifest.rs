//! What must outlive the process besides the blobs: which file numbers were ever given out, which
//! files need no look at the next start, and which of those need one after all.
//!
//! `MANIFEST` is text and always replaced whole:
//!
//! ```text
//! overread blobs 2
//! next 128          no file has a sequence number of 128 or more, nor ever had
//! verified 96       files below were checked against the index
//! ```
//!
//! `DOUBTED` is appended to, a line per blob that the index was about to forget: the number of its
//! file and its offset there.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::disk::{create_file, create_folder, for_each_file, sync_folder};
use super::layout::{self, Kind, VERSION};

/// Numbers are reserved on disk this many at a time.
const RESERVE: u64 = 64;

pub(super) struct Manifest {
    root: PathBuf,
    /// The next sequence number to give out.
    next: u64,
    /// What `next` is on disk: never below our own.
    reserved: u64,
    verified: u64,
    doubted: HashSet<(u64, u64)>,
    doubts: File,
    /// The folder that the last number went to: it exists, durably.
    folder: PathBuf,
}

impl Manifest {
    /// Reads it, or makes the first one. One that is lost or damaged is made anew from the
    /// files that are there, with none of them trusted.
    pub(super) fn open(root: &Path) -> io::Result<Self> {
        let known = match fs::read_to_string(root.join("MANIFEST")) {
            Ok(text) => parse(&text)?,
            Err(e)
                if matches!(
                    e.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::InvalidData
                ) =>
            {
                None
            }
            Err(e) => return Err(e),
        };
        let (next, verified) = match known {
            Some(numbers) => numbers,
            None => (after_the_last(root)?, 0),
        };
        let path = root.join("DOUBTED");
        let doubted = match fs::read(&path) {
            Ok(lines) => lines
                .split(|b| *b == b'\n')
                .filter_map(|line| {
                    let (file, offset) = std::str::from_utf8(line).ok()?.split_once(' ')?;
                    Some((file.parse().ok()?, offset.parse().ok()?))
                })
                .collect(),
            Err(e) if e.kind() == io::ErrorKind::NotFound => HashSet::new(),
            Err(e) => return Err(e),
        };
        let doubts = create_file(&path, fs::OpenOptions::new().append(true).create(true))?;
        let folder = PathBuf::new();
        let manifest = Self {
            root: root.to_owned(),
            next,
            reserved: next,
            verified,
            doubted,
            doubts,
            folder,
        };
        if known.is_none() {
            manifest.write(next, verified)?;
        }
        Ok(manifest)
    }

    /// A file number that was never given out before and never will be again, whatever happens.
    /// The folder for the file is there.
    pub(super) fn allocate(&mut self, kind: Kind) -> io::Result<u64> {
        if self.next == self.reserved {
            let reserved = self
                .next
                .checked_add(RESERVE)
                .filter(|n| *n <= u64::MAX >> 2);
            let reserved = reserved.ok_or_else(|| io::Error::other("file numbers are used up"))?;
            self.write(reserved, self.verified)?;
            self.reserved = reserved;
        }
        let number = layout::number(self.next, kind);
        let folder = layout::folder(&self.root, number);
        if folder != self.folder {
            create_folder(&folder)?;
            self.folder = folder;
        }
        self.next += 1;
        Ok(number)
    }

    /// Files with a lower sequence number need no check, unless doubted.
    pub(super) fn verified(&self) -> u64 {
        self.verified
    }

    /// Nothing is verified, as far as this process knows.
    pub(super) fn distrust(&mut self) {
        self.verified = 0;
    }

    /// The files that need a check although they are verified.
    pub(super) fn doubted(&self) -> impl Iterator<Item = u64> + '_ {
        self.doubted.iter().map(|(file, _)| *file)
    }

    /// Whether the index was about to forget the blob there.
    pub(super) fn is_doubted(&self, file: u64, offset: u64) -> bool {
        self.doubted.contains(&(file, offset))
    }

    /// Withdraws the trust in some blobs and their files; durable on return.
    pub(super) fn doubt(&mut self, blobs: impl Iterator<Item = (u64, u64)>) -> io::Result<()> {
        let new: HashSet<(u64, u64)> = blobs.filter(|b| !self.doubted.contains(b)).collect();
        if new.is_empty() {
            return Ok(());
        }
        // The line break comes first as well: a line that a full disk once cut off stays alone.
        let line = |(file, offset): &(u64, u64)| format!("\n{file} {offset}\n");
        let lines: String = new.iter().map(line).collect();
        self.doubts.write_all(lines.as_bytes())?;
        self.doubts.sync_data()?;
        self.doubted.extend(new);
        Ok(())
    }

    /// Everything there is has been checked: trust it from now on.
    pub(super) fn verify_all(&mut self) -> io::Result<()> {
        self.write(self.reserved, self.next)?;
        self.verified = self.next;
        // Should this be lost, files are checked once more than needed.
        self.doubts.set_len(0)?;
        self.doubted.clear();
        Ok(())
    }

    fn write(&self, next: u64, verified: u64) -> io::Result<()> {
        let new = self.root.join("MANIFEST.new");
        let mut file = create_file(
            &new,
            fs::OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true),
        )?;
        write!(
            file,
            "overread blobs {VERSION}\nnext {next}\nverified {verified}\n"
        )?;
        file.sync_all()?;
        fs::rename(&new, self.root.join("MANIFEST"))?;
        sync_folder(&self.root)
    }
}

/// Whether this program can read the directory. Changes nothing.
///
/// # Errors
/// When it is not there, or a newer program wrote it.
pub(super) fn check_version(root: &Path) -> io::Result<()> {
    match fs::read_to_string(root.join("MANIFEST")) {
        Ok(text) => parse(&text).map(|_| ()),
        // Damaged or lost: the owner's next start makes it anew.
        Err(e) if e.kind() == io::ErrorKind::InvalidData => Ok(()),
        Err(e) if e.kind() == io::ErrorKind::NotFound && root.is_dir() => Ok(()),
        Err(e) => Err(e),
    }
}

/// `next` and `verified`; `None` when damaged.
///
/// # Errors
/// When a newer program wrote it.
fn parse(text: &str) -> io::Result<Option<(u64, u64)>> {
    let mut lines = text.lines();
    let mut value = |name: &str| -> Option<u64> { lines.next()?.strip_prefix(name)?.parse().ok() };
    match value("overread blobs ") {
        Some(version) if version == u64::from(VERSION) => {}
        Some(version) => {
            return Err(io::Error::other(format!(
                "the blobs have format {version}, this program knows {VERSION}"
            )));
        }
        None => return Ok(None),
    }
    let numbers = value("next ").zip(value("verified "));
    Ok(numbers.filter(|(next, verified)| verified <= next))
}

/// One more than the highest sequence number in use. The gap above it makes it unlikely that a
/// number of a deleted file comes back.
fn after_the_last(root: &Path) -> io::Result<u64> {
    let mut last = None;
    for_each_file(root, 0, &mut |number, _| {
        last = last.max(Some(layout::sequence(number)))
    })?;
    Ok(last
        .map_or(1, |last| last.saturating_add(1 << 20))
        .min(u64::MAX >> 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_outlive_the_process() {
        let dir = tempfile::tempdir().unwrap();
        let mut seen = HashSet::new();
        for _ in 0..5 {
            let mut manifest = Manifest::open(dir.path()).unwrap();
            for _ in 0..RESERVE + 3 {
                assert!(seen.insert(manifest.allocate(Kind::Whole).unwrap()));
            }
        }
    }

    #[test]
    fn doubts_outlive_the_process_until_all_is_verified() {
        let dir = tempfile::tempdir().unwrap();
        let mut manifest = Manifest::open(dir.path()).unwrap();
        let (a, b) = (
            manifest.allocate(Kind::Segment).unwrap(),
            manifest.allocate(Kind::Whole).unwrap(),
        );
        manifest.doubt([(a, 7)].into_iter()).unwrap();
        assert!(manifest.is_doubted(a, 7) && !manifest.is_doubted(a, 8));
        manifest.verify_all().unwrap();
        manifest
            .doubt([(a, 1), (b, 2), (a, 1)].into_iter())
            .unwrap();
        drop(manifest);
        fs::OpenOptions::new()
            .append(true)
            .open(dir.path().join("DOUBTED"))
            .unwrap()
            .write_all(b"\xff\n1")
            .unwrap();
        let mut manifest = Manifest::open(dir.path()).unwrap();
        assert!([a, b].iter().all(|f| manifest.doubted().any(|d| d == *f)));
        assert!(manifest.is_doubted(a, 1) && manifest.is_doubted(b, 2));
        manifest.verify_all().unwrap();
        drop(manifest);
        assert_eq!(Manifest::open(dir.path()).unwrap().doubted().count(), 0);
    }

    #[test]
    fn damage_costs_trust_and_a_newer_format_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("MANIFEST");
        for damage in [
            "",
            "overread",
            "overread blobs 2\n",
            "overread blobs 2\nnext 5\nverified 9\n",
            "\0\0\0",
        ] {
            fs::write(&path, damage).unwrap();
            assert_eq!(
                Manifest::open(dir.path()).unwrap().verified(),
                0,
                "{damage:?}"
            );
        }
        fs::write(&path, b"\xff\xfe").unwrap();
        assert!(Manifest::open(dir.path()).is_ok());
        fs::write(&path, "overread blobs 3\nnext 5\nverified 5\n").unwrap();
        assert!(Manifest::open(dir.path()).is_err());
        assert_eq!(
            fs::read_to_string(&path).unwrap(),
            "overread blobs 3\nnext 5\nverified 5\n"
        );
    }
}
