//! Prepared metadata, which is never parsed again: finding attributes and items in it by their
//! braces, and setting the base URL of bulk data in. All of it trusts that
//! [`Builder`](crate::dicom::json::Builder) wrote the text; of any other it makes no sense, but no
//! harm either.

use dicom_core::Tag;
use serde::Deserialize;
use serde_json::Value;

use crate::dicom::header::BASE_MARK;
use crate::dicom::json::write;

/// How the value of a sequence with items begins.
const SEQUENCE: &[u8] = br#"{"vr":"SQ","Value":["#;

/// The JSON of one root attribute, `{"vr":…}`, as it stands in `metadata`; `None` when absent.
#[must_use]
pub fn top_level_member(metadata: &[u8], tag: Tag) -> Option<&[u8]> {
    let wanted = write::tag_digits(tag);
    members(metadata)
        .find(|(digits, _)| *digits == wanted)
        .map(|(_, value)| value)
}

/// Appends `metadata` to `out` with `base_url` (no slash at its end; safe inside a JSON string)
/// in the place of every [`BASE_MARK`].
pub fn splice_base(metadata: &[u8], base_url: &str, out: &mut Vec<u8>) {
    out.reserve(metadata.len());
    let mut done = 0;
    for at in memchr::memchr_iter(BASE_MARK, metadata) {
        out.extend_from_slice(&metadata[done..at]);
        out.extend_from_slice(base_url.as_bytes());
        done = at + 1;
    }
    out.extend_from_slice(&metadata[done..]);
}

/// Puts a root attribute where its tag belongs, when there is none of this tag yet. `member` is its
/// JSON, `{"vr":…}`.
pub(crate) fn add_member(metadata: &mut Vec<u8>, tag: Tag, member: &str) {
    let digits = write::tag_digits(tag);
    let mut at = 1;
    let mut is_last = true;
    for (known, value) in members(metadata) {
        if known == digits {
            return;
        }
        if known > digits.as_slice() {
            is_last = false;
            break;
        }
        at += 12 + value.len();
    }
    let name = String::from_utf8_lossy(&digits);
    let text = match (is_last, at) {
        (false, _) => format!("\"{name}\":{member},"),
        (true, 1) => format!("\"{name}\":{member}"),
        // Each member was counted with a comma behind it, which the last has not.
        (true, _) => {
            at -= 1;
            format!(",\"{name}\":{member}")
        }
    };
    metadata.splice(at..at, text.into_bytes());
}

/// The attributes of a data set or item, each with the digits of its tag, in the order they stand.
pub(crate) fn members(object: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let mut at = 1;
    // Each member is `"GGGGEEEE":{…}`, with a comma behind all but the last.
    std::iter::from_fn(move || {
        let digits = object.get(at..)?.strip_prefix(b"\"")?.get(..8)?;
        let value = first_object(object.get(at + 11..)?)?;
        at += 12 + value.len();
        Some((digits, value))
    })
}

/// The attributes of a data set or item, by their tags.
pub(crate) fn tagged_members(object: &[u8]) -> impl Iterator<Item = (Tag, &[u8])> {
    members(object).filter_map(|(digits, member)| {
        let digits = std::str::from_utf8(digits).ok()?;
        let group = u16::from_str_radix(digits.get(..4)?, 16).ok()?;
        let element = u16::from_str_radix(digits.get(4..)?, 16).ok()?;
        Some((Tag(group, element), member))
    })
}

/// The items of an attribute, `None` when it is no sequence with items.
pub(crate) fn items(member: &[u8]) -> Option<impl Iterator<Item = &[u8]>> {
    let mut rest = member.strip_prefix(SEQUENCE)?;
    Some(std::iter::from_fn(move || {
        let item = first_object(rest)?;
        rest = &rest[item.len()..];
        rest = rest.strip_prefix(b",").unwrap_or(rest);
        Some(item)
    }))
}

/// One attribute in DICOM JSON (PS3.18 §F.2.2).
#[derive(Deserialize)]
struct Member {
    #[serde(rename = "Value", default)]
    values: Vec<Value>,
}

/// The values of an attribute as text, joined by a backslash; `None` when it has none here.
pub(crate) fn text(member: &[u8]) -> Option<String> {
    let member: Member = serde_json::from_slice(member).ok()?;
    let texts: Vec<String> = member.values.iter().map(value_text).collect();
    (!texts.is_empty()).then(|| texts.join("\\"))
}

fn value_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Object(name) => {
            let groups = ["Alphabetic", "Ideographic", "Phonetic"]
                .map(|group| name.get(group).and_then(Value::as_str).unwrap_or_default());
            groups.join("=").trim_end_matches('=').to_owned()
        }
        _ => String::new(),
    }
}

/// The object that `json` begins with, found by its braces outside strings.
fn first_object(json: &[u8]) -> Option<&[u8]> {
    if json.first() != Some(&b'{') {
        return None;
    }
    let mut depth = 0_usize;
    let mut at = 0;
    loop {
        at += memchr::memchr3(b'{', b'}', b'"', json.get(at..)?)?;
        match json[at] {
            b'{' => depth += 1,
            b'}' if depth == 1 => return json.get(..=at),
            b'}' => depth -= 1,
            _ => at = string_end(json, at)?,
        }
        at += 1;
    }
}

/// The place of the quote that ends the string which begins at `at`.
fn string_end(json: &[u8], at: usize) -> Option<usize> {
    let mut at = at + 1;
    loop {
        at += memchr::memchr2(b'"', b'\\', json.get(at..)?)?;
        if json[at] == b'"' {
            return Some(at);
        }
        at += 2;
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_member_is_added_where_its_tag_belongs() {
        for (before, after) in [
            ("{}", r#"{"00083002":{"vr":"UI"}}"#),
            (
                r#"{"00080018":{}}"#,
                r#"{"00080018":{},"00083002":{"vr":"UI"}}"#,
            ),
            (
                r#"{"00100010":{}}"#,
                r#"{"00083002":{"vr":"UI"},"00100010":{}}"#,
            ),
            (
                r#"{"00080018":{"a":"}"},"00100010":{}}"#,
                r#"{"00080018":{"a":"}"},"00083002":{"vr":"UI"},"00100010":{}}"#,
            ),
            (r#"{"00083002":{"vr":"UN"}}"#, r#"{"00083002":{"vr":"UN"}}"#),
        ] {
            let mut metadata = before.as_bytes().to_vec();
            add_member(&mut metadata, Tag(0x0008, 0x3002), r#"{"vr":"UI"}"#);
            assert_eq!(String::from_utf8(metadata).unwrap(), after);
        }
    }

    use super::*;

    const METADATA: &[u8] = br#"{"00080005":{"vr":"CS","Value":["ISO_IR 192"]},"00081032":{"vr":"SQ","Value":[{"00080100":{"vr":"SH","Value":["\"}\\"]}},{}]},"00100010":{"vr":"PN","Value":[{"Alphabetic":"a"}]},"00400275":{"vr":"SQ"}}"#;

    #[test]
    fn a_root_attribute_is_found_without_parsing() {
        for (tag, json) in [
            (
                Tag(0x0008, 0x0005),
                Some(r#"{"vr":"CS","Value":["ISO_IR 192"]}"#),
            ),
            (
                Tag(0x0010, 0x0010),
                Some(r#"{"vr":"PN","Value":[{"Alphabetic":"a"}]}"#),
            ),
            (Tag(0x0040, 0x0275), Some(r#"{"vr":"SQ"}"#)),
            (Tag(0x0008, 0x0100), None),
            (Tag(0x0010, 0x0020), None),
        ] {
            assert_eq!(top_level_member(METADATA, tag), json.map(str::as_bytes));
        }
        for cut in 0..METADATA.len() {
            assert_eq!(
                top_level_member(&METADATA[..cut], Tag(0x7FE0, 0x0010)),
                None
            );
        }
        assert_eq!(top_level_member(b"{}", Tag(0x0008, 0x0005)), None);
    }

    #[test]
    fn items_are_found_in_order() {
        let sequence = top_level_member(METADATA, Tag(0x0008, 0x1032)).expect("present");
        let found: Vec<_> = items(sequence).expect("a sequence").collect();
        assert_eq!(
            found,
            [&br#"{"00080100":{"vr":"SH","Value":["\"}\\"]}}"#[..], b"{}"]
        );
        assert!(items(br#"{"vr":"SQ"}"#).is_none());
    }

    #[test]
    fn every_mark_becomes_the_base() {
        let mut out = Vec::new();
        splice_base(
            b"{\"a\":\"\x01/x\",\"b\":\"\x01/y\"}",
            "http://h/dicom-web",
            &mut out,
        );
        assert_eq!(
            out,
            br#"{"a":"http://h/dicom-web/x","b":"http://h/dicom-web/y"}"#
        );
    }
}
