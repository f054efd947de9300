//! The queue of what goes on to other archives.

use rusqlite::{Connection, Row, params};

use crate::archive::Error;
use crate::archive::forwarding::Bound;
use crate::archive::index::NewInstance;
use crate::archive::queue::{DestinationState, Ended, Ending, Part, Pause, Queued, StudyForward};
use crate::db::record;
use crate::db::sqlite::connection::error;
use crate::db::sqlite::read::uid_at;
use crate::db::sqlite::write::Write;
use crate::dicom::Uid;

/// Rows of `forward` and `forward_study` that a [`Part`] is about.
const OF_PART: &str =
    "(?1 IS NULL OR destination = ?1) AND (?2 IS NULL OR study_instance_uid = ?2)";

/// See [`crate::archive::index::Transaction::queue`].
pub(super) fn queue(
    write: &Write<'_>,
    new: &NewInstance,
    bound: &[Bound<'_>],
    now_ms: i64,
    stable_at_ms: i64,
    is_replacement: bool,
) -> Result<(), Error> {
    let study = new.header.study_instance_uid.as_str();
    let instance = new.header.sop_instance_uid.as_str();
    if is_replacement {
        // It may be of another study now, or of interest to nobody.
        forget_instance(write, &new.header.sop_instance_uid)?;
    }
    for Bound {
        destination,
        is_matched,
        not_from,
    } in bound
    {
        let later = write.execute(
            "UPDATE forward_study SET stable_at_ms = max(stable_at_ms, ?3), \
             due_at_ms = max(stable_at_ms, ?3) WHERE destination = ?1 AND study_instance_uid = ?2",
            params![destination, study, stable_at_ms],
        )?;
        let goes_already = later == 1;
        if !goes_already && !is_matched {
            continue;
        }
        if !goes_already {
            write.execute(
                "INSERT INTO forward_study (destination, study_instance_uid, stable_at_ms, due_at_ms) \
                 VALUES (?1, ?2, ?3, ?3)",
                params![destination, study, stable_at_ms],
            )?;
            // With all of it that is there already, but what the destination has sent itself.
            write.execute(
                "INSERT OR IGNORE INTO forward (destination, study_instance_uid, sop_instance_uid, change, is_replacement, queued_at_ms) \
                 SELECT ?1, study_instance_uid, sop_instance_uid, instance.version, 0, ?3 \
                 FROM study JOIN series ON series.study = study.id JOIN instance ON instance.series = series.id \
                 JOIN origin ON origin.id = instance.origin \
                 WHERE study_instance_uid = ?2 AND sop_instance_uid <> ?4 AND NOT (door = ?5 AND sender = coalesce(?6, ''))",
                params![
                    destination,
                    study,
                    now_ms,
                    instance,
                    record::door_number(crate::archive::Door::Dimse),
                    not_from
                ],
            )?;
        }
        write.execute(
            "INSERT OR REPLACE INTO forward (destination, study_instance_uid, sop_instance_uid, change, is_replacement, queued_at_ms) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            params![
                destination,
                study,
                instance,
                write.counters.change,
                is_replacement,
                now_ms
            ],
        )?;
        write.execute(
            "INSERT OR IGNORE INTO forward_destination (destination) VALUES (?1)",
            [destination],
        )?;
    }
    Ok(())
}

/// An instance goes nowhere any more.
pub(super) fn forget_instance(write: &Write<'_>, sop_instance_uid: &Uid) -> Result<(), Error> {
    write.execute(
        "DELETE FROM forward WHERE sop_instance_uid = ?1",
        [sop_instance_uid.as_str()],
    )?;
    Ok(())
}

/// A study is gone.
pub(super) fn forget_study(write: &Write<'_>, study_instance_uid: &Uid) -> Result<(), Error> {
    write.execute(
        "DELETE FROM forward_study WHERE study_instance_uid = ?1",
        [study_instance_uid.as_str()],
    )?;
    Ok(())
}

pub(super) fn begin_attempt(
    write: &Write<'_>,
    destination: &str,
    queued: &Queued,
) -> Result<(), Error> {
    write.execute(
        "UPDATE forward SET is_doubtful = 1 \
         WHERE destination = ?1 AND study_instance_uid = ?2 AND sop_instance_uid = ?3 AND change = ?4",
        params![
            destination,
            queued.study_instance_uid.as_str(),
            queued.sop_instance_uid.as_str(),
            number(queued.change)?
        ],
    )?;
    Ok(())
}

pub(super) fn end_attempt(
    write: &Write<'_>,
    destination: &str,
    ended: &Ended,
    now_ms: i64,
) -> Result<(), Error> {
    let queued = &ended.queued;
    let (study, instance) = (
        queued.study_instance_uid.as_str(),
        queued.sop_instance_uid.as_str(),
    );
    let change = number(queued.change)?;
    match &ended.ending {
        Ending::Sent => {
            // What took its place meanwhile, or was removed, stays as it is; it was sent all the same.
            write.execute(
                "DELETE FROM forward WHERE destination = ?1 AND study_instance_uid = ?2 AND sop_instance_uid = ?3 AND change = ?4",
                params![destination, study, instance, change],
            )?;
            write.execute(
                "UPDATE forward_study SET sent = sent + 1, sent_at_ms = ?3 WHERE destination = ?1 AND study_instance_uid = ?2",
                params![destination, study, now_ms],
            )?;
            write.execute(
                "UPDATE forward_destination SET sent = sent + 1 WHERE destination = ?1",
                [destination],
            )?;
        }
        Ending::Unsent => {
            write.execute(
                "UPDATE forward SET is_doubtful = ?5 WHERE destination = ?1 AND study_instance_uid = ?2 AND sop_instance_uid = ?3 AND change = ?4",
                params![destination, study, instance, change, queued.is_doubtful],
            )?;
        }
        Ending::Refused {
            reason,
            not_before_ms,
            is_given_up,
            is_doubtful,
        } => {
            write.execute(
                "UPDATE forward SET attempts = attempts + 1, reason = ?5, not_before_ms = ?6, is_failed = ?7, is_doubtful = ?8 \
                 WHERE destination = ?1 AND study_instance_uid = ?2 AND sop_instance_uid = ?3 AND change = ?4",
                params![destination, study, instance, change, reason, not_before_ms, is_given_up, is_doubtful],
            )?;
        }
    }
    Ok(())
}

pub(super) fn settle(
    write: &Write<'_>,
    destination: &str,
    study_instance_uid: &Uid,
) -> Result<(), Error> {
    write.execute(
        "UPDATE forward_study SET due_at_ms = ( \
             SELECT max(forward_study.stable_at_ms, min(not_before_ms)) FROM forward \
             WHERE forward.destination = ?1 AND forward.study_instance_uid = ?2 AND NOT is_failed) \
         WHERE destination = ?1 AND study_instance_uid = ?2",
        params![destination, study_instance_uid.as_str()],
    )?;
    Ok(())
}

pub(super) fn set_pause(
    write: &Write<'_>,
    destination: &str,
    pause: Option<&Pause>,
) -> Result<(), Error> {
    write.execute(
        "INSERT INTO forward_destination (destination, pause_failures, pause_until_ms, pause_reason) \
         VALUES (?1, ?2, ?3, ?4) ON CONFLICT (destination) DO UPDATE SET pause_failures = excluded.pause_failures, \
         pause_until_ms = excluded.pause_until_ms, pause_reason = excluded.pause_reason",
        params![
            destination,
            pause.map_or(0, |p| p.failures),
            pause.map(|p| p.until_ms),
            pause.map(|p| &p.reason)
        ],
    )?;
    Ok(())
}

pub(super) fn give_up(
    write: &Write<'_>,
    destination: &str,
    queued_before_ms: i64,
    reason: &str,
) -> Result<u64, Error> {
    let failed = write.execute(
        "UPDATE forward SET is_failed = 1, reason = ?3 \
         WHERE destination = ?1 AND queued_at_ms < ?2 AND NOT is_failed",
        params![destination, queued_before_ms, reason],
    )?;
    Ok(failed as u64)
}

pub(super) fn retry(write: &Write<'_>, part: Part<'_>, now_ms: i64) -> Result<u64, Error> {
    let study = part.study_instance_uid.map(Uid::as_str);
    let again = write.execute(
        &format!(
            "UPDATE forward SET is_failed = 0, not_before_ms = 0, attempts = 0, queued_at_ms = ?3 \
             WHERE {OF_PART} AND (is_failed OR not_before_ms > 0)"
        ),
        params![part.destination, study, now_ms],
    )?;
    write.execute(
        &format!(
            "UPDATE forward_study SET due_at_ms = stable_at_ms WHERE {OF_PART} AND EXISTS (SELECT 1 FROM forward \
             WHERE forward.destination = forward_study.destination \
             AND forward.study_instance_uid = forward_study.study_instance_uid AND NOT is_failed)"
        ),
        params![part.destination, study],
    )?;
    write.execute(
        "UPDATE forward_destination SET pause_failures = 0, pause_until_ms = NULL, pause_reason = NULL \
         WHERE ?1 IS NULL OR destination = ?1",
        [part.destination],
    )?;
    Ok(again as u64)
}

pub(super) fn unqueue(write: &Write<'_>, part: Part<'_>) -> Result<u64, Error> {
    let study = part.study_instance_uid.map(Uid::as_str);
    let gone = write.execute(
        &format!("DELETE FROM forward WHERE {OF_PART}"),
        params![part.destination, study],
    )?;
    write.execute(
        &format!("UPDATE forward_study SET due_at_ms = NULL WHERE {OF_PART}"),
        params![part.destination, study],
    )?;
    Ok(gone as u64)
}

pub(super) fn due_studies(
    connection: &Connection,
    destination: &str,
    now_ms: i64,
    limit: usize,
) -> Result<Vec<Uid>, Error> {
    let sql = "SELECT study_instance_uid FROM forward_study \
         WHERE destination = ?1 AND due_at_ms <= ?2 ORDER BY due_at_ms, study_instance_uid LIMIT ?3";
    rows(
        connection,
        sql,
        params![destination, now_ms, limit_of(limit)],
        |row| uid_at(row, 0),
    )
}

pub(super) fn queued(
    connection: &Connection,
    destination: &str,
    study_instance_uid: &Uid,
    ready_at_ms: Option<i64>,
    limit: usize,
) -> Result<Vec<Queued>, Error> {
    let sql = "SELECT forward.sop_instance_uid, series_instance_uid, change, is_replacement, attempts, queued_at_ms, \
         not_before_ms, is_failed, reason, is_doubtful \
         FROM forward JOIN instance ON instance.sop_instance_uid = forward.sop_instance_uid \
         JOIN series ON series.id = instance.series \
         WHERE destination = ?1 AND study_instance_uid = ?2 AND (?3 IS NULL OR (NOT is_failed AND not_before_ms <= ?3)) \
         ORDER BY forward.sop_instance_uid LIMIT ?4";
    let values = params![
        destination,
        study_instance_uid.as_str(),
        ready_at_ms,
        limit_of(limit)
    ];
    rows(connection, sql, values, |row| {
        Ok(Queued {
            study_instance_uid: study_instance_uid.clone(),
            sop_instance_uid: uid_at(row, 0)?,
            series_instance_uid: uid_at(row, 1)?,
            change: count_at(row, 2)?,
            is_replacement: row.get(3).map_err(error)?,
            attempts: row.get(4).map_err(error)?,
            queued_at_ms: row.get(5).map_err(error)?,
            not_before_ms: row.get(6).map_err(error)?,
            is_failed: row.get(7).map_err(error)?,
            reason: text_at(row, 8)?,
            is_doubtful: row.get(9).map_err(error)?,
        })
    })
}

pub(super) fn study_forwards(
    connection: &Connection,
    after: Option<(&str, &Uid)>,
    is_all: bool,
    limit: usize,
) -> Result<Vec<StudyForward>, Error> {
    let (destination, study) = after.map_or(("", ""), |(d, s)| (d, s.as_str()));
    // What waits is looked up from the queue, however much was done before.
    let joined = match is_all {
        true => "forward_study AS s LEFT JOIN forward AS f",
        false => "forward AS f JOIN forward_study AS s",
    };
    let sql = format!(
        "SELECT s.destination, s.study_instance_uid, sum(NOT is_failed), sum(is_failed), sent, sent_at_ms, stable_at_ms, \
         due_at_ms, max(reason) FROM {joined} ON f.destination = s.destination AND f.study_instance_uid = s.study_instance_uid \
         WHERE ({0}.destination, {0}.study_instance_uid) > (?1, ?2) \
         GROUP BY {0}.destination, {0}.study_instance_uid ORDER BY {0}.destination, {0}.study_instance_uid LIMIT ?3",
        if is_all { "s" } else { "f" }
    );
    let values = params![destination, study, limit_of(limit)];
    rows(connection, &sql, values, |row| {
        let count = |at| count_at(row, at);
        Ok(StudyForward {
            destination: text_at(row, 0)?.unwrap_or_default(),
            study_instance_uid: uid_at(row, 1)?,
            waiting: count(2)?,
            failed: count(3)?,
            sent: count(4)?,
            sent_at_ms: row.get(5).map_err(error)?,
            stable_at_ms: row.get(6).map_err(error)?,
            due_at_ms: row.get(7).map_err(error)?,
            reason: text_at(row, 8)?,
        })
    })
}

pub(super) fn destinations(
    connection: &Connection,
    now_ms: i64,
) -> Result<Vec<DestinationState>, Error> {
    let sql = "SELECT d.destination, d.sent, pause_failures, pause_until_ms, pause_reason, \
         sum(NOT is_failed AND stable_at_ms > ?1), sum(NOT is_failed AND stable_at_ms <= ?1), sum(is_failed) \
         FROM forward_destination AS d LEFT JOIN forward AS f ON f.destination = d.destination \
         LEFT JOIN forward_study AS s ON s.destination = f.destination AND s.study_instance_uid = f.study_instance_uid \
         GROUP BY d.destination ORDER BY d.destination";
    rows(connection, sql, [now_ms], |row| {
        Ok(DestinationState {
            destination: text_at(row, 0)?.unwrap_or_default(),
            sent: count_at(row, 1)?,
            pause: pause_at(row, 2)?,
            unstable: count_at(row, 5)?,
            due: count_at(row, 6)?,
            failed: count_at(row, 7)?,
        })
    })
}

pub(super) fn pause(connection: &Connection, destination: &str) -> Result<Option<Pause>, Error> {
    let sql = "SELECT pause_failures, pause_until_ms, pause_reason FROM forward_destination WHERE destination = ?1";
    let found = rows(connection, sql, [destination], |row| pause_at(row, 0))?;
    Ok(found.into_iter().next().flatten())
}

/// A pause, in three columns from `at` on.
fn pause_at(row: &Row<'_>, at: usize) -> Result<Option<Pause>, Error> {
    let until: Option<i64> = row.get(at + 1).map_err(error)?;
    let Some(until_ms) = until else {
        return Ok(None);
    };
    Ok(Some(Pause {
        failures: row.get(at).map_err(error)?,
        until_ms,
        reason: text_at(row, at + 2)?.unwrap_or_default(),
    }))
}

fn rows<T>(
    connection: &Connection,
    sql: &str,
    values: impl rusqlite::Params,
    one: impl Fn(&Row<'_>) -> Result<T, Error>,
) -> Result<Vec<T>, Error> {
    let mut statement = connection.prepare_cached(sql).map_err(error)?;
    let mut rows = statement.query(values).map_err(error)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next().map_err(error)? {
        found.push(one(row)?);
    }
    Ok(found)
}

fn text_at(row: &Row<'_>, at: usize) -> Result<Option<Box<str>>, Error> {
    let text: Option<String> = row.get(at).map_err(error)?;
    Ok(text.map(Into::into))
}

/// A count; what was summed over nothing is nothing.
fn count_at(row: &Row<'_>, at: usize) -> Result<u64, Error> {
    let count: Option<i64> = row.get(at).map_err(error)?;
    Ok(u64::try_from(count.unwrap_or(0)).unwrap_or(0))
}

fn number(change: u64) -> Result<i64, Error> {
    i64::try_from(change).map_err(|e| Error::broken("noting what was forwarded", e))
}

fn limit_of(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}
