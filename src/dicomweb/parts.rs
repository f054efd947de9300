//! What a bulk value or a frame is when it leaves us: a run of bytes of a stored data set, in
//! little endian, with the media type and the URL that say what it is (PS3.18 §8.6.1.2). Read in
//! pieces, so what a response holds in memory does not depend on what is stored.

use std::cell::RefCell;
use std::collections::HashMap;

use bytes::Bytes;

use super::byte_order::word_of_pixels;
use super::call::Call;
use crate::access::Scope;
use crate::archive::{Archive, DatasetReader, Error, Frames, Located, Pixels, Run};
use crate::dicom::TransferSyntax;
use crate::dicom::frame_map::{Frame, FrameMap, Span, shifted};
use crate::dicom::rewrite::Swap;
use crate::dicom::transfer_syntax::Form;
use crate::http::{Piece, Pieces, Problem};

/// Values and frames are read and sent in pieces of this size. Bytes; a multiple of every word.
pub(super) const CHUNK_BYTES: usize = 1024 * 1024;

/// Fragments of a frame that are quickly added up.
const FRAGMENTS_FEW: usize = 64;

/// Where a value is read, for whom, and under which address it is known.
#[derive(Clone)]
pub(super) struct Reading {
    pub(super) archive: Archive,
    pub(super) scope: Scope,
    /// Where our resources begin for this caller.
    pub(super) base: String,
}

impl Reading {
    pub(super) fn of(call: &Call) -> Self {
        Self {
            archive: call.archive(),
            scope: call.scope(),
            base: call.base.clone(),
        }
    }
}

/// Why something is not given.
#[derive(Debug)]
pub(super) enum Refusal {
    /// Not as asked for; the sentence says what is on offer.
    NotAcceptable(String),
    /// The archive does not give it.
    Archive(Error),
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self::Archive(error)
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::NotAcceptable(text) => Self::not_acceptable(text),
            Refusal::Archive(error) => error.into(),
        }
    }
}

/// The bytes of a part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Source {
    /// A value of the data set, and how its words become little endian.
    Value { span: Span, swap: Swap },
    /// A frame by its number; all of a video is number 1.
    Frame(u32),
    /// Fragments one after the other.
    Fragments(Vec<Span>),
    /// A frame that is decoded or encoded first.
    Made(u32, Pixels),
    /// Read already.
    Held(Bytes),
}

/// One value or frame as it leaves us.
#[derive(Debug, Clone)]
pub(super) struct Part {
    /// Its media type.
    pub(super) essence: String,
    /// Its transfer syntax, where that says something.
    pub(super) transfer_syntax: Option<String>,
    /// The URL that it is known by.
    pub(super) location: String,
    pub(super) source: Source,
}

impl Part {
    pub(super) fn content_type(&self) -> String {
        match &self.transfer_syntax {
            Some(syntax) => format!("{}; transfer-syntax={syntax}", self.essence),
            None => self.essence.clone(),
        }
    }

    /// What tells it from other parts of the same instance.
    pub(super) fn identity(&self) -> String {
        let source = match &self.source {
            // There may be a million of them.
            Source::Fragments(spans) => format!("{:?} {}", spans.first(), spans.len()),
            other => format!("{other:?}"),
        };
        format!("{} {source}", self.content_type())
    }
}

/// An instance whose bytes are being given.
pub(super) struct Opened {
    pub(super) located: Located,
    dataset: DatasetReader,
    is_deflated: bool,
    /// Of its native pixel data.
    swap: Swap,
    archive: Archive,
    scope: Scope,
    /// Opened for the first frame that is made.
    frames: Option<Frames>,
    /// Of frames in many fragments, which the same request may ask for again and again.
    lengths: RefCell<HashMap<u32, u64>>,
}

impl Opened {
    /// # Errors
    /// When the archive fails.
    pub(super) fn new(
        reading: &Reading,
        located: Located,
        wants_frames: bool,
    ) -> Result<Self, Refusal> {
        let swap = if wants_frames {
            word_of_pixels(&reading.archive, &reading.scope, &located)?
        } else {
            Swap::No
        };
        let syntax = TransferSyntax::of_uid(located.transfer_syntax_uid.as_str());
        Ok(Self {
            is_deflated: syntax.is_some_and(|syntax| syntax.form == Form::Deflated),
            dataset: reading.archive.dataset(&located),
            located,
            swap,
            archive: reading.archive.clone(),
            scope: reading.scope.clone(),
            frames: None,
            lengths: RefCell::default(),
        })
    }

    /// Makes the bytes of a part that has to be made.
    ///
    /// # Errors
    /// When they cannot be.
    pub(super) fn hold(&mut self, part: &mut Part) -> Result<(), Error> {
        let Source::Made(number, pixels) = part.source else {
            return Ok(());
        };
        self.open_frames()?;
        let Some(frames) = &mut self.frames else {
            return Err(Error::NotFound);
        };
        let made = self.archive.made_frame(frames, number, pixels)?;
        part.source = Source::Held(made);
        Ok(())
    }

    fn open_frames(&mut self) -> Result<(), Error> {
        if self.frames.is_none() {
            self.frames = Some(self.archive.frames(&self.located, &self.scope)?);
        }
        Ok(())
    }

    /// How many bytes a frame that is made will have: of a native one the data set tells.
    ///
    /// # Errors
    /// When the archive fails, or it cannot be made.
    pub(super) fn made_length(&mut self, source: &Source) -> Result<Option<u64>, Error> {
        let Source::Made(_, Pixels::Native) = source else {
            return Ok(None);
        };
        self.open_frames()?;
        let frames = self.frames.as_ref();
        Ok(frames.map(|frames| frames.native().frame_bytes()))
    }

    /// How many bytes a part has, when that is known before it is made; 0 when there is no such frame.
    pub(super) fn length(&self, source: &Source) -> Option<u64> {
        Some(match source {
            Source::Made(..) => return None,
            Source::Value { span, .. } => span.length,
            Source::Frame(number) => match self.located.frames.frame(*number) {
                Some(frame @ Frame::Encapsulated(spans)) if spans.len() > FRAGMENTS_FEW => *self
                    .lengths
                    .borrow_mut()
                    .entry(*number)
                    .or_insert_with(|| frame.length()),
                Some(frame) => frame.length(),
                None => 0,
            },
            Source::Fragments(spans) => Frame::Encapsulated(spans).length(),
            Source::Held(bytes) => bytes.len() as u64,
        })
    }

    /// Appends `length` bytes of a part, from its byte `at`; the caller asks for none beyond its end.
    pub(super) fn append(
        &mut self,
        source: &Source,
        at: u64,
        length: usize,
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        match source {
            Source::Made(..) => Err(Error::broken("sending a frame", "it was not made before")),
            Source::Held(bytes) => {
                // What is held fits.
                let at = at as usize;
                out.extend_from_slice(&bytes[at..at + length]);
                Ok(())
            }
            Source::Value { span, swap } => {
                self.append_words(*swap, *span, span.offset + at, length, out)
            }
            Source::Fragments(spans) => {
                let frame = Frame::Encapsulated(spans);
                self.dataset.append_frame(frame, at, length, out)
            }
            Source::Frame(number) => {
                let frame = self.located.frames.frame(*number).ok_or(Error::NotFound)?;
                match (self.swap, frame, &self.located.frames) {
                    (
                        Swap::Words(_),
                        Frame::Native {
                            span,
                            first_bit,
                            bits,
                        },
                        FrameMap::Native { span: pixels, .. },
                    ) => {
                        let (swap, pixels, begin) = (self.swap, *pixels, span.offset + at);
                        if first_bit == 0 && bits % 8 == 0 {
                            return self.append_words(swap, pixels, begin, length, out);
                        }
                        // The last bits may stand in one byte more.
                        let there = usize::try_from(span.length - at).unwrap_or(usize::MAX);
                        let mut packed = Vec::new();
                        let more = (length + 1).min(there);
                        self.append_words(swap, pixels, begin, more, &mut packed)?;
                        let wanted = (bits - at * 8).min(length as u64 * 8);
                        out.append(&mut shifted(&packed, first_bit, wanted));
                        Ok(())
                    }
                    _ => self.dataset.append_frame(frame, at, length, out),
                }
            }
        }
    }

    /// Appends `length` bytes from `offset` of the data set, which lie in `whole`.
    fn append_words(
        &mut self,
        swap: Swap,
        whole: Span,
        offset: u64,
        length: usize,
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        let begin = out.len();
        let Swap::Words(size) = swap else {
            out.resize(begin + length, 0);
            return self.dataset.read_at(offset, &mut out[begin..]);
        };
        let place = place_in_words(offset, length, whole, size as u64);
        let mut words = vec![0; place.read];
        self.dataset.read_at(place.offset, &mut words)?;
        swap.apply(&mut words);
        out.extend_from_slice(&words[place.before..place.before + length]);
        Ok(())
    }

    /// The bytes of a part from its byte `at`, as far as they lie together, where they leave as they lie.
    pub(super) fn run(&self, source: &Source, at: u64) -> Option<Run> {
        if self.is_deflated {
            return None;
        }
        let span = match source {
            Source::Value {
                span,
                swap: Swap::No,
            } => rest(&[*span], at),
            Source::Fragments(spans) => rest(spans, at),
            Source::Frame(number) => match self.located.frames.frame(*number)? {
                Frame::Encapsulated(spans) => rest(spans, at),
                Frame::Native {
                    span,
                    first_bit: 0,
                    bits,
                } if bits % 8 == 0 && self.swap == Swap::No => rest(&[span], at),
                Frame::Native { .. } => None,
            },
            Source::Value { .. } | Source::Made(..) | Source::Held(_) => None,
        };
        span.map(|span| Run::of_dataset(&self.located, span))
    }

    /// Whether no blocking call is needed to tell where a part lies.
    pub(super) fn is_at_hand(&self, source: &Source) -> bool {
        self.run(source, 0).is_some()
    }

    /// Some bytes of a part as a body: first byte, number of bytes.
    pub(super) fn pieces(mut self, source: Source, (first, length): (u64, u64)) -> Pieces {
        let end = first.saturating_add(length);
        let mut at = first;
        Box::new(std::iter::from_fn(move || {
            if at >= end {
                return None;
            }
            if let Some(run) = self.run(&source, at) {
                let run = run.limited_to(end - at);
                at += run.length();
                return Some(Ok(Piece::Stored(run)));
            }
            let length =
                usize::try_from(end - at).map_or(CHUNK_BYTES, |left| left.min(CHUNK_BYTES));
            let mut bytes = Vec::with_capacity(length);
            let read = self.append(&source, at, length, &mut bytes);
            at += length as u64;
            Some(read.map(|()| Piece::Bytes(bytes.into())))
        }))
    }
}

/// What is left of the span that holds byte `at` of some that follow each other; `None` of very
/// many, which are better read together.
fn rest(spans: &[Span], mut at: u64) -> Option<Span> {
    if spans.len() > FRAGMENTS_FEW {
        return None;
    }
    for span in spans {
        if at < span.length {
            return Some(Span {
                offset: span.offset.checked_add(at)?,
                length: span.length - at,
            });
        }
        at -= span.length;
    }
    None
}

/// Where to read whole words for some bytes of a value.
#[derive(Debug, PartialEq, Eq)]
struct InWords {
    offset: u64,
    read: usize,
    /// How many bytes of the first word are not wanted.
    before: usize,
}

/// Words count from the first byte of the value: pixels of one byte may begin a frame in the middle
/// of one (PS3.5 §8.1.1), and so may a piece.
fn place_in_words(offset: u64, length: usize, whole: Span, size: u64) -> InWords {
    let before = (offset - whole.offset) % size;
    let begin = offset - before;
    let wanted = (before + length as u64).next_multiple_of(size);
    let read = wanted.min(whole.offset + whole.length - begin);
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
}
