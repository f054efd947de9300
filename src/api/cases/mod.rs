//! `/api/v1/cases`: second opinions. GET lists, POST opens; below a number GET shows the case and POST to the word of an act
//! does it; `draft` is PUT and read back, `verify` says what can be proven. Every rule is the deed's ([`crate::cases`]).
//!
//! An answer about one case carries its revision as ETag; who sends it back in If-Match changes that revision or, with
//! 412, nothing. So does a draft with a tag of its own, which may stand for what is committed or signed too. What is refused is in the audit trail.

mod acts;
mod answer;
mod asked;
mod list;
mod opening;

use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};

use super::body;
use super::failure::Failure;
use crate::access::Action;
use crate::access::audit::{ActionCode, AuditOutcome, Event, EventType};
use crate::cases::{self, Act, Basis, Case, Cases, DraftTag, Error};
use crate::http::{Caller, Hall, Problem, base_url, is_foreign, now_ms, off_thread, told};

/// The longest body: an opinion with all its texts and key images.
const BODY_BYTES_MAX: usize = 512 * 1024;

/// Every resource and its methods, for the test of `/api/v1/openapi.json`.
#[cfg(test)]
pub(super) const RESOURCES: &[(&str, &[&str])] = &[
    ("/api/v1/cases", &["get", "post"]),
    ("/api/v1/cases/{number}", &["get"]),
    ("/api/v1/cases/{number}/draft", &["get", "put"]),
    ("/api/v1/cases/{number}/verify", &["get"]),
    ("/api/v1/cases/{number}/complete", &["post"]),
    ("/api/v1/cases/{number}/assign", &["post"]),
    ("/api/v1/cases/{number}/tasks/{task}/end", &["post"]),
    ("/api/v1/cases/{number}/claim", &["post"]),
    ("/api/v1/cases/{number}/give-back", &["post"]),
    ("/api/v1/cases/{number}/commit", &["post"]),
    ("/api/v1/cases/{number}/sign", &["post"]),
    ("/api/v1/cases/{number}/correct", &["post"]),
    ("/api/v1/cases/{number}/adjudicate", &["post"]),
    ("/api/v1/cases/{number}/withdraw", &["post"]),
    ("/api/v1/cases/{number}/close", &["post"]),
];

/// Adds the resources.
pub(super) fn configure(cfg: &mut web::ServiceConfig) {
    cfg.service(
        web::resource("/api/v1/cases")
            .route(web::get().to(list::list))
            .route(web::head().to(list::list))
            .route(web::post().to(opening::open)),
    )
    .service(
        web::resource("/api/v1/cases/{number}")
            .route(web::get().to(acts::show))
            .route(web::head().to(acts::show)),
    )
    .service(
        web::resource("/api/v1/cases/{number}/draft")
            .route(web::get().to(acts::draft))
            .route(web::put().to(acts::save_draft)),
    )
    .service(web::resource("/api/v1/cases/{number}/verify").route(web::get().to(acts::verify)))
    .service(
        web::resource("/api/v1/cases/{number}/tasks/{task}/end").route(web::post().to(acts::end)),
    )
    .service(web::resource("/api/v1/cases/{number}/{act}").route(web::post().to(acts::act)));
}

/// Somebody as cases know them.
///
/// # Errors
/// 401 when they have not signed in.
pub(super) fn caller_of(who: &Caller) -> Result<cases::Caller, Problem> {
    let principal = who.principal();
    let principal =
        principal.ok_or_else(|| Problem::new(StatusCode::UNAUTHORIZED, "sign in first"))?;
    Ok(cases::Caller::of(principal, who.actor(), now_ms()))
}

/// A request about cases: who asks, as the hall and as cases know them.
struct Asking {
    request: HttpRequest,
    hall: web::Data<Hall>,
    cases: Arc<Cases>,
    who: Caller,
    caller: cases::Caller,
}

impl Asking {
    /// Finds out who asks.
    ///
    /// # Errors
    /// 401; 403 when they have no part in any case, or a page of another site wants more than to look.
    async fn new(
        request: HttpRequest,
        hall: web::Data<Hall>,
        cases: web::Data<Cases>,
    ) -> Result<Self, Failure> {
        let who = Caller::of(&request)?;
        let caller = caller_of(&who)?;
        if !caller.works {
            who.admit(&hall, Action::Request).await?;
        }
        // Where nobody has to sign in, a page of another site could have any browser open a case.
        let base = base_url(&request, hall.settings())?;
        let looks = matches!(request.method().as_str(), "GET" | "HEAD");
        if !looks && is_foreign(request.headers(), hall.settings(), &base) {
            let text = "pages of this origin may not change cases (http.allowed_origins)";
            return Err(Problem::new(StatusCode::FORBIDDEN, text).into());
        }
        Ok(Self {
            request,
            hall,
            cases: cases.into_inner(),
            who,
            caller,
        })
    }

    /// The number in the path.
    ///
    /// # Errors
    /// 404 when it is none: then there is no such case.
    fn number(&self) -> Result<u64, Failure> {
        let text = self.request.match_info().get("number").unwrap_or_default();
        let is_plain = !text.starts_with('+');
        let number = text.parse().ok().filter(|_| is_plain);
        number.ok_or_else(|| Problem::not_found().into())
    }

    /// The revision that the caller has decided on, when it says.
    ///
    /// # Errors
    /// 400 when it is none of our tags.
    fn expected(&self) -> Result<Option<u64>, Failure> {
        let wrong = "If-Match is not one ETag of a case, as \"3\"";
        let Some(tag) = self.matched(wrong)? else {
            return Ok(None);
        };
        let revision = tag.parse().map_err(|_| Problem::bad_request(wrong))?;
        Ok(Some(revision))
    }

    /// The revision, or the draft of what is said, that the caller has decided on, when it says.
    ///
    /// # Errors
    /// 400 when it is no tag of either.
    fn basis(&self) -> Result<Option<Basis>, Failure> {
        let wrong = "If-Match is not one ETag of a case, as \"3\", or of a draft";
        let Some(tag) = self.matched(wrong)? else {
            return Ok(None);
        };
        if let Some(tag) = DraftTag::parse(tag) {
            return Ok(Some(Basis::Draft(tag)));
        }
        let revision = tag.parse().map_err(|_| Problem::bad_request(wrong))?;
        Ok(Some(Basis::Case(revision)))
    }

    /// The draft that the caller has read, when it says.
    ///
    /// # Errors
    /// 400 when it is not one tag.
    fn read_draft(&self) -> Result<Option<DraftTag>, Failure> {
        let tag = self.matched("If-Match is not one ETag of a draft")?;
        Ok(tag.map(DraftTag::said))
    }

    /// The one tag of If-Match (RFC 9110 §13.1.1), without its quotes; `None` for any. Proxies that compress weaken a tag, or
    /// add to it what they did: it is ours all the same, as it tells of what is kept and not of how that was sent.
    ///
    /// # Errors
    /// 400 with `wrong` when it is not one tag.
    fn matched(&self, wrong: &'static str) -> Result<Option<&str>, Failure> {
        let Some(value) = self.request.headers().get(header::IF_MATCH) else {
            return Ok(None);
        };
        let text = value.to_str().unwrap_or_default().trim();
        if text == "*" {
            return Ok(None);
        }
        let text = text.strip_prefix("W/").unwrap_or(text);
        let tag = text
            .strip_prefix('"')
            .and_then(|text| text.strip_suffix('"'))
            .filter(|tag| !tag.contains('"'))
            .ok_or_else(|| Problem::bad_request(wrong))?;
        Ok(Some(tag.split('-').next().unwrap_or_default()))
    }

    /// The body, which is one JSON value.
    ///
    /// # Errors
    /// 413, 415; 400 when it is not of that form.
    async fn body<T: serde::de::DeserializeOwned>(
        &self,
        payload: web::Payload,
    ) -> Result<T, Failure> {
        body::json(&self.request, &self.hall, payload, BODY_BYTES_MAX).await
    }

    /// Runs a call of the deed off the async threads. What is refused is told to the audit trail.
    async fn ask<T: Send + 'static>(
        &self,
        what: &'static str,
        deed: impl FnOnce(&Cases, &cases::Caller) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Failure> {
        let (cases, caller) = (Arc::clone(&self.cases), self.caller.clone());
        match off_thread(move || deed(&cases, &caller)).await? {
            Ok(done) => Ok(done),
            Err(error) => {
                self.tell(what, &error).await?;
                let is_stale = matches!(error, Error::Changed | Error::DraftChanged)
                    && self.request.headers().contains_key(header::IF_MATCH);
                let problem = Problem::from(error);
                Err(Failure(if is_stale {
                    problem.with_status(StatusCode::PRECONDITION_FAILED)
                } else {
                    problem
                }))
            }
        }
    }

    /// Tells the audit trail what was refused, once in a while for the same.
    async fn tell(&self, what: &str, error: &Error) -> Result<(), Failure> {
        let of_case = |asking: &Self| match asking.request.match_info().get("number") {
            Some(number) => format!("case {number}"),
            None => "cases".to_owned(),
        };
        let object = match error {
            // Whoever tries one number after another does not fill the trail.
            Error::NotFound => "cases".to_owned(),
            Error::Forbidden(_) | Error::Refused(_) => of_case(self),
            Error::Invalid(_)
            | Error::Changed
            | Error::DraftChanged
            | Error::Archive(_)
            | Error::Worklist(_)
            | Error::Ledger(_) => return Ok(()),
        };
        let record = self
            .who
            .record(Event::SecurityAlert, ActionCode::Execute)
            .of_type(EventType::UseOfRestrictedFunction)
            .ended(AuditOutcome::MinorFailure)
            .on(object)
            .saying(format!("{what} refused: {error}"));
        Ok(told(&self.hall, record).await?)
    }

    /// Tells the audit trail that somebody whom we know has looked at a case.
    async fn tell_looked(&self, look: &cases::Look) -> Result<(), Failure> {
        if self.who.is_known() {
            told(&self.hall, look.record(&self.caller)).await?;
        }
        Ok(())
    }

    /// A case that was changed, as the caller may see it now: who has no part in it any more hears only that it is done.
    async fn changed(&self, what: &'static str, case: Case) -> Result<HttpResponse, Failure> {
        let number = case.number;
        let looked = self
            .ask(what, move |cases, caller| {
                match cases.show(number, caller) {
                    Ok(look) => Ok(Some(look)),
                    Err(Error::NotFound) => Ok(None),
                    Err(error) => Err(error),
                }
            })
            .await?;
        match looked {
            Some(look) => Ok(answer::one(&mut HttpResponse::Ok(), &look, &self.caller)),
            None => Ok(HttpResponse::NoContent().finish()),
        }
    }
}

/// The word of an act that is done by POST.
fn act_of(word: &str) -> Option<Act> {
    let posted = |act: &Act| !matches!(act, Act::Draft | Act::End | Act::Expire);
    Act::ALL
        .into_iter()
        .filter(posted)
        .find(|act| act.word() == word)
}
