//! `/api/v1/grants`: what was given of the studies of a case, and inboxes before there is one. POST gives, and tells the link of it once; GET lists those
//! of a case; DELETE takes one back. Who asks is in charge of the case, and may give only what they see themselves.

use std::collections::BTreeMap;
use std::sync::Arc;

use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::access::inbox::{NO_CASE, Patient, Purpose};
use crate::access::{Action, Giving, Grant, GrantError, Holder, Right, To, View};
use crate::archive::Target;
use crate::cases::{self, Cases};
use crate::dicom::Uid;
use crate::http::{Caller, Hall, Problem, base_url, bounded_body, now_ms, off_thread, parameters};
use crate::inbox;

/// The longest body that is read. Bytes: a thousand studies.
const BODY_BYTES_MAX: usize = 256 * 1024;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    /// An inbox may have none yet.
    case: Option<i64>,
    /// `account`, `link`, `reader` (a link with a task of the case) or `inbox`.
    to: String,
    /// The name of the account.
    account: Option<String>,
    /// Of a link.
    pin: Option<String>,
    #[serde(default)]
    studies: Vec<Study>,
    not_before_ms: Option<i64>,
    expires_ms: i64,
    opens_max: Option<u32>,
    /// `view`, which it is without it, or `download`.
    right: Option<String>,
    #[serde(default)]
    label: String,
    /// Of an inbox: what the case that comes of it shall ask.
    question: Option<String>,
    /// What else its reader shall know.
    context: Option<String>,
    /// Whose studies are awaited.
    patient: Option<Awaited>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct Awaited {
    name: String,
    id: String,
    birth_date: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Study {
    study_instance_uid: String,
    /// `whole`, which it is without it, or `without-reports`.
    view: Option<String>,
}

/// POST: 201 with the number, and the link where there is one.
pub(super) async fn give(
    request: HttpRequest,
    payload: web::Payload,
    hall: web::Data<Hall>,
    cases: web::Data<Cases>,
) -> Result<HttpResponse, Problem> {
    let body = bounded_body(&request, hall.settings(), payload, BODY_BYTES_MAX).await?;
    let caller = Caller::of(&request)?;
    let scope = caller.admit(&hall, Action::Request).await?;
    let base = base_url(&request, hall.settings())?;
    let giving = read(&body)?;
    if matches!(giving.to, To::Inbox(_)) {
        // Whoever stores nothing has nobody else store for them.
        caller.admit(&hall, Action::Store).await?;
    }
    let who = super::cases::caller_of(&caller)?;
    let desk = Arc::clone(hall.desk());
    let archive = hall.archive().clone();
    if matches!(giving.to, To::Reader { .. }) {
        let shared = off_thread(move || {
            let number = u64::try_from(giving.case).map_err(|_| cases::Error::NotFound)?;
            let (case, secret) = cases.share(number, &desk, giving, &who)?;
            let grant = desk.ledger().grant_by_digest(&secret.digest())?;
            let grant = grant.ok_or(cases::Error::NotFound)?;
            Ok::<_, cases::Error>((case, secret, grant.id))
        });
        let (case, secret, id) = shared.await??;
        let link = format!("{base}/l/{}", secret.text());
        let told = json!({"id": id, "case": case.number, "link": link});
        return Ok(made(&base, id, &told));
    }
    let given = off_thread(move || {
        if giving.case != NO_CASE {
            in_charge(&cases, giving.case, &who)?;
        }
        for (study, view) in &giving.studies {
            let is_theirs = scope.view(study).is_some_and(|own| own >= *view);
            let target = Target::Study(study.clone());
            if !is_theirs || archive.version(&target, &scope)?.is_none() {
                return Err(Problem::new(
                    StatusCode::NOT_FOUND,
                    "there is no such study",
                ));
            }
        }
        Ok(desk.give(giving, &caller.actor(), now_ms())?)
    });
    let given = given.await??;
    let link = given.secret.as_ref();
    let link = link.map(|secret| format!("{base}/l/{}", secret.text()));
    let told = json!({"id": given.id, "link": link});
    Ok(made(&base, given.id, &told))
}

fn made(base: &str, id: i64, told: &Value) -> HttpResponse {
    HttpResponse::Created()
        .content_type(mime::APPLICATION_JSON)
        .insert_header((header::CACHE_CONTROL, "private, no-store"))
        .insert_header((header::LOCATION, format!("{base}/api/v1/grants/{id}")))
        .body(told.to_string())
}

/// Lets through who is in charge of a case.
///
/// # Errors
/// 404 also when the case is of others, 403 for who only reads it.
fn in_charge(cases: &Cases, case: i64, who: &cases::Caller) -> Result<(), Problem> {
    let number = u64::try_from(case).map_err(|_| Problem::not_found())?;
    Ok(cases.may_share(number, who)?)
}

/// GET `?case=`: those of a case that name nothing beyond what who asks sees.
pub(super) async fn list(
    request: HttpRequest,
    hall: web::Data<Hall>,
    cases: web::Data<Cases>,
) -> Result<HttpResponse, Problem> {
    let caller = Caller::of(&request)?;
    let scope = caller.admit(&hall, Action::Request).await?;
    let asked = parameters(request.query_string())?;
    let case = asked.iter().find(|(name, _)| name == "case");
    let case = case.and_then(|(_, text)| text.parse().ok());
    let case: i64 = case.ok_or_else(|| Problem::bad_request("case is the number of a case"))?;
    let who = super::cases::caller_of(&caller)?;
    let number = u64::try_from(case).map_err(|_| Problem::not_found())?;
    let grants = off_thread(move || cases.given(number, &scope, &who)).await??;
    let grants = grants.iter();
    let grants: Vec<_> = grants.map(|grant| told(grant, now_ms())).collect();
    Ok(HttpResponse::Ok()
        .content_type(mime::APPLICATION_JSON)
        .insert_header((header::CACHE_CONTROL, "private, no-store"))
        .body(json!({"grants": grants}).to_string()))
}

/// DELETE `/{id}`: 204; from the next request on nothing is opened by it.
pub(super) async fn take_back(
    request: HttpRequest,
    id: web::Path<i64>,
    hall: web::Data<Hall>,
    cases: web::Data<Cases>,
) -> Result<HttpResponse, Problem> {
    let caller = Caller::of(&request)?;
    let scope = caller.admit(&hall, Action::Request).await?;
    let who = super::cases::caller_of(&caller)?;
    let (desk, id) = (Arc::clone(hall.desk()), id.into_inner());
    off_thread(move || {
        let grant = desk.ledger().grant(id)?.ok_or_else(Problem::not_found)?;
        if grant.case != NO_CASE {
            return Ok(cases.take_back(id, None, &scope, &who)?);
        }
        let inbox = inbox::one(desk.ledger(), id, &who)?;
        inbox
            .filter(|_| grant.is_within(&scope))
            .ok_or_else(Problem::not_found)?;
        Ok::<_, Problem>(desk.take_back(&grant, &caller.actor(), now_ms())?)
    })
    .await??;
    Ok(HttpResponse::NoContent().finish())
}

fn read(body: &[u8]) -> Result<Giving, Problem> {
    let wanted = "the body must be {\"case\": …, \"to\": \"account\", \"link\", \"reader\" or \"inbox\", \"studies\": […], \"expires_ms\": …}";
    let asked: Body = serde_json::from_slice(body).map_err(|_| Problem::bad_request(wanted))?;
    let case = match (asked.case, asked.to.as_str()) {
        (Some(case), _) if case > 0 => case,
        (None, "inbox") => NO_CASE,
        (Some(_), _) => return Err(Problem::bad_request("a case has a number from 1")),
        (None, _) => return Err(Problem::bad_request("only an inbox is without a case")),
    };
    let has_purpose =
        asked.question.is_some() || asked.context.is_some() || asked.patient.is_some();
    if has_purpose && asked.to != "inbox" {
        let text = "only an inbox has a question, a context or a patient";
        return Err(Problem::bad_request(text));
    }
    let patient = asked.patient.unwrap_or_default();
    let patient = Patient::new(&patient.name, &patient.id, &patient.birth_date);
    let purpose = Purpose {
        question: asked.question.unwrap_or_default(),
        context: asked.context.unwrap_or_default(),
        patient: patient.map_err(Problem::bad_request)?,
    };
    let to = match (asked.to.as_str(), asked.account, asked.pin) {
        ("account", Some(name), None) => To::Account(name),
        ("link", None, pin) => To::Link { pin },
        ("reader", None, pin) => To::Reader { pin },
        ("inbox", None, None) => To::Inbox(purpose),
        _ => {
            return Err(Problem::bad_request(
                "to is \"account\" with \"account\", \"link\" or \"reader\" with or without \"pin\", or \"inbox\"",
            ));
        }
    };
    let mut studies = BTreeMap::new();
    for study in asked.studies {
        let uid = Uid::parse(&study.study_instance_uid)
            .map_err(|_| Problem::bad_request("a study_instance_uid is no UID"))?;
        let view = match study.view.as_deref() {
            None | Some("whole") => View::Whole,
            Some("without-reports") => View::WithoutReports,
            Some(_) => {
                return Err(Problem::bad_request(
                    "view is \"whole\" or \"without-reports\"",
                ));
            }
        };
        studies.insert(uid, view);
    }
    if matches!(to, To::Inbox(_)) && !studies.is_empty() {
        let text = "an inbox begins empty: what comes by it is its own";
        return Err(Problem::bad_request(text));
    }
    let right = Right::of_word(asked.right.as_deref().unwrap_or("view"));
    Ok(Giving {
        case,
        to,
        studies,
        not_before_ms: asked.not_before_ms.unwrap_or_else(now_ms),
        expires_ms: asked.expires_ms,
        opens_max: asked.opens_max,
        right: right.ok_or_else(|| Problem::bad_request("right is \"view\" or \"download\""))?,
        label: asked.label,
    })
}

fn told(grant: &Grant, now_ms: i64) -> Value {
    let (account, has_pin) = match &grant.holder {
        Holder::Account(name) => (Some(name.as_str()), false),
        Holder::Link { pin, .. } => (None, pin.is_some()),
        Holder::Inbox { .. } => (None, false),
    };
    let study = |(uid, view): (&Uid, &View)| {
        let view = match view {
            View::Whole => "whole",
            View::WithoutReports => "without-reports",
        };
        json!({"study_instance_uid": uid.as_str(), "view": view})
    };
    json!({
        "id": grant.id,
        "case": (grant.case != NO_CASE).then_some(grant.case),
        "to": grant.holder.word(),
        "account": account,
        "has_pin": has_pin,
        "studies": grant.studies.iter().map(study).collect::<Vec<_>>(),
        "not_before_ms": grant.not_before_ms,
        "expires_ms": grant.expires_ms,
        "opens_max": grant.opens_max,
        "opens": grant.opens,
        "opened_ms": grant.opened_ms,
        "wrong_pins": grant.pin_failures,
        "right": grant.right.word(),
        "label": grant.label,
        "issued_ms": grant.issued_ms,
        "revoked_ms": grant.revoked_ms,
        "is_good": grant.is_live(now_ms),
    })
}

impl From<GrantError> for Problem {
    fn from(error: GrantError) -> Self {
        match error {
            GrantError::Invalid(text) => Self::bad_request(text),
            GrantError::Open => Self::new(StatusCode::CONFLICT, error.to_string()),
            GrantError::Access(error) => error.into(),
            GrantError::NoRandomness(cause) => {
                crate::archive::Error::broken("giving a study", cause).into()
            }
        }
    }
}
