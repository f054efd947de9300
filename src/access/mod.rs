//! Who asks, and what they may see. Every way into the archive needs a [`Scope`]; a door gets one
//! from [`policy`], never from the request.
//!
//! [`Desk`] lets people in: by an account and its passcode, by the session that began so, or by an API
//! token; what readers see was given to them ([`grant`]). Whatever they do to a study is in the audit trail ([`audit`]). Time comes in as an argument,
//! in milliseconds since 1970 UTC.

pub mod account;
pub mod audit;
mod desk;
mod email;
pub mod found;
pub mod grant;
pub mod inbox;
pub mod ledger;
pub mod message;
pub mod passcode;
mod principal;
pub mod register;
mod role;
pub mod secret;
mod throttle;
pub mod trail;
mod turns;

use std::collections::BTreeMap;

pub use audit::AuditRecord;
pub(crate) use desk::taken_back;
pub use desk::{
    Allowance, ChangeError, Desk, Entered, GivenTo, Giving, GrantError, LinkError, Lock, Opened,
    Recognized, Settings, SignIn, SignInError, Stay, To,
};
pub use email::{Email, NoEmail};
pub use found::Found;
pub use grant::{Grant, GrantLedger, Holder, Right};
pub use inbox::{Inbox, InboxLedger};
pub use ledger::{AccessError, AccessLedger, AuditLedger, LedgerError, LedgerFlaw};
pub use principal::{Means, Principal, Refused, policy};
pub use register::{Register, RegisterError};
pub use role::{Action, NoRole, Role, Roles};
pub use throttle::network;

use crate::dicom::{Uid, sop_class};

/// How much of a study a caller may see.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum View {
    /// All but its reports ([`sop_class::is_report`]): for them these do not exist, so that they read blind.
    WithoutReports,
    /// All of it.
    Whole,
}

/// What a caller may see and touch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// The whole archive.
    All,
    /// These studies and nothing else: neither their existence nor their number.
    Studies(BTreeMap<Uid, View>),
    /// Nothing.
    Nothing,
}

impl Scope {
    /// These studies, each as a whole.
    pub fn of(studies: impl IntoIterator<Item = Uid>) -> Self {
        Self::Studies(studies.into_iter().map(|uid| (uid, View::Whole)).collect())
    }

    /// How much of a study is inside; `None` when it is not there for this caller.
    #[must_use]
    pub fn view(&self, study_instance_uid: &Uid) -> Option<View> {
        match self {
            Self::All => Some(View::Whole),
            Self::Studies(studies) => studies.get(study_instance_uid).copied(),
            Self::Nothing => None,
        }
    }

    /// Whether a study is inside, or some of it.
    #[must_use]
    pub fn holds(&self, study_instance_uid: &Uid) -> bool {
        self.view(study_instance_uid).is_some()
    }

    /// Whether some studies are inside without their reports.
    #[must_use]
    pub fn is_blind(&self) -> bool {
        match self {
            Self::Studies(studies) => studies.values().any(|view| *view == View::WithoutReports),
            Self::All | Self::Nothing => false,
        }
    }
}

impl View {
    /// Whether instances of this SOP class are there for the caller.
    #[must_use]
    pub fn shows(self, sop_class_uid: &str) -> bool {
        self == Self::Whole || !sop_class::is_report(sop_class_uid)
    }
}
