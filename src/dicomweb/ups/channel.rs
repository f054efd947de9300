//! The event channel of a subscriber (PS3.18 §8.10, §11.13): a WebSocket on which reports are text frames. What comes
//! from the other side means nothing, except that it is alive.
//!
//! A channel may be open for days. So who holds it is asked for again while it is: it ends with their session or token,
//! and tells of no workitem that they may not see by then.

use std::time::{Duration, Instant};

use actix_web::http::{Method, StatusCode, header};
use actix_web::{HttpRequest, HttpResponse, web};
use actix_ws::{CloseCode, CloseReason, Closed, Message, MessageStream, Session};
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::caller::{self, Wants};
use super::mailboxes::{Connection, Found};
use super::request;
use crate::access::audit::AuditOutcome;
use crate::access::{Action, LedgerError, Scope};
use crate::dicom::{AeTitle, Uid};
use crate::dicomweb::call::Call;
use crate::dicomweb::path::Named;
use crate::http::{self, Hall, Problem, off_thread};
use crate::worklist::{Caller, Error, GLOBAL_SUBSCRIPTION, Workitem, Worklist};

/// The resource.
pub(super) const PATH: &str = "/ws/subscribers/{aet}";

/// How often the other side is asked whether it is alive.
const PING_INTERVAL: Duration = Duration::from_secs(30);
/// One that says nothing for so long is gone.
const SILENCE_MAX: Duration = Duration::from_secs(90);
/// One that takes nothing for so long is too slow: its reports wait for its next connection.
const SEND_TIMEOUT: Duration = Duration::from_secs(20);
/// What its holder may is asked for again before a report when it was not for so long; at each ping anyway.
const TRUST_MAX: Duration = Duration::from_secs(1);
/// The largest frame that is read. Bytes.
const FRAME_BYTES_MAX: usize = 4096;

/// Answers GET of the channel: 101.
pub(super) async fn open(
    hall: web::Data<Hall>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Problem> {
    if request.method() != Method::GET {
        return Err(Problem::method_not_allowed("GET"));
    }
    let ae = request::ae_title(request.match_info().query("aet"), "subscriber")?;
    let call = Call::new(hall.clone(), request.clone(), Named::new())?
        .admit(Action::Find)
        .await?;
    let holder = caller::of(&call, Wants::Watch)?;
    let outcome = match holder.may_receive_for(&ae) {
        true => AuditOutcome::Success,
        false => AuditOutcome::MinorFailure,
    };
    call.tell(Action::Find, None, outcome).await?;
    if outcome != AuditOutcome::Success {
        return Err(Problem::new(
            StatusCode::FORBIDDEN,
            "the events of this AE title are not yours",
        ));
    }
    if !request.headers().contains_key(header::UPGRADE) {
        return Err(Problem::bad_request(
            "this is the event channel of a subscriber: open it as a WebSocket",
        ));
    }
    let channels = call.ups()?.channels().clone();
    let (response, session, stream) = actix_ws::handle(&request, payload)
        .map_err(|error| Problem::bad_request(format!("no WebSocket: {error}")))?;
    let connection = channels
        .open(&ae)
        .ok_or_else(|| Problem::busy("too many event channels, or the server stops"))?;
    tracing::debug!(%ae, "event channel opened");
    let mut watcher = Watcher {
        hall,
        worklist: call.ups()?.worklist().clone(),
        who: call.caller().clone(),
        ae: ae.clone(),
        holder,
        asked: Instant::now(),
    };
    actix_web::rt::spawn(async move {
        let ending = serve(
            &connection,
            &mut watcher,
            session.clone(),
            stream.max_frame_size(FRAME_BYTES_MAX),
        )
        .await;
        tracing::debug!(%ae, ?ending, "event channel closed");
        // Given up before the farewell, which a slow reader may not take.
        drop(connection);
        let _ = timeout(SEND_TIMEOUT, session.close(ending.reason())).await;
    });
    Ok(response)
}

/// Why a channel ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    /// The other side ended it, or is gone.
    Left,
    /// It takes nothing.
    TooSlow,
    /// It sent what no WebSocket sends, or too much.
    Malformed,
    /// Its holder may not have the events of this AE any more.
    Unentitled,
    /// What its holder may see could not be read. The report waits for the next connection.
    Failed,
    /// The same AE opened another one.
    Replaced,
    /// The server stops.
    Stopped,
}

impl Ending {
    fn reason(self) -> Option<CloseReason> {
        let (code, text) = match self {
            Self::Left => (CloseCode::Normal, None),
            Self::TooSlow => (CloseCode::Policy, Some("too slow")),
            Self::Malformed => (CloseCode::Protocol, None),
            Self::Unentitled => (CloseCode::Policy, Some("sign in again")),
            Self::Failed => (CloseCode::Error, Some("connect again")),
            Self::Replaced => (
                CloseCode::Policy,
                Some("another connection of this AE title"),
            ),
            Self::Stopped => (CloseCode::Away, Some("the server stops")),
        };
        Some(CloseReason {
            code,
            description: text.map(str::to_owned),
        })
    }
}

/// Who holds a channel.
struct Watcher {
    hall: web::Data<Hall>,
    worklist: Worklist,
    who: http::Caller,
    ae: AeTitle,
    /// As they were known when it was last asked.
    holder: Caller,
    asked: Instant,
}

impl Watcher {
    /// Asks again who holds the channel; whether it is still theirs.
    async fn is_entitled(&mut self) -> bool {
        let Ok(Some(who)) = self.who.again(&self.hall) else {
            return false;
        };
        let Ok(scope) = who.admit(&self.hall, Action::Find).await else {
            return false;
        };
        self.holder = caller::known_as(&who, scope);
        self.asked = Instant::now();
        self.holder.may_receive_for(&self.ae)
    }

    /// Whether the holder may be told of a workitem; `None` when that cannot be found out now.
    async fn may_see(&self, workitem: &Uid) -> Option<bool> {
        // What becomes of the server is told of no workitem.
        if self.holder.scope == Scope::All || workitem.as_str() == GLOBAL_SUBSCRIPTION {
            return Some(true);
        }
        let (worklist, uid, holder) =
            (self.worklist.clone(), workitem.clone(), self.holder.clone());
        let found = off_thread(move || {
            let found = worklist.retrieve(&uid, &holder);
            is_seen(found, || worklist.can_be_read())
        });
        found.await.ok().flatten()
    }
}

/// Whether what was looked for is there for who looked; `None` of a failure that says neither. A workitem that is not as it was
/// written, where the others can be read, would fail again at the next connection: it is told to nobody.
fn is_seen(found: Result<Workitem, Error>, can_others: impl FnOnce() -> bool) -> Option<bool> {
    match found {
        Ok(_) => Some(true),
        Err(Error::NotFound) => Some(false),
        Err(Error::Ledger(error @ LedgerError::Broken(_))) if can_others() => {
            tracing::warn!(%error, "an event is passed over: its workitem cannot be read");
            Some(false)
        }
        Err(error) => {
            tracing::warn!(%error, "an event channel ends: what its holder may see cannot be read");
            None
        }
    }
}

async fn serve(
    connection: &Connection,
    watcher: &mut Watcher,
    mut session: Session,
    mut stream: MessageStream,
) -> Ending {
    let mut pings = interval(PING_INTERVAL);
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut heard = Instant::now();
    loop {
        match connection.next() {
            Found::Report(report) => {
                if watcher.asked.elapsed() >= TRUST_MAX && !watcher.is_entitled().await {
                    return Ending::Unentitled;
                }
                match watcher.may_see(&report.workitem).await {
                    Some(true) => {}
                    Some(false) => continue,
                    None => {
                        connection.put_back(report);
                        return Ending::Failed;
                    }
                }
                match timeout(SEND_TIMEOUT, session.text(report.text)).await {
                    Ok(Ok(())) => continue,
                    Ok(Err(Closed)) => return Ending::Left,
                    Err(_) => return Ending::TooSlow,
                }
            }
            Found::Nothing => {}
            Found::Replaced => return Ending::Replaced,
            Found::Closed => return Ending::Stopped,
        }
        tokio::select! {
            () = connection.woken() => {}
            message = stream.recv() => {
                heard = Instant::now();
                match message {
                    None | Some(Ok(Message::Close(_))) => return Ending::Left,
                    Some(Err(_)) => return Ending::Malformed,
                    Some(Ok(Message::Ping(bytes))) => {
                        match timeout(SEND_TIMEOUT, session.pong(&bytes)).await {
                            Ok(Ok(())) => {}
                            Ok(Err(Closed)) => return Ending::Left,
                            Err(_) => return Ending::TooSlow,
                        }
                    }
                    Some(Ok(_)) => {}
                }
            }
            _ = pings.tick() => {
                if heard.elapsed() > SILENCE_MAX {
                    return Ending::Left;
                }
                if !watcher.is_entitled().await {
                    return Ending::Unentitled;
                }
                match timeout(SEND_TIMEOUT, session.ping(b"")).await {
                    Ok(Ok(())) => {}
                    Ok(Err(Closed)) => return Ending::Left,
                    Err(_) => return Ending::TooSlow,
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_there_is_not_seen_nor_what_alone_cannot_be_read() {
        assert_eq!(is_seen(Err(Error::NotFound), || false), Some(false));
        let busy = || Err(LedgerError::Busy("the ledger").into());
        assert_eq!(is_seen(busy(), || true), None);
        let broken = || Err(LedgerError::broken("reading a workitem", "no disk").into());
        assert_eq!(is_seen(broken(), || false), None);
        assert_eq!(is_seen(broken(), || true), Some(false));
    }
}
