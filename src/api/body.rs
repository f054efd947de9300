//! Bodies of the API: one JSON value each, bounded before it is read.

use actix_web::http::StatusCode;
use actix_web::http::header;
use actix_web::{HttpRequest, web};
use serde::de::DeserializeOwned;

use super::failure::Failure;
use crate::http::{Hall, Problem, bounded_body};

/// The body of a request as text.
///
/// # Errors
/// 415 when it says to be something else than JSON, 413 beyond `bytes_max`, 408 when nothing comes any more, 400 when it is cut
/// off or not UTF-8.
pub(super) async fn text(
    request: &HttpRequest,
    hall: &Hall,
    payload: web::Payload,
    bytes_max: usize,
) -> Result<String, Failure> {
    let headers = request.headers();
    let named = headers.get(header::CONTENT_TYPE);
    let named = named.map(|value| value.to_str().unwrap_or_default());
    let essence = named.map(|text| text.split(';').next().unwrap_or_default().trim());
    if !essence.is_some_and(|essence| essence.eq_ignore_ascii_case("application/json")) {
        let text = "the body has to be application/json";
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, text)
            .and_close()
            .into());
    }
    let body = bounded_body(request, hall.settings(), payload, bytes_max).await?;
    String::from_utf8(body).map_err(|_| Problem::bad_request("the body is not UTF-8").into())
}

/// The same as a value of a form.
///
/// # Errors
/// Also 400 when it is not of that form: where, but not what stands there.
pub(super) async fn json<T: DeserializeOwned>(
    request: &HttpRequest,
    hall: &Hall,
    payload: web::Payload,
    bytes_max: usize,
) -> Result<T, Failure> {
    let text = text(request, hall, payload, bytes_max).await?;
    serde_json::from_str(&text).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        let what = match error.classify() {
            serde_json::error::Category::Data => "has a field that is missing, unknown or wrong",
            _ => "is no JSON",
        };
        let text = format!("the body {what}, at line {line}, column {column}");
        Problem::bad_request(text).into()
    })
}
