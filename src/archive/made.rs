//! An instance with other pixel data than it is stored with: every element as it was, but for those
//! that describe the pixels (PS3.5 §8.2), and the frames decoded or encoded one after the other as
//! they are read. Memory holds one frame.

use std::collections::BTreeMap;
use std::io::Read;

use dicom_core::{Tag, VR};

use super::frames::{FrameError, Frames};
use super::given::failed;
use super::retrieve::STORED_CHUNK_BYTES;
use crate::archive::Error;
use crate::dicom::dataset::{Element, Value};
use crate::dicom::rewrite::encode::{self, ITEM, SEQUENCE_DELIMITER, UNDEFINED};
use crate::dicom::rewrite::{Edit, Recoder, Splicer};
use crate::dicom::walk::{ByteOrder, Encoding, Limits};
use crate::imaging::Shape;
use crate::imaging::codec::{Codec, Fault};

const PHOTOMETRIC: Tag = Tag(0x0028, 0x0004);
const PLANAR: Tag = Tag(0x0028, 0x0006);
const PIXEL_DATA: Tag = Tag(0x7FE0, 0x0010);
/// Group lengths of what changes, and what is said of fragments (PS3.5 §7.2, §A.4).
const OF_STORED_FORM: [Tag; 5] = [
    Tag(0x0028, 0x0000),
    Tag(0x7FE0, 0x0000),
    Tag(0x7FE0, 0x0001),
    Tag(0x7FE0, 0x0002),
    Tag(0x7FE0, 0x0003),
];
pub(super) const EXPLICIT_LITTLE: Encoding = Encoding {
    explicit: true,
    order: ByteOrder::Little,
};

/// What the pixel data become.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Pixels {
    /// Native, by pixel.
    Native,
    /// Encoded without loss, a fragment a frame.
    Encoded(Codec),
}

/// A data set in the making.
pub(super) struct Making {
    /// The (inflated) stored data set.
    source: Box<dyn Read + Send>,
    /// Before it is Explicit VR Little Endian.
    recoder: Option<Box<Recoder>>,
    /// `None` once it has ended.
    splicer: Option<Box<Splicer>>,
    frames: Frames,
    pixels: Pixels,
    /// The next frame; `None` before the first and after the last.
    next: Option<u32>,
    has_pixels: bool,
    /// What comes behind the pixel data, as far as it has been read.
    behind: Vec<u8>,
}

impl Making {
    /// # Errors
    /// When the frames cannot become that.
    pub(super) fn new(
        source: Box<dyn Read + Send>,
        recoder: Option<Box<Recoder>>,
        frames: Frames,
        pixels: Pixels,
        limits: &Limits,
    ) -> Result<Self, FrameError> {
        check(&frames, pixels)?;
        let after = match pixels {
            Pixels::Native => frames.native().clone(),
            Pixels::Encoded(codec) => frames.native().encoded(codec)?,
        };
        let edits = edits(frames.stored(), &after);
        Ok(Self {
            splicer: Some(Box::new(Splicer::new(EXPLICIT_LITTLE, limits, edits))),
            source,
            recoder,
            frames,
            pixels,
            next: None,
            has_pixels: false,
            behind: Vec::new(),
        })
    }

    /// Appends the next bytes. `false` at the end.
    pub(super) fn append(&mut self, out: &mut Vec<u8>) -> Result<bool, Error> {
        if let Some(number) = self.next {
            return self.frame(number, out).map(|()| true);
        }
        if !self.behind.is_empty() {
            out.append(&mut self.behind);
            return Ok(true);
        }
        let unreadable = |fault| Error::broken("rewriting a stored object", fault);
        let Some(splicer) = &mut self.splicer else {
            return Ok(false);
        };
        let mut piece = vec![0; STORED_CHUNK_BYTES];
        let count = self.source.read(&mut piece).map_err(failed)?;
        piece.truncate(count);
        let is_end = count == 0;
        if let Some(recoder) = &mut self.recoder {
            let mut recoded = Vec::new();
            recoder.feed(&piece, &mut recoded).map_err(unreadable)?;
            if let Some(done) = self.recoder.take_if(|_| is_end) {
                done.finish(&mut recoded).map_err(unreadable)?;
            }
            piece = recoded;
        }
        let mut spliced = Vec::new();
        splicer.feed(&piece, &mut spliced).map_err(unreadable)?;
        let gap = splicer.gap();
        if let Some(done) = self.splicer.take_if(|_| is_end) {
            done.finish(&mut spliced).map_err(unreadable)?;
        }
        if let Some(at) = gap {
            self.behind = spliced.split_off(at);
            self.has_pixels = true;
            self.next = Some(1);
            out.append(&mut spliced);
            self.head(out);
        } else {
            out.append(&mut spliced);
        }
        if is_end && !self.has_pixels {
            return Err(Error::broken(
                "rewriting a stored object",
                "its pixel data are not where they were",
            ));
        }
        Ok(true)
    }

    fn head(&self, out: &mut Vec<u8>) {
        match self.pixels {
            Pixels::Native => {
                let length = native_bytes(&self.frames);
                let is_words = self.frames.native().bits_allocated > 8;
                let vr = if is_words { VR::OW } else { VR::OB };
                let length = length.next_multiple_of(2);
                encode::head(out, EXPLICIT_LITTLE, PIXEL_DATA, vr, length as u32);
            }
            Pixels::Encoded(_) => {
                encode::head(out, EXPLICIT_LITTLE, PIXEL_DATA, VR::OB, UNDEFINED);
                // No offset table: every frame is one fragment (PS3.5 §A.4).
                encode::delimiter(out, ByteOrder::Little, ITEM, 0);
            }
        }
    }

    fn frame(&mut self, number: u32, out: &mut Vec<u8>) -> Result<(), Error> {
        let is_last = number == self.frames.located().frames.len();
        match self.pixels {
            Pixels::Native => {
                let mut frame = self.frames.frame(number)?;
                if frame.len() as u64 != self.frames.native().frame_bytes() {
                    return Err(Error::from(FrameError::Codec(Fault::CutOff)));
                }
                out.append(&mut frame);
                if is_last && native_bytes(&self.frames) % 2 == 1 {
                    out.push(0);
                }
            }
            Pixels::Encoded(codec) => {
                let mut frame = self.frames.encoded(number, codec)?;
                if frame.len() % 2 == 1 {
                    frame.push(0);
                }
                // A native frame of at most FRAME_BYTES_MAX makes no codestream of 4 GiB.
                encode::delimiter(out, ByteOrder::Little, ITEM, frame.len() as u32);
                out.append(&mut frame);
                if is_last {
                    encode::delimiter(out, ByteOrder::Little, SEQUENCE_DELIMITER, 0);
                }
            }
        }
        self.next = (!is_last).then_some(number + 1);
        Ok(())
    }
}

/// Whether the frames can become that, as far as can be told before the first is made.
///
/// # Errors
/// Why not.
pub(super) fn check(frames: &Frames, pixels: Pixels) -> Result<(), FrameError> {
    let count = frames.located().frames.len();
    if frames.stored().frames != count {
        return Err(Fault::Malformed("the number of frames").into());
    }
    match pixels {
        Pixels::Encoded(codec) => {
            frames.native().encoded(codec)?;
        }
        Pixels::Native => {
            let native = frames.native();
            // One-bit frames follow each other by the bit (PS3.5 §8.1.1).
            let pixels = u64::from(native.rows) * u64::from(native.columns);
            if native.bits_allocated == 1 && count > 1 && !pixels.is_multiple_of(8) {
                return Err(Fault::Unsupported("frames that do not end with a byte").into());
            }
            if native_bytes(frames) >= u64::from(UNDEFINED) - 1 {
                return Err(Fault::Unsupported("native pixel data of 4 GiB").into());
            }
        }
    }
    Ok(())
}

fn native_bytes(frames: &Frames) -> u64 {
    let count = u64::from(frames.located().frames.len());
    frames.native().frame_bytes().saturating_mul(count)
}

/// What is said otherwise of the pixels, and what is not said any more.
fn edits(before: &Shape, after: &Shape) -> BTreeMap<Tag, Edit> {
    let set = |tag, vr, bytes: &[u8]| {
        let value = Value::Bytes(bytes.to_vec());
        (tag, Edit::Set(Element { tag, vr, value }))
    };
    let mut edits: BTreeMap<Tag, Edit> = OF_STORED_FORM
        .into_iter()
        .map(|tag| (tag, Edit::Remove))
        .collect();
    edits.insert(PIXEL_DATA, Edit::Gap);
    if before.photometric != after.photometric {
        let term = after.photometric.term().as_bytes();
        edits.extend([set(PHOTOMETRIC, VR::CS, term)]);
    }
    if before.is_planar != after.is_planar {
        let planar = u16::from(after.is_planar).to_le_bytes();
        edits.extend([set(PLANAR, VR::US, &planar)]);
    }
    edits
}
