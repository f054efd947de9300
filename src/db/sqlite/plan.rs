//! Which index a search is driven by. Every candidate is asked for at most [`Bounds::listed_max`]
//! row ids; the shortest list that is complete drives the search. When every list is too long,
//! matches are frequent, and the studies are walked in the order of the answers, by the index that
//! narrows the walk most. Lists of some hundred are asked for first; where there are none and few rows
//! are wanted, a short walk is tried before longer lists ([`near`]). Either way the rows come in order
//! and are tested exactly, so a driver may bring too many rows, but never too few.

use dicom_core::VR;
use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};

use crate::access::Scope;
use crate::archive::Error;
use crate::db::sqlite::candidates::{
    Candidate, Span, candidates, days, exact_candidates, index, json, scope_candidate,
    search_value_sql, span,
};
use crate::db::sqlite::connection::error;
use crate::db::sqlite::find::Bounds;
use crate::db::sqlite::keys::{Keys, level_of, uids_of};
use crate::db::sqlite::read;
use crate::db::sqlite::rows::{table, text};
use crate::dicom::query::{Key, Matching, normal_date};
use crate::dicom::{Attribute, Level, Query, Uid};

/// Where rows of one level come from, in the order of the answers.
pub(super) struct Source {
    /// FROM and WHERE.
    from: String,
    /// A column with the id, and FROM and WHERE when nothing else is read.
    alone: Option<(&'static str, String)>,
    order: &'static str,
    /// Whether the last two values are LIMIT and OFFSET.
    is_limited: bool,
    pub(super) values: Vec<Value>,
}

const PATIENT_ORDER: &str = "ORDER BY patient.id DESC";
const STUDY_ORDER: &str = "ORDER BY study.sort_date DESC, study.sort_time DESC, study.id DESC";
const MODALITY_ORDER: &str = "ORDER BY m.sort_date DESC, m.sort_time DESC, m.study DESC";

impl Source {
    fn new(from: impl Into<String>, order: &'static str, values: Vec<Value>) -> Self {
        Self {
            from: from.into(),
            alone: None,
            order,
            is_limited: false,
            values,
        }
    }

    /// The statement; `fixed` and `tested` are columns, each after a comma.
    pub(super) fn sql(&self, level: Level, fixed: &str, tested: &str) -> String {
        let (table, from, order) = (table(level).name, &self.from, self.order);
        let limit = if self.is_limited {
            "LIMIT ? OFFSET ?"
        } else {
            ""
        };
        if let (Some((id, from)), "", "") = (&self.alone, fixed, tested) {
            return format!("SELECT {id} {from} {order} {limit}");
        }
        format!("SELECT {table}.id{fixed}{tested} {from} {order} {limit}")
    }

    /// Begins a walk through all studies in the month that has the row at `offset`; gives how many
    /// rows of that month stand before it.
    pub(super) fn begin_at(&mut self, connection: &Connection, offset: u64) -> Result<u64, Error> {
        let mut left = offset;
        let sql = "SELECT month, studies FROM study_month ORDER BY month DESC";
        let mut statement = connection.prepare_cached(sql).map_err(error)?;
        let mut rows = statement.query([]).map_err(error)?;
        while let Some(row) = rows.next().map_err(error)? {
            let studies = row.get::<_, i64>(1).map_err(error)?.unsigned_abs();
            if left < studies {
                // No day has this number; without a month there is no date.
                let last = match text(row, 0)?.unwrap_or_default() {
                    "" => String::new(),
                    month => format!("{month}99"),
                };
                self.from += " AND study.sort_date <= ?";
                self.values.push(Value::Text(last));
                return Ok(left);
            }
            left -= studies;
        }
        // Beyond the end there is nothing, wherever a walk begins.
        Ok(offset)
    }

    /// Leaves out the first rows.
    pub(super) fn pass_over(&mut self, offset: u64) {
        self.values.push(Value::Integer(-1));
        self.values
            .push(Value::Integer(i64::try_from(offset).unwrap_or(i64::MAX)));
        self.is_limited = true;
    }

    /// The rows of a level under one row of the level above; only those with the UIDs that the keys name.
    pub(super) fn below(level: Level, parent: i64, keys: &Keys<'_>) -> Self {
        let (plain, by_uid, order) = match level {
            Level::Patient | Level::Study => (
                "FROM study INDEXED BY study_by_patient WHERE patient = ?",
                None,
                "",
            ),
            Level::Series => (
                "FROM series INDEXED BY series_by_study WHERE study = ?",
                Some(
                    "FROM series INDEXED BY series_by_series_instance_uid WHERE study = ? AND series_instance_uid IN (SELECT value FROM json_each(?))",
                ),
                "ORDER BY series_order, series.id",
            ),
            Level::Instance => (
                "FROM instance INDEXED BY instance_by_series WHERE series = ?",
                Some(
                    "FROM instance INDEXED BY instance_by_sop_instance_uid WHERE series = ? AND sop_instance_uid IN (SELECT value FROM json_each(?))",
                ),
                "ORDER BY instance_order, instance.id",
            ),
        };
        let mut values = vec![Value::Integer(parent)];
        let from = match (keys.uids(level), by_uid) {
            (Some(uids), Some(by_uid)) => {
                values.push(json(uids));
                by_uid
            }
            _ => plain,
        };
        Self::new(from, order, values)
    }
}

/// How rows are come by, and the keys (by position) that all of them satisfy: those need no test.
pub(super) struct Way {
    pub(super) source: Source,
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
pub(super) fn scoped(connection: &Connection, query: &Query, scope: &Scope) -> Result<Way, Error> {
    let Scope::Studies(studies) = scope else {
        return Ok(listed(Vec::new()));
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
    Ok(match level {
        Level::Patient => patients_listed(ids),
        _ => listed(ids),
    })
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
        source: Source::new("FROM patient", PATIENT_ORDER, Vec::new()),
        satisfied: Vec::new(),
    })
}

/// The way by a list of patients.
fn patients_listed(ids: Vec<i64>) -> Way {
    Way {
        source: Source::new(
            "FROM patient WHERE id IN (SELECT value FROM json_each(?))",
            PATIENT_ORDER,
            vec![json(ids)],
        ),
        satisfied: Vec::new(),
    }
}

/// How a search below patient level begins, looking at little.
pub(super) fn near(
    connection: &Connection,
    bounds: &Bounds,
    query: &Query,
    scope: &Scope,
) -> Result<Near, Error> {
    let mut candidates = candidates(bounds, query, scope);
    let walk = walk(connection, query)?;
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
    let is_hopeful = is_hopeful(connection, bounds, query, short.as_ref().map(Vec::len))?;
    Ok(match short {
        _ if is_hopeful => Near::Hopeful(walk.way),
        Some(ids) => Near::Sure(listed(ids)),
        None => Near::Unknown,
    })
}

/// Whether a short walk may fill the page sooner than a list can: a row of a list, which lies
/// anywhere, costs some times what a row of a walk does.
fn is_hopeful(
    connection: &Connection,
    bounds: &Bounds,
    query: &Query,
    listed: Option<usize>,
) -> Result<bool, Error> {
    // To test these costs more than a list.
    let is_dear = |key: &Key| {
        matches!(
            key,
            Key::Data(..) | Key::Sequence(..) | Key::Attribute(_, Matching::Sounds(_))
        )
    };
    let wanted = query.offset.saturating_add(query.limit.into());
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

/// How a search below patient level comes by studies, newest first.
pub(super) fn studies(
    connection: &Connection,
    bounds: &Bounds,
    query: &Query,
    scope: &Scope,
) -> Result<Way, Error> {
    let candidates = candidates(bounds, query, scope);
    Ok(
        match shortest(connection, bounds, Level::Study, &candidates)? {
            Some(ids) => listed(ids),
            None => walk(connection, query)?.way,
        },
    )
}

/// The way by a list of studies.
fn listed(ids: Vec<i64>) -> Way {
    let source = match ids[..] {
        [id] => Source::new(
            "FROM study WHERE study.id = ?",
            "",
            vec![Value::Integer(id)],
        ),
        _ => Source::new(
            "FROM study WHERE study.id IN (SELECT value FROM json_each(?))",
            STUDY_ORDER,
            vec![json(ids)],
        ),
    };
    let satisfied = Vec::new();
    Way { source, satisfied }
}

/// The way by the few studies that a key of one value finds; `None` when there are more of each.
pub(super) fn few(
    connection: &Connection,
    bounds: &Bounds,
    query: &Query,
) -> Result<Option<Way>, Error> {
    for candidate in exact_candidates(query) {
        let ids = probe(connection, Level::Study, &candidate, bounds.listed_max)?;
        if let Some(ids) = ids {
            return Ok(Some(listed(ids)));
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
fn ids<'v>(
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

/// The walk through the studies, newest first.
struct Walk {
    way: Way,
    /// How many keys narrow it.
    keys: usize,
}

/// The narrowest walk: by an attribute that equals, by a modality, or by date alone; each within
/// the dates asked for.
fn walk(connection: &Connection, query: &Query) -> Result<Walk, Error> {
    let mut values = Vec::new();
    let dates = dates(connection, query)?;
    let mut satisfied: Vec<usize> = dates
        .iter()
        .filter(|dates| dates.is_exact)
        .map(|dates| dates.key)
        .collect();
    let keys = usize::from(dates.is_some());
    if let Some((key, attribute, wanted)) = equal_key(connection, query)? {
        values.push(Value::Text(wanted.to_owned()));
        let between = within(&dates, "study.sort_date", &mut values);
        let (index, column) = (index(attribute, Level::Study), attribute.column);
        let from = format!("FROM study INDEXED BY {index} WHERE study.\"{column}\" = ?{between}");
        satisfied.push(key);
        let source = Source::new(from, STUDY_ORDER, values);
        return Ok(Walk {
            way: Way { source, satisfied },
            keys: keys + 1,
        });
    }
    if let Some((key, modality)) = query.keys.iter().enumerate().find_map(one_modality) {
        values.push(Value::Text(modality.to_owned()));
        let between = within(&dates, "m.sort_date", &mut values);
        let from = format!(
            "FROM study_modality m CROSS JOIN study ON study.id = m.study WHERE m.modality = ?{between}"
        );
        let alone = format!("FROM study_modality m WHERE m.modality = ?{between}");
        satisfied.push(key);
        let mut source = Source::new(from, MODALITY_ORDER, values);
        source.alone = Some(("m.study", alone));
        return Ok(Walk {
            way: Way { source, satisfied },
            keys: keys + 1,
        });
    }
    let between = within(&dates, "study.sort_date", &mut values);
    let from = format!("FROM study INDEXED BY study_by_study_date WHERE true{between}");
    let source = Source::new(from, STUDY_ORDER, values);
    Ok(Walk {
        way: Way { source, satisfied },
        keys,
    })
}

fn within(dates: &Option<Dates>, column: &str, values: &mut Vec<Value>) -> String {
    dates.as_ref().map_or_else(String::new, |dates| {
        format!(" AND {}", dates.span.condition(column, values))
    })
}

fn one_modality((at, key): (usize, &Key)) -> Option<(usize, &str)> {
    match key {
        Key::ModalitiesInStudy(Matching::Single(modality)) => Some((at, modality)),
        _ => None,
    }
}

/// The Study Dates asked for.
struct Dates {
    span: Span,
    /// The key that asks.
    key: usize,
    /// Whether a date in the span is all the key asks.
    is_exact: bool,
}

fn dates(connection: &Connection, query: &Query) -> Result<Option<Dates>, Error> {
    for (key, asked) in query.keys.iter().enumerate() {
        let (id, matching, is_exact) = match asked {
            Key::Attribute(id, matching @ (Matching::Single(_) | Matching::Range(..))) => {
                (*id, matching.clone(), true)
            }
            Key::DateTimeRange(id, _, low, high) => {
                (*id, days(low.as_deref(), high.as_deref()), false)
            }
            _ => continue,
        };
        let attribute = id.attribute();
        // The day of an unreadable date is unknown.
        let is_readable =
            !matches!(&matching, Matching::Single(wanted) if normal_date(wanted).is_none());
        if attribute.column == "study_date"
            && is_readable
            && let Some(span) = span(attribute, &matching)
            && !is_in_search_values(connection, attribute, &span)?
        {
            return Ok(Some(Dates {
                span,
                key,
                is_exact,
            }));
        }
    }
    Ok(None)
}

/// A key of a study that equals, whose index holds the studies in the order of the answers.
fn equal_key<'q>(
    connection: &Connection,
    query: &'q Query,
) -> Result<Option<(usize, &'static Attribute, &'q str)>, Error> {
    for (key, asked) in query.keys.iter().enumerate() {
        let Key::Attribute(id, Matching::Single(wanted)) = asked else {
            continue;
        };
        let attribute = id.attribute();
        let is_walkable = attribute.is_indexed
            && matches!(attribute.vr, VR::LO | VR::SH | VR::CS)
            && level_of(attribute.level, query) == Level::Study
            // Such a text is several values in the column and none of them.
            && !wanted.contains('\\')
            && !wanted.trim_matches(' ').is_empty();
        if is_walkable
            && !is_in_search_values(
                connection,
                attribute,
                &Span::OneOf(vec![wanted.to_string()]),
            )?
        {
            return Ok(Some((key, attribute, wanted)));
        }
    }
    Ok(None)
}

/// Whether studies have such a value in another form than the column's: then the column's index
/// alone would miss them.
fn is_in_search_values(
    connection: &Connection,
    attribute: &Attribute,
    span: &Span,
) -> Result<bool, Error> {
    let mut values = Vec::new();
    let sql = format!(
        "{} LIMIT 1",
        search_value_sql(attribute, Level::Study, span, &mut values)
    );
    Ok(!ids(connection, &sql, &values)?.is_empty())
}

#[cfg(test)]
mod tests;
