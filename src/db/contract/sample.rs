//! Instances made up for the checks.

use crate::access::Scope;
use crate::archive::index::{Door, Made, NewInstance, Origin, Page};
use crate::archive::{Index, Locator};
use crate::dicom::attributes::SequenceValue;
use crate::dicom::frame_map::Span;
use crate::dicom::header::BulkValue;
use crate::dicom::query::{Key, Lists, Matching, Order, Syntax};
use crate::dicom::{AttributeId, AttributeValues, FrameMap, Header, Level, Query, SEQUENCES, Uid};

pub(super) const CT_IMAGE: &str = "1.2.840.10008.5.1.4.1.1.2";
pub(super) const SR: &str = "1.2.840.10008.5.1.4.1.1.88.11";

/// Keys as the checks write them.
pub(super) const SYNTAX: Syntax = Syntax {
    has_empty_values: true,
    lists: Lists::Any,
    ..Syntax::WEB
};

pub(in crate::db) fn uid(text: impl AsRef<str>) -> Uid {
    Uid::parse(text.as_ref()).unwrap()
}

/// Study `1.study`, series `1.study.series`, instance `1.study.series.instance`.
pub(in crate::db) fn sample(study: u32, series: u32, instance: u32) -> NewInstance {
    let number = u64::from(study * 10_000 + series * 100 + instance);
    let study_uid = format!("1.{study}");
    let header = Header {
        sop_class_uid: uid(CT_IMAGE),
        sop_instance_uid: uid(format!("1.{study}.{series}.{instance}")),
        study_instance_uid: uid(&study_uid),
        series_instance_uid: uid(format!("1.{study}.{series}")),
        attributes: AttributeValues::default(),
        sequences: Vec::new(),
        sequence_json: Vec::new(),
        frames: FrameMap::Native {
            span: Span {
                offset: number,
                length: 524_288,
            },
            frame_bits: 4_194_304,
            frames: 1,
        },
        bulk: vec![BulkValue {
            path: "7FE00010".into(),
            vr: dicom_core::VR::OW,
            span: Some((number, 524_288)),
        }],
        metadata: format!(
            "{{\"00080018\":{{\"vr\":\"UI\",\"Value\":[\"1.{study}.{series}.{instance}\"]}}}}"
        )
        .into(),
        dataset_bytes: 525_000,
    };
    NewInstance {
        header,
        transfer_syntax_uid: uid("1.2.840.10008.1.2.1"),
        locator: Locator {
            file: u64::from(study),
            offset: number,
            length: 600,
        },
        dataset_offset: 300,
        digest: *blake3::hash(&number.to_le_bytes()).as_bytes(),
        received_digest: *blake3::hash(&number.to_le_bytes()).as_bytes(),
        origin: Origin {
            door: Door::Dimse,
            sender: "SENDER".into(),
            peer: "127.0.0.1".into(),
        },
        received_at_ms: 1_700_000_000_000 + i64::try_from(number).unwrap(),
        made: Made::default(),
    }
    .with("PatientID", &format!("P{study}"))
    .with("Modality", "CT")
    .with("SeriesNumber", &series.to_string())
    .with("InstanceNumber", &instance.to_string())
}

impl NewInstance {
    pub(in crate::db) fn with(mut self, keyword: &str, value: &str) -> Self {
        self.header
            .attributes
            .set(AttributeId::of_keyword(keyword).unwrap(), value);
        self
    }

    pub(in crate::db) fn of_class(mut self, sop_class_uid: &str) -> Self {
        self.header.sop_class_uid = uid(sop_class_uid);
        self
    }

    /// Adds an item of a sequence with these values.
    pub(in crate::db) fn with_item(mut self, sequence: &str, values: &[(&str, &str)]) -> Self {
        let at = sequence_at(sequence);
        let items = self
            .header
            .sequences
            .iter()
            .filter(|v| v.sequence == at)
            .map(|v| v.item + 1);
        let item = items.max().unwrap_or(0);
        for (keyword, value) in values {
            let attribute = item_attribute(at, keyword);
            self.header.sequences.push(SequenceValue {
                sequence: at,
                item,
                attribute,
                value: (*value).into(),
            });
        }
        self.header
            .sequence_json
            .retain(|(position, _)| *position != at);
        self.header
            .sequence_json
            .push((at, format!("[{{\"items\":{}}}]", item + 1).into()));
        self
    }
}

fn sequence_at(keyword: &str) -> u8 {
    u8::try_from(SEQUENCES.iter().position(|s| s.keyword == keyword).unwrap()).unwrap()
}

fn item_attribute(sequence: u8, keyword: &str) -> u8 {
    let items = SEQUENCES[usize::from(sequence)].items;
    u8::try_from(items.iter().position(|(_, k, _)| *k == keyword).unwrap()).unwrap()
}

/// As senders do: prepared first, then in one transaction.
pub(in crate::db) fn insert(index: &dyn Index, instances: &[NewInstance]) {
    let mut instances = instances.to_vec();
    for new in &mut instances {
        index.prepare(new).unwrap();
    }
    let mut transaction = index.begin().unwrap();
    for new in &instances {
        transaction.insert(new).unwrap();
    }
    transaction.commit().unwrap();
}

pub(in crate::db) fn remove(index: &dyn Index, uid_text: &str) -> Option<NewInstance> {
    let mut transaction = index.begin().unwrap();
    let gone = transaction.remove(&uid(uid_text)).unwrap();
    transaction.commit().unwrap();
    gone
}

/// A key as a door reads it.
pub(in crate::db) fn key(keyword: &str, text: &str) -> Key {
    let id = AttributeId::of_keyword(keyword).unwrap();
    Key::Attribute(
        id,
        Matching::parse(id.attribute().vr, text, SYNTAX).unwrap(),
    )
}

/// A sequence key.
pub(in crate::db) fn item_key(sequence: &str, keys: &[(&str, &str)]) -> Key {
    let at = sequence_at(sequence);
    let keys = keys.iter().map(|(keyword, text)| {
        let attribute = item_attribute(at, keyword);
        let vr = SEQUENCES[usize::from(at)].items[usize::from(attribute)].2;
        (attribute, Matching::parse(vr, text, SYNTAX).unwrap())
    });
    Key::Sequence(at, keys.collect())
}

pub(in crate::db) fn query(level: Level, keys: Vec<Key>) -> Query {
    Query {
        level,
        keys,
        limit: 1000,
        offset: 0,
        order: Order::NEWEST,
    }
}

pub(in crate::db) fn find(index: &dyn Index, level: Level, keys: Vec<Key>) -> Page {
    index.find(&query(level, keys), &Scope::All).unwrap()
}

/// The UIDs (or Patient IDs) of the rows of a page.
pub(in crate::db) fn names(level: Level, page: &Page) -> Vec<String> {
    let keyword = match level {
        Level::Patient => "PatientID",
        Level::Study => "StudyInstanceUID",
        Level::Series => "SeriesInstanceUID",
        Level::Instance => "SOPInstanceUID",
    };
    page.rows
        .iter()
        .map(|row| {
            row.attributes
                .by_keyword(keyword)
                .unwrap_or_default()
                .to_owned()
        })
        .collect()
}

/// An instance with something in every place that is kept.
pub(in crate::db) fn full() -> NewInstance {
    let mut new = sample(1, 1, 1)
        .with("PatientName", "Yamada^Tarou=山田^太郎=やまだ^たろう")
        .with("AccessionNumber", "")
        .with("ImageType", "ORIGINAL\\PRIMARY")
        .with_item(
            "RequestAttributesSequence",
            &[("ScheduledProcedureStepID", "S1"), ("AccessionNumber", "")],
        )
        .with_item(
            "RequestAttributesSequence",
            &[("ScheduledProcedureStepID", "S2")],
        )
        .with_item("ProcedureCodeSequence", &[("CodeValue", "C")])
        .with_item("ConceptNameCodeSequence", &[("CodeMeaning", "Report")]);
    new.header.bulk.push(BulkValueOf::encapsulated());
    new.header.metadata = vec![b'x'; 100_000];
    new
}

/// Pixel data whose parts are its frames.
struct BulkValueOf;

impl BulkValueOf {
    fn encapsulated() -> crate::dicom::header::BulkValue {
        crate::dicom::header::BulkValue {
            path: "00090010/3/7FE00010".into(),
            vr: dicom_core::VR::OB,
            span: None,
        }
    }
}
