//! `/cases/{number}/print`: the question and the newest opinions on one sheet, in the language of who prints; what somebody has
//! written stays as they wrote it.

use std::fmt::{Display, Write};

use actix_web::{HttpRequest, HttpResponse, web};

use super::page::look;
use super::{day, moment, named, opinions};
use crate::cases::Cases;
use crate::dicom::text_form::{self, escaped};
use crate::http::{Caller, Hall, Problem};
use crate::web::frame::{Frame, Part};
use crate::web::language::Language;

/// `GET /cases/{number}/print`
pub(super) async fn page(
    request: HttpRequest,
    number: web::Path<String>,
    hall: web::Data<Hall>,
    cases: web::Data<Cases>,
) -> Result<HttpResponse, Problem> {
    let caller = Caller::of(&request)?;
    let language = Language::of(&request);
    let shown = look(&number, language, &caller, &hall, &cases).await?;
    let case = &shown.look.case;
    let number = [("number", &shown.number as &dyn Display)];
    let mut body = format!(
        "<p class=\"back no-print\"><a href=\"../{}\">← {}</a></p>\n<h1>{} <span class=\"also\">{}</span></h1>\n",
        shown.number,
        language.say("Case"),
        language.say("Second opinion"),
        language.fill("case {number}", &number),
    );
    if let Some((uid, Some(row))) = shown.studies.first() {
        let value = |keyword| row.attributes.by_keyword(keyword).unwrap_or_default();
        body.push_str("<dl class=\"facts\">");
        for (what, text) in [
            (
                language.say("Patient"),
                text_form::person(value("PatientName")),
            ),
            (language.say("Patient ID"), value("PatientID").to_owned()),
            (
                language.say("Born"),
                text_form::date(value("PatientBirthDate")),
            ),
            (
                language.say("Study"),
                format!(
                    "{} {}",
                    day(language, value("StudyDate")),
                    value("StudyDescription")
                ),
            ),
            (
                language.say("Accession"),
                value("AccessionNumber").to_owned(),
            ),
            ("Study Instance UID", uid.to_string()),
        ] {
            if !text.is_empty() {
                let _ = writeln!(
                    body,
                    "<div><dt>{what}</dt><dd><bdi>{}</bdi></dd></div>",
                    escaped(&text)
                );
            }
        }
        body.push_str("</dl>\n");
    }
    let _ = writeln!(
        body,
        "<section class=\"card\"><h2>{}</h2><p class=\"said\">{}</p></section>",
        language.say("Question"),
        escaped(&case.request.question)
    );
    let newest = shown.look.opinions.iter().map(|told| &told.opinion);
    let mut is_empty = true;
    for opinion in newest.filter(|opinion| shown.look.is_newest(opinion)) {
        is_empty = false;
        let reader = named(language, &opinion.reader);
        let _ = writeln!(
            body,
            "<section class=\"card\" id=\"opinion-{}\"><h2>{}</h2>",
            opinion.id,
            language.fill(
                "Opinion of {reader}, version {version}",
                &[("version", &opinion.version), ("reader", &escaped(&reader))]
            ),
        );
        opinions::write_said(&mut body, language, opinion, "../../");
        let signed = language.fill(
            "Signed by {reader} on {moment} UTC.",
            &[
                ("moment", &moment(opinion.signed_ms)),
                ("reader", &escaped(&reader)),
            ],
        );
        let digest = blake3::Hash::from_bytes(opinion.manifest.digest).to_hex();
        let digest = format!("<span class=\"uid\">{digest}</span>");
        let seen = language.fill(
            "{count} images were there for the reader; fingerprint of all {digest}",
            &[("count", &opinion.manifest.instances), ("digest", &digest)],
        );
        let _ = writeln!(body, "<p>{signed} {seen}</p></section>");
    }
    if is_empty {
        let none = language.say("There is no opinion yet.");
        let _ = writeln!(body, "<p class=\"empty\">{none}</p>");
    }
    let title = language.fill("Case {number}", &number);
    Ok(Frame::of(&request, &caller, Part::Cases, "../../").page(HttpResponse::Ok(), &title, &body))
}
