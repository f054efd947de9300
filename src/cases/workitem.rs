//! A reading task as a workitem (PS3.3 §C.30, PS3.4 Table CC.2.5-3): what a workstation finds in its worklist. No code for a
//! second opinion exists, so the workitem is an Interpretation (PS3.16 CID 9231) and its labels say the rest; the names of
//! the parts are those of IHE RRR-WF (Task Requester, Task Performer).

use dicom_core::{Tag, VR};
use dicom_dictionary_std::tags;

use super::Cases;
use super::case::Case;
use super::error::Error;
use super::state::State;
use super::task::{Asked, Task};
use crate::access::{Scope, View};
use crate::archive::{Located, Target};
use crate::dicom::{AeTitle, Dataset, Uid};
use crate::worklist::PERFORMER_SCHEME;
use crate::worklist::elements::{code, empty, sequence, text};

/// The coding scheme of account names and AE titles.
const SCHEME: &str = PERFORMER_SCHEME;

/// The most bytes of DICOM JSON that the input has, well below those of a workitem; about so many an instance and a
/// series have.
const INPUT_BYTES_MAX: usize = 600_000;
const INSTANCE_BYTES: usize = 220;
const SERIES_BYTES: usize = 600;

/// The longest comment (LT). Characters; it is bounded in bytes, of which there are no fewer.
const COMMENT_BYTES_MAX: usize = 10_240;

impl Cases {
    /// The data set of the workitem of a task.
    pub(super) fn new_workitem(&self, case: &Case, task: &Task) -> Result<Dataset, Error> {
        let request = &case.request;
        let mut dataset = Dataset::default();
        let label = format!("SECOND-OPINION/{}", request.subspecialty);
        let step = match request.body_part.as_str() {
            "" => "Second opinion".to_owned(),
            body_part => format!("Second opinion: {body_part}"),
        };
        for (tag, vr, value) in [
            (
                tags::SCHEDULED_PROCEDURE_STEP_PRIORITY,
                VR::CS,
                request.urgency.priority(),
            ),
            (tags::PROCEDURE_STEP_LABEL, VR::LO, &step),
            (tags::WORKLIST_LABEL, VR::LO, &label),
            (tags::PROCEDURE_STEP_STATE, VR::CS, "SCHEDULED"),
            (tags::INPUT_READINESS_STATE, VR::CS, "READY"),
            (
                tags::SCHEDULED_PROCEDURE_STEP_START_DATE_TIME,
                VR::DT,
                &moment(case.opened_ms),
            ),
            (tags::STUDY_INSTANCE_UID, VR::UI, request.study.as_str()),
            (
                tags::COMMENTS_ON_THE_SCHEDULED_PROCEDURE_STEP,
                VR::LT,
                &comments(case),
            ),
        ] {
            dataset.set(text(tag, vr, value));
        }
        if let Some(due_ms) = request.due_ms {
            let due = moment(due_ms);
            dataset.set(text(tags::EXPECTED_COMPLETION_DATE_TIME, VR::DT, &due));
        }
        if let Some(expires_ms) = request.expires_ms {
            let expires = moment(expires_ms);
            dataset.set(text(EXPIRATION_DATE_TIME, VR::DT, &expires));
        }
        dataset.set(sequence(
            tags::SCHEDULED_WORKITEM_CODE_SEQUENCE,
            vec![interpretation()],
        ));
        let performers = match &task.asked {
            Asked::Reader(name) => vec![performer(name.as_str())],
            Asked::Pool(_) => Vec::new(),
        };
        dataset.set(sequence(
            tags::SCHEDULED_HUMAN_PERFORMERS_SEQUENCE,
            performers,
        ));
        self.put_patient(&mut dataset, case)?;
        let input = self.input(case, task)?;
        dataset.set(sequence(tags::INPUT_INFORMATION_SEQUENCE, input));
        Ok(dataset)
    }

    /// Whose study it is, and the request that stands behind it.
    fn put_patient(&self, dataset: &mut Dataset, case: &Case) -> Result<(), Error> {
        let row = self.study_row(&case.request.study)?;
        let value = |keyword: &str| {
            let row = row.as_ref();
            row.and_then(|row| row.attributes.by_keyword(keyword))
                .unwrap_or_default()
        };
        for (tag, vr, keyword) in [
            (tags::PATIENT_NAME, VR::PN, "PatientName"),
            (tags::PATIENT_ID, VR::LO, "PatientID"),
            (tags::ISSUER_OF_PATIENT_ID, VR::LO, "IssuerOfPatientID"),
            (tags::PATIENT_BIRTH_DATE, VR::DA, "PatientBirthDate"),
            (tags::PATIENT_SEX, VR::CS, "PatientSex"),
        ] {
            dataset.set(text(tag, vr, value(keyword)));
        }
        let mut request = Dataset::default();
        for (tag, vr, value) in [
            (
                tags::STUDY_INSTANCE_UID,
                VR::UI,
                case.request.study.as_str(),
            ),
            (tags::ACCESSION_NUMBER, VR::SH, value("AccessionNumber")),
            (
                tags::REQUESTED_PROCEDURE_ID,
                VR::SH,
                &case.number.to_string(),
            ),
            (
                tags::REQUESTED_PROCEDURE_DESCRIPTION,
                VR::LO,
                "Second opinion",
            ),
        ] {
            request.set(text(tag, vr, value));
        }
        request.set(empty(tags::REQUESTED_PROCEDURE_CODE_SEQUENCE, VR::SQ));
        dataset.set(sequence(tags::REFERENCED_REQUEST_SEQUENCE, vec![request]));
        Ok(())
    }

    /// What is to be read: an item a series (PS3.3 Table 10-3b), without what the reader has to read blind.
    fn input(&self, case: &Case, task: &Task) -> Result<Vec<Dataset>, Error> {
        let mut series: Vec<(Uid, Uid, Vec<Located>)> = Vec::new();
        let mut count = 0;
        for study in case.request.studies() {
            let view = if *study == case.request.study && case.is_blind(task) {
                View::WithoutReports
            } else {
                View::Whole
            };
            for located in self.instances(study, view)? {
                count += 1;
                match series.last_mut() {
                    Some((_, uid, instances)) if *uid == located.series_instance_uid => {
                        instances.push(located);
                    }
                    _ => series.push((
                        study.clone(),
                        located.series_instance_uid.clone(),
                        vec![located],
                    )),
                }
            }
        }
        // Whatever there is, a workitem is made: of very many instances it names the series, of very many of those the
        // studies.
        let of_series = series.len() * SERIES_BYTES;
        let names_instances = of_series + count * INSTANCE_BYTES <= INPUT_BYTES_MAX;
        if of_series > INPUT_BYTES_MAX {
            let studies = case.request.studies();
            return Ok(studies
                .map(|study| self.input_item(study, None, &[]))
                .collect());
        }
        let items = series.iter().map(|(study, series, instances)| {
            let named = if names_instances { &instances[..] } else { &[] };
            self.input_item(study, Some(series), named)
        });
        Ok(items.collect())
    }

    fn input_item(&self, study: &Uid, series: Option<&Uid>, instances: &[Located]) -> Dataset {
        let mut item = Dataset::default();
        item.set(text(tags::TYPE_OF_INSTANCES, VR::CS, "DICOM"));
        item.set(text(tags::STUDY_INSTANCE_UID, VR::UI, study.as_str()));
        if let Some(series) = series {
            item.set(text(tags::SERIES_INSTANCE_UID, VR::UI, series.as_str()));
        }
        let references = instances.iter().map(|instance| {
            let mut reference = Dataset::default();
            let (class, uid) = (&instance.sop_class_uid, &instance.sop_instance_uid);
            reference.set(text(tags::REFERENCED_SOP_CLASS_UID, VR::UI, class.as_str()));
            reference.set(text(
                tags::REFERENCED_SOP_INSTANCE_UID,
                VR::UI,
                uid.as_str(),
            ));
            reference
        });
        item.set(sequence(
            tags::REFERENCED_SOP_SEQUENCE,
            references.collect(),
        ));
        let mut retrieval = Dataset::default();
        retrieval.set(text(tags::RETRIEVE_AE_TITLE, VR::AE, self.our_ae.as_str()));
        item.set(sequence(tags::DICOM_RETRIEVAL_SEQUENCE, vec![retrieval]));
        item
    }

    fn instances(&self, study: &Uid, view: View) -> Result<Vec<Located>, Error> {
        const BATCH: usize = 1000;
        let scope = Scope::Studies([(study.clone(), view)].into());
        let target = Target::Study(study.clone());
        let (mut after, mut found) = (None, Vec::new());
        loop {
            let batch = self.archive.locate(&target, &scope, after, BATCH)?;
            let Some(last) = batch.last() else {
                return Ok(found);
            };
            after = Some(last.cursor);
            found.extend(batch);
        }
    }
}

/// Scheduled Procedure Step Expiration DateTime.
const EXPIRATION_DATE_TIME: Tag = Tag(0x0040, 0x4008);

/// What was done, for a workitem to be completed (PS3.4 §CC.2.5.1.1). What is stored of the opinion comes later, and refers
/// to the study itself: the output is empty.
pub(super) fn performed(task: &Task, our_ae: &AeTitle) -> Dataset {
    let mut item = Dataset::default();
    let station = code(our_ae.as_str(), SCHEME, "Overread");
    item.set(sequence(
        tags::PERFORMED_STATION_NAME_CODE_SEQUENCE,
        vec![station],
    ));
    item.set(sequence(
        tags::PERFORMED_WORKITEM_CODE_SEQUENCE,
        vec![interpretation()],
    ));
    let began_ms = task.claimed_ms.unwrap_or_default();
    let ended_ms = task.signed_ms.unwrap_or(began_ms);
    item.set(text(
        tags::PERFORMED_PROCEDURE_STEP_START_DATE_TIME,
        VR::DT,
        &moment(began_ms),
    ));
    item.set(text(
        tags::PERFORMED_PROCEDURE_STEP_END_DATE_TIME,
        VR::DT,
        &moment(ended_ms),
    ));
    if let Some(name) = task.held_by.as_deref() {
        item.set(sequence(
            tags::ACTUAL_HUMAN_PERFORMERS_SEQUENCE,
            vec![performer(name)],
        ));
    }
    item.set(empty(tags::OUTPUT_INFORMATION_SEQUENCE, VR::SQ));
    let mut update = Dataset::default();
    let tag = tags::UNIFIED_PROCEDURE_STEP_PERFORMED_PROCEDURE_SEQUENCE;
    update.set(sequence(tag, vec![item]));
    update
}

/// Why a reader gives a task back (PS3.16 CID 9300).
pub(super) fn rejection(reason: &str) -> Dataset {
    because(
        "110530",
        "Workitem assignment rejected by assigned resource",
        reason,
    )
}

/// Why a workitem is canceled when its case ends.
pub(super) fn ending(state: State) -> Dataset {
    match state {
        State::Expired => because("110533", "Workitem expired", ""),
        _ => because("110500", "Doctor canceled procedure", ""),
    }
}

fn because(value: &str, meaning: &str, reason: &str) -> Dataset {
    let mut dataset = Dataset::default();
    let code = code(value, "DCM", meaning);
    let tag = tags::PROCEDURE_STEP_DISCONTINUATION_REASON_CODE_SEQUENCE;
    dataset.set(sequence(tag, vec![code]));
    if !reason.is_empty() {
        dataset.set(text(tags::REASON_FOR_CANCELLATION, VR::LT, reason));
    }
    dataset
}

/// The update that says so before a claimed workitem is canceled.
pub(super) fn progress(why: &Dataset) -> Dataset {
    let mut update = Dataset::default();
    let tag = tags::PROCEDURE_STEP_PROGRESS_INFORMATION_SEQUENCE;
    update.set(sequence(tag, vec![why.clone()]));
    update
}

fn interpretation() -> Dataset {
    code("110005", "DCM", "Interpretation")
}

/// Human Performer Code Sequence and name. A name too long for a code is said as a name only as far as it goes.
fn performer(name: &str) -> Dataset {
    let mut item = Dataset::default();
    // Code Value (SH) has 16 characters; longer ones have an attribute of their own (PS3.3 §8.1).
    let mut code = Dataset::default();
    let tag = if name.len() <= 16 {
        (tags::CODE_VALUE, VR::SH)
    } else {
        (tags::LONG_CODE_VALUE, VR::UC)
    };
    code.set(text(tag.0, tag.1, name));
    code.set(text(tags::CODING_SCHEME_DESIGNATOR, VR::SH, SCHEME));
    code.set(text(tags::CODE_MEANING, VR::LO, name));
    item.set(sequence(tags::HUMAN_PERFORMER_CODE_SEQUENCE, vec![code]));
    item.set(text(tags::HUMAN_PERFORMER_NAME, VR::PN, name));
    item
}

fn comments(case: &Case) -> String {
    let request = &case.request;
    let mut comments = request.question.clone();
    if !request.context.is_empty() {
        comments.push_str("\n\n");
        comments.push_str(&request.context);
    }
    let mut comments = comments.replace('\n', "\r\n");
    let mut end = comments.len().min(COMMENT_BYTES_MAX);
    while !comments.is_char_boundary(end) {
        end -= 1;
    }
    comments.truncate(end);
    comments
}

/// A moment as DT in UTC, to the second.
fn moment(at_ms: i64) -> String {
    let moment = jiff::Timestamp::from_millisecond(at_ms).unwrap_or_default();
    let digits = format!("{moment:.0}");
    digits
        .chars()
        .filter(char::is_ascii_digit)
        .chain("+0000".chars())
        .collect()
}
