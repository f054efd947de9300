//! The headers of a part of a multipart body (RFC 2046 §5.1, RFC 2557 §4; PS3.18 §8.6.1.2.1): what
//! it is, where it belongs, and whether its bytes are as they stand.

use super::media::MediaType;

/// What we read of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct PartHead {
    /// `None` when it is absent or unreadable.
    pub(super) media: Option<MediaType>,
    /// The value of Content-Location, without white space and angle brackets.
    pub(super) location: Option<String>,
    /// Whether the bytes are coded (`base64`, `gzip`), which HTTP has no use for.
    pub(super) is_coded: bool,
}

impl PartHead {
    /// Reads the lines of a part's head. What is not understood is passed over.
    pub(super) fn parse(lines: &[u8]) -> Self {
        let mut head = Self::default();
        // A line that begins with white space goes on with the one before.
        let text = String::from_utf8_lossy(lines)
            .replace("\r\n ", " ")
            .replace("\r\n\t", " ");
        for line in text.split("\r\n") {
            let Some((name, value)) = line.split_once(':') else {
                continue;
            };
            let (name, value) = (name.trim().to_ascii_lowercase(), value.trim());
            match &*name {
                "content-type" => head.media = MediaType::parse(value),
                "content-location" => head.location = Some(bare(value).to_owned()),
                "content-transfer-encoding" => {
                    head.is_coded |= !["binary", "8bit", "7bit"]
                        .iter()
                        .any(|plain| value.eq_ignore_ascii_case(plain));
                }
                "content-encoding" => head.is_coded |= !value.eq_ignore_ascii_case("identity"),
                _ => {}
            }
        }
        head
    }
}

fn bare(location: &str) -> &str {
    let inner = location
        .strip_prefix('<')
        .and_then(|rest| rest.strip_suffix('>'));
    inner.unwrap_or(location).trim()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_part_says_of_itself_is_read_whatever_its_spelling() {
        let head = PartHead::parse(
            b"\r\ncontent-TYPE:image/jp2;\r\n transfer-syntax=1.2.840.10008.1.2.4.90\r\nContent-Location:  <bulk/1> \r\nX: y",
        );
        let media = head.media.unwrap();
        assert_eq!(
            (media.essence.as_str(), media.parameter("transfer-syntax")),
            ("image/jp2", Some("1.2.840.10008.1.2.4.90"))
        );
        assert_eq!(
            (head.location.as_deref(), head.is_coded),
            (Some("bulk/1"), false)
        );
        assert_eq!(PartHead::parse(b""), PartHead::default());
        for (line, is_coded) in [
            ("Content-Transfer-Encoding: BINARY", false),
            ("Content-Transfer-Encoding: base64", true),
            ("Content-Encoding: gzip", true),
            ("nonsense", false),
        ] {
            assert_eq!(
                PartHead::parse(line.as_bytes()).is_coded,
                is_coded,
                "{line}"
            );
        }
    }
}
