//! The queue of notices: what is kept of one, and the port to where it is kept.
//!
//! | state | in the ledger |
//! |---|---|
//! | just happened | a notice that is not addressed yet |
//! | waiting, or being sent | a delivery that waits; a crash leaves it so |
//! | delivered | kept for a while to be looked at, then forgotten |
//! | refused, to be tried again | waits with a reason, not before a moment |
//! | failed | kept with its reason until somebody asks for a retry, or for as long as what was delivered |
//!
//! Of one case to one recipient nothing is sent before what came earlier has been delivered or has failed.

use super::event::NoticeEvent;
use crate::access::account::Account;
use crate::access::audit::AuditRecord;
use crate::access::ledger::{AccessLedger, LedgerError};
use crate::cases::case::Case;
use crate::cases::state::State;
use crate::cases::task::{Asked, Pool};
use crate::dicom::Uid;

/// The destination that is e-mail. No webhook is called so.
pub const EMAIL: &str = "email";

/// What there is to be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// Its number: the order in which things happened.
    pub number: u64,
    /// By which receivers know what they have had already; no two have the same.
    pub id: Box<str>,
    /// The case.
    pub case: u64,
    /// What happened.
    pub event: NoticeEvent,
    /// The state of the case then.
    pub state: State,
    /// The revision of the case then.
    pub revision: u64,
    /// The place of the task that it is about, and whom that asks.
    pub task: Option<(u32, Asked)>,
    /// When, milliseconds since 1970 UTC.
    pub at_ms: i64,
    /// The study to be read.
    pub study_instance_uid: Uid,
    /// When the answer is wanted, likewise.
    pub due_ms: Option<i64>,
}

impl Notice {
    /// What a new one is known by: the digits of a new UID, and so never the same twice.
    #[must_use]
    pub fn fresh_id() -> String {
        let uid = Uid::fresh();
        let digits = uid.as_str().rsplit('.').next().unwrap_or_default();
        format!("msg_{digits}")
    }
}

/// A notice on its way to somebody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// Its number.
    pub id: u64,
    /// What is told.
    pub notice: Notice,
    /// The account that mail goes to; empty of a webhook.
    pub recipient: Box<str>,
    /// How often it was tried in vain.
    pub attempts: u32,
    /// When it was queued, milliseconds since 1970 UTC.
    pub queued_ms: i64,
}

/// How far a delivery has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeliveryState {
    /// It is to be sent.
    Waiting,
    /// The receiver has it.
    Delivered,
    /// It is not tried again by itself.
    Failed,
}

impl DeliveryState {
    /// All of them, with the words that are kept.
    pub const WORDS: [(Self, &'static str); 3] = [
        (Self::Waiting, "waiting"),
        (Self::Delivered, "delivered"),
        (Self::Failed, "failed"),
    ];

    /// The word.
    #[must_use]
    pub fn word(self) -> &'static str {
        let known = Self::WORDS.iter().find(|(state, _)| *state == self);
        known.map_or("", |(_, word)| word)
    }

    /// The state of a word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        let known = Self::WORDS.iter().find(|(_, known)| *known == word);
        known.map(|(state, _)| *state)
    }
}

/// A delivery as an administrator sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The delivery.
    pub delivery: Delivery,
    /// Where it goes.
    pub destination: Box<str>,
    /// How far it has come.
    pub state: DeliveryState,
    /// When it is tried again, milliseconds since 1970 UTC; 0 at once.
    pub not_before_ms: i64,
    /// When it was delivered or has failed, likewise.
    pub ended_ms: Option<i64>,
    /// Why the last attempt was in vain; empty when none was. For administrators: may tell what the receiver said.
    pub reason: Box<str>,
}

/// An attempt in vain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Why.
    pub reason: Box<str>,
    /// When to try again, milliseconds since 1970 UTC.
    pub not_before_ms: i64,
    /// Not by itself.
    pub is_given_up: bool,
}

/// A destination that could not be reached is left alone for a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoticePause {
    /// Why. For administrators.
    pub reason: Box<str>,
    /// How often in a row.
    pub failures: u32,
    /// Until when, milliseconds since 1970 UTC.
    pub until_ms: i64,
    /// Until somebody asks for a retry: it has said that it wants nothing any more.
    pub is_gone: bool,
}

/// A destination, as an administrator sees it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NoticeDestination {
    /// Its name.
    pub name: Box<str>,
    /// How many wait.
    pub waiting: u64,
    /// How many have failed.
    pub failed: u64,
    /// How many were delivered, ever.
    pub delivered: u64,
    /// Why nothing is sent at present.
    pub pause: Option<NoticePause>,
}

/// Which part of the queue a command is about; `None` for all.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoticePart<'a> {
    /// To one destination.
    pub destination: Option<&'a str>,
    /// Of one case.
    pub case: Option<u64>,
}

/// What is to be tidied away.
#[derive(Debug, Clone, Copy)]
pub struct Untidy<'a> {
    /// Notices whose deliveries all ended before this, milliseconds since 1970 UTC.
    pub ended_before_ms: i64,
    /// The oldest deliveries, when more wait.
    pub waiting_max: u64,
    /// Destinations that something is brought to: what waits for another one waits for nobody.
    pub served: &'a [&'a str],
    /// What was queued for those before this, likewise.
    pub queued_before_ms: i64,
}

/// What was tidied away.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tidied {
    /// Notices that had ended long ago.
    pub forgotten: u64,
    /// Deliveries that waited although too many did, and have failed.
    pub crowded_out: u64,
    /// Deliveries that waited to go where nobody brings anything, and have failed.
    pub unserved: u64,
}

/// Keeps notices. Those of changes are kept by [`CaseLedger`](crate::cases::CaseLedger) with the change.
pub trait NoticeLedger: AccessLedger {
    /// Notices of which nobody has said yet whom they go to, in order; at most `limit`.
    ///
    /// # Errors
    /// When they cannot be read. (So for all that only reads.)
    fn unaddressed(&self, limit: usize) -> Result<Vec<Notice>, LedgerError>;

    /// Queues a notice for destinations and recipients, all or none. One that goes to nobody is forgotten; one that was
    /// addressed before stays as it is.
    ///
    /// # Errors
    /// When it could not be kept. (So for all that changes something.)
    fn address(
        &self,
        notice: u64,
        to: &[(Box<str>, Box<str>)],
        at_ms: i64,
    ) -> Result<(), LedgerError>;

    /// Deliveries to a destination that are to be sent now, in order; at most `limit`.
    ///
    /// # Errors
    /// When they cannot be read.
    fn due_deliveries(
        &self,
        destination: &str,
        now_ms: i64,
        limit: usize,
    ) -> Result<Vec<Delivery>, LedgerError>;

    /// Whether a delivery still waits: it may have been forgotten or given up since it was found to be due.
    ///
    /// # Errors
    /// When it cannot be read.
    fn is_waiting(&self, delivery: u64) -> Result<bool, LedgerError>;

    /// Notes that a delivery has arrived, and that its destination can be reached. Durable on return.
    ///
    /// # Errors
    /// When it could not be kept: then it will be sent again.
    fn note_delivered(&self, delivery: u64, at_ms: i64) -> Result<(), LedgerError>;

    /// Notes that a delivery was tried in vain.
    ///
    /// # Errors
    /// When it could not be kept.
    fn note_refused(&self, delivery: u64, refused: &Refused, at_ms: i64)
    -> Result<(), LedgerError>;

    /// Why nothing is to be sent to a destination now, and until when; `None` when it can be.
    ///
    /// # Errors
    /// When it cannot be read.
    fn notice_pause(&self, destination: &str) -> Result<Option<NoticePause>, LedgerError>;

    /// Leaves a destination alone, or no longer. What was queued for it before `queued_before_ms` has failed then. Gives
    /// how many have.
    ///
    /// # Errors
    /// When it could not be kept.
    fn set_notice_pause(
        &self,
        destination: &str,
        pause: Option<&NoticePause>,
        queued_before_ms: i64,
        at_ms: i64,
    ) -> Result<u64, LedgerError>;

    /// Every destination that something was ever queued for, by name.
    ///
    /// # Errors
    /// When they cannot be read.
    fn notice_destinations(&self) -> Result<Vec<NoticeDestination>, LedgerError>;

    /// Deliveries that wait or have failed, or all that are kept, after the delivery `after`; at most `limit`.
    ///
    /// # Errors
    /// When they cannot be read.
    fn deliveries(
        &self,
        after: u64,
        is_all: bool,
        limit: usize,
    ) -> Result<Vec<Listed>, LedgerError>;

    /// Tries again at once what has failed or waits for another attempt. Gives how many.
    ///
    /// # Errors
    /// When it could not be kept.
    fn retry_deliveries(
        &self,
        part: NoticePart<'_>,
        at_ms: i64,
        audit: &AuditRecord,
    ) -> Result<u64, LedgerError>;

    /// Takes what waits or has failed out of the queue. Gives how many.
    ///
    /// # Errors
    /// When it could not be kept.
    fn forget_deliveries(
        &self,
        part: NoticePart<'_>,
        audit: &AuditRecord,
    ) -> Result<u64, LedgerError>;

    /// Forgets notices that ended long ago, lets those fail that waited long for a destination that is not served, and
    /// the oldest when too many wait.
    ///
    /// # Errors
    /// When it could not be kept.
    fn tidy_notices(&self, untidy: &Untidy<'_>, at_ms: i64) -> Result<Tidied, LedgerError>;

    /// Keeps a notice of each case whose answer is missing and was wanted by `now_ms` ([`NoticeEvent::Overdue`]), or will
    /// be wanted within `soon_ms` and was opened before that ([`NoticeEvent::DueSoon`]): of each once. Gives how many.
    ///
    /// # Errors
    /// When they could not be kept.
    fn tell_due(&self, now_ms: i64, soon_ms: i64) -> Result<usize, LedgerError>;

    /// Cases after the case `after` that have not ended, with an opinion of which nobody was told yet that images have
    /// changed since, by number; at most `limit`.
    ///
    /// # Errors
    /// When they cannot be read.
    fn watched(&self, after: u64, limit: usize) -> Result<Vec<u64>, LedgerError>;

    /// Keeps a notice that images have changed since an opinion, unless there was one. `false` when there was.
    ///
    /// # Errors
    /// When it could not be kept.
    fn tell_images_changed(
        &self,
        case: &Case,
        opinion: u64,
        now_ms: i64,
    ) -> Result<bool, LedgerError>;

    /// The accounts of a pool, by name.
    ///
    /// # Errors
    /// When they cannot be read.
    fn accounts_of_pool(&self, pool: &Pool) -> Result<Vec<Account>, LedgerError>;
}
