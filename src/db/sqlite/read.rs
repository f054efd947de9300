//! Reading what is located by UID: places, metadata, versions, totals, blobs. Paging goes by cursor,
//! series by series, each page by the index `(series, instance_order)`: nothing is sorted.

use std::ops::ControlFlow;
use std::sync::LazyLock;

use rusqlite::{Connection, OptionalExtension as _, Row, params};

use crate::access::{Scope, View};
use crate::archive::index::{
    Arrived, Current, Cursor, EachArrived, EachMetadata, EachReceived, Lineage, Located, NamedBlob,
    Received, Target, Totals,
};
use crate::archive::{Error, Locator};
use crate::db::order::{cursor, cursor_series};
use crate::db::record;
use crate::db::rules::seen_version;
use crate::db::sqlite::connection::error;
use crate::db::sqlite::packing::{BODY, BODY_JOIN, Bodies};
use crate::db::sqlite::rows::text;
use crate::db::sqlite::write::Counters;
use crate::dicom::header::BulkValue;
use crate::dicom::{Uid, sop_class};

/// What one page of a target's instances is read into.
type Each<'a> = dyn FnMut(&SeriesPlace, &Row<'_>) -> Result<ControlFlow<()>, Error> + 'a;

/// A series on the way through a study.
struct SeriesPlace {
    id: i64,
    order: i64,
    uid: Uid,
}

const LOCATED: &str = "instance.id, instance_order, sop_instance_uid, sop_class_uid, transfer_syntax_uid, locator_file, \
     locator_offset, locator_length, dataset_offset, digest, frames";

/// Where the SOP class stands among [`LOCATED`].
const CLASS_OF_LOCATED: usize = 3;

pub(super) fn locate(
    connection: &Connection,
    target: &Target,
    scope: &Scope,
    after: Option<Cursor>,
    limit: usize,
) -> Result<Vec<Located>, Error> {
    let mut found = Vec::new();
    let study_uid = study_of(target);
    let Some(view) = scope.view(study_uid) else {
        return Ok(found);
    };
    page(
        connection,
        target,
        (view, CLASS_OF_LOCATED),
        after,
        limit,
        LOCATED,
        "",
        &mut |series, row| {
            found.push(located(study_uid, series, row)?);
            Ok(ControlFlow::Continue(()))
        },
    )?;
    Ok(found)
}

/// One instance, by one statement; the second `None` when its frame map is longer than that.
pub(super) fn locate_one(
    connection: &Connection,
    uids: (&Uid, &Uid, &Uid),
    scope: &Scope,
    bytes_max: usize,
) -> Result<Option<Option<Located>>, Error> {
    static SQL: LazyLock<String> = LazyLock::new(|| of_one(LOCATED, ""));
    let class = CLASS_OF_LOCATED;
    one(connection, &SQL, uids, (scope, class), &mut |row| {
        if blob_at(row, 10)?.len() > bytes_max {
            return Ok(None);
        }
        let series = SeriesPlace {
            id: row.get(11).map_err(error)?,
            order: row.get(12).map_err(error)?,
            uid: uids.1.clone(),
        };
        located(uids.0, &series, row).map(Some)
    })
}

/// The version and the metadata of one instance; the metadata when they are at most so long.
pub(super) fn current(
    connection: &Connection,
    uids: (&Uid, &Uid, &Uid),
    scope: &Scope,
    bytes_max: usize,
) -> Result<Option<Current>, Error> {
    static SQL: LazyLock<String> = LazyLock::new(|| {
        of_one(
            &format!("instance.version, {BODY}, sop_class_uid"),
            BODY_JOIN,
        )
    });
    one(connection, &SQL, uids, (scope, 4), &mut |row| {
        let version: i64 = row.get(0).map_err(error)?;
        let is_short = record::unpacked_length(blob_at(row, 3)?)? <= bytes_max;
        let metadata = is_short
            .then(|| Bodies::default().metadata(row, 1))
            .transpose()?;
        Ok(Current {
            version: version.unsigned_abs(),
            metadata,
        })
    })
}

/// Columns of an instance by its three UIDs, then the id and the order of its series.
fn of_one(columns: &str, join: &str) -> String {
    format!(
        "SELECT {columns}, series.id, series_order FROM instance INDEXED BY instance_by_sop_instance_uid \
         CROSS JOIN series ON series.id = instance.series CROSS JOIN study ON study.id = series.study {join} \
         WHERE sop_instance_uid = ?1 AND series_instance_uid = ?2 AND study_instance_uid = ?3"
    )
}

fn one<T>(
    connection: &Connection,
    sql: &str,
    (study, series, instance): (&Uid, &Uid, &Uid),
    (scope, class): (&Scope, usize),
    read: &mut dyn FnMut(&Row<'_>) -> Result<T, Error>,
) -> Result<Option<T>, Error> {
    let Some(view) = scope.view(study) else {
        return Ok(None);
    };
    let mut statement = connection.prepare_cached(sql).map_err(error)?;
    let uids = params![instance.as_str(), series.as_str(), study.as_str()];
    let mut rows = statement.query(uids).map_err(error)?;
    match rows.next().map_err(error)? {
        Some(row) if is_seen(view, row, class)? => read(row).map(Some),
        Some(_) | None => Ok(None),
    }
}

/// Whether an instance whose SOP class stands in a column is there for the caller.
fn is_seen(view: View, row: &Row<'_>, class: usize) -> Result<bool, Error> {
    Ok(view == View::Whole || view.shows(text(row, class)?.unwrap_or_default()))
}

pub(super) fn each_metadata(
    connection: &Connection,
    target: &Target,
    scope: &Scope,
    after: Option<Cursor>,
    each: &mut EachMetadata<'_>,
) -> Result<(), Error> {
    let Some(view) = scope.view(study_of(target)) else {
        return Ok(());
    };
    let columns = format!("instance.id, instance_order, {BODY}, sop_class_uid");
    let mut bodies = Bodies::default();
    page(
        connection,
        target,
        (view, 5),
        after,
        usize::MAX,
        &columns,
        BODY_JOIN,
        &mut |series, row| {
            let cursor = cursor_at(series, row)?;
            each(bodies.metadata_in(row, 2)?, cursor)
        },
    )
}

pub(super) fn each_received(
    connection: &Connection,
    target: &Target,
    scope: &Scope,
    each: &mut EachReceived<'_>,
) -> Result<(), Error> {
    let Some(view) = scope.view(study_of(target)) else {
        return Ok(());
    };
    let columns = format!(
        "instance.id, instance_order, {BODY}, door, sender, instance.received_at_ms, transfer_syntax_uid, \
         sop_class_uid"
    );
    let join = format!("{BODY_JOIN} JOIN origin ON origin.id = instance.origin");
    let mut bodies = Bodies::default();
    page(
        connection,
        target,
        (view, 9),
        None,
        usize::MAX,
        &columns,
        &join,
        &mut |_, row| {
            each(Received {
                metadata: bodies.metadata_in(row, 2)?,
                transfer_syntax_uid: text(row, 8)?.unwrap_or_default(),
                door: record::door_of(row.get(5).map_err(error)?)?,
                sender: text(row, 6)?.unwrap_or_default(),
                at_ms: row.get(7).map_err(error)?,
            })
        },
    )
}

pub(super) fn each_arrived(
    connection: &Connection,
    target: &Target,
    scope: &Scope,
    each: &mut EachArrived<'_>,
) -> Result<(), Error> {
    let Some(view) = scope.view(study_of(target)) else {
        return Ok(());
    };
    page(
        connection,
        target,
        (view, 1),
        None,
        usize::MAX,
        "sop_instance_uid, sop_class_uid, transfer_syntax_uid, digest, door, sender, instance.received_at_ms",
        "JOIN origin ON origin.id = instance.origin",
        &mut |series, row| {
            each(Arrived {
                series_instance_uid: series.uid.as_str(),
                sop_instance_uid: text(row, 0)?.unwrap_or_default(),
                sop_class_uid: text(row, 1)?.unwrap_or_default(),
                transfer_syntax_uid: text(row, 2)?.unwrap_or_default(),
                digest: row.get(3).map_err(error)?,
                door: record::door_of(row.get(4).map_err(error)?)?,
                sender: text(row, 5)?.unwrap_or_default(),
                at_ms: row.get(6).map_err(error)?,
            })
        },
    )
}

pub(super) fn bulk(
    connection: &Connection,
    target: &Target,
    scope: &Scope,
) -> Result<Option<(Located, Vec<BulkValue>)>, Error> {
    if !matches!(target, Target::Instance(..)) {
        return Ok(None);
    }
    let mut found = None;
    let study_uid = study_of(target);
    let Some(view) = scope.view(study_uid) else {
        return Ok(None);
    };
    let columns = format!("{LOCATED}, {BODY}");
    page(
        connection,
        target,
        (view, CLASS_OF_LOCATED),
        None,
        1,
        &columns,
        BODY_JOIN,
        &mut |series, row| {
            let parts = Bodies::default().parts(row, 11)?;
            found = Some((located(study_uid, series, row)?, parts.record.bulk()?));
            Ok(ControlFlow::Break(()))
        },
    )?;
    Ok(found)
}

pub(super) fn version(
    connection: &Connection,
    target: &Target,
    scope: &Scope,
) -> Result<Option<u64>, Error> {
    match scope.view(study_of(target)) {
        None => return Ok(None),
        Some(View::Whole) => {}
        Some(View::WithoutReports) => {
            let seen = version_without_reports(connection, target)?;
            // An instance that is there is as it is for everybody.
            if seen.is_none() || !matches!(target, Target::Instance(..)) {
                return Ok(seen);
            }
        }
    }
    let one = |sql: &str, uids: &[&str]| {
        let mut statement = connection.prepare_cached(sql)?;
        statement
            .query_row(rusqlite::params_from_iter(uids), |row| row.get::<_, i64>(0))
            .optional()
    };
    let found = match target {
        Target::Study(study) => one(
            "SELECT version FROM study WHERE study_instance_uid = ?1",
            &[study.as_str()],
        ),
        Target::Series(study, series) => one(
            "SELECT version FROM series WHERE series_instance_uid = ?2 \
             AND study = (SELECT id FROM study WHERE study_instance_uid = ?1)",
            &[study.as_str(), series.as_str()],
        ),
        Target::Instance(study, series, instance) => one(
            "SELECT instance.version FROM instance JOIN series ON series.id = instance.series \
             JOIN study ON study.id = series.study \
             WHERE sop_instance_uid = ?3 AND series_instance_uid = ?2 AND study_instance_uid = ?1",
            &[study.as_str(), series.as_str(), instance.as_str()],
        ),
    };
    Ok(found.map_err(error)?.map(i64::unsigned_abs))
}

/// The version of what is left of a target without its reports. It is made in the same way of one that has none: else it
/// would tell which it is.
fn version_without_reports(connection: &Connection, target: &Target) -> Result<Option<u64>, Error> {
    let mut versions = Vec::new();
    let columns = "instance.id, instance_order, sop_class_uid, instance.version";
    let seen = (View::Whole, 2);
    page(
        connection,
        target,
        seen,
        None,
        usize::MAX,
        columns,
        "",
        &mut |_, row| {
            if !sop_class::is_report(text(row, 2)?.unwrap_or_default()) {
                versions.push(row.get::<_, i64>(3).map_err(error)?.unsigned_abs());
            }
            Ok(ControlFlow::Continue(()))
        },
    )?;
    Ok(seen_version(&versions))
}

fn study_of(target: &Target) -> &Uid {
    match target {
        Target::Study(study) | Target::Series(study, _) | Target::Instance(study, _, _) => study,
    }
}

/// Gives up to `limit` instances of a target that a view shows, after a cursor, to `each`, in order, until it
/// has enough; `class` is the column of their SOP class.
#[expect(
    clippy::too_many_arguments,
    reason = "private; the three callers differ in columns and join only"
)]
fn page(
    connection: &Connection,
    target: &Target,
    (view, class): (View, usize),
    after: Option<Cursor>,
    limit: usize,
    columns: &str,
    join: &str,
    each: &mut Each<'_>,
) -> Result<(), Error> {
    let mut left = i64::try_from(limit).unwrap_or(i64::MAX);
    // What is not there for the caller does not count.
    let at_most = |left: i64| match view {
        View::Whole => left,
        View::WithoutReports => i64::MAX,
    };
    let instance_uid = if let Target::Instance(_, _, uid) = target {
        Some(uid)
    } else {
        None
    };
    let sql = match instance_uid {
        None => format!(
            "SELECT {columns} FROM instance INDEXED BY instance_by_series {join} \
             WHERE instance.series = ?1 AND (instance_order, instance.id) > (?2, ?3) ORDER BY instance_order, instance.id LIMIT ?4"
        ),
        Some(_) => format!(
            "SELECT {columns} FROM instance INDEXED BY instance_by_sop_instance_uid {join} \
             WHERE sop_instance_uid = ?5 AND instance.series = ?1 AND (instance_order, instance.id) > (?2, ?3) LIMIT ?4"
        ),
    };
    let mut statement = connection.prepare_cached(&sql).map_err(error)?;
    for series in series_of(connection, target, after)? {
        let is_cut = after.filter(|c| cursor_series(*c) == (series.order, series.id));
        let (order, id) = is_cut.map_or((i64::MIN, 0), |c| (c.1, c.2));
        let mut rows = match instance_uid {
            None => statement.query(params![series.id, order, id, at_most(left)]),
            Some(uid) => {
                statement.query(params![series.id, order, id, at_most(left), uid.as_str()])
            }
        }
        .map_err(error)?;
        while left > 0
            && let Some(row) = rows.next().map_err(error)?
        {
            if !is_seen(view, row, class)? {
                continue;
            }
            if each(&series, row)?.is_break() {
                return Ok(());
            }
            left -= 1;
        }
        if left <= 0 {
            break;
        }
    }
    Ok(())
}

/// The series of a target from the one of the cursor on, in order.
fn series_of(
    connection: &Connection,
    target: &Target,
    after: Option<Cursor>,
) -> Result<Vec<SeriesPlace>, Error> {
    let (order, id) = after.map_or((i64::MIN, 0), cursor_series);
    let (study_uid, series_uid) = match target {
        Target::Study(study) => (study, None),
        Target::Series(study, series) | Target::Instance(study, series, _) => (study, Some(series)),
    };
    let sql = match series_uid {
        None => {
            "SELECT id, series_order, series_instance_uid FROM series INDEXED BY series_by_study \
             WHERE study = (SELECT id FROM study WHERE study_instance_uid = ?1) AND (series_order, id) >= (?2, ?3) \
             ORDER BY series_order, id"
        }
        Some(_) => {
            "SELECT id, series_order, series_instance_uid FROM series INDEXED BY series_by_series_instance_uid \
             WHERE study = (SELECT id FROM study WHERE study_instance_uid = ?1) AND series_instance_uid = ?4 \
             AND (series_order, id) >= (?2, ?3)"
        }
    };
    let mut statement = connection.prepare_cached(sql).map_err(error)?;
    let mut rows = match series_uid {
        None => statement.query(params![study_uid.as_str(), order, id]),
        Some(series) => statement.query(params![study_uid.as_str(), order, id, series.as_str()]),
    }
    .map_err(error)?;
    let mut series = Vec::new();
    while let Some(row) = rows.next().map_err(error)? {
        series.push(SeriesPlace {
            id: row.get(0).map_err(error)?,
            order: row.get(1).map_err(error)?,
            uid: uid_at(row, 2)?,
        });
    }
    Ok(series)
}

fn located(study_uid: &Uid, series: &SeriesPlace, row: &Row<'_>) -> Result<Located, Error> {
    Ok(Located {
        study_instance_uid: study_uid.clone(),
        series_instance_uid: series.uid.clone(),
        sop_instance_uid: uid_at(row, 2)?,
        sop_class_uid: uid_at(row, 3)?,
        transfer_syntax_uid: uid_at(row, 4)?,
        locator: locator_at(row, 5)?,
        dataset_offset: row.get(8).map_err(error)?,
        digest: row.get(9).map_err(error)?,
        frames: record::decode_frames(blob_at(row, 10)?)?,
        cursor: cursor_at(series, row)?,
    })
}

fn cursor_at(series: &SeriesPlace, row: &Row<'_>) -> Result<Cursor, Error> {
    let (id, order) = (row.get(0).map_err(error)?, row.get(1).map_err(error)?);
    Ok(cursor(series.order, series.id, order, id))
}

pub(super) fn counters(connection: &Connection) -> Result<Counters, Error> {
    let sql = "SELECT patients, studies, series, instances, blob_bytes, quarantined, change FROM counters";
    let read = |row: &Row<'_>| {
        Ok(Counters {
            patients: row.get(0)?,
            studies: row.get(1)?,
            series: row.get(2)?,
            instances: row.get(3)?,
            blob_bytes: row.get(4)?,
            quarantined: row.get(5)?,
            change: row.get(6)?,
        })
    };
    connection
        .prepare_cached(sql)
        .and_then(|mut s| s.query_row([], read))
        .map_err(error)
}

pub(super) fn totals(connection: &Connection) -> Result<Totals, Error> {
    let counters = counters(connection)?;
    let count = |n: i64| u64::try_from(n).unwrap_or(0);
    Ok(Totals {
        patients: count(counters.patients),
        studies: count(counters.studies),
        series: count(counters.series),
        instances: count(counters.instances),
        blob_bytes: count(counters.blob_bytes),
        quarantined: count(counters.quarantined),
    })
}

pub(super) fn lineage(connection: &Connection) -> Result<Lineage, Error> {
    let sql = "SELECT lineage.id, counters.change FROM lineage, counters";
    let mut statement = connection.prepare_cached(sql).map_err(error)?;
    let lineage = statement.query_row([], |row| {
        Ok(Lineage {
            id: row.get(0)?,
            change: row.get::<_, i64>(1)?.unsigned_abs(),
        })
    });
    lineage.map_err(error)
}

pub(super) fn live_blobs(connection: &Connection, file: u64) -> Result<Vec<Locator>, Error> {
    // A file number that no locator can have names nothing.
    let Ok(file) = i64::try_from(file) else {
        return Ok(Vec::new());
    };
    let sql = "SELECT locator_file, locator_offset, locator_length FROM instance WHERE locator_file = ?1 UNION ALL \
         SELECT locator_file, locator_offset, locator_length FROM quarantine WHERE locator_file = ?1 ORDER BY 2, 3";
    let mut statement = connection.prepare_cached(sql).map_err(error)?;
    let mut rows = statement.query([file]).map_err(error)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next().map_err(error)? {
        found.push(locator_at(row, 0)?);
    }
    Ok(found)
}

pub(super) fn blobs(
    connection: &Connection,
    after: Option<Locator>,
    limit: usize,
) -> Result<Vec<NamedBlob>, Error> {
    let number = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    let after = after.map_or([-1, 0, 0], |l| {
        [number(l.file), number(l.offset), number(l.length)]
    });
    // Each half comes in order from its index; the outer ORDER BY merges them.
    let half = |table: &str| {
        format!(
            "SELECT * FROM (SELECT sop_instance_uid, locator_file, locator_offset, locator_length, dataset_offset, digest \
             FROM {table} INDEXED BY {table}_by_locator WHERE (locator_file, locator_offset) >= (?1, ?2) \
             AND (locator_file, locator_offset, locator_length) > (?1, ?2, ?3) \
             ORDER BY locator_file, locator_offset LIMIT ?4)"
        )
    };
    let sql = format!(
        "{} UNION ALL {} ORDER BY 2, 3, 4 LIMIT ?4",
        half("instance"),
        half("quarantine")
    );
    let mut statement = connection.prepare_cached(&sql).map_err(error)?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut rows = statement
        .query(params![after[0], after[1], after[2], limit])
        .map_err(error)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next().map_err(error)? {
        found.push(NamedBlob {
            sop_instance_uid: uid_at(row, 0)?,
            locator: locator_at(row, 1)?,
            dataset_offset: row.get(4).map_err(error)?,
            digest: row.get(5).map_err(error)?,
        });
    }
    Ok(found)
}

pub(super) fn uid_at(row: &Row<'_>, at: usize) -> Result<Uid, Error> {
    record::uid(text(row, at)?.unwrap_or_default())
}

pub(super) fn blob_at<'r>(row: &'r Row<'_>, at: usize) -> Result<&'r [u8], Error> {
    row.get_ref(at)
        .map_err(error)?
        .as_blob()
        .map_err(|e| Error::broken("reading the index", e))
}

pub(super) fn locator_at(row: &Row<'_>, first: usize) -> Result<Locator, Error> {
    let number = |at| row.get::<_, i64>(at).map(i64::unsigned_abs).map_err(error);
    Ok(Locator {
        file: number(first)?,
        offset: number(first + 1)?,
        length: number(first + 2)?,
    })
}
