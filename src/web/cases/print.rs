//! `/cases/{number}/print`: the question and the newest opinions on one sheet.

use std::fmt::Write;

use actix_web::{HttpRequest, HttpResponse, web};

use super::page::look;
use super::{day, moment, opinions};
use crate::cases::Cases;
use crate::dicom::text_form::{self, escaped};
use crate::http::{Caller, Hall, Problem};
use crate::web::frame::{Frame, Part};

/// `GET /cases/{number}/print`
pub(super) async fn page(
    request: HttpRequest,
    number: web::Path<String>,
    hall: web::Data<Hall>,
    cases: web::Data<Cases>,
) -> Result<HttpResponse, Problem> {
    let caller = Caller::of(&request)?;
    let shown = look(&number, &caller, &hall, &cases).await?;
    let case = &shown.look.case;
    let mut body = format!(
        "<p class=\"back no-print\"><a href=\"../{number}\">← Case</a></p>\n<h1>Second opinion <span class=\"also\">case \
         {number}</span></h1>\n",
        number = shown.number
    );
    if let Some((uid, Some(row))) = shown.studies.first() {
        let value = |keyword| row.attributes.by_keyword(keyword).unwrap_or_default();
        body.push_str("<dl class=\"facts\">");
        for (what, text) in [
            ("Patient", text_form::person(value("PatientName"))),
            ("Patient ID", value("PatientID").to_owned()),
            ("Born", text_form::date(value("PatientBirthDate"))),
            (
                "Study",
                format!("{} {}", day(value("StudyDate")), value("StudyDescription")),
            ),
            ("Accession", value("AccessionNumber").to_owned()),
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
        "<section class=\"card\"><h2>Question</h2><p class=\"said\">{}</p></section>",
        escaped(&case.request.question)
    );
    let newest = shown.look.opinions.iter().map(|told| &told.opinion);
    let mut is_empty = true;
    for opinion in newest.filter(|opinion| shown.look.is_newest(opinion)) {
        is_empty = false;
        let _ = writeln!(
            body,
            "<section class=\"card\" id=\"opinion-{}\"><h2>Opinion of {}, version {}</h2>",
            opinion.id,
            escaped(&opinion.reader),
            opinion.version
        );
        opinions::write_said(&mut body, opinion, "../../");
        let _ = writeln!(
            body,
            "<p>Signed by {} on {} UTC. {} images were there for the reader; fingerprint of all <span class=\"uid\">{}</span></p>\
             </section>",
            escaped(&opinion.reader),
            moment(opinion.signed_ms),
            opinion.manifest.instances,
            blake3::Hash::from_bytes(opinion.manifest.digest).to_hex(),
        );
    }
    if is_empty {
        body.push_str("<p class=\"empty\">There is no opinion yet.</p>\n");
    }
    let title = format!("Case {}", shown.number);
    Ok(Frame::of(&request, &caller, Part::Cases, "../../").page(HttpResponse::Ok(), &title, &body))
}
