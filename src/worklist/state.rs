//! The states of a workitem and what each request does in each of them (PS3.4 Tables CC.1.1-1 and CC.1.1-2),
//! as one table. Nothing else decides about states.

use std::fmt;

/// Procedure Step State (0074,1000).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// Waits for somebody to do it.
    Scheduled,
    /// Somebody holds its Transaction UID and does it.
    InProgress,
    /// Done.
    Completed,
    /// Will not be done, or was given up.
    Canceled,
}

impl State {
    /// All of them, in the order of the columns of [`TABLE`] behind the first.
    pub const ALL: [Self; 4] = [
        Self::Scheduled,
        Self::InProgress,
        Self::Completed,
        Self::Canceled,
    ];

    /// The defined term.
    #[must_use]
    pub fn term(self) -> &'static str {
        match self {
            Self::Scheduled => "SCHEDULED",
            Self::InProgress => "IN PROGRESS",
            Self::Completed => "COMPLETED",
            Self::Canceled => "CANCELED",
        }
    }

    /// The state of a defined term.
    #[must_use]
    pub fn of_term(term: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.term() == term)
    }

    /// Whether nothing can change any more.
    #[must_use]
    pub fn is_final(self) -> bool {
        matches!(self, Self::Completed | Self::Canceled)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.term())
    }
}

/// How the Transaction UID of a request compares with the one that the workitem was claimed with. To claim one
/// that is SCHEDULED, any will do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transaction {
    /// It is the one.
    Right,
    /// It is another one.
    Wrong,
    /// The request has none.
    Missing,
}

/// The rows of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request {
    /// Create.
    Create,
    /// Change the state to this one.
    Change(State, Transaction),
    /// Ask whoever performs it to cancel.
    Cancel,
}

/// What a request comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The workitem is in this state now.
    Become(State),
    /// The same, once the Final State requirements are met (PS3.4 §CC.2.5.1.1); else [`Refusal::Unfinished`].
    Finish(State),
    /// It was so before: a warning, and nothing changes.
    Already(State),
    /// Canceled in the name of nobody: first IN PROGRESS, then CANCELED (PS3.4 §CC.2.2.3).
    CancelNow,
    /// Those who watch it are told of the request.
    Tell,
    /// No.
    Refuse(Refusal),
}

/// Why the state of a workitem does not allow a request; each is a status of PS3.4 Annex CC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// 0111H
    #[error("The Workitem already exists.")]
    Exists,
    /// C300H
    #[error(
        "The submitted request is inconsistent with the current state of the Workitem: it may no longer be updated."
    )]
    NoLongerUpdatable,
    /// C301H
    #[error("The Transaction UID is missing.")]
    TransactionMissing,
    /// C301H
    #[error("The Transaction UID is incorrect.")]
    TransactionWrong,
    /// C302H
    #[error(
        "The submitted request is inconsistent with the current state of the Workitem: it is already IN PROGRESS."
    )]
    AlreadyInProgress,
    /// C303H
    #[error("The Workitem may only become SCHEDULED when it is created.")]
    NeverScheduledAgain,
    /// C304H
    #[error("The Workitem has not met the requirements of its final state.")]
    Unfinished,
    /// C307H
    #[error("The Workitem does not exist.")]
    Unknown,
    /// C310H
    #[error("The Target URI did not reference a claimed Workitem: it is not yet IN PROGRESS.")]
    NotInProgress,
    /// C311H
    #[error("The Workitem is already COMPLETED.")]
    AlreadyCompleted,
    /// C312H
    #[error("The performer of the Workitem cannot be contacted: nobody is subscribed to it.")]
    PerformerUnreachable,
}

impl Refusal {
    /// The status over DIMSE (PS3.4 §CC.2), which names it for logs and the audit trail.
    #[must_use]
    pub fn status(self) -> u16 {
        match self {
            Self::Exists => 0x0111,
            Self::NoLongerUpdatable => 0xC300,
            Self::TransactionMissing | Self::TransactionWrong => 0xC301,
            Self::AlreadyInProgress => 0xC302,
            Self::NeverScheduledAgain => 0xC303,
            Self::Unfinished => 0xC304,
            Self::Unknown => 0xC307,
            Self::NotInProgress => 0xC310,
            Self::AlreadyCompleted => 0xC311,
            Self::PerformerUnreachable => 0xC312,
        }
    }
}

use Refusal::{
    AlreadyCompleted, AlreadyInProgress, Exists, NeverScheduledAgain, NoLongerUpdatable,
    NotInProgress, TransactionMissing, TransactionWrong, Unknown,
};
use Request::{Cancel, Change, Create};
use State::{Canceled, Completed, InProgress, Scheduled};
use Transaction::{Missing, Right, Wrong};
use Verdict::{Already, Become, CancelNow, Finish, Refuse, Tell};

/// Columns: no such workitem, SCHEDULED, IN PROGRESS, COMPLETED, CANCELED.
#[rustfmt::skip]
pub const TABLE: &[(Request, [Verdict; 5])] = &[
    (Create,                     [Become(Scheduled),           Refuse(Exists),              Refuse(Exists),              Refuse(Exists),              Refuse(Exists)]),
    (Change(InProgress, Right),  [Refuse(Unknown),             Become(InProgress),          Refuse(AlreadyInProgress),   Refuse(NoLongerUpdatable),   Refuse(NoLongerUpdatable)]),
    (Change(InProgress, Wrong),  [Refuse(Unknown),             Refuse(TransactionWrong),    Refuse(TransactionWrong),    Refuse(TransactionWrong),    Refuse(TransactionWrong)]),
    (Change(InProgress, Missing),[Refuse(Unknown),             Refuse(TransactionMissing),  Refuse(TransactionMissing),  Refuse(TransactionMissing),  Refuse(TransactionMissing)]),
    (Change(Scheduled, Right),   [Refuse(Unknown),             Refuse(NeverScheduledAgain), Refuse(NeverScheduledAgain), Refuse(NeverScheduledAgain), Refuse(NeverScheduledAgain)]),
    (Change(Scheduled, Wrong),   [Refuse(Unknown),             Refuse(NeverScheduledAgain), Refuse(NeverScheduledAgain), Refuse(NeverScheduledAgain), Refuse(NeverScheduledAgain)]),
    (Change(Scheduled, Missing), [Refuse(Unknown),             Refuse(NeverScheduledAgain), Refuse(NeverScheduledAgain), Refuse(NeverScheduledAgain), Refuse(NeverScheduledAgain)]),
    (Change(Completed, Right),   [Refuse(Unknown),             Refuse(NotInProgress),       Finish(Completed),           Already(Completed),          Refuse(NoLongerUpdatable)]),
    (Change(Completed, Wrong),   [Refuse(Unknown),             Refuse(TransactionWrong),    Refuse(TransactionWrong),    Refuse(TransactionWrong),    Refuse(TransactionWrong)]),
    (Change(Completed, Missing), [Refuse(Unknown),             Refuse(TransactionMissing),  Refuse(TransactionMissing),  Refuse(TransactionMissing),  Refuse(TransactionMissing)]),
    (Change(Canceled, Right),    [Refuse(Unknown),             Refuse(NotInProgress),       Finish(Canceled),            Refuse(NoLongerUpdatable),   Already(Canceled)]),
    (Change(Canceled, Wrong),    [Refuse(Unknown),             Refuse(TransactionWrong),    Refuse(TransactionWrong),    Refuse(TransactionWrong),    Refuse(TransactionWrong)]),
    (Change(Canceled, Missing),  [Refuse(Unknown),             Refuse(TransactionMissing),  Refuse(TransactionMissing),  Refuse(TransactionMissing),  Refuse(TransactionMissing)]),
    (Cancel,                     [Refuse(Unknown),             CancelNow,                   Tell,                        Refuse(AlreadyCompleted),    Already(Canceled)]),
];

/// What a request does to a workitem in a state; `None` when there is no such workitem.
///
/// # Panics
/// Never: every request has its row, as a test makes sure.
#[must_use]
pub fn verdict(request: Request, state: Option<State>) -> Verdict {
    let (_, row) = TABLE
        .iter()
        .find(|(known, _)| *known == request)
        .expect("every request has its row");
    match state {
        None => row[0],
        Some(Scheduled) => row[1],
        Some(InProgress) => row[2],
        Some(Completed) => row[3],
        Some(Canceled) => row[4],
    }
}

/// Whether a workitem in this state may be updated with such a Transaction UID (PS3.4 §CC.2.6.3).
///
/// # Errors
/// Why not.
pub fn may_update(state: State, transaction: Transaction) -> Result<(), Refusal> {
    match (state, transaction) {
        (Completed | Canceled, _) => Err(NoLongerUpdatable),
        (Scheduled, Missing) | (InProgress, Right) => Ok(()),
        (Scheduled, Right | Wrong) => Err(NotInProgress),
        (InProgress, Wrong) => Err(TransactionWrong),
        (InProgress, Missing) => Err(TransactionMissing),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRANSACTIONS: [Transaction; 3] = [Right, Wrong, Missing];

    fn requests() -> Vec<Request> {
        let changes = State::ALL
            .into_iter()
            .flat_map(|state| TRANSACTIONS.map(|transaction| Change(state, transaction)));
        [Create, Cancel].into_iter().chain(changes).collect()
    }

    #[test]
    fn every_request_has_one_row() {
        let requests = requests();
        assert_eq!(requests.len(), TABLE.len());
        for request in requests {
            let rows = TABLE.iter().filter(|(known, _)| *known == request);
            assert_eq!(rows.count(), 1, "{request:?}");
        }
    }

    /// PS3.4 Table CC.1.1-2 read the other way round: for every pair the status that the standard prints.
    #[test]
    fn every_pair_has_the_status_of_the_standard() {
        let states = [None].into_iter().chain(State::ALL.map(Some));
        for (column, state) in states.enumerate() {
            for request in requests() {
                let printed: [&str; 5] = match request {
                    Create => ["SCHEDULED", "0111", "0111", "0111", "0111"],
                    Change(InProgress, Right) => ["C307", "IN PROGRESS", "C302", "C300", "C300"],
                    Change(Scheduled, _) => ["C307", "C303", "C303", "C303", "C303"],
                    Change(Completed, Right) => ["C307", "C310", "COMPLETED", "B306", "C300"],
                    Change(Canceled, Right) => ["C307", "C310", "CANCELED", "C300", "B304"],
                    Change(_, Wrong | Missing) => ["C307", "C301", "C301", "C301", "C301"],
                    Cancel => ["C307", "CANCELED", "event", "C311", "B304"],
                };
                let ours = match verdict(request, state) {
                    Become(state) | Finish(state) => state.term().to_owned(),
                    Already(Canceled) => "B304".to_owned(),
                    Already(_) => "B306".to_owned(),
                    CancelNow => "CANCELED".to_owned(),
                    Tell => "event".to_owned(),
                    Refuse(refusal) => format!("{:04X}", refusal.status()),
                };
                assert_eq!(ours, printed[column], "{request:?} {state:?}");
            }
        }
    }

    #[test]
    fn final_states_are_reached_from_in_progress_only_and_never_left() {
        for (request, row) in TABLE {
            for (verdict, state) in row[1..].iter().zip(State::ALL) {
                let changes = matches!(verdict, Become(_) | Finish(_) | CancelNow);
                assert!(!(state.is_final() && changes), "{request:?} {state:?}");
                if matches!(verdict, Finish(_)) {
                    assert_eq!(state, InProgress, "{request:?}");
                }
            }
        }
    }

    #[test]
    fn updates_need_no_transaction_before_and_the_right_one_after_the_claim() {
        for state in State::ALL {
            for transaction in TRANSACTIONS {
                let is_allowed = matches!(
                    (state, transaction),
                    (Scheduled, Missing) | (InProgress, Right)
                );
                assert_eq!(
                    may_update(state, transaction).is_ok(),
                    is_allowed,
                    "{state:?} {transaction:?}"
                );
            }
        }
        assert_eq!(may_update(Completed, Right), Err(NoLongerUpdatable));
        assert_eq!(may_update(Scheduled, Right), Err(NotInProgress));
    }

    #[test]
    fn terms_are_read_back() {
        for state in State::ALL {
            assert_eq!(State::of_term(state.term()), Some(state));
        }
        assert_eq!(State::of_term("SCHEDULED "), None);
        assert_eq!(State::of_term("DISCONTINUED"), None);
    }
}
