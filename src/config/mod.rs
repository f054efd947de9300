//! Settings: the embedded `config/default.toml` < `--config FILE` < environment
//! `OVERREAD_SECTION__KEY` < flags. [`layers`] merges them as text and types, this file checks the
//! values once and hands each room its own typed settings; nobody checks them again.
//!
//! `default.toml` is the schema: a key that does not stand there is unknown, a value of another
//! type is wrong. An error names the key, where it was set, and the nearest known key.

mod access;
mod forward;
mod ingest;
mod layers;
mod notices;
mod security;
#[cfg(test)]
mod tests;
mod web;

use std::fmt::Debug;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use crate::access::{self as entrance, SignIn};
use crate::archive::IngestSettings;
use crate::dicom::{AeTitle, AeTitles};
use crate::{dimse, forward as forwarder, http, notices as messenger};

pub use layers::{Flag, Sources};

/// The built-in defaults, every key with its documentation.
pub const DEFAULT_TOML: &str = include_str!("../../config/default.toml");

/// Why the program does not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file given by `--config` cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file given by `--config` is no TOML.
    #[error("{} is not valid TOML: {message}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Where and what.
        message: String,
    },
    /// A key that nobody reads.
    #[error("unknown key {key} in {origin}; did you mean {nearest}?")]
    UnknownKey {
        /// The key, as it was written.
        key: String,
        /// Which layer has it.
        origin: String,
        /// The known key that is spelled most like it.
        nearest: String,
    },
    /// A value of another type than the default's.
    #[error("{key} in {origin} must be {expected}")]
    WrongType {
        /// The key.
        key: String,
        /// Which layer has it.
        origin: String,
        /// What the default is.
        expected: &'static str,
    },
    /// A value that cannot be.
    #[error("{key}: {problem}")]
    Invalid {
        /// The key.
        key: String,
        /// What is wrong with its value.
        problem: String,
    },
}

/// All settings, checked.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where the archive lives.
    pub data_dir: PathBuf,
    /// Listening on other than loopback addresses although nobody has to log in.
    pub allow_anonymous: bool,
    /// Who has to sign in.
    pub access: entrance::Settings,
    /// The web listener.
    pub http: http::Settings,
    /// The DICOM listener.
    pub dicom: dimse::Settings,
    /// What is taken and kept.
    pub ingest: IngestSettings,
    /// What goes on to other archives.
    pub forward: forwarder::Settings,
    /// Who is told what becomes of cases.
    pub notices: messenger::Settings,
    /// What is told of opinions.
    pub statistics: StatisticsSettings,
    /// `overread import`.
    pub import: ImportSettings,
    /// What is logged, and how.
    pub log: LogSettings,
}

/// The `[statistics]` section, checked.
#[derive(Debug, Clone, Copy)]
pub struct StatisticsSettings {
    /// The fewest opinions that a group is told of.
    pub group_size_min: u64,
}

/// The `[import]` section, checked.
#[derive(Debug, Clone, Copy)]
pub struct ImportSettings {
    /// The most entries of one ZIP archive.
    pub zip_entries_max: u64,
    /// How many times its own size a ZIP archive may inflate to.
    pub zip_ratio_max: u64,
}

/// The `[log]` section, checked.
#[derive(Debug, Clone)]
pub struct LogSettings {
    /// A level, or a filter of `tracing_subscriber::EnvFilter`.
    pub level: String,
    /// The shape of a line.
    pub format: LogFormat,
}

/// The shape of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line, for collectors.
    Json,
}

impl Settings {
    /// Merges the layers and checks the result.
    ///
    /// # Errors
    /// The first thing that is wrong, in words for whoever wrote it.
    pub fn load(sources: &Sources) -> Result<Self, Error> {
        let merged = layers::merge(sources)?;
        let raw: Raw = merged
            .try_into()
            .map_err(|error: toml::de::Error| Error::Invalid {
                key: "configuration".into(),
                problem: error.to_string().trim().replace('\n', " "),
            })?;
        raw.check()
    }

    /// Refuses to listen where strangers can reach us while nobody has to log in. `has_accounts`: somebody could.
    ///
    /// # Errors
    /// Names the key, its address, and the ways out.
    pub fn check_exposure(&self, has_accounts: bool) -> Result<(), Error> {
        if self.allow_anonymous {
            return Ok(());
        }
        match self.exposed(has_accounts).first() {
            None => Ok(()),
            Some((key, address)) => {
                let account = match (*key, self.access.sign_in) {
                    ("http.listen", SignIn::Auto) => ", make an account (overread user add)",
                    ("http.listen", SignIn::Off) => ", let people sign in (access.sign_in)",
                    _ => "",
                };
                Err(Error::Invalid {
                    key: (*key).into(),
                    problem: format!(
                        "{address} can be reached from other machines and nobody has to log in; use a loopback address \
                         such as 127.0.0.1{account}, or set http.allow_anonymous = true (--allow-anonymous) to take the risk"
                    ),
                })
            }
        }
    }

    /// Whether whoever comes over the web has to sign in.
    #[must_use]
    pub fn has_sign_in(&self, has_accounts: bool) -> bool {
        match self.access.sign_in {
            SignIn::Auto => has_accounts,
            SignIn::Required => true,
            SignIn::Off => false,
        }
    }

    /// The listeners that strangers on other machines can use.
    #[must_use]
    pub fn exposed(&self, has_accounts: bool) -> Vec<(&'static str, SocketAddr)> {
        // Where everybody has to show a certificate or a user identity, there are no strangers.
        let is_identified = self.dicom.identity.as_ref().is_some_and(|i| i.is_required);
        let is_open = |tls: &&dimse::tls::Settings| {
            tls.remote_certificate != dimse::tls::RemoteCertificate::Require && !is_identified
        };
        let secure = self.dicom.tls.as_ref().filter(is_open);
        [
            (!self.has_sign_in(has_accounts)).then_some(("http.listen", self.http.listen)),
            Some(("dicom.listen", self.dicom.listen)),
            secure.map(|tls| ("dicom.tls_listen", tls.listen)),
        ]
        .into_iter()
        .flatten()
        .filter(|(_, address)| !address.ip().to_canonical().is_loopback())
        .collect()
    }
}

/// The merged layers, before any check. Every field is a key of `default.toml` and the reverse:
/// a key without a field does not load, a field without a key neither.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    server: RawServer,
    access: access::RawAccess,
    http: web::RawHttp,
    viewer: web::RawViewer,
    dicom: RawDicom,
    ingest: ingest::RawIngest,
    coercion: ingest::RawCoercion,
    forward: forward::RawForward,
    notices: notices::RawNotices,
    imaging: ingest::RawImaging,
    statistics: RawStatistics,
    import: RawImport,
    log: RawLog,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawServer {
    data_dir: PathBuf,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawDicom {
    listen: String,
    ae_title: String,
    called_ae_titles: Vec<String>,
    calling_ae_titles: Vec<String>,
    max_pdu_bytes: i64,
    associations_max: i64,
    moves_max: i64,
    artim_timeout_s: i64,
    idle_timeout_s: i64,
    peers: Vec<String>,
    connect_timeout_s: i64,
    send_associations: i64,
    send_retries: i64,
    modalities: Vec<String>,
    tls_listen: String,
    tls_certificate: PathBuf,
    tls_private_key: PathBuf,
    tls_trusted_certificates: PathBuf,
    tls_remote_certificate: String,
    user_identity: String,
    users: PathBuf,
    jwt_key: PathBuf,
    jwt_audience: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawStatistics {
    group_size_min: i64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawImport {
    zip_entries_max: i64,
    zip_ratio_max: i64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawLog {
    level: String,
    format: String,
}

impl Raw {
    fn check(self) -> Result<Settings, Error> {
        if self.server.data_dir.as_os_str().is_empty() {
            return Err(invalid("server.data_dir", "is empty"));
        }
        let mut ingest = self
            .ingest
            .check(self.coercion, &self.imaging, &self.dicom.ae_title)?;
        let allow_anonymous = self.http.allow_anonymous;
        let commitment_keep = days("http.commitment_keep_days", self.http.commitment_keep_days)?;
        let http = self.http.check(self.viewer)?;
        let dicom = self
            .dicom
            .check(ingest.limits.object_bytes_max, commitment_keep)?;
        let (forwarding, forward) = self.forward.check(&dicom, &http)?;
        ingest.forwarding = forwarding;
        let notices = self.notices.check(&http)?;
        Ok(Settings {
            data_dir: self.server.data_dir,
            allow_anonymous,
            access: self.access.check()?,
            http,
            dicom,
            ingest,
            forward,
            notices,
            statistics: StatisticsSettings {
                // Of two, each would know what the other is.
                group_size_min: number(
                    "statistics.group_size_min",
                    self.statistics.group_size_min,
                    3..=1_000_000,
                )?,
            },
            import: ImportSettings {
                zip_entries_max: number(
                    "import.zip_entries_max",
                    self.import.zip_entries_max,
                    1..=1 << 32,
                )?,
                zip_ratio_max: number(
                    "import.zip_ratio_max",
                    self.import.zip_ratio_max,
                    1..=1 << 20,
                )?,
            },
            log: self.log.check()?,
        })
    }
}

impl RawDicom {
    fn check(
        self,
        object_bytes_max: u64,
        commitment_keep: Duration,
    ) -> Result<dimse::Settings, Error> {
        if self.ae_title == "*" {
            return Err(invalid("dicom.ae_title", "must be a title, not *"));
        }
        let ae_title = AeTitle::parse(&self.ae_title)
            .map_err(|error| invalid("dicom.ae_title", error.to_string()))?;
        let max_pdu_bytes = number("dicom.max_pdu_bytes", self.max_pdu_bytes, 4_096..=1 << 24)?;
        let idle_timeout = seconds("dicom.idle_timeout_s", self.idle_timeout_s)?;
        let files = self.tls_files()?;
        let tls = self.tls(&files)?;
        let identity = self.identity()?;
        let modalities = dimse::Modalities::parse(&self.modalities)
            .map_err(|problem| invalid("dicom.modalities", problem))?;
        let called_ae_titles = ae_titles("dicom.called_ae_titles", &self.called_ae_titles)?;
        let is_ours = |title: &AeTitle| *title == ae_title || called_ae_titles.hold(title);
        if let Some(title) = modalities.stranger(is_ours) {
            let problem = format!(
                "{title} is neither dicom.ae_title nor one of dicom.called_ae_titles: nobody could call us so"
            );
            return Err(invalid("dicom.modalities", problem));
        }
        let outgoing = dimse::scu::Settings {
            peers: dimse::scu::Peers::parse(&self.peers)
                .map_err(|error| invalid("dicom.peers", error.to_string()))?,
            pdu_bytes_max: max_pdu_bytes,
            connect_timeout: seconds("dicom.connect_timeout_s", self.connect_timeout_s)?,
            answer_timeout: idle_timeout,
            associations: number("dicom.send_associations", self.send_associations, 1..=32)?,
            object_bytes_max,
            retries: number("dicom.send_retries", self.send_retries, 0..=100)?,
            tls: files,
            ..dimse::scu::Settings::of(ae_title.clone())
        };
        if let (Some(name), None) = (outgoing.peers.over_tls(), &outgoing.tls.trusted) {
            let problem =
                format!("{name} is called over TLS: that needs dicom.tls_trusted_certificates");
            return Err(invalid("dicom.peers", problem));
        }
        Ok(dimse::Settings {
            listen: address("dicom.listen", &self.listen)?,
            ae_title,
            called_ae_titles,
            modalities,
            tls,
            identity,
            calling_ae_titles: ae_titles("dicom.calling_ae_titles", &self.calling_ae_titles)?,
            max_pdu_bytes,
            associations_max: number("dicom.associations_max", self.associations_max, 1..=65_536)?,
            moves_max: number("dicom.moves_max", self.moves_max, 1..=1024)?,
            artim_timeout: seconds("dicom.artim_timeout_s", self.artim_timeout_s)?,
            idle_timeout,
            object_bytes_max,
            commitment_keep,
            outgoing,
        })
    }
}

impl RawLog {
    fn check(self) -> Result<LogSettings, Error> {
        let format = match self.format.as_str() {
            "text" => LogFormat::Text,
            "json" => LogFormat::Json,
            _ => return Err(invalid("log.format", "must be \"text\" or \"json\"")),
        };
        if tracing_subscriber::EnvFilter::try_new(&self.level).is_err() {
            return Err(invalid(
                "log.level",
                "must be error, warn, info, debug, trace, or a filter of these",
            ));
        }
        Ok(LogSettings {
            level: self.level,
            format,
        })
    }
}

fn invalid(key: &str, problem: impl Into<String>) -> Error {
    Error::Invalid {
        key: key.into(),
        problem: problem.into(),
    }
}

fn number<T: TryFrom<i64>>(key: &str, value: i64, range: RangeInclusive<i64>) -> Result<T, Error> {
    let outside = || {
        invalid(
            key,
            format!("must be between {} and {}", range.start(), range.end()),
        )
    };
    if !range.contains(&value) {
        return Err(outside());
    }
    T::try_from(value).map_err(|_| outside())
}

fn seconds(key: &str, value: i64) -> Result<Duration, Error> {
    number(key, value, 1..=86_400).map(Duration::from_secs)
}

fn days(key: &str, value: i64) -> Result<Duration, Error> {
    number(key, value, 1..=36_500).map(|days: u64| Duration::from_secs(days * 86_400))
}

/// An address to listen on. Names are not resolved: what we bind to must be plain to see.
fn address(key: &str, text: &str) -> Result<SocketAddr, Error> {
    let numeric = match text.strip_prefix("localhost:") {
        Some(port) => format!("127.0.0.1:{port}"),
        None => text.to_owned(),
    };
    numeric.parse().map_err(|_| {
        invalid(
            key,
            "must be ADDRESS:PORT, such as 127.0.0.1:8080 or [::1]:8080",
        )
    })
}

fn ae_titles(key: &str, titles: &[String]) -> Result<AeTitles, Error> {
    AeTitles::parse(titles).map_err(|error| invalid(key, error.to_string()))
}
