//! The port to where accounts, sessions, tokens and the audit trail are kept. The ledger is the only copy
//! of what people said and did: every commit is synced, whoever makes it.
//!
//! Other deeds keep their things in the same ledger, behind traits of their own; [`LedgerError`] is what
//! can happen to any of them.

use std::collections::BTreeMap;

use crate::access::View;
use crate::access::account::{
    Account, AccountChange, NewAccount, NewSession, NewToken, Revoking, Session, Token,
};
use crate::access::audit::{AuditRecord, Flaw, Head, Kept};
use crate::access::grant::GrantLedger;
use crate::access::inbox::InboxLedger;
use crate::access::secret::Digest;
use crate::access::trail::{Asked, Broad, FoundRows, Place};
use crate::dicom::Uid;

/// What can happen to whoever uses the ledger. No text holds patient data.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// No room on the disk: nothing was changed.
    #[error("out of storage space")]
    Full,
    /// Somebody else writes for too long, or too much waits: nothing was changed; try again later.
    #[error("busy: {0}")]
    Busy(&'static str),
    /// Something of ours failed.
    #[error("internal failure: {0}")]
    Broken(String),
}

impl LedgerError {
    /// Wraps a failure of a shelf: `what` we did, and its cause.
    pub fn broken(what: &str, cause: impl std::fmt::Display) -> Self {
        Self::Broken(format!("{what}: {cause}"))
    }
}

/// The audit trail.
pub trait AuditLedger: Send + Sync {
    /// Appends what changed nothing by itself. On return it is durable.
    ///
    /// # Errors
    /// When it could not be written.
    fn record(&self, record: &AuditRecord) -> Result<(), LedgerError>;

    /// Appends several, in order, at the price of one.
    ///
    /// # Errors
    /// When they could not be written: then none was.
    fn record_all(&self, records: &[AuditRecord]) -> Result<(), LedgerError>;

    /// The end of the trail.
    ///
    /// # Errors
    /// When it cannot be read.
    fn audit_head(&self) -> Result<Head, LedgerError>;

    /// At most `limit` rows after the row `after`, by number.
    ///
    /// # Errors
    /// When they cannot be read; [`LedgerFlaw::Trail`] when one of them is no record that was ever written.
    fn audit_rows(&self, after: u64, limit: usize) -> Result<Vec<Kept>, LedgerFlaw>;

    /// The same, of the rows that name one of these studies or this patient.
    ///
    /// # Errors
    /// As [`AuditLedger::audit_rows`].
    fn audit_rows_about(
        &self,
        studies: &[Uid],
        patient_id: Option<&str>,
        after: u64,
        limit: usize,
    ) -> Result<Vec<Kept>, LedgerFlaw>;

    /// At most `limit` rows that are asked for, the latest first, before a place in the trail.
    ///
    /// # Errors
    /// As [`AuditLedger::audit_rows`].
    fn audit_found(
        &self,
        asked: &Asked,
        before: Option<Place>,
        limit: usize,
    ) -> Result<FoundRows, LedgerFlaw>;

    /// The searches that told of more studies than the trail names; `None` when there was none.
    ///
    /// # Errors
    /// When they cannot be read.
    fn audit_broad(&self) -> Result<Option<Broad>, LedgerError>;
}

/// Why rows of the trail cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum LedgerFlaw {
    /// The ledger failed.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// A row is not as it was written.
    #[error(transparent)]
    Trail(#[from] Flaw),
}

/// Why accounts, sessions or tokens were not changed.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// There is no such account or token, or it is as it should become already.
    #[error("{0}")]
    NotFound(&'static str),
    /// There is one already.
    #[error("there is an account of that name already")]
    Conflict,
    /// Nobody else could see to the archive then.
    #[error("this is the last administrator")]
    LastAdministrator,
    /// As many as may be.
    #[error("there are as many as may be: {0}")]
    TooMany(&'static str),
    /// The ledger failed.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

/// Accounts, sessions and tokens, with grants and the audit trail beside them. What changes anything is durable on return, and
/// so is its row of the trail.
pub trait AccessLedger: AuditLedger + GrantLedger + InboxLedger {
    /// Whether there is any account, enabled or not.
    ///
    /// # Errors
    /// When the ledger cannot be read. (So for all that only reads.)
    fn has_accounts(&self) -> Result<bool, LedgerError>;

    /// The account of a name.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    fn account(&self, name: &str) -> Result<Option<Account>, LedgerError>;

    /// At most `limit` accounts after the name `after`, by name, of those whose names hold `part`.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    fn accounts(&self, part: &str, after: &str, limit: usize) -> Result<Vec<Account>, LedgerError>;

    /// Makes an account.
    ///
    /// # Errors
    /// [`AccessError::Conflict`], [`AccessError::TooMany`].
    fn add_account(&self, new: &NewAccount, audit: &AuditRecord) -> Result<(), AccessError>;

    /// Gives an account another passcode, and ends its sessions.
    ///
    /// # Errors
    /// [`AccessError::NotFound`].
    fn set_passcode(
        &self,
        name: &str,
        passcode: &str,
        audit: &AuditRecord,
    ) -> Result<(), AccessError>;

    /// Gives an account another passcode, when it has still the first of the two, and ends its sessions but for the one that is kept.
    ///
    /// # Errors
    /// [`AccessError::NotFound`] when the account has another passcode by now, or is not enabled any more.
    fn change_passcode(
        &self,
        name: &str,
        passcodes: (&str, &str),
        kept: &Digest,
        audit: &AuditRecord,
    ) -> Result<(), AccessError>;

    /// Changes what the owner of an account is here, where they are told what is asked of them, or whether they are let in.
    /// It counts from the next request on, in sessions that have begun and for tokens that were issued too; the sessions of
    /// who is not let in any more end.
    ///
    /// # Errors
    /// [`AccessError::NotFound`]; [`AccessError::LastAdministrator`] when this was the only one of those who are let in.
    fn change_account(
        &self,
        name: &str,
        change: &AccountChange,
        audit: &AuditRecord,
    ) -> Result<(), AccessError>;

    /// Begins a session; ends the oldest of the account when it has too many, and forgets those that have ended.
    ///
    /// # Errors
    /// [`AccessError::NotFound`] when the account has another passcode by now, or is not enabled any more.
    fn begin_session(&self, new: &NewSession, audit: &AuditRecord) -> Result<(), AccessError>;

    /// The session of a digest, whether or not it is still good.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    fn session(&self, digest: &Digest) -> Result<Option<Session>, LedgerError>;

    /// Notes that a session was used. Bookkeeping: it changes nobody's rights and has no row in the trail.
    ///
    /// # Errors
    /// When it cannot be written.
    fn touch_session(&self, digest: &Digest, seen_ms: i64) -> Result<(), LedgerError>;

    /// Ends a session.
    ///
    /// # Errors
    /// [`AccessError::NotFound`].
    fn end_session(&self, digest: &Digest, audit: &AuditRecord) -> Result<(), AccessError>;

    /// Issues a token, and gives its number, which `audit` makes the row of.
    ///
    /// # Errors
    /// [`AccessError::NotFound`] without the account, or when the token by which its issuer came was revoked meanwhile;
    /// [`AccessError::TooMany`].
    fn issue_token(
        &self,
        new: &NewToken,
        audit: &dyn Fn(i64) -> AuditRecord,
    ) -> Result<i64, AccessError>;

    /// The token of a digest, whether or not it is still good.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    fn token(&self, digest: &Digest) -> Result<Option<Token>, LedgerError>;

    /// All tokens, or those of an account, the latest first; at most `limit` numbered below `before`.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    fn tokens(
        &self,
        account: Option<&str>,
        before: Option<i64>,
        limit: usize,
    ) -> Result<Vec<Token>, LedgerError>;

    /// Revokes a token at once, with all that it issued, and what these did, when that is `reach`; gives the numbers of those
    /// that were not revoked before. `audit` makes the row of each.
    ///
    /// # Errors
    /// [`AccessError::NotFound`] when there are none.
    fn revoke_token(
        &self,
        id: i64,
        reach: Revoking,
        at_ms: i64,
        audit: &dyn Fn(i64) -> AuditRecord,
    ) -> Result<Vec<i64>, AccessError>;

    /// The studies that the cases in which somebody has a task give to them now, and how much of each: what a reader may
    /// see besides what was granted to them.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    fn case_views(&self, reader: &str) -> Result<BTreeMap<Uid, View>, LedgerError>;
}
