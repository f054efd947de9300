//! Who asks, as handlers know them ([`admit`](super::entrance::admit) has found it out): what they may do is asked of
//! [`Caller::admit`], which is the only way to a [`Scope`]; what they do is told to the audit trail.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use actix_web::http::StatusCode;
use actix_web::{HttpMessage, HttpRequest, web};

use super::{Hall, Problem, off_thread, unauthorized};
use crate::access::audit::{ActionCode, Actor, AuditOutcome, AuditRecord, Event, EventType};
use crate::access::secret::{Digest, Secret};
use crate::access::{Action, Desk, LedgerError, Principal, Scope, policy};
use crate::dicom::Uid;

/// Who asks, and from where.
#[derive(Clone)]
pub struct Caller(Arc<Inner>);

struct Inner {
    /// `None` where anybody may be.
    principal: Option<Principal>,
    address: String,
    proof: Proof,
}

/// What they have shown.
#[derive(Clone)]
pub(super) enum Proof {
    Nothing,
    /// The cookie of a session.
    Session(Secret),
    /// An API token, of which we keep no more than the ledger does.
    Token(Digest),
}

impl Caller {
    /// Whoever is at `address` and has shown `proof`; a principal of `None` has not signed in.
    pub(super) fn new(principal: Option<Principal>, address: String, proof: Proof) -> Self {
        Self(Arc::new(Inner {
            principal,
            address,
            proof,
        }))
    }

    /// Who has asked.
    ///
    /// # Errors
    /// 401 when they have not signed in: only resources for anybody get as far.
    pub fn of(request: &HttpRequest) -> Result<Self, Problem> {
        let caller = Self::perhaps(request).filter(|caller| caller.0.principal.is_some());
        caller.ok_or_else(|| unauthorized(request.headers(), "sign in first"))
    }

    /// Who has asked, signed in or not.
    pub fn perhaps(request: &HttpRequest) -> Option<Self> {
        request.extensions().get::<Self>().cloned()
    }

    /// Who it is; `None` when they have not signed in.
    #[must_use]
    pub fn principal(&self) -> Option<&Principal> {
        self.0.principal.as_ref()
    }

    /// Whether we know who it is: not so where nobody has to sign in.
    #[must_use]
    pub fn is_known(&self) -> bool {
        self.0.principal.as_ref().is_some_and(Principal::is_known)
    }

    /// Their name, `anonymous` where nobody has to sign in.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0
            .principal
            .as_ref()
            .map_or("anonymous", |who| &*who.name)
    }

    /// Where they are, as far as we can tell.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.0.address
    }

    /// As the audit trail names them.
    #[must_use]
    pub fn actor(&self) -> Actor {
        match &self.0.principal {
            Some(principal) => principal.actor(&self.0.address),
            None => Actor {
                name: "unknown".into(),
                means: String::new(),
                address: self.0.address.clone(),
            },
        }
    }

    /// The token that their forms and scripts carry; `None` without a session.
    #[must_use]
    pub fn csrf_token(&self) -> Option<String> {
        match &self.0.proof {
            Proof::Session(secret) => Some(secret.form_token()),
            Proof::Nothing | Proof::Token(_) => None,
        }
    }

    /// The same caller as they are now: who holds a connection for hours may have lost the right to it. `None` when
    /// they would not be let in any more.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub fn again(&self, hall: &Hall) -> Result<Option<Self>, Problem> {
        let (desk, now_ms) = (hall.desk(), now_ms());
        let principal = match &self.0.proof {
            Proof::Nothing => desk.is_open(now_ms)?.then(Principal::anyone),
            Proof::Session(secret) => {
                let known = desk.by_session(secret, now_ms)?;
                known.map(|known| known.principal)
            }
            Proof::Token(digest) => desk.by_token_digest(digest, now_ms)?,
        };
        Ok(principal.map(|principal| {
            Self::new(
                Some(principal),
                self.0.address.clone(),
                self.0.proof.clone(),
            )
        }))
    }

    /// Whether they may do it to something: for what a page offers.
    #[must_use]
    pub fn may(&self, action: Action) -> bool {
        let principal = self.0.principal.as_ref();
        principal.is_some_and(|principal| policy(principal, action).is_ok())
    }

    /// What they may do `action` to.
    ///
    /// # Errors
    /// 403 when nothing at all, which is in the audit trail then.
    pub async fn admit(&self, hall: &web::Data<Hall>, action: Action) -> Result<Scope, Problem> {
        let Some(principal) = &self.0.principal else {
            return Err(Problem::new(StatusCode::UNAUTHORIZED, "sign in first"));
        };
        match policy(principal, action) {
            Ok(scope) => Ok(scope),
            Err(refused) => {
                self.tell_refused(hall, action).await?;
                Err(Problem::new(StatusCode::FORBIDDEN, refused.to_string()))
            }
        }
    }

    /// Tells the trail that they wanted to do what they may not.
    ///
    /// # Errors
    /// As [`told`].
    pub async fn tell_refused(
        &self,
        hall: &web::Data<Hall>,
        action: Action,
    ) -> Result<(), Problem> {
        let record = self
            .record(Event::SecurityAlert, ActionCode::Execute)
            .of_type(EventType::UseOfRestrictedFunction)
            .ended(AuditOutcome::MinorFailure)
            .saying(action.word());
        told(hall, record).await
    }

    /// The beginning of a record of what they do now.
    #[must_use]
    pub fn record(&self, event: Event, action: ActionCode) -> AuditRecord {
        AuditRecord::new(event, action, self.actor(), now_ms())
    }
}

/// Writes a record into the audit trail, unless the same was written minutes ago. On return it is durable.
///
/// # Errors
/// When it could not be written: then what it tells of must not happen.
pub async fn told(hall: &web::Data<Hall>, record: AuditRecord) -> Result<(), Problem> {
    let desk = Arc::clone(hall.desk());
    if !desk.is_news(&record, record.at_ms) {
        return Ok(());
    }
    off_thread(move || desk.record_once(&record, record.at_ms)).await??;
    Ok(())
}

/// Tells the audit trail which studies somebody whom we know has stored something of, unless it was told minutes ago. On
/// return it is durable.
///
/// # Errors
/// As [`told`].
pub async fn tell_stored(
    hall: &web::Data<Hall>,
    caller: &Caller,
    studies: &BTreeSet<&Uid>,
) -> Result<(), Problem> {
    let Some(news) = news(hall.desk(), caller, studies) else {
        return Ok(());
    };
    let desk = Arc::clone(hall.desk());
    Ok(off_thread(move || note(&desk, &news)).await??)
}

/// The same where one may block.
///
/// # Errors
/// When the ledger fails.
pub fn note_stored(
    desk: &Desk,
    caller: &Caller,
    studies: &BTreeSet<&Uid>,
) -> Result<(), LedgerError> {
    news(desk, caller, studies).map_or(Ok(()), |news| note(desk, &news))
}

/// A record of each study of which nothing was told minutes ago; `None` when there is none.
fn news(desk: &Desk, caller: &Caller, studies: &BTreeSet<&Uid>) -> Option<Vec<AuditRecord>> {
    if !caller.is_known() {
        return None;
    }
    let begun = caller.record(Event::InstancesTransferred, ActionCode::Create);
    let of_one = |study: &&Uid| begun.clone().about(study);
    let news = studies.iter().map(of_one);
    let news: Vec<_> = news
        .filter(|record| desk.is_news(record, begun.at_ms))
        .collect();
    (!news.is_empty()).then_some(news)
}

/// Writes them as one.
fn note(desk: &Desk, news: &[AuditRecord]) -> Result<(), LedgerError> {
    let Some((first, others)) = news.split_first() else {
        return Ok(());
    };
    let studies = others.iter().flat_map(|record| &record.studies);
    let record = studies.fold(first.clone(), |record, study| record.about(study));
    desk.ledger().record(&record)?;
    for record in news {
        desk.remember(record, record.at_ms);
    }
    Ok(())
}

/// Writes a record into the audit trail. On return it is durable.
///
/// # Errors
/// As [`told`].
pub async fn written(hall: &web::Data<Hall>, record: AuditRecord) -> Result<(), Problem> {
    let desk = Arc::clone(hall.desk());
    Ok(off_thread(move || desk.ledger().record(&record)).await??)
}

/// Milliseconds since 1970 UTC.
#[must_use]
pub fn now_ms() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |now| i64::try_from(now.as_millis()).unwrap_or(i64::MAX))
}
