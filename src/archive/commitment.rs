//! Storage commitment (PS3.4 Annex J, PS3.18 §13): a promise, so it is looked at first. An instance
//! is committed when a row of the index names it, its SOP class is the one that was asked about,
//! and the beginning and the end of its blob can be read. The digest is not computed again:
//! `overread check --deep` does that.
//!
//! The answer is kept, durable, under the transaction UID. It says what was so when it was given:
//! who removes an instance later breaks no promise of ours.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::access::Scope;
use crate::archive::check::glance;
use crate::archive::index::{Answered, Transaction};
use crate::archive::removal::now_ms;
use crate::archive::{Archive, Error, Located, Target};
use crate::dicom::query::{Key, Matching, Order};
use crate::dicom::{AttributeId, Level, Query, Uid};

/// The most instances of one request, named or counted in its studies.
pub const INSTANCES_MAX: usize = 50_000;

/// Instances located at a time.
const PAGE_ROWS: usize = 500;

/// A request is forgotten, and its UID free again, after so many times the time its answer is kept.
const FORGOTTEN_AFTER: i64 = 2;

/// What somebody asks us to answer for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// Instances, each by class and instance.
    Instances(Vec<(Uid, Uid)>),
    /// All that is held of these studies and series.
    Targets(Vec<Target>),
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Commitment {
    /// Whether studies were asked about, not instances.
    pub is_by_study: bool,
    /// One for each instance, in the order of the request; for a study or series of which nothing
    /// is held, one without an instance.
    pub verdicts: Vec<Verdict>,
}

/// What became of one reference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// (0020,000D), when studies were asked about.
    pub study_instance_uid: Option<Box<str>>,
    /// (0020,000E), likewise; `None` for a study of which nothing is held.
    pub series_instance_uid: Option<Box<str>>,
    /// (0008,1150) and (0008,1155).
    pub instance: Option<(Box<str>, Box<str>)>,
    /// Why it is not committed; `None` when it is.
    pub failure: Option<Failure>,
}

/// Why storage is not committed (PS3.3 §C.14.1.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Failure {
    /// It is held, but its bytes cannot be read.
    Unreadable,
    /// It is not held.
    NoSuchInstance,
    /// It is held under another SOP class.
    ClassConflict,
}

/// What is known under a transaction UID.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Recalled {
    /// Nothing.
    Never,
    /// The answer has expired.
    Expired,
    /// It was asked, and is not answered yet.
    Pending,
    /// This.
    Answer(Commitment),
}

/// What stands under a transaction UID until it expires.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum Kept {
    /// The answer.
    Answer(Commitment),
    /// What was asked, class and instance each.
    Question {
        /// Of a request over DIMSE, which is accepted first and answered later.
        asked: Vec<(Box<str>, Box<str>)>,
    },
}

impl Kept {
    pub(super) fn read(text: &str) -> Result<Self, Error> {
        serde_json::from_str(text).map_err(|e| Error::broken("reading an answer", e))
    }

    pub(super) fn write(&self) -> Result<String, Error> {
        serde_json::to_string(self).map_err(|e| Error::broken("writing an answer", e))
    }
}

impl Archive {
    /// Answers a request for storage commitment, and keeps the answer for `keep`. `None` when the
    /// transaction UID is known already.
    ///
    /// # Errors
    /// [`Error::TooLarge`] beyond [`INSTANCES_MAX`]; when the index fails.
    pub fn commit_storage(
        &self,
        transaction_uid: &Uid,
        asked: &Asked,
        scope: &Scope,
        keep: Duration,
    ) -> Result<Option<Commitment>, Error> {
        if self.inner.index.answered(transaction_uid)?.is_some() {
            return Ok(None);
        }
        let commitment = self.look(asked, scope)?;
        let kept = Kept::Answer(commitment);
        let mut transaction = self.inner.index.begin()?;
        if !keep_under(&mut *transaction, transaction_uid, &kept, keep)? {
            return Ok(None);
        }
        transaction.commit()?;
        match kept {
            Kept::Answer(commitment) => Ok(Some(commitment)),
            Kept::Question { .. } => Ok(None),
        }
    }

    /// What a request was told, as long as answers are kept.
    ///
    /// # Errors
    /// When the index fails.
    pub fn commitment(&self, transaction_uid: &Uid, keep: Duration) -> Result<Recalled, Error> {
        let Some(answered) = self.inner.index.answered(transaction_uid)? else {
            return Ok(Recalled::Never);
        };
        let is_fresh = answered.at_ms.saturating_add(milliseconds(keep)) >= now_ms();
        match answered.answer {
            Some(text) if is_fresh => Ok(match Kept::read(&text)? {
                Kept::Answer(commitment) => Recalled::Answer(commitment),
                Kept::Question { .. } => Recalled::Pending,
            }),
            Some(_) | None => Ok(Recalled::Expired),
        }
    }

    /// Looks at what is asked about.
    pub(super) fn look(&self, asked: &Asked, scope: &Scope) -> Result<Commitment, Error> {
        Ok(match asked {
            Asked::Instances(references) => Commitment {
                is_by_study: false,
                verdicts: self.look_at_each(references, scope)?,
            },
            Asked::Targets(targets) => Commitment {
                is_by_study: true,
                verdicts: self.look_under(targets, scope)?,
            },
        })
    }

    fn look_at_each(
        &self,
        references: &[(Uid, Uid)],
        scope: &Scope,
    ) -> Result<Vec<Verdict>, Error> {
        check_count(references.len())?;
        let verdict = |(class, instance): &(Uid, Uid)| {
            let failure = match self.held(instance, scope)? {
                None => Some(Failure::NoSuchInstance),
                Some(held) if held.sop_class_uid != *class => Some(Failure::ClassConflict),
                Some(held) => self.unreadable(&held),
            };
            Ok(Verdict {
                study_instance_uid: None,
                series_instance_uid: None,
                instance: Some((class.as_str().into(), instance.as_str().into())),
                failure,
            })
        };
        references.iter().map(verdict).collect()
    }

    /// An instance by its UID alone.
    fn held(&self, sop_instance_uid: &Uid, scope: &Scope) -> Result<Option<Located>, Error> {
        let id =
            AttributeId::of_keyword("SOPInstanceUID").expect("the table has every identifying UID");
        let query = Query {
            level: Level::Instance,
            keys: vec![Key::Attribute(
                id,
                Matching::Single(sop_instance_uid.as_str().into()),
            )],
            limit: 1,
            offset: 0,
            order: Order::NEWEST,
        };
        let page = self.find(&query, scope)?;
        let Some(row) = page.rows.first() else {
            return Ok(None);
        };
        let uid = |keyword| {
            Uid::parse(row.attributes.by_keyword(keyword).unwrap_or_default())
                .map_err(|e| Error::broken("reading the index", e))
        };
        let target = Target::Instance(
            uid("StudyInstanceUID")?,
            uid("SeriesInstanceUID")?,
            sop_instance_uid.clone(),
        );
        Ok(self.locate(&target, scope, None, 1)?.pop())
    }

    fn look_under(&self, targets: &[Target], scope: &Scope) -> Result<Vec<Verdict>, Error> {
        let mut verdicts = Vec::new();
        for target in targets {
            let before = verdicts.len();
            let mut after = None;
            loop {
                let page = self.locate(target, scope, after, PAGE_ROWS)?;
                let Some(last) = page.last() else { break };
                after = Some(last.cursor);
                verdicts.extend(page.iter().map(|held| Verdict {
                    study_instance_uid: Some(held.study_instance_uid.as_str().into()),
                    series_instance_uid: Some(held.series_instance_uid.as_str().into()),
                    instance: Some((
                        held.sop_class_uid.as_str().into(),
                        held.sop_instance_uid.as_str().into(),
                    )),
                    failure: self.unreadable(held),
                }));
                check_count(verdicts.len())?;
            }
            if verdicts.len() == before {
                verdicts.push(nothing_of(target));
                check_count(verdicts.len())?;
            }
        }
        Ok(verdicts)
    }

    fn unreadable(&self, held: &Located) -> Option<Failure> {
        let problem = glance(&*self.inner.blobs, &held.locator)?;
        let sop_instance_uid = &held.sop_instance_uid;
        tracing::error!(%sop_instance_uid, ?problem, "a stored instance is unreadable: its storage is not committed");
        Some(Failure::Unreadable)
    }
}

fn nothing_of(target: &Target) -> Verdict {
    let (study, series) = match target {
        Target::Study(study) => (study, None),
        Target::Series(study, series) | Target::Instance(study, series, _) => (study, Some(series)),
    };
    Verdict {
        study_instance_uid: Some(study.as_str().into()),
        series_instance_uid: series.map(|uid| uid.as_str().into()),
        instance: None,
        failure: Some(Failure::NoSuchInstance),
    }
}

/// Keeps something under a transaction UID, if nothing was, and drops what has been kept for too long.
pub(super) fn keep_under(
    transaction: &mut dyn Transaction,
    transaction_uid: &Uid,
    kept: &Kept,
    keep: Duration,
) -> Result<bool, Error> {
    let answered = Answered {
        at_ms: now_ms(),
        answer: Some(kept.write()?.into()),
    };
    let keep_ms = milliseconds(keep);
    let forgotten_ms = keep_ms.saturating_mul(FORGOTTEN_AFTER);
    transaction.expire_answers(
        answered.at_ms.saturating_sub(keep_ms),
        answered.at_ms.saturating_sub(forgotten_ms),
    )?;
    transaction.answer(transaction_uid, &answered)
}

pub(super) fn check_count(count: usize) -> Result<(), Error> {
    if count <= INSTANCES_MAX {
        return Ok(());
    }
    Err(Error::TooLarge {
        limit: "instances of a request for storage commitment",
        max: INSTANCES_MAX as u64,
    })
}

fn milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
