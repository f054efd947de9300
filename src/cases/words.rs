//! Grades and UIDs as JSON has them: words, and texts.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::grade::{Agreement, Confidence, Management, Significance, Stage};

macro_rules! as_words {
    ($($grade:ident)+) => {$(
        impl Serialize for $grade {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.word())
            }
        }

        impl<'de> Deserialize<'de> for $grade {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let word = String::deserialize(deserializer)?;
                Self::parse(&word).ok_or_else(|| D::Error::custom("not one of the words for it"))
            }
        }
    )+};
}

as_words!(Agreement Confidence Management Significance Stage);

/// A UID as a text, for `#[serde(with = …)]`.
pub(super) mod uid {
    use serde::de::Error as _;
    use serde::{Deserialize, Deserializer, Serializer};

    use crate::dicom::Uid;

    pub(crate) fn serialize<S: Serializer>(uid: &Uid, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(uid.as_str())
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Uid, D::Error> {
        let text = String::deserialize(deserializer)?;
        Uid::parse(&text).map_err(|_| D::Error::custom("not a UID"))
    }
}
