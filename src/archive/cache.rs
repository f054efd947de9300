//! What was made lately, up to a number of bytes: frames and pictures, bodies of metadata. A viewer
//! asks for the same ones again, and several readers look at the same study. Nothing is kept of what
//! was removed for longer than others push it out, and nobody gets it: whoever asks has found the
//! instance first.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use super::frames::Frames;
use super::made::Pixels;
use crate::archive::{Archive, Error};

/// What something made is known by: a digest of the instance, and of how it was made.
pub type MadeKey = [u8; 32];

/// What an entry needs beside its bytes, about.
const ENTRY_BYTES: usize = 128;

/// The most recently used entries.
pub(super) struct Cache {
    bytes_max: usize,
    entries: Mutex<Entries>,
    /// One of those being made has been.
    made: Condvar,
}

#[derive(Default)]
struct Entries {
    known: HashMap<MadeKey, (Arc<[Bytes]>, u64)>,
    /// What they cost, and what is put together at the moment.
    bytes: usize,
    gathered: usize,
    /// Counts uses.
    clock: u64,
    /// What somebody makes at the moment: others wait for it.
    making: HashSet<MadeKey>,
}

/// What an entry costs.
fn cost(pieces: &[Bytes]) -> usize {
    let of_piece = |piece: &Bytes| piece.len() + size_of::<Bytes>();
    pieces.iter().map(of_piece).sum::<usize>() + ENTRY_BYTES
}

impl Cache {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self {
            bytes_max,
            entries: Mutex::default(),
            made: Condvar::new(),
        }
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One that would push out most of the others is not worth it.
    fn entry_max(&self) -> usize {
        self.bytes_max / 4
    }

    fn get(&self, key: &MadeKey) -> Option<Arc<[Bytes]>> {
        self.entries().get(key)
    }

    fn put(&self, key: MadeKey, pieces: Arc<[Bytes]>) {
        let cost = cost(&pieces);
        if cost > self.entry_max() {
            return;
        }
        let mut entries = self.entries();
        entries.clock += 1;
        let now = entries.clock;
        if let Some((former, _)) = entries.known.insert(key, (pieces, now)) {
            entries.bytes -= self::cost(&former);
        }
        entries.bytes += cost;
        self.make_room(&mut entries);
    }

    /// Drops what was used longest ago, a quarter at a time, so that it is seldom looked for.
    fn make_room(&self, entries: &mut Entries) {
        let held = |entries: &Entries| entries.bytes + entries.gathered;
        if held(entries) <= self.bytes_max {
            return;
        }
        let bytes_max = self.bytes_max - self.bytes_max / 4;
        let mut by_use: Vec<_> = entries
            .known
            .iter()
            .map(|(key, (_, used))| (*used, *key))
            .collect();
        by_use.sort_unstable();
        for (_, key) in by_use {
            if held(entries) <= bytes_max {
                break;
            }
            if let Some((pieces, _)) = entries.known.remove(&key) {
                entries.bytes -= cost(&pieces);
            }
        }
    }

    /// What is known by a key, else what `make` makes: only one of several who ask at once makes it,
    /// unless it fails or is not kept.
    fn made<E>(&self, key: MadeKey, make: impl FnOnce() -> Result<Bytes, E>) -> Result<Bytes, E> {
        let mut entries = self.entries();
        let mut has_waited = false;
        loop {
            if let Some(known) = entries.get(&key).and_then(|pieces| pieces.first().cloned()) {
                return Ok(known);
            }
            // Who has waited for nothing makes it beside others.
            if has_waited || entries.making.insert(key) {
                break;
            }
            while entries.making.contains(&key) {
                entries = self
                    .made
                    .wait(entries)
                    .unwrap_or_else(PoisonError::into_inner);
            }
            has_waited = true;
        }
        drop(entries);
        // Ends when it is dropped, after a panic too.
        let _making = Making { cache: self, key };
        let bytes = make()?;
        self.put(key, [bytes.clone()].into());
        Ok(bytes)
    }
}

impl Entries {
    fn get(&mut self, key: &MadeKey) -> Option<Arc<[Bytes]>> {
        self.clock += 1;
        let (pieces, used) = self.known.get_mut(key)?;
        *used = self.clock;
        Some(Arc::clone(pieces))
    }
}

struct Making<'a> {
    cache: &'a Cache,
    key: MadeKey,
}

impl Drop for Making<'_> {
    fn drop(&mut self) {
        self.cache.entries().making.remove(&self.key);
        self.cache.made.notify_all();
    }
}

/// A body that is kept while it is sent, as far as there is room for it. What is gathered counts
/// like what is kept, so slow readers of large bodies hold no more than that together.
pub struct Gathering {
    archive: Archive,
    key: MadeKey,
    /// `None` when it has become too much.
    pieces: Option<Vec<Bytes>>,
    bytes: usize,
}

impl Gathering {
    /// Adds the next piece.
    pub fn add(&mut self, piece: &Bytes) {
        let Some(pieces) = &mut self.pieces else {
            return;
        };
        let cache = &self.archive.inner.made;
        let cost = piece.len() + size_of::<Bytes>();
        let mut entries = cache.entries();
        let is_too_much =
            self.bytes + cost > cache.entry_max() || entries.gathered + cost > cache.bytes_max / 2;
        if is_too_much {
            entries.gathered -= self.bytes;
            self.bytes = 0;
            self.pieces = None;
            return;
        }
        pieces.push(piece.clone());
        self.bytes += cost;
        entries.gathered += cost;
        cache.make_room(&mut entries);
    }

    /// Keeps it: that was all.
    pub fn keep(mut self) {
        if let Some(pieces) = self.pieces.take() {
            self.give_back();
            self.archive.inner.made.put(self.key, pieces.into());
        }
    }

    fn give_back(&mut self) {
        self.archive.inner.made.entries().gathered -= self.bytes;
        self.bytes = 0;
    }
}

impl Drop for Gathering {
    fn drop(&mut self) {
        self.give_back();
    }
}

impl Archive {
    /// What was made lately under this key, in one piece. Does not block.
    #[must_use]
    pub fn made_lately(&self, key: &MadeKey) -> Option<Bytes> {
        self.inner.made.get(key)?.first().cloned()
    }

    /// A body that was gathered lately under this key. Does not block.
    #[must_use]
    pub fn gathered_lately(&self, key: &MadeKey) -> Option<Arc<[Bytes]>> {
        self.inner.made.get(key)
    }

    /// Begins to gather a body that will be known by this key.
    #[must_use]
    pub fn gather(&self, key: MadeKey) -> Gathering {
        Gathering {
            archive: self.clone(),
            key,
            pieces: Some(Vec::new()),
            bytes: 0,
        }
    }

    /// What was made lately under this key, else what `make` makes now; when several ask at once,
    /// one makes it.
    ///
    /// # Errors
    /// Those of `make`.
    pub fn made<E>(
        &self,
        key: MadeKey,
        make: impl FnOnce() -> Result<Bytes, E>,
    ) -> Result<Bytes, E> {
        self.inner.made.made(key, make)
    }

    /// Frame `number` of an instance with other pixel data.
    ///
    /// # Errors
    /// As [`Frames::frame`] and [`Frames::encoded`].
    pub fn made_frame(
        &self,
        frames: &mut Frames,
        number: u32,
        pixels: Pixels,
    ) -> Result<Bytes, Error> {
        let identity = format!("{:?} {number} {pixels:?}", frames.located().digest);
        self.made(*blake3::hash(identity.as_bytes()).as_bytes(), || {
            let made = match pixels {
                Pixels::Native => frames.frame(number)?,
                Pixels::Encoded(codec) => frames.encoded(number, codec)?,
            };
            Ok(made.into())
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;
    use std::thread;

    use super::*;

    #[test]
    fn what_was_used_longest_ago_goes_first() {
        const COST: usize = 1000 + size_of::<Bytes>() + ENTRY_BYTES;
        let cache = Cache::new(10 * COST);
        let bytes = Bytes::from(vec![7; 1000]);
        for key in 0..10 {
            cache.put([key; 32], [bytes.clone()].into());
        }
        assert!(cache.get(&[0; 32]).is_some());
        cache.put([10; 32], [bytes].into());
        let held = |key| cache.get(&[key; 32]).is_some();
        assert!(held(0) && held(10) && held(9));
        assert!(!held(1) && !held(2));
        cache.put([11; 32], [Bytes::from(vec![0; 9000])].into());
        assert!(!held(11), "too large a part of it");
        let entries = cache.entries();
        assert_eq!(entries.bytes, entries.known.len() * COST);
    }

    #[test]
    fn of_several_who_ask_at_once_one_makes() {
        let cache = Cache::new(1 << 20);
        let made = AtomicUsize::new(0);
        let (begun, begins) = mpsc::channel();
        let (go, goes) = mpsc::channel();
        let goes = Mutex::new(goes);
        thread::scope(|scope| {
            let ask = || {
                cache.made([1; 32], || {
                    made.fetch_add(1, Ordering::SeqCst);
                    begun.send(()).unwrap();
                    goes.lock().unwrap().recv().unwrap();
                    Ok::<_, ()>(Bytes::from_static(b"x"))
                })
            };
            let first = scope.spawn(ask);
            begins.recv().unwrap();
            let others: Vec<_> = (0..3).map(|_| scope.spawn(ask)).collect();
            go.send(()).unwrap();
            for thread in others.into_iter().chain([first]) {
                assert_eq!(thread.join().unwrap().unwrap(), "x");
            }
        });
        assert_eq!(made.load(Ordering::SeqCst), 1);
        assert!(cache.entries().making.is_empty());
    }

    #[test]
    fn a_failure_is_not_kept_and_frees_the_key() {
        let cache = Cache::new(1 << 20);
        assert_eq!(cache.made([1; 32], || Err(7)), Err(7));
        assert!(cache.made([1; 32], || Ok::<_, ()>(Bytes::new())).is_ok());
    }
}
