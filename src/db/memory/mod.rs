//! The index in memory: the least code that keeps the promise, for tests. It shares the pure rules
//! with [`crate::db::Sqlite`] and nothing else, looks at everything, and so is its oracle.

mod forward;
mod state;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use crate::access::{Scope, View};
use crate::archive::forwarding::Bound;
use crate::archive::index::{
    AcceptedConflict, Answered, Arrived, Current, Cursor, Difference, EachArrived, EachMetadata,
    EachReceived, Held, Index, Lineage, Located, NamedBlob, NewInstance, OwedReport, Page,
    QuarantineReason, Quarantined, Received, Remaining, StudyPatient, Target, ToldReport, Totals,
    Transaction,
};
use crate::archive::queue::{DestinationState, Ended, Part, Pause, Queued, StudyForward};
use crate::archive::{Error, Locator};
use crate::dicom::header::BulkValue;
use crate::dicom::{Level, Query, Uid};
use state::{State, located, standing, values};

/// The index in memory.
#[derive(Default)]
pub struct Memory {
    /// The last committed state.
    state: RwLock<Arc<State>>,
    /// Held by the open transaction.
    writer: Mutex<()>,
}

impl Memory {
    /// An empty index.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn state(&self) -> Arc<State> {
        self.state
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl Index for Memory {
    fn begin(&self) -> Result<Box<dyn Transaction + '_>, Error> {
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(Box::new(Write {
            home: self,
            _writer: writer,
            state: State::clone(&self.state()),
        }))
    }

    fn begin_soft(&self) -> Result<Box<dyn Transaction + '_>, Error> {
        self.begin()
    }

    fn skip_changes(&self, count: u64) -> Result<(), Error> {
        let _writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        Arc::make_mut(&mut state).change += count;
        Ok(())
    }

    fn harden(&self) -> Result<(), Error> {
        Ok(())
    }

    fn find(&self, query: &Query, scope: &Scope) -> Result<Page, Error> {
        let all = self.state();
        let after = query.order.after.as_ref().filter(|_| {
            // Patients have one order.
            query.level != Level::Patient
        });
        let after = after.filter(|study| scope.view(study).is_some());
        let after = after
            .and_then(|study| all.study_by_uid(study))
            .map(|study| standing(study).place(&query.order));
        let state = all.seen(scope);
        let mut seen = std::collections::BTreeSet::new();
        let mut found = Vec::new();
        for path in state.paths(query.level, &query.order) {
            let place = || standing(path.study).place(&query.order);
            if after.as_ref().is_some_and(|after| place() <= *after) {
                continue;
            }
            let id = match query.level {
                Level::Patient => path.patient.0,
                Level::Study => path.study.0,
                Level::Series => path.series.0,
                Level::Instance => path.instance.0,
            };
            let is_found = query.keys.iter().all(|key| state.holds(key, query, &path));
            if is_found && seen.insert(id) {
                found.push(path);
            }
        }
        let offset = match after {
            Some(_) => 0,
            None => usize::try_from(query.offset).unwrap_or(usize::MAX),
        };
        let limit = usize::try_from(query.limit).unwrap_or(usize::MAX);
        let page: Vec<_> = found.iter().skip(offset).take(limit).collect();
        let remaining = found
            .len()
            .saturating_sub(offset)
            .saturating_sub(page.len());
        Ok(Page {
            rows: page
                .into_iter()
                .map(|path| state.row(query.level, path))
                .collect(),
            remaining: Remaining::Exactly(remaining as u64),
        })
    }

    fn locate(
        &self,
        target: &Target,
        scope: &Scope,
        after: Option<Cursor>,
        limit: usize,
    ) -> Result<Vec<Located>, Error> {
        let state = self.state().seen(scope);
        let found = state
            .of_target(target)
            .into_iter()
            .filter(|(cursor, _)| after.is_none_or(|after| *cursor > after));
        Ok(found
            .take(limit)
            .map(|(cursor, path)| located(cursor, &path.instance.1.new))
            .collect())
    }

    fn each_metadata(
        &self,
        target: &Target,
        scope: &Scope,
        after: Option<Cursor>,
        each: &mut EachMetadata<'_>,
    ) -> Result<(), Error> {
        let state = self.state().seen(scope);
        let found = state
            .of_target(target)
            .into_iter()
            .filter(|(cursor, _)| after.is_none_or(|after| *cursor > after));
        for (cursor, path) in found {
            if each(&path.instance.1.new.header.metadata, cursor)?.is_break() {
                break;
            }
        }
        Ok(())
    }

    fn each_received(
        &self,
        target: &Target,
        scope: &Scope,
        each: &mut EachReceived<'_>,
    ) -> Result<(), Error> {
        let state = self.state().seen(scope);
        for (_, path) in state.of_target(target) {
            let new = &path.instance.1.new;
            let received = Received {
                metadata: &new.header.metadata,
                transfer_syntax_uid: new.transfer_syntax_uid.as_str(),
                door: new.origin.door,
                sender: &new.origin.sender,
                at_ms: new.received_at_ms,
            };
            if each(received)?.is_break() {
                break;
            }
        }
        Ok(())
    }

    fn each_arrived(
        &self,
        target: &Target,
        scope: &Scope,
        each: &mut EachArrived<'_>,
    ) -> Result<(), Error> {
        let state = self.state().seen(scope);
        for (_, path) in state.of_target(target) {
            let new = &path.instance.1.new;
            let arrived = Arrived {
                series_instance_uid: new.header.series_instance_uid.as_str(),
                sop_instance_uid: new.header.sop_instance_uid.as_str(),
                sop_class_uid: new.header.sop_class_uid.as_str(),
                transfer_syntax_uid: new.transfer_syntax_uid.as_str(),
                digest: new.digest,
                door: new.origin.door,
                sender: &new.origin.sender,
                at_ms: new.received_at_ms,
            };
            if each(arrived)?.is_break() {
                break;
            }
        }
        Ok(())
    }

    fn bulk(
        &self,
        target: &Target,
        scope: &Scope,
    ) -> Result<Option<(Located, Vec<BulkValue>)>, Error> {
        if !matches!(target, Target::Instance(..)) {
            return Ok(None);
        }
        let state = self.state().seen(scope);
        let found = state.of_target(target).into_iter().next();
        Ok(found.map(|(cursor, path)| {
            let new = &path.instance.1.new;
            (located(cursor, new), new.header.bulk.clone())
        }))
    }

    fn version(&self, target: &Target, scope: &Scope) -> Result<Option<u64>, Error> {
        let state = self.state().seen(scope);
        let found = state.of_target(target);
        Ok(found.first().map(|(_, path)| match target {
            Target::Study(_) => path.study.1.version,
            Target::Series(..) => path.series.1.version,
            Target::Instance(..) => path.instance.1.version,
        }))
    }

    fn locate_one(
        &self,
        (study, series, instance): (&Uid, &Uid, &Uid),
        scope: &Scope,
        bytes_max: usize,
    ) -> Result<Option<Option<Located>>, Error> {
        let target = Target::Instance(study.clone(), series.clone(), instance.clone());
        let found = self.locate(&target, scope, None, 1)?.pop();
        Ok(found.map(|located| Some(located).filter(|l| l.frames.encode().len() <= bytes_max)))
    }

    fn current(
        &self,
        (study, series, instance): (&Uid, &Uid, &Uid),
        scope: &Scope,
        bytes_max: usize,
    ) -> Result<Option<Current>, Error> {
        let target = Target::Instance(study.clone(), series.clone(), instance.clone());
        let Some(version) = self.version(&target, scope)? else {
            return Ok(None);
        };
        let prepared = self.metadata(&target, scope, None, 1)?.pop();
        let metadata = prepared.map(|prepared| prepared.metadata);
        Ok(Some(Current {
            version,
            metadata: metadata.filter(|metadata| metadata.len() <= bytes_max),
        }))
    }

    fn removed_at(&self, target: &Target, scope: &Scope) -> Result<Option<i64>, Error> {
        let study = match target {
            Target::Study(study) | Target::Series(study, _) | Target::Instance(study, _, _) => {
                study
            }
        };
        let state = self.state();
        Ok(state
            .removed
            .get(target)
            .copied()
            .filter(|_| scope.view(study) == Some(View::Whole)))
    }

    fn answered(&self, transaction_uid: &Uid) -> Result<Option<Answered>, Error> {
        Ok(self.state().answers.get(transaction_uid).cloned())
    }

    fn owed_reports(&self) -> Result<Vec<OwedReport>, Error> {
        let mut owed: Vec<_> = self.state().owed_reports.values().cloned().collect();
        owed.sort_by_key(|owed| owed.due_at_ms);
        Ok(owed)
    }

    fn told_report(&self, transaction_uid: &Uid) -> Result<Option<ToldReport>, Error> {
        let state = self.state();
        let mut told = state.told_reports.iter();
        Ok(told
            .find(|told| told.transaction_uid == *transaction_uid)
            .cloned())
    }

    fn lineage(&self) -> Result<Lineage, Error> {
        Ok(Lineage {
            id: "memory".into(),
            change: self.state().change,
        })
    }

    fn totals(&self) -> Result<Totals, Error> {
        let state = self.state();
        Ok(Totals {
            patients: state.patients.len() as u64,
            studies: state.studies.len() as u64,
            series: state.series.len() as u64,
            instances: state.instances.len() as u64,
            blob_bytes: state.instances.values().map(|i| i.new.locator.length).sum(),
            quarantined: state.quarantine.len() as u64,
        })
    }

    fn live_blobs(&self, file: u64) -> Result<Vec<Locator>, Error> {
        let blobs = self.blobs(None, usize::MAX)?;
        Ok(blobs
            .into_iter()
            .map(|blob| blob.locator)
            .filter(|l| l.file == file)
            .collect())
    }

    fn blobs(&self, after: Option<Locator>, limit: usize) -> Result<Vec<NamedBlob>, Error> {
        let state = self.state();
        let stored = state.instances.values().map(|i| &*i.new);
        let all = stored.chain(state.quarantine.values().map(|q| &q.instance));
        let mut found: Vec<_> = all
            .map(|new| NamedBlob {
                sop_instance_uid: new.header.sop_instance_uid.clone(),
                locator: new.locator,
                dataset_offset: new.dataset_offset,
                digest: new.digest,
            })
            .filter(|blob| after.is_none_or(|after| blob.locator > after))
            .collect();
        found.sort_by_key(|blob| blob.locator);
        found.truncate(limit);
        Ok(found)
    }

    fn quarantined(&self, after: i64, limit: usize) -> Result<Vec<Quarantined>, Error> {
        let state = self.state();
        Ok(state
            .quarantine
            .values()
            .filter(|q| q.id > after)
            .take(limit)
            .cloned()
            .collect())
    }

    fn quarantined_one(&self, id: i64) -> Result<Option<Quarantined>, Error> {
        Ok(self.state().quarantine.get(&id).cloned())
    }

    fn accepted_conflicts(&self, limit: usize) -> Result<Vec<AcceptedConflict>, Error> {
        Ok(self
            .state()
            .conflicts
            .iter()
            .rev()
            .take(limit)
            .cloned()
            .collect())
    }

    fn due_studies(&self, destination: &str, now_ms: i64, limit: usize) -> Result<Vec<Uid>, Error> {
        let state = self.state();
        Ok(state.forwards.due_studies(destination, now_ms, limit))
    }

    fn queued(
        &self,
        destination: &str,
        study_instance_uid: &Uid,
        ready_at_ms: Option<i64>,
        limit: usize,
    ) -> Result<Vec<Queued>, Error> {
        let forwards = &self.state().forwards;
        Ok(forwards.queued(destination, study_instance_uid, ready_at_ms, limit))
    }

    fn study_forwards(
        &self,
        after: Option<(&str, &Uid)>,
        is_all: bool,
        limit: usize,
    ) -> Result<Vec<StudyForward>, Error> {
        Ok(self.state().forwards.study_forwards(after, is_all, limit))
    }

    fn destinations(&self, now_ms: i64) -> Result<Vec<DestinationState>, Error> {
        Ok(self.state().forwards.destinations(now_ms))
    }

    fn pause(&self, destination: &str) -> Result<Option<Pause>, Error> {
        Ok(self.state().forwards.pause(destination))
    }
}

struct Write<'a> {
    home: &'a Memory,
    _writer: MutexGuard<'a, ()>,
    state: State,
}

impl Transaction for Write<'_> {
    fn held(&mut self, sop_instance_uid: &Uid) -> Result<Option<Held>, Error> {
        let new = self
            .state
            .by_uid(sop_instance_uid)
            .map(|id| &self.state.instances[&id].new);
        Ok(new.map(|new| Held {
            study_instance_uid: new.header.study_instance_uid.clone(),
            series_instance_uid: new.header.series_instance_uid.clone(),
            digest: new.digest,
            received_digest: new.received_digest,
            transfer_syntax_uid: new.transfer_syntax_uid.clone(),
            locator: new.locator,
        }))
    }

    fn held_metadata(&mut self, sop_instance_uid: &Uid) -> Result<Option<Vec<u8>>, Error> {
        let id = self.state.by_uid(sop_instance_uid);
        Ok(id.map(|id| self.state.instances[&id].new.header.metadata.clone()))
    }

    fn study_patient(&mut self, study_instance_uid: &Uid) -> Result<Option<StudyPatient>, Error> {
        Ok(self
            .state
            .study_by_uid(study_instance_uid)
            .map(|(_, group)| {
                let values = values(&group.first);
                let value = |keyword| values.by_keyword(keyword).unwrap_or_default().into();
                StudyPatient {
                    patient_id: value("PatientID"),
                    issuer_of_patient_id: value("IssuerOfPatientID"),
                    patient_name: value("PatientName"),
                    patient_birth_date: value("PatientBirthDate"),
                }
            }))
    }

    fn insert(&mut self, new: &NewInstance) -> Result<(), Error> {
        self.state.insert(new)
    }

    fn remove(&mut self, sop_instance_uid: &Uid) -> Result<Option<NewInstance>, Error> {
        Ok(self.state.remove(sop_instance_uid))
    }

    fn remove_all(&mut self, target: &Target, removed_at_ms: i64) -> Result<Vec<Locator>, Error> {
        Ok(self.state.remove_all(target, removed_at_ms))
    }

    fn answer(&mut self, transaction_uid: &Uid, answered: &Answered) -> Result<bool, Error> {
        let answers = &mut self.state.answers;
        let is_new = !answers.contains_key(transaction_uid);
        if is_new {
            answers.insert(transaction_uid.clone(), answered.clone());
        }
        Ok(is_new)
    }

    fn expire_answers(&mut self, expired_ms: i64, forgotten_ms: i64) -> Result<(), Error> {
        let answers = &mut self.state.answers;
        answers.retain(|_, answered| answered.at_ms >= forgotten_ms);
        for answered in answers.values_mut().filter(|a| a.at_ms < expired_ms) {
            answered.answer = None;
        }
        Ok(())
    }

    fn revise_answer(&mut self, transaction_uid: &Uid, answer: &str) -> Result<(), Error> {
        if let Some(answered) = self.state.answers.get_mut(transaction_uid) {
            answered.answer = Some(answer.into());
        }
        Ok(())
    }

    fn owe_report(&mut self, owed: &OwedReport) -> Result<(), Error> {
        let uid = owed.transaction_uid.clone();
        self.state.owed_reports.insert(uid, owed.clone());
        Ok(())
    }

    fn settle_report(&mut self, transaction_uid: &Uid) -> Result<(), Error> {
        self.state.owed_reports.remove(transaction_uid);
        Ok(())
    }

    fn keep_told(&mut self, told: &ToldReport, keep_max: usize) -> Result<(), Error> {
        let kept = &mut self.state.told_reports;
        kept.retain(|known| known.transaction_uid != told.transaction_uid);
        kept.push(told.clone());
        let surplus = kept.len().saturating_sub(keep_max);
        kept.drain(..surplus);
        Ok(())
    }

    fn quarantine(
        &mut self,
        new: &NewInstance,
        reason: QuarantineReason,
        differences: &[Difference],
    ) -> Result<(i64, bool), Error> {
        let is_same = |held: &&Quarantined| {
            held.reason == reason
                && held.instance.received_digest == new.received_digest
                && held.instance.transfer_syntax_uid == new.transfer_syntax_uid
                && held.instance.header.sop_instance_uid == new.header.sop_instance_uid
        };
        if let Some(held) = self.state.quarantine.values().find(is_same) {
            return Ok((held.id, false));
        }
        self.state.quarantined_ever += 1;
        let id = self.state.quarantined_ever;
        let held = Quarantined {
            id,
            reason,
            differences: differences.to_vec(),
            instance: new.clone(),
        };
        self.state.quarantine.insert(id, held);
        Ok((id, true))
    }

    fn release(&mut self, id: i64) -> Result<Option<Quarantined>, Error> {
        Ok(self.state.quarantine.remove(&id))
    }

    fn queue(
        &mut self,
        new: &NewInstance,
        bound: &[Bound<'_>],
        now_ms: i64,
        stable_at_ms: i64,
        is_replacement: bool,
    ) -> Result<(), Error> {
        let state = &mut self.state;
        state.queue(new, bound, now_ms, stable_at_ms, is_replacement);
        Ok(())
    }

    fn begin_attempt(&mut self, destination: &str, queued: &Queued) -> Result<(), Error> {
        self.state.forwards.begin_attempt(destination, queued);
        Ok(())
    }

    fn end_attempt(&mut self, destination: &str, ended: &Ended, now_ms: i64) -> Result<(), Error> {
        self.state.forwards.end_attempt(destination, ended, now_ms);
        Ok(())
    }

    fn settle(&mut self, destination: &str, study_instance_uid: &Uid) -> Result<(), Error> {
        self.state.forwards.settle(destination, study_instance_uid);
        Ok(())
    }

    fn set_pause(&mut self, destination: &str, pause: Option<&Pause>) -> Result<(), Error> {
        self.state.forwards.set_pause(destination, pause);
        Ok(())
    }

    fn give_up(
        &mut self,
        destination: &str,
        queued_before_ms: i64,
        reason: &str,
    ) -> Result<u64, Error> {
        let forwards = &mut self.state.forwards;
        Ok(forwards.give_up(destination, queued_before_ms, reason))
    }

    fn retry(&mut self, part: Part<'_>, now_ms: i64) -> Result<u64, Error> {
        Ok(self.state.forwards.retry(&part, now_ms))
    }

    fn unqueue(&mut self, part: Part<'_>) -> Result<u64, Error> {
        Ok(self.state.forwards.unqueue(&part))
    }

    fn note_conflict(&mut self, conflict: &AcceptedConflict) -> Result<(), Error> {
        self.state.conflicts.push(conflict.clone());
        Ok(())
    }

    fn keep(self: Box<Self>, _inserted: Vec<NewInstance>) -> Result<(), Error> {
        self.commit()
    }

    fn commit(self: Box<Self>) -> Result<(), Error> {
        *self
            .home
            .state
            .write()
            .unwrap_or_else(PoisonError::into_inner) = Arc::new(self.state);
        Ok(())
    }
}
