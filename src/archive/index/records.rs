//! What is told to an index, and what it tells.

use std::any::Any;
use std::fmt;
use std::ops::ControlFlow;
use std::sync::Arc;

use crate::archive::Error;
use crate::archive::blob::Locator;
use crate::dicom::attributes::AttributeValues;
use crate::dicom::{FrameMap, Header, Level, Uid};
/// Where an instance came from. Kept with it, shown to administrators, logged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// Which door.
    pub door: Door,
    /// Calling AE title, or who sent the HTTP request, or who ran the command. Never patient data.
    pub sender: Box<str>,
    /// Network address of the peer, empty when local.
    pub peer: Box<str>,
}

/// The doors an instance can come through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// C-STORE.
    Dimse,
    /// STOW-RS.
    Stow,
    /// `overread import` and `overread demo`.
    Import,
    /// Made here of a signed opinion.
    Case,
}

/// An instance whose blob is durable and which the index may now learn of.
#[derive(Debug, Clone, PartialEq)]
pub struct NewInstance {
    /// All that was read from it.
    pub header: Header,
    /// How its data set is encoded.
    pub transfer_syntax_uid: Uid,
    /// Its blob: a whole Part 10 file.
    pub locator: Locator,
    /// Where in the blob the data set begins.
    pub dataset_offset: u32,
    /// BLAKE3 of the data set as it is kept.
    pub digest: [u8; 32],
    /// BLAKE3 of the data set as it arrived; another one when attributes were coerced.
    pub received_digest: [u8; 32],
    /// Where it came from.
    pub origin: Origin,
    /// When it was received, milliseconds since 1970 UTC.
    pub received_at_ms: i64,
    /// What [`super::Index::prepare`] made of it.
    pub made: Made,
}

/// What an index made of an instance ahead of its transaction, for itself. It says nothing that the
/// instance does not, so any two are equal, and it may be lacking.
#[derive(Clone, Default)]
pub struct Made(Option<Arc<dyn Any + Send + Sync>>);

impl Made {
    /// Keeps what was made.
    pub fn new(made: impl Any + Send + Sync) -> Self {
        Self(Some(Arc::new(made)))
    }

    /// What was made, when it is one of these.
    #[must_use]
    pub fn get<T: Any>(&self) -> Option<&T> {
        self.0.as_ref()?.downcast_ref()
    }
}

impl PartialEq for Made {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl fmt::Debug for Made {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Made")
    }
}

/// What the index already holds under a SOP Instance UID.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// Its study.
    pub study_instance_uid: Uid,
    /// Its series.
    pub series_instance_uid: Uid,
    /// BLAKE3 of its data set.
    pub digest: [u8; 32],
    /// BLAKE3 of its data set as it arrived.
    pub received_digest: [u8; 32],
    /// How it is encoded.
    pub transfer_syntax_uid: Uid,
    /// Its blob.
    pub locator: Locator,
}

/// The patient a study belongs to, as its first instance said.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StudyPatient {
    /// (0010,0020), padding removed; empty when absent.
    pub patient_id: Box<str>,
    /// (0010,0021); empty when absent.
    pub issuer_of_patient_id: Box<str>,
    /// (0010,0010); empty when absent.
    pub patient_name: Box<str>,
    /// (0010,0030); empty when absent.
    pub patient_birth_date: Box<str>,
}

/// A study, series or instance by its UIDs.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Target {
    /// All of a study.
    Study(Uid),
    /// One series of it.
    Series(Uid, Uid),
    /// One instance of that.
    Instance(Uid, Uid, Uid),
}

/// An instance ready to be read: no parse lies between this and its bytes.
#[derive(Debug, Clone, PartialEq)]
pub struct Located {
    /// (0020,000D)
    pub study_instance_uid: Uid,
    /// (0020,000E)
    pub series_instance_uid: Uid,
    /// (0008,0018)
    pub sop_instance_uid: Uid,
    /// (0008,0016)
    pub sop_class_uid: Uid,
    /// How the data set is encoded.
    pub transfer_syntax_uid: Uid,
    /// The blob.
    pub locator: Locator,
    /// Where in the blob the data set begins.
    pub dataset_offset: u32,
    /// Where each frame lies in the data set.
    pub frames: FrameMap,
    /// BLAKE3 of the data set.
    pub digest: [u8; 32],
    /// Where to go on after this one.
    pub cursor: Cursor,
}

/// The prepared metadata of an instance.
#[derive(Debug, Clone, PartialEq)]
pub struct Prepared {
    /// One DICOM JSON object, with `header::BASE_MARK` in its bulk data URIs.
    pub metadata: Vec<u8>,
    /// Where to go on after this one.
    pub cursor: Cursor,
}

/// What is said of one instance at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Current {
    /// See [`super::Index::version`].
    pub version: u64,
    /// As in [`Prepared`]; `None` when they are long.
    pub metadata: Option<Vec<u8>>,
}

/// Takes the prepared metadata of an instance (as in [`Prepared`]), and says whether it has enough.
pub type EachMetadata<'a> = dyn FnMut(&[u8], Cursor) -> Result<ControlFlow<()>, Error> + 'a;

/// An instance and how it came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Received<'a> {
    /// As in [`Prepared`].
    pub metadata: &'a [u8],
    /// How its data set is encoded.
    pub transfer_syntax_uid: &'a str,
    /// Through which door.
    pub door: Door,
    /// As in [`Origin`].
    pub sender: &'a str,
    /// When, milliseconds since 1970 UTC.
    pub at_ms: i64,
}

/// Takes an instance and how it came, and says whether it has enough.
pub type EachReceived<'a> = dyn FnMut(Received<'_>) -> Result<ControlFlow<()>, Error> + 'a;

/// Which instance it is, which bytes it has and how it came: nothing of what it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arrived<'a> {
    /// (0020,000E)
    pub series_instance_uid: &'a str,
    /// (0008,0018)
    pub sop_instance_uid: &'a str,
    /// (0008,0016)
    pub sop_class_uid: &'a str,
    /// How its data set is encoded.
    pub transfer_syntax_uid: &'a str,
    /// BLAKE3 of the data set.
    pub digest: [u8; 32],
    /// Through which door.
    pub door: Door,
    /// As in [`Origin`].
    pub sender: &'a str,
    /// When, milliseconds since 1970 UTC.
    pub at_ms: i64,
}

/// Takes an instance as it arrived, and says whether it has enough.
pub type EachArrived<'a> = dyn FnMut(Arrived<'_>) -> Result<ControlFlow<()>, Error> + 'a;

/// A place in the order of a target's instances: series, instance number, arrival. Opaque.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Cursor(pub i64, pub i64, pub i64);

/// One answer of a search. Attributes of the levels above are filled in too; the door returns what its table allows.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Row {
    /// The values of the indexed attributes of the row's level and all levels above.
    pub attributes: AttributeValues,
    /// Indexed sequences (position in `SEQUENCES`): their `Value` array as JSON text.
    pub sequence_json: Vec<(u8, Box<str>)>,
    /// (0008,0061), sorted; study level and below.
    pub modalities_in_study: Vec<Box<str>>,
    /// (0008,0062), sorted; study level and below.
    pub sop_classes_in_study: Vec<Box<str>>,
    /// (0020,1200) Number of Patient Related Studies.
    pub studies_of_patient: u64,
    /// (0020,1206) Number of Study Related Series.
    pub series_of_study: u64,
    /// (0020,1208) Number of Study Related Instances.
    pub instances_of_study: u64,
    /// (0020,1209) Number of Series Related Instances.
    pub instances_of_series: u64,
    /// (0008,3002) at instance level.
    pub transfer_syntax_uid: Option<Uid>,
    /// When the newest instance under the row was received, milliseconds since 1970 UTC. Does not go
    /// back when that instance is removed.
    pub received_at_ms: i64,
}

impl Row {
    /// The study, series or instance that a row of a level is; of a patient a row names no study.
    ///
    /// # Errors
    /// When the row lacks its UIDs.
    pub fn target(&self, level: Level) -> Result<Target, Error> {
        let uid = |keyword: &str| {
            let text = self.attributes.by_keyword(keyword).unwrap_or_default();
            Uid::parse(text)
                .map_err(|error| Error::broken("a row of the index", format!("{keyword}: {error}")))
        };
        let study = uid("StudyInstanceUID")?;
        Ok(match level {
            Level::Patient | Level::Study => Target::Study(study),
            Level::Series => Target::Series(study, uid("SeriesInstanceUID")?),
            Level::Instance => {
                Target::Instance(study, uid("SeriesInstanceUID")?, uid("SOPInstanceUID")?)
            }
        })
    }
}

/// The answers of a search, in a total order that repeats.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Page {
    /// The answers.
    pub rows: Vec<Row>,
    /// How many more would follow.
    pub remaining: Remaining,
}

/// How many matches follow a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remaining {
    /// So many.
    Exactly(u64),
    /// More than it pays to count.
    AtLeast(u64),
}

impl Default for Remaining {
    fn default() -> Self {
        Self::Exactly(0)
    }
}

/// A blob that a row names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedBlob {
    /// (0008,0018)
    pub sop_instance_uid: Uid,
    /// The blob.
    pub locator: Locator,
    /// Where in the blob the data set begins.
    pub dataset_offset: u32,
    /// BLAKE3 of the data set.
    pub digest: [u8; 32],
}

/// Which index it is, and how far it has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lineage {
    /// Made at random with the index.
    pub id: String,
    /// Grows with every change of what is stored.
    pub change: u64,
}

/// How much the archive holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals {
    /// Patients.
    pub patients: u64,
    /// Studies.
    pub studies: u64,
    /// Series.
    pub series: u64,
    /// Instances.
    pub instances: u64,
    /// Bytes of their blobs.
    pub blob_bytes: u64,
    /// Instances in quarantine.
    pub quarantined: u64,
}

/// Why an instance is held back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QuarantineReason {
    /// Its SOP Instance UID is taken by an instance with other bytes.
    Duplicate,
    /// Its study belongs to another patient.
    PatientConflict,
    /// It was the stored one until a quarantined duplicate was accepted in its place.
    Displaced,
}

impl QuarantineReason {
    /// What an administrator is told.
    #[must_use]
    pub fn sentence(self) -> &'static str {
        match self {
            Self::Duplicate => "other bytes under the same UID",
            Self::PatientConflict => "its study belongs to another patient",
            Self::Displaced => "was stored until another was accepted",
        }
    }

    /// The same in a word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Duplicate => "duplicate",
            Self::PatientConflict => "patient-conflict",
            Self::Displaced => "displaced",
        }
    }
}

/// An attribute in which a quarantined instance differs from what is held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Tag path as in DICOM JSON, items by number: `00100010`, `00400275/0/00400009`.
    pub path: Box<str>,
    /// DICOM JSON of what is held, `None` when absent there.
    pub held: Option<Box<str>>,
    /// DICOM JSON of the newcomer, `None` when absent there.
    pub newcomer: Option<Box<str>>,
}

/// A quarantined instance.
#[derive(Debug, Clone, PartialEq)]
pub struct Quarantined {
    /// Its number, for the shell.
    pub id: i64,
    /// Why.
    pub reason: QuarantineReason,
    /// What differs; may be empty when only pixels do.
    pub differences: Vec<Difference>,
    /// The instance itself.
    pub instance: NewInstance,
}

/// A conflict that `[ingest] patient_conflict = "accept"` let through.
#[derive(Debug, Clone, PartialEq)]
pub struct AcceptedConflict {
    /// The study.
    pub study_instance_uid: Uid,
    /// The instance that disagrees with it.
    pub sop_instance_uid: Uid,
    /// In what.
    pub differences: Vec<Difference>,
    /// When, milliseconds since 1970 UTC.
    pub received_at_ms: i64,
}

/// What a request for storage commitment was told (PS3.18 §13).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answered {
    /// When, milliseconds since 1970 UTC.
    pub at_ms: i64,
    /// The answer as the archive wrote it; `None` once it has expired.
    pub answer: Option<Box<str>>,
}

/// An event report that somebody who asked for storage commitment has not had yet (PS3.4 §J.3.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwedReport {
    /// Whose answer it is.
    pub transaction_uid: Uid,
    /// The AE title of who asked.
    pub requester: Box<str>,
    /// The AE title under which we were asked.
    pub called: Box<str>,
    /// How often it was tried to tell it.
    pub attempts: u32,
    /// When it is tried next, milliseconds since 1970 UTC.
    pub due_at_ms: i64,
}

/// What another archive told of a transaction that was begun in our name (PS3.4 §J.3.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToldReport {
    /// The transaction.
    pub transaction_uid: Uid,
    /// The AE title of who told it.
    pub told_by: Box<str>,
    /// What was told, as the archive wrote it down.
    pub report: Box<str>,
}
