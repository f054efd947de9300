//! What is no plain image and has a picture all the same: which objects these are, and their way from
//! stored bytes to the words of [`imaging`]. Waveforms and structure sets have one
//! picture each, segmentations and dose grids one a frame.

use std::collections::HashMap;

use bytes::Bytes;
use dicom_core::VR;

use super::frames::{FrameError, Frames};
use super::picture::PictureError;
use crate::archive::{Archive, DatasetReader, Located};
use crate::dicom::header::BulkValue;
use crate::dicom::walk::ByteOrder;
use crate::imaging::{
    self, DoseGrid, ImageMetadata, PixelDescription, Segments, StructureSet, Waveforms,
};

/// Waveform storage, presentation states among them (PS3.4 Table B.5-1).
const WAVEFORM_CLASSES: &str = "1.2.840.10008.5.1.4.1.1.9.";
const WAVEFORM_STATES: &str = "1.2.840.10008.5.1.4.1.1.9.100.";
const ECG_CLASSES: &str = "1.2.840.10008.5.1.4.1.1.9.1.";
const STRUCTURE_SET: &str = "1.2.840.10008.5.1.4.1.1.481.3";
const DOSE: &str = "1.2.840.10008.5.1.4.1.1.481.2";
const SEGMENTATIONS: [&str; 2] = [
    "1.2.840.10008.5.1.4.1.1.66.4",
    "1.2.840.10008.5.1.4.1.1.66.7",
];

/// How much of the samples of a waveform is read at a time. Bytes.
const CHUNK_BYTES: usize = 1 << 20;
/// The longest linked contour, and all those of an instance together. Bytes.
const CONTOUR_BYTES_MAX: u64 = 16 << 20;
const CONTOURS_BYTES_MAX: u64 = 128 << 20;
/// A dose grid with more bytes of frames is not searched for its highest dose: each frame then has
/// its own scale.
const GRID_BYTES_MAX: u64 = 256 << 20;

/// Objects without frames that are drawn as one picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Whole {
    Waveform { is_ecg: bool },
    Contours,
}

impl Whole {
    pub(super) fn of_class(sop_class: &str) -> Option<Self> {
        if sop_class == STRUCTURE_SET {
            Some(Self::Contours)
        } else if sop_class.starts_with(WAVEFORM_CLASSES) && !sop_class.starts_with(WAVEFORM_STATES)
        {
            let is_ecg = sop_class.starts_with(ECG_CLASSES);
            Some(Self::Waveform { is_ecg })
        } else {
            None
        }
    }
}

/// Whether instances of a SOP class have no frames, but a picture all the same.
#[must_use]
pub fn is_drawn_whole(sop_class: &str) -> bool {
    Whole::of_class(sop_class).is_some()
}

/// How many pictures there are of an instance: one a frame, as a rule.
#[must_use]
pub fn pictures(located: &Located) -> u32 {
    match located.frames.len() {
        0 if is_drawn_whole(located.sop_class_uid.as_str()) => 1,
        frames => frames,
    }
}

/// What the frames of an instance are painted as.
pub(super) enum Paint {
    Plain,
    Segments(Segments),
    Dose {
        grid: DoseGrid,
        archive: Archive,
        /// The highest stored value of all frames, once it is known.
        highest: Option<f64>,
    },
}

impl Paint {
    pub(super) fn of(archive: &Archive, sop_class: &str, metadata: &ImageMetadata) -> Self {
        if SEGMENTATIONS.contains(&sop_class) {
            Segments::of(metadata).map_or(Self::Plain, Self::Segments)
        } else if sop_class == DOSE {
            Self::Dose {
                grid: DoseGrid::of(metadata),
                archive: archive.clone(),
                highest: None,
            }
        } else {
            Self::Plain
        }
    }

    /// Makes a frame ready to be drawn.
    pub(super) fn apply(
        &mut self,
        frames: &mut Frames,
        number: u32,
        mut description: PixelDescription,
        has_window: bool,
    ) -> Result<(Vec<u8>, PixelDescription), PictureError> {
        match self {
            Self::Segments(segments) => {
                segments.paint(frames.metadata(), number, &mut description);
            }
            Self::Dose { grid, .. } if has_window => grid.in_units(&mut description),
            Self::Dose {
                highest, archive, ..
            } if DoseGrid::is_plain(&description) => {
                let frame = frames.frame(number)?;
                let full = match *highest {
                    Some(highest) => highest,
                    None if is_searched(frames) => {
                        *highest.insert(highest_of(archive, frames, &description)?)
                    }
                    None => DoseGrid::highest(&frame, &description)?,
                };
                return Ok(DoseGrid::wash(&frame, &description, full)?);
            }
            Self::Dose { .. } | Self::Plain => {}
        }
        Ok((frames.frame(number)?, description))
    }
}

fn is_searched(frames: &Frames) -> bool {
    let count = u64::from(frames.located().frames.len());
    count.saturating_mul(frames.native().frame_bytes()) <= GRID_BYTES_MAX
}

/// The highest stored value of the grid. It is kept for the next of its pictures.
fn highest_of(
    archive: &Archive,
    frames: &mut Frames,
    description: &PixelDescription,
) -> Result<f64, PictureError> {
    let identity = format!("{:?} highest", frames.located().digest);
    let known = archive.made(*blake3::hash(identity.as_bytes()).as_bytes(), || {
        let mut highest = 0.0_f64;
        for number in 1..=frames.located().frames.len() {
            let frame = frames.frame(number)?;
            highest = highest.max(DoseGrid::highest(&frame, description)?);
        }
        Ok::<_, PictureError>(Bytes::copy_from_slice(&highest.to_le_bytes()))
    })?;
    let bytes = <[u8; 8]>::try_from(&known[..]).unwrap_or_default();
    Ok(f64::from_le_bytes(bytes))
}

/// Values that the metadata link, by their paths.
pub(super) struct Samples<'a> {
    pub(super) dataset: &'a mut DatasetReader,
    pub(super) bulk: &'a [BulkValue],
    pub(super) order: ByteOrder,
}

impl Samples<'_> {
    /// A structure set with all its contours.
    pub(super) fn structure_set(&mut self, metadata: &[u8]) -> Result<StructureSet, PictureError> {
        let mut set = StructureSet::parse(metadata)?;
        let spans: HashMap<&str, (u64, u64)> = self
            .bulk
            .iter()
            .filter_map(|value| Some((&*value.path, value.span?)))
            .collect();
        let mut left = CONTOURS_BYTES_MAX;
        let too_long = imaging::Error::Unsupported("a contour this long");
        set.complete(|path| {
            let Some((offset, length)) = spans.get(path).copied() else {
                return Ok(None);
            };
            left = left
                .checked_sub(length)
                .filter(|_| length <= CONTOUR_BYTES_MAX)
                .ok_or(PictureError::Undrawable(too_long.clone()))?;
            let mut text = vec![0; length as usize];
            self.dataset.read_at(offset, &mut text)?;
            Ok::<_, PictureError>(Some(text))
        })?;
        Ok(set)
    }

    /// Waveforms with as many samples as are drawn.
    pub(super) fn waveforms(
        &mut self,
        metadata: &ImageMetadata,
        is_ecg: bool,
    ) -> Result<Waveforms, PictureError> {
        let mut waveforms = Waveforms::of(metadata, is_ecg)?;
        for samples in waveforms.wanted() {
            let value = self.bulk.iter().find(|value| value.path == samples.path);
            let (vr, (offset, length)) = value
                .and_then(|value| Some((value.vr, value.span?)))
                .ok_or(imaging::Error::CutOff)?;
            if length < samples.bytes {
                return Err(imaging::Error::CutOff.into());
            }
            // At least one set, of which the metadata have bounded the size.
            let whole = (CHUNK_BYTES / samples.set_bytes).max(1) * samples.set_bytes;
            let is_turned = self.order == ByteOrder::Big && vr != VR::OB;
            // Words are turned whole: two sets of an odd size are none of half words.
            let whole = if is_turned { whole * 2 } else { whole };
            let mut at = 0;
            while at < samples.bytes {
                let wanted = (samples.bytes - at).min(whole as u64) as usize;
                let mut chunk = vec![0; wanted];
                if is_turned && (wanted as u64).next_multiple_of(2) <= length - at {
                    chunk.resize(wanted.next_multiple_of(2), 0);
                }
                self.dataset.read_at(offset + at, &mut chunk)?;
                if is_turned {
                    let cells = chunk.chunks_exact_mut(samples.sample_bytes.max(2));
                    cells.for_each(<[u8]>::reverse);
                }
                waveforms.feed(samples.group, &chunk[..wanted]);
                at += wanted as u64;
            }
        }
        Ok(waveforms)
    }
}

/// Whether frames of this instance can be drawn, as far as its row of the index tells.
///
/// # Errors
/// Why not.
pub fn drawable(located: &Located) -> Result<(), PictureError> {
    match super::frames::decodable(located) {
        Err(FrameError::NoPixels) if pictures(located) == 1 => Ok(()),
        Err(error) => Err(error.into()),
        Ok(_) => Ok(()),
    }
}
