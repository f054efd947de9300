//! The `[http]` and `[viewer]` sections.

use std::path::PathBuf;

use serde::Deserialize;

use super::{Error, address, days, invalid, number, seconds};
use crate::http;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawHttp {
    listen: String,
    pub(super) allow_anonymous: bool,
    public_url: String,
    trusted_proxies: Vec<String>,
    allowed_origins: Vec<String>,
    body_idle_timeout_s: i64,
    uploads_max: i64,
    allow_delete: String,
    pub(super) commitment_keep_days: i64,
    results_max: i64,
    workers: i64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawViewer {
    dir: PathBuf,
}

impl RawHttp {
    pub(super) fn check(self, viewer: RawViewer) -> Result<http::Settings, Error> {
        if viewer.dir.as_os_str().is_empty() {
            return Err(invalid("viewer.dir", "is empty"));
        }
        let listen = address("http.listen", &self.listen)?;
        Ok(http::Settings {
            listen,
            public_url: public_url(&self.public_url)?,
            trusted_proxies: self
                .trusted_proxies
                .iter()
                .map(|text| {
                    text.parse()
                        .map_err(|_| invalid("http.trusted_proxies", "must be IP addresses"))
                })
                .collect::<Result<_, _>>()?,
            allowed_origins: self
                .allowed_origins
                .into_iter()
                .map(origin)
                .collect::<Result<_, _>>()?,
            body_idle_timeout: seconds("http.body_idle_timeout_s", self.body_idle_timeout_s)?,
            uploads_max: number("http.uploads_max", self.uploads_max, 1..=65_536)?,
            allow_delete: match self.allow_delete.as_str() {
                "always" => true,
                "loopback" => listen.ip().to_canonical().is_loopback(),
                "never" => false,
                _ => {
                    return Err(invalid(
                        "http.allow_delete",
                        "must be \"loopback\", \"always\" or \"never\"",
                    ));
                }
            },
            commitment_keep: days("http.commitment_keep_days", self.commitment_keep_days)?,
            results_max: number("http.results_max", self.results_max, 1..=1_000_000)?,
            workers: number("http.workers", self.workers, 0..=1_024)?,
            viewer_dir: viewer.dir,
        })
    }
}

fn public_url(text: &str) -> Result<Option<String>, Error> {
    let text = text.trim_end_matches('/');
    if text.is_empty() {
        return Ok(None);
    }
    let host = text
        .strip_prefix("https://")
        .or_else(|| text.strip_prefix("http://"));
    let is_clean = text
        .bytes()
        .all(|b| b.is_ascii_graphic() && !b"?#\"<>\\".contains(&b));
    match host {
        Some(rest) if is_clean && !rest.is_empty() && !rest.starts_with('/') => {
            Ok(Some(text.to_owned()))
        }
        _ => Err(invalid(
            "http.public_url",
            "must be empty or start with http:// or https://, without ? and #",
        )),
    }
}

fn origin(text: String) -> Result<String, Error> {
    let host = text
        .strip_prefix("https://")
        .or_else(|| text.strip_prefix("http://"));
    let is_origin =
        host.is_some_and(|h| !h.is_empty() && h.bytes().all(|b| b.is_ascii_graphic() && b != b'/'));
    if text == "*" || is_origin {
        return Ok(text);
    }
    Err(invalid(
        "http.allowed_origins",
        "must be \"*\" or origins such as https://viewer.example.org, without a path",
    ))
}
