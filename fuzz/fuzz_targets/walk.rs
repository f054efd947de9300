//! Any bytes, in any pieces: no panic, starts and ends in balance, and the same calls whatever the
//! pieces are.

#![no_main]

use dicom_core::{Tag, VR};
use libfuzzer_sys::fuzz_target;
use overread_fuzz::dicom::walk::{
    ByteOrder, ElementHead, Encoding, Fault, Limits, Value, Visitor, Walker,
};

const LIMITS: Limits = Limits {
    value_bytes_max: 256,
    depth_max: 16,
    metadata_bytes_max: 1 << 20,
    fragments_max: 64,
    object_bytes_max: 1 << 20,
    inline_bytes_max: 64,
};

#[derive(Debug, Clone, Default, PartialEq)]
struct Calls {
    seen: Vec<(u32, u64, u64)>,
    open: Vec<char>,
}

impl Calls {
    fn open(&mut self, what: char) -> Result<(), Fault> {
        self.open.push(what);
        Ok(())
    }

    fn close(&mut self, what: char) -> Result<(), Fault> {
        assert_eq!(self.open.pop(), Some(what));
        Ok(())
    }
}

impl Visitor for Calls {
    fn element(&mut self, head: &ElementHead, value: Value<'_>, _: ByteOrder) -> Result<(), Fault> {
        if let Value::Bytes(bytes) = value {
            assert_eq!(bytes.len() as u64, head.length);
        }
        let tag = u32::from(head.tag.0) << 16 | u32::from(head.tag.1);
        self.seen.push((tag, head.offset, head.length));
        Ok(())
    }

    fn sequence_start(&mut self, _: Tag) -> Result<(), Fault> {
        self.open('s')
    }

    fn item_start(&mut self) -> Result<(), Fault> {
        self.open('i')
    }

    fn item_end(&mut self) -> Result<(), Fault> {
        self.close('i')
    }

    fn sequence_end(&mut self) -> Result<(), Fault> {
        self.close('s')
    }

    fn fragments_start(&mut self, _: Tag, _: VR, _: &[u8]) -> Result<(), Fault> {
        self.open('f')
    }

    fn fragment(&mut self, offset: u64, length: u64, _: &[u8]) -> Result<(), Fault> {
        self.seen.push((0, offset, length));
        Ok(())
    }

    fn fragments_end(&mut self) -> Result<(), Fault> {
        self.close('f')
    }
}

fn walk(encoding: Encoding, bytes: &[u8], piece: usize) -> (Calls, Result<(), Fault>) {
    let mut walker = Walker::new(encoding, &LIMITS, Calls::default());
    for piece in bytes.chunks(piece) {
        if let Err(fault) = walker.feed(piece) {
            return (walker.visitor().clone(), Err(fault));
        }
    }
    let calls = walker.visitor().clone();
    match walker.finish() {
        Ok(calls) => {
            assert!(calls.open.is_empty());
            (calls, Ok(()))
        }
        Err(fault) => (calls, Err(fault)),
    }
}

fuzz_target!(|input: &[u8]| {
    let [choice, piece, bytes @ ..] = input else {
        return;
    };
    let encoding = match choice % 3 {
        0 => Encoding {
            explicit: true,
            order: ByteOrder::Little,
        },
        1 => Encoding {
            explicit: false,
            order: ByteOrder::Little,
        },
        _ => Encoding {
            explicit: true,
            order: ByteOrder::Big,
        },
    };
    let pieces = walk(encoding, bytes, usize::from(*piece) + 1);
    assert_eq!(pieces, walk(encoding, bytes, bytes.len().max(1)));
});
