//! Bits of a header, most or least significant first. Reading past the end is an error.

use super::Fault;

/// Bits from the most significant of each byte on (video: ISO/IEC 14496-10 §7.2).
pub(super) struct Msb<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Msb<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    pub(super) fn bit(&mut self) -> Result<bool, Fault> {
        let byte = self.bytes.get(self.at / 8).ok_or(Fault::CutOff)?;
        let bit = byte >> (7 - self.at % 8) & 1;
        self.at += 1;
        Ok(bit == 1)
    }

    /// At most 32 bits.
    pub(super) fn bits(&mut self, count: u32) -> Result<u32, Fault> {
        (0..count).try_fold(0_u32, |value, _| Ok(value << 1 | u32::from(self.bit()?)))
    }

    pub(super) fn skip(&mut self, count: usize) -> Result<(), Fault> {
        self.at = self.at.saturating_add(count);
        if self.at > self.bytes.len().saturating_mul(8) {
            return Err(Fault::CutOff);
        }
        Ok(())
    }

    /// An unsigned Exp-Golomb number (§9.1).
    pub(super) fn golomb(&mut self) -> Result<u32, Fault> {
        let mut zeros = 0;
        while !self.bit()? {
            zeros += 1;
            if zeros > 31 {
                return Err(Fault::Malformed("a number of a video header"));
            }
        }
        let rest = self.bits(zeros)?;
        Ok((1_u32 << zeros) - 1 + rest)
    }

    /// A signed Exp-Golomb number, read past.
    pub(super) fn skip_golomb(&mut self) -> Result<(), Fault> {
        self.golomb().map(drop)
    }
}

/// Bits from the least significant of each byte on (ISO/IEC 18181-1 §B.2).
pub(super) struct Lsb<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Lsb<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    pub(super) fn is_set(&mut self) -> Result<bool, Fault> {
        Ok(self.bits(1)? == 1)
    }

    /// At most 32 bits.
    pub(super) fn bits(&mut self, count: u32) -> Result<u32, Fault> {
        let mut value = 0_u32;
        for place in 0..count {
            let byte = self.bytes.get(self.at / 8).ok_or(Fault::CutOff)?;
            value |= u32::from(byte >> (self.at % 8) & 1) << place;
            self.at += 1;
        }
        Ok(value)
    }

    /// One of four distributions (§B.2.2), each an offset and a number of bits.
    pub(super) fn number(&mut self, distributions: [(u32, u32); 4]) -> Result<u32, Fault> {
        let (offset, count) = distributions[self.bits(2)? as usize];
        Ok(offset.saturating_add(self.bits(count)?))
    }
}

/// A unit of an H.264 or H.265 stream without the bytes that only keep start codes unique
/// (ISO/IEC 14496-10 §7.4.1).
pub(super) fn without_emulation(unit: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(unit.len());
    let mut zeros = 0;
    for byte in unit {
        if zeros >= 2 && *byte == 3 {
            zeros = 0;
            continue;
        }
        zeros = if *byte == 0 { zeros + 1 } else { 0 };
        plain.push(*byte);
    }
    plain
}

/// The units between the start codes of a byte stream (ISO/IEC 14496-10 Annex B).
pub(super) fn units(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut starts = memchr::memmem::find_iter(bytes, &[0, 0, 1])
        .map(|at| at + 3)
        .peekable();
    std::iter::from_fn(move || {
        let start = starts.next()?;
        let end = starts.peek().map_or(bytes.len(), |next| next - 3);
        bytes.get(start..end)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_from_both_ends_of_a_byte() {
        let mut msb = Msb::new(&[0b1010_0110, 0b0100_0000]);
        // 1 → 0; 010 → 1; 011 → 2; 00100 → 3 (ISO/IEC 14496-10 Table 9-2).
        let read = [msb.golomb(), msb.golomb(), msb.golomb(), msb.golomb()];
        assert_eq!(read, [Ok(0), Ok(1), Ok(2), Ok(3)]);
        let mut lsb = Lsb::new(&[0b1110_0101]);
        assert_eq!((lsb.bits(3), lsb.is_set()), (Ok(5), Ok(false)));
        assert_eq!(lsb.bits(5), Err(Fault::CutOff));
        assert!(Msb::new(&[0; 9]).golomb().is_err());
    }

    #[test]
    fn units_lose_their_start_codes_and_emulation() {
        let stream = [9, 0, 0, 0, 1, 7, 0, 0, 3, 1, 0, 0, 1, 8];
        let found: Vec<_> = units(&stream).map(without_emulation).collect();
        assert_eq!(found, [vec![7, 0, 0, 1], vec![8]]);
    }
}
