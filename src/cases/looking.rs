//! Looking at cases: the list, and one case as a caller may see it. What a reader has to read blind is taken out here, for
//! every door.

use std::collections::BTreeMap;
use std::sync::PoisonError;

use super::caller::{Caller, Meeting};
use super::case::Case;
use super::error::Error;
use super::growth::Growth;
use super::ledger::{Question, Sight};
use super::manifest::Manifest;
use super::opinion::{Commitment, Opinion};
use super::recording::made_of;
use super::state::{Act, State, Verdict, verdict};
use super::task::Task;
use super::{COMPARED_MAX, Cases, record};
use crate::access::audit::{ActionCode, AuditRecord};
use crate::access::{Scope, View};
use crate::archive::Target;
use crate::dicom::Uid;

/// The most cases of a page.
pub(super) const PAGE_MAX: usize = 200;

/// A case as a caller may see it.
#[derive(Debug)]
pub struct Look {
    /// The case: without the first report and without the tasks of others for a reader who has to read blind.
    pub case: Case,
    /// Whether the first report and the opinions of others were left out.
    pub is_blind: bool,
    /// Whether the caller is no more than a reader of it.
    pub is_reader_only: bool,
    /// The newest version of every opinion that the caller may see, and those before it.
    pub opinions: Vec<Told>,
    /// What the caller committed, whether signed or not.
    pub commitment: Option<Commitment>,
    /// What the caller may do now, as far as the case says.
    pub may: Vec<Act>,
    /// What of that which the caller may know has become of the studies since somebody said that they are complete; `None`
    /// when nothing has.
    pub growth: Option<Growth>,
}

/// An opinion, and whether what it was made on is still so.
#[derive(Debug)]
pub struct Told {
    /// The opinion.
    pub opinion: Opinion,
    /// Whether images have arrived, changed or gone since.
    pub have_images_changed: bool,
}

/// A case in a list.
#[derive(Debug)]
pub struct Listed {
    /// The case: of a reader who has to read blind as in [`Look`].
    pub case: Case,
    /// Whether images have arrived, changed or gone since an opinion of it was signed.
    pub have_images_changed: bool,
    /// As in [`Look`]; of those only that are still to be answered.
    pub growth: Option<Growth>,
}

impl Cases {
    /// A case, as the caller may see it.
    ///
    /// # Errors
    /// [`Error::NotFound`] also when the caller may not see it.
    pub fn show(&self, number: u64, caller: &Caller) -> Result<Look, Error> {
        let (mut case, meeting) = self.met(number, caller)?;
        let opinions = self.ledger.opinions(number)?;
        let task = case.task_of(&caller.name).cloned();
        let commitment = match &task {
            Some(task) if task.is_held_by(&caller.name) => self.ledger.commitment(task.id)?,
            _ => None,
        };
        let may = allowed(&case, &meeting);
        let is_blind = blinded(&mut case, &meeting, caller);
        let seen = opinions
            .into_iter()
            .filter(|opinion| is_told(opinion, is_blind, caller));
        let opinions = self.told(&case, seen.collect())?;
        let growth = self.growth(&case, view(is_blind))?;
        Ok(Look {
            case,
            is_blind,
            is_reader_only: meeting.is_reader_only(),
            opinions,
            commitment,
            may,
            growth,
        })
    }

    /// How many cases answer each of some questions, as far as the caller may see them; counted as far as the limit of each.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub fn count(&self, questions: Vec<Question>, caller: &Caller) -> Result<Vec<usize>, Error> {
        let sight = caller.sight(&*self.ledger)?;
        let mut counts = Vec::with_capacity(questions.len());
        for question in questions {
            let sight = sight.clone();
            let question = Question { sight, ..question };
            counts.push(self.ledger.count_cases(&question)?);
        }
        Ok(counts)
    }

    /// The cases that answer a question, as far as the caller may see them, in its order.
    ///
    /// # Errors
    /// When ledger or archive fail.
    pub fn list(&self, question: Question, caller: &Caller) -> Result<Vec<Listed>, Error> {
        let question = Question {
            sight: caller.sight(&*self.ledger)?,
            limit: question.limit.min(PAGE_MAX),
            ..question
        };
        let mut listed = Vec::new();
        for mut case in self.ledger.cases(&question)? {
            let meeting = match Meeting::of(&case, caller, &*self.ledger) {
                Ok(meeting) => meeting,
                Err(Error::NotFound) => continue,
                Err(error) => return Err(error),
            };
            let is_answered = case.tasks.iter().any(|task| task.signed_ms.is_some());
            let is_blind = blinded(&mut case, &meeting, caller);
            let have_images_changed = is_answered && {
                let opinions = self.ledger.opinions(case.number)?;
                let seen = opinions
                    .into_iter()
                    .filter(|of| is_told(of, is_blind, caller));
                let told = self.told(&case, seen.collect())?;
                told.iter().any(|told| told.have_images_changed)
            };
            let growth = match case.state {
                State::Open | State::InReview => self.growth(&case, view(is_blind))?,
                _ => None,
            };
            listed.push(Listed {
                case,
                have_images_changed,
                growth,
            });
        }
        Ok(listed)
    }

    /// The studies that all current cases give to a reader now, and how much of each.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub fn views_of(&self, reader: &str) -> Result<BTreeMap<Uid, View>, Error> {
        Ok(self.ledger.case_views(reader)?)
    }

    /// What the caller may see of all cases.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub fn sight(&self, caller: &Caller) -> Result<Sight, Error> {
        Ok(caller.sight(&*self.ledger)?)
    }

    /// Whether what opinions were made on is still so. While the index has the same version of every study, it is; else all
    /// instances are compared.
    pub(super) fn told(&self, case: &Case, opinions: Vec<Opinion>) -> Result<Vec<Told>, Error> {
        if opinions.is_empty() {
            return Ok(Vec::new());
        }
        let mut versions = BTreeMap::new();
        for study in case.request.studies() {
            let target = Target::Study(study.clone());
            let version = self.archive.version(&target, &Scope::All)?.unwrap_or(0);
            versions.insert(study.clone(), version);
        }
        let mut now = None;
        let mut told = Vec::new();
        for opinion in opinions {
            let then = &opinion.manifest.versions;
            let is_same = |(study, version): &(Uid, u64)| versions.get(study) == Some(version);
            let known = self.compared(opinion.id, &versions);
            let have_images_changed = if let Some(known) = known {
                known
            } else if then.iter().all(is_same) {
                false
            } else {
                if now.is_none() {
                    let studies = case.request.studies();
                    let mut ours = self.ledger.recorded(case.number)?;
                    // Also of those that the caller may not see.
                    ours.extend(made_of(self.ledger.opinions(case.number)?.iter()));
                    now = Some((Manifest::read(&self.archive, studies, &Scope::All)?, ours));
                }
                let kept = self.ledger.kept_opinion(opinion.id)?;
                let kept = kept.ok_or(Error::NotFound)?;
                let before = Manifest::parse(&kept.rows)?;
                let found = now
                    .as_ref()
                    .is_some_and(|(now, ours)| !before.since(now, ours).is_nothing());
                self.keep_compared(opinion.id, &versions, found);
                found
            };
            told.push(Told {
                opinion,
                have_images_changed,
            });
        }
        Ok(told)
    }

    /// What was found before, when the studies are as they were then.
    fn compared(&self, opinion: u64, versions: &BTreeMap<Uid, u64>) -> Option<bool> {
        let compared = self.compared.lock().unwrap_or_else(PoisonError::into_inner);
        let (then, found) = compared.get(&opinion)?;
        let is_same = |(study, version): &(Uid, u64)| versions.get(study) == Some(version);
        (then.len() == versions.len() && then.iter().all(is_same)).then_some(*found)
    }

    /// Versions are read before the instances: whatever came between makes them differ later.
    fn keep_compared(&self, opinion: u64, versions: &BTreeMap<Uid, u64>, found: bool) {
        let mut compared = self.compared.lock().unwrap_or_else(PoisonError::into_inner);
        if compared.len() >= COMPARED_MAX {
            compared.clear();
        }
        let versions = versions
            .iter()
            .map(|(study, version)| (study.clone(), *version));
        compared.insert(opinion, (versions.collect(), found));
    }
}

/// Whether a caller is told of an opinion: who reads blind hears of their own only.
fn is_told(opinion: &Opinion, is_blind: bool, caller: &Caller) -> bool {
    !is_blind || opinion.reader == caller.name
}

/// What a caller may do now, as far as table and tasks say. What else it needs is told when it is tried.
fn allowed(case: &Case, meeting: &Meeting) -> Vec<Act> {
    let is_allowed =
        |act: &Act| meeting.may(*act) && !matches!(verdict(*act, case.state), Verdict::Refuse(_));
    Act::ALL.into_iter().filter(is_allowed).collect()
}

/// How much of the studies a caller hears of.
fn view(is_blind: bool) -> View {
    match is_blind {
        true => View::WithoutReports,
        false => View::Whole,
    }
}

/// Takes out what a reader has to read blind, and the words of others. Says whether that was so.
fn blinded(case: &mut Case, meeting: &Meeting, caller: &Caller) -> bool {
    if !meeting.is_reader_only() {
        return false;
    }
    let is_theirs = |task: &Task| task.is_held_by(&caller.name) || task.is_asked(&caller.name);
    // Of a pool, before the claim: as blind as afterwards.
    let is_blind = match case.task_of(&caller.name) {
        Some(task) => case.is_blind(task),
        None => {
            let mut asked = case.tasks.iter().filter(|task| is_theirs(task)).peekable();
            match asked.peek() {
                Some(_) => asked.all(|task| case.is_blind(task)),
                None => case.request.is_blinded,
            }
        }
    };
    if !is_blind {
        return false;
    }
    case.request.first_report.clear();
    case.request.report_instances.clear();
    // It may have been said again because a report came.
    case.confirmed = None;
    let waits_for_them = |task: &Task| {
        is_theirs(task)
            || (task.state.is_pending() && meeting.is_of_pool(task) && task.held_by.is_none())
    };
    case.tasks.retain(waits_for_them);
    true
}

impl Look {
    /// For the audit trail: that the caller has looked at the case, and so at what is said of its patient.
    #[must_use]
    pub fn record(&self, caller: &Caller) -> AuditRecord {
        let actor = caller.actor.clone();
        record(&self.case, ActionCode::Read, actor, caller.at_ms).saying("looked at")
    }

    /// Whether the caller acts in this part.
    #[must_use]
    pub fn may(&self, act: Act) -> bool {
        self.may.contains(&act)
    }

    /// Whether an opinion is the newest version of its task.
    #[must_use]
    pub fn is_newest(&self, opinion: &Opinion) -> bool {
        let later = |told: &Told| {
            told.opinion.task == opinion.task && told.opinion.version > opinion.version
        };
        !self.opinions.iter().any(later)
    }
}
