//! Other application entities, as people name them: `AE@HOST:PORT` (PS3.8 §7.1.1.4, Called AE Title and
//! Called Presentation Address), with ` tls` after it for DICOM over TLS, and the table of those that the
//! configuration knows by name.

use std::fmt;
use std::str::FromStr;

use rustls::pki_types::ServerName;

use crate::dicom::AeTitle;

/// Longer is no DNS name (RFC 1035 §2.3.4).
const HOST_CHARACTERS_MAX: usize = 253;

/// An application entity that can be called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Its AE title.
    pub ae_title: AeTitle,
    /// A DNS name or an IP address, IPv6 without brackets.
    pub host: Box<str>,
    /// Its TCP port.
    pub port: u16,
    /// The DNS name or IP address that its certificate has to name, when it is called over TLS.
    pub tls: Option<Box<str>>,
}

/// Why a text names no peer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PeerError {
    /// Neither an address nor a name of the table.
    #[error("{0:?} is no AE@HOST:PORT and no peer of dicom.peers")]
    Unknown(String),
    /// Something is wrong with an address.
    #[error("{text:?} is no AE@HOST:PORT: {problem}")]
    Malformed {
        /// What was written.
        text: String,
        /// What is wrong with it.
        problem: String,
    },
    /// Two rows of the table have one name.
    #[error("there are two peers named {0:?}")]
    Twice(String),
}

impl FromStr for Peer {
    type Err = PeerError;

    fn from_str(text: &str) -> Result<Self, PeerError> {
        let malformed = |problem: &str| PeerError::Malformed {
            text: text.chars().take(300).collect(),
            problem: problem.into(),
        };
        let (plain, tls) = match text.trim_end().rsplit_once(' ') {
            Some((plain, "tls")) => (plain, Some(None)),
            Some((plain, word)) if word.starts_with("tls=") => (plain, Some(Some(&word[4..]))),
            _ => (text, None),
        };
        // An AE title may hold an @, a host may not.
        let (title, address) = plain
            .rsplit_once('@')
            .ok_or_else(|| malformed("there is no @"))?;
        let ae_title = AeTitle::parse(title).map_err(|error| malformed(&error.to_string()))?;
        let (host, port) = address
            .rsplit_once(':')
            .ok_or_else(|| malformed("there is no port"))?;
        let port = port
            .trim_end()
            .parse()
            .ok()
            .filter(|port| *port > 0)
            .ok_or_else(|| malformed("the port is no number from 1 to 65535"))?;
        let is_bracketed = host.starts_with('[') && host.ends_with(']');
        let host = match host.strip_prefix('[').and_then(|h| h.strip_suffix(']')) {
            Some(inside) => inside,
            None => host,
        };
        let is_name = |b: u8| b.is_ascii_alphanumeric() || b"-._".contains(&b);
        let is_host = match is_bracketed {
            true => host.parse::<std::net::Ipv6Addr>().is_ok(),
            false => !host.is_empty() && host.bytes().all(is_name),
        };
        if !is_host || host.len() > HOST_CHARACTERS_MAX {
            return Err(malformed("the host is no name and no address"));
        }
        let tls = tls.map(|name| name.unwrap_or(host));
        if tls.is_some_and(|name| ServerName::try_from(name).is_err()) {
            return Err(malformed(
                "no certificate can name that: no DNS name and no address",
            ));
        }
        Ok(Self {
            ae_title,
            host: host.into(),
            port,
            tls: tls.map(Into::into),
        })
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "{}@[{}]:{}", self.ae_title, self.host, self.port)?,
            false => write!(f, "{}@{}:{}", self.ae_title, self.host, self.port)?,
        }
        match &self.tls {
            None => Ok(()),
            Some(name) if *name == self.host => f.write_str(" tls"),
            Some(name) => write!(f, " tls={name}"),
        }
    }
}

/// The peers that `[dicom] peers` names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Peers(Vec<(Box<str>, Peer)>);

impl Peers {
    /// Reads a list of `NAME = AE@HOST:PORT`, perhaps with ` tls` or ` tls=NAME` after it; without a
    /// name, the AE title is the name.
    ///
    /// # Errors
    /// When an entry is malformed, or a name comes twice.
    pub fn parse<T: AsRef<str>>(list: &[T]) -> Result<Self, PeerError> {
        let mut peers: Vec<(Box<str>, Peer)> = Vec::with_capacity(list.len());
        for entry in list {
            // What follows the address may hold an = too.
            let named = entry.as_ref().split_once('=');
            let (name, address) = match named.filter(|(name, _)| !name.contains('@')) {
                Some((name, address)) => (Some(name.trim()), address.trim()),
                None => (None, entry.as_ref().trim()),
            };
            let peer: Peer = address.parse()?;
            let name: Box<str> = name.unwrap_or(peer.ae_title.as_str()).into();
            if name.is_empty() {
                return Err(PeerError::Malformed {
                    text: entry.as_ref().into(),
                    problem: "the name is empty".into(),
                });
            }
            if peers.iter().any(|(known, _)| *known == name) {
                return Err(PeerError::Twice(name.into()));
            }
            peers.push((name, peer));
        }
        Ok(Self(peers))
    }

    /// What somebody typed: an address, or a name of the table.
    ///
    /// # Errors
    /// When it is neither.
    pub fn resolve(&self, text: &str) -> Result<Peer, PeerError> {
        match self.named(text) {
            Some(peer) => Ok(peer.clone()),
            None if text.contains('@') => text.parse(),
            None => Err(PeerError::Unknown(text.chars().take(300).collect())),
        }
    }

    /// The name of a peer that is called over TLS, if there is any.
    #[must_use]
    pub fn over_tls(&self) -> Option<&str> {
        let found = self.0.iter().find(|(_, peer)| peer.tls.is_some());
        found.map(|(name, _)| &**name)
    }

    /// The names, in the order of the configuration.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| &**name)
    }

    /// The peer of this name.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<&Peer> {
        let found = self.0.iter().find(|(known, _)| **known == *name);
        found.map(|(_, peer)| peer)
    }

    /// The peer that a C-MOVE names by its AE title (PS3.4 §C.4.2.1); the first, when several have it.
    #[must_use]
    pub fn destination(&self, ae_title: &AeTitle) -> Option<&Peer> {
        let found = self.0.iter().find(|(_, peer)| peer.ae_title == *ae_title);
        found.map(|(_, peer)| peer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_written() {
        for (text, title, host, port) in [
            ("PACS@10.0.0.1:104", "PACS", "10.0.0.1", 104),
            (
                "CT 1@ct-1.example.org:11112",
                "CT 1",
                "ct-1.example.org",
                11112,
            ),
            ("A@B@localhost:4242", "A@B", "localhost", 4242),
            ("PACS@[2001:db8::1]:104", "PACS", "2001:db8::1", 104),
        ] {
            let peer: Peer = text.parse().unwrap();
            assert_eq!(
                (peer.ae_title.as_str(), &*peer.host, peer.port),
                (title, host, port)
            );
            assert_eq!((peer.to_string(), peer.tls), (text.to_owned(), None));
        }
    }

    #[test]
    fn a_peer_may_be_called_over_tls() {
        for (text, name) in [
            ("PACS@pacs.example.org:2762 tls", "pacs.example.org"),
            (
                "PACS@10.0.0.1:2762 tls=pacs.example.org",
                "pacs.example.org",
            ),
            ("PACS@[2001:db8::1]:2762 tls", "2001:db8::1"),
            ("PACS@h:2762 tls=2001:db8::1", "2001:db8::1"),
            ("A tls@h:104 tls", "h"),
        ] {
            let peer: Peer = text.parse().unwrap();
            assert_eq!(peer.tls.as_deref(), Some(name), "{text}");
            assert_eq!(peer.to_string(), text);
            let peers = Peers::parse(&[format!("x = {text}"), text.into()]).unwrap();
            assert_eq!(peers.resolve("x").as_ref(), Ok(&peer));
            assert_eq!(peers.over_tls(), Some("x"));
        }
        for text in [
            "A@h:1 tls=",
            "A@h:1 tls=a b",
            "A@h:1 tls=a@b",
            "A@h:1 ssl",
            "A@h:1tls",
        ] {
            assert!(text.parse::<Peer>().is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_no_address_is_told() {
        for text in [
            "PACS",
            "PACS@host",
            "@host:104",
            "PACS@:104",
            "PACS@host:0",
            "PACS@host:65536",
            "PACS@host:port",
            "PACS@ho st:104",
            "PACS@[host]:104",
            "PACS@2001:db8::1:104",
            "SEVENTEEN LETTERS@host:104",
            "A\\B@host:104",
        ] {
            assert!(text.parse::<Peer>().is_err(), "{text}");
        }
        let long = format!("A@{}:104", "x".repeat(254));
        assert!(long.parse::<Peer>().is_err());
    }

    #[test]
    fn a_table_names_peers() {
        let list = ["archive = PACS@10.0.0.1:104", "CT1@ct1:11112"];
        let peers = Peers::parse(&list).unwrap();
        assert_eq!(
            peers.resolve("archive").unwrap().to_string(),
            "PACS@10.0.0.1:104"
        );
        assert_eq!(peers.resolve("CT1").unwrap().to_string(), "CT1@ct1:11112");
        assert_eq!(peers.resolve("X@y:1").unwrap().to_string(), "X@y:1");
        assert_eq!(
            peers.resolve("PACS"),
            Err(PeerError::Unknown("PACS".into()))
        );
        let title = AeTitle::parse("PACS").unwrap();
        assert_eq!(peers.destination(&title), peers.named("archive"));
        assert!(Peers::parse(&["A@h:1", "A@h:2"]).is_err());
        assert!(Peers::parse(&["= A@h:1"]).is_err());
        assert!(Peers::parse(&["x = A"]).is_err());
    }
}
