//! The resources of the Studies Service (PS3.18 Table 10.1-1) and what they answer to, as a table.
//! Dispatch, `Allow` and the capabilities ([`methods`](super::methods)) are read from it.

use actix_web::http::{Method, StatusCode};
use actix_web::{HttpRequest, HttpResponse, web};

use super::call::Call;
use super::collection::Collection;
use super::path::{self, Named};
use super::ups::Deed;
use super::{
    bulkdata, capabilities, collection, commitment, frames, metadata, qido, removal, rendered,
    retrieve, stow, ups, wado_uri,
};
use crate::access::audit::AuditOutcome;
use crate::access::{Action, Found};
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
    /// Workitems that match.
    Workitems,
    /// One workitem.
    Workitem,
    /// Nothing.
    No,
}

impl Get {
    /// Whether that is more than is needed to look at a study: what a viewer shows, value by value, is not.
    fn is_whole(self, call: &Call) -> bool {
        match self {
            Self::Objects | Self::Collection(_) => true,
            Self::Bulkdata => bulkdata::is_document(call.path_piece("path")),
            _ => false,
        }
    }
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
    /// Something with workitems.
    Workitem(ups::Deed),
    /// Not allowed.
    No,
}

/// Whether DELETE removes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Delete {
    /// What the path names.
    Target,
    /// The subscription that the path names.
    Subscription,
    /// Not allowed.
    No,
}

/// What PUT does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Put {
    /// Changes the state of a workitem.
    State,
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
    /// What PUT does.
    pub(super) put: Put,
}

const fn route(path: &'static str, get: Get) -> Route {
    Route {
        path,
        get,
        post: Post::No,
        delete: Delete::No,
        put: Put::No,
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

    const fn unsubscribe(self) -> Self {
        Self {
            delete: Delete::Subscription,
            ..self
        }
    }

    const fn put(self) -> Self {
        Self {
            put: Put::State,
            ..self
        }
    }

    /// What a method does, for the table of rights.
    fn action(&self, method: &Method) -> Action {
        match (method, self.post) {
            (&Method::PUT, _) | (&Method::POST, Post::Workitem(Deed::Update)) => Action::Work,
            (&Method::POST, Post::Workitem(Deed::Create)) => Action::Request,
            (&Method::POST, Post::Workitem(Deed::RequestCancellation)) => Action::Cancel,
            // Whose events they may have is decided below.
            (&Method::POST, Post::Workitem(Deed::Subscribe | Deed::Suspend)) => Action::Find,
            (&Method::DELETE, _) if self.delete == Delete::Subscription => Action::Find,
            (&Method::DELETE, _) | (&Method::POST, Post::Reject) => Action::Remove,
            (&Method::POST, Post::Store | Post::Commit | Post::No) => Action::Store,
            _ => match self.get {
                Get::Search(_) | Get::Workitems | Get::Workitem => Action::Find,
                // Its answer is for who stored.
                Get::Commitment => Action::Store,
                _ => Action::Retrieve,
            },
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
        if self.put != Put::No {
            allow.push("PUT");
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
    // Worklist (§11); a requester in the path is dcm4chee's way to say who asks
    route("/workitems", Get::Workitems).post(Post::Workitem(Deed::Create)),
    route("/workitems/{workitem}", Get::Workitem).post(Post::Workitem(Deed::Update)),
    route("/workitems/{workitem}/state", Get::No).put(),
    route("/workitems/{workitem}/state/{requester}", Get::No).put(),
    route("/workitems/{workitem}/cancelrequest", Get::No).post(Post::Workitem(Deed::RequestCancellation)),
    route("/workitems/{workitem}/cancelrequest/{requester}", Get::No).post(Post::Workitem(Deed::RequestCancellation)),
    route("/workitems/{workitem}/subscribers/{aet}", Get::No).post(Post::Workitem(Deed::Subscribe)).unsubscribe(),
    route("/workitems/{workitem}/subscribers/{aet}/suspend", Get::No).post(Post::Workitem(Deed::Suspend)),
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
        Method::PUT => route.put != Put::No,
        Method::DELETE => route.delete != Delete::No,
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
    let action = route.action(&method);
    let call = match call.admit(action).await {
        Ok(call) => call,
        Err(problem) if matches!(method, Method::GET | Method::HEAD) => return Err(problem),
        // What it may have as a body is unread.
        Err(problem) => return Err(problem.and_close()),
    };
    let answered = match method {
        Method::POST => post(route.post, &call, payload).await,
        Method::PUT => ups::change_state(&call, payload).await,
        Method::DELETE if route.delete == Delete::Subscription => ups::unsubscribe(&call).await,
        Method::DELETE => removal::remove(&call).await,
        _ => get(route.get, &call).await,
    };
    let study = call.path_uid("study").ok().flatten();
    match answered {
        // Told where it is done, with its studies and patient.
        Ok(response) if action == Action::Find && matches!(route.get, Get::Workitem) => {
            Ok(response)
        }
        Ok(mut response) => {
            let found = response.extensions_mut().remove::<Found>();
            match found {
                Some(found) => call.tell_found(&found).await?,
                None => {
                    let study = study.as_ref();
                    call.tell(action, study, AuditOutcome::Success).await?;
                }
            }
            Ok(response)
        }
        Err(problem) => {
            let failed = AuditOutcome::MinorFailure;
            call.tell(action, study.as_ref(), failed).await?;
            Err(removal::missing(&call, problem).await)
        }
    }
}

async fn get(what: Get, call: &Call) -> Result<HttpResponse, Problem> {
    if what.is_whole(call)
        && let Some(study) = call.path_uid("study")?
    {
        call.check_download(&study)?;
    }
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
        Get::Workitems => ups::search(call).await,
        Get::Workitem => ups::retrieve(call).await,
        Get::No => Err(Problem::not_found()),
    }
}

async fn post(what: Post, call: &Call, payload: web::Payload) -> Result<HttpResponse, Problem> {
    match what {
        Post::Store => stow::store(call, payload).await,
        Post::Reject => removal::reject(call).await,
        Post::Commit => commitment::request(call, payload).await,
        Post::Workitem(deed) => ups::post(call, deed, payload).await,
        Post::No => Err(Problem::not_found()),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_method_has_its_right() {
        let of_workitem = |route: &&Route| route.path.starts_with("/workitems");
        for route in ROUTES.iter().filter(|route| !of_workitem(route)) {
            let search = matches!(route.get, Get::Search(_));
            let read = route.action(&Method::GET);
            assert_eq!(read == Action::Find, search, "{}", route.path);
            assert_eq!(route.action(&Method::HEAD), read, "{}", route.path);
            assert_eq!(route.action(&Method::DELETE), Action::Remove);
            let posted = route.action(&Method::POST);
            assert_eq!(
                posted == Action::Remove,
                route.post == Post::Reject,
                "{}",
                route.path
            );
        }
    }

    #[test]
    fn every_method_of_a_workitem_has_its_right() {
        const RIGHTS: &[(&str, &str, Action)] = &[
            ("GET", "/workitems", Action::Find),
            ("POST", "/workitems", Action::Request),
            ("GET", "/workitems/{workitem}", Action::Find),
            ("POST", "/workitems/{workitem}", Action::Work),
            ("PUT", "/workitems/{workitem}/state", Action::Work),
            (
                "POST",
                "/workitems/{workitem}/cancelrequest",
                Action::Cancel,
            ),
            // Whose events they may have is `worklist::Caller::may_receive_for`.
            (
                "POST",
                "/workitems/{workitem}/subscribers/{aet}",
                Action::Find,
            ),
            (
                "DELETE",
                "/workitems/{workitem}/subscribers/{aet}",
                Action::Find,
            ),
            (
                "POST",
                "/workitems/{workitem}/subscribers/{aet}/suspend",
                Action::Find,
            ),
        ];
        for route in ROUTES.iter().filter(|r| r.path.starts_with("/workitems")) {
            let path = route.path.trim_end_matches("/{requester}");
            for method in route.allow().split(", ") {
                let method = Method::from_bytes(method.as_bytes()).unwrap();
                let like = match method {
                    Method::OPTIONS => continue,
                    Method::HEAD => "GET",
                    _ => method.as_str(),
                };
                let row = RIGHTS.iter().find(|row| (row.0, row.1) == (like, path));
                let right = row.map(|row| row.2);
                assert_eq!(right, Some(route.action(&method)), "{method} {path}");
            }
        }
    }

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
