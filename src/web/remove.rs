//! `/studies/{study}/remove`: a study taken out for good by whoever may. The page says what will go, and asks for the
//! patient ID to be typed; what has changed since it was made is shown first. Done as DELETE does it, with its trail.

use std::fmt::Write;
use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};

use crate::access::audit::{ActionCode, Event};
use crate::access::{Action, Scope};
use crate::archive::{Page, Remaining, Removal, Row, Target};
use crate::dicom::query::{Key, Matching, Order};
use crate::dicom::text_form::{self, escaped};
use crate::dicom::{AttributeId, Level, Query, Uid};
use crate::http::removal::{check, check_allowed, remove_and_tell};
use crate::http::{Caller, Hall, Problem, base_url, bounded_form, off_thread, parameters};
use crate::web::frame::{Frame, Part};
use crate::web::language::Language;
use crate::web::{html, study, tell_accessed};

/// A form with a patient ID.
const FORM_BYTES_MAX: usize = 4096;
/// Series that are named; all go.
const SERIES_ROWS: u32 = 100;
/// What is typed for a study of which nobody knows whose it is.
const WORD: &str = "DELETE";
/// Words for one, and for many.
const OBJECTS: [&str; 2] = ["{count} object", "{count} objects"];
/// As the log and the trail have it.
const REASON: &str = "removed on its page";

/// A study as it stands.
struct Found {
    row: Row,
    series: Page,
    /// Grows with every change of it.
    version: u64,
}

/// `GET /studies/{study}/remove`
pub(super) async fn page(
    request: HttpRequest,
    study: web::Path<String>,
    hall: web::Data<Hall>,
) -> Result<HttpResponse, Problem> {
    let study = Uid::parse(&study).map_err(|_| Problem::not_found())?;
    let caller = Caller::of(&request)?;
    let scope = caller.admit(&hall, Action::Remove).await?;
    check_allowed(hall.settings())?;
    tell_accessed(&hall, &caller, &scope, &study).await?;
    let found = find(&hall, &scope, &study).await?;
    Ok(shown(
        &request,
        &caller,
        &study,
        &found,
        StatusCode::OK,
        None,
    ))
}

/// `POST /studies/{study}/remove` with `word` and `version`.
pub(super) async fn take_out(
    request: HttpRequest,
    study: web::Path<String>,
    payload: web::Payload,
    hall: web::Data<Hall>,
) -> Result<HttpResponse, Problem> {
    let study = Uid::parse(&study).map_err(|_| Problem::not_found())?;
    let caller = Caller::of(&request)?;
    let scope = caller.admit(&hall, Action::Remove).await?;
    let base = base_url(&request, hall.settings())?;
    check(request.headers(), hall.settings(), &base)?;
    let form = bounded_form(&request, hall.settings(), payload, FORM_BYTES_MAX).await?;
    let fields = parameters(&form)?;
    let field = |name| {
        let found = fields.iter().find(|(known, _)| known == name);
        found.map_or("", |(_, value)| value.as_str())
    };
    tell_accessed(&hall, &caller, &scope, &study).await?;
    let found = find(&hall, &scope, &study).await?;
    if field("version") != found.version.to_string() {
        let text =
            "The study has changed since the page was made. Look again at what there is now.";
        let status = StatusCode::CONFLICT;
        return Ok(shown(&request, &caller, &study, &found, status, Some(text)));
    }
    // Browsers show many spaces as one.
    let wanted = wanted(&found.row);
    if !field("word")
        .split_whitespace()
        .eq(wanted.split_whitespace())
    {
        let text = "That is not what was to be typed. Nothing was removed.";
        let status = StatusCode::BAD_REQUEST;
        return Ok(shown(&request, &caller, &study, &found, status, Some(text)));
    }
    let record = caller
        .record(Event::StudyDeleted, ActionCode::Delete)
        .about(&study)
        .saying(REASON);
    let removal = Removal {
        target: Target::Study(study),
        reason: REASON,
        sender: caller.name().into(),
        peer: caller.address().into(),
    };
    let (archive, desk) = (hall.archive().clone(), Arc::clone(hall.desk()));
    let removed = off_thread(move || remove_and_tell(&archive, removal, &scope, &desk, record));
    let removed = removed.await??;
    let language = Language::of(&request);
    let title = language.say("Removed");
    let objects = language.count(removed.instances, OBJECTS);
    let body = format!(
        "<p class=\"back\"><a href=\"../../\">← {}</a></p>\n<h1>{title}</h1>\n<p role=\"status\">{}</p>\n",
        language.say("Studies"),
        language.fill(
            "The study is gone for good: {objects}.",
            &[("objects", &objects)]
        )
    );
    let frame = Frame::of(&request, &caller, Part::Studies, "../../");
    Ok(frame.page(HttpResponse::Ok(), title, &body))
}

async fn find(hall: &web::Data<Hall>, scope: &Scope, study: &Uid) -> Result<Found, Problem> {
    let (hall, scope, study) = (hall.clone(), scope.clone(), study.clone());
    let found = off_thread(move || {
        let archive = hall.archive();
        // First, so that what comes while the rest is read is a change.
        let version = archive
            .version(&Target::Study(study.clone()), &scope)?
            .ok_or_else(Problem::not_found)?;
        let row = study::row(&hall, &scope, &study)?;
        let id = AttributeId::of_keyword("StudyInstanceUID").ok_or_else(Problem::not_found)?;
        let query = Query {
            level: Level::Series,
            keys: vec![Key::Attribute(id, Matching::Single(study.as_str().into()))],
            limit: SERIES_ROWS,
            offset: 0,
            order: Order::NEWEST,
        };
        let series = archive.find(&query, &scope)?;
        Ok::<_, Problem>(Found {
            row,
            series,
            version,
        })
    });
    found.await?
}

/// What somebody types to show that they know which study it is.
fn wanted(row: &Row) -> &str {
    match row.attributes.by_keyword("PatientID").map(str::trim) {
        None | Some("") => WORD,
        Some(id) => id,
    }
}

fn shown(
    request: &HttpRequest,
    caller: &Caller,
    study: &Uid,
    found: &Found,
    status: StatusCode,
    problem: Option<&'static str>,
) -> HttpResponse {
    let language = Language::of(request);
    let mut body = String::new();
    write(&mut body, language, study, found, problem);
    let mut frame = Frame::of(request, caller, Part::Studies, "../../");
    if problem.is_some() {
        frame = frame.found_at(request.path());
    }
    let title = language.say("Remove a study");
    frame.page(HttpResponse::build(status), title, &body)
}

fn write(
    html: &mut String,
    language: Language,
    study: &Uid,
    found: &Found,
    problem: Option<&'static str>,
) {
    let say = |english| language.say(english);
    let row = &found.row;
    let value = |keyword| row.attributes.by_keyword(keyword).unwrap_or_default();
    let name = html::patient(language, row);
    let _ = writeln!(
        html,
        "<p class=\"back\"><a href=\"../{study}\">← {}</a></p>\n<h1>{}</h1>",
        say("The study"),
        say("Remove this study?")
    );
    if let Some(problem) = problem {
        let _ = writeln!(
            html,
            "<p class=\"problem\" role=\"alert\">{}</p>",
            say(problem)
        );
    }
    let facts = [
        text_form::date(value("StudyDate")),
        value("StudyDescription").to_owned(),
    ];
    let facts = facts.iter().filter(|fact| !fact.is_empty());
    let facts: Vec<_> = facts
        .map(|fact| format!("<bdi>{}</bdi>", escaped(fact)))
        .collect();
    let what = match row.series_of_study {
        1 => "For good go {objects} in 1 series:",
        _ => "For good go {objects} in {series} series:",
    };
    let objects = language.count(row.instances_of_study, OBJECTS);
    let series = row.series_of_study;
    let _ = write!(
        html,
        "<section class=\"card\">\n<h2>{name} <span class=\"also\">{facts}</span></h2>\n\
         <p>{what}</p>\n<ul class=\"series-list\">\n",
        facts = facts.join(" · "),
        what = language.fill(what, &[("objects", &objects), ("series", &series)]),
    );
    for series in &found.series.rows {
        let value = |keyword| series.attributes.by_keyword(keyword).unwrap_or_default();
        let names = [value("Modality"), value("SeriesDescription")];
        let names = names.into_iter().filter(|name| !name.is_empty());
        let names: Vec<_> = names
            .map(|name| format!("<bdi>{}</bdi>", escaped(name)))
            .collect();
        let name = match names.is_empty() {
            true => say("a series").to_owned(),
            false => names.join(" "),
        };
        let count = language.count(series.instances_of_series, OBJECTS);
        let _ = writeln!(html, "<li>{name}: {count}</li>");
    }
    if found.series.remaining != Remaining::Exactly(0) {
        let _ = writeln!(html, "<li>{}</li>", say("and more"));
    }
    let (label, hint) = match wanted(row) {
        WORD if value("PatientID").trim().is_empty() => (
            say("Type DELETE"),
            say("The study has no patient ID: the word is typed in its place.").to_owned(),
        ),
        id => (
            say("Type the patient ID"),
            language.fill(
                "It is {id}.",
                &[("id", &format!("<b><bdi>{}</bdi></b>", escaped(id)))],
            ),
        ),
    };
    let _ = write!(
        html,
        "</ul>\n<form class=\"form\" method=\"post\" action=\"remove\">\n\
         <input type=\"hidden\" name=\"version\" value=\"{version}\">\n\
         <label>{label}<input name=\"word\" required autocomplete=\"off\" spellcheck=\"false\" aria-describedby=\"hint\"></label>\n\
         <p class=\"also\" id=\"hint\">{hint} {kept}</p>\n\
         <div class=\"acts\"><button class=\"danger\">{remove}</button></div>\n</form>\n</section>\n",
        version = found.version,
        kept = say(
            "What is removed cannot be brought back from here; the audit trail keeps that it was."
        ),
        remove = say("Remove for good"),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOSTILE: &str = "</p><script>alert(1)</script>\"'><img src=x onerror=alert(1)>";

    fn row(patient_id: Option<&str>) -> Row {
        let mut row = Row::default();
        if let Some(patient_id) = patient_id {
            let id = AttributeId::of_keyword("PatientID").unwrap();
            row.attributes.set(id, patient_id);
        }
        row
    }

    #[test]
    fn the_patient_id_is_typed_or_the_word() {
        for (patient_id, word) in [
            (None, "DELETE"),
            (Some(""), "DELETE"),
            (Some("  "), "DELETE"),
            (Some(" 0042 "), "0042"),
            (Some("DELETE"), "DELETE"),
        ] {
            assert_eq!(wanted(&row(patient_id)), word);
        }
    }

    #[test]
    fn hostile_values_stay_text() {
        let mut row = Row::default();
        for (id, _) in (0u8..).zip(crate::dicom::ATTRIBUTES) {
            row.attributes.set(AttributeId(id), HOSTILE);
        }
        let series = Page {
            rows: vec![row.clone()],
            remaining: Remaining::AtLeast(1),
        };
        let found = Found {
            row,
            series,
            version: 7,
        };
        let mut html = String::new();
        write(
            &mut html,
            Language::Hindi,
            &Uid::parse("1.2.3").unwrap(),
            &found,
            None,
        );
        assert!(
            !html.contains("<script") && !html.contains("<img"),
            "{html}"
        );
    }
}
