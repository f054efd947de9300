//! The rules of the queue, over the ledger in SQLite and a receiver that does what a test says.

use std::sync::Mutex;

use super::*;
use crate::access::audit::{ActionCode, Actor, AuditRecord, Event};
use crate::cases::notices::{DeliveryState, NoticeLedger as _, NoticePart};
use crate::cases::{Alongside, Case, State};
use crate::db::Ledger;

/// Answers as it is told, and notes what it was given; when there is nothing left to say, it takes what comes.
#[derive(Default)]
struct Receiver {
    answers: Mutex<Vec<Outcome>>,
    had: Mutex<Vec<String>>,
    /// What happens while it is given the next one.
    meanwhile: Mutex<Option<Box<dyn FnOnce() + Send>>>,
}

impl Carrier for Arc<Receiver> {
    fn carry(&self, delivery: &Delivery) -> Outcome {
        let told = format!("{} {}", delivery.notice.case, delivery.notice.event);
        self.had.lock().unwrap().push(told);
        if let Some(happens) = self.meanwhile.lock().unwrap().take() {
            happens();
        }
        self.answers
            .lock()
            .unwrap()
            .pop()
            .unwrap_or(Outcome::Delivered)
    }
}

struct House {
    worker: Worker,
    receiver: Arc<Receiver>,
    ledger: Arc<Ledger>,
    _folder: tempfile::TempDir,
}

fn audit() -> AuditRecord {
    AuditRecord::new(Event::OrderRecord, ActionCode::Update, Actor::default(), 7)
}

/// A worker that waits for nothing, or for good.
fn open(retry_wait: Duration, give_up_after: Duration) -> House {
    let folder = tempfile::tempdir().unwrap();
    let ledger = Arc::new(Ledger::open(&folder.path().join("ledger.sqlite"), 2).unwrap());
    let receiver = Arc::new(Receiver::default());
    House {
        worker: Worker {
            destination: "a".into(),
            carrier: Box::new(receiver.clone()),
            ledger: ledger.clone(),
            signal: Arc::default(),
            retry_wait,
            give_up_after,
        },
        receiver,
        ledger,
        _folder: folder,
    }
}

const AT_ONCE: Duration = Duration::ZERO;
const NEVER: Duration = Duration::from_secs(1_000_000);

impl House {
    /// A case with two notices for the receiver.
    fn case(&self, number: u64) {
        let mut case = Case::example();
        case.number = number;
        assert!(self.ledger.insert_case(&case, &[], &audit()).unwrap());
        self.address();
    }

    fn address(&self) {
        for notice in self.ledger.unaddressed(99).unwrap() {
            let to = [("a".into(), Box::default())];
            self.ledger.address(notice.number, &to, now_ms()).unwrap();
        }
    }

    /// The last one is said first.
    fn will_answer(&self, answers: Vec<Outcome>) {
        let mut answers = answers;
        answers.reverse();
        *self.receiver.answers.lock().unwrap() = answers;
    }

    /// What the receiver was given until there was nothing to do.
    fn rounds(&self) -> Vec<String> {
        for _ in 0..50 {
            if !self.worker.round().unwrap() {
                break;
            }
        }
        std::mem::take(&mut *self.receiver.had.lock().unwrap())
    }

    fn states(&self) -> Vec<(DeliveryState, u32)> {
        let listed = self.ledger.deliveries(0, true, 99).unwrap();
        listed
            .iter()
            .map(|l| (l.state, l.delivery.attempts))
            .collect()
    }
}

use DeliveryState::{Delivered, Failed, Waiting};

fn refused() -> Outcome {
    Outcome::Refused("it answers HTTP 500".into())
}

fn unreachable() -> Outcome {
    Outcome::Unreachable("no connection".into(), None)
}

#[test]
fn what_is_not_taken_is_tried_again_and_holds_up_its_case_only() {
    let house = open(AT_ONCE, NEVER);
    house.case(1);
    house.case(2);
    house.will_answer(vec![refused(), Outcome::Delivered, refused()]);
    let expected = [
        "1 case.opened",
        "2 case.opened",
        "1 case.opened",
        "2 case.assigned",
        "1 case.opened",
        "1 case.assigned",
    ];
    assert_eq!(house.rounds(), expected);
    assert_eq!(
        house.states(),
        [
            (Delivered, 2),
            (Delivered, 0),
            (Delivered, 0),
            (Delivered, 0)
        ]
    );
    assert!(house.rounds().is_empty());
}

#[test]
fn what_waits_is_left_alone_until_its_time() {
    let house = open(NEVER, NEVER);
    house.case(1);
    house.case(2);
    house.will_answer(vec![refused()]);
    assert_eq!(
        house.rounds(),
        ["1 case.opened", "2 case.opened", "2 case.assigned"]
    );
    assert!(house.rounds().is_empty());
    let retried = house
        .ledger
        .retry_deliveries(NoticePart::default(), now_ms(), &audit());
    assert_eq!(retried.unwrap(), 1);
    assert_eq!(house.rounds(), ["1 case.opened", "1 case.assigned"]);
}

#[test]
fn it_is_given_up_after_a_time_but_never_at_once() {
    let house = open(AT_ONCE, AT_ONCE);
    house.case(1);
    house.will_answer(vec![refused(), refused(), refused()]);
    let opened = "1 case.opened";
    assert_eq!(house.rounds(), [opened, opened, opened, "1 case.assigned"]);
    assert_eq!(house.states(), [(Failed, 3), (Delivered, 0)]);

    let house = open(AT_ONCE, NEVER);
    house.case(1);
    house.will_answer((0..9).map(|_| refused()).collect());
    assert_eq!(house.rounds().len(), 11);
    assert_eq!(house.states(), [(Delivered, 9), (Delivered, 0)]);
    // Nobody there is nobody, whatever the time.
    house.case(2);
    house.will_answer(vec![Outcome::Nobody("no address".into())]);
    assert_eq!(house.rounds(), ["2 case.opened", "2 case.assigned"]);
    assert_eq!(house.states()[2..], [(Failed, 1), (Delivered, 0)]);
}

#[test]
fn who_cannot_be_reached_is_left_alone_as_a_whole() {
    let house = open(NEVER, NEVER);
    house.case(1);
    house.case(2);
    house.will_answer(vec![unreachable()]);
    assert_eq!(house.rounds(), ["1 case.opened"]);
    assert!(house.rounds().is_empty());
    let pause = house.ledger.notice_pause("a").unwrap().unwrap();
    assert_eq!(
        (&*pause.reason, pause.failures, pause.is_gone),
        ("no connection", 1, false)
    );
    // A start tries again; an answer ends the pause.
    house.worker.clear_pause().unwrap();
    assert_eq!(house.rounds().len(), 4);
    assert_eq!(house.ledger.notice_pause("a").unwrap(), None);
}

#[test]
fn who_takes_nothing_at_all_is_left_alone_too() {
    let house = open(NEVER, NEVER);
    for number in 1..=30 {
        house.case(number);
    }
    house.will_answer((0..10).map(|_| refused()).collect());
    assert_eq!(house.rounds().len(), 10);
    let pause = house.ledger.notice_pause("a").unwrap().unwrap();
    assert_eq!((&*pause.reason, pause.failures), ("it answers HTTP 500", 1));
    // Not when it takes some.
    house.worker.clear_pause().unwrap();
    let mut answers: Vec<_> = (0..9).map(|_| refused()).collect();
    answers.push(Outcome::Delivered);
    answers.extend((0..9).map(|_| refused()));
    house.will_answer(answers);
    assert!(house.rounds().len() > 19);
    assert_eq!(house.ledger.notice_pause("a").unwrap(), None);
}

#[test]
fn the_receiver_says_how_long() {
    let house = open(AT_ONCE, NEVER);
    house.case(1);
    let wait = Some(Duration::from_secs(600));
    house.will_answer(vec![Outcome::Unreachable(
        "it answers HTTP 429".into(),
        wait,
    )]);
    assert_eq!(house.rounds().len(), 1);
    let pause = house.ledger.notice_pause("a").unwrap().unwrap();
    let wait_ms = pause.until_ms - now_ms();
    assert!((590_000..=600_000).contains(&wait_ms), "{wait_ms}");
}

#[test]
fn what_cannot_be_brought_for_long_has_failed() {
    let house = open(AT_ONCE, AT_ONCE);
    house.case(1);
    house.will_answer(vec![unreachable(), unreachable(), unreachable()]);
    for failures in 1..=2 {
        assert_eq!(house.rounds(), ["1 case.opened"]);
        let pause = house.ledger.notice_pause("a").unwrap().unwrap();
        assert_eq!(
            (pause.failures, house.states()[1]),
            (failures, (Waiting, 0))
        );
    }
    assert_eq!(house.rounds(), ["1 case.opened"]);
    assert_eq!(house.states(), [(Failed, 3), (Failed, 0)]);
    // What happens later goes all the same.
    house.case(2);
    assert_eq!(house.rounds(), ["2 case.opened", "2 case.assigned"]);
}

#[test]
fn who_wants_nothing_any_more_gets_nothing_until_somebody_asks() {
    let house = open(AT_ONCE, NEVER);
    house.case(1);
    house.will_answer(vec![Outcome::Gone("it answers HTTP 410".into())]);
    assert_eq!(house.rounds(), ["1 case.opened"]);
    house.case(2);
    house.worker.clear_pause().unwrap();
    assert!(house.rounds().is_empty());
    assert_eq!(house.states(), [(Failed, 0), (Failed, 0)]);
    let part = NoticePart {
        destination: Some("a"),
        case: None,
    };
    assert_eq!(
        house
            .ledger
            .retry_deliveries(part, now_ms(), &audit())
            .unwrap(),
        2
    );
    assert_eq!(house.rounds(), ["1 case.opened", "1 case.assigned"]);
}

#[test]
fn who_is_told_to_stop_begins_nothing() {
    let house = open(AT_ONCE, NEVER);
    house.case(1);
    house.worker.signal.give();
    assert!(house.rounds().is_empty());
    house.worker.run();
    assert_eq!(house.states(), [(Waiting, 0), (Waiting, 0)]);
}

#[test]
fn what_is_forgotten_meanwhile_is_not_brought() {
    let house = open(AT_ONCE, NEVER);
    for number in 1..=3 {
        house.case(number);
    }
    // These three are read as due together.
    let ledger = house.ledger.clone();
    *house.receiver.meanwhile.lock().unwrap() = Some(Box::new(move || {
        let part = NoticePart {
            destination: None,
            case: Some(2),
        };
        assert_eq!(ledger.forget_deliveries(part, &audit()).unwrap(), 2);
    }));
    let expected = [
        "1 case.opened",
        "3 case.opened",
        "1 case.assigned",
        "3 case.assigned",
    ];
    assert_eq!(house.rounds(), expected);
    assert_eq!(house.states(), [(Delivered, 0); 4]);
}

#[test]
fn order_is_that_of_the_case() {
    let house = open(AT_ONCE, NEVER);
    house.case(1);
    let mut case = house.ledger.case(1).unwrap().unwrap();
    case.revision += 1;
    case.state = State::Withdrawn;
    assert!(
        house
            .ledger
            .change_case(&case, &Alongside::Nothing, &audit())
            .unwrap()
    );
    house.address();
    house.will_answer(vec![refused(), unreachable(), refused()]);
    let mut had = house.rounds();
    had.extend(house.rounds());
    let opened = "1 case.opened";
    let expected = [
        opened,
        opened,
        opened,
        opened,
        "1 case.assigned",
        "1 case.withdrawn",
    ];
    assert_eq!(had, expected);
}
