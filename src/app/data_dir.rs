//! The data directory: made for its owner's eyes only, and owned by one process at a time. The
//! owner holds a lock on the file `lock`, which the kernel releases however the process ends; the
//! pid in it is only for telling people. `index.sqlite` carries the version of the format.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use crate::archive::index::Lineage;

/// Why a data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be made or opened.
    #[error("cannot use the data directory {}: {source}", path.display())]
    Unusable {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another process owns it.
    #[error("the data directory {} is in use by process {owner}", path.display())]
    InUse {
        /// The directory.
        path: PathBuf,
        /// The pid of its owner, or `unknown`.
        owner: String,
    },
    /// The index is not the one that these blobs belong to, or an older copy of it.
    #[error(
        "the index in {} is {what} than the blobs beside it know: starting would remove every image it does not name. \
         Put the right index.sqlite back (with its -wal), or delete the file `lineage` there to have it take in all images",
        path.display()
    )]
    Stranger {
        /// The directory.
        path: PathBuf,
        /// `another` or `older`.
        what: &'static str,
    },
    /// There is none, and the command would not make one.
    #[error("there is no archive in {}", path.display())]
    Missing {
        /// The directory.
        path: PathBuf,
    },
}

/// A data directory. Owned, or only looked at.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    /// Held, not read: the lock lives as long as the open file.
    _lock: Option<File>,
}

impl DataDir {
    /// Takes the directory for this process alone, making it when it is not there.
    ///
    /// # Errors
    /// [`Error::InUse`] names the process that has it.
    pub fn own(path: &Path) -> Result<Self, Error> {
        let unusable = |source| Error::Unusable {
            path: path.to_owned(),
            source,
        };
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(unusable)?;
        let mut lock = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path.join("lock"))
            .map_err(unusable)?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                return Err(Error::InUse {
                    path: path.to_owned(),
                    owner: owner(&mut lock),
                });
            }
            Err(errno) => return Err(unusable(errno.into())),
        }
        write_pid(&mut lock).map_err(unusable)?;
        Ok(Self {
            path: path.to_owned(),
            _lock: Some(lock),
        })
    }

    /// Looks at a directory that some other process may own. Nothing in it may be changed.
    ///
    /// # Errors
    /// [`Error::Missing`] when no archive is there.
    pub fn look(path: &Path) -> Result<Self, Error> {
        let found = Self {
            path: path.to_owned(),
            _lock: None,
        };
        if found.index().is_file() {
            Ok(found)
        } else {
            Err(Error::Missing { path: found.path })
        }
    }

    /// Whether this is the index that was here when the directory was last given up, and not an
    /// older copy of it; `false` when nothing was noted.
    ///
    /// # Errors
    /// [`Error::Stranger`] when it is not.
    pub fn check_lineage(&self, lineage: &Lineage) -> Result<bool, Error> {
        let stranger = |what| Error::Stranger {
            path: self.path.clone(),
            what,
        };
        let noted = match std::fs::read_to_string(self.lineage()) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(source) => {
                return Err(Error::Unusable {
                    path: self.path.clone(),
                    source,
                });
            }
        };
        // What a full disk or a crash cut off says nothing.
        let Some((id, change)) = noted.trim_end().split_once(' ') else {
            return Ok(false);
        };
        if id != lineage.id {
            return Err(stranger("another"));
        }
        match change.parse::<u64>() {
            Ok(change) if change > lineage.change => Err(stranger("older")),
            Ok(_) => Ok(true),
            Err(_) => Ok(false),
        }
    }

    /// Notes which index is here and how far it has come.
    ///
    /// # Errors
    /// When it cannot be written; the note before stays.
    pub fn note_lineage(&self, lineage: &Lineage) -> io::Result<()> {
        let new = self.path.join("lineage.new");
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&new)?;
        writeln!(file, "{} {}", lineage.id, lineage.change)?;
        file.sync_all()?;
        std::fs::rename(&new, self.lineage())?;
        File::open(&self.path)?.sync_all()
    }

    fn lineage(&self) -> PathBuf {
        self.path.join("lineage")
    }

    /// Where the index is.
    #[must_use]
    pub fn index(&self) -> PathBuf {
        self.path.join("index.sqlite")
    }

    /// Where accounts, the audit trail and what people say are.
    #[must_use]
    pub fn ledger(&self) -> PathBuf {
        self.path.join(super::LEDGER)
    }

    /// Where the blobs are.
    #[must_use]
    pub fn blobs(&self) -> PathBuf {
        self.path.join("blobs")
    }

    /// The directory itself.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// The pid that the owner wrote. The owner may be between locking and writing: then it is unknown.
fn owner(lock: &mut File) -> String {
    let mut text = String::new();
    let is_read = lock.take(32).read_to_string(&mut text).is_ok();
    let pid = text.trim();
    if is_read && !pid.is_empty() && pid.bytes().all(|b| b.is_ascii_digit()) {
        pid.to_owned()
    } else {
        "unknown".to_owned()
    }
}

fn write_pid(lock: &mut File) -> io::Result<()> {
    lock.set_len(0)?;
    lock.rewind()?;
    writeln!(lock, "{}", std::process::id())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn one_process_owns_a_directory() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("a/b");
        let first = DataDir::own(&path).unwrap();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o700);
        match DataDir::own(&path) {
            Err(Error::InUse { owner, .. }) => assert_eq!(owner, std::process::id().to_string()),
            other => panic!("{other:?}"),
        }
        drop(first);
        DataDir::own(&path).unwrap();
    }

    #[test]
    fn another_or_an_older_index_is_a_stranger() {
        let place = tempfile::tempdir().unwrap();
        let owned = DataDir::own(place.path()).unwrap();
        let lineage = |id: &str, change| Lineage {
            id: id.into(),
            change,
        };
        assert!(!owned.check_lineage(&lineage("a", 0)).unwrap());
        owned.note_lineage(&lineage("a", 7)).unwrap();
        assert!(owned.check_lineage(&lineage("a", 7)).unwrap());
        assert!(owned.check_lineage(&lineage("a", 8)).unwrap());
        for stranger in [lineage("b", 9), lineage("a", 6)] {
            let told = owned.check_lineage(&stranger);
            assert!(matches!(told, Err(Error::Stranger { .. })), "{told:?}");
        }
    }

    #[test]
    fn looking_makes_nothing() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("nowhere");
        assert!(matches!(DataDir::look(&path), Err(Error::Missing { .. })));
        assert!(!path.exists());
        let owned = DataDir::own(&path).unwrap();
        assert!(matches!(DataDir::look(&path), Err(Error::Missing { .. })));
        std::fs::write(owned.index(), "").unwrap();
        DataDir::look(&path).unwrap();
    }
}
