//! In which language a page speaks, as who reads it has chosen, or as their browser asks. What it says in it stands in
//! `/web/texts` (`texts`), by the English sentence; what these do not have is said in English.

use std::fmt::{Display, Write};

use actix_web::http::header::{self, HeaderMap};
use actix_web::{HttpRequest, HttpResponse, web};

use crate::dicom::text_form::escaped;
use crate::http::{Hall, Problem, base_url, parameters};
use crate::web::html::InQuery;
use crate::web::sign_in::place;
use crate::web::texts;

/// The cookie with what somebody has chosen.
const COOKIE: &str = "overread_language";
/// So long it is remembered. Seconds.
const REMEMBERED_S: u64 = 365 * 86_400;
/// The most languages of `Accept-Language` that are looked at.
const ASKED_MAX: usize = 20;

/// A language of our pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(super) enum Language {
    #[default]
    English,
    German,
    French,
    Spanish,
    Hindi,
}

impl Language {
    /// All of them, with their tags (BCP 47) and what they call themselves.
    const ALL: [(Self, &'static str, &'static str); 5] = [
        (Self::English, "en", "English"),
        (Self::German, "de", "Deutsch"),
        (Self::French, "fr", "Français"),
        (Self::Spanish, "es", "Español"),
        (Self::Hindi, "hi", "हिन्दी"),
    ];

    /// The one that was chosen, else the first that the browser asks for and we have.
    pub(super) fn of(request: &HttpRequest) -> Self {
        let headers = request.headers();
        chosen(headers).unwrap_or_else(|| asked(headers).unwrap_or_default())
    }

    pub(super) fn by_tag(tag: &str) -> Option<Self> {
        let primary = tag.split('-').next().unwrap_or_default();
        let known = |(_, known, _): &&(Self, &str, &str)| known.eq_ignore_ascii_case(primary);
        Self::ALL.iter().find(known).map(|(language, ..)| *language)
    }

    /// As `lang` has it.
    pub(super) fn tag(self) -> &'static str {
        let found = Self::ALL.iter().find(|(language, ..)| *language == self);
        found.map_or("en", |(_, tag, _)| tag)
    }

    /// A text of a page.
    pub(super) fn say(self, english: &'static str) -> &'static str {
        texts::said(self, english).unwrap_or(english)
    }

    /// The same with values in the place of `{name}`.
    pub(super) fn fill(self, english: &'static str, values: &[(&str, &dyn Display)]) -> String {
        filled(self.say(english), values)
    }

    /// So many of something, by the words for one and for many, both with `{count}`.
    pub(super) fn count(self, count: u64, [one, many]: [&'static str; 2]) -> String {
        self.fill(if count == 1 { one } else { many }, &[("count", &count)])
    }

    /// A sentence of another room: whole, with its number as `{number}`, or what stands before its colon, and what after it
    /// where that is known.
    pub(super) fn sentence(self, english: &str) -> String {
        if let Some(found) = texts::said(self, english) {
            return found.to_owned();
        }
        let digits = |c: char| c.is_ascii_digit();
        if let Some(start) = english.find(digits) {
            let rest = &english[start..];
            let end = rest.find(|c| !digits(c)).unwrap_or(rest.len());
            let (number, after) = rest.split_at(end);
            let general = format!("{}{{number}}{after}", &english[..start]);
            if let Some(found) = texts::said(self, &general) {
                return filled(found, &[("number", &number)]);
            }
        }
        let known = english
            .split_once(": ")
            .and_then(|(head, rest)| Some((texts::said(self, head)?, rest)));
        known.map_or_else(
            || english.to_owned(),
            |(head, rest)| format!("{head}: {}", texts::said(self, rest).unwrap_or(rest)),
        )
    }

    /// The languages to choose from, at the foot of a page. `then` is the path of the page.
    pub(super) fn write_switch(self, html: &mut String, root: &str, then: &str) {
        let _ = write!(
            html,
            "<nav class=\"languages\" aria-label=\"{}\">",
            self.say("Language")
        );
        for (language, tag, name) in Self::ALL {
            let current = if language == self {
                " aria-current=\"true\""
            } else {
                ""
            };
            let _ = write!(
                html,
                "<a href=\"{root}language/{tag}?then={}\" lang=\"{tag}\" hreflang=\"{tag}\" rel=\"nofollow\"{current}>{name}</a> ",
                escaped(&InQuery(then).to_string())
            );
        }
        html.push_str("</nav>");
    }
}

fn filled(text: &str, values: &[(&str, &dyn Display)]) -> String {
    let mut filled = text.to_owned();
    for (name, value) in values {
        filled = filled.replace(&format!("{{{name}}}"), &value.to_string());
    }
    filled
}

fn chosen(headers: &HeaderMap) -> Option<Language> {
    let lines = headers.get_all(header::COOKIE);
    lines
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find_map(|(name, tag)| Language::by_tag(tag).filter(|_| name == COOKIE))
}

/// The best of `Accept-Language` (RFC 9110 §12.5.4).
fn asked(headers: &HeaderMap) -> Option<Language> {
    let line = headers.get(header::ACCEPT_LANGUAGE)?.to_str().ok()?;
    let mut best = None;
    for range in line.split(',').take(ASKED_MAX) {
        let (tag, rest) = range.split_once(';').unwrap_or((range, ""));
        let weight = rest.trim().strip_prefix("q=").unwrap_or("1");
        let weight: f32 = weight.trim().parse().unwrap_or(0.0);
        let is_better = weight > best.map_or(0.0, |(weight, _)| weight);
        if let Some(language) = Language::by_tag(tag.trim()).filter(|_| is_better) {
            best = Some((weight, language));
        }
    }
    best.map(|(_, language)| language)
}

/// `GET /language/{tag}?then=/…`: 303 back to the page, which speaks it from now on.
pub(super) async fn choose(
    request: HttpRequest,
    tag: web::Path<String>,
    hall: web::Data<Hall>,
) -> Result<HttpResponse, Problem> {
    let language = Language::by_tag(&tag).ok_or_else(Problem::not_found)?;
    let then = parameters(request.query_string())?;
    let then = then.into_iter().find(|(name, _)| name == "then");
    let then = then.map(|(_, value)| value).unwrap_or_default();
    let base = base_url(&request, hall.settings())?;
    let cookie = format!(
        "{COOKIE}={}; Max-Age={REMEMBERED_S}; Path=/; HttpOnly; SameSite=Lax",
        language.tag()
    );
    let mut response = HttpResponse::SeeOther();
    response.insert_header((header::LOCATION, format!("{base}{}", place(&then))));
    response.insert_header((header::CACHE_CONTROL, "no-store"));
    response.insert_header((header::SET_COOKIE, cookie));
    Ok(response.finish())
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn of(lines: &[(&'static str, &str)]) -> Language {
        let mut request = TestRequest::default();
        for line in lines {
            request = request.append_header(*line);
        }
        Language::of(&request.to_http_request())
    }

    #[test]
    fn a_page_speaks_as_was_chosen_else_as_the_browser_asks() {
        for (line, language) in [
            ("de-CH, en;q=0.8", Language::German),
            ("en, de", Language::English),
            ("nl, pt;q=0.9, es-419;q=0.3, fr;q=0.2", Language::Spanish),
            ("hi;q=0.1, fr;q=0.5", Language::French),
            ("fr;q=0, hi", Language::Hindi),
            ("de;q=x", Language::English),
            ("*, \u{fc}", Language::English),
            ("", Language::English),
        ] {
            assert_eq!(of(&[("accept-language", line)]), language, "{line}");
        }
        let asks = ("accept-language", "de");
        assert_eq!(
            of(&[asks, ("cookie", "a=b; overread_language=fr")]),
            Language::French
        );
        assert_eq!(
            of(&[asks, ("cookie", "overread_language=xx; x=fr")]),
            Language::German
        );
    }

    #[test]
    fn sentences_of_other_rooms_are_known_by_their_number_or_their_head() {
        let german = Language::German;
        let wait = german.sentence("too many failures; try again in 17 s");
        assert_eq!(
            wait,
            "zu viele Fehlversuche; versuchen Sie es in 17 s noch einmal"
        );
        assert_eq!(
            german.sentence("cannot be read: odd"),
            "kann nicht gelesen werden: odd"
        );
        for unknown in ["who knows", "who knows: 7", "7", ""] {
            assert_eq!(german.sentence(unknown), unknown);
        }
        assert_eq!(
            german.count(1, ["{count} file", "{count} files"]),
            "1 Datei"
        );
        assert_eq!(
            german.count(2, ["{count} file", "{count} files"]),
            "2 Dateien"
        );
        assert_eq!(Language::English.say("Send"), "Send");
    }
}
