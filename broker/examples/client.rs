//! A client of a broker in the same program: `cargo run --example client -- data`.
//!
//! Publishes and subscribes without a socket of the network. What is published at QoS 1 or 2 is on
//! the disk when the answer comes.
#![allow(clippy::print_stdout, reason = "an example speaks")]

use std::error::Error;
use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

use weir_broker::config::Config;
use weir_broker::{Broker, ClientOptions, Publication, QoS};

/// Far more than it takes.
const PATIENCE: Duration = Duration::from_secs(10);

fn main() -> Result<(), Box<dyn Error>> {
    let directory = std::env::args().nth(1).ok_or("which data directory?")?;
    run(Path::new(&directory), io::stdout())
}

/// Counts how often it was started, in a retained message.
pub(crate) fn run(directory: &Path, mut out: impl Write) -> Result<(), Box<dyn Error>> {
    let mut config = Config::default();
    config.data_dir = directory.to_owned();
    // Nobody comes from outside.
    config.listeners.clear();
    let broker = Broker::start(config)?;

    // A kept session has its subscriptions, and what came for them, with the next start too.
    let client = broker.client(ClientOptions::new("counter").kept())?;
    if client.session_present() {
        writeln!(out, "the session was there")?;
    }
    client.subscribe("starts", QoS::AtLeastOnce).wait(PATIENCE)?;
    // What is retained comes first; before the first start nothing is.
    let before = match client.receive_timeout(Duration::from_millis(500)) {
        Ok(message) => {
            let count = std::str::from_utf8(message.payload())?.parse::<u32>()?;
            message.acknowledge();
            count
        }
        Err(_) => 0,
    };
    let count = Publication::new("starts", (before + 1).to_string()).retained();
    // In a program with an async runtime: `client.publish(count).await?`.
    client.publish(count).wait(PATIENCE)?;
    let message = client.receive_timeout(PATIENCE)?;
    writeln!(out, "start {}", std::str::from_utf8(message.payload())?)?;
    message.acknowledge();

    client.close(PATIENCE)?;
    broker.shutdown();
    Ok(())
}
