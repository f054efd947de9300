//! Grants: who may see the studies of a case, how much of them, and for how long.
//!
//! A grant is held by a named account, or by whoever has a link that was shown once; an inbox link takes studies
//! into its case and shows nothing else. A grant is looked at on every request: what is revoked or has expired
//! opens nothing from then on, whatever session began by it.

use std::collections::BTreeMap;

use crate::access::account::AccountName;
use crate::access::audit::AuditRecord;
use crate::access::inbox::Purpose;
use crate::access::ledger::{AccessError, LedgerError};
use crate::access::secret::Digest;
use crate::access::{Scope, View};
use crate::dicom::Uid;

/// The most studies of one grant.
pub const STUDIES_MAX: usize = 1000;
/// The most grants of one case, whether or not they are good.
pub const OF_CASE_MAX: usize = 1000;
/// The most grants of one account that have neither expired nor been revoked.
pub const OF_ACCOUNT_MAX: usize = 200;
/// The most sessions that are open by one link; the oldest ends when one more begins.
pub const SESSIONS_MAX: usize = 32;
/// The longest time that a grant is good for. Milliseconds.
pub const TIME_MAX_MS: i64 = 366 * 24 * 3_600_000;
/// The longest label. Bytes.
pub const LABEL_BYTES_MAX: usize = 128;
/// The shortest and the longest PIN. Characters.
pub const PIN_CHARS: std::ops::RangeInclusive<usize> = 4..=64;

/// What may be had of what is seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Right {
    /// Pictures, frames, metadata: what a viewer shows.
    View,
    /// Whole objects too.
    Download,
}

impl Right {
    /// The word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::View => "view",
            Self::Download => "download",
        }
    }

    /// The one of this word.
    #[must_use]
    pub fn of_word(word: &str) -> Option<Self> {
        [Self::View, Self::Download]
            .into_iter()
            .find(|right| right.word() == word)
    }
}

/// Whom something is given to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Holder {
    /// Whoever signs in to this account.
    Account(AccountName),
    /// Whoever has the link, and knows the PIN where there is one.
    Link {
        /// Of the secret in it.
        digest: Digest,
        /// As it is kept (`access::passcode`).
        pin: Option<String>,
    },
    /// Whoever has the link may bring studies into the case.
    Inbox {
        /// Of the secret in it.
        digest: Digest,
    },
}

impl Holder {
    /// The word for its kind.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Account(_) => "account",
            Self::Link { .. } => "link",
            Self::Inbox { .. } => "inbox",
        }
    }
}

/// A grant to be made.
#[derive(Debug, Clone)]
pub struct NewGrant {
    /// The number of the case; [`NO_CASE`](crate::access::inbox::NO_CASE) of an inbox that has none yet.
    pub case: i64,
    /// To whom.
    pub holder: Holder,
    /// What, and how much of it. Of an inbox: what has come by it.
    pub studies: BTreeMap<Uid, View>,
    /// Nothing is opened before.
    pub not_before_ms: i64,
    /// Nor from then on.
    pub expires_ms: i64,
    /// How often a link may be opened; `None` for as often as one likes.
    pub opens_max: Option<u32>,
    /// What may be had of it.
    pub right: Right,
    /// Whom it is meant for, in words.
    pub label: String,
    /// When it is made.
    pub issued_ms: i64,
    /// Of an inbox: who makes it, and what for.
    pub inbox: Option<(Box<str>, Purpose)>,
}

/// A grant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// Its number.
    pub id: i64,
    /// The number of the case; [`NO_CASE`](crate::access::inbox::NO_CASE) of an inbox that has none yet.
    pub case: i64,
    /// To whom.
    pub holder: Holder,
    /// What, and how much of it.
    pub studies: BTreeMap<Uid, View>,
    /// Nothing is opened before.
    pub not_before_ms: i64,
    /// Nor from then on.
    pub expires_ms: i64,
    /// How often a link may be opened.
    pub opens_max: Option<u32>,
    /// How often it was.
    pub opens: u32,
    /// When it was, last.
    pub opened_ms: Option<i64>,
    /// How often somebody did not know the PIN since somebody did.
    pub pin_failures: u32,
    /// What may be had of it.
    pub right: Right,
    /// Whom it is meant for, in words.
    pub label: String,
    /// When it was made.
    pub issued_ms: i64,
    /// When it was revoked, if it was.
    pub revoked_ms: Option<i64>,
}

impl Grant {
    /// Whether it is good at this moment.
    #[must_use]
    pub fn is_live(&self, now_ms: i64) -> bool {
        self.revoked_ms.is_none() && (self.not_before_ms..self.expires_ms).contains(&now_ms)
    }

    /// Whether somebody who sees so much may know of it. One that names no study tells of none.
    #[must_use]
    pub fn is_within(&self, scope: &Scope) -> bool {
        let is_seen =
            |(study, view): (&Uid, &View)| scope.view(study).is_some_and(|own| own >= *view);
        self.studies.iter().all(is_seen)
    }

    /// Where it stands at this moment, in a word or two for people.
    #[must_use]
    pub fn state(&self, now_ms: i64) -> &'static str {
        if self.revoked_ms.is_some() {
            "taken back"
        } else if now_ms >= self.expires_ms {
            "expired"
        } else if now_ms < self.not_before_ms {
            "not good yet"
        } else if self.opens_max.is_some_and(|max| self.opens >= max) {
            "opened as often as it may be"
        } else {
            "good"
        }
    }

    /// Whether its link is for a reader of the case, whose task says what they see.
    #[must_use]
    pub fn is_reader(&self) -> bool {
        matches!(self.holder, Holder::Link { .. }) && self.studies.is_empty()
    }

    /// Whether a link may be opened once more; `pin_tries_max` wrong PINs lock it.
    #[must_use]
    pub fn can_open(&self, now_ms: i64, pin_tries_max: u32) -> bool {
        self.is_live(now_ms)
            && self.opens_max.is_none_or(|max| self.opens < max)
            && self.pin_failures < pin_tries_max
    }
}

/// A session that begins by a link.
#[derive(Debug, Clone, Copy)]
pub struct Opening {
    /// Of the session's secret.
    pub digest: Digest,
    /// The grant.
    pub grant: i64,
    /// When.
    pub at_ms: i64,
    /// When the session ends, however busy it is.
    pub expires_ms: i64,
    /// So many wrong PINs lock a link.
    pub pin_tries_max: u32,
}

/// What somebody was given, by all their grants that are good at the moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Given(BTreeMap<Uid, (View, Right)>);

impl Given {
    /// What these give together. Who may have a study by one of them may have it; who is to read it blind by one of
    /// them reads it blind until that is over.
    pub fn of<'g>(grants: impl IntoIterator<Item = &'g Grant>) -> Self {
        let mut given: BTreeMap<Uid, (View, Right)> = BTreeMap::new();
        for grant in grants {
            for (study, view) in &grant.studies {
                let known = given
                    .entry(study.clone())
                    .or_insert((View::Whole, Right::View));
                *known = (known.0.min(*view), known.1.max(grant.right));
            }
        }
        Self(given)
    }

    /// The same with what somebody's cases give them.
    #[must_use]
    pub fn and(mut self, views: BTreeMap<Uid, View>, right: Right) -> Self {
        for (study, view) in views {
            let known = self.0.entry(study).or_insert((View::Whole, right));
            *known = (known.0.min(view), known.1.max(right));
        }
        self
    }

    /// The studies, and how much is seen of them.
    #[must_use]
    pub fn studies(&self) -> BTreeMap<Uid, View> {
        let views = self.0.iter();
        views.map(|(uid, (view, _))| (uid.clone(), *view)).collect()
    }

    /// What may be had of a study.
    #[must_use]
    pub fn right(&self, study_instance_uid: &Uid) -> Option<Right> {
        self.0.get(study_instance_uid).map(|(_, right)| *right)
    }
}

/// The port to where grants are kept. What changes anything is durable on return, and so is its row of the trail.
pub trait GrantLedger: Send + Sync {
    /// Makes a grant, and gives its number.
    ///
    /// # Errors
    /// [`AccessError::NotFound`] without the account, [`AccessError::TooMany`].
    fn add_grant(&self, new: &NewGrant, audit: &AuditRecord) -> Result<i64, AccessError>;

    /// The grant of a number, whether or not it is good.
    ///
    /// # Errors
    /// When the ledger cannot be read. (So for all that only reads.)
    fn grant(&self, id: i64) -> Result<Option<Grant>, LedgerError>;

    /// The grant of a link.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    fn grant_by_digest(&self, digest: &Digest) -> Result<Option<Grant>, LedgerError>;

    /// The grants of an account that are good at the moment.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    fn grants_of_account(&self, account: &str, now_ms: i64) -> Result<Vec<Grant>, LedgerError>;

    /// All grants of a case, by number.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    fn grants_of_case(&self, case: i64) -> Result<Vec<Grant>, LedgerError>;

    /// Revokes a grant at once, with all sessions that began by it.
    ///
    /// # Errors
    /// [`AccessError::NotFound`], also when it was revoked before.
    fn revoke_grant(&self, id: i64, at_ms: i64, audit: &AuditRecord) -> Result<(), AccessError>;

    /// Counts an opening of a link, and begins its session.
    ///
    /// # Errors
    /// [`AccessError::NotFound`] when it may not be opened (any more): then nothing has changed.
    fn note_opening(&self, opening: &Opening, audit: &AuditRecord) -> Result<(), AccessError>;

    /// Counts a wrong PIN; gives how many there were since a right one.
    ///
    /// # Errors
    /// [`AccessError::NotFound`].
    fn note_wrong_pin(&self, id: i64, audit: &AuditRecord) -> Result<u32, AccessError>;

    /// The grant that a session began by, and when the session ends, whether or not either is good.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    fn grant_session(&self, digest: &Digest) -> Result<Option<(Grant, i64)>, LedgerError>;

    /// Ends such a session.
    ///
    /// # Errors
    /// [`AccessError::NotFound`].
    fn end_grant_session(&self, digest: &Digest, audit: &AuditRecord) -> Result<(), AccessError>;

    /// Adds a study to a grant that has not been revoked, if it is not there.
    ///
    /// # Errors
    /// [`AccessError::NotFound`], [`AccessError::TooMany`].
    fn add_study(
        &self,
        id: i64,
        study_instance_uid: &Uid,
        view: View,
        audit: &AuditRecord,
    ) -> Result<(), AccessError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant(studies: &[(&str, View)], right: Right) -> Grant {
        let studies = studies.iter();
        Grant {
            id: 1,
            case: 1,
            holder: Holder::Account(AccountName::parse("anna").unwrap()),
            studies: studies
                .map(|(uid, view)| (Uid::parse(uid).unwrap(), *view))
                .collect(),
            not_before_ms: 10,
            expires_ms: 20,
            opens_max: Some(2),
            opens: 0,
            pin_failures: 0,
            opened_ms: None,
            right,
            label: String::new(),
            issued_ms: 5,
            revoked_ms: None,
        }
    }

    #[test]
    fn a_grant_is_good_for_its_time() {
        let good = grant(&[], Right::View);
        let live: Vec<_> = [9, 10, 19, 20].map(|now| good.is_live(now)).to_vec();
        assert_eq!(live, [false, true, true, false]);
        let changed = |change: fn(&mut Grant)| {
            let mut grant = good.clone();
            change(&mut grant);
            (grant.is_live(15), grant.can_open(15, 5))
        };
        assert_eq!(changed(|_| ()), (true, true));
        assert_eq!(changed(|g| g.revoked_ms = Some(12)), (false, false));
        assert_eq!(changed(|g| g.opens = 2), (true, false));
        assert_eq!(changed(|g| g.pin_failures = 5), (true, false));
    }

    #[test]
    fn grants_add_up_and_blind_stays_blind() {
        let (whole, blind) = (View::Whole, View::WithoutReports);
        let all = [
            grant(&[("1.1", whole), ("1.2", whole)], Right::View),
            grant(&[("1.1", blind), ("1.3", blind)], Right::Download),
        ];
        let given = Given::of(&all);
        let uid = |text: &str| Uid::parse(text).unwrap();
        let views: Vec<_> = given.studies().into_values().collect();
        assert_eq!(views, [blind, whole, blind]);
        let rights = ["1.1", "1.2", "1.3", "1.4"].map(|study| given.right(&uid(study)));
        assert_eq!(
            rights,
            [
                Some(Right::Download),
                Some(Right::View),
                Some(Right::Download),
                None
            ]
        );
    }
}
