//! What is held back, conflicts let through, and the blobs of all of it.

use crate::archive::Locator;
use crate::archive::index::{AcceptedConflict, Difference, QuarantineReason};
use crate::db::contract::on_every_index;
use crate::db::contract::sample::{full, insert, remove, sample, uid};

#[test]
fn quarantine_holds_an_instance_whole_until_it_is_released() {
    on_every_index(|index| {
        insert(index, &[sample(1, 1, 1)]);
        let differences = [Difference {
            path: "00100010".into(),
            held: None,
            newcomer: Some("{\"vr\":\"PN\"}".into()),
        }];
        let mut transaction = index.begin().unwrap();
        let (id, is_new) = transaction
            .quarantine(&full(), QuarantineReason::Duplicate, &differences)
            .unwrap();
        assert!(is_new);
        assert_eq!(
            transaction
                .quarantine(&full(), QuarantineReason::Duplicate, &[])
                .unwrap(),
            (id, false)
        );
        // The same bytes under another transfer syntax are another object.
        let mut reread = full();
        reread.transfer_syntax_uid = uid("1.2.840.10008.1.2.2");
        let (reread_id, is_new) = transaction
            .quarantine(&reread, QuarantineReason::Duplicate, &[])
            .unwrap();
        assert!(is_new && reread_id > id);
        assert_eq!(
            transaction.release(reread_id).unwrap().unwrap().instance,
            reread
        );
        let (other, is_new) = transaction
            .quarantine(&full(), QuarantineReason::PatientConflict, &[])
            .unwrap();
        assert!(is_new && other > id);
        transaction.commit().unwrap();

        let held = index.quarantined_one(id).unwrap().unwrap();
        assert_eq!(
            (held.id, held.reason, &held.differences[..], &held.instance),
            (id, QuarantineReason::Duplicate, &differences[..], &full())
        );
        let ids = |after, limit| {
            index
                .quarantined(after, limit)
                .unwrap()
                .iter()
                .map(|q| q.id)
                .collect::<Vec<_>>()
        };
        assert_eq!(
            (ids(0, 10), ids(0, 1), ids(id, 10)),
            (vec![id, other], vec![id], vec![other])
        );
        assert_eq!(index.totals().unwrap().quarantined, 2);
        assert_eq!(index.totals().unwrap().instances, 1);

        let mut transaction = index.begin().unwrap();
        assert_eq!(
            transaction.release(other).unwrap().unwrap().instance,
            full()
        );
        assert!(transaction.release(other).unwrap().is_none());
        transaction.commit().unwrap();
        assert_eq!(index.totals().unwrap().quarantined, 1);
        // Numbers are not used again: an administrator may have noted them.
        let mut transaction = index.begin().unwrap();
        assert!(
            transaction
                .quarantine(&full(), QuarantineReason::Displaced, &[])
                .unwrap()
                .0
                > other
        );
    });
}

#[test]
fn conflicts_let_through_are_listed_newest_first() {
    on_every_index(|index| {
        insert(index, &[sample(1, 1, 1), sample(1, 1, 2)]);
        let conflict = |instance: &str| AcceptedConflict {
            study_instance_uid: uid("1.1"),
            sop_instance_uid: uid(instance),
            differences: vec![Difference {
                path: "00100020".into(),
                held: Some("1".into()),
                newcomer: None,
            }],
            received_at_ms: 5,
        };
        let mut transaction = index.begin().unwrap();
        transaction.note_conflict(&conflict("1.1.1.1")).unwrap();
        transaction.note_conflict(&conflict("1.1.1.2")).unwrap();
        transaction.commit().unwrap();
        assert_eq!(
            index.accepted_conflicts(10).unwrap(),
            [conflict("1.1.1.2"), conflict("1.1.1.1")]
        );
        assert_eq!(index.accepted_conflicts(1).unwrap(), [conflict("1.1.1.2")]);
        remove(index, "1.1.1.2");
        assert_eq!(index.accepted_conflicts(10).unwrap(), [conflict("1.1.1.1")]);
    });
}

#[test]
fn every_blob_is_listed_in_order_with_those_in_quarantine() {
    on_every_index(|index| {
        insert(index, &[sample(2, 1, 1), sample(1, 2, 1), sample(1, 1, 1)]);
        let mut transaction = index.begin().unwrap();
        let mut held = sample(1, 1, 3);
        held.locator.offset += 4000;
        transaction
            .quarantine(&held, QuarantineReason::Duplicate, &[])
            .unwrap();
        transaction.commit().unwrap();
        let all: Vec<Locator> = index
            .blobs(None, 10)
            .unwrap()
            .iter()
            .map(|b| b.locator)
            .collect();
        assert_eq!(all.len(), 4);
        assert!(all.is_sorted());
        let mut paged = Vec::new();
        while let Some(next) = index.blobs(paged.last().copied(), 1).unwrap().first() {
            paged.push(next.locator);
        }
        assert_eq!(paged, all);
        let first = index.blobs(None, 1).unwrap().remove(0);
        assert_eq!(
            (first.sop_instance_uid, first.dataset_offset, first.digest),
            (uid("1.1.1.1"), 300, sample(1, 1, 1).digest)
        );
        assert_eq!(index.live_blobs(1).unwrap(), all[..3]);
        assert_eq!(index.live_blobs(2).unwrap(), all[3..]);
        assert!(index.live_blobs(u64::MAX).unwrap().is_empty());
    });
}
