//! What something on its way in takes of what its sender may bring, where a [`Gate`] says how much that is.

use crate::access::Stay;
use crate::archive::{Error, Gate};

/// So much of it. Dropped, it is settled: given back, unless it [was kept](Share::keep).
pub(super) struct Share {
    gate: Option<Gate>,
    stay: Stay,
    bytes: u64,
    is_kept: bool,
}

impl Share {
    /// Nothing yet; without a gate, everything is free.
    pub(super) fn new(gate: Option<Gate>, stay: Stay) -> Self {
        Self {
            gate,
            stay,
            bytes: 0,
            is_kept: false,
        }
    }

    /// Takes so many bytes more.
    ///
    /// # Errors
    /// When the gate does not give them: nothing is taken then.
    pub(super) fn add(&mut self, bytes: usize) -> Result<(), Error> {
        let bytes = bytes as u64;
        if let Some(gate) = &self.gate {
            gate.0.take(self.stay, bytes)?;
            self.bytes += bytes;
        }
        Ok(())
    }

    /// Says whether it is here for good.
    pub(super) fn keep(&mut self, is_kept: bool) {
        self.is_kept = is_kept;
    }

    /// Gives back all of it.
    pub(super) fn clear(&mut self) {
        let bytes = std::mem::take(&mut self.bytes);
        if let Some(gate) = self.gate.as_ref().filter(|_| bytes > 0) {
            gate.0.settle(self.stay, bytes, self.is_kept);
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.clear();
    }
}
