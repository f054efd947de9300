//! Opening a case, and asking readers.

use super::caller::Caller;
use super::case::{Case, Reference, Request, TASKS_MAX};
use super::error::{Error, Fault};
use super::growth::Mark;
use super::state::{Refusal, State};
use super::task::{Asked, Task};
use super::{Cases, TRIES, crowded, record};
use crate::access::account::{Account, AccountName};
use crate::access::audit::ActionCode;
use crate::access::{Grant, Role, Scope};
use crate::archive::{Row, Target};
use crate::dicom::query::{Key, Matching, Order};
use crate::dicom::{AttributeId, Level, Query, Uid, sop_class};

/// An instance of the study that a first report consists of, by its UIDs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewReference {
    /// Its series.
    pub series_instance_uid: Uid,
    /// Its own UID.
    pub sop_instance_uid: Uid,
}

impl Cases {
    /// Opens a case and asks its readers. Unless somebody has to say first that it is complete, it goes out.
    ///
    /// # Errors
    /// [`Error::NotFound`] when the caller may open none, or a study is not here for it; what is wrong with the request.
    pub fn open(
        &self,
        mut request: Request,
        report: &[NewReference],
        readers: &[Asked],
        caller: &Caller,
    ) -> Result<Case, Error> {
        if !caller.requests && !caller.administers {
            return Err(Error::NotFound);
        }
        self.archive.commit_kept()?;
        let study = self.study(&request.study, caller)?;
        for prior in &request.priors {
            self.study(prior, caller)?;
        }
        request.report_instances = self.references(&request.study, report)?;
        let is_seen = |of: &Reference| !sop_class::is_report(of.sop_class_uid.as_str());
        if request.is_blinded && request.report_instances.iter().any(is_seen) {
            let why = "are no documents: who reads blind would see them";
            return Err(Fault::new("report_instances", why).into());
        }
        request.check(caller.at_ms)?;
        let patient_id = study.attributes.by_keyword("PatientID").unwrap_or_default();
        let mut case = Case {
            number: 0,
            revision: 1,
            state: State::Open,
            requester: caller.name.clone(),
            patient_id: patient_id.into(),
            request,
            opened_ms: caller.at_ms,
            changed_ms: caller.at_ms,
            completed: None,
            confirmed: None,
            tasks: Vec::new(),
        };
        if readers.is_empty() {
            return Err(Fault::new("readers", "are none").into());
        }
        for asked in readers {
            let task = self.new_task(&case, asked, case.request.is_blinded, caller.at_ms)?;
            case.tasks.push(task);
        }
        self.insert(case, caller)
    }

    fn insert(&self, mut case: Case, caller: &Caller) -> Result<Case, Error> {
        // Who says nothing of it says that it is complete.
        let marks = match case.has_gone_out() {
            true => Mark::read(&self.archive, case.request.studies())?,
            false => Vec::new(),
        };
        for _ in 0..TRIES {
            case.number = self.ledger.next_case()?;
            let audit = record(
                &case,
                ActionCode::Create,
                caller.actor.clone(),
                caller.at_ms,
            );
            let asked: Vec<_> = case
                .tasks
                .iter()
                .map(|task| task.asked.to_string())
                .collect();
            let audit = audit.saying(format!("opened; asks {}", asked.join(", ")));
            if !self.ledger.insert_case(&case, &marks, &audit)? {
                continue;
            }
            let number = case.number;
            let kept = self.ledger.case(number)?.ok_or(Error::NotFound)?;
            return Ok(self.settled(kept, caller.at_ms));
        }
        Err(crowded())
    }

    /// A task for somebody who has none in the case yet. `is_blind`: whether they are to read before they know of any report.
    pub(super) fn new_task(
        &self,
        case: &Case,
        asked: &Asked,
        is_blind: bool,
        at_ms: i64,
    ) -> Result<Task, Error> {
        if case.tasks.len() >= TASKS_MAX {
            return Err(Refusal::TooMany("tasks").into());
        }
        if let Asked::Reader(name) = asked {
            let is_theirs = |task: &Task| {
                (task.asked == *asked || task.is_held_by(name.as_str()))
                    && !task.state.is_over_unanswered()
            };
            if case.tasks.iter().any(is_theirs) {
                return Err(Fault::new("readers", "name a reader who has a task already").into());
            }
            self.check_reads(case, name, is_blind, at_ms)?;
        }
        let place = case.tasks.last().map_or(1, |task| task.place + 1);
        Ok(Task::new(place, asked.clone()))
    }

    /// Whether there is a reader of this name: an account, or the link of a grant for this case. Who sees every study sees its
    /// reports, and can read none blind.
    fn check_reads(
        &self,
        case: &Case,
        name: &AccountName,
        is_blind: bool,
        at_ms: i64,
    ) -> Result<(), Error> {
        let nobody = || Fault::new("readers", "name an account that reads nothing");
        if let Some(grant) = name.link() {
            let grant = self.ledger.grant(grant)?;
            let is_ours = |grant: &Grant| {
                grant.is_reader()
                    && grant.is_live(at_ms)
                    && u64::try_from(grant.case) == Ok(case.number)
            };
            return match grant.is_some_and(|grant| is_ours(&grant)) {
                true => Ok(()),
                false => Err(nobody().into()),
            };
        }
        let account = self.ledger.account(name.as_str())?;
        let reads = |account: &Account| account.is_enabled && account.roles.hold(Role::Reader);
        let account = account.filter(reads).ok_or_else(nobody)?;
        if is_blind && account.roles.see_everything() {
            let why = "name an account that sees the reports of every study: the case is to be read blind";
            return Err(Fault::new("readers", why).into());
        }
        Ok(())
    }

    /// The row of a study that is here for the caller.
    pub(super) fn study(&self, study: &Uid, caller: &Caller) -> Result<Row, Error> {
        if !caller.may_know(study) {
            return Err(Error::NotFound);
        }
        self.study_row(study)?.ok_or(Error::NotFound)
    }

    /// The row of a study that is here.
    pub(super) fn study_row(&self, study: &Uid) -> Result<Option<Row>, Error> {
        self.row_of(Level::Study, "StudyInstanceUID", study)
    }

    /// The row of a level that a UID names.
    pub(super) fn row_of(
        &self,
        level: Level,
        keyword: &str,
        uid: &Uid,
    ) -> Result<Option<Row>, Error> {
        let id = AttributeId::of_keyword(keyword).ok_or(Error::NotFound)?;
        let query = Query {
            level,
            keys: vec![Key::Attribute(id, Matching::Single(uid.as_str().into()))],
            limit: 1,
            offset: 0,
            order: Order::NEWEST,
        };
        let page = self.archive.find(&query, &Scope::All)?;
        Ok(page.rows.into_iter().next())
    }

    fn references(&self, study: &Uid, report: &[NewReference]) -> Result<Vec<Reference>, Error> {
        let mut references = Vec::new();
        for named in report.iter().take(super::case::REPORT_INSTANCES_MAX + 1) {
            let target = Target::Instance(
                study.clone(),
                named.series_instance_uid.clone(),
                named.sop_instance_uid.clone(),
            );
            let found = self.archive.locate(&target, &Scope::All, None, 1)?;
            let Some(located) = found.into_iter().next() else {
                let why = "name an instance that is not in the study";
                return Err(Fault::new("report_instances", why).into());
            };
            references.push(Reference {
                series_instance_uid: located.series_instance_uid,
                sop_instance_uid: located.sop_instance_uid,
                sop_class_uid: located.sop_class_uid,
            });
        }
        Ok(references)
    }
}
