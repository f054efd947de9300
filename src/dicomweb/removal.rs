//! Removal of what a path names: DELETE, and POST `…/reject/{code}` as viewers ask for it. Both are
//! extensions, and both remove for good. What was removed answers 410 from then on ([`missing`]),
//! until it is stored again (PS3.18 Table 8.5-1).

use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, ResponseError};

use super::call::Call;
use crate::access::audit::{ActionCode, Event};
use crate::archive::{Removal, Target};
use crate::http::removal::{check, remove_and_tell};
use crate::http::{Problem, off_thread};

/// The rejection codes (PS3.16 CID 7011) that viewers send, with the reason that goes to the log.
const REJECTIONS: &[(&str, &str)] = &[
    ("113001^DCM", "rejected for quality reasons (113001, DCM)"),
    ("113037^DCM", "rejected for patient safety (113037, DCM)"),
    ("113038^DCM", "incorrect worklist entry (113038, DCM)"),
    ("113039^DCM", "retention period expired (113039, DCM)"),
];

/// Answers DELETE of a study, series or instance: 204.
pub(super) async fn remove(call: &Call) -> Result<HttpResponse, Problem> {
    take_out(call, "DELETE").await
}

/// Answers POST `…/reject/{code}`: 204. Here too it is removed, no note is kept in its place.
pub(super) async fn reject(call: &Call) -> Result<HttpResponse, Problem> {
    let code = call.path_piece("code");
    let Some((_, reason)) = REJECTIONS.iter().find(|(known, _)| *known == code) else {
        return Err(Problem::bad_request(
            "the rejection code must be 113001^DCM, 113037^DCM, 113038^DCM or 113039^DCM",
        ));
    };
    take_out(call, reason).await
}

async fn take_out(call: &Call, reason: &'static str) -> Result<HttpResponse, Problem> {
    check(call.headers(), call.hall().settings(), &call.base)?;
    let target = call.target()?;
    let (Target::Study(study) | Target::Series(study, _) | Target::Instance(study, ..)) = &target;
    let record = call
        .caller()
        .record(Event::StudyDeleted, ActionCode::Delete)
        .about(study)
        .on(object(&target))
        .saying(reason);
    let removal = Removal {
        target,
        reason,
        sender: call.caller().name().into(),
        peer: call.peer().into(),
    };
    let (archive, scope, desk) = (call.archive(), call.scope(), Arc::clone(call.hall().desk()));
    off_thread(move || remove_and_tell(&archive, removal, &scope, &desk, record)).await??;
    Ok(HttpResponse::NoContent().finish())
}

/// What is removed, where it is not all of a study.
fn object(target: &Target) -> String {
    match target {
        Target::Study(_) => String::new(),
        Target::Series(_, series) => format!("series {series}"),
        Target::Instance(_, _, instance) => format!("instance {instance}"),
    }
}

/// The same problem, but 410 for a 404 about something that was removed. Every answer of the table
/// of routes passes here, so that no handler has to ask.
pub(super) async fn missing(call: &Call, problem: Problem) -> Problem {
    match call.target() {
        Ok(target) => missing_of(call, target, problem).await,
        Err(_) => problem,
    }
}

/// The same for a target that stands elsewhere than in the path.
pub(super) async fn missing_of(call: &Call, target: Target, problem: Problem) -> Problem {
    if problem.status_code() != StatusCode::NOT_FOUND {
        return problem;
    }
    let (archive, scope) = (call.archive(), call.scope());
    match off_thread(move || archive.removed_at(&target, &scope)).await {
        Ok(Ok(None)) => problem,
        Ok(Ok(Some(_))) => Problem::new(StatusCode::GONE, "it was here and has been removed"),
        Ok(Err(error)) => error.into(),
        Err(panicked) => panicked,
    }
}
