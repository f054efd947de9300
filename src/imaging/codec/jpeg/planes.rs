//! The samples of each component, and how they become pixels (ISO/IEC 10918-1 §A.1.1).
//!
//! The standard leaves open how subsampled components grow. We do as libjpeg does unless it is told
//! otherwise: a triangle filter for one half (3/4 of the nearer sample, 1/4 of the next one, roundings
//! up and down in turn), the nearest sample for all else.

use super::frame::{Component, Frame, Place};

pub(super) struct Planes {
    planes: Vec<Plane>,
}

struct Plane {
    /// Whole blocks.
    samples: Vec<u16>,
    stride: usize,
    /// Those that are of the picture.
    columns: usize,
    rows: usize,
    growth: Growth,
}

/// How rows of a plane become rows of the picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Growth {
    None,
    Wide,
    High,
    WideAndHigh,
    /// By the sampling factors: a component's over the largest.
    Nearest {
        horizontal: [usize; 2],
        vertical: [usize; 2],
    },
}

impl Planes {
    pub(super) fn new(frame: &Frame) -> Self {
        let plane = |component: &Component| {
            let stride = component.blocks_wide as usize * 8;
            Plane {
                samples: vec![0; stride * component.blocks_high as usize * 8],
                stride,
                columns: component.columns as usize,
                rows: component.rows as usize,
                growth: Growth::of(component, frame),
            }
        };
        Self {
            planes: frame.components.iter().map(plane).collect(),
        }
    }

    /// From the first sample of a block on, and the samples of a row.
    #[inline(always)]
    pub(super) fn block(&mut self, place: Place) -> (&mut [u16], usize) {
        let plane = &mut self.planes[place.component];
        let start = place.row as usize * 8 * plane.stride + place.column as usize * 8;
        (&mut plane.samples[start..], plane.stride)
    }

    /// All pixels by rows, in samples of one byte or two.
    pub(super) fn pixels(&self, frame: &Frame) -> Vec<u8> {
        let (rows, columns) = (frame.rows as usize, frame.columns as usize);
        let count = self.planes.len();
        let width = if frame.bits > 8 { 2 } else { 1 };
        let mut pixels = vec![0; rows * columns * count * width];
        let mut rooms = vec![Room::default(); count];
        for (row, pixels) in pixels.chunks_exact_mut(columns * count * width).enumerate() {
            let mut grown = self
                .planes
                .iter()
                .zip(&mut rooms)
                .map(|(plane, room)| &plane.row(row, columns, room)[..columns]);
            match (grown.next(), grown.next(), grown.next(), width) {
                (Some(only), None, _, 1) => {
                    for (pixel, sample) in pixels.iter_mut().zip(only) {
                        *pixel = *sample as u8;
                    }
                }
                (Some(one), Some(two), Some(three), 1) => {
                    let colors = one.iter().zip(two).zip(three);
                    for (pixel, ((one, two), three)) in pixels.chunks_exact_mut(3).zip(colors) {
                        pixel.copy_from_slice(&[*one as u8, *two as u8, *three as u8]);
                    }
                }
                (one, two, three, _) => {
                    for (place, samples) in [one, two, three].into_iter().flatten().enumerate() {
                        let pixels = pixels.chunks_exact_mut(2 * count);
                        for (pixel, sample) in pixels.zip(samples) {
                            pixel[2 * place..][..2].copy_from_slice(&sample.to_le_bytes());
                        }
                    }
                }
            }
        }
        pixels
    }
}

/// Room to work in.
#[derive(Clone, Default)]
struct Room {
    sums: Vec<u16>,
    grown: Vec<u16>,
}

impl Growth {
    fn of(component: &Component, frame: &Frame) -> Self {
        let horizontal = [component.horizontal as usize, frame.horizontal as usize];
        let vertical = [component.vertical as usize, frame.vertical as usize];
        let is_half = |[own, largest]: [usize; 2]| 2 * own == largest;
        let is_whole = |[own, largest]: [usize; 2]| own == largest;
        // A row of one or two samples has no inner one to filter.
        let is_filtered = component.columns > 2;
        match () {
            () if is_whole(horizontal) && is_whole(vertical) => Self::None,
            () if is_half(horizontal) && is_whole(vertical) && is_filtered => Self::Wide,
            () if is_whole(horizontal) && is_half(vertical) => Self::High,
            () if is_half(horizontal) && is_half(vertical) && is_filtered => Self::WideAndHigh,
            () => Self::Nearest {
                horizontal,
                vertical,
            },
        }
    }
}

impl Plane {
    fn own_row(&self, row: usize) -> &[u16] {
        let start = row * self.stride;
        &self.samples[start..start + self.columns]
    }

    /// The row of the component that is nearer to a row of twice as many, and the next one; edges repeat.
    fn two_rows(&self, row: usize) -> (&[u16], &[u16]) {
        let near = row / 2;
        let next = if row.is_multiple_of(2) {
            near.saturating_sub(1)
        } else {
            (near + 1).min(self.rows - 1)
        };
        (self.own_row(near), self.own_row(next))
    }

    /// A row of the picture, or a little more.
    fn row<'a>(&'a self, row: usize, columns: usize, room: &'a mut Room) -> &'a [u16] {
        // Filters write whole pairs.
        let width = columns.next_multiple_of(2);
        room.grown.resize(width, 0);
        let grown = &mut room.grown;
        match self.growth {
            Growth::None => return self.own_row(row),
            Growth::Wide => widen(self.own_row(row), grown, [1, 2], 2),
            Growth::High => {
                let (near, next) = self.two_rows(row);
                let bias = if row.is_multiple_of(2) { 1 } else { 2 };
                for ((near, next), grown) in near.iter().zip(next).zip(grown) {
                    *grown = (weigh(*near, *next) + bias) >> 2;
                }
            }
            Growth::WideAndHigh => {
                let (near, next) = self.two_rows(row);
                let sums = near
                    .iter()
                    .zip(next)
                    .map(|(near, next)| weigh(*near, *next));
                room.sums.clear();
                room.sums.extend(sums);
                widen(&room.sums, grown, [8, 7], 4);
            }
            Growth::Nearest {
                horizontal,
                vertical,
            } => {
                let own = self.own_row(row * vertical[0] / vertical[1]);
                for (column, grown) in grown.iter_mut().enumerate() {
                    *grown = own[(column * horizontal[0] / horizontal[1]).min(own.len() - 1)];
                }
            }
        }
        &room.grown
    }
}

/// Three parts of one and one of the other. Two such steps over 12 bits and their rounding fit 16.
fn weigh(near: u16, next: u16) -> u16 {
    3 * near + next
}

/// Twice as many columns, each of a pair with its own bias before the `shift` that divides.
/// There are three sums or more; edges repeat.
fn widen(sums: &[u16], grown: &mut [u16], bias: [u16; 2], shift: u32) {
    let left = |sum: u16, before: u16| (weigh(sum, before) + bias[0]) >> shift;
    let right = |sum: u16, after: u16| (weigh(sum, after) + bias[1]) >> shift;
    let inner = grown[2..].chunks_exact_mut(2).zip(sums.windows(3));
    for (pair, near) in inner {
        pair[0] = left(near[1], near[0]);
        pair[1] = right(near[1], near[2]);
    }
    grown[0] = left(sums[0], sums[0]);
    grown[1] = right(sums[0], sums[1]);
    let last = sums.len() - 1;
    grown[2 * last] = left(sums[last], sums[last - 1]);
    grown[2 * last + 1] = right(sums[last], sums[last]);
}
