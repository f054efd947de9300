//! Cases, opinions and what can be proven of them, as JSON. Names are those of the standard in small letters; instants are
//! RFC 3339 in UTC; what is not known or not there is null.

use actix_web::http::header;
use actix_web::{HttpResponse, HttpResponseBuilder};
use serde_json::{Value, json};

use crate::access::message;
use crate::cases::{
    self, Asked, Case, Completed, Growth, Listed, Look, Opinion, Seen, Task, TaskState, Told,
    Verified,
};
use crate::dicom::Uid;

/// The most instances of each kind that a verification names; all of them are counted.
const NAMED_MAX: usize = 1000;

/// An answer that nobody keeps.
pub(super) fn json(response: &mut HttpResponseBuilder, body: &Value) -> HttpResponse {
    text(response, body.to_string())
}

/// The same of JSON that is text already.
pub(super) fn text(response: &mut HttpResponseBuilder, body: String) -> HttpResponse {
    response
        .content_type(mime::APPLICATION_JSON)
        .insert_header((header::CACHE_CONTROL, "private, no-store"))
        .body(body)
}

/// One case with its revision as ETag.
pub(super) fn one(
    response: &mut HttpResponseBuilder,
    look: &Look,
    caller: &cases::Caller,
) -> HttpResponse {
    let mut body = case(&look.case, caller.at_ms);
    body["is_blind"] = look.is_blind.into();
    body["opinions"] = look
        .opinions
        .iter()
        .map(|told| opinion(look, told))
        .collect();
    body["images_changed_since"] = look
        .opinions
        .iter()
        .any(|told| told.have_images_changed && look.is_newest(&told.opinion))
        .into();
    body["commitment"] = match &look.commitment {
        Some(kept) => json!({
            "impression": kept.impression,
            "at": message::time(kept.at_ms),
        }),
        None => Value::Null,
    };
    body["since_complete"] = growth(look.growth.as_ref());
    body["may"] = look.may.iter().map(|act| act.word()).collect();
    response.insert_header((header::ETAG, format!("\"{}\"", look.case.revision)));
    json(response, &body)
}

/// A case in a list.
pub(super) fn listed(listed: &Listed, now_ms: i64) -> Value {
    let mut body = case(&listed.case, now_ms);
    body["images_changed_since"] = listed.have_images_changed.into();
    body["since_complete"] = growth(listed.growth.as_ref());
    body
}

/// What has become of the studies since somebody said that they are complete; null when nothing has.
fn growth(growth: Option<&Growth>) -> Value {
    let Some(growth) = growth else {
        return Value::Null;
    };
    let last = growth.last.as_ref();
    json!({
        "arrived": growth.arrived,
        "replaced": growth.replaced,
        "removed": growth.removed,
        "last": last.map(|last| json!({"at": message::time(last.at_ms), "sender": &*last.sender})),
    })
}

fn case(case: &Case, now_ms: i64) -> Value {
    let request = &case.request;
    let report = request.has_first_report().then(|| {
        let instance = |reference: &cases::Reference| {
            json!({
                "series_instance_uid": reference.series_instance_uid.as_str(),
                "sop_instance_uid": reference.sop_instance_uid.as_str(),
                "sop_class_uid": reference.sop_class_uid.as_str(),
            })
        };
        json!({
            "text": request.first_report,
            "instances": request.report_instances.iter().map(instance).collect::<Vec<_>>(),
        })
    });
    let word = |word: &Completed| json!({"by": &*word.by, "at": message::time(word.at_ms)});
    json!({
        "number": case.number,
        "revision": case.revision,
        "state": case.state.word(),
        "requester": &*case.requester,
        "study_instance_uid": request.study.as_str(),
        "priors": request.priors.iter().map(Uid::as_str).collect::<Vec<_>>(),
        "question": request.question,
        "context": request.context,
        "body_part": request.body_part,
        "subspecialty": request.subspecialty.as_str(),
        "urgency": request.urgency.word(),
        "priority": request.urgency.priority(),
        "due": time(request.due_ms),
        "expires": time(request.expires_ms),
        "is_overdue": case.is_overdue(now_ms),
        "blinded": request.is_blinded,
        "needs_complete": request.needs_complete,
        "completed": case.completed.as_ref().map(word),
        "confirmed": case.confirmed.as_ref().map(word),
        "has_gone_out": case.has_gone_out(),
        "first_report": report,
        "opened": message::time(case.opened_ms),
        "changed": message::time(case.changed_ms),
        "tasks": case.tasks.iter().map(task).collect::<Vec<_>>(),
    })
}

fn task(task: &Task) -> Value {
    let (account, pool) = match &task.asked {
        Asked::Reader(name) => (Some(name.as_str()), None),
        Asked::Pool(pool) => (None, Some(pool.as_str())),
    };
    json!({
        "number": task.place,
        "account": account,
        "pool": pool,
        "workitem": task.workitem.as_str(),
        "state": task.state.word(),
        "reader": task.held_by.as_deref(),
        "is_at_workstation": task.is_at_workstation(),
        "claimed": time(task.claimed_ms),
        "committed": time(task.committed_ms),
        "signed": time(task.signed_ms),
        "adjudicates": task.adjudicates,
        "is_answered": matches!(task.state, TaskState::Signed | TaskState::Elsewhere),
    })
}

fn opinion(look: &Look, told: &Told) -> Value {
    let opinion = &told.opinion;
    let mut body = head(opinion);
    let mut of = look.case.tasks.iter();
    let task = of.find(|task| task.id == opinion.task);
    body["task"] = task.map(|task| task.place).into();
    body["is_newest"] = look.is_newest(opinion).into();
    body["impression"] = json!(opinion.said.impression);
    body["comparison"] = json!(opinion.said.comparison);
    body["images_changed_since"] = told.have_images_changed.into();
    body
}

fn head(opinion: &Opinion) -> Value {
    json!({
        "id": opinion.id,
        "version": opinion.version,
        "corrects": opinion.corrects,
        "reason": opinion.reason,
        "reader": &*opinion.reader,
        "signed": message::time(opinion.signed_ms),
        "manifest": {
            "digest": hex(&opinion.manifest.digest),
            "instances": opinion.manifest.instances,
        },
    })
}

/// What can be said of an opinion.
pub(super) fn verified(verified: &Verified) -> Value {
    let mut body = head(&verified.opinion);
    let since = &verified.since;
    body["is_intact"] = verified.is_intact().into();
    body["is_opinion_intact"] = verified.is_opinion_intact.into();
    body["is_manifest_intact"] = verified.is_manifest_intact.into();
    body["is_in_trail"] = verified.is_in_trail.into();
    body["images_changed_since"] = (!since.is_nothing()).into();
    body["unchanged"] = since.unchanged.into();
    for (name, list) in [
        ("changed", &since.changed),
        ("removed", &since.removed),
        ("arrived", &since.arrived),
    ] {
        body[name] = json!({
            "count": list.len(),
            "instances": list.iter().take(NAMED_MAX).map(seen).collect::<Vec<_>>(),
        });
    }
    body
}

fn seen(seen: &Seen) -> Value {
    json!({
        "study_instance_uid": seen.study_instance_uid.as_str(),
        "series_instance_uid": seen.series_instance_uid.as_str(),
        "sop_instance_uid": seen.sop_instance_uid.as_str(),
        "sop_class_uid": seen.sop_class_uid.as_str(),
        "digest": hex(&seen.digest),
    })
}

fn time(at_ms: Option<i64>) -> Option<String> {
    at_ms.map(message::time)
}

fn hex(digest: &[u8; 32]) -> String {
    blake3::Hash::from_bytes(*digest).to_hex().to_string()
}
