//! Storage commitment over the web (PS3.18 §13).

use actix_web::{HttpResponse, web};

use super::call::Call;
use crate::http::Problem;

/// Answers POST `/commitment-requests/{transaction}`.
pub(super) async fn request(_call: &Call, _payload: web::Payload) -> Result<HttpResponse, Problem> {
    Err(Problem::not_found())
}

/// Answers GET `/commitment-requests/{transaction}`.
pub(super) async fn result(_call: &Call) -> Result<HttpResponse, Problem> {
    Err(Problem::not_found())
}
