//! The e-mail address of an account, so plain that it can break no line and needs no quotes: what is sent to it is read by
//! programs of others.

use std::fmt;
use std::str::FromStr;

use lettre::Address;

/// The longest address (RFC 5321 §4.5.3.1.3). Bytes.
const BYTES_MAX: usize = 254;

/// An address that mail can be sent to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Email(Box<str>);

/// A text that is no address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is no plain e-mail address, such as anna@example.org")]
pub struct NoEmail;

impl Email {
    /// Reads one: without a name, quotes or comments, in ASCII.
    ///
    /// # Errors
    /// When it is none.
    pub fn parse(text: &str) -> Result<Self, NoEmail> {
        let is_plain = |b: u8| b.is_ascii_graphic() && !b"\"()<>[]\\,;:".contains(&b);
        if text.len() > BYTES_MAX || !text.bytes().all(is_plain) {
            return Err(NoEmail);
        }
        let address = Address::from_str(text).map_err(|_| NoEmail)?;
        // A host without a dot is nobody's but this machine's.
        let is_host = address.domain() == "localhost" || address.domain().contains('.');
        is_host.then(|| Self(text.into())).ok_or(NoEmail)
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What stands behind the `@`.
    #[must_use]
    pub fn domain(&self) -> &str {
        self.0.rsplit_once('@').map_or("", |(_, domain)| domain)
    }
}

impl fmt::Display for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_plain() {
        for text in [
            "anna@example.org",
            "a.b+c@mail.example.org",
            "root@localhost",
        ] {
            assert_eq!(Email::parse(text).unwrap().as_str(), text);
        }
        assert_eq!(
            Email::parse("a@mail.example.org").unwrap().domain(),
            "mail.example.org"
        );
        for text in [
            "",
            "anna",
            "@example.org",
            "anna@",
            "anna@host",
            "anna@a@example.org",
            "anna@exa mple.org",
            "anna@example.org\r\nBcc: eve@example.org",
            "anna@example.org\n",
            "Anna <anna@example.org>",
            "\"anna eve\"@example.org",
            "anna@[127.0.0.1]",
            "anna,eve@example.org",
            "änna@example.org",
            &format!("{}@example.org", "a".repeat(250)),
        ] {
            assert_eq!(Email::parse(text), Err(NoEmail), "{text:?}");
        }
    }
}
