//! Text objects (PS3.3 §C.10.5.1): their words at their box, or beside their anchor, in the letters
//! of [`font`](super::font). How large they are is not said by the state; here they grow with the picture.

use super::font::{ADVANCE, HEIGHT, glyph};
use super::graphics::Units;
use super::tags::{
    ANCHOR, ANCHOR_IS_VISIBLE, ANCHOR_UNITS, BOX_FIRST, BOX_LAST, BOX_UNITS, OfState, TEXT,
};
use crate::imaging::Error;
use crate::imaging::marks::{Budget, Mask, Placement};
use crate::imaging::metadata::Item;

type Point = (f64, f64);

/// The longest text. ST has 1024 characters.
const LETTERS_MAX: usize = 1024;
/// Pixels of the longer side of the picture for each pixel of a letter.
const SIDE_FOR_PIXEL: u32 = 512;

/// One text.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Words {
    lines: Vec<String>,
    /// Two corners and their units.
    frame: Option<(Units, [Point; 2])>,
    anchor: Option<(Units, Point)>,
    is_anchor_visible: bool,
}

impl Words {
    /// # Errors
    /// [`Error::Malformed`] for a text without a place, [`Error::Unsupported`] for one that is too long.
    pub(super) fn read(item: &Item<OfState>) -> Result<Self, Error> {
        let text = item.text(TEXT).unwrap_or("");
        if text.chars().count() > LETTERS_MAX {
            return Err(Error::Unsupported("so long a text"));
        }
        let point = |tag| Some((item.number_at(tag, 0)?, item.number_at(tag, 1)?));
        let frame = match point(BOX_FIRST).zip(point(BOX_LAST)) {
            Some((first, last)) => Some((Units::read(item, BOX_UNITS)?, [first, last])),
            None => None,
        };
        let anchor = match point(ANCHOR) {
            Some(anchor) => Some((Units::read(item, ANCHOR_UNITS)?, anchor)),
            None => None,
        };
        if frame.is_none() && anchor.is_none() {
            return Err(Error::Malformed("a text without a place"));
        }
        let lines = text.split(['\r', '\n', '\u{c}']);
        Ok(Self {
            lines: lines
                .filter(|line| !line.is_empty())
                .map(ToOwned::to_owned)
                .collect(),
            frame,
            anchor,
            is_anchor_visible: item.text(ANCHOR_IS_VISIBLE) == Some("Y"),
        })
    }

    pub(super) fn letter_count(&self) -> usize {
        self.lines.iter().map(|line| line.chars().count()).sum()
    }

    /// Sets its pixels: upright, whichever way the image lies.
    pub(super) fn mark(
        &self,
        placement: &Placement,
        mask: &mut Mask,
        budget: &mut Budget,
    ) -> Result<(), Error> {
        let scale = i64::from(placement.size.0.max(placement.size.1) / SIDE_FOR_PIXEL) + 1;
        let anchor = self.anchor.map(|(units, at)| units.place(placement, at));
        let corner = self.frame.map(|(units, corners)| {
            let [one, other] = corners.map(|corner| units.place(placement, corner));
            (one.0.min(other.0), one.1.min(other.1))
        });
        let beside = |(x, y): Point| (x + 4.0 * scale as f64, y - (HEIGHT * scale) as f64 / 2.0);
        let Some((left, top)) = corner.or(anchor.map(beside)) else {
            return Ok(());
        };
        if let (Some(anchor), true) = (anchor, self.is_anchor_visible) {
            budget.cross(mask, anchor)?;
            if let Some(corner) = corner {
                budget.line(mask, &[anchor, corner])?;
            }
        }
        // Casts saturate; what lies outside is left out.
        let (left, top) = (left.round() as i64, top.round() as i64);
        for (row, line) in (0..).zip(&self.lines) {
            for (column, letter) in (0..).zip(line.chars()) {
                let x = left.saturating_add(column * ADVANCE * scale);
                let y = top.saturating_add(row * (HEIGHT + 2) * scale);
                write(mask, letter, (x, y), scale);
            }
        }
        Ok(())
    }
}

fn write(mask: &mut Mask, letter: char, (left, top): (i64, i64), scale: i64) {
    for (column, bits) in (0..).zip(glyph(letter)) {
        for row in (0..HEIGHT).filter(|row| bits >> row & 1 == 1) {
            for dx in 0..scale {
                for dy in 0..scale {
                    let x = left.saturating_add(column * scale + dx);
                    mask.set(x, top.saturating_add(row * scale + dy));
                }
            }
        }
    }
}
