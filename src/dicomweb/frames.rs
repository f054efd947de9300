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
use crate::archive::{Archive, DatasetReader, Error, Located, Target};
use crate::dicom::TransferSyntax;
use crate::dicom::frame_map::{Frame, FrameMap, Span};
use crate::dicom::transfer_syntax::{EXPLICIT_VR_LITTLE_ENDIAN, Form};
use crate::http::{Problem, off_thread, respond};

/// The most frames of one request.
const FRAMES_MAX: usize = 65_536;
/// Frames are read and sent in pieces of this size, small ones together: what a response holds in
/// memory does not depend on what is stored. Bytes.
const CHUNK_BYTES: usize = 1024 * 1024;
/// Octets that are stored encapsulated: uncompressed already.
const ENCAPSULATED_UNCOMPRESSED: &str = "1.2.840.10008.1.2.1.98";

/// Answers GET `…/frames/{list}`.
pub(super) async fn frames(call: &Call) -> Result<HttpResponse, Problem> {
    let target = call.target()?;
    let numbers = numbers(call.path_piece("frames"))?;
    let accept = call.accept()?;
    let (archive, scope) = (call.archive(), call.scope());
    let place = format!("{}/frames/", url_of(&call.base, &target));
    let first = numbers.first().copied().unwrap_or(1);

    let frames =
        off_thread(move || open(&archive, &target, &scope, numbers, &accept, place)).await??;
    let mut response = HttpResponse::build(StatusCode::OK);
    response.insert_header((header::VARY, "Accept"));
    response.insert_header((header::CACHE_CONTROL, "private, no-cache"));
    match frames.packing {
        Packing::Single => {
            response.content_type(frames.form.part_type());
            response.insert_header((header::CONTENT_LOCATION, format!("{}{first}", frames.place)));
        }
        Packing::Multipart => {
            response.content_type(frames.boundary.content_type(frames.form.essence));
        }
    }
    respond(response, Some(frames.length()), Box::new(frames)).await
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
) -> Result<Frames, Problem> {
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
    Frames::new(archive, located, scope, (form, packing), numbers, place)
}

/// Frames as a body: one alone, or any as parts.
pub(super) struct Frames {
    dataset: DatasetReader,
    located: Located,
    pub(super) form: FrameForm,
    packing: Packing,
    swap: Swap,
    numbers: VecDeque<u32>,
    /// The URL of a frame without its number.
    place: String,
    pub(super) boundary: Boundary,
    /// The frame being sent, and how far it got.
    current: Option<(u32, u64)>,
    is_closed: bool,
}

impl Frames {
    /// # Errors
    /// 406 when the byte order cannot be turned round.
    pub(super) fn new(
        archive: &Archive,
        located: Located,
        scope: &Scope,
        (form, packing): (FrameForm, Packing),
        numbers: Vec<u32>,
        place: String,
    ) -> Result<Self, Problem> {
        let swap = word_of_pixels(archive, &target_of(&located), scope, &located)?;
        Ok(Self {
            dataset: archive.dataset(&located),
            located,
            form,
            packing,
            swap,
            numbers: numbers.into(),
            place,
            boundary: Boundary::random(),
            current: None,
            is_closed: false,
        })
    }

    /// The length of the whole body.
    pub(super) fn length(&self) -> u64 {
        let of_frame = |number: &u32| {
            let frame = self.located.frames.frame(*number);
            let length = frame.map_or(0, |frame| frame.length());
            let around = self.head(*number, length).len() + self.end().len();
            length.saturating_add(around as u64)
        };
        let frames = self.numbers.iter().map(of_frame);
        frames.fold(self.close().len() as u64, u64::saturating_add)
    }

    fn head(&self, number: u32, length: u64) -> Bytes {
        match self.packing {
            Packing::Single => Bytes::new(),
            Packing::Multipart => {
                let place = format!("{}{number}", self.place);
                self.boundary
                    .part(&self.form.part_type(), &place, Some(length))
            }
        }
    }

    fn end(&self) -> Bytes {
        match self.packing {
            Packing::Single => Bytes::new(),
            Packing::Multipart => Boundary::part_end(),
        }
    }

    fn close(&self) -> Bytes {
        match self.packing {
            Packing::Single => Bytes::new(),
            Packing::Multipart => self.boundary.close(),
        }
    }

    fn chunk(&mut self) -> Result<Bytes, Error> {
        let mut chunk = Vec::new();
        while chunk.len() < CHUNK_BYTES {
            if let Some((number, at)) = self.current {
                let frame = self.located.frames.frame(number).ok_or(Error::NotFound)?;
                let left = frame.length() - at;
                let space = CHUNK_BYTES - chunk.len();
                let part = usize::try_from(left).map_or(space, |left| left.min(space));
                match (self.swap, frame, &self.located.frames) {
                    (
                        Swap::Words(size),
                        Frame::Native { span, .. },
                        FrameMap::Native { span: pixels, .. },
                    ) => {
                        let place = place_in_words(span.offset + at, part, *pixels, size as u64);
                        let mut words = vec![0; place.read];
                        self.dataset.read_at(place.offset, &mut words)?;
                        self.swap.apply(&mut words);
                        chunk.extend_from_slice(&words[place.before..place.before + part]);
                    }
                    _ => self.dataset.append_frame(frame, at, part, &mut chunk)?,
                }
                let at = at + part as u64;
                self.current = Some((number, at));
                if part as u64 == left {
                    chunk.extend_from_slice(&self.end());
                    self.current = None;
                }
            } else if let Some(number) = self.numbers.pop_front() {
                let frame = self.located.frames.frame(number).ok_or(Error::NotFound)?;
                chunk.extend_from_slice(&self.head(number, frame.length()));
                self.current = Some((number, 0));
            } else {
                chunk.extend_from_slice(&self.close());
                self.is_closed = true;
                break;
            }
        }
        Ok(Bytes::from(chunk))
    }
}

impl Iterator for Frames {
    type Item = Result<Bytes, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        (!self.is_closed).then(|| self.chunk())
    }
}

/// Where to read whole words for some bytes of the pixels.
#[derive(Debug, PartialEq, Eq)]
struct InWords {
    offset: u64,
    read: usize,
    /// How many bytes of the first word are not wanted.
    before: usize,
}

/// Words count from the first pixel: pixels of one byte may begin a frame in the middle of one
/// (PS3.5 §8.1.1), and so may a piece of a frame.
fn place_in_words(offset: u64, length: usize, pixels: Span, size: u64) -> InWords {
    let before = (offset - pixels.offset) % size;
    let begin = offset - before;
    let wanted = (before + length as u64).next_multiple_of(size);
    let read = wanted.min(pixels.offset + pixels.length - begin);
    InWords {
        offset: begin,
        // A piece and less than two words more, so it fits.
        read: read as usize,
        before: before as usize,
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
    fn pieces_are_read_in_words_from_the_first_pixel() {
        let pixels = Span {
            offset: 101,
            length: 9,
        };
        let place = |offset, read, before| InWords {
            offset,
            read,
            before,
        };
        // 3 frames of 3 pixels of a byte, in words of 2; the last byte has no other half.
        assert_eq!(place_in_words(101, 3, pixels, 2), place(101, 4, 0));
        assert_eq!(place_in_words(104, 3, pixels, 2), place(103, 4, 1));
        assert_eq!(place_in_words(107, 3, pixels, 2), place(107, 3, 0));
        assert_eq!(place_in_words(106, 1, pixels, 8), place(101, 8, 5));
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
