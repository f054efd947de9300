//! Instances held back, and conflicts that were let through.

use rusqlite::{Connection, Row, params};

use crate::archive::Error;
use crate::archive::index::{
    AcceptedConflict, Difference, NewInstance, QuarantineReason, Quarantined,
};
use crate::db::record;
use crate::db::sqlite::connection::error;
use crate::db::sqlite::read::{blob_at, uid_at};
use crate::db::sqlite::rows::text;
use crate::db::sqlite::write::{Write, locator_numbers};

const COLUMNS: &str = "id, reason, differences, body";

fn reason_number(reason: QuarantineReason) -> i64 {
    match reason {
        QuarantineReason::Duplicate => 0,
        QuarantineReason::PatientConflict => 1,
        QuarantineReason::Displaced => 2,
    }
}

fn reason_of(number: i64) -> Result<QuarantineReason, Error> {
    match number {
        0 => Ok(QuarantineReason::Duplicate),
        1 => Ok(QuarantineReason::PatientConflict),
        2 => Ok(QuarantineReason::Displaced),
        _ => Err(Error::broken("reading the index", "unknown reason")),
    }
}

pub(super) fn hold(
    write: &mut Write<'_>,
    new: &NewInstance,
    reason: QuarantineReason,
    differences: &[Difference],
) -> Result<(i64, bool), Error> {
    let uid = new.header.sop_instance_uid.as_str();
    if let Some(id) = known(write, new, reason)? {
        return Ok((id, false));
    }
    let [file, offset, length] = locator_numbers(&new.locator)?;
    write.execute(
        "INSERT INTO quarantine (reason, sop_instance_uid, digest, locator_file, locator_offset, locator_length, \
         dataset_offset, differences, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        params![
            reason_number(reason), uid, new.digest, file, offset, length, new.dataset_offset,
            record::pack_differences(differences)?, record::pack_held(new)?,
        ],
    )?;
    write.counters.quarantined += 1;
    Ok((write.connection.last_insert_rowid(), true))
}

/// The held instances of one UID and reason that are looked at for the same received bytes.
const COERCED_MAX: u32 = 64;

/// Where the same bytes are held for the same reason. Under another transfer syntax they mean
/// something else, and of those there are few, so only the bodies tell. What was coerced is kept in
/// other bytes each time; of those too the bodies tell, the newest ones.
fn known(
    write: &Write<'_>,
    new: &NewInstance,
    reason: QuarantineReason,
) -> Result<Option<i64>, Error> {
    let sql = "SELECT id, body FROM quarantine WHERE sop_instance_uid = ?1 AND reason = ?2 \
         AND (?3 IS NULL OR digest = ?3) ORDER BY id DESC LIMIT ?4";
    let uid = new.header.sop_instance_uid.as_str();
    let digest = (new.digest == new.received_digest).then_some(new.digest);
    let mut statement = write.connection.prepare_cached(sql).map_err(error)?;
    let mut rows = statement
        .query(params![uid, reason_number(reason), digest, COERCED_MAX])
        .map_err(error)?;
    while let Some(row) = rows.next().map_err(error)? {
        let held = record::unpack_held(blob_at(row, 1)?)?;
        if held.received_digest == new.received_digest
            && held.transfer_syntax_uid == new.transfer_syntax_uid
        {
            return row.get(0).map(Some).map_err(error);
        }
    }
    Ok(None)
}

pub(super) fn release(write: &mut Write<'_>, id: i64) -> Result<Option<Quarantined>, Error> {
    let Some(held) = one(&write.connection, id)? else {
        return Ok(None);
    };
    write.execute("DELETE FROM quarantine WHERE id = ?1", [id])?;
    write.counters.quarantined -= 1;
    Ok(Some(held))
}

pub(super) fn list(
    connection: &Connection,
    after: i64,
    limit: usize,
) -> Result<Vec<Quarantined>, Error> {
    let sql = format!("SELECT {COLUMNS} FROM quarantine WHERE id > ?1 ORDER BY id LIMIT ?2");
    let mut statement = connection.prepare_cached(&sql).map_err(error)?;
    let mut rows = statement
        .query(params![after, i64::try_from(limit).unwrap_or(i64::MAX)])
        .map_err(error)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next().map_err(error)? {
        found.push(quarantined(row)?);
    }
    Ok(found)
}

pub(super) fn one(connection: &Connection, id: i64) -> Result<Option<Quarantined>, Error> {
    let sql = format!("SELECT {COLUMNS} FROM quarantine WHERE id = ?1");
    let mut statement = connection.prepare_cached(&sql).map_err(error)?;
    let mut rows = statement.query([id]).map_err(error)?;
    rows.next().map_err(error)?.map(quarantined).transpose()
}

fn quarantined(row: &Row<'_>) -> Result<Quarantined, Error> {
    Ok(Quarantined {
        id: row.get(0).map_err(error)?,
        reason: reason_of(row.get(1).map_err(error)?)?,
        differences: record::unpack_differences(text(row, 2)?.unwrap_or_default())?,
        instance: record::unpack_held(blob_at(row, 3)?)?,
    })
}

pub(super) fn note_conflict(
    write: &mut Write<'_>,
    conflict: &AcceptedConflict,
) -> Result<(), Error> {
    write.execute(
        "INSERT INTO accepted_conflict (study_instance_uid, sop_instance_uid, differences, received_at_ms) \
         VALUES (?1, ?2, ?3, ?4)",
        params![
            conflict.study_instance_uid.as_str(),
            conflict.sop_instance_uid.as_str(),
            record::pack_differences(&conflict.differences)?,
            conflict.received_at_ms,
        ],
    )?;
    Ok(())
}

pub(super) fn conflicts(
    connection: &Connection,
    limit: usize,
) -> Result<Vec<AcceptedConflict>, Error> {
    let sql = "SELECT study_instance_uid, sop_instance_uid, differences, received_at_ms FROM accepted_conflict \
         ORDER BY id DESC LIMIT ?1";
    let mut statement = connection.prepare_cached(sql).map_err(error)?;
    let mut rows = statement
        .query([i64::try_from(limit).unwrap_or(i64::MAX)])
        .map_err(error)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next().map_err(error)? {
        found.push(AcceptedConflict {
            study_instance_uid: uid_at(row, 0)?,
            sop_instance_uid: uid_at(row, 1)?,
            differences: record::unpack_differences(text(row, 2)?.unwrap_or_default())?,
            received_at_ms: row.get(3).map_err(error)?,
        });
    }
    Ok(found)
}
