//! Store (PS3.18 §10.5): Part 10 files in `multipart/related`, or one alone, each streamed into the
//! archive as it arrives; or metadata with bulk data, of which objects are made ([`described`]).
//!
//! The async side only moves bytes and watches the clock ([`forward`]). One blocking thread per
//! request splits the body and feeds the archive, behind a channel that holds at most
//! [`QUEUE_CHUNKS`] chunks: a slow disk slows the sender, and memory stays bounded whatever comes.
//!
//! A body that ends too early: instances that came whole stay stored and are reported (202, the
//! part that was cut off among the failures); when there are none, 400.

mod bulk;
mod commits;
mod compose;
mod described;
mod files;
mod location;
mod pixels;
mod receiver;

use std::sync::Arc;

use actix_web::http::{StatusCode, header};
use actix_web::{HttpResponse, web};
use tokio::sync::{OwnedSemaphorePermit, mpsc};

pub(super) use compose::Flaw;

use super::call::Call;
use super::media::{DICOM, DICOM_JSON, DICOM_XML, MediaType};
use super::notation::Notation;
use crate::access::Principal;
use crate::archive::{Declared, Door, Error, Origin, Refusal};
use crate::http::inboxes::check_announced;
use crate::http::multipart_reader::Splitter;
use crate::http::{Problem, Sent, drain, forward, off_thread};
use crate::inbox::Gatekeeper;
use commits::Commits;
use described::{Described, Form};
use files::Files;
use receiver::{Receiver, Taker};

/// Chunks on their way to the blocking thread; each is at most what the server reads at once,
/// 128 KiB.
const QUEUE_CHUNKS: usize = 8;
/// The most parts, and the most instances, of one request: each leaves an item in the response.
const PARTS_MAX: usize = 100_000;

/// Answers POST to `/studies` and `/studies/{study}`.
pub(super) async fn store(call: &Call, mut payload: web::Payload) -> Result<HttpResponse, Problem> {
    let accepted = match accept_upload(call) {
        Ok(upload) => check_length(call, &upload.body).await.map(|()| upload),
        Err(problem) => Err(problem),
    };
    let upload = match accepted {
        Ok(upload) => upload,
        Err(problem) => {
            drain(call.hall().settings(), &mut payload).await;
            return Err(problem.and_close());
        }
    };
    let origin = Origin {
        door: Door::Stow,
        sender: call.caller().name().into(),
        peer: call.peer().into(),
    };
    let commits = Commits::new(call.archive(), origin, upload.declared);
    let (body, permit, url) = (upload.body, upload.permit, call.url());

    let (queue, arriving) = mpsc::channel(QUEUE_CHUNKS);
    let receiving = off_thread(move || {
        // Held until the work ends, even when the client has left.
        let _permit = permit;
        let (splitter, taker) = match body {
            Body::Single => (None, Taker::Files(Files::default())),
            Body::Files(splitter) => (Some(splitter), Taker::Files(Files::default())),
            Body::Described(splitter, form) => (
                Some(splitter),
                Taker::Described(Box::new(Described::new(form, url))),
            ),
        };
        Receiver::new(commits, splitter, taker).run(arriving)
    });
    let (sent, received) = tokio::join!(
        forward(call.hall().settings(), &mut payload, queue),
        receiving
    );
    let (answer, flaw) = received?;
    if sent == Sent::Unwanted {
        drain(call.hall().settings(), &mut payload).await;
    }
    if answer.has_stored() {
        call.tell_stored(&answer.studies()).await?;
        return answer.respond(call);
    }
    match (sent, flaw) {
        (Sent::Stalled, _) => {
            Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "the body stopped coming").and_close())
        }
        (Sent::Whole, Some(flaw)) => Err(flaw),
        (Sent::Cut | Sent::Unwanted, Some(flaw)) => Err(flaw.and_close()),
        (_, None) if answer.is_empty() => Err(Problem::bad_request("the body holds no instance")),
        (_, None) => answer.respond(call),
    }
}

/// What the headers promise.
struct Upload {
    body: Body,
    declared: Declared,
    permit: OwnedSemaphorePermit,
}

/// How the instances stand in the body.
enum Body {
    /// One Part 10 file.
    Single,
    /// Part 10 files as parts of `multipart/related`.
    Files(Box<Splitter>),
    /// Metadata and bulk data as parts.
    Described(Box<Splitter>, Form),
}

/// Decides by the headers alone whether the body is wanted.
fn accept_upload(call: &Call) -> Result<Upload, Problem> {
    Notation::of_store(call)?;
    let is_coded =
        |value: &header::HeaderValue| !value.as_bytes().eq_ignore_ascii_case(b"identity");
    if call
        .headers()
        .get(header::CONTENT_ENCODING)
        .is_some_and(is_coded)
    {
        return Err(unsupported("a coded body (Content-Encoding) is not taken"));
    }
    let body = body_of(call)?;
    let caller = call.caller();
    let inbox = caller.principal().and_then(Principal::inbox);
    let gate =
        inbox.map(|grant| Gatekeeper::gate(Arc::clone(call.hall().desk()), grant, caller.actor()));
    let declared = Declared {
        study_instance_uid: call.path_uid("study")?,
        gate,
        ..Declared::default()
    };
    Ok(Upload {
        body,
        declared,
        permit: call.hall().begin_upload()?,
    })
}

/// Refuses before the body is read what its announced length says cannot be kept: 413 for one
/// object beyond the limit of objects or more than may come by the inbox, 507 for more than there is
/// room for.
async fn check_length(call: &Call, body: &Body) -> Result<(), Problem> {
    let announced = call
        .headers()
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse::<u64>().ok())
        .unwrap_or_default();
    let max = call.archive().limits().object_bytes_max;
    // The File Meta does not count, and is never that long.
    if matches!(body, Body::Single) && announced > max.saturating_add(1 << 20) {
        let limit = "ingest.object_bytes_max";
        return Err(Error::TooLarge { limit, max }.into());
    }
    let checked = check_announced(Some(call.caller()), call.hall(), announced).await?;
    checked.map_err(|error| {
        let why = match &error {
            Error::Full => Some("Out of storage".into()),
            Error::Refused(refusal @ Refusal::InboxFull) => Some(refusal.to_string()),
            _ => None,
        };
        let problem = Problem::from(error);
        let warning = why.map(|why| format!("A700 {}: {why}", call.base));
        match warning.map(|warning| header::HeaderValue::from_str(&warning)) {
            Some(Ok(warning)) => problem.with(header::WARNING, warning),
            _ => problem,
        }
    })
}

/// Reads the Content-Type (PS3.18 §10.5.2).
fn body_of(call: &Call) -> Result<Body, Problem> {
    const WANTED: &str = "instances are taken as multipart/related with type application/dicom, application/dicom+json or application/dicom+xml, or one as application/dicom";
    let text = call
        .headers()
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let media = text
        .and_then(MediaType::parse)
        .ok_or_else(|| unsupported(WANTED))?;
    match media.essence.as_str() {
        DICOM => return Ok(Body::Single),
        "multipart/related" => {}
        _ => return Err(unsupported(WANTED)),
    }
    let of_part = media.parameter("type").and_then(MediaType::parse);
    let form = match of_part.as_ref().map(|part| part.essence.as_str()) {
        None | Some(DICOM) => None,
        Some(DICOM_JSON) => Some(Form::Json),
        Some(DICOM_XML) => Some(Form::Xml),
        Some(_) => return Err(unsupported(WANTED)),
    };
    let splitter = Splitter::new(media.parameter("boundary").unwrap_or_default())
        .map(Box::new)
        .map_err(|malformed| Problem::bad_request(malformed.to_string()))?;
    Ok(match form {
        None => Body::Files(splitter),
        Some(form) => Body::Described(splitter, form),
    })
}

fn unsupported(text: &'static str) -> Problem {
    Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, text)
}
