//! Samples to a JPEG-LS codestream (ISO/IEC 14495-1 Annex A): lossless, default parameters, one
//! scan; several components by line, which DCMTK, CharLS and the viewers built on it read alike.

use super::super::{Fault, Raster, sample_bytes};
use super::bits::Writer;
use super::header::{Frame, Preset, write};
use super::model::{Contexts, Parameters, RunIndex, predict, with_sign};

/// A JPEG-LS codestream of 2 to 16 bits with exactly these samples.
///
/// It carries no sign: the low `bits` of each sample are coded, and whoever decodes them must take
/// their sign from the data set again. Its length is even, as a fragment's must be.
///
/// # Errors
/// [`Fault::Unsupported`] for other depths and for sides beyond 65535; [`Fault::CutOff`] for a raster with too few bytes.
pub fn encode(raster: &Raster) -> Result<Vec<u8>, Fault> {
    let (Ok(rows), Ok(columns)) = (u16::try_from(raster.rows), u16::try_from(raster.columns))
    else {
        return Err(Fault::Unsupported("JPEG-LS beyond 65535 rows or columns"));
    };
    if !(2..=16).contains(&raster.bits) {
        return Err(Fault::Unsupported("JPEG-LS of other than 2 to 16 bits"));
    }
    if !(1..=4).contains(&raster.samples) {
        return Err(Fault::Unsupported(
            "JPEG-LS of other than 1 to 4 components",
        ));
    }
    if rows == 0 || columns == 0 {
        return Err(Fault::Malformed("a frame without pixels"));
    }
    let samples = usize::from(raster.samples);
    let row_bytes = usize::from(columns) * samples * sample_bytes(raster.bits);
    let bytes = raster
        .bytes
        .get(..row_bytes * usize::from(rows))
        .ok_or(Fault::CutOff)?;
    // Cells of another width would be taken for other samples.
    if bytes.len() != raster.bytes.len() {
        return Err(Fault::Malformed("a frame to be compressed"));
    }

    let frame = Frame {
        bits: raster.bits,
        rows,
        columns,
        components: (1..=raster.samples as u8).collect(),
    };
    let preset = Preset::new((1 << raster.bits) - 1, 0);
    let mut head = write(&frame, &preset);
    head.reserve(bytes.len() / 2);
    let parameters = Parameters::new(&preset, 0);
    let mut coder = Coder {
        contexts: Contexts::new(&parameters),
        parameters: &parameters,
        writer: Writer::new(head),
    };
    let width = usize::from(columns);
    let line = vec![0_u16; width + 2];
    let mut lines = vec![(line.clone(), line, RunIndex::default()); samples];
    for row in bytes.chunks_exact(row_bytes) {
        for (place, (above, current, run)) in lines.iter_mut().enumerate() {
            take(row, place, samples, raster.bits, &mut current[1..=width]);
            above[width + 1] = above[width];
            current[0] = above[1];
            coder.line(above, current, run);
            std::mem::swap(above, current);
        }
    }
    let mut bytes = coder.writer.finish();
    if bytes.len() % 2 == 1 {
        // Fill before a marker is part of the format; padding behind the end is not.
        bytes.push(0xFF);
    }
    bytes.extend([0xFF, super::header::END_OF_IMAGE]);
    Ok(bytes)
}

/// One component of a row, its low `bits`.
fn take(row: &[u8], place: usize, samples: usize, bits: u16, line: &mut [u16]) {
    let mask = u16::MAX >> (16 - bits);
    if bits <= 8 {
        for (sample, pixel) in line.iter_mut().zip(row.chunks_exact(samples)) {
            *sample = u16::from(pixel[place]) & mask;
        }
    } else {
        for (sample, pixel) in line.iter_mut().zip(row.chunks_exact(2 * samples)) {
            *sample = u16::from_le_bytes([pixel[2 * place], pixel[2 * place + 1]]) & mask;
        }
    }
}

struct Coder<'a> {
    parameters: &'a Parameters,
    contexts: Contexts,
    writer: Writer,
}

impl Coder<'_> {
    /// A line, the one above, and a sample before and behind each of them.
    fn line(&mut self, above: &[u16], current: &[u16], run: &mut RunIndex) {
        let parameters = self.parameters;
        let current = &current[..above.len()];
        let width = above.len() - 2;
        let mut x = 1;
        while x <= width {
            let a = i32::from(current[x - 1]);
            let c = i32::from(above[x - 1]);
            let b = i32::from(above[x]);
            let d = i32::from(above[x + 1]);
            let context = parameters.context(a, b, c, d);
            if context != 0 {
                self.regular(context, predict(a, b, c), current[x].into());
                x += 1;
                continue;
            }
            let rest = &current[x..=width];
            let length = rest
                .iter()
                .position(|sample| i32::from(*sample) != a)
                .unwrap_or(rest.len());
            self.run(run, length, length == rest.len());
            x += length;
            if x <= width {
                self.interruption(*run, a, above[x].into(), current[x].into());
                run.shrink();
                x += 1;
            }
        }
    }

    /// §A.4 to §A.6
    #[inline(always)]
    fn regular(&mut self, context: i32, predicted: i32, sample: i32) {
        let parameters = self.parameters;
        let sign = context >> 31;
        let context = &mut self.contexts.regular[with_sign(context, sign) as usize];
        let k = context.order();
        let predicted = (predicted + with_sign(context.c, sign))
            .max(0)
            .min(parameters.maxval);
        let error = reduce(with_sign(sample - predicted, sign), parameters.range);
        let mapping = error ^ context.mapping(k);
        let mapped = ((mapping << 1) ^ (mapping >> 31)) as u32;
        self.writer.golomb(mapped, k, parameters.limits);
        context.update(error, 1, parameters.reset);
    }

    /// Code segments A.15 and A.16.
    fn run(&mut self, run: &mut RunIndex, mut length: usize, is_to_the_end: bool) {
        while length >= 1 << run.order() {
            length -= 1 << run.order();
            self.writer.put(1, 1);
            run.grow();
        }
        if !is_to_the_end {
            self.writer.put(length as u32, run.order() + 1);
        } else if length > 0 {
            self.writer.put(1, 1);
        }
    }

    /// §A.7.2
    fn interruption(&mut self, run: RunIndex, a: i32, b: i32, sample: i32) {
        let parameters = self.parameters;
        let kind = usize::from(a == b);
        let difference = if a > b { b - sample } else { sample - b };
        let error = reduce(difference, parameters.range);
        let context = &mut self.contexts.runs[kind];
        let k = context.order();
        let mapped = context.map(error, k);
        self.writer.golomb(mapped, k, parameters.run_limits(run));
        context.update(error, mapped, parameters.reset);
    }
}

/// An error modulo the range (§A.4.5).
#[inline(always)]
fn reduce(error: i32, range: i32) -> i32 {
    let half = (range + 1) / 2;
    if error < half - range {
        error + range
    } else if error >= half {
        error - range
    } else {
        error
    }
}
