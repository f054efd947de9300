//! The Image Pixel module (PS3.3 §C.7.6.3) of a data set that is being made: what the pixel data
//! themselves say is filled in where it was left out, and contradicts what was said wrongly
//! (PS3.18 §10.5.2, Table 10.5.2-1).

use dicom_core::{Tag, VR};

use super::codestream::Codestream;
use crate::dicom::Dataset;
use crate::dicom::dataset::{Element, Value};

/// Why pixel data and data set do not go together. Texts name attributes, never values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Mismatch {
    /// Nothing says it.
    #[error("{0} is missing and cannot be told from the pixel data")]
    Missing(&'static str),
    /// The pixel data say something else.
    #[error("{0} contradicts the pixel data")]
    Contradicted(&'static str),
    /// It is no number, or none of those allowed.
    #[error("{0} is malformed")]
    Malformed(&'static str),
    /// There are fewer or more bytes than the attributes ask for.
    #[error("the length of the pixel data is not that of its rows, columns, samples and frames")]
    Length,
}

type Name = (Tag, &'static str);

const SAMPLES: Name = (Tag(0x0028, 0x0002), "SamplesPerPixel");
const PHOTOMETRIC: Name = (Tag(0x0028, 0x0004), "PhotometricInterpretation");
const PLANAR: Name = (Tag(0x0028, 0x0006), "PlanarConfiguration");
const FRAMES: Name = (Tag(0x0028, 0x0008), "NumberOfFrames");
const ROWS: Name = (Tag(0x0028, 0x0010), "Rows");
const COLUMNS: Name = (Tag(0x0028, 0x0011), "Columns");
const ALLOCATED: Name = (Tag(0x0028, 0x0100), "BitsAllocated");
const STORED: Name = (Tag(0x0028, 0x0101), "BitsStored");
const HIGH: Name = (Tag(0x0028, 0x0102), "HighBit");
const REPRESENTATION: Name = (Tag(0x0028, 0x0103), "PixelRepresentation");
const LOSSY: Name = (Tag(0x0028, 0x2110), "LossyImageCompression");
const RATIO: Name = (Tag(0x0028, 0x2112), "LossyImageCompressionRatio");
const METHOD: Name = (Tag(0x0028, 0x2114), "LossyImageCompressionMethod");

/// Fills in what `found` knows, and holds what was said against it.
///
/// # Errors
/// [`Mismatch::Contradicted`], [`Mismatch::Malformed`]; `Missing` for a photometric interpretation
/// that the codestream leaves open.
pub fn complete(dataset: &mut Dataset, found: &Codestream) -> Result<(), Mismatch> {
    exactly(dataset, ROWS, found.rows)?;
    exactly(dataset, COLUMNS, found.columns)?;
    exactly(dataset, SAMPLES, found.samples.into())?;
    match text(dataset, PHOTOMETRIC) {
        None => {
            let first = found.photometric.first();
            set_text(
                dataset,
                PHOTOMETRIC,
                VR::CS,
                first.ok_or(Mismatch::Missing(PHOTOMETRIC.1))?,
            );
        }
        Some(said) if found.photometric.is_empty() || found.photometric.contains(&&*said) => {}
        Some(_) => return Err(Mismatch::Contradicted(PHOTOMETRIC.1)),
    }
    if found.samples > 1 && number(dataset, PLANAR)?.is_none() {
        set_number(dataset, PLANAR, 0);
    }
    depth(dataset, found.bits)?;
    match (found.is_signed, number(dataset, REPRESENTATION)?) {
        (signed, None) => {
            set_number(dataset, REPRESENTATION, signed.unwrap_or_default().into());
        }
        (Some(signed), Some(said)) if said != u32::from(signed) => {
            return Err(Mismatch::Contradicted(REPRESENTATION.1));
        }
        _ => {}
    }
    Ok(())
}

/// Fewer bits may be stored than the codestream has room for, never more.
fn depth(dataset: &mut Dataset, bits: u16) -> Result<(), Mismatch> {
    let bits = u32::from(bits);
    let least = match bits {
        0..=8 => 8,
        9..=16 => 16,
        _ => 32,
    };
    let allocated = or_set(dataset, ALLOCATED, least)?;
    let stored = or_set(dataset, STORED, bits)?;
    let high = or_set(dataset, HIGH, stored.saturating_sub(1))?;
    if allocated < bits || ![8, 16, 32].contains(&allocated) {
        return Err(Mismatch::Contradicted(ALLOCATED.1));
    }
    if stored == 0 || stored > bits {
        return Err(Mismatch::Contradicted(STORED.1));
    }
    if high >= allocated || high + 1 < stored {
        return Err(Mismatch::Contradicted(HIGH.1));
    }
    Ok(())
}

/// Sets or checks the number of frames; one frame needs no word.
///
/// # Errors
/// [`Mismatch::Contradicted`].
pub fn complete_frames(dataset: &mut Dataset, frames: u32) -> Result<(), Mismatch> {
    match said_frames(dataset)? {
        Some(said) if said == frames => Ok(()),
        Some(_) => Err(Mismatch::Contradicted(FRAMES.1)),
        None => {
            if frames > 1 {
                set_text(dataset, FRAMES, VR::IS, &frames.to_string());
            }
            Ok(())
        }
    }
}

/// The number of frames that the data set says.
///
/// # Errors
/// [`Mismatch::Malformed`].
pub fn said_frames(dataset: &Dataset) -> Result<Option<u32>, Mismatch> {
    text(dataset, FRAMES)
        .map(|said| match said.trim().parse() {
            Ok(frames) if frames > 0 => Ok(frames),
            _ => Err(Mismatch::Malformed(FRAMES.1)),
        })
        .transpose()
}

/// Says that something was lost, by which method, and how much smaller it became.
///
/// # Errors
/// [`Mismatch::Contradicted`] when the data set says that nothing was lost.
pub fn note_loss(dataset: &mut Dataset, method: &str, compressed: u64) -> Result<(), Mismatch> {
    match text(dataset, LOSSY).as_deref() {
        None => set_text(dataset, LOSSY, VR::CS, "01"),
        Some("01") => {}
        Some(_) => return Err(Mismatch::Contradicted(LOSSY.1)),
    }
    if text(dataset, METHOD).is_none() {
        set_text(dataset, METHOD, VR::CS, method);
    }
    if text(dataset, RATIO).is_none() && compressed > 0 {
        // Chroma is left out by the compression: of the picture as it was, every sample counts.
        let plain = plain_bytes(dataset, false)?;
        let ratio = format!("{:.2}", plain as f64 / compressed as f64);
        if ratio.len() <= 16 {
            set_text(dataset, RATIO, VR::DS, &ratio);
        }
    }
    Ok(())
}

/// How long the pixel data are when they are native, without padding (PS3.5 §8.1).
///
/// # Errors
/// [`Mismatch::Missing`] when an attribute of the Image Pixel module that every image has is not there.
pub fn native_bytes(dataset: &Dataset) -> Result<u64, Mismatch> {
    plain_bytes(dataset, true)
}

/// `may_share_chroma`: whether pixels side by side may have chroma in common.
fn plain_bytes(dataset: &Dataset, may_share_chroma: bool) -> Result<u64, Mismatch> {
    let needed = |name: Name| number(dataset, name)?.ok_or(Mismatch::Missing(name.1));
    let (rows, columns) = (needed(ROWS)?, needed(COLUMNS)?);
    let (samples, allocated) = (needed(SAMPLES)?, needed(ALLOCATED)?);
    let (_, _, _) = (needed(STORED)?, needed(HIGH)?, needed(REPRESENTATION)?);
    let photometric = text(dataset, PHOTOMETRIC).ok_or(Mismatch::Missing(PHOTOMETRIC.1))?;
    let pixels = u64::from(rows) * u64::from(columns);
    // Chroma of every second pixel (PS3.3 §C.7.6.3.1.2).
    let samples = match &*photometric {
        "YBR_FULL_422" | "YBR_PARTIAL_422" if may_share_chroma => 2,
        _ => u64::from(samples),
    };
    let frames = said_frames(dataset)?.unwrap_or(1);
    pixels
        .checked_mul(samples)
        .and_then(|samples| samples.checked_mul(allocated.into()))
        .and_then(|bits| bits.checked_mul(frames.into()))
        .map(|bits| bits.div_ceil(8))
        .ok_or(Mismatch::Length)
}

/// Whether native pixel data of so many bytes are what the data set describes; one byte of padding
/// may follow.
///
/// # Errors
/// [`Mismatch`].
pub fn check_native(dataset: &Dataset, bytes: u64) -> Result<(), Mismatch> {
    let expected = native_bytes(dataset)?;
    if bytes == expected || (expected % 2 == 1 && bytes == expected + 1) {
        Ok(())
    } else {
        Err(Mismatch::Length)
    }
}

/// (0028,0100), when it is there and sound.
#[must_use]
pub fn bits_allocated(dataset: &Dataset) -> Option<u32> {
    number(dataset, ALLOCATED).ok().flatten()
}

fn exactly(dataset: &mut Dataset, name: Name, found: u32) -> Result<(), Mismatch> {
    match number(dataset, name)? {
        Some(said) if said != found => Err(Mismatch::Contradicted(name.1)),
        Some(_) => Ok(()),
        None => {
            set_number(dataset, name, found);
            Ok(())
        }
    }
}

fn or_set(dataset: &mut Dataset, name: Name, found: u32) -> Result<u32, Mismatch> {
    if let Some(said) = number(dataset, name)? {
        return Ok(said);
    }
    set_number(dataset, name, found);
    Ok(found)
}

/// A US value; absent and empty are the same.
fn number(dataset: &Dataset, (tag, name): Name) -> Result<Option<u32>, Mismatch> {
    match dataset.get(tag).map(|element| &element.value) {
        None => Ok(None),
        Some(Value::Bytes(bytes)) => match bytes[..] {
            [] => Ok(None),
            [low, high] => Ok(Some(u16::from_le_bytes([low, high]).into())),
            _ => Err(Mismatch::Malformed(name)),
        },
        Some(Value::Items(_) | Value::Bulk(_)) => Err(Mismatch::Malformed(name)),
    }
}

fn text(dataset: &Dataset, (tag, _): Name) -> Option<String> {
    let said = dataset.text(tag)?.trim();
    (!said.is_empty()).then(|| said.to_owned())
}

/// The callers' numbers all fit: rows and columns were bounded, the others are small.
fn set_number(dataset: &mut Dataset, (tag, _): Name, number: u32) {
    let number = u16::try_from(number).unwrap_or(u16::MAX);
    dataset.set(Element {
        tag,
        vr: VR::US,
        value: Value::Bytes(number.to_le_bytes().to_vec()),
    });
}

fn set_text(dataset: &mut Dataset, (tag, _): Name, vr: VR, text: &str) {
    let mut bytes = text.as_bytes().to_vec();
    if bytes.len() % 2 == 1 {
        bytes.push(b' ');
    }
    dataset.set(Element {
        tag,
        vr,
        value: Value::Bytes(bytes),
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    const FOUND: Codestream = Codestream {
        rows: 3,
        columns: 5,
        samples: 3,
        bits: 8,
        is_signed: Some(false),
        photometric: &["YBR_RCT"],
        is_lossy: false,
        method: "ISO_15444_1",
        transfer_syntaxes: &[],
        frames: None,
    };

    #[test]
    fn what_was_left_out_is_filled_in() {
        let mut dataset = Dataset::default();
        complete(&mut dataset, &FOUND).unwrap();
        complete_frames(&mut dataset, 2).unwrap();
        let numbers = [
            ROWS,
            COLUMNS,
            SAMPLES,
            PLANAR,
            ALLOCATED,
            STORED,
            HIGH,
            REPRESENTATION,
        ]
        .map(|name| number(&dataset, name).unwrap().unwrap());
        assert_eq!(numbers, [3, 5, 3, 0, 8, 8, 7, 0]);
        assert_eq!(text(&dataset, PHOTOMETRIC).unwrap(), "YBR_RCT");
        assert_eq!(native_bytes(&dataset), Ok(90));
        note_loss(&mut dataset, "ISO_10918_1", 40).unwrap();
        let texts = [LOSSY, METHOD, RATIO].map(|name| text(&dataset, name).unwrap());
        assert_eq!(texts, ["01", "ISO_10918_1", "2.25"]);
        set_text(&mut dataset, PHOTOMETRIC, VR::CS, "YBR_FULL_422");
        dataset.remove(RATIO.0);
        assert_eq!(native_bytes(&dataset), Ok(60));
        note_loss(&mut dataset, "ISO_10918_1", 40).unwrap();
        assert_eq!(text(&dataset, RATIO).unwrap(), "2.25");
        set_text(&mut dataset, PHOTOMETRIC, VR::CS, "YBR_RCT");
        assert_eq!(
            complete(&mut dataset, &FOUND),
            Ok(()),
            "said again, nothing changes"
        );
    }

    #[test]
    fn what_contradicts_is_told() {
        for (name, said) in [
            (ROWS, 4),
            (COLUMNS, 4),
            (SAMPLES, 1),
            (STORED, 9),
            (STORED, 0),
            (ALLOCATED, 12),
            (HIGH, 8),
            (REPRESENTATION, 1),
        ] {
            let mut dataset = Dataset::default();
            set_number(&mut dataset, name, said);
            assert_eq!(
                complete(&mut dataset, &FOUND),
                Err(Mismatch::Contradicted(name.1))
            );
        }
        let mut dataset = Dataset::default();
        set_text(&mut dataset, PHOTOMETRIC, VR::CS, "RGB");
        assert!(complete(&mut dataset, &FOUND).is_err());
        set_text(&mut dataset, LOSSY, VR::CS, "00");
        assert!(note_loss(&mut dataset, "x", 1).is_err());
        set_text(&mut dataset, FRAMES, VR::IS, "3");
        assert!(complete_frames(&mut dataset, 2).is_err());
        assert_eq!(
            native_bytes(&Dataset::default()),
            Err(Mismatch::Missing("Rows"))
        );
    }
}
