//! Files of any kind in one request, as the API and the pages take them: by whoever may store, whoever came by an inbox
//! among them.

use std::collections::BTreeSet;
use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, web};

use super::{
    Caller, FormEvent, Hall, Problem, base_url, is_foreign, note_stored, now_ms, receive_form,
};
use crate::access::{Action, Principal, Scope, policy};
use crate::inbox::{Bringer, Bringing, Report};

/// Receives a form with files, and tells what became of each. What is stored is in the trail on return.
///
/// # Errors
/// 403 for who may not store; what is wrong with the form, when nothing of it is here.
pub async fn receive_upload(
    request: &HttpRequest,
    payload: web::Payload,
    hall: &web::Data<Hall>,
) -> Result<Report, Problem> {
    let caller = Caller::of(request)?;
    let admitted = caller.admit(hall, Action::Store).await;
    admitted.map_err(Problem::and_close)?;
    // Where nobody has to sign in, a page of another site could have any browser send files.
    let base = base_url(request, hall.settings())?;
    if is_foreign(request.headers(), hall.settings(), &base) {
        let text = "pages of this origin may not send files (http.allowed_origins)";
        return Err(Problem::new(StatusCode::FORBIDDEN, text).and_close());
    }
    let bringing = Bringing::begin(bringer(&caller, hall));
    // What is stored is told of there, where it is done even when whoever asked has gone.
    let desk = Arc::clone(hall.desk());
    let finish = move |bringing: Bringing| {
        let report = bringing.finish(now_ms());
        let studies: BTreeSet<_> = report.studies.iter().collect();
        note_stored(&desk, &caller, &studies).map(|()| report)
    };
    let received = receive_form(request, hall, payload, bringing, feed, finish);
    let (report, flaw) = received.await?;
    let report = report?;
    match flaw {
        Some(flaw) if report.stored + report.already_stored == 0 => Err(flaw),
        _ => Ok(report),
    }
}

fn bringer(caller: &Caller, hall: &web::Data<Hall>) -> Bringer {
    let principal = caller.principal();
    let scope = principal.and_then(|who| policy(who, Action::Find).ok());
    Bringer {
        desk: Arc::clone(hall.desk()),
        archive: hall.archive().clone(),
        inbox: principal.and_then(Principal::inbox),
        scope: scope.unwrap_or(Scope::Nothing),
        sender: caller.name().into(),
        actor: caller.actor(),
    }
}

fn feed(bringing: &mut Bringing, event: FormEvent<'_>) {
    match event {
        FormEvent::Field(name, value) => bringing.field(name, value),
        FormEvent::File(name) => bringing.files().begin(name),
        FormEvent::Data(bytes) => bringing.files().data(bytes),
        FormEvent::End => bringing.files().end(),
        FormEvent::Cut => bringing.files().cut(),
    }
}
