//! A real RabbitMQ, with ports of its own.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use super::amqp::AmqpClient;
use super::folder::Folder;
use super::ports::free_port;
use super::process::Process;
use super::wait::pass;

/// A RabbitMQ that can be killed and started; it keeps its port and its data.
#[derive(Debug)]
pub struct RabbitMq {
    program: PathBuf,
    directory: PathBuf,
    port: u16,
    distribution_port: u16,
    names_port: u16,
    /// Knows the names of nodes of Erlang; the program would start one that outlives it.
    _names: Process,
    process: Option<Process>,
}

impl RabbitMq {
    /// Starts one that keeps its queues in the folder. `names` is the program `epmd`.
    ///
    /// # Panics
    /// It does not start.
    #[must_use]
    pub fn start(names: &Path, folder: &Folder) -> Self {
        let [port, distribution_port, names_port] = [(); 3].map(|()| free_port());
        let config = format!("listeners.tcp.1 = 127.0.0.1:{port}\nlog.file = false\n");
        folder.write("rabbitmq/rabbitmq.conf", config);
        let plugins = folder.write("rabbitmq/enabled_plugins", "[].\n");
        let mut command = Command::new(names);
        let address = ["-address", "127.0.0.1", "-port"];
        let names = Process::spawn(command.args(address).arg(names_port.to_string()));
        let mut server = Self {
            // The one in the path becomes another user, who may not write there.
            program: PathBuf::from("/usr/lib/rabbitmq/bin/rabbitmq-server"),
            directory: plugins.with_file_name(""),
            port,
            distribution_port,
            names_port,
            _names: names,
            process: None,
        };
        server.start_again();
        server
    }

    /// Ends it at once, as a power cut would.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill();
        }
    }

    /// Starts it after a kill; that takes seconds.
    ///
    /// # Panics
    /// It does not start.
    pub fn start_again(&mut self) {
        self.process = Some(Process::spawn(&mut self.command()));
        let start = Instant::now();
        // Its port is open before somebody can log in: what connects then is sent away.
        while AmqpClient::connect(self.address()).is_err() {
            assert!(start.elapsed() < START_LIMIT, "RabbitMQ does not start: {:?}", self.process);
            pass(Duration::from_millis(20));
        }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    fn command(&self) -> Command {
        let path = &self.directory;
        let arguments =
            "+S 1 -kernel inet_dist_use_interface {127,0,0,1} -kernel logger_level warning";
        let mut command = Command::new(&self.program);
        command
            .env("HOME", path)
            .env("ERL_EPMD_ADDRESS", "127.0.0.1")
            .env("ERL_EPMD_PORT", self.names_port.to_string())
            .env("RABBITMQ_CONF_ENV_FILE", "/dev/null")
            .env("RABBITMQ_CONFIG_FILE", path.join("rabbitmq"))
            .env("RABBITMQ_DIST_PORT", self.distribution_port.to_string())
            .env("RABBITMQ_ENABLED_PLUGINS_FILE", path.join("enabled_plugins"))
            .env("RABBITMQ_LOG_BASE", path.join("log"))
            .env("RABBITMQ_MNESIA_BASE", path.join("data"))
            .env(
                "RABBITMQ_NODENAME",
                format!("weir-{}-{}@localhost", std::process::id(), self.port),
            )
            .env("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", arguments)
            // Then the script becomes the program, so that its number is the program's.
            .env("RUNNING_UNDER_SYSTEMD", "true");
        command
    }
}

const START_LIMIT: Duration = Duration::from_secs(120);
