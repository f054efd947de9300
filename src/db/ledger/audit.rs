//! The audit trail in the ledger: rows appended with their place in the chain, and read back.

use rusqlite::{Connection, Row, named_params, params};

use crate::access::audit::{
    ActionCode, Actor, AuditOutcome, AuditRecord, Event, EventType, Flaw, Head, Kept, Link, link,
};
use crate::access::found::BROAD;
use crate::access::ledger::{AuditLedger, LedgerError, LedgerFlaw};
use crate::access::trail::{Asked, Broad, FoundRows, Place};
use crate::db::ledger::connection::error;
use crate::db::ledger::{Ledger, Write, audit_search};
use crate::dicom::Uid;

/// Appends a row at the end of the chain.
pub(super) fn append(write: &Write<'_>, record: &AuditRecord) -> Result<(), LedgerError> {
    let before = head(write)?;
    let id = before.id + 1;
    let digest = link(before.link, id, record);
    let run = || {
        let number = i64::try_from(id).unwrap_or(i64::MAX);
        write
            .prepare_cached(
                "INSERT INTO audit (id, at_ms, event, event_type, action, outcome, who, means, address, \
                 patient_id, object, detail, digest) \
                 VALUES (:id, :at_ms, :event, :event_type, :action, :outcome, :who, :means, :address, \
                 :patient_id, :object, :detail, :digest)",
            )?
            .execute(named_params! {
                ":id": number,
                ":at_ms": record.at_ms,
                ":event": record.event.code(),
                ":event_type": record.event_type.map_or("", EventType::code),
                ":action": record.action.code(),
                ":outcome": record.outcome.code(),
                ":who": record.who.name,
                ":means": record.who.means,
                ":address": record.who.address,
                ":patient_id": record.patient_id,
                ":object": record.object,
                ":detail": record.detail,
                ":digest": digest.0,
            })?;
        let mut study = write.prepare_cached(
            "INSERT INTO audit_study (audit, place, study_instance_uid) VALUES (?1, ?2, ?3)",
        )?;
        for (place, uid) in (0_i64..).zip(&record.studies) {
            study.execute(params![number, place, uid.as_str()])?;
        }
        if record.object == BROAD {
            write
                .prepare_cached(
                    "UPDATE audit_broad SET rows = rows + 1, first_ms = min(ifnull(first_ms, ?1), ?1), \
                     last_ms = max(ifnull(last_ms, ?1), ?1)",
                )?
                .execute([record.at_ms])?;
        }
        write
            .prepare_cached("UPDATE audit_head SET id = ?1, digest = ?2")?
            .execute(params![number, digest.0])
    };
    run().map(|_| ()).map_err(error)
}

fn head(connection: &Connection) -> Result<Head, LedgerError> {
    connection
        .prepare_cached("SELECT id, digest FROM audit_head")
        .and_then(|mut statement| {
            statement.query_row([], |row| {
                Ok(Head {
                    id: row.get::<_, i64>(0)?.unsigned_abs(),
                    link: Link(row.get(1)?),
                })
            })
        })
        .map_err(error)
}

impl AuditLedger for Ledger {
    fn record(&self, record: &AuditRecord) -> Result<(), LedgerError> {
        self.transact(|write| append(write, record))
    }

    fn record_all(&self, records: &[AuditRecord]) -> Result<(), LedgerError> {
        self.transact(|write| records.iter().try_for_each(|record| append(write, record)))
    }

    fn audit_head(&self) -> Result<Head, LedgerError> {
        self.read(head)
    }

    fn audit_rows(&self, after: u64, limit: usize) -> Result<Vec<Kept>, LedgerFlaw> {
        let ids = "SELECT id FROM audit WHERE id > ?1 ORDER BY id LIMIT ?2";
        self.read(|reader| {
            let ids = reader
                .prepare_cached(ids)
                .and_then(|mut statement| {
                    let rows = statement
                        .query_map(params![signed(after), bound(limit)], |row| row.get(0))?;
                    rows.collect::<Result<Vec<i64>, _>>()
                })
                .map_err(error)?;
            ids.into_iter().map(|id| kept(reader, id)).collect()
        })
    }

    fn audit_rows_about(
        &self,
        studies: &[Uid],
        patient_id: Option<&str>,
        after: u64,
        limit: usize,
    ) -> Result<Vec<Kept>, LedgerFlaw> {
        self.read(|reader| {
            let mut ids = Vec::new();
            for study in studies {
                let sql = "SELECT audit FROM audit_study WHERE study_instance_uid = ?1 AND audit > ?2 \
                           ORDER BY audit LIMIT ?3";
                let found = reader.prepare_cached(sql).and_then(|mut statement| {
                    let rows = statement.query_map(
                        params![study.as_str(), signed(after), bound(limit)],
                        |row| row.get(0),
                    )?;
                    rows.collect::<Result<Vec<i64>, _>>()
                });
                ids.extend(found.map_err(error)?);
            }
            if let Some(patient_id) = patient_id.filter(|id| !id.is_empty()) {
                let sql = "SELECT id FROM audit WHERE patient_id = ?1 AND patient_id <> '' AND id > ?2 \
                           ORDER BY id LIMIT ?3";
                let found = reader.prepare_cached(sql).and_then(|mut statement| {
                    let rows = statement
                        .query_map(params![patient_id, signed(after), bound(limit)], |row| row.get(0))?;
                    rows.collect::<Result<Vec<i64>, _>>()
                });
                ids.extend(found.map_err(error)?);
            }
            ids.sort_unstable();
            ids.dedup();
            ids.truncate(limit);
            ids.into_iter().map(|id| kept(reader, id)).collect()
        })
    }

    fn audit_found(
        &self,
        asked: &Asked,
        before: Option<Place>,
        limit: usize,
    ) -> Result<FoundRows, LedgerFlaw> {
        self.read(|reader| audit_search::found(reader, asked, before, limit))
    }

    fn audit_broad(&self) -> Result<Option<Broad>, LedgerError> {
        self.read(audit_search::broad)
    }
}

pub(super) fn signed(id: u64) -> i64 {
    i64::try_from(id).unwrap_or(i64::MAX)
}

pub(super) fn bound(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

/// A row with its studies. One that cannot be read as what we write was altered.
pub(super) fn kept(reader: &Connection, id: i64) -> Result<Kept, LedgerFlaw> {
    let sql = "SELECT at_ms, event, event_type, action, outcome, who, means, address, patient_id, object, detail, \
               digest FROM audit WHERE id = ?1";
    let read = reader
        .prepare_cached(sql)
        .and_then(|mut statement| statement.query_row([id], |row| Ok(record(row))))
        .map_err(error)?;
    let number = id.unsigned_abs();
    let (mut record, link) = read.ok_or(Flaw::Altered(number))?;
    let sql = "SELECT study_instance_uid FROM audit_study WHERE audit = ?1 ORDER BY place";
    let studies = reader
        .prepare_cached(sql)
        .and_then(|mut statement| {
            let rows = statement.query_map([id], |row| row.get::<_, String>(0))?;
            rows.collect::<Result<Vec<_>, _>>()
        })
        .map_err(error)?;
    record.studies = studies
        .iter()
        .map(|text| Uid::parse(text).map_err(|_| Flaw::Altered(number)))
        .collect::<Result<_, _>>()?;
    Ok(Kept {
        id: number,
        record,
        link,
    })
}

fn record(row: &Row<'_>) -> Option<(AuditRecord, Link)> {
    let text = |at: usize| row.get::<_, String>(at).ok();
    let event_type = text(2)?;
    let record = AuditRecord {
        at_ms: row.get(0).ok()?,
        event: Event::of_code(&text(1)?)?,
        event_type: match event_type.as_str() {
            "" => None,
            code => Some(EventType::of_code(code)?),
        },
        action: ActionCode::of_code(&text(3)?)?,
        outcome: AuditOutcome::of_code(row.get(4).ok()?)?,
        who: Actor {
            name: text(5)?,
            means: text(6)?,
            address: text(7)?,
        },
        studies: Vec::new(),
        patient_id: text(8)?,
        object: text(9)?,
        detail: text(10)?,
    };
    Some((record, Link(row.get(11).ok()?)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::audit::Verifier;

    fn uid(text: &str) -> Uid {
        Uid::parse(text).unwrap()
    }

    fn record(name: &str, study: &str) -> AuditRecord {
        let who = Actor {
            name: name.into(),
            means: "session".into(),
            address: "192.0.2.7".into(),
        };
        AuditRecord::new(Event::InstancesAccessed, ActionCode::Read, who, 1_000)
            .of_type(EventType::Login)
            .ended(AuditOutcome::MinorFailure)
            .about(&uid(study))
            .about(&uid("1.2.9"))
            .on("thing")
            .saying("Grüße")
    }

    fn verified(ledger: &Ledger) -> Result<u64, String> {
        let mut verifier = Verifier::new(ledger.audit_head().unwrap());
        let rows = ledger.audit_rows(0, 100).map_err(|flaw| flaw.to_string())?;
        for row in &rows {
            verifier.next(row).map_err(|flaw| flaw.to_string())?;
        }
        let head = verifier.end().map_err(|flaw| flaw.to_string())?;
        Ok(head.id)
    }

    #[test]
    fn rows_come_back_as_they_went_and_tampering_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger.sqlite");
        let ledger = Ledger::open(&path, 1).unwrap();
        let records = [
            record("a", "1.2.3"),
            record("b", "1.2.4").of_patient("P1"),
            record("c", "1.2.3"),
        ];
        ledger.record(&records[0]).unwrap();
        ledger.record_all(&records[1..]).unwrap();
        let rows = ledger.audit_rows(0, 2).unwrap();
        assert_eq!(rows.len(), 2);
        let rest = ledger.audit_rows(2, 2).unwrap();
        let found: Vec<_> = rows.iter().chain(&rest).map(|row| &row.record).collect();
        assert_eq!(found, records.iter().collect::<Vec<_>>());
        assert_eq!(verified(&ledger), Ok(3));

        let about = |studies: &[&str], patient: Option<&str>| {
            let studies: Vec<_> = studies.iter().map(|text| uid(text)).collect();
            let rows = ledger.audit_rows_about(&studies, patient, 0, 10).unwrap();
            rows.iter().map(|row| row.id).collect::<Vec<_>>()
        };
        assert_eq!(about(&["1.2.3"], None), [1, 3]);
        assert_eq!(about(&["1.2.3"], Some("P1")), [1, 2, 3]);
        assert_eq!(about(&["1.2.9", "1.2.3"], None), [1, 2, 3]);
        assert_eq!(about(&[], Some("")), [0; 0]);

        for (number, sql) in [
            "UPDATE audit SET who = 'x' WHERE id = 2",
            "UPDATE audit SET event = 'nonsense' WHERE id = 2",
            "UPDATE audit SET at_ms = 1 WHERE id = 3",
            "UPDATE audit_study SET study_instance_uid = '1.2.5' WHERE audit = 1 AND place = 0",
            "DELETE FROM audit_study WHERE audit = 1 AND place = 1",
            "DELETE FROM audit_study WHERE audit = 3; DELETE FROM audit WHERE id = 3",
            "DELETE FROM audit_study WHERE audit = 1; DELETE FROM audit WHERE id = 1",
            "UPDATE audit_head SET id = 2",
        ]
        .into_iter()
        .enumerate()
        {
            let copy = folder.path().join(format!("copy{number}.sqlite"));
            let other = Connection::open(&path).unwrap();
            other
                .execute("VACUUM INTO ?1", [copy.to_str().unwrap()])
                .unwrap();
            Connection::open(&copy).unwrap().execute_batch(sql).unwrap();
            let altered = Ledger::open(&copy, 1).unwrap();
            assert!(verified(&altered).is_err(), "{sql}");
        }
    }
}
