//! `/api/v1/audit`: the trail of who did what to which study, for administrators: searched, the latest rows first.
//! `/api/v1/audit/disclosures`: who was given, or tried to get, what of a patient or of studies, in order, as JSON page by page
//! or whole as CSV. Whoever looks is in the trail too.

use actix_web::http::header::{self, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, web};
use bytes::Bytes;
use serde_json::{Value, json};

use super::failure::Failure;
use crate::access::audit::{EventType, Kept};
use crate::access::message::{CSV_HEAD, time, write_csv};
use crate::access::trail::Place;
use crate::archive;
use crate::http::administration::administrator;
use crate::http::trail::{Listing, Question, ROWS_MAX, searched};
use crate::http::{Hall, Problem, off_thread, parameters, respond};

/// Rows of the trail that are looked at for one page of disclosures: this many times some hundreds.
const LOOKS_MAX: usize = 20;

/// GET `?patient_id=&study=&who=&means=&event=&from=&to=&before=`
pub(super) async fn search(
    request: HttpRequest,
    hall: web::Data<Hall>,
) -> Result<HttpResponse, Failure> {
    let caller = administrator(&request, &hall).await?;
    let known = [
        "patient_id",
        "study",
        "who",
        "means",
        "event",
        "from",
        "to",
        "before",
    ];
    let question = Question::read(&parameters(request.query_string())?, &known)?;
    let found = searched(&hall, &caller, question).await?;
    let rows: Vec<_> = found.rows.iter().map(told).collect();
    Ok(answer(
        &json!({"rows": rows, "before": found.next.map(Place::text)}),
    ))
}

/// GET `?patient_id=&study=&after=`, with `&format=csv` all of them.
pub(super) async fn disclosures(
    request: HttpRequest,
    hall: web::Data<Hall>,
) -> Result<HttpResponse, Failure> {
    let caller = administrator(&request, &hall).await?;
    let mut pairs = parameters(request.query_string())?;
    let format = pairs.iter().position(|(name, _)| name == "format");
    let format = format.map(|place| pairs.remove(place).1);
    let question = Question::read(&pairs, &["patient_id", "study", "after"])?;
    let is_csv = match format.as_deref() {
        None | Some("json") => false,
        Some("csv") => true,
        Some(_) => {
            return Err(Problem::bad_request("knows format=json and format=csv only").into());
        }
    };
    let mut listing = Listing::begin(&hall, &caller, question).await?;
    if is_csv {
        let mut response = HttpResponse::Ok();
        let name = HeaderValue::from_static("attachment; filename=\"overread-disclosures.csv\"");
        response
            .content_type("text/csv; charset=utf-8")
            .insert_header((header::CACHE_CONTROL, "private, no-store"))
            .insert_header((header::CONTENT_DISPOSITION, name));
        return Ok(respond(response, None, Box::new(Lines::of(listing))).await?);
    }
    let desk = std::sync::Arc::clone(hall.desk());
    let found = off_thread(move || {
        let mut rows = Vec::new();
        for _ in 0..LOOKS_MAX {
            if listing.is_over || rows.len() >= ROWS_MAX {
                break;
            }
            rows.extend(listing.next()?);
        }
        let after = (!listing.is_over).then_some(listing.after);
        Ok::<_, Problem>((rows, after, desk.ledger().audit_broad()?))
    });
    let (rows, after, broad) = found.await??;
    let broad = broad.map(|broad| {
        json!({"rows": broad.rows, "first": time(broad.first_ms), "last": time(broad.last_ms)})
    });
    let rows: Vec<_> = rows.iter().map(told).collect();
    Ok(answer(
        &json!({"disclosures": rows, "after": after, "broad_searches": broad}),
    ))
}

/// A list of disclosures as lines of CSV, made as they are sent.
struct Lines {
    listing: Listing,
    head: Option<&'static str>,
}

impl Lines {
    fn of(listing: Listing) -> Self {
        Self {
            listing,
            head: Some(CSV_HEAD),
        }
    }
}

impl Iterator for Lines {
    type Item = Result<Bytes, archive::Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(head) = self.head.take() {
            return Some(Ok(Bytes::from_static(head.as_bytes())));
        }
        while !self.listing.is_over {
            let mut text = String::new();
            let rows = match self.listing.next() {
                Ok(rows) => rows,
                Err(flaw) => {
                    self.listing.is_over = true;
                    return Some(Err(archive::Error::broken("the audit trail", flaw)));
                }
            };
            for kept in &rows {
                // Writing to a String cannot fail.
                let _ = write_csv(&mut text, kept);
            }
            if !text.is_empty() {
                return Some(Ok(text.into()));
            }
        }
        None
    }
}

/// A row, as the lines of CSV have it.
fn told(kept: &Kept) -> Value {
    let record = &kept.record;
    json!({
        "id": kept.id,
        "time": time(record.at_ms),
        "event": record.event.meaning(),
        "event_code": record.event.code(),
        "type": record.event_type.map(EventType::meaning),
        "action": record.action.code(),
        "outcome": record.outcome.code(),
        "who": record.who.name,
        "means": record.who.means,
        "address": record.who.address,
        "studies": record.studies.iter().map(|uid| uid.as_str()).collect::<Vec<_>>(),
        "patient_id": record.patient_id,
        "object": record.object,
        "detail": record.detail,
        "digest": kept.link.to_string(),
    })
}

fn answer(told: &Value) -> HttpResponse {
    HttpResponse::Ok()
        .content_type(mime::APPLICATION_JSON)
        .insert_header((header::CACHE_CONTROL, "private, no-store"))
        .body(told.to_string())
}
