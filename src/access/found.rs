//! What a search told of, for the audit trail: the studies in its answer while they are few, else that there were many. So
//! a list of disclosures has whose studies somebody found by asking for them, and of searches at large that there were
//! such; a trail that named every study at each look at a list would be as large as the archive.

use std::collections::BTreeSet;

use crate::access::audit::AuditRecord;
use crate::dicom::Uid;

/// A search that told of more studies than this names none of them.
pub const FOUND_MAX: usize = 20;

/// What a row of the trail is about, that tells of a search which told of more.
pub const BROAD: &str = "search that told of more than 20 studies";

/// Studies of which a search told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    named: BTreeSet<Uid>,
    is_broad: bool,
}

impl Found {
    /// An answer told of this study; `None` when it names none, as one about a patient.
    pub fn take(&mut self, study_instance_uid: Option<&str>) {
        if self.is_broad {
            return;
        }
        let study = study_instance_uid.and_then(|text| Uid::parse(text).ok());
        match study {
            Some(study) if self.named.contains(&study) => {}
            Some(study) if self.named.len() < FOUND_MAX => {
                self.named.insert(study);
            }
            Some(_) | None => {
                self.is_broad = true;
                self.named.clear();
            }
        }
    }

    /// Whether it told of too many to be named.
    #[must_use]
    pub fn is_broad(&self) -> bool {
        self.is_broad
    }

    /// The studies, when they are few.
    pub fn studies(&self) -> impl Iterator<Item = &Uid> {
        self.named.iter()
    }

    /// A record of the search that says so.
    #[must_use]
    pub fn told_in(&self, record: AuditRecord) -> AuditRecord {
        match self.is_broad {
            true => record.on(BROAD),
            false => self.studies().fold(record, AuditRecord::about),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_are_named_and_of_many_none() {
        assert!(BROAD.contains(&format!(" {FOUND_MAX} ")));
        let mut found = Found::default();
        for number in 0..FOUND_MAX {
            for _ in 0..2 {
                found.take(Some(&format!("1.2.{number}")));
            }
        }
        assert_eq!(
            (found.studies().count(), found.is_broad()),
            (FOUND_MAX, false)
        );
        found.take(Some("1.3"));
        assert_eq!((found.studies().count(), found.is_broad()), (0, true));
        found.take(Some("1.2.1"));
        assert_eq!(found.studies().count(), 0);
        let mut patient = Found::default();
        patient.take(None);
        assert!(patient.is_broad());
    }
}
