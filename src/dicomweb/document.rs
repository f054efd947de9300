//! What is shown without being a picture of pixels (PS3.18 §8.7.4, Table 8.7.4-1): structured reports as
//! HTML, text or XML, encapsulated documents and videos as they are.

use actix_web::HttpResponse;
use actix_web::http::header::{self, HeaderValue};

use super::accept::{Accept, Offer, Packing};
use super::bulkdata::{DOCUMENT_TYPES, whole_document};
use super::call::{Call, target_of, url_of};
use super::frames::FrameForm;
use super::given::{self, Given};
use super::parts::{Opened, Part, Reading, Refusal, Source};
use crate::archive::{Error, Located};
use crate::dicom::report::{self, Report};
use crate::dicom::{json, xml};
use crate::http::{Problem, off_thread};

/// SR document storage and key object selection (PS3.4 Table B.5-1).
const REPORT_CLASSES: &str = "1.2.840.10008.5.1.4.1.1.88.";
/// Encapsulated PDF, CDA, STL, OBJ, MTL.
const DOCUMENT_CLASSES: &str = "1.2.840.10008.5.1.4.1.1.104.";

/// For text answers: nothing runs, nothing is loaded, and it has no origin.
const SANDBOX: &str = "default-src 'none'; style-src 'unsafe-inline'; sandbox";
const HTML: &str = "text/html";
const TEXT: &str = "text/plain";
const XML: &str = "text/xml";
/// Best first (PS3.18 Table 8.7.4-1).
const REPORT_TYPES: &[&str] = &[HTML, TEXT, XML];

/// What an instance is, when it is no picture of pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Report,
    Document,
    Video,
}

impl Kind {
    /// `None` for all that is rendered from its pixels, or not at all.
    fn of(located: &Located) -> Option<Self> {
        let class = located.sop_class_uid.as_str();
        if class.starts_with(REPORT_CLASSES) {
            Some(Self::Report)
        } else if class.starts_with(DOCUMENT_CLASSES) {
            Some(Self::Document)
        } else if FrameForm::of(located).is_video && !located.frames.is_empty() {
            Some(Self::Video)
        } else {
            None
        }
    }
}

/// The media types that such an instance may have, best first; `None` for all others.
pub(super) fn types(located: &Located) -> Option<Vec<&'static str>> {
    Some(match Kind::of(located)? {
        Kind::Report => REPORT_TYPES.to_vec(),
        Kind::Document => DOCUMENT_TYPES.to_vec(),
        Kind::Video => vec![FrameForm::of(located).essence],
    })
}

/// Answers GET `…/rendered` of an instance that is no picture of pixels; `None` for all others.
///
/// # Errors
/// 404, 406 with what is on offer, 416.
pub(super) async fn rendered(
    call: &Call,
    located: &Located,
    accept: &Accept,
) -> Result<Option<HttpResponse>, Problem> {
    let Some(kind) = Kind::of(located) else {
        return Ok(None);
    };
    let (reading, located, accept) = (Reading::of(call), located.clone(), accept.clone());
    let given = off_thread(move || find(&reading, located, kind, &accept)).await??;
    let mut response = given::answer(call, given).await?;
    let is_page = response
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|essence| essence.as_bytes().starts_with(b"text/"));
    if is_page {
        let policy = HeaderValue::from_static(SANDBOX);
        response
            .headers_mut()
            .insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    Ok(Some(response))
}

/// The representation of such an instance that the caller takes.
///
/// # Errors
/// [`Refusal::NotAcceptable`], with what is on offer.
fn find(
    reading: &Reading,
    located: Located,
    kind: Kind,
    accept: &Accept,
) -> Result<Given, Refusal> {
    let location = url_of(&reading.base, &target_of(&located)) + "/rendered";
    let part = match kind {
        Kind::Report => report(reading, &located, accept, location)?,
        Kind::Document => match whole_document(reading, &located, location)? {
            Some(part) => part,
            None => {
                return Err(Refusal::NotAcceptable(
                    "a document of this type is given as bulk data only".to_owned(),
                ));
            }
        },
        Kind::Video => Part {
            essence: FrameForm::of(&located).essence.to_owned(),
            transfer_syntax: None,
            location,
            source: Source::Frame(1),
        },
    };
    if kind != Kind::Report {
        choose(accept, &[&part.essence])?;
    }
    let opened = Opened::new(reading, located, false)?;
    Ok(Given::Single(opened, part))
}

fn choose<'a>(accept: &Accept, types: &[&'a str]) -> Result<&'a str, Refusal> {
    let offers: Vec<_> = types
        .iter()
        .map(|essence| Offer::plain(Packing::Single, essence))
        .collect();
    match accept.choose(&offers) {
        Some(offer) => Ok(offer.essence),
        None => Err(Refusal::NotAcceptable(format!(
            "this instance is shown as {}",
            types.join(", ")
        ))),
    }
}

fn report(
    reading: &Reading,
    located: &Located,
    accept: &Accept,
    location: String,
) -> Result<Part, Refusal> {
    let essence = choose(accept, REPORT_TYPES)?;
    let mut prepared = reading
        .archive
        .metadata(&target_of(located), &reading.scope, None, 1)?;
    let metadata = prepared.pop().ok_or(Error::NotFound)?.metadata;
    let page = if essence == XML {
        let mut spliced = Vec::new();
        json::splice_base(&metadata, &reading.base, &mut spliced);
        let mut page = Vec::new();
        xml::write(&spliced, &mut page).map_err(|cause| Error::broken("a report as XML", cause))?;
        page
    } else {
        let laid_out = Report::of_metadata(&metadata).ok_or_else(|| {
            Refusal::NotAcceptable(format!(
                "the report has no content to show; it is available as {XML}"
            ))
        })?;
        if essence == HTML {
            report::html(&laid_out).into_bytes()
        } else {
            report::text(&laid_out).into_bytes()
        }
    };
    Ok(Part {
        essence: format!("{essence}; charset=utf-8"),
        transfer_syntax: None,
        location,
        source: Source::Held(page.into()),
    })
}
