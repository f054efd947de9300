//! What each method of a resource takes and gives, as tables (PS3.18 Annex H): the source of the
//! capabilities and of the table in the conformance statement. A media type stands here when it is
//! given of some object; compressed frames, video and documents have their own besides.

use serde::Serialize;

use super::collection::Collection;
use super::routes::{Delete, Get, Post, Put, ROUTES, Route};
use super::ups::Deed;
use crate::dicom::{ATTRIBUTES, Level, SEQUENCES};
use crate::worklist::REQUIREMENTS;

/// A method of a resource.
#[derive(Debug, Serialize)]
pub(super) struct Method {
    /// `GET`, `POST`, `PUT` or `DELETE`.
    pub(super) name: &'static str,
    /// A name for it in the document.
    pub(super) id: String,
    /// Query parameters that it understands.
    #[serde(rename = "param")]
    pub(super) parameters: Vec<String>,
    /// Media types of the request's body.
    #[serde(rename = "request")]
    pub(super) takes: &'static [&'static str],
    /// Media types of the response's body, the default first.
    #[serde(rename = "response")]
    pub(super) gives: &'static [&'static str],
    /// The statuses of success.
    #[serde(rename = "status")]
    pub(super) statuses: &'static [u16],
    /// Whether it removes.
    #[serde(skip)]
    pub(super) removes: bool,
}

/// Parameters that every GET understands (§8.3.3, §8.8).
const COMMON: &[&str] = &["accept", "charset"];

/// Those of a search besides attributes (§8.3.4).
const SEARCH: &[&str] = &[
    "limit",
    "offset",
    "includefield",
    "fuzzymatching",
    "emptyvaluematching",
    "multiplevaluematching",
];

const DATASETS: &[&str] = &[
    "application/dicom+json",
    "multipart/related; type=\"application/dicom+xml\"",
    "application/json",
];
const FILES: &[&str] = &[
    "multipart/related; type=\"application/dicom\"",
    "multipart/related; type=\"application/octet-stream\"",
    "application/zip",
];
const FILE: &[&str] = &[
    "multipart/related; type=\"application/dicom\"",
    "application/dicom",
    "multipart/related; type=\"application/octet-stream\"",
    "application/zip",
];
const STORED: &[&str] = &[
    "multipart/related; type=\"application/dicom\"",
    "application/dicom",
    "multipart/related; type=\"application/dicom+json\"",
    "multipart/related; type=\"application/dicom+xml\"",
];
/// One data set, in a body of its own.
const ONE_DATASET: &[&str] = &[
    "application/dicom+json",
    "application/dicom+xml",
    "application/json",
];
/// One data set, in a body or a part of its own.
const WORKITEM: &[&str] = &[
    "application/dicom+json",
    "application/json",
    "application/dicom+xml",
    "multipart/related; type=\"application/dicom+json\"",
    "multipart/related; type=\"application/dicom+xml\"",
];
const WORKITEM_GIVEN: &[&str] = &[
    "application/dicom+json",
    "multipart/related; type=\"application/dicom+xml\"",
    "application/dicom+xml",
    "application/json",
];
const OCTETS: &[&str] = &["multipart/related; type=\"application/octet-stream\""];
const OCTETS_OR_ONE: &[&str] = &[
    "multipart/related; type=\"application/octet-stream\"",
    "application/octet-stream",
];

/// A method of a resource, in words for the conformance statement.
#[derive(Debug)]
pub struct Resource {
    /// Its path below [`PREFIX`](super::PREFIX).
    pub path: String,
    /// `GET`, `POST`, `PUT` or `DELETE`.
    pub method: &'static str,
    /// Media types of the request's body.
    pub takes: &'static [&'static str],
    /// Media types of the response's body, the default first.
    pub gives: &'static [&'static str],
    /// The statuses of success.
    pub statuses: &'static [u16],
}

/// All resources with their methods.
#[must_use]
pub fn resources() -> Vec<Resource> {
    let of_route = |route: &Route| {
        let path = shown(route);
        methods(route).into_iter().map(move |method| Resource {
            path: path.clone(),
            method: method.name,
            takes: method.takes,
            gives: method.gives,
            statuses: method.statuses,
        })
    };
    ROUTES.iter().flat_map(of_route).collect()
}

/// The path as a client sees it.
fn shown(route: &Route) -> String {
    route.path.replace("{path:.+}", "{path}")
}

const PICTURE: &[&str] = &[
    "image/jpeg",
    "image/png",
    "image/gif",
    "multipart/related; type=\"image/jpeg\"",
    "multipart/related; type=\"image/png\"",
    "multipart/related; type=\"image/gif\"",
];
/// Pictures, and reports as a browser shows them.
const PICTURE_OR_TEXT: &[&str] = &[
    "image/jpeg",
    "image/png",
    "image/gif",
    "text/html",
    "text/plain",
    "multipart/related; type=\"image/jpeg\"",
    "multipart/related; type=\"image/png\"",
    "multipart/related; type=\"image/gif\"",
];
const PICTURES: &[&str] = &[
    "multipart/related; type=\"image/jpeg\"",
    "multipart/related; type=\"image/png\"",
    "multipart/related; type=\"image/gif\"",
];
const THUMBNAIL: &[&str] = &["image/jpeg", "image/png", "image/gif"];

/// Those of pictures (§8.3.5), and `overlays`, which is ours.
const RENDERING: &[&str] = &[
    "annotation",
    "quality",
    "viewport",
    "window",
    "iccprofile",
    "overlays",
];

/// The methods of a resource.
pub(super) fn methods(route: &Route) -> Vec<Method> {
    let mut methods = Vec::new();
    let gives = given(route);
    if !gives.is_empty() {
        methods.push(Method {
            name: "GET",
            id: id("GET", route),
            parameters: parameters(route),
            takes: &[],
            gives,
            statuses: match route.get {
                Get::Search(_) | Get::Workitems => &[200, 204],
                _ => &[200],
            },
            removes: false,
        });
    }
    let (takes, gives, statuses): (&'static [_], &'static [_], &'static [u16]) = match route.post {
        Post::Store => (STORED, ONE_DATASET, &[200, 202]),
        Post::Commit => (ONE_DATASET, ONE_DATASET, &[200]),
        Post::Reject => (&[], &[], &[204]),
        Post::Workitem(Deed::Create) => (WORKITEM, &[], &[201]),
        Post::Workitem(Deed::Update) => (WORKITEM, &[], &[200]),
        Post::Workitem(Deed::RequestCancellation) => (WORKITEM, &[], &[202]),
        Post::Workitem(Deed::Subscribe) => (&[], &[], &[201]),
        Post::Workitem(Deed::Suspend) => (&[], &[], &[200]),
        Post::No => (&[], &[], &[]),
    };
    if !statuses.is_empty() {
        methods.push(Method {
            name: "POST",
            id: id("POST", route),
            parameters: match route.post {
                Post::Workitem(Deed::Create) => vec!["workitem".to_owned()],
                Post::Workitem(Deed::Update) => vec!["transaction-uid".to_owned()],
                Post::Workitem(Deed::Subscribe) => {
                    vec!["deletionlock".to_owned(), "filter".to_owned()]
                }
                _ => Vec::new(),
            },
            takes,
            gives,
            statuses,
            removes: route.post == Post::Reject,
        });
    }
    if route.put == Put::State {
        methods.push(Method {
            name: "PUT",
            id: id("PUT", route),
            parameters: Vec::new(),
            takes: WORKITEM,
            gives: &[],
            statuses: &[200],
            removes: false,
        });
    }
    if route.delete == Delete::Subscription {
        methods.push(Method {
            name: "DELETE",
            id: id("DELETE", route),
            parameters: Vec::new(),
            takes: &[],
            gives: &[],
            statuses: &[200],
            removes: false,
        });
    }
    if route.delete == Delete::Target {
        methods.push(Method {
            name: "DELETE",
            id: id("DELETE", route),
            parameters: Vec::new(),
            takes: &[],
            gives: &[],
            statuses: &[204],
            removes: true,
        });
    }
    methods
}

/// What GET gives; nothing where there is no GET.
fn given(route: &Route) -> &'static [&'static str] {
    let is_one = route.path.contains("{instance}");
    match route.get {
        Get::Search(_) | Get::Metadata | Get::Workitems => DATASETS,
        Get::Workitem => WORKITEM_GIVEN,
        Get::Commitment => ONE_DATASET,
        Get::Objects if is_one => FILE,
        Get::Objects => FILES,
        Get::Frames | Get::Bulkdata => OCTETS_OR_ONE,
        Get::Collection(Collection::Bulkdata | Collection::Pixeldata) => OCTETS,
        Get::Rendered if route.path.contains("{frames}") => PICTURE,
        Get::Rendered if is_one => PICTURE_OR_TEXT,
        Get::Rendered => PICTURES,
        Get::Thumbnail => THUMBNAIL,
        Get::No => &[],
    }
}

fn parameters(route: &Route) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    if let Get::Search(level) = route.get {
        names.extend(SEARCH.iter().map(|name| (*name).to_owned()));
        if level == Level::Study {
            names.push("orderby".to_owned());
        }
        // What the path names already is no key any more (Table 10.6.1-4).
        let is_key = |of: Level| {
            of <= level
                && match of {
                    Level::Patient | Level::Study => !route.path.contains("{study}"),
                    Level::Series => !route.path.contains("{series}"),
                    Level::Instance => true,
                }
        };
        let attributes = ATTRIBUTES.iter().filter(|a| is_key(a.level));
        names.extend(attributes.map(|attribute| attribute.keyword.to_owned()));
        if is_key(Level::Study) {
            names.push("ModalitiesInStudy".to_owned());
        }
        for sequence in SEQUENCES.iter().filter(|s| is_key(s.level)) {
            let items = sequence.items.iter();
            names.extend(items.map(|(_, keyword, _)| format!("{}.{keyword}", sequence.keyword)));
        }
    }
    if matches!(route.get, Get::Workitems) {
        names.extend(SEARCH.iter().map(|name| (*name).to_owned()));
        let keys = REQUIREMENTS.iter().filter(|row| row.is_returned);
        names.extend(keys.map(|row| row.keyword.to_owned()));
    }
    let others = match route.get {
        Get::Rendered => RENDERING,
        Get::Thumbnail => &["viewport"],
        _ => &[],
    };
    names.extend(others.iter().chain(COMMON).map(|name| (*name).to_owned()));
    names
}

/// Unique, and a name in XML: the method and the pieces of the path.
fn id(method: &str, route: &Route) -> String {
    let pieces = shown(route).trim_matches('/').replace('/', ".");
    format!("{method}.{}", pieces.replace(['{', '}'], "_"))
}
