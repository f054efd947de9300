//! DICOM JSON (PS3.18 Annex F) as data sets. One pass, in memory proportional to the text, whose
//! length the caller bounds; nesting is bounded here.
//!
//! Lenient where nothing is lost by it: one object may stand in the place of an array of one, a
//! missing `vr` is taken from the dictionary, a name may be a plain string, `null` an empty item.
//! Group lengths and the groups 0000 and 0002 are left out. Everything else that Annex F does not
//! say is an error: a member that is not understood might be the pixels.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dicom_core::Tag;

use super::reader::Reader;
use crate::dicom::dataset::{
    Content, DEPTH_MAX, Dataset, Element, Kind, ParseError, Place, Stated, Values, place, problem,
    tag_of, vr_of,
};

const GROUPS: [&str; 3] = ["Alphabetic", "Ideographic", "Phonetic"];

/// The data sets of a JSON text: one object, or an array of them. Text is UTF-8, and (0008,0005)
/// says so where it stands and where text goes beyond ASCII.
///
/// # Errors
/// [`ParseError`].
pub fn parse(text: &[u8]) -> Result<Vec<Dataset>, ParseError> {
    let mut reader = Reader::new(text);
    let mut datasets = Vec::new();
    if reader.take(b'[') {
        let mut is_first = true;
        while reader.more(b']', &mut is_first)? {
            datasets.push(dataset(&mut reader)?);
        }
    } else {
        datasets.push(dataset(&mut reader)?);
    }
    reader.end()?;
    Ok(datasets)
}

fn dataset(reader: &mut Reader<'_>) -> Result<Dataset, ParseError> {
    reader.expect(b'{', "an object was expected")?;
    let mut dataset = members(reader, None, 0)?;
    dataset.say_character_set();
    Ok(dataset)
}

/// The attributes of a data set or item behind `{`, whose first name may have been read.
fn members(reader: &mut Reader<'_>, first: Option<Tag>, depth: u32) -> Result<Dataset, ParseError> {
    let mut elements = Vec::new();
    let mut is_first = true;
    if let Some(tag) = first {
        is_first = false;
        elements.extend(attribute(reader, tag, depth)?);
    }
    while reader.more(b'}', &mut is_first)? {
        let name = reader.name()?;
        let Some(tag) = tag_of(&name) else {
            return reader.malformed("a name is no tag of eight hexadecimal digits");
        };
        elements.extend(attribute(reader, tag, depth)?);
    }
    Dataset::from_stated(elements)
}

/// What was said of an attribute, in any order of its members.
fn attribute(reader: &mut Reader<'_>, tag: Tag, depth: u32) -> Result<Option<Element>, ParseError> {
    let place = place(tag)?;
    reader.expect(b'{', "an attribute is an object")?;
    let (mut vr, mut content) = (None, None);
    let mut is_first = true;
    while reader.more(b'}', &mut is_first)? {
        let name = reader.name()?;
        if name == "vr" {
            let letters = reader.string()?;
            if vr.replace(vr_of(tag, &letters)?).is_some() {
                return problem(tag, "says its value representation twice");
            }
            continue;
        }
        let said = match &*name {
            "Value" => values(reader, tag, depth)?,
            "InlineBinary" => Content::Inline(inline(reader, tag)?),
            "BulkDataURI" => Content::Bulk(reader.string()?.into()),
            _ => {
                return problem(
                    tag,
                    "has a member other than vr, Value, InlineBinary and BulkDataURI",
                );
            }
        };
        if content.replace(said).is_some() {
            return problem(tag, "has more than one value");
        }
    }
    if place == Place::LeftOut {
        return Ok(None);
    }
    let content = content.unwrap_or_default();
    Stated { tag, vr, content }.into_element().map(Some)
}

fn inline(reader: &mut Reader<'_>, tag: Tag) -> Result<Vec<u8>, ParseError> {
    let text = reader.string()?;
    STANDARD
        .decode(text.as_bytes())
        .or_else(|_| problem(tag, "has inline binary that is no base64"))
}

/// The array of a `Value`.
fn values(reader: &mut Reader<'_>, tag: Tag, depth: u32) -> Result<Content, ParseError> {
    reader.expect(b'[', "Value is an array")?;
    let (mut values, mut items) = (Values::default(), Vec::new());
    let mut is_first = true;
    while reader.more(b']', &mut is_first)? {
        let has_room = match reader.peek() {
            Some(b'"') => values.push(Kind::String, &reader.string()?),
            Some(b'{') => object(reader, tag, depth, &mut values, &mut items)?,
            Some(b'n') if reader.take_null() => values.push(Kind::Absent, ""),
            Some(b't' | b'f') => return problem(tag, "has a value of the wrong type"),
            _ => values.push(Kind::Number, reader.number()?),
        };
        if !has_room {
            return problem(tag, "is longer than 4294967294 bytes");
        }
    }
    if values.len() == 0 {
        return Ok(Content::Empty);
    }
    Ok(Content::Values(values, items))
}

/// An item or a person name: its first member tells.
fn object(
    reader: &mut Reader<'_>,
    tag: Tag,
    depth: u32,
    values: &mut Values,
    items: &mut Vec<Dataset>,
) -> Result<bool, ParseError> {
    reader.expect(b'{', "an object was expected")?;
    if reader.take(b'}') {
        return Ok(values.push(Kind::EmptyObject, ""));
    }
    let name = reader.name()?;
    if let Some(first) = tag_of(&name) {
        if depth == DEPTH_MAX {
            return Err(ParseError::TooDeep);
        }
        items.push(members(reader, Some(first), depth + 1)?);
        return Ok(values.push(Kind::Item, ""));
    }
    let name = person_name(reader, tag, &name)?;
    Ok(values.push(Kind::Name, &name))
}

/// A name from its groups (PS3.18 §F.2.2), the first of which has been read up to the colon.
fn person_name(reader: &mut Reader<'_>, tag: Tag, first: &str) -> Result<String, ParseError> {
    let mut groups: [Option<String>; 3] = [const { None }; 3];
    let mut key = Cow::Borrowed(first);
    let mut is_first = false;
    loop {
        let Some(place) = GROUPS.iter().position(|group| *group == key) else {
            return problem(
                tag,
                "has a member that is neither a tag nor a group of a person name",
            );
        };
        let group = if reader.take_null() {
            "".into()
        } else {
            reader.string()?
        };
        if memchr::memchr(b'=', group.as_bytes()).is_some() {
            return problem(tag, "has an equals sign in a group of a name");
        }
        if groups[place].replace(group.into_owned()).is_some() {
            return problem(tag, "has a group of a name twice");
        }
        if !reader.more(b'}', &mut is_first)? {
            break;
        }
        key = reader.name()?;
    }
    let name = groups.map(Option::unwrap_or_default).join("=");
    Ok(name.trim_end_matches('=').to_owned())
}

#[cfg(test)]
mod tests {
    use dicom_core::VR;

    use super::*;
    use crate::dicom::dataset::Value;

    fn one(attribute: &str) -> Result<Element, ParseError> {
        let text = format!("{{{attribute}}}");
        let all = parse(text.as_bytes())?;
        let found = all[0].iter().last().cloned();
        Ok(found.expect("one attribute"))
    }

    #[test]
    fn every_value_representation_is_encoded_as_ps3_5_says() {
        let cases: &[(&str, VR, &[u8])] = &[
            (
                r#""00080054":{"vr":"AE","Value":["A","B"]}"#,
                VR::AE,
                b"A\\B ",
            ),
            (
                r#""00101010":{"vr":"AS","Value":["018Y"]}"#,
                VR::AS,
                b"018Y",
            ),
            (
                r#""00280009":{"vr":"AT","Value":["0018106a"]}"#,
                VR::AT,
                b"\x18\0\x6a\x10",
            ),
            (
                r#""00080008":{"vr":"CS","Value":["A",null,"B"]}"#,
                VR::CS,
                b"A\\\\B",
            ),
            (
                r#""00080020":{"vr":"DA","Value":["20260102"]}"#,
                VR::DA,
                b"20260102",
            ),
            (
                r#""00280030":{"vr":"DS","Value":[1.50,"0.10",-2E3]}"#,
                VR::DS,
                b"1.50\\0.10\\-2E3",
            ),
            (
                r#""00280030":{"vr":"DS","Value":[0.30000000000000004]}"#,
                VR::DS,
                b"0.3 ",
            ),
            (
                r#""00280030":{"vr":"DS","Value":[-123456.789012345678]}"#,
                VR::DS,
                b"-123456.78901235",
            ),
            (
                r#""00280030":{"vr":"DS","Value":["0.30000000000000004"]}"#,
                VR::DS,
                b"0.30000000000000004 ",
            ),
            (
                r#""0008002A":{"vr":"DT","Value":["2026"]}"#,
                VR::DT,
                b"2026",
            ),
            (
                r#""00089459":{"vr":"FL","Value":[0.1,"NaN"]}"#,
                VR::FL,
                b"\xCD\xCC\xCC\x3D\0\0\xC0\x7F",
            ),
            (
                r#""00720074":{"vr":"FD","Value":["-Infinity"]}"#,
                VR::FD,
                b"\0\0\0\0\0\0\xF0\xFF",
            ),
            (
                r#""00200013":{"vr":"IS","Value":[12,"007",1e2]}"#,
                VR::IS,
                b"12\\007\\100",
            ),
            (
                r#""00081030":{"vr":"LO","Value":["a\u00e9"]}"#,
                VR::LO,
                "aé ".as_bytes(),
            ),
            (
                r#""00324000":{"vr":"LT","Value":[" a\\b\n"]}"#,
                VR::LT,
                b" a\\b\n ",
            ),
            (
                r#""00660040":{"vr":"OL","InlineBinary":"AAECAw=="}"#,
                VR::OL,
                b"\0\x01\x02\x03",
            ),
            (
                r#""00420011":{"vr":"OB","InlineBinary":"AAEC"}"#,
                VR::OB,
                b"\0\x01\x02\0",
            ),
            (r#""00080050":{"vr":"SH","Value":[]}"#, VR::SH, b""),
            (
                r#""00186020":{"vr":"SL","Value":[-2147483648, 1.0]}"#,
                VR::SL,
                b"\0\0\0\x80\x01\0\0\0",
            ),
            (
                r#""00189810":{"vr":"SS","Value":[-2]}"#,
                VR::SS,
                b"\xFE\xFF",
            ),
            (r#""00080081":{"vr":"ST","Value":["x"]}"#, VR::ST, b"x "),
            (
                r#""00720082":{"vr":"SV","Value":["-9223372036854775808",5]}"#,
                VR::SV,
                b"\0\0\0\0\0\0\0\x80\x05\0\0\0\0\0\0\0",
            ),
            (r#""00080030":{"vr":"TM","Value":["10"]}"#, VR::TM, b"10"),
            (
                r#""00080119":{"vr":"UC","Value":["a","b"]}"#,
                VR::UC,
                b"a\\b ",
            ),
            (
                r#""00080018":{"vr":"UI","Value":["1.2","3.4.5"]}"#,
                VR::UI,
                b"1.2\\3.4.5\0",
            ),
            (
                r#""00081161":{"vr":"UL","Value":[4294967295]}"#,
                VR::UL,
                b"\xFF\xFF\xFF\xFF",
            ),
            (
                r#""00091001":{"vr":"UN","InlineBinary":"AA=="}"#,
                VR::UN,
                b"\0\0",
            ),
            (
                r#""00081190":{"vr":"UR","Value":["http://x/"]}"#,
                VR::UR,
                b"http://x/ ",
            ),
            (
                r#""00280010":{"vr":"US","Value":[65535]}"#,
                VR::US,
                b"\xFF\xFF",
            ),
            (
                r#""00189999":{"vr":"UV","Value":[18446744073709551615]}"#,
                VR::UV,
                b"\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF",
            ),
            (r#""0040A160":{"Value":["x"],"vr":"UT"}"#, VR::UT, b"x "),
            (r#""00280106":{"Value":[-1]}"#, VR::SS, b"\xFF\xFF"),
            (r#""00280106":{"Value":[1]}"#, VR::US, b"\x01\0"),
            (r#""00283006":{"InlineBinary":"AAE="}"#, VR::OW, b"\0\x01"),
            (r#""00090010":{"Value":["ACME"]}"#, VR::LO, b"ACME"),
            (
                r#""00100010":{"vr":"PN","Value":[{"Phonetic":"p","Alphabetic":"A^B"},{},{"Ideographic":"i"},null]}"#,
                VR::PN,
                b"A^B==p\\\\=i\\ ",
            ),
            (r#""00100010":{"vr":"PN","Value":["A^B"]}"#, VR::PN, b"A^B "),
        ];
        for (text, vr, bytes) in cases {
            let element = one(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(
                (element.vr, element.value),
                (*vr, Value::Bytes(bytes.to_vec())),
                "{text}"
            );
        }
        let bulk = one(r#""7FE00010":{"vr":"OW","BulkDataURI":"http://h/b"}"#).unwrap();
        assert_eq!(bulk.value, Value::Bulk("http://h/b".into()));
    }

    #[test]
    fn sequences_keep_their_items_whatever_the_order_of_members() {
        for text in [
            r#"{"00081140":{"vr":"SQ","Value":[{},{"00081150":{"vr":"UI","Value":["1.2"]}},null]}}"#,
            r#"{"00081140":{"Value":[{},{"00081150":{"Value":["1.2"],"vr":"UI"}},null],"vr":"SQ"}}"#,
            r#"{"00081140":{"Value":[{},{"00081150":{"Value":["1.2"]}},null]}}"#,
        ] {
            let all = parse(text.as_bytes()).unwrap();
            let Some(Value::Items(items)) = all[0].get(Tag(0x0008, 0x1140)).map(|e| &e.value)
            else {
                panic!("no sequence in {text}");
            };
            let texts: Vec<_> = items
                .iter()
                .map(|item| item.text(Tag(0x0008, 0x1150)))
                .collect();
            assert_eq!(texts, [None, Some("1.2"), None]);
        }
    }

    #[test]
    fn text_beyond_ascii_is_said_to_be_utf_8() {
        let set = |text: &str| {
            let all = parse(text.as_bytes()).unwrap();
            all[0].text(Tag(0x0008, 0x0005)).map(str::to_owned)
        };
        let utf8 = Some("ISO_IR 192".to_owned());
        assert_eq!(set(r#"{"00100020":{"vr":"LO","Value":["a"]}}"#), None);
        assert_eq!(set(r#"{"00100020":{"vr":"LO","Value":["\u00e4"]}}"#), utf8);
        assert_eq!(
            set(r#"{"00080005":{"vr":"CS","Value":["ISO_IR 100"]}}"#),
            utf8
        );
        let nested = r#"{"00081140":{"vr":"SQ","Value":[{"00100020":{"vr":"LO","Value":["ä"]}}]}}"#;
        assert_eq!(set(nested), utf8);
    }

    #[test]
    fn one_object_or_an_array_and_no_group_of_files_or_messages() {
        assert_eq!(parse(b" [ ] ").unwrap(), []);
        assert_eq!(parse(b"[{},{}]").unwrap().len(), 2);
        let text = br#"{"00020010":{"vr":"UI","Value":["1.2"]},"00080000":{"vr":"UL","Value":[4]},"00000002":{"vr":"UI"}}"#;
        assert_eq!(parse(text).unwrap(), [Dataset::default()]);
    }

    #[test]
    fn what_is_wrong_is_named_by_tag_and_not_by_value() {
        for (attribute, words) in [
            (r#""00280010":{"vr":"US","Value":["512"]}"#, "wrong type"),
            (r#""00280010":{"vr":"US","Value":[65536]}"#, "does not fit"),
            (r#""00280010":{"vr":"US","Value":[1.5]}"#, "does not fit"),
            (r#""00280010":{"vr":"US","Value":[1,null]}"#, "wrong type"),
            (r#""00280010":{"vr":"US","Value":[true]}"#, "wrong type"),
            (
                r#""00280010":{"vr":"US","Value":[{"00100010":{}}]}"#,
                "no sequence",
            ),
            (r#""00280010":{"vr":"SQ","Value":[1]}"#, "no item"),
            (r#""00280010":{"vr":"SQ","InlineBinary":""}"#, "items only"),
            (
                r#""00280010":{"vr":"LO","InlineBinary":""}"#,
                "cannot be inline",
            ),
            (
                r#""00280010":{"vr":"OB","InlineBinary":"***"}"#,
                "no base64",
            ),
            (r#""00280010":{"vr":"OB","Value":[1]}"#, "instead of inline"),
            (r#""00280010":{"vr":"LO","Value":[1]}"#, "wrong type"),
            (r#""00280010":{"vr":"LO","Value":["a\\b"]}"#, "backslash"),
            (r#""00280010":{"vr":"CS","Value":["é"]}"#, "beyond ASCII"),
            (r#""00280010":{"vr":"ST","Value":["a","b"]}"#, "one only"),
            (
                r#""00280010":{"vr":"PN","Value":[{"Alphabetic":"a=b"}]}"#,
                "equals",
            ),
            (
                r#""00280010":{"vr":"PN","Value":[{"Alphabetic":"a","Alphabetic":"b"}]}"#,
                "twice",
            ),
            (
                r#""00280010":{"vr":"PN","Value":[{"Latin":"a"}]}"#,
                "neither a tag",
            ),
            (r#""00280010":{"vr":"FL","Value":[1e39]}"#, "does not fit"),
            (r#""00280010":{"vr":"FD","Value":["inf"]}"#, "wrong type"),
            (r#""00280010":{"vr":"IS","Value":[1e13]}"#, "does not fit"),
            (r#""00280010":{"vr":"AT","Value":["0010"]}"#, "does not fit"),
            (r#""00280010":{"vr":"XX"}"#, "unknown value representation"),
            (r#""00280010":{"vr":"US","vr":"US"}"#, "twice"),
            (
                r#""00280010":{"vr":"OB","InlineBinary":"","BulkDataURI":"x"}"#,
                "more than one",
            ),
            (r#""00280010":{"vr":"OB","DataFragment":[]}"#, "other than"),
            (
                r#""00280010":{"vr":"US"},"00280010":{"vr":"US"}"#,
                "comes twice",
            ),
            (r#""00289998":{"Value":[1]}"#, "dictionary"),
            (r#""FFFEE000":{"vr":"LO"}"#, "no data set"),
            (r#""00040001":{"vr":"LO"}"#, "no data set"),
        ] {
            let error = one(attribute).expect_err(attribute).to_string();
            let tag = format!("({},{})", &attribute[1..5], &attribute[5..9]);
            assert!(
                error.contains(words) && error.contains(&tag),
                "{attribute}: {error}"
            );
        }
    }

    #[test]
    fn what_is_no_json_is_refused_at_its_place() {
        for text in [
            "",
            "[",
            "{",
            "1",
            "null",
            "[null]",
            "{}x",
            "[{}",
            "[{},]",
            "{,}",
            "{\"0010\":{}}",
            "{\"00100010\"}",
            "{\"00100010\":[]}",
            "{\"00100010\":{\"vr\":\"PN\",}}",
            "{\"00100020\":{\"vr\":\"LO\",\"Value\":\"a\"}}",
            "{\"00100020\":{\"vr\":\"LO\",\"Value\":[\"\\ud800\"]}}",
            "{\"00100020\":{\"vr\":\"LO\",\"Value\":[\"a\nb\"]}}",
            "{\"00200013\":{\"vr\":\"IS\",\"Value\":[01]}}",
            "{\"00200013\":{\"vr\":\"IS\",\"Value\":[1.]}}",
            "{\"00200013\":{\"vr\":\"IS\",\"Value\":[+1]}}",
            "{\"00200013\":{\"vr\":\"IS\",\"Value\":[.5]}}",
            "{\"00200013\":{\"vr\":\"IS\",\"Value\":[1 2]}}",
        ] {
            let result = parse(text.as_bytes());
            assert!(
                matches!(result, Err(ParseError::Malformed { .. })),
                "{text}: {result:?}"
            );
        }
        assert!(parse(b"{\"00100020\":{\"vr\":\"LO\",\"Value\":[\"\xFF\"]}}").is_err());
        // Any beginning of a good text is no good text, and no panic.
        let good = r#"[{"00100010":{"vr":"PN","Value":[{"Alphabetic":"A\u00e4"}]},"00081140":{"vr":"SQ","Value":[{}]}}]"#;
        for cut in 0..good.len() {
            assert!(parse(&good.as_bytes()[..cut]).is_err(), "{cut}");
        }
    }

    #[test]
    fn nesting_is_bounded() {
        let nested = |depth: usize| {
            let open = r#"{"00081140":{"vr":"SQ","Value":["#.repeat(depth);
            parse(format!("{open}{}", "{}".to_owned() + &"]}}".repeat(depth)).as_bytes())
        };
        assert!(nested(64).is_ok());
        assert_eq!(nested(66), Err(ParseError::TooDeep));
        assert!(parse("[".repeat(1 << 20).as_bytes()).is_err());
        let names = r#"{"00081140":{"Value":["#.repeat(1 << 16);
        assert_eq!(parse(names.as_bytes()), Err(ParseError::TooDeep));
    }
}
