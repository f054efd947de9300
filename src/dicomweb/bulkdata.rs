//! Retrieve bulk data (PS3.18 §10.4.1.1.5): what a `BulkDataURI` of our metadata points at, one
//! value of one instance, in little endian.

use actix_web::http::StatusCode;
use actix_web::http::header;
use actix_web::{HttpResponse, HttpResponseBuilder};
use bytes::Bytes;
use dicom_core::Tag;

use super::accept::{Accept, Offer, Packing};
use super::byte_order::{Swap, number, value, word_of_pixels};
use super::call::{Call, url_of};
use super::frames::{FrameForm, Frames};
use super::media::OCTETS;
use super::multipart_writer::Boundary;
use super::range::{Asked, range};
use crate::access::Scope;
use crate::archive::{Archive, Located, Target};
use crate::dicom::header::BulkValue;
use crate::dicom::transfer_syntax::{EXPLICIT_VR_BIG_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN};
use crate::http::{Chunks, Problem, off_thread, respond};

/// Values are read and sent in pieces of this size; a multiple of every word.
const CHUNK_BYTES: u64 = 512 * 1024;

const PIXEL_DATA: &str = "7FE00010";
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
            respond(response, Some(frames.length()), Box::new(*frames)).await
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
                .chain(value.chunks(&call.archive(), whole))
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
    value: Box<Value>,
    path: &str,
) -> Result<HttpResponse, Problem> {
    let tag = value.entity_tag(path);
    response.content_type(value.content_type());
    response.insert_header((header::ETAG, tag.as_str()));
    let mut part = (0, value.length);
    // Words are turned round whole, so such a value is given whole.
    if value.swap == Swap::No {
        response.insert_header((header::ACCEPT_RANGES, "bytes"));
        // A range is defined for GET only (RFC 9110 §14.2).
        let asked = if call.is_get() {
            range(call.headers(), value.length, &tag)
        } else {
            Asked::Whole
        };
        match asked {
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
    respond(response, Some(part.1), value.chunks(&call.archive(), part)).await
}

enum Found {
    /// Encapsulated pixel data: its frames.
    Frames(Box<Frames>),
    Value(Box<Value>, Packing),
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
        let how = (form, Packing::Multipart);
        let frames = Frames::new(archive, located, scope, how, (1..=count).collect(), place)?;
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
        value.length = unpadded(length, said);
    }
    Ok(Found::Value(Box::new(value), chosen.packing))
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

    /// A strong entity tag: the same only for the same bytes of the same type (RFC 9110 §8.8.3).
    fn entity_tag(&self, path: &str) -> String {
        let digest = blake3::Hash::from(self.located.digest).to_hex();
        let media = blake3::hash(self.content_type().as_bytes()).to_hex();
        format!("\"{digest}-{path}-{}-{}\"", &media[..8], self.length)
    }

    /// The bytes of a part: first byte, number of bytes.
    fn chunks(self, archive: &Archive, (first, length): (u64, u64)) -> Chunks {
        let mut dataset = archive.dataset(&self.located);
        let end = first + length;
        let mut at = first;
        Box::new(std::iter::from_fn(move || {
            if at >= end {
                return None;
            }
            let length = CHUNK_BYTES.min(end - at);
            // A chunk fits.
            let mut bytes = vec![0; length as usize];
            let read = dataset.read_at(self.offset + at, &mut bytes);
            at += length;
            self.swap.apply(&mut bytes);
            Some(read.map(|()| Bytes::from(bytes)))
        }))
    }
}

/// The length of a document without its padding, when what the object says of it can be true:
/// padding makes a length even, no more. Else the whole value is given, rather than a cut one.
fn unpadded(length: u64, said: Option<u64>) -> u64 {
    said.filter(|said| {
        length
            .checked_sub(*said)
            .is_some_and(|padding| padding <= 1)
    })
    .unwrap_or(length)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_padding_is_cut_off_a_document() {
        for (said, expected) in [
            (Some(79_999), 79_999),
            (Some(80_000), 80_000),
            (Some(80_001), 80_000),
            (Some(79_998), 80_000),
            (Some(1_000), 80_000),
            (Some(0), 80_000),
            (None, 80_000),
        ] {
            assert_eq!(unpadded(80_000, said), expected, "{said:?}");
        }
    }
}
