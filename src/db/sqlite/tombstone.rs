//! What was removed and has not come again (PS3.18 Table 8.5-1: 410 where 404 would hide that it was
//! here). A row an instance, a series, a study: whoever was here is known, nobody else.

use rusqlite::{Connection, OptionalExtension as _, params};

use crate::access::{Scope, View};
use crate::archive::Error;
use crate::archive::index::Target;
use crate::db::record::Identity;
use crate::db::sqlite::connection::error;
use crate::db::sqlite::write::Write;
use crate::dicom::{Header, Level, Uid};

impl Write<'_> {
    /// Notes that the entity of a level was removed.
    pub(super) fn bury(
        &self,
        gone: &Identity,
        level: Level,
        removed_at_ms: i64,
    ) -> Result<(), Error> {
        let (study, series, instance) = key(
            level,
            &gone.study_instance_uid,
            &gone.series_instance_uid,
            &gone.sop_instance_uid,
        );
        self.execute(
            "INSERT OR REPLACE INTO tombstone VALUES (?1, ?2, ?3, ?4)",
            params![study, series, instance, removed_at_ms],
        )?;
        Ok(())
    }

    /// Forgets that the entity of a level was removed: it comes again.
    pub(super) fn exhume(&self, come: &Header, level: Level) -> Result<(), Error> {
        let (study, series, instance) = key(
            level,
            &come.study_instance_uid,
            &come.series_instance_uid,
            &come.sop_instance_uid,
        );
        self.execute(
            "DELETE FROM tombstone WHERE study_instance_uid = ?1 AND series_instance_uid = ?2 AND sop_instance_uid = ?3",
            params![study, series, instance],
        )?;
        Ok(())
    }
}

pub(super) fn removed_at(
    connection: &Connection,
    target: &Target,
    scope: &Scope,
) -> Result<Option<i64>, Error> {
    let (study, series, instance) = match target {
        Target::Study(study) => (study, "", ""),
        Target::Series(study, series) => (study, series.as_str(), ""),
        Target::Instance(study, series, instance) => (study, series.as_str(), instance.as_str()),
    };
    // What was removed may have been a report.
    if scope.view(study) != Some(View::Whole) {
        return Ok(None);
    }
    let sql = "SELECT removed_at_ms FROM tombstone \
         WHERE study_instance_uid = ?1 AND series_instance_uid = ?2 AND sop_instance_uid = ?3";
    let found = connection.prepare_cached(sql).and_then(|mut s| {
        s.query_row([study.as_str(), series, instance], |row| row.get(0))
            .optional()
    });
    found.map_err(error)
}

/// The key of the row for a level.
fn key<'u>(
    level: Level,
    study: &'u Uid,
    series: &'u Uid,
    instance: &'u Uid,
) -> (&'u str, &'u str, &'u str) {
    match level {
        Level::Patient | Level::Study => (study.as_str(), "", ""),
        Level::Series => (study.as_str(), series.as_str(), ""),
        Level::Instance => (study.as_str(), series.as_str(), instance.as_str()),
    }
}
