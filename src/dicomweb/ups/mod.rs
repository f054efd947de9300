//! UPS-RS (PS3.18 §11): requests and answers about workitems, and the channel by which subscribers are told of events
//! (§8.10). What is allowed and what comes of it is the worklist's word ([`crate::worklist`]).
//!
//! [`request`] reads bodies and UIDs, [`answer`] has the statuses and the Warning headers, [`mod@search`] asks and writes
//! lists; [`mailboxes`] holds what subscribers were not told yet, [`channel`] is one connection of one of them.

mod answer;
mod caller;
mod channel;
mod mailboxes;
mod report;
mod request;
mod search;
mod subscribing;

use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::http::header;
use actix_web::{HttpResponse, web};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::call::Call;
use super::notation::Notation;
use super::routes::PREFIX;
use crate::access::Scope;
use crate::dicom::{AeTitle, Dataset};
use crate::http::{Problem, off_thread};
use crate::worklist::state::State;
use crate::worklist::{Caller, Error, Worklist, take_transaction_uid};

use answer::{Transaction, problem, warned};
use caller::Wants;

pub use mailboxes::Channels;
pub(super) use search::search;
pub(super) use subscribing::unsubscribe;

/// The AE title of a requester who has none.
const NAMELESS: &str = "ANONYMOUS";

/// So many bodies are read at once; each has at most 2 MiB.
const BODIES_MAX: usize = 128;

/// The worklist, and the channels of those who are subscribed to it. Cheap to clone.
#[derive(Clone)]
pub struct Ups {
    worklist: Worklist,
    channels: Arc<Channels>,
    bodies: Arc<Semaphore>,
}

impl Ups {
    /// A worklist whose events go into these channels.
    #[must_use]
    pub fn new(worklist: Worklist, channels: Arc<Channels>) -> Self {
        Self {
            worklist,
            channels,
            bodies: Arc::new(Semaphore::new(BODIES_MAX)),
        }
    }

    /// The worklist. Its calls block.
    #[must_use]
    pub fn worklist(&self) -> &Worklist {
        &self.worklist
    }

    /// The event channels.
    #[must_use]
    pub fn channels(&self) -> &Arc<Channels> {
        &self.channels
    }

    /// Takes a place among the bodies that are read at once. Not among the uploads: a workitem can be claimed while
    /// studies come in.
    ///
    /// # Errors
    /// 503 when all are taken.
    fn begin_body(&self) -> Result<OwnedSemaphorePermit, Problem> {
        Arc::clone(&self.bodies)
            .try_acquire_owned()
            .map_err(|_| Problem::busy("too many requests about workitems at once"))
    }

    /// Adds the event channels to the server, and lets the resources of the worklist find it. Before
    /// [`configure`](super::configure), whose resources begin with the same pieces.
    pub fn configure(&self, config: &mut web::ServiceConfig) {
        config.app_data(web::Data::new(self.clone()));
        // Table 8.10-1 leaves the path open; the second is dcm4chee's, the third that of dicomstandard.org.
        for path in [
            channel::PATH.to_owned(),
            format!("{PREFIX}/ws/subscribers/{{aet}}"),
            format!("{PREFIX}/subscribers/{{aet}}"),
        ] {
            config.service(web::resource(path).to(channel::open));
        }
    }
}

/// What a POST does with workitems.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Deed {
    /// §11.4
    Create,
    /// §11.6
    Update,
    /// §11.8
    RequestCancellation,
    /// §11.10
    Subscribe,
    /// §11.12
    Suspend,
}

/// Answers a POST.
pub(super) async fn post(
    call: &Call,
    deed: Deed,
    payload: web::Payload,
) -> Result<HttpResponse, Problem> {
    match deed {
        Deed::Create => create(call, payload).await,
        Deed::Update => update(call, payload).await,
        Deed::RequestCancellation => request_cancellation(call, payload).await,
        Deed::Subscribe => subscribing::subscribe(call).await,
        Deed::Suspend => subscribing::suspend(call).await,
    }
}

/// Runs a call of the worklist off the async threads.
async fn ask<T: Send + 'static>(
    call: &Call,
    transaction: Transaction,
    deed: impl FnOnce(&Worklist) -> Result<T, Error> + Send + 'static,
) -> Result<T, Problem> {
    let ups = call.ups()?;
    let answered = off_thread(move || deed(ups.worklist())).await?;
    answered.map_err(|error| problem(call, transaction, error))
}

/// Answers POST `/workitems` (§11.4): 201 with the address of the new workitem.
async fn create(call: &Call, payload: web::Payload) -> Result<HttpResponse, Problem> {
    let caller = caller::of(call, Wants::Request)?;
    let dataset = request::dataset(call, payload).await?;
    let uid = request::new_uid(&call.parameters, &dataset)?;
    let location = format!("{}/workitems/{uid}", call.base);
    let warning = ask(call, Transaction::Create, move |worklist| {
        worklist.create(&uid, dataset, &caller)
    })
    .await?;
    let mut response = HttpResponse::build(StatusCode::CREATED);
    response.insert_header((header::LOCATION, location.clone()));
    response.insert_header((header::CONTENT_LOCATION, location));
    Ok(warned(call, &mut response, warning).finish())
}

/// Answers GET `/workitems/{workitem}` (§11.5).
pub(super) async fn retrieve(call: &Call) -> Result<HttpResponse, Problem> {
    call.check_charset()?;
    let notation = Notation::of_one(&call.accept()?)?;
    let caller = caller::of(call, Wants::Look)?;
    let uid = request::workitem(call)?;
    let (body, record) = ask(call, Transaction::Retrieve, move |worklist| {
        let workitem = worklist.retrieve(&uid, &caller)?;
        let record = worklist.record_of_look(&workitem, &caller);
        Ok((notation.one(workitem.json.into_vec()), record))
    })
    .await?;
    let body = body?;
    call.tell_as(record).await?;
    Ok(HttpResponse::Ok()
        .insert_header((header::VARY, "Accept"))
        .insert_header((header::CACHE_CONTROL, "private, no-cache"))
        .content_type(notation.content_type())
        .body(body))
}

/// Answers POST `/workitems/{workitem}` (§11.6): 200.
async fn update(call: &Call, payload: web::Payload) -> Result<HttpResponse, Problem> {
    let caller = caller::of(call, Wants::Work)?;
    let uid = request::workitem(call)?;
    let mut dataset = request::dataset(call, payload).await?;
    let in_body = taken_transaction_uid(call, Transaction::Update, &mut dataset)?;
    let transaction_uid = request::transaction_uid(&call.parameters, in_body)?;
    ask(call, Transaction::Update, move |worklist| {
        worklist.update(&uid, transaction_uid.as_ref(), dataset, &caller)
    })
    .await?;
    Ok(HttpResponse::Ok().finish())
}

/// Answers PUT `/workitems/{workitem}/state` (§11.7): 200.
pub(super) async fn change_state(
    call: &Call,
    payload: web::Payload,
) -> Result<HttpResponse, Problem> {
    let caller = caller::of(call, Wants::Work)?;
    let uid = request::workitem(call)?;
    let mut dataset = request::dataset(call, payload).await?;
    let transaction_uid = taken_transaction_uid(call, Transaction::ChangeState, &mut dataset)?;
    let term = dataset
        .text(dicom_core::Tag(0x0074, 0x1000))
        .unwrap_or_default();
    let state = State::of_term(term).ok_or_else(|| {
        Problem::bad_request(
            "ProcedureStepState (0074,1000) is missing or none of SCHEDULED, IN PROGRESS, COMPLETED, CANCELED",
        )
    })?;
    let warning = ask(call, Transaction::ChangeState, move |worklist| {
        worklist.change_state(&uid, state, transaction_uid.as_ref(), &caller)
    })
    .await?;
    let mut response = HttpResponse::Ok();
    Ok(warned(call, &mut response, warning).finish())
}

/// Answers POST `/workitems/{workitem}/cancelrequest` (§11.8): 202.
async fn request_cancellation(call: &Call, payload: web::Payload) -> Result<HttpResponse, Problem> {
    let caller = caller::of(call, Wants::Request)?;
    let uid = request::workitem(call)?;
    let dataset = request::optional_dataset(call, payload).await?;
    let requesting_ae = requesting_ae(call, &caller)?;
    let warning = ask(call, Transaction::RequestCancellation, move |worklist| {
        worklist.request_cancellation(&uid, &dataset, &requesting_ae, &caller)
    })
    .await?;
    let mut response = HttpResponse::Accepted();
    Ok(warned(call, &mut response, warning).finish())
}

/// Who is said to ask: the AE title in the path, or the caller's own. Who sees some studies speaks for nobody else.
fn requesting_ae(call: &Call, caller: &Caller) -> Result<AeTitle, Problem> {
    let ae = match call.path_piece("requester") {
        "" => {
            let nameless = || request::ae_title(NAMELESS, "requester");
            return caller.ae.clone().map_or_else(nameless, Ok);
        }
        named => request::ae_title(named, "requester")?,
    };
    if caller.scope == Scope::All || caller.ae.as_ref() == Some(&ae) {
        return Ok(ae);
    }
    let text = "the AE title of the requester is not yours";
    Err(Problem::new(StatusCode::FORBIDDEN, text))
}

fn taken_transaction_uid(
    call: &Call,
    transaction: Transaction,
    dataset: &mut Dataset,
) -> Result<Option<crate::dicom::Uid>, Problem> {
    take_transaction_uid(dataset).map_err(|fault| problem(call, transaction, Error::Invalid(fault)))
}
