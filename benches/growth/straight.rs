//! Studies of the mix put straight into an index: through the header walk and the index's own door,
//! without blobs. `tests/growth.rs` proves that the front door makes the same of them.

use anyhow::{Context, Result};
use overread::archive::index::{Index, Made};
use overread::archive::{Door, Locator, NewInstance, Origin};
use overread::dicom::header::HeaderReader;
use overread::dicom::walk::Limits;
use overread::dicom::{Uid, part10};

use crate::mix;

/// Instances in one transaction.
const BATCH: usize = 20_000;

/// What bounds the walk: what the configuration has by default.
pub(crate) const LIMITS: Limits = Limits {
    value_bytes_max: 1 << 20,
    depth_max: 64,
    metadata_bytes_max: 4 << 20,
    fragments_max: 100_000,
    object_bytes_max: 16 << 30,
    inline_bytes_max: 4096,
};

/// An object as the archive hands it to its index.
pub(crate) fn instance(dataset: &[u8], locator_file: u64) -> Result<NewInstance> {
    let uid = |text: &str| Uid::parse(text).context("a UID of the mix");
    let transfer_syntax_uid = uid("1.2.840.10008.1.2.1")?;
    let mut reader = HeaderReader::new(&transfer_syntax_uid, &LIMITS)?;
    reader.feed(dataset)?;
    let header = reader.finish()?;
    let head = part10::head(
        &header.sop_class_uid,
        &header.sop_instance_uid,
        &transfer_syntax_uid,
    );
    let digest = *blake3::hash(dataset).as_bytes();
    Ok(NewInstance {
        transfer_syntax_uid,
        locator: Locator {
            file: locator_file,
            offset: 0,
            length: (head.len() + dataset.len()) as u64,
        },
        dataset_offset: u32::try_from(head.len())?,
        digest,
        received_digest: digest,
        origin: Origin {
            door: Door::Import,
            sender: "GROWTH".into(),
            peer: "".into(),
        },
        received_at_ms: 1_700_000_000_000,
        header,
        made: Made::default(),
    })
}

/// All instances of a study, prepared; `number` counts them through.
pub(crate) fn prepared(
    index: &dyn Index,
    study: u64,
    number: &mut u64,
) -> Result<Vec<NewInstance>> {
    let mut made = Vec::new();
    for dataset in mix::study(study) {
        *number += 1;
        let mut new = instance(&dataset, *number)?;
        index.prepare(&mut new)?;
        made.push(new);
    }
    Ok(made)
}

/// Puts instances into the index in one transaction.
pub(crate) fn insert(index: &dyn Index, instances: &[NewInstance]) -> Result<()> {
    let mut transaction = index.begin()?;
    for new in instances {
        transaction.held(&new.header.sop_instance_uid)?;
        transaction.insert(new)?;
    }
    transaction.commit()?;
    Ok(())
}

/// Fills an index up to so many studies.
pub(crate) fn fill(index: &dyn Index, studies: u64, mut tell: impl FnMut(u64)) -> Result<()> {
    let totals = index.totals()?;
    let (sender, batches) = std::sync::mpsc::sync_channel(1);
    std::thread::scope(|threads| {
        let maker = threads.spawn(move || -> Result<()> {
            let mut number = totals.instances;
            let mut batch = Vec::with_capacity(BATCH + 9);
            for study in totals.studies..studies {
                for mut new in prepared(index, study, &mut number)? {
                    // It is packed, and a large batch is to fit into memory.
                    new.header.metadata = Vec::new();
                    batch.push(new);
                }
                if batch.len() >= BATCH || study + 1 == studies {
                    let full = std::mem::replace(&mut batch, Vec::with_capacity(BATCH + 9));
                    if sender.send((study + 1, full)).is_err() {
                        break;
                    }
                }
            }
            Ok(())
        });
        for (done, batch) in batches {
            insert(index, &batch)?;
            tell(done);
        }
        maker.join().expect("a panic is a failure")
    })
}
