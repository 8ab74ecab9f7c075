//! The real binary.

use std::env;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use super::process::{Ended, Process, Stream};
use super::wait::{LIMIT, until};

/// A running broker.
#[derive(Debug)]
pub struct Weir {
    process: Process,
    /// None for a Unix socket.
    address: Option<SocketAddr>,
    started_in: Duration,
}

impl Weir {
    /// Starts `weir run` with a configuration and waits until clients can connect.
    ///
    /// # Panics
    /// It ends instead, or takes too long.
    #[must_use]
    pub fn start(config: &Path) -> Self {
        Self::spawn(config).listening()
    }

    /// Starts `weir run` and does not wait.
    #[must_use]
    pub fn spawn(config: &Path) -> Starting {
        Starting::spawn(command(&["run", "--config"]).arg(config))
    }

    /// Where its first listener is.
    ///
    /// # Panics
    /// That is a Unix socket.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address.expect("the first listener has an address")
    }

    /// Where its listeners are, the first `count` of them, in the order of its configuration.
    ///
    /// # Panics
    /// It has not so many, or one is a Unix socket.
    #[must_use]
    pub fn addresses(&self, count: usize) -> Vec<SocketAddr> {
        until("its listeners", || {
            let said = self.process.said(Stream::Stdout);
            let whole = said.split_inclusive('\n').filter(|line| line.ends_with('\n'));
            let addresses = whole.filter_map(|line| line.split_once(" listens on "));
            let addresses: Vec<_> = addresses.map(|(_, after)| after.trim_end()).collect();
            (addresses.len() >= count).then(|| {
                let parse = |text: &&str| text.parse().expect("a listener has an address");
                addresses[..count].iter().map(parse).collect()
            })
        })
    }

    /// How long it took from its start to the moment at which clients could connect.
    #[must_use]
    pub fn started_in(&self) -> Duration {
        self.started_in
    }

    /// Where its admin server is.
    ///
    /// # Panics
    /// It has none.
    #[must_use]
    pub fn admin_address(&self) -> SocketAddr {
        let rest = self.process.wait_for(Stream::Stdout, "status at http://", LIMIT);
        let rest = rest.expect("the broker says where its status is");
        let text = rest.split('/').next().unwrap_or_default();
        text.parse().expect("an address follows")
    }

    /// The process, for its output and its number.
    #[must_use]
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Ends it at once, as a power cut would.
    pub fn kill(mut self) {
        self.process.kill();
    }

    /// Asks it to end, and answers how it did.
    ///
    /// # Panics
    /// It takes too long or does not end well.
    pub fn stop(self) -> Ended {
        self.process.signal("TERM");
        let ended = self.process.wait(LIMIT);
        assert!(ended.status.success(), "{ended:?}");
        ended
    }
}

/// A broker that may not be ready yet.
#[derive(Debug)]
pub struct Starting {
    process: Process,
    since: Instant,
}

impl Starting {
    /// Starts a command that runs a broker in a way of its own, such as in an emulator.
    #[must_use]
    pub fn spawn(command: &mut Command) -> Self {
        forget_environment(command);
        let since = Instant::now();
        Self { process: Process::spawn(command), since }
    }

    /// Waits until clients can connect.
    ///
    /// # Panics
    /// It ends instead, or takes too long.
    #[must_use]
    pub fn listening(self) -> Weir {
        let address = self.process.wait_for(Stream::Stdout, " listens on ", LIMIT);
        let Some(address) = address else {
            panic!("the broker does not start: {:?}", self.process.wait(LIMIT));
        };
        let started_in = self.since.elapsed();
        let address = address.parse().ok();
        Weir { process: self.process, address, started_in }
    }

    /// Waits until it ends by itself.
    ///
    /// # Panics
    /// It takes too long.
    #[must_use]
    pub fn ended(self) -> Ended {
        self.process.wait(LIMIT)
    }

    /// Ends it at once.
    pub fn kill(mut self) {
        self.process.kill();
    }
}

/// Runs a command of the binary to its end.
#[must_use]
pub fn weir(arguments: &[&str]) -> Ended {
    Process::spawn(&mut command(arguments)).wait(LIMIT)
}

/// A command of the binary, without what the environment of the tests would change in it.
#[must_use]
pub fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(binary());
    forget_environment(&mut command);
    command.args(arguments);
    command
}

/// What is meant for the tests is no setting of the broker.
fn forget_environment(command: &mut Command) {
    for (name, _) in env::vars().filter(|(name, _)| name.starts_with("WEIR_")) {
        command.env_remove(name);
    }
}

/// The binary: what `WEIR_BIN` names, else it is built with the profile of these tests.
#[must_use]
pub fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| match env::var_os("WEIR_BIN") {
        Some(path) => PathBuf::from(path),
        None => build(),
    })
}

fn build() -> PathBuf {
    let test = env::current_exe().expect("a test is a file");
    let profile = test.ancestors().nth(2).expect("it is in deps of a profile's directory");
    let mut command = Command::new(env!("CARGO"));
    // With every kind of upstream; also as `tests/run` builds it.
    command.args(["build", "--quiet", "--workspace", "--all-features", "--bin", "weir"]);
    command.current_dir(workspace()).env("CARGO_TARGET_DIR", profile.parent().unwrap_or(profile));
    if cfg!(feature = "nats") {
        command.args(["--features", "weir-broker/nats"]);
    }
    if profile.ends_with("release") {
        command.arg("--release");
    }
    let status = command.status().expect("cargo runs the tests, so it is there");
    assert!(status.success(), "the broker cannot be built: {command:?}");
    profile.join("weir")
}

/// The directory of the workspace.
#[must_use]
pub fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests are below the workspace")
}
