//! Retrieve study, series, instance (PS3.18 §10.4.1.1.1): Part 10 files exactly as they are kept.
//!
//! Nothing is transcoded. A file is given when the request takes its transfer syntax: by name, by
//! `transfer-syntax=*`, or by default, which is Explicit VR Little Endian, and for lossy syntaxes
//! the stored one (§8.7.3.4: there is no lossless original to go back to). A file that does not
//! qualify is a 406 for the whole request, never wrong bytes and never a silent gap.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header;
use bytes::Bytes;

use super::accept::{Accept, Offer, Packing};
use super::call::{Call, target_of, url_of};
use super::collection;
use super::media::DICOM;
use super::multipart_writer::Boundary;
use super::pace::{PAGE_BYTES, Pace};
use crate::access::Scope;
use crate::archive::index::Cursor;
use crate::archive::{Archive, Error, Located, Target};
use crate::dicom::frame_map::{FrameMap, Span};
use crate::dicom::transfer_syntax::{
    EXPLICIT_VR_BIG_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN,
};
use crate::http::{Chunks, Problem, off_thread, respond};

/// Files are read and sent in pieces of this size.
const CHUNK_BYTES: usize = 512 * 1024;
/// Instances located before the answer begins: when these are all, its length is known.
const FIRST_MAX: usize = 128;

/// Syntaxes that lose something, for which the stored form is the default (PS3.18 §8.7.3.4).
const LOSSY: &[&str] = &[
    "1.2.840.10008.1.2.4.50",
    "1.2.840.10008.1.2.4.51",
    "1.2.840.10008.1.2.4.81",
    "1.2.840.10008.1.2.4.91",
    "1.2.840.10008.1.2.4.93",
    "1.2.840.10008.1.2.4.100",
    "1.2.840.10008.1.2.4.100.1",
    "1.2.840.10008.1.2.4.101",
    "1.2.840.10008.1.2.4.101.1",
    "1.2.840.10008.1.2.4.102",
    "1.2.840.10008.1.2.4.102.1",
    "1.2.840.10008.1.2.4.103",
    "1.2.840.10008.1.2.4.103.1",
    "1.2.840.10008.1.2.4.104",
    "1.2.840.10008.1.2.4.104.1",
    "1.2.840.10008.1.2.4.105",
    "1.2.840.10008.1.2.4.105.1",
    "1.2.840.10008.1.2.4.106",
    "1.2.840.10008.1.2.4.106.1",
    "1.2.840.10008.1.2.4.107",
    "1.2.840.10008.1.2.4.108",
    "1.2.840.10008.1.2.4.112",
    "1.2.840.10008.1.2.4.203",
];

/// Answers GET of a study, series or instance.
pub(super) async fn objects(call: &Call) -> Result<HttpResponse, Problem> {
    let target = call.target()?;
    let accept = call.accept()?;
    if accept.mixes_categories() {
        return Err(Problem::bad_request(
            "DICOM and rendered media types cannot be asked for together",
        ));
    }
    if let Some(answer) = collection::instead(call, &accept, &target).await {
        return answer;
    }
    let (archive, scope, asked) = (call.archive(), call.scope(), target.clone());
    let walk = Walk {
        archive,
        scope,
        target: asked,
        place: Place {
            after: None,
            pace: Pace::new(),
            is_last: false,
        },
    };
    let first = off_thread(move || choose(walk, &accept)).await??;

    let mut response = HttpResponse::build(StatusCode::OK);
    response.insert_header((header::VARY, "Accept"));
    let location = url_of(&call.base, &target);
    match first.packing {
        Packing::Single => {
            let located = first
                .page
                .into_iter()
                .next()
                .ok_or_else(Problem::not_found)?;
            response.content_type(part_type(&located));
            response.insert_header((header::CONTENT_LOCATION, location));
            let length = located.locator.length;
            respond(response, Some(length), file(call.archive(), located)).await
        }
        Packing::Multipart => {
            let files = Files::new(call, first);
            response.content_type(files.boundary.content_type(DICOM));
            respond(response, files.length(), Box::new(files)).await
        }
    }
}

/// The instances of a target, a page at a time.
struct Walk {
    archive: Archive,
    scope: Scope,
    target: Target,
    place: Place,
}

/// How far a walk got.
#[derive(Clone, Copy)]
struct Place {
    after: Option<Cursor>,
    pace: Pace,
    /// Nothing follows.
    is_last: bool,
}

impl Walk {
    fn page(&mut self) -> Result<Vec<Located>, Error> {
        let place = &mut self.place;
        let asked = place.pace.rows();
        let page = self
            .archive
            .locate(&self.target, &self.scope, place.after, asked)?;
        place.after = page.last().map(|located| located.cursor).or(place.after);
        place.pace.learn(page.iter().map(weight).max().unwrap_or(0));
        place.is_last = page.len() < asked || matches!(self.target, Target::Instance(..));
        Ok(page)
    }
}

/// About what a row holds in memory: its frame map is what can be large. Bytes.
fn weight(located: &Located) -> usize {
    let fragments: usize = match &located.frames {
        FrameMap::Encapsulated(frames) => frames.iter().map(<[_]>::len).sum(),
        FrameMap::None | FrameMap::Native { .. } => 0,
    };
    size_of::<Located>() + fragments * (size_of::<Span>() + size_of::<u32>())
}

/// What was decided, with the first instances, before the first byte is sent.
struct First {
    packing: Packing,
    page: Vec<Located>,
    walk: Walk,
}

/// Looks whether every instance can be given as asked for.
fn choose(mut walk: Walk, accept: &Accept) -> Result<First, Problem> {
    let is_one = matches!(walk.target, Target::Instance(..));
    let mut first = walk.page()?;
    let packing = match first.first() {
        None => return Err(Problem::not_found()),
        Some(located) => packing(located, accept, is_one)?,
    };
    while !walk.place.is_last
        && first.len() < FIRST_MAX
        && first.iter().map(weight).sum::<usize>() < PAGE_BYTES
    {
        first.append(&mut walk.page()?);
    }
    for located in &first {
        self::packing(located, accept, is_one)?;
    }
    if accept.choose(&offers("*", is_one)).is_none() {
        let place = walk.place;
        while !walk.place.is_last {
            for located in &walk.page()? {
                self::packing(located, accept, is_one)?;
            }
        }
        walk.place = place;
    }
    Ok(First {
        packing,
        page: first,
        walk,
    })
}

fn packing(located: &Located, accept: &Accept, is_one: bool) -> Result<Packing, Problem> {
    let stored = located.transfer_syntax_uid.as_str();
    if let Some(offer) = accept.choose(&offers(stored, is_one)) {
        return Ok(offer.packing);
    }
    let what = if is_one {
        "the instance is"
    } else {
        "an instance is"
    };
    Err(Problem::not_acceptable(format!(
        "{what} stored as {stored} and transcoding is not available; \
         ask for multipart/related; type=\"application/dicom\"; transfer-syntax=*"
    )))
}

/// What we can give of a file stored in a transfer syntax. `"*"` stands for one of unknown syntax:
/// only who takes any takes that.
fn offers(stored: &str, is_one: bool) -> Vec<Offer<'_>> {
    // Not to be used on the web by name (PS3.18 §8.7.3.4): only who takes any syntax gets them.
    let is_nameless = [IMPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_BIG_ENDIAN].contains(&stored);
    let multipart = Offer {
        packing: Packing::Multipart,
        essence: DICOM,
        transfer_syntax: Some(if is_nameless { "*" } else { stored }),
        is_default_syntax: stored == EXPLICIT_VR_LITTLE_ENDIAN || LOSSY.contains(&stored),
    };
    let single = Offer {
        packing: Packing::Single,
        ..multipart.clone()
    };
    if is_one {
        vec![multipart, single]
    } else {
        vec![multipart]
    }
}

fn part_type(located: &Located) -> String {
    format!("{DICOM}; transfer-syntax={}", located.transfer_syntax_uid)
}

/// One file as a body.
fn file(archive: Archive, located: Located) -> Chunks {
    let mut at = 0;
    Box::new(std::iter::from_fn(move || {
        let mut chunk = Vec::new();
        let read = read_on(&archive, &located, &mut at, &mut chunk);
        match read {
            Ok(()) if chunk.is_empty() => None,
            Ok(()) => Some(Ok(Bytes::from(chunk))),
            Err(error) => Some(Err(error)),
        }
    }))
}

/// Appends the next bytes of a file, until the chunk is full or the file ends.
fn read_on(
    archive: &Archive,
    located: &Located,
    at: &mut u64,
    chunk: &mut Vec<u8>,
) -> Result<(), Error> {
    let space = CHUNK_BYTES.saturating_sub(chunk.len());
    let rest = located.locator.length.saturating_sub(*at);
    let length = usize::try_from(rest).map_or(space, |rest| rest.min(space));
    let begin = chunk.len();
    chunk.resize(begin + length, 0);
    archive.read_at(located, *at, &mut chunk[begin..])?;
    *at += length as u64;
    Ok(())
}

/// All files of a target as a multipart body.
struct Files {
    base: String,
    boundary: Boundary,
    walk: Walk,
    page: std::vec::IntoIter<Located>,
    /// The file being sent, and how far it got.
    current: Option<(Located, u64)>,
    is_closed: bool,
}

impl Files {
    fn new(call: &Call, first: First) -> Self {
        Self {
            base: call.base.clone(),
            boundary: Boundary::random(),
            walk: first.walk,
            page: first.page.into_iter(),
            current: None,
            is_closed: false,
        }
    }

    fn part_head(&self, located: &Located) -> Bytes {
        let location = url_of(&self.base, &target_of(located));
        self.boundary
            .part(&part_type(located), &location, Some(located.locator.length))
    }

    /// The length of the whole body, when all files are known already.
    fn length(&self) -> Option<u64> {
        if !self.walk.place.is_last {
            return None;
        }
        let of_part = |located: &Located| {
            let frame = self.part_head(located).len() + Boundary::part_end().len();
            located.locator.length + frame as u64
        };
        Some(
            self.page.as_slice().iter().map(of_part).sum::<u64>()
                + self.boundary.close().len() as u64,
        )
    }

    fn next_file(&mut self) -> Result<Option<Located>, Error> {
        if let Some(located) = self.page.next() {
            return Ok(Some(located));
        }
        if self.walk.place.is_last {
            return Ok(None);
        }
        self.page = self.walk.page()?.into_iter();
        Ok(self.page.next())
    }

    fn chunk(&mut self) -> Result<Bytes, Error> {
        let mut chunk = Vec::with_capacity(CHUNK_BYTES);
        while chunk.len() < CHUNK_BYTES {
            if let Some((located, at)) = &mut self.current {
                read_on(&self.walk.archive, located, at, &mut chunk)?;
                if *at == located.locator.length {
                    chunk.extend_from_slice(&Boundary::part_end());
                    self.current = None;
                }
            } else if let Some(located) = self.next_file()? {
                chunk.extend_from_slice(&self.part_head(&located));
                self.current = Some((located, 0));
            } else {
                chunk.extend_from_slice(&self.boundary.close());
                self.is_closed = true;
                break;
            }
        }
        Ok(Bytes::from(chunk))
    }
}

impl Iterator for Files {
    type Item = Result<Bytes, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        (!self.is_closed).then(|| self.chunk())
    }
}
