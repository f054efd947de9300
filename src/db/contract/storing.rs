//! Inserting, locating, removing.

use std::ops::ControlFlow;

use crate::access::{Scope, View};
use crate::archive::index::{
    Arrived, Current, Door, QuarantineReason, Received, StudyPatient, Target, Totals,
};
use crate::archive::{Error, Index};
use crate::db::contract::on_every_index;
use crate::db::contract::sample::{SR, full, insert, remove, sample, uid};
use crate::dicom::frame_map::{Encapsulated, Span};
use crate::dicom::{FrameMap, Uid};

fn located(index: &dyn Index, target: &Target, limit: usize) -> Vec<String> {
    let mut found = Vec::new();
    let mut after = None;
    loop {
        let page = index.locate(target, &Scope::All, after, limit).unwrap();
        assert!(page.len() <= limit);
        let Some(last) = page.last() else {
            return found;
        };
        after = Some(last.cursor);
        found.extend(page.iter().map(|l| l.sop_instance_uid.to_string()));
    }
}

#[test]
fn a_new_index_holds_nothing() {
    on_every_index(|index| {
        assert_eq!(index.totals().unwrap(), Totals::default());
        assert_eq!(
            index
                .version(&Target::Study(uid("1.1")), &Scope::All)
                .unwrap(),
            None
        );
        assert!(located(index, &Target::Study(uid("1.1")), 10).is_empty());
        assert!(index.blobs(None, 10).unwrap().is_empty());
    });
}

#[test]
fn a_lineage_keeps_its_id_and_grows() {
    on_every_index(|index| {
        let before = index.lineage().unwrap();
        insert(index, &[sample(1, 1, 1)]);
        let after = index.lineage().unwrap();
        assert_eq!(before.id, after.id);
        assert!(after.change > before.change);
        index.skip_changes(1000).unwrap();
        insert(index, &[sample(1, 1, 2)]);
        index.harden().unwrap();
        let study = Target::Study(uid("1.1"));
        let version = index.version(&study, &Scope::All).unwrap();
        assert!(version.unwrap() > after.change + 1000);
        assert_eq!(index.lineage().unwrap().id, before.id);
    });
}

#[test]
fn what_is_kept_is_as_good_as_committed() {
    on_every_index(|index| {
        for instance in 1..=2 {
            let new = sample(1, 1, instance);
            let mut transaction = index.begin_soft().unwrap();
            assert!(
                transaction
                    .held(&new.header.sop_instance_uid)
                    .unwrap()
                    .is_none()
            );
            transaction.insert(&new).unwrap();
            transaction.keep(vec![new]).unwrap();
        }
        let study = Target::Study(uid("1.1"));
        assert_eq!(located(index, &study, 10), ["1.1.1.1", "1.1.1.2"]);
        let mut transaction = index.begin_soft().unwrap();
        transaction.insert(&sample(1, 1, 3)).unwrap();
        transaction.keep(vec![sample(1, 1, 3)]).unwrap();
        assert!(remove(index, "1.1.1.2").is_some());
        assert_eq!(located(index, &study, 10), ["1.1.1.1", "1.1.1.3"]);
    });
}

#[test]
fn what_was_inserted_is_located_whole() {
    on_every_index(|index| {
        let frames = [
            vec![Span {
                offset: 10,
                length: 20,
            }],
            vec![
                Span {
                    offset: 38,
                    length: 2,
                },
                Span {
                    offset: 48,
                    length: 7,
                },
            ],
        ];
        let mut map = Encapsulated::default();
        frames.iter().for_each(|frame| map.push(frame));
        let mut new = sample(1, 1, 1);
        new.header.frames = FrameMap::Encapsulated(map);
        insert(index, &[new.clone()]);
        let target = Target::Instance(uid("1.1"), uid("1.1.1"), uid("1.1.1.1"));
        let found = index.locate(&target, &Scope::All, None, 10).unwrap();
        assert_eq!(found.len(), 1);
        let one = &found[0];
        assert_eq!(
            (&one.sop_class_uid, &one.transfer_syntax_uid),
            (&new.header.sop_class_uid, &new.transfer_syntax_uid)
        );
        assert_eq!(
            (one.locator, one.dataset_offset, one.digest),
            (new.locator, new.dataset_offset, new.digest)
        );
        assert_eq!(one.frames, new.header.frames);
        let (again, bulk) = index.bulk(&target, &Scope::All).unwrap().unwrap();
        assert_eq!((&again, bulk), (one, new.header.bulk.clone()));
        let prepared = index.metadata(&target, &Scope::All, None, 10).unwrap();
        assert_eq!(prepared[0].metadata, new.header.metadata);
        for wrong in [
            Target::Instance(uid("1.1"), uid("1.1.2"), uid("1.1.1.1")),
            Target::Instance(uid("1.2"), uid("1.1.1"), uid("1.1.1.1")),
            Target::Series(uid("1.2"), uid("1.1.1")),
        ] {
            assert!(located(index, &wrong, 10).is_empty(), "{wrong:?}");
            assert_eq!(index.version(&wrong, &Scope::All).unwrap(), None);
            assert!(index.bulk(&wrong, &Scope::All).unwrap().is_none());
        }
    });
}

#[test]
fn instances_come_by_series_then_number_then_arrival() {
    on_every_index(|index| {
        insert(
            index,
            &[
                sample(1, 3, 2).with("SeriesNumber", "10"),
                sample(1, 1, 4).with("SeriesNumber", ""),
                sample(1, 2, 5).with("InstanceNumber", "-1"),
                sample(1, 3, 1).with("InstanceNumber", "2"),
                sample(1, 2, 1).with("InstanceNumber", "not a number"),
                sample(1, 2, 10),
                // Two series of one number do not mix.
                sample(1, 5, 1).with("SeriesNumber", "2"),
                sample(1, 2, 9),
                sample(2, 1, 1),
            ],
        );
        let expected = [
            "1.1.2.5", "1.1.2.9", "1.1.2.10", "1.1.2.1", "1.1.5.1", "1.1.3.2", "1.1.3.1", "1.1.1.4",
        ];
        for limit in [1, 2, 3, 100] {
            assert_eq!(
                located(index, &Target::Study(uid("1.1")), limit),
                expected,
                "{limit}"
            );
        }
        assert_eq!(
            located(index, &Target::Series(uid("1.1"), uid("1.1.2")), 2),
            expected[..4]
        );
        let metadata = index
            .metadata(&Target::Study(uid("1.1")), &Scope::All, None, 3)
            .unwrap();
        let rest = index
            .metadata(
                &Target::Study(uid("1.1")),
                &Scope::All,
                Some(metadata[2].cursor),
                100,
            )
            .unwrap();
        assert_eq!((metadata.len(), rest.len()), (3, 5));
        assert!(rest[0].metadata.windows(8).any(|w| w == b"1.1.2.1\""));
    });
}

#[test]
fn instances_are_given_with_how_they_came() {
    on_every_index(|index| {
        let mut second = sample(1, 1, 2);
        second.origin.door = Door::Stow;
        second.origin.sender = "anna".into();
        second.transfer_syntax_uid = uid("1.2.840.10008.1.2.4.50");
        insert(index, &[second.clone(), sample(1, 1, 1), sample(1, 2, 1)]);
        let given = |target: &Target, scope: &Scope, limit: usize| {
            let mut given = Vec::new();
            let mut each = |one: Received<'_>| {
                let (metadata, sender) = (one.metadata.to_vec(), one.sender.to_owned());
                let syntax = one.transfer_syntax_uid.to_owned();
                given.push((metadata, syntax, one.door, sender, one.at_ms));
                Ok(if given.len() < limit {
                    ControlFlow::Continue(())
                } else {
                    ControlFlow::Break(())
                })
            };
            index.each_received(target, scope, &mut each).unwrap();
            given
        };
        let expected = [sample(1, 1, 1), second].map(|new| {
            let sender = new.origin.sender.to_string();
            let metadata = new.header.metadata.to_vec();
            let syntax = new.transfer_syntax_uid.to_string();
            (
                metadata,
                syntax,
                new.origin.door,
                sender,
                new.received_at_ms,
            )
        });
        let series = Target::Series(uid("1.1"), uid("1.1.1"));
        assert_eq!(given(&series, &Scope::All, 10), expected);
        assert_eq!(given(&series, &Scope::All, 1), expected[..1]);
        assert_eq!(given(&Target::Study(uid("1.1")), &Scope::All, 10).len(), 3);
        assert!(given(&series, &Scope::Nothing, 10).is_empty());
        insert(index, &[sample(1, 1, 3).of_class(SR)]);
        let blind = Scope::Studies([(uid("1.1"), View::WithoutReports)].into());
        assert_eq!(given(&series, &blind, 10), expected);
        assert_eq!(given(&series, &Scope::of([uid("1.1")]), 10).len(), 3);
    });
}

#[test]
fn arrivals_say_which_instances_there_are_and_how_they_came() {
    on_every_index(|index| {
        let mut second = sample(1, 1, 2);
        second.origin.door = Door::Case;
        second.origin.sender = "anna".into();
        let report = sample(1, 2, 1).of_class(SR);
        insert(index, &[second.clone(), sample(1, 1, 1), report.clone()]);
        let given = |scope: &Scope, limit: usize| {
            let mut given = Vec::new();
            let mut each = |one: Arrived<'_>| {
                given.push(format!("{one:?}"));
                Ok(match given.len() < limit {
                    true => ControlFlow::Continue(()),
                    false => ControlFlow::Break(()),
                })
            };
            let target = Target::Study(uid("1.1"));
            index.each_arrived(&target, scope, &mut each).unwrap();
            given
        };
        let expected = [sample(1, 1, 1), second, report].map(|new| {
            let arrived = Arrived {
                series_instance_uid: new.header.series_instance_uid.as_str(),
                sop_instance_uid: new.header.sop_instance_uid.as_str(),
                sop_class_uid: new.header.sop_class_uid.as_str(),
                transfer_syntax_uid: new.transfer_syntax_uid.as_str(),
                digest: new.digest,
                door: new.origin.door,
                sender: &new.origin.sender,
                at_ms: new.received_at_ms,
            };
            format!("{arrived:?}")
        });
        assert_eq!(given(&Scope::All, 10), expected);
        assert_eq!(given(&Scope::All, 1), expected[..1]);
        assert!(given(&Scope::Nothing, 10).is_empty());
        let blind = Scope::Studies([(uid("1.1"), View::WithoutReports)].into());
        assert_eq!(given(&blind, 10), expected[..2]);
    });
}

#[test]
fn metadata_are_given_one_at_a_time_until_it_is_enough() {
    on_every_index(|index| {
        insert(index, &[1, 2, 3].map(|number| sample(1, 1, number)));
        let target = Target::Study(uid("1.1"));
        let all = index.metadata(&target, &Scope::All, None, 100).unwrap();
        assert_eq!(all.len(), 3);
        for (after, wanted, expected) in [(None, 2, &all[..2]), (Some(all[0].cursor), 9, &all[1..])]
        {
            let mut given = Vec::new();
            index
                .each_metadata(&target, &Scope::All, after, &mut |metadata, cursor| {
                    given.push((metadata.to_vec(), cursor));
                    Ok(if given.len() < wanted {
                        ControlFlow::Continue(())
                    } else {
                        ControlFlow::Break(())
                    })
                })
                .unwrap();
            let expected = expected
                .iter()
                .map(|one| (one.metadata.clone(), one.cursor));
            assert_eq!(given, expected.collect::<Vec<_>>());
        }
        let failed = index.each_metadata(&target, &Scope::All, None, &mut |_, _| Err(Error::Full));
        assert!(matches!(failed, Err(Error::Full)));
        assert!(
            index
                .metadata(&target, &Scope::All, None, 0)
                .unwrap()
                .is_empty()
        );
    });
}

#[test]
fn what_is_current_of_one_instance_comes_with_its_version() {
    on_every_index(|index| {
        let new = sample(1, 1, 1);
        insert(index, std::slice::from_ref(&new));
        let uids = [uid("1.1"), uid("1.1.1"), uid("1.1.1.1")];
        let current = |[study, series, instance]: &[Uid; 3], scope: &Scope, bytes_max| {
            index
                .current((study, series, instance), scope, bytes_max)
                .unwrap()
        };
        let [study, series, instance] = uids.clone();
        let target = Target::Instance(study, series, instance);
        let version = index.version(&target, &Scope::All).unwrap().unwrap();
        let metadata = Some(new.header.metadata.clone());
        assert_eq!(
            current(&uids, &Scope::All, 1 << 20),
            Some(Current { version, metadata })
        );
        let short = Current {
            version,
            metadata: None,
        };
        assert_eq!(current(&uids, &Scope::All, 10), Some(short));
        let locate = |[study, series, instance]: &[Uid; 3], scope: &Scope, bytes_max| {
            index
                .locate_one((study, series, instance), scope, bytes_max)
                .unwrap()
        };
        let located = locate(&uids, &Scope::All, 1 << 20).unwrap().unwrap();
        assert_eq!(
            vec![located.clone()],
            index.locate(&target, &Scope::All, None, 1).unwrap()
        );
        let page = index.locate(&Target::Study(uid("1.1")), &Scope::All, None, 9);
        assert_eq!(page.unwrap(), [located]);
        let packed = new.header.frames.encode().len();
        if packed > 0 {
            assert_eq!(locate(&uids, &Scope::All, packed - 1), Some(None));
        }
        let nothing = Scope::of([uid("1.2")]);
        assert_eq!(locate(&uids, &nothing, 1 << 20), None);
        assert_eq!(current(&uids, &nothing, 1 << 20), None);
        for wrong in [
            [uid("1.1"), uid("1.1.2"), uid("1.1.1.1")],
            [uid("1.2"), uid("1.1.1"), uid("1.1.1.1")],
            [uid("1.1"), uid("1.1.1"), uid("1.1.1.2")],
        ] {
            assert_eq!(current(&wrong, &Scope::All, 1 << 20), None, "{wrong:?}");
        }
    });
}

#[test]
fn paging_goes_on_after_the_last_one_given_was_removed() {
    on_every_index(|index| {
        insert(
            index,
            &[
                sample(1, 1, 1),
                sample(1, 2, 1),
                sample(1, 2, 2),
                sample(1, 3, 1),
            ],
        );
        let target = Target::Study(uid("1.1"));
        let page = index.locate(&target, &Scope::All, None, 2).unwrap();
        remove(index, "1.1.2.1").unwrap();
        remove(index, "1.1.2.2").unwrap();
        let rest = index
            .locate(&target, &Scope::All, Some(page[1].cursor), 10)
            .unwrap();
        assert_eq!(rest.len(), 1);
        assert_eq!(rest[0].sop_instance_uid, uid("1.1.3.1"));
    });
}

#[test]
fn a_scope_hides_what_is_outside() {
    on_every_index(|index| {
        insert(index, &[sample(1, 1, 1), sample(2, 1, 1)]);
        let scopes = [
            (Scope::of([uid("1.2")]), false),
            (Scope::Nothing, false),
            (Scope::of([uid("1.1")]), true),
        ];
        for (scope, is_seen) in scopes {
            let target = Target::Instance(uid("1.1"), uid("1.1.1"), uid("1.1.1.1"));
            assert_eq!(
                !index.locate(&target, &scope, None, 1).unwrap().is_empty(),
                is_seen
            );
            assert_eq!(
                !index.metadata(&target, &scope, None, 1).unwrap().is_empty(),
                is_seen
            );
            assert_eq!(index.bulk(&target, &scope).unwrap().is_some(), is_seen);
            assert_eq!(index.version(&target, &scope).unwrap().is_some(), is_seen);
        }
    });
}

#[test]
fn an_uncommitted_transaction_changes_nothing() {
    on_every_index(|index| {
        let mut transaction = index.begin().unwrap();
        transaction.insert(&sample(1, 1, 1)).unwrap();
        transaction
            .quarantine(&sample(1, 1, 2), QuarantineReason::Duplicate, &[])
            .unwrap();
        assert!(transaction.held(&uid("1.1.1.1")).unwrap().is_some());
        drop(transaction);
        assert_eq!(index.totals().unwrap(), Totals::default());
        assert!(located(index, &Target::Study(uid("1.1")), 10).is_empty());
        insert(index, &[sample(1, 1, 1)]);
        assert_eq!(index.totals().unwrap().instances, 1);
    });
}

#[test]
fn a_uid_is_taken_once() {
    on_every_index(|index| {
        insert(index, &[sample(1, 1, 1)]);
        let mut second = sample(2, 1, 1);
        second.header.sop_instance_uid = uid("1.1.1.1");
        assert!(index.begin().unwrap().insert(&second).is_err());
        assert_eq!(index.totals().unwrap().studies, 1);
    });
}

#[test]
fn a_transaction_tells_what_is_held() {
    on_every_index(|index| {
        let new = sample(1, 1, 1)
            .with("PatientName", "Doe^Jane")
            .with("PatientBirthDate", "19700101");
        insert(
            index,
            &[new.clone(), sample(1, 1, 2).with("PatientName", "Roe^Jane")],
        );
        let mut transaction = index.begin().unwrap();
        let held = transaction.held(&uid("1.1.1.1")).unwrap().unwrap();
        assert_eq!(
            (held.study_instance_uid, held.series_instance_uid),
            (uid("1.1"), uid("1.1.1"))
        );
        assert_eq!((held.digest, held.locator), (new.digest, new.locator));
        assert_eq!(
            transaction.held_metadata(&uid("1.1.1.1")).unwrap().unwrap(),
            new.header.metadata
        );
        let patient = StudyPatient {
            patient_id: "P1".into(),
            issuer_of_patient_id: "".into(),
            patient_name: "Doe^Jane".into(),
            patient_birth_date: "19700101".into(),
        };
        assert_eq!(
            transaction.study_patient(&uid("1.1")).unwrap(),
            Some(patient)
        );
        assert_eq!(transaction.study_patient(&uid("1.2")).unwrap(), None);
        assert!(transaction.held(&uid("1.1.1.3")).unwrap().is_none());
        assert!(
            transaction
                .held_metadata(&uid("1.1.1.3"))
                .unwrap()
                .is_none()
        );
    });
}

#[test]
fn what_is_removed_is_given_back_whole() {
    on_every_index(|index| {
        insert(index, &[sample(1, 1, 2), full(), sample(2, 1, 1)]);
        assert_eq!(remove(index, "1.1.1.1"), Some(full()));
        assert_eq!(remove(index, "1.1.1.1"), None);
        let totals = index.totals().unwrap();
        assert_eq!(
            (
                totals.patients,
                totals.studies,
                totals.series,
                totals.instances,
                totals.blob_bytes
            ),
            (2, 2, 2, 2, 1200)
        );
        remove(index, "1.1.1.2").unwrap();
        let totals = index.totals().unwrap();
        assert_eq!(
            (
                totals.patients,
                totals.studies,
                totals.series,
                totals.instances,
                totals.blob_bytes
            ),
            (1, 1, 1, 1, 600)
        );
        assert!(located(index, &Target::Study(uid("1.1")), 10).is_empty());
        insert(index, &[full()]);
        assert_eq!(located(index, &Target::Study(uid("1.1")), 10), ["1.1.1.1"]);
    });
}

#[test]
fn versions_grow_with_each_change_and_never_return() {
    on_every_index(|index| {
        let study = Target::Study(uid("1.1"));
        let first = Target::Series(uid("1.1"), uid("1.1.1"));
        let instance = Target::Instance(uid("1.1"), uid("1.1.1"), uid("1.1.1.1"));
        let now = |target: &Target| index.version(target, &Scope::All).unwrap();
        insert(index, &[sample(1, 1, 1)]);
        let before = (now(&study), now(&first), now(&instance));
        insert(index, &[sample(1, 2, 1)]);
        assert!(now(&study) > before.0);
        assert_eq!((now(&first), now(&instance)), (before.1, before.2));
        insert(index, &[sample(1, 1, 2)]);
        assert!(now(&first) > before.1);
        let before = (now(&study), now(&first), now(&instance));
        remove(index, "1.1.1.2");
        assert!(now(&study) > before.0 && now(&first) > before.1 && now(&instance) == before.2);
        let before = (now(&study), now(&first), now(&instance));
        for gone in ["1.1.1.1", "1.1.2.1"] {
            remove(index, gone);
        }
        assert_eq!(now(&study), None);
        insert(index, &[sample(1, 1, 1)]);
        assert!(now(&study) > before.0 && now(&first) > before.1 && now(&instance) > before.2);
    });
}
