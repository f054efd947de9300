//! What has become of the studies of a case since somebody said that they are complete enough to be read. At that word the
//! ledger keeps a [`Mark`] of each study: which instances it had, with which bytes, and the version that the index had of
//! it. While the version stays, nothing has changed and nothing is read.
//!
//! Two counts are made at once, one without reports: who reads blind hears of images only. What we have put into a study
//! ourselves (`Door::Case`) is in no mark and no news, whichever case it is of.

use std::collections::{BTreeMap, HashMap};
use std::ops::ControlFlow;
use std::sync::{Mutex, PoisonError};

use super::case::Case;
use super::error::{Error, Fault};
use super::manifest::INSTANCES_MAX;
use super::{COMPARED_MAX, Cases};
use crate::access::{LedgerError, Scope, View};
use crate::archive::index::Arrived;
use crate::archive::{Archive, Door, Target};
use crate::dicom::{Uid, sop_class};

/// How long an instance is in what is kept of a mark.
const ENTRY_BYTES: usize = 32;

/// What a study held at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// (0020,000D)
    pub study_instance_uid: Uid,
    /// The version that the index had of it, before its instances were read.
    pub version: u64,
    /// By name, each once.
    entries: Vec<Entry>,
}

/// An instance: 32 bytes, of which nobody can tell which it was. Of 100,000 instances no two are taken for each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    /// Of its UIDs.
    name: [u8; 16],
    /// Of its bytes and how they are encoded.
    content: [u8; 15],
    is_report: bool,
}

/// What has become of studies since a mark, in numbers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Growth {
    /// Instances that were not there.
    pub arrived: u64,
    /// Those that have other bytes.
    pub replaced: u64,
    /// Those that are not there any more.
    pub removed: u64,
    /// The last that arrived or took the place of another.
    pub last: Option<LastArrival>,
}

/// When an instance came, and from whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastArrival {
    /// Milliseconds since 1970 UTC.
    pub at_ms: i64,
    /// The calling AE title, the account, or the user at the shell.
    pub sender: Box<str>,
}

/// The same of everything, and without reports.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Both {
    whole: Growth,
    without_reports: Growth,
}

/// What was found when marks and studies had certain versions, by case.
#[derive(Debug, Default)]
pub(super) struct Found(Mutex<HashMap<u64, (Versions, Both)>>);

/// Then and now, of each study.
type Versions = Vec<(Uid, u64, u64)>;

impl Growth {
    /// Whether everything is as it was.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        self.arrived == 0 && self.replaced == 0 && self.removed == 0
    }

    /// In words for people: "2 images arrived, 1 was removed". Whatever is an instance is called an image here.
    #[must_use]
    pub fn sentence(&self) -> String {
        let mut parts = Vec::new();
        let mut noun = ["image", "images"];
        for (count, verb) in [
            (self.arrived, "arrived"),
            (self.replaced, "replaced"),
            (self.removed, "removed"),
        ] {
            if count == 0 {
                continue;
            }
            let (noun_now, was) = match count {
                1 => (noun[0], "was "),
                _ => (noun[1], "were "),
            };
            let was = if verb == "arrived" { "" } else { was };
            let space = if noun_now.is_empty() { "" } else { " " };
            parts.push(format!("{count}{space}{noun_now} {was}{verb}"));
            noun = [""; 2];
        }
        parts.join(", ")
    }
}

impl Entry {
    fn of(arrived: &Arrived<'_>) -> Self {
        let mut name = blake3::Hasher::new();
        name.update(arrived.series_instance_uid.as_bytes());
        name.update(b"\0");
        name.update(arrived.sop_instance_uid.as_bytes());
        let mut content = blake3::Hasher::new();
        content.update(&arrived.digest);
        content.update(arrived.transfer_syntax_uid.as_bytes());
        Self {
            name: start(name.finalize().as_bytes()),
            content: start(content.finalize().as_bytes()),
            is_report: sop_class::is_report(arrived.sop_class_uid),
        }
    }
}

fn start<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut first = [0; N];
    for (to, from) in first.iter_mut().zip(bytes) {
        *to = *from;
    }
    first
}

impl Mark {
    /// How many instances it holds.
    #[must_use]
    pub fn instances(&self) -> u64 {
        self.entries.len() as u64
    }

    /// As it is kept.
    #[must_use]
    pub fn listing(&self) -> Vec<u8> {
        let mut listing = Vec::with_capacity(self.entries.len() * ENTRY_BYTES);
        for entry in &self.entries {
            listing.extend_from_slice(&entry.name);
            listing.extend_from_slice(&entry.content);
            listing.push(u8::from(entry.is_report));
        }
        listing
    }

    /// Reads what [`Mark::listing`] wrote.
    ///
    /// # Errors
    /// When it is nothing of that form.
    pub fn parse(
        study_instance_uid: Uid,
        version: u64,
        listing: &[u8],
    ) -> Result<Self, LedgerError> {
        let (rows, rest) = listing.as_chunks::<ENTRY_BYTES>();
        let entries: Vec<_> = rows
            .iter()
            .map(|row| Entry {
                name: start(&row[..16]),
                content: start(&row[16..31]),
                is_report: row[31] != 0,
            })
            .collect();
        if !rest.is_empty() || !entries.is_sorted_by(|one, next| one.name < next.name) {
            return Err(LedgerError::broken("reading a mark", "it is malformed"));
        }
        Ok(Self {
            study_instance_uid,
            version,
            entries,
        })
    }

    /// Reads what is in the archive now of these studies. What comes or goes meanwhile makes the version differ from that of
    /// later, never the other way round.
    ///
    /// # Errors
    /// When the index fails, or there are more instances than a manifest could name.
    pub(super) fn read<'s>(
        archive: &Archive,
        studies: impl Iterator<Item = &'s Uid>,
    ) -> Result<Vec<Self>, Error> {
        let (mut marks, mut count) = (Vec::new(), 0);
        for study in studies {
            let version = version(archive, study)?;
            let mut entries = Vec::new();
            each_of(archive, study, &mut |arrived| {
                count += 1;
                if count <= INSTANCES_MAX {
                    entries.push(Entry::of(arrived));
                }
            })?;
            if count > INSTANCES_MAX {
                let why = format!("have more than {INSTANCES_MAX} instances");
                return Err(Fault::new("studies", why).into());
            }
            entries.sort_unstable();
            entries.dedup_by_key(|entry| entry.name);
            marks.push(Self {
                study_instance_uid: study.clone(),
                version,
                entries,
            });
        }
        Ok(marks)
    }
}

/// The index's own version, whoever asks; 0 of a study that is not there.
fn version(archive: &Archive, study: &Uid) -> Result<u64, Error> {
    let target = Target::Study(study.clone());
    Ok(archive.version(&target, &Scope::All)?.unwrap_or(0))
}

/// Every instance of a study that is not of our own making.
fn each_of(
    archive: &Archive,
    study: &Uid,
    each: &mut dyn FnMut(&Arrived<'_>),
) -> Result<(), Error> {
    let target = Target::Study(study.clone());
    Ok(archive.each_arrived(&target, &Scope::All, &mut |arrived| {
        if arrived.door != Door::Case {
            each(&arrived);
        }
        Ok(ControlFlow::Continue(()))
    })?)
}

/// A mark held against what is there now, as far as a view goes.
struct Comparison<'m> {
    view: View,
    then: &'m [Entry],
    is_here: Vec<bool>,
    growth: &'m mut Growth,
}

impl<'m> Comparison<'m> {
    fn new(view: View, mark: &'m Mark, growth: &'m mut Growth) -> Self {
        Self {
            view,
            then: &mark.entries,
            is_here: vec![false; mark.entries.len()],
            growth,
        }
    }

    fn shows(&self, entry: &Entry) -> bool {
        self.view == View::Whole || !entry.is_report
    }

    fn take(&mut self, entry: &Entry, arrived: &Arrived<'_>) {
        if !self.shows(entry) {
            return;
        }
        let place = self
            .then
            .binary_search_by_key(&entry.name, |known| known.name);
        let known = place.ok().filter(|at| self.shows(&self.then[*at]));
        match known {
            Some(at) => {
                self.is_here[at] = true;
                if self.then[at].content == entry.content {
                    return;
                }
                self.growth.replaced += 1;
            }
            None => self.growth.arrived += 1,
        }
        let last = self.growth.last.as_ref().map(|last| last.at_ms);
        if last < Some(arrived.at_ms) {
            self.growth.last = Some(LastArrival {
                at_ms: arrived.at_ms,
                sender: arrived.sender.into(),
            });
        }
    }

    fn end(self) {
        let gone = self.then.iter().zip(&self.is_here);
        let gone = gone.filter(|(entry, is_here)| !**is_here && self.shows(entry));
        self.growth.removed += gone.count() as u64;
    }
}

fn compared(archive: &Archive, mark: &Mark, both: &mut Both) -> Result<(), Error> {
    let mut whole = Comparison::new(View::Whole, mark, &mut both.whole);
    let mut blind = Comparison::new(View::WithoutReports, mark, &mut both.without_reports);
    each_of(archive, &mark.study_instance_uid, &mut |arrived| {
        let entry = Entry::of(arrived);
        whole.take(&entry, arrived);
        blind.take(&entry, arrived);
    })?;
    whole.end();
    blind.end();
    Ok(())
}

impl Cases {
    /// What has become of the studies of a case since it was last said to be complete; `None` when nothing has, or before
    /// that word.
    pub(super) fn growth(&self, case: &Case, view: View) -> Result<Option<Growth>, Error> {
        if !case.has_gone_out() {
            return Ok(None);
        }
        let mut versions = Vec::new();
        for (study, then) in self.ledger.marked(case.number)? {
            let now = version(&self.archive, &study)?;
            versions.push((study, then, now));
        }
        if versions.iter().all(|(_, then, now)| then == now) {
            return Ok(None);
        }
        let both = match self.grown.known(case.number, &versions) {
            Some(both) => both,
            None => {
                let now: BTreeMap<_, _> = versions.iter().map(|of| (&of.0, of)).collect();
                let mut both = Both::default();
                for mark in self.ledger.marks(case.number)? {
                    let of = now.get(&mark.study_instance_uid);
                    if of.is_none_or(|(_, _, now)| *now != mark.version) {
                        compared(&self.archive, &mark, &mut both)?;
                    }
                }
                self.grown.keep(case.number, versions, both.clone());
                both
            }
        };
        let growth = match view {
            View::Whole => both.whole,
            View::WithoutReports => both.without_reports,
        };
        Ok(Some(growth).filter(|growth| !growth.is_nothing()))
    }

    /// Whether the word can be given up for another: there is something new, or nobody knows.
    pub(super) fn may_be_said_again(&self, case: &Case) -> Result<Option<Growth>, Error> {
        let is_marked = !self.ledger.marked(case.number)?.is_empty();
        match self.growth(case, View::Whole)? {
            None if is_marked => Ok(None),
            found => Ok(Some(found.unwrap_or_default())),
        }
    }
}

impl Found {
    fn known(&self, case: u64, versions: &Versions) -> Option<Both> {
        let found = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (known, both) = found.get(&case)?;
        (known == versions).then(|| both.clone())
    }

    /// Versions are read before the instances: whatever came between makes them differ later.
    fn keep(&self, case: u64, versions: Versions, both: Both) {
        let mut found = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if found.len() >= COMPARED_MAX {
            found.clear();
        }
        found.insert(case, (versions, both));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_read_back_and_nothing_else_is() {
        let entry = |name: u8, is_report| Entry {
            name: [name; 16],
            content: [7; 15],
            is_report,
        };
        let study = Uid::parse("1.2").unwrap();
        let mark = Mark {
            study_instance_uid: study.clone(),
            version: 3,
            entries: vec![entry(1, false), entry(2, true)],
        };
        let listing = mark.listing();
        assert_eq!(listing.len(), 2 * ENTRY_BYTES);
        let parse = |listing: &[u8]| Mark::parse(study.clone(), 3, listing);
        assert_eq!(parse(&listing).unwrap(), mark);
        assert!(parse(&listing[..ENTRY_BYTES + 1]).is_err());
        let twice = [&listing[..ENTRY_BYTES], &listing[..ENTRY_BYTES]].concat();
        assert!(parse(&twice).is_err());
    }

    #[test]
    fn sentences_read_well() {
        let told = |arrived, replaced, removed| {
            let growth = Growth {
                arrived,
                replaced,
                removed,
                last: None,
            };
            growth.sentence()
        };
        assert_eq!(told(1, 0, 0), "1 image arrived");
        assert_eq!(
            told(2, 1, 3),
            "2 images arrived, 1 was replaced, 3 were removed"
        );
        assert_eq!(told(0, 0, 1), "1 image was removed");
        assert_eq!(told(0, 2, 0), "2 images were replaced");
        assert_eq!(told(0, 0, 0), "");
    }
}
