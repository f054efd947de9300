//! A case: what is asked about which study, by whom, of whom, until when.

use std::collections::BTreeMap;

use super::error::Fault;
use super::state::State;
use super::task::{Pool, Task, TaskState};
use super::text::{Lines, tidy};
use crate::access::View;
use crate::dicom::Uid;

/// The longest clinical question. With the context it still fits into the comments of a workitem (LT). Bytes.
pub const QUESTION_BYTES_MAX: usize = 2048;
/// The longest clinical context. Bytes.
pub const CONTEXT_BYTES_MAX: usize = 16 * 1024;
/// The longest body part: what a label (LO) still holds. Bytes.
pub const BODY_PART_BYTES_MAX: usize = 32;
/// The longest text of a first report. Bytes.
pub const REPORT_BYTES_MAX: usize = 64 * 1024;
/// The most prior studies.
pub const PRIORS_MAX: usize = 50;
/// The most instances that a first report consists of.
pub const REPORT_INSTANCES_MAX: usize = 50;
/// The most tasks.
pub const TASKS_MAX: usize = 20;
/// How long after it was due a case expires, when it does not say.
pub const GRACE_MS: i64 = 14 * 86_400_000;

/// How soon an answer is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Urgency {
    /// In its turn.
    Routine,
    /// Before others.
    Urgent,
    /// At once.
    Stat,
}

impl Urgency {
    /// All of them: the word that is kept and sent, and Scheduled Procedure Step Priority (0074,1200).
    pub const WORDS: [(Self, &'static str, &'static str); 3] = [
        (Self::Routine, "routine", "LOW"),
        (Self::Urgent, "urgent", "MEDIUM"),
        (Self::Stat, "stat", "HIGH"),
    ];

    /// The word.
    #[must_use]
    pub fn word(self) -> &'static str {
        let known = Self::WORDS.iter().find(|(urgency, ..)| *urgency == self);
        known.map_or("", |(_, word, _)| word)
    }

    /// Scheduled Procedure Step Priority (0074,1200).
    #[must_use]
    pub fn priority(self) -> &'static str {
        let known = Self::WORDS.iter().find(|(urgency, ..)| *urgency == self);
        known.map_or("", |(_, _, priority)| priority)
    }

    /// Reads the word or the priority.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let known = Self::WORDS
            .iter()
            .find(|(_, word, priority)| [*word, *priority].contains(&text));
        known.map(|(urgency, ..)| *urgency)
    }
}

/// An instance that somebody refers to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// Its series.
    pub series_instance_uid: Uid,
    /// Its own UID.
    pub sop_instance_uid: Uid,
    /// What it is; as the archive says.
    pub sop_class_uid: Uid,
}

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The study to be read.
    pub study: Uid,
    /// Studies to compare with, in the order in which they were given, each once.
    pub priors: Vec<Uid>,
    /// What the requester wants to know.
    pub question: String,
    /// What else there is to know.
    pub context: String,
    /// What was examined.
    pub body_part: String,
    /// Who should read it.
    pub subspecialty: Pool,
    /// How soon.
    pub urgency: Urgency,
    /// When the answer is wanted.
    pub due_ms: Option<i64>,
    /// When nobody waits for it any more.
    pub expires_ms: Option<i64>,
    /// Whether readers commit what they see before they know of any report.
    pub is_blinded: bool,
    /// Whether somebody has to say that the study is complete before the case goes out.
    pub needs_complete: bool,
    /// The first report as text; empty when there is none.
    pub first_report: String,
    /// The first report as instances of the study.
    pub report_instances: Vec<Reference>,
}

impl Request {
    /// Brings the texts into the form in which they are kept, and checks all that needs no archive.
    ///
    /// # Errors
    /// The first fault.
    pub fn check(&mut self, now_ms: i64) -> Result<(), Fault> {
        tidy(
            &mut self.question,
            "question",
            QUESTION_BYTES_MAX,
            Lines::Many,
        )?;
        tidy(&mut self.context, "context", CONTEXT_BYTES_MAX, Lines::Many)?;
        tidy(
            &mut self.body_part,
            "body_part",
            BODY_PART_BYTES_MAX,
            Lines::One,
        )?;
        tidy(
            &mut self.first_report,
            "first_report",
            REPORT_BYTES_MAX,
            Lines::Many,
        )?;
        if self.question.is_empty() {
            return Err(Fault::new("question", "is empty"));
        }
        if self.priors.len() > PRIORS_MAX {
            return Err(Fault::new("priors", format!("are more than {PRIORS_MAX}")));
        }
        for (place, prior) in self.priors.iter().enumerate() {
            if *prior == self.study || self.priors[..place].contains(prior) {
                return Err(Fault::new("priors", "name a study twice"));
            }
        }
        if self.report_instances.len() > REPORT_INSTANCES_MAX {
            let why = format!("are more than {REPORT_INSTANCES_MAX}");
            return Err(Fault::new("report_instances", why));
        }
        if self.due_ms.is_some_and(|due_ms| due_ms <= now_ms) {
            return Err(Fault::new("due", "is in the past"));
        }
        let first_ms = self.due_ms.unwrap_or(now_ms);
        if self
            .expires_ms
            .is_some_and(|expires_ms| expires_ms <= first_ms)
        {
            return Err(Fault::new("expires", "is not after the case is due"));
        }
        if self.expires_ms.is_none() {
            self.expires_ms = self.due_ms.map(|due_ms| due_ms.saturating_add(GRACE_MS));
        }
        Ok(())
    }

    /// Whether there is anything that an opinion could agree with.
    #[must_use]
    pub fn has_first_report(&self) -> bool {
        !self.first_report.is_empty() || !self.report_instances.is_empty()
    }

    /// The study and its priors.
    pub fn studies(&self) -> impl Iterator<Item = &Uid> {
        std::iter::once(&self.study).chain(&self.priors)
    }
}

/// Somebody's word that a case is complete enough to be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Completed {
    /// Whose.
    pub by: Box<str>,
    /// When.
    pub at_ms: i64,
}

/// A case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    /// Its number, from 1.
    pub number: u64,
    /// Goes up with every change.
    pub revision: u64,
    /// Where it stands.
    pub state: State,
    /// Who opened it: the name of an account, or whoever sat at the shell.
    pub requester: Box<str>,
    /// Patient ID of the study when it was opened, for the audit trail; empty when it has none.
    pub patient_id: Box<str>,
    /// What is asked.
    pub request: Request,
    /// When it was opened.
    pub opened_ms: i64,
    /// When it was last changed.
    pub changed_ms: i64,
    /// Who said that it is complete.
    pub completed: Option<Completed>,
    /// Who said so again, last, after it had gone out and its studies had changed.
    pub confirmed: Option<Completed>,
    /// The tasks of its readers, by place; never empty.
    pub tasks: Vec<Task>,
}

impl Case {
    /// Whether readers may have it.
    #[must_use]
    pub fn has_gone_out(&self) -> bool {
        !self.request.needs_complete || self.completed.is_some()
    }

    /// Whether an answer was wanted before `now_ms` and is still missing.
    #[must_use]
    pub fn is_overdue(&self, now_ms: i64) -> bool {
        let is_waiting = matches!(self.state, State::Open | State::InReview);
        is_waiting && self.request.due_ms.is_some_and(|due_ms| due_ms < now_ms)
    }

    /// The task that a reader holds, or was asked for by name: of several the one that is still to be done.
    #[must_use]
    pub fn task_of(&self, reader: &str) -> Option<&Task> {
        let held = |task: &&Task| task.is_held_by(reader);
        let pending = |task: &&Task| task.state.is_pending();
        let mine = || self.tasks.iter().filter(held);
        mine().find(pending).or_else(|| mine().next_back())
    }

    /// Whether what others have said is kept from a reader for now. Who judges between opinions has to see them.
    #[must_use]
    pub fn is_blind(&self, task: &Task) -> bool {
        self.request.is_blinded && task.committed_ms.is_none() && task.adjudicates.is_empty()
    }

    /// Whether a task is not for somebody because they see the reports of every study, and so can read none blind.
    #[must_use]
    pub fn is_spoilt_for(&self, task: &Task, sees_reports: bool) -> bool {
        sees_reports && self.is_blind(task)
    }

    /// Whether a reader of its pool could take a task now, as far as they may read it blind: the one rule for our own pages
    /// and for workstations.
    #[must_use]
    pub fn offers(&self, task: &Task, reader: &str) -> bool {
        // Two opinions of one reader are one.
        let has_read = self.tasks.iter().any(|task| task.is_held_by(reader));
        let is_waited_for = matches!(self.state, State::Open | State::InReview);
        self.has_gone_out() && is_waited_for && task.state == TaskState::Waiting && !has_read
    }

    /// The studies that a case gives to a reader, and how much of each: nothing before it goes out, nor
    /// after it has ended; and nothing to those of a pool who have not claimed anything.
    #[must_use]
    pub fn views_for(&self, reader: &str) -> BTreeMap<Uid, View> {
        let mut views = BTreeMap::new();
        if !self.has_gone_out() || !self.state.is_current() {
            return views;
        }
        let has_it = |task: &&Task| match task.state {
            TaskState::Waiting => task.is_asked(reader),
            // Who was asked by name and claimed it at a workstation goes on there.
            TaskState::Claimed if task.held_by.is_none() => task.is_asked(reader),
            TaskState::Claimed | TaskState::Committed | TaskState::Signed => {
                task.is_held_by(reader)
            }
            TaskState::Elsewhere | TaskState::GivenBack | TaskState::Ended => false,
        };
        let mut tasks = self.tasks.iter().filter(has_it).peekable();
        if tasks.peek().is_none() {
            return views;
        }
        // Who has one task to read blind and has done another has seen the reports by then.
        let is_blind = tasks.all(|task| self.is_blind(task));
        for prior in &self.request.priors {
            views.insert(prior.clone(), View::Whole);
        }
        let of_study = if is_blind {
            View::WithoutReports
        } else {
            View::Whole
        };
        views.insert(self.request.study.clone(), of_study);
        views
    }

    /// Adds what a case gives to a reader to what others give: of two with the same study, what the one to be read blind gives.
    pub fn add_views(
        views: &mut BTreeMap<Uid, View>,
        given: impl IntoIterator<Item = (Uid, View)>,
    ) {
        for (study, given) in given {
            let view = views.entry(study).or_insert(given);
            *view = given.min(*view);
        }
    }

    /// One that neuroradiologists are asked to read, for tests.
    #[cfg(test)]
    pub(crate) fn example() -> Self {
        use super::task::Asked;
        let uid = |text: &str| Uid::parse(text).unwrap();
        let pool = Pool::parse("neuro").unwrap();
        Self {
            number: 1,
            revision: 1,
            state: State::Open,
            requester: "rita".into(),
            patient_id: "P1".into(),
            request: Request {
                study: uid("1.2.3"),
                priors: vec![uid("1.2.4")],
                question: "Is it a fracture?".into(),
                context: String::new(),
                body_part: "SPINE".into(),
                subspecialty: pool.clone(),
                urgency: Urgency::Urgent,
                due_ms: None,
                expires_ms: None,
                is_blinded: true,
                needs_complete: true,
                first_report: "No fracture.".into(),
                report_instances: Vec::new(),
            },
            opened_ms: 1,
            changed_ms: 1,
            completed: Some(Completed {
                by: "rita".into(),
                at_ms: 1,
            }),
            confirmed: None,
            tasks: vec![Task::new(1, Asked::Pool(pool))],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::account::AccountName;
    use crate::cases::task::Asked;

    fn views(case: &Case, reader: &str) -> String {
        let views = case.views_for(reader);
        let told = views
            .iter()
            .map(|(study, view)| format!("{study} {view:?}"));
        told.collect::<Vec<_>>().join(", ")
    }

    #[test]
    fn readers_have_what_was_given_to_them_and_reports_once_they_have_committed() {
        let mut case = Case::example();
        assert_eq!(views(&case, "anna"), "", "of a pool, before the claim");
        let task = &mut case.tasks[0];
        (task.state, task.held_by) = (TaskState::Claimed, Some("anna".into()));
        assert_eq!(views(&case, "anna"), "1.2.3 WithoutReports, 1.2.4 Whole");
        assert_eq!(views(&case, "bert"), "");
        assert_eq!(views(&case, "rita"), "");
        let mut open = case.clone();
        open.request.is_blinded = false;
        assert_eq!(views(&open, "anna"), "1.2.3 Whole, 1.2.4 Whole");
        let task = &mut case.tasks[0];
        (task.state, task.committed_ms) = (TaskState::Committed, Some(5));
        assert_eq!(views(&case, "anna"), "1.2.3 Whole, 1.2.4 Whole");
        for state in State::ALL {
            case.state = state;
            assert_eq!(
                !views(&case, "anna").is_empty(),
                state.is_current(),
                "{state}"
            );
        }
        case.state = State::InReview;
        case.tasks[0].state = TaskState::GivenBack;
        assert_eq!(views(&case, "anna"), "");

        let mut named = Case::example();
        named.tasks[0].asked = Asked::Reader(AccountName::parse("anna").unwrap());
        assert_eq!(views(&named, "anna"), "1.2.3 WithoutReports, 1.2.4 Whole");
        named.completed = None;
        assert_eq!(views(&named, "anna"), "", "before it goes out");
        named.completed = case.completed;
        named.tasks[0].adjudicates = vec![1, 2];
        assert_eq!(views(&named, "anna"), "1.2.3 Whole, 1.2.4 Whole");
    }

    #[test]
    fn requests_are_checked() {
        let check = |change: fn(&mut Request)| {
            let mut request = Case::example().request;
            change(&mut request);
            request
                .check(1_000)
                .map(|()| request)
                .map_err(|fault| fault.field)
        };
        assert!(check(|_| ()).is_ok());
        assert_eq!(check(|r| r.question = " ".into()), Err("question"));
        assert_eq!(check(|r| r.question = "x".repeat(2049)), Err("question"));
        assert_eq!(check(|r| r.body_part = "a\\b".into()), Err("body_part"));
        assert_eq!(check(|r| r.priors.push(r.study.clone())), Err("priors"));
        assert_eq!(check(|r| r.priors.push(r.priors[0].clone())), Err("priors"));
        assert_eq!(check(|r| r.due_ms = Some(1_000)), Err("due"));
        assert_eq!(
            check(|r| (r.due_ms, r.expires_ms) = (Some(2_000), Some(2_000))),
            Err("expires")
        );
        let due = check(|r| r.due_ms = Some(2_000)).unwrap();
        assert_eq!(due.expires_ms, Some(2_000 + GRACE_MS));
        for (_, word, priority) in Urgency::WORDS {
            assert_eq!(Urgency::parse(word), Urgency::parse(priority));
        }
        assert_eq!(Urgency::parse("high"), None);
    }
}
