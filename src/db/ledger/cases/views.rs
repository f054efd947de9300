//! What the cases of a reader give them, as it was worked out last: whoever comes in as a reader needs it at each request, and
//! may have thousands of cases. The ledger counts what changes of the cases of each reader (`reader_change`, by triggers, so that
//! whoever writes counts); while that is the same, so is this, and else only what has changed is read again.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::{Connection, OptionalExtension};

use super::read;
use crate::access::View;
use crate::access::ledger::LedgerError;
use crate::cases::Case;
use crate::db::ledger::connection::error;
use crate::dicom::Uid;

/// So many cases of readers are kept: then it begins anew. Some hundred bytes each.
const CASES_MAX: usize = 100_000;

/// Cases that have not ended, in which a reader was asked by name or holds a task.
const THEIRS: &str = "SELECT number, revision FROM second_case WHERE state IN ('open', 'in-review', 'answered') \
    AND number IN (SELECT case_number FROM task WHERE reader = ?1 AND reader <> '' \
    UNION SELECT case_number FROM task WHERE held_by = ?1 AND held_by <> '')";

/// What all readers see, as far as it is known.
#[derive(Default)]
pub(in crate::db::ledger) struct Views(Mutex<HashMap<Box<str>, Arc<OfReader>>>);

/// The revision of a case, and what it gives its reader.
type Given = (i64, Box<[(Uid, View)]>);

/// What one reader sees.
#[derive(Default)]
struct OfReader {
    /// How often their cases had changed.
    count: i64,
    /// By the number of the case.
    cases: HashMap<i64, Given>,
    /// All of it together.
    views: BTreeMap<Uid, View>,
}

impl Views {
    /// What the cases that have not ended give to a reader, in the state that the connection sees.
    pub(super) fn of(
        &self,
        connection: &Connection,
        reader: &str,
    ) -> Result<BTreeMap<Uid, View>, LedgerError> {
        let count = changes(connection, reader).map_err(error)?;
        let kept = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = kept().get(reader).cloned();
        if let Some(known) = known.as_ref().filter(|known| known.count == count) {
            return Ok(known.views.clone());
        }
        let now = OfReader::read(connection, reader, count, known.as_deref())?;
        let views = now.views.clone();
        let mut kept = kept();
        let others = kept.iter().filter(|(name, _)| ***name != *reader);
        let others: usize = others.map(|(_, other)| other.cases.len()).sum();
        if others + now.cases.len() > CASES_MAX {
            kept.clear();
        }
        // Of a reader with more than that nothing is kept, but what they see is right.
        if now.cases.len() <= CASES_MAX {
            kept.insert(reader.into(), Arc::new(now));
        }
        Ok(views)
    }
}

impl OfReader {
    /// Reads the cases that are not as they are known.
    fn read(
        connection: &Connection,
        reader: &str,
        count: i64,
        known: Option<&Self>,
    ) -> Result<Self, LedgerError> {
        let found = connection.prepare_cached(THEIRS).and_then(|mut statement| {
            let rows = statement.query_map([reader], |row| Ok((row.get(0)?, row.get(1)?)))?;
            rows.collect::<Result<Vec<(i64, i64)>, _>>()
        });
        let mut now = Self {
            count,
            ..Self::default()
        };
        for (number, revision) in found.map_err(error)? {
            let given = known.and_then(|known| known.cases.get(&number));
            let given = match given.filter(|(of, _)| *of == revision) {
                Some((_, given)) => given.clone(),
                None => {
                    let case = read::case(connection, number)?;
                    let case = case.ok_or_else(|| read::broken("it is gone"))?;
                    case.views_for(reader).into_iter().collect()
                }
            };
            Case::add_views(&mut now.views, given.iter().cloned());
            now.cases.insert(number, (revision, given));
        }
        Ok(now)
    }
}

/// How often something has changed of the cases of a reader.
fn changes(connection: &Connection, reader: &str) -> rusqlite::Result<i64> {
    let sql = "SELECT count FROM reader_change WHERE name = ?1";
    let mut statement = connection.prepare_cached(sql)?;
    let count = statement.query_row([reader], |row| row.get(0)).optional()?;
    Ok(count.unwrap_or(0))
}
