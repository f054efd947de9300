//! A frame as cornerstone3D takes it: the part, the transfer syntax that it will decode by, and
//! whether the bytes can be of it.

use super::{Found, Place, came, content_type};
use crate::dicom::transfer_syntax::{Form, TransferSyntax};
use crate::doctor::client::{Answer, Ending};
use crate::doctor::faults;
use crate::doctor::multipart::{self, assumed_syntax, media_type};

/// A frame, in a multipart body or by itself.
pub(in crate::doctor) fn frame(
    answer: &Answer,
    may_be_alone: bool,
    place: Place<'_>,
    found: &mut Found,
) {
    let whole_type = content_type(answer);
    let is_multipart = whole_type.contains("multipart");
    if !is_multipart {
        if !may_be_alone {
            found.push((&faults::FRAME_SINGLE_PART, came(answer)));
        }
        decode(whole_type, &answer.body, place, found);
        return;
    }
    let is_whole = answer.ending == Ending::Whole;
    match multipart::first(whole_type, &answer.body, is_whole) {
        Err((fault, words)) => found.push((fault, format!("{}; {words}", came(answer)))),
        Ok(part) => {
            found.extend(
                part.faults
                    .iter()
                    .map(|(fault, words)| (*fault, (*words).to_owned())),
            );
            // A part that the loader finds no label of is not judged twice.
            if let (Some(label), true) = (&part.content_type, is_whole) {
                decode(label, part.bytes, place, found);
            }
        }
    }
}

/// Whether the bytes are what the loader will take them for.
fn decode(label: &str, bytes: &[u8], place: Place<'_>, found: &mut Found) {
    let (uid, is_said) = assumed_syntax(label);
    let shown: String = label.chars().take(120).collect();
    let frame_bytes = place.instance.and_then(|instance| instance.frame_bytes);
    let Some(syntax) = TransferSyntax::of_uid(&uid) else {
        found.push((
            &faults::FRAME_CODE,
            format!("the part says {shown}: an unknown transfer syntax"),
        ));
        return;
    };
    let is_native =
        syntax.form != Form::Encapsulated || syntax.media_type == "application/octet-stream";
    let fits = if is_native {
        // A frame of odd length may be padded.
        frame_bytes.is_none_or(|lengths| {
            let fits = |length: u64| [length, length + length % 2].contains(&(bytes.len() as u64));
            lengths.into_iter().any(fits)
        })
    } else {
        looks_like(syntax, bytes)
    };
    if !is_said {
        let words = format!(
            "the part says {}, without transfer-syntax",
            if shown.is_empty() { "nothing" } else { &shown }
        );
        found.push(if fits {
            (&faults::PART_NO_SYNTAX_HARMLESS, words)
        } else {
            (&faults::PART_NO_SYNTAX, words)
        });
    } else if !fits && is_native {
        let [expected, _] = frame_bytes.unwrap_or_default();
        found.push((
            &faults::FRAME_LENGTH,
            format!(
                "{} bytes of {} where a frame has {expected}",
                bytes.len(),
                syntax.name
            ),
        ));
    } else if !fits {
        found.push((
            &faults::FRAME_CODE,
            format!(
                "{} bytes that do not begin as {} does",
                bytes.len(),
                syntax.name
            ),
        ));
    }
}

/// Whether compressed bytes begin as those of their family do.
fn looks_like(syntax: &TransferSyntax, bytes: &[u8]) -> bool {
    let begins = |marks: &[&[u8]]| marks.iter().any(|mark| bytes.starts_with(mark));
    match syntax.media_type {
        "image/jpeg" | "image/jls" => begins(&[b"\xff\xd8\xff"]),
        // A bare codestream, or a JP2 file around it.
        "image/jp2" | "image/jpx" | "image/jphc" => {
            begins(&[b"\xff\x4f\xff\x51", b"\0\0\0\x0cjP  \r\n\x87\n"])
        }
        "image/jxl" => begins(&[b"\xff\x0a", b"\0\0\0\x0cJXL \r\n\x87\n"]),
        // The number of segments (PS3.5 §G.5).
        "image/dicom-rle" => bytes
            .first_chunk::<4>()
            .is_some_and(|head| (1..=15).contains(&u32::from_le_bytes(*head))),
        _ => !bytes.is_empty(),
    }
}

/// A picture that a browser shows.
pub(in crate::doctor) fn picture(answer: &Answer, found: &mut Found) {
    let marks: &[&[u8]] = match media_type(content_type(answer)).as_str() {
        "image/jpeg" => &[b"\xff\xd8\xff"],
        "image/png" => &[b"\x89PNG\r\n\x1a\n"],
        "image/gif" => &[b"GIF8"],
        "image/webp" => &[b"RIFF"],
        "image/jp2" => &[b"\0\0\0\x0cjP  ", b"\xff\x4f\xff\x51"],
        kind if kind.starts_with("image/") || kind.starts_with("video/") => &[b""],
        _ => &[],
    };
    if !marks.iter().any(|mark| answer.body.starts_with(mark)) || answer.body.is_empty() {
        found.push((
            &faults::PICTURE,
            format!("{}, {} bytes", came(answer), answer.body.len()),
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{answer, codes};
    use super::*;
    use crate::doctor::subjects::Instance;

    const MULTIPART: &str = "multipart/related; type=\"application/octet-stream\"; boundary=b";

    fn instance() -> Instance {
        Instance::of(&serde_json::json!({
            "00080018": {"vr": "UI", "Value": ["1.2"]},
            "00280010": {"vr": "US", "Value": [3]}, "00280011": {"vr": "US", "Value": [3]},
            "00280100": {"vr": "US", "Value": [8]},
        }))
        .unwrap()
    }

    fn found(label: &str, bytes: &[u8]) -> Vec<&'static str> {
        let mut body = format!("--b\r\nContent-Type: {label}\r\n\r\n").into_bytes();
        body.extend_from_slice(bytes);
        body.extend_from_slice(b"\r\n--b--\r\n");
        let instance = instance();
        let place = Place {
            instance: Some(&instance),
            ..Place::default()
        };
        let mut found = Found::new();
        frame(&answer(MULTIPART, &body), false, place, &mut found);
        codes(&found)
    }

    #[test]
    fn frames_are_judged_as_the_loader_would_decode_them() {
        const JPEG: &[u8] = b"\xff\xd8\xff\xe0 and so on";
        let native = "application/octet-stream; transfer-syntax=1.2.840.10008.1.2.1";
        let none: Vec<&str> = Vec::new();
        for (label, bytes, codes) in [
            (native, &[0; 9][..], none.clone()),
            (native, &[0; 10], none.clone()),
            (native, &[0; 8], vec!["frame-length"]),
            (native, JPEG, vec!["frame-length"]),
            (
                "application/octet-stream",
                &[0; 9],
                vec!["part-without-transfer-syntax"],
            ),
            (
                "application/octet-stream",
                JPEG,
                vec!["part-without-transfer-syntax"],
            ),
            (
                "image/jpeg; transfer-syntax=1.2.840.10008.1.2.4.50",
                JPEG,
                none.clone(),
            ),
            (
                "image/jpeg; transfer-syntax=1.2.840.10008.1.2.4.70",
                &[0; 9],
                vec!["frame-code"],
            ),
            (
                "image/jp2; transfer-syntax=1.2.840.10008.1.2.4.90",
                b"\xff\x4f\xff\x51\0",
                none.clone(),
            ),
            ("image/jpeg; transfer-syntax=9.9", JPEG, vec!["frame-code"]),
        ] {
            assert_eq!(found(label, bytes), codes, "{label} {bytes:?}");
        }
    }

    #[test]
    fn a_missing_label_is_worse_where_the_guess_is_wrong() {
        let place = |bytes: &[u8]| {
            let mut found = Found::new();
            let instance = instance();
            let place = Place {
                instance: Some(&instance),
                ..Place::default()
            };
            decode("application/octet-stream", bytes, place, &mut found);
            found[0].0.level
        };
        assert!(place(&[0; 9]) < place(b"\xff\xd8\xff\xe0"));
    }

    #[test]
    fn a_picture_is_one() {
        for (kind, body, is_one) in [
            ("image/jpeg", &b"\xff\xd8\xff\xe0"[..], true),
            ("image/png", b"\x89PNG\r\n\x1a\n.", true),
            ("image/jpeg", b"<html>", false),
            ("text/html", b"<html>", false),
            ("image/jpeg", b"", false),
        ] {
            let mut found = Found::new();
            picture(&answer(kind, body), &mut found);
            assert_eq!(found.is_empty(), is_one, "{kind}");
        }
    }
}
