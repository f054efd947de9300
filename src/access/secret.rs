//! Secrets that we make ourselves: 256 random bits, shown once and kept as a digest. Nobody can guess or
//! search for one, so a plain BLAKE3 digest is enough (unlike for what people choose: [`passcode`](super::passcode)).

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::{SecureRandom, SystemRandom};

/// Stands before every API token, so that people and scanners of repositories know one when they see it.
pub const TOKEN_PREFIX: &str = "ovrd_";

/// A secret in base64url is so long.
const TEXT_BYTES: usize = 43;

/// What is kept of a secret.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digest(pub [u8; 32]);

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a digest")
    }
}

/// A secret. It is not printed but by [`Secret::text`].
#[derive(Clone, PartialEq, Eq)]
pub struct Secret([u8; 32]);

/// The system gives no random numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no random numbers")]
pub struct NoRandomness;

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a secret")
    }
}

impl Secret {
    /// A new one.
    ///
    /// # Errors
    /// When there are no random numbers.
    pub fn new() -> Result<Self, NoRandomness> {
        let mut bytes = [0; 32];
        SystemRandom::new()
            .fill(&mut bytes)
            .map_err(|_| NoRandomness)?;
        Ok(Self(bytes))
    }

    /// Reads what [`Secret::text`] wrote; `None` when it is nothing of that form.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() != TEXT_BYTES {
            return None;
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        bytes.try_into().ok().map(Self)
    }

    /// As a cookie carries it.
    #[must_use]
    pub fn text(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.0)
    }

    /// Reads an API token.
    #[must_use]
    pub fn parse_token(text: &str) -> Option<Self> {
        Self::parse(text.strip_prefix(TOKEN_PREFIX)?)
    }

    /// As an API token.
    #[must_use]
    pub fn token(&self) -> String {
        TOKEN_PREFIX.to_owned() + &self.text()
    }

    /// What is kept of it.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest(*blake3::hash(&self.0).as_bytes())
    }

    /// The token that forms of its session carry against forged requests. Who has it cannot tell the secret.
    #[must_use]
    pub fn form_token(&self) -> String {
        URL_SAFE_NO_PAD.encode(blake3::derive_key("overread 2026 form token", &self.0))
    }

    /// Whether a form carries it. Takes as long for a wrong one.
    #[must_use]
    pub fn is_form_token(&self, given: &str) -> bool {
        // Digests are compared in constant time.
        blake3::hash(given.as_bytes()) == blake3::hash(self.form_token().as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_read_back_and_nothing_else_is() {
        let [one, other] = [(); 2].map(|()| Secret::new().unwrap());
        assert_ne!(one.digest(), other.digest());
        assert_eq!(Secret::parse(&one.text()), Some(one.clone()));
        assert_eq!(Secret::parse_token(&one.token()), Some(one.clone()));
        for text in ["", &one.token(), &one.text()[1..], &"!".repeat(TEXT_BYTES)] {
            assert_eq!(Secret::parse(text), None, "{text}");
        }
        assert_eq!(Secret::parse_token(&one.text()), None);
        assert!(one.is_form_token(&one.form_token()));
        assert!(!one.is_form_token(&other.form_token()) && !one.is_form_token(""));
        assert_eq!(format!("{one:?} {:?}", one.digest()), "a secret a digest");
    }
}
