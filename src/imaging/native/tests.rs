//! Frames by hand, and what the formulas make of them.

use super::super::description::ImageMetadata;
use super::super::tone::VoiFunction;
use super::super::view::{Crop, Fit};
use super::*;

/// A description of one row, from DICOM JSON.
fn describe(
    photometric: &str,
    samples: u32,
    columns: u32,
    bits: [u32; 3],
    more: &str,
) -> PixelDescription {
    let [allocated, stored, high] = bits;
    let json = format!(
        r#"{{"00280002":{{"Value":[{samples}]}},"00280004":{{"Value":["{photometric}"]}},"00280010":{{"Value":[1]}},
        "00280011":{{"Value":[{columns}]}},"00280100":{{"Value":[{allocated}]}},"00280101":{{"Value":[{stored}]}},
        "00280102":{{"Value":[{high}]}}{more}}}"#
    );
    let metadata = ImageMetadata::parse(json.as_bytes()).unwrap();
    let shape = metadata.shape().unwrap();
    metadata.describe(1, &shape, &mut |_| None).unwrap()
}

fn draw(frame: &[u8], description: &PixelDescription) -> Vec<u8> {
    super::draw(frame, description, &View::default())
        .unwrap()
        .samples
}

/// Photometric interpretation, bits, further JSON, frame, grey.
type GreyCase = (
    &'static str,
    [u32; 3],
    &'static str,
    &'static [u8],
    &'static [u8],
);

#[test]
fn stored_bits_become_grey() {
    const WINDOW: &str = r#","00281050":{"Value":[128]},"00281051":{"Value":[256]}"#;
    const SIGNED: &str = r#","00280103":{"Value":[1]}"#;
    let cases: [GreyCase; 9] = [
        (
            "MONOCHROME2",
            [8, 8, 7],
            WINDOW,
            &[0, 100, 255],
            &[0, 100, 255],
        ),
        (
            "MONOCHROME1",
            [8, 8, 7],
            WINDOW,
            &[0, 100, 255],
            &[255, 155, 0],
        ),
        ("MONOCHROME2", [8, 8, 7], "", &[10, 20, 30], &[0, 128, 255]),
        (
            "MONOCHROME2",
            [8, 8, 7],
            SIGNED,
            &[0x80, 0, 0x7f],
            &[0, 128, 255],
        ),
        // 12 bits stored at the top of 16: the lowest 4 are not part of the value.
        (
            "MONOCHROME2",
            [16, 12, 15],
            "",
            &[0x0f, 0, 0xf0, 0x7f, 0xff, 0xff],
            &[0, 127, 255],
        ),
        // 12 bits stored, signed: bits above the sign may be anything.
        (
            "MONOCHROME2",
            [16, 12, 11],
            SIGNED,
            &[0, 0xf8, 0, 0x30, 0xff, 0x07],
            &[0, 128, 255],
        ),
        (
            "MONOCHROME2",
            [32, 32, 31],
            "",
            &[0, 0, 0, 0, 0, 0, 0, 0x80, 0xff, 0xff, 0xff, 0xff],
            &[0, 128, 255],
        ),
        ("MONOCHROME2", [1, 1, 0], "", &[0b110], &[0, 255, 255]),
        (
            "MONOCHROME2",
            [8, 8, 7],
            r#","00280120":{"Value":[255]}"#,
            &[10, 20, 255],
            &[0, 255, 255],
        ),
    ];
    for (photometric, bits, more, frame, grey) in cases {
        assert_eq!(
            draw(frame, &describe(photometric, 1, 3, bits, more)),
            grey,
            "{photometric} {bits:?} {more}"
        );
    }
}

#[test]
fn rescale_goes_before_the_window() {
    let more = r#","00281050":{"Value":["40"]},"00281051":{"Value":["400"]},"00281052":{"Value":["-1024"]},"00281053":{"Value":["1"]}"#;
    let description = describe("MONOCHROME2", 1, 3, [16, 12, 11], more);
    // -160, 100 and 240 HU.
    assert_eq!(
        draw(&[0x60, 0x03, 0x64, 0x04, 0xf0, 0x04], &description),
        [0, 166, 255]
    );
}

#[test]
fn colors_are_put_together() {
    let eight = [8, 8, 7];
    let planar = r#","00280006":{"Value":[1]}"#;
    assert_eq!(
        draw(&[1, 2, 3, 4, 5, 6], &describe("RGB", 3, 2, eight, "")),
        [1, 2, 3, 4, 5, 6]
    );
    assert_eq!(
        draw(&[1, 4, 2, 5, 3, 6], &describe("RGB", 3, 2, eight, planar)),
        [1, 2, 3, 4, 5, 6]
    );
    assert_eq!(
        draw(
            &[0, 1, 0, 2, 0, 3],
            &describe("RGB", 3, 1, [16, 16, 15], "")
        ),
        [1, 2, 3]
    );
    assert_eq!(
        draw(
            &[76, 85, 255, 29, 255, 107],
            &describe("YBR_FULL", 3, 2, eight, "")
        ),
        [254, 0, 0, 0, 0, 254]
    );
    assert_eq!(
        draw(
            &[76, 0, 85, 255],
            &describe("YBR_FULL_422", 3, 2, eight, "")
        ),
        [254, 0, 0, 178, 0, 0]
    );
    // 2 entries of 16 bits: 0x1100, 0x2200 (red), 0x3300, 0x4400 (green), 0x5500, 0x6600 (blue).
    let palette = r#","00281101":{"Value":[2,0,16]},"00281201":{"InlineBinary":"ABEAIg=="},"00281202":{"InlineBinary":"ADMARA=="},"00281203":{"InlineBinary":"AFUAZg=="}"#;
    assert_eq!(
        draw(&[0, 1], &describe("PALETTE COLOR", 1, 2, eight, palette)),
        [0x11, 0x33, 0x55, 0x22, 0x44, 0x66]
    );
}

#[test]
fn tables_and_a_wanted_window_take_the_place_of_others() {
    const WINDOW: &str = r#","00281050":{"Value":[128]},"00281051":{"Value":[256]}"#;
    // 3 entries of 8 bits from 10 on: 5, 100, 255.
    const TABLE: &str = r#","00283010":{"Value":[{"00283002":{"Value":[3,10,8]},"00283006":{"vr":"OW","InlineBinary":"BQBkAP8A"}}]}"#;
    const MODALITY: &str = r#","00283000":{"Value":[{"00283002":{"Value":[2,0,16]},"00283006":{"vr":"US","Value":[50,200]}}]}"#;
    let grey = |more: &str| describe("MONOCHROME2", 1, 4, [8, 8, 7], more);
    let frame = [0, 10, 11, 255];
    assert_eq!(
        draw(&frame, &grey(&format!("{WINDOW}{TABLE}"))),
        [5, 5, 100, 255]
    );
    assert_eq!(
        draw(&frame, &grey(&format!("{WINDOW}{MODALITY}"))),
        [50, 200, 200, 200]
    );
    assert_eq!(draw(&frame, &grey(MODALITY)), [0, 255, 255, 255]);
    let view = View {
        window: Window::new(128.0, 256.0, VoiFunction::Linear),
        ..View::default()
    };
    let wanted = super::draw(&frame, &grey(TABLE), &view).unwrap();
    assert_eq!(wanted.samples, frame);
}

#[test]
fn floats_are_values_as_they_are() {
    let float = describe(
        "MONOCHROME2",
        1,
        3,
        [32, 32, 31],
        r#","7FE00008":{"vr":"OF"}"#,
    );
    let frame: Vec<u8> = [-1.5_f32, 0.0, 1.5]
        .iter()
        .flat_map(|v| v.to_le_bytes())
        .collect();
    assert_eq!(draw(&frame, &float), [0, 128, 255]);
    let double = describe(
        "MONOCHROME2",
        1,
        3,
        [64, 64, 63],
        r#","7FE00009":{"vr":"OD"}"#,
    );
    let frame: Vec<u8> = [0.0_f64, f64::NAN, 1e300]
        .iter()
        .flat_map(|v| v.to_le_bytes())
        .collect();
    assert_eq!(draw(&frame, &double), [0, 0, 255]);
}

#[test]
fn pixels_that_are_not_square_come_out_square() {
    let tall =
        r#","00281050":{"Value":[128]},"00281051":{"Value":[256]},"00280034":{"Value":["2","1"]}"#;
    let tall = describe("MONOCHROME2", 1, 2, [8, 8, 7], tall);
    let drawn = super::draw(&[10, 20], &tall, &View::default()).unwrap();
    assert_eq!((drawn.width, drawn.height), (2, 2));
    assert_eq!(drawn.samples, [10, 20, 10, 20]);
}

#[test]
fn sizes_are_checked_before_they_are_believed() {
    const VIEW: View = View {
        window: None,
        crop: Crop {
            left: 0,
            top: 0,
            width: None,
            height: None,
            is_mirrored: false,
            is_flipped: false,
        },
        fit: Fit::Within(100, 100),
        has_overlays: false,
        part: None,
        is_wordless: false,
        is_glance: false,
    };
    let huge = describe("MONOCHROME2", 1, 4_000_000_000, [16, 16, 15], "");
    assert_eq!(
        super::draw(&[0; 64], &huge, &VIEW),
        Err(Error::TooLarge(PIXELS_MAX))
    );
    let large = describe("RGB", 3, 1 << 28, [16, 16, 15], "");
    assert_eq!(super::draw(&[0; 64], &large, &VIEW), Err(Error::CutOff));
    for (columns, bits, enough) in [
        (9, [1, 1, 0], 2),
        (3, [8, 8, 7], 3),
        (3, [16, 16, 15], 6),
        (3, [32, 32, 31], 12),
    ] {
        let description = describe("MONOCHROME2", 1, columns, bits, "");
        assert!(super::draw(&vec![0; enough], &description, &VIEW).is_ok());
        assert_eq!(
            super::draw(&vec![0; enough - 1], &description, &VIEW),
            Err(Error::CutOff)
        );
    }
    let outside = View {
        crop: Crop {
            left: 3,
            ..VIEW.crop
        },
        ..VIEW
    };
    let three = describe("MONOCHROME2", 1, 3, [8, 8, 7], "");
    assert_eq!(super::draw(&[0; 3], &three, &outside), Err(Error::Outside));
    let odd = describe("YBR_FULL_422", 3, 3, [8, 8, 7], "");
    assert_eq!(
        super::draw(&[0; 64], &odd, &VIEW),
        Err(Error::Unsupported("YBR_FULL_422 of this shape"))
    );
}
