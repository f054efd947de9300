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
use crate::web::language::Language;

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
    let language = Language::of(&request);
    let title = language.say("Quarantine");
    let mut body = parts::begin(language, Place::Quarantine, "../");
    let _ = writeln!(body, "<h1>{title}</h1>");
    if held.is_empty() {
        let nothing = language.say("Nothing is held back.");
        let _ = writeln!(body, "<p class=\"empty\">{nothing}</p>");
    } else {
        write_list(&mut body, language, &held);
    }
    Ok(parts::page(
        &request,
        &caller,
        StatusCode::OK,
        title,
        "../",
        &body,
    ))
}

fn write_list(html: &mut String, language: Language, held: &[Quarantined]) {
    let say = |english| language.say(english);
    html.push_str("<table class=\"studies\"><thead><tr>");
    for head in ["Number", "Received, UTC", "Why", "Sent by", "Instance"] {
        let _ = write!(html, "<th>{}</th>", say(head));
    }
    html.push_str("</tr></thead><tbody>\n");
    for one in held {
        let instance = &one.instance;
        let _ = writeln!(
            html,
            "<tr><td><a href=\"quarantine/{id}\">{id}</a></td><td class=\"date\" data-label=\"{}\">{}</td><td>{}</td><td \
             data-label=\"{}\">{}</td><td class=\"uid\">{}</td></tr>",
            say("received"),
            moment(instance.received_at_ms),
            language.sentence(one.reason.sentence()),
            say("from"),
            escaped(&instance.origin.sender),
            instance.header.sop_instance_uid,
            id = one.id,
        );
    }
    html.push_str("</tbody></table>\n");
    if held.len() >= ROWS_MAX {
        let oldest = "The oldest {count}: decide some to see more.";
        let oldest = language.fill(oldest, &[("count", &ROWS_MAX)]);
        let _ = writeln!(html, "<p class=\"also\">{oldest}</p>");
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
    let language = Language::of(&request);
    let mut body = parts::begin(language, Place::Quarantine, "../../");
    write_one(&mut body, language, &beside);
    let title = format!("{} {number}", language.say("Quarantine"));
    Ok(parts::page(
        &request,
        &caller,
        StatusCode::OK,
        &title,
        "../../",
        &body,
    ))
}

fn write_one(html: &mut String, language: Language, beside: &Beside) {
    let say = |english| language.say(english);
    let held = &beside.held;
    let (instance, header) = (&held.instance, &held.instance.header);
    let study = header.study_instance_uid.as_str();
    let _ = writeln!(
        html,
        "<p class=\"back\"><a href=\"../quarantine\">← {}</a></p>\n<h1>{}</h1>\n<dl class=\"facts\">\
         <div><dt>{}</dt><dd>{received}</dd></div><div><dt>{}</dt><dd>{sender}</dd></div><div><dt>{}</dt><dd><a \
         class=\"uid\" href=\"../../studies/{study}\">{study}</a></dd></div><div><dt>{}</dt><dd class=\"uid\">{instance}</dd>\
         </div></dl>",
        say("Quarantine"),
        language.fill(
            "Held back: {reason}",
            &[("reason", &language.sentence(held.reason.sentence()))]
        ),
        say("Received, UTC"),
        say("Sent by"),
        say("Study"),
        say("Instance"),
        received = moment(instance.received_at_ms),
        sender = escaped(&instance.origin.sender),
        instance = header.sop_instance_uid,
    );
    write_differences(html, language, beside);
    let _ = writeln!(
        html,
        "<form class=\"acts\" method=\"post\" action=\"{0}\"><button name=\"word\" value=\"accept\">{1}</button>\
         </form>\n<form class=\"acts\" method=\"post\" action=\"{0}\"><label class=\"choice\"><input type=\"checkbox\" name=\"sure\" \
         value=\"1\" required> {2}</label><button class=\"plain\" name=\"word\" value=\"reject\">{3}</button></form>\n<p \
         class=\"also\">{4}</p>",
        held.id,
        say("Store this one"),
        say("I have looked at both"),
        say("Remove this one for good"),
        say(
            "If it is stored, what holds its UID now is held back in its place: that can be undone. What is removed cannot be \
             brought back."
        ),
    );
}

fn write_differences(html: &mut String, language: Language, beside: &Beside) {
    let say = |english| language.say(english);
    let held = &beside.held;
    let _ = write!(
        html,
        "<section class=\"card\"><h2>{}</h2>",
        say("What differs")
    );
    if held.differences.is_empty() {
        let same = language.sentence(beside.sameness());
        let _ = writeln!(html, "<p>{same}</p></section>");
        return;
    }
    let _ = write!(
        html,
        "<table class=\"figures differing\"><thead><tr><th>{}</th><th>{}</th><th>{}</th></tr></thead><tbody>",
        say("Attribute"),
        say("Stored"),
        say("Held back")
    );
    for difference in &held.differences {
        let value = |json: &Option<Box<str>>| match json.as_deref() {
            None => format!("<span class=\"also\">{}</span>", say("absent")),
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
    html.push_str("</tbody></table></section>\n");
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
