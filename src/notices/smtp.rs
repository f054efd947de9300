//! Handing in mail at a server (RFC 5321, RFC 8314): over TLS from the start, after STARTTLS or, on this machine only,
//! without. Each mail has a connection of its own. The passcode and the certificates are read each time.

mod conversation;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt as _;

use super::endpoint::{is_loopback, short_file};
use super::worker::Outcome;
use crate::access::Email;
use conversation::{Conversation, Step, Trouble};

/// How the way to the server is kept from others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encryption {
    /// TLS from the start.
    Implicit,
    /// TLS after STARTTLS; without it nothing is sent.
    StartTls,
    /// Not at all, which is for a server on this machine.
    Off,
}

impl Encryption {
    /// All of them, with their words and the port where such servers listen.
    pub const WORDS: [(Self, &'static str, u16); 3] = [
        (Self::Implicit, "implicit", 465),
        (Self::StartTls, "starttls", 587),
        (Self::Off, "off", 25),
    ];

    /// The one of a word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        let known = Self::WORDS.iter().find(|(_, known, _)| *known == word);
        known.map(|(encryption, ..)| *encryption)
    }

    /// Where such servers listen.
    #[must_use]
    pub fn port(self) -> u16 {
        let known = Self::WORDS.iter().find(|(known, ..)| *known == self);
        known.map_or(25, |(_, _, port)| *port)
    }
}

/// Where mail is handed in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailServer {
    /// A name or an address, which its certificate has to name.
    pub host: Box<str>,
    /// Its port.
    pub port: u16,
    /// How the way is kept from others.
    pub encryption: Encryption,
    /// From whom mail is.
    pub from: Email,
    /// As whom we sign in there, and the file of the passcode.
    pub user: Option<(String, PathBuf)>,
    /// Whose certificates are trusted; `None` for those that the system trusts.
    pub trusted: Option<PathBuf>,
}

impl MailServer {
    /// Whether it is on this machine, as far as its name says.
    #[must_use]
    pub fn is_here(&self) -> bool {
        is_loopback(&self.host)
    }

    /// Hands in a mail for somebody.
    pub(super) fn hand_in(&self, to: &Email, mail: &[u8]) -> Outcome {
        let user = match &self.user {
            Some((user, file)) => match short_file(file) {
                Ok(passcode) => Some((user, passcode)),
                Err(reason) => return Outcome::Unreachable(reason, None),
            },
            None => None,
        };
        let tls = match self.encryption {
            Encryption::Off => None,
            Encryption::Implicit | Encryption::StartTls => match tls(self.trusted.as_deref()) {
                Ok(config) => Some(config),
                Err(reason) => return Outcome::Unreachable(reason, None),
            },
        };
        let from_the_start = match self.encryption {
            Encryption::Implicit => tls.as_ref(),
            Encryption::StartTls | Encryption::Off => None,
        };
        let hand_in = || {
            let mut conversation = Conversation::begin(&self.host, self.port, from_the_start)?;
            if let (Encryption::StartTls, Some(config)) = (self.encryption, &tls) {
                conversation.start_tls(&self.host, config)?;
            }
            if let Some((user, passcode)) = &user {
                conversation.sign_in(user, passcode.trim_end_matches(['\r', '\n']))?;
            }
            conversation.hand_in(self.from.as_str(), to.as_str(), mail)
        };
        match hand_in() {
            Ok(()) => Outcome::Delivered,
            Err(trouble) => told(trouble),
        }
    }
}

/// TLS 1.2 or 1.3, and whom it trusts: who is named in a file, or whom the system trusts.
fn tls(trusted: Option<&Path>) -> Result<Arc<ClientConfig>, String> {
    let impossible = |error: rustls::Error| format!("TLS is not possible: {error}");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(impossible)?;
    let builder = match trusted {
        None => builder.with_platform_verifier().map_err(impossible)?,
        Some(path) => {
            let pem = std::fs::read(path).map_err(|cause| {
                format!("the trusted certificates cannot be read: {}", cause.kind())
            })?;
            let mut roots = RootCertStore::empty();
            for certificate in CertificateDer::pem_slice_iter(&pem).flatten() {
                roots.add(certificate).map_err(impossible)?;
            }
            if roots.is_empty() {
                return Err("the file of trusted certificates holds none".into());
            }
            builder.with_root_certificates(roots)
        }
    };
    Ok(Arc::new(builder.with_no_client_auth()))
}

/// What a failure means. What the server wrote may name whom the mail was for, and is not told.
fn told(trouble: Trouble) -> Outcome {
    let why = match trouble {
        Trouble::Said(step, code) => return of_code(step, code),
        // Sent again at once it would come again and again, and nobody else's at all.
        Trouble::Undecided => {
            return Outcome::Refused(
                "the mail server does not say whether it takes the mail".into(),
            );
        }
        Trouble::Late => "no answer in time".into(),
        Trouble::Lacks(what) => format!("it does not offer {what}"),
        Trouble::Nonsense => "what came is no SMTP".into(),
        // Certificates that are not trusted come wrapped, in words of rustls.
        Trouble::Lost(error) if error.kind() == io::ErrorKind::InvalidData => {
            format!("TLS failed: {error}")
        }
        Trouble::Lost(error) => format!("no connection: {}", error.kind()),
    };
    Outcome::Unreachable(why, None)
}

/// What the code of a reply means, which depends on what it answers (RFC 5321 §4.2.3 and §4.3.2, RFC 4954 §6).
fn of_code(step: Step, code: u16) -> Outcome {
    let reason = format!("the mail server answers {code}");
    match (step, code) {
        // No such mailbox, here or elsewhere, or no such name.
        (Step::Recipient, 550 | 551 | 553) => Outcome::Nobody(reason),
        // Before anybody is taken it wants to know who we are.
        (Step::Recipient, 530) => Outcome::Unreachable(reason, None),
        // It goes away, or does not let us in: all mails would end so.
        (_, 421 | 454) => Outcome::Unreachable(reason, None),
        // This mailbox for now, something about its address, or this mail: no reason for the others to wait.
        (Step::Recipient | Step::Mail, 400..=599) => Outcome::Refused(reason),
        // Nobody's mail is taken.
        _ => Outcome::Unreachable(reason, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mail_that_may_have_been_taken_is_not_the_next_again() {
        assert!(matches!(told(Trouble::Undecided), Outcome::Refused(_)));
        assert!(matches!(told(Trouble::Late), Outcome::Unreachable(..)));
    }

    #[test]
    fn replies_mean_what_the_standard_says() {
        // What answers before the recipient is named, to the recipient, and to the mail.
        for (code, expected) in [
            (421, ["Unreachable", "Unreachable", "Unreachable"]),
            (450, ["Unreachable", "Refused", "Refused"]),
            (451, ["Unreachable", "Refused", "Refused"]),
            (452, ["Unreachable", "Refused", "Refused"]),
            (454, ["Unreachable", "Unreachable", "Unreachable"]),
            (455, ["Unreachable", "Refused", "Refused"]),
            (471, ["Unreachable", "Refused", "Refused"]),
            (500, ["Unreachable", "Refused", "Refused"]),
            (501, ["Unreachable", "Refused", "Refused"]),
            (530, ["Unreachable", "Unreachable", "Refused"]),
            (535, ["Unreachable", "Refused", "Refused"]),
            (550, ["Unreachable", "Nobody", "Refused"]),
            (551, ["Unreachable", "Nobody", "Refused"]),
            (552, ["Unreachable", "Refused", "Refused"]),
            (553, ["Unreachable", "Nobody", "Refused"]),
            (554, ["Unreachable", "Refused", "Refused"]),
            (556, ["Unreachable", "Refused", "Refused"]),
        ] {
            let steps = [Step::Us, Step::Recipient, Step::Mail];
            for (step, expected) in steps.into_iter().zip(expected) {
                let outcome = format!("{:?}", of_code(step, code));
                assert!(outcome.starts_with(expected), "{step:?} {code}: {outcome}");
            }
        }
        for (encryption, word, port) in Encryption::WORDS {
            assert_eq!(Encryption::parse(word), Some(encryption));
            assert_eq!(encryption.port(), port);
        }
    }
}
