//! Files, documents, videos and bulk data.

use super::{Found, came, content_type};
use crate::doctor::client::{Answer, Ending, header};
use crate::doctor::faults::{self, Fault};
use crate::doctor::multipart::{self, media_type};

/// A DICOM file (PS3.10 §7.1), in a part or alone.
pub(in crate::doctor) fn file(answer: &Answer, found: &mut Found) {
    let whole_type = content_type(answer);
    let is_file = |bytes: &[u8]| bytes.get(128..132) == Some(b"DICM");
    let is_one = if media_type(whole_type) == "multipart/related" {
        match multipart::first(whole_type, &answer.body, answer.ending == Ending::Whole) {
            Ok(part) => {
                // How files are labelled matters to nobody here: they tell their syntax themselves.
                let boundary = part
                    .faults
                    .iter()
                    .find(|(fault, _)| std::ptr::eq(*fault, &faults::PART_BOUNDARY_OTHER));
                found.extend(boundary.map(|(fault, words)| (*fault, (*words).to_owned())));
                is_file(part.bytes)
            }
            Err((fault, words)) => {
                found.push((fault, words.to_owned()));
                return;
            }
        }
    } else {
        is_file(&answer.body)
    };
    if !is_one {
        found.push((
            &faults::NOT_A_FILE,
            format!("{}, no DICM behind the preamble", came(answer)),
        ));
    }
}

/// Anything but an error page.
pub(in crate::doctor) fn media(answer: &Answer, fault: &'static Fault, found: &mut Found) {
    if answer.body.is_empty() {
        found.push((fault, format!("{}, an empty body", came(answer))));
    }
}

/// Bulk data, in a part or alone.
pub(in crate::doctor) fn bulk(answer: &Answer, fault: &'static Fault, found: &mut Found) {
    let whole_type = content_type(answer);
    if media_type(whole_type) == "multipart/related" {
        let is_whole = answer.ending == Ending::Whole;
        if let Err((_, words)) = multipart::first(whole_type, &answer.body, is_whole) {
            found.push((fault, format!("{}; {words}", came(answer))));
        }
    } else {
        media(answer, fault, found);
    }
}

/// A byte range that was honoured (RFC 9110 §14).
pub(in crate::doctor) fn range(answer: &Answer, found: &mut Found) {
    if answer.status != 206 || header(&answer.headers, "content-range").is_none() {
        found.push((
            &faults::NO_RANGES,
            format!("{} where 206 was expected", answer.status),
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{answer, codes};
    use super::*;

    #[test]
    fn a_file_begins_with_its_preamble() {
        let mut bytes = vec![0; 128];
        bytes.extend_from_slice(b"DICM\x02\0");
        let mut body = b"--b\r\nContent-Type: application/dicom\r\n\r\n".to_vec();
        body.extend_from_slice(&bytes);
        body.extend_from_slice(b"\r\n--b--");
        const TYPE: &str = "multipart/related; type=\"application/dicom\"; boundary=b";
        for (kind, body, expected) in [
            (TYPE, &body[..], vec![]),
            ("application/dicom", &bytes, vec![]),
            ("application/dicom", &b"<html>"[..], vec!["not-dicom"]),
            (
                TYPE,
                b"--b\r\nContent-Type: x/y\r\n\r\nno\r\n--b--",
                vec!["not-dicom"],
            ),
        ] {
            let mut found = Found::new();
            file(&answer(kind, body), &mut found);
            assert_eq!(codes(&found), expected);
        }
    }

    #[test]
    fn bulk_data_are_there() {
        for (kind, body, is_fine) in [
            ("application/octet-stream", &b"x"[..], true),
            ("application/octet-stream", b"", false),
            (
                "multipart/related; boundary=b",
                b"--b\r\nContent-Type: x/y\r\n\r\nz\r\n--b--",
                true,
            ),
            ("multipart/related; boundary=b", b"zzz", false),
        ] {
            let mut found = Found::new();
            bulk(&answer(kind, body), &faults::BULK_UNREADABLE, &mut found);
            assert_eq!(found.is_empty(), is_fine, "{body:?}");
        }
    }
}
