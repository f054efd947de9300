//! Rows as cases and opinions. One that cannot be read as what was written was altered.

use rusqlite::{Connection, OptionalExtension, Row};

use crate::access::account::AccountName;
use crate::access::ledger::LedgerError;
use crate::cases::grade::{Agreement, Management, Significance};
use crate::cases::{
    Asked, Case, Comparison, Completed, ManifestHead, Mark, Opinion, Pool, Reference, Request,
    Signed, State, Task, TaskState, Urgency,
};
use crate::db::ledger::connection::error;
use crate::dicom::Uid;

pub(super) fn broken(cause: impl std::fmt::Display) -> LedgerError {
    LedgerError::broken("reading a case", cause)
}

pub(super) fn uid(text: &str) -> Result<Uid, LedgerError> {
    Uid::parse(text).map_err(broken)
}

pub(super) fn pool(word: &str) -> Result<Pool, LedgerError> {
    Pool::parse(word).map_err(broken)
}

pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

pub(super) fn number(signed: i64) -> u64 {
    signed.unsigned_abs()
}

pub(super) fn digest(row: &Row<'_>, at: usize) -> rusqlite::Result<[u8; 32]> {
    row.get(at)
}

/// The rows of a statement with one number to bind.
fn rows<T>(
    connection: &Connection,
    sql: &str,
    bound: i64,
    row: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> Result<Vec<T>, LedgerError> {
    let read = connection.prepare_cached(sql).and_then(|mut statement| {
        let rows = statement.query_map([bound], row)?;
        rows.collect()
    });
    read.map_err(error)
}

/// A row of `second_case` as it lies there.
struct Kept {
    revision: i64,
    state: String,
    requester: String,
    study: String,
    patient_id: String,
    texts: [String; 6],
    due_ms: Option<i64>,
    expires_ms: Option<i64>,
    is_blinded: bool,
    needs_complete: bool,
    completed_by: String,
    completed_ms: Option<i64>,
    opened_ms: i64,
    changed_ms: i64,
    confirmed_by: String,
    confirmed_ms: Option<i64>,
}

fn kept(row: &Row<'_>) -> rusqlite::Result<Kept> {
    Ok(Kept {
        revision: row.get(0)?,
        state: row.get(1)?,
        requester: row.get(2)?,
        study: row.get(3)?,
        patient_id: row.get(4)?,
        texts: [
            row.get(5)?,
            row.get(6)?,
            row.get(7)?,
            row.get(8)?,
            row.get(9)?,
            row.get(10)?,
        ],
        due_ms: row.get(11)?,
        expires_ms: row.get(12)?,
        is_blinded: row.get(13)?,
        needs_complete: row.get(14)?,
        completed_by: row.get(15)?,
        completed_ms: row.get(16)?,
        opened_ms: row.get(17)?,
        changed_ms: row.get(18)?,
        confirmed_by: row.get(19)?,
        confirmed_ms: row.get(20)?,
    })
}

pub(super) fn case(connection: &Connection, case_number: i64) -> Result<Option<Case>, LedgerError> {
    let sql = "SELECT revision, state, requester, study_instance_uid, patient_id, question, context, body_part, \
               subspecialty, urgency, first_report, due_ms, expires_ms, is_blinded, needs_complete, completed_by, \
               completed_ms, opened_ms, changed_ms, confirmed_by, confirmed_ms FROM second_case WHERE number = ?1";
    let read = connection
        .prepare_cached(sql)
        .and_then(|mut statement| statement.query_row([case_number], kept).optional())
        .map_err(error)?;
    let Some(kept) = read else {
        return Ok(None);
    };
    let [
        question,
        context,
        body_part,
        subspecialty,
        urgency,
        first_report,
    ] = kept.texts;
    let word = |by: String, at_ms: Option<i64>| {
        let by = by.into();
        at_ms.map(|at_ms| Completed { by, at_ms })
    };
    let completed = word(kept.completed_by, kept.completed_ms);
    let confirmed = word(kept.confirmed_by, kept.confirmed_ms);
    let request = Request {
        study: uid(&kept.study)?,
        priors: priors(connection, case_number)?,
        question,
        context,
        body_part,
        subspecialty: pool(&subspecialty)?,
        urgency: Urgency::parse(&urgency).ok_or_else(|| broken("its urgency is none"))?,
        due_ms: kept.due_ms,
        expires_ms: kept.expires_ms,
        is_blinded: kept.is_blinded,
        needs_complete: kept.needs_complete,
        first_report,
        report_instances: references(connection, case_number)?,
    };
    Ok(Some(Case {
        number: number(case_number),
        revision: number(kept.revision),
        state: State::parse(&kept.state).ok_or_else(|| broken("its state is none"))?,
        requester: kept.requester.into(),
        patient_id: kept.patient_id.into(),
        request,
        opened_ms: kept.opened_ms,
        changed_ms: kept.changed_ms,
        completed,
        confirmed,
        tasks: tasks(connection, case_number)?,
    }))
}

fn priors(connection: &Connection, case: i64) -> Result<Vec<Uid>, LedgerError> {
    let sql = "SELECT study_instance_uid FROM case_prior WHERE case_number = ?1 ORDER BY place";
    let found: Vec<String> = rows(connection, sql, case, |row| row.get(0))?;
    found.iter().map(|text| uid(text)).collect()
}

fn references(connection: &Connection, case: i64) -> Result<Vec<Reference>, LedgerError> {
    let sql = "SELECT series_instance_uid, sop_instance_uid, sop_class_uid FROM case_report \
               WHERE case_number = ?1 ORDER BY place";
    let found: Vec<[String; 3]> = rows(connection, sql, case, |row| {
        Ok([row.get(0)?, row.get(1)?, row.get(2)?])
    })?;
    let reference = |[series, instance, class]: &[String; 3]| {
        Ok(Reference {
            series_instance_uid: uid(series)?,
            sop_instance_uid: uid(instance)?,
            sop_class_uid: uid(class)?,
        })
    };
    found.iter().map(reference).collect()
}

fn tasks(connection: &Connection, case: i64) -> Result<Vec<Task>, LedgerError> {
    let sql = "SELECT id, place, reader, pool, workitem, state, held_by, transaction_uid, claimed_ms, committed_ms, \
               signed_ms, ended_in FROM task WHERE case_number = ?1 ORDER BY place";
    let found = rows(connection, sql, case, |row| {
        let texts: [String; 6] = [
            row.get(2)?,
            row.get(3)?,
            row.get(4)?,
            row.get(5)?,
            row.get(6)?,
            row.get(7)?,
        ];
        let noted: [Option<i64>; 4] = [row.get(8)?, row.get(9)?, row.get(10)?, row.get(11)?];
        Ok((row.get::<_, i64>(0)?, row.get::<_, u32>(1)?, texts, noted))
    })?;
    let task = |(id, place, texts, noted): (i64, u32, [String; 6], [Option<i64>; 4])| {
        let [reader, pool_word, workitem, state, held_by, transaction_uid] = texts;
        let [claimed_ms, committed_ms, signed_ms, ended_in] = noted;
        let asked = if reader.is_empty() {
            Asked::Pool(pool(&pool_word)?)
        } else {
            Asked::Reader(AccountName::kept(&reader).map_err(broken)?)
        };
        let sql = "SELECT opinion FROM adjudicated WHERE task = ?1 ORDER BY 1";
        Ok(Task {
            id: number(id),
            place,
            asked,
            workitem: uid(&workitem)?,
            state: TaskState::parse(&state).ok_or_else(|| broken("a task has no state"))?,
            held_by: (!held_by.is_empty()).then(|| held_by.into()),
            transaction_uid: match transaction_uid.as_str() {
                "" => None,
                text => Some(uid(text)?),
            },
            claimed_ms,
            committed_ms,
            signed_ms,
            ended_in: ended_in.map(number),
            adjudicates: rows(connection, sql, id, |row| row.get(0).map(number))?,
        })
    };
    found.into_iter().map(task).collect()
}

/// All versions of all opinions of a case, by number.
pub(super) fn opinions(connection: &Connection, case: i64) -> Result<Vec<Opinion>, LedgerError> {
    let sql = "SELECT o.id, o.task, o.version, o.corrects, o.reason, o.reader, o.signed_ms, o.body, m.digest, \
               m.instances FROM task AS t JOIN opinion AS o ON o.task = t.id JOIN manifest AS m ON m.opinion = o.id \
               WHERE t.case_number = ?1 ORDER BY o.id";
    let found = rows(connection, sql, case, |row| {
        let id: i64 = row.get(0)?;
        let body: String = row.get(7)?;
        let opinion = |said| -> rusqlite::Result<Opinion> {
            Ok(Opinion {
                id: number(id),
                task: row.get(1).map(number)?,
                version: row.get(2)?,
                corrects: row.get::<_, Option<i64>>(3)?.map(number),
                reason: row.get(4)?,
                reader: row.get::<_, String>(5)?.into(),
                signed_ms: row.get(6)?,
                said,
                manifest: ManifestHead {
                    digest: digest(row, 8)?,
                    instances: row.get(9).map(number)?,
                    versions: Vec::new(),
                },
            })
        };
        match serde_json::from_str(&body) {
            Ok(said) => opinion(said).map(Ok),
            Err(cause) => Ok(Err(broken(cause))),
        }
    })?;
    let mut opinions = found.into_iter().collect::<Result<Vec<_>, _>>()?;
    for opinion in &mut opinions {
        opinion.manifest.versions = versions(connection, signed(opinion.id))?;
    }
    Ok(opinions)
}

fn versions(connection: &Connection, opinion: i64) -> Result<Vec<(Uid, u64)>, LedgerError> {
    let sql =
        "SELECT study_instance_uid, version FROM manifest_study WHERE opinion = ?1 ORDER BY 1";
    pairs(rows(connection, sql, opinion, |row| {
        Ok((row.get(0)?, row.get(1)?))
    })?)
}

/// The marks of a case, in the order of their studies.
pub(super) fn marks(connection: &Connection, case: i64) -> Result<Vec<Mark>, LedgerError> {
    let sql = "SELECT study_instance_uid, version, listing FROM case_mark WHERE case_number = ?1 ORDER BY 1";
    let found: Vec<(String, i64, Vec<u8>)> = rows(connection, sql, case, |row| {
        Ok((row.get(0)?, row.get(1)?, row.get(2)?))
    })?;
    let mark = |(study, version, listing): (String, i64, Vec<u8>)| {
        Mark::parse(uid(&study)?, number(version), &listing)
    };
    found.into_iter().map(mark).collect()
}

/// The versions of its marks.
pub(super) fn marked(connection: &Connection, case: i64) -> Result<Vec<(Uid, u64)>, LedgerError> {
    let sql = "SELECT study_instance_uid, version FROM case_mark WHERE case_number = ?1 ORDER BY 1";
    pairs(rows(connection, sql, case, |row| {
        Ok((row.get(0)?, row.get(1)?))
    })?)
}

fn pairs(found: Vec<(String, i64)>) -> Result<Vec<(Uid, u64)>, LedgerError> {
    let pair = |(study, version): &(String, i64)| Ok((uid(study)?, number(*version)));
    found.iter().map(pair).collect()
}

/// Newest versions of opinions, with what was asked. The texts of an opinion stay in the file: grades are words in its JSON.
pub(super) fn each_signed(
    connection: &Connection,
    each: &mut dyn FnMut(Signed) -> Result<(), LedgerError>,
) -> Result<(), LedgerError> {
    let sql = "SELECT c.study_instance_uid, c.body_part, c.subspecialty, o.reader, \
               max(c.opened_ms, coalesce(c.completed_ms, 0)), coalesce(t.signed_ms, o.signed_ms), \
               json_extract(o.body, '$.comparison.agreement'), json_extract(o.body, '$.comparison.significance'), \
               json_extract(o.body, '$.comparison.management') \
               FROM opinion AS o JOIN task AS t ON t.id = o.task JOIN second_case AS c ON c.number = t.case_number \
               WHERE NOT EXISTS (SELECT 1 FROM opinion AS later WHERE later.task = o.task AND later.version > o.version) \
               AND NOT EXISTS (SELECT 1 FROM adjudicated AS a WHERE a.task = o.task)";
    let mut statement = connection.prepare_cached(sql).map_err(error)?;
    let mut rows = statement.query([]).map_err(error)?;
    while let Some(row) = rows.next().map_err(error)? {
        let text = |at| row.get::<_, Box<str>>(at).map_err(error);
        each(Signed {
            study: uid(&text(0)?)?,
            body_part: text(1)?,
            subspecialty: text(2)?,
            reader: text(3)?,
            asked_ms: row.get(4).map_err(error)?,
            answered_ms: row.get(5).map_err(error)?,
            comparison: Comparison {
                agreement: grade(row, 6, Agreement::parse)?,
                significance: grade(row, 7, Significance::parse)?,
                management: grade(row, 8, Management::parse)?,
                ..Comparison::default()
            },
        })?;
    }
    Ok(())
}

fn grade<T>(
    row: &Row<'_>,
    at: usize,
    parse: impl Fn(&str) -> Option<T>,
) -> Result<Option<T>, LedgerError> {
    let word: Option<String> = row.get(at).map_err(error)?;
    let grade = |word: String| parse(&word).ok_or_else(|| broken("a grade is none"));
    word.map(grade).transpose()
}
