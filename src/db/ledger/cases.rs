//! Cases, tasks and opinions in the ledger. [`at_hand`] keeps those that were read last, [`views`] what readers come in by, [`read`] has rows as cases, [`write`](mod@write) cases as rows, [`search`] the
//! text of a search.

mod at_hand;
pub(super) mod offers;
mod read;
mod search;
#[cfg(test)]
mod tests;
mod views;
mod write;

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::{OptionalExtension, params};

use crate::access::View;
use crate::access::audit::AuditRecord;
use crate::access::ledger::LedgerError;
use crate::cases::{
    Alongside, Attempt, Case, CaseLedger, Commitment, Draft, DraftSaved, DraftTag, KeptOpinion,
    Mark, Opinion, Pool, Question, Signed, TaskState,
};
use crate::db::ledger::connection::error;
use crate::db::ledger::{Ledger, Write, notices};
use crate::dicom::Uid;
pub(super) use at_hand::AtHand;
use read::{broken, digest, number, signed, uid};
pub(super) use views::Views;

/// Why a transaction is undone: there was nothing to do, or it failed.
enum NotDone {
    Not,
    Failed(LedgerError),
}

impl From<LedgerError> for NotDone {
    fn from(error: LedgerError) -> Self {
        Self::Failed(error)
    }
}

impl From<rusqlite::Error> for NotDone {
    fn from(cause: rusqlite::Error) -> Self {
        Self::Failed(error(cause))
    }
}

fn done(result: Result<(), NotDone>) -> Result<bool, LedgerError> {
    match result {
        Ok(()) => Ok(true),
        Err(NotDone::Not) => Ok(false),
        Err(NotDone::Failed(error)) => Err(error),
    }
}

/// Whether the draft of a task is the one that was read.
fn is_draft(write: &Write<'_>, task: u64, read: &DraftTag) -> Result<bool, LedgerError> {
    let sql = "SELECT body FROM draft WHERE task = ?1";
    let body = write.prepare_cached(sql).and_then(|mut statement| {
        let body = statement.query_row([signed(task)], |row| row.get::<_, String>(0));
        body.optional()
    });
    let body = body.map_err(error)?.unwrap_or_default();
    Ok(DraftTag::of_text(&body) == *read)
}

impl CaseLedger for Ledger {
    fn next_case(&self) -> Result<u64, LedgerError> {
        let sql = "SELECT coalesce(max(number), 0) + 1 FROM second_case";
        self.read(|reader| {
            let next = reader
                .prepare_cached(sql)
                .and_then(|mut statement| statement.query_row([], |row| row.get(0)));
            next.map(number).map_err(error)
        })
    }

    fn insert_case(
        &self,
        case: &Case,
        marks: &[Mark],
        audit: &AuditRecord,
    ) -> Result<bool, LedgerError> {
        done(self.write(audit, |write| {
            if !write::insert(write, case)? {
                return Err(NotDone::Not);
            }
            write::marks(write, case.number, marks)?;
            notices::keep(write, None, case, &Alongside::Nothing)?;
            Ok(())
        }))
    }

    fn case(&self, number: u64) -> Result<Option<Case>, LedgerError> {
        self.read(|reader| read::case(reader, signed(number)))
    }

    fn cases(&self, question: &Question) -> Result<Vec<Case>, LedgerError> {
        self.read(|reader| {
            let found = search::numbers(reader, question).map_err(error)?;
            found
                .into_iter()
                .map(|number| read::case(reader, number)?.ok_or_else(|| broken("it is gone")))
                .collect()
        })
    }

    fn count_cases(&self, question: &Question) -> Result<usize, LedgerError> {
        self.read(|reader| search::count(reader, question).map_err(error))
    }

    fn change_case(
        &self,
        case: &Case,
        alongside: &Alongside<'_>,
        audit: &AuditRecord,
    ) -> Result<bool, LedgerError> {
        done(self.write(audit, |write| {
            if let Some((task, read)) = alongside.read()
                && !is_draft(write, task, read)?
            {
                return Err(NotDone::Not);
            }
            let before = read::case(write, signed(case.number))?;
            if !write::replace(write, case)? {
                return Err(NotDone::Not);
            }
            notices::keep(write, before.as_ref(), case, alongside)?;
            match alongside {
                Alongside::Nothing => {}
                Alongside::Commitment(new) => {
                    let body = serde_json::to_string(new.impression).map_err(broken)?;
                    write::commitment(write, new.task, &body, case.changed_ms)?;
                }
                Alongside::Opinion(new) => write::opinion(write, new)?,
                Alongside::Marks(marks) => write::marks(write, case.number, marks)?,
            }
            Ok(())
        }))
    }

    fn marks(&self, case: u64) -> Result<Vec<Mark>, LedgerError> {
        self.read(|reader| read::marks(reader, signed(case)))
    }

    fn marked(&self, case: u64) -> Result<Vec<(Uid, u64)>, LedgerError> {
        self.read(|reader| read::marked(reader, signed(case)))
    }

    fn note_attempt(
        &self,
        task: u64,
        attempt: &Attempt,
        audit: &AuditRecord,
    ) -> Result<(), LedgerError> {
        let sql = "INSERT INTO claim_attempt (transaction_uid, task, reader) VALUES (?1, ?2, ?3)";
        self.write(audit, |write| {
            let row = params![
                attempt.transaction_uid.as_str(),
                signed(task),
                &*attempt.reader
            ];
            let noted = write
                .prepare_cached(sql)
                .and_then(|mut statement| statement.execute(row));
            noted.map(|_| ()).map_err(error)
        })
    }

    fn attempts(&self, task: u64) -> Result<Vec<Attempt>, LedgerError> {
        let sql = "SELECT transaction_uid, reader FROM claim_attempt WHERE task = ?1 ORDER BY 1";
        self.read(|reader| {
            let found = reader
                .prepare_cached(sql)
                .and_then(|mut statement| {
                    let rows = statement.query_map([signed(task)], |row| {
                        Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?))
                    })?;
                    rows.collect::<Result<Vec<_>, _>>()
                })
                .map_err(error)?;
            let attempt = |(transaction_uid, reader): (String, String)| {
                Ok(Attempt {
                    transaction_uid: uid(&transaction_uid)?,
                    reader: reader.into(),
                })
            };
            found.into_iter().map(attempt).collect()
        })
    }

    fn save_draft(
        &self,
        task: u64,
        reader: &str,
        draft: &Draft,
        state: TaskState,
        read: Option<&DraftTag>,
    ) -> Result<DraftSaved, LedgerError> {
        let sql = "INSERT INTO draft (task, body, saved_ms) \
                   SELECT id, ?3, ?4 FROM task \
                   WHERE id = ?1 AND held_by = ?2 AND state = ?5 AND state IN ('claimed', 'committed') \
                   ON CONFLICT (task) DO UPDATE SET body = excluded.body, saved_ms = excluded.saved_ms";
        self.transact(|write| {
            if let Some(read) = read
                && !is_draft(write, task, read)?
            {
                return Ok(DraftSaved::Changed);
            }
            let (body, saved_ms) = (&*draft.body, draft.saved_ms);
            let row = params![signed(task), reader, body, saved_ms, state.word()];
            let saved = write
                .prepare_cached(sql)
                .and_then(|mut statement| statement.execute(row));
            Ok(match saved.map_err(error)? {
                0 => DraftSaved::NotHeld,
                _ => DraftSaved::Yes,
            })
        })
    }

    fn draft(&self, task: u64) -> Result<Option<Draft>, LedgerError> {
        let sql = "SELECT body, saved_ms FROM draft WHERE task = ?1";
        self.read(|reader| {
            let read = reader.prepare_cached(sql).and_then(|mut statement| {
                let draft = statement.query_row([signed(task)], |row| {
                    Ok(Draft {
                        body: row.get::<_, String>(0)?.into(),
                        saved_ms: row.get(1)?,
                    })
                });
                draft.optional()
            });
            read.map_err(error)
        })
    }

    fn commitment(&self, task: u64) -> Result<Option<Commitment>, LedgerError> {
        let sql = "SELECT body, at_ms FROM commitment WHERE task = ?1";
        self.read(|reader| {
            let read = reader.prepare_cached(sql).and_then(|mut statement| {
                let row = statement.query_row([signed(task)], |row| {
                    Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?))
                });
                row.optional()
            });
            let Some((body, at_ms)) = read.map_err(error)? else {
                return Ok(None);
            };
            let impression = serde_json::from_str(&body).map_err(broken)?;
            Ok(Some(Commitment { impression, at_ms }))
        })
    }

    fn opinions(&self, case: u64) -> Result<Vec<Opinion>, LedgerError> {
        self.read(|reader| read::opinions(reader, signed(case)))
    }

    fn kept_opinion(&self, id: u64) -> Result<Option<KeptOpinion>, LedgerError> {
        let sql = "SELECT o.body, o.digest, m.listing, m.digest FROM opinion AS o \
                   JOIN manifest AS m ON m.opinion = o.id WHERE o.id = ?1";
        self.read(|reader| {
            let read = reader.prepare_cached(sql).and_then(|mut statement| {
                let kept = statement.query_row([signed(id)], |row| {
                    Ok(KeptOpinion {
                        body: row.get(0)?,
                        body_digest: digest(row, 1)?,
                        rows: row.get(2)?,
                        rows_digest: digest(row, 3)?,
                    })
                });
                kept.optional()
            });
            read.map_err(error)
        })
    }

    fn unsettled(&self, after: u64, limit: usize) -> Result<Vec<u64>, LedgerError> {
        self.numbers(search::UNSETTLED, signed(after), limit)
    }

    fn expiring(&self, now_ms: i64, limit: usize) -> Result<Vec<u64>, LedgerError> {
        let sql = "SELECT number FROM second_case \
                   WHERE state IN ('open', 'in-review') AND expires_ms <= ?1 ORDER BY expires_ms LIMIT ?2";
        self.numbers(sql, now_ms, limit)
    }

    fn pools_of(&self, account: &str) -> Result<Vec<Pool>, LedgerError> {
        let sql = "SELECT pool FROM reader_pool WHERE account = ?1 ORDER BY 1";
        self.read(|reader| {
            let found = reader.prepare_cached(sql).and_then(|mut statement| {
                let rows = statement.query_map([account], |row| row.get::<_, String>(0))?;
                rows.collect::<Result<Vec<_>, _>>()
            });
            let found = found.map_err(error)?;
            found.iter().map(|word| read::pool(word)).collect()
        })
    }

    fn set_pools(
        &self,
        account: &str,
        pools: &[Pool],
        audit: &AuditRecord,
    ) -> Result<(), LedgerError> {
        self.write(audit, |write| {
            let run = || {
                write
                    .prepare_cached("DELETE FROM reader_pool WHERE account = ?1")?
                    .execute([account])?;
                let mut statement = write.prepare_cached(
                    "INSERT OR IGNORE INTO reader_pool (account, pool) VALUES (?1, ?2)",
                )?;
                for pool in pools {
                    statement.execute(params![account, pool.as_str()])?;
                }
                Ok(())
            };
            run().map_err(error)
        })
    }

    fn note_record(
        &self,
        opinion: u64,
        instances: &[Uid],
        audit: &AuditRecord,
    ) -> Result<(), LedgerError> {
        let sql = "INSERT OR IGNORE INTO case_record (sop_instance_uid, opinion) VALUES (?1, ?2)";
        self.write(audit, |write| {
            let run = || {
                let mut statement = write.prepare_cached(sql)?;
                for instance in instances {
                    statement.execute(params![instance.as_str(), signed(opinion)])?;
                }
                Ok(())
            };
            run().map_err(error)
        })
    }

    fn each_signed(
        &self,
        each: &mut dyn FnMut(Signed) -> Result<(), LedgerError>,
    ) -> Result<(), LedgerError> {
        self.read(|reader| read::each_signed(reader, each))
    }

    fn newest_opinion(&self) -> Result<u64, LedgerError> {
        self.read(|reader| {
            let newest = reader
                .prepare_cached("SELECT coalesce(max(id), 0) FROM opinion")
                .and_then(|mut statement| statement.query_row([], |row| row.get::<_, i64>(0)));
            newest.map(i64::unsigned_abs).map_err(error)
        })
    }

    fn unrecorded(&self, after: u64, limit: usize) -> Result<Vec<(u64, u64)>, LedgerError> {
        let sql = "SELECT t.case_number, o.id FROM opinion AS o JOIN task AS t ON t.id = o.task WHERE o.id > ?1 \
                   AND NOT EXISTS (SELECT 1 FROM case_record AS r WHERE r.opinion = o.id) ORDER BY o.id LIMIT ?2";
        self.read(|reader| {
            let found = reader.prepare_cached(sql).and_then(|mut statement| {
                let limit = i64::try_from(limit).unwrap_or(i64::MAX);
                let pair =
                    |row: &rusqlite::Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?));
                let rows = statement.query_map([signed(after), limit], pair)?;
                rows.collect::<Result<Vec<_>, _>>()
            });
            let found = found.map_err(error)?;
            Ok(found
                .into_iter()
                .map(|(case, opinion)| (case.unsigned_abs(), opinion.unsigned_abs()))
                .collect())
        })
    }

    fn recorded(&self, case: u64) -> Result<BTreeSet<Uid>, LedgerError> {
        let sql = "SELECT r.sop_instance_uid FROM task AS t JOIN opinion AS o ON o.task = t.id \
                   JOIN case_record AS r ON r.opinion = o.id WHERE t.case_number = ?1";
        self.read(|reader| {
            let found = reader.prepare_cached(sql).and_then(|mut statement| {
                let rows = statement.query_map([signed(case)], |row| row.get::<_, String>(0))?;
                rows.collect::<Result<Vec<_>, _>>()
            });
            let found = found.map_err(error)?;
            found.iter().map(|text| uid(text)).collect()
        })
    }
}

impl Ledger {
    /// What the cases that have not ended give to a reader who was asked by name or holds a task.
    pub(super) fn views_of(&self, reader: &str) -> Result<BTreeMap<Uid, View>, LedgerError> {
        self.read_entry(|connection| {
            let mut views = self.views.of(connection, reader)?;
            for case in offers::just_claimed(self, connection, reader)? {
                Case::add_views(&mut views, case.views_for(reader));
            }
            Ok(views)
        })
    }

    fn numbers(&self, sql: &str, from: i64, limit: usize) -> Result<Vec<u64>, LedgerError> {
        self.read(|reader| {
            let limit = i64::try_from(limit).unwrap_or(i64::MAX);
            let found = reader.prepare_cached(sql).and_then(|mut statement| {
                let rows = statement.query_map([from, limit], |row| row.get(0).map(number))?;
                rows.collect()
            });
            found.map_err(error)
        })
    }
}
