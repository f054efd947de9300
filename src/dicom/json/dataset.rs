//! A [`Dataset`] as DICOM JSON (PS3.18 Annex F): what was read as JSON or XML, written in the one form that
//! [`prepared`](super::prepared) finds its way in.

use dicom_core::VR;

use super::write::{
    is_text, number_size, tag_digits, write_inline_binary, write_numbers, write_string, write_text,
    write_vr,
};
use crate::dicom::Dataset;
use crate::dicom::dataset::{Element, Value};
use crate::dicom::walk::ByteOrder;

/// Appends a data set or item as one object. Numbers that JSON does not know (NaN, infinities) are inline binary,
/// as the whole value they stand in. Calls itself for items: a [`Dataset`] is nested no deeper than its readers allow.
pub fn write_dataset(out: &mut Vec<u8>, dataset: &Dataset) {
    out.push(b'{');
    for (at, element) in dataset.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        out.push(b'"');
        out.extend_from_slice(&tag_digits(element.tag));
        out.extend_from_slice(b"\":{");
        write_element(out, element);
        out.push(b'}');
    }
    out.push(b'}');
}

fn write_element(out: &mut Vec<u8>, element: &Element) {
    write_vr(out, element.vr);
    match &element.value {
        Value::Items(items) => {
            for (at, item) in items.iter().enumerate() {
                out.extend_from_slice(if at == 0 { b",\"Value\":[" } else { b"," });
                write_dataset(out, item);
            }
            if !items.is_empty() {
                out.push(b']');
            }
        }
        Value::Bulk(uri) => {
            out.extend_from_slice(b",\"BulkDataURI\":");
            write_string(out, uri);
        }
        Value::Bytes(bytes) if bytes.is_empty() => {}
        Value::Bytes(bytes) => write_bytes(out, element.vr, bytes),
    }
}

fn write_bytes(out: &mut Vec<u8>, vr: VR, bytes: &[u8]) {
    if is_text(vr) {
        // The readers of data sets make UTF-8 of all text.
        write_text(out, vr, &String::from_utf8_lossy(bytes));
        return;
    }
    let is_whole = number_size(vr).is_some_and(|size| bytes.len().is_multiple_of(size));
    if is_whole && write_numbers(out, vr, bytes, ByteOrder::Little).is_ok() {
        return;
    }
    write_inline_binary(out, vr, bytes, ByteOrder::Little);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dicom::json;

    fn written(text: &str) -> String {
        let datasets = json::parse(text.as_bytes()).unwrap();
        let mut out = Vec::new();
        write_dataset(&mut out, &datasets[0]);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn what_is_in_order_comes_back_as_it_was() {
        for text in [
            "{}",
            r#"{"00080005":{"vr":"CS","Value":["ISO_IR 192"]},"00100010":{"vr":"PN","Value":[{"Alphabetic":"Ä^B","Ideographic":"山"}]}}"#,
            r#"{"00100020":{"vr":"LO"},"00101002":{"vr":"SQ"},"00400275":{"vr":"SQ","Value":[{},{"00400009":{"vr":"SH","Value":["1","2"]}}]}}"#,
            r#"{"00189087":{"vr":"FD","Value":[1.5,-2.0]},"00280010":{"vr":"US","Value":[512]},"00281052":{"vr":"DS","Value":[-1024]},"00091001":{"vr":"OB","InlineBinary":"AAEC/w=="}}"#,
            r#"{"0040A161":{"vr":"DT"},"00741238":{"vr":"LT","Value":["two\r\nlines \"x\" \\ y"]}}"#,
        ] {
            let expected: serde_json::Value = serde_json::from_str(text).unwrap();
            let ours: serde_json::Value = serde_json::from_str(&written(text)).unwrap();
            assert_eq!(ours, expected);
        }
    }

    #[test]
    fn writing_twice_changes_nothing() {
        let text = r#"{"00189087":{"vr":"FD","Value":["NaN"]},"00080018":{"vr":"UI","Value":["1.2.3"]},"00091001":{"vr":"UN","InlineBinary":"QUI="}}"#;
        let once = written(text);
        assert_eq!(written(&once), once);
        assert!(once.starts_with(r#"{"00080018""#) && once.contains("InlineBinary"));
    }
}
