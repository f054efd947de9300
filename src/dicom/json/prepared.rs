//! Prepared metadata, which is never parsed again: finding one root attribute in it, and setting
//! the base URL of bulk data in. Both trust that [`Builder`](crate::dicom::json::Builder) wrote it.

use dicom_core::Tag;

use crate::dicom::header::BASE_MARK;
use crate::dicom::json::write;

/// The JSON of one root attribute, `{"vr":…}`, as it stands in `metadata`; `None` when absent.
#[must_use]
pub fn top_level_member(metadata: &[u8], tag: Tag) -> Option<&[u8]> {
    let wanted = write::tag_digits(tag);
    let mut at = 1;
    // Each member is `"GGGGEEEE":{…}`, with a comma behind all but the last.
    while metadata.get(at) == Some(&b'"') {
        let key = metadata.get(at + 1..at + 9)?;
        let value_at = at + 11;
        let length = object_length(metadata.get(value_at..)?)?;
        if key == wanted {
            return metadata.get(value_at..value_at + length);
        }
        at = value_at + length + 1;
    }
    None
}

/// The length of the object that `json` begins with, found by its braces outside strings.
fn object_length(json: &[u8]) -> Option<usize> {
    let mut depth = 0_usize;
    let mut at = 0;
    loop {
        at += memchr::memchr3(b'{', b'}', b'"', json.get(at..)?)?;
        match json[at] {
            b'{' => depth += 1,
            b'}' => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    return Some(at + 1);
                }
            }
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
