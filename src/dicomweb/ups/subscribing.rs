//! Subscriptions over the web (PS3.18 §11.10 to §11.12): the AE title in the path is who is told, and its events come
//! through the WebSocket that the answer names.

use std::fmt::Write as _;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header;

use super::answer::{Transaction, problem, warned};
use super::caller::{self, Wants};
use super::{ask, channel, request};
use crate::dicom::AeTitle;
use crate::dicomweb::call::Call;
use crate::dicomweb::qido::truth;
use crate::dicomweb::routes::PREFIX;
use crate::http::Problem;
use crate::worklist::{DeletionLock, Error, Subscriber, Target};

/// The most attributes of a filter.
const FILTER_MAX: usize = 64;

/// Answers POST `/workitems/{workitem}/subscribers/{aet}` (§11.10): 201 with the address of the event channel.
pub(super) async fn subscribe(call: &Call) -> Result<HttpResponse, Problem> {
    let caller = caller::of(call, Wants::Watch)?;
    let uid = request::workitem(call)?;
    let lock = match call.parameter("deletionlock") {
        Some(value) if truth("deletionlock", value)? => DeletionLock::Held,
        _ => DeletionLock::None,
    };
    let subscriber = Subscriber {
        ae: receiving_ae(call)?,
        lock,
    };
    let filter = filter(&call.parameters)?;
    let target = Target::of(&uid, filter)
        .map_err(|fault| problem(call, Transaction::Subscribe, Error::Invalid(fault)))?;
    let location = channel_url(&call.base, &subscriber.ae);
    let warning = ask(call, Transaction::Subscribe, move |worklist| {
        worklist.subscribe(&target, &subscriber, &caller)
    })
    .await?;
    let mut response = HttpResponse::build(StatusCode::CREATED);
    response.insert_header((header::CONTENT_LOCATION, location));
    Ok(warned(call, &mut response, warning).finish())
}

/// Answers DELETE of the same (§11.11): 200.
pub(in crate::dicomweb) async fn unsubscribe(call: &Call) -> Result<HttpResponse, Problem> {
    let caller = caller::of(call, Wants::Watch)?;
    let (uid, ae) = (request::workitem(call)?, receiving_ae(call)?);
    ask(call, Transaction::Subscribe, move |worklist| {
        worklist.unsubscribe(&uid, &ae, &caller)
    })
    .await?;
    Ok(HttpResponse::Ok().finish())
}

/// Answers POST `/workitems/{workitem}/subscribers/{aet}/suspend` (§11.12): 200.
pub(super) async fn suspend(call: &Call) -> Result<HttpResponse, Problem> {
    let caller = caller::of(call, Wants::Watch)?;
    let (uid, ae) = (request::workitem(call)?, receiving_ae(call)?);
    ask(call, Transaction::Subscribe, move |worklist| {
        worklist.suspend(&uid, &ae, &caller)
    })
    .await?;
    Ok(HttpResponse::Ok().finish())
}

fn receiving_ae(call: &Call) -> Result<AeTitle, Problem> {
    request::ae_title(call.path_piece("aet"), "subscriber")
}

/// `filter=attribute=value,attribute=value`; a piece without an equals sign is another value of the one before.
fn filter(parameters: &[(String, String)]) -> Result<Vec<(String, String)>, Problem> {
    let mut filter: Vec<(String, String)> = Vec::new();
    let all = parameters.iter().filter(|(name, _)| name == "filter");
    for piece in all.flat_map(|(_, text)| text.split(',')) {
        if let Some((attribute, value)) = piece.split_once('=') {
            filter.push((attribute.trim().to_owned(), value.to_owned()));
        } else if let Some((_, value)) = filter.last_mut() {
            value.push(',');
            value.push_str(piece);
        } else if !piece.is_empty() {
            return Err(Problem::bad_request(
                "the filter is no list of attribute=value",
            ));
        }
    }
    if filter.len() > FILTER_MAX {
        return Err(Problem::bad_request("the filter has too many attributes"));
    }
    Ok(filter)
}

/// Where the event channel of an AE is, under the address that the caller knows us by.
fn channel_url(base: &str, ae: &AeTitle) -> String {
    let root = base.strip_suffix(PREFIX).unwrap_or(base);
    // http becomes ws, https wss.
    let place = root.strip_prefix("http").unwrap_or(root);
    let mut title = String::new();
    for byte in ae.as_str().bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            title.push(char::from(byte));
        } else {
            let _ = write!(title, "%{byte:02X}");
        }
    }
    format!("ws{place}{}", channel::PATH.replace("{aet}", &title))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_channel_is_where_the_caller_reached_us() {
        let ae = AeTitle::parse("READ 1/A").unwrap();
        assert_eq!(
            channel_url("https://pacs.example.org/x/dicom-web", &ae),
            "wss://pacs.example.org/x/ws/subscribers/READ%201%2FA"
        );
        let ae = AeTitle::parse("WS_1").unwrap();
        assert_eq!(
            channel_url("http://127.0.0.1:8080/dicom-web", &ae),
            "ws://127.0.0.1:8080/ws/subscribers/WS_1"
        );
    }

    #[test]
    fn filters_are_lists_of_attributes() {
        let read = |query: &str| {
            let parameters = crate::http::parameters(query).unwrap();
            filter(&parameters).ok().map(|filter| {
                let texts = filter.iter().map(|(name, value)| format!("{name}={value}"));
                texts.collect::<Vec<_>>().join(";")
            })
        };
        assert_eq!(read("deletionlock=true").as_deref(), Some(""));
        assert_eq!(
            read("filter=WorklistLabel=X").as_deref(),
            Some("WorklistLabel=X")
        );
        assert_eq!(
            read("filter=ProcedureStepState=SCHEDULED,IN%20PROGRESS,PatientID=P").as_deref(),
            Some("ProcedureStepState=SCHEDULED,IN PROGRESS;PatientID=P")
        );
        assert_eq!(read("filter=WorklistLabel"), None);
    }
}
