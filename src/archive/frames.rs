//! The frames of an instance as native bytes or encoded anew, one at a time (PS3.5 §8.2): the one
//! way from stored pixel data to other pixel data, whatever the door. Work for the processor: doors
//! bound how much of it runs at once.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::access::Scope;
use crate::archive::{Archive, DatasetReader, Error, FRAME_BYTES_MAX, Located, Target};
use crate::dicom::FrameMap;
use crate::dicom::frame_map::Frame;
use crate::dicom::transfer_syntax::{Form, TransferSyntax};
use crate::dicom::walk::ByteOrder;
use crate::imaging::codec::{self, Codec, Fault};
use crate::imaging::{ImageMetadata, Shape};

/// How much of a codestream is looked at for its headers. Bytes.
const HEAD_BYTES: usize = 64 << 10;

/// Why a frame is not made. Texts hold no patient data.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// The instance is no image: a report, a plan, a presentation state.
    #[error("the object has no pixels")]
    NoPixels,
    /// A transfer syntax that is not decoded; its name.
    #[error("{0} is not decoded by this server")]
    Undecoded(&'static str),
    /// The pixel data, or what the data set says of them.
    #[error("the pixel data cannot be decoded: {0}")]
    Codec(Fault),
    /// What the data set says of its pixels.
    #[error("the pixel data cannot be read: {0}")]
    Metadata(crate::imaging::Error),
    /// A frame has more bytes than are held in memory.
    #[error("a frame of more than {FRAME_BYTES_MAX} bytes is not decoded")]
    TooLarge,
    /// The archive.
    #[error(transparent)]
    Archive(#[from] Error),
}

impl From<Fault> for FrameError {
    fn from(fault: Fault) -> Self {
        Self::Codec(fault)
    }
}

impl From<FrameError> for Error {
    fn from(error: FrameError) -> Self {
        match error {
            FrameError::Archive(error) => error,
            FrameError::TooLarge => Self::TooLarge {
                limit: "bytes of a frame that is decoded",
                max: FRAME_BYTES_MAX,
            },
            other => Self::Unmakable(other.to_string()),
        }
    }
}

/// Whether frames in a transfer syntax can be decoded, as far as their row of the index tells.
///
/// # Errors
/// Why not.
pub fn decodable(located: &Located) -> Result<Option<Codec>, FrameError> {
    if located.frames.is_empty() {
        return Err(FrameError::NoPixels);
    }
    let uid = located.transfer_syntax_uid.as_str();
    let syntax =
        TransferSyntax::of_uid(uid).ok_or(FrameError::Undecoded("this transfer syntax"))?;
    match (syntax.form, &located.frames) {
        // Of a length of its own, whatever the transfer syntax calls for.
        (_, FrameMap::Native { frame_bits, .. }) => {
            if frame_bits.div_ceil(8) > FRAME_BYTES_MAX {
                return Err(FrameError::TooLarge);
            }
            Ok(None)
        }
        (Form::Encapsulated, _) => match Codec::of_syntax(uid) {
            Some(codec) => Ok(Some(codec)),
            None => Err(FrameError::Undecoded(syntax.name)),
        },
        _ => Err(FrameError::Undecoded("this form of pixel data")),
    }
}

/// Whether frames in a transfer syntax can be decoded.
#[must_use]
pub fn is_decodable(syntax: &TransferSyntax) -> bool {
    syntax.form != Form::Encapsulated || Codec::of_syntax(syntax.uid).is_some()
}

/// An instance whose frames are made native: what they have in common is read once.
pub struct Frames {
    located: Located,
    /// One for all frames, so that a deflated object is inflated once.
    dataset: DatasetReader,
    metadata: ImageMetadata,
    codec: Option<Codec>,
    stored: Shape,
    native: Shape,
    order: ByteOrder,
}

impl Archive {
    /// Gets the frames of an instance ready.
    ///
    /// # Errors
    /// Those of [`decodable`], [`Error::NotFound`] when it was removed meanwhile, metadata that make
    /// no sense, or a shape that its codec does not have.
    pub fn frames(&self, located: &Located, scope: &Scope) -> Result<Frames, FrameError> {
        let codec = decodable(located)?;
        let target = Target::Instance(
            located.study_instance_uid.clone(),
            located.series_instance_uid.clone(),
            located.sop_instance_uid.clone(),
        );
        let prepared = self.metadata(&target, scope, None, 1)?.pop();
        let metadata = ImageMetadata::parse(&prepared.ok_or(Error::NotFound)?.metadata)
            .map_err(FrameError::Metadata)?;
        let stored = metadata.shape().map_err(|error| match error {
            crate::imaging::Error::NoPixels => FrameError::NoPixels,
            other => FrameError::Metadata(other),
        })?;
        let native = match codec {
            Some(codec) => stored.decoded(codec)?,
            None => stored.clone(),
        };
        if native.frame_bytes() > FRAME_BYTES_MAX {
            return Err(FrameError::TooLarge);
        }
        let syntax = TransferSyntax::of_uid(located.transfer_syntax_uid.as_str());
        Ok(Frames {
            dataset: self.dataset(located),
            located: located.clone(),
            metadata,
            codec,
            stored,
            native,
            order: syntax.map_or(ByteOrder::Little, |syntax| syntax.encoding.order),
        })
    }
}

impl Frames {
    /// The instance.
    #[must_use]
    pub fn located(&self) -> &Located {
        &self.located
    }

    /// What is said of its pixels as they are stored.
    #[must_use]
    pub fn stored(&self) -> &Shape {
        &self.stored
    }

    /// What is said of its pixels once they are native.
    #[must_use]
    pub fn native(&self) -> &Shape {
        &self.native
    }

    /// Whether bits of a cell that are no part of its value come as they were stored.
    pub(super) fn has_spare_bits(&self) -> bool {
        matches!(self.codec, None | Some(Codec::Rle | Codec::Deflate))
    }

    pub(super) fn metadata(&self) -> &ImageMetadata {
        &self.metadata
    }

    pub(super) fn dataset(&mut self) -> (&mut DatasetReader, &ImageMetadata, ByteOrder) {
        (&mut self.dataset, &self.metadata, self.order)
    }

    /// Looks at the head of the first codestream: whether it is of the kind and the size that the
    /// data set says. Cheap beside decoding it.
    ///
    /// # Errors
    /// Why it is not.
    pub fn look(&mut self) -> Result<(), FrameError> {
        let Some(codec) = self.codec else {
            return Ok(());
        };
        let frame = self.located.frames.frame(1).ok_or(Error::NotFound)?;
        let mut head = Vec::new();
        self.dataset.append_frame(frame, 0, HEAD_BYTES, &mut head)?;
        let is_whole = head.len() as u64 == frame.length();
        Ok(codec::look(codec, &head, is_whole, &self.stored)?)
    }

    /// Frame `number` (from 1) as native bytes of [`Frames::native`], little endian, beginning at a
    /// byte.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no such frame, or why it cannot be decoded.
    pub fn frame(&mut self, number: u32) -> Result<Vec<u8>, FrameError> {
        let Some(codec) = self.codec else {
            return match self.order {
                ByteOrder::Little => Ok(self.as_stored(number)?),
                ByteOrder::Big => self.turned_round(number),
            };
        };
        let codestream = self.as_stored(number)?;
        // What a codec makes of hostile bytes costs its own request only.
        catch_unwind(AssertUnwindSafe(|| {
            codec::decode(codec, &codestream, &self.stored)
        }))
        .unwrap_or(Err(Fault::Malformed("a compressed frame")))
        .map_err(FrameError::Codec)
    }

    /// Frame `number` (from 1) encoded without loss.
    ///
    /// # Errors
    /// As [`Frames::frame`], and what the codec cannot hold.
    pub fn encoded(&mut self, number: u32, codec: Codec) -> Result<Vec<u8>, FrameError> {
        let native = self.frame(number)?;
        Ok(codec::encode(codec, &native, &self.native)?)
    }

    fn as_stored(&mut self, number: u32) -> Result<Vec<u8>, Error> {
        let frame = self.located.frames.frame(number).ok_or(Error::NotFound)?;
        if frame.length() > FRAME_BYTES_MAX {
            return Err(Error::TooLarge {
                limit: "bytes of a frame that is read whole",
                max: FRAME_BYTES_MAX,
            });
        }
        let length = frame.length() as usize;
        let mut whole = Vec::with_capacity(length);
        self.dataset.append_frame(frame, 0, length, &mut whole)?;
        Ok(whole)
    }

    /// A frame of a big endian object as little endian. Words count from the first pixel, so a frame
    /// of bytes may begin in the middle of one (PS3.5 §8.1.1).
    fn turned_round(&mut self, number: u32) -> Result<Vec<u8>, FrameError> {
        let frame = self.located.frames.frame(number).ok_or(Error::NotFound)?;
        let (
            Frame::Native {
                span, first_bit: 0, ..
            },
            FrameMap::Native { span: pixels, .. },
        ) = (frame, &self.located.frames)
        else {
            return Ok(self.as_stored(number)?);
        };
        let word = self.stored.word_bytes()?;
        let before = (span.offset - pixels.offset) % word;
        let begin = span.offset - before;
        let wanted = (before + span.length).next_multiple_of(word);
        // Not beyond FRAME_BYTES_MAX but for a word: `decodable` has looked.
        let mut bytes = vec![0; wanted.min(pixels.offset + pixels.length - begin) as usize];
        self.dataset.read_at(begin, &mut bytes)?;
        bytes
            .chunks_exact_mut(word as usize)
            .for_each(<[u8]>::reverse);
        bytes.drain(..before as usize);
        bytes.truncate(span.length as usize);
        Ok(bytes)
    }
}
