//! Tasks of pools as workitems: which of them a reader could take, by the rule of our own pages ([`Case::offers`]), and what
//! they have claimed of them at a workstation. Such a claim notes the attempt that our pages would have noted, in the
//! transaction of the claim, so that it is theirs at once and settled as any other.

use rusqlite::{Connection, OptionalExtension, params};

use super::read::{broken, number, pool};
use crate::access::Roles;
use crate::access::ledger::LedgerError;
use crate::cases::{Asked, Case, Pool, Task, TaskState};
use crate::db::ledger::connection::error;
use crate::db::ledger::{Ledger, Write};
use crate::dicom::Uid;
use crate::worklist::{Offer, Offered, Workitem};

/// Cases with tasks that wait for the pools of a reader, those that have waited longest first.
const WAITING: &str = "SELECT DISTINCT c.number, c.revision FROM task AS t JOIN second_case AS c ON c.number = t.case_number \
    WHERE t.state = 'waiting' AND t.pool IN (SELECT pool FROM reader_pool WHERE account = ?1) ORDER BY c.number LIMIT ?2";

/// Tasks whose workitem a reader has claimed, which is not noted with the task yet.
const CLAIMED: &str = "SELECT c.number, c.revision, t.id FROM claim_attempt AS a JOIN task AS t ON t.id = a.task \
    JOIN workitem AS w ON w.uid = t.workitem JOIN second_case AS c ON c.number = t.case_number \
    WHERE a.reader = ?1 AND a.transaction_uid = w.transaction_uid AND t.state = 'waiting'";

impl Ledger {
    /// The workitems of tasks that a reader could take for a pool, of the `limit` cases that have waited longest.
    pub(in crate::db::ledger) fn offered_to(
        &self,
        reader: &str,
        limit: usize,
    ) -> Result<Offered, LedgerError> {
        self.read(|connection| {
            let reader = Reader::of(connection, reader)?;
            let one_more = i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1);
            let found = connection
                .prepare_cached(WAITING)
                .and_then(|mut statement| {
                    let rows = statement.query_map(params![reader.name, one_more], |row| {
                        Ok((row.get(0)?, row.get(1)?))
                    })?;
                    rows.collect::<Result<Vec<(i64, i64)>, _>>()
                });
            let mut workitems = Vec::new();
            let mut found = found.map_err(error)?;
            let is_whole = found.len() <= limit;
            found.truncate(limit);
            for (case, revision) in found {
                let case = self.at_hand.case(connection, case, revision)?;
                let tasks = case.tasks.iter();
                let offered = tasks.filter(|task| reader.is_offered(&case, task));
                workitems.extend(offered.map(|task| task.workitem.clone()));
            }
            Ok(Offered {
                workitems,
                is_whole,
            })
        })
    }

    /// Where a workitem stands with a reader.
    pub(in crate::db::ledger) fn offer_of(
        &self,
        workitem: &Uid,
        reader: &str,
    ) -> Result<Offer, LedgerError> {
        let sql = "SELECT c.number, c.revision FROM task AS t JOIN second_case AS c ON c.number = t.case_number \
                   WHERE t.workitem = ?1";
        self.read(|connection| {
            let found = connection.prepare_cached(sql).and_then(|mut statement| {
                let row =
                    statement.query_row([workitem.as_str()], |row| Ok((row.get(0)?, row.get(1)?)));
                row.optional()
            });
            let Some((of, revision)) = found.map_err(error)? else {
                return Ok(Offer::NoPool);
            };
            let case = self.at_hand.case(connection, of, revision)?;
            let mut tasks = case.tasks.iter();
            let Some(task) = tasks.find(|task| task.workitem == *workitem) else {
                return Ok(Offer::NoPool);
            };
            let is_theirs = task.is_held_by(reader)
                || claimed_by(connection, reader)?
                    .iter()
                    .any(|(_, _, id)| number(*id) == task.id);
            if is_theirs {
                return Ok(Offer::NoPool);
            }
            let is_free = is_scheduled(connection, workitem)?;
            let reader = Reader::of(connection, reader)?;
            Ok(match &task.asked {
                // Roles may have come after the question: who sees the reports by now takes it at no door.
                Asked::Reader(_) if is_free && case.is_spoilt_for(task, reader.sees_reports) => {
                    Offer::Others
                }
                Asked::Reader(_) => Offer::NoPool,
                Asked::Pool(_) if is_free && reader.is_offered(&case, task) => Offer::Theirs,
                Asked::Pool(_) => Offer::Others,
            })
        })
    }
}

/// Whether nobody has claimed a workitem, though that may not be noted with its task yet.
fn is_scheduled(connection: &Connection, workitem: &Uid) -> Result<bool, LedgerError> {
    let sql = "SELECT state = 'SCHEDULED' FROM workitem WHERE uid = ?1";
    let found = connection.prepare_cached(sql).and_then(|mut statement| {
        let row = statement.query_row([workitem.as_str()], |row| row.get(0));
        row.optional()
    });
    Ok(found.map_err(error)?.unwrap_or(false))
}

/// A reader, as far as it decides what is offered to them.
struct Reader<'a> {
    name: &'a str,
    pools: Vec<Pool>,
    /// By all roles of the account, whatever they have signed in with.
    sees_reports: bool,
}

impl<'a> Reader<'a> {
    fn of(connection: &Connection, name: &'a str) -> Result<Self, LedgerError> {
        let sql = "SELECT roles FROM account WHERE name = ?1";
        let roles = connection.prepare_cached(sql).and_then(|mut statement| {
            let row = statement.query_row([name], |row| row.get::<_, String>(0));
            row.optional()
        });
        let roles = roles.map_err(error)?.unwrap_or_default();
        let roles = Roles::parse(&roles).map_err(broken)?;
        Ok(Self {
            name,
            pools: pools_of(connection, name)?,
            sees_reports: roles.see_everything(),
        })
    }

    fn is_offered(&self, case: &Case, task: &Task) -> bool {
        let is_of_pool = matches!(&task.asked, Asked::Pool(pool) if self.pools.contains(pool));
        is_of_pool && case.offers(task, self.name) && !case.is_spoilt_for(task, self.sees_reports)
    }
}

fn pools_of(connection: &Connection, reader: &str) -> Result<Vec<Pool>, LedgerError> {
    let sql = "SELECT pool FROM reader_pool WHERE account = ?1";
    let found = connection.prepare_cached(sql).and_then(|mut statement| {
        let rows = statement.query_map([reader], |row| row.get::<_, String>(0))?;
        rows.collect::<Result<Vec<_>, _>>()
    });
    let found = found.map_err(error)?;
    found.iter().map(|word| pool(word)).collect()
}

/// Cases with their revision and the tasks in them.
fn claimed_by(connection: &Connection, reader: &str) -> Result<Vec<(i64, i64, i64)>, LedgerError> {
    let found = connection
        .prepare_cached(CLAIMED)
        .and_then(|mut statement| {
            let rows =
                statement.query_map([reader], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
            rows.collect()
        });
    found.map_err(error)
}

/// The cases of which a reader has just claimed a task, as they are once that is noted with the task.
pub(super) fn just_claimed(
    ledger: &Ledger,
    connection: &Connection,
    reader: &str,
) -> Result<Vec<Case>, LedgerError> {
    let mut cases = Vec::new();
    for (of, revision, id) in claimed_by(connection, reader)? {
        let mut case = Case::clone(&*ledger.at_hand.case(connection, of, revision)?);
        let mut tasks = case.tasks.iter_mut();
        if let Some(task) = tasks.find(|task| task.id == number(id)) {
            (task.state, task.held_by) = (TaskState::Claimed, Some(reader.into()));
        }
        cases.push(case);
    }
    Ok(cases)
}

/// Notes by whom the task of a pool is claimed, with the claim of its workitem.
pub(in crate::db::ledger) fn note_claim(
    write: &Write<'_>,
    workitem: &Workitem,
) -> rusqlite::Result<()> {
    let (Some(reader), Some(transaction_uid)) = (&workitem.claims, &workitem.transaction_uid)
    else {
        return Ok(());
    };
    let sql = "INSERT INTO claim_attempt (transaction_uid, task, reader) \
               SELECT ?1, id, ?3 FROM task WHERE workitem = ?2 AND pool <> '' \
               ON CONFLICT (transaction_uid, task) DO NOTHING";
    let row = params![transaction_uid.as_str(), workitem.uid.as_str(), &**reader];
    write.prepare_cached(sql)?.execute(row).map(|_| ())
}
