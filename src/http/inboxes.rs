//! Inboxes by whichever door of the web: a look at what came by one, of which the trail is told whose studies were seen; and
//! whether what is about to come may.

use std::sync::Arc;

use actix_web::web;

use super::{Caller, Hall, Problem, off_thread, told};
use crate::access::Inbox;
use crate::access::audit::{ActionCode, Event};
use crate::archive;
use crate::cases;
use crate::inbox::{self, Came};

/// The inbox of a number, with what came by it, for whoever made it (`who`).
///
/// # Errors
/// 404 also when it is of somebody else; when the look cannot be told.
pub(crate) async fn look_into(
    hall: &web::Data<Hall>,
    caller: &Caller,
    who: cases::Caller,
    number: i64,
) -> Result<(Inbox, Came), Problem> {
    let (desk, archive) = (Arc::clone(hall.desk()), hall.archive().clone());
    let found = off_thread(move || {
        let inbox = inbox::one(desk.ledger(), number, &who)?;
        let inbox = inbox.ok_or_else(Problem::not_found)?;
        let came = inbox::arrived(&archive, &inbox)?;
        Ok::<_, Problem>((inbox, came))
    });
    let (inbox, came) = found.await??;
    if caller.is_known() && !came.studies.is_empty() {
        let record = caller.record(Event::InstancesAccessed, ActionCode::Read);
        let studies = came.studies.iter();
        let studies = studies.map(|came| &came.study.study_instance_uid);
        let record = studies.fold(record, |record, study| record.about(study));
        told(hall, record).await?;
    }
    Ok((inbox, came))
}

/// Whether there is room for a body of so many bytes, in the archive and in the inbox by which it would come.
///
/// # Errors
/// When that cannot be asked.
pub(crate) async fn check_announced(
    caller: Option<&Caller>,
    hall: &Hall,
    bytes: u64,
) -> Result<Result<(), archive::Error>, Problem> {
    let (desk, archive) = (Arc::clone(hall.desk()), hall.archive().clone());
    let by = caller.and_then(|caller| Some((caller.principal()?.inbox()?, caller.actor())));
    let check = move || {
        if let Some((inbox, actor)) = by {
            inbox::check_left(&desk, inbox, &actor, bytes)?;
        }
        archive.check_room_for(bytes)
    };
    off_thread(check).await
}
