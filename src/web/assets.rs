//! Files that lie in `/web` and are part of the program.

use actix_web::http::header;
use actix_web::{HttpResponse, web};

use crate::http::Problem;

/// Name in the URL, media type, bytes.
const ASSETS: &[(&str, &str, &[u8])] = &[
    (
        "pages.css",
        "text/css; charset=utf-8",
        include_bytes!("../../web/pages.css"),
    ),
    (
        "icon.svg",
        "image/svg+xml",
        include_bytes!("../../web/icon.svg"),
    ),
];

/// `GET /assets/{name}`
pub(super) async fn asset(name: web::Path<String>) -> Result<HttpResponse, Problem> {
    let (_, media_type, bytes) = ASSETS
        .iter()
        .find(|(known, ..)| **known == **name)
        .ok_or_else(Problem::not_found)?;
    Ok(HttpResponse::Ok()
        .content_type(*media_type)
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; style-src 'unsafe-inline'",
        ))
        .insert_header((header::CACHE_CONTROL, "public, max-age=300"))
        .body(*bytes))
}
