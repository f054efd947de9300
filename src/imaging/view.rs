//! What of a frame is shown, how large and in which greys (PS3.18 §8.3.5.1).

use super::scale::Region;
use super::tone::Window;
use super::{Error, PixelDescription};

/// The longest side of a picture. Pixels.
pub const SIDE_MAX: u32 = 8192;
/// The most pixels of a picture.
pub const PICTURE_PIXELS_MAX: u64 = 1 << 25;

/// How a frame is shown.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct View {
    /// Instead of the window or table of the instance.
    pub window: Option<Window>,
    /// The part of the frame that is shown.
    pub crop: Crop,
    /// How large.
    pub fit: Fit,
    /// Whether the overlays of the image are drawn into it.
    pub has_overlays: bool,
    /// Of what a presentation state displays, the part that is shown: left, top, right and bottom
    /// as parts of 1.
    pub part: Option<[f64; 4]>,
    /// Whether the texts of a presentation state are left out, which may name the patient.
    pub is_wordless: bool,
    /// Whether a glance is enough: what is drawn as a sheet may then leave out what would be too small.
    pub is_glance: bool,
}

/// How large a picture is. Pixels that are not square come out square, and the limits
/// [`SIDE_MAX`] and [`PICTURE_PIXELS_MAX`] hold, whatever is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Fit {
    /// As large as its part of the frame.
    #[default]
    Natural,
    /// The same, but made smaller where it would not fit into this width and height.
    Within(u32, u32),
    /// Made larger or smaller until width or height are reached.
    Fill(u32, u32),
}

/// A part of a frame, in its pixels, and which way round it is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Crop {
    /// Its first column, from 0.
    pub left: u32,
    /// Its first row, from 0.
    pub top: u32,
    /// Its columns; `None` for all up to the right edge, as when there are not so many.
    pub width: Option<u32>,
    /// Its rows, likewise.
    pub height: Option<u32>,
    /// Left and right change places.
    pub is_mirrored: bool,
    /// Top and bottom change places.
    pub is_flipped: bool,
}

impl View {
    /// Which part of the frame is shown, at which width and height.
    ///
    /// # Errors
    /// [`Error::Outside`] when nothing of the frame is.
    pub(super) fn plan(
        &self,
        description: &PixelDescription,
    ) -> Result<(Region, (u32, u32)), Error> {
        self.plan_of(
            description.columns,
            description.rows,
            description.pixel_aspect,
        )
    }

    /// The same of anything of so many columns and rows, each pixel so much higher than wide.
    pub(super) fn plan_of(
        &self,
        columns: u32,
        rows: u32,
        pixel_aspect: f64,
    ) -> Result<(Region, (u32, u32)), Error> {
        let side = |first: u32, length: Option<u32>, whole: u32| {
            let left = whole.saturating_sub(first);
            let side = length.unwrap_or(left).min(left);
            if side == 0 {
                Err(Error::Outside)
            } else {
                Ok(side)
            }
        };
        let region = Region {
            left: self.crop.left,
            top: self.crop.top,
            width: side(self.crop.left, self.crop.width, columns)?,
            height: side(self.crop.top, self.crop.height, rows)?,
            is_mirrored: self.crop.is_mirrored,
            is_flipped: self.crop.is_flipped,
        };
        let sides = (f64::from(region.width), f64::from(region.height));
        Ok((region, self.fit.size(sides, pixel_aspect, 1.0)))
    }
}

impl Fit {
    /// The sides of a picture of so many pixels of a frame, at least one each way, `natural` times
    /// as large when nothing else is wanted.
    pub(super) fn size(self, (width, height): (f64, f64), aspect: f64, natural: f64) -> (u32, u32) {
        let (width, height) = if aspect >= 1.0 {
            (width, height * aspect)
        } else {
            (width / aspect, height)
        };
        let into = |w: u32, h: u32| (f64::from(w) / width).min(f64::from(h) / height);
        let wanted = match self {
            Fit::Natural => natural,
            Fit::Within(w, h) => into(w, h).min(natural),
            Fit::Fill(w, h) => into(w, h),
        };
        let by_area = (PICTURE_PIXELS_MAX as f64 / (width * height)).sqrt();
        let scale = wanted.min(into(SIDE_MAX, SIDE_MAX)).min(by_area);
        let side = |length: f64| ((length * scale).round() as u32).clamp(1, SIDE_MAX);
        (side(width), side(height))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size(fit: Fit, width: u32, height: u32, aspect: f64) -> (u32, u32) {
        fit.size((width.into(), height.into()), aspect, 1.0)
    }

    #[test]
    fn sizes_keep_the_shape_and_the_limits() {
        let cases = [
            (Fit::Natural, (512, 384), 1.0, (512, 384)),
            (Fit::Natural, (512, 384), 2.0, (512, 768)),
            (Fit::Natural, (512, 384), 0.5, (1024, 384)),
            (Fit::Fill(256, 256), (512, 384), 1.0, (256, 192)),
            (Fit::Fill(1024, 1024), (512, 384), 1.0, (1024, 768)),
            (Fit::Fill(1024, 300), (512, 384), 1.0, (400, 300)),
            (Fit::Within(1024, 1024), (512, 384), 1.0, (512, 384)),
            (Fit::Within(128, 128), (512, 384), 1.0, (128, 96)),
            (Fit::Within(128, 128), (10_000, 1), 1.0, (128, 1)),
            (Fit::Natural, (60_000, 4), 1.0, (8192, 1)),
            (Fit::Natural, (8192, 8192), 1.0, (5793, 5793)),
            (Fit::Fill(u32::MAX, u32::MAX), (1, 1), 1.0, (5793, 5793)),
        ];
        for (fit, (width, height), aspect, expected) in cases {
            assert_eq!(
                size(fit, width, height, aspect),
                expected,
                "{fit:?} {width}x{height}"
            );
        }
    }
}
