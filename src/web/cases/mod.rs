//! The pages of second opinions: `/cases` as a worklist, a case as its requester and its readers see it, opening one beside
//! its study, the printed opinion. Lists and forms only: nothing here needs a script.
//!
//! Every rule is the deed's ([`crate::cases`]): a page shows what [`cases::Cases::show`] gives, offers what it says may be done, and
//! hands over what was typed.

mod acts;
mod draft;
mod faults;
mod form;
mod list;
mod open;
mod opinions;
mod page;
mod print;
mod readers;
mod share;
mod words;

pub(super) use open::write_way;

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, web};

use super::html;
use super::language::Language;
use crate::access::Action;
use crate::access::account::AccountName;
use crate::access::audit::{ActionCode, AuditOutcome, Event, EventType};
use crate::cases;
use crate::dicom::{Uid, text_form};
use crate::http::{Caller, Hall, Problem, base_url, is_foreign, now_ms, off_thread, told};

/// Adds `/cases/…` and `/studies/{study}/case`.
pub(super) fn configure(cfg: &mut web::ServiceConfig) {
    cfg.service(html::resource("/cases", list::page))
        .service(
            html::resource("/studies/{study}/case", open::page).route(web::post().to(open::begin)),
        )
        .service(html::resource("/cases/{number}", page::page))
        .service(html::resource("/cases/{number}/print", print::page))
        .service(web::resource("/cases/{number}/share").route(web::post().to(share::share)))
        .service(web::resource("/cases/{number}/tasks/{task}/end").route(web::post().to(acts::end)))
        .service(
            web::resource("/cases/{number}/links/{grant}/revoke")
                .route(web::post().to(share::take_back)),
        )
        .service(web::resource("/cases/{number}/{act}").route(web::post().to(acts::act)));
}

/// Who asks, as cases know them.
///
/// # Errors
/// 403 when they have no part in any case.
async fn asking(caller: &Caller, hall: &web::Data<Hall>) -> Result<cases::Caller, Problem> {
    let Some(who) = caller.principal() else {
        return Err(Problem::new(StatusCode::UNAUTHORIZED, "sign in first"));
    };
    let who = cases::Caller::of(who, caller.actor(), now_ms());
    if !who.works {
        caller.admit(hall, Action::Request).await?;
    }
    Ok(who)
}

/// Whether somebody has a draft of an opinion in a case about a study, in which they mark key images: from the claim until they
/// commit what they see.
pub(super) async fn may_mark(
    caller: &Caller,
    cases: &web::Data<cases::Cases>,
    number: u64,
    study: &Uid,
) -> Result<bool, Problem> {
    let Some(who) = caller.principal() else {
        return Ok(false);
    };
    let who = cases::Caller::of(who, caller.actor(), now_ms());
    let (cases, study) = (cases.clone(), study.clone());
    let may = off_thread(move || match cases.show(number, &who) {
        Ok(look) => {
            let is_about = look.case.request.studies().any(|one| *one == study);
            let task = look.case.task_of(&who.name);
            let is_open = |task: &cases::Task| {
                task.is_held_by(&who.name) && task.state == cases::TaskState::Claimed
            };
            Ok(is_about && look.may(cases::Act::Draft) && task.is_some_and(is_open))
        }
        Err(cases::Error::NotFound) => Ok(false),
        Err(error) => Err(error),
    });
    Ok(may.await??)
}

/// Where nobody has to sign in, a page of another site could have any browser send a form.
///
/// # Errors
/// 403 for such a page.
fn refuse_foreign(request: &HttpRequest, hall: &Hall) -> Result<(), Problem> {
    let base = base_url(request, hall.settings())?;
    if is_foreign(request.headers(), hall.settings(), &base) {
        let text = "pages of this origin may not change cases (http.allowed_origins)";
        return Err(Problem::new(StatusCode::FORBIDDEN, text));
    }
    Ok(())
}

/// Tells the audit trail what was refused, as the API does.
///
/// # Errors
/// When it cannot be told.
async fn tell_refused(
    caller: &Caller,
    hall: &web::Data<Hall>,
    number: u64,
    what: &str,
    error: &cases::Error,
) -> Result<(), Problem> {
    let object = match error {
        // Whoever tries one number after another does not fill the trail.
        cases::Error::NotFound => "cases".to_owned(),
        cases::Error::Forbidden(_) | cases::Error::Refused(_) => format!("case {number}"),
        _ => return Ok(()),
    };
    let record = caller
        .record(Event::SecurityAlert, ActionCode::Execute)
        .of_type(EventType::UseOfRestrictedFunction)
        .ended(AuditOutcome::MinorFailure)
        .on(object)
        .saying(format!("{what} refused: {error}"));
    told(hall, record).await
}

/// An instant as people read it, UTC.
pub(in crate::web) fn moment(at_ms: i64) -> String {
    let text = crate::access::message::time(at_ms);
    let (day, time) = text.split_once('T').unwrap_or((&text, ""));
    format!("{day} {}", time.get(..5).unwrap_or_default())
}

/// Minutes, hours or days from now, for people: "in 3 days", "2 days ago".
fn from_now(language: Language, at_ms: i64, now_ms: i64) -> String {
    const MINUTE: i64 = 60_000;
    let minutes = at_ms.saturating_sub(now_ms) / MINUTE;
    let hours = minutes / 60;
    let is_to_come = at_ms >= now_ms;
    let (count, words) = match (hours, is_to_come) {
        (0, true) => (minutes, ["in {count} minute", "in {count} minutes"]),
        (0, false) => (minutes, ["{count} minute ago", "{count} minutes ago"]),
        (-47..=47, true) => (hours, ["in {count} hour", "in {count} hours"]),
        (-47..=47, false) => (hours, ["{count} hour ago", "{count} hours ago"]),
        (_, true) => (hours / 24, ["in {count} day", "in {count} days"]),
        (_, false) => (hours / 24, ["{count} day ago", "{count} days ago"]),
    };
    language.count(count.unsigned_abs(), words)
}

/// A name as people know it: whoever came by a link has that for a name.
fn named(language: Language, name: &str) -> String {
    match AccountName::kept(name).map(|name| name.link()) {
        Ok(Some(id)) => language.fill("link {id}", &[("id", &id)]),
        _ => name.to_owned(),
    }
}

/// A DICOM date, or a word for none.
fn day(language: Language, value: &str) -> String {
    match text_form::date(value) {
        text if text.is_empty() => language.say("no date").to_owned(),
        text => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_read_well() {
        assert_eq!(moment(0), "1970-01-01 00:00");
        let day = 86_400_000;
        let told = |at_ms, now_ms| from_now(Language::English, at_ms, now_ms);
        assert_eq!(told(3 * day, 0), "in 3 days");
        assert_eq!(told(0, 3 * day), "3 days ago");
        assert_eq!(told(3_600_000, 0), "in 1 hour");
        assert_eq!(told(2 * day - 1, 0), "in 47 hours");
        assert_eq!(told(0, 2 * 60_000), "2 minutes ago");
        assert_eq!(told(i64::MAX, -1), "in 106751991167 days");
        assert_eq!(from_now(Language::German, 0, 3 * day), "vor 3 Tagen");
        assert_eq!(named(Language::French, "link 7"), "lien 7");
        assert_eq!(named(Language::French, "link"), "link");
        assert_eq!(named(Language::French, "Dr. Else"), "Dr. Else");
    }
}
