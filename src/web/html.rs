//! Writing HTML: resources that are pages, links, names.

use std::fmt::{self, Display, Write};

use actix_web::dev::Handler;
use actix_web::{FromRequest, Resource, Responder, web};

use crate::archive::Row;
use crate::dicom::text_form::{self, escaped};
use crate::web::language::Language;

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

/// Whose study a row is, as HTML; that it says nobody, when it does not.
pub(super) fn patient(language: Language, row: &Row) -> String {
    let name = row.attributes.by_keyword("PatientName").unwrap_or_default();
    person_or_none(language, name)
}

/// The same of a person name (PS3.5 §6.2.1).
pub(super) fn person_or_none(language: Language, value: &str) -> String {
    match person(value) {
        name if name.is_empty() => format!("<i>{}</i>", language.say("no name")),
        name => name,
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
