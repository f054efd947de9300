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

#[cfg(test)]
mod tests {
    use dicom_core::VR;

    use super::*;
    use crate::dicom::frame_map::Frame;

    const EXPLICIT: &str = "1.2.840.10008.1.2.1";
    const JPEG: &str = "1.2.840.10008.1.2.4.50";
    const MPEG: &str = "1.2.840.10008.1.2.4.100";

    type Element<'a> = (u32, &'a [u8]);

    fn collector(transfer_syntax: &str, elements: &[Element<'_>]) -> Collector {
        let mut collector = Collector::new(TransferSyntax::of_uid(transfer_syntax).unwrap());
        for (tag, value) in elements {
            let tag = Tag((tag >> 16) as u16, *tag as u16);
            let head = ElementHead {
                tag,
                vr: VR::UN,
                offset: 0,
                length: value.len() as u64,
            };
            collector.element(&head, Value::Bytes(value), ByteOrder::Little);
        }
        collector
    }

    /// 3 rows, 5 columns, then what the case adds; pixel data of `length` bytes at 1000.
    fn native(elements: &[Element<'_>], length: u64) -> FrameMap {
        let mut all: Vec<Element<'_>> =
            vec![(0x0028_0010, b"\x03\x00"), (0x0028_0011, b"\x05\x00")];
        all.extend_from_slice(elements);
        let mut collector = collector(EXPLICIT, &all);
        let head = ElementHead {
            tag: PIXEL_DATA,
            vr: VR::OW,
            offset: 1000,
            length,
        };
        collector.element(&head, Value::Outside, ByteOrder::Little);
        collector.finish()
    }

    #[test]
    fn native_frames_by_arithmetic() {
        const EIGHT: Element<'_> = (0x0028_0100, b"\x08\x00");
        const SIXTEEN: Element<'_> = (0x0028_0100, b"\x10\x00");
        const RGB: Element<'_> = (0x0028_0002, b"\x03\x00");
        const SUBSAMPLED: Element<'_> = (0x0028_0004, b"YBR_FULL_422");
        const TWO: Element<'_> = (0x0028_0008, b"2 ");
        // Expected bits and frames: pydicom.pixels.utils.get_expected_length.
        type Case<'a> = (&'a [Element<'a>], u64, Option<(u64, u32)>);
        let cases: &[Case<'_>] = &[
            (&[SIXTEEN], 30, Some((240, 1))),
            (&[EIGHT], 16, Some((120, 1))),
            (&[EIGHT, RGB, TWO], 90, Some((360, 2))),
            (&[EIGHT, RGB, TWO], 90 + 4096, Some((360, 2))),
            (&[EIGHT, RGB, SUBSAMPLED, TWO], 60, Some((240, 2))),
            // Called subsampled, and not.
            (&[EIGHT, RGB, SUBSAMPLED, TWO], 90, Some((360, 2))),
            // One frame of two is there, none is.
            (&[EIGHT, RGB, TWO], 89, Some((360, 1))),
            (&[EIGHT, RGB, TWO], 44, Some((360, 0))),
            (
                &[(0x0028_0100, b"\x01\x00"), (0x0028_0008, b"3")],
                6,
                Some((15, 3)),
            ),
            (&[EIGHT, (0x0028_0008, b"0")], 16, Some((120, 1))),
            (&[EIGHT, (0x0028_0008, b"4000000000")], 16, Some((120, 1))),
            (&[], 30, None),
        ];
        for (elements, length, expected) in cases {
            let expected = match expected {
                Some((frame_bits, frames)) => FrameMap::Native {
                    span: Span {
                        offset: 1000,
                        length: *length,
                    },
                    frame_bits: *frame_bits,
                    frames: *frames,
                },
                None => FrameMap::None,
            };
            assert_eq!(native(elements, *length), expected, "{elements:?}");
        }
    }

    #[test]
    fn float_pixel_data_are_frames_and_nothing_is_none() {
        let mut float = collector(
            EXPLICIT,
            &[
                (0x0028_0010, b"\x02\x00"),
                (0x0028_0011, b"\x02\x00"),
                (0x0028_0100, b"\x20\x00"),
            ],
        );
        let head = ElementHead {
            tag: Tag(0x7FE0, 0x0008),
            vr: VR::OF,
            offset: 64,
            length: 16,
        };
        float.element(&head, Value::Outside, ByteOrder::Little);
        let span = Span {
            offset: 64,
            length: 16,
        };
        assert_eq!(
            float.finish(),
            FrameMap::Native {
                span,
                frame_bits: 128,
                frames: 1
            }
        );
        assert_eq!(collector(EXPLICIT, &[]).finish(), FrameMap::None);
    }

    /// Fragments of these lengths from offset 100, `+` marking those that begin a codestream;
    /// the frames as lists of fragment numbers.
    #[track_caller]
    fn check(
        transfer_syntax: &str,
        elements: &[Element<'_>],
        basic_offsets: &[u32],
        fragments: &[(u64, bool)],
        expected: &[&[usize]],
    ) {
        let mut collector = collector(transfer_syntax, elements);
        let table: Vec<u8> = basic_offsets
            .iter()
            .flat_map(|offset| offset.to_le_bytes())
            .collect();
        collector.fragments_start(&table);
        let mut spans = Vec::new();
        let mut offset = 100;
        for (length, begins) in fragments {
            collector.fragment(
                offset,
                *length,
                if *begins {
                    b"\xFF\xD8\xFF\xE0"
                } else {
                    b"\x00\x01"
                },
            );
            spans.push(Span {
                offset,
                length: *length,
            });
            offset += length + 8;
        }
        let map = collector.finish();
        let frames: Vec<Vec<usize>> = (1..=map.len())
            .map(|number| match map.frame(number) {
                Some(Frame::Encapsulated(found)) => found
                    .iter()
                    .map(|found| spans.iter().position(|span| span == found).unwrap())
                    .collect(),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(frames, expected);
    }

    #[test]
    fn encapsulated_frames_by_table_or_by_sight() {
        const YES: bool = true;
        const NO: bool = false;
        const TWO: &[Element<'_>] = &[(0x0028_0008, b"2")];
        const THREE: &[Element<'_>] = &[(0x0028_0008, b"3")];
        let plain = &[(10, YES), (20, NO), (30, YES)];
        // Expected: pydicom.encaps.generate_frames, whose end-of-image marks are our beginnings.
        check(JPEG, &[], &[], &[(10, YES)], &[&[0]]);
        check(JPEG, &[], &[], plain, &[&[0, 1, 2]]);
        check(JPEG, THREE, &[], plain, &[&[0], &[1], &[2]]);
        check(JPEG, TWO, &[], plain, &[&[0, 1], &[2]]);
        check(JPEG, TWO, &[0, 46], plain, &[&[0, 1], &[2]]);
        check(JPEG, TWO, &[0, 18], plain, &[&[0], &[1, 2]]);
        check(JPEG, &[], &[0, 46], plain, &[&[0, 1], &[2]]);
        check(RLE_LOSSLESS, TWO, &[], &[(10, NO), (20, NO)], &[&[0], &[1]]);
        check(RLE_LOSSLESS, &[], &[], &[(10, NO), (20, NO)], &[&[0], &[1]]);
        check(MPEG, THREE, &[0, 18], plain, &[&[0, 1, 2]]);
        // Tables that point nowhere, begin late, go backwards, or name one frame of two.
        for wrong in [&[0, 47][..], &[8, 46], &[46, 0], &[0], &[0, 18, 46]] {
            check(JPEG, TWO, wrong, plain, &[&[0, 1], &[2]]);
        }
        // Nothing to go by.
        check(
            JPEG,
            TWO,
            &[],
            &[(10, NO), (20, NO), (30, NO)],
            &[&[0, 1, 2]],
        );
        check(JPEG, THREE, &[], &[(10, YES), (20, YES)], &[&[0], &[1]]);
    }

    #[test]
    fn encapsulated_frames_by_extended_table() {
        let longs = |numbers: &[u64]| {
            numbers
                .iter()
                .flat_map(|n| n.to_le_bytes())
                .collect::<Vec<u8>>()
        };
        let map = |offsets: &[u64], lengths: &[u64]| {
            let (offsets, lengths) = (longs(offsets), longs(lengths));
            let mut collector = collector(
                JPEG,
                &[
                    (0x7FE0_0001, &offsets[..]),
                    (0x7FE0_0002, &lengths[..]),
                    (0x0028_0008, b"2"),
                ],
            );
            collector.fragments_start(&[]);
            collector.fragment(100, 10, b"\xFF\xD8\xFF");
            collector.fragment(118, 20, b"\xFF\xD8\xFF");
            match collector.finish() {
                FrameMap::Encapsulated(frames) => {
                    frames.iter().flatten().copied().collect::<Vec<_>>()
                }
                other => panic!("{other:?}"),
            }
        };
        let span = |offset, length| Span { offset, length };
        // A frame may be shorter than its fragment, by the padding.
        assert_eq!(map(&[0, 18], &[9, 20]), [span(100, 9), span(118, 20)]);
        // Without lengths, or wrong: the fragments as they are.
        assert_eq!(map(&[0, 18], &[]), [span(100, 10), span(118, 20)]);
        assert_eq!(map(&[0, 17], &[10, 20]), [span(100, 10), span(118, 20)]);
        assert_eq!(map(&[0, 18], &[10, 21]), [span(100, 10), span(118, 20)]);
    }
}
