//! The one ingest path over every pair of shelves: what becomes of an instance, and that nothing
//! remains of one that was refused.

#![expect(clippy::unwrap_used, reason = "a test ends with its first failure")]

mod commits;
mod house;

use overread::access::Scope;
use overread::archive::{
    Declared, DuplicatePolicy, Error, IngestSettings, Outcome, PatientConflictPolicy,
    QuarantineReason, Receipt, Refusal, Target,
};

use house::*;

#[test]
fn stored_bytes_come_back_as_they_were() {
    on_every_shelf(&settings(), |house| {
        for (n, size) in [0usize, 1, 999, 60_000, 70_000, 5_000_000]
            .into_iter()
            .enumerate()
        {
            let bytes = image(
                "1.2.3",
                &format!("1.2.3.1.{n}"),
                ("P1", "Doe^Jane"),
                &vec![7; size],
            );
            assert_eq!(house.store(&bytes), Outcome::Stored, "{size}");
            assert!(house.held("1.2.3").contains(&bytes), "{size}");
        }
        assert_eq!(house.instances(), 6);
        let report = house.archive.check(true, &mut |_| ()).unwrap();
        assert_eq!((report.blobs, report.problems.len()), (6, 0));
    });
}

#[test]
fn the_same_bytes_again_are_already_stored() {
    on_every_shelf(&settings(), |house| {
        let bytes = image("1.2.3", "1.2.3.1.1", ("P1", "Doe^Jane"), b"pixels");
        assert_eq!(house.store(&bytes), Outcome::Stored);
        assert_eq!(house.store(&bytes), Outcome::AlreadyStored);
        assert_eq!(house.instances(), 1);
        assert_eq!(house.held("1.2.3"), [bytes]);
    });
}

#[test]
fn other_bytes_under_the_same_uid_go_to_quarantine() {
    on_every_shelf(&settings(), |house| {
        let first = image("1.2.3", "1.2.3.1.1", ("P1", "Doe^Jane"), b"first");
        let second = image("1.2.3", "1.2.3.1.1", ("P1", "Doe^Janet"), b"second");
        house.store(&first);
        let Outcome::Quarantined { id, reason } = house.store(&second) else {
            panic!("not quarantined")
        };
        assert_eq!(reason, QuarantineReason::Duplicate);
        assert_eq!(
            house.store(&second),
            Outcome::Quarantined { id, reason },
            "held back once"
        );
        assert_eq!(house.held("1.2.3"), std::slice::from_ref(&first));
        let entry = house.archive.quarantined_one(&Scope::All, id).unwrap();
        assert!(
            entry.differences.iter().any(|d| &*d.path == "00100010"),
            "{:?}",
            entry.differences
        );

        assert_eq!(
            house.archive.accept(&Scope::All, id).unwrap(),
            Outcome::Replaced
        );
        assert_eq!(house.held("1.2.3"), std::slice::from_ref(&second));
        let displaced = house.archive.quarantined(&Scope::All, 0, 10).unwrap();
        assert_eq!(displaced.len(), 1);
        assert_eq!(displaced[0].reason, QuarantineReason::Displaced);
        house.archive.accept(&Scope::All, displaced[0].id).unwrap();
        assert_eq!(house.held("1.2.3"), [first], "accepting can be undone");

        let last = house.archive.quarantined(&Scope::All, 0, 10).unwrap();
        house.archive.reject(&Scope::All, last[0].id).unwrap();
        assert!(
            house
                .archive
                .quarantined(&Scope::All, 0, 10)
                .unwrap()
                .is_empty()
        );
        assert_eq!(
            (
                house.instances(),
                house.archive.totals().unwrap().quarantined
            ),
            (1, 0)
        );
    });
}

#[test]
fn keep_first_and_replace_do_as_they_say() {
    let first = image("1.2.3", "1.2.3.1.1", ("P1", "Doe^Jane"), b"first");
    let second = image("1.2.3", "1.2.3.1.1", ("P1", "Doe^Jane"), b"second");
    let keep = IngestSettings {
        duplicate: DuplicatePolicy::KeepFirst,
        ..settings()
    };
    on_every_shelf(&keep, |house| {
        house.store(&first);
        assert_eq!(house.store(&second), Outcome::KeptFirst);
        assert_eq!(house.held("1.2.3"), std::slice::from_ref(&first));
    });
    let replace = IngestSettings {
        duplicate: DuplicatePolicy::Replace,
        ..settings()
    };
    on_every_shelf(&replace, |house| {
        house.store(&first);
        assert_eq!(house.store(&second), Outcome::Replaced);
        assert_eq!(house.held("1.2.3"), std::slice::from_ref(&second));
        assert_eq!(house.instances(), 1);
    });
}

#[test]
fn a_study_under_another_patient_is_held_back_or_listed() {
    let first = image("1.2.3", "1.2.3.1.1", ("P1", "Doe^Jane"), b"first");
    let other = image("1.2.3", "1.2.3.1.2", ("P2", "Roe^Ann"), b"other");
    let spelling = image("1.2.3", "1.2.3.1.3", ("P1", "DOE^JANE^"), b"same patient");
    on_every_shelf(&settings(), |house| {
        house.store(&first);
        assert_eq!(house.store(&spelling), Outcome::Stored);
        let Outcome::Quarantined { id, reason } = house.store(&other) else {
            panic!("not quarantined")
        };
        assert_eq!(reason, QuarantineReason::PatientConflict);
        assert_eq!(house.instances(), 2);
        assert_eq!(
            house.archive.accept(&Scope::All, id).unwrap(),
            Outcome::Stored
        );
        assert_eq!(house.instances(), 3);
        assert_eq!(
            house
                .archive
                .accepted_conflicts(&Scope::All, 10)
                .unwrap()
                .len(),
            1
        );
    });
    let accept = IngestSettings {
        patient_conflict: PatientConflictPolicy::Accept,
        ..settings()
    };
    on_every_shelf(&accept, |house| {
        house.store(&first);
        assert_eq!(house.store(&other), Outcome::StoredInConflict);
        let conflicts = house.archive.accepted_conflicts(&Scope::All, 10).unwrap();
        assert_eq!(conflicts.len(), 1);
        assert_eq!(conflicts[0].sop_instance_uid, uid("1.2.3.1.2"));
        assert!(
            house
                .archive
                .accepted_conflicts(&Scope::Nothing, 10)
                .unwrap()
                .is_empty()
        );
    });
}

#[test]
fn what_is_refused_leaves_nothing() {
    on_every_shelf(&settings(), |house| {
        let whole = image("1.2.3", "1.2.3.1.1", ("P1", "Doe^Jane"), &[7; 100_000]);
        let check = |result: Result<Receipt, Error>, what: &str| {
            assert!(
                matches!(result, Err(Error::Refused(_))),
                "{what}: {result:?}"
            );
        };
        check(
            house.send(&whole[..whole.len() - 1], Declared::default()),
            "cut off in the pixels",
        );
        check(
            house.send(&whole[..50], Declared::default()),
            "cut off in the header",
        );
        check(house.send(b"", Declared::default()), "empty");
        check(
            house.send(
                &image("1.2.3", "1.02.3", ("P1", "Doe"), b"x"),
                Declared::default(),
            ),
            "malformed UID",
        );
        for (keyword, declared) in [
            (
                "SOPClassUID",
                Declared {
                    sop_class_uid: Some(uid("1.2.840.10008.5.1.4.1.1.2")),
                    ..Declared::default()
                },
            ),
            (
                "SOPInstanceUID",
                Declared {
                    sop_instance_uid: Some(uid("1.9")),
                    ..Declared::default()
                },
            ),
            (
                "StudyInstanceUID",
                Declared {
                    study_instance_uid: Some(uid("1.9")),
                    ..Declared::default()
                },
            ),
        ] {
            let result = house.send(&whole, declared);
            let Err(Error::Refused(Refusal::Mismatch { keyword: told })) = result else {
                panic!("{result:?}")
            };
            assert_eq!(told, keyword);
        }
        let too_large = image("1.2.3", "1.2.3.1.1", ("P1", "Doe^Jane"), &vec![0; 17 << 20]);
        let result = house.send(&too_large, Declared::default());
        assert!(
            matches!(
                result,
                Err(Error::TooLarge {
                    limit: "ingest.object_bytes_max",
                    ..
                })
            ),
            "{result:?}"
        );
        let mut dropped = house
            .archive
            .receive_dataset(origin(), &uid(EXPLICIT_LE), Declared::default())
            .unwrap();
        dropped.write(&whole).unwrap();
        drop(dropped);

        let totals = house.archive.totals().unwrap();
        assert_eq!(
            (totals.instances, totals.studies, totals.blob_bytes),
            (0, 0, 0)
        );
        assert_eq!(house.archive.check(true, &mut |_| ()).unwrap().blobs, 0);
        assert_eq!(
            house.store(&whole),
            Outcome::Stored,
            "the archive still takes the whole one"
        );
    });
}

#[test]
fn an_unknown_transfer_syntax_is_refused_before_any_byte() {
    on_every_shelf(&settings(), |house| {
        // JPIP Referenced (PS3.5 §A.6): pixel data elsewhere, not ours to keep.
        let result = house.archive.receive_dataset(
            origin(),
            &uid("1.2.840.10008.1.2.4.94"),
            Declared::default(),
        );
        assert!(matches!(
            result,
            Err(Error::Refused(Refusal::TransferSyntax(_)))
        ));
    });
}

#[test]
fn racing_senders_store_an_instance_once() {
    on_every_shelf(&settings(), |house| {
        let same = image("1.2.3", "1.2.3.1.1", ("P1", "Doe^Jane"), &[7; 50_000]);
        let outcomes: Vec<_> = std::thread::scope(|scope| {
            let senders: Vec<_> = (0..8).map(|_| scope.spawn(|| house.store(&same))).collect();
            senders
                .into_iter()
                .map(|sender| sender.join().unwrap())
                .collect()
        });
        assert_eq!(
            outcomes.iter().filter(|o| **o == Outcome::Stored).count(),
            1,
            "{outcomes:?}"
        );
        assert_eq!(
            outcomes
                .iter()
                .filter(|o| **o == Outcome::AlreadyStored)
                .count(),
            7,
            "{outcomes:?}"
        );
        assert_eq!(house.held("1.2.3"), [same]);
    });
}

#[test]
fn racing_senders_of_different_bytes_keep_both() {
    on_every_shelf(&settings(), |house| {
        let versions: Vec<_> = (0..8u8)
            .map(|n| image("1.2.3", "1.2.3.1.1", ("P1", "Doe^Jane"), &[n; 100]))
            .collect();
        std::thread::scope(|scope| {
            for version in &versions {
                scope.spawn(|| house.store(version));
            }
        });
        assert_eq!(
            (
                house.instances(),
                house.archive.totals().unwrap().quarantined
            ),
            (1, 7)
        );
    });
}

#[test]
fn a_scope_hides_every_other_study() {
    on_every_shelf(&settings(), |house| {
        house.store(&image("1.2.3", "1.2.3.1.1", ("P1", "Doe^Jane"), b"a"));
        house.store(&image("1.2.4", "1.2.4.1.1", ("P1", "Doe^Jane"), b"b"));
        let scope = Scope::of([uid("1.2.3")]);
        let target = |study: &str| Target::Study(uid(study));
        assert_eq!(
            house
                .archive
                .locate(&target("1.2.3"), &scope, None, 10)
                .unwrap()
                .len(),
            1
        );
        assert_eq!(
            house
                .archive
                .locate(&target("1.2.4"), &scope, None, 10)
                .unwrap()
                .len(),
            0
        );
        assert_eq!(
            house.archive.version(&target("1.2.4"), &scope).unwrap(),
            None
        );
        assert!(
            house
                .archive
                .metadata(&target("1.2.4"), &scope, None, 10)
                .unwrap()
                .is_empty()
        );
    });
}

#[test]
fn the_same_bytes_heal_what_was_lost() {
    on_every_shelf(&settings(), |house| {
        let bytes = image("1.2.3", "1.2.3.1.1", ("P1", "Doe^Jane"), &[7; 9000]);
        house.store(&bytes);
        let target = Target::Study(uid("1.2.3"));
        let lost = house
            .archive
            .locate(&target, &Scope::All, None, 1)
            .unwrap()
            .remove(0);
        house.blobs.delete(&[lost.locator]).unwrap();
        assert_eq!(
            house
                .archive
                .check(false, &mut |_| ())
                .unwrap()
                .problems
                .len(),
            1
        );
        assert_eq!(house.store(&bytes), Outcome::Stored);
        assert_eq!(house.held("1.2.3"), std::slice::from_ref(&bytes));
        assert_eq!(
            house
                .archive
                .check(true, &mut |_| ())
                .unwrap()
                .problems
                .len(),
            0
        );
        assert_eq!(
            (house.store(&bytes), house.instances()),
            (Outcome::AlreadyStored, 1)
        );
    });
}

#[test]
fn a_replacement_may_correct_its_own_patient_but_no_other() {
    let replace = IngestSettings {
        duplicate: DuplicatePolicy::Replace,
        ..settings()
    };
    on_every_shelf(&replace, |house| {
        let wrong = image("1.2.3", "1.2.3.1.1", ("P1", "Doe^Jane"), b"a");
        let right = image("1.2.3", "1.2.3.1.1", ("P2", "Doe^Jane"), b"a");
        house.store(&wrong);
        assert_eq!(house.store(&right), Outcome::Replaced);
        assert_eq!(house.held("1.2.3"), std::slice::from_ref(&right));

        let second = image("1.2.3", "1.2.3.1.2", ("P2", "Doe^Jane"), b"b");
        house.store(&second);
        let other = image("1.2.3", "1.2.3.1.2", ("P3", "Roe^Ann"), b"c");
        let outcome = house.store(&other);
        let reason = QuarantineReason::PatientConflict;
        assert!(
            matches!(outcome, Outcome::Quarantined { reason: told, .. } if told == reason),
            "{outcome:?}"
        );
        assert_eq!(house.held("1.2.3"), [right, second]);
        assert_eq!(
            house
                .archive
                .check(true, &mut |_| ())
                .unwrap()
                .problems
                .len(),
            0
        );
    });
}

#[test]
fn what_was_let_through_stays_listed_when_its_replacement_is_held_back() {
    let replace = IngestSettings {
        duplicate: DuplicatePolicy::Replace,
        ..settings()
    };
    on_every_shelf(&replace, |house| {
        house.store(&image("1.2.3", "1.2.3.1.1", ("P1", "Doe^Jane"), b"a"));
        let other = house.store(&image("1.2.3", "1.2.3.1.2", ("P2", "Roe^Ann"), b"b"));
        let Outcome::Quarantined { id, .. } = other else {
            panic!("not quarantined: {other:?}")
        };
        house.archive.accept(&Scope::All, id).unwrap();
        let third = house.store(&image("1.2.3", "1.2.3.1.2", ("P3", "Poe^Eve"), b"c"));
        assert!(matches!(third, Outcome::Quarantined { .. }), "{third:?}");
        let listed = house.archive.accepted_conflicts(&Scope::All, 10).unwrap();
        assert_eq!(listed.len(), 1);
        assert_eq!(listed[0].sop_instance_uid, uid("1.2.3.1.2"));
    });
}
