//! Any bytes as a data set of any transfer syntax: no panic in metadata, frame map or inflater,
//! and memory within the limits.

#![no_main]

use libfuzzer_sys::fuzz_target;
use overread_fuzz::dicom::Uid;
use overread_fuzz::dicom::header::HeaderReader;
use overread_fuzz::dicom::transfer_syntax::TRANSFER_SYNTAXES;
use overread_fuzz::dicom::walk::Limits;

const LIMITS: Limits = Limits {
    value_bytes_max: 1024,
    depth_max: 16,
    metadata_bytes_max: 1 << 20,
    fragments_max: 64,
    object_bytes_max: 1 << 20,
    inline_bytes_max: 64,
};

fuzz_target!(|input: &[u8]| {
    let [choice, piece, bytes @ ..] = input else {
        return;
    };
    let syntax = &TRANSFER_SYNTAXES[usize::from(*choice) % TRANSFER_SYNTAXES.len()];
    let uid = Uid::parse(syntax.uid).expect("a UID of the standard");
    let mut reader = HeaderReader::new(&uid, &LIMITS).expect("a syntax of the table");
    for piece in bytes.chunks(usize::from(*piece) + 1) {
        if reader.feed(piece).is_err() {
            return;
        }
    }
    if let Ok(header) = reader.finish() {
        assert!(header.metadata.len() as u64 <= LIMITS.metadata_bytes_max);
        for number in 1..=header.frames.len() {
            assert!(header.frames.frame(number).is_some());
        }
    }
});
