//! The port to where workitems and subscriptions are kept. Every change and its audit record are one durable
//! transaction; a change is made to the revision that it was decided on, or not at all.

use crate::access::audit::AuditRecord;
use crate::access::ledger::{AuditLedger, LedgerError};
use crate::dicom::{AeTitle, Uid};

use super::state::State;
use super::workitem::Workitem;

/// Whether COMPLETED and CANCELED workitems are kept for a subscriber.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeletionLock {
    /// They are.
    Held,
    /// They need not be.
    None,
}

/// Who is told of a workitem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscriber {
    /// Receiving AE.
    pub ae: AeTitle,
    /// With Lock or w/o Lock.
    pub lock: DeletionLock,
}

/// The Global Subscription State of an AE, when it has one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GlobalSubscription {
    /// Who, and whether with lock.
    pub subscriber: Subscriber,
    /// The matching keys of a Filtered Global Subscription as they were given, `attribute=value` by
    /// attribute; empty of one for all workitems.
    pub filter: Vec<(String, String)>,
}

/// What a search is narrowed to before its keys are looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Narrow {
    /// This workitem only.
    pub uid: Option<Uid>,
    /// In this state.
    pub state: Option<State>,
    /// Of this patient.
    pub patient_id: Option<Box<str>>,
    /// That names one of these studies, or is one of [`Narrow::offered`].
    pub studies: Option<Vec<Uid>>,
    /// Those that are there besides, whatever they name.
    pub offered: Vec<Uid>,
    /// That waits for its input.
    pub is_incomplete: bool,
}

/// Where a workitem stands with a reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offer {
    /// It is no task of a pool, or the reader has claimed it: what they may see of studies decides.
    NoPool,
    /// It waits for a pool of theirs, and they could take it.
    Theirs,
    /// It is for others.
    Others,
}

/// Workitems that wait for pools of a reader.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Offered {
    /// They.
    pub workitems: Vec<Uid>,
    /// Whether there are no more than were looked at.
    pub is_whole: bool,
}

/// Keeps workitems and subscriptions.
pub trait WorkitemLedger: AuditLedger {
    /// Keeps a new workitem with those who are subscribed to it from the start. `false`, and nothing is changed,
    /// when there is one of its UID.
    ///
    /// # Errors
    /// When it could not be kept.
    fn insert_workitem(
        &self,
        workitem: &Workitem,
        subscribers: &[Subscriber],
        audit: &AuditRecord,
    ) -> Result<bool, LedgerError>;

    /// The workitem of this UID.
    ///
    /// # Errors
    /// When it cannot be read.
    fn workitem(&self, uid: &Uid) -> Result<Option<Workitem>, LedgerError>;

    /// Puts a workitem in the place of its revision before. `false`, and nothing is changed, when it has another
    /// revision by now.
    ///
    /// # Errors
    /// When it could not be kept.
    fn replace_workitem(
        &self,
        workitem: &Workitem,
        audit: &AuditRecord,
    ) -> Result<bool, LedgerError>;

    /// At most `limit` workitems after the number `after`, in the order of their creation. Fewer, but one at least when
    /// there is one, where their data sets are large, or where some are not as they were written: those are passed over.
    ///
    /// # Errors
    /// When they cannot be read.
    fn workitems(
        &self,
        narrow: &Narrow,
        after: u64,
        limit: usize,
    ) -> Result<Vec<Workitem>, LedgerError>;

    /// Where a workitem stands with a reader.
    ///
    /// # Errors
    /// When it cannot be read.
    fn offer(&self, workitem: &Uid, reader: &str) -> Result<Offer, LedgerError>;

    /// The workitems that wait for a pool of a reader who could take them, of the `limit` cases that have waited longest.
    ///
    /// # Errors
    /// When they cannot be read.
    fn offered(&self, reader: &str, limit: usize) -> Result<Offered, LedgerError>;

    /// Who is subscribed to a workitem, by AE title.
    ///
    /// # Errors
    /// When it cannot be read.
    fn subscribers(&self, uid: &Uid) -> Result<Vec<Subscriber>, LedgerError>;

    /// Subscribes an AE to one workitem, or changes its lock.
    ///
    /// # Errors
    /// When it could not be kept.
    fn subscribe(
        &self,
        uid: &Uid,
        subscriber: &Subscriber,
        audit: &AuditRecord,
    ) -> Result<(), LedgerError>;

    /// Ends the subscription of an AE to one workitem; `false` when there was none.
    ///
    /// # Errors
    /// When it could not be kept.
    fn unsubscribe(
        &self,
        uid: &Uid,
        ae: &AeTitle,
        audit: &AuditRecord,
    ) -> Result<bool, LedgerError>;

    /// Sets the Global Subscription State of an AE and subscribes it to these workitems, where it is not
    /// subscribed already.
    ///
    /// # Errors
    /// When it could not be kept.
    fn subscribe_globally(
        &self,
        global: &GlobalSubscription,
        workitems: &[Uid],
        audit: &AuditRecord,
    ) -> Result<(), LedgerError>;

    /// Ends the Global Subscription State of an AE and all its subscriptions; `false` when it had none of either.
    ///
    /// # Errors
    /// When it could not be kept.
    fn unsubscribe_globally(&self, ae: &AeTitle, audit: &AuditRecord) -> Result<bool, LedgerError>;

    /// Ends the Global Subscription State of an AE and nothing else; `false` when it had none.
    ///
    /// # Errors
    /// When it could not be kept.
    fn suspend(&self, ae: &AeTitle, audit: &AuditRecord) -> Result<bool, LedgerError>;

    /// All Global Subscriptions, by AE title.
    ///
    /// # Errors
    /// When they cannot be read.
    fn global_subscriptions(&self) -> Result<Vec<GlobalSubscription>, LedgerError>;

    /// Everybody who has a subscription of any kind, by AE title.
    ///
    /// # Errors
    /// When they cannot be read.
    fn all_subscribers(&self) -> Result<Vec<AeTitle>, LedgerError>;
}
