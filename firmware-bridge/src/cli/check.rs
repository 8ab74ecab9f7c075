//! `weir-bridge check`: what `weir-bridge run` would say about a configuration, without opening a
//! device. The files of `[tls]` are read, without a connection.

use std::path::PathBuf;

use super::{Answer, CliError, count, say};
use crate::config::{Config, ConfigError, load};
use crate::serve::ServeError;
use crate::tls::TlsClient;

#[derive(Debug, clap::Args)]
#[command(after_help = "Exit code: 0 = right, 1 = wrong, 2 = the file cannot be read.")]
pub(crate) struct Arguments {
    /// Configuration file
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

pub(crate) fn run(arguments: &Arguments) -> Result<Answer, CliError> {
    match load(&arguments.config) {
        Ok(config) => {
            if let Some(error) = config.tls.clone().and_then(|tls| TlsClient::open(tls).err()) {
                eprint!("{}", CliError::from(ServeError::from(error)).report());
                return Ok(Answer::No);
            }
            say(&format!("{}: ok ({})\n", arguments.config.display(), summary(&config)))?;
            Ok(Answer::Yes)
        }
        Err(ConfigError::Invalid { problems }) => {
            problems.iter().for_each(|problem| eprint!("{problem}"));
            eprintln!("{}", count(problems.len(), "problem"));
            Ok(Answer::No)
        }
        Err(failure) => Err(failure.into()),
    }
}

fn summary(config: &Config) -> String {
    [
        count(config.sensors.len(), "sensor"),
        count(config.buses.len(), "I2C bus"),
        count(config.spi.len(), "SPI device"),
        count(config.onewire.len(), "thermometer"),
        count(config.gpio.len() + config.pwm.len(), "pin"),
        count(config.modbus.len(), "Modbus device"),
        count(config.links.len(), "link"),
    ]
    .join(", ")
}
