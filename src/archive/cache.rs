//! Frames and pictures that were made lately, up to a number of bytes: a viewer asks for the same
//! ones again, and several readers look at the same study. Nothing is kept of what was removed for
//! longer than others push it out, and nobody gets it: whoever asks has found the instance first.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

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
}

#[derive(Default)]
struct Entries {
    known: HashMap<MadeKey, (Bytes, u64)>,
    bytes: usize,
    /// Counts uses.
    clock: u64,
}

impl Cache {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self {
            bytes_max,
            entries: Mutex::default(),
        }
    }

    fn get(&self, key: &MadeKey) -> Option<Bytes> {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.clock += 1;
        let now = entries.clock;
        let (bytes, used) = entries.known.get_mut(key)?;
        *used = now;
        Some(bytes.clone())
    }

    fn put(&self, key: MadeKey, bytes: &Bytes) {
        let cost = bytes.len() + ENTRY_BYTES;
        // One that would push out most of the others is not worth it.
        if cost > self.bytes_max / 4 {
            return;
        }
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.clock += 1;
        let now = entries.clock;
        if let Some((former, _)) = entries.known.insert(key, (bytes.clone(), now)) {
            entries.bytes -= former.len() + ENTRY_BYTES;
        }
        entries.bytes += cost;
        if entries.bytes > self.bytes_max {
            entries.make_room(self.bytes_max - self.bytes_max / 4);
        }
    }
}

impl Entries {
    /// Drops what was used longest ago, a quarter at a time, so that it is seldom looked for.
    fn make_room(&mut self, bytes_max: usize) {
        let mut by_use: Vec<_> = self
            .known
            .iter()
            .map(|(key, (_, used))| (*used, *key))
            .collect();
        by_use.sort_unstable();
        for (_, key) in by_use {
            if self.bytes <= bytes_max {
                break;
            }
            if let Some((bytes, _)) = self.known.remove(&key) {
                self.bytes -= bytes.len() + ENTRY_BYTES;
            }
        }
    }
}

impl Archive {
    /// What was made lately under this key, else what `make` makes now.
    ///
    /// # Errors
    /// Those of `make`.
    pub fn made<E>(
        &self,
        key: MadeKey,
        make: impl FnOnce() -> Result<Bytes, E>,
    ) -> Result<Bytes, E> {
        if let Some(bytes) = self.inner.made.get(&key) {
            return Ok(bytes);
        }
        let bytes = make()?;
        self.inner.made.put(key, &bytes);
        Ok(bytes)
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
    use super::*;

    #[test]
    fn what_was_used_longest_ago_goes_first() {
        let cache = Cache::new(10 * (1000 + ENTRY_BYTES));
        let bytes = Bytes::from(vec![7; 1000]);
        for key in 0..10 {
            cache.put([key; 32], &bytes);
        }
        assert!(cache.get(&[0; 32]).is_some());
        cache.put([10; 32], &bytes);
        let held = |key| cache.get(&[key; 32]).is_some();
        assert!(held(0) && held(10) && held(9));
        assert!(!held(1) && !held(2));
        cache.put([11; 32], &Bytes::from(vec![0; 9000]));
        assert!(!held(11), "too large a part of it");
        let entries = cache.entries.lock().unwrap();
        assert_eq!(entries.bytes, entries.known.len() * (1000 + ENTRY_BYTES));
    }
}
