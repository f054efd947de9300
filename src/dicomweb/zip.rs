//! A study, series or instance as `application/zip` (PS3.18 Table 8.7.3-1, an optional media type):
//! a medium of PS3.10 with its DICOMDIR, Part 10 files as stored. Packed while it is sent, with
//! nothing to go back to: sizes stand behind each file, and in 64 bits where they need to.
//!
//! Held in memory are one piece of a file and what grows by file: its record in the DICOMDIR and
//! its line in the list that ends the archive, together less than a kilobyte.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header;
use bytes::Bytes;
use zip::write::{SimpleFileOptions, StreamWriter};
use zip::{CompressionMethod, ZipWriter};

use super::call::Call;
use super::media::ZIP;
use super::parts::{CHUNK_BYTES, Reading};
use crate::archive::{Archive, Error, Located, Medium, Target};
use crate::dicom::dicomdir::FILE_NAME;
use crate::http::{Problem, off_thread, respond};

/// A file of this size might, packed, not fit into the 32 bits of the plain form.
const LARGE_BYTES: u64 = 1 << 31;
/// Fast: most of what there is to gain from pixels.
const LEVEL: i64 = 1;

/// Answers GET of a study, series or instance with `application/zip`.
pub(super) async fn zip(call: &Call, target: Target) -> Result<HttpResponse, Problem> {
    let uid = match &target {
        Target::Study(uid) | Target::Series(_, uid) | Target::Instance(_, _, uid) => {
            uid.to_string()
        }
    };
    let reading = Reading::of(call);
    let archive = reading.archive.clone();
    let made = off_thread(move || Medium::of(&archive, &reading.scope, &[target])).await?;
    let (medium, _) = made?;
    if medium.is_empty() {
        return Err(Problem::not_found());
    }
    let mut response = HttpResponse::build(StatusCode::OK);
    response.content_type(ZIP);
    response.insert_header((header::VARY, "Accept"));
    response.insert_header((header::CACHE_CONTROL, "private, no-cache"));
    response.insert_header((
        header::CONTENT_DISPOSITION,
        format!("attachment; filename=\"{uid}.zip\""),
    ));
    let packed = Packed::new(call.archive(), medium);
    respond(response, None, Box::new(packed)).await
}

/// What was packed and is not yet sent.
#[derive(Clone, Default)]
struct Outbox(Arc<Mutex<Vec<u8>>>);

impl Outbox {
    fn len(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    fn take(&self) -> Vec<u8> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Write for Outbox {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut out = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        out.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// An archive on its way, as a body.
struct Packed {
    archive: Archive,
    /// `None` when all is packed.
    open: Option<(Medium, ZipWriter<StreamWriter<Outbox>>)>,
    outbox: Outbox,
    /// The file being packed, and how far it got.
    current: Option<(Located, u64)>,
}

impl Packed {
    fn new(archive: Archive, medium: Medium) -> Self {
        let outbox = Outbox::default();
        Self {
            archive,
            open: Some((medium, ZipWriter::new_stream(outbox.clone()))),
            outbox,
            current: None,
        }
    }

    fn chunk(&mut self) -> Result<Bytes, Error> {
        while self.outbox.len() < CHUNK_BYTES {
            let Some((mut medium, mut zip)) = self.open.take() else {
                break;
            };
            if let Some((located, at)) = &mut self.current {
                let left = located.locator.length - *at;
                let length =
                    usize::try_from(left).map_or(CHUNK_BYTES, |left| left.min(CHUNK_BYTES));
                let mut piece = vec![0; length];
                self.archive.read_at(located, *at, &mut piece)?;
                zip.write_all(&piece).map_err(failed)?;
                *at += length as u64;
                if *at == located.locator.length {
                    self.current = None;
                }
            } else if let Some((name, located)) = medium.next_file()? {
                zip.start_file(name, options(located.locator.length))
                    .map_err(failed)?;
                self.current = Some((located, 0));
            } else {
                let directory = medium.finish();
                zip.start_file(FILE_NAME, options(directory.len() as u64))
                    .map_err(failed)?;
                zip.write_all(&directory).map_err(failed)?;
                zip.finish().map_err(failed)?;
                break;
            }
            self.open = Some((medium, zip));
        }
        Ok(self.outbox.take().into())
    }
}

impl Iterator for Packed {
    type Item = Result<Bytes, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        self.open.is_some().then(|| self.chunk())
    }
}

/// Deflated, although compressed images gain nothing by it: only then does a reader that cannot go
/// back know where a file ends.
fn options(length: u64) -> SimpleFileOptions {
    SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .compression_level(Some(LEVEL))
        .unix_permissions(0o600)
        .large_file(length >= LARGE_BYTES)
}

fn failed(cause: impl std::fmt::Display) -> Error {
    Error::broken("packing a ZIP archive", cause)
}
