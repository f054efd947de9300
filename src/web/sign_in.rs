//! `/sign-in`: the page where people sign in. A session begins here and by
//! `/api/v1/session`; everything about it is the hall's and the desk's.

use std::fmt::Write;
use std::sync::Arc;

use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, HttpResponse, ResponseError, web};

use crate::access::network;
use crate::dicom::text_form::escaped;
use crate::http::{
    Caller, Hall, Problem, base_url, bounded_form, is_of_our_pages, now_ms, off_thread, parameters,
    session_cookie,
};
use crate::web::frame::Frame;
use crate::web::html::InQuery;
use crate::web::language::Language;

/// The longest address that somebody is led back to. Bytes.
const THEN_BYTES_MAX: usize = 2048;
/// The longest form that is read: such an address and the longest passcode, every byte as three. Bytes.
const FORM_BYTES_MAX: usize = 10 * 1024;

/// `GET /sign-in?then=/…`
pub(super) async fn page(
    request: HttpRequest,
    hall: web::Data<Hall>,
) -> Result<HttpResponse, Problem> {
    if Caller::of(&request).is_ok() {
        // They are in, or nobody has to sign in.
        return to(&request, &hall, "/", None);
    }
    let then = parameters(request.query_string())?;
    let then = then.into_iter().find(|(name, _)| name == "then");
    let then = then.map(|(_, value)| value).unwrap_or_default();
    Ok(form(&request, StatusCode::OK, &then, None))
}

/// `POST /sign-in` with `name`, `passcode` and `then`: 303 to where they came from, with a session.
pub(super) async fn begin(
    request: HttpRequest,
    payload: web::Payload,
    hall: web::Data<Hall>,
) -> Result<HttpResponse, Problem> {
    let form_text = bounded_form(&request, hall.settings(), payload, FORM_BYTES_MAX).await?;
    let base = base_url(&request, hall.settings())?;
    // Otherwise a page of somebody else could sign a reader in under a name of theirs.
    if !is_of_our_pages(request.headers(), &base) {
        let text = "pages of other sites may not sign anybody in";
        return Err(Problem::new(StatusCode::FORBIDDEN, text));
    }
    let fields = parameters(&form_text)?;
    let field = |wanted: &str| {
        let found = fields.iter().find(|(name, _)| name == wanted);
        found.map(|(_, value)| value.clone()).unwrap_or_default()
    };
    let (name, passcode, then) = (field("name"), field("passcode"), field("then"));
    let desk = Arc::clone(hall.desk());
    let address = Caller::perhaps(&request).map(|caller| caller.address().to_owned());
    let address = address.unwrap_or_default();
    let entered = off_thread(move || {
        let network = network(&address);
        desk.sign_in((&*name, &*passcode), (&*address, &*network), now_ms())
    });
    match entered.await? {
        Ok(entered) => {
            let cookie = session_cookie(&request, hall.settings(), Some(&entered.secret))?;
            to(&request, &hall, place(&then), Some(cookie))
        }
        Err(error) => {
            let problem = Problem::from(error);
            let mut response = form(
                &request,
                problem.status_code(),
                &then,
                Some(problem.to_string().as_str()),
            );
            if let Some(wait) = problem.error_response().headers().get(header::RETRY_AFTER) {
                response
                    .headers_mut()
                    .insert(header::RETRY_AFTER, wait.clone());
            }
            Ok(response)
        }
    }
}

/// `POST /sign-out`: 303 to `/sign-in`, without the session.
pub(super) async fn end(
    request: HttpRequest,
    hall: web::Data<Hall>,
) -> Result<HttpResponse, Problem> {
    let caller = Caller::of(&request)?;
    let desk = Arc::clone(hall.desk());
    off_thread(move || match caller.principal() {
        // It may have ended by itself meanwhile, or nobody has to sign in.
        Some(principal) => desk.sign_out(principal, caller.address(), now_ms()).ok(),
        None => None,
    })
    .await?;
    let cookie = session_cookie(&request, hall.settings(), None)?;
    to(&request, &hall, "/sign-in", Some(cookie))
}

fn form(
    request: &HttpRequest,
    status: StatusCode,
    then: &str,
    problem: Option<&str>,
) -> HttpResponse {
    let language = Language::of(request);
    let say = |english| language.say(english);
    let title = language.say("Sign in");
    let mut body = format!("<h1>{title}</h1>\n");
    if let Some(problem) = problem {
        let _ = writeln!(
            body,
            "<p class=\"problem\" role=\"alert\">{}</p>",
            escaped(&language.sentence(problem))
        );
    }
    let _ = write!(
        body,
        "<form class=\"sign-in\" method=\"post\" action=\"sign-in\">\n\
         <input type=\"hidden\" name=\"then\" value=\"{}\">\n\
         <label>{}<input name=\"name\" autocomplete=\"username\" autocapitalize=\"none\" spellcheck=\"false\" required autofocus></label>\n\
         <label>{}<input name=\"passcode\" type=\"password\" autocomplete=\"current-password\" required></label>\n\
         <button>{title}</button>\n</form>\n",
        escaped(place(then)),
        say("Name"),
        say("Passcode")
    );
    let path = format!("/sign-in?then={}", InQuery(place(then)));
    let frame = Frame::alone(request, "").found_at(&path);
    frame.page(HttpResponse::build(status), title, &body)
}

/// Where somebody is led: an address of ours, whatever the request says.
pub(super) fn place(then: &str) -> &str {
    let is_ours = then.starts_with('/')
        && !then.starts_with("//")
        && then.len() <= THEN_BYTES_MAX
        && then.bytes().all(|b| b.is_ascii_graphic() && b != b'\\');
    if is_ours { then } else { "/" }
}

fn to(
    request: &HttpRequest,
    hall: &Hall,
    place: &str,
    cookie: Option<header::HeaderValue>,
) -> Result<HttpResponse, Problem> {
    let base = base_url(request, hall.settings())?;
    let mut response = HttpResponse::SeeOther();
    response.insert_header((header::LOCATION, format!("{base}{place}")));
    response.insert_header((header::CACHE_CONTROL, "no-store"));
    if let Some(cookie) = cookie {
        response.insert_header((header::SET_COOKIE, cookie));
    }
    Ok(response.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_led_elsewhere() {
        for ours in [
            "/",
            "/studies/1.2.3?series=1.2",
            "/viewer/viewer?StudyInstanceUIDs=1.2",
        ] {
            assert_eq!(place(ours), ours);
        }
        for other in [
            "",
            "https://evil.example",
            "//evil.example",
            "/\\evil.example",
            "/a b",
            "/\n",
            "/ü",
        ] {
            assert_eq!(place(other), "/", "{other:?}");
        }
        assert_eq!(place(&"/".repeat(THEN_BYTES_MAX + 1)), "/");
    }
}
