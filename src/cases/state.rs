//! The states of a case and what each act does in each of them, as one table. Nothing else decides about states; what
//! else an act needs (a task of one's own, say) is asked after it.

use std::fmt;

use super::task::{Task, TaskState};

/// Where a case stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// Asked; nobody has begun to read.
    Open,
    /// Somebody reads, and not all have answered.
    InReview,
    /// Everybody who was asked, and did not give the task back, has answered.
    Answered,
    /// The requester has taken note.
    Closed,
    /// The requester wants no answer any more.
    Withdrawn,
    /// Nobody answered in time.
    Expired,
}

impl State {
    /// All of them, in the order of the columns of [`TABLE`].
    pub const ALL: [Self; 6] = [
        Self::Open,
        Self::InReview,
        Self::Answered,
        Self::Closed,
        Self::Withdrawn,
        Self::Expired,
    ];

    /// The word that is kept and sent.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::InReview => "in-review",
            Self::Answered => "answered",
            Self::Closed => "closed",
            Self::Withdrawn => "withdrawn",
            Self::Expired => "expired",
        }
    }

    /// The state of a word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.word() == word)
    }

    /// Whether readers still have what was given to them for it.
    #[must_use]
    pub const fn is_current(self) -> bool {
        matches!(self, Self::Open | Self::InReview | Self::Answered)
    }

    /// The state that tasks come to: open while nobody has begun, answered when nobody is left to wait for.
    #[must_use]
    pub fn of_tasks(tasks: &[Task]) -> Self {
        let mut asked = tasks.iter().filter(|task| !task.state.is_over_unanswered());
        let is_begun = |task: &Task| task.state != TaskState::Waiting;
        if !asked.clone().any(is_begun) {
            Self::Open
        } else if asked.all(|task| task.state.is_answered()) {
            Self::Answered
        } else {
            Self::InReview
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// What may be done to a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Act {
    /// Say that the study is complete enough to be read: the case goes out. Said again, of what has come meanwhile.
    Complete,
    /// Ask one more reader or pool.
    Assign,
    /// Wait no longer for one reader or pool that was asked.
    End,
    /// Take a task.
    Claim,
    /// Give a task back unanswered.
    GiveBack,
    /// Keep a draft.
    Draft,
    /// Commit what was seen, before anything else is known.
    Commit,
    /// Sign an opinion.
    Sign,
    /// Correct a signed opinion by a new version of it.
    Correct,
    /// Have somebody else judge between opinions that differ.
    Adjudicate,
    /// Want no answer any more.
    Withdraw,
    /// Take note of the answers.
    Close,
    /// Run out of time.
    Expire,
}

impl Act {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::Complete,
        Self::Assign,
        Self::End,
        Self::Claim,
        Self::GiveBack,
        Self::Draft,
        Self::Commit,
        Self::Sign,
        Self::Correct,
        Self::Adjudicate,
        Self::Withdraw,
        Self::Close,
        Self::Expire,
    ];

    /// The word for it: in addresses, and in the audit trail.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Assign => "assign",
            Self::End => "end",
            Self::Claim => "claim",
            Self::GiveBack => "give-back",
            Self::Draft => "draft",
            Self::Commit => "commit",
            Self::Sign => "sign",
            Self::Correct => "correct",
            Self::Adjudicate => "adjudicate",
            Self::Withdraw => "withdraw",
            Self::Close => "close",
            Self::Expire => "expire",
        }
    }
}

/// As whom somebody acts on a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Part {
    /// Who opened it.
    Requester,
    /// Who runs the archive.
    Administrator,
    /// Who has a task in it, or may take one.
    Reader,
    /// Nobody: time has passed.
    Clock,
}

impl Part {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::Requester,
        Self::Administrator,
        Self::Reader,
        Self::Clock,
    ];
}

/// What an act comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The case is in this state now.
    Become(State),
    /// It stays as it is.
    Stay,
    /// It goes where its tasks are ([`State::of_tasks`]).
    Follow,
    /// No.
    Refuse(Refusal),
}

/// Why a case does not allow an act now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Nobody has said that it is complete.
    #[error("nobody has said yet that the study is complete enough to be read")]
    NotOut,
    /// The act needs a claimed task.
    #[error("no task of the case has been claimed")]
    Unclaimed,
    /// There is nothing to be ended.
    #[error("the task has been answered, given back or ended already")]
    TaskOver,
    /// The act needs an answer.
    #[error("the case has not been answered yet")]
    Unanswered,
    /// It came too late.
    #[error("the case has been answered")]
    Answered,
    /// It came too late.
    #[error("the case has been closed")]
    Closed,
    /// It came too late.
    #[error("the case has been withdrawn")]
    Withdrawn,
    /// It came too late.
    #[error("the case has expired")]
    Expired,
    /// The other of two claims won.
    #[error("another reader has claimed the task")]
    Taken,
    /// There is no task that the reader could take.
    #[error("no task of the case is waiting for this reader")]
    NothingToClaim,
    /// Who sees the reports of every study reads none blind.
    #[error("this account sees the reports of every study, and the case is to be read blind")]
    SeesReports,
    /// The task is none of ours to finish.
    #[error("the task was claimed at a workstation and is finished there")]
    AtWorkstation,
    /// An impression is committed once.
    #[error("the impression has been committed and cannot be changed any more")]
    Committed,
    /// First commit, then sign.
    #[error("the impression has not been committed yet")]
    NotCommitted,
    /// An opinion is signed once, and corrected after that.
    #[error("the opinion has been signed; it can be corrected by a new version")]
    Signed,
    /// What is not signed needs no correction.
    #[error("there is no signed opinion of this reader to be corrected")]
    NotSigned,
    /// It was meant for another version.
    #[error("the opinion has been corrected already; correct its newest version")]
    CorrectedAlready,
    /// There is nothing to judge between.
    #[error("none of the opinions differs from the first report or from another opinion")]
    NotDiscordant,
    /// As many as may be.
    #[error("there are as many as may be: {0}")]
    TooMany(&'static str),
}

use Act::{
    Adjudicate, Assign, Claim, Close, Commit, Complete, Correct, Draft, End, Expire, GiveBack,
    Sign, Withdraw,
};
use Part::{Administrator, Clock, Reader, Requester};
use State as S;
use Verdict::{Become, Follow, Refuse, Stay};

const ANSWERED: Verdict = Refuse(Refusal::Answered);
const CLOSED: Verdict = Refuse(Refusal::Closed);
const WITHDRAWN: Verdict = Refuse(Refusal::Withdrawn);
const EXPIRED: Verdict = Refuse(Refusal::Expired);
const UNCLAIMED: Verdict = Refuse(Refusal::Unclaimed);
const UNANSWERED: Verdict = Refuse(Refusal::Unanswered);

/// Who may do what, and what it does. Columns: open, in review, answered, closed, withdrawn, expired.
#[rustfmt::skip]
pub const TABLE: &[(Act, &[Part], [Verdict; 6])] = &[
    (Complete,   &[Requester, Administrator], [Stay,                 Stay,                     ANSWERED,                 CLOSED,  WITHDRAWN, EXPIRED]),
    (Assign,     &[Requester, Administrator], [Stay,                 Stay,                     ANSWERED,                 CLOSED,  WITHDRAWN, EXPIRED]),
    (End,        &[Requester, Administrator], [Follow,               Follow,                   ANSWERED,                 CLOSED,  WITHDRAWN, EXPIRED]),
    (Claim,      &[Reader],                   [Become(S::InReview),  Stay,                     ANSWERED,                 CLOSED,  WITHDRAWN, EXPIRED]),
    (GiveBack,   &[Reader],                   [Follow,               Follow,                   ANSWERED,                 CLOSED,  WITHDRAWN, EXPIRED]),
    (Draft,      &[Reader],                   [UNCLAIMED,            Stay,                     ANSWERED,                 CLOSED,  WITHDRAWN, EXPIRED]),
    (Commit,     &[Reader],                   [UNCLAIMED,            Stay,                     ANSWERED,                 CLOSED,  WITHDRAWN, EXPIRED]),
    (Sign,       &[Reader],                   [UNCLAIMED,            Follow,                   ANSWERED,                 CLOSED,  WITHDRAWN, EXPIRED]),
    // What is found to be wrong is said even after the case was closed, and then somebody has to take note of it.
    (Correct,    &[Reader],                   [UNANSWERED,           Stay,                     Stay,     Become(S::Answered), WITHDRAWN, EXPIRED]),
    (Adjudicate, &[Requester, Administrator], [UNANSWERED,           Stay,                     Become(S::InReview),      CLOSED,  WITHDRAWN, EXPIRED]),
    (Withdraw,   &[Requester, Administrator], [Become(S::Withdrawn), Become(S::Withdrawn),     ANSWERED,                 CLOSED,  WITHDRAWN, EXPIRED]),
    (Close,      &[Requester, Administrator], [UNANSWERED,           UNANSWERED,               Become(S::Closed),        CLOSED,  WITHDRAWN, EXPIRED]),
    (Expire,     &[Clock],                    [Become(S::Expired),   Become(S::Expired),       ANSWERED,                 CLOSED,  WITHDRAWN, EXPIRED]),
];

/// What an act does to a case in a state.
///
/// # Panics
/// Never: every act has its row, as a test makes sure.
#[must_use]
pub fn verdict(act: Act, state: State) -> Verdict {
    let (_, _, row) = row(act);
    match state {
        S::Open => row[0],
        S::InReview => row[1],
        S::Answered => row[2],
        S::Closed => row[3],
        S::Withdrawn => row[4],
        S::Expired => row[5],
    }
}

/// Whether somebody may do an act in such a part.
#[must_use]
pub fn may(act: Act, part: Part) -> bool {
    row(act).1.contains(&part)
}

fn row(act: Act) -> &'static (Act, &'static [Part], [Verdict; 6]) {
    TABLE
        .iter()
        .find(|(known, ..)| *known == act)
        .expect("every act has its row")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_act_has_one_row_and_every_word_is_read_back() {
        assert_eq!(TABLE.len(), Act::ALL.len());
        for act in Act::ALL {
            assert_eq!(TABLE.iter().filter(|(known, ..)| *known == act).count(), 1);
        }
        for state in State::ALL {
            assert_eq!(State::parse(state.word()), Some(state));
        }
        assert_eq!(State::parse("Open"), None);
    }

    /// The table read the other way round: for every state the acts that are allowed in it, and where they lead.
    #[test]
    fn every_pair_comes_to_what_is_meant() {
        let allowed: [(State, &str); 6] = [
            (
                S::Open,
                "complete assign end>? claim>in-review give-back>? withdraw>withdrawn expire>expired",
            ),
            (
                S::InReview,
                "complete assign end>? claim give-back>? draft commit sign>? correct adjudicate withdraw>withdrawn expire>expired",
            ),
            (S::Answered, "correct adjudicate>in-review close>closed"),
            (S::Closed, "correct>answered"),
            (S::Withdrawn, ""),
            (S::Expired, ""),
        ];
        for (state, expected) in allowed {
            let told = Act::ALL.into_iter().filter_map(|act| {
                let word = act.word();
                match verdict(act, state) {
                    Stay => Some(word.to_owned()),
                    Follow => Some(format!("{word}>?")),
                    Become(next) => Some(format!("{word}>{next}")),
                    Refuse(_) => None,
                }
            });
            assert_eq!(told.collect::<Vec<_>>().join(" "), expected, "{state}");
        }
    }

    #[test]
    fn refusals_say_where_the_case_stands() {
        for act in Act::ALL {
            for (state, refusal) in [
                (S::Withdrawn, Refusal::Withdrawn),
                (S::Expired, Refusal::Expired),
            ] {
                assert_eq!(verdict(act, state), Refuse(refusal), "{act:?}");
            }
            let closed = verdict(act, S::Closed);
            assert!(act == Correct || closed == CLOSED, "{act:?}");
        }
    }

    #[test]
    fn every_act_has_its_parts_and_nobody_acts_for_readers() {
        for act in Act::ALL {
            let parts: Vec<_> = Part::ALL
                .into_iter()
                .filter(|part| may(act, *part))
                .collect();
            let expected: &[Part] = match act {
                Claim | GiveBack | Draft | Commit | Sign | Correct => &[Reader],
                Expire => &[Clock],
                Complete | Assign | End | Adjudicate | Withdraw | Close => {
                    &[Requester, Administrator]
                }
            };
            assert_eq!(parts, expected, "{act:?}");
        }
    }

    #[test]
    fn a_case_is_where_its_tasks_are() {
        use TaskState as T;
        for (states, expected) in [
            (&[][..], S::Open),
            (&[T::Waiting, T::Waiting], S::Open),
            (&[T::GivenBack], S::Open),
            (&[T::Waiting, T::Claimed], S::InReview),
            (&[T::Committed], S::InReview),
            (&[T::Signed, T::Waiting], S::InReview),
            (&[T::Signed, T::GivenBack], S::Answered),
            (&[T::Signed, T::Elsewhere], S::Answered),
        ] {
            let tasks: Vec<_> = states.iter().map(|state| Task::example(*state)).collect();
            assert_eq!(State::of_tasks(&tasks), expected, "{states:?}");
        }
    }
}
