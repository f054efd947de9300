//! The keys of a query, sorted by the level whose rows they are tested on. SQL brings rows in order;
//! whether a row matches is decided here, by the same pure rules for every index.

use std::cell::Cell;
use std::collections::HashSet;

use dicom_core::VR;
use rusqlite::{Connection, Row};

use crate::access::Scope;
use crate::archive::Error;
use crate::db::record::tag_number;
use crate::db::rules::items_match;
use crate::db::sqlite::connection::error;
use crate::db::sqlite::packing::{BODY, BODY_JOIN, Bodies};
use crate::db::sqlite::rows::{members, text};
use crate::dicom::query::{
    DataKey, Key, Matching, NameKey, matches, matches_combined, matches_list,
};
use crate::dicom::{AttributeId, Level, Query, SEQUENCES, Uid};

/// The levels from the top.
pub(super) const LEVELS: [Level; 4] =
    [Level::Patient, Level::Study, Level::Series, Level::Instance];

/// The keys of all levels.
pub(super) struct Keys<'q> {
    levels: [LevelKeys<'q>; 4],
    /// The studies a caller may see; `None` when all.
    scope: Option<HashSet<&'q str>>,
    /// How much metadata was unpacked to test by it. Bytes.
    unpacked: Cell<u64>,
}

#[derive(Default)]
struct LevelKeys<'q> {
    /// The UIDs that a key at this level names.
    uids: Option<Vec<&'q str>>,
    /// The columns the tests read, after the fixed ones.
    columns: Vec<&'static str>,
    tests: Vec<Test<'q>>,
}

/// One condition on a row; positions count from the first test column.
enum Test<'q> {
    Value(usize, AttributeId, &'q Matching),
    Name(usize, NameKey),
    Moment(usize, usize, Option<&'q str>, Option<&'q str>),
    Modalities(usize, &'q Matching),
    SopClasses(usize, &'q [Uid]),
    Items(u8, &'q [(u8, Matching)]),
    Scope(usize),
    /// All keys of the level that only metadata can answer.
    Data(Level, Vec<&'q DataKey>),
}

fn at<'l, 'q>(
    levels: &'l mut [LevelKeys<'q>; 4],
    level: Level,
    query: &Query,
) -> &'l mut LevelKeys<'q> {
    &mut levels[level_of(level, query) as usize]
}

impl Test<'_> {
    /// Cheap tests come first: folding a name takes ten times as long as comparing a code.
    fn cost(&self) -> u8 {
        match self {
            Self::Data(..) => 3,
            Self::Items(..) => 2,
            Self::Value(_, id, _) if id.attribute().vr == VR::PN => 1,
            Self::Name(..) => 1,
            _ => 0,
        }
    }
}

/// The level on whose rows an attribute is tested: a study has its own copy of its patient.
pub(super) fn level_of(level: Level, query: &Query) -> Level {
    if level == Level::Patient && query.level != Level::Patient {
        Level::Study
    } else {
        level
    }
}

impl<'q> Keys<'q> {
    pub(super) fn new(query: &'q Query, scope: &'q Scope, satisfied: &[usize]) -> Self {
        let scope = match scope {
            Scope::All => None,
            Scope::Studies(studies) => Some(studies.iter().map(Uid::as_str).collect()),
            Scope::Nothing => Some(HashSet::new()),
        };
        let mut keys = Self {
            levels: Default::default(),
            scope,
            unpacked: Cell::new(0),
        };
        if keys.scope.is_some() {
            let study = &mut keys.levels[Level::Study as usize];
            let at = study.column("study_instance_uid");
            study.tests.push(Test::Scope(at));
        }
        for (_, key) in query
            .keys
            .iter()
            .enumerate()
            .filter(|(at, _)| !satisfied.contains(at))
        {
            keys.add(query, key);
        }
        for level in &mut keys.levels {
            level.tests.sort_by_key(Test::cost);
        }
        keys
    }

    fn add(&mut self, query: &Query, key: &'q Key) {
        let levels = &mut self.levels;
        match key {
            Key::Attribute(_, Matching::Universal)
            | Key::ModalitiesInStudy(Matching::Universal) => {}
            Key::Attribute(id, matching) => {
                let level = at(levels, id.attribute().level, query);
                let column = level.column(id.attribute().column);
                let is_name = id.attribute().vr == VR::PN;
                level.tests.push(match NameKey::new(matching) {
                    Some(name) if is_name => Test::Name(column, name),
                    _ => Test::Value(column, *id, matching),
                });
                if matches!(
                    id.attribute().keyword,
                    "SeriesInstanceUID" | "SOPInstanceUID"
                ) {
                    level.uids = uids_of(matching);
                }
            }
            Key::DateTimeRange(date, time, low, high) => {
                let level = at(levels, date.attribute().level, query);
                let (date, time) = (
                    level.column(date.attribute().column),
                    level.column(time.attribute().column),
                );
                level
                    .tests
                    .push(Test::Moment(date, time, low.as_deref(), high.as_deref()));
            }
            Key::ModalitiesInStudy(matching) => {
                let level = at(levels, Level::Study, query);
                let column = level.column("modalities_in_study");
                level.tests.push(Test::Modalities(column, matching));
            }
            Key::SopClassesInStudy(uids) => {
                let level = at(levels, Level::Study, query);
                let column = level.column("sop_classes_in_study");
                level.tests.push(Test::SopClasses(column, uids));
            }
            Key::Data(level, key) => {
                let level = level_of(*level, query);
                let tests = &mut levels[level as usize].tests;
                let known = tests.iter_mut().find_map(|test| match test {
                    Test::Data(_, keys) => Some(keys),
                    _ => None,
                });
                match known {
                    Some(keys) => keys.push(key),
                    None => tests.push(Test::Data(level, vec![key])),
                }
            }
            Key::Sequence(position, items) => {
                if let Some(sequence) = SEQUENCES.get(usize::from(*position)) {
                    at(levels, sequence.level, query)
                        .tests
                        .push(Test::Items(*position, items));
                }
            }
        }
    }

    /// Whether rows of a level are tested at all.
    pub(super) fn is_tested(&self, level: Level) -> bool {
        !self.levels[level as usize].tests.is_empty()
    }

    /// Whether nothing is tested at any level.
    pub(super) fn are_none(&self) -> bool {
        !LEVELS.iter().any(|level| self.is_tested(*level))
    }

    /// Whether rows of any level below are tested.
    pub(super) fn is_tested_below(&self, level: Level) -> bool {
        LEVELS.iter().any(|l| *l > level && self.is_tested(*l))
    }

    /// The UIDs that a key at this level names.
    pub(super) fn uids(&self, level: Level) -> Option<&[&'q str]> {
        self.levels[level as usize].uids.as_deref()
    }

    /// How much metadata was unpacked so far. Bytes.
    pub(super) fn unpacked(&self) -> u64 {
        self.unpacked.get()
    }

    /// The columns that the tests of a level read, each after a comma.
    pub(super) fn columns(&self, level: Level) -> String {
        let table = crate::db::sqlite::rows::table(level).name;
        self.levels[level as usize]
            .columns
            .iter()
            .map(|c| format!(", {table}.\"{c}\""))
            .collect()
    }

    /// Whether a row of a level, whose test columns begin at `first`, satisfies all keys of the level.
    pub(super) fn hold(
        &self,
        connection: &Connection,
        level: Level,
        id: i64,
        row: &Row<'_>,
        first: usize,
    ) -> Result<bool, Error> {
        for test in &self.levels[level as usize].tests {
            if !self.holds(connection, test, id, row, first)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn holds(
        &self,
        connection: &Connection,
        test: &Test<'_>,
        id: i64,
        row: &Row<'_>,
        first: usize,
    ) -> Result<bool, Error> {
        let value = |at: usize| text(row, first + at);
        Ok(match test {
            Test::Value(at, attribute, matching) => {
                matches(matching, attribute.attribute().vr, value(*at)?)
            }
            Test::Name(at, name) => name.matches(value(*at)?),
            Test::Moment(date, time, low, high) => {
                matches_combined(*low, *high, value(*date)?, value(*time)?)
            }
            Test::Modalities(at, matching) => {
                matches_list(matching, VR::CS, value(*at)?.unwrap_or_default())
            }
            Test::SopClasses(at, uids) => {
                members(value(*at)?).any(|class| uids.iter().any(|uid| uid.as_str() == class))
            }
            Test::Items(position, keys) => self.items_hold(connection, *position, keys, id)?,
            Test::Data(level, keys) => self.data_holds(connection, *level, keys, id)?,
            Test::Scope(at) => {
                let uid = value(*at)?.unwrap_or_default();
                self.scope.as_ref().is_none_or(|scope| scope.contains(uid))
            }
        })
    }

    fn data_holds(
        &self,
        connection: &Connection,
        level: Level,
        keys: &[&DataKey],
        id: i64,
    ) -> Result<bool, Error> {
        let mut statement = connection.prepare_cached(&speaker(level)).map_err(error)?;
        let mut rows = statement.query([id]).map_err(error)?;
        let Some(row) = rows.next().map_err(error)? else {
            return Ok(false);
        };
        let metadata = Bodies::default().metadata(row, 0)?;
        self.unpacked
            .set(self.unpacked.get().saturating_add(metadata.len() as u64));
        Ok(keys.iter().all(|key| key.holds(&metadata)))
    }

    fn items_hold(
        &self,
        connection: &Connection,
        position: u8,
        keys: &[(u8, Matching)],
        owner: i64,
    ) -> Result<bool, Error> {
        let sequence = &SEQUENCES[usize::from(position)];
        let sql = "SELECT item, attribute, group_concat(value, '\\') FROM sequence_value \
             WHERE sequence = ?1 AND owner = ?2 GROUP BY item, attribute ORDER BY item";
        let mut statement = connection.prepare_cached(sql).map_err(error)?;
        let mut rows = statement
            .query(rusqlite::params![tag_number(sequence.tag), owner])
            .map_err(error)?;
        let mut values = Vec::new();
        while let Some(row) = rows.next().map_err(error)? {
            let tag: u32 = row.get(1).map_err(error)?;
            let at = sequence
                .items
                .iter()
                .position(|(t, _, _)| tag_number(*t) == tag);
            if let Some(at) = at.and_then(|at| u8::try_from(at).ok()) {
                values.push((
                    row.get(0).map_err(error)?,
                    at,
                    text(row, 2)?.unwrap_or_default().into(),
                ));
            }
        }
        Ok(items_match(sequence, keys, &values))
    }
}

/// The metadata that speak for a row: its own, or those of its first instance in the order of the
/// answers; of a patient's first study.
fn speaker(level: Level) -> String {
    let instance = match level {
        Level::Patient => {
            "(SELECT id FROM instance INDEXED BY instance_by_series WHERE series = (\
             SELECT id FROM series INDEXED BY series_by_study WHERE study = (\
             SELECT id FROM study INDEXED BY study_by_patient WHERE patient = ?1 ORDER BY id LIMIT 1) \
             ORDER BY series_order, id LIMIT 1) ORDER BY instance_order, id LIMIT 1)"
        }
        Level::Study => {
            "(SELECT id FROM instance INDEXED BY instance_by_series WHERE series = (\
             SELECT id FROM series INDEXED BY series_by_study WHERE study = ?1 \
             ORDER BY series_order, id LIMIT 1) ORDER BY instance_order, id LIMIT 1)"
        }
        Level::Series => {
            "(SELECT id FROM instance INDEXED BY instance_by_series WHERE series = ?1 \
             ORDER BY instance_order, id LIMIT 1)"
        }
        Level::Instance => "?1",
    };
    format!("SELECT {BODY} FROM instance {BODY_JOIN} WHERE instance.id = {instance}")
}

fn uids_of(matching: &Matching) -> Option<Vec<&str>> {
    match matching {
        Matching::Single(uid) => Some(vec![uid]),
        Matching::List(uids) => Some(uids.iter().map(|uid| &**uid).collect()),
        _ => None,
    }
}

impl LevelKeys<'_> {
    /// The position of a column among those the tests read; adds it when it is not there.
    fn column(&mut self, column: &'static str) -> usize {
        self.columns
            .iter()
            .position(|c| *c == column)
            .unwrap_or_else(|| {
                self.columns.push(column);
                self.columns.len() - 1
            })
    }
}
