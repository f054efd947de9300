//! `/inboxes`: links by which others send images, who made them and what came by each; from there a case is opened on what
//! came. The link is shown on the page that answers, and never again.

use std::fmt::Write;
use std::sync::Arc;

use actix_web::http::{Method, StatusCode, header};
use actix_web::{HttpRequest, HttpResponse, web};

use super::frame::{Frame, Part};
use super::html;
use super::language::Language;
use crate::access::inbox::{NO_CASE, Patient, Purpose};
use crate::access::{Action, Giving, GrantError, Inbox, Right, To};
use crate::cases;
use crate::dicom::Uid;
use crate::dicom::text_form::{self, escaped};
use crate::http::inboxes::look_into;
use crate::http::{
    Caller, Hall, Problem, base_url, bounded_form, is_foreign, now_ms, off_thread, parameters,
};
use crate::inbox::{self, Arrived, Came};
use crate::web::cases::moment;

/// Inboxes on a page.
const PAGE_ROWS: usize = 50;
/// The longest form. Bytes.
const FORM_BYTES_MAX: usize = 128 * 1024;
const DAY_MS: i64 = 86_400_000;

const WHAT: &str = "A link by which somebody without an account sends you images, reports and photographs. They see nothing but what \
    they sent.";
const TOO_MUCH: &str = "Too much came to count this study and to see whether it looks complete.";

/// `GET /inboxes`, with `?before=`.
pub(super) async fn page(
    request: HttpRequest,
    hall: web::Data<Hall>,
) -> Result<HttpResponse, Problem> {
    listed(&request, &hall, (StatusCode::OK, String::new())).await
}

async fn listed(
    request: &HttpRequest,
    hall: &web::Data<Hall>,
    (status, above): (StatusCode, String),
) -> Result<HttpResponse, Problem> {
    let caller = Caller::of(request)?;
    let who = asking(&caller, hall).await?;
    let asked = parameters(request.query_string())?;
    let before = asked.iter().find(|(name, _)| name == "before");
    let before = before.and_then(|(_, text)| text.parse().ok());
    let desk = Arc::clone(hall.desk());
    let found = off_thread(move || inbox::list(desk.ledger(), &who, before, PAGE_ROWS)).await??;
    let language = Language::of(request);
    let title = language.say("Inboxes");
    let mut body = format!(
        "<p class=\"back\"><a href=\"cases\">← {}</a></p>\n<h1>{title}</h1>\n<p>{}</p>\n{above}",
        language.say("Cases"),
        language.say(WHAT)
    );
    write_list(&mut body, language, &found);
    write_form(&mut body, language);
    let mut frame = Frame::of(request, &caller, Part::Cases, "");
    if *request.method() == Method::POST {
        frame = frame.found_at("/inboxes");
    }
    Ok(frame.page(HttpResponse::build(status), title, &body))
}

/// `POST /inboxes`: makes one and shows its link.
pub(super) async fn make(
    request: HttpRequest,
    payload: web::Payload,
    hall: web::Data<Hall>,
) -> Result<HttpResponse, Problem> {
    let text = bounded_form(&request, hall.settings(), payload, FORM_BYTES_MAX).await?;
    let caller = Caller::of(&request)?;
    asking(&caller, &hall).await?;
    caller.admit(&hall, Action::Store).await?;
    let base = base_url(&request, hall.settings())?;
    refuse_foreign(&request, &hall, &base)?;
    let fields = parameters(&text)?;
    let giving = giving(&fields);
    let (desk, actor) = (Arc::clone(hall.desk()), caller.actor());
    let given = match giving {
        Ok(giving) => off_thread(move || desk.give(giving, &actor, now_ms())).await?,
        Err(why) => Err(GrantError::Invalid(why)),
    };
    let language = Language::of(&request);
    let (status, above) = match given {
        Ok(given) => {
            let secret = given.secret.as_ref();
            let link = secret.map(|secret| format!("{base}/l/{}", secret.text()));
            (
                StatusCode::OK,
                told_link(language, &link.unwrap_or_default()),
            )
        }
        Err(error @ (GrantError::Invalid(_) | GrantError::Open)) => {
            let problem = language.sentence(&error.to_string());
            let text = format!(
                "<p class=\"problem\" role=\"alert\">{}</p>\n",
                escaped(&problem)
            );
            (StatusCode::BAD_REQUEST, text)
        }
        Err(GrantError::Access(error)) => return Err(error.into()),
        Err(GrantError::NoRandomness(cause)) => {
            return Err(crate::archive::Error::broken("making an inbox", cause).into());
        }
    };
    listed(&request, &hall, (status, above)).await
}

fn giving(fields: &[(String, String)]) -> Result<Giving, &'static str> {
    let text = |name: &str| {
        let found = fields.iter().find(|(known, _)| known == name);
        found.map_or("", |(_, value)| value.trim())
    };
    let days = text("days").parse().ok();
    let days: i64 = days
        .filter(|days| (1..=366).contains(days))
        .ok_or("days are between 1 and 366")?;
    let now_ms = now_ms();
    let name = (text("family_name"), text("given_name"));
    let patient = Patient::typed(name, text("patient_id"), text("birth_date"))?;
    Ok(Giving {
        case: NO_CASE,
        to: To::Inbox(Purpose {
            question: text("question").into(),
            context: text("context").into(),
            patient,
        }),
        studies: std::collections::BTreeMap::new(),
        not_before_ms: now_ms,
        expires_ms: now_ms.saturating_add(days * DAY_MS),
        opens_max: None,
        right: Right::View,
        label: text("label").into(),
    })
}

fn told_link(language: Language, link: &str) -> String {
    format!(
        "<section class=\"card\" role=\"status\"><h2>{}</h2><p>{}</p><p class=\"secret\">{}</p></section>\n",
        language.say("A link for whoever has the images"),
        language.say("Copy it now: it is shown this once and kept nowhere."),
        escaped(link)
    )
}

/// `GET /inboxes/{id}`: what came by it.
pub(super) async fn one(
    request: HttpRequest,
    id: web::Path<i64>,
    hall: web::Data<Hall>,
) -> Result<HttpResponse, Problem> {
    let caller = Caller::of(&request)?;
    let who = asking(&caller, &hall).await?;
    let (inbox, came) = look_into(&hall, &caller, who, id.into_inner()).await?;
    let language = Language::of(&request);
    let mut body = String::new();
    write_one(&mut body, language, &inbox, &came);
    let frame = Frame::of(&request, &caller, Part::Cases, "../");
    Ok(frame.page(HttpResponse::Ok(), language.say("Inbox"), &body))
}

/// `POST /inboxes/{id}/close`: nothing comes by its link any more.
pub(super) async fn close(
    request: HttpRequest,
    id: web::Path<i64>,
    hall: web::Data<Hall>,
) -> Result<HttpResponse, Problem> {
    let caller = Caller::of(&request)?;
    let who = asking(&caller, &hall).await?;
    let base = base_url(&request, hall.settings())?;
    refuse_foreign(&request, &hall, &base)?;
    let (desk, id) = (Arc::clone(hall.desk()), id.into_inner());
    off_thread(move || {
        let inbox = inbox::one(desk.ledger(), id, &who)?;
        let inbox = inbox.ok_or_else(Problem::not_found)?;
        Ok::<_, Problem>(desk.take_back(&inbox.grant, &caller.actor(), now_ms())?)
    })
    .await??;
    let mut response = HttpResponse::SeeOther();
    response.insert_header((header::LOCATION, format!("{base}/inboxes/{id}")));
    Ok(response.finish())
}

/// Who asks, as cases know them.
///
/// # Errors
/// 403 for who opens no case.
async fn asking(caller: &Caller, hall: &web::Data<Hall>) -> Result<cases::Caller, Problem> {
    caller.admit(hall, Action::Request).await?;
    let who = caller.principal().ok_or_else(Problem::not_found)?;
    Ok(cases::Caller::of(who, caller.actor(), now_ms()))
}

fn refuse_foreign(request: &HttpRequest, hall: &Hall, base: &str) -> Result<(), Problem> {
    if is_foreign(request.headers(), hall.settings(), base) {
        let text = "pages of this origin may not make or close inboxes (http.allowed_origins)";
        return Err(Problem::new(StatusCode::FORBIDDEN, text));
    }
    Ok(())
}

fn state(inbox: &Inbox, now_ms: i64) -> &'static str {
    match inbox.grant.is_live(now_ms) {
        _ if inbox.grant.revoked_ms.is_some() => "closed",
        false => "expired",
        true if inbox.finished_ms.is_some() => "all sent",
        true if inbox.grant.studies.is_empty() => "nothing yet",
        true => "arriving",
    }
}

fn write_list(html: &mut String, language: Language, found: &[Inbox]) {
    let say = |english| language.say(english);
    if found.is_empty() {
        let _ = writeln!(
            html,
            "<p class=\"empty\">{}</p>",
            say("There are none yet.")
        );
        return;
    }
    let (studies, case) = (say("Studies"), say("Case"));
    let (until, maker) = (say("Until"), say("Made by"));
    let _ = writeln!(
        html,
        "<table class=\"studies\">\n<thead><tr><th>{}</th><th>{}</th><th>{studies}</th><th>{case}</th><th>{until}</th><th>{maker}</th>\
         </tr></thead>\n<tbody>",
        say("For"),
        say("State")
    );
    let now_ms = now_ms();
    for inbox in found {
        let grant = &inbox.grant;
        let label = match grant.label.as_str() {
            "" => say("without a name"),
            label => label,
        };
        let of_case = match inbox.case() {
            Some(number) => {
                format!("<td data-label=\"{case}\"><a href=\"cases/{number}\">{number}</a></td>")
            }
            None => "<td></td>".into(),
        };
        let _ = writeln!(
            html,
            "<tr><td class=\"patient\"><a href=\"inboxes/{id}\">{label}</a><span class=\"also\">{question}</span></td>\
             <td><span class=\"chip\">{state}</span></td><td data-label=\"{studies}\">{count}</td>{of_case}\
             <td data-label=\"{until}\">{expires}</td><td data-label=\"{maker}\">{account}</td></tr>",
            id = grant.id,
            label = escaped(label),
            question = escaped(inbox.purpose.question.lines().next().unwrap_or_default()),
            state = say(state(inbox, now_ms)),
            count = grant.studies.len(),
            expires = moment(grant.expires_ms),
            account = escaped(&inbox.maker),
        );
    }
    html.push_str("</tbody>\n</table>\n");
    if let (true, Some(last)) = (found.len() == PAGE_ROWS, found.last()) {
        let _ = writeln!(
            html,
            "<nav class=\"paging\"><a rel=\"next\" href=\"inboxes?before={}\">{} →</a></nav>",
            last.grant.id,
            say("Older")
        );
    }
}

fn write_form(html: &mut String, language: Language) {
    let say = |english| language.say(english);
    let _ = write!(
        html,
        "<form class=\"form card\" method=\"post\" action=\"inboxes\"><h2>{new}</h2>\n\
         <div class=\"two\"><label>{label}<input name=\"label\" maxlength=\"100\"></label>\n\
         <label>{days}<input type=\"number\" name=\"days\" min=\"1\" max=\"366\" value=\"14\" required></label></div>\n\
         <label>{question}<textarea name=\"question\" maxlength=\"2000\"></textarea></label>\n\
         <label>{context}<textarea name=\"context\" maxlength=\"16000\"></textarea></label>\n\
         <fieldset><legend>{patient}</legend><div class=\"two\">\n\
         <label>{family_name}<input name=\"family_name\" maxlength=\"60\"></label>\n\
         <label>{given_name}<input name=\"given_name\" maxlength=\"60\"></label>\n\
         <label>{birth_date}<input type=\"date\" name=\"birth_date\"></label>\n\
         <label>{patient_id}<input name=\"patient_id\" maxlength=\"64\"></label></div></fieldset>\n\
         <div class=\"acts\"><button>{make}</button></div></form>\n",
        new = say("A new inbox"),
        label = say("Whom it is for; they see this"),
        days = say("Good for how many days"),
        question = say("What the case shall ask, if you know"),
        context = say("What else its reader should know"),
        patient = say("The patient, for reports and photographs that come without images"),
        family_name = say("Family name"),
        given_name = say("Given name"),
        birth_date = say("Date of birth"),
        patient_id = say("Patient ID"),
        make = say("Make a link"),
    );
}

fn write_one(html: &mut String, language: Language, inbox: &Inbox, came: &Came) {
    let say = |english| language.say(english);
    let (grant, purpose) = (&inbox.grant, &inbox.purpose);
    let label = match grant.label.as_str() {
        "" => say("Inbox"),
        label => label,
    };
    let (expires, maker) = (moment(grant.expires_ms), escaped(&inbox.maker));
    let _ = writeln!(
        html,
        "<p class=\"back\"><a href=\"../inboxes\">← {}</a></p>\n<h1>{}</h1>\n<p><span class=\"chip\">{}</span> \
         <span class=\"also\">{}</span></p>",
        say("Inboxes"),
        escaped(label),
        say(state(inbox, now_ms())),
        language.fill(
            "until {moment} UTC · made by {maker}",
            &[("moment", &expires), ("maker", &maker)]
        ),
    );
    if let Some(finished_ms) = inbox.finished_ms {
        let said = language.fill(
            "They said on {moment} UTC that everything was sent.",
            &[("moment", &moment(finished_ms))],
        );
        let _ = write!(html, "<p>{said}");
        if came.studies.iter().any(|came| came.last_ms > finished_ms) {
            let _ = write!(html, " {}", say("More has come since."));
        }
        html.push_str("</p>\n");
    }
    if let Some(case) = inbox.case() {
        let named = language.fill("Case {number}", &[("number", &case)]);
        let _ = writeln!(html, "<p><a href=\"../cases/{case}\">{named}</a></p>");
    }
    for text in [&purpose.question, &purpose.context] {
        if !text.is_empty() {
            let _ = writeln!(html, "<p class=\"said\">{}</p>", escaped(text));
        }
    }
    if came.is_empty() {
        let _ = writeln!(
            html,
            "<p class=\"empty\">{}</p>",
            say("Nothing has arrived yet.")
        );
    }
    for study in &came.studies {
        write_study(html, language, inbox, study);
    }
    for uid in &came.not_looked_at {
        let _ = writeln!(
            html,
            "<section class=\"card\"><h2>{}</h2>\n<p>{}</p>",
            say("Not looked at"),
            say(TOO_MUCH)
        );
        write_ways(html, language, inbox, uid);
        html.push_str("</section>\n");
    }
    if grant.revoked_ms.is_none() {
        let _ = writeln!(
            html,
            "<form class=\"act\" method=\"post\" action=\"{}/close\"><button class=\"plain\">{}</button></form>",
            grant.id,
            say("Close this inbox")
        );
    }
}

fn write_study(html: &mut String, language: Language, inbox: &Inbox, came: &Arrived) {
    let study = &came.study;
    let (class, word) = match came.looks_complete() {
        true => ("chip good", language.say("looks complete")),
        false => ("chip warn", language.say("something seems to be missing")),
    };
    let modalities: Vec<_> = came.modalities().into_iter().collect();
    let _ = writeln!(
        html,
        "<section class=\"card\"><h2>{} <span class=\"also\">{} · {} · {}</span></h2>\n<p><span class=\"{class}\">{word}</span> {}</p>",
        html::person(&study.patient_name),
        escaped(&text_form::date(&study.study_date)),
        escaped(&modalities.join(" ")),
        escaped(&study.study_description),
        language.fill(
            "{files} files, {papers} of them documents or photographs, in {series} series; the last came on {moment} UTC.",
            &[
                ("files", &came.instances),
                ("papers", &came.papers),
                ("series", &came.series.len()),
                ("moment", &moment(came.last_ms)),
            ]
        ),
    );
    write_ways(html, language, inbox, &study.study_instance_uid);
    html.push_str("</section>\n");
}

/// Where a study that came leads to.
fn write_ways(html: &mut String, language: Language, inbox: &Inbox, study: &Uid) {
    let _ = writeln!(
        html,
        "<p><a href=\"../studies/{study}\">{}</a> · <a href=\"../studies/{study}/evidence\">{}</a></p>",
        language.say("Look at it"),
        language.say("What its series hold")
    );
    if inbox.case().is_none() {
        let _ = writeln!(
            html,
            "<p class=\"ask\"><a href=\"../studies/{study}/case?inbox={}\">{}</a></p>",
            inbox.grant.id,
            language.say("Open a case on this study")
        );
    }
}
