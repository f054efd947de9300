//! Softcopy presentation states (PS3.4 §N.2; PS3.3 §A.33): how somebody has seen an image. Grayscale,
//! color and pseudo-color ones. A state replaces every transformation of the image itself: what it
//! does not say is the identity.
//!
//! [`read`] has what a state says of one image, [`annotations`] draws its lines with [`graphics`] and
//! its words with [`text`] in the letters of [`font`].

mod annotations;
mod font;
mod graphics;
mod read;
pub(super) mod tags;
mod text;

use std::fmt;

use super::marks::{Ink, Mask, Overlay, Placement, Shutter};
use super::metadata::{Bulk, Item};
use super::native::sampled;
use super::picture::Picture;
use super::scale::Region;
use super::view::{Fit, View};
use super::{Error, ImageMetadata, PixelDescription};
use annotations::Annotations;
use tags::OfState;

/// The most frames that one state refers to.
pub const REFERENCES_MAX: usize = 4096;

/// What a state is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Grayscale,
    Color,
    PseudoColor,
}

/// A presentation state, read once for all images that it refers to.
pub struct Presentation {
    kind: Kind,
    item: Item<OfState>,
}

/// An image that a state refers to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// The series it says that the image is in.
    pub series_instance_uid: String,
    /// The image.
    pub sop_instance_uid: String,
    /// Its frames, from 1; none of them means all.
    pub frames: Vec<u32>,
}

/// A frame that a state is applied to.
pub struct Subject<'a> {
    /// Its SOP Instance UID.
    pub sop_instance_uid: &'a str,
    /// Its number, from 1.
    pub number: u32,
    /// Its native bytes.
    pub frame: &'a [u8],
    /// Whether bits of its cells that are no part of a value are as they were stored.
    pub has_spare_bits: bool,
    /// How these are meant.
    pub description: &'a PixelDescription,
    /// What its instance says of itself.
    pub metadata: &'a ImageMetadata,
}

impl fmt::Debug for Presentation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Presentation({:?})", self.kind)
    }
}

impl Kind {
    fn of_class(sop_class_uid: &str) -> Option<Self> {
        match sop_class_uid.strip_prefix("1.2.840.10008.5.1.4.1.1.11.")? {
            "1" => Some(Self::Grayscale),
            "2" => Some(Self::Color),
            "3" => Some(Self::PseudoColor),
            _ => None,
        }
    }
}

impl Presentation {
    /// Whether objects of a class are states that can be applied.
    #[must_use]
    pub fn is_one(sop_class_uid: &str) -> bool {
        Kind::of_class(sop_class_uid).is_some()
    }

    /// Reads prepared DICOM JSON (PS3.18 §F.2).
    ///
    /// # Errors
    /// [`Error::Malformed`], or [`Error::Unsupported`] for a class or a transformation that we do not have.
    pub fn parse(json: &[u8], sop_class_uid: &str) -> Result<Self, Error> {
        let kind = Kind::of_class(sop_class_uid)
            .ok_or(Error::Unsupported("this kind of presentation state"))?;
        let item = Item::parse(json)?;
        if item.items(tags::MASK_SUBTRACTION).next().is_some() {
            return Err(Error::Unsupported("mask subtraction"));
        }
        Ok(Self { kind, item })
    }

    /// The images it refers to, in its order.
    ///
    /// # Errors
    /// [`Error::Malformed`] when there are none, [`Error::Unsupported`] for more than
    /// [`REFERENCES_MAX`].
    pub fn references(&self) -> Result<Vec<Reference>, Error> {
        read::references(&self.item)
    }

    /// Draws a frame as the state has it. `of_image` and `of_state` give the bytes that the metadata
    /// of either only link.
    ///
    /// # Errors
    /// As [`draw`](super::draw), and what cannot be applied: nothing is left out in silence.
    pub fn draw(
        &self,
        subject: &Subject<'_>,
        view: &View,
        of_image: Bulk<'_>,
        of_state: Bulk<'_>,
    ) -> Result<Picture, Error> {
        let description = self.described(subject, of_state)?;
        let area = read::area(&self.item, subject)?;
        let lies = area.turns % 2 == 1;
        let fit = match view.fit {
            Fit::Within(width, height) if lies => Fit::Within(height, width),
            Fit::Fill(width, height) if lies => Fit::Fill(height, width),
            fit => fit,
        };
        let displayed = area.displayed;
        let shown = match view.part {
            Some(part) => displayed.part(part, area.turns, area.is_mirrored),
            None => displayed,
        };
        let size = fit.size((shown.width, shown.height), area.aspect, area.magnification);
        let placement = Placement {
            shown,
            displayed,
            turns: area.turns,
            is_mirrored: area.is_mirrored,
            size: if lies { (size.1, size.0) } else { size },
        };
        let straight = ground(subject.frame, &description, &placement, size)?;
        let mut picture = turned(straight, area.turns, area.is_mirrored);
        let mut annotations = Annotations::new(&self.item, subject, picture.is_color, of_state)?;
        if view.is_wordless {
            annotations.drop_words();
        }
        let mut mask = Mask::of_size(placement.size);
        let shutter = Shutter::read(&self.item, subject.number, of_state)?;
        if shutter.is_closed() {
            shutter.mark(
                &placement,
                area.aspect,
                &mut mask,
                annotations.budget(&placement),
            )?;
            let color = read::shutter_color(&self.item, picture.is_color);
            mask.paint(&mut picture, Ink::Plain(color));
        }
        for group in Overlay::groups() {
            let Some(layer) = read::activation(&self.item, group) else {
                continue;
            };
            let number = subject.number;
            // The state's own goes before that of the image (PS3.3 §C.11.7).
            let own = Overlay::read(&self.item, group, number, None, of_state)?;
            let overlay = match own {
                Some(own) => Some(own),
                None => Overlay::read(
                    &subject.metadata.0,
                    group,
                    number,
                    subject.cells(),
                    of_image,
                )?,
            };
            if let Some(overlay) = overlay {
                annotations.push_overlay(layer, overlay)?;
            }
        }
        annotations.draw(&placement, &mut mask, &mut picture)?;
        Ok(picture)
    }

    /// How the state has the pixels of the image meant.
    fn described(&self, subject: &Subject<'_>, bulk: Bulk<'_>) -> Result<PixelDescription, Error> {
        let mut description = subject.description.clone();
        match (self.kind, description.is_grey()) {
            (Kind::Color, false) => return Ok(description),
            (Kind::Color, true) => {
                return Err(Error::Unsupported(
                    "a color presentation state of a grey image",
                ));
            }
            (_, true) => {}
            (_, false) => {
                return Err(Error::Unsupported(
                    "a grayscale presentation state of a color image",
                ));
            }
        }
        let is_signed = description.is_signed;
        description.modality = self.item.modality(is_signed, bulk)?;
        description.voi = read::voi(&self.item, subject, &description, bulk)?;
        description.padding = None;
        description.finish = match self.kind {
            Kind::PseudoColor => read::palette(&self.item, bulk)?,
            _ => read::finish(&self.item, bulk)?,
        };
        Ok(description)
    }
}

/// The image itself, not yet turned, on black where there is none of it.
fn ground(
    frame: &[u8],
    description: &PixelDescription,
    placement: &Placement,
    (width, height): (u32, u32),
) -> Result<Picture, Error> {
    let shown = placement.shown;
    // Sides of images and pictures fit, casts saturate.
    let along = |first: f64, length: f64, side: u32, whole: u32| {
        let begin = first.round().clamp(0.0, f64::from(whole));
        let end = (first + length).round().clamp(0.0, f64::from(whole));
        let place = |n: f64| ((n - first) / length * f64::from(side)).round();
        let place = |n: f64| place(n).clamp(0.0, f64::from(side)) as u32;
        let (left, right) = (place(begin), place(end));
        (begin as u32, (end - begin) as u32, left, right - left)
    };
    let (left, columns, x, across) = along(shown.left, shown.width, width, description.columns);
    let (top, rows, y, down) = along(shown.top, shown.height, height, description.rows);
    let is_there = columns > 0 && rows > 0 && across > 0 && down > 0;
    let region = Region {
        left: if is_there { left } else { 0 },
        top: if is_there { top } else { 0 },
        width: columns.max(1),
        height: rows.max(1),
        is_mirrored: false,
        is_flipped: false,
    };
    // Drawn even when nothing of it is seen, so that a broken frame is told in any case.
    let inner = sampled(
        frame,
        description,
        None,
        region,
        (across.max(1), down.max(1)),
    )?;
    if is_there && (across, down) == (width, height) {
        return Ok(inner);
    }
    let samples = if inner.is_color { 3 } else { 1 };
    let mut picture = Picture {
        samples: vec![0; width as usize * height as usize * samples],
        width,
        height,
        is_color: inner.is_color,
    };
    if is_there {
        let line = across as usize * samples;
        for (row, pixels) in inner.samples.chunks_exact(line).enumerate() {
            let at = ((y as usize + row) * width as usize + x as usize) * samples;
            picture.samples[at..at + line].copy_from_slice(pixels);
        }
    }
    Ok(picture)
}

/// Turned clockwise by right angles, then mirrored.
fn turned(picture: Picture, turns: u8, is_mirrored: bool) -> Picture {
    if turns == 0 && !is_mirrored {
        return picture;
    }
    let (width, height) = (picture.width as usize, picture.height as usize);
    let (columns, rows) = if turns % 2 == 1 {
        (height, width)
    } else {
        (width, height)
    };
    let samples = if picture.is_color { 3 } else { 1 };
    let mut pixels = Vec::with_capacity(picture.samples.len());
    for y in 0..rows {
        for x in 0..columns {
            let x = if is_mirrored { columns - 1 - x } else { x };
            let (from_x, from_y) = match turns {
                0 => (x, y),
                1 => (y, height - 1 - x),
                2 => (width - 1 - x, height - 1 - y),
                _ => (width - 1 - y, x),
            };
            let at = (from_y * width + from_x) * samples;
            pixels.extend_from_slice(&picture.samples[at..at + samples]);
        }
    }
    // Sides of pictures are short.
    Picture {
        samples: pixels,
        width: columns as u32,
        height: rows as u32,
        is_color: picture.is_color,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_are_clockwise_and_the_mirror_comes_last() {
        let picture = |samples: &[u8], width, height| Picture {
            samples: samples.to_vec(),
            width,
            height,
            is_color: false,
        };
        let from = || picture(&[1, 2, 3, 4, 5, 6], 3, 2);
        type Case = (u8, bool, &'static [u8], (u32, u32));
        let cases: [Case; 5] = [
            (1, false, &[4, 1, 5, 2, 6, 3], (2, 3)),
            (2, false, &[6, 5, 4, 3, 2, 1], (3, 2)),
            (3, false, &[3, 6, 2, 5, 1, 4], (2, 3)),
            (0, true, &[3, 2, 1, 6, 5, 4], (3, 2)),
            (1, true, &[1, 4, 2, 5, 3, 6], (2, 3)),
        ];
        for (turns, is_mirrored, samples, (width, height)) in cases {
            assert_eq!(
                turned(from(), turns, is_mirrored),
                picture(samples, width, height)
            );
        }
    }

    #[test]
    fn only_three_kinds_are_known() {
        let class = |n: &str| format!("1.2.840.10008.5.1.4.1.1.11.{n}");
        assert!(
            ["1", "2", "3"]
                .iter()
                .all(|n| Presentation::is_one(&class(n)))
        );
        assert!(
            !["4", "5", "8", "12", ""]
                .iter()
                .any(|n| Presentation::is_one(&class(n)))
        );
        let subtraction = br#"{"00286100":{"vr":"SQ","Value":[{}]}}"#;
        assert_eq!(
            Presentation::parse(subtraction, &class("1")).err(),
            Some(Error::Unsupported("mask subtraction"))
        );
    }
}
