//! Presentation states at `…/rendered` (PS3.18 §10.4.1.1.3, §8.3.5.1): one body is the first frame
//! that the state refers to, parts are all of them; and images by the state that a request names.

use std::sync::Arc;

use actix_web::HttpResponse;

use super::super::accept::{Accept, Packing};
use super::super::call::Call;
use super::parameters::Parameters;
use super::picture::{self, ByState, Making, Which, undrawable};
use super::{choose, no_pixels, parts};
use crate::archive::{Located, Presented, Target};
use crate::http::{Problem, off_thread};
use crate::imaging::Presentation;

/// Whether an instance is a presentation state that is applied.
pub(super) fn is_state(located: &Located) -> bool {
    located.frames.is_empty() && Presentation::is_one(located.sop_class_uid.as_str())
}

/// Answers GET `…/rendered` of a presentation state.
pub(super) async fn rendered(
    call: &Call,
    located: Located,
    accept: &Accept,
) -> Result<HttpResponse, Problem> {
    let parameters = Parameters::of_presentation(&call.parameters)?;
    let packings = [Packing::Single, Packing::Multipart];
    match choose(accept, &packings, parameters)? {
        (Packing::Single, making) => first(call, located, making).await,
        (Packing::Multipart, making) => {
            let images = images(call, &located, false).await?;
            parts::of_images(call, images, by(making, located)).await
        }
    }
}

/// Answers with the first frame that a state refers to.
pub(super) async fn first(
    call: &Call,
    located: Located,
    making: Making,
) -> Result<HttpResponse, Problem> {
    let images = images(call, &located, true).await?;
    let first = images.into_iter().next().ok_or_else(no_pixels)?;
    let number = first.1.first().copied().unwrap_or(1);
    picture::single(call, first.0, Which::Number(number), by(making, located)).await
}

/// Answers with a frame of an image as a state of the same study has it (§9.1.2.3.7, §9.1.2.3.8).
///
/// # Errors
/// 404 when there is no such state, 400 when it is not for this frame.
pub(in super::super) async fn shown_by(
    call: &Call,
    state: Target,
    located: Located,
    number: Option<u32>,
    parameters: Parameters,
    accept: &Accept,
) -> Result<HttpResponse, Problem> {
    let (_, making) = choose(accept, &[Packing::Single], parameters)?;
    let (archive, scope) = (call.archive(), call.scope());
    let place = call.hall().begin_drawing().await?;
    let (image, count) = (located.sop_instance_uid.clone(), located.frames.len());
    let (state, number) = off_thread(move || {
        let _place = place;
        let found = archive.locate(&state, &scope, None, 1)?.pop();
        let found = found.filter(is_state).ok_or_else(|| {
            Problem::new(
                actix_web::http::StatusCode::NOT_FOUND,
                "the presentation state is not held here",
            )
        })?;
        let state = archive.state(&found, &scope);
        // Without a number, the first frame that it is for.
        let number = state.and_then(|state| state.frame_for(&image, number, count));
        let number = number.map_err(|error| undrawable(error, &found))?;
        Ok::<_, Problem>((found, number))
    })
    .await??;
    let number = number.ok_or_else(|| {
        Problem::bad_request("the presentation state does not refer to this image or frame")
    })?;
    picture::single(call, located, Which::Number(number), by(making, state)).await
}

fn by(making: Making, state: Located) -> Making {
    Making {
        state: Some(ByState(Arc::new(state))),
        ..making
    }
}

/// The images of a state, or the first of them.
async fn images(
    call: &Call,
    located: &Located,
    is_first_enough: bool,
) -> Result<Vec<Presented>, Problem> {
    let (archive, scope, located) = (call.archive(), call.scope(), located.clone());
    let place = call.hall().begin_drawing().await?;
    off_thread(move || {
        let _place = place;
        let state = archive.state(&located, &scope);
        let images = state.and_then(|state| archive.presented(&state, is_first_enough, &scope));
        images.map_err(|error| undrawable(error, &located))
    })
    .await?
}
