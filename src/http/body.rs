//! Bodies that come from blocking calls, and bodies that may stop coming.
//!
//! The archive's calls block, so a response is an iterator that is pulled one step at a time on the
//! blocking pool: a slow reader holds no thread between two pieces, and no more than one piece waits
//! in memory. Handing work to another thread and back costs more than a small answer, so what the
//! system has in memory is read at once; only what has to be waited for goes to the pool.

use std::collections::VecDeque;
use std::time::Duration;

use actix_web::body::{BodyStream, SizedStream};
use actix_web::http::StatusCode;
use actix_web::{HttpResponse, HttpResponseBuilder, web};
use bytes::Bytes;
use futures_util::{StreamExt, stream};

use super::buffer::{BUFFER_BYTES, Buffer};
use super::{Hall, Problem};
use crate::archive::{self, Archive, Run};

/// A body in pieces, each made by a blocking call. Its first error ends the response.
pub type Chunks = Box<dyn Iterator<Item = Result<Bytes, archive::Error>> + Send>;

/// A piece of a body.
#[derive(Debug, Clone)]
pub enum Piece {
    /// These bytes.
    Bytes(Bytes),
    /// Bytes that are read when it is their turn.
    Stored(Run),
}

/// A body in pieces, some of them not read yet. Its first error ends the response.
pub type Pieces = Box<dyn Iterator<Item = Result<Piece, archive::Error>> + Send>;

/// What telling the next piece of a body takes.
pub enum Telling {
    /// Nothing to speak of: it is known.
    AtHand,
    /// A blocking call.
    Blocking,
    /// Work for the processor: a place among the few that work at once.
    Work(web::Data<Hall>),
}

/// Pieces are told in batches of so many bytes held in memory, or so many still to be read.
const HELD_BYTES: u64 = 512 * 1024;
const STORED_BYTES: u64 = 16 * 1024 * 1024;

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
    let pieces = chunks.map(|chunk| chunk.map(Piece::Bytes));
    let body = Body::new(None, Box::new(pieces), Telling::Blocking);
    body.respond(response, length).await
}

/// The same for a body whose pieces are read from the archive when it is their turn.
///
/// # Errors
/// As [`respond`]; where telling a piece is work, 503 when too many wait already.
pub async fn respond_with(
    response: HttpResponseBuilder,
    length: Option<u64>,
    pieces: Pieces,
    archive: Archive,
    telling: Telling,
) -> Result<HttpResponse, Problem> {
    let body = Body::new(Some(archive), pieces, telling);
    body.respond(response, length).await
}

/// A body on its way.
struct Body {
    /// Where stored pieces are read.
    archive: Option<Archive>,
    /// `None` when all have been told.
    pieces: Option<Pieces>,
    telling: Telling,
    /// Told and not sent yet; after an error nothing.
    told: VecDeque<Result<Piece, archive::Error>>,
}

impl Body {
    fn new(archive: Option<Archive>, pieces: Pieces, telling: Telling) -> Self {
        Self {
            archive,
            pieces: Some(pieces),
            telling,
            told: VecDeque::new(),
        }
    }

    async fn respond(
        mut self,
        mut response: HttpResponseBuilder,
        length: Option<u64>,
    ) -> Result<HttpResponse, Problem> {
        let place = match &self.telling {
            Telling::Work(hall) => Some(hall.begin_drawing().await?),
            Telling::AtHand | Telling::Blocking => None,
        };
        // Two, to know whether the first is all.
        self.tell(2, place).await?;
        // Read, so that what is wrong with it can still be said; a head of ours says nothing of what follows it.
        let first = self.next().await.transpose()?.unwrap_or_default();
        let mut begun = vec![first];
        if matches!(self.told.front(), Some(Ok(Piece::Stored(_)))) {
            begun.extend(self.next().await.transpose()?);
        }
        let rest = match &self.pieces {
            None => self.length_told(),
            Some(_) => None,
        };
        if let ([first], Some(0)) = (&mut begun[..], rest) {
            return Ok(response.body(std::mem::take(first)));
        }
        let begun_bytes: u64 = begun.iter().map(|bytes| bytes.len() as u64).sum();
        let length = length.or_else(|| rest?.checked_add(begun_bytes));
        let tail = stream::unfold(self, |mut body| async move {
            let piece = body.next().await?;
            if let Err(cause) = &piece {
                tracing::error!(%cause, "a response was cut off");
                body.pieces = None;
                body.told.clear();
            }
            Some((piece, body))
        });
        let body = stream::iter(begun.into_iter().map(Ok)).chain(tail);
        Ok(match length {
            Some(length) => response.body(SizedStream::new(length, body)),
            None => response.body(BodyStream::new(body)),
        })
    }

    /// How many bytes wait, when all of them are known to come.
    fn length_told(&self) -> Option<u64> {
        self.told.iter().try_fold(0_u64, |sum, piece| match piece {
            Ok(piece) => sum.checked_add(piece.length()),
            Err(_) => None,
        })
    }

    /// Has the next pieces told, at least so many if there are.
    async fn tell<P: Send + 'static>(&mut self, least: usize, place: P) -> Result<(), Problem> {
        let Some(mut pieces) = self.pieces.take() else {
            return Ok(());
        };
        let mut told = std::mem::take(&mut self.told);
        let work = move || {
            // Held until the work ends.
            let _place = place;
            let is_more = tell(&mut pieces, &mut told, least);
            (is_more.then_some(pieces), told)
        };
        (self.pieces, self.told) = match self.telling {
            Telling::AtHand => work(),
            Telling::Blocking | Telling::Work(_) => off_thread(work).await?,
        };
        Ok(())
    }

    /// The next bytes.
    async fn next(&mut self) -> Option<Result<Bytes, archive::Error>> {
        loop {
            match self.told.pop_front() {
                Some(Ok(Piece::Bytes(bytes))) if bytes.is_empty() => {}
                Some(Ok(Piece::Bytes(bytes))) => return Some(Ok(bytes)),
                Some(Ok(Piece::Stored(run))) if run.length() == 0 => {}
                Some(Ok(Piece::Stored(run))) => return Some(self.read(run).await),
                Some(Err(error)) => return Some(Err(error)),
                None => {
                    self.pieces.as_ref()?;
                    let place = match &self.telling {
                        Telling::Work(hall) => hall.continue_drawing().await,
                        Telling::AtHand | Telling::Blocking => None,
                    };
                    if let Err(panicked) = self.tell(1, place).await {
                        return Some(Err(archive::Error::broken("response body", panicked)));
                    }
                }
            }
        }
    }

    /// Reads the beginning of a run; the rest of it is next.
    async fn read(&mut self, mut run: Run) -> Result<Bytes, archive::Error> {
        let archive = self
            .archive
            .as_ref()
            .ok_or_else(|| archive::Error::broken("response body", "nowhere to read"))?;
        let length = usize::try_from(run.length()).unwrap_or(BUFFER_BYTES);
        let mut buffer = Buffer::of(length);
        let mut count = archive.read_run_at_hand(&run, buffer.space());
        if count == 0 {
            let archive = archive.clone();
            let waited = web::block(move || {
                let read = archive.read_run(&run, buffer.space());
                read.map(|()| buffer)
            });
            buffer = waited
                .await
                .map_err(|panicked| archive::Error::broken("response body", panicked))??;
            count = buffer.space().len();
        }
        run.advance(count);
        if run.length() > 0 {
            self.told.push_front(Ok(Piece::Stored(run)));
        }
        Ok(buffer.filled(count))
    }
}

impl Piece {
    fn length(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Stored(run) => run.length(),
        }
    }
}

/// Tells a batch of pieces. Whether more may follow.
fn tell(
    pieces: &mut Pieces,
    told: &mut VecDeque<Result<Piece, archive::Error>>,
    least: usize,
) -> bool {
    let (mut held, mut stored, mut count) = (0, 0, 0);
    while count < least || (held < HELD_BYTES && stored < STORED_BYTES) {
        let Some(piece) = pieces.next() else {
            return false;
        };
        count += 1;
        match &piece {
            Ok(Piece::Bytes(bytes)) => held += bytes.len() as u64,
            Ok(Piece::Stored(run)) => stored += run.length(),
            Err(_) => {
                told.push_back(piece);
                return false;
            }
        }
        told.push_back(piece);
    }
    true
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
