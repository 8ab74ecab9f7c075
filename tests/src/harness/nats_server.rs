//! A real nats-server with JetStream, with a configuration of its own.

use std::io::{BufRead as _, BufReader};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::Command;

use super::folder::Folder;
use super::ports::free_address;
use super::process::Process;
use super::wait::{LIMIT, until};

/// A nats-server that can be killed and started; it keeps its port and its data.
#[derive(Debug)]
pub struct NatsServer {
    program: PathBuf,
    config: PathBuf,
    address: SocketAddr,
    process: Option<Process>,
}

impl NatsServer {
    /// Starts one that keeps its streams in the folder.
    ///
    /// # Panics
    /// It does not start.
    #[must_use]
    pub fn start(program: PathBuf, folder: &Folder) -> Self {
        let address = free_address();
        let text = format!(
            "listen: \"{address}\"\njetstream {{ store_dir: \"{}\" }}\n",
            folder.path().join("nats").display()
        );
        let config = folder.write("nats.conf", text);
        let mut server = Self { program, config, address, process: None };
        server.start_again();
        server
    }

    /// Ends it at once, as a power cut would.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill();
        }
    }

    /// Starts it after a kill.
    ///
    /// # Panics
    /// It does not start.
    pub fn start_again(&mut self) {
        self.process =
            Some(Process::spawn(Command::new(&self.program).arg("-c").arg(&self.config)));
        until("nats-server", || self.greeting().filter(|said| said.contains("\"jetstream\":true")));
    }

    /// What it says to everybody who comes; none while it does not listen.
    fn greeting(&self) -> Option<String> {
        let stream = TcpStream::connect(self.address).ok()?;
        stream.set_read_timeout(Some(LIMIT)).ok()?;
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line).ok()?;
        Some(line)
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The process.
    ///
    /// # Panics
    /// It is not running.
    #[must_use]
    pub fn process(&self) -> &Process {
        self.process.as_ref().expect("it was started")
    }
}
