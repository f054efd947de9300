//! What a reader does before there is an opinion: claim a task, give it back, commit an impression.

use super::caller::{Caller, Meeting};
use super::case::Case;
use super::deciding::{Change, Kept};
use super::draft::Basis;
use super::error::{Error, Fault};
use super::ledger::Attempt;
use super::opinion::{Impression, KeyImage, NOTE_BYTES_MAX};
use super::state::{Act, Refusal, Verdict, verdict};
use super::task::{Task, TaskState};
use super::text::{Lines, tidy};
use super::{Cases, record, workitem};
use crate::access::Scope;
use crate::access::audit::ActionCode;
use crate::archive::Target;
use crate::dicom::Uid;
use crate::worklist;

impl Cases {
    /// Takes a task: the one that the caller was asked for by name, else one of a pool. The workitem is claimed as any
    /// workstation would do it, so that of two at once one wins. Who holds a task already keeps it.
    ///
    /// # Errors
    /// [`Refusal::Taken`], [`Refusal::NothingToClaim`]; as [`Cases::decide`].
    pub fn claim(&self, number: u64, caller: &Caller) -> Result<Case, Error> {
        let (case, meeting, _) = self.admitted(number, Act::Claim, caller)?;
        if pending(&case, &caller.name).is_some() {
            return Ok(case);
        }
        let task = claimable(&case, &meeting, &caller.name)?;
        if case.is_spoilt_for(task, self.sees_reports(caller)?) {
            return Err(Refusal::SeesReports.into());
        }
        let attempt = Attempt {
            transaction_uid: Uid::fresh(),
            reader: caller.name.clone(),
        };
        let audit = record(
            &case,
            ActionCode::Execute,
            caller.actor.clone(),
            caller.at_ms,
        );
        let audit = audit.saying(format!("task {}: wants to claim it", task.place));
        // Before it is tried: whatever happens then, we know by whom the workitem was claimed.
        self.ledger.note_attempt(task.id, &attempt, &audit)?;
        let claimed = self.worklist()?.change_state(
            &task.workitem,
            worklist::State::InProgress,
            Some(&attempt.transaction_uid),
            &self.at_worklist(caller.actor.clone()),
        );
        match claimed {
            Ok(_) => {}
            Err(worklist::Error::Refused(_)) => {
                let kept = self.ledger.case(number)?.ok_or(Error::NotFound)?;
                self.settle(kept, &self.ourselves(), caller.at_ms)?;
                return Err(Refusal::Taken.into());
            }
            Err(error) => return Err(error.into()),
        }
        let kept = self.ledger.case(number)?.ok_or(Error::NotFound)?;
        let case = self.settle(kept, &caller.actor, caller.at_ms)?;
        if pending(&case, &caller.name).is_some() {
            return Ok(case);
        }
        // It was withdrawn in that moment: the workitem is canceled again.
        match verdict(Act::Claim, case.state) {
            Verdict::Refuse(refusal) => Err(refusal.into()),
            _ => Err(Error::Changed),
        }
    }

    /// Whether somebody sees the reports of every study: by what they ask with, or by another role of their account, which
    /// they may have looked with before.
    fn sees_reports(&self, caller: &Caller) -> Result<bool, Error> {
        if caller.sees_reports || caller.is_anyone {
            return Ok(caller.sees_reports);
        }
        let account = self.ledger.account(&caller.name)?;
        Ok(account.is_some_and(|account| account.roles.see_everything()))
    }

    /// Gives a task back unanswered, as the code "Workitem assignment rejected by assigned resource" says it. A draft and
    /// what was committed stay.
    ///
    /// # Errors
    /// As [`Cases::decide`].
    pub fn give_back(&self, number: u64, reason: &str, caller: &Caller) -> Result<Case, Error> {
        let mut reason = reason.to_owned();
        tidy(&mut reason, "reason", NOTE_BYTES_MAX, Lines::Many)?;
        let (case, _, _) = self.admitted(number, Act::GiveBack, caller)?;
        let named = || {
            case.tasks
                .iter()
                .find(|task| task.state == TaskState::Waiting && task.is_asked(&caller.name))
        };
        let task = pending(&case, &caller.name).or_else(named);
        let task = task.ok_or_else(|| not_pending(&case, &caller.name))?;
        let (worklist, asks) = (self.worklist()?, self.at_worklist(caller.actor.clone()));
        match &task.transaction_uid {
            None => {
                let request = workitem::rejection(&reason);
                let ae = &self.our_ae;
                worklist.request_cancellation(&task.workitem, &request, ae, &asks)?;
            }
            Some(transaction_uid) => {
                let progress = workitem::progress(&workitem::rejection(&reason));
                let (uid, claim) = (&task.workitem, Some(transaction_uid));
                worklist.update(uid, claim, progress, &asks)?;
                worklist.change_state(uid, worklist::State::Canceled, claim, &asks)?;
            }
        }
        let kept = self.ledger.case(number)?.ok_or(Error::NotFound)?;
        self.settle(kept, &caller.actor, caller.at_ms)
    }

    /// Commits what was seen. Nothing changes it any more; from then on the first report is open to its reader.
    ///
    /// # Errors
    /// As [`Cases::decide`]; [`Refusal::Committed`]; [`Error::DraftChanged`]; what is wrong with the impression.
    pub fn commit(
        &self,
        number: u64,
        mut impression: Impression,
        expected: Option<Basis>,
        caller: &Caller,
    ) -> Result<Case, Error> {
        impression.check()?;
        let (revision, read) = Basis::parts(expected);
        self.decide(number, Act::Commit, revision, caller, |case| {
            let place = held(case, &caller.name)?.place;
            self.check_images(case, &impression.key_images)?;
            let task = of_place(case, place)?;
            if task.state == TaskState::Committed {
                return Err(Refusal::Committed.into());
            }
            self.check_draft(task.id, read.as_ref())?;
            task.state = TaskState::Committed;
            task.committed_ms = Some(caller.at_ms);
            Ok(Change {
                kept: Kept::Commitment(task.id, impression.clone()),
                said: format!("task {place}: impression committed"),
                read: read.clone(),
            })
        })
    }

    /// Whether key images are of the case, and here, and have such frames.
    pub(super) fn check_images(&self, case: &Case, images: &[KeyImage]) -> Result<(), Error> {
        for image in images {
            let is_of_case = case
                .request
                .studies()
                .any(|study| *study == image.study_instance_uid);
            let target = Target::Instance(
                image.study_instance_uid.clone(),
                image.series_instance_uid.clone(),
                image.sop_instance_uid.clone(),
            );
            let found = if is_of_case {
                self.archive.locate(&target, &Scope::All, None, 1)?
            } else {
                Vec::new()
            };
            let Some(located) = found.first() else {
                let why = "name an instance that is not in the studies of the case";
                return Err(Fault::new("key_images", why).into());
            };
            let frames = located.frames.len();
            if image.frames.iter().any(|frame| *frame > frames.max(1)) {
                let why = "name a frame that the instance has not";
                return Err(Fault::new("key_images", why).into());
            }
        }
        Ok(())
    }
}

/// The task that a reader holds and has not signed.
pub(super) fn pending<'c>(case: &'c Case, reader: &str) -> Option<&'c Task> {
    let mut tasks = case.tasks.iter();
    tasks.find(|task| task.state.is_pending() && task.is_held_by(reader))
}

/// The same, or why there is none.
pub(super) fn held<'c>(case: &'c Case, reader: &str) -> Result<&'c Task, Error> {
    pending(case, reader).ok_or_else(|| not_pending(case, reader))
}

fn not_pending(case: &Case, reader: &str) -> Error {
    let theirs = |task: &&Task| task.is_held_by(reader) || task.is_asked(reader);
    let refusal = match case.tasks.iter().rfind(theirs) {
        Some(task) if task.is_at_workstation() => Refusal::AtWorkstation,
        Some(task) if task.state == TaskState::Signed => Refusal::Signed,
        _ => Refusal::Unclaimed,
    };
    refusal.into()
}

/// The task of a place, to be changed.
pub(super) fn of_place(case: &mut Case, place: u32) -> Result<&mut Task, Error> {
    let mut tasks = case.tasks.iter_mut();
    tasks
        .find(|task| task.place == place)
        .ok_or(Error::NotFound)
}

/// The task that a reader would take.
fn claimable<'c>(case: &'c Case, meeting: &Meeting, reader: &str) -> Result<&'c Task, Error> {
    let waiting = |task: &&Task| task.state == TaskState::Waiting;
    let mut named = case.tasks.iter().filter(waiting);
    if let Some(task) = named.find(|task| task.is_asked(reader)) {
        return Ok(task);
    }
    let mut of_pool = case.tasks.iter().filter(|task| meeting.is_of_pool(task));
    if let Some(task) = of_pool.find(|task| case.offers(task, reader)) {
        return Ok(task);
    }
    let theirs = |task: &&Task| task.is_asked(reader);
    let refusal = match case.tasks.iter().rfind(theirs) {
        Some(task) if task.is_at_workstation() => Refusal::AtWorkstation,
        _ => Refusal::NothingToClaim,
    };
    Err(refusal.into())
}
