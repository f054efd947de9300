//! The character set of text answers (PS3.18 §8.8): UTF-8, always. What a request says of it is read
//! so far as to refuse what it could not read: the `charset` query parameter and `Accept-Charset`.

use actix_web::http::header::{self, HeaderMap};
use encoding_rs::{Encoding, UTF_8};

use crate::http::Problem;

/// Looks whether the caller can read UTF-8. Names that nobody knows are passed over (§8.8.5).
///
/// # Errors
/// 406 when it names character sets, and UTF-8 is not among them.
pub(super) fn check(headers: &HeaderMap, in_query: Option<&str>) -> Result<(), Problem> {
    let lines = headers
        .get_all(header::ACCEPT_CHARSET)
        .filter_map(|line| line.to_str().ok());
    let mut is_other_asked = false;
    for member in in_query
        .into_iter()
        .chain(lines)
        .flat_map(|list| list.split(','))
    {
        let (name, parameter) = member.split_once(';').unwrap_or((member, ""));
        let name = name.trim();
        let is_refused = parameter
            .trim()
            .strip_prefix("q=")
            .and_then(|q| q.parse::<f32>().ok())
            .is_some_and(|q| q <= 0.0);
        let is_ours = name == "*" || Encoding::for_label(name.as_bytes()) == Some(UTF_8);
        if is_ours && !is_refused {
            return Ok(());
        }
        is_other_asked |= is_ours || Encoding::for_label(name.as_bytes()).is_some();
    }
    if is_other_asked {
        return Err(Problem::not_acceptable("text is available in UTF-8 only"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;

    use super::*;

    #[test]
    fn only_who_cannot_read_utf_8_is_refused() {
        let cases = [
            (None, None, true),
            (Some("utf-8"), None, true),
            (Some("UTF-8"), Some("iso-8859-1"), true),
            (Some("no-such-set"), None, true),
            (Some("iso-8859-1"), None, false),
            (Some("iso-8859-1,utf-8"), None, true),
            (None, Some("iso-8859-1, utf-8;q=0.5"), true),
            (None, Some("iso-8859-1, *;q=0.1"), true),
            (None, Some("shift_jis;q=0.9"), false),
            (None, Some("utf-8;q=0"), false),
        ];
        for (in_query, in_header, expected) in cases {
            let mut headers = HeaderMap::new();
            if let Some(text) = in_header {
                headers.insert(header::ACCEPT_CHARSET, HeaderValue::from_static(text));
            }
            let result = check(&headers, in_query);
            assert_eq!(result.is_ok(), expected, "{in_query:?} {in_header:?}");
        }
    }
}
