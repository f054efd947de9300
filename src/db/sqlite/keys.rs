//! The keys of a query, sorted by the level whose rows they are tested on. SQL brings rows in order;
//! whether a row matches is decided here, by the same pure rules for every index.

use std::cell::Cell;
use std::rc::Rc;

use dicom_core::VR;
use rusqlite::{Connection, Row};

use crate::access::Scope;
use crate::archive::Error;
use crate::db::record::tag_number;
use crate::db::rules::items_match;
use crate::db::sqlite::connection::error;
use crate::db::sqlite::packing::{BODY, BODY_JOIN, Bodies};
use crate::db::sqlite::rows::{members, text};
use crate::db::sqlite::seen::{Part, Seen, Sight};
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
    /// What a caller may see; `None` when all.
    sight: Option<Sight<'q>>,
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
    Name(usize, AttributeId, NameKey),
    Moment(
        (usize, AttributeId),
        (usize, AttributeId),
        Option<&'q str>,
        Option<&'q str>,
    ),
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
        let mut keys = Self {
            levels: Default::default(),
            sight: Sight::of(scope),
            unpacked: Cell::new(0),
        };
        // The first test of a study: what others read of it depends on what is seen.
        if keys.sight.is_some() {
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
                    Some(name) if is_name => Test::Name(column, *id, name),
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
                let date = (level.column(date.attribute().column), *date);
                let time = (level.column(time.attribute().column), *time);
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

    /// What the caller sees; `None` when all.
    pub(super) fn sight(&self) -> Option<&Sight<'q>> {
        self.sight.as_ref()
    }

    /// Whether a row is not there for the caller. Of a study that is known once it has been tested.
    pub(super) fn hides(
        &self,
        connection: &Connection,
        level: Level,
        id: i64,
    ) -> Result<bool, Error> {
        let Some(sight) = &self.sight else {
            return Ok(false);
        };
        let seen = match level {
            Level::Patient => sight.patient(connection, id)?,
            _ => sight.seen(level, id),
        };
        Ok(matches!(seen, Seen::Nothing))
    }

    /// What the caller sees of a row, when that is not what its columns say.
    pub(super) fn part(&self, level: Level, id: i64) -> Option<Rc<Part>> {
        self.sight.as_ref()?.part(level, id)
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
            let holds = match self.part(level, id) {
                Some(part) => self.holds_of(connection, test, &part)?,
                None => self.holds(connection, test, id, row, first)?,
            };
            if !holds {
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
            Test::Name(at, _, name) => name.matches(value(*at)?),
            Test::Moment((date, _), (time, _), low, high) => {
                matches_combined(*low, *high, value(*date)?, value(*time)?)
            }
            Test::Modalities(at, matching) => {
                matches_list(matching, VR::CS, value(*at)?.unwrap_or_default())
            }
            Test::SopClasses(at, uids) => {
                members(value(*at)?).any(|class| uids.iter().any(|uid| uid.as_str() == class))
            }
            Test::Items(position, keys) => self.items_hold(connection, *position, keys, id)?,
            Test::Data(level, keys) => self.data_holds(connection, speaker(*level), keys, id)?,
            Test::Scope(at) => {
                let uid = value(*at)?.unwrap_or_default();
                match &self.sight {
                    Some(sight) => !matches!(sight.study(connection, id, uid)?, Seen::Nothing),
                    None => true,
                }
            }
        })
    }

    /// The same of a row that is seen in part.
    fn holds_of(
        &self,
        connection: &Connection,
        test: &Test<'_>,
        part: &Part,
    ) -> Result<bool, Error> {
        let value = |id: AttributeId| part.says.attributes.get(id);
        Ok(match test {
            Test::Value(_, id, matching) => matches(matching, id.attribute().vr, value(*id)),
            Test::Name(_, id, name) => name.matches(value(*id)),
            Test::Moment((_, date), (_, time), low, high) => {
                matches_combined(*low, *high, value(*date), value(*time))
            }
            Test::Modalities(_, matching) => {
                matches_list(matching, VR::CS, &part.modalities.join("\\"))
            }
            Test::SopClasses(_, uids) => part
                .sop_classes
                .iter()
                .any(|class| uids.iter().any(|uid| uid.as_str() == &**class)),
            Test::Items(position, keys) => {
                let held = part.says.sequences.iter();
                let held = held.filter(|value| value.sequence == *position);
                let mut held: Vec<_> = held
                    .map(|value| (value.item, value.attribute, value.value.clone()))
                    .collect();
                held.sort_by_key(|(item, ..)| *item);
                items_match(&SEQUENCES[usize::from(*position)], keys, &held)
            }
            Test::Data(_, keys) => {
                self.data_holds(connection, speaker(Level::Instance), keys, part.speaker)?
            }
            // It was looked at, and there is some of it.
            Test::Scope(_) => true,
        })
    }

    fn data_holds(
        &self,
        connection: &Connection,
        speaker: &str,
        keys: &[&DataKey],
        id: i64,
    ) -> Result<bool, Error> {
        let sql = format!("SELECT {BODY} FROM instance {BODY_JOIN} WHERE instance.id = {speaker}");
        let mut statement = connection.prepare_cached(&sql).map_err(error)?;
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

/// The instance whose metadata speak for a row: its own, or those of its first instance in the order of the
/// answers; of a patient's first study.
pub(super) fn speaker(level: Level) -> &'static str {
    match level {
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
    }
}

/// The UIDs that a key names, when it names some.
pub(super) fn uids_of(matching: &Matching) -> Option<Vec<&str>> {
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
