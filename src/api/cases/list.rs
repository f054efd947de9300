//! GET `/api/v1/cases`: newest first, a page at a time; `next` is the `before` of the next page.

use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::json;

use super::asked::{instant, uid};
use super::{Asking, answer};
use crate::api::failure::Failure;
use crate::cases::{Cases, Error, Fault, Order, Question, State};
use crate::http::{Hall, Problem, parameters};

/// The cases of a page, when it is not said, and at most.
const PAGE: usize = 50;
const PAGE_MAX: usize = 200;

pub(super) async fn list(
    request: HttpRequest,
    hall: web::Data<Hall>,
    cases: web::Data<Cases>,
) -> Result<HttpResponse, Failure> {
    let asking = Asking::new(request, hall, cases).await?;
    let pairs = parameters(asking.request.query_string())?;
    let question =
        question(&pairs, asking.caller.at_ms).map_err(|fault| Problem::from(Error::from(fault)))?;
    let limit = question.limit;
    let listed = asking
        .ask("list", move |cases, caller| cases.list(question, caller))
        .await?;
    let next = (listed.len() == limit).then(|| listed.last().map(|last| last.case.number));
    let at_ms = asking.caller.at_ms;
    let list: Vec<_> = listed
        .iter()
        .map(|listed| answer::listed(listed, at_ms))
        .collect();
    let body = json!({ "cases": list, "next": next.flatten() });
    Ok(answer::json(&mut HttpResponse::Ok(), &body))
}

fn question(pairs: &[(String, String)], now_ms: i64) -> Result<Question, Fault> {
    let mut question = Question {
        limit: PAGE,
        ..Question::default()
    };
    for (name, value) in pairs {
        match name.as_str() {
            "mine" => question.mine = is_set(value, "mine")?,
            "pool" => question.pool = is_set(value, "pool")?,
            "overdue" => {
                if is_set(value, "overdue")? {
                    let due_ms = question.due_before_ms.unwrap_or(now_ms);
                    question.due_before_ms = Some(due_ms.min(now_ms));
                }
            }
            "due_before" => {
                let due_ms = instant(value, "due_before")?;
                let before = question.due_before_ms.unwrap_or(due_ms);
                question.due_before_ms = Some(due_ms.min(before));
            }
            "state" => {
                for word in value.split(',') {
                    let state = State::parse(word)
                        .ok_or_else(|| Fault::new("state", "is not one of its words"))?;
                    if !question.states.contains(&state) {
                        question.states.push(state);
                    }
                }
            }
            "study_instance_uid" => question.study = Some(uid(value, "study_instance_uid")?),
            "before" => {
                let number = value.parse();
                let number = number.map_err(|_| Fault::new("before", "is no number"))?;
                question.order = Order::Newest(Some(number));
            }
            "limit" => {
                let limit = value
                    .parse()
                    .ok()
                    .filter(|limit| (1..=PAGE_MAX).contains(limit));
                question.limit =
                    limit.ok_or_else(|| Fault::new("limit", format!("is not 1 to {PAGE_MAX}")))?;
            }
            _ => {
                let why = "has only mine, pool, overdue, due_before, state, study_instance_uid, before, limit";
                return Err(Fault::new("the query", why));
            }
        }
    }
    Ok(question)
}

fn is_set(value: &str, field: &'static str) -> Result<bool, Fault> {
    match value {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(Fault::new(field, "is not true or false")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_read_or_refused() {
        let read = |query: &str| question(&parameters(query).unwrap(), 1_000);
        let all = read("mine=true&state=open,in-review,open&before=7&limit=200").unwrap();
        assert!(all.mine && !all.pool);
        assert_eq!(all.states, [State::Open, State::InReview]);
        assert_eq!((all.order, all.limit), (Order::Newest(Some(7)), 200));
        assert_eq!(read("overdue=true").unwrap().due_before_ms, Some(1_000));
        let both = "overdue=true&due_before=1970-01-01T00:00:00.500Z";
        assert_eq!(read(both).unwrap().due_before_ms, Some(500));
        assert_eq!(read("").unwrap().limit, PAGE);
        for query in [
            "x=1",
            "mine=yes",
            "state=Open",
            "limit=0",
            "limit=201",
            "before=-1",
            "due_before=now",
            "study_instance_uid=x",
        ] {
            assert!(read(query).is_err(), "{query}");
        }
    }
}
