//! Huffman tables (ISO/IEC 10918-1 §B.2.4.2, Annex C, §F.2.2.3), looked up by the first bits.

use super::Fault;
use super::bits::{Bits, extend};

/// Codes of so many bits or fewer are found at once.
const LOOKUP_BITS: u32 = 9;

#[derive(Clone)]
pub(super) struct Huffman {
    /// By the next [`LOOKUP_BITS`]: the length of the code and its symbol, or 0 for a longer code.
    lookup: [u16; 1 << LOOKUP_BITS],
    /// By length: the first code beyond those of this length and shorter ones, as 16 bits from the top.
    ends: [u32; 17],
    /// By length: what to add to a code to have the place of its symbol.
    places: [i32; 17],
    symbols: [u8; 256],
}

impl Huffman {
    /// By how many codes there are of each length from 1 to 16, and the symbols in that order.
    ///
    /// # Errors
    /// [`Fault::Malformed`] when there are more codes than their lengths allow.
    pub(super) fn new(counts: &[u8; 16], listed: &[u8]) -> Result<Self, Fault> {
        const FAULT: Fault = Fault::Malformed("a Huffman table of a JPEG stream");
        let mut table = Self {
            lookup: [0; 1 << LOOKUP_BITS],
            ends: [0; 17],
            places: [0; 17],
            symbols: [0; 256],
        };
        table
            .symbols
            .get_mut(..listed.len())
            .ok_or(FAULT)?
            .copy_from_slice(listed);
        let (mut code, mut place) = (0_u32, 0_usize);
        for (length, count) in (1_u32..).zip(counts) {
            table.places[length as usize] = place as i32 - code as i32;
            for _ in 0..*count {
                let symbol = *listed.get(place).ok_or(FAULT)?;
                if code >> length != 0 {
                    return Err(FAULT);
                }
                if length <= LOOKUP_BITS {
                    let first = (code << (LOOKUP_BITS - length)) as usize;
                    let same = 1 << (LOOKUP_BITS - length);
                    table.lookup[first..first + same]
                        .fill((length as u16) << 8 | u16::from(symbol));
                }
                code += 1;
                place += 1;
            }
            table.ends[length as usize] = code << (16 - length);
            code <<= 1;
        }
        Ok(table)
    }

    /// The next symbol; bits are filled up before.
    ///
    /// # Errors
    /// When no code begins so.
    #[inline(always)]
    pub(super) fn decode(&self, bits: &mut Bits) -> Result<u8, Fault> {
        let found = self.lookup[bits.peek(LOOKUP_BITS) as usize];
        if found != 0 {
            bits.skip(u32::from(found >> 8));
            return Ok(found as u8);
        }
        self.decode_long(bits)
    }

    #[cold]
    fn decode_long(&self, bits: &mut Bits) -> Result<u8, Fault> {
        let next = bits.peek(16);
        for length in LOOKUP_BITS + 1..=16 {
            if next < self.ends[length as usize] {
                let code = (next >> (16 - length)) as i32;
                bits.skip(length);
                return Ok(self.symbols[(code + self.places[length as usize]) as usize & 255]);
            }
        }
        if bits.is_short() {
            return Err(Fault::CutOff);
        }
        Err(Fault::Malformed("a Huffman code of a JPEG scan"))
    }
}

/// Differences of a lossless scan (§H.1.2.2) by the next bits, code and value at once: most are short.
pub(super) struct Differences<'a> {
    table: &'a Huffman,
    /// The difference and the bits that it takes; 0 where these do not suffice.
    lookup: Vec<(i16, u16)>,
}

const DIFFERENCE_BITS: u32 = 12;

impl<'a> Differences<'a> {
    pub(super) fn new(table: &'a Huffman) -> Self {
        let entry = |next: u32| {
            let found = table.lookup[(next >> (DIFFERENCE_BITS - LOOKUP_BITS)) as usize];
            let (length, category) = (u32::from(found >> 8), u32::from(found & 0xFF));
            let taken = length + category;
            match (length, category) {
                (0, _) => (0, 0),
                (_, 0) => (0, length as u16),
                _ if taken > DIFFERENCE_BITS => (0, 0),
                _ => {
                    let value = next >> (DIFFERENCE_BITS - taken) & ((1 << category) - 1);
                    (extend(value as i32, category) as i16, taken as u16)
                }
            }
        };
        Self {
            table,
            lookup: (0..1 << DIFFERENCE_BITS).map(entry).collect(),
        }
    }

    /// The next difference, modulo 2^16.
    #[inline(always)]
    pub(super) fn decode(&self, bits: &mut Bits) -> Result<u16, Fault> {
        bits.fill();
        let (difference, taken) = self.lookup[bits.peek(DIFFERENCE_BITS) as usize];
        if taken != 0 {
            bits.skip(u32::from(taken));
            return Ok(difference as u16);
        }
        match self.table.decode(bits)? {
            0 => Ok(0),
            category @ 1..=15 => Ok(bits.receive_extended(category.into()) as u16),
            // No bits follow (§H.1.2.2).
            16 => Ok(1 << 15),
            _ => Err(Fault::Malformed("a difference of a JPEG scan")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Codes 0, 10, 110 and one of ten bits, 1110000000, for the symbols 5, 0, 1, 16.
    fn table() -> Huffman {
        Huffman::new(
            &[1, 1, 1, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0],
            &[5, 0, 1, 16],
        )
        .unwrap()
    }

    #[test]
    fn codes_of_every_length_are_found() {
        let data = [0b0101_1011, 0b1000_0000, 0b1111_1111, 0, 0xFF, 0];
        let (mut bits, table) = (Bits::new(&data), table());
        let symbols: Vec<_> = (0..5)
            .map(|_| {
                bits.fill();
                table.decode(&mut bits)
            })
            .collect();
        assert_eq!(symbols[..4], [Ok(5), Ok(0), Ok(1), Ok(16)]);
        assert_eq!(
            symbols[4],
            Err(Fault::Malformed("a Huffman code of a JPEG scan"))
        );
    }

    #[test]
    fn differences_are_those_of_table_h_2() {
        // 0 11010 → 26; 10 → 0; 110 0 → -1; 1110000000 → 32768; 0 00001 → -30.
        let data = [0b0110_1010, 0b1100_1110, 0, 0b0001_0000];
        let (mut bits, table) = (Bits::new(&data), table());
        let differences = Differences::new(&table);
        let read: Vec<_> = (0..5)
            .map(|_| differences.decode(&mut bits).unwrap())
            .collect();
        assert_eq!(read, [26, 0, 0xFFFF, 0x8000, 0xFFE2]);
    }

    #[test]
    fn more_codes_than_fit_are_refused() {
        assert!(Huffman::new(&[2; 16], &[0; 32]).is_err());
        assert!(Huffman::new(&[0, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], &[0; 5]).is_err());
        assert!(Huffman::new(&[1; 16], &[0; 15]).is_err());
        assert!(Huffman::new(&[0; 16], &[0; 257]).is_err());
    }
}
