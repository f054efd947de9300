//! `/api/v1/health`: how the archive is, for administrators: what their first page tells, with codes for programs.

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::{Value, json};

use crate::access::message::time;
use crate::archive::index::Totals;
use crate::archive::queue::{DestinationState, StudyForward};
use crate::cases::Cases;
use crate::http::administration::administrator;
use crate::http::condition::{Condition, Finding};
use crate::http::{Hall, Problem};

/// GET: 200, whether or not all is well.
pub(super) async fn show(
    request: HttpRequest,
    hall: web::Data<Hall>,
    cases: web::Data<Cases>,
) -> Result<HttpResponse, Problem> {
    let caller = administrator(&request, &hall).await?;
    let condition = Condition::look(&hall, &cases, &caller).await?;
    let findings: Vec<_> = condition.findings.iter().map(told).collect();
    let forwarding = condition.forwarding.as_ref();
    let forwarding = forwarding.map(|(destinations, waiting)| {
        json!({
            "destinations": destinations.iter().map(destination).collect::<Vec<_>>(),
            "waiting": waiting.iter().map(study).collect::<Vec<_>>(),
        })
    });
    let body = json!({
        "state": word(condition.is_well()),
        "at": time(condition.at_ms),
        "findings": findings,
        "stored": condition.totals.as_ref().map(stored),
        "forwarding": forwarding,
    });
    Ok(HttpResponse::Ok()
        .content_type(mime::APPLICATION_JSON)
        .insert_header((header::CACHE_CONTROL, "private, no-store"))
        .body(body.to_string()))
}

fn word(is_well: bool) -> &'static str {
    match is_well {
        true => "well",
        false => "look",
    }
}

fn told(finding: &Finding) -> Value {
    let said = finding
        .said
        .iter()
        .map(|said| json!({ "code": said.code, "sentence": said.sentence() }));
    json!({
        "what": finding.what.code(),
        "state": word(finding.is_well),
        "said": said.collect::<Vec<_>>(),
    })
}

fn stored(totals: &Totals) -> Value {
    json!({
        "patients": totals.patients,
        "studies": totals.studies,
        "series": totals.series,
        "instances": totals.instances,
        "bytes": totals.blob_bytes,
        "held_back": totals.quarantined,
    })
}

fn destination(state: &DestinationState) -> Value {
    let pause = state.pause.as_ref();
    json!({
        "name": state.destination,
        "unstable": state.unstable,
        "due": state.due,
        "failed": state.failed,
        "sent": state.sent,
        "pause": pause.map(|pause| json!({ "until": time(pause.until_ms), "reason": pause.reason })),
    })
}

fn study(study: &StudyForward) -> Value {
    json!({
        "study_instance_uid": study.study_instance_uid.as_str(),
        "destination": study.destination,
        "waiting": study.waiting,
        "failed": study.failed,
        "sent": study.sent,
        "reason": study.reason,
    })
}
