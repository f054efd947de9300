//! An administrator's word on what was held back, by whichever door of the web it is said.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, web};

use super::{Caller, Hall, Problem, base_url, is_foreign, off_thread, told, written};
use crate::access::Action;
use crate::access::audit::{ActionCode, AuditRecord, Event};
use crate::archive::{Beside, Outcome};

/// The most rows of one answer.
pub(crate) const ROWS_MAX: usize = 500;

/// What is to become of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Word {
    /// It is stored.
    Accept,
    /// It is removed.
    Reject,
}

/// Does what an administrator says, and tells the trail; how an accepted one was stored.
///
/// # Errors
/// 403 for anybody else and for pages of other sites, 404 when there is none of this number.
pub(crate) async fn decide(
    request: &HttpRequest,
    number: &str,
    hall: &web::Data<Hall>,
    word: Word,
) -> Result<Option<Outcome>, Problem> {
    let caller = Caller::of(request)?;
    let scope = caller.admit(hall, Action::Administer).await?;
    let base = base_url(request, hall.settings())?;
    if is_foreign(request.headers(), hall.settings(), &base) {
        return Err(Problem::new(
            StatusCode::FORBIDDEN,
            "pages of this origin may not decide (http.allowed_origins)",
        ));
    }
    let number = parsed(number)?;
    let (archive, seen) = (hall.archive().clone(), scope.clone());
    let held = off_thread(move || archive.quarantined_beside(&seen, number)).await??;
    let (action, what) = match word {
        Word::Accept => (ActionCode::Update, "quarantine: accepted"),
        Word::Reject => (ActionCode::Delete, "quarantine: rejected"),
    };
    let record = seen_of(&held, caller.record(Event::InstancesAccessed, action));
    // What cannot be written down does not happen.
    written(hall, record.saying(what)).await?;
    let archive = hall.archive().clone();
    let done = off_thread(move || match word {
        Word::Accept => archive.accept(&scope, number).map(Some),
        Word::Reject => archive.reject(&scope, number).map(|()| None),
    });
    Ok(done.await??)
}

/// Who looks at one sees of a patient what differs: that is told to the trail.
///
/// # Errors
/// When it cannot be told.
pub(crate) async fn tell_looked(
    request: &HttpRequest,
    hall: &web::Data<Hall>,
    held: &Beside,
) -> Result<(), Problem> {
    let caller = Caller::of(request)?;
    if !caller.is_known() {
        return Ok(());
    }
    let record = seen_of(
        held,
        caller.record(Event::InstancesAccessed, ActionCode::Read),
    );
    told(hall, record.saying("quarantine")).await
}

/// What was held back may be of one study, and what is stored under its UID of another.
fn seen_of(held: &Beside, record: AuditRecord) -> AuditRecord {
    let record = held.studies().fold(record, AuditRecord::about);
    record.on(held.held.instance.header.sop_instance_uid.as_str())
}

/// The number in a path.
///
/// # Errors
/// 404 when it is none.
pub(crate) fn parsed(number: &str) -> Result<i64, Problem> {
    number.parse().map_err(|_| Problem::not_found())
}
