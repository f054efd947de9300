//! Lines and areas as pixels of a mask. Points may lie anywhere: lines are cut at the picture first,
//! and a [`Budget`] bounds what is drawn altogether.

use super::Mask;
use crate::imaging::Error;

/// Pixels of lines.
const STEPS_MAX: u64 = 1 << 25;
/// Rows looked at for one side of an area that cost as much as one of them.
const ROWS_FOR_STEP: u64 = 2;
/// What a crossing costs, which is sorted.
const STEPS_FOR_CROSSING: u64 = 4;
const TOO_MUCH: Error = Error::Unsupported("so much to draw");

/// A point of the picture.
pub(super) type Point = (f64, f64);

/// What may still be drawn for one picture.
#[derive(Debug)]
pub(in super::super) struct Budget {
    steps_left: u64,
    /// How thick lines are. Pixels.
    thickness: i64,
}

impl Budget {
    /// For a picture of a size: lines are a pixel thick, and one more for each 1024 of its longer side.
    pub(in super::super) fn for_size((width, height): (u32, u32)) -> Self {
        Self {
            steps_left: STEPS_MAX,
            thickness: i64::from(width.max(height) / 1024) + 1,
        }
    }

    fn spend(&mut self, steps: u64) -> Result<(), Error> {
        self.steps_left = self.steps_left.checked_sub(steps).ok_or(TOO_MUCH)?;
        Ok(())
    }

    /// Draws from each point to the next; a single one as a cross.
    pub(in super::super) fn line(
        &mut self,
        mask: &mut Mask,
        points: &[Point],
    ) -> Result<(), Error> {
        for pair in points.windows(2) {
            self.segment(mask, pair[0], pair[1])?;
        }
        Ok(())
    }

    /// Draws a small cross, open in the middle of nothing: its arms meet at the point.
    pub(in super::super) fn cross(&mut self, mask: &mut Mask, (x, y): Point) -> Result<(), Error> {
        let arm = 3.0 * self.thickness as f64;
        self.segment(mask, (x - arm, y), (x + arm, y))?;
        self.segment(mask, (x, y - arm), (x, y + arm))
    }

    fn segment(&mut self, mask: &mut Mask, from: Point, to: Point) -> Result<(), Error> {
        let (width, height) = mask.sides();
        let margin = self.thickness as f64;
        let Some((from, to)) = clipped(
            from,
            to,
            (-margin, width as f64 + margin),
            (-margin, height as f64 + margin),
        ) else {
            return self.spend(1);
        };
        let (dx, dy) = (to.0 - from.0, to.1 - from.1);
        // Both ends lie at the picture, so these are few.
        let steps = (dx.abs().max(dy.abs()).ceil() as u64).max(1);
        self.spend(steps * self.thickness.unsigned_abs())?;
        let before = (self.thickness - 1) / 2;
        // Thick across the way it goes.
        let (across, down) = if dx.abs() > dy.abs() { (0, 1) } else { (1, 0) };
        for step in 0..=steps {
            let share = step as f64 / steps as f64;
            let (x, y) = (from.0 + dx * share, from.1 + dy * share);
            let (x, y) = (x.floor() as i64, y.floor() as i64);
            for place in -before..self.thickness - before {
                mask.set(x + across * place, y + down * place);
            }
        }
        Ok(())
    }

    /// Fills what the line from each point to the next, and back to the first, goes around an odd
    /// number of times.
    pub(in super::super) fn fill(
        &mut self,
        mask: &mut Mask,
        points: &[Point],
    ) -> Result<(), Error> {
        let (_, height) = mask.sides();
        let Some(last) = points.last() else {
            return Ok(());
        };
        self.spend(height as u64 * points.len() as u64 / ROWS_FOR_STEP)?;
        let sides = || points.iter().zip(std::iter::once(last).chain(points));
        let mut crossings: Vec<f64> = Vec::new();
        for y in 0..height {
            let middle = y as f64 + 0.5;
            crossings.clear();
            for (a, b) in sides() {
                if (a.1 <= middle) != (b.1 <= middle) {
                    crossings.push(a.0 + (middle - a.1) / (b.1 - a.1) * (b.0 - a.0));
                }
            }
            self.spend(crossings.len() as u64 * STEPS_FOR_CROSSING)?;
            crossings.sort_by(f64::total_cmp);
            for pair in crossings.chunks_exact(2) {
                mask.set_run(y, pair[0], pair[1]);
            }
        }
        Ok(())
    }
}

/// The part of a line inside a box (Liang and Barsky); `None` when there is none.
fn clipped(
    from: Point,
    to: Point,
    (left, right): (f64, f64),
    (top, bottom): (f64, f64),
) -> Option<(Point, Point)> {
    let (dx, dy) = (to.0 - from.0, to.1 - from.1);
    let (mut enter, mut leave) = (0.0_f64, 1.0_f64);
    for (delta, room) in [
        (-dx, from.0 - left),
        (dx, right - from.0),
        (-dy, from.1 - top),
        (dy, bottom - from.1),
    ] {
        if delta == 0.0 {
            if room < 0.0 {
                return None;
            }
        } else if delta < 0.0 {
            enter = enter.max(room / delta);
        } else {
            leave = leave.min(room / delta);
        }
    }
    let is_sound = enter <= leave && dx.is_finite() && dy.is_finite();
    is_sound.then(|| {
        let at = |share: f64| (from.0 + dx * share, from.1 + dy * share);
        (at(enter), at(leave))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(
        side: u32,
        draw: impl FnOnce(&mut Budget, &mut Mask) -> Result<(), Error>,
    ) -> Vec<String> {
        let mut mask = Mask::of_size((side, side));
        draw(&mut Budget::for_size((side, side)), &mut mask).unwrap();
        let shown = |row: &mut [bool]| row.iter().map(|p| if *p { '#' } else { '.' }).collect();
        (0..side as usize).map(|y| shown(mask.row(y))).collect()
    }

    #[test]
    fn lines_are_cut_at_the_picture_wherever_they_come_from() {
        let far = [(-1e12, 1.5), (1e12, 1.5)];
        let lines = drawn(4, |budget, mask| budget.line(mask, &far));
        assert_eq!(lines, ["....", "####", "....", "...."]);
        let slanted = drawn(4, |budget, mask| {
            budget.line(mask, &[(0.5, 0.5), (3.5, 3.5)])
        });
        assert_eq!(slanted, ["#...", ".#..", "..#.", "...#"]);
        let beside = drawn(4, |budget, mask| {
            budget.line(mask, &[(9.0, -1e9), (9.0, 1e9)])
        });
        assert_eq!(beside, ["...."; 4]);
        let endless = [(-f64::MAX, 0.0), (f64::MAX, 0.0)];
        assert_eq!(
            drawn(4, |budget, mask| budget.line(mask, &endless)),
            ["...."; 4]
        );
    }

    #[test]
    fn areas_are_filled_by_the_middles_of_pixels() {
        let square = [(1.0, 1.0), (3.0, 1.0), (3.0, 3.0), (1.0, 3.0)];
        let filled = drawn(4, |budget, mask| budget.fill(mask, &square));
        assert_eq!(filled, ["....", ".##.", ".##.", "...."]);
        let huge = [(-1e30, -1e30), (1e30, -1e30), (1e30, 1e30), (-1e30, 1e30)];
        assert_eq!(
            drawn(4, |budget, mask| budget.fill(mask, &huge)),
            ["####"; 4]
        );
        assert_eq!(drawn(4, |budget, mask| budget.fill(mask, &[])), ["...."; 4]);
    }

    #[test]
    fn what_is_drawn_has_an_end() {
        let mut mask = Mask::of_size((4096, 4096));
        let mut budget = Budget::for_size((4096, 4096));
        let zigzag: Vec<Point> = (0..100_000)
            .map(|n| (if n % 2 == 0 { 0.0 } else { 4096.0 }, f64::from(n % 4096)))
            .collect();
        assert_eq!(budget.line(&mut mask, &zigzag), Err(TOO_MUCH));
        assert_eq!(budget.fill(&mut mask, &zigzag), Err(TOO_MUCH));
        let mut fresh = Budget::for_size((4096, 4096));
        assert_eq!(fresh.fill(&mut mask, &zigzag), Err(TOO_MUCH));
    }
}
