//! Signed opinions go back into the record: a structured report, the same as a PDF and, with key images, a selection of
//! them, stored in the study by the ordinary ingest, so that any PACS can have them.
//!
//! Their UIDs follow from the opinion and its manifest, so what was made twice, because we were killed between storing and
//! noting it, is there once; and what an opinion became is never taken for images that came after it.

use std::collections::{BTreeSet, HashMap};
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::case::Case;
use super::error::Error;
use super::grade::{Agreement, Confidence, Management, Significance, Stage};
use super::manifest::{Manifest, Seen};
use super::opinion::Opinion;
use super::task::Task;
use super::{Cases, record};
use crate::access::account::AccountName;
use crate::access::audit::ActionCode;
use crate::access::{LedgerError, Scope};
use crate::archive::{Declared, Door, Origin, Outcome, Target};
use crate::dicom::opinion::{
    Grade, KeyImage, Moment, Person, Place, Reference, Request, Role, Study, codes,
};
use crate::dicom::{Level, Uid, opinion as document, sop_class};

/// So many opinions are made into documents in one go.
const BATCH: usize = 16;
/// One that failed is tried again after so long.
const AGAIN_MS: i64 = 600_000;
/// So many instances of a study are looked at for what a document copies of it.
const LOOKED_AT_MAX: usize = 100;
/// Ours are the last series of a study, and stay together.
const SERIES_NUMBER: u32 = 9_000;

/// Makes documents of opinions that have none, and remembers for which that failed.
#[derive(Debug, Default)]
pub struct Recorder {
    failed: HashMap<u64, i64>,
    /// Up to this opinion all are in the record.
    done: u64,
}

impl Recorder {
    /// Makes what is missing. What fails is logged, and tried again later.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub fn catch_up(&mut self, cases: &Cases, now_ms: i64) -> Result<(), LedgerError> {
        self.failed
            .retain(|_, failed_ms| now_ms - *failed_ms < AGAIN_MS);
        let newest = cases.ledger.newest_opinion()?;
        let mut after = self.done;
        loop {
            let waiting = cases.ledger.unrecorded(after, BATCH)?;
            let Some((_, last)) = waiting.last() else {
                if self.failed.is_empty() {
                    self.done = newest;
                }
                return Ok(());
            };
            after = *last;
            for (number, opinion) in waiting {
                if self.failed.contains_key(&opinion) {
                    continue;
                }
                // What a reader wrote is set in type by libraries of others: should one panic, it is this opinion only that waits.
                let put = || cases.put_into_record(number, opinion, now_ms);
                let failure = match catch_unwind(AssertUnwindSafe(put)) {
                    Ok(Ok(())) => continue,
                    Ok(Err(error)) => error.to_string(),
                    Err(_) => "its documents cannot be made".to_owned(),
                };
                tracing::warn!(
                    failure,
                    number,
                    opinion,
                    "an opinion did not get into the record"
                );
                self.failed.insert(opinion, now_ms);
            }
        }
    }
}

/// The documents of an opinion.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Report,
    Print,
    Selection,
}

impl Kind {
    const ALL: [Self; 3] = [Self::Report, Self::Print, Self::Selection];

    fn word(self) -> &'static str {
        match self {
            Self::Report => "report",
            Self::Print => "print",
            Self::Selection => "selection",
        }
    }

    /// Where it goes. Two documents of one version lie beside each other.
    fn place(self, opinion: &Opinion) -> Place {
        let number = match self {
            Self::Report => 1,
            Self::Print => 2,
            Self::Selection => 3,
        };
        Place {
            series_instance_uid: uid(opinion, self, "series"),
            sop_instance_uid: uid(opinion, self, "instance"),
            series_number: SERIES_NUMBER + number,
        }
    }
}

/// A UID by PS3.5 §B.2, of what nobody can sign again: the manifest, and when and by whom it was signed.
fn uid(opinion: &Opinion, kind: Kind, level: &str) -> Uid {
    let mut hasher = blake3::Hasher::new();
    hasher.update(b"overread opinion\0");
    hasher.update(&opinion.manifest.digest);
    hasher.update(&opinion.signed_ms.to_be_bytes());
    hasher.update(&opinion.id.to_be_bytes());
    for text in [&*opinion.reader, kind.word(), level] {
        hasher.update(text.as_bytes());
        hasher.update(b"\0");
    }
    let mut number = [0; 16];
    number.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
    let text = format!("2.25.{}", u128::from_be_bytes(number));
    // At most 5 + 39 digits, which is a UID whatever they are.
    Uid::parse(&text).unwrap_or_else(|_| Uid::fresh())
}

/// The instances that opinions become, whether or not they are there yet.
pub(super) fn made_of<'o>(opinions: impl Iterator<Item = &'o Opinion>) -> BTreeSet<Uid> {
    opinions
        .flat_map(|opinion| Kind::ALL.map(|kind| uid(opinion, kind, "instance")))
        .collect()
}

impl Cases {
    /// Makes the documents of a signed opinion, stores them in the study, and notes them.
    ///
    /// # Errors
    /// When the study has gone or is another patient's by now, and those of archive and ledger.
    fn put_into_record(&self, number: u64, id: u64, now_ms: i64) -> Result<(), Error> {
        let case = self.ledger.case(number)?.ok_or(Error::NotFound)?;
        let opinions = self.ledger.opinions(number)?;
        let opinion = opinions.iter().find(|opinion| opinion.id == id);
        let opinion = opinion.ok_or(Error::NotFound)?;
        let kept = self.ledger.kept_opinion(id)?.ok_or(Error::NotFound)?;
        let seen = Manifest::parse(&kept.rows)?;
        let told = self.told_in_full(&case, opinion, &opinions, seen.seen())?;
        let failed = |cause| LedgerError::broken("making a document of an opinion", cause);
        let place = Kind::Report.place(opinion);
        let report = document::report(&told, &place).map_err(failed)?;
        let of_report = reference(&case, &place, document::REPORT_SOP_CLASS_UID)?;
        let print = document::document(&told, &Kind::Print.place(opinion), &of_report);
        let selection = document::selection(&told, &Kind::Selection.place(opinion));
        let files = [
            Some(report),
            Some(print.map_err(failed)?),
            selection.map_err(failed)?,
        ];
        let mut made = Vec::new();
        for (file, kind) in files.into_iter().zip(Kind::ALL) {
            if let Some(file) = file {
                self.store(&file, &case)?;
                made.push(uid(opinion, kind, "instance"));
            }
        }
        let audit = record(&case, ActionCode::Create, self.ourselves(), now_ms);
        let audit = audit.saying(format!(
            "opinion {id}: {} documents in the study",
            made.len()
        ));
        Ok(self.ledger.note_record(id, &made, &audit)?)
    }

    /// # Errors
    /// Also when it is not in the study then: in quarantine, or not kept because other bytes were first.
    fn store(&self, file: &[u8], case: &Case) -> Result<(), Error> {
        let origin = Origin {
            door: Door::Case,
            sender: self.our_ae.to_string().into(),
            peer: "".into(),
        };
        let declared = Declared {
            study_instance_uid: Some(case.request.study.clone()),
            ..Declared::default()
        };
        let mut incoming = self.archive.receive_part10(origin, declared)?;
        incoming.write(file)?;
        let receipt = incoming.finish()?;
        let why = match receipt.outcome {
            Outcome::Stored
            | Outcome::AlreadyStored
            | Outcome::Replaced
            | Outcome::StoredInConflict => return Ok(()),
            Outcome::Quarantined { id, .. } => format!("it is number {id} in quarantine"),
            Outcome::KeptFirst => "other bytes were first".to_owned(),
        };
        Err(LedgerError::broken("putting a document into the study", why).into())
    }

    /// All that the documents of an opinion say.
    fn told_in_full(
        &self,
        case: &Case,
        opinion: &Opinion,
        opinions: &[Opinion],
        seen: &[Seen],
    ) -> Result<document::Opinion, Error> {
        let study = self.copied(&case.request.study)?.ok_or(Error::NotFound)?;
        if study.patient_id.trim() != case.patient_id.trim() {
            let why = "the study has another Patient ID than when the case was opened";
            return Err(LedgerError::broken("making a document of an opinion", why).into());
        }
        let of = |seen: &Seen| Reference {
            study_instance_uid: seen.study_instance_uid.clone(),
            series_instance_uid: seen.series_instance_uid.clone(),
            sop_class_uid: seen.sop_class_uid.clone(),
            sop_instance_uid: seen.sop_instance_uid.clone(),
        };
        let (evidence, priors): (Vec<_>, Vec<_>) = seen
            .iter()
            .map(of)
            .partition(|of| of.study_instance_uid == case.request.study);
        let task = case.tasks.iter().find(|task| task.id == opinion.task);
        let before = opinion
            .corrects
            .and_then(|id| opinions.iter().find(|o| o.id == id));
        let predecessors = match before {
            Some(before) => {
                let place = |kind: Kind| kind.place(before);
                vec![
                    reference(case, &place(Kind::Report), document::REPORT_SOP_CLASS_UID)?,
                    reference(case, &place(Kind::Print), document::PRINT_SOP_CLASS_UID)?,
                ]
            }
            None => Vec::new(),
        };
        let (said, compared) = (&opinion.said.impression, &opinion.said.comparison);
        let mut key_images = Vec::new();
        for image in &said.key_images {
            let mut seen = seen.iter();
            if let Some(known) = seen.find(|seen| seen.sop_instance_uid == image.sop_instance_uid) {
                key_images.push(KeyImage {
                    image: of(known),
                    frames: image.frames.clone(),
                    note: image.note.clone(),
                    place: self.place_of(&known.sop_instance_uid)?,
                });
            }
        }
        Ok(document::Opinion {
            request: request(case),
            title: codes::SECOND_OPINION,
            language: "und".to_owned(),
            reader: person(&self.called(&opinion.reader)?),
            role: role(task),
            signed: Moment {
                at_ms: opinion.signed_ms,
                offset_minutes: offset_minutes(opinion.signed_ms),
            },
            is_final: true,
            version: opinion.version,
            predecessors,
            comparison: self.compared_with(case)?,
            findings: said.findings.clone(),
            impression: said.impression.clone(),
            recommendation: said.recommendation.clone(),
            agreement: compared.agreement.map(agreement),
            significance: compared.significance.map(significance),
            management: compared.management.map(management),
            stage: compared.stage.map(stage),
            confidence: Some(confidence(said.confidence)),
            cannot_judge: compared.cannot_judge_reason.clone(),
            comment: compared.comment.clone(),
            correction: opinion.reason.clone(),
            key_images,
            evidence,
            priors,
            manifest: blake3::Hash::from_bytes(opinion.manifest.digest)
                .to_hex()
                .to_string(),
            study,
        })
    }

    /// How people find an image: by the numbers of its series and its own.
    fn place_of(&self, sop_instance_uid: &Uid) -> Result<String, Error> {
        let row = self.row_of(Level::Instance, "SOPInstanceUID", sop_instance_uid)?;
        let value = |keyword| {
            let attributes = row.as_ref().map(|row| &row.attributes);
            attributes
                .and_then(|attributes| attributes.by_keyword(keyword))
                .unwrap_or_default()
        };
        let named = [
            ("series", value("SeriesNumber")),
            ("image", value("InstanceNumber")),
        ];
        let named = named.iter().filter(|(_, number)| !number.trim().is_empty());
        let named = named.map(|(what, number)| format!("{what} {}", number.trim()));
        Ok(named.collect::<Vec<_>>().join(", "))
    }

    /// How people call a reader: whoever holds a link is called as the requester labelled it.
    fn called(&self, reader: &str) -> Result<String, Error> {
        let link = AccountName::kept(reader).ok().and_then(|name| name.link());
        let grant = link.map(|grant| self.ledger.grant(grant)).transpose()?;
        let label = grant.flatten().map(|grant| grant.label);
        Ok(match label {
            Some(label) if !label.is_empty() => format!("{label} ({reader})"),
            _ => reader.to_owned(),
        })
    }

    /// What documents copy of a study: of its first image rather than of a report in it.
    fn copied(&self, study: &Uid) -> Result<Option<Study>, Error> {
        let target = Target::Study(study.clone());
        let located = self
            .archive
            .locate(&target, &Scope::All, None, LOOKED_AT_MAX)?;
        let is_report = |class: &Uid| sop_class::is_report(class.as_str());
        let first = located
            .iter()
            .find(|located| !is_report(&located.sop_class_uid));
        let Some(first) = first.or(located.first()) else {
            return Ok(None);
        };
        let target = Target::Instance(
            first.study_instance_uid.clone(),
            first.series_instance_uid.clone(),
            first.sop_instance_uid.clone(),
        );
        let prepared = self.archive.metadata(&target, &Scope::All, None, 1)?;
        let Some(prepared) = prepared.first() else {
            return Ok(None);
        };
        let mut copied = Study::of_metadata(&prepared.metadata);
        if let (Some(copied), Some(row)) = (&mut copied, self.study_row(study)?) {
            let modalities = row.modalities_in_study.iter().map(|text| text.to_string());
            let is_of_images =
                |text: &String| !sop_class::DOCUMENT_MODALITIES.contains(&text.as_str());
            copied.modalities = modalities.filter(is_of_images).collect();
        }
        Ok(copied)
    }

    /// What the study was compared with, in words.
    fn compared_with(&self, case: &Case) -> Result<String, Error> {
        let mut lines = Vec::new();
        for prior in &case.request.priors {
            if let Some(row) = self.study_row(prior)? {
                let value = |keyword| row.attributes.by_keyword(keyword).unwrap_or_default();
                let date = crate::dicom::text_form::date(value("StudyDate"));
                let line = format!("{date} {}", value("StudyDescription"));
                lines.push(line.trim().to_owned());
            }
        }
        Ok(lines.join("\n"))
    }
}

/// What the clocks where the server stands are ahead of UTC at a moment: dates of DICOM are of their place.
fn offset_minutes(at_ms: i64) -> i16 {
    let at = jiff::Timestamp::from_millisecond(at_ms);
    let offset = at.map(|at| jiff::tz::TimeZone::system().to_offset(at).seconds() / 60);
    offset
        .ok()
        .and_then(|minutes| i16::try_from(minutes).ok())
        .unwrap_or(0)
}

fn reference(case: &Case, place: &Place, sop_class_uid: &str) -> Result<Reference, Error> {
    let class = Uid::parse(sop_class_uid);
    let class = class.map_err(|cause| LedgerError::broken("naming a document", cause))?;
    Ok(Reference {
        study_instance_uid: case.request.study.clone(),
        series_instance_uid: place.series_instance_uid.clone(),
        sop_class_uid: class,
        sop_instance_uid: place.sop_instance_uid.clone(),
    })
}

fn request(case: &Case) -> Request {
    Request {
        requester: person(&case.requester),
        case: case.number.to_string(),
        question: case.request.question.clone(),
        history: case.request.context.clone(),
        ..Request::default()
    }
}

fn person(name: &str) -> Person {
    Person {
        name: name.to_owned(),
        ..Person::default()
    }
}

fn role(task: Option<&Task>) -> Role {
    match task {
        Some(task) if !task.adjudicates.is_empty() => Role::Adjudicator,
        _ => Role::Reviewer,
    }
}

fn agreement(grade: Agreement) -> Grade {
    Grade::Coded(match grade {
        Agreement::Agree => codes::AGREE,
        Agreement::Minor => codes::MINOR,
        Agreement::Major => codes::MAJOR,
        Agreement::CannotJudge => codes::CANNOT_JUDGE,
    })
}

fn significance(grade: Significance) -> Grade {
    Grade::Coded(match grade {
        Significance::None => codes::NOT_SIGNIFICANT,
        Significance::Unlikely => codes::UNLIKELY_SIGNIFICANT,
        Significance::Likely => codes::LIKELY_SIGNIFICANT,
    })
}

fn management(grade: Management) -> Grade {
    Grade::Coded(match grade {
        Management::None => codes::MANAGEMENT_UNCHANGED,
        Management::MoreConservative => codes::MORE_CONSERVATIVE,
        Management::MoreInvasive => codes::MORE_INVASIVE,
        Management::MoreImaging => codes::MORE_IMAGING,
    })
}

fn stage(grade: Stage) -> Grade {
    Grade::Coded(match grade {
        Stage::NotApplicable => codes::STAGE_NOT_APPLICABLE,
        Stage::Unchanged => codes::STAGE_UNCHANGED,
        Stage::Higher => codes::STAGE_HIGHER,
        Stage::Lower => codes::STAGE_LOWER,
    })
}

fn confidence(grade: Confidence) -> Grade {
    Grade::Coded(match grade {
        Confidence::Low => codes::CONFIDENCE_LOW,
        Confidence::Moderate => codes::CONFIDENCE_MODERATE,
        Confidence::High => codes::CONFIDENCE_HIGH,
    })
}
