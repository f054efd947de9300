//! Any bytes as a JPEG 2000 codestream: a fault, or the samples that were agreed on.

#![no_main]

use libfuzzer_sys::fuzz_target;
use overread_fuzz::imaging::codec::jpeg2000;
use overread_fuzz::{Allowance, let_others_panic, split, watched};

const ALLOWANCE: Allowance = Allowance {
    per_sample: 256,
    per_byte: 16,
    free: 192 << 20,
};

fuzz_target!(init: let_others_panic(), |input: &[u8]| {
    if let Some((bounds, codestream)) = split(input) {
        watched(jpeg2000::decode, &bounds, codestream, ALLOWANCE);
    }
});
