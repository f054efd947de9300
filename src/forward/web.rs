//! A batch to a DICOMweb destination: where it is, with which secret, and what the status of each
//! request means (PS3.18 Table 10.5.3-1).

use std::path::PathBuf;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ureq::http::Uri;

use super::stow::{Part, Store, Trouble, target};
use super::stow_answer::{Told, Word};
use super::worker::{Batch, DUPLICATE, Unreachable, Worker};
use crate::access::Scope;
use crate::archive::queue::{Ended, Ending, Queued};
use crate::archive::{Error, Located, Syntax};

/// The most instances of one request.
const PARTS_MAX: usize = 50;
/// No further instance joins a request of this size. Bytes.
const REQUEST_BYTES: u64 = 32 << 20;
/// Longer is no secret. Bytes.
const SECRET_BYTES_MAX: usize = 16 << 10;

/// Failure Reason: the transfer syntax is not supported (PS3.18 Table I.2-2).
const NO_SUCH_SYNTAX: u16 = 0xC122;

/// The Store resource of a DICOMweb server, as the configuration names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebAddress {
    /// Ends with `/studies`.
    pub(super) url: Box<str>,
    secret: Option<(Scheme, PathBuf)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scheme {
    Bearer,
    Basic,
}

/// Why a text is no address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WebAddressError {
    /// No URL of a kind that can be used.
    #[error("must be http:// or https://HOST[:PORT]/PATH, without ?, # and password")]
    Url,
    /// What follows the URL.
    #[error("takes \"bearer-file PATH\" or \"basic-file PATH\" after the URL, nothing else")]
    Secret,
    /// A secret that everybody on the way could read.
    #[error("would send its secret over http:// to another machine; use https://")]
    Exposed,
}

impl WebAddress {
    /// Reads `URL [bearer-file PATH | basic-file PATH]`. The URL is that of the DICOMweb root, or of
    /// its `/studies`.
    ///
    /// # Errors
    /// What is wrong with it; the text itself may hold a secret and is not told.
    pub fn parse(text: &str) -> Result<Self, WebAddressError> {
        let (url, rest) = text.trim().split_once(' ').unwrap_or((text.trim(), ""));
        let uri: Uri = url.parse().map_err(|_| WebAddressError::Url)?;
        let authority = uri.authority().ok_or(WebAddressError::Url)?;
        let is_web = matches!(uri.scheme_str(), Some("http" | "https"));
        if !is_web || authority.host().is_empty() || url.contains(['?', '#', '@']) {
            return Err(WebAddressError::Url);
        }
        let secret = match rest.trim().split_once(' ') {
            None if rest.trim().is_empty() => None,
            Some(("bearer-file", path)) => Some((Scheme::Bearer, path.trim().into())),
            Some(("basic-file", path)) => Some((Scheme::Basic, path.trim().into())),
            _ => return Err(WebAddressError::Secret),
        };
        let root = url.trim_end_matches('/');
        let address = Self {
            url: match root.ends_with("/studies") {
                true => root.into(),
                false => format!("{root}/studies").into(),
            },
            secret,
        };
        if address.secret.is_some() && uri.scheme_str() == Some("http") && !address.is_loopback() {
            return Err(WebAddressError::Exposed);
        }
        Ok(address)
    }

    /// Host, in lower case and without brackets, and port.
    #[must_use]
    pub fn host(&self) -> (String, u16) {
        let uri: Uri = self.url.parse().unwrap_or_default();
        let host = uri.host().unwrap_or_default().to_ascii_lowercase();
        let implied = if uri.scheme_str() == Some("https") {
            443
        } else {
            80
        };
        let host = host.trim_matches(['[', ']']).to_owned();
        (host, uri.port_u16().unwrap_or(implied))
    }

    /// The URL of the Store resource.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    pub(super) fn is_loopback(&self) -> bool {
        let (host, _) = self.host();
        host == "localhost"
            || host
                .parse::<std::net::IpAddr>()
                .is_ok_and(|ip| ip.to_canonical().is_loopback())
    }

    /// The value of Authorization. Read each time: secrets are renewed.
    pub(super) fn authorization(&self) -> Result<Option<String>, String> {
        let Some((scheme, path)) = &self.secret else {
            return Ok(None);
        };
        let text = std::fs::read_to_string(path)
            .map_err(|cause| format!("the file of its secret cannot be read: {}", cause.kind()))?;
        let secret = text.trim();
        let is_plain = !secret.is_empty() && secret.bytes().all(|b| (b' '..=b'~').contains(&b));
        match scheme {
            _ if secret.len() > SECRET_BYTES_MAX => {
                Err("the file of its secret is too long".into())
            }
            Scheme::Bearer if is_plain => Ok(Some(format!("Bearer {secret}"))),
            Scheme::Basic if secret.contains(':') => {
                Ok(Some(format!("Basic {}", STANDARD.encode(secret))))
            }
            Scheme::Bearer => Err("the file of its secret holds no token".into()),
            Scheme::Basic => Err("the file of its secret holds no USER:PASSWORD".into()),
        }
    }
}

/// What is left to do for a request.
enum Next {
    /// Nothing: every instance of it has ended.
    Done,
    /// Send each by itself: one of them may be to blame.
    Split,
    /// Send these again, in another syntax.
    Again(Vec<Part>),
    /// Nothing can be sent at present.
    Leave(Unreachable),
}

impl Worker {
    pub(super) fn send_by_web(
        &self,
        address: &WebAddress,
        queued: Vec<Queued>,
    ) -> Result<Batch, Error> {
        let mut batch = Batch::default();
        let store = match Store::new(address, self.outgoing.answer_timeout) {
            Ok(store) => store,
            Err(reason) => {
                batch.unreachable = Some(Unreachable { reason, wait: None });
                return Ok(batch);
            }
        };
        let mut waiting = queued.into_iter().peekable();
        while waiting.peek().is_some() && !self.signal.is_given() {
            let parts = self.next_request(&mut waiting)?;
            if let Some(unreachable) = self.send_parts(&store, parts, &mut batch)? {
                batch.unreachable = Some(unreachable);
                break;
            }
        }
        Ok(batch)
    }

    /// As many of one study as go well in one request. What was sent in vain goes by itself.
    fn next_request(
        &self,
        waiting: &mut std::iter::Peekable<std::vec::IntoIter<Queued>>,
    ) -> Result<Vec<Part>, Error> {
        let (mut parts, mut bytes): (Vec<Part>, u64) = (Vec::new(), 0);
        while let Some(next) = waiting.peek() {
            let is_fitting = parts.first().is_none_or(|first| {
                next.study_instance_uid == first.queued.study_instance_uid
                    && next.attempts + first.queued.attempts == 0
            });
            if !is_fitting || parts.len() == PARTS_MAX || bytes >= REQUEST_BYTES {
                break;
            }
            let Some(queued) = waiting.next() else { break };
            // What is not there any more was removed meanwhile.
            if let Some(located) = self.located(&queued)? {
                bytes += located.locator.length;
                parts.push(Part::new(queued, located, Syntax::Stored));
            }
        }
        Ok(parts)
    }

    fn located(&self, queued: &Queued) -> Result<Option<Located>, Error> {
        let found = self.archive.locate(&target(queued), &Scope::All, None, 1)?;
        Ok(found.into_iter().next())
    }

    /// Sends until each has ended, or nothing more can be sent.
    fn send_parts(
        &self,
        store: &Store,
        parts: Vec<Part>,
        batch: &mut Batch,
    ) -> Result<Option<Unreachable>, Error> {
        let mut requests = vec![parts];
        while let Some(parts) = requests.pop() {
            if parts.is_empty() || self.signal.is_given() {
                continue;
            }
            match self.send_request(store, &parts, batch)? {
                Next::Done => {}
                // Some may be stored, which nobody has said.
                Next::Split => requests.extend(parts.into_iter().map(|mut part| {
                    part.queued.is_doubtful = true;
                    vec![part]
                })),
                Next::Again(parts) => requests.push(parts),
                Next::Leave(unreachable) => return Ok(Some(unreachable)),
            }
        }
        Ok(None)
    }

    fn send_request(
        &self,
        store: &Store,
        parts: &[Part],
        batch: &mut Batch,
    ) -> Result<Next, Error> {
        let is_single = parts.len() == 1;
        let all_refused = |reason: String| -> Vec<Ended> {
            let ended = |part: &Part| Ended {
                queued: part.queued.clone(),
                ending: self.refused(&part.queued, reason.clone()),
            };
            parts.iter().map(ended).collect()
        };
        let leave = |reason, wait| Next::Leave(Unreachable { reason, wait });
        let queued: Vec<Queued> = parts.iter().map(|part| part.queued.clone()).collect();
        self.archive.note_begun(&self.destination, &queued)?;
        let told = match store.send(&self.archive, parts, &self.signal) {
            Ok(told) => told,
            Err(Trouble::Stopped) => return Ok(Next::Done),
            Err(Trouble::Unreachable(reason)) => {
                let unsent = |queued| Ended {
                    queued,
                    ending: Ending::Unsent,
                };
                self.note(&queued.into_iter().map(unsent).collect::<Vec<_>>(), batch)?;
                return Ok(leave(reason, None));
            }
            Err(Trouble::Ours(at, reason)) if is_single || at >= parts.len() => {
                self.note(&all_refused(reason), batch)?;
                return Ok(Next::Done);
            }
            Err(Trouble::Ours(..)) => return Ok(Next::Split),
            // It may be what was sent that breaks it: then only that fails in the end.
            Err(Trouble::Lost(reason)) => {
                let lost = |part: &Part| Ended {
                    queued: part.queued.clone(),
                    ending: self.lost(&part.queued, reason.clone()),
                };
                self.note(&parts.iter().map(lost).collect::<Vec<_>>(), batch)?;
                return Ok(leave(reason, None));
            }
        };
        let Told { status, .. } = told;
        Ok(match status {
            // A proxy that knows nothing of Expect (RFC 9110 §10.1.1).
            417 if store.expects_less() => Next::Again(parts.to_vec()),
            200 | 202 | 409 => self.heard(parts, &told, batch)?,
            408 | 425 | 429 | 502..=504 | 507 => {
                leave(format!("it answers HTTP {status}"), told.retry_after)
            }
            // Something of the request: which instance is to blame is seen when each goes by itself.
            400 | 413 | 422 | 500 if is_single => {
                self.note(&all_refused(format!("it answers HTTP {status}")), batch)?;
                Next::Done
            }
            400 | 413 | 422 | 500 => Next::Split,
            // No right, no such resource, no such media type, a redirection: somebody must act.
            _ => leave(format!("it answers HTTP {status}"), told.retry_after),
        })
    }

    /// The response tells of each instance.
    fn heard(&self, parts: &[Part], told: &Told, batch: &mut Batch) -> Result<Next, Error> {
        let (mut ended, mut again) = (Vec::new(), Vec::new());
        for part in parts {
            let queued = &part.queued;
            let ending = match told.word(&queued.sop_instance_uid) {
                Word::Stored => Ending::Sent,
                Word::Refused(DUPLICATE) => {
                    let reason = format!("refused: failure reason {DUPLICATE:04X}H, duplicate");
                    self.duplicate(queued, reason)
                }
                Word::Refused(reason) => {
                    if reason == NO_SUCH_SYNTAX
                        && let Some(part) = self.explicit(part)?
                    {
                        again.push(part);
                        continue;
                    }
                    self.refused(queued, format!("refused: failure reason {reason:04X}H"))
                }
                Word::Nothing => {
                    let status = told.status;
                    let reason = format!("it answers HTTP {status} and does not tell of it");
                    self.refused(queued, reason)
                }
            };
            ended.push(Ended {
                queued: queued.clone(),
                ending,
            });
        }
        self.note(&ended, batch)?;
        Ok(match again.is_empty() {
            true => Next::Done,
            false => Next::Again(again),
        })
    }

    /// The same in Explicit VR Little Endian, native pixel data, where that can be made of it.
    fn explicit(&self, part: &Part) -> Result<Option<Part>, Error> {
        let syntax = Syntax::ExplicitLittle;
        if part.syntax == syntax {
            return Ok(None);
        }
        let Some(located) = self.located(&part.queued)? else {
            return Ok(None);
        };
        match self.archive.can_give(&located, syntax, &Scope::All) {
            Ok(true) => Ok(Some(Part::new(part.queued.clone(), located, syntax))),
            Ok(false) | Err(Error::NotFound) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// Retry-After in seconds (RFC 9110 §10.2.3); a date is as good as none.
pub(crate) fn retry_after(value: Option<&str>) -> Option<Duration> {
    value?.trim().parse().ok().map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_checked() {
        for (text, url) in [
            (
                "https://a.example/dicom-web",
                "https://a.example/dicom-web/studies",
            ),
            (
                "https://a.example/dicom-web/studies/",
                "https://a.example/dicom-web/studies",
            ),
            (
                "http://127.0.0.1:8042 bearer-file /run/token",
                "http://127.0.0.1:8042/studies",
            ),
            (
                "http://[::1]:8042/x basic-file a b",
                "http://[::1]:8042/x/studies",
            ),
            ("http://10.0.0.1/x", "http://10.0.0.1/x/studies"),
        ] {
            assert_eq!(WebAddress::parse(text).unwrap().url(), url);
        }
        for (text, error) in [
            ("a.example/dicom-web", WebAddressError::Url),
            ("ftp://a.example/", WebAddressError::Url),
            ("https://me:secret@a.example/", WebAddressError::Url),
            ("https://a.example/?a", WebAddressError::Url),
            ("https://a.example/ token abc", WebAddressError::Secret),
            ("https://a.example/ bearer-file", WebAddressError::Secret),
            (
                "http://10.0.0.1/x bearer-file /run/token",
                WebAddressError::Exposed,
            ),
        ] {
            assert_eq!(WebAddress::parse(text), Err(error), "{text}");
        }
        let host = |text| WebAddress::parse(text).unwrap().host();
        assert_eq!(host("https://A.example/x"), ("a.example".into(), 443));
        assert_eq!(host("http://[::1]:8042/x"), ("::1".into(), 8042));
    }

    #[test]
    fn secrets_are_read_from_their_files() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        let of = |kind: &str, text: &[u8]| {
            std::fs::write(&path, text).unwrap();
            let address = format!("https://a.example/ {kind} {}", path.display());
            WebAddress::parse(&address).unwrap().authorization()
        };
        assert_eq!(
            of("bearer-file", b"abc.def\n"),
            Ok(Some("Bearer abc.def".into()))
        );
        // RFC 7617 §2.
        let aladdin = of("basic-file", b"Aladdin:open sesame\n");
        assert_eq!(
            aladdin,
            Ok(Some("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==".into()))
        );
        for (kind, text) in [
            ("bearer-file", &b""[..]),
            ("bearer-file", b"a\r\nb"),
            ("basic-file", b"nobody"),
            ("basic-file", b"\xff:\xff"),
        ] {
            assert!(of(kind, text).is_err());
        }
    }
}
