//! Cases as they were read last: whoever looks for the tasks of a pool needs all that wait for it, and few have changed since
//! the last time. Every change of a case makes its revision grow by one ([`super::write::replace`]), so that number and
//! revision name what a case says for good. Its texts, which may be long, are left out: nobody is offered a task by them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;

use super::read;
use crate::access::ledger::LedgerError;
use crate::cases::Case;

/// So many are kept: then it begins anew. A case takes a few kilobytes without its texts.
const CASES_MAX: usize = 4096;

/// The cases, by number, with their revision.
#[derive(Default)]
pub(in crate::db::ledger) struct AtHand(Mutex<HashMap<i64, (i64, Arc<Case>)>>);

impl AtHand {
    /// The case of a number, without its texts, which has this revision in the state that the connection sees.
    pub(super) fn case(
        &self,
        connection: &Connection,
        number: i64,
        revision: i64,
    ) -> Result<Arc<Case>, LedgerError> {
        let kept = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = kept().get(&number).cloned();
        if let Some((_, case)) = known.filter(|(of, _)| *of == revision) {
            return Ok(case);
        }
        let case = read::case(connection, number)?.ok_or_else(|| read::broken("it is gone"))?;
        let case = Arc::new(without_texts(case));
        let mut kept = kept();
        if kept.len() >= CASES_MAX {
            kept.clear();
        }
        kept.insert(number, (revision, Arc::clone(&case)));
        Ok(case)
    }
}

fn without_texts(mut case: Case) -> Case {
    let request = &mut case.request;
    (request.question, request.context) = (String::new(), String::new());
    (request.first_report, request.report_instances) = (String::new(), Vec::new());
    case
}
