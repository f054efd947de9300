//! `/admin`: whether all is well, how much the archive holds, where studies go on to and what is stuck.

use std::fmt::Write;
use std::sync::Arc;

use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, HttpResponse, web};

use super::health::Health;
use super::parts::{self, Place};
use crate::access::audit::{ActionCode, Event};
use crate::archive::index::Totals;
use crate::archive::queue::{DestinationState, Part as QueuePart, StudyForward};
use crate::cases::Cases;
use crate::dicom::text_form::escaped;
use crate::http::administration::{administrator, deciding};
use crate::http::{Hall, Problem, base_url, bounded_form, now_ms, off_thread, parameters, written};
use crate::web::cases::moment;

/// Studies that are shown of those that wait.
const STUDIES_MAX: usize = 100;
/// Notices that are looked at for why they wait.
const NOTICES_MAX: usize = 200;
/// A form with the name of a destination.
const FORM_BYTES_MAX: usize = 4096;

struct Shown {
    health: Health,
    /// `None` when the index does not answer.
    totals: Option<Totals>,
    /// What goes on to other archives, and the studies that wait for it, where that can be told.
    forwarding: Option<(Vec<DestinationState>, Vec<StudyForward>)>,
}

/// `GET /admin`
pub(super) async fn page(
    request: HttpRequest,
    hall: web::Data<Hall>,
    cases: web::Data<Cases>,
) -> Result<HttpResponse, Problem> {
    let caller = administrator(&request, &hall).await?;
    let (archive, desk) = (hall.archive().clone(), Arc::clone(hall.desk()));
    let is_anybody = !caller.is_known();
    let shown = off_thread(move || {
        let totals = archive.totals();
        let mut health = Health::new();
        health.check_door(is_anybody);
        health.check_room(&archive);
        health.check_index(&totals);
        health.check_ledger(desk.ledger(), now_ms());
        let forwarding = archive.destinations().and_then(|found| {
            let waiting = archive.study_forwards(None, false, STUDIES_MAX)?;
            Ok((found, waiting))
        });
        match &forwarding {
            Ok((found, waiting)) => health.check_forwarding(found, waiting),
            Err(error) => health.unknown("Forwarding", error),
        }
        let notices = cases.ledger().notice_destinations().and_then(|told| {
            let stuck = cases.ledger().deliveries(0, false, NOTICES_MAX)?;
            Ok((told, stuck))
        });
        match &notices {
            Ok((told, stuck)) => health.check_notices(told, stuck),
            Err(error) => health.unknown("Notices", error),
        }
        Shown {
            health,
            totals: totals.ok(),
            forwarding: forwarding.ok(),
        }
    });
    let shown = shown.await?;
    let mut body = parts::begin(Place::Overview, "");
    body.push_str("<h1>Administration</h1>\n");
    shown.health.write(&mut body);
    if let Some(totals) = &shown.totals {
        write_storage(&mut body, totals);
    }
    if let Some((destinations, waiting)) = &shown.forwarding {
        write_forwarding(&mut body, destinations, waiting);
    }
    Ok(parts::page(
        &request,
        &caller,
        StatusCode::OK,
        "Administration",
        "",
        &body,
    ))
}

fn write_storage(html: &mut String, totals: &Totals) {
    html.push_str("<section class=\"card\"><h2>Storage</h2>");
    html.push_str("<dl class=\"facts\">");
    for (name, value) in [
        ("Patients", totals.patients.to_string()),
        ("Studies", totals.studies.to_string()),
        ("Series", totals.series.to_string()),
        ("Instances", totals.instances.to_string()),
        ("Stored", bytes(totals.blob_bytes)),
    ] {
        let _ = write!(html, "<div><dt>{name}</dt><dd>{value}</dd></div>");
    }
    let held = totals.quarantined;
    let _ = writeln!(
        html,
        "</dl>\n<p><a href=\"admin/quarantine\">Quarantine</a>: {}</p></section>",
        match held {
            0 => "nothing is held back.".to_owned(),
            1 => "one instance is held back.".to_owned(),
            held => format!("{held} instances are held back."),
        }
    );
}

fn write_forwarding(
    html: &mut String,
    destinations: &[DestinationState],
    waiting: &[StudyForward],
) {
    html.push_str("<section class=\"card\"><h2>Forwarding</h2>");
    if destinations.is_empty() {
        html.push_str("<p class=\"also\">No rule sends studies on (<code>[forward]</code> in the configuration).</p></section>\n");
        return;
    }
    html.push_str("<table class=\"figures\"><thead><tr><th>Destination</th><th>State</th><th>Not stable</th><th>Due</th><th>Failed</th>\
                   <th>Sent</th><th><span class=\"also\">Again</span></th></tr></thead><tbody>");
    for destination in destinations {
        let name = escaped(&destination.destination);
        let state = match &destination.pause {
            Some(pause) if pause.until_ms > now_ms() => format!(
                "<span class=\"chip warn\">waits</span> not before {} UTC: {}",
                moment(pause.until_ms),
                escaped(&pause.reason)
            ),
            Some(pause) => format!(
                "<span class=\"chip warn\">tried again</span> {}",
                escaped(&pause.reason)
            ),
            None => "<span class=\"chip good\">open</span>".to_owned(),
        };
        let retry = if destination.failed > 0 || destination.pause.is_some() {
            format!(
                "<form class=\"act\" method=\"post\" action=\"admin/forwarding/retry\"><input type=\"hidden\" name=\"destination\" \
                 value=\"{name}\"><button class=\"plain\">Try again now<span class=\"also\"> {name}</span></button></form>"
            )
        } else {
            String::new()
        };
        let _ = write!(
            html,
            "<tr><th scope=\"row\">{name}</th><td>{state}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{retry}</td></tr>",
            destination.unstable, destination.due, destination.failed, destination.sent,
        );
    }
    html.push_str("</tbody></table>");
    if !waiting.is_empty() {
        let _ = write!(
            html,
            "<h3>Studies that wait or have failed <span class=\"also\">{STUDIES_MAX} at most</span></h3><ul class=\"findings\">"
        );
    }
    for study in waiting {
        let uid = study.study_instance_uid.as_str();
        let _ = write!(
            html,
            "<li><a class=\"uid\" href=\"studies/{uid}\">{uid}</a> to {}: {} wait, {} failed, {} sent{}</li>",
            escaped(&study.destination),
            study.waiting,
            study.failed,
            study.sent,
            study
                .reason
                .as_deref()
                .map_or_else(String::new, |why| format!(" · {}", escaped(why))),
        );
    }
    if !waiting.is_empty() {
        html.push_str("</ul>");
    }
    html.push_str("</section>\n");
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

/// A size as people say it, in powers of 1000.
pub(super) fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["bytes", "kB", "MB", "GB", "TB"];
    let (mut whole, mut tenth, mut unit) = (count, 0, 0);
    while whole >= 1000 && unit + 1 < UNITS.len() {
        (whole, tenth) = (whole / 1000, whole % 1000 / 100);
        unit += 1;
    }
    match unit {
        0 => format!("{whole} {}", UNITS[0]),
        _ => format!("{whole}.{tenth} {}", UNITS[unit]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_told_as_people_say_them() {
        for (count, text) in [
            (0, "0 bytes"),
            (999, "999 bytes"),
            (1_000, "1.0 kB"),
            (1_250_000, "1.2 MB"),
            (70_900_000_000, "70.9 GB"),
            (5_000_000_000_000_000, "5000.0 TB"),
        ] {
            assert_eq!(bytes(count), text);
        }
    }
}
