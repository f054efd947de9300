//! Compressed frames to samples and back (PS3.5 §8.2, Annex A.4): one module for each family of
//! codestreams, each a pure function over bytes that are in memory already.
//!
//! Promises of every decoder: it never panics; it allocates nothing by a size from the codestream
//! before [`Bounds`] have agreed; it recurses over nothing; work is bounded by the pixels that were agreed on.

pub mod deflate;
pub mod jpeg;
pub mod jpeg2000;
pub mod jpeg_ls;
pub mod jpeg_xl;
pub mod rle;
mod transcode;

pub use super::codestream::Fault;
pub use transcode::{Codec, decode, encode, look};

/// The samples of one frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Raster {
    /// Rows.
    pub rows: u32,
    /// Columns.
    pub columns: u32,
    /// Samples of a pixel, 1 to 4.
    pub samples: u16,
    /// Bits of a sample that count, 1 to 32.
    pub bits: u16,
    /// Whether samples are two's complement, sign-extended in their bytes.
    pub is_signed: bool,
    /// What the codestream says of its colors.
    pub color: Color,
    /// By row, by pixel, by sample; little endian, [`sample_bytes`] each.
    pub bytes: Vec<u8>,
}

/// What three samples of a pixel are, as far as a codestream tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Color {
    /// Nothing is said: the data set knows.
    Unsaid,
    /// Red, green, blue.
    Rgb,
    /// Luminance and two chrominances, as JPEG has them: full range, ITU-R BT.601.
    Ybr,
}

/// What a data set says of a frame: what a decoder may make, at the most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// (0028,0010)
    pub rows: u32,
    /// (0028,0011)
    pub columns: u32,
    /// (0028,0002)
    pub samples: u16,
    /// (0028,0100)
    pub bits_allocated: u16,
}

/// The bytes that hold one sample of so many bits.
#[must_use]
pub fn sample_bytes(bits: u16) -> usize {
    match bits {
        0..=8 => 1,
        9..=16 => 2,
        _ => 4,
    }
}

impl Bounds {
    /// Agrees to the size that a codestream claims, before anything is allocated for it.
    ///
    /// # Errors
    /// [`Fault::Malformed`] when it is another than the data set's.
    pub fn agree(&self, rows: u32, columns: u32, samples: u16, bits: u16) -> Result<(), Fault> {
        if (rows, columns) != (self.rows, self.columns) {
            return Err(Fault::Malformed("the size of a compressed frame"));
        }
        if samples != self.samples {
            return Err(Fault::Malformed(
                "the number of samples of a compressed frame",
            ));
        }
        if bits == 0 || bits > self.bits_allocated {
            return Err(Fault::Malformed("the depth of a compressed frame"));
        }
        Ok(())
    }

    /// The samples of a frame.
    ///
    /// # Errors
    /// [`Fault::Unsupported`] when memory cannot count them.
    pub fn sample_count(&self) -> Result<usize, Fault> {
        (self.rows as usize)
            .checked_mul(self.columns as usize)
            .and_then(|pixels| pixels.checked_mul(self.samples.into()))
            .filter(|count| *count <= isize::MAX as usize / 8)
            .ok_or(Fault::Unsupported("a frame of so many pixels"))
    }
}
