//! `POST /cases/{number}/share`: a link for a reader without an account. The link is shown on the page that answers, and
//! never again. And the links and grants of a case, which are taken back here.

use std::fmt::Write;
use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};

use super::form::Fields;
use super::page::{self, Shown};
use super::{acts, faults, moment};
use crate::access::{Action, Giving, Grant, Holder, Right, To};
use crate::cases::{self, Act, Cases, Fault};
use crate::dicom::text_form::escaped;
use crate::http::{Caller, Hall, Problem, base_url, now_ms, off_thread};
use crate::web::frame::{Frame, Part};
use crate::web::language::Language;

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
            let language = Language::of(&request);
            let title = language.fill("Case {number}", &[("number", &number)]);
            let text = told(language, number, &link, !fields.text("pin").is_empty());
            let page = Frame::of(&request, &caller, Part::Cases, "../../").page(
                HttpResponse::Ok(),
                &title,
                &text,
            );
            Ok(page)
        }
        Err(error) => {
            super::tell_refused(&caller, &hall, number, "share", &error).await?;
            let (problem, text) = faults::error(Language::of(&request), error);
            let status = actix_web::ResponseError::status_code(&problem);
            if !matches!(status, StatusCode::BAD_REQUEST | StatusCode::CONFLICT) {
                return Err(problem);
            }
            let wrong = Some(page::Wrong {
                status,
                text,
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

fn told(language: Language, number: u64, link: &str, has_pin: bool) -> String {
    let pin = match has_pin {
        true => format!(" {}", language.say("Tell them the PIN on another way.")),
        false => String::new(),
    };
    format!(
        "<p class=\"back\"><a href=\"../{number}\">← {case}</a></p>\n<h1>{title}</h1>\n<section class=\"card\"><p>{copy}{pin}</p>\
         <p class=\"secret\">{link}</p><p class=\"also\">{whoever}</p></section>\n",
        case = language.fill("Case {number}", &[("number", &number)]),
        title = language.say("A link for a reader"),
        copy = language.say("Copy it now: it is shown this once and kept nowhere."),
        link = escaped(link),
        whoever =
            language.say("Whoever opens it sees this case and its studies, and nothing else."),
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
    let title = shown.language.say("Links and grants");
    let _ = writeln!(html, "<h3>{title}</h3><ul class=\"timeline\">");
    let now_ms = now_ms();
    for grant in given.iter().rev() {
        write_grant(html, shown, grant, now_ms);
    }
    html.push_str("</ul>\n");
}

fn write_grant(html: &mut String, shown: &Shown, grant: &Grant, now_ms: i64) {
    let (language, number) = (shown.language, shown.number);
    let (kind, take_back) = match (&grant.holder, grant.is_reader()) {
        (Holder::Account(_), _) => ("account", "Take back account {id}"),
        (Holder::Link { .. }, true) => ("link for a reader", "Take back link for a reader {id}"),
        (Holder::Link { .. }, false) => ("link", "Take back link {id}"),
        (Holder::Inbox { .. }, _) => ("inbox", "Take back inbox {id}"),
    };
    let kind = language.say(kind);
    let whom = match &grant.holder {
        Holder::Account(name) => name.as_str(),
        Holder::Link { .. } | Holder::Inbox { .. } => &grant.label,
    };
    let good = if grant.is_live(now_ms) { " good" } else { "" };
    let mut opened = match (&grant.holder, grant.opens) {
        (Holder::Account(_), _) => String::new(),
        (_, 0) => format!(" · {}", language.say("never opened")),
        (_, 1) => format!(" · {}", language.say("opened once")),
        (_, count) => format!(
            " · {}",
            language.fill("opened {count} times", &[("count", &count)])
        ),
    };
    if let Some(at_ms) = grant.opened_ms {
        let last = language.fill("last {moment}", &[("moment", &moment(at_ms))]);
        let _ = write!(opened, ", {last}");
    }
    if grant.pin_failures > 0 {
        let wrong = language.fill("wrong PINs: {count}", &[("count", &grant.pin_failures)]);
        let _ = write!(opened, " · {wrong}");
    }
    let _ = write!(
        html,
        "<li><span>{id}</span><span><bdi>{whom}</bdi> <span class=\"also\">{kind} · {right} · {until}{opened}</span></span><span><span \
         class=\"chip{good}\">{state}</span>",
        id = grant.id,
        whom = escaped(whom),
        right = language.say(match grant.right {
            Right::View => "to look at",
            Right::Download => "to download",
        }),
        until = language.fill("until {moment}", &[("moment", &moment(grant.expires_ms))]),
        state = language.say(grant.state(now_ms)),
    );
    if grant.revoked_ms.is_none() && now_ms < grant.expires_ms {
        let _ = write!(
            html,
            " <form class=\"act\" method=\"post\" action=\"{number}/links/{id}/revoke\"><button class=\"plain\" \
             aria-label=\"{which}\">{take_back}</button></form>",
            id = grant.id,
            which = language.fill(take_back, &[("id", &grant.id)]),
            take_back = language.say("Take back"),
        );
    }
    html.push_str("</span></li>\n");
}

/// The form, for whoever may ask further readers.
pub(super) fn write_form(html: &mut String, shown: &Shown) {
    if !shown.look.may(Act::Assign) {
        return;
    }
    let language = shown.language;
    let _ = writeln!(
        html,
        "<form class=\"form\" method=\"post\" action=\"{number}/share\"><fieldset><legend>{legend}</legend>\
         <label>{whom}<input name=\"label\" maxlength=\"100\"></label><div class=\"two\"><label>{pin}<input \
         name=\"pin\" minlength=\"4\" maxlength=\"64\" autocomplete=\"off\"></label><label>{days}<input \
         type=\"number\" name=\"days\" min=\"1\" max=\"366\" value=\"14\" required></label></div><label class=\"choice\"><input \
         type=\"checkbox\" name=\"download\" value=\"1\"> {download}</label><div class=\"acts\"><button \
         class=\"plain\">{make}</button></div></fieldset></form>",
        number = shown.number,
        legend = language.say("Ask somebody without an account: a link"),
        whom = language.say("Whom it is for"),
        pin = language.say("PIN, if you like"),
        days = language.say("Good for how many days"),
        download = language.say("May download the images"),
        make = language.say("Make a link"),
    );
}
