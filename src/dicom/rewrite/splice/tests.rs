//! Every byte that was not asked for stays: results are written out by hand.

use proptest::prelude::*;

use super::*;
use crate::dicom::dataset;

const LIMITS: Limits = Limits {
    value_bytes_max: 16,
    depth_max: 64,
    metadata_bytes_max: 1 << 20,
    fragments_max: 100,
    object_bytes_max: 1 << 30,
    inline_bytes_max: 64,
};
const EXPLICIT: Encoding = Encoding {
    explicit: true,
    order: ByteOrder::Little,
};

const CLASS: &[u8] = b"\x08\x00\x16\x00UI\x02\x001\0";
const ID: &[u8] = b"\x10\x00\x20\x00LO\x02\x00A ";
const PIXELS: &[u8] = b"\xE0\x7F\x10\x00OB\0\0\x14\0\0\x0001234567890123456789";
/// A sequence with an item of a defined length that holds a Patient ID of its own.
const SEQUENCE: &[u8] =
    b"\x00\x04\x61\x05SQ\0\0\x12\0\0\0\xFE\xFF\x00\xE0\x0A\0\0\0\x10\x00\x20\x00LO\x02\x00Z ";

fn element(tag: Tag, value: &str) -> Element {
    Element {
        tag,
        vr: VR::LO,
        value: dataset::Value::Bytes(value.into()),
    }
}

fn splice(
    encoding: Encoding,
    bytes: &[u8],
    edits: &[(Tag, Edit)],
    piece: usize,
) -> Result<Vec<u8>, Fault> {
    let mut splicer = Splicer::new(encoding, &LIMITS, edits.iter().cloned().collect());
    let mut out = Vec::new();
    for piece in bytes.chunks(piece) {
        splicer.feed(piece, &mut out)?;
    }
    splicer.finish(&mut out)?;
    Ok(out)
}

#[track_caller]
fn check(bytes: &[u8], edits: &[(Tag, Edit)], expected: &[&[u8]]) {
    for piece in [1, 3, 11, bytes.len().max(1)] {
        let out = splice(EXPLICIT, bytes, edits, piece).unwrap();
        assert_eq!(
            out.escape_ascii().to_string(),
            expected.concat().escape_ascii().to_string(),
            "in pieces of {piece}"
        );
    }
}

#[test]
fn elements_of_the_data_set_are_replaced_put_in_and_taken_out() {
    let whole = [CLASS, ID, SEQUENCE, PIXELS].concat();
    let id = Tag(0x0010, 0x0020);
    let other = b"\x10\x00\x20\x00LO\x04\x00BCD ";
    check(&whole, &[], &[&whole]);
    check(
        &whole,
        &[(id, Edit::Set(element(id, "BCD")))],
        &[CLASS, other, SEQUENCE, PIXELS],
    );
    check(&whole, &[(id, Edit::Remove)], &[CLASS, SEQUENCE, PIXELS]);
    check(
        &[CLASS, PIXELS].concat(),
        &[(id, Edit::Set(element(id, "BCD")))],
        &[CLASS, other, PIXELS],
    );
    check(b"", &[(id, Edit::Set(element(id, "BCD")))], &[other]);
    let first = Tag(0x0008, 0x0005);
    let last = Tag(0xFFFC, 0x0001);
    check(
        &whole,
        &[
            (first, Edit::Set(element(first, "F"))),
            (last, Edit::Set(element(last, "L"))),
            (Tag(0x0018, 0x0015), Edit::Remove),
        ],
        &[
            b"\x08\x00\x05\x00LO\x02\x00F ",
            &whole,
            b"\xFC\xFF\x01\x00LO\x02\x00L ",
        ],
    );
    // Twice, and out of order: it stands once, in its place.
    check(
        &[CLASS, ID, ID, SEQUENCE, ID].concat(),
        &[(id, Edit::Set(element(id, "BCD")))],
        &[CLASS, other, SEQUENCE],
    );
    // Padding behind the last element stays behind it.
    check(
        &[CLASS, &[0, 0]].concat(),
        &[(id, Edit::Set(element(id, "BCD")))],
        &[CLASS, other, &[0, 0]],
    );
}

#[test]
fn a_sequence_gets_an_item_behind_those_it_has() {
    let tag = Tag(0x0400, 0x0561);
    let mut item = Dataset::default();
    item.set(element(Tag(0x0400, 0x0564), "S"));
    let edit = [(tag, Edit::Append(item))];
    const HEAD: &[u8] = b"\x00\x04\x61\x05SQ\0\0\xFF\xFF\xFF\xFF";
    const ADDED: &[u8] =
        b"\xFE\xFF\x00\xE0\xFF\xFF\xFF\xFF\x00\x04\x64\x05LO\x02\x00S \xFE\xFF\x0D\xE0\0\0\0\0";
    const END: &[u8] = b"\xFE\xFF\xDD\xE0\0\0\0\0";
    check(
        &[ID, PIXELS].concat(),
        &edit,
        &[ID, HEAD, ADDED, END, PIXELS],
    );
    check(
        &[ID, SEQUENCE, PIXELS].concat(),
        &edit,
        &[ID, HEAD, &SEQUENCE[12..], ADDED, END, PIXELS],
    );
    let undefined = [HEAD, &SEQUENCE[12..], END].concat();
    for after in [PIXELS, b""] {
        check(
            &[ID, &undefined, after].concat(),
            &edit,
            &[ID, HEAD, &SEQUENCE[12..], ADDED, END, after],
        );
    }
    // Under UN the items are implicit.
    check(
        b"\x00\x04\x61\x05UN\0\0\xFF\xFF\xFF\xFF\xFE\xFF\xDD\xE0\0\0\0\0",
        &edit,
        &[
            b"\x00\x04\x61\x05UN\0\0\xFF\xFF\xFF\xFF\
              \xFE\xFF\x00\xE0\xFF\xFF\xFF\xFF\x00\x04\x64\x05\x02\0\0\0S \xFE\xFF\x0D\xE0\0\0\0\0",
            END,
        ],
    );
}

#[test]
fn edits_are_written_as_the_data_set_is() {
    let id = Tag(0x0010, 0x0020);
    let edits = [(id, Edit::Set(element(id, "B")))];
    let big = Encoding {
        explicit: true,
        order: ByteOrder::Big,
    };
    let implicit = Encoding {
        explicit: false,
        order: ByteOrder::Little,
    };
    let of_big = splice(big, b"\x00\x08\x00\x16UI\x00\x021\0", &edits, 5).unwrap();
    assert_eq!(
        of_big,
        b"\x00\x08\x00\x16UI\x00\x021\0\x00\x10\x00\x20LO\x00\x02B "
    );
    let class = b"\x08\x00\x16\x00\x02\0\0\x001\0";
    let of_implicit = splice(implicit, class, &edits, 5).unwrap();
    assert_eq!(
        of_implicit,
        [&class[..], b"\x10\x00\x20\x00\x02\0\0\0B "].concat()
    );
    // Named implicit, written explicit: as it is written.
    let of_misnamed = splice(implicit, CLASS, &edits, 5).unwrap();
    assert_eq!(
        of_misnamed,
        [CLASS, b"\x10\x00\x20\x00LO\x02\x00B "].concat()
    );
}

proptest! {
    #[test]
    fn nothing_asked_for_changes_nothing(
        bytes in proptest::collection::vec(any::<u8>(), 0..300),
        piece in 1_usize..40,
        explicit in any::<bool>(),
    ) {
        let encoding = Encoding { explicit, order: ByteOrder::Little };
        if let Ok(out) = splice(encoding, &bytes, &[], piece) {
            prop_assert_eq!(out, bytes);
        }
    }
}

#[test]
fn a_gap_tells_where_the_element_stood() {
    const PIXEL_DATA: Tag = Tag(0x7FE0, 0x0010);
    const BEHIND: &[u8] = b"\xFC\xFF\xFC\xFFOB\0\0\x02\0\0\0\0\0";
    let whole = [CLASS, ID, PIXELS, BEHIND].concat();
    for piece in [1, 3, 11, whole.len()] {
        let edits = [(PIXEL_DATA, Edit::Gap)].into_iter().collect();
        let mut splicer = Splicer::new(EXPLICIT, &LIMITS, edits);
        let (mut before, mut after, mut is_past) = (Vec::new(), Vec::new(), false);
        for piece in whole.chunks(piece) {
            let mut out = Vec::new();
            splicer.feed(piece, &mut out).unwrap();
            if let Some(at) = splicer.gap() {
                assert!(!is_past, "told once");
                is_past = true;
                after.extend(out.split_off(at));
                before.append(&mut out);
            } else if is_past {
                after.append(&mut out);
            } else {
                before.append(&mut out);
            }
        }
        splicer.finish(&mut after).unwrap();
        assert_eq!(before, [CLASS, ID].concat(), "in pieces of {piece}");
        assert_eq!(after, BEHIND, "in pieces of {piece}");
    }
}
