//! A picture: 8 bits a sample, grey or RGB, and its encodings for the web (PS3.18 §8.7.4).

use std::borrow::Cow;

use super::{Error, icc, jpeg};

/// A drawn frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// Row by row; one sample a pixel when grey, three when colored.
    pub(super) samples: Vec<u8>,
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) is_color: bool,
}

/// How a picture is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// Baseline JPEG: 8 bits, Huffman, not progressive.
    Jpeg {
        /// 1 to 100, the scale of the IJG: 100 is closest to the picture.
        quality: u8,
    },
    /// PNG.
    Png,
    /// One GIF image of at most 256 colors; grey pictures keep every grey.
    Gif,
}

/// How thoroughly the 256 colors of a GIF are chosen, 1 (best) to 30.
const GIF_SPEED: i32 = 10;

impl Picture {
    /// Columns.
    #[must_use]
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Rows.
    #[must_use]
    pub fn height(&self) -> u32 {
        self.height
    }

    /// The bytes of the picture, with an sRGB profile inside when `has_profile` (JPEG and PNG only).
    ///
    /// # Errors
    /// [`Error::Unsupported`] for a size or profile that the format cannot hold.
    pub fn encode(&self, format: Format, has_profile: bool) -> Result<Vec<u8>, Error> {
        match format {
            Format::Jpeg { quality } => self.jpeg(quality, has_profile),
            Format::Png => self.png(has_profile),
            Format::Gif if has_profile => Err(Error::Unsupported("a color profile in a GIF")),
            Format::Gif => self.gif(),
        }
    }

    fn short_sides(&self) -> Result<(u16, u16), Error> {
        match (u16::try_from(self.width), u16::try_from(self.height)) {
            (Ok(width), Ok(height)) => Ok((width, height)),
            _ => Err(TOO_LARGE),
        }
    }

    fn jpeg(&self, quality: u8, has_profile: bool) -> Result<Vec<u8>, Error> {
        let (width, height) = self.short_sides()?;
        let profile = has_profile.then(|| icc::profile(self.is_color));
        let sides = (width, height);
        Ok(jpeg::encode(
            &self.samples,
            sides,
            self.is_color,
            quality,
            profile.as_deref(),
        ))
    }

    fn png(&self, has_profile: bool) -> Result<Vec<u8>, Error> {
        let mut info = png::Info::with_size(self.width, self.height);
        info.color_type = if self.is_color {
            png::ColorType::Rgb
        } else {
            png::ColorType::Grayscale
        };
        info.bit_depth = png::BitDepth::Eight;
        info.icc_profile = has_profile.then(|| Cow::Owned(icc::profile(self.is_color)));
        let mut bytes = Vec::new();
        let written = png::Encoder::with_info(&mut bytes, info).and_then(|mut encoder| {
            encoder.set_compression(png::Compression::Fast);
            let mut writer = encoder.write_header()?;
            writer.write_image_data(&self.samples)?;
            writer.finish()
        });
        written.map_err(|_| TOO_LARGE)?;
        Ok(bytes)
    }

    fn gif(&self) -> Result<Vec<u8>, Error> {
        let (width, height) = self.short_sides()?;
        let greys: Vec<u8> = (0..=u8::MAX).flat_map(|grey| [grey; 3]).collect();
        let palette: &[u8] = if self.is_color { &[] } else { &greys };
        let frame = if self.is_color {
            gif::Frame::from_rgb_speed(width, height, &self.samples, GIF_SPEED)
        } else {
            gif::Frame {
                width,
                height,
                buffer: Cow::Borrowed(&self.samples),
                ..gif::Frame::default()
            }
        };
        let mut bytes = Vec::new();
        let written = gif::Encoder::new(&mut bytes, width, height, palette)
            .and_then(|mut encoder| encoder.write_frame(&frame));
        written.map_err(|_| TOO_LARGE)?;
        Ok(bytes)
    }
}

const TOO_LARGE: Error = Error::Unsupported("a picture of this size");
