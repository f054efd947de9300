//! Photographs and scans as people have them, JPEG and PNG, made into pixels that DICOM can hold.
//!
//! A baseline JPEG that lies the right way up keeps its codestream: only what decoding needs, so neither the place where it
//! was taken nor a thumbnail of what was cut away goes along (§B.2.4.6 of ISO/IEC 10918-1: APPn; CIPA DC-008). Others,
//! turned by Exif or progressive, are decoded. Nothing is decoded that has more than [`PIXELS_MAX`].

use std::io::Cursor;

use super::codec::{Bounds, Color, jpeg};
use super::codestream::{self, Fault};
use super::color::rgb_of_ybr;
use super::still;
use crate::dicom::brought::{Picture, Pixels};

/// The most pixels of a picture that has to be decoded: 120 MB in color.
pub const PIXELS_MAX: u64 = 40_000_000;

const SOI: u8 = 0xD8;
const EOI: u8 = 0xD9;
const SOS: u8 = 0xDA;
const BASELINE: u8 = 0xC0;
/// Entries of an Exif directory that are looked at.
const ENTRIES_MAX: usize = 512;

/// Reads a JPEG or PNG file.
///
/// # Errors
/// When it is neither, is cut off, too large, or of a kind that we do not decode (CMYK, arithmetic coding).
pub fn photograph(file: &[u8]) -> Result<Picture, Fault> {
    match file {
        [0xFF, SOI, ..] => photo(file),
        [0x89, b'P', b'N', b'G', ..] => scan(file),
        _ => Err(Fault::Malformed("the beginning of a picture")),
    }
}

/// Reads a JPEG or PNG file that shows a page of paper: how far it is to be turned stands beside it, in degrees clockwise, so
/// that nearly every JPEG keeps its codestream.
///
/// # Errors
/// As [`photograph`].
pub fn page(file: &[u8]) -> Result<(Picture, u16), Fault> {
    let turned = |orientation| match orientation {
        1 => Some(0),
        3 => Some(180),
        6 => Some(90),
        8 => Some(270),
        _ => None,
    };
    if file.starts_with(&[0xFF, SOI]) {
        let bare = bare(file)?;
        if let (Some((kind, 8, rows @ 1.., columns @ 1.., samples @ (1 | 3))), Some(turned)) =
            (bare.frame, turned(bare.orientation))
            // Sequential or progressive, with Huffman codes (ISO 32000-1 §7.4.8).
            && matches!(kind, BASELINE..=0xC2)
        {
            let picture = Picture {
                rows,
                columns,
                samples: samples.into(),
                bits: 8,
                photometric: if samples == 3 {
                    "YBR_FULL_422"
                } else {
                    "MONOCHROME2"
                },
                lossy_ratio: None,
                pixels: Pixels::Jpeg(bare.codestream),
            };
            return Ok((picture, turned));
        }
    }
    Ok((photograph(file)?, 0))
}

/// A JPEG without what decoding does not need.
struct Bare {
    codestream: Vec<u8>,
    /// The last byte of the frame's marker, and its sample precision, rows, columns, components.
    frame: Option<(u8, u8, u16, u16, u8)>,
    /// As Exif has it, 1 to 8.
    orientation: u8,
}

fn photo(file: &[u8]) -> Result<Picture, Fault> {
    let bare = bare(file)?;
    let (kind, bits, rows, columns, samples) = bare
        .frame
        .ok_or(Fault::Malformed("a JPEG stream without a frame"))?;
    if bits != 8 || !matches!(samples, 1 | 3) {
        return Err(Fault::Unsupported(
            "JPEG of other than 1 or 3 components of 8 bits",
        ));
    }
    if rows == 0 || columns == 0 {
        return Err(Fault::Malformed("an image without pixels"));
    }
    let size = u64::from(rows) * u64::from(columns);
    let native = size * u64::from(samples);
    let lossy_ratio = Some(native as f64 / bare.codestream.len().max(1) as f64);
    if let Some(photometric) = kept_as(&bare, kind)? {
        return Ok(Picture {
            rows,
            columns,
            samples: samples.into(),
            bits: 8,
            photometric,
            lossy_ratio,
            pixels: Pixels::Jpeg(bare.codestream),
        });
    }
    if size > PIXELS_MAX {
        return Err(Fault::Unsupported("a picture of so many pixels"));
    }
    let bounds = Bounds {
        rows: rows.into(),
        columns: columns.into(),
        samples: samples.into(),
        bits_allocated: 8,
    };
    let mut raster = jpeg::decode(&bare.codestream, &bounds)?;
    if samples == 3 && raster.color != Color::Rgb {
        for pixel in raster.bytes.chunks_exact_mut(3) {
            pixel.copy_from_slice(&rgb_of_ybr([pixel[0], pixel[1], pixel[2]]));
        }
    }
    let (bytes, is_on_its_side) = upright(
        raster.bytes,
        (rows.into(), columns.into()),
        samples.into(),
        bare.orientation,
    );
    let (rows, columns) = match is_on_its_side {
        true => (columns, rows),
        false => (rows, columns),
    };
    Ok(Picture {
        rows,
        columns,
        samples: samples.into(),
        bits: 8,
        photometric: if samples == 3 { "RGB" } else { "MONOCHROME2" },
        lossy_ratio,
        pixels: Pixels::Native(bytes),
    })
}

/// (0028,0004) of a codestream that can be kept as it is: baseline, the right way up, of one component or with less chroma
/// than luminance (PS3.5 §8.2.1).
fn kept_as(bare: &Bare, kind: u8) -> Result<Option<&'static str>, Fault> {
    if kind != BASELINE || bare.orientation != 1 {
        return Ok(None);
    }
    let told = codestream::read("image/jpeg", &mut Cursor::new(&bare.codestream))?;
    let photometric = told.and_then(|told| told.photometric.first().copied());
    Ok(photometric.filter(|word| matches!(*word, "MONOCHROME2" | "YBR_FULL_422")))
}

/// Takes the first image of a file apart, marker by marker; what follows its end is left out.
fn bare(file: &[u8]) -> Result<Bare, Fault> {
    let mut bare = Bare {
        codestream: vec![0xFF, SOI],
        frame: None,
        orientation: 1,
    };
    let mut at = 2;
    loop {
        let (marker, after) = marker(file, at)?;
        if marker == EOI {
            bare.codestream.extend([0xFF, EOI]);
            return Ok(bare);
        }
        let length = file.get(after..after + 2).ok_or(Fault::CutOff)?;
        let length = usize::from(u16::from_be_bytes([length[0], length[1]]));
        let body = file
            .get(after + 2..after + length.max(2))
            .ok_or(Fault::CutOff)?;
        at = after + length.max(2);
        match marker {
            0xE0..=0xEF | 0xFE => bare.application(marker, body),
            SOS => {
                bare.keep(marker, body);
                let end = scan_end(file, at)?;
                bare.codestream.extend_from_slice(&file[at..end]);
                at = end;
            }
            // DHT, JPG and DAC stand among the frame markers.
            0xC0..=0xCF if !matches!(marker, 0xC4 | 0xC8 | 0xCC) => {
                if bare.frame.is_some() {
                    return Err(Fault::Unsupported("hierarchical JPEG"));
                }
                let [bits, a, b, c, d, samples, ..] = *body else {
                    return Err(Fault::Malformed("the frame header of a JPEG stream"));
                };
                let (rows, columns) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
                bare.frame = Some((marker, bits, rows, columns, samples));
                bare.keep(marker, body);
            }
            _ => bare.keep(marker, body),
        }
    }
}

impl Bare {
    fn keep(&mut self, marker: u8, body: &[u8]) {
        // It had a length of 16 bits when it was read.
        let length = u16::try_from(body.len() + 2).unwrap_or(u16::MAX);
        self.codestream.extend([0xFF, marker]);
        self.codestream.extend(length.to_be_bytes());
        self.codestream.extend_from_slice(body);
    }

    /// What of application segments and comments decoding needs: what the colors are.
    fn application(&mut self, marker: u8, body: &[u8]) {
        match marker {
            // Without the thumbnail that may follow.
            0xE0 if body.starts_with(b"JFIF\0") && body.len() >= 12 => {
                let told = [&body[..12], &[0, 0]].concat();
                self.keep(marker, &told);
            }
            0xEE if body.starts_with(b"Adobe") && body.len() >= 12 => {
                self.keep(marker, &body[..12])
            }
            0xE1 => {
                if let Some(found) = body.strip_prefix(b"Exif\0\0").and_then(orientation) {
                    self.orientation = found;
                }
            }
            _ => {}
        }
    }
}

/// The next marker from `at` on, past fill bytes, and where its segment begins.
fn marker(file: &[u8], mut at: usize) -> Result<(u8, usize), Fault> {
    if *file.get(at).ok_or(Fault::CutOff)? != 0xFF {
        return Err(Fault::Malformed("a JPEG marker"));
    }
    while *file.get(at).ok_or(Fault::CutOff)? == 0xFF {
        at += 1;
    }
    match file[at] {
        0 | 1 | 0xD0..=SOI => Err(Fault::Malformed("a JPEG marker")),
        marker => Ok((marker, at + 1)),
    }
}

/// Where entropy-coded data ends: at a marker that is neither a stuffed byte nor a restart.
fn scan_end(file: &[u8], from: usize) -> Result<usize, Fault> {
    let mut at = from;
    loop {
        let rest = file.get(at..).ok_or(Fault::CutOff)?;
        let place = at + memchr::memchr(0xFF, rest).ok_or(Fault::CutOff)?;
        match file.get(place + 1).ok_or(Fault::CutOff)? {
            0 | 0xD0..=0xD7 => at = place + 2,
            0xFF => at = place + 1,
            _ => return Ok(place),
        }
    }
}

/// Orientation (0112) of the first directory of Exif.
fn orientation(tiff: &[u8]) -> Option<u8> {
    let is_big = match tiff.get(..4)? {
        b"MM\0*" => true,
        b"II*\0" => false,
        _ => return None,
    };
    let short = |at: usize| {
        let bytes = tiff.get(at..at.checked_add(2)?)?.try_into().ok()?;
        Some(match is_big {
            true => u16::from_be_bytes(bytes),
            false => u16::from_le_bytes(bytes),
        })
    };
    let long = |at: usize| {
        let (first, second) = (u32::from(short(at)?), u32::from(short(at.checked_add(2)?)?));
        Some(match is_big {
            true => first << 16 | second,
            false => second << 16 | first,
        })
    };
    let directory = usize::try_from(long(4)?).ok()?;
    let entries = usize::from(short(directory)?).min(ENTRIES_MAX);
    (0..entries).find_map(|entry| {
        let at = directory.checked_add(2 + 12 * entry)?;
        let is_it = short(at)? == 0x0112 && short(at + 2)? == 3;
        let value = u8::try_from(short(at + 8)?).ok()?;
        (is_it && (1..=8).contains(&value)).then_some(value)
    })
}

/// Turns pixels as Exif's orientation says: what is stored becomes what people see. Tells whether rows became columns.
fn upright(
    pixels: Vec<u8>,
    (rows, columns): (usize, usize),
    samples: usize,
    orientation: u8,
) -> (Vec<u8>, bool) {
    if orientation == 1 {
        return (pixels, false);
    }
    let is_on_its_side = orientation >= 5;
    let (height, width) = match is_on_its_side {
        true => (columns, rows),
        false => (rows, columns),
    };
    let mut turned = Vec::with_capacity(pixels.len());
    for y in 0..height {
        for x in 0..width {
            let (row, column) = match orientation {
                2 => (y, columns - 1 - x),
                3 => (rows - 1 - y, columns - 1 - x),
                4 => (rows - 1 - y, x),
                5 => (x, y),
                6 => (rows - 1 - x, y),
                7 => (rows - 1 - x, columns - 1 - y),
                _ => (x, columns - 1 - y),
            };
            let from = (row * columns + column) * samples;
            turned.extend_from_slice(&pixels[from..from + samples]);
        }
    }
    (turned, is_on_its_side)
}

fn scan(file: &[u8]) -> Result<Picture, Fault> {
    let side = |at: usize| {
        let bytes = file.get(at..at + 4)?.try_into().ok()?;
        Some(u32::from_be_bytes(bytes))
    };
    let (Some(columns), Some(rows)) = (side(16), side(20)) else {
        return Err(Fault::CutOff);
    };
    if u64::from(columns) * u64::from(rows) > PIXELS_MAX {
        return Err(Fault::Unsupported("a picture of so many pixels"));
    }
    let mut bytes = Vec::new();
    let told = still::png(Cursor::new(file), |row| {
        bytes.extend_from_slice(row);
        Ok::<_, Fault>(())
    })?;
    let mut bits = told.bits;
    // Colors have eight bits in a Secondary Capture; values of grey keep all of theirs.
    if bits == 16 && told.samples == 3 {
        bytes = bytes.chunks_exact(2).map(|pair| pair[1]).collect();
        bits = 8;
    }
    let side = |length: u32| {
        u16::try_from(length)
            .map_err(|_| Fault::Unsupported("a picture of so many rows or columns"))
    };
    let sample_bytes = if bits == 16 { 2 } else { 1 };
    let wanted =
        told.rows as usize * told.columns as usize * usize::from(told.samples) * sample_bytes;
    if bytes.len() != wanted {
        return Err(Fault::CutOff);
    }
    Ok(Picture {
        rows: side(told.rows)?,
        columns: side(told.columns)?,
        samples: told.samples,
        bits,
        photometric: if told.samples == 3 {
            "RGB"
        } else {
            "MONOCHROME2"
        },
        lossy_ratio: None,
        pixels: Pixels::Native(bytes),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(marker: u8, body: &[u8]) -> Vec<u8> {
        let length = u16::try_from(body.len() + 2).unwrap().to_be_bytes();
        [&[0xFF, marker][..], &length, body].concat()
    }

    fn exif(orientation: u8) -> Vec<u8> {
        let mut body = b"Exif\0\0II*\0\x08\0\0\0\x02\0".to_vec();
        // GPS first, to be left behind.
        body.extend(b"\x25\x88\x04\0\x01\0\0\0SECR");
        body.extend([0x12, 1, 3, 0, 1, 0, 0, 0, orientation, 0, 0, 0]);
        segment(0xE1, &body)
    }

    fn file(before: &[u8]) -> Vec<u8> {
        [
            &[0xFF, SOI][..],
            before,
            &segment(0xC0, &[8, 0, 2, 0, 3, 1, 1, 0x11, 0]),
            &segment(SOS, &[1, 1, 0, 0, 63, 0]),
            &[0x12, 0xFF, 0, 0xFF, 0xD0, 0x34],
            &[0xFF, EOI],
            b"what a camera hides behind the picture",
        ]
        .concat()
    }

    #[test]
    fn nothing_but_the_picture_is_kept() {
        let jfif = segment(0xE0, b"JFIF\0\x01\x02\0\0\x01\0\x01\x01\x01RGB");
        let xmp = segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0SECRET");
        let told = [exif(1), jfif, xmp, segment(0xFE, b"SECRET")].concat();
        let bare = bare(&file(&told)).unwrap();
        let has = |text: &[u8]| bare.codestream.windows(text.len()).any(|w| w == text);
        assert!(!has(b"SECR") && !has(b"Exif") && !has(b"RGB") && !has(b"camera"));
        assert!(has(b"JFIF\0\x01\x02\0\0\x01\0\x01\0\0"));
        assert_eq!(
            bare.codestream[bare.codestream.len() - 4..],
            [0xD0, 0x34, 0xFF, EOI]
        );
        let picture = photograph(&file(&told)).unwrap();
        assert_eq!((picture.rows, picture.columns, picture.samples), (2, 3, 1));
        assert!(matches!(picture.pixels, Pixels::Jpeg(_)));
        let whole = file(&told);
        for cut in 0..whole.len() - 39 {
            assert!(photograph(&whole[..cut]).is_err(), "{cut}");
        }
    }

    #[test]
    fn orientations_are_those_of_exif() {
        for (orientation, expected) in [
            (1, [1, 2, 3, 4, 5, 6]),
            (2, [3, 2, 1, 6, 5, 4]),
            (3, [6, 5, 4, 3, 2, 1]),
            (4, [4, 5, 6, 1, 2, 3]),
            (5, [1, 4, 2, 5, 3, 6]),
            (6, [4, 1, 5, 2, 6, 3]),
            (7, [6, 3, 5, 2, 4, 1]),
            (8, [3, 6, 2, 5, 1, 4]),
        ] {
            let (turned, is_on_its_side) = upright(vec![1, 2, 3, 4, 5, 6], (2, 3), 1, orientation);
            assert_eq!(turned, expected, "{orientation}");
            assert_eq!(is_on_its_side, orientation >= 5);
            let bare = bare(&file(&exif(orientation))).unwrap();
            assert_eq!(bare.orientation, orientation);
        }
        assert_eq!(bare(&file(&exif(9))).unwrap().orientation, 1);
        assert_eq!(orientation(b"II*\0\xFF\xFF\xFF\xFF"), None);
    }
}
