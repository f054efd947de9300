//! For whoever watches the server: `/healthz` (alive), `/readyz` (can store), `/metrics`.

use std::fmt::Write as _;

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};

use super::{Hall, Problem, off_thread};

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
    let totals = off_thread(move || archive.totals()).await??;
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
    Ok(HttpResponse::Ok()
        .content_type("text/plain; version=0.0.4; charset=utf-8")
        .body(text))
}
