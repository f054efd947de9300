//! Notices of what nobody does but time, each kept once: with the note that it was.

use rusqlite::{Connection, params};

use super::{bound, broken, insert, signed};
use crate::access::ledger::LedgerError;
use crate::cases::notices::NoticeEvent;
use crate::cases::{Case, State};
use crate::db::ledger::Ledger;
use crate::db::ledger::access::{all, run};

/// So many cases are told to be due in one transaction.
const BATCH: usize = 100;

/// Cases whose answer is missing, wanted after `?1` and not after `?2`, opened before `?1` less what is soon, and not told
/// of yet.
const DUE: &str = "SELECT number, state, revision FROM second_case AS c WHERE state IN ('open', 'in-review') \
                   AND due_ms IS NOT NULL AND due_ms > ?1 AND due_ms <= ?2 AND opened_ms < due_ms - ?3 \
                   AND NOT EXISTS (SELECT 1 FROM notice_told AS t WHERE t.case_number = c.number AND t.event = ?4 \
                   AND t.occasion = 0) ORDER BY due_ms LIMIT ?5";

impl Ledger {
    pub(super) fn keep_due(&self, now_ms: i64, soon_ms: i64) -> Result<usize, LedgerError> {
        let until_ms = now_ms.saturating_add(soon_ms);
        let windows = [
            (NoticeEvent::Overdue, i64::MIN, now_ms, 0),
            (NoticeEvent::DueSoon, now_ms, until_ms, soon_ms),
        ];
        let mut count = 0;
        for (event, after_ms, until_ms, soon_ms) in windows {
            let due = |connection: &Connection| {
                let values = params![after_ms, until_ms, soon_ms, event.word(), bound(BATCH)];
                all(connection, DUE, values, |row| {
                    Ok((
                        row.get::<_, i64>(0)?,
                        row.get::<_, String>(1)?,
                        row.get::<_, i64>(2)?,
                    ))
                })
            };
            // Nothing is written, and synced, when there is nothing to tell.
            if self.read(due)?.is_empty() {
                continue;
            }
            count += self.transact(|write| {
                let found = due(write)?;
                for (number, state, revision) in &found {
                    let state = State::parse(state).ok_or_else(|| broken("its state is none"))?;
                    note(write, *number, event, 0)?;
                    let case = (number.unsigned_abs(), state, revision.unsigned_abs());
                    insert(write, case, (event, None), now_ms)?;
                }
                Ok::<_, LedgerError>(found.len())
            })?;
        }
        Ok(count)
    }

    pub(super) fn cases_watched(&self, after: u64, limit: usize) -> Result<Vec<u64>, LedgerError> {
        let sql = "SELECT t.case_number, max(o.id) AS newest FROM task AS t JOIN opinion AS o ON o.task = t.id \
                   JOIN second_case AS c ON c.number = t.case_number \
                   WHERE t.case_number > ?1 AND c.state IN ('open', 'in-review', 'answered') GROUP BY t.case_number \
                   HAVING NOT EXISTS (SELECT 1 FROM notice_told AS n WHERE n.case_number = t.case_number \
                   AND n.event = ?2 AND n.occasion = newest) ORDER BY t.case_number LIMIT ?3";
        let word = NoticeEvent::ImagesChanged.word();
        self.read(|reader| {
            let values = params![signed(after), word, bound(limit)];
            let numbers = all(reader, sql, values, |row| row.get::<_, i64>(0))?;
            Ok(numbers.into_iter().map(i64::unsigned_abs).collect())
        })
    }

    pub(super) fn keep_images_changed(
        &self,
        case: &Case,
        opinion: u64,
        now_ms: i64,
    ) -> Result<bool, LedgerError> {
        let event = NoticeEvent::ImagesChanged;
        self.transact(|write| {
            let is_first = note(write, signed(case.number), event, signed(opinion))?;
            if is_first {
                let case = (case.number, case.state, case.revision);
                insert(write, case, (event, None), now_ms)?;
            }
            Ok(is_first)
        })
    }
}

/// Notes that something was told on an occasion; `false` when it had been.
fn note(
    write: &Connection,
    case: i64,
    event: NoticeEvent,
    occasion: i64,
) -> Result<bool, LedgerError> {
    let sql = "INSERT INTO notice_told (case_number, event, occasion) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING";
    Ok(run(write, sql, params![case, event.word(), occasion])? > 0)
}
