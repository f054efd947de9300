//! What may come by an inbox link: new studies, and more of those that came by it. Somebody who knows the UID of
//! another study here neither adds to it nor comes to see it; and nobody brings more than may come by one inbox.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::access::audit::{ActionCode, Actor, AuditOutcome, AuditRecord, Event, EventType};
use crate::access::{AccessError, Allowance, Desk, LedgerError, Stay};
use crate::archive::{Admission, Arriving, Error, Gate, Refusal};
use crate::dicom::Uid;

/// So much of a body may be more than what it brings. Bytes.
const HEADS_BYTES: u64 = 64 << 10;

const FULL: &str = "the inbox is full (access.inbox_bytes_max)";

/// Says what may come by an inbox.
pub struct Gatekeeper {
    desk: Arc<Desk>,
    grant: i64,
    actor: Actor,
    allowance: Allowance,
}

impl Gatekeeper {
    /// The gate before what `actor` brings by the inbox of the grant in one request.
    #[must_use]
    pub fn gate(desk: Arc<Desk>, grant: i64, actor: Actor) -> Gate {
        Gate(Arc::new(Self {
            allowance: Allowance::begin(Arc::clone(&desk), grant),
            desk,
            grant,
            actor,
        }))
    }
}

impl Admission for Gatekeeper {
    fn admit(&self, arriving: &Arriving<'_>) -> Result<bool, Error> {
        let is_in = self.is_taken_in(arriving).map_err(shelf)?;
        if !is_in {
            let why = "an inbox takes new studies only, and as many as a grant may have";
            refused(&self.desk, &self.actor, Some(arriving.study), why).map_err(shelf)?;
        }
        Ok(is_in)
    }

    fn take(&self, stay: Stay, bytes: u64) -> Result<(), Error> {
        match self.allowance.take(stay, bytes).map_err(shelf)? {
            true => Ok(()),
            false => Err(Refusal::InboxFull.into()),
        }
    }

    fn settle(&self, stay: Stay, bytes: u64, is_kept: bool) {
        self.allowance.settle(stay, bytes, is_kept);
    }

    fn tell_full(&self) {
        if let Err(error) = refused(&self.desk, &self.actor, None, FULL) {
            tracing::error!(%error, inbox = self.grant, "that an inbox is full is not in the trail");
        }
    }
}

impl Gatekeeper {
    fn is_taken_in(&self, arriving: &Arriving<'_>) -> Result<bool, LedgerError> {
        let now_ms = now_ms();
        let grant = self.desk.ledger().grant(self.grant)?;
        // It may have been closed since the request came.
        let Some(grant) = grant.filter(|grant| grant.is_live(now_ms)) else {
            return Ok(false);
        };
        let is_own = |study: &Uid| grant.studies.contains_key(study);
        if !arriving.instance_in.as_ref().is_none_or(&is_own) {
            return Ok(false);
        }
        if is_own(arriving.study) {
            return Ok(true);
        }
        if arriving.is_study_held {
            return Ok(false);
        }
        match self
            .desk
            .take_in(self.grant, arriving.study, &self.actor, now_ms)
        {
            Ok(()) => Ok(true),
            Err(AccessError::Ledger(error)) => Err(error),
            Err(_) => Ok(false),
        }
    }
}

/// Whether a body of so many bytes, its parts' heads among them, may still come by an inbox. Blocks.
///
/// # Errors
/// [`Refusal::InboxFull`], which is in the trail then; when it cannot be found out.
pub fn check_left(desk: &Desk, grant: i64, actor: &Actor, bytes: u64) -> Result<(), Error> {
    let left = desk.inbox_left(grant).map_err(shelf)?;
    if bytes <= left.saturating_add(HEADS_BYTES) {
        return Ok(());
    }
    refused(desk, actor, None, FULL).map_err(shelf)?;
    Err(Refusal::InboxFull.into())
}

/// Tells the trail that something may not come, unless the same was told minutes ago.
fn refused(desk: &Desk, actor: &Actor, study: Option<&Uid>, why: &str) -> Result<(), LedgerError> {
    let now_ms = now_ms();
    let alert = Event::SecurityAlert;
    let record = AuditRecord::new(alert, ActionCode::Create, actor.clone(), now_ms)
        .of_type(EventType::UseOfRestrictedFunction)
        .ended(AuditOutcome::MinorFailure)
        .saying(why);
    let record = study
        .iter()
        .fold(record, |record, study| record.about(study));
    desk.record_once(&record, now_ms)
}

/// Milliseconds since 1970 UTC.
fn now_ms() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |now| i64::try_from(now.as_millis()).unwrap_or(i64::MAX))
}

fn shelf(error: LedgerError) -> Error {
    match error {
        LedgerError::Full => Error::Full,
        LedgerError::Busy(what) => Error::Busy(what),
        LedgerError::Broken(cause) => Error::Broken(cause),
    }
}
