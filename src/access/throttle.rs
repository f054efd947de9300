//! How often somebody may try to sign in: per account and per address. Memory is fixed: names and addresses
//! fall into slots by a keyed hash, so nobody can crowd out what was counted, nor aim at the slot of another. What
//! shares a slot by chance waits for its neighbour. An unknown name is counted as a known one.

use core::net::IpAddr;

use crate::access::secret::{NoRandomness, Secret};

const SLOTS: usize = 4096;

/// How failures become waits.
#[derive(Debug, Clone, Copy)]
struct Pace {
    /// So many failures cost nothing: people mistype.
    free: u32,
    /// The first wait is a second, each next one twice as long, up to this. Seconds.
    wait_max_s: i64,
}

/// What an address is throttled as: of IPv6 the network, for one machine has as many addresses as it likes.
#[must_use]
pub fn network(address: &str) -> String {
    match address.parse::<IpAddr>() {
        Ok(IpAddr::V6(six)) => {
            let [a, b, c, d, ..] = six.segments();
            format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
        }
        Ok(IpAddr::V4(_)) | Err(_) => address.to_owned(),
    }
}

/// Short at most: otherwise whoever knows a name could lock its owner out.
const ACCOUNT: Pace = Pace {
    free: 5,
    wait_max_s: 60,
};
/// Several people may share an address, and a machine has time.
const ADDRESS: Pace = Pace {
    free: 20,
    wait_max_s: 900,
};

/// Failures are forgotten after so long without another. Milliseconds.
const FORGET_MS: i64 = 3_600_000;

#[derive(Debug, Clone, Copy, Default)]
struct Slot {
    failures: u32,
    last_ms: i64,
    until_ms: i64,
}

/// What was tried lately.
pub(super) struct Throttle {
    key: [u8; 32],
    accounts: Box<[Slot]>,
    addresses: Box<[Slot]>,
}

impl Throttle {
    /// Nothing yet.
    ///
    /// # Errors
    /// When there are no random numbers.
    pub(super) fn new() -> Result<Self, NoRandomness> {
        let slots = || vec![Slot::default(); SLOTS].into_boxed_slice();
        Ok(Self {
            key: Secret::new()?.digest().0,
            accounts: slots(),
            addresses: slots(),
        })
    }

    /// For how many seconds nobody may try under this name or from this address; `None` when one may.
    #[must_use]
    pub(super) fn wait_s(&self, account: &str, address: &str, now_ms: i64) -> Option<u32> {
        let [account, address] = self.places(account, address);
        let until_ms = self.accounts[account]
            .until_ms
            .max(self.addresses[address].until_ms);
        // A clock that was set back must not lock anybody out for longer than it would.
        let left_ms = (until_ms - now_ms).min(ADDRESS.wait_max_s * 1000);
        (left_ms > 0).then(|| u32::try_from((left_ms + 999) / 1000).unwrap_or(u32::MAX))
    }

    /// Counts a failure.
    pub(super) fn failed(&mut self, account: &str, address: &str, now_ms: i64) {
        let [account, address] = self.places(account, address);
        count(&mut self.accounts[account], ACCOUNT, now_ms);
        count(&mut self.addresses[address], ADDRESS, now_ms);
    }

    /// Forgets the failures of an account whose owner has come in. Those of the address stay: others may try from it.
    pub(super) fn succeeded(&mut self, account: &str) {
        let [account, _] = self.places(account, "");
        self.accounts[account] = Slot::default();
    }

    fn places(&self, account: &str, address: &str) -> [usize; 2] {
        [account, address].map(|text| {
            let hash = blake3::keyed_hash(&self.key, text.as_bytes());
            let [a, b, ..] = *hash.as_bytes();
            usize::from(u16::from_le_bytes([a, b])) % SLOTS
        })
    }
}

fn count(slot: &mut Slot, pace: Pace, now_ms: i64) {
    if now_ms - slot.last_ms > FORGET_MS {
        *slot = Slot::default();
    }
    slot.failures = slot.failures.saturating_add(1);
    slot.last_ms = now_ms;
    if let Some(over) = slot.failures.checked_sub(pace.free + 1) {
        let wait_s = 1_i64.checked_shl(over).filter(|_| over < 32);
        let wait_s = wait_s.unwrap_or(i64::MAX).min(pace.wait_max_s);
        slot.until_ms = now_ms + wait_s * 1000;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000;

    #[test]
    fn waits_grow_and_end() {
        let mut throttle = Throttle::new().unwrap();
        let mut now = 1_000_000_000;
        for _ in 0..ACCOUNT.free {
            assert_eq!(throttle.wait_s("anna", "192.0.2.1", now), None);
            throttle.failed("anna", "192.0.2.1", now);
        }
        let mut waits = Vec::new();
        for _ in 0..9 {
            throttle.failed("anna", "192.0.2.1", now);
            let wait = throttle.wait_s("anna", "192.0.2.1", now).unwrap();
            waits.push(wait);
            now += i64::from(wait) * 1000;
            assert_eq!(throttle.wait_s("anna", "192.0.2.1", now), None);
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
        throttle.succeeded("anna");
        throttle.failed("anna", "192.0.2.1", now);
        assert_eq!(throttle.wait_s("anna", "192.0.2.9", now), None);
        now += HOUR + 1;
        throttle.failed("anna", "192.0.2.1", now);
        assert_eq!(throttle.wait_s("bert", "192.0.2.1", now), None);
    }

    #[test]
    fn an_address_that_tries_many_names_waits_for_all_of_them() {
        let mut throttle = Throttle::new().unwrap();
        for name in 0..=ADDRESS.free {
            throttle.failed(&name.to_string(), "192.0.2.1", 5_000_000);
        }
        assert_eq!(throttle.wait_s("anna", "192.0.2.1", 5_000_000), Some(1));
        for _ in 0..100 {
            throttle.failed("0", "192.0.2.1", 5_000_000);
        }
        assert_eq!(throttle.wait_s("anna", "192.0.2.1", 5_000_000), Some(900));
        // A clock set back.
        assert_eq!(throttle.wait_s("anna", "192.0.2.1", 0), Some(900));
    }

    #[test]
    fn a_network_of_many_addresses_is_one() {
        assert_eq!(network("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::/64");
        assert_eq!(network("192.0.2.7"), "192.0.2.7");
        assert_eq!(network(""), "");
    }
}
