//! Notices in the ledger: kept in the transaction of the change that they tell of ([`keep`]), addressed, sent in the order
//! of their case, and forgotten. [`due`] has what nobody does but time.

mod due;
#[cfg(test)]
mod tests;

use rusqlite::{Connection, Row, named_params, params};

use crate::access::account::{Account, AccountName};
use crate::access::audit::AuditRecord;
use crate::access::ledger::LedgerError;
use crate::cases::notices::{
    Delivery, DeliveryState, Listed, News, Notice, NoticeDestination, NoticeEvent, NoticeLedger,
    NoticePart, NoticePause, Refused, Tidied, Untidy, news,
};
use crate::cases::{Alongside, Asked, Case, Pool, State};
use crate::db::ledger::access::{ACCOUNT, account, all, bound, count, one, run};
use crate::db::ledger::{Ledger, Write};
use crate::dicom::Uid;

/// So many ended notices are forgotten in one transaction.
const TIDIED_MAX: usize = 1000;

/// What was queued by `?3` for a destination that is none of the JSON array `?4`, and waits.
const UNSERVED: &str = "state = 'waiting' AND queued_ms <= ?3 AND destination NOT IN (SELECT value FROM json_each(?4))";

/// Columns of a notice `n` with its case `c` and task `t`.
const NOTICE: &str = "n.number, n.id, n.case_number, n.event, n.state, n.revision, n.task, t.reader, t.pool, n.at_ms, \
                      c.study_instance_uid, c.due_ms";
const NOTICE_COLUMNS: usize = 12;
const JOINED: &str = "JOIN second_case AS c ON c.number = n.case_number \
                      LEFT JOIN task AS t ON t.case_number = n.case_number AND t.place = n.task";

/// Keeps what a change of a case has to tell, with the change.
pub(super) fn keep(
    write: &Write<'_>,
    before: Option<&Case>,
    after: &Case,
    alongside: &Alongside<'_>,
) -> Result<(), LedgerError> {
    for one in news(before, after, alongside) {
        let at_ms = after.changed_ms;
        insert(
            write,
            (after.number, after.state, after.revision),
            one,
            at_ms,
        )?;
    }
    Ok(())
}

fn insert(
    write: &Connection,
    (case, state, revision): (u64, State, u64),
    (event, task): News,
    at_ms: i64,
) -> Result<(), LedgerError> {
    let sql = "INSERT INTO notice (id, case_number, event, state, revision, task, at_ms) \
               VALUES (:id, :case, :event, :state, :revision, :task, :at_ms)";
    let values = named_params! {
        ":id": Notice::fresh_id(),
        ":case": signed(case),
        ":event": event.word(),
        ":state": state.word(),
        ":revision": signed(revision),
        ":task": task,
        ":at_ms": at_ms,
    };
    run(write, sql, values).map(|_| ())
}

impl NoticeLedger for Ledger {
    fn unaddressed(&self, limit: usize) -> Result<Vec<Notice>, LedgerError> {
        let sql = format!(
            "SELECT {NOTICE} FROM notice AS n {JOINED} WHERE n.is_addressed = 0 ORDER BY n.number LIMIT ?1"
        );
        self.read(|reader| {
            let found = all(reader, &sql, [bound(limit)], |row| kept(row, 0))?;
            found.into_iter().map(notice).collect()
        })
    }

    fn address(
        &self,
        notice: u64,
        to: &[(Box<str>, Box<str>)],
        at_ms: i64,
    ) -> Result<(), LedgerError> {
        self.transact(|write| {
            let addressed = "UPDATE notice SET is_addressed = 1 WHERE number = ?1 AND is_addressed = 0";
            if run(write, addressed, [signed(notice)])? == 0 {
                return Ok(());
            }
            let mut is_for_somebody = false;
            for (destination, recipient) in to {
                let known = "INSERT INTO notice_destination (name) VALUES (?1) ON CONFLICT (name) DO NOTHING";
                run(write, known, [&**destination])?;
                // Who wants nothing any more gets nothing.
                let sql = "INSERT INTO notice_delivery (notice, destination, recipient, case_number, state, queued_ms) \
                           SELECT n.number, d.name, ?3, n.case_number, 'waiting', ?4 \
                           FROM notice AS n, notice_destination AS d \
                           WHERE n.number = ?1 AND d.name = ?2 AND NOT d.is_gone";
                let values = params![signed(notice), &**destination, &**recipient, at_ms];
                is_for_somebody |= run(write, sql, values)? > 0;
            }
            if !is_for_somebody {
                run(write, "DELETE FROM notice WHERE number = ?1", [signed(notice)])?;
            }
            Ok(())
        })
    }

    fn due_deliveries(
        &self,
        destination: &str,
        now_ms: i64,
        limit: usize,
    ) -> Result<Vec<Delivery>, LedgerError> {
        let sql = format!(
            "SELECT {NOTICE}, {DELIVERY} FROM notice_delivery AS d JOIN notice AS n ON n.number = d.notice {JOINED} \
             WHERE d.destination = ?1 AND d.state = 'waiting' AND d.not_before_ms <= ?2 \
             AND NOT EXISTS (SELECT 1 FROM notice_delivery AS e WHERE e.destination = d.destination \
             AND e.case_number = d.case_number AND e.recipient = d.recipient AND e.state = 'waiting' \
             AND e.notice < d.notice) ORDER BY d.notice, d.recipient LIMIT ?3"
        );
        self.read(|reader| {
            let values = params![destination, now_ms, bound(limit)];
            let found = all(reader, &sql, values, |row| {
                Ok((kept(row, 0)?, sent(row, NOTICE_COLUMNS)?))
            })?;
            found.into_iter().map(delivery).collect()
        })
    }

    fn is_waiting(&self, delivery: u64) -> Result<bool, LedgerError> {
        let sql = "SELECT 1 FROM notice_delivery WHERE id = ?1 AND state = 'waiting'";
        let found = self.read(|reader| one(reader, sql, [signed(delivery)], |_| Ok(())))?;
        Ok(found.is_some())
    }

    fn note_delivered(&self, delivery: u64, at_ms: i64) -> Result<(), LedgerError> {
        self.transact(|write| {
            let sql = "UPDATE notice_delivery SET state = 'delivered', ended_ms = ?2, reason = '' \
                       WHERE id = ?1 AND state = 'waiting'";
            if run(write, sql, params![signed(delivery), at_ms])? > 0 {
                let counted = "UPDATE notice_destination SET delivered = delivered + 1, reason = '', failures = 0, until_ms = 0 \
                               WHERE name = (SELECT destination FROM notice_delivery WHERE id = ?1)";
                run(write, counted, [signed(delivery)])?;
            }
            Ok(())
        })
    }

    fn note_refused(
        &self,
        delivery: u64,
        refused: &Refused,
        at_ms: i64,
    ) -> Result<(), LedgerError> {
        self.transact(|write| {
            let sql = "UPDATE notice_delivery SET attempts = attempts + 1, not_before_ms = ?2, reason = ?3, \
                       state = iif(?4, 'failed', state), ended_ms = iif(?4, ?5, NULL) \
                       WHERE id = ?1 AND state = 'waiting'";
            let values = params![
                signed(delivery),
                refused.not_before_ms,
                &*refused.reason,
                refused.is_given_up,
                at_ms
            ];
            run(write, sql, values).map(|_| ())
        })
    }

    fn notice_pause(&self, destination: &str) -> Result<Option<NoticePause>, LedgerError> {
        let sql = "SELECT reason, failures, until_ms, is_gone FROM notice_destination \
                   WHERE name = ?1 AND (reason <> '' OR is_gone)";
        self.read(|reader| one(reader, sql, [destination], |row| pause(row, 0)))
    }

    fn set_notice_pause(
        &self,
        destination: &str,
        pause: Option<&NoticePause>,
        queued_before_ms: i64,
        at_ms: i64,
    ) -> Result<u64, LedgerError> {
        self.transact(|write| {
            let sql = "INSERT INTO notice_destination (name, reason, failures, until_ms, is_gone) VALUES (?1, ?2, ?3, ?4, ?5) \
                       ON CONFLICT (name) DO UPDATE SET reason = excluded.reason, failures = excluded.failures, \
                       until_ms = excluded.until_ms, is_gone = excluded.is_gone";
            let Some(pause) = pause else {
                run(write, sql, params![destination, "", 0, 0, false])?;
                return Ok(0);
            };
            let values = params![
                destination,
                &*pause.reason,
                pause.failures,
                pause.until_ms,
                pause.is_gone
            ];
            run(write, sql, values)?;
            let failed = "UPDATE notice_delivery SET state = 'failed', ended_ms = ?3, reason = ?4 \
                          WHERE destination = ?1 AND state = 'waiting' AND queued_ms <= ?2";
            let values = params![destination, queued_before_ms, at_ms, &*pause.reason];
            run(write, failed, values).map(|count| count as u64)
        })
    }

    fn notice_destinations(&self) -> Result<Vec<NoticeDestination>, LedgerError> {
        let sql = "SELECT d.name, d.delivered, \
                   (SELECT count(*) FROM notice_delivery AS w WHERE w.destination = d.name AND w.state = 'waiting'), \
                   (SELECT count(*) FROM notice_delivery AS f WHERE f.destination = d.name AND f.state = 'failed'), \
                   d.reason, d.failures, d.until_ms, d.is_gone FROM notice_destination AS d ORDER BY d.name";
        self.read(|reader| {
            all(reader, sql, [], |row| {
                let pause = pause(row, 4)?;
                Ok(NoticeDestination {
                    name: row.get::<_, String>(0)?.into(),
                    delivered: number(row, 1)?,
                    waiting: number(row, 2)?,
                    failed: number(row, 3)?,
                    pause: (pause.is_gone || !pause.reason.is_empty()).then_some(pause),
                })
            })
        })
    }

    fn deliveries(
        &self,
        after: u64,
        is_all: bool,
        limit: usize,
    ) -> Result<Vec<Listed>, LedgerError> {
        let sql = format!(
            "SELECT {NOTICE}, {DELIVERY}, d.destination, d.state, d.not_before_ms, d.ended_ms, d.reason \
             FROM notice_delivery AS d JOIN notice AS n ON n.number = d.notice {JOINED} \
             WHERE d.id > ?1 AND (?2 OR d.state <> 'delivered') ORDER BY d.id LIMIT ?3"
        );
        self.read(|reader| {
            let values = params![signed(after), is_all, bound(limit)];
            let at = NOTICE_COLUMNS + DELIVERY_COLUMNS;
            let found = all(reader, &sql, values, |row| {
                let of = (kept(row, 0)?, sent(row, NOTICE_COLUMNS)?);
                let texts: [String; 3] = [row.get(at)?, row.get(at + 1)?, row.get(at + 4)?];
                let moments: (i64, Option<i64>) = (row.get(at + 2)?, row.get(at + 3)?);
                Ok((of, texts, moments))
            })?;
            let listed = |(of, texts, moments): Told| {
                let [destination, state, reason] = texts;
                Ok(Listed {
                    delivery: delivery(of)?,
                    destination: destination.into(),
                    state: DeliveryState::parse(&state).ok_or_else(|| broken("a state is none"))?,
                    not_before_ms: moments.0,
                    ended_ms: moments.1,
                    reason: reason.into(),
                })
            };
            found.into_iter().map(listed).collect()
        })
    }

    fn retry_deliveries(
        &self,
        part: NoticePart<'_>,
        at_ms: i64,
        audit: &AuditRecord,
    ) -> Result<u64, LedgerError> {
        self.write(audit, |write| {
            let reachable = "UPDATE notice_destination SET reason = '', failures = 0, until_ms = 0, \
                             is_gone = (is_gone AND ?2 IS NOT NULL) WHERE ?1 IS NULL OR name = ?1";
            let values = params![part.destination, part.case.map(signed)];
            run(write, reachable, values)?;
            let sql = "UPDATE notice_delivery SET state = 'waiting', attempts = 0, queued_ms = ?3, not_before_ms = 0, \
                       ended_ms = NULL, reason = '' WHERE (state = 'failed' OR (state = 'waiting' AND attempts > 0)) \
                       AND (?1 IS NULL OR destination = ?1) AND (?2 IS NULL OR case_number = ?2) \
                       AND destination NOT IN (SELECT name FROM notice_destination WHERE is_gone)";
            let values = params![part.destination, part.case.map(signed), at_ms];
            run(write, sql, values).map(|count| count as u64)
        })
    }

    fn forget_deliveries(
        &self,
        part: NoticePart<'_>,
        audit: &AuditRecord,
    ) -> Result<u64, LedgerError> {
        self.write(audit, |write| {
            let sql = "DELETE FROM notice_delivery WHERE state <> 'delivered' \
                       AND (?1 IS NULL OR destination = ?1) AND (?2 IS NULL OR case_number = ?2)";
            let values = params![part.destination, part.case.map(signed)];
            run(write, sql, values).map(|count| count as u64)
        })
    }

    fn tidy_notices(&self, untidy: &Untidy<'_>, at_ms: i64) -> Result<Tidied, LedgerError> {
        let (ended_before_ms, waiting_max) = (untidy.ended_before_ms, untidy.waiting_max);
        let served = serde_json::json!(untidy.served).to_string();
        let queued_before_ms = untidy.queued_before_ms;
        let ended = "n.is_addressed = 1 AND NOT EXISTS (SELECT 1 FROM notice_delivery AS d WHERE d.notice = n.number \
                     AND (d.state = 'waiting' OR d.ended_ms >= ?1))";
        let waiting = "SELECT count(*) FROM notice_delivery WHERE state = 'waiting'";
        let found = format!(
            "SELECT EXISTS (SELECT 1 FROM notice AS n WHERE n.at_ms < ?1 AND {ended}) OR ({waiting}) > ?2 \
             OR EXISTS (SELECT 1 FROM notice_delivery WHERE {UNSERVED})"
        );
        let is_untidy: Option<bool> = self.read(|reader| {
            let values = params![
                ended_before_ms,
                signed(waiting_max),
                queued_before_ms,
                served
            ];
            one(reader, &found, values, |row| row.get(0))
        })?;
        if is_untidy != Some(true) {
            return Ok(Tidied::default());
        }
        self.transact(|write| {
            let sql = format!(
                "DELETE FROM notice WHERE number IN \
                 (SELECT n.number FROM notice AS n WHERE n.at_ms < ?1 AND {ended} ORDER BY n.at_ms LIMIT ?2)"
            );
            let forgotten = run(write, &sql, params![ended_before_ms, bound(TIDIED_MAX)])?;
            let sql = format!(
                "UPDATE notice_delivery SET state = 'failed', ended_ms = ?1, reason = ?2 WHERE {UNSERVED}"
            );
            let reason = "it is not configured any more";
            let values = params![at_ms, reason, queued_before_ms, served];
            let unserved = run(write, &sql, values)?;
            let too_many = count(write, waiting, [])?;
            let too_many = too_many.saturating_sub(usize::try_from(waiting_max).unwrap_or(usize::MAX));
            let sql = "UPDATE notice_delivery SET state = 'failed', ended_ms = ?2, reason = 'too many wait' \
                       WHERE id IN (SELECT id FROM notice_delivery WHERE state = 'waiting' ORDER BY notice LIMIT ?1)";
            let crowded_out = match too_many {
                0 => 0,
                _ => run(write, sql, params![bound(too_many), at_ms])?,
            };
            Ok(Tidied {
                forgotten: forgotten as u64,
                crowded_out: crowded_out as u64,
                unserved: unserved as u64,
            })
        })
    }

    fn tell_due(&self, now_ms: i64, soon_ms: i64) -> Result<usize, LedgerError> {
        self.keep_due(now_ms, soon_ms)
    }

    fn watched(&self, after: u64, limit: usize) -> Result<Vec<u64>, LedgerError> {
        self.cases_watched(after, limit)
    }

    fn tell_images_changed(
        &self,
        case: &Case,
        opinion: u64,
        now_ms: i64,
    ) -> Result<bool, LedgerError> {
        self.keep_images_changed(case, opinion, now_ms)
    }

    fn accounts_of_pool(&self, pool: &Pool) -> Result<Vec<Account>, LedgerError> {
        let sql = format!(
            "SELECT {ACCOUNT} FROM reader_pool JOIN account ON account.name = reader_pool.account \
             WHERE reader_pool.pool = ?1 ORDER BY account.name"
        );
        self.read(|reader| all(reader, &sql, [pool.as_str()], |row| account(row, 0)))
    }
}

/// A notice as it lies there.
struct Kept {
    number: u64,
    id: String,
    case: u64,
    words: [String; 2],
    revision: u64,
    task: Option<u32>,
    asked: [Option<String>; 2],
    at_ms: i64,
    study: String,
    due_ms: Option<i64>,
}

fn kept(row: &Row<'_>, at: usize) -> rusqlite::Result<Kept> {
    Ok(Kept {
        number: number(row, at)?,
        id: row.get(at + 1)?,
        case: number(row, at + 2)?,
        words: [row.get(at + 3)?, row.get(at + 4)?],
        revision: number(row, at + 5)?,
        task: row.get(at + 6)?,
        asked: [row.get(at + 7)?, row.get(at + 8)?],
        at_ms: row.get(at + 9)?,
        study: row.get(at + 10)?,
        due_ms: row.get(at + 11)?,
    })
}

fn notice(kept: Kept) -> Result<Notice, LedgerError> {
    let [event, state] = &kept.words;
    let [reader, pool] = kept.asked.map(Option::unwrap_or_default);
    let asked = match (reader.is_empty(), pool.is_empty()) {
        (true, true) => None,
        (false, _) => Some(Asked::Reader(AccountName::kept(&reader).map_err(broken)?)),
        (true, false) => Some(Asked::Pool(Pool::parse(&pool).map_err(broken)?)),
    };
    Ok(Notice {
        number: kept.number,
        id: kept.id.into(),
        case: kept.case,
        event: NoticeEvent::parse(event).ok_or_else(|| broken("its event is none"))?,
        state: State::parse(state).ok_or_else(|| broken("its state is none"))?,
        revision: kept.revision,
        task: kept.task.zip(asked),
        at_ms: kept.at_ms,
        study_instance_uid: Uid::parse(&kept.study).map_err(broken)?,
        due_ms: kept.due_ms,
    })
}

/// Columns of a delivery `d`.
const DELIVERY: &str = "d.id, d.recipient, d.attempts, d.queued_ms";
const DELIVERY_COLUMNS: usize = 4;

type Sent = (u64, String, u32, i64);

fn sent(row: &Row<'_>, at: usize) -> rusqlite::Result<Sent> {
    Ok((
        number(row, at)?,
        row.get(at + 1)?,
        row.get(at + 2)?,
        row.get(at + 3)?,
    ))
}

/// A delivery, its texts, and when it is tried again and has ended.
type Told = ((Kept, Sent), [String; 3], (i64, Option<i64>));

fn delivery(
    (kept, (id, recipient, attempts, queued_ms)): (Kept, Sent),
) -> Result<Delivery, LedgerError> {
    Ok(Delivery {
        id,
        notice: notice(kept)?,
        recipient: recipient.into(),
        attempts,
        queued_ms,
    })
}

fn pause(row: &Row<'_>, at: usize) -> rusqlite::Result<NoticePause> {
    Ok(NoticePause {
        reason: row.get::<_, String>(at)?.into(),
        failures: row.get(at + 1)?,
        until_ms: row.get(at + 2)?,
        is_gone: row.get(at + 3)?,
    })
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn number(row: &Row<'_>, at: usize) -> rusqlite::Result<u64> {
    row.get::<_, i64>(at).map(i64::unsigned_abs)
}

fn broken(cause: impl std::fmt::Display) -> LedgerError {
    LedgerError::broken("reading a notice", cause)
}
