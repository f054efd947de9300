//! The line in which the studies stand for a query, and where in it the answers begin.

use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension as _, Row, params_from_iter};

use crate::access::Scope;
use crate::archive::Error;
use crate::db::order::{Standing, StudyPlace};
use crate::db::rules::sort_name;
use crate::db::sqlite::candidates::json;
use crate::db::sqlite::connection::error;
use crate::db::sqlite::rows::text;
use crate::db::sqlite::source::Source;
use crate::db::sqlite::walk::OF_STUDY;
use crate::dicom::query::Order;
use crate::dicom::{Level, Query};

/// The order of a query's studies.
pub(super) struct Line<'q> {
    pub(super) order: &'q Order,
    /// The study behind which the answers begin, when it is there.
    pub(super) after: Option<Standing>,
}

/// What a study is ordered by.
const STANDING: &str =
    "study.id, study.patient_name, study.patient_id, study.sort_date, study.sort_time";

impl<'q> Line<'q> {
    pub(super) fn of(
        connection: &Connection,
        query: &'q Query,
        scope: &Scope,
    ) -> Result<Self, Error> {
        let order = &query.order;
        // Patients have one order; a study that a caller does not see has no place.
        let named = order
            .after
            .as_ref()
            .filter(|study| query.level != Level::Patient && scope.view(study).is_some());
        let after = match named {
            None => None,
            Some(study) => {
                let sql = format!("SELECT {STANDING} FROM study WHERE study_instance_uid = ?");
                let mut statement = connection.prepare_cached(&sql).map_err(error)?;
                let found = statement.query_row([study.as_str()], |row| Ok(standing(row)));
                found.optional().map_err(error)?.transpose()?
            }
        };
        Ok(Self { order, after })
    }

    /// How many matches are passed over.
    pub(super) fn offset(&self, query: &Query) -> u64 {
        match self.after {
            Some(_) => 0,
            None => query.offset,
        }
    }

    /// These studies as they stand.
    pub(super) fn listed(&self, connection: &Connection, ids: Vec<i64>) -> Result<Source, Error> {
        if self.order.is_newest_first() {
            return Ok(self.newest_first(ids));
        }
        let sql =
            format!("SELECT {STANDING} FROM study WHERE id IN (SELECT value FROM json_each(?))");
        let mut statement = connection.prepare_cached(&sql).map_err(error)?;
        let mut rows = statement
            .query(params_from_iter([json(ids)]))
            .map_err(error)?;
        let after = self.after.clone().map(|after| after.place(self.order));
        let mut places: Vec<(StudyPlace, i64)> = Vec::new();
        while let Some(row) = rows.next().map_err(error)? {
            let standing = standing(row)?;
            let id = standing.id;
            let place = standing.place(self.order);
            if after.as_ref().is_none_or(|after| place > *after) {
                places.push((place, id));
            }
        }
        places.sort_unstable();
        Ok(Source::new(
            "FROM json_each(?) AS listed CROSS JOIN study ON study.id = listed.value",
            "ORDER BY listed.key",
            vec![json(places.into_iter().map(|(_, id)| id))],
        ))
    }

    fn newest_first(&self, ids: Vec<i64>) -> Source {
        let (from, order, mut values) = match ids[..] {
            [id] => (
                "FROM study WHERE study.id = ?",
                "",
                vec![Value::Integer(id)],
            ),
            _ => (
                "FROM study WHERE study.id IN (SELECT value FROM json_each(?))",
                OF_STUDY.newest_first,
                vec![json(ids)],
            ),
        };
        let behind = OF_STUDY.behind(self, &mut values);
        Source::new(format!("{from}{behind}"), order, values)
    }
}

fn standing(row: &Row<'_>) -> Result<Standing, Error> {
    Ok(Standing {
        id: row.get(0).map_err(error)?,
        sort_name: sort_name(text(row, 1)?),
        patient_id: text(row, 2)?.map(Into::into),
        sort_date: text(row, 3)?.unwrap_or_default().into(),
        sort_time: text(row, 4)?.unwrap_or_default().into(),
    })
}
