//! What requests for storage commitment were told (PS3.18 §13.4).

use rusqlite::{Connection, OptionalExtension as _, params};

use crate::archive::Error;
use crate::archive::index::Answered;
use crate::db::sqlite::connection::error;
use crate::db::sqlite::write::Write;
use crate::dicom::Uid;

pub(super) fn answered(
    connection: &Connection,
    transaction_uid: &Uid,
) -> Result<Option<Answered>, Error> {
    let sql = "SELECT answered_at_ms, answer FROM commitment WHERE transaction_uid = ?1";
    let found = connection.prepare_cached(sql).and_then(|mut s| {
        s.query_row([transaction_uid.as_str()], |row| {
            Ok(Answered {
                at_ms: row.get(0)?,
                answer: row.get::<_, Option<String>>(1)?.map(Into::into),
            })
        })
        .optional()
    });
    found.map_err(error)
}

pub(super) fn answer(
    write: &Write<'_>,
    transaction_uid: &Uid,
    answered: &Answered,
) -> Result<bool, Error> {
    let added = write.execute(
        "INSERT OR IGNORE INTO commitment VALUES (?1, ?2, ?3)",
        params![transaction_uid.as_str(), answered.at_ms, answered.answer],
    )?;
    Ok(added == 1)
}

pub(super) fn revise(write: &Write<'_>, transaction_uid: &Uid, answer: &str) -> Result<(), Error> {
    write.execute(
        "UPDATE commitment SET answer = ?2 WHERE transaction_uid = ?1",
        params![transaction_uid.as_str(), answer],
    )?;
    Ok(())
}

pub(super) fn expire(write: &Write<'_>, expired_ms: i64, forgotten_ms: i64) -> Result<(), Error> {
    write.execute(
        "DELETE FROM commitment WHERE answered_at_ms < ?1",
        [forgotten_ms],
    )?;
    write.execute(
        "UPDATE commitment SET answer = NULL WHERE answered_at_ms < ?1 AND answer IS NOT NULL",
        [expired_ms],
    )?;
    Ok(())
}
