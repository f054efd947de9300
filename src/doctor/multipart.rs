//! `multipart/related` answers, taken apart as the loader of OHIF does it (cornerstone3D,
//! `multipartDataToSingle`), which is less than RFC 2046 allows: the first empty line ends the head, the first
//! line that begins with `--` is the delimiter, a line must begin with exactly `Content-Type:`, two
//! bytes before the next delimiter are its line break.

use memchr::memmem;

use super::faults::{self, Fault};

/// The longest head of a part that is looked for, in bytes.
const HEAD_BYTES_MAX: usize = 16 * 1024;
const LINE_BREAK: &[u8] = b"\r\n";

/// The first part of a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Part<'a> {
    /// Its Content-Type as the loader finds it.
    pub(super) content_type: Option<String>,
    /// Its bytes as the loader takes them.
    pub(super) bytes: &'a [u8],
    /// What is wrong with the grammar.
    pub(super) faults: Vec<(&'static Fault, &'static str)>,
}

/// The first part; without it, why there is none. `is_whole` says whether the body was read to its end.
pub(super) fn first<'a>(
    content_type: &str,
    body: &'a [u8],
    is_whole: bool,
) -> Result<Part<'a>, (&'static Fault, &'static str)> {
    let window = &body[..body.len().min(HEAD_BYTES_MAX)];
    let Some(head_end) = memmem::find(window, b"\r\n\r\n") else {
        return Err((
            &faults::PART_HEAD,
            "no empty line ends the head of the first part",
        ));
    };
    let head = String::from_utf8_lossy(&body[..head_end]).into_owned();
    let lines: Vec<&str> = head.split("\r\n").collect();
    let Some(delimiter) = lines.iter().find(|line| line.starts_with("--")) else {
        return Err((
            &faults::PART_BOUNDARY,
            "no line before the first part begins with --",
        ));
    };
    let mut found = Vec::new();
    let labelled = lines
        .iter()
        .find_map(|line| line.strip_prefix("Content-Type:"));
    if labelled.is_none() {
        let other = lines
            .iter()
            .any(|line| line.to_ascii_lowercase().starts_with("content-type"));
        found.push((
            &faults::PART_CONTENT_TYPE,
            if other {
                "the part spells it in another way than Content-Type:"
            } else {
                "the part has no Content-Type"
            },
        ));
    }
    let boundary = parameter(content_type, "boundary");
    if boundary.is_none_or(|boundary| delimiter.trim_end() != format!("--{boundary}")) {
        found.push((
            &faults::PART_BOUNDARY_OTHER,
            "the delimiter is not the boundary of Content-Type",
        ));
    }
    let begin = head_end + 4;
    let rest = &body[begin..];
    let Some(length) = memmem::find(rest, delimiter.as_bytes()) else {
        if is_whole {
            return Err((&faults::PART_BOUNDARY, "no delimiter behind the first part"));
        }
        return Ok(Part {
            content_type: labelled.map(|text| text.trim().to_owned()),
            bytes: rest,
            faults: found,
        });
    };
    let bytes = match rest[..length].strip_suffix(LINE_BREAK) {
        Some(bytes) => bytes,
        None => {
            found.push((
                &faults::PART_BOUNDARY_BREAK,
                "no CR LF stands before the delimiter behind the first part",
            ));
            &rest[..length.saturating_sub(LINE_BREAK.len())]
        }
    };
    let closing = format!("{}--", delimiter.trim_end());
    if is_whole && memmem::rfind(rest, closing.as_bytes()).is_none() {
        found.push((&faults::PART_BOUNDARY, "the closing delimiter is missing"));
    }
    Ok(Part {
        content_type: labelled.map(|text| text.trim().to_owned()),
        bytes,
        faults: found,
    })
}

/// The media type of a Content-Type, in lower case.
pub(super) fn media_type(content_type: &str) -> String {
    let first = content_type.split(';').next().unwrap_or_default();
    first.trim().to_ascii_lowercase()
}

/// A parameter of a Content-Type, which may be quoted and hold semicolons then (RFC 9110 §5.6.6).
pub(super) fn parameter<'a>(content_type: &'a str, name: &str) -> Option<&'a str> {
    let mut rest = &content_type[content_type.find(';')? + 1..];
    loop {
        let (key, after) = rest.split_once('=')?;
        let key = key.trim_matches([' ', ';', '\t']);
        let (value, next) = match after.trim_start().strip_prefix('"') {
            Some(quoted) => quoted.split_once('"')?,
            None => match after.split_once(';') {
                Some((value, next)) => (value.trim(), next),
                None => (after.trim(), ""),
            },
        };
        if key.eq_ignore_ascii_case(name) {
            return Some(value);
        }
        rest = next;
    }
}

/// The transfer syntax that the loader decodes by: what the label says, else what its media type
/// stands for, else Implicit VR Little Endian.
pub(super) fn assumed_syntax(content_type: &str) -> (String, bool) {
    if let Some(said) = parameter(content_type, "transfer-syntax") {
        return (said.to_owned(), true);
    }
    let assumed = match media_type(content_type).as_str() {
        "image/jpeg" => "1.2.840.10008.1.2.4.50",
        "image/x-dicom-rle" | "image/dicom-rle" => "1.2.840.10008.1.2.5",
        "image/jls" | "image/x-jls" => "1.2.840.10008.1.2.4.80",
        "image/jll" => "1.2.840.10008.1.2.4.70",
        "image/jp2" => "1.2.840.10008.1.2.4.90",
        "image/jpx" => "1.2.840.10008.1.2.4.92",
        "image/jphc" => "1.2.840.10008.1.2.4.201",
        "image/jxl" => "1.2.840.10008.1.2.4.110",
        _ => "1.2.840.10008.1.2",
    };
    (assumed.to_owned(), false)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TYPE: &str = "multipart/related; type=\"application/octet-stream\"; boundary=b";

    fn codes(body: &[u8], is_whole: bool) -> Result<Vec<&'static str>, &'static str> {
        first(TYPE, body, is_whole)
            .map(|part| part.faults.iter().map(|(fault, _)| fault.code).collect())
            .map_err(|(fault, _)| fault.code)
    }

    #[test]
    fn a_sound_body_is_read_as_the_loader_reads_it() {
        let body = b"\r\n--b\r\nContent-Type: application/octet-stream; transfer-syntax=1.2.840.10008.1.2.1\r\n\
            Content-Location: /x\r\n\r\n\x01\x02\r\n\x03\r\n--b--\r\n";
        let part = first(TYPE, body, true).unwrap();
        assert_eq!(part.bytes, b"\x01\x02\r\n\x03");
        assert_eq!(part.faults, []);
        assert_eq!(
            assumed_syntax(&part.content_type.unwrap()),
            ("1.2.840.10008.1.2.1".into(), true)
        );
    }

    #[test]
    fn each_wrong_turn_of_the_grammar_has_its_name() {
        type Codes = Result<Vec<&'static str>, &'static str>;
        let cases: [(&[u8], Codes); 8] = [
            (b"\x00\x01\x02\x03", Err("part-head")),
            (
                b"b\r\nContent-Type: a/b\r\n\r\nxx\r\n--b--",
                Err("part-boundary"),
            ),
            (
                b"--b\r\nContent-Type: a/b\r\n\r\nxxxx",
                Err("part-boundary"),
            ),
            (
                b"--b\r\ncontent-type: a/b\r\n\r\nxx\r\n--b--",
                Ok(vec!["part-content-type"]),
            ),
            (
                b"--b\r\nX: y\r\n\r\nxx\r\n--b--",
                Ok(vec!["part-content-type"]),
            ),
            (
                b"--c\r\nContent-Type: a/b\r\n\r\nxx\r\n--c--",
                Ok(vec!["part-boundary-differs"]),
            ),
            (
                b"--b\r\nContent-Type: a/b\r\n\r\nxx--b--",
                Ok(vec!["part-boundary-line-break"]),
            ),
            (
                b"--b\r\nContent-Type: a/b\r\n\r\nxx\r\n--b\r\n",
                Ok(vec!["part-boundary"]),
            ),
        ];
        for (body, expected) in cases {
            assert_eq!(
                codes(body, true),
                expected,
                "{}",
                String::from_utf8_lossy(body)
            );
        }
        assert_eq!(
            codes(b"--b\r\nContent-Type: a/b\r\n\r\nxxxx", false),
            Ok(vec![])
        );
    }

    #[test]
    fn parameters_may_be_quoted() {
        let text = "multipart/related; type=\"image/jpeg; transfer-syntax=1.2\"; Boundary = \"a;b\" ; start=x";
        assert_eq!(parameter(text, "boundary"), Some("a;b"));
        assert_eq!(parameter(text, "start"), Some("x"));
        assert_eq!(parameter(text, "transfer-syntax"), None);
        assert_eq!(parameter("text/plain", "charset"), None);
        assert_eq!(media_type(text), "multipart/related");
        assert_eq!(assumed_syntax("image/jls").0, "1.2.840.10008.1.2.4.80");
        assert_eq!(
            assumed_syntax("application/octet-stream").0,
            "1.2.840.10008.1.2"
        );
    }
}
