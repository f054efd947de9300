//! Bodies that come from blocking calls, and bodies that may stop coming.
//!
//! The archive's calls block, so a response is an iterator of chunks that is pulled one step at a
//! time on the blocking pool: a slow reader holds no thread between two chunks, and no more than
//! one chunk waits in memory.

use std::time::Duration;

use actix_web::body::{BodyStream, SizedStream};
use actix_web::http::StatusCode;
use actix_web::{HttpResponse, HttpResponseBuilder, web};
use bytes::Bytes;
use futures_util::{StreamExt, stream};

use super::{Hall, Problem};
use crate::archive;

/// A body in pieces, each made by a blocking call. Its first error ends the response.
pub type Chunks = Box<dyn Iterator<Item = Result<Bytes, archive::Error>> + Send>;

/// Runs a blocking call off the async threads.
///
/// # Errors
/// 500 when it panicked.
pub async fn off_thread<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Problem> {
    web::block(work).await.map_err(|_| {
        tracing::error!("a blocking call panicked");
        Problem::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal failure; the server's log has the cause",
        )
    })
}

/// Sends `chunks` as the body: at once with its length when the first chunk is all, else as a
/// stream, of `length` bytes when that is known.
///
/// # Errors
/// What the first chunk ran into. A later error cuts the connection, so that no client takes the
/// part for the whole.
pub async fn respond(
    response: HttpResponseBuilder,
    length: Option<u64>,
    chunks: Chunks,
) -> Result<HttpResponse, Problem> {
    respond_in_turn(response, length, chunks, None).await
}

/// The same, where making a chunk is `work` for the processor: each waits for a place among the few
/// that are made at once, and a client that leaves waits no longer.
///
/// # Errors
/// As [`respond`], and 503 when too many wait already.
pub async fn respond_in_turn(
    mut response: HttpResponseBuilder,
    length: Option<u64>,
    mut chunks: Chunks,
    work: Option<web::Data<Hall>>,
) -> Result<HttpResponse, Problem> {
    let place = match &work {
        Some(hall) => Some(hall.begin_drawing().await?),
        None => None,
    };
    let (chunks, first, second) = off_thread(move || {
        let _place = place;
        let first = chunks.next();
        let second = chunks.next();
        (chunks, first, second)
    })
    .await?;
    let first = first.transpose()?.unwrap_or_default();
    let Some(second) = second else {
        return Ok(response.body(first));
    };
    let head = stream::iter([Ok(first), second]);
    let tail = stream::unfold(Some((chunks, work)), |open| async move {
        let (mut chunks, work) = open?;
        let place = match &work {
            Some(hall) => hall.continue_drawing().await,
            None => None,
        };
        let pulled = web::block(move || {
            let _place = place;
            (chunks.next(), chunks)
        })
        .await;
        match pulled {
            Ok((Some(Ok(chunk)), chunks)) => Some((Ok(chunk), Some((chunks, work)))),
            Ok((Some(Err(error)), _)) => Some((Err(error), None)),
            Ok((None, _)) => None,
            Err(panicked) => Some((Err(archive::Error::broken("response body", panicked)), None)),
        }
    });
    let body = head.chain(tail).inspect(|chunk| {
        if let Err(cause) = chunk {
            tracing::error!(%cause, "a response was cut off");
        }
    });
    Ok(match length {
        Some(length) => response.body(SizedStream::new(length, body)),
        None => response.body(BodyStream::new(body)),
    })
}

/// What came next of a request's body.
#[derive(Debug)]
pub enum Progress {
    /// More of it.
    Bytes(Bytes),
    /// It is complete.
    End,
    /// Nothing for too long.
    Idle,
    /// The peer went away, or the framing is broken.
    Cut,
}

/// Waits for more of a request's body, at most `idle`.
pub async fn next_chunk(payload: &mut web::Payload, idle: Duration) -> Progress {
    match tokio::time::timeout(idle, payload.next()).await {
        Ok(Some(Ok(bytes))) => Progress::Bytes(bytes),
        Ok(Some(Err(_))) => Progress::Cut,
        Ok(None) => Progress::End,
        Err(_) => Progress::Idle,
    }
}
