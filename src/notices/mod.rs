//! What people and programs are told of cases: a worker for each webhook, and one for e-mail, takes what is due from the
//! queue in the ledger ([`crate::cases::notices`]) and delivers it, at least once; a thread beside them says whom what has
//! happened goes to, and looks what is due soon.
//!
//! A receiver that is slow or gone holds up nobody else. What was begun and not noted when the power went is sent again
//! under the same id. Nothing that leaves here says who a patient is, what was asked, or what somebody answered.

mod endpoint;
mod mail;
mod smtp;
mod webhook;
mod worker;

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use crate::cases::Cases;
use crate::cases::notices::{Channels, EMAIL, Untidy, Watch};
use crate::forward::Signal;
use crate::forward::pace::{milliseconds, now_ms};
use worker::{Carrier, Worker};

pub use endpoint::{Endpoint, EndpointError, new_secret};
pub use smtp::{Encryption, MailServer};

/// The `[notices]` section, checked.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Each with a name of its own, and none called [`EMAIL`].
    pub webhooks: Vec<(Box<str>, Endpoint)>,
    /// Where mail is handed in; `None` when none is sent.
    pub email: Option<MailServer>,
    /// `scheme://host[:port][/prefix]` of our pages, without a slash at the end; without it nothing links to a case.
    pub public_url: Option<String>,
    /// A case is due soon so long before it is due.
    pub due_soon: Duration,
    /// The wait before the second attempt; it doubles each time, up to an hour.
    pub retry_wait: Duration,
    /// What could not be delivered for so long has failed.
    pub give_up_after: Duration,
    /// How long what was delivered or has failed is kept to be looked at.
    pub keep: Duration,
}

/// How long a thread that panicked waits before it goes on.
const PANIC_WAIT: Duration = Duration::from_secs(60);
/// How often it is looked what has happened.
const TICK: Duration = Duration::from_secs(1);
/// How long it is waited when the ledger fails.
const BROKEN_WAIT: Duration = Duration::from_secs(30);
/// It is looked for images that have come once in so many ticks.
const IMAGES_TICKS: u32 = 5;
/// It is tidied once in so many ticks.
const TIDY_TICKS: u32 = 60;
/// More do not wait: the oldest have failed then.
const WAITING_MAX: u64 = 100_000;

/// Threads that run. Dropped, they go on.
pub struct Running {
    signal: Arc<Signal>,
    /// Ends when the last thread has.
    ended: Receiver<()>,
}

/// Starts a worker for each destination, and who addresses.
///
/// # Errors
/// When the system has no thread left.
pub fn start(settings: &Settings, cases: &Cases) -> io::Result<Running> {
    let signal = Arc::new(Signal::default());
    let (tell, ended) = mpsc::channel::<()>();
    let mut carriers: Vec<(Box<str>, Box<dyn Carrier>)> = Vec::new();
    for (name, endpoint) in &settings.webhooks {
        let url = settings.public_url.clone();
        let hook = webhook::Webhook::new(endpoint.clone(), url);
        carriers.push((name.clone(), Box::new(hook)));
    }
    if let Some(server) = &settings.email {
        let url = settings.public_url.clone();
        let ledger = cases.ledger().clone();
        let mail = mail::Mail::new(server.clone(), ledger, url);
        carriers.push((EMAIL.into(), Box::new(mail)));
    }
    for (destination, carrier) in carriers {
        let worker = Worker {
            destination,
            carrier,
            ledger: cases.ledger().clone(),
            signal: signal.clone(),
            retry_wait: settings.retry_wait,
            give_up_after: settings.give_up_after,
        };
        spawn("notices", &signal, &tell, move || worker.run())?;
    }
    let (cases, settings, signal_of) = (cases.clone(), settings.clone(), signal.clone());
    spawn("notices-look", &signal, &tell, move || {
        look(&cases, &settings, &signal_of);
    })?;
    Ok(Running { signal, ended })
}

fn spawn(
    name: &str,
    signal: &Arc<Signal>,
    tell: &mpsc::Sender<()>,
    work: impl Fn() + Send + 'static,
) -> io::Result<()> {
    let (signal, tell) = (signal.clone(), tell.clone());
    let run = move || {
        // A panic has been reported by its hook; what is queued must not wait for a restart.
        while catch_unwind(AssertUnwindSafe(&work)).is_err() {
            signal.wait(PANIC_WAIT);
        }
        drop(tell);
    };
    thread::Builder::new().name(name.into()).spawn(run)?;
    Ok(())
}

/// Says whom what has happened goes to, until it is told to stop.
fn look(cases: &Cases, settings: &Settings, signal: &Signal) {
    let channels = Channels {
        webhooks: settings
            .webhooks
            .iter()
            .map(|(name, _)| name.clone())
            .collect(),
        has_email: settings.email.is_some(),
    };
    let is_anybody_told = !channels.webhooks.is_empty() || channels.has_email;
    let mut watch = Watch::default();
    let mut tick = 0_u32;
    while !signal.is_given() {
        if is_anybody_told {
            watch_time(
                cases,
                settings,
                &mut watch,
                tick.is_multiple_of(IMAGES_TICKS),
            );
        }
        if tick.is_multiple_of(TIDY_TICKS) {
            tidy(cases, settings, &channels);
        }
        tick = tick.wrapping_add(1);
        match cases.address_notices(&channels, now_ms()) {
            Ok(0) => signal.wait(TICK),
            // Perhaps there is more.
            Ok(_) => {}
            Err(error) => {
                tracing::error!(%error, "the queue of notices cannot be kept: nobody is told anything for a while");
                signal.wait(BROKEN_WAIT);
            }
        }
    }
}

fn watch_time(cases: &Cases, settings: &Settings, watch: &mut Watch, is_for_images: bool) {
    if let Err(error) = cases.tell_due(now_ms(), milliseconds(settings.due_soon)) {
        tracing::warn!(%error, "it was not looked which cases are due");
    }
    if is_for_images && let Err(error) = watch.look(cases, now_ms()) {
        tracing::warn!(%error, "it was not looked whether images have changed since opinions");
    }
}

fn tidy(cases: &Cases, settings: &Settings, channels: &Channels) {
    let now_ms = now_ms();
    let mut served: Vec<&str> = channels.webhooks.iter().map(|name| &**name).collect();
    served.extend(channels.has_email.then_some(EMAIL));
    let untidy = Untidy {
        ended_before_ms: now_ms.saturating_sub(milliseconds(settings.keep)),
        waiting_max: WAITING_MAX,
        served: &served,
        queued_before_ms: now_ms.saturating_sub(milliseconds(settings.give_up_after)),
    };
    match cases.ledger().tidy_notices(&untidy, now_ms) {
        Ok(tidied) => {
            for (notices, why) in [
                (tidied.crowded_out, "too many wait"),
                (tidied.unserved, "where they go is not configured any more"),
            ] {
                if notices > 0 {
                    tracing::error!(notices, why, "given up: see overread notices list");
                }
            }
        }
        Err(error) => tracing::warn!(%error, "old notices were not forgotten"),
    }
}

impl Running {
    /// Asks the threads to stop; they begin nothing new from now on.
    pub fn ask_to_stop(&self) {
        self.signal.give();
    }

    /// Stops. `false` when one did not end in time: it may still wait for a network; whatever becomes of what it has
    /// sent, the queue is as it was, and the next start goes on with it.
    #[must_use]
    pub fn stop(self, patience: Duration) -> bool {
        self.ask_to_stop();
        self.ended.recv_timeout(patience) != Err(mpsc::RecvTimeoutError::Timeout)
    }
}
