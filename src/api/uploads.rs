//! POST `/api/v1/uploads`: files of any kind as `multipart/form-data`: DICOM objects, ZIP archives of them, PDF, JPEG and
//! PNG. Whoever may store may send them, whoever came by an inbox among them. 200 with what became of each; sent again,
//! nothing is there twice.

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::json;

use crate::http::{Hall, Problem, receive_upload};

pub(super) async fn take(
    request: HttpRequest,
    payload: web::Payload,
    hall: web::Data<Hall>,
) -> Result<HttpResponse, Problem> {
    let report = receive_upload(&request, payload, &hall).await?;
    let named = report
        .named
        .iter()
        .map(|file| json!({"name": file.name, "fate": file.fate.word(), "why": file.why}));
    let studies = report.studies.iter().map(|study| study.as_str());
    let told = json!({
        "stored": report.stored,
        "already_stored": report.already_stored,
        "refused": report.refused,
        "skipped": report.skipped,
        "files": named.collect::<Vec<_>>(),
        "studies": studies.collect::<Vec<_>>(),
        "is_to_be_repeated": report.is_to_be_repeated,
    });
    Ok(HttpResponse::Ok()
        .content_type(mime::APPLICATION_JSON)
        .insert_header((header::CACHE_CONTROL, "private, no-store"))
        .body(told.to_string()))
}
