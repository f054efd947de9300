//! `/cases/{number}`: what is asked, about which studies, and where it stands; beside it what its visitor can do: a reader
//! reads and answers, a requester sends it out, asks others, takes note.

use std::fmt::Write;

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};

use super::draft::Typed;
use super::{day, from_now, moment, opinions, readers, words};
use crate::access::{Action, Grant, Scope};
use crate::archive::{self, Row};
use crate::cases::{Act, Cases, Draft, Growth, Look, Urgency};
use crate::dicom::Uid;
use crate::dicom::text_form::escaped;
use crate::http::{Caller, Hall, Problem, now_ms, off_thread, told};
use crate::web::frame::{Frame, Part};
use crate::web::html;
use crate::web::language::Language;
use crate::web::{study, tell_accessed, viewer};

/// A case, and what its page needs besides.
pub(super) struct Shown {
    pub(super) number: u64,
    /// In which the visitor reads.
    pub(super) language: Language,
    pub(super) look: Look,
    pub(super) draft: Option<Draft>,
    /// What was typed and could not be saved.
    pub(super) unsaved: Option<Box<Typed>>,
    /// The study and its priors; `None` for one that the visitor may not see, or that has gone.
    pub(super) studies: Vec<(Uid, Option<Row>)>,
    pub(super) has_viewer: bool,
    /// The name of the visitor.
    pub(super) name: Box<str>,
    /// What was given of its studies; `None` for whoever is not in charge of it.
    pub(super) given: Option<Vec<Grant>>,
}

/// `GET /cases/{number}`
pub(super) async fn page(
    request: HttpRequest,
    number: web::Path<String>,
    hall: web::Data<Hall>,
    cases: web::Data<Cases>,
) -> Result<HttpResponse, Problem> {
    answer(&request, &number, &hall, &cases, None).await
}

/// What went wrong with a form.
pub(super) struct Wrong {
    pub(super) status: StatusCode,
    pub(super) text: String,
    /// What was typed, when it could not be saved.
    pub(super) unsaved: Option<Box<Typed>>,
}

/// The page, with what went wrong before it.
pub(super) async fn answer(
    request: &HttpRequest,
    number: &str,
    hall: &web::Data<Hall>,
    cases: &web::Data<Cases>,
    wrong: Option<Wrong>,
) -> Result<HttpResponse, Problem> {
    let caller = Caller::of(request)?;
    let language = Language::of(request);
    let mut shown = look(number, language, &caller, hall, cases).await?;
    let (status, problem) = match wrong {
        Some(wrong) => {
            shown.unsaved = wrong.unsaved;
            (wrong.status, Some(wrong.text))
        }
        None => (StatusCode::OK, None),
    };
    let mut body = String::new();
    write_head(&mut body, &shown);
    if let Some(text) = &problem {
        let _ = writeln!(
            body,
            "<p class=\"problem\" role=\"alert\">{}</p>",
            escaped(text)
        );
    }
    write_growth(&mut body, &shown);
    body.push_str("<div class=\"case\"><div>\n");
    write_question(&mut body, &shown);
    write_studies(&mut body, &shown);
    write_first_report(&mut body, &shown);
    body.push_str("</div><div>\n");
    opinions::write(&mut body, &shown);
    readers::write(&mut body, &shown);
    write_ends(&mut body, &shown);
    body.push_str("</div></div>\n");
    let title = language.fill("Case {number}", &[("number", &shown.number)]);
    let place = format!("/cases/{}", shown.number);
    let mut frame = Frame::of(request, &caller, Part::Cases, "../").found_at(&place);
    if opinions::is_read_here(&shown) {
        frame = frame.with_module("reading.js");
    }
    // An answer to a form is at the address of the form: its links begin where those of the page do.
    let below = request.path().split('/').count().saturating_sub(3);
    if below > 0 {
        frame = frame.beginning_at(format!("{}{}", "../".repeat(below), shown.number));
    }
    Ok(frame.page(HttpResponse::build(status), &title, &body))
}

/// A case as somebody may see it.
///
/// # Errors
/// 404 when they may not.
pub(super) async fn look(
    number: &str,
    language: Language,
    caller: &Caller,
    hall: &web::Data<Hall>,
    cases: &web::Data<Cases>,
) -> Result<Shown, Problem> {
    let number: u64 = number.parse().map_err(|_| Problem::not_found())?;
    let who = super::asking(caller, hall).await?;
    let asked = who.clone();
    // Who may see a case may see less of its studies: those are asked for as theirs.
    let scope = caller.admit(hall, Action::Find).await?;
    let (shared, cases, seen) = (hall.clone(), cases.clone(), scope.clone());
    let name: Box<str> = caller.name().into();
    let shown = off_thread(move || {
        let look = cases.show(number, &who)?;
        let draft = match look.may(Act::Draft) {
            true => cases.draft(number, &who)?,
            false => None,
        };
        let mut studies = Vec::new();
        for study in look.case.request.studies() {
            studies.push((study.clone(), found(&shared, &seen, study)?));
        }
        let given = match cases.given(number, &seen, &who) {
            Ok(given) => Some(given),
            Err(crate::cases::Error::Forbidden(_)) => None,
            Err(error) => return Err(error),
        };
        Ok::<_, crate::cases::Error>(Shown {
            given,
            number,
            language,
            look,
            draft,
            unsaved: None,
            studies,
            has_viewer: viewer::is_there(&shared),
            name,
        })
    });
    let shown = shown.await??;
    if caller.is_known() {
        told(hall, shown.look.record(&asked)).await?;
    }
    for (study, _) in shown.studies.iter().filter(|(_, row)| row.is_some()) {
        tell_accessed(hall, caller, &scope, study).await?;
    }
    Ok(shown)
}

fn found(hall: &Hall, scope: &Scope, study: &Uid) -> Result<Option<Row>, archive::Error> {
    match study::row(hall, scope, study) {
        Ok(row) => Ok(Some(row)),
        Err(archive::Error::NotFound) => Ok(None),
        Err(error) => Err(error),
    }
}

/// A button that does one thing.
pub(super) fn write_act(html: &mut String, number: u64, act: Act, label: &str, is_plain: bool) {
    let class = if is_plain { " class=\"plain\"" } else { "" };
    let _ = writeln!(
        html,
        "<form class=\"act\" method=\"post\" action=\"{number}/{}\"><button{class}>{label}</button></form>",
        act.word()
    );
}

fn write_head(html: &mut String, shown: &Shown) {
    let (case, language) = (&shown.look.case, shown.language);
    let _ = write!(
        html,
        "<p class=\"back\"><a href=\"../cases\">← {}</a></p>\n<h1>{} <span class=\"chip\">{}</span>",
        language.say("Cases"),
        language.fill("Case {number}", &[("number", &shown.number)]),
        language.say(words::state(case.state)),
    );
    if case.request.urgency != Urgency::Routine {
        let word = language.say(words::urgency(case.request.urgency));
        let _ = write!(html, " <span class=\"chip warn\">{word}</span>");
    }
    if case.request.is_blinded {
        let word = language.say("read blind first");
        let _ = write!(html, " <span class=\"chip\">{word}</span>");
    }
    if !case.has_gone_out() {
        let word = language.say("not sent out yet");
        let _ = write!(html, " <span class=\"chip warn\">{word}</span>");
    }
    if shown
        .look
        .opinions
        .iter()
        .any(|told| told.have_images_changed)
    {
        let word = language.say("images changed since the opinion");
        let _ = write!(html, " <span class=\"chip warn\">{word}</span>");
    }
    html.push_str("</h1>\n");
}

/// What has come since somebody said that it is complete: for the requester, who can say so again, and for whoever reads.
fn write_growth(html: &mut String, shown: &Shown) {
    let (look, language) = (&shown.look, shown.language);
    let Some(growth) = &look.growth else {
        return;
    };
    let changes = changes(language, growth);
    let sentence = match &growth.last {
        Some(last) => {
            let sender = match &*last.sender {
                "" => language.say("somebody unknown"),
                sender => sender,
            };
            let sender = format!("<bdi>{}</bdi>", escaped(sender));
            language.fill(
                "{changes} after it was said to be complete, the last on {moment} from {sender}.",
                &[
                    ("changes", &changes),
                    ("moment", &moment(last.at_ms)),
                    ("sender", &sender),
                ],
            )
        }
        None => language.fill(
            "{changes} after it was said to be complete.",
            &[("changes", &changes)],
        ),
    };
    let _ = writeln!(
        html,
        "<section class=\"card notice\" role=\"status\"><p><span class=\"chip warn\">{}</span> {sentence}</p>",
        language.say("not as it was"),
    );
    if look.may(Act::Complete) {
        let now = language.say(
            "Readers see what is there now. Look whether it is what they should read, and say so.",
        );
        let _ = writeln!(html, "<p class=\"also\">{now}</p>");
        let label = language.say("It is complete as it is now");
        write_act(html, shown.number, Act::Complete, label, false);
    }
    html.push_str("</section>\n");
}

/// What has changed, in words.
fn changes(language: Language, growth: &Growth) -> String {
    if language == Language::English {
        return growth.sentence();
    }
    let parts = [
        (
            growth.arrived,
            ["{count} image arrived", "{count} images arrived"],
        ),
        (
            growth.replaced,
            ["{count} image was replaced", "{count} images were replaced"],
        ),
        (
            growth.removed,
            ["{count} image was removed", "{count} images were removed"],
        ),
    ];
    let parts = parts.into_iter().filter(|(count, _)| *count > 0);
    let parts = parts.map(|(count, words)| language.count(count, words));
    parts.collect::<Vec<_>>().join(", ")
}

fn write_question(html: &mut String, shown: &Shown) {
    let (case, language) = (&shown.look.case, shown.language);
    let request = &case.request;
    let _ = writeln!(
        html,
        "<section class=\"card\"><h2>{}</h2><p class=\"said\">{}</p>",
        language.say("Question"),
        escaped(&request.question)
    );
    if !request.context.is_empty() {
        let _ = writeln!(html, "<p class=\"said\">{}</p>", escaped(&request.context));
    }
    html.push_str("<dl class=\"facts\">");
    let due = request.due_ms.map(|due_ms| {
        let when = from_now(language, due_ms, now_ms());
        format!("{} ({when})", moment(due_ms))
    });
    let word = case.confirmed.as_ref().or(case.completed.as_ref());
    let complete = match (word, request.needs_complete) {
        (Some(word), _) => language.fill(
            "so says {name}, {moment}",
            &[("moment", &moment(word.at_ms)), ("name", &word.by)],
        ),
        (None, false) => language.fill("so says {name}", &[("name", &case.requester)]),
        (None, true) => language.say("nobody has said so yet").to_owned(),
    };
    for (what, text) in [
        ("Asked by", case.requester.to_string()),
        ("Opened", moment(case.opened_ms)),
        ("Wanted by", due.unwrap_or_default()),
        ("Body part", request.body_part.clone()),
        ("Subspecialty", request.subspecialty.as_str().to_owned()),
        ("Complete enough to read", complete),
    ] {
        if !text.is_empty() {
            let what = language.say(what);
            let _ = writeln!(
                html,
                "<div><dt>{what}</dt><dd><bdi>{}</bdi></dd></div>",
                escaped(&text)
            );
        }
    }
    html.push_str("</dl></section>\n");
}

fn write_studies(html: &mut String, shown: &Shown) {
    let language = shown.language;
    let title = language.say("Studies");
    let _ = writeln!(
        html,
        "<section class=\"card\"><h2>{title}</h2><ol class=\"timeline\">"
    );
    for (place, (uid, row)) in shown.studies.iter().enumerate() {
        let Some(row) = row else {
            let words = language.say("not here for you");
            let _ = writeln!(html, "<li><span class=\"also\">{words}</span></li>");
            continue;
        };
        let value = |keyword| row.attributes.by_keyword(keyword).unwrap_or_default();
        let date = day(language, value("StudyDate"));
        let is_prior = place > 0;
        let _ = write!(
            html,
            "<li>{date}<span>{patient} {description} <span class=\"also\">{prior}{modalities} · {images}</span></span><span><a class=\"quick\" href=\"../studies/{look}case={number}\">{quick}</a> · <a href=\"../studies/{uid}?case={number}\">{all}</a>",
            date = if is_prior {
                format!("<span>{date}</span>")
            } else {
                format!("<b>{date}</b>")
            },
            patient = if is_prior {
                String::new()
            } else {
                html::person(value("PatientName"))
            },
            description = escaped(value("StudyDescription")),
            prior = match is_prior {
                true => format!("{} · ", language.say("prior")),
                false => String::new(),
            },
            modalities = escaped(&row.modalities_in_study.join(" ")),
            images = language.fill(
                "{images} images in {series} series",
                &[
                    ("images", &row.instances_of_study),
                    ("series", &row.series_of_study)
                ]
            ),
            number = shown.number,
            all = language.say("Images"),
            look = if is_prior {
                format!("{}/look?prior={uid}&amp;", shown.look.case.request.study)
            } else {
                format!("{uid}/look?")
            },
            quick = match is_prior {
                true => language.say("Compare"),
                false => language.say("Quick look"),
            },
        );
        let _ = write!(
            html,
            " · <a href=\"../studies/{uid}/evidence\">{}</a>",
            language.say("Complete?")
        );
        if shown.has_viewer {
            let _ = write!(
                html,
                " · <a href=\"../{}{uid}\">{}</a>",
                viewer::STUDY_LINK,
                language.say("Viewer")
            );
        }
        html.push_str("</span></li>\n");
    }
    html.push_str("</ol>");
    let seen: Vec<&str> = (shown.studies.iter())
        .filter(|(_, row)| row.is_some())
        .map(|(study, _)| study.as_str())
        .collect();
    if shown.has_viewer && seen.len() > 1 {
        let _ = write!(
            html,
            "<p><a href=\"../{}{}\">{}</a></p>",
            viewer::STUDY_LINK,
            seen.join(","),
            language.say("All of them in the viewer")
        );
    }
    html.push_str("</section>\n");
}

fn write_first_report(html: &mut String, shown: &Shown) {
    let request = &shown.look.case.request;
    let language = shown.language;
    let title = language.say("First report");
    if shown.look.is_blind {
        let _ = writeln!(
            html,
            "<section class=\"card\"><h2>{title}</h2><p class=\"also\">{}</p></section>",
            language.say("Opens when you have committed what you see.")
        );
        return;
    }
    if !request.has_first_report() {
        return;
    }
    let _ = write!(html, "<section class=\"card\"><h2>{title}</h2>");
    if !request.first_report.is_empty() {
        let _ = writeln!(
            html,
            "<p class=\"said\">{}</p>",
            escaped(&request.first_report)
        );
    }
    for instance in &request.report_instances {
        let _ = writeln!(
            html,
            "<p><a href=\"../dicom-web/studies/{}/series/{}/instances/{}/rendered\">{}</a></p>",
            request.study,
            instance.series_instance_uid,
            instance.sop_instance_uid,
            language.say("Open the report")
        );
    }
    html.push_str("</section>\n");
}

fn write_ends(html: &mut String, shown: &Shown) {
    let look = &shown.look;
    let is_waiting = !look.case.has_gone_out();
    let acts = [
        (
            Act::Complete,
            "The study is complete: send it out",
            false,
            is_waiting,
        ),
        (Act::Close, "Take note and close", false, true),
        (Act::Withdraw, "Withdraw", true, true),
    ];
    if !acts
        .iter()
        .any(|(act, _, _, is_due)| *is_due && look.may(*act))
    {
        return;
    }
    let title = shown.language.say("What next");
    let _ = writeln!(
        html,
        "<section class=\"card\"><h2>{title}</h2><div class=\"acts\">"
    );
    for (act, label, is_plain, is_due) in acts {
        if is_due && look.may(act) {
            let label = shown.language.say(label);
            write_act(html, shown.number, act, label, is_plain);
        }
    }
    html.push_str("</div></section>\n");
}
