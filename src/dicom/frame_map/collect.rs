//! Watches a data set go by and tells where its frames lie: by arithmetic when pixel data are
//! native (PS3.5 §8.1), else by offset table or, without a good one, by what the fragments show
//! (PS3.5 §A.4). Only the data set itself counts: an icon's pixel data are no frames.

use dicom_core::Tag;

use super::{Encapsulated, FrameMap, Span};
use crate::dicom::TransferSyntax;
use crate::dicom::transfer_syntax::RLE_LOSSLESS;
use crate::dicom::walk::{ByteOrder, ElementHead, Value};

const PIXEL_DATA: Tag = Tag(0x7FE0, 0x0010);

/// How a codestream begins: JPEG and JPEG-LS (SOI), JPEG 2000 (SOC and SIZ, or its file format),
/// JPEG XL (bare, or its container).
const CODESTREAM_STARTS: &[&[u8]] = &[
    b"\xFF\xD8\xFF",
    b"\xFF\x4F\xFF\x51",
    b"\x00\x00\x00\x0CjP  ",
    b"\xFF\x0A",
    b"\x00\x00\x00\x0CJXL ",
];

/// What must be known of the data set, gathered as it goes by. The caller tells only of the root.
#[derive(Debug)]
pub(crate) struct Collector {
    is_video: bool,
    is_rle: bool,
    rows: u64,
    columns: u64,
    samples_per_pixel: u64,
    bits_allocated: u64,
    is_ybr_full_422: bool,
    number_of_frames: Option<u32>,
    extended_offsets: Vec<u64>,
    extended_lengths: Vec<u64>,
    native: Option<Span>,
    basic_offsets: Vec<u32>,
    fragments: Vec<Fragment>,
}

#[derive(Debug, Clone, Copy)]
struct Fragment {
    span: Span,
    begins_codestream: bool,
}

impl Collector {
    pub(crate) fn new(transfer_syntax: &TransferSyntax) -> Self {
        Self {
            is_video: transfer_syntax.is_video(),
            is_rle: transfer_syntax.uid == RLE_LOSSLESS,
            rows: 0,
            columns: 0,
            samples_per_pixel: 1,
            bits_allocated: 0,
            is_ybr_full_422: false,
            number_of_frames: None,
            extended_offsets: Vec::new(),
            extended_lengths: Vec::new(),
            native: None,
            basic_offsets: Vec::new(),
            fragments: Vec::new(),
        }
    }

    /// An element of the data set.
    pub(crate) fn element(&mut self, head: &ElementHead, value: Value<'_>, order: ByteOrder) {
        let is_pixels = matches!(head.tag, PIXEL_DATA | Tag(0x7FE0, 0x0008 | 0x0009));
        if is_pixels {
            self.native = Some(Span {
                offset: head.offset,
                length: head.length,
            });
        }
        let Value::Bytes(value) = value else { return };
        let number = |fallback| {
            value
                .first_chunk()
                .map_or(fallback, |bytes| u64::from(order.u16(*bytes)))
        };
        match head.tag {
            Tag(0x0028, 0x0002) => self.samples_per_pixel = number(1),
            Tag(0x0028, 0x0004) => self.is_ybr_full_422 = value.trim_ascii() == b"YBR_FULL_422",
            Tag(0x0028, 0x0008) => self.number_of_frames = integer_string(value),
            Tag(0x0028, 0x0010) => self.rows = number(0),
            Tag(0x0028, 0x0011) => self.columns = number(0),
            Tag(0x0028, 0x0100) => self.bits_allocated = number(0),
            Tag(0x7FE0, 0x0001) => self.extended_offsets = longs(value, order),
            Tag(0x7FE0, 0x0002) => self.extended_lengths = longs(value, order),
            _ => {}
        }
    }

    /// The pixel data of the data set are encapsulated, which is always little endian (PS3.5 §A.4).
    pub(crate) fn fragments_start(&mut self, offset_table: &[u8]) {
        let (entries, _) = offset_table.as_chunks::<4>();
        self.basic_offsets = entries
            .iter()
            .map(|entry| u32::from_le_bytes(*entry))
            .collect();
        self.fragments.clear();
    }

    /// One of their fragments.
    pub(crate) fn fragment(&mut self, offset: u64, length: u64, start: &[u8]) {
        let begins_codestream = CODESTREAM_STARTS
            .iter()
            .any(|known| start.starts_with(known));
        self.fragments.push(Fragment {
            span: Span { offset, length },
            begins_codestream,
        });
    }

    /// Decides where the frames lie.
    pub(crate) fn finish(self) -> FrameMap {
        if !self.fragments.is_empty() {
            return FrameMap::Encapsulated(self.encapsulated());
        }
        match self.native {
            Some(span) => self.native(span),
            None => FrameMap::None,
        }
    }

    fn native(&self, span: Span) -> FrameMap {
        let bits = |samples: u64| {
            // Three factors of 16 bits and one of a few.
            (self.rows * self.columns)
                .checked_mul(samples)?
                .checked_mul(self.bits_allocated)
        };
        let frames = u64::from(self.number_of_frames.unwrap_or(1));
        let all_bytes = |frame_bits: u64| frames.checked_mul(frame_bits).map(|all| all.div_ceil(8));
        let full = bits(self.samples_per_pixel);
        // Two of three samples remain (PS3.3 §C.7.6.3.1.2); some writers only say so.
        let is_subsampled = self.is_ybr_full_422
            && self.samples_per_pixel == 3
            && full.and_then(all_bytes).is_none_or(|all| span.length < all);
        let frame_bits = if is_subsampled { bits(2) } else { full };
        match frame_bits {
            None | Some(0) => FrameMap::None,
            Some(frame_bits) => {
                let there = u128::from(span.length) * 8 / u128::from(frame_bits);
                let frames = u32::try_from(there)
                    .unwrap_or(u32::MAX)
                    .min(self.number_of_frames.unwrap_or(1));
                FrameMap::Native {
                    span,
                    frame_bits,
                    frames,
                }
            }
        }
    }

    fn encapsulated(&self) -> Encapsulated {
        if self.is_video {
            return self.split_at(|index| index == 0);
        }
        if let Some(frames) = self.by_extended_table() {
            return frames;
        }
        let Some(by_table) = self.by_basic_table() else {
            return self.by_fragments();
        };
        match self.number_of_frames {
            Some(wanted) if by_table.len() != wanted as usize => {
                let seen = self.by_fragments();
                if seen.len() == wanted as usize {
                    seen
                } else {
                    by_table
                }
            }
            _ => by_table,
        }
    }

    /// By the Extended Offset Table (PS3.3 §C.7.6.3.1.8): each frame is one fragment, possibly
    /// shorter than its item. `None` when there is none or it points elsewhere.
    fn by_extended_table(&self) -> Option<Encapsulated> {
        let base = self.fragments.first()?.span.offset;
        let spans = self
            .extended_offsets
            .iter()
            .enumerate()
            .map(|(index, offset)| {
                let offset = base.checked_add(*offset)?;
                let place = self
                    .fragments
                    .binary_search_by_key(&offset, |f| f.span.offset)
                    .ok()?;
                let held = self.fragments[place].span.length;
                let length = self.extended_lengths.get(index).copied().unwrap_or(held);
                (length <= held).then_some(Span { offset, length })
            });
        let spans: Vec<_> = spans.collect::<Option<_>>()?;
        (!spans.is_empty()).then(|| Encapsulated::of_single(spans))
    }

    /// By the Basic Offset Table. Offsets are compared by 32 bits, as they wrap beyond 4 GiB.
    /// `None` when there is none or it points elsewhere.
    fn by_basic_table(&self) -> Option<Encapsulated> {
        let base = self.fragments.first()?.span.offset;
        let mut entries = self.basic_offsets.iter().peekable();
        let mut begins = vec![false; self.fragments.len()];
        for (fragment, begins) in self.fragments.iter().zip(&mut begins) {
            let offset = (fragment.span.offset - base) as u32;
            *begins = entries.next_if(|entry| **entry == offset).is_some();
        }
        let is_good = begins[0] && entries.next().is_none();
        is_good.then(|| self.split_at(|index| begins[index]))
    }

    /// Without a table (PS3.5 §A.4): RLE has a fragment a frame; else one frame is all fragments,
    /// as many fragments as frames are one each, and beyond that a frame begins where a
    /// codestream does.
    fn by_fragments(&self) -> Encapsulated {
        let wanted = self.number_of_frames.unwrap_or(1) as usize;
        if self.is_rle || self.fragments.len() == wanted {
            self.split_at(|_| true)
        } else if wanted == 1 {
            self.split_at(|_| false)
        } else {
            self.split_at(|index| self.fragments[index].begins_codestream)
        }
    }

    /// Frames that begin at the first fragment and at each one for which `begins` holds.
    fn split_at(&self, begins: impl Fn(usize) -> bool) -> Encapsulated {
        let mut all = Encapsulated::default();
        let mut frame = Vec::new();
        for (index, fragment) in self.fragments.iter().enumerate() {
            if begins(index) {
                all.push(&frame);
                frame.clear();
            }
            frame.push(fragment.span);
        }
        all.push(&frame);
        all
    }
}

/// The first number of an IS value; `None` when there is none above 0.
fn integer_string(value: &[u8]) -> Option<u32> {
    let first = value.split(|byte| *byte == b'\\').next()?;
    let text = std::str::from_utf8(first).ok()?.trim_matches([' ', '\0']);
    text.parse().ok().filter(|number| *number > 0)
}

fn longs(value: &[u8], order: ByteOrder) -> Vec<u64> {
    value
        .as_chunks::<8>()
        .0
        .iter()
        .map(|number| order.u64(*number))
        .collect()
}
