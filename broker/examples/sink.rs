//! A sink of one's own: `cargo run --example sink -- data archive.csv`.
//!
//! Messages below `sensors/` are written to a file. What was not written yet waits on the disk of
//! the broker, over crashes too. After one the last messages may come again; the file is looked at
//! for their `id`, so each is in it once.
#![allow(clippy::print_stdout, reason = "an example speaks")]

use std::collections::BTreeSet;
use std::error::Error;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

use weir_broker::config::{Config, UpstreamConfig};
use weir_broker::{Broker, ClientOptions, Publication, Sink};

/// Far more than it takes.
const PATIENCE: Duration = Duration::from_secs(10);

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let directory = arguments.next().ok_or("which data directory?")?;
    let file = arguments.next().ok_or("which file?")?;
    run(Path::new(&directory), Path::new(&file), io::stdout())
}

/// Publishes ten measurements, and writes to the file what waits.
pub(crate) fn run(
    directory: &Path,
    file: &Path,
    mut out: impl Write,
) -> Result<(), Box<dyn Error>> {
    let mut config = Config::default();
    config.data_dir = directory.to_owned();
    config.listeners.clear();
    // Part of the configuration, so that nothing is missed between the start and the sink.
    config.upstreams.push(UpstreamConfig::for_program("archive", ["sensors/#"]));
    let broker = Broker::start(config)?;

    let client = broker.client(ClientOptions::new("sensors"))?;
    for number in 0..10 {
        client.publish(Publication::new("sensors/1", number.to_string())).wait(PATIENCE)?;
    }
    let sink = broker.sink("archive")?;
    let written = archive(&sink, file)?;
    writeln!(out, "{written} written")?;
    broker.shutdown();
    Ok(())
}

/// Writes what waits; answers how many messages.
fn archive(sink: &Sink, path: &Path) -> Result<u32, Box<dyn Error>> {
    let ids = ids(path)?;
    let mut file = OpenOptions::new().create(true).append(true).open(path)?;
    let mut written = 0;
    while let Some(message) = sink.take_timeout(Duration::from_millis(500))? {
        if !ids.contains(message.id()) {
            let text = String::from_utf8_lossy(message.payload()).into_owned();
            writeln!(file, "{},{},{text}", message.id(), message.topic())?;
            File::sync_data(&file)?;
            written += 1;
        }
        // On the disk: now it need not come again.
        message.acknowledge();
    }
    Ok(written)
}

/// What the file has already. A real one looks only at its end.
fn ids(path: &Path) -> io::Result<BTreeSet<String>> {
    let text = match std::fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        read => read?,
    };
    Ok(text.lines().filter_map(|line| line.split(',').next()).map(str::to_owned).collect())
}
