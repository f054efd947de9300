//! Streams of the standard and of CharLS 2.4.3, their malformed kin, and whatever we encode ourselves.

use proptest::prelude::*;

use super::super::{Bounds, Color, Fault, Raster, sample_bytes};
use super::{decode, encode};

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(byte).collect()
}

fn bounds(rows: u32, columns: u32, samples: u16, bits_allocated: u16) -> Bounds {
    Bounds {
        rows,
        columns,
        samples,
        bits_allocated,
    }
}

fn raster(size: (u32, u32), samples: u16, bits: u16, values: &[u16]) -> Raster {
    let bytes = values
        .iter()
        .flat_map(|value| value.to_le_bytes().into_iter().take(sample_bytes(bits)))
        .collect();
    Raster {
        rows: size.0,
        columns: size.1,
        samples,
        bits,
        is_signed: false,
        color: Color::Unsaid,
        bytes,
    }
}

/// ISO/IEC 14495-1 §H.3
const H3: &str = "FFD8 FFF7000B080004000401011100 FFDA0008010100000000
    C000006C80208E01C0000057400000 6EE6000001BC18000005D800009160 FFD9";
/// With a byte of fill before the end, where we need one.
fn with_even_length(mut stream: Vec<u8>) -> Vec<u8> {
    if stream.len() % 2 == 1 {
        stream.insert(stream.len() - 2, 0xFF);
    }
    stream
}
const H3_SAMPLES: [u16; 16] = [
    0, 0, 90, 74, 68, 50, 43, 205, 64, 145, 145, 145, 100, 145, 145, 145,
];

#[test]
fn the_example_of_the_standard() {
    let wanted = raster((4, 4), 1, 8, &H3_SAMPLES);
    assert_eq!(decode(&hex(H3), &bounds(4, 4, 1, 8)), Ok(wanted.clone()));
    assert_eq!(encode(&wanted), Ok(with_even_length(hex(H3))));
}

/// Three rows of five pixels.
const RGB: [u16; 45] = [
    0, 0, 7, 40, 9, 7, 80, 36, 7, 120, 81, 200, 160, 144, 200, //
    3, 0, 7, 43, 9, 7, 83, 36, 7, 123, 81, 200, 163, 144, 200, //
    6, 0, 7, 46, 9, 7, 86, 36, 7, 126, 81, 200, 166, 144, 200,
];
const RGB_FRAME: &str = "FFF7 0011 08 0003 0005 03 011100 021100 031100";

#[test]
fn components_by_scan_by_line_and_by_sample() {
    let wanted = raster((3, 5), 3, 8, &RGB);
    for scans in [
        "FFDA00080101000000008000070000 1CB4AD9933369200 FFDA0008010200000000 82800280000147724A5580
         FFDA0008010300000000 0B20000017D934ED",
        "FFDA000C03010002000300000100 800007 00001CB4AEC40014CDD56CA403D299933492934B69255B68",
        "FFDA000C03010002000300000200 48040000130800003800 0009A48B4D400020A5D65348D2349751A9B53D4656C988",
    ] {
        let stream = hex(&format!("FFD8{RGB_FRAME}{scans}FFD9"));
        assert_eq!(decode(&stream, &bounds(3, 5, 3, 8)), Ok(wanted.clone()));
        for cut in 0..stream.len() - 3 {
            let fault = decode(&stream[..cut], &bounds(3, 5, 3, 8)).unwrap_err();
            assert_eq!(fault, Fault::CutOff, "{cut}");
        }
        // Without an end, and with padding behind it.
        for stream in [&stream[..stream.len() - 2], &[&stream[..], &[0]].concat()] {
            assert!(decode(stream, &bounds(3, 5, 3, 8)).is_ok());
        }
    }
    // CharLS makes the same of it, by line, except that its length may be odd.
    let ours = encode(&wanted).unwrap();
    let theirs = hex(&format!(
        "FFD8{RGB_FRAME}FFDA000C03010002000300000100
         80000700001CB4AEC40014CDD56CA403D299933492934B69255B68FFD9"
    ));
    assert_eq!(ours, with_even_length(theirs));
}

#[test]
fn color_transforms_of_hp_are_undone() {
    for (kind, bits) in [
        (
            1,
            "000001FD000177F08522000A0C8EC386CE00E1F1996492525299 3D55AD80",
        ),
        (
            2,
            "000001FD000177F08522000A0C8EC3834260326666592494C97664F55649FE",
        ),
        (
            3,
            "50140050 00001A051000001EFADE0587C0FC836E56EDB4924A332C92E94ACC9E80",
        ),
    ] {
        let stream = hex(&format!(
            "FFD8 FFE800076D726678{kind:02X} {RGB_FRAME}
             FFDA000C03010002000300000100 {bits} FFD9"
        ));
        let found = decode(&stream, &bounds(3, 5, 3, 8)).unwrap();
        let wanted = raster((3, 5), 3, 8, &RGB);
        assert_eq!((found.color, found.bytes), (Color::Rgb, wanted.bytes));
    }
}

#[test]
fn depths_losses_and_presets() {
    for (bits, stream, wanted) in [
        (
            16,
            "FFD8 FFF7000B10000300050101 1100 FFF8000D01FFFF0012004301140040 FFDA0008010100000000
             8000046100001184B17CB1740000000000070D540000462 2C602C5E00001 18808D413169316200400 0FFD9",
            [
                0, 9777, 19554, 29331, 39108, 25003, 34780, 44557, 54334, 64111, 50006, 59783,
                4024, 13801, 23578,
            ],
        ),
        // NEAR 3
        (
            12,
            "FFD8 FFF7000B0C0003000501011100 FFDA0008010100030000
             800017000054972540002800012210820000A104411000001325C0 FFD9",
            [
                0, 980, 1953, 2934, 3909, 910, 1883, 2864, 3839, 717, 1816, 2790, 3765, 647, 1626,
            ],
        ),
        // Thresholds 2, 4, 9 and RESET 5
        (
            4,
            "FFD8 FFF7000B040003000501011100 FFF8000D01000F0002000400090005 FFDA0008010100000000
             8CCCC10930812506 FFD9",
            [0, 3, 6, 9, 12, 5, 8, 11, 14, 1, 10, 13, 0, 3, 6],
        ),
    ] {
        let bounds = bounds(3, 5, 1, 16);
        let wanted = raster((3, 5), 1, bits, &wanted);
        assert_eq!(decode(&hex(stream), &bounds), Ok(wanted.clone()));
        let again = encode(&wanted).unwrap();
        assert_eq!(decode(&again, &bounds), Ok(wanted));
    }
}

/// Strips of two rows, coded each for itself, are what restart markers part (§C.2.5).
#[test]
fn everything_begins_anew_at_restart_markers() {
    let values: Vec<u16> = (0..63).map(|at| (at * 37 + at / 9) % 256).collect();
    let mut bits = Vec::new();
    for (number, strip) in values.chunks(14).enumerate() {
        let coded = encode(&raster((strip.len() as u32 / 7, 7), 1, 8, strip)).unwrap();
        let end = coded.len() - if coded[coded.len() - 3] == 0xFF { 3 } else { 2 };
        if number > 0 {
            bits.extend([0xFF, 0xD0 + (number as u8 - 1) % 8]);
        }
        bits.extend(&coded[25..end]);
    }
    for interval in ["FFDD 0004 0002", "FFDD 0005 000002", "FFDD 0006 00000002"] {
        let mut stream = hex(&format!(
            "FFD8 {interval} FFF7000B0800090007 01011100 FFDA0008010100000000"
        ));
        stream.extend(&bits);
        let found = decode(&stream, &bounds(9, 7, 1, 8));
        assert_eq!(found, Ok(raster((9, 7), 1, 8, &values)));
        let marker = stream
            .windows(2)
            .position(|pair| pair == [0xFF, 0xD1])
            .unwrap();
        stream[marker + 1] = 0xD3;
        let found = decode(&stream, &bounds(9, 7, 1, 8));
        assert_eq!(found, Err(Fault::Malformed("a restart marker of JPEG-LS")));
    }
}

#[test]
fn what_is_not_agreed_on_or_not_supported_is_refused() {
    let size = bounds(4, 4, 1, 8);
    for other in [
        bounds(4, 5, 1, 8),
        bounds(5, 4, 1, 8),
        bounds(4, 4, 3, 8),
        bounds(4, 4, 1, 1),
    ] {
        assert!(matches!(decode(&hex(H3), &other), Err(Fault::Malformed(_))));
    }
    for (from, to, is_unsupported) in [
        ("FFDA0008010100", "FFDA0008010101", true), // a mapping table
        ("FFDA0008010100000000", "FFDA0008010100000001", true), // a point transform
        ("FFF7000B", "FFF8 0006 04 02 0000 FFF7000B", true),
        ("FFF7000B", "FFF8 0003 07 FFF7000B", true),
        ("FFF7000B0800040004", "FFF7000B0800000004", true),
        ("FFF7000B0800040004", "FFF7000B0100040004", false),
        ("FFF7000B", "FFC0000B", true),
        ("FFDA00080101", "FFDA00080102", false),
        ("FFDA000801010000", "FFDA000801010080", false), // NEAR beyond half of MAXVAL
        (
            "FFF7000B",
            "FFF8000D01 00FF 0009 0008 0007 0000 FFF7000B",
            false,
        ),
        (
            "FFF7000B",
            "FFF8000D01 0100 0000 0000 0000 0000 FFF7000B",
            false,
        ),
        (
            "FFF7000B",
            "FFF8000D01 00FF 0000 0000 0000 0002 FFF7000B",
            false,
        ),
    ] {
        let changed = H3.replacen(from, to, 1);
        assert_ne!(changed, H3, "{from}");
        match decode(&hex(&changed), &size) {
            Err(Fault::Unsupported(_)) => assert!(is_unsupported, "{to}"),
            Err(Fault::Malformed(_)) => assert!(!is_unsupported, "{to}"),
            other => panic!("{to} {other:?}"),
        }
    }
    // An enormous frame that was agreed on costs nothing when its bits are missing.
    let changed = hex(&H3.replacen("00040004", "FFFFFFFF", 1));
    let found = decode(&changed, &bounds(65_535, 65_535, 1, 8));
    assert!(found.is_err());
}

#[test]
fn only_the_bits_that_count_are_coded() {
    // -1 and -2048 of 12 bits, sign-extended.
    let signed = raster((1, 2), 1, 12, &[0xFFFF, 0xF800]);
    let coded = encode(&signed).unwrap();
    let found = decode(&coded, &bounds(1, 2, 1, 16)).unwrap();
    assert_eq!(found.bytes, raster((1, 2), 1, 12, &[0x0FFF, 0x0800]).bytes);
    for (rows, columns, samples, bits) in
        [(1, 1, 1, 1), (1, 1, 1, 17), (65_536, 1, 1, 8), (1, 1, 5, 8)]
    {
        let mut other = raster((rows, columns), samples, 8, &[0; 8]);
        other.bits = bits;
        assert!(matches!(encode(&other), Err(Fault::Unsupported(_))));
    }
    let mut short = raster((4, 4), 1, 8, &H3_SAMPLES);
    short.bytes.pop();
    assert_eq!(encode(&short), Err(Fault::CutOff));
}

/// Rasters with noise, flat parts, and steps, by how many values they have.
fn rasters() -> impl Strategy<Value = Raster> {
    (1..20_u32, 1..40_u32, 1..=4_u16, 2..=16_u16, 0..=16_u16).prop_flat_map(
        |(rows, columns, samples, bits, shift)| {
            let count = (rows * columns * u32::from(samples)) as usize;
            let runs = (
                any::<u16>(),
                prop_oneof![4 => 1..3_usize, 1 => 1..200_usize],
            );
            proptest::collection::vec(runs, count).prop_map(move |runs| {
                let values: Vec<u16> = runs
                    .into_iter()
                    .flat_map(|(value, length)| {
                        let value = u32::from(value) >> shift.min(bits - 1);
                        let value = value as u16 & (u16::MAX >> (16 - bits));
                        std::iter::repeat_n(value, length)
                    })
                    .take(count)
                    .collect();
                raster((rows, columns), samples, bits, &values)
            })
        },
    )
}

fn of(raster: &Raster) -> Bounds {
    bounds(raster.rows, raster.columns, raster.samples, 16)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn what_is_encoded_is_decoded_the_same(raster in rasters()) {
        let coded = encode(&raster).unwrap();
        prop_assert!(coded.len().is_multiple_of(2));
        prop_assert_eq!(decode(&coded, &of(&raster)), Ok(raster));
    }

    #[test]
    fn damaged_streams_end_in_a_fault_or_in_samples(
        raster in rasters(),
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..5),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut coded = encode(&raster).unwrap();
        for (at, byte) in damage {
            let at = at.index(coded.len());
            coded[at] = byte;
        }
        if let Ok(found) = decode(&coded, &of(&raster)) {
            let bytes = sample_bytes(found.bits) * of(&raster).sample_count().unwrap();
            prop_assert_eq!(found.bytes.len(), bytes);
        }
        let _ = decode(&coded[..cut.index(coded.len())], &of(&raster));
    }

    #[test]
    fn scans_of_any_bytes_end(
        bits in proptest::collection::vec(any::<u8>(), 0..300),
        near in 0..4_u8,
        reset in prop_oneof![Just(0_u16), Just(3), Just(65_535)],
        interleaving in 0..3_u8,
    ) {
        let head = hex(&format!(
            "FFD8 FFF8000D01 FFFF 0000 0000 0000 {reset:04X} FFF7 0011 10 0009 0015 03 011100 021100 031100
             FFDA000C03010002000300 {near:02X}{:02X}00", interleaving.max(1)
        ));
        let _ = decode(&[head, bits].concat(), &bounds(9, 21, 3, 16));
    }
}
