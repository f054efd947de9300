//! The frame map in few bytes, for the index: a version, then numbers of seven bits a byte. A
//! native map takes about 15 bytes, a frame of one fragment about four.

use super::{Encapsulated, FrameMap, Span};

/// The kinds of map. The number is the version too: a new layout gets a new one.
const NONE: u8 = 0x10;
const NATIVE: u8 = 0x11;
/// A number of frames, then a fragment for each.
const SINGLE: u8 = 0x12;
/// A number of frames, then for each a number of fragments and these.
const FRAGMENTED: u8 = 0x13;

impl FrameMap {
    /// Packs the map.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        match self {
            Self::None => out.push(NONE),
            Self::Native {
                span,
                frame_bits,
                frames,
            } => {
                out.push(NATIVE);
                for number in [span.offset, span.length, *frame_bits, u64::from(*frames)] {
                    push(&mut out, number);
                }
            }
            Self::Encapsulated(encapsulated) => {
                let is_single = encapsulated.ends.is_empty();
                out.push(if is_single { SINGLE } else { FRAGMENTED });
                push(&mut out, encapsulated.len() as u64);
                let mut end = 0;
                for frame in encapsulated.iter() {
                    if !is_single {
                        push(&mut out, frame.len() as u64);
                    }
                    for fragment in frame {
                        // Backwards is rare, and costs a long number instead of a sign.
                        push(&mut out, fragment.offset.wrapping_sub(end));
                        push(&mut out, fragment.length);
                        end = fragment.offset.wrapping_add(fragment.length);
                    }
                }
            }
        }
        out
    }

    /// Unpacks a map. `None` when the bytes are no map of a version we know; memory is bounded by
    /// their number whatever they say.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (kind, mut rest) = bytes.split_first()?;
        let rest = &mut rest;
        let map = match *kind {
            NONE => Self::None,
            NATIVE => {
                let span = Span {
                    offset: take(rest)?,
                    length: take(rest)?,
                };
                let frame_bits = take(rest)?;
                let frames = u32::try_from(take(rest)?).ok()?;
                Self::Native {
                    span,
                    frame_bits,
                    frames,
                }
            }
            SINGLE | FRAGMENTED => Self::Encapsulated(frames(rest, *kind == SINGLE)?),
            _ => return None,
        };
        rest.is_empty().then_some(map)
    }
}

fn frames(rest: &mut &[u8], is_single: bool) -> Option<Encapsulated> {
    // A fragment is two bytes at least, so there are never more of them than half the bytes.
    let bound =
        |count: u64, rest: &[u8]| usize::try_from(count).ok().filter(|c| *c <= rest.len() / 2);
    let count = bound(take(rest)?, rest)?;
    let mut all = Encapsulated::default();
    all.fragments.reserve(count);
    if !is_single {
        all.ends.reserve(count);
    }
    let mut end: u64 = 0;
    for _ in 0..count {
        let fragments = if is_single {
            1
        } else {
            bound(take(rest)?, rest).filter(|c| *c > 0)?
        };
        for _ in 0..fragments {
            let (offset, length) = (end.wrapping_add(take(rest)?), take(rest)?);
            all.fragments.push(Span { offset, length });
            end = offset.wrapping_add(length);
        }
        if !is_single {
            all.ends.push(u32::try_from(all.fragments.len()).ok()?);
        }
    }
    Some(all)
}

/// Seven bits a byte, least significant first, the high bit says that more follow.
fn push(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn take(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let (byte, after) = rest.split_first()?;
        *rest = after;
        let bits = u64::from(byte & 0x7F);
        if bits << shift >> shift != bits {
            return None;
        }
        number |= bits << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(map: &FrameMap, bytes: usize) {
        let encoded = map.encode();
        assert_eq!(FrameMap::decode(&encoded).as_ref(), Some(map));
        assert!(encoded.len() <= bytes, "{} bytes", encoded.len());
        assert_eq!(FrameMap::decode(&encoded[..encoded.len() - 1]), None);
        assert_eq!(FrameMap::decode(&[&encoded[..], &[0]].concat()), None);
    }

    #[test]
    fn what_is_packed_comes_back_and_is_small() {
        check(&FrameMap::None, 1);
        let span = Span {
            offset: 5_000_000_000,
            length: 60_000_000_000,
        };
        check(
            &FrameMap::Native {
                span,
                frame_bits: 1 << 24,
                frames: 30_000,
            },
            20,
        );
        let fragments = (0..1000).map(|i| Span {
            offset: 1000 + i * 30_008,
            length: 30_000,
        });
        let single = Encapsulated::of_single(fragments.clone().collect());
        check(&FrameMap::Encapsulated(single), 4 * 1000 + 8);
        let mut several = Encapsulated::default();
        let fragments: Vec<_> = fragments.collect();
        several.push(&fragments[..1]);
        several.push(&fragments[1..400]);
        // Frames may lie in any order under an extended offset table.
        several.push(&fragments[900..]);
        several.push(&fragments[400..900]);
        check(&FrameMap::Encapsulated(several), 4 * 1000 + 40);
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_map_or_none(bytes in proptest::collection::vec(any::<u8>(), 0..64), kind in 0x0F_u8..0x15) {
            let bytes = [&[kind], &bytes[..]].concat();
            if let Some(map) = FrameMap::decode(&bytes) {
                prop_assert_eq!(FrameMap::decode(&map.encode()), Some(map.clone()));
                prop_assert!(map.frame(map.len().saturating_add(1)).is_none());
            }
        }
    }
}
