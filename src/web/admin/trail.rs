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
use crate::web::language::Language;

/// Studies of a row that are named.
const STUDIES_SHOWN: usize = 3;
/// Disclosures on a page, at least, when there are so many.
const ROWS_MIN: usize = 50;
/// So often some hundreds of rows are looked at for one page.
const LOOKS_MAX: usize = 20;

const NOT_SO_FAR: &str = "Not among what was looked through so far.";

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
    let language = Language::of(&request);
    let title = language.say("Audit trail");
    let mut body = parts::begin(language, Place::Audit, "../");
    let _ = writeln!(body, "<h1>{title}</h1>");
    let (status, found) = match Question::read(&fields.0, &known) {
        Ok(question) => (
            StatusCode::OK,
            Some(searched(&hall, &caller, question).await?),
        ),
        Err(problem) => {
            let (status, above) = parts::refused(language, problem)?;
            body.push_str(&above);
            (status, None)
        }
    };
    write_form(&mut body, language, &fields);
    if let Some(found) = found {
        if found.rows.is_empty() {
            let none = match found.next {
                None => "Nothing of the kind is in the trail.",
                Some(_) => NOT_SO_FAR,
            };
            let _ = writeln!(body, "<p class=\"empty\">{}</p>", language.say(none));
        } else {
            write_rows(&mut body, language, &found.rows, "../");
        }
        if let Some(next) = found.next {
            let mut query = String::new();
            for name in ASKED {
                let _ = write!(query, "{name}={}&amp;", InQuery(fields.text(name)));
            }
            let _ = writeln!(
                body,
                "<nav class=\"paging\"><a rel=\"next\" href=\"audit?{query}before={}\">{}</a></nav>",
                next.text(),
                language.say("Older →")
            );
        }
    }
    let desk = Arc::clone(hall.desk());
    let head = off_thread(move || desk.ledger().audit_head()).await??;
    write_head(&mut body, language, head);
    Ok(parts::page(&request, &caller, status, title, "../", &body))
}

/// `GET /admin/audit/disclosures`
pub(super) async fn disclosures(
    request: HttpRequest,
    hall: web::Data<Hall>,
) -> Result<HttpResponse, Problem> {
    let caller = administrator(&request, &hall).await?;
    let fields = Fields(parameters(request.query_string())?);
    let language = Language::of(&request);
    let say = |english| language.say(english);
    let title = say("Disclosures");
    let mut body = parts::begin(language, Place::Audit, "../../");
    let _ = writeln!(
        body,
        "<p class=\"back\"><a href=\"../audit\">← {}</a></p>\n<h1>{title}</h1>\n<p>{}</p>",
        say("Audit trail"),
        say(
            "Who was given, or tried to get, what of a patient or of a study, removed ones too as far as the trail knows whose \
             they were."
        )
    );
    let mut status = StatusCode::OK;
    let asked = match Question::read(&fields.0, &["patient_id", "study", "after"]) {
        Ok(question) => question.names_somebody().then_some(question),
        Err(problem) => {
            let (refused, above) = parts::refused(language, problem)?;
            status = refused;
            body.push_str(&above);
            None
        }
    };
    let _ = writeln!(
        body,
        "<form class=\"disclosing\" method=\"get\" action=\"disclosures\" role=\"search\"><label>{}<input name=\"patient_id\" \
         value=\"{}\" autocomplete=\"off\"></label><label>{}<input name=\"study\" value=\"{}\" \
         autocomplete=\"off\"></label><button>{}</button></form>",
        say("Patient ID"),
        escaped(fields.text("patient_id")),
        say("Study Instance UID"),
        escaped(fields.text("study")),
        say("List")
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
        write_disclosures(&mut body, language, &fields, &rows, after);
        if let Some(broad) = broad {
            write_broad(&mut body, language, &broad);
        }
    }
    Ok(parts::page(
        &request, &caller, status, title, "../../", &body,
    ))
}

fn write_form(html: &mut String, language: Language, fields: &Fields) {
    let say = |english| language.say(english);
    let text = |name: &str| escaped(fields.text(name)).to_string();
    let _ = write!(
        html,
        "<form class=\"form card\" method=\"get\" action=\"audit\" role=\"search\"><div class=\"three\"><label>{}<input \
         name=\"patient_id\" value=\"{}\" autocomplete=\"off\"></label><label>{}<input name=\"study\" value=\"{}\" \
         autocomplete=\"off\"></label><label>{}<input name=\"who\" value=\"{}\" autocomplete=\"off\" \
         autocapitalize=\"none\" spellcheck=\"false\"></label><label>{}<select name=\"event\"><option value=\"\">{}</option>",
        say("Patient ID"),
        text("patient_id"),
        say("Study Instance UID"),
        text("study"),
        say("Who, as the trail names them"),
        text("who"),
        say("What happened"),
        say("anything")
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
            say(event.meaning())
        );
    }
    let _ = writeln!(
        html,
        "</select></label><label>{}<input type=\"date\" name=\"from\" value=\"{}\"></label><label>{}<input type=\"date\" \
         name=\"to\" value=\"{}\"></label></div><div class=\"acts\"><button>{}</button><a class=\"clear\" \
         href=\"audit\">{}</a><a class=\"clear\" href=\"audit/disclosures?patient_id={}&amp;study={}\">{}</a></div></form>",
        say("From this day, UTC"),
        text("from"),
        say("To this day, UTC"),
        text("to"),
        say("Search"),
        say("Clear"),
        InQuery(fields.text("patient_id")),
        InQuery(fields.text("study")),
        say("List disclosures"),
    );
}

fn write_disclosures(
    html: &mut String,
    language: Language,
    fields: &Fields,
    rows: &[Kept],
    after: Option<u64>,
) {
    let whose = format!(
        "patient_id={}&amp;study={}",
        InQuery(fields.text("patient_id")),
        InQuery(fields.text("study"))
    );
    if rows.is_empty() {
        let none = match after {
            None => "Nobody was given anything.",
            Some(_) => NOT_SO_FAR,
        };
        let _ = writeln!(html, "<p class=\"empty\">{}</p>", language.say(none));
    } else {
        write_rows(html, language, rows, "../../");
    }
    if let Some(after) = after {
        let _ = writeln!(
            html,
            "<nav class=\"paging\"><a rel=\"next\" href=\"disclosures?{whose}&amp;after={after}\">{}</a></nav>",
            language.say("Later →")
        );
    }
    let _ = writeln!(
        html,
        "<p><a href=\"../../api/v1/audit/disclosures?{whose}&amp;format=csv\" download>{}</a></p>",
        language.say("The whole list as CSV")
    );
}

/// Rows that tell of too much to say of whom.
fn write_broad(html: &mut String, language: Language, broad: &Broad) {
    let told = language.fill(
        "Besides, {rows} rows of the trail, from {first} to {last} UTC, tell of searches that found more than {count} studies each: \
         whose, is not in it.",
        &[
            ("rows", &broad.rows),
            ("first", &moment(broad.first_ms)),
            ("last", &moment(broad.last_ms)),
            ("count", &FOUND_MAX),
        ],
    );
    let _ = writeln!(html, "<p class=\"also\">{told}</p>");
}

fn write_rows(html: &mut String, language: Language, rows: &[Kept], root: &str) {
    html.push_str("<table class=\"studies\">\n<thead><tr>");
    for head in ["When, UTC", "Who", "What", "Of", "In detail"] {
        let _ = write!(html, "<th scope=\"col\">{}</th>", language.say(head));
    }
    html.push_str("</tr></thead>\n<tbody>\n");
    for kept in rows {
        let record = &kept.record;
        let who = &record.who;
        let from = [who.means.as_str(), who.address.as_str()];
        let from: Vec<_> = from.into_iter().filter(|text| !text.is_empty()).collect();
        let kind = record.event_type.map_or("", EventType::meaning);
        let kind = [kind, action(record.action)].into_iter();
        let kind = kind.filter(|text| !text.is_empty());
        let kind: Vec<_> = kind.map(|text| language.say(text)).collect();
        let _ = writeln!(
            html,
            "<tr><td class=\"date\">{when} <span class=\"also\">{id}</span></td><td class=\"patient\"><bdi>{who}</bdi><span \
             class=\"also\">{from}</span></td><td class=\"patient\">{event}{outcome}<span \
             class=\"also\">{kind}</span></td><td>{of}</td><td class=\"description\"><bdi>{detail}</bdi></td></tr>",
            when = exactly(record.at_ms),
            id = kept.id,
            who = escaped(&who.name),
            from = escaped(&from.join(" · ")),
            event = language.say(record.event.meaning()),
            outcome = outcome(language, record.outcome),
            kind = kind.join(", "),
            of = of(language, kept, root),
            detail = escaped(&record.detail),
        );
    }
    html.push_str("</tbody>\n</table>\n");
}

/// What it was done to.
fn of(language: Language, kept: &Kept, root: &str) -> String {
    let record = &kept.record;
    let mut html = String::new();
    if !record.patient_id.is_empty() {
        let patient = format!("<bdi>{}</bdi>", escaped(&record.patient_id));
        let patient = language.fill("patient {number}", &[("number", &patient)]);
        let _ = write!(html, "<div>{patient}</div>");
    }
    for study in record.studies.iter().take(STUDIES_SHOWN) {
        let _ = write!(
            html,
            "<div><a class=\"uid\" href=\"{root}studies/{study}\">{study}</a></div>"
        );
    }
    if record.studies.len() > STUDIES_SHOWN {
        let more = record.studies.len() - STUDIES_SHOWN;
        let more = language.fill("and {count} more studies", &[("count", &more)]);
        let _ = write!(html, "<div class=\"also\">{more}</div>");
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

fn outcome(language: Language, outcome: AuditOutcome) -> String {
    let word = match outcome {
        AuditOutcome::Success => return String::new(),
        AuditOutcome::MinorFailure => "refused",
        AuditOutcome::SeriousFailure => "alarm",
        AuditOutcome::MajorFailure => "failed",
    };
    format!(" <span class=\"chip warn\">{}</span>", language.say(word))
}

/// To the second: what is compared with other logs.
fn exactly(at_ms: i64) -> String {
    let text = crate::access::message::time(at_ms);
    let (day, time) = text.split_once('T').unwrap_or((&text, ""));
    format!("{day} {}", time.get(..8).unwrap_or_default())
}

fn write_head(html: &mut String, language: Language, head: Head) {
    let end = format!("<span class=\"uid\">{}:{}</span>", head.id, head.link);
    let told = language.fill(
        "The trail ends with {end}. Noted elsewhere, it shows later whether anything was changed: {command}",
        &[
            ("end", &end),
            (
                "command",
                &"<code>overread audit verify --holds</code>",
            ),
        ],
    );
    let _ = writeln!(html, "<p class=\"also\">{told}</p>");
}
