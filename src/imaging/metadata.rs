//! The prepared DICOM JSON of an instance (PS3.18 §F.2), as far as drawing needs it: everything else
//! is skipped without being kept, so that only sequences of interest nest, and those not deep.

use std::borrow::Cow;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::de::value::MapAccessDeserializer;
use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::Error;
use crate::dicom::header::BASE_MARK;

/// One data set or item: its attributes of interest. Few, so they are looked through; a list, because
/// a hostile object may have millions of small items.
#[derive(Debug, Default)]
pub(super) struct Item(Box<[(u32, Element)]>);

/// One attribute.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Element {
    #[serde(default)]
    pub(super) vr: Box<str>,
    #[serde(rename = "Value", default)]
    values: Box<[Value]>,
    #[serde(rename = "InlineBinary")]
    inline_binary: Option<Box<str>>,
    #[serde(rename = "BulkDataURI")]
    bulk_data_uri: Option<Box<str>>,
}

/// One value: numbers come as numbers or, where a DS or IS keeps its text, as strings.
#[derive(Debug)]
enum Value {
    Number(f64),
    Text(Box<str>),
    Item(Box<Item>),
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

/// Every tag above.
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

impl<'de> Deserialize<'de> for Item {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Attributes;
        impl<'de> Visitor<'de> for Attributes {
            type Value = Item;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a DICOM JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Item, A::Error> {
                let mut elements = Vec::new();
                while let Some(key) = map.next_key::<Cow<'de, str>>()? {
                    match u32::from_str_radix(&key, 16)
                        .ok()
                        .filter(|tag| OF_INTEREST.contains(tag))
                    {
                        Some(tag) => elements.push((tag, map.next_value()?)),
                        None => drop(map.next_value::<IgnoredAny>()?),
                    }
                }
                Ok(Item(elements.into()))
            }
        }
        deserializer.deserialize_map(Attributes)
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Value;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a DICOM JSON value")
            }

            fn visit_f64<E>(self, number: f64) -> Result<Value, E> {
                Ok(Value::Number(number))
            }

            fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
                Ok(Value::Number(number as f64))
            }

            fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
                Ok(Value::Number(number as f64))
            }

            fn visit_str<E>(self, text: &str) -> Result<Value, E> {
                Ok(Value::Text(text.into()))
            }

            fn visit_unit<E>(self) -> Result<Value, E> {
                Ok(Value::Null)
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Value, A::Error> {
                Item::deserialize(MapAccessDeserializer::new(map))
                    .map(|item| Value::Item(Box::new(item)))
            }
        }
        deserializer.deserialize_any(Any)
    }
}

/// Gives the bytes behind a path of a `BulkDataURI` (`00283010/0/00283006`), little endian.
pub(super) type Bulk<'a> = &'a mut dyn FnMut(&str) -> Option<Vec<u8>>;

impl Item {
    /// Reads a whole data set.
    pub(super) fn parse(json: &[u8]) -> Result<Self, Error> {
        // The mark is no JSON; where it stands does not matter here.
        let json = if memchr::memchr(BASE_MARK, json).is_some() {
            Cow::Owned(
                json.iter()
                    .map(|b| if *b == BASE_MARK { b' ' } else { *b })
                    .collect(),
            )
        } else {
            Cow::Borrowed(json)
        };
        serde_json::from_slice(&json).map_err(|_| Error::Malformed("the metadata"))
    }

    pub(super) fn element(&self, tag: u32) -> Option<&Element> {
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

impl Element {
    /// The bytes of a table, little endian, wherever the metadata keeps them.
    pub(super) fn table(&self, bulk: Bulk<'_>) -> Result<Vec<u8>, Error> {
        if let Some(text) = &self.inline_binary {
            return STANDARD
                .decode(text.as_bytes())
                .map_err(|_| Error::Malformed("a table"));
        }
        if let Some(uri) = &self.bulk_data_uri {
            let path = uri.split_once("/bulkdata/").map(|(_, path)| path);
            return path.and_then(bulk).ok_or(Error::Malformed("a table"));
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
