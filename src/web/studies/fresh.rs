//! Whether who asks has the list already: a page that is looked at asks again every few seconds, and is to cost next to
//! nothing while nothing happens. The entity tag (RFC 9110 §8.8.3) says what was asked and by whom, the change of the
//! archive that was looked at, and until when what it says of time is true.

use std::fmt;

use actix_web::http::header::{self, HeaderMap};

use crate::access::Action;
use crate::http::Caller;
use crate::web::language::Language;

/// What a list was made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tag {
    /// What was asked in which language, and what its asker may do.
    asked: String,
    /// The last change of the archive before the list was made.
    change: u64,
    /// When the first study of it that is arriving is no longer told so; 0 when none is.
    until_ms: i64,
}

impl Tag {
    /// Of a list that has no study yet. Before the archive is asked: what happens meanwhile is a later change.
    pub(super) fn of(
        caller: &Caller,
        (language, query): (Language, &str),
        has_viewer: bool,
        change: u64,
    ) -> Self {
        let mut hasher = blake3::Hasher::new();
        // Nobody's name has a line end in it.
        hasher.update(caller.name().as_bytes()).update(b"\n");
        let rights = Action::WORDS.map(|(action, _)| u8::from(caller.may(action)));
        hasher.update(&rights).update(&[u8::from(has_viewer)]);
        // Nor has a tag of a language.
        hasher.update(language.tag().as_bytes()).update(b"\n");
        hasher.update(query.as_bytes());
        Self {
            asked: hasher.finalize().to_hex()[..16].to_owned(),
            change,
            until_ms: 0,
        }
    }

    /// The same of a list whose studies are said to be arriving until these moments.
    pub(super) fn until(self, moments: impl Iterator<Item = i64>) -> Self {
        let until_ms = moments.min().unwrap_or(0);
        Self { until_ms, ..self }
    }

    /// The tag that a request names, when what it names is what would be told now.
    pub(super) fn known(&self, headers: &HeaderMap, now_ms: i64) -> Option<Self> {
        let named = headers.get(header::IF_NONE_MATCH)?.to_str().ok()?;
        let known = Self::read(named)?;
        let is_same = known.asked == self.asked && known.change == self.change;
        let is_timely = known.until_ms == 0 || now_ms < known.until_ms;
        (is_same && is_timely).then_some(known)
    }

    fn read(text: &str) -> Option<Self> {
        let text = text.trim().strip_prefix("W/\"")?.strip_suffix('"')?;
        let mut parts = text.splitn(3, '-');
        Some(Self {
            asked: parts.next()?.to_owned(),
            change: u64::from_str_radix(parts.next()?, 16).ok()?,
            until_ms: i64::from_str_radix(parts.next()?, 16).ok()?,
        })
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            asked,
            change,
            until_ms,
        } = self;
        write!(f, "W/\"{asked}-{change:x}-{until_ms:x}\"")
    }
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;

    use super::*;

    fn tag(change: u64) -> Tag {
        Tag {
            asked: "0123456789abcdef".into(),
            change,
            until_ms: 0,
        }
    }

    fn headers(text: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(header::IF_NONE_MATCH, HeaderValue::from_str(text).unwrap());
        headers
    }

    #[test]
    fn what_is_known_is_the_same_question_change_and_time() {
        let told = tag(7).until([5_000, 3_000].into_iter());
        assert_eq!(told.until_ms, 3_000);
        let named = headers(&told.to_string());
        assert_eq!(tag(7).known(&named, 2_999), Some(told.clone()));
        assert_eq!(tag(7).known(&named, 3_000), None);
        assert_eq!(tag(8).known(&named, 0), None);
        let other = Tag {
            asked: "f".into(),
            ..tag(7)
        };
        assert_eq!(other.known(&named, 0), None);
        let always = headers(&tag(7).to_string());
        assert_eq!(tag(7).known(&always, i64::MAX), Some(tag(7)));
    }

    #[test]
    fn what_is_no_tag_is_not_known() {
        for text in ["*", "", "W/\"\"", "W/\"a-b\"", "W/\"a-7-x\"", "\"a\""] {
            assert_eq!(tag(7).known(&headers(text), 0), None, "{text}");
        }
        assert_eq!(tag(7).known(&HeaderMap::new(), 0), None);
    }
}
