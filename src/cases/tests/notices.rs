//! Who is told what: notices come of what was done, none of what was refused, and each goes to whom it concerns.

use super::*;
use crate::access::Email;
use crate::access::account::AccountChange;
use crate::cases::notices::{Channels, NoticeLedger as _, Watch};

impl House {
    fn has(&self, name: &str, roles: Option<&str>) {
        let change = AccountChange {
            roles: roles.map(|roles| Roles::parse(roles).unwrap()),
            email: Some(Email::parse(&format!("{name}@example.org")).ok()),
            ..AccountChange::default()
        };
        let audit = record(&Case::example(), ActionCode::Update, Actor::default(), NOW);
        self.ledger.change_account(name, &change, &audit).unwrap();
    }

    /// What has happened since it was last asked, and who gets mail about it: "event of case > names".
    fn told(&self) -> Vec<String> {
        let before = self.ledger.deliveries(0, true, 999).unwrap().len();
        let channels = Channels {
            webhooks: vec!["hook".into()],
            has_email: true,
        };
        while self.cases.address_notices(&channels, NOW).unwrap() > 0 {}
        let mut told: Vec<String> = Vec::new();
        for listed in &self.ledger.deliveries(0, true, 999).unwrap()[before..] {
            let word = listed.delivery.notice.event.word();
            match &*listed.delivery.recipient {
                "" => told.push(word.trim_start_matches("case.").to_owned()),
                name => {
                    let last = told.last_mut().unwrap();
                    let gap = if last.contains('>') { " " } else { " > " };
                    *last += &format!("{gap}{name}");
                }
            }
        }
        told
    }
}

#[test]
fn what_was_done_is_told_to_whom_it_concerns_and_nothing_else_is() {
    let house = open();
    for name in ["rita", "rosa", "anna", "bert", "vera"] {
        house.has(name, None);
    }
    let (rita, anna, bert) = (caller("rita"), caller("anna"), caller("bert"));
    let case = house.opened(&[reader("anna"), pool()], |_| ());
    let number = case.number;
    assert_eq!(
        house.told(),
        ["opened", "assigned > anna", "assigned > anna bert"]
    );
    // Refused, for every kind of reason.
    assert!(house.cases.close(number, None, &rita).is_err());
    assert!(house.cases.withdraw(number, None, &anna).is_err());
    assert!(house.cases.withdraw(number, Some(99), &rita).is_err());
    assert!(house.cases.sign(number, &differs(), None, &anna).is_err());
    assert!(house.told().is_empty());
    house.signed(number, "anna");
    assert_eq!(house.told(), ["claimed", "signed"]);
    house.cases.claim(number, &bert).unwrap();
    house.cases.give_back(number, "away", &bert).unwrap();
    assert_eq!(
        house.told(),
        ["claimed", "given_back > rita", "answered > rita"]
    );
    let opinion = house.ledger.opinions(number).unwrap()[0].id;
    let correction = Correction {
        corrects: opinion,
        reason: "wrong level".into(),
        impression: impression(),
        comparison: differs(),
    };
    house
        .cases
        .correct(number, correction, None, &anna)
        .unwrap();
    assert_eq!(house.told(), ["corrected > rita"]);
    let judge = reader("carl");
    let named = [opinion + 1];
    house
        .cases
        .adjudicate(number, &named, &judge, None, &rita)
        .unwrap();
    // Who has no address is told nothing.
    assert_eq!(house.told(), ["adjudication_asked"]);
}

#[test]
fn who_lost_their_part_is_told_nothing() {
    let house = open();
    house.has("rita", Some("viewer"));
    house.has("anna", Some("viewer"));
    house.has("bert", None);
    let case = house.opened(&[reader("bert"), pool()], |_| ());
    let audit = record(&case, ActionCode::Update, Actor::default(), NOW);
    house
        .ledger
        .change_account("bert", &AccountChange::enabled(false), &audit)
        .unwrap();
    assert_eq!(house.told(), ["opened", "assigned", "assigned"]);
    house
        .ledger
        .change_account("bert", &AccountChange::enabled(true), &audit)
        .unwrap();
    let withdrawn = house.cases.withdraw(case.number, None, &caller("rita"));
    assert_eq!(withdrawn.unwrap().state, State::Withdrawn);
    // He was asked by name; of the pool nobody had begun.
    assert_eq!(house.told(), ["withdrawn > bert"]);
}

#[test]
fn who_is_not_waited_for_any_longer_is_told_so() {
    let house = open();
    for name in ["rita", "anna", "bert"] {
        house.has(name, None);
    }
    let (rita, anna) = (caller("rita"), caller("anna"));
    let readers = [reader("anna"), reader("bert"), pool(), reader("bert")];
    let number = house.opened(&readers[..3], |_| ()).number;
    house.told();
    let end = |place| house.cases.end(number, place, None, &rita);
    // Who was asked, and has done nothing; then whoever of a pool has begun; nobody else either time.
    end(2).unwrap();
    assert_eq!(house.told(), ["task_ended > bert"]);
    assert!(end(2).is_err() && house.told().is_empty());
    house.signed(number, "anna");
    house.cases.claim(number, &caller("bert")).unwrap();
    assert_eq!(house.told(), ["claimed", "signed", "claimed"]);
    end(3).unwrap();
    assert_eq!(house.told(), ["task_ended > bert", "answered > rita"]);
    // A pool of which nobody has begun was asked all the same.
    let number = house.opened(&readers[2..], |_| ()).number;
    house.told();
    house.cases.end(number, 1, None, &rita).unwrap();
    assert_eq!(house.told(), ["task_ended > anna bert"]);
    assert!(house.cases.claim(number, &anna).is_err());
    // Who was never told that they are asked is not told that they are not.
    let held = |request: &mut Request| request.needs_complete = true;
    let number = house.opened(&readers[..2], held).number;
    house.cases.end(number, 2, None, &rita).unwrap();
    house.cases.complete(number, None, &rita).unwrap();
    assert_eq!(house.told(), ["opened", "assigned > anna"]);
}

#[test]
fn the_end_of_a_case_is_told_to_those_whose_task_ends_with_it() {
    let house = open();
    for name in ["rita", "anna", "bert"] {
        house.has(name, None);
    }
    let rita = caller("rita");
    let expires = |request: &mut Request| request.expires_ms = Some(NOW + DAY);
    for (is_withdrawn, expected) in [(true, "withdrawn > anna"), (false, "expired > anna rita")] {
        let readers = [reader("anna"), reader("bert"), pool()];
        let number = house.opened(&readers, expires).number;
        house.cases.claim(number, &caller("bert")).unwrap();
        house.told();
        for place in [2, 3] {
            house.cases.end(number, place, None, &rita).unwrap();
        }
        assert_eq!(
            house.told(),
            ["task_ended > bert", "task_ended > anna bert"]
        );
        // In the same moment, by the clock of the house.
        match is_withdrawn {
            true => drop(house.cases.withdraw(number, None, &rita).unwrap()),
            false => assert_eq!(house.cases.expire(NOW + DAY).unwrap(), 1),
        }
        assert_eq!(house.told(), [expected]);
    }
}

#[test]
fn images_of_a_case_that_has_ended_are_not_watched() {
    let house = open();
    let rita = caller("rita");
    let mut watch = Watch::default();
    let mut look = || watch.look(&house.cases, NOW).unwrap();
    let closed = house.opened(&[reader("anna")], |_| ()).number;
    house.signed(closed, "anna");
    house.cases.close(closed, None, &rita).unwrap();
    let withdrawn = house
        .opened(&[reader("anna"), reader("bert")], |_| ())
        .number;
    house.signed(withdrawn, "anna");
    assert_eq!(house.ledger.watched(0, 9).unwrap(), [withdrawn]);
    house.cases.withdraw(withdrawn, None, &rita).unwrap();
    assert!(house.ledger.watched(0, 9).unwrap().is_empty());
    house.store("1.2.3", "1.2.3.7", CT, "late");
    assert_eq!(look(), 0);
    // A correction answers it again.
    let correction = Correction {
        corrects: house.ledger.opinions(closed).unwrap()[0].id,
        reason: "with the late one".into(),
        impression: impression(),
        comparison: differs(),
    };
    let anna = caller("anna");
    house
        .cases
        .correct(closed, correction, None, &anna)
        .unwrap();
    assert_eq!(house.ledger.watched(0, 9).unwrap(), [closed]);
}

#[test]
fn time_and_late_images_are_told_once() {
    let house = open();
    for name in ["rita", "anna"] {
        house.has(name, None);
    }
    let due = |request: &mut Request| request.due_ms = Some(NOW + 3 * DAY);
    let number = house.opened(&[reader("anna")], due).number;
    assert_eq!(house.told(), ["opened", "assigned > anna"]);
    for (at_ms, expected) in [
        (NOW + DAY, &[][..]),
        (NOW + 2 * DAY, &["due_soon > anna"]),
        (NOW + 2 * DAY + 1, &[]),
        (NOW + 3 * DAY, &["overdue > anna rita"]),
        (NOW + 9 * DAY, &[]),
    ] {
        house.cases.tell_due(at_ms, DAY).unwrap();
        assert_eq!(house.told(), expected, "{at_ms}");
    }
    let mut watch = Watch::default();
    let mut look = || watch.look(&house.cases, NOW).unwrap();
    assert_eq!(look(), 0);
    house.signed(number, "anna");
    let mut recorder = Recorder::default();
    recorder.catch_up(&house.cases, NOW).unwrap();
    house.told();
    // What we have made of the opinion ourselves is no news.
    assert_eq!(look(), 0);
    house.store("1.2.3", "1.2.3.7", CT, "late");
    assert_eq!((look(), look()), (1, 0));
    assert_eq!(house.told(), ["images_changed > anna rita"]);
    house.store("1.2.3", "1.2.3.8", CT, "later");
    assert_eq!(look(), 0, "once for an opinion");
    let opinion = house.ledger.opinions(number).unwrap()[0].id;
    let correction = Correction {
        corrects: opinion,
        reason: "with the late one".into(),
        impression: impression(),
        comparison: differs(),
    };
    let anna = caller("anna");
    house
        .cases
        .correct(number, correction, None, &anna)
        .unwrap();
    assert_eq!(look(), 0);
    house.store("1.2.3", "1.2.3.10", CT, "after the correction");
    assert_eq!((look(), look()), (1, 0));
}
