//! What an administrator asks of the audit trail, by whichever door of the web: read from a query, answered, and told to the
//! trail itself before anything of it is shown.

use std::sync::Arc;

use actix_web::web;

use super::{Caller, Hall, Problem, now_ms, off_thread, told};
use crate::access::audit::{Event, Kept};
use crate::access::trail::{
    Asked, Edge, FoundRows, Place, STUDIES_MAX, Whose, WhoseError, instant, used,
};
use crate::access::{Desk, LedgerFlaw, Scope};
use crate::archive::Archive;
use crate::dicom::Uid;

/// The most rows of one answer.
pub(crate) const ROWS_MAX: usize = 100;

/// The most studies that one question names.
const NAMED_MAX: usize = 100;

/// A question, as a query has it. What is empty was left out.
#[derive(Default)]
pub(crate) struct Question {
    patient_id: Option<String>,
    studies: Vec<Uid>,
    asked: Asked,
    before: Option<Place>,
    after: u64,
}

impl Question {
    /// Reads it. `known` are the parameters that count here.
    ///
    /// # Errors
    /// 400 for another parameter, or a value that is none.
    pub(crate) fn read(pairs: &[(String, String)], known: &[&str]) -> Result<Self, Problem> {
        let mut question = Self::default();
        for (name, value) in pairs {
            if !known.contains(&name.as_str()) {
                let text = format!("has only {}", known.join(", "));
                return Err(Problem::bad_request(text));
            }
            let value = value.trim();
            if !value.is_empty() {
                question.take(name, value)?;
            }
        }
        if question.studies.len() > NAMED_MAX {
            return Err(Problem::bad_request("at most 100 studies are asked for"));
        }
        Ok(question)
    }

    fn take(&mut self, name: &str, value: &str) -> Result<(), Problem> {
        let wrong = |text: &'static str| move || Problem::bad_request(text);
        match name {
            "patient_id" => self.patient_id = Some(value.to_owned()),
            "study" => {
                let uid = Uid::parse(value).ok();
                let uid = uid.ok_or_else(wrong("study is no Study Instance UID"))?;
                self.studies.push(uid);
            }
            "who" => self.asked.who = Some(value.to_owned()),
            "means" => self.asked.means = Some(value.to_owned()),
            "event" => {
                let event = Event::of_code(value);
                let event = event.ok_or_else(wrong("event is no code of PS3.16 CID 400"))?;
                self.asked.event = Some(event);
            }
            "from" => {
                let at_ms = instant(value, Edge::Begin);
                let text = "from is no date or instant, such as 2026-11-28 or 2026-11-28T08:00:00Z";
                self.asked.from_ms = Some(at_ms.ok_or_else(wrong(text))?);
            }
            "to" => {
                let at_ms = instant(value, Edge::End);
                let text = "to is no date or instant, such as 2026-11-28 or 2026-11-28T08:00:00Z";
                self.asked.to_ms = Some(at_ms.ok_or_else(wrong(text))?);
            }
            "before" => {
                let place = Place::parse(value);
                self.before = Some(place.ok_or_else(wrong("before is no place in the trail"))?);
            }
            "after" => {
                let id = value.parse().ok();
                self.after = id.ok_or_else(wrong("after is no number of a row"))?;
            }
            _ => {}
        }
        Ok(())
    }

    /// Whether it is about somebody.
    pub(crate) fn names_somebody(&self) -> bool {
        self.patient_id.is_some() || !self.studies.is_empty()
    }

    /// Whose rows are asked for, if somebody's. Blocks.
    fn whose(&self, archive: &Archive, desk: &Desk) -> Result<Option<Whose>, Problem> {
        let studies = self.studies.iter().cloned();
        let Some(patient_id) = &self.patient_id else {
            let studies: Vec<_> = studies.collect();
            return Ok((!studies.is_empty()).then_some(Whose {
                studies,
                patient_id: None,
            }));
        };
        let here = archive.studies_of_patient(patient_id, STUDIES_MAX, &Scope::All)?;
        let here = here.into_iter().chain(studies);
        Ok(Some(Whose::of_patient(desk.ledger(), patient_id, here)?))
    }
}

/// The rows that are asked for, the latest first.
///
/// # Errors
/// 413 for a patient with too many studies; when the trail cannot be read, or not be told.
pub(crate) async fn searched(
    hall: &web::Data<Hall>,
    caller: &Caller,
    mut question: Question,
) -> Result<FoundRows, Problem> {
    let (archive, desk) = (hall.archive().clone(), Arc::clone(hall.desk()));
    let resolved = off_thread(move || {
        question.asked.whose = question.whose(&archive, &desk)?;
        Ok::<_, Problem>(question)
    });
    let question = resolved.await??;
    let words = question.asked.words();
    let record = used(
        caller.actor(),
        now_ms(),
        &words,
        question.asked.whose.as_ref(),
    );
    told(hall, record).await?;
    let desk = Arc::clone(hall.desk());
    let found = off_thread(move || {
        desk.ledger()
            .audit_found(&question.asked, question.before, ROWS_MAX)
    });
    Ok(found.await??)
}

/// A list of disclosures that has begun: whose it is, and from where on.
pub(crate) struct Listing {
    whose: Whose,
    desk: Arc<Desk>,
    /// The last row that was looked at.
    pub(crate) after: u64,
    pub(crate) is_over: bool,
}

impl Listing {
    /// Begins it, and tells the trail.
    ///
    /// # Errors
    /// 400 when the question is about nobody; as [`searched`].
    pub(crate) async fn begin(
        hall: &web::Data<Hall>,
        caller: &Caller,
        question: Question,
    ) -> Result<Self, Problem> {
        let (archive, desk) = (hall.archive().clone(), Arc::clone(hall.desk()));
        let after = question.after;
        let whose = off_thread(move || question.whose(&archive, &desk)).await??;
        let whose =
            whose.ok_or_else(|| Problem::bad_request("say whose: by patient_id or study"))?;
        let record = used(caller.actor(), now_ms(), "disclosures listed", Some(&whose));
        told(hall, record).await?;
        Ok(Self {
            whose,
            desk: Arc::clone(hall.desk()),
            after,
            is_over: false,
        })
    }

    /// The next rows: some hundreds at most, perhaps none; at the end it is over. Blocks.
    ///
    /// # Errors
    /// When the trail cannot be read.
    pub(crate) fn next(&mut self) -> Result<Vec<Kept>, LedgerFlaw> {
        match self.whose.disclosures(self.desk.ledger(), self.after)? {
            Some((rows, last)) => {
                self.after = last;
                Ok(rows)
            }
            None => {
                self.is_over = true;
                Ok(Vec::new())
            }
        }
    }
}

impl From<WhoseError> for Problem {
    fn from(error: WhoseError) -> Self {
        match error {
            WhoseError::TooMany => {
                let status = actix_web::http::StatusCode::PAYLOAD_TOO_LARGE;
                Self::new(status, error.to_string())
            }
            WhoseError::Flaw(flaw) => flaw.into(),
        }
    }
}
