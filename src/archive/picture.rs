//! Pictures of stored frames (PS3.18 §10.4.1.1.3): the one way from an instance to a drawn frame,
//! whatever the door. Work for the processor: doors bound how much of it runs at once.

use dicom_core::VR;

use super::frames::{FrameError, Frames, decodable};
use crate::access::Scope;
use crate::archive::{Archive, DatasetReader, Error, FRAME_BYTES_MAX, Located, Target};
use crate::dicom::header::BulkValue;
use crate::dicom::walk::ByteOrder;
use crate::imaging::codec::Fault;
use crate::imaging::{self, Picture, View};

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
    #[error("no picture: {0} is not decoded by this server")]
    Compressed(&'static str),
    /// Its pixel data are not what they should be.
    #[error("no picture: {0}")]
    Broken(Fault),
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

impl From<FrameError> for PictureError {
    fn from(error: FrameError) -> Self {
        match error {
            FrameError::NoPixels => Self::NoPixels,
            FrameError::Undecoded(name) => Self::Compressed(name),
            FrameError::Codec(fault) => Self::Broken(fault),
            FrameError::Metadata(error) => error.into(),
            FrameError::TooLarge => Self::TooLarge,
            FrameError::Archive(error) => Self::Archive(error),
        }
    }
}

/// Whether frames of this instance can be drawn, as far as its row of the index tells.
///
/// # Errors
/// Why not.
pub fn drawable(located: &Located) -> Result<(), PictureError> {
    decodable(located)?;
    Ok(())
}

/// An instance whose frames are drawn: what they have in common is read once.
pub struct Drawing {
    frames: Frames,
    bulk: Vec<BulkValue>,
}

impl Archive {
    /// Gets an instance ready to be drawn.
    ///
    /// # Errors
    /// Those of [`Archive::frames`].
    pub fn drawing(&self, located: &Located, scope: &Scope) -> Result<Drawing, PictureError> {
        let frames = self.frames(located, scope)?;
        let target = Target::Instance(
            located.study_instance_uid.clone(),
            located.series_instance_uid.clone(),
            located.sop_instance_uid.clone(),
        );
        let (_, bulk) = self.bulk(&target, scope)?.ok_or(Error::NotFound)?;
        Ok(Drawing { frames, bulk })
    }
}

impl Drawing {
    /// The instance.
    #[must_use]
    pub fn located(&self) -> &Located {
        self.frames.located()
    }

    /// The frame that stands for all of them: the one the instance names (0028,6010), else `otherwise`.
    #[must_use]
    pub fn representative_frame(&self, otherwise: u32) -> u32 {
        let named = self.frames.metadata().representative_frame();
        named
            .filter(|number| *number <= self.located().frames.len())
            .unwrap_or(otherwise)
    }

    /// Draws frame `number` (from 1).
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no such frame, or why it cannot be drawn.
    pub fn picture(&mut self, number: u32, view: &View) -> Result<Picture, PictureError> {
        if number == 0 || number > self.located().frames.len() {
            return Err(Error::NotFound.into());
        }
        let mut failure = None;
        let shape = self.frames.native().clone();
        let (dataset, metadata, order) = self.frames.dataset();
        let described = metadata.describe(number, &shape, &mut |path| {
            table(dataset, &self.bulk, order, path).unwrap_or_else(|error| {
                failure = Some(error);
                None
            })
        });
        if let Some(error) = failure {
            return Err(error.into());
        }
        let description = described?;
        let frame = self.frames.frame(number)?;
        Ok(imaging::draw(&frame, &description, view)?)
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
