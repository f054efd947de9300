//! What the index in memory holds, and how it is looked through: every instance with all it belongs
//! to, each time.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use crate::access::{Scope, View};
use crate::archive::index::{
    AcceptedConflict, Answered, Cursor, Located, NewInstance, OwedReport, Quarantined, Row, Target,
    ToldReport,
};
use crate::archive::{Error, Locator};
use crate::db::memory::forward::Forwards;
use crate::db::order::{Standing, cursor, number_order};
use crate::db::rules::{
    items_match, modalities, patient_identity, seen_version, sort_date, sort_name, sort_time,
    with_uids,
};
use crate::dicom::query::{Key, Matching, Order, matches, matches_combined, matches_list};
use crate::dicom::{AttributeValues, Level, Query, SEQUENCES, Uid};

/// A patient, study or series: what its first instance said, and what is kept up.
#[derive(Clone)]
pub(super) struct Group {
    /// The patient of a study, the study of a series; 0 of a patient.
    pub(super) above: i64,
    /// By which it has its place among others.
    pub(super) born: Arc<NewInstance>,
    pub(super) first: Arc<NewInstance>,
    pub(super) version: u64,
    pub(super) received_at_ms: i64,
}

#[derive(Clone)]
pub(super) struct Instance {
    pub(super) series: i64,
    pub(super) new: Arc<NewInstance>,
    pub(super) version: u64,
}

#[derive(Clone, Default)]
pub(super) struct State {
    pub(super) patients: BTreeMap<i64, Group>,
    pub(super) studies: BTreeMap<i64, Group>,
    pub(super) series: BTreeMap<i64, Group>,
    pub(super) instances: BTreeMap<i64, Instance>,
    pub(super) quarantine: BTreeMap<i64, Quarantined>,
    pub(super) quarantined_ever: i64,
    pub(super) conflicts: Vec<AcceptedConflict>,
    pub(super) removed: HashMap<Target, i64>,
    pub(super) answers: BTreeMap<Uid, Answered>,
    pub(super) owed_reports: BTreeMap<Uid, OwedReport>,
    /// The oldest first.
    pub(super) told_reports: Vec<ToldReport>,
    pub(super) change: u64,
    pub(super) forwards: Forwards,
}

/// An instance and all it belongs to.
#[derive(Clone, Copy)]
pub(super) struct Path<'s> {
    pub(super) patient: (i64, &'s Group),
    pub(super) study: (i64, &'s Group),
    pub(super) series: (i64, &'s Group),
    pub(super) instance: (i64, &'s Instance),
}

impl Group {
    /// Makes it what it would be if only these had come.
    fn become_of<'p, 's: 'p>(&mut self, left: impl Iterator<Item = &'p Path<'s>> + Clone) {
        if let Some(first) = left.clone().min_by_key(|p| p.instance.0) {
            self.first = first.instance.1.new.clone();
        }
        self.received_at_ms = left
            .clone()
            .map(|p| p.instance.1.new.received_at_ms)
            .max()
            .unwrap_or(0);
        self.seen_as(left);
    }

    /// Gives it the version that a caller knows who sees it without its reports.
    fn seen_as<'p, 's: 'p>(&mut self, left: impl Iterator<Item = &'p Path<'s>>) {
        let mut by_place: Vec<_> = left.map(|p| (place(p), p.instance.1.version)).collect();
        by_place.sort_unstable();
        let versions: Vec<_> = by_place.into_iter().map(|(_, version)| version).collect();
        self.version = seen_version(&versions).unwrap_or(0);
    }
}

/// An instance, its series, its study.
fn targets(new: &NewInstance) -> [Target; 3] {
    let header = &new.header;
    let (study, series) = (&header.study_instance_uid, &header.series_instance_uid);
    [
        Target::Study(study.clone()),
        Target::Series(study.clone(), series.clone()),
        Target::Instance(
            study.clone(),
            series.clone(),
            header.sop_instance_uid.clone(),
        ),
    ]
}

pub(super) fn next_id<T>(map: &BTreeMap<i64, T>) -> i64 {
    map.last_key_value().map_or(1, |(id, _)| id + 1)
}

pub(super) fn values(new: &NewInstance) -> AttributeValues {
    with_uids(&new.header)
}

impl State {
    pub(super) fn path(&self, id: i64) -> Path<'_> {
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

    pub(super) fn by_uid(&self, uid: &Uid) -> Option<i64> {
        self.instances
            .iter()
            .find(|(_, i)| i.new.header.sop_instance_uid == *uid)
            .map(|(id, _)| *id)
    }

    pub(super) fn study_by_uid(&self, uid: &Uid) -> Option<(i64, &Group)> {
        self.studies
            .iter()
            .find(|(_, g)| g.first.header.study_instance_uid == *uid)
            .map(|(id, g)| (*id, g))
    }

    pub(super) fn insert(&mut self, new: &NewInstance) -> Result<(), Error> {
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
            born: new.clone(),
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
        for target in targets(&new) {
            self.removed.remove(&target);
        }
        Ok(())
    }

    pub(super) fn remove_all(&mut self, target: &Target, removed_at_ms: i64) -> Vec<Locator> {
        let of_target = self.of_target(target);
        let uids: Vec<Uid> = of_target
            .iter()
            .map(|(_, path)| path.instance.1.new.header.sop_instance_uid.clone())
            .collect();
        let mut gone = Vec::new();
        for uid in uids {
            let Some(old) = self.remove(&uid) else {
                continue;
            };
            self.unqueue_instance(&old.header.sop_instance_uid);
            for target in targets(&old) {
                if self.of_target(&target).is_empty() {
                    if let Target::Study(study) = &target {
                        self.unqueue_study(study);
                    }
                    self.removed.insert(target, removed_at_ms);
                }
            }
            gone.push(old.locator);
        }
        gone
    }

    pub(super) fn remove(&mut self, uid: &Uid) -> Option<NewInstance> {
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

    /// What a scope holds, as if the rest had never come.
    pub(super) fn seen(&self, scope: &Scope) -> Self {
        let mut seen = self.clone();
        if *scope == Scope::All {
            return seen;
        }
        let view = |path: &Path<'_>| scope.view(&path.instance.1.new.header.study_instance_uid);
        let mut bereft = (BTreeSet::new(), BTreeSet::new());
        for id in self.instances.keys() {
            let path = self.path(*id);
            let class = &path.instance.1.new.header.sop_class_uid;
            if view(&path).is_none_or(|view| !view.shows(class.as_str())) {
                seen.instances.remove(id);
                if view(&path) == Some(View::WithoutReports) {
                    bereft.0.insert(path.series.0);
                    bereft.1.insert(path.study.0);
                }
            }
        }
        let left: Vec<_> = seen.instances.keys().map(|id| self.path(*id)).collect();
        seen.series
            .retain(|id, _| left.iter().any(|p| p.series.0 == *id));
        seen.studies
            .retain(|id, _| left.iter().any(|p| p.study.0 == *id));
        seen.patients
            .retain(|id, _| left.iter().any(|p| p.patient.0 == *id));
        let is_blind = |path: &&Path<'_>| view(path) == Some(View::WithoutReports);
        for (id, series) in &mut seen.series {
            let left = left.iter().filter(|p| p.series.0 == *id);
            if bereft.0.contains(id) {
                series.become_of(left);
            } else if left.clone().any(|path| is_blind(&path)) {
                series.seen_as(left);
            }
        }
        for (id, study) in &mut seen.studies {
            let left = left.iter().filter(|p| p.study.0 == *id);
            if bereft.1.contains(id) {
                study.become_of(left);
            } else if left.clone().any(|path| is_blind(&path)) {
                study.seen_as(left);
            }
        }
        for (id, patient) in &mut seen.patients {
            let studies = || seen.studies.values().filter(|study| study.above == *id);
            if let Some(study) = studies().next() {
                patient.first = study.first.clone();
            }
            patient.received_at_ms = studies().map(|s| s.received_at_ms).max().unwrap_or(0);
        }
        seen
    }

    /// The instances of a target in order, each with its cursor.
    pub(super) fn of_target(&self, target: &Target) -> Vec<(Cursor, Path<'_>)> {
        let is_meant = |path: &Path<'_>| {
            let header = &path.instance.1.new.header;
            let uids = (
                &header.study_instance_uid,
                &header.series_instance_uid,
                &header.sop_instance_uid,
            );
            match target {
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
    pub(super) fn paths(&self, level: Level, order: &Order) -> Vec<Path<'_>> {
        let mut paths: Vec<_> = self.instances.keys().map(|id| self.path(*id)).collect();
        let is_of_patients = level == Level::Patient;
        let order = if is_of_patients {
            &Order::NEWEST
        } else {
            order
        };
        paths.sort_by_cached_key(|path| {
            let patient = if is_of_patients { path.patient.0 } else { 0 };
            let study = standing(path.study).place(order);
            (std::cmp::Reverse(patient), study, place(path))
        });
        paths
    }

    pub(super) fn row(&self, level: Level, path: &Path<'_>) -> Row {
        let all: Vec<_> = self.instances.keys().map(|id| self.path(*id)).collect();
        let of_patient = all.iter().filter(|p| p.patient.0 == path.patient.0);
        let mut studies: Vec<_> = of_patient.map(|p| p.study.0).collect();
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
            row.received_at_ms = path.patient.1.received_at_ms;
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

    pub(super) fn modalities(&self, study: i64) -> Vec<String> {
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

    /// The instance whose metadata speak for an entity: the first in the order of the answers.
    fn speaker<'s>(&'s self, level: Level, query: &Query, path: &Path<'s>) -> &'s NewInstance {
        let is_of_entity = |p: &Path<'_>| match level {
            Level::Patient if query.level == Level::Patient => p.patient.0 == path.patient.0,
            Level::Patient | Level::Study => p.study.0 == path.study.0,
            Level::Series => p.series.0 == path.series.0,
            Level::Instance => p.instance.0 == path.instance.0,
        };
        let all = self.instances.keys().map(|id| self.path(*id));
        let first = all
            .filter(is_of_entity)
            .min_by_key(|p| (p.study.0, place(p)));
        &first.unwrap_or(*path).instance.1.new
    }

    pub(super) fn holds(&self, key: &Key, query: &Query, path: &Path<'_>) -> bool {
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
            Key::Data(level, key) => {
                let speaker = self.speaker(*level, query, path);
                key.holds(&speaker.header.metadata)
            }
            Key::ModalitiesInStudy(Matching::Universal) => true,
            Key::ModalitiesInStudy(matching) => matches_list(
                matching,
                dicom_core::VR::CS,
                &self.modalities(path.study.0).join("\\"),
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

/// What a study is ordered by.
pub(super) fn standing((id, study): (i64, &Group)) -> Standing {
    let values = values(&study.born);
    Standing {
        sort_name: sort_name(values.by_keyword("PatientName")),
        patient_id: values.by_keyword("PatientID").map(Into::into),
        sort_date: sort_date(values.by_keyword("StudyDate")),
        sort_time: sort_time(values.by_keyword("StudyTime")),
        id,
    }
}

pub(super) fn sop_classes(paths: &[&Path<'_>]) -> Vec<Uid> {
    let mut found: Vec<_> = paths
        .iter()
        .map(|p| p.instance.1.new.header.sop_class_uid.clone())
        .collect();
    found.sort_unstable();
    found.dedup();
    found
}

pub(super) fn place(path: &Path<'_>) -> Cursor {
    let series = number_order(values(&path.series.1.born).by_keyword("SeriesNumber"));
    let instance = number_order(values(&path.instance.1.new).by_keyword("InstanceNumber"));
    cursor(series, path.series.0, instance, path.instance.0)
}

pub(super) fn located(cursor: Cursor, new: &NewInstance) -> Located {
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
