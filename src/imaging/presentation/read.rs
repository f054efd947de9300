//! What a presentation state says of one image: the grey values (PS3.3 §C.11.6, §C.11.8), the area
//! that is displayed (§C.10.4), how it is turned (§C.10.6), colors of shutters and layers.

use super::tags::{
    ASPECT_RATIO, DISPLAYED_AREAS, DISPLAYED_FIRST, DISPLAYED_LAST, IS_MIRRORED, MAGNIFICATION,
    OfState, PRESENTATION_LUT, PRESENTATION_LUT_SHAPE, REFERENCED_FRAMES, REFERENCED_IMAGES,
    REFERENCED_INSTANCE, REFERENCED_SERIES, ROTATION, SERIES_INSTANCE_UID, SHUTTER_COLOR,
    SHUTTER_VALUE, SIZE_MODE, SOFTCOPY_VOI_LUT, SPACING,
};
use super::{REFERENCES_MAX, Reference, Subject};
use crate::imaging::color::{Rgb, rgb_of_lab};
use crate::imaging::marks::Area;
use crate::imaging::metadata::{Bulk, Item, OVERLAY_ACTIVATION_LAYER};
use crate::imaging::shape::Sample;
use crate::imaging::tone::{Finish, Voi, Window};
use crate::imaging::{Error, PixelDescription};

type State = Item<OfState>;

/// How the image is laid out.
pub(super) struct Layout {
    pub(super) displayed: Area,
    pub(super) turns: u8,
    pub(super) is_mirrored: bool,
    /// The height of a pixel by its width.
    pub(super) aspect: f64,
    /// How large a pixel of the image is in a picture of no other size. Pixels.
    pub(super) magnification: f64,
}

/// The images that a state refers to.
pub(super) fn references(state: &State) -> Result<Vec<Reference>, Error> {
    let mut found = Vec::new();
    let mut frames_in_all = 0;
    for series in state.items(REFERENCED_SERIES) {
        for image in series.items(REFERENCED_IMAGES) {
            let frames: Vec<u32> = (0..image.value_count(REFERENCED_FRAMES))
                .map(|place| frame_at(image, place))
                .collect::<Option<_>>()
                .ok_or(Error::Malformed("a referenced frame"))?;
            frames_in_all += frames.len().max(1);
            if frames_in_all > REFERENCES_MAX {
                return Err(Error::Unsupported(
                    "a presentation state of more than 4096 images or frames",
                ));
            }
            found.push(Reference {
                series_instance_uid: series.text(SERIES_INSTANCE_UID).unwrap_or("").to_owned(),
                sop_instance_uid: image.text(REFERENCED_INSTANCE).unwrap_or("").to_owned(),
                frames,
            });
        }
    }
    if found.is_empty() {
        return Err(Error::Malformed(
            "a presentation state that refers to no image",
        ));
    }
    Ok(found)
}

fn frame_at(item: &State, place: usize) -> Option<u32> {
    let number = item.number_at(REFERENCED_FRAMES, place)?;
    let is_one = number.fract() == 0.0 && (1.0..=f64::from(u32::MAX)).contains(&number);
    is_one.then_some(number as u32)
}

/// Whether an item is about a frame: those that name no image are about all (PS3.3 §C.10.4, §C.11.8).
pub(super) fn concerns(item: &State, subject: &Subject<'_>) -> bool {
    let mut images = item.items(REFERENCED_IMAGES).peekable();
    if images.peek().is_none() {
        return true;
    }
    images.any(|image| {
        let frames = image.value_count(REFERENCED_FRAMES);
        image.text(REFERENCED_INSTANCE) == Some(subject.sop_instance_uid)
            && (frames == 0
                || (0..frames).any(|place| frame_at(image, place) == Some(subject.number)))
    })
}

/// The window or table for a frame, else all values that the modality's can be (PS3.4 §N.2.1.2).
pub(super) fn voi(
    state: &State,
    subject: &Subject<'_>,
    description: &PixelDescription,
    bulk: Bulk<'_>,
) -> Result<Option<Voi>, Error> {
    let mut items = state.items(SOFTCOPY_VOI_LUT);
    if let Some(item) = items.find(|item| concerns(item, subject))
        && let Some(voi) = item.voi(description.is_signed, bulk)?
    {
        return Ok(Some(voi));
    }
    if description.sample != Sample::Whole {
        return Ok(None);
    }
    let values = 2_f64.powi(description.bits_stored as i32);
    let lowest = if description.is_signed {
        -values / 2.0
    } else {
        0.0
    };
    let (low, high) = description.modality.range(lowest, lowest + values - 1.0);
    Ok(Some(Voi::Window(Window::spanning(low, high))))
}

/// The Presentation LUT (PS3.3 §C.11.6).
pub(super) fn finish(state: &State, bulk: Bulk<'_>) -> Result<Finish, Error> {
    if let Some(lut) = state.lut(PRESENTATION_LUT, false, bulk)? {
        return Ok(Finish::Lut(lut));
    }
    match state.text(PRESENTATION_LUT_SHAPE) {
        None | Some("" | "IDENTITY") => Ok(Finish::Identity),
        Some("INVERSE") => Ok(Finish::Inverse),
        Some(_) => Err(Error::Unsupported("this presentation LUT shape")),
    }
}

/// The palette of a pseudo-color state (PS3.3 §C.7.9).
pub(super) fn palette(state: &State, bulk: Bulk<'_>) -> Result<Finish, Error> {
    state.palette(false, bulk).map(Finish::Palette)
}

/// How the image lies.
pub(super) fn area(state: &State, subject: &Subject<'_>) -> Result<Layout, Error> {
    let item = state
        .items(DISPLAYED_AREAS)
        .find(|item| concerns(item, subject));
    let (columns, rows) = (subject.description.columns, subject.description.rows);
    let corner = |tag, otherwise: (u32, u32)| {
        let place = |place| item.and_then(|item| item.number_at(tag, place));
        (
            place(0).unwrap_or(otherwise.0.into()),
            place(1).unwrap_or(otherwise.1.into()),
        )
    };
    // The corners are those that come to lie there once turned, so either may be the larger.
    let (one, other) = (
        corner(DISPLAYED_FIRST, (1, 1)),
        corner(DISPLAYED_LAST, (columns, rows)),
    );
    let displayed = Area {
        left: one.0.min(other.0) - 1.0,
        top: one.1.min(other.1) - 1.0,
        width: (one.0 - other.0).abs() + 1.0,
        height: (one.1 - other.1).abs() + 1.0,
    };
    let is_near = |n: f64| n.abs() <= 2.0 * f64::from(u32::MAX);
    if ![
        displayed.left,
        displayed.top,
        displayed.width,
        displayed.height,
    ]
    .into_iter()
    .all(is_near)
    {
        return Err(Error::Malformed("the displayed area"));
    }
    let turns = match state.number(ROTATION) {
        None => 0,
        Some(angle) if angle.rem_euclid(90.0) == 0.0 => (angle / 90.0).rem_euclid(4.0) as u8,
        Some(_) => return Err(Error::Malformed("a rotation")),
    };
    let aspect = [SPACING, ASPECT_RATIO].into_iter().find_map(|tag| {
        let aspect = item?.number_at(tag, 0)? / item?.number_at(tag, 1)?;
        (0.02..=50.0).contains(&aspect).then_some(aspect)
    });
    let is_magnified = item.and_then(|item| item.text(SIZE_MODE)) == Some("MAGNIFY");
    let magnification = item
        .and_then(|item| item.number(MAGNIFICATION))
        .filter(|ratio| is_magnified && (1e-3..=1e3).contains(ratio));
    Ok(Layout {
        displayed,
        turns,
        is_mirrored: state.text(IS_MIRRORED) == Some("Y"),
        aspect: aspect.unwrap_or(subject.description.pixel_aspect),
        magnification: magnification.unwrap_or(1.0),
    })
}

/// The layer that an overlay is shown in; `None` when it is not shown (PS3.3 §C.11.7).
pub(super) fn activation(state: &State, group: u16) -> Option<&str> {
    let tag = u32::from(group) << 16 | u32::from(OVERLAY_ACTIVATION_LAYER);
    state.text(tag).filter(|layer| !layer.is_empty())
}

/// What a shutter hides with: black when it does not say.
pub(super) fn shutter_color(state: &State, is_color: bool) -> Rgb {
    color(state, SHUTTER_VALUE, SHUTTER_COLOR, is_color).unwrap_or_default()
}

/// A color as P-Value and as CIELab, whichever suits the picture.
pub(super) fn color(item: &State, value: u32, lab: u32, is_color: bool) -> Option<Rgb> {
    let grey = || {
        let grey = item.number(value)? / 65_535.0 * 255.0;
        // A saturating cast.
        Some([grey.round() as u8; 3])
    };
    let part = |place| item.number_at(lab, place);
    if is_color {
        let color = || Some(rgb_of_lab([part(0)?, part(1)?, part(2)?]));
        color().or_else(grey)
    } else {
        // Of a color without grey, its lightness.
        grey().or_else(|| Some([(part(0)? / 65_535.0 * 255.0).round() as u8; 3]))
    }
}
