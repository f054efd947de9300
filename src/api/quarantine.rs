//! `/api/v1/quarantine`: what was held back, for administrators. `POST …/{number}/accept` stores an instance, and what holds
//! its UID takes its place; `POST …/{number}/reject` removes it for good. Texts are patient data, which deciding needs.

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::{Value, json};

use crate::access::message::time;
use crate::access::{Action, Scope};
use crate::archive::index::Quarantined;
use crate::archive::{Outcome, Stored};
use crate::http::quarantine::{ROWS_MAX, Word, decide, parsed, tell_looked};
use crate::http::{Caller, Hall, Problem, off_thread, parameters};

/// GET: those numbered above `after`, oldest first.
pub(super) async fn list(
    request: HttpRequest,
    hall: web::Data<Hall>,
) -> Result<HttpResponse, Problem> {
    let scope = admitted(&request, &hall).await?;
    let after = after(request.query_string())?;
    let archive = hall.archive().clone();
    let held = off_thread(move || archive.quarantined(&scope, after, ROWS_MAX)).await??;
    let rows: Vec<_> = held.iter().map(brief).collect();
    Ok(answer(&json!({ "quarantine": rows })))
}

/// GET of one: with what differs from what is stored now.
pub(super) async fn show(
    request: HttpRequest,
    number: web::Path<String>,
    hall: web::Data<Hall>,
) -> Result<HttpResponse, Problem> {
    let scope = admitted(&request, &hall).await?;
    let number = parsed(&number)?;
    let archive = hall.archive().clone();
    let beside = off_thread(move || archive.quarantined_beside(&scope, number)).await??;
    tell_looked(&request, &hall, &beside).await?;
    let held = &beside.held;
    let differences = held.differences.iter().map(|difference| {
        let value = |json: &Option<Box<str>>| {
            let json = json.as_deref()?;
            serde_json::from_str::<Value>(json).ok()
        };
        json!({
            "path": difference.path,
            "stored": value(&difference.held),
            "held_back": value(&difference.newcomer),
        })
    });
    let mut told = brief(held);
    told["stored"] = match &beside.stored {
        Stored::Instance(study) => json!({ "study_instance_uid": study.as_str() }),
        Stored::Study => {
            json!({ "study_instance_uid": told["study_instance_uid"], "is_study_only": true })
        }
        Stored::Nothing => Value::Null,
    };
    told["differences"] = differences.collect();
    Ok(answer(&told))
}

/// POST `…/accept`
pub(super) async fn accept(
    request: HttpRequest,
    number: web::Path<String>,
    hall: web::Data<Hall>,
) -> Result<HttpResponse, Problem> {
    let outcome = decide(&request, &number, &hall, Word::Accept).await?;
    Ok(answer(&json!({
        "is_stored": true,
        "another_is_held_in_its_place": outcome == Some(Outcome::Replaced),
    })))
}

/// POST `…/reject`
pub(super) async fn reject(
    request: HttpRequest,
    number: web::Path<String>,
    hall: web::Data<Hall>,
) -> Result<HttpResponse, Problem> {
    decide(&request, &number, &hall, Word::Reject).await?;
    Ok(HttpResponse::NoContent().finish())
}

async fn admitted(request: &HttpRequest, hall: &web::Data<Hall>) -> Result<Scope, Problem> {
    Caller::of(request)?.admit(hall, Action::Administer).await
}

fn after(query: &str) -> Result<i64, Problem> {
    match &parameters(query)?[..] {
        [] => Ok(0),
        [(name, value)] if name == "after" => value
            .parse()
            .map_err(|_| Problem::bad_request("after is no number")),
        _ => Err(Problem::bad_request("has only after")),
    }
}

fn brief(held: &Quarantined) -> Value {
    let (instance, header) = (&held.instance, &held.instance.header);
    json!({
        "number": held.id,
        "reason": held.reason.word(),
        "received": time(instance.received_at_ms),
        "sender": instance.origin.sender,
        "study_instance_uid": header.study_instance_uid.as_str(),
        "series_instance_uid": header.series_instance_uid.as_str(),
        "sop_instance_uid": header.sop_instance_uid.as_str(),
    })
}

fn answer(body: &Value) -> HttpResponse {
    HttpResponse::Ok()
        .content_type(mime::APPLICATION_JSON)
        .insert_header((header::CACHE_CONTROL, "private, no-store"))
        .body(body.to_string())
}
