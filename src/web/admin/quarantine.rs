//! `/admin/quarantine`: what was held back, and what differs from what is stored, side by side. An administrator says
//! which of the two it shall be.

use std::fmt::Write;

use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, HttpResponse, web};

use super::parts::{self, Place};
use crate::access::Action;
use crate::archive::Beside;
use crate::archive::index::Quarantined;
use crate::dicom::brief;
use crate::dicom::text_form::escaped;
use crate::http::quarantine::{self, ROWS_MAX, Word};
use crate::http::{Caller, Hall, Problem, base_url, bounded_form, off_thread, parameters};
use crate::web::cases::moment;

/// A form with one word.
const FORM_BYTES_MAX: usize = 4096;

/// `GET /admin/quarantine`
pub(super) async fn list(
    request: HttpRequest,
    hall: web::Data<Hall>,
) -> Result<HttpResponse, Problem> {
    let caller = Caller::of(&request)?;
    let scope = caller.admit(&hall, Action::Administer).await?;
    let archive = hall.archive().clone();
    let held = off_thread(move || archive.quarantined(&scope, 0, ROWS_MAX)).await??;
    let mut body = parts::begin(Place::Quarantine, "../");
    body.push_str("<h1>Quarantine</h1>\n");
    if held.is_empty() {
        body.push_str("<p class=\"empty\">Nothing is held back.</p>\n");
    } else {
        write_list(&mut body, &held);
    }
    Ok(parts::page(
        &request,
        &caller,
        StatusCode::OK,
        "Quarantine",
        "../",
        &body,
    ))
}

fn write_list(html: &mut String, held: &[Quarantined]) {
    html.push_str(
        "<table class=\"studies\"><thead><tr><th>Number</th><th>Received, UTC</th><th>Why</th><th>From</th><th>Instance</th></tr>\
         </thead><tbody>\n",
    );
    for one in held {
        let instance = &one.instance;
        let _ = writeln!(
            html,
            "<tr><td><a href=\"quarantine/{id}\">{id}</a></td><td class=\"date\" data-label=\"received\">{}</td><td>{}</td><td \
             data-label=\"from\">{}</td><td class=\"uid\">{}</td></tr>",
            moment(instance.received_at_ms),
            one.reason.sentence(),
            escaped(&instance.origin.sender),
            instance.header.sop_instance_uid,
            id = one.id,
        );
    }
    html.push_str("</tbody></table>\n");
    if held.len() >= ROWS_MAX {
        let _ = writeln!(
            html,
            "<p class=\"also\">The oldest {ROWS_MAX}: decide some to see more.</p>"
        );
    }
}

/// `GET /admin/quarantine/{number}`
pub(super) async fn page(
    request: HttpRequest,
    number: web::Path<String>,
    hall: web::Data<Hall>,
) -> Result<HttpResponse, Problem> {
    let caller = Caller::of(&request)?;
    let scope = caller.admit(&hall, Action::Administer).await?;
    let number = quarantine::parsed(&number)?;
    let archive = hall.archive().clone();
    let beside = off_thread(move || archive.quarantined_beside(&scope, number)).await??;
    quarantine::tell_looked(&request, &hall, &beside).await?;
    let mut body = parts::begin(Place::Quarantine, "../../");
    write_one(&mut body, &beside);
    let title = format!("Quarantine {number}");
    Ok(parts::page(
        &request,
        &caller,
        StatusCode::OK,
        &title,
        "../../",
        &body,
    ))
}

fn write_one(html: &mut String, beside: &Beside) {
    let held = &beside.held;
    let (instance, header) = (&held.instance, &held.instance.header);
    let study = header.study_instance_uid.as_str();
    let _ = writeln!(
        html,
        "<p class=\"back\"><a href=\"../quarantine\">← Quarantine</a></p>\n<h1>Held back: {reason}</h1>\n<dl class=\"facts\">\
         <div><dt>Received, UTC</dt><dd>{received}</dd></div><div><dt>From</dt><dd>{sender}</dd></div><div><dt>Study</dt><dd><a \
         class=\"uid\" href=\"../../studies/{study}\">{study}</a></dd></div><div><dt>Instance</dt><dd class=\"uid\">{instance}</dd>\
         </div></dl>",
        reason = held.reason.sentence(),
        received = moment(instance.received_at_ms),
        sender = escaped(&instance.origin.sender),
        instance = header.sop_instance_uid,
    );
    html.push_str("<section class=\"card\"><h2>What differs</h2>");
    if held.differences.is_empty() {
        let _ = write!(html, "<p>{}</p>", beside.sameness());
    } else {
        html.push_str(
            "<table class=\"figures differing\"><thead><tr><th>Attribute</th><th>Stored</th><th>Held back</th></tr></thead><tbody>",
        );
        for difference in &held.differences {
            let value = |json: &Option<Box<str>>| match json.as_deref() {
                None => "<span class=\"also\">absent</span>".to_owned(),
                Some(json) => format!("<bdi>{}</bdi>", escaped(&brief::value(json))),
            };
            let _ = write!(
                html,
                "<tr><th scope=\"row\">{} <span class=\"also uid\">{}</span></th><td>{}</td><td>{}</td></tr>",
                escaped(&brief::keyword(&difference.path)),
                escaped(&difference.path),
                value(&difference.held),
                value(&difference.newcomer),
            );
        }
        html.push_str("</tbody></table>");
    }
    let _ = writeln!(
        html,
        "</section>\n<form class=\"acts\" method=\"post\" action=\"{0}\"><button name=\"word\" value=\"accept\">Store this one</button>\
         </form>\n<form class=\"acts\" method=\"post\" action=\"{0}\"><label class=\"choice\"><input type=\"checkbox\" name=\"sure\" \
         value=\"1\" required> I have looked at both</label><button class=\"plain\" name=\"word\" value=\"reject\">Remove this one for \
         good</button></form>\n<p class=\"also\">If it is \
         stored, what holds its UID now is held back in its place: that can be undone. What is removed cannot be brought back.</p>",
        held.id
    );
}

/// `POST /admin/quarantine/{number}`
pub(super) async fn decide(
    request: HttpRequest,
    number: web::Path<String>,
    payload: web::Payload,
    hall: web::Data<Hall>,
) -> Result<HttpResponse, Problem> {
    Caller::of(&request)?
        .admit(&hall, Action::Administer)
        .await?;
    let form = bounded_form(&request, hall.settings(), payload, FORM_BYTES_MAX).await?;
    let fields = parameters(&form)?;
    let word = fields.iter().find(|(name, _)| name == "word");
    let word = match word.map(|(_, word)| word.as_str()) {
        Some("accept") => Word::Accept,
        Some("reject") if fields.iter().any(|(name, _)| name == "sure") => Word::Reject,
        Some("reject") => {
            return Err(Problem::bad_request(
                "nothing is removed for good unless the box is ticked",
            ));
        }
        _ => {
            return Err(Problem::bad_request(
                "the form says neither accept nor reject",
            ));
        }
    };
    quarantine::decide(&request, &number, &hall, word).await?;
    let base = base_url(&request, hall.settings())?;
    Ok(HttpResponse::SeeOther()
        .insert_header((header::LOCATION, format!("{base}/admin/quarantine")))
        .finish())
}
