//! Retrieve rendered and thumbnail (PS3.18 §10.4.1.1.3, §10.4.1.1.4). What is no picture of pixels is
//! [`document`]'s; of the others [`parameters`] reads what is asked for, [`picture`] gives one,
//! [`parts`] many, [`presentation`] those that a presentation state decides, and [`mod@thumbnail`] chooses what stands for a study or series.

mod parameters;
mod parts;
mod picture;
mod presentation;
mod thumbnail;

use actix_web::HttpResponse;

use super::accept::{Accept, Offer, Packing};
use super::call::Call;
use super::{document, frames};
use crate::archive::{Located, Target, pictures};
use crate::http::{Problem, off_thread};
pub(super) use parameters::Parameters;
use picture::Making;
pub(super) use picture::{TYPES, Which};
pub(super) use presentation::shown_by;
pub(super) use thumbnail::thumbnail;

/// Answers GET `…/rendered`.
pub(super) async fn rendered(call: &Call) -> Result<HttpResponse, Problem> {
    let target = call.target()?;
    let accept = accept(call)?;
    if !matches!(target, Target::Instance(..)) {
        return collection(call, target, &accept).await;
    }
    if call.path_piece("frames").is_empty() {
        call.check_charset()?;
    }
    let located = call.locate(&target).await?;
    if call.path_piece("frames").is_empty()
        && let Some(response) = document::rendered(call, &located, &accept).await?
    {
        return Ok(response);
    }
    if presentation::is_state(&located) && call.path_piece("frames").is_empty() {
        return presentation::rendered(call, located, &accept).await;
    }
    if pictures(&located) == 0 {
        return Err(no_pixels());
    }
    image(call, located, &accept).await
}

/// What the caller accepts.
///
/// # Errors
/// 406 without an Accept header, 400 for DICOM and rendered media types together (PS3.18 §8.7.5).
fn accept(call: &Call) -> Result<Accept, Problem> {
    let accept = call.accept()?;
    if accept.mixes_categories() {
        return Err(Problem::bad_request(
            "DICOM and rendered media types cannot be asked for together",
        ));
    }
    Ok(accept)
}

/// The frames of an image that the path names: without a list, one body is the frame that stands
/// for all, parts are all of them.
async fn image(call: &Call, located: Located, accept: &Accept) -> Result<HttpResponse, Problem> {
    let parameters = Parameters::of_rendered(&call.parameters)?;
    let numbers = match call.path_piece("frames") {
        "" => Vec::new(),
        list => frames::numbers(list)?,
    };
    if numbers.iter().any(|number| *number > pictures(&located)) {
        return Err(picture::no_frame(&located));
    }
    let packings: &[Packing] = if numbers.len() < 2 {
        &[Packing::Single, Packing::Multipart]
    } else {
        &[Packing::Multipart]
    };
    let (packing, making) = choose(accept, packings, parameters)?;
    match (packing, numbers.first()) {
        (Packing::Multipart, _) => parts::of_instance(call, located, numbers, making).await,
        (Packing::Single, Some(number)) => {
            picture::single(call, located, Which::Number(*number), making).await
        }
        (Packing::Single, None) => {
            picture::single(call, located, Which::RepresentativeOrFirst, making).await
        }
    }
}

/// One picture of an instance, as the URI Service asks for it.
///
/// # Errors
/// 406 with what is on offer, and why it cannot be drawn.
pub(super) async fn shown(
    call: &Call,
    located: Located,
    which: Which,
    parameters: Parameters,
    accept: &Accept,
) -> Result<HttpResponse, Problem> {
    if pictures(&located) == 0 {
        return Err(no_pixels());
    }
    let (_, making) = choose(accept, &[Packing::Single], parameters)?;
    picture::single(call, located, which, making).await
}

fn no_pixels() -> Problem {
    Problem::not_acceptable("the object has no pixels to render")
}

/// The images of a study or series: parts, or one body when there is only one (PS3.18 Table 10.4.4-1, note 3).
async fn collection(call: &Call, target: Target, accept: &Accept) -> Result<HttpResponse, Problem> {
    let parameters = Parameters::of_rendered(&call.parameters)?;
    let (archive, scope, of) = (call.archive(), call.scope(), target.clone());
    let images = off_thread(move || parts::images(&archive, &of, &scope)).await??;
    let packings: &[Packing] = if images.count == 1 {
        &[Packing::Multipart, Packing::Single]
    } else {
        &[Packing::Multipart]
    };
    match choose(accept, packings, parameters)? {
        (Packing::Multipart, making) => parts::of_target(call, target, making).await,
        (Packing::Single, making) => {
            picture::single(call, images.first, Which::RepresentativeOrFirst, making).await
        }
    }
}

/// How the caller takes pictures.
///
/// # Errors
/// 406, with what is on offer.
fn choose(
    accept: &Accept,
    packings: &[Packing],
    parameters: Parameters,
) -> Result<(Packing, Making), Problem> {
    let offers: Vec<Offer<'_>> = packings
        .iter()
        .flat_map(|packing| TYPES.iter().map(|essence| Offer::plain(*packing, essence)))
        .collect();
    let Some(offer) = accept.choose(&offers) else {
        return Err(Problem::not_acceptable(
            if packings.contains(&Packing::Single) {
                "available as image/jpeg, image/png or image/gif, or as multipart/related of them"
            } else {
                "several pictures are available as multipart/related; type=\"image/jpeg\", \
                 \"image/png\" or \"image/gif\" only"
            },
        ));
    };
    Ok((offer.packing, Making::new(parameters, offer.essence)?))
}
