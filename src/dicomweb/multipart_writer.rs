//! `multipart/related` bodies as we send them (RFC 2046 §5.1, RFC 2387; PS3.18 §8.6.1.2): every
//! part says what it is, what resource it represents and how long it is.

use std::collections::hash_map::RandomState;
use std::fmt::Write as _;
use std::hash::{BuildHasher, Hasher};

use bytes::Bytes;

/// The delimiter of one response: random, so that no stored byte sequence can have been made to
/// contain it.
#[derive(Debug, Clone)]
pub(super) struct Boundary(String);

impl Boundary {
    /// A new one, of 128 random bits.
    pub(super) fn random() -> Self {
        // Each RandomState has keys from the operating system's generator, one apart in a thread;
        // the hash of two of them is as hard to foresee.
        let mut text = String::from("overread-");
        for _ in 0..2 {
            let _ = write!(text, "{:016x}", RandomState::new().build_hasher().finish());
        }
        Self(text)
    }

    /// The Content-Type of the whole body.
    pub(super) fn content_type(&self, part_type: &str) -> String {
        format!(
            "multipart/related; type=\"{part_type}\"; boundary={}",
            self.0
        )
    }

    /// One that is known to stand in no part.
    pub(super) fn fixed(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// What stands before the bytes of a part. `content_type` may have parameters; `location` is
    /// empty when the part represents no resource.
    pub(super) fn part(&self, content_type: &str, location: &str, length: Option<u64>) -> Bytes {
        let mut head = format!("--{}\r\nContent-Type: {content_type}\r\n", self.0);
        if !location.is_empty() {
            let _ = write!(head, "Content-Location: {location}\r\n");
        }
        if let Some(length) = length {
            let _ = write!(head, "Content-Length: {length}\r\n");
        }
        head.push_str("\r\n");
        Bytes::from(head)
    }

    /// What stands after the bytes of each part.
    pub(super) fn part_end() -> Bytes {
        Bytes::from_static(b"\r\n")
    }

    /// What stands after the last part.
    pub(super) fn close(&self) -> Bytes {
        Bytes::from(format!("--{}--\r\n", self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boundaries_are_legal_and_differ() {
        let (a, b) = (Boundary::random(), Boundary::random());
        assert_ne!(a.0, b.0);
        assert_eq!(a.0.len(), 41);
        assert!(a.0.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-'));
    }

    #[test]
    fn a_body_reads_as_the_rfc_shows_it() {
        let boundary = Boundary("b".into());
        let body: Vec<u8> = [
            boundary.part(
                "application/dicom; transfer-syntax=1.2",
                "http://h/i",
                Some(2),
            ),
            Bytes::from_static(b"xy"),
            Boundary::part_end(),
            boundary.part("image/jpeg", "http://h/j", None),
            Boundary::part_end(),
            boundary.close(),
        ]
        .concat();
        let expected = "--b\r\nContent-Type: application/dicom; transfer-syntax=1.2\r\nContent-Location: http://h/i\r\n\
                        Content-Length: 2\r\n\r\nxy\r\n--b\r\nContent-Type: image/jpeg\r\nContent-Location: http://h/j\r\n\r\n\r\n--b--\r\n";
        assert_eq!(String::from_utf8(body).unwrap(), expected);
    }
}
