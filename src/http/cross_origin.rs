//! Cross-origin requests of browsers (the Fetch standard's CORS protocol), by the allow-list
//! `[http] allowed_origins`. No cookies are shared across origins.

use actix_web::http::Method;
use actix_web::http::header::{self, HeaderMap, HeaderValue};
use actix_web::{HttpRequest, HttpResponse};

use super::Settings;

/// Response headers a script of another origin may read.
const EXPOSED: &str = "Accept-Ranges, Content-Disposition, Content-Length, Content-Location, \
    Content-Range, ETag, Location, Retry-After, Warning";

/// The value of `Access-Control-Allow-Origin` for a request, `None` when its origin is not allowed
/// or it has none.
pub(super) fn allowed_origin(headers: &HeaderMap, settings: &Settings) -> Option<HeaderValue> {
    let origin = headers.get(header::ORIGIN)?;
    if settings
        .allowed_origins
        .iter()
        .any(|allowed| allowed == "*")
    {
        return Some(HeaderValue::from_static("*"));
    }
    let text = origin.to_str().ok()?;
    settings
        .allowed_origins
        .iter()
        .any(|allowed| allowed == text)
        .then(|| origin.clone())
}

/// Whether a page of another site had a browser send the request, and is not on the allow-list. Browsers
/// ask with a preflight before most requests, but not before every POST: what cannot be undone
/// asks this first. Schemes are not compared: a proxy in front may speak TLS for us.
///
/// `base` is the address under which the request reached us, as [`base_url`](super::base_url()) has it.
#[must_use]
pub fn is_foreign(headers: &HeaderMap, settings: &Settings, base: &str) -> bool {
    let Some(origin) = headers.get(header::ORIGIN) else {
        return false;
    };
    if allowed_origin(headers, settings).is_some() {
        return false;
    }
    match (origin.to_str().ok().and_then(authority), authority(base)) {
        (Some(asking), Some(own)) => !asking.eq_ignore_ascii_case(own),
        (None, _) | (_, None) => true,
    }
}

/// Whether a request was not sent by a page of another site, on the allow-list or not: what works with cookies is for
/// our own pages, and for programs.
#[must_use]
pub fn is_of_our_pages(headers: &HeaderMap, base: &str) -> bool {
    !headers.contains_key(header::ORIGIN) || is_own(headers, base)
}

/// Whether the origin of a request is the host that it came to, and no other. Unlike [`is_foreign`], the allow-list does
/// not count.
pub(super) fn is_own(headers: &HeaderMap, base: &str) -> bool {
    let origin = headers
        .get(header::ORIGIN)
        .and_then(|origin| origin.to_str().ok());
    match (origin.and_then(authority), authority(base)) {
        (Some(asking), Some(own)) => asking.eq_ignore_ascii_case(own),
        (None, _) | (_, None) => false,
    }
}

/// `host[:port]` of a URL.
fn authority(url: &str) -> Option<&str> {
    let (_, rest) = url.split_once("://")?;
    rest.split('/').next()
}

/// The answer to a preflight, `None` when the request is none or its origin is not allowed.
pub(super) fn preflight(request: &HttpRequest, settings: &Settings) -> Option<HttpResponse> {
    let headers = request.headers();
    if request.method() != Method::OPTIONS
        || !headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
    {
        return None;
    }
    allowed_origin(headers, settings)?;
    let mut response = HttpResponse::NoContent();
    response.insert_header((
        header::ACCESS_CONTROL_ALLOW_METHODS,
        "GET, HEAD, POST, PUT, DELETE, OPTIONS",
    ));
    response.insert_header((header::ACCESS_CONTROL_MAX_AGE, "86400"));
    if let Some(asked) = headers.get(header::ACCESS_CONTROL_REQUEST_HEADERS) {
        response.insert_header((header::ACCESS_CONTROL_ALLOW_HEADERS, asked.clone()));
    }
    Some(response.finish())
}

/// Opens a response to the origin of its request.
pub(super) fn open(headers: &mut HeaderMap, origin: HeaderValue) {
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.insert(
        header::ACCESS_CONTROL_EXPOSE_HEADERS,
        HeaderValue::from_static(EXPOSED),
    );
}
