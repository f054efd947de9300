//! What an association leaves in the audit trail (PS3.15 §A.5.3): which studies came and went, and that somebody searched;
//! or that somebody was not let in. It is told when the association has ended, for the wire does not wait for it; earlier
//! when that takes long, or when there is more than a record can name.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::error;

use crate::access::Desk;
use crate::access::audit::{
    ActionCode, Actor, AuditOutcome, AuditRecord, Event, EventType, STUDIES_MAX,
};
use crate::access::found::{BROAD, FOUND_MAX, Found};
use crate::dicom::Uid;

/// What was done is told after so long, even when the association goes on.
const UNTOLD_MAX: Duration = Duration::from_secs(600);
/// So many destinations and outcomes are kept apart; then all is told.
const SENT_MAX: usize = 64;
/// So many records are kept while the ledger does not take them; what comes then is lost, and the log says so.
const UNWRITTEN_MAX: usize = 1_000;

/// What was sent somewhere, and how it ended.
#[derive(Debug)]
struct Sent {
    /// Empty when it is the peer itself.
    destination: Box<str>,
    outcome: AuditOutcome,
    studies: BTreeSet<Uid>,
}

/// What was done on an association and is not told yet. Dropped, it tells the rest.
pub(super) struct Trail {
    /// `None` where nobody keeps one.
    desk: Option<Arc<Desk>>,
    who: Actor,
    since: Instant,
    stored: BTreeSet<Uid>,
    sent: Vec<Sent>,
    searches: u64,
    /// Studies of which searches told, but for broad ones.
    found: BTreeSet<Uid>,
    broad_searches: u64,
    /// What the ledger did not take, to be told with what comes.
    unwritten: Vec<AuditRecord>,
}

impl Trail {
    /// Nothing yet of what `who` does.
    pub(super) fn new(desk: Option<Arc<Desk>>, who: Actor) -> Self {
        Self {
            desk,
            who,
            since: Instant::now(),
            stored: BTreeSet::new(),
            sent: Vec::new(),
            searches: 0,
            found: BTreeSet::new(),
            broad_searches: 0,
            unwritten: Vec::new(),
        }
    }

    /// An instance of a study was stored.
    pub(super) fn stored(&mut self, study: &Uid) {
        self.make_room(self.stored.len());
        if !self.stored.contains(study) {
            self.stored.insert(study.clone());
        }
    }

    /// An instance of a study was sent, or some of it may have been: then the outcome says that it failed.
    pub(super) fn sent(&mut self, destination: &str, study: &Uid, outcome: AuditOutcome) {
        let is_same = |sent: &Sent| &*sent.destination == destination && sent.outcome == outcome;
        let held = self.sent.iter().find(|sent| is_same(sent));
        match held.map(|sent| sent.studies.len()) {
            Some(held) => self.make_room(held),
            None if self.sent.len() >= SENT_MAX => self.tell(),
            None => {}
        }
        if let Some(sent) = self.sent.iter_mut().find(|sent| is_same(sent)) {
            if !sent.studies.contains(study) {
                sent.studies.insert(study.clone());
            }
            return;
        }
        self.sent.push(Sent {
            destination: destination.into(),
            outcome,
            studies: BTreeSet::from([study.clone()]),
        });
    }

    /// Somebody searched, and was told of these.
    pub(super) fn searched(&mut self, found: &Found) {
        self.make_room(self.found.len() + FOUND_MAX);
        match found.is_broad() {
            true => self.broad_searches += 1,
            false => self.searches += 1,
        }
        self.found.extend(found.studies().cloned());
    }

    /// Tells what there is when a record that names `held` studies has no place for another, or when it is time.
    fn make_room(&mut self, held: usize) {
        if held >= STUDIES_MAX || self.since.elapsed() >= UNTOLD_MAX {
            self.tell();
        }
    }

    /// Tells what was done since the last time, and what could not be told then.
    fn tell(&mut self) {
        let new = self.take();
        let Some(desk) = &self.desk else { return };
        let mut records = std::mem::take(&mut self.unwritten);
        records.extend(new);
        if records.is_empty() {
            return;
        }
        if let Err(cause) = desk.ledger().record_all(&records) {
            let lost = records.len().saturating_sub(UNWRITTEN_MAX);
            records.truncate(UNWRITTEN_MAX);
            let kept = records.len();
            error!(%cause, kept, lost, "what was done is not in the audit trail");
            self.unwritten = records;
        }
    }

    fn take(&mut self) -> Vec<AuditRecord> {
        self.since = Instant::now();
        let record = |event, action| AuditRecord::new(event, action, self.who.clone(), now_ms());
        let mut records = Vec::new();
        let stored = std::mem::take(&mut self.stored);
        if !stored.is_empty() {
            let received = record(Event::InstancesTransferred, ActionCode::Create);
            records.push(stored.iter().fold(received, AuditRecord::about));
        }
        for sent in self.sent.drain(..) {
            let record = record(Event::InstancesTransferred, ActionCode::Read).ended(sent.outcome);
            let record = match &*sent.destination {
                "" => record,
                destination => record.on(format!("peer {destination}")),
            };
            records.push(sent.studies.iter().fold(record, AuditRecord::about));
        }
        if self.searches > 0 {
            let asked = format!("{} C-FIND requests", self.searches);
            let record = record(Event::Query, ActionCode::Execute).saying(asked);
            let found = std::mem::take(&mut self.found);
            records.push(found.iter().fold(record, AuditRecord::about));
            self.searches = 0;
        }
        if self.broad_searches > 0 {
            let asked = format!("{} C-FIND requests", self.broad_searches);
            let record = record(Event::Query, ActionCode::Execute).saying(asked);
            records.push(record.on(BROAD));
            self.broad_searches = 0;
        }
        records
    }
}

impl Drop for Trail {
    fn drop(&mut self) {
        self.tell();
        let lost = self.unwritten.len();
        if lost > 0 {
            error!(lost, "what was done will not be in the audit trail");
        }
    }
}

/// Tells that somebody was not let in, or may not do something; once in a while, however often they try.
pub(super) fn tell_refused(desk: &Desk, who: Actor, event_type: EventType, why: &str) {
    let now_ms = now_ms();
    let record = AuditRecord::new(Event::SecurityAlert, ActionCode::Execute, who, now_ms)
        .of_type(event_type)
        .ended(AuditOutcome::MinorFailure)
        .saying(why);
    if let Err(cause) = desk.record_once(&record, now_ms) {
        error!(%cause, "that somebody was not let in is not in the audit trail");
    }
}

pub(super) fn now_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::audit::AuditOutcome::{MinorFailure, Success};
    use crate::access::{Settings, SignIn};
    use crate::db::Ledger;

    fn settings() -> Settings {
        Settings {
            sign_in: SignIn::Off,
            session_idle_ms: 1,
            session_max_ms: 1,
            pin_tries_max: 1,
            inbox_bytes_max: 1,
        }
    }

    #[test]
    fn what_could_not_be_written_is_told_later() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger.sqlite");
        let good = Desk::open(Arc::new(Ledger::open(&path, 1).unwrap()), settings());
        let good = Arc::new(good.unwrap());
        let reading = Ledger::open_read_only(&path).unwrap();
        let broken = Desk::open(Arc::new(reading), settings()).unwrap();
        let mut trail = Trail::new(Some(Arc::new(broken)), Actor::default());
        trail.stored(&Uid::parse("1.2.1").unwrap());
        trail.tell();
        trail.tell();
        trail.desk = Some(Arc::clone(&good));
        trail.stored(&Uid::parse("1.2.2").unwrap());
        trail.tell();
        trail.tell();
        let rows = good.ledger().audit_rows(0, 10).unwrap();
        let studies = rows.iter().flat_map(|row| &row.record.studies);
        let studies: Vec<_> = studies.map(Uid::as_str).collect();
        assert_eq!(studies, ["1.2.1", "1.2.2"]);

        let reading = Ledger::open_read_only(&path).unwrap();
        trail.desk = Some(Arc::new(Desk::open(Arc::new(reading), settings()).unwrap()));
        for _ in 0..UNWRITTEN_MAX + 3 {
            trail.searched(&Found::default());
            trail.tell();
        }
        assert_eq!(trail.unwritten.len(), UNWRITTEN_MAX);
    }

    #[test]
    fn every_study_is_named_however_many_there_are() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(&folder.path().join("ledger.sqlite"), 1).unwrap();
        let desk = Arc::new(Desk::open(Arc::new(ledger), settings()).unwrap());
        let who = Actor {
            name: "PEER".into(),
            ..Actor::default()
        };
        let mut trail = Trail::new(Some(Arc::clone(&desk)), who);
        let uid = |number: usize| Uid::parse(&format!("1.2.{number}")).unwrap();
        for number in 0..2 * STUDIES_MAX + 1 {
            trail.sent("", &uid(number), Success);
            trail.sent("", &uid(number), Success);
            trail.stored(&uid(number));
        }
        trail.sent("", &uid(7), MinorFailure);
        for number in 0..=SENT_MAX {
            trail.sent(&format!("PEER{number}"), &uid(7), Success);
        }
        trail.searched(&Found::default());
        drop(trail);
        let rows = desk.ledger().audit_rows(0, 1000).unwrap();
        let named = |action, object: &str, outcome| {
            let rows = rows.iter().map(|row| &row.record).filter(|record| {
                record.action == action && record.object == object && record.outcome == outcome
            });
            let studies: BTreeSet<_> = rows.flat_map(|record| &record.studies).collect();
            studies.len()
        };
        assert_eq!(named(ActionCode::Read, "", Success), 2 * STUDIES_MAX + 1);
        assert_eq!(named(ActionCode::Create, "", Success), 2 * STUDIES_MAX + 1);
        assert_eq!(named(ActionCode::Read, "", MinorFailure), 1);
        for number in 0..=SENT_MAX {
            let object = format!("peer PEER{number}");
            assert_eq!(named(ActionCode::Read, &object, Success), 1, "{object}");
        }
        assert_eq!(
            rows.iter()
                .filter(|row| row.record.event == Event::Query)
                .count(),
            1
        );
    }
}
