//! Data sets made Explicit VR Little Endian (PS3.18 §8.7.3.4) from Implicit VR Little Endian, from
//! Explicit VR Big Endian, and from Encapsulated Uncompressed Explicit VR Little Endian, whose
//! fragments are joined to native pixel data. A deflated data set is that encoding already, once
//! inflated. And those of Explicit VR Little Endian made Implicit (PS3.5 §A.1), for peers of old.
//!
//! Sequences and items come out with undefined lengths: their own may change and could not be told
//! before all of them had been read. Group lengths are left out (retired, PS3.5 §7.2). VRs are those
//! that the walk decides on. Every value keeps its bytes, but for the order of big endian words.

use dicom_core::{Tag, VR};

use super::Swap;
use super::encode::{ITEM, ITEM_DELIMITER, SEQUENCE_DELIMITER, UNDEFINED, delimiter, head};
use super::pixels::Pixels;
use crate::dicom::TransferSyntax;
use crate::dicom::transfer_syntax::{ENCAPSULATED_UNCOMPRESSED, Form};
use crate::dicom::walk::{ByteOrder, ElementHead, Encoding, Fault, Limits, Value, Visitor, Walker};

const EXPLICIT_LITTLE: Encoding = Encoding {
    explicit: true,
    order: ByteOrder::Little,
};

const IMPLICIT_LITTLE: Encoding = Encoding {
    explicit: false,
    order: ByteOrder::Little,
};

const PIXEL_DATA: Tag = Tag(0x7FE0, 0x0010);

/// A data set on its way to another encoding.
pub struct Recoder {
    walker: Walker<Writer>,
}

impl Recoder {
    /// To Explicit VR Little Endian. Begins at the first byte of a (inflated) data set. `None` when
    /// its pixel data would have to be decoded.
    #[must_use]
    pub fn new(from: &TransferSyntax, limits: &Limits) -> Option<Self> {
        let joins = from.uid == ENCAPSULATED_UNCOMPRESSED;
        if from.form == Form::Encapsulated && !joins {
            return None;
        }
        let writer = Writer {
            joins,
            ..Writer::of(EXPLICIT_LITTLE)
        };
        Some(Self {
            walker: Walker::new(from.encoding, limits, writer),
        })
    }

    /// From Explicit to Implicit VR Little Endian.
    #[must_use]
    pub fn to_implicit(limits: &Limits) -> Self {
        Self {
            walker: Walker::new(EXPLICIT_LITTLE, limits, Writer::of(IMPLICIT_LITTLE)),
        }
    }

    /// Takes the next bytes and appends what they become. Never more than a value of
    /// [`Limits::value_bytes_max`] waits inside for its end.
    ///
    /// # Errors
    /// When the data set cannot be read, or its fragments are no native pixel data.
    pub fn feed(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), Fault> {
        // Written in place: what is there already is only carried along.
        std::mem::swap(out, &mut self.walker.visitor_mut().out);
        let result = self.walker.feed(bytes);
        std::mem::swap(out, &mut self.walker.visitor_mut().out);
        result
    }

    /// Ends the data set. Up to seven bytes of zeros behind its last element are left out.
    ///
    /// # Errors
    /// When it is cut off.
    pub fn finish(self, out: &mut Vec<u8>) -> Result<(), Fault> {
        let mut writer = self.walker.finish()?;
        out.append(&mut writer.out);
        Ok(())
    }
}

/// What the next pieces belong to.
enum GoingBy {
    Nothing,
    /// A value, or a fragment that stays one: how much is to come, and the beginning of a word whose
    /// end has not arrived.
    Value {
        swap: Swap,
        left: u64,
        part: Vec<u8>,
    },
    /// Fragments that are joined.
    Joined(Joined),
}

/// Native pixel data in the making.
struct Joined {
    /// Frames that have not begun.
    frames: u64,
    frame_bytes: u64,
    /// Bytes that the open frame still lacks.
    frame_left: u64,
    /// Bytes of the open fragment that belong to it.
    take: u64,
    is_odd: bool,
}

struct Writer {
    out: Vec<u8>,
    to: Encoding,
    /// Of the root and each open item; never empty.
    pixels: Vec<Pixels>,
    joins: bool,
    going_by: GoingBy,
}

impl Writer {
    fn of(to: Encoding) -> Self {
        Self {
            out: Vec::new(),
            to,
            pixels: vec![Pixels::default()],
            joins: false,
            going_by: GoingBy::Nothing,
        }
    }

    fn element_head(&mut self, tag: Tag, vr: VR, length: u32) {
        head(&mut self.out, self.to, tag, vr, length);
    }

    fn mark(&mut self, tag: Tag, length: u32) {
        delimiter(&mut self.out, ByteOrder::Little, tag, length);
    }

    fn pixels(&mut self) -> &mut Pixels {
        self.pixels.last_mut().expect("the root's stay")
    }

    fn swap_of(&mut self, head: &ElementHead, order: ByteOrder) -> Swap {
        match (order, head.tag) {
            (ByteOrder::Little, _) => Swap::No,
            (ByteOrder::Big, PIXEL_DATA) => Swap::of_pixels(self.pixels().bits_allocated, head.vr),
            (ByteOrder::Big, _) => Swap::of_vr(head.vr),
        }
    }
}

/// A length that an element header said.
fn said(length: u64) -> u32 {
    u32::try_from(length).expect("from a header of 32 bits")
}

fn unjoinable(at: u64) -> Fault {
    Fault::Unreadable {
        at,
        what: "the fragments are not the frames that the data set describes",
    }
}

impl Visitor for Writer {
    fn element(
        &mut self,
        head: &ElementHead,
        value: Value<'_>,
        order: ByteOrder,
    ) -> Result<(), Fault> {
        if self.joins && is_offset_table(head.tag) {
            self.going_by = GoingBy::Nothing;
            return Ok(());
        }
        self.element_head(head.tag, head.vr, said(head.length));
        let swap = self.swap_of(head, order);
        match value {
            Value::Bytes(bytes) => {
                if head.tag.0 == 0x0028 {
                    self.pixels().note(head.tag, bytes, order);
                }
                let begin = self.out.len();
                self.out.extend_from_slice(bytes);
                swap.apply(&mut self.out[begin..]);
            }
            Value::Outside => {
                let (left, part) = (head.length, Vec::new());
                self.going_by = GoingBy::Value { swap, left, part };
            }
        }
        Ok(())
    }

    fn sequence_start(&mut self, tag: Tag) -> Result<(), Fault> {
        self.element_head(tag, VR::SQ, UNDEFINED);
        Ok(())
    }

    fn item_start(&mut self) -> Result<(), Fault> {
        self.mark(ITEM, UNDEFINED);
        self.pixels.push(Pixels::default());
        Ok(())
    }

    fn item_end(&mut self) -> Result<(), Fault> {
        self.mark(ITEM_DELIMITER, 0);
        self.pixels.pop();
        Ok(())
    }

    fn sequence_end(&mut self) -> Result<(), Fault> {
        self.mark(SEQUENCE_DELIMITER, 0);
        Ok(())
    }

    fn fragments_start(&mut self, tag: Tag, vr: VR, offset_table: &[u8]) -> Result<(), Fault> {
        if !self.joins {
            // Not of this transfer syntax, and kept as they are.
            self.element_head(tag, vr, UNDEFINED);
            self.mark(ITEM, said(offset_table.len() as u64));
            self.out.extend_from_slice(offset_table);
            return Ok(());
        }
        let (frames, frame_bytes) = self.pixels().frames().ok_or(unjoinable(0))?;
        let bytes = frames.checked_mul(frame_bytes).ok_or(unjoinable(0))?;
        let length = u32::try_from(bytes.saturating_add(bytes % 2));
        let Some(length) = length.ok().filter(|length| *length != UNDEFINED) else {
            return Err(Fault::TooLarge {
                limit: "bytes of native pixel data",
                max: u64::from(UNDEFINED - 1),
            });
        };
        let is_words = self.pixels().bits_allocated.is_some_and(|bits| bits > 8);
        self.element_head(tag, if is_words { VR::OW } else { VR::OB }, length);
        self.going_by = GoingBy::Joined(Joined {
            frames,
            frame_bytes,
            frame_left: 0,
            take: 0,
            is_odd: bytes % 2 == 1,
        });
        Ok(())
    }

    fn fragment(&mut self, offset: u64, length: u64, _: &[u8]) -> Result<(), Fault> {
        if let GoingBy::Joined(joined) = &mut self.going_by {
            return joined.fragment(length).ok_or(unjoinable(offset));
        }
        self.mark(ITEM, said(length));
        self.going_by = GoingBy::Value {
            swap: Swap::No,
            left: length,
            part: Vec::new(),
        };
        Ok(())
    }

    fn fragments_end(&mut self) -> Result<(), Fault> {
        match std::mem::replace(&mut self.going_by, GoingBy::Nothing) {
            GoingBy::Joined(joined) if joined.frames + joined.frame_left > 0 => Err(unjoinable(0)),
            GoingBy::Joined(joined) => {
                self.out.extend(joined.is_odd.then_some(0));
                Ok(())
            }
            GoingBy::Nothing | GoingBy::Value { .. } => {
                self.mark(SEQUENCE_DELIMITER, 0);
                Ok(())
            }
        }
    }

    fn piece(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        match &mut self.going_by {
            GoingBy::Nothing => {}
            GoingBy::Joined(joined) => {
                let taken = bytes
                    .len()
                    .min(usize::try_from(joined.take).unwrap_or(usize::MAX));
                self.out.extend_from_slice(&bytes[..taken]);
                joined.take -= taken as u64;
            }
            GoingBy::Value { swap: Swap::No, .. } => self.out.extend_from_slice(bytes),
            GoingBy::Value { swap, left, part } => {
                *left = left.saturating_sub(bytes.len() as u64);
                let begin = self.out.len();
                self.out.append(part);
                self.out.extend_from_slice(bytes);
                let whole = match (self.out.len() - begin) % swap.word_bytes() {
                    rest if *left > 0 => self.out.len() - rest,
                    _ => self.out.len(),
                };
                *part = self.out.split_off(whole);
                swap.apply(&mut self.out[begin..]);
            }
        }
        Ok(())
    }
}

impl Joined {
    /// The next fragment; `None` when it cannot be part of the frames. One byte more than its frame
    /// wants is padding (PS3.5 §A.4).
    fn fragment(&mut self, length: u64) -> Option<()> {
        if self.frame_left == 0 {
            self.frames = self.frames.checked_sub(1)?;
            self.frame_left = self.frame_bytes;
        }
        self.take = length.min(self.frame_left);
        self.frame_left -= self.take;
        (length - self.take <= 1).then_some(())
    }
}

/// (7FE0,0001) to (7FE0,0003): they are about fragments.
fn is_offset_table(tag: Tag) -> bool {
    tag.0 == 0x7FE0 && (1..=3).contains(&tag.1)
}

#[cfg(test)]
mod tests;
