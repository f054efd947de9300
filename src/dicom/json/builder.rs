//! The visitor that turns a data set on its way in into one DICOM JSON object (PS3.18 §F.2).
//!
//! Choices where the standard leaves one:
//! - Group length elements and group 0002 are left out. An attribute that stands twice in one data
//!   set or item counts once, as it came first. Root attributes end up in ascending order.
//! - (0008,0005) always says `ISO_IR 192`, at every level where it stood, and is added at the root
//!   when there is text beyond ASCII. An item without its own inherits (PS3.5 §7.5.3).
//! - Binary values longer than `inline_bytes_max`, values that were too long for memory, pixel data
//!   and FL/FD with NaN or infinity become `BulkDataURI`.
//! - Binary numbers whose length is no whole number of numbers cannot be shown as such: they
//!   become `UN` with all their bytes.

use std::collections::HashSet;

use dicom_core::{Tag, VR};

use crate::dicom::attributes::{AttributeValues, SEQUENCES, SequenceValue};
use crate::dicom::charset::Charset;
use crate::dicom::header::{BASE_MARK, BulkValue};
use crate::dicom::json::kept::{Element, Kept};
use crate::dicom::json::write;
use crate::dicom::uid::Uid;
use crate::dicom::walk::{ByteOrder, ElementHead, Fault, Limits, Value, Visitor};

/// Stands where the path of the instance belongs until its UIDs are known. Never leaves this file.
const INSTANCE_MARK: u8 = 0x02;

const SPECIFIC_CHARACTER_SET: Tag = Tag(0x0008, 0x0005);
const PIXEL_DATA: [Tag; 3] = [
    Tag(0x7FE0, 0x0008),
    Tag(0x7FE0, 0x0009),
    Tag(0x7FE0, 0x0010),
];

/// What is left of a data set when it has gone by. The fields are those of [`crate::dicom::Header`].
#[derive(Debug, Clone, PartialEq)]
pub struct Built {
    /// (0008,0016)
    pub sop_class_uid: Uid,
    /// (0008,0018)
    pub sop_instance_uid: Uid,
    /// (0020,000D)
    pub study_instance_uid: Uid,
    /// (0020,000E)
    pub series_instance_uid: Uid,
    /// The rows of [`ATTRIBUTES`](crate::dicom::ATTRIBUTES).
    pub attributes: AttributeValues,
    /// The values inside indexed sequences.
    pub sequences: Vec<SequenceValue>,
    /// Per indexed sequence present: its `Value` array, [`BASE_MARK`] before each bulk data path.
    pub sequence_json: Vec<(u8, Box<str>)>,
    /// Every value given as `BulkDataURI`.
    pub bulk: Vec<BulkValue>,
    /// One DICOM JSON object, [`BASE_MARK`] before each bulk data path.
    pub metadata: Vec<u8>,
}

/// Builds [`Built`] while a data set is walked.
pub struct Builder {
    limits: Limits,
    out: Vec<u8>,
    /// The data set and the open items, innermost last. Never empty.
    levels: Vec<Level>,
    /// The open sequences: one fewer than levels, or as many between two items.
    sequences: Vec<OpenSequence>,
    /// The attributes written so far in each open level, with the place in `out` where each begins.
    members: Vec<(Tag, usize)>,
    /// How many sequences deep we are in one that is left out.
    muted: u32,
    is_ascii: bool,
    kept: Kept,
    sequence_json: Vec<(u8, Box<str>)>,
    bulk: Vec<BulkValue>,
}

struct Level {
    charset: Charset,
    /// Where its attributes begin in `members`.
    first_member: usize,
    /// The highest tag so far.
    highest: Option<Tag>,
    /// All tags so far, made only once they came out of order.
    unordered: Option<HashSet<Tag>>,
}

struct OpenSequence {
    tag: Tag,
    items: u32,
    /// Position in [`SEQUENCES`] when it stands there and at the root.
    indexed: Option<u8>,
    /// Where its `Value` array begins in `out`.
    value_at: usize,
}

impl Level {
    fn new(charset: Charset, first_member: usize) -> Self {
        Self {
            charset,
            first_member,
            highest: None,
            unordered: None,
        }
    }
}

impl Builder {
    /// An empty object.
    #[must_use]
    pub fn new(limits: &Limits) -> Self {
        let mut out = Vec::with_capacity(16 * 1024);
        out.push(b'{');
        Self {
            limits: limits.clone(),
            out,
            levels: vec![Level::new(Charset::default(), 0)],
            sequences: Vec::new(),
            members: Vec::with_capacity(256),
            muted: 0,
            is_ascii: true,
            kept: Kept::default(),
            sequence_json: Vec::new(),
            bulk: Vec::new(),
        }
    }

    /// The identity read so far: SOP class, SOP instance, study, series; what is malformed is `None`.
    #[must_use]
    pub fn identity(&self) -> [Option<&Uid>; 4] {
        self.kept.identity()
    }

    /// Whether the data set itself has had this attribute; another one is left out then.
    #[must_use]
    pub fn has(&self, tag: Tag) -> bool {
        let Some(root) = self.levels.first() else {
            return false;
        };
        if root.highest < Some(tag) {
            return false;
        }
        match &root.unordered {
            Some(seen) => seen.contains(&tag),
            None => self.members.iter().any(|(member, _)| *member == tag),
        }
    }

    /// Ends the object.
    ///
    /// # Errors
    /// [`Fault::Identity`] without the four UIDs, [`Fault::TooLarge`] when the metadata exceeds its limit.
    pub fn finish(mut self) -> Result<Built, Fault> {
        let [
            sop_class_uid,
            sop_instance_uid,
            study_instance_uid,
            series_instance_uid,
        ] = self.kept.take_identity()?;
        self.out.push(b'}');
        let path = format!(
            "/studies/{study_instance_uid}/series/{series_instance_uid}/instances/{sop_instance_uid}"
        );
        let metadata = self.assemble(&path)?;
        let sequence_json = std::mem::take(&mut self.sequence_json)
            .into_iter()
            .map(|(i, text)| {
                (
                    i,
                    text.replace(char::from(INSTANCE_MARK), &path)
                        .into_boxed_str(),
                )
            })
            .collect();
        Ok(Built {
            sop_class_uid,
            sop_instance_uid,
            study_instance_uid,
            series_instance_uid,
            attributes: self.kept.attributes,
            sequences: self.kept.sequence_values,
            sequence_json,
            bulk: self.bulk,
            metadata,
        })
    }

    /// The final text: root attributes in order, the character set said, the instance path filled in.
    fn assemble(&mut self, path: &str) -> Result<Vec<u8>, Fault> {
        self.say_character_set();
        if self
            .levels
            .first()
            .is_some_and(|root| root.unordered.is_some())
        {
            self.sort_root();
        }
        let marks = memchr::memchr_iter(INSTANCE_MARK, &self.out).count();
        let length = self.out.len() + marks * path.len();
        self.check_size(length)?;
        if marks == 0 {
            return Ok(std::mem::take(&mut self.out));
        }
        let mut metadata = Vec::with_capacity(length);
        let mut done = 0;
        for at in memchr::memchr_iter(INSTANCE_MARK, &self.out) {
            metadata.extend_from_slice(&self.out[done..at]);
            metadata.extend_from_slice(path.as_bytes());
            done = at + 1;
        }
        metadata.extend_from_slice(&self.out[done..]);
        Ok(metadata)
    }

    /// Adds (0008,0005) when it was absent and there is text beyond ASCII.
    fn say_character_set(&mut self) {
        if self.is_ascii
            || self
                .members
                .iter()
                .any(|(tag, _)| *tag == SPECIFIC_CHARACTER_SET)
        {
            return;
        }
        const MEMBER: &[u8] = br#","00080005":{"vr":"CS","Value":["ISO_IR 192"]}"#;
        // Text beyond ASCII stands in some attribute, so there is a first one to come before.
        let next = self
            .members
            .iter()
            .position(|(tag, _)| *tag > SPECIFIC_CHARACTER_SET);
        let (place, at) = match next {
            Some(i) => (i, self.members[i].1),
            None => (self.members.len(), self.out.len() - 1),
        };
        for (_, start) in &mut self.members[place..] {
            *start += MEMBER.len();
        }
        // `at` is where a comma stands before the next attribute, or would stand.
        if place == 0 {
            self.out
                .splice(at..at, MEMBER[1..].iter().chain(b",").copied());
        } else {
            self.out.splice(at..at, MEMBER.iter().copied());
        }
        self.members.insert(place, (SPECIFIC_CHARACTER_SET, at));
    }

    /// Puts root attributes that came out of order in ascending order.
    fn sort_root(&mut self) {
        let end = self.out.len() - 1;
        let ends = self
            .members
            .iter()
            .skip(1)
            .map(|(_, start)| *start)
            .chain([end]);
        let mut parts: Vec<_> = self
            .members
            .iter()
            .zip(ends)
            .map(|((tag, start), end)| (*tag, *start, end))
            .collect();
        parts.sort_unstable_by_key(|(tag, ..)| *tag);
        let mut sorted = Vec::with_capacity(self.out.len());
        for (_, start, end) in parts {
            let part = &self.out[start..end];
            sorted.push(if sorted.is_empty() { b'{' } else { b',' });
            let part = part.strip_prefix(b",").unwrap_or(part);
            sorted.extend_from_slice(part.strip_suffix(b",").unwrap_or(part));
        }
        sorted.push(b'}');
        self.out = sorted;
    }

    fn check_size(&self, length: usize) -> Result<(), Fault> {
        let max = self.limits.metadata_bytes_max;
        if length as u64 <= max {
            return Ok(());
        }
        Err(Fault::TooLarge {
            limit: "ingest.metadata_bytes_max",
            max,
        })
    }

    fn level(&mut self) -> &mut Level {
        self.levels
            .last_mut()
            .expect("the data set itself is never closed")
    }

    /// Begins `"GGGGEEEE":{`; `false` when this attribute is left out.
    fn open_member(&mut self, tag: Tag) -> bool {
        if self.muted > 0 || tag.group() == 0x0002 || tag.element() == 0x0000 {
            return false;
        }
        let first_member = self.level().first_member;
        if !self.is_new(tag, first_member) {
            return false;
        }
        let is_first = self.members.len() == first_member;
        self.members.push((tag, self.out.len()));
        if !is_first {
            self.out.push(b',');
        }
        self.out.push(b'"');
        self.out.extend_from_slice(&write::tag_digits(tag));
        self.out.extend_from_slice(b"\":{");
        true
    }

    /// Whether the innermost level has not yet had this tag. Ascending tags, the rule, need no set.
    fn is_new(&mut self, tag: Tag, first_member: usize) -> bool {
        let level = self
            .levels
            .last_mut()
            .expect("the data set itself is never closed");
        let is_highest = level.highest < Some(tag);
        if is_highest {
            level.highest = Some(tag);
        }
        if let Some(unordered) = &mut level.unordered {
            return unordered.insert(tag);
        }
        if is_highest {
            return true;
        }
        let mut seen: HashSet<Tag> = self.members[first_member..]
            .iter()
            .map(|(tag, _)| *tag)
            .collect();
        let is_new = seen.insert(tag);
        // Kept even when it was not new: the next one should not have to make it again.
        level.unordered = Some(seen);
        is_new
    }

    /// The members behind `{` of an element whose value is in memory.
    fn write_value(&mut self, head: &ElementHead, bytes: &[u8], order: ByteOrder) {
        let vr = head.vr;
        if head.tag == SPECIFIC_CHARACTER_SET {
            self.level().charset = Charset::from_value(bytes);
            self.out
                .extend_from_slice(br#""vr":"CS","Value":["ISO_IR 192"]"#);
        } else if bytes.is_empty() {
            write::write_vr(&mut self.out, vr);
        } else if write::is_text(vr) {
            let text = self.level().charset.decode(vr, bytes);
            self.is_ascii &= text.is_ascii();
            write::write_vr(&mut self.out, vr);
            write::write_text(&mut self.out, vr, &text);
        } else if self.belongs_outside(head) {
            self.write_bulk(head.tag, vr, Some((head.offset, head.length)));
        } else if let Some(size) = write::number_size(vr) {
            self.write_binary_numbers(head, bytes, order, size);
        } else {
            write::write_vr(&mut self.out, vr);
            write::write_inline_binary(&mut self.out, vr, bytes, order);
        }
    }

    fn write_binary_numbers(
        &mut self,
        head: &ElementHead,
        bytes: &[u8],
        order: ByteOrder,
        size: usize,
    ) {
        if !bytes.len().is_multiple_of(size) {
            write::write_vr(&mut self.out, VR::UN);
            write::write_inline_binary(&mut self.out, VR::UN, bytes, order);
            return;
        }
        let start = self.out.len();
        write::write_vr(&mut self.out, head.vr);
        if write::write_numbers(&mut self.out, head.vr, bytes, order).is_err() {
            self.out.truncate(start);
            self.write_bulk(head.tag, head.vr, Some((head.offset, head.length)));
        }
    }

    /// Whether a binary value in memory is given as `BulkDataURI` all the same. AT may not be
    /// (PS3.18 §10.4.3.3.2).
    fn belongs_outside(&self, head: &ElementHead) -> bool {
        let is_pixel_data = self.levels.len() == 1 && PIXEL_DATA.contains(&head.tag);
        is_pixel_data || head.vr != VR::AT && head.length > u64::from(self.limits.inline_bytes_max)
    }

    /// `"vr":"…","BulkDataURI":"…"`, and the entry that makes the link work.
    fn write_bulk(&mut self, tag: Tag, vr: VR, span: Option<(u64, u64)>) {
        let mut path = String::with_capacity(8);
        for sequence in &self.sequences {
            push_digits(&mut path, sequence.tag);
            path.push('/');
            path.push_str(itoa::Buffer::new().format(sequence.items.saturating_sub(1)));
            path.push('/');
        }
        push_digits(&mut path, tag);
        write::write_vr(&mut self.out, vr);
        self.out.extend_from_slice(b",\"BulkDataURI\":\"");
        self.out.extend_from_slice(&[BASE_MARK, INSTANCE_MARK]);
        self.out.extend_from_slice(b"/bulkdata/");
        self.out.extend_from_slice(path.as_bytes());
        self.out.push(b'"');
        self.bulk.push(BulkValue {
            path: path.into(),
            vr,
            span,
        });
    }

    /// Keeps what the index wants of an element.
    fn keep(&mut self, head: &ElementHead, bytes: &[u8], order: ByteOrder) {
        let charset = self.level().charset;
        let element = Element {
            tag: head.tag,
            vr: head.vr,
            bytes,
            order,
            charset,
        };
        match (self.levels.len(), self.sequences.first()) {
            (1, _) => self.kept.root(&element),
            (
                2,
                Some(OpenSequence {
                    indexed: Some(i),
                    items,
                    ..
                }),
            ) => {
                self.kept.inside(*i, items.saturating_sub(1), &element);
            }
            _ => {}
        }
    }
}

impl Visitor for Builder {
    fn element(
        &mut self,
        head: &ElementHead,
        value: Value<'_>,
        order: ByteOrder,
    ) -> Result<(), Fault> {
        if !self.open_member(head.tag) {
            return Ok(());
        }
        match value {
            Value::Bytes(bytes) => {
                self.write_value(head, bytes, order);
                self.keep(head, bytes, order);
            }
            Value::Outside => self.write_bulk(head.tag, head.vr, Some((head.offset, head.length))),
        }
        self.out.push(b'}');
        self.check_size(self.out.len())
    }

    fn sequence_start(&mut self, tag: Tag) -> Result<(), Fault> {
        if !self.open_member(tag) {
            self.muted += 1;
            return Ok(());
        }
        write::write_vr(&mut self.out, VR::SQ);
        let is_root = self.levels.len() == 1;
        let indexed = (0u8..)
            .zip(SEQUENCES)
            .find(|(_, s)| is_root && s.tag == tag)
            .map(|(i, _)| i);
        let value_at = self.out.len() + b",\"Value\":".len();
        self.sequences.push(OpenSequence {
            tag,
            items: 0,
            indexed,
            value_at,
        });
        Ok(())
    }

    fn item_start(&mut self) -> Result<(), Fault> {
        if self.muted > 0 {
            return Ok(());
        }
        if let Some(sequence) = self.sequences.last_mut() {
            self.out.extend_from_slice(if sequence.items == 0 {
                b",\"Value\":[{"
            } else {
                b",{"
            });
            sequence.items = sequence.items.saturating_add(1);
        }
        let level = Level::new(self.level().charset, self.members.len());
        self.levels.push(level);
        self.check_size(self.out.len())
    }

    fn item_end(&mut self) -> Result<(), Fault> {
        if self.muted > 0 {
            return Ok(());
        }
        if self.levels.len() > 1
            && let Some(level) = self.levels.pop()
        {
            self.members.truncate(level.first_member);
            self.out.push(b'}');
        }
        Ok(())
    }

    fn sequence_end(&mut self) -> Result<(), Fault> {
        if self.muted > 0 {
            self.muted -= 1;
            return Ok(());
        }
        let Some(sequence) = self.sequences.pop() else {
            return Ok(());
        };
        if sequence.items > 0 {
            self.out.push(b']');
        }
        if let Some(i) = sequence.indexed {
            let value = self
                .out
                .get(sequence.value_at..)
                .filter(|value| !value.is_empty())
                .unwrap_or(b"[]");
            let text = String::from_utf8_lossy(value).into_owned();
            self.sequence_json.push((i, text.into()));
        }
        self.out.push(b'}');
        Ok(())
    }

    fn fragments_start(&mut self, tag: Tag, vr: VR, _offset_table: &[u8]) -> Result<(), Fault> {
        if self.open_member(tag) {
            self.write_bulk(tag, vr, None);
            self.out.push(b'}');
        }
        self.check_size(self.out.len())
    }

    fn fragment(&mut self, _offset: u64, _length: u64, _start: &[u8]) -> Result<(), Fault> {
        Ok(())
    }

    fn fragments_end(&mut self) -> Result<(), Fault> {
        Ok(())
    }
}

fn push_digits(text: &mut String, tag: Tag) {
    text.extend(write::tag_digits(tag).map(char::from));
}
