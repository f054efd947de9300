//! Whose certificates are good: those that lead to an authority we trust (RFC 5280, by webpki), and
//! those that we were given themselves, as modalities with certificates of their own making are
//! made known. Of the latter the dates are not looked at: whoever put them into the file has.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore,
    SignatureScheme,
};

use crate::dimse::der;

/// The certificates of one file.
pub(super) struct Trust {
    authorities: Arc<RootCertStore>,
    /// All of them: a peer may show any of these as its own.
    given: Vec<CertificateDer<'static>>,
}

impl Trust {
    /// Only who says to be an authority is taken for one: else whoever holds the key of one
    /// modality could make certificates for all others.
    pub(super) fn new(given: Vec<CertificateDer<'static>>) -> Result<Self, Error> {
        let mut authorities = RootCertStore::empty();
        for certificate in &given {
            if der::is_authority(certificate) {
                authorities.add(certificate.clone())?;
            } else {
                // What cannot be read would never match.
                ParsedCertificate::try_from(certificate)?;
            }
        }
        Ok(Self {
            authorities: Arc::new(authorities),
            given,
        })
    }

    fn algorithms() -> WebPkiSupportedAlgorithms {
        super::provider().signature_verification_algorithms
    }

    /// Judges peers that call.
    pub(super) fn of_clients(self, is_required: bool) -> Result<Arc<Clients>, super::Error> {
        let by_authority = match self.authorities.is_empty() {
            true => None,
            false => {
                let builder = WebPkiClientVerifier::builder_with_provider(
                    self.authorities,
                    super::provider(),
                );
                Some(builder.build().map_err(general)?)
            }
        };
        Ok(Arc::new(Clients {
            by_authority,
            given: self.given,
            is_required,
            algorithms: Self::algorithms(),
        }))
    }

    /// Judges peers that are called.
    pub(super) fn of_servers(self) -> Result<Arc<Servers>, super::Error> {
        let by_authority = match self.authorities.is_empty() {
            true => None,
            false => {
                let builder = WebPkiServerVerifier::builder_with_provider(
                    self.authorities,
                    super::provider(),
                );
                Some(builder.build().map_err(general)?)
            }
        };
        Ok(Arc::new(Servers {
            by_authority,
            given: self.given,
            algorithms: Self::algorithms(),
        }))
    }
}

fn general(error: impl ToString) -> Error {
    Error::General(error.to_string())
}

fn unknown() -> Error {
    Error::InvalidCertificate(CertificateError::UnknownIssuer)
}

/// Judges peers that call.
#[derive(Debug)]
pub(super) struct Clients {
    by_authority: Option<Arc<dyn ClientCertVerifier>>,
    given: Vec<CertificateDer<'static>>,
    is_required: bool,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ClientCertVerifier for Clients {
    fn client_auth_mandatory(&self) -> bool {
        self.is_required
    }

    /// None: a client would show nothing that was not issued by one of them, and keep back a
    /// certificate of its own making.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        certificate: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        if self.given.contains(certificate) {
            return Ok(ClientCertVerified::assertion());
        }
        let by_authority = self.by_authority.as_ref().ok_or_else(unknown)?;
        by_authority.verify_client_cert(certificate, between, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// Judges peers that are called.
#[derive(Debug)]
pub(super) struct Servers {
    by_authority: Option<Arc<WebPkiServerVerifier>>,
    given: Vec<CertificateDer<'static>>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for Servers {
    /// Whoever issued it, the certificate has to name the peer: one modality is not another.
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if self.given.contains(certificate) {
            verify_server_name(&ParsedCertificate::try_from(certificate)?, name)?;
            return Ok(ServerCertVerified::assertion());
        }
        let by_authority = self.by_authority.as_ref().ok_or_else(unknown)?;
        by_authority.verify_server_cert(certificate, between, name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
