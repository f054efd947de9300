//! What the attributes of a workitem need at its creation, at an update and before a final state (PS3.4
//! Table CC.2.5-3), as a table. It has the attributes of the data set itself about which the standard says more
//! than "optional"; all others, private ones too, are kept as they come.

use dicom_core::{Tag, VR};

use super::elements::{empty, has_value, is_valued, items};
use super::state::State;
use super::tags::{
    CANCELLATION_DATE_TIME, DISCONTINUATION_REASON_CODE_SEQUENCE, INPUT_READINESS_STATE,
    OUTPUT_INFORMATION_SEQUENCE, PERFORMED_END_DATE_TIME, PERFORMED_PROCEDURE_SEQUENCE,
    PERFORMED_START_DATE_TIME, PERFORMED_STATION_NAME_CODE_SEQUENCE,
    PERFORMED_WORKITEM_CODE_SEQUENCE, PRIORITY, PROCEDURE_STEP_STATE,
    PROGRESS_INFORMATION_SEQUENCE, SCHEDULED_WORKITEM_CODE_SEQUENCE, START_DATE_TIME,
};
use crate::dicom::Dataset;
use crate::dicom::dataset::Element;
use crate::dicom::query::normal_date_time;

/// What a request to create has to say of an attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnCreate {
    /// Type 1: a value.
    Value,
    /// Type 2: a value or none; one that is absent is added empty, with a warning.
    MayBeEmpty,
    /// Type 2, and without a value.
    Empty,
    /// Type 1C and 3: as it likes.
    Free,
    /// Ours to say: what comes has to agree.
    Ours,
}

/// What an update may do to an attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnUpdate {
    /// Set a value (3/1).
    Value,
    /// Set a value or take it (3/2, 3/3).
    Free,
    /// Nothing: neither it nor its value may change.
    Never,
}

/// An attribute of the data set of a workitem.
#[derive(Debug)]
pub struct Requirement {
    /// Its tag.
    pub tag: Tag,
    /// Its value representation.
    pub vr: VR,
    /// Its keyword.
    pub keyword: &'static str,
    /// At its creation.
    pub on_create: OnCreate,
    /// At an update.
    pub on_update: OnUpdate,
    /// Whether it stands in every answer to a search (return key types 1, 1C and 2).
    pub is_returned: bool,
}

const fn row(
    tag: Tag,
    vr: VR,
    keyword: &'static str,
    on_create: OnCreate,
    on_update: OnUpdate,
    is_returned: bool,
) -> Requirement {
    Requirement {
        tag,
        vr,
        keyword,
        on_create,
        on_update,
        is_returned,
    }
}

/// PS3.4 Table CC.2.5-3, in the order of tags.
#[rustfmt::skip]
pub const REQUIREMENTS: &[Requirement] = &[
    row(Tag(0x0008, 0x0005), VR::CS, "SpecificCharacterSet",                            OnCreate::Free,       OnUpdate::Free,  true),
    row(Tag(0x0008, 0x0016), VR::UI, "SOPClassUID",                                     OnCreate::Ours,       OnUpdate::Never, true),
    row(Tag(0x0008, 0x0018), VR::UI, "SOPInstanceUID",                                  OnCreate::Ours,       OnUpdate::Never, true),
    row(Tag(0x0008, 0x1080), VR::LO, "AdmittingDiagnosesDescription",                   OnCreate::MayBeEmpty, OnUpdate::Never, true),
    row(Tag(0x0008, 0x1084), VR::SQ, "AdmittingDiagnosesCodeSequence",                  OnCreate::MayBeEmpty, OnUpdate::Never, true),
    row(Tag(0x0010, 0x0010), VR::PN, "PatientName",                                     OnCreate::MayBeEmpty, OnUpdate::Never, true),
    row(Tag(0x0010, 0x0020), VR::LO, "PatientID",                                       OnCreate::Free,       OnUpdate::Never, true),
    row(Tag(0x0010, 0x0021), VR::LO, "IssuerOfPatientID",                               OnCreate::MayBeEmpty, OnUpdate::Never, true),
    row(Tag(0x0010, 0x0024), VR::SQ, "IssuerOfPatientIDQualifiersSequence",             OnCreate::MayBeEmpty, OnUpdate::Never, true),
    row(Tag(0x0010, 0x0030), VR::DA, "PatientBirthDate",                                OnCreate::MayBeEmpty, OnUpdate::Never, true),
    row(Tag(0x0010, 0x0040), VR::CS, "PatientSex",                                      OnCreate::MayBeEmpty, OnUpdate::Never, true),
    row(Tag(0x0010, 0x1002), VR::SQ, "OtherPatientIDsSequence",                         OnCreate::MayBeEmpty, OnUpdate::Free,  true),
    row(Tag(0x0020, 0x000D), VR::UI, "StudyInstanceUID",                                OnCreate::Free,       OnUpdate::Free,  true),
    row(Tag(0x0038, 0x0010), VR::LO, "AdmissionID",                                     OnCreate::MayBeEmpty, OnUpdate::Never, true),
    row(Tag(0x0038, 0x0014), VR::SQ, "IssuerOfAdmissionIDSequence",                     OnCreate::MayBeEmpty, OnUpdate::Never, true),
    row(Tag(0x0040, 0x0400), VR::LT, "CommentsOnTheScheduledProcedureStep",             OnCreate::MayBeEmpty, OnUpdate::Value, true),
    row(Tag(0x0040, 0x4005), VR::DT, "ScheduledProcedureStepStartDateTime",             OnCreate::Value,      OnUpdate::Value, true),
    row(Tag(0x0040, 0x4010), VR::DT, "ScheduledProcedureStepModificationDateTime",      OnCreate::Free,       OnUpdate::Free,  true),
    row(Tag(0x0040, 0x4011), VR::DT, "ExpectedCompletionDateTime",                      OnCreate::Free,       OnUpdate::Value, true),
    row(Tag(0x0040, 0x4018), VR::SQ, "ScheduledWorkitemCodeSequence",                   OnCreate::MayBeEmpty, OnUpdate::Value, true),
    row(Tag(0x0040, 0x4021), VR::SQ, "InputInformationSequence",                        OnCreate::MayBeEmpty, OnUpdate::Free,  true),
    row(Tag(0x0040, 0x4025), VR::SQ, "ScheduledStationNameCodeSequence",                OnCreate::MayBeEmpty, OnUpdate::Free,  true),
    row(Tag(0x0040, 0x4026), VR::SQ, "ScheduledStationClassCodeSequence",               OnCreate::MayBeEmpty, OnUpdate::Free,  true),
    row(Tag(0x0040, 0x4027), VR::SQ, "ScheduledStationGeographicLocationCodeSequence",  OnCreate::MayBeEmpty, OnUpdate::Free,  true),
    row(Tag(0x0040, 0x4034), VR::SQ, "ScheduledHumanPerformersSequence",                OnCreate::MayBeEmpty, OnUpdate::Free,  true),
    row(Tag(0x0040, 0x4041), VR::CS, "InputReadinessState",                             OnCreate::Value,      OnUpdate::Value, true),
    row(Tag(0x0040, 0xA370), VR::SQ, "ReferencedRequestSequence",                       OnCreate::MayBeEmpty, OnUpdate::Never, true),
    row(Tag(0x0074, 0x1000), VR::CS, "ProcedureStepState",                              OnCreate::Value,      OnUpdate::Never, true),
    row(Tag(0x0074, 0x1002), VR::SQ, "ProcedureStepProgressInformationSequence",        OnCreate::Empty,      OnUpdate::Free,  false),
    row(Tag(0x0074, 0x1200), VR::CS, "ScheduledProcedureStepPriority",                  OnCreate::Value,      OnUpdate::Value, true),
    row(Tag(0x0074, 0x1202), VR::LO, "WorklistLabel",                                   OnCreate::MayBeEmpty, OnUpdate::Value, true),
    row(Tag(0x0074, 0x1204), VR::LO, "ProcedureStepLabel",                              OnCreate::Value,      OnUpdate::Value, true),
    row(Tag(0x0074, 0x1210), VR::SQ, "ScheduledProcessingParametersSequence",           OnCreate::MayBeEmpty, OnUpdate::Free,  false),
    row(Tag(0x0074, 0x1216), VR::SQ, "UnifiedProcedureStepPerformedProcedureSequence",  OnCreate::Empty,      OnUpdate::Free,  false),
    row(Tag(0x0074, 0x1224), VR::SQ, "ReplacedProcedureStepSequence",                   OnCreate::Free,       OnUpdate::Never, true),
];

/// The defined terms of the attributes that have them (PS3.3 §C.30.1).
const TERMS: &[(Tag, &[&str])] = &[
    (PRIORITY, &["HIGH", "MEDIUM", "LOW"]),
    (
        INPUT_READINESS_STATE,
        &["INCOMPLETE", "UNAVAILABLE", "READY"],
    ),
];

/// What is wrong with the data set of a request. Names attributes, never values.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// A value is needed.
    #[error("{0} is missing or has no value")]
    Missing(&'static str),
    /// A value is not allowed.
    #[error("{0} has a value and may have none yet")]
    TooSoon(&'static str),
    /// The request may not have it.
    #[error("{0} may not be set by an update")]
    Fixed(&'static str),
    /// It contradicts what is known.
    #[error("{0} is not what the request says elsewhere")]
    Differs(&'static str),
    /// Not one of the values that it may have.
    #[error("{0} has a value that the standard does not define for it")]
    Term(&'static str),
    /// No date and time.
    #[error("{0} is no DICOM date-time")]
    DateTime(&'static str),
    /// More items than one.
    #[error("{0} has more than one item")]
    OneItem(&'static str),
    /// Another value representation than the dictionary says.
    #[error("{0} has the wrong value representation")]
    Representation(&'static str),
    /// A new workitem is SCHEDULED.
    #[error("ProcedureStepState of a new workitem is SCHEDULED")]
    NotScheduled,
    /// Bulk data has no place to lie.
    #[error("the attribute {0} is bulk data, which a workitem has none of")]
    Bulk(Tag),
    /// The filter of a subscription is none.
    #[error("{0}")]
    Filter(String),
    /// Anything else.
    #[error("{0}")]
    Other(&'static str),
}

/// Checks the data set of a request to create and adds what may be empty and is absent. Says whether anything
/// was added.
///
/// # Errors
/// The first fault.
pub(super) fn check_create(dataset: &mut Dataset) -> Result<bool, Fault> {
    let mut is_modified = false;
    check_values(dataset)?;
    for row in REQUIREMENTS {
        let is_here = has_value(dataset, row.tag);
        match row.on_create {
            OnCreate::Value if !is_here => return Err(Fault::Missing(row.keyword)),
            OnCreate::Empty if is_here => return Err(Fault::TooSoon(row.keyword)),
            OnCreate::MayBeEmpty | OnCreate::Empty if dataset.get(row.tag).is_none() => {
                dataset.set(empty(row.tag, row.vr));
                is_modified = true;
            }
            _ => {}
        }
    }
    match dataset.text(PROCEDURE_STEP_STATE).and_then(State::of_term) {
        Some(State::Scheduled) => Ok(is_modified),
        _ => Err(Fault::NotScheduled),
    }
}

/// Checks the data set of an update against the workitem as it is. Attributes that it may not set are taken out
/// where they say what is so anyway.
///
/// # Errors
/// The first fault.
pub(super) fn check_update(update: &mut Dataset, current: &Dataset) -> Result<(), Fault> {
    check_values(update)?;
    for row in REQUIREMENTS {
        let Some(element) = update.get(row.tag) else {
            continue;
        };
        match row.on_update {
            OnUpdate::Value if !is_valued(element) => return Err(Fault::Missing(row.keyword)),
            OnUpdate::Never => {
                // Clients send back what they were given. The state they must not even mention.
                let is_known = current.get(row.tag) == Some(element);
                if !is_known || row.tag == PROCEDURE_STEP_STATE {
                    return Err(Fault::Fixed(row.keyword));
                }
                update.remove(row.tag);
            }
            OnUpdate::Value | OnUpdate::Free => {}
        }
    }
    Ok(())
}

/// Checks the values that have a form of their own.
fn check_values(dataset: &Dataset) -> Result<(), Fault> {
    let representation = |row: &Requirement, element: &Element| {
        if element.vr == row.vr {
            Ok(())
        } else {
            Err(Fault::Representation(row.keyword))
        }
    };
    for row in REQUIREMENTS {
        let Some(element) = dataset.get(row.tag) else {
            continue;
        };
        representation(row, element)?;
        let text = dataset.text(row.tag).unwrap_or_default();
        if row.vr == VR::DT && !text.is_empty() && normal_date_time(text).is_none() {
            return Err(Fault::DateTime(row.keyword));
        }
        let terms = TERMS.iter().find(|(tag, _)| *tag == row.tag);
        if let Some((_, terms)) = terms
            && !text.is_empty()
            && !terms.contains(&text)
        {
            return Err(Fault::Term(row.keyword));
        }
    }
    // PS3.17 §GGG.3.2
    if items(dataset, SCHEDULED_WORKITEM_CODE_SEQUENCE).len() > 1 {
        return Err(Fault::OneItem("ScheduledWorkitemCodeSequence"));
    }
    Ok(())
}

/// The Final State requirements (PS3.4 §CC.2.5.1.1) that a workitem does not meet yet, by keyword; none when it
/// may go to this state.
pub(super) fn unmet(dataset: &Dataset, state: State) -> Vec<&'static str> {
    let mut unmet = Vec::new();
    // R
    for row in REQUIREMENTS {
        let is_needed = matches!(row.on_create, OnCreate::Value) || row.tag == START_DATE_TIME;
        if is_needed && !has_value(dataset, row.tag) {
            unmet.push(row.keyword);
        }
    }
    match state {
        State::Completed => unmet.extend(unmet_when_completed(dataset)),
        State::Canceled => unmet.extend(unmet_when_canceled(dataset)),
        State::Scheduled | State::InProgress => {}
    }
    unmet
}

/// P: each item of the performed procedure has these; of the output the sequence only, since a step may make nothing.
fn unmet_when_completed(dataset: &Dataset) -> Vec<&'static str> {
    const VALUED: &[(Tag, &str)] = &[
        (
            PERFORMED_STATION_NAME_CODE_SEQUENCE,
            "PerformedStationNameCodeSequence",
        ),
        (
            PERFORMED_START_DATE_TIME,
            "PerformedProcedureStepStartDateTime",
        ),
        (
            PERFORMED_WORKITEM_CODE_SEQUENCE,
            "PerformedWorkitemCodeSequence",
        ),
        (PERFORMED_END_DATE_TIME, "PerformedProcedureStepEndDateTime"),
    ];
    let performed = items(dataset, PERFORMED_PROCEDURE_SEQUENCE);
    if performed.is_empty() {
        return vec!["UnifiedProcedureStepPerformedProcedureSequence"];
    }
    let mut unmet = Vec::new();
    for (tag, keyword) in VALUED {
        if !performed.iter().all(|item| has_value(item, *tag)) {
            unmet.push(*keyword);
        }
    }
    let has_output = |item: &Dataset| item.get(OUTPUT_INFORMATION_SEQUENCE).is_some();
    if !performed.iter().all(has_output) {
        unmet.push("OutputInformationSequence");
    }
    unmet
}

/// X: when and why.
fn unmet_when_canceled(dataset: &Dataset) -> Vec<&'static str> {
    let progress = items(dataset, PROGRESS_INFORMATION_SEQUENCE);
    let says = |tag| progress.iter().any(|item| has_value(item, tag));
    let mut unmet = Vec::new();
    if !says(CANCELLATION_DATE_TIME) {
        unmet.push("ProcedureStepCancellationDateTime");
    }
    if !says(DISCONTINUATION_REASON_CODE_SEQUENCE) {
        unmet.push("ProcedureStepDiscontinuationReasonCodeSequence");
    }
    unmet
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::worklist::elements::{code, sequence, text};
    use crate::worklist::tests::new_workitem;

    #[test]
    fn the_table_is_in_order_and_agrees_with_the_dictionary() {
        use dicom_core::dictionary::{DataDictionary, DataDictionaryEntry};
        let dictionary = dicom_dictionary_std::StandardDataDictionary;
        assert!(REQUIREMENTS.windows(2).all(|two| two[0].tag < two[1].tag));
        for row in REQUIREMENTS {
            let entry = dictionary.by_tag(row.tag).expect(row.keyword);
            assert_eq!(entry.alias(), row.keyword);
            assert_eq!(entry.vr().relaxed(), row.vr, "{}", row.keyword);
        }
    }

    #[test]
    fn what_a_new_workitem_needs_is_needed_one_by_one() {
        assert_eq!(check_create(&mut new_workitem()), Ok(true));
        for row in REQUIREMENTS {
            let mut without = new_workitem();
            without.remove(row.tag);
            let expected = match row.on_create {
                OnCreate::Value => Err(Fault::Missing(row.keyword)),
                _ => Ok(true),
            };
            assert_eq!(check_create(&mut without), expected, "{}", row.keyword);
            let mut hollow = new_workitem();
            hollow.set(empty(row.tag, row.vr));
            assert_eq!(check_create(&mut hollow), expected, "{}", row.keyword);
        }
        let mut whole = new_workitem();
        check_create(&mut whole).unwrap();
        assert_eq!(
            check_create(&mut whole),
            Ok(false),
            "nothing is left to add"
        );
    }

    #[test]
    fn values_have_the_terms_and_forms_of_the_standard() {
        let with = |tag, vr, value: &str| {
            let mut dataset = new_workitem();
            dataset.set(text(tag, vr, value));
            check_create(&mut dataset)
        };
        assert!(with(PRIORITY, VR::CS, "HIGH").is_ok());
        assert_eq!(
            with(PRIORITY, VR::CS, "URGENT"),
            Err(Fault::Term("ScheduledProcedureStepPriority"))
        );
        assert!(matches!(
            with(PRIORITY, VR::LO, "HIGH"),
            Err(Fault::Representation(_))
        ));
        assert!(matches!(
            with(START_DATE_TIME, VR::DT, "tomorrow"),
            Err(Fault::DateTime(_))
        ));
        for state in ["IN PROGRESS", "COMPLETED", "CANCELED", "ELSE"] {
            assert_eq!(
                with(PROCEDURE_STEP_STATE, VR::CS, state),
                Err(Fault::NotScheduled)
            );
        }
        let mut two = new_workitem();
        let codes = vec![code("1", "99X", "one"), code("2", "99X", "two")];
        two.set(sequence(SCHEDULED_WORKITEM_CODE_SEQUENCE, codes));
        assert!(matches!(check_create(&mut two), Err(Fault::OneItem(_))));
        let mut performed = new_workitem();
        performed.set(sequence(
            PERFORMED_PROCEDURE_SEQUENCE,
            vec![Dataset::default()],
        ));
        assert!(matches!(
            check_create(&mut performed),
            Err(Fault::TooSoon(_))
        ));
    }

    #[test]
    fn an_update_leaves_alone_what_is_fixed() {
        let current = new_workitem();
        for row in REQUIREMENTS
            .iter()
            .filter(|row| row.on_update == OnUpdate::Never)
        {
            let mut update = Dataset::default();
            update.set(if row.vr == VR::SQ {
                sequence(row.tag, vec![Dataset::default()])
            } else {
                text(row.tag, row.vr, "1999")
            });
            assert_eq!(
                check_update(&mut update, &current),
                Err(Fault::Fixed(row.keyword))
            );
        }
        let mut same = Dataset::default();
        let patient = Tag(0x0010, 0x0020);
        same.set(current.get(patient).unwrap().clone());
        assert_eq!(check_update(&mut same, &current), Ok(()));
        assert!(same.get(patient).is_none());
        let mut state = Dataset::default();
        state.set(text(PROCEDURE_STEP_STATE, VR::CS, "SCHEDULED"));
        assert!(check_update(&mut state, &current).is_err());
        let mut hollow = Dataset::default();
        hollow.set(empty(PRIORITY, VR::CS));
        assert!(matches!(
            check_update(&mut hollow, &current),
            Err(Fault::Missing(_))
        ));
    }

    #[test]
    fn final_states_need_what_was_done_or_why_not() {
        let mut dataset = new_workitem();
        check_create(&mut dataset).unwrap();
        assert_eq!(
            unmet(&dataset, State::Completed),
            ["UnifiedProcedureStepPerformedProcedureSequence"]
        );
        let mut done = Dataset::default();
        dataset.set(sequence(PERFORMED_PROCEDURE_SEQUENCE, vec![done.clone()]));
        assert_eq!(unmet(&dataset, State::Completed).len(), 5);
        for tag in [
            PERFORMED_STATION_NAME_CODE_SEQUENCE,
            PERFORMED_WORKITEM_CODE_SEQUENCE,
        ] {
            done.set(sequence(tag, vec![code("110005", "DCM", "Interpretation")]));
        }
        for tag in [PERFORMED_START_DATE_TIME, PERFORMED_END_DATE_TIME] {
            done.set(text(tag, VR::DT, "20240101120000"));
        }
        done.set(empty(OUTPUT_INFORMATION_SEQUENCE, VR::SQ));
        dataset.set(sequence(PERFORMED_PROCEDURE_SEQUENCE, vec![done]));
        assert!(unmet(&dataset, State::Completed).is_empty());
        assert_eq!(unmet(&dataset, State::Canceled).len(), 2);
    }
}
