//! Pictures from pixels, as pure functions (PS3.3 §C.7.6.3, §C.11; PS3.4 §N.2).
//!
//! [`ImageMetadata`] reads what an instance says of its pixels, [`draw`] turns one native frame into
//! a [`Picture`], as a [`View`] wants it. What is no plain image becomes one too: [`Segments`] and
//! [`DoseGrid`] color frames, [`Waveforms`] and [`StructureSet`] are drawn on a sheet. Nothing is allocated for a size that the bytes do not bear out.

mod canvas;
pub mod codec;
pub mod codestream;
mod color;
mod contours;
mod description;
mod dose;
mod film;
mod font;
mod icc;
mod jpeg;
mod marks;
mod metadata;
mod native;
mod overlaid;
pub mod photograph;
mod picture;
pub mod pixel_module;
pub mod presentation;
mod scale;
mod segmentation;
mod shape;
mod sheet;
pub mod still;
mod tone;
mod view;
mod waveform;

pub use contours::StructureSet;
pub use description::{ImageMetadata, PixelDescription};
pub use dose::DoseGrid;
pub use film::film;
pub use native::draw;
pub use overlaid::draw_with_overlays;
pub use photograph::photograph;
pub use picture::{Format, Picture};
pub use presentation::{Presentation, Subject};
pub use segmentation::Segments;
pub use shape::{Photometric, Sample, Shape};
pub use tone::{VoiFunction, Window};
pub use view::{Crop, Fit, PICTURE_PIXELS_MAX, SIDE_MAX, View};
pub use waveform::{Samples, Waveforms};

/// Why there is no picture. Texts hold no patient data.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The pixels are compressed: a codec is needed first.
    #[error("the pixel data is not native")]
    NotNative,
    /// No pixels at all: a report, a presentation state.
    #[error("no pixels")]
    NoPixels,
    /// Something that the standard allows and we cannot draw.
    #[error("{0} is not supported")]
    Unsupported(&'static str),
    /// Something that the standard does not allow.
    #[error("{0} is malformed")]
    Malformed(&'static str),
    /// More pixels than we draw.
    #[error("more than {0} pixels")]
    TooLarge(u64),
    /// The wanted part lies outside the frame.
    #[error("the wanted part lies outside the frame")]
    Outside,
    /// The frame has fewer bytes than its rows and columns ask for.
    #[error("the frame is cut off")]
    CutOff,
}
