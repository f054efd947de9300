//! Keys of a search among data sets that have no levels and no index of their own (workitems, PS3.4 §CC.2.8): each is
//! judged on the data set itself, with the same matching rules.

use dicom_core::Tag;

use super::data_keys::DataKeys;
use super::field::{Field, creator_of};
use super::{DataKey, Key, MatchError, Syntax};

/// The keys of one search, as they are read.
#[derive(Debug)]
pub struct DatasetKeys {
    data: DataKeys,
}

impl DatasetKeys {
    /// For a search that asks for these attributes, with their texts: private creators among them are known before
    /// any key is added.
    #[must_use]
    pub fn new<'t>(asked: impl IntoIterator<Item = (Field, &'t str)>) -> Self {
        let asked = asked.into_iter();
        Self {
            data: DataKeys::new(asked.map(|(field, text)| (Field::Other(field.path()), text))),
        }
    }

    /// Why an attribute is no key; `None` when it is one.
    #[must_use]
    pub fn reason_to_ignore(&self, field: &Field) -> Option<&'static str> {
        let path = field.path();
        if !DataKeys::can_match(&path) {
            return Some("this attribute cannot be matched");
        }
        if Field::Other(path.clone()).is_creator() {
            return (!self.data.is_used(&path))
                .then_some("no attribute of this private creator is asked for");
        }
        let is_orphan = path
            .last()
            .is_some_and(|tag: &Tag| creator_of(*tag).is_some())
            && self.data.creator(&path).is_none();
        is_orphan.then_some("a private attribute needs its private creator")
    }

    /// Adds a key; one that all match is only asked for. Whoever calls has seen that there is no
    /// [reason to ignore](Self::reason_to_ignore) it.
    ///
    /// # Errors
    /// When its VR does not allow such a text.
    pub fn add(&mut self, field: &Field, text: &str, syntax: Syntax) -> Result<(), MatchError> {
        self.data.add(&field.path(), text, syntax)
    }

    /// The keys; a data set has to satisfy all of them.
    #[must_use]
    pub fn finish(self) -> Vec<DataKey> {
        let mut keys = Vec::new();
        self.data.finish(&mut keys);
        let own = |key| match key {
            Key::Data(_, key) => Some(key),
            _ => None,
        };
        keys.into_iter().filter_map(own).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORKITEM: &[u8] = br#"{"00080018":{"vr":"UI","Value":["1.2.3"]},"00100020":{"vr":"LO","Value":["P1"]},"00404005":{"vr":"DT","Value":["20240105101500"]},"00404034":{"vr":"SQ","Value":[{"00404009":{"vr":"SQ","Value":[{"00080100":{"vr":"SH","Value":["anna"]},"00080102":{"vr":"SH","Value":["99X"]}}]}}]},"00741000":{"vr":"CS","Value":["SCHEDULED"]}}"#;

    fn holds(parameters: &[(&str, &str)]) -> bool {
        let fields = parameters
            .iter()
            .map(|(name, text)| (Field::read(name).unwrap(), *text));
        let mut keys = DatasetKeys::new(fields.clone());
        for (field, text) in fields {
            assert_eq!(keys.reason_to_ignore(&field), None);
            keys.add(&field, text, Syntax::WEB).unwrap();
        }
        keys.finish().iter().all(|key| key.holds(WORKITEM))
    }

    #[test]
    fn indexed_attributes_are_judged_on_the_data_set_too() {
        for (name, text, expected) in [
            ("PatientID", "P1", true),
            ("PatientID", "P*", true),
            ("PatientID", "P2", false),
            ("ProcedureStepState", "SCHEDULED", true),
            ("ProcedureStepState", "COMPLETED", false),
            (
                "ScheduledProcedureStepStartDateTime",
                "20240101-20240131",
                true,
            ),
            ("ScheduledProcedureStepStartDateTime", "20240201-", false),
            ("SOPInstanceUID", "1.2.3,1.2.4", true),
            ("WorklistLabel", "X", false),
            ("WorklistLabel", "", true),
        ] {
            assert_eq!(holds(&[(name, text)]), expected, "{name} {text}");
        }
        let performer = "ScheduledHumanPerformersSequence.HumanPerformerCodeSequence.CodeValue";
        assert!(holds(&[
            (performer, "anna"),
            ("00404034.00404009.00080102", "99X")
        ]));
        assert!(!holds(&[
            (performer, "anna"),
            ("00404034.00404009.00080102", "DCM")
        ]));
    }
}
