//! Opinions: what was seen, judged between, and pointed at.

use std::collections::BTreeSet;

use super::*;
use crate::access::Scope;
use crate::archive::{Removal, Target};
use crate::cases::recording::made_of;
use crate::cases::statistics::VerdictSource;

#[test]
fn what_was_seen_is_proven_later() {
    let house = open();
    let (rita, anna) = (caller("rita"), caller("anna"));
    let case = house.opened(&[reader("anna")], |_| ());
    house.signed(case.number, "anna");
    let verified = || house.cases.verify(1, &rita).unwrap().1.pop().unwrap();
    let first = verified();
    assert!(first.is_intact() && first.since.is_nothing() && first.since.unchanged == 4);
    let question = Question {
        limit: 10,
        ..Question::default()
    };
    let listed = || {
        house
            .cases
            .list(question.clone(), &rita)
            .unwrap()
            .pop()
            .unwrap()
    };
    assert!(!listed().have_images_changed);

    // What is ours is no news; what others send is.
    house.store("1.2.3", "1.2.3.50", SR, "our own");
    let audit = record(&case, ActionCode::Update, Actor::default(), NOW);
    let ours = [uid("1.2.3.50")];
    house
        .ledger
        .note_record(first.opinion.id, &ours, &audit)
        .unwrap();
    assert!(verified().since.is_nothing() && !listed().have_images_changed);
    house.store("1.2.4", "1.2.4.7", CT, "late");
    house.store("1.2.3", "1.2.3.1", CT, "other bytes");
    let since = verified().since;
    assert_eq!(since.arrived[0].sop_instance_uid, uid("1.2.4.7"));
    assert_eq!(since.changed[0].sop_instance_uid, uid("1.2.3.1"));
    assert_eq!(
        (since.unchanged, since.arrived.len(), since.changed.len()),
        (3, 1, 1)
    );
    assert!(listed().have_images_changed);
    assert!(house.cases.show(1, &rita).unwrap().opinions[0].have_images_changed);

    // A correction is a version of its own, made on what there is now.
    let correction = Correction {
        corrects: first.opinion.id,
        reason: "the other level".into(),
        impression: Impression {
            impression: "Fracture of L2.".into(),
            ..impression()
        },
        comparison: differs(),
    };
    let cases = &house.cases;
    let case = cases.correct(1, correction.clone(), None, &anna).unwrap();
    assert_eq!(case.state, State::Answered);
    let again = cases.correct(1, correction.clone(), None, &anna);
    assert_eq!(refusal(again), Refusal::CorrectedAlready);
    let look = cases.show(1, &rita).unwrap();
    let told: Vec<_> = look
        .opinions
        .iter()
        .map(|told| {
            (
                told.opinion.version,
                told.opinion.corrects,
                told.have_images_changed,
            )
        })
        .collect();
    assert_eq!(told, [(1, None, true), (2, Some(first.opinion.id), false)]);
    assert!(
        look.is_newest(&look.opinions[1].opinion) && !look.is_newest(&look.opinions[0].opinion)
    );
    let (_, all) = cases.verify(1, &rita).unwrap();
    assert!(all.len() == 2 && all.iter().all(Verified::is_intact));
    // A closed case gives its reader nothing: what comes then was not seen, whatever is corrected.
    cases.close(1, None, &rita).unwrap();
    assert!(is_hidden(cases.verify(1, &anna)), "it names what has come");
    house.store("1.2.3", "1.2.3.60", CT, "later still");
    let correction = Correction {
        corrects: look.opinions[1].opinion.id,
        ..correction
    };
    let case = cases.correct(1, correction, None, &anna).unwrap();
    assert_eq!(
        case.state,
        State::Answered,
        "somebody has to take note of it"
    );
    let look = cases.show(1, &rita).unwrap();
    assert!(look.opinions[2].have_images_changed);
    let instances = |place: usize| look.opinions[place].opinion.manifest.instances;
    assert_eq!(instances(2), instances(1));
    // The commitment stays as it was.
    let committed = house.ledger.commitment(case.tasks[0].id).unwrap().unwrap();
    assert_eq!(committed.impression.impression, "Fracture of L1.");
}

#[test]
fn a_signed_opinion_becomes_documents_of_the_study() {
    let house = open();
    house.opened(&[reader("anna")], |_| ());
    house.signed(1, "anna");
    let mut recorder = Recorder::default();
    recorder.catch_up(&house.cases, NOW).unwrap();
    let made = house.ledger.recorded(1).unwrap();
    assert_eq!(made.len(), 3);
    let target = Target::Study(uid("1.2.3"));
    let there = || {
        let located = house.archive.locate(&target, &Scope::All, None, 99);
        let uids = located.unwrap().into_iter().map(|of| of.sop_instance_uid);
        uids.collect::<BTreeSet<_>>()
    };
    assert!(made.is_subset(&there()));
    assert!(!house.cases.show(1, &caller("rita")).unwrap().opinions[0].have_images_changed);
    // Whoever is killed between storing and noting makes the same again.
    recorder.catch_up(&house.cases, NOW).unwrap();
    let (before, opinion) = (there(), house.ledger.opinions(1).unwrap().remove(0));
    assert_eq!(made_of([opinion].iter()), made);
    assert_eq!(there(), before);
}

#[test]
fn a_study_of_another_patient_gets_no_documents() {
    let house = open();
    house.opened(&[reader("anna")], |_| ());
    house.signed(1, "anna");
    let removal = Removal {
        target: Target::Study(uid("1.2.3")),
        reason: "test",
        sender: "test".into(),
        peer: "".into(),
    };
    house.archive.remove(removal, &Scope::All).unwrap();
    house.store_of("P2", ("1.2.3", "1.2.3.1"), CT, "somebody else");
    Recorder::default().catch_up(&house.cases, NOW).unwrap();
    assert!(house.ledger.recorded(1).unwrap().is_empty());
    let located = house
        .archive
        .locate(&Target::Study(uid("1.2.3")), &Scope::All, None, 9);
    assert_eq!(located.unwrap().len(), 1);
}

#[test]
fn verdicts_are_the_newest_versions_and_no_judgements() {
    let house = open();
    house.opened(&[reader("anna"), reader("bert")], |_| ());
    let signed = house.signed(1, "anna");
    let by = caller("anna");
    let correction = Correction {
        corrects: 1,
        reason: "less".into(),
        impression: impression(),
        comparison: Comparison {
            agreement: Some(Agreement::Minor),
            ..differs()
        },
    };
    house.cases.correct(1, correction, None, &by).unwrap();
    house
        .cases
        .adjudicate(1, &[2], &reader("carl"), None, &caller("rita"))
        .unwrap();
    house.signed(1, "carl");
    let mut verdicts = Vec::new();
    house
        .cases
        .each_verdict(&mut |verdict| verdicts.push(verdict))
        .unwrap();
    let [verdict] = &*verdicts else {
        panic!("{verdicts:?}");
    };
    let told = (
        &*verdict.reader,
        &*verdict.modality,
        &*verdict.body_part,
        &*verdict.sender,
    );
    assert_eq!(told, ("anna", "CT", "SPINE", "test"));
    assert_eq!(verdict.agreement, Some(Agreement::Minor));
    assert_eq!(verdict.answered_ms, signed.tasks[0].signed_ms.unwrap());
}

#[test]
fn who_reads_blind_hears_of_nobody() {
    let house = open();
    let (rita, bert) = (caller("rita"), caller("bert"));
    house.opened(&[reader("anna"), reader("bert")], |_| ());
    house.signed(1, "anna");
    house.store("1.2.3", "1.2.3.50", CT, "late");
    let question = Question {
        limit: 10,
        ..Question::default()
    };
    let changed = |by: &Caller| {
        let listed = house.cases.list(question.clone(), by).unwrap();
        listed[0].have_images_changed
    };
    assert!(changed(&rita) && !changed(&bert));
}

#[test]
fn blind_is_who_cannot_see_the_reports() {
    let house = open();
    let cases = &house.cases;
    let audit = record(&Case::example(), ActionCode::Create, Actor::default(), NOW);
    let new = NewAccount {
        name: AccountName::parse("dora").unwrap(),
        roles: Roles::parse("reader viewer").unwrap(),
        passcode: "x".into(),
        email: None,
        created_ms: NOW,
    };
    house.ledger.add_account(&new, &audit).unwrap();
    let open = |is_blinded, instance: &str| {
        let request = Request {
            is_blinded,
            needs_complete: false,
            ..Case::example().request
        };
        let report = NewReference {
            series_instance_uid: uid("1.2.3.100"),
            sop_instance_uid: uid(instance),
        };
        let opened = cases.open(request, &[report], &[reader("dora")], &caller("rita"));
        opened.map_err(|error| match error {
            Error::Invalid(fault) => fault.field,
            other => panic!("{other}"),
        })
    };
    assert_eq!(open(true, "1.2.3.9").unwrap_err(), "readers");
    assert_eq!(open(true, "1.2.3.1").unwrap_err(), "report_instances");
    assert!(open(false, "1.2.3.1").is_ok());
    // Nor of a pool.
    let case = house.opened(&[pool()], |_| ());
    let anna = Caller {
        sees_reports: true,
        ..caller("anna")
    };
    assert_eq!(
        refusal(cases.claim(case.number, &anna)),
        Refusal::SeesReports
    );
    assert!(cases.claim(case.number, &caller("anna")).is_ok());
}

#[test]
fn discordant_opinions_are_judged_by_a_third() {
    let house = open();
    let (rita, anna, bert, carl) = (
        caller("rita"),
        caller("anna"),
        caller("bert"),
        caller("carl"),
    );
    let cases = &house.cases;
    house.opened(&[reader("anna"), reader("bert")], |_| ());
    house.signed(1, "anna");
    cases.claim(1, &bert).unwrap();
    // Who reads blind does not know what the other has said.
    let look = cases.show(1, &bert).unwrap();
    assert!(look.opinions.is_empty() && look.case.tasks.len() == 1);
    assert!(matches!(
        cases.adjudicate(1, &[1, 2], &reader("carl"), None, &rita),
        Err(Error::Invalid(Fault {
            field: "opinions",
            ..
        }))
    ));
    cases.commit(1, impression(), None, &bert).unwrap();
    assert_eq!(cases.show(1, &bert).unwrap().opinions.len(), 1);
    let agrees = Comparison {
        agreement: Some(Agreement::Agree),
        ..Comparison::default()
    };
    cases.sign(1, &agrees, None, &bert).unwrap();
    let judge = |opinions: &[u64], asked: &Asked| cases.adjudicate(1, opinions, asked, None, &rita);
    assert_eq!(
        refusal(judge(&[2], &reader("carl"))),
        Refusal::NotDiscordant
    );
    assert!(matches!(
        judge(&[1, 2], &reader("anna")),
        Err(Error::Invalid(_))
    ));
    assert!(matches!(
        judge(&[1, 1], &reader("carl")),
        Err(Error::Invalid(_))
    ));
    let case = judge(&[1, 2], &pool()).unwrap();
    assert_eq!(
        (case.state, &*case.tasks[2].adjudicates),
        (State::InReview, &[1, 2][..])
    );
    // Both of the pool have read already.
    assert_eq!(refusal(cases.claim(1, &anna)), Refusal::NothingToClaim);
    let audit = record(&case, ActionCode::Update, Actor::default(), NOW);
    let pools = [Pool::parse("neuro").unwrap()];
    house.ledger.set_pools("carl", &pools, &audit).unwrap();
    cases.claim(1, &carl).unwrap();
    let look = cases.show(1, &carl).unwrap();
    assert!(!look.is_blind && look.opinions.len() == 2);
    cases.commit(1, impression(), None, &carl).unwrap();
    assert_eq!(
        cases.sign(1, &agrees, None, &carl).unwrap().state,
        State::Answered
    );
}

#[test]
fn key_images_are_of_the_case() {
    let house = open();
    let anna = caller("anna");
    house.store("1.2.5", "1.2.5.1", CT, "of another study");
    house.opened(&[reader("anna")], |_| ());
    house.cases.claim(1, &anna).unwrap();
    let commit = |change: fn(&mut KeyImage)| {
        let mut impression = impression();
        change(&mut impression.key_images[0]);
        house.cases.commit(1, impression, None, &anna)
    };
    for change in [
        (|image| image.sop_instance_uid = uid("1.2.3.77")) as fn(&mut KeyImage),
        |image| {
            image.study_instance_uid = uid("1.2.5");
            image.series_instance_uid = uid("1.2.5.100");
            image.sop_instance_uid = uid("1.2.5.1");
        },
        |image| image.frames = vec![2],
    ] {
        let refused = commit(change);
        assert!(matches!(
            refused,
            Err(Error::Invalid(Fault {
                field: "key_images",
                ..
            }))
        ));
    }
    assert!(commit(|image| image.frames = vec![1]).is_ok());
    // Nobody else may finish the workitem: what it was claimed with is not told.
    let case = house.ledger.case(1).unwrap().unwrap();
    let ours = house.cases.at_worklist(Actor::default());
    let completed = house.worklist.change_state(
        &case.tasks[0].workitem,
        worklist::State::Completed,
        Some(&uid("1.9")),
        &ours,
    );
    assert!(matches!(
        completed,
        Err(worklist::Error::Refused(W::TransactionWrong))
    ));
    assert!(
        !format!("{case:?}").contains(case.tasks[0].transaction_uid.as_ref().unwrap().as_str())
    );
}
