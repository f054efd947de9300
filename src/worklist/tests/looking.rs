//! What callers see, in which order, and what the trail has of it.

use super::*;

#[test]
fn a_caller_sees_workitems_of_its_studies_and_no_others() {
    let house = open();
    let mine = house.made("2.25.1", State::Scheduled);
    let mut other = new_workitem();
    other.set(text(STUDY_INSTANCE_UID, VR::UI, "1.2.4"));
    let theirs = uid("2.25.2");
    house.worklist.create(&theirs, other, &caller()).unwrap();
    let reader = of_studies(&["1.2.3"]);
    assert!(house.worklist.retrieve(&mine, &reader).is_ok());
    let claim = uid("1.9");
    let blind = [
        house.worklist.retrieve(&theirs, &reader).err(),
        house
            .worklist
            .change_state(&theirs, State::InProgress, Some(&claim), &reader)
            .err(),
        house
            .worklist
            .update(&theirs, None, Dataset::default(), &reader)
            .err(),
        house
            .worklist
            .request_cancellation(&theirs, &Dataset::default(), &ae("X"), &reader)
            .err(),
        house
            .worklist
            .subscribe(
                &Target::Workitem(theirs.clone()),
                &subscriber("CALLER", DeletionLock::None),
                &reader,
            )
            .err(),
    ];
    for error in blind {
        assert!(matches!(error, Some(Error::NotFound)), "{error:?}");
    }
    // Neither somebody else's events nor those of whatever comes.
    let own = Target::Workitem(mine.clone());
    let subscribe = |target: &Target, name| {
        let subscriber = subscriber(name, DeletionLock::None);
        house.worklist.subscribe(target, &subscriber, &reader)
    };
    assert!(matches!(subscribe(&own, "OTHER"), Err(Error::Forbidden)));
    let all = Target::All(Vec::new());
    assert!(matches!(subscribe(&all, "CALLER"), Err(Error::Forbidden)));
    assert!(subscribe(&own, "CALLER").is_ok());
    let question = Question {
        limit: 10,
        ..Question::default()
    };
    let found = house.worklist.search(&question, &reader).unwrap();
    assert_eq!(found.workitems.len(), 1);
    assert_eq!(found.remaining, Remaining::Exactly(0));
    // It cannot give its workitem to another study either.
    let mut update = Dataset::default();
    update.set(text(STUDY_INSTANCE_UID, VR::UI, "1.2.4"));
    assert!(matches!(
        house.worklist.update(&mine, None, update, &reader),
        Err(Error::NotFound)
    ));
}

#[test]
fn searches_page_in_the_order_of_creation() {
    let house = open();
    for number in 1..=7 {
        let state = if number % 2 == 0 {
            State::InProgress
        } else {
            State::Scheduled
        };
        house.made(&format!("2.25.{number}"), state);
    }
    let search = |filter: &[(&str, &str)], limit, offset| {
        let filter: Vec<_> = filter
            .iter()
            .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()))
            .collect();
        let question = Question {
            keys: filter_keys(&filter).unwrap(),
            limit,
            offset,
        };
        let page = house.worklist.search(&question, &caller()).unwrap();
        let uids = page.workitems.iter();
        let uids: Vec<_> = uids.map(|found| found.uid.to_string()).collect();
        (uids, page.remaining)
    };
    let scheduled = [("ProcedureStepState", "SCHEDULED")];
    assert_eq!(
        search(&scheduled, 2, 1),
        (
            vec!["2.25.3".to_owned(), "2.25.5".to_owned()],
            Remaining::Exactly(1)
        )
    );
    assert_eq!(search(&[("PatientID", "P2")], 2, 0).0.len(), 0);
    assert_eq!(
        search(&[("SOPInstanceUID", "2.25.4,2.25.6")], 9, 0).0.len(),
        2
    );
    assert_eq!(
        search(&[("ProcedureStepState", "SCHEDULED,IN PROGRESS")], 9, 0)
            .0
            .len(),
        7
    );
    assert_eq!(
        search(&[("PatientID", "P1")], 0, 0).1,
        Remaining::Exactly(7)
    );
}

#[test]
fn what_happens_and_what_is_refused_is_in_the_trail() {
    let house = open();
    let name = house.made("2.25.1", State::InProgress);
    let refused =
        house
            .worklist
            .change_state(&name, State::InProgress, Some(&uid("1.8")), &caller());
    assert!(refused.is_err());
    let rows = house.ledger.audit_rows(0, 10).unwrap();
    let told: Vec<_> = rows.iter().map(|row| row.record.detail.as_str()).collect();
    assert_eq!(
        told,
        [
            "",
            "change to IN PROGRESS",
            "change to IN PROGRESS refused: C301"
        ]
    );
    for row in &rows {
        assert_eq!(row.record.object, "workitem 2.25.1");
        assert_eq!(row.record.studies, [uid("1.2.3")]);
        assert!(
            !format!("{row:?}").contains("1.9"),
            "the claim is nobody's business"
        );
    }
}
