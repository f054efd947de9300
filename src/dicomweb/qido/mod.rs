//! Search (PS3.18 §10.6): QIDO-RS on its six resources. `parameters` reads the question into
//! keys (`dicom::query`), `answer` writes what the index found; matching itself is the index's.

mod answer;
mod order;
mod parameters;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header;

use self::answer::Answers;
use self::parameters::Question;
pub(super) use self::parameters::{count, truth};
use super::call::Call;
use super::coding::Coding;
use super::notation::Notation;
use crate::access::Found;
use crate::archive::Remaining;
use crate::dicom::Level;
use crate::http::{Piece, Problem, Telling, off_thread, respond_with};

/// So few answers are written where they are sent: another thread would cost more.
const ROWS_AT_HAND: usize = 64;

/// Answers GET of a search resource of a level.
pub(super) async fn search(call: &Call, level: Level) -> Result<HttpResponse, Problem> {
    call.check_charset()?;
    let notation = Notation::of_list(&call.accept()?)?;
    let within = (call.path_uid("study")?, call.path_uid("series")?);
    let question = Question::read(
        &call.parameters,
        level,
        within,
        call.hall().settings().results_max,
    )?;

    call.committed().await?;
    let (archive, scope, query) = (call.archive(), call.scope(), question.query.clone());
    let page = match archive.find_at_hand(&query, &scope)? {
        Some(page) => page,
        None => off_thread(move || archive.find(&query, &scope)).await??,
    };

    let mut response = HttpResponse::build(StatusCode::OK);
    response.insert_header((header::VARY, "Accept, Accept-Encoding"));
    response.insert_header((header::CACHE_CONTROL, "private, no-cache"));
    for text in question
        .warnings
        .iter()
        .map(String::as_str)
        .chain(remaining(page.remaining).as_deref())
    {
        if let Some(warning) = call.warning(text) {
            response.append_header((header::WARNING, warning));
        }
    }
    if page.rows.is_empty() {
        return Ok(response.status(StatusCode::NO_CONTENT).finish());
    }
    response.content_type(notation.content_type());
    let found = call.is_told().then(|| {
        let mut found = Found::default();
        for row in &page.rows {
            found.take(row.attributes.by_keyword("StudyInstanceUID"));
        }
        found
    });
    let coding = Coding::of(call.headers());
    if let Some(name) = coding.name() {
        response.insert_header((header::CONTENT_ENCODING, name));
    }
    let is_short = page.rows.len() <= ROWS_AT_HAND && coding == Coding::Identity;
    let telling = if is_short && !question.plan.reads_metadata() {
        Telling::AtHand
    } else {
        Telling::Blocking
    };
    let answers = Answers::new(
        call.archive(),
        call.scope(),
        call.base.clone(),
        notation,
        question.plan,
        page.rows,
    );
    let pieces = coding.apply(Box::new(answers))?;
    let pieces = pieces.map(|piece| piece.map(Piece::Bytes));
    let mut response =
        respond_with(response, None, Box::new(pieces), call.archive(), telling).await?;
    // Told when it is known that it goes out (`routes`).
    if let Some(found) = found {
        response.extensions_mut().insert(found);
    }
    Ok(response)
}

/// The text of the Warning when more could be asked for (PS3.18 §8.3.4.4).
fn remaining(remaining: Remaining) -> Option<String> {
    match remaining {
        Remaining::Exactly(0) => None,
        Remaining::Exactly(count) => Some(format!(
            "There are {count} additional results that can be requested"
        )),
        Remaining::AtLeast(count) => Some(format!(
            "There are {count} or more additional results that can be requested"
        )),
    }
}
