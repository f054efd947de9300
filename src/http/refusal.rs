//! What is wrong, for a person: a page, where a program gets a sentence.

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::http::header::{self, HeaderMap};
use actix_web::middleware::Next;
use actix_web::{Error, HttpRequest, HttpResponse, ResponseError};

use super::Problem;

/// Below these are programs' resources: whoever asks them gets sentences, and is not led to the page where people sign in.
const PROGRAMS: &[&str] = &["/dicom-web", "/wado", "/api", "/picture", "/metrics", "/ws"];

/// How the door of the pages shows what is wrong; it is found in the application's data.
#[derive(Clone, Copy)]
pub struct ShownAs(pub fn(&HttpRequest, &Problem) -> HttpResponse);

/// Whether a browser asks that shows what it gets to a person.
pub(super) fn is_of_a_person(method: &Method, path: &str, headers: &HeaderMap) -> bool {
    let accepts = headers.get(header::ACCEPT);
    let accepts = accepts.and_then(|value| value.to_str().ok());
    matches!(*method, Method::GET | Method::HEAD | Method::POST)
        && accepts.is_some_and(|accepts| accepts.contains("text/html"))
        && !PROGRAMS.iter().any(|below| path.starts_with(below))
}

/// Shows a [`Problem`] of whatever comes after as a page, to whom it is one.
pub(super) async fn show(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let is_shown = is_of_a_person(request.method(), request.path(), request.headers());
    let answered = next.call(request).await?.map_into_boxed_body();
    if !is_shown {
        return Ok(answered);
    }
    let error = answered.response().error();
    let (Some(problem), Some(shown_as)) = (
        error.and_then(|error| error.as_error::<Problem>()),
        answered.request().app_data::<ShownAs>(),
    ) else {
        return Ok(answered);
    };
    // What it says beside its sentence stays as it is: when to try again, that the connection ends.
    let mut response = problem.error_response();
    let page = (shown_as.0)(answered.request(), problem);
    for (name, value) in page.headers() {
        response.headers_mut().insert(name.clone(), value.clone());
    }
    let response = response.set_body(page.into_body());
    let (request, _) = answered.into_parts();
    Ok(ServiceResponse::new(request, response))
}
