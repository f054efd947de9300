//! Values and frames as a response: conditions, ranges, one body or parts (RFC 9110 §13, §14;
//! PS3.18 §8.6.1).
//!
//! One value or frame has a strong entity tag and honours a `Range`. A multipart body gets another
//! boundary each time, so its tag is a weak one.

use actix_web::body::{BodyStream, SizedStream};
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderMap, HeaderValue};
use actix_web::{HttpResponse, HttpResponseBuilder};
use bytes::Bytes;
use futures_util::stream;

use super::call::Call;
use super::metadata::is_known;
use super::multipart_body::{MultipartBody, Portion, Portions};
use super::parts::{Opened, Part, Source};
use super::range::{Asked, range};
use crate::archive::Error;
use crate::http::{Problem, Telling, off_thread, respond_with};

/// A part of entity tags: another version may make other bytes of the same object.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What was decided to give.
pub(super) enum Given {
    /// One value or frame as the body.
    Single(Opened, Part),
    /// Parts of one instance.
    Multipart(Portion),
}

/// Gives it.
///
/// # Errors
/// 416, and what the first bytes run into.
pub(super) async fn answer(call: &Call, given: Given) -> Result<HttpResponse, Problem> {
    match given {
        Given::Single(opened, part) => single(call, opened, part).await,
        Given::Multipart(portion) => {
            let telling = match portion.is_work() {
                false if portion.is_at_hand() => Telling::AtHand,
                is_work => call.telling(is_work),
            };
            let begin = move || (portion.identity(), MultipartBody::of_one(portion));
            let (identity, (body, length)) = match telling {
                Telling::AtHand => begin(),
                // Of many parts, each of many fragments.
                Telling::Blocking | Telling::Work(_) => off_thread(begin).await?,
            };
            let tag = entity_tag(&identity, &call.base);
            parts(call, &tag, body, length, telling).await
        }
    }
}

/// Gives the parts of many instances, which are looked for only when the caller has not got them;
/// `identity` is all that tells the answer from another one.
///
/// # Errors
/// What looking for them and the first bytes run into.
pub(super) async fn collected(
    call: &Call,
    identity: &str,
    open: impl FnOnce() -> Result<(Portion, Portions), Problem> + Send + 'static,
) -> Result<HttpResponse, Problem> {
    let tag = entity_tag(identity, &call.base);
    if is_known(call.headers(), &tag) {
        let mut response = begin(&format!("W/{tag}"));
        return Ok(response.status(StatusCode::NOT_MODIFIED).finish());
    }
    let (first, following) = off_thread(open).await??;
    // Whichever of them are made.
    let body = MultipartBody::new(first, following);
    parts(call, &tag, body, None, call.telling(true)).await
}

async fn parts(
    call: &Call,
    tag: &str,
    body: MultipartBody,
    length: Option<u64>,
    telling: Telling,
) -> Result<HttpResponse, Problem> {
    let mut response = begin(&format!("W/{tag}"));
    if is_known(call.headers(), tag) {
        return Ok(response.status(StatusCode::NOT_MODIFIED).finish());
    }
    response.content_type(body.content_type());
    if matches!(telling, Telling::Work(_)) && !call.is_get() {
        return Ok(told(response));
    }
    respond_with(response, length, Box::new(body), call.archive(), telling).await
}

/// One value as the body, or a range of it.
async fn single(call: &Call, mut opened: Opened, mut part: Part) -> Result<HttpResponse, Problem> {
    let digest = opened.located.digest;
    let identity = format!("{digest:?} {} {VERSION}", part.identity());
    let tag = entity_tag(&identity, "");
    let mut response = begin(&tag);
    if is_known(call.headers(), &tag) {
        return Ok(response.status(StatusCode::NOT_MODIFIED).finish());
    }
    if matches!(part.source, Source::Made(..)) {
        if !call.is_get() {
            response.content_type(part.content_type());
            response.insert_header((header::CONTENT_LOCATION, part.location));
            response.insert_header((header::ACCEPT_RANGES, "bytes"));
            let length = off_thread(move || opened.made_length(&part.source)).await??;
            return Ok(match length {
                Some(length) => {
                    let nothing = stream::empty::<Result<Bytes, Error>>();
                    response.body(SizedStream::new(length, nothing))
                }
                None => told(response),
            });
        }
        let place = call.hall().begin_drawing().await?;
        (opened, part) = off_thread(move || {
            let _place = place;
            opened.hold(&mut part)?;
            Ok::<_, Error>((opened, part))
        })
        .await??;
    }
    let length = opened.length(&part.source).unwrap_or(0);
    let piece = asked_range(call, &mut response, length, &tag)?;
    response.content_type(part.content_type());
    response.insert_header((header::CONTENT_LOCATION, part.location));
    let telling = if opened.is_at_hand(&part.source) {
        Telling::AtHand
    } else {
        Telling::Blocking
    };
    let pieces = opened.pieces(part.source, piece);
    respond_with(response, Some(piece.1), pieces, call.archive(), telling).await
}

/// The answer to HEAD where a body is work: nothing is decoded or encoded to learn its length, which
/// need not be told (RFC 9110 §9.3.2).
pub(super) fn told(mut response: HttpResponseBuilder) -> HttpResponse {
    response.body(BodyStream::new(stream::empty::<Result<Bytes, Error>>()))
}

/// The first byte and the number of bytes that are asked for, told in the headers when they are
/// not all (RFC 9110 §14).
///
/// # Errors
/// 416.
pub(super) fn asked_range(
    call: &Call,
    response: &mut HttpResponseBuilder,
    length: u64,
    tag: &str,
) -> Result<(u64, u64), Problem> {
    response.insert_header((header::ACCEPT_RANGES, "bytes"));
    // A range is defined for GET only (RFC 9110 §14.2).
    let asked = if call.is_get() {
        range(call.headers(), length, tag)
    } else {
        Asked::Whole
    };
    match asked {
        Asked::Whole => Ok((0, length)),
        Asked::Part(first, count) => {
            let last = first + count - 1;
            response.status(StatusCode::PARTIAL_CONTENT);
            response.insert_header((
                header::CONTENT_RANGE,
                format!("bytes {first}-{last}/{length}"),
            ));
            Ok((first, count))
        }
        Asked::Nowhere => Err(out_of_range(length)),
    }
}

/// An answer with what every representation with an entity tag says.
pub(super) fn begin(tag: &str) -> HttpResponseBuilder {
    let mut response = HttpResponse::build(StatusCode::OK);
    response.insert_header((header::ETAG, tag));
    response.insert_header((header::VARY, "Accept"));
    response.insert_header((header::CACHE_CONTROL, "private, no-cache"));
    response
}

fn out_of_range(length: u64) -> Problem {
    let problem = Problem::new(
        StatusCode::RANGE_NOT_SATISFIABLE,
        "the range lies outside the representation",
    );
    match HeaderValue::from_str(&format!("bytes */{length}")) {
        Ok(value) => problem.with(header::CONTENT_RANGE, value),
        Err(_) => problem,
    }
}

/// An entity tag in quotes: the same only for the same bytes (RFC 9110 §8.8.3).
pub(super) fn entity_tag(identity: &str, base: &str) -> String {
    let hash = blake3::hash(format!("{base} {identity}").as_bytes()).to_hex();
    format!("\"{}\"", &hash[..32])
}

/// What a request says of the representation it wants.
pub(super) fn wishes(headers: &HeaderMap) -> String {
    let lines = headers.get_all(header::ACCEPT);
    lines.map(|line| format!("{line:?} ")).collect()
}
