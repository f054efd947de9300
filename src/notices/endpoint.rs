//! Where a webhook is called, and what its calls are signed with (Standard Webhooks 1.0, symmetric signatures).

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::hmac::{HMAC_SHA256, Key, sign};
use ring::rand::{SecureRandom, SystemRandom};
use ureq::http::Uri;

/// What the text of a secret begins with.
const PREFIX: &str = "whsec_";
/// How many bytes a secret has, at least and at most.
const SECRET_BYTES: std::ops::RangeInclusive<usize> = 24..=64;
/// A file has at most so many secrets: the new one, and those that receivers may still know.
const SECRETS_MAX: usize = 4;
/// A longer file is none of secrets. Bytes.
const FILE_BYTES_MAX: u64 = 4096;

/// The URL of a receiver, as the configuration names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    pub(super) url: Box<str>,
    secret: PathBuf,
    pub(super) is_loopback: bool,
}

/// Why a text is no endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// No URL of a kind that can be used.
    #[error("must be https://HOST[:PORT]/PATH, without # and password")]
    Url,
    /// What follows the URL.
    #[error("needs \"secret-file PATH\" after the URL, and nothing else")]
    Secret,
    /// Who reads on the way would know of every case.
    #[error("would go over http:// to another machine; use https://")]
    Exposed,
}

impl Endpoint {
    /// Reads `URL secret-file PATH`.
    ///
    /// # Errors
    /// What is wrong with it; the text itself may hold a secret and is not told.
    pub fn parse(text: &str) -> Result<Self, EndpointError> {
        let (url, rest) = text.trim().split_once(' ').unwrap_or((text.trim(), ""));
        let uri: Uri = url.parse().map_err(|_| EndpointError::Url)?;
        let authority = uri.authority().ok_or(EndpointError::Url)?;
        let is_web = matches!(uri.scheme_str(), Some("http" | "https"));
        if !is_web || authority.host().is_empty() || url.contains(['#', '@']) {
            return Err(EndpointError::Url);
        }
        let secret = match rest.trim().split_once(' ') {
            Some(("secret-file", path)) if !path.trim().is_empty() => path.trim().into(),
            _ => return Err(EndpointError::Secret),
        };
        let is_loopback = is_loopback(authority.host());
        if uri.scheme_str() == Some("http") && !is_loopback {
            return Err(EndpointError::Exposed);
        }
        Ok(Self {
            url: url.into(),
            secret,
            is_loopback,
        })
    }

    /// The signatures of a call, one for each secret of the file. It is read each time: secrets are renewed.
    pub(super) fn signatures(&self, id: &str, at_s: i64, body: &str) -> Result<String, String> {
        let signed = format!("{id}.{at_s}.{body}");
        let secrets = secrets(&self.secret)?;
        let signatures = secrets.iter().map(|secret| {
            let tag = sign(&Key::new(HMAC_SHA256, secret), signed.as_bytes());
            format!("v1,{}", STANDARD.encode(tag))
        });
        Ok(signatures.collect::<Vec<_>>().join(" "))
    }
}

/// Whether a host is this machine, as far as its name says.
pub(super) fn is_loopback(host: &str) -> bool {
    let host = host.trim_matches(['[', ']']).to_ascii_lowercase();
    let ip = host.parse::<std::net::IpAddr>();
    host == "localhost" || ip.is_ok_and(|ip| ip.to_canonical().is_loopback())
}

/// What a file says that nobody else is to know, which is short.
pub(super) fn short_file(path: &Path) -> Result<String, String> {
    use std::io::Read as _;
    let read = std::fs::File::open(path).and_then(|file| {
        let mut text = String::new();
        file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text)?;
        Ok(text)
    });
    let text =
        read.map_err(|cause| format!("the file of its secret cannot be read: {}", cause.kind()))?;
    match text.len() as u64 > FILE_BYTES_MAX {
        true => Err("the file of its secret is too long".into()),
        false => Ok(text),
    }
}

fn secrets(path: &Path) -> Result<Vec<Vec<u8>>, String> {
    let text = short_file(path)?;
    let lines = text.split_whitespace();
    let secrets: Option<Vec<_>> = lines.map(secret).collect();
    match secrets {
        Some(secrets) if (1..=SECRETS_MAX).contains(&secrets.len()) => Ok(secrets),
        _ => Err("the file of its secret holds no whsec_… of 24 to 64 bytes a line".into()),
    }
}

fn secret(line: &str) -> Option<Vec<u8>> {
    let bytes = STANDARD.decode(line.strip_prefix(PREFIX)?).ok()?;
    SECRET_BYTES.contains(&bytes.len()).then_some(bytes)
}

/// A secret that nobody has had before; `None` when the system has no random numbers.
#[must_use]
pub fn new_secret() -> Option<String> {
    let mut bytes = [0; 32];
    SystemRandom::new().fill(&mut bytes).ok()?;
    Some(format!("{PREFIX}{}", STANDARD.encode(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_checked() {
        for text in [
            "https://hooks.example.org/overread?a=b secret-file /run/secret",
            "http://127.0.0.1:9000/ secret-file a b",
            "http://[::1]:9000/x secret-file a",
            "http://localhost:1/ secret-file a",
        ] {
            let url = text.split(' ').next().unwrap();
            assert_eq!(&*Endpoint::parse(text).unwrap().url, url);
        }
        for (text, error) in [
            ("", EndpointError::Url),
            ("hooks.example.org/x secret-file a", EndpointError::Url),
            ("ftp://hooks.example.org/ secret-file a", EndpointError::Url),
            (
                "https://me:pw@hooks.example.org/ secret-file a",
                EndpointError::Url,
            ),
            ("https://hooks.example.org/", EndpointError::Secret),
            (
                "https://hooks.example.org/ whsec_abc",
                EndpointError::Secret,
            ),
            (
                "https://hooks.example.org/ secret-file ",
                EndpointError::Secret,
            ),
            (
                "http://hooks.example.org/ secret-file a",
                EndpointError::Exposed,
            ),
            ("http://10.0.0.1/ secret-file a", EndpointError::Exposed),
        ] {
            assert_eq!(Endpoint::parse(text), Err(error), "{text}");
        }
    }

    /// The example of the specification and of its libraries.
    #[test]
    fn calls_are_signed_as_the_specification_has_it() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let write = |text: &str| std::fs::write(file.path(), text).unwrap();
        let endpoint = Endpoint {
            url: "https://example.org/".into(),
            secret: file.path().into(),
            is_loopback: false,
        };
        let signed = || {
            let body = r#"{"test": 2432232314}"#;
            endpoint.signatures("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, body)
        };
        let known = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
        write("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n");
        assert_eq!(signed().unwrap(), known);
        // While a secret is changed, both sign.
        let other = new_secret().unwrap();
        write(&format!(
            "{other}\nwhsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n"
        ));
        let both = signed().unwrap();
        assert!(
            both.ends_with(&format!(" {known}")) && both.starts_with("v1,"),
            "{both}"
        );
        for text in [
            "".into(),
            "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".into(),
            "whsec_c2hvcnQ=".into(),
            "whsec_!".into(),
            format!("{other}\n").repeat(5),
            "x".repeat(5000),
        ] {
            write(&text);
            let refused = signed().expect_err(&text);
            assert!(refused.starts_with("the file of its secret"), "{refused}");
        }
        std::fs::remove_file(file.path()).unwrap();
        assert!(signed().is_err());
        assert_ne!(new_secret(), new_secret());
    }
}
