//! Both ways against documents written by hand (PS3.19 §A.1).

use dicom_core::{Tag, VR};

use super::{parse, write};
use crate::dicom::dataset::{Dataset, ParseError, Value};
use crate::dicom::json;

const OPEN: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<NativeDicomModel xmlns="http://dicom.nema.org/PS3.19/models/NativeDICOM" xml:space="preserve">"#;

fn model(attributes: &str) -> String {
    format!("{OPEN}{attributes}</NativeDicomModel>")
}

fn read(attributes: &str) -> Result<Dataset, ParseError> {
    parse(model(attributes).as_bytes())
}

fn written(json: &str) -> String {
    let mut out = Vec::new();
    write(json.as_bytes(), &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

/// As `dcm2xml --native-format` of DCMTK 3.6.7 writes the same data set, but for line breaks inside a
/// name and the keyword of a retired attribute.
#[test]
fn what_is_written_is_what_dcmtk_writes() {
    let json = r#"{"00080008":{"vr":"CS","Value":["A",null,"B"]},"00081030":{"vr":"LO"},"00081032":{"vr":"SQ","Value":[{"00080100":{"vr":"SH","Value":["a&<b>"]}},{}]},"00090010":{"vr":"LO","Value":["ACME"]},"00090011":{"vr":"LO","Value":["OTHER"]},"00091001":{"vr":"LO","Value":["x"]},"00091101":{"vr":"US","Value":[1,2]},"00100010":{"vr":"PN","Value":[{"Alphabetic":"A^B","Ideographic":"C"}]},"00324000":{"vr":"LT","Value":["a\r\nb"]},"00420011":{"vr":"OB","InlineBinary":"YWJjZA=="}}"#;
    let expected = r#"
<DicomAttribute tag="00080008" vr="CS" keyword="ImageType">
<Value number="1">A</Value>
<Value number="2"></Value>
<Value number="3">B</Value>
</DicomAttribute>
<DicomAttribute tag="00081030" vr="LO" keyword="StudyDescription">
</DicomAttribute>
<DicomAttribute tag="00081032" vr="SQ" keyword="ProcedureCodeSequence">
<Item number="1">
<DicomAttribute tag="00080100" vr="SH" keyword="CodeValue">
<Value number="1">a&amp;&lt;b&gt;</Value>
</DicomAttribute>
</Item>
<Item number="2">
</Item>
</DicomAttribute>
<DicomAttribute tag="00090010" vr="LO">
<Value number="1">ACME</Value>
</DicomAttribute>
<DicomAttribute tag="00090011" vr="LO">
<Value number="1">OTHER</Value>
</DicomAttribute>
<DicomAttribute tag="00090001" vr="LO" privateCreator="ACME">
<Value number="1">x</Value>
</DicomAttribute>
<DicomAttribute tag="00090001" vr="US" privateCreator="OTHER">
<Value number="1">1</Value>
<Value number="2">2</Value>
</DicomAttribute>
<DicomAttribute tag="00100010" vr="PN" keyword="PatientName">
<PersonName number="1">
<Alphabetic><FamilyName>A</FamilyName><GivenName>B</GivenName></Alphabetic>
<Ideographic><FamilyName>C</FamilyName></Ideographic>
</PersonName>
</DicomAttribute>
<DicomAttribute tag="00324000" vr="LT" keyword="StudyComments">
<Value number="1">a&#13;&#10;b</Value>
</DicomAttribute>
<DicomAttribute tag="00420011" vr="OB" keyword="EncapsulatedDocument">
<InlineBinary>YWJjZA==</InlineBinary>
</DicomAttribute>
"#;
    let xml = written(json);
    assert_eq!(xml.trim_end(), model(expected));
    assert_eq!(
        parse(xml.as_bytes()).unwrap(),
        json::parse(json.as_bytes()).unwrap()[0]
    );
}

#[test]
fn what_xml_cannot_hold_is_shown_as_lost() {
    let json = r#"{"00081030":{"vr":"LO","Value":["a\u000cb\u001b\uffff\tc\"'"]}}"#;
    let expected = "<Value number=\"1\">a\u{FFFD}b\u{FFFD}\u{FFFD}&#9;c&quot;'</Value>";
    let xml = written(json);
    assert!(xml.contains(expected), "{xml}");
}

#[test]
fn attributes_are_read_whatever_their_spelling() {
    let cases: &[(&str, u32, VR, &[u8])] = &[
        (
            r#"<DicomAttribute tag="00080008" vr="CS" keyword="ImageType"><Value number="1">A</Value><Value number="3">B</Value></DicomAttribute>"#,
            0x0008_0008,
            VR::CS,
            b"A\\\\B",
        ),
        (
            "<!-- - --><n:DicomAttribute tag='00280010'>\n <n:Value number=' 1 '>\n 512 </n:Value></n:DicomAttribute>",
            0x0028_0010,
            VR::US,
            b"\0\x02",
        ),
        (
            r#"<DicomAttribute tag="00324000" vr="LT"><Value> a&#13;&#xA;<![CDATA[<b>]]>&amp; </Value></DicomAttribute>"#,
            0x0032_4000,
            VR::LT,
            b" a\r\n<b>&  ",
        ),
        (
            r#"<DicomAttribute tag="00720074" vr="FD"><Value number="1">NaN</Value><Value>-INF</Value></DicomAttribute>"#,
            0x0072_0074,
            VR::FD,
            b"\0\0\0\0\0\0\xF8\x7F\0\0\0\0\0\0\xF0\xFF",
        ),
        (
            r#"<DicomAttribute tag="00280009" vr="AT"><Value number="1">00181063</Value></DicomAttribute>"#,
            0x0028_0009,
            VR::AT,
            b"\x18\0\x63\x10",
        ),
        (
            r#"<DicomAttribute tag="00100010" vr="PN"><PersonName number="1"><Phonetic><GivenName>p</GivenName></Phonetic><Alphabetic><NameSuffix>III</NameSuffix><FamilyName>A</FamilyName></Alphabetic></PersonName></DicomAttribute>"#,
            0x0010_0010,
            VR::PN,
            b"A^^^^III==^p",
        ),
        (
            "<DicomAttribute tag=\"00420011\" vr=\"OB\"><InlineBinary>YW\n Jj</InlineBinary></DicomAttribute>",
            0x0042_0011,
            VR::OB,
            b"abc\0",
        ),
        (
            r#"<DicomAttribute tag="00081030" vr="LO"/>"#,
            0x0008_1030,
            VR::LO,
            b"",
        ),
        (
            r#"<DicomAttribute tag="00090001" vr="SH" privateCreator="ACME"><Value>x</Value></DicomAttribute>"#,
            0x0009_1001,
            VR::SH,
            b"x ",
        ),
        (
            r#"<DicomAttribute tag="00090000" vr="SH" privateCreator="B"><Value>xy</Value></DicomAttribute><DicomAttribute tag="00090010" vr="LO"><Value>A</Value></DicomAttribute>"#,
            0x0009_1100,
            VR::SH,
            b"xy",
        ),
        (
            r#"<DicomAttribute tag="00092101" vr="SH" privateCreator="B"><Value>xy</Value></DicomAttribute><DicomAttribute tag="00090030" vr="LO"><Value>B</Value></DicomAttribute>"#,
            0x0009_3001,
            VR::SH,
            b"xy",
        ),
    ];
    for (text, tag, vr, bytes) in cases {
        let set = read(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        let tag = Tag((tag >> 16) as u16, *tag as u16);
        let element = set.get(tag).unwrap_or_else(|| panic!("{text}: {set:?}"));
        assert_eq!(
            (element.vr, &element.value),
            (*vr, &Value::Bytes(bytes.to_vec())),
            "{text}"
        );
    }
    let bulk = read(r#"<DicomAttribute tag="7FE00010" vr="OW"><BulkData uri="http://h/?a&amp;b"/></DicomAttribute>"#).unwrap();
    let value = bulk.get(Tag(0x7FE0, 0x0010)).map(|element| &element.value);
    assert_eq!(value, Some(&Value::Bulk("http://h/?a&b".into())));
    let creator =
        read(r#"<DicomAttribute tag="00090001" vr="SH" privateCreator="ACME"/>"#).unwrap();
    assert_eq!(creator.text(Tag(0x0009, 0x0010)), Some("ACME"));
    let none = read(
        r#"<DicomAttribute tag="00020010" vr="UI"/><DicomAttribute tag="00080000" vr="UL"/><DicomAttribute tag="00090000" vr="UL"/>"#,
    );
    assert_eq!(none, Ok(Dataset::default()));
    let accent =
        read(r#"<DicomAttribute tag="00081030" vr="LO"><Value>ä</Value></DicomAttribute>"#)
            .unwrap();
    assert_eq!(accent.text(Tag(0x0008, 0x0005)), Some("ISO_IR 192"));
}

#[test]
fn what_is_wrong_is_refused() {
    let attribute = |inside: &str| {
        format!(r#"<DicomAttribute tag="00080008" vr="CS">{inside}</DicomAttribute>"#)
    };
    for (text, words) in [
        (
            attribute(r#"<Value number="0">A</Value>"#),
            "does not follow",
        ),
        (
            attribute(r#"<Value number="4000000000">A</Value>"#),
            "does not follow",
        ),
        (
            attribute(r#"<Value number="1">A</Value><Value number="1">B</Value>"#),
            "does not follow",
        ),
        (
            attribute("<Value>A</Value><InlineBinary/>"),
            "more than one",
        ),
        (attribute("<InlineBinary/>"), "cannot be inline"),
        (attribute("<Item/>"), "no sequence"),
        (attribute("<PersonName/>"), "wrong type"),
        (attribute("<BulkData/>"), "without a uri"),
        (attribute("<Other/>"), "no value"),
        (attribute("<Value><b/></Value>"), "where text"),
        (attribute("x"), "where an element"),
        (attribute("<Value>&x;</Value>"), "entity"),
        (attribute("<Value>&#0;</Value>"), "entity"),
        (attribute("<Value>&#1;</Value>"), "control"),
        (attribute("<Value>\u{1}</Value>"), "control"),
        (attribute("<Value>&</Value>"), "well formed"),
        (attribute("</Value>"), "well formed"),
        (attribute("").repeat(2), "comes twice"),
        ("<DicomAttribute vr=\"CS\"/>".into(), "a tag of eight"),
        (
            "<DicomAttribute tag=\"00080008\" tag=\"00080008\"/>".into(),
            "twice",
        ),
        ("<DicomAttribute tag=\"00089998\"/>".into(), "dictionary"),
        (
            "<DicomAttribute tag=\"00089998\" vr=\"?\"/>".into(),
            "unknown value",
        ),
        (
            "<DicomAttribute tag=\"00080001\" vr=\"CS\" privateCreator=\"A\"/>".into(),
            "not private",
        ),
        (
            "<DicomAttribute tag=\"FFFFE000\" vr=\"CS\"/>".into(),
            "no data set",
        ),
        ("<Other/>".into(), "DicomAttribute was expected"),
        ("</NativeDicomModel><a>".into(), "nothing may follow"),
    ] {
        let error = read(&text).expect_err(&text).to_string();
        assert!(error.contains(words), "{text}: {error}");
    }
    for (text, words) in [
        (
            r#"<!DOCTYPE a [<!ENTITY b "c">]><NativeDicomModel/>"#,
            "document type",
        ),
        (
            r#"<?xml version="1.0" encoding="latin1"?><NativeDicomModel/>"#,
            "UTF-8",
        ),
        ("<DicomAttribute/>", "NativeDicomModel"),
        ("", "NativeDicomModel"),
        ("<NativeDicomModel>", "too early"),
    ] {
        let error = parse(text.as_bytes()).expect_err(text).to_string();
        assert!(error.contains(words), "{text}: {error}");
    }
    assert!(parse(b"<NativeDicomModel>\xFF</NativeDicomModel>").is_err());
    let good = model(&attribute("<Value>&lt;</Value>"));
    for cut in 0..good.len() {
        assert!(parse(&good.as_bytes()[..cut]).is_err(), "{cut}");
    }
}

#[test]
fn nesting_is_bounded() {
    let nested = |depth: usize| {
        let open = r#"<DicomAttribute tag="00081140" vr="SQ"><Item number="1">"#.repeat(depth);
        read(&(open + &"</Item></DicomAttribute>".repeat(depth)))
    };
    assert!(nested(64).is_ok());
    assert_eq!(nested(65), Err(ParseError::TooDeep));
    assert_eq!(nested(1 << 16), Err(ParseError::TooDeep));
    assert!(parse("<a>".repeat(1 << 18).as_bytes()).is_err());
}
