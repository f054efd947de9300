//! Retrieve Capabilities (PS3.18 §8.9, Annex H): the table of routes as a WADL document, or the same
//! tree as JSON. OPTIONS of the root describes everything; OPTIONS of a resource describes it and what
//! lies below it when the request names one of these media types, and else says what is allowed.

use actix_web::HttpResponse;
use actix_web::http::header::{self, HeaderMap};
use serde::Serialize;

use super::accept::{Offer, Packing};
use super::call::Call;
use super::media::{JSON, MediaType, split};
use super::methods::{Method, methods};
use super::routes::{ROUTES, Route};
use crate::http::Problem;

const WADL: &str = "application/vnd.sun.wadl+xml";
const XML: &str = "application/xml";

/// `resources` of the document.
#[derive(Serialize)]
struct Resources<'a> {
    base: &'a str,
    resource: Vec<Resource<'a>>,
}

#[derive(Serialize)]
struct Resource<'a> {
    /// One piece of the path; `{name}` stands for a value.
    path: &'a str,
    method: Vec<Method>,
    resource: Vec<Self>,
}

/// Answers OPTIONS of the root.
pub(super) fn all(call: &Call) -> Result<HttpResponse, Problem> {
    const OFFERS: [Offer<'static>; 3] = [
        Offer::plain(Packing::Single, WADL),
        Offer::plain(Packing::Single, JSON),
        Offer::plain(Packing::Single, XML),
    ];
    let media = if call.headers().contains_key(header::ACCEPT) {
        let accept = call.accept()?;
        let offer = accept.choose(&OFFERS).ok_or_else(|| {
            Problem::not_acceptable(
                "capabilities are available as application/vnd.sun.wadl+xml and application/json",
            )
        })?;
        offer.essence
    } else {
        WADL
    };
    Ok(answer(call, "", "OPTIONS", media))
}

/// Answers OPTIONS of a resource.
pub(super) fn of(call: &Call, route: &Route) -> HttpResponse {
    match named(call.headers()) {
        Some(media) => answer(call, route.path, &route.allow(), media),
        None => HttpResponse::NoContent()
            .insert_header((header::ALLOW, route.allow()))
            .finish(),
    }
}

/// The first of our media types that an Accept header names.
fn named(headers: &HeaderMap) -> Option<&'static str> {
    let lines = headers.get_all(header::ACCEPT);
    let members = lines.filter_map(|line| line.to_str().ok());
    members
        .flat_map(|line| split(line, b','))
        .filter_map(MediaType::parse)
        .find_map(|asked| {
            [WADL, JSON]
                .into_iter()
                .find(|media| asked.essence == *media)
        })
}

fn answer(call: &Call, below: &str, allow: &str, media: &'static str) -> HttpResponse {
    let with_removal = call.hall().settings().allow_delete;
    let resources = Resources {
        base: &call.base,
        resource: tree(below, with_removal),
    };
    let body = if media == JSON {
        json(&resources)
    } else {
        wadl(&resources)
    };
    HttpResponse::Ok()
        .insert_header((header::ALLOW, allow))
        .insert_header((header::VARY, "Accept"))
        .content_type(media)
        .body(body)
}

/// The routes at or below a path, as a tree by the pieces of their paths.
fn tree(below: &str, with_removal: bool) -> Vec<Resource<'static>> {
    let mut roots = Vec::new();
    for route in ROUTES {
        let is_meant = route
            .path
            .strip_prefix(below)
            .is_some_and(|rest| rest.is_empty() || below.is_empty() || rest.starts_with('/'));
        let mut methods = methods(route);
        methods.retain(|method| with_removal || !method.removes);
        if is_meant && !methods.is_empty() {
            place(&mut roots, route, methods);
        }
    }
    roots
}

fn place(roots: &mut Vec<Resource<'static>>, route: &'static Route, methods: Vec<Method>) {
    let mut siblings = roots;
    let mut pieces = route.path.trim_start_matches('/').split('/').peekable();
    let mut methods = Some(methods);
    while let Some(piece) = pieces.next() {
        // `{path:.+}` is a matter of ours; a client sees `{path}`.
        let piece = plain(piece);
        let at = match siblings.iter().position(|known| known.path == piece) {
            Some(at) => at,
            None => {
                siblings.push(Resource {
                    path: piece,
                    method: Vec::new(),
                    resource: Vec::new(),
                });
                siblings.len() - 1
            }
        };
        let here = &mut siblings[at];
        if pieces.peek().is_none() {
            here.method = methods.take().unwrap_or_default();
        }
        siblings = &mut here.resource;
    }
}

fn plain(piece: &'static str) -> &'static str {
    match piece {
        "{path:.+}" => "{path}",
        other => other,
    }
}

fn json(resources: &Resources<'_>) -> String {
    #[derive(Serialize)]
    struct Document<'a> {
        application: Application<'a>,
    }
    #[derive(Serialize)]
    struct Application<'a> {
        resources: &'a Resources<'a>,
    }
    let document = Document {
        application: Application { resources },
    };
    serde_json::to_string(&document).expect("texts and lists have a JSON form")
}

fn wadl(resources: &Resources<'_>) -> String {
    let mut out = String::from(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<application xmlns=\"http://wadl.dev.java.net/2009/02\" \
         xmlns:xs=\"http://www.w3.org/2001/XMLSchema\">\n",
    );
    open(&mut out, 1, "resources", &[("base", resources.base)], false);
    for resource in &resources.resource {
        write_resource(&mut out, 2, resource);
    }
    out.push_str(" </resources>\n</application>\n");
    out
}

/// No deeper than the paths of the table.
fn write_resource(out: &mut String, depth: usize, resource: &Resource<'_>) {
    open(out, depth, "resource", &[("path", resource.path)], false);
    let name = resource
        .path
        .strip_prefix('{')
        .and_then(|p| p.strip_suffix('}'));
    if let Some(name) = name {
        let template = [
            ("name", name),
            ("style", "template"),
            ("type", "xs:string"),
            ("required", "true"),
        ];
        open(out, depth + 1, "param", &template, true);
    }
    for method in &resource.method {
        write_method(out, depth + 1, method);
    }
    for child in &resource.resource {
        write_resource(out, depth + 1, child);
    }
    close(out, depth, "resource");
}

fn write_method(out: &mut String, depth: usize, method: &Method) {
    open(
        out,
        depth,
        "method",
        &[("name", method.name), ("id", &method.id)],
        false,
    );
    open(out, depth + 1, "request", &[], false);
    for parameter in &method.parameters {
        let query = [
            ("name", parameter.as_str()),
            ("style", "query"),
            ("type", "xs:string"),
        ];
        open(out, depth + 2, "param", &query, true);
    }
    if let Some(default) = method.gives.first() {
        let accept = [
            ("name", "Accept"),
            ("style", "header"),
            ("default", default),
        ];
        open(out, depth + 2, "param", &accept, false);
        for media in method.gives {
            open(
                out,
                depth + 3,
                "option",
                &[("value", media), ("mediaType", media)],
                true,
            );
        }
        close(out, depth + 2, "param");
    }
    for media in method.takes {
        open(
            out,
            depth + 2,
            "representation",
            &[("mediaType", media)],
            true,
        );
    }
    close(out, depth + 1, "request");
    for status in method.statuses {
        // What has nothing to tell has no body (204).
        let media = if *status == 204 { &[] } else { method.gives };
        let status = status.to_string();
        open(
            out,
            depth + 1,
            "response",
            &[("status", &status)],
            media.is_empty(),
        );
        for media in media {
            open(
                out,
                depth + 2,
                "representation",
                &[("mediaType", media)],
                true,
            );
        }
        if !media.is_empty() {
            close(out, depth + 1, "response");
        }
    }
    close(out, depth, "method");
}

fn open(out: &mut String, depth: usize, name: &str, attributes: &[(&str, &str)], is_empty: bool) {
    out.push_str(&" ".repeat(depth));
    out.push('<');
    out.push_str(name);
    for (name, value) in attributes {
        out.push(' ');
        out.push_str(name);
        out.push_str("=\"");
        for c in value.chars() {
            match c {
                '&' => out.push_str("&amp;"),
                '<' => out.push_str("&lt;"),
                '"' => out.push_str("&quot;"),
                c => out.push(c),
            }
        }
        out.push('"');
    }
    out.push_str(if is_empty { "/>\n" } else { ">\n" });
}

fn close(out: &mut String, depth: usize, name: &str) {
    out.push_str(&" ".repeat(depth));
    out.push_str("</");
    out.push_str(name);
    out.push_str(">\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(resources: &[Resource<'_>], above: &str, out: &mut Vec<String>) {
        for resource in resources {
            let path = format!("{above}/{}", resource.path);
            if !resource.method.is_empty() {
                out.push(path.clone());
            }
            paths(&resource.resource, &path, out);
        }
    }

    #[test]
    fn the_tree_holds_every_route_once_and_no_other() {
        let mut found = Vec::new();
        paths(&tree("", true), "", &mut found);
        let mut expected: Vec<_> = ROUTES
            .iter()
            .map(|route| route.path.replace("{path:.+}", "{path}"))
            .collect();
        found.sort();
        expected.sort();
        assert_eq!(found, expected);
    }

    #[test]
    fn a_part_holds_what_lies_below_and_removal_only_where_it_is_allowed() {
        let mut below = Vec::new();
        let series = "/studies/{study}/series/{series}";
        paths(&tree(series, false), "", &mut below);
        assert!(below.iter().all(|path| path.starts_with(series)));
        assert!(below.contains(&format!("{series}/metadata")));
        assert!(!below.iter().any(|path| path.contains("reject")));
        let mut other = Vec::new();
        paths(&tree("/series", true), "", &mut other);
        assert_eq!(other, ["/series"]);
    }

    #[test]
    fn ids_are_names_and_stand_once() {
        let ids: Vec<String> = ROUTES
            .iter()
            .flat_map(methods)
            .map(|method| method.id)
            .collect();
        let once: std::collections::HashSet<_> = ids.iter().collect();
        assert_eq!(once.len(), ids.len());
        assert!(ids.iter().all(|id| {
            id.bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
        }));
    }
}
