//! The Storage Commitment Service (PS3.18 §13, Annex J): a request names instances or studies, the
//! answer says at once which of them are safe here, and can be asked for again.

use std::collections::HashSet;
use std::hash::Hash;

use actix_web::http::StatusCode;
use actix_web::http::header;
use actix_web::{HttpResponse, web};
use dicom_core::Tag;

use super::accept::{Accept, Offer, Packing};
use super::call::Call;
use super::commitment_answer;
use super::media::{DICOM_JSON, DICOM_XML, JSON, MediaType};
use super::whole_body;
use crate::access::Scope;
use crate::archive::commitment::{Asked, Commitment, Recalled};
use crate::archive::{self, Target};
use crate::dicom::dataset::Value;
use crate::dicom::{Dataset, Uid, json, xml};
use crate::http::{Problem, off_thread};

/// The longest request. Bytes: 50,000 references take 11 MB.
const BODY_BYTES_MAX: usize = 16 << 20;

const TRANSACTION_UID: Tag = Tag(0x0008, 0x1195);
const REFERENCED_STUDIES: Tag = Tag(0x0008, 0x1110);
const REFERENCED_SERIES: Tag = Tag(0x0008, 0x1115);
const REFERENCED_SOPS: Tag = Tag(0x0008, 0x1199);
const REFERENCED_CLASS: Tag = Tag(0x0008, 0x1150);
const REFERENCED_INSTANCE: Tag = Tag(0x0008, 0x1155);
const INSTANCES_BY_CLASS: Tag = Tag(0x0008, 0x1112);
const STUDY: Tag = Tag(0x0020, 0x000D);
const SERIES: Tag = Tag(0x0020, 0x000E);

/// Answers POST `/commitment-requests/{transaction}`: 200 with what is committed and what is not.
pub(super) async fn request(
    call: &Call,
    mut payload: web::Payload,
) -> Result<HttpResponse, Problem> {
    // Nobody notes whose answer it is, so it is for who may have any.
    if call.scope() != Scope::All {
        let text = "storage commitment is for who stores studies of any kind";
        return Err(Problem::new(StatusCode::FORBIDDEN, text).and_close());
    }
    let transaction = transaction(call)?;
    let media = answer_type(call)?;
    let body_type = body_type(call)?;
    // Its memory is bounded, and so is how many are read at once.
    let permit = call.hall().begin_upload().map_err(Problem::and_close)?;
    let body = whole_body::read(
        call,
        &mut payload,
        BODY_BYTES_MAX,
        "a request for storage commitment",
    )
    .await
    .map_err(Problem::and_close)?;
    let (archive, scope) = (call.archive(), call.scope());
    let keep = call.hall().settings().commitment_keep;
    let answer = off_thread(move || {
        let _permit = permit;
        let asked = asked(&read_datasets(&body, body_type)?, &transaction)?;
        drop(body);
        archive
            .commit_storage(&transaction, &asked, &scope, keep)
            .map_err(Problem::from)
    })
    .await??;
    match answer {
        Some(commitment) => written(&commitment, media),
        None => Err(Problem::new(
            StatusCode::CONFLICT,
            "this transaction UID has been used; GET gives its answer",
        )),
    }
}

/// Answers GET `/commitment-requests/{transaction}`.
pub(super) async fn result(call: &Call) -> Result<HttpResponse, Problem> {
    let transaction = transaction(call)?;
    let media = answer_type(call)?;
    let archive = call.archive();
    // An answer may name anything that is held, and nobody noted who asked for it.
    if call.scope() != Scope::All {
        return Err(Problem::not_found());
    }
    let keep = call.hall().settings().commitment_keep;
    match off_thread(move || archive.commitment(&transaction, keep)).await?? {
        Recalled::Answer(commitment) => written(&commitment, media),
        Recalled::Expired => Err(Problem::new(
            StatusCode::GONE,
            "the answer is no longer kept (http.commitment_keep_days)",
        )),
        Recalled::Pending => Ok(HttpResponse::Accepted()
            .content_type("text/plain; charset=utf-8")
            .body("the request is not answered yet")),
        Recalled::Never => Err(Problem::not_found()),
    }
}

fn transaction(call: &Call) -> Result<Uid, Problem> {
    call.path_uid("transaction")?.ok_or_else(Problem::not_found)
}

/// The media type of the answer; JSON for a POST that says nothing, as for STOW-RS.
fn answer_type(call: &Call) -> Result<&'static str, Problem> {
    const OFFERS: [Offer<'static>; 3] = [
        Offer::plain(Packing::Single, DICOM_JSON),
        Offer::plain(Packing::Single, DICOM_XML),
        Offer::plain(Packing::Single, JSON),
    ];
    if !call.is_get() && !call.headers().contains_key(header::ACCEPT) {
        return Ok(DICOM_JSON);
    }
    let accept: Accept = call.accept()?;
    match accept.choose(&OFFERS) {
        Some(offer) => Ok(offer.essence),
        None => Err(Problem::not_acceptable(
            "the answer is available as application/dicom+json and application/dicom+xml",
        )),
    }
}

/// In what the request is written.
fn body_type(call: &Call) -> Result<&'static str, Problem> {
    let media = call
        .headers()
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(MediaType::parse);
    let essence = media.map(|media| media.essence);
    [DICOM_JSON, JSON, DICOM_XML]
        .into_iter()
        .find(|known| essence.as_deref() == Some(known))
        .ok_or_else(|| {
            Problem::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "a request for storage commitment is application/dicom+json or application/dicom+xml",
            )
            .and_close()
        })
}

/// The answer in a media type of [`answer_type`].
fn written(commitment: &Commitment, media: &'static str) -> Result<HttpResponse, Problem> {
    let mut body = commitment_answer::json(commitment).into_bytes();
    if media == DICOM_XML {
        let mut document = Vec::new();
        xml::write(&body, &mut document)
            .map_err(|error| archive::Error::broken("writing XML", error))?;
        body = document;
    }
    Ok(HttpResponse::Ok()
        .insert_header((header::VARY, "Accept"))
        .content_type(media)
        .body(body))
}

fn read_datasets(body: &[u8], media: &str) -> Result<Vec<Dataset>, Problem> {
    let read = if media == DICOM_XML {
        xml::parse(body).map(|dataset| vec![dataset])
    } else {
        json::parse(body)
    };
    read.map_err(|error| Problem::bad_request(error.to_string()))
}

/// What a request asks (PS3.18 §J.1). Who is named twice is answered for once.
fn asked(datasets: &[Dataset], transaction: &Uid) -> Result<Asked, Problem> {
    let [dataset] = datasets else {
        return Err(Problem::bad_request("one object is expected"));
    };
    if let Some(named) = dataset.text(TRANSACTION_UID)
        && named != transaction.as_str()
    {
        return Err(Problem::bad_request(
            "TransactionUID differs from the one in the path",
        ));
    }
    match (
        items(dataset, REFERENCED_SOPS),
        items(dataset, REFERENCED_STUDIES),
    ) {
        ([], []) => Err(Problem::bad_request(
            "ReferencedSOPSequence or ReferencedStudySequence is missing or empty",
        )),
        (references, []) => {
            let all: Vec<_> = references.iter().map(reference).collect::<Result<_, _>>()?;
            Ok(Asked::Instances(once(all)))
        }
        ([], studies) => Ok(Asked::Targets(once(targets(studies)?))),
        _ => Err(Problem::bad_request(
            "either ReferencedSOPSequence or ReferencedStudySequence, not both",
        )),
    }
}

fn once<T: Clone + Eq + Hash>(all: Vec<T>) -> Vec<T> {
    let mut seen = HashSet::new();
    all.into_iter()
        .filter(|one| seen.insert(one.clone()))
        .collect()
}

fn items(dataset: &Dataset, tag: Tag) -> &[Dataset] {
    match dataset.get(tag).map(|element| &element.value) {
        Some(Value::Items(items)) => items,
        Some(Value::Bytes(_) | Value::Bulk(_)) | None => &[],
    }
}

fn uid(item: &Dataset, tag: Tag, keyword: &str) -> Result<Uid, Problem> {
    Uid::parse(item.text(tag).unwrap_or_default())
        .map_err(|error| Problem::bad_request(format!("{keyword}: {error}")))
}

fn reference(item: &Dataset) -> Result<(Uid, Uid), Problem> {
    Ok((
        uid(item, REFERENCED_CLASS, "ReferencedSOPClassUID")?,
        uid(item, REFERENCED_INSTANCE, "ReferencedSOPInstanceUID")?,
    ))
}

/// Whole studies, or those of their series that are named.
fn targets(studies: &[Dataset]) -> Result<Vec<Target>, Problem> {
    let mut targets = Vec::new();
    for item in studies {
        let study = uid(item, STUDY, "StudyInstanceUID")?;
        let series = items(item, REFERENCED_SERIES);
        if series.is_empty() {
            targets.push(Target::Study(study));
            continue;
        }
        for item in series {
            let is_deeper = [INSTANCES_BY_CLASS, REFERENCED_SOPS]
                .iter()
                .any(|tag| item.get(*tag).is_some());
            if is_deeper {
                return Err(Problem::bad_request(
                    "instances are asked about by ReferencedSOPSequence of the request itself",
                ));
            }
            let series = uid(item, SERIES, "SeriesInstanceUID")?;
            targets.push(Target::Series(study.clone(), series));
        }
    }
    Ok(targets)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Asked, String> {
        let transaction = Uid::parse("2.25.1").unwrap();
        read_datasets(text.as_bytes(), DICOM_JSON)
            .and_then(|datasets| asked(&datasets, &transaction))
            .map_err(|problem| problem.to_string())
    }

    #[test]
    fn instances_studies_and_series_are_read() {
        let uid = |text| Uid::parse(text).unwrap();
        assert_eq!(
            read(
                r#"{"00081195":{"vr":"UI","Value":["2.25.1"]},"00081199":{"vr":"SQ","Value":[
                {"00081150":{"vr":"UI","Value":["1.2"]},"00081155":{"vr":"UI","Value":["1.3"]}}]}}"#
            ),
            Ok(Asked::Instances(vec![(uid("1.2"), uid("1.3"))]))
        );
        assert_eq!(
            read(
                r#"{"00081110":{"vr":"SQ","Value":[{"0020000D":{"vr":"UI","Value":["1.4"]}},
                {"0020000D":{"vr":"UI","Value":["1.5"]},"00081115":{"vr":"SQ","Value":[
                {"0020000E":{"vr":"UI","Value":["1.6"]}}]}}]}}"#
            ),
            Ok(Asked::Targets(vec![
                Target::Study(uid("1.4")),
                Target::Series(uid("1.5"), uid("1.6")),
            ]))
        );
    }

    #[test]
    fn what_asks_nothing_or_too_much_is_refused() {
        let one =
            r#"{"00081150":{"vr":"UI","Value":["1.2"]},"00081155":{"vr":"UI","Value":["1.3"]}}"#;
        let cases = [
            ("", ""),
            ("[]", "one object"),
            ("[{},{}]", "one object"),
            ("{}", "missing or empty"),
            (r#"{"00081199":{"vr":"SQ"}}"#, "missing or empty"),
            (
                r#"{"00081199":{"vr":"SQ","Value":[{}]}}"#,
                "ReferencedSOPClassUID",
            ),
            (
                r#"{"00081199":{"vr":"SQ","Value":[{"00081150":{"vr":"UI","Value":["1.2"]}}]}}"#,
                "ReferencedSOPInstanceUID",
            ),
            (
                r#"{"00081110":{"vr":"SQ","Value":[{"0020000D":{"vr":"UI","Value":["1.02"]}}]}}"#,
                "StudyInstanceUID",
            ),
            (r#"{"00081195":{"vr":"UI","Value":["2.25.2"]}}"#, "differs"),
        ];
        for (text, expected) in cases {
            let refusal = read(text).expect_err(text);
            assert!(refusal.contains(expected), "{text}: {refusal}");
        }
        let both = format!(
            r#"{{"00081110":{{"vr":"SQ","Value":[{{}}]}},"00081199":{{"vr":"SQ","Value":[{one}]}}}}"#
        );
        assert!(read(&both).is_err_and(|text| text.contains("not both")));
    }
}
