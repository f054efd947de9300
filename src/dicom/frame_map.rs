//! Where each frame of an instance lies, worked out once when it arrives, so that a frame is one
//! read and no parse. `collect` watches a data set go by and decides; `code` packs a map for the
//! index.

mod code;
mod collect;

pub(crate) use collect::Collector;

/// A run of bytes in the (inflated) data set: offset from its first byte, length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// First byte.
    pub offset: u64,
    /// Number of bytes.
    pub length: u64,
}

/// The frames of one instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FrameMap {
    /// No pixel data.
    None,
    /// Native pixel data: frames of `frame_bits` bits follow each other from `span.offset` without gaps
    /// (PS3.5 §8.1.1: not even to a byte when one bit a pixel).
    Native {
        /// The whole pixel data value, padding included.
        span: Span,
        /// The bits of one frame. Never 0.
        frame_bits: u64,
        /// How many frames are really there.
        frames: u32,
    },
    /// Encapsulated: each frame is one or more fragments, in order.
    Encapsulated(Encapsulated),
}

/// The fragments of encapsulated pixel data, by frame (PS3.5 §A.4).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Encapsulated {
    /// All that belong to a frame, frame after frame.
    fragments: Vec<Span>,
    /// Per frame, where its fragments end in `fragments`; strictly ascending, the last one its
    /// length. Empty when every frame is one fragment.
    ends: Vec<u32>,
}

impl Encapsulated {
    /// Frames of one fragment each.
    #[must_use]
    pub fn of_single(fragments: Vec<Span>) -> Self {
        Self {
            fragments,
            ends: Vec::new(),
        }
    }

    /// Adds the next frame. One without fragments is none.
    pub fn push(&mut self, frame: &[Span]) {
        if frame.is_empty() {
            return;
        }
        if frame.len() > 1 && self.ends.is_empty() {
            self.ends = (1..).take(self.fragments.len()).collect();
        }
        let is_single = frame.len() == 1 && self.ends.is_empty();
        self.fragments.extend_from_slice(frame);
        if !is_single {
            self.ends
                .push(u32::try_from(self.fragments.len()).unwrap_or(u32::MAX));
        }
    }

    /// How many frames there are.
    #[must_use]
    pub fn len(&self) -> usize {
        if self.ends.is_empty() {
            self.fragments.len()
        } else {
            self.ends.len()
        }
    }

    /// Whether there is no frame.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.fragments.is_empty()
    }

    /// The fragments of a frame, counted from 0.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<&[Span]> {
        if self.ends.is_empty() {
            return self.fragments.get(index..index.checked_add(1)?);
        }
        let end = *self.ends.get(index)? as usize;
        let begin = index
            .checked_sub(1)
            .map_or(0, |before| self.ends[before] as usize);
        self.fragments.get(begin..end)
    }

    /// The frames in order.
    pub fn iter(&self) -> impl Iterator<Item = &[Span]> {
        (0..self.len()).filter_map(|index| self.get(index))
    }
}

/// One frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Frame<'a> {
    /// Native.
    Native {
        /// The bytes that hold it.
        span: Span,
        /// The bit of the first byte where it begins, from the least significant; 0 but for one bit a pixel.
        first_bit: u8,
        /// Its length in bits.
        bits: u64,
    },
    /// Encapsulated: the frame is the bytes of these one after the other.
    Encapsulated(&'a [Span]),
}

impl Frame<'_> {
    /// Its length in bytes, where the bits of a native frame begin a byte.
    #[must_use]
    pub fn length(&self) -> u64 {
        match self {
            Self::Native { bits, .. } => bits.div_ceil(8),
            Self::Encapsulated(fragments) => fragments
                .iter()
                .fold(0, |sum: u64, span| sum.saturating_add(span.length)),
        }
    }
}

impl FrameMap {
    /// How many frames there are.
    #[must_use]
    pub fn len(&self) -> u32 {
        match self {
            Self::None => 0,
            Self::Native { frames, .. } => *frames,
            Self::Encapsulated(encapsulated) => {
                u32::try_from(encapsulated.len()).unwrap_or(u32::MAX)
            }
        }
    }

    /// Whether there is no frame.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A frame by its number, from 1 as in the standard; `None` when there is none of that number.
    #[must_use]
    pub fn frame(&self, number: u32) -> Option<Frame<'_>> {
        let index = number.checked_sub(1)?;
        match self {
            Self::None => None,
            Self::Native { frames, .. } if index >= *frames => None,
            Self::Native {
                span, frame_bits, ..
            } => {
                let first = u64::from(index).checked_mul(*frame_bits)?;
                let end = first.checked_add(*frame_bits)?.div_ceil(8);
                let begin = first / 8;
                let span = Span {
                    offset: span.offset.checked_add(begin)?,
                    length: end - begin,
                };
                Some(Frame::Native {
                    span,
                    first_bit: (first % 8) as u8,
                    bits: *frame_bits,
                })
            }
            Self::Encapsulated(encapsulated) => {
                encapsulated.get(index as usize).map(Frame::Encapsulated)
            }
        }
    }
}

/// A frame of one-bit pixels moved to the first bit of a byte; bits beyond its last pixel are 0
/// (PS3.5 §8.1.1: the first pixel is the least significant bit).
#[must_use]
pub fn shifted(bytes: &[u8], first_bit: u8, bits: u64) -> Vec<u8> {
    let length = bits.div_ceil(8);
    let mut frame: Vec<u8> = (0..bytes.len())
        .take(usize::try_from(length).unwrap_or(usize::MAX))
        .map(|at| {
            let high = bytes.get(at + 1).copied().unwrap_or(0);
            (u16::from_le_bytes([bytes[at], high]) >> first_bit).to_le_bytes()[0]
        })
        .collect();
    if let (Some(last), used @ 1..) = (frame.last_mut(), bits % 8) {
        *last &= (1u8 << used) - 1;
    }
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn span(offset: u64, length: u64) -> Span {
        Span { offset, length }
    }

    #[test]
    fn native_frames_follow_each_other_by_the_bit() {
        // 3 frames of 3 × 5 pixels of one bit: PS3.5 §8.1.1.
        let map = FrameMap::Native {
            span: span(100, 6),
            frame_bits: 15,
            frames: 3,
        };
        let native = |offset, length, first_bit| {
            Some(Frame::Native {
                span: span(offset, length),
                first_bit,
                bits: 15,
            })
        };
        assert_eq!(map.frame(1), native(100, 2, 0));
        assert_eq!(map.frame(2), native(101, 3, 7));
        assert_eq!(map.frame(3), native(103, 3, 6));
        assert_eq!((map.frame(0), map.frame(4), map.len()), (None, None, 3));
    }

    #[test]
    fn encapsulated_frames_are_runs_of_fragments() {
        let mut encapsulated = Encapsulated::default();
        let frames = [
            vec![span(8, 2)],
            vec![span(18, 4), span(30, 2)],
            vec![span(40, 2)],
        ];
        for frame in &frames {
            encapsulated.push(frame);
        }
        encapsulated.push(&[]);
        assert!(encapsulated.iter().eq(frames.iter().map(Vec::as_slice)));
        let map = FrameMap::Encapsulated(encapsulated);
        assert_eq!(map.frame(2), Some(Frame::Encapsulated(&frames[1])));
        assert_eq!((map.frame(0), map.frame(4), map.len()), (None, None, 3));

        let single = Encapsulated::of_single(vec![span(8, 2), span(18, 4)]);
        assert_eq!(
            (single.get(1), single.get(2)),
            (Some(&[span(18, 4)][..]), None)
        );
    }

    #[test]
    fn one_bit_frames_begin_at_a_byte() {
        // Two frames of 12 pixels, the first all 1, the second 101010101010 from its first pixel on.
        let packed = [0xFF, 0x5F, 0x55];
        assert_eq!(shifted(&packed[..2], 0, 12), [0xFF, 0x0F]);
        assert_eq!(shifted(&packed[1..], 4, 12), [0x55, 0x05]);
        assert_eq!(shifted(&[0b1000_0000], 7, 1), [1]);
        assert_eq!(shifted(&[], 3, 0), [0u8; 0]);
        // In parts of a byte, each with the byte behind it.
        assert_eq!(shifted(&packed[1..], 4, 8), [0x55]);
        assert_eq!(shifted(&packed[2..], 4, 4), [0x05]);
    }
}
