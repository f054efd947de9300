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
