//! Whose a workitem is: of readers who may see the study, those who are asked.

use super::*;

/// Somebody who is asked, as cases write them.
fn performer(name: &str) -> Dataset {
    let mut code = code(name, PERFORMER_SCHEME, name);
    if name.len() > 16 {
        code.remove(CODE_VALUE);
        code.set(text(LONG_CODE_VALUE, VR::UC, name));
    }
    let mut performer = Dataset::default();
    performer.set(sequence(HUMAN_PERFORMER_CODE_SEQUENCE, vec![code]));
    performer
}

fn asking(names: &[&str]) -> Dataset {
    let mut dataset = new_workitem();
    let performers = names.iter().map(|name| performer(name)).collect();
    dataset.set(sequence(SCHEDULED_HUMAN_PERFORMERS_SEQUENCE, performers));
    dataset
}

fn reader(name: &str) -> Caller {
    Caller {
        reader: Some(name.into()),
        ..of_studies(&["1.2.3"])
    }
}

impl House {
    fn found(&self, caller: &Caller) -> Vec<String> {
        let question = Question {
            limit: 100,
            ..Question::default()
        };
        let page = self.worklist.search(&question, caller).unwrap();
        let uids = page.workitems.iter();
        uids.map(|found| found.uid.to_string()).collect()
    }
}

#[test]
fn a_reader_has_what_they_were_asked_and_what_nobody_was() {
    let house = open();
    let long = "a.name.of.more.than.sixteen@example";
    for (uid_text, names) in [
        ("2.25.1", &[][..]),
        ("2.25.2", &["anna"]),
        ("2.25.3", &["boris"]),
        ("2.25.4", &["link 7"]),
        ("2.25.5", &[long]),
        ("2.25.6", &["anna", "boris"]),
    ] {
        let created = house
            .worklist
            .create(&uid(uid_text), asking(names), &caller());
        created.unwrap();
    }
    // The same word of another coding scheme is somebody else's, and who is not known by a code is nobody of ours.
    let mut foreign = asking(&["anna"]);
    let mut other = Dataset::default();
    other.set(sequence(
        HUMAN_PERFORMER_CODE_SEQUENCE,
        vec![code("anna", "99OTHER", "anna")],
    ));
    foreign.set(sequence(
        SCHEDULED_HUMAN_PERFORMERS_SEQUENCE,
        vec![other, Dataset::default()],
    ));
    let foreigner = uid("2.25.7");
    house
        .worklist
        .create(&foreigner, foreign, &caller())
        .unwrap();
    for (name, expected) in [
        ("anna", &["2.25.1", "2.25.2", "2.25.6"][..]),
        ("boris", &["2.25.1", "2.25.3", "2.25.6"]),
        ("link 7", &["2.25.1", "2.25.4"]),
        ("link 77", &["2.25.1"]),
        (long, &["2.25.1", "2.25.5"]),
    ] {
        assert_eq!(house.found(&reader(name)), expected, "{name}");
    }
    // Who asks for opinions sees what they asked of whom.
    assert_eq!(house.found(&of_studies(&["1.2.3"])).len(), 7);
    assert_eq!(house.found(&caller()).len(), 7);
}

#[test]
fn what_somebody_else_was_asked_cannot_be_touched() {
    let house = open();
    let theirs = uid("2.25.1");
    house
        .worklist
        .create(&theirs, asking(&["boris"]), &caller())
        .unwrap();
    let (anna, boris) = (reader("anna"), reader("boris"));
    let worklist = &house.worklist;
    let claim = uid("1.9");
    let watcher = subscriber("CALLER", DeletionLock::None);
    let target = Target::Workitem(theirs.clone());
    let nothing = Dataset::default;
    let refused = [
        worklist.retrieve(&theirs, &anna).err(),
        worklist
            .change_state(&theirs, State::InProgress, Some(&claim), &anna)
            .err(),
        worklist.update(&theirs, None, nothing(), &anna).err(),
        worklist
            .request_cancellation(&theirs, &nothing(), &ae("X"), &anna)
            .err(),
        worklist.subscribe(&target, &watcher, &anna).err(),
        worklist.unsubscribe(&theirs, &ae("CALLER"), &anna).err(),
    ];
    for error in refused {
        assert!(matches!(error, Some(Error::NotFound)), "{error:?}");
    }
    assert_eq!(house.state(&theirs), State::Scheduled);
    // Nor is one's own handed over.
    let mut update = Dataset::default();
    update.set(sequence(
        SCHEDULED_HUMAN_PERFORMERS_SEQUENCE,
        vec![performer("anna")],
    ));
    let handed = worklist.update(&theirs, None, update, &boris);
    assert!(matches!(handed, Err(Error::NotFound)));
    worklist
        .change_state(&theirs, State::InProgress, Some(&claim), &boris)
        .unwrap();
}

#[test]
fn who_may_only_look_has_the_events_of_their_own_title() {
    let house = open();
    let name = house.made("2.25.1", State::Scheduled);
    let viewer = Caller {
        may_change: false,
        ..caller()
    };
    let all = uid(GLOBAL_SUBSCRIPTION);
    let worklist = &house.worklist;
    for target in [Target::Workitem(name.clone()), Target::All(Vec::new())] {
        let subscribe = |name: &str| {
            let subscriber = subscriber(name, DeletionLock::None);
            worklist.subscribe(&target, &subscriber, &viewer)
        };
        assert!(matches!(subscribe("OTHER"), Err(Error::Forbidden)));
        assert!(subscribe("CALLER").is_ok());
    }
    let others = ae("OTHER");
    let ended = [
        worklist.suspend(&all, &others, &viewer),
        worklist.unsubscribe(&all, &others, &viewer),
        worklist.unsubscribe(&name, &others, &viewer),
    ];
    assert!(ended.iter().all(|it| matches!(it, Err(Error::Forbidden))));
    assert!(worklist.unsubscribe(&all, &ae("CALLER"), &viewer).is_ok());
}

#[test]
fn a_study_counts_wherever_it_is_named() {
    let house = open();
    let mut named = Dataset::default();
    named.set(text(STUDY_INSTANCE_UID, VR::UI, "1.2.4"));
    // A Referenced Image Evidence Sequence inside some other one.
    for _ in 0..3 {
        let mut around = Dataset::default();
        around.set(sequence(Tag(0x0008, 0x9092), vec![named]));
        named = around;
    }
    let mut dataset = new_workitem();
    dataset.set(sequence(
        Tag(0x0040, 0x1101),
        vec![Dataset::default(), named],
    ));
    let name = uid("2.25.1");
    house.worklist.create(&name, dataset, &caller()).unwrap();
    let seen = |studies: &[&str]| {
        let found = house.worklist.retrieve(&name, &of_studies(studies));
        found.is_ok()
    };
    assert!(!seen(&["1.2.3"]) && seen(&["1.2.3", "1.2.4"]));
}

#[test]
fn an_instance_of_no_class_may_be_a_report() {
    use crate::access::View;
    const CT: &str = "1.2.840.10008.5.1.4.1.1.2";
    let house = open();
    let blind = Caller {
        scope: Scope::Studies([(uid("1.2.3"), View::WithoutReports)].into()),
        ..caller()
    };
    for (uid_text, class, is_seen) in [("2.25.1", Some(CT), true), ("2.25.2", None, false)] {
        let mut reference = Dataset::default();
        if let Some(class) = class {
            reference.set(text(REFERENCED_SOP_CLASS_UID, VR::UI, class));
        }
        reference.set(text(REFERENCED_SOP_INSTANCE_UID, VR::UI, "1.2.3.9"));
        let mut input = Dataset::default();
        input.set(sequence(REFERENCED_SOP_SEQUENCE, vec![reference]));
        let mut dataset = new_workitem();
        dataset.set(sequence(INPUT_INFORMATION_SEQUENCE, vec![input]));
        let name = uid(uid_text);
        house.worklist.create(&name, dataset, &caller()).unwrap();
        let found = house.worklist.retrieve(&name, &blind);
        assert_eq!(found.is_ok(), is_seen, "{class:?}");
        assert!(
            house
                .worklist
                .retrieve(&name, &of_studies(&["1.2.3"]))
                .is_ok()
        );
    }
}
