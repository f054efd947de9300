//! Store (PS3.18 §10.5): Part 10 files in `multipart/related`, or one alone, each streamed into the
//! archive as it arrives.
//!
//! The async side only moves bytes and watches the clock. One blocking thread per request splits
//! the body and feeds the archive, behind a channel that holds at most [`QUEUE_CHUNKS`] chunks: a
//! slow disk slows the sender, and memory stays bounded whatever comes.
//!
//! A body that ends too early: instances that came whole stay stored and are reported (202, the
//! part that was cut off among the failures); when there are none, 400.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use actix_web::http::{StatusCode, header};
use actix_web::{HttpResponse, web};
use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, mpsc};

use super::call::Call;
use super::media::{DICOM, MediaType};
use super::multipart_reader::{Ending, Event, Malformed, Splitter};
use super::notation::Notation;
use super::store_answer::StoreAnswer;
use crate::archive::{Archive, Declared, Door, Error, Handed, Incoming, Origin};
use crate::dicom::Uid;
use crate::http::{Problem, Progress, next_chunk, off_thread};

/// Chunks on their way to the blocking thread; each is at most what the server reads at once,
/// 128 KiB.
const QUEUE_CHUNKS: usize = 8;
/// The most parts of one request: each leaves an item in the response.
const PARTS_MAX: usize = 100_000;
/// Instances of one request that may wait for their commit together.
const HANDED_MAX: usize = 32;
/// How much they may hold in memory together. Bytes.
const HANDED_BYTES_MAX: usize = 4 * 1024 * 1024;
/// How much of a refused body is read, so that the client gets to see the refusal. Bytes.
const DRAINED_BYTES: usize = 1024 * 1024;

/// The least that a body must bring, averaged over the idle timeout: one that dribbles would hold a
/// place among the uploads for ever. Bytes per second.
const RATE_MIN: f64 = 1024.0;

/// Answers POST to `/studies` and `/studies/{study}`.
pub(super) async fn store(call: &Call, mut payload: web::Payload) -> Result<HttpResponse, Problem> {
    let (body, declared, permit) = match accept_upload(call) {
        Ok(accepted) => accepted,
        Err(problem) => {
            drain(call, &mut payload).await;
            return Err(problem.and_close());
        }
    };
    let origin = Origin {
        door: Door::Stow,
        sender: "anonymous".into(),
        peer: call.peer().into(),
    };
    let receiver = Receiver::new(call.archive(), origin, declared);

    let (queue, arriving) = mpsc::channel(QUEUE_CHUNKS);
    let receiving = off_thread(move || {
        // Held until the work ends, even when the client has left.
        let _permit = permit;
        receiver.run(body, arriving)
    });
    let (sent, received) = tokio::join!(forward(call, &mut payload, queue), receiving);
    let (answer, flaw) = received?;
    if sent == Sent::Unwanted {
        drain(call, &mut payload).await;
    }
    if answer.has_stored() {
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

/// How the instances stand in the body.
enum Body {
    /// One Part 10 file.
    Single,
    /// Parts of `multipart/related`.
    Parts(Box<Splitter>),
}

/// Decides by the headers alone whether the body is wanted.
fn accept_upload(call: &Call) -> Result<(Body, Declared, OwnedSemaphorePermit), Problem> {
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
    let declared = Declared {
        study_instance_uid: call.path_uid("study")?,
        ..Declared::default()
    };
    Ok((body, declared, call.hall().begin_upload()?))
}

/// Reads the Content-Type (PS3.18 §10.5.2).
fn body_of(call: &Call) -> Result<Body, Problem> {
    const WANTED: &str = "instances are taken as multipart/related; type=\"application/dicom\", or one as application/dicom";
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
    match of_part.as_ref().map(|part| part.essence.as_str()) {
        None | Some(DICOM) => {}
        Some("application/dicom+json" | "application/dicom+xml") => {
            return Err(unsupported(
                "metadata with bulk data is not taken yet; send Part 10 files as application/dicom",
            ));
        }
        Some(_) => return Err(unsupported(WANTED)),
    }
    match Splitter::new(media.parameter("boundary").unwrap_or_default()) {
        Ok(splitter) => Ok(Body::Parts(Box::new(splitter))),
        Err(malformed) => Err(Problem::bad_request(malformed.to_string())),
    }
}

fn unsupported(text: &'static str) -> Problem {
    Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, text)
}

/// Reads away some of a body that is not wanted, for no longer than a body may be silent.
async fn drain(call: &Call, payload: &mut web::Payload) {
    let idle = call.hall().settings().body_idle_timeout;
    let reading = async {
        let mut left = DRAINED_BYTES;
        while let Progress::Bytes(bytes) = next_chunk(payload, idle).await {
            left = left.saturating_sub(bytes.len());
            if left == 0 {
                return;
            }
        }
    };
    // Whether it came to its end makes no difference.
    let _ = tokio::time::timeout(idle, reading).await;
}

/// What moves from the socket to the blocking thread. A queue that closes without `End` was cut off.
enum Arriving {
    Bytes(Bytes),
    End,
}

/// How the moving ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sent {
    Whole,
    /// The peer went away.
    Cut,
    /// The peer stopped sending.
    Stalled,
    /// The receiver wants no more.
    Unwanted,
}

/// How fast a body comes, told from the time spent waiting for it: what our own disk takes is not
/// the sender's fault.
struct Rate {
    /// Over how much waiting it is averaged.
    span: Duration,
    waited: Duration,
    bytes: u64,
}

impl Rate {
    fn new(span: Duration) -> Self {
        Self {
            span,
            waited: Duration::ZERO,
            bytes: 0,
        }
    }

    /// Notes what came after so much waiting: whether the last span brought fewer than
    /// [`RATE_MIN`].
    fn is_too_slow(&mut self, waited: Duration, bytes: usize) -> bool {
        self.waited += waited;
        self.bytes = self.bytes.saturating_add(bytes as u64);
        if self.waited < self.span {
            return false;
        }
        let is_too_slow = (self.bytes as f64) < self.waited.as_secs_f64() * RATE_MIN;
        (self.waited, self.bytes) = (Duration::ZERO, 0);
        is_too_slow
    }
}

async fn forward(call: &Call, payload: &mut web::Payload, queue: mpsc::Sender<Arriving>) -> Sent {
    let idle = call.hall().settings().body_idle_timeout;
    let mut rate = Rate::new(idle);
    loop {
        let asked = Instant::now();
        let (message, is_end) = match next_chunk(payload, idle).await {
            Progress::Bytes(bytes) => {
                if rate.is_too_slow(asked.elapsed(), bytes.len()) {
                    return Sent::Stalled;
                }
                (Arriving::Bytes(bytes), false)
            }
            Progress::End => (Arriving::End, true),
            Progress::Idle => return Sent::Stalled,
            Progress::Cut => return Sent::Cut,
        };
        if queue.send(message).await.is_err() {
            return Sent::Unwanted;
        }
        if is_end {
            return Sent::Whole;
        }
    }
}

/// The blocking side of one request.
struct Receiver {
    archive: Archive,
    origin: Origin,
    declared: Declared,
    /// The part being received; `Some(None)` when its rest is read away.
    current: Option<Option<Incoming>>,
    parts: usize,
    /// What came whole and is being committed, in order.
    handed: VecDeque<Handed>,
    answer: StoreAnswer,
}

impl Receiver {
    fn new(archive: Archive, origin: Origin, declared: Declared) -> Self {
        Self {
            archive,
            origin,
            declared,
            current: None,
            parts: 0,
            handed: VecDeque::new(),
            answer: StoreAnswer::default(),
        }
    }

    /// Receives the whole body: what became of the instances, and what is wrong with the body itself.
    fn run(
        mut self,
        mut body: Body,
        mut arriving: mpsc::Receiver<Arriving>,
    ) -> (StoreAnswer, Option<Problem>) {
        let flaw = self.receive(&mut body, &mut arriving).err();
        if flaw.is_some() {
            let identity = self
                .current
                .take()
                .flatten()
                .map(|incoming| incoming.identity());
            self.answer.add_cut(identity.unwrap_or_default());
        }
        self.settle(0);
        (self.answer, flaw)
    }

    fn receive(
        &mut self,
        body: &mut Body,
        arriving: &mut mpsc::Receiver<Arriving>,
    ) -> Result<(), Problem> {
        loop {
            match arriving.blocking_recv() {
                Some(Arriving::Bytes(bytes)) => self.take(body, &bytes)?,
                Some(Arriving::End) => return self.end(body),
                None => return Err(Problem::bad_request("the body is cut off")),
            }
        }
    }

    fn take(&mut self, body: &mut Body, bytes: &[u8]) -> Result<(), Problem> {
        match body {
            Body::Single => {
                if self.current.is_none() {
                    self.event(Event::Begin);
                }
                self.event(Event::Data(bytes));
            }
            Body::Parts(splitter) => {
                let split = splitter.feed(bytes, &mut |event| self.event(event));
                split.map_err(|malformed| Problem::bad_request(malformed.to_string()))?;
            }
        }
        if self.parts > PARTS_MAX {
            let text = format!("a request may hold {PARTS_MAX} instances");
            return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, text));
        }
        Ok(())
    }

    fn end(&mut self, body: &Body) -> Result<(), Problem> {
        match body {
            Body::Single => {
                if self.current.is_some() {
                    self.event(Event::End);
                }
                Ok(())
            }
            Body::Parts(splitter) => match splitter.finish() {
                Ending::Closed => Ok(()),
                Ending::NoDelimiter => Err(Problem::bad_request(Malformed::Preamble.to_string())),
                Ending::Cut => Err(Problem::bad_request(
                    "the body ends before its closing boundary",
                )),
            },
        }
    }

    fn event(&mut self, event: Event<'_>) {
        match event {
            Event::Begin => {
                self.parts += 1;
                let begun = self
                    .archive
                    .receive_part10(self.origin.clone(), self.declared.clone());
                self.current = Some(self.kept(begun, (None, None)));
            }
            Event::Data(bytes) => {
                if let Some(Some(incoming)) = &mut self.current
                    && let Err(error) = incoming.write(bytes)
                {
                    let identity = incoming.identity();
                    self.current = Some(None);
                    self.failed(identity, &error);
                }
            }
            Event::End => {
                if let Some(Some(incoming)) = self.current.take() {
                    let identity = incoming.identity();
                    let handed = incoming.hand_over();
                    let handed = self.kept(handed, identity);
                    self.handed.extend(handed);
                    self.settle(HANDED_MAX);
                    while self.handed.iter().map(Handed::held_bytes).sum::<usize>()
                        > HANDED_BYTES_MAX
                    {
                        self.settle(self.handed.len() - 1);
                    }
                }
            }
        }
    }

    /// Waits for commits until at most `left` are outstanding.
    fn settle(&mut self, left: usize) {
        while self.handed.len() > left {
            let Some(handed) = self.handed.pop_front() else {
                return;
            };
            let (class, instance) = handed.identity();
            let identity = (Some(class.clone()), Some(instance.clone()));
            let receipt = handed.wait();
            if let Some(receipt) = self.kept(receipt, identity) {
                self.answer.add_receipt(receipt);
            }
        }
    }

    fn kept<T>(
        &mut self,
        result: Result<T, Error>,
        identity: (Option<Uid>, Option<Uid>),
    ) -> Option<T> {
        result
            .inspect_err(|error| self.failed(identity, error))
            .ok()
    }

    /// Tells the sender, and the log.
    fn failed(&mut self, identity: (Option<Uid>, Option<Uid>), error: &Error) {
        let (sop_class, sop_instance) = &identity;
        tracing::warn!(peer = &*self.origin.peer, ?sop_class, ?sop_instance, %error, "an instance was not stored");
        self.answer.add_error(identity, error);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_judged_once_a_span() {
        const SECOND: Duration = Duration::from_secs(1);
        let mut rate = Rate::new(10 * SECOND);
        for _ in 0..9 {
            assert!(!rate.is_too_slow(SECOND, 1));
        }
        assert!(rate.is_too_slow(SECOND, 1));
        // A long pause is made up for by what came before or with its end.
        assert!(!rate.is_too_slow(SECOND, 6 * 1024));
        assert!(!rate.is_too_slow(9 * SECOND, 4 * 1024));
        // What was fast once is no credit for ever.
        assert!(!rate.is_too_slow(Duration::ZERO, 1 << 30));
        assert!(!rate.is_too_slow(10 * SECOND, 1));
        assert!(rate.is_too_slow(10 * SECOND, 10 * 1024 - 1));
    }
}
