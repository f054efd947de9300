//! How often a deflated object is read for its frames.

use std::fmt;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::*;
use crate::access::Scope;
use crate::archive::blob::{FoundOrphan, LiveBlobs, Staged, Swept};
use crate::archive::{
    Archive, BlobStore, Coercion, Declared, Door, DuplicatePolicy, IngestSettings, Locator, Origin,
    PatientConflictPolicy, Target,
};
use crate::dicom::Uid;
use crate::dicom::transfer_syntax::DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN;
use crate::dicom::walk::Limits;
use crate::dicomweb::parts::Reading;
use crate::{db, store};

const FRAMES: u32 = 24;
const SIDE: u16 = 1024;

/// A shelf that counts the bytes read from it.
#[derive(Default)]
struct Counting {
    shelf: store::Memory,
    read: AtomicU64,
}

impl fmt::Display for Counting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.shelf.fmt(f)
    }
}

impl BlobStore for Counting {
    fn put(&self, head: &[u8], body: &[u8], note: &[u8]) -> Result<Locator, Error> {
        self.shelf.put(head, body, note)
    }
    fn stage(&self) -> Result<Box<dyn Staged>, Error> {
        self.shelf.stage()
    }
    fn sync(&self, locators: &[Locator]) -> Result<(), Error> {
        self.shelf.sync(locators)
    }
    fn read_at(&self, locator: &Locator, offset: u64, buffer: &mut [u8]) -> Result<(), Error> {
        self.read.fetch_add(buffer.len() as u64, Ordering::Relaxed);
        self.shelf.read_at(locator, offset, buffer)
    }
    fn condemn(&self, locators: &[Locator]) -> Result<(), Error> {
        self.shelf.condemn(locators)
    }
    fn delete(&self, locators: &[Locator]) -> Result<(), Error> {
        self.shelf.delete(locators)
    }
    fn orphans(&self, live: &mut LiveBlobs<'_>, found: &mut FoundOrphan<'_>) -> Result<(), Error> {
        self.shelf.orphans(live, found)
    }
    fn recover(&self, live: &mut LiveBlobs<'_>) -> Result<Swept, Error> {
        self.shelf.recover(live)
    }
    fn files(&self) -> Result<Vec<(u64, u64)>, Error> {
        self.shelf.files()
    }
    fn free_bytes(&self) -> Result<Option<u64>, Error> {
        self.shelf.free_bytes()
    }
}

fn element(group: u16, number: u16, vr: &str, value: &[u8]) -> Vec<u8> {
    let mut out = [group.to_le_bytes(), number.to_le_bytes()].concat();
    out.extend_from_slice(vr.as_bytes());
    let length = value.len() as u32;
    match vr {
        "OB" => out.extend([[0; 2].as_slice(), &length.to_le_bytes()].concat()),
        _ => out.extend((length as u16).to_le_bytes()),
    }
    out.extend_from_slice(value);
    out
}

/// 24 frames of 1 MiB, each of one value.
fn deflated() -> Vec<u8> {
    let bytes = usize::from(SIDE) * usize::from(SIDE);
    let pixels: Vec<u8> = (1..=FRAMES)
        .flat_map(|number| std::iter::repeat_n(number as u8, bytes))
        .collect();
    let plain = [
        element(0x0008, 0x0016, "UI", b"1\0"),
        element(0x0008, 0x0018, "UI", b"1.2\0"),
        element(0x0020, 0x000D, "UI", b"1.3\0"),
        element(0x0020, 0x000E, "UI", b"1.4\0"),
        element(0x0028, 0x0008, "IS", b"24"),
        element(0x0028, 0x0010, "US", &SIDE.to_le_bytes()),
        element(0x0028, 0x0011, "US", &SIDE.to_le_bytes()),
        element(0x0028, 0x0100, "US", &8_u16.to_le_bytes()),
        element(0x7FE0, 0x0010, "OB", &pixels),
    ];
    let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(&plain.concat()).unwrap();
    encoder.finish().unwrap()
}

fn archive(blobs: Arc<Counting>) -> Archive {
    let settings = IngestSettings {
        duplicate: DuplicatePolicy::Quarantine,
        patient_conflict: PatientConflictPolicy::Quarantine,
        buffer_bytes_max: 1 << 20,
        free_bytes_min: 0,
        limits: Limits {
            value_bytes_max: 1 << 16,
            depth_max: 8,
            metadata_bytes_max: 1 << 20,
            fragments_max: 100,
            object_bytes_max: 64 << 20,
            inline_bytes_max: 16,
        },
        coercion: Coercion::default(),
        forwarding: std::sync::Arc::default(),
        made_bytes_max: 1 << 20,
    };
    let (archive, _) = Archive::open(Arc::new(db::Memory::default()), blobs, settings).unwrap();
    let origin = Origin {
        door: Door::Stow,
        sender: "test".into(),
        peer: "".into(),
    };
    let syntax = Uid::parse(DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN).unwrap();
    let mut incoming = archive
        .receive_dataset(origin, &syntax, Declared::default())
        .unwrap();
    incoming.write(&deflated()).unwrap();
    incoming.finish().unwrap();
    archive
}

#[test]
fn frames_of_a_deflated_object_are_inflated_once_for_a_batch() {
    let blobs = Arc::new(Counting::default());
    let reading = Reading {
        archive: archive(blobs.clone()),
        scope: Scope::All,
        base: "http://h".into(),
    };
    let uids = ["1.3", "1.4", "1.2"].map(|uid| Uid::parse(uid).unwrap());
    let [study, series, instance] = uids;
    let target = Target::Instance(study, series, instance);
    let located = || {
        let mut page = reading.archive.locate(&target, &Scope::All, None, 1);
        page.as_mut().unwrap().pop().unwrap()
    };
    let whole = located().locator.length;
    // Order, and how often all of it is read at most: 24 MiB in batches of 16.
    let cases: [(Vec<u32>, u64); 3] = [
        ((1..=FRAMES).collect(), 1),
        ((1..=FRAMES).rev().collect(), 2),
        (vec![3, 24, 1, 24, 2, 2, 1, 23], 1),
    ];
    for (numbers, passes) in cases {
        blobs.read.store(0, Ordering::Relaxed);
        let opened = Opened::new(&reading, located(), true).unwrap();
        let list = FrameList {
            form: FrameForm::of(&opened.located),
            place: "http://h/frames/".into(),
            numbers: numbers.clone().into(),
        };
        let (body, length) =
            MultipartBody::of_one(Portion::new(opened, Some(list), VecDeque::new()));
        let sent: Vec<u8> = body
            .flat_map(|piece| match piece.unwrap() {
                Piece::Bytes(bytes) => bytes,
                Piece::Stored(run) => panic!("{run:?} is deflated"),
            })
            .collect();
        assert_eq!(Some(sent.len() as u64), length);
        let mut rest = &sent[..];
        for number in &numbers {
            let at = memchr::memmem::find(rest, b"\r\n\r\n").unwrap() + 4;
            let frame = &rest[at..at + usize::from(SIDE) * usize::from(SIDE)];
            assert!(frame.iter().all(|byte| u32::from(*byte) == *number));
            rest = &rest[at + frame.len()..];
        }
        let read = blobs.read.load(Ordering::Relaxed);
        assert!(read <= passes * whole, "{numbers:?}: {read} of {whole}");
    }
}
