//! Files of certificates and keys in PEM form, and what can be wrong with them.

use std::error::Error;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::SupportedProtocolVersion;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use rustls::version::{TLS12, TLS13};

/// A version of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsVersion {
    /// TLS 1.2
    V12,
    /// TLS 1.3
    V13,
}

impl TlsVersion {
    /// This version and those after it.
    pub fn and_later(self) -> &'static [&'static SupportedProtocolVersion] {
        static BOTH: [&SupportedProtocolVersion; 2] = [&TLS13, &TLS12];
        match self {
            Self::V12 => &BOTH,
            Self::V13 => &BOTH[..1],
        }
    }
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
                "give the key that the certificate was made with, and its certificate as \
                 the first one of `certfile`"
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

    /// What is wrong with what is in a file.
    pub fn unusable(
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

/// What rustls computes with.
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn read(file: TlsFile, path: &Path) -> Result<Vec<u8>, TlsError> {
    let failed = |source| TlsError::Read { file, path: path.to_owned(), source };
    let length = fs::metadata(path).map_err(failed)?.len();
    if length > FILE_BYTES_MAX {
        let reason = format!("it has {length} bytes, more than {FILE_BYTES_MAX}");
        return Err(failed(io::Error::new(io::ErrorKind::FileTooLarge, reason)));
    }
    fs::read(path).map_err(failed)
}

/// At least one of what the file is there for.
///
/// # Errors
/// What is wrong with the file.
pub fn read_all<T: PemObject>(file: TlsFile, path: &Path) -> Result<Vec<T>, TlsError> {
    let bytes = read(file, path)?;
    let all: Result<Vec<T>, _> = T::pem_slice_iter(&bytes).collect();
    let all = all.map_err(|error| TlsError::unusable(file, path, error))?;
    match all.is_empty() {
        true => Err(TlsError::Empty { file, path: path.to_owned() }),
        false => Ok(all),
    }
}

/// The private key in a file.
///
/// # Errors
/// What is wrong with the file.
pub fn read_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
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

/// The authorities of a whole system are some 200 KB.
const FILE_BYTES_MAX: u64 = 4 << 20;
