//! Any bytes as a deflated frame: a fault, or the samples that were agreed on.

#![no_main]

use libfuzzer_sys::fuzz_target;
use overread_fuzz::imaging::codec::deflate;
use overread_fuzz::{Allowance, split, watched};

const ALLOWANCE: Allowance = Allowance {
    per_sample: 8,
    per_byte: 2,
    free: 1 << 20,
};

fuzz_target!(|input: &[u8]| {
    if let Some((bounds, codestream)) = split(input) {
        watched(deflate::decode, &bounds, codestream, ALLOWANCE);
    }
});
