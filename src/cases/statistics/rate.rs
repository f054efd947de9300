//! Shares with their intervals, and quantiles.

/// The quantile 0.975 of the standard normal distribution, for intervals of 95 %.
const Z: f64 = 1.959_963_984_540_054;

/// How many of how many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rate {
    /// How many have it.
    pub count: u64,
    /// Of how many; at least as many.
    pub of: u64,
}

impl Rate {
    /// `count` of `of`.
    #[must_use]
    pub fn new(count: u64, of: u64) -> Self {
        Self {
            count: count.min(of),
            of,
        }
    }

    /// Counts one more, which has it or not.
    pub fn take(&mut self, has_it: bool) {
        self.of += 1;
        self.count += u64::from(has_it);
    }

    /// The share, from 0 to 1; `None` of nothing.
    #[must_use]
    pub fn share(&self) -> Option<f64> {
        (self.of > 0).then(|| self.count as f64 / self.of as f64)
    }

    /// The Wilson score interval of 95 % (E. B. Wilson, J Am Stat Assoc 22 (1927) 209), without correction for
    /// continuity; `None` of nothing.
    #[must_use]
    pub fn interval(&self) -> Option<(f64, f64)> {
        let share = self.share()?;
        let n = self.of as f64;
        let square = Z * Z / n;
        let middle = share + square / 2.0;
        let half = Z * (share * (1.0 - share) / n + square / (4.0 * n)).sqrt();
        let bound = |value: f64| (value / (1.0 + square)).clamp(0.0, 1.0);
        Some((bound(middle - half), bound(middle + half)))
    }
}

/// The value below which `share` (0 to 1) of ascending values lie, between neighbours by their distance: what numpy gives
/// by default (`linear`). `None` of none.
#[must_use]
pub fn quantile(ascending: &[i64], share: f64) -> Option<f64> {
    let last = ascending.len().checked_sub(1)?;
    let place = share.clamp(0.0, 1.0) * last as f64;
    let below = place.floor();
    let at = (below as usize).min(last);
    let (low, high) = (ascending[at], ascending[(at + 1).min(last)]);
    let step = high.saturating_sub(low) as f64;
    Some(low as f64 + step * (place - below))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_those_of_statsmodels() {
        // statsmodels.stats.proportion.proportion_confint(count, of, method="wilson"), version 0.15.0.
        for &(count, of, low, high) in WILSON {
            let (ours_low, ours_high) = Rate::new(count, of).interval().unwrap();
            assert!(
                (ours_low - low).abs() < 1e-12,
                "{count} of {of}: {ours_low}"
            );
            assert!(
                (ours_high - high).abs() < 1e-12,
                "{count} of {of}: {ours_high}"
            );
        }
        assert_eq!(Rate::new(0, 0).interval(), None);
        assert_eq!(Rate::new(3, 2).share(), Some(1.0));
    }

    #[test]
    fn quantiles_are_those_of_numpy() {
        // numpy.quantile(values, share), version 2.4.6.
        for &(values, share, expected) in QUANTILES {
            let ours = quantile(values, share).unwrap();
            assert!((ours - expected).abs() < 1e-9, "{values:?} {share}: {ours}");
        }
        assert_eq!(quantile(&[], 0.5), None);
        let whole = [i64::MIN, i64::MAX];
        assert!(quantile(&whole, 0.9).unwrap().is_finite());
    }

    const WILSON: &[(u64, u64, f64, f64)] = &[
        (0, 1, 0.0, 0.7934506856227627),
        (1, 1, 0.2065493143772374, 1.0),
        (0, 10, 0.0, 0.27753279986288926),
        (10, 10, 0.7224672001371106, 1.0),
        (1, 10, 0.017876213095072924, 0.40415002679523854),
        (3, 7, 0.15821985525146964, 0.7495416354723428),
        (55, 283, 0.15246511043869626, 0.24441426428187696),
        (42, 283, 0.11170900421448149, 0.1945279643947328),
        (290, 485, 0.5536968088668854, 0.6406402267625859),
        (304, 2354, 0.11619637961660567, 0.14329581674451647),
        (1, 1000000, 1.7652457674537176e-07, 5.664911804311445e-06),
    ];

    const QUANTILES: &[(&[i64], f64, f64)] = &[
        (&[5], 0.9, 5.0),
        (&[1, 2], 0.5, 1.5),
        (&[1, 2, 3, 4], 0.5, 2.5),
        (&[1, 2, 3, 4, 10], 0.9, 7.6000000000000005),
        (&[0, 0, 7, 9, 100, 1000], 0.9, 550.0),
        (
            &[0, 100, 200, 300, 400, 500, 600, 700, 800, 900, 1000],
            0.9,
            900.0,
        ),
        (&[3, 3, 3], 0.5, 3.0),
        (&[-5, 0, 86400000], 0.5, 0.0),
        (&[-5, 0, 86400000], 0.9, 69120000.0),
    ];
}
