//! Studies by a value that many may share, a group for each value: the groups go either way, and within each
//! the newest comes first whichever way that is. No index gives that with one statement, so each group is a
//! range of its own; what comes next is found by going down the index once more.

use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension as _, params_from_iter};

use crate::archive::Error;
use crate::db::order::Standing;
use crate::db::sqlite::connection::error;
use crate::db::sqlite::source::{Source, one_number};

/// What studies are grouped by.
pub(super) struct By {
    /// Where the values are, without the studies.
    values: &'static str,
    column: &'static str,
    /// FROM of the rows of a group, and what stands for the moment of a study in it.
    rows: &'static str,
    moment: &'static str,
    newest_first: &'static str,
    /// A column with the id of a study that is among the values.
    alone: &'static str,
    /// What counts as no value; these come last, in this order.
    lacking: &'static [Option<&'static str>],
}

/// By the folded name.
pub(super) static NAME: By = By {
    values: "study_name n",
    column: "n.sort_name",
    rows: "study_name n CROSS JOIN study ON study.id = n.study",
    moment: "(n.sort_date, n.sort_time, n.study)",
    newest_first: "ORDER BY n.sort_date DESC, n.sort_time DESC, n.study DESC",
    alone: "n.study",
    lacking: &[Some("")],
};

/// By Patient ID.
pub(super) static PATIENT_ID: By = By {
    values: "study INDEXED BY study_by_patient_id",
    column: "study.patient_id",
    rows: "study INDEXED BY study_by_patient_id",
    moment: "(study.sort_date, study.sort_time, study.id)",
    newest_first: "ORDER BY study.sort_date DESC, study.sort_time DESC, study.id DESC",
    alone: "study.id",
    lacking: &[Some(""), None],
};

/// Which groups are still to come.
enum Ahead {
    /// Those behind this value; all when none was given yet.
    Behind(Option<String>),
    /// The first of those that lack a value.
    Lacking(usize),
}

/// The groups in an order.
pub(super) struct Groups {
    by: &'static By,
    is_descending: bool,
    /// The values from, and up to but without, which there are groups.
    low: String,
    high: Option<String>,
    /// The group that comes next when it is known already, and behind which study of it.
    first: Option<(Option<String>, Option<Standing>)>,
    ahead: Ahead,
}

impl Groups {
    /// All, or what stands behind a study.
    pub(super) fn new(by: &'static By, is_descending: bool, after: Option<&Standing>) -> Self {
        let mut groups = Self {
            by,
            is_descending,
            // The first that is not empty.
            low: "\u{1}".into(),
            high: None,
            first: None,
            ahead: Ahead::Behind(None),
        };
        if let Some(after) = after {
            let value = match std::ptr::eq(by, &NAME) {
                true => Some(after.sort_name.clone()),
                false => after.patient_id.clone(),
            };
            groups.begin_with(value, Some(after.clone()));
        }
        groups
    }

    /// Only those whose values begin so; without an end when there is none.
    pub(super) fn within(mut self, beginning: String, end: Option<String>) -> Self {
        (self.low, self.high) = (beginning, end);
        self
    }

    fn begin_with(&mut self, value: Option<String>, after: Option<Standing>) {
        let mut lacking = self.by.lacking.iter();
        self.ahead = match lacking.position(|lacking| *lacking == value.as_deref()) {
            Some(at) => Ahead::Lacking(at + 1),
            None => Ahead::Behind(value.clone()),
        };
        self.first = Some((value, after));
    }

    /// The rows of the next group.
    pub(super) fn next(&mut self, connection: &Connection) -> Result<Option<Source>, Error> {
        if let Some((value, after)) = self.first.take() {
            return Ok(Some(self.group(value, after)));
        }
        if let Ahead::Behind(last) = &self.ahead {
            if let Some(value) = self.value_behind(connection, last.as_deref(), 0)? {
                self.ahead = Ahead::Behind(Some(value.clone()));
                return Ok(Some(self.group(Some(value), None)));
            }
            let is_all = self.high.is_none();
            self.ahead = Ahead::Lacking(if is_all { 0 } else { self.by.lacking.len() });
        }
        let Ahead::Lacking(at) = &mut self.ahead else {
            return Ok(None);
        };
        let lacking = self.by.lacking.get(*at);
        *at += 1;
        Ok(lacking.map(|value| self.group(value.map(Into::into), None)))
    }

    /// See [`super::source::Course::begin_at`].
    pub(super) fn begin_at(&mut self, connection: &Connection, offset: u64) -> Result<u64, Error> {
        let By { values, column, .. } = self.by;
        if let Some(value) = self.value_behind(connection, None, offset)? {
            let before = match self.is_descending {
                true => format!("{column} > ?"),
                false => format!("{column} > '' AND {column} < ?"),
            };
            let sql = format!("SELECT count(*) FROM {values} WHERE {before}");
            let before = one_number(connection, &sql, &[Value::Text(value.clone())])?;
            self.begin_with(Some(value), None);
            return Ok(offset.saturating_sub(before));
        }
        let sql = format!("SELECT count(*) FROM {values} WHERE {column} > ''");
        let mut left = offset.saturating_sub(one_number(connection, &sql, &[])?);
        self.ahead = Ahead::Lacking(self.by.lacking.len());
        for lacking in self.by.lacking {
            let sql = format!("SELECT count(*) FROM {values} WHERE {column} IS ?");
            let rows = one_number(connection, &sql, &[value_of(*lacking)])?;
            if left < rows {
                self.begin_with(lacking.map(Into::into), None);
                return Ok(left);
            }
            left -= rows;
        }
        Ok(left)
    }

    /// The value of the study so many studies behind those with a value.
    fn value_behind(
        &self,
        connection: &Connection,
        last: Option<&str>,
        offset: u64,
    ) -> Result<Option<String>, Error> {
        let By { values, column, .. } = self.by;
        let way = if self.is_descending { "DESC" } else { "" };
        let (low, high) = match (last, self.is_descending) {
            // One bound at each end: of two the wrong one might be where the index is entered.
            (Some(last), true) => (self.low.as_str(), Some(last)),
            (Some(last), false) => (last, self.high.as_deref()),
            (None, _) => (self.low.as_str(), self.high.as_deref()),
        };
        let above = if last.is_some() && !self.is_descending {
            ">"
        } else {
            ">="
        };
        let below = high.map_or_else(String::new, |_| format!(" AND {column} < ?"));
        let sql = format!(
            "SELECT {column} FROM {values} WHERE {column} {above} ?{below} ORDER BY {column} {way} LIMIT 1 OFFSET ?"
        );
        let texts = std::iter::once(low).chain(high);
        let mut bound: Vec<Value> = texts.map(|text| Value::Text(text.into())).collect();
        bound.push(Value::Integer(i64::try_from(offset).unwrap_or(i64::MAX)));
        let mut statement = connection.prepare_cached(&sql).map_err(error)?;
        let found = statement.query_row(params_from_iter(bound), |row| row.get(0));
        found.optional().map_err(error)
    }

    fn group(&self, value: Option<String>, after: Option<Standing>) -> Source {
        let By {
            values: among,
            column,
            rows,
            moment,
            newest_first,
            alone,
            ..
        } = self.by;
        let mut values = vec![value_of(value.as_deref())];
        let behind = match after {
            None => String::new(),
            Some(after) => {
                values.extend(after.moment());
                format!(" AND {moment} < (?, ?, ?)")
            }
        };
        let condition = format!("WHERE {column} IS ?{behind}");
        Source::new(format!("FROM {rows} {condition}"), newest_first, values)
            .or_alone(alone, format!("FROM {among} {condition}"))
    }
}

impl Standing {
    /// Date, time and id, as a row of SQL has them.
    pub(super) fn moment(&self) -> [Value; 3] {
        [
            Value::Text(self.sort_date.clone()),
            Value::Text(self.sort_time.clone()),
            Value::Integer(self.id),
        ]
    }
}

fn value_of(text: Option<&str>) -> Value {
    text.map_or(Value::Null, |text| Value::Text(text.into()))
}
