//! What DICOM JSON each encoded value becomes. Expected texts follow the tables of PS3.18 Annex F.

use dicom_core::{Tag, VR};
use proptest::prelude::*;

use super::*;
use crate::dicom::attributes::AttributeId;
use crate::dicom::walk::{ByteOrder, ElementHead, Fault, Limits, Value, Visitor as _};

const LIMITS: Limits = Limits {
    value_bytes_max: 64,
    depth_max: 8,
    metadata_bytes_max: 1 << 20,
    fragments_max: 10,
    object_bytes_max: 1 << 20,
    inline_bytes_max: 8,
};

const IDENTITY: [(u32, &str); 4] = [
    (0x0008_0016, "1.2.1"),
    (0x0008_0018, "1.2.2"),
    (0x0020_000D, "1.2.3"),
    (0x0020_000E, "1.2.4"),
];

/// The members of [`IDENTITY`] around those of a test in group 0009 to 001F.
const BEFORE: &str =
    r#"{"00080016":{"vr":"UI","Value":["1.2.1"]},"00080018":{"vr":"UI","Value":["1.2.2"]}"#;
const AFTER: &str =
    r#","0020000D":{"vr":"UI","Value":["1.2.3"]},"0020000E":{"vr":"UI","Value":["1.2.4"]}}"#;

#[expect(clippy::cast_possible_truncation, reason = "the two halves of a tag")]
fn tag(number: u32) -> Tag {
    Tag((number >> 16) as u16, number as u16)
}

fn put(builder: &mut Builder, number: u32, vr: VR, bytes: &[u8]) {
    put_as(builder, number, vr, bytes, ByteOrder::Little);
}

fn put_as(builder: &mut Builder, number: u32, vr: VR, bytes: &[u8], order: ByteOrder) {
    let head = ElementHead {
        tag: tag(number),
        vr,
        offset: 1000,
        length: bytes.len() as u64,
    };
    builder
        .element(&head, Value::Bytes(bytes), order)
        .expect("within the limits");
}

fn built(fill: impl FnOnce(&mut Builder)) -> Built {
    let mut builder = Builder::new(&LIMITS);
    let [class, instance, study, series] = IDENTITY;
    for (number, uid) in [class, instance] {
        put(&mut builder, number, VR::UI, uid.as_bytes());
    }
    fill(&mut builder);
    for (number, uid) in [study, series] {
        put(&mut builder, number, VR::UI, uid.as_bytes());
    }
    builder.finish().expect("an identified object")
}

fn text(built: &Built) -> String {
    String::from_utf8(built.metadata.clone()).expect("UTF-8")
}

/// One element (0010,0010) of any VR becomes this member.
#[track_caller]
fn check(vr: VR, bytes: &[u8], member: &str) {
    let found = text(&built(|b| put(b, 0x0010_0010, vr, bytes)));
    assert_eq!(
        found,
        format!(r#"{BEFORE},"00100010":{member}{AFTER}"#),
        "{vr} {bytes:?}"
    );
}

#[test]
fn text_values() {
    check(VR::LO, b"", r#"{"vr":"LO"}"#);
    check(VR::LO, b"  ", r#"{"vr":"LO"}"#);
    check(VR::LO, b"a ", r#"{"vr":"LO","Value":["a"]}"#);
    check(VR::LO, b"A\\\\B", r#"{"vr":"LO","Value":["A",null,"B"]}"#);
    check(VR::LO, b"A \\ ", r#"{"vr":"LO","Value":["A",null]}"#);
    check(VR::CS, b" A \\B", r#"{"vr":"CS","Value":["A","B"]}"#);
    check(
        VR::UI,
        b"1.2\\1.3\0",
        r#"{"vr":"UI","Value":["1.2","1.3"]}"#,
    );
    check(
        VR::LT,
        b"  a\\b \r\n\"q\" ",
        r#"{"vr":"LT","Value":["  a\\b \r\n\"q\""]}"#,
    );
    check(
        VR::UT,
        b"\x01\x02\x1f",
        r#"{"vr":"UT","Value":["\u0001\u0002\u001F"]}"#,
    );
    check(
        VR::UR,
        b"http://x/?a\\b ",
        r#"{"vr":"UR","Value":["http://x/?a\\b"]}"#,
    );
    check(VR::AE, b" STORE ", r#"{"vr":"AE","Value":["STORE"]}"#);
}

#[test]
fn person_names() {
    check(
        VR::PN,
        b"Doe^Jane",
        r#"{"vr":"PN","Value":[{"Alphabetic":"Doe^Jane"}]}"#,
    );
    check(
        VR::PN,
        b"A==C ",
        r#"{"vr":"PN","Value":[{"Alphabetic":"A","Phonetic":"C"}]}"#,
    );
    check(
        VR::PN,
        b"=B\\\\A",
        r#"{"vr":"PN","Value":[{"Ideographic":"B"},null,{"Alphabetic":"A"}]}"#,
    );
    check(VR::PN, b"== ", r#"{"vr":"PN"}"#);
}

#[test]
fn decimal_texts_are_numbers_when_a_double_holds_them() {
    for (ds, json) in [
        ("1.50", "1.50"),
        ("-0.5", "-0.5"),
        ("+1", "1"),
        (".5", "0.5"),
        ("5.", "5"),
        ("007", "7"),
        ("0", "0"),
        ("-0", "-0"),
        ("1e5", "1e5"),
        ("1.5E-3", "1.5e-3"),
        ("1.234567890123456", "1.234567890123456"),
        ("0.1234567890123456", "0.1234567890123456"),
        ("12345678901234567890", "\"12345678901234567890\""),
        ("9007199254740993", "\"9007199254740993\""),
        ("9007199254740992", "9007199254740992"),
        ("1e999", "\"1e999\""),
        ("1e-999", "\"1e-999\""),
        ("0e-999", "0e-999"),
        ("inf", "\"inf\""),
        ("1 2", "\"1 2\""),
        ("1,5", "\"1,5\""),
        (".", "\".\""),
        ("-", "\"-\""),
        ("1e", "\"1e\""),
    ] {
        check(
            VR::DS,
            ds.as_bytes(),
            &format!(r#"{{"vr":"DS","Value":[{json}]}}"#),
        );
    }
    check(VR::IS, b"1\\\\ 2 ", r#"{"vr":"IS","Value":[1,null,2]}"#);
}

#[test]
fn binary_numbers() {
    check(
        VR::US,
        &[1, 0, 0xFF, 0xFF],
        r#"{"vr":"US","Value":[1,65535]}"#,
    );
    check(VR::SS, &[0xFF, 0xFF], r#"{"vr":"SS","Value":[-1]}"#);
    check(
        VR::UL,
        &[0, 0, 0, 0x80],
        r#"{"vr":"UL","Value":[2147483648]}"#,
    );
    check(
        VR::SL,
        &[0, 0, 0, 0x80],
        r#"{"vr":"SL","Value":[-2147483648]}"#,
    );
    check(
        VR::AT,
        &[0x28, 0, 0x10, 0],
        r#"{"vr":"AT","Value":["00280010"]}"#,
    );
    check(
        VR::FL,
        &0.1_f32.to_le_bytes(),
        r#"{"vr":"FL","Value":[0.10000000149011612]}"#,
    );
    check(
        VR::FD,
        &0.1_f64.to_le_bytes(),
        r#"{"vr":"FD","Value":[0.1]}"#,
    );
    check(
        VR::UV,
        &(1_u64 << 53).to_le_bytes(),
        r#"{"vr":"UV","Value":[9007199254740992]}"#,
    );
    check(
        VR::UV,
        &u64::MAX.to_le_bytes(),
        r#"{"vr":"UV","Value":["18446744073709551615"]}"#,
    );
    check(
        VR::SV,
        &(-5_i64).to_le_bytes(),
        r#"{"vr":"SV","Value":[-5]}"#,
    );
    check(
        VR::SV,
        &i64::MIN.to_le_bytes(),
        r#"{"vr":"SV","Value":["-9223372036854775808"]}"#,
    );
    check(VR::US, &[1, 2, 3], r#"{"vr":"UN","InlineBinary":"AQID"}"#);
    check(VR::AT, &[1, 2, 3], r#"{"vr":"UN","InlineBinary":"AQID"}"#);
}

#[test]
fn big_endian_values_are_turned_round() {
    let found = text(&built(|b| {
        put_as(b, 0x0010_0010, VR::US, &[1, 0], ByteOrder::Big);
        put_as(b, 0x0010_0011, VR::AT, &[0, 0x28, 0, 0x10], ByteOrder::Big);
        put_as(b, 0x0010_0012, VR::OW, &[1, 2, 3, 4], ByteOrder::Big);
        put_as(b, 0x0010_0013, VR::OF, &[1, 2, 3, 4], ByteOrder::Big);
        put_as(b, 0x0010_0014, VR::OB, &[1, 2, 3, 4], ByteOrder::Big);
    }));
    let members = concat!(
        r#","00100010":{"vr":"US","Value":[256]},"00100011":{"vr":"AT","Value":["00280010"]}"#,
        r#","00100012":{"vr":"OW","InlineBinary":"AgEEAw=="},"00100013":{"vr":"OF","InlineBinary":"BAMCAQ=="}"#,
        r#","00100014":{"vr":"OB","InlineBinary":"AQIDBA=="}"#,
    );
    assert_eq!(found, format!("{BEFORE}{members}{AFTER}"));
}

#[test]
fn long_and_unspeakable_values_are_linked() {
    let made = built(|b| {
        put(b, 0x0009_1001, VR::UN, &[0; 10]);
        b.sequence_start(tag(0x0010_0010)).expect("room");
        for bytes in [&[0_u8; 4][..], &f32::NAN.to_le_bytes()] {
            b.item_start().expect("room");
            put(b, 0x0018_0001, VR::FL, bytes);
            b.item_end().expect("open");
        }
        b.sequence_end().expect("open");
        let head = ElementHead {
            tag: tag(0x0018_0002),
            vr: VR::LT,
            offset: 5,
            length: 100,
        };
        b.element(&head, Value::Outside, ByteOrder::Little)
            .expect("room");
    });
    let path = "\x01/studies/1.2.3/series/1.2.4/instances/1.2.2/bulkdata/";
    let members = [
        format!(r#","00091001":{{"vr":"UN","BulkDataURI":"{path}00091001"}}"#),
        r#","00100010":{"vr":"SQ","Value":[{"00180001":{"vr":"FL","Value":[0.0]}}"#.to_owned(),
        format!(r#",{{"00180001":{{"vr":"FL","BulkDataURI":"{path}00100010/1/00180001"}}}}]}}"#),
        format!(r#","00180002":{{"vr":"LT","BulkDataURI":"{path}00180002"}}"#),
    ];
    assert_eq!(text(&made), format!("{BEFORE}{}{AFTER}", members.concat()));
    let bulk: Vec<_> = made.bulk.iter().map(|b| (&*b.path, b.vr, b.span)).collect();
    assert_eq!(
        bulk,
        [
            ("00091001", VR::UN, Some((1000, 10))),
            ("00100010/1/00180001", VR::FL, Some((1000, 4))),
            ("00180002", VR::LT, Some((5, 100))),
        ]
    );
}

#[test]
fn pixel_data_is_always_linked() {
    let made = built(|b| {
        b.fragments_start(tag(0x7FE0_0010), VR::OB, &[])
            .expect("room");
        b.fragment(0, 4, &[0; 4]).expect("room");
        b.fragments_end().expect("open");
    });
    assert_eq!((&*made.bulk[0].path, made.bulk[0].span), ("7FE00010", None));
    let made = built(|b| put(b, 0x7FE0_0010, VR::OW, &[0; 4]));
    assert_eq!(
        (&*made.bulk[0].path, made.bulk[0].span),
        ("7FE00010", Some((1000, 4)))
    );
}

#[test]
fn sequences_and_empty_items() {
    let found = text(&built(|b| {
        b.sequence_start(tag(0x0010_0010)).expect("room");
        b.sequence_end().expect("open");
        b.sequence_start(tag(0x0010_0011)).expect("room");
        for _ in 0..2 {
            b.item_start().expect("room");
            b.item_end().expect("open");
        }
        b.sequence_end().expect("open");
    }));
    assert_eq!(
        found,
        format!(
            r#"{BEFORE},"00100010":{{"vr":"SQ"}},"00100011":{{"vr":"SQ","Value":[{{}},{{}}]}}{AFTER}"#
        )
    );
}

#[test]
fn the_character_set_is_inherited_overridden_and_rewritten() {
    let found = text(&built(|b| {
        put(b, 0x0008_0005, VR::CS, b"ISO_IR 100");
        b.sequence_start(tag(0x0010_0010)).expect("room");
        b.item_start().expect("room");
        put(b, 0x0010_0020, VR::LO, b"\xfc");
        b.item_end().expect("open");
        b.item_start().expect("room");
        put(b, 0x0008_0005, VR::CS, b"ISO_IR 144");
        put(b, 0x0010_0020, VR::LO, b"\xbb");
        b.item_end().expect("open");
        b.sequence_end().expect("open");
        put(b, 0x0010_0030, VR::LO, b"\xfc");
    }));
    let utf8 = r#""00080005":{"vr":"CS","Value":["ISO_IR 192"]}"#;
    let members = [
        r#","00100010":{"vr":"SQ","Value":[{"00100020":{"vr":"LO","Value":["ü"]}}"#.to_owned(),
        format!(r#",{{{utf8},"00100020":{{"vr":"LO","Value":["Л"]}}}}]}}"#),
        r#","00100030":{"vr":"LO","Value":["ü"]}"#.to_owned(),
    ];
    // (0008,0005) came out of order here, and is put in its place.
    assert_eq!(
        found,
        format!("{{{utf8},{}{}{AFTER}", &BEFORE[1..], members.concat())
    );
}

#[test]
fn the_character_set_is_said_when_text_needs_it() {
    let utf8 = r#""00080005":{"vr":"CS","Value":["ISO_IR 192"]}"#;
    let found = text(&built(|b| put(b, 0x0010_0010, VR::LO, "ü".as_bytes())));
    let member = r#","00100010":{"vr":"LO","Value":["ü"]}"#;
    assert_eq!(found, format!("{{{utf8},{}{member}{AFTER}", &BEFORE[1..]));
    let found = text(&built(|b| {
        put(b, 0x0008_0001, VR::LO, b"a");
        put(b, 0x0010_0010, VR::LO, "ü".as_bytes());
    }));
    let first = r#"{"00080001":{"vr":"LO","Value":["a"]}"#;
    assert_eq!(
        found,
        format!("{first},{utf8},{}{member}{AFTER}", &BEFORE[1..])
    );
}

#[test]
fn no_key_stands_twice_and_none_of_group_2() {
    let found = text(&built(|b| {
        put(b, 0x0002_0010, VR::UI, b"1.2");
        put(b, 0x0010_0000, VR::UL, &[0; 4]);
        put(b, 0x0010_0020, VR::LO, b"first");
        put(b, 0x0010_0020, VR::LO, b"second");
        put(b, 0x0010_0010, VR::LO, b"late");
        b.sequence_start(tag(0x0010_0020)).expect("room");
        b.item_start().expect("room");
        put(b, 0x0010_0020, VR::LO, b"inside");
        b.item_end().expect("open");
        b.sequence_end().expect("open");
        put(b, 0x0010_0010, VR::LO, b"again");
    }));
    let members =
        r#","00100010":{"vr":"LO","Value":["late"]},"00100020":{"vr":"LO","Value":["first"]}"#;
    assert_eq!(found, format!("{BEFORE}{members}{AFTER}"));
}

#[test]
fn the_index_gets_its_values() {
    let made = built(|b| {
        put(b, 0x0008_0005, VR::CS, b"ISO_IR 100");
        put(b, 0x0008_0008, VR::CS, b"ORIGINAL \\ PRIMARY");
        put(b, 0x0008_1030, VR::UN, b"M\xfc ");
        put(b, 0x0010_0010, VR::PN, b"M\xfcller^J ");
        put(b, 0x0010_0020, VR::LO, b"");
        put(b, 0x0028_0010, VR::US, &[0, 2]);
        b.sequence_start(tag(0x0040_0275)).expect("room");
        for id in [&b"a "[..], b"\xfc"] {
            b.item_start().expect("room");
            put(b, 0x0040_0009, VR::SH, id);
            b.item_end().expect("open");
        }
        b.sequence_end().expect("open");
    });
    for (keyword, value) in [
        ("ImageType", Some("ORIGINAL\\PRIMARY")),
        ("StudyDescription", Some("Mü")),
        ("PatientName", Some("Müller^J")),
        ("PatientID", Some("")),
        ("PatientSex", None),
        ("Rows", Some("512")),
        ("StudyInstanceUID", Some("1.2.3")),
    ] {
        assert_eq!(made.attributes.by_keyword(keyword), value, "{keyword}");
    }
    let values: Vec<_> = made
        .sequences
        .iter()
        .map(|v| (v.sequence, v.item, v.attribute, &*v.value))
        .collect();
    assert_eq!(values, [(0, 0, 0, "a"), (0, 1, 0, "ü")]);
    let json = r#"[{"00400009":{"vr":"SH","Value":["a"]}},{"00400009":{"vr":"SH","Value":["ü"]}}]"#;
    assert_eq!(made.sequence_json, [(0, json.into())]);
    assert!(text(&made).contains(json));
}

#[test]
fn the_first_items_of_a_sequence_are_found_and_all_are_shown() {
    let made = built(|b| {
        b.sequence_start(tag(0x0040_0275)).expect("room");
        for _ in 0..300 {
            b.item_start().expect("room");
            put(b, 0x0040_0009, VR::SH, b"a");
            b.item_end().expect("open");
        }
        b.sequence_end().expect("open");
    });
    assert_eq!(made.sequences.len(), 256);
    assert_eq!(made.sequences[255].item, 255);
    assert_eq!(made.sequence_json[0].1.matches("00400009").count(), 300);
}

#[test]
fn an_attribute_of_the_index_looks_as_in_the_metadata() {
    let row = |keyword: &str| AttributeId::of_keyword(keyword).expect("a row").attribute();
    for (keyword, text, json) in [
        (
            "PatientName",
            "A=B",
            r#"{"vr":"PN","Value":[{"Alphabetic":"A","Ideographic":"B"}]}"#,
        ),
        (
            "ImageType",
            "A\\\\B",
            r#"{"vr":"CS","Value":["A",null,"B"]}"#,
        ),
        ("Rows", "512", r#"{"vr":"US","Value":[512]}"#),
        ("InstanceNumber", "007", r#"{"vr":"IS","Value":[7]}"#),
        ("PatientID", "", r#"{"vr":"LO"}"#),
        ("Rows", "", r#"{"vr":"US"}"#),
    ] {
        let mut out = Vec::new();
        write_attribute(&mut out, row(keyword), text);
        assert_eq!(String::from_utf8(out).expect("UTF-8"), json);
    }
}

#[test]
fn identity_is_owed() {
    let mut builder = Builder::new(&LIMITS);
    put(&mut builder, 0x0008_0016, VR::UI, b"1.2\0");
    put(&mut builder, 0x0008_0018, VR::UI, b"1.02");
    assert_eq!(
        builder
            .identity()
            .map(|uid| uid.map(|uid| uid.as_str().to_owned())),
        [Some("1.2".into()), None, None, None]
    );
    assert_eq!(
        builder.finish(),
        Err(Fault::Identity {
            keyword: "SOPInstanceUID",
            problem: "malformed"
        })
    );
    let missing = Fault::Identity {
        keyword: "SOPClassUID",
        problem: "missing",
    };
    assert_eq!(Builder::new(&LIMITS).finish(), Err(missing));
}

#[test]
fn the_metadata_is_bounded() {
    let limits = Limits {
        metadata_bytes_max: 1000,
        ..LIMITS
    };
    let mut builder = Builder::new(&limits);
    let too_large = Fault::TooLarge {
        limit: "ingest.metadata_bytes_max",
        max: 1000,
    };
    let failed = (0..100).find_map(|i| {
        let head = ElementHead {
            tag: Tag(0x0009, i),
            vr: VR::OB,
            offset: 0,
            length: 8,
        };
        builder
            .element(&head, Value::Bytes(&[0; 8]), ByteOrder::Little)
            .err()
    });
    assert_eq!(failed, Some(too_large.clone()));
    // Below the limit while it is built, beyond it once the paths are filled in.
    let mut builder = Builder::new(&limits);
    for (number, uid) in IDENTITY {
        put(&mut builder, number, VR::UI, uid.as_bytes());
    }
    for i in 0..10 {
        put(&mut builder, 0x0021_0001 + i, VR::OB, &[0; 9]);
    }
    assert_eq!(builder.finish(), Err(too_large));
}

#[derive(Debug, Clone)]
enum Event {
    Element(u8, VR, Vec<u8>, bool),
    Start(u8),
    Item,
    End,
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let vr = proptest::sample::select(vec![
        VR::LO,
        VR::PN,
        VR::DS,
        VR::IS,
        VR::UT,
        VR::US,
        VR::FD,
        VR::AT,
        VR::SV,
        VR::OB,
        VR::OW,
        VR::UN,
        VR::UI,
        VR::CS,
    ]);
    let event = prop_oneof![
        6 => (any::<u8>(), vr, proptest::collection::vec(any::<u8>(), 0..20), any::<bool>())
            .prop_map(|(tag, vr, bytes, big)| Event::Element(tag, vr, bytes, big)),
        1 => any::<u8>().prop_map(Event::Start),
        2 => Just(Event::Item),
        2 => Just(Event::End),
    ];
    proptest::collection::vec(event, 0..60)
}

proptest! {
    #[test]
    fn whatever_is_walked_gives_valid_json(events in events()) {
        let made = built(|b| {
            // `true` is an open item, `false` an open sequence.
            let mut open = Vec::new();
            for event in events {
                match event {
                    Event::Element(low, vr, bytes, big) if *open.last().unwrap_or(&true) => {
                        let order = if big { ByteOrder::Big } else { ByteOrder::Little };
                        put_as(b, 0x0008_0000 | u32::from(low), vr, &bytes, order);
                    }
                    Event::Start(low) if *open.last().unwrap_or(&true) => {
                        b.sequence_start(Tag(0x0008, u16::from(low))).expect("room");
                        open.push(false);
                    }
                    Event::Item if open.last() == Some(&false) => {
                        b.item_start().expect("room");
                        open.push(true);
                    }
                    Event::End => match open.pop() {
                        Some(true) => b.item_end().expect("open"),
                        Some(false) => b.sequence_end().expect("open"),
                        None => {}
                    },
                    _ => {}
                }
            }
            while let Some(is_item) = open.pop() {
                if is_item { b.item_end().expect("open") } else { b.sequence_end().expect("open") }
            }
        });
        let mut json = Vec::new();
        splice_base(&made.metadata, "http://host", &mut json);
        let value: serde_json::Value = serde_json::from_slice(&json).expect("valid JSON");
        let tags: Vec<_> = prepared::members(&json).map(|(digits, _)| digits.to_vec()).collect();
        prop_assert!(tags.is_sorted());
        prop_assert_eq!(tags.len(), value.as_object().expect("an object").len());
    }
}
