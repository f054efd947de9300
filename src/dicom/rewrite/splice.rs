//! Elements of the data set itself replaced, put in, taken out or added to, in the data set's own
//! encoding, while every other byte stays as it is.

use std::collections::BTreeMap;

use dicom_core::{Tag, VR};

use super::encode::{self, SEQUENCE_DELIMITER, UNDEFINED};
use crate::dicom::dataset::{Dataset, Element};
use crate::dicom::walk::{
    ByteOrder, ElementHead, Encoding, Fault, Limits, Value, Visitor, Walker, read_header,
};

/// The longest sequence that an item is added to, in bytes: it is held in memory meanwhile.
const APPENDED_BYTES_MAX: usize = 4 << 20;

/// What becomes of an element of the data set itself.
#[derive(Debug, Clone, PartialEq)]
pub enum Edit {
    /// It is taken out, wherever it stands.
    Remove,
    /// It stands once, with this value.
    Set(Element),
    /// A sequence gets one more item, behind those it has; where there is none it is made.
    Append(Dataset),
    /// It is taken out, and [`Splicer::gap`] tells where the first of it stood.
    Gap,
}

/// A data set with some elements edited as it goes by. Its input is not deflated.
pub struct Splicer {
    walker: Walker<Marks>,
    edits: BTreeMap<Tag, Edit>,
    /// Edits below this are done with.
    next: Option<Tag>,
    /// Bytes that are not decided yet, and where they begin.
    held: Vec<u8>,
    held_at: u64,
    /// Where the element that is going by began.
    decided: Option<u64>,
    fate: Fate,
    /// Where in the bytes given out by the last call an element was taken out.
    gap: Option<usize>,
}

/// What becomes of the bytes of the element that is going by.
enum Fate {
    Kept,
    Dropped,
    /// A sequence that is added to: its bytes so far.
    Gathered(Vec<u8>, Dataset),
}

impl Splicer {
    /// Begins at the first byte of a data set.
    #[must_use]
    pub fn new(encoding: Encoding, limits: &Limits, edits: BTreeMap<Tag, Edit>) -> Self {
        Self {
            walker: Walker::new(encoding, limits, Marks::default()),
            next: edits.keys().next().copied(),
            edits,
            held: Vec::new(),
            held_at: 0,
            decided: None,
            fate: Fate::Kept,
            gap: None,
        }
    }

    /// Where [`Edit::Gap`] has taken an element out, in the bytes of `out` as [`Splicer::feed`] left
    /// them. Told once, after the call in which its header went by.
    pub fn gap(&mut self) -> Option<usize> {
        self.gap.take()
    }

    /// Takes the next bytes and appends what they become.
    ///
    /// # Errors
    /// When the data set cannot be read, or a sequence to be added to is longer than 4 MiB.
    pub fn feed(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), Fault> {
        self.held.extend_from_slice(bytes);
        self.walker.feed(bytes)?;
        for (tag, at) in std::mem::take(&mut self.walker.visitor_mut().0) {
            // One that came in two pieces is told again.
            if self.decided.replace(at) != Some(at) {
                self.pass(at, out)?;
                self.begin(tag, out);
            }
        }
        self.pass(self.walker.done(), out)
    }

    /// Ends the data set.
    ///
    /// # Errors
    /// As [`Splicer::feed`], and when it is cut off.
    pub fn finish(mut self, out: &mut Vec<u8>) -> Result<(), Fault> {
        self.end_element(out);
        self.insert_below(None, out);
        // Padding at most: the walk says so.
        self.walker.finish()?;
        out.append(&mut self.held);
        Ok(())
    }

    /// The bytes before `at` go the way of their element.
    fn pass(&mut self, at: u64, out: &mut Vec<u8>) -> Result<(), Fault> {
        let count = usize::try_from(at.saturating_sub(self.held_at)).unwrap_or(usize::MAX);
        let bytes = self.held.drain(..count.min(self.held.len()));
        self.held_at = at;
        match &mut self.fate {
            Fate::Kept => out.extend(bytes),
            Fate::Dropped => drop(bytes),
            Fate::Gathered(gathered, _) => {
                gathered.extend(bytes);
                if gathered.len() > APPENDED_BYTES_MAX {
                    return Err(Fault::TooLarge {
                        limit: "bytes of a sequence that is added to",
                        max: APPENDED_BYTES_MAX as u64,
                    });
                }
            }
        }
        Ok(())
    }

    /// An element begins: the one before has ended, and what belongs between them is put in.
    fn begin(&mut self, tag: Tag, out: &mut Vec<u8>) {
        self.end_element(out);
        self.insert_below(Some(tag), out);
        self.fate = match self.edits.get(&tag) {
            None => Fate::Kept,
            Some(Edit::Remove) => Fate::Dropped,
            Some(Edit::Gap) => {
                if self.next == Some(tag) {
                    self.gap = Some(out.len());
                }
                Fate::Dropped
            }
            Some(Edit::Set(element)) => {
                if self.next == Some(tag) {
                    encode::element(out, self.walker.root_encoding(), element);
                }
                Fate::Dropped
            }
            // The first of repeated ones is the one that counts.
            Some(Edit::Append(item)) if self.next == Some(tag) => {
                Fate::Gathered(Vec::new(), item.clone())
            }
            Some(Edit::Append(_)) => Fate::Kept,
        };
        if self.next == Some(tag) {
            self.step();
        }
    }

    fn end_element(&mut self, out: &mut Vec<u8>) {
        let fate = std::mem::replace(&mut self.fate, Fate::Kept);
        if let Fate::Gathered(sequence, item) = fate {
            append(out, self.walker.root_encoding(), &sequence, &item);
        }
    }

    /// Puts in what the data set lacks before `tag`, or before its end.
    fn insert_below(&mut self, tag: Option<Tag>, out: &mut Vec<u8>) {
        while let Some(next) = self.next.filter(|next| tag.is_none_or(|tag| *next < tag)) {
            match &self.edits[&next] {
                Edit::Remove | Edit::Gap => {}
                Edit::Set(element) => encode::element(out, self.walker.root_encoding(), element),
                Edit::Append(item) => {
                    encode::head(out, self.walker.root_encoding(), next, VR::SQ, UNDEFINED);
                    encode::item(out, self.walker.root_encoding(), item);
                    encode::delimiter(
                        out,
                        self.walker.root_encoding().order,
                        SEQUENCE_DELIMITER,
                        0,
                    );
                }
            }
            self.step();
        }
    }

    fn step(&mut self) {
        self.next = self.next.and_then(|done| {
            let after = (std::ops::Bound::Excluded(done), std::ops::Bound::Unbounded);
            self.edits.range(after).next().map(|(tag, _)| *tag)
        });
    }
}

/// Appends a sequence with one more item; what follows it among its bytes follows it still.
fn append(out: &mut Vec<u8>, encoding: Encoding, sequence: &[u8], item: &Dataset) {
    let Some(header) = read_header(sequence, encoding) else {
        // The walk has read it, so it is there.
        return out.extend_from_slice(sequence);
    };
    let body = &sequence[header.bytes..];
    let is_unknown = header.is_explicit && sequence.get(4..6) == Some(b"UN");
    // Under VR UN items are in Implicit VR Little Endian (PS3.5 §6.2.2 note 4, CP-246).
    let (vr, inner) = if is_unknown {
        let inner = Encoding {
            explicit: false,
            order: ByteOrder::Little,
        };
        (VR::UN, inner)
    } else {
        (VR::SQ, encoding)
    };
    let mut end = Vec::new();
    encode::delimiter(&mut end, inner.order, SEQUENCE_DELIMITER, 0);
    let (items, rest) = if header.length == UNDEFINED {
        // A sequence that its writer did not close ends where the next element begins.
        (body.strip_suffix(&end[..]).unwrap_or(body), &[][..])
    } else {
        body.split_at(body.len().min(header.length as usize))
    };
    let outer = Encoding {
        explicit: header.is_explicit,
        ..encoding
    };
    encode::head(out, outer, header.tag, vr, UNDEFINED);
    out.extend_from_slice(items);
    encode::item(out, inner, item);
    out.extend_from_slice(&end);
    out.extend_from_slice(rest);
}

/// Where elements of the data set begin.
#[derive(Default)]
struct Marks(Vec<(Tag, u64)>);

impl Visitor for Marks {
    fn root_element(&mut self, tag: Tag, at: u64) -> Result<(), Fault> {
        if self.0.last() != Some(&(tag, at)) {
            self.0.push((tag, at));
        }
        Ok(())
    }

    fn element(&mut self, _: &ElementHead, _: Value<'_>, _: ByteOrder) -> Result<(), Fault> {
        Ok(())
    }

    fn sequence_start(&mut self, _: Tag) -> Result<(), Fault> {
        Ok(())
    }

    fn item_start(&mut self) -> Result<(), Fault> {
        Ok(())
    }

    fn item_end(&mut self) -> Result<(), Fault> {
        Ok(())
    }

    fn sequence_end(&mut self) -> Result<(), Fault> {
        Ok(())
    }

    fn fragments_start(&mut self, _: Tag, _: VR, _: &[u8]) -> Result<(), Fault> {
        Ok(())
    }

    fn fragment(&mut self, _: u64, _: u64, _: &[u8]) -> Result<(), Fault> {
        Ok(())
    }

    fn fragments_end(&mut self) -> Result<(), Fault> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
