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
        let lines = self.wrapped(i64::from(placement.size.0) / (ADVANCE * scale));
        let longest = lines.iter().map(Vec::len).max().unwrap_or(0) as i64;
        // What begins in the picture ends in it, as far as there is room.
        let fit = |begin: f64, length: i64, side: u32| {
            let (begin, side) = (begin.round(), i64::from(side));
            if begin < 0.0 || begin >= side as f64 {
                return begin as i64;
            }
            (begin as i64).min((side - length).max(0))
        };
        let left = fit(left, longest * ADVANCE * scale, placement.size.0);
        let line_height = (HEIGHT + 2) * scale;
        let top = fit(top, lines.len() as i64 * line_height, placement.size.1);
        for (row, line) in (0..).zip(&lines) {
            for (column, letter) in (0..).zip(line.iter().copied()) {
                let x = left.saturating_add(column * ADVANCE * scale);
                let y = top.saturating_add(row * line_height);
                write(mask, letter, (x, y), scale);
            }
        }
        Ok(())
    }
}

impl Words {
    /// Its lines, none of them longer than so many letters, broken at spaces where there are any.
    fn wrapped(&self, most: i64) -> Vec<Vec<char>> {
        let most = usize::try_from(most).unwrap_or(0).max(1);
        let mut lines = Vec::new();
        for line in &self.lines {
            let letters: Vec<char> = line.chars().collect();
            let mut rest = &letters[..];
            while rest.len() > most {
                let space = rest[..=most].iter().rposition(|letter| *letter == ' ');
                let end = space.filter(|end| *end > 0).unwrap_or(most);
                lines.push(rest[..end].to_vec());
                rest = &rest[end + usize::from(space == Some(end))..];
            }
            lines.push(rest.to_vec());
        }
        lines
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

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Words {
        let json = format!(
            r#"{{"00700003":{{"Value":["PIXEL"]}},"00700006":{{"Value":["{text}"]}},
            "00700010":{{"Value":[1,2]}},"00700011":{{"Value":[3,4]}}}}"#
        );
        Words::read(&Item::parse(json.as_bytes()).unwrap()).unwrap()
    }

    #[test]
    fn lines_are_broken_at_spaces_or_where_they_must_be() {
        let lines = |text: &str, most| {
            let lines = words(text).wrapped(most);
            lines.into_iter().map(String::from_iter).collect::<Vec<_>>()
        };
        assert_eq!(lines("one two\\r\\nthree", 20), ["one two", "three"]);
        assert_eq!(lines("one two three", 7), ["one two", "three"]);
        assert_eq!(lines("one two three", 6), ["one", "two", "three"]);
        assert_eq!(lines("abcdef", 4), ["abcd", "ef"]);
        assert_eq!(lines("ab", 0), ["a", "b"]);
    }

    #[test]
    fn a_text_needs_a_place_and_has_an_end() {
        let read = |json: &str| Words::read(&Item::parse(json.as_bytes()).unwrap());
        assert!(read(r#"{"00700006":{"Value":["x"]}}"#).is_err());
        let long = "x".repeat(LETTERS_MAX + 1);
        assert!(read(&format!(r#"{{"00700006":{{"Value":["{long}"]}}}}"#)).is_err());
        let anchored = r#"{"00700006":{"Value":["x"]},"00700014":{"Value":[1,2]},"00700004":{"Value":["DISPLAY"]}}"#;
        assert!(read(anchored).is_ok());
    }
}
