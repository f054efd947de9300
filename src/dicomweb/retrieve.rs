//! Retrieve study, series, instance (PS3.18 §10.4.1.1.1): Part 10 files, each in the transfer syntax
//! that `syntax_choice` decides on. A file that cannot be given as asked for is a 406 for the whole
//! request, never wrong bytes and never a silent gap.
//!
//! One file alone has a strong entity tag and, as far as its bytes are stored ones, honours `Range`;
//! one file in a multipart body has a weak one, because its boundary is another each time.

use actix_web::http::StatusCode;
use actix_web::http::header;
use actix_web::{HttpResponse, HttpResponseBuilder};
use bytes::Bytes;

use super::accept::{Accept, Packing};
use super::call::{Call, target_of, url_of};
use super::collection;
use super::given::{asked_range, begin, entity_tag, told};
use super::media::DICOM;
use super::metadata::is_known;
use super::multipart_writer::Boundary;
use super::pace::{PAGE_BYTES, Pace};
use super::syntax_choice::{self, Choice};
use crate::access::Scope;
use crate::archive::index::Cursor;
use crate::archive::{Archive, Error, Given, Located, Syntax, Target};
use crate::dicom::frame_map::{FrameMap, Span};
use crate::dicom::part10::IMPLEMENTATION_VERSION_NAME;
use crate::http::{Piece, Pieces, Problem, Telling, off_thread, respond_with};

/// Files are read and sent in pieces of this size.
const CHUNK_BYTES: usize = 512 * 1024;
/// Instances located before the answer begins: when these are all, its length is known.
const FIRST_MAX: usize = 128;

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
    files(call, target, accept).await
}

/// Gives the files of a target to who accepts so.
///
/// # Errors
/// 404, 406 with what is on offer, 416.
pub(super) async fn files(
    call: &Call,
    target: Target,
    accept: Accept,
) -> Result<HttpResponse, Problem> {
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
    let stored = match &target {
        Target::Instance(..) => {
            let located = call.locate(&target).await?;
            syntax_choice::choose_stored(&located, &accept).map(|choice| (located, choice))
        }
        Target::Study(_) | Target::Series(..) => None,
    };
    let first = match stored {
        Some(one) => First::of_one(walk, accept, one),
        None => off_thread(move || choose(walk, accept)).await??,
    };
    match first.one.clone() {
        Some((located, choice)) => one(call, first, located, choice).await,
        None => {
            let mut response = HttpResponse::build(StatusCode::OK);
            response.insert_header((header::VARY, "Accept"));
            multipart(call, response, first).await
        }
    }
}

/// One instance, whose digest and transfer syntax tell its bytes from all others.
async fn one(
    call: &Call,
    first: First,
    located: Located,
    choice: Choice,
) -> Result<HttpResponse, Problem> {
    let digest = blake3::Hash::from(located.digest).to_hex();
    let part_type = part_type(&located, choice.syntax);
    let identity = format!("{digest} {part_type} {IMPLEMENTATION_VERSION_NAME}");
    if choice.packing == Packing::Multipart {
        let tag = entity_tag(&identity, &call.base);
        let mut response = begin(&format!("W/{tag}"));
        if is_known(call.headers(), &tag) {
            return Ok(response.status(StatusCode::NOT_MODIFIED).finish());
        }
        return multipart(call, response, first).await;
    }
    let tag = entity_tag(&identity, "");
    let mut response = begin(&tag);
    if is_known(call.headers(), &tag) {
        return Ok(response.status(StatusCode::NOT_MODIFIED).finish());
    }
    let (archive, scope, wanted) = (call.archive(), call.scope(), located.clone());
    let give = move || archive.given(&wanted, choice.syntax, &scope);
    let mut given = match choice.syntax {
        Syntax::Stored => give()?,
        _ => off_thread(give).await??,
    };
    let mut piece = (0, given.length());
    if let Some(length) = given.length() {
        let (at, count) = asked_range(call, &mut response, length, &tag)?;
        if at > 0 {
            given.skip_to(at)?;
        }
        piece = (at, Some(count));
    }
    response.content_type(part_type);
    let location = url_of(&call.base, &target_of(&located));
    response.insert_header((header::CONTENT_LOCATION, location));
    if first.is_work && !call.is_get() {
        return Ok(told(response));
    }
    let telling = match given.run() {
        Some(_) => Telling::AtHand,
        None => call.telling(first.is_work),
    };
    let pieces = file(given, piece.1);
    respond_with(response, piece.1, pieces, call.archive(), telling).await
}

/// The files as parts, as many as there are.
async fn multipart(
    call: &Call,
    mut response: HttpResponseBuilder,
    first: First,
) -> Result<HttpResponse, Problem> {
    let telling = match &first.one {
        Some((_, choice)) if choice.syntax == Syntax::Stored => Telling::AtHand,
        _ => call.telling(first.is_work),
    };
    let files = Files::new(call.base.clone(), first);
    let measure = move || {
        let length = files.length();
        (files, length)
    };
    let (files, length) = match telling {
        Telling::AtHand => measure(),
        // To know the length, files are opened, and some of them read.
        Telling::Blocking | Telling::Work(_) => off_thread(measure).await?,
    };
    response.content_type(files.boundary.content_type(DICOM));
    if matches!(telling, Telling::Work(_)) && !call.is_get() {
        return Ok(told(response));
    }
    respond_with(response, length, Box::new(files), call.archive(), telling).await
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
    page: Vec<Located>,
    walk: Walk,
    accept: Accept,
    /// The instance and how it is given, when it alone is asked for.
    one: Option<(Located, Choice)>,
    /// Whether pixel data are decoded or encoded for it.
    is_work: bool,
}

impl First {
    /// One instance that is given as it is stored.
    fn of_one(mut walk: Walk, accept: Accept, one: (Located, Choice)) -> Self {
        walk.place.is_last = true;
        Self {
            page: vec![one.0.clone()],
            walk,
            accept,
            one: Some(one),
            is_work: false,
        }
    }
}

/// Looks whether every instance can be given as asked for.
fn choose(mut walk: Walk, accept: Accept) -> Result<First, Problem> {
    let is_one = matches!(walk.target, Target::Instance(..));
    let mut page = walk.page()?;
    if page.is_empty() {
        return Err(Problem::not_found());
    }
    while !walk.place.is_last
        && page.len() < FIRST_MAX
        && page.iter().map(weight).sum::<usize>() < PAGE_BYTES
    {
        page.append(&mut walk.page()?);
    }
    let (mut one, mut is_work) = (None, false);
    let mut look = |walk: &Walk, located: &Located| {
        let choice = syntax_choice::choose(&walk.archive, &walk.scope, located, &accept, is_one)?;
        is_work |= choice.syntax.is_work(located.transfer_syntax_uid.as_str());
        Ok::<_, Problem>(choice)
    };
    for located in &page {
        let choice = look(&walk, located)?;
        one = is_one.then(|| (located.clone(), choice));
    }
    if !syntax_choice::takes_anything(&accept, is_one) {
        let place = walk.place;
        while !walk.place.is_last {
            for located in &walk.page()? {
                look(&walk, located)?;
            }
        }
        walk.place = place;
    }
    Ok(First {
        page,
        walk,
        accept,
        one,
        is_work,
    })
}

/// The Content-Type of a file.
fn part_type(located: &Located, syntax: Syntax) -> String {
    let uid = syntax.uid(located.transfer_syntax_uid.as_str());
    format!("{DICOM}; transfer-syntax={uid}")
}

/// A file as a body, as far as `bytes` when not all of it is wanted.
fn file(mut given: Given, bytes: Option<u64>) -> Pieces {
    let mut left = bytes.unwrap_or(u64::MAX);
    if let Some(run) = given.run() {
        return Box::new(std::iter::once(Ok(Piece::Stored(run.limited_to(left)))));
    }
    Box::new(std::iter::from_fn(move || {
        let space = usize::try_from(left).map_or(CHUNK_BYTES, |left| left.min(CHUNK_BYTES));
        let mut chunk = Vec::new();
        match given.append(&mut chunk, space) {
            Ok(_) if chunk.is_empty() => None,
            Ok(_) => {
                left = left.saturating_sub(chunk.len() as u64);
                Some(Ok(Piece::Bytes(chunk.into())))
            }
            Err(error) => Some(Err(error)),
        }
    }))
}

/// All files of a target as a multipart body.
struct Files {
    base: String,
    boundary: Boundary,
    walk: Walk,
    accept: Accept,
    is_one: bool,
    page: std::vec::IntoIter<Located>,
    /// The file being sent.
    current: Option<Given>,
    is_closed: bool,
}

impl Files {
    fn new(base: String, first: First) -> Self {
        Self {
            base,
            boundary: Boundary::random(),
            is_one: first.one.is_some(),
            walk: first.walk,
            accept: first.accept,
            page: first.page.into_iter(),
            current: None,
            is_closed: false,
        }
    }

    /// A file, and what stands before it.
    fn open(&self, located: &Located) -> Result<(Bytes, Given), Error> {
        let (archive, scope) = (&self.walk.archive, &self.walk.scope);
        // All that could be refused was looked at before the answer began.
        let choice = syntax_choice::choose(archive, scope, located, &self.accept, self.is_one)
            .map_err(|_| Error::broken("giving an instance", "it came after the answer began"))?;
        let given = archive.given(located, choice.syntax, &self.walk.scope)?;
        let location = url_of(&self.base, &target_of(located));
        let part_type = part_type(located, choice.syntax);
        let head = self.boundary.part(&part_type, &location, given.length());
        Ok((head, given))
    }

    /// The length of the whole body, when all files and their lengths are known already.
    fn length(&self) -> Option<u64> {
        if !self.walk.place.is_last {
            return None;
        }
        let mut length = self.boundary.close().len() as u64;
        for located in self.page.as_slice() {
            let (head, given) = self.open(located).ok()?;
            let around = head.len() + Boundary::part_end().len();
            length = length
                .checked_add(given.length()?)?
                .checked_add(around as u64)?;
        }
        Some(length)
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

    fn piece(&mut self) -> Result<Piece, Error> {
        let mut chunk = Vec::new();
        while chunk.len() < CHUNK_BYTES {
            if let Some(given) = &mut self.current {
                if let Some(run) = given.run().filter(|run| run.length() > 0) {
                    if !chunk.is_empty() {
                        break;
                    }
                    given.skip_to(run.end())?;
                    return Ok(Piece::Stored(run));
                }
                if given.run().is_some() || !given.append(&mut chunk, CHUNK_BYTES)? {
                    chunk.extend_from_slice(&Boundary::part_end());
                    self.current = None;
                }
            } else if let Some(located) = self.next_file()? {
                let (head, given) = self.open(&located)?;
                chunk.extend_from_slice(&head);
                self.current = Some(given);
            } else {
                chunk.extend_from_slice(&self.boundary.close());
                self.is_closed = true;
                break;
            }
        }
        Ok(Piece::Bytes(chunk.into()))
    }
}

impl Iterator for Files {
    type Item = Result<Piece, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        (!self.is_closed).then(|| self.piece())
    }
}
