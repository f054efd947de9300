//! What must be known of an instance to draw one of its frames (PS3.3 §C.7.6.3.1), read from its
//! prepared DICOM JSON (PS3.18 §F.2). Everything else in the JSON is skipped without being kept.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::de::value::MapAccessDeserializer;
use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::Error;
use super::color::Palette;
use super::tone::{Modality, Padding, Voi, VoiFunction};
use crate::dicom::header::BASE_MARK;
use crate::dicom::walk::ByteOrder;

/// How the pixels of one frame are encoded and meant.
#[derive(Debug, Clone, PartialEq)]
pub struct PixelDescription {
    /// The byte order of the frame; little unless the caller knows better.
    pub byte_order: ByteOrder,
    pub(super) photometric: Photometric,
    pub(super) rows: u32,
    pub(super) columns: u32,
    /// (0028,0006): colors by plane, not by pixel.
    pub(super) is_planar: bool,
    /// 1, 8, 16 or 32.
    pub(super) bits_allocated: u32,
    /// At least 1, at most `bits_allocated`.
    pub(super) bits_stored: u32,
    /// The lowest of the stored bits.
    pub(super) low_bit: u32,
    pub(super) is_signed: bool,
    pub(super) modality: Modality,
    pub(super) voi: Option<Voi>,
    pub(super) padding: Option<Padding>,
    /// The height of a pixel by its width.
    pub(super) pixel_aspect: f64,
    /// Whether 8-bit samples stand two to an OW word, and so swap places in big endian.
    pub(super) is_word_stream: bool,
    /// Present when the photometric interpretation asks for it.
    pub(super) palette: Option<Palette>,
}

/// (0028,0004), as far as it can be native.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Photometric {
    Monochrome1,
    Monochrome2,
    PaletteColor,
    Rgb,
    YbrFull,
    YbrFull422,
}

impl PixelDescription {
    /// Reads what is said of frame `number` (from 1): per-frame functional groups before shared
    /// ones before the instance itself.
    ///
    /// # Errors
    /// [`Error::NoPixels`] without rows and columns, [`Error::NotNative`] for photometric
    /// interpretations that only codecs make, else what is wrong with the values.
    pub fn from_metadata(json: &[u8], number: u32) -> Result<Self, Error> {
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
        let metadata: Item =
            serde_json::from_slice(&json).map_err(|_| Error::Malformed("the metadata"))?;
        metadata.describe(number)
    }
}

/// One data set or item: its attributes of interest, by tag. Whatever else it holds is skipped
/// without being kept, so that only sequences of interest nest, and those not deep.
#[derive(Default)]
struct Item(BTreeMap<u32, Element>);

#[derive(Default, Deserialize)]
struct Element {
    #[serde(default)]
    vr: String,
    #[serde(rename = "Value", default)]
    values: Vec<Value>,
    #[serde(rename = "InlineBinary")]
    inline_binary: Option<String>,
}

/// One value: numbers come as numbers or, where a DS or IS keeps its text, as strings.
enum Value {
    Number(f64),
    Text(String),
    Item(Item),
    Null,
}

const SAMPLES_PER_PIXEL: u32 = 0x0028_0002;
const PHOTOMETRIC_INTERPRETATION: u32 = 0x0028_0004;
const PLANAR_CONFIGURATION: u32 = 0x0028_0006;
const ROWS: u32 = 0x0028_0010;
const COLUMNS: u32 = 0x0028_0011;
const PIXEL_SPACING: u32 = 0x0028_0030;
const PIXEL_ASPECT_RATIO: u32 = 0x0028_0034;
const IMAGER_PIXEL_SPACING: u32 = 0x0018_1164;
const BITS_ALLOCATED: u32 = 0x0028_0100;
const BITS_STORED: u32 = 0x0028_0101;
const HIGH_BIT: u32 = 0x0028_0102;
const PIXEL_REPRESENTATION: u32 = 0x0028_0103;
const PIXEL_PADDING_VALUE: u32 = 0x0028_0120;
const PIXEL_PADDING_RANGE_LIMIT: u32 = 0x0028_0121;
const WINDOW_CENTER: u32 = 0x0028_1050;
const WINDOW_WIDTH: u32 = 0x0028_1051;
const RESCALE_INTERCEPT: u32 = 0x0028_1052;
const RESCALE_SLOPE: u32 = 0x0028_1053;
const VOI_LUT_FUNCTION: u32 = 0x0028_1056;
const PALETTE_DESCRIPTORS: [u32; 3] = [0x0028_1101, 0x0028_1102, 0x0028_1103];
const PALETTES: [u32; 3] = [0x0028_1201, 0x0028_1202, 0x0028_1203];
const PIXEL_MEASURES: u32 = 0x0028_9110;
const FRAME_VOI_LUT: u32 = 0x0028_9132;
const PIXEL_VALUE_TRANSFORMATION: u32 = 0x0028_9145;
const PIXEL_DATA: u32 = 0x7FE0_0010;
const SHARED_FUNCTIONAL_GROUPS: u32 = 0x5200_9229;
const PER_FRAME_FUNCTIONAL_GROUPS: u32 = 0x5200_9230;

/// Every tag above.
const OF_INTEREST: &[u32] = &[
    SAMPLES_PER_PIXEL,
    PHOTOMETRIC_INTERPRETATION,
    PLANAR_CONFIGURATION,
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
    PIXEL_MEASURES,
    FRAME_VOI_LUT,
    PIXEL_VALUE_TRANSFORMATION,
    SHARED_FUNCTIONAL_GROUPS,
    PER_FRAME_FUNCTIONAL_GROUPS,
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
                let mut item = Item::default();
                while let Some(key) = map.next_key::<Cow<'de, str>>()? {
                    match u32::from_str_radix(&key, 16)
                        .ok()
                        .filter(|tag| OF_INTEREST.contains(tag))
                    {
                        Some(tag) => drop(item.0.insert(tag, map.next_value()?)),
                        None => drop(map.next_value::<IgnoredAny>()?),
                    }
                }
                Ok(item)
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
                Ok(Value::Text(text.to_owned()))
            }

            fn visit_unit<E>(self) -> Result<Value, E> {
                Ok(Value::Null)
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Value, A::Error> {
                Item::deserialize(MapAccessDeserializer::new(map)).map(Value::Item)
            }
        }
        deserializer.deserialize_any(Any)
    }
}

impl Item {
    fn number_at(&self, tag: u32, position: usize) -> Option<f64> {
        let number = match self.0.get(&tag)?.values.get(position)? {
            Value::Number(number) => *number,
            Value::Text(text) => text.trim().parse().ok()?,
            Value::Item(_) | Value::Null => return None,
        };
        number.is_finite().then_some(number)
    }

    fn number(&self, tag: u32) -> Option<f64> {
        self.number_at(tag, 0)
    }

    /// A number of a binary VR that fits.
    fn count(&self, tag: u32) -> Option<u32> {
        self.number(tag)
            .filter(|n| (0.0..=f64::from(u32::MAX)).contains(n) && n.fract() == 0.0)
            .map(|n| n as u32)
    }

    fn text(&self, tag: u32) -> Option<&str> {
        match self.0.get(&tag)?.values.first()? {
            Value::Text(text) => Some(text.trim()),
            _ => None,
        }
    }

    fn item(&self, tag: u32, position: usize) -> Option<&Self> {
        match self.0.get(&tag)?.values.get(position)? {
            Value::Item(item) => Some(item),
            _ => None,
        }
    }

    /// Where the attributes of a functional group stand for one frame (PS3.3 §C.7.6.16.1.1).
    fn group(&self, tag: u32, frame: usize) -> &Self {
        let per_frame = self
            .item(PER_FRAME_FUNCTIONAL_GROUPS, frame)
            .and_then(|groups| groups.item(tag, 0));
        let shared = || {
            self.item(SHARED_FUNCTIONAL_GROUPS, 0)
                .and_then(|groups| groups.item(tag, 0))
        };
        per_frame.or_else(shared).unwrap_or(self)
    }

    fn describe(&self, number: u32) -> Result<PixelDescription, Error> {
        let frame = usize::try_from(number)
            .ok()
            .and_then(|n| n.checked_sub(1))
            .ok_or(Error::NoPixels)?;
        let rows = self.count(ROWS).filter(|n| *n > 0).ok_or(Error::NoPixels)?;
        let columns = self
            .count(COLUMNS)
            .filter(|n| *n > 0)
            .ok_or(Error::NoPixels)?;
        let bits_allocated = self.count(BITS_ALLOCATED).ok_or(Error::NoPixels)?;
        let bits_stored = self.count(BITS_STORED).unwrap_or(bits_allocated);
        let high_bit = self
            .count(HIGH_BIT)
            .unwrap_or(bits_stored.saturating_sub(1));
        if ![1, 8, 16, 32].contains(&bits_allocated) {
            return Err(Error::Unsupported("this number of bits allocated"));
        }
        if bits_stored == 0
            || bits_stored > bits_allocated
            || high_bit >= bits_allocated
            || high_bit + 1 < bits_stored
        {
            return Err(Error::Malformed("bits stored or high bit"));
        }
        let photometric = self.photometric()?;
        let samples = if matches!(
            photometric,
            Photometric::Rgb | Photometric::YbrFull | Photometric::YbrFull422
        ) {
            3
        } else {
            1
        };
        if self.count(SAMPLES_PER_PIXEL).unwrap_or(1) != samples {
            return Err(Error::Malformed("samples per pixel"));
        }
        let is_signed = self.count(PIXEL_REPRESENTATION) == Some(1);
        Ok(PixelDescription {
            byte_order: ByteOrder::Little,
            photometric,
            rows,
            columns,
            is_planar: self.count(PLANAR_CONFIGURATION) == Some(1),
            bits_allocated,
            bits_stored,
            low_bit: high_bit + 1 - bits_stored,
            is_signed,
            modality: self.group(PIXEL_VALUE_TRANSFORMATION, frame).modality(),
            voi: self.group(FRAME_VOI_LUT, frame).voi(),
            padding: self.number(PIXEL_PADDING_VALUE).map(|value| {
                Padding::between(
                    value,
                    self.number(PIXEL_PADDING_RANGE_LIMIT).unwrap_or(value),
                )
            }),
            pixel_aspect: self.pixel_aspect(frame),
            is_word_stream: self
                .0
                .get(&PIXEL_DATA)
                .is_some_and(|element| element.vr == "OW"),
            palette: if photometric == Photometric::PaletteColor {
                Some(self.palette()?)
            } else {
                None
            },
        })
    }

    fn photometric(&self) -> Result<Photometric, Error> {
        Ok(
            match self
                .text(PHOTOMETRIC_INTERPRETATION)
                .unwrap_or("MONOCHROME2")
            {
                "MONOCHROME1" => Photometric::Monochrome1,
                "MONOCHROME2" => Photometric::Monochrome2,
                "PALETTE COLOR" => Photometric::PaletteColor,
                "RGB" => Photometric::Rgb,
                "YBR_FULL" => Photometric::YbrFull,
                "YBR_FULL_422" => Photometric::YbrFull422,
                "YBR_PARTIAL_420" | "YBR_ICT" | "YBR_RCT" | "XYB" => return Err(Error::NotNative),
                _ => return Err(Error::Unsupported("this photometric interpretation")),
            },
        )
    }

    fn modality(&self) -> Modality {
        let slope = self
            .number(RESCALE_SLOPE)
            .filter(|slope| *slope != 0.0)
            .unwrap_or(1.0);
        Modality {
            slope,
            intercept: self.number(RESCALE_INTERCEPT).unwrap_or(0.0),
        }
    }

    fn voi(&self) -> Option<Voi> {
        let function = match self.text(VOI_LUT_FUNCTION) {
            Some("LINEAR_EXACT") => VoiFunction::LinearExact,
            Some("SIGMOID") => VoiFunction::Sigmoid,
            _ => VoiFunction::Linear,
        };
        Voi::new(
            self.number(WINDOW_CENTER)?,
            self.number(WINDOW_WIDTH)?,
            function,
        )
    }

    /// Spacing before ratio; both stand vertical first. One that no screen could show is not believed.
    fn pixel_aspect(&self, frame: usize) -> f64 {
        let measures = self.group(PIXEL_MEASURES, frame);
        let sources = [
            (measures, PIXEL_SPACING),
            (self, IMAGER_PIXEL_SPACING),
            (self, PIXEL_ASPECT_RATIO),
        ];
        let aspect =
            |(item, tag): (&Self, u32)| Some(item.number_at(tag, 0)? / item.number_at(tag, 1)?);
        sources
            .into_iter()
            .filter_map(aspect)
            .find(|aspect| (0.02..=50.0).contains(aspect))
            .unwrap_or(1.0)
    }

    fn palette(&self) -> Result<Palette, Error> {
        let mut channels = PALETTES.iter().map(|tag| -> Result<Vec<u8>, Error> {
            let element = self
                .0
                .get(tag)
                .ok_or(Error::Unsupported("a palette without plain tables"))?;
            let text = element
                .inline_binary
                .as_deref()
                .ok_or(Error::Unsupported("a palette kept as bulk data"))?;
            STANDARD
                .decode(text)
                .map_err(|_| Error::Malformed("the palette"))
        });
        let mut next = || {
            channels
                .next()
                .unwrap_or(Err(Error::Malformed("the palette")))
        };
        let tables = [next()?, next()?, next()?];
        let descriptor = |position| {
            self.number_at(PALETTE_DESCRIPTORS[0], position)
                .ok_or(Error::Malformed("the palette"))
        };
        Palette::new(descriptor(0)?, descriptor(1)?, descriptor(2)?, tables)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: &str = r#""00280010":{"vr":"US","Value":[2]},"00280011":{"vr":"US","Value":[3]},"00280100":{"vr":"US","Value":[16]},
        "00280101":{"vr":"US","Value":[12]},"00280102":{"vr":"US","Value":[11]},"00280103":{"vr":"US","Value":[1]},
        "00280002":{"vr":"US","Value":[1]},"00280004":{"vr":"CS","Value":["MONOCHROME2"]}"#;

    fn read(more: &str, number: u32) -> Result<PixelDescription, Error> {
        PixelDescription::from_metadata(format!("{{{PLAIN}{more}}}").as_bytes(), number)
    }

    #[test]
    fn plain_attributes_are_read_as_numbers_or_text() {
        let read = read(
            r#","00281050":{"vr":"DS","Value":["40.0 ",80]},"00281051":{"vr":"DS","Value":[400]},"00281053":{"vr":"DS","Value":[2.5]},
            "00281052":{"vr":"DS","Value":["-1024"]},"00280030":{"vr":"DS","Value":[2,1]},"00280120":{"vr":"SS","Value":[-2000]}"#,
            1,
        );
        let read = read.unwrap();
        assert_eq!(
            (
                read.rows,
                read.columns,
                read.bits_stored,
                read.low_bit,
                read.is_signed
            ),
            (2, 3, 12, 0, true)
        );
        assert_eq!(
            read.modality,
            Modality {
                slope: 2.5,
                intercept: -1024.0
            }
        );
        assert_eq!(read.voi, Voi::new(40.0, 400.0, VoiFunction::Linear));
        assert_eq!(read.padding, Some(Padding::between(-2000.0, -2000.0)));
        assert!((read.pixel_aspect - 2.0).abs() < 1e-9);
    }

    #[test]
    fn functional_groups_go_before_the_instance() {
        let groups = r#","00281052":{"Value":[5]},"52009229":{"vr":"SQ","Value":[{"00289145":{"Value":[{"00281052":{"Value":[1]},"00281053":{"Value":[3]}}]},
            "00289132":{"Value":[{"00281050":{"Value":[10]},"00281051":{"Value":[20]}}]}}]},
            "52009230":{"vr":"SQ","Value":[{},{"00289145":{"Value":[{"00281052":{"Value":[2]}}]}}]}"#;
        let intercept = |number| read(groups, number).unwrap().modality.intercept;
        assert_eq!([1, 2, 3].map(|n| intercept(n) as i32), [1, 2, 1]);
        assert_eq!(
            read(groups, 2).unwrap().voi,
            Voi::new(10.0, 20.0, VoiFunction::Linear)
        );
        assert_eq!(read(groups, 0), Err(Error::NoPixels));
    }

    #[test]
    fn what_cannot_be_drawn_is_told() {
        let cases = [
            (r#","00280010":{"Value":[0]}"#, Error::NoPixels),
            (r#","00280011":{}"#, Error::NoPixels),
            (r#","00280010":{"Value":[-1]}"#, Error::NoPixels),
            (
                r#","00280100":{"Value":[24]}"#,
                Error::Unsupported("this number of bits allocated"),
            ),
            (
                r#","00280101":{"Value":[17]}"#,
                Error::Malformed("bits stored or high bit"),
            ),
            (
                r#","00280101":{"Value":[0]}"#,
                Error::Malformed("bits stored or high bit"),
            ),
            (
                r#","00280102":{"Value":[4294967295]}"#,
                Error::Malformed("bits stored or high bit"),
            ),
            (
                r#","00280102":{"Value":[3]}"#,
                Error::Malformed("bits stored or high bit"),
            ),
            (r#","00280004":{"Value":["YBR_RCT"]}"#, Error::NotNative),
            (
                r#","00280004":{"Value":["CMYK"]}"#,
                Error::Unsupported("this photometric interpretation"),
            ),
            (
                r#","00280004":{"Value":["RGB"]}"#,
                Error::Malformed("samples per pixel"),
            ),
            (
                r#","00280004":{"Value":["PALETTE COLOR"]}"#,
                Error::Unsupported("a palette without plain tables"),
            ),
            (r#","00280010":7"#, Error::Malformed("the metadata")),
            ("}", Error::Malformed("the metadata")),
        ];
        for (more, error) in cases {
            assert_eq!(read(more, 1), Err(error), "{more}");
        }
        assert_eq!(
            PixelDescription::from_metadata(b"{}", 1),
            Err(Error::NoPixels)
        );
    }

    #[test]
    fn depth_and_marks_do_no_harm() {
        let deep = format!(
            r#","00081140":{}{}"#,
            r#"{"Value":[{"00081140":"#.repeat(9_000),
            "0".to_owned() + &"}]}".repeat(9_000)
        );
        assert!(read(&deep, 1).is_ok());
        let deep = format!(
            r#","52009229":{}{}"#,
            r#"{"Value":[{"52009229":"#.repeat(9_000),
            "{}".to_owned() + &"}]}".repeat(9_000)
        );
        assert_eq!(read(&deep, 1), Err(Error::Malformed("the metadata")));
        assert!(
            read(
                ",\"7FE00010\":{\"vr\":\"OW\",\"BulkDataURI\":\"\u{1}/studies/1\"}",
                1
            )
            .unwrap()
            .is_word_stream
        );
    }
}
