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

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::{Compression, write::DeflateEncoder};

    use super::*;

    fn deflated(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn a_frame_is_inflated_to_its_size_and_no_further() {
        for (bits_allocated, length) in [(1, 8), (8, 60), (16, 120), (32, 240)] {
            let bounds = Bounds {
                rows: 5,
                columns: 12,
                samples: 1,
                bits_allocated,
            };
            let bytes: Vec<u8> = (0..length).map(|at: u8| at.wrapping_mul(7)).collect();
            let whole = deflated(&bytes);
            assert_eq!(decode(&whole, &bounds).unwrap().bytes, bytes);
            // A byte of padding, inside or outside.
            let padded = deflated(&[&bytes[..], &[0]].concat());
            assert_eq!(decode(&padded, &bounds).unwrap().bytes, bytes);
            let padded = [&whole[..], &[0]].concat();
            assert_eq!(decode(&padded, &bounds).unwrap().bytes, bytes);
            for other in [
                &[&bytes[..], &[0; 2]].concat(),
                &bytes[1..],
                &vec![0; 100_000],
            ] {
                let fault = decode(&deflated(other), &bounds).unwrap_err();
                assert_eq!(fault, Fault::Malformed("the size of a deflated frame"));
            }
            for cut in 0..whole.len() / 2 {
                assert_eq!(decode(&whole[..cut], &bounds), Err(Fault::CutOff));
            }
            let fault = decode(&[0xFF; 80], &bounds).unwrap_err();
            assert_eq!(fault, Fault::Malformed("a deflated frame"));
        }
    }

    #[test]
    fn a_stream_of_another_program() {
        // zlib 1.2.13 of Python, raw deflate, level 9: forty times `ab`.
        let stream = [0x4B, 0x4C, 0x4A, 0xA4, 0x2A, 0x04, 0x00];
        let bounds = Bounds {
            rows: 8,
            columns: 10,
            samples: 1,
            bits_allocated: 8,
        };
        assert_eq!(decode(&stream, &bounds).unwrap().bytes, b"ab".repeat(40));
    }
}
