//! Any bytes as an RLE frame: a fault, or samples that encode and decode to themselves.

#![no_main]

use libfuzzer_sys::fuzz_target;
use overread::imaging::codec::{Bounds, rle};

fuzz_target!(|bytes: &[u8]| {
    let [rows, columns, samples, bits_allocated, frame @ ..] = bytes else {
        return;
    };
    let bounds = Bounds {
        rows: (*rows).into(),
        columns: (*columns).into(),
        samples: (*samples).into(),
        bits_allocated: (*bits_allocated).into(),
    };
    if let Ok(raster) = rle::decode(frame, &bounds) {
        let again = rle::encode(&raster).expect("what was decoded can be encoded");
        assert_eq!(rle::decode(&again, &bounds), Ok(raster));
    }
});
