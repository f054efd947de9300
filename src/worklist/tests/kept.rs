//! How much of what is kept is read to find something.

use super::*;

fn of_study(study: &str) -> Dataset {
    let mut dataset = new_workitem();
    dataset.set(text(STUDY_INSTANCE_UID, VR::UI, study));
    dataset
}

#[test]
fn large_workitems_are_read_a_few_at_once() {
    let house = open();
    let mut large = new_workitem();
    let comment = "x".repeat(900_000);
    large.set(text(Tag(0x0040, 0x0400), VR::LT, &comment));
    for number in 1..=7 {
        let name = uid(&format!("2.25.{number}"));
        let created = house.worklist.create(&name, large.clone(), &caller());
        created.unwrap();
    }
    let batch = |after, limit| {
        let found = house.ledger.workitems(&Narrow::default(), after, limit);
        let found = found.unwrap();
        found.iter().map(|found| found.number).collect::<Vec<_>>()
    };
    assert_eq!(batch(0, 200), [1, 2, 3, 4, 5]);
    assert_eq!(batch(5, 200), [6, 7]);
    assert_eq!(batch(0, 2), [1, 2]);
    let question = Question {
        limit: 100,
        ..Question::default()
    };
    let found = house.worklist.search(&question, &caller()).unwrap();
    assert_eq!(found.workitems.len(), 7);
}

#[test]
fn one_that_is_not_as_it_was_written_holds_up_none_of_the_others() {
    let house = open();
    for number in 1..=9 {
        house.made(&format!("2.25.{number}"), State::Scheduled);
    }
    for number in [1, 2, 3, 7] {
        house.ledger.break_workitem(&uid(&format!("2.25.{number}")));
    }
    let read = |after, limit| {
        let found = house.ledger.workitems(&Narrow::default(), after, limit);
        let found = found.unwrap();
        found.iter().map(|found| found.number).collect::<Vec<_>>()
    };
    assert_eq!(read(0, 200), [4, 5, 6, 8, 9]);
    // Nobody takes a page of broken ones for the end.
    assert_eq!((read(0, 2), read(6, 1)), (vec![4], vec![8]));
    assert!(read(9, 1).is_empty());
    let question = Question {
        limit: 100,
        ..Question::default()
    };
    let found = house.worklist.search(&question, &caller()).unwrap();
    assert_eq!(found.workitems.len(), 5);
    assert!(house.worklist.retrieve(&uid("2.25.7"), &caller()).is_err());
    assert!(house.worklist.can_be_read());
    // Nor who subscribes to all of them.
    let all = Target::All(Vec::new());
    let subscriber = subscriber("ALL", DeletionLock::Held);
    house
        .worklist
        .subscribe(&all, &subscriber, &caller())
        .unwrap();
    assert_eq!(house.recorder.told().len(), 5);
}

#[test]
fn who_may_see_some_studies_looks_through_those_only() {
    let house = open();
    for number in 1..=20 {
        let study = if number % 10 == 0 { "1.2.4" } else { "1.2.3" };
        let name = uid(&format!("2.25.{number}"));
        let created = house.worklist.create(&name, of_study(study), &caller());
        created.unwrap();
    }
    let read = |scope: &Scope, after| {
        let narrow = super::super::search::narrowed(&[], scope);
        let found = house.ledger.workitems(&narrow, after, 200).unwrap();
        found.iter().map(|found| found.number).collect::<Vec<_>>()
    };
    let some = of_studies(&["1.2.4", "1.2.5"]).scope;
    assert_eq!(read(&some, 0), [10, 20]);
    assert_eq!(read(&some, 10), [20]);
    assert!(read(&of_studies(&["1.2.5"]).scope, 0).is_empty());
    assert!(read(&Scope::Nothing, 0).is_empty());
    assert_eq!(read(&Scope::All, 0).len(), 20);
}

#[test]
fn what_is_over_waits_for_no_input() {
    let house = open();
    let mut dataset = new_workitem();
    dataset.set(text(INPUT_READINESS_STATE, VR::CS, "INCOMPLETE"));
    let name = uid("2.25.1");
    house.worklist.create(&name, dataset, &caller()).unwrap();
    let waiting = || {
        let narrow = Narrow {
            is_incomplete: true,
            ..Narrow::default()
        };
        house.ledger.workitems(&narrow, 0, 10).unwrap().len()
    };
    assert_eq!(waiting(), 1);
    house
        .worklist
        .request_cancellation(&name, &Dataset::default(), &ae("WARD"), &caller())
        .unwrap();
    assert_eq!((house.state(&name), waiting()), (State::Canceled, 0));
    // It says so still, for the record.
    let kept = house.dataset(&name);
    assert_eq!(kept.text(INPUT_READINESS_STATE), Some("INCOMPLETE"));
}

#[test]
fn a_look_is_told_with_its_studies_and_patient() {
    let house = open();
    let name = house.made("2.25.1", State::Scheduled);
    let workitem = house.worklist.retrieve(&name, &caller()).unwrap();
    let record = house.worklist.record_of_look(&workitem, &caller());
    assert_eq!(record.action, ActionCode::Read);
    assert_eq!(record.studies, [uid("1.2.3")]);
    assert_eq!(record.patient_id, "P1");
    assert_eq!(record.object, "workitem 2.25.1");
}
