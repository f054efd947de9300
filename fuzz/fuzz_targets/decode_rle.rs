//! Any bytes as an RLE frame: a fault, or samples that encode and decode to themselves.

#![no_main]

use libfuzzer_sys::fuzz_target;
use overread_fuzz::imaging::codec::rle;
use overread_fuzz::{Allowance, split, watched};

const ALLOWANCE: Allowance = Allowance {
    per_sample: 8,
    per_byte: 2,
    free: 1 << 20,
};

fuzz_target!(|input: &[u8]| {
    let Some((bounds, frame)) = split(input) else {
        return;
    };
    if let Some(raster) = watched(rle::decode, &bounds, frame, ALLOWANCE) {
        let again = rle::encode(&raster).expect("what was decoded can be encoded");
        assert_eq!(rle::decode(&again, &bounds), Ok(raster));
    }
});
