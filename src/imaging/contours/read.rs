//! What is read of the prepared DICOM JSON of a structure set (PS3.3 §C.8.8.6): as it streams by, all
//! else skipped without being kept, coordinates as pairs of four bytes each.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::super::color::Rgb;
use super::Kind;

/// Places further from the origin are no places in a patient. Millimetres.
const PLACE_MAX: f32 = 1e6;
/// Where no color is given.
const COLOR_DEFAULT: Rgb = [230, 230, 230];
/// A color whose brightest channel is darker would not be seen.
const SEEN_MIN: u8 = 64;

#[derive(Deserialize, Default)]
pub(super) struct Root {
    #[serde(rename = "30060039", default)]
    pub(super) regions: Items<Region>,
}

#[derive(Deserialize)]
pub(super) struct Region {
    #[serde(rename = "3006002A", default)]
    color: Channels,
    #[serde(rename = "30060040", default)]
    pub(super) contours: Items<Contour>,
}

#[derive(Deserialize)]
pub(super) struct Contour {
    #[serde(rename = "30060042", default)]
    pub(super) kind: Geometry,
    #[serde(rename = "30060050", default)]
    pub(super) data: Data,
}

/// Items that have something to draw; others, of which a hostile object may have millions, are dropped.
trait Drawn {
    fn is_drawn(&self) -> bool;
}

impl Drawn for Region {
    fn is_drawn(&self) -> bool {
        !self.contours.0.is_empty()
    }
}

impl Drawn for Contour {
    fn is_drawn(&self) -> bool {
        !self.data.points.is_empty() || self.data.link.is_some()
    }
}

impl Region {
    /// (3006,002A), when there are three channels that can be seen.
    pub(super) fn color(&self) -> Rgb {
        let color = match self.color.0[..] {
            // Saturating casts.
            [Number(Some(red)), Number(Some(green)), Number(Some(blue))] => {
                Some([red, green, blue].map(|channel| channel.round() as u8))
            }
            _ => None,
        };
        color
            .filter(|rgb| rgb.iter().any(|channel| *channel >= SEEN_MIN))
            .unwrap_or(COLOR_DEFAULT)
    }
}

pub(super) struct Items<T>(pub(super) Vec<T>);

impl<T> Default for Items<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

/// One attribute, with its values read as `T` does.
#[derive(Deserialize)]
#[serde(bound = "T: Deserialize<'de> + Default")]
struct Attribute<T> {
    #[serde(rename = "Value", default)]
    values: T,
    #[serde(rename = "BulkDataURI")]
    link: Option<Box<str>>,
}

impl<'de, T: Deserialize<'de> + Drawn> Deserialize<'de> for Items<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let read: Attribute<List<T>> = Attribute::deserialize(deserializer)?;
        Ok(Self(read.values.0))
    }
}

struct List<T>(Vec<T>);

impl<T> Default for List<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, T: Deserialize<'de> + Drawn> Deserialize<'de> for List<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Each<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de> + Drawn> Visitor<'de> for Each<T> {
            type Value = List<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("items")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<List<T>, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = seq.next_element::<T>()? {
                    if item.is_drawn() {
                        items.push(item);
                    }
                }
                Ok(List(items))
            }
        }
        deserializer.deserialize_seq(Each(PhantomData))
    }
}

/// Its values stand for no color when there are not three.
#[derive(Default)]
struct Channels(Vec<Number>);

impl<'de> Deserialize<'de> for Channels {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let read: Attribute<Vec<Number>> = Attribute::deserialize(deserializer)?;
        Ok(Self(read.values))
    }
}

#[derive(Default)]
pub(super) struct Geometry(pub(super) Kind);

impl<'de> Deserialize<'de> for Geometry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let read: Attribute<Vec<Box<str>>> = Attribute::deserialize(deserializer)?;
        Ok(Self(match read.values.first().map(|term| term.trim()) {
            Some("POINT") => Kind::Point,
            Some("OPEN_PLANAR" | "OPEN_NONPLANAR") => Kind::Open,
            _ => Kind::Closed,
        }))
    }
}

/// The first two coordinates of each point (3006,0050), or where they are.
#[derive(Default)]
pub(super) struct Data {
    pub(super) points: Vec<[f32; 2]>,
    pub(super) link: Option<Box<str>>,
}

impl<'de> Deserialize<'de> for Data {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let read: Attribute<Numbers> = Attribute::deserialize(deserializer)?;
        let path = read
            .link
            .as_deref()
            .and_then(|uri| uri.split_once("/bulkdata/"));
        Ok(Self {
            points: read.values.points,
            link: path.map(|(_, path)| path.into()),
        })
    }
}

/// Numbers three by three, the third of which is left out; a point that is none is too.
#[derive(Default)]
pub(super) struct Numbers {
    pub(super) points: Vec<[f32; 2]>,
    pending: [Option<f32>; 2],
    count: u8,
}

impl Numbers {
    pub(super) fn push(&mut self, number: Option<f32>) {
        let number = number.filter(|number| number.abs() <= PLACE_MAX);
        if let Some(place) = self.pending.get_mut(usize::from(self.count)) {
            *place = number;
            self.count += 1;
            return;
        }
        self.count = 0;
        if let [Some(x), Some(y)] = self.pending {
            self.points.push([x, y]);
        }
    }
}

impl<'de> Deserialize<'de> for Numbers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Each;
        impl<'de> Visitor<'de> for Each {
            type Value = Numbers;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("numbers")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Numbers, A::Error> {
                let mut numbers = Numbers::default();
                while let Some(number) = seq.next_element::<Number>()? {
                    numbers.push(number.0);
                }
                Ok(numbers)
            }
        }
        deserializer.deserialize_seq(Each)
    }
}

/// A number, as one or as the text of a DS or IS.
struct Number(Option<f32>);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl Visitor<'_> for Either {
            type Value = Number;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number")
            }

            fn visit_f64<E>(self, number: f64) -> Result<Number, E> {
                Ok(Number(Some(number as f32)))
            }

            fn visit_u64<E>(self, number: u64) -> Result<Number, E> {
                Ok(Number(Some(number as f32)))
            }

            fn visit_i64<E>(self, number: i64) -> Result<Number, E> {
                Ok(Number(Some(number as f32)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Number, E> {
                Ok(Number(text.trim().parse().ok()))
            }

            fn visit_unit<E>(self) -> Result<Number, E> {
                Ok(Number(None))
            }
        }
        deserializer.deserialize_any(Either)
    }
}
