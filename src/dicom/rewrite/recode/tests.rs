//! What is rewritten must look to a walk as the same data set written in Explicit VR Little Endian;
//! oddities are wire bytes with what PS3.5 makes of them.

use proptest::prelude::*;

use super::*;
use crate::dicom::dataset::{self, Dataset, Element};
use crate::dicom::rewrite::encode;
use crate::dicom::transfer_syntax::{
    EXPLICIT_VR_BIG_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN,
};

const LIMITS: Limits = Limits {
    value_bytes_max: 24,
    depth_max: 64,
    metadata_bytes_max: 1 << 20,
    fragments_max: 100,
    object_bytes_max: 1 << 30,
    inline_bytes_max: 64,
};

fn syntax(uid: &str) -> &'static TransferSyntax {
    TransferSyntax::of_uid(uid).unwrap()
}

fn rewrite(from: &str, bytes: &[u8], piece: usize) -> Result<Vec<u8>, Fault> {
    let mut recoder = Recoder::new(syntax(from), &LIMITS).unwrap();
    let mut out = Vec::new();
    for piece in bytes.chunks(piece) {
        recoder.feed(piece, &mut out)?;
    }
    recoder.finish(&mut out)?;
    Ok(out)
}

#[track_caller]
fn check(from: &str, bytes: &[u8], expected: &[u8]) {
    for piece in [1, 7, 13, bytes.len()] {
        let out = rewrite(from, bytes, piece).unwrap();
        assert_eq!(
            out.escape_ascii().to_string(),
            expected.escape_ascii().to_string(),
            "in pieces of {piece}"
        );
    }
}

/// Attributes whose VR is the dictionary's, so that Implicit VR says the same.
const ATTRIBUTES: &[(u32, VR)] = &[
    (0x0008_0018, VR::UI),
    (0x0008_0020, VR::DA),
    (0x0008_103E, VR::LO),
    (0x0010_0010, VR::PN),
    (0x0018_0050, VR::DS),
    (0x0018_9073, VR::FD),
    (0x0020_9165, VR::AT),
    (0x0028_0009, VR::AT),
    (0x0028_0010, VR::US),
    (0x0040_A30A, VR::DS),
    (0x0040_A160, VR::UT),
    (0x0066_0016, VR::OF),
    (0x0066_0040, VR::OL),
    (0x0072_0076, VR::FL),
    (0x0072_0082, VR::SV),
    (0x7FE0_0010, VR::OW),
    (0xFFFC_FFFC, VR::OB),
];
const SEQUENCES: &[u32] = &[0x0008_1140, 0x0040_0275, 0x5200_9229];

fn tag(number: u32) -> Tag {
    Tag((number >> 16) as u16, number as u16)
}

fn leaf() -> impl Strategy<Value = Element> {
    let bytes = proptest::collection::vec(any::<u8>(), 0..6);
    (0..ATTRIBUTES.len(), bytes).prop_map(|(which, bytes)| {
        let (number, vr) = ATTRIBUTES[which];
        // Whole words, and some values beyond the limit.
        let bytes: Vec<u8> = bytes.iter().flat_map(|byte| [*byte; 8]).collect();
        Element {
            tag: tag(number),
            vr,
            value: dataset::Value::Bytes(bytes),
        }
    })
}

fn data_set() -> impl Strategy<Value = Dataset> {
    fn of(elements: Vec<Element>) -> Dataset {
        let mut dataset = Dataset::default();
        elements
            .into_iter()
            .for_each(|element| dataset.set(element));
        dataset
    }
    let leaves = proptest::collection::vec(leaf(), 0..6).prop_map(of);
    leaves.prop_recursive(4, 40, 4, |inner| {
        let items = proptest::collection::vec(inner, 0..3);
        let sequence = (0..SEQUENCES.len(), items).prop_map(|(which, items)| Element {
            tag: tag(SEQUENCES[which]),
            vr: VR::SQ,
            value: dataset::Value::Items(items),
        });
        let element = prop_oneof![leaf(), sequence];
        proptest::collection::vec(element, 0..6).prop_map(of)
    })
}

fn encoded(dataset: &Dataset, encoding: Encoding) -> Vec<u8> {
    let mut out = Vec::new();
    for element in dataset.iter() {
        encode::element(&mut out, encoding, element);
    }
    out
}

proptest! {
    #[test]
    fn the_same_data_set_comes_out_of_every_encoding(dataset in data_set(), piece in 1_usize..64) {
        let expected = encoded(&dataset, EXPLICIT_LITTLE);
        for from in [IMPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_BIG_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN] {
            let bytes = encoded(&dataset, syntax(from).encoding);
            prop_assert_eq!(rewrite(from, &bytes, piece).unwrap(), expected.clone(), "{}", from);
        }
    }

    #[test]
    fn the_same_data_set_comes_out_without_its_vrs(dataset in data_set(), piece in 1_usize..64) {
        let mut recoder = Recoder::to_implicit(&LIMITS);
        let mut out = Vec::new();
        for piece in encoded(&dataset, EXPLICIT_LITTLE).chunks(piece) {
            recoder.feed(piece, &mut out).unwrap();
        }
        recoder.finish(&mut out).unwrap();
        prop_assert_eq!(out, encoded(&dataset, IMPLICIT_LITTLE));
    }

    #[test]
    fn any_bytes_get_an_answer_and_little_memory(
        bytes in proptest::collection::vec(any::<u8>(), 0..300),
        from in 0_usize..4,
    ) {
        let from = [IMPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_BIG_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN, ENCAPSULATED_UNCOMPRESSED][from];
        if let Ok(out) = rewrite(from, &bytes, 17) {
            // A header grows by four bytes, a delimiter by eight, and each has eight at least.
            prop_assert!(out.len() <= 4 * bytes.len() + 16);
        }
    }
}

#[test]
fn lengths_become_undefined_and_group_lengths_go() {
    check(
        IMPLICIT_VR_LITTLE_ENDIAN,
        b"\x08\x00\x00\x00\x04\0\0\0\x40\0\0\0\
          \x08\x00\x40\x11\x12\0\0\0\xFE\xFF\x00\xE0\x0A\0\0\0\x08\x00\x50\x11\x02\0\0\x001\0\
          \x09\x00\x10\x00\x04\0\0\0ACME\x09\x00\x01\x10\x02\0\0\0ab",
        b"\x08\x00\x40\x11SQ\0\0\xFF\xFF\xFF\xFF\xFE\xFF\x00\xE0\xFF\xFF\xFF\xFF\
          \x08\x00\x50\x11UI\x02\x001\0\xFE\xFF\x0D\xE0\0\0\0\0\xFE\xFF\xDD\xE0\0\0\0\0\
          \x09\x00\x10\x00LO\x04\x00ACME\x09\x00\x01\x10UN\0\0\x02\0\0\0ab",
    );
}

#[test]
fn what_is_longer_than_its_vr_says_so_again_without_one() {
    let long = vec![b'x'; 65_536];
    // PS3.5 §6.2.2 note 8 and §A.1: UN for want of room, and a length of four bytes.
    let source = [&b"\x08\x00\x3E\x10UN\0\0\x00\x00\x01\x00"[..], &long].concat();
    let expected = [&b"\x08\x00\x3E\x10\x00\x00\x01\x00"[..], &long].concat();
    let mut out = Vec::new();
    let mut recoder = Recoder::to_implicit(&LIMITS);
    recoder.feed(&source, &mut out).unwrap();
    recoder.finish(&mut out).unwrap();
    assert!(out == expected);
}

#[test]
fn vr_follows_from_what_went_before() {
    // Pixel Representation 1: Smallest Image Pixel Value is SS; inside an item too.
    check(
        IMPLICIT_VR_LITTLE_ENDIAN,
        b"\x28\x00\x03\x01\x02\0\0\0\x01\0\x28\x00\x06\x01\x02\0\0\0\xFE\xFF",
        b"\x28\x00\x03\x01US\x02\0\x01\0\x28\x00\x06\x01SS\x02\0\xFE\xFF",
    );
}

#[test]
fn what_is_too_long_for_its_vr_is_unknown() {
    let long = vec![b'x'; 65_536];
    let source = [&b"\x08\x00\x3E\x10\x00\x00\x01\x00"[..], &long].concat();
    let expected = [&b"\x08\x00\x3E\x10UN\0\0\x00\x00\x01\x00"[..], &long].concat();
    check(IMPLICIT_VR_LITTLE_ENDIAN, &source, &expected);
}

#[test]
fn big_endian_pixels_by_their_size_and_what_is_unknown_not_at_all() {
    let source = b"\x00\x28\x01\x00US\x00\x02\x00\x20\
        \x00\x09\x10\x01UN\0\0\0\0\0\x04\x01\x02\x03\x04\
        \x7F\xE0\x00\x10OW\0\0\0\0\0\x1C\
        \x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0A\x0B\x0C\x0D\x0E\x0F\x10\x11\x12\x13\x14\x15\x16\x17\x18\x19\x1A\x1B";
    let expected = b"\x28\x00\x00\x01US\x02\x00\x20\x00\
        \x09\x00\x01\x10UN\0\0\x04\0\0\0\x01\x02\x03\x04\
        \xE0\x7F\x10\x00OW\0\0\x1C\0\0\0\
        \x03\x02\x01\x00\x07\x06\x05\x04\x0B\x0A\x09\x08\x0F\x0E\x0D\x0C\x13\x12\x11\x10\x17\x16\x15\x14\x1B\x1A\x19\x18";
    check(EXPLICIT_VR_BIG_ENDIAN, source, expected);
}

#[test]
fn fragments_are_joined_without_their_padding() {
    let image = |frames: &str| {
        [
            b"\x28\x00\x08\x00IS\x02\x00",
            frames.as_bytes(),
            b"\x28\x00\x10\x00US\x02\x00\x03\x00\x28\x00\x11\x00US\x02\x00\x01\x00\x28\x00\x00\x01US\x02\x00\x08\x00",
        ]
        .concat()
    };
    // Two frames of three bytes: the first in two fragments, both padded to an even length.
    let table = b"\xE0\x7F\x01\x00OV\0\0\x08\0\0\0\0\0\0\0\0\0\0\0";
    let fragments = b"\xE0\x7F\x10\x00OB\0\0\xFF\xFF\xFF\xFF\xFE\xFF\x00\xE0\0\0\0\0\
        \xFE\xFF\x00\xE0\x02\0\0\0ab\xFE\xFF\x00\xE0\x02\0\0\0c\0\xFE\xFF\x00\xE0\x04\0\0\0def\0\
        \xFE\xFF\xDD\xE0\0\0\0\0";
    let source = [&image("2 ")[..], table, fragments].concat();
    let expected = [&image("2 ")[..], b"\xE0\x7F\x10\x00OB\0\0\x06\0\0\0abcdef"].concat();
    check(ENCAPSULATED_UNCOMPRESSED, &source, &expected);
    for frames in ["1 ", "3 "] {
        let source = [&image(frames)[..], table, fragments].concat();
        assert!(matches!(
            rewrite(ENCAPSULATED_UNCOMPRESSED, &source, 64),
            Err(Fault::Unreadable { .. })
        ));
    }
}

#[test]
fn implicit_elements_before_fragments_become_explicit_and_the_fragments_stay() {
    // What some writers put behind a File Meta that names JPEG.
    let source = b"\x28\x00\x10\x00\x02\0\0\0\x03\x00\
        \xE0\x7F\x10\x00\xFF\xFF\xFF\xFF\xFE\xFF\x00\xE0\0\0\0\0\
        \xFE\xFF\x00\xE0\x02\0\0\0\xFF\xD8\xFE\xFF\xDD\xE0\0\0\0\0";
    let expected = b"\x28\x00\x10\x00US\x02\x00\x03\x00\
        \xE0\x7F\x10\x00OB\0\0\xFF\xFF\xFF\xFF\xFE\xFF\x00\xE0\0\0\0\0\
        \xFE\xFF\x00\xE0\x02\0\0\0\xFF\xD8\xFE\xFF\xDD\xE0\0\0\0\0";
    check(EXPLICIT_VR_LITTLE_ENDIAN, source, expected);
}

#[test]
fn what_must_be_decoded_is_not_begun() {
    for from in ["1.2.840.10008.1.2.4.70", "1.2.840.10008.1.2.5"] {
        assert!(Recoder::new(syntax(from), &LIMITS).is_none(), "{from}");
    }
}
