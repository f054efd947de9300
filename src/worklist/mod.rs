//! The Unified Procedure Step service (PS3.4 Annex CC, PS3.18 §11): workitems, who does them, and who is told. Here,
//! and not in a door, because DICOMweb and DIMSE must come to the same.
//!
//! [`state`] has the states and what may become of them, [`attributes`] what a data set needs, both as tables of the
//! standard; [`event`] what subscribers are told. [`Worklist`] is what doors hold. Its calls block.
//!
//! A workitem belongs to whoever claimed it: its Transaction UID is the key, is compared here, and never leaves. Of two
//! claims at once one wins, because a change is made to the revision that it was decided on or not at all
//! ([`WorkitemLedger::replace_workitem`]). Events are handed over in the order of the commits.
//!
//! Workitems in a final state stay, locked or not: the ledger is the only copy of who did what.

pub mod attributes;
mod changes;
pub(crate) mod elements;
pub mod error;
pub mod event;
pub mod ledger;
mod readiness;
mod search;
pub mod state;
mod subscribing;
mod tags;
mod workitem;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use dicom_core::VR;

use crate::access::audit::{ActionCode, Actor, AuditOutcome, AuditRecord, Event};
use crate::access::{LedgerError, Scope};
use crate::dicom::{AeTitle, Dataset, Uid};
use attributes::{Fault, check_create};
use elements::{has_value, text};
use event::{EventReport, ScpStatus};
use state::{Refusal, Request, Verdict, verdict};
use tags::{MODIFICATION_DATE_TIME, SOP_CLASS_UID, SOP_INSTANCE_UID, WORKLIST_LABEL};

pub use attributes::REQUIREMENTS;
pub use error::{Error, Warning};
pub use event::Courier;
pub use ledger::{
    DeletionLock, GlobalSubscription, Narrow, Offer, Offered, Subscriber, WorkitemLedger,
};
pub use readiness::Named;
pub use search::{Page, Question, Remaining, WorkitemKeys};
pub use state::State;
pub use subscribing::Target;
pub use workitem::{UPS_PUSH, Workitem, take_transaction_uid};

/// The most bytes of DICOM JSON that a workitem has.
pub const WORKITEM_BYTES_MAX: usize = 1 << 20;

/// The well-known instance of a Global Subscription (PS3.4 §CC.2.3.2).
pub const GLOBAL_SUBSCRIPTION: &str = "1.2.840.10008.5.1.4.34.5";

/// The well-known instance of a Filtered Global Subscription.
pub const FILTERED_GLOBAL_SUBSCRIPTION: &str = "1.2.840.10008.5.1.4.34.5.1";

/// Worklist Label (0074,1202) of a workitem that was created without one.
pub const LABEL: &str = "GENERAL";

/// The coding scheme of the names that performers are asked under: private, as PS3.16 §8.2 wants private ones to be
/// called.
pub(crate) const PERFORMER_SCHEME: &str = "99OVERREAD";

/// Who asks.
#[derive(Debug, Clone)]
pub struct Caller {
    /// What it may see.
    pub scope: Scope,
    /// Who it is, for the audit trail.
    pub actor: Actor,
    /// The name that it is asked under, when it is a reader: of an account, or `link 7`. Of what it may see, what
    /// somebody else was asked to do is not there for it.
    pub reader: Option<Box<str>>,
    /// The only studies that it may know of, where its token says so: of others it takes no task of a pool.
    pub only: Option<Arc<BTreeSet<Uid>>>,
    /// Whether it may make workitems or work on them, and not look only.
    pub may_change: bool,
    /// Its AE title, when it has one: under which it is told of workitems, and which others hear when it wants
    /// something canceled.
    pub ae: Option<AeTitle>,
}

impl Caller {
    /// Whether it may have the events of an AE, and say what those are. Who may see everything, and change it, may say
    /// so for everybody, as PS3.4 §CC.2.3.3 wants; anybody else only for itself, and who sees nothing not at all.
    #[must_use]
    pub fn may_receive_for(&self, ae: &AeTitle) -> bool {
        let is_own = self.ae.as_ref() == Some(ae);
        match &self.scope {
            Scope::All => self.may_change || is_own,
            Scope::Studies(studies) => !studies.is_empty() && is_own,
            Scope::Nothing => false,
        }
    }
}

/// Whether a workitem is there for a caller, and how it stands with a reader: the one place where workitems meet those who
/// ask. What waits for a pool is there for those of its readers who could take it, whatever else they see, and for no others.
fn seen(
    ledger: &dyn WorkitemLedger,
    workitem: &Workitem,
    caller: &Caller,
) -> Result<(Offer, bool), LedgerError> {
    let offer = match (&caller.scope, &caller.reader) {
        (Scope::All, _) | (_, None) => Offer::NoPool,
        (Scope::Studies(_) | Scope::Nothing, Some(reader)) => {
            ledger.offer(&workitem.uid, reader)?
        }
    };
    let may_know = || {
        let only = caller.only.as_ref();
        only.is_none_or(|only| workitem.studies.iter().all(|study| only.contains(study)))
    };
    let is_seen = match offer {
        Offer::NoPool => workitem.is_for(caller),
        Offer::Theirs => may_know(),
        Offer::Others => false,
    };
    Ok((offer, is_seen))
}

/// The worklist. Cheap to clone.
#[derive(Clone)]
pub struct Worklist {
    ledger: Arc<dyn WorkitemLedger>,
    courier: Arc<dyn Courier>,
    /// Held from before a change is decided until its events are handed over, so that they have its order.
    order: Arc<Mutex<()>>,
}

impl Worklist {
    /// The worklist of a ledger, whose events go by a courier.
    #[must_use]
    pub fn new(ledger: Arc<dyn WorkitemLedger>, courier: Arc<dyn Courier>) -> Self {
        Self {
            ledger,
            courier,
            order: Arc::default(),
        }
    }

    /// Creates a workitem, SCHEDULED, and tells those with a Global Subscription that it matches. On return it is
    /// durable.
    ///
    /// # Errors
    /// [`Refusal::Exists`]; what the data set lacks.
    pub fn create(
        &self,
        uid: &Uid,
        mut dataset: Dataset,
        caller: &Caller,
    ) -> Result<Option<Warning>, Error> {
        if take_transaction_uid(&mut dataset)?.is_some() {
            return Err(Fault::TooSoon("TransactionUID").into());
        }
        for (tag, keyword, ours) in [
            (SOP_CLASS_UID, "SOPClassUID", UPS_PUSH),
            (SOP_INSTANCE_UID, "SOPInstanceUID", uid.as_str()),
        ] {
            if has_value(&dataset, tag) && dataset.text(tag) != Some(ours) {
                return Err(Fault::Differs(keyword).into());
            }
            dataset.set(text(tag, VR::UI, ours));
        }
        let is_modified = check_create(&mut dataset)?;
        if !has_value(&dataset, WORKLIST_LABEL) {
            dataset.set(text(WORKLIST_LABEL, VR::LO, LABEL));
        }
        dataset.set(text(MODIFICATION_DATE_TIME, VR::DT, &moment()));
        dataset.say_character_set();
        let workitem = Workitem::new(uid.clone(), &dataset)?;
        // Who is asked does not matter: it is for others that somebody makes workitems.
        if !workitem.is_in(&caller.scope) {
            return Err(Error::NotFound);
        }

        let _order = self.order();
        let there = self.ledger.workitem(uid)?;
        if let Verdict::Refuse(refusal) =
            verdict(Request::Create, there.map(|workitem| workitem.state))
        {
            return Err(self.refused(caller, &workitem, "create", refusal));
        }
        let subscribers = self.subscribers_of_new(&workitem)?;
        let audit = self.audit(caller, ActionCode::Create, &workitem);
        if !self
            .ledger
            .insert_workitem(&workitem, &subscribers, &audit)?
        {
            return Err(self.refused(caller, &workitem, "create", Refusal::Exists));
        }
        self.carry(&subscribers, &event::of_creation(uid, &dataset));
        Ok(is_modified.then_some(Warning::Created))
    }

    /// The workitem of a UID.
    ///
    /// # Errors
    /// [`Error::NotFound`] also when the caller may not see it.
    pub fn retrieve(&self, uid: &Uid, caller: &Caller) -> Result<Workitem, Error> {
        Ok(self.retrieve_offered(uid, caller)?.0)
    }

    /// The same, with how it stands with a reader.
    fn retrieve_offered(&self, uid: &Uid, caller: &Caller) -> Result<(Workitem, Offer), Error> {
        let workitem = self.ledger.workitem(uid)?.ok_or(Error::NotFound)?;
        let (offer, is_seen) = seen(&*self.ledger, &workitem, caller)?;
        match is_seen {
            true => Ok((workitem, offer)),
            false => Err(Error::NotFound),
        }
    }

    /// The workitem of a UID, to be changed. What is offered to a pool is nobody's yet.
    fn retrieve_to_change(&self, uid: &Uid, caller: &Caller) -> Result<Workitem, Error> {
        match self.retrieve_offered(uid, caller)? {
            (_, Offer::Theirs) => {
                Err(Fault::Other("The task of a pool is claimed before it is changed.").into())
            }
            (workitem, _) => Ok(workitem),
        }
    }

    /// The record of a workitem that a caller retrieves, which tells of a patient.
    #[must_use]
    pub fn record_of_look(&self, workitem: &Workitem, caller: &Caller) -> AuditRecord {
        // By the detail a later look at another workitem of the study is told from this one.
        self.audit(caller, ActionCode::Read, workitem)
            .saying(format!("retrieved {}", workitem.uid))
    }

    /// Answers a search.
    ///
    /// # Errors
    /// [`Error::TooBroad`].
    pub fn search(&self, question: &Question, caller: &Caller) -> Result<Page, Error> {
        search::search(&*self.ledger, question, caller)
    }

    /// Whether the ledger can be read, whatever has become of single workitems.
    #[must_use]
    pub fn can_be_read(&self) -> bool {
        let nobodys = Uid::parse(GLOBAL_SUBSCRIPTION).map_err(|_| Fault::Other("no UID"));
        nobodys.is_ok_and(|nobodys| self.ledger.workitem(&nobodys).is_ok())
    }

    /// Tells all subscribers what has become of the server (SCP Status Change).
    ///
    /// # Errors
    /// When the subscribers cannot be read.
    pub fn tell_status(&self, status: ScpStatus) -> Result<(), Error> {
        let all = Uid::parse(GLOBAL_SUBSCRIPTION).map_err(|_| Fault::Other("no UID"))?;
        let report = event::scp_status(status, &all);
        for ae in self.ledger.all_subscribers()? {
            self.courier.carry(&ae, &report);
        }
        Ok(())
    }

    fn order(&self) -> MutexGuard<'_, ()> {
        // It guards no data that a panic could have left half done.
        self.order.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn carry(&self, subscribers: &[Subscriber], reports: &[EventReport]) {
        for subscriber in subscribers {
            for report in reports {
                self.courier.carry(&subscriber.ae, report);
            }
        }
    }

    /// The record of something done to a workitem (PS3.15 §A.5.3.13, Procedure Record).
    fn audit(&self, caller: &Caller, action: ActionCode, workitem: &Workitem) -> AuditRecord {
        let actor = caller.actor.clone();
        let record = AuditRecord::new(Event::ProcedureRecord, action, actor, now_ms())
            .on(format!("workitem {}", workitem.uid))
            .of_patient(&*workitem.patient_id);
        workitem.studies.iter().fold(record, AuditRecord::about)
    }

    /// Records that something was refused, and gives the error of it.
    fn refused(&self, caller: &Caller, workitem: &Workitem, what: &str, refusal: Refusal) -> Error {
        let record = self
            .audit(caller, ActionCode::Update, workitem)
            .ended(AuditOutcome::MinorFailure)
            .saying(format!("{what} refused: {:04X}", refusal.status()));
        match self.ledger.record(&record) {
            Ok(()) => refusal.into(),
            Err(error) => error.into(),
        }
    }
}

fn now_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

/// This moment as DT in UTC, to the millisecond: `20260102101112.345+0000`.
fn moment() -> String {
    let moment = jiff::Timestamp::from_millisecond(now_ms()).unwrap_or_default();
    format!("{moment:.3}")
        .chars()
        .filter(|c| c.is_ascii_digit() || *c == '.')
        .chain("+0000".chars())
        .collect()
}

#[cfg(test)]
pub(crate) mod tests;
