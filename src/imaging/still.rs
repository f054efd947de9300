//! Pictures that DICOM has no transfer syntax for, as native pixels (PS3.18 Table 10.5.2-1): PNG
//! and GIF. Palettes are expanded, alpha is discarded, an animation becomes frames.
//!
//! Rows of a PNG go out as they are decoded; an interlaced one, and the canvas of a GIF, are held
//! whole, up to [`CANVAS_BYTES_MAX`]. A file of a few bytes can ask for gigabytes, so what comes out
//! is bounded by [`DECODED_BYTES_MAX`] whatever goes in.

use std::io::{BufRead, Seek};

use dicom_dictionary_std::uids;
use gif::{ColorOutput, DecodeOptions, DisposalMethod, MemoryLimit};
use png::{BitDepth, ColorType, Transformations};

use super::codestream::{Codestream, Fault};

/// The most that one picture may become, all frames together. Bytes.
pub const DECODED_BYTES_MAX: u64 = 1 << 30;
/// The most that is held of a picture in memory. Bytes.
const CANVAS_BYTES_MAX: u64 = 64 << 20;

/// Decodes a PNG file row by row: samples by pixel, 8 bits or 16 in little endian.
///
/// # Errors
/// What `sink` says, or what is wrong with the file.
pub fn png<E: From<Fault>>(
    stream: impl BufRead + Seek,
    mut sink: impl FnMut(&[u8]) -> Result<(), E>,
) -> Result<Codestream, E> {
    let limits = png::Limits {
        bytes: CANVAS_BYTES_MAX as usize,
    };
    let mut decoder = png::Decoder::new_with_limits(stream, limits);
    decoder.set_transformations(Transformations::EXPAND);
    let mut reader = decoder.read_info().map_err(|_| MALFORMED_PNG)?;
    let info = reader.info();
    let (columns, rows, is_interlaced) = (info.width, info.height, info.interlaced);
    let (color, depth) = reader.output_color_type();
    let sample = if depth == BitDepth::Sixteen { 2 } else { 1 };
    let (channels, samples) = match color {
        ColorType::Grayscale => (1, 1),
        ColorType::GrayscaleAlpha => (2, 1),
        ColorType::Rgb => (3, 3),
        ColorType::Rgba => (4, 3),
        ColorType::Indexed => return Err(MALFORMED_PNG.into()),
    };
    check_size(rows, columns, samples * sample)?;
    let mut row = Vec::new();
    let mut put = |line: &[u8]| {
        row.clear();
        for pixel in line.chunks_exact(channels * sample) {
            push_samples(&mut row, &pixel[..samples * sample], sample);
        }
        sink(&row)
    };
    if is_interlaced {
        let bytes = reader
            .output_buffer_size()
            .filter(|bytes| *bytes as u64 <= CANVAS_BYTES_MAX)
            .ok_or(TOO_LARGE)?;
        let mut canvas = vec![0; bytes];
        reader.next_frame(&mut canvas).map_err(|_| MALFORMED_PNG)?;
        let line = columns as usize * channels * sample;
        canvas.chunks_exact(line).try_for_each(put)?;
    } else {
        while let Some(line) = reader.next_row().map_err(|_| MALFORMED_PNG)? {
            put(line.data())?;
        }
    }
    Ok(describe(rows, columns, samples, 8 * sample, 1))
}

/// PNG has 16 bits in big endian.
fn push_samples(row: &mut Vec<u8>, samples: &[u8], bytes: usize) {
    match bytes {
        2 => row.extend(samples.chunks_exact(2).flat_map(|s| [s[1], s[0]])),
        _ => row.extend_from_slice(samples),
    }
}

/// Decodes a GIF file frame by frame, each the whole canvas as a viewer would show it: 8 bits, RGB.
/// What no frame has painted is black.
///
/// # Errors
/// What `sink` says, or what is wrong with the file.
pub fn gif<E: From<Fault>>(
    stream: impl BufRead + Seek,
    mut sink: impl FnMut(&[u8]) -> Result<(), E>,
) -> Result<Codestream, E> {
    let mut options = DecodeOptions::new();
    options.set_color_output(ColorOutput::RGBA);
    options.set_memory_limit(
        std::num::NonZeroU64::new(CANVAS_BYTES_MAX * 2)
            .map_or(MemoryLimit::Unlimited, MemoryLimit::Bytes),
    );
    options.check_frame_consistency(true);
    let mut decoder = options.read_info(stream).map_err(|_| MALFORMED_GIF)?;
    let (columns, rows) = (decoder.width(), decoder.height());
    let canvas_bytes = check_size(rows.into(), columns.into(), 3)?;
    if canvas_bytes > CANVAS_BYTES_MAX {
        return Err(TOO_LARGE.into());
    }
    let mut canvas = Canvas {
        pixels: vec![0; canvas_bytes as usize],
        columns: columns.into(),
    };
    let mut frames = 0_u32;
    while let Some(frame) = decoder.read_next_frame().map_err(|_| MALFORMED_GIF)? {
        frames += 1;
        if u64::from(frames) * canvas_bytes > DECODED_BYTES_MAX {
            return Err(TOO_LARGE.into());
        }
        let before = (frame.dispose == DisposalMethod::Previous).then(|| canvas.pixels.clone());
        canvas.paint(frame, false);
        sink(&canvas.pixels)?;
        match (frame.dispose, before) {
            (DisposalMethod::Previous, Some(before)) => canvas.pixels = before,
            (DisposalMethod::Background, _) => canvas.paint(frame, true),
            _ => {}
        }
    }
    if frames == 0 {
        return Err(MALFORMED_GIF.into());
    }
    Ok(describe(rows.into(), columns.into(), 3, 8, frames))
}

struct Canvas {
    /// Three bytes a pixel.
    pixels: Vec<u8>,
    columns: usize,
}

impl Canvas {
    /// Puts a frame where it belongs, or takes it off again. The decoder has checked that it lies
    /// inside; what does not is left out.
    fn paint(&mut self, frame: &gif::Frame<'_>, is_off: bool) {
        let width = usize::from(frame.width).max(1);
        for (y, line) in frame.buffer.chunks_exact(4 * width).enumerate() {
            let start = (usize::from(frame.top) + y) * self.columns + usize::from(frame.left);
            let Some(to) = self.pixels.get_mut(start * 3..(start + width) * 3) else {
                return;
            };
            for (to, from) in to.chunks_exact_mut(3).zip(line.chunks_exact(4)) {
                if is_off {
                    to.fill(0);
                } else if from[3] != 0 {
                    to.copy_from_slice(&from[..3]);
                }
            }
        }
    }
}

/// The bytes of one frame, when they are few enough.
fn check_size(rows: u32, columns: u32, pixel_bytes: usize) -> Result<u64, Fault> {
    if rows == 0 || columns == 0 {
        return Err(Fault::Malformed("an image without pixels"));
    }
    if rows > u32::from(u16::MAX) || columns > u32::from(u16::MAX) {
        return Err(Fault::Unsupported(
            "an image of more than 65535 rows or columns",
        ));
    }
    let bytes = u64::from(rows) * u64::from(columns) * pixel_bytes as u64;
    if bytes > DECODED_BYTES_MAX {
        return Err(TOO_LARGE);
    }
    Ok(bytes)
}

const MALFORMED_PNG: Fault = Fault::Malformed("a PNG file");
const MALFORMED_GIF: Fault = Fault::Malformed("a GIF file");
const TOO_LARGE: Fault = Fault::Unsupported("a picture of so many pixels");

fn describe(rows: u32, columns: u32, samples: usize, bits: usize, frames: u32) -> Codestream {
    let is_gray = samples == 1;
    Codestream {
        rows,
        columns,
        samples: if is_gray { 1 } else { 3 },
        bits: if bits == 16 { 16 } else { 8 },
        is_signed: if is_gray { None } else { Some(false) },
        photometric: if is_gray {
            &["MONOCHROME2", "MONOCHROME1"]
        } else {
            &["RGB"]
        },
        is_lossy: false,
        method: "",
        transfer_syntaxes: &[uids::EXPLICIT_VR_LITTLE_ENDIAN],
        frames: Some(frames),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn decode(file: &[u8], is_png: bool) -> Result<(Codestream, Vec<u8>), Fault> {
        let mut pixels = Vec::new();
        let sink = |bytes: &[u8]| {
            pixels.extend_from_slice(bytes);
            Ok::<(), Fault>(())
        };
        let found = if is_png {
            png(Cursor::new(file), sink)
        } else {
            gif(Cursor::new(file), sink)
        };
        found.map(|found| (found, pixels))
    }

    fn png_file(color: ColorType, depth: BitDepth, columns: u32, data: &[u8]) -> Vec<u8> {
        let mut file = Vec::new();
        let mut encoder = png::Encoder::new(&mut file, columns, 2);
        encoder.set_color(color);
        encoder.set_depth(depth);
        if color == ColorType::Indexed {
            encoder.set_palette(vec![1, 2, 3, 4, 5, 6]);
            encoder.set_trns(vec![0, 255]);
        }
        let mut writer = encoder.write_header().unwrap();
        writer.write_image_data(data).unwrap();
        writer.finish().unwrap();
        file
    }

    #[test]
    fn png_becomes_native_pixels_without_alpha_or_palette() {
        use BitDepth::{Eight, One, Sixteen};
        use ColorType::{Grayscale, GrayscaleAlpha, Indexed, Rgb, Rgba};
        type Case = (ColorType, BitDepth, &'static [u8], u16, &'static [u8]);
        let cases: &[Case] = &[
            (Grayscale, Eight, &[1, 2], 8, &[1, 2]),
            (Grayscale, One, &[0x80, 0], 8, &[255, 0]),
            (Grayscale, Sixteen, &[1, 2, 3, 4], 16, &[2, 1, 4, 3]),
            (GrayscaleAlpha, Eight, &[1, 9, 2, 9], 8, &[1, 2]),
            (Rgb, Eight, &[1, 2, 3, 4, 5, 6], 8, &[1, 2, 3, 4, 5, 6]),
            (
                Rgba,
                Eight,
                &[1, 2, 3, 9, 4, 5, 6, 0],
                8,
                &[1, 2, 3, 4, 5, 6],
            ),
            (Indexed, Eight, &[1, 0], 8, &[4, 5, 6, 1, 2, 3]),
        ];
        for (color, depth, data, bits, pixels) in cases {
            let file = png_file(*color, *depth, 1, data);
            let (found, decoded) = decode(&file, true).unwrap();
            assert_eq!(
                (found.rows, found.columns, found.bits),
                (2, 1, *bits),
                "{color:?}"
            );
            assert_eq!(decoded, *pixels, "{color:?} {depth:?}");
            assert_eq!(found.samples == 1, found.photometric[0] == "MONOCHROME2");
            for cut in [0, 20, file.len() / 2] {
                assert!(decode(&file[..cut], true).is_err());
            }
        }
    }

    #[test]
    fn gif_frames_are_what_a_viewer_shows() {
        let mut file = Vec::new();
        let mut encoder = gif::Encoder::new(&mut file, 2, 1, &[1, 2, 3, 4, 5, 6]).unwrap();
        let frame = |left, buffer: &[u8], dispose, transparent| gif::Frame {
            left,
            width: buffer.len() as u16,
            height: 1,
            buffer: buffer.to_vec().into(),
            dispose,
            transparent,
            ..gif::Frame::default()
        };
        for frame in [
            frame(0, &[0, 1], DisposalMethod::Keep, None),
            frame(1, &[0], DisposalMethod::Previous, None),
            frame(0, &[1, 0], DisposalMethod::Background, Some(1)),
            frame(0, &[0], DisposalMethod::Keep, None),
        ] {
            encoder.write_frame(&frame).unwrap();
        }
        drop(encoder);
        let (found, pixels) = decode(&file, false).unwrap();
        assert_eq!((found.rows, found.columns, found.frames), (1, 2, Some(4)));
        let frames: Vec<_> = pixels.chunks(6).collect();
        assert_eq!(
            frames,
            [
                [1, 2, 3, 4, 5, 6],
                [1, 2, 3, 1, 2, 3],
                [1, 2, 3, 1, 2, 3],
                [1, 2, 3, 0, 0, 0]
            ]
        );
        for cut in [0, 10, file.len() / 2] {
            assert!(decode(&file[..cut], false).is_err());
        }
    }

    #[test]
    fn sizes_are_refused_before_anything_is_allocated() {
        assert!(check_size(65_536, 1, 1).is_err());
        assert!(check_size(65_535, 65_535, 1).is_err());
        assert!(check_size(0, 1, 1).is_err());
        let bomb = b"GIF89a\xFF\xFF\xFF\xFF\0\0\0,\0\0\0\0\xFF\xFF\xFF\xFF\0\x02\0;";
        assert!(decode(bomb, false).is_err());
    }
}
