//! `/api/v1/inboxes`: those that somebody made, what came by one, and the case that was opened of it; `/api/v1/inbox`: what
//! its holder has sent so far. An inbox is made by POST to `/api/v1/grants` and closed by DELETE there.

use std::sync::Arc;

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;
use serde_json::{Value, json};

use super::body;
use super::failure::Failure;
use crate::access::{Action, Desk, Inbox, Principal};
use crate::cases::Cases;
use crate::http::inboxes::look_into;
use crate::http::{Caller, Hall, Problem, base_url, is_foreign, now_ms, off_thread, parameters};
use crate::inbox::{self, Arrived, Came};

/// Inboxes that a list holds at most.
const LIST_MAX: usize = 100;
/// The longest body. Bytes.
const BODY_BYTES_MAX: usize = 1024;

/// GET `?before=`: the newest first.
pub(super) async fn list(
    request: HttpRequest,
    hall: web::Data<Hall>,
) -> Result<HttpResponse, Problem> {
    let caller = Caller::of(&request)?;
    caller.admit(&hall, Action::Request).await?;
    let who = super::cases::caller_of(&caller)?;
    let asked = parameters(request.query_string())?;
    let before = asked.iter().find(|(name, _)| name == "before");
    let before = before.map(|(_, text)| text.parse::<i64>());
    let before = before.transpose();
    let before = before.map_err(|_| Problem::bad_request("before is the number of an inbox"))?;
    let desk = Arc::clone(hall.desk());
    let found = off_thread(move || inbox::list(desk.ledger(), &who, before, LIST_MAX)).await??;
    let now_ms = now_ms();
    let desk = hall.desk();
    let told: Vec<_> = found
        .iter()
        .map(|inbox| told_of(inbox, desk, now_ms))
        .collect();
    Ok(answer(&json!({"inboxes": told})))
}

/// GET `/{id}`: with what came by it.
pub(super) async fn show(
    request: HttpRequest,
    id: web::Path<i64>,
    hall: web::Data<Hall>,
) -> Result<HttpResponse, Problem> {
    let caller = Caller::of(&request)?;
    caller.admit(&hall, Action::Request).await?;
    let who = super::cases::caller_of(&caller)?;
    let (inbox, came) = look_into(&hall, &caller, who, id.into_inner()).await?;
    let mut one = told_of(&inbox, hall.desk(), now_ms());
    let studies = came.studies.iter().map(|came| {
        let mut told = told_of_study(came);
        told["patient_name"] = came.study.patient_name.as_str().into();
        told["patient_id"] = came.study.patient_id.as_str().into();
        told
    });
    one["arrived"] = studies.collect();
    one["not_looked_at"] = not_looked_at(&came);
    Ok(answer(&one))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Tied {
    case: u64,
}

/// PUT `/{id}/case` `{"case": …}`: says which case, of one of the studies that came, was opened of it.
pub(super) async fn tie(
    request: HttpRequest,
    id: web::Path<i64>,
    payload: web::Payload,
    hall: web::Data<Hall>,
    cases: web::Data<Cases>,
) -> Result<HttpResponse, Failure> {
    let caller = Caller::of(&request)?;
    caller.admit(&hall, Action::Request).await?;
    let who = super::cases::caller_of(&caller)?;
    let Tied { case } = body::json(&request, &hall, payload, BODY_BYTES_MAX).await?;
    let desk = Arc::clone(hall.desk());
    off_thread(move || {
        let id = id.into_inner();
        let found = inbox::one(desk.ledger(), id, &who)?;
        let found = found.ok_or_else(Problem::not_found)?;
        cases.may_share(case, &who)?;
        let look = cases.show(case, &who)?;
        let is_of_it = look
            .case
            .request
            .studies()
            .any(|study| found.grant.studies.contains_key(study));
        if !is_of_it {
            return Err(Problem::bad_request(
                "the case is about no study that came by this inbox",
            ));
        }
        let number = i64::try_from(case).map_err(|_| Problem::not_found())?;
        Ok(desk.tie(&found, number, &caller.actor(), now_ms())?)
    })
    .await??;
    Ok(HttpResponse::NoContent().finish())
}

/// GET `/api/v1/inbox`: for whoever holds the link.
pub(super) async fn own(
    request: HttpRequest,
    hall: web::Data<Hall>,
) -> Result<HttpResponse, Problem> {
    let id = held(&request, &hall).await?;
    let (desk, archive) = (Arc::clone(hall.desk()), hall.archive().clone());
    let found = off_thread(move || {
        let inbox = desk.ledger().inbox(id)?.ok_or_else(Problem::not_found)?;
        let came = inbox::arrived(&archive, &inbox)?;
        Ok::<_, Problem>((inbox, came))
    });
    let (inbox, came) = found.await??;
    Ok(answer(&json!({
        "label": inbox.grant.label,
        "expires_ms": inbox.grant.expires_ms,
        "finished_ms": inbox.finished_ms,
        "bytes": hall.desk().brought(inbox.grant.id, inbox.bytes),
        "bytes_max": hall.desk().settings().inbox_bytes_max,
        "is_patient_known": !inbox.purpose.patient.name().is_empty(),
        "arrived": came.studies.iter().map(told_of_study).collect::<Vec<_>>(),
        "not_looked_at": not_looked_at(&came),
    })))
}

/// POST `/api/v1/inbox/finished`: everything has been sent.
pub(super) async fn finish(
    request: HttpRequest,
    hall: web::Data<Hall>,
) -> Result<HttpResponse, Problem> {
    let id = held(&request, &hall).await?;
    let caller = Caller::of(&request)?;
    let desk = Arc::clone(hall.desk());
    let base = base_url(&request, hall.settings())?;
    if is_foreign(request.headers(), hall.settings(), &base) {
        return Err(Problem::new(
            actix_web::http::StatusCode::FORBIDDEN,
            "pages of other sites say nothing here",
        ));
    }
    off_thread(move || desk.finish(id, &caller.actor(), now_ms())).await??;
    Ok(HttpResponse::NoContent().finish())
}

/// The inbox by whose link somebody came.
async fn held(request: &HttpRequest, hall: &web::Data<Hall>) -> Result<i64, Problem> {
    let caller = Caller::of(request)?;
    caller.admit(hall, Action::Store).await?;
    let inbox = caller.principal().and_then(Principal::inbox);
    inbox.ok_or_else(Problem::not_found)
}

fn answer(told: &Value) -> HttpResponse {
    HttpResponse::Ok()
        .content_type(mime::APPLICATION_JSON)
        .insert_header((header::CACHE_CONTROL, "private, no-store"))
        .body(told.to_string())
}

fn told_of(inbox: &Inbox, desk: &Desk, now_ms: i64) -> Value {
    let (grant, purpose) = (&inbox.grant, &inbox.purpose);
    let patient = &purpose.patient;
    json!({
        "id": grant.id,
        "case": inbox.case(),
        "made_by": inbox.maker,
        "label": grant.label,
        "question": purpose.question,
        "context": purpose.context,
        "patient": {"name": patient.name(), "id": patient.id(), "birth_date": patient.birth_date()},
        "issued_ms": grant.issued_ms,
        "expires_ms": grant.expires_ms,
        "revoked_ms": grant.revoked_ms,
        "is_good": grant.is_live(now_ms),
        "opens": grant.opens,
        "finished_ms": inbox.finished_ms,
        "bytes": desk.brought(grant.id, inbox.bytes),
        "bytes_max": desk.settings().inbox_bytes_max,
        "studies": grant.studies.keys().map(|study| study.as_str()).collect::<Vec<_>>(),
    })
}

fn not_looked_at(came: &Came) -> Value {
    let studies = came.not_looked_at.iter();
    studies.map(|study| Value::from(study.as_str())).collect()
}

fn told_of_study(came: &Arrived) -> Value {
    let series = came.series.iter().map(|series| {
        let missing = series.missing.iter().map(|found| {
            json!({"kind": found.kind.word(), "count": found.count, "sentence": found.kind.sentence()})
        });
        json!({
            "modality": series.modality,
            "number": series.number,
            "description": series.description,
            "instances": series.instances,
            "images": series.images,
            "missing": missing.collect::<Vec<_>>(),
        })
    });
    json!({
        "study_instance_uid": came.study.study_instance_uid.as_str(),
        "study_date": came.study.study_date,
        "study_description": came.study.study_description,
        "modalities": came.modalities(),
        "instances": came.instances,
        "papers": came.papers,
        "last_received_ms": came.last_ms,
        "looks_complete": came.looks_complete(),
        "series": series.collect::<Vec<_>>(),
    })
}
