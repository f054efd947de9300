//! Who asks about workitems, and what they may: the one place of this room where a request becomes a
//! [`Caller`].

use actix_web::http::StatusCode;

use crate::access::{Action, Principal, Scope, policy};
use crate::dicomweb::call::Call;
use crate::http::{self, Problem, is_foreign};
use crate::worklist::Caller;

/// What somebody wants to do with workitems.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wants {
    /// Search, retrieve.
    Look,
    /// Create, ask to cancel.
    Request,
    /// Update, claim, finish.
    Work,
    /// Subscribe an AE, or read its events.
    Watch,
}

/// The caller, when it may do what it wants; what its account may is admitted before (`Route::action`).
///
/// # Errors
/// 403 for a page of another site that wants more than to look.
pub(super) fn of(call: &Call, wants: Wants) -> Result<Caller, Problem> {
    // A browser asks nobody before it opens a WebSocket or sends a POST without a body.
    if wants != Wants::Look && is_foreign(call.headers(), call.hall().settings(), &call.base) {
        return Err(Problem::new(
            StatusCode::FORBIDDEN,
            "pages of this origin may not change the worklist (http.allowed_origins)",
        ));
    }
    let principal = call.caller().principal();
    if principal.is_some_and(|principal| !principal.has_worklist()) {
        let text = "this link has no task, and so no worklist";
        return Err(Problem::new(StatusCode::FORBIDDEN, text));
    }
    Ok(known_as(call.caller(), call.scope()))
}

/// Whoever asks, as the worklist knows them.
pub(super) fn known_as(who: &http::Caller, scope: Scope) -> Caller {
    let may = |action| {
        who.principal()
            .is_some_and(|principal| policy(principal, action).is_ok())
    };
    let is_reader = may(Action::Work) && !may(Action::Administer);
    Caller {
        scope,
        actor: who.actor(),
        reader: is_reader.then(|| who.name().into()),
        only: who
            .principal()
            .and_then(|principal| principal.studies.clone()),
        may_change: may(Action::Request) || may(Action::Work),
        ae: who.principal().and_then(Principal::ae_title),
    }
}
