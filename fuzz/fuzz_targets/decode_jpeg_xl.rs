//! Any bytes as a JPEG XL codestream: a fault, or the samples that were agreed on.

#![no_main]

use libfuzzer_sys::fuzz_target;
use overread_fuzz::imaging::codec::jpeg_xl;
use overread_fuzz::{Allowance, let_others_panic, split, watched};

const ALLOWANCE: Allowance = Allowance {
    per_sample: 128,
    per_byte: 16,
    free: 128 << 20,
};

fuzz_target!(init: let_others_panic(), |input: &[u8]| {
    if let Some((bounds, codestream)) = split(input) {
        watched(jpeg_xl::decode, &bounds, codestream, ALLOWANCE);
    }
});
