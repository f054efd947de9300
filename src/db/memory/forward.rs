//! The queue of what goes on to other archives, in memory.

use std::collections::BTreeMap;

use crate::archive::Door;
use crate::archive::forwarding::Bound;
use crate::archive::index::NewInstance;
use crate::archive::queue::{DestinationState, Ended, Ending, Part, Pause, Queued, StudyForward};
use crate::db::memory::state::State;
use crate::dicom::Uid;

#[derive(Clone, Default)]
pub(super) struct Forwards {
    /// By destination and study.
    studies: BTreeMap<(Box<str>, Uid), Study>,
    /// By destination, study and instance.
    queued: BTreeMap<(Box<str>, Uid, Uid), Queued>,
    destinations: BTreeMap<Box<str>, (u64, Option<Pause>)>,
}

#[derive(Clone, Default)]
struct Study {
    stable_at_ms: i64,
    due_at_ms: Option<i64>,
    sent: u64,
    sent_at_ms: Option<i64>,
}

fn is_of(part: &Part<'_>, destination: &str, study: &Uid) -> bool {
    part.destination.is_none_or(|d| d == destination)
        && part.study_instance_uid.is_none_or(|s| s == study)
}

impl State {
    pub(super) fn queue(
        &mut self,
        new: &NewInstance,
        bound: &[Bound<'_>],
        now_ms: i64,
        stable_at_ms: i64,
        is_replacement: bool,
    ) {
        if is_replacement {
            self.unqueue_instance(&new.header.sop_instance_uid);
        }
        let study_uid = &new.header.study_instance_uid;
        for bound in bound {
            let key = (Box::from(bound.destination), study_uid.clone());
            let known = self.forwards.studies.get_mut(&key);
            let goes_already = known.is_some();
            if !goes_already && !bound.is_matched {
                continue;
            }
            if let Some(study) = known {
                study.stable_at_ms = study.stable_at_ms.max(stable_at_ms);
                study.due_at_ms = Some(study.stable_at_ms);
            } else {
                let study = Study {
                    stable_at_ms,
                    due_at_ms: Some(stable_at_ms),
                    ..Study::default()
                };
                self.forwards.studies.insert(key.clone(), study);
            }
            let of_study = self.instances.values().filter(|instance| {
                let old = &instance.new;
                let is_new = old.header.sop_instance_uid == new.header.sop_instance_uid;
                let is_from_there =
                    old.origin.door == Door::Dimse && bound.not_from == Some(&*old.origin.sender);
                old.header.study_instance_uid == *study_uid
                    && (is_new || (!goes_already && !is_from_there))
            });
            let rows: Vec<Queued> = of_study
                .map(|instance| {
                    let header = &instance.new.header;
                    let is_new = header.sop_instance_uid == new.header.sop_instance_uid;
                    Queued {
                        study_instance_uid: study_uid.clone(),
                        series_instance_uid: header.series_instance_uid.clone(),
                        sop_instance_uid: header.sop_instance_uid.clone(),
                        change: instance.version,
                        is_replacement: is_new && is_replacement,
                        is_doubtful: false,
                        attempts: 0,
                        queued_at_ms: now_ms,
                        not_before_ms: 0,
                        is_failed: false,
                        reason: None,
                    }
                })
                .collect();
            for row in rows {
                let key = (key.0.clone(), key.1.clone(), row.sop_instance_uid.clone());
                self.forwards.queued.insert(key, row);
            }
            self.forwards.destinations.entry(key.0).or_default();
        }
    }

    pub(super) fn unqueue_instance(&mut self, sop_instance_uid: &Uid) {
        self.forwards
            .queued
            .retain(|(_, _, instance), _| instance != sop_instance_uid);
    }

    pub(super) fn unqueue_study(&mut self, study_instance_uid: &Uid) {
        self.forwards
            .studies
            .retain(|(_, study), _| study != study_instance_uid);
    }
}

impl Forwards {
    pub(super) fn begin_attempt(&mut self, destination: &str, about: &Queued) {
        let key = (
            Box::from(destination),
            about.study_instance_uid.clone(),
            about.sop_instance_uid.clone(),
        );
        let held = self.queued.get_mut(&key);
        if let Some(queued) = held.filter(|q| q.change == about.change) {
            queued.is_doubtful = true;
        }
    }

    pub(super) fn end_attempt(&mut self, destination: &str, ended: &Ended, now_ms: i64) {
        let about = &ended.queued;
        let study: (Box<str>, Uid) = (destination.into(), about.study_instance_uid.clone());
        let key = (
            study.0.clone(),
            study.1.clone(),
            about.sop_instance_uid.clone(),
        );
        let is_it = self
            .queued
            .get(&key)
            .is_some_and(|q| q.change == about.change);
        match &ended.ending {
            Ending::Sent => {
                if is_it {
                    self.queued.remove(&key);
                }
                if let Some(study) = self.studies.get_mut(&study) {
                    study.sent += 1;
                    study.sent_at_ms = Some(now_ms);
                }
                if let Some((sent, _)) = self.destinations.get_mut(destination) {
                    *sent += 1;
                }
            }
            Ending::Unsent => {
                if let Some(queued) = self.queued.get_mut(&key).filter(|_| is_it) {
                    queued.is_doubtful = about.is_doubtful;
                }
            }
            Ending::Refused {
                reason,
                not_before_ms,
                is_given_up,
                is_doubtful,
            } => {
                if let Some(queued) = self.queued.get_mut(&key).filter(|_| is_it) {
                    queued.attempts += 1;
                    queued.reason = Some(reason.clone());
                    queued.not_before_ms = *not_before_ms;
                    queued.is_failed = *is_given_up;
                    queued.is_doubtful = *is_doubtful;
                }
            }
        }
    }

    fn of_study(&self, destination: &str, study: &Uid) -> impl Iterator<Item = &Queued> {
        self.queued
            .iter()
            .filter(move |((d, s, _), _)| **d == *destination && s == study)
            .map(|(_, queued)| queued)
    }

    pub(super) fn settle(&mut self, destination: &str, study_instance_uid: &Uid) {
        let waiting = self.of_study(destination, study_instance_uid);
        let earliest = waiting
            .filter(|q| !q.is_failed)
            .map(|q| q.not_before_ms)
            .min();
        let key = (Box::from(destination), study_instance_uid.clone());
        if let Some(study) = self.studies.get_mut(&key) {
            study.due_at_ms = earliest.map(|at| at.max(study.stable_at_ms));
        }
    }

    pub(super) fn set_pause(&mut self, destination: &str, pause: Option<&Pause>) {
        self.destinations.entry(destination.into()).or_default().1 = pause.cloned();
    }

    pub(super) fn give_up(&mut self, destination: &str, before_ms: i64, reason: &str) -> u64 {
        let mut count = 0;
        for ((of, ..), queued) in &mut self.queued {
            if **of == *destination && !queued.is_failed && queued.queued_at_ms < before_ms {
                queued.is_failed = true;
                queued.reason = Some(reason.into());
                count += 1;
            }
        }
        count
    }

    pub(super) fn retry(&mut self, part: &Part<'_>, now_ms: i64) -> u64 {
        let mut count = 0;
        for ((destination, study, _), queued) in &mut self.queued {
            let is_held_up = queued.is_failed || queued.not_before_ms > 0;
            if is_held_up && is_of(part, destination, study) {
                queued.is_failed = false;
                (queued.not_before_ms, queued.attempts) = (0, 0);
                queued.queued_at_ms = now_ms;
                count += 1;
            }
        }
        let keys: Vec<_> = self.studies.keys().cloned().collect();
        for key in keys.iter().filter(|key| is_of(part, &key.0, &key.1)) {
            if self.of_study(&key.0, &key.1).any(|q| !q.is_failed)
                && let Some(study) = self.studies.get_mut(key)
            {
                study.due_at_ms = Some(study.stable_at_ms);
            }
        }
        for (destination, (_, pause)) in &mut self.destinations {
            if part.destination.is_none_or(|d| *d == **destination) {
                *pause = None;
            }
        }
        count
    }

    pub(super) fn unqueue(&mut self, part: &Part<'_>) -> u64 {
        let before = self.queued.len();
        self.queued
            .retain(|(destination, study, _), _| !is_of(part, destination, study));
        for ((destination, of), study) in &mut self.studies {
            if is_of(part, destination, of) {
                study.due_at_ms = None;
            }
        }
        (before - self.queued.len()) as u64
    }

    pub(super) fn due_studies(&self, destination: &str, now_ms: i64, limit: usize) -> Vec<Uid> {
        let mut due: Vec<(i64, Uid)> = self
            .studies
            .iter()
            .filter(|((of, _), _)| **of == *destination)
            .filter_map(|((_, uid), study)| Some((study.due_at_ms?, uid.clone())))
            .filter(|(at, _)| *at <= now_ms)
            .collect();
        due.sort_unstable_by(|a, b| (a.0, a.1.as_str()).cmp(&(b.0, b.1.as_str())));
        due.into_iter().take(limit).map(|(_, uid)| uid).collect()
    }

    pub(super) fn queued(
        &self,
        destination: &str,
        study: &Uid,
        ready_at_ms: Option<i64>,
        limit: usize,
    ) -> Vec<Queued> {
        let is_wanted =
            |q: &&Queued| ready_at_ms.is_none_or(|now| !q.is_failed && q.not_before_ms <= now);
        let mut found: Vec<Queued> = self
            .of_study(destination, study)
            .filter(is_wanted)
            .cloned()
            .collect();
        found.sort_unstable_by(|a, b| a.sop_instance_uid.as_str().cmp(b.sop_instance_uid.as_str()));
        found.truncate(limit);
        found
    }

    pub(super) fn study_forwards(
        &self,
        after: Option<(&str, &Uid)>,
        is_all: bool,
        limit: usize,
    ) -> Vec<StudyForward> {
        let mut found: Vec<StudyForward> = self
            .studies
            .iter()
            .map(|((destination, uid), study)| {
                let count = |is_failed| {
                    let of_study = self.of_study(destination, uid);
                    of_study.filter(|q| q.is_failed == is_failed).count() as u64
                };
                StudyForward {
                    destination: destination.clone(),
                    study_instance_uid: uid.clone(),
                    waiting: count(false),
                    failed: count(true),
                    sent: study.sent,
                    sent_at_ms: study.sent_at_ms,
                    stable_at_ms: study.stable_at_ms,
                    due_at_ms: study.due_at_ms,
                    reason: self
                        .of_study(destination, uid)
                        .filter_map(|q| q.reason.clone())
                        .max(),
                }
            })
            .filter(|s| is_all || s.waiting + s.failed > 0)
            .filter(|s| {
                let key = (&*s.destination, s.study_instance_uid.as_str());
                after.is_none_or(|(destination, study)| key > (destination, study.as_str()))
            })
            .collect();
        found.sort_by(|a, b| {
            let key = |s: &StudyForward| (s.destination.clone(), s.study_instance_uid.to_string());
            key(a).cmp(&key(b))
        });
        found.truncate(limit);
        found
    }

    pub(super) fn destinations(&self, now_ms: i64) -> Vec<DestinationState> {
        self.destinations
            .iter()
            .map(|(destination, (sent, pause))| {
                let mut state = DestinationState {
                    destination: destination.clone(),
                    sent: *sent,
                    pause: pause.clone(),
                    ..DestinationState::default()
                };
                for ((of, study, _), queued) in &self.queued {
                    if of != destination {
                        continue;
                    }
                    let key = (of.clone(), study.clone());
                    let stable_at_ms = self.studies.get(&key).map_or(0, |s| s.stable_at_ms);
                    match (queued.is_failed, stable_at_ms > now_ms) {
                        (true, _) => state.failed += 1,
                        (false, true) => state.unstable += 1,
                        (false, false) => state.due += 1,
                    }
                }
                state
            })
            .collect()
    }

    pub(super) fn pause(&self, destination: &str) -> Option<Pause> {
        self.destinations
            .get(destination)
            .and_then(|(_, pause)| pause.clone())
    }
}
