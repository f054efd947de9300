//! What was held back, and an administrator's word on it. Held instances are durable and shown to
//! nobody else; nothing leaves quarantine except by [`Archive::accept`] or [`Archive::reject`].

use crate::access::Scope;
use crate::archive::commit::{discard, insert, send_on};
use crate::archive::index::{AcceptedConflict, Difference, QuarantineReason, Quarantined};
use crate::archive::{Archive, Error, Outcome};

impl Archive {
    /// Quarantined instances numbered above `after`, at most `limit`. Only the whole scope sees them.
    ///
    /// # Errors
    /// When the index fails.
    pub fn quarantined(
        &self,
        scope: &Scope,
        after: i64,
        limit: usize,
    ) -> Result<Vec<Quarantined>, Error> {
        match scope {
            Scope::All => self.inner.index.quarantined(after, limit),
            Scope::Studies(_) | Scope::Nothing => Ok(Vec::new()),
        }
    }

    /// One of them.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is none with this number, or for any scope but the whole.
    pub fn quarantined_one(&self, scope: &Scope, id: i64) -> Result<Quarantined, Error> {
        administrator(scope)?;
        self.inner.index.quarantined_one(id)?.ok_or(Error::NotFound)
    }

    /// Conflicts that `patient_conflict = "accept"` let through, newest first.
    ///
    /// # Errors
    /// When the index fails.
    pub fn accepted_conflicts(
        &self,
        scope: &Scope,
        limit: usize,
    ) -> Result<Vec<AcceptedConflict>, Error> {
        match scope {
            Scope::All => self.inner.index.accepted_conflicts(limit),
            Scope::Studies(_) | Scope::Nothing => Ok(Vec::new()),
        }
    }

    /// Stores a quarantined instance. Whatever holds its SOP Instance UID takes its place in
    /// quarantine, so that nothing is lost and the step can be undone.
    ///
    /// # Errors
    /// [`Error::NotFound`] as [`Archive::quarantined_one`]; nothing has changed then.
    pub fn accept(&self, scope: &Scope, id: i64) -> Result<Outcome, Error> {
        administrator(scope)?;
        let mut transaction = self.inner.index.begin()?;
        let taken = transaction.release(id)?.ok_or(Error::NotFound)?;
        let new = taken.instance;
        let displaced = transaction.remove(&new.header.sop_instance_uid)?;
        insert(&mut *transaction, &new)?;
        let forwarding = &self.inner.settings.forwarding;
        send_on(&mut *transaction, &new, forwarding, displaced.is_some())?;
        let mut unused = Vec::new();
        let outcome = match displaced {
            Some(old) => {
                let differences: Vec<_> = taken.differences.into_iter().map(turned_round).collect();
                let (_, is_new) =
                    transaction.quarantine(&old, QuarantineReason::Displaced, &differences)?;
                if !is_new {
                    // These very bytes are held already: the second copy goes.
                    unused.push(old.locator);
                }
                Outcome::Replaced
            }
            None => Outcome::Stored,
        };
        self.inner.blobs.condemn(&unused)?;
        transaction.commit()?;
        discard(&*self.inner.blobs, &unused);
        tracing::info!(id, sop_instance_uid = %new.header.sop_instance_uid, "quarantined instance accepted");
        Ok(outcome)
    }

    /// Removes a quarantined instance for good.
    ///
    /// # Errors
    /// [`Error::NotFound`] as [`Archive::quarantined_one`].
    pub fn reject(&self, scope: &Scope, id: i64) -> Result<(), Error> {
        administrator(scope)?;
        let mut transaction = self.inner.index.begin()?;
        let taken = transaction.release(id)?.ok_or(Error::NotFound)?;
        self.inner.blobs.condemn(&[taken.instance.locator])?;
        transaction.commit()?;
        discard(&*self.inner.blobs, &[taken.instance.locator]);
        tracing::info!(id, sop_instance_uid = %taken.instance.header.sop_instance_uid, "quarantined instance rejected");
        Ok(())
    }
}

fn administrator(scope: &Scope) -> Result<(), Error> {
    match scope {
        Scope::All => Ok(()),
        Scope::Studies(_) | Scope::Nothing => Err(Error::NotFound),
    }
}

fn turned_round(difference: Difference) -> Difference {
    Difference {
        path: difference.path,
        held: difference.newcomer,
        newcomer: difference.held,
    }
}
