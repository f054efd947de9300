//! Who may have a passcode checked now. A check is dear on purpose, so only one is made at a time,
//! few wait for theirs, and a host that has been wrong too often is not heard for a while: neither
//! guessing nor a flood of guesses gets further than one processor core.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::access::passcode::Workspace;

/// How many may wait.
const WAITING_MAX: usize = 32;
/// How often a host may be wrong in a row.
const FAILURES_MAX: u32 = 10;
/// How long it is not heard then.
const PAUSE: Duration = Duration::from_secs(60);
/// How many hosts are remembered; the one that was wrong longest ago is forgotten for a new one.
const HOSTS_MAX: usize = 1024;
/// A host with IPv6 has a network of 64 bits to itself.
const HOST_BITS: u32 = 64;

/// Why nothing is checked now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Closed {
    #[error("too many passcodes to check at once")]
    Busy,
    #[error("too many wrong passcodes from this host: none is checked for a minute")]
    Paused,
}

#[derive(Default)]
pub(super) struct Gate {
    state: Mutex<State>,
    left: Condvar,
    /// For whoever has his turn.
    workspace: Mutex<Workspace>,
}

#[derive(Default)]
struct State {
    is_taken: bool,
    waiting: usize,
    failures: BTreeMap<IpAddr, (u32, Instant)>,
}

impl Gate {
    /// Waits for a turn, `check`s, and remembers for the host whether it was right.
    pub(super) fn pass(
        &self,
        host: IpAddr,
        deadline: Instant,
        check: impl FnOnce(&mut Workspace) -> bool,
    ) -> Result<bool, Closed> {
        let host = same_host(host);
        let mut state = self.state();
        if state.waiting >= WAITING_MAX {
            return Err(Closed::Busy);
        }
        state.waiting += 1;
        while state.is_taken && Instant::now() < deadline {
            let left = deadline.saturating_duration_since(Instant::now());
            let waited = self.left.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        state.waiting -= 1;
        if state.is_taken {
            return Err(Closed::Busy);
        }
        if state.is_paused(host) {
            // Whoever waits next is let in instead.
            self.left.notify_one();
            return Err(Closed::Paused);
        }
        state.is_taken = true;
        drop(state);
        let turn = Turn(self);
        let workspace = self.workspace.lock();
        let is_right = check(&mut workspace.unwrap_or_else(PoisonError::into_inner));
        turn.0.state().note(host, is_right);
        Ok(is_right)
    }

    /// Nothing that holds the lock can panic half-way.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn is_paused(&mut self, host: IpAddr) -> bool {
        match self.failures.get(&host) {
            Some((_, last)) if last.elapsed() >= PAUSE => {
                self.failures.remove(&host);
                false
            }
            Some((count, _)) => *count >= FAILURES_MAX,
            None => false,
        }
    }

    fn note(&mut self, host: IpAddr, is_right: bool) {
        if is_right {
            self.failures.remove(&host);
            return;
        }
        if self.failures.len() >= HOSTS_MAX && !self.failures.contains_key(&host) {
            let oldest = self.failures.iter().min_by_key(|(_, (_, last))| *last);
            if let Some(oldest) = oldest.map(|(host, _)| *host) {
                self.failures.remove(&oldest);
            }
        }
        let (count, last) = self.failures.entry(host).or_insert((0, Instant::now()));
        *count = count.saturating_add(1);
        *last = Instant::now();
    }
}

/// A turn; given back when dropped, on a panic too.
struct Turn<'g>(&'g Gate);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.state().is_taken = false;
        self.0.left.notify_one();
    }
}

fn same_host(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => {
            let network = u128::from(v6) >> HOST_BITS << HOST_BITS;
            IpAddr::V6(Ipv6Addr::from(network))
        }
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;

    use super::*;

    fn host(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(20)
    }

    #[test]
    fn a_host_that_guesses_is_not_heard() {
        let gate = Gate::default();
        let mut checked = 0;
        for _ in 0..FAILURES_MAX + 5 {
            let passed = gate.pass(host("2001:db8::1"), soon(), |_| {
                checked += 1;
                false
            });
            assert!(matches!(passed, Ok(false) | Err(Closed::Paused)));
        }
        assert_eq!(checked, FAILURES_MAX);
        let right = |from: &str| gate.pass(host(from), soon(), |_| true);
        assert_eq!(right("2001:db8::ffff"), Err(Closed::Paused));
        assert_eq!(right("2001:db8:0:1::1"), Ok(true));
        assert_eq!(right("::ffff:192.0.2.1"), Ok(true));
    }

    #[test]
    fn being_right_makes_up_for_being_wrong() {
        let gate = Gate::default();
        for round in 0..3 * FAILURES_MAX {
            let is_right = round % FAILURES_MAX == FAILURES_MAX - 1;
            assert_eq!(
                gate.pass(host("192.0.2.1"), soon(), |_| is_right),
                Ok(is_right)
            );
        }
    }

    #[test]
    fn hosts_that_are_remembered_are_bounded() {
        let gate = Gate::default();
        for number in 0..2 * HOSTS_MAX as u32 {
            let _ = gate.pass(IpAddr::V4(number.into()), soon(), |_| false);
        }
        assert_eq!(gate.state().failures.len(), HOSTS_MAX);
    }

    #[test]
    fn one_is_checked_at_a_time_and_few_wait() {
        let gate = Gate::default();
        let (now, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let refused = AtomicUsize::new(0);
        thread::scope(|scope| {
            for number in 0..3 * WAITING_MAX as u32 {
                let (gate, now, most, refused) = (&gate, &now, &most, &refused);
                scope.spawn(move || {
                    let passed = gate.pass(IpAddr::V4(number.into()), soon(), |_| {
                        most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                        while gate.state().waiting < WAITING_MAX / 2
                            && refused.load(Ordering::SeqCst) == 0
                            && now.load(Ordering::SeqCst) == 1
                            && number == 0
                        {
                            thread::yield_now();
                        }
                        now.fetch_sub(1, Ordering::SeqCst);
                        true
                    });
                    if passed == Err(Closed::Busy) {
                        refused.fetch_add(1, Ordering::SeqCst);
                    }
                });
            }
        });
        assert_eq!(most.load(Ordering::SeqCst), 1);
        let past = Instant::now();
        let turn = gate.pass(host("::1"), soon(), |_| {
            gate.pass(host("::2"), past, |_| true) == Err(Closed::Busy)
        });
        assert_eq!(turn, Ok(true), "nobody waits for longer than he may");
    }
}
