//! What may come by an inbox link: new studies, and more of those that came by it. Somebody who knows the UID of
//! another study here neither adds to it nor comes to see it.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::access::audit::{ActionCode, Actor, AuditOutcome, AuditRecord, Event, EventType};
use crate::access::{AccessError, Desk, LedgerError};
use crate::archive::{Admission, Arriving, Error, Gate};
use crate::dicom::Uid;

/// Says what may come by an inbox.
pub struct Gatekeeper {
    desk: Arc<Desk>,
    grant: i64,
    actor: Actor,
}

impl Gatekeeper {
    /// The gate before what `actor` brings by the inbox of the grant.
    #[must_use]
    pub fn gate(desk: Arc<Desk>, grant: i64, actor: Actor) -> Gate {
        Gate(Arc::new(Self { desk, grant, actor }))
    }
}

impl Admission for Gatekeeper {
    fn admit(&self, arriving: &Arriving<'_>) -> Result<bool, Error> {
        let is_in = self.is_taken_in(arriving).map_err(shelf)?;
        if !is_in {
            self.refused(arriving.study).map_err(shelf)?;
        }
        Ok(is_in)
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

    fn refused(&self, study: &Uid) -> Result<(), LedgerError> {
        let now_ms = now_ms();
        let record = AuditRecord::new(
            Event::SecurityAlert,
            ActionCode::Create,
            self.actor.clone(),
            now_ms,
        )
        .of_type(EventType::UseOfRestrictedFunction)
        .ended(AuditOutcome::MinorFailure)
        .about(study)
        .saying("an inbox takes new studies only, and as many as a grant may have");
        self.desk.record_once(&record, now_ms)
    }
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
