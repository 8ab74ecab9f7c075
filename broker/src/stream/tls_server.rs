//! The certificates of a listener, read again when their files change.
//!
//! Whether they have changed is looked at when a client comes, at most every ten seconds: nothing
//! wakes up for it. Files that cannot be used leave the old ones in place, and are reported once.
//! Who is connected stays connected.

use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustls::{ServerConfig, ServerConnection};

use super::certificates::{TlsConfig, TlsError};
use super::tls::Tls;

/// Between two looks at the files.
const LOOK: Duration = Duration::from_secs(10);

/// What the handshakes of a listener need.
#[derive(Debug)]
pub(crate) struct TlsServer {
    config: TlsConfig,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    server: Arc<ServerConfig>,
    /// The files as they were when they were read last, also if they could not be used.
    files: [FileStamp; 4],
    looked_at: Instant,
}

/// What changes when a file is written or replaced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct FileStamp {
    modified: Option<SystemTime>,
    length: u64,
    inode: u64,
}

impl TlsServer {
    /// Reads the files for the first time.
    pub(crate) fn start(config: TlsConfig) -> Result<Self, TlsError> {
        let files = stamps(&config);
        let server = load(&config)?;
        let state = Mutex::new(State { server, files, looked_at: Instant::now() });
        Ok(Self { config, state })
    }

    /// Begins a connection with the certificates as they are now.
    pub(crate) fn accept(&self) -> Result<Tls, rustls::Error> {
        let server = {
            let mut state = self.lock();
            if state.looked_at.elapsed() >= LOOK {
                self.look(&mut state);
            }
            state.server.clone()
        };
        Ok(Tls::new(ServerConnection::new(server)?, self.config.username))
    }

    /// Reads the files again, changed or not.
    ///
    /// # Errors
    /// What is wrong with them; the old ones stay in use.
    pub(crate) fn reload(&self) -> Result<(), TlsError> {
        let mut state = self.lock();
        // Before they are read: what is written meanwhile is a change to be seen next time.
        state.files = stamps(&self.config);
        state.looked_at = Instant::now();
        state.server = load(&self.config)?;
        Ok(())
    }

    fn look(&self, state: &mut State) {
        state.looked_at = Instant::now();
        let files = stamps(&self.config);
        if files == state.files {
            return;
        }
        state.files = files;
        match load(&self.config) {
            Ok(server) => {
                state.server = server;
                let certificate = self.config.certfile.display();
                tracing::info!(%certificate, "the certificates have changed and are in use");
            }
            Err(error) => {
                tracing::error!(
                    %error,
                    help = error.help(),
                    "the changed certificates cannot be used: the old ones stay"
                );
            }
        }
    }

    /// What a thread that panicked has left is whole: it is replaced in one step.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn load(config: &TlsConfig) -> Result<Arc<ServerConfig>, TlsError> {
    let loaded = config.load(unix_s())?;
    if let Some(warning) = loaded.warning {
        tracing::warn!("{warning}");
    }
    Ok(loaded.server)
}

fn stamps(config: &TlsConfig) -> [FileStamp; 4] {
    config.files().map(|path| path.map(stamp).unwrap_or_default())
}

/// A file that is not there has a stamp too: the same as any other of its kind.
fn stamp(path: &Path) -> FileStamp {
    use std::os::unix::fs::MetadataExt;
    fs::metadata(path).map_or_else(
        |_| FileStamp::default(),
        |metadata| FileStamp {
            modified: metadata.modified().ok(),
            length: metadata.len(),
            inode: metadata.ino(),
        },
    )
}

/// Seconds since the Unix epoch.
pub(crate) fn unix_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

#[cfg(test)]
mod tests {
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

    /// A client comes; true when it is served from other files than before.
    fn changes_for_a_client(server: &TlsServer) -> bool {
        let before = server.lock().server.clone();
        server.accept().unwrap();
        !Arc::ptr_eq(&before, &server.lock().server)
    }

    fn let_time_pass(server: &TlsServer) {
        let mut state = server.lock();
        state.looked_at = state.looked_at.checked_sub(LOOK).unwrap();
    }

    #[test]
    fn changed_files_are_used_by_the_next_client_after_a_while() {
        let files = Files::new("changed");
        let server = TlsServer::start(files.config()).unwrap();
        files.renew();
        assert!(!changes_for_a_client(&server), "not looked at yet");
        let_time_pass(&server);
        assert!(changes_for_a_client(&server));
        let_time_pass(&server);
        assert!(!changes_for_a_client(&server), "unchanged since");
    }

    #[test]
    fn files_that_cannot_be_used_are_tried_once_and_used_once_they_are_right() {
        let files = Files::new("broken");
        let server = TlsServer::start(files.config()).unwrap();
        fs::write(files.0.join("key"), "half a ke").unwrap();
        let_time_pass(&server);
        assert!(!changes_for_a_client(&server));
        assert_eq!(server.lock().files, stamps(&files.config()), "seen, and not tried again");
        fs::remove_file(files.0.join("key")).unwrap();
        let_time_pass(&server);
        assert!(!changes_for_a_client(&server));
        files.renew();
        let_time_pass(&server);
        assert!(changes_for_a_client(&server));
    }
}
