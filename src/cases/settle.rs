//! Cases and the worklist are brought together: workitems that are missing are made, what workstations did is taken over,
//! workitems of tasks that are done or over are completed or canceled. Whatever was interrupted goes on here, and done twice
//! it does nothing: so it is called whenever a case is looked at, and every few seconds for those that need it.

use super::case::Case;
use super::deciding::advance;
use super::error::Error;
use super::ledger::Alongside;
use super::state::{State, Verdict};
use super::task::{Task, TaskState};
use super::{Cases, TRIES, crowded, record, workitem};
use crate::access::audit::{ActionCode, Actor};
use crate::access::{LedgerError, Scope};
use crate::dicom::Uid;
use crate::worklist::{self, Workitem, Worklist};

/// So many cases are looked at in one go.
const BATCH: usize = 100;

impl Cases {
    /// Settles every case that needs it, and says how many those were. One that cannot be settled is left for the next time.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub fn settle_all(&self, now_ms: i64) -> Result<usize, Error> {
        let (mut after, mut count) = (0, 0);
        loop {
            let batch = self.ledger.unsettled(after, BATCH)?;
            let Some(last) = batch.last() else {
                return Ok(count);
            };
            after = *last;
            count += batch.len();
            for number in batch {
                if let Some(case) = self.ledger.case(number)? {
                    self.settled(case, now_ms);
                }
            }
        }
    }

    /// A case that is settled if that can be done now. What people have said stands whatever becomes of its workitems.
    pub(super) fn settled(&self, case: Case, now_ms: i64) -> Case {
        let number = case.number;
        match self.settle(case.clone(), &self.ourselves(), now_ms) {
            Ok(settled) => settled,
            Err(error) => {
                tracing::warn!(%error, number, "a case and the worklist do not say the same yet");
                case
            }
        }
    }

    /// Brings the tasks of a case and their workitems together; what is new about the case is said to be by `actor`.
    ///
    /// # Errors
    /// When ledger or worklist fail.
    pub(super) fn settle(&self, case: Case, actor: &Actor, now_ms: i64) -> Result<Case, Error> {
        let Some(worklist) = &self.worklist else {
            return Ok(case);
        };
        let mut case = case;
        for _ in 0..TRIES {
            let mut next = case.clone();
            let mut said = Vec::new();
            for (task, before) in next.tasks.iter_mut().zip(&case.tasks) {
                if let Some(news) = self.settle_task(worklist, &case, before, task, now_ms)? {
                    said.push(news);
                }
            }
            if said.is_empty() {
                return Ok(case);
            }
            let verdict = if case.state.is_current() {
                Verdict::Follow
            } else {
                Verdict::Stay
            };
            advance(&mut next, verdict, now_ms);
            let audit = record(&next, ActionCode::Update, actor.clone(), now_ms);
            let audit = audit.saying(said.join("; "));
            self.ledger
                .change_case(&next, &Alongside::Nothing, &audit)?;
            // Changed by us or by somebody faster: look again.
            case = self.ledger.case(case.number)?.ok_or(Error::NotFound)?;
        }
        Err(crowded())
    }

    /// Does to a workitem what its task says, or says what the workitem says of the task.
    fn settle_task(
        &self,
        worklist: &Worklist,
        case: &Case,
        task: &Task,
        next: &mut Task,
        now_ms: i64,
    ) -> Result<Option<String>, Error> {
        use worklist::State as W;
        let is_to_do = task.state.is_pending() || task.state == TaskState::Signed;
        if !is_to_do && task.state != TaskState::Ended {
            return Ok(None);
        }
        let Some(workitem) = self.workitem(worklist, task)? else {
            if task.state == TaskState::Waiting && case.has_gone_out() {
                self.place(worklist, case, task)?;
            }
            return Ok(None);
        };
        let place = task.place;
        match (task.state, workitem.state) {
            (TaskState::Waiting, W::InProgress) => {
                self.claimed(&workitem, next, now_ms)?;
                let by = next.held_by.as_deref().unwrap_or("a workstation");
                Ok(Some(format!("task {place}: claimed by {by}")))
            }
            (TaskState::Waiting | TaskState::Claimed | TaskState::Committed, W::Completed) => {
                if task.state == TaskState::Waiting {
                    self.claimed(&workitem, next, now_ms)?;
                }
                next.state = TaskState::Elsewhere;
                Ok(Some(format!("task {place}: completed at a workstation")))
            }
            (TaskState::Waiting | TaskState::Claimed | TaskState::Committed, W::Canceled) => {
                next.state = TaskState::GivenBack;
                Ok(Some(format!("task {place}: given back")))
            }
            (TaskState::Signed, W::InProgress) => {
                self.finish(worklist, task)?;
                Ok(None)
            }
            (TaskState::Ended, W::Scheduled | W::InProgress) => {
                self.cancel(worklist, case, task, &workitem)?;
                Ok(None)
            }
            _ => Ok(None),
        }
    }

    /// Who claimed a workitem: whichever attempt it was claimed with, or a workstation.
    fn claimed(&self, workitem: &Workitem, task: &mut Task, now_ms: i64) -> Result<(), Error> {
        let attempts = self.ledger.attempts(task.id)?;
        let won = attempts
            .into_iter()
            .find(|attempt| workitem.transaction_uid.as_ref() == Some(&attempt.transaction_uid));
        task.state = TaskState::Claimed;
        task.claimed_ms = Some(now_ms);
        if let Some(won) = won {
            task.held_by = Some(won.reader);
            task.transaction_uid = Some(won.transaction_uid);
        }
        Ok(())
    }

    /// Makes the workitem of a task.
    fn place(&self, worklist: &Worklist, case: &Case, task: &Task) -> Result<(), Error> {
        if case.state != State::Open && case.state != State::InReview {
            return Ok(());
        }
        let dataset = self.new_workitem(case, task)?;
        let ours = self.at_worklist(self.ourselves());
        match worklist.create(&task.workitem, dataset, &ours) {
            Ok(_) | Err(worklist::Error::Refused(worklist::state::Refusal::Exists)) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Completes the workitem of a task whose opinion is signed.
    fn finish(&self, worklist: &Worklist, task: &Task) -> Result<(), Error> {
        let Some(claim) = &task.transaction_uid else {
            return Ok(());
        };
        let (uid, ours) = (&task.workitem, self.at_worklist(self.ourselves()));
        let performed = workitem::performed(task, &self.our_ae);
        worklist.update(uid, Some(claim), performed, &ours)?;
        worklist.change_state(uid, worklist::State::Completed, Some(claim), &ours)?;
        Ok(())
    }

    /// Cancels the workitem of a task that has ended, unless a workstation works at it.
    fn cancel(
        &self,
        worklist: &Worklist,
        case: &Case,
        task: &Task,
        workitem: &Workitem,
    ) -> Result<(), Error> {
        let (uid, ours) = (&task.workitem, self.at_worklist(self.ourselves()));
        let why = workitem::ending(case.state);
        if workitem.state == worklist::State::Scheduled {
            worklist.request_cancellation(uid, &why, &self.our_ae, &ours)?;
            return Ok(());
        }
        // Somebody may have claimed it here in the moment in which the case ended.
        let attempts = self.ledger.attempts(task.id)?;
        let claim = workitem.transaction_uid.as_ref();
        let is_ours = |claim: &Uid| {
            attempts
                .iter()
                .any(|attempt| attempt.transaction_uid == *claim)
        };
        if claim.is_some_and(is_ours) {
            worklist.update(uid, claim, workitem::progress(&why), &ours)?;
            worklist.change_state(uid, worklist::State::Canceled, claim, &ours)?;
        }
        Ok(())
    }

    /// Asks workstations to stop working at tasks that have ended; whoever completes one nevertheless changes nothing.
    pub(super) fn ask_workstations(&self, case: &Case, is_meant: impl Fn(&Task) -> bool) {
        let Some(worklist) = &self.worklist else {
            return;
        };
        let ours = self.at_worklist(self.ourselves());
        let why = workitem::ending(case.state);
        let is_there = |task: &&Task| {
            is_meant(task)
                && task.state == TaskState::Ended
                && task.claimed_ms.is_some()
                && task.held_by.is_none()
        };
        for task in case.tasks.iter().filter(is_there) {
            let asked = worklist.request_cancellation(&task.workitem, &why, &self.our_ae, &ours);
            if let Err(error) = asked {
                tracing::info!(%error, number = case.number, "a workstation was not asked to stop");
            }
        }
    }

    fn workitem(&self, worklist: &Worklist, task: &Task) -> Result<Option<Workitem>, Error> {
        let ours = self.at_worklist(self.ourselves());
        match worklist.retrieve(&task.workitem, &ours) {
            Ok(workitem) => Ok(Some(workitem)),
            Err(worklist::Error::NotFound) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// The worklist.
    ///
    /// # Errors
    /// Beside a running server: there it is that server's.
    pub(super) fn worklist(&self) -> Result<&Worklist, Error> {
        let worklist = self.worklist.as_ref();
        worklist.ok_or_else(|| LedgerError::Busy("the worklist is the running server's").into())
    }

    /// How we meet the worklist, in somebody's name.
    pub(super) fn at_worklist(&self, actor: Actor) -> worklist::Caller {
        worklist::Caller {
            scope: Scope::All,
            actor,
            reader: None,
            only: None,
            may_change: true,
            ae: Some(self.our_ae.clone()),
        }
    }
}
