//! The one ingest path over every pair of shelves: what becomes of an instance, and that nothing
//! remains of one that was refused.

#![expect(clippy::unwrap_used, reason = "a test ends with its first failure")]

use std::sync::Arc;

use overread::access::Scope;
use overread::archive::blob::BlobStore;
use overread::archive::index::Index;
use overread::archive::{
    Archive, Coercion, Declared, Door, DuplicatePolicy, Error, IngestSettings, Origin, Outcome,
    PatientConflictPolicy, QuarantineReason, Receipt, Refusal, Target,
};
use overread::dicom::Uid;
use overread::dicom::walk::Limits;
use overread::{db, store};

const EXPLICIT_LE: &str = "1.2.840.10008.1.2.1";

/// An archive and what keeps its directory alive.
struct House {
    archive: Archive,
    blobs: Arc<dyn BlobStore>,
    _dir: tempfile::TempDir,
}

fn settings() -> IngestSettings {
    IngestSettings {
        duplicate: DuplicatePolicy::Quarantine,
        patient_conflict: PatientConflictPolicy::Quarantine,
        buffer_bytes_max: 64 << 10,
        free_bytes_min: 0,
        limits: Limits {
            value_bytes_max: 1 << 16,
            depth_max: 64,
            metadata_bytes_max: 4 << 20,
            fragments_max: 100_000,
            object_bytes_max: 16 << 20,
            inline_bytes_max: 4096,
        },
        coercion: Coercion::default(),
        forwarding: std::sync::Arc::default(),
        made_bytes_max: 1 << 20,
    }
}

/// Runs a test over memory and over SQLite with the file system.
fn on_every_shelf(settings: &IngestSettings, test: impl Fn(&House)) {
    for is_durable in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let (index, blobs): (Arc<dyn Index>, Arc<dyn BlobStore>) = if is_durable {
            (
                Arc::new(db::Sqlite::open(&dir.path().join("index.sqlite"), 2).unwrap()),
                Arc::new(store::Filesystem::open(&dir.path().join("blobs")).unwrap()),
            )
        } else {
            (
                Arc::new(db::Memory::default()),
                Arc::new(store::Memory::default()),
            )
        };
        let (archive, _) = Archive::open(index, blobs.clone(), settings.clone()).unwrap();
        test(&House {
            archive,
            blobs,
            _dir: dir,
        });
    }
}

/// A data set in Explicit VR Little Endian (PS3.5 §7.1.2), elements in the order given.
fn dataset(elements: &[(u16, u16, &[u8; 2], &[u8])]) -> Vec<u8> {
    let mut out = Vec::new();
    for (group, element, vr, value) in elements {
        out.extend(group.to_le_bytes());
        out.extend(element.to_le_bytes());
        out.extend(*vr);
        let mut value = value.to_vec();
        if value.len() % 2 == 1 {
            value.push(if *vr == b"UI" { 0 } else { b' ' });
        }
        if matches!(*vr, b"OB" | b"OW" | b"UN" | b"SQ") {
            out.extend([0, 0]);
            out.extend(u32::try_from(value.len()).unwrap().to_le_bytes());
        } else {
            out.extend(u16::try_from(value.len()).unwrap().to_le_bytes());
        }
        out.extend(value);
    }
    out
}

/// A secondary capture of `pixels` under the given identity.
fn image(study: &str, instance: &str, patient: (&str, &str), pixels: &[u8]) -> Vec<u8> {
    let series = format!("{study}.1");
    dataset(&[
        (0x0008, 0x0016, b"UI", b"1.2.840.10008.5.1.4.1.1.7"),
        (0x0008, 0x0018, b"UI", instance.as_bytes()),
        (0x0008, 0x0060, b"CS", b"OT"),
        (0x0010, 0x0010, b"PN", patient.1.as_bytes()),
        (0x0010, 0x0020, b"LO", patient.0.as_bytes()),
        (0x0020, 0x000D, b"UI", study.as_bytes()),
        (0x0020, 0x000E, b"UI", series.as_bytes()),
        (0x0028, 0x0002, b"US", &1u16.to_le_bytes()),
        (0x0028, 0x0004, b"CS", b"MONOCHROME2"),
        (0x0028, 0x0010, b"US", &1u16.to_le_bytes()),
        (
            0x0028,
            0x0011,
            b"US",
            &u16::try_from(pixels.len())
                .unwrap_or(u16::MAX)
                .to_le_bytes(),
        ),
        (0x0028, 0x0100, b"US", &8u16.to_le_bytes()),
        (0x7FE0, 0x0010, b"OB", pixels),
    ])
}

fn origin() -> Origin {
    Origin {
        door: Door::Dimse,
        sender: "TEST".into(),
        peer: "127.0.0.1".into(),
    }
}

fn uid(text: &str) -> Uid {
    Uid::parse(text).unwrap()
}

impl House {
    fn send(&self, bytes: &[u8], declared: Declared) -> Result<Receipt, Error> {
        let mut incoming = self
            .archive
            .receive_dataset(origin(), &uid(EXPLICIT_LE), declared)?;
        for piece in bytes.chunks(1000) {
            incoming.write(piece)?;
        }
        incoming.finish()
    }

    fn store(&self, bytes: &[u8]) -> Outcome {
        self.send(bytes, Declared::default()).unwrap().outcome
    }

    /// What is held of a study: the data sets of its instances, in order.
    fn held(&self, study: &str) -> Vec<Vec<u8>> {
        let located = self
            .archive
            .locate(&Target::Study(uid(study)), &Scope::All, None, 100)
            .unwrap();
        located
            .iter()
            .map(|row| {
                let length = row.locator.length - u64::from(row.dataset_offset);
                let mut bytes = vec![0; usize::try_from(length).unwrap()];
                self.archive.dataset(row).read_at(0, &mut bytes).unwrap();
                bytes
            })
            .collect()
    }

    fn instances(&self) -> u64 {
        self.archive.totals().unwrap().instances
    }
}

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
        let scope = Scope::Studies([uid("1.2.3")].into());
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
