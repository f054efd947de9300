//! What bodies and queries say, in the words of the deed.

use serde::Deserialize;

use crate::access::account::AccountName;
use crate::cases::{Asked, Fault, NewReference, Pool, Request, Urgency};
use crate::dicom::Uid;

/// POST `/cases`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewCase {
    study_instance_uid: String,
    #[serde(default)]
    priors: Vec<String>,
    question: String,
    #[serde(default)]
    context: String,
    #[serde(default)]
    body_part: String,
    subspecialty: String,
    #[serde(default = "routine")]
    urgency: String,
    #[serde(default)]
    due: Option<String>,
    #[serde(default)]
    expires: Option<String>,
    #[serde(default)]
    blinded: bool,
    #[serde(default = "yes")]
    needs_complete: bool,
    #[serde(default)]
    first_report: Option<FirstReport>,
    readers: Vec<Who>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct FirstReport {
    #[serde(default)]
    text: String,
    #[serde(default)]
    instances: Vec<Instance>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Instance {
    series_instance_uid: String,
    sop_instance_uid: String,
}

/// Who is asked: `{"account": …}` or `{"pool": …}`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "lowercase")]
pub(super) enum Who {
    Account(String),
    Pool(String),
}

/// POST `…/assign`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Assignment {
    pub(super) reader: Who,
}

/// POST `…/adjudicate`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Adjudication {
    pub(super) opinions: Vec<u64>,
    pub(super) reader: Who,
}

/// POST `…/give-back`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Return {
    #[serde(default)]
    pub(super) reason: String,
}

fn routine() -> String {
    Urgency::Routine.word().to_owned()
}

fn yes() -> bool {
    true
}

pub(super) fn uid(text: &str, field: &'static str) -> Result<Uid, Fault> {
    Uid::parse(text).map_err(|_| Fault::new(field, "is no UID"))
}

/// An instant as RFC 3339 has it, in milliseconds since 1970 UTC.
pub(super) fn instant(text: &str, field: &'static str) -> Result<i64, Fault> {
    let read = text.parse::<jiff::Timestamp>();
    let read = read.map_err(|_| Fault::new(field, "is no instant as 2026-01-31T12:00:00Z"));
    read.map(jiff::Timestamp::as_millisecond)
}

impl Who {
    /// Who is meant.
    ///
    /// # Errors
    /// When it is no name.
    pub(super) fn asked(&self) -> Result<Asked, Fault> {
        match self {
            Self::Account(name) => AccountName::parse(name)
                .map(Asked::Reader)
                .map_err(|_| Fault::new("readers", "name what can be no account")),
            Self::Pool(word) => Pool::parse(word).map(Asked::Pool),
        }
    }
}

/// A case to be opened.
pub(super) struct Opening {
    pub(super) request: Request,
    pub(super) report: Vec<NewReference>,
    pub(super) readers: Vec<Asked>,
}

impl NewCase {
    /// In the words of the deed.
    ///
    /// # Errors
    /// The first field that cannot be read.
    pub(super) fn opening(self) -> Result<Opening, Fault> {
        let first_report = self.first_report.unwrap_or_default();
        let instant =
            |text: Option<String>, field| text.map(|text| instant(&text, field)).transpose();
        let request = Request {
            study: uid(&self.study_instance_uid, "study_instance_uid")?,
            priors: self
                .priors
                .iter()
                .map(|prior| uid(prior, "priors"))
                .collect::<Result<_, _>>()?,
            question: self.question,
            context: self.context,
            body_part: self.body_part,
            subspecialty: Pool::parse(&self.subspecialty)?,
            urgency: Urgency::parse(&self.urgency).ok_or_else(|| {
                Fault::new(
                    "urgency",
                    "is not routine, urgent or stat (LOW, MEDIUM, HIGH)",
                )
            })?,
            due_ms: instant(self.due, "due")?,
            expires_ms: instant(self.expires, "expires")?,
            is_blinded: self.blinded,
            needs_complete: self.needs_complete,
            first_report: first_report.text,
            report_instances: Vec::new(),
        };
        let report = first_report.instances.iter().map(|instance| {
            Ok(NewReference {
                series_instance_uid: uid(&instance.series_instance_uid, "first_report")?,
                sop_instance_uid: uid(&instance.sop_instance_uid, "first_report")?,
            })
        });
        let readers = self.readers.iter().map(Who::asked);
        Ok(Opening {
            request,
            report: report.collect::<Result<_, Fault>>()?,
            readers: readers.collect::<Result<_, _>>()?,
        })
    }
}
