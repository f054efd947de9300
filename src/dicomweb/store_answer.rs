//! What a Store transaction tells of each instance (PS3.18 §10.5.3, Annex I): the response data
//! set in DICOM JSON and the status that sums it up.

use std::collections::BTreeSet;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header;

use super::call::{Call, url_of};
use super::notation::Notation;
use super::stow::Flaw;
use crate::archive::{Error, Outcome, QuarantineReason, Receipt, Refusal, Target};
use crate::dicom::Uid;
use crate::dicom::json::write_string;
use crate::dicom::walk::Fault;
use crate::http::Problem;

/// Failure Reason (0008,1197) (PS3.18 Table I.2-2; PS3.3 §C.14.1.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Reason(u16);

impl Reason {
    /// Processing failure.
    const PROCESSING: Self = Self(0x0110);
    /// Another object has this SOP Instance UID.
    const DUPLICATE: Self = Self(0x0111);
    /// Whoever sends it may not bring it.
    const NOT_AUTHORIZED: Self = Self(0x0124);
    /// Out of resources.
    const RESOURCES: Self = Self(0xA700);
    /// The data set does not match what was declared, or lacks identity.
    const MISMATCH: Self = Self(0xA900);
    /// It belongs to another study than the URL names.
    const OTHER_STUDY: Self = Self(0xA901);
    /// Its study belongs to another patient.
    const OTHER_PATIENT: Self = Self(0xA902);
    /// Cannot be understood.
    const NOT_UNDERSTOOD: Self = Self(0xC000);
    /// Its transfer syntax is not supported.
    const TRANSFER_SYNTAX: Self = Self(0xC122);

    /// What the archive said of an instance it did not keep.
    fn of(error: &Error) -> Self {
        match error {
            Error::Refused(refusal) => Self::of_refusal(refusal),
            Error::TooLarge { .. } | Error::Full | Error::Busy(_) => Self::RESOURCES,
            Error::NotFound | Error::TooBroad(_) | Error::Unmakable(_) | Error::Broken(_) => {
                Self::PROCESSING
            }
        }
    }

    /// Why no object could be made of metadata and bulk data.
    fn of_flaw(flaw: &Flaw) -> Self {
        match flaw {
            Flaw::Archive(error) => Self::of(error),
            Flaw::TransferSyntax => Self::TRANSFER_SYNTAX,
            Flaw::Pixels(_) | Flaw::NotThatSyntax | Flaw::MediaType => Self::MISMATCH,
            Flaw::Metadata(_)
            | Flaw::Missing(_)
            | Flaw::NoBulk(_)
            | Flaw::Parts(_)
            | Flaw::Codestream(_)
            | Flaw::Encode(_)
            | Flaw::Part(_) => Self::NOT_UNDERSTOOD,
        }
    }

    fn of_refusal(refusal: &Refusal) -> Self {
        match refusal {
            Refusal::Mismatch {
                keyword: "StudyInstanceUID",
            } => Self::OTHER_STUDY,
            Refusal::Mismatch { .. } | Refusal::Fault(Fault::Identity { .. }) => Self::MISMATCH,
            Refusal::NotDicom | Refusal::Fault(_) => Self::NOT_UNDERSTOOD,
            Refusal::TransferSyntax(_) => Self::TRANSFER_SYNTAX,
            Refusal::NotAdmitted => Self::NOT_AUTHORIZED,
            Refusal::InboxFull => Self::RESOURCES,
        }
    }

    /// Why an instance that arrived whole is not to be found now, `None` when it is.
    fn of_outcome(outcome: Outcome) -> Option<Self> {
        match outcome {
            Outcome::Stored
            | Outcome::AlreadyStored
            | Outcome::Replaced
            | Outcome::StoredInConflict => None,
            Outcome::KeptFirst => Some(Self::DUPLICATE),
            Outcome::Quarantined { reason, .. } => Some(match reason {
                QuarantineReason::Duplicate | QuarantineReason::Displaced => Self::DUPLICATE,
                QuarantineReason::PatientConflict => Self::OTHER_PATIENT,
            }),
        }
    }
}

/// Warning Reason (0008,1196): coercion of data elements (PS3.18 Table I.2-1).
const COERCED: u16 = 0xB000;

/// The status for a request of which nothing was stored, from one of its failures. The worst that
/// is not the client's to mend wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Nothing {
    /// 409: the instances themselves.
    Conflict,
    /// 413: every larger than we take.
    TooLarge,
    /// 500: our failure.
    Broken,
    /// 503: try again later.
    Busy,
    /// 507: no space.
    Full,
}

impl Nothing {
    fn of(error: &Error) -> Self {
        match error {
            Error::NotFound | Error::Refused(_) | Error::TooBroad(_) => Self::Conflict,
            Error::TooLarge { .. } => Self::TooLarge,
            Error::Unmakable(_) | Error::Broken(_) => Self::Broken,
            Error::Busy(_) => Self::Busy,
            Error::Full => Self::Full,
        }
    }

    fn status(self) -> StatusCode {
        match self {
            Self::Conflict => StatusCode::CONFLICT,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Broken => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Busy => StatusCode::SERVICE_UNAVAILABLE,
            Self::Full => StatusCode::INSUFFICIENT_STORAGE,
        }
    }
}

/// SOP class and SOP instance, as far as they are known.
pub(super) type Identity = (Option<Uid>, Option<Uid>);

/// The most different explanations that go with an answer.
const WARNINGS_MAX: usize = 8;

/// Gathers what became of each part of one request.
#[derive(Debug, Default)]
pub(super) struct StoreAnswer {
    stored: Vec<Receipt>,
    /// Instances with identity (SOP class, SOP instance) that were not stored.
    failed: Vec<(Option<Uid>, Uid, Reason)>,
    /// Parts of which no identity is known.
    nameless: Vec<Reason>,
    worst: Option<Nothing>,
    /// Reasons in words, each once: the data set has no place for them.
    words: Vec<(Reason, String)>,
}

impl StoreAnswer {
    /// An instance was received whole.
    pub(super) fn add_receipt(&mut self, receipt: Receipt) {
        match Reason::of_outcome(receipt.outcome) {
            None => self.stored.push(receipt),
            Some(reason) => {
                self.worst = self.worst.max(Some(Nothing::Conflict));
                self.failed.push((
                    Some(receipt.sop_class_uid),
                    receipt.sop_instance_uid,
                    reason,
                ));
            }
        }
    }

    /// A part was not kept.
    pub(super) fn add_error(&mut self, identity: Identity, error: &Error) {
        self.worst = self.worst.max(Some(Nothing::of(error)));
        // What failed on our side is for the log only.
        if !matches!(error, Error::Broken(_)) {
            self.explain(Reason::of(error), error);
        }
        self.add_failure(identity, Reason::of(error));
    }

    /// No object could be made of metadata and bulk data.
    pub(super) fn add_flaw(&mut self, identity: Identity, flaw: &Flaw) {
        if let Flaw::Archive(error) = flaw {
            return self.add_error(identity, error);
        }
        self.worst = self.worst.max(Some(Nothing::Conflict));
        self.explain(Reason::of_flaw(flaw), flaw);
        self.add_failure(identity, Reason::of_flaw(flaw));
    }

    fn explain(&mut self, reason: Reason, words: &impl std::fmt::Display) {
        let words = (reason, words.to_string());
        if self.words.len() < WARNINGS_MAX && !self.words.contains(&words) {
            self.words.push(words);
        }
    }

    /// A part was cut off on the way.
    pub(super) fn add_cut(&mut self, identity: Identity) {
        self.worst = self.worst.max(Some(Nothing::Conflict));
        self.add_failure(identity, Reason::NOT_UNDERSTOOD);
    }

    fn add_failure(&mut self, identity: Identity, reason: Reason) {
        match identity {
            (class, Some(instance)) => self.failed.push((class, instance, reason)),
            (_, None) => self.nameless.push(reason),
        }
    }

    /// Whether anything is stored.
    pub(super) fn has_stored(&self) -> bool {
        !self.stored.is_empty()
    }

    /// The studies of what is stored.
    pub(super) fn studies(&self) -> BTreeSet<&Uid> {
        let stored = self.stored.iter();
        stored.map(|receipt| &receipt.study_instance_uid).collect()
    }

    /// Whether no part came at all.
    pub(super) fn is_empty(&self) -> bool {
        self.stored.is_empty() && self.failed.is_empty() && self.nameless.is_empty()
    }

    /// The whole response (PS3.18 Table 10.5.3-1).
    ///
    /// # Errors
    /// 406 when the caller takes no notation of it.
    pub(super) fn respond(&self, call: &Call) -> Result<HttpResponse, Problem> {
        let notation = Notation::of_store(call)?;
        let status = self.status();
        let mut response = HttpResponse::build(status);
        response.content_type(notation.content_type());
        if status == StatusCode::SERVICE_UNAVAILABLE {
            response.insert_header((header::RETRY_AFTER, "5"));
        }
        for (reason, words) in &self.words {
            let warning = format!("{:04X} {}: {words}", reason.0, call.base);
            response.append_header((header::WARNING, warning));
        }
        Ok(response.body(notation.one(self.json(&call.base))?))
    }

    fn status(&self) -> StatusCode {
        let is_coerced = self.stored.iter().any(|receipt| receipt.is_coerced);
        match (self.has_stored(), self.worst) {
            (_, None) if is_coerced => StatusCode::ACCEPTED,
            (_, None) => StatusCode::OK,
            (true, Some(_)) => StatusCode::ACCEPTED,
            (false, Some(worst)) => worst.status(),
        }
    }

    /// The study that all stored instances belong to.
    fn study(&self) -> Option<&Uid> {
        let study = &self.stored.first()?.study_instance_uid;
        self.stored
            .iter()
            .all(|receipt| receipt.study_instance_uid == *study)
            .then_some(study)
    }

    fn json(&self, base: &str) -> Vec<u8> {
        let mut out = Vec::with_capacity(64 + 400 * (self.stored.len() + self.failed.len()));
        out.extend_from_slice(br#"{"00081190":{"vr":"UR""#);
        if let Some(study) = self.study() {
            write_value(&mut out, &url_of(base, &Target::Study(study.clone())));
        }
        out.push(b'}');
        write_items(
            &mut out,
            "00081198",
            &self.failed,
            |out, (class, instance, reason)| {
                write_reference(out, class.as_ref(), instance);
                out.extend_from_slice(
                    format!(r#","00081197":{{"vr":"US","Value":[{}]}}}}"#, reason.0).as_bytes(),
                );
            },
        );
        write_items(&mut out, "00081199", &self.stored, |out, receipt| {
            write_reference(out, Some(&receipt.sop_class_uid), &receipt.sop_instance_uid);
            let target = Target::Instance(
                receipt.study_instance_uid.clone(),
                receipt.series_instance_uid.clone(),
                receipt.sop_instance_uid.clone(),
            );
            out.extend_from_slice(br#","00081190":{"vr":"UR""#);
            write_value(out, &url_of(base, &target));
            out.push(b'}');
            if receipt.is_coerced {
                out.extend_from_slice(
                    format!(r#","00081196":{{"vr":"US","Value":[{COERCED}]}}"#).as_bytes(),
                );
            }
            out.push(b'}');
        });
        write_items(&mut out, "0008119A", &self.nameless, |out, reason| {
            out.extend_from_slice(
                format!(r#"{{"00081197":{{"vr":"US","Value":[{}]}}}}"#, reason.0).as_bytes(),
            );
        });
        out.push(b'}');
        out
    }
}

/// `,"Value":["…"]`
fn write_value(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(br#","Value":["#);
    write_string(out, text);
    out.push(b']');
}

/// A sequence, left out when it has no items.
fn write_items<T>(out: &mut Vec<u8>, tag: &str, items: &[T], write: impl Fn(&mut Vec<u8>, &T)) {
    if items.is_empty() {
        return;
    }
    out.extend_from_slice(format!(r#","{tag}":{{"vr":"SQ","Value":["#).as_bytes());
    for (i, item) in items.iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        write(out, item);
    }
    out.extend_from_slice(b"]}");
}

/// Begins an item: Referenced SOP Class UID and Referenced SOP Instance UID.
fn write_reference(out: &mut Vec<u8>, class: Option<&Uid>, instance: &Uid) {
    out.extend_from_slice(br#"{"00081150":{"vr":"UI""#);
    if let Some(class) = class {
        write_value(out, class.as_str());
    }
    out.extend_from_slice(br#"},"00081155":{"vr":"UI""#);
    write_value(out, instance.as_str());
    out.push(b'}');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uid(text: &str) -> Uid {
        Uid::parse(text).unwrap()
    }

    fn receipt(study: &str, instance: &str, outcome: Outcome) -> Receipt {
        Receipt {
            sop_class_uid: uid("1.2.840.10008.5.1.4.1.1.2"),
            sop_instance_uid: uid(instance),
            study_instance_uid: uid(study),
            series_instance_uid: uid("1.2"),
            outcome,
            is_coerced: false,
        }
    }

    const HELD: Outcome = Outcome::Quarantined {
        id: 1,
        reason: QuarantineReason::Duplicate,
    };

    #[test]
    fn one_status_sums_up_all_instances() {
        let cases: &[(&[Outcome], &[Error], u16)] = &[
            (
                &[
                    Outcome::Stored,
                    Outcome::AlreadyStored,
                    Outcome::Replaced,
                    Outcome::StoredInConflict,
                ],
                &[],
                200,
            ),
            (&[Outcome::Stored, HELD], &[], 202),
            (
                &[Outcome::Stored],
                &[Error::Refused(Refusal::NotDicom)],
                202,
            ),
            (&[Outcome::Stored], &[Error::Full], 202),
            (&[HELD], &[], 409),
            (&[Outcome::KeptFirst], &[], 409),
            (&[], &[Error::Refused(Refusal::NotDicom)], 409),
            (&[], &[Error::Refused(Refusal::NotDicom), Error::Full], 507),
            (&[], &[Error::TooLarge { limit: "x", max: 1 }], 413),
            (&[], &[Error::Busy("x")], 503),
            (&[], &[Error::Broken(String::new())], 500),
        ];
        for (outcomes, errors, status) in cases {
            let mut answer = StoreAnswer::default();
            outcomes
                .iter()
                .for_each(|outcome| answer.add_receipt(receipt("1.1", "1.3", *outcome)));
            errors
                .iter()
                .for_each(|error| answer.add_error((None, None), error));
            assert_eq!(answer.status().as_u16(), *status, "{outcomes:?} {errors:?}");
        }
    }

    #[test]
    fn coercion_is_a_warning() {
        let mut answer = StoreAnswer::default();
        answer.add_receipt(Receipt {
            is_coerced: true,
            ..receipt("1.1", "1.3", Outcome::Stored)
        });
        assert_eq!(answer.status().as_u16(), 202);
        let json: serde_json::Value = serde_json::from_slice(&answer.json("http://h")).unwrap();
        let item = &json["00081199"]["Value"][0];
        assert_eq!(
            item["00081196"],
            serde_json::json!({"vr": "US", "Value": [45056]})
        );
    }

    #[test]
    fn reasons_are_those_of_the_tables() {
        let cases = [
            (Refusal::NotDicom, 0xC000),
            (Refusal::Fault(Fault::Truncated { at: 1 }), 0xC000),
            (
                Refusal::Fault(Fault::Identity {
                    keyword: "SOPClassUID",
                    problem: "missing",
                }),
                0xA900,
            ),
            (Refusal::TransferSyntax(uid("1.2")), 0xC122),
            (Refusal::InboxFull, 0xA700),
            (
                Refusal::Mismatch {
                    keyword: "StudyInstanceUID",
                },
                43265,
            ),
            (
                Refusal::Mismatch {
                    keyword: "SOPInstanceUID",
                },
                0xA900,
            ),
        ];
        for (refusal, reason) in cases {
            assert_eq!(
                Reason::of(&Error::Refused(refusal.clone())).0,
                reason,
                "{refusal:?}"
            );
        }
        assert_eq!(Reason::of(&Error::Full).0, 42752);
        assert_eq!(Reason::of_outcome(HELD), Some(Reason(273)));
    }

    #[test]
    fn the_data_set_is_one_object_with_the_sequences_that_have_items() {
        let mut answer = StoreAnswer::default();
        answer.add_receipt(receipt("1.1", "1.3", Outcome::Stored));
        answer.add_error((None, Some(uid("1.4"))), &Error::Full);
        answer.add_error((None, None), &Error::Refused(Refusal::NotDicom));
        let json: serde_json::Value =
            serde_json::from_slice(&answer.json("http://h/dicom-web")).unwrap();
        let expected = serde_json::json!({
            "00081190": {"vr": "UR", "Value": ["http://h/dicom-web/studies/1.1"]},
            "00081198": {"vr": "SQ", "Value": [{
                "00081150": {"vr": "UI"},
                "00081155": {"vr": "UI", "Value": ["1.4"]},
                "00081197": {"vr": "US", "Value": [42752]},
            }]},
            "00081199": {"vr": "SQ", "Value": [{
                "00081150": {"vr": "UI", "Value": ["1.2.840.10008.5.1.4.1.1.2"]},
                "00081155": {"vr": "UI", "Value": ["1.3"]},
                "00081190": {"vr": "UR", "Value": ["http://h/dicom-web/studies/1.1/series/1.2/instances/1.3"]},
            }]},
            "0008119A": {"vr": "SQ", "Value": [{"00081197": {"vr": "US", "Value": [49152]}}]},
        });
        assert_eq!(json, expected);

        answer.add_receipt(receipt("1.9", "1.5", Outcome::Stored));
        let json: serde_json::Value = serde_json::from_slice(&answer.json("http://h")).unwrap();
        assert_eq!(
            json["00081190"],
            serde_json::json!({"vr": "UR"}),
            "two studies have no common URL"
        );
    }
}
