//! What came by an inbox: of each study the instances that its holder brought, and no others, whoever else adds to the same
//! study. Who brought an instance stands beside it in the index ([`Origin`](crate::archive::Origin)).

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use super::belonging::is_paper;
use crate::access::account::AccountName;
use crate::access::{Grant, Inbox, Scope, View};
use crate::archive::{Archive, Error, Target};
use crate::cases::evidence::finding::Kind;
use crate::cases::evidence::{Finding, Instance, of_series};
use crate::dicom::Uid;
use crate::dicom::json::prepared::{members, text};
use crate::dicom::opinion::Study;

/// Instances, and frames, of a series that are looked at: more than any scanner makes in one.
const SLICES_OF_SERIES_MAX: usize = 20_000;
/// Instances of all studies of an inbox that are looked at, those that others brought too.
const INSTANCES_MAX: u64 = 200_000;

/// What says that something is missing; what else evidence finds is for whoever reads.
const MISSING: [Kind; 5] = [
    Kind::LocalizersOnly,
    Kind::FewerThanDeclared,
    Kind::FewerSlicesThanDeclared,
    Kind::MissingNumbers,
    Kind::MissingSlices,
];

/// What came by an inbox.
#[derive(Debug, Clone, Default)]
pub struct Came {
    /// Study by study, the one that came last first.
    pub studies: Vec<Arrived>,
    /// Studies of which nothing can be said, because there is too much to look at.
    pub not_looked_at: Vec<Uid>,
}

impl Came {
    /// Whether nothing came.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.studies.is_empty() && self.not_looked_at.is_empty()
    }
}

/// What came of a study.
#[derive(Debug, Clone)]
pub struct Arrived {
    /// The study as its first image that came has it: for papers that go with it.
    pub study: Study,
    /// How many instances.
    pub instances: u64,
    /// Those of them that are documents or photographs.
    pub papers: u64,
    /// When the last came, milliseconds since 1970 UTC.
    pub last_ms: i64,
    /// Series by series.
    pub series: Vec<ArrivedSeries>,
}

/// What came of a series.
#[derive(Debug, Clone)]
pub struct ArrivedSeries {
    /// (0020,000E)
    pub series_instance_uid: Uid,
    /// (0008,0060)
    pub modality: String,
    /// (0020,0011)
    pub number: String,
    /// (0008,103E)
    pub description: String,
    /// How many instances.
    pub instances: u64,
    /// Their frames.
    pub images: u64,
    /// What seems to be missing.
    pub missing: Vec<Finding>,
}

impl Arrived {
    /// Whether nothing seems to be missing.
    #[must_use]
    pub fn looks_complete(&self) -> bool {
        self.series.iter().all(|series| series.missing.is_empty())
    }

    /// The modalities of its images.
    #[must_use]
    pub fn modalities(&self) -> BTreeSet<&str> {
        let modalities = self.series.iter().map(|series| series.modality.as_str());
        modalities.filter(|text| !text.is_empty()).collect()
    }
}

/// What came by an inbox. Blocks.
///
/// # Errors
/// When the index fails.
pub fn arrived(archive: &Archive, inbox: &Inbox) -> Result<Came, Error> {
    look(archive, &inbox.grant, (INSTANCES_MAX, SLICES_OF_SERIES_MAX))
}

/// The same of no more than so many instances, and so many slices of a series.
pub(super) fn look(
    archive: &Archive,
    grant: &Grant,
    (mut left, slices_max): (u64, usize),
) -> Result<Came, Error> {
    archive.commit_kept()?;
    let sender = AccountName::of_link(grant.id);
    let mut came = Came::default();
    for study in grant.studies.keys() {
        if left == 0 {
            came.not_looked_at.push(study.clone());
            continue;
        }
        let mut gathering = Gathering::new(study, sender.as_str(), (left, slices_max));
        let scope = Scope::Studies([(study.clone(), View::Whole)].into());
        let target = Target::Study(study.clone());
        archive.each_received(&target, &scope, &mut |received| {
            Ok(match gathering.take(&received) {
                true => ControlFlow::Continue(()),
                false => ControlFlow::Break(()),
            })
        })?;
        left = gathering.left;
        match gathering.is_cut {
            true => came.not_looked_at.push(study.clone()),
            false => came.studies.extend(gathering.end()),
        }
    }
    let studies = &mut came.studies;
    studies.sort_by_key(|arrived| std::cmp::Reverse(arrived.last_ms));
    Ok(came)
}

/// One study, instance by instance, in the order of its series.
struct Gathering<'a> {
    study: &'a Uid,
    sender: &'a str,
    /// Instances that may still be looked at.
    left: u64,
    /// Slices of a series that are looked at.
    slices_max: usize,
    /// Whether there are more than that.
    is_cut: bool,
    found: Option<Arrived>,
    /// Whether `found.study` is what an image says.
    is_of_image: bool,
    /// Of the series that is being told.
    instances: Vec<Instance>,
    slices: usize,
}

impl<'a> Gathering<'a> {
    fn new(study: &'a Uid, sender: &'a str, (left, slices_max): (u64, usize)) -> Self {
        Self {
            study,
            sender,
            left,
            slices_max,
            is_cut: false,
            found: None,
            is_of_image: false,
            instances: Vec::new(),
            slices: 0,
        }
    }

    /// Whether more is wanted.
    fn take(&mut self, received: &crate::archive::index::Received<'_>) -> bool {
        let Some(left) = self.left.checked_sub(1) else {
            self.is_cut = true;
            return false;
        };
        self.left = left;
        if received.sender != self.sender {
            return true;
        }
        let mut told: [Option<String>; 5] = Default::default();
        for (tag, member) in members(received.metadata) {
            let place = match tag {
                b"00080016" => 0,
                b"00080060" => 1,
                b"0008103E" => 2,
                b"0020000E" => 3,
                b"00200011" => 4,
                _ => continue,
            };
            told[place] = text(member);
        }
        let [class, modality, description, series, number] = told.map(Option::unwrap_or_default);
        let Ok(series_instance_uid) = Uid::parse(&series) else {
            return true;
        };
        let is_paper = is_paper(&class);
        if (self.found.is_none() || (!self.is_of_image && !is_paper))
            && let Some(study) = Study::of_metadata(received.metadata)
            && study.study_instance_uid == *self.study
        {
            self.is_of_image = !is_paper;
            match &mut self.found {
                Some(found) => found.study = study,
                None => {
                    self.found = Some(Arrived {
                        study,
                        instances: 0,
                        papers: 0,
                        last_ms: received.at_ms,
                        series: Vec::new(),
                    });
                }
            }
        }
        let last = self.found.as_ref().and_then(|found| found.series.last());
        if last.is_none_or(|last| last.series_instance_uid != series_instance_uid) {
            self.close_series();
            if let Some(found) = &mut self.found {
                found.series.push(ArrivedSeries {
                    series_instance_uid,
                    modality,
                    number,
                    description,
                    instances: 0,
                    images: 0,
                    missing: Vec::new(),
                });
            }
        }
        let Some(found) = &mut self.found else {
            return true;
        };
        found.instances += 1;
        found.papers += u64::from(is_paper);
        found.last_ms = found.last_ms.max(received.at_ms);
        if let Some(series) = found.series.last_mut() {
            series.instances += 1;
        }
        let left = self.slices_max - self.slices;
        let instance = Instance::read(received.metadata, received.transfer_syntax_uid, left);
        let slices = instance.slices.len().max(1);
        self.is_cut = slices > left || instance.unseen > 0;
        if self.is_cut {
            return false;
        }
        self.slices += slices;
        self.instances.push(instance);
        true
    }

    fn close_series(&mut self) {
        let instances = std::mem::take(&mut self.instances);
        self.slices = 0;
        let last = self
            .found
            .as_mut()
            .and_then(|found| found.series.last_mut());
        let Some(series) = last else { return };
        let evidence = of_series(&instances);
        series.images = evidence.frames;
        let missing = evidence.findings.into_iter();
        series.missing = missing
            .filter(|finding| MISSING.contains(&finding.kind))
            .collect();
    }

    fn end(mut self) -> Option<Arrived> {
        self.close_series();
        self.found
    }
}
