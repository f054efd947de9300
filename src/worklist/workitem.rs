//! A workitem as it is kept: its data set in DICOM JSON, and beside it what the ledger finds it by.

use std::collections::BTreeSet;

use dicom_core::{Tag, VR};

use super::attributes::Fault;
use super::elements::{has_value, items, text};
use super::state::{State, Transaction};
use super::tags::{
    CODE_VALUE, CODING_SCHEME_DESIGNATOR, HUMAN_PERFORMER_CODE_SEQUENCE, INPUT_READINESS_STATE,
    LONG_CODE_VALUE, MODIFICATION_DATE_TIME, PATIENT_ID, PROCEDURE_STEP_STATE,
    REFERENCED_SOP_CLASS_UID, REFERENCED_SOP_INSTANCE_UID, SCHEDULED_HUMAN_PERFORMERS_SEQUENCE,
    STUDY_INSTANCE_UID, TRANSACTION_UID,
};
use super::{Caller, Error, PERFORMER_SCHEME, WORKITEM_BYTES_MAX};
use crate::access::{LedgerError, Scope, View};
use crate::dicom::dataset::Value;
use crate::dicom::{Dataset, Uid, json, sop_class};

/// Unified Procedure Step - Push, the class that every workitem is created in and reported under (PS3.4 §CC.3.1).
pub const UPS_PUSH: &str = "1.2.840.10008.5.1.4.34.6.1";

/// The most studies that a workitem names.
const STUDIES_MAX: usize = 1000;

/// A workitem.
#[derive(Clone, PartialEq, Eq)]
pub struct Workitem {
    /// Its place in the order of creation, from 1; 0 before it is kept.
    pub number: u64,
    /// Its SOP Instance UID.
    pub uid: Uid,
    /// Its state, as the data set says it.
    pub state: State,
    /// What it was claimed with. Nobody is ever told.
    pub transaction_uid: Option<Uid>,
    /// Goes up with every change.
    pub revision: u64,
    /// The data set in DICOM JSON, without its Transaction UID.
    pub json: Box<[u8]>,
    /// Patient ID (0010,0020), empty when there is none.
    pub patient_id: Box<str>,
    /// Whether it waits for its input: its Input Readiness State is INCOMPLETE, and it is not over.
    pub is_incomplete: bool,
    /// All studies that it names, in order, each once.
    pub studies: Vec<Uid>,
    /// Which reader is about to claim it, of those that it was offered to; kept with the task, not here.
    pub claims: Option<Box<str>>,
}

/// Says nothing of what is claimed with, and nothing about a patient.
impl std::fmt::Debug for Workitem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Workitem")
            .field("uid", &self.uid)
            .field("state", &self.state)
            .field("revision", &self.revision)
            .finish_non_exhaustive()
    }
}

/// What follows from a data set: its state, its JSON, its studies.
type Derived = (State, Box<[u8]>, Vec<Uid>);

impl Workitem {
    /// A workitem of a data set that has been checked, with its state in it.
    ///
    /// # Errors
    /// [`Error::TooLarge`]; [`Error::Invalid`] when it has bulk data, no state, or names too many studies.
    pub(super) fn new(uid: Uid, dataset: &Dataset) -> Result<Self, Error> {
        let (state, json, studies) = Self::derived(dataset)?;
        Ok(Self {
            number: 0,
            uid,
            state,
            transaction_uid: None,
            revision: 0,
            json,
            patient_id: dataset.text(PATIENT_ID).unwrap_or_default().into(),
            is_incomplete: is_incomplete(dataset, state),
            studies,
            claims: None,
        })
    }

    /// The same workitem with another data set, one revision on.
    ///
    /// # Errors
    /// As [`Workitem::new`].
    pub(super) fn changed(&self, dataset: &Dataset) -> Result<Self, Error> {
        let (state, json, studies) = Self::derived(dataset)?;
        Ok(Self {
            state,
            json,
            studies,
            is_incomplete: is_incomplete(dataset, state),
            revision: self.revision + 1,
            ..self.clone()
        })
    }

    fn derived(dataset: &Dataset) -> Result<Derived, Error> {
        if let Some(tag) = bulk(dataset) {
            return Err(Fault::Bulk(tag).into());
        }
        let state = dataset.text(PROCEDURE_STEP_STATE).and_then(State::of_term);
        let state = state.ok_or(Fault::Term("ProcedureStepState"))?;
        let studies = studies(dataset)?;
        let mut out = Vec::new();
        json::write_dataset(&mut out, dataset);
        if out.len() > WORKITEM_BYTES_MAX {
            return Err(Error::TooLarge);
        }
        Ok((state, out.into(), studies))
    }

    /// The data set, to be looked at or changed.
    ///
    /// # Errors
    /// When what the ledger gave is none.
    pub fn dataset(&self) -> Result<Dataset, LedgerError> {
        let read = json::parse(&self.json);
        let mut datasets =
            read.map_err(|cause| LedgerError::broken("reading a workitem", cause))?;
        datasets
            .pop()
            .ok_or_else(|| LedgerError::broken("reading a workitem", "it is empty"))
    }

    /// How a Transaction UID compares with the one it was claimed with.
    pub(super) fn compare(&self, transaction_uid: Option<&Uid>) -> Transaction {
        match (self.state, transaction_uid, &self.transaction_uid) {
            (_, None, _) => Transaction::Missing,
            (State::Scheduled, Some(_), _) => Transaction::Right,
            (_, Some(given), Some(held)) if given == held => Transaction::Right,
            (_, Some(_), _) => Transaction::Wrong,
        }
    }

    /// Whether it is there for a caller, tasks of pools left aside ([`Worklist::sees`](super::Worklist)). A reader sees what
    /// they were asked to do themselves, and what nobody by name was.
    #[must_use]
    pub(super) fn is_for(&self, caller: &Caller) -> bool {
        let is_asked = || match (&caller.scope, &caller.reader) {
            (Scope::Studies(_), Some(reader)) => self.asks(reader),
            _ => true,
        };
        self.is_in(&caller.scope) && is_asked()
    }

    /// Whether it is in a scope. Who may see some studies sees the workitems that name nothing but those; who may not
    /// see the reports of one of them, none that names a report.
    #[must_use]
    pub(super) fn is_in(&self, scope: &Scope) -> bool {
        match scope {
            Scope::All => true,
            Scope::Studies(_) => {
                let views: Option<Vec<View>> = self.studies.iter().map(|s| scope.view(s)).collect();
                let views = views.unwrap_or_default();
                match views.contains(&View::WithoutReports) {
                    true => !self.names_reports(),
                    false => !views.is_empty(),
                }
            }
            Scope::Nothing => false,
        }
    }

    /// Whether a reader is asked to do it: among others, or because it names nobody. One that cannot be read asks nobody.
    fn asks(&self, reader: &str) -> bool {
        let Ok(dataset) = self.dataset() else {
            return false;
        };
        let performers = items(&dataset, SCHEDULED_HUMAN_PERFORMERS_SEQUENCE);
        let mut codes = performers
            .iter()
            .flat_map(|performer| items(performer, HUMAN_PERFORMER_CODE_SEQUENCE));
        let is_reader = |code: &Dataset| {
            let value = code.text(CODE_VALUE).filter(|value| !value.is_empty());
            code.text(CODING_SCHEME_DESIGNATOR) == Some(PERFORMER_SCHEME)
                && value.or_else(|| code.text(LONG_CODE_VALUE)) == Some(reader)
        };
        performers.is_empty() || codes.any(is_reader)
    }

    /// Whether it names an instance that may show how a study was read before; one that cannot be read may.
    fn names_reports(&self) -> bool {
        self.dataset()
            .map_or(true, |dataset| names_report(&dataset))
    }
}

/// Whether a data set names an instance of such a class, or does not say of which, at any depth. As deep as the data set
/// is nested.
fn names_report(dataset: &Dataset) -> bool {
    let is_of_class = has_value(dataset, REFERENCED_SOP_CLASS_UID);
    dataset.iter().any(|element| match &element.value {
        Value::Items(items) => items.iter().any(names_report),
        Value::Bytes(_) if element.tag == REFERENCED_SOP_INSTANCE_UID && !is_of_class => true,
        Value::Bytes(_) if element.tag == REFERENCED_SOP_CLASS_UID => {
            let class = dataset.text(REFERENCED_SOP_CLASS_UID).unwrap_or_default();
            class.is_empty() || sop_class::is_report(class)
        }
        Value::Bytes(_) | Value::Bulk(_) => false,
    })
}

/// Says in a data set that it is in this state since this moment.
pub(super) fn put_state(dataset: &mut Dataset, state: State, moment: &str) {
    dataset.set(text(PROCEDURE_STEP_STATE, VR::CS, state.term()));
    dataset.set(text(MODIFICATION_DATE_TIME, VR::DT, moment));
}

/// Takes the Transaction UID out of a data set; `None` when there is none.
///
/// # Errors
/// When it is no UID.
pub fn take_transaction_uid(dataset: &mut Dataset) -> Result<Option<Uid>, Fault> {
    let text = dataset.text(TRANSACTION_UID).unwrap_or_default().to_owned();
    dataset.remove(TRANSACTION_UID);
    if text.is_empty() {
        return Ok(None);
    }
    let uid = Uid::parse(&text);
    uid.map(Some)
        .map_err(|_| Fault::Other("The Transaction UID is invalid."))
}

fn is_incomplete(dataset: &Dataset, state: State) -> bool {
    !state.is_final() && dataset.text(INPUT_READINESS_STATE) == Some("INCOMPLETE")
}

/// The first attribute, at any depth, whose value lies elsewhere. As deep as the data set is nested.
fn bulk(dataset: &Dataset) -> Option<Tag> {
    dataset.iter().find_map(|element| match &element.value {
        Value::Bulk(_) => Some(element.tag),
        Value::Items(items) => items.iter().find_map(bulk),
        Value::Bytes(_) => None,
    })
}

/// The studies that a workitem names, wherever it does.
fn studies(dataset: &Dataset) -> Result<Vec<Uid>, Fault> {
    let mut studies = BTreeSet::new();
    gather_studies(dataset, &mut studies)?;
    Ok(studies.into_iter().collect())
}

/// As deep as the data set is nested.
fn gather_studies(dataset: &Dataset, studies: &mut BTreeSet<Uid>) -> Result<(), Fault> {
    for element in dataset.iter() {
        match &element.value {
            Value::Items(items) => {
                for item in items {
                    gather_studies(item, studies)?;
                }
            }
            Value::Bytes(_) if element.tag == STUDY_INSTANCE_UID => {
                let named = dataset.text(STUDY_INSTANCE_UID).unwrap_or_default();
                if named.is_empty() {
                    continue;
                }
                let uid = Uid::parse(named);
                studies.insert(uid.map_err(|_| Fault::Other("a StudyInstanceUID is no UID"))?);
                if studies.len() > STUDIES_MAX {
                    return Err(Fault::Other("the workitem names too many studies"));
                }
            }
            Value::Bytes(_) | Value::Bulk(_) => {}
        }
    }
    Ok(())
}
