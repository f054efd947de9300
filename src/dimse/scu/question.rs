//! What we ask another archive for (PS3.4 §C.4, §C.6.2, Study Root): an identifier written, and the
//! operation that answers it, response by response, to the last one.
//!
//! A message is whole within the time for answers; of a data set that goes to the archive 64 KiB at a
//! time are. Cancelled, an operation has a few seconds to end.

use std::time::{Duration, Instant};

use dicom_core::{Tag, VR};

use super::association::{Association, Heard, SLICE, STOP_PATIENCE};
use super::command::{self, Response};
use super::failure::Failure;
use super::proposal;
use super::proposal::{Answer, Proposed};
use crate::dicom::dataset::{Dataset, Element, Value};
use crate::dicom::query::{Key, Matching};
use crate::dicom::rewrite::encode;
use crate::dicom::transfer_syntax::{EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN};
use crate::dicom::walk::Encoding;
use crate::dicom::{AeTitle, AttributeId, Level, Query, Uid};
use crate::dimse::pdu::{self, Part, Violation};
use crate::dimse::scp::{QUERY_RETRIEVE_LEVEL, name_of};

/// Study Root Query/Retrieve Information Model (PS3.4 §C.6.2.3).
pub(super) const STUDY_ROOT_FIND: &str = "1.2.840.10008.5.1.4.1.2.2.1";
pub(super) const STUDY_ROOT_MOVE: &str = "1.2.840.10008.5.1.4.1.2.2.2";
pub(super) const STUDY_ROOT_GET: &str = "1.2.840.10008.5.1.4.1.2.2.3";

/// The longest data set that is taken with a response.
const ANSWER_BYTES_MAX: usize = 1 << 20;
/// So much of a data set gives its sender new time.
const FRESH_BYTES: usize = 64 * 1024;
/// The operations follow one another: each may have the same Message ID.
const MESSAGE_ID: u16 = 1;

const STUDY_INSTANCE_UID: Tag = Tag(0x0020, 0x000D);
const MODALITIES_IN_STUDY: Tag = Tag(0x0008, 0x0061);

/// What is asked for: a level, and keys.
#[derive(Debug, Clone)]
pub struct Question {
    level: Level,
    keys: Vec<(Tag, VR, Box<str>)>,
}

impl Question {
    /// Nothing yet.
    #[must_use]
    pub fn of_level(level: Level) -> Self {
        Self {
            level,
            keys: Vec::new(),
        }
    }

    /// The keys of a query of ours. `None` when it asks for something that C-FIND cannot say.
    #[must_use]
    pub fn of_query(query: &Query) -> Option<Self> {
        let mut question = Self::of_level(query.level);
        for key in &query.keys {
            let (tag, vr, matching) = match key {
                Key::Attribute(id, matching) => (id.attribute().tag, id.attribute().vr, matching),
                Key::ModalitiesInStudy(matching) => (MODALITIES_IN_STUDY, VR::CS, matching),
                Key::SopClassesInStudy(_)
                | Key::Sequence(..)
                | Key::DateTimeRange(..)
                | Key::Data(..) => return None,
            };
            question.keys.push((tag, vr, text(matching)?));
        }
        Some(question)
    }

    /// One study.
    #[must_use]
    pub fn study(study: &Uid) -> Self {
        Self::of_level(Level::Study).key("StudyInstanceUID", study.as_str())
    }

    /// One series.
    #[must_use]
    pub fn series(study: &Uid, series: &Uid) -> Self {
        Self::of_level(Level::Series)
            .key("StudyInstanceUID", study.as_str())
            .key("SeriesInstanceUID", series.as_str())
    }

    /// The same with one more key, of the table of indexed attributes.
    #[must_use]
    pub fn key(self, keyword: &str, value: &str) -> Self {
        match AttributeId::of_keyword(keyword) {
            Some(id) => self.tag(id.attribute().tag, id.attribute().vr, value),
            None => self,
        }
    }

    /// The same with one more key, unless it has that already.
    #[must_use]
    pub fn tag(mut self, tag: Tag, vr: VR, value: &str) -> Self {
        if !self.keys.iter().any(|(known, ..)| *known == tag) {
            self.keys.push((tag, vr, value.into()));
        }
        self
    }

    /// The study that it is about.
    pub(super) fn of_study(&self) -> Option<Uid> {
        let (.., uid) = self
            .keys
            .iter()
            .find(|(tag, ..)| *tag == STUDY_INSTANCE_UID)?;
        Uid::parse(uid).ok()
    }

    fn encode(&self, encoding: Encoding) -> Vec<u8> {
        let mut dataset = Dataset::default();
        let element = |tag, vr, text: &str| Element {
            tag,
            vr,
            value: Value::Bytes(text.as_bytes().to_vec()),
        };
        dataset.set(element(QUERY_RETRIEVE_LEVEL, VR::CS, name_of(self.level)));
        for (tag, vr, value) in &self.keys {
            dataset.set(element(*tag, *vr, value));
        }
        dataset.say_character_set();
        let mut out = Vec::with_capacity(512);
        for element in dataset.iter() {
            encode::element(&mut out, encoding, element);
        }
        out
    }
}

/// A matching as C-FIND writes it.
fn text(matching: &Matching) -> Option<Box<str>> {
    Some(match matching {
        Matching::Universal => "".into(),
        Matching::Single(value) | Matching::Wildcard(value) => value.clone(),
        Matching::List(values) => values.join("\\").into(),
        Matching::Range(from, to) => {
            let end = |end: &Option<Box<str>>| end.clone().unwrap_or_default();
            format!("{}-{}", end(from), end(to)).into()
        }
        Matching::All(_) | Matching::Sounds(_) | Matching::Empty => return None,
    })
}

/// The context on which something is asked.
pub(super) fn context(class: &str) -> Proposed {
    let uid = |text| Uid::parse(text).expect("the tables hold UIDs");
    Proposed {
        abstract_syntax: uid(class),
        transfer_syntaxes: vec![
            uid(EXPLICIT_VR_LITTLE_ENDIAN),
            uid(IMPLICIT_VR_LITTLE_ENDIAN),
        ],
    }
}

/// An operation with several responses, on the context that was proposed first.
pub(super) struct Operation<'a> {
    pub(super) association: &'a mut Association,
    command: u16,
    pub(super) encoding: Encoding,
    deadline: Instant,
    /// Bytes of the data set since the deadline was set.
    fresh: usize,
    pub(super) is_cancelled: bool,
}

impl<'a> Operation<'a> {
    /// Asks.
    pub(super) fn begin(
        association: &'a mut Association,
        class: &str,
        command: u16,
        question: &Question,
        destination: Option<&AeTitle>,
    ) -> Result<Self, Failure> {
        let encoding = match association.accepted.answers[0] {
            Answer::Accepted(syntax) => syntax.encoding,
            refused => return Err(Failure::NoContext(refused.words())),
        };
        let max = association.accepted.sent_pdu_bytes_max;
        let request = command::question_request(MESSAGE_ID, command, class, destination);
        let mut pdus = pdu::encode_command(proposal::id(0), &request, max);
        let identifier = question.encode(encoding);
        pdu::put_fragments(&mut pdus, proposal::id(0), Part::LastData, &identifier, max);
        association.send(&pdus)?;
        let deadline = Instant::now() + association.answer_timeout;
        Ok(Self {
            association,
            command,
            encoding,
            deadline,
            fresh: 0,
            is_cancelled: false,
        })
    }

    /// Asks the peer to end it: C-CANCEL, once.
    pub(super) fn cancel(&mut self) -> Result<(), Failure> {
        if self.is_cancelled {
            return Ok(());
        }
        self.is_cancelled = true;
        self.deadline = self.deadline.min(Instant::now() + STOP_PATIENCE);
        let max = self.association.accepted.sent_pdu_bytes_max;
        let request = command::cancel_request(MESSAGE_ID);
        let pdus = pdu::encode_command(proposal::id(0), &request, max);
        self.association.send(&pdus)
    }

    /// What comes next. `is_cancelled` is asked several times a second.
    pub(super) fn hear(
        &mut self,
        is_cancelled: &mut dyn FnMut() -> bool,
    ) -> Result<Heard, Failure> {
        loop {
            if !self.is_cancelled && is_cancelled() {
                self.cancel()?;
            }
            // What keeps coming is heard no longer than what does not come.
            if Instant::now() >= self.deadline {
                return Err(self.late());
            }
            match self
                .association
                .next(self.deadline.min(Instant::now() + SLICE))
            {
                Ok(Heard::Data(place, is_last)) => {
                    self.fresh += place.len();
                    if is_last || self.fresh >= FRESH_BYTES {
                        self.renew(self.association.answer_timeout);
                    }
                    return Ok(Heard::Data(place, is_last));
                }
                Ok(heard) => {
                    self.renew(self.association.answer_timeout);
                    return Ok(heard);
                }
                Err(Failure::Silent) if Instant::now() < self.deadline => {}
                Err(Failure::Silent) => return Err(self.late()),
                Err(failure) => return Err(failure),
            }
        }
    }

    fn late(&self) -> Failure {
        match self.is_cancelled {
            true => Failure::Cancelled,
            false => Failure::Silent,
        }
    }

    fn renew(&mut self, patience: Duration) {
        self.fresh = 0;
        if !self.is_cancelled {
            self.deadline = Instant::now() + patience;
        }
    }

    /// The command set that was heard on `context_id` as a response to what was asked, and its data
    /// set.
    pub(super) fn response(
        &mut self,
        context_id: u8,
        is_cancelled: &mut dyn FnMut() -> bool,
    ) -> Result<(Response, Vec<u8>), Failure> {
        let response = self.association.response()?;
        let is_ours = response.command == self.command
            && response.message_id == MESSAGE_ID
            && context_id == proposal::id(0);
        if !is_ours {
            return Err(Failure::Violated("it answers what was not asked"));
        }
        let mut data_set = Vec::new();
        if response.has_data {
            self.association.expect_data(context_id);
            loop {
                let Heard::Data(place, is_last) = self.hear(is_cancelled)? else {
                    return Err(Violation::UnexpectedPdu.into());
                };
                if data_set.len() + place.len() > ANSWER_BYTES_MAX {
                    return Err(Failure::Violated("an answer is longer than 1 MiB"));
                }
                data_set.extend_from_slice(self.association.bytes(place));
                if is_last {
                    break;
                }
            }
        }
        Ok((response, data_set))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dicom::query::{Identifier, Order};
    use crate::dicom::walk::ByteOrder;

    #[test]
    fn a_query_is_asked_as_the_standard_writes_it() {
        let id = |keyword| AttributeId::of_keyword(keyword).unwrap();
        let day = |day: &str| Some(day.into());
        let query = Query {
            level: Level::Study,
            keys: vec![
                Key::Attribute(id("PatientName"), Matching::Wildcard("*mül*".into())),
                Key::Attribute(id("StudyDate"), Matching::Range(day("20260101"), None)),
                Key::ModalitiesInStudy(Matching::Single("CT".into())),
            ],
            limit: 1,
            offset: 0,
            order: Order::NEWEST,
        };
        let question = Question::of_query(&query).unwrap().key("StudyDate", "");
        for explicit in [true, false] {
            let encoding = Encoding {
                explicit,
                order: ByteOrder::Little,
            };
            let read = Identifier::read(&question.encode(encoding), encoding).unwrap();
            let texts: Vec<(Tag, &str)> = read
                .elements
                .iter()
                .map(|e| (e.tag, e.text.trim_end()))
                .collect();
            let expected = [
                (Tag(0x0008, 0x0020), "20260101-"),
                (Tag(0x0008, 0x0052), "STUDY"),
                (Tag(0x0008, 0x0061), "CT"),
                (Tag(0x0010, 0x0010), "*mül*"),
            ];
            assert_eq!(texts, expected);
            assert_eq!(read.character_set, "ISO_IR 192");
        }
    }
}
