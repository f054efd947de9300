//! Retrieve rendered and thumbnail (PS3.18 §10.4.1.1.3, §10.4.1.1.4).

use actix_web::HttpResponse;

use super::call::Call;
use crate::http::Problem;

/// Answers GET `…/rendered`.
pub(super) async fn rendered(_call: &Call) -> Result<HttpResponse, Problem> {
    Err(Problem::not_acceptable(
        "rendering is not available; ask for frames with transfer-syntax=*",
    ))
}

/// Answers GET `…/thumbnail`.
pub(super) async fn thumbnail(call: &Call) -> Result<HttpResponse, Problem> {
    rendered(call).await
}
