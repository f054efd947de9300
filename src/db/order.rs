//! The total orders of answers, for every index: studies newest first, those without a date last, or as a
//! query asks ([`Order`]); series of a study by Series Number, then arrival; instances of a series by
//! Instance Number, then arrival. Numbers come before no number.

use std::cmp::Reverse;

use crate::archive::index::Cursor;
use crate::dicom::query::{Order, OrderBy};

/// What a study is ordered by, as its first instance said.
#[derive(Debug, Clone)]
pub(super) struct Standing {
    /// See [`crate::db::rules`], as the two below.
    pub(super) sort_name: String,
    /// As it is; `None` when absent.
    pub(super) patient_id: Option<String>,
    pub(super) sort_date: String,
    pub(super) sort_time: String,
    /// Studies are numbered as they arrive.
    pub(super) id: i64,
}

/// A place among studies: those of one order compare as the studies follow each other.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct StudyPlace {
    /// What has nothing to be ordered by comes last.
    lack: u8,
    text: Toward<String>,
    moment: Toward<(String, String, i64)>,
}

/// The values of one order go one way.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Toward<T> {
    Last(T),
    First(Reverse<T>),
}

impl<T> Toward<T> {
    fn new(value: T, is_descending: bool) -> Self {
        match is_descending {
            true => Self::First(Reverse(value)),
            false => Self::Last(value),
        }
    }
}

impl Standing {
    /// Where the study stands in an order.
    pub(super) fn place(self, order: &Order) -> StudyPlace {
        let Self {
            sort_name,
            patient_id,
            sort_date,
            sort_time,
            id,
        } = self;
        let is_by_text = matches!(order.by, OrderBy::PatientName | OrderBy::PatientId);
        let (lack, text, moment) = match order.by {
            OrderBy::StudyDate => (
                u8::from(sort_date.is_empty()),
                String::new(),
                (sort_date, sort_time, id),
            ),
            OrderBy::PatientName => (
                u8::from(sort_name.is_empty()),
                sort_name,
                (sort_date, sort_time, id),
            ),
            OrderBy::PatientId => {
                let lack = match patient_id.as_deref() {
                    None => 2,
                    Some("") => 1,
                    Some(_) => 0,
                };
                let text = patient_id.unwrap_or_default();
                (lack, text, (sort_date, sort_time, id))
            }
            OrderBy::Arrival => (0, String::new(), (String::new(), String::new(), id)),
        };
        StudyPlace {
            lack,
            text: Toward::new(text, order.is_descending),
            moment: Toward::new(moment, is_by_text || order.is_descending),
        }
    }
}

/// The order of what has no number. Series and Instance Number are IS: at most 2^31-1 (PS3.5 §6.2).
pub(super) const WITHOUT_NUMBER: i64 = i32::MAX as i64;

/// Where a Series Number or Instance Number sorts.
pub(super) fn number_order(value: Option<&str>) -> i64 {
    let first = value
        .unwrap_or_default()
        .split('\\')
        .next()
        .unwrap_or_default();
    let number = first.trim().parse::<i64>().unwrap_or(WITHOUT_NUMBER);
    number.clamp(i64::from(i32::MIN), WITHOUT_NUMBER)
}

/// The place of an instance in its study.
pub(super) fn cursor(series_order: i64, series: i64, instance_order: i64, instance: i64) -> Cursor {
    // A series order fits 32 bits; an archive with 2^32 series is beyond this index.
    Cursor(
        series_order << 32 | series & 0xffff_ffff,
        instance_order,
        instance,
    )
}

/// The series order and series of a cursor.
pub(super) fn cursor_series(cursor: Cursor) -> (i64, i64) {
    (cursor.0 >> 32, cursor.0 & 0xffff_ffff)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn studies_stand_as_the_order_says() {
        let studies = [
            ("muller\u{1}j", Some("B"), "20240102"),
            ("", Some("A"), "20240103"),
            ("doe\u{1}jane", None, "20240101"),
            ("doe\u{1}jane", Some(""), ""),
            ("doe\u{1}jane", Some("B"), "20240104"),
        ];
        let standing = |at: usize| Standing {
            sort_name: studies[at].0.into(),
            patient_id: studies[at].1.map(Into::into),
            sort_date: studies[at].2.into(),
            sort_time: String::new(),
            id: i64::try_from(at).unwrap(),
        };
        for (by, is_descending, wanted) in [
            (OrderBy::StudyDate, true, [4, 1, 0, 2, 3]),
            (OrderBy::StudyDate, false, [2, 0, 1, 4, 3]),
            (OrderBy::PatientName, false, [4, 2, 3, 0, 1]),
            (OrderBy::PatientName, true, [0, 4, 2, 3, 1]),
            (OrderBy::PatientId, false, [1, 4, 0, 3, 2]),
            (OrderBy::PatientId, true, [4, 0, 1, 3, 2]),
            (OrderBy::Arrival, true, [4, 3, 2, 1, 0]),
            (OrderBy::Arrival, false, [0, 1, 2, 3, 4]),
        ] {
            let after = None;
            let order = Order {
                by,
                is_descending,
                after,
            };
            let mut found = [0, 1, 2, 3, 4];
            found.sort_by_key(|at| standing(*at).place(&order));
            assert_eq!(found, wanted, "{order:?}");
        }
    }

    #[test]
    fn numbers_sort_as_numbers_and_before_none() {
        let orders = ["-5", "+2", " 10 ", "2147483647", "x"].map(|v| number_order(Some(v)));
        assert_eq!(orders, [-5, 2, 10, WITHOUT_NUMBER, WITHOUT_NUMBER]);
        assert_eq!(number_order(None), WITHOUT_NUMBER);
    }

    #[test]
    fn a_cursor_sorts_as_the_order_does_and_gives_its_series_back() {
        let places = [
            (-5, 9, 1, 7),
            (0, 8, 1, 2),
            (0, 9, 0, 1),
            (WITHOUT_NUMBER, 1, 0, 0),
        ];
        let cursors = places.map(|(a, b, c, d)| cursor(a, b, c, d));
        assert!(cursors.is_sorted());
        for ((order, series, _, _), cursor) in places.iter().zip(cursors) {
            assert_eq!(cursor_series(cursor), (*order, *series));
        }
    }
}
