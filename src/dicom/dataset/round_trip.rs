//! JSON, XML and encoding against each other: whatever a data set holds, it comes back the same.

use dicom_core::{Tag, VR};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;

use super::{Dataset, Element, Value};
use crate::dicom::header::HeaderReader;
use crate::dicom::walk::Limits;
use crate::dicom::{Uid, encode, json, xml};

const LIMITS: Limits = Limits {
    value_bytes_max: 1 << 20,
    depth_max: 64,
    metadata_bytes_max: 1 << 24,
    fragments_max: 1,
    object_bytes_max: 1 << 24,
    inline_bytes_max: 1 << 20,
};

/// Letters of every set that a DICOM file may be in, and what the notations must escape.
const TEXT: &str = "[ -~&&[^\\\\=^]äöüßéñŁžЖДЯαβΩאבגعربกขあア山田太郎홍길동王小东\u{1F600}]";

fn padded(vr: VR, mut bytes: Vec<u8>) -> Vec<u8> {
    if bytes.len() % 2 == 1 {
        bytes.push(encode::padding(vr));
    }
    bytes
}

/// Text values that have no space or NUL at their ends, joined.
fn text(vr: VR, one: &'static str) -> BoxedStrategy<(VR, Value)> {
    let one = proptest::string::string_regex(one).unwrap();
    let trimmed = one.prop_map(|text| text.trim().to_owned());
    vec(trimmed, 1..4)
        .prop_map(move |values| (vr, Value::Bytes(padded(vr, values.join("\\").into_bytes()))))
        .boxed()
}

fn single(vr: VR) -> BoxedStrategy<(VR, Value)> {
    let one =
        proptest::string::string_regex(&format!("({TEXT}|[\\n\\r\\t\\\\=^]){{0,40}}")).unwrap();
    one.prop_map(move |text| {
        let text = text.trim_end();
        (vr, Value::Bytes(padded(vr, text.as_bytes().to_vec())))
    })
    .boxed()
}

fn person_names() -> BoxedStrategy<(VR, Value)> {
    let group =
        proptest::string::string_regex(&format!("{TEXT}{{1,8}}(\\^{TEXT}{{1,5}}){{0,4}}")).unwrap();
    let groups = vec(
        group.prop_map(|text| text.trim().trim_end_matches('^').to_owned()),
        1..4,
    );
    let name = groups.prop_map(|groups| groups.join("=").trim_end_matches('=').to_owned());
    vec(name, 1..3)
        .prop_map(|names| {
            let bytes = names.join("\\").into_bytes();
            (VR::PN, Value::Bytes(padded(VR::PN, bytes)))
        })
        .boxed()
}

fn binary(vr: VR, unit: usize) -> BoxedStrategy<(VR, Value)> {
    vec(any::<u8>(), 0..40)
        .prop_map(move |mut bytes| {
            bytes.truncate(bytes.len() / unit * unit);
            (vr, Value::Bytes(padded(vr, bytes)))
        })
        .boxed()
}

fn floats() -> BoxedStrategy<(VR, Value)> {
    let finite = any::<f64>().prop_filter("finite", |n| n.is_finite());
    let small = any::<f32>().prop_filter("finite", |n| n.is_finite());
    prop_oneof![
        vec(finite, 0..5).prop_map(|list| {
            (
                VR::FD,
                Value::Bytes(list.iter().flat_map(|n| n.to_le_bytes()).collect()),
            )
        }),
        vec(small, 0..5).prop_map(|list| {
            (
                VR::FL,
                Value::Bytes(list.iter().flat_map(|n| n.to_le_bytes()).collect()),
            )
        }),
    ]
    .boxed()
}

/// One value of each VR, sequences apart.
fn value() -> impl Strategy<Value = (VR, Value)> {
    let affected = |vr| {
        let one = proptest::string::string_regex(&format!("{TEXT}{{0,16}}")).unwrap();
        vec(one.prop_map(|text| text.trim().to_owned()), 1..4)
            .prop_map(move |values| (vr, Value::Bytes(padded(vr, values.join("\\").into_bytes()))))
            .boxed()
    };
    let texts = prop_oneof![
        text(VR::AE, "[ -~&&[^\\\\]]{0,16}"),
        text(VR::AS, "[0-9]{3}[DWMY]"),
        text(VR::CS, "[A-Z0-9_ ]{0,16}"),
        text(VR::DA, "(19|20)[0-9]{2}(0[1-9]|1[0-2])([01][1-8])"),
        text(VR::DT, "20[0-9]{2}([01][1-9])?"),
        text(VR::TM, "([01][0-9][0-5][0-9])?"),
        text(VR::UI, "1(\\.[1-9][0-9]{0,5}){0,9}"),
        // As a JSON number is written: no plus, no zeros before the first digit.
        text(VR::DS, "-?(0|[1-9][0-9]{0,4})(\\.[0-9]{1,6})?"),
        text(VR::IS, "-?[1-9][0-9]{0,8}"),
        affected(VR::SH),
        affected(VR::LO),
        affected(VR::UC),
        person_names(),
        single(VR::ST),
        single(VR::LT),
        single(VR::UT),
        proptest::string::string_regex("(https?://[a-z]{1,9}/[!-~]{0,20})?")
            .unwrap()
            .prop_map(|text| (VR::UR, Value::Bytes(padded(VR::UR, text.into_bytes())))),
    ];
    let numbers = prop_oneof![
        binary(VR::AT, 4),
        binary(VR::SL, 4),
        binary(VR::SS, 2),
        binary(VR::SV, 8),
        binary(VR::UL, 4),
        binary(VR::US, 2),
        binary(VR::UV, 8),
        floats(),
    ];
    let bulk = prop_oneof![
        binary(VR::OB, 1),
        binary(VR::OD, 8),
        binary(VR::OF, 4),
        binary(VR::OL, 4),
        binary(VR::OV, 8),
        binary(VR::OW, 2),
        binary(VR::UN, 1),
    ];
    prop_oneof![2 => texts, 1 => numbers, 1 => bulk]
}

/// Attributes of one level. Those of a private block come with its creator.
fn level(value: impl Strategy<Value = (VR, Value)> + 'static) -> impl Strategy<Value = Dataset> {
    let standard = btree_map((0x0040_u16..0x0048, 0x9900_u16..0x9A00), value, 0..6);
    (standard, any::<bool>()).prop_map(|(attributes, is_private)| {
        let mut elements: Vec<_> = attributes
            .into_iter()
            .map(|((group, element), (vr, value))| {
                let tag = if is_private && group % 2 == 1 {
                    Tag(group, 0x1000 | element & 0xFF)
                } else {
                    Tag(group & 0xFFFE, element)
                };
                Element { tag, vr, value }
            })
            .collect();
        for group in (0x0041..0x0048).step_by(2) {
            if elements.iter().any(|element| element.tag.group() == group) {
                elements.push(Element {
                    tag: Tag(group, 0x0010),
                    vr: VR::LO,
                    value: Value::Bytes(b"ACME 1.0".to_vec()),
                });
            }
        }
        elements.sort_by_key(|element| element.tag);
        elements.dedup_by_key(|element| element.tag);
        Dataset::from_elements(elements).unwrap()
    })
}

fn dataset() -> impl Strategy<Value = Dataset> {
    let deeper = level(value().boxed())
        .boxed()
        .prop_recursive(4, 32, 4, |inner| {
            let items = vec(inner, 0..3).prop_map(|items| (VR::SQ, Value::Items(items)));
            level(prop_oneof![3 => value().boxed(), 1 => items.boxed()])
        });
    deeper.prop_map(|mut dataset| {
        for (element, vr) in [
            (0x0008_0016, VR::UI),
            (0x0008_0018, VR::UI),
            (0x0020_000D, VR::UI),
            (0x0020_000E, VR::UI),
        ] {
            let tag = Tag((element >> 16) as u16, element as u16);
            dataset.set(Element {
                tag,
                vr,
                value: Value::Bytes(b"1.2\0".to_vec()),
            });
        }
        dataset.say_character_set();
        dataset
    })
}

/// What ingest makes of the encoded data set.
fn metadata(dataset: &Dataset) -> Vec<u8> {
    let bytes = encode::encode(dataset).unwrap();
    let explicit = Uid::parse("1.2.840.10008.1.2.1").unwrap();
    let mut reader = HeaderReader::new(&explicit, &LIMITS).unwrap();
    reader.feed(&bytes).unwrap();
    let header = reader.finish().unwrap();
    header.metadata
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn encoded_shown_and_read_again_it_is_the_same(dataset in dataset()) {
        let shown = metadata(&dataset);
        let text = String::from_utf8_lossy(&shown).into_owned();
        let read = json::parse(&shown).map_err(|error| TestCaseError::fail(format!("{error}: {text}")))?;
        prop_assert_eq!(&read[0], &dataset, "{}", text);
        let mut document = Vec::new();
        xml::write(&shown, &mut document).unwrap();
        let text = String::from_utf8_lossy(&document).into_owned();
        let read = xml::parse(&document).map_err(|error| TestCaseError::fail(format!("{error}: {text}")))?;
        prop_assert_eq!(&read, &dataset, "{}", text);
    }

    #[test]
    fn no_text_panics(text in "[\\[\\]{}\",:a0-9 .ulnrvVSQ]{0,60}", bytes in vec(any::<u8>(), 0..60)) {
        let _ = json::parse(text.as_bytes());
        let _ = json::parse(&bytes);
        let _ = xml::parse(&bytes);
        let _ = xml::write(text.as_bytes(), &mut Vec::new());
        let inside = format!("<NativeDicomModel>{text}<DicomAttribute tag='00100010'{text}>");
        let _ = xml::parse(inside.as_bytes());
    }
}
