//! The orders of studies: what comes last, what equals, and pages that follow each other.

use crate::access::Scope;
use crate::archive::Index;
use crate::archive::index::{NewInstance, Remaining};
use crate::db::contract::on_every_index;
use crate::db::contract::sample::{insert, key, names, query, remove, sample, uid};
use crate::dicom::query::{Order, OrderBy};
use crate::dicom::{AttributeId, Level, Query};

const WAYS: [OrderBy; 4] = [
    OrderBy::StudyDate,
    OrderBy::PatientName,
    OrderBy::PatientId,
    OrderBy::Arrival,
];

fn ordered(by: OrderBy, is_descending: bool, after: Option<&str>) -> Query {
    Query {
        order: Order {
            by,
            is_descending,
            after: after.map(uid),
        },
        ..query(Level::Study, Vec::new())
    }
}

fn study(number: u32, name: Option<&str>, patient_id: Option<&str>, date: &str) -> NewInstance {
    let mut new = sample(number, 1, 1);
    let said = std::mem::take(&mut new.header.attributes);
    let is_id = |id: &AttributeId| id.attribute().keyword == "PatientID";
    for (id, value) in said.iter().filter(|(id, _)| !is_id(id)) {
        new.header.attributes.set(id, value);
    }
    for (keyword, value) in [("PatientName", name), ("PatientID", patient_id)] {
        if let Some(value) = value {
            new = new.with(keyword, value);
        }
    }
    new.with("StudyDate", date)
}

fn some_studies() -> Vec<NewInstance> {
    vec![
        study(1, Some("Müller^J"), Some("B"), "20240102"),
        study(2, None, Some("A"), "20240103"),
        study(3, Some("DOE^Jane"), None, "20240101"),
        study(4, Some("döe^jane"), Some(""), ""),
        study(5, Some("Doe^Jane"), Some("B"), "20240104"),
        study(6, Some("Doe Smith^Ann"), Some("a"), "20240104"),
        study(7, Some("=山田^太郎"), Some("C"), "20240104"),
        study(8, Some("^^"), Some("C"), "20240104"),
    ]
}

#[test]
fn what_says_nothing_comes_last_and_what_equals_newest_first() {
    on_every_index(|index| {
        insert(index, &some_studies());
        for (by, is_descending, wanted) in [
            (OrderBy::StudyDate, true, "8 7 6 5 2 1 3 4"),
            (OrderBy::StudyDate, false, "3 1 2 5 6 7 8 4"),
            (OrderBy::PatientName, false, "5 3 4 6 1 7 8 2"),
            (OrderBy::PatientName, true, "7 1 6 5 3 4 8 2"),
            (OrderBy::PatientId, false, "2 5 1 8 7 6 4 3"),
            (OrderBy::PatientId, true, "6 8 7 5 1 2 4 3"),
            (OrderBy::Arrival, true, "8 7 6 5 4 3 2 1"),
            (OrderBy::Arrival, false, "1 2 3 4 5 6 7 8"),
        ] {
            let wanted: Vec<_> = wanted.split(' ').map(|n| format!("1.{n}")).collect();
            let query = ordered(by, is_descending, None);
            let all = index.find(&query, &Scope::All).unwrap();
            assert_eq!(names(Level::Study, &all), wanted, "{:?}", query.order);
            // Wherever a page begins, and of whatever it is chosen.
            for offset in 0..9 {
                let page = Query {
                    limit: 2,
                    offset: offset as u64,
                    ..query.clone()
                };
                let page = index.find(&page, &Scope::All).unwrap();
                let rows: Vec<_> = wanted.iter().skip(offset).take(2).cloned().collect();
                let left = wanted.len().saturating_sub(offset + rows.len());
                assert_eq!(names(Level::Study, &page), rows, "{:?}", query.order);
                assert_eq!(page.remaining, Remaining::Exactly(left as u64));
            }
            let dated = Query {
                keys: vec![key("StudyDate", "20240104")],
                ..query.clone()
            };
            let dated = index.find(&dated, &Scope::All).unwrap();
            let newest = ["1.5", "1.6", "1.7", "1.8"];
            let kept = wanted.iter().filter(|uid| newest.contains(&uid.as_str()));
            let kept: Vec<_> = kept.cloned().collect();
            assert_eq!(names(Level::Study, &dated), kept, "{:?}", query.order);
        }
    });
}

/// All pages of an order, each behind the last study of the one before.
fn paged(
    index: &dyn Index,
    by: OrderBy,
    is_descending: bool,
    scope: &Scope,
    mut between: impl FnMut(),
) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    loop {
        let page = Query {
            limit: 3,
            // Passed over.
            offset: 100 * found.len() as u64,
            ..ordered(by, is_descending, found.last().map(String::as_str))
        };
        let page = index.find(&page, scope).unwrap();
        let rows = names(Level::Study, &page);
        assert!(rows.len() == 3 || page.remaining == Remaining::Exactly(0));
        if rows.is_empty() {
            return found;
        }
        found.extend(rows);
        between();
    }
}

#[test]
fn pages_that_follow_each_other_lose_and_repeat_nothing_while_studies_arrive() {
    on_every_index(|index| {
        let names = ["Doe^J", "doe^j", "Lee^A", "", "Müller^J", "Moor^B"];
        let at = |number: u32| {
            let name = names[number as usize % names.len()];
            let day = format!("202401{:02}", 1 + number * 7 % 20);
            study(
                number,
                Some(name),
                Some(["P1", "P2", ""][number as usize % 3]),
                &day,
            )
        };
        let mut number = 0;
        for by in WAYS {
            for is_descending in [false, true] {
                let first: Vec<_> = (1..=5).map(|n| at(number + n)).collect();
                insert(index, &first);
                number += 5;
                let before = paged(index, by, is_descending, &Scope::All, || ());
                let last = number + 5;
                let found = paged(index, by, is_descending, &Scope::All, || {
                    if number < last {
                        number += 1;
                        insert(index, &[at(number)]);
                    }
                });
                let mut once = found.clone();
                once.sort_unstable();
                once.dedup();
                assert_eq!(once.len(), found.len(), "{by:?}");
                let known: Vec<_> = found.iter().filter(|uid| before.contains(uid)).collect();
                assert_eq!(known, before.iter().collect::<Vec<_>>(), "{by:?}");
                let whole = index.find(&ordered(by, is_descending, None), &Scope::All);
                let whole = super::sample::names(Level::Study, &whole.unwrap());
                let again = paged(index, by, is_descending, &Scope::All, || ());
                assert_eq!(again, whole, "{by:?}");
                // Within a scope, too.
                let some = Scope::of(whole.iter().step_by(2).map(uid));
                let seen = paged(index, by, is_descending, &some, || ());
                assert!(seen.iter().eq(whole.iter().step_by(2)), "{by:?}");
            }
        }
    });
}

#[test]
fn behind_a_study_that_is_not_there_the_offset_counts() {
    on_every_index(|index| {
        insert(index, &some_studies());
        remove(index, "1.5.1.1").unwrap();
        let behind = |after: &str, scope: &Scope| {
            let page = Query {
                offset: 1,
                limit: 1,
                ..ordered(OrderBy::PatientName, false, Some(after))
            };
            names(Level::Study, &index.find(&page, scope).unwrap())
        };
        // The names without it: 3 4 6 1 7 8 2.
        assert_eq!(behind("1.5", &Scope::All), ["1.4"]);
        assert_eq!(behind("1.99", &Scope::All), ["1.4"]);
        assert_eq!(behind("1.6", &Scope::All), ["1.1"]);
        assert_eq!(behind("1.2", &Scope::All), [""; 0]);
        // Nor does it tell anything of a study that is not the caller's.
        let some = Scope::of([uid("1.1"), uid("1.7"), uid("1.8")]);
        assert_eq!(behind("1.6", &some), ["1.7"]);
        assert_eq!(behind("1.7", &some), ["1.8"]);
    });
}
