//! How a case is changed: whoever asks is met in their parts, the table of [`state`](super::state) is asked, and the change
//! is made to the revision that it was decided on. And the changes that need nothing else: complete, assign, end, withdraw,
//! close, expire.

use super::caller::{Caller, Meeting};
use super::case::{Case, Completed};
use super::draft::DraftTag;
use super::error::Error;
use super::growth::Mark;
use super::ledger::{Alongside, NewCommitment, NewOpinion};
use super::opinion::{Impression, Opinion};
use super::reading::of_place;
use super::state::{Act, Refusal, State, Verdict, verdict};
use super::task::{Asked, Task};
use super::{Cases, TRIES, crowded, record};
use crate::access::audit::ActionCode;

/// So many cases expire in one go.
const BATCH: usize = 100;

/// What is kept with a change, and what the audit trail says of it.
pub(super) struct Change {
    pub(super) kept: Kept,
    pub(super) said: String,
    /// The draft that it was decided on, where that is said.
    pub(super) read: Option<DraftTag>,
}

/// What is kept with a change.
pub(super) enum Kept {
    Nothing,
    Commitment(u64, Impression),
    Opinion(Box<(Opinion, String, String)>),
    Marks(Vec<Mark>),
}

impl Change {
    /// One with which nothing else is kept.
    pub(super) fn saying(said: impl Into<String>) -> Self {
        Self {
            kept: Kept::Nothing,
            said: said.into(),
            read: None,
        }
    }

    fn alongside(&self) -> Alongside<'_> {
        match &self.kept {
            Kept::Nothing => Alongside::Nothing,
            Kept::Commitment(task, impression) => Alongside::Commitment(NewCommitment {
                task: *task,
                impression,
                read: self.read.as_ref(),
            }),
            Kept::Opinion(new) => Alongside::Opinion(NewOpinion {
                opinion: &new.0,
                body: &new.1,
                rows: &new.2,
                read: self.read.as_ref(),
            }),
            Kept::Marks(marks) => Alongside::Marks(marks),
        }
    }
}

impl Cases {
    /// The case of a number as it is now, and the parts in which the caller meets it.
    ///
    /// # Errors
    /// [`Error::NotFound`] also when the caller may not see it.
    pub(super) fn met(&self, number: u64, caller: &Caller) -> Result<(Case, Meeting), Error> {
        let case = self.ledger.case(number)?.ok_or(Error::NotFound)?;
        // First who asks: nobody makes us work for a case that they may not see.
        let before = Meeting::of(&case, caller, &*self.ledger)?;
        let revision = case.revision;
        let case = self.settled(case, caller.at_ms);
        if case.revision == revision {
            return Ok((case, before));
        }
        let meeting = Meeting::of(&case, caller, &*self.ledger)?;
        Ok((case, meeting))
    }

    /// The same, when the caller may do this to it now.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Forbidden`], [`Error::Refused`].
    pub(super) fn admitted(
        &self,
        number: u64,
        act: Act,
        caller: &Caller,
    ) -> Result<(Case, Meeting, Verdict), Error> {
        let (case, meeting) = self.met(number, caller)?;
        if !meeting.may(act) {
            return Err(Error::Forbidden(act));
        }
        match verdict(act, case.state) {
            Verdict::Refuse(refusal) => Err(refusal.into()),
            verdict => Ok((case, meeting, verdict)),
        }
    }

    /// Changes a case: `work` changes its tasks and says what is kept with it. Decided again when somebody else was faster,
    /// unless the caller has `expected` the case in a certain revision.
    ///
    /// # Errors
    /// As [`Cases::admitted`]; [`Error::Changed`]; those of `work`.
    pub(super) fn decide(
        &self,
        number: u64,
        act: Act,
        expected: Option<u64>,
        caller: &Caller,
        mut work: impl FnMut(&mut Case) -> Result<Change, Error>,
    ) -> Result<Case, Error> {
        for _ in 0..TRIES {
            let (case, _, verdict) = self.admitted(number, act, caller)?;
            if expected.is_some_and(|expected| expected != case.revision) {
                return Err(Error::Changed);
            }
            let mut next = case;
            let change = work(&mut next)?;
            let audit = record(
                &next,
                ActionCode::Update,
                caller.actor.clone(),
                caller.at_ms,
            );
            let audit = audit.saying(change.said.clone());
            advance(&mut next, verdict, caller.at_ms);
            if self
                .ledger
                .change_case(&next, &change.alongside(), &audit)?
            {
                let case = self.ledger.case(number)?.ok_or(Error::NotFound)?;
                return Ok(self.settled(case, caller.at_ms));
            }
        }
        Err(crowded())
    }

    /// Says for the requester that the study is complete enough to be read: the case goes out. Said again after its studies
    /// have changed, it is meant of what they are now; else it changes nothing.
    ///
    /// # Errors
    /// As [`Cases::decide`]; when there are more instances than a manifest could name.
    pub fn complete(
        &self,
        number: u64,
        expected: Option<u64>,
        caller: &Caller,
    ) -> Result<Case, Error> {
        let (case, _, _) = self.admitted(number, Act::Complete, caller)?;
        if case.has_gone_out() && self.may_be_said_again(&case)?.is_none() {
            return Ok(case);
        }
        self.decide(number, Act::Complete, expected, caller, |case| {
            let word = Completed {
                by: caller.name.clone(),
                at_ms: caller.at_ms,
            };
            let mut said = "complete enough to be read".to_owned();
            if case.has_gone_out() {
                let growth = self.may_be_said_again(case)?.unwrap_or_default();
                said.push_str(" as it is now");
                if !growth.is_nothing() {
                    said = format!("{said}: {} since that was said", growth.sentence());
                }
                case.confirmed = Some(word);
            } else {
                case.completed = Some(word);
            }
            let marks = Mark::read(&self.archive, case.request.studies())?;
            Ok(Change {
                kept: Kept::Marks(marks),
                said,
                read: None,
            })
        })
    }

    /// Asks one more reader or pool.
    ///
    /// # Errors
    /// As [`Cases::decide`]; when the reader may not read, or was asked already.
    pub fn assign(
        &self,
        number: u64,
        asked: &Asked,
        expected: Option<u64>,
        caller: &Caller,
    ) -> Result<Case, Error> {
        self.decide(number, Act::Assign, expected, caller, |case| {
            let task = self.new_task(case, asked, case.request.is_blinded, caller.at_ms)?;
            let said = format!("task {}: asks {}", task.place, task.asked);
            case.tasks.push(task);
            Ok(Change::saying(said))
        })
    }

    /// Waits no longer for whoever was asked by one task: what they had of the case ends with it. The case goes on with the
    /// others, and is answered when all of those have answered.
    ///
    /// # Errors
    /// As [`Cases::decide`]; [`Refusal::TaskOver`], [`Error::NotFound`] when there is no such task.
    pub fn end(
        &self,
        number: u64,
        place: u32,
        expected: Option<u64>,
        caller: &Caller,
    ) -> Result<Case, Error> {
        let case = self.decide(number, Act::End, expected, caller, |case| {
            let revision = case.revision + 1;
            let task = of_place(case, place)?;
            if !task.state.is_pending() {
                return Err(Refusal::TaskOver.into());
            }
            task.end(revision);
            let said = format!(
                "task {place}: ended, {} is no longer waited for",
                task.asked
            );
            Ok(Change::saying(said))
        })?;
        self.ask_workstations(&case, |task| task.place == place);
        Ok(case)
    }

    /// Wants no answer any more: what readers had of the case ends with it.
    ///
    /// # Errors
    /// As [`Cases::decide`].
    pub fn withdraw(
        &self,
        number: u64,
        expected: Option<u64>,
        caller: &Caller,
    ) -> Result<Case, Error> {
        let case = self.decide(number, Act::Withdraw, expected, caller, |case| {
            end_tasks(case);
            Ok(Change::saying("withdrawn"))
        })?;
        self.ask_workstations(&case, |_| true);
        Ok(case)
    }

    /// Takes note of the answers.
    ///
    /// # Errors
    /// As [`Cases::decide`].
    pub fn close(
        &self,
        number: u64,
        expected: Option<u64>,
        caller: &Caller,
    ) -> Result<Case, Error> {
        self.decide(number, Act::Close, expected, caller, |_| {
            Ok(Change::saying("closed"))
        })
    }

    /// Lets cases expire that nobody waits for any more. Says how many those are.
    ///
    /// # Errors
    /// When the ledger fails.
    pub fn expire(&self, now_ms: i64) -> Result<usize, Error> {
        let mut count = 0;
        for number in self.ledger.expiring(now_ms, BATCH)? {
            count += usize::from(self.expire_one(number, now_ms)?);
        }
        Ok(count)
    }

    fn expire_one(&self, number: u64, now_ms: i64) -> Result<bool, Error> {
        let Some(case) = self.ledger.case(number)? else {
            return Ok(false);
        };
        // What was answered at a workstation in the last moment has been answered.
        let mut case = self.settled(case, now_ms);
        let verdict = verdict(Act::Expire, case.state);
        if matches!(verdict, Verdict::Refuse(_)) {
            return Ok(false);
        }
        end_tasks(&mut case);
        let audit = record(&case, ActionCode::Update, self.ourselves(), now_ms).saying("expired");
        advance(&mut case, verdict, now_ms);
        // When somebody was faster, it is looked at again soon.
        if !self
            .ledger
            .change_case(&case, &Alongside::Nothing, &audit)?
        {
            return Ok(false);
        }
        if let Some(case) = self.ledger.case(number)? {
            let case = self.settled(case, now_ms);
            self.ask_workstations(&case, |_| true);
        }
        Ok(true)
    }
}

/// Takes a case to its next revision.
pub(super) fn advance(case: &mut Case, verdict: Verdict, at_ms: i64) {
    case.state = match verdict {
        Verdict::Become(state) => state,
        Verdict::Follow => State::of_tasks(&case.tasks),
        Verdict::Stay | Verdict::Refuse(_) => case.state,
    };
    case.revision += 1;
    case.changed_ms = at_ms.max(case.changed_ms);
}

/// Ends, with the change that is being made, the tasks of all who have not answered.
fn end_tasks(case: &mut Case) {
    let revision = case.revision + 1;
    let pending = |task: &&mut Task| task.state.is_pending();
    for task in case.tasks.iter_mut().filter(pending) {
        task.end(revision);
    }
}
