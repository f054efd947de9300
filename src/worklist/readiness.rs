//! Input Readiness State (0040,4041): a workitem whose Input Information Sequence names instances, and that says
//! INCOMPLETE, becomes READY when the last of them is here (PS3.3 §C.30.1.1).

use dicom_core::VR;

use super::elements::{items, text};
use super::ledger::Narrow;
use super::tags::{
    INPUT_INFORMATION_SEQUENCE, INPUT_READINESS_STATE, MODIFICATION_DATE_TIME,
    REFERENCED_SOP_INSTANCE_UID, REFERENCED_SOP_SEQUENCE, SERIES_INSTANCE_UID, STUDY_INSTANCE_UID,
};
use super::workitem::Workitem;
use super::{Caller, Error, Worklist, event, moment};
use crate::access::audit::{ActionCode, Actor};
use crate::access::{LedgerError, Scope};
use crate::dicom::{AeTitle, Dataset, Uid};

/// So many workitems are looked at in one go.
const BATCH: usize = 100;

/// An instance by its study, series and own UID.
pub type Named = (Uid, Uid, Uid);

impl Worklist {
    /// Looks through the workitems that wait for their input, and sets those READY of which `is_here` says that
    /// every instance they name is here. Says how many those are.
    ///
    /// # Errors
    /// When the ledger cannot be read or written.
    pub fn set_ready(
        &self,
        our_ae: &AeTitle,
        is_here: &dyn Fn(&Named) -> bool,
    ) -> Result<usize, Error> {
        let narrow = Narrow {
            is_incomplete: true,
            ..Narrow::default()
        };
        let (mut after, mut count) = (0, 0);
        loop {
            let batch = self.ledger.workitems(&narrow, after, BATCH)?;
            let Some(last) = batch.last() else {
                return Ok(count);
            };
            after = last.number;
            for workitem in batch {
                match self.set_one_ready(&workitem, our_ae, is_here) {
                    Ok(is_ready) => count += usize::from(is_ready),
                    Err(Error::Ledger(error @ LedgerError::Broken(_))) => {
                        let number = workitem.number;
                        tracing::warn!(%error, number, "a workitem that waits for its input is passed over");
                    }
                    Err(error) => return Err(error),
                }
            }
        }
    }

    fn set_one_ready(
        &self,
        waiting: &Workitem,
        our_ae: &AeTitle,
        is_here: &dyn Fn(&Named) -> bool,
    ) -> Result<bool, Error> {
        let Some(named) = named(&waiting.dataset()?) else {
            return Ok(false);
        };
        if waiting.state.is_final() || !named.iter().all(is_here) {
            return Ok(false);
        }
        let _order = self.order();
        // It may have changed while the instances were looked for.
        let Some(workitem) = self.ledger.workitem(&waiting.uid)? else {
            return Ok(false);
        };
        if workitem.revision != waiting.revision {
            return Ok(false);
        }
        let before = workitem.dataset()?;
        let mut after = before.clone();
        after.set(text(INPUT_READINESS_STATE, VR::CS, "READY"));
        after.set(text(MODIFICATION_DATE_TIME, VR::DT, &moment()));
        let changed = workitem.changed(&after)?;
        let ours = Caller {
            scope: Scope::All,
            actor: Actor {
                name: our_ae.to_string(),
                means: "server".to_owned(),
                address: String::new(),
            },
            reader: None,
            only: None,
            may_change: true,
            ae: Some(our_ae.clone()),
        };
        let audit = self
            .audit(&ours, ActionCode::Update, &changed)
            .saying("its input is here");
        let reports = event::of_update(&workitem.uid, &before, &after);
        self.replace(&changed, &audit, &reports)?;
        Ok(true)
    }
}

/// The instances that a workitem names as its input; `None` when it names none, or an item of it leaves open which.
fn named(dataset: &Dataset) -> Option<Vec<Named>> {
    let uid = |item: &Dataset, tag| Uid::parse(item.text(tag)?).ok();
    let mut named = Vec::new();
    for input in items(dataset, INPUT_INFORMATION_SEQUENCE) {
        let (study, series) = (
            uid(input, STUDY_INSTANCE_UID)?,
            uid(input, SERIES_INSTANCE_UID)?,
        );
        let references = items(input, REFERENCED_SOP_SEQUENCE);
        if references.is_empty() {
            return None;
        }
        for reference in references {
            let instance = uid(reference, REFERENCED_SOP_INSTANCE_UID)?;
            named.push((study.clone(), series.clone(), instance));
        }
    }
    (!named.is_empty()).then_some(named)
}
