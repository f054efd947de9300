//! The data sets of storage commitment: Action Information and Event Information (PS3.4 Tables J.3-1
//! and J.3-2), read as they arrive in bounded memory, and written.

use dicom_core::{Tag, VR};

use super::{
    FAILED_SOP_SEQUENCE, FAILURE_REASON, REFERENCED_SOP_CLASS_UID, REFERENCED_SOP_INSTANCE_UID,
    REFERENCED_SOP_SEQUENCE, RETRIEVE_AE_TITLE, TRANSACTION_UID,
};
use crate::archive::commitment::{Commitment, Failure, INSTANCES_MAX};
use crate::dicom::dataset::{Element, Value as DatasetValue};
use crate::dicom::rewrite::encode;
use crate::dicom::walk::{ByteOrder, ElementHead, Encoding, Fault, Limits, Value, Visitor, Walker};
use crate::dicom::{AeTitle, Dataset, Uid};

/// The longest data set taken: [`INSTANCES_MAX`] references take 8 MB.
const BYTES_MAX: u64 = 16 << 20;
/// Deep enough for what the standard puts there.
const DEPTH_MAX: u32 = 8;
/// All that matters is shorter.
const VALUE_BYTES_MAX: u32 = 1024;

/// What such a data set says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Information {
    /// (0008,1195), as it stands there.
    pub(crate) transaction_uid: Option<Vec<u8>>,
    /// (0008,1199)
    pub(crate) referenced: Vec<Reference>,
    /// (0008,1198)
    pub(crate) failed: Vec<Reference>,
}

/// An item of one of the sequences, as it stands there.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Reference {
    class: Option<Uid>,
    instance: Option<Uid>,
    reason: Option<u16>,
}

impl Reference {
    /// Class and instance; `None` when either is missing or no UID.
    pub(crate) fn pair(self) -> Option<(Uid, Uid)> {
        Some((self.class?, self.instance?))
    }

    /// (0008,1197)
    pub(crate) fn reason(&self) -> Option<u16> {
        self.reason
    }
}

/// A data set on its way in.
pub(crate) struct Reading {
    walker: Walker<Reader>,
    bytes: u64,
}

impl Reading {
    pub(crate) fn new(encoding: Encoding) -> Self {
        let limits = Limits {
            value_bytes_max: VALUE_BYTES_MAX,
            depth_max: DEPTH_MAX,
            metadata_bytes_max: 0,
            fragments_max: 0,
            object_bytes_max: BYTES_MAX,
            inline_bytes_max: 0,
        };
        Self {
            walker: Walker::new(encoding, &limits, Reader::default()),
            bytes: 0,
        }
    }

    /// Takes the next bytes. After an error there is nothing more to take.
    pub(crate) fn take(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        self.bytes = self.bytes.saturating_add(bytes.len() as u64);
        if self.bytes > BYTES_MAX {
            return Err(Fault::TooLarge {
                limit: "bytes of a storage commitment",
                max: BYTES_MAX,
            });
        }
        self.walker.feed(bytes)
    }

    /// The data set is complete.
    pub(crate) fn finish(self) -> Result<Information, Fault> {
        Ok(self.walker.finish()?.information)
    }
}

#[derive(Default)]
struct Reader {
    information: Information,
    /// The sequences around the next element.
    path: Vec<Tag>,
}

impl Reader {
    /// The item that the next element belongs to, of a sequence of the data set itself.
    fn list(&mut self) -> Option<&mut Vec<Reference>> {
        match self.path[..] {
            [REFERENCED_SOP_SEQUENCE] => Some(&mut self.information.referenced),
            [FAILED_SOP_SEQUENCE] => Some(&mut self.information.failed),
            _ => None,
        }
    }
}

impl Visitor for Reader {
    fn element(
        &mut self,
        head: &ElementHead,
        value: Value<'_>,
        order: ByteOrder,
    ) -> Result<(), Fault> {
        let Value::Bytes(bytes) = value else {
            return Ok(());
        };
        if self.path.is_empty() {
            if head.tag == TRANSACTION_UID {
                self.information.transaction_uid = Some(bytes.to_vec());
            }
            return Ok(());
        }
        let Some(item) = self.list().and_then(|list| list.last_mut()) else {
            return Ok(());
        };
        match head.tag {
            REFERENCED_SOP_CLASS_UID => item.class = Uid::from_value(bytes).ok(),
            REFERENCED_SOP_INSTANCE_UID => item.instance = Uid::from_value(bytes).ok(),
            FAILURE_REASON => item.reason = bytes.try_into().ok().map(|two| order.u16(two)),
            _ => {}
        }
        Ok(())
    }

    fn sequence_start(&mut self, tag: Tag) -> Result<(), Fault> {
        self.path.push(tag);
        Ok(())
    }

    fn item_start(&mut self) -> Result<(), Fault> {
        if let Some(list) = self.list() {
            list.push(Reference::default());
        }
        if self.information.referenced.len() + self.information.failed.len() > INSTANCES_MAX {
            return Err(Fault::TooLarge {
                limit: "instances of a storage commitment",
                max: INSTANCES_MAX as u64,
            });
        }
        Ok(())
    }

    fn item_end(&mut self) -> Result<(), Fault> {
        Ok(())
    }

    fn sequence_end(&mut self) -> Result<(), Fault> {
        self.path.pop();
        Ok(())
    }

    fn fragments_start(&mut self, _: Tag, _: VR, _: &[u8]) -> Result<(), Fault> {
        Err(Fault::Unreadable {
            at: 0,
            what: "pixel data in a storage commitment",
        })
    }

    fn fragment(&mut self, _: u64, _: u64, _: &[u8]) -> Result<(), Fault> {
        Ok(())
    }

    fn fragments_end(&mut self) -> Result<(), Fault> {
        Ok(())
    }
}

/// (0008,1197) by PS3.3 §C.14.1.1.
fn reason(failure: Failure) -> u16 {
    match failure {
        Failure::Unreadable => 0x0110,
        Failure::NoSuchInstance => 0x0112,
        Failure::ClassConflict => 0x0119,
    }
}

/// Action Information: what we ask another archive to commit.
pub(crate) fn action(
    transaction_uid: &Uid,
    references: &[(Uid, Uid)],
    encoding: Encoding,
) -> Vec<u8> {
    let items = references
        .iter()
        .map(|(class, instance)| item(class.as_str(), instance.as_str(), None));
    let mut dataset = Dataset::default();
    dataset.set(text(TRANSACTION_UID, VR::UI, transaction_uid.as_str()));
    dataset.set(sequence(REFERENCED_SOP_SEQUENCE, items.collect()));
    encoded(&dataset, encoding)
}

/// Event Information of a commitment, by a title, and whether all is well.
pub(crate) fn event(
    transaction_uid: &Uid,
    commitment: &Commitment,
    retrieve_from: &AeTitle,
    encoding: Encoding,
) -> (bool, Vec<u8>) {
    let (mut referenced, mut failed) = (Vec::new(), Vec::new());
    for verdict in &commitment.verdicts {
        let Some((class, instance)) = &verdict.instance else {
            continue;
        };
        let list = match verdict.failure {
            None => &mut referenced,
            Some(_) => &mut failed,
        };
        list.push(item(class, instance, verdict.failure.map(reason)));
    }
    let is_whole = failed.is_empty();
    let mut dataset = Dataset::default();
    dataset.set(text(TRANSACTION_UID, VR::UI, transaction_uid.as_str()));
    if !referenced.is_empty() {
        dataset.set(text(RETRIEVE_AE_TITLE, VR::AE, retrieve_from.as_str()));
        dataset.set(sequence(REFERENCED_SOP_SEQUENCE, referenced));
    }
    if !is_whole {
        dataset.set(sequence(FAILED_SOP_SEQUENCE, failed));
    }
    (is_whole, encoded(&dataset, encoding))
}

fn item(class: &str, instance: &str, reason: Option<u16>) -> Dataset {
    let mut item = Dataset::default();
    item.set(text(REFERENCED_SOP_CLASS_UID, VR::UI, class));
    item.set(text(REFERENCED_SOP_INSTANCE_UID, VR::UI, instance));
    if let Some(reason) = reason {
        item.set(Element {
            tag: FAILURE_REASON,
            vr: VR::US,
            value: DatasetValue::Bytes(reason.to_le_bytes().to_vec()),
        });
    }
    item
}

fn text(tag: Tag, vr: VR, text: &str) -> Element {
    let value = DatasetValue::Bytes(text.as_bytes().to_vec());
    Element { tag, vr, value }
}

fn sequence(tag: Tag, items: Vec<Dataset>) -> Element {
    Element {
        tag,
        vr: VR::SQ,
        value: DatasetValue::Items(items),
    }
}

fn encoded(dataset: &Dataset, encoding: Encoding) -> Vec<u8> {
    let mut out = Vec::new();
    for element in dataset.iter() {
        encode::element(&mut out, encoding, element);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXPLICIT: Encoding = Encoding {
        explicit: true,
        order: ByteOrder::Little,
    };

    fn uid(text: &str) -> Uid {
        Uid::parse(text).unwrap()
    }

    /// An item of two UIDs and a reason, in Implicit VR Little Endian (PS3.5 §7.1.3), by hand.
    #[rustfmt::skip]
    const IMPLICIT_EVENT: &[u8] = &[
        8, 0, 0x95, 0x11, 4, 0, 0, 0, b'2', b'.', b'5', 0, // Transaction UID
        8, 0, 0x98, 0x11, 42, 0, 0, 0, // Failed SOP Sequence of 42 bytes
        0xFE, 0xFF, 0x00, 0xE0, 34, 0, 0, 0, // Item of 34 bytes
        8, 0, 0x50, 0x11, 4, 0, 0, 0, b'1', b'.', b'2', 0, // Referenced SOP Class UID
        8, 0, 0x55, 0x11, 4, 0, 0, 0, b'1', b'.', b'3', 0, // Referenced SOP Instance UID
        8, 0, 0x97, 0x11, 2, 0, 0, 0, 0x12, 0x01, // Failure Reason
    ];

    #[test]
    fn what_stands_there_is_read_however_it_is_cut() {
        let implicit = Encoding {
            explicit: false,
            ..EXPLICIT
        };
        for cut in 0..=IMPLICIT_EVENT.len() {
            let mut reading = Reading::new(implicit);
            reading.take(&IMPLICIT_EVENT[..cut]).unwrap();
            reading.take(&IMPLICIT_EVENT[cut..]).unwrap();
            let mut read = reading.finish().unwrap();
            assert_eq!(read.transaction_uid.as_deref(), Some(&b"2.5\0"[..]));
            assert_eq!(read.failed[0].reason(), Some(0x0112));
            let pair = read.failed.remove(0).pair().unwrap();
            assert_eq!(pair, (uid("1.2"), uid("1.3")));
            assert!(read.referenced.is_empty() && read.failed.is_empty());
        }
    }

    #[test]
    fn too_many_references_and_too_many_bytes_are_refused() {
        let references = vec![(uid("1.2"), uid("1.3")); INSTANCES_MAX + 1];
        let mut reading = Reading::new(EXPLICIT);
        let taken = reading.take(&action(&uid("2.5"), &references, EXPLICIT));
        assert!(matches!(taken, Err(Fault::TooLarge { .. })));
        let mut reading = Reading::new(EXPLICIT);
        let (piece, mut taken) = (vec![0; 1 << 20], Ok(()));
        reading
            .take(b"\x09\x00\x00\x10OB\0\0\xFE\xFF\xFF\xFF")
            .unwrap();
        for _ in 0..=BYTES_MAX >> 20 {
            taken = taken.and_then(|()| reading.take(&piece));
        }
        assert!(matches!(taken, Err(Fault::TooLarge { .. })));
    }

    #[test]
    fn sequences_elsewhere_are_passed_over() {
        let inner = sequence(REFERENCED_SOP_SEQUENCE, vec![item("1.2", "1.3", None)]);
        let mut around = Dataset::default();
        around.set(inner);
        let mut dataset = Dataset::default();
        dataset.set(text(TRANSACTION_UID, VR::UI, "2.5"));
        dataset.set(sequence(Tag(0x0008, 0x1111), vec![around]));
        let mut reading = Reading::new(EXPLICIT);
        reading.take(&encoded(&dataset, EXPLICIT)).unwrap();
        let read = reading.finish().unwrap();
        assert!(read.referenced.is_empty() && read.transaction_uid.is_some());
    }
}
