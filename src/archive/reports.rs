//! Storage commitment as it is asked for over DIMSE (PS3.4 §J.3): a request is kept before it is
//! accepted, answered by the one engine of [`commitment`](crate::archive::commitment), and its
//! requester is owed the answer until it has been told. What others tell us of the transactions that
//! were begun in our name is kept for whoever waits for it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::access::Scope;
use crate::archive::commitment::{Asked, Commitment, Kept, Recalled, check_count, keep_under};
use crate::archive::index::{OwedReport, ToldReport};
use crate::archive::removal::now_ms;
use crate::archive::{Archive, Error};
use crate::dicom::Uid;

/// The most event reports that are owed at once.
pub const OWED_MAX: usize = 1000;
/// Who takes a request tells its answer sooner, or gives it up for others.
const FIRST_DUE_MS: i64 = 5_000;
/// The most reports of others that are kept.
const TOLD_MAX: usize = 64;

/// Who asks for storage commitment, over DIMSE.
#[derive(Debug, Clone, Copy)]
pub struct Requester<'a> {
    /// The AE title.
    pub ae_title: &'a str,
    /// The AE title under which we were asked.
    pub called: &'a str,
}

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// It is kept, and will be answered.
    Kept,
    /// Its transaction UID is known already.
    Known,
    /// Too much is owed already.
    TooMany,
}

/// What another archive says of the instances of a transaction.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Told {
    /// Class and instance of what is committed.
    pub committed: Vec<(Box<str>, Box<str>)>,
    /// Class, instance and (0008,1197) of what is not.
    pub failed: Vec<(Box<str>, Box<str>, u16)>,
}

impl Archive {
    /// Keeps a request for storage commitment; durable when this returns.
    ///
    /// # Errors
    /// [`Error::TooLarge`] beyond [`INSTANCES_MAX`](crate::archive::commitment::INSTANCES_MAX); when
    /// the index fails.
    pub fn take_commitment_request(
        &self,
        transaction_uid: &Uid,
        references: &[(Uid, Uid)],
        requester: Requester<'_>,
        keep: Duration,
    ) -> Result<Taken, Error> {
        check_count(references.len())?;
        self.inner.check_room()?;
        let asked =
            |(class, instance): &(Uid, Uid)| (class.as_str().into(), instance.as_str().into());
        let kept = Kept::Question {
            asked: references.iter().map(asked).collect(),
        };
        let mut transaction = self.inner.index.begin()?;
        if self.inner.index.owed_reports()?.len() >= OWED_MAX {
            return Ok(Taken::TooMany);
        }
        if !keep_under(&mut *transaction, transaction_uid, &kept, keep)? {
            return Ok(Taken::Known);
        }
        transaction.owe_report(&OwedReport {
            transaction_uid: transaction_uid.clone(),
            requester: requester.ae_title.into(),
            called: requester.called.into(),
            attempts: 0,
            due_at_ms: now_ms().saturating_add(FIRST_DUE_MS),
        })?;
        transaction.commit()?;
        Ok(Taken::Kept)
    }

    /// Answers a request that is kept, unless it is answered already; `None` when its answer has
    /// expired or there never was one.
    ///
    /// # Errors
    /// When the index fails.
    pub fn answer_commitment_request(
        &self,
        transaction_uid: &Uid,
        scope: &Scope,
        keep: Duration,
    ) -> Result<Option<Commitment>, Error> {
        match self.commitment(transaction_uid, keep)? {
            Recalled::Answer(commitment) => return Ok(Some(commitment)),
            Recalled::Never | Recalled::Expired => return Ok(None),
            Recalled::Pending => {}
        }
        let text = self.inner.index.answered(transaction_uid)?;
        let Some(text) = text.and_then(|answered| answered.answer) else {
            return Ok(None);
        };
        let Kept::Question { asked } = Kept::read(&text)? else {
            return Ok(None);
        };
        let uid = |text: &str| Uid::parse(text).map_err(|e| Error::broken("reading a request", e));
        let references = asked
            .iter()
            .map(|(class, instance)| Ok((uid(class)?, uid(instance)?)))
            .collect::<Result<Vec<_>, Error>>()?;
        let kept = Kept::Answer(self.look(&Asked::Instances(references), scope)?);
        let mut transaction = self.inner.index.begin()?;
        transaction.revise_answer(transaction_uid, &kept.write()?)?;
        transaction.commit()?;
        match kept {
            Kept::Answer(commitment) => Ok(Some(commitment)),
            Kept::Question { .. } => Ok(None),
        }
    }

    /// The event reports that are owed, who is due first.
    ///
    /// # Errors
    /// When the index fails.
    pub fn owed_reports(&self) -> Result<Vec<OwedReport>, Error> {
        self.inner.index.owed_reports()
    }

    /// An event report could not be told; it is due again after a while.
    ///
    /// # Errors
    /// When the index fails.
    pub fn postpone_report(&self, owed: &OwedReport, wait: Duration) -> Result<(), Error> {
        let wait_ms = i64::try_from(wait.as_millis()).unwrap_or(i64::MAX);
        let mut transaction = self.inner.index.begin()?;
        transaction.owe_report(&OwedReport {
            attempts: owed.attempts.saturating_add(1),
            due_at_ms: now_ms().saturating_add(wait_ms),
            ..owed.clone()
        })?;
        transaction.commit()
    }

    /// An event report was told, or nobody waits for it any more.
    ///
    /// # Errors
    /// When the index fails.
    pub fn settle_report(&self, transaction_uid: &Uid) -> Result<(), Error> {
        let mut transaction = self.inner.index.begin()?;
        transaction.settle_report(transaction_uid)?;
        transaction.commit()
    }

    /// Keeps what another archive told.
    ///
    /// # Errors
    /// When the index fails.
    pub fn keep_told(
        &self,
        transaction_uid: &Uid,
        told_by: &str,
        told: &Told,
    ) -> Result<(), Error> {
        self.inner.check_room()?;
        let report =
            serde_json::to_string(told).map_err(|e| Error::broken("writing a report", e))?;
        let mut transaction = self.inner.index.begin()?;
        let told = ToldReport {
            transaction_uid: transaction_uid.clone(),
            told_by: told_by.into(),
            report: report.into(),
        };
        transaction.keep_told(&told, TOLD_MAX)?;
        transaction.commit()
    }

    /// What the AE of this title has told of a transaction.
    ///
    /// # Errors
    /// When the index fails.
    pub fn told(&self, transaction_uid: &Uid, by: &str) -> Result<Option<Told>, Error> {
        let found = self.inner.index.told_report(transaction_uid)?;
        let Some(report) = found.filter(|report| *report.told_by == *by) else {
            return Ok(None);
        };
        serde_json::from_str(&report.report)
            .map(Some)
            .map_err(|e| Error::broken("reading a report", e))
    }
}

/// Milliseconds since 1970 UTC, as the reports count them.
#[must_use]
pub fn now() -> i64 {
    now_ms()
}
