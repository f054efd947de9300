//! Inboxes in the ledger: what stands beside their grants.

use rusqlite::{Connection, Row, ToSql, params};

use crate::access::audit::AuditRecord;
use crate::access::inbox::{Inbox, InboxLedger, NO_CASE, Patient, Purpose};
use crate::access::ledger::{AccessError, LedgerError};
use crate::db::ledger::Ledger;
use crate::db::ledger::access::{all, bound, found, one, run};
use crate::db::ledger::grant::one_grant;

const INBOX: &str = "SELECT access_grant, maker, question, context, patient_name, patient_id, patient_birth_date, finished_ms, \
     bytes FROM inbox";

/// Counted no further: the sum of two such numbers is still a number. Bytes.
const BYTES_MAX: i64 = i64::MAX / 2;

impl InboxLedger for Ledger {
    fn inbox(&self, grant: i64) -> Result<Option<Inbox>, LedgerError> {
        self.read_entry(|reader| {
            let sql = format!("{INBOX} WHERE access_grant = ?1");
            let row = one(reader, &sql, [grant], beside)?;
            row.map_or(Ok(None), |row| whole(reader, row))
        })
    }

    fn inbox_bytes(&self, grant: i64) -> Result<u64, LedgerError> {
        self.read_entry(|reader| {
            let sql = "SELECT bytes FROM inbox WHERE access_grant = ?1";
            let bytes = one(reader, sql, [grant], |row| row.get::<_, i64>(0))?;
            Ok(bytes.map_or(0, i64::unsigned_abs))
        })
    }

    fn count_inbox(&self, grant: i64, bytes: u64) -> Result<(), LedgerError> {
        self.transact(|write| {
            let sql = "UPDATE inbox SET bytes = min(bytes + ?2, ?3) WHERE access_grant = ?1";
            let bytes = i64::try_from(bytes).unwrap_or(BYTES_MAX).min(BYTES_MAX);
            run(write, sql, params![grant, bytes, BYTES_MAX]).map(|_| ())
        })
    }

    fn inboxes(
        &self,
        maker: Option<&str>,
        before: Option<i64>,
        limit: usize,
    ) -> Result<Vec<Inbox>, LedgerError> {
        self.read(|reader| {
            let of_maker = match maker {
                Some(_) => "maker = ?1",
                None => "?1 IS NULL",
            };
            let sql = format!(
                "{INBOX} WHERE {of_maker} AND access_grant < ?2 ORDER BY access_grant DESC LIMIT ?3"
            );
            let values = params![maker, before.unwrap_or(i64::MAX), bound(limit)];
            let mut inboxes = Vec::new();
            for row in all(reader, &sql, values, beside)? {
                inboxes.extend(whole(reader, row)?);
            }
            Ok(inboxes)
        })
    }

    fn tie_inbox(&self, grant: i64, case: i64, audit: &AuditRecord) -> Result<(), AccessError> {
        self.write(audit, |write| {
            let sql = "UPDATE access_grant SET case_number = ?2 WHERE id = ?1 AND kind = 'inbox' AND case_number = ?3";
            found(run(write, sql, params![grant, case, NO_CASE])?, "there is no such inbox")
        })
    }

    fn finish_inbox(&self, grant: i64, at_ms: i64, audit: &AuditRecord) -> Result<(), AccessError> {
        self.write(audit, |write| {
            let sql = "UPDATE inbox SET finished_ms = ?2 WHERE access_grant = ?1";
            found(
                run(write, sql, params![grant, at_ms])?,
                "there is no such inbox",
            )
        })
    }
}

/// Notes what stands beside a new grant.
pub(super) fn insert(
    write: &Connection,
    grant: i64,
    maker: &str,
    purpose: &Purpose,
) -> Result<(), AccessError> {
    let sql = "INSERT INTO inbox (access_grant, maker, question, context, patient_name, patient_id, patient_birth_date) \
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
    let patient = &purpose.patient;
    let texts = [
        &*purpose.question,
        &*purpose.context,
        patient.name(),
        patient.id(),
        patient.birth_date(),
    ];
    let texts = texts.iter().map(|text| text as &dyn ToSql);
    let values: Vec<&dyn ToSql> = [&grant as &dyn ToSql, &maker]
        .into_iter()
        .chain(texts)
        .collect();
    run(write, sql, &*values)?;
    Ok(())
}

/// How many inboxes without a case, that can still be used, an account has.
pub(super) fn waiting(reader: &Connection, maker: &str, now_ms: i64) -> Result<usize, LedgerError> {
    let sql = "SELECT count(*) FROM inbox JOIN access_grant ON id = access_grant WHERE maker = ?1 AND case_number = ?2 \
               AND expires_ms > ?3 AND revoked_ms IS NULL";
    super::access::count(reader, sql, params![maker, NO_CASE, now_ms])
}

/// What stands beside a grant: its number, the maker, what for, when it was finished, how much came.
type Beside = (i64, Box<str>, Purpose, Option<i64>, u64);

fn beside(row: &Row<'_>) -> rusqlite::Result<Beside> {
    let [name, id, birth_date]: [String; 3] = [row.get(4)?, row.get(5)?, row.get(6)?];
    let purpose = Purpose {
        question: row.get(2)?,
        context: row.get(3)?,
        // Less was asked of patients once: what is not good any more is left out, and asked of whoever sends papers.
        patient: Patient::new(&name, &id, &birth_date)
            .or_else(|_| Patient::new(&name, &id, ""))
            .or_else(|_| Patient::new(&name, "", ""))
            .or_else(|_| Patient::new("", &id, ""))
            .unwrap_or_default(),
    };
    let maker: String = row.get(1)?;
    let bytes: i64 = row.get(8)?;
    let (grant, finished_ms) = (row.get(0)?, row.get(7)?);
    Ok((
        grant,
        maker.into(),
        purpose,
        finished_ms,
        bytes.unsigned_abs(),
    ))
}

fn whole(reader: &Connection, beside: Beside) -> Result<Option<Inbox>, LedgerError> {
    let (grant, maker, purpose, finished_ms, bytes) = beside;
    let grant = one_grant(reader, "access_grant.id = ?1", &grant)?;
    Ok(grant.map(|grant| Inbox {
        grant,
        maker,
        purpose,
        finished_ms,
        bytes,
    }))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::access::audit::{ActionCode, Actor, Event};
    use crate::access::grant::{GrantLedger as _, Holder, NewGrant, Right};
    use crate::access::secret::Secret;

    fn audit() -> AuditRecord {
        let event = Event::SecurityAlert;
        AuditRecord::new(event, ActionCode::Update, Actor::default(), 1)
    }

    fn made(ledger: &Ledger, maker: &str) -> i64 {
        let purpose = Purpose {
            question: "Is it broken?".into(),
            ..Purpose::default()
        };
        let digest = Secret::new().unwrap().digest();
        let new = NewGrant {
            case: NO_CASE,
            holder: Holder::Inbox { digest },
            studies: BTreeMap::new(),
            not_before_ms: 10,
            expires_ms: 100,
            opens_max: None,
            right: Right::View,
            label: "Anna".into(),
            issued_ms: 5,
            inbox: Some((maker.into(), purpose)),
        };
        ledger.add_grant(&new, &audit()).unwrap()
    }

    #[test]
    fn an_inbox_is_its_makers_and_gets_one_case() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(&folder.path().join("ledger.sqlite"), 1).unwrap();
        let [first, second] = ["dr.a", "dr.b"].map(|maker| made(&ledger, maker));
        let numbers = |maker| {
            let found = ledger.inboxes(maker, None, 10).unwrap().into_iter();
            found.map(|inbox| inbox.grant.id).collect::<Vec<_>>()
        };
        assert_eq!(numbers(Some("dr.a")), [first]);
        assert_eq!(numbers(None), [second, first]);
        assert!(numbers(Some("dr.c")).is_empty());
        assert_eq!(ledger.inboxes(None, Some(second), 10).unwrap().len(), 1);
        let inbox = ledger.inbox(first).unwrap().unwrap();
        assert_eq!((inbox.case(), &*inbox.maker), (None, "dr.a"));
        assert_eq!(inbox.purpose.question, "Is it broken?");

        ledger.tie_inbox(first, 7, &audit()).unwrap();
        assert!(ledger.tie_inbox(first, 8, &audit()).is_err());
        assert_eq!(ledger.inbox(first).unwrap().unwrap().case(), Some(7));
        assert_eq!(ledger.grants_of_case(7).unwrap().len(), 1);
        ledger.finish_inbox(first, 50, &audit()).unwrap();
        let finished = |id| ledger.inbox(id).unwrap().unwrap().finished_ms;
        assert_eq!((finished(first), finished(second)), (Some(50), None));
        assert!(ledger.finish_inbox(99, 50, &audit()).is_err());
        assert!(ledger.inbox(99).unwrap().is_none());

        for (bytes, counted) in [(5, 5), (7, 12), (u64::MAX, BYTES_MAX), (1, BYTES_MAX)] {
            ledger.count_inbox(first, bytes).unwrap();
            let counted = counted.unsigned_abs();
            assert_eq!(ledger.inbox_bytes(first).unwrap(), counted);
            assert_eq!(ledger.inbox(first).unwrap().unwrap().bytes, counted);
        }
        assert_eq!(ledger.inbox_bytes(second).unwrap(), 0);
    }
}
