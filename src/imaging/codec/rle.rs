//! RLE Lossless (PS3.5 Annex G): every byte of every sample is a plane of its own, packed as runs.
//!
//! A stream says nothing of the pixels, so [`Bounds`] alone tell what it holds. One-bit pixels are
//! one plane of bytes with eight pixels each, first pixel lowest, as native frames have them
//! (PS3.5 §8.1.1, Annex D): those bytes are what a [`Raster`] of one bit has here.

use super::{Bounds, Color, Fault, Raster, sample_bytes};

/// The number of segments and fifteen offsets (§G.5).
const HEADER_BYTES: usize = 64;
const SEGMENTS_MAX: usize = 15;
/// Two bytes make 128 at the most (§G.3).
const GROWTH_MAX: usize = 64;

/// The samples of an RLE frame of 1, 8, 16 or 32 bits allocated: all allocated bits, unsigned.
///
/// Bytes that a segment has beyond its plane are not looked at, and runs may cross rows.
///
/// # Errors
/// When it has another number of segments than the pixels ask for, or one with too few bytes.
pub fn decode(codestream: &[u8], bounds: &Bounds) -> Result<Raster, Fault> {
    let layout = Layout::new(bounds)?;
    let segments = segments(codestream)?;
    if segments.iter().flatten().count() != layout.planes() {
        return Err(Fault::Malformed("the number of segments of an RLE frame"));
    }
    let length = layout.plane_bytes;
    if segments
        .iter()
        .flatten()
        .any(|segment| segment.len().saturating_mul(GROWTH_MAX) < length)
    {
        return Err(Fault::CutOff);
    }
    let mut planes = Vec::with_capacity(length * layout.planes());
    for (place, segment) in segments.iter().flatten().enumerate() {
        unpack(segment, (place + 1) * length, &mut planes)?;
    }
    Ok(Raster {
        rows: bounds.rows,
        columns: bounds.columns,
        samples: bounds.samples,
        bits: bounds.bits_allocated,
        is_signed: false,
        color: Color::Unsaid,
        bytes: layout.join(planes),
    })
}

/// An RLE frame with exactly these samples; their sign is not coded, their bytes are.
///
/// Rows are packed one by one (§G.3.1), segments are of even length. A raster of one bit may hold a
/// byte for each sample or, as [`decode`] gives it, a byte for eight.
///
/// # Errors
/// [`Fault::Unsupported`] for a depth that makes other than 1, 2 or 4 bytes and for frames beyond
/// 4 GiB; [`Fault::CutOff`] for a raster with too few bytes.
pub fn encode(raster: &Raster) -> Result<Vec<u8>, Fault> {
    let bits = |bits_allocated| Bounds {
        rows: raster.rows,
        columns: raster.columns,
        samples: raster.samples,
        bits_allocated,
    };
    let packed = Layout::new(&bits(1));
    let layout = match packed {
        Ok(layout) if raster.bits == 1 && raster.bytes.len() == layout.plane_bytes => layout,
        _ if (1..=32).contains(&raster.bits) => {
            Layout::new(&bits(sample_bytes(raster.bits) as u16 * 8))?
        }
        _ => return Err(Fault::Unsupported("this depth in RLE")),
    };
    let bytes = raster
        .bytes
        .get(..layout.plane_bytes * layout.planes())
        .ok_or(Fault::CutOff)?;
    let mut frame = vec![0; HEADER_BYTES];
    frame.reserve(bytes.len() / 2);
    frame[..4].copy_from_slice(&(layout.planes() as u32).to_le_bytes());
    let mut row = vec![0; layout.row_bytes];
    for plane in 0..layout.planes() {
        let offset = u32::try_from(frame.len())
            .map_err(|_| Fault::Unsupported("an RLE frame beyond 4 GiB"))?;
        frame[4 * (plane + 1)..][..4].copy_from_slice(&offset.to_le_bytes());
        let place = layout.place(plane);
        for pixels in bytes.chunks_exact(layout.row_bytes * layout.planes()) {
            for (byte, pixel) in row.iter_mut().zip(pixels.chunks_exact(layout.planes())) {
                *byte = pixel[place];
            }
            pack(&row, &mut frame);
        }
        if frame.len() % 2 == 1 {
            frame.push(0);
        }
    }
    Ok(frame)
}

/// How the bytes of a frame lie in planes.
struct Layout {
    samples: usize,
    /// Bytes of a sample.
    depth: usize,
    /// Bytes of a row within a plane; of all rows where they share bytes.
    row_bytes: usize,
    plane_bytes: usize,
}

impl Layout {
    fn new(bounds: &Bounds) -> Result<Self, Fault> {
        let count = bounds.sample_count()?;
        if count == 0 {
            return Err(Fault::Malformed("a frame without pixels"));
        }
        let samples = usize::from(bounds.samples);
        let depth = match (bounds.bits_allocated, samples) {
            (1, 1) => {
                return Ok(Self {
                    samples,
                    depth: 1,
                    row_bytes: count.div_ceil(8),
                    plane_bytes: count.div_ceil(8),
                });
            }
            (8 | 16 | 32, _) => usize::from(bounds.bits_allocated / 8),
            _ => return Err(Fault::Unsupported("this depth in RLE")),
        };
        if samples * depth > SEGMENTS_MAX {
            return Err(Fault::Unsupported("more than 15 segments of RLE"));
        }
        Ok(Self {
            samples,
            depth,
            row_bytes: bounds.columns as usize,
            plane_bytes: count / samples,
        })
    }

    fn planes(&self) -> usize {
        self.samples * self.depth
    }

    /// Where a pixel has the byte of a plane: planes begin with the most significant (§G.2).
    fn place(&self, plane: usize) -> usize {
        plane / self.depth * self.depth + self.depth - 1 - plane % self.depth
    }

    fn join(&self, planes: Vec<u8>) -> Vec<u8> {
        let count = self.planes();
        if count == 1 {
            return planes;
        }
        let mut bytes = vec![0; planes.len()];
        // Two and three planes are what nearly all frames have; so they are worth their own loops.
        if (self.depth, count) == (2, 2) {
            let (high, low) = planes.split_at(self.plane_bytes);
            for ((pixel, high), low) in bytes.as_chunks_mut::<2>().0.iter_mut().zip(high).zip(low) {
                *pixel = [*low, *high];
            }
        } else if (self.depth, count) == (1, 3) {
            let (first, rest) = planes.split_at(self.plane_bytes);
            let (second, third) = rest.split_at(self.plane_bytes);
            let samples = first.iter().zip(second).zip(third);
            for (pixel, ((first, second), third)) in
                bytes.as_chunks_mut::<3>().0.iter_mut().zip(samples)
            {
                *pixel = [*first, *second, *third];
            }
        } else {
            for (plane, samples) in planes.chunks_exact(self.plane_bytes).enumerate() {
                let place = self.place(plane);
                for (pixel, sample) in bytes.chunks_exact_mut(count).zip(samples) {
                    pixel[place] = *sample;
                }
            }
        }
        bytes
    }
}

/// The segments that the header names, each up to the next one or to the end.
fn segments(frame: &[u8]) -> Result<[Option<&[u8]>; SEGMENTS_MAX], Fault> {
    const FAULT: Fault = Fault::Malformed("the header of an RLE frame");
    let (header, _) = frame
        .split_first_chunk::<HEADER_BYTES>()
        .ok_or(Fault::CutOff)?;
    let mut words = header
        .as_chunks::<4>()
        .0
        .iter()
        .map(|word| u32::from_le_bytes(*word));
    let count = words.next().map_or(0, |count| count as usize);
    if !(1..=SEGMENTS_MAX).contains(&count) {
        return Err(FAULT);
    }
    let mut starts = words.take(count).map(|start| start as usize).peekable();
    let mut segments = [None; SEGMENTS_MAX];
    for segment in &mut segments {
        let Some(start) = starts.next() else {
            break;
        };
        let end = starts.peek().copied().unwrap_or(frame.len());
        if start < HEADER_BYTES || (end < start && starts.peek().is_some()) {
            return Err(FAULT);
        }
        *segment = Some(
            frame
                .get(start..end.min(frame.len()))
                .ok_or(Fault::CutOff)?,
        );
    }
    Ok(segments)
}

/// Runs to bytes (§G.3.2), until `bytes` has `length`.
fn unpack(mut segment: &[u8], length: usize, bytes: &mut Vec<u8>) -> Result<(), Fault> {
    while bytes.len() < length {
        let (head, rest) = segment.split_first().ok_or(Fault::CutOff)?;
        let room = length - bytes.len();
        let head = usize::from(*head);
        segment = match head {
            0..128 => {
                // A segment that ends within these bytes may have all that are wanted.
                let (literal, rest) = rest.split_at((head + 1).min(rest.len()));
                bytes.extend_from_slice(&literal[..literal.len().min(room)]);
                rest
            }
            128 => rest,
            _ => {
                let (byte, rest) = rest.split_first().ok_or(Fault::CutOff)?;
                bytes.resize(bytes.len() + (257 - head).min(room), *byte);
                rest
            }
        };
    }
    Ok(())
}

/// A row to runs (§G.3.1). Two equal bytes break no literal: that would cost what it saves.
fn pack(row: &[u8], frame: &mut Vec<u8>) {
    let mut rest = row;
    while let Some(first) = rest.first() {
        let run = rest
            .iter()
            .take(128)
            .take_while(|byte| *byte == first)
            .count();
        if run > 1 {
            frame.extend([(257 - run) as u8, *first]);
            rest = &rest[run..];
            continue;
        }
        let window = &rest[..rest.len().min(128)];
        let length = window
            .array_windows()
            .position(|[a, b, c]| a == b && b == c)
            .unwrap_or(window.len());
        frame.push((length - 1) as u8);
        frame.extend_from_slice(&window[..length]);
        rest = &rest[length..];
    }
}
