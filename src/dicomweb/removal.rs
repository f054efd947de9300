//! Removal of what a path names: DELETE, and POST `…/reject/{code}` as viewers ask for it. Both are
//! extensions.

use actix_web::HttpResponse;

use super::call::Call;
use crate::http::Problem;

/// Answers DELETE of a study, series or instance.
pub(super) async fn remove(call: &Call) -> Result<HttpResponse, Problem> {
    call.target()?;
    Err(Problem::method_not_allowed("GET, HEAD, OPTIONS"))
}

/// Answers POST `…/reject/{code}`.
pub(super) async fn reject(call: &Call) -> Result<HttpResponse, Problem> {
    call.target()?;
    Err(Problem::not_found())
}
