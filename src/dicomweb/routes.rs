//! The resources of the Studies Service (PS3.18 Table 10.1-1) and what they answer to, as a table.
//! Dispatch, `Allow` and the capabilities ([`methods`](super::methods)) are read from it.

use actix_web::http::{Method, StatusCode};
use actix_web::{HttpRequest, HttpResponse, web};

use super::call::Call;
use super::collection::Collection;
use super::path::{self, Named};
use super::{
    bulkdata, capabilities, collection, commitment, frames, metadata, qido, removal, rendered,
    retrieve, stow, wado_uri,
};
use crate::dicom::Level;
use crate::http::{self, Hall, Problem};

/// Where all DICOMweb resources begin.
pub const PREFIX: &str = "/dicom-web";

/// What GET gives.
#[derive(Debug, Clone, Copy)]
pub(super) enum Get {
    /// QIDO-RS answers of a level.
    Search(Level),
    /// Part 10 files.
    Objects,
    /// DICOM JSON or Native XML.
    Metadata,
    /// Frames by number.
    Frames,
    /// One bulk value.
    Bulkdata,
    /// All bulk values, or all pixel data, of a target.
    Collection(Collection),
    /// Pictures, documents as a browser shows them.
    Rendered,
    /// Small pictures.
    Thumbnail,
    /// What became of a request for storage commitment.
    Commitment,
    /// Nothing.
    No,
}

/// What POST does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Post {
    /// STOW-RS.
    Store,
    /// Removes, under the name that viewers know (`…/reject/113001^DCM`).
    Reject,
    /// Asks for storage commitment.
    Commit,
    /// Not allowed.
    No,
}

/// Whether DELETE removes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Delete {
    /// What the path names.
    Target,
    /// Not allowed.
    No,
}

/// A resource.
pub(super) struct Route {
    /// Below [`PREFIX`]; `{name}` stands for one piece, `{name:.+}` for all that follow.
    pub(super) path: &'static str,
    /// What GET and HEAD give.
    pub(super) get: Get,
    /// What POST does.
    pub(super) post: Post,
    /// Whether DELETE removes.
    pub(super) delete: Delete,
}

const fn route(path: &'static str, get: Get) -> Route {
    Route {
        path,
        get,
        post: Post::No,
        delete: Delete::No,
    }
}

impl Route {
    const fn post(self, post: Post) -> Self {
        Self { post, ..self }
    }

    const fn delete(self) -> Self {
        Self {
            delete: Delete::Target,
            ..self
        }
    }

    /// The methods it answers to.
    pub(super) fn allow(&self) -> String {
        let mut allow = Vec::new();
        if !matches!(self.get, Get::No) {
            allow.extend(["GET", "HEAD"]);
        }
        if self.post != Post::No {
            allow.push("POST");
        }
        if self.delete != Delete::No {
            allow.push("DELETE");
        }
        allow.push("OPTIONS");
        allow.join(", ")
    }
}

const STUDY: &str = "/studies/{study}";
const SERIES: &str = "/studies/{study}/series/{series}";
const INSTANCE: &str = "/studies/{study}/series/{series}/instances/{instance}";

#[rustfmt::skip]
pub(super) const ROUTES: &[Route] = &[
    // Search (§10.6, Table 10.6.1-1) and Store (§10.5)
    route("/studies", Get::Search(Level::Study)).post(Post::Store),
    route("/series", Get::Search(Level::Series)),
    route("/instances", Get::Search(Level::Instance)),
    route("/studies/{study}/series", Get::Search(Level::Series)),
    route("/studies/{study}/instances", Get::Search(Level::Instance)),
    route("/studies/{study}/series/{series}/instances", Get::Search(Level::Instance)),
    // Retrieve: instances (§10.4.1.1.1); removal is an extension
    route(STUDY, Get::Objects).post(Post::Store).delete(),
    route(SERIES, Get::Objects).delete(),
    route(INSTANCE, Get::Objects).delete(),
    // Rejection as dcm4chee has it and OHIF asks for it; an extension
    route("/studies/{study}/reject/{code}", Get::No).post(Post::Reject),
    route("/studies/{study}/series/{series}/reject/{code}", Get::No).post(Post::Reject),
    route("/studies/{study}/series/{series}/instances/{instance}/reject/{code}", Get::No).post(Post::Reject),
    // Retrieve: metadata (§10.4.1.1.2)
    route("/studies/{study}/metadata", Get::Metadata),
    route("/studies/{study}/series/{series}/metadata", Get::Metadata),
    route("/studies/{study}/series/{series}/instances/{instance}/metadata", Get::Metadata),
    // Retrieve: bulk data, pixel data and frames (§10.4.1.1.5, §10.4.1.1.6, §10.4.1.1.7)
    route("/studies/{study}/bulkdata", Get::Collection(Collection::Bulkdata)),
    route("/studies/{study}/series/{series}/bulkdata", Get::Collection(Collection::Bulkdata)),
    route("/studies/{study}/series/{series}/instances/{instance}/bulkdata", Get::Collection(Collection::Bulkdata)),
    route("/studies/{study}/pixeldata", Get::Collection(Collection::Pixeldata)),
    route("/studies/{study}/series/{series}/pixeldata", Get::Collection(Collection::Pixeldata)),
    route("/studies/{study}/series/{series}/instances/{instance}/pixeldata", Get::Collection(Collection::Pixeldata)),
    route("/studies/{study}/series/{series}/instances/{instance}/bulkdata/{path:.+}", Get::Bulkdata),
    route("/studies/{study}/series/{series}/instances/{instance}/frames/{frames}", Get::Frames),
    // Retrieve: rendered and thumbnails (§10.4.1.1.3, §10.4.1.1.4)
    route("/studies/{study}/rendered", Get::Rendered),
    route("/studies/{study}/series/{series}/rendered", Get::Rendered),
    route("/studies/{study}/series/{series}/instances/{instance}/rendered", Get::Rendered),
    route("/studies/{study}/series/{series}/instances/{instance}/frames/{frames}/rendered", Get::Rendered),
    route("/studies/{study}/thumbnail", Get::Thumbnail),
    route("/studies/{study}/series/{series}/thumbnail", Get::Thumbnail),
    route("/studies/{study}/series/{series}/instances/{instance}/thumbnail", Get::Thumbnail),
    route("/studies/{study}/series/{series}/instances/{instance}/frames/{frames}/thumbnail", Get::Thumbnail),
    // Storage commitment (§13)
    route("/commitment-requests/{transaction}", Get::Commitment).post(Post::Commit),
];

/// Adds all DICOMweb resources to the server.
pub fn configure(config: &mut web::ServiceConfig) {
    config.service(web::scope(PREFIX).default_service(web::to(resource)));
    config.service(web::resource(wado_uri::PATH).to(wado_uri::answer));
}

/// Finds the resource that the path names.
async fn resource(
    hall: web::Data<Hall>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Problem> {
    let below = request.match_info().unprocessed();
    if below.is_empty() {
        http::name_route(&request, PREFIX);
        return root(hall, request).await;
    }
    let Some((route, name, pieces)) = path::named(below) else {
        return Err(Problem::new(StatusCode::NOT_FOUND, "no such resource"));
    };
    http::name_route(&request, name);
    let before = request.match_info().as_str().len() - below.len();
    let pieces = pieces
        .into_iter()
        .map(|(name, at)| (name, at.start + before..at.end + before));
    let pieces = pieces.collect();
    dispatch(route, hall, request, pieces, payload).await
}

/// The root itself answers to OPTIONS only (§8.9).
async fn root(hall: web::Data<Hall>, request: HttpRequest) -> Result<HttpResponse, Problem> {
    match *request.method() {
        Method::OPTIONS => capabilities::all(&Call::new(hall, request, Named::new())?),
        _ => Err(Problem::method_not_allowed("OPTIONS")),
    }
}

async fn dispatch(
    route: &'static Route,
    hall: web::Data<Hall>,
    request: HttpRequest,
    pieces: Named,
    payload: web::Payload,
) -> Result<HttpResponse, Problem> {
    let method = request.method().clone();
    let is_answered = match method {
        Method::GET | Method::HEAD => !matches!(route.get, Get::No),
        Method::POST => route.post != Post::No,
        Method::DELETE => route.delete == Delete::Target,
        Method::OPTIONS => true,
        _ => false,
    };
    if !is_answered {
        return Err(Problem::method_not_allowed(&route.allow()));
    }
    let call = Call::new(hall, request, pieces)?;
    if method == Method::OPTIONS {
        return Ok(capabilities::of(&call, route));
    }
    let answered = match method {
        Method::POST => post(route.post, &call, payload).await,
        Method::DELETE => removal::remove(&call).await,
        _ => get(route.get, &call).await,
    };
    match answered {
        Ok(response) => Ok(response),
        Err(problem) => Err(removal::missing(&call, problem).await),
    }
}

async fn get(what: Get, call: &Call) -> Result<HttpResponse, Problem> {
    match what {
        Get::Search(level) => qido::search(call, level).await,
        Get::Objects => retrieve::objects(call).await,
        Get::Metadata => metadata::metadata(call).await,
        Get::Frames => frames::frames(call).await,
        Get::Bulkdata => bulkdata::bulkdata(call).await,
        Get::Collection(what) => collection::collection(call, what).await,
        Get::Rendered => rendered::rendered(call).await,
        Get::Thumbnail => rendered::thumbnail(call).await,
        Get::Commitment => commitment::result(call).await,
        Get::No => Err(Problem::not_found()),
    }
}

async fn post(what: Post, call: &Call, payload: web::Payload) -> Result<HttpResponse, Problem> {
    match what {
        Post::Store => stow::store(call, payload).await,
        Post::Reject => removal::reject(call).await,
        Post::Commit => commitment::request(call, payload).await,
        Post::No => Err(Problem::not_found()),
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
