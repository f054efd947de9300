//! Tasks and their workitems: claims, interrupted ones, and what workstations do.

use super::*;

#[test]
fn of_two_claims_at_once_one_wins() {
    let house = open();
    for round in 1..=10 {
        house.opened(&[pool()], |_| ());
        let barrier = Barrier::new(2);
        let claims = std::thread::scope(|threads| {
            let claims = ["anna", "bert"].map(|name| {
                let (cases, barrier) = (&house.cases, &barrier);
                threads.spawn(move || {
                    barrier.wait();
                    cases.claim(round, &caller(name))
                })
            });
            claims.map(|claim| claim.join().unwrap())
        });
        let won = claims.iter().filter(|claim| claim.is_ok()).count();
        assert_eq!(won, 1, "{claims:?}");
        let lost = claims.into_iter().find(Result::is_err).unwrap();
        assert!(
            matches!(lost, Err(Error::Refused(Refusal::Taken) | Error::NotFound)),
            "{lost:?}"
        );
        let case = house.ledger.case(round).unwrap().unwrap();
        let holder = case.tasks[0].held_by.clone().unwrap();
        let other = if &*holder == "anna" { "bert" } else { "anna" };
        assert!(is_hidden(house.cases.show(round, &caller(other))));
        assert_eq!(house.cases.claim(round, &caller(&holder)).unwrap(), case);
    }
}

#[test]
fn a_claim_that_was_interrupted_is_found_again() {
    let house = open();
    let case = house.opened(&[pool()], |_| ());
    let task = &case.tasks[0];
    let attempt = Attempt {
        transaction_uid: uid("2.25.7"),
        reader: "anna".into(),
    };
    let audit = record(&case, ActionCode::Execute, Actor::default(), NOW);
    house
        .ledger
        .note_attempt(task.id, &attempt, &audit)
        .unwrap();
    // Killed here, nothing has happened; killed after the next, the workitem says who it was.
    assert_eq!(
        house.cases.show(1, &caller("rita")).unwrap().case.state,
        State::Open
    );
    let ours = house.cases.at_worklist(house.cases.ourselves());
    let claim = Some(&attempt.transaction_uid);
    house
        .worklist
        .change_state(&task.workitem, worklist::State::InProgress, claim, &ours)
        .unwrap();
    assert_eq!(house.ledger.unsettled(0, 10).unwrap(), [1]);
    assert_eq!(house.cases.settle_all(NOW).unwrap(), 1);
    assert!(house.ledger.unsettled(0, 10).unwrap().is_empty());
    let case = house.ledger.case(1).unwrap().unwrap();
    assert!(case.tasks[0].is_held_by("anna") && case.state == State::InReview);
    house
        .cases
        .commit(1, impression(), None, &caller("anna"))
        .unwrap();
    // A case that a command opened beside the server has its workitems made by the server.
    let beside = Cases::beside(house.ledger.clone(), house.archive.clone(), ae());
    let mut request = Case::example().request;
    request.needs_complete = false;
    let opened = beside
        .open(request, &[], &[pool()], &caller("rita"))
        .unwrap();
    assert_eq!(house.ledger.unsettled(1, 10).unwrap(), [opened.number]);
    house.cases.settle_all(NOW).unwrap();
    assert_eq!(house.state(&opened.tasks[0]), worklist::State::Scheduled);
}

#[test]
fn what_a_workstation_does_is_taken_over() {
    let house = open();
    let case = house.opened(&[reader("anna")], |request| {
        request.due_ms = Some(NOW + DAY)
    });
    let task = &case.tasks[0];
    let kept = house.workitem(task).dataset().unwrap();
    for (tag, expected) in [
        (Tag(0x0074, 0x1200), "MEDIUM"),
        (Tag(0x0074, 0x1202), "SECOND-OPINION/neuro"),
        (Tag(0x0074, 0x1204), "Second opinion: SPINE"),
        (Tag(0x0040, 0x0400), "Is it a fracture?"),
        (Tag(0x0040, 0x4011), "20270116080000+0000"),
        (Tag(0x0010, 0x0010), "Muster^Maria"),
        (Tag(0x0010, 0x0020), "P1"),
        (Tag(0x0020, 0x000D), "1.2.3"),
    ] {
        assert_eq!(kept.text(tag), Some(expected), "{tag}");
    }
    let performer = &items(&kept, Tag(0x0040, 0x4034))[0];
    let code = &items(performer, Tag(0x0040, 0x4009))[0];
    assert_eq!(code.text(Tag(0x0008, 0x0100)), Some("anna"));
    let code = &items(&kept, Tag(0x0040, 0x4018))[0];
    assert_eq!(code.text(Tag(0x0008, 0x0100)), Some("110005"));
    // The report is not among the input of who reads blind.
    let mut named = Vec::new();
    for input in items(&kept, Tag(0x0040, 0x4021)) {
        for reference in items(input, Tag(0x0008, 0x1199)) {
            named.push(reference.text(Tag(0x0008, 0x1155)).unwrap().to_owned());
        }
    }
    assert_eq!(named, ["1.2.3.1", "1.2.3.2", "1.2.4.1"]);

    let ours = house.cases.at_worklist(Actor::default());
    let claim = uid("1.9");
    let change = |state| {
        house
            .worklist
            .change_state(&task.workitem, state, Some(&claim), &ours)
    };
    change(worklist::State::InProgress).unwrap();
    // Who was asked by name goes on there: the study stays theirs.
    let case = house.cases.show(1, &caller("anna")).unwrap().case;
    assert_eq!(case.views_for("anna").len(), 2);
    assert!(case.views_for("bert").is_empty());
    let anna = caller("anna");
    assert_eq!(refusal(house.cases.claim(1, &anna)), Refusal::AtWorkstation);
    let committed = house.cases.commit(1, impression(), None, &anna);
    assert_eq!(refusal(committed), Refusal::AtWorkstation);
    let case = house.cases.show(1, &caller("rita")).unwrap().case;
    assert!(case.state == State::InReview && case.tasks[0].is_at_workstation());
    let done = workitem::performed(&case.tasks[0], &ae());
    house
        .worklist
        .update(&task.workitem, Some(&claim), done, &ours)
        .unwrap();
    change(worklist::State::Completed).unwrap();
    house.cases.settle_all(NOW).unwrap();
    let case = house.ledger.case(1).unwrap().unwrap();
    assert_eq!(
        (case.state, case.tasks[0].state),
        (State::Answered, TaskState::Elsewhere)
    );

    // One that is canceled there was given back.
    let case = house.opened(&[reader("bert")], |_| ());
    let why = workitem::rejection("");
    let item = &case.tasks[0].workitem;
    house
        .worklist
        .request_cancellation(item, &why, &ae(), &ours)
        .unwrap();
    house.cases.settle_all(NOW).unwrap();
    let case = house.ledger.case(2).unwrap().unwrap();
    assert_eq!(
        (case.state, case.tasks[0].state),
        (State::Open, TaskState::GivenBack)
    );
    let case = house
        .cases
        .assign(2, &reader("carl"), None, &caller("rita"))
        .unwrap();
    assert_eq!(house.state(&case.tasks[1]), worklist::State::Scheduled);
}
