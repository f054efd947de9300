//! Whose association it is, and what they may do on it. A machine that is known by its AE title has the rights of
//! `dicom.modalities`, and sees every study. Whoever sends the name of an account and one of its API tokens as User
//! Identity (PS3.7 §D.3.3.7) sees what that token shows, here as on the web: asked anew for each request, for a grant
//! ends, a token is revoked and a case is blinded while an association lasts.

use std::sync::Arc;

use tracing::{error, warn};

use crate::access::audit::{Actor, EventType};
use crate::access::secret::{Digest, Secret};
use crate::access::{Action, Desk, LedgerError, Principal, Scope, policy};
use crate::dicom::AeTitle;
use crate::dimse::status::{Reply, Status};
use crate::dimse::trail::{now_ms, tell_refused};

/// An API token that was shown.
#[derive(Clone)]
pub(crate) struct Visitor {
    desk: Arc<Desk>,
    token: Digest,
}

impl std::fmt::Debug for Visitor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Visitor")
    }
}

impl Visitor {
    /// Who shows this token under this name; `None` when it is no token of theirs, or good for nothing.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub(super) fn recognize(
        desk: &Arc<Desk>,
        name: &str,
        token: &Secret,
    ) -> Result<Option<(Self, Box<str>)>, LedgerError> {
        let token = token.digest();
        let found = desk.by_token_digest(&token, now_ms())?;
        let found = found.filter(|principal| principal.name.eq_ignore_ascii_case(name));
        Ok(found.map(|principal| {
            let desk = Arc::clone(desk);
            (Self { desk, token }, principal.name)
        }))
    }

    fn principal(&self) -> Result<Option<Principal>, LedgerError> {
        self.desk.by_token_digest(&self.token, now_ms())
    }

    /// As the audit trail names them while their token is good.
    pub(super) fn actor(&self, calling: &AeTitle, address: &str) -> Option<Actor> {
        let principal = self.principal().ok().flatten()?;
        Some(actor(&principal, calling, address))
    }

    /// The studies that they may do something to, and how much of each they see. What is given to be looked at only is
    /// not retrieved: a C-STORE carries whole objects.
    ///
    /// # Errors
    /// 0124H when they may not; it is in the audit trail.
    pub(super) fn admit(
        &self,
        action: Action,
        calling: &AeTitle,
        address: &str,
    ) -> Result<Scope, Reply> {
        let principal = self.principal().map_err(|cause| {
            error!(%cause, "the accounts cannot be read");
            Reply::because(Status::UNABLE, "internal failure")
        })?;
        let (who, why) = match principal {
            None => {
                let who = Actor {
                    name: calling.as_str().into(),
                    means: "association".into(),
                    address: address.into(),
                };
                (who, "the token is not good any more".to_owned())
            }
            Some(principal) => match policy(&principal, action) {
                Ok(scope) if action == Action::Retrieve => return Ok(principal.whole(scope)),
                Ok(scope) => return Ok(scope),
                Err(refused) => (actor(&principal, calling, address), refused.to_string()),
            },
        };
        warn!(%why, "refused");
        tell_refused(&self.desk, who, EventType::UseOfRestrictedFunction, &why);
        Err(Reply::because(Status::NOT_AUTHORIZED, "not authorized"))
    }
}

fn actor(principal: &Principal, calling: &AeTitle, address: &str) -> Actor {
    let actor = principal.actor(address);
    let means = format!("{}, association of {calling}", actor.means);
    Actor { means, ..actor }
}
