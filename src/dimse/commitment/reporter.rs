//! The event reports that we owe to peers who are not on the line any more (PS3.4 §J.3.3): a thread
//! that calls them, as often as it takes until the answer has expired, with growing waits. What is owed
//! is in the index: a restart forgets nothing and begins with all of it.
//!
//! Who is called is the first peer of `dicom.peers` with the AE title of who asked; when there is none,
//! nothing is owed beyond the association that asked. We are service
//! class provider and say so by role selection (PS3.7 §D.3.3.4).

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use tracing::{error, info, warn};

use crate::access::Scope;
use crate::archive::{Archive, Error, OwedReport, reports};
use crate::dicom::{AeTitle, Uid};
use crate::dimse::listener::House;
use crate::dimse::scu;

/// Peers that are called at once.
const CALLS_MAX: usize = 4;
/// The longest wait between two tries.
const BACK_OFF_MAX: Duration = Duration::from_secs(3600);
/// A peer that is called to hear a report connects, and answers, within these.
const CONNECT_TIMEOUT_MAX: Duration = Duration::from_secs(5);
const ANSWER_TIMEOUT_MAX: Duration = Duration::from_secs(30);
/// How long nothing is looked for after the index has failed.
const PAUSE: Duration = Duration::from_secs(10);

/// Who tells which report, so that none is told twice at once.
#[derive(Default)]
pub(crate) struct Reports {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// In somebody's hands.
    claimed: HashSet<Uid>,
    /// Given back untold: due whatever the index says.
    hurried: HashSet<Uid>,
    has_news: bool,
    /// Something could not be noted in the index.
    is_broken: bool,
}

/// A report in somebody's hands. Dropped, it is for whoever calls next.
pub(crate) struct Claim {
    reports: Arc<Reports>,
    transaction_uid: Uid,
    is_done: bool,
}

impl Reports {
    /// Takes a report, if nobody else has it.
    pub(crate) fn claim(self: &Arc<Self>, transaction_uid: &Uid) -> Option<Claim> {
        let mut state = self.state();
        let is_new = state.claimed.insert(transaction_uid.clone());
        state.hurried.remove(transaction_uid);
        is_new.then(|| Claim {
            reports: Arc::clone(self),
            transaction_uid: transaction_uid.clone(),
            is_done: false,
        })
    }

    /// Looks again at once.
    pub(crate) fn wake(&self) {
        self.state().has_news = true;
        self.changed.notify_all();
    }

    /// Waits for a change, at most so long.
    fn wait(&self, patience: Duration) {
        let state = self.state();
        let waited = self
            .changed
            .wait_timeout_while(state, patience, |state| !state.has_news);
        waited.unwrap_or_else(PoisonError::into_inner).0.has_news = false;
    }

    /// Whether the index has failed since this was asked last.
    fn was_broken(&self) -> bool {
        std::mem::take(&mut self.state().is_broken)
    }

    /// Waits whatever is new, but for the end.
    fn rest(&self, house: &House, patience: Duration) {
        let state = self.state();
        let is_waiting = |_: &mut State| !house.is_stopping();
        drop(self.changed.wait_timeout_while(state, patience, is_waiting));
    }

    /// Nothing that holds the lock can panic half-way.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Claim {
    pub(crate) fn transaction_uid(&self) -> &Uid {
        &self.transaction_uid
    }

    /// It was told, or nobody waits for it.
    pub(crate) fn settle(mut self, archive: &Archive) {
        self.is_done = true;
        if let Err(cause) = archive.settle_report(&self.transaction_uid) {
            self.reports.state().is_broken = true;
            error!(transaction_uid = %self.transaction_uid, %cause, "a report that was told may be told again");
        }
    }

    /// It was not heard; for later, and later still each time.
    pub(crate) fn postpone(mut self, archive: &Archive, back_off: Duration) {
        self.is_done = true;
        let postponed = archive.owed_reports().and_then(|owed| {
            let mut owed = owed.into_iter();
            match owed.find(|owed| owed.transaction_uid == self.transaction_uid) {
                None => Ok(()),
                Some(owed) => {
                    let factor = 1_u32.checked_shl(owed.attempts).unwrap_or(u32::MAX);
                    let wait = back_off.saturating_mul(factor).min(BACK_OFF_MAX);
                    archive.postpone_report(&owed, wait)
                }
            }
        });
        if let Err(cause) = postponed {
            self.reports.state().is_broken = true;
            error!(transaction_uid = %self.transaction_uid, %cause, "a report could not be put off");
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let mut state = self.reports.state();
        state.claimed.remove(&self.transaction_uid);
        if !self.is_done {
            state.hurried.insert(self.transaction_uid.clone());
        }
        state.has_news = true;
        self.reports.changed.notify_all();
    }
}

/// Calls peers until the server stops.
pub(crate) fn run(house: &House) {
    // A start forgets how long somebody was to wait: what kept them away may have been ours.
    let mut is_first = true;
    while !house.is_stopping() {
        match call_due(house, is_first) {
            // What could not be noted would be told again at once, and again.
            Ok(_) if house.reports.was_broken() => house.reports.rest(house, PAUSE),
            Ok(patience) => house.reports.wait(patience),
            Err(cause) => {
                error!(%cause, "the reports of storage commitment that are owed cannot be read");
                house.reports.wait(PAUSE);
            }
        }
        is_first = false;
    }
}

/// Calls everybody who is due, the first time those too who were called in vain before; how long there
/// is nothing to do then.
fn call_due(house: &House, is_first: bool) -> Result<Duration, Error> {
    let now = reports::now();
    let mut calls: BTreeMap<(Box<str>, Box<str>), Vec<Claim>> = BTreeMap::new();
    let mut next = None;
    for OwedReport {
        transaction_uid,
        requester,
        called,
        attempts,
        due_at_ms,
    } in house.archive.owed_reports()?
    {
        let (is_claimed, is_hurried) = {
            let state = house.reports.state();
            (
                state.claimed.contains(&transaction_uid),
                state.hurried.contains(&transaction_uid),
            )
        };
        if is_claimed {
            continue;
        }
        let is_due = due_at_ms <= now || is_hurried || is_first && attempts > 0;
        if !is_due {
            next = Some(next.map_or(due_at_ms, |known: i64| known.min(due_at_ms)));
        } else if let Some(claim) = house.reports.claim(&transaction_uid) {
            calls.entry((requester, called)).or_default().push(claim);
        }
    }
    let queue: Mutex<VecDeque<_>> = Mutex::new(calls.into_iter().collect());
    let work = || {
        loop {
            let next = queue
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .pop_front();
            let Some(((requester, called), claims)) = next.filter(|_| !house.is_stopping()) else {
                return;
            };
            call(house, &requester, &called, claims);
        }
    };
    let count = queue.lock().unwrap_or_else(PoisonError::into_inner).len();
    thread::scope(|scope| {
        for _ in 1..count.min(CALLS_MAX) {
            let named = thread::Builder::new().name("dimse-report".into());
            // Those that there are do it, this one at least.
            if named.spawn_scoped(scope, work).is_err() {
                break;
            }
        }
        work();
    });
    let wait_ms = next.map_or(i64::MAX, |next| next.saturating_sub(reports::now()));
    Ok(Duration::from_millis(u64::try_from(wait_ms).unwrap_or(0)).min(BACK_OFF_MAX))
}

/// Calls one peer and tells it all that it is owed.
fn call(house: &House, requester: &str, called: &str, claims: Vec<Claim>) {
    let settings = &house.settings.outgoing;
    let back_off = settings.back_off;
    let titles = AeTitle::parse(requester).and_then(|requester| {
        let called = AeTitle::parse(called)?;
        Ok((requester, called))
    });
    let Ok((requester, called)) = titles else {
        claims
            .into_iter()
            .for_each(|claim| claim.settle(&house.archive));
        return;
    };
    let Some(peer) = settings.peers.destination(&requester) else {
        // Kept, they would let strangers use up what may be owed.
        let reports = claims.len();
        warn!(%requester, reports, "storage commitment is not reported: no peer of dicom.peers has this AE title");
        claims
            .into_iter()
            .for_each(|claim| claim.settle(&house.archive));
        return;
    };
    let mut left: VecDeque<Claim> = claims.into();
    let settings = scu::Settings {
        calling: called.clone(),
        connect_timeout: settings.connect_timeout.min(CONNECT_TIMEOUT_MAX),
        answer_timeout: settings.answer_timeout.min(ANSWER_TIMEOUT_MAX),
        ..settings.clone()
    };
    let failure = tell_all(house, peer, &settings, &mut left).err();
    if house.is_stopping() {
        return;
    }
    if let Some(failure) = failure {
        let reports = left.len();
        warn!(%peer, reports, %failure, "storage commitment could not be reported; it is tried again");
    }
    left.into_iter()
        .for_each(|claim| claim.postpone(&house.archive, back_off));
}

/// Tells all reports on one association. What stays in `left` was not told.
fn tell_all(
    house: &House,
    peer: &scu::Peer,
    settings: &scu::Settings,
    left: &mut VecDeque<Claim>,
) -> Result<(), scu::Failure> {
    let is_cancelled = || house.is_stopping();
    let mut reporting = scu::Reporting::open(peer, settings, &is_cancelled)?;
    let mut untold = VecDeque::new();
    let mut ended = Ok(());
    while !house.is_stopping()
        && let Some(claim) = left.pop_front()
    {
        let transaction_uid = claim.transaction_uid().clone();
        let keep = house.settings.commitment_keep;
        let archive = &house.archive;
        let commitment = match archive.answer_commitment_request(
            &transaction_uid,
            &Scope::All,
            keep,
        ) {
            Ok(Some(commitment)) => commitment,
            Ok(None) => {
                warn!(%transaction_uid, "a storage commitment expired before it could be reported");
                claim.settle(archive);
                continue;
            }
            Err(cause) => {
                error!(%transaction_uid, %cause, "a storage commitment cannot be answered");
                untold.push_back(claim);
                continue;
            }
        };
        match reporting.tell(&transaction_uid, &commitment, settings, &is_cancelled) {
            Ok(0) => {
                info!(%transaction_uid, %peer, "storage commitment reported");
                claim.settle(archive);
            }
            Ok(status) => {
                let status = format_args!("{status:04X}H");
                warn!(%transaction_uid, %peer, %status, "a report of storage commitment was refused");
                untold.push_back(claim);
            }
            Err(failure) => {
                untold.push_back(claim);
                ended = Err(failure);
                break;
            }
        }
    }
    left.append(&mut untold);
    match &ended {
        Ok(()) => reporting.release(),
        Err(failure) => reporting.close(failure),
    }
    ended
}
