//! The bits of a JPEG-LS scan, read and written: a byte of ones is followed by a bit of zero, so
//! that no marker arises (ISO/IEC 14495-1 §A.1, Annex C); and the limited Golomb codes (§A.5.3).

/// Codes of error values: what §A.5.3 calls `glimit` and `qbpp`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Zeros that announce a value in plain binary: `glimit - qbpp - 1`.
    pub(super) zeros: u32,
    /// Bits of such a value.
    pub(super) plain: u32,
}

/// Bits of one scan, up to its end: the next marker, or the end of the bytes. Beyond it are zeros.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    /// The next bits, the first of them the most significant.
    cache: u64,
    /// How many bits of the cache count.
    bits: u32,
    /// How many zeros from beyond the end have been handed to the cache.
    beyond: u32,
    is_after_ones: bool,
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8], at: usize) -> Self {
        Self {
            bytes,
            at,
            cache: 0,
            bits: 0,
            beyond: 0,
            is_after_ones: false,
        }
    }

    /// Not before the end of what has been read, never beyond the marker that ends the scan.
    pub(super) fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    pub(super) fn position(&self) -> usize {
        self.at
    }

    /// Whether bits from beyond the end have been read.
    pub(super) fn is_overrun(&self) -> bool {
        self.bits < self.beyond
    }

    /// At most 32 bits.
    #[inline(always)]
    pub(super) fn take(&mut self, count: u32) -> u32 {
        if self.bits < 32 {
            self.fill();
        }
        let value = (self.cache >> 1 >> (63 - count)) as u32;
        self.drop_bits(count);
        value
    }

    /// A limited Golomb code (§A.5.3) with `k` low bits; `u64::MAX` for what is none.
    #[inline(always)]
    pub(super) fn golomb(&mut self, k: u32, limits: Limits) -> u64 {
        if self.bits < 32 {
            self.fill();
        }
        let zeros = self.cache.leading_zeros();
        let length = zeros + 1 + k;
        if zeros < limits.zeros && length <= self.bits {
            let rest = self.cache << 1 << zeros;
            let low = rest >> 1 >> (63 - k);
            self.cache = rest << k;
            self.bits -= length;
            return u64::from(zeros) << k | low;
        }
        let (reader, value) = self.long_golomb(k, limits);
        *self = reader;
        value
    }

    #[inline(never)]
    fn long_golomb(mut self, k: u32, limits: Limits) -> (Self, u64) {
        self.fill();
        let zeros = self.cache.leading_zeros();
        self.drop_bits(zeros.min(limits.zeros) + 1);
        if zeros > limits.zeros {
            return (self, u64::MAX);
        }
        let value = if zeros == limits.zeros {
            u64::from(self.take(limits.plain)) + 1
        } else {
            u64::from(zeros) << k | u64::from(self.take(k))
        };
        (self, value)
    }

    #[inline(always)]
    fn drop_bits(&mut self, count: u32) {
        self.cache <<= count;
        self.bits -= count;
    }

    /// At least 57 bits afterwards.
    #[inline(always)]
    fn fill(&mut self) {
        const ONES: u64 = 0x0101_0101_0101_0101;
        if let Some(next) = self.bytes.get(self.at..).and_then(<[u8]>::first_chunk::<8>)
            && !self.is_after_ones
            && self.bits <= 56
        {
            let next = u64::from_be_bytes(*next);
            let has_byte_of_ones = ((next & (ONES * 0x7F)) + ONES) & next & (ONES * 0x80) != 0;
            if !has_byte_of_ones {
                // A byte that fits in part only is put there again, the same, with the next filling.
                self.cache |= next >> self.bits;
                let count = (63 - self.bits) / 8;
                self.at += count as usize;
                self.bits += count * 8;
                return;
            }
        }
        *self = self.fill_by_byte();
    }

    #[inline(never)]
    fn fill_by_byte(mut self) -> Self {
        while self.bits <= 56 {
            let byte = match self.bytes.get(self.at) {
                Some(0xFF) if self.bytes.get(self.at + 1).is_none_or(|next| *next > 0x7F) => None,
                byte => byte,
            };
            let Some(byte) = byte else {
                self.beyond = self.beyond.saturating_add(64 - self.bits);
                self.bits = 64;
                break;
            };
            let count = if self.is_after_ones { 7 } else { 8 };
            self.cache |= u64::from(*byte) << (64 - count - self.bits);
            self.bits += count;
            self.is_after_ones = *byte == 0xFF;
            self.at += 1;
        }
        self
    }
}

/// Writes the bits of one scan.
#[derive(Debug)]
pub(super) struct Writer {
    bytes: Vec<u8>,
    /// Bits to be written, the first of them the most significant.
    cache: u64,
    /// How many of them, less than 32 between two calls.
    bits: u32,
    is_after_ones: bool,
}

impl Writer {
    pub(super) fn new(bytes: Vec<u8>) -> Self {
        Self {
            bytes,
            cache: 0,
            bits: 0,
            is_after_ones: false,
        }
    }

    /// The low `count` bits, at most 32; bits above them are zero.
    #[inline(always)]
    pub(super) fn put(&mut self, value: u32, count: u32) {
        debug_assert!(count <= 32 && u64::from(value) < 1 << count);
        self.cache |= u64::from(value) << ((64 - self.bits - count) % 64);
        self.bits += count;
        if self.bits >= 32 {
            self.flush();
        }
    }

    /// A limited Golomb code (§A.5.3) with `k` low bits.
    #[inline(always)]
    pub(super) fn golomb(&mut self, value: u32, k: u32, limits: Limits) {
        let zeros = value >> k;
        let (zeros, rest, count) = if zeros < limits.zeros {
            (zeros, value & ((1 << k) - 1), k)
        } else {
            (limits.zeros, value - 1, limits.plain)
        };
        if zeros + 1 + count <= 32 {
            self.put(1 << count | rest, zeros + 1 + count);
        } else {
            let first = zeros.min(31);
            self.put(0, first);
            self.put(1, zeros - first + 1);
            self.put(rest, count);
        }
    }

    #[inline(always)]
    fn flush(&mut self) {
        const ONES: u32 = 0x0101_0101;
        let first = (self.cache >> 32) as u32;
        let has_byte_of_ones = ((first & (ONES * 0x7F)) + ONES) & first & (ONES * 0x80) != 0;
        if has_byte_of_ones || self.is_after_ones {
            self.flush_by_byte();
        } else {
            self.bytes.extend_from_slice(&first.to_be_bytes());
            self.cache <<= 32;
            self.bits -= 32;
        }
    }

    #[inline(never)]
    fn flush_by_byte(&mut self) {
        while self.bits >= 8 {
            self.push();
        }
    }

    fn push(&mut self) {
        let count = if self.is_after_ones { 7 } else { 8 };
        let byte = (self.cache >> (64 - count)) as u8;
        self.bytes.push(byte);
        self.cache <<= count;
        self.bits = self.bits.saturating_sub(count);
        self.is_after_ones = byte == 0xFF;
    }

    /// Fills the last byte up with zeros; one of ones is not the last.
    pub(super) fn finish(mut self) -> Vec<u8> {
        while self.bits > 0 || self.is_after_ones {
            self.push();
        }
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_of_ones_is_followed_by_seven_bits() {
        let mut writer = Writer::new(Vec::new());
        writer.put(0xFFFF, 16);
        writer.put(0b101, 3);
        writer.put(0xFF, 8);
        // Ones to the end of a byte: a byte of zeros must follow.
        assert_eq!(writer.finish(), [0xFF, 0x7F, 0b1101_1111, 0b1111_0000]);
        let mut writer = Writer::new(Vec::new());
        writer.put(0xFF, 8);
        let bytes = writer.finish();
        assert_eq!(bytes, [0xFF, 0]);

        let mut reader = Reader::new(&[0xFF, 0x7F, 0b1101_1111, 0b1111_0000], 0);
        let read = [reader.take(16), reader.take(3), reader.take(8)];
        assert_eq!(read, [0xFFFF, 0b101, 0xFF]);
        assert!(!reader.is_overrun());
        reader.take(5);
        assert!(reader.is_overrun());
    }

    #[test]
    fn a_marker_is_the_end() {
        let bytes = [[0x12; 20].as_slice(), &[0xFF, 0xD9], &[0x34; 20]].concat();
        let mut reader = Reader::new(&bytes, 0);
        for _ in 0..20 {
            assert_eq!((reader.take(8), reader.is_overrun()), (0x12, false));
        }
        assert_eq!((reader.take(1), reader.is_overrun()), (0, true));
        assert_eq!(reader.position(), 20);
    }

    #[test]
    fn golomb_codes_are_limited() {
        // A depth of 8 bits: LIMIT 32, so 23 zeros announce eight plain bits (§A.5.3).
        let limits = Limits {
            zeros: 23,
            plain: 8,
        };
        for (value, k, bits) in [
            (0, 0, "1"),
            (3, 0, "0001"),
            (9, 2, "00101"),
            (23, 0, "00000000000000000000000100010110"),
            (255, 3, "00000000000000000000000111111110"),
        ] {
            let mut writer = Writer::new(Vec::new());
            writer.golomb(value, k, limits);
            let mut wanted = Writer::new(Vec::new());
            for bit in bits.bytes() {
                wanted.put((bit - b'0').into(), 1);
            }
            let bytes = writer.finish();
            assert_eq!(bytes, wanted.finish(), "{value}");
            let mut reader = Reader::new(&bytes, 0);
            assert_eq!(reader.golomb(k, limits), u64::from(value));
        }
        assert_eq!(Reader::new(&[0; 9], 0).golomb(0, limits), u64::MAX);
    }

    #[test]
    fn whatever_is_written_is_read() {
        let mut state = 1_u32;
        for sparse in [0, 0x5555_5555, 0xFFFF_FFFF] {
            let codes: Vec<(u32, u32)> = (0..5000)
                .map(|_| {
                    state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    let count = state >> 27;
                    ((state >> 3 | sparse) & ((1 << count) - 1), count)
                })
                .collect();
            let mut writer = Writer::new(Vec::new());
            for (value, count) in &codes {
                writer.put(*value, *count);
            }
            let bytes = writer.finish();
            let mut reader = Reader::new(&bytes, 0);
            for (value, count) in &codes {
                assert_eq!(reader.take(*count), *value);
            }
            assert!(!reader.is_overrun());
        }
    }
}
