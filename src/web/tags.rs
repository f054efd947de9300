//! `/studies/{study}/series/{series}/instances/{instance}/tags`: all attributes of an instance, as its metadata has them,
//! with a filter. Its module (`/web/tags.js`) asks for the same page while somebody types.

use std::fmt::Write;

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};

use crate::access::{Action, Scope};
use crate::archive::Target;
use crate::dicom::Uid;
use crate::dicom::json::splice_base;
use crate::dicom::listed::{self, Line, Listed, Shown};
use crate::dicom::text_form::escaped;
use crate::http::{Caller, Hall, Problem, off_thread, parameters};
use crate::web::frame::{Frame, Part};
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
    write(&mut body, &asked, &found);
    let frame = Frame::of(&request, &caller, Part::Studies, ROOT).with_module("tags.js");
    Ok(frame.page(HttpResponse::Ok(), "Tags", &body))
}

impl Asked {
    fn read(path: &(String, String, String), query: &str) -> Result<Self, Problem> {
        let uid = |text: &str| Uid::parse(text).map_err(|_| Problem::not_found());
        let word = parameters(query)?.into_iter().find(|(name, _)| name == "q");
        let word = word.map(|(_, word)| word).unwrap_or_default();
        if word.len() > WORD_BYTES_MAX {
            let text = format!("a word has at most {WORD_BYTES_MAX} bytes");
            return Err(Problem::new(StatusCode::BAD_REQUEST, text));
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

fn write(html: &mut String, asked: &Asked, found: &Found) {
    let _ = write!(
        html,
        "<p class=\"back\"><a href=\"{ROOT}studies/{study}?series={series}\">← Images</a></p>\n<h1>Tags</h1>\n\
         <p class=\"uid\">{instance}</p>\n<form class=\"filter one\" method=\"get\" action=\"tags\" role=\"search\">\n\
         <label>Tag, name or value<input name=\"q\" type=\"search\" value=\"{word}\"></label>\n<button>Search</button>\n\
         <a class=\"clear\" href=\"tags\"{hidden}>Clear</a>\n</form>\n<div id=\"list\">\n",
        study = asked.study,
        series = asked.series,
        instance = asked.instance,
        word = escaped(&asked.word),
        hidden = if asked.word.trim().is_empty() {
            " hidden"
        } else {
            ""
        },
    );
    let json = format!(
        "<a href=\"{}/metadata\">as DICOM JSON</a>",
        asked.resource()
    );
    match found {
        Found::TooMuch => {
            let _ = writeln!(
                html,
                "<p class=\"empty\">There is too much of it, or too deep, to be shown here: {json}.</p>"
            );
        }
        Found::Listed(listed) if listed.lines.is_empty() => {
            html.push_str("<p class=\"empty\">No attribute matches.</p>\n");
        }
        Found::Listed(listed) => {
            write_table(html, &listed.lines);
            let (shown, total) = (listed.lines.len(), listed.total);
            let told = match shown == total {
                true => format!("{total} lines"),
                false => format!("the first {shown} of {total} lines"),
            };
            let _ = writeln!(
                html,
                "<p class=\"paging\"><span data-told=\"{told}.\">{told}</span> <span>{json}</span></p>"
            );
        }
    }
    html.push_str("</div>\n");
}

fn write_table(html: &mut String, lines: &[Line]) {
    html.push_str(
        "<table class=\"studies tags\">\n<thead><tr><th>Tag</th><th>Name</th><th>VR</th><th>Value</th></tr></thead>\n<tbody>\n",
    );
    for line in lines {
        let indent = line.depth.min(INDENTS);
        if let Shown::Item(number) = line.value {
            let _ = writeln!(
                html,
                "<tr><td class=\"in-{indent}\" colspan=\"4\"><span class=\"also\">item {number}</span></td></tr>"
            );
            continue;
        }
        let _ = write!(
            html,
            "<tr><td class=\"uid in-{indent}\">{}</td><td>{}</td><td class=\"vr\">{}</td><td class=\"value\">",
            escaped(&line.tag),
            escaped(&line.name),
            escaped(&line.vr),
        );
        write_value(html, &line.value);
        html.push_str("</td></tr>\n");
    }
    html.push_str("</tbody>\n</table>\n");
}

fn write_value(html: &mut String, value: &Shown) {
    let _ = match value {
        Shown::Empty => write!(html, "<span class=\"also\">empty</span>"),
        Shown::Text(text, None) => write!(html, "<bdi>{}</bdi>", escaped(text)),
        Shown::Text(text, Some(characters)) => write!(
            html,
            "<bdi>{}</bdi>… <span class=\"also\">{characters} characters</span>",
            escaped(text)
        ),
        Shown::Bytes(bytes) => write!(html, "<span class=\"also\">{bytes} bytes</span>"),
        Shown::Bulk(uri) => write!(html, "<a href=\"{}\" download>bulk data</a>", escaped(uri)),
        Shown::Items(count) | Shown::Deep(count) => write!(
            html,
            "<span class=\"also\">{count} {}{}</span>",
            if *count == 1 { "item" } else { "items" },
            if matches!(value, Shown::Deep(_)) {
                ", too deep to be shown"
            } else {
                ""
            },
        ),
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
        write(&mut html, &asked, &Found::Listed(listed));
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
