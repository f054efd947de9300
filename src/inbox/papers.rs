//! Papers and photographs that come with images: made into objects of the study that they are told to go to
//! ([`crate::dicom::brought`]). Where no image has come yet, they make a study of their own, of the patient whom whoever
//! made the inbox named, or who is named beside them.
//!
//! UIDs follow from the bytes and the place, so that a paper that is sent twice is there once.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::kind::Kind;
use crate::access::Scope;
use crate::access::inbox::Patient;
use crate::archive::{Archive, Declared, Error, Incoming, Origin, Target};
use crate::dicom::brought::{self, Brought};
use crate::dicom::opinion::{Moment, Place, Study};
use crate::dicom::query::{Key, Matching, Order};
use crate::dicom::{AttributeId, Level, Query, Uid};
use crate::imaging::photograph::{page, photograph};

/// The longest paper or photograph. Bytes.
pub(super) const BYTES_MAX: u64 = 64 << 20;
/// Ours follow the series of a scanner.
const SERIES_NUMBER: u32 = 9_500;
/// Papers of one series that are counted.
const COUNTED_MAX: usize = 5_000;

/// Papers are large, and decoded pictures more so: one at a time is in memory.
static ONE: Mutex<()> = Mutex::new(());

/// The right to have a paper in memory.
pub(super) struct Turn(#[expect(dead_code, reason = "held")] MutexGuard<'static, ()>);

impl Turn {
    /// Waits for it; to be taken before anything of the paper is read.
    pub(super) fn wait() -> Self {
        Self(ONE.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Whose papers they are, as people type it.
#[derive(Debug, Clone, Default)]
pub struct Person {
    /// Family name.
    pub family: String,
    /// Given name.
    pub given: String,
    /// As a date field has it: 1970-01-31.
    pub birth_date: String,
}

impl Person {
    /// As DICOM has it; `None` without a family name or a date.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn patient(&self) -> Result<Option<Patient>, &'static str> {
        let patient = Patient::typed((&self.family, &self.given), "", &self.birth_date)?;
        let is_named = !patient.name().is_empty() && !patient.name().starts_with('^');
        Ok((is_named && !patient.birth_date().is_empty()).then_some(patient))
    }
}

/// Where papers go.
#[derive(Debug, Clone)]
pub struct Papers {
    /// The study.
    pub study: Study,
    /// What makes the UIDs of one inbox others than those of another.
    pub seed: Vec<u8>,
    /// What photographs show.
    pub shown: Shown,
}

/// What photographs and scans show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Shown {
    /// An image: a film, a wound.
    Image,
    /// A letter or a report: a document, which nobody sees who reads blind; and so is what nobody said anything of.
    #[default]
    Paper,
}

impl Shown {
    /// By its word.
    #[must_use]
    pub fn of(word: &str) -> Option<Self> {
        match word {
            "image" => Some(Self::Image),
            "paper" => Some(Self::Paper),
            _ => None,
        }
    }
}

/// Why a paper is not taken, in words.
#[derive(Debug, thiserror::Error)]
pub(super) enum PaperError {
    /// The archive's own.
    #[error(transparent)]
    Archive(#[from] Error),
    /// The picture's.
    #[error("the picture cannot be used: {0}")]
    Picture(#[from] crate::imaging::codestream::Fault),
    /// It cannot be written.
    #[error("it is too large")]
    Encode(#[from] crate::dicom::encode::EncodeError),
}

impl Papers {
    /// A study of its own for papers without images.
    #[must_use]
    pub fn alone(patient: &Patient, seed: Vec<u8>, shown: Shown, at_ms: i64) -> Self {
        let day = Moment {
            at_ms,
            offset_minutes: 0,
        };
        let day = day.date_time();
        let study = Study {
            patient_name: patient.name().into(),
            patient_id: patient.id().into(),
            issuer_of_patient_id: String::new(),
            patient_birth_date: patient.birth_date().into(),
            patient_sex: String::new(),
            study_instance_uid: uid(&[&seed, b"study"]),
            study_date: day.get(..8).unwrap_or_default().into(),
            study_time: String::new(),
            study_id: String::new(),
            study_description: "Documents".into(),
            accession_number: String::new(),
            referring_physician_name: String::new(),
            modalities: Vec::new(),
            procedures: Vec::new(),
            target_regions: Vec::new(),
        };
        Self { study, seed, shown }
    }

    /// Begins to store a paper whose turn it is; `None` when it is there already.
    ///
    /// # Errors
    /// [`PaperError`].
    pub(super) fn begin(
        &self,
        archive: &Archive,
        _turn: &Turn,
        (origin, declared): (Origin, Declared),
        (name, kind): (&str, Kind),
        bytes: Vec<u8>,
        at_ms: i64,
    ) -> Result<Option<Incoming>, PaperError> {
        let study = self.study.study_instance_uid.as_str().as_bytes();
        let (word, series): (&[u8], u32) = match (kind, self.shown) {
            (Kind::Pdf, _) | (_, Shown::Paper) => (b"document", 1),
            _ => (b"photograph", 2),
        };
        let sop_instance_uid = uid(&[&self.seed, study, word, &bytes]);
        if is_here(archive, &sop_instance_uid)? {
            return Ok(None);
        }
        let series_instance_uid = uid(&[&self.seed, study, word]);
        let target = Target::Series(
            self.study.study_instance_uid.clone(),
            series_instance_uid.clone(),
        );
        let before = archive.locate(&target, &Scope::All, None, COUNTED_MAX)?;
        let title = title(name);
        let about = Brought {
            study: &self.study,
            place: Place {
                series_instance_uid,
                sop_instance_uid,
                series_number: SERIES_NUMBER + series,
            },
            number: u32::try_from(before.len()).unwrap_or(0) + 1,
            came: Moment {
                at_ms,
                offset_minutes: 0,
            },
            title: &title,
        };
        let file = match (kind, self.shown) {
            (Kind::Pdf, _) => brought::document(&about, bytes)?,
            (_, Shown::Paper) => {
                let (picture, turned) = page(&bytes)?;
                drop(bytes);
                brought::document(&about, brought::print(&picture, turned))?
            }
            _ => {
                let picture = photograph(&bytes)?;
                drop(bytes);
                brought::picture(&about, picture)?
            }
        };
        let mut incoming = archive.receive_part10(origin, declared)?;
        incoming.write(&file)?;
        Ok(Some(incoming))
    }
}

fn is_here(archive: &Archive, sop_instance_uid: &Uid) -> Result<bool, Error> {
    archive.commit_kept()?;
    let key = AttributeId::of_keyword("SOPInstanceUID").ok_or(Error::NotFound)?;
    let wanted = Matching::Single(sop_instance_uid.as_str().into());
    let query = Query {
        level: Level::Instance,
        keys: vec![Key::Attribute(key, wanted)],
        limit: 1,
        offset: 0,
        order: Order::NEWEST,
    };
    Ok(!archive.find(&query, &Scope::All)?.rows.is_empty())
}

/// The last part of a file's name, without what tells its kind.
fn title(name: &str) -> String {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let stem = last.rsplit_once('.').map_or(last, |(stem, _)| stem);
    stem.chars().filter(|c| !c.is_control()).take(120).collect()
}

/// A UID by PS3.5 §B.2 that follows from what it is of.
fn uid(of: &[&[u8]]) -> Uid {
    let mut hasher = blake3::Hasher::new();
    hasher.update(b"overread brought\0");
    for part in of {
        hasher.update(&(part.len() as u64).to_be_bytes());
        hasher.update(part);
    }
    let mut number = [0; 16];
    number.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
    let text = format!("2.25.{}", u128::from_be_bytes(number));
    // At most 5 + 39 digits, which is a UID whatever they are.
    Uid::parse(&text).unwrap_or_else(|_| Uid::fresh())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_are_named_as_dicom_names_them() {
        let person = |family: &str, given: &str, birth_date: &str| Person {
            family: family.into(),
            given: given.into(),
            birth_date: birth_date.into(),
        };
        let named = |family: &str, given: &str, birth_date: &str| {
            let patient = person(family, given, birth_date).patient();
            patient.map(|found| {
                found.map(|found| (found.name().to_owned(), found.birth_date().to_owned()))
            })
        };
        let found = |name: &str| Ok(Some((name.into(), "19700131".into())));
        let given = named(" Meier^=\\", "Anna", "1970-01-31");
        assert_eq!(given, found("Meier^Anna"));
        assert_eq!(named("Meier", "", "19700131"), found("Meier"));
        assert_eq!(named("", "Anna", "1970-01-31"), Ok(None));
        assert_eq!(named("Meier", "Anna", ""), Ok(None));
        assert!(named("Meier", "Anna", "31.1.1970").is_err());
        assert!(named("Meier", "Anna", "9999-99-99").is_err());
        assert!(named(&"x".repeat(60), "Anna-Maria", "1970-01-31").is_err());
    }

    #[test]
    fn what_photographs_show_is_said_or_they_are_papers() {
        assert_eq!(Shown::of("image"), Some(Shown::Image));
        assert_eq!(Shown::of("paper"), Some(Shown::Paper));
        for word in ["", "Image", "images", "photo"] {
            assert_eq!(Shown::of(word), None, "{word}");
        }
        assert_eq!(Shown::default(), Shown::Paper);
    }

    #[test]
    fn titles_and_uids_follow_from_what_they_are_of() {
        assert_eq!(title("CD/letters\\Letter of 2026.pdf"), "Letter of 2026");
        assert_eq!(title("scan"), "scan");
        assert_eq!(uid(&[b"a", b"bc"]), uid(&[b"a", b"bc"]));
        assert_ne!(uid(&[b"a", b"bc"]), uid(&[b"ab", b"c"]));
    }
}
