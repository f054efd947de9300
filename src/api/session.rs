//! `/api/v1/session`: POST `{"name", "passcode"}` signs in and sets the cookie of the session; GET tells who asks, by
//! whatever they are known; DELETE signs out. PUT `…/passcode` gives who has signed in another passcode.

use std::sync::Arc;

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;
use serde_json::json;

use crate::access::{Action, Means, Principal, network, policy};
use crate::http::{
    Caller, Hall, Problem, base_url, bounded_body, is_of_our_pages, now_ms, off_thread,
    session_cookie, unauthorized,
};

/// The longest body that is read. Bytes.
const BODY_BYTES_MAX: usize = 8 * 1024;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SignIn {
    name: String,
    passcode: String,
}

/// GET: 200, or 401 when nobody has signed in.
pub(super) async fn show(request: HttpRequest) -> Result<HttpResponse, Problem> {
    let caller = Caller::of(&request)?;
    let principal = caller.principal();
    let principal = principal.ok_or_else(|| unauthorized(request.headers(), "sign in first"))?;
    Ok(answer(principal, caller.csrf_token()))
}

/// POST: 200 with the cookie.
pub(super) async fn begin(
    request: HttpRequest,
    payload: web::Payload,
    hall: web::Data<Hall>,
) -> Result<HttpResponse, Problem> {
    let body = bounded_body(&request, hall.settings(), payload, BODY_BYTES_MAX).await?;
    let base = base_url(&request, hall.settings())?;
    if !is_of_our_pages(request.headers(), &base) {
        let text = "pages of other sites may not sign anybody in";
        return Err(Problem::new(actix_web::http::StatusCode::FORBIDDEN, text));
    }
    let wanted = "the body must be {\"name\": …, \"passcode\": …}";
    let asked: SignIn = serde_json::from_slice(&body).map_err(|_| Problem::bad_request(wanted))?;
    let desk = Arc::clone(hall.desk());
    let address = Caller::perhaps(&request).map(|caller| caller.address().to_owned());
    let address = address.unwrap_or_default();
    let entered = off_thread(move || {
        let network = network(&address);
        let by = (&*asked.name, &*asked.passcode);
        desk.sign_in(by, (&*address, &*network), now_ms())
    });
    let entered = entered.await??;
    let cookie = session_cookie(&request, hall.settings(), Some(&entered.secret))?;
    let mut response = answer(&entered.principal, Some(entered.secret.form_token()));
    response.headers_mut().insert(header::SET_COOKIE, cookie);
    Ok(response)
}

/// DELETE: 204.
pub(super) async fn end(
    request: HttpRequest,
    hall: web::Data<Hall>,
) -> Result<HttpResponse, Problem> {
    let caller = Caller::of(&request)?;
    let desk = Arc::clone(hall.desk());
    off_thread(move || match caller.principal() {
        Some(principal) => desk.sign_out(principal, caller.address(), now_ms()),
        None => Ok(()),
    })
    .await??;
    let cookie = session_cookie(&request, hall.settings(), None)?;
    Ok(HttpResponse::NoContent()
        .insert_header((header::SET_COOKIE, cookie))
        .finish())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Passcodes {
    now: String,
    new: String,
}

/// PUT `/passcode`: 204; the other sessions of the account have ended.
pub(super) async fn change_passcode(
    request: HttpRequest,
    payload: web::Payload,
    hall: web::Data<Hall>,
) -> Result<HttpResponse, Problem> {
    let caller = Caller::of(&request)?;
    let base = base_url(&request, hall.settings())?;
    if !is_of_our_pages(request.headers(), &base) {
        let text = "pages of other sites may not change a passcode";
        return Err(Problem::new(actix_web::http::StatusCode::FORBIDDEN, text));
    }
    let body = bounded_body(&request, hall.settings(), payload, BODY_BYTES_MAX).await?;
    let wanted = "the body must be {\"now\": …, \"new\": …}";
    let asked: Passcodes =
        serde_json::from_slice(&body).map_err(|_| Problem::bad_request(wanted))?;
    let desk = Arc::clone(hall.desk());
    let changed = off_thread(move || {
        let who = caller.principal().ok_or_else(Problem::not_found)?;
        let network = network(caller.address());
        let passcodes = (&*asked.now, &*asked.new);
        desk.change_passcode(who, passcodes, (caller.address(), &network), now_ms())
            .map_err(Problem::from)
    });
    changed.await??;
    Ok(HttpResponse::NoContent().finish())
}

fn answer(principal: &Principal, csrf_token: Option<String>) -> HttpResponse {
    let rights = Action::WORDS.into_iter();
    let rights = rights.filter(|(action, _)| policy(principal, *action).is_ok());
    let rights: Vec<_> = rights.map(|(_, word)| word).collect();
    let means = match principal.means {
        Means::Nothing => "nothing",
        Means::Session(_) => "session",
        Means::Token(_) => "token",
        Means::Link(..) | Means::Reader(..) => "link",
        Means::Inbox(..) => "inbox",
    };
    let roles = principal.roles.to_string();
    let roles: Vec<_> = roles.split(' ').filter(|word| !word.is_empty()).collect();
    let studies = principal.studies.as_ref();
    let studies = studies.map(|studies| studies.iter().map(|uid| uid.as_str()).collect::<Vec<_>>());
    let body = json!({
        "name": &*principal.name,
        "by": means,
        "roles": roles,
        "rights": rights,
        "studies": studies,
        "csrf_token": csrf_token,
    });
    HttpResponse::Ok()
        .content_type(mime::APPLICATION_JSON)
        .insert_header((header::CACHE_CONTROL, "private, no-store"))
        .body(body.to_string())
}
