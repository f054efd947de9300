//! JPEG (ISO/IEC 10918-1, ITU-T T.81; PS3.5 §8.2.1): Huffman-coded frames of one or three components,
//! sequential and progressive DCT of 8 and 12 bits, lossless of 2 to 16.
//!
//! Samples are what the codestream has, colors are not converted. The transform and the growth of
//! subsampled components are those of libjpeg (`idct`, `planes`). Data that ends too early, or
//! restart markers that do not fit, make a [`Fault`], never a picture with grey in it; whatever
//! follows the last bit of the last component does not matter, not even that it is missing.
//! Arithmetic coding, hierarchical frames and heights that come after the scan are not supported.

mod bits;
#[cfg(test)]
mod fixtures;
mod frame;
mod huffman;
mod idct;
mod lossless;
mod planes;
mod progressive;
mod segments;
mod sequential;
#[cfg(test)]
mod tests;

use super::{Bounds, Fault, Raster};
pub(in crate::imaging) use frame::ZIGZAG;
use frame::{Frame, Process, Scan};
use lossless::Lossless;
use planes::Planes;
use progressive::Progressive;
use segments::{DHT, EOI, SOS, Segments, Tables};

/// Decodes one frame.
///
/// # Errors
/// [`Fault::CutOff`] when not every sample is there; else as [`Bounds::agree`], and when the
/// codestream is malformed or of a process that we do not decode.
pub fn decode(codestream: &[u8], bounds: &Bounds) -> Result<Raster, Fault> {
    let mut segments = Segments::new(codestream)?;
    let mut tables = Tables::default();
    let mut picture = None;
    loop {
        let (marker, parameters) = segments.next()?;
        match marker {
            DHT => tables.take(marker, parameters)?,
            0xC8 | 0xCC | 0xF7 => return Err(Fault::Unsupported("this process of JPEG")),
            0xC0..=0xCF if picture.is_some() => {
                return Err(Fault::Unsupported("JPEG of more than one frame"));
            }
            0xC0..=0xCF => {
                let frame = Frame::read(marker, parameters)?;
                picture = Some(Picture::new(frame, segments.rest().len(), bounds)?);
            }
            SOS => {
                let picture = picture
                    .as_mut()
                    .ok_or(Fault::Malformed("a JPEG scan without a frame"))?;
                let scan = Scan::read(parameters, &picture.frame)?;
                segments.skip(picture.decode(&tables, &scan, segments.rest())?);
                if picture.is_complete() {
                    return Ok(picture.raster(&tables));
                }
            }
            EOI => return Err(Fault::CutOff),
            _ => tables.take(marker, parameters)?,
        }
    }
}

/// A frame on its way.
struct Picture {
    frame: Frame,
    samples: Samples,
    /// Of each component, whether it has had a scan.
    is_decoded: Vec<bool>,
}

enum Samples {
    Sequential(Planes),
    Progressive(Progressive),
    Lossless(Lossless),
}

impl Picture {
    /// Agrees to the size, and to the bytes that are left for it, before it takes memory.
    fn new(frame: Frame, bytes: usize, bounds: &Bounds) -> Result<Self, Fault> {
        let count = frame.components.len();
        bounds.agree(frame.rows, frame.columns, count as u16, frame.bits.into())?;
        bounds.sample_count()?;
        if frame.bits_min() > 8 * bytes as u64 {
            return Err(Fault::CutOff);
        }
        let samples = match frame.process {
            Process::Sequential => Samples::Sequential(Planes::new(&frame)),
            Process::Progressive => Samples::Progressive(Progressive::new(&frame)),
            Process::Lossless => Samples::Lossless(Lossless::new(&frame)?),
        };
        Ok(Self {
            frame,
            samples,
            is_decoded: vec![false; count],
        })
    }

    /// Decodes a scan; returns its bytes.
    fn decode(&mut self, tables: &Tables, scan: &Scan, data: &[u8]) -> Result<usize, Fault> {
        for listed in &scan.components {
            let is_again = std::mem::replace(&mut self.is_decoded[listed.place], true);
            if is_again && self.frame.process != Process::Progressive {
                return Err(Fault::Malformed("a JPEG component that comes twice"));
            }
        }
        match &mut self.samples {
            Samples::Sequential(planes) => {
                sequential::decode(&self.frame, tables, scan, data, planes)
            }
            Samples::Progressive(progressive) => {
                progressive.decode(&self.frame, tables, scan, data)
            }
            Samples::Lossless(lossless) => lossless.decode(&self.frame, tables, scan, data),
        }
    }

    fn is_complete(&self) -> bool {
        match &self.samples {
            Samples::Progressive(progressive) => progressive.is_complete(),
            _ => self.is_decoded.iter().all(|is_decoded| *is_decoded),
        }
    }

    fn raster(&self, tables: &Tables) -> Raster {
        let frame = &self.frame;
        Raster {
            rows: frame.rows,
            columns: frame.columns,
            samples: frame.components.len() as u16,
            bits: frame.bits.into(),
            is_signed: false,
            color: tables.color(&frame.ids()),
            bytes: match &self.samples {
                Samples::Sequential(planes) => planes.pixels(frame),
                Samples::Progressive(progressive) => progressive.planes(frame).pixels(frame),
                Samples::Lossless(lossless) => lossless.pixels(frame),
            },
        }
    }
}
