//! Bodies that are read whole, because they are one data set: requests for storage commitment and about workitems.
//! Bounded before they are read.

use actix_web::http::StatusCode;
use actix_web::http::header;
use actix_web::web;

use super::call::Call;
use crate::http::{Problem, Progress, next_chunk};

/// Reads the body of a request, of at most `bytes_max`; `what` it is, for the text of a refusal.
///
/// # Errors
/// 413 beyond the limit, 408 when nothing comes any more, 400 when it is cut off.
pub(super) async fn read(
    call: &Call,
    payload: &mut web::Payload,
    bytes_max: usize,
    what: &str,
) -> Result<Vec<u8>, Problem> {
    let too_large = || {
        Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("{what} has at most {bytes_max} bytes"),
        )
    };
    let declared = call
        .headers()
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if declared.is_some_and(|length| length > bytes_max) {
        return Err(too_large());
    }
    let mut body = Vec::new();
    loop {
        match next_chunk(payload, call.hall().settings().body_idle_timeout).await {
            Progress::Bytes(bytes) if body.len() + bytes.len() > bytes_max => {
                return Err(too_large());
            }
            Progress::Bytes(bytes) => body.extend_from_slice(&bytes),
            Progress::End => return Ok(body),
            Progress::Idle => {
                return Err(Problem::new(
                    StatusCode::REQUEST_TIMEOUT,
                    "the body stopped coming",
                ));
            }
            Progress::Cut => return Err(Problem::bad_request("the body was cut off")),
        }
    }
}
