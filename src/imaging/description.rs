//! What must be known of an instance to draw one of its frames (PS3.3 §C.7.6.3.1), read from its
//! metadata: per-frame functional groups before shared ones before the instance itself.

use super::Error;
use super::color::{Palette, unsegmented};
use super::metadata::{
    BITS_ALLOCATED, BITS_STORED, Bulk, COLUMNS, DOUBLE_PADDING_RANGE_LIMIT, DOUBLE_PADDING_VALUE,
    DOUBLE_PIXEL_DATA, FLOAT_PADDING_RANGE_LIMIT, FLOAT_PADDING_VALUE, FLOAT_PIXEL_DATA,
    FRAME_VOI_LUT, HIGH_BIT, IMAGER_PIXEL_SPACING, Interest, Item, LUT_DATA, LUT_DESCRIPTOR,
    MODALITY_LUT, NUMBER_OF_FRAMES, PALETTE_DESCRIPTORS, PALETTES, PHOTOMETRIC_INTERPRETATION,
    PIXEL_ASPECT_RATIO, PIXEL_DATA, PIXEL_MEASURES, PIXEL_PADDING_RANGE_LIMIT, PIXEL_PADDING_VALUE,
    PIXEL_REPRESENTATION, PIXEL_SPACING, PIXEL_VALUE_TRANSFORMATION, PLANAR_CONFIGURATION,
    REPRESENTATIVE_FRAME, RESCALE_INTERCEPT, RESCALE_SLOPE, ROWS, SAMPLES_PER_PIXEL,
    SEGMENTED_PALETTES, VOI_LUT, VOI_LUT_FUNCTION, WINDOW_CENTER, WINDOW_WIDTH,
};
use super::shape::{Photometric, Sample, Shape};
use super::tone::{Finish, Lut, Modality, Padding, Voi, VoiFunction, Window};

/// The metadata of one instance, read once for all of its frames.
#[derive(Debug)]
pub struct ImageMetadata(pub(super) Item);

impl ImageMetadata {
    /// Reads prepared DICOM JSON (PS3.18 §F.2).
    ///
    /// # Errors
    /// [`Error::Malformed`].
    pub fn parse(json: &[u8]) -> Result<Self, Error> {
        Item::parse(json).map(Self)
    }

    pub(super) fn item(&self) -> &Item {
        &self.0
    }

    /// (0028,6010), the frame that stands for all of them.
    #[must_use]
    pub fn representative_frame(&self) -> Option<u32> {
        self.0
            .count(REPRESENTATIVE_FRAME)
            .filter(|frame| *frame > 0)
    }

    /// What is said of all frames.
    ///
    /// # Errors
    /// [`Error::NoPixels`] without rows and columns, else what is wrong with the values.
    pub fn shape(&self) -> Result<Shape, Error> {
        self.0.shape()
    }

    /// What is said of frame `number` (from 1), which is of this shape once it is native. `bulk` gives the little endian bytes of a table that
    /// the metadata only link, by the path in its URI (`00283010/0/00283006`).
    ///
    /// # Errors
    /// [`Error::NoPixels`] without rows and columns, [`Error::NotNative`] for photometric
    /// interpretations that only codecs make, else what is wrong with the values.
    pub fn describe(
        &self,
        number: u32,
        shape: &Shape,
        bulk: &mut dyn FnMut(&str) -> Option<Vec<u8>>,
    ) -> Result<PixelDescription, Error> {
        self.0.describe(number, shape, bulk)
    }
}

/// How the pixels of one frame are encoded and meant.
#[derive(Debug, Clone, PartialEq)]
pub struct PixelDescription {
    pub(super) photometric: Photometric,
    pub(super) rows: u32,
    pub(super) columns: u32,
    /// (0028,0006): colors by plane, not by pixel.
    pub(super) is_planar: bool,
    pub(super) sample: Sample,
    /// 1, 8, 16, 32 or, for doubles, 64.
    pub(super) bits_allocated: u32,
    /// At least 1, at most `bits_allocated`.
    pub(super) bits_stored: u32,
    /// The lowest of the stored bits.
    pub(super) low_bit: u32,
    pub(super) is_signed: bool,
    pub(super) modality: Modality,
    pub(super) voi: Option<Voi>,
    pub(super) finish: Finish,
    pub(super) padding: Option<Padding>,
    /// The height of a pixel by its width.
    pub(super) pixel_aspect: f64,
    /// Present when the photometric interpretation asks for it.
    pub(super) palette: Option<Palette>,
}

impl PixelDescription {
    /// Whether the pixels are grey values.
    pub(super) fn is_grey(&self) -> bool {
        matches!(
            self.photometric,
            Photometric::Monochrome1 | Photometric::Monochrome2
        )
    }

    /// Whether a pixel is one stored value.
    pub(super) fn has_one_sample(&self) -> bool {
        !self.photometric.is_color()
    }
}

impl Item {
    fn shape(&self) -> Result<Shape, Error> {
        let side = |tag| self.count(tag).filter(|n| *n > 0).ok_or(Error::NoPixels);
        let (rows, columns) = (side(ROWS)?, side(COLUMNS)?);
        let bits_allocated = self.count(BITS_ALLOCATED).ok_or(Error::NoPixels)?;
        let bits_stored = self.count(BITS_STORED).unwrap_or(bits_allocated);
        let is_there = |tag| self.element(tag).is_some();
        let sample = if is_there(PIXEL_DATA) {
            Sample::Whole
        } else if is_there(FLOAT_PIXEL_DATA) {
            Sample::Float
        } else if is_there(DOUBLE_PIXEL_DATA) {
            Sample::Double
        } else {
            Sample::Whole
        };
        let is_allowed = match sample {
            Sample::Whole => [1, 8, 16, 32].contains(&bits_allocated),
            Sample::Float => bits_allocated == 32 && bits_stored == 32,
            Sample::Double => bits_allocated == 64 && bits_stored == 64,
        };
        if !is_allowed {
            return Err(Error::Unsupported("this number of bits allocated"));
        }
        if bits_stored == 0 || bits_stored > bits_allocated {
            return Err(Error::Malformed("bits stored or high bit"));
        }
        let term = self
            .text(PHOTOMETRIC_INTERPRETATION)
            .unwrap_or("MONOCHROME2");
        let photometric = Photometric::of_term(term)
            .ok_or(Error::Unsupported("this photometric interpretation"))?;
        let samples = if photometric.is_color() { 3 } else { 1 };
        if self.count(SAMPLES_PER_PIXEL).unwrap_or(1) != samples {
            return Err(Error::Malformed("samples per pixel"));
        }
        Ok(Shape {
            rows,
            columns,
            samples: samples as u16,
            photometric,
            is_planar: samples > 1 && self.count(PLANAR_CONFIGURATION) == Some(1),
            // At most 64.
            bits_allocated: bits_allocated as u16,
            bits_stored: bits_stored as u16,
            is_signed: self.count(PIXEL_REPRESENTATION) == Some(1),
            sample,
            // Some writers say 0 of a single frame.
            frames: self.count(NUMBER_OF_FRAMES).unwrap_or(1).max(1),
            is_word_stream: self
                .element(PIXEL_DATA)
                .is_some_and(|element| &*element.vr == "OW"),
        })
    }

    fn describe(
        &self,
        number: u32,
        shape: &Shape,
        bulk: Bulk<'_>,
    ) -> Result<PixelDescription, Error> {
        let frame = usize::try_from(number)
            .ok()
            .and_then(|n| n.checked_sub(1))
            .ok_or(Error::NoPixels)?;
        if !shape.photometric.is_native() {
            return Err(Error::NotNative);
        }
        let (bits_allocated, bits_stored) = (
            u32::from(shape.bits_allocated),
            u32::from(shape.bits_stored),
        );
        let high_bit = self.count(HIGH_BIT).unwrap_or(bits_stored - 1);
        if high_bit >= bits_allocated || high_bit + 1 < bits_stored {
            return Err(Error::Malformed("bits stored or high bit"));
        }
        let padding = match shape.sample {
            Sample::Whole => [PIXEL_PADDING_VALUE, PIXEL_PADDING_RANGE_LIMIT],
            Sample::Float => [FLOAT_PADDING_VALUE, FLOAT_PADDING_RANGE_LIMIT],
            Sample::Double => [DOUBLE_PADDING_VALUE, DOUBLE_PADDING_RANGE_LIMIT],
        };
        let is_signed = shape.is_signed;
        Ok(PixelDescription {
            photometric: shape.photometric,
            rows: shape.rows,
            columns: shape.columns,
            is_planar: shape.is_planar,
            sample: shape.sample,
            bits_allocated,
            bits_stored,
            low_bit: high_bit + 1 - bits_stored,
            is_signed,
            modality: self
                .group(PIXEL_VALUE_TRANSFORMATION, frame)
                .modality(is_signed, bulk)?,
            voi: self.group(FRAME_VOI_LUT, frame).voi(is_signed, bulk)?,
            finish: match shape.photometric {
                Photometric::Monochrome1 => Finish::Inverse,
                _ => Finish::Identity,
            },
            padding: self
                .number(padding[0])
                .map(|value| Padding::between(value, self.number(padding[1]).unwrap_or(value))),
            pixel_aspect: self.pixel_aspect(frame),
            palette: if shape.photometric == Photometric::PaletteColor {
                Some(self.palette(is_signed, bulk)?)
            } else {
                None
            },
        })
    }
}

impl<I: Interest> Item<I> {
    /// The table if there is one, else slope and intercept (PS3.3 §C.11.1).
    pub(super) fn modality(&self, is_signed: bool, bulk: Bulk<'_>) -> Result<Modality, Error> {
        if let Some(lut) = self.lut(MODALITY_LUT, is_signed, bulk)? {
            return Ok(Modality::Lut(lut));
        }
        let slope = self
            .number(RESCALE_SLOPE)
            .filter(|slope| *slope != 0.0)
            .unwrap_or(1.0);
        Ok(Modality::Rescale {
            slope,
            intercept: self.number(RESCALE_INTERCEPT).unwrap_or(0.0),
        })
    }

    /// The first table if there is one, else the first window (PS3.3 §C.11.2).
    pub(super) fn voi(&self, is_signed: bool, bulk: Bulk<'_>) -> Result<Option<Voi>, Error> {
        if let Some(lut) = self.lut(VOI_LUT, is_signed, bulk)? {
            return Ok(Some(Voi::Lut(lut)));
        }
        let function = match self.text(VOI_LUT_FUNCTION) {
            Some("LINEAR_EXACT") => VoiFunction::LinearExact,
            Some("SIGMOID") => VoiFunction::Sigmoid,
            _ => VoiFunction::Linear,
        };
        let window = self.number(WINDOW_CENTER).zip(self.number(WINDOW_WIDTH));
        Ok(window
            .and_then(|(center, width)| Window::new(center, width, function))
            .map(Voi::Window))
    }

    /// The table in the first item of a sequence.
    pub(super) fn lut(
        &self,
        sequence: u32,
        is_signed: bool,
        bulk: Bulk<'_>,
    ) -> Result<Option<Lut>, Error> {
        let Some(item) = self.item(sequence, 0) else {
            return Ok(None);
        };
        let malformed = Error::Malformed("a lookup table");
        let number = |position| item.number_at(LUT_DESCRIPTOR, position);
        let (Some(entries), Some(first), Some(bits)) = (number(0), number(1), number(2)) else {
            return Err(malformed);
        };
        let data = item.element(LUT_DATA).ok_or(malformed)?.table(bulk)?;
        Lut::new(entries, signed_word(first, is_signed), bits, &data).map(Some)
    }

    /// Spacing before ratio; both stand vertical first. One that no screen could show is not believed.
    fn pixel_aspect(&self, frame: usize) -> f64 {
        let measures = self.group(PIXEL_MEASURES, frame);
        let sources = [
            (measures, PIXEL_SPACING),
            (self, IMAGER_PIXEL_SPACING),
            (self, PIXEL_ASPECT_RATIO),
        ];
        let aspect =
            |(item, tag): (&Self, u32)| Some(item.number_at(tag, 0)? / item.number_at(tag, 1)?);
        sources
            .into_iter()
            .filter_map(aspect)
            .find(|aspect| (0.02..=50.0).contains(aspect))
            .unwrap_or(1.0)
    }

    pub(super) fn palette(&self, is_signed: bool, bulk: Bulk<'_>) -> Result<Palette, Error> {
        let descriptor = |position| {
            self.number_at(PALETTE_DESCRIPTORS[0], position)
                .ok_or(Error::Malformed("the palette"))
        };
        let (entries, bits) = (descriptor(0)?, descriptor(2)?);
        let mut table = |channel: usize| {
            if let Some(plain) = self.element(PALETTES[channel]) {
                return plain.table(bulk);
            }
            let segments = self
                .element(SEGMENTED_PALETTES[channel])
                .ok_or(Error::Malformed("the palette"))?
                .table(bulk)?;
            if bits != 16.0 {
                return Err(Error::Unsupported(
                    "a segmented palette of this number of bits",
                ));
            }
            unsegmented(&segments)
        };
        let tables = [table(0)?, table(1)?, table(2)?];
        Palette::new(
            entries,
            signed_word(descriptor(1)?, is_signed),
            bits,
            tables,
        )
    }
}

/// The second value of a descriptor has the sign of the pixels, whatever its VR came as (PS3.3 §C.7.6.3.1.5).
fn signed_word(value: f64, is_signed: bool) -> f64 {
    if is_signed && value >= 32_768.0 {
        value - 65_536.0
    } else {
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: &str = r#""00280010":{"vr":"US","Value":[2]},"00280011":{"vr":"US","Value":[3]},"00280100":{"vr":"US","Value":[16]},
        "00280101":{"vr":"US","Value":[12]},"00280102":{"vr":"US","Value":[11]},"00280103":{"vr":"US","Value":[1]},
        "00280002":{"vr":"US","Value":[1]},"00280004":{"vr":"CS","Value":["MONOCHROME2"]}"#;

    fn read(more: &str, number: u32) -> Result<PixelDescription, Error> {
        let metadata = ImageMetadata::parse(format!("{{{PLAIN}{more}}}").as_bytes())?;
        metadata.describe(number, &metadata.shape()?, &mut |_| None)
    }

    #[test]
    fn plain_attributes_are_read_as_numbers_or_text() {
        let read = read(
            r#","00281050":{"vr":"DS","Value":["40.0 ",80]},"00281051":{"vr":"DS","Value":[400]},"00281053":{"vr":"DS","Value":[2.5]},
            "00281052":{"vr":"DS","Value":["-1024"]},"00280030":{"vr":"DS","Value":[2,1]},"00280120":{"vr":"SS","Value":[-2000]}"#,
            1,
        );
        let read = read.unwrap();
        assert_eq!(
            (
                read.rows,
                read.columns,
                read.bits_stored,
                read.low_bit,
                read.is_signed
            ),
            (2, 3, 12, 0, true)
        );
        assert_eq!(
            read.modality,
            Modality::Rescale {
                slope: 2.5,
                intercept: -1024.0
            }
        );
        assert_eq!(
            read.voi,
            Window::new(40.0, 400.0, VoiFunction::Linear).map(Voi::Window)
        );
        assert_eq!(read.padding, Some(Padding::between(-2000.0, -2000.0)));
        assert!((read.pixel_aspect - 2.0).abs() < 1e-9);
    }

    #[test]
    fn functional_groups_go_before_the_instance() {
        let groups = r#","00281052":{"Value":[5]},"52009229":{"vr":"SQ","Value":[{"00289145":{"Value":[{"00281052":{"Value":[1]},"00281053":{"Value":[3]}}]},
            "00289132":{"Value":[{"00281050":{"Value":[10]},"00281051":{"Value":[20]}}]}}]},
            "52009230":{"vr":"SQ","Value":[{},{"00289145":{"Value":[{"00281052":{"Value":[2]}}]}}]}"#;
        let intercept = |number| read(groups, number).unwrap().modality.apply(0.0);
        assert_eq!([1, 2, 3].map(|n| intercept(n) as i32), [1, 2, 1]);
        assert_eq!(
            read(groups, 2).unwrap().voi,
            Window::new(10.0, 20.0, VoiFunction::Linear).map(Voi::Window)
        );
        assert_eq!(read(groups, 0), Err(Error::NoPixels));
    }

    #[test]
    fn what_cannot_be_drawn_is_told() {
        let cases = [
            (r#","00280010":{"Value":[0]}"#, Error::NoPixels),
            (r#","00280011":{}"#, Error::NoPixels),
            (r#","00280010":{"Value":[-1]}"#, Error::NoPixels),
            (
                r#","00280100":{"Value":[24]}"#,
                Error::Unsupported("this number of bits allocated"),
            ),
            (
                r#","00280101":{"Value":[17]}"#,
                Error::Malformed("bits stored or high bit"),
            ),
            (
                r#","00280101":{"Value":[0]}"#,
                Error::Malformed("bits stored or high bit"),
            ),
            (
                r#","00280102":{"Value":[4294967295]}"#,
                Error::Malformed("bits stored or high bit"),
            ),
            (
                r#","00280102":{"Value":[3]}"#,
                Error::Malformed("bits stored or high bit"),
            ),
            (
                r#","00280004":{"Value":["YBR_RCT"]},"00280002":{"Value":[3]}"#,
                Error::NotNative,
            ),
            (
                r#","00280004":{"Value":["CMYK"]}"#,
                Error::Unsupported("this photometric interpretation"),
            ),
            (
                r#","00280004":{"Value":["RGB"]}"#,
                Error::Malformed("samples per pixel"),
            ),
            (
                r#","00280004":{"Value":["PALETTE COLOR"]}"#,
                Error::Malformed("the palette"),
            ),
            (r#","00280010":7"#, Error::Malformed("the metadata")),
            ("}", Error::Malformed("the metadata")),
        ];
        for (more, error) in cases {
            assert_eq!(read(more, 1), Err(error), "{more}");
        }
        let nothing = ImageMetadata::parse(b"{}").unwrap();
        assert_eq!(nothing.shape(), Err(Error::NoPixels));
    }

    #[test]
    fn depth_and_marks_do_no_harm() {
        let deep = format!(
            r#","00081140":{}{}"#,
            r#"{"Value":[{"00081140":"#.repeat(9_000),
            "0".to_owned() + &"}]}".repeat(9_000)
        );
        assert!(read(&deep, 1).is_ok());
        let deep = format!(
            r#","52009229":{}{}"#,
            r#"{"Value":[{"52009229":"#.repeat(9_000),
            "{}".to_owned() + &"}]}".repeat(9_000)
        );
        assert_eq!(read(&deep, 1), Err(Error::Malformed("the metadata")));
        assert!(
            ImageMetadata::parse(
                format!(
                    "{{{PLAIN},\"7FE00010\":{{\"vr\":\"OW\",\"BulkDataURI\":\"\u{1}/studies/1\"}}}}"
                )
                .as_bytes()
            )
            .unwrap()
            .shape()
            .unwrap()
            .is_word_stream
        );
    }
}
