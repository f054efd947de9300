//! Any bytes as a JPEG codestream: a fault, or the samples that were agreed on.

#![no_main]

use libfuzzer_sys::fuzz_target;
use overread_fuzz::imaging::codec::jpeg;
use overread_fuzz::{Allowance, split, watched};

const ALLOWANCE: Allowance = Allowance {
    per_sample: 16,
    per_byte: 4,
    free: 1 << 20,
};

fuzz_target!(|input: &[u8]| {
    if let Some((bounds, codestream)) = split(input) {
        watched(jpeg::decode, &bounds, codestream, ALLOWANCE);
    }
});
