//! What was held back, and an administrator's word on it. Held instances are durable and shown to
//! nobody else; nothing leaves quarantine except by [`Archive::accept`] or [`Archive::reject`].

use crate::access::Scope;
use crate::archive::commit::{differences, discard, insert, send_on};
use crate::archive::index::{
    AcceptedConflict, QuarantineReason, Quarantined, Row, StudyPatient, Target,
};
use crate::archive::{Archive, Error, Outcome, patient};
use crate::dicom::query::{Key, Matching, Order};
use crate::dicom::{AttributeId, Level, Query, Uid};

/// What was held back, and how it stands with what is stored.
#[derive(Debug)]
pub struct Beside {
    /// The instance, with its differences from what is stored now.
    pub held: Quarantined,
    /// What that is.
    pub stored: Stored,
}

/// What is stored where something that was held back would be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stored {
    /// Another instance of its UID, in this study.
    Instance(Uid),
    /// Its study, without it: what differs is whose it is.
    Study,
    /// Nothing.
    Nothing,
}

impl Beside {
    /// What it means when no attribute differs.
    #[must_use]
    pub fn sameness(&self) -> &'static str {
        match self.stored {
            Stored::Instance(_) => {
                "No attribute of the metadata differs: the difference is in the pixels or the encoding."
            }
            Stored::Study => {
                "Nothing is stored under its UID, and its study says the same of the patient."
            }
            Stored::Nothing => "Nothing is stored that it could differ from.",
        }
    }

    /// The studies of which somebody who looks at both sees something.
    pub fn studies(&self) -> impl Iterator<Item = &Uid> {
        let own = &self.held.instance.header.study_instance_uid;
        let other = match &self.stored {
            Stored::Instance(study) if study != own => Some(study),
            Stored::Instance(_) | Stored::Study | Stored::Nothing => None,
        };
        std::iter::once(own).chain(other)
    }
}

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

    /// One of them beside what is stored now, which may be another than when it was held back: its differences are those.
    ///
    /// # Errors
    /// As [`Archive::quarantined_one`].
    pub fn quarantined_beside(&self, scope: &Scope, id: i64) -> Result<Beside, Error> {
        let mut held = self.quarantined_one(scope, id)?;
        let header = &held.instance.header;
        let stored = if let Some(row) =
            self.row_of(Level::Instance, "SOPInstanceUID", &header.sop_instance_uid)?
        {
            let target = row.target(Level::Instance)?;
            let metadata = self.metadata(&target, scope, None, 1)?.pop();
            let metadata = metadata
                .map(|prepared| prepared.metadata)
                .unwrap_or_default();
            held.differences = differences(&metadata, &held.instance);
            let (Target::Study(study) | Target::Series(study, _) | Target::Instance(study, ..)) =
                target;
            Stored::Instance(study)
        } else if let Some(row) =
            self.row_of(Level::Study, "StudyInstanceUID", &header.study_instance_uid)?
        {
            let value = |keyword| {
                row.attributes
                    .by_keyword(keyword)
                    .unwrap_or_default()
                    .trim()
            };
            let patient = StudyPatient {
                patient_id: value("PatientID").into(),
                issuer_of_patient_id: value("IssuerOfPatientID").into(),
                patient_name: value("PatientName").into(),
                patient_birth_date: value("PatientBirthDate").into(),
            };
            held.differences = patient::conflict(&patient, &header.attributes);
            Stored::Study
        } else {
            held.differences = Vec::new();
            Stored::Nothing
        };
        Ok(Beside { held, stored })
    }

    /// The row of what a UID names, in any study.
    fn row_of(&self, level: Level, keyword: &str, uid: &Uid) -> Result<Option<Row>, Error> {
        let id = AttributeId::of_keyword(keyword).expect("the table has every identifying UID");
        let query = Query {
            level,
            keys: vec![Key::Attribute(id, Matching::Single(uid.as_str().into()))],
            limit: 1,
            offset: 0,
            order: Order::NEWEST,
        };
        Ok(self.find(&query, &Scope::All)?.rows.pop())
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
                let differences = differences(&new.header.metadata, &old);
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
