//! The resources of the Studies Service (PS3.18 Table 10.1-1) and what they answer to, as a table.

use actix_web::http::{Method, StatusCode, header};
use actix_web::{HttpRequest, HttpResponse, web};

use super::call::Call;
use super::{bulkdata, frames, metadata, qido, retrieve, stow};
use crate::dicom::Level;
use crate::http::{Hall, Problem};

/// Where all DICOMweb resources begin.
pub const PREFIX: &str = "/dicom-web";

/// What GET gives.
#[derive(Debug, Clone, Copy)]
enum Get {
    /// QIDO-RS answers of a level.
    Search(Level),
    /// Part 10 files.
    Objects,
    /// DICOM JSON.
    Metadata,
    /// Frames by number.
    Frames,
    /// One bulk value.
    Bulkdata,
    /// Pictures, which this program does not make yet.
    Rendered,
}

/// Whether POST stores.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Post {
    /// STOW-RS.
    Store,
    /// Not allowed.
    No,
}

struct Route {
    path: &'static str,
    get: Get,
    post: Post,
}

const fn route(path: &'static str, get: Get, post: Post) -> Route {
    Route { path, get, post }
}

const ROUTES: &[Route] = &[
    // Search (§10.6, Table 10.6.1-1) and Store (§10.5)
    route("/studies", Get::Search(Level::Study), Post::Store),
    route("/series", Get::Search(Level::Series), Post::No),
    route("/instances", Get::Search(Level::Instance), Post::No),
    route(
        "/studies/{study}/series",
        Get::Search(Level::Series),
        Post::No,
    ),
    route(
        "/studies/{study}/instances",
        Get::Search(Level::Instance),
        Post::No,
    ),
    route(
        "/studies/{study}/series/{series}/instances",
        Get::Search(Level::Instance),
        Post::No,
    ),
    // Retrieve: instances (§10.4.1.1.1)
    route("/studies/{study}", Get::Objects, Post::Store),
    route("/studies/{study}/series/{series}", Get::Objects, Post::No),
    route(
        "/studies/{study}/series/{series}/instances/{instance}",
        Get::Objects,
        Post::No,
    ),
    // Retrieve: metadata (§10.4.1.1.2)
    route("/studies/{study}/metadata", Get::Metadata, Post::No),
    route(
        "/studies/{study}/series/{series}/metadata",
        Get::Metadata,
        Post::No,
    ),
    route(
        "/studies/{study}/series/{series}/instances/{instance}/metadata",
        Get::Metadata,
        Post::No,
    ),
    // Retrieve: bulk data and frames (§10.4.1.1.5, §10.4.1.1.6)
    route(
        "/studies/{study}/series/{series}/instances/{instance}/bulkdata/{path:.+}",
        Get::Bulkdata,
        Post::No,
    ),
    route(
        "/studies/{study}/series/{series}/instances/{instance}/frames/{frames}",
        Get::Frames,
        Post::No,
    ),
    // Retrieve: rendered and thumbnails (§10.4.1.1.3, §10.4.1.1.4)
    route("/studies/{study}/rendered", Get::Rendered, Post::No),
    route("/studies/{study}/thumbnail", Get::Rendered, Post::No),
    route(
        "/studies/{study}/series/{series}/rendered",
        Get::Rendered,
        Post::No,
    ),
    route(
        "/studies/{study}/series/{series}/thumbnail",
        Get::Rendered,
        Post::No,
    ),
    route(
        "/studies/{study}/series/{series}/instances/{instance}/rendered",
        Get::Rendered,
        Post::No,
    ),
    route(
        "/studies/{study}/series/{series}/instances/{instance}/thumbnail",
        Get::Rendered,
        Post::No,
    ),
    route(
        "/studies/{study}/series/{series}/instances/{instance}/frames/{frames}/rendered",
        Get::Rendered,
        Post::No,
    ),
    route(
        "/studies/{study}/series/{series}/instances/{instance}/frames/{frames}/thumbnail",
        Get::Rendered,
        Post::No,
    ),
];

/// Adds all DICOMweb resources to the server.
pub fn configure(config: &mut web::ServiceConfig) {
    let mut scope = web::scope(PREFIX);
    for route in ROUTES {
        let handler = move |hall, request, payload| dispatch(route, hall, request, payload);
        scope = scope.service(web::resource(route.path).to(handler));
    }
    config.service(scope.default_service(web::to(unknown)));
}

async fn unknown() -> Result<HttpResponse, Problem> {
    Err(Problem::new(StatusCode::NOT_FOUND, "no such resource"))
}

async fn dispatch(
    route: &'static Route,
    hall: web::Data<Hall>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Problem> {
    let allow = match route.post {
        Post::Store => "GET, HEAD, POST, OPTIONS",
        Post::No => "GET, HEAD, OPTIONS",
    };
    match *request.method() {
        Method::GET | Method::HEAD => get(route.get, &Call::new(hall, request)?).await,
        Method::POST if route.post == Post::Store => {
            stow::store(&Call::new(hall, request)?, payload).await
        }
        Method::OPTIONS => Ok(HttpResponse::NoContent()
            .insert_header((header::ALLOW, allow))
            .finish()),
        _ => Err(Problem::method_not_allowed(allow)),
    }
}

async fn get(what: Get, call: &Call) -> Result<HttpResponse, Problem> {
    match what {
        Get::Search(level) => qido::search(call, level).await,
        Get::Objects => retrieve::objects(call).await,
        Get::Metadata => metadata::metadata(call).await,
        Get::Frames => frames::frames(call).await,
        Get::Bulkdata => bulkdata::bulkdata(call).await,
        Get::Rendered => Err(Problem::not_acceptable(
            "rendering is not available; ask for frames with transfer-syntax=*",
        )),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_path_stands_twice_and_only_store_resources_take_posts() {
        let paths: HashSet<_> = ROUTES.iter().map(|route| route.path).collect();
        assert_eq!(paths.len(), ROUTES.len());
        let stores: Vec<_> = ROUTES
            .iter()
            .filter(|r| r.post == Post::Store)
            .map(|r| r.path)
            .collect();
        assert_eq!(stores, ["/studies", "/studies/{study}"]);
    }
}
