//! A unique identifier that has been checked once (PS3.5 §9.1): 1 to 64 characters, digits and
//! dots, no empty component, no leading zero in a component. What has this type is safe in SQL,
//! in a URL and in a log line.

use std::collections::hash_map::RandomState;
use std::fmt;
use std::hash::{BuildHasher, Hasher};
use std::str::FromStr;
use std::sync::Arc;

/// A checked unique identifier. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Uid(Arc<str>);

/// Why a text is not a UID. Holds no part of the text: it may be anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UidError {
    /// Nothing was there.
    #[error("the UID is empty")]
    Empty,
    /// More than 64 characters.
    #[error("the UID is longer than 64 characters")]
    TooLong,
    /// A character that is neither digit nor dot, an empty component, or a leading zero.
    #[error("the UID is malformed (digits and dots, no empty component, no leading zero)")]
    Malformed,
}

impl Uid {
    /// Checks `text` exactly as it stands.
    ///
    /// # Errors
    /// When it is not a UID of PS3.5 §9.1.
    pub fn parse(text: &str) -> Result<Self, UidError> {
        if text.is_empty() {
            return Err(UidError::Empty);
        }
        if text.len() > 64 {
            return Err(UidError::TooLong);
        }
        let well_formed = text.split('.').all(|component| {
            !component.is_empty()
                && component.bytes().all(|b| b.is_ascii_digit())
                && (component.len() == 1 || !component.starts_with('0'))
        });
        if well_formed {
            Ok(Self(text.into()))
        } else {
            Err(UidError::Malformed)
        }
    }

    /// One that nobody has used and nobody guesses: 122 random bits under the UUID arc (PS3.5 §B.2).
    #[must_use]
    pub fn fresh() -> Self {
        // Each RandomState has keys from the operating system's generator.
        let random = || u128::from(RandomState::new().build_hasher().finish());
        let mut bytes = (random() << 64 | random()).to_be_bytes();
        // RFC 9562 version 8, "of our own making".
        bytes[6] = bytes[6] & 0x0f | 0x80;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        Self(format!("2.25.{}", u128::from_be_bytes(bytes)).into())
    }

    /// Checks a value as encoded in a data set: trailing NUL and space padding is taken off.
    ///
    /// # Errors
    /// As [`Uid::parse`].
    pub fn from_value(value: &[u8]) -> Result<Self, UidError> {
        let text = std::str::from_utf8(value).map_err(|_| UidError::Malformed)?;
        Self::parse(text.trim_end_matches(['\0', ' ']).trim_start_matches(' '))
    }

    /// The text, without padding.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Uid {
    type Err = UidError;

    fn from_str(text: &str) -> Result<Self, UidError> {
        Self::parse(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fresh_ones_are_uids_of_their_own() {
        let (one, other) = (Uid::fresh(), Uid::fresh());
        assert_ne!(one, other);
        assert!(one.as_str().starts_with("2.25."));
        assert_eq!(Uid::parse(one.as_str()).unwrap(), one);
    }

    #[test]
    fn accepts_what_the_standard_allows() {
        for good in [
            "1",
            "1.2.840.10008.1.2",
            "0.0",
            "2.25.329800735698586629295641978511506172918",
        ] {
            assert_eq!(Uid::parse(good).unwrap().as_str(), good);
        }
        assert!(Uid::parse(&"1".repeat(64)).is_ok());
    }

    #[test]
    fn refuses_the_rest() {
        for bad in ["01.2", "1..2", ".1", "1.", "1.a", "1.2 ", "1/2", "1\0"] {
            assert_eq!(Uid::parse(bad), Err(UidError::Malformed), "{bad:?}");
        }
        assert_eq!(Uid::parse(""), Err(UidError::Empty));
        assert_eq!(Uid::parse(&"1".repeat(65)), Err(UidError::TooLong));
    }

    #[test]
    fn padding_of_a_value_is_taken_off() {
        assert_eq!(Uid::from_value(b"1.2.3\0").unwrap().as_str(), "1.2.3");
        assert_eq!(Uid::from_value(b"1.2.3 ").unwrap().as_str(), "1.2.3");
        assert!(Uid::from_value(b"1.2\xff").is_err());
    }
}
