//! Looking into the audit trail: what may be asked of it ([`Asked`]), the list of disclosures of a patient ([`Whose`]), and
//! that somebody looked, which is in the trail too (PS3.15 §A.5.3.2).

use std::collections::BTreeSet;

use crate::access::audit::{ActionCode, Actor, AuditRecord, Event, Kept};
use crate::access::ledger::{AuditLedger, LedgerFlaw};
use crate::dicom::Uid;

/// Rows read at a time.
const PAGE_ROWS: usize = 500;
const DAY_MS: i64 = 86_400_000;

/// The most studies of one patient for whom disclosures are listed.
pub const STUDIES_MAX: usize = 10_000;

/// A place in the trail, by time and, of the same millisecond, by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// When.
    pub at_ms: i64,
    /// The number of the row.
    pub id: u64,
}

impl Place {
    /// Reads what [`Place::text`] wrote.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (at_ms, id) = text.split_once('.')?;
        Some(Self {
            at_ms: at_ms.parse().ok()?,
            id: id.parse().ok()?,
        })
    }

    /// As an address carries it.
    #[must_use]
    pub fn text(self) -> String {
        format!("{}.{}", self.at_ms, self.id)
    }
}

/// Which edge of a day is meant by its date.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Edge {
    /// Its first millisecond.
    Begin,
    /// Its last.
    End,
}

/// An instant, or an edge of a day in universal time, in milliseconds since 1970 UTC.
#[must_use]
pub fn instant(text: &str, edge: Edge) -> Option<i64> {
    if let Ok(at) = text.parse::<jiff::Timestamp>() {
        return Some(at.as_millisecond());
    }
    let is_date = text.len() == 10 && text.bytes().all(|b| b.is_ascii_digit() || b == b'-');
    let midnight = format!("{text}T00:00:00Z").parse::<jiff::Timestamp>();
    let begin = midnight.ok().filter(|_| is_date)?.as_millisecond();
    Some(match edge {
        Edge::Begin => begin,
        Edge::End => begin.saturating_add(DAY_MS - 1),
    })
}

/// What is asked of the trail; what is `None` or empty does not count.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Asked {
    /// Rows that name one of these studies or this patient.
    pub whose: Option<Whose>,
    /// The name of who did it, as it stands there.
    pub who: Option<String>,
    /// How they were known, as it stands there: `token 7`.
    pub means: Option<String>,
    /// What happened.
    pub event: Option<Event>,
    /// Not before, in milliseconds since 1970 UTC.
    pub from_ms: Option<i64>,
    /// Not after.
    pub to_ms: Option<i64>,
}

impl Asked {
    /// Whether a row is asked for, as far as that can be told of who did what.
    #[must_use]
    pub fn is_by(&self, who: &str, means: &str, event: &str) -> bool {
        self.who.as_deref().is_none_or(|asked| asked == who)
            && self.means.as_deref().is_none_or(|asked| asked == means)
            && self.event.is_none_or(|asked| asked.code() == event)
    }

    /// What was asked for, for the trail.
    #[must_use]
    pub fn words(&self) -> String {
        let parts = [
            ("who", self.who.clone()),
            ("means", self.means.clone()),
            ("event", self.event.map(|event| event.meaning().to_owned())),
            ("from", self.from_ms.map(crate::access::message::time)),
            ("to", self.to_ms.map(crate::access::message::time)),
        ];
        let said = parts.into_iter();
        let said = said.filter_map(|(name, value)| Some(format!("{name}={}", value?)));
        let said: Vec<_> = said.collect();
        match said.is_empty() {
            true => "searched".to_owned(),
            false => format!("searched: {}", said.join(" ")),
        }
    }
}

/// Rows of the trail that were asked for, the latest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundRows {
    /// The rows. There may be few although further ones wait: so much was looked through.
    pub rows: Vec<Kept>,
    /// Where to go on, towards the past.
    pub next: Option<Place>,
}

/// Searches that told of so many studies that the trail names none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Broad {
    /// How many rows tell of such.
    pub rows: u64,
    /// The first, in milliseconds since 1970 UTC.
    pub first_ms: i64,
    /// The last.
    pub last_ms: i64,
}

/// Of whom disclosures are listed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Whose {
    /// These studies.
    pub studies: Vec<Uid>,
    /// What else names this patient.
    pub patient_id: Option<String>,
}

/// Why a list cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum WhoseError {
    /// More than can be looked for at once.
    #[error("the trail names more than 10000 studies of this patient")]
    TooMany,
    /// The ledger failed, or a row is not as it was written.
    #[error(transparent)]
    Flaw(#[from] LedgerFlaw),
}

impl Whose {
    /// A patient: the studies that are `here`, and those that the trail names together with this Patient ID. What was
    /// removed is nowhere else.
    ///
    /// # Errors
    /// [`WhoseError::TooMany`] beyond [`STUDIES_MAX`] studies.
    pub fn of_patient(
        ledger: &dyn AuditLedger,
        patient_id: &str,
        here: impl IntoIterator<Item = Uid>,
    ) -> Result<Self, WhoseError> {
        let mut studies: BTreeSet<_> = here.into_iter().collect();
        let mut after = 0;
        loop {
            let page = ledger.audit_rows_about(&[], Some(patient_id), after, PAGE_ROWS)?;
            let Some(last) = page.last() else { break };
            after = last.id;
            // Who looked at the trail may have asked about several people at once.
            let named = page.into_iter().map(|kept| kept.record);
            let named = named.filter(|record| record.event != Event::AuditLogUsed);
            studies.extend(named.flat_map(|record| record.studies));
            if studies.len() > STUDIES_MAX {
                return Err(WhoseError::TooMany);
            }
        }
        Ok(Self {
            studies: studies.into_iter().collect(),
            patient_id: Some(patient_id.to_owned()),
        })
    }

    /// The next disclosures after the row `after`, by number, and the number of the last row that was looked at; `None` at
    /// the end.
    ///
    /// # Errors
    /// When the ledger cannot be read, or a row is not as it was written.
    pub fn disclosures(
        &self,
        ledger: &dyn AuditLedger,
        after: u64,
    ) -> Result<Option<(Vec<Kept>, u64)>, LedgerFlaw> {
        let patient_id = self.patient_id.as_deref();
        let page = ledger.audit_rows_about(&self.studies, patient_id, after, PAGE_ROWS)?;
        let Some(last) = page.last().map(|last| last.id) else {
            return Ok(None);
        };
        let rows = page.into_iter().filter(|kept| is_disclosure(&kept.record));
        Ok(Some((rows.collect(), last)))
    }
}

/// Whether something of a study went out, or somebody wanted it to.
#[must_use]
pub fn is_disclosure(record: &AuditRecord) -> bool {
    match record.event {
        Event::InstancesAccessed | Event::Export | Event::Query => true,
        // What was received is no disclosure.
        Event::InstancesTransferred | Event::BeginTransferring => {
            record.action != ActionCode::Create
        }
        // A workitem that somebody retrieved.
        Event::ProcedureRecord => record.action == ActionCode::Read,
        _ => false,
    }
}

/// That somebody used the trail: for what, and about whom.
#[must_use]
pub fn used(who: Actor, at_ms: i64, what: &str, whose: Option<&Whose>) -> AuditRecord {
    let record = AuditRecord::new(Event::AuditLogUsed, ActionCode::Read, who, at_ms).saying(what);
    let Some(whose) = whose else { return record };
    let record = whose.studies.iter().fold(record, AuditRecord::about);
    match &whose.patient_id {
        Some(patient_id) => record.of_patient(patient_id.as_str()),
        None => record,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_read_back_and_nothing_else_is() {
        let place = Place {
            at_ms: -7,
            id: u64::MAX,
        };
        assert_eq!(Place::parse(&place.text()), Some(place));
        for text in ["", "1", "1.", ".1", "1.-1", "1.2.3", "1e3.1"] {
            assert_eq!(Place::parse(text), None, "{text}");
        }
    }

    #[test]
    fn days_have_two_edges_and_instants_one() {
        let both = |text: &str| [Edge::Begin, Edge::End].map(|edge| instant(text, edge));
        assert_eq!(both("1970-01-02"), [Some(86_400_000), Some(172_799_999)]);
        assert_eq!(both("1970-01-01T00:00:01.5Z"), [Some(1_500); 2]);
        assert_eq!(both("1970-01-01T01:00:00+01:00"), [Some(0); 2]);
        for text in [
            "",
            "today",
            "1970-02-30",
            "19700101",
            "1970-01",
            "+001970-01-01",
        ] {
            assert_eq!(both(text), [None; 2], "{text}");
        }
    }

    #[test]
    fn what_goes_out_is_a_disclosure_and_what_comes_in_is_none() {
        let told = |event, action| {
            let record = AuditRecord::new(event, action, Actor::default(), 0);
            is_disclosure(&record)
        };
        for (event, action, is_one) in [
            (Event::InstancesAccessed, ActionCode::Read, true),
            (Event::Query, ActionCode::Execute, true),
            (Event::Export, ActionCode::Read, true),
            (Event::InstancesTransferred, ActionCode::Read, true),
            (Event::InstancesTransferred, ActionCode::Create, false),
            (Event::ProcedureRecord, ActionCode::Read, true),
            (Event::ProcedureRecord, ActionCode::Update, false),
            (Event::AuditLogUsed, ActionCode::Read, false),
            (Event::SecurityAlert, ActionCode::Update, false),
        ] {
            assert_eq!(told(event, action), is_one, "{event:?} {action:?}");
        }
    }
}
