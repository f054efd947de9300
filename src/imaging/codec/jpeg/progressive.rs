//! Progressive scans of DCT coefficients (ISO/IEC 10918-1 Annex G): coefficients are gathered from all
//! scans, then become samples.
//!
//! Each bit of a coefficient comes once and in its order, and there are [`SCANS_MAX`] scans at the
//! most: a scan of a few bytes may visit every block, so their number bounds the work. What writers
//! make has about ten.

use super::Fault;
use super::bits::Bits;
use super::frame::{BlockDecoder, Component, Frame, Place, Scan, ZIGZAG, walk};
use super::huffman::Huffman;
use super::idct::Idct;
use super::planes::Planes;
use super::segments::Tables;
use super::sequential::difference;

/// The most scans of a frame.
pub(super) const SCANS_MAX: u32 = 64;

/// The largest point transform (§G.1.1.1.2).
const POINT_MAX: u8 = 13;

pub(super) struct Progressive {
    components: Vec<Coefficients>,
    scans: u32,
}

struct Coefficients {
    /// By blocks, those of the padding included; each by rows.
    blocks: Vec<[i16; 64]>,
    blocks_wide: usize,
    /// Of each coefficient in its order of coding, the lowest bit that has come.
    lowest: [Option<u8>; 64],
    /// The table that was in force at its first scan.
    quantization: Option<[u16; 64]>,
}

impl Progressive {
    pub(super) fn new(frame: &Frame) -> Self {
        let coefficients = |component: &Component| {
            let blocks_wide = component.blocks_wide as usize;
            Coefficients {
                blocks: vec![[0; 64]; blocks_wide * component.blocks_high as usize],
                blocks_wide,
                lowest: [None; 64],
                quantization: None,
            }
        };
        Self {
            components: frame.components.iter().map(coefficients).collect(),
            scans: 0,
        }
    }

    /// Decodes a scan; returns its bytes.
    pub(super) fn decode(
        &mut self,
        frame: &Frame,
        tables: &Tables,
        scan: &Scan,
        data: &[u8],
    ) -> Result<usize, Fault> {
        self.scans += 1;
        if self.scans > SCANS_MAX {
            return Err(Fault::Unsupported("a JPEG frame of so many scans"));
        }
        let is_dc = scan.first == 0;
        let is_ordered = scan.first <= scan.last && scan.last < 64;
        if !is_ordered || (is_dc && scan.last != 0) || (!is_dc && scan.components.len() > 1) {
            return Err(Fault::Malformed("the spectral selection of a JPEG scan"));
        }
        let mut slots = Vec::with_capacity(scan.components.len());
        for listed in &scan.components {
            let coefficients = &mut self.components[listed.place];
            coefficients.approximate(scan)?;
            if coefficients.quantization.is_none() {
                let table = frame.components[listed.place].table;
                coefficients.quantization = Some(*tables.quantization(table)?);
            }
            let table = match (is_dc, scan.high) {
                (true, 0) => Some(tables.dc(listed.dc)?),
                (true, _) => None,
                (false, _) => Some(tables.ac(listed.ac)?),
            };
            slots.push(Slot { table, before: 0 });
        }
        let mut decoder = Decoder {
            components: &mut self.components,
            slots,
            first: scan.first.into(),
            last: scan.last.into(),
            is_refining: scan.high > 0,
            low: scan.low.into(),
            ended: 0,
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

    /// Whether every bit of every coefficient has come.
    pub(super) fn is_complete(&self) -> bool {
        self.components
            .iter()
            .all(|component| component.lowest == [Some(0); 64])
    }

    /// The samples of all blocks.
    pub(super) fn planes(&self, frame: &Frame) -> Planes {
        let mut planes = Planes::new(frame);
        let idct = Idct::new(frame.bits);
        for (component, coefficients) in self.components.iter().enumerate() {
            let steps = coefficients.quantization.unwrap_or([0; 64]);
            for (at, block) in coefficients.blocks.iter().enumerate() {
                let (samples, stride) = planes.block(Place {
                    slot: 0,
                    component,
                    column: (at % coefficients.blocks_wide) as u32,
                    row: (at / coefficients.blocks_wide) as u32,
                });
                let product = |place: usize| i32::from(block[place]) * i32::from(steps[place]);
                if block[1..] == [0; 63] {
                    idct.flat(product(0), samples, stride);
                } else {
                    idct.block(&std::array::from_fn(product), samples, stride);
                }
            }
        }
        planes
    }
}

impl Coefficients {
    /// Notes which bits a scan brings (§G.1.1.1).
    fn approximate(&mut self, scan: &Scan) -> Result<(), Fault> {
        let before = (scan.high > 0).then_some(scan.high);
        let is_next = before.is_none_or(|before| before == scan.low + 1);
        let band = &mut self.lowest[usize::from(scan.first)..=usize::from(scan.last)];
        if scan.low > POINT_MAX || !is_next || band.iter().any(|lowest| *lowest != before) {
            return Err(Fault::Malformed(
                "the successive approximation of a JPEG scan",
            ));
        }
        band.fill(Some(scan.low));
        Ok(())
    }
}

/// What a component of a scan is decoded with.
struct Slot<'a> {
    /// None where bits come as they are.
    table: Option<&'a Huffman>,
    /// The DC coefficient of the block before.
    before: i32,
}

struct Decoder<'a> {
    components: &'a mut [Coefficients],
    slots: Vec<Slot<'a>>,
    first: usize,
    last: usize,
    is_refining: bool,
    low: u32,
    /// Blocks to come whose bands have ended: EOBRUN.
    ended: u32,
}

impl BlockDecoder for Decoder<'_> {
    fn block(&mut self, bits: &mut Bits, place: Place) -> Result<(), Fault> {
        let coefficients = &mut self.components[place.component];
        let at = place.row as usize * coefficients.blocks_wide + place.column as usize;
        let block = &mut coefficients.blocks[at];
        let slot = &mut self.slots[place.slot];
        match (slot.table, self.first, self.is_refining) {
            (None, ..) => {
                block[0] |= i16::from(bits.bit()) << self.low;
                Ok(())
            }
            (Some(table), 0, _) => {
                slot.before = slot.before.wrapping_add(difference(table, bits)?);
                block[0] = (slot.before as i16) << self.low;
                Ok(())
            }
            (Some(table), _, false) => self.band(table, bits, place.component, at),
            (Some(table), _, true) => self.refined_band(table, bits, place.component, at),
        }
    }

    fn restart(&mut self) {
        self.ended = 0;
        for slot in &mut self.slots {
            slot.before = 0;
        }
    }
}

impl Decoder<'_> {
    /// A run of blocks whose bands have ended, this one included (§G.1.2.2).
    fn ended(bits: &mut Bits, run: u32) -> u32 {
        (1 << run) + if run > 0 { bits.receive(run) as u32 } else { 0 }
    }

    /// The first scan of a band (§G.1.2.2).
    fn band(
        &mut self,
        table: &Huffman,
        bits: &mut Bits,
        component: usize,
        at: usize,
    ) -> Result<(), Fault> {
        if self.ended > 0 {
            self.ended -= 1;
            return Ok(());
        }
        let block = &mut self.components[component].blocks[at];
        let mut at = self.first;
        while at <= self.last {
            bits.fill();
            let symbol = table.decode(bits)?;
            let (run, category) = (symbol >> 4, u32::from(symbol & 15));
            match (run, category) {
                (15, 0) => at += 16,
                (_, 0) => {
                    self.ended = Self::ended(bits, run.into()) - 1;
                    break;
                }
                _ => {
                    at += usize::from(run);
                    let Some(place) = ZIGZAG.get(at) else {
                        return Err(Fault::Malformed("an AC coefficient of a JPEG scan"));
                    };
                    block[usize::from(*place)] =
                        (bits.receive_extended(category) as i16) << self.low;
                    at += 1;
                }
            }
        }
        Ok(())
    }

    /// A later scan of a band (§G.1.2.3): one more bit of coefficients that are not zero yet, and those
    /// that become so.
    fn refined_band(
        &mut self,
        table: &Huffman,
        bits: &mut Bits,
        component: usize,
        at: usize,
    ) -> Result<(), Fault> {
        let block = &mut self.components[component].blocks[at];
        let one = 1_i16 << self.low;
        let mut at = self.first;
        if self.ended == 0 {
            while at <= self.last {
                bits.fill();
                let symbol = table.decode(bits)?;
                let run = symbol >> 4;
                let value = match symbol & 15 {
                    0 if run < 15 => {
                        self.ended = Self::ended(bits, run.into());
                        break;
                    }
                    0 => 0,
                    1 if bits.bit() => one,
                    1 => -one,
                    _ => return Err(Fault::Malformed("an AC coefficient of a JPEG scan")),
                };
                at = refine(block, bits, at..=self.last, one, Some(run));
                if value != 0 {
                    if at > self.last {
                        return Err(Fault::Malformed("an AC coefficient of a JPEG scan"));
                    }
                    block[usize::from(ZIGZAG[at])] = value;
                }
                at += 1;
            }
        }
        if self.ended > 0 {
            refine(block, bits, at..=self.last, one, None);
            self.ended -= 1;
        }
        Ok(())
    }
}

/// Adds a bit to each coefficient that is not zero, up to the zero after `zeros` others, or to the end;
/// returns where that is.
fn refine(
    block: &mut [i16; 64],
    bits: &mut Bits,
    band: std::ops::RangeInclusive<usize>,
    one: i16,
    zeros: Option<u8>,
) -> usize {
    let (start, last) = band.into_inner();
    let mut zeros = zeros;
    for at in start..=last {
        let coefficient = &mut block[usize::from(ZIGZAG[at])];
        if *coefficient == 0 {
            match &mut zeros {
                Some(0) => return at,
                Some(left) => *left -= 1,
                None => {}
            }
        } else if bits.bit() && *coefficient & one == 0 {
            *coefficient = coefficient.wrapping_add(if *coefficient > 0 { one } else { -one });
        }
    }
    last + 1
}
