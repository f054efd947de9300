//! Any bytes as a file: no panic, and the same answer whatever the pieces are.

#![no_main]

use libfuzzer_sys::fuzz_target;
use overread_fuzz::dicom::part10::{Meta, MetaError, MetaReader};

fn read(bytes: &[u8], piece: usize) -> Result<Meta, MetaError> {
    let mut reader = MetaReader::new();
    for piece in bytes.chunks(piece) {
        if let Some(meta) = reader.feed(piece)? {
            return Ok(meta);
        }
    }
    reader.finish()
}

fuzz_target!(|input: &[u8]| {
    let [piece, bytes @ ..] = input else { return };
    if let Ok(meta) = read(bytes, usize::from(*piece) + 1) {
        assert!(meta.dataset_offset <= bytes.len());
        let whole = read(bytes, bytes.len().max(1)).expect("pieces decided");
        assert_eq!(meta.dataset_offset, whole.dataset_offset);
    }
});
