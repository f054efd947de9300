//! The verdicts of signed opinions, for [`statistics`]. The ledger has what was said; which modality it
//! was and who sent it the archive knows, as long as the study is there.
//!
//! What the archive says of a study is kept in mind with the version that the index had of it, and the whole result with the
//! last opinion: asked again, nothing is read until there is another opinion. Where studies came from hardly changes, and is
//! looked at anew once a minute when the index has changed.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, PoisonError};

use super::Cases;
use super::error::Error;
use super::opinion::Comparison;
use super::statistics::{self, Statistics, Verdict, VerdictSource};
use crate::access::{LedgerError, Scope};
use crate::archive::{self, Door, Target};
use crate::dicom::{Uid, sop_class};

/// Of so many studies it is kept in mind where they came from; then all are forgotten, which costs time and nothing else.
const ORIGINS_MAX: usize = 200_000;

/// So long a result is good for which the index alone has changed.
const ORIGINS_GOOD_MS: i64 = 60_000;

/// A signed opinion that no later version has replaced, and what was asked; no judgement between others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// The study that was read.
    pub study: Uid,
    /// As in [`Request`](super::Request).
    pub body_part: Box<str>,
    /// As in [`Request`](super::Request).
    pub subspecialty: Box<str>,
    /// Who signed.
    pub reader: Box<str>,
    /// Its grades. (Texts are left out.)
    pub comparison: Comparison,
    /// When the case was opened, or went out.
    pub asked_ms: i64,
    /// When the first version was signed.
    pub answered_ms: i64,
}

/// What is kept in mind.
#[derive(Debug, Default)]
pub(super) struct Learned {
    result: Mutex<Option<LastResult>>,
    origins: Mutex<HashMap<Uid, Origin>>,
}

/// The last result, and what it was made of.
#[derive(Debug)]
struct LastResult {
    newest_opinion: u64,
    index_change: u64,
    made_ms: i64,
    statistics: Arc<Statistics>,
}

/// Where a study came from.
#[derive(Debug, Clone, Default)]
struct Origin {
    version: u64,
    modality: Box<str>,
    sender: Box<str>,
}

impl VerdictSource for Cases {
    /// Judgements between opinions are none: what they agree with is no first report.
    fn each_verdict(&self, each: &mut dyn FnMut(Verdict)) -> Result<(), LedgerError> {
        self.ledger.each_signed(&mut |signed| {
            let origin = self.origin_of(&signed.study).map_err(|error| match error {
                Error::Ledger(error) => error,
                other => LedgerError::broken("reading what opinions are about", other),
            })?;
            each(Verdict {
                modality: origin.modality.into(),
                body_part: signed.body_part.to_uppercase(),
                subspecialty: signed.subspecialty.into(),
                reader: signed.reader.into(),
                sender: origin.sender.into(),
                agreement: signed.comparison.agreement,
                significance: signed.comparison.significance,
                management: signed.comparison.management,
                asked_ms: signed.asked_ms,
                answered_ms: signed.answered_ms,
            });
            Ok(())
        })
    }
}

impl Cases {
    /// What can be learned from all opinions there are; where their studies came from may be a minute old.
    ///
    /// # Errors
    /// When ledger or archive fail.
    pub fn statistics(&self, now_ms: i64) -> Result<Arc<Statistics>, Error> {
        self.archive.commit_kept()?;
        // Who asks meanwhile waits for the same result.
        let result = self.learned.result.lock();
        let mut result = result.unwrap_or_else(PoisonError::into_inner);
        // Both before anything else: what comes meanwhile has other numbers.
        let newest_opinion = self.ledger.newest_opinion()?;
        let index_change = self.archive.change()?;
        let is_good = |last: &&LastResult| {
            let is_young = (0..ORIGINS_GOOD_MS).contains(&now_ms.saturating_sub(last.made_ms));
            last.newest_opinion == newest_opinion && (last.index_change == index_change || is_young)
        };
        if let Some(last) = result.as_ref().filter(is_good) {
            return Ok(Arc::clone(&last.statistics));
        }
        let statistics = Arc::new(statistics::of_source(self, self.group_size_min)?);
        *result = Some(LastResult {
            newest_opinion,
            index_change,
            made_ms: now_ms,
            statistics: Arc::clone(&statistics),
        });
        Ok(statistics)
    }

    /// The modality of a study, and who sent the first instance of its first series; nothing when it has gone.
    fn origin_of(&self, study: &Uid) -> Result<Origin, Error> {
        let target = Target::Study(study.clone());
        let version = self.archive.version_at_hand(&target, &Scope::All)?;
        let Some(version) = version else {
            return Ok(Origin::default());
        };
        let known = |cases: &Self| {
            let origins = cases.learned.origins.lock();
            let origins = origins.unwrap_or_else(PoisonError::into_inner);
            let known = origins.get(study).cloned();
            known.filter(|known| known.version == version)
        };
        if let Some(known) = known(self) {
            return Ok(known);
        }
        let Some(row) = self.study_row(study)? else {
            return Ok(Origin::default());
        };
        let modalities = row.modalities_in_study.iter();
        let images =
            modalities.filter(|modality| !sop_class::DOCUMENT_MODALITIES.contains(&&***modality));
        let modality = images
            .map(|text| text.to_string())
            .collect::<Vec<_>>()
            .join("/");
        let origin = Origin {
            version,
            modality: modality.into(),
            sender: self.first_sender_of(&target)?,
        };
        let origins = self.learned.origins.lock();
        let mut origins = origins.unwrap_or_else(PoisonError::into_inner);
        if origins.len() >= ORIGINS_MAX {
            origins.clear();
        }
        origins.insert(study.clone(), origin.clone());
        Ok(origin)
    }

    fn first_sender_of(&self, target: &Target) -> Result<Box<str>, archive::Error> {
        let mut sender = Box::default();
        self.archive
            .each_arrived(target, &Scope::All, &mut |arrived| {
                if arrived.door == Door::Case {
                    return Ok(ControlFlow::Continue(()));
                }
                sender = arrived.sender.into();
                Ok(ControlFlow::Break(()))
            })?;
        Ok(sender)
    }
}
