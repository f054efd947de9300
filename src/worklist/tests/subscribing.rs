//! Who is told what: requests to cancel, subscriptions, the status of the server, readiness.

use super::*;

#[test]
fn a_request_to_cancel_goes_to_those_who_watch_or_fails() {
    let house = open();
    let name = house.made("2.25.1", State::InProgress);
    let cancel = || {
        let nothing = Dataset::default();
        house
            .worklist
            .request_cancellation(&name, &nothing, &ae("WARD"), &caller())
    };
    assert!(matches!(
        cancel(),
        Err(Error::Refused(Refusal::PerformerUnreachable))
    ));
    let target = Target::Workitem(name.clone());
    let watcher = subscriber("WATCH", DeletionLock::None);
    house
        .worklist
        .subscribe(&target, &watcher, &caller())
        .unwrap();
    assert_eq!(house.recorder.told(), ["WATCH 1 IN PROGRESS"]);
    assert!(matches!(cancel(), Ok(None)));
    assert_eq!(house.recorder.told(), ["WATCH 2"]);
    assert_eq!(house.state(&name), State::InProgress);
    let done = house.made("2.25.2", State::Completed);
    let nothing = Dataset::default();
    let late = house
        .worklist
        .request_cancellation(&done, &nothing, &ae("WARD"), &caller());
    assert!(matches!(
        late,
        Err(Error::Refused(Refusal::AlreadyCompleted))
    ));
}

#[test]
fn global_subscriptions_follow_the_table() {
    let house = open();
    let (all, held) = (Target::All(Vec::new()), DeletionLock::Held);
    let subscribe = |target: &Target, name: &str, lock| {
        let subscriber = subscriber(name, lock);
        house.worklist.subscribe(target, &subscriber, &caller())
    };
    let one = house.made("2.25.1", State::Scheduled);
    let two = house.made("2.25.2", State::Completed);
    subscribe(&all, "QUIET", DeletionLock::None).unwrap();
    assert!(
        house.recorder.told().is_empty(),
        "without lock, without reports"
    );
    subscribe(&all, "LOUD", held).unwrap();
    assert_eq!(
        house.recorder.told(),
        ["LOUD 1 SCHEDULED", "LOUD 1 COMPLETED"],
        "those that are open first"
    );
    let filter = vec![("WorklistLabel".to_owned(), "NEURO".to_owned())];
    subscribe(&Target::All(filter), "NEURO", held).unwrap();
    assert!(house.recorder.told().is_empty());
    let three = house.made("2.25.3", State::Scheduled);
    assert_eq!(
        house.recorder.told(),
        ["LOUD 1 SCHEDULED", "QUIET 1 SCHEDULED"]
    );
    let mut neuro = new_workitem();
    neuro.set(text(WORKLIST_LABEL, VR::LO, "NEURO"));
    house
        .worklist
        .create(&uid("2.25.4"), neuro, &caller())
        .unwrap();
    assert_eq!(house.recorder.told().len(), 3);

    let locks = |uid: &Uid| house.ledger.subscribers(uid).unwrap();
    assert_eq!(
        locks(&two),
        [
            subscriber("LOUD", held),
            subscriber("QUIET", DeletionLock::None)
        ]
    );
    // Suspended: what it is subscribed to stays, what comes does not come.
    let global = uid(GLOBAL_SUBSCRIPTION);
    house
        .worklist
        .suspend(&global, &ae("LOUD"), &caller())
        .unwrap();
    assert!(matches!(
        house.worklist.suspend(&global, &ae("LOUD"), &caller()),
        Err(Error::NotFound)
    ));
    house.made("2.25.5", State::Scheduled);
    assert_eq!(house.recorder.told(), ["QUIET 1 SCHEDULED"]);
    let claim = uid("1.9");
    house
        .worklist
        .change_state(&three, State::InProgress, Some(&claim), &caller())
        .unwrap();
    assert_eq!(
        house.recorder.told(),
        ["LOUD 1 IN PROGRESS", "QUIET 1 IN PROGRESS"]
    );
    // One by one, then all that is left.
    let unsubscribe = |uid: &Uid, name: &str| {
        let name = ae(name);
        house.worklist.unsubscribe(uid, &name, &caller())
    };
    unsubscribe(&one, "LOUD").unwrap();
    assert!(matches!(unsubscribe(&one, "LOUD"), Err(Error::NotFound)));
    unsubscribe(&global, "LOUD").unwrap();
    assert!(matches!(unsubscribe(&global, "LOUD"), Err(Error::NotFound)));
    assert_eq!(locks(&three), [subscriber("QUIET", DeletionLock::None)]);
}

#[test]
fn the_status_of_the_server_goes_to_everybody_once() {
    let house = open();
    let name = house.made("2.25.1", State::Scheduled);
    let watch = |target: &Target, name: &str| {
        let subscriber = subscriber(name, DeletionLock::None);
        house
            .worklist
            .subscribe(target, &subscriber, &caller())
            .unwrap();
    };
    watch(&Target::Workitem(name), "ONE");
    watch(&Target::All(Vec::new()), "ALL");
    house.recorder.told();
    house.worklist.tell_status(ScpStatus::Restarted).unwrap();
    assert_eq!(house.recorder.told(), ["ALL 4", "ONE 4"]);
}

#[test]
fn what_waits_for_its_input_is_ready_when_the_last_instance_is_here() {
    let house = open();
    let mut reference = Dataset::default();
    reference.set(text(REFERENCED_SOP_INSTANCE_UID, VR::UI, "1.2.3.4.5"));
    let mut input = Dataset::default();
    input.set(text(STUDY_INSTANCE_UID, VR::UI, "1.2.3"));
    input.set(text(SERIES_INSTANCE_UID, VR::UI, "1.2.3.4"));
    input.set(sequence(REFERENCED_SOP_SEQUENCE, vec![reference]));
    let mut dataset = new_workitem();
    dataset.set(sequence(INPUT_INFORMATION_SEQUENCE, vec![input]));
    dataset.set(text(INPUT_READINESS_STATE, VR::CS, "INCOMPLETE"));
    let name = uid("2.25.1");
    house.worklist.create(&name, dataset, &caller()).unwrap();
    let set = |here: bool| {
        let is_here = |named: &(Uid, Uid, Uid)| {
            assert_eq!(named.2.as_str(), "1.2.3.4.5");
            here
        };
        house.worklist.set_ready(&ae("OVERREAD"), &is_here).unwrap()
    };
    assert_eq!(set(false), 0);
    assert_eq!(set(true), 1);
    assert_eq!(set(true), 0);
    assert_eq!(
        house.dataset(&name).text(INPUT_READINESS_STATE),
        Some("READY")
    );
}
