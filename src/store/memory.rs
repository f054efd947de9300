//! Blobs in memory, for tests of the deeds: nothing survives the process, so nothing needs
//! syncing. Each blob is a file of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::archive::blob::{
    FoundOrphan, LiveBlobs, NOTE_BYTES_MAX, STAGED_HEAD_MAX, Staged, Swept,
};
use crate::archive::{BlobStore, Error, Locator};

/// See the module.
#[derive(Default)]
pub struct Memory {
    held: Arc<Mutex<Held>>,
}

#[derive(Default)]
struct Held {
    next: u64,
    blobs: BTreeMap<u64, Arc<[u8]>>,
    notes: BTreeMap<u64, Box<[u8]>>,
    condemned: BTreeSet<u64>,
}

struct Scratch {
    held: Arc<Mutex<Held>>,
    body: Vec<u8>,
}

fn lock(held: &Mutex<Held>) -> MutexGuard<'_, Held> {
    held.lock().unwrap_or_else(PoisonError::into_inner)
}

fn copy_out(from: &[u8], offset: u64, buffer: &mut [u8]) -> Result<(), Error> {
    let range = usize::try_from(offset)
        .ok()
        .and_then(|start| Some(start..start.checked_add(buffer.len())?));
    let bytes = range.and_then(|range| from.get(range));
    buffer.copy_from_slice(bytes.ok_or_else(|| Error::broken("read of a blob", "outside of it"))?);
    Ok(())
}

impl Held {
    fn add(&mut self, blob: Arc<[u8]>, note: &[u8]) -> Locator {
        let file = self.next;
        self.next += 1;
        let length = blob.len() as u64;
        self.blobs.insert(file, blob);
        self.notes.insert(file, note.into());
        Locator {
            file,
            offset: 0,
            length,
        }
    }

    fn get(&self, locator: &Locator) -> Result<Arc<[u8]>, Error> {
        let blob = self.blobs.get(&locator.file).ok_or(Error::NotFound)?;
        let is_whole = locator.offset == 0 && locator.length == blob.len() as u64;
        if is_whole {
            Ok(Arc::clone(blob))
        } else {
            Err(Error::NotFound)
        }
    }
}

impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("memory")
    }
}

impl BlobStore for Memory {
    fn put(&self, head: &[u8], body: &[u8], note: &[u8]) -> Result<Locator, Error> {
        if note.len() > NOTE_BYTES_MAX {
            return Err(Error::broken("put of a blob", "its note is too long"));
        }
        Ok(lock(&self.held).add([head, body].concat().into(), note))
    }

    fn stage(&self) -> Result<Box<dyn Staged>, Error> {
        Ok(Box::new(Scratch {
            held: Arc::clone(&self.held),
            body: Vec::new(),
        }))
    }

    fn sync(&self, locators: &[Locator]) -> Result<(), Error> {
        let held = lock(&self.held);
        locators
            .iter()
            .try_for_each(|locator| held.get(locator).map(drop))
    }

    fn read_at(&self, locator: &Locator, offset: u64, buffer: &mut [u8]) -> Result<(), Error> {
        let blob = lock(&self.held).get(locator)?;
        copy_out(&blob, offset, buffer)
    }

    fn condemn(&self, locators: &[Locator]) -> Result<(), Error> {
        let files = locators.iter().map(|locator| locator.file);
        lock(&self.held).condemned.extend(files);
        Ok(())
    }

    fn delete(&self, locators: &[Locator]) -> Result<(), Error> {
        let mut held = lock(&self.held);
        for locator in locators {
            if held.get(locator).is_ok() {
                held.blobs.remove(&locator.file);
            }
        }
        Ok(())
    }

    fn orphans(&self, live: &mut LiveBlobs<'_>, found: &mut FoundOrphan<'_>) -> Result<(), Error> {
        let files: Vec<u64> = lock(&self.held).blobs.keys().copied().collect();
        for file in files {
            let held = lock(&self.held);
            let is_condemned = held.condemned.contains(&file);
            let (Some(blob), Some(note)) = (held.blobs.get(&file), held.notes.get(&file)) else {
                continue;
            };
            let locator = Locator {
                file,
                offset: 0,
                length: blob.len() as u64,
            };
            let note = note.clone();
            drop(held);
            if !is_condemned && live(file)?.is_empty() {
                found(locator, &note)?;
            }
        }
        Ok(())
    }

    fn recover(&self, live: &mut LiveBlobs<'_>) -> Result<Swept, Error> {
        let files: Vec<u64> = lock(&self.held).blobs.keys().copied().collect();
        let mut swept = Swept::default();
        for file in files {
            if live(file)?.is_empty() {
                let gone = lock(&self.held).blobs.remove(&file);
                swept.orphan_bytes += gone.map_or(0, |blob| blob.len() as u64);
            }
        }
        Ok(swept)
    }

    fn files(&self) -> Result<Vec<(u64, u64)>, Error> {
        Ok(lock(&self.held)
            .blobs
            .iter()
            .map(|(file, blob)| (*file, blob.len() as u64))
            .collect())
    }

    fn free_bytes(&self) -> Result<Option<u64>, Error> {
        Ok(None)
    }
}

impl Staged for Scratch {
    fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.body.extend_from_slice(bytes);
        Ok(())
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), Error> {
        copy_out(&self.body, offset, buffer)
    }

    fn finish(self: Box<Self>, head: &[u8], note: &[u8]) -> Result<Locator, Error> {
        if head.len() > STAGED_HEAD_MAX {
            return Err(Error::broken(
                "finish of a staged blob",
                "its head is too long",
            ));
        }
        if note.len() > NOTE_BYTES_MAX {
            return Err(Error::broken(
                "finish of a staged blob",
                "its note is too long",
            ));
        }
        Ok(lock(&self.held).add([head, &self.body].concat().into(), note))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::contract;

    #[test]
    fn keeps_the_contract() {
        contract::check_all(&|| Box::new(Memory::default()));
    }
}
