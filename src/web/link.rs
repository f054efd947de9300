//! `/l/{token}`: the door that a link opens. To look at it opens nothing: programs that read mail look at links before
//! people do. To press the button does, and counts.

use std::fmt::Write;
use std::sync::Arc;

use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, HttpResponse, ResponseError, web};

use crate::access::{LinkError, Lock, network};
use crate::dicom::text_form::escaped;
use crate::http::{
    Caller, Hall, Problem, base_url, bounded_form, is_of_our_pages, now_ms, off_thread, parameters,
    session_cookie,
};
use crate::web::frame::Frame;
use crate::web::language::Language;

/// The longest PIN that is looked at. Bytes.
const PIN_BYTES_MAX: usize = 256;
/// The longest form that is read. Bytes.
const FORM_BYTES_MAX: usize = 8 * 1024;

const GONE: &str =
    "It is not known here, or not good any more. Ask whoever sent it to you for another one.";
const TO_BRING: &str = "Somebody has asked you for images. On the next page you can send the disc that you were given, or files, with \
    reports and photographs.";

/// A wrong PIN was of a link to look at something.
const PIN: Lock = Lock {
    has_pin: true,
    is_inbox: false,
};

/// `GET /l/{token}`
pub(super) async fn page(
    request: HttpRequest,
    token: web::Path<String>,
    hall: web::Data<Hall>,
) -> Result<HttpResponse, Problem> {
    let (desk, token) = (Arc::clone(hall.desk()), token.into_inner());
    let address = address(&request);
    let found = off_thread(move || desk.link(&token, &address, now_ms()));
    Ok(match found.await?? {
        None => gone(&request),
        Some(lock) => form(&request, StatusCode::OK, lock, None),
    })
}

/// `POST /l/{token}` with `pin`, where there is one: 303 to what it opens, with a session.
pub(super) async fn open(
    request: HttpRequest,
    token: web::Path<String>,
    payload: web::Payload,
    hall: web::Data<Hall>,
) -> Result<HttpResponse, Problem> {
    let form_text = bounded_form(&request, hall.settings(), payload, FORM_BYTES_MAX).await?;
    let base = base_url(&request, hall.settings())?;
    // Otherwise a page of somebody else could have a reader look at a case without knowing whose.
    if !is_of_our_pages(request.headers(), &base) {
        let text = "pages of other sites may not open links";
        return Err(Problem::new(StatusCode::FORBIDDEN, text));
    }
    let pin = parameters(&form_text)?
        .into_iter()
        .find(|(name, _)| name == "pin");
    let pin = pin.map(|(_, pin)| pin);
    if pin.as_ref().is_some_and(|pin| pin.len() > PIN_BYTES_MAX) {
        return Err(Problem::bad_request("no PIN is this long"));
    }
    let (desk, token) = (Arc::clone(hall.desk()), token.into_inner());
    let address = address(&request);
    let opened = off_thread(move || {
        let network = network(&address);
        desk.open_link(&token, pin.as_deref(), (&address, &network), now_ms())
    });
    match opened.await? {
        Ok(opened) => {
            let cookie = session_cookie(&request, hall.settings(), Some(&opened.secret))?;
            let there = match (opened.is_inbox, opened.is_reader) {
                (true, _) => "inbox".to_owned(),
                (false, true) => format!("cases/{}", opened.case),
                (false, false) => String::new(),
            };
            let mut response = HttpResponse::SeeOther();
            response.insert_header((header::LOCATION, format!("{base}/{there}")));
            response.insert_header((header::CACHE_CONTROL, "no-store"));
            response.insert_header((header::SET_COOKIE, cookie));
            Ok(response.finish())
        }
        Err(LinkError::Gone) => Ok(gone(&request)),
        Err(error @ LinkError::WrongPin) => Ok(form(
            &request,
            StatusCode::FORBIDDEN,
            PIN,
            Some(&error.to_string()),
        )),
        Err(LinkError::Entry(error)) => {
            let problem = Problem::from(error);
            let text = problem.to_string();
            let mut response = form(&request, problem.status_code(), PIN, Some(&text));
            if let Some(wait) = problem.error_response().headers().get(header::RETRY_AFTER) {
                let wait = wait.clone();
                response.headers_mut().insert(header::RETRY_AFTER, wait);
            }
            Ok(response)
        }
    }
}

fn address(request: &HttpRequest) -> String {
    let caller = Caller::perhaps(request);
    caller.map_or_else(String::new, |caller| caller.address().to_owned())
}

fn gone(request: &HttpRequest) -> HttpResponse {
    let language = Language::of(request);
    let body = format!(
        "<h1>{}</h1>\n<p>{}</p>\n",
        language.say("This link opens nothing"),
        language.say(GONE)
    );
    let frame = Frame::alone(request, "../").found_at(request.path());
    let title = language.say("Nothing here");
    hidden(frame.page(HttpResponse::NotFound(), title, &body))
}

fn form(
    request: &HttpRequest,
    status: StatusCode,
    lock: Lock,
    problem: Option<&str>,
) -> HttpResponse {
    let language = Language::of(request);
    let (title, button) = match lock.is_inbox {
        true => (language.say("Send your images"), language.say("Begin")),
        false => (language.say("Studies for you"), language.say("Open")),
    };
    let mut body = format!("<h1>{title}</h1>\n");
    if lock.is_inbox {
        let _ = writeln!(body, "<p>{}</p>", language.say(TO_BRING));
    }
    if let Some(problem) = problem {
        let _ = writeln!(
            body,
            "<p class=\"problem\" role=\"alert\">{}</p>",
            escaped(&language.sentence(problem))
        );
    }
    // Without an action it goes to the address of the page.
    body.push_str("<form class=\"sign-in\" method=\"post\">\n");
    if lock.has_pin {
        body.push_str(
            "<label>PIN<input name=\"pin\" type=\"password\" autocomplete=\"one-time-code\" required autofocus></label>\n",
        );
    }
    let _ = write!(body, "<button>{button}</button>\n</form>\n");
    let frame = Frame::alone(request, "../").found_at(request.path());
    hidden(frame.page(HttpResponse::build(status), title, &body))
}

/// No search engine that comes by a link keeps it.
fn hidden(mut response: HttpResponse) -> HttpResponse {
    response.headers_mut().insert(
        HeaderName::from_static("x-robots-tag"),
        HeaderValue::from_static("noindex, nofollow"),
    );
    response
}
