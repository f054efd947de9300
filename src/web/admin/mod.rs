//! Pages for administrators: how the archive is ([`overview`], [`health`]), whom it knows of the DICOM network ([`network`]), who may do what in it ([`users`], [`user`], [`tokens`]),
//! what was done in it ([`trail`]), and what was held back ([`quarantine`]). Lists and forms: none needs a script.

mod health;
mod network;
mod overview;
mod parts;
mod quarantine;
mod tokens;
mod trail;
mod user;
mod users;

use actix_web::web;

pub use network::{Caller, Destination, Network};
pub(super) use parts::{Fields, passcode, roles, write_passcode};

use crate::web::html;

/// Adds `/admin` and what is below.
pub(super) fn configure(cfg: &mut web::ServiceConfig) {
    cfg.service(html::resource("/admin", overview::page))
        .service(web::resource("/admin/forwarding/retry").route(web::post().to(overview::retry)))
        .service(html::resource("/admin/users", users::page).route(web::post().to(users::make)))
        .service(html::resource("/admin/users/{name}", user::page).route(web::post().to(user::act)))
        .service(html::resource("/admin/tokens", tokens::page).route(web::post().to(tokens::issue)))
        .service(web::resource("/admin/tokens/{id}/revoke").route(web::post().to(tokens::revoke)))
        .service(html::resource("/admin/audit", trail::search))
        .service(html::resource(
            "/admin/audit/disclosures",
            trail::disclosures,
        ))
        .service(
            html::resource("/admin/network", network::page).route(web::post().to(network::echo)),
        )
        .service(html::resource("/admin/quarantine", quarantine::list))
        .service(
            html::resource("/admin/quarantine/{number}", quarantine::page)
                .route(web::post().to(quarantine::decide)),
        );
}
