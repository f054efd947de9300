//! Who administers the archive, and who may change accounts and tokens, by whichever door of the web they come.
//!
//! Where nobody has to sign in, everybody may do everything, but for one thing: an account or a token outlives that, so
//! whoever made one then would be let in later. The first account is made at the shell, by who runs the server.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, web};

use super::{Caller, Hall, Problem, base_url, is_foreign, now_ms, off_thread};
use crate::access::{Action, Principal, Register, RegisterError, Scope, policy};

/// Lets in who administers the whole archive: a token for some studies does not.
///
/// # Errors
/// 403 for anybody else.
pub(crate) async fn administrator(
    request: &HttpRequest,
    hall: &web::Data<Hall>,
) -> Result<Caller, Problem> {
    let caller = Caller::of(request)?;
    match caller.admit(hall, Action::Administer).await? {
        Scope::All => Ok(caller),
        Scope::Studies(_) | Scope::Nothing => {
            caller.tell_refused(hall, Action::Administer).await?;
            let text = "this token is for some studies, and here are all";
            Err(Problem::new(StatusCode::FORBIDDEN, text))
        }
    }
}

/// The same, to change something.
///
/// # Errors
/// 403 for pages of other sites too.
pub(crate) async fn deciding(
    request: &HttpRequest,
    hall: &web::Data<Hall>,
) -> Result<Caller, Problem> {
    let caller = administrator(request, hall).await?;
    let base = base_url(request, hall.settings())?;
    if is_foreign(request.headers(), hall.settings(), &base) {
        let text = "pages of this origin may not do this (http.allowed_origins)";
        return Err(Problem::new(StatusCode::FORBIDDEN, text));
    }
    Ok(caller)
}

/// Does `work` in the register of accounts and tokens, for whoever has asked and may.
///
/// # Errors
/// As [`deciding`]; 409 where nobody has to sign in.
pub(crate) async fn register<T: Send + 'static>(
    request: &HttpRequest,
    hall: &web::Data<Hall>,
    work: impl FnOnce(&Register<'_>) -> Result<T, RegisterError> + Send + 'static,
) -> Result<T, Problem> {
    let caller = deciding(request, hall).await?;
    if !caller.is_known() {
        let text = "nobody has to sign in here: the first account is made at the shell, by \
                    overread user add NAME --role administrator";
        return Err(Problem::new(StatusCode::CONFLICT, text));
    }
    let hall = hall.clone();
    let done = off_thread(move || {
        // Who they were when the request began, its body may have come hours later.
        let now = caller.again(&hall)?;
        let Some(now) = now else {
            return Err(Problem::new(StatusCode::UNAUTHORIZED, "sign in first"));
        };
        let may = |who: &Principal| matches!(policy(who, Action::Administer), Ok(Scope::All));
        if !now.principal().is_some_and(may) {
            let text = "not among the rights of this account or token any more: administer";
            return Err(Problem::new(StatusCode::FORBIDDEN, text));
        }
        let token = caller.principal().and_then(Principal::token);
        let register =
            Register::new(hall.desk().ledger(), caller.actor(), now_ms()).by_token(token);
        Ok(work(&register)?)
    });
    done.await?
}
