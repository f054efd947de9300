//! JPEG (ISO/IEC 10918-1 Annex B) and JPEG-LS (ISO/IEC 14495-1 Annex C): frame and scan header,
//! and the two application segments that say what the colors are.

use std::io::{Read, Seek};

use dicom_dictionary_std::uids;

use super::{Codestream, Fault, MONOCHROME, STEPS_MAX, byte, skip, word};

/// What segments before the first scan have told.
#[derive(Default)]
struct Segments {
    frame: Option<Frame>,
    has_jfif: bool,
    /// The transform byte of Adobe's segment: 0 none, 1 YCbCr, 2 YCCK.
    adobe: Option<u8>,
}

/// A frame header (§B.2.2).
struct Frame {
    /// The last byte of its marker.
    kind: u8,
    precision: u8,
    rows: u16,
    columns: u16,
    /// Identifier and sampling factors (horizontal, vertical) of each component.
    components: Vec<(u8, u8, u8)>,
}

/// What a scan header says beyond its components (§B.2.3): predictor or NEAR, and interleaving.
struct Scan {
    first: u8,
}

const BASELINE: u8 = 0xC0;
const EXTENDED: u8 = 0xC1;
const LOSSLESS: u8 = 0xC3;
const JPEG_LS: u8 = 0xF7;

/// The second name is what DCMTK and GDCM may write, and does no harm.
const SUBSAMPLED: &[&str] = &["YBR_FULL_422", "YBR_FULL"];
const LUMINANCE: &[&str] = &["YBR_FULL", "YBR_FULL_422", "RGB"];
const COLORS: &[&str] = &["RGB", "YBR_FULL", "YBR_FULL_422"];

pub(super) fn read(stream: &mut (impl Read + Seek)) -> Result<Codestream, Fault> {
    if word(stream)? != 0xFFD8 {
        return Err(Fault::Malformed("the beginning of a JPEG stream"));
    }
    let mut segments = Segments::default();
    for _ in 0..STEPS_MAX {
        let marker = marker(stream)?;
        let length = word(stream)?;
        let length = length
            .checked_sub(2)
            .ok_or(Fault::Malformed("the length of a JPEG segment"))?;
        match marker {
            // DHT, JPG and DAC stand among the frame markers.
            0xC4 | 0xC8 | 0xCC => skip(stream, length.into())?,
            0xC0..=0xCF | JPEG_LS if segments.frame.is_some() => {
                return Err(Fault::Unsupported("hierarchical JPEG"));
            }
            0xC0..=0xCF | JPEG_LS => segments.frame = Some(frame(stream, marker, length)?),
            0xDA => return segments.describe(&scan(stream)?),
            0xE0 | 0xE8 | 0xEE => application(stream, &mut segments, marker, length)?,
            0xD9 => break,
            _ => skip(stream, length.into())?,
        }
    }
    Err(Fault::Malformed("a JPEG stream without a scan"))
}

/// The next marker, past fill bytes (§B.1.1.2).
fn marker(stream: &mut impl Read) -> Result<u8, Fault> {
    if byte(stream)? != 0xFF {
        return Err(Fault::Malformed("a JPEG marker"));
    }
    for _ in 0..STEPS_MAX {
        match byte(stream)? {
            0xFF => {}
            0 => break,
            marker => return Ok(marker),
        }
    }
    Err(Fault::Malformed("a JPEG marker"))
}

fn frame(stream: &mut impl Read, kind: u8, length: u16) -> Result<Frame, Fault> {
    let precision = byte(stream)?;
    let (rows, columns) = (word(stream)?, word(stream)?);
    let count = byte(stream)?;
    if usize::from(length) != 6 + 3 * usize::from(count) {
        return Err(Fault::Malformed("the frame header of a JPEG stream"));
    }
    let mut components = Vec::with_capacity(count.into());
    for _ in 0..count {
        let (id, sampling, _table) = (byte(stream)?, byte(stream)?, byte(stream)?);
        components.push((id, sampling >> 4, sampling & 15));
    }
    Ok(Frame {
        kind,
        precision,
        rows,
        columns,
        components,
    })
}

fn scan(stream: &mut (impl Read + Seek)) -> Result<Scan, Fault> {
    let count = byte(stream)?;
    skip(stream, 2 * u64::from(count))?;
    Ok(Scan {
        first: byte(stream)?,
    })
}

/// JFIF's segment says YCbCr; Adobe's says which transform; HP's (`mrfx`) one that DICOM does not know.
fn application(
    stream: &mut (impl Read + Seek),
    segments: &mut Segments,
    marker: u8,
    length: u16,
) -> Result<(), Fault> {
    let mut start = [0; 12];
    let known = start.len().min(length.into());
    stream.read_exact(&mut start[..known])?;
    skip(stream, u64::from(length) - known as u64)?;
    match marker {
        0xE0 if start.starts_with(b"JFIF\0") => segments.has_jfif = true,
        0xEE if start.starts_with(b"Adobe") && known == 12 => segments.adobe = Some(start[11]),
        0xE8 if start.starts_with(b"mrfx") && start[4] != 0 => {
            return Err(Fault::Unsupported("a color transform of JPEG-LS"));
        }
        _ => {}
    }
    Ok(())
}

impl Segments {
    fn describe(&self, scan: &Scan) -> Result<Codestream, Fault> {
        let frame = self
            .frame
            .as_ref()
            .ok_or(Fault::Malformed("a JPEG scan without a frame"))?;
        if frame.rows == 0 {
            return Err(Fault::Unsupported("a JPEG frame whose height comes later"));
        }
        let bits = u16::from(frame.precision);
        if !(2..=16).contains(&bits) {
            return Err(Fault::Malformed("the precision of a JPEG stream"));
        }
        let (transfer_syntaxes, is_lossy, method): (&[&str], _, _) = match (frame.kind, scan.first)
        {
            (BASELINE, _) if bits == 8 => (
                &[uids::JPEG_BASELINE8_BIT, uids::JPEG_EXTENDED12_BIT],
                true,
                METHOD,
            ),
            (EXTENDED, _) if bits == 8 || bits == 12 => {
                (&[uids::JPEG_EXTENDED12_BIT], true, METHOD)
            }
            (LOSSLESS, 1) => (
                &[uids::JPEG_LOSSLESS_SV1, uids::JPEG_LOSSLESS],
                false,
                METHOD,
            ),
            (LOSSLESS, 2..=7) => (&[uids::JPEG_LOSSLESS], false, METHOD),
            (JPEG_LS, 0) => (
                &[uids::JPEGLS_LOSSLESS, uids::JPEGLS_NEAR_LOSSLESS],
                false,
                METHOD_LS,
            ),
            (JPEG_LS, _) => (&[uids::JPEGLS_NEAR_LOSSLESS], true, METHOD_LS),
            _ => {
                return Err(Fault::Unsupported(
                    "this process of JPEG (progressive or arithmetic)",
                ));
            }
        };
        Ok(Codestream {
            rows: frame.rows.into(),
            columns: frame.columns.into(),
            samples: match frame.components.len() {
                1 => 1,
                3 => 3,
                _ => return Err(Fault::Unsupported("JPEG of other than 1 or 3 components")),
            },
            bits,
            is_signed: None,
            photometric: self.photometric(frame)?,
            is_lossy,
            method,
            transfer_syntaxes,
            frames: None,
        })
    }

    /// PS3.5 §8.2.1: subsampled chroma is YBR_FULL_422, whatever way it is subsampled. Without a
    /// word from the stream, a lossy process has made luminance and chroma, a lossless one has not.
    fn photometric(&self, frame: &Frame) -> Result<&'static [&'static str], Fault> {
        let [first, chroma @ ..] = &*frame.components else {
            return Err(Fault::Malformed("a JPEG frame without components"));
        };
        if chroma.is_empty() {
            return Ok(MONOCHROME);
        }
        if chroma
            .iter()
            .any(|(_, horizontal, vertical)| (*horizontal, *vertical) != (first.1, first.2))
        {
            return Ok(SUBSAMPLED);
        }
        let ids: Vec<u8> = frame.components.iter().map(|(id, ..)| *id).collect();
        let is_lossless = matches!(frame.kind, LOSSLESS | JPEG_LS);
        Ok(match self.adobe {
            Some(0) => COLORS,
            Some(_) => LUMINANCE,
            None if self.has_jfif => LUMINANCE,
            None if ids == *b"RGB" || is_lossless => COLORS,
            None => LUMINANCE,
        })
    }
}

/// (0028,2114) (PS3.3 §C.7.6.1.1.5.1).
const METHOD: &str = "ISO_10918_1";
const METHOD_LS: &str = "ISO_14495_1";

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn segment(marker: u8, body: &[u8]) -> Vec<u8> {
        let length = u16::try_from(body.len() + 2).unwrap().to_be_bytes();
        [&[0xFF, marker][..], &length, body].concat()
    }

    /// A stream of 3 rows and 5 columns; `components` by their identifier and sampling.
    fn stream(
        before: &[u8],
        kind: u8,
        precision: u8,
        components: &[(u8, u8)],
        first: u8,
    ) -> Vec<u8> {
        let mut frame = vec![precision, 0, 3, 0, 5, components.len() as u8];
        let mut scan = vec![components.len() as u8];
        for (id, sampling) in components {
            frame.extend([*id, *sampling, 0]);
            scan.extend([*id, 0]);
        }
        scan.extend([first, 63, 0]);
        [
            &[0xFF, 0xD8][..],
            &segment(0xFE, b"a comment"),
            before,
            &segment(0xC4, &[0; 19]),
            &[0xFF],
            &segment(kind, &frame),
            &segment(0xDA, &scan),
            &[1, 2, 3],
        ]
        .concat()
    }

    #[test]
    fn processes_have_their_transfer_syntax() {
        for (kind, precision, first, syntax, is_lossy) in [
            (0xC0, 8, 0, "1.2.840.10008.1.2.4.50", true),
            (0xC1, 12, 0, "1.2.840.10008.1.2.4.51", true),
            (0xC3, 16, 1, "1.2.840.10008.1.2.4.70", false),
            (0xC3, 12, 4, "1.2.840.10008.1.2.4.57", false),
            (0xF7, 10, 0, "1.2.840.10008.1.2.4.80", false),
            (0xF7, 10, 2, "1.2.840.10008.1.2.4.81", true),
        ] {
            let bytes = stream(b"", kind, precision, &[(1, 0x11)], first);
            let found = read(&mut Cursor::new(&bytes)).unwrap();
            assert_eq!((found.rows, found.columns, found.samples), (3, 5, 1));
            assert_eq!(found.bits, u16::from(precision));
            assert_eq!(
                (found.transfer_syntaxes[0], found.is_lossy),
                (syntax, is_lossy)
            );
            assert_eq!(found.photometric[0], "MONOCHROME2");
            for cut in 0..bytes.len() - 6 {
                assert!(read(&mut Cursor::new(&bytes[..cut])).is_err(), "{cut}");
            }
        }
        for kind in [0xC2, 0xC5, 0xC9] {
            let bytes = stream(b"", kind, 8, &[(1, 0x11)], 0);
            assert!(matches!(
                read(&mut Cursor::new(&bytes)),
                Err(Fault::Unsupported(_))
            ));
        }
    }

    #[test]
    fn colors_are_what_the_stream_says_or_the_process_implies() {
        const FULL: &[(u8, u8)] = &[(1, 0x11), (2, 0x11), (3, 0x11)];
        const HALF: &[(u8, u8)] = &[(1, 0x22), (2, 0x11), (3, 0x11)];
        const NAMED: &[(u8, u8)] = &[(b'R', 0x11), (b'G', 0x11), (b'B', 0x11)];
        let jfif = segment(0xE0, b"JFIF\0\x01\x02\0\0\x01\0\x01\0\0");
        let adobe = |transform| segment(0xEE, &[b"Adobe\0\x64\0\0\0\0", &[transform][..]].concat());
        for (before, kind, components, photometric) in [
            (&b""[..], 0xC0, FULL, "YBR_FULL"),
            (&jfif, 0xC0, FULL, "YBR_FULL"),
            (&jfif, 0xC0, HALF, "YBR_FULL_422"),
            (&adobe(0), 0xC0, FULL, "RGB"),
            (&adobe(1), 0xC0, FULL, "YBR_FULL"),
            (b"", 0xC0, NAMED, "RGB"),
            (b"", 0xC3, FULL, "RGB"),
            (b"", 0xF7, FULL, "RGB"),
        ] {
            let bytes = stream(before, kind, 8, components, u8::from(kind == 0xC3));
            let found = read(&mut Cursor::new(&bytes)).unwrap();
            assert_eq!((found.samples, found.photometric[0]), (3, photometric));
        }
    }
}
