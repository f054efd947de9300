//! What is told of an inbox over an archive in memory and a ledger on disk: to whom, and how far it looks.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use dicom_core::{Tag, VR};

use super::arrived::look;
use super::belonging::{Belonging, belonging};
use super::*;
use crate::access::account::AccountName;
use crate::access::audit::{ActionCode, Actor, AuditRecord, Event};
use crate::access::grant::NewGrant;
use crate::access::inbox::{NO_CASE, Purpose};
use crate::access::secret::Secret;
use crate::access::{Grant, GrantLedger as _, Holder, Right, View};
use crate::archive::{Archive, Declared, Door, IngestSettings, Origin};
use crate::db::{self, Ledger};
use crate::dicom::dataset::{Element, Value};
use crate::dicom::{Dataset, Uid, encode};
use crate::store;

const CT: &str = "1.2.840.10008.5.1.4.1.1.2";
const PDF: &str = "1.2.840.10008.5.1.4.1.1.104.1";

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

/// Stores an instance, whose number is also that of its series.
fn store_of(archive: &Archive, sender: &str, study: &Uid, (number, class): (u32, &str)) {
    store_in(archive, sender, (study, number), (number, class));
}

fn store_in(
    archive: &Archive,
    sender: &str,
    (study, series): (&Uid, u32),
    (number, class): (u32, &str),
) {
    let mut dataset = Dataset::default();
    for (tag, vr, value) in [
        (Tag(0x0008, 0x0016), VR::UI, class),
        (Tag(0x0008, 0x0018), VR::UI, &format!("{study}.1.{number}")),
        (Tag(0x0008, 0x1030), VR::LO, &format!("Image {number}")),
        (Tag(0x0010, 0x0010), VR::PN, "Muster^Maria"),
        (Tag(0x0020, 0x000D), VR::UI, study.as_str()),
        (Tag(0x0020, 0x000E), VR::UI, &format!("{study}.{series}")),
    ] {
        let value = Value::Bytes(value.as_bytes().to_vec());
        dataset.set(Element { tag, vr, value });
    }
    let origin = Origin {
        door: Door::Stow,
        sender: sender.into(),
        peer: "".into(),
    };
    let syntax = Uid::parse("1.2.840.10008.1.2.1").unwrap();
    let begun = archive.receive_dataset(origin, &syntax, Declared::default());
    let mut incoming = begun.unwrap();
    incoming.write(&encode::encode(&dataset).unwrap()).unwrap();
    incoming.finish().unwrap();
}

fn uid(text: &str) -> Uid {
    Uid::parse(text).unwrap()
}

/// The grant of an inbox by which these studies came.
fn made(ledger: &Ledger, studies: &[&Uid]) -> Grant {
    let event = Event::SecurityAlert;
    let audit = AuditRecord::new(event, ActionCode::Update, Actor::default(), 1);
    let digest = Secret::new().unwrap().digest();
    let studies: BTreeMap<_, _> = studies
        .iter()
        .map(|study| ((*study).clone(), View::Whole))
        .collect();
    let new = NewGrant {
        case: NO_CASE,
        holder: Holder::Inbox { digest },
        studies,
        not_before_ms: 10,
        expires_ms: 100,
        opens_max: None,
        right: Right::View,
        label: String::new(),
        issued_ms: 5,
        inbox: Some(("rita".into(), Purpose::default())),
    };
    let id = ledger.add_grant(&new, &audit).unwrap();
    crate::access::InboxLedger::inbox(ledger, id)
        .unwrap()
        .unwrap()
        .grant
}

fn ledger() -> (Ledger, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(&folder.path().join("ledger.sqlite"), 1).unwrap();
    (ledger, folder)
}

#[test]
fn no_more_is_looked_at_than_may_be_and_what_is_not_is_told() {
    let (archive, (ledger, _folder)) = (archive(), ledger());
    let [first, second, third] = ["2.25.1", "2.25.2", "2.25.3"].map(uid);
    let grant = made(&ledger, &[&first, &second, &third]);
    let us = AccountName::of_link(grant.id);
    for number in [1, 2] {
        store_of(&archive, us.as_str(), &first, (number, CT));
    }
    for (number, sender) in [(1, us.as_str()), (2, "scanner"), (3, "scanner")] {
        store_of(&archive, sender, &second, (number, CT));
    }
    store_of(&archive, us.as_str(), &third, (1, CT));
    let told = |max| {
        let came = look(&archive, &grant, (max, 100)).unwrap();
        let studies = came.studies.iter();
        let mut studies: Vec<_> = studies
            .map(|came| (came.study.study_instance_uid.clone(), came.instances))
            .collect();
        studies.sort();
        (studies, came.not_looked_at)
    };
    let (one, two, three) = (first.clone(), second.clone(), third.clone());
    // What others brought is looked at too, and not told.
    assert_eq!(
        told(6),
        (
            vec![(one.clone(), 2), (two.clone(), 1), (three.clone(), 1)],
            vec![]
        )
    );
    assert_eq!(
        told(5),
        (vec![(one.clone(), 2), (two, 1)], vec![three.clone()])
    );
    // Half of a study is nothing that could be called complete.
    for max in [2, 3, 4] {
        assert_eq!(
            told(max),
            (vec![(one.clone(), 2)], vec![second.clone(), third.clone()])
        );
    }
    for max in [0, 1] {
        assert_eq!(
            told(max),
            (vec![], vec![one.clone(), second.clone(), third.clone()])
        );
    }
}

#[test]
fn a_series_that_is_too_long_does_not_look_complete() {
    let (archive, (ledger, _folder)) = (archive(), ledger());
    let [first, second] = ["2.25.1", "2.25.2"].map(uid);
    let grant = made(&ledger, &[&first, &second]);
    let us = AccountName::of_link(grant.id);
    // Each instance is a series of its own, but for those of the first study.
    for number in [1, 2, 3] {
        store_in(&archive, us.as_str(), (&first, 7), (number, CT));
        store_of(&archive, us.as_str(), &second, (number, CT));
    }
    for (max, expected) in [(3, vec![]), (2, vec![first.clone()])] {
        let came = look(&archive, &grant, (100, max)).unwrap();
        assert_eq!(came.not_looked_at, expected);
        assert_eq!(came.studies.len(), 2 - expected.len());
    }
}

#[test]
fn papers_belong_to_what_came_by_the_inbox() {
    let (archive, (ledger, _folder)) = (archive(), ledger());
    let [first, second, empty, foreign] = ["2.25.1", "2.25.2", "2.25.3", "2.25.4"].map(uid);
    let grant = made(&ledger, &[&first, &second, &empty]);
    let alone = made(&ledger, &[&empty]);
    let us = AccountName::of_link(grant.id);
    store_of(&archive, "scanner", &first, (1, CT));
    store_of(&archive, us.as_str(), &first, (2, PDF));
    store_of(&archive, us.as_str(), &first, (3, CT));
    store_of(&archive, us.as_str(), &first, (4, CT));
    let now = || jiff::Timestamp::now().as_millisecond();
    let before = now();
    while now() == before {
        std::hint::spin_loop();
    }
    store_of(&archive, us.as_str(), &second, (5, PDF));
    store_of(&archive, "scanner", &empty, (6, CT));
    store_of(&archive, us.as_str(), &foreign, (7, CT));
    let told = |grant: &Grant, chosen, max| match belonging(&archive, grant, chosen, max).unwrap() {
        Belonging::Study(study) => study.study_description,
        Belonging::Nothing => "nothing".into(),
        Belonging::TooMuch => "too much".into(),
    };
    // The first image of its sender, and no further: after three of four instances.
    assert_eq!(told(&grant, Some(&first), 3), "Image 3");
    assert_eq!(told(&grant, Some(&second), 1), "Image 5");
    assert_eq!(told(&grant, Some(&first), 1), "too much");
    // Of what has not come, or not by this inbox, none is chosen: it is the one that came last.
    for chosen in [None, Some(&empty), Some(&foreign)] {
        assert_eq!(told(&grant, chosen, 100), "Image 5");
    }
    assert_eq!(told(&grant, None, 5), "too much");
    assert_eq!(told(&alone, None, 100), "nothing");
}

#[test]
fn a_page_of_inboxes_is_full_or_the_last() {
    let (ledger, _folder) = ledger();
    let [mine, other] = ["2.25.1", "2.25.2"].map(uid);
    let mut known = Vec::new();
    for place in 0..20 {
        let study = if place % 5 == 0 { &mine } else { &other };
        let id = made(&ledger, &[study]).id;
        if place % 5 == 0 {
            known.insert(0, id);
        }
    }
    let caller = Caller {
        name: "root".into(),
        requests: true,
        works: false,
        administers: true,
        sees_reports: false,
        is_anyone: false,
        studies: Some(Arc::new(BTreeSet::from([mine]))),
        actor: Actor::default(),
        at_ms: 50,
    };
    for limit in [1, 2, 3, 10] {
        let (mut pages, mut before) = (Vec::new(), None);
        loop {
            let page = list(&ledger, &caller, before, limit).unwrap();
            let page: Vec<_> = page.iter().map(|inbox| inbox.grant.id).collect();
            before = page.last().copied();
            let is_last = page.len() < limit;
            pages.extend(page);
            if is_last {
                break;
            }
        }
        assert_eq!(pages, known, "{limit}");
    }
    let everybody = Caller {
        studies: None,
        ..caller
    };
    assert_eq!(list(&ledger, &everybody, None, 7).unwrap().len(), 7);
}
