//! Writing HTML: escaping, the frame around every page, and values as people read them.

use std::fmt::{self, Display, Write};

use actix_web::dev::Handler;
use actix_web::http::header;
use actix_web::{FromRequest, HttpResponse, HttpResponseBuilder, Resource, Responder, web};

/// Nothing but our own style sheet and pictures; no script at all; nobody may frame us.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; img-src 'self'; style-src 'self'; form-action 'self'; \
    base-uri 'none'; frame-ancestors 'none'";

/// A resource that answers to GET and HEAD.
pub(super) fn resource<F, Args>(path: &str, handler: F) -> Resource
where
    F: Handler<Args> + Clone,
    Args: FromRequest + 'static,
    F::Output: Responder + 'static,
{
    web::resource(path)
        .route(web::get().to(handler.clone()))
        .route(web::head().to(handler))
}

/// Text for an element or a quoted attribute.
pub(super) fn escaped(text: &str) -> Escaped<'_> {
    Escaped(text)
}

pub(super) struct Escaped<'a>(&'a str);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                '\n' | '\t' => f.write_char(' ')?,
                // Control characters are no HTML; browsers would guess.
                c if c.is_control() => f.write_char('\u{fffd}')?,
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

/// A value in the query of a link, percent-encoded (RFC 3986 §2.3).
pub(super) struct InQuery<'a>(pub(super) &'a str);

impl Display for InQuery<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.0.bytes() {
            if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                f.write_char(char::from(byte))?;
            } else {
                write!(f, "%{byte:02X}")?;
            }
        }
        Ok(())
    }
}

/// A whole page. `root` leads from the page to `/`: empty or `../`.
pub(super) fn page(
    mut response: HttpResponseBuilder,
    title: &str,
    root: &str,
    body: &str,
) -> HttpResponse {
    let title = escaped(title);
    response
        .content_type(mime::TEXT_HTML_UTF_8)
        .insert_header((header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((header::REFERRER_POLICY, "no-referrer"))
        .insert_header((header::CACHE_CONTROL, "private, no-store"))
        .body(format!(
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta name=\"color-scheme\" content=\"light dark\">\n<title>{title} · Overread</title>\n\
             <link rel=\"icon\" href=\"{root}assets/icon.svg\" type=\"image/svg+xml\">\n\
             <link rel=\"stylesheet\" href=\"{root}assets/pages.css\">\n</head>\n<body>\n\
             <header class=\"top\"><a href=\"{home}\"><img src=\"{root}assets/icon.svg\" alt=\"\" width=\"28\" height=\"28\">\
             <span>Overread</span></a></header>\n<main>\n{body}</main>\n\
             <footer>Not for primary diagnosis.</footer>\n</body>\n</html>\n",
            home = if root.is_empty() { "./" } else { root },
        ))
}

/// `20260131` as `2026-01-31`; anything else as it is.
pub(super) fn date(value: &str) -> String {
    match value.as_bytes() {
        digits if digits.len() == 8 && digits.iter().all(u8::is_ascii_digit) => {
            format!("{}-{}-{}", &value[..4], &value[4..6], &value[6..])
        }
        _ => value.to_owned(),
    }
}

/// `142530.5` as `14:25`; anything else is left out.
pub(super) fn time(value: &str) -> String {
    match value.as_bytes() {
        digits if digits.len() >= 4 && digits[..4].iter().all(u8::is_ascii_digit) => {
            format!("{}:{}", &value[..2], &value[2..4])
        }
        _ => String::new(),
    }
}

/// A person name (PS3.5 §6.2.1) as people write it, as HTML: the first group that says something,
/// then the others smaller.
pub(super) fn person(value: &str) -> String {
    let groups = value
        .split('=')
        .map(plain_name)
        .filter(|name| !name.is_empty());
    let mut html = String::new();
    for (place, name) in groups.enumerate() {
        // `bdi` keeps the direction of one name from turning its neighbours round.
        let _ = match place {
            0 => write!(html, "<bdi>{}</bdi>", escaped(&name)),
            _ => write!(html, " <bdi class=\"also\">{}</bdi>", escaped(&name)),
        };
    }
    html
}

/// A person name as plain text: its first group that says something.
pub(super) fn person_text(value: &str) -> String {
    value
        .split('=')
        .map(plain_name)
        .find(|name| !name.is_empty())
        .unwrap_or_default()
}

/// `Family^Given^Middle^Prefix^Suffix` as `Family, Given Middle`.
fn plain_name(group: &str) -> String {
    let mut parts = group.split('^').map(str::trim);
    let family = parts.next().unwrap_or_default();
    let given: Vec<&str> = parts.take(2).filter(|part| !part.is_empty()).collect();
    match (family.is_empty(), given.is_empty()) {
        (_, true) => family.to_owned(),
        (true, false) => given.join(" "),
        (false, false) => format!("{family}, {}", given.join(" ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_escapes() {
        let hostile = "<script>alert(1)</script>\"'&\0\u{7}\n";
        let text = escaped(hostile).to_string();
        assert_eq!(
            text,
            "&lt;script&gt;alert(1)&lt;/script&gt;&quot;&#39;&amp;\u{fffd}\u{fffd} "
        );
        assert!(!person("<b>^\"x\"=<i>").contains("<b>"));
        assert_eq!(InQuery("a&b=ü/\"").to_string(), "a%26b%3D%C3%BC%2F%22");
    }

    #[test]
    fn values_read_well() {
        assert_eq!(date("20260131"), "2026-01-31");
        assert_eq!(date("2026"), "2026");
        assert_eq!(date("Ⅷ2345"), "Ⅷ2345");
        assert_eq!(time("142530.5"), "14:25");
        assert_eq!(time("1"), "");
        assert_eq!(person_text("Doe^John^Q^Dr"), "Doe, John Q");
        assert_eq!(person_text("=山田^太郎"), "山田, 太郎");
        assert_eq!(
            person("Yamada^Tarou=山田^太郎"),
            "<bdi>Yamada, Tarou</bdi> <bdi class=\"also\">山田, 太郎</bdi>"
        );
        assert_eq!(person(""), "");
    }
}
