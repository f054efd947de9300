//! The byte order of values by their VR (PS3.5 §6.2, §7.3): which bytes the retired Explicit VR Big
//! Endian turns round.

use dicom_core::VR;

/// What must be done to big endian bytes to make them little endian, and the other way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Swap {
    /// Nothing.
    No,
    /// The bytes of each word of this size are turned round.
    Words(usize),
}

impl Swap {
    /// Of a value.
    #[must_use]
    pub fn of_vr(vr: VR) -> Self {
        match vr {
            VR::OW | VR::US | VR::SS | VR::AT => Self::Words(2),
            VR::OL | VR::UL | VR::SL | VR::OF | VR::FL => Self::Words(4),
            VR::OD | VR::FD | VR::OV | VR::UV | VR::SV => Self::Words(8),
            _ => Self::No,
        }
    }

    /// Of native (7FE0,0010) Pixel Data: pixels of more than a byte by the size of a pixel, as all
    /// who write big endian have done; smaller ones by the VR (PS3.5 §8.1.1).
    #[must_use]
    pub fn of_pixels(bits_allocated: Option<u16>, vr: VR) -> Self {
        match bits_allocated {
            Some(16) => Self::Words(2),
            Some(32) => Self::Words(4),
            Some(64) => Self::Words(8),
            _ => Self::of_vr(vr),
        }
    }

    /// The bytes of a word.
    #[must_use]
    pub fn word_bytes(self) -> usize {
        match self {
            Self::No => 1,
            Self::Words(size) => size,
        }
    }

    /// Does it. A rest shorter than a word stays.
    pub fn apply(self, bytes: &mut [u8]) {
        if let Self::Words(size) = self {
            bytes.chunks_exact_mut(size).for_each(<[u8]>::reverse);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_turned_round_by_vr() {
        for (vr, expected) in [
            (VR::OW, [2, 1, 4, 3, 6, 5, 8, 7]),
            (VR::AT, [2, 1, 4, 3, 6, 5, 8, 7]),
            (VR::OF, [4, 3, 2, 1, 8, 7, 6, 5]),
            (VR::OD, [8, 7, 6, 5, 4, 3, 2, 1]),
            (VR::OB, [1, 2, 3, 4, 5, 6, 7, 8]),
            (VR::UN, [1, 2, 3, 4, 5, 6, 7, 8]),
        ] {
            let mut bytes = [1, 2, 3, 4, 5, 6, 7, 8];
            Swap::of_vr(vr).apply(&mut bytes);
            assert_eq!(bytes, expected, "{vr}");
        }
    }

    #[test]
    fn pixels_are_turned_round_by_their_size() {
        for (bits, vr, expected) in [
            (Some(1), VR::OB, Swap::No),
            (Some(1), VR::OW, Swap::Words(2)),
            (Some(8), VR::OB, Swap::No),
            (Some(8), VR::OW, Swap::Words(2)),
            (Some(16), VR::OW, Swap::Words(2)),
            (Some(32), VR::OW, Swap::Words(4)),
            (Some(64), VR::OW, Swap::Words(8)),
            (None, VR::OW, Swap::Words(2)),
        ] {
            assert_eq!(Swap::of_pixels(bits, vr), expected, "{bits:?} {vr}");
        }
    }
}
