//! The prepared DICOM JSON of an instance (PS3.18 §F.2), as far as drawing needs it: everything else
//! is skipped without being kept, so that only sequences of interest nest, and those not deep.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::de::value::MapAccessDeserializer;
use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::{Error, dose, segmentation, waveform};
use crate::dicom::header::BASE_MARK;

/// One data set or item: its attributes of interest. Few, so they are looked through; a list, because
/// a hostile object may have millions of small items.
#[derive(Debug)]
pub(super) struct Item<I = OfImage>(Box<[(u32, Element<I>)]>, PhantomData<I>);

impl<I> Default for Item<I> {
    fn default() -> Self {
        Self(Box::default(), PhantomData)
    }
}

/// Which attributes are of interest; of all others not even their depth counts.
pub(super) trait Interest {
    fn is_met(tag: u32) -> bool;
}

/// What is of interest in an image.
#[derive(Debug)]
pub(super) enum OfImage {}

impl Interest for OfImage {
    fn is_met(tag: u32) -> bool {
        [OF_INTEREST, segmentation::TAGS, dose::TAGS, waveform::TAGS]
            .iter()
            .any(|tags| tags.contains(&tag))
            || is_of_overlay(tag)
    }
}

/// One attribute.
#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "I: Interest"))]
pub(super) struct Element<I = OfImage> {
    #[serde(default)]
    pub(super) vr: Box<str>,
    #[serde(rename = "Value", default)]
    values: Box<[Value<I>]>,
    #[serde(rename = "InlineBinary")]
    inline_binary: Option<Box<str>>,
    #[serde(rename = "BulkDataURI")]
    bulk_data_uri: Option<Box<str>>,
}

/// One value: numbers come as numbers or, where a DS or IS keeps its text, as strings.
#[derive(Debug)]
enum Value<I> {
    Number(f64),
    Text(Box<str>),
    Item(Box<Item<I>>),
    Null,
}

pub(super) const SAMPLES_PER_PIXEL: u32 = 0x0028_0002;
pub(super) const PHOTOMETRIC_INTERPRETATION: u32 = 0x0028_0004;
pub(super) const PLANAR_CONFIGURATION: u32 = 0x0028_0006;
pub(super) const NUMBER_OF_FRAMES: u32 = 0x0028_0008;
pub(super) const ROWS: u32 = 0x0028_0010;
pub(super) const COLUMNS: u32 = 0x0028_0011;
pub(super) const PIXEL_SPACING: u32 = 0x0028_0030;
pub(super) const PIXEL_ASPECT_RATIO: u32 = 0x0028_0034;
pub(super) const IMAGER_PIXEL_SPACING: u32 = 0x0018_1164;
pub(super) const BITS_ALLOCATED: u32 = 0x0028_0100;
pub(super) const BITS_STORED: u32 = 0x0028_0101;
pub(super) const HIGH_BIT: u32 = 0x0028_0102;
pub(super) const PIXEL_REPRESENTATION: u32 = 0x0028_0103;
pub(super) const PIXEL_PADDING_VALUE: u32 = 0x0028_0120;
pub(super) const PIXEL_PADDING_RANGE_LIMIT: u32 = 0x0028_0121;
pub(super) const WINDOW_CENTER: u32 = 0x0028_1050;
pub(super) const WINDOW_WIDTH: u32 = 0x0028_1051;
pub(super) const RESCALE_INTERCEPT: u32 = 0x0028_1052;
pub(super) const RESCALE_SLOPE: u32 = 0x0028_1053;
pub(super) const VOI_LUT_FUNCTION: u32 = 0x0028_1056;
pub(super) const PALETTE_DESCRIPTORS: [u32; 3] = [0x0028_1101, 0x0028_1102, 0x0028_1103];
pub(super) const PALETTES: [u32; 3] = [0x0028_1201, 0x0028_1202, 0x0028_1203];
pub(super) const SEGMENTED_PALETTES: [u32; 3] = [0x0028_1221, 0x0028_1222, 0x0028_1223];
pub(super) const FLOAT_PADDING_VALUE: u32 = 0x0028_0122;
pub(super) const DOUBLE_PADDING_VALUE: u32 = 0x0028_0123;
pub(super) const FLOAT_PADDING_RANGE_LIMIT: u32 = 0x0028_0124;
pub(super) const DOUBLE_PADDING_RANGE_LIMIT: u32 = 0x0028_0125;
pub(super) const FLOAT_PIXEL_DATA: u32 = 0x7FE0_0008;
pub(super) const DOUBLE_PIXEL_DATA: u32 = 0x7FE0_0009;
pub(super) const PIXEL_MEASURES: u32 = 0x0028_9110;
pub(super) const FRAME_VOI_LUT: u32 = 0x0028_9132;
pub(super) const PIXEL_VALUE_TRANSFORMATION: u32 = 0x0028_9145;
pub(super) const MODALITY_LUT: u32 = 0x0028_3000;
pub(super) const LUT_DESCRIPTOR: u32 = 0x0028_3002;
pub(super) const LUT_DATA: u32 = 0x0028_3006;
pub(super) const VOI_LUT: u32 = 0x0028_3010;
pub(super) const REPRESENTATIVE_FRAME: u32 = 0x0028_6010;
pub(super) const PIXEL_DATA: u32 = 0x7FE0_0010;
pub(super) const SHARED_FUNCTIONAL_GROUPS: u32 = 0x5200_9229;
pub(super) const PER_FRAME_FUNCTIONAL_GROUPS: u32 = 0x5200_9230;

pub(super) const OVERLAY_ROWS: u16 = 0x0010;
pub(super) const OVERLAY_COLUMNS: u16 = 0x0011;
pub(super) const OVERLAY_FRAMES: u16 = 0x0015;
pub(super) const OVERLAY_ORIGIN: u16 = 0x0050;
pub(super) const OVERLAY_FIRST_FRAME: u16 = 0x0051;
pub(super) const OVERLAY_BIT_POSITION: u16 = 0x0102;
pub(super) const OVERLAY_ACTIVATION_LAYER: u16 = 0x1001;
pub(super) const OVERLAY_DATA: u16 = 0x3000;

/// Those of the groups 60xx.
const OVERLAY_ELEMENTS: &[u16] = &[
    OVERLAY_ROWS,
    OVERLAY_COLUMNS,
    OVERLAY_FRAMES,
    OVERLAY_ORIGIN,
    OVERLAY_FIRST_FRAME,
    OVERLAY_BIT_POSITION,
    OVERLAY_ACTIVATION_LAYER,
    OVERLAY_DATA,
];

/// Every tag of images above.
const OF_INTEREST: &[u32] = &[
    SAMPLES_PER_PIXEL,
    PHOTOMETRIC_INTERPRETATION,
    PLANAR_CONFIGURATION,
    NUMBER_OF_FRAMES,
    ROWS,
    COLUMNS,
    PIXEL_SPACING,
    PIXEL_ASPECT_RATIO,
    IMAGER_PIXEL_SPACING,
    BITS_ALLOCATED,
    BITS_STORED,
    HIGH_BIT,
    PIXEL_REPRESENTATION,
    PIXEL_PADDING_VALUE,
    PIXEL_PADDING_RANGE_LIMIT,
    WINDOW_CENTER,
    WINDOW_WIDTH,
    RESCALE_INTERCEPT,
    RESCALE_SLOPE,
    VOI_LUT_FUNCTION,
    PALETTE_DESCRIPTORS[0],
    PALETTE_DESCRIPTORS[1],
    PALETTE_DESCRIPTORS[2],
    PALETTES[0],
    PALETTES[1],
    PALETTES[2],
    SEGMENTED_PALETTES[0],
    SEGMENTED_PALETTES[1],
    SEGMENTED_PALETTES[2],
    FLOAT_PADDING_VALUE,
    DOUBLE_PADDING_VALUE,
    FLOAT_PADDING_RANGE_LIMIT,
    DOUBLE_PADDING_RANGE_LIMIT,
    FLOAT_PIXEL_DATA,
    DOUBLE_PIXEL_DATA,
    PIXEL_MEASURES,
    FRAME_VOI_LUT,
    PIXEL_VALUE_TRANSFORMATION,
    SHARED_FUNCTIONAL_GROUPS,
    PER_FRAME_FUNCTIONAL_GROUPS,
    MODALITY_LUT,
    LUT_DESCRIPTOR,
    LUT_DATA,
    VOI_LUT,
    REPRESENTATIVE_FRAME,
    PIXEL_DATA,
];

/// Group 60xx, but for its labels (PS3.3 §C.9.2).
fn is_of_overlay(tag: u32) -> bool {
    (0x6000..=0x601E).contains(&(tag >> 16))
        && tag >> 16 & 1 == 0
        && OVERLAY_ELEMENTS.contains(&(tag as u16))
}

impl<'de, I: Interest> Deserialize<'de> for Item<I> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Attributes<I>(PhantomData<I>);
        impl<'de, I: Interest> Visitor<'de> for Attributes<I> {
            type Value = Item<I>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a DICOM JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Item<I>, A::Error> {
                let mut elements = Vec::new();
                while let Some(key) = map.next_key::<Cow<'de, str>>()? {
                    match u32::from_str_radix(&key, 16)
                        .ok()
                        .filter(|tag| I::is_met(*tag))
                    {
                        Some(tag) => elements.push((tag, map.next_value()?)),
                        None => drop(map.next_value::<IgnoredAny>()?),
                    }
                }
                Ok(Item(elements.into(), PhantomData))
            }
        }
        deserializer.deserialize_map(Attributes(PhantomData))
    }
}

impl<'de, I: Interest> Deserialize<'de> for Value<I> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any<I>(PhantomData<I>);
        impl<'de, I: Interest> Visitor<'de> for Any<I> {
            type Value = Value<I>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a DICOM JSON value")
            }

            fn visit_f64<E>(self, number: f64) -> Result<Value<I>, E> {
                Ok(Value::Number(number))
            }

            fn visit_u64<E>(self, number: u64) -> Result<Value<I>, E> {
                Ok(Value::Number(number as f64))
            }

            fn visit_i64<E>(self, number: i64) -> Result<Value<I>, E> {
                Ok(Value::Number(number as f64))
            }

            fn visit_str<E>(self, text: &str) -> Result<Value<I>, E> {
                Ok(Value::Text(text.into()))
            }

            fn visit_unit<E>(self) -> Result<Value<I>, E> {
                Ok(Value::Null)
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Value<I>, A::Error> {
                Item::deserialize(MapAccessDeserializer::new(map))
                    .map(|item| Value::Item(Box::new(item)))
            }
        }
        deserializer.deserialize_any(Any(PhantomData))
    }
}

/// Gives the bytes behind a path of a `BulkDataURI` (`00283010/0/00283006`), little endian.
pub(super) type Bulk<'a> = &'a mut dyn FnMut(&str) -> Option<Vec<u8>>;

/// The mark is no JSON; where it stands does not matter here.
pub(super) fn unmarked(json: &[u8]) -> Cow<'_, [u8]> {
    if memchr::memchr(BASE_MARK, json).is_none() {
        return Cow::Borrowed(json);
    }
    json.iter()
        .map(|b| if *b == BASE_MARK { b' ' } else { *b })
        .collect()
}

impl<I: Interest> Item<I> {
    /// Reads a whole data set.
    pub(super) fn parse(json: &[u8]) -> Result<Self, Error> {
        serde_json::from_slice(&unmarked(json)).map_err(|_| Error::Malformed("the metadata"))
    }

    pub(super) fn element(&self, tag: u32) -> Option<&Element<I>> {
        // The last, as a reader of JSON objects would have it.
        let mut elements = self.0.iter().rev();
        elements
            .find(|(known, _)| *known == tag)
            .map(|(_, element)| element)
    }

    pub(super) fn number_at(&self, tag: u32, position: usize) -> Option<f64> {
        let number = match self.element(tag)?.values.get(position)? {
            Value::Number(number) => *number,
            Value::Text(text) => text.trim().parse().ok()?,
            Value::Item(_) | Value::Null => return None,
        };
        number.is_finite().then_some(number)
    }

    pub(super) fn number(&self, tag: u32) -> Option<f64> {
        self.number_at(tag, 0)
    }

    /// A number of a binary VR that fits.
    pub(super) fn count(&self, tag: u32) -> Option<u32> {
        self.number(tag)
            .filter(|n| (0.0..=f64::from(u32::MAX)).contains(n) && n.fract() == 0.0)
            .map(|n| n as u32)
    }

    pub(super) fn text(&self, tag: u32) -> Option<&str> {
        match self.element(tag)?.values.first()? {
            Value::Text(text) => Some(text.trim()),
            _ => None,
        }
    }

    pub(super) fn item(&self, tag: u32, position: usize) -> Option<&Self> {
        match self.element(tag)?.values.get(position)? {
            Value::Item(item) => Some(item),
            _ => None,
        }
    }

    /// The items of a sequence, in their order.
    pub(super) fn items(&self, tag: u32) -> impl Iterator<Item = &Self> {
        let values = self.element(tag).map_or(&[][..], |element| &element.values);
        values.iter().filter_map(|value| match value {
            Value::Item(item) => Some(&**item),
            _ => None,
        })
    }

    /// Every text of an attribute.
    pub(super) fn texts(&self, tag: u32) -> impl Iterator<Item = &str> {
        let values = self.element(tag).map_or(&[][..], |element| &element.values);
        values.iter().filter_map(|value| match value {
            Value::Text(text) => Some(text.trim()),
            _ => None,
        })
    }

    /// How many values an attribute has.
    pub(super) fn value_count(&self, tag: u32) -> usize {
        self.element(tag).map_or(0, |element| element.values.len())
    }

    /// Where the attributes of a functional group stand for one frame (PS3.3 §C.7.6.16.1.1).
    pub(super) fn group(&self, tag: u32, frame: usize) -> &Self {
        let per_frame = self
            .item(PER_FRAME_FUNCTIONAL_GROUPS, frame)
            .and_then(|groups| groups.item(tag, 0));
        let shared = || {
            self.item(SHARED_FUNCTIONAL_GROUPS, 0)
                .and_then(|groups| groups.item(tag, 0))
        };
        per_frame.or_else(shared).unwrap_or(self)
    }
}

impl<I> Element<I> {
    /// The numbers of an FL, wherever the metadata keeps them; `None` when one of them is none.
    pub(super) fn floats(&self, bulk: Bulk<'_>) -> Option<Vec<f64>> {
        let numbers: Vec<f64> = if self.inline_binary.is_some() || self.bulk_data_uri.is_some() {
            let bytes = self.table(bulk).ok()?;
            let cells = bytes.chunks_exact(4);
            cells
                .map(|cell| f64::from(f32::from_le_bytes([cell[0], cell[1], cell[2], cell[3]])))
                .collect()
        } else {
            let number = |value: &Value<I>| match value {
                Value::Number(number) => Some(*number),
                _ => None,
            };
            self.values.iter().map(number).collect::<Option<_>>()?
        };
        numbers
            .iter()
            .all(|number| number.is_finite())
            .then_some(numbers)
    }

    /// The path in the link to the bytes that the metadata leave out.
    pub(super) fn link(&self) -> Option<&str> {
        let (_, path) = self.bulk_data_uri.as_deref()?.split_once("/bulkdata/")?;
        Some(path)
    }

    /// The bytes of a table, little endian, wherever the metadata keeps them.
    pub(super) fn table(&self, bulk: Bulk<'_>) -> Result<Vec<u8>, Error> {
        if let Some(text) = &self.inline_binary {
            return STANDARD
                .decode(text.as_bytes())
                .map_err(|_| Error::Malformed("a table"));
        }
        if self.bulk_data_uri.is_some() {
            return self
                .link()
                .and_then(bulk)
                .ok_or(Error::Malformed("a table"));
        }
        let words = self.values.iter().map(|value| match value {
            // Those of SS are kept as the words they were.
            Value::Number(number) if (-32_768.0..=65_535.0).contains(number) => {
                Ok(*number as i32 as u16)
            }
            _ => Err(Error::Malformed("a table")),
        });
        let words: Vec<u16> = words.collect::<Result<_, _>>()?;
        Ok(words.into_iter().flat_map(u16::to_le_bytes).collect())
    }
}
