//! The blobs of a directory that another process may own: read, never written. A shelf of its own,
//! because opening [`Filesystem`] takes file numbers and sweeps.

use std::fmt;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::disk::failure;
use super::layout::{self, Kind};
use super::open_files::OpenFiles;
use super::{Filesystem, manifest, recover};
use crate::archive::blob::{FoundOrphan, LiveBlobs, Staged, Swept};
use crate::archive::{BlobStore, Error, Locator};

/// Blobs on a local disk, for reading only. Whatever would write fails.
pub struct FilesystemReader {
    root: PathBuf,
    files: OpenFiles,
}

impl FilesystemReader {
    /// Looks at a directory. Nothing in it is made or changed.
    ///
    /// # Errors
    /// When it is not there, or a newer program wrote it.
    pub fn open(dir: &Path) -> Result<Self, Error> {
        manifest::check_version(dir).map_err(failure("opening the blob directory"))?;
        Ok(Self {
            root: dir.to_owned(),
            files: OpenFiles::default(),
        })
    }
}

impl fmt::Display for FilesystemReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.root.display())
    }
}

fn refused<T>() -> Result<T, Error> {
    Err(Error::broken(
        "writing a blob",
        "the directory is open for reading only",
    ))
}

impl BlobStore for FilesystemReader {
    fn put(&self, _: &[u8], _: &[u8], _: &[u8]) -> Result<Locator, Error> {
        refused()
    }

    fn stage(&self) -> Result<Box<dyn Staged>, Error> {
        refused()
    }

    fn sync(&self, _: &[Locator]) -> Result<(), Error> {
        refused()
    }

    fn read_at(&self, locator: &Locator, offset: u64, buffer: &mut [u8]) -> Result<(), Error> {
        let end = offset
            .checked_add(buffer.len() as u64)
            .filter(|end| *end <= locator.length);
        let (Some(_), Some(start)) = (end, locator.offset.checked_add(offset)) else {
            return Err(Error::broken("read of a blob", "outside of it"));
        };
        let file = self.files.get(&self.root, locator.file)?;
        let read = file.file.read_exact_at(buffer, start);
        // The owner may punch a blob at any time: one whose record is gone after the read is gone.
        if layout::kind(locator.file) == Kind::Segment && !Filesystem::is_there(&file, locator)? {
            return Err(Error::NotFound);
        }
        read.map_err(failure("reading a blob"))
    }

    fn condemn(&self, _: &[Locator]) -> Result<(), Error> {
        refused()
    }

    fn delete(&self, _: &[Locator]) -> Result<(), Error> {
        refused()
    }

    fn orphans(&self, _: &mut LiveBlobs<'_>, _: &mut FoundOrphan<'_>) -> Result<(), Error> {
        refused()
    }

    fn recover(&self, _: &mut LiveBlobs<'_>) -> Result<Swept, Error> {
        refused()
    }

    fn files(&self) -> Result<Vec<(u64, u64)>, Error> {
        recover::held_files(&self.root, &self.files)
    }

    fn free_bytes(&self) -> Result<Option<u64>, Error> {
        let free = rustix::fs::statvfs(&self.root)
            .map_err(|e| failure("asking for free space")(io::Error::from(e)))?;
        Ok(Some(free.f_bavail.saturating_mul(free.f_frsize)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::contract::{pattern, read};

    #[test]
    fn reads_beside_the_owner_and_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let owner = Filesystem::open(dir.path()).unwrap();
        let kept = owner.put(b"", &pattern(1, 9_000), b"").unwrap();
        let manifest = std::fs::read(dir.path().join("MANIFEST")).unwrap();
        let reader = FilesystemReader::open(dir.path()).unwrap();
        assert_eq!(read(&reader, &kept).unwrap(), pattern(1, 9_000));
        let later = owner.put(b"", &pattern(2, 9_000), b"").unwrap();
        assert_eq!(read(&reader, &later).unwrap(), pattern(2, 9_000));
        owner.delete(&[later]).unwrap();
        assert!(matches!(
            reader.read_at(&later, 0, &mut [0; 9_000]),
            Err(Error::NotFound)
        ));
        assert!(reader.put(b"", b"x", b"").is_err());
        assert!(reader.delete(&[kept]).is_err());
        assert!(reader.recover(&mut |_| Ok(Vec::new())).is_err());
        assert_eq!(
            std::fs::read(dir.path().join("MANIFEST")).unwrap(),
            manifest
        );
    }

    #[test]
    fn makes_no_directory() {
        let dir = tempfile::tempdir().unwrap();
        assert!(FilesystemReader::open(&dir.path().join("blobs")).is_err());
        assert!(!dir.path().join("blobs").exists());
    }
}
