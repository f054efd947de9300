//! Dose grids as a color wash (PS3.3 §C.8.8.3): black without dose, then from blue over green to red
//! at the highest dose of the grid. A wanted window makes them grey instead, in units of dose.

use super::color::{Palette, Rgb};
use super::native::each_value;
use super::shape::{Photometric, Sample};
use super::tone::Modality;
use super::{Error, ImageMetadata, PixelDescription};

const DOSE_GRID_SCALING: u32 = 0x3004_000E;

/// What is read of the metadata for this.
pub(super) const TAGS: &[u32] = &[DOSE_GRID_SCALING];

/// Shares of the highest dose, in thousandths, and their colors.
const STOPS: [(u32, Rgb); 9] = [
    (0, [0, 0, 0]),
    (50, [0, 0, 120]),
    (200, [0, 40, 255]),
    (400, [0, 200, 255]),
    (550, [0, 220, 80]),
    (700, [190, 235, 0]),
    (800, [255, 220, 0]),
    (900, [255, 120, 0]),
    (1000, [255, 0, 0]),
];
const COLORS: u32 = 256;

/// What is said of a dose grid.
#[derive(Debug, Clone, Copy)]
pub struct DoseGrid {
    /// (3004,000E): dose for one step of a stored value.
    scaling: f64,
}

impl DoseGrid {
    /// Reads the metadata of a dose. Without a scaling that makes sense, values are counted as they are.
    #[must_use]
    pub fn of(metadata: &ImageMetadata) -> Self {
        let scaling = metadata.item().number(DOSE_GRID_SCALING);
        Self {
            scaling: scaling.filter(|scaling| *scaling > 0.0).unwrap_or(1.0),
        }
    }

    /// Whether a frame can have colors: plain values in grey.
    #[must_use]
    pub fn is_plain(description: &PixelDescription) -> bool {
        description.photometric == Photometric::Monochrome2 && description.sample == Sample::Whole
    }

    /// The highest stored value of a frame.
    ///
    /// # Errors
    /// As [`draw`](super::draw()).
    pub fn highest(frame: &[u8], description: &PixelDescription) -> Result<f64, Error> {
        let mut highest = 0.0_f64;
        each_value(frame, description, |value| highest = highest.max(value))?;
        Ok(highest)
    }

    /// Has a window of dose work on a frame of grey.
    pub fn in_units(&self, description: &mut PixelDescription) {
        description.modality = Modality::Rescale {
            slope: self.scaling,
            intercept: 0.0,
        };
    }

    /// A frame as shares of the `highest` stored value, a byte each, and how these are drawn. The
    /// scaling is the same for all, so that it changes no share.
    ///
    /// # Errors
    /// As [`draw`](super::draw()).
    pub fn wash(
        frame: &[u8],
        description: &PixelDescription,
        highest: f64,
    ) -> Result<(Vec<u8>, PixelDescription), Error> {
        let full = if highest > 0.0 { highest } else { 1.0 };
        let mut shares = Vec::new();
        // A saturating cast: negative doses are none. Any dose at all is more than none.
        each_value(frame, description, |value| {
            let share = (value / full * f64::from(COLORS - 1)).round();
            let least = if value > 0.0 { 1.0 } else { 0.0 };
            shares.push(share.max(least) as u8);
        })?;
        let palette = Palette::of_colors((0..COLORS).map(color).collect());
        let description = PixelDescription {
            photometric: Photometric::PaletteColor,
            bits_allocated: 8,
            bits_stored: 8,
            low_bit: 0,
            is_signed: false,
            palette,
            ..description.clone()
        };
        Ok((shares, description))
    }
}

fn color(share: u32) -> Rgb {
    let thousandths = share * 1000 / (COLORS - 1);
    let after = STOPS
        .iter()
        .position(|(at, _)| *at >= thousandths)
        .unwrap_or(STOPS.len() - 1)
        .max(1);
    let ((low, from), (high, to)) = (STOPS[after - 1], STOPS[after]);
    let part = f64::from(thousandths.saturating_sub(low)) / f64::from(high - low);
    [0, 1, 2].map(|n| {
        let (from, to) = (f64::from(from[n]), f64::from(to[n]));
        (from + (to - from) * part).round() as u8
    })
}

#[cfg(test)]
mod tests {
    use super::super::{View, draw};
    use super::*;

    #[test]
    fn doses_go_from_black_over_blue_and_green_to_red() {
        assert_eq!(color(0), [0; 3]);
        assert_eq!(color(255), [255, 0, 0]);
        let brightest = |share: u32| {
            let color = color(share);
            (0..3).max_by_key(|n| color[*n]).unwrap()
        };
        assert_eq!([30, 140, 250].map(brightest), [2, 1, 0]);
        assert!((1..256).all(|share| color(share) != color(share - 1)));
    }

    #[test]
    fn a_frame_is_drawn_by_its_share_of_the_highest() {
        let json = br#"{"00280010":{"Value":[1]},"00280011":{"Value":[4]},"00280100":{"Value":[32]},"00280101":{"Value":[32]},
            "00280103":{"Value":[1]},"3004000E":{"Value":["0.001"]}}"#;
        let metadata = ImageMetadata::parse(json).unwrap();
        let shape = metadata.shape().unwrap();
        let mut grey = metadata.describe(1, &shape, &mut |_| None).unwrap();
        let frame: Vec<u8> = [0_i32, 2000, -5, 1]
            .iter()
            .flat_map(|v| v.to_le_bytes())
            .collect();
        assert!((DoseGrid::highest(&frame, &grey).unwrap() - 2000.0).abs() < 1e-9);
        let (shares, painted) = DoseGrid::wash(&frame, &grey, 2000.0).unwrap();
        assert_eq!(shares, [0, 255, 0, 1]);
        let picture = draw(&shares, &painted, &View::default()).unwrap();
        assert_eq!(picture.samples[..9], [0, 0, 0, 255, 0, 0, 0, 0, 0]);
        assert_eq!(
            DoseGrid::wash(&frame[..15], &grey, 0.0).unwrap_err(),
            Error::CutOff
        );
        DoseGrid::of(&metadata).in_units(&mut grey);
        assert!((grey.modality.apply(2000.0) - 2.0).abs() < 1e-9);
    }
}
