//! Names of hosts made addresses, in bounded time: the system's resolver waits as long as it likes
//! for a server that does not answer, on a thread of its own that nobody waits for.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::sync_channel;
use std::thread::Builder;
use std::time::Duration;

use super::failure::Failure;

/// Names that are looked up at once; one more is not.
const LOOK_UPS_MAX: usize = 32;
/// Addresses of one name that are tried.
const ADDRESSES_MAX: usize = 8;

static LOOK_UPS: AtomicUsize = AtomicUsize::new(0);

/// A place among those that are looked up; given back when dropped.
struct Place;

impl Place {
    fn take() -> Option<Self> {
        let more = |now| (now < LOOK_UPS_MAX).then_some(now + 1);
        LOOK_UPS
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, more)
            .ok()
            .map(|_| Self)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        LOOK_UPS.fetch_sub(1, Ordering::SeqCst);
    }
}

/// The addresses of a host, within `patience`.
pub(super) fn resolve(
    host: &str,
    port: u16,
    patience: Duration,
) -> Result<Vec<SocketAddr>, Failure> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    look_up(patience, {
        let host = host.to_owned();
        move || Ok((host.as_str(), port).to_socket_addrs()?.collect())
    })
}

fn look_up(
    patience: Duration,
    ask: impl FnOnce() -> io::Result<Vec<SocketAddr>> + Send + 'static,
) -> Result<Vec<SocketAddr>, Failure> {
    let unresolved = |kind, why: &str| Failure::Resolve(io::Error::new(kind, why));
    let place = Place::take()
        .ok_or_else(|| unresolved(io::ErrorKind::ResourceBusy, "too many names are looked up"))?;
    let (tell, told) = sync_channel(1);
    Builder::new()
        .name("resolve".into())
        .spawn(move || {
            let _place = place;
            // Nobody may be waiting any more.
            let _ = tell.send(ask());
        })
        .map_err(Failure::Resolve)?;
    let mut addresses = told
        .recv_timeout(patience)
        .map_err(|_| unresolved(io::ErrorKind::TimedOut, "no answer in time"))?
        .map_err(Failure::Resolve)?;
    addresses.truncate(ADDRESSES_MAX);
    Ok(addresses)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn an_address_is_its_own_name() {
        for (host, expected) in [("127.0.0.1", "127.0.0.1:104"), ("::1", "[::1]:104")] {
            let found = resolve(host, 104, Duration::ZERO).unwrap();
            assert_eq!(found, [expected.parse().unwrap()]);
        }
    }

    #[test]
    fn a_resolver_that_hangs_is_not_waited_for_and_has_few_threads() {
        let (end, hang) = mpsc::channel::<()>();
        let hang = std::sync::Arc::new(std::sync::Mutex::new(hang));
        let ask = |patience| {
            let hang = hang.clone();
            look_up(patience, move || {
                let _ = hang.lock().unwrap().recv();
                Ok(Vec::new())
            })
        };
        let mut told = Vec::new();
        for _ in 0..=LOOK_UPS_MAX {
            told.push(ask(Duration::from_millis(1)).unwrap_err().to_string());
        }
        assert!(told[0].contains("no answer in time"), "{told:?}");
        assert!(told[LOOK_UPS_MAX].contains("too many"), "{told:?}");
        drop(end);
        // Those that hung have given their places back.
        while LOOK_UPS.load(Ordering::SeqCst) > 0 {
            std::thread::yield_now();
        }
        assert_eq!(ask(Duration::from_secs(10)).unwrap(), []);
        let local = resolve("localhost", 104, Duration::from_secs(10)).unwrap();
        assert!(local.iter().all(|address| address.ip().is_loopback()));
    }
}
