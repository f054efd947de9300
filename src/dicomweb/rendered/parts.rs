//! The pictures of many frames or instances as parts, drawn one after the other as they are sent:
//! memory holds one, whatever the study.

use std::collections::VecDeque;

use actix_web::body::BodyStream;
use actix_web::http::StatusCode;
use actix_web::http::header;
use actix_web::{HttpResponse, web};
use bytes::Bytes;
use futures_util::{StreamExt, stream};

use super::super::call::{Call, target_of, url_of};
use super::super::multipart_writer::Boundary;
use super::picture::{self, Making, query, undrawable};
use crate::access::Scope;
use crate::archive::index::Cursor;
use crate::archive::{Archive, Drawing, Error, Located, PictureError, Target, drawable, pictures};
use crate::http::{Hall, Problem, off_thread};

/// Instances looked up at a time.
const PAGE: usize = 128;

/// The images of a study or series.
pub(super) struct Images {
    /// How many there are.
    pub(super) count: usize,
    /// The first.
    pub(super) first: Located,
}

/// Looks through a study or series: whether all its images can be drawn. What has no pixels is no image.
///
/// # Errors
/// 404 when there is nothing, 406 when there are no images or one of them cannot be drawn: a gap
/// would be taken for the whole.
pub(super) fn images(archive: &Archive, target: &Target, scope: &Scope) -> Result<Images, Problem> {
    let (mut after, mut is_empty) = (None, true);
    let mut images: Option<Images> = None;
    loop {
        let page = archive.locate(target, scope, after, PAGE)?;
        let Some(last) = page.last() else { break };
        after = Some(last.cursor);
        is_empty = false;
        for located in page {
            match (drawable(&located), &mut images) {
                (Err(PictureError::NoPixels), _) => {}
                (Err(error), _) => return Err(undrawable(error, &located)),
                (Ok(()), Some(images)) => images.count += 1,
                (Ok(()), None) => {
                    images = Some(Images {
                        count: 1,
                        first: located,
                    });
                }
            }
        }
    }
    match images {
        Some(images) => Ok(images),
        None if is_empty => Err(Problem::not_found()),
        None => Err(Problem::not_acceptable("no object here has pixels")),
    }
}

/// What is still to be sent.
struct Parts {
    hall: web::Data<Hall>,
    archive: Archive,
    scope: Scope,
    making: Making,
    base: String,
    query: String,
    boundary: Boundary,
    /// What is looked up, and how far; `None` when all is.
    source: Option<(Target, Option<Cursor>)>,
    /// Instances looked up, each with the frames wanted of it; none of them means all.
    waiting: VecDeque<(Located, Vec<u32>)>,
    current: Option<(Drawing, VecDeque<u32>)>,
    is_closed: bool,
}

/// Answers with every frame of every image of a study or series.
pub(super) async fn of_target(
    call: &Call,
    target: Target,
    making: Making,
) -> Result<HttpResponse, Problem> {
    answer(call, making, Some((target, None)), VecDeque::new()).await
}

/// Answers with some frames of an instance; all when `numbers` is empty.
pub(super) async fn of_instance(
    call: &Call,
    located: Located,
    numbers: Vec<u32>,
    making: Making,
) -> Result<HttpResponse, Problem> {
    answer(call, making, None, VecDeque::from([(located, numbers)])).await
}

/// Answers with the frames of some instances.
pub(super) async fn of_images(
    call: &Call,
    images: Vec<(Located, Vec<u32>)>,
    making: Making,
) -> Result<HttpResponse, Problem> {
    answer(call, making, None, images.into()).await
}

async fn answer(
    call: &Call,
    making: Making,
    source: Option<(Target, Option<Cursor>)>,
    waiting: VecDeque<(Located, Vec<u32>)>,
) -> Result<HttpResponse, Problem> {
    let mut response = HttpResponse::build(StatusCode::OK);
    response.insert_header((header::VARY, "Accept"));
    response.insert_header((header::CACHE_CONTROL, "private, no-cache"));
    if let Some(warning) = making
        .parameters
        .warning
        .as_deref()
        .and_then(|text| call.warning(text))
    {
        response.insert_header((header::WARNING, warning));
    }
    let parts = Parts {
        hall: call.hall_handle(),
        archive: call.archive(),
        scope: call.scope(),
        making,
        base: call.base.clone(),
        query: query(call),
        boundary: Boundary::random(),
        source,
        waiting,
        current: None,
        is_closed: false,
    };
    response.content_type(parts.boundary.content_type(parts.making.essence()));
    // The first picture is drawn before anything is said, so that its error still has a status.
    let place = parts.hall.begin_drawing().await?;
    let (first, parts) = off_thread(move || {
        let _place = place;
        let mut parts = parts;
        (parts.next(), parts)
    })
    .await?;
    let first = first?.unwrap_or_default();
    let tail = stream::unfold(Some(parts), |parts| async move {
        let parts = parts?;
        let place = parts.hall.continue_drawing().await;
        let pulled = web::block(move || {
            let _place = place;
            let mut parts = parts;
            (parts.next(), parts)
        });
        match pulled.await {
            Ok((Ok(Some(part)), parts)) => Some((Ok(part), Some(parts))),
            Ok((Ok(None), _)) => None,
            Ok((Err(problem), _)) => Some((Err(Error::broken("drawing", problem)), None)),
            Err(panicked) => Some((Err(Error::broken("drawing", panicked)), None)),
        }
    });
    // An error later on cuts the connection, so that no client takes the part for the whole.
    let body = stream::iter([Ok(first)]).chain(tail).inspect(|part| {
        if let Err(cause) = part {
            tracing::error!(%cause, "a response was cut off");
        }
    });
    Ok(response.body(BodyStream::new(body)))
}

impl Parts {
    /// The next part, or the end of the body; `None` after that.
    fn next(&mut self) -> Result<Option<Bytes>, Problem> {
        loop {
            if let Some((drawing, numbers)) = &mut self.current {
                if let Some(number) = numbers.pop_front() {
                    let picture = self
                        .making
                        .make(&self.archive, drawing, number, &self.scope)?;
                    let url = self.making.state_url(&self.base).unwrap_or_else(|| {
                        let url = url_of(&self.base, &target_of(drawing.located()));
                        format!("{url}/frames/{number}")
                    });
                    let place = format!("{url}/rendered{}", self.query);
                    let length = Some(picture.len() as u64);
                    let head = self.boundary.part(self.making.essence(), &place, length);
                    let part = [&head[..], &picture, &Boundary::part_end()].concat();
                    return Ok(Some(Bytes::from(part)));
                }
                self.current = None;
            } else if let Some((located, numbers)) = self.waiting.pop_front() {
                let numbers = if numbers.is_empty() {
                    (1..=pictures(&located)).collect()
                } else {
                    numbers.into()
                };
                let drawing = picture::open(&self.archive, &located, &self.scope)?;
                self.current = Some((drawing, numbers));
            } else if !self.look_up()? {
                let close = (!self.is_closed).then(|| self.boundary.close());
                self.is_closed = true;
                return Ok(close);
            }
        }
    }

    /// Looks up the next instances; `false` when there are none.
    fn look_up(&mut self) -> Result<bool, Problem> {
        let Some((target, after)) = &mut self.source else {
            return Ok(false);
        };
        let page = self.archive.locate(target, &self.scope, *after, PAGE)?;
        let Some(last) = page.last() else {
            self.source = None;
            return Ok(false);
        };
        *after = Some(last.cursor);
        let images = page
            .into_iter()
            .filter(|located| pictures(located) > 0)
            .map(|located| (located, Vec::new()));
        self.waiting.extend(images);
        Ok(true)
    }
}
