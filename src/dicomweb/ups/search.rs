//! Search for workitems (PS3.18 §11.9): the parameters of QIDO-RS (§8.3.4), answered from the data sets themselves.
//! A page is 200 with a Warning when there are more, as for studies.

use std::collections::BTreeSet;

use actix_web::HttpResponse;
use actix_web::http::header;
use dicom_core::Tag;

use super::answer::Transaction;
use super::ask;
use super::caller::{self, Wants};
use crate::access::Found;
use crate::archive;
use crate::dicom::json::prepared;
use crate::dicom::json::write::tag_digits;
use crate::dicom::query::{Field, Lists, Syntax};
use crate::dicomweb::call::Call;
use crate::dicomweb::notation::Notation;
use crate::dicomweb::qido::{count, truth};
use crate::http::Problem;
use crate::worklist::{Question, REQUIREMENTS, Remaining, Workitem, WorkitemKeys};

/// Parameters that are no attributes.
const WORDS: &[&str] = &[
    "limit",
    "offset",
    "includefield",
    "fuzzymatching",
    "emptyvaluematching",
    "multiplevaluematching",
    "accept",
    "charset",
];

/// A search as it was asked.
#[derive(Debug)]
struct Asked {
    question: Question,
    shown: Shown,
    /// Texts for Warning headers.
    warnings: Vec<String>,
}

/// Which attributes stand in an answer.
#[derive(Debug)]
struct Shown {
    has_all: bool,
    tags: BTreeSet<Tag>,
}

/// Answers GET `/workitems`.
pub(in crate::dicomweb) async fn search(call: &Call) -> Result<HttpResponse, Problem> {
    call.check_charset()?;
    let notation = Notation::of_list(&call.accept()?)?;
    let caller = caller::of(call, Wants::Look)?;
    let Asked {
        question,
        shown,
        mut warnings,
    } = read(&call.parameters, call.hall().settings().results_max)?;
    let is_told = call.is_told();
    let (body, found, remaining) = ask(call, Transaction::Search, move |worklist| {
        let page = worklist.search(&question, &caller)?;
        let found = is_told.then(|| found(&page.workitems));
        let body = written(&page.workitems, notation, &shown);
        Ok((body, found, page.remaining))
    })
    .await?;
    warnings.extend(match remaining {
        Remaining::Exactly(0) => None,
        Remaining::Exactly(count) => Some(format!(
            "There are {count} additional results that can be requested"
        )),
        Remaining::AtLeast(count) => Some(format!(
            "There are {count} or more additional results that can be requested"
        )),
    });
    let mut response = HttpResponse::Ok();
    response.insert_header((header::VARY, "Accept"));
    response.insert_header((header::CACHE_CONTROL, "private, no-cache"));
    for warning in warnings.iter().filter_map(|text| call.warning(text)) {
        response.append_header((header::WARNING, warning));
    }
    let body = body?;
    if body.is_empty() {
        return Ok(response
            .status(actix_web::http::StatusCode::NO_CONTENT)
            .finish());
    }
    let mut response = response.content_type(notation.content_type()).body(body);
    // Told when it is known that it goes out (`routes`).
    if let Some(found) = found {
        response.extensions_mut().insert(found);
    }
    Ok(response)
}

/// The studies that workitems tell of, with whose they are.
fn found(workitems: &[Workitem]) -> Found {
    let mut found = Found::default();
    for workitem in workitems {
        if workitem.studies.is_empty() {
            found.take(None);
        }
        for study in &workitem.studies {
            found.take(Some(study.as_str()));
        }
    }
    found
}

/// The body of a page, empty when nothing is on it. Of many workitems that is work.
fn written(
    workitems: &[Workitem],
    notation: Notation,
    shown: &Shown,
) -> Result<Vec<u8>, archive::Error> {
    let mut body = Vec::new();
    for (place, workitem) in workitems.iter().enumerate() {
        let answer = shown.of(&workitem.json);
        notation.write(&mut body, place == 0, "", &answer)?;
    }
    if !workitems.is_empty() {
        notation.end(&mut body);
    }
    Ok(body)
}

/// Reads the parameters of a search. Those that are neither words nor attributes are passed over.
///
/// # Errors
/// 400 for a known parameter with a bad value, or one that stands twice.
fn read(parameters: &[(String, String)], results_max: u32) -> Result<Asked, Problem> {
    let is_word = |name: &str| WORDS.contains(&name);
    let fields = parameters
        .iter()
        .filter(|(name, _)| !is_word(name))
        .filter_map(|(name, value)| Some((Field::read(name)?, value.as_str())));
    let fields: Vec<(Field, &str)> = fields.collect();
    let mut shown = Shown::usual();
    let (mut limit, mut offset) = (None, None);
    let mut syntax = Syntax::WEB;
    for (name, value) in parameters.iter().filter(|(name, _)| is_word(name)) {
        let once = |is_first: bool| {
            if is_first {
                Ok(())
            } else {
                Err(Problem::bad_request(format!("{name} stands twice")))
            }
        };
        match name.as_str() {
            "limit" => {
                once(limit.is_none())?;
                limit = Some(u32::try_from(count(name, value)?).unwrap_or(u32::MAX));
            }
            "offset" => {
                once(offset.is_none())?;
                offset = Some(count(name, value)?);
            }
            "includefield" => shown.include(value),
            "fuzzymatching" => syntax.has_fuzzy_names = truth(name, value)?,
            "emptyvaluematching" => syntax.has_empty_values = truth(name, value)?,
            "multiplevaluematching" if truth(name, value)? => syntax.lists = Lists::All,
            _ => {}
        }
    }
    let mut keys = WorkitemKeys::new(fields.clone());
    let mut warnings = Vec::new();
    for (place, (field, value)) in fields.iter().enumerate() {
        if fields[..place].iter().any(|(known, _)| known == field) {
            return Err(Problem::bad_request("an attribute stands twice"));
        }
        if let Some(reason) = keys.reason_to_ignore(field) {
            let keyword = field.keyword();
            warnings.push(format!("The {keyword} parameter was ignored: {reason}."));
            continue;
        }
        shown.tags.extend(field.path().first());
        if field.is_creator() {
            continue;
        }
        keys.add(field, value, syntax)
            .map_err(|error| Problem::bad_request(format!("{}: {error}", field.keyword())))?;
    }
    Ok(Asked {
        question: Question {
            keys: keys.finish(),
            limit: limit.unwrap_or(results_max).min(results_max),
            offset: offset.unwrap_or(0),
        },
        shown,
        warnings,
    })
}

impl Shown {
    /// What stands in every answer.
    fn usual() -> Self {
        let returned = REQUIREMENTS.iter().filter(|row| row.is_returned);
        Self {
            has_all: false,
            tags: returned.map(|row| row.tag).collect(),
        }
    }

    fn include(&mut self, list: &str) {
        for name in list.split(',').map(str::trim) {
            if name == "all" {
                self.has_all = true;
            } else if let Some(field) = Field::read(name) {
                self.tags.extend(field.path().first());
            }
        }
    }

    /// What is shown of a workitem, as one object.
    fn of(&self, json: &[u8]) -> Vec<u8> {
        if self.has_all {
            return json.to_vec();
        }
        let mut out = vec![b'{'];
        for (tag, member) in prepared::tagged_members(json) {
            if !self.tags.contains(&tag) {
                continue;
            }
            if out.len() > 1 {
                out.push(b',');
            }
            out.push(b'"');
            out.extend_from_slice(&tag_digits(tag));
            out.extend_from_slice(b"\":");
            out.extend_from_slice(member);
        }
        out.push(b'}');
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(query: &str) -> Result<Asked, Problem> {
        read(&crate::http::parameters(query).unwrap(), 100)
    }

    #[test]
    fn the_words_and_keys_of_qido_are_understood() {
        let asked = asked(
            "ProcedureStepState=SCHEDULED&00404034.00404009.00080100=anna&limit=7&offset=3&includefield=00741210&_=1",
        )
        .unwrap();
        assert_eq!(asked.question.keys.len(), 2);
        assert_eq!((asked.question.limit, asked.question.offset), (7, 3));
        assert!(asked.shown.tags.contains(&Tag(0x0074, 0x1210)));
        assert!(asked.warnings.is_empty());
    }

    #[test]
    fn what_is_wrong_is_refused_and_what_cannot_be_asked_is_told() {
        for query in [
            "limit=x",
            "PatientID=1&00100020=2",
            "SOPInstanceUID=x",
            "fuzzymatching=1",
        ] {
            assert!(asked(query).is_err(), "{query}");
        }
        let secret = asked("TransactionUID=1.2.3").unwrap();
        assert_eq!((secret.question.keys.len(), secret.warnings.len()), (0, 1));
        assert_eq!(asked("limit=9999").unwrap().question.limit, 100);
    }

    #[test]
    fn an_answer_holds_what_is_shown() {
        let json = br#"{"00080018":{"vr":"UI","Value":["1.2"]},"00741210":{"vr":"SQ","Value":[{}]},"00991001":{"vr":"LO"}}"#;
        let usual = Shown::usual().of(json);
        assert_eq!(usual, br#"{"00080018":{"vr":"UI","Value":["1.2"]}}"#);
        let mut all = Shown::usual();
        all.include("all");
        assert_eq!(all.of(json), json);
    }
}
