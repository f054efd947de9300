//! Where rows come from: the statement that gives those of one level in the order of the answers, and the
//! statements one after the other that give studies in an order which no single one gives without sorting.

use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension as _, params_from_iter};

use crate::archive::Error;
use crate::db::sqlite::candidates::json;
use crate::db::sqlite::connection::error;
use crate::db::sqlite::groups::Groups;
use crate::db::sqlite::keys::Keys;
use crate::db::sqlite::rows::{table, text};
use crate::dicom::Level;

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

impl Source {
    pub(super) fn new(from: impl Into<String>, order: &'static str, values: Vec<Value>) -> Self {
        Self {
            from: from.into(),
            alone: None,
            order,
            is_limited: false,
            values,
        }
    }

    /// The same rows, when nothing but a column with the id is read.
    pub(super) fn or_alone(mut self, column: &'static str, from: String) -> Self {
        self.alone = Some((column, from));
        self
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

    /// How many rows it has.
    fn count(&self, connection: &Connection) -> Result<u64, Error> {
        let from = self.alone.as_ref().map_or(&self.from, |(_, from)| from);
        one_number(connection, &format!("SELECT count(*) {from}"), &self.values)
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

/// Sources whose rows, one source after the other, come in the order of the answers.
pub(super) enum Course {
    /// Those that are left, the last first.
    Sources(Vec<Source>),
    /// One for each value, as they are come by.
    Groups(Groups),
}

impl From<Source> for Course {
    fn from(source: Source) -> Self {
        Self::Sources(vec![source])
    }
}

impl Course {
    /// These, one after the other.
    pub(super) fn of(sources: impl IntoIterator<Item = Source>) -> Self {
        let mut sources: Vec<_> = sources.into_iter().collect();
        sources.reverse();
        Self::Sources(sources)
    }

    /// The next source.
    pub(super) fn next(&mut self, connection: &Connection) -> Result<Option<Source>, Error> {
        match self {
            Self::Sources(left) => Ok(left.pop()),
            Self::Groups(groups) => groups.next(connection),
        }
    }

    /// Leaves out sources whose rows all stand before the row at `offset`; gives how many rows of the next
    /// source stand before it. All rows are answers; when they are all studies there are, newest first, the
    /// months tell where to begin (`by_months`).
    pub(super) fn begin_at(
        &mut self,
        connection: &Connection,
        offset: u64,
        by_months: bool,
    ) -> Result<u64, Error> {
        let left = match self {
            Self::Groups(groups) if offset > 0 => return groups.begin_at(connection, offset),
            Self::Groups(_) => return Ok(0),
            Self::Sources(left) => left,
        };
        if let ([source], true) = (&mut left[..], by_months) {
            return source.begin_at(connection, offset);
        }
        let mut offset = offset;
        while left.len() > 1
            && offset > 0
            && let Some(next) = left.last()
        {
            let rows = next.count(connection)?;
            if offset < rows {
                break;
            }
            offset -= rows;
            left.pop();
        }
        Ok(offset)
    }
}

/// The number that a statement gives; 0 when none.
pub(super) fn one_number(
    connection: &Connection,
    sql: &str,
    values: &[Value],
) -> Result<u64, Error> {
    let mut statement = connection.prepare_cached(sql).map_err(error)?;
    let found = statement.query_row(params_from_iter(values), |row| row.get::<_, i64>(0));
    Ok(found.optional().map_err(error)?.unwrap_or(0).unsigned_abs())
}
