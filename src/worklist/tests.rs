//! The worklist over the ledger in SQLite: what requests come to, who is told, and that nothing else happens.

mod asked;
mod kept;
mod looking;
mod subscribing;

use std::sync::{Arc, Mutex};

use dicom_core::{Tag, VR};

use super::attributes::Fault;
use super::elements::{code, empty, has_value, items, sequence, text};
use super::event::{Courier, EventReport, ScpStatus};
use super::search::filter_keys;
use super::state::Refusal;
use super::tags::*;
use super::*;
use crate::access::ledger::AuditLedger;
use crate::db::Ledger;

/// What a client has to send at least.
pub(crate) fn new_workitem() -> Dataset {
    let mut dataset = Dataset::default();
    for (tag, vr, value) in [
        (PRIORITY, VR::CS, "MEDIUM"),
        (Tag(0x0074, 0x1204), VR::LO, "Second opinion: CT chest"),
        (START_DATE_TIME, VR::DT, "20240105101500"),
        (INPUT_READINESS_STATE, VR::CS, "READY"),
        (PROCEDURE_STEP_STATE, VR::CS, "SCHEDULED"),
        (PATIENT_ID, VR::LO, "P1"),
        (STUDY_INSTANCE_UID, VR::UI, "1.2.3"),
    ] {
        dataset.set(text(tag, vr, value));
    }
    dataset
}

/// Remembers what it was given: receiver, event type, state.
#[derive(Default)]
struct Recorder(Mutex<Vec<(String, u16, String)>>);

impl Courier for Recorder {
    fn carry(&self, receiving_ae: &AeTitle, report: &EventReport) {
        let state = report.information.text(PROCEDURE_STEP_STATE);
        self.0.lock().unwrap().push((
            receiving_ae.to_string(),
            report.event_type.id(),
            state.unwrap_or_default().to_owned(),
        ));
    }

    fn forget(&self, receiving_ae: &AeTitle) {
        let of_others = |(ae, ..): &(String, u16, String)| *ae != receiving_ae.to_string();
        self.0.lock().unwrap().retain(of_others);
    }
}

impl Recorder {
    /// What came since the last call, as `AE 1 SCHEDULED`.
    fn told(&self) -> Vec<String> {
        let taken = std::mem::take(&mut *self.0.lock().unwrap());
        let line = |(ae, id, state): (String, u16, String)| format!("{ae} {id} {state}");
        taken
            .into_iter()
            .map(line)
            .map(|line| line.trim_end().to_owned())
            .collect()
    }
}

struct House {
    worklist: Worklist,
    ledger: Arc<Ledger>,
    recorder: Arc<Recorder>,
    _folder: tempfile::TempDir,
}

fn open() -> House {
    let folder = tempfile::tempdir().unwrap();
    let ledger = Arc::new(Ledger::open(&folder.path().join("ledger.sqlite"), 2).unwrap());
    let recorder = Arc::new(Recorder::default());
    House {
        worklist: Worklist::new(ledger.clone(), recorder.clone()),
        ledger,
        recorder,
        _folder: folder,
    }
}

fn uid(text: &str) -> Uid {
    Uid::parse(text).unwrap()
}

fn ae(text: &str) -> AeTitle {
    AeTitle::parse(text).unwrap()
}

fn caller() -> Caller {
    Caller {
        scope: Scope::All,
        actor: Actor {
            name: "anonymous".into(),
            ..Actor::default()
        },
        reader: None,
        only: None,
        may_change: true,
        ae: Some(ae("CALLER")),
    }
}

fn of_studies(studies: &[&str]) -> Caller {
    Caller {
        scope: Scope::of(studies.iter().map(|study| uid(study))),
        ..caller()
    }
}

fn subscriber(name: &str, lock: DeletionLock) -> Subscriber {
    Subscriber { ae: ae(name), lock }
}

fn performed() -> Dataset {
    let mut done = Dataset::default();
    for tag in [
        PERFORMED_STATION_NAME_CODE_SEQUENCE,
        PERFORMED_WORKITEM_CODE_SEQUENCE,
    ] {
        done.set(sequence(tag, vec![code("110005", "DCM", "Interpretation")]));
    }
    for tag in [PERFORMED_START_DATE_TIME, PERFORMED_END_DATE_TIME] {
        done.set(text(tag, VR::DT, "20240105120000"));
    }
    done.set(empty(OUTPUT_INFORMATION_SEQUENCE, VR::SQ));
    let mut update = Dataset::default();
    update.set(sequence(PERFORMED_PROCEDURE_SEQUENCE, vec![done]));
    update
}

fn reason() -> Dataset {
    let mut why = Dataset::default();
    why.set(sequence(
        DISCONTINUATION_REASON_CODE_SEQUENCE,
        vec![code("110513", "DCM", "Discontinued for unspecified reason")],
    ));
    let mut update = Dataset::default();
    update.set(sequence(PROGRESS_INFORMATION_SEQUENCE, vec![why]));
    update
}

impl House {
    /// A workitem in a state, claimed with 1.9 unless it is SCHEDULED.
    fn made(&self, name: &str, state: State) -> Uid {
        let uid = uid(name);
        let claim = Uid::parse("1.9").unwrap();
        let worklist = &self.worklist;
        worklist.create(&uid, new_workitem(), &caller()).unwrap();
        if state == State::Scheduled {
            return uid;
        }
        let change = |state| worklist.change_state(&uid, state, Some(&claim), &caller());
        change(State::InProgress).unwrap();
        let update = match state {
            State::Completed => performed(),
            State::Canceled => reason(),
            _ => return uid,
        };
        worklist
            .update(&uid, Some(&claim), update, &caller())
            .unwrap();
        change(state).unwrap();
        uid
    }

    fn state(&self, uid: &Uid) -> State {
        self.worklist.retrieve(uid, &caller()).unwrap().state
    }

    fn dataset(&self, uid: &Uid) -> Dataset {
        let workitem = self.worklist.retrieve(uid, &caller()).unwrap();
        workitem.dataset().unwrap()
    }
}

#[test]
fn every_pair_of_state_and_request_comes_to_what_the_table_says() {
    use super::state::{Transaction, Verdict};
    let house = open();
    let mut number = 0;
    for state in State::ALL {
        for to in State::ALL {
            for transaction in [Transaction::Right, Transaction::Wrong, Transaction::Missing] {
                // A claim of what nobody has claimed has no wrong Transaction UID.
                if (state, transaction) == (State::Scheduled, Transaction::Wrong) {
                    continue;
                }
                number += 1;
                let uid = house.made(&format!("2.25.{number}"), state);
                let given = match transaction {
                    Transaction::Right => Some(Uid::parse("1.9").unwrap()),
                    Transaction::Wrong => Some(Uid::parse("1.8").unwrap()),
                    Transaction::Missing => None,
                };
                let before = house.worklist.retrieve(&uid, &caller()).unwrap();
                let changed = house
                    .worklist
                    .change_state(&uid, to, given.as_ref(), &caller());
                let context = format!("{state} to {to}, {transaction:?}");
                match verdict(Request::Change(to, transaction), Some(state)) {
                    Verdict::Become(to) => {
                        assert!(matches!(changed, Ok(None)), "{context}");
                        assert_eq!(house.state(&uid), to, "{context}");
                    }
                    Verdict::Finish(_) => {
                        assert!(matches!(changed, Err(Error::Unfinished(_))), "{context}");
                        assert_eq!(house.state(&uid), state, "{context}");
                    }
                    Verdict::Already(_) => assert!(matches!(changed, Ok(Some(_))), "{context}"),
                    Verdict::Refuse(refusal) => {
                        assert!(
                            matches!(changed, Err(Error::Refused(found)) if found == refusal),
                            "{context}"
                        );
                        let after = house.worklist.retrieve(&uid, &caller()).unwrap();
                        assert_eq!(after, before, "{context}");
                    }
                    Verdict::CancelNow | Verdict::Tell => panic!("{context}"),
                }
            }
        }
    }
    let unknown = Uid::parse("2.25.99999").unwrap();
    for to in State::ALL {
        let changed = house.worklist.change_state(&unknown, to, None, &caller());
        assert!(matches!(changed, Err(Error::NotFound)));
    }
}

#[test]
fn of_many_claims_at_once_exactly_one_wins() {
    let house = open();
    for round in 0..20 {
        let uid = house.made(&format!("2.25.1{round}"), State::Scheduled);
        let winners: Vec<bool> = std::thread::scope(|threads| {
            let claims: Vec<_> = (0..8)
                .map(|claimer| {
                    let (worklist, uid) = (house.worklist.clone(), uid.clone());
                    threads.spawn(move || {
                        let claim = Uid::parse(&format!("1.3.{claimer}")).unwrap();
                        let state = State::InProgress;
                        worklist
                            .change_state(&uid, state, Some(&claim), &caller())
                            .is_ok()
                    })
                })
                .collect();
            claims
                .into_iter()
                .map(|claim| claim.join().unwrap())
                .collect()
        });
        assert_eq!(winners.iter().filter(|won| **won).count(), 1);
        let kept = house.worklist.retrieve(&uid, &caller()).unwrap();
        let winner = winners.iter().position(|won| *won).unwrap();
        assert_eq!(
            kept.transaction_uid.unwrap().as_str(),
            format!("1.3.{winner}")
        );
    }
}

#[test]
fn a_revision_is_replaced_once_whoever_else_writes() {
    let house = open();
    let uid = house.made("2.25.1", State::Scheduled);
    let kept = house.worklist.retrieve(&uid, &caller()).unwrap();
    let changed = kept.changed(&kept.dataset().unwrap()).unwrap();
    let audit = house
        .worklist
        .audit(&caller(), ActionCode::Update, &changed);
    let before = house.ledger.audit_head().unwrap().id;
    assert!(house.ledger.replace_workitem(&changed, &audit).unwrap());
    assert!(!house.ledger.replace_workitem(&changed, &audit).unwrap());
    assert_eq!(
        house.ledger.audit_head().unwrap().id,
        before + 1,
        "what did not happen has no row"
    );
}

#[test]
fn creating_fills_in_what_is_ours_and_refuses_what_is_wrong() {
    let house = open();
    let name = uid("2.25.1");
    let create = |dataset| house.worklist.create(&name, dataset, &caller());
    let with = |element| {
        let mut dataset = new_workitem();
        dataset.set(element);
        dataset
    };
    assert!(matches!(
        create(with(text(TRANSACTION_UID, VR::UI, "1.9"))),
        Err(Error::Invalid(Fault::TooSoon(_)))
    ));
    assert!(matches!(
        create(with(text(SOP_INSTANCE_UID, VR::UI, "1.9"))),
        Err(Error::Invalid(Fault::Differs(_)))
    ));
    assert!(matches!(
        create(with(text(SOP_CLASS_UID, VR::UI, "1.9"))),
        Err(Error::Invalid(Fault::Differs(_)))
    ));
    let large = "x".repeat(WORKITEM_BYTES_MAX);
    assert!(matches!(
        create(with(text(Tag(0x0040, 0x0400), VR::LT, &large))),
        Err(Error::TooLarge)
    ));
    let bulk = crate::dicom::dataset::Element {
        tag: Tag(0x0042, 0x0011),
        vr: VR::OB,
        value: crate::dicom::dataset::Value::Bulk("http://elsewhere/".into()),
    };
    assert!(matches!(
        create(with(bulk)),
        Err(Error::Invalid(Fault::Bulk(_)))
    ));
    assert!(matches!(
        house.worklist.retrieve(&name, &caller()),
        Err(Error::NotFound)
    ));

    let hollow = with(empty(TRANSACTION_UID, VR::UI));
    assert_eq!(create(hollow).unwrap(), Some(Warning::Created));
    let kept = house.dataset(&name);
    assert_eq!(kept.text(SOP_CLASS_UID), Some(UPS_PUSH));
    assert_eq!(kept.text(SOP_INSTANCE_UID), Some("2.25.1"));
    assert_eq!(kept.text(WORKLIST_LABEL), Some(LABEL));
    assert!(has_value(&kept, MODIFICATION_DATE_TIME));
    assert!(kept.get(TRANSACTION_UID).is_none());
    assert!(matches!(
        create(new_workitem()),
        Err(Error::Refused(Refusal::Exists))
    ));
}

#[test]
fn updates_replace_whole_sequences_and_all_or_nothing() {
    let house = open();
    let name = house.made("2.25.1", State::Scheduled);
    let mut update = Dataset::default();
    let codes = vec![code("1", "99X", "one"), code("2", "99X", "two")];
    update.set(sequence(SCHEDULED_STATION_NAME_CODE_SEQUENCE, codes));
    house
        .worklist
        .update(&name, None, update.clone(), &caller())
        .unwrap();
    assert_eq!(
        items(&house.dataset(&name), SCHEDULED_STATION_NAME_CODE_SEQUENCE).len(),
        2
    );
    update.set(sequence(
        SCHEDULED_STATION_NAME_CODE_SEQUENCE,
        vec![code("3", "99X", "three")],
    ));
    update.set(text(PROCEDURE_STEP_STATE, VR::CS, "IN PROGRESS"));
    let refused = house
        .worklist
        .update(&name, None, update.clone(), &caller());
    assert!(matches!(refused, Err(Error::Invalid(Fault::Fixed(_)))));
    assert_eq!(
        items(&house.dataset(&name), SCHEDULED_STATION_NAME_CODE_SEQUENCE).len(),
        2,
        "nothing of it was done"
    );
    update.remove(PROCEDURE_STEP_STATE);
    house
        .worklist
        .update(&name, None, update.clone(), &caller())
        .unwrap();
    assert_eq!(
        items(&house.dataset(&name), SCHEDULED_STATION_NAME_CODE_SEQUENCE).len(),
        1
    );
    let claim = uid("1.9");
    let tried = house
        .worklist
        .update(&name, Some(&claim), update.clone(), &caller());
    assert!(matches!(tried, Err(Error::Refused(Refusal::NotInProgress))));
    house
        .worklist
        .change_state(&name, State::InProgress, Some(&claim), &caller())
        .unwrap();
    let without = house
        .worklist
        .update(&name, None, update.clone(), &caller());
    assert!(matches!(
        without,
        Err(Error::Refused(Refusal::TransactionMissing))
    ));
    let other = house
        .worklist
        .update(&name, Some(&uid("1.8")), update.clone(), &caller());
    assert!(matches!(
        other,
        Err(Error::Refused(Refusal::TransactionWrong))
    ));
    house
        .worklist
        .update(&name, Some(&claim), update, &caller())
        .unwrap();
}

#[test]
fn canceling_says_when_and_why() {
    let house = open();
    let name = house.made("2.25.1", State::Canceled);
    let progress = house.dataset(&name);
    let first = &items(&progress, PROGRESS_INFORMATION_SEQUENCE)[0];
    assert!(has_value(first, CANCELLATION_DATE_TIME));

    let name = house.made("2.25.2", State::Scheduled);
    let watcher = subscriber("WATCH", DeletionLock::None);
    let target = Target::Workitem(name.clone());
    house
        .worklist
        .subscribe(&target, &watcher, &caller())
        .unwrap();
    house.recorder.told();
    let mut request = Dataset::default();
    request.set(text(REASON_FOR_CANCELLATION, VR::LT, "asked twice"));
    let cancel = || {
        house
            .worklist
            .request_cancellation(&name, &request, &ae("WARD"), &caller())
    };
    assert!(matches!(cancel(), Ok(None)));
    assert_eq!(
        house.recorder.told(),
        ["WATCH 1 IN PROGRESS", "WATCH 1 CANCELED"]
    );
    let progress = house.dataset(&name);
    let first = &items(&progress, PROGRESS_INFORMATION_SEQUENCE)[0];
    assert_eq!(first.text(REASON_FOR_CANCELLATION), Some("asked twice"));
    assert!(has_value(first, DISCONTINUATION_REASON_CODE_SEQUENCE));
    assert_eq!(cancel().unwrap(), Some(Warning::AlreadyCanceled));
    assert!(house.recorder.told().is_empty());
}
