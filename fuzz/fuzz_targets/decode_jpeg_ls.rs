//! Any bytes as a JPEG-LS stream: a fault, or samples that encode and decode to themselves.

#![no_main]

use libfuzzer_sys::fuzz_target;
use overread::imaging::codec::{Bounds, jpeg_ls};

fuzz_target!(|bytes: &[u8]| {
    // A size to agree on: small, whatever the stream would like.
    let [rows, columns, samples, codestream @ ..] = bytes else {
        return;
    };
    let bounds = Bounds {
        rows: (*rows).into(),
        columns: (*columns).into(),
        samples: (*samples).into(),
        bits_allocated: 16,
    };
    if let Ok(raster) = jpeg_ls::decode(codestream, &bounds) {
        let again = jpeg_ls::encode(&raster).expect("what was decoded can be encoded");
        let again = jpeg_ls::decode(&again, &bounds).expect("what was encoded can be decoded");
        assert_eq!(again.bytes, raster.bytes);
    }
});
