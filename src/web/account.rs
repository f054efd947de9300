//! `/account`: who has signed in sees what they are here, and gives themselves another passcode.

use std::fmt::Write;
use std::sync::Arc;

use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, HttpResponse, ResponseError, web};

use crate::access::network;
use crate::dicom::text_form::escaped;
use crate::http::{
    Caller, Hall, Problem, base_url, bounded_form, is_of_our_pages, now_ms, off_thread, parameters,
};
use crate::web::admin::{self, Fields};
use crate::web::frame::{Frame, has_account};
use crate::web::language::Language;

/// The longest form that is read: three of the longest passcodes, every byte as three. Bytes.
const FORM_BYTES_MAX: usize = 10 * 1024;
/// What the address says when it is done.
const CHANGED: &str = "changed";

/// `GET /account`
pub(super) async fn page(request: HttpRequest) -> Result<HttpResponse, Problem> {
    let caller = owner(&request)?;
    let above = match request.query_string() == CHANGED {
        true => format!(
            "<p class=\"card\" role=\"status\">{}</p>\n",
            Language::of(&request)
                .say("You have another passcode. Your other sessions have ended.")
        ),
        false => String::new(),
    };
    Ok(shown(&request, &caller, StatusCode::OK, &above))
}

/// `POST /account` with `now`, `passcode` and `again`: 303 back to the page.
pub(super) async fn change(
    request: HttpRequest,
    payload: web::Payload,
    hall: web::Data<Hall>,
) -> Result<HttpResponse, Problem> {
    let caller = owner(&request)?;
    let base = base_url(&request, hall.settings())?;
    if !is_of_our_pages(request.headers(), &base) {
        let text = "pages of other sites may not change a passcode";
        return Err(Problem::new(StatusCode::FORBIDDEN, text));
    }
    let form = bounded_form(&request, hall.settings(), payload, FORM_BYTES_MAX).await?;
    match changed(&hall, &caller, &Fields(parameters(&form)?)).await {
        Ok(()) => Ok(HttpResponse::SeeOther()
            .insert_header((header::LOCATION, format!("{base}/account?{CHANGED}")))
            .insert_header((header::CACHE_CONTROL, "no-store"))
            .finish()),
        Err(problem) => {
            let why = Language::of(&request).sentence(&problem.to_string());
            let above = format!(
                "<p class=\"problem\" role=\"alert\">{}</p>\n",
                escaped(&why)
            );
            let mut response = shown(&request, &caller, problem.status_code(), &above);
            if let Some(wait) = problem.error_response().headers().get(header::RETRY_AFTER) {
                let wait = wait.clone();
                response.headers_mut().insert(header::RETRY_AFTER, wait);
            }
            Ok(response)
        }
    }
}

/// Who has an account here, and has signed in to it.
///
/// # Errors
/// 404 for whoever came otherwise.
fn owner(request: &HttpRequest) -> Result<Caller, Problem> {
    let caller = Caller::of(request)?;
    match has_account(&caller) {
        true => Ok(caller),
        false => Err(Problem::not_found()),
    }
}

async fn changed(hall: &web::Data<Hall>, caller: &Caller, fields: &Fields) -> Result<(), Problem> {
    let (now, new) = (fields.raw("now").to_owned(), admin::passcode(fields)?);
    let (desk, caller) = (Arc::clone(hall.desk()), caller.clone());
    off_thread(move || {
        let who = caller.principal().ok_or_else(Problem::not_found)?;
        let network = network(caller.address());
        desk.change_passcode(who, (&now, &new), (caller.address(), &network), now_ms())
            .map_err(Problem::from)
    })
    .await?
}

fn shown(request: &HttpRequest, caller: &Caller, status: StatusCode, above: &str) -> HttpResponse {
    let language = Language::of(request);
    let say = |english| language.say(english);
    let title = say("Your account");
    let roles = caller.principal().map(|principal| principal.roles);
    let mut body = format!(
        "<h1>{title}</h1>\n{above}<dl class=\"facts\"><div><dt>{}</dt><dd>{}</dd></div><div><dt>{}</dt><dd>{}</dd></div></dl>\n",
        say("Signed in as"),
        escaped(caller.name()),
        say("Roles"),
        admin::roles(language, roles.unwrap_or_default()),
    );
    let _ = write!(
        body,
        "<form class=\"form card\" method=\"post\" action=\"account\"><h2>{}</h2>\n<label>{}<input type=\"password\" \
         name=\"now\" maxlength=\"1024\" autocomplete=\"current-password\" required></label>\n",
        say("Another passcode"),
        say("The passcode of now")
    );
    admin::write_passcode(&mut body, language);
    let _ = writeln!(
        body,
        "<p class=\"also\">{}</p><div class=\"acts\"><button>{}</button></div></form>",
        say("Your other sessions end; this one and your API tokens stay."),
        say("Set the passcode")
    );
    let frame = Frame::of_theirs(request, caller, "").found_at("/account");
    frame.page(HttpResponse::build(status), title, &body)
}
