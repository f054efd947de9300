//! Pictures of stored frames (PS3.18 §10.4.1.1.3): the one way from an instance to a drawn frame,
//! whatever the door. Work for the processor: doors bound how much of it runs at once.

use dicom_core::VR;

use crate::access::Scope;
use crate::archive::{Archive, DatasetReader, Error, FRAME_BYTES_MAX, Located, Target};
use crate::dicom::FrameMap;
use crate::dicom::frame_map::Frame;
use crate::dicom::header::BulkValue;
use crate::dicom::transfer_syntax::{Form, TransferSyntax};
use crate::dicom::walk::ByteOrder;
use crate::imaging::{self, ImageMetadata, Picture, View};

/// The longest lookup table that is read: 65,536 entries of 16 bits.
const TABLE_BYTES_MAX: u64 = 1 << 17;

/// Why there is no picture. Texts hold no patient data.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PictureError {
    /// The instance is no image: a report, a plan, a presentation state.
    #[error("the object has no pixels")]
    NoPixels,
    /// Its transfer syntax needs a decoder that is not there; the name.
    #[error("{0} cannot be decoded by this server")]
    Compressed(&'static str),
    /// A frame has more bytes than are drawn.
    #[error("a frame of more than {FRAME_BYTES_MAX} bytes is not drawn")]
    TooLarge,
    /// What the instance says of its pixels, or the view of them.
    #[error("no picture: {0}")]
    Undrawable(imaging::Error),
    /// The wanted part lies outside the frame.
    #[error("the wanted part lies outside the image")]
    Outside,
    /// The archive.
    #[error(transparent)]
    Archive(#[from] Error),
}

impl From<imaging::Error> for PictureError {
    fn from(error: imaging::Error) -> Self {
        match error {
            imaging::Error::Outside => Self::Outside,
            imaging::Error::NoPixels => Self::NoPixels,
            other => Self::Undrawable(other),
        }
    }
}

/// Whether frames of this instance can be drawn, as far as its row of the index tells.
///
/// # Errors
/// Why not.
pub fn drawable(located: &Located) -> Result<(), PictureError> {
    if located.frames.is_empty() {
        return Err(PictureError::NoPixels);
    }
    let syntax = TransferSyntax::of_uid(located.transfer_syntax_uid.as_str());
    match (syntax, &located.frames) {
        (Some(syntax), _) if !is_decodable(syntax) => Err(PictureError::Compressed(syntax.name)),
        (Some(_), FrameMap::Native { frame_bits, .. }) => {
            if frame_bits.div_ceil(8) > FRAME_BYTES_MAX {
                return Err(PictureError::TooLarge);
            }
            Ok(())
        }
        _ => Err(PictureError::Compressed("this transfer syntax")),
    }
}

/// Whether frames in a transfer syntax can be drawn.
#[must_use]
pub fn is_decodable(syntax: &TransferSyntax) -> bool {
    matches!(syntax.form, Form::Native | Form::Deflated)
}

/// An instance whose frames are drawn: what they have in common is read once.
pub struct Drawing {
    located: Located,
    /// One for all frames, so that a deflated object is inflated once.
    dataset: DatasetReader,
    metadata: ImageMetadata,
    bulk: Vec<BulkValue>,
    order: ByteOrder,
}

impl Archive {
    /// Gets an instance ready to be drawn.
    ///
    /// # Errors
    /// Those of [`drawable`], [`Error::NotFound`] when it was removed meanwhile, or metadata that make no sense.
    pub fn drawing(&self, located: Located, scope: &Scope) -> Result<Drawing, PictureError> {
        drawable(&located)?;
        let target = Target::Instance(
            located.study_instance_uid.clone(),
            located.series_instance_uid.clone(),
            located.sop_instance_uid.clone(),
        );
        let prepared = self.metadata(&target, scope, None, 1)?.pop();
        let metadata = ImageMetadata::parse(&prepared.ok_or(Error::NotFound)?.metadata)?;
        let (_, bulk) = self.bulk(&target, scope)?.ok_or(Error::NotFound)?;
        let syntax = TransferSyntax::of_uid(located.transfer_syntax_uid.as_str());
        Ok(Drawing {
            dataset: self.dataset(&located),
            located,
            metadata,
            bulk,
            order: syntax.map_or(ByteOrder::Little, |syntax| syntax.encoding.order),
        })
    }
}

impl Drawing {
    /// The instance.
    #[must_use]
    pub fn located(&self) -> &Located {
        &self.located
    }

    /// The frame that stands for all of them: the one the instance names (0028,6010), else `otherwise`.
    #[must_use]
    pub fn representative_frame(&self, otherwise: u32) -> u32 {
        let named = self.metadata.representative_frame();
        named
            .filter(|number| *number <= self.located.frames.len())
            .unwrap_or(otherwise)
    }

    /// Draws frame `number` (from 1).
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no such frame, or why it cannot be drawn.
    pub fn picture(&mut self, number: u32, view: &View) -> Result<Picture, PictureError> {
        if number == 0 || number > self.located.frames.len() {
            return Err(Error::NotFound.into());
        }
        let mut failure = None;
        let (dataset, bulk, order) = (&mut self.dataset, &self.bulk, self.order);
        let described = self.metadata.describe(number, &mut |path| {
            table(dataset, bulk, order, path).unwrap_or_else(|error| {
                failure = Some(error);
                None
            })
        });
        if let Some(error) = failure {
            return Err(error.into());
        }
        let description = described?;
        let frame = match self.order {
            ByteOrder::Little => self.as_stored(number)?,
            ByteOrder::Big => self.turned_round(number, description.word_bytes()?)?,
        };
        Ok(imaging::draw(&frame, &description, view)?)
    }

    fn as_stored(&mut self, number: u32) -> Result<Vec<u8>, Error> {
        let frame = self.located.frames.frame(number).ok_or(Error::NotFound)?;
        // At most FRAME_BYTES_MAX: `drawable` has looked.
        let length = frame.length() as usize;
        let mut whole = Vec::with_capacity(length);
        self.dataset.append_frame(frame, 0, length, &mut whole)?;
        Ok(whole)
    }

    /// A frame of a big endian object as little endian. Words count from the first pixel, so a frame
    /// of bytes may begin in the middle of one (PS3.5 §8.1.1).
    fn turned_round(&mut self, number: u32, word: u64) -> Result<Vec<u8>, Error> {
        let frame = self.located.frames.frame(number).ok_or(Error::NotFound)?;
        let (
            Frame::Native {
                span, first_bit: 0, ..
            },
            FrameMap::Native { span: pixels, .. },
        ) = (frame, &self.located.frames)
        else {
            return self.as_stored(number);
        };
        let before = (span.offset - pixels.offset) % word;
        let begin = span.offset - before;
        let wanted = (before + span.length).next_multiple_of(word);
        // Not beyond FRAME_BYTES_MAX but for a word: `drawable` has looked.
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

/// The bytes of a linked table, little endian; `None` when there is none of that path and a sound length.
fn table(
    dataset: &mut DatasetReader,
    bulk: &[BulkValue],
    order: ByteOrder,
    path: &str,
) -> Result<Option<Vec<u8>>, Error> {
    let Some(value) = bulk.iter().find(|value| *value.path == *path) else {
        return Ok(None);
    };
    let Some((offset, length)) = value.span.filter(|(_, length)| *length <= TABLE_BYTES_MAX) else {
        return Ok(None);
    };
    let mut bytes = vec![0; length as usize];
    dataset.read_at(offset, &mut bytes)?;
    if order == ByteOrder::Big && matches!(value.vr, VR::OW | VR::US | VR::SS) {
        bytes.chunks_exact_mut(2).for_each(<[u8]>::reverse);
    }
    Ok(Some(bytes))
}
