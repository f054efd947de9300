//! The Query/Retrieve SOP classes (PS3.4 §C.6) and their extended negotiation (§C.5): which
//! information model, and what may be asked beyond the baseline.
//!
//! Choices where the standard leaves one: timezone query adjustment is never granted, dates and
//! times are compared as stored, as in QIDO-RS; neither is enhanced multi-frame image conversion.

use crate::dicom::Level;
use crate::dimse::modalities::Right;

/// An information model (PS3.4 §C.6.1 to §C.6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Model {
    /// Patient Root.
    Patient,
    /// Study Root.
    Study,
    /// Patient/Study Only (retired).
    PatientStudyOnly,
}

impl Model {
    /// Whether a level is one of its own.
    pub(crate) fn has(self, level: Level) -> bool {
        match self {
            Self::Patient => true,
            Self::Study => level != Level::Patient,
            Self::PatientStudyOnly => level <= Level::Study,
        }
    }
}

/// What is asked of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Deed {
    /// C-FIND.
    Find,
    /// C-MOVE.
    Move,
    /// C-GET.
    Get,
}

/// SOP class, model, deed (PS3.4 Tables C.6.1.3-1, C.6.2.3-1 and the retired C.6.3.3-1).
pub(crate) const CLASSES: &[(&str, &str, Model, Deed)] = &[
    (
        "1.2.840.10008.5.1.4.1.2.1.1",
        "Patient Root Query/Retrieve Information Model - FIND",
        Model::Patient,
        Deed::Find,
    ),
    (
        "1.2.840.10008.5.1.4.1.2.1.2",
        "Patient Root Query/Retrieve Information Model - MOVE",
        Model::Patient,
        Deed::Move,
    ),
    (
        "1.2.840.10008.5.1.4.1.2.1.3",
        "Patient Root Query/Retrieve Information Model - GET",
        Model::Patient,
        Deed::Get,
    ),
    (
        "1.2.840.10008.5.1.4.1.2.2.1",
        "Study Root Query/Retrieve Information Model - FIND",
        Model::Study,
        Deed::Find,
    ),
    (
        "1.2.840.10008.5.1.4.1.2.2.2",
        "Study Root Query/Retrieve Information Model - MOVE",
        Model::Study,
        Deed::Move,
    ),
    (
        "1.2.840.10008.5.1.4.1.2.2.3",
        "Study Root Query/Retrieve Information Model - GET",
        Model::Study,
        Deed::Get,
    ),
    (
        "1.2.840.10008.5.1.4.1.2.3.1",
        "Patient/Study Only Query/Retrieve Information Model - FIND (Retired)",
        Model::PatientStudyOnly,
        Deed::Find,
    ),
    (
        "1.2.840.10008.5.1.4.1.2.3.2",
        "Patient/Study Only Query/Retrieve Information Model - MOVE (Retired)",
        Model::PatientStudyOnly,
        Deed::Move,
    ),
    (
        "1.2.840.10008.5.1.4.1.2.3.3",
        "Patient/Study Only Query/Retrieve Information Model - GET (Retired)",
        Model::PatientStudyOnly,
        Deed::Get,
    ),
];

/// The Query/Retrieve class with this UID.
pub(super) fn class(uid: &str) -> Option<&'static (&'static str, &'static str, Model, Deed)> {
    CLASSES.iter().find(|(known, ..)| *known == uid)
}

/// What goes beyond the baseline, as both sides agreed (PS3.4 §C.5.1.1, §C.5.2.1, §C.5.3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Options {
    /// Keys of any level, none of them required.
    pub(crate) is_relational: bool,
    /// A range of dates with a range of times is one interval.
    pub(crate) has_combined_times: bool,
    /// Names match by sound.
    pub(crate) has_fuzzy_names: bool,
    /// `""` finds what has no value.
    pub(crate) has_empty_values: bool,
    /// Several values must all be there.
    pub(crate) has_multiple_values: bool,
}

/// Service-class-application-information that we can grant, byte by byte: relational, date-time,
/// fuzzy, timezone, multi-frame conversion, empty value, multiple value.
const FIND_GRANTED: [u8; 7] = [1, 1, 1, 0, 0, 1, 1];
/// Relational, multi-frame conversion.
const RETRIEVE_GRANTED: [u8; 2] = [1, 0];

impl Deed {
    /// What a peer needs for it.
    pub(crate) fn right(self) -> Right {
        match self {
            Self::Find => Right::Find,
            Self::Move => Right::Move,
            Self::Get => Right::Get,
        }
    }

    /// The answer to service-class-application-information: as many bytes as were offered and are
    /// known, and nothing that was not asked for.
    pub(crate) fn granted(self, offered: &[u8]) -> Vec<u8> {
        let ours: &[u8] = match self {
            Self::Find => &FIND_GRANTED,
            Self::Move | Self::Get => &RETRIEVE_GRANTED,
        };
        let both = |(offered, ours): (&u8, &u8)| u8::from(*offered == 1 && *ours == 1);
        offered.iter().zip(ours).map(both).collect()
    }
}

impl Options {
    /// What was granted.
    pub(crate) fn of(granted: &[u8]) -> Self {
        let has = |byte: usize| granted.get(byte) == Some(&1);
        Self {
            is_relational: has(0),
            has_combined_times: has(1),
            has_fuzzy_names: has(2),
            has_empty_values: has(5),
            has_multiple_values: has(6),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_granted_that_was_not_asked_for() {
        for (offered, granted) in [
            (&[][..], &[][..]),
            (&[1], &[1]),
            (&[0, 1, 1], &[0, 1, 1]),
            (&[1, 1, 1, 1, 1, 1, 1, 1, 1], &[1, 1, 1, 0, 0, 1, 1]),
            (&[2, 255], &[0, 0]),
        ] {
            assert_eq!(Deed::Find.granted(offered), granted, "{offered:?}");
        }
        assert_eq!(Deed::Get.granted(&[1, 1, 1]), [1, 0]);
        let options = Options::of(&[1, 0, 1]);
        assert!(options.is_relational && options.has_fuzzy_names);
        assert!(!options.has_combined_times && !options.has_multiple_values);
    }

    #[test]
    fn each_model_has_its_levels() {
        let levels = |model: Model| {
            [Level::Patient, Level::Study, Level::Series, Level::Instance].map(|l| model.has(l))
        };
        assert_eq!(levels(Model::Patient), [true, true, true, true]);
        assert_eq!(levels(Model::Study), [false, true, true, true]);
        assert_eq!(levels(Model::PatientStudyOnly), [true, true, false, false]);
    }
}
