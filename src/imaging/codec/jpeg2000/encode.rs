//! Samples into a JPEG 2000 codestream without loss (ISO/IEC 15444-1): one tile, one quality layer,
//! the reversible wavelet, code-blocks of 64 × 64, and the reversible color transform for RGB.

use super::super::{Color, Fault, Raster, sample_bytes};
use super::blocks::{self, Band};
use super::packets::{self, Group};
use super::wavelet;

/// Sides of a code-block.
const BLOCK: usize = 64;
/// Sides of a precinct, the largest that there are, and those of its share of a band that is half
/// as wide (§B.6).
const PRECINCT: usize = 1 << 15;
const LEVELS_MAX: u32 = 5;
const GUARD_BITS: u32 = 2;
const BITS_MAX: u16 = 16;

/// A component, or what became of it, and how wide its rows are.
struct Plane {
    samples: Vec<i32>,
    columns: usize,
    rows: usize,
}

/// # Errors
/// When the raster contradicts itself, or is of a form that is not encoded.
pub(super) fn encode(raster: &Raster) -> Result<Vec<u8>, Fault> {
    let mut planes = planes(raster)?;
    let has_color_transform = raster.samples == 3 && raster.color == Color::Rgb;
    if has_color_transform {
        transform_colors(&mut planes);
    }
    let levels = raster.rows.min(raster.columns).ilog2().min(LEVELS_MAX);
    // The chrominances of the reversible transform have a bit more (§G.2).
    let bits = u32::from(raster.bits) + u32::from(has_color_transform);
    for plane in &mut planes {
        for level in 0..levels {
            let (columns, rows) = (plane.columns_at(level), plane.rows_at(level));
            wavelet::split(&mut plane.samples, plane.columns, columns, rows);
        }
    }
    let mut stream = Vec::new();
    write_main_header(&mut stream, raster, has_color_transform, levels, bits);
    let tile = stream.len();
    stream.extend([0xFF, 0x90, 0, 10, 0, 0]);
    stream.extend([0; 4]);
    stream.extend([0, 1, 0xFF, 0x93]);
    for resolution in 0..=levels {
        for plane in &planes {
            plane.write_resolution(&mut stream, resolution, levels, bits);
        }
    }
    let length = u32::try_from(stream.len() - tile)
        .map_err(|_| Fault::Unsupported("a JPEG 2000 tile of so many bytes"))?;
    stream[tile + 6..tile + 10].copy_from_slice(&length.to_be_bytes());
    stream.extend([0xFF, 0xD9]);
    Ok(stream)
}

/// The samples of each component, around zero (§G.1).
fn planes(raster: &Raster) -> Result<Vec<Plane>, Fault> {
    const MALFORMED: Fault = Fault::Malformed("a frame to be compressed");
    if raster.bits > BITS_MAX || (raster.samples != 1 && raster.samples != 3) {
        return Err(Fault::Unsupported("a frame of that form in JPEG 2000"));
    }
    let samples = usize::from(raster.samples);
    let (columns, rows) = (raster.columns as usize, raster.rows as usize);
    let width = sample_bytes(raster.bits);
    let is_whole = columns
        .checked_mul(rows)
        .and_then(|pixels| pixels.checked_mul(samples * width))
        .is_some_and(|bytes| bytes == raster.bytes.len());
    if !is_whole || raster.bits == 0 || columns == 0 || rows == 0 {
        return Err(MALFORMED);
    }
    let half = 1_i32 << (raster.bits - 1);
    let shift = if raster.is_signed { 0 } else { half };
    (0..samples)
        .map(|sample| {
            let own = raster.bytes.chunks_exact(width).skip(sample);
            let values = own.step_by(samples).map(|bytes| {
                let value = match (bytes, raster.is_signed) {
                    (&[low], false) => i32::from(low),
                    (&[low], true) => i32::from(low as i8),
                    (&[low, high, ..], false) => i32::from(u16::from_le_bytes([low, high])),
                    (&[low, high, ..], true) => i32::from(i16::from_le_bytes([low, high])),
                    (&[], _) => 0,
                } - shift;
                (-half..half).contains(&value).then_some(value)
            });
            Ok(Plane {
                samples: values.collect::<Option<_>>().ok_or(MALFORMED)?,
                columns,
                rows,
            })
        })
        .collect()
}

/// Equations G-1 to G-3.
fn transform_colors(planes: &mut [Plane]) {
    let [first, second, third] = planes else {
        return;
    };
    let colors = first.samples.iter_mut().zip(&mut second.samples);
    for ((first, second), third) in colors.zip(&mut third.samples) {
        let (red, green, blue) = (*first, *second, *third);
        (*first, *second, *third) = ((red + 2 * green + blue) >> 2, blue - green, red - green);
    }
}

/// SIZ, COD and QCD (§A.5.1, §A.6.1, §A.6.4).
fn write_main_header(
    stream: &mut Vec<u8>,
    raster: &Raster,
    has_color_transform: bool,
    levels: u32,
    bits: u32,
) {
    stream.extend([0xFF, 0x4F, 0xFF, 0x51]);
    stream.extend((38 + 3 * raster.samples).to_be_bytes());
    stream.extend([0, 0]);
    let (columns, rows) = (raster.columns, raster.rows);
    for number in [columns, rows, 0, 0, columns, rows, 0, 0] {
        stream.extend(number.to_be_bytes());
    }
    stream.extend(raster.samples.to_be_bytes());
    for _ in 0..raster.samples {
        let depth = raster.bits as u8 - 1;
        stream.extend([depth | u8::from(raster.is_signed) << 7, 1, 1]);
    }
    stream.extend([0xFF, 0x52, 0, 12, 0, 0, 0, 1]);
    stream.extend([u8::from(has_color_transform), levels as u8, 4, 4, 0, 1]);
    stream.extend([0xFF, 0x5C]);
    stream.extend((4 + 3 * levels as u16).to_be_bytes());
    stream.push((GUARD_BITS << 5) as u8);
    stream.push((exponent(Band::LowLow, bits) << 3) as u8);
    for _ in 0..levels {
        for band in [Band::HighLow, Band::LowHigh, Band::HighHigh] {
            stream.push((exponent(band, bits) << 3) as u8);
        }
    }
}

/// The bits of a band with the gain of its filters (Equation E-4, Table E.1).
fn exponent(band: Band, bits: u32) -> u32 {
    bits + match band {
        Band::LowLow => 0,
        Band::HighLow | Band::LowHigh => 1,
        Band::HighHigh => 2,
    }
}

impl Plane {
    fn columns_at(&self, level: u32) -> usize {
        self.columns.div_ceil(1 << level)
    }

    fn rows_at(&self, level: u32) -> usize {
        self.rows.div_ceil(1 << level)
    }

    /// The packets of a resolution, one for each of its precincts.
    fn write_resolution(&self, stream: &mut Vec<u8>, resolution: u32, levels: u32, bits: u32) {
        let level = levels - resolution;
        let (columns, rows) = (self.columns_at(level), self.rows_at(level));
        // Left, top, right and bottom of each band, in the plane.
        let (bands, side) = if resolution == 0 {
            (vec![(Band::LowLow, 0..columns, 0..rows)], PRECINCT)
        } else {
            let (left, top) = (self.columns_at(level + 1), self.rows_at(level + 1));
            let bands = vec![
                (Band::HighLow, left..columns, 0..top),
                (Band::LowHigh, 0..left, top..rows),
                (Band::HighHigh, left..columns, top..rows),
            ];
            (bands, PRECINCT / 2)
        };
        for down in 0..rows.div_ceil(PRECINCT) {
            for across in 0..columns.div_ceil(PRECINCT) {
                let groups: Vec<Group> = bands
                    .iter()
                    .map(|(band, columns, rows)| {
                        let part = |whole: &std::ops::Range<usize>, at: usize| {
                            let start = whole.start + at * side;
                            start.min(whole.end)..(start + side).min(whole.end)
                        };
                        let (columns, rows) = (part(columns, across), part(rows, down));
                        let planes_max = GUARD_BITS + exponent(*band, bits) - 1;
                        self.group(*band, &columns, &rows, planes_max)
                    })
                    .collect();
                packets::write(&groups, stream);
            }
        }
    }

    fn group(
        &self,
        band: Band,
        columns: &std::ops::Range<usize>,
        rows: &std::ops::Range<usize>,
        planes_max: u32,
    ) -> Group {
        let mut group = Group {
            columns: columns.len().div_ceil(BLOCK),
            rows: rows.len().div_ceil(BLOCK),
            blocks: Vec::new(),
            planes_max,
        };
        if columns.is_empty() || rows.is_empty() {
            return group;
        }
        let mut coefficients = Vec::with_capacity(BLOCK * BLOCK);
        for top in rows.clone().step_by(BLOCK) {
            for left in columns.clone().step_by(BLOCK) {
                let (right, bottom) =
                    ((left + BLOCK).min(columns.end), (top + BLOCK).min(rows.end));
                coefficients.clear();
                for row in top..bottom {
                    let start = row * self.columns;
                    coefficients.extend(&self.samples[start + left..start + right]);
                }
                group
                    .blocks
                    .push(blocks::encode(&coefficients, right - left, band));
            }
        }
        group
    }
}
