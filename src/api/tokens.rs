//! `/api/v1/tokens`: API tokens, for administrators. POST issues one and tells its text, this once; GET lists them, those
//! that are good for nothing any more too; DELETE revokes one.

use std::sync::Arc;

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;
use serde_json::{Value, json};

use super::body;
use super::failure::Failure;
use super::users::roles_of;
use crate::access::account::{AccountName, Issuer, TOKEN_DAYS, Token};
use crate::access::message::time;
use crate::access::register::Issuing;
use crate::dicom::Uid;
use crate::http::administration::{administrator, deciding, register};
use crate::http::{Hall, Problem, base_url, now_ms, off_thread, parameters};

/// Tokens that a list holds at most.
const LIST_MAX: usize = 500;
/// The longest body. Bytes: a thousand studies.
const BODY_BYTES_MAX: usize = 128 * 1024;

/// GET `?account=&before=`: the latest first.
pub(super) async fn list(
    request: HttpRequest,
    hall: web::Data<Hall>,
) -> Result<HttpResponse, Failure> {
    administrator(&request, &hall).await?;
    let (mut account, mut before) = (None, None);
    for (name, value) in parameters(request.query_string())? {
        match name.as_str() {
            "account" => account = Some(value.to_ascii_lowercase()),
            "before" => {
                let number = value.parse::<i64>();
                let wrong = |_| Problem::bad_request("before is the number of a token");
                before = Some(number.map_err(wrong)?);
            }
            _ => return Err(Problem::bad_request("has only account and before").into()),
        }
    }
    let desk = Arc::clone(hall.desk());
    let found = off_thread(move || desk.ledger().tokens(account.as_deref(), before, LIST_MAX));
    let found = found.await?.map_err(Problem::from)?;
    let next = match found.len() == LIST_MAX {
        true => found.last().map(|last| last.id),
        false => None,
    };
    let now_ms = now_ms();
    let tokens: Vec<_> = found.iter().map(|token| told(token, now_ms)).collect();
    Ok(HttpResponse::Ok()
        .content_type(mime::APPLICATION_JSON)
        .insert_header((header::CACHE_CONTROL, "private, no-store"))
        .body(json!({"tokens": tokens, "before": next}).to_string()))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct New {
    account: String,
    /// Of those of the account: all of them without it.
    roles: Option<Vec<String>>,
    /// The only ones that it is good for.
    studies: Option<Vec<String>>,
    #[serde(default)]
    label: String,
    days: Option<i64>,
}

/// POST: 201 with the token.
pub(super) async fn issue(
    request: HttpRequest,
    payload: web::Payload,
    hall: web::Data<Hall>,
) -> Result<HttpResponse, Failure> {
    deciding(&request, &hall).await?;
    let new: New = body::json(&request, &hall, payload, BODY_BYTES_MAX).await?;
    let wrong = |_| Problem::bad_request("studies are Study Instance UIDs");
    if new.studies.as_ref().is_some_and(Vec::is_empty) {
        return Err(Problem::bad_request("studies are some, or left out for all of them").into());
    }
    let studies = new.studies.iter().flatten().map(|text| Uid::parse(text));
    let asked = Issuing {
        account: AccountName::parse(&new.account)
            .map_err(|error| Problem::bad_request(error.to_string()))?,
        roles: new.roles.as_deref().map(roles_of).transpose()?,
        studies: studies.collect::<Result<_, _>>().map_err(wrong)?,
        label: new.label,
        days: new.days.unwrap_or(TOKEN_DAYS),
    };
    let issued = register(&request, &hall, move |register| register.issue(asked)).await?;
    let base = base_url(&request, hall.settings())?;
    let told = json!({
        "id": issued.id,
        "token": issued.secret.token(),
        "expires": time(issued.expires_ms),
    });
    Ok(HttpResponse::Created()
        .content_type(mime::APPLICATION_JSON)
        .insert_header((header::CACHE_CONTROL, "private, no-store"))
        .insert_header((
            header::LOCATION,
            format!("{base}/api/v1/tokens/{}", issued.id),
        ))
        .body(told.to_string()))
}

/// DELETE `/{id}`: 204; it opens nothing from now on. With `?issued=true` neither does what it issued: 200, with their numbers.
pub(super) async fn revoke(
    request: HttpRequest,
    id: web::Path<String>,
    hall: web::Data<Hall>,
) -> Result<HttpResponse, Failure> {
    let id: i64 = id.parse().map_err(|_| Problem::not_found())?;
    let mut with_issued = false;
    for (name, value) in parameters(request.query_string())? {
        with_issued = match (&*name, &*value) {
            ("issued", "true") => true,
            ("issued", "false") => false,
            _ => return Err(Problem::bad_request("has only issued, true or false").into()),
        };
    }
    if !with_issued {
        register(&request, &hall, move |register| register.revoke(id)).await?;
        return Ok(HttpResponse::NoContent().finish());
    }
    let revoked = register(&request, &hall, move |register| {
        register.revoke_with_issued(id)
    });
    let revoked = revoked.await?;
    Ok(HttpResponse::Ok()
        .content_type(mime::APPLICATION_JSON)
        .insert_header((header::CACHE_CONTROL, "private, no-store"))
        .body(json!({"revoked": revoked}).to_string()))
}

fn told(token: &Token, now_ms: i64) -> Value {
    let studies = token.studies.as_ref();
    let studies = studies.map(|studies| studies.iter().map(Uid::as_str).collect::<Vec<_>>());
    json!({
        "id": token.id,
        "account": token.account.name,
        "label": token.label,
        "roles": token.roles.words().collect::<Vec<_>>(),
        "studies": studies,
        "state": token.state(now_ms).words(),
        "issued": time(token.issued_ms),
        "expires": time(token.expires_ms),
        "issued_by": token.issuer.as_ref().map(issuer),
    })
}

fn issuer(issuer: &Issuer) -> Value {
    json!({"who": issuer.who, "token": issuer.token})
}
