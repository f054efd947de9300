//! Pictures made smaller or larger: each side by itself, smaller by the average of the area that a
//! pixel of the picture covers, larger by straight lines between pixel centers. Row by row, so that
//! memory grows with the picture, not with the frame.

use std::collections::VecDeque;

/// The part of a frame that is shown, and which way round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Region {
    pub(super) left: u32,
    pub(super) top: u32,
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) is_mirrored: bool,
    pub(super) is_flipped: bool,
}

/// Draws `region` at a size. `draw` appends all pixels of one row of the frame.
pub(super) fn scaled<const N: usize>(
    region: Region,
    size: (u32, u32),
    draw: impl Fn(usize, &mut Vec<[u8; N]>),
) -> Vec<u8> {
    if size == (region.width, region.height) {
        as_large(region, draw)
    } else {
        resized(region, size, draw)
    }
}

/// Pixel by pixel.
fn as_large<const N: usize>(region: Region, draw: impl Fn(usize, &mut Vec<[u8; N]>)) -> Vec<u8> {
    let (width, height) = (region.width as usize, region.height as usize);
    let mut pixels = Vec::with_capacity(width * height * N);
    let mut row = Vec::new();
    for y in 0..height {
        let y = if region.is_flipped { height - 1 - y } else { y };
        row.clear();
        draw(region.top as usize + y, &mut row);
        let shown = &mut row[region.left as usize..][..width];
        if region.is_mirrored {
            shown.reverse();
        }
        pixels.extend_from_slice(shown.as_flattened());
    }
    pixels
}

fn resized<const N: usize>(
    region: Region,
    (width, height): (u32, u32),
    draw: impl Fn(usize, &mut Vec<[u8; N]>),
) -> Vec<u8> {
    let columns: Vec<Reach> = (0..width)
        .map(|part| Reach::of(part, width, region.width))
        .collect();
    let (left, top) = (region.left as usize, region.top as usize);
    let line_length = columns.len() * N;
    let mut pixels = vec![0; line_length * height as usize];
    let mut lines = Lines::default();
    let mut row = Vec::new();
    let mut sums = vec![0.0_f32; line_length];
    for y in 0..height {
        let reach = Reach::of(y, height, region.height);
        sums.fill(0.0);
        for (at, weight) in reach.weights() {
            let line = lines.get(top + at, |line| {
                row.clear();
                draw(top + at, &mut row);
                narrow(&row[left..left + region.width as usize], &columns, line);
            });
            for (sum, value) in sums.iter_mut().zip(line) {
                *sum += value * weight;
            }
        }
        let place = if region.is_flipped { height - 1 - y } else { y } as usize * line_length;
        let out = &mut pixels[place..place + line_length];
        // Casts saturate at 0 and 255.
        if region.is_mirrored {
            let mirrored = sums.chunks_exact(N).rev().flatten();
            out.iter_mut()
                .zip(mirrored)
                .for_each(|(o, s)| *o = s.round() as u8);
        } else {
            out.iter_mut()
                .zip(&sums)
                .for_each(|(o, s)| *o = s.round() as u8);
        }
    }
    pixels
}

/// One row made as wide as the picture.
fn narrow<const N: usize>(row: &[[u8; N]], columns: &[Reach], line: &mut Vec<f32>) {
    line.clear();
    for reach in columns {
        let mut sum = [0.0; N];
        for (at, weight) in reach.weights() {
            let pixel = row[at];
            (0..N).for_each(|channel| sum[channel] += f32::from(pixel[channel]) * weight);
        }
        line.extend(sum);
    }
}

/// The last two rows, as wide as the picture: neighbours in the picture share them.
#[derive(Default)]
struct Lines(VecDeque<(usize, Vec<f32>)>);

impl Lines {
    fn get(&mut self, row: usize, make: impl FnOnce(&mut Vec<f32>)) -> &[f32] {
        let known = self.0.iter().position(|(number, _)| *number == row);
        let place = known.unwrap_or_else(|| {
            let mut line = if self.0.len() == 2 {
                self.0.pop_front().map(|(_, line)| line).unwrap_or_default()
            } else {
                Vec::new()
            };
            make(&mut line);
            self.0.push_back((row, line));
            self.0.len() - 1
        });
        &self.0[place].1
    }
}

/// The pixels of the frame that one pixel of the picture shows, along one side, and how much of each.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Reach {
    start: usize,
    /// At least 1.
    count: usize,
    first: f32,
    middle: f32,
    last: f32,
}

impl Reach {
    /// For pixel `part` of `parts`, which together show `length` pixels; none of them is 0.
    fn of(part: u32, parts: u32, length: u32) -> Self {
        let (part, parts, length) = (u64::from(part), u64::from(parts), u64::from(length));
        if parts <= length {
            // In units of 1/parts of a pixel of the frame.
            let (begin, end) = (part * length, (part + 1) * length);
            let (start, stop) = (begin / parts, end.div_ceil(parts));
            let unit = 1.0 / length as f32;
            return Self {
                start: start as usize,
                count: (stop - start) as usize,
                first: ((start + 1) * parts).min(end).saturating_sub(begin) as f32 * unit,
                middle: parts as f32 * unit,
                last: (end - (stop - 1) * parts) as f32 * unit,
            };
        }
        let center = (part as f64 + 0.5) * length as f64 / parts as f64 - 0.5;
        let below = center.floor().max(0.0);
        let start = below as usize;
        let is_inside = center > 0.0 && ((start + 1) as u64) < length;
        let share = if is_inside {
            (center - below) as f32
        } else {
            0.0
        };
        Self {
            start,
            count: if is_inside { 2 } else { 1 },
            first: 1.0 - share,
            middle: 1.0,
            last: share,
        }
    }

    fn weights(self) -> impl Iterator<Item = (usize, f32)> {
        (0..self.count).map(move |at| {
            let weight = match at {
                0 => self.first,
                _ if at + 1 == self.count => self.last,
                _ => self.middle,
            };
            (self.start + at, weight)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn region(width: u32, height: u32) -> Region {
        Region {
            left: 0,
            top: 0,
            width,
            height,
            is_mirrored: false,
            is_flipped: false,
        }
    }

    fn draw(rows: &[&[u8]], region: Region, size: (u32, u32)) -> Vec<u8> {
        scaled(region, size, |row, out: &mut Vec<[u8; 1]>| {
            out.extend(rows[row].iter().map(|value| [*value]));
        })
    }

    #[test]
    fn weights_of_a_pixel_make_one_and_cover_everything() {
        for (length, parts) in [
            (1, 1),
            (7, 3),
            (512, 128),
            (500, 499),
            (3, 7),
            (1, 5),
            (65_535, 128),
        ] {
            let mut covered = vec![0.0_f64; length as usize];
            for part in 0..parts {
                let reach = Reach::of(part, parts, length);
                let sum: f32 = reach.weights().map(|(_, weight)| weight).sum();
                assert!((sum - 1.0).abs() < 1e-3, "{length} {parts} {part}: {sum}");
                reach
                    .weights()
                    .for_each(|(at, weight)| covered[at] += f64::from(weight));
            }
            if parts <= length {
                let share = f64::from(parts) / f64::from(length);
                assert!(
                    covered.iter().all(|c| (c - share).abs() < 1e-3),
                    "{length} {parts}"
                );
            }
        }
    }

    #[test]
    fn sizes_change_by_area_and_by_lines() {
        let row: &[&[u8]] = &[&[10, 20, 100, 201]];
        assert_eq!(draw(row, region(4, 1), (4, 1)), [10, 20, 100, 201]);
        assert_eq!(draw(row, region(4, 1), (2, 1)), [15, 151]);
        // Thirds of 4 pixels: (10 + 20/3) / (4/3), (2/3 · 20 + 2/3 · 100) / (4/3), (100/3 + 201) / (4/3).
        assert_eq!(draw(row, region(4, 1), (3, 1)), [13, 60, 176]);
        assert_eq!(
            draw(&[&[0, 100]], region(2, 1), (4, 2)),
            [0, 25, 75, 100, 0, 25, 75, 100]
        );
        assert_eq!(draw(&[&[0], &[90], &[60]], region(1, 3), (1, 1)), [50]);
    }

    #[test]
    fn regions_are_cut_and_turned() {
        let rows: &[&[u8]] = &[&[1, 2, 3], &[4, 5, 6], &[7, 8, 9]];
        let part = Region {
            left: 1,
            top: 1,
            ..region(2, 2)
        };
        assert_eq!(draw(rows, part, (2, 2)), [5, 6, 8, 9]);
        let mirrored = Region {
            is_mirrored: true,
            ..part
        };
        assert_eq!(draw(rows, mirrored, (2, 2)), [6, 5, 9, 8]);
        let flipped = Region {
            is_flipped: true,
            ..part
        };
        assert_eq!(draw(rows, flipped, (2, 2)), [8, 9, 5, 6]);
    }
}
