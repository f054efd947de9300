//! `/admin/audit`: the audit trail, searched; `/admin/audit/disclosures`: who was given, or tried to get, what of a patient or
//! of studies. Whoever looks is in the trail too.

use std::fmt::Write;
use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};

use super::parts::{self, Fields, Place};
use crate::access::audit::{ActionCode, AuditOutcome, Event, EventType, Head, Kept};
use crate::access::found::FOUND_MAX;
use crate::access::trail::Broad;
use crate::dicom::text_form::escaped;
use crate::http::administration::administrator;
use crate::http::trail::{Listing, Question, searched};
use crate::http::{Hall, Problem, off_thread, parameters};
use crate::web::cases::moment;
use crate::web::html::InQuery;

/// Studies of a row that are named.
const STUDIES_SHOWN: usize = 3;
/// Disclosures on a page, at least, when there are so many.
const ROWS_MIN: usize = 50;
/// So often some hundreds of rows are looked at for one page.
const LOOKS_MAX: usize = 20;

/// Fields of a question, in the order of the form.
const ASKED: [&str; 6] = ["patient_id", "study", "who", "event", "from", "to"];

/// `GET /admin/audit`
pub(super) async fn search(
    request: HttpRequest,
    hall: web::Data<Hall>,
) -> Result<HttpResponse, Problem> {
    let caller = administrator(&request, &hall).await?;
    let fields = Fields(parameters(request.query_string())?);
    let known: Vec<_> = ASKED.into_iter().chain(["before"]).collect();
    let mut body = parts::begin(Place::Audit, "../");
    body.push_str("<h1>Audit trail</h1>\n");
    let (status, found) = match Question::read(&fields.0, &known) {
        Ok(question) => (
            StatusCode::OK,
            Some(searched(&hall, &caller, question).await?),
        ),
        Err(problem) => {
            let (status, above) = parts::refused(problem)?;
            body.push_str(&above);
            (status, None)
        }
    };
    write_form(&mut body, &fields);
    if let Some(found) = found {
        if found.rows.is_empty() {
            body.push_str(match found.next {
                None => "<p class=\"empty\">Nothing of the kind is in the trail.</p>\n",
                Some(_) => "<p class=\"empty\">Not among what was looked through so far.</p>\n",
            });
        } else {
            write_rows(&mut body, &found.rows, "../");
        }
        if let Some(next) = found.next {
            let mut query = String::new();
            for name in ASKED {
                let _ = write!(query, "{name}={}&amp;", InQuery(fields.text(name)));
            }
            let _ = writeln!(
                body,
                "<nav class=\"paging\"><a rel=\"next\" href=\"audit?{query}before={}\">Older →</a></nav>",
                next.text()
            );
        }
    }
    let desk = Arc::clone(hall.desk());
    let head = off_thread(move || desk.ledger().audit_head()).await??;
    write_head(&mut body, head);
    Ok(parts::page(
        &request,
        &caller,
        status,
        "Audit trail",
        "../",
        &body,
    ))
}

/// `GET /admin/audit/disclosures`
pub(super) async fn disclosures(
    request: HttpRequest,
    hall: web::Data<Hall>,
) -> Result<HttpResponse, Problem> {
    let caller = administrator(&request, &hall).await?;
    let fields = Fields(parameters(request.query_string())?);
    let mut body = parts::begin(Place::Audit, "../../");
    body.push_str(
        "<p class=\"back\"><a href=\"../audit\">← Audit trail</a></p>\n<h1>Disclosures</h1>\n<p>Who was given, or tried to get, what of \
         a patient or of a study, removed ones too as far as the trail knows whose they were.</p>\n",
    );
    let mut status = StatusCode::OK;
    let asked = match Question::read(&fields.0, &["patient_id", "study", "after"]) {
        Ok(question) => question.names_somebody().then_some(question),
        Err(problem) => {
            let (refused, above) = parts::refused(problem)?;
            status = refused;
            body.push_str(&above);
            None
        }
    };
    let _ = writeln!(
        body,
        "<form class=\"disclosing\" method=\"get\" action=\"disclosures\" role=\"search\"><label>Patient ID<input \
         name=\"patient_id\" value=\"{}\" autocomplete=\"off\"></label><label>Study Instance UID<input name=\"study\" \
         value=\"{}\" autocomplete=\"off\"></label><button>List</button></form>",
        escaped(fields.text("patient_id")),
        escaped(fields.text("study"))
    );
    if let Some(question) = asked {
        let mut listing = Listing::begin(&hall, &caller, question).await?;
        let desk = Arc::clone(hall.desk());
        let found = off_thread(move || {
            let mut rows = Vec::new();
            for _ in 0..LOOKS_MAX {
                if listing.is_over || rows.len() >= ROWS_MIN {
                    break;
                }
                rows.extend(listing.next()?);
            }
            let after = (!listing.is_over).then_some(listing.after);
            Ok::<_, Problem>((rows, after, desk.ledger().audit_broad()?))
        });
        let (rows, after, broad) = found.await??;
        write_disclosures(&mut body, &fields, &rows, after, broad);
    }
    Ok(parts::page(
        &request,
        &caller,
        status,
        "Disclosures",
        "../../",
        &body,
    ))
}

fn write_form(html: &mut String, fields: &Fields) {
    let text = |name: &str| escaped(fields.text(name)).to_string();
    let _ = write!(
        html,
        "<form class=\"form card\" method=\"get\" action=\"audit\" role=\"search\"><div class=\"three\"><label>Patient ID<input \
         name=\"patient_id\" value=\"{}\" autocomplete=\"off\"></label><label>Study Instance UID<input name=\"study\" value=\"{}\" \
         autocomplete=\"off\"></label><label>Who, as the trail names them<input name=\"who\" value=\"{}\" autocomplete=\"off\" \
         autocapitalize=\"none\" spellcheck=\"false\"></label><label>What happened<select name=\"event\"><option value=\"\">anything</option>",
        text("patient_id"),
        text("study"),
        text("who")
    );
    for event in Event::ALL {
        let chosen = match fields.text("event") == event.code() {
            true => " selected",
            false => "",
        };
        let _ = write!(
            html,
            "<option value=\"{}\"{chosen}>{}</option>",
            event.code(),
            event.meaning()
        );
    }
    let _ = writeln!(
        html,
        "</select></label><label>From this day, UTC<input type=\"date\" name=\"from\" value=\"{}\"></label><label>To this day, \
         UTC<input type=\"date\" name=\"to\" value=\"{}\"></label></div><div class=\"acts\"><button>Search</button><a class=\"clear\" \
         href=\"audit\">Clear</a><a class=\"clear\" href=\"audit/disclosures?patient_id={}&amp;study={}\">List disclosures</a></div></form>",
        text("from"),
        text("to"),
        InQuery(fields.text("patient_id")),
        InQuery(fields.text("study")),
    );
}

fn write_disclosures(
    html: &mut String,
    fields: &Fields,
    rows: &[Kept],
    after: Option<u64>,
    broad: Option<Broad>,
) {
    let whose = format!(
        "patient_id={}&amp;study={}",
        InQuery(fields.text("patient_id")),
        InQuery(fields.text("study"))
    );
    match (rows.is_empty(), after) {
        (false, _) => write_rows(html, rows, "../../"),
        (true, None) => html.push_str("<p class=\"empty\">Nobody was given anything.</p>\n"),
        (true, Some(_)) => {
            html.push_str("<p class=\"empty\">Not among what was looked through so far.</p>\n");
        }
    }
    if let Some(after) = after {
        let _ = writeln!(
            html,
            "<nav class=\"paging\"><a rel=\"next\" href=\"disclosures?{whose}&amp;after={after}\">Later →</a></nav>"
        );
    }
    let _ = writeln!(
        html,
        "<p><a href=\"../../api/v1/audit/disclosures?{whose}&amp;format=csv\" download>The whole list as CSV</a></p>"
    );
    if let Some(broad) = broad {
        let _ = writeln!(
            html,
            "<p class=\"also\">Besides, {} rows of the trail, from {} to {} UTC, tell of searches that found more than {FOUND_MAX} \
             studies each: whose, is not in it.</p>",
            broad.rows,
            moment(broad.first_ms),
            moment(broad.last_ms)
        );
    }
}

fn write_rows(html: &mut String, rows: &[Kept], root: &str) {
    html.push_str(
        "<table class=\"studies\">\n<thead><tr><th scope=\"col\">When, UTC</th><th scope=\"col\">Who</th><th scope=\"col\">What</th><th \
         scope=\"col\">Of</th><th scope=\"col\">In detail</th></tr></thead>\n<tbody>\n",
    );
    for kept in rows {
        let record = &kept.record;
        let who = &record.who;
        let from = [who.means.as_str(), who.address.as_str()];
        let from: Vec<_> = from.into_iter().filter(|text| !text.is_empty()).collect();
        let kind = record.event_type.map_or("", EventType::meaning);
        let kind = [kind, action(record.action)];
        let kind: Vec<_> = kind.into_iter().filter(|text| !text.is_empty()).collect();
        let _ = writeln!(
            html,
            "<tr><td class=\"date\">{when} <span class=\"also\">{id}</span></td><td class=\"patient\"><bdi>{who}</bdi><span \
             class=\"also\">{from}</span></td><td class=\"patient\">{event}{outcome}<span \
             class=\"also\">{kind}</span></td><td>{of}</td><td class=\"description\"><bdi>{detail}</bdi></td></tr>",
            when = exactly(record.at_ms),
            id = kept.id,
            who = escaped(&who.name),
            from = escaped(&from.join(" · ")),
            event = record.event.meaning(),
            outcome = outcome(record.outcome),
            kind = kind.join(", "),
            of = of(kept, root),
            detail = escaped(&record.detail),
        );
    }
    html.push_str("</tbody>\n</table>\n");
}

/// What it was done to.
fn of(kept: &Kept, root: &str) -> String {
    let record = &kept.record;
    let mut html = String::new();
    if !record.patient_id.is_empty() {
        let _ = write!(
            html,
            "<div>patient <bdi>{}</bdi></div>",
            escaped(&record.patient_id)
        );
    }
    for study in record.studies.iter().take(STUDIES_SHOWN) {
        let _ = write!(
            html,
            "<div><a class=\"uid\" href=\"{root}studies/{study}\">{study}</a></div>"
        );
    }
    if record.studies.len() > STUDIES_SHOWN {
        let more = record.studies.len() - STUDIES_SHOWN;
        let _ = write!(html, "<div class=\"also\">and {more} more studies</div>");
    }
    if !record.object.is_empty() {
        let _ = write!(html, "<div><bdi>{}</bdi></div>", escaped(&record.object));
    }
    html
}

fn action(action: ActionCode) -> &'static str {
    match action {
        ActionCode::Create => "made",
        ActionCode::Read => "looked at",
        ActionCode::Update => "changed",
        ActionCode::Delete => "removed",
        // What was run, searched or tried: the event says so.
        ActionCode::Execute => "",
    }
}

fn outcome(outcome: AuditOutcome) -> &'static str {
    match outcome {
        AuditOutcome::Success => "",
        AuditOutcome::MinorFailure => " <span class=\"chip warn\">refused</span>",
        AuditOutcome::SeriousFailure => " <span class=\"chip warn\">alarm</span>",
        AuditOutcome::MajorFailure => " <span class=\"chip warn\">failed</span>",
    }
}

/// To the second: what is compared with other logs.
fn exactly(at_ms: i64) -> String {
    let text = crate::access::message::time(at_ms);
    let (day, time) = text.split_once('T').unwrap_or((&text, ""));
    format!("{day} {}", time.get(..8).unwrap_or_default())
}

fn write_head(html: &mut String, head: Head) {
    let _ = writeln!(
        html,
        "<p class=\"also\">The trail ends with <span class=\"uid\">{}:{}</span>. Noted elsewhere, it shows later whether anything was \
         changed: <code>overread audit verify --holds</code></p>",
        head.id, head.link
    );
}
