//! The index in memory: the least code that keeps the promise, for tests. It shares the pure rules
//! with [`crate::db::Sqlite`] and nothing else, looks at everything, and so is its oracle.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use crate::access::Scope;
use crate::archive::index::{
    AcceptedConflict, Cursor, Difference, Held, Index, Located, NewInstance, Page, Prepared,
    QuarantineReason, Quarantined, Remaining, Row, StudyPatient, Target, Totals, Transaction,
};
use crate::archive::{Error, Locator};
use crate::db::order::{cursor, number_order};
use crate::db::rules::{
    items_match, modalities, patient_identity, sort_date, sort_time, with_uids,
};
use crate::dicom::header::BulkValue;
use crate::dicom::query::{Key, Matching, matches, matches_combined};
use crate::dicom::{AttributeValues, Level, Query, SEQUENCES, Uid};

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

/// A patient, study or series: what its first instance said, and what is kept up.
#[derive(Clone)]
struct Group {
    /// The patient of a study, the study of a series; 0 of a patient.
    above: i64,
    first: Arc<NewInstance>,
    version: u64,
    received_at_ms: i64,
}

#[derive(Clone)]
struct Instance {
    series: i64,
    new: Arc<NewInstance>,
    version: u64,
}

#[derive(Clone, Default)]
struct State {
    patients: BTreeMap<i64, Group>,
    studies: BTreeMap<i64, Group>,
    series: BTreeMap<i64, Group>,
    instances: BTreeMap<i64, Instance>,
    quarantine: BTreeMap<i64, Quarantined>,
    quarantined_ever: i64,
    conflicts: Vec<AcceptedConflict>,
    change: u64,
}

/// An instance and all it belongs to.
#[derive(Clone, Copy)]
struct Path<'s> {
    patient: (i64, &'s Group),
    study: (i64, &'s Group),
    series: (i64, &'s Group),
    instance: (i64, &'s Instance),
}

fn next_id<T>(map: &BTreeMap<i64, T>) -> i64 {
    map.last_key_value().map_or(1, |(id, _)| id + 1)
}

fn values(new: &NewInstance) -> AttributeValues {
    with_uids(&new.header)
}

impl State {
    fn path(&self, id: i64) -> Path<'_> {
        let instance = &self.instances[&id];
        let series = &self.series[&instance.series];
        let study = &self.studies[&series.above];
        Path {
            patient: (study.above, &self.patients[&study.above]),
            study: (series.above, study),
            series: (instance.series, series),
            instance: (id, instance),
        }
    }

    fn by_uid(&self, uid: &Uid) -> Option<i64> {
        self.instances
            .iter()
            .find(|(_, i)| i.new.header.sop_instance_uid == *uid)
            .map(|(id, _)| *id)
    }

    fn study_by_uid(&self, uid: &Uid) -> Option<(i64, &Group)> {
        self.studies
            .iter()
            .find(|(_, g)| g.first.header.study_instance_uid == *uid)
            .map(|(id, g)| (*id, g))
    }

    fn insert(&mut self, new: &NewInstance) -> Result<(), Error> {
        if self.by_uid(&new.header.sop_instance_uid).is_some() {
            return Err(Error::broken(
                "index",
                "the SOP Instance UID is there already",
            ));
        }
        self.change += 1;
        let new = Arc::new(new.clone());
        let group = |above| Group {
            above,
            first: new.clone(),
            version: self.change,
            received_at_ms: new.received_at_ms,
        };
        let study = match self.study_by_uid(&new.header.study_instance_uid) {
            Some((id, _)) => id,
            None => {
                let identity = |new: &NewInstance| {
                    patient_identity(&values(new), &new.header.study_instance_uid)
                };
                let patient = self
                    .patients
                    .iter()
                    .find(|(_, g)| identity(&g.first) == identity(&new))
                    .map(|(id, _)| *id);
                let patient = patient.unwrap_or_else(|| next_id(&self.patients));
                self.patients.entry(patient).or_insert_with(|| group(0));
                let study = next_id(&self.studies);
                self.studies.insert(study, group(patient));
                study
            }
        };
        let same = |g: &Group| {
            g.above == study && g.first.header.series_instance_uid == new.header.series_instance_uid
        };
        let series = self
            .series
            .iter()
            .find(|(_, g)| same(g))
            .map(|(id, _)| *id)
            .unwrap_or_else(|| next_id(&self.series));
        self.series.entry(series).or_insert_with(|| group(study));
        self.instances.insert(
            next_id(&self.instances),
            Instance {
                series,
                new: new.clone(),
                version: self.change,
            },
        );
        let patient = self.studies[&study].above;
        for group in [
            self.patients.get_mut(&patient),
            self.studies.get_mut(&study),
            self.series.get_mut(&series),
        ] {
            let group = group.expect("inserted above");
            group.version = self.change;
            group.received_at_ms = group.received_at_ms.max(new.received_at_ms);
        }
        Ok(())
    }

    fn remove(&mut self, uid: &Uid) -> Option<NewInstance> {
        let id = self.by_uid(uid)?;
        self.change += 1;
        let gone = self.instances.remove(&id)?;
        let study = self.series[&gone.series].above;
        let patient = self.studies[&study].above;
        for group in [
            self.studies.get_mut(&study),
            self.series.get_mut(&gone.series),
        ] {
            group.expect("it held an instance").version = self.change;
        }
        if !self.instances.values().any(|i| i.series == gone.series) {
            self.series.remove(&gone.series);
        }
        if !self.series.values().any(|s| s.above == study) {
            self.studies.remove(&study);
        }
        if !self.studies.values().any(|s| s.above == patient) {
            self.patients.remove(&patient);
        }
        self.conflicts.retain(|c| c.sop_instance_uid != *uid);
        Some(Arc::unwrap_or_clone(gone.new))
    }

    /// The instances of a target in order, each with its cursor.
    fn of_target(&self, target: &Target, scope: &Scope) -> Vec<(Cursor, Path<'_>)> {
        let is_meant = |path: &Path<'_>| {
            let header = &path.instance.1.new.header;
            let uids = (
                &header.study_instance_uid,
                &header.series_instance_uid,
                &header.sop_instance_uid,
            );
            scope.holds(uids.0)
                && match target {
                    Target::Study(study) => uids.0 == study,
                    Target::Series(study, series) => (uids.0, uids.1) == (study, series),
                    Target::Instance(study, series, instance) => uids == (study, series, instance),
                }
        };
        let paths = self
            .instances
            .keys()
            .map(|id| self.path(*id))
            .filter(is_meant);
        let mut found: Vec<_> = paths.map(|path| (place(&path), path)).collect();
        found.sort_by_key(|(cursor, _)| *cursor);
        found
    }

    /// All paths in the order of the answers of a level.
    fn paths(&self, level: Level) -> Vec<Path<'_>> {
        let mut paths: Vec<_> = self.instances.keys().map(|id| self.path(*id)).collect();
        paths.sort_by_cached_key(|path| {
            let study = values(&path.study.1.first);
            let newest = std::cmp::Reverse((
                if level == Level::Patient {
                    path.patient.0
                } else {
                    0
                },
                sort_date(study.by_keyword("StudyDate")),
                sort_time(study.by_keyword("StudyTime")),
                path.study.0,
            ));
            (newest, place(path))
        });
        paths
    }

    fn row(&self, level: Level, path: &Path<'_>, scope: &Scope) -> Row {
        let all: Vec<_> = self.instances.keys().map(|id| self.path(*id)).collect();
        let is_seen = |p: &&Path<'_>| {
            p.patient.0 == path.patient.0 && scope.holds(&p.study.1.first.header.study_instance_uid)
        };
        let seen = all.iter().filter(is_seen);
        let mut studies: Vec<_> = seen.clone().map(|p| p.study.0).collect();
        studies.sort_unstable();
        studies.dedup();
        let mut row = Row {
            studies_of_patient: studies.len() as u64,
            ..Row::default()
        };
        let firsts: [(Level, &NewInstance); 4] = [
            (
                Level::Patient,
                if level == Level::Patient {
                    &path.patient.1.first
                } else {
                    &path.study.1.first
                },
            ),
            (Level::Study, &path.study.1.first),
            (Level::Series, &path.series.1.first),
            (Level::Instance, &path.instance.1.new),
        ];
        for (of, first) in firsts.into_iter().filter(|(of, _)| *of <= level) {
            let values = values(first);
            for (id, value) in values.iter().filter(|(id, _)| id.attribute().level == of) {
                row.attributes.set(id, value);
            }
            let sequences = first.header.sequence_json.iter();
            row.sequence_json.extend(
                sequences
                    .filter(|(at, _)| SEQUENCES[usize::from(*at)].level == of)
                    .cloned(),
            );
        }
        row.sequence_json.sort_unstable_by_key(|(at, _)| *at);
        if level == Level::Patient {
            row.received_at_ms = match scope {
                Scope::Studies(_) => seen
                    .map(|p| p.study.1.received_at_ms)
                    .max()
                    .unwrap_or(i64::MIN),
                _ => path.patient.1.received_at_ms,
            };
            return row;
        }
        let in_study: Vec<_> = all.iter().filter(|p| p.study.0 == path.study.0).collect();
        row.modalities_in_study = self
            .modalities(path.study.0)
            .iter()
            .map(|m| m.as_str().into())
            .collect();
        row.sop_classes_in_study = sop_classes(&in_study)
            .into_iter()
            .map(|uid| uid.as_str().into())
            .collect();
        row.series_of_study = self
            .series
            .values()
            .filter(|s| s.above == path.study.0)
            .count() as u64;
        row.instances_of_study = in_study.len() as u64;
        row.received_at_ms = path.study.1.received_at_ms;
        if level > Level::Study {
            row.instances_of_series = in_study
                .iter()
                .filter(|p| p.series.0 == path.series.0)
                .count() as u64;
            row.received_at_ms = path.series.1.received_at_ms;
        }
        if level == Level::Instance {
            row.transfer_syntax_uid = Some(path.instance.1.new.transfer_syntax_uid.clone());
            row.received_at_ms = path.instance.1.new.received_at_ms;
        }
        row
    }

    fn modalities(&self, study: i64) -> Vec<String> {
        let series = self.series.values().filter(|s| s.above == study);
        let mut found: Vec<String> = Vec::new();
        for group in series {
            found
                .extend(modalities(values(&group.first).by_keyword("Modality")).map(str::to_owned));
        }
        found.sort_unstable();
        found.dedup();
        found
    }

    fn holds(&self, key: &Key, query: &Query, path: &Path<'_>) -> bool {
        let entity = |level: Level| -> &NewInstance {
            match level {
                Level::Patient if query.level == Level::Patient => &path.patient.1.first,
                Level::Patient | Level::Study => &path.study.1.first,
                Level::Series => &path.series.1.first,
                Level::Instance => &path.instance.1.new,
            }
        };
        match key {
            Key::Attribute(id, matching) => {
                let attribute = id.attribute();
                matches(
                    matching,
                    attribute.vr,
                    values(entity(attribute.level)).get(*id),
                )
            }
            Key::DateTimeRange(date, time, first, last) => {
                let values = values(entity(date.attribute().level));
                matches_combined(
                    first.as_deref(),
                    last.as_deref(),
                    values.get(*date),
                    values.get(*time),
                )
            }
            Key::ModalitiesInStudy(Matching::Universal) => true,
            Key::ModalitiesInStudy(matching) => matches(
                matching,
                dicom_core::VR::CS,
                Some(&self.modalities(path.study.0).join("\\")),
            ),
            Key::SopClassesInStudy(wanted) => {
                let all: Vec<_> = self.instances.keys().map(|id| self.path(*id)).collect();
                let in_study: Vec<_> = all.iter().filter(|p| p.study.0 == path.study.0).collect();
                sop_classes(&in_study)
                    .iter()
                    .any(|uid| wanted.contains(uid))
            }
            Key::Sequence(position, items) => {
                let sequence = &SEQUENCES[usize::from(*position)];
                let held = entity(sequence.level)
                    .header
                    .sequences
                    .iter()
                    .filter(|v| v.sequence == *position);
                let mut held: Vec<_> = held
                    .map(|v| (v.item, v.attribute, v.value.clone()))
                    .collect();
                held.sort_by_key(|(item, _, _)| *item);
                items_match(sequence, items, &held)
            }
        }
    }
}

fn sop_classes(paths: &[&Path<'_>]) -> Vec<Uid> {
    let mut found: Vec<_> = paths
        .iter()
        .map(|p| p.instance.1.new.header.sop_class_uid.clone())
        .collect();
    found.sort_unstable();
    found.dedup();
    found
}

fn place(path: &Path<'_>) -> Cursor {
    let series = number_order(values(&path.series.1.first).by_keyword("SeriesNumber"));
    let instance = number_order(values(&path.instance.1.new).by_keyword("InstanceNumber"));
    cursor(series, path.series.0, instance, path.instance.0)
}

fn located(cursor: Cursor, new: &NewInstance) -> Located {
    Located {
        study_instance_uid: new.header.study_instance_uid.clone(),
        series_instance_uid: new.header.series_instance_uid.clone(),
        sop_instance_uid: new.header.sop_instance_uid.clone(),
        sop_class_uid: new.header.sop_class_uid.clone(),
        transfer_syntax_uid: new.transfer_syntax_uid.clone(),
        locator: new.locator,
        dataset_offset: new.dataset_offset,
        frames: new.header.frames.clone(),
        digest: new.digest,
        cursor,
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

    fn find(&self, query: &Query, scope: &Scope) -> Result<Page, Error> {
        let state = self.state();
        let mut seen = std::collections::BTreeSet::new();
        let mut found = Vec::new();
        for path in state.paths(query.level) {
            let id = match query.level {
                Level::Patient => path.patient.0,
                Level::Study => path.study.0,
                Level::Series => path.series.0,
                Level::Instance => path.instance.0,
            };
            let is_found = scope.holds(&path.study.1.first.header.study_instance_uid)
                && query.keys.iter().all(|key| state.holds(key, query, &path));
            if is_found && seen.insert(id) {
                found.push(path);
            }
        }
        let offset = usize::try_from(query.offset).unwrap_or(usize::MAX);
        let limit = usize::try_from(query.limit).unwrap_or(usize::MAX);
        let page: Vec<_> = found.iter().skip(offset).take(limit).collect();
        let remaining = found
            .len()
            .saturating_sub(offset)
            .saturating_sub(page.len());
        Ok(Page {
            rows: page
                .into_iter()
                .map(|path| state.row(query.level, path, scope))
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
        let state = self.state();
        let found = state
            .of_target(target, scope)
            .into_iter()
            .filter(|(cursor, _)| after.is_none_or(|after| *cursor > after));
        Ok(found
            .take(limit)
            .map(|(cursor, path)| located(cursor, &path.instance.1.new))
            .collect())
    }

    fn metadata(
        &self,
        target: &Target,
        scope: &Scope,
        after: Option<Cursor>,
        limit: usize,
    ) -> Result<Vec<Prepared>, Error> {
        let state = self.state();
        let found = state
            .of_target(target, scope)
            .into_iter()
            .filter(|(cursor, _)| after.is_none_or(|after| *cursor > after));
        let prepared = |(cursor, path): (Cursor, Path<'_>)| Prepared {
            metadata: path.instance.1.new.header.metadata.clone(),
            cursor,
        };
        Ok(found.take(limit).map(prepared).collect())
    }

    fn bulk(
        &self,
        target: &Target,
        scope: &Scope,
    ) -> Result<Option<(Located, Vec<BulkValue>)>, Error> {
        if !matches!(target, Target::Instance(..)) {
            return Ok(None);
        }
        let state = self.state();
        let found = state.of_target(target, scope).into_iter().next();
        Ok(found.map(|(cursor, path)| {
            let new = &path.instance.1.new;
            (located(cursor, new), new.header.bulk.clone())
        }))
    }

    fn version(&self, target: &Target, scope: &Scope) -> Result<Option<u64>, Error> {
        let state = self.state();
        let found = state.of_target(target, scope);
        Ok(found.first().map(|(_, path)| match target {
            Target::Study(_) => path.study.1.version,
            Target::Series(..) => path.series.1.version,
            Target::Instance(..) => path.instance.1.version,
        }))
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
            .map(|(_, locator, _, _)| locator)
            .filter(|l| l.file == file)
            .collect())
    }

    fn blobs(
        &self,
        after: Option<Locator>,
        limit: usize,
    ) -> Result<Vec<(Uid, Locator, u32, [u8; 32])>, Error> {
        let state = self.state();
        let stored = state.instances.values().map(|i| &*i.new);
        let all = stored.chain(state.quarantine.values().map(|q| &q.instance));
        let mut found: Vec<_> = all
            .map(|new| {
                (
                    new.header.sop_instance_uid.clone(),
                    new.locator,
                    new.dataset_offset,
                    new.digest,
                )
            })
            .filter(|(_, locator, _, _)| after.is_none_or(|after| *locator > after))
            .collect();
        found.sort_by_key(|(_, locator, _, _)| *locator);
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

    fn quarantine(
        &mut self,
        new: &NewInstance,
        reason: QuarantineReason,
        differences: &[Difference],
    ) -> Result<(i64, bool), Error> {
        let is_same = |held: &&Quarantined| {
            held.reason == reason
                && held.instance.digest == new.digest
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

    fn note_conflict(&mut self, conflict: &AcceptedConflict) -> Result<(), Error> {
        self.state.conflicts.push(conflict.clone());
        Ok(())
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
