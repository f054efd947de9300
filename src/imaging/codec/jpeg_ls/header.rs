//! Segments of a JPEG-LS codestream (ISO/IEC 14495-1 Annex C): frame and scan headers, preset
//! parameters, restart intervals, HP's color transform. All numbers are checked here, once.

use super::super::Fault;

const START_OF_IMAGE: u8 = 0xD8;
pub(super) const END_OF_IMAGE: u8 = 0xD9;
const START_OF_SCAN: u8 = 0xDA;
const RESTART_INTERVAL: u8 = 0xDD;
const APPLICATION_8: u8 = 0xE8;
/// SOF55
const FRAME: u8 = 0xF7;
/// LSE
const PRESET: u8 = 0xF8;

/// The most segments that are looked at.
const SEGMENTS_MAX: usize = 4096;

/// The frame header (§C.2.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Frame {
    /// `P`, 2 to 16.
    pub(super) bits: u16,
    pub(super) rows: u16,
    pub(super) columns: u16,
    /// Identifiers; one to four.
    pub(super) components: Vec<u8>,
}

/// A scan header (§C.2.3) with what was said before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Scan {
    /// Places of its components in the frame; none twice.
    pub(super) components: Vec<usize>,
    /// `NEAR`
    pub(super) near: i32,
    pub(super) is_by_sample: bool,
    pub(super) preset: Preset,
    /// Lines between restart markers; 0 without them.
    pub(super) restart_interval: u32,
}

/// Preset parameters (§C.2.4.1.1), in effect: no zeros, in their bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Preset {
    pub(super) maxval: i32,
    pub(super) t1: i32,
    pub(super) t2: i32,
    pub(super) t3: i32,
    pub(super) reset: i32,
}

/// Color transforms of HP's encoder, as CharLS has them too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Transform {
    Hp1,
    Hp2,
    Hp3,
}

impl Preset {
    /// The defaults (§C.2.4.1.1.1).
    pub(super) fn new(maxval: i32, near: i32) -> Self {
        let clamp = |value: i32, low: i32| {
            if value > maxval || value < low {
                low
            } else {
                value
            }
        };
        let [t1, t2, t3] = if maxval >= 128 {
            let factor = (maxval.min(4095) + 128) / 256;
            [
                factor + 2 + 3 * near,
                4 * factor + 3 + 5 * near,
                17 * factor + 4 + 7 * near,
            ]
        } else {
            let factor = 256 / (maxval + 1);
            [
                (3 / factor + 3 * near).max(2),
                (7 / factor + 5 * near).max(3),
                (21 / factor + 7 * near).max(4),
            ]
        };
        let t1 = clamp(t1, near + 1);
        let t2 = clamp(t2, t1);
        Self {
            maxval,
            t1,
            t2,
            t3: clamp(t3, t2),
            reset: 64,
        }
    }

    /// What a scan gets that an LSE segment stands before; its zeros mean defaults.
    fn in_effect(said: [u16; 5], bits: u16, near: i32) -> Result<Self, Fault> {
        const FAULT: Fault = Fault::Malformed("the preset parameters of a JPEG-LS stream");
        let or = |value: u16, default: i32| if value == 0 { default } else { value.into() };
        let [maxval, t1, t2, t3, reset] = said;
        let maxval = or(maxval, (1 << bits) - 1);
        if maxval >= 1 << bits {
            return Err(FAULT);
        }
        if near > 255.min(maxval / 2) {
            return Err(Fault::Malformed("the NEAR parameter of a JPEG-LS scan"));
        }
        let default = Self::new(maxval, near);
        let preset = Self {
            maxval,
            t1: or(t1, default.t1),
            t2: or(t2, default.t2),
            t3: or(t3, default.t3),
            reset: or(reset, default.reset),
        };
        let is_ordered = near < preset.t1
            && preset.t1 <= preset.t2
            && preset.t2 <= preset.t3
            && preset.t3 <= maxval;
        if is_ordered && (3..=maxval.max(255)).contains(&preset.reset) {
            Ok(preset)
        } else {
            Err(FAULT)
        }
    }
}

/// Reads segment after segment.
#[derive(Debug)]
pub(super) struct Segments<'a> {
    bytes: &'a [u8],
    at: usize,
    pub(super) frame: Option<Frame>,
    pub(super) transform: Option<Transform>,
    /// MAXVAL, T1, T2, T3, RESET, as the last LSE segment has them.
    preset: [u16; 5],
    restart_interval: u32,
    seen: usize,
}

impl<'a> Segments<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Result<Self, Fault> {
        match bytes {
            [0xFF, START_OF_IMAGE, ..] => Ok(Self {
                bytes,
                at: 2,
                frame: None,
                transform: None,
                preset: [0; 5],
                restart_interval: 0,
                seen: 0,
            }),
            [] | [0xFF] => Err(Fault::CutOff),
            _ => Err(Fault::Malformed("the beginning of a JPEG-LS stream")),
        }
    }

    pub(super) fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The next frame header; scans must not come before it.
    pub(super) fn frame(&mut self) -> Result<Frame, Fault> {
        loop {
            if let Some(frame) = &self.frame {
                return Ok(frame.clone());
            }
            if self.segment()?.is_some() {
                return Err(Fault::Malformed("a JPEG-LS scan without a frame"));
            }
        }
    }

    /// The next scan header, and where its bits begin.
    pub(super) fn scan(&mut self) -> Result<(Scan, usize), Fault> {
        loop {
            if let Some(scan) = self.segment()? {
                return Ok((scan, self.at));
            }
        }
    }

    /// Goes on behind the bits of a scan: to the first marker at or after `from`.
    pub(super) fn resume(&mut self, from: usize) -> Result<(), Fault> {
        let rest = self.bytes.get(from..).ok_or(Fault::CutOff)?;
        self.at = from + next_marker(rest).ok_or(Fault::CutOff)?;
        Ok(())
    }

    fn segment(&mut self) -> Result<Option<Scan>, Fault> {
        self.seen += 1;
        if self.seen > SEGMENTS_MAX {
            return Err(Fault::Unsupported("a JPEG-LS stream of so many segments"));
        }
        let marker = self.marker()?;
        if marker == END_OF_IMAGE {
            // Not all components have been there.
            return Err(Fault::CutOff);
        }
        let body = self.body()?;
        match marker {
            START_OF_SCAN => return self.start_of_scan(body).map(Some),
            FRAME if self.frame.is_some() => {
                return Err(Fault::Malformed("a second frame in a JPEG-LS stream"));
            }
            FRAME => self.frame = Some(frame(body)?),
            0xC0..=0xC3 | 0xC5..=0xC7 | 0xC9..=0xCB | 0xCD..=0xCF => {
                return Err(Fault::Unsupported("a process of JPEG other than JPEG-LS"));
            }
            PRESET => self.preset(body)?,
            RESTART_INTERVAL => self.restart_interval = interval(body)?,
            APPLICATION_8 => {
                if let Some(transform) = transform(body)? {
                    self.transform = transform;
                }
            }
            _ => {}
        }
        Ok(None)
    }

    /// Past fill bytes (ISO/IEC 10918-1 §B.1.1.2).
    fn marker(&mut self) -> Result<u8, Fault> {
        let rest = self.bytes.get(self.at..).ok_or(Fault::CutOff)?;
        match rest.first() {
            Some(0xFF) => {}
            Some(_) => return Err(Fault::Malformed("a JPEG-LS marker")),
            None => return Err(Fault::CutOff),
        }
        let fill = rest
            .iter()
            .position(|byte| *byte != 0xFF)
            .ok_or(Fault::CutOff)?;
        self.at += fill + 1;
        match rest[fill] {
            0 | 1 | 0xD0..=0xD8 => Err(Fault::Malformed("a JPEG-LS marker")),
            marker => Ok(marker),
        }
    }

    fn body(&mut self) -> Result<&'a [u8], Fault> {
        let rest = self.bytes.get(self.at..).ok_or(Fault::CutOff)?;
        let (length, rest) = rest.split_first_chunk::<2>().ok_or(Fault::CutOff)?;
        let length = usize::from(u16::from_be_bytes(*length));
        let body = length
            .checked_sub(2)
            .ok_or(Fault::Malformed("the length of a JPEG-LS segment"))?;
        self.at += length;
        rest.get(..body).ok_or(Fault::CutOff)
    }

    /// §C.2.4: the first byte tells what kind of parameters.
    fn preset(&mut self, body: &[u8]) -> Result<(), Fault> {
        match body {
            [1, values @ ..] if values.len() == 10 => {
                for (value, bytes) in self.preset.iter_mut().zip(values.chunks_exact(2)) {
                    *value = u16::from_be_bytes([bytes[0], bytes[1]]);
                }
                Ok(())
            }
            // Mapping tables are no matter until a scan names one.
            [2 | 3, ..] => Ok(()),
            [4, ..] => Err(Fault::Unsupported("a JPEG-LS frame beyond 65535 lines")),
            [5..=13, ..] => Err(Fault::Unsupported("an extension of JPEG-LS (part 2)")),
            _ => Err(Fault::Malformed(
                "the preset parameters of a JPEG-LS stream",
            )),
        }
    }

    fn start_of_scan(&self, body: &[u8]) -> Result<Scan, Fault> {
        const FAULT: Fault = Fault::Malformed("a JPEG-LS scan header");
        let frame = self
            .frame
            .as_ref()
            .ok_or(Fault::Malformed("a JPEG-LS scan without a frame"))?;
        let (count, rest) = body.split_first().ok_or(FAULT)?;
        let count = usize::from(*count);
        if count == 0 || count > frame.components.len() || rest.len() != 2 * count + 3 {
            return Err(FAULT);
        }
        let (pairs, rest) = rest.split_at(2 * count);
        let mut components = Vec::with_capacity(count);
        for pair in pairs.chunks_exact(2) {
            let place = frame
                .components
                .iter()
                .position(|id| *id == pair[0])
                .filter(|place| !components.contains(place))
                .ok_or(FAULT)?;
            components.push(place);
            if pair[1] != 0 {
                return Err(Fault::Unsupported("a mapping table of JPEG-LS"));
            }
        }
        let [near, interleaving, transform] = rest else {
            return Err(FAULT);
        };
        if transform & 0x0F != 0 {
            return Err(Fault::Unsupported("a point transform of JPEG-LS"));
        }
        let is_by_sample = match (interleaving, count) {
            // One component is interleaved with nothing, whatever is said.
            (0..=2, 1) | (1, _) => false,
            (2, _) => true,
            _ => return Err(FAULT),
        };
        let near = i32::from(*near);
        Ok(Scan {
            components,
            near,
            is_by_sample,
            preset: Preset::in_effect(self.preset, frame.bits, near)?,
            restart_interval: self.restart_interval,
        })
    }
}

/// Where the next marker stands: a byte of ones and one above 0x7F that is not all ones.
pub(super) fn next_marker(bytes: &[u8]) -> Option<usize> {
    memchr::memchr_iter(0xFF, bytes).find(|at| matches!(bytes.get(at + 1), Some(0x80..=0xFE)))
}

fn frame(body: &[u8]) -> Result<Frame, Fault> {
    const FAULT: Fault = Fault::Malformed("the frame header of a JPEG-LS stream");
    let (head, components) = body.split_first_chunk::<6>().ok_or(FAULT)?;
    let [bits, rows_high, rows_low, columns_high, columns_low, count] = *head;
    let rows = u16::from_be_bytes([rows_high, rows_low]);
    let columns = u16::from_be_bytes([columns_high, columns_low]);
    if !(2..=16).contains(&bits)
        || columns == 0
        || count == 0
        || components.len() != 3 * usize::from(count)
    {
        return Err(FAULT);
    }
    if rows == 0 {
        return Err(Fault::Unsupported(
            "a JPEG-LS frame whose height comes later",
        ));
    }
    if count > 4 {
        return Err(Fault::Unsupported("JPEG-LS of more than 4 components"));
    }
    let mut ids = Vec::with_capacity(count.into());
    for component in components.chunks_exact(3) {
        if ids.contains(&component[0]) {
            return Err(FAULT);
        }
        if component[1] != components[1] {
            return Err(Fault::Unsupported("JPEG-LS with subsampled components"));
        }
        ids.push(component[0]);
    }
    Ok(Frame {
        bits: bits.into(),
        rows,
        columns,
        components: ids,
    })
}

/// §C.2.5: two, three or four bytes.
fn interval(body: &[u8]) -> Result<u32, Fault> {
    if !(2..=4).contains(&body.len()) {
        return Err(Fault::Malformed("the restart interval of a JPEG-LS stream"));
    }
    Ok(body
        .iter()
        .fold(0, |value, byte| value << 8 | u32::from(*byte)))
}

/// `None` for segments of others.
fn transform(body: &[u8]) -> Result<Option<Option<Transform>>, Fault> {
    Ok(match body {
        [b'm', b'r', b'f', b'x', kind] => Some(match kind {
            0 => None,
            1 => Some(Transform::Hp1),
            2 => Some(Transform::Hp2),
            3 => Some(Transform::Hp3),
            _ => return Err(Fault::Unsupported("this color transform of JPEG-LS")),
        }),
        _ => None,
    })
}

/// The head of a stream of one lossless scan with default parameters, its components by line.
///
/// Above 12 bits the defaults are written out, as CharLS does: some older decoders have others.
pub(super) fn write(frame: &Frame, preset: &Preset) -> Vec<u8> {
    let mut bytes = vec![0xFF, START_OF_IMAGE];
    let count = frame.components.len() as u8;
    let mut body = vec![frame.bits as u8];
    body.extend(frame.rows.to_be_bytes());
    body.extend(frame.columns.to_be_bytes());
    body.push(count);
    for id in &frame.components {
        body.extend([*id, 0x11, 0]);
    }
    segment(&mut bytes, FRAME, &body);
    if frame.bits > 12 {
        let mut body = vec![1];
        let Preset {
            maxval,
            t1,
            t2,
            t3,
            reset,
        } = *preset;
        for value in [maxval, t1, t2, t3, reset] {
            body.extend((value as u16).to_be_bytes());
        }
        segment(&mut bytes, PRESET, &body);
    }
    let mut body = vec![count];
    for id in &frame.components {
        body.extend([*id, 0]);
    }
    body.extend([0, u8::from(count > 1), 0]);
    segment(&mut bytes, START_OF_SCAN, &body);
    bytes
}

fn segment(bytes: &mut Vec<u8>, marker: u8, body: &[u8]) {
    bytes.extend([0xFF, marker]);
    bytes.extend((body.len() as u16 + 2).to_be_bytes());
    bytes.extend_from_slice(body);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_those_of_the_standard() {
        // Table C.3 for 8 bits; the others by the formula, as CharLS 2.4 writes them.
        for (maxval, near, thresholds) in [
            (255, 0, [3, 7, 21]),
            (255, 3, [12, 22, 42]),
            (1023, 0, [6, 19, 72]),
            (4095, 0, [18, 67, 276]),
            (65_535, 0, [18, 67, 276]),
            (127, 0, [2, 3, 10]),
            (15, 0, [2, 3, 4]),
            (3, 0, [2, 3, 3]),
            (1, 0, [1, 1, 1]),
        ] {
            let Preset { t1, t2, t3, .. } = Preset::new(maxval, near);
            assert_eq!([t1, t2, t3], thresholds, "{maxval} {near}");
        }
    }
}
