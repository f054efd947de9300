//! A set of pixels of a picture, and how they are painted.

use super::Placement;
use crate::imaging::Picture;
use crate::imaging::color::Rgb;

/// Pixels of a picture that are painted in one go.
#[derive(Debug)]
pub(in super::super) struct Mask {
    width: usize,
    height: usize,
    pixels: Vec<bool>,
}

/// What masks are painted with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Ink {
    /// As somebody has said.
    Plain(Rgb),
    /// White, with a dark line around it, so that it is seen on any ground.
    Outlined,
}

const WHITE: Rgb = [255; 3];
const DARK: Rgb = [0; 3];

impl Mask {
    /// An empty one, for a picture of a size.
    pub(in super::super) fn of_size((width, height): (u32, u32)) -> Self {
        let (width, height) = (width as usize, height as usize);
        Self {
            width,
            height,
            pixels: vec![false; width * height],
        }
    }

    pub(in super::super) fn clear(&mut self) {
        self.pixels.fill(false);
    }

    /// Takes all pixels that are not in it for those that are.
    pub(in super::super) fn invert(&mut self) {
        self.pixels.iter_mut().for_each(|pixel| *pixel = !*pixel);
    }

    pub(super) fn sides(&self) -> (usize, usize) {
        (self.width, self.height)
    }

    /// Sets a pixel; what lies outside is left out.
    pub(in super::super) fn set(&mut self, x: i64, y: i64) {
        let (Ok(x), Ok(y)) = (usize::try_from(x), usize::try_from(y)) else {
            return;
        };
        if x < self.width && y < self.height {
            self.pixels[y * self.width + x] = true;
        }
    }

    /// Sets the pixels of a row whose middles lie from `begin` to `end`.
    pub(super) fn set_run(&mut self, y: usize, begin: f64, end: f64) {
        // Casts saturate: what lies outside is cut off.
        let first = (begin - 0.5).ceil().max(0.0) as usize;
        let last = ((end - 0.5).floor() + 1.0).max(0.0) as usize;
        let row = y * self.width;
        if let Some(run) = self.pixels.get_mut(row..row + self.width)
            && let Some(run) = run.get_mut(first.min(self.width)..last.min(self.width))
        {
            run.fill(true);
        }
    }

    /// Sets the pixels whose middles a test of image coordinates picks out.
    pub(super) fn set_where(&mut self, placement: &Placement, test: impl Fn(f64, f64) -> bool) {
        for y in 0..self.height {
            for x in 0..self.width {
                let (column, row) = placement.image_of(x as f64 + 0.5, y as f64 + 0.5);
                if test(column, row) {
                    self.pixels[y * self.width + x] = true;
                }
            }
        }
    }

    /// The pixels of row `y`.
    pub(super) fn row(&mut self, y: usize) -> &mut [bool] {
        &mut self.pixels[y * self.width..][..self.width]
    }

    fn has_neighbour(&self, x: usize, y: usize) -> bool {
        let rows = y.saturating_sub(1)..(y + 2).min(self.height);
        let columns = x.saturating_sub(1)..(x + 2).min(self.width);
        rows.into_iter()
            .any(|y| self.pixels[y * self.width..][columns.clone()].contains(&true))
    }

    /// Paints its pixels; a grey picture takes the red of an ink.
    pub(in super::super) fn paint(&self, picture: &mut Picture, ink: Ink) {
        let samples = if picture.is_color { 3 } else { 1 };
        let mut put = |at: usize, color: Rgb| {
            if let Some(pixel) = picture.samples.get_mut(at * samples..(at + 1) * samples) {
                pixel.copy_from_slice(&color[..samples]);
            }
        };
        for y in 0..self.height {
            let row = y * self.width;
            // Most rows of most masks are empty.
            let is_near = ink == Ink::Outlined
                && self.pixels
                    [y.saturating_sub(1) * self.width..(y + 2).min(self.height) * self.width]
                    .contains(&true);
            if !is_near && !self.pixels[row..row + self.width].contains(&true) {
                continue;
            }
            for x in 0..self.width {
                match (self.pixels[row + x], ink) {
                    (true, Ink::Plain(color)) => put(row + x, color),
                    (true, Ink::Outlined) => put(row + x, WHITE),
                    (false, Ink::Outlined) if self.has_neighbour(x, y) => put(row + x, DARK),
                    _ => {}
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(width: u32, height: u32, is_color: bool) -> Picture {
        let samples = if is_color { 3 } else { 1 };
        Picture {
            samples: vec![100; (width * height * samples) as usize],
            width,
            height,
            is_color,
        }
    }

    #[test]
    fn an_outline_goes_around_and_a_plain_ink_does_not() {
        let mut mask = Mask::of_size((5, 4));
        mask.set(1, 1);
        mask.set(-1, 0);
        mask.set(5, 0);
        mask.set(i64::MAX, i64::MIN);
        let mut drawn = picture(5, 4, false);
        mask.paint(&mut drawn, Ink::Outlined);
        assert_eq!(drawn.samples[..5], [0, 0, 0, 100, 100]);
        assert_eq!(drawn.samples[5..10], [0, 255, 0, 100, 100]);
        assert_eq!(drawn.samples[15..], [100; 5]);
        let mut drawn = picture(5, 4, true);
        mask.paint(&mut drawn, Ink::Plain([1, 2, 3]));
        assert_eq!(drawn.samples[18..21], [1, 2, 3]);
        assert_eq!(drawn.samples.iter().filter(|s| **s == 100).count(), 57);
    }

    #[test]
    fn runs_are_cut_at_the_sides() {
        let mut mask = Mask::of_size((4, 1));
        mask.set_run(0, 1.0, 2.9);
        assert_eq!(mask.pixels, [false, true, true, false]);
        mask.set_run(0, -1e300, 1e300);
        assert_eq!(mask.pixels, [true; 4]);
        mask.set_run(7, 0.0, 1.0);
        mask.clear();
        mask.set_run(0, 3.0, 1.0);
        assert_eq!(mask.pixels, [false; 4]);
    }
}
