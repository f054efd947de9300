//! Removing whole targets, what is known of them afterwards, and answers that expire.

use crate::access::Scope;
use crate::archive::Index;
use crate::archive::index::{Answered, QuarantineReason, Target, Totals};
use crate::db::Sqlite;
use crate::db::contract::on_every_index;
use crate::db::contract::sample::{find, insert, remove, sample, uid};
use crate::dicom::Level;

fn study(n: u32) -> Target {
    Target::Study(uid(format!("1.{n}")))
}

fn series(n: u32, series: u32) -> Target {
    Target::Series(uid(format!("1.{n}")), uid(format!("1.{n}.{series}")))
}

fn instance(n: u32, series: u32, instance: u32) -> Target {
    Target::Instance(
        uid(format!("1.{n}")),
        uid(format!("1.{n}.{series}")),
        uid(format!("1.{n}.{series}.{instance}")),
    )
}

fn remove_all(index: &dyn Index, target: &Target, at_ms: i64) -> usize {
    let mut transaction = index.begin().unwrap();
    let gone = transaction.remove_all(target, at_ms).unwrap();
    transaction.commit().unwrap();
    gone.len()
}

fn removed_at(index: &dyn Index, target: &Target) -> Option<i64> {
    index.removed_at(target, &Scope::All).unwrap()
}

#[test]
fn a_removed_target_is_gone_and_known_at_every_level_that_went() {
    on_every_index(|index| {
        insert(
            index,
            &[
                sample(1, 1, 1),
                sample(1, 1, 2),
                sample(1, 2, 1).with("Modality", "MR"),
                sample(2, 1, 1),
            ],
        );
        assert_eq!(remove_all(index, &instance(1, 1, 1), 5), 1);
        assert_eq!(removed_at(index, &instance(1, 1, 1)), Some(5));
        for living in [series(1, 1), study(1), instance(1, 1, 2), study(2)] {
            assert_eq!(removed_at(index, &living), None, "{living:?}");
        }
        assert_eq!(remove_all(index, &series(1, 1), 6), 1);
        assert_eq!(removed_at(index, &series(1, 1)), Some(6));
        assert_eq!(removed_at(index, &instance(1, 1, 2)), Some(6));
        // Who went before keeps the time.
        assert_eq!(removed_at(index, &instance(1, 1, 1)), Some(5));
        // Newest first: the other study stands before it.
        let row = &find(index, Level::Study, vec![]).rows[1];
        assert_eq!((row.series_of_study, row.instances_of_study), (1, 1));
        assert_eq!(row.modalities_in_study, ["MR".into()]);
        // The last instance takes series and study along.
        assert_eq!(remove_all(index, &instance(1, 2, 1), 7), 1);
        for gone in [series(1, 2), study(1)] {
            assert_eq!(removed_at(index, &gone), Some(7), "{gone:?}");
        }
        assert_eq!(index.totals().unwrap().instances, 1);
        for never in [study(3), series(2, 9), instance(2, 1, 9), instance(1, 9, 1)] {
            assert_eq!(removed_at(index, &never), None, "{never:?}");
        }
    });
}

#[test]
fn nothing_is_removed_under_a_wrong_path_or_twice() {
    on_every_index(|index| {
        insert(index, &[sample(1, 1, 1), sample(1, 2, 1)]);
        let crossed = Target::Instance(uid("1.1"), uid("1.1.2"), uid("1.1.1.1"));
        for target in [crossed, Target::Series(uid("1.2"), uid("1.1.1")), study(2)] {
            assert_eq!(remove_all(index, &target, 5), 0, "{target:?}");
            assert_eq!(removed_at(index, &target), None);
        }
        assert_eq!(remove_all(index, &study(1), 5), 2);
        assert_eq!(remove_all(index, &study(1), 6), 0);
        assert_eq!(removed_at(index, &study(1)), Some(5));
        assert_eq!(index.totals().unwrap(), Totals::default());
    });
}

#[test]
fn a_transaction_that_is_dropped_removes_nothing() {
    on_every_index(|index| {
        insert(index, &[sample(1, 1, 1)]);
        let mut transaction = index.begin().unwrap();
        assert_eq!(transaction.remove_all(&study(1), 5).unwrap().len(), 1);
        drop(transaction);
        assert_eq!(removed_at(index, &study(1)), None);
        assert_eq!(index.totals().unwrap().instances, 1);
    });
}

#[test]
fn what_comes_again_is_no_longer_removed() {
    on_every_index(|index| {
        insert(index, &[sample(1, 1, 1), sample(1, 1, 2), sample(1, 2, 1)]);
        remove_all(index, &study(1), 5);
        insert(index, &[sample(1, 1, 2)]);
        for living in [study(1), series(1, 1), instance(1, 1, 2)] {
            assert_eq!(removed_at(index, &living), None, "{living:?}");
        }
        for gone in [series(1, 2), instance(1, 1, 1), instance(1, 2, 1)] {
            assert_eq!(removed_at(index, &gone), Some(5), "{gone:?}");
        }
        // Another scope knows nothing of it.
        let none = Scope::of([uid("1.2")]);
        assert_eq!(index.removed_at(&instance(1, 1, 1), &none).unwrap(), None);
    });
}

#[test]
fn what_was_replaced_or_is_held_back_was_not_removed() {
    on_every_index(|index| {
        insert(index, &[sample(1, 1, 1)]);
        let mut transaction = index.begin().unwrap();
        transaction
            .quarantine(&sample(1, 1, 2), QuarantineReason::Duplicate, &[])
            .unwrap();
        transaction.commit().unwrap();
        assert_eq!(remove_all(index, &study(1), 5), 1);
        assert_eq!(index.totals().unwrap().quarantined, 1);
        assert_eq!(removed_at(index, &instance(1, 1, 2)), None);
        insert(index, &[sample(1, 1, 1)]);
        remove(index, "1.1.1.1").unwrap();
        assert_eq!(removed_at(index, &study(1)), None);
    });
}

#[test]
fn more_than_a_page_goes_in_one_transaction() {
    on_every_index(|index| {
        let many: Vec<_> = (1..=1201).map(|n| sample(1, 1 + n % 3, n)).collect();
        insert(index, &many);
        assert_eq!(remove_all(index, &study(1), 5), 1201);
        assert_eq!(index.totals().unwrap(), Totals::default());
        assert_eq!(removed_at(index, &instance(1, 2, 1201 - 2)), None);
        assert_eq!(removed_at(index, &instance(1, 2, 1)), Some(5));
        assert!(index.blobs(None, 10).unwrap().is_empty());
    });
}

#[test]
fn a_removed_study_leaves_no_row_but_its_tombstones() {
    let folder = tempfile::tempdir().unwrap();
    let index = Sqlite::open(&folder.path().join("index.sqlite"), 1).unwrap();
    let study_of_two = [
        sample(1, 1, 1).with("PatientName", "Doe^John").with_item(
            "RequestAttributesSequence",
            &[("RequestedProcedureID", "7")],
        ),
        sample(1, 2, 1).with("StudyDescription", "CHEST"),
    ];
    insert(&index, &study_of_two);
    remove_all(&index, &study(1), 5);
    assert!(index.is_bare());
}

#[test]
fn answers_are_kept_once_then_expire_then_are_forgotten() {
    on_every_index(|index| {
        let answered = |at_ms| Answered {
            at_ms,
            answer: Some(format!("[{at_ms}]").into()),
        };
        let keep = |name: &str, at_ms| {
            let mut transaction = index.begin().unwrap();
            let is_new = transaction.answer(&uid(name), &answered(at_ms)).unwrap();
            transaction.commit().unwrap();
            is_new
        };
        assert!(keep("2.1", 10) && keep("2.2", 20) && keep("2.3", 30));
        assert!(!keep("2.2", 40));
        assert_eq!(index.answered(&uid("2.2")).unwrap(), Some(answered(20)));
        assert_eq!(index.answered(&uid("2.4")).unwrap(), None);
        let mut transaction = index.begin().unwrap();
        transaction.expire_answers(30, 20).unwrap();
        transaction.commit().unwrap();
        assert_eq!(index.answered(&uid("2.1")).unwrap(), None);
        let expired = Answered {
            at_ms: 20,
            answer: None,
        };
        assert_eq!(index.answered(&uid("2.2")).unwrap(), Some(expired));
        assert_eq!(index.answered(&uid("2.3")).unwrap(), Some(answered(30)));
        assert!(!keep("2.2", 50));
    });
}
