//! An archive over each pair of shelves, and objects to store.

use std::sync::Arc;

use overread::access::Scope;
use overread::archive::blob::BlobStore;
use overread::archive::index::Index;
use overread::archive::{
    Archive, Coercion, Declared, Door, DuplicatePolicy, Error, IngestSettings, Origin, Outcome,
    PatientConflictPolicy, Receipt, Target,
};
use overread::dicom::Uid;
use overread::dicom::walk::Limits;
use overread::{db, store};

pub(super) const EXPLICIT_LE: &str = "1.2.840.10008.1.2.1";

/// An archive and what keeps its directory alive.
pub(super) struct House {
    pub(super) archive: Archive,
    pub(super) blobs: Arc<dyn BlobStore>,
    pub(super) _dir: tempfile::TempDir,
}

pub(super) fn settings() -> IngestSettings {
    IngestSettings {
        duplicate: DuplicatePolicy::Quarantine,
        patient_conflict: PatientConflictPolicy::Quarantine,
        buffer_bytes_max: 64 << 10,
        free_bytes_min: 0,
        limits: Limits {
            value_bytes_max: 1 << 16,
            depth_max: 64,
            metadata_bytes_max: 4 << 20,
            fragments_max: 100_000,
            object_bytes_max: 16 << 20,
            inline_bytes_max: 4096,
        },
        coercion: Coercion::default(),
        forwarding: Arc::default(),
        made_bytes_max: 1 << 20,
    }
}

/// Runs a test over memory and over SQLite with the file system.
pub(super) fn on_every_shelf(settings: &IngestSettings, test: impl Fn(&House)) {
    for is_durable in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let (index, blobs): (Arc<dyn Index>, Arc<dyn BlobStore>) = if is_durable {
            (
                Arc::new(db::Sqlite::open(&dir.path().join("index.sqlite"), 2).unwrap()),
                Arc::new(store::Filesystem::open(&dir.path().join("blobs")).unwrap()),
            )
        } else {
            (
                Arc::new(db::Memory::default()),
                Arc::new(store::Memory::default()),
            )
        };
        let (archive, _) = Archive::open(index, blobs.clone(), settings.clone()).unwrap();
        test(&House {
            archive,
            blobs,
            _dir: dir,
        });
    }
}

/// A data set in Explicit VR Little Endian (PS3.5 §7.1.2), elements in the order given.
pub(super) fn dataset(elements: &[(u16, u16, &[u8; 2], &[u8])]) -> Vec<u8> {
    let mut out = Vec::new();
    for (group, element, vr, value) in elements {
        out.extend(group.to_le_bytes());
        out.extend(element.to_le_bytes());
        out.extend(*vr);
        let mut value = value.to_vec();
        if value.len() % 2 == 1 {
            value.push(if *vr == b"UI" { 0 } else { b' ' });
        }
        if matches!(*vr, b"OB" | b"OW" | b"UN" | b"SQ") {
            out.extend([0, 0]);
            out.extend(u32::try_from(value.len()).unwrap().to_le_bytes());
        } else {
            out.extend(u16::try_from(value.len()).unwrap().to_le_bytes());
        }
        out.extend(value);
    }
    out
}

/// A secondary capture of `pixels` under the given identity.
pub(super) fn image(study: &str, instance: &str, patient: (&str, &str), pixels: &[u8]) -> Vec<u8> {
    let series = format!("{study}.1");
    dataset(&[
        (0x0008, 0x0016, b"UI", b"1.2.840.10008.5.1.4.1.1.7"),
        (0x0008, 0x0018, b"UI", instance.as_bytes()),
        (0x0008, 0x0060, b"CS", b"OT"),
        (0x0010, 0x0010, b"PN", patient.1.as_bytes()),
        (0x0010, 0x0020, b"LO", patient.0.as_bytes()),
        (0x0020, 0x000D, b"UI", study.as_bytes()),
        (0x0020, 0x000E, b"UI", series.as_bytes()),
        (0x0028, 0x0002, b"US", &1u16.to_le_bytes()),
        (0x0028, 0x0004, b"CS", b"MONOCHROME2"),
        (0x0028, 0x0010, b"US", &1u16.to_le_bytes()),
        (
            0x0028,
            0x0011,
            b"US",
            &u16::try_from(pixels.len())
                .unwrap_or(u16::MAX)
                .to_le_bytes(),
        ),
        (0x0028, 0x0100, b"US", &8u16.to_le_bytes()),
        (0x7FE0, 0x0010, b"OB", pixels),
    ])
}

pub(super) fn origin() -> Origin {
    Origin {
        door: Door::Dimse,
        sender: "TEST".into(),
        peer: "127.0.0.1".into(),
    }
}

pub(super) fn uid(text: &str) -> Uid {
    Uid::parse(text).unwrap()
}

impl House {
    pub(super) fn send(&self, bytes: &[u8], declared: Declared) -> Result<Receipt, Error> {
        let mut incoming = self
            .archive
            .receive_dataset(origin(), &uid(EXPLICIT_LE), declared)?;
        for piece in bytes.chunks(1000) {
            incoming.write(piece)?;
        }
        incoming.finish()
    }

    pub(super) fn store(&self, bytes: &[u8]) -> Outcome {
        self.send(bytes, Declared::default()).unwrap().outcome
    }

    /// What is held of a study: the data sets of its instances, in order.
    pub(super) fn held(&self, study: &str) -> Vec<Vec<u8>> {
        let located = self
            .archive
            .locate(&Target::Study(uid(study)), &Scope::All, None, 100)
            .unwrap();
        located
            .iter()
            .map(|row| {
                let length = row.locator.length - u64::from(row.dataset_offset);
                let mut bytes = vec![0; usize::try_from(length).unwrap()];
                self.archive.dataset(row).read_at(0, &mut bytes).unwrap();
                bytes
            })
            .collect()
    }

    pub(super) fn instances(&self) -> u64 {
        self.archive.totals().unwrap().instances
    }
}
