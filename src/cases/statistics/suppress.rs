//! Which groups of a table may be told of. All groups together are the total, which is told too, so what is hidden is
//! the total less what is told: *hiding one small group hides nothing*, and hiding two of one verdict each tells of two.
//!
//! So groups are hidden until those hidden are none, or at least two that together are no smaller than a group that may be
//! told of; each time the smallest that is left. Then the total tells of them no more than of any group. What somebody
//! learns who knows some of the hidden verdicts anyhow, as a reader knows theirs, no hiding can keep.

/// Whether each group of these sizes may be told of, when none may be smaller than `group_min`.
#[must_use]
pub fn told(sizes: &[u64], group_min: u64) -> Vec<bool> {
    let mut told: Vec<bool> = sizes.iter().map(|size| *size >= group_min).collect();
    loop {
        let hidden = || sizes.iter().zip(&told).filter(|(_, is_told)| !**is_told);
        let (count, sum) = hidden().fold((0, 0_u64), |(count, sum), (size, _)| {
            (count + 1, sum.saturating_add(*size))
        });
        if count == 0 || (count >= 2 && sum >= group_min) {
            return told;
        }
        let left = sizes.iter().enumerate().filter(|(at, _)| told[*at]);
        let Some((smallest, _)) = left.min_by_key(|(_, size)| **size) else {
            return told;
        };
        told[smallest] = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_small_is_told_nor_left_over() {
        let cases: &[(&[u64], &[bool])] = &[
            (&[], &[]),
            (&[9], &[true]),
            (&[4], &[false]),
            (&[5, 5], &[true, true]),
            // One small group would be the difference.
            (&[20, 3, 10], &[true, false, false]),
            // Two would be, together, a small one.
            (&[20, 1, 2, 10], &[true, false, false, false]),
            (&[20, 4, 4, 10], &[true, false, false, true]),
            (&[20, 3], &[false, false]),
            (&[3, 1], &[false, false]),
            // The first of equals.
            (&[7, 7, 1], &[false, true, false]),
        ];
        for (sizes, expected) in cases {
            assert_eq!(told(sizes, 5), *expected, "{sizes:?}");
        }
    }

    #[test]
    fn it_holds_for_any_sizes() {
        // All tables of up to four groups of up to seven verdicts.
        for code in 0..8_u64.pow(4) {
            let sizes: Vec<u64> = (0..4)
                .map(|at| code / 8_u64.pow(at) % 8)
                .filter(|n| *n > 0)
                .collect();
            for group_min in 1..=6 {
                let told = told(&sizes, group_min);
                let pairs = || sizes.iter().zip(&told);
                assert!(pairs().all(|(size, is_told)| !is_told || *size >= group_min));
                let hidden: Vec<u64> = pairs()
                    .filter(|(_, told)| !**told)
                    .map(|(size, _)| *size)
                    .collect();
                let is_all = hidden.len() == sizes.len();
                let is_covered = hidden.len() >= 2 && hidden.iter().sum::<u64>() >= group_min;
                assert!(
                    hidden.is_empty() || is_all || is_covered,
                    "{sizes:?} {group_min}"
                );
            }
        }
    }
}
