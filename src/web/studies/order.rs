//! The order of the list of studies, as it stands in its address (`sort=name`, `sort=-name`) and as links in the
//! heads of its columns.

use std::fmt::Write;

use crate::dicom::Uid;
use crate::dicom::query::{Order, OrderBy};

use super::form::Form;

/// A way to order the list: its word in an address, what its link says, and whether the first click puts the
/// last on top.
struct Way {
    by: OrderBy,
    word: &'static str,
    is_descending_first: bool,
}

const WAYS: [Way; 4] = [
    Way {
        by: OrderBy::StudyDate,
        word: "date",
        is_descending_first: true,
    },
    Way {
        by: OrderBy::PatientName,
        word: "name",
        is_descending_first: false,
    },
    Way {
        by: OrderBy::PatientId,
        word: "id",
        is_descending_first: false,
    },
    Way {
        by: OrderBy::Arrival,
        word: "arrived",
        is_descending_first: true,
    },
];

/// The order that `sort` asks for; newest first when it makes no sense.
pub(super) fn read(sort: &str, after: &str) -> Order {
    let (is_descending, word) = match sort.strip_prefix('-') {
        Some(word) => (true, word),
        None => (false, sort),
    };
    let after = Uid::parse(after).ok();
    match WAYS.iter().find(|way| way.word == word) {
        Some(way) => Order {
            by: way.by,
            is_descending,
            after,
        },
        None => Order {
            after,
            ..Order::NEWEST
        },
    }
}

/// How an address says an order; empty when it need not, of the newest first.
pub(super) fn word(by: OrderBy, is_descending: bool) -> String {
    let way = WAYS.iter().find(|way| way.by == by);
    let word = way.map_or("", |way| way.word);
    match (by, is_descending) {
        (OrderBy::StudyDate, true) => String::new(),
        (_, true) => format!("-{word}"),
        (_, false) => word.to_owned(),
    }
}

/// The head of a column by which the list is ordered in these ways, each with what its link says: the way it is
/// ordered now turns round.
pub(super) fn head(class: &str, form: &Form, links: &[(OrderBy, &str)]) -> String {
    let order = form.order();
    let sorted = match (
        links.iter().any(|(by, _)| *by == order.by),
        order.is_descending,
    ) {
        (false, _) => "",
        (true, false) => " aria-sort=\"ascending\"",
        (true, true) => " aria-sort=\"descending\"",
    };
    let mut html = format!("<th class=\"{class}\"{sorted}>");
    for (place, (by, says)) in links.iter().enumerate() {
        let is_now = *by == order.by;
        let is_first_down = WAYS
            .iter()
            .any(|way| way.by == *by && way.is_descending_first);
        let is_down = if is_now {
            !order.is_descending
        } else {
            is_first_down
        };
        let (current, arrow) = match (is_now, order.is_descending) {
            (false, _) => ("", ""),
            (true, false) => (
                " aria-current=\"true\"",
                " <span aria-hidden=\"true\">↑</span>",
            ),
            (true, true) => (
                " aria-current=\"true\"",
                " <span aria-hidden=\"true\">↓</span>",
            ),
        };
        let between = if place == 0 { "" } else { " " };
        let _ = write!(
            html,
            "{between}<a href=\"{}\" data-key=\"sort-{}\"{current}>{says}{arrow}</a>",
            form.ordered(*by, is_down),
            word(*by, false),
        );
    }
    html.push_str("</th>");
    html
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_says_every_order_and_is_read_back() {
        for way in &WAYS {
            for is_descending in [false, true] {
                let order = read(&word(way.by, is_descending), "1.2");
                assert_eq!((order.by, order.is_descending), (way.by, is_descending));
                assert_eq!(order.after, Uid::parse("1.2").ok());
            }
        }
        for odd in ["", "-", "names", "--name", "NAME"] {
            assert_eq!(read(odd, "x"), Order::NEWEST);
        }
    }

    #[test]
    fn a_head_turns_what_it_is_ordered_by_and_keeps_the_filter() {
        let form = Form::read("name=a%26b&sort=name&offset=50&after=1.2").unwrap();
        let names = head(
            "patient",
            &form,
            &[
                (OrderBy::PatientName, "Patient"),
                (OrderBy::PatientId, "ID"),
            ],
        );
        assert!(
            names.starts_with("<th class=\"patient\" aria-sort=\"ascending\">"),
            "{names}"
        );
        assert!(
            names.contains("href=\"./?name=a%26b&amp;sort=-name\""),
            "{names}"
        );
        assert!(
            names.contains("href=\"./?name=a%26b&amp;sort=id\""),
            "{names}"
        );
        let dates = head("date", &form, &[(OrderBy::StudyDate, "Date")]);
        assert!(
            dates.contains("<th class=\"date\"><a href=\"./?name=a%26b\""),
            "{dates}"
        );
        let newest = Form::read("").unwrap();
        let dates = head("date", &newest, &[(OrderBy::StudyDate, "Date")]);
        assert!(
            dates.contains("aria-sort=\"descending\"") && dates.contains("href=\"./?sort=date\""),
            "{dates}"
        );
    }
}
