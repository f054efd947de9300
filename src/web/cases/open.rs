//! `/studies/{study}/case`: a second opinion is asked for, beside the study that it is about. Priors are ticked by whoever
//! asks: none goes along by itself.

use std::fmt::Write;
use std::sync::Arc;

use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, HttpResponse, web};

use super::form::Fields;
use super::{day, faults, words};
use crate::access::account::AccountName;
use crate::access::{Action, Inbox, Scope};
use crate::archive::{self, Row};
use crate::cases::evidence::StudyEvidence;
use crate::cases::{self, Asked, Cases, Fault, NewReference, Pool, Request, Urgency};
use crate::dicom::query::{Key, Matching, Order};
use crate::dicom::text_form::escaped;
use crate::dicom::{AttributeId, Level, Query, Uid, sop_class};
use crate::http::{Caller, Hall, Problem, off_thread, parameters};
use crate::inbox;
use crate::web::evidence::write_beside;
use crate::web::frame::{Frame, Part};
use crate::web::html;
use crate::web::language::Language;
use crate::web::{study, tell_accessed, tell_found};

/// The most other studies of a patient that are offered as priors.
const PRIORS_ROWS: u32 = 50;
/// The most instances of reports that are offered as first report.
const REPORTS_ROWS: u32 = 50;

const ON_WHAT_HAS_ARRIVED: &str = "A line is a slice, a band a gap between slices. This is what the objects say of themselves; \
    whether it is enough for the question, you have to look.";
const COMPLETE: &str = "I have looked: the study is complete enough to be read ({arrived}). Otherwise the case waits for that word.";

/// What the form is about.
struct About {
    study: Uid,
    row: Row,
    others: Vec<Row>,
    reports: Vec<(Uid, Uid, String)>,
    /// The inbox by which it came, when the form is reached from there.
    inbox: Option<Inbox>,
}

impl About {
    /// Where its form is.
    fn place(&self) -> String {
        let inbox = self.inbox.as_ref().map(|inbox| inbox.grant.id);
        let inbox = inbox.map_or_else(String::new, |id| format!("?inbox={id}"));
        format!("/studies/{}/case{inbox}", self.study)
    }
}

/// `GET /studies/{study}/case`
pub(super) async fn page(
    request: HttpRequest,
    study: web::Path<String>,
    hall: web::Data<Hall>,
) -> Result<HttpResponse, Problem> {
    let asked = parameters(request.query_string())?;
    let caller = Caller::of(&request)?;
    let about = about(&request, &study, &hall, number_of_inbox(&asked)).await?;
    let prefilled = about.inbox.as_ref().map(prefilled);
    answer(
        StatusCode::OK,
        (&request, &hall, &caller, &about),
        prefilled.as_ref(),
        None,
    )
    .await
}

/// `POST /studies/{study}/case`: 303 to the case.
pub(super) async fn begin(
    request: HttpRequest,
    study: web::Path<String>,
    payload: web::Payload,
    hall: web::Data<Hall>,
    cases: web::Data<Cases>,
) -> Result<HttpResponse, Problem> {
    let fields = Fields::received(&request, &hall, payload).await?;
    let inbox = fields.text("inbox").parse().ok();
    let about = about(&request, &study, &hall, inbox).await?;
    let caller = Caller::of(&request)?;
    let who = super::asking(&caller, &hall).await?;
    super::refuse_foreign(&request, &hall)?;
    let language = Language::of(&request);
    let asked = match read(&about.study, &fields) {
        Ok(asked) => asked,
        Err(fault) => {
            let text = faults::fault(language, &fault);
            return answer(
                StatusCode::BAD_REQUEST,
                (&request, &hall, &caller, &about),
                Some(&fields),
                Some(&text),
            )
            .await;
        }
    };
    let (desk, inbox) = (Arc::clone(hall.desk()), about.inbox.clone());
    let opened = off_thread(move || {
        let (request, report, readers) = asked;
        let case = cases.open(request, &report, &readers, &who)?;
        let number = i64::try_from(case.number).unwrap_or(i64::MAX);
        // The case is there whatever becomes of this; somebody may have opened another one of the inbox meanwhile.
        if let Some(inbox) = inbox
            && let Err(error) = desk.tie(&inbox, number, &who.actor, who.at_ms)
        {
            tracing::warn!(%error, number, "an inbox was not tied to its case");
        }
        Ok::<_, cases::Error>(case)
    });
    match opened.await? {
        Ok(case) => {
            let there = format!("../../cases/{}", case.number);
            let mut response = HttpResponse::SeeOther();
            Ok(response.insert_header((header::LOCATION, there)).finish())
        }
        Err(cases::Error::Invalid(fault)) => {
            let text = faults::fault(language, &fault);
            answer(
                StatusCode::BAD_REQUEST,
                (&request, &hall, &caller, &about),
                Some(&fields),
                Some(&text),
            )
            .await
        }
        Err(error) => Err(error.into()),
    }
}

async fn about(
    request: &HttpRequest,
    study: &str,
    hall: &web::Data<Hall>,
    inbox: Option<i64>,
) -> Result<About, Problem> {
    let study = Uid::parse(study).map_err(|_| Problem::not_found())?;
    let caller = Caller::of(request)?;
    caller.admit(hall, Action::Request).await?;
    let scope = caller.admit(hall, Action::Find).await?;
    tell_accessed(hall, &caller, &scope, &study).await?;
    let who = super::asking(&caller, hall).await?;
    let place = format!("/studies/{study}/case");
    let shared = hall.clone();
    let about = off_thread(move || {
        let inbox = match inbox {
            Some(id) => inbox::one(shared.desk().ledger(), id, &who)?,
            None => None,
        };
        let is_of_it =
            |inbox: &Inbox| inbox.case().is_none() && inbox.grant.studies.contains_key(&study);
        let inbox = inbox.filter(is_of_it);
        let found = find(&shared, &scope, study)?;
        Ok::<_, Problem>(About { inbox, ..found })
    });
    let about = about.await??;
    tell_found(hall, &caller, place, &about.others).await?;
    Ok(about)
}

fn find(hall: &Hall, scope: &Scope, study: Uid) -> Result<About, archive::Error> {
    let row = study::row(hall, scope, &study)?;
    let others = study::others(hall, scope, &row, PRIORS_ROWS)?;
    let mut reports = Vec::new();
    for modality in sop_class::DOCUMENT_MODALITIES {
        let instances = {
            let keys = [("StudyInstanceUID", study.as_str()), ("Modality", modality)];
            let keys = keys.into_iter().filter_map(|(keyword, value)| {
                let id = AttributeId::of_keyword(keyword)?;
                Some(Key::Attribute(id, Matching::Single(value.into())))
            });
            hall.archive().find(
                &Query {
                    level: Level::Instance,
                    keys: keys.collect(),
                    limit: REPORTS_ROWS,
                    offset: 0,
                    order: Order::NEWEST,
                },
                scope,
            )?
        };
        for instance in &instances.rows {
            let uid = |keyword| {
                let value = instance.attributes.by_keyword(keyword)?;
                Uid::parse(value).ok()
            };
            let class = instance
                .attributes
                .by_keyword("SOPClassUID")
                .unwrap_or_default();
            if let (Some(series), Some(instance)) =
                (uid("SeriesInstanceUID"), uid("SOPInstanceUID"))
            {
                let name = sop_class::storage(class)
                    .map_or(modality, |class| class.name)
                    .to_owned();
                reports.push((series, instance, name));
            }
        }
    }
    Ok(About {
        study,
        row,
        others,
        reports,
        inbox: None,
    })
}

fn number_of_inbox(asked: &[(String, String)]) -> Option<i64> {
    let inbox = asked.iter().find(|(name, _)| name == "inbox");
    inbox.and_then(|(_, text)| text.parse().ok())
}

/// The form as whoever made the inbox began it.
fn prefilled(inbox: &Inbox) -> Fields {
    let texts = [
        ("question", inbox.purpose.question.as_str()),
        ("context", inbox.purpose.context.as_str()),
        ("blinded", "1"),
    ];
    Fields::of(texts)
}

type Asking = (Request, Vec<NewReference>, Vec<Asked>);

fn read(study: &Uid, fields: &Fields) -> Result<Asking, Fault> {
    let subspecialty = Pool::parse(fields.text("subspecialty"))?;
    let mut readers = Vec::new();
    for name in fields.text("readers").split([',', ' ', '\n', '\r']) {
        if !name.is_empty() {
            let name = AccountName::parse(name);
            let name = name.map_err(|_| Fault::new("readers", "are no names of accounts"))?;
            readers.push(Asked::Reader(name));
        }
    }
    if readers.is_empty() || fields.is_ticked("pool") {
        readers.push(Asked::Pool(subspecialty.clone()));
    }
    let priors = fields
        .all("prior")
        .map(|text| Uid::parse(text).map_err(|_| Fault::new("priors", "are no studies")));
    let report = fields.all("report").map(|text| {
        let wrong = || Fault::new("report_instances", "are no instances");
        let (series, instance) = text.split_once('/').ok_or_else(wrong)?;
        Ok(NewReference {
            series_instance_uid: Uid::parse(series).map_err(|_| wrong())?,
            sop_instance_uid: Uid::parse(instance).map_err(|_| wrong())?,
        })
    });
    let request = Request {
        study: study.clone(),
        priors: priors.collect::<Result<_, Fault>>()?,
        question: fields.text("question").to_owned(),
        context: fields.text("context").to_owned(),
        body_part: fields.text("body_part").to_owned(),
        subspecialty,
        urgency: Urgency::parse(fields.text("urgency"))
            .ok_or_else(|| Fault::new("urgency", "is not said"))?,
        due_ms: due(fields.text("due"))?,
        expires_ms: None,
        is_blinded: fields.is_ticked("blinded"),
        needs_complete: !fields.is_ticked("complete"),
        first_report: fields.text("first_report").to_owned(),
        report_instances: Vec::new(),
    };
    Ok((request, report.collect::<Result<_, Fault>>()?, readers))
}

/// The end of a day, UTC; nothing when none is given.
fn due(text: &str) -> Result<Option<i64>, Fault> {
    if text.is_empty() {
        return Ok(None);
    }
    let day = text.parse::<jiff::civil::Date>();
    let end = day.and_then(|day| jiff::tz::Offset::UTC.to_timestamp(day.at(23, 59, 59, 0)));
    let end = end.map_err(|_| Fault::new("due", "is not a date like 2026-01-31"))?;
    Ok(Some(end.as_millisecond()))
}

/// The form, and beside it what has arrived of the study.
async fn answer(
    status: StatusCode,
    (request, hall, caller, about): (&HttpRequest, &web::Data<Hall>, &Caller, &About),
    typed: Option<&Fields>,
    problem: Option<&str>,
) -> Result<HttpResponse, Problem> {
    let scope = caller.admit(hall, Action::Find).await?;
    let found = arrived(request, scope, about.study.clone()).await?;
    let language = Language::of(request);
    let mut body = String::new();
    write_form(&mut body, language, about, typed, problem);
    if let Some(found) = &found {
        write_arrived(&mut body, language, found);
    }
    body.push_str("</div>\n");
    let place = about.place();
    let frame = Frame::of(request, caller, Part::Cases, "../../").found_at(&place);
    let title = language.say("Ask for a second opinion");
    Ok(frame.page(HttpResponse::build(status), title, &body))
}

/// What has arrived of a study. What was typed is not lost for want of a picture beside it.
async fn arrived(
    request: &HttpRequest,
    scope: Scope,
    study: Uid,
) -> Result<Option<Arc<StudyEvidence>>, Problem> {
    let Some(cases) = request.app_data::<web::Data<Cases>>().cloned() else {
        return Ok(None);
    };
    let found = off_thread(move || cases.evidence(&study, &scope)).await?;
    Ok(found.unwrap_or_else(|error| {
        tracing::warn!(%error, "the series of a study were not looked at");
        None
    }))
}

fn write_arrived(html: &mut String, language: Language, found: &StudyEvidence) {
    let arrived = language.say("What has arrived");
    let _ = writeln!(html, "<section id=\"arrived\" aria-label=\"{arrived}\">");
    write_beside(html, language, found);
    let _ = writeln!(
        html,
        "<p class=\"also\">{}</p></section>",
        language.say(ON_WHAT_HAS_ARRIVED)
    );
}

fn write_form(
    body: &mut String,
    language: Language,
    about: &About,
    typed: Option<&Fields>,
    problem: Option<&str>,
) {
    let value = |keyword| about.row.attributes.by_keyword(keyword).unwrap_or_default();
    let text = |name| escaped(typed.map_or("", |fields| fields.text(name))).to_string();
    let is_ticked = |name: &str, value: &str| {
        let found = typed.is_some_and(|fields| fields.all(name).any(|known| known == value));
        if found { " checked" } else { "" }
    };
    let _ = writeln!(
        body,
        "<p class=\"back\"><a href=\"../{study}\">← {back}</a></p>\n<h1>{title}</h1>\n<p>{name} \
         <span class=\"also\">{day} · {what}</span></p>",
        study = about.study,
        back = language.say("Study"),
        title = language.say("Ask for a second opinion"),
        name = html::person(value("PatientName")),
        day = day(language, value("StudyDate")),
        what = escaped(value("StudyDescription")),
    );
    if let Some(problem) = problem {
        let _ = writeln!(
            body,
            "<p class=\"problem\" role=\"alert\">{}</p>",
            escaped(problem)
        );
    }
    let _ = writeln!(
        body,
        "<div class=\"case\">\n<form class=\"form card\" method=\"post\" action=\"case\">\n\
         <label>{what}<textarea name=\"question\" required maxlength=\"2000\">{question}</textarea></label>\n\
         <label>{what_else}<textarea name=\"context\" maxlength=\"16000\">{context}</textarea></label>\n\
         <div class=\"two\"><label>{body_part}<input name=\"body_part\" maxlength=\"32\" value=\"{part}\"></label>\n\
         <label>{subspecialty}<input name=\"subspecialty\" required maxlength=\"48\" pattern=\"[A-Za-z0-9\\-]+\" \
         placeholder=\"neuro\" value=\"{pool}\"></label>\n\
         <label>{urgency}<select name=\"urgency\">",
        what = language.say("What do you want to know?"),
        what_else = language.say("What else should the reader know?"),
        body_part = language.say("Body part"),
        subspecialty = language.say("Subspecialty"),
        urgency = language.say("Urgency"),
        question = text("question"),
        context = text("context"),
        part = match typed {
            Some(_) => text("body_part"),
            None => escaped(value("BodyPartExamined")).to_string(),
        },
        pool = text("subspecialty"),
    );
    for (urgency, word, _) in Urgency::WORDS {
        let is_chosen = typed.is_some_and(|fields| fields.text("urgency") == word);
        let selected = if is_chosen { " selected" } else { "" };
        let shown = language.say(words::urgency(urgency));
        let _ = write!(body, "<option value=\"{word}\"{selected}>{shown}</option>");
    }
    let arrived = format!(
        "<a href=\"#arrived\">{}</a>",
        language.say("what has arrived")
    );
    let _ = writeln!(
        body,
        "</select></label>\n<label>{by}<input type=\"date\" name=\"due\" value=\"{due}\"></label></div>\n\
         <label>{whom}<input name=\"readers\" value=\"{readers}\"></label>\n\
         <label class=\"choice\"><input type=\"checkbox\" name=\"blinded\" value=\"1\"{blinded}> {blind}</label>\n\
         <label class=\"choice\"><input type=\"checkbox\" name=\"complete\" value=\"1\"{complete}> <span>{looked}</span></label>",
        by = language.say("Answer wanted by"),
        whom = language
            .say("Readers: names of accounts; empty for whoever of the subspecialty is first"),
        blind = language.say(
            "Read blind first: reports and marks open when the reader has committed an impression"
        ),
        looked = language.fill(COMPLETE, &[("arrived", &arrived)]),
        due = text("due"),
        readers = text("readers"),
        blinded = if typed.is_none() {
            " checked"
        } else {
            is_ticked("blinded", "1")
        },
        complete = is_ticked("complete", "1"),
    );
    if let Some(inbox) = &about.inbox {
        let id = inbox.grant.id;
        let _ = writeln!(
            body,
            "<input type=\"hidden\" name=\"inbox\" value=\"{id}\">"
        );
    }
    write_priors(body, language, about, &is_ticked);
    let legend = language.say("First report, if there is one");
    let _ = write!(body, "<fieldset><legend>{legend}</legend>");
    for (series, instance, name) in &about.reports {
        let place = format!("{series}/{instance}");
        let _ = writeln!(
            body,
            "<label class=\"choice\"><input type=\"checkbox\" name=\"report\" value=\"{place}\"{}> {}</label>",
            is_ticked("report", &place),
            escaped(name)
        );
    }
    let _ = writeln!(
        body,
        "<label>{}<textarea name=\"first_report\">{}</textarea></label></fieldset>\n\
         <div class=\"acts\"><button>{}</button></div>\n</form>",
        language.say("As text"),
        text("first_report"),
        language.say("Open the case"),
    );
}

fn write_priors(
    html: &mut String,
    language: Language,
    about: &About,
    is_ticked: &impl Fn(&str, &str) -> &'static str,
) {
    let legend = language.say("Earlier studies that go along");
    let _ = write!(html, "<fieldset><legend>{legend}</legend>");
    for row in &about.others {
        let value = |keyword| row.attributes.by_keyword(keyword).unwrap_or_default();
        let uid = value("StudyInstanceUID");
        let _ = writeln!(
            html,
            "<label class=\"choice\"><input type=\"checkbox\" name=\"prior\" value=\"{uid}\"{}> {} {} <span class=\"also\">{} \
             · {}</span></label>",
            is_ticked("prior", uid),
            day(language, value("StudyDate")),
            escaped(value("StudyDescription")),
            escaped(&row.modalities_in_study.join(" ")),
            language.count(row.instances_of_study, ["{count} image", "{count} images"]),
            uid = escaped(uid),
        );
    }
    if about.others.is_empty() {
        let none = language.say("There are none of this patient here.");
        let _ = write!(html, "<span>{none}</span>");
    }
    html.push_str("</fieldset>\n");
}

/// Only for whoever may ask: a way from the page of a study to the form.
pub(in crate::web) fn write_way(html: &mut String, language: Language, study: &Uid) {
    let _ = writeln!(
        html,
        "<p class=\"ask\"><a href=\"{study}/case\">{}</a></p>",
        language.say("Ask for a second opinion")
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_end_at_midnight() {
        assert_eq!(due(""), Ok(None));
        // date -u -d '2026-12-01 23:59:59' +%s000
        assert_eq!(due("2026-12-01"), Ok(Some(1_796_169_599_000)));
        assert_eq!(due("2024-02-29"), Ok(Some(1_709_251_199_000)));
        for text in ["2026", "2026-13-01", "2026-00-01", "1.2.2026", "2026-12-x"] {
            assert!(due(text).is_err(), "{text}");
        }
    }
}
