//! Retrieve bulk data (PS3.18 §10.4.1.1.5): what a `BulkDataURI` of our metadata points at, one
//! value of one instance, in little endian.

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderMap};
use actix_web::{HttpResponse, HttpResponseBuilder};
use bytes::Bytes;
use dicom_core::{Tag, VR};

use super::call::{Call, url_of};
use super::frames::{FrameForm, Frames};
use super::media::{Accept, OCTETS, Offer, Packing};
use super::multipart_writer::Boundary;
use crate::access::Scope;
use crate::archive::{Archive, Located, Target};
use crate::dicom::header::BulkValue;
use crate::dicom::json;
use crate::dicom::transfer_syntax::{
    DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_BIG_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN,
};
use crate::http::{Chunks, Problem, off_thread, respond};

/// Values are read and sent in pieces of this size; a multiple of every word.
const CHUNK_BYTES: u64 = 512 * 1024;
/// The same for deflated objects, where each read begins at the start.
const DEFLATED_CHUNK_BYTES: u64 = 64 * 1024 * 1024;

const PIXEL_DATA: &str = "7FE00010";
const BITS_ALLOCATED: Tag = Tag(0x0028, 0x0100);
/// Encapsulated Document, its media type and its length without padding (PS3.3 §C.24.2).
const DOCUMENT: &str = "00420011";
const DOCUMENT_TYPE: Tag = Tag(0x0042, 0x0012);
const DOCUMENT_LENGTH: Tag = Tag(0x0042, 0x0015);
/// Documents given under their own type. Types that a browser would run are not among them: the
/// document comes from a stranger and would run with our origin.
const DOCUMENT_TYPES: &[&str] = &["application/pdf", "model/stl", "model/obj", "model/mtl"];

/// Answers GET `…/bulkdata/{path}`.
pub(super) async fn bulkdata(call: &Call) -> Result<HttpResponse, Problem> {
    let target = call.target()?;
    let accept = call.accept()?;
    let url = url_of(&call.base, &target);
    let path = call.path_piece("path").to_ascii_uppercase();
    let (archive, scope) = (call.archive(), call.scope());
    let asked = (path.clone(), url.clone());
    let found = off_thread(move || find(&archive, &target, &scope, asked, &accept)).await??;

    let mut response = HttpResponse::build(StatusCode::OK);
    response.insert_header((header::VARY, "Accept"));
    match found {
        Found::Frames(frames) => {
            response.content_type(frames.boundary.content_type(frames.form.essence));
            respond(response, None, Box::new(*frames)).await
        }
        Found::Value(value, Packing::Multipart) => {
            let boundary = Boundary::random();
            response.content_type(boundary.content_type(&value.essence));
            let head = boundary.part(
                &value.content_type(),
                &format!("{url}/bulkdata/{path}"),
                Some(value.length),
            );
            let tail = Bytes::from([&Boundary::part_end()[..], &boundary.close()[..]].concat());
            let length = head.len() as u64 + value.length + tail.len() as u64;
            let whole = (0, value.length);
            let body = std::iter::once(Ok(head))
                .chain(value.chunks(call.archive(), whole))
                .chain([Ok(tail)]);
            respond(response, Some(length), Box::new(body)).await
        }
        Found::Value(value, Packing::Single) => single(response, call, value, &path).await,
    }
}

/// One value as the body, or a part of it (RFC 9110 §14).
async fn single(
    mut response: HttpResponseBuilder,
    call: &Call,
    value: Value,
    path: &str,
) -> Result<HttpResponse, Problem> {
    let tag = format!(
        "\"{}-{path}\"",
        blake3::Hash::from(value.located.digest).to_hex()
    );
    response.content_type(value.content_type());
    response.insert_header((header::ETAG, tag.as_str()));
    let mut part = (0, value.length);
    // Words are turned round whole, so such a value is given whole.
    if value.swap == Swap::No {
        response.insert_header((header::ACCEPT_RANGES, "bytes"));
        match range(call.headers(), value.length, &tag) {
            Asked::Whole => {}
            Asked::Part(first, length) => {
                part = (first, length);
                let last = first + length - 1;
                response.status(StatusCode::PARTIAL_CONTENT);
                response.insert_header((
                    header::CONTENT_RANGE,
                    format!("bytes {first}-{last}/{}", value.length),
                ));
            }
            Asked::Nowhere => {
                let problem = Problem::new(
                    StatusCode::RANGE_NOT_SATISFIABLE,
                    "the range lies outside the value",
                );
                let header = header::HeaderValue::from_str(&format!("bytes */{}", value.length));
                return Err(match header {
                    Ok(header) => problem.with(header::CONTENT_RANGE, header),
                    Err(_) => problem,
                });
            }
        }
    }
    respond(response, Some(part.1), value.chunks(call.archive(), part)).await
}

enum Found {
    /// Encapsulated pixel data: its frames.
    Frames(Box<Frames>),
    Value(Value, Packing),
}

fn find(
    archive: &Archive,
    target: &Target,
    scope: &Scope,
    (path, url): (String, String),
    accept: &Accept,
) -> Result<Found, Problem> {
    let (located, values) = archive
        .bulk(target, scope)?
        .ok_or_else(Problem::not_found)?;
    let bulk = values
        .into_iter()
        .find(|value| *value.path == *path)
        .ok_or_else(Problem::not_found)?;
    let Some((offset, length)) = bulk.span else {
        let form = FrameForm::of(&located);
        let count = located.frames.len();
        if count == 0 {
            return Err(Problem::not_found());
        }
        form.multipart(accept)?;
        let place = format!("{url}/frames/");
        let frames = Frames::new(archive, located, scope, form, (1..=count).collect(), place)?;
        return Ok(Found::Frames(Box::new(frames)));
    };
    let mut value = Value {
        swap: swap_of(archive, target, scope, &located, &bulk)?,
        located,
        offset,
        length,
        essence: OCTETS.to_owned(),
    };
    let document = if path == DOCUMENT {
        document(archive, target, scope)?
    } else {
        None
    };
    let mut offers = Vec::new();
    if let Some((essence, _)) = &document {
        offers.extend(
            [Packing::Single, Packing::Multipart].map(|packing| Offer::plain(packing, essence)),
        );
    }
    offers.extend([Packing::Single, Packing::Multipart].map(|packing| Offer {
        packing,
        essence: OCTETS,
        transfer_syntax: Some(EXPLICIT_VR_LITTLE_ENDIAN),
        is_default_syntax: true,
    }));
    let Some(chosen) = accept.choose(&offers) else {
        return Err(Problem::not_acceptable(
            "this value is available as application/octet-stream, single or multipart",
        ));
    };
    if chosen.essence != OCTETS {
        value.essence = chosen.essence.to_owned();
        let said = document.as_ref().and_then(|(_, length)| *length);
        value.length = said.filter(|said| *said <= length).unwrap_or(length);
    }
    Ok(Found::Value(value, chosen.packing))
}

/// A value and how it leaves us.
struct Value {
    located: Located,
    offset: u64,
    length: u64,
    essence: String,
    swap: Swap,
}

impl Value {
    fn content_type(&self) -> String {
        if self.essence == OCTETS {
            format!("{OCTETS}; transfer-syntax={EXPLICIT_VR_LITTLE_ENDIAN}")
        } else {
            self.essence.clone()
        }
    }

    /// The bytes of a part: first byte, number of bytes.
    fn chunks(self, archive: Archive, (first, length): (u64, u64)) -> Chunks {
        let is_deflated =
            self.located.transfer_syntax_uid.as_str() == DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN;
        let step = if is_deflated {
            DEFLATED_CHUNK_BYTES
        } else {
            CHUNK_BYTES
        };
        let end = first + length;
        let mut at = first;
        Box::new(std::iter::from_fn(move || {
            if at >= end {
                return None;
            }
            let length = step.min(end - at);
            // `step` fits.
            let mut bytes = vec![0; length as usize];
            let read = archive.read_dataset_at(&self.located, self.offset + at, &mut bytes);
            at += length;
            self.swap.apply(&mut bytes);
            Some(read.map(|()| Bytes::from(bytes)))
        }))
    }
}

/// What must be done to stored bytes to make them little endian.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Swap {
    /// Nothing.
    No,
    /// The bytes of each word of this size are turned round.
    Words(usize),
}

impl Swap {
    fn of_vr(vr: VR) -> Self {
        match vr {
            VR::OW | VR::US | VR::SS | VR::AT => Self::Words(2),
            VR::OL | VR::UL | VR::SL | VR::OF | VR::FL => Self::Words(4),
            VR::OD | VR::FD | VR::OV | VR::UV | VR::SV => Self::Words(8),
            _ => Self::No,
        }
    }

    /// Does it. A rest shorter than a word stays.
    pub(super) fn apply(self, bytes: &mut [u8]) {
        if let Self::Words(size) = self {
            bytes.chunks_exact_mut(size).for_each(<[u8]>::reverse);
        }
    }
}

fn swap_of(
    archive: &Archive,
    target: &Target,
    scope: &Scope,
    located: &Located,
    bulk: &BulkValue,
) -> Result<Swap, Problem> {
    if located.transfer_syntax_uid.as_str() != EXPLICIT_VR_BIG_ENDIAN {
        return Ok(Swap::No);
    }
    if &*bulk.path == PIXEL_DATA {
        return word_of_pixels(archive, target, scope, located);
    }
    Ok(Swap::of_vr(bulk.vr))
}

/// How the pixel data of an instance become little endian: pixels of more than a byte by the size
/// of a pixel, those of a byte by their VR (PS3.5 §8.1.1).
///
/// # Errors
/// 406 for pixels of less than a byte in big endian words.
pub(super) fn word_of_pixels(
    archive: &Archive,
    target: &Target,
    scope: &Scope,
    located: &Located,
) -> Result<Swap, Problem> {
    if located.transfer_syntax_uid.as_str() != EXPLICIT_VR_BIG_ENDIAN {
        return Ok(Swap::No);
    }
    let metadata = archive
        .metadata(target, scope, None, 1)?
        .pop()
        .ok_or_else(Problem::not_found)?
        .metadata;
    let is_words = json::top_level_member(&metadata, Tag(0x7FE0, 0x0010))
        .is_some_and(|member| member.starts_with(br#"{"vr":"OW""#));
    match number(&metadata, BITS_ALLOCATED) {
        Some(16) => Ok(Swap::Words(2)),
        Some(32) => Ok(Swap::Words(4)),
        Some(64) => Ok(Swap::Words(8)),
        Some(8) if is_words => Ok(Swap::Words(2)),
        _ if !is_words => Ok(Swap::No),
        _ => Err(Problem::not_acceptable(
            "big endian pixels of this size cannot be given in little endian yet",
        )),
    }
}

/// The media type of an encapsulated document and its length without padding, when both the type is
/// one we give.
fn document(
    archive: &Archive,
    target: &Target,
    scope: &Scope,
) -> Result<Option<(String, Option<u64>)>, Problem> {
    let Some(prepared) = archive.metadata(target, scope, None, 1)?.pop() else {
        return Ok(None);
    };
    let essence = value(&prepared.metadata, DOCUMENT_TYPE)
        .and_then(|value| Some(value.as_str()?.to_ascii_lowercase()));
    let essence = essence.filter(|essence| DOCUMENT_TYPES.contains(&essence.as_str()));
    Ok(essence.map(|essence| (essence, number(&prepared.metadata, DOCUMENT_LENGTH))))
}

fn number(metadata: &[u8], tag: Tag) -> Option<u64> {
    value(metadata, tag)?.as_u64()
}

/// The first value of a root attribute.
fn value(metadata: &[u8], tag: Tag) -> Option<serde_json::Value> {
    let member: serde_json::Value =
        serde_json::from_slice(json::top_level_member(metadata, tag)?).ok()?;
    member.get("Value")?.get(0).cloned()
}

#[derive(Debug, PartialEq, Eq)]
enum Asked {
    Whole,
    /// First byte and number of bytes.
    Part(u64, u64),
    /// A range that the value does not have.
    Nowhere,
}

/// Reads `Range`. What is malformed, several ranges, or bound to another version asks for the whole.
fn range(headers: &HeaderMap, length: u64, tag: &str) -> Asked {
    let if_range = headers
        .get(header::IF_RANGE)
        .map(|value| value.as_bytes() == tag.as_bytes());
    let text = headers
        .get(header::RANGE)
        .and_then(|value| value.to_str().ok());
    let Some((first, last)) =
        text.and_then(|text| text.strip_prefix("bytes=")?.trim().split_once('-'))
    else {
        return Asked::Whole;
    };
    if if_range == Some(false) {
        return Asked::Whole;
    }
    let (first, last) = match (first.parse::<u64>(), last.parse::<u64>()) {
        (Ok(first), Ok(last)) if first <= last => (first, last.min(length.saturating_sub(1))),
        (Ok(first), Err(_)) if last.is_empty() => (first, length.saturating_sub(1)),
        // The last so many bytes.
        (Err(_), Ok(0)) if first.is_empty() => return Asked::Nowhere,
        (Err(_), Ok(count)) if first.is_empty() => {
            (length.saturating_sub(count), length.saturating_sub(1))
        }
        _ => return Asked::Whole,
    };
    if first >= length {
        Asked::Nowhere
    } else {
        Asked::Part(first, last - first + 1)
    }
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;

    use super::*;

    #[test]
    fn ranges_follow_rfc_9110() {
        let cases = [
            ("bytes=0-9", Asked::Part(0, 10)),
            ("bytes=90-", Asked::Part(90, 10)),
            ("bytes=90-1000", Asked::Part(90, 10)),
            ("bytes=-5", Asked::Part(95, 5)),
            ("bytes=-500", Asked::Part(0, 100)),
            ("bytes=100-", Asked::Nowhere),
            ("bytes=-0", Asked::Nowhere),
            ("bytes=5-4", Asked::Whole),
            ("bytes=0-1,3-4", Asked::Whole),
            ("bytes=a-b", Asked::Whole),
            ("lines=0-1", Asked::Whole),
        ];
        for (text, expected) in cases {
            let mut headers = HeaderMap::new();
            headers.insert(header::RANGE, HeaderValue::from_static(text));
            assert_eq!(range(&headers, 100, "\"t\""), expected, "{text}");
            headers.insert(header::IF_RANGE, HeaderValue::from_static("\"other\""));
            assert_eq!(range(&headers, 100, "\"t\""), Asked::Whole, "{text}");
        }
        let mut headers = HeaderMap::new();
        headers.insert(header::RANGE, HeaderValue::from_static("bytes=0-"));
        assert_eq!(range(&headers, 0, "\"t\""), Asked::Nowhere);
        assert_eq!(range(&HeaderMap::new(), 100, "\"t\""), Asked::Whole);
    }

    #[test]
    fn words_are_turned_round_by_vr() {
        for (vr, expected) in [
            (VR::OW, [2, 1, 4, 3, 6, 5, 8, 7]),
            (VR::OF, [4, 3, 2, 1, 8, 7, 6, 5]),
            (VR::OD, [8, 7, 6, 5, 4, 3, 2, 1]),
            (VR::OB, [1, 2, 3, 4, 5, 6, 7, 8]),
        ] {
            let mut bytes = [1, 2, 3, 4, 5, 6, 7, 8];
            Swap::of_vr(vr).apply(&mut bytes);
            assert_eq!(bytes, expected, "{vr}");
        }
    }
}
