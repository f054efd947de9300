//! Where the fragments of encapsulated pixel data inside a sequence lie: those of an icon image
//! (PS3.3 §C.7.6.1.1.6, PS3.5 §A.4). They are rare and small, so ingest notes only that they are
//! there; who wants them walks as far as they reach.

use dicom_core::{Tag, VR};

use crate::dicom::frame_map::Span;
use crate::dicom::walk::{ByteOrder, ElementHead, Encoding, Fault, Limits, Value, Visitor, Walker};

/// Walks a data set to one value.
pub struct FragmentFinder {
    walker: Walker<Finder>,
}

impl FragmentFinder {
    /// A walk from the first byte of a data set. `path` is one of a bulk value
    /// ([`BulkValue::path`](crate::dicom::header::BulkValue)); `None` when it is no path.
    #[must_use]
    pub fn new(encoding: Encoding, limits: &Limits, path: &str) -> Option<Self> {
        let mut steps = path.split('/');
        let mut items = Vec::new();
        let mut last = tag(steps.next()?)?;
        while let Some(item) = steps.next() {
            items.push((last, item.parse().ok()?));
            last = tag(steps.next()?)?;
        }
        let finder = Finder {
            items,
            tag: last,
            open: Vec::new(),
            is_inside: false,
            is_done: false,
            spans: Vec::new(),
        };
        Some(Self {
            walker: Walker::new(encoding, limits, finder),
        })
    }

    /// Takes the next bytes. The fragments, once they have gone by.
    ///
    /// # Errors
    /// As [`Walker::feed`].
    pub fn feed(&mut self, bytes: &[u8]) -> Result<Option<&[Span]>, Fault> {
        self.walker.feed(bytes)?;
        let finder = self.walker.visitor();
        Ok(finder.is_done.then_some(&finder.spans))
    }
}

fn tag(digits: &str) -> Option<Tag> {
    if digits.len() != 8 {
        return None;
    }
    let number = u32::from_str_radix(digits, 16).ok()?;
    Some(Tag((number >> 16) as u16, number as u16))
}

struct Finder {
    /// The sequences around the value, each with the item (from 0) that holds it.
    items: Vec<(Tag, u32)>,
    tag: Tag,
    /// The open sequences, each with the items it has had.
    open: Vec<(Tag, u32)>,
    is_inside: bool,
    is_done: bool,
    spans: Vec<Span>,
}

impl Visitor for Finder {
    fn element(&mut self, _: &ElementHead, _: Value<'_>, _: ByteOrder) -> Result<(), Fault> {
        Ok(())
    }

    fn sequence_start(&mut self, tag: Tag) -> Result<(), Fault> {
        self.open.push((tag, 0));
        Ok(())
    }

    fn item_start(&mut self) -> Result<(), Fault> {
        if let Some((_, items)) = self.open.last_mut() {
            *items = items.saturating_add(1);
        }
        Ok(())
    }

    fn item_end(&mut self) -> Result<(), Fault> {
        Ok(())
    }

    fn sequence_end(&mut self) -> Result<(), Fault> {
        self.open.pop();
        Ok(())
    }

    fn fragments_start(&mut self, tag: Tag, _: VR, _: &[u8]) -> Result<(), Fault> {
        let here = self
            .open
            .iter()
            .map(|(tag, items)| (*tag, items.saturating_sub(1)));
        // Of what stands twice the first counts.
        self.is_inside = !self.is_done && tag == self.tag && here.eq(self.items.iter().copied());
        Ok(())
    }

    fn fragment(&mut self, offset: u64, length: u64, _: &[u8]) -> Result<(), Fault> {
        if self.is_inside {
            self.spans.push(Span { offset, length });
        }
        Ok(())
    }

    fn fragments_end(&mut self) -> Result<(), Fault> {
        self.is_done |= self.is_inside;
        self.is_inside = false;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dicom::TransferSyntax;

    const LIMITS: Limits = Limits {
        value_bytes_max: 1024,
        depth_max: 8,
        metadata_bytes_max: 1 << 16,
        fragments_max: 100,
        object_bytes_max: 1 << 20,
        inline_bytes_max: 64,
    };

    /// Two icons, each of two fragments, and pixel data of one.
    fn dataset() -> Vec<u8> {
        let fragments = |values: &[&[u8]]| {
            let mut bytes =
                b"\xE0\x7F\x10\x00OB\x00\x00\xFF\xFF\xFF\xFF\xFE\xFF\x00\xE0\x00\x00\x00\x00"
                    .to_vec();
            for value in values {
                bytes.extend_from_slice(b"\xFE\xFF\x00\xE0");
                bytes.extend_from_slice(&[value.len() as u8, 0, 0, 0]);
                bytes.extend_from_slice(value);
            }
            bytes.extend_from_slice(b"\xFE\xFF\xDD\xE0\x00\x00\x00\x00");
            bytes
        };
        let mut bytes = b"\x88\x00\x00\x02SQ\x00\x00\xFF\xFF\xFF\xFF".to_vec();
        for values in [[&b"ab"[..], b"cdef"], [b"gh", b"ij"]] {
            bytes.extend_from_slice(b"\xFE\xFF\x00\xE0\xFF\xFF\xFF\xFF");
            bytes.extend_from_slice(&fragments(&values));
            bytes.extend_from_slice(b"\xFE\xFF\x0D\xE0\x00\x00\x00\x00");
        }
        bytes.extend_from_slice(b"\xFE\xFF\xDD\xE0\x00\x00\x00\x00");
        bytes.extend_from_slice(&fragments(&[b"kl"]));
        bytes
    }

    fn find(path: &str, piece: usize) -> Option<Vec<u8>> {
        let encoding = TransferSyntax::of_uid("1.2.840.10008.1.2.4.50")
            .unwrap()
            .encoding;
        let mut finder = FragmentFinder::new(encoding, &LIMITS, path)?;
        let bytes = dataset();
        for piece in bytes.chunks(piece) {
            if let Some(spans) = finder.feed(piece).unwrap() {
                let of_span =
                    |span: &Span| bytes[span.offset as usize..][..span.length as usize].to_vec();
                return Some(spans.iter().flat_map(of_span).collect());
            }
        }
        None
    }

    #[test]
    fn fragments_are_found_by_their_path() {
        for piece in [1, 7, 1000] {
            for (path, expected) in [
                ("00880200/0/7FE00010", Some(&b"abcdef"[..])),
                ("00880200/1/7FE00010", Some(b"ghij")),
                ("7FE00010", Some(b"kl")),
                ("00880200/2/7FE00010", None),
                ("00880200/0/7FE00008", None),
                ("7FE00010/0/7FE00010", None),
            ] {
                assert_eq!(find(path, piece).as_deref(), expected, "{path}");
            }
        }
        let encoding = TransferSyntax::of_uid("1.2.840.10008.1.2.4.50")
            .unwrap()
            .encoding;
        for bad in ["", "7FE0", "00880200/", "00880200/x/7FE00010", "00880200/0"] {
            assert!(
                FragmentFinder::new(encoding, &LIMITS, bad).is_none(),
                "{bad}"
            );
        }
    }
}
