//! A sheet to draw on: lines and letters in the places of a whole picture, of which a view shows a
//! part at its own size. Drawn at that size, so that lines stay sharp. Everything outside is cut off
//! before it is walked along, and the work is bounded.

use super::color::Rgb;
use super::font;
use super::picture::Picture;
use super::scale::Region;
use super::{Error, View};

/// The most steps of a pixel that all lines of a picture take together.
const STEPS_MAX: u64 = 1 << 27;
/// No line goes further. Pixels.
const FAR: f64 = 1e9;
/// The thinnest line. Pixels.
const THIN: f64 = 1.1;

/// A place on the whole picture, from its top left corner.
pub(super) type Point = [f64; 2];

/// How a line looks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pen {
    pub(super) color: Rgb,
    /// In units of the whole picture; never thinner than a pixel or so.
    pub(super) width: f64,
    /// Up to 1. Below it, lines that meet do not cover each other's ends twice.
    pub(super) cover: f64,
}

pub(super) struct Canvas {
    samples: Vec<u8>,
    width: usize,
    height: usize,
    region: Region,
    /// Pixels for one unit of the whole picture, across and down.
    scale: [f64; 2],
    steps: u64,
}

impl Canvas {
    /// A sheet for the part of a picture of `columns` × `rows` that the view shows.
    ///
    /// # Errors
    /// [`Error::Outside`] when that is nothing.
    pub(super) fn new(
        (columns, rows): (u32, u32),
        view: &View,
        background: Rgb,
    ) -> Result<Self, Error> {
        let (region, (width, height)) = view.plan_of(columns, rows, 1.0)?;
        // At most PICTURE_PIXELS_MAX pixels.
        let (width, height) = (width as usize, height as usize);
        let scale = [
            width as f64 / f64::from(region.width),
            height as f64 / f64::from(region.height),
        ];
        Ok(Self {
            samples: background.repeat(width * height),
            width,
            height,
            region,
            scale,
            steps: 0,
        })
    }

    /// Pixels for one unit of the whole picture.
    pub(super) fn scale(&self) -> f64 {
        self.scale[0].min(self.scale[1])
    }

    /// A place in pixels of this sheet.
    fn place(&self, [x, y]: Point) -> Point {
        [
            (x - f64::from(self.region.left)) * self.scale[0],
            (y - f64::from(self.region.top)) * self.scale[1],
        ]
    }

    fn blend(&mut self, x: usize, y: usize, color: Rgb, cover: f64) {
        if x >= self.width || y >= self.height {
            return;
        }
        // A saturating cast.
        let cover = (cover * 256.0) as u32;
        let at = (y * self.width + x) * 3;
        for (sample, new) in self.samples[at..at + 3].iter_mut().zip(color) {
            let mixed =
                u32::from(*sample) * (256 - cover.min(256)) + u32::from(new) * cover.min(256);
            // At most 255 · 256.
            *sample = ((mixed + 128) >> 8) as u8;
        }
    }

    /// A sharp line of one pixel from top to bottom.
    pub(super) fn down(&mut self, x: f64, [top, bottom]: [f64; 2], color: Rgb) {
        let ([x, top], [_, bottom]) = (self.place([x, top]), self.place([0.0, bottom]));
        if (0.0..self.width as f64).contains(&x) {
            // Saturating casts.
            let rows = top.round() as usize..(bottom.round() as usize).min(self.height);
            rows.for_each(|y| self.blend(x as usize, y, color, 1.0));
        }
    }

    /// A sharp line of one pixel from left to right.
    pub(super) fn across(&mut self, y: f64, [left, right]: [f64; 2], color: Rgb) {
        let ([left, y], [right, _]) = (self.place([left, y]), self.place([right, 0.0]));
        if (0.0..self.height as f64).contains(&y) {
            let columns = left.round() as usize..(right.round() as usize).min(self.width);
            columns.for_each(|x| self.blend(x, y as usize, color, 1.0));
        }
    }

    /// A straight line.
    pub(super) fn line(&mut self, from: Point, to: Point, pen: &Pen) {
        let (from, to) = (self.place(from), self.place(to));
        let half = (pen.width * self.scale()).max(THIN) / 2.0;
        let Some((from, to)) = self.clipped(from, to, half + 1.0) else {
            return;
        };
        let is_steep = (to[1] - from[1]).abs() > (to[0] - from[0]).abs();
        // Along `main` a pixel at a time, across it as far as the line is thick.
        let main = usize::from(is_steep);
        let other = 1 - main;
        let (from, to) = if from[main] <= to[main] {
            (from, to)
        } else {
            (to, from)
        };
        let run = to[main] - from[main];
        let slope = if run > 0.0 {
            (to[other] - from[other]) / run
        } else {
            0.0
        };
        let reach = half * slope.hypot(1.0);
        let end = if pen.cover < 1.0 {
            to[main].round()
        } else {
            to[main].floor() + 1.0
        };
        let begin = if pen.cover < 1.0 {
            from[main].round()
        } else {
            from[main].floor()
        };
        let limit = if is_steep { self.height } else { self.width } as f64;
        let (begin, end) = (begin.max(0.0) as usize, end.min(limit).max(0.0) as usize);
        for step in begin..end {
            let along = (step as f64 + 0.5).clamp(from[main], to[main]);
            let middle = from[other] + slope * (along - from[main]);
            let first = (middle - reach - 0.5).floor().max(0.0) as usize;
            let last = (middle + reach + 0.5).floor();
            if last < 0.0 {
                continue;
            }
            for aside in first..=last as usize {
                self.steps += 1;
                if self.steps > STEPS_MAX {
                    return;
                }
                let away = (aside as f64 + 0.5 - middle).abs();
                let cover = (reach + 0.5 - away).clamp(0.0, 1.0) * pen.cover;
                let (x, y) = if is_steep {
                    (aside, step)
                } else {
                    (step, aside)
                };
                self.blend(x, y, pen.color, cover);
            }
        }
    }

    /// The part of a line that is on the sheet or no further than `margin` from it (Liang and Barsky).
    fn clipped(&self, from: Point, to: Point, margin: f64) -> Option<(Point, Point)> {
        // Also what is no number.
        if !from.iter().chain(&to).all(|n| n.abs() < FAR) {
            return None;
        }
        let (mut begin, mut end) = (0.0_f64, 1.0_f64);
        for (axis, side) in [self.width, self.height].into_iter().enumerate() {
            let run = to[axis] - from[axis];
            let (low, high) = (-margin - from[axis], side as f64 + margin - from[axis]);
            if run == 0.0 {
                if low > 0.0 || high < 0.0 {
                    return None;
                }
                continue;
            }
            let (one, other) = (low / run, high / run);
            begin = begin.max(one.min(other));
            end = end.min(one.max(other));
        }
        let at = |part: f64| [0, 1].map(|axis| from[axis] + (to[axis] - from[axis]) * part);
        (begin <= end).then(|| (at(begin), at(end)))
    }

    /// Letters with their top left corner at a place, each dot so large; none where dots would be
    /// smaller than a pixel.
    pub(super) fn text(&mut self, text: &str, at: Point, dot: f64, color: Rgb) {
        let dot = (dot * self.scale() + 0.2).floor();
        if dot < 1.0 {
            return;
        }
        let [left, top] = self.place(at).map(f64::round);
        for (number, letter) in text.chars().enumerate() {
            let left = left + (number * font::ADVANCE as usize) as f64 * dot;
            if left > self.width as f64 {
                break;
            }
            for (column, row) in (0..font::HEIGHT)
                .flat_map(|row| (0..font::WIDTH).map(move |column| (column, row)))
                .filter(|(column, row)| font::is_set(letter, *column, *row))
            {
                self.dot(
                    [left + f64::from(column) * dot, top + f64::from(row) * dot],
                    dot,
                    color,
                );
            }
        }
    }

    /// A filled square in pixels.
    fn dot(&mut self, [left, top]: Point, side: f64, color: Rgb) {
        let from = |first: f64, limit: usize| {
            let end = ((first + side).max(0.0) as usize).min(limit);
            (first.max(0.0) as usize).min(end)..end
        };
        let (columns, rows) = (from(left, self.width), from(top, self.height));
        for y in rows {
            columns.clone().for_each(|x| self.blend(x, y, color, 1.0));
        }
    }

    /// The picture, turned as the view wants it.
    ///
    /// # Errors
    /// When there was too much to draw.
    pub(super) fn finish(mut self) -> Result<Picture, Error> {
        if self.steps > STEPS_MAX {
            return Err(Error::Unsupported("a drawing of so many lines"));
        }
        if self.region.is_flipped {
            let rows = self.samples.chunks_exact(self.width * 3).rev();
            self.samples = rows.flatten().copied().collect();
        }
        if self.region.is_mirrored {
            for row in self.samples.chunks_exact_mut(self.width * 3) {
                let pixels: Vec<u8> = row.rchunks_exact(3).flatten().copied().collect();
                row.copy_from_slice(&pixels);
            }
        }
        Ok(Picture {
            samples: self.samples,
            // From sides of 32 bits.
            width: self.width as u32,
            height: self.height as u32,
            is_color: true,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Crop, Fit};
    use super::*;

    const PEN: Pen = Pen {
        color: [255; 3],
        width: 1.0,
        cover: 1.0,
    };

    fn canvas(columns: u32, rows: u32, view: &View) -> Canvas {
        Canvas::new((columns, rows), view, [0; 3]).unwrap()
    }

    fn lit(canvas: Canvas) -> Vec<(usize, usize)> {
        let width = canvas.width;
        let picture = canvas.finish().unwrap();
        let pixels = picture.samples.chunks(3).enumerate();
        pixels
            .filter(|(_, pixel)| pixel[0] > 127)
            .map(|(at, _)| (at % width, at / width))
            .collect()
    }

    #[test]
    fn lines_go_where_they_should() {
        let mut sheet = canvas(5, 5, &View::default());
        sheet.line([4.5, 2.5], [0.5, 2.5], &PEN);
        assert_eq!(lit(sheet), (0..5).map(|x| (x, 2)).collect::<Vec<_>>());
        let mut sheet = canvas(5, 5, &View::default());
        sheet.line([0.5, 0.5], [4.5, 4.5], &PEN);
        assert!((0..5).all(|n| lit_at(&sheet, n, n)));
        let mut sheet = canvas(4, 4, &View::default());
        sheet.down(1.2, [0.0, 3.0], [255; 3]);
        assert_eq!(lit(sheet), [(1, 0), (1, 1), (1, 2)]);
        let view = View {
            crop: Crop {
                left: 1,
                is_mirrored: true,
                is_flipped: true,
                ..Crop::default()
            },
            fit: Fit::Fill(6, 8),
            ..View::default()
        };
        let mut sheet = canvas(4, 4, &view);
        sheet.across(0.1, [0.0, 2.0], [255; 3]);
        assert_eq!(lit(sheet), [(4, 7), (5, 7)]);
    }

    fn lit_at(sheet: &Canvas, x: usize, y: usize) -> bool {
        sheet.samples[(y * sheet.width + x) * 3] > 127
    }

    #[test]
    fn hostile_places_are_cut_off() {
        let mut sheet = canvas(9, 9, &View::default());
        let far = [1e300, -1e300, f64::INFINITY, f64::NAN, 4.0, f64::MAX];
        for x in far {
            for y in far {
                sheet.line([x, y], [4.0, 4.0], &PEN);
                sheet.line([y, 4.0], [x, y], &PEN);
                sheet.down(x, [y, x], [1; 3]);
                sheet.across(x, [x, y], [1; 3]);
                sheet.text("long\u{1F600}", [x, y], 1.0, [1; 3]);
            }
        }
        assert!(sheet.steps < 20_000);
        assert!(sheet.finish().is_ok());
        let mut sheet = canvas(90, 90, &View::default());
        sheet.steps = STEPS_MAX - 100;
        sheet.line([0.0, 0.0], [90.0, 90.0], &PEN);
        assert!(sheet.finish().is_err());
    }

    #[test]
    fn letters_have_their_dots() {
        let mut sheet = canvas(6, 7, &View::default());
        sheet.text("I", [0.0, 0.0], 1.0, [255; 3]);
        assert_eq!(lit(sheet).len(), 11);
        let small = View {
            fit: Fit::Fill(3, 3),
            ..View::default()
        };
        let mut sheet = canvas(6, 7, &small);
        sheet.text("I", [0.0, 0.0], 1.0, [255; 3]);
        assert_eq!(lit(sheet), []);
    }
}
