//! From the files of a listener to what a TLS handshake needs.
//!
//! Reads and judges files only; when they are read again is decided elsewhere. A certificate
//! whose time is over is a warning: a gateway that has lost its clock must still start.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::{CertificateDer, CertificateRevocationListDer};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{InconsistentKeys, RootCertStore, ServerConfig};
use weir_tls::{TlsError, TlsFile, TlsVersion, provider, read_all, read_key};

use super::x509::Certificate;

/// `tls` of a listener.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TlsConfig {
    /// The chain of the broker's certificate, its own first.
    pub certfile: PathBuf,
    /// The key of the first certificate.
    pub keyfile: PathBuf,
    /// Whose certificates of clients are believed; `None` = clients are not asked for one.
    pub cafile: Option<PathBuf>,
    /// Certificates of clients that are not believed any more.
    pub crlfile: Option<PathBuf>,
    /// Clients without a certificate are not let in.
    pub require_certificate: bool,
    /// Which part of the certificate of a client is its user name.
    pub username: CertificateUsername,
    /// The oldest version of TLS that is spoken.
    pub tls_version: TlsVersion,
}

/// Which part of the certificate of a client is its user name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CertificateUsername {
    /// The common name of its subject.
    CommonName,
    /// None of it.
    #[default]
    None,
    /// The whole subject, as RFC 2253 writes it.
    Subject,
}

/// What the files of a listener say.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) server: Arc<ServerConfig>,
    /// Says whether the certificate of a client is to be believed.
    pub(crate) verifier: Arc<dyn ClientCertVerifier>,
    /// What is to be looked at, about the certificate.
    pub(crate) warning: Option<String>,
}

impl TlsConfig {
    /// Reads the files; `unix_s` is the time by which the certificate is judged.
    pub(crate) fn load(&self, unix_s: u64) -> Result<Loaded, TlsError> {
        let chain = read_all::<CertificateDer<'static>>(TlsFile::Certificate, &self.certfile)?;
        let key = read_key(&self.keyfile)?;
        let warning = Certificate::parse(&chain[0])
            .and_then(|certificate| warning(&certificate, &self.certfile, unix_s));
        let verifier = self.verifier()?;
        let builder = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(self.tls_version.and_later())
            .expect("ring has the cipher suites of both versions")
            .with_client_cert_verifier(verifier.clone());
        let server = builder.with_single_cert(chain, key).map_err(|error| match error {
            rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
                TlsError::Mismatch { path: self.keyfile.clone() }
            }
            rustls::Error::InvalidCertificate(_) => {
                TlsError::unusable(TlsFile::Certificate, &self.certfile, error)
            }
            _ => TlsError::unusable(TlsFile::Key, &self.keyfile, error),
        })?;
        Ok(Loaded { server: Arc::new(server), verifier, warning })
    }

    /// The files that there are, in the order of [`TlsFile`].
    pub(crate) fn files(&self) -> [Option<&Path>; 4] {
        [self.cafile.as_deref(), Some(&self.certfile), Some(&self.keyfile), self.crlfile.as_deref()]
    }

    fn verifier(&self) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
        let Some(cafile) = &self.cafile else { return Ok(WebPkiClientVerifier::no_client_auth()) };
        let mut roots = RootCertStore::empty();
        for certificate in read_all(TlsFile::Authorities, cafile)? {
            roots
                .add(certificate)
                .map_err(|error| TlsError::unusable(TlsFile::Authorities, cafile, error))?;
        }
        let mut verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider());
        if let Some(path) = &self.crlfile {
            let lists = read_all::<CertificateRevocationListDer<'static>>(TlsFile::Revoked, path)?;
            verifier = verifier.with_crls(lists).only_check_end_entity_revocation();
        }
        if !self.require_certificate {
            verifier = verifier.allow_unauthenticated();
        }
        verifier.build().map_err(|error| match &self.crlfile {
            Some(path) => TlsError::unusable(TlsFile::Revoked, path, error),
            None => TlsError::unusable(TlsFile::Authorities, cafile, error),
        })
    }
}

fn warning(certificate: &Certificate<'_>, path: &Path, unix_s: u64) -> Option<String> {
    let path = path.display();
    if certificate.not_after.unix_s < unix_s {
        let date = &certificate.not_after;
        Some(format!("the certificate in `{path}` has expired on {date}"))
    } else if certificate.not_before.unix_s > unix_s {
        let date = &certificate.not_before;
        Some(format!("the certificate in `{path}` does not hold before {date}"))
    } else {
        None
    }
}
