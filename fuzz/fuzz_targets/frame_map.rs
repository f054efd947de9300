//! Any bytes as a packed frame map: none, or one that packs and unpacks to itself.

#![no_main]

use libfuzzer_sys::fuzz_target;
use overread_fuzz::dicom::FrameMap;

fuzz_target!(|bytes: &[u8]| {
    if let Some(map) = FrameMap::decode(bytes) {
        assert_eq!(FrameMap::decode(&map.encode()).as_ref(), Some(&map));
        let _ = map.frame(map.len());
    }
});
