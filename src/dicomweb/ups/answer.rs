//! Statuses and Warning headers of the worklist (PS3.18 Tables 11.4.3-1 to 11.12.3-1). A refusal says its reason in a
//! Warning header, as the tables ask, and as text.

use actix_web::HttpResponseBuilder;
use actix_web::http::StatusCode;
use actix_web::http::header;

use crate::access::LedgerError;
use crate::archive;
use crate::dicomweb::call::Call;
use crate::http::Problem;
use crate::worklist::state::Refusal;
use crate::worklist::{Error, Warning};

/// The transactions whose tables differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Transaction {
    /// §11.4
    Create,
    /// §11.5
    Retrieve,
    /// §11.6
    Update,
    /// §11.7
    ChangeState,
    /// §11.8
    RequestCancellation,
    /// §11.9
    Search,
    /// §11.10 to §11.12
    Subscribe,
}

/// The response of an error.
pub(super) fn problem(call: &Call, transaction: Transaction, error: Error) -> Problem {
    let text = error.to_string();
    let problem = match error {
        Error::NotFound => return Problem::not_found(),
        Error::Forbidden => Problem::new(StatusCode::FORBIDDEN, text.clone()),
        Error::Refused(refusal) => Problem::new(status(transaction, refusal), text.clone()),
        Error::Unfinished(_) => Problem::new(StatusCode::CONFLICT, text.clone()),
        Error::Invalid(_) => Problem::bad_request(text.clone()),
        Error::TooLarge | Error::TooBroad => {
            Problem::new(StatusCode::PAYLOAD_TOO_LARGE, text.clone())
        }
        Error::Ledger(LedgerError::Full) => return archive::Error::Full.into(),
        Error::Ledger(LedgerError::Busy(what)) => return archive::Error::Busy(what).into(),
        Error::Ledger(LedgerError::Broken(cause)) => return archive::Error::Broken(cause).into(),
    };
    match call.warning(&text) {
        Some(warning) => problem.with(header::WARNING, warning),
        None => problem,
    }
}

/// Wrong in itself, or at odds with the state? An update has no other word than 400 for a workitem that is final or
/// not claimed (Table 11.6.3-1).
fn status(transaction: Transaction, refusal: Refusal) -> StatusCode {
    match refusal {
        Refusal::TransactionMissing | Refusal::TransactionWrong => StatusCode::BAD_REQUEST,
        Refusal::NoLongerUpdatable | Refusal::NotInProgress
            if transaction == Transaction::Update =>
        {
            StatusCode::BAD_REQUEST
        }
        Refusal::Unknown => StatusCode::NOT_FOUND,
        Refusal::Exists
        | Refusal::NoLongerUpdatable
        | Refusal::AlreadyInProgress
        | Refusal::NeverScheduledAgain
        | Refusal::Unfinished
        | Refusal::NotInProgress
        | Refusal::AlreadyCompleted
        | Refusal::PerformerUnreachable => StatusCode::CONFLICT,
    }
}

/// The same response with the warning, if there is one.
pub(super) fn warned<'r>(
    call: &Call,
    response: &'r mut HttpResponseBuilder,
    warning: Option<Warning>,
) -> &'r mut HttpResponseBuilder {
    if let Some(value) = warning.and_then(|warning| call.warning(&warning.to_string())) {
        response.append_header((header::WARNING, value));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_those_of_the_tables() {
        use Refusal::{
            AlreadyCompleted, AlreadyInProgress, Exists, NeverScheduledAgain, NoLongerUpdatable,
            NotInProgress, PerformerUnreachable, TransactionMissing, TransactionWrong, Unfinished,
        };
        for (transaction, refusal, expected) in [
            (Transaction::Create, Exists, 409),
            (Transaction::Update, NoLongerUpdatable, 400),
            (Transaction::Update, NotInProgress, 400),
            (Transaction::Update, TransactionMissing, 400),
            (Transaction::Update, TransactionWrong, 400),
            (Transaction::ChangeState, TransactionMissing, 400),
            (Transaction::ChangeState, TransactionWrong, 400),
            (Transaction::ChangeState, AlreadyInProgress, 409),
            (Transaction::ChangeState, NeverScheduledAgain, 409),
            (Transaction::ChangeState, NoLongerUpdatable, 409),
            (Transaction::ChangeState, NotInProgress, 409),
            (Transaction::ChangeState, Unfinished, 409),
            (Transaction::RequestCancellation, AlreadyCompleted, 409),
            (Transaction::RequestCancellation, PerformerUnreachable, 409),
        ] {
            assert_eq!(
                status(transaction, refusal).as_u16(),
                expected,
                "{transaction:?} {refusal:?}"
            );
        }
    }
}
