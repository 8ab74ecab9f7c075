//! TLS to a broker: what a handshake needs, as long as the bridge runs, and from what went wrong to
//! words.
//!
//! The files are looked at for each connection, and read again when one of them has changed: a new
//! certificate is used from the next connection on. Connects to nothing itself.

mod fault;

use std::sync::{Arc, Mutex, PoisonError};

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use thiserror::Error;
use weir_config::FileStamp;
use weir_tls::{TlsClientConfig, TlsError as FileError};

pub(crate) use fault::words;

/// How TLS is spoken with a broker. The default believes the authorities of the system.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsOptions {
    /// What is believed and shown.
    pub client: TlsClientConfig,
    /// The name that the certificate of the broker is to be for; `None` = that of its address.
    pub server_name: Option<String>,
}

/// Why TLS cannot be spoken.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TlsError {
    /// Something is wrong with a file, named by its key in the configuration.
    #[error("`{}`: {source}", source.file())]
    File {
        /// What is wrong with it.
        #[from]
        source: FileError,
    },
    /// The name cannot be in a certificate.
    #[error("`{name}` cannot be the name in a certificate")]
    Name {
        /// As it is written.
        name: String,
    },
}

impl TlsError {
    /// What to do about it.
    pub fn help(&self) -> &'static str {
        match self {
            Self::File { source } => source.help(),
            Self::Name { .. } => {
                "set `server_name` in [tls] to the name in the certificate of the broker"
            }
        }
    }
}

/// One end of TLS, for any number of connections.
#[derive(Debug)]
pub struct TlsClient {
    options: TlsOptions,
    read: Mutex<Read>,
}

/// What the files said, and which files these were.
#[derive(Debug)]
struct Read {
    stamps: Vec<FileStamp>,
    config: Arc<ClientConfig>,
}

impl TlsClient {
    /// Reads the files.
    ///
    /// # Errors
    /// What is wrong with which of them.
    pub fn open(options: TlsOptions) -> Result<Self, TlsError> {
        if let Some(name) = &options.server_name {
            server_name(name)?;
        }
        let stamps = options.stamps();
        let config = options.client.load()?;
        Ok(Self { options, read: Mutex::new(Read { stamps, config }) })
    }

    /// What the next handshake needs. Files are read, and a few kilobytes of them, only when one has
    /// changed.
    pub(crate) fn config(&self) -> Result<Arc<ClientConfig>, TlsError> {
        // What a panic interrupts is one assignment.
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let stamps = self.options.stamps();
        if read.stamps != stamps {
            let config = self.options.client.load()?;
            *read = Read { stamps, config };
        }
        Ok(Arc::clone(&read.config))
    }

    /// The name that the certificate of the broker at `host` is to be for.
    pub(crate) fn server_name(&self, host: &str) -> Result<ServerName<'static>, TlsError> {
        server_name(self.options.server_name.as_deref().unwrap_or(host))
    }
}

impl TlsOptions {
    fn stamps(&self) -> Vec<FileStamp> {
        let certificate = self.client.certificate.iter().flat_map(|(chain, key)| [chain, key]);
        let files = self.client.cafile.iter().chain(certificate);
        files.map(|path| FileStamp::of(path)).collect()
    }
}

fn server_name(name: &str) -> Result<ServerName<'static>, TlsError> {
    ServerName::try_from(name.to_owned()).map_err(|_| TlsError::Name { name: name.to_owned() })
}
