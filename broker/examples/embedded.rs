//! A broker inside another program: `cargo run --example embedded -- data 1883`.
//!
//! It listens on this machine until the standard input ends (Ctrl-D), and says how it is. What it
//! has acknowledged is in the directory, and there again with the next start.
#![allow(clippy::print_stdout, reason = "an example speaks")]

use std::error::Error;
use std::io::{self, BufRead, Write};
use std::path::Path;

use weir_broker::Broker;
use weir_broker::config::{Config, HostPort, ListenerConfig};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let directory = arguments.next().ok_or("which data directory?")?;
    let port = arguments.next().ok_or("which port?")?.parse()?;
    run(Path::new(&directory), port, io::stdin().lock(), io::stdout())
}

/// Port 0 is any that is free.
pub(crate) fn run(
    directory: &Path,
    port: u16,
    input: impl BufRead,
    mut out: impl Write,
) -> Result<(), Box<dyn Error>> {
    let mut config = Config::default();
    config.data_dir = directory.to_owned();
    config.listeners = vec![ListenerConfig::new(HostPort::new("127.0.0.1", port))];
    // It has threads of its own, and touches neither the logging nor the runtime of the program: what
    // it has to say goes to whatever subscriber of `tracing` the program has set.
    let broker = Broker::start(config)?;
    writeln!(out, "listening on {}", broker.addresses()[0])?;
    for line in input.lines() {
        line?;
        let status = broker.status();
        writeln!(out, "{} clients, {} messages", status.connections, status.messages.received)?;
        if let Some(error) = broker.failure() {
            return Err(error.into());
        }
    }
    // Clients are told, and what was acknowledged is on the disk when it returns.
    broker.shutdown();
    Ok(())
}
