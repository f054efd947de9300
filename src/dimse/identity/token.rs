//! JSON Web Tokens (RFC 7519) that are signed (RFC 7515, compact) by a key of the configuration.
//! Which algorithm a signature has is told by the key, never by the token (RFC 8725 §3.1); a token
//! that says otherwise is refused. Signatures are ring's work.

use ring::{hmac, signature};
use rustls::pki_types::SubjectPublicKeyInfoDer;
use rustls::pki_types::pem::PemObject;
use serde::Deserialize;

use crate::dimse::der::{PublicKey, public_key};
use crate::dimse::modalities::Rights;

/// The longest token.
pub(super) const BYTES_MAX: usize = 16 * 1024;
/// A secret that could be guessed is none (RFC 7518 §3.2: at least as long as the hash).
const SECRET_BYTES_MIN: usize = 32;
/// Old and new, when keys change.
const KEYS_MAX: usize = 16;
/// How far clocks may be apart. Seconds.
const LEEWAY_S: f64 = 60.0;

/// What tokens are checked with.
pub(super) struct Tokens {
    keys: Vec<Key>,
    audience: Box<str>,
}

enum Key {
    /// HS256.
    Secret(hmac::Key),
    /// RS256; RSAPublicKey.
    Rsa(Vec<u8>),
    /// ES256; a point.
    P256(Vec<u8>),
}

/// Why a token is refused. Holds no part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TokenError {
    #[error("it is no signed JSON Web Token")]
    Malformed,
    #[error("it has an algorithm or an extension that we have no key for")]
    Algorithm,
    #[error("its signature is wrong")]
    Signature,
    #[error("it has expired, or does not say when it does")]
    Expired,
    #[error("its time has not come")]
    Early,
    #[error("it is meant for another audience")]
    Audience,
}

/// The header (RFC 7515 §4.1).
#[derive(Deserialize)]
struct Header {
    alg: String,
    #[serde(default)]
    crit: Option<serde_json::Value>,
}

/// The claims that count (RFC 7519 §4.1; `scope` of RFC 8693 §4.2).
#[derive(Deserialize)]
struct Claims {
    sub: Option<String>,
    exp: Option<f64>,
    nbf: Option<f64>,
    aud: Option<Audience>,
    scope: Option<String>,
}

/// Whether a file is of public keys in a form that is not read: JWKS, DER, OpenSSH. Whoever has them
/// could sign, were they taken for a secret.
fn is_of_public_keys(file: &[u8]) -> bool {
    let is_json =
        serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(file).is_ok();
    let is_der = file.starts_with(&[0x30]) && !file.is_ascii();
    is_json || is_der || file.starts_with(b"ssh-") || file.starts_with(b"ecdsa-")
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Several(Vec<String>),
}

impl Tokens {
    /// Reads a file: public keys in PEM (RSA, P-256), else a secret.
    pub(super) fn new(file: &[u8], audience: &str) -> Result<Self, String> {
        let audience = audience.into();
        // A file of PEM is never taken for a secret: whoever has the public key could sign.
        if memchr::memmem::find(file, b"-----BEGIN").is_none() {
            let secret = file.trim_ascii_end();
            if is_of_public_keys(secret) {
                return Err("looks like public keys in another form; they are read in PEM".into());
            }
            if secret.len() < SECRET_BYTES_MIN {
                return Err(format!(
                    "holds no public key (PEM), and is too short for a secret: {SECRET_BYTES_MIN} bytes"
                ));
            }
            let key = Key::Secret(hmac::Key::new(hmac::HMAC_SHA256, secret));
            return Ok(Self {
                keys: vec![key],
                audience,
            });
        }
        if memchr::memmem::find(file, b"PRIVATE KEY").is_some() {
            return Err("holds a private key; the public one is needed here".into());
        }
        let keys: Vec<Key> = SubjectPublicKeyInfoDer::pem_slice_iter(file)
            .map(|found| Key::of(&found.map_err(|error| error.to_string())?))
            .collect::<Result<_, String>>()?;
        match keys.len() {
            0 => Err("holds no public key (PEM, \"PUBLIC KEY\")".into()),
            1..=KEYS_MAX => Ok(Self { keys, audience }),
            _ => Err(format!("holds more than {KEYS_MAX} keys")),
        }
    }

    /// Who a token says it is, and what it allows. `now` in seconds since 1970.
    pub(super) fn check(
        &self,
        token: &[u8],
        now: f64,
    ) -> Result<(Option<Box<str>>, Rights), TokenError> {
        // Some pad fields of odd length.
        let token = token.trim_ascii_end();
        let token = token.strip_suffix(b"\0").unwrap_or(token);
        if token.len() > BYTES_MAX {
            return Err(TokenError::Malformed);
        }
        let mut parts = token.rsplitn(2, |b| *b == b'.');
        let (Some(signature), Some(signed)) = (parts.next(), parts.next()) else {
            return Err(TokenError::Malformed);
        };
        let mut parts = signed.split(|b| *b == b'.');
        let (Some(header), Some(claims), None) = (parts.next(), parts.next(), parts.next()) else {
            return Err(TokenError::Malformed);
        };
        let header: Header = json(header)?;
        // Extensions that must be understood are not (RFC 7515 §4.1.11).
        if header.crit.is_some() || !self.keys.iter().any(|key| key.algorithm() == header.alg) {
            return Err(TokenError::Algorithm);
        }
        let signature = decode(signature)?;
        let mut keys = self.keys.iter().filter(|key| key.algorithm() == header.alg);
        if !keys.any(|key| key.has_signed(signed, &signature)) {
            return Err(TokenError::Signature);
        }
        self.weigh(json(claims)?, now)
    }

    fn weigh(&self, claims: Claims, now: f64) -> Result<(Option<Box<str>>, Rights), TokenError> {
        if !claims.exp.is_some_and(|exp| now < exp + LEEWAY_S) {
            return Err(TokenError::Expired);
        }
        if claims.nbf.is_some_and(|nbf| now < nbf - LEEWAY_S) {
            return Err(TokenError::Early);
        }
        let is_meant = match &claims.aud {
            None => false,
            Some(Audience::One(one)) => **one == *self.audience,
            Some(Audience::Several(several)) => several.iter().any(|one| **one == *self.audience),
        };
        if !is_meant {
            return Err(TokenError::Audience);
        }
        let rights = claims
            .scope
            .as_deref()
            .map_or(Rights::ALL, Rights::of_scope);
        Ok((claims.sub.map(Into::into), rights))
    }
}

impl Key {
    fn of(info: &SubjectPublicKeyInfoDer<'_>) -> Result<Self, String> {
        match public_key(info) {
            Some(PublicKey::Rsa(key)) => Ok(Self::Rsa(key.to_vec())),
            Some(PublicKey::P256(key)) => Ok(Self::P256(key.to_vec())),
            None => Err("holds a public key that is neither RSA nor P-256".into()),
        }
    }

    /// Its name in a header (RFC 7518 §3.1).
    fn algorithm(&self) -> &'static str {
        match self {
            Self::Secret(_) => "HS256",
            Self::Rsa(_) => "RS256",
            Self::P256(_) => "ES256",
        }
    }

    fn has_signed(&self, message: &[u8], signature: &[u8]) -> bool {
        let verified = match self {
            Self::Secret(key) => hmac::verify(key, message, signature),
            Self::Rsa(key) => {
                signature::UnparsedPublicKey::new(&signature::RSA_PKCS1_2048_8192_SHA256, key)
                    .verify(message, signature)
            }
            Self::P256(key) => {
                signature::UnparsedPublicKey::new(&signature::ECDSA_P256_SHA256_FIXED, key)
                    .verify(message, signature)
            }
        };
        verified.is_ok()
    }
}

fn decode(text: &[u8]) -> Result<Vec<u8>, TokenError> {
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    URL_SAFE_NO_PAD
        .decode(text)
        .map_err(|_| TokenError::Malformed)
}

fn json<T: for<'de> Deserialize<'de>>(part: &[u8]) -> Result<T, TokenError> {
    serde_json::from_slice(&decode(part)?).map_err(|_| TokenError::Malformed)
}
