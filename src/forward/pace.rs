//! When: the clock, and the growing waits between attempts.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The longest wait between two attempts.
const WAIT_MAX: Duration = Duration::from_secs(3600);

/// Milliseconds since 1970 UTC.
pub(crate) fn now_ms() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, milliseconds)
}

pub(crate) fn milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// The moment of the next attempt after `failures` of them, from 1: twice as long each time, less a
/// random quarter, so that many who wait do not come back together.
pub(crate) fn next_attempt_ms(first: Duration, failures: u32) -> i64 {
    let factor = 1_u32
        .checked_shl(failures.saturating_sub(1))
        .unwrap_or(u32::MAX);
    let whole = first.saturating_mul(factor).min(WAIT_MAX);
    let share = (random() % 256) as f64 / 1024.0;
    now_ms().saturating_add(milliseconds(whole.mul_f64(1.0 - share)))
}

/// The moment that a destination has asked for, within reason.
pub(crate) fn asked_for_ms(wait: Duration) -> i64 {
    let wait = wait.clamp(Duration::from_secs(1), WAIT_MAX);
    now_ms().saturating_add(milliseconds(wait))
}

/// A number that nobody can guess.
pub(super) fn random() -> u64 {
    // The keys of a hasher are random, which is all that is wanted here.
    RandomState::new().build_hasher().finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_an_hour_and_no_further() {
        let first = Duration::from_secs(60);
        for (failures, seconds) in [
            (0, 60),
            (1, 60),
            (2, 120),
            (5, 960),
            (7, 3600),
            (40, 3600),
            (u32::MAX, 3600),
        ] {
            let wait = next_attempt_ms(first, failures) - now_ms();
            let whole = seconds * 1000;
            assert!(
                (whole * 3 / 4 - 1000..=whole).contains(&wait),
                "{failures}: {wait}"
            );
        }
        let soon = asked_for_ms(Duration::ZERO) - now_ms();
        assert!((0..=1000).contains(&soon), "{soon}");
        let late = asked_for_ms(Duration::from_secs(1 << 40)) - now_ms();
        assert!((3_599_000..=3_600_000).contains(&late), "{late}");
    }
}
