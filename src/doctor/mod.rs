//! `overread doctor`: replays what viewers ask of a DICOMweb server, any server, and says what would
//! break. A door that leads outwards: it knows the words of DICOM and nothing of our own archive,
//! which it meets over HTTP like every other.
//!
//! [`replay`] is the table of requests, [`faults`] the table of what can be wrong;
//! [`examination`] goes through them with a [`client`] that trusts nobody; [`checks`] look at the
//! answers. What is printed holds UIDs and numbers, no value of a patient, no credential.

mod address;
mod asking;
mod checks;
mod client;
mod datasets;
mod deposit;
mod examination;
mod faults;
mod multipart;
mod origins;
mod replay;
mod report;
mod subjects;
mod template;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use ureq::http::header::{HeaderName, HeaderValue};

use crate::dicom::Uid;

use address::Address;
use client::Client;
use examination::Examination;

pub use address::AddressError;
pub use faults::Fault;
pub use report::{Finding, Level, Report, Step, Viewer};

/// What to examine, and how.
#[derive(Clone)]
pub struct Options {
    /// The DICOMweb root.
    pub url: String,
    /// The URI service; `None` for `../wado`.
    pub wado_uri: Option<String>,
    /// A study to look at; `None` for the newest.
    pub study: Option<Uid>,
    /// How many of the newest studies are looked at.
    pub studies: usize,
    /// Headers sent with each request, such as `Authorization: Bearer …`. Never shown.
    pub headers: Vec<String>,
    /// The origin that a viewer comes from, to examine CORS.
    pub origin: Option<String>,
    /// Whether an object may be stored (and removed).
    pub write: bool,
    /// The longest time that one request may take.
    pub timeout: Duration,
}

/// Why there is no examination: wrong usage. No text holds what was given, which may be a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The URL.
    #[error(transparent)]
    Url(#[from] AddressError),
    /// The URL of the URI service.
    #[error("--wado-uri: {0}")]
    WadoUri(AddressError),
    /// A header that is none.
    #[error("--header must be 'Name: value'")]
    Header,
    /// An origin that is none.
    #[error("--origin must be an origin such as https://viewer.example.org, without a path")]
    Origin,
}

/// Examines a server. `progress` is told what is being asked.
///
/// # Errors
/// Only what is wrong with the options: all that a server does wrong is in the report.
pub fn examine(options: &Options, progress: &mut dyn FnMut(&str)) -> Result<Report, Error> {
    let root = Address::parse(&options.url)?;
    let uri_root = match &options.wado_uri {
        Some(url) => Address::parse(url).map_err(Error::WadoUri)?,
        None => root.sibling("wado"),
    };
    let page_origin = options.origin.as_deref().map(page_origin).transpose()?;
    let secrets = options
        .headers
        .iter()
        .map(|header| secret(header))
        .collect::<Result<_, _>>()?;
    let origins = vec![root.origin().to_owned(), uri_root.origin().to_owned()];
    let begun = Instant::now();
    let mut examination = Examination {
        client: Client::new(origins, secrets, options.timeout),
        root,
        uri_root,
        page_origin,
        study: options.study.clone(),
        newest: options.studies,
        progress,
        steps: Vec::new(),
        server: None,
        studies: 0,
        series: 0,
        instances: Vec::new(),
        is_over: false,
    };
    examination.run();
    if options.write {
        examination.deposit();
    }
    let kinds: BTreeSet<String> = examination
        .instances
        .iter()
        .map(|(modality, instance)| {
            let compressed = if instance.is_compressed() {
                "compressed "
            } else {
                ""
            };
            format!("{modality} {compressed}{}", instance.kind.name())
        })
        .collect();
    let mut steps = examination.steps;
    let chapter = |step: &Step| {
        replay::CHAPTERS
            .iter()
            .position(|title| *title == step.chapter)
    };
    steps.sort_by_key(chapter);
    Ok(Report {
        url: examination.root.url(),
        server: examination.server,
        studies: examination.studies,
        series: examination.series,
        instances: examination.instances.len(),
        kinds: kinds.into_iter().collect(),
        requests: examination.client.requests(),
        took_ms: begun.elapsed().as_millis() as u64,
        steps,
    })
}

fn page_origin(text: &str) -> Result<String, Error> {
    let origin = address::origin(text).map_err(|_| Error::Origin)?;
    let is_bare = text
        .trim_end_matches('/')
        .split("://")
        .nth(1)
        .is_some_and(|rest| !rest.contains(['/', '?', '#']));
    if is_bare {
        Ok(origin)
    } else {
        Err(Error::Origin)
    }
}

fn secret(header: &str) -> Result<(HeaderName, HeaderValue), Error> {
    let (name, value) = header.split_once(':').ok_or(Error::Header)?;
    let name = HeaderName::try_from(name.trim()).map_err(|_| Error::Header)?;
    let mut value = HeaderValue::try_from(value.trim()).map_err(|_| Error::Header)?;
    value.set_sensitive(true);
    Ok((name, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options() -> Options {
        Options {
            url: "http://127.0.0.1:1/dicom-web".into(),
            wado_uri: None,
            study: None,
            studies: 1,
            headers: Vec::new(),
            origin: None,
            write: false,
            timeout: Duration::from_secs(5),
        }
    }

    #[test]
    fn wrong_usage_is_told_without_repeating_it() {
        let told = |change: &dyn Fn(&mut Options)| {
            let mut options = options();
            change(&mut options);
            examine(&options, &mut |_| {}).unwrap_err()
        };
        assert_eq!(told(&|o| o.headers.push("secret".into())), Error::Header);
        assert_eq!(told(&|o| o.headers.push("A b: c".into())), Error::Header);
        assert_eq!(
            told(&|o| o.origin = Some("https://a/b".into())),
            Error::Origin
        );
        let told = told(&|o| o.url = "http://me:secret@a/".into());
        assert!(!told.to_string().contains("secret"));
    }

    #[test]
    fn a_server_that_is_not_there_is_broken_and_asked_once() {
        let report = examine(&options(), &mut |_| {}).unwrap();
        assert_eq!(report.level(), Level::Broken);
        assert_eq!(report.requests, 1);
        assert_eq!(report.steps[0].findings[0].fault.code, "unreachable");
    }
}
