//! POST `/api/v1/cases`: 201 with the new case.

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};

use super::asked::NewCase;
use super::{Asking, answer};
use crate::api::failure::Failure;
use crate::cases::{Cases, Error};
use crate::http::{Hall, Problem, base_url};

pub(super) async fn open(
    request: HttpRequest,
    payload: web::Payload,
    hall: web::Data<Hall>,
    cases: web::Data<Cases>,
) -> Result<HttpResponse, Failure> {
    let asking = Asking::new(request, hall, cases).await?;
    let new: NewCase = asking.body(payload).await?;
    let opening = new
        .opening()
        .map_err(|fault| Problem::from(Error::from(fault)))?;
    let look = asking
        .ask("open", move |cases, caller| {
            let case = cases.open(opening.request, &opening.report, &opening.readers, caller)?;
            cases.show(case.number, caller)
        })
        .await?;
    let base = base_url(&asking.request, asking.hall.settings())?;
    let location = format!("{base}/api/v1/cases/{}", look.case.number);
    let mut response = HttpResponse::Created();
    response.insert_header((header::LOCATION, location));
    Ok(answer::one(&mut response, &look, &asking.caller))
}
