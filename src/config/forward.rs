//! The `[forward]` section: rules and destinations read, names resolved, ourselves told from others.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use serde::Deserialize;

use super::{Error, days, invalid, number, seconds};
use crate::archive::{Destination, ForwardRule, Forwarding};
use crate::forward::{Route, Settings, To, WebAddress};
use crate::{dimse, http};

/// The most rules: every instance is held against each.
const RULES_MAX: usize = 256;
/// The most destinations: each has a thread.
const DESTINATIONS_MAX: usize = 32;
/// The longest name of a destination, in bytes.
const NAME_BYTES_MAX: usize = 256;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawForward {
    rules: Vec<String>,
    destinations: Vec<String>,
    stable_s: i64,
    retry_s: i64,
    attempts: i64,
    give_up_days: i64,
}

impl RawForward {
    /// What storing needs, and what sending needs.
    pub(super) fn check(
        self,
        dicom: &dimse::Settings,
        web: &http::Settings,
    ) -> Result<(Arc<Forwarding>, Settings), Error> {
        if self.rules.len() > RULES_MAX {
            return Err(invalid("forward.rules", "are too many"));
        }
        let named = web_destinations(&self.destinations)?;
        // One that no rule names any more is served all the same, for what is queued.
        let route = |(name, address): &(&str, WebAddress)| Route {
            name: (*name).into(),
            to: To::Web(address.clone()),
        };
        let mut routes: Vec<Route> = named.iter().map(route).collect();
        let mut forwarding = Forwarding {
            stable_ms: i64::from(number::<u32>(
                "forward.stable_s",
                self.stable_s,
                1..=86_400,
            )?) * 1000,
            ..Forwarding::default()
        };
        for text in &self.rules {
            let wrong = |problem: String| {
                invalid("forward.rules", format!("the rule \"{text}\" {problem}"))
            };
            let (rule, name) = ForwardRule::parse(text).map_err(|p| wrong(p.into()))?;
            let place = match routes.iter().position(|route| *route.name == *name) {
                Some(place) => place,
                None => {
                    let to = destination(name, dicom).map_err(wrong)?;
                    routes.push(Route {
                        name: name.into(),
                        to,
                    });
                    routes.len() - 1
                }
            };
            if dicom.outgoing.peers.named(name).is_some() && named.iter().any(|(n, _)| *n == name) {
                return Err(wrong(
                    "names a destination that is in dicom.peers and in forward.destinations".into(),
                ));
            }
            if is_ourselves(&routes[place].to, dicom, web) {
                return Err(wrong("would send to ourselves".into()));
            }
            forwarding.rules.push((rule, place));
        }
        if routes.len() > DESTINATIONS_MAX {
            return Err(invalid("forward.rules", "name too many destinations"));
        }
        forwarding.destinations = routes.iter().map(told_apart).collect();
        let settings = Settings {
            routes,
            outgoing: dicom.outgoing.clone(),
            retry_wait: seconds("forward.retry_s", self.retry_s)?,
            attempts_max: number("forward.attempts", self.attempts, 1..=1_000)?,
            give_up_after: days("forward.give_up_days", self.give_up_days)?,
        };
        Ok((Arc::new(forwarding), settings))
    }
}

/// `NAME = URL [bearer-file PATH | basic-file PATH]`.
fn web_destinations(list: &[String]) -> Result<Vec<(&str, WebAddress)>, Error> {
    let mut named: Vec<(&str, WebAddress)> = Vec::new();
    for entry in list {
        // Not told whole: somebody may have written a secret.
        let name = entry.split_once('=').map_or("", |(name, _)| name.trim());
        let wrong =
            |problem: String| invalid("forward.destinations", format!("\"{name}\" {problem}"));
        let (_, address) = entry
            .split_once('=')
            .ok_or_else(|| wrong("must be NAME = URL".into()))?;
        if name.is_empty() || name.len() > NAME_BYTES_MAX || name.contains("://") {
            return Err(wrong("is no name".into()));
        }
        if named.iter().any(|(known, _)| *known == name) {
            return Err(wrong("comes twice".into()));
        }
        let address = WebAddress::parse(address).map_err(|error| wrong(error.to_string()))?;
        named.push((name, address));
    }
    Ok(named)
}

fn destination(name: &str, dicom: &dimse::Settings) -> Result<To, String> {
    if name.len() > NAME_BYTES_MAX {
        return Err("has a destination that is too long".into());
    }
    if name.contains("://") {
        let address = WebAddress::parse(name).map_err(|error| format!("has a URL that {error}"));
        return Ok(To::Web(address?));
    }
    match dicom.outgoing.peers.resolve(name) {
        Ok(peer) if peer.tls.is_some() && dicom.outgoing.tls.trusted.is_none() => {
            Err("goes over TLS: that needs dicom.tls_trusted_certificates".into())
        }
        Ok(peer) => Ok(To::Dicom(peer)),
        Err(_) => Err(
            "goes to what is no name of dicom.peers or forward.destinations, no AE@HOST:PORT and no URL".into(),
        ),
    }
}

fn told_apart(route: &Route) -> Destination {
    Destination {
        name: route.name.clone(),
        ae_title: match &route.to {
            To::Dicom(peer) => Some(peer.ae_title.as_str().into()),
            To::Web(_) => None,
        },
    }
}

/// Whether a destination is one of our own listeners, as far as that can be told without asking.
fn is_ourselves(to: &To, dicom: &dimse::Settings, web: &http::Settings) -> bool {
    match to {
        To::Dicom(peer) => {
            let secure = dicom.tls.as_ref().map(|tls| tls.listen);
            let mut ours = [Some(dicom.listen), secure].into_iter().flatten();
            ours.any(|listen| is_listener(&peer.host, peer.port, listen))
        }
        To::Web(address) => {
            let (host, port) = address.host();
            let is_public = web.public_url.as_ref().is_some_and(|url| {
                address
                    .url()
                    .starts_with(&format!("{}/", url.trim_end_matches('/')))
            });
            is_public || is_listener(&host, port, web.listen)
        }
    }
}

fn is_listener(host: &str, port: u16, listen: SocketAddr) -> bool {
    if port != listen.port() || port == 0 {
        return false;
    }
    let ours = listen.ip().to_canonical();
    match host.parse::<IpAddr>().map(|ip| ip.to_canonical()) {
        Ok(ip) => ip == ours || ip.is_loopback() && (ours.is_unspecified() || ours.is_loopback()),
        Err(_) => host == "localhost" && (ours.is_unspecified() || ours.is_loopback()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_listeners_are_known() {
        for (host, port, listen, is_ours) in [
            ("127.0.0.1", 104, "127.0.0.1:104", true),
            ("127.0.0.1", 105, "127.0.0.1:104", false),
            ("127.0.0.2", 104, "127.0.0.1:104", true),
            ("localhost", 104, "0.0.0.0:104", true),
            ("::1", 104, "[::]:104", true),
            ("10.0.0.1", 104, "10.0.0.1:104", true),
            ("10.0.0.1", 104, "0.0.0.0:104", false),
            ("pacs", 104, "0.0.0.0:104", false),
            ("localhost", 104, "10.0.0.1:104", false),
        ] {
            let listen = listen.parse().unwrap();
            assert_eq!(is_listener(host, port, listen), is_ours, "{host} {listen}");
        }
    }
}
