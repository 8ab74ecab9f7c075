//! A broker with a configuration file in a folder of its own.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use weir_broker::{
    Broker, StartError,
    config::{ConfigError, Loaded, Overrides, load},
};

/// How long a test waits for something that has to come.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A directory that is removed at the end.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("weir-transports-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        fs::write(self.0.join(name), bytes).unwrap();
    }

    /// Loads a configuration with these listeners from a file in this folder. Everybody may
    /// connect, unless it says itself who may.
    pub(crate) fn load(&self, listeners: &str) -> Result<Loaded, ConfigError> {
        let open = if listeners.contains("[auth]") { "" } else { "[auth]\nallow_anonymous = true" };
        let text = format!("persistence = false\n{listeners}\n{open}\n");
        self.write("weir.toml", text);
        load(Some(&self.0.join("weir.toml")), &Overrides::default())
    }

    /// What is said about a configuration that cannot be used.
    pub(crate) fn problems(&self, listeners: &str) -> String {
        match self.load(listeners) {
            Err(ConfigError::Invalid { problems }) => {
                problems.iter().map(ToString::to_string).collect()
            }
            other => panic!("expected an invalid configuration, not {other:?}"),
        }
    }

    pub(crate) fn start(&self, listeners: &str) -> Result<Gateway, StartError> {
        let config = self.load(listeners).unwrap_or_else(|error| panic!("{error:?}")).config;
        Broker::start(config).map(|broker| Gateway { broker })
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}

/// A running broker.
pub(crate) struct Gateway {
    pub(crate) broker: Broker,
}

impl Gateway {
    pub(crate) fn address(&self) -> SocketAddr {
        self.broker.addresses()[0]
    }

    /// Connections that ended before they could speak MQTT.
    pub(crate) fn refused(&self, reason: &str) -> u64 {
        self.broker.status().refused[reason]
    }

    pub(crate) fn connections(&self) -> u64 {
        self.broker.status().connections
    }
}

/// Waits for a condition, a while.
pub(crate) fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < end, "{what} did not happen");
        std::thread::sleep(Duration::from_millis(5));
    }
}
