//! JPEG 2000 (ISO/IEC 15444-1) and its High-Throughput form (15444-15), as DICOM carries them: a bare
//! codestream of one frame (PS3.5 §A.4.4).
//!
//! What a codestream claims is judged by [`headers`] before a decoder sees it. Part 1 is decoded by
//! `hayro-jpeg2000`, which has no unsafe code of its own, in 32-bit floats, exact for the integers of
//! 16-bit samples. It does not know Part 15, for which [`high_throughput`] stands. Encoding is ours.

mod arithmetic;
mod blocks;
mod encode;
mod headers;
mod high_throughput;
mod packets;
mod wavelet;

use std::io::Cursor;
use std::panic::{AssertUnwindSafe, catch_unwind};

use hayro_jpeg2000::{DecodeSettings, DecoderContext, Image};

use super::super::codestream::codestream_span;
use super::{Bounds, Color, Fault, Raster, sample_bytes};

const MALFORMED: Fault = Fault::Malformed("a JPEG 2000 codestream");

/// Decodes a frame; one that is inside a JP2 file too.
///
/// # Errors
/// When the codestream is not whole, is malformed, is not what the data set says, or is of a form
/// that is not decoded.
pub fn decode(codestream: &[u8], bounds: &Bounds) -> Result<Raster, Fault> {
    let (start, length) = codestream_span(&mut Cursor::new(codestream))?;
    let codestream = usize::try_from(start)
        .ok()
        .and_then(|start| {
            codestream
                .get(start..)?
                .get(..usize::try_from(length).ok()?)
        })
        .ok_or(Fault::CutOff)?;
    let headers = headers::read(codestream, bounds)?;
    let decode = if headers.is_high_throughput {
        high_throughput::samples
    } else {
        samples
    };
    let mut whole = codestream[..headers.length].to_vec();
    whole.extend([0xFF, 0xD9]);
    let bytes = catch_unwind(AssertUnwindSafe(|| decode(&whole, &headers, bounds)))
        .map_err(|_| MALFORMED)??;
    Ok(Raster {
        rows: bounds.rows,
        columns: bounds.columns,
        samples: bounds.samples,
        bits: headers.bits,
        is_signed: headers.is_signed,
        color: if headers.has_color_transform {
            Color::Rgb
        } else {
            Color::Unsaid
        },
        bytes,
    })
}

/// Encodes a frame without loss, as `1.2.840.10008.1.2.4.90` wants it.
///
/// # Errors
/// When the raster contradicts itself, or has more than 16 bits, or other than 1 or 3 samples.
pub fn encode(raster: &Raster) -> Result<Vec<u8>, Fault> {
    encode::encode(raster)
}

fn samples(
    codestream: &[u8],
    headers: &headers::Headers,
    bounds: &Bounds,
) -> Result<Vec<u8>, Fault> {
    let settings = DecodeSettings {
        resolve_palette_indices: false,
        strict: true,
        target_resolution: None,
    };
    let image = Image::new(codestream, &settings).map_err(|_| MALFORMED)?;
    let mut context = DecoderContext::default();
    let decoded = image.decode(&mut context).map_err(|_| MALFORMED)?;
    let components: Vec<_> = decoded
        .components()
        .iter()
        .map(|one| one.samples())
        .collect();
    // The decoder takes signed samples for unsigned ones, and so lifts them by half their range.
    let lift = if headers.is_signed {
        1 << (headers.bits - 1)
    } else {
        0
    };
    interleave(&components, headers, bounds, |sample| {
        sample.round_ties_even() as i32 - lift
    })
}

/// The samples of each component as the bytes of a [`Raster`].
fn interleave<T: Copy>(
    components: &[&[T]],
    headers: &headers::Headers,
    bounds: &Bounds,
    integer: impl Fn(T) -> i32,
) -> Result<Vec<u8>, Fault> {
    let count = bounds.sample_count()?;
    let pixels = count / usize::from(bounds.samples).max(1);
    let is_expected = components.len() == usize::from(bounds.samples)
        && components.iter().all(|samples| samples.len() == pixels);
    if !is_expected {
        return Err(MALFORMED);
    }
    let half = 1_i32 << (headers.bits - 1);
    let (least, most) = if headers.is_signed {
        (-half, half - 1)
    } else {
        (0, 2 * half - 1)
    };
    let width = sample_bytes(headers.bits);
    let mut bytes = vec![0; count * width];
    for (place, samples) in components.iter().enumerate() {
        let pixels = bytes.chunks_exact_mut(components.len() * width);
        for (pixel, sample) in pixels.zip(*samples) {
            let value = integer(*sample).clamp(least, most);
            pixel[place * width..][..width].copy_from_slice(&value.to_le_bytes()[..width]);
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests;
