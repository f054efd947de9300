//! Event reports of storage commitment: what is owed until it is settled, what others told, and
//! answers that are revised.

use crate::archive::index::{Answered, OwedReport, ToldReport, Transaction};
use crate::db::contract::on_every_index;
use crate::db::contract::sample::uid;

#[test]
fn reports_are_owed_until_they_are_settled() {
    on_every_index(|index| {
        let owed = |name: &str, attempts, due_at_ms| OwedReport {
            transaction_uid: uid(name),
            requester: "ASKER".into(),
            called: "OVERREAD".into(),
            attempts,
            due_at_ms,
        };
        let change = |change: &dyn Fn(&mut dyn Transaction)| {
            let mut transaction = index.begin().unwrap();
            change(&mut *transaction);
            transaction.commit().unwrap();
        };
        change(&|t| t.owe_report(&owed("2.1", 0, 30)).unwrap());
        change(&|t| t.owe_report(&owed("2.2", 0, 20)).unwrap());
        change(&|t| t.owe_report(&owed("2.1", 1, 10)).unwrap());
        assert_eq!(
            index.owed_reports().unwrap(),
            [owed("2.1", 1, 10), owed("2.2", 0, 20)]
        );
        // What is not committed has not happened.
        index.begin().unwrap().settle_report(&uid("2.1")).unwrap();
        assert_eq!(index.owed_reports().unwrap().len(), 2);
        change(&|t| t.settle_report(&uid("2.1")).unwrap());
        change(&|t| t.settle_report(&uid("2.9")).unwrap());
        assert_eq!(index.owed_reports().unwrap(), [owed("2.2", 0, 20)]);
    });
}

#[test]
fn the_latest_reports_of_others_are_kept() {
    on_every_index(|index| {
        let told = |name: &str, report: &str| ToldReport {
            transaction_uid: uid(name),
            told_by: "PACS".into(),
            report: report.into(),
        };
        for one in [
            told("2.1", "a"),
            told("2.2", "b"),
            told("2.1", "c"),
            told("2.3", "d"),
        ] {
            let mut transaction = index.begin().unwrap();
            transaction.keep_told(&one, 2).unwrap();
            transaction.commit().unwrap();
        }
        assert_eq!(
            index.told_report(&uid("2.1")).unwrap(),
            Some(told("2.1", "c"))
        );
        assert_eq!(index.told_report(&uid("2.2")).unwrap(), None);
        assert_eq!(
            index.told_report(&uid("2.3")).unwrap(),
            Some(told("2.3", "d"))
        );
    });
}

#[test]
fn an_answer_is_revised_where_there_is_one() {
    on_every_index(|index| {
        let answered = |text: &str| Answered {
            at_ms: 7,
            answer: Some(text.into()),
        };
        let mut transaction = index.begin().unwrap();
        transaction.answer(&uid("2.1"), &answered("asked")).unwrap();
        transaction.revise_answer(&uid("2.1"), "told").unwrap();
        transaction.revise_answer(&uid("2.2"), "told").unwrap();
        transaction.commit().unwrap();
        assert_eq!(index.answered(&uid("2.1")).unwrap(), Some(answered("told")));
        assert_eq!(index.answered(&uid("2.2")).unwrap(), None);
    });
}
