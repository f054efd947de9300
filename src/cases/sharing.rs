//! Who else sees studies of a case: a reader without an account (a link that was shown once, and a task for whoever holds it),
//! and what was given of them otherwise, to be seen and taken back.

use super::Cases;
use super::caller::Caller;
use super::case::Case;
use super::error::{Error, Fault};
use super::state::Act;
use super::task::Asked;
use crate::access::account::AccountName;
use crate::access::secret::Secret;
use crate::access::{
    AccessError, Desk, Giving, Grant, GrantError, LedgerError, Scope, To, taken_back,
};

impl Cases {
    /// Whether the caller may say who else sees studies of a case, in whatever state it is.
    ///
    /// # Errors
    /// [`Error::NotFound`] also when the caller has no part in the case, [`Error::Forbidden`].
    pub fn may_share(&self, number: u64, caller: &Caller) -> Result<(), Error> {
        let (_, meeting) = self.met(number, caller)?;
        match meeting.may(Act::Assign) {
            true => Ok(()),
            false => Err(Error::Forbidden(Act::Assign)),
        }
    }

    /// What was given of the studies of a case, whether or not it is good, as far as it names nothing beyond what the caller
    /// sees.
    ///
    /// # Errors
    /// As [`Cases::may_share`].
    pub fn given(&self, number: u64, scope: &Scope, caller: &Caller) -> Result<Vec<Grant>, Error> {
        self.may_share(number, caller)?;
        let mut grants = self.ledger.grants_of_case(signed(number)?)?;
        grants.retain(|grant| grant.is_within(scope));
        Ok(grants)
    }

    /// Takes back what was given, at once. `number` is the case that it is said to be of, if the caller says so.
    ///
    /// # Errors
    /// [`Error::NotFound`] also when it is of a case or of studies that the caller may not see, or was taken back already.
    pub fn take_back(
        &self,
        grant: i64,
        number: Option<u64>,
        scope: &Scope,
        caller: &Caller,
    ) -> Result<(), Error> {
        let kept = self.ledger.grant(grant)?;
        let kept = kept.filter(|kept| kept.is_within(scope));
        let kept = kept.ok_or(Error::NotFound)?;
        let of = u64::try_from(kept.case).map_err(|_| Error::NotFound)?;
        if number.is_some_and(|number| number != of) {
            return Err(Error::NotFound);
        }
        self.may_share(of, caller)?;
        let audit = taken_back(&kept, &caller.actor, caller.at_ms);
        match self.ledger.revoke_grant(kept.id, caller.at_ms, &audit) {
            Ok(()) => Ok(()),
            Err(AccessError::NotFound(_)) => Err(Error::NotFound),
            Err(error) => Err(failed(error.into())),
        }
    }

    /// Asks whoever holds a new link to read the case. On return the task is there, and the secret of the link is nowhere
    /// else. `giving` says what the link takes and how long it is good; that it is for a reader is seen to here.
    ///
    /// # Errors
    /// As [`Cases::assign`]; when the grant makes no sense, or nobody has to sign in.
    pub fn share(
        &self,
        number: u64,
        desk: &Desk,
        giving: Giving,
        caller: &Caller,
    ) -> Result<(Case, Secret), Error> {
        if !matches!(giving.to, To::Reader { .. }) || u64::try_from(giving.case) != Ok(number) {
            return Err(Fault::new("to", "is no reader of this case").into());
        }
        // Whoever may not ask has no link made.
        self.admitted(number, Act::Assign, caller)?;
        let given = desk.give(giving, &caller.actor, caller.at_ms);
        let given = given.map_err(failed)?;
        let secret = given
            .secret
            .ok_or_else(|| LedgerError::broken("making a link", "it has no secret"))?;
        let asked = Asked::Reader(AccountName::of_link(given.id));
        match self.assign(number, &asked, None, caller) {
            Ok(case) => Ok((case, secret)),
            Err(error) => {
                // A link without a task opens nothing; it is taken back all the same.
                if let Some(grant) = self.ledger.grant(given.id)? {
                    desk.take_back(&grant, &caller.actor, caller.at_ms)
                        .map_err(|error| failed(error.into()))?;
                }
                Err(error)
            }
        }
    }
}

fn signed(number: u64) -> Result<i64, Error> {
    i64::try_from(number).map_err(|_| Error::NotFound)
}

fn failed(error: GrantError) -> Error {
    match error {
        GrantError::Invalid(why) => Fault::new("link", why).into(),
        GrantError::Open => Fault::new("link", error.to_string()).into(),
        GrantError::Access(AccessError::Ledger(error)) => error.into(),
        GrantError::Access(error) => Fault::new("link", error.to_string()).into(),
        GrantError::NoRandomness(error) => LedgerError::broken("making a link", error).into(),
    }
}
