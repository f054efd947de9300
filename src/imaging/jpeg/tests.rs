//! The encoder of JPEG (PS3.5 Annex A.4.1, ITU-T T.81) against our decoder: what comes back, and how near.

use super::super::codec::{Bounds, jpeg};
use super::super::color::rgb_of_ybr;
use super::*;

fn noise(count: usize) -> Vec<u8> {
    let mut state = 1_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..count).map(|_| next()).collect()
}

/// The samples of a file, as a decoder that equals libjpeg reads them.
fn decoded(file: &[u8], (width, height): (u16, u16), is_color: bool) -> Vec<u8> {
    let bounds = Bounds {
        rows: height.into(),
        columns: width.into(),
        samples: if is_color { 3 } else { 1 },
        bits_allocated: 8,
    };
    let mut bytes = jpeg::decode(file, &bounds).unwrap().bytes;
    if is_color {
        for pixel in bytes.chunks_exact_mut(3) {
            pixel.copy_from_slice(&rgb_of_ybr([pixel[0], pixel[1], pixel[2]]));
        }
    }
    bytes
}

/// The squares of the differences.
fn error(one: &[u8], other: &[u8]) -> f64 {
    assert_eq!(one.len(), other.len());
    let squares = one.iter().zip(other).map(|(one, other)| {
        let difference = f64::from(*one) - f64::from(*other);
        difference * difference
    });
    squares.sum()
}

/// Squares of differences to a picture, all together: of ours, and of another encoder's.
fn errors(samples: &[u8], sides: (u16, u16), is_color: bool, quality: u8) -> [f64; 2] {
    let ours = encode(samples, sides, is_color, quality, None);
    let mut theirs = Vec::new();
    let color = if is_color {
        jpeg_encoder::ColorType::Rgb
    } else {
        jpeg_encoder::ColorType::Luma
    };
    jpeg_encoder::Encoder::new(&mut theirs, quality)
        .encode(samples, sides.0, sides.1, color)
        .unwrap();
    [ours, theirs].map(|file| error(samples, &decoded(&file, sides, is_color)))
}

/// One by one, and more so all together: in a few blocks of noise at a low quality luck decides.
#[test]
fn pictures_come_as_close_as_those_of_another_encoder() {
    const SIDES: [(u16, u16); 6] = [(1, 1), (7, 9), (8, 8), (17, 16), (64, 33), (130, 70)];
    let qualities = [1, 20, 50, 75, 89, 90, 100];
    for (is_color, quality) in [false, true]
        .into_iter()
        .flat_map(|c| qualities.map(|q| (c, q)))
    {
        let mut sums = [0.0; 2];
        for (width, height) in SIDES {
            let channels = if is_color { 3 } else { 1 };
            let count = usize::from(width) * usize::from(height) * channels;
            let smooth = (0..count).map(|at| (at / 7 % 256) as u8).collect();
            let sharp = noise(count).iter().map(|value| value / 128 * 255).collect();
            for samples in [
                smooth,
                sharp,
                noise(count),
                vec![255; count],
                vec![0; count],
            ] {
                let errors = errors(&samples, (width, height), is_color, quality);
                let [ours, theirs] = errors.map(|sum| sum / count as f64);
                assert!(
                    ours <= theirs * 1.5 + 2.0,
                    "{width}x{height} {is_color} {quality}: {ours} {theirs}"
                );
                sums[0] += errors[0];
                sums[1] += errors[1];
            }
        }
        assert!(sums[0] <= sums[1] * 1.02, "{is_color} {quality}: {sums:?}");
    }
}

#[test]
fn a_profile_goes_in_parts() {
    let profile = noise(PROFILE_PART_BYTES + 5);
    let file = encode(&[7; 64], (8, 8), false, 90, Some(&profile));
    let part = |marker: &[u8]| file.windows(marker.len()).position(|part| part == marker);
    let first = part(b"ICC_PROFILE\0\x01\x02").unwrap() + 14;
    assert_eq!(
        file[first..][..PROFILE_PART_BYTES],
        profile[..PROFILE_PART_BYTES]
    );
    let second = part(b"ICC_PROFILE\0\x02\x02").unwrap() + 14;
    assert_eq!(file[second..][..5], profile[PROFILE_PART_BYTES..]);
    assert!(
        decoded(&file, (8, 8), false)
            .iter()
            .all(|value| *value == 7)
    );
}

#[test]
fn zeros_and_categories_are_told() {
    for at in 0..64 {
        let mut numbers = [0; 64];
        numbers[at] = if at % 2 == 0 { -1 } else { 256 };
        assert_eq!(nonzero(&numbers), 1 << at);
    }
    assert_eq!(nonzero(&[3; 64]), u64::MAX);
    // Table F.1.
    let cases = [
        (0, (0, 0)),
        (1, (1, 1)),
        (-1, (1, 0)),
        (-3, (2, 0)),
        (5, (3, 5)),
        (-4, (3, 3)),
    ];
    for (number, expected) in cases {
        assert_eq!(category(number), expected, "{number}");
    }
}

#[test]
fn bytes_of_ones_are_stuffed() {
    let mut bits = BitWriter::new(Vec::new());
    bits.put(0xFFFF_FFFF, 32);
    bits.put(0x1234_FF00, 32);
    bits.put(0x7F, 7);
    assert_eq!(
        bits.finish(),
        [
            0xFF, 0, 0xFF, 0, 0xFF, 0, 0xFF, 0, 0x12, 0x34, 0xFF, 0, 0, 0xFF, 0
        ]
    );
}
