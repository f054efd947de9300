//! Each oddity once, in wire bytes, with what it must look like to a visitor by PS3.5 §7 or, where
//! a writer broke the standard, by what pydicom makes of it.

mod bounds;
mod pieces;

use proptest::prelude::*;

use super::*;

const EXPLICIT: Encoding = Encoding {
    explicit: true,
    order: ByteOrder::Little,
};
const IMPLICIT: Encoding = Encoding {
    explicit: false,
    order: ByteOrder::Little,
};
const BIG: Encoding = Encoding {
    explicit: true,
    order: ByteOrder::Big,
};

const LIMITS: Limits = Limits {
    value_bytes_max: 64,
    depth_max: 64,
    metadata_bytes_max: 1 << 20,
    fragments_max: 100,
    object_bytes_max: 1 << 30,
    inline_bytes_max: 64,
};

/// Writes down what it sees, one line a call.
#[derive(Default)]
struct Recorder(Vec<String>);

impl Recorder {
    fn note(&mut self, line: String) -> Result<(), Fault> {
        self.0.push(line);
        Ok(())
    }
}

fn tag_text(tag: Tag) -> String {
    format!("{:04X}{:04X}", tag.0, tag.1)
}

fn escaped(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}

impl Visitor for Recorder {
    fn element(&mut self, head: &ElementHead, value: Value<'_>, _: ByteOrder) -> Result<(), Fault> {
        let value = match value {
            Value::Bytes(bytes) => {
                assert_eq!(bytes.len() as u64, head.length);
                escaped(bytes)
            }
            Value::Outside => format!("outside {}+{}", head.offset, head.length),
        };
        self.note(format!(
            "{} {} {value}",
            tag_text(head.tag),
            head.vr.to_string()
        ))
    }

    fn sequence_start(&mut self, tag: Tag) -> Result<(), Fault> {
        self.note(format!("{} SQ", tag_text(tag)))
    }

    fn item_start(&mut self) -> Result<(), Fault> {
        self.note("{".into())
    }

    fn item_end(&mut self) -> Result<(), Fault> {
        self.note("}".into())
    }

    fn sequence_end(&mut self) -> Result<(), Fault> {
        self.note("SQ end".into())
    }

    fn fragments_start(&mut self, tag: Tag, vr: VR, table: &[u8]) -> Result<(), Fault> {
        self.note(format!(
            "{} {} fragments {}",
            tag_text(tag),
            vr.to_string(),
            escaped(table)
        ))
    }

    fn fragment(&mut self, offset: u64, length: u64, start: &[u8]) -> Result<(), Fault> {
        self.note(format!("fragment {offset}+{length} {}", escaped(start)))
    }

    fn fragments_end(&mut self) -> Result<(), Fault> {
        self.note("fragments end".into())
    }
}

/// The calls a visitor gets when `bytes` come in pieces of these sizes, over and over.
fn walk(encoding: Encoding, bytes: &[u8], sizes: &[usize]) -> (Vec<String>, Result<(), Fault>) {
    let mut walker = Walker::new(encoding, &LIMITS, Recorder::default());
    let mut sizes = sizes.iter().cycle();
    let mut rest = bytes;
    while !rest.is_empty() {
        let (piece, after) = rest.split_at(rest.len().min(*sizes.next().unwrap()));
        if let Err(fault) = walker.feed(piece) {
            return (walker.visitor.0, Err(fault));
        }
        // Never more in memory than one value and its header, whatever lengths say.
        assert!(walker.carry.len() <= 8 * 100 + 12);
        rest = after;
    }
    let seen = walker.visitor.0.clone();
    match walker.finish() {
        Ok(visitor) => (visitor.0, Ok(())),
        Err(fault) => (seen, Err(fault)),
    }
}

#[track_caller]
fn check(encoding: Encoding, bytes: &[&[u8]], expected: &[&str]) {
    let bytes = bytes.concat();
    for sizes in [&[bytes.len().max(1)][..], &[1], &[3, 1, 8, 2, 13], &[7]] {
        let (seen, end) = walk(encoding, &bytes, sizes);
        assert_eq!(seen, expected, "in pieces of {sizes:?}");
        assert_eq!(end, Ok(()));
    }
}

// Wire bytes, little endian unless they say otherwise.
const ITEM_UNDEFINED: &[u8] = b"\xFE\xFF\x00\xE0\xFF\xFF\xFF\xFF";
const ITEM_END: &[u8] = b"\xFE\xFF\x0D\xE0\x00\x00\x00\x00";
const SEQUENCE_END: &[u8] = b"\xFE\xFF\xDD\xE0\x00\x00\x00\x00";
/// (0008,1140) SQ of undefined length.
const SEQUENCE: &[u8] = b"\x08\x00\x40\x11SQ\x00\x00\xFF\xFF\xFF\xFF";
/// (0008,1155) UI "1.2\0".
const REFERENCE: &[u8] = b"\x08\x00\x55\x11UI\x04\x001.2\x00";
/// The same without a VR.
const REFERENCE_IMPLICIT: &[u8] = b"\x08\x00\x55\x11\x04\x00\x00\x001.2\x00";
const REFERENCE_SEEN: &str = "00081155 UI 1.2\\x00";
/// (0010,0020) LO "ID".
const PATIENT_ID: &[u8] = b"\x10\x00\x20\x00LO\x02\x00ID";
const PATIENT_ID_SEEN: &str = "00100020 LO ID";

#[test]
fn explicit_elements() {
    check(
        EXPLICIT,
        &[b"\x08\x00\x00\x00UL\x04\x00\x08\x00\x00\x00", REFERENCE],
        &[REFERENCE_SEEN],
    );
    // The long form, an empty value, an odd length.
    check(
        EXPLICIT,
        &[
            b"\x08\x00\x08\x00CS\x00\x00",
            b"\x08\x00\x18\x00UI\x03\x001.2",
            b"\x42\x00\x11\x00OB\x00\x00\x02\x00\x00\x00%P",
        ],
        &["00080008 CS ", "00080018 UI 1.2", "00420011 OB %P"],
    );
    // File meta and command set have no place in a data set.
    check(
        EXPLICIT,
        &[
            b"\x00\x00\x10\x01\x02\x00\x00\x00\x01\x00",
            b"\x02\x00\x12\x00UI\x02\x001\x00",
            PATIENT_ID,
        ],
        &[PATIENT_ID_SEEN],
    );
    // A VR from the future has the long form; a misprint keeps the length where it was.
    check(
        EXPLICIT,
        &[
            b"\x09\x00\x01\x10ZZ\x00\x00\x02\x00\x00\x00hi",
            b"\x09\x00\x02\x10ZZ\x02\x00hi",
            PATIENT_ID,
        ],
        &["00091001 UN hi", "00091002 UN hi", PATIENT_ID_SEEN],
    );
}

#[test]
fn implicit_elements_have_the_vr_of_the_dictionary() {
    check(
        IMPLICIT,
        &[
            b"\x08\x00\x00\x00\x04\x00\x00\x00\x08\x00\x00\x00",
            REFERENCE_IMPLICIT,
            b"\x09\x00\x10\x00\x04\x00\x00\x00ACME",
            b"\x09\x00\x01\x10\x02\x00\x00\x00hi",
            b"\x02\x60\x10\x00\x02\x00\x00\x00\x10\x00",
            b"\x02\x60\x00\x30\x02\x00\x00\x00\x10\x00",
            b"\xE0\x7F\x10\x00\x02\x00\x00\x00\x10\x00",
        ],
        &[
            REFERENCE_SEEN,
            "00090010 LO ACME",
            "00091001 UN hi",
            "60020010 US \\x10\\x00",
            "60023000 OW \\x10\\x00",
            "7FE00010 OW \\x10\\x00",
        ],
    );
}

#[test]
fn implicit_numbers_have_the_sign_of_the_pixels() {
    const SMALLEST: &[u8] = b"\x28\x00\x06\x01\x02\x00\x00\x00\x01\x00";
    const SEQUENCE: &[u8] = b"\x28\x00\x00\x30\x3E\x00\x00\x00\xFE\xFF\x00\xE0\x36\x00\x00\x00";
    const DESCRIPTOR: &[u8] = b"\x28\x00\x02\x30\x06\x00\x00\x00\x01\x00\x00\x00\x10\x00";
    const LUT: &[u8] = b"\x28\x00\x06\x30\x02\x00\x00\x00\x07\x00";
    const UNSIGNED: &[u8] = b"\x28\x00\x03\x01\x02\x00\x00\x00\x00\x00";
    const SIGNED: &[u8] = b"\x28\x00\x03\x01\x02\x00\x00\x00\x01\x00";
    check(IMPLICIT, &[SMALLEST], &["00280106 US \\x01\\x00"]);
    check(
        IMPLICIT,
        &[UNSIGNED, SMALLEST],
        &["00280103 US \\x00\\x00", "00280106 US \\x01\\x00"],
    );
    // What holds for the data set holds for its items; a LUT of one entry is US.
    check(
        IMPLICIT,
        &[
            SIGNED, SMALLEST, SEQUENCE, SMALLEST, DESCRIPTOR, LUT, SMALLEST, SMALLEST, LUT,
        ],
        &[
            "00280103 US \\x01\\x00",
            "00280106 SS \\x01\\x00",
            "00283000 SQ",
            "{",
            "00280106 SS \\x01\\x00",
            "00283002 SS \\x01\\x00\\x00\\x00\\x10\\x00",
            "00283006 US \\x07\\x00",
            "00280106 SS \\x01\\x00",
            "00280106 SS \\x01\\x00",
            "}",
            "SQ end",
            "00283006 OW \\x07\\x00",
        ],
    );
}

#[test]
fn big_endian() {
    check(
        BIG,
        &[
            b"\x00\x08\x11\x55UI\x00\x041.2\x00",
            b"\x00\x08\x11\x40SQ\x00\x00\x00\x00\x00\x14",
            b"\xFF\xFE\xE0\x00\x00\x00\x00\x0C",
            b"\x00\x08\x11\x55UI\x00\x041.2\x00",
            // Unknown of undefined length is little endian within (PS3.5 §6.2.2).
            b"\x00\x09\x10\x01UN\x00\x00\xFF\xFF\xFF\xFF",
            ITEM_UNDEFINED,
            REFERENCE_IMPLICIT,
            ITEM_END,
            SEQUENCE_END,
            b"\x00\x10\x00\x20LO\x00\x02ID",
        ],
        &[
            REFERENCE_SEEN,
            "00081140 SQ",
            "{",
            REFERENCE_SEEN,
            "}",
            "SQ end",
            "00091001 SQ",
            "{",
            REFERENCE_SEEN,
            "}",
            "SQ end",
            PATIENT_ID_SEEN,
        ],
    );
}

#[test]
fn sequences_and_items_of_both_kinds_of_length() {
    let seen = [
        "00081140 SQ",
        "{",
        REFERENCE_SEEN,
        "}",
        "{",
        "}",
        "SQ end",
        PATIENT_ID_SEEN,
    ];
    const EMPTY_ITEM: &[u8] = b"\xFE\xFF\x00\xE0\x00\x00\x00\x00";
    let undefined = [
        SEQUENCE,
        ITEM_UNDEFINED,
        REFERENCE,
        ITEM_END,
        EMPTY_ITEM,
        SEQUENCE_END,
        PATIENT_ID,
    ];
    check(EXPLICIT, &undefined, &seen);
    let defined: &[&[u8]] = &[
        b"\x08\x00\x40\x11SQ\x00\x00\x1C\x00\x00\x00",
        b"\xFE\xFF\x00\xE0\x0C\x00\x00\x00",
        REFERENCE,
        EMPTY_ITEM,
        PATIENT_ID,
    ];
    check(EXPLICIT, defined, &seen);
    // Implicit, a defined sequence of undefined items.
    let implicit: &[&[u8]] = &[
        b"\x08\x00\x40\x11\x24\x00\x00\x00",
        ITEM_UNDEFINED,
        REFERENCE_IMPLICIT,
        ITEM_END,
        EMPTY_ITEM,
        b"\x10\x00\x20\x00\x02\x00\x00\x00ID",
    ];
    check(
        IMPLICIT,
        implicit,
        &[
            "00081140 SQ",
            "{",
            REFERENCE_SEEN,
            "}",
            "{",
            "}",
            "SQ end",
            PATIENT_ID_SEEN,
        ],
    );
    check(
        EXPLICIT,
        &[b"\x08\x00\x40\x11SQ\x00\x00\x00\x00\x00\x00"],
        &["00081140 SQ", "SQ end"],
    );
    check(
        EXPLICIT,
        &[SEQUENCE, SEQUENCE_END],
        &["00081140 SQ", "SQ end"],
    );
}

#[test]
fn unknown_vr_and_private_sequences() {
    // CP-246: a sequence in Implicit VR Little Endian.
    let items = [
        ITEM_UNDEFINED,
        REFERENCE_IMPLICIT,
        ITEM_END,
        SEQUENCE_END,
        PATIENT_ID,
    ];
    let seen = [
        "00091001 SQ",
        "{",
        REFERENCE_SEEN,
        "}",
        "SQ end",
        PATIENT_ID_SEEN,
    ];
    let unknown = [
        &[b"\x09\x00\x01\x10UN\x00\x00\xFF\xFF\xFF\xFF".as_slice()],
        &items[..],
    ]
    .concat();
    check(EXPLICIT, &unknown, &seen);
    // A private attribute of undefined length under Implicit VR can be nothing else.
    check(
        IMPLICIT,
        &[
            b"\x09\x00\x01\x10\xFF\xFF\xFF\xFF",
            ITEM_UNDEFINED,
            REFERENCE_IMPLICIT,
            ITEM_END,
            SEQUENCE_END,
        ],
        &seen[..5],
    );
    // Of defined length: by the dictionary when known, else a value.
    check(
        EXPLICIT,
        &[
            b"\x08\x00\x40\x11UN\x00\x00\x14\x00\x00\x00",
            b"\xFE\xFF\x00\xE0\x0C\x00\x00\x00",
            REFERENCE_IMPLICIT,
            b"\x09\x00\x01\x10UN\x00\x00\x02\x00\x00\x00hi",
            b"\x10\x00\x20\x00UN\x00\x00\x02\x00\x00\x00ID",
        ],
        &[
            "00081140 SQ",
            "{",
            REFERENCE_SEEN,
            "}",
            "SQ end",
            "00091001 UN hi",
            PATIENT_ID_SEEN,
        ],
    );
}

#[test]
fn explicit_and_implicit_mixed() {
    // One element, a sequence, and from the first element on.
    check(
        EXPLICIT,
        &[PATIENT_ID, REFERENCE_IMPLICIT, PATIENT_ID],
        &[PATIENT_ID_SEEN, REFERENCE_SEEN, PATIENT_ID_SEEN],
    );
    check(
        EXPLICIT,
        &[
            SEQUENCE,
            ITEM_UNDEFINED,
            REFERENCE_IMPLICIT,
            ITEM_END,
            SEQUENCE_END,
            PATIENT_ID,
        ],
        &[
            "00081140 SQ",
            "{",
            REFERENCE_SEEN,
            "}",
            "SQ end",
            PATIENT_ID_SEEN,
        ],
    );
    check(
        IMPLICIT,
        &[
            b"\x08\x00\x40\x11\xFF\xFF\xFF\xFF",
            ITEM_UNDEFINED,
            REFERENCE,
            ITEM_END,
            SEQUENCE_END,
        ],
        &["00081140 SQ", "{", REFERENCE_SEEN, "}", "SQ end"],
    );
    check(
        IMPLICIT,
        &[REFERENCE, PATIENT_ID],
        &[REFERENCE_SEEN, PATIENT_ID_SEEN],
    );
    check(
        EXPLICIT,
        &[REFERENCE_IMPLICIT, PATIENT_ID],
        &[REFERENCE_SEEN, PATIENT_ID_SEEN],
    );
}
