//! How much may come by an inbox. What its holder has brought is counted in the ledger, what is coming at the moment beside it
//! in memory: requests that run at once share what is left.
//!
//! What was kept is written when a request ends, and once in [`UNWRITTEN_MAX`] within a long one: a crash forgets no more of
//! each that runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{Desk, lock};
use crate::access::ledger::LedgerError;

/// So much of what was kept may be unwritten while requests run. Bytes.
const UNWRITTEN_MAX: u64 = 1 << 30;

/// How long bytes stay that somebody brings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stay {
    /// For good, as an object.
    Lasting,
    /// Until their request ends: an archive, what objects are made of. They leave as much room for objects as there was, and
    /// are bounded by it.
    Passing,
}

/// An inbox by which requests run.
#[derive(Debug, Default)]
pub(super) struct Running {
    requests: usize,
    /// What the ledger says was brought; `None` until it was asked.
    written: Option<u64>,
    /// What was kept since.
    unwritten: u64,
    lasting: u64,
    passing: u64,
}

impl Running {
    fn kept(&self) -> u64 {
        self.written.unwrap_or(0).saturating_add(self.unwritten)
    }

    fn coming(&mut self, stay: Stay) -> &mut u64 {
        match stay {
            Stay::Lasting => &mut self.lasting,
            Stay::Passing => &mut self.passing,
        }
    }

    fn take(&mut self, stay: Stay, bytes: u64, max: u64) -> bool {
        let kept = self.kept();
        let coming = self.coming(stay);
        let then = coming.saturating_add(bytes);
        let is_given = kept.saturating_add(then) <= max;
        if is_given {
            *coming = then;
        }
        is_given
    }

    fn settle(&mut self, stay: Stay, bytes: u64, is_kept: bool) {
        let coming = self.coming(stay);
        *coming = coming.saturating_sub(bytes);
        if is_kept && stay == Stay::Lasting {
            self.unwritten = self.unwritten.saturating_add(bytes);
        }
    }
}

/// What one request may bring by an inbox. Dropped, what it has brought is in the ledger; blocks for that, when there is any.
pub struct Allowance {
    desk: Arc<Desk>,
    grant: i64,
    /// Whether anything that it has brought was kept.
    has_kept: AtomicBool,
}

impl Allowance {
    /// A request begins. Does not block.
    #[must_use]
    pub fn begin(desk: Arc<Desk>, grant: i64) -> Self {
        lock(&desk.bringing).entry(grant).or_default().requests += 1;
        Self {
            desk,
            grant,
            has_kept: AtomicBool::new(false),
        }
    }

    /// Whether so many bytes more may come; they are taken then. Blocks.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub fn take(&self, stay: Stay, bytes: u64) -> Result<bool, LedgerError> {
        let max = self.desk.settings.inbox_bytes_max;
        let known = |running: &mut Running| {
            let is_known = running.written.is_some();
            is_known.then(|| running.take(stay, bytes, max))
        };
        if let Some(is_given) = self.with(known).flatten() {
            return Ok(is_given);
        }
        // While this request runs nobody forgets what is found now, and what others wrote since they knew it.
        let written = self.desk.ledger.inbox_bytes(self.grant)?;
        let taken = self.with(|running| {
            running.written.get_or_insert(written);
            running.take(stay, bytes, max)
        });
        Ok(taken.unwrap_or(false))
    }

    /// What was taken stays, or goes again. Blocks now and then.
    pub fn settle(&self, stay: Stay, bytes: u64, is_kept: bool) {
        self.has_kept.fetch_or(is_kept, Ordering::AcqRel);
        let is_due = self.with(|running| {
            running.settle(stay, bytes, is_kept);
            running.unwritten >= UNWRITTEN_MAX
        });
        if is_due == Some(true) {
            self.write();
        }
    }

    /// Writes what was kept. What cannot be written is tried again at the next end.
    fn write(&self) {
        let due = self.with(|running| {
            let due = std::mem::take(&mut running.unwritten);
            running.written = running.written.map(|written| written.saturating_add(due));
            due
        });
        let Some(due) = due.filter(|due| *due > 0) else {
            return;
        };
        if let Err(error) = self.desk.ledger.count_inbox(self.grant, due) {
            tracing::error!(%error, inbox = self.grant, "what came by an inbox was not counted yet");
            self.with(|running| {
                running.written = running.written.map(|written| written.saturating_sub(due));
                running.unwritten = running.unwritten.saturating_add(due);
            });
        }
    }

    fn with<T>(&self, work: impl FnOnce(&mut Running) -> T) -> Option<T> {
        lock(&self.desk.bringing).get_mut(&self.grant).map(work)
    }
}

impl Drop for Allowance {
    fn drop(&mut self) {
        if self.has_kept.load(Ordering::Acquire) {
            self.write();
        }
        let mut bringing = lock(&self.desk.bringing);
        if let Some(running) = bringing.get_mut(&self.grant) {
            running.requests = running.requests.saturating_sub(1);
            if running.requests == 0 && running.unwritten == 0 {
                bringing.remove(&self.grant);
            }
        }
    }
}

impl Desk {
    /// How much has been brought by an inbox, of which the ledger says `written`.
    #[must_use]
    pub fn brought(&self, grant: i64, written: u64) -> u64 {
        let bringing = lock(&self.bringing);
        let running = bringing.get(&grant);
        let known = running.filter(|running| running.written.is_some());
        known.map_or(written, Running::kept)
    }

    /// How much may still come by an inbox, but for what is coming. Blocks.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub fn inbox_left(&self, grant: i64) -> Result<u64, LedgerError> {
        let brought = self.brought(grant, self.ledger.inbox_bytes(grant)?);
        Ok(self.settings.inbox_bytes_max.saturating_sub(brought))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_at_once_share_what_is_left() {
        let mut running = Running {
            written: Some(40),
            ..Running::default()
        };
        assert!(running.take(Stay::Lasting, 50, 100));
        assert!(!running.take(Stay::Lasting, 11, 100));
        assert!(running.take(Stay::Lasting, 10, 100));
        // An archive does not take the room of what it holds, nor more than there is.
        assert!(running.take(Stay::Passing, 60, 100));
        assert!(!running.take(Stay::Passing, 1, 100));
        running.settle(Stay::Passing, 60, false);
        // What was here already is given back.
        running.settle(Stay::Lasting, 10, false);
        running.settle(Stay::Lasting, 50, true);
        assert_eq!(running.kept(), 90);
        assert!(!running.take(Stay::Lasting, 11, 100));
        assert!(!running.take(Stay::Passing, u64::MAX, 100));
        assert!(running.take(Stay::Lasting, 10, 100));
    }
}
