//! Lossless scans (ISO/IEC 10918-1 Annex H): differences from what neighbours predict, modulo 2^16.

use super::Fault;
use super::bits::Bits;
use super::frame::{Frame, Process, Restarts, Scan};
use super::huffman::Differences;
use super::segments::Tables;

pub(super) struct Lossless {
    /// By rows and pixels, before the point transform is undone.
    samples: Vec<u16>,
    /// Of each component.
    points: Vec<u8>,
}

impl Lossless {
    /// # Errors
    /// [`Fault::Unsupported`] for subsampled components.
    pub(super) fn new(frame: &Frame) -> Result<Self, Fault> {
        debug_assert_eq!(frame.process, Process::Lossless);
        let is_subsampled = frame.components.iter().any(|component| {
            (component.horizontal, component.vertical) != (frame.horizontal, frame.vertical)
        });
        if is_subsampled {
            return Err(Fault::Unsupported("lossless JPEG of subsampled components"));
        }
        let count = frame.components.len();
        Ok(Self {
            samples: vec![0; frame.rows as usize * frame.columns as usize * count],
            points: vec![0; count],
        })
    }

    /// Decodes a scan; returns its bytes.
    pub(super) fn decode(
        &mut self,
        frame: &Frame,
        tables: &Tables,
        scan: &Scan,
        data: &[u8],
    ) -> Result<usize, Fault> {
        if scan.components.len() > 1 && (frame.horizontal, frame.vertical) != (1, 1) {
            return Err(Fault::Unsupported("lossless JPEG of pixels in groups"));
        }
        if !(1..=7).contains(&scan.first) {
            return Err(Fault::Malformed("the predictor of a JPEG scan"));
        }
        if scan.low >= frame.bits {
            return Err(Fault::Malformed("the point transform of a JPEG scan"));
        }
        if !tables.restart_interval.is_multiple_of(frame.columns) {
            return Err(Fault::Unsupported("restarts within a row of lossless JPEG"));
        }
        let slots: Vec<Slot> = scan
            .components
            .iter()
            .map(|listed| {
                let differences = Differences::new(tables.dc(listed.dc)?);
                Ok(Slot {
                    place: listed.place,
                    differences,
                })
            })
            .collect::<Result<_, Fault>>()?;
        for slot in &slots {
            self.points[slot.place] = scan.low;
        }
        let mut restarts = Restarts::every(tables.restart_interval / frame.columns);
        let mut bits = Bits::new(data);
        let count = frame.components.len();
        let width = frame.columns as usize * count;
        let middle = 1_u16 << (frame.bits - scan.low - 1);
        let mut differences = vec![0; frame.columns as usize * slots.len()];
        for row in 0..frame.rows as usize {
            let is_restart = restarts.is_due();
            if is_restart {
                restarts.pass(&mut bits)?;
            }
            read_row(&slots, &mut bits, &mut differences)?;
            let (above, current) = self.samples.split_at_mut(row * width);
            let current = &mut current[..width];
            for (at, slot) in slots.iter().enumerate() {
                let differences = differences[at..].iter().copied().step_by(slots.len());
                let line = Line { differences, count };
                if row == 0 || is_restart {
                    line.first(&mut current[slot.place..], middle);
                } else {
                    let above = &above[(row - 1) * width + slot.place..];
                    line.predict(scan.first, &mut current[slot.place..], above);
                }
            }
        }
        Ok(bits.end())
    }

    /// All pixels by rows, in samples of one byte or two. What some writers leave above the precision
    /// (it is part of the differences, as they are modulo 2^16) is no part of a sample.
    pub(super) fn pixels(&self, frame: &Frame) -> Vec<u8> {
        let mask = u16::MAX >> (16 - frame.bits);
        let samples = self.samples.iter().zip(self.points.iter().cycle());
        let samples = samples.map(|(sample, point)| sample << point & mask);
        if frame.bits > 8 {
            let mut pixels = vec![0; self.samples.len() * 2];
            for (pixel, sample) in pixels.chunks_exact_mut(2).zip(samples) {
                pixel.copy_from_slice(&sample.to_le_bytes());
            }
            pixels
        } else {
            samples.map(|sample| sample as u8).collect()
        }
    }
}

/// What a component of a scan is decoded with.
struct Slot<'a> {
    /// Its place in the frame.
    place: usize,
    differences: Differences<'a>,
}

fn read_row(slots: &[Slot], bits: &mut Bits, differences: &mut [u16]) -> Result<(), Fault> {
    if let [only] = slots {
        for difference in differences {
            *difference = only.differences.decode(bits)?;
        }
    } else {
        for pixel in differences.chunks_exact_mut(slots.len()) {
            for (slot, difference) in slots.iter().zip(pixel) {
                *difference = slot.differences.decode(bits)?;
            }
        }
    }
    bits.check()
}

/// The differences of one component in one row, whose samples are `count` apart.
struct Line<D> {
    differences: D,
    count: usize,
}

impl<D: Iterator<Item = u16>> Line<D> {
    /// The first row of a scan or of a restart interval: from the left (§H.1.2.1).
    fn first(self, samples: &mut [u16], middle: u16) {
        let mut left = middle;
        for (sample, difference) in samples.iter_mut().step_by(self.count).zip(self.differences) {
            left = left.wrapping_add(difference);
            *sample = left;
        }
    }

    /// Any other row (Table H.1): its first sample from above.
    fn predict(self, predictor: u8, samples: &mut [u16], above: &[u16]) {
        let number = i32::from;
        match predictor {
            1 => self.each(samples, above, |left, _, _| left),
            2 => self.each(samples, above, |_, up, _| up),
            3 => self.each(samples, above, |_, _, corner| corner),
            4 => self.each(samples, above, |left, up, corner| {
                left.wrapping_add(up).wrapping_sub(corner)
            }),
            5 => self.each(samples, above, |left, up, corner| {
                (number(left) + ((number(up) - number(corner)) >> 1)) as u16
            }),
            6 => self.each(samples, above, |left, up, corner| {
                (number(up) + ((number(left) - number(corner)) >> 1)) as u16
            }),
            _ => self.each(samples, above, |left, up, _| {
                ((number(left) + number(up)) >> 1) as u16
            }),
        }
    }

    #[inline(always)]
    fn each(self, samples: &mut [u16], above: &[u16], predict: impl Fn(u16, u16, u16) -> u16) {
        let samples = samples.iter_mut().step_by(self.count);
        let mut before = None;
        for ((sample, up), difference) in samples
            .zip(above.iter().step_by(self.count))
            .zip(self.differences)
        {
            let predicted = match before {
                Some((left, corner)) => predict(left, *up, corner),
                None => *up,
            };
            *sample = predicted.wrapping_add(difference);
            before = Some((*sample, *up));
        }
    }
}
