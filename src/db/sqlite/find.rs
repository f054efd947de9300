//! Searching: rows come from `plan` in order (studies as the query asks, series and instances by
//! number), level by level, are tested by `keys`, and fill a page. Matches beyond the page are
//! counted up to a bound. What is visited is bounded too: a search that would read the archive
//! through says so instead.

use std::ops::ControlFlow;

use rusqlite::{Connection, params_from_iter};

use crate::access::Scope;
use crate::archive::{Error, Page, Remaining};
use crate::db::sqlite::candidates;
use crate::db::sqlite::connection::error;
use crate::db::sqlite::keys::Keys;
use crate::db::sqlite::line::Line;
use crate::db::sqlite::plan::{self, Near, Way};
use crate::db::sqlite::read;
use crate::db::sqlite::rows::{Assembler, Hit};
use crate::db::sqlite::seen::Sight;
use crate::db::sqlite::source::{Course, Source};
use crate::dicom::query::Key;
use crate::dicom::{Level, Query};

/// How far a search goes.
#[derive(Debug, Clone, Copy)]
pub(in crate::db) struct Bounds {
    /// The longest list of rows that may drive a search; sorting it takes a few milliseconds.
    pub(in crate::db) listed_max: usize,
    /// The same when the newest does not come first.
    pub(in crate::db) listed_otherwise_max: usize,
    /// A list this short is not worth beating.
    pub(in crate::db) listed_enough: usize,
    /// Lists so short are asked for first.
    pub(in crate::db) near_listed_max: usize,
    /// When matches seem to be frequent, so many rows are looked at in the order of the answers before
    /// a list is made use of, or longer ones are asked for. About a millisecond.
    pub(in crate::db) near_visits_max: u64,
    /// The most rows looked at before the page is full: about half a second.
    pub(in crate::db) visits_max: u64,
    /// The most rows looked at to count what follows the page: less than the page itself costs.
    pub(in crate::db) count_visits_max: u64,
    /// The most matches counted after the page.
    pub(in crate::db) remaining_max: u64,
    /// The most metadata unpacked for keys that no column answers, before the page is full: about a
    /// second. Bytes.
    pub(in crate::db) unpacked_max: u64,
    /// The same to count what follows the page. Bytes.
    pub(in crate::db) count_unpacked_max: u64,
}

impl Bounds {
    pub(in crate::db) const DEFAULT: Self = Self {
        listed_max: 5_000,
        listed_otherwise_max: 50_000,
        listed_enough: 64,
        near_listed_max: 768,
        near_visits_max: 2_000,
        visits_max: 250_000,
        count_visits_max: 500,
        remaining_max: 500,
        unpacked_max: 256 << 20,
        count_unpacked_max: 16 << 20,
    };
}

/// The studies that may drive a search at hand.
const STUDIES_AT_HAND: usize = 8;

/// How far a search at hand goes: some hundred pages of the index, a fraction of a millisecond.
const AT_HAND: Bounds = Bounds {
    listed_max: STUDIES_AT_HAND,
    listed_otherwise_max: STUDIES_AT_HAND,
    listed_enough: STUDIES_AT_HAND,
    near_listed_max: 0,
    near_visits_max: 0,
    visits_max: 64,
    count_visits_max: 64,
    remaining_max: Bounds::DEFAULT.remaining_max,
    unpacked_max: 0,
    count_unpacked_max: 0,
};

/// Whether it is worth looking if a few rows are all ([`find_at_hand`]).
pub(super) fn may_be_at_hand(query: &Query, scope: &Scope) -> bool {
    // What lies in a scope is counted, and what is tested by sequences or metadata takes long.
    *scope == Scope::All
        && query.level != Level::Patient
        && query.keys.iter().any(candidates::is_exact)
        && !query
            .keys
            .iter()
            .any(|key| matches!(key, Key::Data(..) | Key::Sequence(..)))
}

/// Searches when a few rows are all that has to be looked at (see
/// [`crate::archive::Index::find_at_hand`]).
pub(super) fn find_at_hand(
    connection: &Connection,
    query: &Query,
    scope: &Scope,
) -> Result<Option<Page>, Error> {
    let line = &Line::of(connection, query, scope)?;
    let Some(way) = plan::few(connection, &AT_HAND, query, line)? else {
        return Ok(None);
    };
    match follow(connection, &AT_HAND, query, scope, line, way) {
        Err(Error::TooBroad(_)) => Ok(None),
        // Counted further than here, it may be told exactly.
        Ok(page) => Ok(matches!(page.remaining, Remaining::Exactly(_)).then_some(page)),
        Err(error) => Err(error),
    }
}

/// Searches (see [`crate::archive::Index::find`]).
pub(super) fn find(
    connection: &Connection,
    bounds: &Bounds,
    query: &Query,
    scope: &Scope,
) -> Result<Page, Error> {
    if *scope == Scope::Nothing {
        return Ok(Page::default());
    }
    let line = &Line::of(connection, query, scope)?;
    if plan::is_seen_otherwise(query, scope) {
        let way = plan::scoped(connection, query, scope, line)?;
        return follow(connection, bounds, query, scope, line, way);
    }
    if query.level == Level::Patient {
        let way = plan::patients(connection, bounds, query, scope)?;
        return follow(connection, bounds, query, scope, line, way);
    }
    match plan::near(connection, bounds, query, scope, line)? {
        Near::Sure(way) => return follow(connection, bounds, query, scope, line, way),
        Near::Hopeful(way) => {
            let bounds = Bounds {
                visits_max: bounds.near_visits_max.min(bounds.visits_max),
                ..*bounds
            };
            match follow(connection, &bounds, query, scope, line, way) {
                Err(Error::TooBroad(_)) => {}
                done => return done,
            }
        }
        Near::Unknown => {}
    }
    let way = plan::studies(connection, bounds, query, scope, line)?;
    follow(connection, bounds, query, scope, line, way)
}

fn follow(
    connection: &Connection,
    bounds: &Bounds,
    query: &Query,
    scope: &Scope,
    line: &Line<'_>,
    way: Way,
) -> Result<Page, Error> {
    let Way { course, satisfied } = way;
    let keys = Keys::new(query, scope, &satisfied);
    let is_all = keys.are_none() && satisfied.is_empty();
    // Of all there are, the totals tell how many; only not how many stand before a study.
    let remaining_max = match line.after {
        Some(_) if is_all => 1,
        _ => bounds.remaining_max,
    };
    let mut search = Search {
        connection,
        bounds,
        level: query.level,
        keys: &keys,
        counts_all: is_all && line.after.is_none(),
        by_months: is_all && line.after.is_none() && line.order.is_newest_first(),
        remaining_max,
        limit: usize::try_from(query.limit).unwrap_or(usize::MAX),
        offset: line.offset(query),
        hits: Vec::new(),
        remaining: 0,
        visits: 0,
        at_full: None,
        is_spent: false,
    };
    let is_whole = search.run(course)?;
    let remaining = match search.remaining {
        n if is_whole => Remaining::Exactly(n),
        _ if search.counts_all => Remaining::Exactly(search.all_that_remain(query)?),
        n => Remaining::AtLeast(n),
    };
    let mut assembler = Assembler::new(keys.sight());
    let rows = search
        .hits
        .iter()
        .map(|hit| assembler.row(connection, query.level, *hit));
    Ok(Page {
        rows: rows.collect::<Result<_, _>>()?,
        remaining,
    })
}

struct Search<'a> {
    connection: &'a Connection,
    bounds: &'a Bounds,
    level: Level,
    keys: &'a Keys<'a>,
    /// Everything matches, so that the totals know what follows the page.
    counts_all: bool,
    /// And the months know where each row stands.
    by_months: bool,
    /// The most matches counted after the page.
    remaining_max: u64,
    limit: usize,
    /// Matches still to pass over.
    offset: u64,
    hits: Vec<Hit>,
    remaining: u64,
    visits: u64,
    /// The visits and the bytes unpacked when the page was full.
    at_full: Option<(u64, u64)>,
    /// Counting has taken long enough.
    is_spent: bool,
}

/// A row that satisfies the keys of its level.
#[derive(Clone, Copy)]
struct Found {
    id: i64,
    /// Instances below it; 1 for an instance.
    instances: u64,
    /// Series below it, of a study.
    series: u64,
}

/// Break: enough was found.
type Flow = Result<ControlFlow<()>, Error>;

const ON: Flow = Ok(ControlFlow::Continue(()));

impl<'a> Search<'a> {
    /// Gives whether everything was looked at.
    fn run(&mut self, mut course: Course) -> Result<bool, Error> {
        let mut passes_over = self.level == Level::Study && self.keys.are_none();
        if passes_over {
            // Nothing to test: the months, then the index alone pass over the offset.
            self.offset = course.begin_at(self.connection, self.offset, self.by_months)?;
        }
        let mut is_first = true;
        while let Some(mut source) = course.next(self.connection)? {
            if std::mem::take(&mut passes_over) {
                source.pass_over(self.offset);
                self.offset = 0;
            }
            // To come by one more costs as much as some rows of it.
            let flow = if !std::mem::take(&mut is_first) && self.visit()?.is_break() {
                ControlFlow::Break(())
            } else if self.level == Level::Patient {
                self.each(Level::Patient, &source, |search, patient| {
                    search.patient(patient)
                })?
            } else {
                self.each(Level::Study, &source, |search, study| search.study(study))?
            };
            if flow.is_break() {
                return Ok(false);
            }
        }
        // Who stopped counting below the last row has not looked at everything either.
        Ok(!self.is_spent)
    }

    fn patient(&mut self, patient: Found) -> Flow {
        if self.keys.is_tested_below(Level::Patient) && !self.any(Level::Study, patient.id)? {
            return ON;
        }
        self.emit(Hit {
            patient: patient.id,
            ..Hit::default()
        })
    }

    fn study(&mut self, study: Found) -> Flow {
        let hit = Hit {
            study: study.id,
            ..Hit::default()
        };
        if self.level == Level::Study {
            if self.keys.is_tested_below(Level::Study) && !self.any(Level::Series, study.id)? {
                return ON;
            }
            return self.emit(hit);
        }
        if !self.keys.is_tested_below(Level::Study) {
            let seen = self.keys.part(Level::Study, study.id);
            let below = match (self.level, seen) {
                (Level::Series, None) => study.series,
                (_, None) => study.instances,
                (Level::Series, Some(part)) => part.series,
                (_, Some(part)) => part.instances,
            };
            if let Some(flow) = self.emit_unseen(below) {
                return flow;
            }
        }
        let source = Source::below(Level::Series, study.id, self.keys);
        self.each(Level::Series, &source, |search, series| {
            search.series(hit, series)
        })
    }

    fn series(&mut self, hit: Hit, series: Found) -> Flow {
        let hit = Hit {
            series: series.id,
            ..hit
        };
        if self.level == Level::Series {
            if self.keys.is_tested_below(Level::Series) && !self.any(Level::Instance, series.id)? {
                return ON;
            }
            return self.emit(hit);
        }
        if !self.keys.is_tested(Level::Instance) {
            let seen = self.keys.part(Level::Series, series.id);
            let below = seen.map_or(series.instances, |part| part.instances);
            if let Some(flow) = self.emit_unseen(below) {
                return flow;
            }
        }
        let source = Source::below(Level::Instance, series.id, self.keys);
        self.each(Level::Instance, &source, |search, instance| {
            search.emit(Hit {
                instance: instance.id,
                ..hit
            })
        })
    }

    /// Whether a row of this level, or of levels below where they are tested, matches under a parent.
    /// Calls itself for the level below: three deep at most.
    fn any(&mut self, level: Level, parent: i64) -> Result<bool, Error> {
        let source = Source::below(level, parent, self.keys);
        let flow = self.each(level, &source, |search, found| {
            let below = if level == Level::Study {
                Level::Series
            } else {
                Level::Instance
            };
            if search.keys.is_tested_below(level) && !search.any(below, found.id)? {
                return ON;
            }
            Ok(ControlFlow::Break(()))
        })?;
        Ok(flow.is_break() && !self.is_spent)
    }

    /// Gives every row of a source that satisfies the keys of its level to `then`.
    fn each(
        &mut self,
        level: Level,
        source: &Source,
        mut then: impl FnMut(&mut Self, Found) -> Flow,
    ) -> Flow {
        let fixed = match level {
            Level::Patient | Level::Instance => "",
            Level::Study if self.level == Level::Study => "",
            Level::Study => ", study.instances, study.series",
            Level::Series => ", series.instances",
        };
        let first = 1 + fixed.matches(',').count();
        let sql = source.sql(level, fixed, &self.keys.columns(level));
        let connection = self.connection;
        let mut statement = connection.prepare_cached(&sql).map_err(error)?;
        let mut rows = statement
            .query(params_from_iter(&source.values))
            .map_err(error)?;
        while let Some(row) = rows.next().map_err(error)? {
            if self.visit()?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
            let count = |at: usize| {
                if at < first {
                    row.get::<_, i64>(at).map_err(error)
                } else {
                    Ok(1)
                }
            };
            let found = Found {
                id: count(0)?,
                instances: count(1)?.unsigned_abs(),
                series: count(2)?.unsigned_abs(),
            };
            if !self.keys.hides(connection, level, found.id)?
                && self.keys.hold(connection, level, found.id, row, first)?
                && then(self, found)?.is_break()
            {
                return Ok(ControlFlow::Break(()));
            }
        }
        ON
    }

    fn visit(&mut self) -> Flow {
        self.visits += 1 + self.keys.sight().map_or(0, Sight::looked_at);
        let (bounds, unpacked) = (self.bounds, self.keys.unpacked());
        match self.at_full {
            Some((visits, bytes))
                if self.visits - visits > bounds.count_visits_max
                    || unpacked - bytes > bounds.count_unpacked_max =>
            {
                self.is_spent = true;
                Ok(ControlFlow::Break(()))
            }
            None if self.visits > bounds.visits_max || unpacked > bounds.unpacked_max => Err(
                Error::TooBroad("add a date, a patient or another indexed key"),
            ),
            _ => ON,
        }
    }

    fn emit(&mut self, hit: Hit) -> Flow {
        if self.offset > 0 {
            self.offset -= 1;
        } else if self.hits.len() < self.limit {
            self.hits.push(hit);
        } else {
            self.remaining += 1;
        }
        self.after_emit()
    }

    /// Takes so many matches without looking at them, when none of them is for the page.
    fn emit_unseen(&mut self, count: u64) -> Option<Flow> {
        if self.hits.len() >= self.limit && self.offset == 0 {
            self.remaining += count;
        } else if count <= self.offset {
            self.offset -= count;
        } else {
            return None;
        }
        Some(self.after_emit())
    }

    fn after_emit(&mut self) -> Flow {
        if self.hits.len() < self.limit || self.offset > 0 {
            return ON;
        }
        self.at_full
            .get_or_insert((self.visits, self.keys.unpacked()));
        if self.counts_all || self.remaining >= self.remaining_max {
            return Ok(ControlFlow::Break(()));
        }
        ON
    }

    /// What follows the page when everything matches.
    fn all_that_remain(&self, query: &Query) -> Result<u64, Error> {
        let totals = read::totals(self.connection)?;
        let all = match query.level {
            Level::Patient => totals.patients,
            Level::Study => totals.studies,
            Level::Series => totals.series,
            Level::Instance => totals.instances,
        };
        Ok(all
            .saturating_sub(query.offset)
            .saturating_sub(self.hits.len() as u64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::Index as _;
    use crate::db::Sqlite;
    use crate::db::contract::sample::{insert, key, query, sample, uid};

    #[test]
    fn only_what_is_short_is_at_hand() {
        let folder = tempfile::tempdir().unwrap();
        let index = Sqlite::open(&folder.path().join("index.sqlite"), 1).unwrap();
        let studies: Vec<_> = (1..=9)
            .map(|n| sample(n, 1, 1).with("PatientID", if n == 1 { "ONE" } else { "MANY" }))
            .collect();
        insert(&index, &studies);
        insert(
            &index,
            &(2..=80).map(|n| sample(1, 1, n)).collect::<Vec<_>>(),
        );
        let rows = |level, keys| {
            let page = index.find_at_hand(&query(level, keys), &Scope::All);
            page.unwrap().map(|page| page.rows.len())
        };
        let one = || key("PatientID", "ONE");
        assert_eq!(rows(Level::Study, vec![one()]), Some(1));
        assert_eq!(
            rows(Level::Study, vec![key("PatientID", "NOBODY")]),
            Some(0)
        );
        assert_eq!(rows(Level::Study, vec![key("PatientID", "MANY")]), Some(8));
        assert_eq!(rows(Level::Series, vec![one()]), Some(1));
        // Too many rows, or nothing that tells few.
        assert_eq!(rows(Level::Instance, vec![one()]), None);
        assert_eq!(rows(Level::Study, vec![]), None);
        assert_eq!(rows(Level::Study, vec![key("PatientSex", "M")]), None);
        insert(&index, &[sample(10, 1, 1).with("PatientID", "MANY")]);
        assert_eq!(rows(Level::Study, vec![key("PatientID", "MANY")]), None);
        let scope = Scope::of([uid("1.1")]);
        let page = index.find_at_hand(&query(Level::Study, vec![one()]), &scope);
        assert!(page.unwrap().is_none());
    }
}
