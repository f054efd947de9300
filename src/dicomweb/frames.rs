//! Retrieve frames (PS3.18 §10.4.1.1.6): each frame as it is stored, one read by the frame map.
//!
//! Native frames are little endian octets, whatever the stored byte order. Compressed frames are
//! given in their own media type: when it is asked for, or to who takes octets with
//! `transfer-syntax=*`, which is how OHIF asks.

use std::collections::VecDeque;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header;
use bytes::Bytes;

use super::accept::{Accept, Offer, Packing};
use super::byte_order::{Swap, word_of_pixels};
use super::call::{Call, target_of, url_of};
use super::media::OCTETS;
use super::multipart_writer::Boundary;
use crate::access::Scope;
use crate::archive::{Archive, Error, FRAME_BYTES_MAX, Located, Target};
use crate::dicom::TransferSyntax;
use crate::dicom::frame_map::{Frame, FrameMap, Span};
use crate::dicom::transfer_syntax::{EXPLICIT_VR_LITTLE_ENDIAN, Form};
use crate::http::{Problem, off_thread, respond};

/// The most frames of one request.
const FRAMES_MAX: usize = 65_536;
/// A frame up to this size is joined to what stands around it, so that the length of the body is
/// known. Bytes.
const JOINED_BYTES: usize = 64 * 1024 * 1024;
/// Octets that are stored encapsulated: uncompressed already.
const ENCAPSULATED_UNCOMPRESSED: &str = "1.2.840.10008.1.2.1.98";

/// Answers GET `…/frames/{list}`.
pub(super) async fn frames(call: &Call) -> Result<HttpResponse, Problem> {
    let target = call.target()?;
    let numbers = numbers(call.path_piece("frames"))?;
    let accept = call.accept()?;
    let (archive, scope) = (call.archive(), call.scope());
    let place = format!("{}/frames/", url_of(&call.base, &target));
    let is_one = numbers.len() == 1;
    let first = numbers.first().copied().unwrap_or(1);

    let (packing, frames) =
        off_thread(move || open(&archive, &target, &scope, numbers, &accept, place)).await??;
    let mut response = HttpResponse::build(StatusCode::OK);
    response.insert_header((header::VARY, "Accept"));
    response.insert_header((header::CACHE_CONTROL, "private, no-cache"));
    match packing {
        Packing::Single if is_one => {
            response.content_type(frames.form.part_type());
            response.insert_header((header::CONTENT_LOCATION, format!("{}{first}", frames.place)));
            respond(
                response,
                None,
                Box::new(std::iter::once_with(move || frames.frame(first))),
            )
            .await
        }
        Packing::Single | Packing::Multipart => {
            response.content_type(frames.boundary.content_type(frames.form.essence));
            respond(response, None, Box::new(frames)).await
        }
    }
}

/// Reads a frame list: decimal numbers from 1, separated by commas.
fn numbers(list: &str) -> Result<Vec<u32>, Problem> {
    let malformed =
        || Problem::bad_request("the frame list is not numbers from 1, separated by commas");
    let mut numbers = Vec::new();
    for text in list.split(',') {
        if text.is_empty() || text.len() > 20 || !text.bytes().all(|b| b.is_ascii_digit()) {
            return Err(malformed());
        }
        // A number too large for us is too large for any instance.
        let number = text.parse().unwrap_or(u32::MAX);
        if number == 0 || numbers.len() == FRAMES_MAX {
            return Err(malformed());
        }
        numbers.push(number);
    }
    Ok(numbers)
}

/// How an instance's frames leave us.
#[derive(Debug, Clone)]
pub(super) struct FrameForm {
    /// The media type of a frame.
    pub(super) essence: &'static str,
    /// Its transfer syntax.
    pub(super) transfer_syntax: String,
    is_native: bool,
}

impl FrameForm {
    pub(super) fn of(located: &Located) -> Self {
        let stored = located.transfer_syntax_uid.as_str();
        match TransferSyntax::of_uid(stored) {
            Some(syntax)
                if syntax.form == Form::Encapsulated && stored != ENCAPSULATED_UNCOMPRESSED =>
            {
                Self {
                    essence: syntax.media_type,
                    transfer_syntax: stored.to_owned(),
                    is_native: false,
                }
            }
            _ => Self {
                essence: OCTETS,
                transfer_syntax: EXPLICIT_VR_LITTLE_ENDIAN.to_owned(),
                is_native: true,
            },
        }
    }

    /// What we can give, best first.
    fn offers(&self, is_one: bool) -> Vec<Offer<'_>> {
        let own = Offer {
            packing: Packing::Multipart,
            essence: self.essence,
            transfer_syntax: Some(&self.transfer_syntax),
            is_default_syntax: self.is_native || self.essence != OCTETS,
        };
        // Octets in any transfer syntax: the frame is labelled with what it really is.
        let octets = Offer {
            essence: OCTETS,
            is_default_syntax: self.is_native,
            ..own.clone()
        };
        let mut offers = vec![own, octets];
        if is_one {
            offers.extend(offers.clone().into_iter().map(|offer| Offer {
                packing: Packing::Single,
                ..offer
            }));
        }
        offers
    }

    /// How the caller takes it.
    ///
    /// # Errors
    /// 406, with what is on offer.
    fn packing(&self, accept: &Accept, is_one: bool) -> Result<Packing, Problem> {
        if let Some(offer) = accept.choose(&self.offers(is_one)) {
            return Ok(offer.packing);
        }
        let Self {
            essence,
            transfer_syntax,
            ..
        } = self;
        Err(Problem::not_acceptable(format!(
            "available as multipart/related; type=\"{essence}\"; transfer-syntax={transfer_syntax} only, \
             or with type=\"application/octet-stream\"; transfer-syntax=*; transcoding is not available"
        )))
    }

    /// Takes all frames as parts, or not at all.
    ///
    /// # Errors
    /// As [`FrameForm::packing`].
    pub(super) fn multipart(&self, accept: &Accept) -> Result<(), Problem> {
        self.packing(accept, false).map(|_| ())
    }

    fn part_type(&self) -> String {
        format!("{}; transfer-syntax={}", self.essence, self.transfer_syntax)
    }
}

fn open(
    archive: &Archive,
    target: &Target,
    scope: &Scope,
    numbers: Vec<u32>,
    accept: &Accept,
    place: String,
) -> Result<(Packing, Frames), Problem> {
    let located = archive
        .locate(target, scope, None, 1)?
        .pop()
        .ok_or_else(Problem::not_found)?;
    if numbers.iter().any(|number| *number > located.frames.len()) {
        let text = format!("the instance has {} frames", located.frames.len());
        return Err(Problem::new(StatusCode::NOT_FOUND, text));
    }
    let form = FrameForm::of(&located);
    let packing = form.packing(accept, numbers.len() == 1)?;
    let frames = Frames::new(archive, located, scope, form, numbers, place)?;
    Ok((packing, frames))
}

/// Frames as a multipart body.
pub(super) struct Frames {
    archive: Archive,
    located: Located,
    pub(super) form: FrameForm,
    swap: Swap,
    numbers: VecDeque<u32>,
    /// The URL of a frame without its number.
    place: String,
    pub(super) boundary: Boundary,
    ready: VecDeque<Bytes>,
    is_closed: bool,
}

impl Frames {
    /// # Errors
    /// 406 when the byte order cannot be turned round.
    pub(super) fn new(
        archive: &Archive,
        located: Located,
        scope: &Scope,
        form: FrameForm,
        numbers: Vec<u32>,
        place: String,
    ) -> Result<Self, Problem> {
        let swap = word_of_pixels(archive, &target_of(&located), scope, &located)?;
        Ok(Self {
            archive: archive.clone(),
            located,
            form,
            swap,
            numbers: numbers.into(),
            place,
            boundary: Boundary::random(),
            ready: VecDeque::new(),
            is_closed: false,
        })
    }

    /// The bytes of one frame.
    fn frame(&self, number: u32) -> Result<Bytes, Error> {
        if let (
            Swap::Words(2),
            Some(Frame::Native { span, .. }),
            FrameMap::Native { span: pixels, .. },
        ) = (
            self.swap,
            self.located.frames.frame(number),
            &self.located.frames,
        ) {
            return self.words(span, *pixels);
        }
        let mut bytes = self.archive.frame(&self.located, number)?;
        self.swap.apply(&mut bytes);
        Ok(Bytes::from(bytes))
    }

    /// A native frame in words of 16 bits, turned round: words count from the first pixel, and
    /// pixels of one byte may begin a frame in the middle of one (PS3.5 §8.1.1).
    fn words(&self, frame: Span, pixels: Span) -> Result<Bytes, Error> {
        let before = (frame.offset - pixels.offset) % 2;
        let wanted = (before + frame.length).next_multiple_of(2);
        let length = wanted.min(pixels.offset + pixels.length + before - frame.offset);
        if length > FRAME_BYTES_MAX {
            return Err(Error::TooLarge {
                limit: "frame bytes",
                max: FRAME_BYTES_MAX,
            });
        }
        // At most FRAME_BYTES_MAX, so it fits.
        let mut bytes = vec![0; length as usize];
        self.archive
            .read_dataset_at(&self.located, frame.offset - before, &mut bytes)?;
        self.swap.apply(&mut bytes);
        let begin = before as usize;
        Ok(Bytes::from(bytes).slice(begin..begin + frame.length as usize))
    }

    fn prepare(&mut self) -> Result<(), Error> {
        let Some(number) = self.numbers.pop_front() else {
            return Ok(());
        };
        let frame = self.frame(number)?;
        let place = format!("{}{number}", self.place);
        let head = self
            .boundary
            .part(&self.form.part_type(), &place, Some(frame.len() as u64));
        let mut tail = Boundary::part_end().to_vec();
        if self.numbers.is_empty() {
            tail.extend_from_slice(&self.boundary.close());
            self.is_closed = true;
        }
        if frame.len() <= JOINED_BYTES {
            self.ready
                .push_back(Bytes::from([&head[..], &frame[..], &tail[..]].concat()));
        } else {
            self.ready.extend([head, frame, Bytes::from(tail)]);
        }
        Ok(())
    }
}

impl Iterator for Frames {
    type Item = Result<Bytes, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ready.is_empty()
            && !self.is_closed
            && let Err(error) = self.prepare()
        {
            return Some(Err(error));
        }
        self.ready.pop_front().map(Ok)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frame_lists_are_numbers_from_one() {
        assert_eq!(numbers("1").unwrap(), [1]);
        assert_eq!(numbers("3,1,99999999999").unwrap(), [3, 1, u32::MAX]);
        for bad in [
            "",
            "0",
            "-1",
            "a",
            "1,",
            "1,,2",
            "1, 2",
            "+1",
            "1.5",
            "111111111111111111111",
        ] {
            assert!(numbers(bad).is_err(), "{bad}");
        }
        assert!(numbers(&vec!["1"; FRAMES_MAX + 1].join(",")).is_err());
    }

    #[test]
    fn octets_by_name_are_for_native_frames_only() {
        let compressed = FrameForm {
            essence: "image/jls",
            transfer_syntax: "1.2.840.10008.1.2.4.80".into(),
            is_native: false,
        };
        let native = FrameForm {
            essence: OCTETS,
            transfer_syntax: EXPLICIT_VR_LITTLE_ENDIAN.into(),
            is_native: true,
        };
        let cases: &[(&str, Option<Packing>, Option<Packing>)] = &[
            (
                "multipart/related; type=application/octet-stream; transfer-syntax=*",
                Some(Packing::Multipart),
                Some(Packing::Multipart),
            ),
            (
                "multipart/related; type=\"application/octet-stream\"",
                None,
                Some(Packing::Multipart),
            ),
            ("application/octet-stream", None, Some(Packing::Single)),
            ("image/jls", Some(Packing::Single), None),
            (
                "image/x-jls; transfer-syntax=1.2.840.10008.1.2.4.80",
                Some(Packing::Single),
                None,
            ),
            (
                "multipart/related; type=application/octet-stream; transfer-syntax=1.2.840.10008.1.2.1",
                None,
                Some(Packing::Multipart),
            ),
            ("*/*", Some(Packing::Multipart), Some(Packing::Multipart)),
        ];
        for (text, of_compressed, of_native) in cases {
            let mut headers = actix_web::http::header::HeaderMap::new();
            headers.insert(header::ACCEPT, header::HeaderValue::from_str(text).unwrap());
            let accept = Accept::of(&headers, None).unwrap();
            assert_eq!(
                compressed.packing(&accept, true).ok(),
                *of_compressed,
                "{text}"
            );
            assert_eq!(native.packing(&accept, true).ok(), *of_native, "{text}");
        }
    }
}
