//! Who asks, and what they may see. Every way into the archive needs a [`Scope`]; a door gets one
//! from its policy, never from the request.

pub mod passcode;

use std::collections::BTreeSet;

use crate::dicom::Uid;

/// What a caller may see and touch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// The whole archive.
    All,
    /// These studies and nothing else: neither their existence nor their number.
    Studies(BTreeSet<Uid>),
    /// Nothing.
    Nothing,
}

impl Scope {
    /// Whether a study is inside.
    #[must_use]
    pub fn holds(&self, study_instance_uid: &Uid) -> bool {
        match self {
            Self::All => true,
            Self::Studies(studies) => studies.contains(study_instance_uid),
            Self::Nothing => false,
        }
    }
}
