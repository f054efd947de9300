//! The keys of `[dicom]` that say whom to trust: TLS and user identities. Whether files are good is seen
//! when they are read; here only which go together.

use std::path::{Path, PathBuf};

use super::{Error, RawDicom, address, invalid};
use crate::dimse::tls::RemoteCertificate;
use crate::dimse::{identity, tls};

impl RawDicom {
    pub(super) fn tls_files(&self) -> Result<tls::Files, Error> {
        let certificate = given(&self.tls_certificate);
        let private_key = given(&self.tls_private_key);
        if certificate.is_none() && private_key.is_some() {
            return Err(invalid(
                "dicom.tls_private_key",
                "needs dicom.tls_certificate beside it",
            ));
        }
        Ok(tls::Files {
            identity: certificate.map(|certificate| {
                let private_key = private_key.unwrap_or_else(|| certificate.clone());
                (certificate, private_key)
            }),
            trusted: given(&self.tls_trusted_certificates),
        })
    }

    pub(super) fn tls(&self, files: &tls::Files) -> Result<Option<tls::Settings>, Error> {
        let key = "dicom.tls_remote_certificate";
        let remote_certificate = match self.tls_remote_certificate.as_str() {
            "require" => RemoteCertificate::Require,
            "request" => RemoteCertificate::Request,
            "off" => RemoteCertificate::Off,
            _ => {
                return Err(invalid(key, "must be \"require\", \"request\" or \"off\""));
            }
        };
        if self.tls_listen.is_empty() {
            return Ok(None);
        }
        let listen = address("dicom.tls_listen", &self.tls_listen)?;
        if files.identity.is_none() {
            return Ok(None);
        }
        if remote_certificate != RemoteCertificate::Off && files.trusted.is_none() {
            let problem = format!(
                "\"{}\" needs dicom.tls_trusted_certificates, to know the certificates of peers by; \
                 \"off\" asks for none",
                self.tls_remote_certificate
            );
            return Err(invalid(key, problem));
        }
        Ok(Some(tls::Settings {
            listen,
            remote_certificate,
            files: files.clone(),
        }))
    }

    pub(super) fn identity(&self) -> Result<Option<identity::Settings>, Error> {
        let users = given(&self.users);
        let tokens = match (given(&self.jwt_key), &self.jwt_audience) {
            (None, _) => None,
            (Some(_), audience) if audience.is_empty() => {
                return Err(invalid(
                    "dicom.jwt_audience",
                    "is empty: tokens that dicom.jwt_key has signed for others would be taken",
                ));
            }
            (Some(path), audience) => Some((path, audience.clone())),
        };
        let key = "dicom.user_identity";
        let is_required = match self.user_identity.as_str() {
            "off" => return Ok(None),
            "optional" => false,
            "require" => true,
            _ => {
                return Err(invalid(key, "must be \"off\", \"optional\" or \"require\""));
            }
        };
        Ok(Some(identity::Settings {
            is_required,
            users,
            tokens,
        }))
    }
}

/// A path that is not empty.
fn given(path: &Path) -> Option<PathBuf> {
    (!path.as_os_str().is_empty()).then(|| path.to_owned())
}
