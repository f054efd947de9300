//! Retrieve frames (PS3.18 §10.4.1.1.7): each frame as it is stored, one read by the frame map, or made.
//!
//! Native frames are little endian octets, whatever the stored byte order; one-bit frames each
//! begin at a byte. Compressed frames are given in their own media type: when it is asked for, or to
//! who takes octets with `transfer-syntax=*`, which is how OHIF asks. Who asks for octets gets them
//! decoded, who asks for the media type of a codec that we encode gets them encoded, without loss.

use std::collections::VecDeque;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;

use super::accept::{Accept, Offer, Packing};
use super::call::{Call, url_of};
use super::given::{self, Given};
use super::media::OCTETS;
use super::multipart_body::{AT_HAND_MAX, FrameList, Portion};
use super::parts::{Opened, Part, Reading, Refusal, Source};
use crate::archive::{FrameError, Located, Pixels, Target, decodable};
use crate::dicom::TransferSyntax;
use crate::dicom::frame_map::FrameMap;
use crate::dicom::transfer_syntax::{EXPLICIT_VR_BIG_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN, Form};
use crate::http::{Problem, off_thread};
use crate::imaging::codec::Codec;

/// The most frames of one request.
const FRAMES_MAX: usize = 65_536;
/// Octets that are stored encapsulated: uncompressed already.
const ENCAPSULATED_UNCOMPRESSED: &str = "1.2.840.10008.1.2.1.98";

/// Answers GET `…/frames/{list}`.
pub(super) async fn frames(call: &Call) -> Result<HttpResponse, Problem> {
    let target = call.target()?;
    let numbers = numbers(call.path_piece("frames"))?;
    let accept = call.accept()?;
    let reading = Reading::of(call);
    let located = call.locate(&target).await?;
    let is_at_hand = numbers.len() <= AT_HAND_MAX && is_at_hand(&located, &accept, numbers.len());
    let open = move || open(&reading, &target, located, numbers, &accept);
    let given = if is_at_hand {
        open()?
    } else {
        off_thread(open).await??
    };
    given::answer(call, given).await
}

/// Reads a frame list: decimal numbers from 1, separated by commas.
pub(super) fn numbers(list: &str) -> Result<Vec<u32>, Problem> {
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

/// A form in which an instance's frames leave us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FrameForm {
    /// The media type of a frame.
    pub(super) essence: &'static str,
    /// Its transfer syntax.
    pub(super) transfer_syntax: String,
    pub(super) is_native: bool,
    /// Moving pictures: one stream, no frames by number.
    pub(super) is_video: bool,
    /// How frames are made, where they are not given as they are stored.
    pub(super) made: Option<Pixels>,
}

impl FrameForm {
    /// As they are stored.
    pub(super) fn of(located: &Located) -> Self {
        match located.frames {
            // Of a length of their own, whatever the transfer syntax calls for.
            FrameMap::Native { .. } => Self::native(None),
            FrameMap::None | FrameMap::Encapsulated(_) => {
                Self::of_syntax(located.transfer_syntax_uid.as_str())
            }
        }
    }

    /// What is stored in fragments under a transfer syntax.
    pub(super) fn of_syntax(stored: &str) -> Self {
        match TransferSyntax::of_uid(stored) {
            Some(syntax)
                if syntax.form == Form::Encapsulated && stored != ENCAPSULATED_UNCOMPRESSED =>
            {
                Self {
                    essence: syntax.media_type,
                    transfer_syntax: stored.to_owned(),
                    is_native: false,
                    is_video: syntax.is_video(),
                    made: None,
                }
            }
            _ => Self::native(None),
        }
    }

    fn native(made: Option<Pixels>) -> Self {
        Self {
            essence: OCTETS,
            transfer_syntax: EXPLICIT_VR_LITTLE_ENDIAN.to_owned(),
            is_native: true,
            is_video: false,
            made,
        }
    }

    /// All forms that an instance's frames may have, best first: as stored, decoded, encoded anew.
    fn all(located: &Located) -> Vec<Self> {
        let stored = Self::of(located);
        let mut forms = vec![stored.clone()];
        if let Ok(codec) = decodable(located) {
            forms.extend(codec.map(|_| Self::native(Some(Pixels::Native))));
            let encoded = |codec: &Codec| {
                let syntax = TransferSyntax::of_uid(codec.lossless_syntax()?)?;
                let is_other = syntax.uid != stored.transfer_syntax;
                is_other.then(|| Self {
                    made: Some(Pixels::Encoded(*codec)),
                    ..Self::of_syntax(syntax.uid)
                })
            };
            forms.extend(Codec::ENCODED.iter().filter_map(encoded));
        }
        forms
    }

    /// What we can give in this form, packed so.
    fn offers(&self, packings: &[Packing]) -> Vec<Offer<'_>> {
        let of_packing = |packing: &Packing| {
            let own = Offer {
                packing: *packing,
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
            [Some(own), self.made.is_none().then_some(octets)]
        };
        packings.iter().flat_map(of_packing).flatten().collect()
    }

    /// The form in which the caller takes the frames of an instance, and how packed.
    ///
    /// # Errors
    /// [`Refusal::NotAcceptable`], with what is on offer.
    pub(super) fn choose(
        reading: &Reading,
        located: &Located,
        accept: &Accept,
        packings: &[Packing],
    ) -> Result<(Self, Packing), Refusal> {
        let mut forms = Self::all(located);
        let mut why = decodable(located).err().map(|error| error.to_string());
        while let Some((place, packing)) = chosen(&forms, accept, packings) {
            let form = forms.remove(place);
            match form.check(reading, located) {
                Ok(()) => return Ok((form, packing)),
                Err(FrameError::Archive(error)) => return Err(error.into()),
                Err(error) => why = why.or(Some(error.to_string())),
            }
        }
        Err(Self::of(located).refused(packings, why))
    }

    /// Whether frames can be made so, as far as can be told before the first is.
    fn check(&self, reading: &Reading, located: &Located) -> Result<(), FrameError> {
        let Some(made) = self.made else {
            return Ok(());
        };
        let mut frames = reading.archive.frames(located, &reading.scope)?;
        if let Pixels::Encoded(codec) = made {
            frames.native().encoded(codec)?;
        }
        frames.look()
    }

    /// How the caller takes what is stored so.
    ///
    /// # Errors
    /// [`Refusal::NotAcceptable`], with what is on offer.
    pub(super) fn packing(
        &self,
        accept: &Accept,
        packings: &[Packing],
    ) -> Result<Packing, Refusal> {
        match accept.choose(&self.offers(packings)) {
            Some(offer) => Ok(offer.packing),
            None => Err(self.refused(packings, None)),
        }
    }

    fn refused(&self, packings: &[Packing], why: Option<String>) -> Refusal {
        let Self {
            essence,
            transfer_syntax,
            ..
        } = self;
        let single = if packings.contains(&Packing::Single) {
            format!(", {essence} alone")
        } else {
            String::new()
        };
        let why = why.map_or_else(String::new, |why| format!("; {why}"));
        Refusal::NotAcceptable(format!(
            "available as multipart/related; type=\"{essence}\"; transfer-syntax={transfer_syntax}{single}, \
             or with type=\"application/octet-stream\"; transfer-syntax=*{why}"
        ))
    }

    /// A part of this form.
    pub(super) fn part(&self, location: String, source: Source) -> Part {
        Part {
            essence: self.essence.to_owned(),
            transfer_syntax: Some(self.transfer_syntax.clone()),
            location,
            source,
        }
    }

    /// A frame of this form, by its number.
    pub(super) fn frame(&self, number: u32) -> Source {
        match self.made {
            None => Source::Frame(number),
            Some(pixels) => Source::Made(number, pixels),
        }
    }
}

/// The form that is wanted most, by its place, and its packing.
fn chosen(forms: &[FrameForm], accept: &Accept, packings: &[Packing]) -> Option<(usize, Packing)> {
    let offers: Vec<_> = forms
        .iter()
        .enumerate()
        .flat_map(|(place, form)| {
            form.offers(packings)
                .into_iter()
                .map(move |offer| (place, offer))
        })
        .collect();
    let plain: Vec<_> = offers.iter().map(|(_, offer)| offer.clone()).collect();
    let best = accept.choose(&plain)?;
    let (place, offer) = offers.iter().find(|(_, offer)| offer == best)?;
    Some((*place, offer.packing))
}

/// Whether frames can be given from their row of the index alone: as they are stored.
fn is_at_hand(located: &Located, accept: &Accept, count: usize) -> bool {
    let forms = FrameForm::all(located);
    located.transfer_syntax_uid.as_str() != EXPLICIT_VR_BIG_ENDIAN
        && chosen(&forms, accept, packings(count)).is_some_and(|(place, _)| place == 0)
}

fn packings(count: usize) -> &'static [Packing] {
    match count {
        1 => &[Packing::Multipart, Packing::Single],
        _ => &[Packing::Multipart],
    }
}

fn open(
    reading: &Reading,
    target: &Target,
    located: Located,
    numbers: Vec<u32>,
    accept: &Accept,
) -> Result<Given, Problem> {
    let form = FrameForm::of(&located);
    if form.is_video && !located.frames.is_empty() {
        return Err(Problem::not_acceptable(format!(
            "the pixel data are one stream of {}, which has no frames by number; \
             …/bulkdata/7FE00010 gives it, whole or by byte ranges",
            form.essence
        )));
    }
    if numbers.iter().any(|number| *number > located.frames.len()) {
        let text = format!("the instance has {} frames", located.frames.len());
        return Err(Problem::new(StatusCode::NOT_FOUND, text));
    }
    let packings = packings(numbers.len());
    let (form, packing) = FrameForm::choose(reading, &located, accept, packings)?;
    let syntax = TransferSyntax::of_uid(located.transfer_syntax_uid.as_str());
    let is_deflated = syntax.is_some_and(|syntax| syntax.form == Form::Deflated);
    if form.made.is_some() && is_deflated && !numbers.is_sorted() {
        // Each step back would inflate the object from its beginning.
        return Err(Problem::not_acceptable(
            "frames of a deflated object are encoded in ascending order only",
        ));
    }
    let list = FrameList {
        form,
        place: format!("{}/frames/", url_of(&reading.base, target)),
        numbers: VecDeque::from(numbers),
    };
    let opened = Opened::new(reading, located, true)?;
    Ok(match (packing, list.numbers.front()) {
        (Packing::Single, Some(number)) => Given::Single(opened, list.part(*number)),
        _ => Given::Multipart(Portion::new(opened, Some(list), VecDeque::new())),
    })
}

#[cfg(test)]
mod tests {
    use actix_web::http::header;

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

    const BOTH: [Packing; 2] = [Packing::Multipart, Packing::Single];

    #[test]
    fn octets_by_name_are_for_native_frames_only() {
        let compressed = FrameForm {
            essence: "image/jls",
            transfer_syntax: "1.2.840.10008.1.2.4.80".into(),
            is_native: false,
            is_video: false,
            made: None,
        };
        let native = FrameForm {
            essence: OCTETS,
            transfer_syntax: EXPLICIT_VR_LITTLE_ENDIAN.into(),
            is_native: true,
            is_video: false,
            made: None,
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
                compressed.packing(&accept, &BOTH).ok(),
                *of_compressed,
                "{text}"
            );
            assert_eq!(native.packing(&accept, &BOTH).ok(), *of_native, "{text}");
        }
    }
}
