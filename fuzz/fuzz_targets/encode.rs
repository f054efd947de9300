//! Any native frame of any shape, by every codec that we encode with: refused, or the same bytes again.

#![no_main]

use libfuzzer_sys::fuzz_target;
use overread_fuzz::imaging::codec::{Codec, decode, encode};
use overread_fuzz::imaging::{Photometric, Sample, Shape};
use overread_fuzz::split;

fuzz_target!(|input: &[u8]| {
    let [flags, stored, input @ ..] = input else {
        return;
    };
    let Some((bounds, native)) = split(input) else {
        return;
    };
    let is_color = bounds.samples.is_multiple_of(2);
    let bits_allocated = [1, 8, 16, 32][usize::from(bounds.bits_allocated % 4)];
    let shape = Shape {
        rows: bounds.rows.max(1),
        columns: bounds.columns.max(1),
        samples: if is_color { 3 } else { 1 },
        photometric: match (is_color, flags & 3) {
            (true, 0) => Photometric::YbrFull,
            (true, _) => Photometric::Rgb,
            (false, 0) => Photometric::PaletteColor,
            (false, 1) => Photometric::Monochrome1,
            (false, _) => Photometric::Monochrome2,
        },
        is_planar: false,
        bits_allocated,
        bits_stored: u16::from(*stored) % bits_allocated + 1,
        is_signed: flags & 4 != 0,
        sample: Sample::Whole,
        frames: 1,
        is_word_stream: false,
    };
    for codec in Codec::ENCODED.iter().copied() {
        let Ok(codestream) = encode(codec, native, &shape) else {
            continue;
        };
        let after = shape.encoded(codec).expect("what was encoded has a shape");
        let again = decode(codec, &codestream, &after).expect("what was encoded can be decoded");
        assert_eq!(again, native[..again.len()], "{codec:?} {shape:?}");
        assert_eq!(again.len() as u64, shape.frame_bytes());
    }
});
