//! From the files of a listener to what a TLS handshake needs.
//!
//! Reads and judges files only; when they are read again is decided elsewhere. A certificate
//! whose time is over is a warning: a gateway that has lost its clock must still start.

use std::error::Error;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{InconsistentKeys, RootCertStore, ServerConfig, SupportedProtocolVersion, version};

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

/// A version of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsVersion {
    /// TLS 1.2
    V12,
    /// TLS 1.3
    V13,
}

/// A file that TLS needs, named by its key in the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsFile {
    /// `cafile`
    Authorities,
    /// `certfile`
    Certificate,
    /// `keyfile`
    Key,
    /// `crlfile`
    Revoked,
}

/// Why the files cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// Nothing of the kind is in the file.
    #[error("`{}` holds no {} in PEM form", path.display(), .file.content())]
    Empty {
        /// Which file.
        file: TlsFile,
        /// Where it is.
        path: PathBuf,
    },
    /// There is no `cafile`, and the system names no authorities.
    #[error("this system believes no authority of certificates")]
    NoAuthorities,
    /// The key is of another certificate.
    #[error("the key in `{}` does not belong to the certificate", path.display())]
    Mismatch {
        /// The file of the key.
        path: PathBuf,
    },
    /// The file cannot be read.
    #[error("cannot read `{}`: {source}", path.display())]
    Read {
        /// Which file.
        file: TlsFile,
        /// Where it is.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// What is in the file cannot be used.
    #[error("`{}` cannot be used: {source}", path.display())]
    Unusable {
        /// Which file.
        file: TlsFile,
        /// Where it is.
        path: PathBuf,
        /// What is wrong with it.
        source: Box<dyn Error + Send + Sync>,
    },
}

impl TlsFile {
    /// The name of its key.
    pub fn key(self) -> &'static str {
        match self {
            Self::Authorities => "cafile",
            Self::Certificate => "certfile",
            Self::Key => "keyfile",
            Self::Revoked => "crlfile",
        }
    }

    fn content(self) -> &'static str {
        match self {
            Self::Authorities | Self::Certificate => "certificate",
            Self::Key => "private key",
            Self::Revoked => "revocation list",
        }
    }
}

impl TlsError {
    /// Which file is to blame.
    pub fn file(&self) -> TlsFile {
        match self {
            Self::Mismatch { .. } => TlsFile::Key,
            Self::NoAuthorities => TlsFile::Authorities,
            Self::Empty { file, .. } | Self::Read { file, .. } | Self::Unusable { file, .. } => {
                *file
            }
        }
    }

    /// What to do about it.
    pub fn help(&self) -> &'static str {
        match self {
            Self::Empty { .. } => "the file must have a part that starts with `-----BEGIN`",
            Self::Mismatch { .. } => {
                "give the key that the certificate was made with, and the broker's own \
                 certificate as the first one of `certfile`"
            }
            Self::NoAuthorities => {
                "set `cafile`, or install the certificates of the system (ca-certificates)"
            }
            Self::Read { .. } => "the user that runs weir must be able to read the file",
            Self::Unusable { file: TlsFile::Key, .. } => {
                "a key without a password is needed: RSA of 2048 bits or more, ECDSA P-256 or \
                 P-384, or Ed25519"
            }
            Self::Unusable { .. } => "look at it with `openssl x509 -in FILE -text`",
        }
    }

    pub(super) fn unusable(
        file: TlsFile,
        path: &Path,
        source: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> Self {
        Self::Unusable { file, path: path.to_owned(), source: source.into() }
    }
}

impl fmt::Display for TlsFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.key())
    }
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
        let versions: &[&SupportedProtocolVersion] = match self.tls_version {
            TlsVersion::V12 => &[&version::TLS13, &version::TLS12],
            TlsVersion::V13 => &[&version::TLS13],
        };
        let warning = Certificate::parse(&chain[0])
            .and_then(|certificate| warning(&certificate, &self.certfile, unix_s));
        let verifier = self.verifier()?;
        let builder = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(versions)
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

pub(super) fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn read(file: TlsFile, path: &Path) -> Result<Vec<u8>, TlsError> {
    fs::read(path).map_err(|source| TlsError::Read { file, path: path.to_owned(), source })
}

/// At least one of what the file is there for.
pub(super) fn read_all<T: PemObject>(file: TlsFile, path: &Path) -> Result<Vec<T>, TlsError> {
    let bytes = read(file, path)?;
    let all: Result<Vec<T>, _> = T::pem_slice_iter(&bytes).collect();
    let all = all.map_err(|error| TlsError::unusable(file, path, error))?;
    match all.is_empty() {
        true => Err(TlsError::Empty { file, path: path.to_owned() }),
        false => Ok(all),
    }
}

pub(super) fn read_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let file = TlsFile::Key;
    let bytes = read(file, path)?;
    match PrivateKeyDer::from_pem_slice(&bytes) {
        Ok(key) => Ok(key),
        Err(rustls::pki_types::pem::Error::NoItemsFound) => {
            Err(TlsError::Empty { file, path: path.to_owned() })
        }
        Err(error) => Err(TlsError::unusable(file, path, error)),
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
