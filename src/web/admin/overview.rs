//! `/admin`: whether all is well, how much the archive holds, where studies go on to and what is stuck.

use std::fmt::Write;

use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, HttpResponse, web};

use super::health;
use super::parts::{self, Place};
use crate::access::audit::{ActionCode, Event};
use crate::archive::index::Totals;
use crate::archive::queue::{DestinationState, Part as QueuePart, StudyForward};
use crate::cases::Cases;
use crate::dicom::text_form::escaped;
use crate::http::administration::{administrator, deciding};
use crate::http::condition::{Condition, STUDIES_MAX, bytes};
use crate::http::{Hall, Problem, base_url, bounded_form, now_ms, off_thread, parameters, written};
use crate::web::cases::moment;
use crate::web::language::Language;

/// What is held back, of one and of many.
const HELD: [&str; 2] = [
    "one instance is held back.",
    "{count} instances are held back.",
];
/// A form with the name of a destination.
const FORM_BYTES_MAX: usize = 4096;

/// `GET /admin`
pub(super) async fn page(
    request: HttpRequest,
    hall: web::Data<Hall>,
    cases: web::Data<Cases>,
) -> Result<HttpResponse, Problem> {
    let caller = administrator(&request, &hall).await?;
    let language = Language::of(&request);
    let condition = Condition::look(&hall, &cases, &caller).await?;
    let title = language.say("Administration");
    let mut body = parts::begin(language, Place::Overview, "");
    let _ = writeln!(body, "<h1>{title}</h1>");
    health::write(&mut body, language, &condition);
    if let Some(totals) = &condition.totals {
        write_storage(&mut body, language, totals);
    }
    if let Some((destinations, waiting)) = &condition.forwarding {
        write_forwarding(&mut body, language, destinations, waiting);
    }
    Ok(parts::page(
        &request,
        &caller,
        StatusCode::OK,
        title,
        "",
        &body,
    ))
}

fn write_storage(html: &mut String, language: Language, totals: &Totals) {
    let say = |english| language.say(english);
    let _ = write!(
        html,
        "<section class=\"card\"><h2>{}</h2><dl class=\"facts\">",
        say("Storage")
    );
    for (name, value) in [
        (say("Patients"), totals.patients.to_string()),
        (say("Studies"), totals.studies.to_string()),
        (say("Series"), totals.series.to_string()),
        (say("Instances"), totals.instances.to_string()),
        (say("Stored"), bytes(totals.blob_bytes)),
    ] {
        let _ = write!(html, "<div><dt>{name}</dt><dd>{value}</dd></div>");
    }
    let _ = writeln!(
        html,
        "</dl>\n<p><a href=\"admin/quarantine\">{}</a>: {}</p></section>",
        say("Quarantine"),
        match totals.quarantined {
            0 => say("nothing is held back.").to_owned(),
            held => language.count(held, HELD),
        }
    );
}

fn write_forwarding(
    html: &mut String,
    language: Language,
    destinations: &[DestinationState],
    waiting: &[StudyForward],
) {
    let say = |english| language.say(english);
    let _ = write!(
        html,
        "<section class=\"card\"><h2>{}</h2>",
        say("Forwarding")
    );
    if destinations.is_empty() {
        let key = "<code>[forward]</code>";
        let none = "No rule sends studies on ({key} in the configuration).";
        let none = language.fill(none, &[("key", &key)]);
        let _ = writeln!(html, "<p class=\"also\">{none}</p></section>");
        return;
    }
    html.push_str("<table class=\"figures\"><thead><tr>");
    for head in [
        "Destination",
        "State",
        "Not stable",
        "Due",
        "Failed",
        "Sent",
    ] {
        let _ = write!(html, "<th>{}</th>", say(head));
    }
    let _ = write!(
        html,
        "<th><span class=\"also\">{}</span></th></tr></thead><tbody>",
        say("Again")
    );
    for destination in destinations {
        write_destination(html, language, destination);
    }
    html.push_str("</tbody></table>");
    if !waiting.is_empty() {
        let _ = write!(
            html,
            "<h3>{} <span class=\"also\">{}</span></h3><ul class=\"findings\">",
            say("Studies that wait or have failed"),
            language.fill("{count} at most", &[("count", &STUDIES_MAX)])
        );
    }
    for study in waiting {
        let uid = study.study_instance_uid.as_str();
        let link = format!("<a class=\"uid\" href=\"studies/{uid}\">{uid}</a>");
        let told = language.fill(
            "{study} to {destination}: {waiting} wait, {failed} failed, {sent} sent",
            &[
                ("study", &link),
                ("destination", &escaped(&study.destination)),
                ("waiting", &study.waiting),
                ("failed", &study.failed),
                ("sent", &study.sent),
            ],
        );
        let why = study.reason.as_deref();
        let why = why.map_or_else(String::new, |why| {
            format!(" · {}", escaped(&language.sentence(why)))
        });
        let _ = write!(html, "<li>{told}{why}</li>");
    }
    if !waiting.is_empty() {
        html.push_str("</ul>");
    }
    html.push_str("</section>\n");
}

fn write_destination(html: &mut String, language: Language, destination: &DestinationState) {
    let name = escaped(&destination.destination);
    let state = match &destination.pause {
        Some(pause) => {
            let why = escaped(&language.sentence(&pause.reason)).to_string();
            match pause.until_ms > now_ms() {
                true => format!(
                    "<span class=\"chip warn\">{}</span> {}",
                    language.say("waits"),
                    language.fill(
                        "not before {moment} UTC: {why}",
                        &[("moment", &moment(pause.until_ms)), ("why", &why)]
                    )
                ),
                false => format!(
                    "<span class=\"chip warn\">{}</span> {why}",
                    language.say("tried again")
                ),
            }
        }
        None => format!("<span class=\"chip good\">{}</span>", language.say("ready")),
    };
    let retry = match destination.failed > 0 || destination.pause.is_some() {
        true => format!(
            "<form class=\"act\" method=\"post\" action=\"admin/forwarding/retry\"><input type=\"hidden\" name=\"destination\" \
             value=\"{name}\"><button class=\"plain\">{}<span class=\"also\"> {name}</span></button></form>",
            language.say("Try again now")
        ),
        false => String::new(),
    };
    let _ = write!(
        html,
        "<tr><td class=\"patient\"><b>{name}</b></td><td>{state}</td>"
    );
    for (label, count) in [
        ("Not stable", destination.unstable),
        ("Due", destination.due),
        ("Failed", destination.failed),
        ("Sent", destination.sent),
    ] {
        let label = language.say(label);
        let _ = write!(html, "<td data-label=\"{label}\">{count}</td>");
    }
    let _ = write!(html, "<td>{retry}</td></tr>");
}

/// `POST /admin/forwarding/retry`: what goes to one destination is tried again at once.
pub(super) async fn retry(
    request: HttpRequest,
    payload: web::Payload,
    hall: web::Data<Hall>,
) -> Result<HttpResponse, Problem> {
    let caller = deciding(&request, &hall).await?;
    let base = base_url(&request, hall.settings())?;
    let form = bounded_form(&request, hall.settings(), payload, FORM_BYTES_MAX).await?;
    let fields = parameters(&form)?;
    let named = fields.into_iter().find(|(name, _)| name == "destination");
    let (_, destination) =
        named.ok_or_else(|| Problem::bad_request("the form names no destination"))?;
    let (archive, named) = (hall.archive().clone(), destination.clone());
    let known = off_thread(move || archive.destinations()).await??;
    if !known.iter().any(|known| *known.destination == *named) {
        return Err(Problem::not_found());
    }
    let record = caller.record(Event::InstancesTransferred, ActionCode::Execute);
    let record = record.on(format!("destination {destination}"));
    written(&hall, record.saying("what failed is tried again")).await?;
    let archive = hall.archive().clone();
    let retried = off_thread(move || {
        archive.retry(QueuePart {
            destination: Some(&destination),
            study_instance_uid: None,
        })
    });
    retried.await??;
    Ok(HttpResponse::SeeOther()
        .insert_header((header::LOCATION, format!("{base}/admin")))
        .finish())
}
