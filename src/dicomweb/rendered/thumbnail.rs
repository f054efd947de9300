//! Thumbnails (PS3.18 §10.4.1.1.4): one small picture that stands for a study, series, instance or
//! frame. No word of the patient is in it, unless it is burned into the pixels that were sent.
//!
//! A series is shown by the image in its middle, a study by its series with the most images, an
//! instance by the frame it names (0028,6010) or the one in its middle, a presentation state by the
//! first image it is for. A video is shown by a sign.

use actix_web::HttpResponse;

use super::super::accept::Packing;
use super::super::call::Call;
use super::super::frames::{self, FrameForm};
use super::parameters::Parameters;
use super::picture::{self, Which, undrawable};
use super::presentation;
use crate::access::Scope;
use crate::archive::{Archive, Located, PictureError, Row, Target, drawable};
use crate::dicom::query::{Key, Matching, Order};
use crate::dicom::{AttributeId, Level, Query, Uid};
use crate::http::{Problem, off_thread};

/// The box of a thumbnail when none is asked for. Pixels.
const SIDE_DEFAULT: u32 = 128;
/// Series of a study that are looked at, and instances of a series on either side of its middle.
const SERIES_MAX: u32 = 64;
const INSTANCES_MAX: u32 = 16;

/// Answers GET `…/thumbnail`.
pub(in super::super) async fn thumbnail(call: &Call) -> Result<HttpResponse, Problem> {
    let target = call.target()?;
    let accept = super::accept(call)?;
    let parameters = Parameters::of_thumbnail(&call.parameters, SIDE_DEFAULT)?;
    let which = match call.path_piece("frames") {
        "" => Which::RepresentativeOrMiddle,
        list => Which::Number(frames::numbers(list)?.first().copied().unwrap_or(1)),
    };
    let (_, making) = super::choose(&accept, &[Packing::Single], parameters)?;
    if let Target::Instance(..) = &target
        && call.path_piece("frames").is_empty()
    {
        let state = call.locate(&target).await?;
        if presentation::is_state(&state) {
            return presentation::first(call, state, making).await;
        }
    }
    let (archive, scope) = (call.archive(), call.scope());
    let located = off_thread(move || representative(&archive, target, &scope)).await??;
    if is_video(&located) {
        return picture::sign(call, &located, &making);
    }
    picture::single(call, located, which, making).await
}

/// The instance that stands for a target.
///
/// # Errors
/// 404 when there is nothing, 406 when nothing of it can be drawn.
fn representative(archive: &Archive, target: Target, scope: &Scope) -> Result<Located, Problem> {
    let all_series = match &target {
        Target::Study(study) => series_of(archive, study, scope)?,
        Target::Series(study, series) => vec![(study.clone(), series.clone())],
        Target::Instance(..) => return candidate(archive, &target, scope)?,
    };
    let mut reason = Problem::not_found();
    for (study, series) in &all_series {
        for instance in instances_of(archive, study, series, scope)? {
            let target = Target::Instance(study.clone(), series.clone(), instance);
            match candidate(archive, &target, scope)? {
                Ok(located) => return Ok(located),
                Err(problem) => reason = problem,
            }
        }
    }
    Err(reason)
}

fn is_video(located: &Located) -> bool {
    FrameForm::of(located).is_video && !located.frames.is_empty()
}

/// The instance, or why it has no picture.
fn candidate(
    archive: &Archive,
    target: &Target,
    scope: &Scope,
) -> Result<Result<Located, Problem>, Problem> {
    let located = archive.locate(target, scope, None, 1)?.pop();
    let located = located.ok_or_else(Problem::not_found)?;
    Ok(match drawable(&located) {
        Ok(()) => Ok(located),
        Err(_) if is_video(&located) => Ok(located),
        Err(PictureError::NoPixels) => Err(Problem::not_acceptable("no object here has pixels")),
        Err(error) => Err(undrawable(error, &located)),
    })
}

/// The series of a study, the largest first.
fn series_of(archive: &Archive, study: &Uid, scope: &Scope) -> Result<Vec<(Uid, Uid)>, Problem> {
    let query = query(Level::Series, &[("StudyInstanceUID", study)], SERIES_MAX, 0);
    let mut rows = archive.find(&query, scope)?.rows;
    rows.sort_by_key(|row| std::cmp::Reverse(row.instances_of_series));
    let uid = |row: &Row| Uid::parse(row.attributes.by_keyword("SeriesInstanceUID")?).ok();
    Ok(rows
        .iter()
        .filter_map(|row| Some((study.clone(), uid(row)?)))
        .collect())
}

/// Some instances of a series, from its middle on, then from its beginning.
fn instances_of(
    archive: &Archive,
    study: &Uid,
    series: &Uid,
    scope: &Scope,
) -> Result<Vec<Uid>, Problem> {
    let keys = [("StudyInstanceUID", study), ("SeriesInstanceUID", series)];
    let first = archive.find(&query(Level::Instance, &keys, INSTANCES_MAX, 0), scope)?;
    let count = first.rows.first().map_or(0, |row| row.instances_of_series);
    let middle = archive.find(
        &query(Level::Instance, &keys, INSTANCES_MAX, count / 2),
        scope,
    )?;
    let rows = middle.rows.iter().chain(&first.rows);
    Ok(rows
        .filter_map(|row| Uid::parse(row.attributes.by_keyword("SOPInstanceUID")?).ok())
        .collect())
}

fn query(level: Level, uids: &[(&str, &Uid)], limit: u32, offset: u64) -> Query {
    let key = |(keyword, uid): &(&str, &Uid)| {
        let attribute = AttributeId::of_keyword(keyword)?;
        Some(Key::Attribute(
            attribute,
            Matching::Single(uid.as_str().into()),
        ))
    };
    Query {
        level,
        keys: uids.iter().filter_map(key).collect(),
        limit,
        offset,
        order: Order::NEWEST,
    }
}
