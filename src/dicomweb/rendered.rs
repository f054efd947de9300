//! Retrieve rendered and thumbnail (PS3.18 §10.4.1.1.3, §10.4.1.1.4).

use actix_web::HttpResponse;

use super::call::Call;
use super::document;
use crate::archive::Target;
use crate::http::Problem;

/// Answers GET `…/rendered`.
pub(super) async fn rendered(call: &Call) -> Result<HttpResponse, Problem> {
    let target = call.target()?;
    let accept = call.accept()?;
    if accept.mixes_categories() {
        return Err(Problem::bad_request(
            "DICOM and rendered media types cannot be asked for together",
        ));
    }
    if matches!(target, Target::Instance(..)) && call.path_piece("frames").is_empty() {
        call.check_charset()?;
        if let Some(response) = document::rendered(call, target, accept).await? {
            return Ok(response);
        }
    }
    Err(Problem::not_acceptable(
        "rendering is not available; ask for frames with transfer-syntax=*",
    ))
}

/// Answers GET `…/thumbnail`.
pub(super) async fn thumbnail(_call: &Call) -> Result<HttpResponse, Problem> {
    Err(Problem::not_acceptable(
        "rendering is not available; ask for frames with transfer-syntax=*",
    ))
}
