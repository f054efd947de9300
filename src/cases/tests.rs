//! The deed over the ledger in SQLite, an archive in memory and a worklist: what people and workstations do, what comes of it,
//! and what is refused.

mod ends;
mod notices;
mod opinions;
mod tasks;

use std::sync::{Arc, Barrier};

use dicom_core::{Tag, VR};

use super::grade::{Agreement, Confidence, Significance};
use super::*;
use crate::access::account::{AccountName, NewAccount};
use crate::access::audit::Verifier;
use crate::access::{AccessLedger, AuditLedger, Roles, Scope, View};
use crate::archive::{Declared, Door, IngestSettings, Origin};
use crate::db::Ledger;
use crate::dicom::{Dataset, Uid, encode};
use crate::worklist::elements::{items, text};
use crate::worklist::event::EventReport;
use crate::worklist::state::Refusal as W;
use crate::worklist::{self, Courier};
use crate::{db, store};

const NOW: i64 = 1_800_000_000_000;
const DAY: i64 = 86_400_000;
const CT: &str = "1.2.840.10008.5.1.4.1.1.2";
const SR: &str = "1.2.840.10008.5.1.4.1.1.88.11";

struct Nobody;

impl Courier for Nobody {
    fn carry(&self, _: &AeTitle, _: &EventReport) {}
    fn forget(&self, _: &AeTitle) {}
}

struct House {
    cases: Cases,
    worklist: Worklist,
    ledger: Arc<Ledger>,
    archive: Archive,
    _folder: tempfile::TempDir,
}

fn uid(text: &str) -> Uid {
    Uid::parse(text).unwrap()
}

fn ae() -> AeTitle {
    AeTitle::parse("OVERREAD").unwrap()
}

fn archive() -> Archive {
    let blobs = Arc::new(store::Memory::default());
    Archive::open(
        Arc::new(db::Memory::default()),
        blobs,
        IngestSettings::small(),
    )
    .unwrap()
    .0
}

fn open() -> House {
    let folder = tempfile::tempdir().unwrap();
    let ledger = Arc::new(Ledger::open(&folder.path().join("ledger.sqlite"), 2).unwrap());
    let archive = archive();
    let worklist = Worklist::new(ledger.clone(), Arc::new(Nobody));
    let house = House {
        cases: Cases::new(ledger.clone(), archive.clone(), worklist.clone(), ae()),
        worklist,
        ledger,
        archive,
        _folder: folder,
    };
    for (name, roles) in [
        ("rita", "requester"),
        ("rosa", "requester"),
        ("anna", "reader"),
        ("bert", "reader"),
        ("carl", "reader"),
        ("vera", "viewer"),
    ] {
        let audit = record(&Case::example(), ActionCode::Create, Actor::default(), NOW);
        let new = NewAccount {
            name: AccountName::parse(name).unwrap(),
            roles: Roles::parse(roles).unwrap(),
            passcode: "x".into(),
            email: None,
            created_ms: NOW,
        };
        house.ledger.add_account(&new, &audit).unwrap();
        if ["anna", "bert"].contains(&name) {
            let pools = [Pool::parse("neuro").unwrap()];
            house.ledger.set_pools(name, &pools, &audit).unwrap();
        }
    }
    house.store("1.2.3", "1.2.3.1", CT, "a");
    house.store("1.2.3", "1.2.3.2", CT, "b");
    house.store("1.2.3", "1.2.3.9", SR, "report");
    house.store("1.2.4", "1.2.4.1", CT, "c");
    house
}

fn caller(name: &str) -> Caller {
    Caller {
        name: name.into(),
        requests: name.starts_with('r'),
        works: !name.starts_with('r'),
        administers: name == "root",
        sees_reports: false,
        is_anyone: false,
        studies: None,
        actor: Actor {
            name: name.into(),
            means: "session".into(),
            address: "192.0.2.1".into(),
        },
        at_ms: NOW,
    }
}

fn reader(name: &str) -> Asked {
    Asked::Reader(AccountName::parse(name).unwrap())
}

fn pool() -> Asked {
    Asked::Pool(Pool::parse("neuro").unwrap())
}

fn impression() -> Impression {
    Impression {
        findings: "Ein Wirbel ist gebrochen.".into(),
        impression: "Fracture of L1.".into(),
        recommendation: String::new(),
        key_images: vec![KeyImage {
            study_instance_uid: uid("1.2.3"),
            series_instance_uid: uid("1.2.3.100"),
            sop_instance_uid: uid("1.2.3.1"),
            frames: Vec::new(),
            note: "L1".into(),
        }],
        confidence: Confidence::High,
    }
}

fn differs() -> Comparison {
    Comparison {
        agreement: Some(Agreement::Major),
        significance: Some(Significance::Likely),
        ..Comparison::default()
    }
}

impl House {
    fn store(&self, study: &str, instance: &str, class: &str, words: &str) {
        self.store_of("P1", (study, instance), class, words);
    }

    fn store_of(
        &self,
        patient_id: &str,
        (study, instance): (&str, &str),
        class: &str,
        words: &str,
    ) {
        let mut dataset = Dataset::default();
        for (tag, vr, value) in [
            (Tag(0x0008, 0x0016), VR::UI, class),
            (Tag(0x0008, 0x0018), VR::UI, instance),
            (Tag(0x0008, 0x0060), VR::CS, "CT"),
            (Tag(0x0010, 0x0010), VR::PN, "Muster^Maria"),
            (Tag(0x0010, 0x0020), VR::LO, patient_id),
            (Tag(0x0020, 0x000D), VR::UI, study),
            (Tag(0x0020, 0x000E), VR::UI, &format!("{study}.100")),
            (Tag(0x0020, 0x4000), VR::LT, words),
        ] {
            dataset.set(text(tag, vr, value));
        }
        let origin = Origin {
            door: Door::Import,
            sender: "test".into(),
            peer: "".into(),
        };
        let syntax = uid("1.2.840.10008.1.2.1");
        let mut incoming = self
            .archive
            .receive_dataset(origin, &syntax, Declared::default())
            .unwrap();
        incoming.write(&encode::encode(&dataset).unwrap()).unwrap();
        incoming.finish().unwrap();
    }

    /// A case that has gone out.
    fn opened(&self, readers: &[Asked], change: impl FnOnce(&mut Request)) -> Case {
        let mut request = Case::example().request;
        request.needs_complete = false;
        change(&mut request);
        self.cases
            .open(request, &[], readers, &caller("rita"))
            .unwrap()
    }

    fn signed(&self, number: u64, name: &str) -> Case {
        let by = caller(name);
        self.cases.claim(number, &by).unwrap();
        self.cases.commit(number, impression(), None, &by).unwrap();
        self.cases.sign(number, &differs(), None, &by).unwrap()
    }

    fn state(&self, task: &Task) -> worklist::State {
        self.workitem(task).state
    }

    fn workitem(&self, task: &Task) -> Workitem {
        let ours = self.cases.at_worklist(self.cases.ourselves());
        self.worklist.retrieve(&task.workitem, &ours).unwrap()
    }

    fn details(&self) -> Vec<String> {
        let rows = self.ledger.audit_rows(0, 10_000).unwrap();
        let mut verifier = Verifier::new(self.ledger.audit_head().unwrap());
        rows.iter().for_each(|row| verifier.next(row).unwrap());
        verifier.end().unwrap();
        let told = rows.into_iter().filter(|row| {
            row.record.object.starts_with("case ") && !row.record.who.name.is_empty()
        });
        told.map(|row| format!("{}: {}", row.record.who.name, row.record.detail))
            .collect()
    }
}

use crate::worklist::Workitem;

fn refusal<T: std::fmt::Debug>(result: Result<T, Error>) -> Refusal {
    match result {
        Err(Error::Refused(refusal)) => refusal,
        other => panic!("not refused: {other:?}"),
    }
}

fn is_hidden<T: std::fmt::Debug>(result: Result<T, Error>) -> bool {
    matches!(result, Err(Error::NotFound))
}

#[test]
fn the_story_from_opening_to_closing() {
    let house = open();
    let (rita, anna) = (caller("rita"), caller("anna"));
    let request = Case::example().request;
    let cases = &house.cases;
    let case = cases.open(request, &[], &[reader("anna")], &rita).unwrap();
    assert_eq!((case.number, case.state), (1, State::Open));
    // Before it goes out there is no workitem, and its reader knows of nothing.
    assert!(is_hidden(cases.show(1, &anna)) && is_hidden(cases.claim(1, &anna)));
    assert!(cases.views_of("anna").unwrap().is_empty());
    let case = cases.complete(1, Some(1), &rita).unwrap();
    assert_eq!(house.state(&case.tasks[0]), worklist::State::Scheduled);
    let views = cases.views_of("anna").unwrap();
    assert_eq!(views.get(&uid("1.2.3")), Some(&View::WithoutReports));

    let look = cases.show(1, &anna).unwrap();
    assert!(look.is_blind && look.case.request.first_report.is_empty());
    let case = cases.claim(1, &anna).unwrap();
    assert_eq!(
        (case.state, case.tasks[0].state),
        (State::InReview, TaskState::Claimed)
    );
    assert_eq!(house.state(&case.tasks[0]), worklist::State::InProgress);
    let tag = cases.save_draft(1, r#"{"impression": "Fr"}"#, None, &anna);
    let tag = tag.unwrap();
    assert_eq!(
        &*cases.draft(1, &anna).unwrap().unwrap().body,
        r#"{"impression": "Fr"}"#
    );
    assert_eq!(
        refusal(cases.sign(1, &differs(), None, &anna)),
        Refusal::NotCommitted
    );

    let basis = |tag: &DraftTag| Some(Basis::Draft(tag.clone()));
    let stale = cases.commit(1, impression(), basis(&DraftTag::of(None)), &anna);
    assert!(matches!(stale, Err(Error::DraftChanged)));
    cases.commit(1, impression(), basis(&tag), &anna).unwrap();
    // A mark would be in nothing that is ever said; what else is typed is kept.
    let marked = r#"{"key_images": ["1.2.3/1.2.3.100/1.2.3.1"]}"#;
    assert_eq!(
        refusal(cases.save_draft(1, marked, None, &anna)),
        Refusal::Committed
    );
    let tag = cases.save_draft(1, r#"{"comment": "c"}"#, Some(&tag), &anna);
    let tag = tag.unwrap();
    let stale = cases.sign(1, &differs(), basis(&DraftTag::of(None)), &anna);
    assert!(matches!(stale, Err(Error::DraftChanged)));
    assert_eq!(
        refusal(cases.commit(1, impression(), None, &anna)),
        Refusal::Committed
    );
    let look = cases.show(1, &anna).unwrap();
    assert!(!look.is_blind && look.case.request.first_report == "No fracture.");
    assert_eq!(
        look.commitment.unwrap().impression.impression,
        "Fracture of L1."
    );
    assert_eq!(
        cases.views_of("anna").unwrap().get(&uid("1.2.3")),
        Some(&View::Whole)
    );
    assert!(matches!(
        cases.sign(1, &Comparison::default(), None, &anna),
        Err(Error::Invalid(Fault {
            field: "agreement",
            ..
        }))
    ));
    let case = cases.sign(1, &differs(), basis(&tag), &anna).unwrap();
    assert_eq!(
        (case.state, case.tasks[0].state),
        (State::Answered, TaskState::Signed)
    );
    assert_eq!(house.state(&case.tasks[0]), worklist::State::Completed);
    assert_eq!(
        refusal(cases.sign(1, &differs(), None, &anna)),
        Refusal::Answered
    );

    let look = cases.show(1, &rita).unwrap();
    let [told] = look.opinions.as_slice() else {
        panic!("one opinion")
    };
    assert!(!told.have_images_changed);
    assert_eq!(
        (told.opinion.version, told.opinion.manifest.instances),
        (1, 4)
    );
    assert_eq!(cases.close(1, None, &rita).unwrap().state, State::Closed);
    assert!(cases.views_of("anna").unwrap().is_empty());
    let details = house.details();
    assert_eq!(details[0], "rita: opened; asks anna");
    for told in [
        "rita: complete enough to be read",
        "anna: task 1: wants to claim it",
        "anna: task 1: claimed by anna",
        "anna: task 1: impression committed",
        "rita: closed",
    ] {
        assert_eq!(
            details.iter().filter(|detail| *detail == told).count(),
            1,
            "{told}"
        );
    }
}

#[test]
fn evidence_is_kept_while_a_study_is_as_it_was() {
    let house = open();
    house.store("1.2.3", "1.2.3.70", SR, "a report");
    let look = |scope: &Scope| house.cases.evidence(&uid("1.2.3"), scope).unwrap();
    let blind = Scope::Studies([(uid("1.2.3"), View::WithoutReports)].into());
    let (whole, of_blind) = (look(&Scope::All).unwrap(), look(&blind).unwrap());
    assert!(of_blind.instances < whole.instances);
    assert!(Arc::ptr_eq(&whole, &look(&Scope::All).unwrap()));
    assert!(Arc::ptr_eq(&of_blind, &look(&blind).unwrap()));
    house.store("1.2.3", "1.2.3.71", CT, "late");
    assert_eq!(look(&Scope::All).unwrap().instances, whole.instances + 1);
    assert_eq!(look(&blind).unwrap().instances, of_blind.instances + 1);
    assert!(look(&Scope::Nothing).is_none());
    assert!(look(&Scope::of([uid("1.2.4")])).is_none());
    assert!(
        house
            .cases
            .evidence(&uid("1.2.77"), &Scope::All)
            .unwrap()
            .is_none()
    );
}
