//! The certificates of a listener, read again when their files change.
//!
//! Handshakes take what is in use; reading happens on other threads and replaces it in one step.
//! Files that cannot be used leave the old ones in place, and are reported once. Who is connected
//! stays connected, unless a new list says that its certificate is revoked.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::{CertificateError, Error, ServerConfig, ServerConnection};
use weir_config::FileStamp;
use weir_tls::TlsError;

use super::certificates::{Loaded, TlsConfig};
use super::tls::Tls;

/// What the handshakes of a listener need.
#[derive(Debug)]
pub(crate) struct TlsServer {
    config: TlsConfig,
    /// In use; held for as long as it takes to copy a pointer.
    loaded: Mutex<Arc<Loaded>>,
    /// The files as they were when they were read last, also if they could not be used. Held
    /// while they are read.
    files: Mutex<[FileStamp; 4]>,
}

/// Files that were read and can be used.
pub(crate) struct NextCertificates {
    stamps: [FileStamp; 4],
    loaded: Arc<Loaded>,
}

impl TlsServer {
    /// Reads the files for the first time.
    pub(crate) fn start(config: TlsConfig) -> Result<Self, TlsError> {
        let files = Mutex::new(stamps(&config));
        let loaded = Mutex::new(load(&config)?);
        Ok(Self { config, loaded, files })
    }

    /// Begins a connection with the certificates as they are now.
    pub(crate) fn accept(&self) -> Result<Tls, Error> {
        let server = lock(&self.loaded).server.clone();
        Ok(Tls::new(ServerConnection::new(server)?, self.config.username))
    }

    /// The certificates as they are now, for whoever makes the connections.
    pub(crate) fn server(&self) -> Arc<ServerConfig> {
        lock(&self.loaded).server.clone()
    }

    /// Whether certificates of clients can be revoked.
    pub(crate) fn has_revocations(&self) -> bool {
        self.config.crlfile.is_some()
    }

    /// Whether a certificate that was believed in a handshake is revoked by now. Takes as long as
    /// the handshake took to look at it.
    pub(crate) fn is_revoked(&self, certificates: &[CertificateDer<'_>]) -> bool {
        let Some((own, others)) = certificates.split_first() else { return false };
        let verifier = lock(&self.loaded).verifier.clone();
        let verdict = verifier.verify_client_cert(own, others, UnixTime::now());
        matches!(verdict, Err(Error::InvalidCertificate(CertificateError::Revoked)))
    }

    /// Reads the files, changed or not.
    ///
    /// # Errors
    /// What is wrong with them.
    pub(crate) fn read(&self) -> Result<NextCertificates, TlsError> {
        // Before they are read: what is written meanwhile is a change to be seen next time.
        let stamps = stamps(&self.config);
        Ok(NextCertificates { stamps, loaded: load(&self.config)? })
    }

    /// Serves clients that come from now on with what was read.
    pub(crate) fn install(&self, next: NextCertificates) {
        *lock(&self.files) = next.stamps;
        *lock(&self.loaded) = next.loaded;
    }

    /// Reads the files again if they have changed, and says in the log what came of it; true when
    /// others are in use now.
    pub(crate) fn refresh(&self) -> bool {
        let mut files = lock(&self.files);
        let now = stamps(&self.config);
        if now == *files {
            return false;
        }
        *files = now;
        match load(&self.config) {
            Ok(loaded) => {
                *lock(&self.loaded) = loaded;
                let certificate = self.config.certfile.display();
                tracing::info!(%certificate, "the certificates have changed and are in use");
                true
            }
            Err(error) => {
                report(&error);
                false
            }
        }
    }
}

/// Says in the log that files cannot be used, and what to do about it.
fn report(error: &TlsError) {
    let help = error.help();
    tracing::error!(%error, help, "the changed certificates cannot be used: the old ones stay");
}

/// What a thread that panicked has left is whole: it is replaced in one step.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn load(config: &TlsConfig) -> Result<Arc<Loaded>, TlsError> {
    let loaded = config.load(unix_s())?;
    if let Some(warning) = &loaded.warning {
        tracing::warn!("{warning}");
    }
    Ok(Arc::new(loaded))
}

fn stamps(config: &TlsConfig) -> [FileStamp; 4] {
    config.files().map(|path| path.map(FileStamp::of).unwrap_or_default())
}

/// Seconds since the Unix epoch.
pub(crate) fn unix_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;

    use super::*;
    use crate::stream::{CertificateUsername, TlsVersion};

    struct Files(PathBuf);

    impl Files {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("weir-tls-{}-{name}", std::process::id()));
            fs::create_dir_all(&path).unwrap();
            let files = Self(path);
            files.renew();
            files
        }

        fn renew(&self) {
            let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
            // As renewal programs do it: the old file is replaced, not written over.
            fs::write(self.0.join("new"), made.cert.pem()).unwrap();
            fs::rename(self.0.join("new"), self.0.join("pem")).unwrap();
            fs::write(self.0.join("key"), made.signing_key.serialize_pem()).unwrap();
        }

        fn config(&self) -> TlsConfig {
            TlsConfig {
                certfile: self.0.join("pem"),
                keyfile: self.0.join("key"),
                cafile: None,
                crlfile: None,
                require_certificate: false,
                username: CertificateUsername::None,
                tls_version: TlsVersion::V12,
            }
        }
    }

    impl Drop for Files {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).ok();
        }
    }

    /// Somebody looks at the files; true when clients are served from others than before.
    fn changes(server: &TlsServer) -> bool {
        let before = lock(&server.loaded).clone();
        let changed = server.refresh();
        server.accept().unwrap();
        assert_eq!(changed, !Arc::ptr_eq(&before, &lock(&server.loaded)));
        changed
    }

    #[test]
    fn changed_files_are_used_once_somebody_has_looked() {
        let files = Files::new("changed");
        let server = TlsServer::start(files.config()).unwrap();
        assert!(!changes(&server), "unchanged");
        files.renew();
        assert!(changes(&server));
        assert!(!changes(&server), "unchanged since");
    }

    #[test]
    fn files_that_cannot_be_used_are_tried_once_and_used_once_they_are_right() {
        let files = Files::new("broken");
        let server = TlsServer::start(files.config()).unwrap();
        fs::write(files.0.join("key"), "half a ke").unwrap();
        assert!(!changes(&server));
        assert_eq!(*lock(&server.files), stamps(&files.config()), "seen, and not tried again");
        fs::remove_file(files.0.join("key")).unwrap();
        assert!(!changes(&server));
        files.renew();
        assert!(changes(&server));
    }
}
