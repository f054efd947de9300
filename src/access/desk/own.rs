//! Everybody's own passcode: who has signed in gives themselves another, by the one of now. It is checked as at the door, by
//! the same throttle: otherwise whoever found a session open could guess there.

use super::{Desk, SignInError};
use crate::access::audit::{ActionCode, AuditOutcome, AuditRecord, Event, EventType};
use crate::access::ledger::{AccessError, LedgerError};
use crate::access::principal::{Means, Principal};
use crate::access::register::{Register, RegisterError};

/// Why somebody keeps the passcode that they have.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// They came by no passcode: by a token, by a link, or nobody has to sign in.
    #[error("only who has signed in with a passcode changes it")]
    NoSession,
    /// It is not the one of now.
    #[error("the passcode of now is wrong")]
    Wrong,
    /// Too many failures, too many at once, or the ledger failed.
    #[error(transparent)]
    Entry(#[from] SignInError),
    /// The new one is not taken.
    #[error(transparent)]
    New(#[from] RegisterError),
}

impl From<LedgerError> for ChangeError {
    fn from(error: LedgerError) -> Self {
        Self::Entry(error.into())
    }
}

impl Desk {
    /// Gives somebody another passcode, who knows the one of now. Their other sessions end, this one and their tokens stay.
    /// `network` is what `address` is throttled as. Blocks for the check of a hash and the making of one.
    ///
    /// # Errors
    /// [`ChangeError::Wrong`] and [`SignInError::Throttled`] are in the trail when this returns.
    pub fn change_passcode(
        &self,
        who: &Principal,
        (now, new): (&str, &str),
        (address, network): (&str, &str),
        now_ms: i64,
    ) -> Result<(), ChangeError> {
        let Means::Session(session) = &who.means else {
            return Err(ChangeError::NoSession);
        };
        let account = self.ledger.account(&who.name)?;
        let gone = || RegisterError::from(AccessError::NotFound("there is no such account"));
        let account = account.ok_or_else(gone)?;
        let actor = who.actor(address);
        match self.check(Some(&account), (&account.name, now), network, now_ms) {
            Ok(true) => {}
            Ok(false) => {
                let event = Event::SecurityAlert;
                let record = AuditRecord::new(event, ActionCode::Update, actor, now_ms)
                    .of_type(EventType::UserSecurityAttributesChanged)
                    .ended(AuditOutcome::MinorFailure)
                    .on(format!("account {}", account.name))
                    .saying("another passcode: the one of now is wrong");
                self.ledger.record(&record)?;
                return Err(ChangeError::Wrong);
            }
            Err(error) => {
                if matches!(error, SignInError::Throttled(_)) {
                    self.note_throttled(actor, now_ms)?;
                }
                return Err(error.into());
            }
        }
        let register = Register::new(&*self.ledger, actor, now_ms);
        Ok(register.change_passcode(&account, new, session)?)
    }
}
