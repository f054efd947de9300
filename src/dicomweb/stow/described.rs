//! Metadata and bulk data (PS3.18 §8.6.1.2.2, §10.5.2): objects are made of what comes as DICOM JSON
//! or Native XML and of the bulk parts that it names.
//!
//! Parts may come in any order. Bulk parts lie in the archive's scratch; metadata that wait for them
//! are held as data sets, all of a request together bounded by `ingest.metadata_bytes_max` of text.
//! An instance is made as soon as everything it names is there, so that a request of a thousand
//! instances needs the room of one. Where metadata do not say how many frames there are, the next
//! part of something else says that all have come, unless they are numbered: then the end does.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use actix_web::http::StatusCode;
use dicom_core::Tag;

use super::PARTS_MAX;
use super::bulk::{BulkParts, Kind, Part};
use super::commits::Commits;
use super::compose::{Flaw, compose};
use super::location::{Key, key_of};
use crate::archive::Error;
use crate::dicom::dataset::Value;
use crate::dicom::{Dataset, Uid, json, xml};
use crate::dicomweb::media::{DICOM, DICOM_JSON, DICOM_XML, MediaType};
use crate::dicomweb::part_head::PartHead;
use crate::dicomweb::store_answer::Identity;
use crate::http::Problem;
use crate::http::multipart_reader::Event;
use crate::imaging::pixel_module;

const SOP_CLASS_UID: Tag = Tag(0x0008, 0x0016);
const SOP_INSTANCE_UID: Tag = Tag(0x0008, 0x0018);
const PIXEL_DATA: Tag = Tag(0x7FE0, 0x0010);

/// The most instances of a request that may name the same pixel data: each decodes them anew.
const PIXEL_SHARERS_MAX: usize = 8;

/// How metadata are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// An array of data sets in one part, or one data set.
    Json,
    /// One data set a part.
    Xml,
}

pub(super) struct Described {
    form: Form,
    request_url: String,
    current: Current,
    bulk: BulkParts,
    /// Instances that wait for bulk data, in the order they came; `None` when they are done.
    waiting: Vec<Option<Waiting>>,
    by_key: HashMap<Key, BTreeSet<usize>>,
    /// Every instance that has named these pixel data, made or not, as long as they are here.
    by_pixels: HashMap<Key, Vec<usize>>,
    /// Text of the metadata that are held. Bytes.
    metadata_bytes: u64,
    /// The resource of the last bulk part.
    last: Option<Key>,
    problem: Option<Problem>,
}

/// The part that is arriving.
enum Current {
    /// Read away.
    Nothing,
    Metadata(Vec<u8>),
    Bulk(Key, Part),
}

/// An instance that is not made yet.
struct Waiting {
    dataset: Dataset,
    /// What it names, and how many times.
    keys: BTreeMap<Key, u64>,
    /// How many of them have not come at all.
    missing: usize,
    /// Its Pixel Data, when they are bulk data.
    pixels: Option<Key>,
    metadata_bytes: u64,
}

impl Described {
    pub(super) fn new(form: Form, request_url: String) -> Self {
        Self {
            form,
            request_url,
            current: Current::Nothing,
            bulk: BulkParts::default(),
            waiting: Vec::new(),
            by_key: HashMap::new(),
            by_pixels: HashMap::new(),
            metadata_bytes: 0,
            last: None,
            problem: None,
        }
    }

    /// What ends the request early.
    pub(super) fn take_problem(&mut self) -> Option<Problem> {
        self.problem.take()
    }

    pub(super) fn event(&mut self, event: Event<'_>, commits: &mut Commits) {
        if self.problem.is_some() {
            return;
        }
        let result = match event {
            Event::Begin(lines) => {
                self.begin(&PartHead::parse(lines), commits);
                Ok(())
            }
            Event::Data(bytes) => self.data(bytes, commits),
            Event::End => self.end(commits),
        };
        self.problem = result.err();
    }

    fn begin(&mut self, head: &PartHead, commits: &mut Commits) {
        let essence = head.media.as_ref().map(|media| media.essence.as_str());
        let metadata = match self.form {
            Form::Json => DICOM_JSON,
            Form::Xml => DICOM_XML,
        };
        let mut refuse = |why| {
            commits.flawed((None, None), &Flaw::Part(why));
            Current::Nothing
        };
        self.current = if head.is_coded {
            refuse("has a Content-Encoding or Content-Transfer-Encoding")
        } else if essence == Some(metadata) {
            Current::Metadata(Vec::new())
        } else if [DICOM, DICOM_JSON, DICOM_XML].map(Some).contains(&essence) {
            refuse("is of another media type than the request says")
        } else if let Some(location) = &head.location {
            self.begin_bulk(location, head.media.as_ref(), commits)
        } else {
            refuse("of bulk data has no Content-Location")
        };
    }

    fn begin_bulk(
        &mut self,
        location: &str,
        media: Option<&MediaType>,
        commits: &mut Commits,
    ) -> Current {
        let (key, frame) = key_of(&self.request_url, location);
        if let Some(last) = self.last.replace(key).filter(|last| *last != key) {
            self.wake_pixels(&last, true, commits);
        }
        Current::Bulk(key, Part::new(media, frame, self.bulk.end()))
    }

    fn data(&mut self, bytes: &[u8], commits: &mut Commits) -> Result<(), Problem> {
        let limits = commits.archive().limits();
        match &mut self.current {
            Current::Nothing => Ok(()),
            Current::Metadata(text) => {
                self.metadata_bytes += bytes.len() as u64;
                let (limit, max) = ("ingest.metadata_bytes_max", limits.metadata_bytes_max);
                if self.metadata_bytes > max {
                    return Err(Error::TooLarge { limit, max }.into());
                }
                text.extend_from_slice(bytes);
                Ok(())
            }
            Current::Bulk(_, part) => {
                part.length += bytes.len() as u64;
                let (limit, max) = ("ingest.object_bytes_max", limits.object_bytes_max);
                if part.length > max {
                    return Err(Error::TooLarge { limit, max }.into());
                }
                let written = self.bulk.write(bytes, || commits.scratch());
                if let Err(error) = &written {
                    commits.tell_if_full(error);
                    // Whatever waits for more is not made any more, and this is why.
                    for waiting in self.waiting.drain(..).flatten() {
                        commits.failed(identity(&waiting.dataset), error);
                    }
                }
                Ok(written?)
            }
        }
    }

    fn end(&mut self, commits: &mut Commits) -> Result<(), Problem> {
        match std::mem::replace(&mut self.current, Current::Nothing) {
            Current::Nothing => Ok(()),
            Current::Metadata(text) => self.metadata(&text, commits),
            Current::Bulk(key, part) => {
                let is_first = self.bulk.of(&key).is_empty();
                self.bulk.add(key, part);
                if is_first {
                    self.wake_all(&key, commits);
                } else {
                    self.wake_pixels(&key, false, commits);
                }
                Ok(())
            }
        }
    }

    /// Reads a part of metadata. JSON that cannot be read ends the request: which instances it was
    /// about nobody knows.
    fn metadata(&mut self, text: &[u8], commits: &mut Commits) -> Result<(), Problem> {
        let length = text.len() as u64;
        let datasets = match self.form {
            Form::Json => json::parse(text)
                .map_err(|error| Problem::bad_request(format!("the metadata: {error}")))?,
            Form::Xml => match xml::parse(text) {
                Ok(dataset) => vec![dataset],
                Err(error) => {
                    commits.flawed((None, None), &error.into());
                    Vec::new()
                }
            },
        };
        if self.waiting.len() + datasets.len() > PARTS_MAX {
            let text = format!("a request may hold {PARTS_MAX} instances");
            return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, text));
        }
        let each = length / datasets.len().max(1) as u64;
        // What division leaves over, and text without data sets, is not held.
        self.metadata_bytes -= length - each * datasets.len() as u64;
        for dataset in datasets {
            self.await_bulk(dataset, each, commits);
        }
        Ok(())
    }

    fn await_bulk(&mut self, dataset: Dataset, metadata_bytes: u64, commits: &mut Commits) {
        let mut uris = Vec::new();
        collect(&dataset, &mut uris);
        let mut keys = BTreeMap::new();
        for uri in uris {
            *keys.entry(key_of(&self.request_url, uri).0).or_default() += 1;
        }
        let pixels = match dataset.get(PIXEL_DATA).map(|element| &element.value) {
            Some(Value::Bulk(uri)) => Some(key_of(&self.request_url, uri).0),
            _ => None,
        };
        let at = self.waiting.len();
        if let Some(pixels) = pixels {
            let sharers = self.by_pixels.entry(pixels).or_default();
            if sharers.len() == PIXEL_SHARERS_MAX {
                self.metadata_bytes -= metadata_bytes;
                return commits.flawed(identity(&dataset), &TOO_OFTEN);
            }
            sharers.push(at);
        }
        for key in keys.keys() {
            self.by_key.entry(*key).or_default().insert(at);
        }
        let missing = keys
            .keys()
            .filter(|key| self.bulk.of(key).is_empty())
            .count();
        self.waiting.push(Some(Waiting {
            dataset,
            keys,
            missing,
            pixels,
            metadata_bytes,
        }));
        self.make_if_ready(at, false, commits);
    }

    /// The first part of a resource has come: makes the instances that waited for nothing else.
    fn wake_all(&mut self, key: &Key, commits: &mut Commits) {
        for at in self.by_key.get(key).cloned().unwrap_or_default() {
            if let Some(Some(waiting)) = self.waiting.get_mut(at) {
                waiting.missing -= 1;
            }
            self.make_if_ready(at, false, commits);
        }
    }

    /// Makes the instances of these pixel data, of which all parts may have come. `is_closed`: no
    /// more are to be expected.
    fn wake_pixels(&mut self, key: &Key, is_closed: bool, commits: &mut Commits) {
        for at in self.by_pixels.get(key).cloned().unwrap_or_default() {
            self.make_if_ready(at, is_closed, commits);
        }
    }

    fn make_if_ready(&mut self, at: usize, is_closed: bool, commits: &mut Commits) {
        if let Some(Some(waiting)) = self.waiting.get(at)
            && waiting.missing == 0
            && (self.has_all_frames(waiting) || (is_closed && !self.has_numbered(waiting)))
        {
            self.make(at, commits);
        }
    }

    /// Whether its parts are numbered as frames: whatever comes between them, more may follow.
    fn has_numbered(&self, waiting: &Waiting) -> bool {
        let parts = waiting.pixels.map(|key| self.bulk.of(&key));
        parts
            .and_then(<[Part]>::first)
            .is_some_and(|part| part.frame.is_some())
    }

    /// Whether as many frames have come as the metadata say.
    fn has_all_frames(&self, waiting: &Waiting) -> bool {
        let Some(parts) = waiting.pixels.as_ref().map(|key| self.bulk.of(key)) else {
            return true;
        };
        let frames = pixel_module::said_frames(&waiting.dataset).ok().flatten();
        match (parts.first().map(|part| &part.kind), frames) {
            (Some(Kind::Octets), _) => {
                let length = waiting.pixels.map_or(0, |key| self.bulk.bytes_of(&key));
                pixel_module::native_bytes(&waiting.dataset).is_ok_and(|all| length >= all)
            }
            (Some(Kind::Codestream(name)), _) if is_video(name) => true,
            (_, Some(frames)) => parts.len() as u64 >= u64::from(frames),
            (_, None) => false,
        }
    }

    /// Makes an instance of what has come, and forgets what nobody else waits for.
    fn make(&mut self, at: usize, commits: &mut Commits) {
        let Some(waiting) = self.waiting.get_mut(at).and_then(Option::take) else {
            return;
        };
        self.metadata_bytes -= waiting.metadata_bytes;
        let identity = identity(&waiting.dataset);
        let max = commits.archive().limits().object_bytes_max;
        let is_bounded = waiting
            .keys
            .iter()
            .all(|(key, times)| self.bulk.note_use(key, *times, max));
        commits.settle_if_limited();
        let made = if is_bounded {
            compose(waiting.dataset, &self.bulk, &self.request_url, commits)
        } else {
            Err(TOO_OFTEN)
        };
        match made {
            Ok(incoming) => commits.hand_over(incoming),
            Err(Flaw::Archive(error)) => commits.failed(identity, &error),
            Err(flaw) => commits.flawed(identity, &flaw),
        }
        for key in waiting.keys.into_keys() {
            let others = self.by_key.get_mut(&key);
            let is_last = others.is_none_or(|others| {
                others.remove(&at);
                others.is_empty()
            });
            if is_last {
                self.by_key.remove(&key);
                self.by_pixels.remove(&key);
                self.bulk.forget(&key);
            }
        }
    }

    /// The body came whole: makes what is left, and tells of what nobody named.
    pub(super) fn finish(&mut self, commits: &mut Commits) {
        for at in 0..self.waiting.len() {
            self.make(at, commits);
        }
        for _ in 0..self.bulk.left() {
            let why = "of bulk data is named by no metadata";
            commits.flawed((None, None), &Flaw::Part(why));
        }
    }

    /// The body ended in the middle: nothing more is made.
    pub(super) fn cut(&mut self, commits: &mut Commits) {
        for waiting in self.waiting.drain(..).flatten() {
            commits.cut(identity(&waiting.dataset));
        }
        if !matches!(self.current, Current::Bulk(..)) {
            commits.cut((None, None));
        }
    }
}

const TOO_OFTEN: Flaw = Flaw::Parts("the same part is named too often");

fn is_video(media_type: &str) -> bool {
    media_type.starts_with("video/")
}

/// SOP class and SOP instance, as far as they are sound.
fn identity(dataset: &Dataset) -> Identity {
    let uid = |tag| dataset.text(tag).and_then(|text| Uid::parse(text).ok());
    (uid(SOP_CLASS_UID), uid(SOP_INSTANCE_UID))
}

/// All URIs of a data set and its items, which the parser has nested no deeper than 64 levels.
fn collect<'a>(dataset: &'a Dataset, uris: &mut Vec<&'a str>) {
    for element in dataset.iter() {
        match &element.value {
            Value::Bulk(uri) => uris.push(uri),
            Value::Items(items) => items.iter().for_each(|item| collect(item, uris)),
            Value::Bytes(_) => {}
        }
    }
}
