//! What people call the words of cases, in English; how other languages say them stands in `/web/texts/sentences.json`.

use crate::cases::grade::{Agreement, Confidence, Management, Significance, Stage};
use crate::cases::{State, TaskState, Urgency};
use crate::web::language::Language;

/// Where a case stands.
pub(super) const fn state(state: State) -> &'static str {
    match state {
        State::Open => "open",
        State::InReview => "in review",
        State::Answered => "answered",
        State::Closed => "closed",
        State::Withdrawn => "withdrawn",
        State::Expired => "expired",
    }
}

/// Where the task of a reader stands.
pub(super) const fn task(state: TaskState) -> &'static str {
    match state {
        TaskState::Waiting => "waiting",
        TaskState::Claimed => "claimed",
        TaskState::Committed => "committed",
        TaskState::Signed => "signed",
        TaskState::Elsewhere => "elsewhere",
        TaskState::GivenBack => "given back",
        TaskState::Ended => "ended",
    }
}

/// How soon an answer is wanted.
pub(super) const fn urgency(urgency: Urgency) -> &'static str {
    match urgency {
        Urgency::Routine => "routine",
        Urgency::Urgent => "urgent",
        Urgency::Stat => "stat",
    }
}

/// How far the second reading agrees with the first.
pub(super) const fn agreement(grade: Agreement) -> &'static str {
    match grade {
        Agreement::Agree => "agree",
        Agreement::Minor => "minor discrepancy",
        Agreement::Major => "major discrepancy",
        Agreement::CannotJudge => "cannot judge",
    }
}

/// Whether what was seen otherwise matters to the patient.
pub(super) const fn significance(grade: Significance) -> &'static str {
    match grade {
        Significance::None => "none",
        Significance::Unlikely => "unlikely",
        Significance::Likely => "likely",
    }
}

/// What changes in what is done.
pub(super) const fn management(grade: Management) -> &'static str {
    match grade {
        Management::None => "no change",
        Management::MoreConservative => "more conservative",
        Management::MoreInvasive => "more invasive",
        Management::MoreImaging => "more imaging",
    }
}

/// What changes in the stage.
pub(super) const fn stage(grade: Stage) -> &'static str {
    match grade {
        Stage::NotApplicable => "not applicable",
        Stage::Unchanged => "unchanged",
        Stage::Higher => "higher",
        Stage::Lower => "lower",
    }
}

/// How sure the reader is.
pub(super) const fn confidence(grade: Confidence) -> &'static str {
    match grade {
        Confidence::Low => "low",
        Confidence::Moderate => "moderate",
        Confidence::High => "high",
    }
}

/// A text of a draft as people read it: the words of grades are those that the form shows, and whatever was typed is as it is.
pub(super) fn shown(language: Language, field: &str, text: String) -> String {
    let word = match field {
        "agreement" => Agreement::parse(&text).map(agreement),
        "significance" => Significance::parse(&text).map(significance),
        "management" => Management::parse(&text).map(management),
        "stage" => Stage::parse(&text).map(stage),
        "confidence" => Confidence::parse(&text).map(confidence),
        _ => None,
    };
    word.map_or(text, |word| language.say(word).to_owned())
}
