//! The walk itself: a push parser with an explicit stack. An element that lies whole in the piece
//! fed is parsed in place; only one split between pieces is copied. Lengths are believed only as
//! far as bytes arrive, so that none costs memory.
//!
//! Lenient where real files are odd (PS3.5 §6.2.2 and §7.5, CP-246): undefined lengths of unknown
//! VR are sequences; a stray delimiter is passed over; the length of a sequence outranks those
//! inside it; the length of an item only says where its last element begins at the latest.

use dicom_core::{Tag, VR};

use super::level::{Kind, Level};
use super::syntax::{self, Spelling, UNDEFINED};
use super::{ByteOrder, ElementHead, Encoding, Fault, Limits, Value, Visitor};

/// The first bytes of a fragment that visitors get.
const FRAGMENT_START_BYTES: usize = 16;

const ITEM: Tag = Tag(0xFFFE, 0xE000);
const ITEM_DELIMITER: Tag = Tag(0xFFFE, 0xE00D);
const SEQUENCE_DELIMITER: Tag = Tag(0xFFFE, 0xE0DD);
const PIXEL_DATA: Tag = Tag(0x7FE0, 0x0010);

/// How far a step came.
enum Step {
    /// So many bytes are done with.
    Done(usize),
    /// Nothing can be said before so many bytes are there.
    Wants(usize),
}

/// A walk in progress.
pub struct Walker<V> {
    visitor: V,
    value_bytes_max: u64,
    table_bytes_max: u64,
    fragments_max: u64,
    fragments: u64,
    depth_max: u32,
    depth: u32,
    /// The root and what is open above it.
    levels: Vec<Level>,
    /// Bytes of the data set that are done with.
    at: u64,
    /// Bytes that still go by unread.
    skip: u64,
    /// Whether those are of a value, so that the visitor sees them.
    is_shown: bool,
    /// The beginning of an element whose end has not arrived.
    carry: Vec<u8>,
    /// How long the carry must become before the next step.
    wanted: usize,
}

impl<V: Visitor> Walker<V> {
    /// Begins at the first byte of a data set.
    pub fn new(encoding: Encoding, limits: &Limits, visitor: V) -> Self {
        Self {
            visitor,
            value_bytes_max: u64::from(limits.value_bytes_max),
            table_bytes_max: 8 * u64::from(limits.fragments_max),
            fragments_max: u64::from(limits.fragments_max),
            fragments: 0,
            depth_max: limits.depth_max,
            depth: 0,
            levels: vec![Level::root(encoding)],
            at: 0,
            skip: 0,
            is_shown: false,
            carry: Vec::new(),
            wanted: 0,
        }
    }

    /// What the visitor has made of it so far.
    pub fn visitor(&self) -> &V {
        &self.visitor
    }

    /// The same, to take something from it.
    pub(crate) fn visitor_mut(&mut self) -> &mut V {
        &mut self.visitor
    }

    /// The number of bytes that are done with: every later call to the visitor is about what
    /// begins here or behind.
    pub(crate) fn done(&self) -> u64 {
        self.at
    }

    /// The number of bytes fed.
    pub fn bytes(&self) -> u64 {
        self.at + self.carry.len() as u64
    }

    /// How the data set itself is encoded: as its first element shows, once that has been seen.
    pub(crate) fn root_encoding(&self) -> Encoding {
        self.levels[0].encoding
    }

    /// Walks over the next bytes of the data set.
    ///
    /// # Errors
    /// When they make no sense or exceed a limit, and whatever the visitor says. The walk is over then.
    pub fn feed(&mut self, mut bytes: &[u8]) -> Result<(), Fault> {
        while !bytes.is_empty() {
            if self.skip > 0 {
                let passed = self.go_by(bytes)?;
                bytes = &bytes[passed..];
            } else if self.carry.is_empty() {
                match self.step(bytes)? {
                    Step::Done(count) => bytes = &bytes[count..],
                    Step::Wants(count) => {
                        self.wanted = count;
                        self.carry.extend_from_slice(bytes);
                        return Ok(());
                    }
                }
            } else {
                let missing = self
                    .wanted
                    .saturating_sub(self.carry.len())
                    .min(bytes.len());
                self.carry.extend_from_slice(&bytes[..missing]);
                bytes = &bytes[missing..];
                if self.carry.len() >= self.wanted {
                    self.step_from_carry()?;
                }
            }
        }
        Ok(())
    }

    /// Lets bytes go by as far as they are to be skipped. How many.
    fn go_by(&mut self, bytes: &[u8]) -> Result<usize, Fault> {
        let passed = usize::try_from(self.skip)
            .unwrap_or(usize::MAX)
            .min(bytes.len());
        if self.is_shown {
            self.visitor.piece(&bytes[..passed])?;
        }
        self.skip -= passed as u64;
        self.at += passed as u64;
        Ok(passed)
    }

    /// Skips the value that was announced to the visitor.
    fn show(&mut self, length: u64) {
        self.skip = length;
        self.is_shown = true;
    }

    /// Skips what the visitor does not see.
    fn hide(&mut self, length: u64) {
        self.skip = length;
        self.is_shown = false;
    }

    /// Steps until the carry is used up or too short again.
    fn step_from_carry(&mut self) -> Result<(), Fault> {
        let mut carry = std::mem::take(&mut self.carry);
        let mut done = 0;
        while done < carry.len() {
            if self.skip > 0 {
                done += self.go_by(&carry[done..])?;
                continue;
            }
            match self.step(&carry[done..])? {
                Step::Done(count) => done += count,
                Step::Wants(count) => {
                    self.wanted = count;
                    break;
                }
            }
        }
        carry.drain(..done);
        // A long value is the exception: its memory is not kept for the next one.
        carry.shrink_to(self.wanted.clamp(64, 1 << 16));
        self.carry = carry;
        Ok(())
    }

    /// Ends the walk where the bytes end.
    ///
    /// # Errors
    /// [`Fault::Truncated`] inside an element, an item, a sequence or the pixel data.
    pub fn finish(mut self) -> Result<V, Fault> {
        self.close_ended()?;
        let is_padding = self.levels.len() == 1 && self.carry.iter().all(|byte| *byte == 0);
        if self.skip > 0 || self.levels.len() > 1 || !is_padding {
            return Err(Fault::Truncated { at: self.bytes() });
        }
        Ok(self.visitor)
    }

    fn top(&mut self) -> &mut Level {
        self.levels.last_mut().expect("the root is never popped")
    }

    /// One element, or the header of one item or fragment.
    fn step(&mut self, bytes: &[u8]) -> Result<Step, Fault> {
        self.close_ended()?;
        let room = self.top().wall - self.at;
        let Some(header) = bytes.first_chunk::<8>() else {
            return Ok(if room < 8 {
                self.pass(room)
            } else {
                Step::Wants(8)
            });
        };
        if room < 8 {
            return Ok(self.pass(room));
        }
        let step = match self.top().kind {
            Kind::Root | Kind::Item => self.element(*header, bytes)?,
            Kind::Sequence | Kind::UnknownSequence => self.item(*header)?,
            Kind::Fragments { has_table } => self.fragment(*header, bytes, has_table)?,
        };
        if let Step::Done(count) = step {
            self.at += count as u64;
        }
        Ok(step)
    }

    /// Lets bytes go by unread.
    fn pass(&mut self, count: u64) -> Step {
        self.hide(count);
        Step::Done(0)
    }

    /// Closes what has reached its end by length.
    fn close_ended(&mut self) -> Result<(), Fault> {
        while let Some(level) = self.levels.last() {
            if self.at < level.end.unwrap_or(u64::MAX).min(level.wall) {
                return Ok(());
            }
            self.close()?;
        }
        Ok(())
    }

    /// Closes the innermost level; the root stays.
    fn close(&mut self) -> Result<(), Fault> {
        if self.levels.len() == 1 {
            return Err(self.unreadable("more bytes than can be counted"));
        }
        let Some(level) = self.levels.pop() else {
            return Ok(());
        };
        match level.kind {
            Kind::Root => Ok(()),
            Kind::Item => self.visitor.item_end(),
            Kind::Sequence | Kind::UnknownSequence => {
                self.depth -= 1;
                self.visitor.sequence_end()
            }
            Kind::Fragments { has_table } => {
                if !has_table {
                    self.visitor.fragments_start(level.tag, level.vr, &[])?;
                }
                self.visitor.fragments_end()
            }
        }
    }

    fn unreadable(&self, what: &'static str) -> Fault {
        Fault::Unreadable { at: self.at, what }
    }

    fn element(&mut self, header: [u8; 8], bytes: &[u8]) -> Result<Step, Fault> {
        let at = self.at;
        let level = self.top();
        let order = level.encoding.order;
        let tag = syntax::tag(header, order);
        if tag.0 == 0xFFFE {
            return self.stray(tag, syntax::length(header, order));
        }
        let spelling = syntax::spelling(tag, header, level.encoding);
        let header_bytes = spelling.header_bytes();
        let room = level.wall - at;
        if room < header_bytes as u64 {
            return Ok(self.pass(room));
        }
        let length = match spelling {
            Spelling::Implicit => syntax::length(header, order),
            Spelling::Short(_) => u32::from(order.u16([header[6], header[7]])),
            Spelling::Long(_) => match bytes.get(8..).and_then(|rest| rest.first_chunk::<4>()) {
                Some(length) => order.u32(*length),
                None => return Ok(Step::Wants(header_bytes)),
            },
        };
        if level.is_fresh && !is_foreign(tag) {
            level.is_fresh = false;
            level.encoding.explicit = spelling != Spelling::Implicit;
        }
        let vr = level.vr_of(tag, spelling, length);
        if level.kind == Kind::Root {
            self.visitor.root_element(tag, at)?;
        }
        if length == UNDEFINED && !matches!(spelling, Spelling::Short(_)) {
            self.open_until_delimiter(tag, vr, spelling)?;
            return Ok(Step::Done(header_bytes));
        }
        let head = ElementHead {
            tag,
            vr,
            offset: at + header_bytes as u64,
            length: u64::from(length).min(room - header_bytes as u64),
        };
        if vr == VR::SQ {
            let kind = if spelling.is_unknown() {
                Kind::UnknownSequence
            } else {
                Kind::Sequence
            };
            self.open(kind, tag, vr, Some(head.offset + head.length))?;
            return Ok(Step::Done(header_bytes));
        }
        // What was unknown to its writer is little endian, whatever surrounds it (PS3.5 §6.2.2).
        let order = if spelling.is_unknown() {
            ByteOrder::Little
        } else {
            order
        };
        self.value(head, order, header_bytes, bytes)
    }

    /// An element of defined length that is no sequence.
    fn value(
        &mut self,
        head: ElementHead,
        order: ByteOrder,
        header_bytes: usize,
        bytes: &[u8],
    ) -> Result<Step, Fault> {
        // Group lengths are retired (PS3.5 §7.2).
        if head.tag.1 == 0 || is_foreign(head.tag) {
            self.hide(head.length);
            return Ok(Step::Done(header_bytes));
        }
        let bytes_max = if is_offset_table(head.tag) {
            self.table_bytes_max
        } else {
            self.value_bytes_max
        };
        if head.length > bytes_max {
            self.visitor.element(&head, Value::Outside, order)?;
            self.show(head.length);
            return Ok(Step::Done(header_bytes));
        }
        // The length is at most a limit of 32 bits, or the offset table's of 35.
        let total = header_bytes + head.length as usize;
        let Some(value) = bytes.get(header_bytes..total) else {
            return Ok(Step::Wants(total));
        };
        if head.tag.0 == 0x0028 {
            self.top().remember(head.tag, value, order);
        }
        self.visitor.element(&head, Value::Bytes(value), order)?;
        Ok(Step::Done(total))
    }

    /// What stands where an element belongs but has the group of items and delimiters.
    fn stray(&mut self, tag: Tag, length: u32) -> Result<Step, Fault> {
        let (kind, end) = (self.top().kind, self.top().end);
        match tag {
            ITEM_DELIMITER => {
                if kind == Kind::Item {
                    self.close()?;
                }
                Ok(Step::Done(8))
            }
            // The item before has no delimiter: the next step sees the item or delimiter in its place.
            ITEM | SEQUENCE_DELIMITER if kind == Kind::Item && end.is_none() => {
                self.close()?;
                Ok(Step::Done(0))
            }
            SEQUENCE_DELIMITER => Ok(Step::Done(8)),
            _ => {
                if length != UNDEFINED {
                    let room = self.top().wall - self.at - 8;
                    self.hide(u64::from(length).min(room));
                }
                Ok(Step::Done(8))
            }
        }
    }

    /// Opens what an undefined length begins: encapsulated pixel data, or a sequence. Unknown VR
    /// is a sequence in Implicit VR Little Endian (PS3.5 §6.2.2 note 4, CP-246).
    fn open_until_delimiter(&mut self, tag: Tag, vr: VR, spelling: Spelling) -> Result<(), Fault> {
        use VR::{OB, OD, OF, OL, OV, OW};
        if matches!(vr, OB | OD | OF | OL | OV | OW) || tag == PIXEL_DATA {
            self.fragments = 0;
            // Not told, encapsulated pixel data are OB (PS3.5 §A.4).
            let is_told = spelling != Spelling::Implicit && vr != VR::UN;
            let vr = if is_told { vr } else { OB };
            return self.open(Kind::Fragments { has_table: false }, tag, vr, None);
        }
        let kind = if spelling.is_unknown() {
            Kind::UnknownSequence
        } else {
            Kind::Sequence
        };
        self.open(kind, tag, VR::SQ, None)
    }

    fn open(&mut self, kind: Kind, tag: Tag, vr: VR, end: Option<u64>) -> Result<(), Fault> {
        if !matches!(kind, Kind::Fragments { .. }) {
            if self.depth >= self.depth_max {
                return Err(Fault::TooLarge {
                    limit: "ingest.depth_max",
                    max: u64::from(self.depth_max),
                });
            }
            self.depth += 1;
            self.visitor.sequence_start(tag)?;
        }
        let outer = self.top();
        let wall = end.unwrap_or(u64::MAX).min(outer.wall);
        let level = Level {
            kind,
            tag,
            vr,
            end,
            wall,
            ..outer.clone()
        };
        self.levels.push(level);
        Ok(())
    }

    /// The header of an item, or what ends a sequence.
    fn item(&mut self, header: [u8; 8]) -> Result<Step, Fault> {
        let at = self.at;
        let sequence = self.top();
        let order = order_of_item(header).unwrap_or(sequence.encoding.order);
        let tag = syntax::tag(header, order);
        let length = syntax::length(header, order);
        match (tag, sequence.end) {
            (ITEM, _) => {
                let end = (length != UNDEFINED).then(|| at + 8 + u64::from(length));
                let wall = match (sequence.kind, end) {
                    (Kind::UnknownSequence, Some(end)) => end.min(sequence.wall),
                    _ => sequence.wall,
                };
                let encoding = Encoding {
                    order,
                    ..sequence.encoding
                };
                let lut_entries = None;
                let kind = Kind::Item;
                let level = Level {
                    kind,
                    encoding,
                    is_fresh: true,
                    end,
                    wall,
                    lut_entries,
                    ..sequence.clone()
                };
                self.levels.push(level);
                self.visitor.item_start()?;
                Ok(Step::Done(8))
            }
            (ITEM_DELIMITER, _) => Ok(Step::Done(8)),
            (SEQUENCE_DELIMITER, None) => {
                self.close()?;
                Ok(Step::Done(8))
            }
            // What is neither item nor delimiter ends a sequence; one with a length keeps it.
            (_, Some(_)) => {
                let rest = sequence.wall - at;
                Ok(self.pass(rest))
            }
            (_, None) if tag > sequence.tag && tag.0 != 0xFFFE => {
                self.close()?;
                Ok(Step::Done(0))
            }
            _ => Err(self.unreadable("a sequence holds something that is no item")),
        }
    }

    /// The header and first bytes of a fragment, the offset table, or the end of the pixel data.
    fn fragment(&mut self, header: [u8; 8], bytes: &[u8], has_table: bool) -> Result<Step, Fault> {
        let begin = self.at + 8;
        let level = self.top();
        let order = order_of_item(header).unwrap_or(level.encoding.order);
        let (tag, vr, room) = (level.tag, level.vr, level.wall - begin);
        let length = match (syntax::tag(header, order), syntax::length(header, order)) {
            (ITEM, UNDEFINED) => {
                return Err(self.unreadable("a fragment of undefined length"));
            }
            (ITEM, length) => u64::from(length).min(room),
            (ITEM_DELIMITER, _) => return Ok(Step::Done(8)),
            (SEQUENCE_DELIMITER, _) => {
                self.close()?;
                return Ok(Step::Done(8));
            }
            _ => {
                return Err(
                    self.unreadable("encapsulated pixel data hold something that is no fragment")
                );
            }
        };
        if has_table {
            self.fragments += 1;
        }
        if self.fragments > self.fragments_max || (!has_table && length > self.table_bytes_max) {
            return Err(Fault::TooLarge {
                limit: "ingest.fragments_max",
                max: self.fragments_max,
            });
        }
        let wanted = if has_table {
            length.min(FRAGMENT_START_BYTES as u64)
        } else {
            length
        };
        // At most the offset table's limit of 35 bits.
        let total = 8 + wanted as usize;
        let Some(start) = bytes.get(8..total) else {
            self.fragments -= u64::from(has_table);
            return Ok(Step::Wants(total));
        };
        if has_table {
            self.visitor.fragment(begin, length, start)?;
            self.show(length);
            return Ok(Step::Done(8));
        }
        self.top().kind = Kind::Fragments { has_table: true };
        self.visitor.fragments_start(tag, vr, start)?;
        Ok(Step::Done(total))
    }
}

/// Command set and file meta elements, which are no part of a data set.
fn is_foreign(tag: Tag) -> bool {
    tag.0 == 0x0000 || tag.0 == 0x0002
}

/// (7FE0,0001) Extended Offset Table and (7FE0,0002) its lengths: kept whatever their length.
fn is_offset_table(tag: Tag) -> bool {
    tag == Tag(0x7FE0, 0x0001) || tag == Tag(0x7FE0, 0x0002)
}

/// Items show their own byte order: under UN they are little endian whatever surrounds them.
fn order_of_item(header: [u8; 8]) -> Option<ByteOrder> {
    match header {
        [0xFE, 0xFF, ..] => Some(ByteOrder::Little),
        [0xFF, 0xFE, ..] => Some(ByteOrder::Big),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
