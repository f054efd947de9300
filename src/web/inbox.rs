//! `/inbox`: where whoever opened an inbox link sends images, and sees what of them has arrived. In plain words: it is for
//! patients. It works as a form; the module beside it (`/web/upload.js`) sends folders, and goes on after a lost connection.

use std::fmt::Write;
use std::sync::Arc;

use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, HttpResponse, web};

use crate::access::{Action, Inbox, Principal};
use crate::dicom::text_form::{self, escaped};
use crate::http::{
    Caller, Hall, Problem, base_url, is_of_our_pages, now_ms, off_thread, receive_upload,
};
use crate::inbox::{self, Arrived, Came, Report};
use crate::web::cases::moment;
use crate::web::frame::Frame;
use crate::web::language::Language;
use crate::web::upload::{write_chooser, write_report};

const WHAT: &str = "Send everything that you were given: the whole disc, a ZIP file or single files. Reports and photographs may go \
    along (PDF, JPEG, PNG). Programs on the disc are left out by themselves.";
const WHITHER: &str = "It goes to those who sent you the link, and to the doctors whom they ask. Nothing can be looked at or taken \
    away by this link.";
const NOT_LOOKED_AT: &str =
    "Studies that are not counted here, because there is too much to look at:";
const DONE: &str = "Thank you. Whoever asked you has been told that everything was sent. You may close this page, or send more.";
/// Words for one, and for many.
const FILES: [&str; 2] = ["{count} file", "{count} files"];
const IMAGES: [&str; 2] = ["{count} image", "{count} images"];

/// `GET /inbox`
pub(super) async fn page(
    request: HttpRequest,
    hall: web::Data<Hall>,
) -> Result<HttpResponse, Problem> {
    answer(&request, &hall, (StatusCode::OK, None)).await
}

/// `POST /inbox`: the form with files, sent without the module.
pub(super) async fn take(
    request: HttpRequest,
    payload: web::Payload,
    hall: web::Data<Hall>,
) -> Result<HttpResponse, Problem> {
    held(&request, &hall).await?;
    let report = receive_upload(&request, payload, &hall).await?;
    answer(&request, &hall, (StatusCode::OK, Some(report))).await
}

/// `POST /inbox/finished`: everything has been sent.
pub(super) async fn finish(
    request: HttpRequest,
    hall: web::Data<Hall>,
) -> Result<HttpResponse, Problem> {
    let id = held(&request, &hall).await?;
    let base = base_url(&request, hall.settings())?;
    if !is_of_our_pages(request.headers(), &base) {
        let text = "pages of other sites say nothing here";
        return Err(Problem::new(StatusCode::FORBIDDEN, text));
    }
    let caller = Caller::of(&request)?;
    let desk = Arc::clone(hall.desk());
    off_thread(move || desk.finish(id, &caller.actor(), now_ms())).await??;
    let mut response = HttpResponse::SeeOther();
    response.insert_header((header::LOCATION, format!("{base}/inbox")));
    Ok(response.finish())
}

/// The inbox by whose link somebody came.
async fn held(request: &HttpRequest, hall: &web::Data<Hall>) -> Result<i64, Problem> {
    let caller = Caller::of(request)?;
    caller.admit(hall, Action::Store).await?;
    let inbox = caller.principal().and_then(Principal::inbox);
    inbox.ok_or_else(Problem::not_found)
}

async fn answer(
    request: &HttpRequest,
    hall: &web::Data<Hall>,
    (status, report): (StatusCode, Option<Report>),
) -> Result<HttpResponse, Problem> {
    let id = held(request, hall).await?;
    let (desk, archive) = (Arc::clone(hall.desk()), hall.archive().clone());
    let found = off_thread(move || {
        let inbox = desk.ledger().inbox(id)?.ok_or_else(Problem::not_found)?;
        let came = inbox::arrived(&archive, &inbox)?;
        Ok::<_, Problem>((inbox, came))
    });
    let (inbox, came) = found.await??;
    let language = Language::of(request);
    let mut body = String::new();
    write(&mut body, language, (&inbox, &came), report.as_ref());
    let frame = Frame::alone(request, "").found_at("/inbox");
    let title = language.say("Send your images");
    let response = HttpResponse::build(status);
    Ok(frame.with_module("upload.js").page(response, title, &body))
}

fn write(
    html: &mut String,
    language: Language,
    (inbox, came): (&Inbox, &Came),
    report: Option<&Report>,
) {
    let say = |english| language.say(english);
    let _ = writeln!(html, "<h1>{}</h1>", say("Send your images"));
    if !inbox.grant.label.is_empty() {
        let _ = writeln!(html, "<p><b>{}</b></p>", escaped(&inbox.grant.label));
    }
    let _ = write!(
        html,
        "<p>{}</p>\n<p class=\"also\">{}</p>\n",
        say(WHAT),
        say(WHITHER)
    );
    if let Some(report) = report {
        write_report(html, language, report);
    }
    html.push_str(
        "<form class=\"form card drop\" id=\"upload\" method=\"post\" action=\"inbox\" enctype=\"multipart/form-data\" \
         data-uploads=\"api/v1/uploads\" data-studies=\"dicom-web/studies\" data-arrived=\"api/v1/inbox\">\n",
    );
    write_chooser(html, language);
    write_place(html, language, (inbox, came));
    let _ = write!(
        html,
        "<div class=\"acts\"><button>{}</button></div>\n</form>\n\
         <section id=\"sending\" class=\"card\" hidden aria-label=\"{}\"></section>\n\
         <section class=\"card\" id=\"arrived\"><h2>{}</h2>\n",
        say("Send"),
        say("Progress"),
        say("What has arrived")
    );
    write_arrived(html, language, came);
    html.push_str("</section>\n");
    write_end(html, language, (inbox, came));
}

/// What papers belong to: one of the studies that came, or a person.
fn write_place(html: &mut String, language: Language, (inbox, came): (&Inbox, &Came)) {
    let say = |english| language.say(english);
    if came.studies.len() + came.not_looked_at.len() > 1 {
        let _ = write!(
            html,
            "<label>{}<select name=\"study\">",
            say("Reports and photographs belong to")
        );
        for study in &came.studies {
            let _ = write!(
                html,
                "<option value=\"{}\">{}</option>",
                study.study.study_instance_uid,
                named(language, study)
            );
        }
        for study in &came.not_looked_at {
            let _ = write!(
                html,
                "<option value=\"{study}\">{} {study}</option>",
                say("the study")
            );
        }
        html.push_str("</select></label>\n");
    }
    if came.is_empty() && inbox.purpose.patient.name().is_empty() {
        let _ = write!(
            html,
            "<details class=\"whose\"><summary>{}</summary><div class=\"two\">\n\
             <label>{}<input name=\"family_name\" maxlength=\"60\" autocomplete=\"family-name\"></label>\n\
             <label>{}<input name=\"given_name\" maxlength=\"60\" autocomplete=\"given-name\"></label>\n\
             <label>{}<input type=\"date\" name=\"birth_date\" autocomplete=\"bday\"></label></div></details>\n",
            say("Reports or photographs only, and no disc? Say whose they are"),
            say("Family name"),
            say("Given name"),
            say("Date of birth")
        );
    }
}

/// How people tell a study from another: its date and what it is.
fn named(language: Language, came: &Arrived) -> String {
    let date = text_form::date(&came.study.study_date);
    let modalities: Vec<_> = came.modalities().into_iter().collect();
    let words = [
        if date.is_empty() {
            language.say("without a date").into()
        } else {
            date
        },
        modalities.join(" "),
        came.study.study_description.clone(),
    ];
    let words = words.iter().filter(|word| !word.is_empty());
    let words: Vec<_> = words.map(|word| escaped(word).to_string()).collect();
    words.join(" · ")
}

/// Study by study, with its series and what seems to be missing.
fn write_arrived(html: &mut String, language: Language, came: &Came) {
    let say = |english| language.say(english);
    if came.is_empty() {
        let _ = writeln!(html, "<p>{}</p>", say("Nothing has arrived yet."));
    }
    for study in &came.studies {
        let (class, word) = match study.looks_complete() {
            true => ("chip good", say("looks complete")),
            false => ("chip warn", say("some images seem to be missing")),
        };
        let _ = write!(
            html,
            "<h3>{} <span class=\"{class}\">{word}</span></h3>\n<ul class=\"series-list\">",
            named(language, study)
        );
        for series in &study.series {
            let what = [series.modality.as_str(), series.description.as_str()];
            let what: Vec<_> = what.into_iter().filter(|word| !word.is_empty()).collect();
            let _ = write!(
                html,
                "<li>{}: {}",
                escaped(&what.join(" · ")),
                language.count(series.instances, FILES)
            );
            if series.images > 0 {
                let _ = write!(html, ", {}", language.count(series.images, IMAGES));
            }
            for missing in &series.missing {
                let _ = write!(
                    html,
                    " <span class=\"chip warn\">{} {}</span>",
                    missing.count,
                    say(missing.kind.sentence())
                );
            }
            html.push_str("</li>");
        }
        html.push_str("</ul>\n");
    }
    if !came.not_looked_at.is_empty() {
        let count = came.not_looked_at.len();
        let _ = writeln!(html, "<p>{} {count}.</p>", say(NOT_LOOKED_AT));
    }
}

fn write_end(html: &mut String, language: Language, (inbox, came): (&Inbox, &Came)) {
    let say = |english| language.say(english);
    let last_ms = came.studies.iter().map(|came| came.last_ms).max();
    html.push_str(
        "<form class=\"card act\" id=\"finish\" method=\"post\" action=\"inbox/finished\">",
    );
    let is_done = match inbox.finished_ms {
        Some(finished_ms) if last_ms.is_some_and(|last_ms| last_ms > finished_ms) => {
            let later = say("More has arrived since you said that everything was sent.");
            let _ = write!(html, "<p role=\"status\">{later}</p>");
            false
        }
        Some(_) => {
            let _ = write!(html, "<p role=\"status\">{}</p>", say(DONE));
            true
        }
        None => false,
    };
    if !is_done {
        let disabled = if came.is_empty() { " disabled" } else { "" };
        let everything = say("I have sent everything");
        let _ = write!(html, "<button{disabled}>{everything}</button>");
    }
    let until = moment(inbox.grant.expires_ms);
    let until = language.fill(
        "This link can be used until {moment} UTC.",
        &[("moment", &until)],
    );
    let _ = writeln!(html, "<p class=\"also\">{until}</p></form>");
}
