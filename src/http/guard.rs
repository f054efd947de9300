//! What happens around every request: its path is tidied, preflights are answered, a panic becomes a 500 and stays
//! there, a HEAD answer loses its body but keeps its length, responses get the headers that all
//! of them carry, and the request is counted.

use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{self, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::Next;
use actix_web::{Error, web};
use bytes::Bytes;
use futures_util::FutureExt;

use super::{Hall, Problem, cross_origin, route};

pub(super) async fn guard(
    mut request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    route::tidy(&mut request);
    let began = Instant::now();
    let hall = request.app_data::<web::Data<Hall>>().cloned();
    let origin = hall
        .as_ref()
        .and_then(|hall| cross_origin::allowed_origin(request.headers(), hall.settings()));
    let preflight = hall
        .as_ref()
        .and_then(|hall| cross_origin::preflight(request.request(), hall.settings()));

    let mut response = match preflight {
        Some(answer) => request.into_response(answer),
        None => answer(request, next).await?,
    };
    let head = response.headers_mut();
    head.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    if hall
        .as_ref()
        .is_some_and(|hall| !hall.settings().allowed_origins.is_empty())
    {
        head.append(header::VARY, HeaderValue::from_static("Origin"));
    }
    if let Some(origin) = origin {
        cross_origin::open(head, origin);
    }
    if response.request().method() == Method::HEAD {
        response = response.map_body(|_, body| BoxBody::new(NoBody(body.size())));
    }

    let (method, status) = (
        response.request().method().as_str(),
        response.status().as_u16(),
    );
    route::with_name(response.request(), |route| {
        tracing::debug!(
            method,
            route,
            status,
            elapsed_us = began.elapsed().as_micros(),
            "http request"
        );
        if let Some(hall) = &hall {
            hall.counts().add(method, route, status);
        }
    });
    Ok(response)
}

/// Calls the handler. A panic ends here: it becomes an error, which actix answers.
async fn answer(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    match AssertUnwindSafe(next.call(request)).catch_unwind().await {
        Ok(answered) => answered.map(ServiceResponse::map_into_boxed_body),
        Err(_) => {
            tracing::error!("a handler panicked");
            let text = "internal failure; the server's log has the cause";
            Err(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, text).into())
        }
    }
}

/// The answer to HEAD: as long as the body would be, and empty.
struct NoBody(BodySize);

impl MessageBody for NoBody {
    type Error = std::convert::Infallible;

    fn size(&self) -> BodySize {
        self.0
    }

    fn poll_next(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        Poll::Ready(None)
    }
}
