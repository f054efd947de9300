//! A signed second opinion as files of the record: a structured report ([`report()`], PS3.16 TID 2000), the same as
//! an Encapsulated PDF ([`document()`], PS3.3 §A.45.1) and, where there are key images, a Key Object Selection
//! ([`selection()`], PS3.16 TID 2010). Plain values in, Part 10 bytes out: UIDs and instants come from the caller.
//!
//! What belongs to the patient and the study is copied as the study has it, whatever its length, so that the
//! archive and every PACS file the documents there; what people wrote is made to fit its value representation.
//! Nothing that a reader wrote is cut: what is too long is an [`OpinionError`].

pub mod codes;
mod content;
mod document;
mod evidence;
pub(in crate::dicom) mod file;
mod modules;
mod pdf;
mod read;
mod report;
mod safe;
mod selection;
mod study;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use crate::dicom::Uid;
use crate::dicom::encode::EncodeError;

pub use document::{PRINT_SOP_CLASS_UID, document};
pub use read::graded;
pub use report::{REPORT_SOP_CLASS_UID, report};
pub use selection::selection;

/// Whether anything of a text is left in a document: what cannot be printed says nothing.
#[must_use]
pub fn says_something(text: &str) -> bool {
    !safe::text(text).is_empty()
}

/// The longest text of one section, in characters.
pub const TEXT_CHARS_MAX: usize = 100_000;

/// The longest note of a key image, and grade said in words.
pub const NOTE_CHARS_MAX: usize = 2_000;

/// The longest name, number or other text of one line.
pub const LINE_CHARS_MAX: usize = 1_000;

/// The most instances that one opinion names as evidence, and as key images.
pub const EVIDENCE_MAX: usize = 100_000;
/// See [`EVIDENCE_MAX`].
pub const KEY_IMAGES_MAX: usize = 1_000;

/// A coded entry (PS3.3 §8.8).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Code {
    /// Code Value; longer than 16 characters it becomes a Long Code Value.
    pub value: Cow<'static, str>,
    /// Coding Scheme Designator.
    pub scheme: Cow<'static, str>,
    /// Code Meaning.
    pub meaning: Cow<'static, str>,
}

impl Code {
    /// One of the program's own tables.
    #[must_use]
    pub const fn of(value: &'static str, scheme: &'static str, meaning: &'static str) -> Self {
        Self {
            value: Cow::Borrowed(value),
            scheme: Cow::Borrowed(scheme),
            meaning: Cow::Borrowed(meaning),
        }
    }

    /// Whether both say the same; meanings are for people.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        self.value == other.value && self.scheme == other.scheme
    }
}

/// A grade that the reader gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Grade {
    /// One of a closed list, [`codes`] or another.
    Coded(Code),
    /// Said in words.
    Text(String),
}

/// An instance, and where it lies.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reference {
    /// Its study.
    pub study_instance_uid: Uid,
    /// Its series.
    pub series_instance_uid: Uid,
    /// What it is.
    pub sop_class_uid: Uid,
    /// Which it is.
    pub sop_instance_uid: Uid,
}

/// An image that shows what the opinion says; a waveform or a document may stand in its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyImage {
    /// The image; it must be among those read.
    pub image: Reference,
    /// From 1; empty for all. Left out of what has no frames to tell apart.
    pub frames: Vec<u32>,
    /// What it shows; may be empty.
    pub note: String,
    /// How people find it, "series 3, image 41"; may be empty. Only in the PDF.
    pub place: String,
}

/// The study that was read, each value as the study's instances have it, in UTF-8; empty when they have none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Study {
    /// Patient's Name.
    pub patient_name: String,
    /// Patient ID.
    pub patient_id: String,
    /// Issuer of Patient ID.
    pub issuer_of_patient_id: String,
    /// Patient's Birth Date.
    pub patient_birth_date: String,
    /// Patient's Sex.
    pub patient_sex: String,
    /// Study Instance UID.
    pub study_instance_uid: Uid,
    /// Study Date.
    pub study_date: String,
    /// Study Time.
    pub study_time: String,
    /// Study ID.
    pub study_id: String,
    /// Study Description.
    pub study_description: String,
    /// Accession Number.
    pub accession_number: String,
    /// Referring Physician's Name.
    pub referring_physician_name: String,
    /// Its modalities, as (0008,0060) has them: `CT`, `MR`.
    pub modalities: Vec<String>,
    /// What was done, coded, where the study says so.
    pub procedures: Vec<Code>,
    /// What was examined, coded, where it is known.
    pub target_regions: Vec<Code>,
}

/// Somebody who asked or answered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Person {
    /// As people write it, or with the carets of a Person Name.
    pub name: String,
    /// Where they work; may be empty.
    pub institution: String,
    /// Who they are in some register, coded.
    pub identification: Option<Code>,
}

/// What was asked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Request {
    /// Who asked.
    pub requester: Person,
    /// The case, as our own pages name it; may be empty. Only in the PDF and in descriptions.
    pub case: String,
    /// The clinical question.
    pub question: String,
    /// History and context.
    pub history: String,
    /// Placer Order Number, Filler Order Number, Requested Procedure ID; may be empty.
    pub placer_order_number: String,
    /// See `placer_order_number`.
    pub filler_order_number: String,
    /// See `placer_order_number`.
    pub requested_procedure_id: String,
    /// Requested Procedure Description; may be empty.
    pub requested_procedure: String,
}

/// As whom the reader answers (PS3.16 CID 7453).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Reads again what another has read.
    Reviewer,
    /// Decides between two readings.
    Adjudicator,
}

/// An instant as its place has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// Milliseconds since 1970 in UTC.
    pub at_ms: i64,
    /// What the clocks there are ahead of UTC, at most 14 hours.
    pub offset_minutes: i16,
}

/// A new series with one document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Series Instance UID, a new one for each document.
    pub series_instance_uid: Uid,
    /// SOP Instance UID.
    pub sop_instance_uid: Uid,
    /// Series Number.
    pub series_number: u32,
}

/// A second opinion, signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opinion {
    /// What was read.
    pub study: Study,
    /// What was asked.
    pub request: Request,
    /// The kind of document (PS3.16 CID 7000): [`codes::SECOND_OPINION`].
    pub title: Code,
    /// What it is written in (RFC 5646), `en`, `pt-BR`; `und` when nobody said.
    pub language: String,
    /// Who answers for it.
    pub reader: Person,
    /// As whom.
    pub role: Role,
    /// When it was signed.
    pub signed: Moment,
    /// Whether this is the reader's last word: else it is preliminary and unverified.
    pub is_final: bool,
    /// 1 for the first.
    pub version: u32,
    /// The documents that it takes the place of, when it corrects them.
    pub predecessors: Vec<Reference>,
    /// What it was compared with, in words; may be empty.
    pub comparison: String,
    /// Findings; may be empty.
    pub findings: String,
    /// Impression; may be empty only when the reader cannot judge.
    pub impression: String,
    /// Recommendation; may be empty.
    pub recommendation: String,
    /// How far it agrees with the first reading.
    pub agreement: Option<Grade>,
    /// Whether a difference matters.
    pub significance: Option<Grade>,
    /// What it changes in what is done.
    pub management: Option<Grade>,
    /// What it changes in the stage.
    pub stage: Option<Grade>,
    /// How sure the reader is.
    pub confidence: Option<Grade>,
    /// Why the reader cannot judge; empty when they can.
    pub cannot_judge: String,
    /// What else there is to say about the first reading; may be empty.
    pub comment: String,
    /// Why it takes the place of its predecessors; empty when it has none.
    pub correction: String,
    /// Images that show it.
    pub key_images: Vec<KeyImage>,
    /// Every instance of the study that was read.
    pub evidence: Vec<Reference>,
    /// Every instance of other studies that was read beside it.
    pub priors: Vec<Reference>,
    /// The digest of the manifest frozen at signing, in hexadecimal digits; empty when there is none.
    /// Only in the PDF.
    pub manifest: String,
}

/// Why an opinion cannot become a document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpinionError {
    /// There is no impression, nor a reason why there is none.
    #[error("the opinion has neither an impression nor a reason why the reader cannot judge")]
    Silent,
    /// Nobody answers for it.
    #[error("the opinion has no reader")]
    NoReader,
    /// The moment of signing lies before 1970, after 9999 or in no time zone.
    #[error("the moment of signing is no date")]
    NoMoment,
    /// A text is longer than it may be.
    #[error("the {what} is longer than {max} characters")]
    TextTooLong {
        /// Which.
        what: &'static str,
        /// The limit.
        max: usize,
    },
    /// Too many things are named.
    #[error("the opinion names more than {max} {what}")]
    TooMany {
        /// What.
        what: &'static str,
        /// The limit.
        max: usize,
    },
    /// An instance is said to be of the study and is not, or the other way round.
    #[error("instance {0} is listed under the wrong study")]
    WrongStudy(Uid),
    /// A key image is not among the instances read.
    #[error("key image {0} is not among the instances read")]
    NotRead(Uid),
    /// A frame number that is none.
    #[error("a frame of key image {0} is not a frame number")]
    NotAFrame(Uid),
    /// It is too large for DICOM.
    #[error(transparent)]
    Encode(#[from] EncodeError),
}

impl Opinion {
    /// The texts that people wrote, each with its name and how long it may be.
    fn texts(&self) -> impl Iterator<Item = (&'static str, &str, usize)> {
        let (request, reader) = (&self.request, &self.reader);
        let sections = [
            ("question", &request.question),
            ("history", &request.history),
            ("comparison", &self.comparison),
            ("findings", &self.findings),
            ("impression", &self.impression),
            ("recommendation", &self.recommendation),
            ("reason why the reader cannot judge", &self.cannot_judge),
            ("comment", &self.comment),
            ("reason of the correction", &self.correction),
        ]
        .map(|(what, text)| (what, text.as_str(), TEXT_CHARS_MAX));
        let lines = [
            ("name of the reader", &reader.name),
            ("institution of the reader", &reader.institution),
            ("name of the requester", &request.requester.name),
            (
                "institution of the requester",
                &request.requester.institution,
            ),
            ("case", &request.case),
            ("placer order number", &request.placer_order_number),
            ("filler order number", &request.filler_order_number),
            ("requested procedure ID", &request.requested_procedure_id),
            ("requested procedure", &request.requested_procedure),
            ("manifest", &self.manifest),
        ]
        .map(|(what, text)| (what, text.as_str(), LINE_CHARS_MAX));
        let keys = self.key_images.iter().flat_map(|key| {
            [
                ("note of a key image", key.note.as_str(), NOTE_CHARS_MAX),
                ("place of a key image", key.place.as_str(), LINE_CHARS_MAX),
            ]
        });
        let grades = self.grades().filter_map(|(_, grade)| match grade {
            Grade::Text(words) => Some(("grade", words.as_str(), NOTE_CHARS_MAX)),
            Grade::Coded(_) => None,
        });
        sections.into_iter().chain(lines).chain(keys).chain(grades)
    }

    /// Whether it can become a document: what each of the three asks first. What they hold is bounded here.
    ///
    /// # Errors
    /// [`OpinionError`].
    pub fn check(&self) -> Result<(), OpinionError> {
        if safe::line(&self.reader.name).is_empty() {
            return Err(OpinionError::NoReader);
        }
        if !self.signed.is_date() {
            return Err(OpinionError::NoMoment);
        }
        for (what, count, max) in [
            ("instances", self.evidence.len(), EVIDENCE_MAX),
            (
                "instances of other studies",
                self.priors.len(),
                EVIDENCE_MAX,
            ),
            ("key images", self.key_images.len(), KEY_IMAGES_MAX),
            ("earlier documents", self.predecessors.len(), KEY_IMAGES_MAX),
        ] {
            if count > max {
                return Err(OpinionError::TooMany { what, max });
            }
        }
        for (what, text, max) in self.texts() {
            if text.chars().nth(max).is_some() {
                return Err(OpinionError::TextTooLong { what, max });
            }
        }
        if safe::text(&self.impression).is_empty() && safe::text(&self.cannot_judge).is_empty() {
            return Err(OpinionError::Silent);
        }
        evidence::check(self)
    }

    /// The grades that were given, each with the concept it answers.
    fn grades(&self) -> impl Iterator<Item = (Code, &Grade)> {
        [
            (codes::AGREEMENT, &self.agreement),
            (codes::SIGNIFICANCE, &self.significance),
            (codes::MANAGEMENT, &self.management),
            (codes::STAGE, &self.stage),
            (codes::CONFIDENCE, &self.confidence),
        ]
        .into_iter()
        .filter_map(|(concept, grade)| Some((concept, grade.as_ref()?)))
    }
}
