//! Retrieve bulk data (PS3.18 §10.4.1.1.5): what a `BulkDataURI` of our metadata points at, one
//! value of one instance, in little endian; and how each kind of value can be given.
//!
//! - Encapsulated pixel data: their frames as parts; a single one or a video alone too.
//! - An Encapsulated Document: its own type, or octets.
//! - Any other value: octets.

use std::collections::VecDeque;

use actix_web::HttpResponse;
use dicom_core::Tag;

use super::accept::{Accept, Offer, Packing};
use super::byte_order::{inline, number, value, word_of_pixels};
use super::call::{Call, target_of, url_of};
use super::frames::FrameForm;
use super::given::{self, Given};
use super::media::OCTETS;
use super::multipart_body::{FrameList, Portion};
use super::parts::{Opened, Part, Reading, Refusal, Source};
use crate::archive::{Error, Located, Target};
use crate::dicom::frame_map::Span;
use crate::dicom::header::BulkValue;
use crate::dicom::rewrite::Swap;
use crate::dicom::transfer_syntax::{EXPLICIT_VR_BIG_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN};
use crate::http::{Problem, off_thread};

/// Pixel data of the data set itself: integers, floats, doubles (PS3.3 §C.7.6.3, §C.7.6.24).
pub(super) const PIXELS: [&str; 3] = [PIXEL_DATA, "7FE00008", "7FE00009"];
const PIXEL_DATA: &str = "7FE00010";
/// Encapsulated Document, its media type and its length without padding (PS3.3 §C.24.2).
const DOCUMENT: &str = "00420011";
const DOCUMENT_TAG: Tag = Tag(0x0042, 0x0011);
const DOCUMENT_TYPE: Tag = Tag(0x0042, 0x0012);
const DOCUMENT_LENGTH: Tag = Tag(0x0042, 0x0015);
/// Documents given under their own type. Types that a browser would run are not among them: the
/// document comes from a stranger and would run with our origin.
pub(super) const DOCUMENT_TYPES: &[&str] =
    &["application/pdf", "model/stl", "model/obj", "model/mtl"];

const SINGLE_FIRST: &[Packing] = &[Packing::Single, Packing::Multipart];
const MULTIPART_FIRST: &[Packing] = &[Packing::Multipart, Packing::Single];
const MULTIPART: &[Packing] = &[Packing::Multipart];

/// Whether a path leads to a whole document.
pub(super) fn is_document(path: &str) -> bool {
    let last = path.rsplit('/').find(|piece| !piece.is_empty());
    last.is_some_and(|last| last == DOCUMENT)
}

/// Answers GET `…/bulkdata/{path}`.
pub(super) async fn bulkdata(call: &Call) -> Result<HttpResponse, Problem> {
    let target = call.target()?;
    let accept = call.accept()?;
    let path = call.path_piece("path").to_ascii_uppercase();
    let reading = Reading::of(call);
    let given = off_thread(move || find(&reading, &target, &path, &accept)).await??;
    given::answer(call, given).await
}

fn find(reading: &Reading, target: &Target, path: &str, accept: &Accept) -> Result<Given, Refusal> {
    let (located, values) = reading
        .archive
        .bulk(target, &reading.scope)?
        .ok_or(Error::NotFound)?;
    let bulk = values
        .into_iter()
        .find(|value| &*value.path == path)
        .ok_or(Error::NotFound)?;
    let (kind, packing) = kind_of(reading, &located, &bulk, accept, true)?;
    let wants_frames = !matches!(kind, Kind::Value(_));
    let opened = Opened::new(reading, located, wants_frames)?;
    Ok(match (kind, packing) {
        (Kind::Value(part) | Kind::Whole(part), Packing::Single) => Given::Single(opened, part),
        (Kind::Value(part) | Kind::Whole(part), Packing::Multipart) => {
            Given::Multipart(Portion::new(opened, None, VecDeque::from([part])))
        }
        (Kind::Frames(list), Packing::Multipart) => {
            Given::Multipart(Portion::new(opened, Some(list), VecDeque::new()))
        }
        (Kind::Frames(list), Packing::Single) => {
            // Offered when there is one.
            Given::Single(opened, list.part(1))
        }
    })
}

/// The chosen bulk values of an instance as parts; frames for encapsulated pixel data. Pixel data
/// come first: there are viewers that look at no other part.
///
/// # Errors
/// [`Refusal::NotAcceptable`] when one of them is not accepted as a part.
pub(super) fn portion(
    reading: &Reading,
    located: Located,
    values: &[BulkValue],
    accept: &Accept,
) -> Result<Portion, Refusal> {
    let (mut frames, mut parts) = (None, VecDeque::new());
    for bulk in values {
        match kind_of(reading, &located, bulk, accept, false)?.0 {
            Kind::Frames(list) => frames = Some(list),
            Kind::Value(part) | Kind::Whole(part) if PIXELS.contains(&&*bulk.path) => {
                parts.push_front(part);
            }
            Kind::Value(part) | Kind::Whole(part) => parts.push_back(part),
        }
    }
    let opened = Opened::new(reading, located, frames.is_some())?;
    Ok(Portion::new(opened, frames, parts))
}

/// What a bulk value is.
enum Kind {
    /// A run of bytes.
    Value(Part),
    /// Fragments that are one: all of a video, an icon.
    Whole(Part),
    /// Encapsulated pixel data: frames.
    Frames(FrameList),
}

/// What a bulk value is, and how the caller takes it: alone too, or as a part only.
fn kind_of(
    reading: &Reading,
    located: &Located,
    bulk: &BulkValue,
    accept: &Accept,
    may_be_alone: bool,
) -> Result<(Kind, Packing), Refusal> {
    let url = url_of(&reading.base, &target_of(located));
    let location = format!("{url}/bulkdata/{}", bulk.path);
    let preferring = |packings| if may_be_alone { packings } else { MULTIPART };
    let Some((offset, length)) = bulk.span else {
        if &*bulk.path != PIXEL_DATA {
            let form = FrameForm::of_syntax(located.transfer_syntax_uid.as_str());
            let packing = form.packing(accept, preferring(MULTIPART_FIRST))?;
            let fragments = reading.archive.fragments(located, &bulk.path)?;
            let part = form.part(location, Source::Fragments(fragments));
            return Ok((Kind::Whole(part), packing));
        }
        let count = located.frames.len();
        if count == 0 {
            return Err(Error::NotFound.into());
        }
        let form = FrameForm::of(located);
        if form.is_video {
            let packing = form.packing(accept, preferring(SINGLE_FIRST))?;
            return Ok((Kind::Whole(form.part(location, Source::Frame(1))), packing));
        }
        let packings = if count == 1 {
            MULTIPART_FIRST
        } else {
            MULTIPART
        };
        let (form, packing) = FrameForm::choose(reading, located, accept, preferring(packings))?;
        let list = FrameList {
            form,
            place: format!("{url}/frames/"),
            numbers: (1..=count).collect(),
        };
        return Ok((Kind::Frames(list), packing));
    };
    let document = if &*bulk.path == DOCUMENT {
        document(reading, located)?
    } else {
        None
    };
    let octets = (
        OCTETS.to_owned(),
        Some(EXPLICIT_VR_LITTLE_ENDIAN.to_owned()),
    );
    let types: Vec<_> = document
        .iter()
        .map(|(essence, _)| (essence.clone(), None))
        .chain([octets])
        .collect();
    let (essence, syntax, packing) = chosen(&types, preferring(SINGLE_FIRST), accept)?;
    let said = document.and_then(|(_, length)| length);
    let length = match &syntax {
        Some(_) => length,
        None => unpadded(length, said),
    };
    let part = Part {
        essence,
        transfer_syntax: syntax,
        location,
        source: Source::Value {
            span: Span { offset, length },
            swap: swap_of(reading, located, bulk)?,
        },
    };
    Ok((Kind::Value(part), packing))
}

type Media = (String, Option<String>);

/// Which of these media types, best first, and how packed.
fn chosen(
    types: &[Media],
    packings: &[Packing],
    accept: &Accept,
) -> Result<(String, Option<String>, Packing), Refusal> {
    let mut offers = Vec::new();
    for (essence, syntax) in types {
        offers.extend(packings.iter().map(|packing| Offer {
            packing: *packing,
            essence,
            transfer_syntax: syntax.as_deref(),
            is_default_syntax: true,
        }));
    }
    match accept.choose(&offers) {
        Some(offer) => Ok((
            offer.essence.to_owned(),
            offer.transfer_syntax.map(str::to_owned),
            offer.packing,
        )),
        None => Err(Refusal::NotAcceptable(format!(
            "this value is available as {}{}",
            types
                .iter()
                .map(|(essence, _)| essence.as_str())
                .collect::<Vec<_>>()
                .join(" or "),
            if packings.contains(&Packing::Single) {
                ", alone or as multipart/related"
            } else {
                ", as multipart/related"
            }
        ))),
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

fn swap_of(reading: &Reading, located: &Located, bulk: &BulkValue) -> Result<Swap, Refusal> {
    if located.transfer_syntax_uid.as_str() != EXPLICIT_VR_BIG_ENDIAN {
        return Ok(Swap::No);
    }
    if &*bulk.path == PIXEL_DATA {
        return Ok(word_of_pixels(&reading.archive, &reading.scope, located)?);
    }
    Ok(Swap::of_vr(bulk.vr))
}

/// An encapsulated document by itself, known by `location`; `None` when the instance has none of a type
/// that we give.
pub(super) fn whole_document(
    reading: &Reading,
    located: &Located,
    location: String,
) -> Result<Option<Part>, Error> {
    let Some((essence, said)) = document(reading, located)? else {
        return Ok(None);
    };
    let target = target_of(located);
    let values = reading.archive.bulk(&target, &reading.scope)?;
    let linked = values
        .iter()
        .flat_map(|(_, values)| values)
        .find(|value| &*value.path == DOCUMENT)
        .and_then(|value| value.span);
    let source = match linked {
        Some((offset, length)) => Source::Value {
            span: Span {
                offset,
                length: unpadded(length, said),
            },
            swap: Swap::No,
        },
        // Short enough to stand in the metadata.
        None => {
            let mut prepared = reading.archive.metadata(&target, &reading.scope, None, 1)?;
            let inline = prepared
                .pop()
                .and_then(|prepared| inline(&prepared.metadata, DOCUMENT_TAG));
            let Some(mut bytes) = inline else {
                return Ok(None);
            };
            let length = unpadded(bytes.len() as u64, said);
            bytes.truncate(usize::try_from(length).unwrap_or(usize::MAX));
            Source::Held(bytes.into())
        }
    };
    Ok(Some(Part {
        essence,
        transfer_syntax: None,
        location,
        source,
    }))
}

/// The media type of an encapsulated document and its length without padding, when the type is one
/// we give.
fn document(reading: &Reading, located: &Located) -> Result<Option<(String, Option<u64>)>, Error> {
    let target = target_of(located);
    let mut prepared = reading.archive.metadata(&target, &reading.scope, None, 1)?;
    let Some(prepared) = prepared.pop() else {
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
