//! Any bytes as a JPEG codestream: no panic, and samples as many as were agreed on.

#![no_main]

use libfuzzer_sys::fuzz_target;
use overread::imaging::codec::{Bounds, jpeg, sample_bytes};

fuzz_target!(|input: &[u8]| {
    let [rows, columns, samples, codestream @ ..] = input else {
        return;
    };
    let bounds = Bounds {
        rows: u32::from(*rows),
        columns: u32::from(*columns),
        samples: if samples.is_multiple_of(2) { 1 } else { 3 },
        bits_allocated: 16,
    };
    if let Ok(raster) = jpeg::decode(codestream, &bounds) {
        let count = bounds.sample_count().expect("agreed");
        assert_eq!(raster.bytes.len(), count * sample_bytes(raster.bits));
    }
});
