//! The one total order of answers, for every index: studies newest first, those without a date
//! last; series of a study by Series Number, then arrival; instances of a series by Instance
//! Number, then arrival. Numbers come before no number.

use crate::archive::index::Cursor;

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
