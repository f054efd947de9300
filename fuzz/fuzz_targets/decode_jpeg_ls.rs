//! Any bytes as a JPEG-LS stream: a fault, or samples that encode and decode to themselves.

#![no_main]

use libfuzzer_sys::fuzz_target;
use overread_fuzz::imaging::codec::jpeg_ls;
use overread_fuzz::{Allowance, split, watched};

const ALLOWANCE: Allowance = Allowance {
    per_sample: 16,
    per_byte: 4,
    free: 1 << 20,
};

fuzz_target!(|input: &[u8]| {
    let Some((bounds, codestream)) = split(input) else {
        return;
    };
    if let Some(raster) = watched(jpeg_ls::decode, &bounds, codestream, ALLOWANCE) {
        let again = jpeg_ls::encode(&raster).expect("what was decoded can be encoded");
        let again = jpeg_ls::decode(&again, &bounds).expect("what was encoded can be decoded");
        assert_eq!(again.bytes, raster.bytes);
    }
});
