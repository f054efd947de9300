//! DICOM over TLS: the BCP 195 (RFC 8996, 9325) TLS Secure Transport Connection Profile of PS3.15
//! §B.12. TLS 1.2 and 1.3 and nothing older, with the suites that rustls has: ephemeral keys and
//! authenticated encryption only.
//!
//! Certificates are files. For our own door they are read at the start and when told to
//! ([`Acceptor::reload`]); an association that we ask for reads them each time.

mod trust;

use std::fs::File;
use std::io::{self, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, InvalidMessage, ServerConfig, SupportedProtocolVersion};
use tracing::{error, info, warn};

use trust::Trust;

/// RFC 9325 §3.1.1.
const VERSIONS: &[&SupportedProtocolVersion] = &[&rustls::version::TLS13, &rustls::version::TLS12];
/// The largest file that is read: the authorities of a whole browser are 250 KiB.
const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// The settings that the files are named by.
const CERTIFICATE: &str = "dicom.tls_certificate";
const PRIVATE_KEY: &str = "dicom.tls_private_key";
const TRUSTED: &str = "dicom.tls_trusted_certificates";

/// Who we are, and whom we trust.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Files {
    /// Our certificate and those between it and its authority, and its private key.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// Certificates of authorities, and of peers themselves.
    pub trusted: Option<PathBuf>,
}

/// The TLS port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Whether peers have to show a certificate.
    pub remote_certificate: RemoteCertificate,
    /// What it is all made of.
    pub files: Files,
}

/// Whether a peer that calls has to show a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RemoteCertificate {
    /// It is not asked for one.
    Off,
    /// It is asked; one that it shows has to be a good one.
    Request,
    /// Without a good one there is no connection.
    Require,
}

/// What is wrong with a file.
#[derive(Debug, thiserror::Error)]
#[error("{key} ({}): {problem}", path.display())]
pub struct FileError {
    key: &'static str,
    path: PathBuf,
    problem: String,
}

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file cannot be used.
    #[error(transparent)]
    File(#[from] FileError),
    /// A setting that is needed has no value.
    #[error("{0} is not set")]
    Missing(&'static str),
    /// rustls does not like what it is given.
    #[error("{0}")]
    Rustls(#[from] rustls::Error),
}

/// What the TLS port is opened with.
pub(super) struct Acceptor {
    settings: Settings,
    config: RwLock<Arc<ServerConfig>>,
}

impl Acceptor {
    /// Reads the files.
    pub(super) fn open(settings: Settings) -> Result<Self, Error> {
        let config = RwLock::new(Arc::new(settings.server()?));
        Ok(Self { settings, config })
    }

    /// For the next connection.
    pub(super) fn config(&self) -> Arc<ServerConfig> {
        let config = self.config.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&config)
    }

    /// Reads the files again, for connections from now on. What cannot be used changes nothing.
    pub(super) fn reload(&self) {
        match self.settings.server() {
            Ok(config) => {
                *self.config.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(config);
                info!("the TLS certificates are read again");
            }
            Err(cause) => {
                error!(%cause, "the new TLS certificates cannot be used: the old ones stay in force");
            }
        }
    }
}

/// Our cryptography, named rather than left to a default of the process.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

impl Settings {
    fn server(&self) -> Result<ServerConfig, Error> {
        let Some((certificate, private_key)) = &self.files.identity else {
            return Err(Error::Missing(CERTIFICATE));
        };
        let builder =
            ServerConfig::builder_with_provider(provider()).with_protocol_versions(VERSIONS)?;
        let builder = match self.remote_certificate {
            RemoteCertificate::Off => builder.with_no_client_auth(),
            RemoteCertificate::Request => {
                builder.with_client_cert_verifier(self.files.trust()?.of_clients(false)?)
            }
            RemoteCertificate::Require => {
                builder.with_client_cert_verifier(self.files.trust()?.of_clients(true)?)
            }
        };
        let chain = certificates(CERTIFICATE, certificate)?;
        let config = builder.with_single_cert(chain, key(private_key)?);
        Ok(config.map_err(|error| problem(CERTIFICATE, certificate, &error))?)
    }
}

impl Files {
    /// What a peer that we call is met with.
    pub(super) fn client(&self) -> Result<ClientConfig, Error> {
        let builder = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(VERSIONS)?
            .dangerous()
            .with_custom_certificate_verifier(self.trust()?.of_servers()?);
        Ok(match &self.identity {
            None => builder.with_no_client_auth(),
            Some((certificate, private_key)) => builder
                .with_client_auth_cert(certificates(CERTIFICATE, certificate)?, key(private_key)?)
                .map_err(|error| problem(CERTIFICATE, certificate, &error))?,
        })
    }

    fn trust(&self) -> Result<Trust, Error> {
        let path = self.trusted.as_ref().ok_or(Error::Missing(TRUSTED))?;
        let trust = Trust::new(certificates(TRUSTED, path)?);
        Ok(trust.map_err(|error| problem(TRUSTED, path, &error))?)
    }
}

/// Whether what came instead of a handshake is no TLS at all.
pub(super) fn is_no_tls(error: &io::Error) -> bool {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
    inner
        == Some(&rustls::Error::InvalidMessage(
            InvalidMessage::InvalidContentType,
        ))
}

pub(super) fn problem(key: &'static str, path: &Path, problem: &impl ToString) -> FileError {
    FileError {
        key,
        path: path.to_owned(),
        problem: problem.to_string(),
    }
}

/// A whole file, if it is of a sensible size.
pub(super) fn read(key: &'static str, path: &Path) -> Result<Vec<u8>, FileError> {
    let read = || -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let mut file = File::open(path)?.take(FILE_BYTES_MAX + 1);
        file.read_to_end(&mut bytes)?;
        if bytes.len() as u64 > FILE_BYTES_MAX {
            return Err(io::Error::other("is larger than 4 MiB"));
        }
        Ok(bytes)
    };
    read().map_err(|error| problem(key, path, &error))
}

fn certificates(key: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, FileError> {
    let bytes = read(key, path)?;
    let found: Vec<_> = CertificateDer::pem_slice_iter(&bytes)
        .collect::<Result<_, pem::Error>>()
        .map_err(|error| problem(key, path, &error))?;
    if found.is_empty() {
        return Err(problem(key, path, &"holds no certificate (PEM)"));
    }
    Ok(found)
}

fn key(path: &Path) -> Result<PrivateKeyDer<'static>, FileError> {
    let bytes = read(PRIVATE_KEY, path)?;
    warn_when_open_to_all(PRIVATE_KEY, path);
    PrivateKeyDer::from_pem_slice(&bytes).map_err(|error| match error {
        pem::Error::NoItemsFound if memchr::memmem::find(&bytes, b"ENCRYPTED").is_some() => {
            problem(
                PRIVATE_KEY,
                path,
                &"is encrypted; a key without a passphrase is needed",
            )
        }
        pem::Error::NoItemsFound => problem(PRIVATE_KEY, path, &"holds no private key (PEM)"),
        error => problem(PRIVATE_KEY, path, &error),
    })
}

/// Says so when everybody on this machine can read a secret.
pub(super) fn warn_when_open_to_all(key: &'static str, path: &Path) {
    use std::os::unix::fs::PermissionsExt;

    const OTHERS: u32 = 0o007;
    if path
        .metadata()
        .is_ok_and(|of| of.permissions().mode() & OTHERS != 0)
    {
        warn!(key, path = %path.display(), "everybody on this machine can read or change this file");
    }
}
