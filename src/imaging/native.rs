//! Native frames drawn: stored values cut out (PS3.5 §8.1, §8.2), made grey or colored, and scaled
//! row by row.

use super::color::{Rgb, rgb_of_ybr};
use super::picture::Picture;
use super::scale::{Region, scaled};
use super::shape::{Photometric, Sample};
use super::tone::{Finish, Voi, Window};
use super::view::View;
use super::{Error, PixelDescription};

/// The most pixels of a frame that is drawn.
const PIXELS_MAX: u64 = 256 << 20;

/// Draws a frame.
///
/// # Errors
/// [`Error::CutOff`] when `frame` is shorter than rows, columns and bits ask for,
/// [`Error::TooLarge`] beyond 256 million pixels, [`Error::Outside`] when the view shows nothing of
/// it; all before anything is allocated.
pub fn draw(frame: &[u8], description: &PixelDescription, view: &View) -> Result<Picture, Error> {
    let (region, size) = view.plan(description)?;
    sampled(frame, description, view.window, region, size)
}

/// Draws a region of a frame, which lies inside it, at a size.
pub(super) fn sampled(
    frame: &[u8],
    description: &PixelDescription,
    window: Option<Window>,
    region: Region,
    (width, height): (u32, u32),
) -> Result<Picture, Error> {
    let source = Source::new(frame, description)?;
    let is_grey = description.is_grey();
    let is_color = !is_grey || matches!(description.finish, Finish::Palette(_));
    let samples = if !is_grey {
        scaled(region, (width, height), |row, out: &mut Vec<Rgb>| {
            source.colors(row, out);
        })
    } else if is_color {
        let shades = Shades::new(&source, window, |voi, x| description.finish.color(voi, x));
        scaled(region, (width, height), |row, out: &mut Vec<Rgb>| {
            source.append(row, |raw| shades.of(raw), out);
        })
    } else {
        let shades = Shades::new(&source, window, |voi, x| [description.finish.shade(voi, x)]);
        scaled(region, (width, height), |row, out: &mut Vec<[u8; 1]>| {
            source.append(row, |raw| shades.of(raw), out);
        })
    };
    Ok(Picture {
        samples,
        width,
        height,
        is_color,
    })
}

/// Calls with each stored value of a frame of single samples, row by row.
///
/// # Errors
/// As [`draw`].
pub(super) fn each_value(
    frame: &[u8],
    description: &PixelDescription,
    mut value: impl FnMut(f64),
) -> Result<(), Error> {
    let source = Source::new(frame, description)?;
    for row in 0..usize::try_from(description.rows).unwrap_or(0) {
        source.each(row, |raw| value(source.value(raw)));
    }
    Ok(())
}

/// A frame that is long enough for what its description says.
struct Source<'a> {
    frame: &'a [u8],
    description: &'a PixelDescription,
    columns: usize,
    mask: u64,
}

impl<'a> Source<'a> {
    fn new(frame: &'a [u8], description: &'a PixelDescription) -> Result<Self, Error> {
        let pixels = u64::from(description.rows) * u64::from(description.columns);
        if pixels > PIXELS_MAX {
            return Err(Error::TooLarge(PIXELS_MAX));
        }
        let samples_by_two = match description.photometric {
            Photometric::YbrFull422 => 4,
            Photometric::Rgb | Photometric::YbrFull => 6,
            _ => 2,
        };
        let is_color = samples_by_two > 2;
        if is_color && (description.bits_allocated == 1 || description.sample != Sample::Whole) {
            return Err(Error::Unsupported("color of this number of bits"));
        }
        if description.photometric == Photometric::YbrFull422
            && (!description.columns.is_multiple_of(2) || description.bits_allocated != 8)
        {
            return Err(Error::Unsupported("YBR_FULL_422 of this shape"));
        }
        // At most 2^28 pixels of 3 samples of 64 bits: no overflow.
        let bits = pixels * samples_by_two / 2 * u64::from(description.bits_allocated);
        if (frame.len() as u64) < bits.div_ceil(8) {
            return Err(Error::CutOff);
        }
        let columns =
            usize::try_from(description.columns).map_err(|_| Error::TooLarge(PIXELS_MAX))?;
        Ok(Self {
            frame,
            description,
            columns,
            mask: u64::MAX >> (64 - description.bits_stored),
        })
    }

    /// The stored bits of a sample, right-aligned, without sign.
    fn raw(&self, sample: usize) -> u64 {
        let cell = match self.description.bits_allocated {
            1 => u64::from(self.frame[sample / 8] >> (sample % 8) & 1),
            8 => u64::from(self.frame[sample]),
            bits => {
                let size = bits as usize / 8;
                let bytes = &self.frame[sample * size..][..size];
                bytes
                    .iter()
                    .rev()
                    .fold(0, |cell, byte| cell << 8 | u64::from(*byte))
            }
        };
        cell >> self.description.low_bit & self.mask
    }

    /// What the stored bits mean.
    fn value(&self, raw: u64) -> f64 {
        match self.description.sample {
            // 32 bits, and 64: the casts lose nothing.
            Sample::Float => f64::from(f32::from_bits(raw as u32)),
            Sample::Double => f64::from_bits(raw),
            Sample::Whole => {
                let sign = 1 << (self.description.bits_stored - 1);
                if self.description.is_signed && raw & sign != 0 {
                    raw as f64 - (self.mask as f64 + 1.0)
                } else {
                    raw as f64
                }
            }
        }
    }

    /// Appends what the stored bits of each pixel of a row of single samples become.
    fn append<T>(&self, row: usize, shade: impl Fn(u64) -> T, out: &mut Vec<T>) {
        let first = row * self.columns;
        let cut = |cell: u64| cell >> self.description.low_bit & self.mask;
        // Most pixels have one of these sizes: their loops look at nothing else.
        match self.description.bits_allocated {
            8 => {
                let cells = self.frame[first..][..self.columns].iter();
                out.extend(cells.map(|cell| shade(cut((*cell).into()))));
            }
            16 => {
                let cells = self.frame[2 * first..][..2 * self.columns].chunks_exact(2);
                let cells = cells.map(|cell| u16::from_le_bytes([cell[0], cell[1]]));
                out.extend(cells.map(|cell| shade(cut(cell.into()))));
            }
            _ => out.extend((first..first + self.columns).map(|at| shade(self.raw(at)))),
        }
    }

    /// Calls with the stored bits of each pixel of a row of single samples.
    fn each(&self, row: usize, pixel: impl FnMut(u64)) {
        let first = row * self.columns;
        (first..first + self.columns)
            .map(|at| self.raw(at))
            .for_each(pixel);
    }

    fn colors(&self, row: usize, out: &mut Vec<Rgb>) {
        let first = row * self.columns;
        match (self.description.photometric, &self.description.palette) {
            (Photometric::PaletteColor, Some(palette)) => {
                self.append(row, |raw| palette.color(self.value(raw)), out);
            }
            (Photometric::YbrFull422, _) => {
                for pair in (0..self.columns / 2).map(|pair| (first / 2 + pair) * 4) {
                    let [y1, y2, cb, cr] = [0, 1, 2, 3].map(|sample| self.top_bits(pair + sample));
                    out.extend([rgb_of_ybr([y1, cb, cr]), rgb_of_ybr([y2, cb, cr])]);
                }
            }
            (photometric, _) if self.has_whole_bytes() && !self.description.is_planar => {
                let (pixels, _) = self.frame[3 * first..][..3 * self.columns].as_chunks();
                if photometric == Photometric::Rgb {
                    out.extend_from_slice(pixels);
                } else {
                    out.extend(pixels.iter().copied().map(rgb_of_ybr));
                }
            }
            (photometric, _) => {
                let plane = usize::try_from(self.description.rows).unwrap_or(0) * self.columns;
                let (step, stride) = if self.description.is_planar {
                    (plane, 1)
                } else {
                    (1, 3)
                };
                let pixel = |column| {
                    [0, 1, 2]
                        .map(|channel| self.top_bits((first + column) * stride + channel * step))
                };
                let pixels = (0..self.columns).map(pixel);
                if photometric == Photometric::Rgb {
                    out.extend(pixels)
                } else {
                    out.extend(pixels.map(rgb_of_ybr))
                }
            }
        }
    }

    /// Whether a sample is a byte.
    fn has_whole_bytes(&self) -> bool {
        let description = self.description;
        (description.bits_allocated, description.low_bit) == (8, 0) && self.mask == 255
    }

    /// A sample of a color as 8 bits.
    fn top_bits(&self, sample: usize) -> u8 {
        let (raw, bits) = (self.raw(sample), self.description.bits_stored);
        let byte = if bits > 8 {
            raw >> (bits - 8)
        } else {
            raw * 255 / self.mask
        };
        u8::try_from(byte).unwrap_or(u8::MAX)
    }
}

/// What each stored value looks like.
struct Shades<'a, const N: usize, F> {
    source: &'a Source<'a>,
    voi: Voi,
    finish: F,
    /// By stored bits, when there are at most 16.
    table: Vec<[u8; N]>,
}

impl<'a, const N: usize, F: Fn(&Voi, f64) -> [u8; N]> Shades<'a, N, F> {
    fn new(source: &'a Source<'a>, window: Option<Window>, finish: F) -> Self {
        let description = source.description;
        let voi = match (window, &description.voi) {
            (Some(window), _) => Voi::Window(window),
            // Masks and drawings: their values are no intensities.
            (None, _) if description.bits_stored == 1 => Voi::Window(Window::spanning(0.0, 1.0)),
            (None, Some(voi)) => voi.clone(),
            (None, None) => Voi::Window(Self::spanning(source)),
        };
        let mut shades = Self {
            source,
            voi,
            finish,
            table: Vec::new(),
        };
        if description.bits_stored <= 16 {
            shades.table = (0..=source.mask).map(|raw| shades.work_out(raw)).collect();
        }
        shades
    }

    /// The window from the frame's lowest to its highest value, padding left out.
    fn spanning(source: &Source<'_>) -> Window {
        let description = source.description;
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        for row in 0..usize::try_from(description.rows).unwrap_or(0) {
            source.each(row, |raw| {
                let stored = source.value(raw);
                if !description
                    .padding
                    .is_some_and(|padding| padding.contains(stored))
                {
                    let value = description.modality.apply(stored);
                    low = low.min(value);
                    high = high.max(value);
                }
            });
        }
        if low > high {
            (low, high) = (0.0, 0.0);
        }
        Window::spanning(low, high)
    }

    fn work_out(&self, raw: u64) -> [u8; N] {
        let description = self.source.description;
        let stored = self.source.value(raw);
        let value = if description.bits_stored == 1 {
            raw as f64
        } else {
            description.modality.apply(stored)
        };
        (self.finish)(&self.voi, value)
    }

    #[inline(always)]
    fn of(&self, raw: u64) -> [u8; N] {
        let known = usize::try_from(raw)
            .ok()
            .and_then(|raw| self.table.get(raw));
        known.copied().unwrap_or_else(|| self.work_out(raw))
    }
}

#[cfg(test)]
mod tests;
