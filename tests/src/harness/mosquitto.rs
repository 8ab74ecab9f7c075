//! A real mosquitto as the other broker, with a configuration of its own.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;

use super::folder::Folder;
use super::ports::free_address;
use super::process::{Process, Stream};
use super::wait::LIMIT;

/// A mosquitto that can be stopped and started; it keeps its port and its data.
#[derive(Debug)]
pub struct Mosquitto {
    program: PathBuf,
    config: PathBuf,
    address: SocketAddr,
    process: Option<Process>,
}

impl Mosquitto {
    /// Starts one that keeps its data in the folder. `more` are lines of its configuration.
    ///
    /// # Panics
    /// It does not start.
    #[must_use]
    pub fn start(program: PathBuf, folder: &Folder, more: &str) -> Self {
        let address = free_address();
        let data = folder.path().join("mosquitto");
        std::fs::create_dir_all(&data).expect("directories can be made here");
        // Started by root it would become another user, who may not write there. Without a limit of
        // what is under way it needs no queue, past which it sends what comes in meanwhile.
        let text = format!(
            "listener {} {}\nallow_anonymous true\nuser root\npersistence true\n\
             persistence_location {}/\nmax_queued_messages 0\nmax_inflight_messages 0\n\
             log_dest stderr\n{more}\n",
            address.port(),
            address.ip(),
            data.display(),
        );
        let config = folder.write("mosquitto.conf", text);
        let mut mosquitto = Self { program, config, address, process: None };
        mosquitto.start_again();
        mosquitto
    }

    /// Starts it after a stop.
    ///
    /// # Panics
    /// It does not start.
    pub fn start_again(&mut self) {
        let process = Process::spawn(Command::new(&self.program).arg("-c").arg(&self.config));
        let running = process.wait_for(Stream::Stderr, " running", LIMIT);
        assert!(running.is_some(), "mosquitto does not start: {process:?}");
        self.process = Some(process);
    }

    /// Asks it to write its data and end, and waits for that.
    ///
    /// # Panics
    /// It is not running.
    pub fn stop(&mut self) {
        let process = self.process.take().expect("it is running");
        process.signal("TERM");
        let ended = process.wait(LIMIT);
        assert!(ended.status.success(), "{ended:?}");
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}
