//! For whoever watches the server: `/healthz` (alive), `/readyz` (can store), `/metrics`.

use std::fmt::Write as _;

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};

use super::{Caller, Hall, Problem, off_thread};
use crate::access::Action;
use crate::archive::Error;
use crate::archive::queue::DestinationState;
use crate::cases::Cases;
use crate::cases::notices::NoticeDestination;

pub(super) fn configure(config: &mut web::ServiceConfig) {
    config
        .service(web::resource("/healthz").get(alive).head(alive))
        .service(web::resource("/readyz").get(ready).head(ready))
        .service(web::resource("/metrics").get(metrics).head(metrics));
}

async fn alive() -> HttpResponse {
    HttpResponse::Ok()
        .content_type(mime::TEXT_PLAIN_UTF_8)
        .body("ok\n")
}

async fn ready(hall: web::Data<Hall>) -> Result<HttpResponse, Problem> {
    let archive = hall.archive().clone();
    match off_thread(move || archive.check_room()).await? {
        Ok(()) => Ok(alive().await),
        Err(error) => Err(Problem::from(error).with_status(StatusCode::SERVICE_UNAVAILABLE)),
    }
}

async fn metrics(request: HttpRequest, hall: web::Data<Hall>) -> Result<HttpResponse, Problem> {
    Caller::of(&request)?.admit(&hall, Action::Watch).await?;
    let archive = hall.archive().clone();
    let counted = off_thread(move || Ok::<_, Error>((archive.totals()?, archive.destinations()?)));
    let (totals, destinations) = counted.await??;
    let told = match request.app_data::<web::Data<Cases>>() {
        Some(cases) => {
            let ledger = cases.ledger().clone();
            off_thread(move || ledger.notice_destinations()).await??
        }
        None => Vec::new(),
    };
    let mut text = String::new();
    hall.counts().write(&mut text);
    let gauges = [
        ("patients", totals.patients),
        ("studies", totals.studies),
        ("series", totals.series),
        ("instances", totals.instances),
        ("blob_bytes", totals.blob_bytes),
        ("quarantined", totals.quarantined),
        (
            "uploads",
            u64::try_from(hall.uploads_running()).unwrap_or(u64::MAX),
        ),
    ];
    for (name, value) in gauges {
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "# TYPE overread_{name} gauge\noverread_{name} {value}"
        );
    }
    write_destinations(&destinations, &mut text);
    write_notices(&told, &mut text);
    Ok(HttpResponse::Ok()
        .content_type("text/plain; version=0.0.4; charset=utf-8")
        .body(text))
}

/// What goes on to other archives, by destination, as the configuration names it.
fn write_destinations(destinations: &[DestinationState], text: &mut String) {
    let families: [Family<DestinationState>; 5] = [
        ("forward_unstable", "gauge", |d| d.unstable),
        ("forward_due", "gauge", |d| d.due),
        ("forward_failed", "gauge", |d| d.failed),
        ("forward_paused", "gauge", |d| d.pause.is_some().into()),
        ("forward_sent_total", "counter", |d| d.sent),
    ];
    write_families(&families, destinations, |d| &d.destination, text);
}

/// What is told of cases, by webhook, or "email".
fn write_notices(destinations: &[NoticeDestination], text: &mut String) {
    let families: [Family<NoticeDestination>; 4] = [
        ("notices_waiting", "gauge", |d| d.waiting),
        ("notices_failed", "gauge", |d| d.failed),
        ("notices_paused", "gauge", |d| d.pause.is_some().into()),
        ("notices_delivered_total", "counter", |d| d.delivered),
    ];
    write_families(&families, destinations, |d| &d.name, text);
}

/// The name of a metric, its kind, and its value.
type Family<T> = (&'static str, &'static str, fn(&T) -> u64);

fn write_families<T>(
    families: &[Family<T>],
    destinations: &[T],
    name_of: fn(&T) -> &str,
    text: &mut String,
) {
    if destinations.is_empty() {
        return;
    }
    for (name, kind, value) in families {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "# TYPE overread_{name} {kind}");
        for destination in destinations {
            let label = escaped(name_of(destination));
            let value = value(destination);
            let _ = writeln!(text, "overread_{name}{{destination=\"{label}\"}} {value}");
        }
    }
}

/// The value of a label, as the Prometheus text format wants it.
fn escaped(label: &str) -> String {
    label
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn destinations_are_told_by_name() {
        let destination = DestinationState {
            destination: "a\"b\\c".into(),
            due: 7,
            sent: 9,
            ..DestinationState::default()
        };
        let mut text = String::new();
        write_destinations(&[destination], &mut text);
        assert!(text.contains("overread_forward_due{destination=\"a\\\"b\\\\c\"} 7\n"));
        assert!(text.contains("# TYPE overread_forward_sent_total counter\n"));
        assert!(text.contains("overread_forward_paused{destination=\"a\\\"b\\\\c\"} 0\n"));
    }
}
