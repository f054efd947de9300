//! Open files: a bounded number kept open, and one `fdatasync` shared by all who wait for the
//! same file.

use std::collections::{HashMap, HashSet};
use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::disk::failure;
use super::layout;
use crate::archive::Error;

/// Descriptors kept open; a quarter goes when it is reached. Well under the usual limit of 1024.
const OPEN_MAX: usize = 256;

/// Takes a lock. Nothing of ours panics while it holds one, so a poisoned one is still whole.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One open file.
pub(super) struct OpenFile {
    pub(super) number: u64,
    pub(super) file: File,
    rounds: Mutex<Rounds>,
    ended: Condvar,
}

/// Sync calls so far, counted; the last one may still run.
#[derive(Default)]
struct Rounds {
    begun: u64,
    ended: u64,
    waiting: usize,
    has_failed: bool,
}

impl OpenFile {
    pub(super) fn new(number: u64, file: File) -> Self {
        Self {
            number,
            file,
            rounds: Mutex::default(),
            ended: Condvar::new(),
        }
    }

    /// Makes all that was written before this call durable. Callers that come while a sync runs
    /// wait for the next one and share it.
    ///
    /// # Errors
    /// Also ever after the first failure: the system may have dropped what it could not write.
    pub(super) fn sync(&self) -> io::Result<()> {
        let mut rounds = lock(&self.rounds);
        let mine = rounds.begun + 1;
        while rounds.ended < mine && !rounds.has_failed {
            if rounds.begun > rounds.ended {
                rounds.waiting += 1;
                rounds = self
                    .ended
                    .wait(rounds)
                    .unwrap_or_else(PoisonError::into_inner);
                rounds.waiting -= 1;
                continue;
            }
            rounds.begun += 1;
            drop(rounds);
            let outcome = self.file.sync_data();
            rounds = lock(&self.rounds);
            rounds.ended += 1;
            rounds.has_failed |= outcome.is_err();
            if rounds.waiting > 0 {
                self.ended.notify_all();
            }
            outcome?;
        }
        if rounds.has_failed {
            Err(io::Error::other("an earlier sync of this file failed"))
        } else {
            Ok(())
        }
    }
}

/// The files that are open.
#[derive(Default)]
pub(super) struct OpenFiles {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    clock: u64,
    open: HashMap<u64, (Arc<OpenFile>, u64)>,
    /// Files whose sync failed: never to be believed again by this process.
    failed: HashSet<u64>,
}

impl OpenFiles {
    /// The file, opened now if need be.
    ///
    /// # Errors
    /// [`Error::NotFound`] when it is not there.
    pub(super) fn get(&self, root: &Path, number: u64) -> Result<Arc<OpenFile>, Error> {
        if let Some(file) = lock(&self.inner).touch(number) {
            return Ok(file);
        }
        let file = match OpenOptions::new()
            .read(true)
            .write(true)
            .open(layout::path(root, number))
        {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Err(Error::NotFound),
            opened => opened.map_err(failure("opening a blob file"))?,
        };
        Ok(self.add(OpenFile::new(number, file)))
    }

    /// The file, if it is open.
    pub(super) fn open_already(&self, number: u64) -> Option<Arc<OpenFile>> {
        lock(&self.inner).touch(number)
    }

    /// Keeps a file open, unless another thread was faster: then that one is used.
    pub(super) fn add(&self, file: OpenFile) -> Arc<OpenFile> {
        let mut inner = lock(&self.inner);
        if let Some(present) = inner.touch(file.number) {
            return present;
        }
        if inner.open.len() >= OPEN_MAX {
            inner.close_oldest();
        }
        let file = Arc::new(file);
        let now = inner.clock;
        inner.open.insert(file.number, (Arc::clone(&file), now));
        file
    }

    /// Closes a file as soon as nobody uses it.
    pub(super) fn forget(&self, number: u64) {
        lock(&self.inner).open.remove(&number);
    }

    /// Makes a file durable; a file that failed once fails for good, even when reopened.
    pub(super) fn sync(&self, file: &OpenFile) -> Result<(), Error> {
        let outcome = if lock(&self.inner).failed.contains(&file.number) {
            Err(io::Error::other("an earlier sync of this file failed"))
        } else {
            file.sync()
        };
        if outcome.is_err() {
            lock(&self.inner).failed.insert(file.number);
        }
        outcome.map_err(failure("syncing a blob file"))
    }
}

impl Inner {
    fn touch(&mut self, number: u64) -> Option<Arc<OpenFile>> {
        self.clock += 1;
        let (file, used) = self.open.get_mut(&number)?;
        *used = self.clock;
        Some(Arc::clone(file))
    }

    fn close_oldest(&mut self) {
        let mut uses: Vec<u64> = self.open.values().map(|(_, used)| *used).collect();
        let (_, limit, _) = uses.select_nth_unstable(OPEN_MAX / 4);
        let limit = *limit;
        self.open.retain(|_, (_, used)| *used > limit);
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn few_stay_open_and_all_can_be_reached() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(layout::folder(dir.path(), 0)).unwrap();
        let files = OpenFiles::default();
        for number in 0..600 {
            std::fs::write(layout::path(dir.path(), number), b"x").unwrap();
            assert_eq!(files.get(dir.path(), number).unwrap().number, number);
        }
        assert!((OPEN_MAX / 2..=OPEN_MAX).contains(&lock(&files.inner).open.len()));
        let again = files.get(dir.path(), 599).unwrap();
        assert!(Arc::ptr_eq(&again, &files.get(dir.path(), 599).unwrap()));
        assert!(files.get(dir.path(), 0).is_ok());
        files.forget(0);
        std::fs::remove_file(layout::path(dir.path(), 0)).unwrap();
        assert!(matches!(files.get(dir.path(), 0), Err(Error::NotFound)));
    }

    #[test]
    fn a_failed_sync_is_final_for_all() {
        // A pipe cannot be synced: EINVAL.
        let (_reader, writer) = io::pipe().unwrap();
        let file = OpenFile::new(2, File::from(std::os::fd::OwnedFd::from(writer)));
        let files = OpenFiles::default();
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| assert!(matches!(files.sync(&file), Err(Error::Broken(_)))));
            }
        });
        let reopened = OpenFile::new(2, tempfile::tempfile().unwrap());
        assert!(files.sync(&reopened).is_err());
        assert!(
            files
                .sync(&OpenFile::new(4, tempfile::tempfile().unwrap()))
                .is_ok()
        );
    }
}
