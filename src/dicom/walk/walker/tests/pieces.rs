//! Pixel data in fragments, and delimiters and lengths that lie.

use super::*;

#[test]
fn encapsulated_pixel_data_at_any_depth() {
    const PIXELS: &[u8] = b"\xE0\x7F\x10\x00OB\x00\x00\xFF\xFF\xFF\xFF";
    const TABLE: &[u8] = b"\xFE\xFF\x00\xE0\x04\x00\x00\x00\x00\x00\x00\x00";
    const FRAGMENT: &[u8] = b"\xFE\xFF\x00\xE0\x03\x00\x00\x00abc";
    check(
        EXPLICIT,
        &[
            PIXELS,
            TABLE,
            FRAGMENT,
            FRAGMENT,
            SEQUENCE_END,
            b"\xFC\xFF\xFC\xFFOB\x00\x00\x02\x00\x00\x00\x00\x00",
        ],
        &[
            "7FE00010 OB fragments \\x00\\x00\\x00\\x00",
            "fragment 32+3 abc",
            "fragment 43+3 abc",
            "fragments end",
            "FFFCFFFC OB \\x00\\x00",
        ],
    );
    check(
        EXPLICIT,
        &[
            b"\x88\x00\x00\x02SQ\x00\x00\xFF\xFF\xFF\xFF",
            ITEM_UNDEFINED,
            PIXELS,
            b"\xFE\xFF\x00\xE0\x00\x00\x00\x00",
            b"\xFE\xFF\x00\xE0\x00\x00\x00\x00",
            SEQUENCE_END,
            ITEM_END,
            SEQUENCE_END,
        ],
        &[
            "00880200 SQ",
            "{",
            "7FE00010 OB fragments ",
            "fragment 48+0 ",
            "fragments end",
            "}",
            "SQ end",
        ],
    );
    // Only the first bytes of a fragment are shown; the rest goes by.
    let long = [&b"\xFE\xFF\x00\xE0\xC8\x00\x00\x00"[..], &[b'x'; 200]].concat();
    check(
        EXPLICIT,
        &[
            PIXELS,
            b"\xFE\xFF\x00\xE0\x00\x00\x00\x00",
            &long,
            SEQUENCE_END,
        ],
        &[
            "7FE00010 OB fragments ",
            "fragment 28+200 xxxxxxxxxxxxxxxx",
            "fragments end",
        ],
    );
    check(
        EXPLICIT,
        &[PIXELS, SEQUENCE_END],
        &["7FE00010 OB fragments ", "fragments end"],
    );
}

#[test]
fn delimiters_where_they_do_not_belong() {
    check(
        EXPLICIT,
        &[ITEM_END, SEQUENCE_END, PATIENT_ID],
        &[PATIENT_ID_SEEN],
    );
    // A delimiter with a length, which means nothing.
    const LONG_END: &[u8] = b"\xFE\xFF\x0D\xE0\x05\x00\x00\x00";
    check(
        EXPLICIT,
        &[SEQUENCE, ITEM_UNDEFINED, LONG_END, SEQUENCE_END, PATIENT_ID],
        &["00081140 SQ", "{", "}", "SQ end", PATIENT_ID_SEEN],
    );
    // An item without its delimiter, a sequence without its own.
    check(
        EXPLICIT,
        &[
            SEQUENCE,
            ITEM_UNDEFINED,
            REFERENCE,
            ITEM_UNDEFINED,
            SEQUENCE_END,
            PATIENT_ID,
        ],
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
        &[SEQUENCE, ITEM_UNDEFINED, REFERENCE, ITEM_END, PATIENT_ID],
        &[
            "00081140 SQ",
            "{",
            REFERENCE_SEEN,
            "}",
            "SQ end",
            PATIENT_ID_SEEN,
        ],
    );
}

#[test]
fn lengths_of_sequences_outrank_those_inside() {
    // The item says 255, its element too; the sequence has 20 bytes.
    check(
        EXPLICIT,
        &[
            b"\x08\x00\x40\x11SQ\x00\x00\x14\x00\x00\x00",
            b"\xFE\xFF\x00\xE0\xFF\x00\x00\x00",
            b"\x08\x00\x55\x11UI\xFF\x001.2\x00",
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
    // After the item the sequence has 6 bytes left, or 10 that are no item.
    for rest in [&b"\x00\x00\x00\x00\x00\x00"[..], b"0123456789"] {
        let length = u8::try_from(20 + rest.len()).unwrap();
        check(
            EXPLICIT,
            &[
                b"\x08\x00\x40\x11SQ\x00\x00",
                &[length, 0, 0, 0],
                b"\xFE\xFF\x00\xE0\x0C\x00\x00\x00",
                REFERENCE,
                rest,
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
    }
    // The item is shorter than its element: the element counts.
    check(
        EXPLICIT,
        &[
            SEQUENCE,
            b"\xFE\xFF\x00\xE0\x09\x00\x00\x00",
            REFERENCE,
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
}

#[test]
fn trailing_zeros_are_padding() {
    for count in [1, 7, 8, 23, 4096] {
        check(EXPLICIT, &[PATIENT_ID, &vec![0; count]], &[PATIENT_ID_SEEN]);
        check(
            IMPLICIT,
            &[REFERENCE_IMPLICIT, &vec![0; count]],
            &[REFERENCE_SEEN],
        );
    }
}

#[test]
fn long_values_go_by_but_for_offset_tables() {
    let value = vec![7; 65];
    check(
        EXPLICIT,
        &[
            b"\x42\x00\x11\x00OB\x00\x00\x41\x00\x00\x00",
            &value,
            PATIENT_ID,
        ],
        &["00420011 OB outside 12+65", PATIENT_ID_SEEN],
    );
    let table = vec![b'x'; 800];
    check(
        EXPLICIT,
        &[b"\xE0\x7F\x01\x00OV\x00\x00\x20\x03\x00\x00", &table],
        &[&format!("7FE00001 OV {}", "x".repeat(800))],
    );
}
