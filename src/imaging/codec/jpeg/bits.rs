//! The entropy-coded bits of a scan (ISO/IEC 10918-1 §F.2.2.5): byte stuffing taken out, never read
//! past a marker.
//!
//! Bits that are not there read as zeros and are counted: decoders ask [`Bits::check`] once for each
//! block or row, not once for each bit.

use super::Fault;

pub(super) struct Bits<'a> {
    data: &'a [u8],
    /// The next byte to take: one of the data, the 0xFF of a marker, or the end.
    at: usize,
    /// Bits at hand, the next one on top.
    held: u64,
    /// How many they are; below zero, how many were taken that were not there.
    count: i32,
}

/// What one [`Bits::fill`] promises, as far as there is data.
const FILLED: i32 = 32;

impl<'a> Bits<'a> {
    pub(super) fn new(data: &'a [u8]) -> Self {
        Self {
            data,
            at: 0,
            held: 0,
            count: 0,
        }
    }

    /// Has at least 32 bits at hand: a code and what follows it.
    #[inline(always)]
    pub(super) fn fill(&mut self) {
        if self.count >= FILLED {
            return;
        }
        if let Some(chunk) = self.data[self.at..].first_chunk::<8>() {
            let word = u64::from_be_bytes(*chunk);
            if !has_ff(word) {
                // Bits beyond `count` are those of the byte that is taken next, so they may stay.
                self.held |= word >> self.count;
                let bytes = (63 - self.count) / 8;
                self.at += bytes as usize;
                self.count += bytes * 8;
                return;
            }
        }
        self.fill_slowly();
    }

    #[cold]
    fn fill_slowly(&mut self) {
        while self.count <= 56 {
            let (byte, taken) = match self.data[self.at..] {
                [0xFF, 0, ..] => (0xFF, 2),
                [0xFF, ..] | [] => return,
                [byte, ..] => (byte, 1),
            };
            self.held |= u64::from(byte) << (56 - self.count);
            self.at += taken;
            self.count += 8;
        }
    }

    /// The next bits, 1 to 16, left where they are.
    #[inline(always)]
    pub(super) fn peek(&self, count: u32) -> u32 {
        (self.held >> (64 - count)) as u32
    }

    /// Steps over at most 32 bits.
    #[inline(always)]
    pub(super) fn skip(&mut self, count: u32) {
        self.held <<= count;
        self.count -= count as i32;
    }

    /// RECEIVE (§F.2.2.4) of 1 to 16 bits.
    #[inline(always)]
    pub(super) fn receive(&mut self, count: u32) -> i32 {
        let value = self.peek(count);
        self.skip(count);
        value as i32
    }

    /// RECEIVE and EXTEND (§F.2.2.1) of 1 to 15 bits.
    #[inline(always)]
    pub(super) fn receive_extended(&mut self, count: u32) -> i32 {
        extend(self.receive(count), count)
    }

    /// One bit, filling up on its own.
    #[inline(always)]
    pub(super) fn bit(&mut self) -> bool {
        self.fill();
        self.receive(1) == 1
    }

    /// Whether fewer bits are at hand than a code may have: the data nears its end.
    pub(super) fn is_short(&self) -> bool {
        self.count < 16
    }

    /// # Errors
    /// [`Fault::CutOff`] when bits were taken that are not there.
    #[inline(always)]
    pub(super) fn check(&self) -> Result<(), Fault> {
        if self.count < 0 {
            return Err(Fault::CutOff);
        }
        Ok(())
    }

    /// Steps over a restart marker (§F.2.1.3.1). Data that is left before it, or another number, tell
    /// that something was lost: then there is no picture, rather than one with a shifted part.
    pub(super) fn restart(&mut self, number: u8) -> Result<(), Fault> {
        self.check()?;
        let fills = self.data[self.at..]
            .iter()
            .take_while(|byte| **byte == 0xFF)
            .count();
        let marker = *self.data.get(self.at + fills).ok_or(Fault::CutOff)?;
        if self.count >= 8 || fills == 0 || marker != 0xD0 + number {
            return Err(Fault::Malformed("a restart interval of a JPEG scan"));
        }
        self.at += fills + 1;
        self.held = 0;
        self.count = 0;
        Ok(())
    }

    /// Where the first marker from here on begins, or the end. Bits that were filled in ahead come
    /// before it: filling stops at a marker.
    pub(super) fn end(&self) -> usize {
        let mut at = self.at;
        while let Some(next) = memchr::memchr(0xFF, &self.data[at..]) {
            at += next;
            match self.data.get(at + 1) {
                Some(0) => at += 2,
                Some(0xFF) => at += 1,
                _ => return at,
            }
        }
        self.data.len()
    }
}

/// EXTEND (§F.2.2.1, Table F.1): the number that the bits of a category stand for.
#[inline(always)]
pub(super) fn extend(value: i32, count: u32) -> i32 {
    if value < 1 << (count - 1) {
        value - (1 << count) + 1
    } else {
        value
    }
}

/// Whether one of the eight bytes is 0xFF.
fn has_ff(word: u64) -> bool {
    const LOW: u64 = 0x0101_0101_0101_0101;
    let inverted = !word;
    inverted.wrapping_sub(LOW) & word & (LOW << 7) != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stuffing_is_taken_out_and_markers_are_not_passed() {
        let mut data = vec![0x12, 0xFF, 0x00, 0x34];
        data.extend([0x56; 9]);
        data.extend([0xFF, 0xFF, 0xD3, 0x80, 0xFF, 0xD9]);
        let mut bits = Bits::new(&data);
        let mut read = Vec::new();
        for _ in 0..12 {
            bits.fill();
            read.push(bits.receive(8));
        }
        assert_eq!(read[..4], [0x12, 0xFF, 0x34, 0x56]);
        assert_eq!(bits.check(), Ok(()));
        assert_eq!(
            bits.restart(2),
            Err(Fault::Malformed("a restart interval of a JPEG scan"))
        );
        assert_eq!(bits.restart(3), Ok(()));
        assert!(bits.bit());
        assert_eq!(bits.end(), data.len() - 2);
        for _ in 0..7 {
            assert!(!bits.bit());
        }
        assert_eq!(bits.check(), Ok(()));
        assert!(!bits.bit());
        assert_eq!(bits.check(), Err(Fault::CutOff));
    }

    #[test]
    fn a_byte_of_ones_is_found_wherever_it_stands() {
        for place in 0..8 {
            assert!(has_ff(0xFF << (8 * place)));
            assert!(has_ff(0xFEFE_FEFE_FEFE_FEFE | 0xFF << (8 * place)));
        }
        for word in [0, 0xFEFE_FEFE_FEFE_FEFE, 0x7F80_7F80_7F80_7F80, 0x0FF0] {
            assert!(!has_ff(word), "{word:x}");
        }
    }

    #[test]
    fn categories_extend_as_in_table_f_1() {
        assert_eq!([extend(0, 1), extend(1, 1)], [-1, 1]);
        assert_eq!(
            [extend(0, 3), extend(3, 3), extend(4, 3), extend(7, 3)],
            [-7, -4, 4, 7]
        );
    }
}
