//! How cases end, who meets them, and every act in every state.

use super::*;

#[test]
fn cases_end_and_take_their_workitems_with_them() {
    let house = open();
    let (rita, anna) = (caller("rita"), caller("anna"));
    let case = house.opened(&[reader("anna"), pool()], |request| {
        request.due_ms = Some(NOW + DAY)
    });
    house.cases.claim(1, &anna).unwrap();
    let withdrawn = house.cases.withdraw(1, None, &rita).unwrap();
    assert_eq!(withdrawn.state, State::Withdrawn);
    for task in &withdrawn.tasks {
        assert_eq!(task.state, TaskState::Ended);
        assert_eq!(house.state(task), worklist::State::Canceled);
    }
    let late = house.cases.commit(1, impression(), None, &anna);
    assert_eq!(refusal(late), Refusal::Withdrawn);
    assert_eq!(case.request.expires_ms, Some(NOW + 15 * DAY));

    let case = house.opened(&[reader("anna")], |request| {
        request.due_ms = Some(NOW + DAY)
    });
    assert_eq!(house.cases.expire(NOW + 15 * DAY - 1).unwrap(), 0);
    assert_eq!(house.cases.expire(NOW + 15 * DAY).unwrap(), 1);
    assert_eq!(house.cases.expire(NOW + 16 * DAY).unwrap(), 0);
    let expired = house.ledger.case(case.number).unwrap().unwrap();
    assert_eq!(expired.state, State::Expired);
    let kept = house.workitem(&expired.tasks[0]).dataset().unwrap();
    let progress = &items(&kept, Tag(0x0074, 0x1002))[0];
    let why = &items(progress, Tag(0x0074, 0x100E))[0];
    assert_eq!(why.text(Tag(0x0008, 0x0100)), Some("110533"));
    assert!(house.details().contains(&"OVERREAD: expired".to_owned()));

    // Given back, and given to somebody else.
    let case = house.opened(&[reader("anna")], |_| ());
    house.cases.claim(case.number, &anna).unwrap();
    let back = house
        .cases
        .give_back(case.number, "not my field", &anna)
        .unwrap();
    assert_eq!(
        (back.state, back.tasks[0].state),
        (State::Open, TaskState::GivenBack)
    );
    assert_eq!(house.state(&back.tasks[0]), worklist::State::Canceled);
    assert!(house.cases.views_of("anna").unwrap().is_empty());
    assert!(house.ledger.unsettled(0, 10).unwrap().is_empty());
}

#[test]
fn nobody_meets_a_case_that_is_none_of_theirs() {
    let house = open();
    let cases = &house.cases;
    house.opened(&[reader("anna")], |_| ());
    let narrow = Caller {
        studies: Some(Arc::new([uid("1.2.3")].into())),
        ..caller("rita")
    };
    // Another requester, a reader of the pool who is not asked, one of none, one whose token does not know the prior.
    for by in [
        caller("rosa"),
        caller("bert"),
        caller("carl"),
        narrow.clone(),
    ] {
        assert!(is_hidden(cases.show(1, &by)), "{}", by.name);
        assert!(is_hidden(cases.claim(1, &by)) && is_hidden(cases.withdraw(1, None, &by)));
        assert!(is_hidden(cases.commit(1, impression(), None, &by)));
        assert!(is_hidden(cases.sign(1, &differs(), None, &by)));
        assert!(is_hidden(cases.verify(1, &by)) && is_hidden(cases.draft(1, &by)));
        let question = Question {
            limit: 10,
            ..Question::default()
        };
        assert!(cases.list(question, &by).unwrap().is_empty(), "{}", by.name);
    }
    // Those who see it have their part in it and no other.
    let (rita, anna, root) = (caller("rita"), caller("anna"), caller("root"));
    let forbidden = |result: Result<Case, Error>| matches!(result, Err(Error::Forbidden(_)));
    for by in [&rita, &root] {
        assert!(forbidden(cases.claim(1, by)) && forbidden(cases.give_back(1, "", by)));
        assert!(forbidden(cases.commit(1, impression(), None, by)));
        assert!(forbidden(cases.sign(1, &differs(), None, by)));
    }
    for result in [
        cases.complete(1, None, &anna),
        cases.withdraw(1, None, &anna),
        cases.close(1, None, &anna),
        cases.assign(1, &reader("bert"), None, &anna),
        cases.adjudicate(1, &[1], &reader("bert"), None, &anna),
    ] {
        assert!(forbidden(result));
    }
    assert!(matches!(
        cases.withdraw(1, Some(9), &rita),
        Err(Error::Changed)
    ));
    // Studies that are not here, or not for the caller.
    let open = |change: fn(&mut Request), by: &Caller| {
        let mut request = Case::example().request;
        change(&mut request);
        cases.open(request, &[], &[pool()], by)
    };
    assert!(is_hidden(open(|r| r.study = uid("9.9"), &rita)));
    assert!(is_hidden(open(|r| r.priors = vec![uid("9.9")], &rita)));
    assert!(is_hidden(open(|_| (), &narrow)) && is_hidden(open(|_| (), &anna)));
    assert!(open(|r| r.priors.clear(), &narrow).is_ok());
    for asked in [reader("vera"), reader("nobody")] {
        let request = Case::example().request;
        let refused = cases.open(request, &[], &[asked], &rita);
        assert!(matches!(
            refused,
            Err(Error::Invalid(Fault {
                field: "readers",
                ..
            }))
        ));
    }
    let twice = cases.open(
        Case::example().request,
        &[],
        &[reader("anna"), reader("anna")],
        &rita,
    );
    assert!(matches!(twice, Err(Error::Invalid(_))));
}

#[test]
fn every_act_in_every_state_comes_to_what_the_table_says() {
    let house = open();
    let (rita, anna) = (caller("rita"), caller("anna"));
    let cases = &house.cases;
    for state in State::ALL {
        for act in Act::ALL.into_iter().filter(|act| *act != Act::Expire) {
            let case = house.opened(&[reader("anna")], |request| {
                request.due_ms = Some(NOW + DAY)
            });
            let number = case.number;
            match state {
                State::Open => {}
                State::InReview => drop(cases.claim(number, &anna).unwrap()),
                State::Answered => drop(house.signed(number, "anna")),
                State::Closed => {
                    house.signed(number, "anna");
                    cases.close(number, None, &rita).unwrap();
                }
                State::Withdrawn => drop(cases.withdraw(number, None, &rita).unwrap()),
                State::Expired => assert!(cases.expire(NOW + 15 * DAY).unwrap() > 0),
            }
            let rows = house.ledger.audit_head().unwrap().id;
            let opinion = house.ledger.opinions(number).unwrap();
            let opinion = opinion.first().map_or(0, |opinion| opinion.id);
            let done = match act {
                Act::Complete => cases.complete(number, None, &rita).map(drop),
                Act::Assign => cases.assign(number, &reader("bert"), None, &rita).map(drop),
                Act::End => cases.end(number, 1, None, &rita).map(drop),
                Act::Claim => cases.claim(number, &anna).map(drop),
                Act::GiveBack => cases.give_back(number, "", &anna).map(drop),
                Act::Draft => cases.save_draft(number, "{}", None, &anna).map(drop),
                Act::Commit => cases.commit(number, impression(), None, &anna).map(drop),
                Act::Sign => cases.sign(number, &differs(), None, &anna).map(drop),
                Act::Correct => {
                    let correction = Correction {
                        corrects: opinion,
                        reason: "why".into(),
                        impression: impression(),
                        comparison: differs(),
                    };
                    cases.correct(number, correction, None, &anna).map(drop)
                }
                Act::Adjudicate => cases
                    .adjudicate(number, &[opinion], &reader("bert"), None, &rita)
                    .map(drop),
                Act::Withdraw => cases.withdraw(number, None, &rita).map(drop),
                Act::Close => cases.close(number, None, &rita).map(drop),
                Act::Expire => unreachable!(),
            };
            let after = house.ledger.case(number).unwrap().unwrap();
            match state::verdict(act, state) {
                state::Verdict::Refuse(expected) => {
                    assert_eq!(refusal(done), expected, "{act:?} {state}");
                    assert_eq!(after.state, state);
                    assert_eq!(
                        house.ledger.audit_head().unwrap().id,
                        rows,
                        "{act:?} {state}"
                    );
                }
                state::Verdict::Become(next) => {
                    done.unwrap();
                    assert_eq!(after.state, next, "{act:?} {state}");
                }
                // Some need more than the state: a commitment before the signature, an opinion to be corrected.
                state::Verdict::Stay | state::Verdict::Follow => match (act, done) {
                    (_, Ok(())) => {}
                    (Act::Sign, Err(Error::Refused(Refusal::NotCommitted)))
                    | (Act::Correct, Err(Error::Refused(Refusal::NotSigned)))
                    | (Act::Adjudicate, Err(Error::Invalid(_))) => {}
                    (act, Err(error)) => panic!("{act:?} {state}: {error}"),
                },
            }
        }
    }
}
