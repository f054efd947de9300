//! Deflated Image Frame Compression (PS3.5 §8.2.16, RFC 1951): the bytes of a native frame, deflated.

use flate2::{Decompress, FlushDecompress, Status};

use super::{Bounds, Color, Fault, Raster};

/// At the most 1032 bytes come from one (two bits for 258 of them).
const GROWTH_MAX: usize = 1032;

/// The bytes of a frame of 1, 8, 16 or 32 bits allocated: all allocated bits, unsigned.
///
/// They are those of a native frame. So one-bit pixels are eight a byte, first pixel lowest, and
/// where the data set says that planes follow each other (Planar Configuration 1), they do so here.
/// One byte of padding within the deflated bytes is dropped; what follows them is not looked at.
///
/// # Errors
/// When it is not deflated, or holds fewer or more bytes than a frame has.
pub fn decode(codestream: &[u8], bounds: &Bounds) -> Result<Raster, Fault> {
    let count = bounds.sample_count()?;
    let length = match bounds.bits_allocated {
        1 => count.div_ceil(8),
        8 | 16 | 32 => count * usize::from(bounds.bits_allocated / 8),
        _ => return Err(Fault::Unsupported("this depth in deflated frames")),
    };
    if codestream.len().saturating_mul(GROWTH_MAX) < length {
        return Err(Fault::CutOff);
    }
    let mut bytes = Vec::with_capacity(length + 1);
    let mut inflater = Decompress::new(false);
    let status = inflater
        .decompress_vec(codestream, &mut bytes, FlushDecompress::Finish)
        .map_err(|_| Fault::Malformed("a deflated frame"))?;
    if bytes.len() > length + 1 || (bytes.len() == length + 1 && status != Status::StreamEnd) {
        return Err(Fault::Malformed("the size of a deflated frame"));
    }
    if bytes.len() < length {
        return Err(match status {
            Status::StreamEnd => Fault::Malformed("the size of a deflated frame"),
            _ => Fault::CutOff,
        });
    }
    bytes.truncate(length);
    Ok(Raster {
        rows: bounds.rows,
        columns: bounds.columns,
        samples: bounds.samples,
        bits: bounds.bits_allocated,
        is_signed: false,
        color: Color::Unsaid,
        bytes,
    })
}
