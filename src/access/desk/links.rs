//! Grants at the desk: made for a case and taken back, and links opened.
//!
//! A link that is unknown, has expired, was revoked, is used up or locked is the same to whoever tries it: the same
//! words after the same work. Where a PIN is given, one check of a hash is done for any link.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Desk, SignInError};
use crate::access::View;
use crate::access::account::{AccountName, NoName};
use crate::access::audit::{ActionCode, Actor, AuditOutcome, AuditRecord, Event, EventType};
use crate::access::grant::{
    Given, Grant, Holder, LABEL_BYTES_MAX, NewGrant, Opening, PIN_CHARS, Right, STUDIES_MAX,
    TIME_MAX_MS,
};
use crate::access::inbox::{Inbox, NO_CASE, Purpose};
use crate::access::ledger::{AccessError, LedgerError};
use crate::access::passcode::{Hash, HashError, TOO_MANY};
use crate::access::principal::{Means, Principal};
use crate::access::role::Roles;
use crate::access::secret::{NoRandomness, Secret};
use crate::dicom::Uid;

/// Whom something shall be given to.
#[derive(Debug, Clone)]
pub enum To {
    /// The owner of an account.
    Account(String),
    /// Whoever has a new link.
    Link {
        /// That they have to know too.
        pin: Option<String>,
    },
    /// Whoever has a new link, to read the case: what they see of it follows from their task.
    Reader {
        /// That they have to know too.
        pin: Option<String>,
    },
    /// Whoever has a new link, to bring studies, into the case or before there is one.
    Inbox(Purpose),
}

/// What shall be given. That the giver may give it is the caller's to see to.
#[derive(Debug, Clone)]
pub struct Giving {
    /// The number of the case; [`NO_CASE`] of an inbox that has none yet.
    pub case: i64,
    /// To whom.
    pub to: To,
    /// What, and how much of it.
    pub studies: BTreeMap<Uid, View>,
    /// Nothing is opened before.
    pub not_before_ms: i64,
    /// Nor from then on.
    pub expires_ms: i64,
    /// How often a link may be opened.
    pub opens_max: Option<u32>,
    /// What may be had of it.
    pub right: Right,
    /// Whom it is meant for, in words.
    pub label: String,
}

/// What was given.
#[derive(Debug)]
pub struct GivenTo {
    /// The number of the grant.
    pub id: i64,
    /// For the link: nobody can tell it again.
    pub secret: Option<Secret>,
}

/// Why nothing is given.
#[derive(Debug, thiserror::Error)]
pub enum GrantError {
    /// What is asked for makes no sense.
    #[error("{0}")]
    Invalid(&'static str),
    /// Who does not have to sign in cannot be kept from anything.
    #[error(
        "nobody has to sign in here, so nothing can be given to some only: make an account first"
    )]
    Open,
    /// No such account; too many.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// No random numbers.
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
}

impl From<LedgerError> for GrantError {
    fn from(error: LedgerError) -> Self {
        AccessError::from(error).into()
    }
}

impl From<NoName> for GrantError {
    fn from(_: NoName) -> Self {
        AccessError::NotFound("there is no such account").into()
    }
}

impl From<HashError> for GrantError {
    fn from(error: HashError) -> Self {
        match error {
            HashError::NoRandomness => NoRandomness.into(),
            HashError::Busy => LedgerError::Busy(TOO_MANY).into(),
            _ => Self::Invalid("the PIN is too long"),
        }
    }
}

/// Why a link does not open.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// Unknown, expired, not good yet, revoked, used up or locked: which one is not told.
    #[error("this link opens nothing, or not any more")]
    Gone,
    /// Not the PIN.
    #[error("the PIN is wrong")]
    WrongPin,
    /// As when signing in.
    #[error(transparent)]
    Entry(#[from] SignInError),
}

impl From<LedgerError> for LinkError {
    fn from(error: LedgerError) -> Self {
        SignInError::from(error).into()
    }
}

/// What is known of a link before it is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lock {
    /// Whether it wants a PIN.
    pub has_pin: bool,
    /// Whether studies are brought by it.
    pub is_inbox: bool,
}

/// Somebody who has opened a link.
#[derive(Debug)]
pub struct Opened {
    /// For the cookie.
    pub secret: Secret,
    /// Who it is.
    pub principal: Principal,
    /// The number of the case.
    pub case: i64,
    /// Whether they come to read it, rather than to see studies of it.
    pub is_reader: bool,
    /// Whether they come to bring studies.
    pub is_inbox: bool,
}

impl Desk {
    /// Gives studies of a case to somebody. On return it is durable, and in the trail. Blocks.
    ///
    /// # Errors
    /// When it makes no sense, or cannot be kept.
    pub fn give(&self, giving: Giving, by: &Actor, now_ms: i64) -> Result<GivenTo, GrantError> {
        if self.is_open(now_ms)? {
            return Err(GrantError::Open);
        }
        check(&giving)?;
        let secret = match &giving.to {
            To::Account(_) => None,
            To::Link { .. } | To::Reader { .. } | To::Inbox(_) => Some(Secret::new()?),
        };
        let digest = || secret.as_ref().map(Secret::digest).ok_or(NoRandomness);
        let inbox = match &giving.to {
            To::Inbox(purpose) => Some((by.name.as_str().into(), purpose.clone())),
            To::Account(_) | To::Link { .. } | To::Reader { .. } => None,
        };
        let holder = match giving.to {
            To::Account(name) => Holder::Account(AccountName::parse(&name)?),
            To::Link { pin } | To::Reader { pin } => Holder::Link {
                digest: digest()?,
                pin: match pin {
                    Some(pin) => Some(Hash::in_turn(pin.as_bytes())?.to_string()),
                    None => None,
                },
            },
            To::Inbox(_) => Holder::Inbox { digest: digest()? },
        };
        let whom = match &holder {
            Holder::Account(name) => format!("account {name}"),
            Holder::Link { pin: Some(_), .. } => "a link with a PIN".into(),
            Holder::Link { pin: None, .. } => "a link".into(),
            Holder::Inbox { .. } => "an inbox".into(),
        };
        let blind = giving.studies.values();
        let blind = blind.filter(|view| **view != View::Whole).count();
        let audit = changed(ActionCode::Create, by, now_ms, giving.case).saying(format!(
            "given to {whom}: {}, {blind} without reports, until {}",
            giving.right.word(),
            giving.expires_ms
        ));
        let studies = giving.studies.keys();
        let audit = studies.fold(audit, |audit, study| audit.about(study));
        let new = NewGrant {
            case: giving.case,
            holder,
            studies: giving.studies,
            not_before_ms: giving.not_before_ms,
            expires_ms: giving.expires_ms,
            opens_max: giving.opens_max,
            right: giving.right,
            label: giving.label,
            issued_ms: now_ms,
            inbox,
        };
        let id = self.ledger.add_grant(&new, &audit)?;
        Ok(GivenTo { id, secret })
    }

    /// Takes back what was given, at once. Blocks.
    ///
    /// # Errors
    /// [`AccessError::NotFound`].
    pub fn take_back(&self, grant: &Grant, by: &Actor, now_ms: i64) -> Result<(), AccessError> {
        self.ledger
            .revoke_grant(grant.id, now_ms, &taken_back(grant, by, now_ms))
    }

    /// Takes a study that comes by an inbox into its case, before anything of it is kept. Blocks.
    ///
    /// # Errors
    /// [`AccessError::NotFound`] when the inbox was closed meanwhile, [`AccessError::TooMany`].
    pub fn take_in(
        &self,
        inbox: i64,
        study: &Uid,
        by: &Actor,
        now_ms: i64,
    ) -> Result<(), AccessError> {
        let audit = AuditRecord::new(
            Event::InstancesTransferred,
            ActionCode::Create,
            by.clone(),
            now_ms,
        )
        .on(format!("grant {inbox}"))
        .about(study);
        self.ledger.add_study(inbox, study, View::Whole, &audit)
    }

    /// Says which case was opened of an inbox. Blocks.
    ///
    /// # Errors
    /// [`AccessError::NotFound`] when it has one already.
    pub fn tie(
        &self,
        inbox: &Inbox,
        case: i64,
        by: &Actor,
        now_ms: i64,
    ) -> Result<(), AccessError> {
        let id = inbox.grant.id;
        let audit = changed(ActionCode::Update, by, now_ms, case)
            .saying(format!("opened of what came by the inbox {id}"));
        let studies = inbox.grant.studies.keys();
        let audit = studies.fold(audit, |audit, study| audit.about(study));
        self.ledger.tie_inbox(id, case, &audit)
    }

    /// Notes that the holder of an inbox says to have sent everything. Blocks.
    ///
    /// # Errors
    /// [`AccessError::NotFound`].
    pub fn finish(&self, inbox: i64, by: &Actor, now_ms: i64) -> Result<(), AccessError> {
        let event = Event::OrderRecord;
        let audit = AuditRecord::new(event, ActionCode::Update, by.clone(), now_ms)
            .on(format!("grant {inbox}"))
            .saying("says that everything was sent");
        self.ledger.finish_inbox(inbox, now_ms, &audit)
    }

    /// Whether a link can be opened at all, and what it wants; `None` when it cannot. Blocks.
    ///
    /// # Errors
    /// When the ledger fails.
    pub fn link(
        &self,
        token: &str,
        address: &str,
        now_ms: i64,
    ) -> Result<Option<Lock>, LedgerError> {
        let grant = self.grant_of(token, now_ms)?;
        if grant.is_none() {
            self.note(None, address, "a link that opens nothing", now_ms)?;
        }
        Ok(grant.map(|grant| Lock {
            has_pin: matches!(grant.holder, Holder::Link { pin: Some(_), .. }),
            is_inbox: matches!(grant.holder, Holder::Inbox { .. }),
        }))
    }

    fn grant_of(&self, token: &str, now_ms: i64) -> Result<Option<Grant>, LedgerError> {
        let Some(secret) = Secret::parse(token) else {
            return Ok(None);
        };
        let grant = self.ledger.grant_by_digest(&secret.digest())?;
        Ok(grant.filter(|grant| grant.can_open(now_ms, self.settings.pin_tries_max)))
    }

    /// Opens a link: begins a session of its grant. `network` is what `address` is throttled as. Blocks.
    ///
    /// # Errors
    /// [`LinkError`]; whatever it is, it is in the trail when this returns.
    pub fn open_link(
        &self,
        token: &str,
        pin: Option<&str>,
        (address, network): (&str, &str),
        now_ms: i64,
    ) -> Result<Opened, LinkError> {
        // One at a time: of two who guess at once, the second is counted before it is checked.
        let mut checking = self.checking.wait().ok_or(SignInError::Busy)?;
        let (throttle, workspace) = &mut *checking;
        let grant = self.grant_of(token, now_ms)?;
        let slot = match &grant {
            Some(grant) => AccountName::of_link(grant.id).to_string(),
            None => format!("no link {network}"),
        };
        if let Some(wait_s) = throttle.wait_s(&slot, network, now_ms) {
            self.note(grant.as_ref(), address, "too many tries", now_ms)?;
            return Err(SignInError::Throttled(wait_s).into());
        }
        let kept = match grant.as_ref().map(|grant| &grant.holder) {
            Some(Holder::Link { pin: Some(pin), .. }) => Some(Hash::parse(pin).ok()),
            _ => None,
        };
        let hash = kept.as_ref().and_then(Option::as_ref);
        let is_right = match (&kept, pin) {
            (None, None) => true,
            // Nobody has guessed.
            (Some(_), None) => return Err(LinkError::WrongPin),
            (kept, Some(pin)) => {
                let is_it = hash.unwrap_or(&self.decoy).is_of(pin.as_bytes(), workspace);
                kept.is_none() || (is_it && hash.is_some())
            }
        };
        let Some(grant) = grant else {
            throttle.failed(&slot, network, now_ms);
            self.note(None, address, "a link that opens nothing", now_ms)?;
            return Err(LinkError::Gone);
        };
        if !is_right {
            throttle.failed(&slot, network, now_ms);
            return Err(self.wrong_pin(&grant, address, now_ms));
        }
        throttle.succeeded(&slot);
        drop(checking);
        let secret = Secret::new().map_err(SignInError::from)?;
        let principal = self.principal_of(&grant, &secret)?;
        let audit = AuditRecord::new(
            Event::UserAuthentication,
            ActionCode::Execute,
            principal.actor(address),
            now_ms,
        )
        .of_type(EventType::Login)
        .on(of_case(grant.case))
        .saying(grant.label.clone());
        let opening = Opening {
            digest: secret.digest(),
            grant: grant.id,
            at_ms: now_ms,
            expires_ms: now_ms
                .saturating_add(self.settings.session_max_ms)
                .min(grant.expires_ms),
            pin_tries_max: self.settings.pin_tries_max,
        };
        match self.ledger.note_opening(&opening, &audit) {
            Ok(()) => Ok(Opened {
                secret,
                principal,
                case: grant.case,
                is_reader: grant.is_reader(),
                is_inbox: matches!(grant.holder, Holder::Inbox { .. }),
            }),
            Err(AccessError::Ledger(error)) => Err(error.into()),
            // Somebody was faster, or it was revoked meanwhile.
            Err(_) => {
                self.note(None, address, "a link that opens nothing", now_ms)?;
                Err(LinkError::Gone)
            }
        }
    }

    fn wrong_pin(&self, grant: &Grant, address: &str, now_ms: i64) -> LinkError {
        let audit = tried(Some(grant), address, now_ms).saying("a wrong PIN");
        let failures = match self.ledger.note_wrong_pin(grant.id, &audit) {
            Ok(failures) => failures,
            Err(AccessError::Ledger(error)) => return error.into(),
            Err(_) => return LinkError::Gone,
        };
        if failures < self.settings.pin_tries_max {
            return LinkError::WrongPin;
        }
        let locked = tried(Some(grant), address, now_ms)
            .ended(AuditOutcome::SeriousFailure)
            .saying("the link is locked: too many wrong PINs");
        match self.ledger.record(&locked) {
            Ok(()) => LinkError::WrongPin,
            Err(error) => error.into(),
        }
    }

    fn note(
        &self,
        grant: Option<&Grant>,
        address: &str,
        why: &str,
        now_ms: i64,
    ) -> Result<(), LedgerError> {
        self.record_once(&tried(grant, address, now_ms).saying(why), now_ms)
    }

    /// Who it is whose session began by a link; `None` when either is over.
    pub(super) fn by_grant_session(
        &self,
        secret: &Secret,
        now_ms: i64,
    ) -> Result<Option<Principal>, LedgerError> {
        let found = self.ledger.grant_session(&secret.digest())?;
        let good =
            found.filter(|(grant, expires_ms)| grant.is_live(now_ms) && now_ms < *expires_ms);
        good.map(|(grant, _)| self.principal_of(&grant, secret))
            .transpose()
    }

    /// What an account was given, when it is a reader's: others see what they see without it.
    pub(super) fn given(
        &self,
        account: &str,
        roles: Roles,
        now_ms: i64,
    ) -> Result<Option<Arc<Given>>, LedgerError> {
        if !roles.are_given() {
            return Ok(None);
        }
        let grants = self.ledger.grants_of_account(account, now_ms)?;
        let of_cases = self.ledger.case_views(account)?;
        let given = Given::of(&grants).and(of_cases, Right::Download);
        Ok(Some(Arc::new(given)))
    }

    /// Who holds the link of a grant. What they see follows from the grant and, of a reader, from their task.
    fn principal_of(&self, grant: &Grant, secret: &Secret) -> Result<Principal, LedgerError> {
        let digest = secret.digest();
        let (roles, means) = match grant.holder {
            Holder::Inbox { .. } => (Roles::NONE, Means::Inbox(digest, grant.id)),
            _ if grant.is_reader() => (Roles::READER, Means::Reader(digest, grant.id)),
            Holder::Account(_) | Holder::Link { .. } => {
                (Roles::READER, Means::Link(digest, grant.id))
            }
        };
        let name = AccountName::of_link(grant.id);
        let mut given = Given::of([grant]);
        if grant.is_reader() {
            given = given.and(self.ledger.case_views(name.as_str())?, grant.right);
        }
        Ok(Principal {
            name: name.as_str().into(),
            roles,
            studies: None,
            given: Some(Arc::new(given)),
            means,
        })
    }
}

fn tried(grant: Option<&Grant>, address: &str, now_ms: i64) -> AuditRecord {
    let actor = Actor {
        name: grant.map_or_else(
            || "unknown".into(),
            |grant| AccountName::of_link(grant.id).to_string(),
        ),
        means: String::new(),
        address: address.into(),
    };
    AuditRecord::new(
        Event::UserAuthentication,
        ActionCode::Execute,
        actor,
        now_ms,
    )
    .of_type(EventType::Login)
    .ended(AuditOutcome::MinorFailure)
}

/// The record of a grant that is taken back.
pub(crate) fn taken_back(grant: &Grant, by: &Actor, now_ms: i64) -> AuditRecord {
    let audit = changed(ActionCode::Delete, by, now_ms, grant.case)
        .saying(format!("grant {} taken back", grant.id));
    let studies = grant.studies.keys();
    studies.fold(audit, |audit, study| audit.about(study))
}

fn changed(action: ActionCode, by: &Actor, now_ms: i64, case: i64) -> AuditRecord {
    AuditRecord::new(Event::SecurityAlert, action, by.clone(), now_ms)
        .of_type(EventType::ObjectSecurityAttributesChanged)
        .on(of_case(case))
}

fn of_case(case: i64) -> String {
    match case {
        NO_CASE => "no case yet".into(),
        case => format!("case {case}"),
    }
}

fn check(giving: &Giving) -> Result<(), GrantError> {
    let invalid = |text| Err(GrantError::Invalid(text));
    let may_be_none = matches!(giving.to, To::Inbox(_));
    if giving.case < 1 && !(may_be_none && giving.case == NO_CASE) {
        return invalid("a case has a number from 1");
    }
    if let To::Inbox(purpose) = &giving.to
        && let Some(fault) = purpose.fault()
    {
        return invalid(fault);
    }
    if giving.studies.len() > STUDIES_MAX {
        return invalid("a grant is of 1000 studies at most");
    }
    if giving.expires_ms <= giving.not_before_ms {
        return invalid("a grant expires after it begins");
    }
    if giving.expires_ms.saturating_sub(giving.not_before_ms) > TIME_MAX_MS {
        return invalid("a grant is good for 366 days at most");
    }
    if giving.label.len() > LABEL_BYTES_MAX || giving.label.chars().any(char::is_control) {
        return invalid("a label is one line of 128 bytes at most");
    }
    let is_link = !matches!(giving.to, To::Account(_));
    if giving.opens_max == Some(0) || (giving.opens_max.is_some() && !is_link) {
        return invalid("a link may be opened once or more often; an account is not opened");
    }
    match &giving.to {
        To::Link { pin: Some(pin) } | To::Reader { pin: Some(pin) }
            if !PIN_CHARS.contains(&pin.chars().count()) =>
        {
            invalid("a PIN has 4 to 64 characters")
        }
        To::Inbox(_) if !giving.studies.is_empty() => {
            invalid("an inbox begins empty: what comes by it is its own")
        }
        To::Reader { .. } if !giving.studies.is_empty() => {
            invalid("what a reader sees follows from the task")
        }
        To::Inbox(_) | To::Reader { .. } => Ok(()),
        To::Link { .. } | To::Account(_) if giving.studies.is_empty() => {
            invalid("nothing is given: name a study")
        }
        To::Link { .. } | To::Account(_) => Ok(()),
    }
}
