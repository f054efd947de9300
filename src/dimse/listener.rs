//! Accepts connections and gives each a thread; counts them; ends them all when told to stop.
//!
//! Two bounds: established associations ([`Permit`], `associations_max`; one more is rejected as
//! transient), and connections outside an association, waiting for a request or for the peer to
//! close. When there are too many of those, the one that has waited longest is closed: a flood of
//! silent connections cannot keep anybody out for longer than a peer needs to speak up.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};
use std::{io, thread};

use tracing::{debug, info, warn};

use crate::access::Desk;
use crate::archive::Archive;
use crate::dimse::commitment::reporter::{self, Reports};
use crate::dimse::identity::Identities;
use crate::dimse::stream::Stream;
use crate::dimse::tls::{Acceptor, Files};
use crate::dimse::{Error, Settings, association};

/// Pause after a failed accept, which would fail again at once (out of file descriptors).
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// How long a stop waits for threads that were told to end at once.
const ABORT_GRACE: Duration = Duration::from_secs(2);

/// Bound sockets, not yet listening to anybody: the port of DICOM, and that of DICOM over TLS when
/// there is one.
pub struct Listener {
    plain: Door,
    secure: Option<Door>,
    house: Arc<House>,
}

/// A bound socket.
struct Door {
    socket: TcpListener,
    address: SocketAddr,
    is_secure: bool,
}

/// A listener at work.
pub struct Running {
    address: SocketAddr,
    secure_address: Option<SocketAddr>,
    house: Arc<House>,
    reporter: JoinHandle<()>,
    acceptors: Vec<(SocketAddr, JoinHandle<()>)>,
}

/// Reads certificates and users again.
#[derive(Clone)]
pub struct Reload(Weak<House>);

impl Reload {
    /// For connections from now on. What cannot be used changes nothing, and the log says so.
    pub fn all(&self) {
        let Some(house) = self.0.upgrade() else {
            return;
        };
        if let Some(tls) = &house.tls {
            tls.reload();
        }
        if let Some(identities) = &house.identities {
            identities.reload();
        }
        if house.tls.is_none() && house.identities.is_none() {
            info!(
                "certificates are read for each association that is asked for: there is nothing to read again"
            );
        }
    }
}

/// What all associations share.
pub(crate) struct House {
    pub(crate) settings: Settings,
    pub(crate) archive: Archive,
    /// Who keeps the audit trail.
    pub(crate) desk: Option<Arc<Desk>>,
    /// Event reports of storage commitment.
    pub(crate) reports: Arc<Reports>,
    tls: Option<Acceptor>,
    pub(crate) identities: Option<Identities>,
    stopping: AtomicBool,
    associations: Arc<AtomicUsize>,
    moves: Arc<AtomicUsize>,
    guests: Mutex<Guests>,
    /// Told whenever a guest has left.
    left: Condvar,
}

/// Everybody who is connected.
#[derive(Default)]
struct Guests {
    next: u64,
    /// By arrival. An evicted connection is no longer here, though its thread may still be.
    connections: BTreeMap<u64, Arc<Connection>>,
    /// Threads alive.
    threads: usize,
}

/// A connection, as its thread and the listener see it.
pub(crate) struct Connection {
    pub(crate) stream: Stream,
    pub(crate) address: SocketAddr,
    /// An association is established.
    pub(crate) is_associated: AtomicBool,
    /// A message is under way.
    pub(crate) is_busy: AtomicBool,
}

/// The right to have an association, or a move; given back when dropped.
pub(crate) struct Permit(Arc<AtomicUsize>);

impl Permit {
    fn take(taken: &Arc<AtomicUsize>, max: usize) -> Option<Self> {
        taken
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |now| {
                (now < max).then_some(now + 1)
            })
            .ok()
            .map(|_| Self(Arc::clone(taken)))
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Listener {
    /// Binds the addresses of the settings, and reads certificates and users. What is done goes into the audit trail of
    /// `desk`.
    ///
    /// # Errors
    /// When an address is taken or not ours, or a file cannot be used.
    pub fn bind(
        settings: Settings,
        archive: Archive,
        desk: Option<Arc<Desk>>,
    ) -> Result<Self, Error> {
        let plain = Door::bind(settings.listen, false)?;
        let tls = settings.tls.clone().map(Acceptor::open).transpose()?;
        let secure = settings
            .tls
            .as_ref()
            .map(|tls| Door::bind(tls.listen, true));
        let secure = secure.transpose()?;
        let identities = settings
            .identity
            .clone()
            .map(Identities::open)
            .transpose()?;
        let house = Arc::new(House {
            settings,
            archive,
            desk,
            reports: Arc::default(),
            tls,
            identities,
            stopping: AtomicBool::new(false),
            associations: Arc::default(),
            moves: Arc::default(),
            guests: Mutex::default(),
            left: Condvar::new(),
        });
        Ok(Self {
            plain,
            secure,
            house,
        })
    }

    /// The address that was bound, with the port that was given for port 0.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.plain.address
    }

    /// Starts to accept, on threads of its own.
    ///
    /// # Errors
    /// When the system has no thread left.
    pub fn start(self) -> Result<Running, Error> {
        let Self {
            plain,
            secure,
            house,
        } = self;
        let hosts = Arc::clone(&house);
        let reporter = Builder::new()
            .name("dimse-report".into())
            .spawn(move || reporter::run(&hosts))
            .map_err(Error::Thread)?;
        let mut running = Running {
            address: plain.address,
            secure_address: secure.as_ref().map(|door| door.address),
            house,
            acceptors: Vec::new(),
            reporter,
        };
        for door in [Some(plain), secure].into_iter().flatten() {
            let address = door.address;
            let hosts = Arc::clone(&running.house);
            let acceptor = Builder::new()
                .name("dimse-accept".into())
                .spawn(move || accept(&door, &hosts))
                .map_err(Error::Thread)?;
            running.acceptors.push((address, acceptor));
        }
        Ok(running)
    }
}

impl Door {
    fn bind(address: SocketAddr, is_secure: bool) -> Result<Self, Error> {
        let failed = |source| Error::Bind { address, source };
        let socket = TcpListener::bind(address).map_err(failed)?;
        let address = socket.local_addr().map_err(failed)?;
        Ok(Self {
            socket,
            address,
            is_secure,
        })
    }
}

impl Running {
    /// The address we listen on.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// The address for TLS.
    #[must_use]
    pub fn secure_addr(&self) -> Option<SocketAddr> {
        self.secure_address
    }

    /// Reads certificates and users again, when there are any: SIGHUP ends a server that has none.
    #[must_use]
    pub fn reload(&self) -> Option<Reload> {
        let settings = &self.house.settings;
        let has_files = self.house.tls.is_some()
            || self.house.identities.is_some()
            || settings.outgoing.tls != Files::default();
        has_files.then(|| Reload(Arc::downgrade(&self.house)))
    }

    /// How many associations are in the middle of a message.
    #[cfg(test)]
    pub(crate) fn busy(&self) -> usize {
        let guests = self.house.guests();
        guests
            .connections
            .values()
            .filter(|c| c.is_busy.load(Ordering::SeqCst))
            .count()
    }

    /// Ends gracefully: no new association from now on; one without a message under way is
    /// aborted at once, one in the middle of a message when that is answered, or after `grace`.
    /// Returns when all are gone, which takes little more than `grace`.
    pub fn stop(self, grace: Duration) {
        self.house.stopping.store(true, Ordering::SeqCst);
        self.house.reports.wake();
        for (address, acceptor) in self.acceptors {
            // It sits in accept(): a connection wakes it.
            let ip = match address.ip() {
                IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
                IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
                ip => ip,
            };
            let wake = SocketAddr::new(ip, address.port());
            if let Err(cause) = TcpStream::connect_timeout(&wake, ABORT_GRACE) {
                warn!(%cause, "the DICOM listener could not be woken");
            } else if acceptor.join().is_err() {
                warn!("the DICOM listener had panicked");
            }
        }
        self.house.end(|connection| match connection {
            Connection { is_associated, .. } if !is_associated.load(Ordering::SeqCst) => {
                Some(Shutdown::Both)
            }
            Connection { is_busy, .. } if !is_busy.load(Ordering::SeqCst) => Some(Shutdown::Read),
            _ => None,
        });
        if !self.house.wait_until_empty(grace) {
            // Reading ends, so that A-ABORT can still be written; then everything ends.
            self.house.end(|_| Some(Shutdown::Read));
            if !self.house.wait_until_empty(ABORT_GRACE) {
                self.house.end(|_| Some(Shutdown::Both));
                self.house.wait_until_empty(ABORT_GRACE);
            }
        }
        if self.reporter.join().is_err() {
            warn!("the reporter of storage commitment had panicked");
        }
        info!("the DICOM listener has stopped");
    }
}

/// Accepts until the server stops.
fn accept(door: &Door, house: &Arc<House>) {
    let mut is_failing = false;
    loop {
        let accepted = door.socket.accept();
        if house.is_stopping() {
            return;
        }
        match accepted {
            Ok((stream, address)) => {
                is_failing = false;
                house.welcome(stream, address, door.is_secure);
            }
            Err(cause) => {
                if !std::mem::replace(&mut is_failing, true) {
                    warn!(%cause, "cannot accept DICOM connections");
                }
                thread::sleep(ACCEPT_PAUSE);
            }
        }
    }
}

impl House {
    /// Whether [`Running::stop`] was called.
    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }

    /// The right to one more association, if there is any left.
    pub(crate) fn permit(&self) -> Option<Permit> {
        Permit::take(&self.associations, self.settings.associations_max)
    }

    /// The right to answer one more C-MOVE, if there is any left.
    pub(crate) fn move_permit(&self) -> Option<Permit> {
        Permit::take(&self.moves, self.settings.moves_max)
    }

    /// How many connections may be outside an association: as many peers again as are let in, at
    /// once, and some more.
    fn waiting_max(&self) -> usize {
        self.settings
            .associations_max
            .saturating_mul(2)
            .saturating_add(64)
    }

    /// Gives a connection its thread.
    fn welcome(self: &Arc<Self>, stream: TcpStream, address: SocketAddr, is_secure: bool) {
        // Without it a response waits for the peer's delayed acknowledgement: 40 ms each.
        if let Err(cause) = stream.set_nodelay(true) {
            debug!(%cause, peer = %address, "connection lost before it began");
            return;
        }
        let tls = self.tls.as_ref().filter(|_| is_secure);
        let stream = match tls.map(Acceptor::config) {
            None => Ok(Stream::plain(stream)),
            Some(config) => Stream::accepting(stream, config),
        };
        let stream = match stream {
            Ok(stream) => stream,
            Err(cause) => return warn!(%cause, peer = %address, "no TLS"),
        };
        let connection = Arc::new(Connection {
            stream,
            address,
            is_associated: AtomicBool::new(false),
            is_busy: AtomicBool::new(false),
        });
        let Some(guest) = Guest::enter(self, &connection) else {
            debug!(peer = %address, "too many connections at once: closed");
            return;
        };
        let spawned = Builder::new()
            .name("dimse".into())
            .spawn(move || association::serve(&guest.house, &connection));
        if let Err(cause) = spawned {
            warn!(%cause, peer = %address, "no thread for a DICOM connection");
        }
    }

    /// Shuts down connections, each as told.
    fn end(&self, how: impl Fn(&Connection) -> Option<Shutdown>) {
        for connection in self.guests().connections.values() {
            if let Some(how) = how(connection) {
                shutdown(connection, how);
            }
        }
    }

    /// Waits until every thread has ended, at most so long; whether it is so.
    fn wait_until_empty(&self, patience: Duration) -> bool {
        let deadline = Instant::now() + patience;
        let mut guests = self.guests();
        while guests.threads > 0 {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            guests = self
                .left
                .wait_timeout(guests, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        true
    }

    /// Nothing that holds the lock can panic half-way.
    fn guests(&self) -> MutexGuard<'_, Guests> {
        self.guests.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place among the guests; given back when dropped, on a panic too.
struct Guest {
    house: Arc<House>,
    number: u64,
}

impl Guest {
    /// Takes a place; the longest waiting connection outside an association may lose its own.
    fn enter(house: &Arc<House>, connection: &Arc<Connection>) -> Option<Self> {
        let mut guests = house.guests();
        let outside = |connection: &Connection| !connection.is_associated.load(Ordering::SeqCst);
        if guests.connections.values().filter(|c| outside(c)).count() >= house.waiting_max() {
            let oldest = guests
                .connections
                .iter()
                .find(|(_, c)| outside(c))
                .map(|(number, _)| *number);
            if let Some(evicted) = oldest.and_then(|number| guests.connections.remove(&number)) {
                shutdown(&evicted, Shutdown::Both);
            }
        }
        // Evicted threads need a moment to end; a flood faster than that is not let in at all.
        let threads_max = house
            .settings
            .associations_max
            .saturating_add(house.waiting_max() * 2);
        if guests.threads >= threads_max {
            return None;
        }
        let number = guests.next;
        guests.next += 1;
        guests.threads += 1;
        guests.connections.insert(number, Arc::clone(connection));
        Some(Self {
            house: Arc::clone(house),
            number,
        })
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let mut guests = self.house.guests();
        guests.connections.remove(&self.number);
        guests.threads -= 1;
        self.house.left.notify_all();
    }
}

/// A connection that is already gone needs no shutdown.
fn shutdown(connection: &Connection, how: Shutdown) {
    match connection.stream.shutdown(how) {
        Err(cause) if cause.kind() != io::ErrorKind::NotConnected => {
            debug!(%cause, peer = %connection.address, "cannot shut a connection down");
        }
        Ok(()) | Err(_) => {}
    }
}
