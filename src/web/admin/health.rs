//! Whether all is well, in plain words, on the first page of administrators.

use std::fmt::{Display, Write};

use crate::dicom::text_form::escaped;
use crate::http::condition::{Condition, Finding, Said, Value};
use crate::web::language::Language;

/// Writes down what was found.
pub(super) fn write(html: &mut String, language: Language, condition: &Condition) {
    let _ = writeln!(
        html,
        "<section class=\"card\"><h2>{}</h2><table class=\"figures health\"><tbody>",
        language.say("Health")
    );
    for finding in &condition.findings {
        let chip = match finding.is_well {
            true => format!("<span class=\"chip good\">{}</span>", language.say("well")),
            false => format!("<span class=\"chip warn\">{}</span>", language.say("look")),
        };
        let _ = writeln!(
            html,
            "<tr><th scope=\"row\">{}</th><td>{chip}</td><td>{}</td></tr>",
            language.say(finding.what.name()),
            how(language, finding)
        );
    }
    html.push_str("</tbody></table></section>\n");
}

/// How it is; HTML.
fn how(language: Language, finding: &Finding) -> String {
    let mut html = String::new();
    for (place, said) in finding.said.iter().enumerate() {
        let gap = if place == 0 { "" } else { " " };
        let sentence = sentence(language, said);
        let _ = match said.code {
            "held-back" => write!(html, "{gap}<a href=\"admin/quarantine\">{sentence}</a>"),
            _ => write!(html, "{gap}{sentence}"),
        };
    }
    html
}

/// HTML too.
fn sentence(language: Language, said: &Said) -> String {
    let values = said.values.iter().map(|(name, value)| {
        let value = match value {
            Value::Plain(text) => escaped(text).to_string(),
            Value::Name(text) => format!("<bdi>{}</bdi>", escaped(text)),
            Value::Sentence(text) => escaped(&language.sentence(text)).to_string(),
        };
        (*name, value)
    });
    let values: Vec<_> = values.collect();
    let values = values
        .iter()
        .map(|(name, value)| (*name, value as &dyn Display));
    let values: Vec<_> = values.collect();
    language.fill(said.english, &values)
}
