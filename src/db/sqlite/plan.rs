//! Which index a search is driven by. Every candidate is asked for at most [`Bounds::listed_max`]
//! row ids; the shortest list that is complete drives the search. When every list is too long,
//! matches are frequent, and the studies are walked in the order of the answers, by the index that
//! narrows the walk most ([`walk`](super::walk)). Lists of some hundred are asked for first; where there are none and few rows
//! are wanted, a short walk is tried before longer lists ([`near`]). Either way the rows come in order
//! and are tested exactly, so a driver may bring too many rows, but never too few.

use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};

use crate::access::Scope;
use crate::archive::Error;
use crate::db::sqlite::candidates::{
    Candidate, candidates, exact_candidates, json, scope_candidate,
};
use crate::db::sqlite::connection::error;
use crate::db::sqlite::find::Bounds;
use crate::db::sqlite::keys::uids_of;
use crate::db::sqlite::line::Line;
use crate::db::sqlite::read;
use crate::db::sqlite::source::{Course, Source};
use crate::db::sqlite::walk::walk;
use crate::dicom::query::{Key, Matching};
use crate::dicom::{Level, Query, Uid};

const PATIENT_ORDER: &str = "ORDER BY patient.id DESC";

/// How rows are come by, and the keys (by position) that all of them satisfy: those need no test.
pub(super) struct Way {
    pub(super) course: Course,
    pub(super) satisfied: Vec<usize>,
}

/// What is tried first of a search by studies.
pub(super) enum Near {
    /// Nothing else need be looked for.
    Sure(Way),
    /// Where many match, a page is full long before a list of them all is put in order.
    Hopeful(Way),
    Unknown,
}

/// Whether rows may say something else to a caller than what the indexes find them by: then only the
/// scope narrows a search.
pub(super) fn is_seen_otherwise(query: &Query, scope: &Scope) -> bool {
    match scope {
        Scope::All | Scope::Nothing => false,
        Scope::Studies(_) => query.level == Level::Patient || scope.is_blind(),
    }
}

/// How such a search comes by all that the scope holds.
pub(super) fn scoped(
    connection: &Connection,
    query: &Query,
    scope: &Scope,
    line: &Line<'_>,
) -> Result<Way, Error> {
    let Scope::Studies(studies) = scope else {
        return listed(connection, Vec::new(), line);
    };
    // UIDs are the same however a study is seen: those that are asked for may narrow the scope.
    let named = query.keys.iter().find_map(|key| match key {
        Key::Attribute(id, matching) if id.attribute().keyword == "StudyInstanceUID" => {
            uids_of(matching)
        }
        _ => None,
    });
    let is_named = |study: &&Uid| {
        let named = named.as_ref();
        named.is_none_or(|named| named.contains(&study.as_str()))
    };
    let candidate = scope_candidate(studies.keys().filter(is_named));
    let level = match query.level {
        Level::Patient => Level::Patient,
        _ => Level::Study,
    };
    let ids = probe(connection, level, &candidate, usize::MAX)?.unwrap_or_default();
    match level {
        Level::Patient => Ok(patients_listed(ids)),
        _ => listed(connection, ids, line),
    }
}

/// How a search at patient level comes by patients, newest first.
pub(super) fn patients(
    connection: &Connection,
    bounds: &Bounds,
    query: &Query,
    scope: &Scope,
) -> Result<Way, Error> {
    let candidates = candidates(bounds, query, scope);
    if let Some(ids) = shortest(connection, bounds, Level::Patient, &candidates)? {
        return Ok(patients_listed(ids));
    }
    Ok(Way {
        course: Source::new("FROM patient", PATIENT_ORDER, Vec::new()).into(),
        satisfied: Vec::new(),
    })
}

/// The way by a list of patients.
fn patients_listed(ids: Vec<i64>) -> Way {
    Way {
        course: Source::new(
            "FROM patient WHERE id IN (SELECT value FROM json_each(?))",
            PATIENT_ORDER,
            vec![json(ids)],
        )
        .into(),
        satisfied: Vec::new(),
    }
}

/// How a search below patient level begins, looking at little.
pub(super) fn near(
    connection: &Connection,
    bounds: &Bounds,
    query: &Query,
    scope: &Scope,
    line: &Line<'_>,
) -> Result<Near, Error> {
    let mut candidates = candidates(bounds, query, scope);
    let walk = walk(connection, query, line)?;
    // Keys that the walk itself goes by need no list.
    if candidates.len() <= walk.keys {
        return Ok(Near::Sure(walk.way));
    }
    candidates.retain(|candidate| !candidate.is_last_resort);
    let short = Bounds {
        listed_max: bounds.near_listed_max.min(bounds.listed_max),
        ..*bounds
    };
    let short = shortest(connection, &short, Level::Study, &candidates)?;
    let wanted = line.offset(query).saturating_add(query.limit.into());
    let listed_rows = short.as_ref().map(Vec::len);
    let is_hopeful = is_hopeful(connection, bounds, query, wanted, listed_rows)?;
    Ok(match short {
        _ if is_hopeful => Near::Hopeful(walk.way),
        Some(ids) => Near::Sure(listed(connection, ids, line)?),
        None => Near::Unknown,
    })
}

/// Whether a short walk may fill the page sooner than a list can: a row of a list, which lies
/// anywhere, costs some times what a row of a walk does.
fn is_hopeful(
    connection: &Connection,
    bounds: &Bounds,
    query: &Query,
    wanted: u64,
    listed: Option<usize>,
) -> Result<bool, Error> {
    // To test these costs more than a list.
    let is_dear = |key: &Key| {
        matches!(
            key,
            Key::Data(..) | Key::Sequence(..) | Key::Attribute(_, Matching::Sounds(_))
        )
    };
    if query.keys.iter().any(is_dear) || wanted > bounds.near_visits_max / 8 {
        return Ok(false);
    }
    let Some(listed) = listed.map(|rows| rows as u64) else {
        return Ok(true);
    };
    if listed <= bounds.listed_enough as u64 {
        return Ok(false);
    }
    // If those that match lie as close everywhere.
    let visits = wanted.saturating_mul(read::totals(connection)?.studies) / listed;
    Ok(visits < bounds.near_visits_max.min(2 * listed))
}

/// How a search below patient level comes by studies in their order.
pub(super) fn studies(
    connection: &Connection,
    bounds: &Bounds,
    query: &Query,
    scope: &Scope,
    line: &Line<'_>,
) -> Result<Way, Error> {
    let candidates = candidates(bounds, query, scope);
    // What matches is spread among the dates as a rule. By name it may all stand at the end, where no walk
    // comes: so long a list, which takes a tenth of a second to sort, is better than no answer.
    let listed_max = match line.order.is_newest_first() {
        true => bounds.listed_max,
        false => bounds.listed_max.max(bounds.listed_otherwise_max),
    };
    let bounds = Bounds {
        listed_max,
        ..*bounds
    };
    match shortest(connection, &bounds, Level::Study, &candidates)? {
        Some(ids) => listed(connection, ids, line),
        None => Ok(walk(connection, query, line)?.way),
    }
}

/// The way by a list of studies.
fn listed(connection: &Connection, ids: Vec<i64>, line: &Line<'_>) -> Result<Way, Error> {
    Ok(Way {
        course: line.listed(connection, ids)?.into(),
        satisfied: Vec::new(),
    })
}

/// The way by the few studies that a key of one value finds; `None` when there are more of each.
pub(super) fn few(
    connection: &Connection,
    bounds: &Bounds,
    query: &Query,
    line: &Line<'_>,
) -> Result<Option<Way>, Error> {
    for candidate in exact_candidates(query) {
        let ids = probe(connection, Level::Study, &candidate, bounds.listed_max)?;
        if let Some(ids) = ids {
            return listed(connection, ids, line).map(Some);
        }
    }
    Ok(None)
}

/// The shortest complete list of the candidates, as ids of a level; `None` when all are too long.
fn shortest(
    connection: &Connection,
    bounds: &Bounds,
    level: Level,
    candidates: &[Candidate],
) -> Result<Option<Vec<i64>>, Error> {
    let mut best: Option<Vec<i64>> = None;
    let (last, first): (Vec<_>, Vec<_>) = candidates
        .iter()
        .partition(|candidate| candidate.is_last_resort);
    for candidate in first.into_iter().chain(last) {
        let is_enough = match &best {
            Some(ids) => candidate.is_last_resort || ids.len() <= bounds.listed_enough,
            None => false,
        };
        if is_enough {
            break;
        }
        let limit = best.as_ref().map_or(bounds.listed_max, Vec::len);
        if let Some(ids) = probe(connection, level, candidate, limit)? {
            best = Some(ids);
        }
    }
    Ok(best)
}

/// The ids at `level` of what a candidate finds; `None` when it finds more than `limit`.
fn probe(
    connection: &Connection,
    level: Level,
    candidate: &Candidate,
    limit: usize,
) -> Result<Option<Vec<i64>>, Error> {
    let limit_value = Value::Integer(i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1));
    let sql = format!("{} LIMIT ?", candidate.sql);
    let mut found = ids(
        connection,
        &sql,
        candidate.values.iter().chain([&limit_value]),
    )?;
    // An id can stand twice, so this comes before the doubles go.
    if found.len() > limit {
        return Ok(None);
    }
    let mut at = candidate.level;
    while at != level {
        let (sql, above) = match at {
            Level::Instance => (
                "SELECT series FROM instance WHERE id IN (SELECT value FROM json_each(?))",
                Level::Series,
            ),
            Level::Series => (
                "SELECT study FROM series WHERE id IN (SELECT value FROM json_each(?))",
                Level::Study,
            ),
            Level::Study => (
                "SELECT patient FROM study WHERE id IN (SELECT value FROM json_each(?))",
                Level::Patient,
            ),
            Level::Patient => return Ok(None),
        };
        found = ids(connection, sql, [&json(found)])?;
        at = above;
    }
    found.sort_unstable();
    found.dedup();
    Ok(Some(found))
}

/// The ids a statement gives.
pub(super) fn ids<'v>(
    connection: &Connection,
    sql: &str,
    values: impl IntoIterator<Item = &'v Value>,
) -> Result<Vec<i64>, Error> {
    let mut statement = connection.prepare_cached(sql).map_err(error)?;
    let rows = statement
        .query_map(params_from_iter(values), |row| row.get(0))
        .map_err(error)?;
    rows.collect::<Result<_, _>>().map_err(error)
}

#[cfg(test)]
mod tests;
