//! Writing HTML: the frame around every page, links, names.

use std::fmt::{self, Display, Write};

use actix_web::dev::Handler;
use actix_web::http::header;
use actix_web::{FromRequest, HttpResponse, HttpResponseBuilder, Resource, Responder, web};

use crate::dicom::text_form::{self, escaped};

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
        .insert_header((header::REFERRER_POLICY, "same-origin"))
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

/// A person name (PS3.5 §6.2.1) as people write it, as HTML: the first group that says something,
/// then the others smaller.
pub(super) fn person(value: &str) -> String {
    let groups = value
        .split('=')
        .map(text_form::plain_name)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_escapes() {
        let hostile = "<script>alert(1)</script>\"'&\0\u{7}\n";
        let text = escaped(hostile).to_string();
        assert_eq!(
            text,
            "&lt;script&gt;alert(1)&lt;/script&gt;&quot;&#39;&amp;\u{fffd}\u{fffd}\n"
        );
        assert!(!person("<b>^\"x\"=<i>").contains("<b>"));
        assert_eq!(InQuery("a&b=ü/\"").to_string(), "a%26b%3D%C3%BC%2F%22");
    }

    #[test]
    fn values_read_well() {
        assert_eq!(
            person("Yamada^Tarou=山田^太郎"),
            "<bdi>Yamada, Tarou</bdi> <bdi class=\"also\">山田, 太郎</bdi>"
        );
        assert_eq!(person(""), "");
    }
}
