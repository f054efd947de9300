//! The queue of what goes on to other archives.

use crate::archive::Index;
use crate::archive::forwarding::Bound;
use crate::archive::index::{Door, NewInstance, Target, Transaction};
use crate::archive::queue::{DestinationState, Ended, Ending, Part, Pause, Queued};
use crate::db::Sqlite;
use crate::db::contract::on_every_index;
use crate::db::contract::sample::{insert, sample, uid};

const NOW: i64 = 1_800_000_000_000;

fn bound(destination: &str, is_matched: bool) -> Bound<'_> {
    Bound {
        destination,
        is_matched,
        not_from: Some("SOURCE"),
    }
}

fn change(index: &dyn Index, work: impl FnOnce(&mut dyn Transaction)) {
    let mut transaction = index.begin().unwrap();
    work(&mut *transaction);
    transaction.commit().unwrap();
}

/// Stores an instance bound for destinations; its study is stable at a moment.
fn store(index: &dyn Index, new: &NewInstance, bound: &[Bound<'_>], stable_at_ms: i64) {
    change(index, |transaction| {
        transaction.insert(new).unwrap();
        transaction
            .queue(new, bound, NOW, stable_at_ms, false)
            .unwrap();
    });
}

fn queued(index: &dyn Index, destination: &str, study: u32) -> Vec<Queued> {
    let study = uid(format!("1.{study}"));
    index.queued(destination, &study, None, 1000).unwrap()
}

fn names(queued: &[Queued]) -> Vec<&str> {
    queued.iter().map(|q| q.sop_instance_uid.as_str()).collect()
}

fn due(index: &dyn Index, destination: &str, now_ms: i64) -> Vec<String> {
    let due = index.due_studies(destination, now_ms, 10).unwrap();
    due.iter().map(ToString::to_string).collect()
}

fn end(index: &dyn Index, destination: &str, queued: &Queued, ending: Ending) {
    let ended = Ended {
        queued: queued.clone(),
        ending,
    };
    change(index, |transaction| {
        transaction.end_attempt(destination, &ended, NOW).unwrap();
    });
}

fn refused(not_before_ms: i64, is_given_up: bool) -> Ending {
    Ending::Refused {
        reason: "no".into(),
        not_before_ms,
        is_given_up,
        is_doubtful: false,
    }
}

fn settle(index: &dyn Index, destination: &str, study: u32) {
    change(index, |transaction| {
        let study = uid(format!("1.{study}"));
        transaction.settle(destination, &study).unwrap();
    });
}

#[test]
fn a_study_that_matches_goes_as_a_whole() {
    on_every_index(|index| {
        store(index, &sample(1, 1, 1), &[bound("a", false)], NOW);
        assert!(queued(index, "a", 1).is_empty() && index.destinations(NOW).unwrap().is_empty());
        // What came from the destination stays here; of another study nothing goes.
        let mut from_there = sample(1, 1, 2);
        from_there.origin.sender = "SOURCE".into();
        insert(index, &[from_there, sample(2, 1, 1)]);
        let mut by_web = sample(1, 1, 3);
        by_web.origin.door = Door::Stow;
        by_web.origin.sender = "SOURCE".into();
        insert(index, &[by_web]);
        store(
            index,
            &sample(1, 2, 1),
            &[bound("a", true), bound("b", false)],
            NOW,
        );
        let rows = queued(index, "a", 1);
        assert_eq!(names(&rows), ["1.1.1.1", "1.1.1.3", "1.1.2.1"]);
        assert_eq!(rows[2].series_instance_uid, uid("1.1.2"));
        assert!(queued(index, "b", 1).is_empty() && queued(index, "a", 2).is_empty());
        // What comes later goes without a match of its own.
        store(index, &sample(1, 3, 1), &[bound("a", false)], NOW);
        assert_eq!(queued(index, "a", 1).len(), 4);
        let [state] = &index.destinations(NOW - 1).unwrap()[..] else {
            panic!("one destination");
        };
        assert_eq!((state.unstable, state.due, state.failed), (4, 0, 0));
        let state = &index.destinations(NOW).unwrap()[0];
        assert_eq!((state.unstable, state.due, state.failed), (0, 4, 0));
    });
}

#[test]
fn a_study_is_due_when_it_is_stable() {
    on_every_index(|index| {
        store(index, &sample(1, 1, 1), &[bound("a", true)], NOW + 60);
        store(index, &sample(2, 1, 1), &[bound("a", true)], NOW + 70);
        assert!(due(index, "a", NOW + 59).is_empty());
        assert_eq!(due(index, "a", NOW + 60), ["1.1"]);
        // Something more has come: it waits again, and its clock does not go back.
        store(index, &sample(1, 1, 2), &[bound("a", true)], NOW + 100);
        store(index, &sample(1, 1, 3), &[bound("a", true)], NOW + 90);
        assert_eq!(due(index, "a", NOW + 99), ["1.2"]);
        assert_eq!(due(index, "a", NOW + 100), ["1.2", "1.1"]);
        assert!(due(index, "b", NOW + 100).is_empty());
        assert_eq!(index.due_studies("a", NOW + 100, 1).unwrap().len(), 1);
    });
}

#[test]
fn what_is_sent_is_done_with_and_what_comes_later_goes_alone() {
    on_every_index(|index| {
        store(
            index,
            &sample(1, 1, 1),
            &[bound("a", true), bound("b", true)],
            NOW,
        );
        store(
            index,
            &sample(1, 1, 2),
            &[bound("a", true), bound("b", true)],
            NOW,
        );
        for one in queued(index, "a", 1) {
            end(index, "a", &one, Ending::Sent);
        }
        settle(index, "a", 1);
        assert!(due(index, "a", i64::MAX).is_empty() && queued(index, "a", 1).is_empty());
        assert_eq!(queued(index, "b", 1).len(), 2);
        let states = index.destinations(NOW).unwrap();
        assert_eq!(
            states.iter().map(|d| (d.due, d.sent)).collect::<Vec<_>>(),
            [(0, 2), (2, 0)]
        );
        assert_eq!(index.study_forwards(None, false, 10).unwrap().len(), 1);
        let all = index.study_forwards(None, true, 10).unwrap();
        assert_eq!(
            (all[0].sent, all[0].sent_at_ms, all[0].due_at_ms),
            (2, Some(NOW), None)
        );
        let after = Some((&*all[0].destination, &all[0].study_instance_uid));
        assert_eq!(index.study_forwards(after, true, 10).unwrap(), all[1..]);
        store(index, &sample(1, 1, 3), &[bound("a", true)], NOW + 5);
        assert_eq!(names(&queued(index, "a", 1)), ["1.1.1.3"]);
        assert_eq!(due(index, "a", NOW + 5), ["1.1"]);
    });
}

#[test]
fn what_is_refused_waits_and_what_is_given_up_stays() {
    on_every_index(|index| {
        store(index, &sample(1, 1, 1), &[bound("a", true)], NOW);
        store(index, &sample(1, 1, 2), &[bound("a", true)], NOW);
        let study = uid("1.1");
        let ready = |now| index.queued("a", &study, Some(now), 10).unwrap();
        let rows = queued(index, "a", 1);
        end(index, "a", &rows[0], refused(NOW + 500, false));
        end(index, "a", &rows[1], refused(NOW + 900, true));
        settle(index, "a", 1);
        assert!(due(index, "a", NOW + 499).is_empty() && ready(NOW + 499).is_empty());
        assert_eq!(due(index, "a", NOW + 500), ["1.1"]);
        let again = ready(NOW + 500);
        assert_eq!(names(&again), ["1.1.1.1"]);
        assert_eq!(
            (again[0].attempts, again[0].reason.as_deref()),
            (1, Some("no"))
        );
        let state = &index.destinations(NOW).unwrap()[0];
        assert_eq!((state.due, state.failed), (1, 1));
        end(index, "a", &again[0], Ending::Sent);
        settle(index, "a", 1);
        assert!(due(index, "a", i64::MAX).is_empty());
        let study_row = &index.study_forwards(None, false, 10).unwrap()[0];
        assert_eq!((study_row.waiting, study_row.failed), (0, 1));
        // An administrator has mended something.
        let part = |to, study| Part {
            destination: to,
            study_instance_uid: study,
        };
        let other = uid("1.2");
        let retry = |part: Part<'_>| {
            let mut count = 0;
            change(index, |t| count = t.retry(part, NOW + 7).unwrap());
            count
        };
        assert_eq!(retry(part(Some("b"), None)), 0);
        assert_eq!(retry(part(None, Some(&other))), 0);
        assert_eq!(retry(part(Some("a"), Some(&study))), 1);
        let row = &ready(NOW)[0];
        assert_eq!(
            (row.attempts, row.is_failed, row.queued_at_ms),
            (0, false, NOW + 7)
        );
        assert_eq!(due(index, "a", NOW), ["1.1"]);
        assert_eq!(retry(Part::default()), 0);
        let mut gone = 0;
        change(index, |t| gone = t.unqueue(Part::default()).unwrap());
        assert_eq!(gone, 1);
        assert!(due(index, "a", i64::MAX).is_empty() && queued(index, "a", 1).is_empty());
    });
}

#[test]
fn an_acknowledgement_of_what_was_replaced_ends_nothing() {
    on_every_index(|index| {
        store(
            index,
            &sample(1, 1, 1),
            &[bound("a", true), bound("b", true)],
            NOW,
        );
        let [before] = &queued(index, "a", 1)[..] else {
            panic!("one instance")
        };
        // Removed for a moment, and there again: nothing has happened to it.
        change(index, |t| {
            let old = t.remove(&uid("1.1.1.1")).unwrap().unwrap();
            t.insert(&old).unwrap();
        });
        assert_eq!(queued(index, "a", 1), std::slice::from_ref(before));
        let new = sample(1, 1, 1).with("InstanceNumber", "9");
        change(index, |t| {
            t.remove(&uid("1.1.1.1")).unwrap().unwrap();
            t.insert(&new).unwrap();
            t.queue(&new, &[bound("a", true)], NOW, NOW, true).unwrap();
        });
        // It is not for b any more.
        assert!(queued(index, "b", 1).is_empty());
        for ending in [Ending::Sent, refused(NOW, true)] {
            end(index, "a", before, ending);
            let [after] = &queued(index, "a", 1)[..] else {
                panic!("still queued")
            };
            assert!(after.is_replacement && !after.is_failed && after.change > before.change);
        }
    });
}

#[test]
fn what_has_begun_is_doubtful_until_there_is_an_answer() {
    on_every_index(|index| {
        let both = [bound("a", true), bound("b", true)];
        store(index, &sample(1, 1, 1), &both, NOW);
        let doubts = || {
            [
                queued(index, "a", 1)[0].is_doubtful,
                queued(index, "b", 1)[0].is_doubtful,
            ]
        };
        let before = queued(index, "a", 1)[0].clone();
        let other = Queued {
            change: before.change + 1,
            ..before.clone()
        };
        change(index, |t| t.begin_attempt("a", &other).unwrap());
        assert_eq!(doubts(), [false, false]);
        change(index, |t| t.begin_attempt("a", &before).unwrap());
        assert_eq!(doubts(), [true, false]);
        end(index, "a", &before, Ending::Unsent);
        assert_eq!(doubts(), [false, false]);
        assert_eq!(queued(index, "a", 1)[0], before);
        change(index, |t| t.begin_attempt("a", &before).unwrap());
        let lost = Ending::Refused {
            reason: "lost".into(),
            not_before_ms: NOW,
            is_given_up: false,
            is_doubtful: true,
        };
        end(index, "a", &before, lost);
        assert_eq!(doubts(), [true, false]);
        end(index, "a", &before, refused(NOW, false));
        assert_eq!(doubts(), [false, false]);
    });
}

#[test]
fn what_is_removed_is_not_queued_any_more() {
    on_every_index(|index| {
        let both = [bound("a", true), bound("b", true)];
        for new in [
            sample(1, 1, 1),
            sample(1, 1, 2),
            sample(1, 2, 1),
            sample(2, 1, 1),
        ] {
            store(index, &new, &both, NOW);
        }
        let remove = |target| {
            change(index, |t| {
                assert!(!t.remove_all(&target, 5).unwrap().is_empty());
            });
        };
        let held = queued(index, "a", 1);
        remove(Target::Series(uid("1.1"), uid("1.1.1")));
        assert_eq!(names(&queued(index, "a", 1)), ["1.1.2.1"]);
        remove(Target::Study(uid("1.1")));
        assert!(queued(index, "b", 1).is_empty());
        assert_eq!(due(index, "a", NOW), ["1.2"]);
        assert_eq!(index.study_forwards(None, true, 10).unwrap().len(), 2);
        // Sent, and removed before it was noted.
        end(index, "a", &held[0], Ending::Sent);
        // It comes again, and goes by a match of its own only.
        store(index, &sample(1, 1, 1), &[bound("a", false)], NOW);
        assert!(queued(index, "a", 1).is_empty());
    });
}

#[test]
fn a_destination_is_left_alone_for_a_while() {
    on_every_index(|index| {
        store(
            index,
            &sample(1, 1, 1),
            &[bound("a", true), bound("b", true)],
            NOW,
        );
        let pause = Pause {
            reason: "gone".into(),
            failures: 3,
            until_ms: NOW + 60,
        };
        change(index, |t| t.set_pause("a", Some(&pause)).unwrap());
        assert_eq!(index.pause("a").unwrap(), Some(pause.clone()));
        assert_eq!(index.pause("b").unwrap(), None);
        assert_eq!(index.pause("c").unwrap(), None);
        assert_eq!(
            index.destinations(NOW).unwrap()[0].pause,
            Some(pause.clone())
        );
        change(index, |t| {
            assert_eq!(t.give_up("a", NOW, "gone").unwrap(), 0);
            assert_eq!(t.give_up("a", NOW + 1, "gone").unwrap(), 1);
        });
        assert!(queued(index, "a", 1)[0].is_failed && !queued(index, "b", 1)[0].is_failed);
        change(index, |t| {
            assert_eq!(t.retry(Part::default(), NOW).unwrap(), 1);
        });
        assert_eq!(index.pause("a").unwrap(), None);
        change(index, |t| t.set_pause("a", Some(&pause)).unwrap());
        change(index, |t| t.set_pause("a", None).unwrap());
        let state = &index.destinations(NOW).unwrap()[0];
        let expected = DestinationState {
            destination: "a".into(),
            due: 1,
            ..DestinationState::default()
        };
        assert_eq!(*state, expected);
    });
}

#[test]
fn a_transaction_that_is_dropped_queues_nothing() {
    on_every_index(|index| {
        let mut transaction = index.begin().unwrap();
        transaction.insert(&sample(1, 1, 1)).unwrap();
        transaction
            .queue(&sample(1, 1, 1), &[bound("a", true)], NOW, NOW, false)
            .unwrap();
        drop(transaction);
        assert!(due(index, "a", NOW).is_empty() && index.destinations(NOW).unwrap().is_empty());
    });
}

#[test]
fn the_queue_is_there_again_when_opened_again_and_can_be_changed_beside() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("index.sqlite");
    let index = Sqlite::open(&path, 1).unwrap();
    store(&index, &sample(1, 1, 1), &[bound("a", true)], NOW);
    let [row] = &queued(&index, "a", 1)[..] else {
        panic!("one instance")
    };
    end(&index, "a", row, refused(NOW, true));
    let beside = Sqlite::open_beside(&path).unwrap();
    change(&beside, |t| {
        assert_eq!(t.retry(Part::default(), NOW).unwrap(), 1);
    });
    assert!(!queued(&index, "a", 1)[0].is_failed);
    drop((beside, index));
    let again = Sqlite::open(&path, 1).unwrap();
    assert_eq!(due(&again, "a", NOW), ["1.1"]);
    assert_eq!(names(&queued(&again, "a", 1)), ["1.1.1.1"]);
}

/// What is due is found by an index, however much has gone before.
#[test]
fn studies_that_have_gone_cost_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("index.sqlite");
    drop(Sqlite::open(&path, 1).unwrap());
    let connection = rusqlite::Connection::open(&path).unwrap();
    let plan: String = connection
        .query_row(
            "EXPLAIN QUERY PLAN SELECT study_instance_uid FROM forward_study \
             WHERE destination = 'a' AND due_at_ms <= 5 ORDER BY due_at_ms, study_instance_uid LIMIT 3",
            [],
            |row| row.get(3),
        )
        .unwrap();
    assert!(plan.contains("forward_study_by_due_at"), "{plan}");
}
