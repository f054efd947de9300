//! Subscriptions (PS3.4 §CC.2.3, Table CC.2.3-2): to one workitem, or the Global Subscription State of an AE, of which
//! a filter is a part. An AE has one at most: a new one takes the place of the old, and to unsubscribe globally ends
//! all that the AE is subscribed to.

use super::attributes::Fault;
use super::event;
use super::ledger::{DeletionLock, GlobalSubscription, Subscriber};
use super::search::{self, filter_keys};
use super::workitem::Workitem;
use super::{
    Caller, Error, FILTERED_GLOBAL_SUBSCRIPTION, GLOBAL_SUBSCRIPTION, Warning, Worklist, now_ms,
};
use crate::access::audit::{ActionCode, AuditRecord, Event};
use crate::access::{LedgerError, Scope};
use crate::dicom::{AeTitle, Uid};

/// So many AEs may be subscribed to anything at once.
const SUBSCRIBERS_MAX: usize = 1000;

/// The most initial reports of one Global Subscription.
const INITIAL_REPORTS_MAX: usize = 2000;

/// What is subscribed to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// One workitem.
    Workitem(Uid),
    /// All of them, now and later, that satisfy these `attribute=value` keys; all when there are none.
    All(Vec<(String, String)>),
}

impl Target {
    /// What the UID in a request means (PS3.18 §11.10): a workitem, or one of the well-known instances.
    ///
    /// # Errors
    /// Only a Filtered Global Subscription has a filter, and it has to have one.
    pub fn of(uid: &Uid, filter: Vec<(String, String)>) -> Result<Self, Fault> {
        match (uid.as_str(), filter.is_empty()) {
            (FILTERED_GLOBAL_SUBSCRIPTION, false) | (GLOBAL_SUBSCRIPTION, true) => {
                Ok(Self::All(filter))
            }
            (FILTERED_GLOBAL_SUBSCRIPTION, true) => Err(Fault::Other(
                "a Filtered Global Subscription needs a filter",
            )),
            (_, true) => Ok(Self::Workitem(uid.clone())),
            (_, false) => Err(Fault::Other(
                "only 1.2.840.10008.5.1.4.34.5.1, the Filtered Global Subscription, has a filter",
            )),
        }
    }
}

impl Worklist {
    /// Subscribes an AE. Of one workitem it is told the state at once; with lock also of all that a Global
    /// Subscription takes in.
    ///
    /// # Errors
    /// [`Error::Forbidden`]; [`Error::NotFound`]; [`Error::Invalid`] when the filter is wrong; [`Error::TooBroad`];
    /// [`LedgerError::Busy`] when too many AEs are subscribed.
    pub fn subscribe(
        &self,
        target: &Target,
        subscriber: &Subscriber,
        caller: &Caller,
    ) -> Result<Option<Warning>, Error> {
        if !caller.may_receive_for(&subscriber.ae) {
            return Err(Error::Forbidden);
        }
        let _order = self.order();
        let known = self.ledger.all_subscribers()?;
        if known.len() >= SUBSCRIBERS_MAX && !known.contains(&subscriber.ae) {
            return Err(LedgerError::Busy("too many subscribers").into());
        }
        let audit = record(caller, ActionCode::Create, &subscriber.ae);
        match target {
            Target::Workitem(uid) => {
                let workitem = self.retrieve(uid, caller)?;
                let audit = audit.saying(format!("subscribed to {uid}"));
                self.ledger.subscribe(uid, subscriber, &audit)?;
                self.report_state(&subscriber.ae, &workitem)?;
                Ok(None)
            }
            Target::All(filter) => self.subscribe_globally(filter, subscriber, caller, audit),
        }
    }

    fn subscribe_globally(
        &self,
        filter: &[(String, String)],
        subscriber: &Subscriber,
        caller: &Caller,
        audit: AuditRecord,
    ) -> Result<Option<Warning>, Error> {
        // What comes later may be of any study.
        if caller.scope != Scope::All {
            return Err(Error::Forbidden);
        }
        let keys = filter_keys(filter).map_err(Fault::Filter)?;
        let workitems = search::matching(&*self.ledger, &keys, caller)?;
        let global = GlobalSubscription {
            subscriber: subscriber.clone(),
            filter: filter.to_vec(),
        };
        let audit = audit.saying("subscribed globally");
        self.ledger
            .subscribe_globally(&global, &workitems, &audit)?;
        if subscriber.lock == DeletionLock::None {
            return Ok(None);
        }
        for uid in workitems.iter().take(INITIAL_REPORTS_MAX) {
            let read = self.ledger.workitem(uid).map_err(Error::from);
            let told = read.and_then(|workitem| match workitem {
                Some(workitem) => self.report_state(&subscriber.ae, &workitem),
                None => Ok(()),
            });
            match told {
                Ok(()) => {}
                Err(Error::Ledger(error @ LedgerError::Broken(_))) => {
                    tracing::warn!(%error, "a workitem cannot be read, and its state is told to nobody");
                }
                Err(error) => return Err(error),
            }
        }
        Ok((workitems.len() > INITIAL_REPORTS_MAX).then_some(Warning::ReportsLeftOut))
    }

    /// Ends a subscription; that to all workitems with every other of the AE.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is none.
    pub fn unsubscribe(&self, uid: &Uid, ae: &AeTitle, caller: &Caller) -> Result<(), Error> {
        if !caller.may_receive_for(ae) {
            return Err(Error::Forbidden);
        }
        let _order = self.order();
        let audit = record(caller, ActionCode::Delete, ae);
        let is_ended = if is_global(uid) {
            let audit = audit.saying("unsubscribed globally");
            self.ledger.unsubscribe_globally(ae, &audit)?
        } else {
            self.retrieve(uid, caller)?;
            let audit = audit.saying(format!("unsubscribed from {uid}"));
            self.ledger.unsubscribe(uid, ae, &audit)?
        };
        if !is_ended {
            return Err(Error::NotFound);
        }
        if !self.ledger.all_subscribers()?.contains(ae) {
            self.courier.forget(ae);
        }
        Ok(())
    }

    /// Ends the Global Subscription State of an AE; what it is subscribed to by now it stays subscribed to.
    ///
    /// # Errors
    /// [`Error::NotFound`] when it has none, or the UID is not that of a Global Subscription.
    pub fn suspend(&self, uid: &Uid, ae: &AeTitle, caller: &Caller) -> Result<(), Error> {
        if !caller.may_receive_for(ae) {
            return Err(Error::Forbidden);
        }
        let _order = self.order();
        let audit = record(caller, ActionCode::Update, ae).saying("suspended globally");
        if is_global(uid) && self.ledger.suspend(ae, &audit)? {
            Ok(())
        } else {
            Err(Error::NotFound)
        }
    }

    /// Those whose Global Subscription takes in a new workitem. A filter that is none any more takes in nothing.
    pub(super) fn subscribers_of_new(&self, workitem: &Workitem) -> Result<Vec<Subscriber>, Error> {
        let globals = self.ledger.global_subscriptions()?;
        let takes_in = |global: &GlobalSubscription| {
            filter_keys(&global.filter).is_ok_and(|keys| search::holds(&keys, workitem))
        };
        let those = globals.into_iter().filter(takes_in);
        Ok(those.map(|global| global.subscriber).collect())
    }

    fn report_state(&self, ae: &AeTitle, workitem: &Workitem) -> Result<(), Error> {
        let report = event::state_report(&workitem.uid, &workitem.dataset()?);
        self.courier.carry(ae, &report);
        Ok(())
    }
}

fn is_global(uid: &Uid) -> bool {
    [GLOBAL_SUBSCRIPTION, FILTERED_GLOBAL_SUBSCRIPTION].contains(&uid.as_str())
}

fn record(caller: &Caller, action: ActionCode, ae: &AeTitle) -> AuditRecord {
    AuditRecord::new(
        Event::ProcedureRecord,
        action,
        caller.actor.clone(),
        now_ms(),
    )
    .on(format!("subscriber {ae}"))
}
