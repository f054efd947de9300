//! One byte range of a representation (RFC 9110 §14; PS3.18 §8.6.1.1).

use actix_web::http::header::{self, HeaderMap};

/// What a request asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// All of it.
    Whole,
    /// First byte and number of bytes.
    Part(u64, u64),
    /// A range that it does not have.
    Nowhere,
}

/// Reads `Range`. What is malformed, several ranges, or bound to another version asks for the whole.
pub(super) fn range(headers: &HeaderMap, length: u64, tag: &str) -> Asked {
    let if_range = headers
        .get(header::IF_RANGE)
        .map(|value| value.as_bytes() == tag.as_bytes());
    let text = headers
        .get(header::RANGE)
        .and_then(|value| value.to_str().ok());
    let Some((first, last)) =
        text.and_then(|text| text.strip_prefix("bytes=")?.trim().split_once('-'))
    else {
        return Asked::Whole;
    };
    if if_range == Some(false) {
        return Asked::Whole;
    }
    let (first, last) = match (first.parse::<u64>(), last.parse::<u64>()) {
        (Ok(first), Ok(last)) if first <= last => (first, last.min(length.saturating_sub(1))),
        (Ok(first), Err(_)) if last.is_empty() => (first, length.saturating_sub(1)),
        // The last so many bytes.
        (Err(_), Ok(0)) if first.is_empty() => return Asked::Nowhere,
        (Err(_), Ok(count)) if first.is_empty() => {
            (length.saturating_sub(count), length.saturating_sub(1))
        }
        _ => return Asked::Whole,
    };
    if first >= length {
        Asked::Nowhere
    } else {
        Asked::Part(first, last - first + 1)
    }
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;

    use super::*;

    #[test]
    fn ranges_follow_rfc_9110() {
        let cases = [
            ("bytes=0-9", Asked::Part(0, 10)),
            ("bytes=90-", Asked::Part(90, 10)),
            ("bytes=90-1000", Asked::Part(90, 10)),
            ("bytes=-5", Asked::Part(95, 5)),
            ("bytes=-500", Asked::Part(0, 100)),
            ("bytes=100-", Asked::Nowhere),
            ("bytes=-0", Asked::Nowhere),
            ("bytes=5-4", Asked::Whole),
            ("bytes=0-1,3-4", Asked::Whole),
            ("bytes=a-b", Asked::Whole),
            ("lines=0-1", Asked::Whole),
        ];
        for (text, expected) in cases {
            let mut headers = HeaderMap::new();
            headers.insert(header::RANGE, HeaderValue::from_static(text));
            assert_eq!(range(&headers, 100, "\"t\""), expected, "{text}");
            headers.insert(header::IF_RANGE, HeaderValue::from_static("\"other\""));
            assert_eq!(range(&headers, 100, "\"t\""), Asked::Whole, "{text}");
        }
        let mut headers = HeaderMap::new();
        headers.insert(header::RANGE, HeaderValue::from_static("bytes=0-"));
        assert_eq!(range(&headers, 0, "\"t\""), Asked::Nowhere);
        assert_eq!(range(&HeaderMap::new(), 100, "\"t\""), Asked::Whole);
    }
}
