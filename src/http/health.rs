//! For whoever watches the server: `/healthz` (alive), `/readyz` (can store), `/metrics`.

use std::fmt::Write as _;

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};

use super::{Hall, Problem, off_thread};
use crate::archive::Error;
use crate::archive::queue::DestinationState;

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

async fn metrics(hall: web::Data<Hall>) -> Result<HttpResponse, Problem> {
    let archive = hall.archive().clone();
    let counted = off_thread(move || Ok::<_, Error>((archive.totals()?, archive.destinations()?)));
    let (totals, destinations) = counted.await??;
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
    Ok(HttpResponse::Ok()
        .content_type("text/plain; version=0.0.4; charset=utf-8")
        .body(text))
}

/// What goes on to other archives, by destination, as the configuration names it.
fn write_destinations(destinations: &[DestinationState], text: &mut String) {
    type Value = fn(&DestinationState) -> u64;
    let families: [(&str, &str, Value); 5] = [
        ("forward_unstable", "gauge", |d| d.unstable),
        ("forward_due", "gauge", |d| d.due),
        ("forward_failed", "gauge", |d| d.failed),
        ("forward_paused", "gauge", |d| d.pause.is_some().into()),
        ("forward_sent_total", "counter", |d| d.sent),
    ];
    if destinations.is_empty() {
        return;
    }
    for (name, kind, value) in families {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "# TYPE overread_{name} {kind}");
        for destination in destinations {
            let label = escaped(&destination.destination);
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
