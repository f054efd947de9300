//! The server's life: open, listen, tell where, wait, stop in order.

use std::io::{self, Write};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use crate::access::audit::{ActionCode, Actor, AuditRecord, Event, EventType};
use crate::access::{Desk, LedgerError, SignIn};
use crate::app::stop::{self, Stop};
use crate::app::{Error, LEDGER, Opened, cases, network, own, samples, worklist};
use crate::config::Settings;
use crate::{api, dicomweb, dimse, forward, http, notices, web};

/// How long a message of an association may take to end after the first signal.
const DICOM_GRACE: Duration = Duration::from_secs(20);

/// How long what is being sent elsewhere may take to end once both doors are closed.
const FORWARD_GRACE: Duration = Duration::from_secs(5);

/// When both doors must be closed. They have shorter limits of their own; this is for what should
/// not happen.
const STOP_TIMEOUT: Duration = Duration::from_secs(40);

/// Whether the sample studies are in the archive before the doors open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Samples {
    /// As it is.
    None,
    /// Received first, where they are not there yet.
    Received,
}

/// Runs the server until SIGINT or SIGTERM.
///
/// # Errors
/// When it cannot start, or does not stop in time.
pub fn serve(settings: &Settings, samples: Samples) -> Result<(), Error> {
    // Where there is no ledger there is no account: nothing is made then.
    if !settings.data_dir.join(LEDGER).is_file() {
        settings.check_exposure(false)?;
    }
    let opened = own(settings)?;
    let ledger = opened
        .ledger()
        .ok_or_else(|| LedgerError::broken("opening the ledger", "it is not there"))?;
    let has_accounts = ledger.has_accounts()?;
    settings.check_exposure(has_accounts)?;
    let desk = Arc::new(Desk::open(ledger, settings.access)?);
    if samples == Samples::Received {
        samples::receive(opened.archive())?;
    }
    let (ask, asked) = mpsc::channel();
    let on_signal = move || {
        // The receiver lives until the end of this function; should it be gone, so are we.
        let _ = ask.send(());
    };
    let _stop = Stop::on_signals(on_signal).map_err(|source| Error::System {
        what: "listening for signals",
        source,
    })?;
    // Bound first: when either address is taken, neither door has opened.
    let dicom = dimse::Listener::bind(
        settings.dicom.clone(),
        opened.archive().clone(),
        Some(Arc::clone(&desk)),
    )?;
    let sending = Arc::new(web::Sending::new(settings.dicom.outgoing.clone()));
    let pages = Arc::clone(&sending);
    let neighbours = Arc::new(network::of(settings));
    let workitems = opened
        .workitem_ledger()
        .ok_or_else(|| LedgerError::broken("opening the ledger", "it is not there"))?;
    let worklist = worklist::start(workitems, opened.archive(), &settings.dicom.ae_title);
    let worklist = worklist.map_err(|source| Error::System {
        what: "starting the worklist",
        source,
    })?;
    let ups = worklist.ups();
    let ledger = opened
        .case_ledger()
        .ok_or_else(|| LedgerError::broken("opening the ledger", "it is not there"))?;
    let second_opinions = cases::start(
        ledger,
        opened.archive(),
        ups.worklist(),
        &settings.dicom.ae_title,
        settings.statistics,
    );
    let second_opinions = second_opinions.map_err(|source| Error::System {
        what: "starting the cases",
        source,
    })?;
    let of_cases = second_opinions.cases().clone();
    let doors: Vec<http::Door> = vec![
        Arc::new(move |cfg| ups.configure(cfg)),
        Arc::new(dicomweb::configure),
        Arc::new(move |cfg| api::configure(cfg, &of_cases)),
        Arc::new(move |cfg| web::configure(cfg, &pages, &neighbours)),
    ];
    let archive = opened.archive().clone();
    tell(&desk, EventType::ApplicationStart);
    let web = http::serve(settings.http.clone(), archive, Arc::clone(&desk), doors).map_err(
        |source| Error::Http {
            address: settings.http.listen,
            source,
        },
    )?;
    let dicom = dicom.start()?;
    let forwarding =
        forward::start(&settings.forward, opened.archive()).map_err(|source| Error::System {
            what: "starting to forward",
            source,
        })?;
    let messenger = notices::start(&settings.notices, second_opinions.cases());
    let messenger = messenger.map_err(|source| Error::System {
        what: "starting to send notices",
        source,
    })?;
    if let Some(reload) = dicom.reload() {
        stop::on_hangup(move || reload.all()).map_err(|source| Error::System {
            what: "listening for SIGHUP",
            source,
        })?;
    }
    greet(settings, &opened, &web, &dicom, has_accounts);
    // An error would mean that the signal thread is gone: then there is nothing to wait for.
    let _ = asked.recv();
    tracing::info!("stopping");
    forwarding.ask_to_stop();
    messenger.ask_to_stop();
    sending.ask_to_stop();
    worklist.go_down();
    close(web, dicom)?;
    drop((second_opinions, worklist));
    if !forwarding.stop(FORWARD_GRACE) {
        tracing::warn!("something was still being forwarded; the next start goes on with it");
    }
    if !messenger.stop(FORWARD_GRACE) {
        tracing::warn!("a notice was still being delivered; the next start goes on with it");
    }
    tell(&desk, EventType::ApplicationStop);
    tracing::info!("stopped");
    Ok(())
}

/// Tells the audit trail that the server starts or has stopped (PS3.15 §A.5.3.1). A full disk must not keep what is
/// stored from being read.
fn tell(desk: &Desk, event_type: EventType) {
    let who = Actor {
        name: "overread".into(),
        ..Actor::default()
    };
    let record = AuditRecord::new(
        Event::ApplicationActivity,
        ActionCode::Execute,
        who,
        http::now_ms(),
    );
    if let Err(error) = desk.ledger().record(&record.of_type(event_type)) {
        tracing::error!(%error, event = event_type.meaning(), "not in the audit trail");
    }
}

/// Says on stdout where to go, and on stderr what is dangerous about it.
fn greet(
    settings: &Settings,
    opened: &Opened,
    web: &http::Server,
    dicom: &dimse::Running,
    has_accounts: bool,
) {
    let ae_title = &settings.dicom.ae_title;
    let secure = dicom.secure_addr();
    let (web, dicom) = (web.address(), dicom.local_addr());
    for (key, address) in settings.exposed(has_accounts) {
        tracing::warn!(%address, key, "EVERYBODY who reaches this address can read and write all studies: nobody has to log in");
    }
    tracing::info!(%web, %dicom, dicom_tls = secure.map(tracing::field::display), %ae_title, "listening");
    if settings.access.sign_in == SignIn::Required && !has_accounts {
        tracing::warn!("nobody can sign in on the web: there is no account (overread user add)");
    }
    if settings.access.sign_in == SignIn::Auto && !has_accounts {
        tracing::info!(
            "the web lets in whoever reaches it until there is an account (overread user add)"
        );
    }
    let secure = secure.map_or(String::new(), |secure| {
        format!("\x20 DICOM     {ae_title}@{secure} over TLS\n")
    });
    let text = format!(
        "Overread is ready.\n\
         \x20 pages     http://{web}/\n\
         \x20 DICOMweb  http://{web}/dicom-web\n\
         \x20 DICOM     {ae_title}@{dicom}\n\
         {secure}\
         \x20 data      {}\n\
         Ctrl-C stops it.\n",
        opened.data_dir().path().display()
    );
    // A server whose stdout is closed is still a server.
    let _ = io::stdout().lock().write_all(text.as_bytes());
}

/// Stops both listeners at once and waits for what they have begun.
fn close(web: http::Server, dicom: dimse::Running) -> Result<(), Error> {
    let (tell, told) = mpsc::channel();
    let also_tell = tell.clone();
    let system = |what| move |source| Error::System { what, source };
    let web_stop = thread::Builder::new()
        .name("stop-http".into())
        .spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            let result = runtime.block_on(web.stop());
            drop(tell);
            result
        });
    let web_stop = web_stop.map_err(system("stopping the web server"))?;
    let dicom_stop = thread::Builder::new()
        .name("stop-dimse".into())
        .spawn(move || {
            dicom.stop(DICOM_GRACE);
            drop::<mpsc::Sender<()>>(also_tell);
        });
    let dicom_stop = dicom_stop.map_err(system("stopping the DICOM listener"))?;
    // Nothing is ever sent: the channel ends when both have.
    if told.recv_timeout(STOP_TIMEOUT) == Err(mpsc::RecvTimeoutError::Timeout) {
        return Err(Error::Deadline);
    }
    let panicked = |_| io::Error::other("it panicked");
    dicom_stop
        .join()
        .map_err(panicked)
        .map_err(system("stopping the DICOM listener"))?;
    web_stop
        .join()
        .map_err(panicked)
        .and_then(|result| result)
        .map_err(system("stopping the web server"))
}
