//! Any bytes as a codestream: no panic, and samples as many as the data set says, or a fault.
#![no_main]

use libfuzzer_sys::fuzz_target;
use overread::imaging::codec::{Bounds, jpeg_xl, sample_bytes};

fuzz_target!(|input: (u8, u8, bool, &[u8])| {
    let (rows, columns, is_color, codestream) = input;
    let bounds = Bounds {
        rows: rows.into(),
        columns: columns.into(),
        samples: if is_color { 3 } else { 1 },
        bits_allocated: 16,
    };
    if let Ok(raster) = jpeg_xl::decode(codestream, &bounds) {
        let samples = bounds.sample_count().expect("small bounds");
        assert_eq!(raster.bytes.len(), samples * sample_bytes(raster.bits));
    }
});
