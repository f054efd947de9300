//! The evidence of a study, from the archive: from what it knows of each instance beside its bytes, so that no blob is
//! opened. What the caller may not see is not there.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use super::instance::Instance;
use super::{Finding, SeriesEvidence, finding, of_series};
use crate::access::Scope;
use crate::archive::{Archive, Door, Error, Page, Remaining, Row, Target};
use crate::cases::evidence::finding::Kind;
use crate::dicom::query::{Key, Matching, Order};
use crate::dicom::{AttributeId, Level, Query, Uid};

/// Series of a study that are looked at.
const SERIES_MAX: u32 = 2_000;

/// Instances, and frames, of a series that are looked at: more than any scanner makes in one.
const SLICES_OF_SERIES_MAX: usize = 20_000;

/// The same for a whole study; some 200 bytes of memory each while its series is looked at, 16 in what is told.
const SLICES_OF_STUDY_MAX: usize = 200_000;

/// Senders of a series that are told apart.
const SENDERS_MAX: usize = 16;

/// The evidence of a study.
#[derive(Debug, Clone, PartialEq)]
pub struct StudyEvidence {
    /// (0020,000D)
    pub study_instance_uid: Uid,
    /// Another number after every change of the study ([`Archive::version`]), read before anything else: whoever finds
    /// the same again has all of it before them.
    pub version: u64,
    /// How many instances the study has.
    pub instances: u64,
    /// How many it should have, where objects of it say so (0020,1208).
    pub declared: Option<u64>,
    /// When the last was received, milliseconds since 1970 UTC.
    pub last_received_ms: Option<i64>,
    /// Series by series, in their order.
    pub series: Vec<SeriesLooked>,
    /// Series that were not looked at.
    pub series_not_looked_at: u64,
    /// What should be looked at in the study as a whole; each series has its own.
    pub findings: Vec<Finding>,
}

/// The evidence of a series, and what it is.
#[derive(Debug, Clone, PartialEq)]
pub struct SeriesLooked {
    /// (0020,000E)
    pub series_instance_uid: Uid,
    /// (0008,0060)
    pub modality: Box<str>,
    /// (0020,0011)
    pub number: Box<str>,
    /// (0008,103E)
    pub description: Box<str>,
    /// (0018,0015)
    pub body_part: Box<str>,
    /// How many instances the series has; more than its evidence when they are too many to be looked at.
    pub instances: u64,
    /// Who sent them, the last sender first.
    pub arrivals: Vec<Arrival>,
    /// What they say.
    pub evidence: SeriesEvidence,
}

/// What one sender sent of a series.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrival {
    /// Through which door.
    pub door: Door,
    /// The calling AE title, the account, or the user at the shell; empty for senders beyond those that are told apart.
    pub sender: Box<str>,
    /// How many instances.
    pub instances: u64,
    /// When the first came, milliseconds since 1970 UTC.
    pub first_ms: i64,
    /// When the last came.
    pub last_ms: i64,
}

/// The evidence of a study as far as the caller may see it; `None` when it is not there for them. Blocks.
///
/// # Errors
/// When the index fails.
pub fn of_study(
    archive: &Archive,
    study: &Uid,
    scope: &Scope,
) -> Result<Option<StudyEvidence>, Error> {
    let Some(version) = archive.version(&Target::Study(study.clone()), scope)? else {
        return Ok(None);
    };
    let page = series_of(archive, study, scope)?;
    // Removed meanwhile, or nothing of it is for this caller.
    let Some(first) = page.rows.first() else {
        return Ok(None);
    };
    let series_not_looked_at = match page.remaining {
        Remaining::Exactly(more) | Remaining::AtLeast(more) => more,
    };
    let mut evidence = StudyEvidence {
        study_instance_uid: study.clone(),
        version,
        instances: first.instances_of_study,
        declared: None,
        last_received_ms: None,
        series: Vec::with_capacity(page.rows.len()),
        series_not_looked_at,
        findings: Vec::new(),
    };
    let mut left = SLICES_OF_STUDY_MAX;
    for row in &page.rows {
        let Target::Series(_, series) = row.target(Level::Series)? else {
            continue;
        };
        let target = Target::Series(study.clone(), series.clone());
        let looked = look(archive, &target, scope, left.min(SLICES_OF_SERIES_MAX))?;
        left = left.saturating_sub(looked.slices);
        let declared = looked
            .instances
            .iter()
            .filter_map(|instance| instance.study_declared);
        evidence.declared = evidence.declared.max(declared.max());
        let last_ms = looked.arrivals.iter().map(|arrival| arrival.last_ms).max();
        evidence.last_received_ms = evidence.last_received_ms.max(last_ms);
        evidence.series.push(told(row, series, looked));
    }
    evidence.findings = finding::of_study(&evidence);
    Ok(Some(evidence))
}

fn series_of(archive: &Archive, study: &Uid, scope: &Scope) -> Result<Page, Error> {
    let key = AttributeId::of_keyword("StudyInstanceUID").ok_or(Error::NotFound)?;
    let query = Query {
        level: Level::Series,
        keys: vec![Key::Attribute(key, Matching::Single(study.as_str().into()))],
        limit: SERIES_MAX,
        offset: 0,
        order: Order::NEWEST,
    };
    archive.find(&query, scope)
}

/// What was read of a series.
struct Looked {
    instances: Vec<Instance>,
    /// Instances or frames, whichever are more.
    slices: usize,
    arrivals: Vec<Arrival>,
}

fn look(
    archive: &Archive,
    target: &Target,
    scope: &Scope,
    slices_max: usize,
) -> Result<Looked, Error> {
    let mut instances = Vec::new();
    let mut slices = 0;
    let mut arrivals = Arrivals::default();
    if slices_max > 0 {
        archive.each_received(target, scope, &mut |received| {
            let instance = Instance::read(
                received.metadata,
                received.transfer_syntax_uid,
                slices_max - slices,
            );
            slices += instance.slices.len().max(1);
            arrivals.add(received.door, received.sender, received.at_ms);
            instances.push(instance);
            Ok(match slices < slices_max {
                true => ControlFlow::Continue(()),
                false => ControlFlow::Break(()),
            })
        })?;
    }
    Ok(Looked {
        instances,
        slices,
        arrivals: arrivals.in_order(),
    })
}

fn told(row: &Row, series_instance_uid: Uid, looked: Looked) -> SeriesLooked {
    let value = |keyword: &str| {
        row.attributes
            .by_keyword(keyword)
            .unwrap_or_default()
            .into()
    };
    let mut evidence = of_series(&looked.instances);
    // One that came since the row was read is no lack.
    let instances = row.instances_of_series.max(evidence.instances);
    let unseen = instances - evidence.instances;
    if unseen > 0 {
        // What is declared must be held against all of them.
        evidence
            .findings
            .retain(|found| found.kind != Kind::FewerThanDeclared);
        evidence.findings.push(Finding {
            kind: Kind::NotAllLookedAt,
            count: unseen,
        });
    }
    SeriesLooked {
        series_instance_uid,
        modality: value("Modality"),
        number: value("SeriesNumber"),
        description: value("SeriesDescription"),
        body_part: value("BodyPartExamined"),
        instances,
        arrivals: looked.arrivals,
        evidence,
    }
}

/// Who sent what, gathered instance by instance.
#[derive(Default)]
struct Arrivals(BTreeMap<(u8, Box<str>), Arrival>);

impl Arrivals {
    fn add(&mut self, door: Door, sender: &str, at_ms: i64) {
        let number = door as u8;
        let is_known = self.0.contains_key(&(number, Box::from(sender)));
        // Those beyond are one more.
        let sender = if is_known || self.0.len() < SENDERS_MAX {
            sender
        } else {
            ""
        };
        let arrival = self
            .0
            .entry((number, sender.into()))
            .or_insert_with(|| Arrival {
                door,
                sender: sender.into(),
                instances: 0,
                first_ms: at_ms,
                last_ms: at_ms,
            });
        arrival.instances += 1;
        arrival.first_ms = arrival.first_ms.min(at_ms);
        arrival.last_ms = arrival.last_ms.max(at_ms);
    }

    fn in_order(self) -> Vec<Arrival> {
        let mut arrivals: Vec<Arrival> = self.0.into_values().collect();
        arrivals.sort_by_key(|arrival| std::cmp::Reverse(arrival.last_ms));
        arrivals
    }
}
