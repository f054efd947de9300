//! An image with its own overlays (PS3.3 §C.9.2), which it is drawn without unless they are asked for.

use super::Error;
use super::marks::{Area, Ink, Mask, Overlay, PixelCells, Placement};
use super::native::draw;
use super::picture::Picture;
use super::presentation::Subject;
use super::view::View;

/// Draws a frame with all its overlays, white with a dark line around them. `bulk` gives the bytes that
/// the metadata only link.
///
/// # Errors
/// As [`draw`], and for overlays that are not what they say.
pub fn draw_with_overlays(
    subject: &Subject<'_>,
    view: &View,
    bulk: &mut dyn FnMut(&str) -> Option<Vec<u8>>,
) -> Result<Picture, Error> {
    let mut picture = draw(subject.frame, subject.description, view)?;
    let (region, size) = view.plan(subject.description)?;
    let shown = Area {
        left: region.left.into(),
        top: region.top.into(),
        width: region.width.into(),
        height: region.height.into(),
    };
    let placement = Placement {
        shown,
        displayed: shown,
        // Top and bottom change places in a half turn that is mirrored.
        turns: if region.is_flipped { 2 } else { 0 },
        is_mirrored: region.is_mirrored != region.is_flipped,
        size,
    };
    let mut mask: Option<Mask> = None;
    for group in Overlay::groups() {
        let cells = subject.cells();
        let item = &subject.metadata.0;
        if let Some(overlay) = Overlay::read(item, group, subject.number, cells, bulk)? {
            let mask = mask.get_or_insert_with(|| Mask::of_size(size));
            overlay.mark(&placement, mask);
        }
    }
    if let Some(mask) = mask {
        mask.paint(&mut picture, Ink::Outlined);
    }
    Ok(picture)
}

impl<'a> Subject<'a> {
    /// The pixels that overlays may hide in.
    pub(super) fn cells(&self) -> Option<PixelCells<'a>> {
        self.has_spare_bits.then_some(PixelCells {
            frame: self.frame,
            description: self.description,
        })
    }
}
