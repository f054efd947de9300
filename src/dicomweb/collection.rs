//! All bulk values, or all pixel data, of a study, a series or an instance (PS3.18 §10.4.1.1.5,
//! §10.4.1.1.6): each a part of one stream, under the URL by which metadata links it; frames under
//! theirs.
//!
//! Whether every part is accepted is found out before the first byte, so that nothing is left out
//! in silence. Held in memory are a page of instances and the values of one.

use std::collections::VecDeque;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;

use super::accept::{Accept, Offer, Packing};
use super::bulkdata::{PIXELS, portion};
use super::call::{Call, target_of};
use super::frames::FrameForm;
use super::given;
use super::media::{DICOM, OCTETS, ZIP};
use super::multipart_body::{Portion, Portions};
use super::pace::Pace;
use super::parts::{Reading, Refusal};
use super::zip::zip;
use crate::archive::index::Cursor;
use crate::archive::{Error, Located, Target};
use crate::dicom::frame_map::{FrameMap, Span};
use crate::dicom::transfer_syntax::{EXPLICIT_VR_BIG_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN};
use crate::http::{Problem, off_thread};

/// Which values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Collection {
    /// Every value that metadata links.
    Bulkdata,
    /// Pixel Data (7FE0,0010), (7FE0,0008) and (7FE0,0009) of the data set itself; no icon.
    Pixeldata,
}

impl Collection {
    fn holds(self, path: &str) -> bool {
        self == Self::Bulkdata || PIXELS.contains(&path)
    }
}

/// Answers GET `…/bulkdata` and `…/pixeldata`.
pub(super) async fn collection(call: &Call, what: Collection) -> Result<HttpResponse, Problem> {
    let target = call.target()?;
    let accept = call.accept()?;
    let reading = Reading::of(call);
    let wishes = format!(
        "{} {:?}",
        given::wishes(call.headers()),
        call.parameter("accept")
    );
    let (archive, scope, asked) = (call.archive(), call.scope(), target.clone());
    let version = off_thread(move || archive.version(&asked, &scope))
        .await??
        .ok_or_else(Problem::not_found)?;
    let identity = format!("{version} {} {wishes}", call.path());
    let open = move || open(reading, target, what, accept);
    given::collected(call, &identity, open).await
}

/// Answers GET of a study, series or instance for who wants something else than Part 10 files:
/// octets, which are its bulk data (PS3.18 Table 10.4.4-1), or a ZIP archive. `None` for who does
/// not.
pub(super) async fn instead(
    call: &Call,
    accept: &Accept,
    target: &Target,
) -> Option<Result<HttpResponse, Problem>> {
    let mut offers = vec![
        Offer::plain(Packing::Multipart, DICOM),
        Offer::plain(Packing::Multipart, OCTETS),
        Offer::plain(Packing::Single, ZIP),
    ];
    if matches!(target, Target::Instance(..)) {
        offers.insert(1, Offer::plain(Packing::Single, DICOM));
    }
    match accept.choose(&offers)?.essence {
        OCTETS => Some(collection(call, Collection::Bulkdata).await),
        ZIP => Some(zip(call, target.clone()).await),
        _ => None,
    }
}

fn open(
    reading: Reading,
    target: Target,
    what: Collection,
    accept: Accept,
) -> Result<(Portion, Portions), Problem> {
    let mut check = Instances::new(reading.clone(), target.clone());
    while let Some(located) = check.next()? {
        look(&reading, &located, what, &accept)?;
    }
    let mut instances = Instances::new(reading.clone(), target);
    let mut next = move || -> Result<Option<Portion>, Refusal> {
        while let Some(located) = instances.next()? {
            let portion = of_instance(&reading, &located, what, &accept)?;
            if let Some(portion) = portion.filter(|portion| !portion.is_empty()) {
                return Ok(Some(portion));
            }
        }
        Ok(None)
    };
    let Some(first) = next()? else {
        let text = "there is no such bulk data in it";
        return Err(Problem::new(StatusCode::NOT_FOUND, text));
    };
    let following = move || next().map_err(midway);
    Ok((first, Box::new(following)))
}

/// Refuses, before anything is sent, what `of_instance` would refuse later.
fn look(
    reading: &Reading,
    located: &Located,
    what: Collection,
    accept: &Accept,
) -> Result<(), Refusal> {
    const PLAIN: [Offer<'static>; 1] = [Offer {
        packing: Packing::Multipart,
        essence: OCTETS,
        transfer_syntax: Some(EXPLICIT_VR_LITTLE_ENDIAN),
        is_default_syntax: true,
    }];
    let stored = located.transfer_syntax_uid.as_str();
    let form = FrameForm::of_syntax(stored);
    let has_frames = matches!(located.frames, FrameMap::Encapsulated(_));
    let is_odd = stored == EXPLICIT_VR_BIG_ENDIAN || !form.is_native && !has_frames;
    if is_odd || accept.choose(&PLAIN).is_none() {
        return of_instance(reading, located, what, accept).map(|_| ());
    }
    // Values are taken, so only what is in fragments could be refused.
    if has_frames && form.is_video {
        form.packing(accept, &[Packing::Multipart])?;
    } else if has_frames {
        FrameForm::choose(reading, located, accept, &[Packing::Multipart])?;
    }
    Ok(())
}

/// The parts of one instance; `None` when it was removed meanwhile.
fn of_instance(
    reading: &Reading,
    located: &Located,
    what: Collection,
    accept: &Accept,
) -> Result<Option<Portion>, Refusal> {
    let target = target_of(located);
    let Some((located, mut values)) = reading.archive.bulk(&target, &reading.scope)? else {
        return Ok(None);
    };
    values.retain(|value| what.holds(&value.path));
    portion(reading, located, &values, accept).map(Some)
}

/// What cannot be told any more, as the answer is on its way: it is cut off.
fn midway(refusal: Refusal) -> Error {
    match refusal {
        Refusal::Archive(error) => error,
        Refusal::NotAcceptable(_) => Error::broken(
            "collecting bulk data",
            "an instance that came meanwhile cannot be given as asked for",
        ),
    }
}

/// The instances of a target, a page at a time.
struct Instances {
    reading: Reading,
    target: Target,
    after: Option<Cursor>,
    pace: Pace,
    page: VecDeque<Located>,
    is_last: bool,
}

impl Instances {
    fn new(reading: Reading, target: Target) -> Self {
        Self {
            reading,
            target,
            after: None,
            pace: Pace::new(),
            page: VecDeque::new(),
            is_last: false,
        }
    }

    fn next(&mut self) -> Result<Option<Located>, Error> {
        if self.page.is_empty() && !self.is_last {
            let asked = self.pace.rows();
            let Reading { archive, scope, .. } = &self.reading;
            let page = archive.locate(&self.target, scope, self.after, asked)?;
            self.after = page.last().map(|located| located.cursor).or(self.after);
            self.pace.learn(page.iter().map(weight).max().unwrap_or(0));
            self.is_last = page.len() < asked || matches!(self.target, Target::Instance(..));
            self.page = page.into();
        }
        Ok(self.page.pop_front())
    }
}

/// About what a row holds in memory. Bytes.
fn weight(located: &Located) -> usize {
    let fragments: usize = match &located.frames {
        FrameMap::Encapsulated(frames) => frames.iter().map(<[_]>::len).sum(),
        FrameMap::None | FrameMap::Native { .. } => 0,
    };
    size_of::<Located>() + fragments * (size_of::<Span>() + size_of::<u32>())
}
