//! `/api/v1/users`: the accounts, for administrators. GET lists them by name, POST makes one; below, PATCH of one changes
//! what its owner is, where they are told what is asked of them, and whether they are let in; PUT `…/passcode` gives it
//! another. What changes counts from the next request on; somebody who is let in stays an administrator (409).

use std::sync::Arc;

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

use super::body;
use super::failure::Failure;
use crate::access::account::{Account, AccountChange, AccountName};
use crate::access::message::time;
use crate::access::{Email, Roles};
use crate::http::administration::{administrator, deciding, register};
use crate::http::{Hall, Problem, base_url, off_thread, parameters};

/// Accounts that a list holds at most.
const LIST_MAX: usize = 500;
/// The longest body. Bytes.
const BODY_BYTES_MAX: usize = 8 * 1024;

/// GET `?part=&after=`: by name, those whose names hold `part`.
pub(super) async fn list(
    request: HttpRequest,
    hall: web::Data<Hall>,
) -> Result<HttpResponse, Failure> {
    administrator(&request, &hall).await?;
    let (mut part, mut after) = (String::new(), String::new());
    for (name, value) in parameters(request.query_string())? {
        match name.as_str() {
            "part" => part = value.to_ascii_lowercase(),
            "after" => after = value.to_ascii_lowercase(),
            _ => return Err(Problem::bad_request("has only part and after").into()),
        }
    }
    let desk = Arc::clone(hall.desk());
    let found = off_thread(move || desk.ledger().accounts(&part, &after, LIST_MAX)).await?;
    let found = found.map_err(Problem::from)?;
    let next = match found.len() == LIST_MAX {
        true => found.last().map(|last| last.name.as_str()),
        false => None,
    };
    let users: Vec<_> = found.iter().map(told).collect();
    Ok(answer(&json!({"users": users, "after": next})))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct New {
    name: String,
    passcode: String,
    roles: Vec<String>,
    email: Option<String>,
}

/// POST: 201 with the account.
pub(super) async fn make(
    request: HttpRequest,
    payload: web::Payload,
    hall: web::Data<Hall>,
) -> Result<HttpResponse, Failure> {
    deciding(&request, &hall).await?;
    let new: New = body::json(&request, &hall, payload, BODY_BYTES_MAX).await?;
    let name =
        AccountName::parse(&new.name).map_err(|error| Problem::bad_request(error.to_string()))?;
    let (roles, email) = (roles_of(&new.roles)?, email_of(new.email.as_deref())?);
    let made = name.clone();
    register(&request, &hall, move |register| {
        register.add(made, roles, email, &new.passcode)
    })
    .await?;
    let base = base_url(&request, hall.settings())?;
    let account = one(&hall, &name).await?;
    Ok(HttpResponse::Created()
        .content_type(mime::APPLICATION_JSON)
        .insert_header((header::CACHE_CONTROL, "private, no-store"))
        .insert_header((header::LOCATION, format!("{base}/api/v1/users/{name}")))
        .body(told(&account).to_string()))
}

/// GET `/{name}`
pub(super) async fn show(
    request: HttpRequest,
    name: web::Path<String>,
    hall: web::Data<Hall>,
) -> Result<HttpResponse, Failure> {
    administrator(&request, &hall).await?;
    let account = one(&hall, &named(&name)?).await?;
    Ok(answer(&told(&account)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Change {
    roles: Option<Vec<String>>,
    /// `null` takes the address away.
    #[serde(default, deserialize_with = "said")]
    email: Option<Option<String>>,
    enabled: Option<bool>,
}

/// What was said, if only `null`.
fn said<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(from).map(Some)
}

/// PATCH `/{name}`: 200 with the account as it is now.
pub(super) async fn change(
    request: HttpRequest,
    name: web::Path<String>,
    payload: web::Payload,
    hall: web::Data<Hall>,
) -> Result<HttpResponse, Failure> {
    deciding(&request, &hall).await?;
    let asked: Change = body::json(&request, &hall, payload, BODY_BYTES_MAX).await?;
    let name = named(&name)?;
    let change = AccountChange {
        roles: asked.roles.as_deref().map(roles_of).transpose()?,
        email: match asked.email {
            Some(email) => Some(email_of(email.as_deref())?),
            None => None,
        },
        is_enabled: asked.enabled,
    };
    let of = name.clone();
    register(&request, &hall, move |register| {
        register.change(&of, &change)
    })
    .await?;
    let account = one(&hall, &name).await?;
    Ok(answer(&told(&account)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Passcode {
    passcode: String,
}

/// PUT `/{name}/passcode`: 204; the sessions of the account have ended.
pub(super) async fn set_passcode(
    request: HttpRequest,
    name: web::Path<String>,
    payload: web::Payload,
    hall: web::Data<Hall>,
) -> Result<HttpResponse, Failure> {
    deciding(&request, &hall).await?;
    let Passcode { passcode } = body::json(&request, &hall, payload, BODY_BYTES_MAX).await?;
    let name = named(&name)?;
    register(&request, &hall, move |register| {
        register.set_passcode(&name, &passcode)
    })
    .await?;
    Ok(HttpResponse::NoContent().finish())
}

/// The account of a path.
///
/// # Errors
/// 404 when no account can be called so.
fn named(name: &str) -> Result<AccountName, Problem> {
    AccountName::parse(name).map_err(|_| Problem::not_found())
}

async fn one(hall: &web::Data<Hall>, name: &AccountName) -> Result<Account, Problem> {
    let (desk, name) = (Arc::clone(hall.desk()), name.clone());
    let found = off_thread(move || desk.ledger().account(name.as_str())).await??;
    found.ok_or_else(Problem::not_found)
}

/// The roles of a body.
///
/// # Errors
/// 400 when a word is none.
pub(super) fn roles_of(words: &[String]) -> Result<Roles, Problem> {
    Roles::parse(&words.join(" ")).map_err(|error| Problem::bad_request(error.to_string()))
}

fn email_of(text: Option<&str>) -> Result<Option<Email>, Problem> {
    let wrong = |error| Problem::bad_request(format!("email {error}"));
    text.map(Email::parse).transpose().map_err(wrong)
}

fn told(account: &Account) -> Value {
    json!({
        "name": account.name,
        "roles": account.roles.words().collect::<Vec<_>>(),
        "email": account.email.as_ref().map(Email::as_str),
        "enabled": account.is_enabled,
        "created": time(account.created_ms),
    })
}

fn answer(told: &Value) -> HttpResponse {
    HttpResponse::Ok()
        .content_type(mime::APPLICATION_JSON)
        .insert_header((header::CACHE_CONTROL, "private, no-store"))
        .body(told.to_string())
}
