//! `/api/v1/cases/{number}` and what is below it.

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::json;

use super::asked::{Adjudication, Assignment, Return};
use super::{Asking, act_of, answer};
use crate::access::message;
use crate::api::body;
use crate::api::failure::Failure;
use crate::cases::{
    self, Act, Case, Cases, Comparison, Correction, DRAFT_BYTES_MAX, DraftTag, Error, Impression,
};
use crate::http::{Hall, Problem};

/// GET: 200 with the case and its ETag.
pub(super) async fn show(
    request: HttpRequest,
    hall: web::Data<Hall>,
    cases: web::Data<Cases>,
) -> Result<HttpResponse, Failure> {
    let asking = Asking::new(request, hall, cases).await?;
    let number = asking.number()?;
    let look = asking
        .ask("show", move |cases, caller| cases.show(number, caller))
        .await?;
    asking.tell_looked(&look).await?;
    Ok(answer::one(&mut HttpResponse::Ok(), &look, &asking.caller))
}

/// GET `…/draft`: 200 with what was saved, 204 when there is nothing; the ETag says which, of nothing too.
pub(super) async fn draft(
    request: HttpRequest,
    hall: web::Data<Hall>,
    cases: web::Data<Cases>,
) -> Result<HttpResponse, Failure> {
    let asking = Asking::new(request, hall, cases).await?;
    let number = asking.number()?;
    let draft = asking
        .ask("draft", move |cases, caller| cases.draft(number, caller))
        .await?;
    let tag = (
        header::ETAG,
        format!("\"{}\"", DraftTag::of(draft.as_ref())),
    );
    let Some(draft) = draft else {
        let mut response = HttpResponse::NoContent();
        let kept_by_nobody = (header::CACHE_CONTROL, "private, no-store");
        return Ok(response
            .insert_header(tag)
            .insert_header(kept_by_nobody)
            .finish());
    };
    let mut response = HttpResponse::Ok();
    response.insert_header(tag);
    response.insert_header(("X-Saved", message::time(draft.saved_ms)));
    Ok(answer::text(&mut response, draft.body.into_string()))
}

/// PUT `…/draft`: 204 with its ETag; 412 when the draft is not the one of If-Match. Whatever JSON object the reader's page
/// has made of what was typed.
pub(super) async fn save_draft(
    request: HttpRequest,
    payload: web::Payload,
    hall: web::Data<Hall>,
    cases: web::Data<Cases>,
) -> Result<HttpResponse, Failure> {
    let asking = Asking::new(request, hall, cases).await?;
    let number = asking.number()?;
    let text = body::text(&asking.request, &asking.hall, payload, DRAFT_BYTES_MAX).await?;
    let read = asking.read_draft()?;
    let tag = asking
        .ask("draft", move |cases, caller| {
            cases.save_draft(number, &text, read.as_ref(), caller)
        })
        .await?;
    let mut response = HttpResponse::NoContent();
    response.insert_header((header::ETAG, format!("\"{tag}\"")));
    Ok(response.finish())
}

/// GET `…/verify`: 200 with what can be said of every version of every opinion.
pub(super) async fn verify(
    request: HttpRequest,
    hall: web::Data<Hall>,
    cases: web::Data<Cases>,
) -> Result<HttpResponse, Failure> {
    let asking = Asking::new(request, hall, cases).await?;
    let number = asking.number()?;
    let (look, verified) = asking
        .ask("verify", move |cases, caller| cases.verify(number, caller))
        .await?;
    asking.tell_looked(&look).await?;
    let list: Vec<_> = verified.iter().map(answer::verified).collect();
    let body = json!({ "number": number, "opinions": list });
    Ok(answer::json(&mut HttpResponse::Ok(), &body))
}

/// POST `…/{act}`: 200 with the case as it is then; 204 when the caller has no part in it any more.
pub(super) async fn act(
    request: HttpRequest,
    payload: web::Payload,
    hall: web::Data<Hall>,
    cases: web::Data<Cases>,
) -> Result<HttpResponse, Failure> {
    let asking = Asking::new(request, hall, cases).await?;
    let number = asking.number()?;
    let word = asking.request.match_info().get("act").unwrap_or_default();
    let act = act_of(word).ok_or_else(Problem::not_found)?;
    let case = done(&asking, number, act, payload).await?;
    asking.changed(act.word(), case).await
}

/// POST `…/tasks/{task}/end`: 200 with the case as it is then.
pub(super) async fn end(
    request: HttpRequest,
    hall: web::Data<Hall>,
    cases: web::Data<Cases>,
) -> Result<HttpResponse, Failure> {
    let asking = Asking::new(request, hall, cases).await?;
    let number = asking.number()?;
    let task = asking.request.match_info().get("task").unwrap_or_default();
    let task: u32 = task.parse().map_err(|_| Problem::not_found())?;
    let expected = asking.expected()?;
    let case = asking
        .ask(Act::End.word(), move |cases, who| {
            cases.end(number, task, expected, who)
        })
        .await?;
    asking.changed(Act::End.word(), case).await
}

/// What an act does, once its body is read.
type Deed = Box<dyn FnOnce(&Cases, &cases::Caller) -> Result<Case, Error> + Send>;

async fn done(
    asking: &Asking,
    number: u64,
    act: Act,
    payload: web::Payload,
) -> Result<Case, Failure> {
    let (expected, basis) = match act {
        Act::Commit | Act::Sign => (None, asking.basis()?),
        _ => (asking.expected()?, None),
    };
    let wrong = |fault| Failure::from(Problem::from(Error::from(fault)));
    let deed: Deed = match act {
        Act::Complete => Box::new(move |cases, who| cases.complete(number, expected, who)),
        Act::Claim => Box::new(move |cases, who| cases.claim(number, who)),
        Act::Withdraw => Box::new(move |cases, who| cases.withdraw(number, expected, who)),
        Act::Close => Box::new(move |cases, who| cases.close(number, expected, who)),
        Act::GiveBack => {
            let reason = returned(asking, payload).await?;
            Box::new(move |cases, who| cases.give_back(number, &reason, who))
        }
        Act::Assign => {
            let body: Assignment = asking.body(payload).await?;
            let asked = body.reader.asked().map_err(wrong)?;
            Box::new(move |cases, who| cases.assign(number, &asked, expected, who))
        }
        Act::Commit => {
            let body: Impression = asking.body(payload).await?;
            Box::new(move |cases, who| cases.commit(number, body, basis, who))
        }
        Act::Sign => {
            let body: Comparison = asking.body(payload).await?;
            Box::new(move |cases, who| cases.sign(number, &body, basis, who))
        }
        Act::Correct => {
            let body: Correction = asking.body(payload).await?;
            Box::new(move |cases, who| cases.correct(number, body, expected, who))
        }
        Act::Adjudicate => {
            let body: Adjudication = asking.body(payload).await?;
            let asked = body.reader.asked().map_err(wrong)?;
            Box::new(move |cases, who| {
                cases.adjudicate(number, &body.opinions, &asked, expected, who)
            })
        }
        Act::Draft | Act::End | Act::Expire => return Err(Problem::not_found().into()),
    };
    asking.ask(act.word(), deed).await
}

/// Why a task is given back; a request without a body says nothing.
async fn returned(asking: &Asking, payload: web::Payload) -> Result<String, Failure> {
    if !asking.request.headers().contains_key(header::CONTENT_TYPE) {
        return Ok(String::new());
    }
    let body: Return = asking.body(payload).await?;
    Ok(body.reason)
}
