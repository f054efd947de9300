//! The `[notices]` section: who is told what becomes of cases. Whether files of secrets and certificates are good is seen
//! when they are read.

use std::path::PathBuf;

use serde::Deserialize;

use super::{Error, days, invalid, number, seconds};
use crate::access::Email;
use crate::http;
use crate::notices::{Encryption, Endpoint, MailServer, Settings};

/// The most webhooks: each has a thread.
const WEBHOOKS_MAX: usize = 16;
/// The longest name of one. Bytes.
const NAME_BYTES_MAX: usize = 64;
/// The name that is not theirs.
const EMAIL: &str = crate::cases::notices::EMAIL;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawNotices {
    webhooks: Vec<String>,
    email_server: String,
    email_tls: String,
    email_from: String,
    email_user: String,
    email_passcode: PathBuf,
    email_trusted_certificates: PathBuf,
    due_soon_h: i64,
    retry_s: i64,
    give_up_s: i64,
    keep_days: i64,
}

impl RawNotices {
    pub(super) fn check(self, web: &http::Settings) -> Result<Settings, Error> {
        let webhooks = webhooks(&self.webhooks)?;
        let email = self.email()?;
        let due_soon_h: u64 = number("notices.due_soon_h", self.due_soon_h, 1..=24 * 30)?;
        let give_up_s: u64 = number("notices.give_up_s", self.give_up_s, 1..=86_400 * 365)?;
        Ok(Settings {
            webhooks,
            email,
            public_url: web.public_url.clone(),
            due_soon: std::time::Duration::from_secs(due_soon_h * 3600),
            retry_wait: seconds("notices.retry_s", self.retry_s)?,
            give_up_after: std::time::Duration::from_secs(give_up_s),
            keep: days("notices.keep_days", self.keep_days)?,
        })
    }

    fn email(&self) -> Result<Option<MailServer>, Error> {
        let encryption = Encryption::parse(&self.email_tls).ok_or_else(|| {
            invalid(
                "notices.email_tls",
                "must be \"implicit\", \"starttls\" or \"off\"",
            )
        })?;
        let user = match (self.email_user.as_str(), self.email_passcode.as_os_str()) {
            ("", passcode) if passcode.is_empty() => None,
            ("", _) => {
                let problem = "needs notices.email_user beside it";
                return Err(invalid("notices.email_passcode", problem));
            }
            (_, passcode) if passcode.is_empty() => {
                let problem = "needs notices.email_passcode beside it, the file of the passcode";
                return Err(invalid("notices.email_user", problem));
            }
            (user, _) => Some((user.to_owned(), self.email_passcode.clone())),
        };
        if self.email_server.is_empty() {
            return Ok(None);
        }
        let (host, port) = server(&self.email_server)?;
        let from = Email::parse(&self.email_from)
            .map_err(|error| invalid("notices.email_from", error.to_string()))?;
        let trusted = &self.email_trusted_certificates;
        let server = MailServer {
            host: host.into(),
            port: port.unwrap_or(encryption.port()),
            encryption,
            from,
            user,
            trusted: (!trusted.as_os_str().is_empty()).then(|| trusted.clone()),
        };
        if encryption == Encryption::Off && !server.is_here() {
            let problem = "\"off\" is for a server on this machine: mail and passcode would go over the network as they are";
            return Err(invalid("notices.email_tls", problem));
        }
        Ok(Some(server))
    }
}

/// `HOST` or `HOST:PORT`.
fn server(text: &str) -> Result<(&str, Option<u16>), Error> {
    let wrong = || invalid("notices.email_server", "must be HOST or HOST:PORT");
    let (host, port) = match text.rsplit_once(':') {
        // An address of IPv6 stands in brackets when there is a port.
        Some((host, port)) if !host.contains(':') || host.ends_with(']') => {
            let port: u16 = port.parse().map_err(|_| wrong())?;
            (
                host,
                Some(port)
                    .filter(|port| *port > 0)
                    .ok_or_else(wrong)
                    .map(Some)?,
            )
        }
        _ => (text, None),
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let is_good = |b: u8| b.is_ascii_alphanumeric() || b".-:_".contains(&b);
    match !host.is_empty() && host.len() <= 255 && host.bytes().all(is_good) {
        true => Ok((host, port)),
        false => Err(wrong()),
    }
}

/// `NAME = URL secret-file PATH`.
fn webhooks(list: &[String]) -> Result<Vec<(Box<str>, Endpoint)>, Error> {
    let mut named: Vec<(Box<str>, Endpoint)> = Vec::new();
    if list.len() > WEBHOOKS_MAX {
        return Err(invalid("notices.webhooks", "are too many"));
    }
    for entry in list {
        // Not told whole: somebody may have written a secret.
        let (name, endpoint) = entry
            .split_once('=')
            .ok_or_else(|| invalid("notices.webhooks", "must be NAME = URL secret-file PATH"))?;
        let name = name.trim();
        let wrong = |problem: String| invalid("notices.webhooks", format!("\"{name}\" {problem}"));
        let is_word = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
        if name.is_empty() || name.len() > NAME_BYTES_MAX || !name.bytes().all(is_word) {
            return Err(invalid(
                "notices.webhooks",
                "have names of letters, digits, '.', '_' and '-'",
            ));
        }
        if name == EMAIL {
            return Err(wrong("is what e-mail is called".into()));
        }
        if named.iter().any(|(known, _)| **known == *name) {
            return Err(wrong("comes twice".into()));
        }
        let endpoint = Endpoint::parse(endpoint).map_err(|error| wrong(error.to_string()))?;
        named.push((name.into(), endpoint));
    }
    Ok(named)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_of_mail_are_read() {
        let read = |text| server(text).ok();
        assert_eq!(read("mail.example.org"), Some(("mail.example.org", None)));
        assert_eq!(read("mail:25"), Some(("mail", Some(25))));
        assert_eq!(read("[::1]:587"), Some(("::1", Some(587))));
        assert_eq!(read("::1"), Some(("::1", None)));
        assert_eq!(read("127.0.0.1:1025"), Some(("127.0.0.1", Some(1025))));
        for text in [
            "",
            "mail:",
            "mail:0",
            "mail:99999",
            "a b",
            "smtp://mail",
            "me@mail",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn webhooks_have_names_of_their_own() {
        let read = |list: &[&str]| {
            let list: Vec<_> = list.iter().map(|text| (*text).to_owned()).collect();
            webhooks(&list).map_err(|error| error.to_string())
        };
        let good = "https://a.example/ secret-file s";
        let [a, b] = ["a", "b"].map(|name| format!("{name} = {good}"));
        assert_eq!(read(&[&a, &b]).unwrap().len(), 2);
        for (list, problem) in [
            (vec![&*a, &*a], "comes twice"),
            (vec!["email = https://a.example/ secret-file s"], "e-mail"),
            (vec!["https://a.example/ secret-file s"], "must be NAME"),
            (
                vec!["a b = https://a.example/ secret-file s"],
                "names of letters",
            ),
            (vec!["a = http://a.example/ secret-file s"], "use https"),
            (
                vec!["a = https://a.example/ whsec_geheim"],
                "secret-file PATH",
            ),
            (vec![&*a; 17], "too many"),
        ] {
            let told = read(&list).unwrap_err();
            assert!(told.contains(problem) && !told.contains("geheim"), "{told}");
        }
    }
}
