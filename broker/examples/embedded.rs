//! A broker inside another program: `cargo run --release --example embedded -- data 1883`.
#![allow(clippy::print_stdout, reason = "an example speaks")]

use std::error::Error;

use weir_broker::Broker;
use weir_broker::config::{Config, HostPort, ListenerConfig};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let directory = arguments.next().ok_or("which data directory?")?;
    let port = arguments.next().ok_or("which port?")?.parse()?;

    let mut config = Config::default();
    config.data_dir = directory.into();
    config.listeners = vec![ListenerConfig::new(HostPort::new("127.0.0.1", port))];
    let broker = Broker::start(config)?;
    println!("listening on {:?}", broker.addresses());
    loop {
        if let Some(error) = broker.failure() {
            return Err(error.into());
        }
        std::thread::park_timeout(std::time::Duration::from_secs(1));
    }
}
