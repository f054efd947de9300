//! Values and frames as one `multipart/related` body, read and sent in bounded pieces (PS3.18
//! §8.6.1.2): an instance after the other, of each its frames first.
//!
//! Frames of a deflated object asked for out of order are read a batch at a time, each batch in one
//! pass over the object, rather than inflated from the start for every step back.

use std::collections::{BTreeSet, HashMap, VecDeque};

use bytes::Bytes;

use super::frames::FrameForm;
use super::multipart_writer::Boundary;
use super::parts::{CHUNK_BYTES, Opened, Part, Source};
use crate::archive::Error;
use crate::dicom::TransferSyntax;
use crate::dicom::transfer_syntax::Form;
use crate::http::Piece;

/// What is held of a deflated object's frames at a time. Bytes; one frame larger than this is read
/// in pieces.
const BATCH_BYTES: u64 = 16 << 20;

/// Parts that are told without leaving the async thread.
pub(super) const AT_HAND_MAX: usize = 64;

/// Gives the instances of a body, one at a time, `None` after the last.
pub(super) type Portions = Box<dyn FnMut() -> Result<Option<Portion>, Error> + Send>;

/// The parts that come from one instance.
pub(super) struct Portion {
    opened: Opened,
    frames: Option<FrameList>,
    values: VecDeque<Part>,
    /// Whether the frames would be inflated from the start more than once.
    steps_back: bool,
    /// Frames read ahead, when it does.
    batch: HashMap<u32, Bytes>,
}

/// Frames of one instance, in the order in which they are given.
pub(super) struct FrameList {
    pub(super) form: FrameForm,
    /// The URL of a frame without its number.
    pub(super) place: String,
    pub(super) numbers: VecDeque<u32>,
}

impl FrameList {
    /// A frame as a part.
    pub(super) fn part(&self, number: u32) -> Part {
        self.form
            .part(format!("{}{number}", self.place), self.form.frame(number))
    }
}

impl Portion {
    pub(super) fn new(opened: Opened, frames: Option<FrameList>, values: VecDeque<Part>) -> Self {
        let syntax = TransferSyntax::of_uid(opened.located.transfer_syntax_uid.as_str());
        let is_deflated = syntax.is_some_and(|syntax| syntax.form == Form::Deflated);
        let is_ascending = frames
            .as_ref()
            .is_none_or(|list| list.numbers.iter().is_sorted());
        Self {
            steps_back: is_deflated
                && !is_ascending
                && frames.as_ref().is_some_and(|list| list.form.made.is_none()),
            opened,
            frames,
            values,
            batch: HashMap::new(),
        }
    }

    /// Whether nothing is to be given of it.
    pub(super) fn is_empty(&self) -> bool {
        self.values.is_empty() && self.first_frame().is_none()
    }

    /// All that tells its parts from other ones.
    pub(super) fn identity(&self) -> String {
        let digest = self.opened.located.digest;
        let frames = self
            .frames
            .as_ref()
            .map(|list| (&list.numbers, &list.place, &list.form));
        let values: Vec<_> = self
            .values
            .iter()
            .map(|part| (&part.location, part.content_type()))
            .collect();
        format!("{digest:?} {frames:?} {values:?}")
    }

    /// The media type of its first part.
    fn essence(&self) -> Option<&str> {
        match (self.first_frame(), &self.frames) {
            (Some(_), Some(frames)) => Some(frames.form.essence),
            _ => self.values.front().map(|part| part.essence.as_str()),
        }
    }

    fn first_frame(&self) -> Option<u32> {
        self.frames.as_ref()?.numbers.front().copied()
    }

    /// Whether frames are decoded or encoded for it: work for the processor.
    pub(super) fn is_work(&self) -> bool {
        let mut frames = self.frames.iter();
        frames.any(|list| list.form.made.is_some())
    }

    /// Whether its parts are few, and no blocking call is needed to tell where they lie.
    pub(super) fn is_at_hand(&self) -> bool {
        let of_frames = self.frames.as_ref().map_or(0, |list| list.numbers.len());
        let lies = |source: &Source| self.opened.is_at_hand(source);
        of_frames + self.values.len() <= AT_HAND_MAX
            && self.values.iter().all(|part| lies(&part.source))
            && self.frames.iter().all(|list| {
                let mut numbers = list.numbers.iter();
                numbers.all(|number| lies(&list.form.frame(*number)))
            })
    }

    /// The length of all its parts with what stands around them, when it is known. Bytes.
    fn length(&self, boundary: &Boundary) -> Option<u64> {
        let of_part = |part: &Part| {
            let length = self.opened.length(&part.source)?;
            let around = head(boundary, part, length).len() + Boundary::part_end().len();
            length.checked_add(around as u64)
        };
        let frames = self.frames.iter().flat_map(|list| {
            let numbers = list.numbers.iter();
            numbers.map(|number| of_part(&list.part(*number)))
        });
        frames
            .chain(self.values.iter().map(of_part))
            .try_fold(0_u64, |sum, length| sum.checked_add(length?))
    }

    fn next(&mut self) -> Result<Option<Part>, Error> {
        let Some(number) = self.first_frame() else {
            return Ok(self.values.pop_front());
        };
        if self.steps_back && !self.batch.contains_key(&number) {
            self.read_batch()?;
        }
        let Some(list) = &mut self.frames else {
            return Ok(None);
        };
        list.numbers.pop_front();
        let mut part = list.part(number);
        if let Some(bytes) = self.batch.get(&number) {
            part.source = Source::Held(bytes.clone());
        }
        self.opened.hold(&mut part)?;
        Ok(Some(part))
    }

    /// Reads the frames that are given next, as many as fit, in the order in which they lie.
    fn read_batch(&mut self) -> Result<(), Error> {
        self.batch.clear();
        let Some(list) = &self.frames else {
            return Ok(());
        };
        let (mut wanted, mut bytes) = (BTreeSet::new(), 0_u64);
        for number in &list.numbers {
            if wanted.contains(number) {
                continue;
            }
            let length = self.opened.length(&Source::Frame(*number));
            bytes = bytes.saturating_add(length.unwrap_or(0));
            if bytes > BATCH_BYTES {
                break;
            }
            wanted.insert(*number);
        }
        for number in wanted {
            let source = Source::Frame(number);
            // At most BATCH_BYTES.
            let length = self.opened.length(&source).unwrap_or(0) as usize;
            let mut frame = Vec::with_capacity(length);
            self.opened.append(&source, 0, length, &mut frame)?;
            self.batch.insert(number, frame.into());
        }
        Ok(())
    }
}

fn head(boundary: &Boundary, part: &Part, length: u64) -> Bytes {
    boundary.part(&part.content_type(), &part.location, Some(length))
}

/// A body of parts.
pub(super) struct MultipartBody {
    boundary: Boundary,
    portion: Portion,
    following: Portions,
    /// The part being sent, its length and how far it got.
    current: Option<(Part, u64, u64)>,
    is_closed: bool,
}

impl MultipartBody {
    /// The parts of one instance, then those that follow.
    pub(super) fn new(first: Portion, following: Portions) -> Self {
        Self {
            boundary: Boundary::random(),
            portion: first,
            following,
            current: None,
            is_closed: false,
        }
    }

    /// The parts of one instance, and the length of the whole body when it is known.
    pub(super) fn of_one(portion: Portion) -> (Self, Option<u64>) {
        let body = Self::new(portion, Box::new(|| Ok(None)));
        let close = body.boundary.close().len() as u64;
        let length = body.portion.length(&body.boundary);
        let length = length.and_then(|length| length.checked_add(close));
        (body, length)
    }

    /// The Content-Type of the whole: its `type` is that of the first part (RFC 2387 §3.1).
    pub(super) fn content_type(&self) -> String {
        self.boundary
            .content_type(self.portion.essence().unwrap_or(super::media::OCTETS))
    }

    fn piece(&mut self) -> Result<Piece, Error> {
        let mut chunk = Vec::new();
        while chunk.len() < CHUNK_BYTES {
            if let Some((part, length, at)) = &mut self.current {
                let left = *length - *at;
                if left == 0 {
                    chunk.extend_from_slice(&Boundary::part_end());
                    self.current = None;
                } else if let Some(run) = self.portion.opened.run(&part.source, *at) {
                    if !chunk.is_empty() {
                        break;
                    }
                    let run = run.limited_to(left);
                    *at += run.length();
                    return Ok(Piece::Stored(run));
                } else {
                    let space = CHUNK_BYTES - chunk.len();
                    let piece = usize::try_from(left).map_or(space, |left| left.min(space));
                    self.portion
                        .opened
                        .append(&part.source, *at, piece, &mut chunk)?;
                    *at += piece as u64;
                }
            } else if let Some(part) = self.portion.next()? {
                // Known: what is made is held by now.
                let length = self.portion.opened.length(&part.source).unwrap_or(0);
                chunk.extend_from_slice(&head(&self.boundary, &part, length));
                self.current = Some((part, length, 0));
            } else if let Some(portion) = (self.following)()? {
                self.portion = portion;
            } else {
                chunk.extend_from_slice(&self.boundary.close());
                self.is_closed = true;
                break;
            }
        }
        Ok(Piece::Bytes(chunk.into()))
    }
}

impl Iterator for MultipartBody {
    type Item = Result<Piece, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        (!self.is_closed).then(|| self.piece())
    }
}

#[cfg(test)]
mod tests;
