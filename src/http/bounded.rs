//! Bodies that are read as a whole: never beyond their limit, and no longer than something of them comes. Doors that
//! anybody may knock at read theirs so too.

use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, web};

use super::{Problem, Progress, Settings, next_chunk};

/// The body of a request.
///
/// # Errors
/// 413 beyond `bytes_max`, before anything is read when the request says so; 408 when nothing comes any more; 400 when it
/// is cut off.
pub async fn bounded_body(
    request: &HttpRequest,
    settings: &Settings,
    mut payload: web::Payload,
    bytes_max: usize,
) -> Result<Vec<u8>, Problem> {
    let too_large = || {
        let text = format!("the body has at most {bytes_max} bytes");
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, text).and_close()
    };
    let declared = request.headers().get(header::CONTENT_LENGTH);
    let declared = declared.and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if declared.is_some_and(|length| length > bytes_max) {
        return Err(too_large());
    }
    let mut body = Vec::new();
    loop {
        match next_chunk(&mut payload, settings.body_idle_timeout).await {
            Progress::Bytes(bytes) if body.len() + bytes.len() > bytes_max => {
                return Err(too_large());
            }
            Progress::Bytes(bytes) => body.extend_from_slice(&bytes),
            Progress::End => return Ok(body),
            Progress::Idle => {
                let text = "the body stopped coming";
                return Err(Problem::new(StatusCode::REQUEST_TIMEOUT, text).and_close());
            }
            Progress::Cut => return Err(Problem::bad_request("the body was cut off")),
        }
    }
}

/// The same of a form, as text.
///
/// # Errors
/// Also 400 when it is none.
pub async fn bounded_form(
    request: &HttpRequest,
    settings: &Settings,
    payload: web::Payload,
    bytes_max: usize,
) -> Result<String, Problem> {
    let body = bounded_body(request, settings, payload, bytes_max).await?;
    String::from_utf8(body).map_err(|_| Problem::bad_request("the form is no text"))
}
