//! Cases in the ledger: they come back as they went, changes are made to the revision that they were decided on, what was
//! signed cannot be altered, and searches find what somebody may see.

use super::*;
use crate::access::account::AccountName;
use crate::access::audit::{ActionCode, Actor, Event};
use crate::access::ledger::{AccessLedger, AuditLedger};
use crate::cases::grade::Confidence;
use crate::cases::{
    Asked, Comparison, Completed, Impression, Manifest, ManifestHead, NewCommitment, NewOpinion,
    Order, Reference, Said, Sight, State, Task, TaskState,
};

fn audit() -> AuditRecord {
    AuditRecord::new(Event::OrderRecord, ActionCode::Update, Actor::default(), 7)
}

fn ledger(folder: &tempfile::TempDir) -> Ledger {
    Ledger::open(&folder.path().join("ledger.sqlite"), 2).unwrap()
}

fn named(name: &str) -> Asked {
    Asked::Reader(AccountName::parse(name).unwrap())
}

fn case(number: u64) -> Case {
    let uid = |text: &str| Uid::parse(text).unwrap();
    let mut case = Case::example();
    case.number = number;
    case.completed = None;
    case.request.due_ms = Some(1_000);
    case.request.expires_ms = Some(2_000);
    case.request.report_instances = vec![Reference {
        series_instance_uid: uid("1.2.3.100"),
        sop_instance_uid: uid("1.2.3.9"),
        sop_class_uid: uid("1.2.840.10008.5.1.4.1.1.88.11"),
    }];
    case.tasks = vec![
        Task::new(1, named("anna")),
        Task::new(2, Asked::Pool(Pool::parse("neuro").unwrap())),
    ];
    case
}

fn next(case: &Case) -> Case {
    Case {
        revision: case.revision + 1,
        ..case.clone()
    }
}

#[test]
fn a_case_comes_back_as_it_went_and_only_its_next_revision_takes_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = ledger(&folder);
    assert_eq!(ledger.next_case().unwrap(), 1);
    let new = case(1);
    assert!(ledger.insert_case(&new, &[], &audit()).unwrap());
    assert!(!ledger.insert_case(&new, &[], &audit()).unwrap());
    assert_eq!(
        (ledger.next_case().unwrap(), ledger.audit_head().unwrap().id),
        (2, 1)
    );
    let kept = ledger.case(1).unwrap().unwrap();
    assert!(kept.tasks.iter().all(|task| task.id > 0));
    let mut expected = new.clone();
    for (task, kept) in expected.tasks.iter_mut().zip(&kept.tasks) {
        task.id = kept.id;
    }
    assert_eq!(kept, expected);
    assert_eq!(ledger.case(2).unwrap(), None);

    let mut changed = next(&kept);
    changed.state = State::InReview;
    changed.completed = Some(Completed {
        by: "rita".into(),
        at_ms: 5,
    });
    let task = &mut changed.tasks[0];
    task.state = TaskState::Claimed;
    task.held_by = Some("anna".into());
    task.transaction_uid = Some(Uid::parse("2.25.1").unwrap());
    task.claimed_ms = Some(6);
    changed.tasks.push(Task::new(3, named("bert")));
    let change = |case: &Case| ledger.change_case(case, &Alongside::Nothing, &audit());
    assert!(change(&changed).unwrap());
    assert!(!change(&changed).unwrap() && !change(&kept).unwrap());
    assert_eq!(
        ledger.audit_head().unwrap().id,
        2,
        "what did not happen has no row"
    );
    let again = ledger.case(1).unwrap().unwrap();
    changed.tasks[2].id = again.tasks[2].id;
    assert_eq!(again, changed);
    assert_eq!(ledger.expiring(1_999, 9).unwrap(), [0; 0]);
    assert_eq!(ledger.expiring(2_000, 9).unwrap(), [1]);
}

#[test]
fn of_many_at_once_one_changes_a_revision() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = ledger(&folder);
    ledger.insert_case(&case(1), &[], &audit()).unwrap();
    let changed = next(&ledger.case(1).unwrap().unwrap());
    let won = std::thread::scope(|threads| {
        let change = || ledger.change_case(&changed, &Alongside::Nothing, &audit());
        let changes = [(); 4].map(|()| threads.spawn(change));
        changes.map(|change| change.join().unwrap().unwrap())
    });
    assert_eq!(won.iter().filter(|won| **won).count(), 1);
    assert_eq!(ledger.audit_head().unwrap().id, 2);
}

#[test]
fn what_was_signed_stays_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = ledger(&folder);
    ledger.insert_case(&case(1), &[], &audit()).unwrap();
    let kept = ledger.case(1).unwrap().unwrap();
    let task = kept.tasks[0].id;
    let impression = Impression {
        findings: String::new(),
        impression: "Grüße".into(),
        recommendation: String::new(),
        key_images: Vec::new(),
        confidence: Confidence::Low,
    };
    let commitment = Alongside::Commitment(NewCommitment {
        task,
        impression: &impression,
        read: None,
    });
    assert!(
        ledger
            .change_case(&next(&kept), &commitment, &audit())
            .unwrap()
    );
    let head = ledger.audit_head().unwrap();
    let third = next(&next(&kept));
    assert!(ledger.change_case(&third, &commitment, &audit()).is_err());
    assert_eq!(
        ledger.case(1).unwrap().unwrap().revision,
        2,
        "nothing of it happened"
    );
    assert_eq!(ledger.audit_head().unwrap(), head);
    assert_eq!(
        ledger.commitment(task).unwrap().unwrap().impression,
        impression
    );

    let said = Said {
        impression,
        comparison: Comparison::default(),
    };
    let body = Opinion::body(&said).unwrap();
    let rows = "1.2.3 1.2.3.100 1.2.3.1 1.2 1.2.840.10008.1.2.1 \
                0000000000000000000000000000000000000000000000000000000000000000\n";
    let mut opinion = Opinion {
        id: 0,
        task,
        version: 1,
        corrects: None,
        reason: String::new(),
        reader: "anna".into(),
        signed_ms: 9,
        said,
        manifest: ManifestHead {
            digest: Manifest::digest(rows),
            instances: 1,
            versions: vec![(Uid::parse("1.2.3").unwrap(), 4)],
        },
    };
    let sign = |case: &Case, opinion: &Opinion, rows: &str| {
        let new = NewOpinion {
            opinion,
            body: &body,
            rows,
            read: None,
        };
        ledger.change_case(case, &Alongside::Opinion(new), &audit())
    };
    assert!(sign(&third, &opinion, "others").is_err());
    assert!(sign(&third, &opinion, rows).unwrap());
    assert!(
        sign(&next(&third), &opinion, rows).is_err(),
        "such a version there is"
    );
    opinion.id = 1;
    assert_eq!(ledger.opinions(1).unwrap(), [opinion.clone()]);
    let read = ledger.kept_opinion(1).unwrap().unwrap();
    assert_eq!(
        (read.body_digest, read.rows.as_str()),
        (Opinion::digest(&body), rows)
    );
    assert_eq!(Manifest::parse(&read.rows).unwrap().seen().len(), 1);

    let instances = [Uid::parse("1.2.3.50").unwrap()];
    ledger.note_record(1, &instances, &audit()).unwrap();
    assert_eq!(ledger.recorded(1).unwrap(), instances.into());
    // Not even SQL changes it without being told twice.
    let other = rusqlite::Connection::open(folder.path().join("ledger.sqlite")).unwrap();
    for sql in [
        "UPDATE opinion SET body = '{}'",
        "DELETE FROM opinion",
        "UPDATE manifest SET listing = ''",
        "DELETE FROM manifest",
        "UPDATE commitment SET body = '{}'",
        "DELETE FROM commitment",
    ] {
        assert!(other.execute_batch(sql).is_err(), "{sql}");
    }
}

#[test]
fn drafts_are_of_who_holds_the_task() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = ledger(&folder);
    ledger.insert_case(&case(1), &[], &audit()).unwrap();
    let mut changed = next(&ledger.case(1).unwrap().unwrap());
    let task = changed.tasks[0].id;
    let save = |reader: &str, body: &str| {
        let draft = Draft {
            body: body.into(),
            saved_ms: 3,
        };
        let saved = ledger.save_draft(task, reader, &draft, TaskState::Claimed, None);
        saved.unwrap() == DraftSaved::Yes
    };
    assert!(!save("anna", "{}") && !save("", "{}"), "before the claim");
    changed.tasks[0].state = TaskState::Claimed;
    changed.tasks[0].held_by = Some("anna".into());
    ledger
        .change_case(&changed, &Alongside::Nothing, &audit())
        .unwrap();
    assert!(save("anna", "{}") && save("anna", "{\"a\":1}") && !save("bert", "{}"));
    assert_eq!(&*ledger.draft(task).unwrap().unwrap().body, "{\"a\":1}");
    // Of two that have read the same draft, one replaces it.
    let read = DraftTag::of(ledger.draft(task).unwrap().as_ref());
    let replace = |reader: &str, body: &str| {
        let draft = Draft {
            body: body.into(),
            saved_ms: 4,
        };
        let saved = ledger.save_draft(task, reader, &draft, TaskState::Claimed, Some(&read));
        saved.unwrap()
    };
    assert_eq!(replace("bert", "{}"), DraftSaved::NotHeld);
    assert_eq!(replace("anna", "{\"a\":2}"), DraftSaved::Yes);
    assert_eq!(replace("anna", "{\"a\":3}"), DraftSaved::Changed);
    assert_eq!(&*ledger.draft(task).unwrap().unwrap().body, "{\"a\":2}");
    // A commitment is of the draft that it was decided on, or not at all.
    let impression = Impression {
        findings: String::new(),
        impression: "Fracture".into(),
        recommendation: String::new(),
        key_images: Vec::new(),
        confidence: Confidence::Low,
    };
    changed = next(&changed);
    changed.tasks[0].state = TaskState::Committed;
    let rows = ledger.audit_head().unwrap();
    let commit = |read: &DraftTag| {
        let new = NewCommitment {
            task,
            impression: &impression,
            read: Some(read),
        };
        let done = ledger.change_case(&changed, &Alongside::Commitment(new), &audit());
        done.unwrap()
    };
    assert!(!commit(&read) && !commit(&DraftTag::of(None)));
    assert_eq!(ledger.audit_head().unwrap(), rows, "nothing of it happened");
    assert!(ledger.commitment(task).unwrap().is_none());
    assert!(commit(&DraftTag::of_text("{\"a\":2}")));
    // Who has read the task as it was before saves nothing into it.
    assert!(!save("anna", "{}"));
    changed = next(&changed);
    changed.tasks[0].state = TaskState::Signed;
    ledger
        .change_case(&changed, &Alongside::Nothing, &audit())
        .unwrap();
    assert!(!save("anna", "{}"));
}

#[test]
fn what_is_due_first_comes_first_and_all_are_counted() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = ledger(&folder);
    for (number, due_ms) in [
        (1, Some(2_000)),
        (2, None),
        (3, Some(1_000)),
        (4, Some(1_000)),
    ] {
        let mut case = case(number);
        case.request.due_ms = due_ms;
        ledger.insert_case(&case, &[], &audit()).unwrap();
    }
    let question = |order, limit| Question {
        sight: Sight {
            all: true,
            ..Sight::default()
        },
        order,
        limit,
        ..Question::default()
    };
    for (order, limit, expected) in [
        (Order::Newest(None), 9, &[4, 3, 2, 1][..]),
        (Order::Newest(Some(3)), 1, &[2]),
        (Order::Due(None), 9, &[3, 4, 1, 2]),
        (Order::Due(Some((1_000, 3))), 2, &[4, 1]),
        (Order::Due(Some((1_000, 4))), 9, &[1, 2]),
        (Order::Due(Some((2_000, 1))), 9, &[2]),
        (Order::Due(Some((Order::NEVER, 2))), 9, &[]),
    ] {
        let question = question(order, limit);
        let found = ledger.cases(&question).unwrap();
        let found: Vec<_> = found.iter().map(|case| case.number).collect();
        assert_eq!(found, expected, "{order:?} {limit}");
        assert_eq!(
            ledger.count_cases(&question).unwrap(),
            expected.len(),
            "{order:?} {limit}"
        );
    }
}

#[test]
fn searches_find_what_somebody_may_see() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = ledger(&folder);
    for number in 1..=4 {
        let mut case = case(number);
        case.request.needs_complete = number == 4;
        if number == 2 {
            case.requester = "rosa".into();
            case.state = State::Answered;
            case.request.priors.clear();
            case.request.study = Uid::parse("1.2.9").unwrap();
        }
        if number == 3 {
            case.tasks.remove(1);
        }
        ledger.insert_case(&case, &[], &audit()).unwrap();
    }
    let find = |sight: Sight, change: fn(&mut Question)| {
        let mut question = Question {
            sight,
            limit: 10,
            ..Question::default()
        };
        change(&mut question);
        let found = ledger.cases(&question).unwrap();
        let found: Vec<_> = found.iter().map(|case| case.number).collect();
        assert_eq!(ledger.count_cases(&question).unwrap(), found.len());
        // However many cases somebody has, and in which order: they are the same.
        let all = |question: &Question| {
            let read =
                ledger.read(|reader| search::numbers_of(reader, question, None).map_err(error));
            let all: Result<Vec<i64>, LedgerError> = read;
            all.unwrap().into_iter().map(number).collect::<Vec<_>>()
        };
        assert_eq!(all(&question), found);
        let mut by_due = all(&Question {
            order: Order::Due(None),
            ..question.clone()
        });
        by_due.sort_unstable_by_key(|number| std::cmp::Reverse(*number));
        if question.order == Order::default() {
            assert_eq!(by_due, found);
        }
        found
    };
    let pool = |word: &str| Some(vec![Pool::parse(word).unwrap()]);
    let root = || Sight {
        all: true,
        name: "root".into(),
        ..Sight::default()
    };
    let rita = || Sight {
        requested: true,
        name: "rita".into(),
        ..Sight::default()
    };
    let reads = |name: &str, pools| Sight {
        reads: true,
        name: name.into(),
        pools,
        ..Sight::default()
    };
    let none = || Some(Vec::new());
    assert_eq!(find(root(), |_| ()), [4, 3, 2, 1]);
    assert_eq!(find(rita(), |_| ()), [4, 3, 1]);
    assert_eq!(find(Sight::default(), |_| ()), [0; 0]);
    assert_eq!(
        find(reads("anna", none()), |_| ()),
        [3, 2, 1],
        "4 has not gone out"
    );
    assert_eq!(find(reads("bert", pool("neuro")), |_| ()), [2, 1]);
    assert_eq!(find(reads("bert", pool("other")), |_| ()), [0; 0]);
    assert_eq!(find(reads("anyone", None), |_| ()), [2, 1]);
    assert_eq!(find(reads("", none()), |_| ()), [0; 0]);
    assert_eq!(find(root(), |q| q.states = vec![State::Answered]), [2]);
    assert_eq!(find(root(), |q| q.due_before_ms = Some(1_001)), [4, 3, 1]);
    assert_eq!(find(root(), |q| q.due_before_ms = Some(1_000)), [0; 0]);
    assert_eq!(
        find(root(), |q| q.due_before_ms = Some(Order::NEVER)),
        [4, 3, 1]
    );
    let current = |q: &mut Question| q.states = vec![State::Open, State::InReview, State::Answered];
    assert_eq!(find(root(), current), [4, 3, 2, 1]);
    assert_eq!(find(reads("anna", none()), current), [3, 2, 1]);
    assert_eq!(find(root(), |q| q.mine = true), [0; 0]);
    assert_eq!(find(reads("anna", none()), |q| q.mine = true), [3, 2, 1]);
    assert_eq!(
        find(reads("anna", pool("neuro")), |q| q.pool = true),
        [2, 1]
    );
    assert_eq!(
        find(root(), |q| q.study = Some(Uid::parse("1.2.4").unwrap())),
        [4, 3, 1]
    );
    assert_eq!(
        find(root(), |q| (q.order, q.limit) = (Order::Newest(Some(4)), 2)),
        [3, 2]
    );
    let narrow = |studies: &[&str]| Sight {
        studies: Some(
            studies
                .iter()
                .map(|text| Uid::parse(text).unwrap())
                .collect(),
        ),
        ..root()
    };
    assert_eq!(find(narrow(&["1.2.9"]), |_| ()), [2]);
    assert_eq!(
        find(narrow(&["1.2.3"]), |_| ()),
        [0; 0],
        "the prior is outside"
    );
    assert_eq!(find(narrow(&["1.2.3", "1.2.4"]), |_| ()), [4, 3, 1]);
    assert_eq!(find(narrow(&[]), |_| ()), [0; 0]);
    // By name, of those that have gone out: of 1 and 3 the study blind, of 2 another study.
    let views = ledger.case_views("anna").unwrap();
    let told: Vec<_> = views
        .iter()
        .map(|(study, view)| (study.as_str(), *view))
        .collect();
    assert_eq!(
        told,
        [
            ("1.2.3", View::WithoutReports),
            ("1.2.4", View::Whole),
            ("1.2.9", View::WithoutReports)
        ]
    );
    assert!(
        ledger.case_views("bert").unwrap().is_empty() && ledger.case_views("").unwrap().is_empty()
    );

    let pools = [Pool::parse("b").unwrap(), Pool::parse("a").unwrap()];
    ledger.set_pools("anna", &pools, &audit()).unwrap();
    assert_eq!(
        ledger.pools_of("anna").unwrap(),
        [pools[1].clone(), pools[0].clone()]
    );
    ledger.set_pools("anna", &[], &audit()).unwrap();
    assert!(ledger.pools_of("anna").unwrap().is_empty());
}

#[test]
fn what_a_reader_may_see_changes_with_the_case_whoever_changes_it() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = ledger(&folder);
    let beside = Ledger::open_beside(&folder.path().join("ledger.sqlite")).unwrap();
    ledger.insert_case(&case(1), &[], &audit()).unwrap();
    let views = || {
        ledger
            .case_views("anna")
            .unwrap()
            .into_values()
            .collect::<Vec<_>>()
    };
    let none: Vec<View> = Vec::new();
    assert_eq!(views(), none, "it has not gone out");
    let change = |change: &dyn Fn(&mut Case)| {
        let mut changed = next(&beside.case(1).unwrap().unwrap());
        change(&mut changed);
        let done = beside.change_case(&changed, &Alongside::Nothing, &audit());
        assert!(done.unwrap());
    };
    change(&|case| {
        case.completed = Some(Completed {
            by: "rita".into(),
            at_ms: 5,
        });
    });
    assert_eq!(views(), [View::WithoutReports, View::Whole]);
    assert_eq!(views(), [View::WithoutReports, View::Whole]);
    change(&|case| {
        case.tasks[0].state = TaskState::Committed;
        case.tasks[0].held_by = Some("anna".into());
        case.tasks[0].committed_ms = Some(6);
    });
    assert_eq!(views(), [View::Whole, View::Whole]);
    // Another case comes and goes; what the first gives is as it was.
    let mut other = case(2);
    other.request.study = Uid::parse("1.2.9").unwrap();
    other.request.priors.clear();
    other.completed = Some(Completed {
        by: "rita".into(),
        at_ms: 5,
    });
    beside.insert_case(&other, &[], &audit()).unwrap();
    assert_eq!(views(), [View::Whole, View::Whole, View::WithoutReports]);
    let mut gone = next(&beside.case(2).unwrap().unwrap());
    gone.state = State::Closed;
    beside
        .change_case(&gone, &Alongside::Nothing, &audit())
        .unwrap();
    assert_eq!(views(), [View::Whole, View::Whole]);
    // Whose hands a task leaves loses it too.
    let of_bert = || ledger.case_views("bert").unwrap().len();
    change(&|case| case.tasks[0].held_by = Some("bert".into()));
    assert_eq!((views(), of_bert()), (none.clone(), 2));
    change(&|case| case.tasks[0].held_by = Some("anna".into()));
    assert_eq!((views().len(), of_bert()), (2, 0));
    change(&|case| case.state = State::Withdrawn);
    assert_eq!(views(), none);
}
