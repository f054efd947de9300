//! What somebody sees of studies whose reports are not there for them ([`View::WithoutReports`]).
//! Rows of the index count and describe all that is held. A study with reports, and each series with
//! some, says to such a caller what it would say if the reports had never come: it is counted anew, and
//! described by the first of the instances that are left. Looked at study by study, once a search.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::rc::Rc;

use rusqlite::{Connection, OptionalExtension as _};

use crate::access::{Scope, View};
use crate::archive::{Error, Row};
use crate::db::record::uid;
use crate::db::rules::modalities;
use crate::db::sqlite::connection::error;
use crate::db::sqlite::keys::speaker;
use crate::db::sqlite::packing::{BODY, BODY_JOIN, Bodies};
use crate::db::sqlite::rows::{attributes, table, text};
use crate::dicom::attributes::SequenceValue;
use crate::dicom::{AttributeId, AttributeValues, Level, SEQUENCES, Uid, sop_class};

/// How much of a study, or of a series, is there.
#[derive(Clone)]
pub(super) enum Seen {
    /// What its row says.
    AsItIs,
    /// Some of it.
    Part(Rc<Part>),
    /// Nothing.
    Nothing,
}

/// What is seen of a study or series that has reports; of a patient, what its first study says.
pub(super) struct Part {
    pub(super) patient: i64,
    pub(super) series: u64,
    pub(super) instances: u64,
    pub(super) received_at_ms: i64,
    pub(super) modalities: Vec<Box<str>>,
    pub(super) sop_classes: Vec<Box<str>>,
    /// The instance whose metadata speak for it: the first in the order of the answers.
    pub(super) speaker: i64,
    pub(super) says: Says,
}

/// What the first instance says.
#[derive(Default)]
pub(super) struct Says {
    pub(super) attributes: AttributeValues,
    pub(super) sequences: Vec<SequenceValue>,
    pub(super) sequence_json: Vec<(u8, Box<str>)>,
}

/// A scope, and what was looked at through it.
pub(super) struct Sight<'q> {
    views: HashMap<&'q str, View>,
    /// Those that are seen in part or not at all.
    studies: RefCell<HashMap<i64, Seen>>,
    series: RefCell<HashMap<i64, Seen>>,
    patients: RefCell<HashMap<i64, Seen>>,
    reports: RefCell<HashSet<i64>>,
    looked_at: Cell<u64>,
}

impl<'q> Sight<'q> {
    /// `None` when the scope holds all.
    pub(super) fn of(scope: &'q Scope) -> Option<Self> {
        let views = match scope {
            Scope::All => return None,
            Scope::Nothing => HashMap::new(),
            Scope::Studies(studies) => studies
                .iter()
                .map(|(uid, view)| (uid.as_str(), *view))
                .collect(),
        };
        Some(Self {
            views,
            studies: RefCell::default(),
            series: RefCell::default(),
            patients: RefCell::default(),
            reports: RefCell::default(),
            looked_at: Cell::new(0),
        })
    }

    /// How many rows were looked at since this was asked last.
    pub(super) fn looked_at(&self) -> u64 {
        self.looked_at.take()
    }

    /// What is seen of a study. Only then are its series and instances known here.
    pub(super) fn study(
        &self,
        connection: &Connection,
        id: i64,
        study_instance_uid: &str,
    ) -> Result<Seen, Error> {
        match self.views.get(study_instance_uid) {
            None => return Ok(Seen::Nothing),
            Some(View::Whole) => return Ok(Seen::AsItIs),
            Some(View::WithoutReports) => {}
        }
        let known = self.studies.borrow().get(&id).cloned();
        if let Some(seen) = known {
            return Ok(seen);
        }
        let seen = self.look(connection, id, &uid(study_instance_uid)?)?;
        self.studies.borrow_mut().insert(id, seen.clone());
        Ok(seen)
    }

    /// What is seen of a patient, who is described by the first study that is.
    pub(super) fn patient(&self, connection: &Connection, id: i64) -> Result<Seen, Error> {
        let known = self.patients.borrow().get(&id).cloned();
        if let Some(seen) = known {
            return Ok(seen);
        }
        let seen = self.look_at_patient(connection, id)?;
        self.patients.borrow_mut().insert(id, seen.clone());
        Ok(seen)
    }

    /// What is seen of a row whose study was looked at.
    pub(super) fn seen(&self, level: Level, id: i64) -> Seen {
        let of = match level {
            Level::Patient => &self.patients,
            Level::Study => &self.studies,
            Level::Series => &self.series,
            Level::Instance if self.reports.borrow().contains(&id) => return Seen::Nothing,
            Level::Instance => return Seen::AsItIs,
        };
        of.borrow().get(&id).cloned().unwrap_or(Seen::AsItIs)
    }

    /// The same, when it is some of it.
    pub(super) fn part(&self, level: Level, id: i64) -> Option<Rc<Part>> {
        match self.seen(level, id) {
            Seen::Part(part) => Some(part),
            Seen::AsItIs | Seen::Nothing => None,
        }
    }

    fn look_at_patient(&self, connection: &Connection, id: i64) -> Result<Seen, Error> {
        let columns = &table(Level::Study).columns;
        let sql = format!(
            "SELECT id, study_instance_uid, {columns} FROM study INDEXED BY study_by_patient \
             WHERE patient = ?1 ORDER BY id"
        );
        let mut statement = connection.prepare_cached(&sql).map_err(error)?;
        let mut rows = statement.query([id]).map_err(error)?;
        while let Some(row) = rows.next().map_err(error)? {
            let study = row.get(0).map_err(error)?;
            let uid = text(row, 1)?.unwrap_or_default();
            match self.study(connection, study, uid)? {
                Seen::Nothing => {}
                seen @ Seen::Part(_) => return Ok(seen),
                Seen::AsItIs => {
                    let says = Says {
                        attributes: attributes(row, Level::Study, 2)?,
                        ..Says::default()
                    };
                    let sql = format!("SELECT {}", speaker(Level::Study));
                    let speaker = connection
                        .prepare_cached(&sql)
                        .and_then(|mut s| s.query_row([study], |row| row.get::<_, Option<i64>>(0)))
                        .map_err(error)?;
                    return Ok(Seen::Part(Rc::new(Part {
                        patient: id,
                        series: 0,
                        instances: 0,
                        received_at_ms: 0,
                        modalities: Vec::new(),
                        sop_classes: Vec::new(),
                        speaker: speaker.unwrap_or_default(),
                        says,
                    })));
                }
            }
        }
        Ok(Seen::Nothing)
    }

    fn look(&self, connection: &Connection, study: i64, uid: &Uid) -> Result<Seen, Error> {
        if !has_reports(connection, study)? {
            return Ok(Seen::AsItIs);
        }
        let patient = connection
            .prepare_cached("SELECT patient FROM study WHERE id = ?1")
            .and_then(|mut s| s.query_row([study], |row| row.get(0)).optional())
            .map_err(error)?;
        let mut all = Tally::default();
        let mut found = BTreeSet::new();
        for series in self.series_of(connection, study)? {
            let seen = self.series(connection, &series, uid)?;
            let modality = match &seen {
                Seen::Nothing => None,
                Seen::AsItIs => series.modality.as_deref(),
                Seen::Part(part) => part.says.attributes.by_keyword("Modality"),
            };
            found.extend(modalities(modality).map(Box::from));
            if !matches!(seen, Seen::AsItIs) {
                self.series.borrow_mut().insert(series.id, seen);
            }
            all.add_all(series.tally);
        }
        let Some((first, speaker)) = all.first.zip(all.speaker) else {
            return Ok(Seen::Nothing);
        };
        let mut says = said(connection, first)?;
        says.set("StudyInstanceUID", uid.as_str());
        Ok(Seen::Part(Rc::new(Part {
            patient: patient.unwrap_or_default(),
            series: all.series,
            instances: all.instances,
            received_at_ms: all.received_at_ms,
            modalities: found.into_iter().collect(),
            sop_classes: all.sop_classes.iter().map(|c| c.as_str().into()).collect(),
            speaker,
            says,
        })))
    }

    /// The series of a study in the order of the answers, counted; remembers the reports.
    fn series_of(&self, connection: &Connection, study: i64) -> Result<Vec<Series>, Error> {
        let sql = "SELECT series.id, series.modality, series.series_instance_uid, instance.id, \
             instance.sop_class_uid, instance.received_at_ms FROM series INDEXED BY series_by_study \
             CROSS JOIN instance INDEXED BY instance_by_series ON instance.series = series.id \
             WHERE series.study = ?1 ORDER BY series_order, series.id, instance_order, instance.id";
        let mut statement = connection.prepare_cached(sql).map_err(error)?;
        let mut rows = statement.query([study]).map_err(error)?;
        let mut all: Vec<Series> = Vec::new();
        let mut reports = self.reports.borrow_mut();
        while let Some(row) = rows.next().map_err(error)? {
            self.looked_at.set(self.looked_at.get() + 1);
            let id = row.get(0).map_err(error)?;
            if all.last().is_none_or(|last| last.id != id) {
                all.push(Series {
                    id,
                    uid: uid(text(row, 2)?.unwrap_or_default())?,
                    modality: text(row, 1)?.map(Into::into),
                    has_reports: false,
                    tally: Tally::default(),
                });
            }
            let Some(series) = all.last_mut() else {
                continue;
            };
            let instance = row.get(3).map_err(error)?;
            let class = text(row, 4)?.unwrap_or_default();
            if sop_class::is_report(class) {
                series.has_reports = true;
                reports.insert(instance);
                continue;
            }
            let received_at_ms = row.get(5).map_err(error)?;
            series.tally.add(instance, uid(class)?, received_at_ms);
        }
        Ok(all)
    }

    fn series(&self, connection: &Connection, series: &Series, study: &Uid) -> Result<Seen, Error> {
        let tally = &series.tally;
        let Some((first, speaker)) = tally.first.zip(tally.speaker) else {
            return Ok(Seen::Nothing);
        };
        if !series.has_reports {
            return Ok(Seen::AsItIs);
        }
        let mut says = said(connection, first)?;
        says.set("StudyInstanceUID", study.as_str());
        says.set("SeriesInstanceUID", series.uid.as_str());
        Ok(Seen::Part(Rc::new(Part {
            patient: 0,
            series: 1,
            instances: tally.instances,
            received_at_ms: tally.received_at_ms,
            modalities: Vec::new(),
            sop_classes: Vec::new(),
            speaker,
            says,
        })))
    }
}

struct Series {
    id: i64,
    uid: Uid,
    modality: Option<Box<str>>,
    has_reports: bool,
    tally: Tally,
}

/// What is left of something without its reports.
#[derive(Default)]
struct Tally {
    series: u64,
    instances: u64,
    received_at_ms: i64,
    sop_classes: BTreeSet<Uid>,
    /// The instance that came first.
    first: Option<i64>,
    /// The one that stands first.
    speaker: Option<i64>,
}

impl Tally {
    fn add(&mut self, instance: i64, sop_class_uid: Uid, received_at_ms: i64) {
        self.add_all(Self {
            series: 1,
            instances: 1,
            received_at_ms,
            sop_classes: BTreeSet::from([sop_class_uid]),
            first: Some(instance),
            speaker: Some(instance),
        });
        self.series = 1;
    }

    fn add_all(&mut self, other: Self) {
        if other.instances == 0 {
            return;
        }
        let is_none = self.instances == 0;
        self.series += other.series;
        self.instances += other.instances;
        self.received_at_ms = match is_none {
            true => other.received_at_ms,
            false => self.received_at_ms.max(other.received_at_ms),
        };
        self.sop_classes.extend(other.sop_classes);
        self.first = self.first.into_iter().chain(other.first).min();
        self.speaker = self.speaker.or(other.speaker);
    }
}

impl Says {
    fn set(&mut self, keyword: &str, value: &str) {
        if let Some(id) = AttributeId::of_keyword(keyword) {
            self.attributes.set(id, value);
        }
    }

    /// Puts what it says of some levels into an answer that says nothing of them yet.
    pub(super) fn put(&self, row: &mut Row, levels: &[Level]) {
        for (id, value) in self.attributes.iter() {
            if levels.contains(&id.attribute().level) {
                row.attributes.set(id, value);
            }
        }
        let is_of = |at: &u8| {
            let sequence = SEQUENCES.get(usize::from(*at));
            sequence.is_some_and(|sequence| levels.contains(&sequence.level))
        };
        let json = self.sequence_json.iter().filter(|(at, _)| is_of(at));
        row.sequence_json.extend(json.cloned());
        row.sequence_json.sort_unstable_by_key(|(at, _)| *at);
    }
}

/// What an instance said when it came.
fn said(connection: &Connection, instance: i64) -> Result<Says, Error> {
    let sql = format!("SELECT {BODY} FROM instance {BODY_JOIN} WHERE instance.id = ?1");
    let mut statement = connection.prepare_cached(&sql).map_err(error)?;
    let mut rows = statement.query([instance]).map_err(error)?;
    let row = rows.next().map_err(error)?.ok_or(Error::NotFound)?;
    let record = Bodies::default().parts(row, 0)?.record;
    Ok(Says {
        attributes: record.attributes(),
        sequences: record.sequences(),
        sequence_json: record.sequence_json(),
    })
}

/// Whether a study has instances that may show how it was read before.
fn has_reports(connection: &Connection, study: i64) -> Result<bool, Error> {
    let sql = "SELECT sop_class_uid FROM study_sop_class INDEXED BY study_sop_class_by_study WHERE study = ?1";
    let mut statement = connection.prepare_cached(sql).map_err(error)?;
    let mut rows = statement.query([study]).map_err(error)?;
    while let Some(row) = rows.next().map_err(error)? {
        if sop_class::is_report(text(row, 0)?.unwrap_or_default()) {
            return Ok(true);
        }
    }
    Ok(false)
}
