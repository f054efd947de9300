//! What is drawn over a picture: overlays (PS3.3 §C.9.2), shutters (§C.7.6.11, §C.7.6.15) and the
//! lines of annotations, each a [`Mask`] of pixels of the picture, put there by a [`Placement`].

mod mask;
mod overlay;
mod placement;
mod shutter;
mod stroke;

pub(super) use mask::{Ink, Mask};
pub(super) use overlay::{Overlay, PixelCells};
pub(super) use placement::{Area, Placement};
pub(super) use shutter::Shutter;
pub(super) use stroke::Budget;
