//! `/studies/{study}/series/{series}/instances/{instance}/tags`: all attributes of an instance, as its metadata has them,
//! with a filter. Its module (`/web/tags.js`) asks for the same page while somebody types.

use std::fmt::Write;

use actix_web::{HttpRequest, HttpResponse, web};

use crate::access::{Action, Scope};
use crate::archive::Target;
use crate::dicom::Uid;
use crate::dicom::json::splice_base;
use crate::dicom::listed::{self, Line, Listed, Shown};
use crate::dicom::text_form::escaped;
use crate::http::{Caller, Hall, Problem, off_thread, parameters};
use crate::web::frame::{Frame, Part};
use crate::web::language::Language;
use crate::web::tell_accessed;

/// More metadata than this is not taken apart for a page. Bytes.
const METADATA_BYTES_MAX: usize = 8 << 20;
/// The longest word that is looked for. Bytes.
const WORD_BYTES_MAX: usize = 256;
/// The deepest indentation that the style sheet has.
const INDENTS: usize = 6;
/// From the page to `/`.
const ROOT: &str = "../../../../../../";

/// What is looked at.
struct Asked {
    study: Uid,
    series: Uid,
    instance: Uid,
    word: String,
}

/// What is there.
enum Found {
    Listed(Listed),
    /// Too much, or too deep, to be taken apart.
    TooMuch,
}

/// `GET /studies/{study}/series/{series}/instances/{instance}/tags?q=`
pub(super) async fn page(
    request: HttpRequest,
    path: web::Path<(String, String, String)>,
    hall: web::Data<Hall>,
) -> Result<HttpResponse, Problem> {
    let asked = Asked::read(&path, request.query_string())?;
    let caller = Caller::of(&request)?;
    let scope = caller.admit(&hall, Action::Retrieve).await?;
    tell_accessed(&hall, &caller, &scope, &asked.study).await?;
    // Few at a time: it is work for the processor, and takes memory.
    let place = hall.begin_drawing().await?;
    let shared = hall.clone();
    let found = off_thread(move || {
        let _place = place;
        find(&shared, &scope, &asked).map(|found| (asked, found))
    });
    let (asked, found) = found.await??;
    let mut body = String::new();
    let language = Language::of(&request);
    write(&mut body, language, &asked, &found);
    let frame = Frame::of(&request, &caller, Part::Studies, ROOT).with_module("tags.js");
    Ok(frame.page(HttpResponse::Ok(), language.say("Tags"), &body))
}

impl Asked {
    fn read(path: &(String, String, String), query: &str) -> Result<Self, Problem> {
        let uid = |text: &str| Uid::parse(text).map_err(|_| Problem::not_found());
        let word = parameters(query)?.into_iter().find(|(name, _)| name == "q");
        let word = word.map(|(_, word)| word).unwrap_or_default();
        if word.len() > WORD_BYTES_MAX {
            return Err(Problem::bad_request(
                "no word that is looked for is so long",
            ));
        }
        Ok(Self {
            study: uid(&path.0)?,
            series: uid(&path.1)?,
            instance: uid(&path.2)?,
            word,
        })
    }

    /// Where DICOMweb has it.
    fn resource(&self) -> String {
        let Self {
            study,
            series,
            instance,
            ..
        } = self;
        format!("{ROOT}dicom-web/studies/{study}/series/{series}/instances/{instance}")
    }
}

fn find(hall: &Hall, scope: &Scope, asked: &Asked) -> Result<Found, Problem> {
    let target = Target::Instance(
        asked.study.clone(),
        asked.series.clone(),
        asked.instance.clone(),
    );
    let mut found = hall.archive().metadata(&target, scope, None, 1)?;
    let prepared = found.pop().ok_or_else(Problem::not_found)?;
    if prepared.metadata.len() > METADATA_BYTES_MAX {
        return Ok(Found::TooMuch);
    }
    let mut metadata = Vec::new();
    splice_base(
        &prepared.metadata,
        &format!("{ROOT}dicom-web"),
        &mut metadata,
    );
    let listed = listed::listed(&metadata, &asked.word);
    Ok(listed.map_or(Found::TooMuch, Found::Listed))
}

fn write(html: &mut String, language: Language, asked: &Asked, found: &Found) {
    let say = |english| language.say(english);
    let _ = write!(
        html,
        "<p class=\"back\"><a href=\"{ROOT}studies/{study}?series={series}\">← {images}</a></p>\n<h1>{tags}</h1>\n\
         <p class=\"uid\">{instance}</p>\n<form class=\"filter one\" method=\"get\" action=\"tags\" role=\"search\">\n\
         <label>{label}<input name=\"q\" type=\"search\" value=\"{word}\"></label>\n<button>{search}</button>\n\
         <a class=\"clear\" href=\"tags\"{hidden}>{clear}</a>\n</form>\n<div id=\"list\">\n",
        study = asked.study,
        series = asked.series,
        instance = asked.instance,
        word = escaped(&asked.word),
        images = say("Images"),
        tags = say("Tags"),
        label = say("Tag, name or value"),
        search = say("Search"),
        clear = say("Clear"),
        hidden = if asked.word.trim().is_empty() {
            " hidden"
        } else {
            ""
        },
    );
    let json = format!(
        "<a href=\"{}/metadata\">{}</a>",
        asked.resource(),
        say("as DICOM JSON")
    );
    match found {
        Found::TooMuch => {
            let text = language.fill(
                "There is too much of it, or too deep, to be shown here: {link}.",
                &[("link", &json)],
            );
            let _ = writeln!(html, "<p class=\"empty\">{text}</p>");
        }
        Found::Listed(listed) if listed.lines.is_empty() => {
            let _ = writeln!(
                html,
                "<p class=\"empty\">{}</p>",
                say("No attribute matches.")
            );
        }
        Found::Listed(listed) => {
            write_table(html, language, &listed.lines);
            let (shown, total) = (listed.lines.len(), listed.total);
            let told = match shown == total {
                true => language.count(total as u64, ["{count} line", "{count} lines"]),
                false => language.fill(
                    "the first {shown} of {total} lines",
                    &[("shown", &shown), ("total", &total)],
                ),
            };
            let _ = writeln!(
                html,
                "<p class=\"paging\"><span data-told=\"{told}.\">{told}</span> <span>{json}</span></p>"
            );
        }
    }
    html.push_str("</div>\n");
}

fn write_table(html: &mut String, language: Language, lines: &[Line]) {
    let _ = write!(
        html,
        "<table class=\"studies tags\">\n<thead><tr><th>{}</th><th>{}</th><th>VR</th><th>{}</th></tr></thead>\n<tbody>\n",
        language.say("Tag"),
        language.say("Keyword"),
        language.say("Value")
    );
    for line in lines {
        let indent = line.depth.min(INDENTS);
        if let Shown::Item(number) = line.value {
            let _ = writeln!(
                html,
                "<tr><td class=\"in-{indent}\" colspan=\"4\"><span class=\"also\">{}</span></td></tr>",
                language.fill("item {number}", &[("number", &number)])
            );
            continue;
        }
        let _ = write!(
            html,
            "<tr><td class=\"uid in-{indent}\">{}</td><td>{}</td><td class=\"vr\">{}</td><td class=\"value\">",
            escaped(&line.tag),
            escaped(&name(language, &line.name)),
            escaped(&line.vr),
        );
        write_value(html, language, &line.value);
        html.push_str("</td></tr>\n");
    }
    html.push_str("</tbody>\n</table>\n");
}

/// Keywords of the standard stay; of what it does not know the reader is told in their language.
fn name(language: Language, name: &str) -> String {
    match name.starts_with("private") {
        true => language.sentence(name),
        false => name.to_owned(),
    }
}

fn write_value(html: &mut String, language: Language, value: &Shown) {
    let say = |english| language.say(english);
    let _ = match value {
        Shown::Empty => write!(html, "<span class=\"also\">{}</span>", say("empty")),
        Shown::Text(text, None) => write!(html, "<bdi>{}</bdi>", escaped(text)),
        Shown::Text(text, Some(characters)) => write!(
            html,
            "<bdi>{}</bdi>… <span class=\"also\">{}</span>",
            escaped(text),
            language.fill("{count} characters", &[("count", characters)])
        ),
        Shown::Bytes(bytes) => {
            let bytes = language.fill("{count} bytes", &[("count", bytes)]);
            write!(html, "<span class=\"also\">{bytes}</span>")
        }
        Shown::Bulk(uri) => {
            let name = say("bulk data");
            write!(html, "<a href=\"{}\" download>{name}</a>", escaped(uri))
        }
        Shown::Items(count) => {
            let items = language.count(*count as u64, ["{count} item", "{count} items"]);
            write!(html, "<span class=\"also\">{items}</span>")
        }
        Shown::Deep(count) => {
            let items = language.count(
                *count as u64,
                [
                    "{count} item, too deep to be shown",
                    "{count} items, too deep to be shown",
                ],
            );
            write!(html, "<span class=\"also\">{items}</span>")
        }
        // A line of its own.
        Shown::Item(_) => Ok(()),
    };
}

/// The address of the tags of an instance, after `studies/`, as HTML.
pub(super) fn place(study: &Uid, series: &str, instance: &str) -> String {
    format!(
        "{study}/series/{}/instances/{}/tags",
        escaped(series),
        escaped(instance)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOSTILE: &str = "</td><script>alert(1)</script>\"'><img src=x onerror=alert(1)>";

    #[test]
    fn hostile_values_stay_text() {
        let path = ("1.2".into(), "1.3".into(), "1.4".into());
        let mut asked = Asked::read(&path, "q=%22%3E%3Cscript%3E").unwrap();
        asked.word += HOSTILE;
        let values = [
            Shown::Text(HOSTILE.into(), None),
            Shown::Text(HOSTILE.into(), Some(900)),
            Shown::Bulk(HOSTILE.into()),
        ];
        let lines = values.map(|value| Line {
            depth: 99,
            tag: HOSTILE.into(),
            name: HOSTILE.into(),
            vr: HOSTILE.into(),
            value,
        });
        let listed = Listed {
            lines: lines.into(),
            total: 3,
        };
        let mut html = String::new();
        write(&mut html, Language::French, &asked, &Found::Listed(listed));
        assert!(
            !html.contains("<script") && !html.contains("<img"),
            "{html}"
        );
    }

    #[test]
    fn only_uids_and_short_words_are_looked_for() {
        let path = |uid: &str| ("1.2".to_owned(), "1.3".to_owned(), uid.to_owned());
        assert!(Asked::read(&path("x"), "").is_err());
        let long = format!("q={}", "a".repeat(WORD_BYTES_MAX + 1));
        assert!(Asked::read(&path("1.4"), &long).is_err());
        assert!(Asked::read(&path("1.4"), &long[..WORD_BYTES_MAX + 2]).is_ok());
    }
}
