//! Event reports (PS3.4 §CC.2.4, Table CC.2.4-1): what subscribers are told, and when. A door sends them; it gives
//! [`Worklist`](super::Worklist) a [`Courier`] to hand them to.

use dicom_core::VR;

use super::elements::{items, sequence, text};
use super::state::State;
use super::tags::{
    CONTACT_DISPLAY_NAME, CONTACT_URI, DISCONTINUATION_REASON_CODE_SEQUENCE,
    HUMAN_PERFORMER_CODE_SEQUENCE, HUMAN_PERFORMER_ORGANIZATION, INPUT_READINESS_STATE,
    PROCEDURE_STEP_LIST_STATUS, PROCEDURE_STEP_STATE, PROGRESS_INFORMATION_SEQUENCE,
    REASON_FOR_CANCELLATION, REQUESTING_AE, SCHEDULED_HUMAN_PERFORMERS_SEQUENCE,
    SCHEDULED_STATION_NAME_CODE_SEQUENCE, SCP_STATUS, SUBSCRIPTION_LIST_STATUS,
};
use crate::dicom::{AeTitle, Dataset, Uid};

/// Event Type ID (0000,1002).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventType {
    /// UPS State Report.
    StateReport,
    /// UPS Cancel Requested.
    CancelRequested,
    /// UPS Progress Report.
    ProgressReport,
    /// SCP Status Change.
    ScpStatusChange,
    /// UPS Assigned.
    Assigned,
}

impl EventType {
    /// Its number.
    #[must_use]
    pub fn id(self) -> u16 {
        match self {
            Self::StateReport => 1,
            Self::CancelRequested => 2,
            Self::ProgressReport => 3,
            Self::ScpStatusChange => 4,
            Self::Assigned => 5,
        }
    }
}

/// One event report.
#[derive(Debug, Clone, PartialEq)]
pub struct EventReport {
    /// What kind.
    pub event_type: EventType,
    /// The workitem it is about; of an SCP Status Change the well-known instance of all of them.
    pub workitem: Uid,
    /// Its attributes.
    pub information: Dataset,
}

/// Takes event reports to whoever is to have them. Never blocks and never fails: a report that cannot be delivered
/// is lost, as PS3.4 §CC.2.4.3 allows.
pub trait Courier: Send + Sync {
    /// Hands a report over. Reports to one AE arrive in the order they are handed over.
    fn carry(&self, receiving_ae: &AeTitle, report: &EventReport);

    /// An AE has no subscription left: what it was not told yet, it is not told any more.
    fn forget(&self, receiving_ae: &AeTitle);
}

/// What has become of the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScpStatus {
    /// It runs again, with the workitems and subscriptions it had.
    Restarted,
    /// It is about to stop.
    GoingDown,
}

/// A UPS State Report: the states of a workitem, and why it was canceled.
pub(super) fn state_report(workitem: &Uid, dataset: &Dataset) -> EventReport {
    let mut information = copied(dataset, &[PROCEDURE_STEP_STATE, INPUT_READINESS_STATE]);
    if dataset.text(PROCEDURE_STEP_STATE) == Some(State::Canceled.term()) {
        for item in items(dataset, PROGRESS_INFORMATION_SEQUENCE) {
            let why = [
                REASON_FOR_CANCELLATION,
                DISCONTINUATION_REASON_CODE_SEQUENCE,
            ];
            why.iter()
                .filter_map(|tag| item.get(*tag))
                .for_each(|element| information.set(element.clone()));
        }
    }
    report(EventType::StateReport, workitem, information)
}

/// The same of a state that it only passes through.
pub(super) fn passing(workitem: &Uid, dataset: &Dataset, state: State) -> EventReport {
    let mut information = copied(dataset, &[INPUT_READINESS_STATE]);
    information.set(text(PROCEDURE_STEP_STATE, VR::CS, state.term()));
    report(EventType::StateReport, workitem, information)
}

/// A UPS Cancel Requested event: who asks, and what the request says.
pub(super) fn cancel_requested(
    workitem: &Uid,
    requesting_ae: &AeTitle,
    request: &Dataset,
) -> EventReport {
    let mut information = copied(
        request,
        &[
            REASON_FOR_CANCELLATION,
            DISCONTINUATION_REASON_CODE_SEQUENCE,
            CONTACT_URI,
            CONTACT_DISPLAY_NAME,
        ],
    );
    information.set(text(REQUESTING_AE, VR::AE, requesting_ae.as_str()));
    report(EventType::CancelRequested, workitem, information)
}

/// The reports of a new workitem.
pub(super) fn of_creation(workitem: &Uid, dataset: &Dataset) -> Vec<EventReport> {
    let mut reports = vec![state_report(workitem, dataset)];
    let is_assigned = [
        SCHEDULED_STATION_NAME_CODE_SEQUENCE,
        SCHEDULED_HUMAN_PERFORMERS_SEQUENCE,
    ]
    .iter()
    .any(|tag| !items(dataset, *tag).is_empty());
    if is_assigned {
        reports.push(assigned(workitem, dataset));
    }
    reports
}

/// The reports of an update.
pub(super) fn of_update(workitem: &Uid, before: &Dataset, after: &Dataset) -> Vec<EventReport> {
    let is_changed = |tag| before.get(tag) != after.get(tag);
    let mut reports = Vec::new();
    if is_changed(INPUT_READINESS_STATE) {
        reports.push(state_report(workitem, after));
    }
    if is_changed(SCHEDULED_STATION_NAME_CODE_SEQUENCE)
        || is_changed(SCHEDULED_HUMAN_PERFORMERS_SEQUENCE)
    {
        reports.push(assigned(workitem, after));
    }
    if is_changed(PROGRESS_INFORMATION_SEQUENCE) {
        let information = copied(after, &[PROGRESS_INFORMATION_SEQUENCE]);
        reports.push(report(EventType::ProgressReport, workitem, information));
    }
    reports
}

/// An SCP Status Change: what the ledger keeps was preserved, so both lists are warm.
pub(super) fn scp_status(status: ScpStatus, all: &Uid) -> EventReport {
    let status = match status {
        ScpStatus::Restarted => "RESTARTED",
        ScpStatus::GoingDown => "GOING DOWN",
    };
    let mut information = Dataset::default();
    information.set(text(SCP_STATUS, VR::CS, status));
    for list in [SUBSCRIPTION_LIST_STATUS, PROCEDURE_STEP_LIST_STATUS] {
        information.set(text(list, VR::CS, "WARM START"));
    }
    report(EventType::ScpStatusChange, all, information)
}

/// Whom it is for: all performers' codes in one sequence, and the organization of the first that has one.
fn assigned(workitem: &Uid, dataset: &Dataset) -> EventReport {
    let mut information = Dataset::default();
    let stations = items(dataset, SCHEDULED_STATION_NAME_CODE_SEQUENCE);
    if !stations.is_empty() {
        information.set(sequence(
            SCHEDULED_STATION_NAME_CODE_SEQUENCE,
            stations.to_vec(),
        ));
    }
    let performers = items(dataset, SCHEDULED_HUMAN_PERFORMERS_SEQUENCE);
    let codes: Vec<Dataset> = performers
        .iter()
        .flat_map(|performer| items(performer, HUMAN_PERFORMER_CODE_SEQUENCE))
        .cloned()
        .collect();
    if !codes.is_empty() {
        information.set(sequence(HUMAN_PERFORMER_CODE_SEQUENCE, codes));
    }
    let mut organizations = performers
        .iter()
        .filter_map(|performer| performer.get(HUMAN_PERFORMER_ORGANIZATION));
    if let Some(organization) = organizations.next() {
        information.set(organization.clone());
    }
    report(EventType::Assigned, workitem, information)
}

fn report(event_type: EventType, workitem: &Uid, information: Dataset) -> EventReport {
    EventReport {
        event_type,
        workitem: workitem.clone(),
        information,
    }
}

/// The attributes of `from` that are in the list.
fn copied(from: &Dataset, tags: &[dicom_core::Tag]) -> Dataset {
    let mut copy = Dataset::default();
    for element in tags.iter().filter_map(|tag| from.get(*tag)) {
        copy.set(element.clone());
    }
    copy
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::worklist::elements::code;
    use crate::worklist::tests::new_workitem;

    fn uid() -> Uid {
        Uid::parse("2.25.7").unwrap()
    }

    fn kinds(reports: &[EventReport]) -> Vec<u16> {
        reports
            .iter()
            .map(|report| report.event_type.id())
            .collect()
    }

    fn performer(name: &str) -> Dataset {
        let mut performer = Dataset::default();
        performer.set(sequence(
            HUMAN_PERFORMER_CODE_SEQUENCE,
            vec![code(name, "99OVERREAD", name)],
        ));
        performer.set(text(HUMAN_PERFORMER_ORGANIZATION, VR::LO, "Clinic"));
        performer
    }

    #[test]
    fn a_new_workitem_is_reported_and_so_is_whom_it_is_for() {
        let mut dataset = new_workitem();
        assert_eq!(kinds(&of_creation(&uid(), &dataset)), [1]);
        dataset.set(sequence(
            SCHEDULED_HUMAN_PERFORMERS_SEQUENCE,
            vec![performer("anna"), performer("boris")],
        ));
        let reports = of_creation(&uid(), &dataset);
        assert_eq!(kinds(&reports), [1, 5]);
        let codes = items(&reports[1].information, HUMAN_PERFORMER_CODE_SEQUENCE);
        assert_eq!(codes.len(), 2);
    }

    #[test]
    fn an_update_is_reported_by_what_it_changes() {
        let before = new_workitem();
        let mut after = before.clone();
        assert!(of_update(&uid(), &before, &after).is_empty());
        after.set(text(INPUT_READINESS_STATE, VR::CS, "INCOMPLETE"));
        assert_eq!(kinds(&of_update(&uid(), &before, &after)), [1]);
        after.set(sequence(
            SCHEDULED_HUMAN_PERFORMERS_SEQUENCE,
            vec![performer("anna")],
        ));
        after.set(sequence(
            PROGRESS_INFORMATION_SEQUENCE,
            vec![Dataset::default()],
        ));
        assert_eq!(kinds(&of_update(&uid(), &before, &after)), [1, 5, 3]);
    }

    #[test]
    fn a_request_to_cancel_tells_who_asks_and_what_was_said() {
        let mut request = Dataset::default();
        request.set(text(REASON_FOR_CANCELLATION, VR::LT, "wrong patient"));
        request.set(text(PROCEDURE_STEP_STATE, VR::CS, "CANCELED"));
        let ae = AeTitle::parse("WARD1").unwrap();
        let report = cancel_requested(&uid(), &ae, &request);
        assert_eq!(report.information.text(REQUESTING_AE), Some("WARD1"));
        assert_eq!(
            report.information.text(REASON_FOR_CANCELLATION),
            Some("wrong patient")
        );
        assert!(report.information.get(PROCEDURE_STEP_STATE).is_none());
    }
}
