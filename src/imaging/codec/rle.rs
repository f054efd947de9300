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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bounds(rows: u32, columns: u32, samples: u16, bits_allocated: u16) -> Bounds {
        Bounds {
            rows,
            columns,
            samples,
            bits_allocated,
        }
    }

    fn raster(bounds: &Bounds, bytes: &[u8]) -> Raster {
        Raster {
            rows: bounds.rows,
            columns: bounds.columns,
            samples: bounds.samples,
            bits: bounds.bits_allocated,
            is_signed: false,
            color: Color::Unsaid,
            bytes: bytes.to_vec(),
        }
    }

    fn frame(segments: &[&[u8]]) -> Vec<u8> {
        let mut frame = vec![0; HEADER_BYTES];
        frame[0] = segments.len() as u8;
        for (place, segment) in segments.iter().enumerate() {
            let start = frame.len() as u32;
            frame[4 * (place + 1)..][..4].copy_from_slice(&start.to_le_bytes());
            frame.extend_from_slice(segment);
        }
        frame
    }

    #[test]
    fn runs_and_literals_of_the_standard() {
        // §G.3: 0 to 127 copy, -127 to -1 repeat, -128 does nothing.
        let segment = [2, 1, 2, 3, 128, 0xFD, 9, 0, 7];
        let size = bounds(2, 4, 1, 8);
        let wanted = raster(&size, &[1, 2, 3, 9, 9, 9, 9, 7]);
        assert_eq!(decode(&frame(&[&segment]), &size), Ok(wanted.clone()));
        // More than is wanted, in a run, in a literal and behind them.
        for more in [&[0xFD, 9, 5, 7, 7, 7][..], &[0xFD, 9, 0, 7, 0, 0, 0]] {
            let segment = [&segment[..5], more].concat();
            assert_eq!(decode(&frame(&[&segment]), &size), Ok(wanted.clone()));
        }
        for short in 0..segment.len() {
            let found = decode(&frame(&[&segment[..short]]), &size);
            assert_eq!(found, Err(Fault::CutOff), "{short}");
        }
    }

    #[test]
    fn planes_begin_with_the_most_significant_byte() {
        let wide = frame(&[&[0xFF, 1], &[1, 2, 3]]);
        let size = bounds(1, 2, 1, 16);
        assert_eq!(decode(&wide, &size), Ok(raster(&size, &[2, 1, 3, 1])));
        let color = frame(&[&[1, 1, 2], &[1, 3, 4], &[1, 5, 6]]);
        let size = bounds(1, 2, 3, 8);
        let wanted = raster(&size, &[1, 3, 5, 2, 4, 6]);
        assert_eq!(decode(&color, &size), Ok(wanted));
        let deep: Vec<_> = (0..12_u8).map(|at| [0, at]).collect();
        let deep = frame(&deep.iter().map(|segment| &segment[..]).collect::<Vec<_>>());
        let size = bounds(1, 1, 3, 32);
        let wanted = raster(&size, &[3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8]);
        assert_eq!(decode(&deep, &size), Ok(wanted.clone()));
        assert!(decode(&deep, &bounds(1, 1, 1, 32)).is_err());
        assert!(decode(&deep, &bounds(1, 1, 4, 32)).is_err());
    }

    #[test]
    fn pixels_of_one_bit_stay_packed() {
        let size = bounds(3, 5, 1, 1);
        let packed = frame(&[&[1, 0b1010_0101, 0b0111_1111]]);
        let wanted = raster(&size, &[0b1010_0101, 0b0111_1111]);
        assert_eq!(decode(&packed, &size), Ok(wanted.clone()));
        let again = encode(&wanted).unwrap();
        assert_eq!(decode(&again, &size), Ok(wanted));
        // A byte for each of them is a raster of 8 bits allocated.
        let bytes = raster(&size, &[1; 15]);
        let again = encode(&bytes).unwrap();
        assert_eq!(decode(&again, &bounds(3, 5, 1, 8)).unwrap().bytes, [1; 15]);
    }

    #[test]
    fn headers_must_name_segments_in_order() {
        let size = bounds(1, 2, 1, 16);
        let good = frame(&[&[0xFF, 1], &[1, 2, 3]]);
        for (at, byte, fault) in [
            (0, 0, None),
            (0, 16, None),
            (0, 1, None),
            (0, 3, None),
            (4, 63, None),
            (4, 67, None),
            (8, 200, Some(Fault::CutOff)),
        ] {
            let mut bad = good.clone();
            bad[at] = byte;
            let found = decode(&bad, &size).unwrap_err();
            match fault {
                Some(fault) => assert_eq!(found, fault),
                None => assert!(matches!(found, Fault::Malformed(_)), "{at} {byte}"),
            }
        }
        assert_eq!(decode(&good[..63], &size), Err(Fault::CutOff));
        // An enormous frame that was agreed on costs nothing when its bytes are missing.
        let size = bounds(65_535, 65_535, 1, 16);
        assert_eq!(decode(&good, &size), Err(Fault::CutOff));
    }

    /// Bytes by the rules of §G.3.2, one at a time.
    fn by_the_rules(mut segment: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        while let [head, rest @ ..] = segment {
            let head = *head as i8;
            let used = match head {
                0.. => {
                    bytes.extend(&rest[..=head as usize]);
                    head as usize + 1
                }
                -128 => 0,
                _ => {
                    bytes.extend(std::iter::repeat_n(
                        rest[0],
                        (1 - isize::from(head)) as usize,
                    ));
                    1
                }
            };
            segment = &rest[used..];
        }
        bytes
    }

    proptest! {
        #[test]
        fn rows_are_packed_one_by_one(
            runs in proptest::collection::vec((any::<u8>(), prop_oneof![3 => 1..4_usize, 1 => 1..300_usize]), 1..60),
        ) {
            let row: Vec<u8> = runs.into_iter().flat_map(|(byte, length)| std::iter::repeat_n(byte, length)).collect();
            let mut packed = Vec::new();
            pack(&row, &mut packed);
            prop_assert_eq!(by_the_rules(&packed), &row[..]);
            prop_assert!(packed.len() <= row.len() + row.len().div_ceil(128));
            // Two rows are two packings.
            let size = bounds(2, row.len() as u32, 1, 8);
            let mut frame = encode(&raster(&size, &[&row[..], &row].concat())).unwrap();
            prop_assert!(frame.len().is_multiple_of(2));
            let twice = [&packed[..], &packed].concat();
            frame.truncate(HEADER_BYTES + twice.len());
            prop_assert_eq!(&frame[HEADER_BYTES..], twice);
        }

        #[test]
        fn what_is_encoded_is_decoded_the_same(
            rows in 1..9_u32, columns in 1..40_u32, samples in 1..=3_u16, depth in prop_oneof![Just(8_u16), Just(16), Just(32)],
            values in proptest::collection::vec(0..3_u8, 9 * 40 * 12),
            damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..5),
        ) {
            let size = bounds(rows, columns, samples, depth);
            let count = size.sample_count().unwrap() * usize::from(depth / 8);
            let wanted = raster(&size, &values[..count]);
            let mut frame = encode(&wanted).unwrap();
            prop_assert_eq!(decode(&frame, &size), Ok(wanted));
            for (at, byte) in damage {
                let at = at.index(frame.len());
                frame[at] = byte;
                let _ = decode(&frame, &size);
                let _ = decode(&frame[..at], &size);
            }
        }
    }
}
