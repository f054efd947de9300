//! Media types as clients write them (PS3.18 §8.7; RFC 9110 §5.6.6).
//!
//! A parser of our own, because the crates refuse what viewers send: `type=application/dicom`
//! without quotes (PS3.18 §8.7.1 allows it), `transfer-syntax=*`, and a transfer syntax inside
//! the quotes of `type`.

use std::borrow::Cow;

/// Metadata and search answers (PS3.18 Annex F).
pub(super) const DICOM_JSON: &str = "application/dicom+json";
/// The same as XML.
pub(super) const DICOM_XML: &str = "application/dicom+xml";
/// DICOM JSON, for clients that know only JSON.
pub(super) const JSON: &str = "application/json";
/// Part 10 files.
pub(super) const DICOM: &str = "application/dicom";
/// Bare values in little endian (PS3.18 Table 8.7.3-5).
pub(super) const OCTETS: &str = "application/octet-stream";
/// Part 10 files and their DICOMDIR, packed.
pub(super) const ZIP: &str = "application/zip";

/// Names that viewers still use for media types that were renamed (PS3.18 §8.7.3.3.2).
const ALIASES: &[(&str, &str)] = &[
    ("image/x-dicom-rle", "image/dicom-rle"),
    ("image/dicom+rle", "image/dicom-rle"),
    ("image/x-jls", "image/jls"),
    ("image/dicom+jpeg", "image/jpeg"),
    ("image/dicom+jpeg-ls", "image/jls"),
    ("image/dicom+jp2", "image/jp2"),
    ("image/dicom+jpx", "image/jpx"),
];

/// A media type or media range with its parameters, in lower case except for the values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct MediaType {
    /// `type/subtype`; either may be `*`.
    pub(super) essence: String,
    parameters: Vec<(String, String)>,
}

impl MediaType {
    /// Parses one media type. `None` when it is none.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut pieces = split(text, b';');
        let essence = pieces.next()?.trim().to_ascii_lowercase();
        let essence = ALIASES
            .iter()
            .find(|(alias, _)| *alias == essence)
            .map_or(essence, |(_, name)| (*name).to_owned());
        let (kind, subtype) = essence.split_once('/')?;
        if !is_token(kind) || !is_token(subtype) || (kind == "*" && subtype != "*") {
            return None;
        }
        let mut parameters = Vec::new();
        for piece in pieces {
            if piece.trim().is_empty() {
                continue;
            }
            let (name, value) = piece.split_once('=')?;
            parameters.push((
                name.trim().to_ascii_lowercase(),
                unquote(value.trim()).into_owned(),
            ));
        }
        Some(Self {
            essence,
            parameters,
        })
    }

    /// The value of a parameter, quotes removed.
    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, value)| value.as_str())
    }
}

/// Splits at a separator that stands outside quotes.
pub(super) fn split(text: &str, separator: u8) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let current = rest?;
        let (mut is_quoted, mut is_escaped) = (false, false);
        for (i, byte) in current.bytes().enumerate() {
            match byte {
                _ if is_escaped => is_escaped = false,
                b'\\' if is_quoted => is_escaped = true,
                b'"' => is_quoted = !is_quoted,
                b if b == separator && !is_quoted => {
                    rest = Some(&current[i + 1..]);
                    return Some(&current[..i]);
                }
                _ => {}
            }
        }
        rest = None;
        Some(current)
    })
}

fn unquote(value: &str) -> Cow<'_, str> {
    let Some(inner) = value.strip_prefix('"').and_then(|v| v.strip_suffix('"')) else {
        return Cow::Borrowed(value);
    };
    if !inner.contains('\\') {
        return Cow::Borrowed(inner);
    }
    let mut plain = String::with_capacity(inner.len());
    let mut rest = inner.chars();
    while let Some(c) = rest.next() {
        plain.push(if c == '\\' {
            rest.next().unwrap_or(c)
        } else {
            c
        });
    }
    Cow::Owned(plain)
}

fn is_token(text: &str) -> bool {
    let is_allowed = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    !text.is_empty() && text.bytes().all(is_allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_types_are_read_quoted_or_not() {
        for text in [
            r#"multipart/related; type="application/dicom"; boundary="a;b,c""#,
            r"Multipart/Related;TYPE=application/dicom;boundary=a;charset=x",
            r#"multipart/related; boundary=a\b ; type=application/dicom;"#,
        ] {
            let media = MediaType::parse(text).unwrap();
            assert_eq!(
                (media.essence.as_str(), media.parameter("type")),
                ("multipart/related", Some(DICOM))
            );
        }
        let odd =
            MediaType::parse(r#"multipart/related; boundary="a \"b\\ =?:'()+_,-./""#).unwrap();
        assert_eq!(odd.parameter("boundary"), Some(r#"a "b\ =?:'()+_,-./"#));
        for bad in ["", "text", "/", "a/", "*/json", "a b/c", "a/b; x"] {
            assert!(MediaType::parse(bad).is_none(), "{bad}");
        }
    }
}
