//! Names of routes for the log and the metrics, and paths as routes want them: `//` and a slash at
//! the end mean nothing.

use actix_web::dev::ServiceRequest;
use actix_web::http::Uri;
use actix_web::http::uri::PathAndQuery;
use actix_web::{HttpMessage, HttpRequest};
use bytes::Bytes;

/// The name of the route that a request took.
#[derive(Clone, Copy)]
struct Name(&'static str);

/// Says which route a request took, where a door finds that out by itself.
pub fn name_route(request: &HttpRequest, name: &'static str) {
    request.extensions_mut().insert(Name(name));
}

/// Gives the name of the route that a request took to `told`; `none` when it took none.
pub(super) fn with_name<T>(request: &HttpRequest, told: impl FnOnce(&str) -> T) -> T {
    let name = request.extensions().get::<Name>().copied();
    match name {
        Some(Name(name)) => told(name),
        None => told(request.match_pattern().as_deref().unwrap_or("none")),
    }
}

/// Takes away what the path has too many of, before anybody else holds the request.
pub(super) fn tidy(request: &mut ServiceRequest) {
    let Some(path) = tidied(request.uri().path()) else {
        return;
    };
    let mut parts = request.uri().clone().into_parts();
    let query = parts.path_and_query.as_ref().and_then(PathAndQuery::query);
    let text = match query {
        Some(query) => format!("{path}?{query}"),
        None => path,
    };
    let Ok(path_and_query) = PathAndQuery::from_maybe_shared(Bytes::from(text)) else {
        return;
    };
    parts.path_and_query = Some(path_and_query);
    let Ok(uri) = Uri::from_parts(parts) else {
        return;
    };
    request.match_info_mut().get_mut().update(&uri);
    request.head_mut().uri = uri;
}

/// The path with single slashes and none at its end; `None` when it is so already.
fn tidied(path: &str) -> Option<String> {
    let is_untidy = path.len() > 1 && path.ends_with('/') || path.contains("//");
    if !is_untidy {
        return None;
    }
    let mut tidy = String::with_capacity(path.len());
    for piece in path.split('/').filter(|piece| !piece.is_empty()) {
        tidy.push('/');
        tidy.push_str(piece);
    }
    if tidy.is_empty() {
        tidy.push('/');
    }
    Some(tidy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slashes_are_merged_and_trimmed() {
        for (path, expected) in [
            ("/", None),
            ("", None),
            ("/a/b", None),
            ("/a/b/", Some("/a/b")),
            ("/a//b///", Some("/a/b")),
            ("//", Some("/")),
            ("//a", Some("/a")),
        ] {
            assert_eq!(tidied(path).as_deref(), expected, "{path}");
        }
    }
}
