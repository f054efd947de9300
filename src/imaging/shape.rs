//! What a data set says of its frames (PS3.3 §C.7.6.3.1): their size, depth and colors, and what it
//! says once they are decoded or encoded (PS3.5 §8.2). Nothing else of a data set changes with its
//! transfer syntax.

use super::codec::{Bounds, Codec, Fault, sample_bytes};

/// How the frames of one instance are encoded and meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shape {
    /// (0028,0010), at least 1.
    pub rows: u32,
    /// (0028,0011), at least 1.
    pub columns: u32,
    /// (0028,0002): 1 or 3.
    pub samples: u16,
    /// (0028,0004)
    pub photometric: Photometric,
    /// (0028,0006): colors by plane, not by pixel.
    pub is_planar: bool,
    /// (0028,0100): 1, 8, 16, 32 or, for doubles, 64.
    pub bits_allocated: u16,
    /// (0028,0101): at least 1, at most `bits_allocated`.
    pub bits_stored: u16,
    /// (0028,0103)
    pub is_signed: bool,
    /// The element that they came in.
    pub sample: Sample,
    /// (0028,0008)
    pub frames: u32,
    /// Whether native pixels stand in OW words, so that those of a byte or less swap places in big endian.
    pub is_word_stream: bool,
}

/// What a sample is: the element that it came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sample {
    /// (7FE0,0010)
    Whole,
    /// (7FE0,0008)
    Float,
    /// (7FE0,0009)
    Double,
}

/// (0028,0004)
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the standard's own terms")]
pub enum Photometric {
    Monochrome1,
    Monochrome2,
    PaletteColor,
    Rgb,
    YbrFull,
    YbrFull422,
    YbrPartial420,
    YbrIct,
    YbrRct,
    Xyb,
}

impl Photometric {
    const TERMS: &'static [(&'static str, Self)] = &[
        ("MONOCHROME1", Self::Monochrome1),
        ("MONOCHROME2", Self::Monochrome2),
        ("PALETTE COLOR", Self::PaletteColor),
        ("RGB", Self::Rgb),
        ("YBR_FULL", Self::YbrFull),
        ("YBR_FULL_422", Self::YbrFull422),
        ("YBR_PARTIAL_420", Self::YbrPartial420),
        ("YBR_ICT", Self::YbrIct),
        ("YBR_RCT", Self::YbrRct),
        ("XYB", Self::Xyb),
    ];

    /// By its defined term; `None` for retired and unknown ones.
    #[must_use]
    pub fn of_term(term: &str) -> Option<Self> {
        Self::TERMS
            .iter()
            .find(|(known, _)| *known == term)
            .map(|(_, known)| *known)
    }

    /// Its defined term.
    #[must_use]
    pub fn term(self) -> &'static str {
        Self::TERMS
            .iter()
            .find(|(_, known)| *known == self)
            .map_or("", |(term, _)| term)
    }

    /// Whether a pixel is three samples.
    #[must_use]
    pub fn is_color(self) -> bool {
        !matches!(
            self,
            Self::Monochrome1 | Self::Monochrome2 | Self::PaletteColor
        )
    }

    /// Whether native pixels can be so.
    #[must_use]
    pub fn is_native(self) -> bool {
        !matches!(
            self,
            Self::YbrPartial420 | Self::YbrIct | Self::YbrRct | Self::Xyb
        )
    }
}

impl Shape {
    /// What a decoder may make of a frame, at the most.
    #[must_use]
    pub fn bounds(&self) -> Bounds {
        Bounds {
            rows: self.rows,
            columns: self.columns,
            samples: self.samples,
            bits_allocated: self.bits_allocated,
        }
    }

    /// The bytes of a native frame of this shape, beginning at a byte. Saturates.
    #[must_use]
    pub fn frame_bytes(&self) -> u64 {
        // Chroma of every second pixel (PS3.3 §C.7.6.3.1.2).
        let samples = match self.photometric {
            Photometric::YbrFull422 => 2,
            _ => u64::from(self.samples),
        };
        (u64::from(self.rows) * u64::from(self.columns))
            .saturating_mul(samples)
            .saturating_mul(self.bits_allocated.into())
            .div_ceil(8)
    }

    /// The shape of frames that `codec` has decoded. Told by the data set alone, so that it can be
    /// said before the first frame is there.
    ///
    /// # Errors
    /// [`Fault::Unsupported`] for what the codec does not hold, or we do not decode.
    pub fn decoded(&self, codec: Codec) -> Result<Self, Fault> {
        use Photometric::{Rgb, YbrFull, YbrFull422, YbrIct, YbrRct};
        let mut shape = self.clone();
        if self.sample != Sample::Whole {
            return Err(Fault::Unsupported("floating point pixels of this codec"));
        }
        if codec == Codec::Deflate {
            return Ok(shape);
        }
        if self.bits_allocated == 1 && codec != Codec::Rle {
            return Err(Fault::Unsupported("single bits of this codec"));
        }
        if self.samples == 1 {
            return Ok(shape);
        }
        shape.is_planar = false;
        shape.photometric = match (codec, self.photometric) {
            // Luminance and chrominance are made red, green and blue, as all decoders do.
            (Codec::JpegDct, Rgb | YbrFull | YbrFull422) | (Codec::JpegXl, _) => Rgb,
            (Codec::Jpeg2000, Rgb | YbrIct | YbrRct) => Rgb,
            // Nothing is lost, so nothing is made other than it was. Codecs know no half rate here.
            (_, YbrFull | YbrFull422) => YbrFull,
            (_, Rgb) => Rgb,
            _ => return Err(Fault::Unsupported("this photometric interpretation")),
        };
        Ok(shape)
    }

    /// The shape of native frames once `codec` has encoded them, without loss.
    ///
    /// # Errors
    /// [`Fault::Unsupported`] for what cannot be encoded so.
    pub fn encoded(&self, codec: Codec) -> Result<Self, Fault> {
        let mut shape = self.clone();
        let is_depth = match codec {
            Codec::Rle => [8, 16, 32].contains(&self.bits_allocated),
            Codec::JpegLs | Codec::Jpeg2000 => [8, 16].contains(&self.bits_allocated),
            _ => return Err(Fault::Unsupported("encoding with this codec")),
        };
        if !is_depth || self.sample != Sample::Whole {
            return Err(Fault::Unsupported("this depth of the codec"));
        }
        if self.samples == 1 {
            return Ok(shape);
        }
        // PS3.5 §G.2 for RLE; the others interleave.
        shape.is_planar = codec == Codec::Rle;
        shape.photometric = match (codec, self.photometric) {
            (Codec::Jpeg2000, Photometric::Rgb) => Photometric::YbrRct,
            (_, Photometric::Rgb) => Photometric::Rgb,
            (_, Photometric::YbrFull) => Photometric::YbrFull,
            _ => return Err(Fault::Unsupported("this photometric interpretation")),
        };
        Ok(shape)
    }

    /// How many bytes of a native frame are turned round together when its data set is big endian.
    ///
    /// # Errors
    /// [`Fault::Unsupported`] for single bits in words.
    pub fn word_bytes(&self) -> Result<u64, Fault> {
        match (self.bits_allocated, self.is_word_stream) {
            (1, true) => Err(Fault::Unsupported("single bits in big endian words")),
            (1 | 8, false) => Ok(1),
            (8, true) => Ok(2),
            (bits, _) => Ok(u64::from(bits / 8)),
        }
    }

    /// The bytes of one native sample of a byte or more.
    pub(super) fn cell_bytes(&self) -> usize {
        sample_bytes(self.bits_allocated)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(photometric: Photometric, bits_allocated: u16) -> Shape {
        Shape {
            rows: 2,
            columns: 3,
            samples: if photometric.is_color() { 3 } else { 1 },
            photometric,
            is_planar: true,
            bits_allocated,
            bits_stored: bits_allocated,
            is_signed: false,
            sample: Sample::Whole,
            frames: 1,
            is_word_stream: false,
        }
    }

    #[test]
    fn colors_change_with_the_codec() {
        use Photometric::{Monochrome1, Rgb, YbrFull, YbrFull422, YbrIct, YbrPartial420, YbrRct};
        let after = |from, codec| {
            let decoded = shape(from, 8).decoded(codec);
            decoded.map(|shape| shape.photometric).ok()
        };
        assert_eq!(after(YbrFull422, Codec::JpegDct), Some(Rgb));
        assert_eq!(after(YbrRct, Codec::Jpeg2000), Some(Rgb));
        assert_eq!(after(YbrIct, Codec::JpegLs), None);
        assert_eq!(after(YbrPartial420, Codec::JpegDct), None);
        assert_eq!(after(YbrFull, Codec::JpegLossless), Some(YbrFull));
        assert_eq!(after(Monochrome1, Codec::Rle), Some(Monochrome1));
        let rgb = shape(Rgb, 8);
        let encoded = rgb.encoded(Codec::Jpeg2000).unwrap();
        assert_eq!((encoded.photometric, encoded.is_planar), (YbrRct, false));
        let encoded = rgb.encoded(Codec::Rle).unwrap();
        assert_eq!((encoded.photometric, encoded.is_planar), (Rgb, true));
        assert!(shape(YbrFull422, 8).encoded(Codec::JpegLs).is_err());
        assert!(shape(Monochrome1, 32).encoded(Codec::JpegLs).is_err());
        assert!(rgb.encoded(Codec::JpegDct).is_err());
    }

    #[test]
    fn frames_are_so_long() {
        assert_eq!(shape(Photometric::Monochrome2, 1).frame_bytes(), 1);
        assert_eq!(shape(Photometric::Rgb, 16).frame_bytes(), 36);
        assert_eq!(shape(Photometric::YbrFull422, 8).frame_bytes(), 12);
    }
}
