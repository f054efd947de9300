//! The front desk: who may come in, by what, and for how long.
//!
//! A wrong name and a wrong passcode are the same: both cost one check of a hash, both count against name and
//! address, both are told in the same words. Hashes are checked one at a time, so that a crowd of guessers takes
//! one core and 19 MiB, whatever it sends.

mod allowance;
mod links;
mod own;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::access::account::{Account, AccountName, NewSession};
use crate::access::audit::{ActionCode, Actor, AuditOutcome, AuditRecord, Event, EventType};
use crate::access::ledger::{AccessError, AccessLedger, LedgerError};
use crate::access::passcode::{Hash, Workspace};
use crate::access::principal::{Means, Principal};
use crate::access::secret::{Digest, NoRandomness, Secret};
use crate::access::throttle::{Throttle, network};
use crate::access::turns::Turns;

use allowance::Running;
pub use allowance::{Allowance, Stay};
pub(crate) use links::taken_back;
pub use links::{GivenTo, Giving, GrantError, LinkError, Lock, Opened, To};
pub use own::ChangeError;

/// How long it may take until a first account, made beside us, is seen.
const LOOK_MS: i64 = 500;
/// A session is noted as used when it was not for so long.
const TOUCH_MS: i64 = 60_000;
/// What somebody does to a study again within this time has no further row in the trail.
const AGAIN_MS: i64 = 600_000;
/// So many are remembered for that; then all are forgotten, which costs rows and loses none.
const REMEMBERED_MAX: usize = 20_000;

/// Whether people have to sign in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignIn {
    /// As soon as there is an account.
    Auto,
    /// Always: without an account nobody comes in.
    Required,
    /// Never.
    Off,
}

/// The `[access]` section of the configuration, checked.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// Whether people have to sign in.
    pub sign_in: SignIn,
    /// A session that is not used for so long ends.
    pub session_idle_ms: i64,
    /// A session ends after so long.
    pub session_max_ms: i64,
    /// So many wrong PINs lock a link.
    pub pin_tries_max: u32,
    /// So much may come by one inbox in all. Bytes.
    pub inbox_bytes_max: u64,
}

/// Why somebody does not come in.
#[derive(Debug, thiserror::Error)]
pub enum SignInError {
    /// No such account, not its passcode, or not enabled: which one is not told.
    #[error("the name or the passcode is wrong")]
    Wrong,
    /// Too many failures: to be tried again after so many seconds.
    #[error("too many failures; try again in {0} s")]
    Throttled(u32),
    /// Too many at once.
    #[error("too many sign in at once")]
    Busy,
    /// The ledger failed.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// No random numbers.
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
}

/// Somebody who has come in: a session, its secret known to nobody else.
#[derive(Debug)]
pub struct Entered {
    /// For the cookie.
    pub secret: Secret,
    /// Who it is.
    pub principal: Principal,
}

/// Somebody whose session goes on.
#[derive(Debug)]
pub struct Recognized {
    /// Who it is.
    pub principal: Principal,
    /// Whether that it is used should be noted again.
    pub is_due: bool,
}

/// The digest of what has a row in the trail already.
type Done = [u8; 32];

/// Lets people in.
pub struct Desk {
    ledger: Arc<dyn AccessLedger>,
    settings: Settings,
    /// What a passcode is checked against when there is no such account.
    decoy: Hash,
    checking: Turns<(Throttle, Workspace)>,
    /// Whether there is an account; there is no way back.
    has_accounts: AtomicBool,
    looked_ms: AtomicI64,
    remembered: Mutex<HashMap<Done, i64>>,
    /// The inboxes by which requests run.
    bringing: Mutex<HashMap<i64, Running>>,
}

impl Desk {
    /// Opens the desk.
    ///
    /// # Errors
    /// When the ledger cannot be read, or there are no random numbers.
    pub fn open(ledger: Arc<dyn AccessLedger>, settings: Settings) -> Result<Self, SignInError> {
        let decoy = Secret::new()?.text();
        let decoy = Hash::of(decoy.as_bytes()).map_err(|_| NoRandomness)?;
        let has_accounts = ledger.has_accounts()?;
        Ok(Self {
            ledger,
            settings,
            decoy,
            checking: Turns::new((Throttle::new()?, Workspace::default())),
            has_accounts: AtomicBool::new(has_accounts),
            looked_ms: AtomicI64::new(0),
            remembered: Mutex::default(),
            bringing: Mutex::default(),
        })
    }

    /// The ledger below.
    #[must_use]
    pub fn ledger(&self) -> &dyn AccessLedger {
        &*self.ledger
    }

    /// The settings.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Whether nobody has to sign in. A first account that is made beside us closes the door within half a second.
    ///
    /// # Errors
    /// When the ledger cannot be read: then nobody comes in.
    pub fn is_open(&self, now_ms: i64) -> Result<bool, LedgerError> {
        match self.settings.sign_in {
            SignIn::Off => return Ok(true),
            SignIn::Required => return Ok(false),
            SignIn::Auto => {}
        }
        if self.has_accounts.load(Ordering::Acquire) {
            return Ok(false);
        }
        let looked_ms = self.looked_ms.load(Ordering::Acquire);
        if (looked_ms..looked_ms.saturating_add(LOOK_MS)).contains(&now_ms) {
            return Ok(true);
        }
        let has_accounts = self.ledger.has_accounts()?;
        if has_accounts {
            self.has_accounts.store(true, Ordering::Release);
        } else {
            self.looked_ms.store(now_ms, Ordering::Release);
        }
        Ok(!has_accounts)
    }

    /// Begins a session for whoever knows the passcode of an account. `network` is what `address` is throttled as: a
    /// machine's addresses may be many. Blocks for the check of a hash.
    ///
    /// # Errors
    /// [`SignInError::Wrong`] and [`SignInError::Throttled`] are in the trail when this returns.
    pub fn sign_in(
        &self,
        (name, passcode): (&str, &str),
        (address, network): (&str, &str),
        now_ms: i64,
    ) -> Result<Entered, SignInError> {
        let account = match AccountName::parse(name) {
            Ok(name) => self.ledger.account(name.as_str())?,
            Err(_) => None,
        };
        let name = name.to_ascii_lowercase();
        let is_right = match self.check(account.as_ref(), (&name, passcode), network, now_ms) {
            Err(SignInError::Throttled(wait_s)) => {
                self.note_throttled(self.tried(account.as_ref(), address), now_ms)?;
                return Err(SignInError::Throttled(wait_s));
            }
            checked => checked?,
        };
        let enabled = account
            .as_ref()
            .filter(|account| account.is_enabled && is_right);
        if let Some(account) = enabled
            && let Some(entered) = self.begin(account, address, now_ms)?
        {
            return Ok(entered);
        }
        let actor = self.tried(account.as_ref(), address);
        self.ledger.record(
            &AuditRecord::new(
                Event::UserAuthentication,
                ActionCode::Execute,
                actor,
                now_ms,
            )
            .of_type(EventType::Login)
            .ended(AuditOutcome::MinorFailure),
        )?;
        Err(SignInError::Wrong)
    }

    /// Tells the trail that somebody guesses.
    fn note_throttled(&self, who: Actor, now_ms: i64) -> Result<(), LedgerError> {
        let record = AuditRecord::new(Event::SecurityAlert, ActionCode::Execute, who, now_ms)
            .of_type(EventType::NodeAuthentication)
            .ended(AuditOutcome::SeriousFailure)
            .saying("too many failures to sign in");
        self.record_once(&record, now_ms)
    }

    /// Who is named in the trail when they do not come in. What was typed as the name of nobody may be a passcode.
    fn tried(&self, account: Option<&Account>, address: &str) -> Actor {
        Actor {
            name: account.map_or_else(|| "unknown".into(), |account| account.name.clone()),
            means: String::new(),
            address: address.into(),
        }
    }

    /// Whether the passcode is right; counts it when it is not.
    fn check(
        &self,
        account: Option<&Account>,
        (name, passcode): (&str, &str),
        network: &str,
        now_ms: i64,
    ) -> Result<bool, SignInError> {
        let mut checking = self.checking.wait().ok_or(SignInError::Busy)?;
        let (throttle, workspace) = &mut *checking;
        if let Some(wait_s) = throttle.wait_s(name, network, now_ms) {
            return Err(SignInError::Throttled(wait_s));
        }
        let kept = account.and_then(|account| Hash::parse(&account.passcode).ok());
        let is_there = kept.is_some();
        let hash = kept.as_ref().unwrap_or(&self.decoy);
        let is_right = hash.is_of(passcode.as_bytes(), workspace) && is_there;
        if is_right && account.is_some_and(|account| account.is_enabled) {
            throttle.succeeded(name);
        } else {
            throttle.failed(name, network, now_ms);
        }
        Ok(is_right)
    }

    /// Begins the session; `None` when the account was given another passcode, or disabled, while this one was checked.
    fn begin(
        &self,
        account: &Account,
        address: &str,
        now_ms: i64,
    ) -> Result<Option<Entered>, SignInError> {
        let secret = Secret::new()?;
        let principal = Principal {
            name: account.name.as_str().into(),
            roles: account.roles,
            studies: None,
            given: self.given(&account.name, account.roles, now_ms)?,
            means: Means::Session(secret.digest()),
        };
        let audit = AuditRecord::new(
            Event::UserAuthentication,
            ActionCode::Execute,
            principal.actor(address),
            now_ms,
        )
        .of_type(EventType::Login);
        let session = NewSession {
            digest: secret.digest(),
            account: account.id,
            passcode: account.passcode.clone(),
            begun_ms: now_ms,
            expires_ms: now_ms.saturating_add(self.settings.session_max_ms),
            idle_since_ms: now_ms.saturating_sub(self.settings.session_idle_ms),
        };
        match self.ledger.begin_session(&session, &audit) {
            Ok(()) => Ok(Some(Entered { secret, principal })),
            Err(AccessError::Ledger(error)) => Err(error.into()),
            Err(_) => Ok(None),
        }
    }

    /// Whose session this is; `None` when it has ended, or never was.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub fn by_session(
        &self,
        secret: &Secret,
        now_ms: i64,
    ) -> Result<Option<Recognized>, LedgerError> {
        let digest = secret.digest();
        let Some(session) = self.ledger.session(&digest)? else {
            let opened = self.by_grant_session(secret, now_ms)?;
            return Ok(opened.map(|principal| Recognized {
                principal,
                is_due: false,
            }));
        };
        let idle_max_ms = self.settings.session_idle_ms;
        let idle_ms = now_ms.saturating_sub(session.seen_ms);
        let is_good =
            session.account.is_enabled && now_ms < session.expires_ms && idle_ms < idle_max_ms;
        if !is_good {
            return Ok(None);
        }
        let account = session.account;
        Ok(Some(Recognized {
            principal: Principal {
                given: self.given(&account.name, account.roles, now_ms)?,
                name: account.name.into(),
                roles: account.roles,
                studies: None,
                means: Means::Session(digest),
            },
            is_due: idle_ms >= TOUCH_MS.min(idle_max_ms / 2),
        }))
    }

    /// Notes that a session is used: asked for when it [is due](Recognized::is_due). Blocks for a sync.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn touch(&self, secret: &Secret, now_ms: i64) -> Result<(), LedgerError> {
        self.ledger.touch_session(&secret.digest(), now_ms)
    }

    /// Whose API token this is; `None` when it is good for nothing.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub fn by_token(&self, text: &str, now_ms: i64) -> Result<Option<Principal>, LedgerError> {
        match Secret::parse_token(text) {
            Some(secret) => self.by_token_digest(&secret.digest(), now_ms),
            None => Ok(None),
        }
    }

    /// The same of a token that was seen before: whether it is still good.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub fn by_token_digest(
        &self,
        digest: &Digest,
        now_ms: i64,
    ) -> Result<Option<Principal>, LedgerError> {
        let token = self.ledger.token(digest)?;
        let Some(token) = token.filter(|token| token.is_good(now_ms)) else {
            return Ok(None);
        };
        // What was taken from the account is taken from its tokens.
        let roles = token.roles.within(token.account.roles);
        Ok(Some(Principal {
            roles,
            given: self.given(&token.account.name, roles, now_ms)?,
            name: token.account.name.into(),
            studies: token.studies.map(Arc::new),
            means: Means::Token(token.id),
        }))
    }

    /// Ends a session.
    ///
    /// # Errors
    /// [`AccessError::NotFound`] when it has ended before.
    pub fn sign_out(
        &self,
        principal: &Principal,
        address: &str,
        now_ms: i64,
    ) -> Result<(), AccessError> {
        let (Means::Session(digest)
        | Means::Link(digest, _)
        | Means::Reader(digest, _)
        | Means::Inbox(digest, _)) = &principal.means
        else {
            return Err(AccessError::NotFound("there is no such session"));
        };
        let audit = AuditRecord::new(
            Event::UserAuthentication,
            ActionCode::Execute,
            principal.actor(address),
            now_ms,
        )
        .of_type(EventType::Logout);
        match principal.means {
            Means::Session(_) => self.ledger.end_session(digest, &audit),
            _ => self.ledger.end_grant_session(digest, &audit),
        }
    }

    /// Whether a record tells of something new: the same was not written within ten minutes. A viewer asks for a study in
    /// thousands of requests, and somebody looked at it once.
    #[must_use]
    pub fn is_news(&self, record: &AuditRecord, now_ms: i64) -> bool {
        let remembered = lock(&self.remembered);
        let last_ms = remembered.get(&done(record)).copied();
        last_ms.is_none_or(|last_ms| !(last_ms..last_ms.saturating_add(AGAIN_MS)).contains(&now_ms))
    }

    /// Notes that a record was written: until then it stays news, for what could not be written is tried again.
    pub fn remember(&self, record: &AuditRecord, now_ms: i64) {
        let mut remembered = lock(&self.remembered);
        if remembered.len() >= REMEMBERED_MAX {
            remembered.clear();
        }
        remembered.insert(done(record), now_ms);
    }

    /// Appends a record, unless it is no news.
    ///
    /// # Errors
    /// When it could not be written.
    pub fn record_once(&self, record: &AuditRecord, now_ms: i64) -> Result<(), LedgerError> {
        if !self.is_news(record, now_ms) {
            return Ok(());
        }
        self.ledger.record(record)?;
        self.remember(record, now_ms);
        Ok(())
    }
}

/// What a record tells, whenever it was.
fn done(record: &AuditRecord) -> Done {
    let is_nobody = record.who.means.is_empty() && record.outcome != AuditOutcome::Success;
    if !is_nobody {
        return record.digest();
    }
    // Whoever is not let in could say another name each time.
    let who = Actor {
        address: network(&record.who.address),
        ..Actor::default()
    };
    AuditRecord::new(record.event, ActionCode::Execute, who, 0)
        .ended(record.outcome)
        .digest()
}

fn lock<T>(what: &Mutex<T>) -> MutexGuard<'_, T> {
    what.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
