//! `POST /cases/{number}/share`: a link for a reader without an account. The link is shown on the page that answers, and
//! never again. And the links and grants of a case, which are taken back here.

use std::fmt::Write;
use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};

use super::form::Fields;
use super::page::{self, Shown};
use super::{acts, moment};
use crate::access::{Action, Giving, Grant, Holder, Right, To};
use crate::cases::{self, Act, Cases, Fault};
use crate::dicom::text_form::escaped;
use crate::http::{Caller, Hall, Problem, base_url, now_ms, off_thread};
use crate::web::frame::{Frame, Part};

const DAY_MS: i64 = 86_400_000;

/// `POST /cases/{number}/share`
pub(super) async fn share(
    request: HttpRequest,
    number: web::Path<String>,
    payload: web::Payload,
    hall: web::Data<Hall>,
    cases: web::Data<Cases>,
) -> Result<HttpResponse, Problem> {
    let number: u64 = number.parse().map_err(|_| Problem::not_found())?;
    let caller = Caller::of(&request)?;
    let who = super::asking(&caller, &hall).await?;
    super::refuse_foreign(&request, &hall)?;
    let base = base_url(&request, hall.settings())?;
    let fields = Fields::received(&request, &hall, payload).await?;
    let shared = match giving(number, &fields) {
        Ok(giving) => {
            let (cases, desk) = (cases.clone(), Arc::clone(hall.desk()));
            off_thread(move || cases.share(number, &desk, giving, &who)).await?
        }
        Err(fault) => Err(fault.into()),
    };
    match shared {
        Ok((_, secret)) => {
            let link = format!("{base}/l/{}", secret.text());
            let title = format!("Case {number}");
            let text = told(number, &link, !fields.text("pin").is_empty());
            let page = Frame::of(&request, &caller, Part::Cases, "../../").page(
                HttpResponse::Ok(),
                &title,
                &text,
            );
            Ok(page)
        }
        Err(error) => {
            super::tell_refused(&caller, &hall, number, "share", &error).await?;
            let problem = Problem::from(error);
            let status = actix_web::ResponseError::status_code(&problem);
            if !matches!(status, StatusCode::BAD_REQUEST | StatusCode::CONFLICT) {
                return Err(problem);
            }
            let wrong = Some(page::Wrong {
                status,
                text: problem.to_string(),
                unsaved: None,
            });
            page::answer(&request, &number.to_string(), &hall, &cases, wrong).await
        }
    }
}

fn giving(number: u64, fields: &Fields) -> Result<Giving, Fault> {
    let days: i64 = fields
        .text("days")
        .parse()
        .ok()
        .filter(|days| (1..=366).contains(days))
        .ok_or_else(|| Fault::new("days", "are not between 1 and 366"))?;
    let pin = Some(fields.text("pin").to_owned()).filter(|pin| !pin.is_empty());
    let now_ms = now_ms();
    Ok(Giving {
        case: i64::try_from(number).unwrap_or(i64::MAX),
        to: To::Reader { pin },
        studies: std::collections::BTreeMap::new(),
        not_before_ms: now_ms,
        expires_ms: now_ms.saturating_add(days * DAY_MS),
        opens_max: None,
        right: match fields.is_ticked("download") {
            true => Right::Download,
            false => Right::View,
        },
        label: fields.text("label").trim().to_owned(),
    })
}

fn told(number: u64, link: &str, has_pin: bool) -> String {
    let pin = if has_pin {
        " Tell them the PIN on another way."
    } else {
        ""
    };
    format!(
        "<p class=\"back\"><a href=\"../{number}\">← Case {number}</a></p>\n<h1>A link for a reader</h1>\n<section \
         class=\"card\"><p>Copy it now: it is shown this once and kept nowhere.{pin}</p><p class=\"secret\">{}</p><p \
         class=\"also\">Whoever opens it sees this case and its studies, and nothing else.</p></section>\n",
        escaped(link)
    )
}

/// `POST /cases/{number}/links/{grant}/revoke`: 303 back to the case.
pub(super) async fn take_back(
    request: HttpRequest,
    path: web::Path<(String, i64)>,
    hall: web::Data<Hall>,
    cases: web::Data<Cases>,
) -> Result<HttpResponse, Problem> {
    let (number, grant) = path.into_inner();
    let number: u64 = number.parse().map_err(|_| Problem::not_found())?;
    let caller = Caller::of(&request)?;
    let who = super::asking(&caller, &hall).await?;
    let scope = caller.admit(&hall, Action::Request).await?;
    super::refuse_foreign(&request, &hall)?;
    let deed = cases.clone();
    let done = off_thread(move || {
        deed.take_back(grant, Some(number), &scope, &who)?;
        Ok::<_, cases::Error>(format!("../../../../cases/{number}"))
    });
    let done = done.await?;
    acts::answer(&request, (number, "revoke"), &hall, &cases, done).await
}

/// Links and grants of the case, good or not, the newest first.
pub(super) fn write_given(html: &mut String, shown: &Shown) {
    let Some(given) = shown.given.as_deref().filter(|given| !given.is_empty()) else {
        return;
    };
    html.push_str("<h3>Links and grants</h3><ul class=\"timeline\">\n");
    let now_ms = now_ms();
    for grant in given.iter().rev() {
        write_grant(html, shown.number, grant, now_ms);
    }
    html.push_str("</ul>\n");
}

fn write_grant(html: &mut String, number: u64, grant: &Grant, now_ms: i64) {
    let kind = match (&grant.holder, grant.is_reader()) {
        (Holder::Account(_), _) => "account",
        (Holder::Link { .. }, true) => "link for a reader",
        (Holder::Link { .. }, false) => "link",
        (Holder::Inbox { .. }, _) => "inbox",
    };
    let whom = match &grant.holder {
        Holder::Account(name) => name.as_str(),
        Holder::Link { .. } | Holder::Inbox { .. } => &grant.label,
    };
    let good = if grant.is_live(now_ms) { " good" } else { "" };
    let mut opened = match (&grant.holder, grant.opens) {
        (Holder::Account(_), _) => String::new(),
        (_, 0) => " · never opened".to_owned(),
        (_, 1) => " · opened once".to_owned(),
        (_, count) => format!(" · opened {count} times"),
    };
    if let Some(at_ms) = grant.opened_ms {
        let _ = write!(opened, ", last {}", moment(at_ms));
    }
    if grant.pin_failures > 0 {
        let _ = write!(opened, " · wrong PINs: {}", grant.pin_failures);
    }
    let _ = write!(
        html,
        "<li><span>{id}</span><span><bdi>{whom}</bdi> <span class=\"also\">{kind} · {right} · until {until}{opened}</span></span><span><span \
         class=\"chip{good}\">{state}</span>",
        id = grant.id,
        whom = escaped(whom),
        right = match grant.right {
            Right::View => "to look at",
            Right::Download => "to download",
        },
        until = moment(grant.expires_ms),
        state = grant.state(now_ms),
    );
    if grant.revoked_ms.is_none() && now_ms < grant.expires_ms {
        let _ = write!(
            html,
            " <form class=\"act\" method=\"post\" action=\"{number}/links/{id}/revoke\"><button class=\"plain\" aria-label=\"Take back \
             {kind} {id}\">Take back</button></form>",
            id = grant.id,
        );
    }
    html.push_str("</span></li>\n");
}

/// The form, for whoever may ask further readers.
pub(super) fn write_form(html: &mut String, shown: &Shown) {
    if !shown.look.may(Act::Assign) {
        return;
    }
    let _ = writeln!(
        html,
        "<form class=\"form\" method=\"post\" action=\"{}/share\"><fieldset><legend>Ask somebody without an account: a link</legend>\
         <label>Whom it is for<input name=\"label\" maxlength=\"100\"></label><div class=\"two\"><label>PIN, if you like<input \
         name=\"pin\" minlength=\"4\" maxlength=\"64\" autocomplete=\"off\"></label><label>Good for how many days<input \
         type=\"number\" name=\"days\" min=\"1\" max=\"366\" value=\"14\" required></label></div><label class=\"choice\"><input \
         type=\"checkbox\" name=\"download\" value=\"1\"> May download the images</label><div class=\"acts\"><button \
         class=\"plain\">Make a link</button></div></fieldset></form>",
        shown.number
    );
}
