//! What the headers of compressed pixel data say of the pixels (PS3.18 Table 10.5.2-1, PS3.5 §8.2):
//! enough to fill in or to check the Image Pixel module, without decoding anything.
//!
//! Every reader is bounded: it looks at headers only, steps over what it does not know by its
//! length, gives up after [`STEPS_MAX`] steps, and allocates nothing by a length from the stream.

mod bits;
mod boxes;
mod hevc;
mod jpeg;
mod jpeg2000;
mod jpeg_xl;
mod mpeg2;
mod mpeg4;

use std::io::{self, Read, Seek, SeekFrom};

pub use boxes::codestream_span;

/// The most segments, boxes or units that a reader steps over.
const STEPS_MAX: usize = 4096;

/// What a codestream says of its pixels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Codestream {
    /// Rows of a frame.
    pub rows: u32,
    /// Columns of a frame.
    pub columns: u32,
    /// 1 or 3.
    pub samples: u16,
    /// Bits of a sample, 1 to 32.
    pub bits: u16,
    /// Whether samples are signed; `None` where the codestream cannot tell.
    pub is_signed: Option<bool>,
    /// (0028,0004) as the codestream would have it, then what else is not contradicted by it.
    pub photometric: &'static [&'static str],
    /// Whether something was lost for certain.
    pub is_lossy: bool,
    /// (0028,2114) of what was lost.
    pub method: &'static str,
    /// The transfer syntaxes that may hold it, the one that says most first.
    pub transfer_syntaxes: &'static [&'static str],
    /// Frames of a video, where its container counts them.
    pub frames: Option<u32>,
}

/// Why a header tells nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// It ends too early, or could not be read.
    #[error("the codestream is cut off")]
    CutOff,
    /// It contradicts its own format.
    #[error("{0} is malformed")]
    Malformed(&'static str),
    /// A form of it that DICOM does not carry, or that we cannot describe.
    #[error("{0} is not supported")]
    Unsupported(&'static str),
}

impl From<io::Error> for Fault {
    fn from(_: io::Error) -> Self {
        Self::CutOff
    }
}

/// Reads the header of a codestream of a media type of PS3.18 Table 8.7.3-5; `None` for types whose
/// streams do not describe themselves (`image/dicom-rle`).
///
/// # Errors
/// When the stream is not of that type, or of a form that cannot be described.
pub fn read(
    media_type: &str,
    stream: &mut (impl Read + Seek),
) -> Result<Option<Codestream>, Fault> {
    stream.seek(SeekFrom::Start(0))?;
    let found = match media_type {
        "image/jpeg" | "image/jls" => jpeg::read(stream)?,
        "image/jp2" | "image/jpx" | "image/jphc" => jpeg2000::read(stream)?,
        "image/jxl" => jpeg_xl::read(stream)?,
        "video/mpeg" => mpeg2::read(stream)?,
        "video/mp4" => mpeg4::read(stream)?,
        "video/H265" => hevc::read(stream)?,
        _ => return Ok(None),
    };
    if found.rows == 0 || found.columns == 0 {
        return Err(Fault::Malformed("an image without pixels"));
    }
    if found.rows > u32::from(u16::MAX) || found.columns > u32::from(u16::MAX) {
        return Err(Fault::Unsupported(
            "an image of more than 65535 rows or columns",
        ));
    }
    Ok(Some(found))
}

const MONOCHROME: &[&str] = &["MONOCHROME2", "MONOCHROME1", "PALETTE COLOR"];

fn array<const N: usize>(stream: &mut impl Read) -> Result<[u8; N], Fault> {
    let mut bytes = [0; N];
    stream.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn byte(stream: &mut impl Read) -> Result<u8, Fault> {
    Ok(array::<1>(stream)?[0])
}

fn word(stream: &mut impl Read) -> Result<u16, Fault> {
    array(stream).map(u16::from_be_bytes)
}

fn long(stream: &mut impl Read) -> Result<u32, Fault> {
    array(stream).map(u32::from_be_bytes)
}

/// Steps over bytes, whether they are there or not: the next read will tell.
fn skip(stream: &mut impl Seek, bytes: u64) -> Result<(), Fault> {
    let bytes = i64::try_from(bytes).map_err(|_| Fault::CutOff)?;
    stream.seek(SeekFrom::Current(bytes))?;
    Ok(())
}

/// The first bytes of a stream, as many as there are up to `max`.
fn head(stream: &mut impl Read, max: usize) -> Result<Vec<u8>, Fault> {
    let mut bytes = Vec::new();
    stream.take(max as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}
