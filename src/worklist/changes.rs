//! Changes of workitems: update (PS3.4 §CC.2.6), change of state (§CC.2.1) and the request to cancel (§CC.2.2). Each is
//! decided by the table of [`state`](super::state) on what the ledger has, and made to that revision only.

use dicom_core::VR;

use super::attributes::{check_update, unmet};
use super::elements::{code, has_value, items, sequence, text};
use super::event::{self, EventReport};
use super::state::{Refusal, Request, State, Verdict, may_update, verdict};
use super::tags::{
    CANCELLATION_DATE_TIME, DISCONTINUATION_REASON_CODE_SEQUENCE, MODIFICATION_DATE_TIME,
    PROGRESS_INFORMATION_SEQUENCE, REASON_FOR_CANCELLATION,
};
use super::workitem::{Workitem, put_state};
use super::{Caller, Error, Offer, Warning, Worklist, moment, seen};
use crate::access::LedgerError;
use crate::access::audit::{ActionCode, AuditRecord};
use crate::dicom::{AeTitle, Dataset, Uid};

impl Worklist {
    /// Sets attributes of a workitem: each element takes the place of the one of its tag, sequences as a whole;
    /// all or none.
    ///
    /// # Errors
    /// [`Error::NotFound`]; a [`Refusal`] when its state or the Transaction UID does not allow it; what is wrong with
    /// the data set.
    pub fn update(
        &self,
        uid: &Uid,
        transaction_uid: Option<&Uid>,
        mut update: Dataset,
        caller: &Caller,
    ) -> Result<(), Error> {
        let _order = self.order();
        let workitem = self.retrieve_to_change(uid, caller)?;
        let transaction = workitem.compare(transaction_uid);
        if let Err(refusal) = may_update(workitem.state, transaction) {
            return Err(self.refused(caller, &workitem, "update", refusal));
        }
        let before = workitem.dataset()?;
        check_update(&mut update, &before)?;
        let mut after = before.clone();
        for element in update.iter() {
            after.set(element.clone());
        }
        after.set(text(MODIFICATION_DATE_TIME, VR::DT, &moment()));
        after.say_character_set();
        let changed = workitem.changed(&after)?;
        // A caller cannot hand a workitem over to studies that it may not see, or to somebody else.
        if !seen(&*self.ledger, &changed, caller)?.1 {
            return Err(Error::NotFound);
        }
        let audit = self
            .audit(caller, ActionCode::Update, &changed)
            .saying("updated");
        self.replace(&changed, &audit, &event::of_update(uid, &before, &after))
    }

    /// Changes the state of a workitem: claims it with a Transaction UID of the caller's, or ends it with the same.
    ///
    /// # Errors
    /// [`Error::NotFound`]; a [`Refusal`] of the table; [`Error::Unfinished`].
    pub fn change_state(
        &self,
        uid: &Uid,
        state: State,
        transaction_uid: Option<&Uid>,
        caller: &Caller,
    ) -> Result<Option<Warning>, Error> {
        let _order = self.order();
        let (workitem, offer) = self.retrieve_offered(uid, caller)?;
        let request = Request::Change(state, workitem.compare(transaction_uid));
        let what = format!("change to {state}");
        match verdict(request, Some(workitem.state)) {
            Verdict::Refuse(refusal) => Err(self.refused(caller, &workitem, &what, refusal)),
            Verdict::Already(state) => Ok(Some(already(state))),
            Verdict::Become(state) => {
                let claimed = Workitem {
                    transaction_uid: transaction_uid.cloned(),
                    claims: caller.reader.clone().filter(|_| offer == Offer::Theirs),
                    ..workitem
                };
                self.become_state(&claimed, state, &what, caller)
            }
            Verdict::Finish(state) => self.become_state(&workitem, state, &what, caller),
            Verdict::CancelNow | Verdict::Tell => Err(misplaced()),
        }
    }

    /// Asks for a workitem to be canceled: one that nobody has claimed is, at once; of one in progress its subscribers
    /// are told. `request` may have a reason and a contact.
    ///
    /// # Errors
    /// [`Error::NotFound`]; a [`Refusal`] of the table; [`Refusal::PerformerUnreachable`] when nobody would hear it.
    pub fn request_cancellation(
        &self,
        uid: &Uid,
        request: &Dataset,
        requesting_ae: &AeTitle,
        caller: &Caller,
    ) -> Result<Option<Warning>, Error> {
        const WHAT: &str = "request to cancel";
        let _order = self.order();
        let workitem = self.retrieve_to_change(uid, caller)?;
        match verdict(Request::Cancel, Some(workitem.state)) {
            Verdict::Refuse(refusal) => Err(self.refused(caller, &workitem, WHAT, refusal)),
            Verdict::Already(state) => Ok(Some(already(state))),
            Verdict::CancelNow => self.cancel_now(&workitem, request, caller),
            Verdict::Tell => {
                let subscribers = self.ledger.subscribers(uid)?;
                if subscribers.is_empty() {
                    let refusal = Refusal::PerformerUnreachable;
                    return Err(self.refused(caller, &workitem, WHAT, refusal));
                }
                let audit = self.audit(caller, ActionCode::Execute, &workitem);
                self.ledger.record(&audit.saying(WHAT))?;
                let report = event::cancel_requested(uid, requesting_ae, request);
                self.carry(&subscribers, &[report]);
                Ok(None)
            }
            Verdict::Become(_) | Verdict::Finish(_) => Err(misplaced()),
        }
    }

    fn become_state(
        &self,
        workitem: &Workitem,
        state: State,
        what: &str,
        caller: &Caller,
    ) -> Result<Option<Warning>, Error> {
        let mut dataset = workitem.dataset()?;
        let moment = moment();
        put_state(&mut dataset, state, &moment);
        if state == State::Canceled {
            note_cancellation(&mut dataset, &moment, None);
        }
        if state.is_final() {
            let unmet = unmet(&dataset, state);
            if !unmet.is_empty() {
                return match self.refused(caller, workitem, what, Refusal::Unfinished) {
                    Error::Refused(_) => Err(Error::Unfinished(unmet)),
                    other => Err(other),
                };
            }
        }
        let changed = workitem.changed(&dataset)?;
        let audit = self
            .audit(caller, ActionCode::Update, &changed)
            .saying(what);
        let report = event::state_report(&workitem.uid, &dataset);
        self.replace(&changed, &audit, &[report])?;
        Ok(None)
    }

    /// First IN PROGRESS, then CANCELED, with the reason that the request gives.
    fn cancel_now(
        &self,
        workitem: &Workitem,
        request: &Dataset,
        caller: &Caller,
    ) -> Result<Option<Warning>, Error> {
        let mut dataset = workitem.dataset()?;
        let moment = moment();
        put_state(&mut dataset, State::Canceled, &moment);
        note_cancellation(&mut dataset, &moment, Some(request));
        dataset.say_character_set();
        let changed = workitem.changed(&dataset)?;
        let audit = self
            .audit(caller, ActionCode::Update, &changed)
            .saying("canceled on request");
        let reports = [
            event::passing(&workitem.uid, &dataset, State::InProgress),
            event::state_report(&workitem.uid, &dataset),
        ];
        self.replace(&changed, &audit, &reports)?;
        Ok(None)
    }

    /// Keeps a changed workitem and tells its subscribers.
    pub(super) fn replace(
        &self,
        changed: &Workitem,
        audit: &AuditRecord,
        reports: &[EventReport],
    ) -> Result<(), Error> {
        if !self.ledger.replace_workitem(changed, audit)? {
            // Another process beside this one was faster.
            return Err(LedgerError::Busy("the workitem was changed meanwhile").into());
        }
        if !reports.is_empty() {
            self.carry(&self.ledger.subscribers(&changed.uid)?, reports);
        }
        Ok(())
    }
}

fn already(state: State) -> Warning {
    match state {
        State::Canceled => Warning::AlreadyCanceled,
        State::Scheduled | State::InProgress | State::Completed => Warning::AlreadyCompleted,
    }
}

/// The table has no such verdict in such a row; a test sees to it.
fn misplaced() -> Error {
    LedgerError::broken("the state table", "a verdict stands in the wrong row").into()
}

/// Says when, and where a request is behind it also why.
fn note_cancellation(dataset: &mut Dataset, moment: &str, request: Option<&Dataset>) {
    let mut progress = items(dataset, PROGRESS_INFORMATION_SEQUENCE).to_vec();
    if progress.is_empty() {
        progress.push(Dataset::default());
    }
    let first = &mut progress[0];
    if !has_value(first, CANCELLATION_DATE_TIME) {
        first.set(text(CANCELLATION_DATE_TIME, VR::DT, moment));
    }
    if let Some(request) = request {
        for tag in [
            REASON_FOR_CANCELLATION,
            DISCONTINUATION_REASON_CODE_SEQUENCE,
        ] {
            if let Some(element) = request.get(tag) {
                first.set(element.clone());
            }
        }
        if !has_value(first, DISCONTINUATION_REASON_CODE_SEQUENCE) {
            // PS3.16 CID 9300
            let why = code("110513", "DCM", "Discontinued for unspecified reason");
            first.set(sequence(DISCONTINUATION_REASON_CODE_SEQUENCE, vec![why]));
        }
    }
    dataset.set(sequence(PROGRESS_INFORMATION_SEQUENCE, progress));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::worklist::state::{TABLE, Transaction};

    #[test]
    fn verdicts_stand_in_the_rows_where_they_are_understood() {
        for (request, row) in TABLE {
            for verdict in row {
                let is_misplaced = match request {
                    Request::Change(..) => {
                        matches!(verdict, Verdict::CancelNow | Verdict::Tell)
                    }
                    Request::Cancel => matches!(verdict, Verdict::Become(_) | Verdict::Finish(_)),
                    Request::Create => !matches!(
                        verdict,
                        Verdict::Become(State::Scheduled) | Verdict::Refuse(_)
                    ),
                };
                assert!(!is_misplaced, "{request:?} {verdict:?}");
            }
        }
        assert_eq!(already(State::Completed), Warning::AlreadyCompleted);
        // Only a claim may come with a Transaction UID that nobody has used before.
        assert!(matches!(
            verdict(
                Request::Change(State::InProgress, Transaction::Right),
                Some(State::Scheduled)
            ),
            Verdict::Become(State::InProgress)
        ));
    }
}
