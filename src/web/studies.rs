//! `/`: studies, newest first or in the order that its reader wants, by patient and date. Its module (`/web/studies.js`) asks for the same page while somebody
//! types, and again and again while it is looked at; who has the answer already is told so ([`fresh`]).

mod form;
mod fresh;
mod order;
mod table;

use std::fmt::Write;

use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, HttpResponse, web};

use self::form::{Form, complaint};
use self::fresh::Tag;
use crate::access::audit::{ActionCode, Event};
use crate::access::{self, Action, Scope, policy};
use crate::archive::{self, Page, Row, Totals};
use crate::dicom::text_form::escaped;
use crate::http::{Caller, Hall, Problem, base_url, now_ms, off_thread, told};
use crate::web::frame::{Frame, Part};
use crate::web::language::Language;
use crate::web::{upload, viewer};

/// Where somebody belongs who sends studies and sees none.
fn elsewhere(caller: &Caller) -> Option<&'static str> {
    let who = caller.principal()?;
    let may = |action| policy(who, action).is_ok();
    (may(Action::Store) && !may(Action::Find)).then(|| match who.inbox() {
        Some(_) => "inbox",
        None => "upload",
    })
}

/// Studies on a page.
const PAGE_ROWS: u32 = 50;

/// A study that got an instance so lately is arriving. Milliseconds.
const ARRIVING_MS: i64 = 30_000;

/// Studies, and what stands beside them.
struct Found {
    page: Page,
    totals: Option<Totals>,
    has_viewer: bool,
    /// When it was looked at.
    at_ms: i64,
}

/// Until when a study is told to be arriving; `None` when it is not.
fn arriving_until(row: &Row, at_ms: i64) -> Option<i64> {
    let ago_ms = at_ms.checked_sub(row.received_at_ms)?;
    (0..ARRIVING_MS)
        .contains(&ago_ms)
        .then(|| row.received_at_ms.saturating_add(ARRIVING_MS))
}

/// What the archive had to say.
enum Answer {
    Found(Found),
    /// The question makes no sense, or is too broad: said to the reader beside the form.
    Unanswered(StatusCode, &'static str),
}

/// `GET /`
pub(super) async fn page(
    request: HttpRequest,
    hall: web::Data<Hall>,
) -> Result<HttpResponse, Problem> {
    let form = Form::read(request.query_string())?;
    let caller = Caller::of(&request)?;
    let language = Language::of(&request);
    if let Some(there) = elsewhere(&caller) {
        let mut response = HttpResponse::SeeOther();
        let base = base_url(&request, hall.settings())?;
        return Ok(response
            .insert_header((header::LOCATION, format!("{base}/{there}")))
            .finish());
    }
    let scope = caller.admit(&hall, Action::Find).await?;
    let at_ms = now_ms();
    let has_viewer = viewer::is_there(&hall);
    let tag = match scope {
        Scope::All => {
            let archive = hall.archive().clone();
            let change = off_thread(move || archive.change()).await??;
            let tag = Tag::of(
                &caller,
                (language, request.query_string()),
                has_viewer,
                change,
            );
            if let Some(known) = tag.known(request.headers(), at_ms) {
                let mut response = HttpResponse::NotModified();
                return Ok(response
                    .insert_header((header::ETAG, known.to_string()))
                    .finish());
            }
            Some(tag)
        }
        // Who sees some of it is not told whether anything happens to the rest.
        Scope::Studies(_) | Scope::Nothing => None,
    };
    let answer = match form.query(PAGE_ROWS) {
        Err(error) => Answer::Unanswered(StatusCode::BAD_REQUEST, complaint(language, error)),
        Ok(query) => {
            let shared = hall.clone();
            let found = off_thread(move || {
                Ok::<_, archive::Error>(Found {
                    page: shared.archive().find(&query, &scope)?,
                    // Who sees some of it is not told how much there is.
                    totals: match scope {
                        Scope::All => Some(shared.archive().totals()?),
                        Scope::Studies(_) | Scope::Nothing => None,
                    },
                    has_viewer,
                    at_ms,
                })
            });
            match found.await? {
                Ok(found) => Answer::Found(found),
                Err(archive::Error::TooBroad(_)) => Answer::Unanswered(
                    StatusCode::OK,
                    language.say(
                        "That would search too much. Ask for more of a name, or for fewer days.",
                    ),
                ),
                Err(error) => return Err(error.into()),
            }
        }
    };
    if caller.is_known() {
        let record = caller
            .record(Event::Query, ActionCode::Execute)
            .on("search")
            .saying(format!("/?{}", request.query_string()));
        let mut of = access::Found::default();
        if let Answer::Found(found) = &answer {
            for row in found.page.rows.iter() {
                of.take(row.attributes.by_keyword("StudyInstanceUID"));
            }
        }
        told(&hall, of.told_in(record)).await?;
    }
    let mut body = String::new();
    let title = language.say("Studies");
    let _ = writeln!(body, "<h1>{title}</h1>");
    upload::write_way(&mut body, language, &caller);
    form.write(&mut body, language);
    body.push_str("<div id=\"list\">\n");
    let response = match &answer {
        Answer::Found(found) => {
            table::write_found(&mut body, language, &form, found);
            let mut response = HttpResponse::Ok();
            if let Some(tag) = tag {
                let rows = found.page.rows.iter();
                let tag = tag.until(rows.filter_map(|row| arriving_until(row, at_ms)));
                response.insert_header((header::ETAG, tag.to_string()));
            }
            response
        }
        Answer::Unanswered(status, text) => {
            let _ = writeln!(
                body,
                "<p class=\"problem\" role=\"alert\">{}</p>",
                escaped(text)
            );
            HttpResponse::build(*status)
        }
    };
    body.push_str("</div>\n");
    let frame = Frame::of(&request, &caller, Part::Studies, "").with_module("studies.js");
    Ok(frame.page(response, title, &body))
}
