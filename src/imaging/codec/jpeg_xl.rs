//! JPEG XL (ISO/IEC 18181-1) to samples, with `jxl-oxide`: lossless, lossy, and what was a JPEG
//! before (PS3.5 §A.4.12 and its neighbors), bare or in its container.
//!
//! The decoder computes in 32-bit floats at the end, exact for the integers of 16-bit samples. It sees
//! the codestream only, never the other boxes of a container, some of which would have to be inflated.

use std::borrow::Cow;
use std::io::Cursor;
use std::panic::{AssertUnwindSafe, catch_unwind};

use jxl_oxide::{AllocTracker, InitializeResult, JxlImage};

use super::super::codestream;
use super::{Bounds, Color, Fault, Raster, sample_bytes};

const MALFORMED: Fault = Fault::Malformed("a JPEG XL codestream");
/// The first box of the container (ISO/IEC 18181-2 §9.1).
const SIGNATURE: [u8; 12] = *b"\0\0\0\x0CJXL \r\n\x87\n";
/// Frames of one picture: itself, what it refers to, and its copies in lower resolutions.
const FRAMES_MAX: usize = 16;
/// A frame that is referred to may be larger than the picture by so many pixels.
const FRAME_PIXELS_FREE: u64 = 1 << 20;
/// The decoder may use so many bytes for each sample, and so many besides.
const BYTES_PER_SAMPLE: usize = 64;
const BYTES_FREE: usize = 64 << 20;
/// So many bytes are shown to the decoder before its frames are counted again.
const STEP: usize = 4096;
const BITS_MAX: u16 = 16;

/// Decodes a frame.
///
/// # Errors
/// When the codestream is not whole, is malformed, is not what the data set says, or is of a form
/// that is not decoded.
pub fn decode(codestream: &[u8], bounds: &Bounds) -> Result<Raster, Fault> {
    let bare = bare(codestream)?;
    let header = codestream::read("image/jxl", &mut Cursor::new(&*bare))?.ok_or(MALFORMED)?;
    bounds.agree(header.rows, header.columns, header.samples, header.bits)?;
    if header.bits > BITS_MAX {
        return Err(Fault::Unsupported("JPEG XL of more than 16 bits"));
    }
    let (bytes, color) = catch_unwind(AssertUnwindSafe(|| samples(&bare, header.bits, bounds)))
        .map_err(|_| MALFORMED)??;
    Ok(Raster {
        rows: header.rows,
        columns: header.columns,
        samples: header.samples,
        bits: header.bits,
        is_signed: false,
        color,
        bytes,
    })
}

/// The codestream without its container: one box has it, or several have parts of it
/// (ISO/IEC 18181-2 §9.8, §9.9).
fn bare(file: &[u8]) -> Result<Cow<'_, [u8]>, Fault> {
    let Some(mut rest) = file.strip_prefix(&SIGNATURE) else {
        return Ok(Cow::Borrowed(file));
    };
    let mut parts = Vec::new();
    while let Some((head, after)) = rest.split_at_checked(8) {
        let (length, kind) = head.split_at(4);
        let length = length
            .iter()
            .fold(0, |sum, byte| sum << 8 | usize::from(*byte));
        let (content, after) = match length {
            0 => (after, &[][..]),
            1 => {
                let (length, after) = after.split_first_chunk().ok_or(Fault::CutOff)?;
                let length = usize::try_from(u64::from_be_bytes(*length)).ok();
                let length = length.and_then(|length| length.checked_sub(16));
                after
                    .split_at_checked(length.ok_or(MALFORMED)?)
                    .ok_or(Fault::CutOff)?
            }
            length => {
                let length = length.checked_sub(8).ok_or(MALFORMED)?;
                after.split_at_checked(length).ok_or(Fault::CutOff)?
            }
        };
        match kind {
            b"jxlc" => return Ok(Cow::Borrowed(content)),
            b"jxlp" => parts.extend(content.get(4..).ok_or(Fault::CutOff)?),
            _ => {}
        }
        rest = after;
    }
    if parts.is_empty() {
        return Err(Fault::CutOff);
    }
    Ok(Cow::Owned(parts))
}

fn samples(codestream: &[u8], bits: u16, bounds: &Bounds) -> Result<(Vec<u8>, Color), Fault> {
    let count = bounds.sample_count()?;
    let image = load(codestream, bounds, count)?;
    let render = image.render_frame(0).map_err(|_| MALFORMED)?;
    let picture = render.image_all_channels();
    let is_expected = picture.width() == bounds.columns as usize
        && picture.height() == bounds.rows as usize
        && picture.channels() == usize::from(bounds.samples);
    if !is_expected {
        return Err(MALFORMED);
    }
    let most = (1_u32 << bits) - 1;
    let width = sample_bytes(bits);
    let mut bytes = Vec::with_capacity(count * width);
    for sample in picture.buf() {
        // Saturates; what is not a number becomes 0.
        let value = (sample * most as f32).round_ties_even() as u32;
        bytes.extend(&value.min(most).to_le_bytes()[..width]);
    }
    let header = image.image_header();
    let is_rgb = header.metadata.xyb_encoded
        || (0..image.num_loaded_frames())
            .filter_map(|frame| image.frame(frame))
            .any(|frame| frame.header().do_ycbcr);
    let color = if is_rgb && bounds.samples == 3 {
        Color::Rgb
    } else {
        Color::Unsaid
    };
    Ok((bytes, color))
}

/// Shows the codestream to the decoder step by step, while its frames are few and not too large.
fn load(codestream: &[u8], bounds: &Bounds, count: usize) -> Result<JxlImage, Fault> {
    let memory = count
        .saturating_mul(BYTES_PER_SAMPLE)
        .saturating_add(BYTES_FREE);
    let pixels_max = u64::from(bounds.rows) * u64::from(bounds.columns) + FRAME_PIXELS_FREE;
    let mut waiting = JxlImage::builder()
        .alloc_tracker(AllocTracker::with_limit(memory))
        .build_uninit();
    let mut steps = codestream.chunks(STEP);
    let mut image = loop {
        let step = steps.next().ok_or(Fault::CutOff)?;
        waiting.feed_bytes(step).map_err(|_| MALFORMED)?;
        match waiting.try_init().map_err(|_| MALFORMED)? {
            InitializeResult::NeedMoreData(more) => waiting = more,
            InitializeResult::Initialized(image) => break image,
        }
    };
    let mut frames = 0;
    loop {
        let loaded = image.num_loaded_frames();
        if loaded > FRAMES_MAX || image.num_loaded_keyframes() > 1 {
            return Err(Fault::Unsupported("JPEG XL of so many frames"));
        }
        for frame in (frames..loaded).filter_map(|frame| image.frame(frame)) {
            let header = frame.header();
            if u64::from(header.width) * u64::from(header.height) > pixels_max {
                return Err(Fault::Unsupported("JPEG XL with so large a frame"));
            }
        }
        frames = loaded;
        if image.is_loading_done() {
            return Ok(image);
        }
        let step = steps.next().ok_or(Fault::CutOff)?;
        image.feed_bytes(step).map_err(|_| MALFORMED)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By libjxl: 12 bits, 500 × row + 300 × column.
    const GRAY: &[u8] = &[
        0xFF, 0x0A, 0x20, 0x40, 0x18, 0x14, 0x2D, 0x02, 0x08, 0x04, 0x01, 0x00, 0xD4, 0x00, 0x4B,
        0x12, 0xC5, 0x82, 0x85, 0x24, 0x56, 0x81, 0xD6, 0x19, 0x00, 0x00, 0x00, 0xBE, 0x46, 0xDD,
        0x46, 0x60, 0xC1, 0x82, 0x05, 0x0B, 0x16, 0xEC, 0x37, 0x17, 0xB2, 0x8F, 0x8F, 0x7F, 0xA0,
        0xC0, 0x80, 0xD8, 0x30, 0x15, 0xB2, 0x06, 0x02, 0x33, 0xD8, 0xA8, 0x50, 0xA1, 0xF3, 0xA3,
        0x31, 0x84, 0x1C, 0x50, 0x21, 0x93, 0xF9,
    ];

    /// By libjxl: 8 bits, 40 × row + 10 × column + 0, 7 and 90, modulo 256.
    const COLOR: &[u8] = &[
        0xFF, 0x0A, 0x20, 0x40, 0x10, 0x09, 0x08, 0x04, 0x01, 0x00, 0x78, 0x01, 0x4B, 0x12, 0xC5,
        0x82, 0x05, 0x52, 0xD0, 0x05, 0x88, 0x88, 0x56, 0x23, 0xA9, 0x18, 0xA4, 0x90, 0xD1, 0xA2,
        0x14, 0x23, 0x15, 0x63, 0x8C, 0xEA, 0x17, 0x88, 0x0B, 0x00, 0x9F, 0xB2, 0x02, 0x80, 0x31,
        0x75, 0x00, 0x80, 0xEF, 0x6D, 0x00, 0xF8, 0x31, 0x79, 0x3A, 0xF2, 0xBE, 0x00, 0xB4, 0xC1,
        0xAB, 0x03, 0x04, 0xAF, 0xE9, 0xDF, 0x9E, 0xAA, 0xDD, 0xD6, 0xFC, 0x58, 0x50, 0xE4, 0x73,
        0x0F, 0x00, 0x00, 0x20, 0x27, 0xF0, 0xED, 0x3E, 0xD2, 0x33, 0xFF, 0xBB, 0x73, 0x2F, 0xA8,
        0xB8, 0x95, 0xBE, 0x38, 0x02, 0xD4, 0x13, 0x51, 0x4C, 0xD6, 0xC9, 0x02, 0xC9, 0x01, 0x45,
        0x00,
    ];

    /// By libjxl: the samples of [`GRAY`] in a container.
    const BOXED: &[u8] = &[
        0x00, 0x00, 0x00, 0x0C, 0x4A, 0x58, 0x4C, 0x20, 0x0D, 0x0A, 0x87, 0x0A, 0x00, 0x00, 0x00,
        0x14, 0x66, 0x74, 0x79, 0x70, 0x6A, 0x78, 0x6C, 0x20, 0x00, 0x00, 0x00, 0x00, 0x6A, 0x78,
        0x6C, 0x20, 0x00, 0x00, 0x00, 0xFE, 0x6A, 0x78, 0x6C, 0x63, 0xFF, 0x0A, 0x20, 0x40, 0x18,
        0x14, 0x2D, 0x02, 0x08, 0x02, 0x01, 0x00, 0xA0, 0x03, 0x4B, 0x18, 0x9B, 0x9C, 0x71, 0x84,
        0x03, 0x38, 0x80, 0x03, 0x38, 0x20, 0x4A, 0xC0, 0x39, 0x05, 0x01, 0x00, 0x20, 0x44, 0x80,
        0x08, 0x10, 0x01, 0x22, 0x40, 0x84, 0xFF, 0xEF, 0xEF, 0xF9, 0xF7, 0xA1, 0x31, 0xE7, 0x9C,
        0x6B, 0xED, 0x7B, 0xDF, 0x7B, 0xAF, 0xAA, 0xAA, 0x08, 0x28, 0x49, 0x92, 0x24, 0xC9, 0xFF,
        0xFF, 0xFF, 0x73, 0xEF, 0xEB, 0xEE, 0xEE, 0xEE, 0x86, 0xFF, 0xEF, 0xEF, 0xF9, 0xF7, 0xA1,
        0x31, 0xE7, 0x9C, 0x6B, 0xED, 0x7B, 0xDF, 0x7B, 0xAF, 0xAA, 0xAA, 0x08, 0x28, 0x49, 0x92,
        0x24, 0xC9, 0xFF, 0xFF, 0xFF, 0x73, 0xEF, 0xEB, 0xEE, 0xEE, 0xEE, 0x86, 0xFF, 0xEF, 0xEF,
        0xF9, 0xF7, 0xA1, 0x31, 0xE7, 0x9C, 0x6B, 0xED, 0x7B, 0xDF, 0x7B, 0xAF, 0xAA, 0xAA, 0x08,
        0x28, 0x49, 0x92, 0x24, 0xC9, 0xFF, 0xFF, 0xFF, 0x73, 0xEF, 0xEB, 0xEE, 0xEE, 0xEE, 0x86,
        0xFF, 0xEF, 0xEF, 0xF9, 0xF7, 0xA1, 0x31, 0xE7, 0x9C, 0x6B, 0xED, 0x7B, 0xDF, 0x7B, 0xAF,
        0xAA, 0xAA, 0x08, 0x28, 0x49, 0x92, 0x24, 0xC9, 0xFF, 0xFF, 0xFF, 0x73, 0xEF, 0xEB, 0xEE,
        0xEE, 0xEE, 0x1E, 0x5E, 0xB0, 0xBC, 0x60, 0x79, 0xC1, 0xF2, 0x82, 0xE5, 0x05, 0xCB, 0x0B,
        0x96, 0x17, 0xF4, 0x2F, 0x58, 0x5E, 0xB0, 0xBC, 0x60, 0x79, 0xC1, 0xF2, 0x82, 0xE5, 0x05,
        0xCB, 0x0B, 0xFA, 0x17, 0x2C, 0x2F, 0x58, 0x5E, 0xB0, 0xBC, 0x60, 0x79, 0xC1, 0xF2, 0x82,
        0xE5, 0x05, 0xFD, 0x0B, 0x96, 0x17, 0x2C, 0x2F, 0x58, 0x5E, 0xB0, 0xBC, 0x60, 0x79, 0xC1,
        0xF2, 0x82, 0xFE, 0x05, 0xCB, 0x0B, 0x96, 0x17, 0x2C, 0x2F, 0x58, 0x5E, 0xB0, 0xBC, 0x60,
        0x01,
    ];

    /// By libjxl, lossy: the picture of [`COLOR`].
    const LOSSY: &[u8] = &[
        0xFF, 0x0A, 0x20, 0xC0, 0x01, 0x00, 0x13, 0x88, 0x02, 0x00, 0xA8, 0x01, 0xB5, 0x9F, 0x20,
        0x00, 0x00, 0x15, 0x2A, 0xA3, 0x8C, 0x1B, 0xBC, 0x9C, 0xEB, 0xF9, 0xF2, 0x43, 0x87, 0xC5,
        0xB4, 0x8D, 0xEB, 0x0C, 0x6D, 0xB5, 0x6D, 0x61, 0x09, 0x63, 0xB3, 0xBD, 0x30, 0x48, 0x48,
        0x38, 0x83, 0x8D, 0x8B, 0xC2, 0xDC, 0x9C, 0xAF, 0xEE, 0xC3, 0x0E, 0xA2, 0xA1, 0x42, 0x0A,
        0xA4, 0x02, 0x2E, 0x2B, 0xC9, 0x8C, 0x91, 0x31, 0x46, 0xC6, 0x28, 0x32, 0xC6, 0x18, 0x23,
        0x2F, 0xC5, 0x29, 0x01, 0xF2, 0x2D, 0x1C, 0xF2, 0xBA, 0x99, 0xFE, 0x80, 0x9A, 0x5F, 0x31,
        0x7B, 0x80, 0x2C, 0x8A, 0xFD, 0x57, 0x2C, 0xC3, 0x5D, 0xB9, 0x29, 0x5B, 0xC5, 0xB3, 0xE1,
        0xFA, 0x4A, 0xA0, 0xCE, 0x75, 0x72, 0x93, 0x7C, 0xB2, 0x95, 0x07, 0x32, 0x00,
    ];

    const GRAY_BOUNDS: Bounds = Bounds {
        rows: 5,
        columns: 7,
        samples: 1,
        bits_allocated: 16,
    };
    const COLOR_BOUNDS: Bounds = Bounds {
        samples: 3,
        bits_allocated: 8,
        ..GRAY_BOUNDS
    };
    const ALL: [(&[u8], Bounds); 4] = [
        (GRAY, GRAY_BOUNDS),
        (BOXED, GRAY_BOUNDS),
        (COLOR, COLOR_BOUNDS),
        (LOSSY, COLOR_BOUNDS),
    ];

    fn color() -> Vec<u8> {
        (0..35_u32)
            .flat_map(|at| [0, 7, 90].map(|more| (40 * (at / 7) + 10 * (at % 7) + more) as u8))
            .collect()
    }

    #[test]
    fn lossless_frames_are_what_went_in() {
        let gray: Vec<u8> = (0..35_u16)
            .flat_map(|at| (500 * (at / 7) + 300 * (at % 7)).to_le_bytes())
            .collect();
        for codestream in [GRAY, BOXED] {
            let found = decode(codestream, &GRAY_BOUNDS).unwrap();
            assert_eq!((found.rows, found.columns, found.samples), (5, 7, 1));
            assert_eq!((found.bits, found.is_signed), (12, false));
            assert_eq!((found.color, &found.bytes), (Color::Unsaid, &gray));
        }
        let found = decode(COLOR, &COLOR_BOUNDS).unwrap();
        assert_eq!((found.bits, found.color), (8, Color::Unsaid));
        assert_eq!(found.bytes, color());
    }

    #[test]
    fn lossy_frames_come_near_and_are_rgb() {
        let found = decode(LOSSY, &COLOR_BOUNDS).unwrap();
        assert_eq!((found.bits, found.color), (8, Color::Rgb));
        // As libjxl decodes the first pixels.
        let expected = [0, 3, 92, 5, 17, 96, 15, 25, 114, 30, 38, 119];
        for (found, expected) in found.bytes.iter().zip(expected) {
            assert!(found.abs_diff(expected) <= 1);
        }
    }

    #[test]
    fn what_is_cut_off_or_of_another_size_is_refused() {
        for (codestream, bounds) in ALL {
            for cut in 2..codestream.len() {
                assert!(decode(&codestream[..cut], &bounds).is_err(), "{cut}");
            }
            let almost = &codestream[..codestream.len() - 1];
            assert_eq!(decode(almost, &bounds), Err(Fault::CutOff));
            for other in [
                Bounds { rows: 6, ..bounds },
                Bounds {
                    columns: 6,
                    ..bounds
                },
                Bounds {
                    samples: 4 - bounds.samples,
                    ..bounds
                },
                Bounds {
                    bits_allocated: 7,
                    ..bounds
                },
            ] {
                let found = decode(codestream, &other);
                assert!(matches!(found, Err(Fault::Malformed(_))), "{found:?}");
            }
        }
    }

    #[test]
    fn flipped_bits_end_quickly_and_in_no_panic() {
        for (codestream, bounds) in ALL {
            for at in 0..codestream.len() {
                for value in [0xFF, codestream[at] ^ 1] {
                    let mut codestream = codestream.to_vec();
                    codestream[at] = value;
                    if let Ok(found) = decode(&codestream, &bounds) {
                        let bytes = bounds.sample_count().unwrap() * sample_bytes(found.bits);
                        assert_eq!(found.bytes.len(), bytes);
                    }
                }
            }
        }
    }
}
