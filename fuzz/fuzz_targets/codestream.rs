//! Any bytes as the headers of any codestream that is stored: a fault, or what they say.

#![no_main]

use std::io::Cursor;

use libfuzzer_sys::fuzz_target;
use overread_fuzz::imaging::codestream;

const MEDIA_TYPES: &[&str] = &[
    "image/jpeg",
    "image/jp2",
    "image/jxl",
    "video/mpeg",
    "video/mp4",
    "video/H265",
];

fuzz_target!(|input: &[u8]| {
    // Seeds of decoders begin with six bytes of their own.
    if let Some(codestream) = input.get(6..) {
        for media_type in MEDIA_TYPES {
            let _ = codestream::read(media_type, &mut Cursor::new(codestream));
        }
    }
});
