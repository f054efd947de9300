//! What requests about workitems say: their data set, and the UIDs that may stand in the path, in the query or in the
//! data set (PS3.18 §11.4.1, §11.6.1; the spellings of several editions and servers).

use actix_web::http::StatusCode;
use actix_web::http::header;
use actix_web::web;
use dicom_core::Tag;
use tokio::sync::OwnedSemaphorePermit;

use crate::dicom::{AeTitle, Dataset, Uid, json, xml};
use crate::dicomweb::call::Call;
use crate::dicomweb::media::{DICOM_JSON, DICOM_XML, JSON, MediaType};
use crate::dicomweb::part_head::PartHead;
use crate::dicomweb::whole_body;
use crate::http::multipart_reader::{Ending, Event, Splitter};
use crate::http::{Problem, off_thread};
use crate::worklist::WORKITEM_BYTES_MAX;

/// The longest body: XML says in two bytes what JSON says in one. Bytes.
const BODY_BYTES_MAX: usize = 2 * WORKITEM_BYTES_MAX;

const SOP_INSTANCE_UID: Tag = Tag(0x0008, 0x0018);

/// Names of the query parameter that says the UID of a new workitem.
const WORKITEM_NAMES: &[&str] = &["workitem", "AffectedSOPInstanceUID"];

/// Names of the query parameter that says a Transaction UID, in any case.
const TRANSACTION_NAMES: &[&str] = &["transaction-uid", "transaction", "transactionuid"];

/// The workitem that the path names.
///
/// # Errors
/// 400 when it is no UID.
pub(super) fn workitem(call: &Call) -> Result<Uid, Problem> {
    call.path_uid("workitem")?.ok_or_else(Problem::not_found)
}

/// An AE title in a path, in which some characters are still percent-encoded: they mean something to routes.
///
/// # Errors
/// 400 when it is none; `what` it is said to be, for the text.
pub(super) fn ae_title(piece: &str, what: &str) -> Result<AeTitle, Problem> {
    let decoded = [
        ("%2F", "/"),
        ("%2f", "/"),
        ("%2B", "+"),
        ("%2b", "+"),
        ("%25", "%"),
    ]
    .iter()
    .fold(piece.to_owned(), |text, (coded, plain)| {
        text.replace(coded, plain)
    });
    AeTitle::parse(&decoded).map_err(|error| {
        Problem::bad_request(format!("the {what} in the path is no AE title: {error}"))
    })
}

/// The one data set of a body.
///
/// # Errors
/// 415 for what is no data set, 400 when it is malformed or there are several, 413 when it is too long.
pub(super) async fn dataset(call: &Call, payload: web::Payload) -> Result<Dataset, Problem> {
    let media = media(call)?;
    let (body, permit) = read(call, payload).await?;
    parsed_apart(body, media, permit).await
}

/// The same of a request that may have none.
///
/// # Errors
/// As [`dataset`].
pub(super) async fn optional_dataset(
    call: &Call,
    payload: web::Payload,
) -> Result<Dataset, Problem> {
    let (body, permit) = read(call, payload).await?;
    if body.iter().all(u8::is_ascii_whitespace) {
        return Ok(Dataset::default());
    }
    parsed_apart(body, media(call)?, permit).await
}

/// Parses a body off the async threads, and has its place among the bodies until that is done.
async fn parsed_apart(
    body: Vec<u8>,
    media: MediaType,
    permit: OwnedSemaphorePermit,
) -> Result<Dataset, Problem> {
    off_thread(move || {
        let _permit = permit;
        parsed(&body, &media)
    })
    .await?
}

/// A body and its place: its memory is bounded, and so is how many there are at once.
async fn read(
    call: &Call,
    mut payload: web::Payload,
) -> Result<(Vec<u8>, OwnedSemaphorePermit), Problem> {
    let permit = call.ups()?.begin_body().map_err(Problem::and_close)?;
    let body = whole_body::read(
        call,
        &mut payload,
        BODY_BYTES_MAX,
        "a request about a workitem",
    )
    .await
    .map_err(Problem::and_close)?;
    Ok((body, permit))
}

fn media(call: &Call) -> Result<MediaType, Problem> {
    let media = call
        .headers()
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(MediaType::parse);
    media.ok_or_else(unsupported)
}

fn unsupported() -> Problem {
    Problem::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "a workitem comes as application/dicom+json or application/dicom+xml, alone or as one part of multipart/related",
    )
    .and_close()
}

/// The data set of a body of this media type.
fn parsed(body: &[u8], media: &MediaType) -> Result<Dataset, Problem> {
    if media.essence != "multipart/related" {
        return one(body, &media.essence);
    }
    let (head, part) = only_part(body, media.parameter("boundary").unwrap_or_default())?;
    if head.is_coded {
        return Err(Problem::bad_request("a part of the body is coded"));
    }
    let of_root = || MediaType::parse(media.parameter("type")?);
    let essence = head.media.or_else(of_root).map(|media| media.essence);
    one(&part, &essence.unwrap_or_default())
}

fn one(body: &[u8], essence: &str) -> Result<Dataset, Problem> {
    let read = match essence {
        DICOM_XML => xml::parse(body).map(|dataset| vec![dataset]),
        DICOM_JSON | JSON => json::parse(body),
        _ => return Err(unsupported()),
    };
    let datasets = read.map_err(|error| Problem::bad_request(error.to_string()))?;
    let [dataset] = <[Dataset; 1]>::try_from(datasets)
        .map_err(|_| Problem::bad_request("one data set is expected"))?;
    Ok(dataset)
}

fn only_part(body: &[u8], boundary: &str) -> Result<(PartHead, Vec<u8>), Problem> {
    let malformed = |error: &dyn std::fmt::Display| Problem::bad_request(error.to_string());
    let mut splitter = Splitter::new(boundary).map_err(|error| malformed(&error))?;
    let (mut heads, mut part) = (Vec::new(), Vec::new());
    let mut sink = |event: Event<'_>| match event {
        Event::Begin(head) => heads.push(PartHead::parse(head)),
        Event::Data(bytes) => part.extend_from_slice(bytes),
        Event::End => {}
    };
    splitter
        .feed(body, &mut sink)
        .map_err(|error| malformed(&error))?;
    if splitter.finish() != Ending::Closed {
        return Err(Problem::bad_request("the body has no closing delimiter"));
    }
    let [head] = <[PartHead; 1]>::try_from(heads)
        .map_err(|_| Problem::bad_request("one part is expected"))?;
    Ok((head, part))
}

/// The UID of a new workitem: in the query as a value or as a bare name, in the data set, or in several of them.
///
/// # Errors
/// 400 when there is none, when one is no UID, and when they differ.
pub(super) fn new_uid(parameters: &[(String, String)], dataset: &Dataset) -> Result<Uid, Problem> {
    let named = parameters
        .iter()
        .filter(|(name, _)| WORKITEM_NAMES.contains(&name.as_str()))
        .map(|(_, value)| value.as_str());
    let bare = bare_uids(parameters);
    let in_dataset = dataset.text(SOP_INSTANCE_UID).filter(|uid| !uid.is_empty());
    agreed(
        named.chain(bare).chain(in_dataset),
        "the UID of the workitem",
    )?
    .ok_or_else(|| {
        Problem::bad_request(
            "no UID for the workitem: say it as ?workitem=UID or as SOPInstanceUID",
        )
    })
}

/// The Transaction UID of an update: in the query as a value or as a bare name, in the data set (there it has been
/// taken out), or in several of them.
///
/// # Errors
/// 400 when one is no UID, and when they differ.
pub(super) fn transaction_uid(
    parameters: &[(String, String)],
    in_body: Option<Uid>,
) -> Result<Option<Uid>, Problem> {
    let named = parameters
        .iter()
        .filter(|(name, _)| {
            let is_named = |known: &&str| name.eq_ignore_ascii_case(known);
            TRANSACTION_NAMES.iter().any(is_named)
        })
        .map(|(_, value)| value.as_str())
        .filter(|value| !value.is_empty());
    let bare = bare_uids(parameters);
    let in_body = in_body.as_ref().map(Uid::as_str);
    agreed(named.chain(bare).chain(in_body), "the Transaction UID")
}

/// Names without a value that are UIDs: `?1.2.3`.
fn bare_uids(parameters: &[(String, String)]) -> impl Iterator<Item = &str> {
    parameters
        .iter()
        .filter(|(name, value)| value.is_empty() && Uid::parse(name).is_ok())
        .map(|(name, _)| name.as_str())
}

fn agreed<'a>(said: impl Iterator<Item = &'a str>, what: &str) -> Result<Option<Uid>, Problem> {
    let mut agreed: Option<Uid> = None;
    for text in said {
        let uid = Uid::parse(text)
            .map_err(|error| Problem::bad_request(format!("{what} is invalid: {error}")))?;
        if agreed.as_ref().is_some_and(|known| *known != uid) {
            return Err(Problem::bad_request(format!(
                "{what} is said twice, and differently"
            )));
        }
        agreed = Some(uid);
    }
    Ok(agreed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameters(query: &str) -> Vec<(String, String)> {
        crate::http::parameters(query).unwrap()
    }

    fn workitem(json_text: &str) -> Dataset {
        one(json_text.as_bytes(), DICOM_JSON).unwrap()
    }

    #[test]
    fn the_uid_of_a_new_workitem_stands_in_any_of_four_places() {
        let own = workitem(r#"{"00080018":{"vr":"UI","Value":["1.2.3"]}}"#);
        let none = Dataset::default();
        for (query, dataset, expected) in [
            ("workitem=1.2.3", &none, Some("1.2.3")),
            ("1.2.3", &none, Some("1.2.3")),
            ("AffectedSOPInstanceUID=1.2.3", &none, Some("1.2.3")),
            ("", &own, Some("1.2.3")),
            ("workitem=1.2.3", &own, Some("1.2.3")),
            ("workitem=1.2.4", &own, None),
            ("1.2.4", &own, None),
            ("workitem=x", &own, None),
            ("", &none, None),
        ] {
            let read = new_uid(&parameters(query), dataset).ok();
            assert_eq!(
                read.as_ref().map(Uid::as_str),
                expected,
                "{query} {dataset:?}"
            );
        }
    }

    #[test]
    fn a_transaction_uid_is_taken_as_every_edition_spells_it() {
        for query in [
            "Transaction-uid=1.9",
            "transaction-uid=1.9",
            "transaction=1.9",
            "1.9",
        ] {
            let read = transaction_uid(&parameters(query), None).unwrap();
            assert_eq!(read.unwrap().as_str(), "1.9", "{query}");
        }
        let body = || Some(Uid::parse("1.8").unwrap());
        assert!(transaction_uid(&parameters("transaction=1.9"), body()).is_err());
        assert!(transaction_uid(&parameters("transaction=1.8"), body()).is_ok());
        assert_eq!(transaction_uid(&[], None).unwrap(), None);
    }

    #[test]
    fn a_data_set_comes_alone_or_as_one_part() {
        let json_text = r#"[{"00100020":{"vr":"LO","Value":["P"]}}]"#;
        let multipart = |part: &str, kind: &str| {
            let body = format!("--B\r\nContent-Type: {kind}\r\n\r\n{part}\r\n--B--\r\n");
            let header = format!("multipart/related; type=\"{kind}\"; boundary=B");
            parsed(body.as_bytes(), &MediaType::parse(&header).unwrap())
        };
        let alone = one(json_text.as_bytes(), JSON).unwrap();
        assert_eq!(multipart(json_text, DICOM_JSON).unwrap(), alone);
        let mut document = Vec::new();
        xml::write(&json_text.as_bytes()[1..json_text.len() - 1], &mut document).unwrap();
        let document = String::from_utf8(document).unwrap();
        assert_eq!(multipart(&document, DICOM_XML).unwrap(), alone);
        assert!(multipart(json_text, "text/plain").is_err());
        assert!(one(b"[{},{}]", DICOM_JSON).is_err());
        let two = b"--B\r\n\r\n{}\r\n--B\r\n\r\n{}\r\n--B--";
        assert!(only_part(two, "B").is_err());
        assert!(only_part(b"--B\r\n\r\n{}", "B").is_err());
    }
}
