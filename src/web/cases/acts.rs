//! `POST /cases/{number}/{act}`: the forms of a case. What goes wrong is said on the page of the case. What was typed of an
//! opinion that is not signed yet is kept as a draft first, so that nobody types it again; and nothing is said that the form
//! has not shown.

use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, HttpResponse, ResponseError, web};

use serde_json::Value;

use super::draft::{self, Put, Typed};
use super::faults;
use super::form::{Fields, key_image, key_image_text};
use super::page::{self, Wrong};
use crate::access::account::AccountName;
use crate::cases::{
    self, Act, Asked, Basis, Cases, Correction, DraftTag, Fault, KeyImage, Opinion, Pool,
};
use crate::http::{Caller, Hall, Problem, off_thread};
use crate::web::language::Language;

/// Adds an image to the draft: a word of the address that is no act of a case.
const MARK: &str = "mark";

/// How often a draft is read again that other pages save all the time.
const TRIES_MAX: u32 = 5;

const CLASH: &str = "The draft was saved on another page while this form was open. What you typed is in the form and not saved \
                     yet; what is saved stands below it. Whatever you send now takes its place.";
const GROWN: &str = "Something was changed on another page while this form was open, as key images that were marked there. It \
                     is in the form now, and nothing was sent: look at it, and send it again.";

/// Why a form was not done.
pub(super) struct Undone {
    error: cases::Error,
    /// Better words for it.
    words: Option<&'static str>,
    /// What was typed, when it is in no draft.
    unsaved: Option<Box<Typed>>,
}

impl<E: Into<cases::Error>> From<E> for Undone {
    fn from(error: E) -> Self {
        Self {
            error: error.into(),
            words: None,
            unsaved: None,
        }
    }
}

/// `POST /cases/{number}/{act}`: 303 back to the case, or the case with what went wrong.
pub(super) async fn act(
    request: HttpRequest,
    path: web::Path<(String, String)>,
    payload: web::Payload,
    hall: web::Data<Hall>,
    cases: web::Data<Cases>,
) -> Result<HttpResponse, Problem> {
    let (number, word) = path.into_inner();
    let caller = Caller::of(&request)?;
    let who = super::asking(&caller, &hall).await?;
    super::refuse_foreign(&request, &hall)?;
    let number: u64 = number.parse().map_err(|_| Problem::not_found())?;
    let act = Act::ALL.into_iter().find(|act| act.word() == word);
    if matches!(act, Some(Act::End)) || (act.is_none() && word != MARK) {
        return Err(Problem::not_found());
    }
    let fields = Fields::received(&request, &hall, payload).await?;
    let deed = cases.clone();
    let done = off_thread(move || match act {
        Some(act) => {
            do_act(&deed, number, act, &fields, &who)?;
            Ok::<_, Undone>(format!("../../cases/{number}"))
        }
        None => mark(&deed, number, &fields, &who),
    });
    let done = done.await?;
    answer(&request, (number, &word), &hall, &cases, done).await
}

/// `POST /cases/{number}/tasks/{task}/end`: the same for one task.
pub(super) async fn end(
    request: HttpRequest,
    path: web::Path<(String, String)>,
    hall: web::Data<Hall>,
    cases: web::Data<Cases>,
) -> Result<HttpResponse, Problem> {
    let (number, task) = path.into_inner();
    let caller = Caller::of(&request)?;
    let who = super::asking(&caller, &hall).await?;
    super::refuse_foreign(&request, &hall)?;
    let number: u64 = number.parse().map_err(|_| Problem::not_found())?;
    let task: u32 = task.parse().map_err(|_| Problem::not_found())?;
    let deed = cases.clone();
    let done = off_thread(move || {
        deed.end(number, task, None, &who)?;
        Ok::<_, cases::Error>(format!("../../../../cases/{number}"))
    });
    let done = done.await?;
    let act = (number, Act::End.word());
    answer(&request, act, &hall, &cases, done).await
}

/// 303 to where it goes on, or the page of the case with what went wrong.
pub(super) async fn answer(
    request: &HttpRequest,
    (number, word): (u64, &str),
    hall: &web::Data<Hall>,
    cases: &web::Data<Cases>,
    done: Result<String, impl Into<Undone>>,
) -> Result<HttpResponse, Problem> {
    let undone: Undone = match done {
        Ok(there) => {
            let mut response = HttpResponse::SeeOther();
            return Ok(response.insert_header((header::LOCATION, there)).finish());
        }
        Err(error) => error.into(),
    };
    let caller = Caller::of(request)?;
    super::tell_refused(&caller, hall, number, word, &undone.error).await?;
    let language = Language::of(request);
    let (problem, text) = faults::error(language, undone.error);
    let status = problem.status_code();
    // What was typed and could not be kept is given back, whatever went wrong.
    let is_mendable = matches!(status, StatusCode::BAD_REQUEST | StatusCode::CONFLICT);
    if !is_mendable && undone.unsaved.is_none() {
        return Err(problem);
    }
    let wrong = Some(Wrong {
        status,
        text: undone
            .words
            .map_or(text, |words| language.say(words).to_owned()),
        unsaved: undone.unsaved,
    });
    page::answer(request, &number.to_string(), hall, cases, wrong).await
}

fn do_act(
    cases: &Cases,
    number: u64,
    act: Act,
    fields: &Fields,
    who: &cases::Caller,
) -> Result<(), Undone> {
    match act {
        Act::Draft => {
            keep(cases, number, fields, who)?;
            return Ok(());
        }
        Act::Commit | Act::Sign => return say(cases, number, act, fields, who),
        _ => {}
    }
    let done = match act {
        Act::Complete => cases.complete(number, None, who).map(drop),
        Act::Assign => cases.assign(number, &asked(fields)?, None, who).map(drop),
        Act::Claim => cases.claim(number, who).map(drop),
        Act::GiveBack => cases
            .give_back(number, fields.text("reason"), who)
            .map(drop),
        Act::Correct => {
            let corrects = fields.text("corrects").parse();
            let corrects = corrects.map_err(|_| Fault::new("corrects", "is no number"))?;
            let mut impression = fields.impression()?;
            let look = cases.show(number, who)?;
            let mut told = look.opinions.iter().map(|told| &told.opinion);
            if let Some(before) = told.find(|opinion| opinion.id == corrects) {
                keep_what_was_said(&mut impression.key_images, before);
            }
            let correction = Correction {
                corrects,
                reason: fields.text("reason").to_owned(),
                impression,
                comparison: fields.comparison()?,
            };
            cases.correct(number, correction, None, who).map(drop)
        }
        Act::Adjudicate => {
            let between = fields.all("between").map(|id| {
                let id = id.parse();
                id.map_err(|_| Fault::new("opinions", "are no numbers"))
            });
            let between = between.collect::<Result<Vec<u64>, Fault>>()?;
            cases
                .adjudicate(number, &between, &asked(fields)?, None, who)
                .map(drop)
        }
        Act::Withdraw => cases.withdraw(number, None, who).map(drop),
        Act::Close => cases.close(number, None, who).map(drop),
        // What is said was done above; which task is meant is in another address.
        Act::Draft | Act::Commit | Act::Sign | Act::End | Act::Expire => {
            Err(cases::Error::Forbidden(act))
        }
    };
    Ok(done?)
}

/// Commits or signs what a form says, when it shows all that is in the draft by then: what another page saves at the last moment
/// is in the form first.
fn say(
    cases: &Cases,
    number: u64,
    act: Act,
    fields: &Fields,
    who: &cases::Caller,
) -> Result<(), Undone> {
    let mut tries = 0;
    loop {
        tries += 1;
        let (is_as_shown, tag) = keep(cases, number, fields, who)?;
        if !is_as_shown {
            return Err(Undone {
                words: Some(GROWN),
                ..cases::Error::DraftChanged.into()
            });
        }
        let basis = Some(Basis::Draft(tag));
        let done = match act {
            Act::Commit => cases.commit(number, fields.impression()?, basis, who),
            _ => cases.sign(number, &fields.comparison()?, basis, who),
        };
        match done {
            Err(cases::Error::DraftChanged) if tries < TRIES_MAX => {}
            done => return Ok(done.map(drop)?),
        }
    }
}

/// Keeps what a form says in the draft, beside what other pages have saved there; whether the form shows all of it, and which
/// draft that is.
fn keep(
    cases: &Cases,
    number: u64,
    fields: &Fields,
    who: &cases::Caller,
) -> Result<(bool, DraftTag), Undone> {
    let undone = |error: cases::Error| Undone {
        unsaved: Some(Box::new(draft::sent(fields))),
        ..error.into()
    };
    let kept = again(|| {
        let read = cases.draft(number, who)?;
        let put = Put::onto(Typed::of(read.as_ref()), fields)?;
        let mut tag = DraftTag::of(read.as_ref());
        if !put.clashes {
            tag = cases.save_draft(number, &put.typed.body(), Some(&tag), who)?;
        }
        Ok((put, tag))
    });
    let (put, tag) = kept.map_err(undone)?;
    if put.clashes {
        return Err(Undone {
            words: Some(CLASH),
            unsaved: Some(Box::new(put.typed)),
            ..cases::Error::DraftChanged.into()
        });
    }
    Ok((put.is_as_shown, tag))
}

/// Reads and saves a draft, again when another page was faster.
fn again<T>(mut save: impl FnMut() -> Result<T, cases::Error>) -> Result<T, cases::Error> {
    for _ in 1..TRIES_MAX {
        match save() {
            Err(cases::Error::DraftChanged) => {}
            done => return done,
        }
    }
    save()
}

/// The form names images; which frames were meant and what they show is as the version before has it.
fn keep_what_was_said(images: &mut [KeyImage], before: &Opinion) {
    for image in images {
        let mut known = before.said.impression.key_images.iter();
        if let Some(known) = known.find(|known| key_image_text(known) == key_image_text(image)) {
            *image = known.clone();
        }
    }
}

/// Who is asked: an account, or a pool.
fn asked(fields: &Fields) -> Result<Asked, Fault> {
    let name = fields.text("reader").trim();
    match fields.text("as") {
        "pool" => Pool::parse(name).map(Asked::Pool),
        _ => AccountName::parse(name)
            .map(Asked::Reader)
            .map_err(|_| Fault::new("readers", "are no names of accounts")),
    }
}

/// Adds a key image to the draft, or takes it out again; gives the way back to the images.
fn mark(
    cases: &Cases,
    number: u64,
    fields: &Fields,
    who: &cases::Caller,
) -> Result<String, Undone> {
    let image = key_image(fields.text("key_image"))?;
    let text = Value::String(key_image_text(&image));
    // What was begun is repeated, also when another page has done the same meanwhile.
    let mut is_wanted = None;
    again(|| {
        let read = cases.draft(number, who)?;
        let kept = read.as_ref().map_or("{}", |draft| &*draft.body);
        // Whatever else it holds, of our page or of another program, stays.
        let mut draft: serde_json::Map<String, Value> =
            serde_json::from_str(kept).map_err(|_| not_ours())?;
        let images = draft
            .entry("key_images")
            .or_insert_with(|| Value::Array(Vec::new()));
        let images = images.as_array_mut().ok_or_else(not_ours)?;
        if !images.iter().all(Value::is_string) {
            return Err(not_ours().into());
        }
        let is_wanted = *is_wanted.get_or_insert_with(|| !images.contains(&text));
        images.retain(|known| *known != text);
        if is_wanted {
            images.push(text.clone());
        }
        let (body, tag) = (
            Value::Object(draft).to_string(),
            DraftTag::of(read.as_ref()),
        );
        cases.save_draft(number, &body, Some(&tag), who).map(drop)
    })?;
    Ok(format!(
        "../../studies/{}?series={}&case={number}",
        image.study_instance_uid, image.series_instance_uid
    ))
}

fn not_ours() -> Fault {
    Fault::new(
        "draft",
        "was saved by another program, which has key images of another kind",
    )
}
