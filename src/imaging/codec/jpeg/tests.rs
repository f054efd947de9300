//! Whole codestreams, of other writers and against other readers; then damaged ones.

use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::fixtures::*;
use super::progressive::SCANS_MAX;
use super::{Bounds, Fault, Raster};
use crate::imaging::codec::Color;

fn stream(segments: &[(&str, &str)]) -> Vec<u8> {
    bytes(&segments.iter().map(|(_, hex)| *hex).collect::<String>())
}

fn bytes(hex: &str) -> Vec<u8> {
    hex.as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

/// The same with a segment in place of another.
fn with(segments: &[Segment], name: &str, other: &str) -> Vec<u8> {
    let mut segments: Vec<(&str, &str)> = segments.to_vec();
    let place = segments.iter().position(|(what, _)| what.starts_with(name));
    segments[place.unwrap()].1 = other;
    stream(&segments)
}

fn bounds(rows: u32, columns: u32, samples: u16, bits_allocated: u16) -> Bounds {
    Bounds {
        rows,
        columns,
        samples,
        bits_allocated,
    }
}

fn decode(stream: &[u8], bounds: Bounds) -> Result<Raster, Fault> {
    super::decode(stream, &bounds)
}

/// Little endian, two bytes each.
fn words(samples: &[u16]) -> Vec<u8> {
    samples
        .iter()
        .flat_map(|sample| sample.to_le_bytes())
        .collect()
}

/// A codestream, what may be made of it, and what it is made of.
type Known = (&'static [Segment], Bounds, u16, Color, Vec<u8>);

fn known() -> Vec<Known> {
    let lossless = [
        LOSSLESS_1, LOSSLESS_2, LOSSLESS_3, LOSSLESS_4, LOSSLESS_5, LOSSLESS_6, LOSSLESS_7,
    ];
    let mut known: Vec<Known> = lossless
        .into_iter()
        .map(|segments| {
            let samples = words(LOSSLESS_1_SAMPLES);
            (segments, bounds(5, 6, 1, 16), 16, Color::Unsaid, samples)
        })
        .collect();
    let color = LOSSLESS_COLOR_SAMPLES.to_vec();
    known.extend([
        (
            GREY,
            bounds(9, 11, 1, 8),
            8,
            Color::Unsaid,
            GREY_SAMPLES.to_vec(),
        ),
        (
            COLOR_420,
            bounds(10, 9, 3, 8),
            8,
            Color::Ybr,
            COLOR_420_SAMPLES.to_vec(),
        ),
        (
            COLOR_422_APART,
            bounds(3, 19, 3, 8),
            8,
            Color::Ybr,
            COLOR_422_APART_SAMPLES.to_vec(),
        ),
        (
            PROGRESSIVE,
            bounds(9, 17, 3, 8),
            8,
            Color::Ybr,
            PROGRESSIVE_SAMPLES.to_vec(),
        ),
        (
            EXTENDED_12,
            bounds(9, 10, 1, 16),
            12,
            Color::Unsaid,
            words(EXTENDED_12_SAMPLES),
        ),
        (
            LOSSLESS_COLOR,
            bounds(5, 4, 3, 8),
            8,
            Color::Rgb,
            color.clone(),
        ),
        (LOSSLESS_APART, bounds(5, 4, 3, 8), 8, Color::Rgb, color),
        (
            LOSSLESS_POINT,
            bounds(3, 5, 1, 16),
            16,
            Color::Unsaid,
            words(LOSSLESS_POINT_SAMPLES),
        ),
    ]);
    known
}

#[test]
fn samples_equal_those_of_other_readers() {
    for (segments, bounds, bits, color, bytes) in known() {
        let expected = Raster {
            rows: bounds.rows,
            columns: bounds.columns,
            samples: bounds.samples,
            bits,
            is_signed: false,
            color,
            bytes,
        };
        assert_eq!(decode(&stream(segments), bounds), Ok(expected));
    }
}

#[test]
fn what_surrounds_a_codestream_does_not_matter() {
    for (segments, bounds, ..) in known() {
        let whole = stream(segments);
        let expected = decode(&whole, bounds);
        let padded = [&[0, 0][..], &whole, &[0]].concat();
        assert_eq!(decode(&padded, bounds), expected);
        assert_eq!(decode(&whole[..whole.len() - 2], bounds), expected);
    }
}

#[test]
fn data_that_ends_early_is_no_picture() {
    for (segments, bounds, ..) in known() {
        let whole = stream(segments);
        // The last byte before EOI may hold nothing but padding.
        for end in 19..whole.len() - 3 {
            let cut = decode(&whole[..end], bounds);
            assert_eq!(
                cut,
                Err(Fault::CutOff),
                "{end} of {} {:?}",
                whole.len(),
                segments[1]
            );
            let ended = [&whole[..end], &[0xFF, 0xD9]].concat();
            assert!(decode(&ended, bounds).is_err(), "{end} of {}", whole.len());
        }
        for end in 0..19 {
            assert!(decode(&whole[..end], bounds).is_err());
        }
    }
}

proptest! {
    #[test]
    fn damaged_codestreams_do_no_harm(
        which in 0..15_usize,
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        end: prop::sample::Index,
        is_cut: bool,
    ) {
        let (segments, bounds, ..) = &known()[which];
        let mut bytes = stream(segments);
        for (at, value) in damage {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if is_cut {
            bytes.truncate(end.index(bytes.len()));
        }
        let start = Instant::now();
        if let Ok(raster) = decode(&bytes, *bounds) {
            let count = bounds.sample_count().unwrap();
            let width = crate::imaging::codec::sample_bytes(raster.bits);
            prop_assert_eq!(raster.bytes.len(), count * width);
        }
        prop_assert!(start.elapsed() < Duration::from_secs(5));
    }

    #[test]
    fn any_bytes_do_no_harm(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let bytes = [&[0xFF, 0xD8, 0xFF][..], &bytes].concat();
        let _ = decode(&bytes, bounds(8, 8, 1, 8));
    }
}

#[test]
fn a_size_that_the_data_set_has_not_is_refused() {
    let stream = stream(GREY);
    for bounds in [
        bounds(9, 10, 1, 8),
        bounds(10, 11, 1, 8),
        bounds(9, 11, 3, 8),
        bounds(9, 11, 1, 1),
    ] {
        assert!(matches!(decode(&stream, bounds), Err(Fault::Malformed(_))));
    }
}

#[test]
fn a_size_that_the_bytes_do_not_bear_out_is_refused() {
    let largest = u16::MAX.into();
    for (segments, sof, frame) in [
        (GREY, "SOF0", "ffc0000b08ffffffff01011100"),
        (GREY, "SOF0", "ffc2000b08ffffffff01011100"),
        (LOSSLESS_1, "SOF3", "ffc3000b10ffffffff01011100"),
    ] {
        let bounds = bounds(largest, largest, 1, 16);
        assert_eq!(
            decode(&with(segments, sof, frame), bounds),
            Err(Fault::CutOff)
        );
    }
}

#[test]
fn components_tell_their_color() {
    let adobe = |transform: u8| {
        let whole = stream(COLOR_420);
        let segment = [&b"\xFF\xEE\0\x0EAdobe\0\x64\0\0\0\0"[..], &[transform]].concat();
        let stream = [&whole[..2], &segment, &whole[2..]].concat();
        decode(&stream, bounds(10, 9, 3, 8)).unwrap().color
    };
    assert_eq!([adobe(0), adobe(1)], [Color::Rgb, Color::Ybr]);
    let without = with(COLOR_420, "APP0", "");
    let color = decode(&without, bounds(10, 9, 3, 8)).unwrap().color;
    assert_eq!(color, Color::Unsaid);
}

#[test]
fn processes_that_we_do_not_decode_say_so() {
    // Hierarchical, extensions, arithmetic, JPEG-LS.
    for marker in ["c5", "c8", "c9", "ca", "cb", "cd", "f7"] {
        let frame = format!("ff{marker}000b080009000b01011100");
        let found = decode(&with(GREY, "SOF0", &frame), bounds(9, 11, 1, 8));
        assert!(matches!(found, Err(Fault::Unsupported(_))), "{found:?}");
    }
    // A height that comes later; two components.
    for frame in [
        "ffc0000b080000000b01011100",
        "ffc0000e080009000b02011100021100",
    ] {
        let found = decode(&with(GREY, "SOF0", frame), bounds(9, 11, 1, 8));
        assert!(matches!(found, Err(Fault::Unsupported(_))), "{found:?}");
    }
    // Ten bits have no DCT; a sampling factor is never 0 or 5.
    for frame in [
        "ffc0000b0a0009000b01011100",
        "ffc0000b080009000b01010100",
        "ffc0000b080009000b01015100",
    ] {
        let found = decode(&with(GREY, "SOF0", frame), bounds(9, 11, 1, 16));
        assert!(matches!(found, Err(Fault::Malformed(_))), "{found:?}");
    }
}

#[test]
fn a_restart_marker_out_of_turn_is_refused() {
    let mut bytes = stream(GREY);
    let second = bytes
        .windows(2)
        .position(|pair| pair == [0xFF, 0xD1])
        .unwrap();
    bytes[second + 1] = 0xD2;
    let found = decode(&bytes, bounds(9, 11, 1, 8));
    assert_eq!(
        found,
        Err(Fault::Malformed("a restart interval of a JPEG scan"))
    );
}

/// A progressive frame of 64×64 pixels without AC coefficients: after the scan of DC, one scan for each
/// of these, with Ah and Al in one byte.
fn progressive(coefficients: impl IntoIterator<Item = (u8, u8)>) -> Vec<u8> {
    let steps = format!("ffdb004300{}", "01".repeat(64));
    // One code of one bit in each table: no difference; a run of 64 blocks that have ended.
    let counts = format!("01{}", "00".repeat(15));
    let dc = format!("ffc4001400{counts}00");
    let ac = format!("ffc4001410{counts}60");
    let frame = "ffc2000b080040004001011100";
    let first = "ffda0008010100000000 0000000000000000";
    let mut hex = ["ffd8", &steps, &dc, &ac, frame, first]
        .concat()
        .replace(' ', "");
    for (at, bits) in coefficients {
        hex += &format!("ffda0008010100{at:02x}{at:02x}{bits:02x}00");
    }
    bytes(&(hex + "ffd9"))
}

#[test]
fn scans_are_counted() {
    let bounds = bounds(64, 64, 1, 8);
    let most = decode(&progressive((1..64).map(|at| (at, 0))), bounds).unwrap();
    assert_eq!(most.bytes, [128; 64 * 64]);
    assert_eq!(SCANS_MAX, 64);
    // With the first bit of the last two apart, it takes two more.
    let more = (1..62)
        .map(|at| (at, 0))
        .chain([(62, 1), (63, 1), (62, 0x10), (63, 0x10)]);
    let found = decode(&progressive(more), bounds);
    assert_eq!(
        found,
        Err(Fault::Unsupported("a JPEG frame of so many scans"))
    );
}

#[test]
fn bits_of_coefficients_come_once_and_in_order() {
    let bounds = bounds(64, 64, 1, 8);
    let incomplete = decode(&progressive((1..63).map(|at| (at, 0))), bounds);
    assert_eq!(incomplete, Err(Fault::CutOff));
    let fault = Fault::Malformed("the successive approximation of a JPEG scan");
    for order in [
        &[(1, 0), (1, 0)][..],
        &[(1, 0x10)],
        &[(1, 2), (1, 0x10)],
        &[(1, 14)],
    ] {
        let found = decode(&progressive(order.iter().copied()), bounds);
        assert_eq!(found, Err(fault));
    }
}

#[test]
fn a_component_comes_once() {
    let mut segments: Vec<(&str, &str)> = COLOR_422_APART.to_vec();
    let first = segments
        .iter()
        .position(|(what, _)| what.starts_with("SOS"))
        .unwrap();
    let again = [segments[first], segments[first + 1]];
    segments.splice(first..first, again);
    let found = decode(&stream(&segments), bounds(3, 19, 3, 8));
    assert_eq!(
        found,
        Err(Fault::Malformed("a JPEG component that comes twice"))
    );
}

#[test]
fn components_that_share_an_identifier_keep_their_order() {
    let frame = "ffc0001108000a0009030122000111010111 01".replace(' ', "");
    let mut segments: Vec<(&str, &str)> = COLOR_420.to_vec();
    let scan = segments
        .iter_mut()
        .find(|(what, _)| what.starts_with("SOS"))
        .unwrap();
    let (before, after) = scan.1.split_at(10);
    let mut ids = bytes(&after[..12]);
    (ids[2], ids[4]) = (1, 1);
    let ids: String = ids.iter().map(|byte| format!("{byte:02x}")).collect();
    let header = format!("{before}{ids}{}", &after[12..]);
    scan.1 = &header;
    let sof = segments
        .iter_mut()
        .find(|(what, _)| what.starts_with("SOF"))
        .unwrap();
    sof.1 = &frame;
    let found = decode(&stream(&segments), bounds(10, 9, 3, 8)).unwrap();
    assert_eq!(found.bytes, COLOR_420_SAMPLES);
}
