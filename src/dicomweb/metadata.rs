//! Retrieve metadata (PS3.18 §10.4.1.1.2): the JSON that ingest prepared, joined to one array and
//! streamed, or each as a part of XML. Nothing is parsed for JSON; the base URL is set in where the
//! bulk data links begin.

use std::ops::ControlFlow;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderMap};
use bytes::Bytes;
use dicom_core::Tag;

use super::call::Call;
use super::coding::Coding;
use super::notation::Notation;
use crate::access::Scope;
use crate::archive::index::{Current, Cursor};
use crate::archive::{Archive, Error, Gathering, MadeKey, Target};
use crate::dicom::json;
use crate::http::{Chunks, Piece, Problem, Telling, off_thread, respond, respond_with};

/// So much metadata is sent at a time, and what makes one instance whole. Bytes.
const CHUNK_BYTES: usize = 256 * 1024;

/// Metadata of an instance that are read and written without leaving the async thread. Bytes.
const AT_HAND_BYTES: usize = 64 * 1024;
/// About what base URLs and brackets add to the metadata of an instance. Bytes.
const SPLICED_BYTES: usize = 1024;

/// Answers GET `…/metadata`.
pub(super) async fn metadata(call: &Call) -> Result<HttpResponse, Problem> {
    let target = call.target()?;
    call.check_charset()?;
    let notation = Notation::of_list(&call.accept()?)?;
    let media = notation.content_type();
    let coding = Coding::of(call.headers());

    call.committed().await?;
    let current = current(call, &target)
        .await?
        .ok_or_else(Problem::not_found)?;
    let tag = entity_tag(current.version, &call.base, &media, coding);
    let mut response = HttpResponse::build(StatusCode::OK);
    response.insert_header((header::ETAG, tag.as_str()));
    response.insert_header((header::VARY, "Accept, Accept-Encoding"));
    response.insert_header((header::CACHE_CONTROL, "private, no-cache"));
    if is_known(call.headers(), &tag) {
        return Ok(response.status(StatusCode::NOT_MODIFIED).finish());
    }
    response.content_type(media);
    if let Some(name) = coding.name() {
        response.insert_header((header::CONTENT_ENCODING, name));
    }
    if let Some(metadata) = current.metadata {
        let text = alone(&call.base, notation, &metadata)?;
        let chunks = coding.apply(Box::new(std::iter::once(Ok(text))))?;
        let pieces = chunks.map(|chunk| chunk.map(Piece::Bytes));
        let telling = Telling::AtHand;
        return respond_with(response, None, Box::new(pieces), call.archive(), telling).await;
    }
    let key = key_of(&target, &tag);
    if let Some(lately) = call.hall().archive().gathered_lately(&key) {
        let length = lately.iter().map(|piece| piece.len() as u64).sum();
        let pieces = (0..lately.len()).map(move |at| Ok(Piece::Bytes(lately[at].clone())));
        let telling = Telling::AtHand;
        return respond_with(
            response,
            Some(length),
            Box::new(pieces),
            call.archive(),
            telling,
        )
        .await;
    }
    let gathering = call.archive().gather(key);
    let list = List::new(call, target, notation);
    let chunks = coding.apply(Box::new(list))?;
    respond(response, None, Box::new(Gathered::new(chunks, gathering))).await
}

/// What a body is kept by: its tag is the same only for the same bytes of the same target.
fn key_of(target: &Target, tag: &str) -> MadeKey {
    *blake3::hash(format!("{target:?} {tag}").as_bytes()).as_bytes()
}

/// A body that is kept when it has been told to its end.
struct Gathered {
    chunks: Chunks,
    gathering: Option<Gathering>,
}

impl Gathered {
    fn new(chunks: Chunks, gathering: Gathering) -> Self {
        Self {
            chunks,
            gathering: Some(gathering),
        }
    }
}

impl Iterator for Gathered {
    type Item = Result<Bytes, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let chunk = self.chunks.next();
        match (&chunk, &mut self.gathering) {
            (Some(Ok(bytes)), Some(gathering)) => gathering.add(bytes),
            (Some(Err(_)), _) => self.gathering = None,
            (None, gathering) => {
                if let Some(gathering) = gathering.take() {
                    gathering.keep();
                }
            }
            (Some(Ok(_)), None) => {}
        }
        chunk
    }
}

/// The version of a target, and of an instance the metadata, when they are short: read at once.
async fn current(call: &Call, target: &Target) -> Result<Option<Current>, Problem> {
    let (archive, scope) = (call.hall().archive(), call.scope());
    let version = match target {
        Target::Instance(study, series, instance) => {
            return Ok(archive.current((study, series, instance), &scope, AT_HAND_BYTES)?);
        }
        // Worked out from all that is left of it.
        Target::Study(_) | Target::Series(..) if scope.is_blind() => {
            let (archive, target) = (call.archive(), target.clone());
            off_thread(move || archive.version(&target, &scope)).await??
        }
        Target::Study(_) | Target::Series(..) => archive.version_at_hand(target, &scope)?,
    };
    Ok(version.map(|version| Current {
        version,
        metadata: None,
    }))
}

/// The list of one.
fn alone(base: &str, notation: Notation, metadata: &[u8]) -> Result<Bytes, Error> {
    let mut text = Vec::with_capacity(metadata.len() + SPLICED_BYTES);
    write(&mut text, notation, base, true, metadata)?;
    notation.end(&mut text);
    Ok(text.into())
}

/// Appends the metadata of an instance to a list.
fn write(
    text: &mut Vec<u8>,
    notation: Notation,
    base: &str,
    is_first: bool,
    metadata: &[u8],
) -> Result<(), Error> {
    if let Notation::Json(_) = notation {
        text.push(if is_first { b'[' } else { b',' });
        json::splice_base(metadata, base, text);
        return Ok(());
    }
    let mut object = Vec::with_capacity(metadata.len() + SPLICED_BYTES);
    json::splice_base(metadata, base, &mut object);
    notation.write(text, is_first, &location(base, &object), &object)
}

/// A strong entity tag: the same only for the same bytes (RFC 9110 §8.8.3). The URL of the
/// resource is not in it, the way it was reached is.
fn entity_tag(version: u64, base: &str, media: &str, coding: Coding) -> String {
    let reached = blake3::hash(format!("{base} {media}").as_bytes()).to_hex();
    format!(
        "\"{version:x}-{}-{}\"",
        &reached[..8],
        coding.name().unwrap_or("identity")
    )
}

/// Whether `If-None-Match` names the tag (RFC 9110 §13.1.2: compared weakly).
pub(super) fn is_known(headers: &HeaderMap, tag: &str) -> bool {
    let lines = headers
        .get_all(header::IF_NONE_MATCH)
        .filter_map(|line| line.to_str().ok());
    lines
        .flat_map(|line| line.split(','))
        .map(str::trim)
        .any(|known| known == "*" || known.strip_prefix("W/").unwrap_or(known) == tag)
}

/// The instances of a target, a piece at a time.
struct List {
    notation: Notation,
    archive: Archive,
    scope: Scope,
    target: Target,
    base: String,
    after: Option<Cursor>,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    First,
    Between,
    Done,
}

impl List {
    fn new(call: &Call, target: Target, notation: Notation) -> Self {
        Self {
            notation,
            archive: call.archive(),
            scope: call.scope(),
            target,
            base: call.base.clone(),
            after: None,
            state: State::First,
        }
    }

    fn chunk(&mut self) -> Result<Bytes, Error> {
        let mut text = Vec::with_capacity(CHUNK_BYTES + CHUNK_BYTES / 4);
        let Self {
            notation,
            archive,
            scope,
            target,
            base,
            after,
            state,
        } = self;
        let mut is_more = false;
        archive.each_metadata(target, scope, *after, &mut |metadata, cursor| {
            write(&mut text, *notation, base, *state == State::First, metadata)?;
            *state = State::Between;
            *after = Some(cursor);
            is_more = text.len() >= CHUNK_BYTES;
            Ok(if is_more {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            })
        })?;
        if !is_more {
            if self.state == State::First {
                // Removed since its version was read.
                return Err(Error::NotFound);
            }
            self.notation.end(&mut text);
            self.state = State::Done;
        }
        if text.capacity() > text.len() + text.len() / 4 {
            // It may be kept.
            text.shrink_to_fit();
        }
        Ok(Bytes::from(text))
    }
}

/// The URL of the metadata of an instance, empty when its UIDs are not where ingest puts them.
fn location(base: &str, metadata: &[u8]) -> String {
    let uid = |tag| {
        let member = json::top_level_member(metadata, tag)?;
        let value = member.strip_prefix(br#"{"vr":"UI","Value":[""#)?;
        std::str::from_utf8(value.strip_suffix(br#""]}"#)?).ok()
    };
    let [study, series, instance] = [
        Tag(0x0020, 0x000D),
        Tag(0x0020, 0x000E),
        Tag(0x0008, 0x0018),
    ]
    .map(uid);
    match (study, series, instance) {
        (Some(study), Some(series), Some(instance)) => {
            format!("{base}/studies/{study}/series/{series}/instances/{instance}/metadata")
        }
        _ => String::new(),
    }
}

impl Iterator for List {
    type Item = Result<Bytes, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        (self.state != State::Done).then(|| self.chunk())
    }
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;

    use super::super::media::{DICOM_JSON, JSON};
    use super::*;

    #[test]
    fn the_tag_changes_with_all_that_changes_the_bytes() {
        let tag = entity_tag(7, "http://a/dicom-web", DICOM_JSON, Coding::Gzip);
        assert!(tag.starts_with("\"7-") && tag.ends_with("-gzip\""), "{tag}");
        for other in [
            entity_tag(8, "http://a/dicom-web", DICOM_JSON, Coding::Gzip),
            entity_tag(7, "http://b/dicom-web", DICOM_JSON, Coding::Gzip),
            entity_tag(7, "http://a/dicom-web", JSON, Coding::Gzip),
            entity_tag(7, "http://a/dicom-web", DICOM_JSON, Coding::Identity),
        ] {
            assert_ne!(tag, other);
        }
    }

    #[test]
    fn a_known_tag_is_found_in_a_list() {
        let cases = [
            ("\"a\"", true),
            ("\"b\", W/\"a\"", true),
            ("*", true),
            ("\"b\"", false),
            ("a", false),
            ("", false),
        ];
        for (text, expected) in cases {
            let mut headers = HeaderMap::new();
            headers.insert(header::IF_NONE_MATCH, HeaderValue::from_str(text).unwrap());
            assert_eq!(is_known(&headers, "\"a\""), expected, "{text}");
        }
    }
}
