//! The URI Service (PS3.18 §9), older than the rest and still what some viewers load images with: one
//! instance by its UIDs in the query, as a Part 10 file, a picture, a report or a document.

use actix_web::http::header::{self, HeaderMap, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::{HttpRequest, HttpResponse, web};
use dicom_core::Tag;

use super::accept::{Accept, Offer, Packing};
use super::byte_order::number;
use super::call::Call;
use super::media::{DICOM, MediaType, split};
use super::path::Named;
use super::rendered::{Parameters, TYPES, Which, shown, shown_by};
use super::{document, removal, retrieve};
use crate::access::Action;
use crate::access::audit::AuditOutcome;
use crate::archive::{Located, Target};
use crate::dicom::Uid;
use crate::http::{Hall, Problem, off_thread};
use crate::imaging::{Crop, Fit, SIDE_MAX, View, VoiFunction, Window};

/// Where the service is.
pub(super) const PATH: &str = "/wado";
const ALLOW: &str = "GET, HEAD, OPTIONS";

const ROWS: Tag = Tag(0x0028, 0x0010);
const COLUMNS: Tag = Tag(0x0028, 0x0011);

/// What is said of pictures, and of nothing else (§9.1.2).
const OF_PICTURES: &[&str] = &[
    "frameNumber",
    "imageAnnotation",
    "imageQuality",
    "rows",
    "columns",
    "region",
    "windowCenter",
    "windowWidth",
    "presentationSeriesUID",
    "presentationUID",
];

/// Answers whatever comes to [`PATH`].
pub(super) async fn answer(
    hall: web::Data<Hall>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    match *request.method() {
        Method::GET | Method::HEAD => {
            let call = Call::new(hall, request, Named::new())?;
            get(&call.admit(Action::Retrieve).await?).await
        }
        Method::OPTIONS => Ok(HttpResponse::NoContent()
            .insert_header((header::ALLOW, ALLOW))
            .finish()),
        _ => Err(Problem::method_not_allowed(ALLOW)),
    }
}

async fn get(call: &Call) -> Result<HttpResponse, Problem> {
    let target = target(call)?;
    let Target::Instance(study, ..) = &target else {
        return Err(Problem::not_found());
    };
    let study = study.clone();
    let answered = answered(call, target).await;
    let outcome = match &answered {
        Ok(_) => AuditOutcome::Success,
        Err(_) => AuditOutcome::MinorFailure,
    };
    call.tell(Action::Retrieve, Some(&study), outcome).await?;
    answered
}

async fn answered(call: &Call, target: Target) -> Result<HttpResponse, Problem> {
    let accept = wanted(call)?;
    let located = match call.locate(&target).await {
        Ok(located) => located,
        Err(problem) => return Err(removal::missing_of(call, target, problem).await),
    };
    let dicom = Offer::plain(Packing::Single, DICOM);
    let mut offers: Vec<_> = document::types(&located)
        .unwrap_or_else(|| TYPES.to_vec())
        .into_iter()
        .map(|essence| Offer::plain(Packing::Single, essence))
        .collect();
    offers.push(dicom.clone());
    match accept.choose(&offers) {
        Some(offer) if *offer == dicom => part10(call, target).await,
        Some(_) => rendered(call, target, located, accept).await,
        None => Err(Problem::not_acceptable(format!(
            "available as {}",
            offers
                .iter()
                .map(|offer| offer.essence)
                .collect::<Vec<_>>()
                .join(", ")
        ))),
    }
}

/// The instance that the query names (§9.1.2.1).
fn target(call: &Call) -> Result<Target, Problem> {
    if call.parameter("requestType") != Some("WADO") {
        return Err(Problem::bad_request("requestType=WADO is required"));
    }
    let uid = |name| match call.parameter(name) {
        None | Some("") => Err(Problem::bad_request(format!("{name} is required"))),
        Some(text) => Uid::parse(text)
            .map_err(|error| Problem::bad_request(format!("{name} is no UID: {error}"))),
    };
    Ok(Target::Instance(
        uid("studyUID")?,
        uid("seriesUID")?,
        uid("objectUID")?,
    ))
}

/// What the caller takes: `contentType` says it, whatever the header says, which viewers leave at what
/// their library sends; without one, the header does (§9.1.2.2).
fn wanted(call: &Call) -> Result<Accept, Problem> {
    let Some(types) = call
        .parameter("contentType")
        .filter(|list| !list.is_empty())
    else {
        let any = HeaderValue::from_static("*/*");
        let mut headers = call.headers().clone();
        if !headers.contains_key(header::ACCEPT) {
            headers.insert(header::ACCEPT, any);
        }
        return Accept::of(&headers, None);
    };
    for member in split(types, b',') {
        let media = MediaType::parse(member)
            .ok_or_else(|| Problem::bad_request("contentType is a list of media types"))?;
        if media.parameter("transfer-syntax").is_some() || media.parameter("charset").is_some() {
            return Err(Problem::bad_request(
                "contentType holds no transfer-syntax or charset; they are parameters of their own",
            ));
        }
    }
    let value = HeaderValue::from_str(types)
        .map_err(|_| Problem::bad_request("contentType is a list of media types"))?;
    let mut headers = HeaderMap::new();
    headers.insert(header::ACCEPT, value);
    Accept::of(&headers, None)
}

/// The object as a file (§9.4).
async fn part10(call: &Call, target: Target) -> Result<HttpResponse, Problem> {
    let (Target::Study(study) | Target::Series(study, _) | Target::Instance(study, ..)) = &target;
    call.check_download(study)?;
    if let Some(name) = OF_PICTURES
        .iter()
        .find(|name| call.parameter(name).is_some())
    {
        return Err(Problem::bad_request(format!(
            "{name} is for pictures, not for application/dicom"
        )));
    }
    match call.parameter("anonymize") {
        None => {}
        Some("yes") => {
            return Err(Problem::new(
                StatusCode::NOT_IMPLEMENTED,
                "objects are not de-identified on the way out",
            ));
        }
        Some(_) => return Err(Problem::bad_request("anonymize is yes, or absent")),
    }
    // The default is that of the Studies Service: lossy objects come as they are.
    let text = match call.parameter("transferSyntax") {
        None | Some("") => DICOM.to_owned(),
        Some("*") => format!("{DICOM}; transfer-syntax=*"),
        Some(text) => {
            let uid = Uid::parse(text).map_err(|error| {
                Problem::bad_request(format!("transferSyntax is no UID: {error}"))
            })?;
            format!("{DICOM}; transfer-syntax={uid}")
        }
    };
    let value = HeaderValue::from_str(&text)
        .map_err(|_| Problem::bad_request("transferSyntax is one UID"))?;
    let mut headers = HeaderMap::new();
    headers.insert(header::ACCEPT, value);
    let accept = Accept::of(&headers, None)?;
    let mut response = retrieve::files(call, target, accept).await?;
    // The type alone is what this service names (§9.4.1).
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static(DICOM));
    located_here(call, response)
}

/// A picture, a report or a document (§9.5).
async fn rendered(
    call: &Call,
    target: Target,
    located: Located,
    accept: Accept,
) -> Result<HttpResponse, Problem> {
    if call.parameter("anonymize").is_some() || call.parameter("transferSyntax").is_some() {
        return Err(Problem::bad_request(
            "anonymize and transferSyntax are for application/dicom",
        ));
    }
    let state = presentation(call, &target)?;
    call.check_charset()?;
    if document::types(&located).is_some()
        && let Some(response) = document::rendered(call, &located, &accept).await?
    {
        return located_here(call, response);
    }
    let which = match call.parameter("frameNumber") {
        None => Which::RepresentativeOrFirst,
        Some(text) => {
            let number = text
                .parse()
                .ok()
                .filter(|n| *n >= 1 && *n <= located.frames.len());
            // Not for images of one frame (§9.5.1.1).
            let number = number.filter(|_| located.frames.len() > 1);
            Which::Number(number.ok_or_else(|| {
                Problem::bad_request("frameNumber is a frame of a multi-frame image, from 1")
            })?)
        }
    };
    let region = match call.parameter("region") {
        Some(text) => Some(region(text)?),
        None => None,
    };
    let crop = match region {
        // A part of what the state displays.
        Some(_) if state.is_some() => Crop::default(),
        Some(region) => {
            let (archive, scope) = (call.archive(), call.scope());
            let prepared = off_thread(move || archive.metadata(&target, &scope, None, 1)).await??;
            let size = prepared.first().and_then(|prepared| {
                let side = |tag| number(&prepared.metadata, tag);
                Some((side(COLUMNS)?, side(ROWS)?))
            });
            let size = size.ok_or_else(|| Problem::bad_request("region is a part of an image"))?;
            cut(region, size)
        }
        None => Crop::default(),
    };
    let view = View {
        window: window(call)?,
        crop,
        fit: fit(call)?,
        has_overlays: false,
        part: region.filter(|_| state.is_some()),
        is_wordless: false,
        is_glance: false,
    };
    let parameters = Parameters::of_view(
        view,
        call.parameter("imageQuality"),
        call.parameter("imageAnnotation"),
    )?;
    let response = match state {
        Some(state) => {
            let number = match which {
                Which::Number(number) => Some(number),
                _ => None,
            };
            shown_by(call, state, located, number, parameters, &accept).await?
        }
        None => shown(call, located, which, parameters, &accept).await?,
    };
    located_here(call, response)
}

/// The presentation state that the picture is to be seen by, of the same study (§9.1.2.3.7,
/// §9.1.2.3.8).
///
/// # Errors
/// 400 for one UID without the other, or beside a window, which it decides itself.
fn presentation(call: &Call, target: &Target) -> Result<Option<Target>, Problem> {
    let uid = |name| {
        let text = call.parameter(name).filter(|text| !text.is_empty());
        text.map(Uid::parse)
            .transpose()
            .map_err(|error| Problem::bad_request(format!("{name} is no UID: {error}")))
    };
    match (uid("presentationSeriesUID")?, uid("presentationUID")?) {
        (None, None) => Ok(None),
        (Some(series), Some(instance)) => {
            if call.parameter("windowCenter").is_some() || call.parameter("windowWidth").is_some() {
                return Err(Problem::bad_request(
                    "windowCenter and windowWidth are not taken along with a presentation state",
                ));
            }
            let (Target::Study(study) | Target::Series(study, _) | Target::Instance(study, ..)) =
                target;
            Ok(Some(Target::Instance(study.clone(), series, instance)))
        }
        _ => Err(Problem::bad_request(
            "presentationSeriesUID and presentationUID come together",
        )),
    }
}

/// Names the request itself as the place of what it gives.
fn located_here(call: &Call, mut response: HttpResponse) -> Result<HttpResponse, Problem> {
    let root = call.base.strip_suffix(super::PREFIX).unwrap_or(&call.base);
    let place = format!("{root}{PATH}?{}", call.query());
    if let Ok(value) = HeaderValue::from_str(&place) {
        response
            .headers_mut()
            .insert(header::CONTENT_LOCATION, value);
    }
    Ok(response)
}

/// Left, top, right and bottom as parts of 1 (§9.1.2.3.5).
fn region(text: &str) -> Result<[f64; 4], Problem> {
    let sides: Vec<f64> = text
        .split(',')
        .filter_map(|side| side.trim().parse().ok())
        .filter(|side| (0.0..=1.0).contains(side))
        .collect();
    let malformed = || {
        Problem::bad_request(
            "region is left,top,right,bottom, each from 0 to 1, the first two smaller than the last",
        )
    };
    let sides = <[f64; 4]>::try_from(sides).map_err(|_| malformed())?;
    let is_plain = text.split(',').count() == 4 && sides[0] < sides[2] && sides[1] < sides[3];
    is_plain.then_some(sides).ok_or_else(malformed)
}

/// A region of a frame of so many columns and rows, in pixels; at least one each way.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "sides of images are small, parts of 1 not negative"
)]
fn cut([left, top, right, bottom]: [f64; 4], (columns, rows): (u64, u64)) -> Crop {
    let along = |first: f64, last: f64, whole: u64| {
        let begin = (first * whole as f64).round() as u32;
        let end = (last * whole as f64).round() as u32;
        let begin = begin.min(u32::try_from(whole.saturating_sub(1)).unwrap_or(u32::MAX));
        (begin, end.saturating_sub(begin).max(1))
    };
    let ((left, width), (top, height)) = (along(left, right, columns), along(top, bottom, rows));
    Crop {
        left,
        top,
        width: Some(width),
        height: Some(height),
        ..Crop::default()
    }
}

/// `windowCenter` and `windowWidth`, both or none (§9.1.2.3.6).
fn window(call: &Call) -> Result<Option<Window>, Problem> {
    let malformed = || {
        Problem::bad_request(
            "windowCenter and windowWidth come together: two numbers, the width at least 1",
        )
    };
    match (
        call.parameter("windowCenter"),
        call.parameter("windowWidth"),
    ) {
        (None, None) => Ok(None),
        (Some(center), Some(width)) => {
            let number = |text: &str| text.parse().ok().filter(|n: &f64| n.is_finite());
            let window = number(center)
                .zip(number(width))
                .and_then(|(center, width)| Window::new(center, width, VoiFunction::Linear));
            window.map(Some).ok_or_else(malformed)
        }
        _ => Err(malformed()),
    }
}

/// `rows` and `columns`: the box that the picture fills, its aspect kept (§9.1.2.3.4).
fn fit(call: &Call) -> Result<Fit, Problem> {
    let side = |name: &str| match call.parameter(name) {
        None => Ok(None),
        Some(text) => match text.parse() {
            Ok(side @ 1..=SIDE_MAX) => Ok(Some(side)),
            _ => Err(Problem::bad_request(format!(
                "{name} is a number from 1 to {SIDE_MAX}"
            ))),
        },
    };
    Ok(match (side("columns")?, side("rows")?) {
        (None, None) => Fit::Natural,
        (columns, rows) => Fit::Fill(columns.unwrap_or(SIDE_MAX), rows.unwrap_or(SIDE_MAX)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_are_cut_in_pixels() {
        let crop = cut(region("0.25,0.25,0.75,0.75").unwrap(), (512, 256));
        assert_eq!(
            (crop.left, crop.top, crop.width, crop.height),
            (128, 64, Some(256), Some(128))
        );
        let point = cut(region("0.999,0,1,0.0001").unwrap(), (10, 10));
        assert_eq!(
            (point.left, point.top, point.width, point.height),
            (9, 0, Some(1), Some(1))
        );
        for bad in [
            "0,0,1",
            "0,0,1,1,1",
            "0.5,0,0.5,1",
            "0,0.6,1,0.5",
            "-0.1,0,1,1",
            "0,0,1.1,1",
            "a,0,1,1",
            "",
            "NaN,0,1,1",
        ] {
            assert!(region(bad).is_err(), "{bad}");
        }
    }
}
