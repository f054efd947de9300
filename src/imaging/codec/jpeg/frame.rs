//! Frame and scan headers (ISO/IEC 10918-1 §B.2.2, §B.2.3) and the order of blocks in a scan (§A.2).

use super::Fault;
use super::bits::Bits;

/// The place by rows of each coefficient in the order of its coding (Figure A.6).
pub(in crate::imaging) const ZIGZAG: [u8; 64] = [
    0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20,
    13, 6, 7, 14, 21, 28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59,
    52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63,
];

/// How a frame is coded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Process {
    /// SOF0, SOF1.
    Sequential,
    /// SOF2.
    Progressive,
    /// SOF3.
    Lossless,
}

#[derive(Debug, Clone)]
pub(super) struct Frame {
    pub(super) process: Process,
    pub(super) bits: u8,
    pub(super) rows: u32,
    pub(super) columns: u32,
    /// One or three.
    pub(super) components: Vec<Component>,
    /// The largest sampling factors.
    pub(super) horizontal: u32,
    pub(super) vertical: u32,
}

#[derive(Debug, Clone)]
pub(super) struct Component {
    pub(super) id: u8,
    /// Sampling factors, 1 to 4.
    pub(super) horizontal: u32,
    pub(super) vertical: u32,
    /// Where its quantization table is.
    pub(super) table: u8,
    /// Its own samples (§A.1.1).
    pub(super) columns: u32,
    pub(super) rows: u32,
    /// Blocks of 8×8, with those that fill up the last MCUs.
    pub(super) blocks_wide: u32,
    pub(super) blocks_high: u32,
}

impl Frame {
    /// # Errors
    /// When the header is malformed, or the frame of a process or form that we do not decode.
    pub(super) fn read(marker: u8, parameters: &[u8]) -> Result<Self, Fault> {
        const FAULT: Fault = Fault::Malformed("the frame header of a JPEG stream");
        let process = match marker {
            0xC0 | 0xC1 => Process::Sequential,
            0xC2 => Process::Progressive,
            0xC3 => Process::Lossless,
            0xC9..=0xCB => return Err(Fault::Unsupported("arithmetic coding of JPEG")),
            _ => return Err(Fault::Unsupported("hierarchical JPEG")),
        };
        let ([bits, high, low, wide, narrow, count], listed) =
            parameters.split_first_chunk().ok_or(FAULT)?;
        let rows = u32::from(u16::from_be_bytes([*high, *low]));
        let columns = u32::from(u16::from_be_bytes([*wide, *narrow]));
        if listed.len() != 3 * usize::from(*count) || columns == 0 {
            return Err(FAULT);
        }
        if rows == 0 {
            return Err(Fault::Unsupported("a JPEG frame whose height comes later"));
        }
        if !matches!(count, 1 | 3) {
            return Err(Fault::Unsupported("JPEG of other than 1 or 3 components"));
        }
        match (process, bits) {
            (Process::Lossless, 2..=16) | (_, 8 | 12) => {}
            _ => return Err(Fault::Malformed("the precision of a JPEG stream")),
        }
        let mut frame = Self {
            process,
            bits: *bits,
            rows,
            columns,
            components: Vec::with_capacity(usize::from(*count)),
            horizontal: 1,
            vertical: 1,
        };
        for listed in listed.chunks_exact(3) {
            frame.list(listed[0], listed[1], listed[2])?;
        }
        frame.measure();
        Ok(frame)
    }

    fn list(&mut self, id: u8, sampling: u8, table: u8) -> Result<(), Fault> {
        let (horizontal, vertical) = (u32::from(sampling >> 4), u32::from(sampling & 15));
        if !(1..=4).contains(&horizontal) || !(1..=4).contains(&vertical) {
            return Err(Fault::Malformed("a sampling factor of a JPEG stream"));
        }
        self.horizontal = self.horizontal.max(horizontal);
        self.vertical = self.vertical.max(vertical);
        self.components.push(Component {
            id,
            horizontal,
            vertical,
            table,
            columns: 0,
            rows: 0,
            blocks_wide: 0,
            blocks_high: 0,
        });
        Ok(())
    }

    fn measure(&mut self) {
        let (mcus_wide, mcus_high) = self.mcus();
        for component in &mut self.components {
            component.columns = (self.columns * component.horizontal).div_ceil(self.horizontal);
            component.rows = (self.rows * component.vertical).div_ceil(self.vertical);
            component.blocks_wide = mcus_wide * component.horizontal;
            component.blocks_high = mcus_high * component.vertical;
        }
    }

    /// MCUs of an interleaved scan of blocks.
    fn mcus(&self) -> (u32, u32) {
        (
            self.columns.div_ceil(8 * self.horizontal),
            self.rows.div_ceil(8 * self.vertical),
        )
    }

    /// The fewest bits that the process can write for such a frame: two for a block (a DC and an end
    /// of block), one where ends of blocks come in runs, one for a sample that is not transformed.
    pub(super) fn bits_min(&self) -> u64 {
        let per = |component: &Component| {
            let blocks =
                u64::from(component.columns.div_ceil(8)) * u64::from(component.rows.div_ceil(8));
            match self.process {
                Process::Sequential => 2 * blocks,
                Process::Progressive => blocks,
                Process::Lossless => u64::from(self.columns) * u64::from(self.rows),
            }
        };
        self.components.iter().map(per).sum()
    }

    pub(super) fn ids(&self) -> Vec<u8> {
        self.components
            .iter()
            .map(|component| component.id)
            .collect()
    }
}

/// A scan header.
#[derive(Debug)]
pub(super) struct Scan {
    /// Never empty; in the order of the frame.
    pub(super) components: Vec<ScanComponent>,
    /// Ss: the first coefficient, or the predictor.
    pub(super) first: u8,
    /// Se: the last coefficient.
    pub(super) last: u8,
    /// Ah: the point transform of the scan that this one refines.
    pub(super) high: u8,
    /// Al: the point transform.
    pub(super) low: u8,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct ScanComponent {
    /// Its place in the frame.
    pub(super) place: usize,
    pub(super) dc: u8,
    pub(super) ac: u8,
}

impl Scan {
    /// # Errors
    /// [`Fault::Malformed`] when it does not fit the frame.
    pub(super) fn read(parameters: &[u8], frame: &Frame) -> Result<Self, Fault> {
        const FAULT: Fault = Fault::Malformed("a scan header of a JPEG stream");
        let (count, rest) = parameters.split_first().ok_or(FAULT)?;
        let count = usize::from(*count);
        let (listed, rest) = rest.split_at_checked(2 * count).ok_or(FAULT)?;
        let [first, last, approximation] = *rest.first_chunk().ok_or(FAULT)?;
        if count == 0 || count > frame.components.len() {
            return Err(FAULT);
        }
        let mut components: Vec<ScanComponent> = Vec::with_capacity(count);
        for listed in listed.chunks_exact(2) {
            // Components keep their order, which also tells those apart that share an identifier.
            let start = components.last().map_or(0, |before| before.place + 1);
            let place = frame.components[start..]
                .iter()
                .position(|component| component.id == listed[0])
                .ok_or(FAULT)?
                + start;
            components.push(ScanComponent {
                place,
                dc: listed[1] >> 4,
                ac: listed[1] & 15,
            });
        }
        Ok(Self {
            components,
            first,
            last,
            high: approximation >> 4,
            low: approximation & 15,
        })
    }
}

/// A block of a scan.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    /// The component, by its place in the scan and in the frame.
    pub(super) slot: usize,
    pub(super) component: usize,
    /// Where the block is among those of its component, the padding included.
    pub(super) column: u32,
    pub(super) row: u32,
}

/// What is done with each block of a scan.
pub(super) trait BlockDecoder {
    fn block(&mut self, bits: &mut Bits, place: Place) -> Result<(), Fault>;

    /// Forgets what was predicted from blocks before.
    fn restart(&mut self);
}

/// Visits the blocks of a scan in their order (§A.2), restart markers between them.
pub(super) fn walk(
    frame: &Frame,
    scan: &Scan,
    restart_interval: u32,
    bits: &mut Bits,
    decoder: &mut impl BlockDecoder,
) -> Result<(), Fault> {
    let is_interleaved = scan.components.len() > 1;
    let (mcus_wide, mcus_high) = if is_interleaved {
        frame.mcus()
    } else {
        let only = &frame.components[scan.components[0].place];
        (only.columns.div_ceil(8), only.rows.div_ceil(8))
    };
    let shapes: Vec<(usize, u32, u32)> = scan
        .components
        .iter()
        .map(|listed| {
            let component = &frame.components[listed.place];
            if is_interleaved {
                (listed.place, component.horizontal, component.vertical)
            } else {
                (listed.place, 1, 1)
            }
        })
        .collect();
    let mut restarts = Restarts::every(restart_interval);
    for mcu_row in 0..mcus_high {
        for mcu_column in 0..mcus_wide {
            if restarts.is_due() {
                restarts.pass(bits)?;
                decoder.restart();
            }
            for (slot, (component, wide, high)) in shapes.iter().enumerate() {
                for row in 0..*high {
                    for column in 0..*wide {
                        let place = Place {
                            slot,
                            component: *component,
                            column: mcu_column * wide + column,
                            row: mcu_row * high + row,
                        };
                        decoder.block(bits, place)?;
                    }
                }
            }
            bits.check()?;
        }
    }
    Ok(())
}

/// Counts MCUs, or rows, up to the next restart marker.
pub(super) struct Restarts {
    /// 0 for no restarts.
    interval: u32,
    left: u32,
    number: u8,
}

impl Restarts {
    pub(super) fn every(interval: u32) -> Self {
        Self {
            interval,
            left: interval,
            number: 0,
        }
    }

    /// Whether a marker comes before the next one, which is counted.
    #[inline(always)]
    pub(super) fn is_due(&mut self) -> bool {
        if self.interval == 0 {
            return false;
        }
        if self.left == 0 {
            self.left = self.interval - 1;
            return true;
        }
        self.left -= 1;
        false
    }

    pub(super) fn pass(&mut self, bits: &mut Bits) -> Result<(), Fault> {
        bits.restart(self.number)?;
        self.number = (self.number + 1) % 8;
        Ok(())
    }
}
