//! What subscribers were not told yet: a mailbox for each AE, filled by the worklist and emptied by one connection.
//!
//! The standard does not ask that reports wait for anybody (PS3.4 §CC.2.4.3). They do here, in memory and within bounds,
//! because a client subscribes first and then opens the channel that the answer names. When a mailbox is full its
//! oldest report goes; what was handed to a connection that then breaks is lost.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::report;
use crate::dicom::{AeTitle, Uid};
use crate::worklist::Courier;
use crate::worklist::event::EventReport;

/// The most reports in one mailbox.
const REPORTS_MAX: usize = 4096;
/// The most bytes in one mailbox.
const MAILBOX_BYTES_MAX: usize = 4 << 20;
/// The most bytes in all mailboxes together.
const BYTES_MAX: usize = 64 << 20;
/// The most mailboxes; also the most connections.
const MAILBOXES_MAX: usize = 2000;

/// All mailboxes.
#[derive(Default)]
pub struct Channels {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    mailboxes: HashMap<AeTitle, Mailbox>,
    /// Of all mailboxes.
    bytes: usize,
    /// The number of the connection that was opened last.
    last: u64,
    is_closed: bool,
}

#[derive(Default)]
struct Mailbox {
    waiting: VecDeque<Report>,
    bytes: usize,
    message_id: u16,
    reader: Option<Reader>,
}

impl Mailbox {
    /// Takes the oldest report out, and says how many bytes it was.
    fn drop_oldest(&mut self) -> usize {
        let bytes = self
            .waiting
            .pop_front()
            .map_or(0, |report| report.text.len());
        self.bytes -= bytes;
        bytes
    }
}

/// A report as it is sent.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Report {
    /// Of which workitem, or of which well-known instance.
    pub(super) workitem: Uid,
    /// The text frame.
    pub(super) text: String,
}

/// The connection that empties a mailbox.
struct Reader {
    number: u64,
    woken: Arc<Notify>,
}

/// A connection's hold on a mailbox; given up when dropped.
pub(super) struct Connection {
    channels: Arc<Channels>,
    ae: AeTitle,
    number: u64,
    woken: Arc<Notify>,
}

/// What a connection finds.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// The next report.
    Report(Report),
    /// Nothing yet.
    Nothing,
    /// A later connection of the same AE has the mailbox now.
    Replaced,
    /// The server stops, and nothing is left.
    Closed,
}

impl Channels {
    /// Opens the channel of an AE. One that is open already ends: a workstation that lost its network comes back
    /// before we know that it went. `None` when there are too many, or the server stops.
    pub(super) fn open(self: &Arc<Self>, ae: &AeTitle) -> Option<Connection> {
        let mut inner = self.lock();
        let is_full = inner.mailboxes.len() >= MAILBOXES_MAX && !inner.mailboxes.contains_key(ae);
        if inner.is_closed || is_full {
            return None;
        }
        inner.last += 1;
        let (number, woken) = (inner.last, Arc::new(Notify::new()));
        let mailbox = inner.mailboxes.entry(ae.clone()).or_default();
        let reader = Reader {
            number,
            woken: Arc::clone(&woken),
        };
        if let Some(before) = mailbox.reader.replace(reader) {
            before.woken.notify_one();
        }
        Some(Connection {
            channels: Arc::clone(self),
            ae: ae.clone(),
            number,
            woken,
        })
    }

    /// Lets every connection send what waits for it and then end; none is opened any more.
    pub fn close(&self) {
        let mut inner = self.lock();
        inner.is_closed = true;
        for reader in inner
            .mailboxes
            .values()
            .filter_map(|box_| box_.reader.as_ref())
        {
            reader.woken.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // No step in here leaves it half done.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Courier for Channels {
    fn carry(&self, receiving_ae: &AeTitle, report: &EventReport) {
        let mut inner = self.lock();
        let inner = &mut *inner;
        if inner.mailboxes.len() >= MAILBOXES_MAX && !inner.mailboxes.contains_key(receiving_ae) {
            return;
        }
        let mailbox = inner.mailboxes.entry(receiving_ae.clone()).or_default();
        mailbox.message_id = mailbox.message_id.wrapping_add(1);
        let text = report::text(report, mailbox.message_id);
        mailbox.bytes += text.len();
        inner.bytes += text.len();
        let workitem = report.workitem.clone();
        mailbox.waiting.push_back(Report { workitem, text });
        while mailbox.waiting.len() > REPORTS_MAX || mailbox.bytes > MAILBOX_BYTES_MAX {
            inner.bytes -= mailbox.drop_oldest();
        }
        if let Some(reader) = &mailbox.reader {
            reader.woken.notify_one();
        }
        // Who reads nothing pays for it, not who was told last.
        while inner.bytes > BYTES_MAX {
            let largest = inner.mailboxes.values_mut().max_by_key(|box_| box_.bytes);
            match largest.map_or(0, Mailbox::drop_oldest) {
                0 => break,
                freed => inner.bytes -= freed,
            }
        }
    }

    fn forget(&self, receiving_ae: &AeTitle) {
        let mut inner = self.lock();
        let inner = &mut *inner;
        let Some(mailbox) = inner.mailboxes.get_mut(receiving_ae) else {
            return;
        };
        inner.bytes -= mailbox.bytes;
        mailbox.bytes = 0;
        mailbox.waiting.clear();
        if mailbox.reader.is_none() {
            inner.mailboxes.remove(receiving_ae);
        }
    }
}

impl Connection {
    /// What is next for this connection.
    pub(super) fn next(&self) -> Found {
        let mut inner = self.channels.lock();
        let inner = &mut *inner;
        let Some(mailbox) = inner.mailboxes.get_mut(&self.ae) else {
            return Found::Replaced;
        };
        let is_ours = |reader: &Reader| reader.number == self.number;
        if !mailbox.reader.as_ref().is_some_and(is_ours) {
            return Found::Replaced;
        }
        if let Some(report) = mailbox.waiting.pop_front() {
            mailbox.bytes -= report.text.len();
            inner.bytes -= report.text.len();
            return Found::Report(report);
        }
        if inner.is_closed {
            Found::Closed
        } else {
            Found::Nothing
        }
    }

    /// Puts a report back that was not sent: it is the next one again, for whoever is connected then.
    pub(super) fn put_back(&self, report: Report) {
        let mut inner = self.channels.lock();
        let inner = &mut *inner;
        // Gone when the AE gave up its subscriptions meanwhile.
        if let Some(mailbox) = inner.mailboxes.get_mut(&self.ae) {
            mailbox.bytes += report.text.len();
            inner.bytes += report.text.len();
            mailbox.waiting.push_front(report);
            if let Some(reader) = &mailbox.reader {
                reader.woken.notify_one();
            }
        }
    }

    /// Waits until there may be something next.
    pub(super) async fn woken(&self) {
        self.woken.notified().await;
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let mut inner = self.channels.lock();
        let inner = &mut *inner;
        let Some(mailbox) = inner.mailboxes.get_mut(&self.ae) else {
            return;
        };
        let is_ours = |reader: &Reader| reader.number == self.number;
        if mailbox.reader.as_ref().is_some_and(is_ours) {
            mailbox.reader = None;
            if mailbox.waiting.is_empty() {
                inner.mailboxes.remove(&self.ae);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dicom::Dataset;
    use crate::worklist::event::EventType;

    fn ae(name: &str) -> AeTitle {
        AeTitle::parse(name).unwrap()
    }

    fn report(number: usize) -> EventReport {
        EventReport {
            event_type: EventType::StateReport,
            workitem: Uid::parse(&format!("2.25.{number}")).unwrap(),
            information: Dataset::default(),
        }
    }

    fn told(connection: &Connection) -> usize {
        std::iter::from_fn(|| match connection.next() {
            Found::Report(report) => Some(report.text),
            _ => None,
        })
        .count()
    }

    #[test]
    fn reports_wait_for_a_reader_and_the_oldest_go_first() {
        let channels = Arc::new(Channels::default());
        for number in 0..REPORTS_MAX + 3 {
            channels.carry(&ae("A"), &report(number));
        }
        let reader = channels.open(&ae("A")).unwrap();
        let Found::Report(first) = reader.next() else {
            panic!("there are reports");
        };
        assert_eq!(first.workitem.as_str(), "2.25.3");
        assert!(first.text.contains("2.25.3\""), "{}", first.text);
        assert_eq!(told(&reader), REPORTS_MAX - 1);
        assert_eq!(reader.next(), Found::Nothing);
        assert_eq!(channels.lock().bytes, 0);
    }

    #[test]
    fn a_later_connection_has_the_mailbox() {
        let channels = Arc::new(Channels::default());
        let first = channels.open(&ae("A")).unwrap();
        let second = channels.open(&ae("A")).unwrap();
        channels.carry(&ae("A"), &report(1));
        assert_eq!(first.next(), Found::Replaced);
        drop(first);
        assert_eq!(told(&second), 1);
        drop(second);
        assert!(channels.lock().mailboxes.is_empty());
    }

    #[test]
    fn what_was_not_sent_is_told_at_the_next_connection() {
        let channels = Arc::new(Channels::default());
        channels.carry(&ae("A"), &report(1));
        channels.carry(&ae("A"), &report(2));
        let before = channels.lock().bytes;
        let reader = channels.open(&ae("A")).unwrap();
        let Found::Report(first) = reader.next() else {
            panic!("there are reports");
        };
        reader.put_back(first);
        assert_eq!(channels.lock().bytes, before);
        drop(reader);
        let again = channels.open(&ae("A")).unwrap();
        let Found::Report(first) = again.next() else {
            panic!("it waits");
        };
        assert_eq!(first.workitem.as_str(), "2.25.1");
        assert_eq!(told(&again), 1);
        // Of an AE that gave up everything nothing waits.
        channels.forget(&ae("A"));
        drop(again);
        assert!(channels.lock().mailboxes.is_empty());
    }

    #[test]
    fn nobody_is_told_what_is_forgotten_and_nothing_opens_after_the_close() {
        let channels = Arc::new(Channels::default());
        let reader = channels.open(&ae("A")).unwrap();
        channels.carry(&ae("A"), &report(1));
        channels.carry(&ae("B"), &report(1));
        channels.forget(&ae("A"));
        channels.forget(&ae("B"));
        assert_eq!(reader.next(), Found::Nothing);
        assert_eq!(channels.lock().mailboxes.len(), 1);
        channels.carry(&ae("A"), &report(2));
        channels.close();
        assert_eq!(told(&reader), 1, "what waits is still told");
        assert_eq!(reader.next(), Found::Closed);
        assert!(channels.open(&ae("C")).is_none());
    }
}
