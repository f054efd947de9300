//! One actix server for all web doors: its limits, and how it starts and stops.

use std::net::SocketAddr;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;
use std::{io, thread};

use actix_web::dev::ServerHandle;
use actix_web::http::StatusCode;
use actix_web::middleware::from_fn;
use actix_web::{App, HttpResponse, HttpServer, web};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::buffer::BUFFER_BYTES;
use super::counts::Counts;
use super::drawing::Drawings;
use super::entrance::admit;
use super::guard::guard;
use super::refusal::show;
use super::{Problem, Settings, health};
use crate::access::Desk;
use crate::archive::Archive;

/// Adds the resources of a web door to the server.
pub type Door = Arc<dyn Fn(&mut web::ServiceConfig) + Send + Sync>;

/// A request's head must be here within this time.
const HEAD_TIMEOUT: Duration = Duration::from_secs(15);
/// How long a client whose upload was turned away may take to notice.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);
/// An idle connection is kept open for so long: viewers ask in bursts, minutes apart.
const KEEP_ALIVE: Duration = Duration::from_secs(75);
/// How long running requests may go on after the stop was asked for.
const STOP_TIMEOUT: Duration = Duration::from_secs(30);
/// Written when so much waits: one piece of a stored body, while it is in the cache of the processor.
const WRITE_BUFFER_BYTES: usize = BUFFER_BYTES;
/// Blocking threads of one worker besides those that uploads hold.
const BLOCKING_THREADS: usize = 64;
/// Connections of one worker; more wait in the backlog.
const CONNECTIONS_MAX: usize = 8192;

/// What every handler of a web door can reach, as `web::Data<Hall>`.
pub struct Hall {
    archive: Archive,
    desk: Arc<Desk>,
    settings: Settings,
    counts: Counts,
    uploads: Arc<Semaphore>,
    drawings: Drawings,
}

impl Hall {
    /// What the handlers of one server share.
    #[must_use]
    pub fn new(settings: Settings, archive: Archive, desk: Arc<Desk>) -> Self {
        let uploads = Arc::new(Semaphore::new(settings.uploads_max));
        Self {
            archive,
            desk,
            settings,
            counts: Counts::default(),
            uploads,
            drawings: Drawings::new(),
        }
    }

    /// The archive. Its calls block: see [`off_thread`](super::off_thread).
    #[must_use]
    pub fn archive(&self) -> &Archive {
        &self.archive
    }

    /// The settings of the server.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Who lets people in, and what was done. Its calls block, but those for a caller's session or token.
    #[must_use]
    pub fn desk(&self) -> &Arc<Desk> {
        &self.desk
    }

    /// Takes a place among the uploads that run at once.
    ///
    /// # Errors
    /// 503 when all are taken.
    pub fn begin_upload(&self) -> Result<OwnedSemaphorePermit, Problem> {
        Arc::clone(&self.uploads)
            .try_acquire_owned()
            .map_err(|_| Problem::busy("too many uploads at once"))
    }

    /// Waits for a place among the pictures that are drawn at once; held until the work ends.
    ///
    /// # Errors
    /// 503 when too many wait already.
    pub async fn begin_drawing(&self) -> Result<OwnedSemaphorePermit, Problem> {
        self.drawings.begin().await
    }

    /// The same for the next picture of an answer that has begun, which is not turned away any more.
    pub async fn continue_drawing(&self) -> Option<OwnedSemaphorePermit> {
        self.drawings.go_on().await
    }

    pub(super) fn uploads_running(&self) -> usize {
        self.settings
            .uploads_max
            .saturating_sub(self.uploads.available_permits())
    }

    pub(super) fn counts(&self) -> &Counts {
        &self.counts
    }
}

/// A running server, on threads of its own. Dropped, it goes on.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    handle: ServerHandle,
    thread: JoinHandle<io::Result<()>>,
}

impl Server {
    /// The address it listens on.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops: nothing new is accepted, running requests may end (for at most 30 seconds).
    ///
    /// # Errors
    /// When the server had failed before.
    pub async fn stop(self) -> io::Result<()> {
        self.handle.stop(true).await;
        let ended = tokio::task::spawn_blocking(move || self.thread.join()).await;
        match ended {
            Ok(Ok(result)) => result,
            Ok(Err(_)) | Err(_) => Err(io::Error::other("the web server panicked")),
        }
    }
}

/// Binds, and serves the given doors beside `/healthz`, `/readyz` and `/metrics` until
/// [`Server::stop`]. Signals are left to the caller.
///
/// # Errors
/// When the address cannot be bound.
pub fn serve(
    settings: Settings,
    archive: Archive,
    desk: Arc<Desk>,
    doors: Vec<Door>,
) -> io::Result<Server> {
    let (tell, told) = mpsc::sync_channel(1);
    let thread = thread::Builder::new()
        .name("http".to_owned())
        .spawn(move || {
            actix_web::rt::System::new().block_on(async move {
                let server = match start(settings, archive, desk, doors) {
                    Ok((address, server)) => {
                        // The caller waits in `recv`.
                        let _ = tell.send(Ok((address, server.handle())));
                        server
                    }
                    Err(error) => {
                        let _ = tell.send(Err(error));
                        return Ok(());
                    }
                };
                server.await
            })
        })?;
    let (address, handle) = told
        .recv()
        .map_err(|_| io::Error::other("the web server did not start"))??;
    Ok(Server {
        address,
        handle,
        thread,
    })
}

/// What no door answers to.
async fn nothing_here() -> Result<HttpResponse, Problem> {
    Err(Problem::new(
        StatusCode::NOT_FOUND,
        "there is nothing at this address",
    ))
}

fn start(
    settings: Settings,
    archive: Archive,
    desk: Arc<Desk>,
    doors: Vec<Door>,
) -> io::Result<(SocketAddr, actix_web::dev::Server)> {
    let (listen, workers, uploads_max) = (settings.listen, settings.workers, settings.uploads_max);
    let hall = web::Data::new(Hall::new(settings, archive, desk));
    let mut server = HttpServer::new(move || {
        let mut app = App::new()
            .app_data(hall.clone())
            // The last that is named comes first.
            .wrap(from_fn(admit))
            .wrap(from_fn(show))
            .wrap(from_fn(guard))
            .configure(health::configure);
        for door in &doors {
            app = app.configure(|cfg| door(cfg));
        }
        app.default_service(web::to(nothing_here))
    })
    .keep_alive(KEEP_ALIVE)
    .client_request_timeout(HEAD_TIMEOUT)
    .client_disconnect_timeout(CLOSE_TIMEOUT)
    .shutdown_timeout(STOP_TIMEOUT.as_secs())
    .max_connections(CONNECTIONS_MAX)
    .h1_write_buffer_size(WRITE_BUFFER_BYTES)
    .tcp_nodelay(true)
    // Every upload may land on the same worker.
    .worker_max_blocking_threads(uploads_max.saturating_add(BLOCKING_THREADS))
    .disable_signals();
    if workers > 0 {
        server = server.workers(workers);
    }
    let server = server.bind(listen)?;
    let address = server.addrs().first().copied().unwrap_or(listen);
    Ok((address, server.run()))
}
