//! `/upload`: files sent to the archive by whoever may store. A form; with the module beside it (`/web/upload.js`) folders
//! too, in parallel and again after a lost connection.

use std::fmt::Write;

use actix_web::{HttpRequest, HttpResponse, web};

use crate::access::{Action, Principal};
use crate::dicom::Uid;
use crate::dicom::text_form::escaped;
use crate::http::{Caller, Hall, Problem, parameters, receive_upload};
use crate::inbox::Report;
use crate::web::frame::{Frame, Part};
use crate::web::language::Language;

const WHAT: &str = "DICOM files, ZIP archives of them, or the folder of a disc. PDF, JPEG and PNG go into the study that you \
    name. What is here already is not stored twice.";

/// `GET /upload`, with `?study=` for papers of a study.
pub(super) async fn page(
    request: HttpRequest,
    hall: web::Data<Hall>,
) -> Result<HttpResponse, Problem> {
    let caller = Caller::of(&request)?;
    caller.admit(&hall, Action::Store).await?;
    if caller.principal().and_then(Principal::inbox).is_some() {
        return Err(Problem::not_found());
    }
    let asked = parameters(request.query_string())?;
    let study = asked.iter().find(|(name, _)| name == "study");
    let study = study.and_then(|(_, text)| Uid::parse(text).ok());
    Ok(written(&request, &caller, study.as_ref(), None))
}

/// `POST /upload`: the form with files, sent without the module.
pub(super) async fn take(
    request: HttpRequest,
    payload: web::Payload,
    hall: web::Data<Hall>,
) -> Result<HttpResponse, Problem> {
    let caller = Caller::of(&request)?;
    let report = receive_upload(&request, payload, &hall).await?;
    Ok(written(&request, &caller, None, Some(&report)))
}

fn written(
    request: &HttpRequest,
    caller: &Caller,
    study: Option<&Uid>,
    report: Option<&Report>,
) -> HttpResponse {
    let language = Language::of(request);
    let say = |english| language.say(english);
    let title = language.say("Upload");
    let mut body = format!("<h1>{title}</h1>\n<p>{}</p>\n", say(WHAT));
    if let Some(report) = report {
        write_report(&mut body, language, report);
    }
    body.push_str(
        "<form class=\"form card drop\" id=\"upload\" method=\"post\" action=\"upload\" enctype=\"multipart/form-data\" \
         data-uploads=\"api/v1/uploads\" data-studies=\"dicom-web/studies\">\n",
    );
    write_chooser(&mut body, language);
    let _ = write!(
        body,
        "<label>{}<input name=\"study\" maxlength=\"64\" pattern=\"[0-9.]*\" value=\"{}\"></label>\n\
         <div class=\"acts\"><button>{}</button></div>\n</form>\n\
         <section id=\"sending\" class=\"card\" hidden aria-label=\"{}\"></section>\n",
        say("Study Instance UID, for PDF, JPEG and PNG"),
        study.map_or("", Uid::as_str),
        say("Send"),
        say("Progress")
    );
    let mut frame = Frame::of(request, caller, Part::Studies, "").with_module("upload.js");
    if report.is_some() {
        frame = frame.found_at("/upload");
    }
    frame.page(HttpResponse::Ok(), title, &body)
}

/// A way to the page, for whoever may store.
pub(super) fn write_way(html: &mut String, language: Language, caller: &Caller) {
    let may = caller.principal().is_some_and(|who| {
        who.inbox().is_none() && crate::access::policy(who, Action::Store).is_ok()
    });
    if may {
        let _ = writeln!(
            html,
            "<p class=\"ask\"><a href=\"upload\">{}</a></p>",
            language.say("Upload files")
        );
    }
}

/// Where files are chosen, and what is said of photographs.
pub(super) fn write_chooser(html: &mut String, language: Language) {
    let say = |english| language.say(english);
    let _ = write!(
        html,
        "<label>{}<input type=\"file\" name=\"files\" multiple required></label>\n\
         <label hidden>{}<input type=\"file\" name=\"folder\" webkitdirectory multiple disabled></label>\n\
         <p class=\"also\" hidden>{}</p>\n\
         <label>{}<select name=\"photographs\"><option value=\"paper\">{}</option><option value=\"image\">{}</option></select></label>\n",
        say("Files"),
        say("A folder or a disc"),
        say("You can also drop files and folders here."),
        say("Photographs and scans (JPEG, PNG) show"),
        say("a letter or a report"),
        say("images: a film, a wound")
    );
}

/// What became of the files of a form.
pub(super) fn write_report(html: &mut String, language: Language, report: &Report) {
    let counts = language.fill(
        "{stored} stored, {here} here already, {refused} not taken, {skipped} not needed.",
        &[
            ("stored", &report.stored),
            ("here", &report.already_stored),
            ("refused", &report.refused),
            ("skipped", &report.skipped),
        ],
    );
    let _ = write!(
        html,
        "<section class=\"card\" role=\"status\"><h2>{}</h2>\n<p>{counts}</p>\n",
        language.say("What became of your files")
    );
    if !report.named.is_empty() {
        html.push_str("<ul class=\"series-list\">");
        for file in &report.named {
            let _ = write!(
                html,
                "<li><span class=\"uid\">{}</span>: {}</li>",
                escaped(&file.name),
                escaped(&language.sentence(&file.why))
            );
        }
        html.push_str("</ul>");
    }
    html.push_str("</section>\n");
}
