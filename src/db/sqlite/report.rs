//! Event reports of storage commitment (PS3.4 §J.3.3): those that we owe, and what others told us.

use rusqlite::{Connection, OptionalExtension as _, Row, params};

use crate::archive::Error;
use crate::archive::index::{OwedReport, ToldReport};
use crate::db::sqlite::connection::error;
use crate::db::sqlite::write::Write;
use crate::dicom::Uid;

pub(super) fn owed(connection: &Connection) -> Result<Vec<OwedReport>, Error> {
    let sql = "SELECT transaction_uid, requester, called, attempts, due_at_ms FROM owed_report \
               ORDER BY due_at_ms, transaction_uid";
    let found = connection.prepare_cached(sql).and_then(|mut s| {
        let rows = s.query_map([], |row| {
            Ok((
                uid(row)?,
                row.get(1)?,
                row.get(2)?,
                row.get(3)?,
                row.get(4)?,
            ))
        })?;
        rows.collect::<Result<Vec<(Uid, String, String, u32, i64)>, _>>()
    });
    let owed = |(transaction_uid, requester, called, attempts, due_at_ms): (
        Uid,
        String,
        String,
        u32,
        i64,
    )| OwedReport {
        transaction_uid,
        requester: requester.into(),
        called: called.into(),
        attempts,
        due_at_ms,
    };
    Ok(found.map_err(error)?.into_iter().map(owed).collect())
}

pub(super) fn told(
    connection: &Connection,
    transaction_uid: &Uid,
) -> Result<Option<ToldReport>, Error> {
    let sql = "SELECT transaction_uid, told_by, report FROM told_report WHERE transaction_uid = ?1";
    let found = connection.prepare_cached(sql).and_then(|mut s| {
        s.query_row([transaction_uid.as_str()], |row| {
            Ok(ToldReport {
                transaction_uid: uid(row)?,
                told_by: row.get::<_, String>(1)?.into(),
                report: row.get::<_, String>(2)?.into(),
            })
        })
        .optional()
    });
    found.map_err(error)
}

pub(super) fn owe(write: &Write<'_>, owed: &OwedReport) -> Result<(), Error> {
    write.execute(
        "INSERT OR REPLACE INTO owed_report VALUES (?1, ?2, ?3, ?4, ?5)",
        params![
            owed.transaction_uid.as_str(),
            owed.requester,
            owed.called,
            owed.attempts,
            owed.due_at_ms
        ],
    )?;
    Ok(())
}

pub(super) fn settle(write: &Write<'_>, transaction_uid: &Uid) -> Result<(), Error> {
    write.execute(
        "DELETE FROM owed_report WHERE transaction_uid = ?1",
        [transaction_uid.as_str()],
    )?;
    Ok(())
}

pub(super) fn keep_told(
    write: &Write<'_>,
    told: &ToldReport,
    keep_max: usize,
) -> Result<(), Error> {
    write.execute(
        "INSERT OR REPLACE INTO told_report (transaction_uid, told_by, report) VALUES (?1, ?2, ?3)",
        params![told.transaction_uid.as_str(), told.told_by, told.report],
    )?;
    write.execute(
        "DELETE FROM told_report WHERE id NOT IN (SELECT id FROM told_report ORDER BY id DESC LIMIT ?1)",
        [i64::try_from(keep_max).unwrap_or(i64::MAX)],
    )?;
    Ok(())
}

/// The first column; what the table holds was checked when it was written.
fn uid(row: &Row<'_>) -> rusqlite::Result<Uid> {
    let text: String = row.get(0)?;
    Uid::parse(&text).map_err(|cause| {
        rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Text, Box::new(cause))
    })
}
