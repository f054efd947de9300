//! Any bytes as a High-Throughput JPEG 2000 codestream: a fault, or the samples that were agreed on.
//! Whatever comes is marked as such, so that it goes to the decoder with the unsafe code.

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
    let Some((bounds, codestream)) = split(input) else { return };
    let mut codestream = codestream.to_vec();
    // COD: the style of code-blocks is its ninth byte (ISO/IEC 15444-1 Table A.15).
    if let Some(at) = codestream.windows(2).position(|marker| marker == [0xFF, 0x52])
        && let Some(style) = codestream.get_mut(at + 12)
    {
        *style |= 0x40;
    }
    watched(jpeg2000::decode, &bounds, &codestream, ALLOWANCE);
});
