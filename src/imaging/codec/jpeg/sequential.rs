//! Sequential scans of DCT coefficients (ISO/IEC 10918-1 §F.2): each block becomes samples at once.

use super::Fault;
use super::bits::Bits;
use super::frame::{BlockDecoder, Frame, Place, Scan, ScanComponent, ZIGZAG, walk};
use super::huffman::Huffman;
use super::idct::Idct;
use super::planes::Planes;
use super::segments::Tables;

/// What a component of a scan is decoded with.
struct Slot<'a> {
    dc: &'a Huffman,
    ac: &'a Huffman,
    quantization: &'a [u16; 64],
    /// The DC coefficient of the block before.
    before: i32,
}

struct Decoder<'a> {
    slots: Vec<Slot<'a>>,
    idct: Idct,
    planes: &'a mut Planes,
}

/// Decodes a scan into `planes`; returns its bytes.
pub(super) fn decode(
    frame: &Frame,
    tables: &Tables,
    scan: &Scan,
    data: &[u8],
    planes: &mut Planes,
) -> Result<usize, Fault> {
    let slot = |listed: &ScanComponent| {
        Ok(Slot {
            dc: tables.dc(listed.dc)?,
            ac: tables.ac(listed.ac)?,
            quantization: tables.quantization(frame.components[listed.place].table)?,
            before: 0,
        })
    };
    let mut decoder = Decoder {
        slots: scan
            .components
            .iter()
            .map(slot)
            .collect::<Result<_, Fault>>()?,
        idct: Idct::new(frame.bits),
        planes,
    };
    let mut bits = Bits::new(data);
    walk(
        frame,
        scan,
        tables.restart_interval,
        &mut bits,
        &mut decoder,
    )?;
    Ok(bits.end())
}

impl BlockDecoder for Decoder<'_> {
    fn block(&mut self, bits: &mut Bits, place: Place) -> Result<(), Fault> {
        let slot = &mut self.slots[place.slot];
        slot.before = slot.before.wrapping_add(difference(slot.dc, bits)?);
        // Coefficients have 16 bits at the most, products with their steps 32.
        let first = i32::from(slot.before as i16) * i32::from(slot.quantization[0]);
        let mut block = [0; 64];
        let is_flat = !slot.coefficients(bits, &mut block)?;
        let (samples, stride) = self.planes.block(place);
        if is_flat {
            self.idct.flat(first, samples, stride);
        } else {
            block[0] = first;
            self.idct.block(&block, samples, stride);
        }
        Ok(())
    }

    fn restart(&mut self) {
        for slot in &mut self.slots {
            slot.before = 0;
        }
    }
}

/// DIFF (§F.2.2.1).
#[inline(always)]
pub(super) fn difference(table: &Huffman, bits: &mut Bits) -> Result<i32, Fault> {
    bits.fill();
    match table.decode(bits)? {
        0 => Ok(0),
        category @ 1..=15 => Ok(bits.receive_extended(category.into())),
        _ => Err(Fault::Malformed("a DC coefficient of a JPEG scan")),
    }
}

impl Slot<'_> {
    /// The AC coefficients (§F.2.2.2), dequantized; whether there are any.
    #[inline(always)]
    fn coefficients(&self, bits: &mut Bits, block: &mut [i32; 64]) -> Result<bool, Fault> {
        let mut at = 1;
        while at < 64 {
            bits.fill();
            let symbol = self.ac.decode(bits)?;
            let (run, category) = (usize::from(symbol >> 4), u32::from(symbol & 15));
            if category == 0 {
                if run < 15 {
                    break;
                }
                at += 16;
                continue;
            }
            at += run;
            let Some(place) = ZIGZAG.get(at) else {
                return Err(Fault::Malformed("an AC coefficient of a JPEG scan"));
            };
            let place = usize::from(*place);
            block[place] = bits.receive_extended(category) * i32::from(self.quantization[place]);
            at += 1;
        }
        Ok(at > 1)
    }
}
