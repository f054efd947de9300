//! JPEG-LS scans to samples (ISO/IEC 14495-1 Annexes A, B and F): lossless and near-lossless, one
//! component a scan, or several by line or by sample.

use super::super::{Bounds, Color, Fault, Raster, sample_bytes};
use super::bits::Reader;
use super::header::{Frame, Scan, Segments, next_marker};
use super::model::{Contexts, MAPPED_MAX, Parameters, RunIndex, predict, with_sign};
use super::transform;

/// The samples of a JPEG-LS codestream; they are unsigned there, whatever the data set says of them.
///
/// Bytes behind the last scan are not looked at: an end of image may be missing, and a byte of
/// padding may follow it.
///
/// # Errors
/// When it is not what `bounds` say, cut off, malformed, or of a form that is not supported:
/// mapping tables, point transforms, subsampling, more than 4 components or 65535 lines, part 2.
pub fn decode(codestream: &[u8], bounds: &Bounds) -> Result<Raster, Fault> {
    let mut segments = Segments::new(codestream)?;
    let frame = segments.frame()?;
    let samples = frame.components.len() as u16;
    bounds.agree(frame.rows.into(), frame.columns.into(), samples, frame.bits)?;
    let mut picture = Picture::new(&frame, bounds.sample_count()?)?;
    let mut seen = [false; 4];
    loop {
        let (scan, start) = segments.scan()?;
        if segments.transform.is_some() && !(samples == 3 && matches!(frame.bits, 8 | 16)) {
            return Err(Fault::Unsupported("this color transform of JPEG-LS"));
        }
        for place in &scan.components {
            if std::mem::replace(&mut seen[*place], true) {
                return Err(Fault::Malformed("a component in two scans of JPEG-LS"));
            }
        }
        let parameters = Parameters::new(&scan.preset, scan.near);
        let is_exact = scan.near == 0 && (parameters.maxval + 1) & parameters.maxval == 0;
        let mut decoder = Decoder {
            scan: &scan,
            contexts: Contexts::new(&parameters),
            parameters: &parameters,
            reader: Reader::new(segments.bytes(), start),
            worst: 0,
        };
        if is_exact {
            decoder.scan::<true>(&mut picture)?;
        } else {
            decoder.scan::<false>(&mut picture)?;
        }
        let end = decoder.reader.position();
        if seen[..samples.into()].iter().all(|is_seen| *is_seen) {
            break;
        }
        segments.resume(end)?;
    }
    let mut bytes = picture.bytes;
    if let Some(transform) = segments.transform {
        transform::undo(transform, frame.bits, &mut bytes);
    }
    Ok(Raster {
        rows: bounds.rows,
        columns: bounds.columns,
        samples,
        bits: frame.bits,
        is_signed: false,
        color: match segments.transform {
            Some(_) => Color::Rgb,
            None => Color::Unsaid,
        },
        bytes,
    })
}

/// Samples as they come to be.
struct Picture {
    rows: usize,
    columns: usize,
    samples: usize,
    sample_bytes: usize,
    bytes: Vec<u8>,
}

impl Picture {
    fn new(frame: &Frame, count: usize) -> Result<Self, Fault> {
        let sample_bytes = sample_bytes(frame.bits);
        let mut bytes = Vec::new();
        // Memory is touched line by line, as far as there are bits for lines.
        bytes
            .try_reserve_exact(count * sample_bytes)
            .map_err(|_| Fault::Unsupported("a frame of so many pixels"))?;
        Ok(Self {
            rows: frame.rows.into(),
            columns: frame.columns.into(),
            samples: frame.components.len(),
            sample_bytes,
            bytes,
        })
    }

    fn row(&mut self, row: usize) -> &mut [u8] {
        let row_bytes = self.columns * self.samples * self.sample_bytes;
        let end = (row + 1) * row_bytes;
        if self.bytes.len() < end {
            self.bytes.resize(end, 0);
        }
        &mut self.bytes[row * row_bytes..end]
    }

    /// Puts samples `stride` apart in a line to one component of a row.
    fn put(&mut self, row: usize, component: usize, line: &[u16], stride: usize) {
        let (samples, size) = (self.samples, self.sample_bytes);
        let row = self.row(row);
        if (samples, stride, size) == (1, 1, 2) {
            for (pixel, sample) in row.chunks_exact_mut(2).zip(line) {
                pixel.copy_from_slice(&sample.to_le_bytes());
            }
            return;
        }
        let pixels = row.chunks_exact_mut(samples * size);
        for (pixel, sample) in pixels.zip(line.iter().step_by(stride)) {
            pixel[component * size..][..size].copy_from_slice(&sample.to_le_bytes()[..size]);
        }
    }
}

struct Decoder<'a> {
    scan: &'a Scan,
    parameters: &'a Parameters,
    contexts: Contexts,
    reader: Reader<'a>,
    /// The greatest mapped error so far, or more for other faults: told of at the end of a line.
    worst: u64,
}

/// A line and the one above, with a pixel before and one behind (§A.2.1).
struct Lines {
    above: Vec<u16>,
    current: Vec<u16>,
}

impl Lines {
    fn new(columns: usize, stride: usize) -> Self {
        let line = vec![0; (columns + 2) * stride];
        Self {
            above: line.clone(),
            current: line,
        }
    }

    /// The pixels outside: Rd at the end is Rb, Ra at the beginning is Rb.
    fn begin(&mut self, stride: usize) {
        let end = self.above.len() - stride;
        self.above.copy_within(end - stride..end, end);
        self.current[..stride].copy_from_slice(&self.above[stride..2 * stride]);
    }
}

impl Decoder<'_> {
    fn scan<const EXACT: bool>(&mut self, picture: &mut Picture) -> Result<(), Fault> {
        let count = self.scan.components.len();
        // By sample, there is one line of whole pixels; else one for each component.
        let (line_count, stride) = if self.scan.is_by_sample {
            (1, count)
        } else {
            (count, 1)
        };
        let fresh = |columns| -> Vec<(Lines, RunIndex)> {
            (0..line_count)
                .map(|_| (Lines::new(columns, stride), RunIndex::default()))
                .collect()
        };
        let mut lines = fresh(picture.columns);
        let interval = self.scan.restart_interval as usize;
        for row in 0..picture.rows {
            if interval != 0 && row != 0 && row % interval == 0 {
                self.restart(row / interval - 1)?;
                lines = fresh(picture.columns);
            }
            for (place, (lines, run)) in lines.iter_mut().enumerate() {
                lines.begin(stride);
                match stride {
                    1 => self.line::<EXACT>(lines, run),
                    2 => self.pixels::<EXACT, 2>(lines, run),
                    3 => self.pixels::<EXACT, 3>(lines, run),
                    _ => self.pixels::<EXACT, 4>(lines, run),
                }
                if self.reader.is_overrun() {
                    return Err(Fault::CutOff);
                }
                if self.worst > MAPPED_MAX {
                    return Err(Fault::Malformed("an error value or a run of JPEG-LS"));
                }
                for part in 0..stride {
                    let component = self.scan.components[place + part];
                    picture.put(row, component, &lines.current[stride + part..], stride);
                }
                std::mem::swap(&mut lines.above, &mut lines.current);
            }
        }
        Ok(())
    }

    /// Behind the marker of the `number`th interval, everything begins anew (§C.2.5).
    fn restart(&mut self, number: usize) -> Result<(), Fault> {
        let bytes = self.reader.bytes();
        let from = self.reader.position();
        let at = from
            + bytes
                .get(from..)
                .and_then(next_marker)
                .ok_or(Fault::CutOff)?;
        match bytes[at + 1] {
            marker if usize::from(marker) == 0xD0 + number % 8 => {}
            super::header::END_OF_IMAGE => return Err(Fault::CutOff),
            _ => return Err(Fault::Malformed("a restart marker of JPEG-LS")),
        }
        self.reader = Reader::new(bytes, at + 2);
        self.contexts = Contexts::new(self.parameters);
        Ok(())
    }

    /// One line of one component.
    fn line<const EXACT: bool>(&mut self, lines: &mut Lines, run: &mut RunIndex) {
        let parameters = self.parameters;
        let mut coder = Coder {
            parameters,
            contexts: &mut self.contexts,
            reader: self.reader,
            worst: 0,
        };
        let above = &*lines.above;
        let current = &mut lines.current[..above.len()];
        let width = above.len() - 2;
        let mut a = i32::from(current[0]);
        let mut c = i32::from(above[0]);
        let mut b = i32::from(above[1]);
        let mut x = 1;
        while x <= width {
            let d = i32::from(above[x + 1]);
            let context = parameters.context(a, b, c, d);
            if context != 0 {
                a = coder.regular::<EXACT>(context, predict(a, b, c));
                current[x] = a as u16;
                x += 1;
                c = b;
                b = d;
                continue;
            }
            let length = coder.run(run, width + 1 - x);
            current[x..x + length].fill(a as u16);
            x += length;
            if x > width {
                break;
            }
            b = above[x].into();
            a = coder.interruption::<EXACT>(*run, a, b);
            run.shrink();
            current[x] = a as u16;
            c = b;
            x += 1;
            b = above[x].into();
        }
        self.reader = coder.reader;
        self.worst = self.worst.max(coder.worst);
    }

    /// One line of pixels of several components.
    fn pixels<const EXACT: bool, const COUNT: usize>(
        &mut self,
        lines: &mut Lines,
        run: &mut RunIndex,
    ) {
        let parameters = self.parameters;
        let mut coder = Coder {
            parameters,
            contexts: &mut self.contexts,
            reader: self.reader,
            worst: 0,
        };
        let (above, _) = lines.above.as_chunks::<COUNT>();
        let (current, _) = lines.current.as_chunks_mut::<COUNT>();
        let width = above.len() - 2;
        let mut a = current[0];
        let mut x = 1;
        while x <= width {
            let (c, b, d) = (above[x - 1], above[x], above[x + 1]);
            let contexts: [i32; COUNT] = std::array::from_fn(|part| {
                parameters.context(
                    a[part].into(),
                    b[part].into(),
                    c[part].into(),
                    d[part].into(),
                )
            });
            if contexts != [0; COUNT] {
                for part in 0..COUNT {
                    let predicted = predict(a[part].into(), b[part].into(), c[part].into());
                    a[part] = coder.regular::<EXACT>(contexts[part], predicted) as u16;
                }
                current[x] = a;
                x += 1;
                continue;
            }
            let length = coder.run(run, width + 1 - x);
            current[x..x + length].fill(a);
            x += length;
            if x > width {
                break;
            }
            for part in 0..COUNT {
                let b = above[x][part].into();
                a[part] = coder.difference::<EXACT>(*run, a[part].into(), b) as u16;
            }
            run.shrink();
            current[x] = a;
            x += 1;
        }
        self.reader = coder.reader;
        self.worst = self.worst.max(coder.worst);
    }
}

/// What decodes a line; its own copy of the reader stays in registers.
struct Coder<'c, 'a> {
    parameters: &'c Parameters,
    contexts: &'c mut Contexts,
    reader: Reader<'a>,
    worst: u64,
}

impl Coder<'_, '_> {
    /// A sample of regular mode (§A.4 to §A.6).
    #[inline(always)]
    fn regular<const EXACT: bool>(&mut self, context: i32, predicted: i32) -> i32 {
        let parameters = self.parameters;
        let sign = context >> 31;
        let context = &mut self.contexts.regular[with_sign(context, sign) as usize];
        let k = context.order();
        let predicted = (predicted + with_sign(context.c, sign))
            .max(0)
            .min(parameters.maxval);
        let mapped = self.reader.golomb(k, parameters.limits);
        self.worst = self.worst.max(mapped);
        let mapped = mapped.min(MAPPED_MAX) as i32;
        let mut error = (mapped >> 1) ^ -(mapped & 1);
        if EXACT || parameters.near == 0 {
            error ^= context.mapping(k);
        }
        let step = if EXACT { 1 } else { parameters.step };
        context.update(error, step, parameters.reset);
        reconstruct::<EXACT>(parameters, predicted, with_sign(error, sign))
    }

    /// How many samples of a run there are before the line or the run ends (code segment A.15).
    #[inline(always)]
    fn run(&mut self, run: &mut RunIndex, rest: usize) -> usize {
        let mut length = 0;
        while self.reader.take(1) == 1 {
            length += 1 << run.order();
            if length > rest {
                return rest;
            }
            run.grow();
            if length == rest {
                return rest;
            }
        }
        length += self.reader.take(run.order()) as usize;
        if length >= rest {
            // Whatever interrupts a run stands in the same line.
            self.worst = u64::MAX;
            return rest;
        }
        length
    }

    /// The sample that ends a run (§A.7.2).
    #[inline(always)]
    fn interruption<const EXACT: bool>(&mut self, run: RunIndex, a: i32, b: i32) -> i32 {
        if (a - b).abs() <= self.parameters.near {
            let error = self.run_error(1, run);
            reconstruct::<EXACT>(self.parameters, a, error)
        } else {
            self.difference::<EXACT>(run, a, b)
        }
    }

    /// The sample that ends a run, predicted by the one above it.
    #[inline(always)]
    fn difference<const EXACT: bool>(&mut self, run: RunIndex, a: i32, b: i32) -> i32 {
        let error = self.run_error(0, run);
        let error = if a > b { -error } else { error };
        reconstruct::<EXACT>(self.parameters, b, error)
    }

    #[inline(always)]
    fn run_error(&mut self, kind: usize, run: RunIndex) -> i32 {
        let context = &mut self.contexts.runs[kind];
        let k = context.order();
        let mapped = self.reader.golomb(k, self.parameters.run_limits(run));
        self.worst = self.worst.max(mapped);
        let mapped = mapped.min(MAPPED_MAX) as u32;
        let error = context.unmap(mapped, k);
        context.update(error, mapped, self.parameters.reset);
        error
    }
}

/// A prediction and its error to a sample (§A.4.4, §A.4.5).
#[inline(always)]
fn reconstruct<const EXACT: bool>(parameters: &Parameters, predicted: i32, error: i32) -> i32 {
    let maxval = parameters.maxval;
    if EXACT {
        return (predicted + error) & maxval;
    }
    let near = parameters.near;
    let mut value = predicted + error * parameters.step;
    if value < -near {
        value += parameters.range * parameters.step;
    } else if value > maxval + near {
        value -= parameters.range * parameters.step;
    }
    value.max(0).min(maxval)
}
