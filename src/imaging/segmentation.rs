//! Segmentations as colors over black (PS3.3 §C.8.20.2, §C.8.23): each segment in the color that it
//! recommends (0062,000D), else in one by its number. Fractions are as bright as they are large, label
//! maps show all of their segments at once.

use std::collections::BTreeMap;

use super::color::{Palette, Rgb, rgb_of_lab};
use super::metadata::{Item, PIXEL_PADDING_VALUE};
use super::shape::{Photometric, Sample};
use super::{ImageMetadata, PixelDescription};

const SEGMENTATION_TYPE: u32 = 0x0062_0001;
const SEGMENT_SEQUENCE: u32 = 0x0062_0002;
const SEGMENT_NUMBER: u32 = 0x0062_0004;
const SEGMENT_IDENTIFICATION: u32 = 0x0062_000A;
const REFERENCED_SEGMENT_NUMBER: u32 = 0x0062_000B;
const RECOMMENDED_CIELAB: u32 = 0x0062_000D;
const MAXIMUM_FRACTIONAL_VALUE: u32 = 0x0062_000E;

/// What is read of the metadata for this.
pub(super) const TAGS: &[u32] = &[
    SEGMENTATION_TYPE,
    SEGMENT_SEQUENCE,
    SEGMENT_NUMBER,
    SEGMENT_IDENTIFICATION,
    REFERENCED_SEGMENT_NUMBER,
    RECOMMENDED_CIELAB,
    MAXIMUM_FRACTIONAL_VALUE,
];

const BLACK: Rgb = [0; 3];
/// A segment whose brightest channel is darker would not be seen: it gets a color by its number.
const SEEN_MIN: u8 = 48;
/// Colors of segments 1, 2, 3 and on, over and over.
const BY_NUMBER: [Rgb; 12] = [
    [230, 80, 70],
    [80, 170, 240],
    [110, 200, 90],
    [245, 190, 60],
    [180, 110, 220],
    [60, 200, 190],
    [240, 130, 50],
    [235, 120, 180],
    [170, 200, 50],
    [120, 130, 235],
    [190, 140, 100],
    [200, 200, 200],
];

/// What the values of a frame mean.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Binary,
    /// (0062,000E)
    Fractional(f64),
    /// The value of the background.
    LabelMap(u32),
}

/// The segments of an instance.
#[derive(Debug)]
pub struct Segments {
    kind: Kind,
    /// By segment number.
    colors: BTreeMap<u32, Rgb>,
}

impl Segments {
    /// `None` when the metadata do not say of which type the segmentation is.
    #[must_use]
    pub fn of(metadata: &ImageMetadata) -> Option<Self> {
        let item = metadata.item();
        let kind = match item.text(SEGMENTATION_TYPE)? {
            "BINARY" => Kind::Binary,
            "FRACTIONAL" => {
                let max = item.number(MAXIMUM_FRACTIONAL_VALUE);
                Kind::Fractional(max.filter(|max| *max > 0.0).unwrap_or(255.0))
            }
            "LABELMAP" => Kind::LabelMap(item.count(PIXEL_PADDING_VALUE).unwrap_or(0)),
            _ => return None,
        };
        let color = |segment: &Item| {
            // The number is a word, so that there are at most 65,536 of them.
            let number = segment.count(SEGMENT_NUMBER).filter(|n| *n <= 0xFFFF)?;
            Some((number, segment_color(segment, number)))
        };
        let colors = item.items(SEGMENT_SEQUENCE).filter_map(color).collect();
        Some(Self { kind, colors })
    }

    /// Has frame `number` (from 1) drawn in colors. One that is no frame of whole numbers in grey
    /// stays as it is: a label map may bring a palette of its own.
    pub fn paint(&self, metadata: &ImageMetadata, number: u32, description: &mut PixelDescription) {
        let is_plain = description.sample == Sample::Whole
            && matches!(
                description.photometric,
                Photometric::Monochrome1 | Photometric::Monochrome2
            );
        if !is_plain {
            return;
        }
        let values = 1_u32 << description.bits_stored.min(16);
        let colors: Vec<Rgb> = match self.kind {
            Kind::Binary => vec![BLACK, self.color_of_frame(metadata, number)],
            Kind::Fractional(max) => {
                let full = self.color_of_frame(metadata, number);
                let share = |value: u32| (f64::from(value) / max).min(1.0);
                (0..values)
                    .map(|value| full.map(|n| (f64::from(n) * share(value)).round() as u8))
                    .collect()
            }
            Kind::LabelMap(background) => (0..values)
                .map(|label| {
                    if label == background {
                        BLACK
                    } else {
                        self.color(label)
                    }
                })
                .collect(),
        };
        if let Some(palette) = Palette::of_colors(colors) {
            description.palette = Some(palette);
            description.photometric = Photometric::PaletteColor;
            description.is_signed = false;
        }
    }

    fn color(&self, segment: u32) -> Rgb {
        let known = self.colors.get(&segment).copied();
        known.unwrap_or_else(|| color_by_number(segment))
    }

    /// A frame shows the segment that its functional groups name; the first one where none does.
    fn color_of_frame(&self, metadata: &ImageMetadata, number: u32) -> Rgb {
        let frame = number.saturating_sub(1) as usize;
        let named = metadata
            .item()
            .group(SEGMENT_IDENTIFICATION, frame)
            .count(REFERENCED_SEGMENT_NUMBER);
        let first = || self.colors.keys().next().copied().unwrap_or(1);
        self.color(named.unwrap_or_else(first))
    }
}

fn color_by_number(segment: u32) -> Rgb {
    let place = segment.wrapping_sub(1) as usize % BY_NUMBER.len();
    BY_NUMBER[place]
}

fn segment_color(segment: &Item, number: u32) -> Rgb {
    let lab = |position| {
        segment
            .number_at(RECOMMENDED_CIELAB, position)
            .filter(|n| (0.0..=65_535.0).contains(n))
    };
    let recommended = match (lab(0), lab(1), lab(2)) {
        (Some(l), Some(a), Some(b)) => Some(rgb_of_lab([l, a, b])),
        _ => None,
    };
    recommended
        .filter(|rgb| rgb.iter().any(|channel| *channel >= SEEN_MIN))
        .unwrap_or_else(|| color_by_number(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_numbers_only_choose_a_color() {
        for number in [0, 1, 12, 13, u32::MAX] {
            assert_ne!(color_by_number(number), BLACK);
        }
        let json = br#"{"00620001":{"vr":"CS","Value":["BINARY"]},"00620002":{"vr":"SQ","Value":[
            {"00620004":{"Value":[-1]}},{"00620004":{"Value":[1e9]}},{},{"00620004":{"Value":[2]},"0062000D":{"Value":[0,32896,32896]}}]}}"#;
        let metadata = ImageMetadata::parse(json).unwrap();
        let segments = Segments::of(&metadata).unwrap();
        // Black over black would not be seen.
        assert_eq!(segments.colors.len(), 1);
        assert_eq!(segments.color_of_frame(&metadata, 1), BY_NUMBER[1]);
        assert_eq!(segments.color_of_frame(&metadata, u32::MAX), BY_NUMBER[1]);
    }
}
