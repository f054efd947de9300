//! Cases as rows.

use rusqlite::{named_params, params};

use super::read::{broken, signed};
use crate::access::ledger::LedgerError;
use crate::cases::{Asked, Case, Manifest, Mark, NewOpinion, Opinion, Task};
use crate::db::ledger::Write;
use crate::db::ledger::connection::error;
use crate::dicom::Uid;

/// Adds a case with all that belongs to it; `false` when there is one of its number.
pub(super) fn insert(write: &Write<'_>, case: &Case) -> Result<bool, LedgerError> {
    let request = &case.request;
    let sql = "INSERT INTO second_case (number, revision, state, requester, study_instance_uid, patient_id, \
               question, context, body_part, subspecialty, urgency, due_ms, expires_ms, is_blinded, \
               needs_complete, completed_by, completed_ms, first_report, opened_ms, changed_ms) \
               VALUES (:number, :revision, :state, :requester, :study, :patient_id, :question, :context, \
               :body_part, :subspecialty, :urgency, :due_ms, :expires_ms, :is_blinded, :needs_complete, \
               :completed_by, :completed_ms, :first_report, :opened_ms, :changed_ms) \
               ON CONFLICT (number) DO NOTHING";
    let row = named_params! {
        ":number": signed(case.number),
        ":revision": signed(case.revision),
        ":state": case.state.word(),
        ":requester": &*case.requester,
        ":study": request.study.as_str(),
        ":patient_id": &*case.patient_id,
        ":question": request.question,
        ":context": request.context,
        ":body_part": request.body_part,
        ":subspecialty": request.subspecialty.as_str(),
        ":urgency": request.urgency.word(),
        ":due_ms": request.due_ms,
        ":expires_ms": request.expires_ms,
        ":is_blinded": request.is_blinded,
        ":needs_complete": request.needs_complete,
        ":completed_by": case.completed.as_ref().map_or("", |completed| &completed.by),
        ":completed_ms": case.completed.as_ref().map(|completed| completed.at_ms),
        ":first_report": request.first_report,
        ":opened_ms": case.opened_ms,
        ":changed_ms": case.changed_ms,
    };
    let inserted = write
        .prepare_cached(sql)
        .and_then(|mut statement| statement.execute(row))
        .map_err(error)?;
    if inserted == 0 {
        return Ok(false);
    }
    put_studies(write, case).map_err(error)?;
    put_tasks(write, case).map_err(error)?;
    Ok(true)
}

fn put_studies(write: &Write<'_>, case: &Case) -> rusqlite::Result<()> {
    let number = signed(case.number);
    let mut prior = write.prepare_cached(
        "INSERT INTO case_prior (case_number, place, study_instance_uid) VALUES (?1, ?2, ?3)",
    )?;
    for (place, study) in (0_i64..).zip(&case.request.priors) {
        prior.execute(params![number, place, study.as_str()])?;
    }
    let mut report = write.prepare_cached(
        "INSERT INTO case_report (case_number, place, series_instance_uid, sop_instance_uid, sop_class_uid) \
         VALUES (?1, ?2, ?3, ?4, ?5)",
    )?;
    for (place, reference) in (0_i64..).zip(&case.request.report_instances) {
        report.execute(params![
            number,
            place,
            reference.series_instance_uid.as_str(),
            reference.sop_instance_uid.as_str(),
            reference.sop_class_uid.as_str(),
        ])?;
    }
    Ok(())
}

/// Puts a case in the place of its revision before; `false` when it has another one. What was asked stays as it was.
pub(super) fn replace(write: &Write<'_>, case: &Case) -> Result<bool, LedgerError> {
    let sql = "UPDATE second_case SET revision = :revision, state = :state, completed_by = :completed_by, \
               completed_ms = :completed_ms, confirmed_by = :confirmed_by, confirmed_ms = :confirmed_ms, changed_ms = :changed_ms \
               WHERE number = :number AND revision = :revision - 1";
    let row = named_params! {
        ":number": signed(case.number),
        ":revision": signed(case.revision),
        ":state": case.state.word(),
        ":completed_by": case.completed.as_ref().map_or("", |completed| &completed.by),
        ":completed_ms": case.completed.as_ref().map(|completed| completed.at_ms),
        ":confirmed_by": case.confirmed.as_ref().map_or("", |word| &word.by),
        ":confirmed_ms": case.confirmed.as_ref().map(|word| word.at_ms),
        ":changed_ms": case.changed_ms,
    };
    let replaced = write
        .prepare_cached(sql)
        .and_then(|mut statement| statement.execute(row))
        .map_err(error)?;
    if replaced == 0 {
        return Ok(false);
    }
    put_tasks(write, case).map_err(error)?;
    Ok(true)
}

fn put_tasks(write: &Write<'_>, case: &Case) -> rusqlite::Result<()> {
    for task in &case.tasks {
        if task.id == 0 {
            insert_task(write, case.number, task)?;
        } else {
            update_task(write, task)?;
        }
    }
    Ok(())
}

fn insert_task(write: &Write<'_>, case: u64, task: &Task) -> rusqlite::Result<()> {
    let (reader, pool) = match &task.asked {
        Asked::Reader(name) => (name.as_str(), ""),
        Asked::Pool(pool) => ("", pool.as_str()),
    };
    let sql = "INSERT INTO task (case_number, place, reader, pool, workitem, state, held_by, transaction_uid, \
               claimed_ms, committed_ms, signed_ms, ended_in) \
               VALUES (:case_number, :place, :reader, :pool, :workitem, :state, :held_by, :transaction_uid, \
               :claimed_ms, :committed_ms, :signed_ms, :ended_in)";
    write.prepare_cached(sql)?.execute(named_params! {
        ":case_number": signed(case),
        ":place": task.place,
        ":reader": reader,
        ":pool": pool,
        ":workitem": task.workitem.as_str(),
        ":state": task.state.word(),
        ":held_by": task.held_by.as_deref().unwrap_or_default(),
        ":transaction_uid": task.transaction_uid.as_ref().map_or("", Uid::as_str),
        ":claimed_ms": task.claimed_ms,
        ":committed_ms": task.committed_ms,
        ":signed_ms": task.signed_ms,
        ":ended_in": task.ended_in.map(signed),
    })?;
    let id = write.last_insert_rowid();
    let mut statement =
        write.prepare_cached("INSERT INTO adjudicated (task, opinion) VALUES (?1, ?2)")?;
    for opinion in &task.adjudicates {
        statement.execute(params![id, signed(*opinion)])?;
    }
    Ok(())
}

/// Who is asked, and by which workitem, never changes.
fn update_task(write: &Write<'_>, task: &Task) -> rusqlite::Result<()> {
    let sql = "UPDATE task SET state = :state, held_by = :held_by, transaction_uid = :transaction_uid, \
               claimed_ms = :claimed_ms, committed_ms = :committed_ms, signed_ms = :signed_ms, ended_in = :ended_in \
               WHERE id = :id";
    write.prepare_cached(sql)?.execute(named_params! {
        ":id": signed(task.id),
        ":state": task.state.word(),
        ":held_by": task.held_by.as_deref().unwrap_or_default(),
        ":transaction_uid": task.transaction_uid.as_ref().map_or("", Uid::as_str),
        ":claimed_ms": task.claimed_ms,
        ":committed_ms": task.committed_ms,
        ":signed_ms": task.signed_ms,
        ":ended_in": task.ended_in.map(signed),
    })?;
    Ok(())
}

/// Puts marks of the studies of a case in the place of those before.
pub(super) fn marks(write: &Write<'_>, case: u64, marks: &[Mark]) -> Result<(), LedgerError> {
    let put = || {
        let sql = "INSERT INTO case_mark (case_number, study_instance_uid, version, listing) VALUES (?1, ?2, ?3, ?4) \
                   ON CONFLICT (case_number, study_instance_uid) \
                   DO UPDATE SET version = excluded.version, listing = excluded.listing";
        let mut statement = write.prepare_cached(sql)?;
        for mark in marks {
            let study = mark.study_instance_uid.as_str();
            statement.execute(params![
                signed(case),
                study,
                signed(mark.version),
                mark.listing()
            ])?;
        }
        Ok(())
    };
    put().map_err(error)
}

/// Keeps what was committed of a task; there can be one only.
pub(super) fn commitment(
    write: &Write<'_>,
    task: u64,
    body: &str,
    at_ms: i64,
) -> Result<(), LedgerError> {
    let kept = write
        .prepare_cached("INSERT INTO commitment (task, body, at_ms) VALUES (?1, ?2, ?3)")
        .and_then(|mut statement| statement.execute(params![signed(task), body, at_ms]));
    kept.map(|_| ()).map_err(error)
}

/// Adds a version of an opinion, with its manifest.
pub(super) fn opinion(write: &Write<'_>, new: &NewOpinion<'_>) -> Result<(), LedgerError> {
    let manifest = &new.opinion.manifest;
    if manifest.digest != Manifest::digest(new.rows) {
        return Err(broken("a manifest has another digest than was told"));
    }
    put_opinion(write, new).map_err(error)
}

fn put_opinion(write: &Write<'_>, new: &NewOpinion<'_>) -> rusqlite::Result<()> {
    let (opinion, manifest) = (new.opinion, &new.opinion.manifest);
    let sql = "INSERT INTO opinion (task, version, corrects, reason, reader, signed_ms, body, digest) \
               VALUES (:task, :version, :corrects, :reason, :reader, :signed_ms, :body, :digest)";
    write.prepare_cached(sql)?.execute(named_params! {
        ":task": signed(opinion.task),
        ":version": opinion.version,
        ":corrects": opinion.corrects.map(signed),
        ":reason": opinion.reason,
        ":reader": &*opinion.reader,
        ":signed_ms": opinion.signed_ms,
        ":body": new.body,
        ":digest": Opinion::digest(new.body),
    })?;
    let id = write.last_insert_rowid();
    write
        .prepare_cached(
            "INSERT INTO manifest (opinion, digest, instances, listing) VALUES (?1, ?2, ?3, ?4)",
        )?
        .execute(params![
            id,
            manifest.digest,
            signed(manifest.instances),
            new.rows
        ])?;
    let mut version = write.prepare_cached(
        "INSERT INTO manifest_study (opinion, study_instance_uid, version) VALUES (?1, ?2, ?3)",
    )?;
    for (study, number) in &manifest.versions {
        version.execute(params![id, study.as_str(), signed(*number)])?;
    }
    Ok(())
}
