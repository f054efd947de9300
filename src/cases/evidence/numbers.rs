//! Instance Numbers (0020,0013) of a series: which are missing between the least and the greatest, which come twice.
//! The standard does not promise that they are unique or without gaps; modalities make them so.

use std::collections::BTreeMap;

use super::LIST_MAX;

/// What the Instance Numbers of a series tell.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Numbers {
    /// The least.
    pub first: Option<i64>,
    /// The greatest.
    pub last: Option<i64>,
    /// Instances without one.
    pub without: u64,
    /// How many are missing between the least and the greatest.
    pub missing: u64,
    /// The first of these, as ranges with both ends; [`LIST_MAX`] at most.
    pub gaps: Vec<(i64, i64)>,
    /// How many instances have a number that another one had before.
    pub duplicates: u64,
    /// Numbers that come more than once, with how often; [`LIST_MAX`] at most.
    pub repeated: Vec<(i64, u64)>,
}

/// What these numbers tell, in whatever order they come.
#[must_use]
pub fn of(numbers: impl Iterator<Item = Option<i64>>) -> Numbers {
    let mut counts = BTreeMap::<i64, u64>::new();
    let mut found = Numbers::default();
    for number in numbers {
        match number {
            Some(number) => *counts.entry(number).or_default() += 1,
            None => found.without += 1,
        }
    }
    found.first = counts.keys().next().copied();
    found.last = counts.keys().next_back().copied();
    let mut before: Option<i64> = None;
    for (number, count) in counts {
        if let Some(before) = before {
            // They may be at both ends of what fits.
            let between = number.abs_diff(before).saturating_sub(1);
            found.missing = found.missing.saturating_add(between);
            if between > 0 && found.gaps.len() < LIST_MAX {
                found.gaps.push((before + 1, number - 1));
            }
        }
        before = Some(number);
        found.duplicates += count - 1;
        if count > 1 && found.repeated.len() < LIST_MAX {
            found.repeated.push((number, count));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(numbers: &[i64]) -> Numbers {
        of(numbers.iter().copied().map(Some))
    }

    #[test]
    fn what_is_missing_and_what_comes_twice() {
        assert_eq!(of([].into_iter()), Numbers::default());
        let found = of([Some(7), None, Some(3), Some(3), Some(4), Some(9), Some(3)].into_iter());
        let expected = Numbers {
            first: Some(3),
            last: Some(9),
            without: 1,
            missing: 3,
            gaps: vec![(5, 6), (8, 8)],
            duplicates: 2,
            repeated: vec![(3, 3)],
        };
        assert_eq!(found, expected);
        assert_eq!(numbers(&[-1, 0, 1]).missing, 0);
    }

    #[test]
    fn numbers_far_apart_break_nothing() {
        let found = numbers(&[i64::MIN, i64::MAX]);
        assert_eq!((found.missing, found.gaps.len()), (u64::MAX - 1, 1));
        assert_eq!(found.gaps, [(i64::MIN + 1, i64::MAX - 1)]);
        let sparse: Vec<i64> = (0..500).map(|n| n * 2).chain(0..500).collect();
        let found = numbers(&sparse);
        assert_eq!(
            (found.gaps.len(), found.repeated.len()),
            (LIST_MAX, LIST_MAX)
        );
        assert_eq!((found.missing, found.duplicates), (249, 250));
    }
}
