//! Evidence that was worked out lately. It follows from the instances of a study and from how much of it somebody may see, so
//! while the study has the same version it is the same: who looks again, or sends a form that is shown again, waits for nothing.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use super::{StudyEvidence, of_study};
use crate::access::{Scope, View};
use crate::archive::{Archive, Error, Target};
use crate::cases::Cases;
use crate::dicom::Uid;

/// So many studies are kept in mind: with the most slices that are looked at, some megabytes each.
const KNOWN_MAX: usize = 16;

/// The evidence of studies, whole or without reports, that of the study that was looked at last first.
#[derive(Default)]
pub(in crate::cases) struct Known(Mutex<VecDeque<(View, Arc<StudyEvidence>)>>);

impl Cases {
    /// The same as [`of_study`], worked out once for each version of the study.
    ///
    /// # Errors
    /// When the index fails.
    pub fn evidence(
        &self,
        study: &Uid,
        scope: &Scope,
    ) -> Result<Option<Arc<StudyEvidence>>, Error> {
        self.evidence.of(&self.archive, study, scope)
    }
}

impl Known {
    fn of(
        &self,
        archive: &Archive,
        study: &Uid,
        scope: &Scope,
    ) -> Result<Option<Arc<StudyEvidence>>, Error> {
        let Some(view) = scope.view(study) else {
            return Ok(None);
        };
        let version = archive.version(&Target::Study(study.clone()), scope)?;
        let is_of_it = |(of, known): &(View, Arc<StudyEvidence>)| {
            *of == view && known.study_instance_uid == *study
        };
        let kept = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = kept().iter().find(|one| is_of_it(one)).cloned();
        let found = match known {
            Some((_, known)) if Some(known.version) == version => Some(known),
            _ => of_study(archive, study, scope)?.map(Arc::new),
        };
        let mut kept = kept();
        kept.retain(|one| !is_of_it(one));
        if let Some(found) = &found {
            kept.push_front((view, Arc::clone(found)));
            kept.truncate(KNOWN_MAX);
        }
        Ok(found)
    }
}
