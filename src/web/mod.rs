//! The pages, made on the server; none needs a script: studies by patient and date, a study with a picture of each image, whether
//! it is complete; second opinions ([`cases`]) and what can be learned from them; where files are sent ([`upload`], [`inbox`]); the ways in ([`sign_in`], [`link`]).
//!
//! Every value from a DICOM object passes [`escaped`](crate::dicom::text_form::escaped); a strict Content-Security-Policy
//! stands behind that. Links are relative, so the pages work under any prefix of a proxy.
//!
//! Beside them the quick look ([`look`]), which is made of scripts of ours, and, when it is installed, the viewer ([`viewer`]).

mod account;
mod admin;
mod assets;
mod cases;
mod evidence;
mod frame;
mod html;
mod inbox;
mod inboxes;
mod language;
mod link;
mod look;
mod picture;
mod remove;
mod send;
mod sign_in;
mod statistics;
mod studies;
mod study;
mod tags;
mod texts;
mod upload;
mod viewer;

use std::sync::Arc;

use actix_web::web;

pub use admin::{Caller as NetworkCaller, Destination, Network};
pub use send::Sending;

use crate::access::audit::{ActionCode, AuditOutcome, Event};
use crate::access::{Found, Scope};
use crate::archive::Row;
use crate::dicom::Uid;
use crate::http::{Caller, Hall, Problem, ShownAs, told};

/// Adds `/`, `/sign-in`, `/account`, `/language/…`, `/l/…`, `/studies/…`, `/sending`, `/picture/…`, `/assets/…` and `/viewer/…`.
pub fn configure(cfg: &mut web::ServiceConfig, sending: &Arc<Sending>, network: &Arc<Network>) {
    cfg.app_data(ShownAs(frame::refused))
        .app_data(web::Data::from(Arc::clone(sending)))
        .app_data(web::Data::from(Arc::clone(network)))
        .service(html::resource("/", studies::page))
        .service(html::resource("/sign-in", sign_in::page).route(web::post().to(sign_in::begin)))
        .service(html::resource("/account", account::page).route(web::post().to(account::change)))
        .service(html::resource("/l/{token}", link::page).route(web::post().to(link::open)))
        .service(html::resource("/language/{tag}", language::choose))
        .service(web::resource("/sign-out").route(web::post().to(sign_in::end)))
        .configure(cases::configure)
        .configure(admin::configure)
        .service(html::resource("/studies/{study}/evidence", evidence::page))
        .service(html::resource("/statistics", statistics::page))
        .service(html::resource("/studies/{study}/look", look::page))
        .service(html::resource("/upload", upload::page).route(web::post().to(upload::take)))
        .service(html::resource("/inbox", inbox::page).route(web::post().to(inbox::take)))
        .service(web::resource("/inbox/finished").route(web::post().to(inbox::finish)))
        .service(html::resource("/inboxes", inboxes::page).route(web::post().to(inboxes::make)))
        .service(html::resource("/inboxes/{id}", inboxes::one))
        .service(web::resource("/inboxes/{id}/close").route(web::post().to(inboxes::close)))
        .service(html::resource(
            "/studies/{study}/series/{series}/instances/{instance}/tags",
            tags::page,
        ))
        .service(
            html::resource("/studies/{study}/remove", remove::page)
                .route(web::post().to(remove::take_out)),
        )
        .service(html::resource("/studies/{study}", study::page))
        .service(web::resource("/studies/{study}/send").route(web::post().to(send::begin)))
        .service(html::resource("/sending", send::page))
        .service(web::resource("/sending/{number}/stop").route(web::post().to(send::stop)))
        .service(html::resource(
            "/picture/studies/{study}/series/{series}/instances/{instance}/frames/{frame}",
            picture::picture,
        ))
        .service(html::resource("/assets/{name:.*}", assets::asset))
        .app_data(web::Data::new(viewer::Shelf::default()))
        .service(html::resource("/viewer", viewer::front))
        .service(html::resource("/viewer/{name:.*}", viewer::under));
}

/// Tells the audit trail of which studies a list tells, which is an answer to a search.
async fn tell_found(
    hall: &web::Data<Hall>,
    caller: &Caller,
    place: String,
    rows: &[Row],
) -> Result<(), Problem> {
    if rows.is_empty() || !caller.is_known() {
        return Ok(());
    }
    let mut of = Found::default();
    for row in rows {
        of.take(row.attributes.by_keyword("StudyInstanceUID"));
    }
    let record = caller.record(Event::Query, ActionCode::Execute);
    let record = record.on("search").saying(place);
    told(hall, of.told_in(record)).await
}

/// Tells the audit trail that somebody whom we know looks at a study, or tries to.
async fn tell_accessed(
    hall: &web::Data<Hall>,
    caller: &Caller,
    scope: &Scope,
    study: &Uid,
) -> Result<(), Problem> {
    if !caller.is_known() {
        return Ok(());
    }
    let record = caller
        .record(Event::InstancesAccessed, ActionCode::Read)
        .about(study);
    let record = if scope.holds(study) {
        record
    } else {
        record.ended(AuditOutcome::MinorFailure)
    };
    told(hall, record).await
}
