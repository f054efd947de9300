//! Our own JSON API below `/api/v1`: who is signed in, accounts and tokens, the audit trail, what was given to whom, second opinions, whether a study is complete. What is here is used by our pages and by programs
//! alike, under the same rights; a resource answers in JSON, and errors are problems of the hall (of cases as RFC 9457
//! has them). `/api/v1/openapi.json` describes it.

mod audit;
mod body;
mod cases;
mod evidence;
mod failure;
mod grants;
mod health;
mod inboxes;
mod openapi;
mod quarantine;
mod session;
mod statistics;
mod tokens;
mod uploads;
mod users;

use actix_web::web;

use crate::cases::Cases;

/// Adds `/api/v1/…`, and lets the resources of other doors find the cases.
pub fn configure(cfg: &mut web::ServiceConfig, deed: &Cases) {
    cfg.app_data(web::Data::new(deed.clone()));
    cfg.service(
        web::resource("/api/v1/session")
            .route(web::get().to(session::show))
            .route(web::head().to(session::show))
            .route(web::post().to(session::begin))
            .route(web::delete().to(session::end)),
    )
    .service(
        web::resource("/api/v1/session/passcode").route(web::put().to(session::change_passcode)),
    )
    .service(
        web::resource("/api/v1/health")
            .route(web::get().to(health::show))
            .route(web::head().to(health::show)),
    )
    .service(web::resource("/api/v1/openapi.json").route(web::get().to(openapi::show)))
    .service(
        web::resource("/api/v1/studies/{study}/evidence")
            .route(web::get().to(evidence::show))
            .route(web::head().to(evidence::show)),
    )
    .service(
        web::resource("/api/v1/statistics")
            .route(web::get().to(statistics::show))
            .route(web::head().to(statistics::show)),
    )
    .service(
        web::resource("/api/v1/grants")
            .route(web::post().to(grants::give))
            .route(web::get().to(grants::list)),
    )
    .service(web::resource("/api/v1/grants/{id}").route(web::delete().to(grants::take_back)))
    .service(web::resource("/api/v1/quarantine").route(web::get().to(quarantine::list)))
    .service(web::resource("/api/v1/quarantine/{number}").route(web::get().to(quarantine::show)))
    .service(
        web::resource("/api/v1/quarantine/{number}/accept")
            .route(web::post().to(quarantine::accept)),
    )
    .service(
        web::resource("/api/v1/quarantine/{number}/reject")
            .route(web::post().to(quarantine::reject)),
    )
    .service(
        web::resource("/api/v1/audit")
            .route(web::get().to(audit::search))
            .route(web::head().to(audit::search)),
    )
    .service(
        web::resource("/api/v1/audit/disclosures")
            .route(web::get().to(audit::disclosures))
            .route(web::head().to(audit::disclosures)),
    )
    .service(
        web::resource("/api/v1/users")
            .route(web::get().to(users::list))
            .route(web::head().to(users::list))
            .route(web::post().to(users::make)),
    )
    .service(
        web::resource("/api/v1/users/{name}")
            .route(web::get().to(users::show))
            .route(web::head().to(users::show))
            .route(web::patch().to(users::change)),
    )
    .service(
        web::resource("/api/v1/users/{name}/passcode").route(web::put().to(users::set_passcode)),
    )
    .service(
        web::resource("/api/v1/tokens")
            .route(web::get().to(tokens::list))
            .route(web::head().to(tokens::list))
            .route(web::post().to(tokens::issue)),
    )
    .service(web::resource("/api/v1/tokens/{id}").route(web::delete().to(tokens::revoke)))
    .service(web::resource("/api/v1/uploads").route(web::post().to(uploads::take)))
    .service(
        web::resource("/api/v1/inboxes")
            .route(web::get().to(inboxes::list))
            .route(web::head().to(inboxes::list)),
    )
    .service(
        web::resource("/api/v1/inboxes/{id}")
            .route(web::get().to(inboxes::show))
            .route(web::head().to(inboxes::show)),
    )
    .service(web::resource("/api/v1/inboxes/{id}/case").route(web::put().to(inboxes::tie)))
    .service(
        web::resource("/api/v1/inbox")
            .route(web::get().to(inboxes::own))
            .route(web::head().to(inboxes::own)),
    )
    .service(web::resource("/api/v1/inbox/finished").route(web::post().to(inboxes::finish)))
    .configure(cases::configure);
}
