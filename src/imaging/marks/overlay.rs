//! Overlay planes (PS3.3 §C.9.2): one bit a pixel in (60xx,3000), or, as older objects have it, in a
//! bit of the pixel cells that the image itself does not use.

use super::{Mask, Placement};
use crate::imaging::metadata::{
    Bulk, Interest, Item, OVERLAY_BIT_POSITION, OVERLAY_COLUMNS, OVERLAY_DATA, OVERLAY_FIRST_FRAME,
    OVERLAY_FRAMES, OVERLAY_ORIGIN, OVERLAY_ROWS,
};
use crate::imaging::{Error, PixelDescription};

/// The most pixels of one overlay frame.
const PIXELS_MAX: u64 = 64 << 20;
const MALFORMED: Error = Error::Malformed("an overlay");

/// One overlay of one frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Overlay {
    rows: i64,
    columns: i64,
    /// Where its first pixel lies on the image, from 0; may be outside.
    top: i64,
    left: i64,
    bits: Vec<u8>,
    first_bit: usize,
}

/// The native pixels that an overlay may hide in.
#[derive(Clone, Copy)]
pub(in super::super) struct PixelCells<'a> {
    pub(in super::super) frame: &'a [u8],
    pub(in super::super) description: &'a PixelDescription,
}

impl Overlay {
    /// The groups of all overlays that there can be.
    pub(in super::super) fn groups() -> impl Iterator<Item = u16> {
        (0x6000..=0x601E).step_by(2)
    }

    /// The overlay of a group for frame `number` (from 1) of an image; `None` when there is none.
    ///
    /// # Errors
    /// When it is not as long as it says, or has more pixels than are drawn.
    pub(in super::super) fn read<I: Interest>(
        item: &Item<I>,
        group: u16,
        number: u32,
        cells: Option<PixelCells<'_>>,
        bulk: Bulk<'_>,
    ) -> Result<Option<Self>, Error> {
        let tag = |element: u16| u32::from(group) << 16 | u32::from(element);
        let side = |element| item.count(tag(element)).filter(|n| *n > 0);
        let (Some(rows), Some(columns)) = (side(OVERLAY_ROWS), side(OVERLAY_COLUMNS)) else {
            return Ok(None);
        };
        let pixels = u64::from(rows) * u64::from(columns);
        if pixels > PIXELS_MAX {
            return Err(Error::TooLarge(PIXELS_MAX));
        }
        let data = item.element(tag(OVERLAY_DATA));
        let frames = item.count(tag(OVERLAY_FRAMES));
        let first = item.count(tag(OVERLAY_FIRST_FRAME));
        // One frame that names no frame of the image is for all of them.
        let frame = match (frames.unwrap_or(1), first) {
            (1, None) => 0,
            (frames, first) => match number.checked_sub(first.unwrap_or(1)) {
                Some(frame) if frame < frames => u64::from(frame),
                _ => return Ok(None),
            },
        };
        let (bits, first_bit) = match (data, cells) {
            (Some(data), _) => {
                let begin = pixels.checked_mul(frame).ok_or(MALFORMED)?;
                let mut bits = data.table(bulk).map_err(|_| MALFORMED)?;
                let first = usize::try_from(begin / 8).map_err(|_| MALFORMED)?;
                let last = usize::try_from((begin + pixels).div_ceil(8)).map_err(|_| MALFORMED)?;
                bits.truncate(last);
                if bits.len() < last {
                    return Err(MALFORMED);
                }
                bits.drain(..first);
                (bits, (begin % 8) as usize)
            }
            (None, Some(cells)) => {
                let position = item.count(tag(OVERLAY_BIT_POSITION)).unwrap_or(0);
                match cells.bits(position, rows, columns) {
                    Some(bits) => (bits, 0),
                    None => return Ok(None),
                }
            }
            (None, None) => return Ok(None),
        };
        let origin = |place| {
            // Values of SS; where a place is missing, the first pixel.
            let origin = item.number_at(tag(OVERLAY_ORIGIN), place).unwrap_or(1.0);
            origin as i64 - 1
        };
        Ok(Some(Self {
            rows: rows.into(),
            columns: columns.into(),
            top: origin(0),
            left: origin(1),
            bits,
            first_bit,
        }))
    }

    /// Sets the pixels of a picture that show a set bit.
    pub(in super::super) fn mark(&self, placement: &Placement, mask: &mut Mask) {
        let (columns, rows) = placement.reaches();
        let lies = placement.turns % 2 == 1;
        let cut = |(begin, end): (i64, i64), first: i64, count: i64| {
            let part = |n: i64| n.saturating_sub(first).clamp(0, count);
            part(begin)..part(end)
        };
        let (width, height) = mask.sides();
        for y in 0..height {
            let line = if lies {
                cut(columns[y], self.left, self.columns)
            } else {
                cut(rows[y], self.top, self.rows)
            };
            if line.is_empty() {
                continue;
            }
            let marked = mask.row(y);
            for (x, marked) in marked.iter_mut().enumerate().take(width) {
                let (across, mut down) = if lies {
                    (line.clone(), cut(rows[x], self.top, self.rows))
                } else {
                    (cut(columns[x], self.left, self.columns), line.clone())
                };
                // Rows are not walked for columns that it does not reach.
                *marked |= !across.is_empty()
                    && down.any(|row| across.clone().any(|column| self.is_set(row, column)));
            }
        }
    }

    /// Both from 0, and inside.
    fn is_set(&self, row: i64, column: i64) -> bool {
        let bit = (row * self.columns + column) as usize + self.first_bit;
        self.bits
            .get(bit / 8)
            .is_some_and(|byte| byte >> (bit % 8) & 1 == 1)
    }
}

impl PixelCells<'_> {
    /// One bit of every cell, packed; `None` when the image uses it, or has no such cells.
    fn bits(self, position: u32, rows: u32, columns: u32) -> Option<Vec<u8>> {
        let pixels = self.description;
        let is_free = position >= pixels.low_bit + pixels.bits_stored || position < pixels.low_bit;
        let is_there = [8, 16, 32].contains(&pixels.bits_allocated)
            && pixels.has_one_sample()
            && (rows, columns) == (pixels.rows, pixels.columns)
            && position < pixels.bits_allocated;
        if !(is_free && is_there) {
            return None;
        }
        let cell_bytes = pixels.bits_allocated as usize / 8;
        let cells = self.frame.chunks_exact(cell_bytes);
        let bits: Vec<bool> = cells
            .take(rows as usize * columns as usize)
            .map(|cell| cell[position as usize / 8] >> (position % 8) & 1 == 1)
            .collect();
        let pack = |bits: &[bool]| {
            let places = bits.iter().enumerate();
            places.fold(0, |byte, (place, bit)| byte | u8::from(*bit) << place)
        };
        Some(bits.chunks(8).map(pack).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::super::Area;
    use super::*;
    use crate::imaging::metadata::OfImage;

    fn read(more: &str, number: u32) -> Result<Option<Overlay>, Error> {
        let json = format!(
            r#"{{"60020010":{{"Value":[2]}},"60020011":{{"Value":[3]}},"60020050":{{"Value":[1,1]}}{more}}}"#
        );
        let item: Item<OfImage> = Item::parse(json.as_bytes()).unwrap();
        Overlay::read(&item, 0x6002, number, None, &mut |_| None)
    }

    fn rows(overlay: &Overlay) -> Vec<Vec<bool>> {
        let row = |row| (0..3).map(|column| overlay.is_set(row, column)).collect();
        (0..2).map(row).collect()
    }

    #[test]
    fn frames_follow_each_other_bit_by_bit() {
        // 0b01_1101: two frames of six bits, 101110 and 011000 read from the lowest bit.
        let data = r#","60023000":{"vr":"OW","InlineBinary":"nQE="},"60020015":{"Value":[2]}"#;
        let first = read(data, 1).unwrap().unwrap();
        assert_eq!(rows(&first), [[true, false, true], [true, true, false]]);
        let second = read(data, 2).unwrap().unwrap();
        assert_eq!(rows(&second), [[false, true, true], [false, false, false]]);
        assert_eq!(read(data, 3), Ok(None));
        let later = format!(r#"{data},"60020051":{{"Value":[7]}}"#);
        assert_eq!(read(&later, 6), Ok(None));
        assert!(read(&later, 8).unwrap().is_some());
        assert_eq!(
            read(
                r#","60023000":{"vr":"OW","InlineBinary":"nQ=="},"60020015":{"Value":[9]}"#,
                9
            ),
            Err(MALFORMED)
        );
        assert_eq!(read("", 1), Ok(None));
        assert_eq!(
            read(
                r#","60020010":{"Value":[65535]},"60020011":{"Value":[65535]}"#,
                1
            ),
            Err(Error::TooLarge(PIXELS_MAX))
        );
    }

    #[test]
    fn an_origin_outside_is_cut_off() {
        let data = r#","60023000":{"vr":"OW","InlineBinary":"PwA="},"60020050":{"Value":[2,-1]}"#;
        let overlay = read(data, 1).unwrap().unwrap();
        let area = Area {
            left: 0.0,
            top: 0.0,
            width: 4.0,
            height: 3.0,
        };
        let placement = Placement {
            shown: area,
            displayed: area,
            turns: 0,
            is_mirrored: false,
            size: (4, 3),
        };
        let mut mask = Mask::of_size((4, 3));
        overlay.mark(&placement, &mut mask);
        let set: Vec<_> = (0..3).map(|y| mask.row(y).to_vec()).collect();
        let first = vec![true, false, false, false];
        assert_eq!(set, [vec![false; 4], first.clone(), first]);
    }
}
