//! Display shutters (PS3.3 §C.7.6.11): rectangle, circle and polygon, of which only what lies in all
//! of them is seen, and bitmaps (§C.7.6.15). Pixels count from 1, by their middles.

use super::{Budget, Mask, Overlay, Placement};
use crate::imaging::Error;
use crate::imaging::metadata::{Bulk, Interest, Item};
use crate::imaging::presentation::tags::{
    CIRCLE_CENTER, CIRCLE_RADIUS, POLYGON, RECTANGLE, SHUTTER_OVERLAY_GROUP, SHUTTER_SHAPE,
};

/// The most corners of a polygon.
const CORNERS_MAX: usize = 10_000;
const MALFORMED: Error = Error::Malformed("a shutter");

/// The shapes of a shutter. None of them: everything is seen.
#[derive(Debug, Clone, PartialEq, Default)]
pub(in super::super) struct Shutter {
    /// Left, right, top and bottom, bounds included.
    rectangle: Option<[f64; 4]>,
    /// Column, row and radius.
    circle: Option<[f64; 3]>,
    /// Column and row of each corner.
    polygon: Option<Vec<(f64, f64)>>,
    bitmap: Option<Overlay>,
}

impl Shutter {
    /// # Errors
    /// [`Error::Malformed`] when a shape lacks its numbers: what it should hide is not known.
    pub(in super::super) fn read<I: Interest>(
        item: &Item<I>,
        frame: u32,
        bulk: Bulk<'_>,
    ) -> Result<Self, Error> {
        let number = |tag, place| item.number_at(tag, place).ok_or(MALFORMED);
        let mut shutter = Self::default();
        for shape in item.texts(SHUTTER_SHAPE) {
            match shape {
                "RECTANGULAR" => {
                    let [left, right, top, bottom] = RECTANGLE.map(|tag| number(tag, 0));
                    shutter.rectangle = Some([left?, right?, top?, bottom?]);
                }
                "CIRCULAR" => {
                    let (row, column) = (number(CIRCLE_CENTER, 0)?, number(CIRCLE_CENTER, 1)?);
                    shutter.circle = Some([column, row, number(CIRCLE_RADIUS, 0)?]);
                }
                "POLYGONAL" => {
                    let corners = item.value_count(POLYGON) / 2;
                    if !(3..=CORNERS_MAX).contains(&corners) {
                        return Err(MALFORMED);
                    }
                    let corner = |n| {
                        Ok((
                            number(POLYGON, 2 * n + 1)? - 0.5,
                            number(POLYGON, 2 * n)? - 0.5,
                        ))
                    };
                    shutter.polygon = Some((0..corners).map(corner).collect::<Result<_, Error>>()?);
                }
                "BITMAP" => {
                    let group = item
                        .count(SHUTTER_OVERLAY_GROUP)
                        .and_then(|n| u16::try_from(n).ok());
                    let group = Overlay::groups().find(|known| Some(*known) == group);
                    let bitmap = Overlay::read(item, group.ok_or(MALFORMED)?, frame, None, bulk)?;
                    shutter.bitmap = Some(bitmap.ok_or(MALFORMED)?);
                }
                _ => return Err(MALFORMED),
            }
        }
        Ok(shutter)
    }

    /// Whether it hides anything at all.
    pub(in super::super) fn is_closed(&self) -> bool {
        *self != Self::default()
    }

    /// Leaves the pixels of a picture that it hides in the mask; `aspect` is the height of a pixel by
    /// its width: the radius counts along rows.
    ///
    /// # Errors
    /// [`Error::Unsupported`] beyond the budget.
    pub(in super::super) fn mark(
        &self,
        placement: &Placement,
        aspect: f64,
        mask: &mut Mask,
        budget: &mut Budget,
    ) -> Result<(), Error> {
        mask.clear();
        if let Some(corners) = &self.polygon {
            let corners = corners.iter().map(|corner| placement.picture_of(*corner));
            budget.fill(mask, &corners.collect::<Vec<_>>())?;
            mask.invert();
        }
        let (rectangle, circle) = (self.rectangle, self.circle);
        if rectangle.is_some() || circle.is_some() {
            mask.set_where(placement, |x, y| {
                let (column, row) = (x.floor() + 1.0, y.floor() + 1.0);
                let is_beyond = rectangle.is_some_and(|[left, right, top, bottom]| {
                    !(left..=right).contains(&column) || !(top..=bottom).contains(&row)
                });
                let is_off = circle.is_some_and(|[center, middle, radius]| {
                    let (across, down) = (x + 0.5 - center, (y + 0.5 - middle) * aspect);
                    across.hypot(down) > radius
                });
                is_beyond || is_off
            });
        }
        if let Some(bitmap) = &self.bitmap {
            bitmap.mark(placement, mask);
        }
        Ok(())
    }
}
