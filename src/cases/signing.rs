//! Signing an opinion, and correcting a signed one. Each version freezes what its reader could see, in the transaction that
//! keeps it.

use serde::Deserialize;

use super::Cases;
use super::caller::Caller;
use super::case::Case;
use super::deciding::{Change, Kept};
use super::draft::Basis;
use super::error::{Error, Fault};
use super::manifest::Manifest;
use super::opinion::{
    Comparison, Impression, ManifestHead, NOTE_BYTES_MAX, Opinion, Said, VERSIONS_MAX,
};
use super::reading::{held, of_place};
use super::state::{Act, Refusal};
use super::task::{Task, TaskState};
use super::text::{Lines, tidy};
use crate::access::{LedgerError, Scope};

/// A correction: all that the opinion says from now on, and why.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Correction {
    /// The opinion that is corrected, which has to be the newest version.
    pub corrects: u64,
    /// Why.
    pub reason: String,
    /// What was seen.
    pub impression: Impression,
    /// How it compares.
    #[serde(default)]
    pub comparison: Comparison,
}

impl Cases {
    /// Signs the opinion of the caller's task: the impression as it was committed, and how it compares. Every instance that
    /// its reader could see is frozen with it. Then the workitem is completed.
    ///
    /// # Errors
    /// As [`Cases::decide`]; [`Refusal::NotCommitted`]; [`Error::DraftChanged`]; what is wrong with the comparison.
    pub fn sign(
        &self,
        number: u64,
        comparison: &Comparison,
        expected: Option<Basis>,
        caller: &Caller,
    ) -> Result<Case, Error> {
        let (revision, read) = Basis::parts(expected);
        self.decide(number, Act::Sign, revision, caller, |case| {
            let task = held(case, &caller.name)?.clone();
            if task.state != TaskState::Committed {
                return Err(Refusal::NotCommitted.into());
            }
            self.check_draft(task.id, read.as_ref())?;
            let committed = self.ledger.commitment(task.id)?;
            let committed = committed
                .ok_or_else(|| LedgerError::broken("reading a task", "its commitment is gone"))?;
            let mut comparison = comparison.clone();
            comparison.check(has_earlier(case, &task))?;
            let said = Said {
                impression: committed.impression,
                comparison,
            };
            let opinion = self.new_opinion(case, &task, said, None, caller)?;
            let of_case = of_place(case, task.place)?;
            of_case.state = TaskState::Signed;
            of_case.signed_ms = Some(caller.at_ms);
            Ok(Change {
                read: read.clone(),
                ..opinion
            })
        })
    }

    /// Adds a version to an opinion of the caller's. The one before stays as it is.
    ///
    /// # Errors
    /// As [`Cases::decide`]; [`Refusal::NotSigned`], [`Refusal::CorrectedAlready`]; what is wrong with the correction.
    pub fn correct(
        &self,
        number: u64,
        mut correction: Correction,
        expected: Option<u64>,
        caller: &Caller,
    ) -> Result<Case, Error> {
        correction.impression.check()?;
        tidy(
            &mut correction.reason,
            "reason",
            NOTE_BYTES_MAX,
            Lines::Many,
        )?;
        if correction.reason.is_empty() {
            return Err(Fault::new("reason", "is empty").into());
        }
        self.decide(number, Act::Correct, expected, caller, |case| {
            let opinions = self.ledger.opinions(number)?;
            let theirs = |opinion: &&Opinion| {
                opinion.id == correction.corrects && opinion.reader == caller.name
            };
            let before = opinions.iter().find(theirs).ok_or(Refusal::NotSigned)?;
            let newest = opinions.iter().rfind(|opinion| opinion.task == before.task);
            if newest.is_some_and(|newest| newest.id != before.id) {
                return Err(Refusal::CorrectedAlready.into());
            }
            if before.version as usize >= VERSIONS_MAX {
                return Err(Refusal::TooMany("versions of an opinion").into());
            }
            let task = case.tasks.iter().find(|task| task.id == before.task);
            let task = task.cloned().ok_or(Error::NotFound)?;
            let mut said = Said {
                impression: correction.impression.clone(),
                comparison: correction.comparison.clone(),
            };
            said.comparison.check(has_earlier(case, &task))?;
            self.check_images(case, &said.impression.key_images)?;
            let why = (before, correction.reason.as_str());
            self.new_opinion(case, &task, said, Some(why), caller)
        })
    }

    fn new_opinion(
        &self,
        case: &Case,
        task: &Task,
        said: Said,
        correcting: Option<(&Opinion, &str)>,
        caller: &Caller,
    ) -> Result<Change, Error> {
        let (rows, manifest) = self.frozen(case, correcting.map(|(before, _)| before), caller)?;
        let body = Opinion::body(&said)
            .map_err(|cause| LedgerError::broken("writing an opinion", cause))?;
        let opinion = Opinion {
            id: 0,
            task: task.id,
            version: correcting.map_or(1, |(before, _)| before.version + 1),
            corrects: correcting.map(|(before, _)| before.id),
            reason: correcting.map_or("", |(_, reason)| reason).to_owned(),
            reader: caller.name.clone(),
            signed_ms: caller.at_ms,
            said,
            manifest,
        };
        Ok(Change {
            said: signature(task, &opinion, &body),
            kept: Kept::Opinion(Box::new((opinion, body, rows))),
            read: None,
        })
    }
}

impl Cases {
    /// What the caller can see of the case, with the head of its manifest. A correction of a case that gives its reader nothing
    /// any more is made on what the version before was made on.
    fn frozen(
        &self,
        case: &Case,
        before: Option<&Opinion>,
        caller: &Caller,
    ) -> Result<(String, ManifestHead), Error> {
        let views = case.views_for(&caller.name);
        if let (true, Some(before)) = (views.is_empty(), before) {
            let kept = self.ledger.kept_opinion(before.id)?;
            let kept =
                kept.ok_or_else(|| LedgerError::broken("reading an opinion", "it is gone"))?;
            return Ok((kept.rows, before.manifest.clone()));
        }
        let scope = Scope::Studies(views);
        let manifest = Manifest::read(&self.archive, case.request.studies(), &scope)?;
        let rows = manifest.rows();
        let head = ManifestHead {
            digest: Manifest::digest(&rows),
            instances: manifest.seen().len() as u64,
            versions: manifest.versions,
        };
        Ok((rows, head))
    }
}

/// What the audit trail says of a signed opinion: with it the chain of the trail holds the opinion and its manifest.
pub(super) fn signature(task: &Task, opinion: &Opinion, body: &str) -> String {
    let hex = |digest| blake3::Hash::from_bytes(digest).to_hex();
    format!(
        "task {}: opinion signed, version {}, {}, manifest {}",
        task.place,
        opinion.version,
        hex(Opinion::digest(body)),
        hex(opinion.manifest.digest)
    )
}

/// Whether there is anything that an opinion could agree with.
fn has_earlier(case: &Case, task: &Task) -> bool {
    case.request.has_first_report() || !task.adjudicates.is_empty()
}
