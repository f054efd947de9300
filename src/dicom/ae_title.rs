//! An Application Entity title that has been checked once (PS3.5 §6.2, VR AE; PS3.8 §9.3.2), and
//! the lists of titles that a policy names. What has this type is printable ASCII, so it is safe
//! in a log line.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// A checked AE title: 1 to 16 printable ASCII characters without backslash, without leading or
/// trailing spaces. Case matters.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AeTitle(Arc<str>);

/// Why a text is not an AE title. Holds no part of the text: it may be anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AeTitleError {
    /// Nothing but spaces.
    #[error("the AE title is empty")]
    Empty,
    /// More than 16 characters.
    #[error("the AE title is longer than 16 characters")]
    TooLong,
    /// A control character, a backslash, or a character outside ASCII.
    #[error("the AE title has a character that is not printable ASCII, or a backslash")]
    Malformed,
}

impl AeTitle {
    /// Checks `text`; spaces at both ends are not part of the title.
    ///
    /// # Errors
    /// When it is not an AE title.
    pub fn parse(text: &str) -> Result<Self, AeTitleError> {
        let title = text.trim_matches(' ');
        if title.is_empty() {
            return Err(AeTitleError::Empty);
        }
        if title.chars().count() > 16 {
            return Err(AeTitleError::TooLong);
        }
        if title
            .bytes()
            .all(|b| (b' '..=b'~').contains(&b) && b != b'\\')
        {
            Ok(Self(title.into()))
        } else {
            Err(AeTitleError::Malformed)
        }
    }

    /// Checks a title as encoded: NUL padding, which some senders use, is taken off too.
    ///
    /// # Errors
    /// As [`AeTitle::parse`].
    pub fn from_value(value: &[u8]) -> Result<Self, AeTitleError> {
        let text = std::str::from_utf8(value).map_err(|_| AeTitleError::Malformed)?;
        Self::parse(text.trim_end_matches(['\0', ' ']))
    }

    /// The text, without padding.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AeTitle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for AeTitle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for AeTitle {
    type Err = AeTitleError;

    fn from_str(text: &str) -> Result<Self, AeTitleError> {
        Self::parse(text)
    }
}

/// The titles that a policy names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AeTitles {
    /// `"*"`: every title.
    Any,
    /// These and no others.
    These(Vec<AeTitle>),
}

impl AeTitles {
    /// Reads a list of the configuration, in which `"*"` stands for every title.
    ///
    /// # Errors
    /// When an entry is not an AE title.
    pub fn parse<T: AsRef<str>>(list: &[T]) -> Result<Self, AeTitleError> {
        if list.iter().any(|entry| entry.as_ref().trim() == "*") {
            return Ok(Self::Any);
        }
        list.iter()
            .map(|entry| AeTitle::parse(entry.as_ref()))
            .collect::<Result<_, _>>()
            .map(Self::These)
    }

    /// Whether the policy names `title`.
    #[must_use]
    pub fn hold(&self, title: &AeTitle) -> bool {
        match self {
            Self::Any => true,
            Self::These(titles) => titles.contains(title),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn padding_is_no_part_of_a_title() {
        for (encoded, title) in [
            (&b"OVERREAD        "[..], "OVERREAD"),
            (b"  CT 1          ", "CT 1"),
            (b"NULPADDED\0\0\0\0\0\0\0", "NULPADDED"),
            (b"SIXTEEN_LETTERS_", "SIXTEEN_LETTERS_"),
        ] {
            assert_eq!(AeTitle::from_value(encoded).unwrap().as_str(), title);
        }
    }

    #[test]
    fn refuses_what_is_no_title() {
        for (encoded, error) in [
            (&b"                "[..], AeTitleError::Empty),
            (b"", AeTitleError::Empty),
            (b"\0\0\0\0", AeTitleError::Empty),
            (b"SEVENTEEN_LETTERS", AeTitleError::TooLong),
            (b"A\nB", AeTitleError::Malformed),
            (b"A\x1b[2J", AeTitleError::Malformed),
            (b"A\\B", AeTitleError::Malformed),
            (b"A\0B", AeTitleError::Malformed),
            ("ÄPFEL".as_bytes(), AeTitleError::Malformed),
            (b"\xff\xfe", AeTitleError::Malformed),
        ] {
            assert_eq!(AeTitle::from_value(encoded), Err(error), "{encoded:?}");
        }
    }

    #[test]
    fn a_star_names_every_title() {
        let title = AeTitle::parse("CT1").unwrap();
        assert!(AeTitles::parse(&["X", "*"]).unwrap().hold(&title));
        assert!(AeTitles::parse(&["X", "CT1"]).unwrap().hold(&title));
        assert!(!AeTitles::parse(&["ct1"]).unwrap().hold(&title));
        assert!(!AeTitles::parse::<&str>(&[]).unwrap().hold(&title));
        assert!(AeTitles::parse(&["TOO_LONG_FOR_A_TITLE"]).is_err());
    }
}
