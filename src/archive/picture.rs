//! Pictures of stored frames (PS3.18 §10.4.1.1.3): the one way from an instance to a drawn frame,
//! whatever the door. Work for the processor: doors bound how much of it runs at once.

use dicom_core::VR;

use super::derived::{Paint, Samples, Whole, pictures};
use super::frames::{FrameError, Frames};
use super::presented::State;
use crate::access::Scope;
use crate::archive::{Archive, DatasetReader, Error, FRAME_BYTES_MAX, Located, Target};
use crate::dicom::TransferSyntax;
use crate::dicom::header::BulkValue;
use crate::dicom::walk::ByteOrder;
use crate::imaging::codec::Fault;
use crate::imaging::{
    self, ImageMetadata, Picture, PixelDescription, StructureSet, Subject, View, Waveforms,
};

/// The longest lookup table that is read: 65,536 entries of 16 bits.
const TABLE_BYTES_MAX: u64 = 1 << 17;
/// The longest overlay, all its frames together, and the most coordinates of a graphic.
pub(super) const MARKS_BYTES_MAX: u64 = 16 << 20;

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
    /// A presentation state of an image that is not here, or that has not so many frames.
    #[error("the presentation state refers to an image or frame that is not held here")]
    NoSubject,
    /// A presentation state of a state, a report and the like.
    #[error("the presentation state refers to an object without pixels")]
    SubjectWithoutPixels,
    /// A presentation state of more frames than are drawn.
    #[error("a presentation state of more than 4096 frames")]
    TooManySubjects,
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

/// An instance that is drawn: what its pictures have in common is read once.
pub struct Drawing {
    located: Located,
    drawn: Drawn,
}

enum Drawn {
    Frames(Box<DrawnFrames>),
    Waveforms(Waveforms),
    Contours(StructureSet),
}

struct DrawnFrames {
    frames: Frames,
    bulk: Vec<BulkValue>,
    paint: Paint,
}

impl Archive {
    /// Gets an instance ready to be drawn.
    ///
    /// # Errors
    /// Those of [`Archive::frames`], and what is wrong with a waveform or a structure set.
    pub fn drawing(&self, located: &Located, scope: &Scope) -> Result<Drawing, PictureError> {
        let target = Target::Instance(
            located.study_instance_uid.clone(),
            located.series_instance_uid.clone(),
            located.sop_instance_uid.clone(),
        );
        let (_, bulk) = self.bulk(&target, scope)?.ok_or(Error::NotFound)?;
        let class = located.sop_class_uid.as_str();
        let whole = Whole::of_class(class).filter(|_| located.frames.is_empty());
        let drawn = if let Some(whole) = whole {
            let prepared = self.metadata(&target, scope, None, 1)?.pop();
            let metadata = prepared.ok_or(Error::NotFound)?.metadata;
            let syntax = TransferSyntax::of_uid(located.transfer_syntax_uid.as_str());
            let mut linked = Samples {
                dataset: &mut self.dataset(located),
                bulk: &bulk,
                order: syntax.map_or(ByteOrder::Little, |syntax| syntax.encoding.order),
            };
            match whole {
                Whole::Contours => Drawn::Contours(linked.structure_set(&metadata)?),
                Whole::Waveform { is_ecg } => {
                    let metadata = ImageMetadata::parse(&metadata)?;
                    Drawn::Waveforms(linked.waveforms(&metadata, is_ecg)?)
                }
            }
        } else {
            let frames = self.frames(located, scope)?;
            Drawn::Frames(Box::new(DrawnFrames {
                paint: Paint::of(self, class, frames.metadata()),
                frames,
                bulk,
            }))
        };
        Ok(Drawing {
            located: located.clone(),
            drawn,
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
        let Drawn::Frames(frames) = &self.drawn else {
            return 1;
        };
        let named = frames.frames.metadata().representative_frame();
        named
            .filter(|number| *number <= self.located.frames.len())
            .unwrap_or(otherwise)
    }

    /// Draws frame `number` (from 1); 1 where there are no frames.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no such frame, or why it cannot be drawn.
    pub fn picture(&mut self, number: u32, view: &View) -> Result<Picture, PictureError> {
        if number == 0 || number > pictures(&self.located) {
            return Err(Error::NotFound.into());
        }
        let frames = match &mut self.drawn {
            Drawn::Waveforms(waveforms) => return Ok(waveforms.draw(view)?),
            Drawn::Contours(contours) => return Ok(contours.draw(view)?),
            Drawn::Frames(frames) => frames,
        };
        let description = frames.describe(number)?;
        let has_window = view.window.is_some();
        let (frame, description) =
            frames
                .paint
                .apply(&mut frames.frames, number, description, has_window)?;
        if !view.has_overlays {
            return Ok(imaging::draw(&frame, &description, view)?);
        }
        let draw = |subject: &Subject<'_>, of_image: Bulk<'_>| {
            imaging::draw_with_overlays(subject, view, of_image)
        };
        frames.marked(number, &frame, &description, draw)
    }

    /// Draws frame `number` (from 1) as a presentation state has it.
    ///
    /// # Errors
    /// As [`Drawing::picture`], and what of the state cannot be applied.
    pub fn presented(
        &mut self,
        number: u32,
        view: &View,
        state: &State,
    ) -> Result<Picture, PictureError> {
        let Drawn::Frames(frames) = &mut self.drawn else {
            return Err(PictureError::SubjectWithoutPixels);
        };
        let description = frames.describe(number)?;
        let frame = frames.frames.frame(number)?;
        let mut linked = state.linked();
        let drawn = frames.marked(number, &frame, &description, |subject, of_image| {
            state
                .presentation()
                .draw(subject, view, of_image, &mut |path| linked.value(path))
        });
        linked.finish()?;
        drawn
    }
}

impl DrawnFrames {
    fn describe(&mut self, number: u32) -> Result<PixelDescription, PictureError> {
        if number == 0 || number > self.frames.located().frames.len() {
            return Err(Error::NotFound.into());
        }
        let shape = self.frames.native().clone();
        let (dataset, metadata, order) = self.frames.dataset();
        let mut linked = Linked::new(dataset, &self.bulk, order, TABLE_BYTES_MAX);
        let described = metadata.describe(number, &shape, &mut |path| linked.value(path));
        linked.finish()?;
        Ok(described?)
    }

    /// Draws with what else the instance says.
    fn marked(
        &mut self,
        number: u32,
        frame: &[u8],
        description: &PixelDescription,
        draw: impl FnOnce(&Subject<'_>, Bulk<'_>) -> Result<Picture, imaging::Error>,
    ) -> Result<Picture, PictureError> {
        let sop_instance_uid = self.frames.located().sop_instance_uid.clone();
        let has_spare_bits = self.frames.has_spare_bits();
        let (dataset, metadata, order) = self.frames.dataset();
        let subject = Subject {
            sop_instance_uid: sop_instance_uid.as_str(),
            number,
            frame,
            has_spare_bits,
            description,
            metadata,
        };
        let mut linked = Linked::new(dataset, &self.bulk, order, MARKS_BYTES_MAX);
        let drawn = draw(&subject, &mut |path| linked.value(path));
        linked.finish()?;
        Ok(drawn?)
    }
}

/// Gives the bytes behind the path of a linked value.
type Bulk<'a> = &'a mut dyn FnMut(&str) -> Option<Vec<u8>>;

/// The values that the metadata of an instance only link.
pub(super) struct Linked<'a, R> {
    dataset: R,
    bulk: &'a [BulkValue],
    order: ByteOrder,
    bytes_max: u64,
    failure: Option<Error>,
}

impl<'a, R: std::borrow::BorrowMut<DatasetReader>> Linked<'a, R> {
    pub(super) fn new(dataset: R, bulk: &'a [BulkValue], order: ByteOrder, bytes_max: u64) -> Self {
        Self {
            dataset,
            bulk,
            order,
            bytes_max,
            failure: None,
        }
    }

    /// One of them, little endian; `None` when there is none of that path and a sound length.
    pub(super) fn value(&mut self, path: &str) -> Option<Vec<u8>> {
        let dataset = self.dataset.borrow_mut();
        table(dataset, self.bulk, self.order, self.bytes_max, path).unwrap_or_else(|error| {
            self.failure = Some(error);
            None
        })
    }

    /// # Errors
    /// When one of them could not be read.
    pub(super) fn finish(self) -> Result<(), Error> {
        self.failure.map_or(Ok(()), Err)
    }
}

fn table(
    dataset: &mut DatasetReader,
    bulk: &[BulkValue],
    order: ByteOrder,
    bytes_max: u64,
    path: &str,
) -> Result<Option<Vec<u8>>, Error> {
    let Some(value) = bulk.iter().find(|value| *value.path == *path) else {
        return Ok(None);
    };
    let Some((offset, length)) = value.span.filter(|(_, length)| *length <= bytes_max) else {
        return Ok(None);
    };
    let mut bytes = vec![0; length as usize];
    dataset.read_at(offset, &mut bytes)?;
    let word = match (order, value.vr) {
        (ByteOrder::Big, VR::OW | VR::US | VR::SS) => 2,
        (ByteOrder::Big, VR::FL) => 4,
        _ => 1,
    };
    bytes.chunks_exact_mut(word).for_each(<[u8]>::reverse);
    Ok(Some(bytes))
}
