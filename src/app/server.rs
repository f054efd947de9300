//! The server's life: open, listen, tell where, wait, stop in order.

use std::io::{self, Write};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use crate::app::stop::{self, Stop};
use crate::app::{Error, Opened, own, samples};
use crate::config::Settings;
use crate::{dicomweb, dimse, forward, http, web};

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
    settings.check_exposure()?;
    let opened = own(settings)?;
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
    let dicom = dimse::Listener::bind(settings.dicom.clone(), opened.archive().clone())?;
    let sending = Arc::new(web::Sending::new(settings.dicom.outgoing.clone()));
    let pages = Arc::clone(&sending);
    let doors: Vec<http::Door> = vec![
        Arc::new(dicomweb::configure),
        Arc::new(move |cfg| web::configure(cfg, &pages)),
    ];
    let web =
        http::serve(settings.http.clone(), opened.archive().clone(), doors).map_err(|source| {
            Error::Http {
                address: settings.http.listen,
                source,
            }
        })?;
    let dicom = dicom.start()?;
    let forwarding =
        forward::start(&settings.forward, opened.archive()).map_err(|source| Error::System {
            what: "starting to forward",
            source,
        })?;
    if let Some(reload) = dicom.reload() {
        stop::on_hangup(move || reload.all()).map_err(|source| Error::System {
            what: "listening for SIGHUP",
            source,
        })?;
    }
    greet(settings, &opened, &web, &dicom);
    // An error would mean that the signal thread is gone: then there is nothing to wait for.
    let _ = asked.recv();
    tracing::info!("stopping");
    forwarding.ask_to_stop();
    sending.ask_to_stop();
    close(web, dicom)?;
    if !forwarding.stop(FORWARD_GRACE) {
        tracing::warn!("something was still being forwarded; the next start goes on with it");
    }
    tracing::info!("stopped");
    Ok(())
}

/// Says on stdout where to go, and on stderr what is dangerous about it.
fn greet(settings: &Settings, opened: &Opened, web: &http::Server, dicom: &dimse::Running) {
    let ae_title = &settings.dicom.ae_title;
    let secure = dicom.secure_addr();
    let (web, dicom) = (web.address(), dicom.local_addr());
    for (key, address) in settings.exposed() {
        tracing::warn!(%address, key, "EVERYBODY who reaches this address can read and write all studies: nobody has to log in");
    }
    tracing::info!(%web, %dicom, dicom_tls = secure.map(tracing::field::display), %ae_title, "listening");
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
