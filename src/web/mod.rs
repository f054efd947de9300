//! The plain first pages: studies by patient and date, a study with a picture of each image, made
//! on the server, without scripts. The full pages, which use DICOMweb and our own API, come later.
//!
//! Every value from a DICOM object passes [`escaped`](crate::dicom::text_form::escaped); a strict Content-Security-Policy
//! stands behind that. Links are relative, so the pages work under any prefix of a proxy.
//!
//! Beside them, when it is installed, the viewer ([`viewer`]).

mod assets;
mod html;
mod picture;
mod send;
mod studies;
mod study;
mod viewer;

use std::sync::Arc;

use actix_web::web;

pub use send::Sending;

/// Adds `/`, `/studies/…`, `/sending`, `/picture/…`, `/assets/…` and `/viewer/…`.
pub fn configure(cfg: &mut web::ServiceConfig, sending: &Arc<Sending>) {
    cfg.app_data(web::Data::from(Arc::clone(sending)))
        .service(html::resource("/", studies::page))
        .service(html::resource("/studies/{study}", study::page))
        .service(web::resource("/studies/{study}/send").route(web::post().to(send::begin)))
        .service(html::resource("/sending", send::page))
        .service(web::resource("/sending/{number}/stop").route(web::post().to(send::stop)))
        .service(html::resource(
            "/picture/studies/{study}/series/{series}/instances/{instance}/frames/{frame}",
            picture::picture,
        ))
        .service(html::resource("/assets/{name}", assets::asset))
        .app_data(web::Data::new(viewer::Shelf::default()))
        .service(html::resource("/viewer", viewer::front))
        .service(html::resource("/viewer/{name:.*}", viewer::under));
}
