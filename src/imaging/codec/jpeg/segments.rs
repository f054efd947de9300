//! Marker segments of a codestream (ISO/IEC 10918-1 Annex B) and the tables that they carry from one
//! scan to the next.

use super::Fault;
use super::frame::ZIGZAG;
use super::huffman::Huffman;
use crate::imaging::codec::Color;

pub(super) const DHT: u8 = 0xC4;
pub(super) const EOI: u8 = 0xD9;
pub(super) const SOS: u8 = 0xDA;
pub(super) const DQT: u8 = 0xDB;
pub(super) const DRI: u8 = 0xDD;
pub(super) const APP0: u8 = 0xE0;
pub(super) const APP14: u8 = 0xEE;

/// Bytes before the first marker that are stepped over.
const LEAD_MAX: usize = 16;

/// A codestream, segment by segment.
pub(super) struct Segments<'a> {
    data: &'a [u8],
    at: usize,
}

impl<'a> Segments<'a> {
    /// # Errors
    /// [`Fault::Malformed`] when no JPEG codestream begins here.
    pub(super) fn new(data: &'a [u8]) -> Result<Self, Fault> {
        let lead = &data[..data.len().min(LEAD_MAX + 3)];
        let start = lead
            .windows(3)
            .position(|bytes| bytes == [0xFF, 0xD8, 0xFF])
            .ok_or(Fault::Malformed("the beginning of a JPEG stream"))?;
        Ok(Self {
            data,
            at: start + 2,
        })
    }

    /// The next marker and its parameters, past what is no marker (§B.1.1.2).
    pub(super) fn next(&mut self) -> Result<(u8, &'a [u8]), Fault> {
        loop {
            let rest = &self.data[self.at..];
            let found = memchr::memchr(0xFF, rest).ok_or(Fault::CutOff)?;
            let marker = *rest.get(found + 1).ok_or(Fault::CutOff)?;
            self.at += found + if marker == 0xFF { 1 } else { 2 };
            match marker {
                // A stuffed or a fill byte; TEM, RSTn and SOI stand alone.
                0 | 1 | 0xD0..=0xD8 | 0xFF => {}
                EOI => return Ok((EOI, &[])),
                _ => return Ok((marker, self.parameters()?)),
            }
        }
    }

    fn parameters(&mut self) -> Result<&'a [u8], Fault> {
        let rest = &self.data[self.at..];
        let length = rest.first_chunk().ok_or(Fault::CutOff)?;
        let length = usize::from(u16::from_be_bytes(*length));
        if length < 2 {
            return Err(Fault::Malformed("the length of a JPEG segment"));
        }
        let parameters = rest.get(2..length).ok_or(Fault::CutOff)?;
        self.at += length;
        Ok(parameters)
    }

    /// All that follows.
    pub(super) fn rest(&self) -> &'a [u8] {
        &self.data[self.at..]
    }

    /// Steps over entropy-coded data.
    pub(super) fn skip(&mut self, bytes: usize) {
        self.at = self.data.len().min(self.at.saturating_add(bytes));
    }
}

/// What stays in force until it is said anew (§B.2.4).
#[derive(Default)]
pub(super) struct Tables {
    /// In the order of rows.
    quantization: [Option<[u16; 64]>; 4],
    dc: [Option<Box<Huffman>>; 4],
    ac: [Option<Box<Huffman>>; 4],
    /// MCUs of a restart interval; 0 for none.
    pub(super) restart_interval: u32,
    has_jfif: bool,
    /// The transform byte of Adobe's segment: 0 none, 1 YCbCr, 2 YCCK.
    adobe: Option<u8>,
}

impl Tables {
    /// Takes a segment, if it is one of tables.
    pub(super) fn take(&mut self, marker: u8, parameters: &[u8]) -> Result<(), Fault> {
        match marker {
            DQT => self.take_quantization(parameters),
            DHT => self.take_huffman(parameters),
            DRI => match *parameters {
                [high, low] => {
                    self.restart_interval = u16::from_be_bytes([high, low]).into();
                    Ok(())
                }
                _ => Err(Fault::Malformed("the restart interval of a JPEG stream")),
            },
            APP0 => {
                self.has_jfif |= parameters.starts_with(b"JFIF\0");
                Ok(())
            }
            APP14 => {
                if parameters.starts_with(b"Adobe") {
                    self.adobe = parameters.get(11).copied();
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// §B.2.4.1
    fn take_quantization(&mut self, mut parameters: &[u8]) -> Result<(), Fault> {
        const FAULT: Fault = Fault::Malformed("a quantization table of a JPEG stream");
        while let [head, rest @ ..] = parameters {
            let width = match head >> 4 {
                0 => 1,
                1 => 2,
                _ => return Err(FAULT),
            };
            let (steps, rest) = rest.split_at_checked(64 * width).ok_or(FAULT)?;
            let table = self
                .quantization
                .get_mut(usize::from(head & 15))
                .ok_or(FAULT)?
                .insert([0; 64]);
            for (step, place) in steps.chunks_exact(width).zip(ZIGZAG) {
                table[usize::from(place)] = step
                    .iter()
                    .fold(0, |value, byte| value << 8 | u16::from(*byte));
            }
            parameters = rest;
        }
        Ok(())
    }

    /// §B.2.4.2
    fn take_huffman(&mut self, mut parameters: &[u8]) -> Result<(), Fault> {
        const FAULT: Fault = Fault::Malformed("a Huffman table of a JPEG stream");
        while let [head, rest @ ..] = parameters {
            let (counts, rest) = rest.split_first_chunk::<16>().ok_or(FAULT)?;
            let total = counts.iter().map(|count| usize::from(*count)).sum();
            let (symbols, rest) = rest.split_at_checked(total).ok_or(FAULT)?;
            let class = match head >> 4 {
                0 => &mut self.dc,
                1 => &mut self.ac,
                _ => return Err(FAULT),
            };
            *class.get_mut(usize::from(head & 15)).ok_or(FAULT)? =
                Some(Box::new(Huffman::new(counts, symbols)?));
            parameters = rest;
        }
        Ok(())
    }

    pub(super) fn quantization(&self, id: u8) -> Result<&[u16; 64], Fault> {
        self.quantization
            .get(usize::from(id))
            .and_then(Option::as_ref)
            .ok_or(Fault::Malformed(
                "a JPEG stream without its quantization table",
            ))
    }

    /// The table for DC coefficients, or for the differences of a lossless scan.
    pub(super) fn dc(&self, id: u8) -> Result<&Huffman, Fault> {
        Self::huffman(&self.dc, id)
    }

    pub(super) fn ac(&self, id: u8) -> Result<&Huffman, Fault> {
        Self::huffman(&self.ac, id)
    }

    fn huffman(class: &[Option<Box<Huffman>>; 4], id: u8) -> Result<&Huffman, Fault> {
        class
            .get(usize::from(id))
            .and_then(Option::as_deref)
            .ok_or(Fault::Malformed("a JPEG stream without its Huffman table"))
    }

    /// What application segments and the names of the components say. Adobe's segment comes first:
    /// it says more than JFIF's, which writers add out of habit.
    pub(super) fn color(&self, ids: &[u8]) -> Color {
        match (ids.len(), self.adobe) {
            (3, Some(0)) => Color::Rgb,
            (3, Some(1)) => Color::Ybr,
            (3, _) if self.has_jfif => Color::Ybr,
            (3, _) if ids == b"RGB" => Color::Rgb,
            _ => Color::Unsaid,
        }
    }
}
