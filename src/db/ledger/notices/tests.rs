//! Notices in the ledger: kept with the change or not at all, in the order of their case, each once, and forgotten in time.

use super::*;
use crate::access::Roles;
use crate::access::account::{AccountChange, NewAccount};
use crate::access::audit::{ActionCode, Actor, Event};
use crate::access::ledger::{AccessLedger as _, AuditLedger as _};
use crate::cases::notices::EMAIL;
use crate::cases::{CaseLedger as _, Completed, Task, TaskState};

const DAY: i64 = 86_400_000;

struct House {
    ledger: Ledger,
    folder: tempfile::TempDir,
}

fn audit() -> AuditRecord {
    AuditRecord::new(Event::OrderRecord, ActionCode::Update, Actor::default(), 7)
}

fn open() -> House {
    let folder = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(&folder.path().join("ledger.sqlite"), 2).unwrap();
    House { ledger, folder }
}

fn to(names: &[&str]) -> Vec<(Box<str>, Box<str>)> {
    names
        .iter()
        .map(|name| (Box::from(*name), Box::default()))
        .collect()
}

impl House {
    /// A case that has gone out, with the notices of that.
    fn case(&self, number: u64) -> Case {
        let mut case = Case::example();
        case.number = number;
        assert!(self.ledger.insert_case(&case, &[], &audit()).unwrap());
        self.ledger.case(number).unwrap().unwrap()
    }

    fn change(&self, case: &Case, change: impl FnOnce(&mut Case)) -> Case {
        let mut next = case.clone();
        change(&mut next);
        next.revision += 1;
        assert!(
            self.ledger
                .change_case(&next, &Alongside::Nothing, &audit())
                .unwrap()
        );
        self.ledger.case(case.number).unwrap().unwrap()
    }

    fn happened(&self) -> Vec<String> {
        let notices = self.ledger.unaddressed(100).unwrap();
        notices
            .iter()
            .map(|n| format!("{} {}", n.case, n.event))
            .collect()
    }

    fn address(&self, names: &[&str], at_ms: i64) {
        for notice in self.ledger.unaddressed(100).unwrap() {
            self.ledger
                .address(notice.number, &to(names), at_ms)
                .unwrap();
        }
    }

    fn due(&self, destination: &str, now_ms: i64) -> Vec<Delivery> {
        self.ledger
            .due_deliveries(destination, now_ms, 100)
            .unwrap()
    }

    fn words(&self, destination: &str, now_ms: i64) -> Vec<String> {
        let due = self.due(destination, now_ms);
        let words = due
            .iter()
            .map(|d| format!("{} {}", d.notice.case, d.notice.event));
        words.collect()
    }
}

#[test]
fn a_notice_is_kept_with_its_change_or_neither_is() {
    let house = open();
    let case = house.case(1);
    assert_eq!(house.happened(), ["1 case.opened", "1 case.assigned"]);
    let ids: Vec<_> = house.ledger.unaddressed(9).unwrap();
    assert!(ids[0].id.starts_with("msg_") && ids[0].id != ids[1].id);
    assert_eq!(ids[1].task.as_ref().map(|(place, _)| *place), Some(1));
    assert_eq!((ids[0].state, ids[0].revision), (State::Open, 1));
    // One of that number is there already; and a revision that is not the next one changes nothing.
    let rows = house.ledger.audit_head().unwrap().id;
    assert!(!house.ledger.insert_case(&case, &[], &audit()).unwrap());
    let mut stale = case.clone();
    stale.state = State::Withdrawn;
    assert!(
        !house
            .ledger
            .change_case(&stale, &Alongside::Nothing, &audit())
            .unwrap()
    );
    assert_eq!(house.happened().len(), 2);
    // A change that fails at its end, when its notice was written already.
    let mut next = case.clone();
    next.revision += 1;
    next.state = State::Withdrawn;
    next.tasks.push(Task::new(1, case.tasks[0].asked.clone()));
    assert!(
        house
            .ledger
            .change_case(&next, &Alongside::Nothing, &audit())
            .is_err()
    );
    let failed: Result<(), LedgerError> = house.ledger.write(&audit(), |write| {
        keep(
            write,
            Some(&case),
            &{
                let mut c = case.clone();
                c.state = State::Expired;
                c
            },
            &Alongside::Nothing,
        )?;
        Err(LedgerError::Full)
    });
    assert!(failed.is_err());
    assert_eq!(house.happened().len(), 2);
    assert_eq!(house.ledger.audit_head().unwrap().id, rows);
    // And one that is made is told, whoever opens the file next.
    house.change(&case, |case| case.state = State::Withdrawn);
    assert_eq!(house.ledger.audit_head().unwrap().id, rows + 1);
    let again = Ledger::open_read_only(&house.folder.path().join("ledger.sqlite")).unwrap();
    let last = again.unaddressed(9).unwrap().pop().unwrap();
    assert_eq!(
        (last.event, last.state, last.revision),
        (NoticeEvent::Withdrawn, State::Withdrawn, 2)
    );
}

#[test]
fn what_goes_to_nobody_is_forgotten_and_what_was_addressed_stays_so() {
    let house = open();
    house.case(1);
    house.address(&[], 10);
    assert!(house.happened().is_empty() && house.ledger.deliveries(0, true, 9).unwrap().is_empty());
    house.case(2);
    let [opened, assigned] = &house.ledger.unaddressed(9).unwrap()[..] else {
        panic!("not two")
    };
    house
        .ledger
        .address(opened.number, &to(&["a", "b"]), 10)
        .unwrap();
    house
        .ledger
        .address(opened.number, &to(&["c"]), 11)
        .unwrap();
    assert_eq!(house.words("a", 10), ["2 case.opened"]);
    assert!(house.words("c", 11).is_empty());
    assert_eq!(
        &house.ledger.unaddressed(9).unwrap()[..],
        std::slice::from_ref(assigned)
    );
}

#[test]
fn of_one_case_nothing_overtakes_and_others_go_on() {
    let house = open();
    let case = house.case(1);
    house.case(2);
    house.change(&case, |case| case.state = State::Withdrawn);
    house.address(&["a", "b"], 10);
    assert_eq!(house.words("a", 10), ["1 case.opened", "2 case.opened"]);
    let due = house.due("a", 10);
    let refused = |not_before_ms, is_given_up| Refused {
        reason: "no".into(),
        not_before_ms,
        is_given_up,
    };
    house
        .ledger
        .note_refused(due[0].id, &refused(50, false), 11)
        .unwrap();
    house.ledger.note_delivered(due[1].id, 12).unwrap();
    assert_eq!(house.words("a", 20), ["2 case.assigned"]);
    assert_eq!(house.words("b", 20), ["1 case.opened", "2 case.opened"]);
    assert_eq!(house.words("a", 50), ["1 case.opened", "2 case.assigned"]);
    assert_eq!(house.due("a", 50)[0].attempts, 1);
    // What has failed is out of the way, until somebody asks for a retry.
    house
        .ledger
        .note_refused(due[0].id, &refused(60, true), 51)
        .unwrap();
    assert_eq!(house.words("a", 60), ["1 case.assigned", "2 case.assigned"]);
    let destinations = house.ledger.notice_destinations().unwrap();
    let told: Vec<_> = destinations
        .iter()
        .map(|d| (&*d.name, d.waiting, d.failed, d.delivered))
        .collect();
    assert_eq!(told, [("a", 3, 1, 1), ("b", 5, 0, 0)]);
    // What was noted once stays as it is.
    house
        .ledger
        .note_refused(due[1].id, &refused(99, true), 52)
        .unwrap();
    house.ledger.note_delivered(due[0].id, 52).unwrap();
    assert_eq!(house.ledger.notice_destinations().unwrap(), destinations);
    let listed = house.ledger.deliveries(0, false, 100).unwrap();
    let failed: Vec<_> = listed
        .iter()
        .filter(|l| l.state == DeliveryState::Failed)
        .collect();
    assert_eq!(
        (failed.len(), &*failed[0].reason, failed[0].ended_ms),
        (1, "no", Some(51))
    );
    assert_eq!(
        (
            listed.len(),
            house.ledger.deliveries(0, true, 100).unwrap().len()
        ),
        (9, 10)
    );

    let rows = house.ledger.audit_head().unwrap().id;
    let of = |destination, case| NoticePart { destination, case };
    assert_eq!(
        house
            .ledger
            .retry_deliveries(of(Some("b"), None), 70, &audit())
            .unwrap(),
        0
    );
    assert_eq!(
        house
            .ledger
            .retry_deliveries(of(None, Some(1)), 70, &audit())
            .unwrap(),
        1
    );
    assert_eq!(house.due("a", 70)[0].queued_ms, 70);
    assert_eq!(house.words("a", 70)[0], "1 case.opened");
    assert_eq!(
        house
            .ledger
            .forget_deliveries(of(Some("a"), Some(1)), &audit())
            .unwrap(),
        3
    );
    assert_eq!(house.words("a", 70), ["2 case.assigned"]);
    assert_eq!(
        house
            .ledger
            .forget_deliveries(of(None, None), &audit())
            .unwrap(),
        6
    );
    assert_eq!(house.ledger.audit_head().unwrap().id, rows + 4);
}

#[test]
fn a_destination_is_left_alone_or_gone() {
    let house = open();
    house.case(1);
    house.address(&["a"], 10);
    house.case(2);
    house.address(&["a"], 20);
    let mut pause = NoticePause {
        reason: "no connection".into(),
        failures: 3,
        until_ms: 99,
        is_gone: false,
    };
    assert_eq!(house.ledger.notice_pause("a").unwrap(), None);
    assert_eq!(
        house
            .ledger
            .set_notice_pause("a", Some(&pause), i64::MIN, 30)
            .unwrap(),
        0
    );
    assert_eq!(house.ledger.notice_pause("a").unwrap(), Some(pause.clone()));
    // Those that have waited too long.
    assert_eq!(
        house
            .ledger
            .set_notice_pause("a", Some(&pause), 15, 30)
            .unwrap(),
        2
    );
    assert_eq!(house.words("a", 99), ["2 case.opened"]);
    house
        .ledger
        .note_delivered(house.due("a", 99)[0].id, 40)
        .unwrap();
    assert_eq!(house.ledger.notice_pause("a").unwrap(), None);
    pause.is_gone = true;
    assert_eq!(
        house
            .ledger
            .set_notice_pause("a", Some(&pause), i64::MAX, 50)
            .unwrap(),
        1
    );
    house.case(3);
    house.address(&["a"], 60);
    assert!(house.due("a", 99).is_empty() && house.happened().is_empty());
    let part = |destination, case| NoticePart { destination, case };
    let retry = |part| house.ledger.retry_deliveries(part, 70, &audit()).unwrap();
    assert_eq!(retry(part(None, Some(2))), 0, "it wants nothing");
    assert!(house.ledger.notice_pause("a").unwrap().unwrap().is_gone);
    assert_eq!(retry(part(Some("a"), None)), 3);
    assert_eq!(house.ledger.notice_pause("a").unwrap(), None);
}

#[test]
fn what_is_due_is_told_once() {
    let house = open();
    let now = 10 * DAY;
    let due = |number, opened_ms, due_ms| {
        let mut case = Case::example();
        (case.number, case.opened_ms) = (number, opened_ms);
        case.request.due_ms = Some(due_ms);
        assert!(house.ledger.insert_case(&case, &[], &audit()).unwrap());
    };
    due(1, 0, now - 1);
    due(2, 0, now + DAY);
    due(3, 0, now + DAY + 1);
    // Opened when it was due soon already: whoever was asked knows.
    due(4, now - 5, now + DAY / 2);
    house.case(5);
    house.change(&house.ledger.case(2).unwrap().unwrap(), |case| {
        case.state = State::InReview
    });
    house.address(&[], 1);
    assert_eq!(house.ledger.tell_due(now, DAY).unwrap(), 2);
    assert_eq!(house.happened(), ["1 case.overdue", "2 case.due_soon"]);
    assert_eq!(house.ledger.tell_due(now, DAY).unwrap(), 0);
    house.address(&[], 1);
    assert_eq!(house.ledger.tell_due(now + DAY, DAY).unwrap(), 3);
    assert_eq!(
        house.happened(),
        ["4 case.overdue", "2 case.overdue", "3 case.due_soon"]
    );
    let answered = house.ledger.case(3).unwrap().unwrap();
    house.change(&answered, |case| case.state = State::Answered);
    assert_eq!(house.ledger.tell_due(now + 9 * DAY, DAY).unwrap(), 0);
}

#[test]
fn images_are_told_once_for_an_opinion() {
    let house = open();
    let case = house.case(1);
    house.address(&[], 1);
    assert!(house.ledger.watched(0, 9).unwrap().is_empty());
    assert!(house.ledger.tell_images_changed(&case, 7, 5).unwrap());
    assert!(!house.ledger.tell_images_changed(&case, 7, 6).unwrap());
    assert!(house.ledger.tell_images_changed(&case, 8, 7).unwrap());
    assert_eq!(
        house.happened(),
        ["1 case.images_changed", "1 case.images_changed"]
    );
}

#[test]
fn what_ended_long_ago_is_forgotten_and_too_many_do_not_wait() {
    let house = open();
    for number in 1..=3 {
        house.case(number);
    }
    house.address(&["a"], 10);
    for delivery in house.due("a", 10) {
        house.ledger.note_delivered(delivery.id, 20).unwrap();
    }
    // The notices of these cases happened at 1.
    let kept = || house.ledger.deliveries(0, true, 99).unwrap().len();
    let tidy = |ended_before_ms, waiting_max, at_ms| {
        let untidy = Untidy {
            ended_before_ms,
            waiting_max,
            served: &["a"],
            queued_before_ms: 99,
        };
        house.ledger.tidy_notices(&untidy, at_ms).unwrap()
    };
    assert_eq!(tidy(20, 9, 30), Tidied::default());
    let tidied = tidy(21, 9, 30);
    assert_eq!((tidied.forgotten, tidied.crowded_out, kept()), (3, 0, 3));
    let tidied = tidy(21, 1, 31);
    assert_eq!((tidied.forgotten, tidied.crowded_out, kept()), (0, 2, 3));
    assert_eq!(house.words("a", 40), ["3 case.assigned"]);
    let listed = house.ledger.deliveries(0, true, 99).unwrap();
    assert_eq!(&*listed[0].reason, "too many wait");
    let delivered = house.ledger.notice_destinations().unwrap()[0].delivered;
    assert_eq!(delivered, 3, "counted for good");
}

#[test]
fn nothing_waits_for_good_where_nobody_brings_anything() {
    let house = open();
    house.case(1);
    house.address(&["a", "it's \"b\"", EMAIL], 10);
    house.case(2);
    house.address(&["a", "it's \"b\"", EMAIL], 20);
    let tidy = |served: &[&str], queued_before_ms| {
        let untidy = Untidy {
            ended_before_ms: 0,
            waiting_max: 99,
            served,
            queued_before_ms,
        };
        house.ledger.tidy_notices(&untidy, 30).unwrap()
    };
    let all = ["a", "it's \"b\"", EMAIL];
    assert_eq!(tidy(&all, 99), Tidied::default());
    assert_eq!(tidy(&["a", EMAIL], 9), Tidied::default());
    assert_eq!(tidy(&["a", EMAIL], 10).unserved, 2);
    assert_eq!(tidy(&["a", EMAIL], 10), Tidied::default());
    let gone: Vec<_> = house.ledger.deliveries(0, false, 99).unwrap();
    let gone: Vec<_> = gone
        .iter()
        .filter(|listed| listed.state == DeliveryState::Failed)
        .map(|listed| {
            (
                listed.delivery.notice.case,
                &*listed.destination,
                &*listed.reason,
                listed.ended_ms,
            )
        })
        .collect();
    let expected = (1, "it's \"b\"", "it is not configured any more", Some(30));
    assert_eq!(gone, [expected, expected]);
    // Nobody is told anything: mail neither.
    assert_eq!(tidy(&[], 20).unserved, 10);
    assert!(house.words("a", 99).is_empty() && house.words(EMAIL, 99).is_empty());
}

#[test]
fn mail_keeps_its_order_for_each_account_and_pools_have_theirs() {
    let house = open();
    for (name, email) in [("anna", Some("anna@example.org")), ("bert", None)] {
        let new = NewAccount {
            name: AccountName::parse(name).unwrap(),
            roles: Roles::READER,
            passcode: "x".into(),
            email: email.map(|text| crate::access::Email::parse(text).unwrap()),
            created_ms: 1,
        };
        house.ledger.add_account(&new, &audit()).unwrap();
        let pools = [Pool::parse("neuro").unwrap()];
        house.ledger.set_pools(name, &pools, &audit()).unwrap();
    }
    let pool = Pool::parse("neuro").unwrap();
    let accounts = house.ledger.accounts_of_pool(&pool).unwrap();
    let told: Vec<_> = accounts
        .iter()
        .map(|a| (&*a.name, a.email.is_some()))
        .collect();
    assert_eq!(told, [("anna", true), ("bert", false)]);
    assert!(
        house
            .ledger
            .accounts_of_pool(&Pool::parse("spine").unwrap())
            .unwrap()
            .is_empty()
    );
    let change = AccountChange::default();
    house
        .ledger
        .change_account("anna", &change, &audit())
        .unwrap();
    assert_eq!(house.ledger.account("anna").unwrap().unwrap(), accounts[0]);

    house.case(1);
    for notice in house.ledger.unaddressed(9).unwrap() {
        let names = ["anna", "bert"].map(|name| (Box::from(EMAIL), Box::from(name)));
        house.ledger.address(notice.number, &names, 10).unwrap();
    }
    let due = house.due(EMAIL, 10);
    let who: Vec<_> = due
        .iter()
        .map(|d| (&*d.recipient, d.notice.event))
        .collect();
    assert_eq!(
        who,
        [("anna", NoticeEvent::Opened), ("bert", NoticeEvent::Opened)]
    );
    house.ledger.note_delivered(due[1].id, 11).unwrap();
    let due = house.due(EMAIL, 10);
    let who: Vec<_> = due
        .iter()
        .map(|d| (&*d.recipient, d.notice.event))
        .collect();
    assert_eq!(
        who,
        [
            ("anna", NoticeEvent::Opened),
            ("bert", NoticeEvent::Assigned)
        ]
    );
}

#[test]
fn a_case_that_goes_out_later_tells_its_readers_then() {
    let house = open();
    let mut case = Case::example();
    case.completed = None;
    assert!(house.ledger.insert_case(&case, &[], &audit()).unwrap());
    assert_eq!(house.happened(), ["1 case.opened"]);
    let case = house.ledger.case(1).unwrap().unwrap();
    let out = house.change(&case, |case| {
        case.completed = Some(Completed {
            by: "rita".into(),
            at_ms: 5,
        });
    });
    house.change(&out, |case| case.tasks[0].state = TaskState::Claimed);
    assert_eq!(
        house.happened(),
        ["1 case.opened", "1 case.assigned", "1 case.claimed"]
    );
}
