//! Other application entities, as people name them: `AE@HOST:PORT` (PS3.8 §7.1.1.4, Called AE Title and
//! Called Presentation Address), and the table of those that the configuration knows by name.

use std::fmt;
use std::str::FromStr;

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
        // An AE title may hold an @, a host may not.
        let (title, address) = text
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
        Ok(Self {
            ae_title,
            host: host.into(),
            port,
        })
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "{}@[{}]:{}", self.ae_title, self.host, self.port),
            false => write!(f, "{}@{}:{}", self.ae_title, self.host, self.port),
        }
    }
}

/// The peers that `[dicom] peers` names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Peers(Vec<(Box<str>, Peer)>);

impl Peers {
    /// Reads a list of `NAME = AE@HOST:PORT`; without a name, the AE title is the name.
    ///
    /// # Errors
    /// When an entry is malformed, or a name comes twice.
    pub fn parse<T: AsRef<str>>(list: &[T]) -> Result<Self, PeerError> {
        let mut peers: Vec<(Box<str>, Peer)> = Vec::with_capacity(list.len());
        for entry in list {
            let (name, address) = match entry.as_ref().split_once('=') {
                Some((name, address)) => (Some(name.trim()), address.trim()),
                None => (None, entry.as_ref().trim()),
            };
            let peer: Peer = address.parse()?;
            let name: Box<str> = name.unwrap_or(peer.ae_title.as_str()).into();
            if name.is_empty() || name.contains('@') {
                return Err(PeerError::Malformed {
                    text: entry.as_ref().into(),
                    problem: "the name is empty or has an @".into(),
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
            assert_eq!(peer.to_string(), text);
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
